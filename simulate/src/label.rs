//! What the simulation knows and the detectors must find out.

use serde::{Deserialize, Serialize};

/// What one session was; one line of the labels file.
///
/// ```
/// use driftline_simulate::{AttackKind, Label, SessionLabel};
///
/// let label = SessionLabel {
///     session: "s-1".into(),
///     agent: "support-emea-1".into(),
///     label: Label::Attack,
///     kind: Some(AttackKind::Hijack),
///     task: "refund".into(),
///     malicious: vec!["01J9".into()],
/// };
/// assert_eq!(
///     serde_json::to_string(&label)?,
///     r#"{"session":"s-1","agent":"support-emea-1","label":"attack","kind":"hijack","task":"refund","malicious":["01J9"]}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLabel {
    /// The session's id.
    pub session: String,
    /// The agent that its events name.
    pub agent: String,
    /// Whether anything in it was malicious.
    pub label: Label,
    /// The attack that was staged in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AttackKind>,
    /// The kind of task that was asked for.
    pub task: String,
    /// Ids of the malicious events; of those without an id, the hash of their record.
    pub malicious: Vec<String>,
}

/// Whether anything in a session was malicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Nothing was.
    Benign,
    /// Something was.
    Attack,
}

/// The attacks that are staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// Content that the agent reads makes it act for somebody else, inside an honest session.
    Hijack,
    /// Refused, it gets there by another way; or it grants itself or an accomplice what it lacks.
    Escalation,
    /// Somebody else uses its credential, from elsewhere and at odd hours.
    CredentialTheft,
    /// Sensitive data is read and sent out of the company.
    Exfiltration,
    /// An agent that nobody registered acts.
    ShadowAgent,
    /// Session by session, a little more of what it does is outside its purpose.
    SlowDrift,
}

impl AttackKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Hijack, Self::Escalation, Self::CredentialTheft, Self::Exfiltration, Self::ShadowAgent, Self::SlowDrift];

    /// The word that labels use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hijack => "hijack",
            Self::Escalation => "escalation",
            Self::CredentialTheft => "credential_theft",
            Self::Exfiltration => "exfiltration",
            Self::ShadowAgent => "shadow_agent",
            Self::SlowDrift => "slow_drift",
        }
    }
}

impl std::fmt::Display for AttackKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
