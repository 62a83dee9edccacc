//! Attacks: which are staged when, and the sessions that they bring with them. How each of them goes is told in a file
//! of its own under `attack/`.

mod credential_theft;
mod escalation;
mod exfiltration;
mod hijack;
mod moves;
mod shadow_agent;
mod slow_drift;

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;

use crate::chance::{Dice, dice};
use crate::config::Config;
use crate::fleet::Fleet;
use crate::label::AttackKind;
use crate::session::{Link, Session};

pub(crate) use slow_drift::Drift;

/// Attacks begin when this share of the events is written, so that there is something to depart from, and before that
/// share, so that they are not cut off.
const FIRST: f64 = 1.0 / 3.0;
const LAST: f64 = 0.93;
/// Sessions that may go by before an attack takes one that suits it less.
const PATIENCE: u32 = 400;

/// An attack that is to be staged.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Number of events written before it.
    after: u64,
    kind: AttackKind,
    /// How many of its kind come before it; a kind's variants take turns.
    turn: u64,
}

/// The attacks of a simulation.
#[derive(Debug)]
pub(crate) struct Campaigns {
    due: VecDeque<Due>,
    passed: u32,
    drifts: BTreeMap<u64, Drift>,
    dice: Dice,
}

/// A session beside an agent's own rhythm.
#[derive(Debug)]
pub(crate) enum Extra {
    /// A worker takes up what another agent handed it.
    HandedOver { worker: u64, delegation: Vec<Link> },
    /// Somebody uses an agent's credential.
    Theft { agent: u64 },
    /// An agent that nobody registered.
    Shadow(shadow_agent::Shadow),
}

impl Campaigns {
    pub fn new(config: &Config) -> Self {
        let mut dice = dice(config.seed, 3, 0);
        let events = config.events as f64;
        let mut times: Vec<u64> =
            (0..config.attacks).map(|_| (events * dice.random_range(FIRST..LAST)) as u64).collect();
        times.sort_unstable();
        let kinds = AttackKind::ALL.len() as u64;
        // A drift needs time: each round of attacks starts with one.
        let due = (0..).zip(times).map(|(i, after)| Due {
            after,
            kind: AttackKind::ALL[((i + kinds - 1) % kinds) as usize],
            turn: i / kinds,
        });
        Self { due: due.collect(), passed: 0, drifts: BTreeMap::new(), dice }
    }

    /// Stages what is due in a session that is about to begin, and gives the sessions that it brings with it.
    pub fn stage(&mut self, fleet: &Fleet, session: &mut Session, written: u64) -> Vec<(i64, Extra)> {
        if let Some(drift) = self.drifts.get_mut(&session.agent.number) {
            drift.move_some(session, &mut self.dice);
            if drift.is_over() {
                self.drifts.remove(&session.agent.number);
            }
            return Vec::new();
        }
        let Some(&due) = self.due.front().filter(|due| due.after <= written) else { return Vec::new() };
        let last_call = self.passed >= PATIENCE;
        let Some(extras) = self.begin(fleet, session, due, last_call) else {
            self.passed += 1;
            return Vec::new();
        };
        self.due.pop_front();
        self.passed = 0;
        extras
    }

    /// Begins an attack with this session; `None` where the session does not suit it.
    fn begin(&mut self, fleet: &Fleet, session: &mut Session, due: Due, last_call: bool) -> Option<Vec<(i64, Extra)>> {
        let dice = &mut self.dice;
        match due.kind {
            AttackKind::Hijack => hijack::stage(fleet, session, due.turn, last_call, dice).then(Vec::new),
            AttackKind::Escalation => escalation::stage(session, due.turn, last_call, dice).then(Vec::new),
            AttackKind::Exfiltration => exfiltration::stage(session, due.turn, last_call, dice).then(Vec::new),
            AttackKind::CredentialTheft => Some(credential_theft::plan(fleet, session, dice)),
            AttackKind::ShadowAgent => Some(shadow_agent::plan(fleet, session, due.turn, dice)),
            AttackKind::SlowDrift => {
                let drift = Drift::of(session, last_call, dice)?;
                self.drifts.insert(session.agent.number, drift);
                Some(Vec::new())
            }
        }
    }
}

impl Extra {
    /// The session itself; `number` keeps it apart from the agent's others.
    pub fn session(self, fleet: &Fleet, start: i64, number: u64) -> Session {
        // Numbers of an agent's own sessions stay far below.
        let number = number | 1 << 40;
        match self {
            Self::HandedOver { worker, delegation } => {
                let mut session = Session::honest(fleet, fleet.agent(worker), number, start);
                session.narrow();
                session.delegation = delegation;
                if let Some(link) = session.delegation.last_mut() {
                    link.scopes.clone_from(&session.scopes);
                }
                session
            }
            Self::Theft { agent } => credential_theft::session(fleet, agent, number, start),
            Self::Shadow(shadow) => shadow_agent::session(fleet, &shadow, number, start),
        }
    }
}
