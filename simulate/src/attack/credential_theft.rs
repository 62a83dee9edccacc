//! Credential theft: somebody who holds an agent's credential uses it from another network, in a session of his own, when
//! the agent itself is quiet, and reads whatever it opens.

use driftline_core::{Access, Outcome};
use rand::RngExt;

use super::Extra;
use super::moves::{malicious, tool};
use crate::chance::{Dice, dice, exponential, lognormal, one_of};
use crate::fleet::Fleet;
use crate::label::AttackKind;
use crate::rhythm::{DAY, HOUR};
use crate::session::{Place, Session};

const PLACES: &[(&str, u32, &str)] = &[
    ("203.0.113", 65010, "NL"),
    ("198.51.100", 65023, "RO"),
    ("192.0.2", 65031, "US"),
    ("203.0.113", 65044, "HK"),
    ("198.51.100", 65052, "DE"),
];
const CLIENTS: &[&str] = &["python-requests/2.32", "curl/8.9", "Go-http-client/2.0", "node-fetch/3.3", "axios/1.7"];

/// The theft of the credential of this session's agent: one session, at the next hour at which the agent is quiet.
pub(super) fn plan(fleet: &Fleet, session: &Session, dice: &mut Dice) -> Vec<(i64, Extra)> {
    let soon = session.time + exponential(dice, HOUR as f64) as i64;
    let quiet = (0..24)
        .map(|hour| soon + hour * HOUR)
        .find(|&time| session.agent.week.weight(time) < 0.05)
        // The stream may be over before it gets quiet.
        .filter(|&time| time < fleet.start + fleet.span - fleet.span.min(DAY) / 10);
    vec![(quiet.unwrap_or(soon), Extra::Theft { agent: session.agent.number })]
}

pub(super) fn session(fleet: &Fleet, agent: u64, number: u64, start: i64) -> Session {
    let mut session = Session::honest(fleet, fleet.agent(agent), number, start);
    let mut dice = dice(session.agent.seed, 4, number);
    let &(net, asn, country) = one_of(&mut dice, PLACES);
    session.place = Place {
        instance: String::new(),
        ip: format!("{net}.{}", dice.random_range(2..254)),
        asn,
        country,
        user_agent: Some(*one_of(&mut dice, CLIENTS)),
    };
    if dice.random_bool(0.5) {
        session.intent.clear();
    }
    let readers: Vec<_> =
        session.agent.tools().into_iter().filter(|&index| tool(index).access == Access::Read).collect();
    // He starts with what the token is for, then looks at everything.
    session.acts.truncate(2);
    for act in &mut session.acts {
        act.malicious = true;
        act.peer = None;
    }
    for _ in 0..dice.random_range(10..=40) {
        let mut act = malicious(&session, *one_of(&mut dice, &readers), &mut dice);
        act.wait = 1 + lognormal(&mut dice, 900.0, 0.9) as i64;
        if dice.random_bool(0.08) {
            act.outcome = Outcome::Denied;
            act.bytes_in = 120;
            act.records = 0;
        }
        session.acts.push(act);
    }
    session.attack = Some(AttackKind::CredentialTheft);
    session
}
