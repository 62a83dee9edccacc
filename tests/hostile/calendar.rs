//! Leap days, clocks that are put forward and back, and the turn of a year change nothing: time is counted in UTC.

use std::path::Path;

use driftline_core::Timestamp;
use serde_json::Value;

use crate::program::{driftline, lines};

const DAY: i64 = 24 * 3_600_000;

/// What a replay of these events says: of each alert what it is about, without times and what follows from them.
fn alerts(folder: &Path, events: &[Value]) -> Vec<Value> {
    let text: String = events.iter().map(|event| event.to_string() + "\n").collect();
    std::fs::write(folder.join("events"), text).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (events, alerts) = (path("events"), path("alerts"));
    let ended = driftline(folder, &["replay", &events, "--alerts", &alerts, "--level", "0.5"]);
    assert!(ended.status.success(), "{}", ended.said);
    assert!(ended.said.contains(" 0 dead letters, 0 repeats"), "{}", ended.said);
    let about =
        ["detector", "kind", "basis", "severity", "title", "risk", "p_value", "e_value", "agent", "session", "events"];
    lines(alerts.as_ref()).iter().map(|alert| about.map(|field| alert[field].clone()).to_vec().into()).collect()
}

/// Four weeks of a small company, from a Monday on.
fn simulated(folder: &Path) -> Vec<Value> {
    let out = folder.join("simulated").to_str().unwrap().to_owned();
    let ended =
        driftline(folder, &["simulate", "--agents", "20", "--events", "30000", "--attacks", "20", "--out", &out]);
    assert!(ended.status.success(), "{}", ended.said);
    lines(out.as_ref())
}

/// Every time in an event, written anew.
fn each_time(value: &mut Value, write: &dyn Fn(Timestamp) -> Value) {
    match value {
        Value::String(text) => {
            if text.len() >= "2026-03-02T00:00:00Z".len()
                && let Ok(time) = text.parse::<Timestamp>()
            {
                *value = write(time);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_time(item, write)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_time(field, write)),
        _ => {}
    }
}

fn written(events: &[Value], write: &dyn Fn(Timestamp) -> Value) -> Vec<Value> {
    let mut events = events.to_vec();
    events.iter_mut().for_each(|event| each_time(event, write));
    events
}

#[test]
fn events_over_a_leap_day_say_what_they_say_at_any_other_time() {
    let folder = tempfile::tempdir().unwrap();
    let events = simulated(folder.path());
    let time = |event: &Value| event["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let (first, last) = (time(&events[0]), time(&events[events.len() - 1]));
    let expected = alerts(folder.path(), &events);
    assert!(expected.len() >= 10, "{} alerts", expected.len());
    // Leap days (one in a century), a leap second, clocks put forward and back, a turn of the year. Whole weeks away, since
    // what is usual on a Monday is not on a Sunday; and in the past, for what is in the future is another matter.
    let days = ["2024-02-29", "2000-02-29", "2016-12-31", "2025-03-30", "2025-10-26", "2025-01-01"];
    for day in days {
        let middle = first.millis() + last.since(first) / 2;
        let day: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        let weeks = (day.millis() - middle).div_euclid(7 * DAY);
        let moved = written(&events, &|time| time.plus_millis(weeks * 7 * DAY).to_string().into());
        assert!(time(&moved[0]) < day && day < time(&moved[events.len() - 1]), "it is in between");
        assert!(alerts(folder.path(), &moved) == expected, "{day}");
    }
}

#[test]
fn clocks_that_are_put_forward_and_back_are_a_matter_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let events = simulated(folder.path());
    let expected = alerts(folder.path(), &events);
    // As in Berlin: from +01:00 to +02:00 in the middle of it, and back; an hour is then twice on the clock, and one is never.
    let turn = "2026-03-08T01:00:00Z".parse::<Timestamp>().unwrap();
    for (before, after) in [(1, 2), (2, 1)] {
        let local = written(&events, &|time| {
            let hours = if time < turn { before } else { after };
            let clock = time.plus_millis(hours * 3_600_000).to_string();
            format!("{}+0{hours}:00", clock.strip_suffix('Z').unwrap()).into()
        });
        assert_ne!(local, events);
        assert!(alerts(folder.path(), &local) == expected);
    }
    let millis = written(&events, &|time| time.to_string().into());
    let millis: Vec<Value> = millis
        .into_iter()
        .map(|mut event| {
            event["time"] = event["time"].as_str().unwrap().parse::<Timestamp>().unwrap().millis().into();
            event
        })
        .collect();
    assert!(alerts(folder.path(), &millis) == expected);
}
