//! `driftline dump`: the records of a topic, as they are and with their positions, for `driftline replay`; or the control
//! log of a run over files.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_ingest::kafka::{Admin, ClientSettings, Reader, Start, Until};
use driftline_ingest::{Polled, Source, TopicPartition, dump};

use super::CommandError;
use crate::run::local;

/// `driftline dump`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    topic: Option<Topic>,
    /// The state folder of a run over files, instead of a topic: its control log is written, a record a line.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["Topic", "values"])]
    state: Option<PathBuf>,
    /// Where to write; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
    /// Write the records' values alone, a line each: what the control log and alerts topics are for.
    #[arg(long)]
    values: bool,
}

/// A topic, and how it is reached.
#[derive(Debug, clap::Args)]
pub struct Topic {
    /// Brokers.
    #[arg(long)]
    kafka: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// A librdkafka setting, `name=value`; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    librdkafka: Vec<String>,
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.topic
    }

    /// How its brokers are spoken to, and its partitions.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where there is no such topic, or the brokers refuse.
    pub fn open(&self) -> Result<(ClientSettings, Vec<TopicPartition>), CommandError> {
        let mut librdkafka = BTreeMap::new();
        for setting in &self.librdkafka {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| CommandError::Usage(format!("--set {setting}: give NAME=VALUE")))?;
            librdkafka.insert(name.to_owned(), value.to_owned().into());
        }
        let settings = ClientSettings::new(&self.kafka, librdkafka)?;
        let partitions = Admin::new(&settings)?
            .partitions(&self.topic)?
            .ok_or_else(|| CommandError::Usage(format!("there is no topic `{}`", self.topic)))?;
        Ok((settings, (0..partitions).map(|partition| TopicPartition::new(self.topic.as_str(), partition)).collect()))
    }
}

/// Writes all committed records that the topic has now, or the control log of a run over files.
///
/// # Errors
///
/// [`CommandError`] where the topic is not there, cannot be read, or the output not be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    if args.out == Path::new("-") {
        return dump(args, out);
    }
    let mut file = std::fs::File::create(&args.out).map_err(|error| CommandError::file("create", &args.out, &error))?;
    dump(args, &mut file)
}

fn dump(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    match (&args.topic, &args.state) {
        (Some(topic), _) => {
            let (settings, partitions) = topic.open()?;
            write(args, &settings, &partitions, out)
        }
        (None, Some(folder)) => {
            let mut out = BufWriter::new(out);
            local::read(folder)?.control_log(|line| out.write_all(line).and_then(|()| out.write_all(b"\n")))??;
            Ok(out.flush()?)
        }
        (None, None) => Err(CommandError::Usage("give --kafka and --topic, or --state".to_owned())),
    }
}

fn write(
    args: &Args,
    settings: &ClientSettings,
    partitions: &[TopicPartition],
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let all: Vec<_> = partitions.iter().map(|partition| (partition.clone(), Start::Beginning)).collect();
    let mut reader = Reader::open(settings, &all, Until::End, &[])?;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    loop {
        match reader.poll(Duration::from_millis(200))? {
            Polled::Records(batches) => {
                for batch in &batches {
                    for i in 0..batch.records.len() {
                        let record = batch.records.get(i);
                        if args.values {
                            out.write_all(record.value)?;
                            out.write_all(b"\n")?;
                        } else {
                            dump::write_line(&mut out, &record, &batch.records.position(i))?;
                        }
                    }
                }
            }
            Polled::Finished => return Ok(out.flush()?),
            _ => {}
        }
    }
}
