//! Slow drift: from one session to the next, one or two per cent more of what an agent does is turned to data that are
//! none of its business, so that no single session stands out by much.

use driftline_core::{Access, ActionKind};
use rand::RngExt;

use super::moves::{malicious, tool, tools_where};
use crate::catalogue::{ToolIndex, catalogue};
use crate::chance::{Dice, one_of};
use crate::label::AttackKind;
use crate::session::Session;

/// What each session adds to the share of acts that are turned, and where it stops.
const STEP: f64 = 0.015;
const MOST: f64 = 0.6;
/// Sessions that a drift lasts.
const SESSIONS: u32 = 60;

/// The drift of one agent.
#[derive(Debug)]
pub(crate) struct Drift {
    sessions: u32,
    towards: Vec<ToolIndex>,
}

impl Drift {
    /// A drift that begins with this session's agent, towards a few kinds of data; `None` where the agent works too
    /// seldom for anything to be slow.
    pub fn of(session: &Session, last_call: bool, dice: &mut Dice) -> Option<Self> {
        if session.agent.week.sessions_per_day < 3.0 && !last_call {
            return None;
        }
        let own = session.agent.tools();
        let reads = tools_where(|tool| tool.access == Access::Read && tool.kind != ActionKind::CredentialUse);
        let is_honest = |index: &ToolIndex| catalogue().kinds.iter().any(|kind| kind.tools.contains(index));
        let elsewhere: Vec<_> = reads.into_iter().filter(|index| is_honest(index) && !own.contains(index)).collect();
        // Data of its own kind's others first, if there are any, then of anybody.
        let of_kind: Vec<_> =
            elsewhere.iter().copied().filter(|index| session.agent.kind.tools.contains(index)).collect();
        let mut towards = Vec::new();
        if !of_kind.is_empty() {
            towards.push(*one_of(dice, &of_kind));
        }
        while towards.len() < 3 {
            towards.push(*one_of(dice, &elsewhere));
        }
        Some(Self { sessions: 0, towards })
    }

    /// Turns some acts of the agent's next session.
    pub fn move_some(&mut self, session: &mut Session, dice: &mut Dice) {
        self.sessions += 1;
        let share = (f64::from(self.sessions) * STEP).min(MOST);
        for place in 0..session.acts.len() {
            let is_read = tool(session.acts[place].tool).access == Access::Read;
            if is_read && dice.random::<f64>() < share {
                let turned = malicious(session, *one_of(dice, &self.towards), dice);
                session.acts[place] = turned;
                session.attack = Some(AttackKind::SlowDrift);
            }
        }
    }

    pub fn is_over(&self) -> bool {
        self.sessions >= SESSIONS
    }
}
