//! What no program that reads these records can be faster than: the fields that the engine reads, parsed and dropped.

#![expect(dead_code, reason = "the fields are parsed as the engine needs them, and not used")]

use driftline_core::Text;
use serde::Deserialize;

/// The part of event v1 that a score depends on. Times and words stay text.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    time: Text<'a>,
    #[serde(default)]
    tenant: Option<Text<'a>>,
    agent: Agent<'a>,
    #[serde(default)]
    session: Option<Session<'a>>,
    action: Action<'a>,
    #[serde(default)]
    resource: Option<Resource<'a>>,
    #[serde(default)]
    resources: Vec<Resource<'a>>,
    #[serde(default)]
    permission: Option<Permission<'a>>,
    #[serde(default)]
    grant: Option<Grant<'a>>,
    #[serde(default)]
    credential: Option<Credential<'a>>,
    #[serde(default)]
    approval: Option<Approval<'a>>,
    #[serde(default)]
    outcome: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Agent<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    name: Option<Text<'a>>,
    version: Option<Text<'a>>,
    platform: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    name: Text<'a>,
    server: Option<Text<'a>>,
    access: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: Option<Text<'a>>,
    role: Option<Text<'a>>,
    sensitivity: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Permission<'a> {
    #[serde(borrow, default)]
    required: Vec<Text<'a>>,
    #[serde(default)]
    scopes: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Grant<'a> {
    #[serde(borrow)]
    to: Text<'a>,
    #[serde(default)]
    permissions: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Credential<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default)]
    scopes: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Approval<'a> {
    #[serde(borrow)]
    decision: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Usage {
    bytes_out: Option<u64>,
    records: Option<u64>,
    cost_usd: Option<f64>,
}
