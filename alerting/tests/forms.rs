//! What people read, for realistic alerts.
#![cfg(test)]

mod support;

use driftline_alerting::group::Group;
use driftline_alerting::sinks::Sink;
use driftline_alerting::sinks::slack::Slack;
use driftline_alerting::terminal::Terminal;
use driftline_core::Alert;
use serde_json::Value;
use std::time::Duration;
use support::samples;
use support::server::OtherSide;

fn named() -> [(&'static str, Alert); 4] {
    [
        ("hijacked", samples::hijacked()),
        ("escalation", samples::escalation()),
        ("shadow", samples::shadow()),
        ("unregistered", samples::unregistered()),
    ]
}

/// The messages as they arrive at Slack.
fn slack(send: impl FnOnce(&mut Slack)) -> Value {
    let other_side = OtherSide::new([]);
    let mut sink = Slack::new("slack", other_side.url("/x").into(), Duration::from_secs(60)).expect("a webhook");
    send(&mut sink);
    other_side.bodies().into()
}

#[test]
fn on_a_terminal() {
    for (name, alert) in named() {
        insta::assert_snapshot!(format!("terminal_{name}"), Terminal { width: 110, colour: false }.render(&alert));
    }
    let narrow = Terminal { width: 60, colour: true }.render(&samples::hijacked());
    insta::assert_snapshot!("terminal_narrow_in_colour", narrow.replace('\u{1b}', "␛"));
}

#[test]
fn in_slack() {
    for (name, alert) in named() {
        let message = slack(|sink| sink.send(&[alert.into()]).expect("taken"));
        insta::assert_json_snapshot!(format!("slack_{name}"), message);
    }
}

#[test]
fn in_slack_as_a_digest_and_plain() {
    let mut groups: Vec<Group> = samples::all().into_iter().map(Group::from).collect();
    groups[0].repeats = vec![groups[1].alert.id, groups[2].alert.id];
    let messages = slack(|sink| {
        sink.send(&groups).expect("taken");
        sink.send_plain(&groups).expect("taken");
        sink.send(&groups[..1]).expect("taken");
    });
    insta::assert_json_snapshot!("slack_digest", messages[0]);
    insta::assert_json_snapshot!("slack_plain", messages[1]);
    insta::assert_json_snapshot!("slack_repeats", messages[2]["blocks"].as_array().expect("blocks").last());
}
