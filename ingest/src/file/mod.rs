//! NDJSON files as a source: plain, gzip or zstd, from folders, patterns or standard input.
//!
//! A thread reads and decompresses ahead by a few blocks; what it has read waits in a bounded queue, so memory holds
//! no more than these blocks whatever the files hold.

mod compression;
mod lines;
mod paths;
mod place;

pub use place::Place;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::source::{PartitionBatch, Polled, Progress, Source, SourceError, TopicPartition};
use lines::{Block, BlockReader};
use paths::{Input, expand};

/// Why files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file or folder.
    #[error("{path}: there is no such file or folder")]
    NotFound {
        /// The path as given.
        path: String,
    },
    /// No file matches a pattern, or a folder holds none.
    #[error("{pattern}: no file matches")]
    NoMatch {
        /// The pattern or folder as given.
        pattern: String,
    },
    /// A pattern that cannot be understood.
    #[error("{pattern}: not a pattern: {message}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A folder or file that the system does not let us read.
    #[error("{path}:{line}: cannot read on: {source}")]
    Read {
        /// The file.
        path: String,
        /// The line that would have come next, from 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A compressed file that ends before its data does.
    #[error("{path}:{line}: the {compression} file ends in the middle of its data: was it cut in copying?")]
    Truncated {
        /// The file.
        path: String,
        /// The line that would have come next, from 1.
        line: u64,
        /// What it is compressed with.
        compression: &'static str,
    },
    /// A compressed file whose data is damaged.
    #[error("{path}:{line}: the {compression} data is damaged: {message}")]
    Corrupt {
        /// The file.
        path: String,
        /// The line that would have come next, from 1.
        line: u64,
        /// What it is compressed with.
        compression: &'static str,
        /// What the decompressor says.
        message: String,
    },
}

/// How files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The longest record that is held, in bytes; a longer one comes as its first bytes, marked
    /// ([`crate::Record::oversize`]). Default: that of [`driftline_core::Limits`].
    pub record_bytes: usize,
    /// How much is handed out at a time, in bytes; at least one record. Default 1 MiB.
    pub block_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { record_bytes: driftline_core::Limits::default().record_bytes, block_bytes: 1 << 20 }
    }
}

/// Blocks that are read ahead of the one that is worked on.
const READ_AHEAD: usize = 2;

/// Files read one after the other, each as partition 0 of a topic that has its path for a name; the offset is the line,
/// from 1.
///
/// Compression is told by the file's first bytes, not by its name. Blank lines are passed over. A file that starts with
/// a line of a record dump ([`crate::dump`]) is one: its records come with the bytes, key, position and time that they
/// had when they were dumped.
pub struct FileSource {
    inputs: Vec<Input>,
    options: FileOptions,
    /// The line to go on at, of each file of which something was handed out or that was sought in.
    next: BTreeMap<Arc<str>, u64>,
    /// Runs from the first poll on.
    reader: Option<Receiver<Message>>,
    read: Arc<AtomicU64>,
    total: u64,
    finished: bool,
}

enum Message {
    Block(Arc<str>, Block),
    Failed(FileError),
    Finished,
}

impl FileSource {
    /// Files, folders (all files in them whose name does not start with a dot, at any depth, in order of name),
    /// patterns (`logs/**/*.ndjson.gz`), or `-` for standard input, in the order given. A file named twice is read once.
    ///
    /// # Errors
    ///
    /// [`FileError`] for what is not there, matches nothing or cannot be listed. The files themselves are opened later.
    pub fn open<S: AsRef<str>>(paths: &[S], options: FileOptions) -> Result<Self, FileError> {
        let inputs = expand(paths)?;
        let total = inputs.iter().map(|input| input.size).sum::<Option<u64>>().unwrap_or(0);
        Ok(Self { inputs, options, next: BTreeMap::new(), reader: None, read: Arc::default(), total, finished: false })
    }

    /// The files that are read, in order, under the names that positions give them.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.inputs.iter().map(|input| &input.name)
    }

    fn start(&self) -> Receiver<Message> {
        let (sender, receiver) = bounded(READ_AHEAD);
        self.read.store(0, Ordering::Relaxed);
        let reader = Reader {
            inputs: self.inputs.clone(),
            options: self.options.clone(),
            starts: self.next.clone(),
            read: self.read.clone(),
            blocks: sender.clone(),
        };
        // The thread ends by itself once nobody receives what it sends.
        let spawned = thread::Builder::new().name("file-reader".into()).spawn(move || reader.run());
        if let Err(source) = spawned {
            let error = FileError::Read { path: "the thread that reads files".into(), line: 1, source };
            // The queue is empty and its receiver is at hand, so this neither waits nor fails.
            let _ = sender.send(Message::Failed(error));
        }
        receiver
    }
}

impl Source for FileSource {
    fn poll(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        if self.finished {
            return Ok(Polled::Finished);
        }
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.start(),
        };
        let message = reader.recv_timeout(timeout);
        self.reader = Some(reader);
        match message {
            Ok(Message::Block(path, block)) => {
                self.next.insert(path.clone(), block.next_line());
                let partition = TopicPartition { topic: path, partition: 0 };
                Ok(Polled::Records(vec![PartitionBatch { partition, records: Box::new(block) }]))
            }
            Ok(Message::Failed(error)) => {
                self.finished = true;
                Err(error.into())
            }
            Ok(Message::Finished) | Err(RecvTimeoutError::Disconnected) => {
                self.finished = true;
                Ok(Polled::Finished)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Polled::Idle),
        }
    }

    fn release(&mut self, _partitions: &[TopicPartition]) -> Result<(), SourceError> {
        Ok(())
    }

    /// Goes on at these lines; files that are not named go on where they were.
    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        let failed = |(partition, offset): &(TopicPartition, i64), why| {
            Err(SourceError::Seek { partition: partition.clone(), offset: *offset, why })
        };
        for target in to {
            let Some(input) = self.inputs.iter().find(|input| input.name == target.0.topic) else {
                return failed(target, "the file is not among those read");
            };
            if input.path.is_none() && self.reader.is_some() {
                return failed(target, "standard input cannot be read again");
            }
            self.next.insert(input.name.clone(), u64::try_from(target.1).unwrap_or(1));
        }
        self.reader = None;
        self.finished = false;
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress { bytes: self.read.load(Ordering::Relaxed), total: self.total })
    }
}

/// What the reading thread works with.
struct Reader {
    inputs: Vec<Input>,
    options: FileOptions,
    starts: BTreeMap<Arc<str>, u64>,
    read: Arc<AtomicU64>,
    blocks: Sender<Message>,
}

impl Reader {
    fn run(&self) {
        for input in &self.inputs {
            match self.file(input) {
                Ok(()) => {}
                // Nobody wants more: the source was dropped, or sought elsewhere.
                Err(Stop::Unwanted) => return,
                Err(Stop::Failed(error)) => {
                    let _ = self.blocks.send(Message::Failed(error));
                    return;
                }
            }
        }
        let _ = self.blocks.send(Message::Finished);
    }

    fn file(&self, input: &Input) -> Result<(), Stop> {
        let read_error = |line, source| FileError::Read { path: input.name.to_string(), line, source };
        let raw = open(input.path.as_ref()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FileError::NotFound { path: input.name.to_string() },
            _ => read_error(1, error),
        })?;
        let counted = Counted { inner: raw, read: self.read.clone() };
        let (bytes, compression) = compression::decompress(BufReader::with_capacity(64 << 10, counted))
            .map_err(|error| read_error(1, error))?;
        let first = self.starts.get(&input.name).copied().unwrap_or(1);
        // What is typed or piped is handed out as it comes; of a file, blocks are filled.
        let mut blocks = BlockReader::new(bytes, input.name.clone(), first, &self.options, input.path.is_none());
        loop {
            match blocks.next_block() {
                Ok(Some(block)) => {
                    let message = Message::Block(input.name.clone(), block);
                    self.blocks.send(message).map_err(|_| Stop::Unwanted)?;
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(compression.explain(&input.name, blocks.line() + 1, error).into()),
            }
        }
    }
}

enum Stop {
    Unwanted,
    Failed(FileError),
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Self {
        Self::Failed(error)
    }
}

fn open(path: Option<&PathBuf>) -> io::Result<Box<dyn Read>> {
    Ok(match path {
        Some(path) => Box::new(File::open(path)?),
        None => Box::new(io::stdin()),
    })
}

/// Counts the bytes read from the disk, for progress.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
