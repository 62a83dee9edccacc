//! The worker against a scripted sink, in virtual time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use driftline_core::{Severity, Timestamp};
use uuid::Uuid;

use super::*;
use crate::routing::{Route, Silence};
use crate::samples;

/// Time that passes only where somebody waits; it is over after `end`.
#[derive(Clone)]
struct VirtualClock {
    start: Instant,
    elapsed: Arc<Mutex<Duration>>,
    end: Duration,
}

impl VirtualClock {
    fn until(seconds: u64) -> Self {
        Self { start: Instant::now(), elapsed: Arc::default(), end: Duration::from_secs(seconds) }
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::MIN.plus_millis(self.elapsed().as_millis() as i64)
    }

    fn wait(&self, time: Duration) -> bool {
        let mut elapsed = self.elapsed.lock().unwrap();
        *elapsed += time;
        *elapsed < self.end
    }
}

#[derive(Default)]
struct LogState {
    batches: VecDeque<Result<Vec<Alert>, SourceError>>,
    read: usize,
    committed: usize,
    commits: Vec<usize>,
    commit_fails: usize,
    /// How long each read takes.
    slow: Duration,
}

/// An alert log with batches that are there from the start.
#[derive(Clone)]
struct ScriptedLog(Arc<Mutex<LogState>>, VirtualClock);

impl AlertSource for ScriptedLog {
    fn next(&mut self, timeout: Duration) -> Result<Vec<Alert>, SourceError> {
        let mut log = self.0.lock().unwrap();
        self.1.wait(log.slow);
        let Some(batch) = log.batches.pop_front() else {
            self.1.wait(timeout);
            return Ok(Vec::new());
        };
        let batch = batch?;
        log.read += batch.len();
        Ok(batch)
    }

    fn commit(&mut self) -> Result<(), SourceError> {
        let mut log = self.0.lock().unwrap();
        if log.commit_fails > 0 {
            log.commit_fails -= 1;
            return Err(SourceError::Other("the disk is full".into()));
        }
        log.committed = log.read;
        let read = log.read;
        log.commits.push(read);
        Ok(())
    }
}

/// What a sink was asked to send, when, and how.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    at: Duration,
    ids: Vec<Uuid>,
    plain: bool,
    taken: bool,
}

/// Answers as its script says, then takes everything.
#[derive(Clone)]
struct ScriptedSink {
    script: Arc<Mutex<VecDeque<SendError>>>,
    messages: Arc<Mutex<Vec<Message>>>,
    clock: VirtualClock,
}

impl ScriptedSink {
    fn answer(&self, groups: &[Group], plain: bool) -> Result<(), SendError> {
        let error = self.script.lock().unwrap().pop_front();
        let ids = groups.iter().flat_map(|group| [&[group.alert.id], &group.repeats[..]].concat()).collect();
        let message = Message { at: self.clock.elapsed(), ids, plain, taken: error.is_none() };
        self.messages.lock().unwrap().push(message);
        error.map_or(Ok(()), Err)
    }
}

impl Sink for ScriptedSink {
    fn name(&self) -> &str {
        "scripted"
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn capacity(&self) -> usize {
        20
    }

    fn send(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.answer(groups, false)
    }

    fn send_plain(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.answer(groups, true)
    }
}

struct Outcome {
    messages: Vec<Message>,
    report: DeliveryReport,
    committed: usize,
    commits: Vec<usize>,
}

impl Outcome {
    fn taken(&self) -> Vec<Uuid> {
        self.messages.iter().filter(|message| message.taken).flat_map(|message| message.ids.clone()).collect()
    }

    fn times(&self) -> Vec<f64> {
        self.messages.iter().map(|message| message.at.as_secs_f64()).collect()
    }
}

struct Scene {
    log: LogState,
    script: Vec<SendError>,
    routing: Routing,
    seconds: u64,
}

impl Scene {
    fn of(batches: Vec<Vec<Alert>>) -> Self {
        let log = LogState { batches: batches.into_iter().map(Ok).collect(), ..LogState::default() };
        Self { log, script: Vec::new(), routing: Routing::all_to("scripted"), seconds: 10_000 }
    }

    fn answers(self, script: Vec<SendError>) -> Self {
        Self { script, ..self }
    }

    fn seconds(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    fn play(self) -> Outcome {
        let clock = VirtualClock::until(self.seconds);
        let log = ScriptedLog(Arc::new(Mutex::new(self.log)), clock.clone());
        let sink = ScriptedSink {
            script: Arc::new(Mutex::new(self.script.into())),
            messages: Arc::default(),
            clock: clock.clone(),
        };
        let delivery = Delivery::new(sink.clone(), log.clone(), clock, self.routing, Policy::default());
        let status = delivery.status();
        delivery.run();
        let messages = sink.messages.lock().unwrap().clone();
        let log = log.0.lock().unwrap();
        Outcome { messages, report: status.report(), committed: log.committed, commits: log.commits.clone() }
    }
}

fn ids(alerts: &[Alert]) -> Vec<Uuid> {
    alerts.iter().map(|alert| alert.id).collect()
}

fn retry(after: Option<u64>) -> SendError {
    SendError::Retry { after: after.map(Duration::from_secs), why: "busy".into() }
}

fn rejected() -> SendError {
    SendError::Rejected { why: "invalid_blocks".into() }
}

fn misconfigured() -> SendError {
    SendError::Misconfigured { why: "no_service".into() }
}

#[test]
fn alerts_go_out_one_by_one_in_order_at_the_sinks_pace() {
    let alerts = samples::many(4);
    let outcome = Scene::of(vec![alerts[..3].to_vec(), alerts[3..].to_vec()]).play();
    assert_eq!(outcome.taken(), ids(&alerts));
    assert_eq!(outcome.times(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!((outcome.committed, outcome.report.delivered, outcome.report.messages), (4, 4, 4));
    assert_eq!(outcome.report.pending, 0);
}

#[test]
fn a_backlog_becomes_digests_and_loses_nothing() {
    let alerts = samples::many(47);
    let outcome = Scene::of(vec![alerts.clone()]).play();
    assert_eq!(outcome.taken(), ids(&alerts));
    assert_eq!(outcome.messages.iter().map(|message| message.ids.len()).collect::<Vec<_>>(), [20, 20, 7]);
    assert_eq!((outcome.report.delivered, outcome.report.messages, outcome.committed), (47, 3, 47));
}

#[test]
fn a_failure_is_retried_with_growing_waits_until_it_is_taken() {
    let alerts = samples::many(2);
    let outcome = Scene::of(vec![alerts.clone()]).answers(vec![retry(None); 12]).play();
    assert_eq!(outcome.taken(), ids(&alerts));
    let times = outcome.times();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).take(12).collect();
    for (i, wait) in waits.iter().enumerate() {
        let least = f64::from(1 << i.min(20)).min(120.0);
        assert!((least..=2.0 * least).contains(wait), "wait {i} is {wait} s");
    }
    assert!(waits.iter().any(|wait| wait.fract() != 0.0), "chance is added");
    assert_eq!((outcome.report.retried, outcome.report.failing), (12, None));
}

#[test]
fn the_other_sides_wait_is_kept_and_has_a_bound() {
    let outcome =
        Scene::of(vec![samples::many(1)]).answers(vec![retry(Some(30)), retry(Some(0)), retry(Some(u64::MAX))]);
    let outcome = outcome.play();
    // Zero still waits for the pace; a wait without end is cut to an hour.
    assert_eq!(outcome.times(), [0.0, 30.0, 31.0, 3_631.0]);
}

#[test]
fn a_refused_message_goes_out_plain_within_the_pace() {
    let alerts = samples::many(2);
    let outcome = Scene::of(vec![alerts.clone()]).answers(vec![rejected()]).play();
    assert_eq!(outcome.taken(), ids(&alerts));
    assert_eq!(outcome.messages.iter().map(|message| message.plain).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(outcome.times(), [0.0, 1.0, 2.0]);
    assert_eq!((outcome.report.rejected, outcome.committed), (1, 2));
}

#[test]
fn a_wrong_set_up_is_retried_slowly_and_shown() {
    let scene = || Scene::of(vec![samples::many(1)]).answers(vec![misconfigured(), rejected(), rejected()]);
    let broken = scene().seconds(100).play();
    let failure = broken.report.failing.expect("it fails");
    assert!(failure.misconfigured);
    assert_eq!((broken.committed, broken.report.pending), (0, 1), "it is sent after the next start");
    assert!(broken.report.last_error.expect("an error").1.contains("no_service"));
    let mended = scene().play();
    assert_eq!(mended.times(), [0.0, 300.0, 301.0, 601.0], "a refused plain form is a wrong set-up too");
    assert_eq!((mended.report.failing, mended.committed), (None, 1));
}

#[test]
fn repeats_are_told_once_and_the_position_waits_for_them() {
    let first = samples::hijacked();
    let repeats = ["2", "3", "4"].map(|anchor| samples::repeat(&first, anchor));
    let all = [&[first], &repeats[..]].concat();
    let outcome = Scene::of(vec![all.clone()]).play();
    assert_eq!(outcome.messages.iter().map(|message| message.ids.len()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(outcome.taken(), ids(&all));
    assert!((300.0..301.0).contains(&outcome.times()[1]));
    assert_eq!((outcome.report.delivered, outcome.report.messages, outcome.committed), (4, 2, 4));
    let stopped = Scene::of(vec![all.clone()]).seconds(60).play();
    assert_eq!(stopped.taken(), ids(&all), "what is held goes out on the way out");
    assert_eq!(stopped.committed, 4);
}

#[test]
fn a_steady_stream_of_repeats_does_not_keep_the_position_back() {
    let first = samples::hijacked();
    // One in every pass, ten seconds apart, for longer than the window takes.
    let mut scene = Scene::of((0..60).map(|i| vec![samples::repeat(&first, &i.to_string())]).collect());
    scene.log.slow = Duration::from_secs(10);
    let outcome = scene.seconds(599).play();
    assert!(outcome.commits.first().is_some_and(|&read| read == 1), "{:?}", outcome.commits);
    assert!(outcome.commits.iter().any(|&read| (30..40).contains(&read)), "{:?}", outcome.commits);
}

#[test]
fn what_is_held_when_the_sink_fails_on_the_way_out_comes_again() {
    let first = samples::hijacked();
    let all = vec![first.clone(), samples::repeat(&first, "2")];
    let clock = VirtualClock::until(60);
    let log =
        ScriptedLog(Arc::new(Mutex::new(LogState { batches: [Ok(all)].into(), ..LogState::default() })), clock.clone());
    let sink = ScriptedSink { script: Arc::default(), messages: Arc::default(), clock: clock.clone() };
    let mut delivery = Delivery::new(sink.clone(), log.clone(), clock, Routing::all_to("scripted"), Policy::default());
    assert!(matches!(delivery.pass(), Ok(Ok(()))));
    sink.script.lock().unwrap().push_back(retry(None));
    delivery.finish();
    assert_eq!(log.0.lock().unwrap().committed, 0);
}

#[test]
fn a_stop_in_the_middle_leaves_the_position_before_the_batch() {
    let outcome = Scene::of(vec![samples::many(3)]).answers(vec![retry(None); 1_000]).seconds(30).play();
    assert!(outcome.taken().is_empty());
    assert_eq!((outcome.committed, outcome.report.pending), (0, 3));
}

#[test]
fn what_is_not_routed_or_is_silenced_is_counted_and_passed() {
    let mut alerts = samples::many(3);
    alerts[0].severity = Severity::Low;
    alerts[1].labels.insert("team".into(), "billing".into());
    let route = Route { sink: "scripted".into(), min_severity: Severity::High, matchers: Vec::new() };
    let silence = Silence {
        matchers: vec!["team=billing".parse().unwrap()],
        starts_at: None,
        ends_at: Timestamp::MAX,
        comment: "known".into(),
    };
    let mut scene = Scene::of(vec![alerts.clone()]);
    scene.routing = Routing { routes: vec![route], silences: vec![silence] };
    let outcome = scene.play();
    assert_eq!(outcome.taken(), [alerts[2].id]);
    assert_eq!((outcome.report.not_routed, outcome.report.suppressed, outcome.committed), (1, 1, 3));
}

#[test]
fn a_log_that_cannot_be_read_or_kept_is_tried_again() {
    let alerts = samples::many(1);
    let mut scene = Scene::of(vec![alerts.clone()]);
    scene.log.batches.push_front(Err(SourceError::Other("the broker is away".into())));
    scene.log.commit_fails = 1;
    let outcome = scene.play();
    assert_eq!(outcome.taken(), ids(&alerts));
    assert_eq!((outcome.committed, outcome.report.failing), (1, None));
    assert!(outcome.report.last_error.expect("an error").1.contains("the disk is full"));
}
