//! What is fuzzed: each function takes bytes from outside to where they are understood or refused, and panics where a
//! reader breaks its word. `tests/hostile` calls them with bytes of its own.

use std::path::Path;

use driftline::config::Config;
use driftline_core::{ControlEntry, Event, IdentityDocument, Limits, Position};
use driftline_detectors::state::{Restoring, StateRecord};
use driftline_detectors::{Engine, World};
use driftline_ingest::{Record, decoder, dump};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A record: as many results as the decoder owes, and the same ones each time.
pub fn event(bytes: &[u8]) {
    let limits = Limits::default();
    let decode = || Event::decode(bytes, &limits);
    let event = decode();
    assert_eq!(format!("{event:?}"), format!("{:?}", decode()));
    for name in decoder::names() {
        let mut results = 0;
        decoder::by_name(name).unwrap().decode(bytes, &limits, &mut |_| results += 1);
        assert!(results > 0, "{name}: never nothing at all");
    }
    if let Ok(event) = event {
        assert!(!event.id.is_empty() && !event.agent.id.is_empty() && !event.action.name.is_empty());
        assert!(std::str::from_utf8(bytes).is_ok());
    }
}

/// A configuration file.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::parse(text, Path::new("driftline.toml")) {
        assert!(error.to_string().contains("driftline.toml"), "{error}");
    }
}

/// An identity document, which when it is written again is the same.
pub fn identity(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(document) = IdentityDocument::parse(text) {
        let written = serde_json::to_string(&document).unwrap();
        assert_eq!(IdentityDocument::parse(&written).unwrap(), document, "{written}");
    }
}

/// A line of a control log, which when it is written again is the same.
pub fn control(bytes: &[u8]) {
    let Ok(entry) = ControlEntry::parse(bytes) else { return };
    let written = match &entry {
        ControlEntry::Record(record) => serde_json::to_vec(record).unwrap(),
        ControlEntry::Applied(note) => serde_json::to_vec(note).unwrap(),
    };
    assert_eq!(ControlEntry::parse(&written).unwrap(), entry);
}

/// A line of a record dump; what it holds can be dumped and read again.
pub fn dump(bytes: &[u8]) {
    let Ok(dumped) = dump::parse(bytes) else { return };
    let record = Record {
        key: dumped.key.as_deref(),
        value: &dumped.value,
        offset: match &dumped.position {
            Position::Kafka { offset, .. } => *offset,
            Position::File { .. } => 0,
        },
        observed_at: dumped.observed_at,
        origin: None,
        oversize: None,
    };
    let mut written = Vec::new();
    dump::write_line(&mut written, &record, &dumped.position).unwrap();
    assert_eq!(dump::parse(&written).unwrap(), dumped);
}

/// Records of an engine's state, framed as [`framed`] does it. Values get the checksum that is right for them, or none would
/// come past it; what is restored is written again as it was, and scores.
pub fn state(bytes: &[u8]) {
    let mut restoring = Engine::restore(World::default());
    let mut rest = bytes;
    while let Some((key, after)) = split(rest)
        && let Some((value, after)) = split(after)
    {
        let mut value = value.to_vec();
        value.extend(xxh3_64_with_seed(&value, xxh3_64(key)).to_le_bytes());
        if restoring.add(key, Some(&value)).is_err() {
            return;
        }
        rest = after;
    }
    let Ok(mut engine) = restoring.finish() else { return };
    let mut again: Restoring = Engine::restore(World::default());
    for StateRecord { key, value } in engine.records() {
        again.add(&key, value.as_deref()).unwrap();
    }
    assert_eq!(again.finish().unwrap().state_hash(), engine.state_hash());
    for event in EVENTS {
        engine.observe(&Event::decode(event.as_bytes(), &Limits::default()).unwrap());
    }
}

/// What has two bytes of length before it, and what is after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

/// The state of an engine that has seen a little.
pub fn framed() -> Vec<u8> {
    let mut engine = Engine::new(World::default());
    for event in EVENTS {
        engine.observe(&Event::decode(event.as_bytes(), &Limits::default()).unwrap());
    }
    let mut framed = Vec::new();
    for StateRecord { key, value } in engine.records() {
        let mut value = value.unwrap();
        value.truncate(value.len() - size_of::<u64>());
        for part in [key, value] {
            framed.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
            framed.extend(part);
        }
    }
    framed
}

/// Events of two agents, over some hours.
pub const EVENTS: [&str; 5] = [
    r#"{"id":"1","time":0,"tenant":"acme","agent":{"id":"a","version":"1"},"session":{"id":"s"},"action":{"name":"read_file"},"resource":{"id":"/data/x.csv"}}"#,
    r#"{"id":"2","time":1000,"tenant":"acme","agent":{"id":"a","version":"1"},"session":{"id":"s"},"action":{"name":"send_mail","access":"write"},"outcome":"denied","resource":{"id":"mail/1"}}"#,
    r#"{"id":"3","time":4000000,"tenant":"acme","agent":{"id":"a","version":"2"},"session":{"id":"s2"},"action":{"name":"read_file"},"usage":{"bytes_out":99}}"#,
    r#"{"id":"4","time":8000000,"agent":{"id":"b"},"action":{"kind":"permission_change","name":"grant","access":"grant"},"grant":{"to":"b","permissions":["files:*"]}}"#,
    r#"{"id":"5","time":90000000,"tenant":"acme","agent":{"id":"a","version":"2"},"session":{"id":"s3"},"action":{"name":"read_file"}}"#,
];

/// A configuration with something in each table.
pub const CONFIGURATION: &str = r#"
[source.kafka]
bootstrap = "127.0.0.1:9092"
topic = "agent-events"
group = "driftline"
key = "tenant/agent"
[source.kafka.librdkafka]
session.timeout.ms = 6000
"sasl.password" = "${UNSET_VARIABLE:-none}"
[alerts.kafka]
topic = "driftline.alerts"
[dead_letters.kafka]
topic = "driftline.dead-letters"
[detection]
level = 0.001
allowed_lateness = "2m"
[limits]
depth = 64
[http]
listen = "127.0.0.1:9464"
[[slack]]
webhook = "https://hooks.slack.example/services/T/B/x"
[log]
format = "json"
"#;

/// Identity documents of both forms.
pub const IDENTITIES: [&str; 3] = [
    "id: a\nname: A\ntasks: [refund]\ntools: [{id: read_file, permissions: [\"files:read\"], hours: \"Mon-Fri 08:00-18:00 Europe/Berlin\"}]\ndata_access: [{resource: \"crm/*\", access: read, sensitivity: confidential}]\nreview_by: 2026-08-01T00:00:00Z\n",
    "agent_identity:\n  agent_id: a\n  capabilities: [email-read]\n  tools: [{tool_id: read_file}]\n  data_access: [{resource: crm/*, access_type: read}]\n",
    r#"{"id":"a","tenant":"acme","status":"suspended","human_oversight":{"required_for":["delete"],"approvers":["x"]},"credentials":[{"id":"c","expires_at":0,"revoked":true}]}"#,
];

/// Control records of each kind, and a note.
pub const CONTROLS: [&str; 6] = [
    r#"{"schema":"driftline.control/1","number":0,"kind":"settings","settings":{"level":0.001,"learn":true,"limits":{"depth":64}}}"#,
    r#"{"schema":"driftline.control/1","number":1,"positions":{"events/0":17},"kind":"identity","document":{"id":"a","tools":[{"id":"t"}]}}"#,
    r#"{"schema":"driftline.control/1","number":2,"kind":"identity_removed","tenant":"acme","id":"a"}"#,
    r#"{"schema":"driftline.control/1","number":3,"kind":"clock","clock":"2026-03-02T08:11:24.715Z"}"#,
    r#"{"schema":"driftline.applied/1","from":1,"until":4,"positions":{"events/1":12,"driftline.internal/1":0}}"#,
    r#"{"schema":"driftline.control/1","number":4,"kind":"epoch","epoch":{"number":0,"until":0,"groups":[{"tenant":"","group":"g","agents":1,"keys":[[1,18446744073709551615,2]]}],"tenants":[{"tenant":"","registered":1,"unregistered":2,"sample":["x"],"turned_away":0}]}}"#,
];

/// Lines of dumps.
pub const DUMPS: [&str; 3] = [
    r#"{"schema":"driftline.record/1","topic":"agent-events","partition":3,"offset":1042,"observed_at":"2026-03-02T08:11:24.715Z","key":"support-assistant","value":"{\"a\":1}"}"#,
    r#"{"schema":"driftline.record/1","topic":"logs/a.ndjson","offset":7,"observed_at":1772439084715,"value_base64":"/w=="}"#,
    r#"{"schema":"driftline.record/1","topic":"t","partition":0,"offset":0,"observed_at":0,"key_base64":""}"#,
];
