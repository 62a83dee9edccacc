//! What Driftline counts, for Prometheus. `docs/metrics.md` is made from here.
//!
//! Names have the prefix `driftline_` and base units; counters end in `_total`. No metric is labelled by session,
//! principal, resource or event; by agent only those of [`TopAgents`].
//!
//! ```
//! use driftline::metrics::Metrics;
//!
//! let metrics = Metrics::new(20);
//! metrics.records.inc_by(3);
//! metrics.dead_letters("not_json").inc();
//! assert!(metrics.render().contains("driftline_dead_letters_total{reason=\"not_json\"} 1"));
//! ```

mod agent_series;
mod p_values;
mod register;
mod top_agents;

use std::sync::{Mutex, MutexGuard, PoisonError};

use driftline_core::{Outcome, Severity};
use driftline_detectors::DETECTORS;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder};

pub use p_values::PValueTally;
pub use register::{Description, Kind};
pub use top_agents::{OTHER, Standing, TopAgents};

use p_values::PValues;
use register::Register;

/// What [`driftline_core::DecodeError::reason`] says.
const DEAD_LETTERS: [&str; 8] =
    ["empty", "too_long", "too_deep", "string_too_long", "not_utf8", "not_json", "not_event", "format"];

/// All metrics. Handles are cheap to use from any thread; those without labels are fields, the others methods, so that
/// no call can get its labels wrong.
#[derive(Debug)]
pub struct Metrics {
    register: Register,
    /// Records read from the source, before they are decoded.
    pub records: IntCounter,
    /// Records that were sent on to the partition that their agent belongs to.
    pub forwarded: IntCounter,
    /// Batches of records that were taken from the source.
    pub batches: IntCounter,
    /// Events that repeat one of the agent's last 64 in id and bytes; they are not scored.
    pub repeats: IntCounter,
    /// Events that reuse the id of one of the agent's last 64 with other bytes; they are scored.
    pub reused_ids: IntCounter,
    /// Events whose time was too far ahead of when they were read, and was held to that.
    pub clamped: IntCounter,
    /// Events behind the watermark.
    pub late: IntCounter,
    /// Top-level fields of events that the contract does not know.
    pub unknown_fields: IntCounter,
    /// Sessions that were judged.
    pub sessions_judged: IntCounter,
    /// Of these, kept out of the baselines, because they were alerted on.
    pub sessions_quarantined: IntCounter,
    /// False alerts that are acceptable in a day.
    pub alert_budget: Gauge,
    /// The probability that an honest session, or hour, is alerted on.
    pub alert_level: Gauge,
    /// Agents whose state is held, in memory or not.
    pub agents: IntGauge,
    /// Agents whose state is in memory.
    pub agents_in_memory: IntGauge,
    /// Of the agents in memory, those that little was learned of yet.
    pub agents_warming_up: IntGauge,
    /// Bytes that the agents in memory take, about.
    pub state_bytes: IntGauge,
    /// Agents that went out of memory to the local store.
    pub evicted: IntCounter,
    /// Agents that came back from the local store.
    pub fetched: IntCounter,
    /// The watermark, in Unix seconds.
    pub watermark: Gauge,
    /// How far the newest event time lies behind the machine's clock, in seconds.
    pub event_time_delay: Gauge,
    /// The last epoch that was closed.
    pub epoch: IntGauge,
    /// Seconds from a batch's arrival until all of it is scored.
    pub scoring: Histogram,
    /// Seconds that a commit takes.
    pub commit: Histogram,
    /// 1 where `/readyz` says that the process does its work.
    pub ready: IntGauge,
    /// 1 while a commit is under way.
    pub commit_under_way: IntGauge,
    /// Agents whose state was read back.
    pub restored: IntCounter,
    /// State records read back.
    pub restored_records: IntCounter,
    /// Partitions that are taken over and not read yet.
    pub restoring: IntGauge,
    /// Partitions, commits, sinks and the scoring that stand still, by what they are.
    stalled: IntGaugeVec,
    outages: IntCounterVec,
    /// Times that the work was taken up again from what was committed.
    pub restarts: IntCounter,
    events: IntCounterVec,
    dead_letters: IntCounterVec,
    limit_hits: IntCounterVec,
    findings: IntCounterVec,
    alerts: IntCounterVec,
    control_records: IntCounterVec,
    baseline: IntGaugeVec,
    lag: IntGaugeVec,
    p_values: PValues,
    sink_alerts: IntCounterVec,
    sink_pending: IntGaugeVec,
    top_agents: Mutex<TopAgents>,
}

impl Metrics {
    /// All metrics at zero, with series of their own for the `top_agents` riskiest agents.
    pub fn new(top_agents: usize) -> Self {
        let mut r = Register::default();
        r.gauges("build_info", "Always 1; the labels say what runs.", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let metrics = Self {
            records: r.counter("records_total", "Records read from the source, before they are decoded."),
            forwarded: r.counter(
                "forwarded_records_total",
                "Records that were sent on to the partition that their agent belongs to.",
            ),
            batches: r.counter("batches_total", "Batches of records that were taken from the source."),
            repeats: r.counter(
                "repeated_events_total",
                "Events that repeat one of the agent's last 64 in id and bytes; they are not scored.",
            ),
            reused_ids: r.counter(
                "reused_ids_total",
                "Events that reuse the id of one of the agent's last 64 with other bytes; they are scored.",
            ),
            clamped: r.counter(
                "clamped_events_total",
                "Events whose time was too far ahead of when they were read, and was held to that.",
            ),
            late: r.counter("late_events_total", "Events behind the watermark."),
            unknown_fields: r
                .counter("unknown_fields_total", "Top-level fields of events that the contract does not know."),
            sessions_judged: r.counter("sessions_judged_total", "Sessions that were judged."),
            sessions_quarantined: r.counter(
                "sessions_quarantined_total",
                "Of the sessions that were judged, those that were kept out of the baselines.",
            ),
            alert_budget: r.level(
                "alert_budget_per_day",
                "False alerts of learned behaviour that are acceptable in a day, as configured; 0 where a fixed level decides.",
            ),
            alert_level: r.level(
                "alert_level",
                "The probability that an honest session, or hour, is alerted on: what the budget gives, or as configured; the least of all.",
            ),
            agents: r.gauge("agents", "Agents whose state is held, in memory or not."),
            agents_in_memory: r.gauge("agents_in_memory", "Agents whose state is in memory."),
            agents_warming_up: r.gauge(
                "agents_warming_up",
                "Of the agents in memory, those that fewer than 20 sessions were learned of; counted once a minute.",
            ),
            state_bytes: r
                .gauge("state_bytes", "Bytes that the agents in memory take, about; counted once a minute."),
            evicted: r.counter("evicted_agents_total", "Agents that went out of memory to the local store."),
            fetched: r.counter("fetched_agents_total", "Agents that came back from the local store."),
            watermark: r.level("watermark_timestamp_seconds", "The watermark, in Unix seconds."),
            event_time_delay: r
                .level("event_time_delay_seconds", "How far the newest event time lies behind the machine's clock."),
            epoch: r.gauge("epoch", "The last epoch that was closed."),
            scoring: r.histogram("scoring_duration_seconds", "From a batch's arrival until all of it is scored."),
            ready: r.gauge("ready", "1 where `/readyz` says that the process does its work, else 0."),
            commit_under_way: r.gauge("commit_under_way", "1 while a commit is under way."),
            restored: r.counter("restored_agents_total", "Agents whose state was read back from the state topic."),
            restored_records: r.counter(
                "restored_records_total",
                "Records of the state topic that were read back, also of restores that go on still.",
            ),
            restoring: r.gauge(
                "restoring_partitions",
                "Partitions that this instance was given, and that are not read before their state is back.",
            ),
            restarts: r.counter("restarts_total", "Times that the work was taken up again from what was committed."),
            stalled: r.gauges(
                "stalled",
                "How many stand still: of partitions, sinks, the commit under way, the scoring.",
                &["what"],
            ),
            outages: r.counters(
                "outage_waits_total",
                "Times that something could not be done, and was waited for, by what `/readyz` calls it.",
                &["condition"],
            ),
            commit: r.histogram("commit_duration_seconds", "How long a commit takes."),
            events: r.counters("events_total", "Events that were scored, by how the act ended.", &["outcome"]),
            dead_letters: r.counters("dead_letters_total", "Records that could not be decoded, by why.", &["reason"]),
            limit_hits: r.counters(
                "limit_hits_total",
                "Times that a configured bound was reached, by its name under `limits`; `agents_in_memory`: that bound of the \
                 instance could not be kept; `name_bytes`: names of tenant and agent of more than 1,024 bytes.",
                &["limit"],
            ),
            findings: r.counters("findings_total", "What detectors found.", &["detector", "severity"]),
            alerts: r.counters(
                "alerts_total",
                "Alerts that were raised, by their strongest contributor.",
                &["detector", "severity"],
            ),
            control_records: r.counters("control_records_total", "Control records that were applied.", &["kind"]),
            baseline: r.gauges(
                "baseline_info",
                "Always 1; the label is the version of the published baseline that agents are known from, `none` without one.",
                &["version"],
            ),
            lag: r.gauges(
                "lag_records",
                "Records between the position and the end of the partition.",
                &["topic", "partition"],
            ),
            p_values: PValues::new(&mut r),
            sink_alerts: r.counters(
                "sink_alerts_total",
                "Alerts by what became of them on the way to a sink, and tries that failed.",
                &["sink", "outcome"],
            ),
            sink_pending: r.gauges("sink_pending_alerts", "Alerts that wait to be sent.", &["sink"]),
            top_agents: Mutex::new(TopAgents::new(top_agents, &mut r)),
            register: r,
        };
        // A series that is there from the start can be alerted on when it first moves.
        for outcome in [Outcome::Success, Outcome::Denied, Outcome::Error] {
            metrics.events(outcome);
        }
        for (detector, severity) in DETECTORS.iter().flat_map(|it| Severity::ALL.map(|severity| (it.name(), severity)))
        {
            metrics.findings(detector, severity);
            metrics.alerts(detector, severity);
        }
        for reason in DEAD_LETTERS {
            metrics.dead_letters(reason);
        }
        for condition in ["start", "commit"] {
            metrics.outages(condition);
        }
        metrics
    }

    /// Counts p-values, those of a batch at a time.
    pub fn p_values(&self) -> PValueTally {
        self.p_values.tally()
    }

    /// Scored events whose act ended so.
    pub fn events(&self, outcome: Outcome) -> IntCounter {
        self.events.with_label_values(&[outcome.name()])
    }

    /// Rejected records, by [`driftline_core::DecodeError::reason`].
    pub fn dead_letters(&self, reason: &'static str) -> IntCounter {
        self.dead_letters.with_label_values(&[reason])
    }

    /// Times that a bound was reached, by its name in [`driftline_core::Limits`]; `agents_in_memory` where that bound of the
    /// instance could not be kept, `name_bytes` for names of agents that are too long to be kept.
    pub fn limit_hits(&self, limit: &'static str) -> IntCounter {
        self.limit_hits.with_label_values(&[limit])
    }

    /// Findings of a detector.
    pub fn findings(&self, detector: &str, severity: Severity) -> IntCounter {
        self.findings.with_label_values(&[detector, severity.as_str()])
    }

    /// Alerts, by their strongest contributor.
    pub fn alerts(&self, detector: &str, severity: Severity) -> IntCounter {
        self.alerts.with_label_values(&[detector, severity.as_str()])
    }

    /// Applied control records, by their `kind`.
    pub fn control_records(&self, kind: &'static str) -> IntCounter {
        self.control_records.with_label_values(&[kind])
    }

    /// Tries that failed and are made again, by what `/readyz` calls it.
    pub fn outages(&self, condition: &'static str) -> IntCounter {
        self.outages.with_label_values(&[condition])
    }

    /// How many of what stand still.
    pub fn stalled(&self, what: &'static str) -> IntGauge {
        self.stalled.with_label_values(&[what])
    }

    /// Says which published baseline agents are known from.
    pub fn set_baseline(&self, version: Option<&str>) {
        self.baseline.reset();
        self.baseline.with_label_values(&[version.unwrap_or("none")]).set(1);
    }

    /// Says how many records of a partition wait to be read.
    pub fn set_lag(&self, topic: &str, partition: i32, records: i64) {
        self.lag.with_label_values(&[topic, &partition.to_string()]).set(records);
    }

    /// Forgets a partition that was given up.
    pub fn forget_lag(&self, topic: &str, partition: i32) {
        // An error says that nothing was known of it.
        let _ = self.lag.remove_label_values(&[topic, &partition.to_string()]);
    }

    /// Forgets all partitions: a session has ended, and the next one may be given others.
    pub fn forget_lags(&self) {
        self.lag.reset();
    }

    /// Says how many alerts a sink has met an `outcome` with (`delivered`, `retried`, …) since it started. Totals, not
    /// differences: a total that was seen before changes nothing.
    pub fn set_sink_total(&self, sink: &str, outcome: &'static str, total: u64) {
        let counter = self.sink_alerts.with_label_values(&[sink, outcome]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// Says how many alerts wait to be sent to a sink.
    pub fn set_sink_pending(&self, sink: &str, alerts: u64) {
        self.sink_pending.with_label_values(&[sink]).set(i64::try_from(alerts).unwrap_or(i64::MAX));
    }

    /// The series of the riskiest agents.
    pub fn top_agents(&self) -> MutexGuard<'_, TopAgents> {
        self.top_agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that has a value, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&self.register.registry.gather(), &mut text) {
            Ok(()) => text,
            // Half an exposition would read as if the rest had vanished.
            Err(error) => format!("# the metrics cannot be written: {error}\n"),
        }
    }

    /// What metrics there are.
    pub fn descriptions(&self) -> &[Description] {
        &self.register.descriptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_named_as_prometheus_would_have_it() {
        let metrics = Metrics::new(3);
        for Description { name, kind, help, .. } in metrics.descriptions() {
            assert!(name.starts_with("driftline_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.'), "{name}: {help}");
        }
    }

    #[test]
    fn a_sinks_totals_never_go_back() {
        let metrics = Metrics::new(0);
        for total in [3, 5, 5, 4] {
            metrics.set_sink_total("slack", "delivered", total);
        }
        assert!(metrics.render().contains("driftline_sink_alerts_total{outcome=\"delivered\",sink=\"slack\"} 5\n"));
    }

    #[test]
    fn there_is_one_baseline_at_a_time() {
        let metrics = Metrics::new(0);
        metrics.set_baseline(None);
        metrics.set_baseline(Some("v-2"));
        let text = metrics.render();
        assert!(text.contains("driftline_baseline_info{version=\"v-2\"} 1\n") && !text.contains("\"none\""), "{text}");
    }

    #[test]
    fn a_partition_that_was_given_up_has_no_lag() {
        let metrics = Metrics::new(0);
        metrics.set_lag("events", 3, 12);
        assert!(metrics.render().contains("driftline_lag_records{partition=\"3\",topic=\"events\"} 12\n"));
        metrics.forget_lag("events", 3);
        metrics.forget_lag("events", 4);
        metrics.set_lag("events", 5, 1);
        metrics.forget_lags();
        assert!(!metrics.render().contains("driftline_lag_records"));
    }
}
