//! The figures on a terminal.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};
use driftline_core::{terminal, truncate};
use driftline_evaluate::Interval;

use super::Summary;
use super::summary::Row;

/// Most characters of a kind of attack.
const NAME: usize = 40;

/// The tables, and what stands around them.
pub fn table(summary: &Summary) -> String {
    let mut text = format!(
        "{} sessions under attack and {} honest ones, of {} tasks that weigh the same; {} events in {:.1} days\n",
        summary.attacks, summary.honest, summary.tasks, summary.events, summary.days,
    );
    // Memory takes whatever is written to it.
    let _ = writeln!(text, "{}", detectors(summary));
    let _ = writeln!(text, "in brackets: 90 of 100 draws of tasks\n");
    let _ = writeln!(text, "{}\n", kinds(summary));
    let _ = writeln!(text, "{}", honesty(summary));
    let _ = writeln!(text, "p-values are honest where no more events than 5 % and 1 % have them\n");
    if let Some((half, most)) = summary.delay {
        let _ = writeln!(
            text,
            "where there was an alert, it came by event {half} of the attack in half of the cases, by event {most} in nine of ten"
        );
    }
    let _ = write!(
        text,
        "false alerts: {}, in {} of {} honest sessions",
        summary.false_alerts, summary.false_sessions, summary.honest
    );
    let _ = match summary.days > 0.0 {
        true => writeln!(text, ", {:.2} a day", summary.false_alerts as f64 / summary.days),
        false => writeln!(text),
    };
    if let Some(budget) = summary.alert_budget.filter(|_| summary.days > 0.0) {
        let rate = summary.false_alerts_of_learned as f64 / summary.days;
        let kept = if rate <= budget { "kept" } else { "exceeded" };
        let _ = writeln!(
            text,
            "of learned behaviour: {rate:.2} a day, of {budget:.2} a day acceptable: the budget is {kept}"
        );
    }
    if summary.without_events > 0 {
        let _ = writeln!(text, "{} sessions have a label and no event", summary.without_events);
    }
    text
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).force_no_tty();
    table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table
}

fn align(mut table: Table) -> Table {
    for column in 1..table.column_count() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn detectors(summary: &Summary) -> Table {
    let mut table =
        plain(&["", "AUROC", "caught at 5 %", "at 1 %", "at 0.1 % false alarms", "the others: AUROC", "at 5 %"]);
    let row = |row: &Row, intervals: Option<&[Interval; 4]>| {
        let within = |i: usize, figure: String, scale: f64, digits: usize| match intervals {
            Some(all) => format!("{figure} [{:.digits$}–{:.digits$}]", scale * all[i].low, scale * all[i].high),
            None => figure,
        };
        let share = |i: usize| within(i + 1, format!("{:.1} %", 100.0 * row.figures.caught[i]), 100.0, 0);
        vec![row.name.to_owned(), within(0, format!("{:.3}", row.figures.auroc), 1.0, 2), share(0), share(1), share(2)]
    };
    let blank = ["–".to_owned(), "–".to_owned()];
    table.add_row(row(&summary.together, Some(&summary.intervals)).into_iter().chain(blank));
    for (alone, without) in summary.alone.iter().zip(&summary.without) {
        let others = [format!("{:.3}", without.figures.auroc), format!("{:.1} %", 100.0 * without.figures.caught[0])];
        table.add_row(row(alone, None).into_iter().chain(others));
    }
    align(table)
}

fn honesty(summary: &Summary) -> Table {
    let mut table = plain(&["in honest sessions", "events with p ≤ 5 %", "with p ≤ 1 %", "false alerts"]);
    for row in &summary.honesty {
        let share = |i: usize| format!("{:.2} %", 100.0 * row.at_or_below[i]);
        table.add_row([row.name.to_owned(), share(0), share(1), row.false_alerts.to_string()]);
    }
    align(table)
}

fn kinds(summary: &Summary) -> Table {
    let mut table = plain(&["what was staged", "sessions", "alerted on", "above the level of 1 % false alarms"]);
    for kind in &summary.by_kind {
        let of = |n: usize| format!("{n} ({:.0} %)", 100.0 * n as f64 / kind.sessions.max(1) as f64);
        let name = terminal(&truncate(&kind.kind, NAME)).into_owned();
        table.add_row([name, kind.sessions.to_string(), of(kind.caught), of(kind.above)]);
    }
    align(table)
}
