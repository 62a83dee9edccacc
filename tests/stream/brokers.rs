//! The broker is killed and started again under load: the process stays up, tells, and goes on.

use driftline_ingest::testing::own_broker;

use crate::instance::{Stream, asked_for};
use crate::load::Load;

/// `DRIFTLINE_BROKER_KILLS=10` makes it a longer one.
#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let Some(broker) = own_broker() else { return };
    let stream = Stream::new(broker, "brokers");
    let kills = asked_for("DRIFTLINE_BROKER_KILLS", 3);
    let load = Load::start(&stream, kills * 60_000, 2_000);
    let mut instance = stream.run("one", "");
    for _ in 0..kills {
        let scored = instance.metric("driftline_events_total");
        instance.wait("events", |it| it.metric("driftline_events_total") >= scored + 2_000.0);
        broker.kill();
        instance.wait("it to tell", |it| it.get("/readyz").contains("no broker can be reached"));
        broker.resume();
        instance.wait("it to be ready again", |it| it.get("/readyz").contains("\"ready\":true"));
    }
    stream.await_commit(load.end());
    instance.stop();
    stream.prove("broker killed and started again", kills);
}
