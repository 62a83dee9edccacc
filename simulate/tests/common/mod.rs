//! A simulation with its labels, for the tests to look at.

use std::collections::BTreeMap;

use driftline_core::{Event, Limits};
use driftline_simulate::{Config, SessionLabel, Simulation};

/// All records of a simulation and the labels of all sessions.
pub struct Run {
    pub records: Vec<Vec<u8>>,
    pub labels: Vec<SessionLabel>,
}

impl Run {
    pub fn of(config: Config) -> Self {
        let mut simulation = Simulation::new(config).unwrap();
        let (mut records, mut labels) = (Vec::new(), Vec::new());
        for event in &mut simulation {
            records.push(event.record);
            labels.extend(event.label);
        }
        labels.extend(simulation.unfinished());
        Self { records, labels }
    }

    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.records.iter().map(|record| Event::decode(record, &Limits::default()).unwrap())
    }

    /// Labels by their session.
    #[allow(dead_code, reason = "not every test file asks for it")]
    pub fn by_session(&self) -> BTreeMap<&str, &SessionLabel> {
        self.labels.iter().map(|label| (label.session.as_str(), label)).collect()
    }
}
