//! Series for the riskiest agents only: a fleet has more agents than a Prometheus server wants series.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_core::truncate;
use driftline_detectors::drift::Aspect;
use prometheus::{GaugeVec, IntCounterVec, IntGauge};

use super::register::Register;

/// Tenant and id.
type Agent = (String, String);

/// The labels of the series that stands for all agents without one: tenant and agent. No agent may bear them.
pub const OTHER: [&str; 2] = ["*", "other"];

/// Longest label, in characters.
const LABEL: usize = 128;

/// What became of an agent in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// Its risk now, 0 to 100.
    pub risk: f64,
    /// Its events in the batch.
    pub events: u64,
    /// Its alerts in the batch.
    pub alerts: u64,
}

/// The series of the `K` riskiest agents, with `other` for the rest.
///
/// An agent gets its series as soon as it is among the `K`, and loses it only when it has not been for
/// [`TopAgents::HOLD`]: so that a graph does not break off at every change of rank. There are never more than `2 K`.
/// What an agent did without a series is counted under `other`, and stays there.
#[derive(Debug)]
pub struct TopAgents {
    top: usize,
    members: BTreeMap<Agent, Member>,
    /// The riskiest of those without a series, at most `4 K`, with their risk.
    candidates: BTreeMap<Agent, f64>,
    risk: GaugeVec,
    events: IntCounterVec,
    alerts: IntCounterVec,
    drift: GaugeVec,
    left_out: IntGauge,
}

#[derive(Debug)]
struct Member {
    risk: f64,
    drift: [f64; 6],
    below_since: Option<Instant>,
}

impl TopAgents {
    /// How long an agent keeps its series after it was last among the riskiest.
    pub const HOLD: Duration = Duration::from_secs(600);

    pub(super) fn new(top: usize, r: &mut Register) -> Self {
        let labels = &["tenant", "agent"];
        Self {
            top,
            members: BTreeMap::new(),
            candidates: BTreeMap::new(),
            risk: r.levels(
                "agent_risk",
                "The agent's risk, 0 to 100; of `other`, the highest of those without a series of their own.",
                labels,
            ),
            events: r.counters("agent_events_total", "The agent's events.", labels),
            alerts: r.counters("agent_alerts_total", "The agent's alerts.", labels),
            drift: r.levels(
                "agent_drift",
                "How far what the agent does has drifted, of the riskiest agents: 0 for no sign of it, 1 where it is alerted on; \
                 on a scale of orders of magnitude.",
                &["tenant", "agent", "dimension"],
            ),
            left_out: r.gauge("agents_left_out", "Agents without a series of their own."),
        }
    }

    /// Takes note of what became of an agent in a batch. `drift` says how far it has drifted, in the order of
    /// [`Aspect::ALL`]; it is asked of those only that have a series.
    pub fn record(&mut self, tenant: &str, agent: &str, standing: Standing, drift: impl FnOnce() -> [f64; 6]) {
        let key = (truncate(tenant, LABEL).into_owned(), truncate(agent, LABEL).into_owned());
        let labels = match self.members.get_mut(&key) {
            Some(member) => {
                (member.risk, member.drift) = (standing.risk, drift());
                [key.0.as_str(), key.1.as_str()]
            }
            None => OTHER,
        };
        self.events.with_label_values(&labels).inc_by(standing.events);
        self.alerts.with_label_values(&labels).inc_by(standing.alerts);
        if labels == OTHER && [key.0.as_str(), key.1.as_str()] != OTHER {
            self.candidates.insert(key, standing.risk);
            self.drop_least_candidate();
        }
    }

    /// Decides at `now` who has a series, of `held` agents in all, and shows their risk.
    pub fn refresh(&mut self, now: Instant, held: u64) {
        let line = self.line();
        self.dismiss(line, now);
        self.admit(line);
        for ((tenant, agent), member) in &self.members {
            self.risk.with_label_values(&[tenant, agent]).set(member.risk);
            for (aspect, drift) in Aspect::ALL.iter().zip(member.drift) {
                self.drift.with_label_values(&[tenant, agent, aspect.name()]).set(drift);
            }
        }
        let highest = self.candidates.values().copied().fold(0.0, f64::max);
        self.risk.with_label_values(&OTHER).set(highest);
        let left_out = held.saturating_sub(self.members.len() as u64);
        self.left_out.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    }

    /// The risk of the `K`-th riskiest agent: who is above it is among the riskiest, who equals it keeps what it has.
    fn line(&self) -> f64 {
        let members = self.members.values().map(|member| member.risk);
        let mut risks: Vec<f64> = members.chain(self.candidates.values().copied()).collect();
        risks.sort_by(|a, b| b.total_cmp(a));
        match self.top.checked_sub(1) {
            Some(last) => risks.get(last).copied().unwrap_or(f64::NEG_INFINITY),
            None => f64::INFINITY,
        }
    }

    /// Gives series to candidates above the line, the riskiest first, and to those on it while fewer than `K` have one
    /// who are as risky: those who only wait to lose theirs stand in nobody's way.
    fn admit(&mut self, line: f64) {
        let risky = self.members.values().filter(|member| member.risk >= line).count();
        let mut candidates: Vec<(Agent, f64)> =
            self.candidates.iter().map(|(agent, risk)| (agent.clone(), *risk)).collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (risky, (agent, risk)) in (risky..).zip(candidates) {
            let belongs = risk > line || risk == line && risky < self.top;
            if !belongs || self.members.len() >= 2 * self.top {
                break;
            }
            self.candidates.remove(&agent);
            self.members.insert(agent, Member { risk, drift: [0.0; 6], below_since: None });
        }
    }

    /// Takes the series of members that have been below the line for long.
    fn dismiss(&mut self, line: f64, now: Instant) {
        let mut leaving = Vec::new();
        for (agent, member) in &mut self.members {
            if member.risk >= line {
                member.below_since = None;
            } else if now.saturating_duration_since(*member.below_since.get_or_insert(now)) >= Self::HOLD {
                leaving.push((agent.clone(), member.risk));
            }
        }
        for (agent, risk) in leaving {
            self.members.remove(&agent);
            let labels = [agent.0.as_str(), agent.1.as_str()];
            // An error says that there was no such series: nothing is left of it either way.
            let _ = self.risk.remove_label_values(&labels);
            let _ = self.events.remove_label_values(&labels);
            let _ = self.alerts.remove_label_values(&labels);
            for aspect in Aspect::ALL {
                let _ = self.drift.remove_label_values(&[labels[0], labels[1], aspect.name()]);
            }
            self.candidates.insert(agent, risk);
            self.drop_least_candidate();
        }
    }

    fn drop_least_candidate(&mut self) {
        if self.candidates.len() > 4 * self.top {
            let least = self.candidates.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(agent, _)| agent.clone());
            least.and_then(|least| self.candidates.remove(&least));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Metrics;

    fn risk(risk: f64) -> Standing {
        Standing { risk, events: 1, alerts: 0 }
    }

    fn none() -> [f64; 6] {
        [0.0; 6]
    }

    fn members(top: &TopAgents) -> Vec<&str> {
        top.members.keys().map(|(_, agent)| agent.as_str()).collect()
    }

    #[test]
    fn an_agent_joins_at_once_and_leaves_only_after_a_while() {
        let metrics = Metrics::new(2);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        top.record("", "a", risk(10.0), none);
        top.record("", "b", risk(20.0), none);
        top.refresh(start, 2);
        assert_eq!(members(&top), ["a", "b"]);

        top.record("", "c", risk(90.0), none);
        top.refresh(start, 3);
        assert_eq!(members(&top), ["a", "b", "c"], "c is there at once, and a not yet gone");

        let almost = TopAgents::HOLD - Duration::from_secs(1);
        top.refresh(start + almost, 3);
        assert_eq!(members(&top), ["a", "b", "c"]);
        top.record("", "a", risk(95.0), none);
        top.refresh(start + almost, 3);
        top.refresh(start + almost + TopAgents::HOLD, 3);
        assert_eq!(members(&top), ["a", "c"], "a came back above the line in time, and b fell below it");
        drop(top);
        let text = metrics.render();
        assert!(text.contains("driftline_agent_risk{agent=\"a\",tenant=\"\"} 95\n"), "{text}");
        assert!(text.contains("driftline_agent_risk{agent=\"other\",tenant=\"*\"} 20\n"), "{text}");
        assert!(text.contains("driftline_agents_left_out 1\n"), "{text}");
        assert!(!text.contains("agent=\"b\""), "{text}");
    }

    #[test]
    fn agents_on_the_line_do_not_wait_for_those_below_it_to_leave() {
        let metrics = Metrics::new(2);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        for agent in ["a", "b"] {
            top.record("", agent, risk(50.0), none);
        }
        top.refresh(start, 2);
        for agent in ["a", "b"] {
            top.record("", agent, risk(0.0), none);
        }
        for agent in ["c", "d", "e"] {
            top.record("", agent, risk(90.0), none);
        }
        top.refresh(start, 5);
        assert_eq!(members(&top), ["a", "b", "c", "d"], "c and d have what e equals");
    }

    #[test]
    fn what_is_not_counted_for_an_agent_is_counted_for_the_others() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        top.record("acme", "a", Standing { risk: 5.0, events: 3, alerts: 1 }, none);
        top.refresh(Instant::now(), 1);
        top.record("acme", "a", Standing { risk: 6.0, events: 4, alerts: 1 }, none);
        top.record("acme", "b", Standing { risk: 1.0, events: 7, alerts: 0 }, none);
        drop(top);
        let text = metrics.render();
        assert!(text.contains("driftline_agent_events_total{agent=\"a\",tenant=\"acme\"} 4\n"), "{text}");
        assert!(text.contains("driftline_agent_events_total{agent=\"other\",tenant=\"*\"} 10\n"), "{text}");
        assert!(text.contains("driftline_agent_alerts_total{agent=\"other\",tenant=\"*\"} 1\n"), "{text}");
    }

    #[test]
    fn drift_is_shown_by_dimension_of_agents_that_have_a_series() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        let drift = || [0.5, 0.0, 0.0, 0.0, 0.25, 0.0];
        top.record("", "a", risk(5.0), drift);
        top.refresh(Instant::now(), 1);
        top.record("", "a", risk(5.0), drift);
        top.refresh(Instant::now(), 1);
        drop(top);
        let text = metrics.render();
        assert!(text.contains("driftline_agent_drift{agent=\"a\",dimension=\"tools\",tenant=\"\"} 0.5\n"), "{text}");
        assert!(text.contains("driftline_agent_drift{agent=\"a\",dimension=\"length\",tenant=\"\"} 0.25\n"), "{text}");
        assert!(!text.contains("driftline_agent_drift{agent=\"other\""), "{text}");
    }

    #[test]
    fn an_agent_cannot_pass_for_the_others_nor_break_a_line() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        top.record("*", "other", risk(100.0), none);
        top.record("", "a\"} 1\nfake 1", risk(1.0), none);
        top.refresh(Instant::now(), 2);
        assert_eq!(members(&top), ["a\"} 1\nfake 1"]);
        drop(top);
        assert!(metrics.render().lines().all(|line| !line.starts_with("fake")));
    }

    #[test]
    fn where_none_are_asked_for_there_are_only_the_others() {
        let metrics = Metrics::new(0);
        let mut top = metrics.top_agents();
        top.record("", "a", risk(50.0), none);
        top.refresh(Instant::now(), 1);
        assert!(members(&top).is_empty());
    }

    proptest! {
        #[test]
        fn series_are_bounded_whatever_happens(steps in prop::collection::vec((0u8..60, 0u8..100, 0u64..400), 1..200)) {
            let metrics = Metrics::new(3);
            let mut top = metrics.top_agents();
            let mut now = Instant::now();
            for (agent, level, seconds) in steps {
                now += Duration::from_secs(seconds);
                top.record("", &agent.to_string(), risk(f64::from(level)), none);
                top.refresh(now, 60);
                prop_assert!(top.members.len() <= 6 && top.candidates.len() <= 12);
                // Whoever is riskiest of all has a series.
                let highest = top.candidates.values().copied().fold(0.0, f64::max);
                prop_assert!(top.members.len() == 6 || top.members.values().any(|member| member.risk >= highest));
            }
        }
    }
}
