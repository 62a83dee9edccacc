//! Where alerts are written: NDJSON in a file or on standard output, or memory for tests.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use driftline_core::Alert;

/// Lines are handed to the system once this many bytes wait, without being asked.
const BUFFER_BYTES: usize = 64 << 10;

/// Why alerts could not be written. What was not written still waits: [`AlertLog::sync`] tries again.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {target}: {source}")]
pub struct LogError {
    /// The file, or `standard output`.
    target: String,
    source: io::Error,
}

impl LogError {
    /// Whether nobody is there any more to read what is written: to try again is of no use.
    pub fn is_closed(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// An alert log: one JSON object a line, in the order in which they were appended.
#[derive(Debug)]
pub struct AlertLog {
    target: Target,
    waiting: Vec<u8>,
}

#[derive(Debug)]
enum Target {
    File { file: File, path: PathBuf },
    Stdout,
    Memory(MemoryLog),
}

/// What was written to [`AlertLog::memory`].
#[derive(Debug, Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Vec<u8>>>);

impl MemoryLog {
    /// The log's bytes, as a file would have them after the last [`AlertLog::sync`].
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AlertLog {
    /// Appends to a file, which is made where it is not there.
    ///
    /// A last line without its end, which a crash has left, is ended first, so that it spoils no other. A regular file
    /// is locked (`flock`) until the log is dropped: two writers would mix up what is taken back after an error.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the file cannot be opened or another process writes it.
    pub fn file(path: &Path) -> Result<Self, LogError> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
            if file.metadata()?.is_file() {
                file.try_lock().map_err(|error| match error {
                    TryLockError::WouldBlock => io::Error::other("another log has it open; give each its own file"),
                    TryLockError::Error(error) => error,
                })?;
                end_last_line(&mut file)?;
            }
            Ok(file)
        };
        let file = open().map_err(|source| LogError { target: path.display().to_string(), source })?;
        Ok(Self { target: Target::File { file, path: path.to_owned() }, waiting: Vec::new() })
    }

    /// Writes to standard output.
    pub fn stdout() -> Self {
        Self { target: Target::Stdout, waiting: Vec::new() }
    }

    /// Keeps the lines in memory, for tests.
    pub fn memory() -> (Self, MemoryLog) {
        let memory = MemoryLog::default();
        (Self { target: Target::Memory(memory.clone()), waiting: Vec::new() }, memory)
    }

    /// Adds an alert. It is safe after the next [`AlertLog::sync`].
    ///
    /// # Errors
    ///
    /// [`LogError`] where lines that waited could not be written.
    pub fn append(&mut self, alert: &Alert) -> Result<(), LogError> {
        let start = self.waiting.len();
        if let Err(error) = serde_json::to_writer(&mut self.waiting, alert) {
            self.waiting.truncate(start);
            return Err(self.error(error.into()));
        }
        self.waiting.push(b'\n');
        if self.waiting.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    /// Adds whole lines as they are, under the conditions of [`AlertLog::append`].
    ///
    /// # Errors
    ///
    /// As [`AlertLog::append`].
    pub fn append_lines(&mut self, lines: &[u8]) -> Result<(), LogError> {
        self.waiting.extend_from_slice(lines);
        if self.waiting.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes what waits; on return it is in the file even if the machine loses power.
    ///
    /// # Errors
    ///
    /// [`LogError`] where it could not be written. Nothing of it is in the file then, and all of it waits for the next
    /// call.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.write()?;
        match &self.target {
            // Pipes and terminals have nothing to sync and say so.
            Target::File { file, .. } if file.metadata().is_ok_and(|data| data.is_file()) => {
                file.sync_data().map_err(|source| self.error(source))
            }
            _ => Ok(()),
        }
    }

    /// Hands whole lines to the system, all or none of them.
    fn write(&mut self) -> Result<(), LogError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = match &mut self.target {
            Target::File { file, .. } => append_all(file, &self.waiting),
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.waiting).and_then(|()| stdout.flush())
            }
            Target::Memory(memory) => {
                memory.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&self.waiting);
                Ok(())
            }
        };
        written.map_err(|source| self.error(source))?;
        self.waiting.clear();
        Ok(())
    }

    fn error(&self, source: io::Error) -> LogError {
        let target = match &self.target {
            Target::File { path, .. } => path.display().to_string(),
            Target::Stdout => "standard output".to_owned(),
            Target::Memory(_) => "memory".to_owned(),
        };
        LogError { target, source }
    }
}

/// Appends all of `lines`; after an error (a full disk) what was written of them is taken back.
fn append_all(file: &mut File, lines: &[u8]) -> io::Result<()> {
    let before = file.metadata()?;
    file.write_all(lines).inspect_err(|_| {
        if before.is_file()
            && let Err(error) = file.set_len(before.len())
        {
            tracing::error!(%error, "an alert line was written in part and cannot be taken back");
        }
    })
}

/// Ends the last line of a file that is open for reading and appending, where it was cut.
///
/// # Errors
///
/// What the system says.
pub fn end_last_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" { file.write_all(b"\n") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_file_gets_one_line_an_alert_and_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        for alert in samples::all() {
            let mut log = AlertLog::file(&path).unwrap();
            log.append(&alert).unwrap();
            log.sync().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Alert> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, samples::all());
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn nothing_is_in_the_file_before_a_sync_and_lines_are_never_split() {
        let (mut log, memory) = AlertLog::memory();
        log.append(&samples::hijacked()).unwrap();
        assert!(memory.bytes().is_empty());
        while memory.bytes().is_empty() {
            log.append(&samples::hijacked()).unwrap();
        }
        assert_eq!(memory.bytes().last(), Some(&b'\n'), "only whole lines are handed on");
        log.sync().unwrap();
        assert!(
            memory.bytes().split(|&b| b == b'\n').all(|l| l.is_empty() || serde_json::from_slice::<Alert>(l).is_ok())
        );
    }

    #[test]
    fn a_line_that_a_crash_cut_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        std::fs::write(&path, r#"{"schema":"driftline.al"#).unwrap();
        let mut log = AlertLog::file(&path).unwrap();
        log.append(&samples::hijacked()).unwrap();
        log.sync().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(text.lines().nth(1).unwrap()).unwrap(), samples::hijacked());
    }

    #[test]
    fn a_second_writer_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        let _first = AlertLog::file(&path).unwrap();
        let error = AlertLog::file(&path).unwrap_err().to_string();
        assert!(error.contains("alerts.ndjson") && error.contains("its own file"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_the_alert_still_waits() {
        let mut log = AlertLog::file(Path::new("/dev/full")).unwrap();
        log.append(&samples::hijacked()).unwrap();
        let error = log.sync().unwrap_err().to_string();
        assert!(error.contains("/dev/full"), "{error}");
        assert!(!log.waiting.is_empty());
    }
}
