//! What the types cannot say of a configuration.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use driftline_core::Limits;
use secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use super::document::Document;
use super::output::{Alerts, DeadLetters};
use super::problem::Problem;
use super::service::{Metrics, Watchdog};
use super::source::{Librdkafka, Source};
use super::{Config, Slack, identities};

/// Everything wrong or questionable with a configuration file and with the identity documents that it names, errors
/// first.
///
/// ```
/// let problems = driftline::config::check("no/such/file.toml".as_ref());
/// assert!(problems[0].to_string().starts_with("error: no/such/file.toml: the configuration cannot be read"));
/// ```
pub fn check(path: &Path) -> Vec<Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![Problem::of_file(path, format!("the configuration cannot be read: {error}"))],
    };
    let parsed = Document::parse(&text, path)
        .and_then(|document| document.deserialize::<Config>().map(|config| (document, config)));
    let (document, config) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return error.problems,
    };
    let mut found = problems(&config, &document);
    if let Some(identities) = &config.identities {
        found.extend(identities::read(&identities.path).problems);
    }
    found.sort_by_key(|problem| std::cmp::Reverse(problem.gravity));
    found
}

/// What is wrong with the file itself.
pub(super) fn problems(config: &Config, document: &Document<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    source(&config.source, document, &mut found);
    outputs(config, document, &mut found);
    detection(config, document, &mut found);
    limits(&config.limits, document, &mut found);
    slack(&config.slack, document, &mut found);
    service(config, document, &mut found);
    found
}

fn source(source: &Source, document: &Document<'_>, found: &mut Vec<Problem>) {
    let kind = match source {
        Source::Kafka(kafka) => {
            let names = [
                ("bootstrap", &kafka.bootstrap),
                ("topic", &kafka.topic),
                ("group", &kafka.group),
                ("internal_topic", &kafka.internal_topic),
                ("control_topic", &kafka.control_topic),
                ("state_topic", &kafka.state_topic),
                ("shared_topic", &kafka.shared_topic),
            ];
            for (name, _) in names.iter().filter(|(_, value)| value.trim().is_empty()) {
                found.push(document.error(&format!("source.kafka.{name}"), "is empty"));
            }
            if BTreeSet::from(kafka.topics()).len() < kafka.topics().len() {
                found.push(document.error(
                    "source.kafka.topic",
                    "events, repartitioned records, control records, state and what instances share need a topic each",
                ));
            }
            for name in kafka.librdkafka.0.keys().filter(|name| Librdkafka::RESERVED.contains(&name.as_str())) {
                found.push(document.error(
                    &format!("source.kafka.librdkafka.{name}"),
                    "is set by Driftline, whose promises rest on it; remove it (`bootstrap`, `group` and `instance.id` have settings of their own)",
                ));
            }
            "kafka"
        }
        Source::Files(files) => {
            if files.paths.is_empty() {
                found.push(document.error("source.files.paths", "is empty; name at least one file"));
            }
            for (i, path) in files.paths.iter().enumerate() {
                if path != "-" && !path.contains(['*', '?', '[']) && !Path::new(path).exists() {
                    found.push(document.error(&format!("source.files.paths[{i}]"), format!("`{path}` does not exist")));
                }
            }
            "files"
        }
    };
    if let Err(error) = driftline_ingest::decoder::by_name(source.format()) {
        found.push(document.error(&format!("source.{kind}.format"), error.to_string()));
    }
}

fn outputs(config: &Config, document: &Document<'_>, found: &mut Vec<Problem>) {
    let DeadLetters { kafka, file, max_in_a_row, .. } = &config.dead_letters;
    if kafka.is_some() == file.is_some() {
        found.push(document.error("dead_letters", "give one of `[dead_letters.kafka]` and `[dead_letters.file]`"));
    }
    if *max_in_a_row == 0 {
        found.push(document.error("dead_letters.max_in_a_row", "is 0; give at least 1"));
    }
    let Source::Kafka(source) = &config.source else {
        let written =
            [("alerts.kafka", matches!(config.alerts, Alerts::Kafka(_))), ("dead_letters.kafka", kafka.is_some())];
        for (field, _) in written.into_iter().filter(|(_, written)| *written) {
            found.push(document.error(field, "needs `[source.kafka]`, whose cluster and transactions it shares"));
        }
        return;
    };
    let mut taken = BTreeSet::from(source.topics());
    let alerts = match &config.alerts {
        Alerts::Kafka(alerts) => Some(&alerts.topic),
        Alerts::File(_) | Alerts::Stdout(_) => None,
    };
    let written =
        [("alerts.kafka.topic", alerts), ("dead_letters.kafka.topic", kafka.as_ref().map(|kafka| &kafka.topic))];
    for (field, topic) in written.into_iter().filter_map(|(field, topic)| Some((field, topic?))) {
        if topic.trim().is_empty() {
            found.push(document.error(field, "is empty"));
        } else if !taken.insert(topic) {
            found.push(
                document
                    .error(field, format!("`{topic}` is used for something else already; give it a topic of its own")),
            );
        }
    }
}

fn detection(config: &Config, document: &Document<'_>, found: &mut Vec<Problem>) {
    let detection = &config.detection;
    match (detection.level, detection.alert_budget) {
        (Some(_), Some(_)) => {
            found.push(document.error("detection.level", "stands beside `detection.alert_budget`; give one of them"));
        }
        (Some(level), None) if !(level > 0.0 && level < 1.0) => {
            found
                .push(document.error("detection.level", format!("is {level}; give a probability above 0 and below 1")));
        }
        _ => {}
    }
    if !(0.0..=1.0).contains(&detection.registration_share) {
        let message = format!("is {}; give a share from 0 to 1", detection.registration_share);
        found.push(document.error("detection.registration_share", message));
    }
}

fn limits(limits: &Limits, document: &Document<'_>, found: &mut Vec<Problem>) {
    let Limits { record_bytes, depth, string_bytes, keys_per_agent, agents_per_tenant, new_agents_per_hour, tenants } =
        *limits;
    let positive = [
        ("record_bytes", record_bytes),
        ("depth", depth),
        ("string_bytes", string_bytes),
        ("keys_per_agent", keys_per_agent),
        ("agents_per_tenant", agents_per_tenant),
        ("new_agents_per_hour", new_agents_per_hour),
        ("tenants", tenants),
    ];
    for (name, _) in positive.into_iter().filter(|(_, value)| *value == 0) {
        found.push(document.error(&format!("limits.{name}"), "is 0, which lets nothing in; give at least 1"));
    }
    if depth > Limits::MAX_DEPTH {
        found.push(document.error("limits.depth", format!("is {depth}; give at most {}", Limits::MAX_DEPTH)));
    }
}

fn slack(channels: &[Slack], document: &Document<'_>, found: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for (i, channel) in channels.iter().enumerate() {
        if !names.insert(&channel.name) {
            let message = format!("`{}` is the name of another channel", channel.name);
            found.push(document.error(&format!("slack[{i}].name"), message));
        }
        if !is_safe(channel.webhook.expose_secret()) {
            // Not even a part of the address is shown: whoever has it can post.
            let message = "is no https address (http is taken for this machine only)";
            found.push(document.error(&format!("slack[{i}].webhook"), message));
        }
    }
}

/// Whether what is posted to an address cannot be read on the way.
fn is_safe(address: &str) -> bool {
    let Ok(address) = address.parse::<axum::http::Uri>() else { return false };
    let host = address.host().unwrap_or_default();
    let is_here = || {
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    };
    match address.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_here(),
        _ => false,
    }
}

fn service(config: &Config, document: &Document<'_>, found: &mut Vec<Problem>) {
    if !config.http.listen.ip().is_loopback() {
        let message =
            format!("{} can be reached from other machines, and asks nobody who they are", config.http.listen);
        found.push(document.warning("http.listen", message));
    }
    if let Err(error) = EnvFilter::try_new(&config.log.level) {
        found.push(document.error("log.level", format!("{error}; give error, warn, info, debug or trace")));
    }
    if config.instance.id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        found.push(document.error("instance.id", "is empty; leave it out for a random one"));
    }
    watchdog(config, document, found);
    if config.metrics.top_agents > Metrics::MAX_TOP_AGENTS {
        let message = format!("is {}; give at most {}", config.metrics.top_agents, Metrics::MAX_TOP_AGENTS);
        found.push(document.error("metrics.top_agents", message));
    }
    if let Some(archive) = &config.archive {
        let problem = archive.problem(&config.source);
        found.extend(problem.map(|(field, message)| document.error(field, message)));
    }
    if let Some(baseline) = &config.baseline {
        let problem = baseline.problem(&config.source);
        found.extend(problem.map(|(field, message)| document.error(field, message)));
    }
    if let Some(identities) = &config.identities {
        if identities.reload.is_zero() {
            found.push(document.error("identities.reload", "is 0; give a time, as in 30s"));
        }
        if !identities.path.is_dir() {
            let message = format!("`{}` is not a folder", identities.path.display());
            found.push(document.error("identities.path", message));
        }
    }
}

/// librdkafka's `max.poll.interval.ms` where nothing is set.
const MAX_POLL_INTERVAL_MS: u64 = 300_000;

fn watchdog(config: &Config, document: &Document<'_>, found: &mut Vec<Problem>) {
    let Watchdog { scoring, commit, partition, sink, hung } = config.watchdog;
    let all = [("scoring", scoring), ("commit", commit), ("partition", partition), ("sink", sink), ("hung", hung)];
    for (name, _) in all.iter().filter(|(_, patience)| patience.is_zero()) {
        found.push(document.error(&format!("watchdog.{name}"), "is 0; give a time, as in 30s"));
    }
    if hung < scoring {
        found.push(
            document.error("watchdog.hung", "is less than watchdog.scoring: a restart would come before the warning"),
        );
    }
    if let Source::Kafka(source) = &config.source {
        let set = source.librdkafka.0.get("max.poll.interval.ms").and_then(|set| set.expose_secret().parse().ok());
        let millis = set.unwrap_or(MAX_POLL_INTERVAL_MS);
        if scoring >= Duration::from_millis(millis) {
            let message =
                format!("is not less than max.poll.interval.ms ({millis} ms): the partitions go to others first");
            found.push(document.warning("watchdog.scoring", message));
        }
    }
}
