//! One engine over a whole stream, which makes its clock and epochs itself: what the leader does of several instances.

use driftline_core::{Alert, Change, ControlRecord, Event, IdentityDocument, Settings, Timestamp};

use crate::conductor::Conductor;
use crate::engine::{Engine, Scored};
use crate::warm::History;
use crate::world::OutOfOrder;

/// See the module.
///
/// ```
/// use driftline_core::{Event, Limits, Settings};
/// use driftline_detectors::Solo;
///
/// let mut solo = Solo::new(Settings::default(), [])?;
/// let record = br#"{"time": 1772439084715, "agent": {"id": "a"}, "action": {"name": "look"}}"#;
/// let (scored, alerts) = solo.observe(&Event::decode(record, &Limits::default())?)?;
/// assert!(!scored.repeated);
/// assert_eq!(alerts.len(), 1, "the tenant has no identity documents");
/// assert_eq!(solo.engine().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Solo {
    engine: Engine,
    conductor: Conductor,
    highest: Timestamp,
}

impl Solo {
    /// An engine that knows the settings and these identity documents, and no agent yet.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] where its own control records do not follow one another, which is a defect.
    pub fn new(settings: Settings, documents: impl IntoIterator<Item = IdentityDocument>) -> Result<Self, OutOfOrder> {
        let (engine, conductor) = (Engine::default(), Conductor::default());
        let mut solo = Self { engine, conductor, highest: Timestamp::MIN };
        solo.decree(Change::Settings { settings })?;
        for document in documents {
            solo.decree(Change::Identity { document: Box::new(document) })?;
        }
        Ok(solo)
    }

    /// Has a change hold from here on; returns what is raised about many.
    ///
    /// # Errors
    ///
    /// As [`Solo::new`].
    pub fn decree(&mut self, change: Change) -> Result<Vec<Alert>, OutOfOrder> {
        let record = self.conductor.record(change);
        self.apply(&record)
    }

    fn apply(&mut self, record: &ControlRecord) -> Result<Vec<Alert>, OutOfOrder> {
        let (control, about_many) = self.conductor.fold(record)?;
        self.engine.apply(&control);
        Ok(about_many)
    }

    /// Scores an event, then moves the clock and closes the hour where it has come that far; with what is raised.
    ///
    /// # Errors
    ///
    /// As [`Solo::new`].
    pub fn observe(&mut self, event: &Event<'_>) -> Result<(Scored, Vec<Alert>), OutOfOrder> {
        let scored = self.engine.observe(event);
        self.highest = self.highest.max(event.time);
        let mut alerts = Vec::new();
        if let Some(clock) = self.conductor.clock(self.highest) {
            alerts.extend(self.apply(&clock)?);
            if self.conductor.hour_is_over() {
                let epoch = self.conductor.epoch(self.engine.take_contribution());
                alerts.extend(self.apply(&epoch)?);
            }
        }
        alerts.extend(self.engine.take_alerts());
        Ok((scored, alerts))
    }

    /// Has the agents of a published baseline known, as though all that it was built from had been observed and all sessions
    /// had ended; returns what is raised about many.
    ///
    /// # Errors
    ///
    /// As [`Solo::new`].
    pub fn begin_with(&mut self, history: &History) -> Result<Vec<Alert>, OutOfOrder> {
        let about_many = self.apply(&self.conductor.baseline(history, None))?;
        self.engine.take_up(history, |_, _| true);
        Ok(about_many)
    }

    /// Ends all sessions where they are ([`Engine::end_all_sessions`]).
    pub fn end_all_sessions(&mut self) {
        self.engine.end_all_sessions();
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
