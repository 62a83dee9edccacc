//! What no program that reads these records can be faster than: the fields that the engine reads, parsed and dropped.

#![expect(dead_code, reason = "the fields are parsed as the engine needs them, and not used")]

use driftline_core::Text;
use serde::Deserialize;

/// The part of event v1 that the engine reads: what a score depends on, and what an alert says. Times and words stay
/// text.
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
    #[serde(default)]
    principal: Option<Principal<'a>>,
    #[serde(default)]
    task: Option<Task<'a>>,
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
    delegation: Vec<Delegation<'a>>,
    #[serde(default)]
    verified: Option<Verified<'a>>,
    #[serde(default)]
    network: Option<Network<'a>>,
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
    spiffe_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    started_at: Option<Text<'a>>,
    expires_at: Option<Text<'a>>,
    context_sha256: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Principal<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    intent: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Delegation<'a> {
    #[serde(borrow)]
    agent: Option<Text<'a>>,
    principal: Option<Text<'a>>,
    #[serde(default)]
    scopes: Vec<Text<'a>>,
    expires_at: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Verified<'a> {
    #[serde(borrow)]
    by: Text<'a>,
    identity: Option<Text<'a>>,
    attestation: Option<bool>,
}

#[derive(Deserialize)]
struct Network<'a> {
    #[serde(borrow)]
    ip: Option<Text<'a>>,
    asn: Option<u32>,
    country: Option<Text<'a>>,
    user_agent: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    name: Text<'a>,
    server: Option<Text<'a>>,
    access: Option<Text<'a>>,
    definition_sha256: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: Option<Text<'a>>,
    role: Option<Text<'a>>,
    sensitivity: Option<Text<'a>>,
    subject: Option<Text<'a>>,
    origin: Option<Text<'a>>,
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
    kind: Option<Text<'a>>,
    #[serde(default)]
    scopes: Vec<Text<'a>>,
    issued_at: Option<Text<'a>>,
    expires_at: Option<Text<'a>>,
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
