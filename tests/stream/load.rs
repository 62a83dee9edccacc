//! Events that come while a test goes on, at a steady rate.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_ingest::kafka::{Admin, OutRecord, Producer, TopicSpec};
use serde_json::Value;

use crate::instance::{PARTITIONS, Stream};

/// Events are sent in so many lots a second.
const LOTS: u32 = 50;

/// A producer on a thread of its own.
pub struct Load {
    sent: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to write simulated events to a stream's source: `events` at most, so many a second.
    pub fn start(stream: &Stream, events: u32, a_second: u32) -> Self {
        let (file, identities) = (stream.path("load.ndjson"), stream.path("identities"));
        let (agents, attacks) = ((events / 500).max(20).to_string(), (events / 1_000).to_string());
        stream.driftline(&[
            "simulate",
            "--agents",
            &agents,
            "--events",
            &events.to_string(),
            "--attacks",
            &attacks,
            "--identities",
            identities.to_str().unwrap(),
            "--out",
            file.to_str().unwrap(),
        ]);
        stream.make_source();
        let (sent, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let topic = stream.topic("events");
        let mut producer = Producer::new(&stream.broker.settings()).unwrap();
        let thread = {
            let (sent, is_over) = (sent.clone(), is_over.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(File::open(file).unwrap()).lines();
                let started = Instant::now();
                for lot in 1.. {
                    for line in lines.by_ref().take((a_second / LOTS) as usize) {
                        let line = line.unwrap();
                        let event: Value = serde_json::from_str(&line).unwrap();
                        let agent = event["agent"]["id"].as_str().unwrap().to_owned();
                        producer.send(&OutRecord::new(topic.clone(), agent, line)).unwrap();
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    if is_over.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) >= events {
                        break;
                    }
                    let due = started + Duration::from_secs(1) / LOTS * lot;
                    std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
                }
                producer.flush().unwrap();
            })
        };
        Self { sent, is_over, thread: Some(thread) }
    }

    /// Writes no more; how many events there are.
    pub fn end(mut self) -> u32 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Stream {
    /// Makes the source's topic, empty.
    pub fn make_source(&self) {
        let partitions = i32::try_from(PARTITIONS).unwrap();
        let spec = TopicSpec { name: self.topic("events"), partitions, replication: Some(1), config: Vec::new() };
        Admin::new(&self.broker.settings()).unwrap().create(&spec).unwrap();
    }

    /// Writes an event of an agent, into the partition that it belongs to: `events` are numbered, so that none is another's
    /// repeat.
    pub fn write_events(&self, events: impl IntoIterator<Item = (String, u32)>) {
        let mut producer = Producer::new(&self.broker.settings()).unwrap();
        let topic: Arc<str> = self.topic("events").into();
        for (agent, number) in events {
            let event = format!(
                r#"{{"time":{},"agent":{{"id":"{agent}"}},"session":{{"id":"{agent}-{}"}},"action":{{"name":"tool-{}"}}}}"#,
                1_772_409_600_000u64 + u64::from(number) * 1000,
                number / 8,
                number % 5,
            );
            producer.send(&OutRecord::new(topic.clone(), agent, event)).unwrap();
        }
        producer.flush().unwrap();
    }
}
