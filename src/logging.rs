//! Logs, to standard error: text for people or JSON for machines.
//!
//! What the log quotes comes from outside: in text, control characters and characters that reorder or hide text are
//! shown as `\u{…}`, so that a record can neither forge a line nor speak to the terminal. JSON escapes by itself.

mod throttle;

use std::io::IsTerminal;

use driftline_core::terminal;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::{MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{Log, LogFormat};
use throttle::Throttle;

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("{origin} = `{given}` says not what to log: {message}; give error, warn, info, debug or trace")]
    Filter {
        /// Where it stands: `RUST_LOG` or `log.level`.
        origin: &'static str,
        /// As it was given.
        given: String,
        /// What is wrong with it.
        message: String,
    },
    /// Logging is set up already.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}

/// Sends what is logged from now on, in this process, to standard error. The variable `RUST_LOG` goes before
/// `log.level`.
///
/// # Errors
///
/// [`LogError`] where the filter cannot be read, or logging is set up already.
pub fn init(log: &Log) -> Result<(), LogError> {
    #[expect(clippy::disallowed_methods, reason = "RUST_LOG is how Rust programs are asked to say more")]
    let variable = std::env::var("RUST_LOG").ok();
    let filter = filter(variable.as_deref(), &log.level)?;
    subscriber(log.format, filter, std::io::stderr().is_terminal(), std::io::stderr).try_init()?;
    Ok(())
}

fn filter(variable: Option<&str>, level: &str) -> Result<EnvFilter, LogError> {
    let (origin, given) = match variable.filter(|given| !given.is_empty()) {
        Some(given) => ("RUST_LOG", given),
        None => ("log.level", level),
    };
    EnvFilter::try_new(given).map_err(|error| LogError::Filter {
        origin,
        given: given.to_owned(),
        message: error.to_string(),
    })
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish().with(Throttle::default())),
        LogFormat::Text => {
            let fields = format::debug_fn(|out, field, value| {
                let text = format!("{value:?}");
                match field.name() {
                    "message" => write!(out, "{}", terminal(&text)),
                    name => write!(out, "{name}={}", terminal(&text)),
                }
            });
            Box::new(builder.fmt_fields(fields.delimited(" ")).finish().with(Throttle::default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of an agent whose name is an attack.
    fn logged(format: LogFormat, level: &str) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, filter(None, level).unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            let agent = "a\u{1b}[2J\n2026-03-02T00:00:00Z  INFO all is well \u{202e}";
            tracing::warn!(agent = %agent, quoted = agent, "agent {agent} was turned away");
            tracing::debug!("a detail");
        });
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_record_can_neither_forge_a_line_nor_speak_to_the_terminal() {
        let text = logged(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN") && text.contains("agent=a\\u{1b}[2J\\u{a}2026"), "{text}");
        assert!(text.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(line["agent"].as_str().unwrap().contains("\u{1b}[2J\n"), "{line}");
    }

    #[test]
    fn librdkafka_says_the_same_once_and_others_as_often_as_they_like() {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(LogFormat::Text, filter(None, "info").unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..100 {
                tracing::warn!(target: "librdkafka", "connection {n} refused");
                tracing::warn!("record {n} refused");
            }
        });
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!((lines("connection"), lines("record")), (1, 100));
    }

    #[test]
    fn the_level_decides_and_the_variable_goes_before_it() {
        assert!(!logged(LogFormat::Text, "info").contains("a detail"));
        assert!(logged(LogFormat::Text, "debug").contains("a detail"));
        assert_eq!(filter(Some("trace"), "info").unwrap().to_string(), "trace");
        assert_eq!(filter(Some(""), "info").unwrap().to_string(), "info");
        let error = filter(Some("a=b=c"), "info").unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG = `a=b=c`"), "{error}");
    }
}
