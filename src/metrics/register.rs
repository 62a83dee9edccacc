//! Makes metrics, registers them, and keeps what they are for the documentation.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values by size.
    Histogram,
}

/// A metric, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The whole name.
    pub name: String,
    /// What it does over time.
    pub kind: Kind,
    /// What it says.
    pub help: String,
    /// Its labels.
    pub labels: Vec<String>,
}

/// A registry that remembers what it was given. Names are given without the prefix.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub registry: Registry,
    pub descriptions: Vec<Description>,
}

impl Register {
    pub fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.add(Kind::Counter, IntCounter::with_opts(opts(name, help)))
    }

    pub fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(Kind::Counter, IntCounterVec::new(opts(name, help), labels))
    }

    pub fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.add(Kind::Gauge, IntGauge::with_opts(opts(name, help)))
    }

    pub fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(Kind::Gauge, IntGaugeVec::new(opts(name, help), labels))
    }

    /// A gauge that is no whole number.
    pub fn level(&mut self, name: &str, help: &str) -> Gauge {
        self.add(Kind::Gauge, Gauge::with_opts(opts(name, help)))
    }

    /// Gauges that are no whole numbers.
    pub fn levels(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(Kind::Gauge, GaugeVec::new(opts(name, help), labels))
    }

    /// A histogram of seconds, from half a millisecond to eight seconds, each bucket twice the one before.
    pub fn histogram(&mut self, name: &str, help: &str) -> Histogram {
        let metric = exponential_buckets(0.0005, 2.0, 15)
            .and_then(|buckets| Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets)));
        self.add(Kind::Histogram, metric)
    }

    /// Histograms of what is no duration, with the upper bounds of their buckets.
    pub fn histograms(&mut self, name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramVec {
        let options = HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec());
        self.add(Kind::Histogram, HistogramVec::new(options, labels))
    }

    fn add<M: Collector + Clone + 'static>(&mut self, kind: Kind, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("names and labels are constants of this crate, and valid");
        for desc in metric.desc() {
            self.descriptions.push(Description {
                name: desc.fq_name.clone(),
                kind,
                help: desc.help.clone(),
                labels: desc.variable_labels.clone(),
            });
        }
        self.registry.register(Box::new(metric.clone())).expect("each metric is made once");
        metric
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("driftline")
}
