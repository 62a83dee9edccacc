//! Network: a session that acts from a network, or with a client, that the agent does not act from.
//!
//! Whoever holds an agent's credential has what it may do, but seldom its place. Networks back off from the agent to its
//! peer group and the fleet, and so do clients; from a network that the agent never used, its own habits say nothing of the
//! client any more. Where a session acts from is one test, on the product of both p-values. Method: [`crate::pitman_yor`].

use driftline_core::observation::{Place, client};
use driftline_core::{Basis, Evidence, truncate};

use crate::decision::{one_in, severity};
use crate::detector::{Detector, Scene};
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::observation::Dimension;
use crate::pitman_yor::Level;

/// See the module.
pub struct Network;

const NAME: &str = "network";
/// Most characters of a client's name that are shown.
const SHOWN: usize = 60;

impl Detector for Network {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["unusual_network"]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let Some(place) = scene.observation.place else { return 1.0 };
        let is_known = |key| key == 0 || scene.session.has_used(key);
        if is_known(place.network) && is_known(place.client) {
            return 1.0;
        }
        note_names(scene, place);
        let agent = &*scene.agent;
        let network = match place.network {
            0 => 1.0,
            key => agent.networks.tail(key, || scene.peers(Dimension::Network, key)),
        };
        let peers = || scene.peers(Dimension::Client, place.client);
        let has_moved = place.network != 0 && agent.networks.count(place.network) == 0;
        let client = if has_moved { peers() } else { agent.clients.tail(place.client, peers) };
        let p = both(agent.with_release(network), agent.with_release(client));
        findings.extend(judge(scene, place, p));
        p
    }
}

/// The p-value of two independent ones together, by their product (Fisher, "Statistical methods for research workers",
/// 1932, for two).
fn both(p: f64, q: f64) -> f64 {
    let product = (p * q).max(1e-300);
    (product * (1.0 - product.ln())).min(1.0)
}

fn note_names(scene: &mut Scene<'_, '_>, place: Place) {
    if place.network != 0 && scene.agent.networks.count(place.network) == 0 {
        let name = network_of(scene);
        scene.lexicon.note(place.network, &name);
    }
    if scene.agent.clients.count(place.client) == 0 {
        let name = client_of(scene);
        scene.lexicon.note(place.client, &name);
    }
}

fn judge(scene: &mut Scene<'_, '_>, place: Place, p: f64) -> Option<Finding> {
    let severity = severity(-p.ln(), scene.world.level(scene.agent))?;
    if !scene.session.rises_to(severity) {
        return None;
    }
    let (network, client) = (network_of(scene), client_of(scene));
    let agent = scene.name();
    let sessions = scene.agent.sessions_learned;
    Some(Finding {
        detector: NAME,
        family: DEVIATION,
        kind: "unusual_network",
        basis: vec![Basis::Unusual],
        severity,
        anchor: format!("{}/{severity}", scene.session.first_event),
        title: format!("{agent} acts from {network} with {client}, as it did in none of {sessions} sessions"),
        summary: format!("A place as unusual comes in {} of this agent's honest sessions.", one_in(p)),
        recommendation: "Ask the owner whether the agent has moved. If not, its credential is used by somebody else: \
                         revoke it, and read what this session has touched.",
        evidence: vec![
            evidence(scene, "network", network, Dimension::Network, place.network),
            evidence(scene, "client", client, Dimension::Client, place.client),
        ],
        steps: Vec::new(),
        drift: None,
        events: vec![scene.id.to_owned()],
        p_value: Some(p),
        e_value: None,
        techniques: Techniques { attack: &["T1078.004", "T1550.001"], atlas: &[], owasp: &["ASI03"] },
    })
}

fn evidence(scene: &Scene<'_, '_>, feature: &str, observed: String, dimension: Dimension, key: u64) -> Evidence {
    Evidence {
        feature: feature.to_owned(),
        observed,
        expected: scene.usual(dimension),
        baseline_count: Some(u64::from(scene.agent.sessions_learned)),
        peers: scene.users(dimension, key),
        p_value: None,
    }
}

/// The network in words, as far as it is told.
fn network_of(scene: &Scene<'_, '_>) -> String {
    let network = scene.event.network.as_ref();
    let country = network.and_then(|network| network.country.as_deref()).map(|country| truncate(country, 8));
    match (network.and_then(|network| network.asn), country) {
        (Some(asn), Some(country)) => format!("AS{asn} {country}"),
        (Some(asn), None) => format!("AS{asn}"),
        (None, Some(country)) => country.into_owned(),
        (None, None) => "a network that is not told".to_owned(),
    }
}

/// The client in words.
fn client_of(scene: &Scene<'_, '_>) -> String {
    let user_agent = scene.event.network.as_ref().and_then(|network| network.user_agent.as_deref());
    truncate(client(user_agent.unwrap_or_default()), SHOWN).into_owned()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn two_p_values_together_are_one() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut draws: Vec<f64> =
            (0..20_000).map(|_| both(rng.random_range(0.0..1.0), rng.random_range(0.0..1.0))).collect();
        draws.sort_by(f64::total_cmp);
        for share in [0.01, 0.1, 0.5] {
            let quantile = draws[(share * draws.len() as f64) as usize];
            assert!((quantile / share - 1.0).abs() < 0.15, "{share}: {quantile}");
        }
        assert_eq!(both(1.0, 1.0), 1.0);
    }
}
