//! An alert for a terminal: a line that says how bad and what, and a few that say who, what, why, and what to do.

use anstyle::{AnsiColor, Style};
use driftline_core::{Alert, AlertStatus, Severity};
use textwrap::{Options, WordSplitter};

use crate::facts;

/// Columns of the labels.
const LABEL: usize = 7;
/// The least width that is wrapped to: an alert's id is never broken.
const MIN_WIDTH: usize = 50;
/// Pieces of evidence that are shown: the strongest.
const EVIDENCE: usize = 1;
/// Most characters of one part of a row: however long it is, it hides none of the others.
const PART_CHARS: usize = 400;

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns to wrap at; less than 50 counts as 50.
    pub width: usize,
    /// Whether ANSI colours are used. Nothing is said by colour alone.
    pub colour: bool,
}

impl Terminal {
    /// The alert in two to six rows (more lines where they wrap), each ended by a line feed.
    pub fn render(&self, alert: &Alert) -> String {
        let width = self.width.max(MIN_WIDTH);
        let mut text = self.headline(alert, width);
        for (label, row) in rows(alert) {
            for (i, line) in textwrap::wrap(&row, wrapping(width - LABEL)).iter().enumerate() {
                let label = self.paint(Style::new().dimmed(), &format!("{:LABEL$}", if i == 0 { label } else { "" }));
                text += &format!("{label}{line}\n");
            }
        }
        text
    }

    fn headline(&self, alert: &Alert, width: usize) -> String {
        let badge = format!(" {} ", facts::severity(alert));
        let title = join([Some(facts::time(alert.time)), Some(facts::title(alert))]);
        // The badge is laid out as if it were part of the text, then painted over.
        let blank = " ".repeat(textwrap::core::display_width(&badge) + 1);
        let lines = textwrap::wrap(&title, wrapping(width).initial_indent(&blank).subsequent_indent("  "));
        let mut text = String::new();
        for (i, line) in lines.iter().enumerate() {
            let (badge, line) = if i == 0 {
                (self.paint(badge_style(alert), &badge) + " ", line.get(blank.len()..).unwrap_or_default())
            } else {
                ("  ".to_owned(), line.trim_start())
            };
            text += &format!("{badge}{}\n", self.paint(Style::new().bold(), line));
        }
        text
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Words are broken only where they are longer than a line, so that ids and addresses can be copied.
fn wrapping<'a>(width: usize) -> Options<'a> {
    Options::new(width).word_splitter(WordSplitter::NoHyphenation)
}

fn badge_style(alert: &Alert) -> Style {
    let colour = match (alert.status, alert.severity) {
        (AlertStatus::Resolved, _) => AnsiColor::Green,
        (_, Severity::Critical) => AnsiColor::Red,
        (_, Severity::High) => AnsiColor::BrightRed,
        (_, Severity::Medium) => AnsiColor::Yellow,
        (_, Severity::Low) => AnsiColor::Cyan,
        (_, Severity::Info) => AnsiColor::White,
    };
    Style::new().bold().invert().fg_color(Some(colour.into()))
}

/// Labels and what stands after them; what an alert does not say is left out.
fn rows(alert: &Alert) -> Vec<(&'static str, String)> {
    let who = [
        Some(facts::entity(alert)),
        facts::verified(alert).map(str::to_owned),
        alert.agent.as_ref().map(facts::owner),
        facts::behalf(alert).map(|chain| format!("for {chain}")),
        facts::task(alert).map(|task| format!("asked to {task}")),
    ];
    let did = [facts::act(alert), facts::impact(alert)];
    let mut odd = vec![facts::rarity(alert), facts::basis(alert)];
    odd.extend(alert.evidence.iter().take(EVIDENCE).map(|evidence| Some(facts::evidence(evidence))));
    odd.push(
        alert
            .evidence
            .len()
            .checked_sub(EVIDENCE + 1)
            .map(|more| format!("and {} more", facts::number(more as u64 + 1))),
    );
    let act = [Some(facts::sentence(&alert.recommendation)), Some(format!("alert {}", alert.id))];
    [
        ("  who", join(who)),
        ("  did", join(did)),
        ("  why", join([Some(facts::sentence(&alert.summary))])),
        ("  odd", join(odd)),
        ("  do", join(act)),
    ]
    .into_iter()
    .filter(|(_, row)| !row.is_empty())
    .collect()
}

fn join(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let cut = |part: String| driftline_core::truncate(&part, PART_CHARS).into_owned();
    parts.into_iter().flatten().filter(|part| !part.is_empty()).map(cut).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    fn hostile() -> impl Strategy<Value = Alert> {
        ("\\PC{0,40}|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202e}\u{200d}漢🚨a \n]{0,200}", 0usize..20)
            .prop_map(|(text, rows)| samples::hostile(&text, rows))
    }

    proptest! {
        #[test]
        fn no_control_character_gets_through_and_no_line_is_too_wide(alert in hostile(), width in 0usize..200) {
            let plain = Terminal { width, colour: false }.render(&alert);
            for line in plain.lines() {
                prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width.max(MIN_WIDTH), "{line:?}");
            }
            let control = plain.chars().any(|c| c != '\n' && driftline_core::terminal(c.encode_utf8(&mut [0; 4])) != c.to_string());
            prop_assert!(!control, "{plain:?}");
            prop_assert!(plain.contains(&alert.id.to_string()), "{plain}");
            prop_assert!(plain.replace(['\n', ' '], "").contains("identityNOTverified"), "{plain}");
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for alert in samples::all() {
            let plain = Terminal { width: 100, colour: false }.render(&alert);
            let colour = Terminal { width: 100, colour: true }.render(&alert);
            assert_ne!(plain, colour);
            assert_eq!(strip(&colour), plain);
        }
    }

    fn strip(text: &str) -> String {
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        first + &parts.map(|part| part.split_once('m').map_or("", |(_, rest)| rest)).collect::<String>()
    }

    #[test]
    fn an_alert_of_any_size_takes_a_bounded_number_of_lines() {
        let alert = samples::huge();
        let text = Terminal { width: 120, colour: false }.render(&alert);
        assert!(text.lines().count() <= 40, "{}", text.lines().count());
    }
}
