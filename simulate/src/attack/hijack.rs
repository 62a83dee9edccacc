//! Hijack: something that an agent reads in an honest session tells it to do something else, and it does.
//!
//! Every other one keeps to tools, and families of resources, that others of the agent's kind use as well, though not
//! for this task and mostly not this agent; these can only be told by what the agent and the request are like. The rest
//! reach for what the kind does not have, or send to places where nobody sends.

use driftline_core::{Access, ActionKind, Sensitivity};
use rand::RngExt;

use super::moves::{any_of, malicious, malicious_on, send_out, sender, tool, tools_where, weave};
use crate::catalogue::{Step, catalogue};
use crate::chance::{Dice, lognormal, one_of};
use crate::fleet::Fleet;
use crate::label::AttackKind;
use crate::session::{Act, Session};

pub(super) fn stage(fleet: &Fleet, session: &mut Session, turn: u64, last_call: bool, dice: &mut Dice) -> bool {
    let Some(read) = reads_of_outsiders(session, last_call) else { return false };
    let steps = steps_of_peers(fleet, session);
    let peers_can = steps.iter().any(|&step| harms(step));
    let acts = match turn.is_multiple_of(2) {
        true if peers_can => as_peers_do(session, &steps, dice),
        // An agent may have no peers; then any way will do in the end.
        true if !last_call => return false,
        _ => as_nobody_does(session, dice),
    };
    session.attack = Some(AttackKind::Hijack);
    weave(session, read + 1, acts, dice);
    true
}

/// The act that brings the instructions in: reading what outsiders can write, or at the last call reading anything.
fn reads_of_outsiders(session: &Session, last_call: bool) -> Option<usize> {
    session.acts.iter().position(|act| {
        let is_external = act.on.is_some_and(|on| on.of().external);
        tool(act.tool).access == Access::Read && (is_external || last_call)
    })
}

/// Steps that others of the kind take, with tools that this task does not need; those that the agent itself never takes
/// where there are any.
fn steps_of_peers(fleet: &Fleet, session: &Session) -> Vec<Step> {
    let of_task: Vec<_> = session.task().steps.iter().map(|step| step.tool).collect();
    let own = session.agent.tools();
    let peers = fleet.peers_of(&session.agent, 12);
    let mut others: Vec<Step> = peers
        .iter()
        .flat_map(|peer| peer.steps())
        .filter(|step| !of_task.contains(&step.tool))
        .filter(|step| tool(step.tool).kind != ActionKind::Delegation && tool(step.tool).kind != ActionKind::Message)
        .copied()
        .collect();
    if others.iter().any(|&step| harms(step) && !own.contains(&step.tool)) {
        others.retain(|step| !own.contains(&step.tool));
    }
    others
}

/// Whether an outsider gains by it: it leaves the company, is gone, is run, is given, or changes what is confidential.
fn harms(step: Step) -> bool {
    let families = &catalogue().families;
    let is_inside = step.to.is_some_and(|to| families[usize::from(to)].name == "colleague");
    let is_confidential =
        step.on.is_some_and(|on| families[usize::from(on)].sensitivity >= Some(Sensitivity::Confidential));
    let with = tool(step.tool);
    match with.access {
        Access::Read => false,
        Access::Write => (with.outward && !is_inside) || with.approval || is_confidential,
        Access::Delete | Access::Execute | Access::Grant => true,
    }
}

fn as_peers_do(session: &Session, steps: &[Step], dice: &mut Dice) -> Vec<Act> {
    let harming: Vec<Step> = steps.iter().copied().filter(|&step| harms(step)).collect();
    let reading: Vec<Step> = steps.iter().copied().filter(|step| tool(step.tool).access == Access::Read).collect();
    let mut acts = Vec::new();
    if !reading.is_empty() {
        for _ in 0..dice.random_range(0..=2) {
            acts.push(take(session, *one_of(dice, &reading), dice));
        }
    }
    for _ in 0..dice.random_range(1..=2) {
        acts.push(take(session, *one_of(dice, &harming), dice));
    }
    acts
}

fn take(session: &Session, step: Step, dice: &mut Dice) -> Act {
    let on = step.on.map(|family| any_of(session, family, dice));
    let to = step.to.map(|family| any_of(session, family, dice));
    malicious_on(session, step.tool, on, to, dice)
}

fn as_nobody_does(session: &Session, dice: &mut Dice) -> Vec<Act> {
    let kind = session.agent.kind;
    let foreign = tools_where(|tool| tool.kind != ActionKind::Delegation && tool.kind != ActionKind::Message);
    let foreign: Vec<_> = foreign.into_iter().filter(|index| !kind.tools.contains(index)).collect();
    let mut acts = Vec::new();
    let own_reads: Vec<_> =
        session.agent.tools().into_iter().filter(|&index| tool(index).access == Access::Read).collect();
    if !own_reads.is_empty() && dice.random_bool(0.6) {
        acts.push(malicious(session, *one_of(dice, &own_reads), dice));
    }
    if dice.random_bool(0.5) {
        // Where the agent can send things out, it sends them where nobody does.
        let with = sender(session, dice);
        let bytes = lognormal(dice, 9000.0, 1.0) as u64;
        acts.push(send_out(session, with, bytes, dice));
    } else {
        // One server is enough for what is wanted.
        let server = &tool(*one_of(dice, &foreign)).server;
        let there: Vec<_> = foreign.into_iter().filter(|&index| tool(index).server == *server).collect();
        for _ in 0..dice.random_range(1..=3) {
            acts.push(malicious(session, *one_of(dice, &there), dice));
        }
    }
    acts
}
