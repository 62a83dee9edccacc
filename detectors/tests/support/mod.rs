//! The engine driven as the program drives it: events in the order of the stream, a clock record a minute, an epoch an
//! hour, both made by one [`Conductor`] from what all engines have read.

use driftline_core::{Alert, Change, Event, IdentityDocument, Limits, Settings, Timestamp, key};
use driftline_detectors::{Conductor, Engine, Scored};

/// One engine or several, among which agents are divided, under one control log.
pub struct Stage {
    pub engines: Vec<Engine>,
    pub conductor: Conductor,
    highest: Timestamp,
    limits: Limits,
    alerts: Vec<Alert>,
}

impl Stage {
    pub fn new(engines: usize, settings: Settings, documents: impl IntoIterator<Item = IdentityDocument>) -> Self {
        let mut stage = Self {
            engines: (0..engines).map(|_| Engine::default()).collect(),
            conductor: Conductor::default(),
            highest: Timestamp::MIN,
            limits: settings.limits.clone(),
            alerts: Vec::new(),
        };
        stage.change(Change::Settings { settings });
        for document in documents {
            stage.change(Change::Identity { document: Box::new(document) });
        }
        stage
    }

    /// Writes a control record, and has every engine take it up.
    pub fn change(&mut self, change: Change) {
        let record = self.conductor.record(change);
        let (control, about_many) = self.conductor.fold(&record).unwrap();
        self.alerts.extend(about_many);
        for engine in &mut self.engines {
            engine.apply(&control);
            self.alerts.extend(engine.take_alerts());
        }
    }

    /// Has a record scored by the engine that has its agent, then moves the clock if it is due.
    pub fn observe(&mut self, record: &[u8]) -> Scored {
        let event = Event::decode(record, &self.limits).unwrap();
        let at = key(0, [&event.agent.id, ""]) as usize % self.engines.len();
        let scored = self.engines[at].observe(&event);
        self.alerts.extend(self.engines[at].take_alerts());
        self.highest = self.highest.max(event.time);
        if let Some(clock) = self.conductor.clock(self.highest) {
            self.change(clock.change);
            if self.conductor.hour_is_over() {
                let mut contributed = self.engines[0].take_contribution();
                self.engines[1..].iter_mut().for_each(|engine| contributed.merge(engine.take_contribution()));
                let epoch = self.conductor.epoch(contributed);
                self.change(epoch.change);
            }
        }
        scored
    }

    /// All alerts so far, those about many agents too.
    pub fn into_alerts(mut self) -> Vec<Alert> {
        self.engines.iter_mut().for_each(|engine| self.alerts.extend(engine.take_alerts()));
        self.alerts
    }
}
