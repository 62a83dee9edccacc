//! What is shown while it runs: alerts, days, a status line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use driftline_alerting::terminal::Terminal;
use driftline_core::{Alert, Severity, Timestamp, terminal, truncate};
use textwrap::core::display_width;

use super::Options;
use super::fleet::Status;
use super::report::number;

/// Alerts that are shown in full; more than that nobody reads.
const IN_FULL: usize = 25;
/// Causes whose repeats are named at the end.
const REPEATED: usize = 6;
/// Columns of what has been done of the whole.
const BAR: usize = 12;
/// Between two parts of the status line.
const GAP: &str = "  ";
const DAY_MILLIS: i64 = 86_400_000;

const TITLE: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const DIM: Style = Style::new().dimmed();
const BUSY: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));

/// The output, and what stands on it.
pub(super) struct Screen<'o, W> {
    out: &'o mut W,
    options: Options,
    /// The last day that has a heading.
    day: Option<Timestamp>,
    /// Alerts in full so far.
    in_full: usize,
    /// By fingerprint: every cause so far.
    causes: BTreeMap<String, Cause>,
    /// Agent and session of the last alert in full, and its severity.
    last: Option<(String, String, Severity)>,
}

/// What alerts of one fingerprint have in common.
struct Cause {
    title: String,
    is_shown: bool,
    /// Alerts after the first.
    repeats: usize,
}

impl<'o, W: Write> Screen<'o, W> {
    pub fn new(options: &Options, out: &'o mut W) -> Self {
        Self { out, options: options.clone(), day: None, in_full: 0, causes: BTreeMap::new(), last: None }
    }

    /// What is going to be seen.
    pub fn header(&mut self) -> io::Result<()> {
        let Options { agents, events, attacks, seed, .. } = self.options;
        let title = format!(
            "Driftline demo: {} simulated AI agents at work, {} events, {} staged attacks (seed {seed})",
            number(agents),
            number(events),
            number(attacks),
        );
        let about = "Every event is a JSON record that the engine of `driftline run` decodes and scores. It has the agents' \
                     identity documents and no labels; it learns what is usual from what it sees. Attacks begin after \
                     the first third.";
        self.lines(TITLE, &title)?;
        self.lines(DIM, about)
    }

    /// Shows an alert: in full, or in a line where it adds to one about the same session. A repeat of the same cause,
    /// or one too many, is only counted. Says whether it is shown in full.
    pub fn alert(&mut self, alert: &Alert) -> io::Result<bool> {
        if let Some(cause) = self.causes.get_mut(&alert.fingerprint) {
            cause.repeats += 1;
            return Ok(false);
        }
        let is_shown = self.in_full < IN_FULL;
        let cause = Cause { title: alert.title.clone(), is_shown, repeats: 0 };
        self.causes.insert(alert.fingerprint.clone(), cause);
        if !is_shown {
            return Ok(false);
        }
        self.heading(alert.time)?;
        if self.adds_to_last(alert) {
            let line = format!("     +  {}: {}", alert.severity.as_str(), alert.title);
            let line = self.paint(DIM, &terminal(&truncate(&line, self.options.width)));
            writeln!(self.out, "{line}\n")?;
            return Ok(false);
        }
        self.in_full += 1;
        self.last = session(alert).map(|(agent, session)| (agent.to_owned(), session.to_owned(), alert.severity));
        let text = Terminal { width: self.options.width, colour: self.options.colour }.render(alert);
        writeln!(self.out, "{text}")?;
        Ok(true)
    }

    /// Whether the last alert in full was about the same session, and no less severe.
    fn adds_to_last(&self, alert: &Alert) -> bool {
        self.last.as_ref().zip(session(alert)).is_some_and(|((agent, id, severity), of)| {
            (agent.as_str(), id.as_str()) == of && alert.severity <= *severity
        })
    }

    /// The day, where it is another one than that of the alert before.
    fn heading(&mut self, time: Timestamp) -> io::Result<()> {
        self.clear()?;
        let day = time.floor(DAY_MILLIS);
        if self.day == Some(day) {
            return Ok(());
        }
        self.day = Some(day);
        let text = format!("── {} ", date(time, "%A %-d %B %Y"));
        let rule = "─".repeat(self.options.width.saturating_sub(display_width(&text)));
        let (text, rule) = (self.paint(Style::new().bold(), &text), self.paint(DIM, &rule));
        writeln!(self.out, "{text}{rule}\n")
    }

    /// Redraws the status line, on a terminal.
    pub fn status(&mut self, status: &Status) -> io::Result<()> {
        if !self.options.is_terminal {
            return Ok(());
        }
        self.clear()?;
        let done = (status.events as usize * BAR).checked_div(status.total as usize).unwrap_or(BAR);
        let mut parts = vec![
            (Style::new().bold(), date(status.time, "%a %-d %b %H:%M")),
            (Style::new(), format!("{} agents", number(status.agents as u64))),
            (Style::new(), format!("{} events", number(status.events))),
            (if status.alerts > 0 { TITLE } else { DIM }, format!("{} alerts", number(status.alerts as u64))),
        ];
        // The counts first, then as many hours as there is room for.
        let counts: usize = parts.iter().map(|(_, part)| display_width(part) + GAP.len()).sum();
        let hours = self.options.width.saturating_sub(1 + GAP.len() + counts).min(status.hours.len());
        parts.push((BUSY, sparkline(&status.hours[status.hours.len() - hours..])));
        parts.push((DIM, format!("{}{}", "━".repeat(done), "┄".repeat(BAR.saturating_sub(done)))));
        let mut room = self.options.width.saturating_sub(1);
        for (style, part) in parts {
            // What finds no room is left out, so that the line never wraps: a wrapped line cannot be redrawn.
            let Some(left) = room.checked_sub(display_width(&part) + GAP.len()) else { break };
            room = left;
            let part = self.paint(style, &part);
            write!(self.out, "{part}{GAP}")?;
        }
        self.out.flush()
    }

    /// Clears the status line; says what was only counted; gives the output back.
    pub fn end(mut self) -> io::Result<&'o mut W> {
        self.clear()?;
        let mut repeated: Vec<_> = self.causes.values().filter(|cause| cause.is_shown && cause.repeats > 0).collect();
        repeated.sort_by(|a, b| b.repeats.cmp(&a.repeats).then_with(|| a.title.cmp(&b.title)));
        let named = repeated.iter().take(REPEATED).map(|cause| (cause.repeats, cause.title.as_str()));
        let unnamed: usize = repeated.iter().skip(REPEATED).map(|cause| cause.repeats).sum();
        let unshown: usize = self.causes.values().filter(|cause| !cause.is_shown).map(|cause| 1 + cause.repeats).sum();
        let others = [(unnamed, "others of what is shown above"), (unshown, "about further causes")];
        let lines: Vec<_> = named.chain(others.into_iter().filter(|(count, _)| *count > 0)).collect();
        if !lines.is_empty() {
            let heading = self.paint(Style::new().bold(), "More alerts, counted only");
            writeln!(self.out, "{heading}")?;
        }
        for (count, what) in &lines {
            let line = format!("{:>6} × {what}", number(*count as u64));
            let line = self.paint(DIM, &terminal(&truncate(&line, self.options.width)));
            writeln!(self.out, "{line}")?;
        }
        if !lines.is_empty() {
            writeln!(self.out)?;
        }
        Ok(self.out)
    }

    fn clear(&mut self) -> io::Result<()> {
        if self.options.is_terminal { write!(self.out, "\r\u{1b}[2K") } else { Ok(()) }
    }

    fn lines(&mut self, style: Style, text: &str) -> io::Result<()> {
        for line in textwrap::wrap(text, self.options.width.max(20)) {
            let line = self.paint(style, &line);
            writeln!(self.out, "{line}")?;
        }
        writeln!(self.out)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        super::report::paint(self.options.colour, style, text)
    }
}

/// The agent and the session that an alert is about.
fn session(alert: &Alert) -> Option<(&str, &str)> {
    Some((alert.agent.as_ref()?.id.as_str(), alert.session.as_ref()?.id.as_str()))
}

/// A moment in words.
fn date(time: Timestamp, format: &str) -> String {
    jiff::Timestamp::from_millisecond(time.millis())
        .map_or_else(|_| time.to_string(), |at| at.strftime(format).to_string())
}

/// One column an hour, as high as its share of the busiest.
fn sparkline(hours: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = hours.iter().copied().max().unwrap_or(0).max(1);
    hours.iter().map(|&events| BARS[(events * (BARS.len() as u64 - 1)).div_ceil(most).min(7) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_hour_is_highest_and_only_an_empty_one_lowest() {
        assert_eq!(sparkline(&[0, 1, 500, 1000]), "▁▂▅█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
    }

    #[test]
    fn a_status_line_fits_every_terminal() {
        let time = "2026-03-18T14:20:00Z".parse().unwrap();
        let status = Status { time, agents: 60, events: 123_456, total: 200_000, alerts: 7, hours: vec![1; 24] };
        for width in 0..140 {
            let mut out = Vec::new();
            let options = Options { width, is_terminal: true, ..Options::default() };
            Screen::new(&options, &mut out).status(&status).unwrap();
            let line = String::from_utf8(out).unwrap().replace("\r\u{1b}[2K", "");
            assert!(display_width(&line) < width.max(1), "{width}: {line:?}");
        }
    }
}
