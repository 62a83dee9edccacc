//! What is fuzzed: each function takes bytes from outside to where they are understood or refused, and panics where a
//! reader breaks its word. `tests/hostile` calls them with bytes of its own.

use std::path::Path;

use driftline::config::Config;
use driftline_core::{ControlRecord, Event, IdentityDocument, Limits, Position};
use driftline_ingest::{Record, decoder, dump};

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
    if let Ok(record) = ControlRecord::parse(bytes) {
        let written = serde_json::to_vec(&record).unwrap();
        assert_eq!(ControlRecord::parse(&written).unwrap(), record);
    }
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

/// Control records of each kind.
pub const CONTROLS: [&str; 5] = [
    r#"{"schema":"driftline.control/1","number":0,"kind":"settings","settings":{"level":0.001,"learn":true,"limits":{"depth":64}}}"#,
    r#"{"schema":"driftline.control/1","number":1,"positions":{"events/0":17},"kind":"identity","document":{"id":"a","tools":[{"id":"t"}]}}"#,
    r#"{"schema":"driftline.control/1","number":2,"kind":"identity_removed","tenant":"acme","id":"a"}"#,
    r#"{"schema":"driftline.control/1","number":3,"kind":"clock","clock":"2026-03-02T08:11:24.715Z"}"#,
    r#"{"schema":"driftline.control/1","number":4,"kind":"epoch","epoch":{"number":0,"until":0,"groups":[{"tenant":"","group":"g","agents":1,"keys":[[1,18446744073709551615,2]]}],"tenants":[{"tenant":"","registered":1,"unregistered":2,"sample":["x"],"turned_away":0}]}}"#,
];

/// Lines of dumps.
pub const DUMPS: [&str; 3] = [
    r#"{"schema":"driftline.record/1","topic":"agent-events","partition":3,"offset":1042,"observed_at":"2026-03-02T08:11:24.715Z","key":"support-assistant","value":"{\"a\":1}"}"#,
    r#"{"schema":"driftline.record/1","topic":"logs/a.ndjson","offset":7,"observed_at":1772439084715,"value_base64":"/w=="}"#,
    r#"{"schema":"driftline.record/1","topic":"t","partition":0,"offset":0,"observed_at":0,"key_base64":""}"#,
];
