//! Identity: what the agent's identity document says against the act.
//!
//! Deterministic, after the contract's identity document: a suspended or retired agent that acts, a tool or a resource
//! that the document does not provide for, a canary, and an agent without a document where nearly all have one. Where
//! most have none yet, that is one finding about the tenant ([`crate::inventory`]), not an alert an agent.

use driftline_core::{Access, Basis, Evidence, Severity, Status, truncate};

use crate::detector::{Detector, Scene};
use crate::finding::{Finding, Techniques};
use crate::observation::{family, is_change, resources};

/// See the module.
pub struct Identity;

const NAME: &str = "identity";
/// Resources of one act that are shown one by one.
const MOST_EVIDENCE: usize = 8;

impl Detector for Identity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "suspended_agent",
            "retired_agent",
            "canary_touched",
            "undeclared_tool",
            "undeclared_resource",
            "shadow_agent",
        ]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let before = findings.len();
        if scene.document.is_some() {
            findings.extend(status(scene));
            findings.extend(canary(scene));
            findings.extend(tool(scene));
            findings.extend(resource(scene));
        } else {
            findings.extend(shadow(scene));
        }
        if findings.len() > before { 0.0 } else { 1.0 }
    }
}

fn status(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let document = scene.document?;
    let (kind, word) = match document.document.status {
        Status::Active => return None,
        Status::Suspended => ("suspended_agent", "suspended"),
        Status::Retired => ("retired_agent", "retired"),
    };
    if !scene.session.raise_once(kind, "") {
        return None;
    }
    Some(Finding {
        severity: Severity::Critical,
        title: format!("{} is {word}, and acts: {}", scene.agent.id, short(&scene.event.action.name)),
        summary: format!("Its identity document says that it is {word}; whatever acts under its name must not."),
        recommendation: "Revoke its credentials now, and find out what still runs under its name.",
        evidence: vec![Evidence {
            feature: "status".to_owned(),
            observed: "acts".to_owned(),
            expected: vec![word.to_owned()],
            ..Evidence::default()
        }],
        techniques: Techniques { attack: &["T1078"], atlas: &[], owasp: &["ASI03", "ASI10"] },
        ..base(scene, kind)
    })
}

fn canary(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let tool = scene.event.action.name.as_str();
    if !scene.document?.is_canary(tool) || !scene.session.raise_once("canary_touched", tool) {
        return None;
    }
    Some(Finding {
        severity: Severity::Critical,
        title: format!("{} called {}, a tool that no honest run calls", scene.agent.id, short(tool)),
        summary: "The tool is a canary: it exists to be called by what has taken the agent over.".to_owned(),
        recommendation: "Stop the session, and read what the agent had read before this call.",
        evidence: vec![tool_evidence(scene)],
        techniques: Techniques { attack: &[], atlas: &["AML.T0051"], owasp: &["ASI01"] },
        ..base(scene, "canary_touched")
    })
}

fn tool(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let (document, action) = (scene.document?, &scene.event.action);
    if scene.session.has_used(scene.observation.tool)
        || document.allows_tool(&action.name, action.server.as_deref())
        || document.is_canary(&action.name)
        || !scene.session.raise_once("undeclared_tool", &action.name)
    {
        return None;
    }
    Some(Finding {
        severity: if is_change(scene.event) { Severity::High } else { Severity::Medium },
        title: format!(
            "{} called {}, which its identity document does not provide for",
            scene.agent.id,
            short(&action.name)
        ),
        summary: format!("The document lists {} tools; this is none of them.", document.document.tools.len()),
        recommendation: "Ask the owner: either the document lags behind a release, or the agent does what it is not for.",
        evidence: vec![tool_evidence(scene)],
        ..base(scene, "undeclared_tool")
    })
}

/// All resources of the event that the document does not provide for, in one finding: they are one act.
fn resource(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let (document, event) = (scene.document?, scene.event);
    let access = event.action.access.unwrap_or(if is_change(event) { Access::Write } else { Access::Read });
    let mut outside = Vec::new();
    for (index, resource) in resources(event).enumerate() {
        let seen = scene.observation.touched.get(index).is_some_and(|touched| scene.session.has_used(touched.resource));
        if !seen
            && !document.allows_data(&resource.id, access, resource.sensitivity, event.time)
            && scene.session.raise_once("undeclared_resource", family(&resource.id))
        {
            outside.push(resource.id.as_str());
        }
    }
    let first = outside.first()?;
    let expected: Vec<String> =
        document.document.data_access.iter().take(4).map(|data| data.resource.clone()).collect();
    let evidence = outside.iter().take(MOST_EVIDENCE).map(|id| Evidence {
        feature: "resource".to_owned(),
        observed: (*id).to_owned(),
        expected: expected.clone(),
        baseline_count: Some(u64::from(scene.agent.sessions_learned)),
        ..Evidence::default()
    });
    let more = match outside.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(Finding {
        severity: if is_change(event) { Severity::High } else { Severity::Medium },
        title: format!(
            "{} touched {}{more}, which its identity document does not provide for",
            scene.agent.id,
            short(first)
        ),
        summary: "The resource, or this access to it, is outside the data that the document lists.".to_owned(),
        recommendation: "Ask the owner: either the document lags behind the work, or the agent reaches for data that \
                         is not its own.",
        evidence: evidence.collect(),
        techniques: Techniques { attack: &["T1078"], atlas: &[], owasp: &["ASI02", "ASI03"] },
        ..base(scene, "undeclared_resource")
    })
}

fn shadow(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    if scene.agent.shadow_raised || !scene.world.is_registered(&scene.agent.tenant) {
        return None;
    }
    scene.agent.shadow_raised = true;
    let coverage = scene.world.coverage.get(&*scene.agent.tenant).copied().unwrap_or_default();
    Some(Finding {
        severity: Severity::High,
        title: format!("{} acts, and has no identity document", scene.agent.id),
        summary: format!(
            "{} of {} agents of this tenant are registered; nobody answers for this one.",
            coverage.registered,
            coverage.registered + coverage.unregistered
        ),
        recommendation: "Find out who runs it: register it with an owner, or revoke what it acts with.",
        evidence: vec![Evidence {
            feature: "identity_document".to_owned(),
            observed: "none".to_owned(),
            expected: vec!["one for every agent".to_owned()],
            ..Evidence::default()
        }],
        techniques: Techniques { attack: &["T1078"], atlas: &[], owasp: &["ASI03", "ASI10"] },
        ..base(scene, "shadow_agent")
    })
}

fn tool_evidence(scene: &Scene<'_, '_>) -> Evidence {
    let expected = scene
        .document
        .map(|document| document.document.tools.iter().take(4).map(|tool| tool.id.clone()).collect())
        .unwrap_or_default();
    Evidence {
        feature: "tool".to_owned(),
        observed: scene.event.action.name.to_string(),
        expected,
        baseline_count: Some(u64::from(scene.agent.tools.count(scene.observation.tool))),
        ..Evidence::default()
    }
}

fn base(scene: &Scene<'_, '_>, kind: &'static str) -> Finding {
    Finding {
        basis: vec![Basis::Undeclared],
        severity: Severity::Medium,
        events: vec![scene.id.to_owned()],
        techniques: Techniques { attack: &[], atlas: &[], owasp: &["ASI02"] },
        ..Finding::deterministic(NAME, kind, scene.id.to_owned())
    }
}

fn short(text: &str) -> String {
    truncate(text, 80).into_owned()
}
