//! Exfiltration: sensitive data is read in an otherwise honest session and goes out in one large piece or a few, to a
//! place where nothing went before.

use driftline_core::{Access, Sensitivity};
use rand::RngExt;

use super::moves::{a_lot, malicious, means, send_out, sender, tool, tools_where, weave};
use crate::catalogue::{Tool, ToolIndex, catalogue};
use crate::chance::{Dice, one_of};
use crate::label::AttackKind;
use crate::session::Session;

pub(super) fn stage(session: &mut Session, turn: u64, last_call: bool, dice: &mut Dice) -> bool {
    let own = session.agent.tools();
    let readers: Vec<ToolIndex> = own.iter().copied().filter(|&index| reads_sensitive(tool(index))).collect();
    let readers = match readers.is_empty() {
        true if !last_call => return false,
        true => tools_where(|tool| tool.access == Access::Read && tool.sensitive),
        false => readers,
    };
    // Every third goes by a way that the agent need not have.
    let sender = if turn % 3 == 2 { *one_of(dice, &means().senders) } else { sender(session, dice) };
    let mut acts = Vec::new();
    for _ in 0..dice.random_range(1..=3) {
        let mut read = malicious(session, *one_of(dice, &readers), dice);
        let factor = dice.random_range(2..30);
        read.bytes_in = read.bytes_in.saturating_mul(factor);
        read.records = read.records.max(1) * factor;
        acts.push(read);
    }
    for _ in 0..dice.random_range(1..=2) {
        acts.push(send_out(session, sender, a_lot(dice), dice));
    }
    session.attack = Some(AttackKind::Exfiltration);
    let at = dice.random_range(1..=session.acts.len());
    weave(session, at, acts, dice);
    true
}

fn reads_sensitive(tool: &Tool) -> bool {
    let family = tool.on.map(|family| &catalogue().families[usize::from(family)]);
    let is_secret = family.and_then(|family| family.sensitivity) >= Some(Sensitivity::Confidential);
    tool.access == Access::Read && (tool.sensitive || is_secret)
}
