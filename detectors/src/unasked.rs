//! The finding that context and target come to together: an act that the session's request does not ask for.
//!
//! An act and what it is aimed at are two surprises of one event, and add up. A session is judged by its strangest event.
//! How strange honest sessions get was measured ([`p_value`]); it is not derived.

use driftline_core::{Basis, Evidence, Origin, truncate};

use crate::decision::{one_in, severity};
use crate::detector::Scene;
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::pursuit::{Deed, Target};

/// The kind of a finding whose act is the strangest about it, and of one whose target is.
pub const ACT: &str = "unasked_act";
pub const TARGET: &str = "unasked_target";
/// Honest sessions reach a surprise of x nats with a probability of about this, times e⁻ˣ: on simulated fleets without attacks
/// (72,000 sessions) 5 at 1 in 10, 18 at 1 in 100 (7.5 nats), 9 at 1 in 1,000 (9.1) and 3 at 1 in 10,000.
const HONEST: f64 = 15.0;
/// Most characters of a request, tool or target that are shown.
const SHOWN: usize = 120;

/// What is strange about an event: its act, and the strangest target, in nats.
#[derive(Debug, Clone, Copy)]
pub struct Unasked<'e> {
    /// Of the act.
    pub act: f64,
    /// Of its targets.
    pub targets: f64,
    /// The target that counts most, and where it comes from.
    pub target: Option<(Target<'e>, Origin)>,
}

/// The share of honest sessions that have an event as strange.
pub fn p_value(surprise: f64) -> f64 {
    (HONEST * (-surprise).exp()).min(1.0)
}

/// A finding where the event is stranger than the level allows, and stranger than what the session was alerted on for.
pub fn judge(scene: &mut Scene<'_, '_>, unasked: Unasked<'_>) -> Option<Finding> {
    let p_value = p_value(unasked.act + unasked.targets);
    let severity = severity(-p_value.ln(), scene.world.level(scene.agent))?;
    if !scene.session.rises_to(severity) {
        return None;
    }
    let requests = &scene.agent.habits().requests;
    let agent = scene.name();
    let tool = shown(&scene.event.action.name);
    let asked = shown(scene.event.request());
    let by_target = unasked.target.filter(|_| unasked.targets > unasked.act);
    let title = match by_target {
        Some((target, origin)) => format!("{agent} aimed {tool} at {}, {}", shown(target.id), told(origin)),
        None => format!("{agent} called {tool}, which nothing in its request asks for"),
    };
    let (detector, kind) = if by_target.is_some() { ("target", TARGET) } else { ("context", ACT) };
    let evidence = [
        Some(Evidence {
            feature: "act".to_owned(),
            observed: tool,
            expected: vec![format!("the request: {asked}")],
            baseline_count: Some(requests.len() as u64),
            peers: None,
            p_value: Some((-unasked.act).exp()),
        }),
        unasked.target.map(|(target, origin)| Evidence {
            feature: "target".to_owned(),
            observed: format!("{} ({})", shown(target.id), told(origin)),
            expected: usual(scene),
            baseline_count: Some(scene.agent.habits().targets.all().iter().map(|&count| u64::from(count)).sum()),
            peers: None,
            p_value: Some((-unasked.targets).exp()),
        }),
    ];
    Some(Finding {
        detector,
        family: DEVIATION,
        kind,
        basis: vec![Basis::Unusual],
        severity,
        anchor: format!("{}/{severity}", scene.session.first_event),
        title,
        summary: format!("Asked for “{asked}”, it did something as strange as {} honest sessions do.", one_in(p_value)),
        recommendation: "Read what the session had read just before this event: an instruction in it that is not the \
                         user's is an injection. Undo the act, and keep the source of the text away from the agent.",
        evidence: evidence.into_iter().flatten().collect(),
        steps: Vec::new(),
        drift: None,
        events: vec![scene.id.to_owned()],
        p_value: Some(p_value),
        e_value: None,
        techniques: Techniques { attack: &[], atlas: &["AML.T0051.001"], owasp: &["ASI01", "ASI02"] },
    })
}

fn shown(text: &str) -> String {
    truncate(text, SHOWN).into_owned()
}

/// Where targets of this agent usually come from, the most usual first.
fn usual(scene: &Scene<'_, '_>) -> Vec<String> {
    let all = scene.agent.habits().targets.all();
    let total = all.iter().map(|&count| f64::from(count)).sum::<f64>().max(1.0);
    let mut usual: Vec<_> = Origin::ALL.into_iter().zip(all).filter(|&(_, &count)| count > 0).collect();
    usual.sort_by_key(|&(origin, &count)| (std::cmp::Reverse(count), origin));
    let tell =
        |(origin, &count): (Origin, &u32)| format!("{} ({:.0}%)", told(origin), 100.0 * f64::from(count) / total);
    usual.into_iter().take(3).map(tell).collect()
}

/// Where a target comes from, as the end of a sentence.
const fn told(origin: Origin) -> &'static str {
    match origin {
        Origin::Named => "which the request names",
        Origin::HalfNamed => "which the request names in part",
        Origin::Used => "which the session has used before",
        Origin::Field => "a field of what the session has read",
        Origin::Elsewhere => "which other sessions have used",
        Origin::Line => "a line of what the session has read",
        Origin::New => "which comes from nothing that the session was asked or has read",
        Origin::TextAsked => "which stood only inside a text that it was asked to read",
        Origin::Text => "which stood only inside a text that it has read",
    }
}
