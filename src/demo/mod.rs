//! `driftline demo`: a simulated fleet at work, watched by the real engine, for whoever sees Driftline first.
//!
//! | file | holds |
//! | --- | --- |
//! | `fleet` | the simulation, and the engine that reads its records as it would read them from Kafka |
//! | `screen` | what is shown while it runs: alerts, days, a status line |
//! | `pace` | how fast it goes, so that people can follow |
//! | `outcome` | after the end: which attacks were caught, and which alerts were false |
//! | `report` | the table of that |
//!
//! The engine gets record bytes and identity documents, nothing else. Labels are looked at once the last alert is out.

mod fleet;
mod outcome;
mod pace;
mod report;
mod screen;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use driftline_simulate::Config;

use fleet::Fleet;
pub use outcome::{Attack, Catch, FalseAlert, Outcome};
use pace::Pace;
use screen::Screen;

/// Columns where nothing says how many there are.
const WIDTH: usize = 100;
/// Events between two looks at the clock where nobody watches.
const UNWATCHED: u64 = 10_000;

/// What is shown, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What everything is drawn from. Default 1; the same seed gives the same show.
    pub seed: u64,
    /// Registered agents, 1 or more. Default 60.
    pub agents: u64,
    /// Events. Default 200,000: some weeks of the default fleet.
    pub events: u64,
    /// Attacks staged among them, all after the first third. Default 18.
    pub attacks: u64,
    /// Columns. Default 100.
    pub width: usize,
    /// Whether ANSI colours are used. Default no.
    pub colour: bool,
    /// Whether a status line is drawn and redrawn in place, by ANSI sequences. Default no.
    pub is_terminal: bool,
    /// How long the show takes, without the 0.4 s after each alert; `None`, the default, is as fast as it goes.
    pub pace: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            agents: 60,
            events: 200_000,
            attacks: 18,
            width: WIDTH,
            colour: false,
            is_terminal: false,
            pace: None,
        }
    }
}

impl Options {
    /// How a show on standard output goes: on a terminal, with its width, a status line, a pace that people can follow,
    /// and colours unless the environment refuses them (`NO_COLOR`, `TERM=dumb`); anywhere else plain and fast.
    pub fn on_stdout() -> Self {
        let terminal = console::Term::stdout();
        let is_terminal = std::io::stdout().is_terminal();
        Self {
            width: terminal.size_checked().map_or(WIDTH, |(_, columns)| columns.into()),
            colour: is_terminal && terminal.features().colors_supported(),
            is_terminal,
            pace: is_terminal.then_some(Duration::from_secs(13)),
            ..Self::default()
        }
    }
}

/// What came of the show.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Which attacks were caught, and which alerts were false.
    pub outcome: Outcome,
    /// Events that were scored.
    pub events: u64,
    /// Event time from the first event to the last, in milliseconds.
    pub span_ms: i64,
    /// Time spent on simulating, serialising, decoding and scoring; not on pauses and drawing.
    pub busy: Duration,
}

/// Why there was no show, or it ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Nothing can be simulated from these options.
    #[error(transparent)]
    Options(#[from] driftline_simulate::ConfigError),
    /// A simulated record that the engine cannot read.
    #[error("simulated event {number} cannot be decoded: {error}; please report it with the options of this run")]
    Decode {
        /// Which, from 0.
        number: u64,
        /// What is wrong with it.
        error: driftline_core::DecodeError,
    },
    /// The demo's own control records do not follow one another.
    #[error("the demo's control log: {0}; please report it with the options of this run")]
    Control(#[from] driftline_detectors::OutOfOrder),
    /// The output cannot be written to; of kind `BrokenPipe` where its reader has gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// Shows it on `out`.
///
/// ```
/// let options = driftline::demo::Options { agents: 10, events: 2_000, attacks: 2, ..Default::default() };
/// let mut screen = Vec::new();
/// let summary = driftline::demo::run(&options, &mut screen)?;
/// assert_eq!(summary.events, 2_000);
/// assert!(String::from_utf8_lossy(&screen).contains("Staged attacks"));
/// # Ok::<(), driftline::demo::DemoError>(())
/// ```
///
/// # Errors
///
/// [`DemoError`]: the options make no sense, or the output cannot be written to.
pub fn run(options: &Options, out: &mut impl Write) -> Result<Summary, DemoError> {
    let config = Config {
        agents: options.agents,
        events: options.events,
        attacks: options.attacks,
        seed: options.seed,
        ..Config::default()
    };
    let mut fleet = Fleet::new(config)?;
    let mut screen = Screen::new(options, out);
    screen.header()?;
    let summary = watch(&mut fleet, &mut screen, options)?;
    report::write(&summary, options, screen.end()?)?;
    Ok(summary)
}

/// The show itself: some events, then what came of them, until there are no more.
fn watch(fleet: &mut Fleet, screen: &mut Screen<'_, impl Write>, options: &Options) -> Result<Summary, DemoError> {
    let mut pace = options.pace.map(|show| Pace::new(show, options.events));
    let mut raised = Vec::new();
    let mut busy = Duration::ZERO;
    loop {
        let started = Instant::now();
        let goes_on = fleet.work(pace.as_ref().map_or(UNWATCHED, Pace::frame))?;
        busy += started.elapsed();
        let new = fleet.take_alerts();
        for alert in &new {
            if screen.alert(&alert.alert)?
                && let Some(pace) = &mut pace
            {
                pace.hold();
                screen.status(&fleet.status(raised.len() + new.len()))?;
            }
        }
        raised.extend(new);
        screen.status(&fleet.status(raised.len()))?;
        if !goes_on {
            break;
        }
        if let Some(pace) = &pace {
            pace.wait(fleet.events());
        }
    }
    let (span_ms, events) = (fleet.span_ms(), fleet.events());
    Ok(Summary { outcome: outcome::judge(&fleet.labels(), &raised, fleet), events, span_ms, busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(options: &Options) -> (String, Summary) {
        let mut out = Vec::new();
        let summary = run(options, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), summary)
    }

    /// What depends on the machine: a duration, and the rate that comes of it.
    fn without_timings(text: &str) -> String {
        let line = |line: &str| match line.split_once(" on one core in ") {
            Some((before, _)) => format!("{before} on one core in …"),
            None => line.to_owned(),
        };
        text.lines().map(|text| line(text) + "\n").collect()
    }

    fn tiny() -> Options {
        Options { agents: 12, events: 20_000, attacks: 6, ..Options::default() }
    }

    #[test]
    fn a_whole_show_on_no_terminal() {
        insta::assert_snapshot!(without_timings(&show(&tiny()).0));
    }

    #[test]
    fn two_shows_of_one_seed_are_the_same_and_of_another_not() {
        let (first, second) = (show(&tiny()), show(&tiny()));
        assert_eq!(without_timings(&first.0), without_timings(&second.0));
        assert_eq!(first.1.outcome, second.1.outcome);
        assert_ne!(without_timings(&show(&Options { seed: 2, ..tiny() }).0), without_timings(&first.0));
    }

    #[test]
    fn pace_and_terminal_change_nothing_but_how_it_is_shown() {
        let plain = show(&tiny()).1;
        let on_terminal =
            show(&Options { is_terminal: true, colour: true, pace: Some(Duration::from_millis(50)), ..tiny() });
        assert_eq!(on_terminal.1.outcome, plain.outcome);
        assert_eq!((on_terminal.1.events, on_terminal.1.span_ms), (plain.events, plain.span_ms));
        assert!(on_terminal.0.contains("\r\u{1b}["), "no status line");
    }

    #[test]
    fn a_fleet_that_cannot_be_is_refused_with_the_range() {
        let error = run(&Options { agents: 0, ..Options::default() }, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("1 to"), "{error}");
    }
}
