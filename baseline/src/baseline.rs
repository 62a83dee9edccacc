//! What was learned of one agent.

use driftline_core::{Categories, HourCounts};
use serde::{Deserialize, Serialize};

/// Hours since the epoch stay within some ten thousand years of it, so that no arithmetic on them overflows.
const HOURS: std::ops::RangeInclusive<i64> = -100_000_000..=100_000_000;

/// What one agent was found to do: counts only, so that baselines of separate histories merge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The agent's tenant; empty where events name none.
    pub tenant: String,
    /// The agent's id.
    pub agent: String,
    /// Events that were scored.
    pub events: u64,
    /// Sessions that were learned.
    pub sessions: u64,
    /// Tools, by sessions in which they were used.
    pub tools: Categories,
    /// Families of resources, by distinct resources.
    pub families: Categories,
    /// Resources, by sessions in which they were touched.
    pub resources: Categories,
    /// When it works, and how much.
    pub hours: HourCounts,
}

impl Baseline {
    /// Reads a line of `baselines.ndjson`; what it holds is taken on trust in nothing: counts are learned anew, which
    /// restores the order and the sums that they rest on.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if let Some((first, last)) = read.hours.span()
            && !(HOURS.contains(&first) && HOURS.contains(&last) && first <= last)
        {
            return Err(format!("hours: {first} to {last} is no span of hours since the epoch"));
        }
        let anew = |counts: &Categories| {
            let mut anew = Categories::default();
            anew.merge(counts);
            anew
        };
        let mut hours = HourCounts::default();
        hours.merge(&read.hours);
        Ok(Self {
            tools: anew(&read.tools),
            families: anew(&read.families),
            resources: anew(&read.resources),
            hours,
            ..read
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a baseline after a change to its JSON form.
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Result<Baseline, String> {
        let mut baseline = Baseline::default();
        baseline.tools.learn(9, 2);
        baseline.tools.learn(4, 1);
        baseline.hours.learn(490_000, 5);
        let mut value = serde_json::to_value(baseline).unwrap();
        change(&mut value);
        Baseline::parse(value.to_string().as_bytes())
    }

    #[test]
    fn counts_that_do_not_fit_together_are_put_right() {
        let baseline = changed(|value| {
            value["tools"]["keys"] = serde_json::json!([9, 4, 1]);
            value["tools"]["total"] = serde_json::json!(77);
            value["hours"]["counts"]["Narrow"] = serde_json::json!([1]);
        });
        let mut baseline = baseline.unwrap();
        // Two keys have a count: 1 for key 9, 2 for key 4.
        assert_eq!((baseline.tools.total(), baseline.tools.distinct(), baseline.tools.count(9)), (3, 2, 1));
        // A short list of hours would be indexed past its end.
        (0..168).for_each(|hour| baseline.hours.learn(hour, 1));
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for span in [[i64::MIN, i64::MAX], [9, 8]] {
            let error = changed(|value| value["hours"]["span"] = serde_json::json!(span)).unwrap_err();
            assert!(error.starts_with("hours: "), "{error}");
        }
    }
}
