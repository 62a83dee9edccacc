//! The series of one agent, and what they are made from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_core::{Alert, Severity, Timestamp, truncate};
use driftline_detectors::drift::Aspect;
use prometheus::{GaugeVec, IntCounterVec};

use super::register::Register;

/// Tools of an agent that have a series at the same time.
pub const TOOLS: usize = 5;

/// Longest label, in characters.
pub const LABEL: usize = 128;

/// What is known of an agent, whether it has series or not.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Story {
    /// Its risk, 0 to 100.
    pub risk: f64,
    /// How far it has drifted, in the order of [`Aspect::ALL`].
    pub drift: [f64; 6],
    /// When it changed, as the last drift alert of each dimension has it.
    changes: [Option<Timestamp>; 6],
    /// Severity and time of the last alert, by detector and kind.
    alerts: BTreeMap<(String, String), (Severity, Timestamp)>,
    /// Tools whose use has moved, the most first.
    tools: Vec<(String, f64)>,
}

impl Story {
    /// Takes note of the tools that moved. A drift alert begins the evidence anew: what led to it is told until there is other.
    pub fn set_tools(&mut self, tools: Vec<(String, f64)>) {
        if !tools.is_empty() || self.changes.iter().all(Option::is_none) {
            self.tools = tools;
        }
    }

    /// Takes note of an alert.
    pub fn add(&mut self, alert: &Alert) {
        self.risk = alert.risk;
        self.alerts.insert((alert.detector.clone(), alert.kind.clone()), (alert.severity, alert.time));
        if let Some(drift) = &alert.drift {
            let moved = Aspect::ALL.into_iter().zip(&mut self.changes).filter(|(it, _)| it.name() == drift.dimension);
            moved.for_each(|(_, change)| *change = Some(drift.since));
        }
    }
}

/// What is shown of an agent beside its risk, so that it can be taken back.
#[derive(Debug, Default)]
pub struct Shown {
    alerts: BTreeMap<(String, String), Severity>,
    /// Since when a tool is not among those that moved most; `None` while it is.
    tools: BTreeMap<String, Option<Instant>>,
}

/// Families of series by tenant and agent.
#[derive(Debug)]
pub struct AgentSeries {
    pub risk: GaugeVec,
    pub events: IntCounterVec,
    pub alerts: IntCounterVec,
    pub drift: GaugeVec,
    changes: GaugeVec,
    last_alert: GaugeVec,
    tools: GaugeVec,
}

impl AgentSeries {
    pub(super) fn new(r: &mut Register) -> Self {
        let labels = &["tenant", "agent"];
        Self {
            risk: r.levels(
                "agent_risk",
                "The agent's risk, 0 to 100; of `other`, the highest of those without a series of their own.",
                labels,
            ),
            events: r.counters("agent_events_total", "The agent's events.", labels),
            alerts: r.counters("agent_alerts_total", "The agent's alerts.", labels),
            drift: r.levels(
                "agent_drift",
                "How far what the agent does has drifted: 0 for no sign of it, 1 where it is alerted on; on a scale of orders \
                 of magnitude. Of `other`, the furthest of the last ten to twenty minutes.",
                &["tenant", "agent", "dimension"],
            ),
            changes: r.levels(
                "agent_change_timestamp_seconds",
                "Since when the agent does otherwise, in Unix seconds of event time, as its last drift alert has it.",
                &["tenant", "agent", "dimension"],
            ),
            last_alert: r.levels(
                "agent_last_alert_timestamp_seconds",
                "Event time of the agent's last alert of a kind, in Unix seconds; also of those before it had series.",
                &["tenant", "agent", "detector", "kind", "severity"],
            ),
            tools: r.levels(
                "agent_tool_change_ratio",
                "Share of the agent's sessions that called a tool since the bets on drift began to pay, less the share that \
                 is usual in the same tasks, -1 to 1; of the five tools that moved most. What led to a drift alert stays until \
                 there is other evidence.",
                &["tenant", "agent", "tool"],
            ),
        }
    }

    /// Shows what is known of an agent at `now`. A tool keeps its series for `hold` after it was last among those that moved
    /// most, and no other takes its place before: names that change at every session make no more series.
    pub fn show(&self, agent: [&str; 2], story: &Story, shown: &mut Shown, now: Instant, hold: Duration) {
        let [tenant, id] = agent;
        self.risk.with_label_values(&agent).set(story.risk);
        // Those that count are there from the start, so that their first move is seen.
        self.events.with_label_values(&agent);
        self.alerts.with_label_values(&agent);
        for ((aspect, drift), change) in Aspect::ALL.iter().zip(story.drift).zip(story.changes) {
            let labels = [tenant, id, aspect.name()];
            self.drift.with_label_values(&labels).set(drift);
            if let Some(since) = change {
                self.changes.with_label_values(&labels).set(seconds(since));
            }
        }
        for ((detector, kind), (severity, time)) in &story.alerts {
            let before = shown.alerts.insert((detector.clone(), kind.clone()), *severity);
            if let Some(before) = before.filter(|before| before != severity) {
                self.forget_alert(agent, detector, kind, before);
            }
            let labels = [tenant, id, detector, kind, severity.as_str()];
            self.last_alert.with_label_values(&labels).set(seconds(*time));
        }
        self.show_tools(agent, story, &mut shown.tools, now, hold);
    }

    fn show_tools(
        &self,
        [tenant, id]: [&str; 2],
        story: &Story,
        shown: &mut BTreeMap<String, Option<Instant>>,
        now: Instant,
        hold: Duration,
    ) {
        let moved: BTreeMap<String, f64> =
            story.tools.iter().map(|(tool, by)| (truncate(tool, LABEL).into_owned(), *by)).collect();
        shown.retain(|tool, still_since| {
            if moved.contains_key(tool) {
                *still_since = None;
                return true;
            }
            let labels = [tenant, id, tool.as_str()];
            self.tools.with_label_values(&labels).set(0.0);
            let keep = now.saturating_duration_since(*still_since.get_or_insert(now)) < hold;
            if !keep {
                forget(&self.tools, &labels);
            }
            keep
        });
        for (tool, by) in moved {
            if shown.contains_key(&tool) || shown.len() < TOOLS {
                self.tools.with_label_values(&[tenant, id, &tool]).set(by);
                shown.insert(tool, None);
            }
        }
    }

    /// Takes an agent's series back.
    pub fn hide(&self, agent: [&str; 2], shown: &Shown) {
        let [tenant, id] = agent;
        forget(&self.risk, &agent);
        // An error says that there was no such series: nothing is left of it either way.
        let _ = self.events.remove_label_values(&agent);
        let _ = self.alerts.remove_label_values(&agent);
        for aspect in Aspect::ALL {
            forget(&self.drift, &[tenant, id, aspect.name()]);
            forget(&self.changes, &[tenant, id, aspect.name()]);
        }
        for ((detector, kind), severity) in &shown.alerts {
            self.forget_alert(agent, detector, kind, *severity);
        }
        for tool in shown.tools.keys() {
            forget(&self.tools, &[tenant, id, tool]);
        }
    }

    fn forget_alert(&self, [tenant, id]: [&str; 2], detector: &str, kind: &str, severity: Severity) {
        forget(&self.last_alert, &[tenant, id, detector, kind, severity.as_str()]);
    }
}

fn forget(gauges: &GaugeVec, labels: &[&str]) {
    // As above.
    let _ = gauges.remove_label_values(labels);
}

fn seconds(time: Timestamp) -> f64 {
    time.millis() as f64 / 1000.0
}
