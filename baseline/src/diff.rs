//! What has changed between two baselines.

use std::collections::BTreeMap;

use driftline_core::baseline::Baseline;
use driftline_core::observation::Dimension;

/// The dimensions that tell how an agent behaves; those that follow from whom it serves and where it runs are shown, and say
/// nothing of drift.
const DRIFT: [Dimension; 3] = [Dimension::Tool, Dimension::Chain, Dimension::Family];

/// What became of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was not there before.
    New,
    /// It is there no more.
    Vanished,
    /// Its share has changed.
    Moved,
}

/// A category of which the share has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// In which dimension.
    pub dimension: Dimension,
    /// What it is called.
    pub name: String,
    /// What became of it.
    pub kind: Kind,
    /// The share of sessions that had it before.
    pub before: f64,
    /// The share of sessions that have it now.
    pub after: f64,
    /// How much it adds to the divergence of its dimension, in bits.
    pub weight: f64,
}

/// What has changed between two baselines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// How far apart they are, 0 to 1: the mean divergence over tools, chains of tools, families of resources and hours of the
    /// week, as far as either has any.
    pub drift: f64,
    /// Divergence by dimension: Jensen–Shannon's, in bits, 0 to 1 (Lin, "Divergence measures based on the Shannon entropy",
    /// 1991).
    pub divergences: Vec<(&'static str, f64)>,
    /// What has changed, the weightiest first.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Compares two baselines.
    pub fn between(before: &Baseline, after: &Baseline) -> Self {
        let mut difference = Self::default();
        let mut of_drift = Vec::new();
        for dimension in Dimension::ALL {
            let counts = [before, after].map(|baseline| baseline.counts(dimension));
            let mut both = BTreeMap::<u64, ([f64; 2], &str)>::new();
            for (side, counts) in counts.iter().enumerate() {
                for count in counts.iter() {
                    both.entry(count.key).or_insert(([0.0; 2], &count.name)).0[side] = f64::from(count.sessions);
                }
            }
            let pairs: Vec<_> = both.values().map(|&(pair, _)| pair).collect();
            let Some(parts) = divergence(&pairs) else { continue };
            let sum = parts.iter().sum();
            difference.divergences.push((dimension.name(), sum));
            if DRIFT.contains(&dimension) {
                of_drift.push(sum);
            }
            let share = |sessions: f64, baseline: &Baseline| sessions / baseline.sessions.max(1) as f64;
            for (&([had, has], name), weight) in both.values().zip(parts) {
                let kind = match (had > 0.0, has > 0.0) {
                    (false, _) => Kind::New,
                    (_, false) => Kind::Vanished,
                    _ => Kind::Moved,
                };
                let (before, after) = (share(had, before), share(has, after));
                difference.changes.push(Change { dimension, name: name.to_owned(), kind, before, after, weight });
            }
        }
        let rhythms = [before.rhythm(), after.rhythm()];
        let hours: Vec<_> =
            (0..168).map(|hour| [0, 1].map(|side: usize| f64::from(rhythms[side].events(hour)))).collect();
        if let Some(parts) = divergence(&hours) {
            let sum = parts.iter().sum();
            difference.divergences.push(("hour", sum));
            of_drift.push(sum);
        }
        difference.drift = of_drift.iter().sum::<f64>() / of_drift.len().max(1) as f64;
        difference.changes.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
        difference
    }
}

/// What each category adds to the Jensen–Shannon divergence between two distributions, in bits; `None` where there is
/// nothing on either side.
fn divergence(pairs: &[[f64; 2]]) -> Option<Vec<f64>> {
    let total = |side: usize| pairs.iter().map(|pair| pair[side]).sum::<f64>();
    let totals = [total(0), total(1)];
    if totals == [0.0, 0.0] {
        return None;
    }
    let part = |pair: &[f64; 2]| {
        let p = [0, 1].map(|side: usize| pair[side] / totals[side].max(f64::MIN_POSITIVE));
        let middle = (p[0] + p[1]) / 2.0;
        p.iter().map(|&p| if p > 0.0 { p / 2.0 * (p / middle).log2() } else { 0.0 }).sum()
    };
    Some(pairs.iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use driftline_core::baseline::{Act, SessionLog};
    use driftline_core::{Event, Limits};

    use super::*;

    fn learned(tools: &[&str]) -> Baseline {
        let mut baseline = Baseline::new(1024);
        for (session, tool) in tools.iter().enumerate() {
            let record = format!(r#"{{"time":{session},"agent":{{"id":"a"}},"action":{{"name":"{tool}"}}}}"#);
            let mut log = SessionLog::default();
            log.push(&Act::of(&Event::decode(record.as_bytes(), &Limits::default()).unwrap(), 0));
            log.lessons(|lesson| baseline.learn(lesson));
        }
        baseline
    }

    #[test]
    fn the_same_behaviour_has_not_drifted_and_another_one_has_wholly() {
        let (a, b) = (learned(&["read", "read", "send"]), learned(&["read", "send", "read", "read", "read", "send"]));
        let same = Difference::between(&a, &b);
        assert!(same.drift < 1e-12, "{same:?}");
        let other = Difference::between(&a, &learned(&["delete"]));
        assert_eq!(other.divergences[0], ("tool", 1.0));
        // Tools are wholly others, hours the same; there are no chains and no resources.
        assert!((other.drift - 0.5).abs() < 1e-12, "{other:?}");
    }

    #[test]
    fn what_matters_most_comes_first() {
        let before = learned(&["read", "read", "read", "send"]);
        let after = learned(&["read", "purge", "purge", "read"]);
        let changes = Difference::between(&before, &after).changes;
        let told: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.kind)).collect();
        assert_eq!(told, [("purge", Kind::New), ("send", Kind::Vanished), ("read", Kind::Moved)]);
        assert_eq!((changes[0].before, changes[0].after), (0.0, 0.5));
    }
}
