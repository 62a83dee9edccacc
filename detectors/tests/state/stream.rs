//! Streams with all in them that an engine remembers: a simulated fleet with attacks, repeats, events that come hours too
//! late, agents with more sessions at a time than there is room for, and a control log that changes its mind.

use driftline_core::{Access, Change, DataAccess, IdentityDocument, Limits, Settings, Status, Timestamp};
use driftline_simulate::{Config, Simulation};
use serde_json::json;

use crate::support::Stage;

pub enum Step {
    Record(Vec<u8>),
    Change(Box<Change>),
}

pub struct Stream {
    settings: Settings,
    documents: Vec<IdentityDocument>,
    pub steps: Vec<Step>,
}

/// Events of the fleet; those that are added come on top.
const EVENTS: u64 = 4_000;
/// Every so many-th record comes so many records too late.
const LATE: (usize, usize) = (59, 700);
/// Every so many-th record comes twice.
const TWICE: usize = 37;

impl Stream {
    pub fn new(seed: u64, tenants: u64, room: usize) -> Self {
        let config =
            Config { agents: 8, events: EVENTS, attacks: 10, seed, tenants, without_ids: 0.1, ..Config::default() };
        let mut simulation = Simulation::new(config).unwrap();
        let new_agents_per_hour = if room < 100 { 3 } else { 1_000 };
        let limits = Limits { agents_per_tenant: room, new_agents_per_hour, keys_per_agent: 40, ..Limits::default() };
        let settings = Settings { level: Some(0.3), limits, ..Settings::default() };
        let documents: Vec<_> = simulation.identities().collect();
        let mut stream = Self { settings, documents, steps: Vec::new() };
        let (mut record, mut held_back) = (Vec::new(), Vec::new());
        for number in 0.. {
            let Some(written) = simulation.write_next(&mut record) else { break };
            let time = written.time;
            match number % LATE.0 {
                0 => held_back.push((number + LATE.1, record.clone())),
                _ => stream.steps.push(Step::Record(record.clone())),
            }
            if number % TWICE == 0 {
                stream.steps.push(Step::Record(record.clone()));
            }
            if held_back.first().is_some_and(|(due, _)| *due <= number) {
                stream.steps.push(Step::Record(held_back.remove(0).1));
            }
            stream.extras(number, time);
        }
        stream
    }

    /// What happens besides, at some places of the stream.
    fn extras(&mut self, number: usize, time: Timestamp) {
        let change = |change| Step::Change(Box::new(change));
        match number {
            500 | 2_500 => self.steps.extend((0..90).map(|i| Step::Record(many_sessions(number, i, time)))),
            700 | 800 => self.steps.extend((0..8).map(|i| Step::Record(newcomer(number, i, time)))),
            900 | 3_100 => self.steps.extend((0..300).map(|i| Step::Record(many_resources(number, i, time)))),
            1_200 => {
                let document = IdentityDocument { status: Status::Suspended, ..self.documents[0].clone() };
                self.steps.push(change(Change::Identity { document: Box::new(document) }));
                let IdentityDocument { tenant, id, .. } = self.documents[1].clone();
                self.steps.push(change(Change::IdentityRemoved { tenant, id }));
            }
            1_500 | 2_000 => {
                let settings = Settings { learn: number == 2_000, ..self.settings.clone() };
                self.steps.push(change(Change::Settings { settings }));
            }
            2_200 => {
                let access = DataAccess {
                    resource: "elsewhere/*".to_owned(),
                    access: Access::Read,
                    sensitivity: None,
                    expires_at: None,
                };
                for document in &self.documents[..3] {
                    let document = IdentityDocument {
                        data_access: vec![access.clone()],
                        peer_group: Some("moved".to_owned()),
                        ..document.clone()
                    };
                    self.steps.push(change(Change::Identity { document: Box::new(document) }));
                }
            }
            _ => {}
        }
    }

    pub fn stage(&self) -> Stage {
        Stage::new(1, self.settings.clone(), self.documents.iter().cloned())
    }
}

/// An act of an agent that nobody knows.
fn newcomer(number: usize, i: usize, time: Timestamp) -> Vec<u8> {
    let event = json!({"time": time.millis(), "agent": {"id": format!("new-{number}-{i}")}, "action": {"name": "t"}});
    event.to_string().into_bytes()
}

/// An act in a session of its own, refused or not, of an agent whose name is no easy key.
fn many_sessions(number: usize, i: usize, time: Timestamp) -> Vec<u8> {
    let outcome = if i.is_multiple_of(4) { "denied" } else { "success" };
    let event = json!({
        "time": time.plus_millis(i as i64).millis(),
        "agent": {"id": "busy \u{0}\u{1}/ü"},
        "session": {"id": format!("{number}-{i}")},
        "action": {"name": format!("tool-{}", i % 7), "access": "read"},
        "resource": {"id": format!("folder-{}/{}", i % 3, i / 8), "sensitivity": "restricted"},
        "permission": {"required": [format!("scope-{}", i % 4)], "scopes": ["a"]},
        "credential": {"id": format!("credential-{}", i % 5)},
        "usage": {"bytes_out": i, "records": 1, "cost_usd": 0.1},
        "outcome": outcome,
    });
    event.to_string().into_bytes()
}

/// An act of one long session that touches more than a session remembers, and grants what it should not.
fn many_resources(number: usize, i: usize, time: Timestamp) -> Vec<u8> {
    let mut event = json!({
        "id": format!("many-{number}-{}", i % 60),
        "time": time.plus_millis(i as i64).millis(),
        "tenant": "another",
        "agent": {"id": "many", "version": format!("{}", i / 100)},
        "session": {"id": format!("long-{number}")},
        "action": {"name": format!("tool-{}", i % 50)},
        "resources": (0..3).map(|n| json!({"id": format!("folder-{i}/{n}")})).collect::<Vec<_>>(),
    });
    if i.is_multiple_of(50) {
        event["action"] = json!({"name": "grant", "kind": "permission_change", "access": "grant"});
        event["grant"] = json!({"to": if i == 0 { "many" } else { "somebody" }, "permissions": ["all"]});
    }
    event.to_string().into_bytes()
}
