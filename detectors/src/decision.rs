//! The one place that decides whether learned evidence becomes an alert.

use driftline_core::Severity;

/// The level in force where the settings give neither a level nor a budget: a session is alerted on when evidence as strong
/// would come from an honest session with at most this probability.
///
/// Measured, not derived (`cargo test --release -p driftline-detectors --test budget -- --nocapture` prints the table):
/// on simulated fleets without attacks it gives fewer than one alert in 2,000 sessions, and at the same level at least
/// half of the staged hijacks, escalations, exfiltrations and shadow agents are caught.
pub const DEFAULT_LEVEL: f64 = 1.0 / 2_000.0;

/// How much a deviation matters, from its evidence (an e-value, as a natural logarithm): `None` below the level.
pub fn severity(ln_evidence: f64, level: f64) -> Option<Severity> {
    let beyond = ln_evidence + level.ln();
    match beyond {
        _ if beyond < 0.0 => None,
        _ if beyond < 20f64.ln() => Some(Severity::Medium),
        _ if beyond < 2_000f64.ln() => Some(Severity::High),
        _ => Some(Severity::Critical),
    }
}

/// `p` in words that a person trusts.
///
/// ```
/// use driftline_detectors::decision::one_in;
/// assert_eq!(one_in(1.0 / 40_123.0), "1 in 40,000");
/// assert_eq!(one_in(0.5), "1 in 2");
/// ```
pub fn one_in(p: f64) -> String {
    let n = (1.0 / p.clamp(1e-12, 1.0)).round();
    // Two digits carry all the precision there is.
    let unit = 10f64.powi((n.log10().floor() as i32 - 1).max(0));
    let digits: Vec<char> = format!("{:.0}", (n / unit).round() * unit).chars().collect();
    let grouped: Vec<String> = digits.rchunks(3).rev().map(|group| group.iter().collect()).collect();
    format!("1 in {}", grouped.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_rises_with_the_evidence() {
        let at = |e: f64| severity(e.ln(), 1e-3);
        assert_eq!(at(999.0), None);
        assert_eq!(at(1_001.0), Some(Severity::Medium));
        assert_eq!(at(50_000.0), Some(Severity::High));
        assert_eq!(at(1e8), Some(Severity::Critical));
    }
}
