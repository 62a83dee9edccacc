//! What a session was asked for, and what it has done about it so far.
//!
//! The stream follows sessions by it, and jobs over history learn from it: whatever can say what a pursuit asks of an act is
//! a [`Deed`], so that both count the very same.

use serde::{Deserialize, Serialize};

use crate::observation::{is_change, resources};
use crate::words::hash;
use crate::{Event, Habits, Mentioned, Origin, Outcome, Requests, Resource, Text, Words, key, mention_number, packed};

/// A tool called more often than this in a session counts as called so often.
const TIMES: u8 = 4;
/// Acts, targets, resources and mentions of a session that are remembered; past them it is judged by what it did first.
const ACTS: usize = 128;
const TARGETS: usize = 256;
/// Resources of one event that are looked at one by one.
const MOST_TARGETS: usize = 16;
const USED: usize = 512;
const MENTIONS: usize = 2_048;

/// Where identifiers stood in what the session has read, as bits.
mod stood {
    pub const FIELD: u8 = 1;
    pub const LINE: u8 = 2;
    pub const TEXT_ASKED: u8 = 4;
    pub const TEXT: u8 = 8;
}

/// Something touched; kind and role are empty where they are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target<'a> {
    /// Its id.
    pub id: &'a str,
    /// What kind of thing it is.
    pub kind: &'a str,
    /// As what it was touched: a recipient, an attendee.
    pub role: &'a str,
}

impl<'a> Target<'a> {
    /// A resource of an event.
    pub fn of(resource: &'a Resource<Text<'_>>) -> Self {
        let given = |text: &'a Option<Text<'_>>| text.as_deref().unwrap_or_default();
        Self { id: &resource.id, kind: given(&resource.kind), role: given(&resource.role) }
    }
}

/// An act, as far as a pursuit asks.
pub trait Deed {
    /// The request that it was done for: in words, else the kind of task; empty where none is told.
    fn request(&self) -> &str;
    /// The tool's name.
    fn tool(&self) -> &str;
    /// The server that offers the tool; empty where none is named.
    fn server(&self) -> &str;
    /// Whether it changes what it touches.
    fn changes(&self) -> bool;
    /// Whether it came to what it was meant to.
    fn succeeded(&self) -> bool;
    /// What it touched, the main thing first.
    fn touched(&self) -> impl Iterator<Item = Target<'_>>;
    /// What its result mentioned.
    fn mentions(&self) -> Option<&Mentioned>;
}

impl Deed for Event<'_> {
    fn request(&self) -> &str {
        let task = self.task.as_ref();
        task.and_then(|task| task.intent.as_deref().or(task.kind.as_deref())).unwrap_or_default()
    }

    fn tool(&self) -> &str {
        &self.action.name
    }

    fn server(&self) -> &str {
        self.action.server.as_deref().unwrap_or_default()
    }

    fn changes(&self) -> bool {
        is_change(self)
    }

    fn succeeded(&self) -> bool {
        self.outcome == Outcome::Success
    }

    fn touched(&self) -> impl Iterator<Item = Target<'_>> {
        resources(self).map(Target::of)
    }

    fn mentions(&self) -> Option<&Mentioned> {
        self.result.as_ref().and_then(|result| result.mentions.as_ref())
    }
}

/// A session's request and what it has done about it. Part of the format of a stream's state (`driftline-detectors`,
/// `state`): fields are written in this order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pursuit {
    /// [`Words::key`] of the request.
    pub request: u64,
    #[serde(with = "packed::halves")]
    tokens: Vec<u32>,
    #[serde(with = "packed::halves")]
    stems: Vec<u32>,
    /// Requests alike to it when the session began, with how much ([`Requests::near`]).
    pub near: Vec<(u64, f32)>,
    /// Tools called, and how often.
    calls: Vec<(u32, u8)>,
    /// Distinct acts.
    #[serde(with = "packed::halves")]
    acts: Vec<u32>,
    /// Targets of what it changed: key of tool and role, and where they come from.
    targets: Vec<(u32, Origin)>,
    /// Resources touched, and reads done, as keys.
    #[serde(with = "packed::keys")]
    used: Vec<u64>,
    /// Identifiers met in results, ascending, and where they stood.
    #[serde(with = "packed::keys")]
    met: Vec<u64>,
    stood: Vec<u8>,
    /// The tool of the last act, if that failed.
    failed: Option<u32>,
}

/// One act of a session, as it counts against its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// How often the session has called the tool, this time included, up to four.
    pub times: u8,
    /// Stands for the tool and that.
    pub key: u32,
}

impl Pursuit {
    /// A session that begins with an act; `None` where that says nothing of a request.
    pub fn begin(deed: &impl Deed, requests: &Requests) -> Option<Self> {
        let text = deed.request();
        if text.is_empty() {
            return None;
        }
        let words = Words::of(text);
        let (request, near) = (words.key(), requests.near(&words));
        let Words { tokens, stems } = words;
        (request != 0).then(|| Self { request, tokens, stems, near, ..Self::default() })
    }

    /// Whether a pursuit can be so: read back, it need not have been written by this program.
    pub fn is_sound(&self) -> bool {
        self.met.len() == self.stood.len()
    }

    /// Whether a word of the request has this stem.
    pub fn says(&self, stem: u32) -> bool {
        self.stems.binary_search(&stem).is_ok()
    }

    /// How it counts against the request; `None` where it is the same read again, or a further try of what has just failed: that is
    /// not one more.
    pub fn act(&self, deed: &impl Deed) -> Option<Act> {
        let tool = tool(deed);
        let is_retry = self.failed == Some(tool);
        if is_retry || (!deed.changes() && self.used.contains(&read(deed))) {
            return None;
        }
        let called = self.calls.iter().find(|&&(known, _)| known == tool).map_or(0, |&(_, times)| times);
        let times = (called + 1).min(TIMES);
        Some(Act { times, key: tool.rotate_left(u32::from(times)) })
    }

    /// Where a resource comes from, as far as this session tells.
    pub fn origin(&self, id: &str) -> Origin {
        let said = self.said(id);
        if said == Said::Whole {
            return Origin::Named;
        }
        if said == Said::Half {
            return Origin::HalfNamed;
        }
        if self.used.contains(&resource(id)) {
            return Origin::Used;
        }
        // Most events mention nothing, and the hash takes long.
        let met = (!self.met.is_empty()).then(|| self.met.binary_search(&mention_number(id, b"")).ok()).flatten();
        match met.map_or(0, |i| self.stood[i]) {
            stood if stood & stood::FIELD != 0 => Origin::Field,
            stood if stood & stood::LINE != 0 => Origin::Line,
            stood if stood & stood::TEXT_ASKED != 0 => Origin::TextAsked,
            stood if stood & stood::TEXT != 0 => Origin::Text,
            _ => Origin::New,
        }
    }

    /// Notes an act after it was judged.
    pub fn note(&mut self, deed: &impl Deed) {
        let tool = tool(deed);
        if let Some(act) = self.act(deed) {
            match self.calls.iter().position(|&(known, _)| known == tool) {
                Some(i) => self.calls[i].1 = act.times,
                None if self.calls.len() < ACTS => self.calls.push((tool, act.times)),
                None => {}
            }
            if self.acts.len() < ACTS && !self.acts.contains(&act.key) {
                self.acts.push(act.key);
            }
        }
        if deed.changes() {
            for (_, target) in targets(deed).take(TARGETS.saturating_sub(self.targets.len())) {
                let origin = self.origin(target.id);
                self.targets.push((place(deed.tool(), target), origin));
            }
        } else {
            self.use_once(read(deed));
        }
        for touched in deed.touched().flat_map(members) {
            self.use_once(resource(touched.id));
        }
        self.failed = (!deed.succeeded()).then_some(tool);
        if let Some(mentions) = deed.mentions() {
            self.meet(mentions, self.asks_for(deed));
        }
    }

    /// What it teaches.
    pub fn teach(&self, habits: &mut Habits) {
        habits.requests.learn(self.request, &self.stems, &self.acts);
        self.targets.iter().for_each(|&(key, origin)| habits.targets.learn(key, origin));
    }

    /// Whether the request says what an act calls, or names what it touches.
    fn asks_for(&self, deed: &impl Deed) -> bool {
        let stems = crate::words::name_stems(deed.tool());
        stems.iter().skip(1).any(|&stem| self.says(stem))
            || deed.touched().flat_map(members).any(|touched| self.said(touched.id) == Said::Whole)
    }

    fn said(&self, id: &str) -> Said {
        let id = id.to_lowercase();
        let is_said = |token: &str| self.tokens.binary_search(&hash(token)).is_ok();
        let (mut all, mut said) = (0, 0);
        for token in crate::words::tokens(&id) {
            all += 1;
            said += u32::from(is_said(token));
        }
        match (said, all) {
            (_, 0) => Said::Not,
            (said, all) if said == all => Said::Whole,
            // In one word here, and in two there.
            _ if is_said(&letters(&id)) => Said::Whole,
            (said, all) if 2 * said >= all => Said::Half,
            _ => Said::Not,
        }
    }

    fn use_once(&mut self, key: u64) {
        if self.used.len() < USED && !self.used.contains(&key) {
            self.used.push(key);
        }
    }

    fn meet(&mut self, mentions: &Mentioned, asked: bool) {
        let text = if asked { stood::TEXT_ASKED } else { stood::TEXT };
        let lists = [(&mentions.field, stood::FIELD), (&mentions.line, stood::LINE), (&mentions.text, text)];
        for (hashes, place) in lists {
            for &hash in hashes {
                match self.met.binary_search(&hash) {
                    Ok(i) => self.stood[i] |= place,
                    Err(i) if self.met.len() < MENTIONS => {
                        self.met.insert(i, hash);
                        self.stood.insert(i, place);
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Whole,
    Half,
    Not,
}

/// What an act is aimed at, the main target first, each once; with its place among all that it touched.
pub fn targets(deed: &impl Deed) -> impl Iterator<Item = (usize, Target<'_>)> {
    let each = || {
        let members = |(i, target)| members(target).map(move |target| (i, target));
        deed.touched().enumerate().flat_map(members).take(MOST_TARGETS)
    };
    let is_new = move |at: usize, id: &str| each().take(at).all(|(_, before)| before.id != id);
    each().enumerate().filter(move |(at, (_, target))| is_new(*at, target.id)).map(|(_, target)| target)
}

/// What a target stands for: several, where its id is a list as JSON writes it, `["bob@acme.example", "carol@acme.example"]`.
/// Producers write arguments that are lists so.
fn members(target: Target<'_>) -> impl Iterator<Item = Target<'_>> {
    let list = target.id.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]"));
    let whole = list.is_none().then_some(target);
    let members = list.into_iter().flat_map(|list| list.split('"').step_by(2));
    whole.into_iter().chain(members.map(move |id| Target { id, ..target }))
}

/// The key of a target's tool and role, the role in its upper half: [`crate::Targets::of_role`] reads it there.
pub fn place(tool: &str, target: Target<'_>) -> u32 {
    let role = [target.role, target.kind, "-"].into_iter().find(|text| !text.is_empty());
    let role = role.unwrap_or_default();
    (key(44, [role, ""]) as u32) << 16 | (key(40, [tool, role]) as u32 & 0xffff)
}

fn tool(deed: &impl Deed) -> u32 {
    key(41, [deed.tool(), deed.server()]) as u32
}

fn resource(id: &str) -> u64 {
    key(42, [id, ""])
}

/// Stands for a tool and all that it touches.
fn read(deed: &impl Deed) -> u64 {
    deed.touched()
        .fold(key(43, [deed.tool(), ""]), |sum, touched| sum.rotate_left(7) ^ key(43, [touched.id, touched.role]))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Limits, mention};

    const REQUEST: &str = "Send the report to bob@acme.example and to Alice Baker";

    fn event(rest: &Value) -> String {
        let mut event = json!({
            "time": 0, "agent": {"id": "a"}, "task": {"intent": REQUEST}, "action": {"name": "read_mail", "access": "read"},
        });
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event.to_string()
    }

    /// A pursuit after these events.
    fn after(events: &[Value]) -> Pursuit {
        let mut pursuit = None;
        for text in events.iter().map(event) {
            let event = Event::decode(text.as_bytes(), &Limits::default()).unwrap();
            let pursuit = pursuit.get_or_insert_with(|| Pursuit::begin(&event, &Requests::default()).unwrap());
            pursuit.note(&event);
        }
        pursuit.unwrap()
    }

    fn origin(before: &[Value], id: &str) -> Origin {
        after(before).origin(id)
    }

    fn act(before: &[Value], then: &Value) -> Option<u8> {
        let text = event(then);
        let event = Event::decode(text.as_bytes(), &Limits::default()).unwrap();
        after(before).act(&event).map(|act| act.times)
    }

    #[test]
    fn a_target_is_what_the_request_says_or_the_session_has_met() {
        let hash = |id: &str| mention(id, b"");
        let read = json!({"result": {"mentions": {
            "field": [hash("carol@acme.example")], "line": [hash("dave@acme.example")], "text": [hash("eve@evil.example")],
        }}});
        let asked = json!({
            "action": {"name": "read_report", "access": "read"}, "result": {"mentions": {"text": [hash("frank@x.example")]}},
        });
        let used = json!({"resource": {"id": "grace@x.example"}});
        let before = [read, asked, used];
        for (id, expected) in [
            ("bob@acme.example", Origin::Named),
            ("alicebaker", Origin::Named),
            ("Baker, Zoe", Origin::HalfNamed),
            ("grace@x.example", Origin::Used),
            ("carol@acme.example", Origin::HalfNamed),
            ("dave@x.example", Origin::New),
            ("eve@evil.example", Origin::Text),
            ("frank@x.example", Origin::TextAsked),
        ] {
            assert_eq!(origin(&before, id), expected, "{id}");
        }
        let elsewhere = json!({"result": {"mentions": {"field": [hash("h@y.z")], "line": [hash("i@y.z")]}}});
        assert_eq!(origin(std::slice::from_ref(&elsewhere), "h@y.z"), Origin::Field);
        assert_eq!(origin(&[elsewhere], "i@y.z"), Origin::Line);
    }

    #[test]
    fn the_same_read_and_a_further_try_are_not_one_more_act() {
        let read = json!({"resource": {"id": "inbox"}});
        let other = json!({"resource": {"id": "archive"}});
        let send = |outcome: &str| json!({"action": {"name": "send", "access": "write"}, "outcome": outcome});
        assert_eq!(act(std::slice::from_ref(&read), &read), None);
        assert_eq!(act(std::slice::from_ref(&read), &other), Some(2));
        assert_eq!(act(&[send("error")], &send("success")), None);
        assert_eq!(act(&[send("success")], &send("success")), Some(2));
        assert_eq!(act(&vec![send("success"); 9], &send("success")), Some(TIMES));
    }

    #[test]
    fn a_list_is_as_many_targets_as_it_names() {
        let told = |resources: Value| {
            let text = event(&json!({"resources": resources}));
            let event = Event::decode(text.as_bytes(), &Limits::default()).unwrap();
            targets(&event).map(|(i, target)| (i, target.id.to_owned())).collect::<Vec<_>>()
        };
        let owned = |list: &[(usize, &str)]| list.iter().map(|&(i, id)| (i, id.to_owned())).collect::<Vec<_>>();
        assert_eq!(
            told(json!([{"id": r#"["bob@x.example", "eve@x.example"]"#}, {"id": "eve@x.example"}, {"id": "[7]"}])),
            owned(&[(0, "bob@x.example"), (0, "eve@x.example"), (2, "[7]")])
        );
        let used = json!({"action": {"name": "send", "access": "write"}, "resource": {"id": r#"["bob@x.example","eve@x.example"]"#}});
        assert_eq!(origin(&[used], "eve@x.example"), Origin::Used);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let many: Vec<Value> = (0..600)
            .map(|i| {
                let hashes: Vec<String> = (0..20).map(|j| mention(&format!("{i}-{j}"), b"")).collect();
                json!({
                    "action": {"name": format!("tool{i}"), "access": "write"},
                    "resource": {"id": format!("thing{i}")}, "result": {"mentions": {"text": hashes}},
                })
            })
            .collect();
        let pursuit = after(&many);
        assert_eq!((pursuit.acts.len(), pursuit.calls.len(), pursuit.targets.len()), (ACTS, ACTS, TARGETS));
        assert_eq!((pursuit.used.len(), pursuit.met.len()), (USED, MENTIONS));
        assert!(pursuit.is_sound());
    }
}
