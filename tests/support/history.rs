//! What a job publishes of records: baselines, without DataFusion.

use std::collections::BTreeMap;

use driftline_baseline::Entry;
use driftline_core::baseline::{Act, Baseline, Exclusion, SessionLog, session_key};
use driftline_core::{Alert, Event, Limits};

/// The event of a record.
pub fn decode(record: &str) -> Event<'_> {
    Event::decode(record.as_bytes(), &Limits::default()).unwrap()
}

/// The baselines of records, without the sessions that were alerted on.
pub fn baselines(records: &[String], alerts: &[Alert]) -> Vec<Entry> {
    let mut excluded = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| Exclusion::by(alert) > Exclusion::None) {
        let exclusion = Exclusion::by(alert);
        let session = alert.session.as_ref().map(|session| session.id.clone());
        for event in &alert.events {
            excluded.insert((alert.agent.as_ref().unwrap().id.clone(), session.clone(), event.clone()), exclusion);
        }
    }
    let mut logs = BTreeMap::<(String, String, String, u64), SessionLog>::new();
    for (line, record) in (1..).zip(records) {
        let event = decode(record);
        let session = event.session.as_ref().map(|session| session.id.to_string());
        let named = (event.agent.id.to_string(), session, event.id.to_string());
        let act = Act::of(&event, line).excluded(excluded.get(&named).copied().unwrap_or_default());
        let version = event.agent.version.as_deref().unwrap_or_default().to_owned();
        let whose = (event.tenant.to_string(), event.agent.id.to_string(), version, session_key(&event));
        logs.entry(whose).or_default().push(&act);
    }
    let mut baselines = BTreeMap::<(String, String, String), Baseline>::new();
    for ((tenant, agent, version, _), log) in logs {
        let new = || Baseline::new(Limits::default().keys_per_agent);
        let baseline = baselines.entry((tenant, agent, version)).or_insert_with(new);
        log.lessons(|lesson| baseline.learn(lesson));
    }
    let entry = |((tenant, agent, version), baseline)| Entry { tenant, agent, version, baseline };
    baselines.into_iter().map(entry).collect()
}
