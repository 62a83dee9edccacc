//! From bytes to blocks of lines, in bounded memory.

use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;

use driftline_core::{Position, Timestamp};

use super::FileOptions;
use crate::dump;
use crate::source::{Record, Records, now};

/// What may stand before a text, and is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is kept of a line that is too long to be held: enough to see what it was.
const CUT_BYTES: usize = 4096;

/// Lines of one file, in one piece of memory.
#[derive(Debug)]
pub(super) struct Block {
    path: Arc<str>,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// One for each line of a dump; none of any other file.
    unwrapped: Vec<Unwrapped>,
    read_at: Timestamp,
}

#[derive(Debug)]
struct Line {
    bytes: Range<usize>,
    number: u64,
    oversize: Option<u64>,
}

/// What a line of a dump says beside the record's value; nothing where it turned out to be no such line.
#[derive(Debug, Default)]
struct Unwrapped {
    key: Option<Range<usize>>,
    origin: Option<(Position, Timestamp)>,
}

impl Block {
    /// The line after the last one.
    pub fn next_line(&self) -> u64 {
        self.lines.last().map_or(1, |line| line.number + 1)
    }

    /// The records that the lines of a dump hold. A line that is none is a record as it stands, so that the decoder
    /// refuses it and it is accounted for.
    fn unwrap(self) -> Self {
        let mut records = Self { bytes: Vec::with_capacity(self.bytes.len()), lines: Vec::new(), ..self };
        for line in self.lines {
            let text = &self.bytes[line.bytes.clone()];
            let dumped = if line.oversize.is_none() { dump::parse(text).ok() } else { None };
            let mut push = |bytes: &[u8]| {
                records.bytes.extend_from_slice(bytes);
                records.bytes.len() - bytes.len()..records.bytes.len()
            };
            let (bytes, unwrapped) = match dumped {
                Some(dumped) => {
                    let key = dumped.key.as_deref().map(&mut push);
                    (push(&dumped.value), Unwrapped { key, origin: Some((dumped.position, dumped.observed_at)) })
                }
                None => (push(text), Unwrapped::default()),
            };
            records.lines.push(Line { bytes, ..line });
            records.unwrapped.push(unwrapped);
        }
        records
    }
}

impl Records for Block {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        let line = &self.lines[i];
        let unwrapped = self.unwrapped.get(i);
        let origin = unwrapped.and_then(|unwrapped| unwrapped.origin.as_ref());
        Record {
            key: unwrapped.and_then(|unwrapped| unwrapped.key.clone()).map(|key| &self.bytes[key]),
            value: &self.bytes[line.bytes.clone()],
            offset: i64::try_from(line.number).unwrap_or(i64::MAX),
            observed_at: origin.map_or(self.read_at, |(_, observed_at)| *observed_at),
            origin: origin.map(|(position, _)| position),
            oversize: line.oversize,
        }
    }

    fn position(&self, i: usize) -> Position {
        match self.get(i).origin {
            Some(origin) => origin.clone(),
            None => Position::File { path: self.path.clone(), line: self.lines[i].number },
        }
    }
}

/// Reads blocks of lines.
pub(super) struct BlockReader<R> {
    input: R,
    path: Arc<str>,
    options: FileOptions,
    /// Whether a block is handed out as soon as it holds a line.
    eager: bool,
    /// The first line that is wanted.
    first: u64,
    /// Whether a byte order mark was looked for.
    started: bool,
    /// Known from the first line on.
    is_dump: Option<bool>,
    /// The lines read so far and, after them, the start of one that is not at its end yet.
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Where in `bytes` the unfinished line starts, and its length so far, of which `bytes` may hold less.
    start: usize,
    length: u64,
    /// The last byte of the unfinished line, held or not.
    last: u8,
    /// Whether nothing but white space has been in it.
    blank: bool,
    /// The number of the last finished line.
    number: u64,
}

impl<R: BufRead> BlockReader<R> {
    pub fn new(input: R, path: Arc<str>, first: u64, options: &FileOptions, eager: bool) -> Self {
        let options = options.clone();
        let (bytes, lines) = (Vec::new(), Vec::new());
        Self {
            input,
            path,
            options,
            eager,
            first,
            started: false,
            is_dump: None,
            bytes,
            lines,
            start: 0,
            length: 0,
            last: 0,
            blank: true,
            number: 0,
        }
    }

    /// The number of the last line that was read to its end.
    pub fn line(&self) -> u64 {
        self.number
    }

    /// The next lines; `None` at the end of the file. What was read before an error comes before the error.
    pub fn next_block(&mut self) -> io::Result<Option<Block>> {
        if !self.started {
            self.skip_byte_order_mark()?;
            self.started = true;
        }
        while self.lines.is_empty() || (self.held() < self.options.block_bytes && !self.eager) {
            match self.read() {
                Ok(true) => {}
                Ok(false) => {
                    if self.length > 0 {
                        self.end_line();
                    }
                    return Ok(self.take_block());
                }
                Err(_) if !self.lines.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.take_block())
    }

    /// What a block of the lines so far takes up: many are shorter than what is noted about them.
    fn held(&self) -> usize {
        self.bytes.len() + self.lines.len() * size_of::<Line>()
    }

    /// Passes over a byte order mark; what only begins like one is the start of the first line.
    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        for (matched, byte) in BYTE_ORDER_MARK.iter().enumerate() {
            let next = loop {
                match self.input.fill_buf() {
                    Ok(chunk) => break chunk.first().copied(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            };
            if next != Some(*byte) {
                self.bytes.extend_from_slice(&BYTE_ORDER_MARK[..matched]);
                self.length = matched as u64;
                self.last = self.bytes.last().copied().unwrap_or_default();
                self.blank = matched == 0;
                break;
            }
            self.input.consume(1);
        }
        Ok(())
    }

    /// Reads what the input has at hand; `false` at its end.
    fn read(&mut self) -> io::Result<bool> {
        let chunk = loop {
            match self.input.fill_buf() {
                Ok(chunk) => break chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let (taken, ended) = match memchr::memchr(b'\n', chunk) {
            Some(end) => (end, true),
            None => (chunk.len(), false),
        };
        if taken == 0 && !ended {
            return Ok(false);
        }
        // A line of a dump may write each byte as six, and until the first line has ended any file may be a dump.
        let hold = match self.is_dump {
            Some(false) => self.options.record_bytes,
            _ => dump::line_bytes(self.options.record_bytes),
        };
        // One more, for the carriage return that is not counted.
        let room = (hold + 1).saturating_sub(self.bytes.len() - self.start);
        self.bytes.extend_from_slice(&chunk[..taken.min(room)]);
        self.length += taken as u64;
        self.last = chunk[..taken].last().copied().unwrap_or(self.last);
        self.blank = self.blank && chunk[..taken].trim_ascii().is_empty();
        self.input.consume(taken + usize::from(ended));
        if ended {
            self.end_line();
        }
        Ok(true)
    }

    fn end_line(&mut self) {
        self.number += 1;
        if self.last == b'\r' {
            self.length -= 1;
            let held = self.start + usize::try_from(self.length).unwrap_or(usize::MAX - self.start);
            self.bytes.truncate(held);
        }
        if !self.blank && self.is_dump.is_none() {
            self.is_dump = Some(dump::is_dump(&self.bytes[self.start..]));
        }
        if self.blank || self.number < self.first {
            self.bytes.truncate(self.start);
        } else {
            self.keep_line();
        }
        (self.start, self.length, self.last, self.blank) = (self.bytes.len(), 0, 0, true);
    }

    fn keep_line(&mut self) {
        let limit = match self.is_dump {
            Some(true) => dump::line_bytes(self.options.record_bytes),
            _ => self.options.record_bytes,
        };
        let oversize = (self.length > limit as u64).then_some(self.length);
        if oversize.is_some() {
            self.bytes.truncate(self.start + CUT_BYTES.min(limit));
        }
        self.lines.push(Line { bytes: self.start..self.bytes.len(), number: self.number, oversize });
    }

    fn take_block(&mut self) -> Option<Block> {
        if self.lines.is_empty() {
            return None;
        }
        let mut next = Vec::with_capacity(self.options.block_bytes.min(1 << 20) + (4 << 10));
        next.extend_from_slice(&self.bytes[self.start..]);
        let mut bytes = std::mem::replace(&mut self.bytes, next);
        bytes.truncate(self.start);
        self.start = 0;
        let (path, lines) = (self.path.clone(), std::mem::take(&mut self.lines));
        let block = Block { path, bytes, lines, unwrapped: Vec::new(), read_at: now() };
        Some(if self.is_dump == Some(true) { block.unwrap() } else { block })
    }
}
