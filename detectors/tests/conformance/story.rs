//! Small hand-written streams.

use driftline_core::{Alert, IdentityDocument, Settings};
use serde_json::{Value, json};

use crate::support::Stage;

/// Monday, 2026-03-02T00:00:00Z.
pub const START: i64 = 1_772_409_600_000;

/// An act of an agent, so many minutes after [`START`]; `rest` adds fields and replaces them.
pub fn act(agent: &str, minute: i64, rest: &Value) -> Value {
    let mut event = json!({"time": START + minute * 60_000, "agent": {"id": agent}, "action": {"name": "read_ticket"}});
    for (field, value) in rest.as_object().unwrap() {
        event[field] = value.clone();
    }
    event
}

/// Sessions as the agent `a` always has them, two hours apart: it reads a ticket and a customer, and replies.
pub fn ordinary(sessions: i64) -> Vec<Value> {
    (0..sessions).flat_map(|number| session(number * 120, &format!("s-{number}"))).collect()
}

/// One session like all others.
pub fn session(minute: i64, id: &str) -> Vec<Value> {
    let session = json!({"id": id});
    vec![
        act("a", minute, &json!({"session": session, "resource": {"id": format!("tickets/{}", minute % 7)}})),
        act(
            "a",
            minute + 1,
            &json!({
                "session": session,
                "action": {"name": "read_customer", "access": "read"},
                "resource": {"id": format!("crm/customers/{}", minute % 11)},
            }),
        ),
        act("a", minute + 2, &json!({"session": session, "action": {"name": "send_reply", "access": "write"}})),
    ]
}

/// A stream with the identity documents and the level that it is judged by.
#[derive(Default)]
pub struct Story {
    pub documents: Vec<&'static str>,
    pub level: Option<f64>,
    pub acts: Vec<Value>,
}

impl Story {
    pub fn settings(&self) -> Settings {
        Settings { level: self.level, ..Settings::default() }
    }

    pub fn stage(&self) -> Stage {
        let documents = self.documents.iter().map(|yaml| IdentityDocument::parse(yaml).unwrap());
        Stage::new(1, self.settings(), documents)
    }

    /// The alerts of agents; findings about many are the inventory's.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut stage = self.stage();
        for act in &self.acts {
            crate::check(&stage.observe(act.to_string().as_bytes()));
        }
        stage.into_alerts().into_iter().filter(|alert| alert.agent.is_some()).collect()
    }
}
