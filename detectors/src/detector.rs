//! What every detector is.

use driftline_core::Event;

use crate::agent::AgentState;
use crate::finding::Finding;
use crate::lexicon::Lexicon;
use crate::neighbours::Group;
use crate::observation::{Dimension, Observation};
use crate::pitman_yor::Level;
use crate::registry::Registered;
use crate::session::Session;
use crate::tool_names::ToolNames;
use crate::world::World;

/// An event with all that it is judged by.
pub struct Scene<'s, 'a> {
    /// The event.
    pub event: &'s Event<'a>,
    /// Its id, which differs from the event's where a producer reused one.
    pub id: &'s str,
    /// Its feature values.
    pub observation: &'s Observation,
    /// What the control log says.
    pub world: &'s World,
    /// The agent's identity document.
    pub document: Option<&'s Registered>,
    /// The agent, with each detector's own sequential statistic.
    pub agent: &'s mut AgentState,
    /// The session, before the event is noted in it.
    pub session: &'s mut Session,
    /// Names of categories.
    pub lexicon: &'s mut Lexicon,
    /// Stems of tools' names.
    pub(crate) tool_names: &'s mut ToolNames,
    /// How strange the act is for the session's request, in nats: `context` tells it, `target` adds to it.
    pub(crate) unasked: f64,
    /// Whether the clock has passed the event: it is scored, but nothing is reopened.
    pub late: bool,
}

impl<'s> Scene<'s, '_> {
    /// The agent's peers: looked up when asked for, which few events do.
    pub fn group(&self) -> Option<&'s Group> {
        self.world.neighbours.group(self.agent.group_key)
    }

    /// What the agent is called.
    pub fn name(&self) -> &str {
        self.event.agent.name.as_deref().unwrap_or(&self.agent.id)
    }

    /// The most usual categories of a dimension, each with its share.
    pub fn usual(&self, dimension: Dimension) -> Vec<String> {
        let Some(counts) = self.agent.counts(dimension) else { return Vec::new() };
        let total = counts.total().max(1) as f64;
        let top = counts.top(3).into_iter();
        top.map(|(key, count)| format!("{} ({:.0}%)", self.lexicon.name(key), 100.0 * f64::from(count) / total))
            .collect()
    }

    /// How many of its peers use a category, in words; `None` where it has none.
    pub fn users(&self, dimension: Dimension, key: u64) -> Option<String> {
        self.group().filter(|group| group.agents > 0).map(|group| {
            let users = group.usage(dimension as u8).map_or(0, |usage| usage.agents(key));
            format!("{} of {} peers", u64::from(users).min(group.agents), group.agents)
        })
    }

    /// A category's p-value among its peers, then in the fleet.
    pub fn peers(&self, dimension: Dimension, key: u64) -> f64 {
        let tail = |group: Option<&Group>, above: &dyn Fn() -> f64| {
            group.and_then(|group| group.usage(dimension as u8)).map_or_else(above, |usage| usage.tail(key, above))
        };
        tail(self.group(), &|| tail(self.fleet(), &|| 1.0))
    }

    /// Its fleet.
    pub fn fleet(&self) -> Option<&'s Group> {
        self.world.neighbours.group(self.agent.fleet_key)
    }
}

/// A detector scores an event against what was learned before it, and learns nothing: learning is the engine's, after
/// all have scored.
///
/// Each has a file of its own with its method's source. The conformance suite (`tests/conformance.rs`) runs over
/// [`DETECTORS`], so that a new one need only be listed there.
pub trait Detector: Sync {
    /// Its name in alerts, scores and metrics.
    fn name(&self) -> &'static str;

    /// The kinds of its findings.
    fn kinds(&self) -> &'static [&'static str];

    /// Scores an event: bets in the session, adds findings, and returns the event's p-value.
    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64;
}

/// All detectors, in the order in which they score.
pub const DETECTORS: [&dyn Detector; 9] = [
    &crate::novelty::Novelty,
    &crate::network::Network,
    &crate::context::Context,
    &crate::target::Target,
    &crate::exfiltration::Exfiltration,
    &crate::rate::Rate,
    &crate::identity::Identity,
    &crate::escalation::Escalation,
    &crate::drift::DriftDetector,
];
