//! A published baseline that engines take up while they run.
#![cfg(test)]

use std::collections::BTreeMap;

use driftline_core::baseline::{Act, Baseline, Entry, SessionLog, session_key};
use driftline_core::{Change, Contained, Event, Limits, Settings, Timestamp};
use driftline_detectors::agent::AgentState;
use driftline_detectors::{Conductor, Engine, History, TakenUp};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const START: i64 = 1_772_409_600_000;

/// Sessions of six acts, one an hour, `days` of them beginning with a day.
fn records(agent: &str, from: i64, days: i64) -> Vec<String> {
    let session = |hour: i64| {
        (0..6).map(move |act| {
            let time = START + from * DAY + hour * 60 * MINUTE + act * MINUTE;
            let (tool, resource) = (act % 4, (hour * 7 + act) % 90);
            format!(
                r#"{{"id":"{agent}{time}","time":{time},"agent":{{"id":"{agent}","platform":"p","version":"{}"}},"session":{{"id":"{agent}{from}/{hour}"}},
                "action":{{"name":"t{tool}"}},"resource":{{"id":"files/{resource}"}},"network":{{"asn":{},"country":"DE"}}}}"#,
                from / 7,
                64_500 + hour % 3
            )
        })
    };
    // Not at night.
    (0..days * 24).filter(|hour| hour % 24 > 5).flat_map(session).collect()
}

fn decode(record: &str) -> Event<'_> {
    Event::decode(record.as_bytes(), &Limits::default()).unwrap()
}

/// What a job publishes of it.
fn history(records: &[String]) -> History {
    let mut logs = BTreeMap::<(String, String, u64), SessionLog>::new();
    let mut until = Timestamp::MIN;
    for (order, record) in (0..).zip(records) {
        let event = decode(record);
        until = until.max(event.time);
        let version = event.agent.version.as_deref().unwrap_or_default().to_owned();
        let log = logs.entry((event.agent.id.to_string(), version, session_key(&event))).or_default();
        log.push(&Act::of(&event, order));
    }
    let mut baselines = BTreeMap::<(String, String), Baseline>::new();
    for ((agent, version, _), log) in logs {
        let baseline = baselines.entry((agent, version)).or_insert_with(|| Baseline::new(1024));
        log.lessons(|lesson| baseline.learn(lesson));
    }
    let entry = |((agent, version), baseline)| Entry { tenant: String::new(), agent, version, baseline };
    let entries = baselines.into_iter().map(entry).collect();
    History { version: "v".into(), content: "c".into(), until, entries, contained: Contained::default() }
}

/// An engine, and who tells it the clock.
#[derive(Default)]
struct Stream(Engine, Conductor);

impl Stream {
    fn new() -> Self {
        let mut stream = Self::default();
        // Nothing is alerted on.
        let settings = Settings { level: Some(1e-300), ..Settings::default() };
        stream.apply(stream.1.record(Change::Settings { settings }));
        stream
    }

    fn apply(&mut self, record: driftline_core::ControlRecord) {
        let (control, _) = self.1.fold(&record).unwrap();
        self.0.apply(&control);
    }

    fn observe(&mut self, records: &[String]) {
        for record in records {
            let event = decode(record);
            self.0.observe(&event);
            self.1.clock(event.time).into_iter().for_each(|clock| self.apply(clock));
            if self.1.hour_is_over() {
                let contributed = self.0.take_contribution();
                self.apply(self.1.epoch(contributed));
            }
        }
    }

    fn take_up(&mut self, history: &History) -> TakenUp {
        assert!(self.1.may_take_up(history.until));
        self.apply(self.1.baseline(history, None));
        self.0.take_up(history, |_, _| true)
    }

    /// Ends all sessions, and closes all hours but the last.
    fn end(mut self) -> Engine {
        self.0.end_all_sessions();
        self.0
    }
}

/// What was learned of an agent.
fn learned(agent: &AgentState) -> String {
    let AgentState { tools, families, resources, networks, clients, versions, habits, hours, .. } = agent;
    let counts = (tools, families, resources, networks, clients, versions, habits, hours);
    format!("{} {counts:?} {} {} {}", agent.id, agent.sessions_learned, agent.events, agent.first_seen)
}

fn all_learned(engine: &Engine) -> Vec<String> {
    let mut all: Vec<_> = engine.agents().map(learned).collect();
    all.sort();
    all
}

#[test]
fn what_came_before_is_added_to_what_was_learned_since() {
    let [early, late] = [records("a", 0, 12), records("a", 20, 12)];
    let other = records("b", 3, 8);
    let mut live = Stream::new();
    let mut all = [early.clone(), other.clone()].concat();
    all.sort_by_key(|record| decode(record).time);
    live.observe(&all);
    live.observe(&late);

    let mut cold = Stream::new();
    cold.observe(&late);
    let taken = cold.take_up(&history(&all));
    assert_eq!(taken, TakenUp { new: 1, completed: 1, kept: 0 });
    // The hours that `b` was silent for since are closed by the clock in one, and by nothing in the other.
    let (live, cold) = (live.end(), cold.end());
    let of_a = |engine: &Engine| all_learned(engine).into_iter().find(|agent| agent.starts_with("a ")).unwrap();
    assert_eq!(of_a(&cold), of_a(&live));
    assert_eq!(all_learned(&cold).len(), 2);
    let sessions = |engine: &Engine| engine.agents().map(|agent| u64::from(agent.sessions_learned)).sum::<u64>();
    assert_eq!(sessions(&cold), sessions(&live));
}

#[test]
fn nothing_is_learned_twice() {
    let all = records("a", 0, 12);
    let mut stream = Stream::new();
    stream.observe(&all);
    let before = all_learned(&stream.0);
    // It has learned the end of that history itself, and then all of it.
    for history in [history(&records("a", 0, 9)), history(&all)] {
        assert_eq!(stream.take_up(&history), TakenUp { kept: 1, ..TakenUp::default() });
        assert_eq!(all_learned(&stream.0), before);
    }
}

#[test]
fn it_waits_for_what_it_contains() {
    let all = records("a", 0, 3);
    let (early, late) = all.split_at(all.len() / 2);
    let mut stream = Stream::new();
    let until = history(&all).until;
    assert!(stream.1.may_take_up(until), "nothing has happened yet");
    stream.observe(early);
    assert!(!stream.1.may_take_up(until));
    stream.observe(late);
    assert!(stream.1.may_take_up(until));
}

#[test]
fn peers_hear_of_it_once() {
    let mut stream = Stream::new();
    stream.observe(&records("z", 20, 2));
    drop(stream.0.take_contribution());
    stream.take_up(&history(&records("a", 0, 4)));
    let (groups, tenants) = stream.0.take_contribution().into_sums();
    assert_eq!(groups.iter().map(|group| group.agents).sum::<u64>(), 1);
    assert_eq!(tenants.iter().map(|tenant| tenant.unregistered).sum::<u64>(), 1);
    let mut warm = Stream::new();
    warm.take_up(&history(&records("a", 0, 4)));
    assert!(warm.0.take_contribution().is_empty(), "it stands in the control record");
}
