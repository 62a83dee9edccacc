//! How the detectors' p-values are spread: whether 1 % of what is ordinary has one below 1 %, as it should.

use driftline_detectors::DETECTORS;
use prometheus::Histogram;
use prometheus::local::LocalHistogram;

use super::register::Register;

/// Where p-values are counted: the shares below 0.1 %, 1 % and 5 % are what a detector promises; the rest shows its shape.
const BOUNDS: [f64; 7] = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 1.0];

/// A histogram for each detector, in the order of [`DETECTORS`].
#[derive(Debug)]
pub(super) struct PValues([Histogram; DETECTORS.len()]);

impl PValues {
    pub(super) fn new(r: &mut Register) -> Self {
        let help = "Scored events by the detector's p-value; 1 where it has nothing to say.";
        let by_detector = r.histograms("p_value", help, &["detector"], &BOUNDS);
        Self(DETECTORS.map(|detector| by_detector.with_label_values(&[detector.name()])))
    }

    pub(super) fn tally(&self) -> PValueTally {
        PValueTally(self.0.each_ref().map(Histogram::local))
    }
}

/// Counts the p-values of a batch without touching what other threads count in; they are added when this is dropped.
#[derive(Debug)]
pub struct PValueTally([LocalHistogram; DETECTORS.len()]);

impl PValueTally {
    /// Counts an event's p-values, one a detector, in the order of [`DETECTORS`].
    pub fn observe(&self, p: &[f64; DETECTORS.len()]) {
        self.0.iter().zip(p).for_each(|(histogram, p)| histogram.observe(*p));
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    #[test]
    fn p_values_are_counted_by_detector_once_the_batch_is_done() {
        let metrics = Metrics::new(0);
        let tally = metrics.p_values();
        let p = |novelty| std::array::from_fn(|i| if i == 0 { novelty } else { 1.0 });
        tally.observe(&p(0.004));
        tally.observe(&p(0.03));
        assert!(metrics.render().contains("driftline_p_value_count{detector=\"novelty\"} 0\n"));
        drop(tally);
        let text = metrics.render();
        assert!(text.contains("driftline_p_value_bucket{detector=\"novelty\",le=\"0.01\"} 1\n"), "{text}");
        assert!(text.contains("driftline_p_value_bucket{detector=\"novelty\",le=\"0.05\"} 2\n"), "{text}");
        assert!(text.contains("driftline_p_value_bucket{detector=\"rate\",le=\"0.75\"} 0\n"), "{text}");
        assert!(text.contains("driftline_p_value_count{detector=\"rate\"} 2\n"), "{text}");
    }
}
