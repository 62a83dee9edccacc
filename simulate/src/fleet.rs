//! The agents: what each of them is like follows from the seed and its number, so nothing is kept of them.

use driftline_core::Timestamp;
use rand::RngExt;

use crate::catalogue::{Family, FamilyIndex, Kind, Pick, Step, Target, Task, ToolIndex, WITHIN_BITS, catalogue};
use crate::chance::{Dice, dice, exponential, lognormal, mix, unit, zipf};
use crate::config::Config;
use crate::pattern::Context;
use crate::rhythm::{DAY, REGIONS, Rhythm, Week, is_month_end};

/// Shares of agents that are created, or released anew, while the simulation runs.
const CREATED_LATER: f64 = 0.05;
const RELEASED: f64 = 0.5;
/// Share of a release's agents that learn a new task by it.
const NEW_TASK: f64 = 0.5;
/// Share of the optional steps, and of the tasks, that an agent of the kind never takes.
const STEP_UNUSED: f64 = 0.25;
const TASK_UNUSED: f64 = 0.25;

const TENANTS: &[&str] = &["acme", "globex", "initech", "umbrella", "hooli", "wonka", "stark", "tyrell"];

/// What all agents share.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub seed: u64,
    pub agents: u64,
    pub tenants: u64,
    pub start: i64,
    /// How long the simulation is expected to take, in milliseconds of event time.
    pub span: i64,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Its number in the fleet; unregistered ones come after all registered.
    pub number: u64,
    pub seed: u64,
    pub kind: &'static Kind,
    pub id: String,
    pub tenant: String,
    pub domain: String,
    pub platform: &'static str,
    pub week: Week,
    /// When it first acts.
    pub born: i64,
    /// When it gets a new version, if it does.
    pub release: Option<i64>,
    minor: u64,
    /// The task that it has from its release on.
    new_task: Option<usize>,
    /// Its weight for each of its kind's tasks; 0 for those it never does.
    task_weights: Vec<f64>,
    /// How much more than others it reads and writes at a time, and how much longer it takes.
    pub volume: f64,
    pub pace: f64,
    rotation: i64,
}

impl Fleet {
    pub fn new(config: &Config) -> Self {
        Self {
            seed: config.seed,
            agents: config.agents,
            tenants: config.tenants,
            start: config.start.millis(),
            span: 30 * DAY,
        }
    }

    /// The registered agent with this number, 0 to `agents` - 1.
    pub fn agent(&self, number: u64) -> Agent {
        let round = &catalogue().round;
        let kind = round[(number % round.len() as u64) as usize];
        let rank = number / round.len() as u64 * round.iter().filter(|&&k| k == kind).count() as u64
            + round[..(number % round.len() as u64) as usize].iter().filter(|&&k| k == kind).count() as u64;
        let mut agent = self.derive(number, self.kind_of(number));
        agent.id = format!("{}-{}-{}", agent.kind.id, agent.week.region.name, rank + 1);
        agent
    }

    /// Up to `most` other registered agents of the same kind and organisation, the nearest numbers first.
    pub fn peers_of(&self, agent: &Agent, most: usize) -> Vec<Agent> {
        let after = agent.number + 1..self.agents;
        let before = (0..agent.number.min(self.agents)).rev();
        let same =
            |number: &u64| std::ptr::eq(self.kind_of(*number), agent.kind) && self.tenant_of(*number) == agent.tenant;
        after.chain(before).filter(same).take(most).map(|number| self.agent(number)).collect()
    }

    /// The registered agents that `agent` hands work to: up to two of each kind that its own kind hands work to.
    pub fn workers_of(&self, agent: &Agent) -> Vec<Agent> {
        let kinds = agent.kind.delegates_to.iter();
        kinds
            .flat_map(|kind| {
                // Around its own number, wherever in the round that kind is.
                let near = agent.number.saturating_sub(catalogue().round.len() as u64);
                let is_worker =
                    |number: &u64| self.kind_of(*number).id == *kind && self.tenant_of(*number) == agent.tenant;
                (near..self.agents.min(near + 4096)).filter(is_worker).take(2).map(|number| self.agent(number))
            })
            .filter(|worker| worker.born <= self.start)
            .collect()
    }

    fn kind_of(&self, number: u64) -> &'static Kind {
        let round = &catalogue().round;
        &catalogue().kinds[round[(number % round.len() as u64) as usize]]
    }

    fn tenant_of(&self, number: u64) -> String {
        let tenant = mix(self.seed ^ 0x7e, number) % self.tenants;
        match TENANTS.get(tenant as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("tenant-{}", tenant + 1),
        }
    }

    /// An agent like one of `kind`, without its name.
    pub fn derive(&self, number: u64, kind: &'static Kind) -> Agent {
        let seed = mix(self.seed, number);
        let mut dice = dice(seed, 0, 0);
        let region = &REGIONS[zipf(&mut dice, REGIONS.len() as u64, 0.6) as usize];
        let week = Week {
            rhythm: kind.rhythm,
            region,
            shift: dice.random_range(-60..=60) * 60_000,
            sessions_per_day: kind.sessions_per_day * lognormal(&mut dice, 0.9, 0.45).clamp(0.3, 3.0),
        };
        let mut task_weights: Vec<f64> =
            kind.tasks.iter().map(|task| task.weight * lognormal(&mut dice, 1.0, 0.7)).collect();
        // Everybody does the kind's first task, and drops some of the others.
        for weight in &mut task_weights[1..] {
            if dice.random_bool(TASK_UNUSED) {
                *weight = 0.0;
            }
        }
        let born =
            if dice.random_bool(CREATED_LATER) { self.at_share(dice.random_range(0.05..0.8)) } else { self.start };
        let release = dice.random_bool(RELEASED).then(|| self.at_share(dice.random_range(0.05..0.95)));
        let new_task = (release.is_some() && dice.random_bool(NEW_TASK))
            .then(|| dice.random_range(1..kind.tasks.len()))
            .filter(|&task| task_weights[task] > 0.0);
        let tenant = self.tenant_of(number);
        Agent {
            number,
            seed,
            kind,
            id: String::new(),
            domain: format!("{tenant}.example"),
            tenant,
            platform: &kind.platforms[dice.random_range(0..kind.platforms.len())],
            week,
            born,
            release,
            minor: dice.random_range(0..14),
            new_task,
            task_weights,
            volume: lognormal(&mut dice, 1.0, 0.35),
            pace: lognormal(&mut dice, 1.0, 0.3),
            rotation: DAY * dice.random_range(6..30),
        }
    }

    fn at_share(&self, share: f64) -> i64 {
        self.start + (self.span as f64 * share) as i64
    }
}

impl Agent {
    /// What fills the slots of names.
    pub fn context(&self) -> Context<'_> {
        Context { domain: &self.domain, agent: &self.id, region: self.week.region.name }
    }

    /// Its version at `time`.
    pub fn version(&self, time: i64) -> String {
        let released = self.release.is_some_and(|release| time >= release);
        format!("1.{}.{}", self.minor + u64::from(released), self.seed % 6)
    }

    /// Whether it takes this step when it has the choice, ever; the first of a task all take.
    pub fn takes(&self, task: usize, step: usize) -> bool {
        let optional = step > 0 && self.kind.tasks[task].steps[step].chance < 1.0;
        !optional || unit(mix(self.seed, (task * 64 + step) as u64)) >= STEP_UNUSED
    }

    /// Tasks that it does at some time or other.
    pub fn tasks(&self) -> impl Iterator<Item = (usize, &'static Task)> {
        self.kind.tasks.iter().enumerate().filter(|(index, _)| self.task_weights[*index] > 0.0)
    }

    /// Steps that it takes at some time or other.
    pub fn steps(&self) -> impl Iterator<Item = &'static Step> {
        self.tasks().flat_map(move |(index, task)| {
            task.steps.iter().enumerate().filter(move |(step, _)| self.takes(index, *step)).map(|(_, step)| step)
        })
    }

    /// Tools that it uses at some time or other, in the catalogue's order.
    pub fn tools(&self) -> Vec<ToolIndex> {
        let mut tools: Vec<_> = self.steps().map(|step| step.tool).collect();
        tools.sort_unstable();
        tools.dedup();
        tools
    }

    /// Permissions that these tools need.
    pub fn scopes(&self) -> Vec<&'static str> {
        let tools = &catalogue().tools;
        let mut scopes: Vec<_> =
            self.tools().into_iter().map(|tool| tools[usize::from(tool)].permission.as_str()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The task of a session that starts at `time`.
    pub fn pick_task(&self, time: i64, dice: &mut Dice) -> usize {
        let weight = |index: usize| {
            let is_new = self.new_task == Some(index) && self.release.is_some_and(|release| time < release);
            let task = &self.kind.tasks[index];
            let is_out_of_season = task.month_end && !is_month_end(self.week.region, time);
            if is_new || is_out_of_season { 0.0 } else { self.task_weights[index] }
        };
        let weights: Vec<f64> = (0..self.kind.tasks.len()).map(weight).collect();
        let mut left = dice.random::<f64>() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        0
    }

    /// A resource of a family that it would use at `time`; in `holder`, where the family is within another.
    pub fn pick(&self, family: FamilyIndex, holder: Option<Target>, time: i64, dice: &mut Dice) -> Target {
        let of = &catalogue().families[usize::from(family)];
        let own = self.pick_number(of, time, dice);
        let number = match holder {
            Some(holder) => holder.number << WITHIN_BITS | own,
            None => own,
        };
        Target { family, number }
    }

    fn pick_number(&self, family: &Family, time: i64, dice: &mut Dice) -> u64 {
        match family.pick {
            Pick::Common => zipf(dice, family.pool, family.zipf),
            Pick::Personal | Pick::Own => {
                let rank = zipf(dice, family.pool, family.zipf);
                let salt = if family.pick == Pick::Own { 0 } else { self.seed };
                mix(salt, rank) % family.pool
            }
            Pick::Recent => {
                // Numbers of the last days, some far older; counted from 2023 on.
                let days = (time - 1_672_531_200_000).max(0) as f64 / DAY as f64;
                let mean_age = if dice.random_bool(0.1) { 30.0 } else { 1.5 };
                let age = exponential(dice, mean_age);
                ((days - age).max(0.0) * family.per_day) as u64
            }
        }
    }

    /// Its credential's id at `time`; rotated now and then.
    pub fn credential(&self, time: i64) -> String {
        self.credential_of(self.rotation_at(time))
    }

    /// The one that comes after it.
    pub fn next_credential(&self, time: i64) -> String {
        self.credential_of(self.rotation_at(time) + 1)
    }

    /// Ids of its credentials from `from` to `until`.
    pub fn credentials(&self, from: i64, until: i64) -> impl Iterator<Item = (String, Timestamp)> {
        (self.rotation_at(from)..=self.rotation_at(until)).map(|rotation| {
            let ends = (rotation + 1) * self.rotation - self.phase();
            (self.credential_of(rotation), Timestamp::MIN.plus_millis(ends))
        })
    }

    fn phase(&self) -> i64 {
        (self.seed % self.rotation as u64) as i64
    }

    fn rotation_at(&self, time: i64) -> i64 {
        (time + self.phase()).div_euclid(self.rotation)
    }

    fn credential_of(&self, rotation: i64) -> String {
        format!("cred-{:010x}", mix(self.seed, rotation as u64 ^ 0xc4ed) >> 24)
    }

    /// The pod that it runs in: one of three, renamed every few days.
    pub fn pod(&self, time: i64, session: u64) -> u64 {
        let replica = mix(self.seed, session) % 3;
        mix(self.seed ^ replica, time.div_euclid(3 * DAY) as u64) & 0xffff
    }

    /// Whether a service asks it for things rather than people.
    pub fn is_automatic(&self) -> bool {
        self.kind.people == 0 || self.kind.rhythm == Rhythm::Night
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}
