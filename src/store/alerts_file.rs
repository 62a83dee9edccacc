//! Makes a file of alerts agree with the database.
//!
//! A file is written after the commit, so a crash between the two leaves it short, or with a line cut. Whatever it holds
//! is compared with what should be there; from the first difference on it is written anew.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::database::Store;
use super::error::StoreError;

/// Writes every alert to where there is none yet: to a pipe, a terminal.
pub fn write_all(store: &Store, out: &mut dyn Write) -> Result<io::Result<()>, StoreError> {
    let written = store.alerts(|line| out.write_all(line))?;
    Ok(written.and_then(|()| out.flush()))
}

/// Has a file hold every alert once, and nothing else.
pub fn agree(store: &Store, path: &Path) -> Result<io::Result<()>, StoreError> {
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = match opened.and_then(|file| Ok((file.metadata()?.is_file(), file))) {
        Ok((true, file)) => file,
        Ok((false, mut pipe)) => return write_all(store, &mut pipe),
        Err(error) => return Ok(Err(error)),
    };
    let same = match same(store, &file)? {
        Ok(same) => same,
        Err(error) => return Ok(Err(error)),
    };
    let cut = file.set_len(same.bytes).and_then(|()| file.seek(SeekFrom::Start(same.bytes)));
    if let Err(error) = cut {
        return Ok(Err(error));
    }
    let mut out = BufWriter::new(&file);
    let mut left = same.lines;
    let written = store.alerts(|line| {
        if left > 0 {
            left -= 1;
            return Ok(());
        }
        out.write_all(line)
    })?;
    let flushed = written.and_then(|()| out.flush());
    drop(out);
    Ok(flushed.and_then(|()| file.sync_data()))
}

/// How much of a file is as it should be.
#[derive(Default)]
struct Same {
    lines: u64,
    bytes: u64,
}

fn same(store: &Store, file: &File) -> Result<io::Result<Same>, StoreError> {
    let (mut same, mut differs) = (Same::default(), false);
    let mut file = BufReader::new(file);
    let mut there = Vec::new();
    let compared = store.alerts(|line| {
        if differs {
            return Ok(());
        }
        there.clear();
        file.by_ref().take(line.len() as u64).read_to_end(&mut there)?;
        if there == line {
            same.lines += 1;
            same.bytes += line.len() as u64;
        } else {
            differs = true;
        }
        Ok(())
    })?;
    Ok(compared.map(|()| same))
}
