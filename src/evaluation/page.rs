//! The figures on a page that needs nothing else: the curve, how the scores are spread, and what was worst.

use driftline_evaluate::Side;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Judged, Summary, table};

/// Sessions that are shown of either side.
const WORST: usize = 12;
/// Pixels.
const SIZE: (u32, u32) = (600, 340);
const BARS: usize = 40;
const ATTACK: RGBColor = RGBColor(192, 57, 43);
const HONEST: RGBColor = RGBColor(41, 98, 155);
/// Scores are told up to here; more is as much.
const MOST: f64 = 24.0;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1280px;margin:2rem auto;padding:0 1rem;color:#1c2733}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}pre{background:#f4f6f8;padding:1rem;overflow-x:auto;font-size:13px;line-height:1.3}\
.charts{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 480px}svg{max-width:100%;height:auto}figcaption{color:#5a6672}table{border-collapse:collapse;width:100%}\
td,th{border-bottom:1px solid #d9dee3;padding:.35rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{white-space:nowrap}\
td.n{text-align:right}td.n,td.id{white-space:nowrap}";

/// A chart that could not be drawn, which only a defect can bring about.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a chart: {0}; please report it")]
pub struct ChartError(String);

/// The page.
///
/// # Errors
///
/// [`ChartError`] where a chart cannot be drawn.
pub fn page(summary: &Summary, judged: &[Judged<'_>]) -> Result<String, ChartError> {
    let (curve, spread) = (draw(|area| curve(area, summary))?, draw(|area| spread(area, judged))?);
    let of = |side| judged.iter().filter(move |session| session.label.side == side);
    let mut missed: Vec<_> = of(Side::Attack).collect();
    missed.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.session.cmp(b.session)));
    let mut alarming: Vec<_> = of(Side::Honest).collect();
    alarming.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.session.cmp(b.session)));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Driftline: how well the detectors do" } style { (PreEscaped(STYLE)) } }
            body {
                h1 { "How well the detectors do" }
                pre { (table(summary)) }
                div.charts {
                    figure { (PreEscaped(curve)) figcaption { "Attacks caught against honest sessions called attacks, each task weighing the same." } }
                    figure { (PreEscaped(spread)) figcaption { "Share of attacks (red) and of honest sessions (blue) by score." } }
                }
                h2 { "Attacks with the lowest scores" }
                (sessions(&missed))
                h2 { "Honest sessions with the highest scores" }
                (sessions(&alarming))
            }
        }
    };
    Ok(page.into_string())
}

fn sessions(sessions: &[&Judged<'_>]) -> Markup {
    html! {
        table {
            tr { th { "score" } th { "session" } th { "agent, task" } th { "its strangest act" } th { "for the request" } th { "alerts" } }
            @for session in sessions.iter().take(WORST) {
                tr {
                    td.n { (format!("{:.2}", session.score)) }
                    td.id { (session.session) @if let Some(kind) = &session.label.kind { br; (kind) } }
                    td { (session.label.task) }
                    td { (session.strangest.action) " " (session.strangest.resource) }
                    td { (session.strangest.intent) }
                    td { @for alert in session.alerts.iter().take(2) { div { (alert.title) } } }
                }
            }
        }
    }
}

/// An SVG of what is drawn.
fn draw(chart: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), String>) -> Result<String, ChartError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        chart(&area).and_then(|()| area.present().map_err(|error| error.to_string())).map_err(ChartError)?;
    }
    Ok(svg)
}

fn curve(area: &DrawingArea<SVGBackend<'_>, Shift>, summary: &Summary) -> Result<(), String> {
    let said = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)
        .map_err(said)?;
    let percent = |share: &f64| format!("{:.0} %", 100.0 * share);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("honest sessions called attacks")
        .y_desc("attacks caught")
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .draw()
        .map_err(said)?;
    let chance = LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.25));
    chart.draw_series(chance).map_err(said)?;
    let points = summary.roc.points().into_iter().map(|point| (point.false_alarms, point.caught));
    chart.draw_series(LineSeries::new(points, ATTACK.stroke_width(2))).map_err(said)?;
    Ok(())
}

fn spread(area: &DrawingArea<SVGBackend<'_>, Shift>, judged: &[Judged<'_>]) -> Result<(), String> {
    let said = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let highest = judged.iter().map(|session| session.score).fold(1.0, f64::max).min(MOST);
    let width = highest / BARS as f64;
    let shares = |side| {
        let mut bars = [0.0; BARS];
        let of: Vec<_> = judged.iter().filter(|session| session.label.side == side).collect();
        for session in &of {
            let bar = (session.score.max(0.0) / width) as usize;
            bars[bar.min(BARS - 1)] += 1.0 / of.len() as f64;
        }
        bars
    };
    let (attacks, honest) = (shares(Side::Attack), shares(Side::Honest));
    let most = attacks.iter().chain(&honest).copied().fold(0.05, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..highest, 0.0..most)
        .map_err(said)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("score: −log₁₀ of the probability")
        .y_label_formatter(&|share| format!("{:.0} %", 100.0 * share))
        .draw()
        .map_err(said)?;
    for (bars, colour) in [(honest, HONEST), (attacks, ATTACK)] {
        let bars = bars.into_iter().enumerate().map(|(i, share)| {
            let left = i as f64 * width;
            Rectangle::new([(left, 0.0), (left + width, share)], colour.mix(0.5).filled())
        });
        chart.draw_series(bars).map_err(said)?;
    }
    Ok(())
}
