//! From an act to the JSON line that a producer would send. The same act always gives the same bytes: the id of an
//! event without one is their hash.

use driftline_core::{
    Access, ActionKind, Agent, Approval, Credential, Delegation, Grant, Network, Outcome, Peer, Permission, Principal,
    Resource, Sensitivity, Session as SessionInfo, Task, Timestamp, Usage,
};
use serde::Serialize;

use crate::catalogue::{Target, Tool, catalogue};
use crate::session::{Act, Session};

/// Event v1 as simulated producers send it: the fields that they have, borrowed, in the contract's order.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    agent: Agent<&'a str>,
    session: SessionInfo<&'a str>,
    principal: Principal<&'a str>,
    task: Task<&'a str>,
    action: Call<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Resource<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<[Resource<&'a str>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<Permission<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Grant<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Credential<&'a str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delegation: Vec<Delegation<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network<&'a str>>,
}

/// The `action` of an event; as many producers do, it leaves out what goes without saying.
#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ActionKind>,
    name: &'a str,
    server: &'a str,
    access: Access,
}

/// Texts that are made anew for every event, in memory that is kept.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    on: String,
    to: String,
    receiver: String,
    given: String,
}

/// Writes the next event of `session` into `record`, which is emptied first.
pub(crate) fn write(session: &Session, id: Option<&str>, scratch: &mut Scratch, record: &mut Vec<u8>) {
    let act = &session.acts[session.next];
    let tool = &catalogue().tools[usize::from(act.tool)];
    let Scratch { on, to, receiver, given } = scratch;
    // Gateways say more where a run begins and where something is at stake.
    let begins = session.next == 0;
    let in_full =
        begins || tool.outward || tool.sensitive || act.outcome == Outcome::Denied || act.credential.is_some();
    let gives = tool.access == Access::Grant;
    let event = Record {
        id,
        time: Timestamp::MIN.plus_millis(session.time),
        tenant: session.tenant(),
        agent: Agent {
            id: &session.agent.id,
            version: Some(&session.version),
            instance: begins.then_some(session.place.instance.as_str()).filter(|pod| !pod.is_empty()),
            ..Agent::default()
        },
        session: SessionInfo { id: &session.id, ..SessionInfo::default() },
        principal: Principal { id: &session.principal, kind: begins.then_some(session.principal_kind) },
        task: Task {
            kind: Some(&session.task().kind),
            intent: (!session.intent.is_empty()).then_some(session.intent.as_str()),
            ..Task::default()
        },
        action: Call {
            kind: Some(tool.kind).filter(|kind| *kind != ActionKind::ToolCall),
            name: &tool.name,
            server: &tool.server,
            access: tool.access,
        },
        resource: act.on.map(|target| resource(session, target, None, on)),
        resources: act.to.filter(|_| !gives).map(|target| [resource(session, target, Some(role(tool)), to)]),
        peer: act.peer.as_ref().map(|(_, id)| Peer {
            agent: id.to_string(),
            authenticated: Some(true),
            ..Peer::default()
        }),
        permission: (in_full || gives || tool.outward)
            .then(|| Permission { required: vec![tool.permission.as_str()], scopes: Vec::new() }),
        grant: gives.then(|| grant(session, act, receiver, given)),
        credential: credential(session, act, begins, in_full),
        delegation: session.delegation.iter().map(|link| link.borrowed()).collect(),
        approval: act.approved.then(|| approval(session, tool)),
        outcome: Some(act.outcome).filter(|outcome| *outcome != Outcome::Success),
        error: error(act, tool),
        usage: Usage {
            bytes_in: Some(act.bytes_in),
            bytes_out: Some(act.bytes_out),
            records: (act.records > 1).then_some(act.records),
            duration_ms: Some(act.millis.round().max(1.0)),
            input_tokens: (begins || session.reports_tokens()).then_some(act.tokens),
            output_tokens: (begins || session.reports_tokens()).then_some(act.tokens / 6),
            // A third of a cent for a thousand tokens.
            cost_usd: begins.then_some((act.tokens as f64 * 0.03).round() / 10_000.0),
        },
        network: in_full.then_some(Network {
            ip: Some(session.place.ip.as_str()),
            asn: Some(session.place.asn),
            country: Some(session.place.country),
            user_agent: session.place.user_agent,
        }),
    };
    record.clear();
    // Writing to memory does not fail, and nothing in a record can refuse to be serialised.
    let written = serde_json::to_writer(record, &event);
    debug_assert!(written.is_ok());
}

fn resource<'a>(session: &Session, target: Target, role: Option<&'a str>, id: &'a mut String) -> Resource<&'a str> {
    let family = target.of();
    id.clear();
    target.write_id(&session.agent.context(), id);
    Resource {
        id: id.as_str(),
        kind: Some(&family.kind),
        role,
        // A recipient has no sensitivity of its own, and what is internal goes without saying.
        sensitivity: family.sensitivity.filter(|level| role.is_none() && *level != Sensitivity::Internal),
        origin: family.external.then_some("external"),
        ..Resource::default()
    }
}

fn role(tool: &Tool) -> &'static str {
    match tool.kind {
        ActionKind::PermissionChange => "member",
        _ => "recipient",
    }
}

/// What a grant gives: a group's membership, or a role.
fn grant<'a>(session: &Session, act: &'a Act, receiver: &'a mut String, given: &'a mut String) -> Grant<&'a str> {
    if let Some(gives) = &act.gives {
        return Grant { to: &gives.to, permissions: gives.permissions.clone(), expires_at: None };
    }
    let context = session.agent.context();
    receiver.clear();
    if let Some(to) = act.to.or(act.on) {
        to.write_short(&context, receiver);
    }
    given.clear();
    if let Some(on) = act.on {
        if act.to.is_some_and(|to| to.family == on.family) {
            const ROLES: [&str; 6] =
                ["finance-viewer", "crm-editor", "reports-viewer", "wiki-editor", "support-agent", "planner"];
            given.push_str("role:");
            given.push_str(ROLES[(on.number % ROLES.len() as u64) as usize]);
        } else {
            given.push_str("group:");
            on.write_short(&context, given);
        }
    }
    Grant { to: receiver.as_str(), permissions: vec![given.as_str()], expires_at: None }
}

fn credential<'a>(session: &'a Session, act: &'a Act, begins: bool, in_full: bool) -> Option<Credential<&'a str>> {
    let kind = Some("oauth_token");
    if let Some(borrowed) = &act.credential {
        return Some(Credential { id: &borrowed.id, kind, scopes: borrowed.scopes.clone(), ..Credential::default() });
    }
    let renewed = session.renewal.as_ref().filter(|(from, _)| session.next >= *from);
    let is_new = begins || renewed.is_some_and(|(from, _)| session.next == *from);
    (in_full || is_new).then(|| Credential {
        id: renewed.map_or(session.credential.as_str(), |(_, id)| id),
        kind: kind.filter(|_| is_new),
        scopes: if is_new { session.scopes.clone() } else { Vec::new() },
        ..Credential::default()
    })
}

fn approval(session: &Session, tool: &Tool) -> Approval {
    Approval {
        id: Some(format!("ap-{:x}", session.time / 1000 % 0x0fff_ffff)),
        approver: Some(format!("lead@{}", session.agent.domain)),
        roles: vec![format!("{}-lead", session.agent.kind.team)],
        decision: Some("approved".to_owned()),
        for_: Some(tool.name.clone()),
        time: None,
    }
}

fn error(act: &Act, tool: &Tool) -> Option<&'static str> {
    match act.outcome {
        Outcome::Success => None,
        Outcome::Denied => Some("permission denied"),
        Outcome::Error if tool.millis > 1000.0 => Some("timed out"),
        Outcome::Error if act.tokens.is_multiple_of(3) => Some("upstream returned 503"),
        Outcome::Error if act.tokens % 3 == 1 => Some("invalid argument"),
        Outcome::Error => Some("connection reset"),
    }
}
