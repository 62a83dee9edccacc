//! The simulation, and the engine that reads its records as it would read them from Kafka.

use std::collections::{HashMap, VecDeque};

use driftline_core::{Alert, Event, Limits, Settings, Timestamp, key};
use driftline_detectors::Solo;
use driftline_simulate::{Config, SessionLabel, Simulation};

use super::DemoError;

/// Hours of the sparkline.
const HOURS: usize = 24;

/// An alert, and what had happened when it came.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    pub alert: Alert,
    /// Events that had been read by then.
    pub events: u64,
    /// The event time of the last of them.
    pub time: Timestamp,
}

/// When an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// How many came before it.
    pub number: u64,
    pub time: Timestamp,
}

/// What the status line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub time: Timestamp,
    pub agents: usize,
    pub events: u64,
    pub total: u64,
    pub alerts: usize,
    /// Events in each of the last hours, the running one last.
    pub hours: Vec<u64>,
}

pub(super) struct Fleet {
    simulation: Simulation,
    engine: Solo,
    limits: Limits,
    record: Vec<u8>,
    alerts: Vec<Raised>,
    /// By hash of their ids: every event. For the end, when labels name events.
    seen: HashMap<u64, Seen>,
    /// What the simulation says of sessions that have ended. Not looked at before the end.
    labels: Vec<SessionLabel>,
    total: u64,
    events: u64,
    first: Option<Timestamp>,
    time: Timestamp,
    hours: VecDeque<(i64, u64)>,
}

impl Fleet {
    /// Agents that have done nothing yet, and an engine that has their identity documents and nothing else.
    pub fn new(config: Config) -> Result<Self, DemoError> {
        let (total, time) = (config.events, config.start);
        let simulation = Simulation::new(config)?;
        let engine = Solo::new(Settings::default(), simulation.identities())?;
        Ok(Self {
            simulation,
            engine,
            limits: Limits::default(),
            record: Vec::new(),
            alerts: Vec::new(),
            seen: HashMap::new(),
            labels: Vec::new(),
            total,
            events: 0,
            first: None,
            time,
            hours: VecDeque::new(),
        })
    }

    /// Goes on by up to `most` events, and stops early at an alert; says whether there are more.
    pub fn work(&mut self, most: u64) -> Result<bool, DemoError> {
        for _ in 0..most {
            let Some(written) = self.simulation.write_next(&mut self.record) else { return Ok(false) };
            let time = written.time;
            self.labels.extend(written.label);
            let event = Event::decode(&self.record, &self.limits)
                .map_err(|error| DemoError::Decode { number: self.events, error })?;
            let (_, raised) = self.engine.observe(&event)?;
            self.seen.insert(key(0, [&event.id, ""]), Seen { number: self.events, time });
            self.count(time);
            self.alerts.extend(raised.into_iter().map(|alert| Raised { alert, events: self.events, time }));
            if !self.alerts.is_empty() {
                break;
            }
        }
        Ok(true)
    }

    fn count(&mut self, time: Timestamp) {
        self.events += 1;
        self.time = time;
        self.first.get_or_insert(time);
        match self.hours.back_mut() {
            Some((hour, events)) if *hour == time.hour() => *events += 1,
            _ => self.hours.push_back((time.hour(), 1)),
        }
        if self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    /// Alerts since this was last asked.
    pub fn take_alerts(&mut self) -> Vec<Raised> {
        std::mem::take(&mut self.alerts)
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// From the first event to the last so far.
    pub fn span_ms(&self) -> i64 {
        self.time.since(self.first.unwrap_or(self.time))
    }

    /// When an event came; `None` for an id that no event had.
    pub fn seen(&self, id: &str) -> Option<Seen> {
        self.seen.get(&key(0, [id, ""])).copied()
    }

    /// Labels of all sessions, also of those that the end has cut off. To be asked once, at the end.
    pub fn labels(&mut self) -> Vec<SessionLabel> {
        let mut labels = std::mem::take(&mut self.labels);
        labels.extend(self.simulation.unfinished());
        labels
    }

    pub fn status(&self, alerts: usize) -> Status {
        let last = self.time.hour();
        let events_of = |hour| self.hours.iter().find(|(of, _)| *of == hour).map_or(0, |(_, events)| *events);
        let hours = (last + 1 - HOURS as i64..=last).map(events_of).collect();
        Status {
            time: self.time,
            agents: self.engine.engine().len(),
            events: self.events,
            total: self.total,
            alerts,
            hours,
        }
    }
}
