//! Follows an alert file from a position: the sinks' source where there is no Kafka.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_core::{Alert, record_hash};
use serde::{Deserialize, Serialize};

use crate::delivery::Clock;
use crate::source::{AlertSource, SourceError};

/// Most alerts in one batch.
const BATCH: usize = 256;
/// The longest line that is read as an alert; a longer one is passed over and counted.
const LINE_BYTES: u64 = 16 << 20;
/// How often the file is looked at while nothing comes.
const POLL: Duration = Duration::from_millis(100);

/// Reads an alert file as it grows and keeps its position in a small file of its own.
///
/// The position is a byte offset together with a hash of the file's first line. An alert file is only appended to, so
/// its first line tells it apart from the file that takes its name when it is rotated, also if it was copied or
/// restored meanwhile. A file that was rotated away is read to its end, then the new one from its start.
pub struct FileFollower {
    alerts: PathBuf,
    state: PathBuf,
    clock: Box<dyn Clock>,
    reader: Option<BufReader<File>>,
    position: Place,
    unreadable: u64,
}

/// Where in which file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Bytes read.
    offset: u64,
    /// The hash of the file's first line, in hexadecimal; empty before it is there.
    first_line: String,
}

impl FileFollower {
    /// Follows `alerts` (which need not be there yet) from the position in `state`, from its start where there is no
    /// such file. `clock` waits for new lines, and ends that wait when it is time to stop.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where `state` cannot be read or holds something else.
    pub fn open(alerts: &Path, state: &Path, clock: impl Clock + 'static) -> Result<Self, SourceError> {
        let position = match std::fs::read(state) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| SourceError::State { path: state.to_owned(), why: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::default(),
            Err(source) => return Err(SourceError::File { doing: "read", path: state.to_owned(), source }),
        };
        Ok(Self {
            alerts: alerts.to_owned(),
            state: state.to_owned(),
            clock: Box::new(clock),
            reader: None,
            position,
            unreadable: 0,
        })
    }

    /// Reads whole lines that are there now.
    fn read(&mut self) -> io::Result<Vec<Alert>> {
        if self.reader.is_none() && !self.find()? {
            return Ok(Vec::new());
        }
        let alerts = self.read_lines()?;
        if !alerts.is_empty() || !self.was_rotated()? {
            return Ok(alerts);
        }
        // Lines may have come to the old file between its end and its rotation.
        let rest = self.read_lines()?;
        if rest.is_empty() && self.find()? { self.read_lines() } else { Ok(rest) }
    }

    /// Opens the file at the position; false where there is none.
    fn find(&mut self) -> io::Result<bool> {
        let mut file = match File::open(&self.alerts) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let known = self.position.offset > 0;
        if known
            && (first_line(&mut file)? != self.position.first_line || file.metadata()?.len() < self.position.offset)
        {
            tracing::info!(file = %self.alerts.display(), "another alert file has this name now; it is read from its start");
            self.position = Place::default();
        }
        file.seek(SeekFrom::Start(self.position.offset))?;
        self.reader = Some(BufReader::new(file));
        Ok(true)
    }

    /// Whether the path names another file than the one that is open, or one that was cut.
    fn was_rotated(&self) -> io::Result<bool> {
        if self.position.offset == 0 {
            // Nothing was read of the open file, so that opening it again skips nothing.
            return Ok(true);
        }
        match File::open(&self.alerts) {
            Ok(mut file) => {
                Ok(file.metadata()?.len() < self.position.offset || first_line(&mut file)? != self.position.first_line)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_lines(&mut self) -> io::Result<Vec<Alert>> {
        let Some(reader) = &mut self.reader else { return Ok(Vec::new()) };
        // A line that had no end yet was read into the buffer and left: read from the position again.
        reader.seek(SeekFrom::Start(self.position.offset))?;
        let mut alerts = Vec::new();
        let mut line = Vec::new();
        while alerts.len() < BATCH {
            line.clear();
            let read = reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? as u64;
            if !line.ends_with(b"\n") && read < LINE_BYTES {
                break;
            }
            if self.position.offset == 0 {
                self.position.first_line = hash(&line);
            }
            match serde_json::from_slice(&line) {
                Ok(alert) => alerts.push(alert),
                Err(error) => {
                    // Standing in for the rest of a line that is too long as well: each piece is counted.
                    self.unreadable += 1;
                    let (file, byte) = (self.alerts.display(), self.position.offset);
                    tracing::warn!(%file, byte, %error, "a line of the alert file is no alert and was passed over");
                }
            }
            self.position.offset += read;
        }
        Ok(alerts)
    }
}

/// The hash of the first line, as far as [`LINE_BYTES`]; empty where it has no end yet.
fn first_line(file: &mut File) -> io::Result<String> {
    let mut line = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    BufReader::new(file.take(LINE_BYTES)).read_until(b'\n', &mut line)?;
    let whole = line.ends_with(b"\n") || line.len() as u64 == LINE_BYTES;
    Ok(if whole { hash(&line) } else { String::new() })
}

fn hash(line: &[u8]) -> String {
    format!("{:032x}", record_hash(line))
}

impl AlertSource for FileFollower {
    fn next(&mut self, timeout: Duration) -> Result<Vec<Alert>, SourceError> {
        let mut left = timeout;
        loop {
            let alerts =
                self.read().map_err(|source| SourceError::File { doing: "read", path: self.alerts.clone(), source })?;
            let wait = left.min(POLL);
            if !alerts.is_empty() || wait.is_zero() || !self.clock.wait(wait) {
                return Ok(alerts);
            }
            left -= wait;
        }
    }

    fn commit(&mut self) -> Result<(), SourceError> {
        write_whole(&self.state, &self.position).map_err(|source| SourceError::File {
            doing: "write",
            path: self.state.clone(),
            source,
        })
    }

    fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

/// Puts a new file in the old one's place, so that a crash leaves the one or the other.
fn write_whole(path: &Path, place: &Place) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, place)?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::SystemClock;
    use crate::log::AlertLog;
    use crate::samples;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn alerts(&self) -> PathBuf {
            self.folder.path().join("alerts.ndjson")
        }

        fn follower(&self) -> FileFollower {
            FileFollower::open(&self.alerts(), &self.folder.path().join("slack.position"), SystemClock::new().0)
                .unwrap()
        }

        fn write(&self, alerts: &[Alert]) {
            let mut log = AlertLog::file(&self.alerts()).unwrap();
            alerts.iter().for_each(|alert| log.append(alert).unwrap());
            log.sync().unwrap();
        }

        fn write_raw(&self, bytes: &[u8]) {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.alerts()).unwrap();
            file.write_all(bytes).unwrap();
        }
    }

    fn now(follower: &mut FileFollower) -> Vec<Alert> {
        follower.next(Duration::ZERO).unwrap()
    }

    #[test]
    fn what_was_not_committed_comes_again_after_a_restart() {
        let files = Files::new();
        let [a, b, ..] = &samples::all()[..] else { panic!("samples") };
        assert!(now(&mut files.follower()).is_empty(), "the file need not be there yet");
        files.write(std::slice::from_ref(a));
        let mut follower = files.follower();
        assert_eq!(now(&mut follower), std::slice::from_ref(a));
        follower.commit().unwrap();
        files.write(std::slice::from_ref(b));
        assert_eq!(now(&mut follower), std::slice::from_ref(b));
        assert_eq!(now(&mut files.follower()), std::slice::from_ref(b), "a restart goes on after the commit");
        follower.commit().unwrap();
        assert!(now(&mut files.follower()).is_empty());
    }

    #[test]
    fn a_line_is_read_once_it_is_whole() {
        let files = Files::new();
        let line = serde_json::to_vec(&samples::hijacked()).unwrap();
        let mut follower = files.follower();
        files.write_raw(&line[..40]);
        assert!(now(&mut follower).is_empty());
        files.write_raw(&line[40..]);
        assert!(now(&mut follower).is_empty());
        files.write_raw(b"\n");
        assert_eq!(now(&mut follower), [samples::hijacked()]);
        assert_eq!(follower.unreadable(), 0);
    }

    #[test]
    fn a_line_that_is_no_alert_is_counted_and_stops_nothing() {
        let files = Files::new();
        files.write_raw(b"{\"schema\": \"driftl\nnull\n\xff\xfe\n");
        files.write(&[samples::hijacked()]);
        let mut follower = files.follower();
        assert_eq!(now(&mut follower), [samples::hijacked()]);
        assert_eq!(follower.unreadable(), 3);
    }

    #[test]
    fn a_rotated_file_is_read_to_its_end_then_the_new_one() {
        let files = Files::new();
        let [a, b, c, ..] = &samples::all()[..] else { panic!("samples") };
        files.write(std::slice::from_ref(a));
        let mut follower = files.follower();
        assert_eq!(now(&mut follower), std::slice::from_ref(a));
        files.write(std::slice::from_ref(b));
        std::fs::rename(files.alerts(), files.folder.path().join("alerts.1")).unwrap();
        assert_eq!(now(&mut follower), std::slice::from_ref(b), "the rest of the old one");
        assert!(now(&mut follower).is_empty());
        files.write(std::slice::from_ref(c));
        assert_eq!(now(&mut follower), std::slice::from_ref(c));
        follower.commit().unwrap();
        assert!(now(&mut files.follower()).is_empty());
    }

    #[test]
    fn a_file_that_was_replaced_while_nobody_looked_is_read_from_its_start() {
        let files = Files::new();
        let [a, b, c, ..] = &samples::all()[..] else { panic!("samples") };
        files.write(std::slice::from_ref(a));
        let mut follower = files.follower();
        now(&mut follower);
        follower.commit().unwrap();
        std::fs::remove_file(files.alerts()).unwrap();
        files.write(&[b.clone(), c.clone(), a.clone()]);
        assert_eq!(now(&mut files.follower()), [b.clone(), c.clone(), a.clone()]);
    }

    #[test]
    fn batches_are_bounded_and_lose_nothing() {
        let files = Files::new();
        let alerts: Vec<_> = samples::many(BATCH * 2 + 10);
        files.write(&alerts);
        let mut follower = files.follower();
        let mut read = Vec::new();
        loop {
            let batch = now(&mut follower);
            assert!(batch.len() <= BATCH);
            if batch.is_empty() {
                break;
            }
            read.extend(batch);
        }
        assert_eq!(read, alerts);
    }

    #[test]
    fn a_spoilt_position_is_named_and_never_taken_for_a_fresh_start() {
        let files = Files::new();
        let state = files.folder.path().join("slack.position");
        std::fs::write(&state, "").unwrap();
        let error = FileFollower::open(&files.alerts(), &state, SystemClock::new().0).err().unwrap().to_string();
        assert!(error.contains("slack.position") && error.contains("delete it"), "{error}");
    }
}
