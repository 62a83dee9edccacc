//! How much an engine holds, for the metrics: counted seldom, since every agent has to be looked at.

use std::time::{Duration, Instant};

use driftline_detectors::{Engine, WARM_SESSIONS};

/// How long a count is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// What was last counted of an engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes that it takes in memory, about.
    pub bytes: u64,
    /// Agents in memory that little was learned of yet.
    pub warming_up: u64,
    counted: Option<Instant>,
}

impl Size {
    /// Counts what an engine holds.
    pub fn of(engine: &Engine, now: Instant) -> Self {
        let warming_up = engine.agents().filter(|agent| agent.sessions_learned < WARM_SESSIONS).count() as u64;
        Self { bytes: engine.bytes() as u64, warming_up, counted: Some(now) }
    }

    /// Whether it is time to count again.
    pub fn is_due(&self, now: Instant) -> bool {
        self.counted.is_none_or(|counted| now.saturating_duration_since(counted) >= GOOD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use driftline_core::{Event, Limits};

    use super::*;

    #[test]
    fn agents_warm_up_until_enough_sessions_were_learned() {
        let mut engine = Engine::default();
        let mut session = 0;
        let mut observe = |engine: &mut Engine, agent: &str| {
            session += 1;
            let time = session * 60_000;
            let record = format!(
                r#"{{"time":{time},"agent":{{"id":"{agent}"}},"session":{{"id":"{session}"}},"action":{{"name":"t"}}}}"#
            );
            engine.observe(&Event::decode(record.as_bytes(), &Limits::default()).unwrap());
        };
        (0..WARM_SESSIONS).for_each(|_| observe(&mut engine, "old"));
        engine.end_all_sessions();
        observe(&mut engine, "new");
        let now = Instant::now();
        let size = Size::of(&engine, now);
        assert_eq!(size.warming_up, 1);
        assert!(size.bytes > 1_000, "{size:?}");
        assert!(Size::default().is_due(now) && !size.is_due(now) && size.is_due(now + GOOD_FOR));
    }
}
