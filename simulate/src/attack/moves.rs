//! What several attacks have in common: malicious acts, and where they are put.

use driftline_core::Access;
use rand::RngExt;

use crate::catalogue::{FamilyIndex, Means, Pick, Target, Tool, ToolIndex, WITHIN_BITS, catalogue};
use crate::chance::{Dice, lognormal, one_of};
use crate::session::{Act, Given, Session, act};

/// The tool with this index.
pub(super) fn tool(index: ToolIndex) -> &'static Tool {
    &catalogue().tools[usize::from(index)]
}

/// What attackers reach for.
pub(super) fn means() -> &'static Means {
    &catalogue().means
}

/// Any resource of a family, each as likely as the others: outsiders do not know the agent's favourites.
pub(super) fn any_of(session: &Session, family: FamilyIndex, dice: &mut Dice) -> Target {
    let of = &catalogue().families[usize::from(family)];
    let holder = of.within.map(|holder| any_of(session, holder, dice));
    match of.pick {
        Pick::Recent => session.agent.pick(family, holder, session.time, dice),
        _ => {
            let own = dice.random_range(0..of.pool);
            let number = holder.map_or(own, |holder| holder.number << WITHIN_BITS | own);
            Target { family, number }
        }
    }
}

/// A malicious act with this tool on any resource that it is for.
pub(super) fn malicious(session: &Session, index: ToolIndex, dice: &mut Dice) -> Act {
    let on = tool(index).on.map(|family| any_of(session, family, dice));
    malicious_on(session, index, on, None, dice)
}

/// A malicious act with this tool, on this resource, to this receiver; what it grants is for the agent itself, where
/// nobody else is said.
pub(super) fn malicious_on(
    session: &Session,
    index: ToolIndex,
    on: Option<Target>,
    to: Option<Target>,
    dice: &mut Dice,
) -> Act {
    let mut act = act(&session.agent, index, on, to, dice);
    act.approved = false;
    act.malicious = true;
    if tool(index).access == Access::Grant && to.is_none() {
        let permissions = vec![tool(index).permission.as_str()];
        act.gives = Some(Box::new(Given { to: session.agent.id.clone(), permissions }));
    }
    act
}

/// An act that sends `bytes` out of the company with this tool, to somewhere nobody honest sends things.
pub(super) fn send_out(session: &Session, index: ToolIndex, bytes: u64, dice: &mut Dice) -> Act {
    let with = tool(index);
    let sends_mail =
        with.permission == "mail:send" || with.permission == "billing:send" || with.permission == "files:share";
    let mut act = if sends_mail {
        let on = with.on.map(|family| any_of(session, family, dice));
        let receiver = *one_of(dice, &means().receivers);
        let to = any_of(session, receiver, dice);
        // A tool that takes only a recipient has it as its resource.
        let on = on.filter(|on| on.of().kind != "email");
        malicious_on(session, index, on.or(session_resource(session)), Some(to), dice)
    } else {
        let on = any_of(session, means().drops, dice);
        malicious_on(session, index, Some(on), None, dice)
    };
    act.bytes_out = bytes.max(act.bytes_out);
    act
}

fn session_resource(session: &Session) -> Option<Target> {
    session.acts.iter().find_map(|act| act.on)
}

/// A tool of the agent's own that sends things out; where it has none, one that others have.
pub(super) fn sender(session: &Session, dice: &mut Dice) -> ToolIndex {
    let own: Vec<_> = session.agent.tools().into_iter().filter(|&index| tool(index).outward).collect();
    *one_of(dice, if own.is_empty() { &means().senders } else { &own })
}

/// Indices of the tools for which `wanted` holds.
pub(super) fn tools_where(wanted: impl Fn(&Tool) -> bool) -> Vec<ToolIndex> {
    let tools = catalogue().tools.iter().enumerate();
    // Tools are few.
    tools.filter(|(_, tool)| wanted(tool)).map(|(index, _)| index as ToolIndex).collect()
}

/// Puts acts into a session one after another, from place `at` on, with now and then one of the session's own between.
pub(super) fn weave(session: &mut Session, at: usize, acts: Vec<Act>, dice: &mut Dice) {
    let mut at = at.min(session.acts.len());
    for act in acts {
        session.acts.insert(at, act);
        at += 1;
        if dice.random_bool(0.3) && at < session.acts.len() {
            at += 1;
        }
    }
}

/// Bytes of an unusually large reply or upload.
pub(super) fn a_lot(dice: &mut Dice) -> u64 {
    lognormal(dice, 3_500_000.0, 0.9) as u64
}
