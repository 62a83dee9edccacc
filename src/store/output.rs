//! A file that is written beside the database and counted by its commits.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// A file that is only added to.
#[derive(Debug)]
pub struct Output {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Output {
    /// Begins a file anew.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::create(path)?, path))
    }

    /// Goes on with a file after the bytes that were committed; what comes after them is cut off.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where this is no file that can be cut, or it has less than was committed.
    pub fn resume(path: &Path, committed: u64) -> Result<Self, StoreError> {
        let system = |source| StoreError::System { path: path.to_owned(), source };
        let open = || File::options().write(true).create(true).truncate(false).open(path);
        let mut file = open().map_err(system)?;
        let there = file.metadata().map_err(system)?;
        if !there.is_file() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        if there.len() < committed {
            let place = format!("byte {committed}");
            return Err(StoreError::Shorter { file: path.display().to_string(), place });
        }
        file.set_len(committed).map_err(system)?;
        file.seek(SeekFrom::End(0)).map_err(system)?;
        Ok(Self::new(file, path))
    }

    fn new(file: File, path: &Path) -> Self {
        Self { out: BufWriter::with_capacity(1 << 20, file), path: path.to_owned() }
    }

    /// Has all of it on the disk; returns its length.
    ///
    /// # Errors
    ///
    /// [`StoreError::System`] with what the system says.
    pub fn sync(&mut self) -> Result<u64, StoreError> {
        let mut sync = || {
            self.out.flush()?;
            let file = self.out.get_mut();
            file.sync_data()?;
            file.stream_position()
        };
        sync().map_err(|source| StoreError::System { path: self.path.clone(), source })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
