//! `driftline baseline show`: an agent's baseline as a person wants to see it.

use std::io::Write;
use std::path::PathBuf;

use driftline_baseline::{Entry, Store};
use driftline_core::baseline::{Baseline, Size};
use driftline_core::observation::Dimension;
use driftline_core::{terminal, truncate};
use serde_json::{Value, json};

use crate::JobError;
use crate::output::{Output, bar, json as print_json};

/// `driftline baseline show AGENT --store STORE`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent.
    agent: String,
    /// The store.
    #[arg(long)]
    store: PathBuf,
    /// Which version of the store.
    #[arg(long, default_value = "current")]
    at: String,
    /// The agent's tenant, where several have an agent of that id.
    #[arg(long)]
    tenant: Option<String>,
    /// One version of the agent; by default all together.
    #[arg(long = "version", value_name = "VERSION")]
    version_of_agent: Option<String>,
    /// How many of each kind to show.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// The dimensions that are shown, under these headings.
const SHOWN: [(Dimension, &str); 12] = [
    (Dimension::Tool, "tools"),
    (Dimension::Chain, "tool after tool"),
    (Dimension::Family, "families of resources"),
    (Dimension::Resource, "resources"),
    (Dimension::Server, "servers"),
    (Dimension::Credential, "credentials"),
    (Dimension::Network, "networks"),
    (Dimension::Principal, "principals"),
    (Dimension::Peer, "other agents"),
    (Dimension::Permission, "permissions"),
    (Dimension::Denied, "denied"),
    (Dimension::Failed, "failed"),
];

/// With fewer sessions than this, little that an agent does can be called unusual.
const WARM: u64 = 30;

/// Prints a baseline.
///
/// # Errors
///
/// [`JobError::Usage`] where the store has no such version, agent or version of it.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), JobError> {
    let store = Store::new(&args.store);
    let manifest = store.find(&args.at)?;
    let entries = of_agent(store.read(&manifest.version)?, &args.agent, args.tenant.as_deref())?;
    let (baseline, versions) = select(&entries, args.version_of_agent.as_deref())?;
    match args.output {
        Output::Json => print_json(out, &as_json(&manifest.version, &entries, &versions, &baseline, args.top)),
        Output::Text => as_text(out, &manifest.version, &args.agent, &versions, &baseline, args.top),
    }
}

/// The entries of one agent.
///
/// # Errors
///
/// [`JobError::Usage`] where there is none, or several tenants have one.
pub(crate) fn of_agent(entries: Vec<Entry>, agent: &str, tenant: Option<&str>) -> Result<Vec<Entry>, JobError> {
    let fits = |entry: &Entry| entry.agent == agent && tenant.is_none_or(|tenant| entry.tenant == tenant);
    let mut known: Vec<String> = entries.iter().map(|entry| entry.agent.clone()).collect();
    let of_agent: Vec<_> = entries.into_iter().filter(fits).collect();
    match (of_agent.first(), of_agent.last()) {
        (Some(first), Some(last)) if first.tenant == last.tenant => Ok(of_agent),
        (Some(first), Some(last)) => Err(JobError::Usage(format!(
            "tenants `{}` and `{}` have an agent `{agent}`: give --tenant",
            first.tenant, last.tenant
        ))),
        _ => {
            known.dedup();
            let some = known.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(JobError::Usage(format!("there is no baseline of agent `{agent}`; there are {}: {some}", known.len())))
        }
    }
}

/// One version of an agent, or all together; with the names of these versions.
pub(crate) fn select(entries: &[Entry], version: Option<&str>) -> Result<(Baseline, Vec<String>), JobError> {
    let mut chosen = entries.iter().filter(|entry| version.is_none_or(|version| entry.version == version));
    let Some(first) = chosen.next() else {
        let known: Vec<_> = entries.iter().map(|entry| entry.version.as_str()).collect();
        return Err(JobError::Usage(format!(
            "there is no version `{}` of it; give one of: {}",
            version.unwrap_or_default(),
            known.join(", ")
        )));
    };
    let (mut baseline, mut versions) = (first.baseline.clone(), vec![first.version.clone()]);
    for entry in chosen {
        baseline.merge(&entry.baseline);
        versions.push(entry.version.clone());
    }
    Ok((baseline, versions))
}

fn as_text(
    out: &mut impl Write,
    store_version: &str,
    agent: &str,
    versions: &[String],
    baseline: &Baseline,
    top: usize,
) -> Result<(), JobError> {
    let learned = if baseline.sessions < WARM { "warming up" } else { "warm" };
    writeln!(out, "{}  ({learned})", terminal(agent))?;
    match versions {
        [version] if version.is_empty() => {}
        [version] => writeln!(out, "version {}", terminal(version))?,
        _ => writeln!(out, "all {} versions together", versions.len())?,
    }
    let share = |part: u64| 100.0 * part as f64 / baseline.events.max(1) as f64;
    writeln!(
        out,
        "{} events in {} sessions; {:.1} % denied, {:.1} % failed",
        baseline.events,
        baseline.sessions,
        share(baseline.denied),
        share(baseline.failed)
    )?;
    if let Some((first, last)) = baseline.span() {
        writeln!(out, "{first} to {last}; store version {store_version}")?;
    }
    for (dimension, heading) in SHOWN {
        let counts = baseline.counts(dimension);
        if counts.is_empty() {
            continue;
        }
        let of_all = if counts.is_sample() {
            format!("about {}, {} kept", counts.distinct(), counts.len())
        } else {
            counts.len().to_string()
        };
        writeln!(out, "\n{heading}: share of sessions ({of_all})")?;
        for count in counts.top(top) {
            let share = f64::from(count.sessions) / baseline.sessions.max(1) as f64;
            writeln!(out, "  {} {:5.1} %  {}", bar(share, 20), 100.0 * share, truncate(&terminal(&count.name), 80))?;
        }
    }
    rhythm(out, baseline)?;
    writeln!(out, "\nsizes                    10 %        50 %        90 %        99 %")?;
    for size in Size::ALL {
        let sizes = baseline.sizes(size);
        if sizes.total() > 0 {
            write!(out, "  {:<16}", size.name())?;
            for share in [0.1, 0.5, 0.9, 0.99] {
                write!(out, "{:>12}", sizes.quantile(share).unwrap_or_default())?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Events by hour of the day, for each day of the week.
fn rhythm(out: &mut impl Write, baseline: &Baseline) -> Result<(), JobError> {
    const LEVELS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let hours = baseline.rhythm();
    let most = (0..168).map(|hour| hours.events(hour)).max().unwrap_or(0).max(1);
    writeln!(out, "\nevents by hour (UTC), most {most}\n      0     6     12    18")?;
    for (day, name) in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().enumerate() {
        let level = |hour: usize| {
            let events = u64::from(hours.events(day * 24 + hour));
            LEVELS[(events * 8).div_ceil(u64::from(most)) as usize]
        };
        writeln!(out, "  {name} {}", (0..24).map(level).collect::<String>())?;
    }
    Ok(())
}

fn as_json(store_version: &str, entries: &[Entry], versions: &[String], baseline: &Baseline, top: usize) -> Value {
    let counts = Dimension::ALL.map(|dimension| {
        let counts = baseline.counts(dimension);
        let top = counts.top(top);
        let top = top.iter().map(|count| {
            json!({"name": count.name, "key": format!("{:016x}", count.key), "sessions": count.sessions, "events": count.events})
        });
        (dimension.name().to_owned(), json!({"distinct": counts.distinct(), "kept": counts.len(), "top": top.collect::<Vec<_>>()}))
    });
    let sizes = Size::ALL.map(|size| {
        let sizes = baseline.sizes(size);
        let quantiles = [("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
        let quantiles = quantiles.map(|(name, share)| (name.to_owned(), json!(sizes.quantile(share))));
        (
            size.name().to_owned(),
            Value::Object(quantiles.into_iter().chain([("count".to_owned(), json!(sizes.total()))]).collect()),
        )
    });
    let hours = baseline.rhythm();
    json!({
        "store_version": store_version,
        "tenant": entries.first().map(|entry| &entry.tenant),
        "agent": entries.first().map(|entry| &entry.agent),
        "versions": versions,
        "platform": baseline.platform(),
        "warm": baseline.sessions >= WARM,
        "sessions": baseline.sessions,
        "events": baseline.events,
        "denied": baseline.denied,
        "failed": baseline.failed,
        "first": baseline.span().map(|(first, _)| first),
        "last": baseline.span().map(|(_, last)| last),
        "dimensions": Value::Object(counts.into_iter().collect()),
        "sizes": Value::Object(sizes.into_iter().collect()),
        "hours_of_week": (0..168).map(|hour| hours.events(hour)).collect::<Vec<_>>(),
    })
}
