//! A seeded stream of records, half of them plain events and half of them of every kind that might do harm.

use driftline_core::{record_hash, record_id};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{faults, numbers, shapes, texts, times};

/// What must come of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is an event.
    Scored,
    /// It is none, for this reason.
    DeadLetter(&'static str),
}

pub const NOT_JSON: Expected = Expected::DeadLetter("not_json");
pub const NOT_EVENT: Expected = Expected::DeadLetter("not_event");
pub const NOT_UTF8: Expected = Expected::DeadLetter("not_utf8");

/// A record and what must come of it.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is special about it, for whoever reads that an expectation does not hold.
    pub what: String,
    pub bytes: Vec<u8>,
    pub expected: Expected,
    /// The agent it names; for others than events, nothing that anybody could read.
    pub agent: String,
    /// The id that its scores have.
    pub id: String,
}

/// Stands in an event for a value that has no place in a [`Value`].
const HOLE: &str = "@@";

pub struct Generator {
    pub rng: ChaCha8Rng,
    number: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), number: 0 }
    }

    pub fn records(seed: u64, count: usize) -> Vec<Hostile> {
        let mut generator = Self::new(seed);
        (0..count).map(|_| generator.record()).collect()
    }

    fn record(&mut self) -> Hostile {
        self.number += 1;
        // A file is told by its first line; what its first bytes may do is a test of its own.
        if self.number == 1 || self.rng.random_bool(0.5) {
            return self.valid("a plain event", |_| {});
        }
        match self.rng.random_range(0..500) {
            0..=2 => shapes::large(self),
            3..=99 => shapes::any(self),
            100..=199 => texts::any(self),
            200..=299 => numbers::any(self),
            300..=399 => times::any(self),
            _ => faults::any(self),
        }
    }

    /// The event that the others are made from: every field of the contract, in one of a few variants.
    pub fn event(&mut self) -> Value {
        let n = self.number;
        let agents = ["support-assistant", "billing", "agent-ä", "agent-日本", "ops/agent"];
        let tools = ["read_file", "send_email", "search", "delete_rows", "пошук"];
        let (agent, tool) = (*agents.choose(&mut self.rng).unwrap(), *tools.choose(&mut self.rng).unwrap());
        json!({
            "id": format!("e-{n}"),
            "time": 1_772_438_400_000u64 + n * 1000,
            "tenant": "acme",
            "agent": {"id": agent, "name": "Support", "version": "1.4.0", "platform": "langchain", "model": "m",
                "vendor": "v", "instance": "pod-1", "spiffe_id": "spiffe://acme.example/a"},
            "session": {"id": format!("s-{}", n / 50), "started_at": 1_772_438_400_000u64, "context_sha256": "00"},
            "trace": {"trace_id": "t", "span_id": "s"},
            "principal": {"id": "alice@acme.example", "kind": "user"},
            "task": {"id": "t-9", "kind": "refund", "intent": "Refund “1042” for the customer"},
            "action": {"kind": "tool_call", "name": tool, "server": "mcp://files", "access": "read"},
            "resource": {"id": format!("/data/{}.csv", n % 40), "kind": "file", "sensitivity": "restricted"},
            "resources": [{"id": "bob@example.org", "kind": "email", "role": "recipient"}],
            "result": {"mentions": {"field": ["5f2c0a91be"]}, "origin": "external"},
            "permission": {"required": ["files:read"], "scopes": ["files:read"]},
            "credential": {"id": "cred-51", "kind": "oauth_token", "scopes": ["files:read"]},
            "grant": {"to": "billing", "permissions": ["files:read"]},
            "delegation": [{"agent": "orchestrator", "scopes": ["files:read"]}],
            "approval": {"id": "ap-3", "decision": "approved", "roles": ["lead"]},
            "verified": {"by": "gateway-1", "identity": "svid", "attestation": true},
            "outcome": "success",
            "error": null,
            "usage": {"bytes_in": 10, "records": 12, "duration_ms": 41.5, "cost_usd": 0.002},
            "network": {"ip": "198.51.100.7", "asn": 64500, "country": "DE"},
            "attributes": {"deep": [1, {"x": null}]},
        })
    }

    /// An event with something changed that keeps it one.
    pub fn valid(&mut self, what: &str, change: impl FnOnce(&mut Value)) -> Hostile {
        let mut event = self.event();
        change(&mut event);
        self.given(what, &event, event.to_string().into_bytes(), Expected::Scored)
    }

    /// An event in which the value at `pointer` is written as `raw`, whatever that is.
    pub fn with(&mut self, what: &str, pointer: &str, raw: impl AsRef<[u8]>, expected: Expected) -> Hostile {
        let mut event = self.event();
        place(&mut event, pointer, json!(HOLE));
        let text = event.to_string();
        let (before, after) = text.split_once(&format!("\"{HOLE}\"")).unwrap();
        let bytes = [before.as_bytes(), raw.as_ref(), after.as_bytes()].concat();
        // What the hole was filled with may be the very id.
        if pointer == "/id" || pointer.starts_with("/agent") {
            let filled = serde_json::from_slice(raw.as_ref()).unwrap_or(Value::Null);
            place(&mut event, pointer, filled);
        }
        self.given(&format!("{what} at {pointer}"), &event, bytes, expected)
    }

    /// The plain event's text, cut and mended by `change`.
    pub fn mended(&mut self, what: &str, expected: Expected, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Hostile {
        let event = self.event();
        let bytes = change(event.to_string().into_bytes());
        self.given(what, &event, bytes, expected)
    }

    /// Bytes that have nothing of an event.
    pub fn bytes(&self, what: &str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Hostile {
        self.given(what, &Value::Null, bytes.into(), expected)
    }

    /// Bytes that were made from an event.
    pub fn given(&self, what: &str, event: &Value, bytes: Vec<u8>, expected: Expected) -> Hostile {
        let agent = event.pointer("/agent/id").and_then(Value::as_str).unwrap_or("nobody").to_owned();
        let id = match event.get("id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => id.to_owned(),
            // The contract: where absent, the hash of the record's bytes.
            _ => record_id(record_hash(&bytes), None),
        };
        Hostile { what: what.to_owned(), bytes, expected, agent, id }
    }

    pub fn within(&mut self, range: std::ops::Range<usize>) -> usize {
        self.rng.random_range(range)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.rng).unwrap()
    }
}

/// Puts a value where `pointer` says, with objects on the way to it.
fn place(event: &mut Value, pointer: &str, value: Value) {
    let mut at = event;
    for part in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                &mut other[part]
            }
        };
    }
    *at = value;
}
