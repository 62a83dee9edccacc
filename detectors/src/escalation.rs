//! Escalation: reaching for permissions that the agent was not given.
//!
//! Deterministic. *Denied, then achieved*: an act was refused, and soon after what it was for is done by another tool,
//! with another credential, or under other permissions. *Grants*: to itself, or the first that it ever makes. What the
//! agent and its peers usually do stands beside it and moves the severity.

use driftline_core::{Access, ActionKind, Basis, Event, Evidence, Outcome, Severity, Step, Timestamp, truncate};
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Scene};
use crate::finding::{Finding, Techniques};
use crate::observation::{Dimension, credential, is_change, resource, scopes};
use crate::state::wire;

/// A refusal is remembered for this long.
const MEMORY_MILLIS: i64 = 60 * 60_000;
/// So many refusals are remembered; the oldest goes first.
const REMEMBERED: usize = 8;
/// A tool that the agent uses in a larger share of its sessions than this is no way around: it is how it works.
const ROUTINE: f64 = 0.05;
/// Sessions that must have been learned before a first grant stands out by the agent's own history.
pub const WARM_SESSIONS: u32 = 20;

/// An act that was refused. Part of the format of [`crate::state`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Denial {
    #[serde(with = "wire::millis")]
    time: Timestamp,
    session: u64,
    /// Key of the resource, 0 where there was none.
    resource: u64,
    /// Key of the permissions that were asked for, 0 where none were named.
    required: u64,
    tool: u64,
    access: Access,
    credential: u64,
    scopes: u64,
    event: Box<str>,
    tool_name: Box<str>,
}

/// See the module.
pub struct Escalation;

const NAME: &str = "escalation";

impl Detector for Escalation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["denied_then_achieved", "self_grant", "first_grant"]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let before = findings.len();
        match scene.event.outcome {
            Outcome::Denied => remember(scene),
            Outcome::Success => {
                findings.extend(achieved(scene));
                findings.extend(grant(scene));
            }
            Outcome::Error => {}
        }
        if findings.len() > before { 0.0 } else { 1.0 }
    }
}

/// What the act does to what it touches, where the producer does not say by its kind.
fn access(event: &Event<'_>) -> Access {
    event.action.access.unwrap_or(if is_change(event) { Access::Write } else { Access::Read })
}

fn subject(scene: &Scene<'_, '_>) -> (u64, u64) {
    let required = scene.event.permission.as_ref().map_or(0, |permission| {
        permission.required.iter().fold(0u64, |sum, scope| sum.wrapping_add(driftline_core::key(20, [scope, ""])))
    });
    (resource(scene.event), required)
}

fn remember(scene: &mut Scene<'_, '_>) {
    let (resource, required) = subject(scene);
    if resource == 0 && required == 0 {
        return;
    }
    let denials = &mut scene.agent.denials;
    denials.retain(|denial| scene.event.time.since(denial.time) <= MEMORY_MILLIS);
    if denials.len() >= REMEMBERED {
        denials.remove(0);
    }
    denials.push(Denial {
        time: scene.event.time,
        session: scene.session.key,
        resource,
        required,
        tool: scene.observation.tool,
        access: access(scene.event),
        credential: credential(scene.event),
        scopes: scopes(scene.event),
        event: scene.id.into(),
        tool_name: truncate(&scene.event.action.name, 80).as_ref().into(),
    });
}

fn achieved(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    if scene.agent.denials.is_empty() {
        return None;
    }
    let (resource, required) = subject(scene);
    // What the agent has long done in just this way is less likely to be a way around.
    let usual = scene.agent.tools.count(scene.observation.tool) > 0
        && scene.observation.touched.first().is_some_and(|touched| scene.agent.resources.count(touched.resource) > 0);
    let at = scene.agent.denials.iter().position(|denial| {
        let age = scene.event.time.since(denial.time);
        let same_end = if denial.resource != 0 { denial.resource == resource } else { denial.required == required };
        // Another session that does its usual work on the same resource has nothing to do with the refusal.
        // And to read what one may not write is not to have written it.
        let achieves = access(scene.event) >= denial.access;
        same_end && achieves && (0..=MEMORY_MILLIS).contains(&age) && (denial.session == scene.session.key || !usual)
    })?;
    let denial = scene.agent.denials.remove(at);
    let mut ways = Vec::new();
    let share =
        f64::from(scene.agent.tools.count(scene.observation.tool)) / f64::from(scene.agent.sessions_learned.max(1));
    let routine = share > ROUTINE;
    if denial.tool != scene.observation.tool && !routine {
        ways.push("another tool");
    }
    // Where a producer leaves the credential or the permissions out, nothing is known of them.
    let differ = |before: u64, now: u64| before != 0 && now != 0 && before != now;
    if differ(denial.credential, credential(scene.event)) {
        ways.push("another credential");
    }
    if differ(denial.scopes, scopes(scene.event)) {
        ways.push("other permissions");
    }
    // The same way again is a retry; and an approval in between is what refusals are for.
    if ways.is_empty() || scene.event.approval.as_ref().is_some_and(|approval| approval.is_approved()) {
        return None;
    }
    let what = scene
        .event
        .resource
        .as_ref()
        .map_or_else(|| scene.event.action.name.to_string(), |resource| resource.id.to_string());
    let action = &scene.event.action;
    Some(Finding {
        severity: if usual { Severity::Medium } else { Severity::High },
        basis: if usual { vec![Basis::OutsideGrant] } else { vec![Basis::OutsideGrant, Basis::Unusual] },
        anchor: format!("{},{}", denial.event, scene.id),
        title: format!(
            "{} was denied {}, then reached it by {}",
            scene.agent.id,
            truncate(&what, 60),
            ways.join(" and ")
        ),
        summary: format!(
            "{} was refused at {}; {} then succeeded by {}.",
            denial.tool_name,
            denial.time,
            truncate(&action.name, 80),
            ways.join(" and ")
        ),
        recommendation: "Find out whether the second way was meant to be open; if not, close it, and treat what was \
                         reached as exposed.",
        evidence: vec![Evidence {
            feature: "way".to_owned(),
            observed: ways.join(", "),
            expected: vec!["the refusal holds, or the same way is retried".to_owned()],
            baseline_count: Some(u64::from(scene.agent.sessions_learned)),
            ..Evidence::default()
        }],
        steps: vec![
            Step {
                time: denial.time,
                event: denial.event.to_string(),
                what: format!("{} was denied", denial.tool_name),
            },
            Step {
                time: scene.event.time,
                event: scene.id.to_owned(),
                what: format!("{} succeeded", truncate(&action.name, 80)),
            },
        ],
        events: vec![denial.event.to_string(), scene.id.to_owned()],
        ..base(scene, "denied_then_achieved")
    })
}

fn grant(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let grant = scene.event.grant.as_ref()?;
    if scene.event.action.kind != ActionKind::PermissionChange && scene.event.action.access != Some(Access::Grant) {
        return None;
    }
    let given = grant.permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ");
    let evidence = |expected: &str| {
        vec![Evidence {
            feature: "grant".to_owned(),
            observed: format!("{given} to {}", grant.to),
            expected: vec![expected.to_owned()],
            baseline_count: Some(u64::from(scene.agent.grants)),
            ..Evidence::default()
        }]
    };
    let names = [Some(&*scene.agent.id), scene.event.agent.name.as_deref(), scene.event.agent.spiffe_id.as_deref()];
    if names.contains(&Some(grant.to.as_str())) {
        return Some(Finding {
            severity: Severity::Critical,
            title: format!("{} gave itself {}", scene.agent.id, truncate(&given, 80)),
            summary: "An agent that grants itself permissions has left its purpose, whoever told it to.".to_owned(),
            recommendation: "Take the grant back, suspend the agent, and see what it did with it.",
            evidence: evidence("grants come from others"),
            ..base(scene, "self_grant")
        });
    }
    if scene.agent.grants > 0 {
        return None;
    }
    // A new agent whose peers give permissions is expected to; one with a history of not doing so is not.
    let peers = scene
        .group()
        .map_or(0, |group| group.usage(Dimension::Tool as u8).map_or(0, |usage| usage.agents(scene.observation.tool)));
    let warm = scene.agent.sessions_learned >= WARM_SESSIONS;
    if !warm && (peers > 0 || scene.group().is_none_or(|group| group.agents < 3)) {
        return None;
    }
    Some(Finding {
        severity: if peers > 0 { Severity::Low } else { Severity::High },
        basis: vec![Basis::Unusual],
        title: format!(
            "{} gave {} to {}: its first grant",
            scene.agent.id,
            truncate(&given, 60),
            truncate(&grant.to, 60)
        ),
        summary: format!(
            "In {} sessions it never gave a permission; {peers} of its peers do.",
            scene.agent.sessions_learned
        ),
        recommendation: "Ask whoever it acts for whether the grant was wanted; if not, take it back.",
        evidence: evidence("none so far"),
        ..base(scene, "first_grant")
    })
}

fn base(scene: &Scene<'_, '_>, kind: &'static str) -> Finding {
    Finding {
        basis: vec![Basis::OutsideGrant],
        severity: Severity::High,
        events: vec![scene.id.to_owned()],
        techniques: Techniques { attack: &["T1548", "T1098"], atlas: &["AML.T0053"], owasp: &["ASI03"] },
        ..Finding::deterministic(NAME, kind, scene.id.to_owned())
    }
}
