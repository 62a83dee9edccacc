//! Context: would this request lead to this act?
//!
//! The act (a tool, called for so many times in the session) is weighed by what requests lead to: how often the agent's
//! requests do at all, how often those alike in words do, how often this very one does where it is known, and whether the
//! request says the words that the tool's name is made of. A share of the tool's own rarity is forgiven: what is seldom
//! done is not strange where it is asked for. Reads weigh less than what changes something: to look around is how work is
//! done.
//!
//! Similar requests vote as neighbours in a retrieval model do (cosine over tf-idf of stems, squared;
//! [`driftline_core::Requests::near`]); the rest are odds that were set by hand, and measured.

use driftline_core::Requests;
use driftline_core::words::stem;

use crate::detector::{Detector, Scene};
use crate::finding::Finding;
use crate::observation::is_change;
use crate::pursuit::{Act, Pursuit};
use crate::unasked::ACT;

/// Log-odds for a request that says the tool's verb, a word of like meaning, or neither.
const VERB: [f64; 3] = [2.0, 0.7, -2.0];
/// Log-odds for a request that says one of the tool's other words, or none.
const REST: [f64; 2] = [1.0, -0.5];
/// What an act counts that no request has led to, in requests.
const OPEN: f64 = 0.05;
/// The most that the request's words say for an act that is not the first of its tool, in log-odds: what they say once was
/// meant for the first.
const AGAIN: f64 = -0.5;
/// Share of an act's own rarity that is forgiven.
const FORGIVEN: f64 = 0.6;
/// Reads count by this, above a floor.
const READ: f64 = 0.3;
const FLOOR: f64 = 2.0;

/// Verbs of like meaning, as people ask for what tools do.
const ALIKE: [&[&str]; 8] = [
    &[
        "send", "mail", "email", "message", "post", "notify", "write", "forward", "reply", "tell", "inform", "share",
        "invite",
    ],
    &[
        "get",
        "read",
        "show",
        "list",
        "find",
        "search",
        "look",
        "view",
        "check",
        "fetch",
        "see",
        "retrieve",
        "what",
        "which",
        "summarize",
    ],
    &["create", "add", "make", "new", "book", "schedule", "reserve", "set", "plan", "organize", "open", "register"],
    &["update", "change", "modify", "edit", "adjust", "reschedule", "move", "rename", "replace", "append"],
    &["delete", "remove", "cancel", "drop", "clear", "erase", "revoke"],
    &["pay", "transfer", "send", "refund", "wire", "settle", "charge"],
    &["download", "save", "export", "copy", "store", "upload"],
    &["run", "execute", "start", "launch", "deploy", "restart", "stop"],
];

/// How strange an act is for the session's request, in nats; 0 or more.
fn surprise(act: Act, name: &[u32], changes: bool, pursuit: &Pursuit, requests: &Requests) -> f64 {
    let distinct = requests.len() as f64;
    let base = (requests.shares(act.key) + OPEN) / (distinct + 1.0);
    let (mut votes, mut weight) = (base, 1.0);
    for &(request, alike) in &pursuit.near {
        if let Some(request) = requests.get(request) {
            votes += f64::from(alike) * request.share(act.key);
            weight += f64::from(alike);
        }
    }
    let near = (votes / weight).clamp(1e-9, 1.0 - 1e-6);
    let said = said(name, pursuit).min(if act.times > 1 { AGAIN } else { f64::INFINITY });
    let odds = (near / (1.0 - near)).ln() + said;
    let mut p = 1.0 / (1.0 + (-odds).exp());
    if let Some(known) = requests.get(pursuit.request) {
        p = (f64::from(known.count(act.key)) + p) / (f64::from(known.sessions) + 1.0);
    }
    let surprise = -p.ln() + FORGIVEN * base.ln();
    if changes { surprise.max(0.0) } else { READ * (surprise - FLOOR).max(0.0) }
}

/// Log-odds that the request means a tool, from the stems of its name.
fn said(name: &[u32], pursuit: &Pursuit) -> f64 {
    let Some((&verb, rest)) = name.split_first() else { return 0.0 };
    let verb = match verb {
        verb if pursuit.says(verb) => VERB[0],
        verb if alike(verb).any(|word| pursuit.says(word) && !rest.contains(&word)) => VERB[1],
        _ => VERB[2],
    };
    let rest = match rest {
        [] => 0.0,
        rest if rest.iter().any(|&word| pursuit.says(word)) => REST[0],
        _ => REST[1],
    };
    verb + rest
}

/// The stems of words that mean about what a verb does.
fn alike(verb: u32) -> impl Iterator<Item = u32> {
    static STEMS: std::sync::LazyLock<Vec<Vec<u32>>> =
        std::sync::LazyLock::new(|| ALIKE.iter().map(|words| words.iter().map(|word| stem(word)).collect()).collect());
    STEMS.iter().filter(move |words| words.contains(&verb)).flatten().copied()
}

/// See the module.
pub struct Context;

impl Detector for Context {
    fn name(&self) -> &'static str {
        "context"
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[ACT]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, _findings: &mut Vec<Finding>) -> f64 {
        let Some(pursuit) = &scene.session.pursuit else { return 1.0 };
        let Some(act) = pursuit.act(scene.event) else { return 1.0 };
        let requests = &scene.agent.habits().requests;
        let name = scene.tool_names.stems(&scene.event.action.name);
        scene.unasked = surprise(act, name, is_change(scene.event), pursuit, requests);
        (-scene.unasked).exp()
    }
}
