//! Brings lines that were committed into their file, where a crash or a full disk has come between.
//!
//! The lines of a commit are written before the next one is made. So of the last commit's lines a file ends with none,
//! with some, or with all: what is there already is found by comparing, and the rest is added. A line that was cut is gone
//! on with.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use driftline_alerting::log::end_last_line;

/// Has a file end with these lines; what it held before stays, and a part of the lines that it ends with is not repeated.
/// A pipe or a terminal, which cannot be read back, is given all of them.
///
/// # Errors
///
/// What the system says; the same call goes on where this one has stopped.
pub fn deliver(path: &Path, lines: &[u8]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    if !file.metadata()?.is_file() {
        return file.write_all(lines);
    }
    let there = there(&mut file, lines)?;
    if there == 0 {
        // A line that somebody else has cut spoils none of ours.
        end_last_line(&mut file)?;
    }
    file.write_all(&lines[there..])?;
    file.sync_data()
}

/// How many bytes of the lines a file ends with.
fn there(file: &mut File, lines: &[u8]) -> io::Result<usize> {
    let length = file.metadata()?.len();
    let most = length.min(lines.len() as u64);
    file.seek(SeekFrom::Start(length - most))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    let there = (0..=end.len()).rev().find(|&n| end[end.len() - n..] == lines[..n]);
    Ok(there.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts");
        deliver(&path, b"").unwrap();
        assert!(!path.exists());
        deliver(&path, b"one\ntwo\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_line_that_is_not_ours_and_was_cut_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts");
        std::fs::write(&path, "cut").unwrap();
        deliver(&path, b"one\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"cut\none\n");
    }

    proptest! {
        /// Wherever writing was cut off, each line is there once afterwards, and so it stays.
        #[test]
        fn what_was_cut_off_is_gone_on_with(before in 0u32..4, lines in 0u32..4, cut: prop::sample::Index) {
            let line = |i: u32| format!("{{\"id\":\"{i:08x}\"}}\n");
            let (before, lines): (String, String) = ((0..before).map(line).collect(), (100..100 + lines).map(line).collect());
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("alerts");
            std::fs::write(&path, before.clone() + lines.split_at(cut.index(lines.len() + 1)).0).unwrap();
            for _ in 0..2 {
                deliver(&path, lines.as_bytes()).unwrap();
                prop_assert_eq!(std::fs::read_to_string(&path).unwrap(), before.clone() + &lines);
            }
        }
    }
}
