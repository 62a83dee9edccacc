//! Novelty: tools and resources that the agent seldom or never uses.
//!
//! A tool backs off from the agent to its identity document (declared, never used), its peer group and the fleet. A
//! resource backs off to its family, and the family to those of peers and fleet: a customer never read before is
//! nothing where customers are read, a first look into payroll is something. Each category counts once a session, when
//! it is first used, so that a loop is not a hundred surprises; the bets of a session multiply
//! ([`crate::evidence`]). Method: [`crate::pitman_yor`].

use driftline_core::{Basis, Evidence, truncate};

use crate::decision::{one_in, severity};
use crate::detector::{Detector, Scene};
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::observation::{Dimension, Touched, family, resources};
use crate::pitman_yor::Level;
use crate::session::Surprise;

/// See the module.
pub struct Novelty;

const NAME: &str = "novelty";
/// What an event's novelty counts beside context and target, which weigh the same tool and resources.
const BESIDE: f64 = 0.1;
/// Most characters of a tool or resource that are kept for the explanation.
const LONGEST_WORDS: usize = 256;

impl Detector for Novelty {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["unusual_tool", "unusual_resource"]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let p = tool(scene) * touched(scene);
        if let Some(finding) = judge(scene) {
            findings.push(finding);
        }
        // Where there is a request, context and target weigh the same tool and resources by what was asked for, and what is
        // left to novelty is less. The session's evidence is gathered all the same.
        if scene.session.pursuit.is_some() { p.powf(BESIDE) } else { p }
    }
}

/// The tool's p-value, bet on at its first use in the session.
fn tool(scene: &mut Scene<'_, '_>) -> f64 {
    let key = scene.observation.tool;
    if scene.session.has_used(key) {
        return 1.0;
    }
    let agent = &*scene.agent;
    let of_others = || declared(scene, key).max(scene.peers(Dimension::Tool, key));
    let p = agent.with_release(agent.tools.tail(key, of_others));
    if agent.tools.count(key) == 0 {
        scene.lexicon.note(key, &scene.event.action.name);
    }
    bet(scene, Dimension::Tool, key, p, |scene| scene.event.action.name.to_string());
    p
}

/// The resources' p-values, the least of them for the event.
fn touched(scene: &mut Scene<'_, '_>) -> f64 {
    let mut least = 1.0f64;
    // By index: the scene is lent out while one is bet on.
    for i in 0..scene.observation.touched.len() {
        let touched = scene.observation.touched[i];
        if scene.session.has_used(touched.resource) {
            continue;
        }
        let p = resource(scene, &touched);
        let agent = &*scene.agent;
        if agent.families.count(touched.family) == 0
            && let Some(resource) = resources(scene.event).nth(touched.index)
        {
            scene.lexicon.note(touched.family, family(&resource.id));
        }
        bet(scene, Dimension::Resource, touched.resource, p, |scene| {
            resources(scene.event).nth(touched.index).map(|resource| resource.id.to_string()).unwrap_or_default()
        });
        least = least.min(p);
    }
    least
}

fn resource(scene: &Scene<'_, '_>, touched: &Touched) -> f64 {
    let agent = &*scene.agent;
    // Peers are known by the families that they use, not by every resource.
    let of_peers = || scene.peers(Dimension::Family, touched.family);
    let family = || {
        // A family used before in this session was bet on when it was.
        if scene.session.has_used(touched.family) {
            return 1.0;
        }
        match agent.families.count(touched.family) {
            0 => agent.families.tail(touched.family, of_peers),
            // How often its resources are new says nothing against the agent.
            _ => 1.0,
        }
    };
    agent.with_release(agent.resources.tail(touched.resource, family))
}

/// The p-value of a tool that the identity document lists and that the agent never used: one of those.
fn declared(scene: &Scene<'_, '_>, key: u64) -> f64 {
    let Some(document) = scene.document.filter(|document| !document.document.tools.is_empty()) else { return 0.0 };
    if !document.allows_tool(&scene.event.action.name, scene.event.action.server.as_deref()) {
        return 0.0;
    }
    let used = scene.agent.tools.distinct();
    let unused = document.document.tools.len().saturating_sub(used) + usize::from(scene.agent.tools.count(key) == 0);
    1.0 / unused.max(1) as f64
}

fn bet(scene: &mut Scene<'_, '_>, dimension: Dimension, key: u64, p: f64, observed: impl Fn(&Scene<'_, '_>) -> String) {
    // Only what may have to be explained is put into words.
    let words = if p < 0.05 { truncate(&observed(scene), LONGEST_WORDS).into_owned() } else { String::new() };
    let event = if p < 0.05 { scene.id.to_owned() } else { String::new() };
    scene.session.bet(Surprise { dimension, key, observed: words, event, p });
}

/// Turns the session's evidence into a finding where it has passed the level, or a further severity.
fn judge(scene: &mut Scene<'_, '_>) -> Option<Finding> {
    let evidence = scene.session.wealth.largest();
    let severity = severity(evidence, scene.world.level(scene.agent))?;
    if scene.session.surprises.is_empty() || !scene.session.rises_to(severity) {
        return None;
    }
    let strongest = scene.session.surprises.first()?.clone();
    let p_value = (-evidence).exp();
    let agent = scene.name();
    let (kind, title) = match strongest.dimension {
        Dimension::Tool => (
            "unusual_tool",
            format!("{agent} called {}, which it {}", short(&strongest.observed), habit(scene, &strongest)),
        ),
        _ => (
            "unusual_resource",
            format!("{agent} touched {}, which it {}", short(&strongest.observed), habit(scene, &strongest)),
        ),
    };
    let others = scene.session.surprises.len() - 1;
    let summary = format!(
        "{} in this session {}: evidence as strong comes from {} of this agent's honest sessions.",
        match others {
            0 => "One act".to_owned(),
            _ => format!("{} acts", others + 1),
        },
        if others == 0 { "departs from its baseline" } else { "depart from its baseline together" },
        one_in(p_value),
    );
    let evidence_rows = scene.session.surprises.iter().map(|surprise| explain(scene, surprise)).collect();
    Some(Finding {
        detector: NAME,
        family: DEVIATION,
        kind,
        basis: vec![Basis::Unusual],
        severity,
        anchor: format!("{}/{severity}", scene.session.first_event),
        title,
        summary,
        recommendation: "Ask the owner whether this work was intended; if nobody knows of it, suspend the agent's \
                         credentials and read what it had read just before the first of these events.",
        evidence: evidence_rows,
        steps: Vec::new(),
        drift: None,
        events: scene.session.contributing(),
        p_value: Some(p_value),
        e_value: Some(evidence.exp().min(f64::MAX)),
        techniques: Techniques { attack: &[], atlas: &["AML.T0051.001"], owasp: &["ASI01", "ASI02"] },
    })
}

fn short(text: &str) -> String {
    truncate(text, 80).into_owned()
}

fn habit(scene: &Scene<'_, '_>, surprise: &Surprise) -> String {
    let sessions = scene.agent.sessions_learned;
    let count = match surprise.dimension {
        Dimension::Tool => scene.agent.tools.count(surprise.key),
        _ => scene.agent.resources.count(surprise.key),
    };
    match count {
        0 if sessions == 0 => "has no history to explain".to_owned(),
        0 => format!("never did in {sessions} sessions"),
        _ => format!("did in {count} of {sessions} sessions"),
    }
}

fn explain(scene: &Scene<'_, '_>, surprise: &Surprise) -> Evidence {
    let (feature, dimension) = match surprise.dimension {
        Dimension::Tool => ("tool", Dimension::Tool),
        _ => ("resource", Dimension::Family),
    };
    let key = match surprise.dimension {
        Dimension::Tool => surprise.key,
        _ => scene
            .observation
            .touched
            .iter()
            .find(|touched| touched.resource == surprise.key)
            .map_or(surprise.key, |touched| touched.family),
    };
    Evidence {
        feature: feature.to_owned(),
        observed: surprise.observed.clone(),
        expected: scene.usual(dimension),
        baseline_count: Some(u64::from(scene.agent.sessions_learned)),
        peers: scene.users(dimension, key),
        p_value: Some(surprise.p),
    }
}
