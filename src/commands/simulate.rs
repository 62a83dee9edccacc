//! `driftline simulate`: labelled events of a made-up fleet, to a file, to standard output, or into Kafka.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use driftline_ingest::kafka::{Admin, ClientSettings, OutRecord, Producer, TopicSpec, partition_of};
use driftline_simulate::{Config, SessionLabel, Simulation};

use super::CommandError;
use crate::config::Rate;
use crate::progress::Progress;

/// `driftline simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Registered agents.
    #[arg(long, default_value_t = 50)]
    agents: u64,
    /// Events, exactly.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Attacks to stage.
    #[arg(long, default_value_t = 20)]
    attacks: u64,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of events that carry no id.
    #[arg(long, default_value_t = 0.0)]
    without_ids: f64,
    /// Organisations that the agents belong to.
    #[arg(long, default_value_t = 1)]
    tenants: u64,
    /// How many to write in a time, `500/second`, as a fleet at work would; as fast as it goes where this is left out.
    #[arg(long)]
    rate: Option<Rate>,
    /// Where to write the labels, a line a session.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// A folder to write the agents' identity documents to, one JSON file each.
    #[arg(long)]
    identities: Option<PathBuf>,
    /// Where to write the events; `-` is standard output.
    #[arg(long, default_value = "-", conflicts_with = "kafka")]
    out: PathBuf,
    /// Brokers to write the events to instead.
    #[arg(long, requires = "topic")]
    kafka: Option<String>,
    /// The topic; created where it is not there.
    #[arg(long)]
    topic: Option<String>,
    /// Partitions of a topic that is created.
    #[arg(long, default_value_t = 12)]
    partitions: i32,
}

/// Writes events, labels and identity documents.
///
/// # Errors
///
/// [`CommandError`] for values that nothing can be simulated from, and for what cannot be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let config = Config {
        agents: args.agents,
        events: args.events,
        attacks: args.attacks,
        seed: args.seed,
        without_ids: args.without_ids,
        tenants: args.tenants,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config).map_err(|error| CommandError::Usage(error.to_string()))?;
    if let Some(folder) = &args.identities {
        write_identities(&simulation, folder)?;
    }
    let mut labels = args.labels.as_deref().map(create).transpose()?;
    match (&args.kafka, &args.topic) {
        (Some(bootstrap), Some(topic)) => {
            let settings = ClientSettings::new(bootstrap, BTreeMap::new())?;
            let admin = Admin::new(&settings)?;
            admin.create(&TopicSpec::new(topic, args.partitions, &[]))?;
            let partitions = admin.partitions(topic)?.unwrap_or(args.partitions);
            let mut producer = Producer::new(&settings)?;
            let topic: std::sync::Arc<str> = topic.as_str().into();
            pour(&mut simulation, labels.as_mut(), args, |key, record| {
                let partition = partition_of(key.as_bytes(), partitions);
                Ok(producer
                    .send(&OutRecord { partition: Some(partition), ..OutRecord::new(topic.clone(), key, record) })?)
            })?;
            producer.flush()?;
        }
        _ if args.out == Path::new("-") => {
            // What comes at a pace is waited for by whoever reads.
            let mut out = BufWriter::with_capacity(args.rate.map_or(1 << 20, |_| 0), out);
            pour(&mut simulation, labels.as_mut(), args, |_, record| write_line(&mut out, record))?;
            out.flush()?;
        }
        _ => {
            let mut file = create(&args.out)?;
            pour(&mut simulation, labels.as_mut(), args, |_, record| write_line(&mut file, record))?;
            file.flush()?;
        }
    }
    if let Some(mut labels) = labels {
        labels.flush()?;
    }
    Ok(())
}

fn pour(
    simulation: &mut Simulation,
    mut labels: Option<&mut BufWriter<File>>,
    args: &Args,
    mut send: impl FnMut(&str, &[u8]) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let progress = Progress::events(args.events);
    let mut due = Instant::now();
    let mut record = Vec::new();
    while let Some(written) = simulation.write_next(&mut record) {
        send(written.key, &record)?;
        if let Some((labels, label)) = labels.as_mut().zip(written.label) {
            write_label(labels, &label)?;
        }
        progress.add(1);
        if let Some(rate) = args.rate {
            due += rate.interval();
            // Nothing is ever sent: a way to wait that needs no sleep.
            let _ = crossbeam_channel::never::<()>().recv_deadline(due);
        }
    }
    if let Some(labels) = labels {
        for label in simulation.unfinished() {
            write_label(labels, &label)?;
        }
    }
    Ok(())
}

fn write_line(out: &mut impl Write, record: &[u8]) -> Result<(), CommandError> {
    out.write_all(record)?;
    Ok(out.write_all(b"\n")?)
}

fn write_label(out: &mut impl Write, label: &SessionLabel) -> Result<(), CommandError> {
    serde_json::to_writer(&mut *out, label).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

fn write_identities(simulation: &Simulation, folder: &Path) -> Result<(), CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| CommandError::file("create", folder, &error))?;
    for document in simulation.identities() {
        let path = folder.join(format!("{}.json", document.id));
        let mut file = create(&path)?;
        serde_json::to_writer_pretty(&mut file, &document).map_err(std::io::Error::from)?;
        file.flush().map_err(|error| CommandError::file("write", &path, &error))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>, CommandError> {
    let file = File::create(path).map_err(|error| CommandError::file("create", path, &error))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
