//! Escalation: the agent is refused something and gets it by another way, or makes a grant that it never made before, to
//! itself or to an accomplice. Four ways take turns.

use driftline_core::{Access, Outcome};
use rand::RngExt;

use super::moves::{any_of, malicious, malicious_on, means, tool, tools_where, weave};
use crate::catalogue::{Target, ToolIndex};
use crate::chance::{Dice, mix, one_of};
use crate::label::AttackKind;
use crate::session::{Act, Borrowed, Given, Session};

/// Share of malicious grants for which somebody was talked into agreeing.
const APPROVED: f64 = 0.3;

pub(super) fn stage(session: &mut Session, turn: u64, last_call: bool, dice: &mut Dice) -> bool {
    if session.acts.len() < 3 && !last_call {
        return false;
    }
    // What the kind has no business with.
    let kind = session.agent.kind;
    let out_of_reach: Vec<ToolIndex> = tools_where(|tool| {
        tool.on.is_some() && tool.access == Access::Read && (tool.sensitive || tool.records > 100.0)
    })
    .into_iter()
    .filter(|index| !kind.tools.contains(index))
    .collect();
    let wanted = *one_of(dice, &out_of_reach);
    let Some(family) = tool(wanted).on else { return false };
    let target = any_of(session, family, dice);
    let mut acts = match turn % 4 {
        0 => by_another_tool(session, wanted, target, dice),
        1 => by_another_credential(session, wanted, target, dice),
        2 => by_granting_itself(session, wanted, target, dice),
        _ => by_granting_an_accomplice(session, wanted, dice),
    };
    for act in &mut acts {
        act.malicious = true;
    }
    session.attack = Some(AttackKind::Escalation);
    let at = dice.random_range(1..=session.acts.len());
    weave(session, at, acts, dice);
    true
}

/// Refused once or twice.
fn refused(session: &Session, wanted: ToolIndex, target: Target, dice: &mut Dice) -> Vec<Act> {
    let attempt = malicious_on(session, wanted, Some(target), None, dice);
    let attempt = Act { outcome: Outcome::Denied, bytes_in: 120, records: 0, ..attempt };
    vec![attempt; dice.random_range(1..=2)]
}

fn by_another_tool(session: &Session, wanted: ToolIndex, target: Target, dice: &mut Dice) -> Vec<Act> {
    let mut acts = refused(session, wanted, target, dice);
    let own = session.agent.tools();
    // Tools that reach further than they should: the agent's own readers, or running things.
    let mut ways: Vec<_> = means().ways_round.iter().copied().filter(|&way| way != wanted).collect();
    if ways.iter().any(|way| own.contains(way)) {
        ways.retain(|way| own.contains(way));
    }
    let way = *one_of(dice, &ways);
    for _ in 0..dice.random_range(1..=2) {
        acts.push(malicious_on(session, way, Some(target), None, dice));
    }
    acts
}

fn by_another_credential(session: &Session, wanted: ToolIndex, target: Target, dice: &mut Dice) -> Vec<Act> {
    let mut acts = refused(session, wanted, target, dice);
    let mut scopes = session.scopes.clone();
    scopes.push(&tool(wanted).permission);
    scopes.push("admin:*");
    let id = format!("cred-{:010x}", mix(session.agent.seed, session.time as u64) >> 24);
    for _ in 0..dice.random_range(1..=3) {
        let mut act = malicious_on(session, wanted, Some(target), None, dice);
        act.credential = Some(Box::new(Borrowed { id: id.clone(), scopes: scopes.clone() }));
        acts.push(act);
    }
    acts
}

/// The tool with which a permission is taken: the agent's own, where it can grant.
fn granting_tool(session: &Session, dice: &mut Dice) -> ToolIndex {
    let own = session.agent.tools().into_iter().find(|&index| tool(index).access == Access::Grant);
    own.unwrap_or_else(|| *one_of(dice, &means().granting))
}

fn by_granting_itself(session: &Session, wanted: ToolIndex, target: Target, dice: &mut Dice) -> Vec<Act> {
    let mut acts = if dice.random_bool(0.6) { refused(session, wanted, target, dice) } else { Vec::new() };
    let mut grant = malicious(session, granting_tool(session, dice), dice);
    grant.gives = Some(Box::new(Given { to: session.agent.id.clone(), permissions: vec![&tool(wanted).permission] }));
    grant.approved = dice.random_bool(APPROVED);
    acts.push(grant);
    for _ in 0..dice.random_range(1..=2) {
        acts.push(malicious_on(session, wanted, Some(target), None, dice));
    }
    acts
}

fn by_granting_an_accomplice(session: &Session, wanted: ToolIndex, dice: &mut Dice) -> Vec<Act> {
    let mut grant = malicious(session, granting_tool(session, dice), dice);
    grant.approved = dice.random_bool(APPROVED);
    let accomplice = format!("{}-sync-{}", session.agent.kind.id, dice.random_range(10..99));
    grant.gives = Some(Box::new(Given { to: accomplice, permissions: vec![&tool(wanted).permission, "admin:*"] }));
    vec![grant]
}
