//! Shadow agents: somebody runs an agent of his own, which nobody registered, for some hours or days. It works much as
//! those of a kind do, often on a borrowed credential, and now and then takes more than they would.

use driftline_core::Access;
use rand::RngExt;

use super::Extra;
use super::moves::{a_lot, malicious, send_out, sender, tools_where, weave};
use crate::catalogue::{Kind, catalogue};
use crate::chance::{Dice, dice, exponential, mix, one_of};
use crate::fleet::{Agent, Fleet};
use crate::label::AttackKind;
use crate::rhythm::HOUR;
use crate::session::Session;

/// An unregistered agent.
#[derive(Debug, Clone)]
pub(crate) struct Shadow {
    /// Its number, after those of all registered agents.
    number: u64,
    kind: &'static Kind,
    /// The registered agent whose credential it uses.
    lender: Option<u64>,
}

/// A few sessions of a new shadow agent, the first one now.
pub(super) fn plan(fleet: &Fleet, session: &Session, turn: u64, dice: &mut Dice) -> Vec<(i64, Extra)> {
    let shadow = Shadow {
        number: fleet.agents + turn,
        kind: one_of(dice, &catalogue().kinds),
        lender: dice.random_bool(0.5).then_some(session.agent.number),
    };
    // The later ones come within the time that is left.
    let mean_gap = (fleet.span as f64 / 40.0).min(5.0 * HOUR as f64);
    let mut time = session.time;
    let mut extras = Vec::new();
    for _ in 0..dice.random_range(3..=8) {
        extras.push((time, Extra::Shadow(shadow.clone())));
        time += 60_000 + exponential(dice, mean_gap) as i64;
    }
    extras
}

pub(super) fn session(fleet: &Fleet, shadow: &Shadow, number: u64, start: i64) -> Session {
    let agent = agent(fleet, shadow);
    let mut dice = dice(agent.seed, 5, number);
    let mut session = Session::honest(fleet, agent, number, start);
    if let Some(lender) = shadow.lender {
        let lender = fleet.agent(lender);
        session.credential = lender.credential(start);
        session.scopes = lender.scopes();
    }
    if dice.random_bool(0.4) {
        let bulk = tools_where(|tool| tool.access == Access::Read && tool.records > 100.0);
        let mut acts = vec![malicious(&session, *one_of(&mut dice, &bulk), &mut dice)];
        if dice.random_bool(0.5) {
            let with = sender(&session, &mut dice);
            let bytes = a_lot(&mut dice) / 4;
            acts.push(send_out(&session, with, bytes, &mut dice));
        }
        let at = session.acts.len();
        weave(&mut session, at, acts, &mut dice);
    }
    for act in &mut session.acts {
        act.malicious = true;
        act.peer = None;
    }
    session.attack = Some(AttackKind::ShadowAgent);
    session
}

/// Named as people name what they try out, or like the next agent of its kind.
fn agent(fleet: &Fleet, shadow: &Shadow) -> Agent {
    let mut agent = fleet.derive(shadow.number, shadow.kind);
    let kind = &shadow.kind.id;
    let hash = mix(agent.seed, 6);
    let first = &catalogue().words.lists["first"];
    let first = &first[(hash % first.len() as u64) as usize];
    agent.id = match hash % 5 {
        0 => format!("{kind}-{}-{}", agent.week.region.name, fleet.agents + 1 + hash % 50),
        1 => format!("{first}-{kind}-copilot"),
        2 => format!("{kind}-poc-{}", 1 + hash % 9),
        3 => format!("test-agent-{first}"),
        _ => format!("{kind}-sync-{}", 100 + hash % 900),
    };
    agent
}
