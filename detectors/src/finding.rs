//! What a detector says.

use driftline_core::{Basis, Drift, Evidence, Severity, Step};

/// What kinds of attack a finding points to, in the catalogues that analysts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Techniques {
    /// MITRE ATT&CK technique ids (attack.mitre.org).
    pub attack: &'static [&'static str],
    /// MITRE ATLAS technique ids (atlas.mitre.org).
    pub atlas: &'static [&'static str],
    /// OWASP Top 10 for Agentic Applications ids (genai.owasp.org).
    pub owasp: &'static [&'static str],
}

/// A detector's verdict, before it is known whom it concerns: the engine adds that and makes an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The detector's name.
    pub detector: &'static str,
    /// `deviation` for learned evidence, else the kind.
    pub family: &'static str,
    /// The detector's finer name.
    pub kind: &'static str,
    /// In what sense it departs.
    pub basis: Vec<Basis>,
    /// How much it matters.
    pub severity: Severity,
    /// What makes it this finding and no other: event ids, or a deadline.
    pub anchor: String,
    /// A sentence that names who and what.
    pub title: String,
    /// What happened, in a sentence.
    pub summary: String,
    /// What to do.
    pub recommendation: &'static str,
    /// What was seen beside what is usual.
    pub evidence: Vec<Evidence>,
    /// Acts it is made of.
    pub steps: Vec<Step>,
    /// Where behaviour moved.
    pub drift: Option<Drift>,
    /// Contributing events.
    pub events: Vec<String>,
    /// Calibrated evidence, where it is learned.
    pub p_value: Option<f64>,
    /// The same as a betting score.
    pub e_value: Option<f64>,
    /// What it points to.
    pub techniques: Techniques,
}

impl Finding {
    /// A deterministic finding, of which nothing has been put into words yet: its kind is its family, and it has no
    /// calibrated evidence.
    pub fn deterministic(detector: &'static str, kind: &'static str, anchor: String) -> Self {
        Self {
            detector,
            family: kind,
            kind,
            basis: Vec::new(),
            severity: Severity::Info,
            anchor,
            title: String::new(),
            summary: String::new(),
            recommendation: "",
            evidence: Vec::new(),
            steps: Vec::new(),
            drift: None,
            events: Vec::new(),
            p_value: None,
            e_value: None,
            techniques: Techniques::default(),
        }
    }
}

/// The family of every finding that is fused from learned detectors.
pub const DEVIATION: &str = "deviation";
