//! `driftline baseline diff`: what has changed between two versions of a store, or of an agent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use driftline_baseline::{Difference, Entry, Kind, Store};
use driftline_core::baseline::Baseline;
use driftline_core::{Limits, terminal, truncate};
use serde_json::{Value, json};

use crate::JobError;
use crate::output::{Output, bar, json as print_json};
use crate::show::{of_agent, select};

/// `driftline baseline diff BEFORE AFTER --store STORE`, or `diff --agent AGENT --versions BEFORE AFTER --store STORE`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The versions of the store to compare; `current` is the one in force. With --versions, the one to look into.
    #[arg(value_name = "VERSION", num_args = 0..=2)]
    at: Vec<String>,
    /// The store.
    #[arg(long)]
    store: PathBuf,
    /// One agent; by default all.
    #[arg(long)]
    agent: Option<String>,
    /// The agent's tenant, where several have an agent of that id.
    #[arg(long)]
    tenant: Option<String>,
    /// Two versions of the agent, as its events name them.
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], requires = "agent")]
    versions: Vec<String>,
    /// How many changes of an agent to show.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Of one agent: how it is called, and what has changed.
struct Compared {
    tenant: String,
    agent: String,
    /// Sessions before and after.
    sessions: [u64; 2],
    difference: Difference,
}

/// Prints what has changed, the agents that have drifted most first.
///
/// # Errors
///
/// [`JobError::Usage`] where there is nothing of that name.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), JobError> {
    let store = Store::new(&args.store);
    let compared = match (&args.at[..], &args.versions[..], &args.agent) {
        (at @ ([] | [_]), [before, after], Some(agent)) => {
            let manifest = store.find(at.first().map_or("current", String::as_str))?;
            let entries = of_agent(store.read(&manifest.version)?, agent, args.tenant.as_deref())?;
            let (before, after) = (select(&entries, Some(before))?.0, select(&entries, Some(after))?.0);
            let tenant = entries.first().map_or(String::new(), |entry| entry.tenant.clone());
            vec![compare(tenant, agent.clone(), &before, &after)]
        }
        ([before, after], [], _) => {
            let read = |name: &str| -> Result<_, JobError> {
                let mut entries = store.read(&store.find(name)?.version)?;
                if let Some(agent) = &args.agent {
                    entries = of_agent(entries, agent, args.tenant.as_deref())?;
                }
                Ok(by_agent(entries))
            };
            agents(&read(before)?, &read(after)?)
        }
        _ => {
            return Err(JobError::Usage(
                "give two versions of the store, or --agent and two --versions of it".to_owned(),
            ));
        }
    };
    match args.output {
        Output::Json => print_json(out, &compared.iter().map(|one| as_json(one, args.top)).collect::<Vec<_>>()),
        Output::Text => compared.iter().try_for_each(|one| as_text(out, one, args.top)),
    }
}

/// All versions of each agent together.
fn by_agent(entries: Vec<Entry>) -> BTreeMap<(String, String), Baseline> {
    let mut agents = BTreeMap::<_, Baseline>::new();
    for entry in entries {
        match agents.entry((entry.tenant, entry.agent)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(entry.baseline);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(&entry.baseline),
        }
    }
    agents
}

/// Each agent that either has, the one that has drifted most first.
fn agents(
    before: &BTreeMap<(String, String), Baseline>,
    after: &BTreeMap<(String, String), Baseline>,
) -> Vec<Compared> {
    let nothing = Baseline::new(Limits::default().keys_per_agent);
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |side: &BTreeMap<_, Baseline>, name| side.get(name).unwrap_or(&nothing).clone();
    let compared =
        names.into_iter().map(|name| compare(name.0.clone(), name.1.clone(), &of(before, name), &of(after, name)));
    let mut compared: Vec<_> = compared.collect();
    compared.sort_by(|a, b| b.difference.drift.total_cmp(&a.difference.drift));
    compared
}

fn compare(tenant: String, agent: String, before: &Baseline, after: &Baseline) -> Compared {
    Compared {
        tenant,
        agent,
        sessions: [before.sessions, after.sessions],
        difference: Difference::between(before, after),
    }
}

fn as_text(out: &mut impl Write, one: &Compared, top: usize) -> Result<(), JobError> {
    let Compared { agent, sessions, difference, .. } = one;
    let what = match sessions {
        [0, _] => " (new)",
        [_, 0] => " (gone)",
        _ => "",
    };
    writeln!(
        out,
        "{:.3}  {}{what}: {} sessions before, {} after",
        difference.drift,
        terminal(agent),
        sessions[0],
        sessions[1]
    )?;
    let divergences = difference.divergences.iter().map(|(name, value)| format!("{name} {value:.2}"));
    writeln!(out, "       {}", divergences.collect::<Vec<_>>().join(", "))?;
    if sessions.contains(&0) {
        return Ok(());
    }
    for change in difference.changes.iter().filter(|change| change.weight > 0.0).take(top) {
        let kind = match change.kind {
            Kind::New => "new",
            Kind::Vanished => "vanished",
            Kind::Moved => "moved",
        };
        writeln!(
            out,
            "  {} {:>5.1} % → {:>5.1} %  {kind:<8} {:<10} {}",
            bar(change.weight * 4.0, 8),
            100.0 * change.before,
            100.0 * change.after,
            change.dimension.name(),
            truncate(&terminal(&change.name), 80)
        )?;
    }
    Ok(())
}

fn as_json(one: &Compared, top: usize) -> Value {
    let changes = one.difference.changes.iter().filter(|change| change.weight > 0.0).take(top).map(|change| {
        json!({
            "dimension": change.dimension.name(),
            "name": change.name,
            "kind": match change.kind {
                Kind::New => "new",
                Kind::Vanished => "vanished",
                Kind::Moved => "moved",
            },
            "before": change.before,
            "after": change.after,
            "weight": change.weight,
        })
    });
    let divergences = one.difference.divergences.iter().map(|&(name, value)| (name.to_owned(), json!(value)));
    json!({
        "tenant": one.tenant,
        "agent": one.agent,
        "drift": one.difference.drift,
        "sessions": one.sessions,
        "divergences": Value::Object(divergences.collect()),
        "changes": changes.collect::<Vec<_>>(),
    })
}
