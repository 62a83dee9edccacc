//! What came of the staged attacks, for people: the misses and the false alerts too.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use driftline_core::{terminal, truncate};

use super::outcome::Attack;
use super::{Options, Summary};

/// Most characters of a name in the table.
const NAME: usize = 40;
/// Causes of false alerts that are named.
const CAUSES: usize = 5;
/// The least width that the table is laid out for.
const MIN_WIDTH: usize = 60;

const HEADING: Style = Style::new().bold();
const FALSE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const COMMAND: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));

/// The table, what it comes to, and what to do next.
pub(super) fn write(summary: &Summary, options: &Options, out: &mut impl Write) -> io::Result<()> {
    let heading = "Staged attacks: what the engine made of what only the simulator knew";
    writeln!(out, "{}", paint(options.colour, HEADING, heading))?;
    writeln!(out, "{}\n", table(summary, options))?;
    let wrap = |text: &str| textwrap::fill(text, options.width.max(MIN_WIDTH));
    writeln!(out, "{}", wrap(&verdict(summary)))?;
    write_false_alerts(summary, options, out)?;
    writeln!(out, "{}", wrap(&speed(summary)))?;
    writeln!(out, "\n{}", paint(options.colour, HEADING, "What next"))?;
    let commands = [
        ("driftline simulate --identities ids --out events.ndjson", "such events, to keep"),
        ("driftline replay --identities ids events.ndjson", "alerts as JSON lines"),
        ("driftline run -c docs/driftline.example.toml", "live, from Kafka"),
        ("docs/configuration.md", "every setting"),
    ];
    let longest = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    for (command, what) in commands {
        let command = paint(options.colour, COMMAND, &format!("{command:longest$}"));
        writeln!(out, "  {command}  {what}")?;
    }
    out.flush()
}

/// The causes of false alerts, the most frequent first.
fn write_false_alerts(summary: &Summary, options: &Options, out: &mut impl Write) -> io::Result<()> {
    let mut causes = BTreeMap::<&str, (u64, &str)>::new();
    for alert in &summary.outcome.false_alerts {
        causes.entry(&alert.fingerprint).or_insert((0, &alert.title)).0 += 1;
    }
    let mut causes: Vec<_> = causes.into_values().collect();
    causes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    for (count, title) in causes.iter().take(CAUSES) {
        let line = format!("  {:>4} × {title}", number(*count));
        let line = terminal(&truncate(&line, options.width.max(MIN_WIDTH))).into_owned();
        writeln!(out, "{}", paint(options.colour, FALSE, &line))?;
    }
    if let Some(more) = causes.len().checked_sub(CAUSES).filter(|more| *more > 0) {
        writeln!(out, "         and {}", counted(more as u64, "further cause"))?;
    }
    Ok(())
}

fn table(summary: &Summary, options: &Options) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(options.width.max(MIN_WIDTH)).unwrap_or(u16::MAX))
        .set_header(
            ["attack", "agent", "", "by detector", "at event", "after"]
                .map(|title| Cell::new(title).add_attribute(Attribute::Bold)),
        );
    if options.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for attack in &summary.outcome.attacks {
        table.add_row(row(attack));
    }
    for column in [4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(attack: &Attack) -> [Cell; 6] {
    let kind = attack.kind.as_str().replace('_', " ");
    let agent = terminal(&truncate(&attack.agent, NAME)).into_owned();
    let (verdict, detector, events, delay) = match &attack.caught {
        Some(catch) => (
            Cell::new("caught").fg(Color::Green),
            catch.detector.clone(),
            format!("{} of {}", number(catch.after), number(attack.malicious)),
            duration(catch.delay_ms),
        ),
        None => {
            let verdict = Cell::new("MISSED").fg(Color::Red).add_attribute(Attribute::Bold);
            (verdict, "–".to_owned(), format!("– of {}", number(attack.malicious)), "–".to_owned())
        }
    };
    [Cell::new(kind), Cell::new(agent), verdict, Cell::new(detector), Cell::new(events), Cell::new(delay)]
}

fn verdict(summary: &Summary) -> String {
    let outcome = &summary.outcome;
    let caught = outcome.attacks.iter().filter(|attack| attack.caught.is_some()).count();
    let rate = match outcome.honest_sessions.checked_div(outcome.false_alerts.len() as u64) {
        Some(sessions) => format!(", one in {}", number(sessions)),
        None => String::new(),
    };
    format!(
        "{} of {} attacks caught. {} in {} honest sessions{rate}; {} in all.",
        number(caught as u64),
        number(outcome.attacks.len() as u64),
        counted(outcome.false_alerts.len() as u64, "false alert"),
        number(outcome.honest_sessions),
        counted(outcome.alerts, "alert"),
    )
}

fn speed(summary: &Summary) -> String {
    let seconds = summary.busy.as_secs_f64();
    format!(
        "{} events, {}, simulated, decoded and scored on one core in {seconds:.2} s: {} a second.",
        number(summary.events),
        counted(summary.span_ms as u64 / 86_400_000 + 1, "day"),
        number((summary.events as f64 / seconds.max(1e-9)).round() as u64),
    )
}

/// `1 alert`, `2 alerts`.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

/// In the one or two units that matter: `at once`, `14 s`, `3 min`, `2 h 5 min`, `9 d 4 h`.
fn duration(millis: i64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min"),
        () if seconds > 0 => format!("{seconds} s"),
        () => "at once".to_owned(),
    }
}

/// With its thousands told apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The text in a style, where colours are used.
pub(super) fn paint(colour: bool, style: Style, text: &str) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use driftline_simulate::AttackKind;

    use super::*;
    use crate::demo::{Catch, FalseAlert, Outcome};

    fn summary() -> Summary {
        let attack = |kind, agent: &str, malicious, caught: Option<(&str, u64, i64)>| Attack {
            kind,
            agent: agent.to_owned(),
            malicious,
            caught: caught.map(|(detector, after, delay_ms)| Catch { detector: detector.to_owned(), after, delay_ms }),
        };
        let attacks = vec![
            attack(AttackKind::Hijack, "support-emea-1", 3, Some(("novelty", 1, 0))),
            attack(AttackKind::SlowDrift, "finance-reporter-12", 1_234, Some(("rate", 200, 793_000_000))),
            attack(AttackKind::ShadowAgent, "evil\u{1b}[31m\u{202e}agent", 7, Some(("identity", 1, 4_500))),
            attack(AttackKind::CredentialTheft, &"long-".repeat(40), 5, None),
        ];
        let false_alert = |title: &str| FalseAlert {
            fingerprint: title.to_owned(),
            time: "2026-03-15T08:05:35Z".parse().unwrap(),
            title: title.to_owned(),
        };
        let titles = ["a", "b\u{1b}[31m", "b\u{1b}[31m", "c", "d", "e", "f"];
        let false_alerts = titles.map(false_alert).to_vec();
        let outcome = Outcome { attacks, alerts: 1_021, false_alerts, honest_sessions: 12_345 };
        Summary { outcome, events: 200_000, span_ms: 2_000_000_000, busy: Duration::from_millis(500) }
    }

    fn written(options: &Options) -> String {
        let mut out = Vec::new();
        write(&summary(), options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_and_what_comes_after_it() {
        insta::assert_snapshot!(written(&Options::default()));
    }

    #[test]
    fn the_table_in_colour_on_a_narrow_terminal() {
        insta::assert_snapshot!(
            written(&Options { colour: true, width: 72, ..Options::default() })
                .escape_debug()
                .to_string()
                .replace("\\n", "\n")
        );
    }

    #[test]
    fn durations_and_numbers_read_well() {
        let all = [999, 14_000, 61_000, 7_500_000, 793_000_000].map(duration);
        assert_eq!(all, ["at once", "14 s", "1 min", "2 h 5 min", "9 d 4 h"]);
        assert_eq!([0, 999, 1_000, 12_345_678].map(number), ["0", "999", "1,000", "12,345,678"]);
    }
}
