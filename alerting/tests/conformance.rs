//! What every sink must keep to, whatever its protocol. A new sink is added to [`SINKS`] and passes all of this.
#![cfg(test)]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use driftline_alerting::delivery::{Clock, Delivery, DeliveryReport, Policy};
use driftline_alerting::group::Group;
use driftline_alerting::log::AlertLog;
use driftline_alerting::routing::Routing;
use driftline_alerting::sinks::slack::Slack;
use driftline_alerting::sinks::{SendError, Sink};
use driftline_alerting::source::{AlertSource, SourceError};
use driftline_core::{Alert, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use support::samples;
use support::server::{OK, OtherSide, Play, nobody};

/// In every address, so that it can be looked for.
const SECRET: &str = "hUnT3rhUnT3rhUnT3rhUnT3r";
/// How long a sink of these tests waits for an answer.
const TIMEOUT: Duration = Duration::from_millis(200);

/// A sink, and what its protocol asks of it.
struct Case {
    name: &'static str,
    /// The path of its address, with [`SECRET`] in it.
    path: &'static str,
    /// The sink for an address.
    open: fn(&str) -> Box<dyn Sink>,
    /// Panics where a message is outside the protocol's limits or has markup from outside in it.
    check: fn(&Value),
    /// The answer that means: this message never.
    refusal: Play,
    /// An answer that means: wrongly set up.
    misconfigured: Play,
}

/// All sinks.
const SINKS: &[Case] = &[Case {
    name: "slack",
    path: "/services/T024BE7LD/B024BE7LE/hUnT3rhUnT3rhUnT3rhUnT3r",
    open: |url| Box::new(Slack::new("slack", url.into(), TIMEOUT).expect("a webhook")),
    check: slack_message,
    refusal: Play::Answer(400, &[], "invalid_blocks"),
    misconfigured: Play::Answer(404, &[], "no_service"),
}];

/// The limits that Slack documents, and the rules of `sinks/slack.rs` on markup.
fn slack_message(message: &Value) {
    let blocks = message["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(blocks.len() <= 50);
    for block in blocks {
        let texts = |name: &str| block[name].as_array().cloned().unwrap_or_default();
        match block["type"].as_str().expect("a type") {
            "header" => plain_text(&block["text"], 150),
            "section" => {
                assert!(block["text"].is_object() || !texts("fields").is_empty());
                if block["text"].is_object() {
                    plain_text(&block["text"], 3_000);
                }
                assert!(texts("fields").len() <= 10);
                texts("fields").iter().for_each(|field| plain_text(field, 2_000));
            }
            "context" => {
                assert!((1..=10).contains(&texts("elements").len()));
                texts("elements").iter().for_each(|element| plain_text(element, 2_000));
            }
            other => panic!("an unknown block: {other}"),
        }
    }
    let text = message["text"].as_str().expect("a text for notifications");
    assert!(!text.trim().is_empty());
    assert_eq!(message["mrkdwn"], false, "no markup is read in the text");
    assert!(!text.contains("://"), "nothing in the text becomes a link: {text}");
    escaped(text);
    assert!(length(message) <= 9_000, "{}", length(message));
}

fn plain_text(object: &Value, limit: usize) {
    assert_eq!(object["type"], "plain_text");
    assert_eq!(object["emoji"], false, "`:name:` is no sign");
    let text = object["text"].as_str().expect("a text");
    assert!(!text.trim().is_empty(), "Slack refuses empty texts");
    assert!(text.encode_utf16().count() <= limit, "{} > {limit}", text.len());
    escaped(text);
}

/// No bare `< >`, every `&` begins an entity, and no control or reordering character but line feeds.
fn escaped(text: &str) {
    assert!(!text.contains(['<', '>']), "{text}");
    for (at, _) in text.match_indices('&') {
        let rest = text.get(at..).expect("inside the text");
        assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "{text}");
    }
    for line in text.split('\n') {
        assert_eq!(driftline_core::terminal(line), line);
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.encode_utf16().count(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "type").map(|(_, value)| length(value)).sum()
        }
        _ => 0,
    }
}

/// Time that passes only where the worker waits for it; ends the worker once everything is sent, or at the end.
#[derive(Clone)]
struct VirtualClock {
    start: Instant,
    elapsed: Arc<Mutex<Duration>>,
    end: Duration,
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.start + *self.elapsed.lock().expect("no panic")
    }

    fn wall(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn wait(&self, time: Duration) -> bool {
        let mut elapsed = self.elapsed.lock().expect("no panic");
        *elapsed += time;
        *elapsed < self.end
    }
}

struct Batches {
    batches: std::vec::IntoIter<Vec<Alert>>,
    read: usize,
    committed: Arc<Mutex<usize>>,
    clock: VirtualClock,
}

impl AlertSource for Batches {
    fn next(&mut self, timeout: Duration) -> Result<Vec<Alert>, SourceError> {
        let batch = self.batches.next();
        if batch.is_none() {
            self.clock.wait(timeout);
        }
        let batch = batch.unwrap_or_default();
        self.read += batch.len();
        Ok(batch)
    }

    fn commit(&mut self) -> Result<(), SourceError> {
        *self.committed.lock().expect("no panic") = self.read;
        Ok(())
    }
}

/// A sink as the worker sees it, which notes when it is asked to send.
struct Timed {
    sink: Box<dyn Sink>,
    clock: VirtualClock,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Timed {
    fn note(&self) {
        self.times.lock().expect("no panic").push(self.clock.now());
    }
}

impl Sink for Timed {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn pace(&self) -> Duration {
        self.sink.pace()
    }

    fn capacity(&self) -> usize {
        self.sink.capacity()
    }

    fn send(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.note();
        self.sink.send(groups)
    }

    fn send_plain(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.note();
        self.sink.send_plain(groups)
    }
}

struct Outcome {
    report: DeliveryReport,
    committed: usize,
    times: Vec<Instant>,
}

/// Delivers in virtual time, to a sink of this address, for at most two hours.
fn deliver(case: &Case, url: &str, batches: Vec<Vec<Alert>>) -> Outcome {
    let clock = VirtualClock { start: Instant::now(), elapsed: Arc::default(), end: Duration::from_secs(7_200) };
    let committed = Arc::new(Mutex::new(0));
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let source =
        Batches { batches: batches.into_iter(), read: 0, committed: Arc::clone(&committed), clock: clock.clone() };
    let sink = Timed { sink: (case.open)(url), clock: clock.clone(), times: Arc::clone(&times) };
    let routing = Routing::all_to(sink.name());
    let delivery = Delivery::new(sink, source, clock, routing, Policy::default());
    let status = delivery.status();
    delivery.run();
    let (committed, times) = (*committed.lock().expect("no panic"), times.lock().expect("no panic").clone());
    Outcome { report: status.report(), committed, times }
}

/// Where each alert's id is first found in the messages; panics where one is missing.
fn places(messages: &[Value], alerts: &[Alert]) -> Vec<(usize, usize)> {
    let texts: Vec<_> = messages.iter().map(Value::to_string).collect();
    let place = |alert: &Alert| {
        let id = alert.id.to_string();
        texts.iter().enumerate().find_map(|(i, text)| Some((i, text.find(&id)?)))
    };
    alerts.iter().map(|alert| place(alert).unwrap_or_else(|| panic!("alert {} is lost", alert.id))).collect()
}

#[test]
fn nothing_is_lost_and_order_is_kept_whatever_the_other_side_does() {
    for case in SINKS {
        let trouble = [
            OK,
            Play::Answer(429, &[("Retry-After", "30")], "rate_limited"),
            Play::Answer(500, &[], ""),
            Play::Answer(503, &[("Retry-After", "Tue, 01 Jan 2030 00:00:30 GMT")], "rollup_error"),
            Play::Silence,
            OK,
            Play::Stall,
            case.refusal.clone(),
            case.misconfigured.clone(),
            case.refusal.clone(),
        ];
        let other_side = OtherSide::new(trouble);
        let alerts = samples::many(60);
        // A few by themselves, then a backlog.
        let batches = vec![alerts[..4].to_vec(), alerts[4..].to_vec()];
        let outcome = deliver(case, &other_side.url(case.path), batches);
        let messages = other_side.bodies();
        let places = places(&messages, &alerts);
        assert!(places.is_sorted(), "{}: {places:?}", case.name);
        messages.iter().for_each(case.check);
        assert_eq!((outcome.report.delivered, outcome.committed), (60, 60), "{}", case.name);
        assert_eq!((outcome.report.rejected, outcome.report.failing), (1, None), "{}", case.name);
        assert_eq!(outcome.times.len(), messages.len(), "one message a call");
    }
}

#[test]
fn two_messages_are_never_closer_than_the_pace() {
    for case in SINKS {
        let trouble = [OK, Play::Answer(429, &[("Retry-After", "0")], ""), case.refusal.clone(), OK];
        let other_side = OtherSide::new(trouble);
        let url = other_side.url(case.path);
        let pace = (case.open)(&url).pace();
        let outcome = deliver(case, &url, samples::many(12).chunks(3).map(<[Alert]>::to_vec).collect());
        assert_eq!(outcome.times.len(), 14);
        for pair in outcome.times.windows(2) {
            assert!(pair[1] - pair[0] >= pace, "{}: {:?}", case.name, pair[1] - pair[0]);
        }
    }
}

#[test]
fn the_wait_that_the_other_side_asks_for_is_kept() {
    for case in SINKS {
        for (headers, least) in [
            (&[("Retry-After", "90")][..], 90),
            (&[("Retry-After", "Tue, 01 Jan 2030 00:02:00 GMT"), ("Date", "Tue, 01 Jan 2030 00:00:00 GMT")][..], 120),
        ] {
            let other_side = OtherSide::new([Play::Answer(429, headers, "")]);
            let outcome = deliver(case, &other_side.url(case.path), vec![samples::many(1)]);
            assert_eq!(outcome.times[1] - outcome.times[0], Duration::from_secs(least), "{}", case.name);
        }
    }
}

#[test]
fn each_kind_of_trouble_has_its_error_and_none_shows_the_secret() {
    for case in SINKS {
        let sent = |url: &str| {
            let started = Instant::now();
            let error = (case.open)(url).send(&[samples::hijacked().into()]).expect_err("trouble");
            assert!(started.elapsed() < TIMEOUT * 100, "{} waits without end", case.name);
            error
        };
        let play = |play: Play| {
            let other_side = OtherSide::new([play]);
            sent(&other_side.url(case.path))
        };
        let echo = Play::Answer(404, &[], "no such hook: hUnT3rhUnT3rhUnT3rhUnT3r");
        let redirect = Play::Answer(302, &[("Location", "http://127.0.0.1:1/hUnT3rhUnT3rhUnT3rhUnT3r")], "");
        let retried = [
            sent(&nobody(case.path)),
            play(Play::Silence),
            play(Play::Stall),
            play(Play::Answer(500, &[], "hUnT3rhUnT3rhUnT3rhUnT3r")),
            play(Play::Answer(429, &[], "")),
        ];
        for error in &retried {
            assert!(matches!(error, SendError::Retry { .. }), "{}: {error:?}", case.name);
        }
        let refused = play(case.refusal.clone());
        assert!(matches!(refused, SendError::Rejected { .. }), "{}: {refused:?}", case.name);
        let wrong = [play(case.misconfigured.clone()), play(echo), play(redirect)];
        for error in &wrong {
            assert!(matches!(error, SendError::Misconfigured { .. }), "{}: {error:?}", case.name);
        }
        for error in retried.iter().chain(&wrong).chain([&refused]) {
            assert!(!format!("{error} {error:?}").contains(SECRET), "{}: {error:?}", case.name);
        }
    }
}

/// All log lines, of this crate and of those below it.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_line_shows_the_secret_at_any_level() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();
    for case in SINKS {
        let other_side = OtherSide::new([Play::Answer(500, &[], ""), case.misconfigured.clone(), Play::Silence]);
        deliver(case, &other_side.url(case.path), vec![samples::many(2)]);
    }
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    assert!(text.contains("alerts could not be delivered"), "failures are logged");
    assert!(text.contains("ureq"), "the HTTP client's own lines are seen here");
    assert!(!text.contains(SECRET), "{text}");
}

/// Sends to a server that takes everything, and gives what arrived.
fn arrived(case: &Case, alert: Alert) -> Vec<Value> {
    let other_side = OtherSide::new([]);
    let mut sink = (case.open)(&other_side.url(case.path));
    let group = Group { repeats: vec![alert.id; 30], alert };
    let many = vec![group.clone(); sink.capacity()];
    for groups in [std::slice::from_ref(&group), &many] {
        sink.send(groups).expect("taken");
        sink.send_plain(groups).expect("taken");
    }
    other_side.bodies()
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<!everyone> <!channel> <@U024BE7LH> <https://evil.example|click>".to_owned()),
        Just("*bold* _it_ ~st~ `code` ```block``` :skull: @here #general".to_owned()),
        Just("&amp; &lt;!here&gt; &&&& https://evil.example".to_owned()),
        Just("\u{202e}\u{200b}\u{0}\u{1b}[2J\r\n\t\u{7f}".to_owned()),
        Just("🚨👩‍👩‍👧漢é\u{301}".to_owned()),
        "\\PC{0,20}",
        Just(" \n ".to_owned()),
    ];
    (proptest::collection::vec(piece, 0..6), prop_oneof![Just(1usize), Just(40), Just(600)])
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_hostile_alert_stays_within_limits_and_markup_and_keeps_its_id(text in hostile_text(), rows in 0usize..30) {
        for case in SINKS {
            let alert = samples::hostile(&text, rows);
            let id = alert.id.to_string();
            let messages = arrived(case, alert);
            prop_assert_eq!(messages.len(), 4);
            for message in &messages {
                (case.check)(message);
                prop_assert!(message.to_string().contains(&id), "{}", message);
            }
        }
    }
}

#[test]
fn a_thousand_rows_of_evidence_and_an_alert_that_says_nothing_are_taken() {
    for case in SINKS {
        for alert in [samples::hostile("<!everyone> & co", 1_000), samples::huge(), samples::blank()] {
            let id = alert.id.to_string();
            for message in arrived(case, alert) {
                (case.check)(&message);
                assert!(message.to_string().contains(&id));
            }
        }
    }
}

#[test]
fn an_alert_file_reaches_the_other_side_through_a_restart() {
    use driftline_alerting::follow::FileFollower;
    for case in SINKS {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, state) = (folder.path().join("alerts.ndjson"), folder.path().join("position"));
        let alerts = samples::many(4);
        let mut log = AlertLog::file(&file).expect("a log");
        let mut write = |alerts: &[Alert]| {
            alerts.iter().for_each(|alert| log.append(alert).expect("written"));
            log.sync().expect("synced");
        };
        let other_side = OtherSide::new([]);
        let run = || {
            let clock = VirtualClock { start: Instant::now(), elapsed: Arc::default(), end: Duration::from_secs(60) };
            let follower = FileFollower::open(&file, &state, clock.clone()).expect("a follower");
            let sink =
                Timed { sink: (case.open)(&other_side.url(case.path)), clock: clock.clone(), times: Arc::default() };
            let routing = Routing::all_to(sink.name());
            Delivery::new(sink, follower, clock, routing, Policy::default()).run();
            other_side.bodies()
        };
        write(&alerts[..2]);
        assert_eq!(places(&run(), &alerts[..2]).len(), 2);
        write(&alerts[2..]);
        let second = run();
        assert_eq!(second.len(), 2, "what was delivered before the restart does not come again");
        assert!(places(&second, &alerts[2..]).is_sorted());
    }
}
