//! After the end: which attacks were caught, and which alerts were false. Here, and nowhere before, labels are read.

use std::collections::BTreeMap;

use driftline_core::{Alert, Timestamp};
use driftline_simulate::{AttackKind, Label, SessionLabel};

use super::fleet::{Fleet, Raised, Seen};

/// What became of the staged attacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The attacks, in the order in which they began.
    pub attacks: Vec<Attack>,
    /// Alerts, all of them.
    pub alerts: u64,
    /// Alerts that concern no attack, in the order in which they came.
    pub false_alerts: Vec<FalseAlert>,
    /// Sessions in which nothing was malicious.
    pub honest_sessions: u64,
}

/// A staged attack. A shadow agent and a slow drift are one attack, however many sessions they take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// What was staged.
    pub kind: AttackKind,
    /// Who did it, or in whose name.
    pub agent: String,
    /// Its malicious events.
    pub malicious: u64,
    /// The first alert about it; `None` where it was missed.
    pub caught: Option<Catch>,
}

/// How an attack was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catch {
    /// The alert's detector.
    pub detector: String,
    /// The malicious events that had happened by then; 0 where its session raised an alert before the first.
    pub after: u64,
    /// Event time from the first malicious event to the alert, in milliseconds; 0 where the alert was first.
    pub delay_ms: i64,
}

/// An alert that concerns no attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FalseAlert {
    /// The same for repeats of one cause.
    pub fingerprint: String,
    /// When.
    pub time: Timestamp,
    /// What it said.
    pub title: String,
}

/// A campaign while it is put together.
struct Campaign<'l> {
    sessions: Vec<&'l SessionLabel>,
    malicious: Vec<Seen>,
    caught: Option<&'l Raised>,
}

/// Compares what was raised with what was staged.
pub(super) fn judge(labels: &[SessionLabel], raised: &[Raised], fleet: &Fleet) -> Outcome {
    let mut campaigns = campaigns(labels, fleet);
    let mut false_alerts = Vec::new();
    for alert in raised {
        let mut is_true = false;
        for campaign in campaigns.values_mut() {
            if campaign.sessions.iter().any(|session| concerns(alert, session)) {
                is_true = true;
                campaign.caught = campaign.caught.or(Some(alert));
            }
        }
        if !is_true {
            let Alert { fingerprint, time, title, .. } = &alert.alert;
            false_alerts.push(FalseAlert { fingerprint: fingerprint.clone(), time: *time, title: title.clone() });
        }
    }
    let mut attacks: Vec<_> = campaigns.into_iter().collect();
    attacks.sort_by_key(|(_, campaign)| campaign.malicious.iter().map(|event| event.number).min());
    Outcome {
        attacks: attacks.into_iter().map(|((kind, agent, _), campaign)| attack(kind, agent, &campaign)).collect(),
        alerts: raised.len() as u64,
        false_alerts,
        honest_sessions: labels.iter().filter(|label| label.label == Label::Benign).count() as u64,
    }
}

/// The attacks by kind, agent and, where one session is the whole attack, that session.
fn campaigns<'l>(labels: &'l [SessionLabel], fleet: &Fleet) -> BTreeMap<(AttackKind, &'l str, &'l str), Campaign<'l>> {
    let mut campaigns = BTreeMap::new();
    for label in labels.iter().filter(|label| label.label == Label::Attack) {
        let Some(kind) = label.kind else { continue };
        let lasts = matches!(kind, AttackKind::ShadowAgent | AttackKind::SlowDrift);
        let session = if lasts { "" } else { label.session.as_str() };
        let campaign = campaigns.entry((kind, label.agent.as_str(), session)).or_insert_with(|| Campaign {
            sessions: Vec::new(),
            malicious: Vec::new(),
            caught: None,
        });
        campaign.sessions.push(label);
        campaign.malicious.extend(label.malicious.iter().filter_map(|id| fleet.seen(id)));
    }
    campaigns
}

/// Whether an alert is about that agent in that session, names the agent among many, or holds a malicious event.
fn concerns(raised: &Raised, session: &SessionLabel) -> bool {
    let alert = &raised.alert;
    let named = match &alert.agent {
        Some(agent) => agent.id == session.agent && alert.session.as_ref().is_some_and(|s| s.id == session.session),
        // Only what nobody registered is spoken of like that.
        None => {
            session.kind == Some(AttackKind::ShadowAgent)
                && alert.entities.iter().any(|entity| entity.kind == "agent" && entity.id == session.agent)
        }
    };
    named || alert.events.iter().any(|event| session.malicious.contains(event))
}

fn attack(kind: AttackKind, agent: &str, campaign: &Campaign<'_>) -> Attack {
    let first = campaign.malicious.iter().map(|event| event.time).min();
    let caught = campaign.caught.map(|raised| Catch {
        detector: raised.alert.detector.clone(),
        after: campaign.malicious.iter().filter(|event| event.number < raised.events).count() as u64,
        delay_ms: first.map_or(0, |first| raised.time.since(first).max(0)),
    });
    Attack { kind, agent: agent.to_owned(), malicious: campaign.malicious.len() as u64, caught }
}
