//! Series for the riskiest agents only: a fleet has more agents than a Prometheus server wants series.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_core::{Alert, truncate};
use driftline_detectors::drift::Aspect;
use prometheus::IntGauge;

use super::agent_series::{AgentSeries, LABEL, Shown, Story};
use super::register::Register;

/// Tenant and id.
type Agent = (String, String);

/// The labels of the series that stands for all agents without one: tenant and agent. No agent may bear them.
pub const OTHER: [&str; 2] = ["*", "other"];

/// How far an agent without series has drifted in its tools where it is remembered which of them: an alert begins the evidence
/// anew, and may be what gives the agent its series.
const FAR: f64 = 0.25;

/// What became of an agent in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// Its risk now, 0 to 100.
    pub risk: f64,
    /// Its events in the batch.
    pub events: u64,
}

/// The series of the `K` riskiest agents, with `other` for the rest.
///
/// An agent gets its series as soon as it is among the `K`, and loses it only when it has not been for
/// [`TopAgents::HOLD`]: so that a graph does not break off at every change of rank. There are never more than `2 K`.
/// What an agent did without a series is counted under `other`, and stays there; but for the alerts that have given it one.
#[derive(Debug)]
pub struct TopAgents {
    top: usize,
    members: BTreeMap<Agent, Member>,
    /// The riskiest of those without a series, at most `4 K`.
    candidates: BTreeMap<Agent, Candidate>,
    others: Peak,
    series: AgentSeries,
    left_out: IntGauge,
}

#[derive(Debug, Default)]
struct Member {
    story: Story,
    shown: Shown,
    below_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Candidate {
    story: Story,
    /// Alerts since it was last decided who has a series.
    alerts: u64,
}

/// The furthest drift by dimension of those without a series, of the last one or two times [`TopAgents::HOLD`].
#[derive(Debug, Default)]
struct Peak {
    begun: Option<Instant>,
    current: [f64; 6],
    before: [f64; 6],
}

impl Peak {
    fn note(&mut self, drift: [f64; 6]) {
        self.current = std::array::from_fn(|i| self.current[i].max(drift[i]));
    }

    fn at(&mut self, now: Instant) -> [f64; 6] {
        if now.saturating_duration_since(*self.begun.get_or_insert(now)) >= TopAgents::HOLD {
            (self.begun, self.before) = (Some(now), std::mem::take(&mut self.current));
        }
        std::array::from_fn(|i| self.current[i].max(self.before[i]))
    }
}

impl TopAgents {
    /// How long an agent keeps its series after it was last among the riskiest, and a tool its own after it was last among
    /// those that moved most.
    pub const HOLD: Duration = Duration::from_secs(600);

    pub(super) fn new(top: usize, r: &mut Register) -> Self {
        Self {
            top,
            members: BTreeMap::new(),
            candidates: BTreeMap::new(),
            others: Peak::default(),
            series: AgentSeries::new(r),
            left_out: r.gauge("agents_left_out", "Agents without a series of their own."),
        }
    }

    /// Takes note of what became of an agent in a batch, and how far it has drifted, in the order of [`Aspect::ALL`]. `tools`
    /// says which tools' use has moved, and by how much; it is asked of those only that have a series, or have drifted so far that
    /// they may soon get one.
    pub fn record(
        &mut self,
        tenant: &str,
        agent: &str,
        standing: Standing,
        drift: [f64; 6],
        tools: impl Fn() -> Vec<(String, f64)>,
    ) {
        let key = named(tenant, agent);
        let labels = match self.members.get_mut(&key) {
            Some(Member { story, .. }) => {
                (story.risk, story.drift) = (standing.risk, drift);
                story.set_tools(tools());
                [key.0.as_str(), key.1.as_str()]
            }
            None => OTHER,
        };
        self.series.events.with_label_values(&labels).inc_by(standing.events);
        if labels == OTHER {
            self.others.note(drift);
            if let Some(candidate) = self.candidate(key) {
                (candidate.story.risk, candidate.story.drift) = (standing.risk, drift);
                if drift[Aspect::Tools as usize] >= FAR {
                    candidate.story.set_tools(tools());
                }
                self.drop_least_candidate();
            }
        }
    }

    /// Takes note of an alert; of one about many agents, nothing.
    pub fn record_alert(&mut self, alert: &Alert) {
        let Some(agent) = &alert.agent else { return };
        let key = named(&alert.tenant, &agent.id);
        if let Some(Member { story, .. }) = self.members.get_mut(&key) {
            story.add(alert);
            self.series.alerts.with_label_values(&[&key.0, &key.1]).inc();
        } else if let Some(candidate) = self.candidate(key) {
            candidate.story.add(alert);
            candidate.alerts += 1;
            self.drop_least_candidate();
        } else {
            self.series.alerts.with_label_values(&OTHER).inc();
        }
    }

    /// Decides at `now` who has a series, of `held` agents in all, and shows how they stand.
    pub fn refresh(&mut self, now: Instant, held: u64) {
        let line = self.line();
        self.dismiss(line, now);
        self.admit(line);
        for ((tenant, agent), Member { story, shown, .. }) in &mut self.members {
            self.series.show([tenant, agent], story, shown, now, Self::HOLD);
        }
        let highest = self.candidates.values().map(|candidate| candidate.story.risk).fold(0.0, f64::max);
        self.series.risk.with_label_values(&OTHER).set(highest);
        for (aspect, drift) in Aspect::ALL.iter().zip(self.others.at(now)) {
            self.series.drift.with_label_values(&[OTHER[0], OTHER[1], aspect.name()]).set(drift);
        }
        let alerts: u64 = self.candidates.values_mut().map(|candidate| std::mem::take(&mut candidate.alerts)).sum();
        self.series.alerts.with_label_values(&OTHER).inc_by(alerts);
        let left_out = held.saturating_sub(self.members.len() as u64);
        self.left_out.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    }

    /// What is known of an agent without a series; `None` of one that would pass for the others.
    fn candidate(&mut self, key: Agent) -> Option<&mut Candidate> {
        ([key.0.as_str(), key.1.as_str()] != OTHER).then(|| self.candidates.entry(key).or_default())
    }

    /// The risk of the `K`-th riskiest agent: who is above it is among the riskiest, who equals it keeps what it has.
    fn line(&self) -> f64 {
        let members = self.members.values().map(|member| member.story.risk);
        let mut risks: Vec<f64> = members.chain(self.candidates.values().map(|it| it.story.risk)).collect();
        risks.sort_by(|a, b| b.total_cmp(a));
        match self.top.checked_sub(1) {
            Some(last) => risks.get(last).copied().unwrap_or(f64::NEG_INFINITY),
            None => f64::INFINITY,
        }
    }

    /// Gives series to candidates above the line, the riskiest first, and to those on it while fewer than `K` have one
    /// who are as risky: those who only wait to lose theirs stand in nobody's way.
    fn admit(&mut self, line: f64) {
        let risky = self.members.values().filter(|member| member.story.risk >= line).count();
        let mut candidates: Vec<(Agent, f64)> =
            self.candidates.iter().map(|(agent, it)| (agent.clone(), it.story.risk)).collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (risky, (agent, risk)) in (risky..).zip(candidates) {
            let belongs = risk > line || risk == line && risky < self.top;
            if !belongs || self.members.len() >= 2 * self.top {
                break;
            }
            let Candidate { story, alerts } = self.candidates.remove(&agent).unwrap_or_default();
            self.series.alerts.with_label_values(&[&agent.0, &agent.1]).inc_by(alerts);
            self.members.insert(agent, Member { story, ..Member::default() });
        }
    }

    /// Takes the series of members that have been below the line for long.
    fn dismiss(&mut self, line: f64, now: Instant) {
        let mut leaving = Vec::new();
        for (agent, member) in &mut self.members {
            if member.story.risk >= line {
                member.below_since = None;
            } else if now.saturating_duration_since(*member.below_since.get_or_insert(now)) >= Self::HOLD {
                leaving.push(agent.clone());
            }
        }
        for agent in leaving {
            if let Some(Member { story, shown, .. }) = self.members.remove(&agent) {
                self.series.hide([&agent.0, &agent.1], &shown);
                self.candidates.insert(agent, Candidate { story, alerts: 0 });
                self.drop_least_candidate();
            }
        }
    }

    fn drop_least_candidate(&mut self) {
        if self.candidates.len() > 4 * self.top {
            let by_risk =
                |a: &(&Agent, &Candidate), b: &(&Agent, &Candidate)| a.1.story.risk.total_cmp(&b.1.story.risk);
            let least = self.candidates.iter().min_by(by_risk).map(|(agent, _)| agent.clone());
            if let Some(dropped) = least.and_then(|least| self.candidates.remove(&least)) {
                self.series.alerts.with_label_values(&OTHER).inc_by(dropped.alerts);
            }
        }
    }
}

fn named(tenant: &str, agent: &str) -> Agent {
    (truncate(tenant, LABEL).into_owned(), truncate(agent, LABEL).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Metrics;

    fn risk(risk: f64) -> Standing {
        Standing { risk, events: 1 }
    }

    const NONE: [f64; 6] = [0.0; 6];

    fn no_tools() -> Vec<(String, f64)> {
        Vec::new()
    }

    fn alert(agent: &str, risk: f64, severity: &str, more: &str) -> Alert {
        let text = format!(
            r#"{{"schema":"driftline.alert/1","id":"00000000-0000-0000-0000-000000000000","fingerprint":"f","time":"2023-11-14T22:13:20Z",
            "detected_at":"2023-11-14T22:13:20Z","status":"firing","entities":[],"agent":{{"id":"{agent}"}},"detector":"identity",
            "family":"undeclared_tool","kind":"undeclared_tool","basis":["undeclared"],"title":"t","severity":"{severity}",
            "risk":{risk},"evidence":[],"events":[],"summary":"s","recommendation":"r","config":"c","labels":{{}}{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn members(top: &TopAgents) -> Vec<&str> {
        top.members.keys().map(|(_, agent)| agent.as_str()).collect()
    }

    #[test]
    fn an_agent_joins_at_once_and_leaves_only_after_a_while() {
        let metrics = Metrics::new(2);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        top.record("", "a", risk(10.0), NONE, no_tools);
        top.record("", "b", risk(20.0), NONE, no_tools);
        top.refresh(start, 2);
        assert_eq!(members(&top), ["a", "b"]);

        top.record("", "c", risk(90.0), NONE, no_tools);
        top.refresh(start, 3);
        assert_eq!(members(&top), ["a", "b", "c"], "c is there at once, and a not yet gone");

        let almost = TopAgents::HOLD - Duration::from_secs(1);
        top.refresh(start + almost, 3);
        assert_eq!(members(&top), ["a", "b", "c"]);
        top.record("", "a", risk(95.0), NONE, no_tools);
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
            top.record("", agent, risk(50.0), NONE, no_tools);
        }
        top.refresh(start, 2);
        for agent in ["a", "b"] {
            top.record("", agent, risk(0.0), NONE, no_tools);
        }
        for agent in ["c", "d", "e"] {
            top.record("", agent, risk(90.0), NONE, no_tools);
        }
        top.refresh(start, 5);
        assert_eq!(members(&top), ["a", "b", "c", "d"], "c and d have what e equals");
    }

    #[test]
    fn what_is_not_counted_for_an_agent_is_counted_for_the_others() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        top.record("acme", "a", Standing { risk: 5.0, events: 3 }, NONE, no_tools);
        top.refresh(Instant::now(), 1);
        top.record("acme", "a", Standing { risk: 6.0, events: 4 }, NONE, no_tools);
        top.record("acme", "b", Standing { risk: 1.0, events: 7 }, NONE, no_tools);
        top.record_alert(&alert("b", 2.0, "low", ""));
        top.refresh(Instant::now(), 2);
        drop(top);
        let text = metrics.render();
        assert!(text.contains("driftline_agent_events_total{agent=\"a\",tenant=\"acme\"} 4\n"), "{text}");
        assert!(text.contains("driftline_agent_events_total{agent=\"other\",tenant=\"*\"} 10\n"), "{text}");
        assert!(text.contains("driftline_agent_alerts_total{agent=\"other\",tenant=\"*\"} 1\n"), "{text}");
    }

    #[test]
    fn the_alert_that_gives_an_agent_its_series_is_told_there() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        let drift = r#","drift":{"dimension":"errors","since":"2023-07-22T04:26:40Z","from":"a","to":"b"}"#;
        top.record_alert(&alert("a", 50.0, "low", drift));
        top.refresh(start, 1);
        let shown = |severity: &str| {
            format!(
                "driftline_agent_last_alert_timestamp_seconds{{agent=\"a\",detector=\"identity\",kind=\"undeclared_tool\",\
                 severity=\"{severity}\",tenant=\"\"}} 1700000000\n"
            )
        };
        let text = metrics.render();
        assert!(text.contains(&shown("low")), "{text}");
        assert!(text.contains("driftline_agent_alerts_total{agent=\"a\",tenant=\"\"} 1\n"), "{text}");
        assert!(text.contains("driftline_agent_alerts_total{agent=\"other\",tenant=\"*\"} 0\n"), "{text}");
        let change =
            "driftline_agent_change_timestamp_seconds{agent=\"a\",dimension=\"errors\",tenant=\"\"} 1690000000\n";
        assert!(text.contains(change), "{text}");

        top.record_alert(&alert("a", 60.0, "high", ""));
        top.refresh(start, 1);
        let text = metrics.render();
        assert!(text.contains(&shown("high")) && !text.contains(&shown("low")), "{text}");

        top.record("", "b", risk(90.0), NONE, no_tools);
        top.refresh(start, 2);
        top.refresh(start + TopAgents::HOLD, 2);
        assert_eq!(members(&top), ["b"]);
        let text = metrics.render();
        assert!(!text.contains("agent=\"a\""), "nothing is left: {text}");
    }

    #[test]
    fn drift_is_shown_by_dimension_and_of_the_others_the_furthest() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        let drift = [0.5, 0.0, 0.0, 0.0, 0.25, 0.0];
        top.record("", "a", risk(5.0), drift, no_tools);
        top.refresh(start, 1);
        for (agent, errors) in [("b", 0.75), ("c", 0.125)] {
            top.record("", agent, risk(0.0), [0.0, 0.0, errors, 0.0, 0.0, 0.0], no_tools);
        }
        top.refresh(start, 3);
        let text = metrics.render();
        assert!(text.contains("driftline_agent_drift{agent=\"a\",dimension=\"tools\",tenant=\"\"} 0.5\n"), "{text}");
        assert!(text.contains("driftline_agent_drift{agent=\"a\",dimension=\"length\",tenant=\"\"} 0.25\n"), "{text}");
        let others = |errors: &str| {
            format!("driftline_agent_drift{{agent=\"other\",dimension=\"errors\",tenant=\"*\"}} {errors}\n")
        };
        assert!(text.contains(&others("0.75")), "{text}");
        top.refresh(start + TopAgents::HOLD, 3);
        top.refresh(start + 2 * TopAgents::HOLD, 3);
        assert!(metrics.render().contains(&others("0")), "it is not told for ever");
    }

    #[test]
    fn the_tools_that_led_to_a_drift_alert_are_still_told_after_it() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        let moved = || vec![("send_email".to_owned(), 0.5)];
        top.record("", "b", risk(20.0), NONE, no_tools);
        top.refresh(Instant::now(), 1);
        top.record("", "a", risk(0.0), [0.5, 0.0, 0.0, 0.0, 0.0, 0.0], moved);
        let drift = r#","drift":{"dimension":"tools","since":"2023-07-22T04:26:40Z","from":"a","to":"b"}"#;
        top.record_alert(&alert("a", 50.0, "medium", drift));
        top.refresh(Instant::now(), 2);
        top.record("", "a", risk(50.0), NONE, no_tools);
        top.refresh(Instant::now(), 2);
        let told = "driftline_agent_tool_change_ratio{agent=\"a\",tenant=\"\",tool=\"send_email\"} 0.5\n";
        let text = metrics.render();
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn tools_that_moved_are_shown_and_make_no_more_series_than_they_may() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        let start = Instant::now();
        let tool = |name: &str| format!("driftline_agent_tool_change_ratio{{agent=\"a\",tenant=\"\",tool=\"{name}\"}}");
        for second in 0..30 {
            // Other names each time, as one would give them who wants series.
            top.record("", "a", risk(5.0), NONE, || {
                (0..3).map(|i| (format!("tool-{}", second * 3 + i), 0.5)).collect()
            });
            top.refresh(start + Duration::from_secs(second), 1);
        }
        let text = metrics.render();
        assert_eq!(
            text.matches("driftline_agent_tool_change_ratio{").count(),
            super::super::agent_series::TOOLS,
            "{text}"
        );
        assert!(text.contains(&format!("{} 0\n", tool("tool-3"))), "it has gone back: {text}");
        top.refresh(start + Duration::from_secs(29) + TopAgents::HOLD, 1);
        top.refresh(start + Duration::from_secs(30) + TopAgents::HOLD, 1);
        let text = metrics.render();
        assert!(text.contains(&tool("tool-87")) && !text.contains(&tool("tool-3")), "{text}");
    }

    #[test]
    fn an_agent_cannot_pass_for_the_others_nor_break_a_line() {
        let metrics = Metrics::new(1);
        let mut top = metrics.top_agents();
        top.record("*", "other", risk(100.0), NONE, no_tools);
        top.record("", "a\"} 1\nfake 1", risk(1.0), NONE, no_tools);
        top.refresh(Instant::now(), 2);
        assert_eq!(members(&top), ["a\"} 1\nfake 1"]);
        drop(top);
        assert!(metrics.render().lines().all(|line| !line.starts_with("fake")));
    }

    #[test]
    fn where_none_are_asked_for_there_are_only_the_others() {
        let metrics = Metrics::new(0);
        let mut top = metrics.top_agents();
        top.record("", "a", risk(50.0), NONE, no_tools);
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
                top.record("", &agent.to_string(), risk(f64::from(level)), NONE, no_tools);
                top.refresh(now, 60);
                prop_assert!(top.members.len() <= 6 && top.candidates.len() <= 12);
                // Whoever is riskiest of all has a series.
                let highest = top.candidates.values().map(|it| it.story.risk).fold(0.0, f64::max);
                prop_assert!(top.members.len() == 6 || top.members.values().any(|member| member.story.risk >= highest));
            }
        }
    }
}
