//! What sessions are ranked among: the values of earlier sessions with the same task, in a small sparse histogram.
//!
//! A session's p-value is the share of sessions of its task, itself included, that are at least as strange; ties are
//! broken at random. *Strange* is measured among all of them together, the new one included, so that none is treated
//! differently: where a task's sessions are exchangeable, p-values are uniform and independent of one another (full
//! conformal prediction, on-line; Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, theorem 8.2).
//!
//! There are two references. The *rolling* one is a sample of the past in which the far past fades. The *first* one is of
//! the first sessions of a task and never changes: what moves slowly enough to carry the rolling one with it is found
//! there. P-values against a reference that stands still share its luck, so they are made larger by what it may be off.

use std::sync::LazyLock;

use driftline_core::pair_key;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::drift::course::{Aspect, CATEGORIES, Value};

/// Sessions of a task in the first reference, which is used once it is full; and in the rolling one, which is cut to half
/// whenever it has as many.
const SESSIONS: u32 = 64;
/// Tasks that are kept of an agent, and keys in all their values together, about 8 bytes each. Past that the task that was
/// seen longest ago is forgotten; one alone always has room.
const TASKS: usize = 128;
const ROOM: usize = 8_192;
/// After so many sessions it is looked at how much room they take.
const LOOK: u32 = 16;
/// What an entry takes beside its keys, in keys.
const ENTRY: usize = 4;
/// The share of a task's sessions that may have been alerted on. None at all would have a rare and honest habit, which is
/// alerted on, taken for a change as soon as its task comes more often.
const ALERTED: f64 = 0.25;
/// How far the first reference may be off, in standard deviations of the number of sessions that are as strange.
const OFF: f64 = 2.0;

/// The key of all tasks that were new.
const NEW: u64 = u64::MAX;

/// Which sessions a session is ranked among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Those of late.
    Rolling = 0,
    /// The first ones.
    First = 1,
}

impl Layer {
    /// Both of them, in the order in which what there is of each stands.
    pub const ALL: [Self; 2] = [Self::Rolling, Self::First];

    /// The share of sessions that are at least as strange as a new one among them: so many `stranger` ones, so many as strange.
    fn tail(self, stranger: u32, alike: u32, all: u32, chance: f64) -> f64 {
        let all = f64::from(all) + 1.0;
        match self {
            Self::Rolling => (f64::from(stranger) + chance * f64::from(alike + 1)) / all,
            Self::First => {
                let as_strange = f64::from(stranger + alike) + 1.0;
                (as_strange + OFF * as_strange.sqrt()) / all
            }
        }
    }
}

/// A value, and how many sessions of each layer have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry(Value, u16, u16);

impl Entry {
    fn count(&self, layer: Layer) -> u32 {
        u32::from(if layer == Layer::Rolling { self.1 } else { self.2 })
    }
}

/// The values of sessions in one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram(Vec<Entry>);

/// The sessions of one task. Part of the format of [`crate::state`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Task {
    key: u64,
    /// The number of the last session that had it.
    last: u32,
    /// Sessions among the rolling ones that were alerted on.
    alerted: u16,
    by_aspect: [Histogram; 6],
}

/// The tasks of an agent. Part of the format of [`crate::state`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tasks {
    /// Sessions learned.
    pub sessions: u32,
    /// Ascending by key.
    list: Vec<Task>,
}

impl Tasks {
    /// A task by its key.
    pub fn get(&self, key: u64) -> Option<&Task> {
        self.list.binary_search_by_key(&key, |task| task.key).ok().map(|i| &self.list[i])
    }

    /// What a session with a task is ranked among: the sessions that had the same; where there was none, those whose task
    /// was as new when they came. An agent that is never asked the same twice has no others.
    pub fn known(&self, key: u64) -> Option<&Task> {
        self.get(key).or_else(|| self.get(NEW))
    }

    /// Learns the values of a session. Of those that were alerted on there may be few among a task's sessions.
    pub fn learn(&mut self, key: u64, values: [Value; 6], alerted: bool) {
        self.sessions = self.sessions.saturating_add(1);
        if self.get(key).is_none() {
            self.learn_under(NEW, values.clone(), alerted);
        }
        self.learn_under(key, values, alerted);
    }

    fn learn_under(&mut self, key: u64, values: [Value; 6], alerted: bool) {
        let i = self.list.binary_search_by_key(&key, |task| task.key).unwrap_or_else(|i| {
            self.list.insert(i, Task { key, ..Task::default() });
            i
        });
        let task = &mut self.list[i];
        task.last = self.sessions;
        if alerted {
            if f64::from(task.alerted) > ALERTED * f64::from(task.of(Aspect::Length).sessions(Layer::Rolling)) {
                return;
            }
            task.alerted += 1;
        }
        let mut is_cut = false;
        for (number, (histogram, value)) in (0..).zip(task.by_aspect.iter_mut().zip(values)) {
            is_cut |= histogram.learn(value, pair_key(number, [key, u64::from(self.sessions)]));
        }
        if is_cut {
            task.alerted /= 2;
        }
        // To add up takes longer than to learn.
        let is_due = self.sessions.is_multiple_of(LOOK);
        while self.list.len() > TASKS || (is_due && self.list.len() > 1 && self.size() > ROOM) {
            let oldest = self.list.iter().enumerate().min_by_key(|(_, task)| task.last).map_or(0, |(i, _)| i);
            self.list.remove(oldest);
        }
    }

    /// Whether tasks can be so: read back, they need not have been written by this program.
    pub fn is_sound(&self) -> bool {
        let ascend = self.list.windows(2).all(|two| two[0].key < two[1].key);
        let are_sound = |task: &Task| {
            Aspect::ALL.iter().zip(&task.by_aspect).all(|(aspect, histogram)| {
                histogram.0.iter().all(|Entry(value, ..)| {
                    let is_set = value.len() <= CATEGORIES && value.is_sorted_by(|a, b| a < b);
                    if aspect.is_set() { is_set } else { value.len() == 1 }
                })
            })
        };
        ascend && self.list.len() <= TASKS && self.list.iter().all(are_sound)
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Task>() + self.size() * size_of::<u64>()
    }

    fn size(&self) -> usize {
        let histograms = self.list.iter().flat_map(|task| &task.by_aspect);
        histograms.flat_map(|histogram| &histogram.0).map(|Entry(value, ..)| value.len() + ENTRY).sum()
    }
}

impl Task {
    /// The values in one dimension.
    pub fn of(&self, aspect: Aspect) -> &Histogram {
        &self.by_aspect[aspect as usize]
    }
}

impl Histogram {
    /// The p-value of one more session with this value in each layer; `None` where it cannot be ranked yet. `chance`, 0 to 1,
    /// breaks ties.
    pub fn p_values(&self, aspect: Aspect, value: &Value, chance: f64) -> [Option<f64>; 2] {
        let all = Layer::ALL.map(|layer| self.sessions(layer));
        let (own, others) = self.strangeness(aspect, value, all);
        let (mut above, mut alike) = ([0; 2], [0; 2]);
        for (entry, its) in self.0.iter().zip(others) {
            for layer in Layer::ALL {
                let (place, is_own) = (layer as usize, entry.0 == *value);
                if is_own || its[place] == own[place] {
                    alike[place] += entry.count(layer);
                } else if its[place] > own[place] {
                    above[place] += entry.count(layer);
                }
            }
        }
        Layer::ALL.map(|layer| {
            let [all, above, alike] = [all, above, alike].map(|counts| counts[layer as usize]);
            let is_enough = all > 0 && (layer == Layer::Rolling || all >= SESSIONS);
            let tail = |stranger: u32, chance: f64| layer.tail(stranger, alike, all, chance);
            is_enough.then(|| match aspect.is_set() {
                true => tail(above, chance).min(1.0),
                false => (2.0 * tail(above, chance).min(tail(all - above - alike, 1.0 - chance))).min(1.0),
            })
        })
    }

    /// The share of sessions that have each category, in no order; of numbers, their mean, under 0.
    pub fn usual(&self, aspect: Aspect, layer: Layer) -> SmallVec<[(u64, f64); 16]> {
        let all = f64::from(self.sessions(layer).max(1));
        if aspect.is_set() {
            return self.counts(layer).into_iter().map(|(key, count)| (key, f64::from(count) / all)).collect();
        }
        let sum = self.0.iter().map(|entry| number(&entry.0) * f64::from(entry.count(layer))).sum::<f64>();
        [(0, sum / all)].into_iter().collect()
    }

    /// How many sessions a layer has.
    pub fn sessions(&self, layer: Layer) -> u32 {
        self.0.iter().map(|entry| entry.count(layer)).sum()
    }

    /// Sessions by category.
    fn counts(&self, layer: Layer) -> SmallVec<[(u64, u32); 16]> {
        let mut counts: SmallVec<[(u64, u32); 16]> = SmallVec::new();
        for entry in self.0.iter().filter(|entry| entry.count(layer) > 0) {
            entry.0.iter().for_each(|&key| add(&mut counts, key, entry.count(layer)));
        }
        counts
    }

    /// How strange values are in each layer once a session with `new` is among the others, larger for stranger: of `new`, and
    /// of each entry. Of a number it is the number itself, of which both tails count. Of a set it is how rare it is to have
    /// these categories and none of the others, taken one by one: the logarithm of the odds against it, without what is the
    /// same for all sets. `all` are the sessions without the new one.
    fn strangeness(&self, aspect: Aspect, new: &Value, all: [u32; 2]) -> ([f64; 2], SmallVec<[[f64; 2]; 32]>) {
        if !aspect.is_set() {
            return ([number(new); 2], self.0.iter().map(|entry| [number(&entry.0); 2]).collect());
        }
        // The categories; beside them the sessions that have each; and, set after set, the place of each one among them.
        let mut categories: SmallVec<[u64; 32]> = new.iter().copied().collect();
        let mut having: SmallVec<[[u32; 2]; 32]> = SmallVec::from_elem([1; 2], new.len());
        let mut places: SmallVec<[u16; 256]> = SmallVec::new();
        for entry in &self.0 {
            let counts = Layer::ALL.map(|layer| entry.count(layer));
            for &key in &entry.0 {
                let place = categories.iter().position(|&known| known == key).unwrap_or_else(|| {
                    categories.push(key);
                    having.push([0; 2]);
                    having.len() - 1
                });
                having[place] = [having[place][0] + counts[0], having[place][1] + counts[1]];
                places.push(place as u16);
            }
        }
        let odds_against = |&having: &[u32; 2]| [0, 1].map(|i| odds_against(having[i], all[i] + 1));
        let odds: SmallVec<[[f64; 2]; 32]> = having.iter().map(odds_against).collect();
        let add = |sum: [f64; 2], it: [f64; 2]| [sum[0] + it[0], sum[1] + it[1]];
        let own = odds.iter().take(new.len()).copied().fold([0.0; 2], add);
        let mut places = places.as_slice();
        let others = self.0.iter().map(|entry| {
            let (its, rest) = places.split_at(entry.0.len());
            places = rest;
            its.iter().map(|&place| odds[usize::from(place)]).fold([0.0; 2], add)
        });
        (own, others.collect())
    }

    /// Learns a value; `seed` decides what is dropped. Says whether something was.
    fn learn(&mut self, value: Value, seed: u64) -> bool {
        let first = u16::from(self.sessions(Layer::First) < SESSIONS);
        match self.0.iter_mut().find(|entry| entry.0 == value) {
            Some(entry) => (entry.1, entry.2) = (entry.1.saturating_add(1), entry.2 + first),
            None => self.0.push(Entry(value, 1, first)),
        }
        let is_full = self.sessions(Layer::Rolling) >= SESSIONS;
        if is_full {
            self.halve(seed);
        }
        is_full
    }

    /// Drops about half of the rolling sessions, each by its own lot: to halve counts would make what is rare vanish, and
    /// the next session with it look stranger than it is.
    fn halve(&mut self, seed: u64) {
        let mut number = 0;
        for entry in &mut self.0 {
            let stays = (0..entry.1).filter(|_| {
                number += 1;
                pair_key(0, [seed, number]) & 1 == 1
            });
            entry.1 = stays.count() as u16;
        }
        self.0.retain(|entry| entry.1 > 0 || entry.2 > 0);
    }
}

/// The logarithm of the odds against a category that so many of all sessions have.
fn odds_against(having: u32, all: u32) -> f64 {
    static LN: LazyLock<Vec<f64>> = LazyLock::new(|| (0..=2 * SESSIONS).map(|n| (f64::from(n) + 0.5).ln()).collect());
    let ln = |n: u32| LN.get(n as usize).copied().unwrap_or_else(|| (f64::from(n) + 0.5).ln());
    ln(all - having) - ln(having)
}

fn add(counts: &mut SmallVec<[(u64, u32); 16]>, key: u64, more: u32) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, count)) => *count += more,
        None => counts.push((key, more)),
    }
}

fn number(value: &Value) -> f64 {
    value.first().map_or(0.0, |&number| number as f64)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Sessions of one task that vary, in a set and in a number.
    fn session(chance: &mut ChaCha8Rng) -> [Value; 6] {
        let set: Value = (1..8u64).filter(|key| chance.random::<f64>() < 1.0 / *key as f64).collect();
        let number: Value = [(chance.random::<f64>() * 3.0).exp() as u64].into();
        [set.clone(), set.clone(), number.clone(), number.clone(), number, set]
    }

    /// The shares of p-values up to some, over agents with so many sessions each, of those from the `from`th on.
    fn shares(aspect: Aspect, layer: Layer, sessions: usize, from: usize, up_to: &[f64]) -> Vec<f64> {
        let chance = &mut ChaCha8Rng::seed_from_u64(1);
        let mut ps = Vec::new();
        while ps.len() < 20_000 {
            let mut tasks = Tasks::default();
            for number in 0..sessions {
                let values = session(chance);
                let known = tasks.get(7).map(|task| task.of(aspect));
                let p =
                    known.and_then(|it| it.p_values(aspect, &values[aspect as usize], chance.random())[layer as usize]);
                ps.extend(p.filter(|_| number >= from));
                tasks.learn(7, values, false);
            }
        }
        up_to.iter().map(|most| ps.iter().filter(|p| *p <= most).count() as f64 / ps.len() as f64).collect()
    }

    #[test]
    fn p_values_among_sessions_of_late_are_uniform_from_the_first_on() {
        for aspect in [Aspect::Tools, Aspect::Length] {
            for (sessions, from) in [(6, 1), (40, 1), (300, 100)] {
                let up_to = [0.01, 0.05, 0.2, 0.5];
                for (share, most) in shares(aspect, Layer::Rolling, sessions, from, &up_to).into_iter().zip(up_to) {
                    // Five standard deviations of a count among 20,000.
                    let off = 5.0 * (most * (1.0 - most) / 20_000.0).sqrt();
                    assert!((share - most).abs() <= off, "{aspect:?}, {sessions} sessions: {share} up to {most}");
                }
            }
        }
    }

    #[test]
    fn p_values_among_the_first_sessions_are_no_smaller_than_they_should_be() {
        for aspect in [Aspect::Tools, Aspect::Length] {
            let up_to = [0.05, 0.1, 0.2];
            for (share, most) in shares(aspect, Layer::First, 600, 64, &up_to).into_iter().zip(up_to) {
                assert!(share <= most, "{aspect:?}: {share} up to {most}");
            }
        }
    }

    #[test]
    fn a_value_that_was_never_seen_is_stranger_than_one_that_was() {
        let mut tasks = Tasks::default();
        let set = |keys: &[u64]| -> Value { keys.into() };
        for _ in 0..9 {
            tasks.learn(7, [set(&[1, 2]), set(&[]), set(&[0]), set(&[1]), set(&[4]), set(&[])], false);
        }
        let task = tasks.get(7).unwrap();
        let p =
            |aspect, keys: &[u64]| task.of(aspect).p_values(aspect, &set(keys), 1.0)[Layer::Rolling as usize].unwrap();
        assert_eq!(p(Aspect::Tools, &[1, 2]), 1.0);
        for strange in [&[1, 2, 3][..], &[1], &[], &[3, 4]] {
            assert_eq!(p(Aspect::Tools, strange), 0.1, "{strange:?}");
        }
        let length = |number: u64| {
            let p = task.of(Aspect::Length).p_values(Aspect::Length, &set(&[number]), 0.75);
            p[Layer::Rolling as usize].unwrap()
        };
        assert!([length(4), length(9), length(1)].iter().zip([0.5, 0.15, 0.05]).all(|(p, is)| (p - is).abs() < 1e-9));
        let first = task.of(Aspect::Tools).p_values(Aspect::Tools, &set(&[]), 1.0)[Layer::First as usize];
        assert_eq!(first, None, "too few");
    }

    #[test]
    fn what_was_alerted_on_is_a_small_part_of_a_task() {
        let mut tasks = Tasks::default();
        let values = |tool: u64| Aspect::ALL.map(|aspect| -> Value { [if aspect.is_set() { tool } else { 1 }].into() });
        let tools = |tasks: &Tasks| {
            let usual = tasks.get(7).unwrap().of(Aspect::Tools).usual(Aspect::Tools, Layer::Rolling);
            usual.iter().find(|(key, _)| *key == 2).map_or(0.0, |(_, share)| *share)
        };
        // Known it is, so that it need not be taken for new again and again.
        (0..9).for_each(|_| tasks.learn(7, values(2), true));
        assert_eq!((tools(&tasks), tasks.get(7).unwrap().of(Aspect::Tools).sessions(Layer::Rolling)), (1.0, 1));
        (0..30).for_each(|_| tasks.learn(7, values(1), false));
        (0..300).for_each(|_| tasks.learn(7, values(2), true));
        assert!((0.2..0.3).contains(&tools(&tasks)), "{}", tools(&tasks));
    }

    #[test]
    fn tasks_have_a_bound_and_those_seen_last_are_kept() {
        let chance = &mut ChaCha8Rng::seed_from_u64(1);
        let mut tasks = Tasks::default();
        for key in 0..3_000u64 {
            // Some with values that are all different.
            let values = Aspect::ALL.map(|aspect| -> Value {
                if aspect.is_set() { (key..key + CATEGORIES as u64).collect() } else { [key].into() }
            });
            tasks.learn(if key % 2 == 0 { key } else { 5_000 + key % 8 }, values, false);
            // Between two looks, sessions come under their own task and under that of all new ones.
            let room = ROOM + LOOK as usize * 2 * (3 * (CATEGORIES + ENTRY) + 3 * (1 + ENTRY));
            assert!(tasks.list.len() <= TASKS && tasks.size() <= room && tasks.is_sound(), "{key}");
        }
        assert!(tasks.get(2_998).is_some() && tasks.get(0).is_none());
        for _ in 0..1_000 {
            let values = Aspect::ALL.map(|aspect| -> Value {
                if aspect.is_set() { [1].into() } else { [0].into() }
            });
            tasks.learn(chance.random_range(0..1_000), values, false);
        }
        assert_eq!(tasks.list.len(), TASKS);
        assert!(tasks.is_sound());
    }
}
