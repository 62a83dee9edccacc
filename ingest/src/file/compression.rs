//! Compression, told by a file's first bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::FileError;

/// What a file is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        match head {
            // RFC 1952.
            [0x1f, 0x8b, ..] => Self::Gzip,
            // RFC 8878: a frame, or a skippable frame that stands before one.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Says whether the file or the reading of it is at fault; `line` is the one that would have come next.
    pub fn explain(self, path: &str, line: u64, error: io::Error) -> FileError {
        let (path, compression) = (path.to_owned(), self.name());
        match (self, error.kind(), error.raw_os_error()) {
            (Self::None, ..) | (_, _, Some(_)) => FileError::Read { path, line, source: error },
            (_, io::ErrorKind::UnexpectedEof, _) => FileError::Truncated { path, line, compression },
            _ => FileError::Corrupt { path, line, compression, message: error.to_string() },
        }
    }
}

/// The bytes of a file, decompressed. Gzip may have several members and zstd several frames, one after the other.
///
/// Memory is bounded whatever is in the file: gzip needs 32 KiB, zstd its window, of which libzstd takes at most 128 MiB.
pub(super) fn decompress<R: Read + 'static>(mut input: R) -> io::Result<(Box<dyn BufRead>, Compression)> {
    let mut head = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let whole = BufReader::with_capacity(64 << 10, Cursor::new(head).chain(input));
    let bytes: Box<dyn BufRead> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(BufReader::with_capacity(64 << 10, flate2::bufread::MultiGzDecoder::new(whole))),
        Compression::Zstd => Box::new(BufReader::with_capacity(64 << 10, zstd::Decoder::with_buffer(whole)?)),
    };
    Ok((bytes, compression))
}
