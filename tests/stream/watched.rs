//! What people see of a run: every query of every panel and rule is put to a Prometheus that looks at it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use driftline_ingest::kafka::{OutRecord, Producer};
use driftline_ingest::testing::broker;
use serde_json::Value;

use crate::dashboards::{Panel, annotations, choices, panels, rules, selectors};
use crate::instance::Stream;
use crate::prometheus::{Prometheus, has_numbers, is_installed};

#[test]
fn every_query_of_the_dashboards_and_rules_gives_something() {
    let Some(broker) = broker() else { return };
    if !is_installed("prometheus") {
        return;
    }
    let stream = Stream::new(broker, "watched");
    stream.simulate(&["--agents", "60", "--events", "20000", "--attacks", "10"]);
    let sink = format!(
        "[[slack]]\nname = \"security\"\nwebhook = \"http://{}/hook\"\nmin_severity = \"info\"\nrate = \"50/second\"\n",
        takes_everything()
    );
    let mut instance = stream.run("one", &sink);
    let folder = tempfile::tempdir().unwrap();
    let mut prometheus = Prometheus::start(folder.path(), instance.address());
    let mut producer = Producer::new(&broker.settings()).unwrap();
    for i in 0..10 {
        producer.send(&OutRecord::new(stream.topic("events"), format!("bad-{i}"), "no event")).unwrap();
    }
    producer.flush().unwrap();
    // At a pace, so that there are rates while it lasts.
    stream.simulate(&[
        "--agents",
        "60",
        "--events",
        "20000",
        "--attacks",
        "10",
        "--seed",
        "2",
        "--rate",
        "2000/second",
    ]);
    instance.wait("all records read", |it| it.metric("driftline_records_total") >= 40_010.0 && it.has_read_all());
    prometheus.wait("the last of them", |it| it.value("sum(driftline_records_total)") >= Some(40_010.0));
    prometheus.wait("a series of an agent with alerts", |it| it.value(MOST_ALERTED).is_some());
    prometheus.wait("alerts that were delivered", |it| {
        it.value("driftline_sink_alerts_total{outcome=\"delivered\"}").unwrap_or(0.0) > 0.0
    });

    let agent = prometheus.query(MOST_ALERTED).unwrap()[0]["metric"].clone();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for Panel { board, title, queries, .. } in panels().into_iter().chain(annotations()) {
        for query in queries {
            asked += 1;
            let expr = filled_in(&query, &agent);
            // Driftline's own alerts, which nothing here is to raise.
            let may_be_empty = expr.contains("ALERTS");
            match prometheus.query_range(&expr) {
                Err(error) => wrong.push(format!("{board} / {title}: {expr}: {error}")),
                Ok(series) if !has_numbers(&series) && !may_be_empty => {
                    wrong.push(format!("{board} / {title}: {expr}: nothing"));
                }
                Ok(_) => {}
            }
        }
    }
    // An alert's expression gives nothing where all is well: what it looks at must be there.
    let looked_at = ["recording.yml", "alerts.yml"].into_iter().flat_map(rules).flat_map(|rule| selectors(&rule.expr));
    for selector in looked_at.chain(choices()) {
        asked += 1;
        let selector = filled_in(&selector, &agent);
        if prometheus.query_range(&selector).unwrap().is_empty() {
            wrong.push(format!("a rule or a choice looks at {selector}, which is not there"));
        }
    }
    for rule in prometheus.rules() {
        if rule["health"] != "ok" || rule["state"] == "firing" {
            wrong.push(format!("{}: {} {}", rule["name"], rule["state"], rule["lastError"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 100, "{asked} queries");
    println!("{asked} queries, each with an answer");
    instance.stop();
}

/// The agent that has had most alerts since it has a series.
const MOST_ALERTED: &str = "topk(1, increase(driftline_agent_alerts_total{agent!=\"other\"}[5m]) > 0)";

/// What not every agent has that there are alerts of: that some agent has it must do.
const OF_FEW: [&str; 2] = ["driftline_agent_change_timestamp_seconds", "driftline_agent_tool_change_ratio"];

/// A query as Grafana would send it.
fn filled_in(expr: &str, agent: &Value) -> String {
    let is_of_few = OF_FEW.iter().any(|metric| expr.contains(metric));
    let expr = if is_of_few { expr.replace("agent=\"$agent\"", "agent!=\"other\"") } else { expr.to_owned() };
    let filled = expr.replace("$tenant", agent["tenant"].as_str().unwrap_or_default());
    let filled = filled.replace("$agent", agent["agent"].as_str().unwrap_or_default());
    let filled = filled.replace("$__rate_interval", "10s").replace("$__range", "10m");
    assert!(!filled.contains('$'), "a variable that the test does not know: {filled}");
    filled
}

/// The address of a webhook that takes whatever is posted, until the process ends.
fn takes_everything() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 1 << 16];
            // Whoever has gone away wants no answer.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    address
}
