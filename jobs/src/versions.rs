//! `driftline baseline list` and `rollback`: the versions of a store.

use std::io::Write;
use std::path::PathBuf;

use comfy_table::{Table, presets};
use driftline_baseline::Store;
use driftline_core::terminal;

use crate::JobError;
use crate::output::{Output, json};

/// `driftline baseline list --store STORE`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The store.
    #[arg(long)]
    store: PathBuf,
    /// How to print them.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// `driftline baseline rollback --store STORE`.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// The version to go back to; by default the one that was published before the one in force.
    version: Option<String>,
    /// The store.
    #[arg(long)]
    store: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Lists the versions, the newest first.
///
/// # Errors
///
/// [`JobError::Usage`] where one is damaged.
pub fn list(args: &ListArgs, out: &mut impl Write) -> Result<(), JobError> {
    let store = Store::new(&args.store);
    let (versions, current) = (store.list()?, store.current()?);
    if let Output::Json = args.output {
        return json(out, &serde_json::json!({ "current": current, "versions": versions }));
    }
    if versions.is_empty() {
        writeln!(out, "{}: no version is published here", args.store.display())?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "version", "built at", "agents", "versions", "sessions", "events", "from", "to", "source"]);
    for manifest in versions {
        let time = |time: Option<driftline_core::Timestamp>| time.map_or(String::new(), |time| time.to_string());
        table.add_row([
            if current.as_ref() == Some(&manifest.version) { "current" } else { "" }.to_owned(),
            manifest.version,
            manifest.about.created_at.to_string(),
            manifest.agents.to_string(),
            manifest.versions.to_string(),
            manifest.sessions.to_string(),
            manifest.events.to_string(),
            time(manifest.first),
            time(manifest.last),
            terminal(&manifest.about.source.join(" ")).to_string(),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// Puts an earlier version in force.
///
/// # Errors
///
/// [`JobError::Usage`] where there is none, or none of that name.
pub fn roll_back(args: &RollbackArgs, out: &mut impl Write) -> Result<(), JobError> {
    let manifest = Store::new(&args.store).roll_back(args.version.as_deref())?;
    match args.output {
        Output::Json => json(out, &manifest),
        Output::Text => {
            writeln!(out, "{} is in force, built at {}", manifest.version, manifest.about.created_at)?;
            Ok(())
        }
    }
}
