//! However many engines the agents are divided among, the same alerts come out: the promise that lets a cluster grow,
//! shrink and replay.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;

use driftline_core::{Alert, Settings};
use driftline_detectors::DETECTORS;
use driftline_simulate::{Config, Simulation};
use support::Stage;

fn run(engines: usize) -> Vec<Alert> {
    let config = Config { agents: 80, events: 120_000, attacks: 60, seed: 7, tenants: 2, ..Config::default() };
    let mut simulation = Simulation::new(config).unwrap();
    let settings = Settings { level: Some(0.3), ..Settings::default() };
    let mut stage = Stage::new(engines, settings, simulation.identities());
    let mut record = Vec::new();
    while simulation.write_next(&mut record).is_some() {
        stage.observe(&record);
    }
    let busy = stage.engines.iter().filter(|engine| !engine.is_empty()).count();
    assert_eq!(busy, engines, "an engine without agents shows nothing");
    stage.into_alerts()
}

#[test]
fn one_engine_and_twelve_raise_the_same_alerts() {
    let (whole, divided) = (run(1), run(12));
    let ids = |alerts: &[Alert]| alerts.iter().map(|alert| alert.id).collect::<BTreeSet<_>>();
    let (of_one, of_twelve) = (ids(&whole), ids(&divided));
    let only = |alerts: &[Alert], others: &BTreeSet<_>| {
        let only = alerts.iter().filter(|alert| !others.contains(&alert.id));
        only.map(|alert| format!("{} {}", alert.time, alert.title)).take(5).collect::<Vec<_>>()
    };
    assert_eq!((only(&whole, &of_twelve), only(&divided, &of_one)), (Vec::new(), Vec::new()));
    assert_eq!(whole.len(), divided.len());

    assert!(of_one.len() > 500, "{} alerts are too few to show it", of_one.len());
    let detectors: BTreeSet<_> = whole.iter().map(|alert| alert.detector.as_str()).collect();
    for detector in DETECTORS {
        assert!(detectors.contains(detector.name()), "no alert of {}", detector.name());
    }
}
