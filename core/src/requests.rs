//! What an agent was asked for, and what it then did: the part of a baseline that counts acts by request.

use std::sync::LazyLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Distinct requests that are kept of an agent. Past it, those with the smallest keys stay: a key is a hash, so they are a
/// sample of all requests, and which ones they are does not hang on the order in which requests came.
const ROOM: usize = 128;
/// Most stems and acts of a request that are kept.
const STEMS: usize = 96;
const ACTS: usize = 96;
/// Requests alike to one that are told.
const NEIGHBOURS: usize = 8;
/// Below this similarity a request tells nothing of another.
const LEAST: f32 = 0.01;
/// One, in the fixed-point numbers that shares are summed in: sums of them are exact, in whatever order.
const ONE: u64 = 1 << 24;

/// A request, and what sessions that had it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`crate::Words::key`].
    pub key: u64,
    /// [`crate::Words::stems`].
    pub stems: Vec<u32>,
    /// Sessions that had it.
    pub sessions: u32,
    /// Acts, ascending, with the sessions in which they were done.
    pub acts: Vec<(u32, u32)>,
}

impl Request {
    /// Sessions in which an act was done.
    pub fn count(&self, act: u32) -> u32 {
        self.acts.binary_search_by_key(&act, |&(act, _)| act).map_or(0, |i| self.acts[i].1)
    }

    /// The share of its sessions in which an act was done, 0 to 1.
    pub fn share(&self, act: u32) -> f64 {
        fixed(self.count(act), self.sessions) as f64 / ONE as f64
    }

    fn add(&mut self, sessions: u32, acts: impl IntoIterator<Item = (u32, u32)>) {
        self.sessions = self.sessions.saturating_add(sessions);
        for (act, count) in acts {
            match self.acts.binary_search_by_key(&act, |&(act, _)| act) {
                Ok(i) => self.acts[i].1 = self.acts[i].1.saturating_add(count),
                Err(i) => self.acts.insert(i, (act, count)),
            }
        }
        self.acts.truncate(ACTS);
    }
}

/// A share as a fixed-point number.
fn fixed(count: u32, sessions: u32) -> u64 {
    u64::from(count.min(sessions)) * ONE / u64::from(sessions.max(1))
}

/// The requests of one agent. An *act* is a number that stands for a tool and how often the session has called it.
///
/// A mergeable value like [`crate::Categories`].
///
/// ```
/// use driftline_core::{Requests, Words};
///
/// let mut requests = Requests::default();
/// for (text, acts) in [("refund order 7", &[1, 2][..]), ("refund order 8", &[1]), ("what is the weather", &[3])] {
///     let words = Words::of(text);
///     requests.learn(words.key(), &words.stems, acts);
/// }
/// let refund = requests.get(Words::of("refund order 9").key()).unwrap();
/// assert_eq!((refund.sessions, refund.count(1), refund.count(2)), (2, 2, 1));
/// // Of two requests, one leads to act 1 always.
/// assert_eq!(requests.shares(1), 1.0);
/// let near = requests.near(&Words::of("please refund an order"));
/// assert_eq!(near.len(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// Ascending by key.
    list: Vec<Request>,
    index: Index,
}

impl PartialEq for Requests {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Requests {}

impl Serialize for Requests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Requests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_list(Vec::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("requests that cannot be so"))
    }
}

impl Requests {
    /// Requests as [`Requests::list`] gave them; `None` where they cannot be so: too many, out of order, or without a
    /// session.
    pub fn from_list(list: Vec<Request>) -> Option<Self> {
        let ascend = list.windows(2).all(|two| two[0].key < two[1].key);
        let sound = |request: &Request| {
            request.sessions > 0
                && request.stems.len() <= STEMS
                && request.acts.len() <= ACTS
                && request.stems.windows(2).all(|two| two[0] < two[1])
                && request.acts.windows(2).all(|two| two[0].0 < two[1].0)
        };
        if !ascend || list.len() > ROOM || !list.iter().all(sound) {
            return None;
        }
        let index = Index::of(&list);
        Some(Self { list, index })
    }

    /// The requests, ascending by key.
    pub fn list(&self) -> &[Request] {
        &self.list
    }

    /// Distinct requests.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Learns that a session had a request, known by its key and stems ([`crate::Words`]), and did these distinct acts.
    pub fn learn(&mut self, key: u64, stems: &[u32], acts: &[u32]) {
        self.learn_request(key, stems, 1, acts.iter().map(|&act| (act, 1)));
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for request in &other.list {
            self.learn_request(request.key, &request.stems, request.sessions, request.acts.iter().copied());
        }
    }

    /// A request by its key.
    pub fn get(&self, key: u64) -> Option<&Request> {
        self.find(key).ok().map(|i| &self.list[i])
    }

    /// The sum, over distinct requests, of the share of their sessions in which an act was done.
    pub fn shares(&self, act: u32) -> f64 {
        let shares = &self.index.shares;
        shares.binary_search_by_key(&act, |&(act, _)| act).map_or(0.0, |i| shares[i].1 as f64 / ONE as f64)
    }

    /// The keys of requests that are alike, with the square of the cosine between their stems, each weighted by how few
    /// requests have it (tf-idf; Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988); the
    /// most alike first. The request itself is not among them.
    pub fn near(&self, words: &crate::Words) -> Vec<(u64, f32)> {
        let (mut shared, mut sharing, mut norm) = ([0f32; ROOM], 0u128, 0f32);
        for &stem in words.stems.iter().take(STEMS) {
            let with = self.index.with(stem);
            let weight = weight(self.list.len(), with.count_ones());
            norm += weight;
            sharing |= with;
            places(with).for_each(|place| shared[place] += weight);
        }
        if let Ok(own) = self.find(words.key()) {
            sharing &= !(1 << own);
        }
        let alike =
            |place: usize| shared[place] * shared[place] / (norm * self.index.norms[place]).max(f32::MIN_POSITIVE);
        let mut near: Vec<(usize, f32)> = places(sharing).map(|place| (place, alike(place))).collect();
        near.retain(|&(_, alike)| alike >= LEAST);
        near.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        near.truncate(NEIGHBOURS);
        near.into_iter().map(|(place, alike)| (self.list[place].key, alike)).collect()
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        // Of an act its count and its share.
        let of = |request: &Request| size_of::<Request>() + 4 * request.stems.len() + 20 * request.acts.len();
        let index =
            self.index.stems.len() * (size_of::<u32>() + size_of::<u128>()) + self.list.len() * size_of::<f32>();
        self.list.iter().map(of).sum::<usize>() + index
    }

    /// The place of a request, or where it would stand.
    fn find(&self, key: u64) -> Result<usize, usize> {
        self.list.binary_search_by_key(&key, |request| request.key)
    }

    fn learn_request(&mut self, key: u64, stems: &[u32], sessions: u32, acts: impl Iterator<Item = (u32, u32)>) {
        match self.find(key) {
            Ok(i) => {
                let request = &mut self.list[i];
                self.index.take_shares(request);
                request.add(sessions, acts);
                self.index.put_shares(request);
            }
            Err(i) if i >= ROOM => {}
            Err(i) => {
                if let Some(last) = (self.list.len() >= ROOM).then(|| self.list.pop()).flatten() {
                    self.index.take_shares(&last);
                    self.index.remove(self.list.len());
                }
                let stems = stems[..stems.len().min(STEMS)].to_vec();
                let mut request = Request { key, stems, sessions: 0, acts: Vec::new() };
                request.add(sessions, acts);
                self.index.put_shares(&request);
                self.index.insert(i, &request.stems);
                self.list.insert(i, request);
                self.index.weigh(self.list.len());
            }
        }
    }
}

/// The square of the inverse document frequency, ln(1 + requests / those with the stem); both up to [`ROOM`].
fn weight(requests: usize, with: u32) -> f32 {
    static LN: LazyLock<Vec<f32>> = LazyLock::new(|| (0..=2 * ROOM).map(|n| (n.max(1) as f32).ln()).collect());
    let with = with.max(1) as usize;
    let idf = LN[requests + with] - LN[with];
    idf * idf
}

/// The places that are set.
fn places(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(place)
    })
}

/// What is derived from the requests. A request is known by its place in the list, of which there are as many as bits in
/// a set ([`ROOM`]).
#[derive(Debug, Clone, Default)]
struct Index {
    /// By act, ascending: the sum of shares.
    shares: Vec<(u32, u64)>,
    /// All stems, ascending.
    stems: Vec<u32>,
    /// Beside them: the requests that have each.
    having: Vec<u128>,
    /// Beside the requests: the sum of their stems' weights.
    norms: Vec<f32>,
}

impl Index {
    fn of(list: &[Request]) -> Self {
        let mut index = Self::default();
        for (i, request) in list.iter().enumerate() {
            index.put_shares(request);
            index.insert(i, &request.stems);
        }
        index.weigh(list.len());
        index
    }

    /// The requests that have a stem.
    fn with(&self, stem: u32) -> u128 {
        self.stems.binary_search(&stem).map_or(0, |i| self.having[i])
    }

    fn take_shares(&mut self, request: &Request) {
        for &(act, count) in &request.acts {
            if let Ok(i) = self.shares.binary_search_by_key(&act, |&(act, _)| act) {
                self.shares[i].1 -= fixed(count, request.sessions);
            }
        }
    }

    fn put_shares(&mut self, request: &Request) {
        for &(act, count) in &request.acts {
            let share = fixed(count, request.sessions);
            match self.shares.binary_search_by_key(&act, |&(act, _)| act) {
                Ok(i) => self.shares[i].1 += share,
                Err(i) => self.shares.insert(i, (act, share)),
            }
        }
    }

    /// Takes up the stems of a request at a place; those from there on move up.
    fn insert(&mut self, place: usize, stems: &[u32]) {
        let below = (1 << place) - 1;
        for having in &mut self.having {
            *having = (*having & below) | (*having & !below) << 1;
        }
        for &stem in stems {
            let i = self.stems.binary_search(&stem).unwrap_or_else(|i| {
                self.stems.insert(i, stem);
                self.having.insert(i, 0);
                i
            });
            self.having[i] |= 1 << place;
        }
    }

    /// Forgets the last request, whose place it is, and what only it had.
    fn remove(&mut self, place: usize) {
        self.having.iter_mut().for_each(|having| *having &= !(1 << place));
        let mut having = self.having.iter();
        self.stems.retain(|_| having.next().is_some_and(|&having| having != 0));
        self.having.retain(|&having| having != 0);
        self.shares.retain(|&(_, share)| share > 0);
    }

    /// Weighs all requests anew: with each one that comes, stems get rarer or more common.
    fn weigh(&mut self, requests: usize) {
        self.norms.clear();
        self.norms.resize(requests, 0.0);
        for &having in &self.having {
            let weight = weight(requests, having.count_ones());
            places(having).for_each(|place| self.norms[place] += weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Words;

    type Observed = Vec<(u8, Vec<u32>)>;

    fn words(request: u8) -> Words {
        // Some stems are shared between requests, some are not.
        let mut stems: Vec<u32> = (0..u32::from(request % 7)).chain([1_000 + u32::from(request)]).collect();
        stems.sort_unstable();
        Words { tokens: Vec::new(), stems }
    }

    fn learned(observed: &Observed) -> Requests {
        let mut requests = Requests::default();
        for (request, acts) in observed {
            let mut acts = acts.clone();
            acts.sort_unstable();
            acts.dedup();
            let words = words(*request);
            requests.learn(words.key(), &words.stems, &acts);
        }
        requests
    }

    fn observed() -> impl Strategy<Value = Observed> {
        prop::collection::vec((any::<u8>(), prop::collection::vec(0u32..200, 0..6)), 0..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn merging_is_learning_all_in_any_order(a in observed(), b in observed()) {
            let batch = learned(&[a.clone(), b.clone()].concat());
            let mut ba = learned(&b);
            ba.merge(&learned(&a));
            prop_assert_eq!(&ba, &batch);
            // What is derived follows from what is kept, whichever way it came about.
            let anew = Requests::from_list(batch.list().to_vec()).unwrap();
            for act in 0..200 {
                prop_assert_eq!(ba.shares(act), anew.shares(act));
            }
            for request in 0..40 {
                prop_assert_eq!(ba.near(&words(request)), anew.near(&words(request)));
            }
        }
    }

    #[test]
    fn a_bound_keeps_a_sample_of_the_requests() {
        let all: Observed = (0..=255).map(|request| (request, vec![u32::from(request)])).collect();
        let kept = learned(&all);
        assert_eq!(kept.len(), ROOM);
        let mut keys: Vec<u64> = (0..=255).map(|request| words(request).key()).collect();
        keys.sort_unstable();
        assert!(kept.list().iter().map(|request| request.key).eq(keys[..ROOM].iter().copied()));
        assert_eq!((0..=255).map(|act| kept.shares(act)).sum::<f64>(), ROOM as f64);
    }

    #[test]
    fn the_rarer_a_shared_word_the_more_alike() {
        let mut requests = Requests::default();
        let texts = ["please send the invoice", "please book the flight", "please call the office"];
        for words in texts.map(Words::of) {
            requests.learn(words.key(), &words.stems, &[]);
        }
        let near = requests.near(&Words::of("book a flight please"));
        assert_eq!(near[0].0, Words::of("please book the flight").key());
        assert!(near[0].1 > 0.3 && near[1..].iter().all(|&(_, alike)| alike < 0.05), "{near:?}");
    }

    #[test]
    fn requests_that_cannot_be_so_are_refused() {
        let request = |key, sessions| Request { key, stems: vec![1, 2], sessions, acts: vec![(1, 1)] };
        assert!(Requests::from_list(vec![request(1, 1), request(2, 1)]).is_some());
        assert!(Requests::from_list(vec![request(2, 1), request(1, 1)]).is_none(), "out of order");
        assert!(Requests::from_list(vec![request(1, 0)]).is_none(), "no session");
        let many = (0..=ROOM as u64).map(|key| request(key, 1)).collect();
        assert!(Requests::from_list(many).is_none(), "too many");
    }
}
