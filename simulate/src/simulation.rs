//! The fleet at work: sessions begin, run side by side and end, and their events come out in the order of time.
//!
//! Kept are the start of every agent's next session (16 bytes an agent), the sessions that run, and the attacks that are
//! still to come; nothing grows with the number of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use driftline_core::{ActionKind, IdentityDocument, Timestamp, record_hash, record_id};

use crate::attack::{Campaigns, Extra};
use crate::catalogue::catalogue;
use crate::chance::{dice, mix, unit};
use crate::config::{Config, ConfigError};
use crate::fleet::Fleet;
use crate::label::{Label, SessionLabel};
use crate::rhythm::DAY;
use crate::session::{Link, Session, base32};
use crate::write::{Scratch, write};

/// Labelled events of a fleet of agents, in the order of event time; the same [`Config`] gives the same bytes.
///
/// N events of A agents span about N ÷ (A × events a day of an agent) days: agents keep their natural rhythm, and the
/// stream ends when the events are spent.
///
/// ```
/// use driftline_simulate::{Config, Simulation};
///
/// let mut simulation = Simulation::new(Config { agents: 10, events: 500, ..Config::default() })?;
/// let mut records = 0;
/// let mut labels = Vec::new();
/// for event in &mut simulation {
///     records += 1;
///     labels.extend(event.label);
/// }
/// labels.extend(simulation.unfinished());
/// assert_eq!(records, 500);
/// assert!(!labels.is_empty());
/// # Ok::<(), driftline_simulate::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Simulation {
    config: Config,
    fleet: Fleet,
    /// Start of each agent's next session, the agent and the session's number; the earliest on top.
    starts: BinaryHeap<Reverse<(i64, u32, u32)>>,
    /// Time of each running session's next event, and the session's place in `sessions`; the earliest on top.
    running: BinaryHeap<Reverse<(i64, u32)>>,
    sessions: Vec<Option<Box<Session>>>,
    vacant: Vec<u32>,
    /// Sessions beside the agents' own rhythm, by their start and a number that keeps them apart.
    extras: BTreeMap<(i64, u64), Extra>,
    extras_made: u64,
    campaigns: Campaigns,
    written: u64,
    scratch: Scratch,
    key: String,
}

/// An event of the simulation, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The agent's id: the key of its Kafka record.
    pub key: String,
    /// When it happened.
    pub time: Timestamp,
    /// The event as JSON, without a line end.
    pub record: Vec<u8>,
    /// The label of the session that it ends.
    pub label: Option<SessionLabel>,
}

/// What [`Simulation::write_next`] says of the event that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'a> {
    /// The agent's id: the key of its Kafka record.
    pub key: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// The label of the session that it ends.
    pub label: Option<SessionLabel>,
}

impl Simulation {
    /// Gets the fleet ready: about a microsecond an agent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the value that nothing can be simulated from, and its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let mut fleet = Fleet::new(&config);
        fleet.span = expected_span(&fleet, config.events);
        let starts = (0..config.agents).map(|number| {
            let agent = fleet.agent(number);
            let first = agent.week.first(agent.born, &mut dice(agent.seed, 2, u64::MAX));
            // Agents are at most ten million.
            Reverse((first, number as u32, 0))
        });
        Ok(Self {
            starts: starts.collect(),
            running: BinaryHeap::new(),
            sessions: Vec::new(),
            vacant: Vec::new(),
            extras: BTreeMap::new(),
            extras_made: 0,
            campaigns: Campaigns::new(&config),
            written: 0,
            scratch: Scratch::default(),
            key: String::new(),
            fleet,
            config,
        })
    }

    /// Identity documents of all registered agents, also of those that are created in the course of the simulation.
    pub fn identities(&self) -> impl Iterator<Item = IdentityDocument> + use<'_> {
        (0..self.fleet.agents).map(|number| crate::identity::document(&self.fleet, &self.fleet.agent(number)))
    }

    /// Writes the next event as JSON, without a line end, into `record`, which is emptied first; `None` once all
    /// events are written. Faster than the iterator: it allocates nothing for an event.
    pub fn write_next(&mut self, record: &mut Vec<u8>) -> Option<Written<'_>> {
        if self.written == self.config.events {
            return None;
        }
        self.open_what_is_due();
        let Reverse((_, place)) = self.running.pop()?;
        let mut session = self.sessions[place as usize].take()?;
        let time = session.time;
        self.write_event(&mut session, record);
        self.hand_over(&session);
        self.key.clone_from(&session.agent.id);

        session.next += 1;
        let label = match session.acts.get(session.next) {
            Some(act) => {
                session.time += act.wait.max(1);
                self.running.push(Reverse((session.time, place)));
                self.sessions[place as usize] = Some(session);
                None
            }
            None => {
                self.vacant.push(place);
                Some(label(*session))
            }
        };
        Some(Written { key: &self.key, time: Timestamp::MIN.plus_millis(time), label })
    }

    /// Labels of the sessions that the last event found running: what of them was written is labelled, so an attack
    /// whose malicious acts were still to come is benign. Call it once, after the last event.
    pub fn unfinished(&mut self) -> impl Iterator<Item = SessionLabel> + use<> {
        self.running.clear();
        let begun = std::mem::take(&mut self.sessions).into_iter().flatten().filter(|session| session.next > 0);
        begun.map(|session| label(*session))
    }

    /// Bytes that the simulation keeps, about: for showing that it does not grow with the events.
    pub fn state_bytes(&self) -> usize {
        let running: usize = self.sessions.iter().flatten().map(|session| session.bytes()).sum();
        self.starts.capacity() * size_of::<Reverse<(i64, u32, u32)>>()
            + self.running.capacity() * size_of::<Reverse<(i64, u32)>>()
            + self.sessions.capacity() * size_of::<Option<Box<Session>>>()
            + self.vacant.capacity() * size_of::<u32>()
            + self.extras.len() * size_of::<((i64, u64), Extra)>()
            + running
    }

    /// Opens every session that starts before the next event of those that run.
    fn open_what_is_due(&mut self) {
        loop {
            let event = self.running.peek().map_or(i64::MAX, |Reverse((time, _))| *time);
            let own = self.starts.peek().map_or(i64::MAX, |Reverse((time, ..))| *time);
            let extra = self.extras.first_key_value().map_or(i64::MAX, |((time, _), _)| *time);
            if own.min(extra) > event {
                return;
            }
            let opened = if extra <= own { self.open_extra() } else { self.open_own() };
            if !opened {
                return;
            }
        }
    }

    /// Opens the next session of an agent's own rhythm, and sets the start of the one after it.
    fn open_own(&mut self) -> bool {
        let Some(Reverse((start, number, count))) = self.starts.pop() else { return false };
        let agent = self.fleet.agent(number.into());
        let next = agent.week.next(start, &mut dice(agent.seed, 2, count.into()));
        self.starts.push(Reverse((next, number, count + 1)));
        let mut session = Session::honest(&self.fleet, agent, count.into(), start);
        let extras = self.campaigns.stage(&self.fleet, &mut session, self.written);
        for (time, extra) in extras {
            self.add_extra(time, extra);
        }
        self.run(session);
        true
    }

    fn open_extra(&mut self) -> bool {
        let Some(((start, number), extra)) = self.extras.pop_first() else { return false };
        let session = extra.session(&self.fleet, start, number);
        self.run(session);
        true
    }

    fn add_extra(&mut self, time: i64, extra: Extra) {
        self.extras.insert((time, self.extras_made), extra);
        self.extras_made += 1;
    }

    fn run(&mut self, session: Session) {
        let time = session.time;
        let session = Some(Box::new(session));
        let place = match self.vacant.pop() {
            Some(place) => {
                self.sessions[place as usize] = session;
                place
            }
            None => {
                self.sessions.push(session);
                self.sessions.len() as u32 - 1
            }
        };
        self.running.push(Reverse((time, place)));
    }

    fn write_event(&mut self, session: &mut Session, record: &mut Vec<u8>) {
        let is_malicious = session.acts[session.next].malicious;
        if unit(mix(self.config.seed ^ 0x1d, self.written)) < self.config.without_ids {
            write(session, None, &mut self.scratch, record);
            if is_malicious {
                session.malicious.push(record_id(record_hash(record), None));
            }
        } else {
            let id = event_id(session.time, self.written);
            write(session, Some(&id), &mut self.scratch, record);
            if is_malicious {
                session.malicious.push(id);
            }
        }
        self.written += 1;
    }

    /// Where work was handed to another agent, that agent takes it up a little later.
    fn hand_over(&mut self, session: &Session) {
        let act = &session.acts[session.next];
        // A message asks for an answer, not for work.
        let is_delegation = catalogue().tools[usize::from(act.tool)].kind == ActionKind::Delegation;
        let Some((worker, _)) = act.peer.as_ref().filter(|_| is_delegation) else { return };
        // What is passed on is known once the worker has its task.
        let link = Link { agent: session.agent.id.clone(), principal: session.principal.clone(), scopes: Vec::new() };
        let start = session.time + 500 + (act.tokens as i64 % 4000);
        let mut delegation = session.delegation.clone();
        delegation.push(link);
        self.add_extra(start, Extra::HandedOver { worker: *worker, delegation });
    }
}

impl Iterator for Simulation {
    type Item = Simulated;

    fn next(&mut self) -> Option<Simulated> {
        let mut record = Vec::with_capacity(700);
        let Written { key, time, label } = self.write_next(&mut record)?;
        Some(Simulated { key: key.to_owned(), time, record, label })
    }
}

/// A time-ordered id as producers make them: the time, and a number that no other event of the stream has.
fn event_id(time: i64, number: u64) -> String {
    // Multiplying by an odd number is a bijection of the lowest 35 bits.
    let scrambled = number.wrapping_mul(0x2545_f491_4f6c_dd1d) & ((1 << 35) - 1);
    let mut id = base32(time as u64, 9);
    id.push_str(&base32(scrambled, 7));
    id
}

fn label(session: Session) -> SessionLabel {
    let is_attack = !session.malicious.is_empty();
    SessionLabel {
        session: session.id,
        agent: session.agent.id,
        label: if is_attack { Label::Attack } else { Label::Benign },
        kind: session.attack.filter(|_| is_attack),
        task: session.agent.kind.tasks[session.task].kind.clone(),
        malicious: session.malicious,
    }
}

/// How long the fleet takes for so many events, by a few sessions of a sample of its agents.
fn expected_span(fleet: &Fleet, events: u64) -> i64 {
    const SAMPLE: u64 = 200;
    const SESSIONS: u64 = 4;
    let sample = SAMPLE.min(fleet.agents);
    let events_a_day = (0..sample).map(|i| {
        let number = i * fleet.agents / sample;
        let per_day = fleet.agent(number).week.sessions_per_day;
        let acts =
            (0..SESSIONS).map(|count| Session::honest(fleet, fleet.agent(number), count, fleet.start).acts.len());
        per_day * acts.sum::<usize>() as f64 / SESSIONS as f64
    });
    let mean = events_a_day.sum::<f64>() / sample as f64;
    (events as f64 / (fleet.agents as f64 * mean) * DAY as f64) as i64
}
