//! Exfiltration: a session that has touched sensitive data sends out more than the agent's sessions do.
//!
//! What a session has sent in all is compared with what each of the agent's sessions came to, in sizes that double. Beyond the
//! largest, each doubling is taken for half as probable: that is the tail of a Pareto distribution of index 1, heavier than
//! what file sizes and transfers were found to have (Crovella and Bestavros, "Self-similarity in World Wide Web traffic", 1997).
//! It is believed only as far as there are sessions to speak for it. A session's sum only grows, and with it how improbable it
//! is, so the last word on a session is the strongest, and its p-value holds at any of its events.

use driftline_core::{Basis, Categories, Event, Evidence, Sensitivity};

use crate::decision::{one_in, severity};
use crate::detector::{Detector, Scene};
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::observation::is_change;
use crate::session::Session;

/// See the module.
pub struct Exfiltration;

const NAME: &str = "exfiltration";
/// In an event's score a sum counts from where fewer than one session in so many comes to as much: below that, sizes tell
/// little that the other detectors do not.
const BESIDE: f64 = 100.0;

impl Detector for Exfiltration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let (Some(sent), Some(touched)) = (sent(scene.event), scene.session.impact.sensitivity) else { return 1.0 };
        if touched < Sensitivity::Confidential {
            return 1.0;
        }
        let total = scene.session.impact.bytes_out.unwrap_or(0).saturating_add(sent);
        let p = scene.agent.with_release(tail(&scene.agent.sent, total));
        findings.extend(judge(scene, total, touched, p));
        (BESIDE * p).min(1.0)
    }
}

/// What an event sends out, in bytes; `None` where it only looks, or does not say.
fn sent(event: &Event<'_>) -> Option<u64> {
    let bytes = event.usage.as_ref()?.bytes_out.filter(|&bytes| bytes > 0)?;
    is_change(event).then_some(bytes)
}

/// Learns what a session has sent, where it says.
pub(crate) fn learn(session: &Session, sent: &mut Categories) {
    if let Some(bytes) = session.impact.bytes_out {
        sent.learn(size(bytes), 1);
    }
}

/// The key of a size: how many bits it takes, and one.
fn size(bytes: u64) -> u64 {
    bytes.checked_ilog2().map_or(1, |bits| u64::from(bits) + 2)
}

/// The probability that a session sends as much, from what sessions have sent; 1 where none is known.
fn tail(sent: &Categories, bytes: u64) -> f64 {
    let (size, sessions) = (size(bytes), sent.total() as f64);
    let Some(&largest) = sent.keys().last() else { return 1.0 };
    let as_much: u64 = sent.iter().filter(|&(known, _)| known >= size).map(|(_, count)| u64::from(count)).sum();
    let beyond = 0.5f64.powi(size.saturating_sub(largest) as i32).max(1.0 / (sessions + 1.0));
    (as_much as f64 + beyond) / (sessions + 1.0)
}

fn judge(scene: &mut Scene<'_, '_>, total: u64, touched: Sensitivity, p: f64) -> Option<Finding> {
    let severity = severity(-p.ln(), scene.world.level(scene.agent))?;
    if !scene.session.rises_to(severity) {
        return None;
    }
    let agent = scene.name();
    let sessions = scene.agent.sent.total();
    let touched = driftline_core::wire_name(touched);
    Some(Finding {
        detector: NAME,
        family: DEVIATION,
        kind: NAME,
        basis: vec![Basis::Unusual],
        severity,
        anchor: format!("{}/{severity}", scene.session.first_event),
        title: format!("{agent} sent out {} after it had touched {touched} data", told(total)),
        summary: format!("As much comes in {} of this agent's sessions.", one_in(p)),
        recommendation: "Find out where it went and whether anybody has asked for it; if not, stop the agent, and treat what \
                         this session has touched as exposed.",
        evidence: vec![Evidence {
            feature: "bytes_out".to_owned(),
            observed: told(total),
            expected: usual(&scene.agent.sent),
            baseline_count: Some(sessions),
            peers: None,
            p_value: Some(p),
        }],
        steps: Vec::new(),
        drift: None,
        events: vec![scene.id.to_owned()],
        p_value: Some(p),
        e_value: None,
        techniques: Techniques { attack: &["T1567"], atlas: &["AML.T0086"], owasp: &["ASI02"] },
    })
}

/// What half of the sessions, and all of them, have sent at most.
fn usual(sent: &Categories) -> Vec<String> {
    let most = |share: f64| {
        let mut up_to = 0.0;
        let is_in = |&(_, count): &(u64, u32)| {
            up_to += f64::from(count);
            up_to >= share * sent.total() as f64
        };
        sent.iter().find(is_in).map(|(size, _)| 1u64.checked_shl((size as u32).saturating_sub(1)).unwrap_or(u64::MAX))
    };
    let half = most(0.5).map(|bytes| format!("half of the sessions: less than {}", told(bytes)));
    half.into_iter().chain(most(1.0).map(|bytes| format!("all: less than {}", told(bytes)))).collect()
}

/// A number of bytes in words.
fn told(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e3 => format!("{bytes} bytes"),
        bytes if bytes < 1e6 => format!("{:.1} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn learned(sizes: impl IntoIterator<Item = u64>) -> Categories {
        let mut sent = Categories::default();
        sizes.into_iter().for_each(|bytes| {
            sent.learn(size(bytes), 1);
        });
        sent
    }

    #[test]
    fn what_is_beyond_all_sessions_is_believed_as_far_as_they_speak() {
        assert_eq!(tail(&learned([]), 1 << 40), 1.0);
        let few = learned([4_000; 3]);
        let many = learned([4_000; 999]);
        assert_eq!(tail(&many, 1_000), 1.0);
        assert_eq!(tail(&many, 16_000), 0.25 / 1_000.0);
        assert_eq!(tail(&few, 1 << 40), 1.0 / 16.0);
        assert_eq!(tail(&many, 1 << 40), 1e-6);
    }

    #[test]
    fn honest_sessions_of_a_heavy_tail_are_seldom_improbable() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let mut draw = || (1_000.0 / rng.random_range(f64::MIN_POSITIVE..1.0f64)) as u64;
        let sent = learned((0..300).map(|_| draw()));
        let low = |level: f64, draw: &mut dyn FnMut() -> u64| {
            (0..20_000).filter(|_| tail(&sent, draw()) <= level).count() as f64 / 20_000.0
        };
        assert!(low(0.05, &mut draw) <= 0.06);
        assert!(low(0.002, &mut draw) <= 0.004);
    }

    #[test]
    fn sizes_are_told() {
        assert_eq!([999, 48_000, 48_000_000, u64::MAX].map(told)[1..3], ["48.0 kB", "48.0 MB"]);
        assert_eq!(
            usual(&learned([900, 900, 4_000])),
            ["half of the sessions: less than 1.0 kB", "all: less than 4.1 kB"]
        );
    }
}
