//! `driftline dump`: the records of a topic, as they are and with their positions, for `driftline replay`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_ingest::kafka::{Admin, ClientSettings, Reader, Start, Until};
use driftline_ingest::{Polled, Source, TopicPartition, dump};

use super::CommandError;

/// `driftline dump`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Brokers.
    #[arg(long)]
    kafka: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// Where to write; `-` is standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
    /// Write the records' values alone, a line each: what the control log and alerts topics are for.
    #[arg(long)]
    values: bool,
    /// A librdkafka setting, `name=value`; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    librdkafka: Vec<String>,
}

/// Writes all committed records that the topic has now.
///
/// # Errors
///
/// [`CommandError`] where the topic is not there, cannot be read, or the output not be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let mut librdkafka = BTreeMap::new();
    for setting in &args.librdkafka {
        let (name, value) =
            setting.split_once('=').ok_or_else(|| CommandError::Usage(format!("--set {setting}: give NAME=VALUE")))?;
        librdkafka.insert(name.to_owned(), value.to_owned().into());
    }
    let settings = ClientSettings::new(&args.kafka, librdkafka)?;
    let partitions = Admin::new(&settings)?
        .partitions(&args.topic)?
        .ok_or_else(|| CommandError::Usage(format!("there is no topic `{}`", args.topic)))?;
    if args.out == Path::new("-") {
        return write(args, &settings, partitions, out);
    }
    let mut file = std::fs::File::create(&args.out).map_err(|error| CommandError::file("create", &args.out, &error))?;
    write(args, &settings, partitions, &mut file)
}

fn write(args: &Args, settings: &ClientSettings, partitions: i32, out: &mut impl Write) -> Result<(), CommandError> {
    let all: Vec<_> = (0..partitions)
        .map(|partition| (TopicPartition::new(args.topic.as_str(), partition), Start::Beginning))
        .collect();
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
