//! From a finding to the alert that people receive: adds whom it concerns, and on whose behalf they acted.

use std::collections::BTreeMap;

use driftline_core::{
    Alert, AlertAgent, AlertStatus, BaselineRef, EntityRef, Event, Impact, Text, Timestamp, Verified, alert_id,
    fingerprint,
};

use crate::agent::AgentState;
use crate::finding::Finding;
use crate::world::World;

/// What a finding is about.
pub struct Subject<'s> {
    /// The tenant.
    pub tenant: &'s str,
    /// Kind and id of the entity in whose name the alert is raised.
    pub entity: (&'s str, &'s str),
    /// Event time of the act, or the deadline, that tipped it.
    pub time: Timestamp,
    /// All that it concerns.
    pub entities: Vec<EntityRef>,
    /// The agent's risk after it.
    pub risk: f64,
}

/// The agent's part of the scene.
pub struct Actor<'s, 'a> {
    /// The agent.
    pub agent: &'s AgentState,
    /// The act that tipped it; `None` for a timer.
    pub event: Option<&'s Event<'a>>,
    /// What the session has at stake.
    pub impact: Option<&'s Impact>,
}

/// An alert of an agent's finding.
pub fn alert_of(finding: Finding, time: Timestamp, risk: f64, actor: &Actor<'_, '_>, world: &World) -> Alert {
    let agent = actor.agent;
    let mut entities = vec![entity("agent", &agent.id)];
    if let Some(event) = actor.event {
        entities.extend(event.session.as_ref().map(|session| entity("session", &session.id)));
        entities.extend(event.credential.as_ref().map(|credential| entity("credential", &credential.id)));
    }
    let subject = Subject { tenant: &agent.tenant, entity: ("agent", &agent.id), time, entities, risk };
    alert(finding, &subject, Some(actor), world)
}

/// An alert of any finding.
pub fn alert(finding: Finding, subject: &Subject<'_>, actor: Option<&Actor<'_, '_>>, world: &World) -> Alert {
    let (kind, id) = subject.entity;
    let event = actor.and_then(|actor| actor.event);
    let document = actor
        .and_then(|actor| world.registry.get(&actor.agent.tenant, &actor.agent.id))
        .map(|registered| &registered.document);
    let mut labels = BTreeMap::from([
        ("detector".to_owned(), finding.detector.to_owned()),
        ("severity".to_owned(), finding.severity.to_string()),
    ]);
    let mut label = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            labels.insert(name.to_owned(), value.to_owned());
        }
    };
    label("tenant", Some(subject.tenant));
    label("agent", actor.map(|actor| &*actor.agent.id));
    label("peer_group", actor.map(|actor| &*actor.agent.group));
    label("team", document.and_then(|document| document.team.as_deref()));
    let platform = event.and_then(|event| event.agent.platform.as_deref());
    label("platform", platform.or(document.and_then(|document| document.platform.as_deref())));
    Alert {
        schema: Alert::SCHEMA.to_owned(),
        id: alert_id(subject.tenant, kind, id, finding.family, &finding.anchor),
        fingerprint: fingerprint(subject.tenant, kind, id, finding.family, finding.kind),
        time: subject.time,
        detected_at: subject.time,
        status: AlertStatus::Firing,
        entities: subject.entities.clone(),
        tenant: subject.tenant.to_owned(),
        agent: actor.map(|actor| AlertAgent {
            id: actor.agent.id.to_string(),
            version: event.and_then(|event| text(&event.agent.version)),
            name: event
                .and_then(|event| text(&event.agent.name))
                .or_else(|| document.and_then(|document| document.name.clone())),
            owner: document.and_then(|document| document.owner.clone()),
            team: document.and_then(|document| document.team.clone()),
            verified: event.and_then(|event| event.verified.as_ref()).is_some_and(|v| is_verified(v, world)),
        }),
        session: event.and_then(|event| event.session.as_ref()).map(owned::session),
        principal: event.and_then(|event| event.principal.as_ref()).map(owned::principal),
        task: event.and_then(|event| event.task.as_ref()).map(owned::task),
        delegation: event.map(|event| event.delegation.iter().map(owned::delegation).collect()).unwrap_or_default(),
        action: event.map(|event| owned::action(&event.action)),
        resource: event.and_then(|event| event.resource.as_ref()).map(owned::resource),
        credential: event.and_then(|event| event.credential.as_ref()).map(owned::credential),
        network: event.and_then(|event| event.network.as_ref()).map(owned::network),
        detector: finding.detector.to_owned(),
        family: finding.family.to_owned(),
        kind: finding.kind.to_owned(),
        basis: finding.basis,
        title: finding.title,
        severity: finding.severity,
        risk: (subject.risk * 10.0).round() / 10.0,
        p_value: finding.p_value,
        e_value: finding.e_value,
        evidence: finding.evidence,
        steps: finding.steps,
        drift: finding.drift,
        impact: actor.and_then(|actor| actor.impact).cloned(),
        events: finding.events,
        attack: strings(finding.techniques.attack),
        atlas: strings(finding.techniques.atlas),
        owasp: strings(finding.techniques.owasp),
        summary: finding.summary,
        recommendation: finding.recommendation.to_owned(),
        baseline: actor.map(|actor| BaselineRef {
            version: None,
            events: actor.agent.events,
            since: Some(actor.agent.first_seen),
        }),
        rule: None,
        identity: document.and_then(|document| document.version.clone()),
        config: world.settings_hash(),
        labels,
    }
}

/// Whether a gateway that the settings list has verified the identity.
fn is_verified(verified: &Verified<Text<'_>>, world: &World) -> bool {
    verified.identity.as_deref().is_some_and(|by| by != "none")
        && world.settings.gateways.iter().any(|gateway| *gateway == *verified.by)
}

fn entity(kind: &str, id: &str) -> EntityRef {
    EntityRef { kind: kind.to_owned(), id: id.to_owned() }
}

fn text(text: &Option<Text<'_>>) -> Option<String> {
    text.as_ref().map(Text::to_string)
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

/// The borrowed parts of an event, owned.
mod owned {
    use driftline_core::{Action, Credential, Delegation, Network, Principal, Resource, Session, Task, Text};

    use super::text;

    fn all(texts: &[Text<'_>]) -> Vec<String> {
        texts.iter().map(Text::to_string).collect()
    }

    pub fn session(session: &Session<Text<'_>>) -> Session {
        Session {
            id: session.id.to_string(),
            started_at: session.started_at,
            expires_at: session.expires_at,
            context_sha256: text(&session.context_sha256),
        }
    }

    pub fn principal(principal: &Principal<Text<'_>>) -> Principal {
        Principal { id: principal.id.to_string(), kind: principal.kind }
    }

    pub fn task(task: &Task<Text<'_>>) -> Task {
        Task { id: text(&task.id), kind: text(&task.kind), intent: text(&task.intent) }
    }

    pub fn delegation(link: &Delegation<Text<'_>>) -> Delegation {
        Delegation {
            agent: text(&link.agent),
            principal: text(&link.principal),
            scopes: all(&link.scopes),
            expires_at: link.expires_at,
        }
    }

    pub fn action(action: &Action<Text<'_>>) -> Action {
        Action {
            kind: action.kind,
            name: action.name.to_string(),
            server: text(&action.server),
            access: action.access,
            definition_sha256: text(&action.definition_sha256),
        }
    }

    pub fn resource(resource: &Resource<Text<'_>>) -> Resource {
        Resource {
            id: resource.id.to_string(),
            kind: text(&resource.kind),
            role: text(&resource.role),
            sensitivity: resource.sensitivity,
            subject: text(&resource.subject),
            origin: text(&resource.origin),
        }
    }

    pub fn credential(credential: &Credential<Text<'_>>) -> Credential {
        Credential {
            id: credential.id.to_string(),
            kind: text(&credential.kind),
            scopes: all(&credential.scopes),
            issued_at: credential.issued_at,
            expires_at: credential.expires_at,
        }
    }

    pub fn network(network: &Network<Text<'_>>) -> Network {
        Network {
            ip: text(&network.ip),
            asn: network.asn,
            country: text(&network.country),
            user_agent: text(&network.user_agent),
        }
    }
}
