//! The configuration that people write: the example and the reference in `docs/`, the contract's least form, and what
//! `check` says.
//!
//! `UPDATE_DOCS=1 cargo test --release --test configuration` writes `docs/configuration.md` anew.
#![cfg(test)]

use std::fs;
use std::path::Path;

use driftline::config::{Alerts, Config, Key, Source, check};

#[path = "support/reference.rs"]
mod reference;

/// The least configuration of `run`, as the contract has it.
const LEAST: &str = r#"
[source.kafka]
bootstrap = "127.0.0.1:9092"
topic = "agent-events"
group = "driftline"
key = "agent"
[source.kafka.librdkafka]
[alerts.kafka]
topic = "driftline.alerts"
[dead_letters.kafka]
topic = "driftline.dead-letters"
[detection]
alert_budget = "5/day"
[http]
listen = "127.0.0.1:9464"
"#;

/// What `check` says of a file that holds `text`, without the folder's name.
fn said_of(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftline.toml");
    fs::write(&path, text.replace("FOLDER", &folder.path().display().to_string())).unwrap();
    let lines: Vec<_> = check(&path).iter().map(ToString::to_string).collect();
    lines.join("\n").replace(&format!("{}", folder.path().display()), "FOLDER")
}

/// [`LEAST`] with the line that begins with `from` replaced.
fn least_with(from: &str, to: &str) -> String {
    assert!(LEAST.lines().any(|line| line.starts_with(from)), "{from} is no line of the least configuration");
    LEAST.lines().map(|line| if line.starts_with(from) { to } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_least_configuration_of_the_contract_is_one() {
    let config = Config::parse(LEAST, "driftline.toml".as_ref()).unwrap();
    let Source::Kafka(kafka) = &config.source else { panic!("{:?}", config.source) };
    assert_eq!((kafka.topic.as_str(), kafka.key, kafka.format.as_str()), ("agent-events", Key::Agent, "native"));
    assert!(matches!(&config.alerts, Alerts::Kafka(topic) if topic.topic == "driftline.alerts"));
    let settings = driftline_core::Settings { alert_budget: Some(5.0), ..Default::default() };
    assert_eq!(config.settings(), settings);
}

#[test]
fn the_example_has_nothing_wrong_with_it() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/driftline.example.toml");
    let said: Vec<_> = check(&example).iter().map(ToString::to_string).collect();
    assert_eq!(said, [""; 0]);
    let config = Config::load(&example).unwrap();
    assert_eq!(config.settings().level, Some(0.001));
    assert_eq!(config.slack[0].name, "security");
    assert_eq!(config.slack[0].rate.to_string(), "1/second");
}

#[test]
fn each_mistake_is_told_with_its_place_and_remedy() {
    let mistakes = [
        least_with("bootstrap", "bootsrap = 'x'"),
        least_with("topic = \"agent-events\"", "topic = ''"),
        least_with("key", "key = 'user'"),
        least_with("key", "format = 'cvs'"),
        least_with("[source.kafka.librdkafka]", "[source.kafka.librdkafka]\nisolation.level = 'read_uncommitted'"),
        least_with("topic = \"driftline.alerts\"", "topic = 'agent-events'"),
        least_with("[dead_letters.kafka]", "[dead_letters.file]\npath = 'x'\n[dead_letters.kafka]"),
        least_with("alert_budget", "level = 0"),
        least_with("alert_budget", "level = nan"),
        least_with("alert_budget", "level = 0.1\nalert_budget = '5/day'"),
        least_with("alert_budget", "alert_budget = 'few'"),
        least_with("alert_budget", "allowed_lateness = '-10m'"),
        least_with("alert_budget", "registration_share = 80"),
        least_with("alert_budget", "[limits]\ndepth = 1000\nkeys_per_agent = 0"),
        least_with("alert_budget", "[[slack]]\nwebhook = 'http://hooks.slack.example/T/B/x'"),
        least_with("alert_budget", "[[slack]]\nwebhook = 'https://a'\n[[slack]]\nwebhook = 'http://127.0.0.1:8080/a'"),
        least_with("alert_budget", "[[slack]]\nwebhook = '${NO_SUCH_VARIABLE}'"),
        least_with("listen", "listen = '0.0.0.0:9464'"),
        least_with("listen", "listen = 'localhost'"),
        least_with("listen", "[log]\nlevel = 'a=b=c'"),
        least_with("listen", "[metrics]\ntop_agents = 100000"),
        least_with("listen", "[instance]\nid = ' '"),
        least_with("listen", "[watchdog]\nsink = '0s'\nhung = '1s'"),
        least_with("listen", "[watchdog]\nscoring = '5m'"),
        least_with("listen", "[identities]\npath = 'no/such/folder'"),
        least_with("listen", "[identities]\npath = 'FOLDER'\nreload = '0s'"),
        "[source.files]\npaths = ['no/such.ndjson', '*.gz']\n[alerts.kafka]\ntopic = 'a'\n[dead_letters.kafka]\ntopic = 'd'"
            .to_owned(),
        "[source.files]\npaths = []\n[alerts.stdout]\n[dead_letters]\nmax_in_a_row = 0".to_owned(),
        String::new(),
        "source = 1".to_owned(),
        "[source.kafka]\n[source.files]\n".to_owned(),
        "[source]\n".to_owned(),
    ];
    insta::assert_snapshot!(mistakes.map(|text| said_of(&text)).join("\n\n"));
}

#[test]
fn identity_documents_are_checked_with_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "id: a\nnmae: A\n").unwrap();
    let text = least_with("listen", &format!("[identities]\npath = '{}'", folder.path().display()));
    let said = said_of(&text);
    assert!(said.contains("a.yaml:2:1: not an identity document: unknown field `nmae`"), "{said}");
    assert!(Config::parse(&text, "driftline.toml".as_ref()).is_ok(), "one bad document does not stop the stream");
}

#[test]
fn secrets_are_not_shown() {
    let text = least_with(
        "[source.kafka.librdkafka]",
        "[[slack]]\nwebhook = 'https://hooks.slack.example/hunter2'\n[source.kafka.librdkafka]\nsasl.password = 'hunter2'",
    );
    let shown = format!("{:?}", Config::parse(&text, "driftline.toml".as_ref()).unwrap());
    assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whether to write or to compare is for who runs the test to say")]
fn the_reference_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let current = reference::configuration();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == current, "docs/configuration.md is not what the types say; run with UPDATE_DOCS=1");
}
