//! The versions of the format, a file each: what was once written must be read for ever, and what is written now must be
//! written the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use driftline_core::{Event, Limits};
use driftline_detectors::agent::AgentState;
use driftline_detectors::state::{Key, Section};
use driftline_detectors::{Engine, World};
use serde_json::json;

use crate::stream::{Step, Stream};

const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/state-v1.bin");
const SECOND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/state-v2.bin");
const THIRD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/state-v3.bin");
const FOURTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/state-v4.bin");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/state-v5.bin");
/// The state's hash. A new file has a new one.
const HASH: u128 = 0xe1ef_d4e0_4a3e_1b72_1e80_344f_1520_f6a8;

/// Keys and values, as postcard writes them.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever changes the format on purpose asks for a new file")]
fn version_5_is_read_and_written_as_it_always_was() {
    if std::env::var_os("UPDATE_STATE").is_some() {
        fs::write(FILE, postcard::to_allocvec(&records()).unwrap()).unwrap();
    }
    let file = fs::read(FILE).expect("the file is checked in");
    let records: Records = postcard::from_bytes(&file).unwrap();
    let engine = Engine::from_records(World::default(), &records)
        .unwrap_or_else(|error| panic!("what was written in version 5 is no longer read: {error}"));
    let again: Records = engine.records().map(|record| (record.key, record.value.unwrap())).collect();
    assert!(again == records, "state is no longer written as in version 5: take a new version, or change nothing");
    assert_eq!(engine.state_hash(), HASH, "{:#034x} is not what version 5 says", engine.state_hash());
    assert_eq!(engine.records().count(), 2 * engine.len() + engine.shared_records(), "what a ledger counts");
    assert_eq!(lacks(&engine), [""; 0]);
}

#[test]
fn earlier_versions_are_read_and_written_as_the_present_one() {
    for (version, file, events) in [
        (1, FIRST, EVENTS_OF_FIRST),
        (2, SECOND, EVENTS_OF_SECOND),
        (3, THIRD, EVENTS_OF_THIRD),
        (4, FOURTH, EVENTS_OF_FOURTH),
    ] {
        let records: Records = postcard::from_bytes(&fs::read(file).expect("the file is checked in")).unwrap();
        let read = Engine::from_records(World::default(), &records)
            .unwrap_or_else(|error| panic!("what was written in version {version} is no longer read: {error}"));
        assert_eq!(read.records().count(), records.len());
        let again: Records = read.records().map(|record| (record.key, record.value.unwrap())).collect();
        let second = Engine::from_records(World::default(), &again).unwrap();
        assert_eq!(second.state_hash(), read.state_hash());
        // What the version had is there.
        assert_eq!(read.agents().map(|agent| agent.events).sum::<u64>(), events);
        assert!(read.agents().any(|agent| agent.versions.count(agent.version) > 0));
        assert_eq!(read.agents().any(|agent| agent.habits.is_some()), version > 1);
        assert_eq!(read.agents().any(|agent| agent.networks.total() > 0), version > 2);
        assert_eq!(read.agents().any(|agent| agent.drift.is_some()), version > 3);
        assert!(read.agents().all(|agent| agent.sent.total() == 0));
    }
}

/// A stream up to where there is a bit of everything.
fn records() -> Records {
    let stream = Stream::new(7, 2, 1_000);
    let mut stage = stream.stage();
    for step in &stream.steps {
        match step {
            Step::Record(record) => {
                stage.observe(record);
            }
            Step::Change(change) => stage.change((**change).clone()),
        }
        if lacks(&stage.engines[0]).iter().all(|what| *what == SECTIONS) {
            newcomer(&mut stage.engines[0]);
            return stage.engines[0].records().map(|record| (record.key, record.value.unwrap())).collect();
        }
    }
    panic!("in the end there is no {:?}", lacks(&stage.engines[0]));
}

/// An agent of which something was learned since the last epoch.
fn newcomer(engine: &mut Engine) {
    let last = engine.agents().map(|agent| agent.last_seen).max().unwrap();
    for (session, hours) in [("first", 0), ("second", 2)] {
        let act = json!({
            "time": last.plus_millis(hours * 3_600_000).millis(),
            "agent": {"id": "newcomer"},
            "session": {"id": session},
            "action": {"name": "read"},
        });
        engine.observe(&Event::decode(act.to_string().as_bytes(), &Limits::default()).unwrap());
    }
}

/// Events that the agents of the earlier files have had.
const EVENTS_OF_FIRST: u64 = 3_198;
const EVENTS_OF_SECOND: u64 = 2_752;
/// And those of the third and the fourth.
const EVENTS_OF_THIRD: u64 = 2_752;
const EVENTS_OF_FOURTH: u64 = 2_883;

const SECTIONS: &str = "every section";

/// What the format can say and an engine's state does not have.
fn lacks(engine: &Engine) -> Vec<&'static str> {
    let any = |has: fn(&AgentState) -> bool| engine.agents().any(has);
    let sections: BTreeSet<_> =
        engine.records().map(|record| Key::parse(&record.key).unwrap().section.number()).collect();
    let has = [
        (SECTIONS, sections.len() >= usize::from(Section::Name(0).number())),
        ("several sessions", any(|agent| agent.sessions.len() > 1)),
        ("surprises", any(|agent| agent.sessions.iter().any(|session| !session.surprises.is_empty()))),
        ("an alert in a session", any(|agent| agent.sessions.iter().any(|session| session.alerted.is_some()))),
        ("a finding in a session", any(|agent| agent.sessions.iter().any(|session| !session.raised.is_empty()))),
        ("anything at stake", any(|agent| agent.sessions.iter().any(|session| session.impact.cost_usd.is_some()))),
        ("refusals", any(|agent| !agent.denials.is_empty())),
        ("grants and a version", any(|agent| agent.grants > 0 && agent.version != 0)),
        ("a rhythm", any(|agent| agent.hours.active() > 24)),
        ("an hour of which something is expected", any(|agent| format!("{:?}", agent.hour).contains("expected: Some"))),
        ("networks and clients", any(|agent| agent.networks.total() > 0 && agent.clients.total() > 0)),
        ("what sessions sent", any(|agent| agent.sent.total() > 0)),
        ("versions", any(|agent| agent.versions.total() > 0)),
        ("requests", any(|agent| agent.habits.as_ref().is_some_and(|habits| !habits.requests.is_empty()))),
        ("targets", any(|agent| agent.habits.as_ref().is_some_and(|habits| !habits.targets.list().is_empty()))),
        ("a pursuit", any(|agent| agent.sessions.iter().any(|session| session.pursuit.is_some()))),
        ("what drift is told by", any(|agent| agent.drift.as_ref().is_some_and(|drift| drift.task_bytes() > 0))),
        ("bets on drift", any(|agent| format!("{:?}", agent.drift).contains("usual: 0."))),
        ("the course of a session", any(|agent| format!("{:?}", agent.sessions).contains("errors: 1"))),
        ("risk", any(|agent| agent.risk(agent.last_seen) > 0.0)),
    ];
    has.into_iter().filter(|(_, has)| !has).map(|(what, _)| what).collect()
}
