//! Target: would this act touch these resources and recipients?
//!
//! What an act changes or reaches is weighed by where the target comes from ([`Origin`]): the request, the session, other
//! sessions, nowhere, or only the inside of a text that the session has read. How often targets of such an origin are
//! honest is learned by tool and role, backed off to the role of whichever tool, to all targets, and from there to what is to be
//! expected of anybody.

use driftline_core::{Origin, Origins, Targets};

use crate::detector::{Detector, Scene};
use crate::finding::Finding;
use crate::observation::is_change;
use crate::pursuit::{self, Pursuit, place, targets};
use crate::unasked::{TARGET, Unasked, judge};

/// Weights in observations: of a role's shares against those of one tool and role, of all targets' against those, and of what
/// is expected of anybody against those.
const ROLE: f64 = 20.0;
const ALL: f64 = 10.0;
const PRIOR: f64 = 10.0;
/// A target counts at most so many times what its origin is worth where nothing was learned: that a start time is most often
/// named does not make one that was looked up an attack.
const MOST: f64 = 1.3;
/// What the strangest of the other targets of an act counts beside the main one.
const OTHER: f64 = 0.5;
/// Shares to be expected by origin.
const EXPECTED: [f64; Origin::ALL.len()] = [0.5, 0.1, 0.1, 0.12, 0.07, 0.04, 0.06, 0.02, 0.01];

/// How strange a target of an act is, in nats; 0 or more. It is the tail: targets of its origin or of a stranger one.
fn surprise(tool: &str, target: pursuit::Target<'_>, origin: Origin, targets: &Targets) -> f64 {
    let place = place(tool, target);
    let (at, role, all) = (targets.at(place), targets.of_role(place), targets.all());
    let expected: f64 = EXPECTED[origin as usize..].iter().sum();
    let general = (tail(all, origin) + PRIOR * expected) / (total(all) + PRIOR);
    let role = (tail(&role, origin) + ALL * general) / (total(&role) + ALL);
    let own = (tail(&at, origin) + ROLE * role) / (total(&at) + ROLE);
    (-own.min(1.0).ln()).min(-MOST * expected.min(1.0).ln())
}

fn tail(counts: &Origins, origin: Origin) -> f64 {
    counts[origin as usize..].iter().map(|&count| f64::from(count)).sum()
}

fn total(counts: &Origins) -> f64 {
    tail(counts, Origin::Named)
}

/// The session's word on a target, corrected by what other sessions of the agent have touched.
fn origin(id: &str, pursuit: &Pursuit, is_known: impl Fn() -> bool) -> Origin {
    match pursuit.origin(id) {
        Origin::Line | Origin::New if is_known() => Origin::Elsewhere,
        origin => origin,
    }
}

/// See the module.
pub struct Target;

impl Detector for Target {
    fn name(&self) -> &'static str {
        "target"
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[TARGET]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let event = scene.event;
        let Some(pursuit) = scene.session.pursuit.as_deref().filter(|_| is_change(event)) else { return 1.0 };
        let agent = &*scene.agent;
        let learned = &agent.habits().targets;
        let mut unasked = Unasked { act: scene.unasked, targets: 0.0, target: None };
        let (mut main, mut worst_other, mut most) = (0.0, 0.0f64, 0.0);
        for (i, target) in targets(event) {
            let is_known = || {
                let key = scene.observation.touched.iter().find(|touched| touched.index == i).map(|it| it.resource);
                key.is_some_and(|key| agent.resources.count(key) > 0)
            };
            let origin = origin(target.id, pursuit, is_known);
            let surprise = surprise(&event.action.name, target, origin, learned);
            let counts = if i == 0 { surprise } else { OTHER * surprise };
            if i == 0 {
                main = f64::max(main, surprise);
            } else {
                worst_other = worst_other.max(surprise);
            }
            if unasked.target.is_none() || counts > most {
                most = counts;
                unasked.target = Some((target, origin));
            }
        }
        unasked.targets = main + OTHER * worst_other;
        findings.extend(judge(scene, unasked));
        (-unasked.targets).exp()
    }
}
