//! Keeps librdkafka's own log from flooding: while a broker is away, each of its clients says so again and again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The same is said once in so long.
const INTERVAL: Duration = Duration::from_secs(30);
/// Most events that are told apart; their texts come from outside.
const MOST: usize = 256;
/// As much of a text tells events apart.
const CHARACTERS: usize = 160;

/// A layer that passes each event of librdkafka's once in half a minute, and everything else untouched. Texts that differ in
/// numbers only (a port, how often it has failed) are the same event.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<String, Instant>>);

impl Throttle {
    fn passes(&self, text: &str, now: Instant) -> bool {
        let event: String = text.chars().filter(|c| !c.is_ascii_digit()).take(CHARACTERS).collect();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&event).is_some_and(|at| now.saturating_duration_since(*at) < INTERVAL) {
            return false;
        }
        if told.len() >= MOST {
            told.clear();
        }
        told.insert(event, now);
        true
    }
}

impl<S: Subscriber> Layer<S> for Throttle {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let mut said = Said { target: event.metadata().target().to_owned(), message: String::new() };
        event.record(&mut said);
        !said.is_librdkafkas() || self.passes(&said.message, Instant::now())
    }
}

/// What an event says, and who.
struct Said {
    target: String,
    message: String,
}

impl Said {
    fn is_librdkafkas(&self) -> bool {
        self.target.starts_with("librdkafka") || self.target.starts_with("rdkafka")
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        // What comes by way of the `log` crate has its target among its fields.
        match field.name() {
            "log.target" => value.clone_into(&mut self.target),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_said_again_after_half_a_minute() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let text = |n: u32| format!("127.0.0.1:{n}: connection refused ({n} identical)");
        assert!(throttle.passes(&text(1), now));
        assert!((2..1000).all(|n| !throttle.passes(&text(n), now + INTERVAL / 2)));
        assert!(throttle.passes("another", now) && throttle.passes(&text(1), now + INTERVAL));
    }

    #[test]
    fn texts_from_outside_do_not_fill_the_memory() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..10_000 {
            throttle.passes(&"x".repeat(n), now);
        }
        assert!(throttle.0.lock().unwrap().len() <= MOST);
    }
}
