//! The readers of what comes from outside, called directly: with all that the generator makes, and with arbitrary bytes.

use std::collections::BTreeMap;

use driftline_core::{Event, Limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::generator::{Expected, Generator};
use crate::{records, targets};

#[test]
fn decoding_does_what_the_contract_says_of_each_record() {
    let mut wrong = BTreeMap::<String, usize>::new();
    for record in Generator::records(1, records(50_000)) {
        let found = match Event::decode(&record.bytes, &Limits::default()) {
            Ok(event) => {
                assert_eq!(event.id.as_str(), record.id, "{}", record.what);
                Expected::Scored
            }
            Err(error) => Expected::DeadLetter(error.reason()),
        };
        if found != record.expected {
            *wrong.entry(format!("{}: {found:?} instead of {:?}", record.what, record.expected)).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bytes of no kind, and a good input with some of it overwritten, taken out or said again.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let place = any::<prop::sample::Index>();
    let change = (place.clone(), place, prop::collection::vec(any::<u8>(), 0..8), 0..4u8);
    let changed =
        (prop::sample::select(seeds), prop::collection::vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
            for (from, to, with, how) in changes {
                let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
                let (from, to) = (from.min(to), from.max(to));
                match how {
                    0 => drop(bytes.splice(from..to.min(from + with.len()), with)),
                    1 => drop(bytes.drain(from..to)),
                    2 => bytes.truncate(to),
                    _ => {
                        let again = bytes[from..to].to_vec();
                        drop(bytes.splice(from..from, again));
                    }
                }
            }
            bytes
        });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 9 => changed]
}

/// Every reader of bytes is tried with so many inputs made from good ones.
fn try_all(target: fn(&[u8]), seeds: &[impl AsRef<[u8]>]) {
    let cases = u32::try_from(records(20_000)).unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let seeds = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    let outcome = runner.run(&mutated(seeds), |bytes| {
        target(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn no_bytes_crash_the_decoder() {
    let record = Generator::new(1).event().to_string();
    let escaped = record.replace('a', r"\u0061");
    let least = r#"{"time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#;
    try_all(targets::event, &[&*record, &escaped, least]);
}

#[test]
fn no_bytes_crash_the_configuration() {
    try_all(targets::configuration, &[targets::CONFIGURATION]);
}

#[test]
fn no_bytes_crash_the_identity_document() {
    try_all(targets::identity, &targets::IDENTITIES);
}

#[test]
fn no_bytes_crash_the_control_log() {
    try_all(targets::control, &targets::CONTROLS);
}

#[test]
fn no_bytes_crash_the_dump() {
    try_all(targets::dump, &targets::DUMPS);
}

#[test]
fn no_bytes_crash_the_state() {
    let whole = targets::framed();
    targets::state(&whole);
    try_all(targets::state, &[whole]);
}
