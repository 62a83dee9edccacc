//! One run of an agent: what it is asked for and the acts that follow, honest ones here; [`crate::attack`] edits them.

use driftline_core::{Access, ActionKind, Delegation, Outcome, PrincipalKind};
use rand::RngExt;

use crate::catalogue::{FamilyIndex, Step, Target, Task, ToolIndex, catalogue};
use crate::chance::{Dice, lognormal, mix, one_of, times};
use crate::fleet::{Agent, Fleet};
use crate::label::AttackKind;

/// Shares of acts after which something goes wrong, or otherwise than usual.
const FAILS: f64 = 0.018;
const DENIED: f64 = 0.0035;
const LOOKS_AROUND: f64 = 0.02;
const STEPS_BACK: f64 = 0.03;
/// Share of sessions that end early.
const ABANDONED: f64 = 0.03;
/// Share of sessions whose request the platform has lost, and of those that renew their token midway.
const NO_REQUEST: f64 = 0.03;
const RENEWS: f64 = 0.015;
/// A session has at most so many acts.
const MOST_ACTS: usize = 80;

/// What one event will say.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// Milliseconds after the act before it.
    pub wait: i64,
    pub tool: ToolIndex,
    pub on: Option<Target>,
    /// Who receives it, or what a permission is given to.
    pub to: Option<Target>,
    pub outcome: Outcome,
    pub approved: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub records: u64,
    pub millis: f64,
    pub tokens: u64,
    /// The credential that is used, where it is not the session's.
    pub credential: Option<Box<Borrowed>>,
    /// What a permission change gives, where it is not what the tool's own name says.
    pub gives: Option<Box<Given>>,
    /// The agent that is handed work to, or written to: its number and its id.
    pub peer: Option<(u64, Box<str>)>,
    pub malicious: bool,
}

/// A credential that an act uses instead of the session's.
#[derive(Debug, Clone)]
pub(crate) struct Borrowed {
    pub id: String,
    pub scopes: Vec<&'static str>,
}

/// What a permission change gives, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub to: String,
    pub permissions: Vec<&'static str>,
}

/// Where a session acts from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub instance: String,
    pub ip: String,
    pub asn: u32,
    pub country: &'static str,
    pub user_agent: Option<&'static str>,
}

/// One link of a chain of custody.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub agent: String,
    pub principal: String,
    pub scopes: Vec<&'static str>,
}

impl Link {
    /// The link as an event carries it.
    pub fn borrowed(&self) -> Delegation<&str> {
        Delegation {
            agent: Some(&self.agent),
            principal: Some(&self.principal),
            scopes: self.scopes.clone(),
            expires_at: None,
        }
    }
}

/// One run of an agent.
#[derive(Debug)]
pub(crate) struct Session {
    pub agent: Agent,
    pub id: String,
    names_tenant: bool,
    pub version: String,
    pub principal: String,
    pub principal_kind: PrincipalKind,
    /// Index into the kind's tasks.
    pub task: usize,
    pub intent: String,
    pub place: Place,
    pub credential: String,
    /// The act from which on it uses a new token, which allows the same.
    pub renewal: Option<(usize, String)>,
    /// What the credential allows; the first event that uses it says so.
    pub scopes: Vec<&'static str>,
    /// Who handed the work to it, the original delegator first.
    pub delegation: Vec<Link>,
    pub acts: Vec<Act>,
    /// Act that comes next, and when.
    pub next: usize,
    pub time: i64,
    pub attack: Option<AttackKind>,
    pub malicious: Vec<String>,
}

impl Session {
    /// An honest session of `agent` that starts at `start`; `number` makes it unlike the agent's others.
    pub fn honest(fleet: &Fleet, agent: Agent, number: u64, start: i64) -> Self {
        let mut dice = crate::chance::dice(agent.seed, 1, number);
        let dice = &mut dice;
        let task_index = agent.pick_task(start, dice);
        let task = &agent.kind.tasks[task_index];
        let (principal, principal_kind) = principal(&agent, dice);
        let workers = fleet.workers_of(&agent);
        // Who hands work on must hold what it needs.
        let mut scopes = agent.scopes();
        scopes.extend(workers.iter().flat_map(Agent::scopes));
        scopes.sort_unstable();
        scopes.dedup();
        let workers = workers.into_iter().map(|worker| (worker.number, worker.id.into())).collect();
        let mut planner =
            Planner { agent: &agent, task, start, workers, about: Vec::new(), recent: Vec::new(), acts: Vec::new() };
        planner.plan(task_index, dice);
        let Planner { acts, about, .. } = planner;
        Self {
            id: format!("s-{}", base32(mix(agent.seed ^ 0x5e55, number), 11)),
            names_tenant: fleet.tenants > 1,
            version: agent.version(start),
            principal,
            principal_kind,
            task: task_index,
            intent: if dice.random_bool(NO_REQUEST) {
                String::new()
            } else {
                crate::request::write(&agent, task, &about, dice)
            },
            place: home(&agent, start, number),
            credential: agent.credential(start),
            renewal: dice.random_bool(RENEWS).then(|| (acts.len() / 2, agent.next_credential(start))),
            scopes,
            delegation: Vec::new(),
            acts,
            next: 0,
            time: start,
            attack: None,
            malicious: Vec::new(),
            agent,
        }
    }

    /// Narrows what the session may do to what it does: what is handed on to a worker.
    pub fn narrow(&mut self) {
        let tools = &catalogue().tools;
        self.scopes = self.acts.iter().map(|act| tools[usize::from(act.tool)].permission.as_str()).collect();
        self.scopes.sort_unstable();
        self.scopes.dedup();
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.acts.capacity() * size_of::<Act>() + self.intent.capacity() + 400
    }

    /// Whether the platform reports tokens with every call.
    pub fn reports_tokens(&self) -> bool {
        self.agent.platform == "openai-agents"
    }

    /// The organisation, where there is more than one.
    pub fn tenant(&self) -> Option<&str> {
        self.names_tenant.then_some(self.agent.tenant.as_str())
    }

    /// The kind of task that it is for.
    pub fn task(&self) -> &'static Task {
        &self.agent.kind.tasks[self.task]
    }
}

/// What agents' clients call themselves, where they do.
const CLIENTS: [&str; 4] = ["python-httpx/0.28", "python-requests/2.32", "node-fetch/3.3", "Go-http-client/2.0"];

/// Where the agent's own sessions act from.
fn home(agent: &Agent, start: i64, number: u64) -> Place {
    let pod = agent.pod(start, number);
    Place {
        // Some run where there are no pods to tell apart.
        instance: if agent.seed.is_multiple_of(5) { String::new() } else { format!("pod-{pod:04x}") },
        ip: format!("10.{}.{}.{}", agent.week.region.asn % 100, pod >> 8, pod & 0xff),
        asn: agent.week.region.asn,
        country: agent.week.region.country,
        user_agent: CLIENTS.get((agent.seed % 9) as usize).copied(),
    }
}

/// Who asks: people of the agent's own circle, the same few most often; or a service.
fn principal(agent: &Agent, dice: &mut Dice) -> (String, PrincipalKind) {
    if agent.is_automatic() || dice.random_bool(0.03) {
        return (format!("svc-{}@{}", agent.kind.team, agent.domain), PrincipalKind::Service);
    }
    let lists = &catalogue().words.lists;
    let (first, last) = (&lists["first"], &lists["last"]);
    let person = mix(agent.seed ^ 0x9e09, crate::chance::zipf(dice, agent.kind.people, 1.1));
    let first = &first[(person % first.len() as u64) as usize];
    let last = &last[(person / 64 % last.len() as u64) as usize];
    (format!("{first}.{last}@{}", agent.domain), PrincipalKind::User)
}

/// Makes the acts of one honest session.
struct Planner<'a> {
    agent: &'a Agent,
    task: &'a Task,
    start: i64,
    /// Agents that work can be handed to.
    workers: Vec<(u64, Box<str>)>,
    /// Resources that the request is about.
    about: Vec<Target>,
    /// Resources met already, the last of each family.
    recent: Vec<Target>,
    acts: Vec<Act>,
}

impl Planner<'_> {
    fn plan(&mut self, task_index: usize, dice: &mut Dice) {
        for &family in &self.task.about {
            let target = self.another(family, dice);
            self.about.push(target);
        }
        let mut previous: Option<Step> = None;
        for (index, &step) in self.task.steps.iter().enumerate() {
            if !self.agent.takes(task_index, index) || dice.random::<f64>() >= step.chance {
                continue;
            }
            for round in 0..times(dice, step.times) {
                if !self.carry_out(step, round > 0, dice) {
                    return;
                }
                if dice.random_bool(LOOKS_AROUND) {
                    self.look_around(dice);
                }
            }
            if let Some(earlier) = previous
                && dice.random_bool(STEPS_BACK)
                && !self.carry_out(earlier, true, dice)
            {
                return;
            }
            previous = Some(step);
            if dice.random_bool(ABANDONED / 3.0) {
                break;
            }
        }
        if self.acts.is_empty() {
            self.carry_out(self.task.steps[0], false, dice);
        }
    }

    /// Adds a step's act, with the trouble that it may meet; `false` where the agent gives up for it. Done again, a step
    /// is mostly done on something else.
    fn carry_out(&mut self, step: Step, again: bool, dice: &mut Dice) -> bool {
        if self.acts.len() >= MOST_ACTS {
            return false;
        }
        let on = step.on.map(|family| self.target(family, again, dice));
        let to = step.to.map(|family| self.target(family, again, dice));
        let mut act = act(self.agent, step.tool, on, to, dice);
        let kind = catalogue().tools[usize::from(step.tool)].kind;
        if matches!(kind, ActionKind::Delegation | ActionKind::Message) {
            if self.workers.is_empty() {
                return true;
            }
            act.peer = Some(one_of(dice, &self.workers).clone());
        }
        let trouble: f64 = dice.random();
        if trouble < FAILS {
            self.fail(act, dice)
        } else if trouble < FAILS + DENIED {
            self.be_denied(act, dice)
        } else {
            self.acts.push(act);
            true
        }
    }

    /// An error, mostly followed by the same again.
    fn fail(&mut self, act: Act, dice: &mut Dice) -> bool {
        loop {
            self.acts.push(Act { outcome: Outcome::Error, bytes_in: 180, records: 0, ..act.clone() });
            if dice.random_bool(0.15) {
                return dice.random_bool(0.6);
            }
            if dice.random_bool(0.75) {
                self.acts.push(act);
                return true;
            }
        }
    }

    /// A refusal: the agent gives up, tries the same again, or a person agrees to it.
    fn be_denied(&mut self, act: Act, dice: &mut Dice) -> bool {
        let denied = Act { outcome: Outcome::Denied, bytes_in: 120, records: 0, approved: false, ..act.clone() };
        self.acts.push(denied.clone());
        match dice.random_range(0..10) {
            0..=3 => false,
            4..=5 => true,
            6..=7 => {
                self.acts.push(denied);
                dice.random_bool(0.5)
            }
            _ => {
                let wait = lognormal(dice, 900_000.0, 1.0) as i64;
                self.acts.push(Act { approved: true, wait, ..act });
                true
            }
        }
    }

    /// Something read beside the task, as the agent does in other tasks of its own.
    fn look_around(&mut self, dice: &mut Dice) {
        let steps: Vec<Step> = self.agent.steps().copied().collect();
        let step = *one_of(dice, &steps);
        let tool = &catalogue().tools[usize::from(step.tool)];
        let is_harmless = tool.access == Access::Read && !tool.sensitive && tool.bytes_in < 100_000.0;
        if let Some(family) = step.on.filter(|_| is_harmless) {
            let on = self.target(family, true, dice);
            self.acts.push(act(self.agent, step.tool, Some(on), None, dice));
        }
    }

    /// What the session is about, or what it met before, or another one.
    fn target(&mut self, family: FamilyIndex, again: bool, dice: &mut Dice) -> Target {
        let chance = if again { 0.3 } else { 0.96 };
        let about = self.about.iter().find(|target| target.family == family);
        if let Some(&target) = about.filter(|_| dice.random_bool(chance)) {
            return target;
        }
        let chance = if again { 0.25 } else { 0.75 };
        let met = self.recent.iter().rev().find(|target| target.family == family);
        if let Some(&target) = met.filter(|_| dice.random_bool(chance)) {
            return target;
        }
        self.another(family, dice)
    }

    /// One of the agent's own choice; inside what the session is about, where it is inside something.
    fn another(&mut self, family: FamilyIndex, dice: &mut Dice) -> Target {
        let within = catalogue().families[usize::from(family)].within;
        let holder = within.map(|holder| self.target(holder, false, dice));
        let target = self.agent.pick(family, holder, self.start, dice);
        self.recent.push(target);
        target
    }
}

/// An act of an agent as it usually goes.
pub(crate) fn act(agent: &Agent, tool: ToolIndex, on: Option<Target>, to: Option<Target>, dice: &mut Dice) -> Act {
    let of = &catalogue().tools[usize::from(tool)];
    let size = |dice: &mut Dice, median: f64| (lognormal(dice, median, 0.7) * agent.volume) as u64 + 40;
    let millis = lognormal(dice, of.millis, 0.6) * agent.pace;
    // Now and then a person answers first.
    let think = if dice.random_bool(0.06) { lognormal(dice, 90_000.0, 1.0) } else { lognormal(dice, 3500.0, 0.8) };
    Act {
        wait: 1 + (think * agent.pace + millis).min(6.0 * 3_600_000.0) as i64,
        tool,
        on,
        to,
        outcome: Outcome::Success,
        approved: of.approval,
        bytes_in: size(dice, of.bytes_in),
        bytes_out: size(dice, of.bytes_out),
        records: if of.records > 1.0 { lognormal(dice, of.records, 0.8) as u64 + 1 } else { 1 },
        millis,
        tokens: lognormal(dice, 900.0, 0.7) as u64 + 20,
        credential: None,
        gives: None,
        peer: None,
        malicious: false,
    }
}

/// The lowest `digits` × 5 bits in Crockford's base 32.
pub(crate) fn base32(mut value: u64, digits: usize) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut text = vec![0; digits];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(value & 31) as usize];
        value >>= 5;
    }
    text.into_iter().map(char::from).collect()
}
