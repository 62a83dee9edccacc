//! The form of a message: what an analyst needs in the order in which it is asked for.
//!
//! Each part has a budget of its own; together they stay below [`TOTAL`], so that nothing depends on what the others
//! hold. Everything from outside is in `plain_text` objects.

use serde_json::{Value, json};

use super::text::{escape, plain, unlinked};
use crate::facts;
use crate::group::Group;

/// Most groups of a digest.
pub(super) const DIGEST: usize = 20;
/// What all texts of a message stay below together.
#[cfg(test)]
const TOTAL: usize = 9_000;
/// Most pieces of evidence, and most steps, that are shown.
const ROWS: usize = 6;
/// Most ids of repeats, and of events, that are shown.
const IDS: usize = 8;

/// The message for one group, or a digest of several.
pub(super) fn message(groups: &[Group]) -> Value {
    let (notification, blocks) = match groups {
        [group] => (headline(group), single(group)),
        groups => (digest_title(groups), digest(groups)),
    };
    let mut message = bare(&escape(&unlinked(&notification), 300));
    message["blocks"] = blocks.into_iter().flatten().collect();
    message
}

/// The plain form: a text, a line for each group, and nothing else.
pub(super) fn plain_message(groups: &[Group]) -> Value {
    let line = |group: &Group| format!("{} (alert {})", escape(&unlinked(&headline(group)), 240), group.alert.id);
    bare(&groups.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A message with its top-level text, which is what notifications show. No markup is read in it, and nothing in it
/// becomes a link, a mention or a preview.
fn bare(escaped: &str) -> Value {
    json!({
        "text": escaped,
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn headline(group: &Group) -> String {
    let alert = &group.alert;
    format!("{} {} · {}{}", facts::sign(alert), facts::severity(alert), facts::title(alert), times(group))
}

fn times(group: &Group) -> String {
    if group.repeats.is_empty() { String::new() } else { format!(" (×{})", facts::number(group.count() as u64)) }
}

fn single(group: &Group) -> Vec<Option<Value>> {
    let alert = &group.alert;
    vec![
        header(&headline(group)),
        section("", &facts::sentence(&alert.summary), 1_000),
        fields(group),
        section(&unusual_heading(group), &unusual(group), 1_800),
        section("HOW IT WENT", &steps(group), 900),
        section("DRIFT", &drift(group), 300),
        section("DO", &facts::sentence(&alert.recommendation), 800),
        context(group),
    ]
}

fn header(text: &str) -> Option<Value> {
    plain(text, 150).map(|text| json!({"type": "header", "text": text}))
}

/// A heading of Driftline's own and a text below it; nothing where there is no text.
fn section(heading: &str, text: &str, limit: usize) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    plain(&format!("{heading}\n{text}"), limit).map(|text| json!({"type": "section", "text": text}))
}

/// Who, for whom, what, and what was asked for, in two columns.
fn fields(group: &Group) -> Option<Value> {
    let alert = &group.alert;
    let who = facts::verified(alert).map_or("WHO".to_owned(), |verified| format!("WHO · {verified}"));
    let did = [facts::act(alert), facts::impact(alert)].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let fields: Vec<_> = [
        (who.as_str(), facts::who(alert)),
        ("ON BEHALF OF", facts::behalf(alert).unwrap_or_default()),
        ("DID", did),
        ("WAS ASKED TO", facts::task(alert).unwrap_or_default()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .filter_map(|(label, value)| plain(&format!("{label}\n{value}"), 500))
    .collect();
    (!fields.is_empty()).then(|| json!({"type": "section", "fields": fields}))
}

fn unusual_heading(group: &Group) -> String {
    match group.alert.evidence.len() {
        all if all > ROWS => {
            format!("HOW UNUSUAL · the strongest {ROWS} of {} observations", facts::number(all as u64))
        }
        _ => "HOW UNUSUAL".to_owned(),
    }
}

fn unusual(group: &Group) -> String {
    let alert = &group.alert;
    let first = [facts::rarity(alert), facts::basis(alert)].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let evidence = alert.evidence.iter().take(ROWS).map(|evidence| format!("• {}", facts::evidence(evidence)));
    Some(first).into_iter().filter(|first| !first.is_empty()).chain(evidence).collect::<Vec<_>>().join("\n")
}

fn steps(group: &Group) -> String {
    let steps = &group.alert.steps;
    let mut lines: Vec<_> = steps
        .iter()
        .take(ROWS)
        .map(|step| format!("{}  {}", facts::time(step.time), facts::sentence(&step.what)))
        .collect();
    if steps.len() > ROWS {
        lines.push(format!("… {} more", facts::number((steps.len() - ROWS) as u64)));
    }
    lines.join("\n")
}

fn drift(group: &Group) -> String {
    let Some(drift) = &group.alert.drift else { return String::new() };
    let [dimension, from, to] = [&drift.dimension, &drift.from, &drift.to].map(|text| facts::sentence(text));
    format!("{dimension} since {}: {from} → {to}", facts::time(drift.since))
}

/// What one needs to look further, small, at the end.
fn context(group: &Group) -> Option<Value> {
    let alert = &group.alert;
    let repeats = || format!("{} more of the same: {}", facts::number(group.repeats.len() as u64), ids(&group.repeats));
    let elements: Vec<_> = [
        (40, Some(facts::time(alert.time))),
        (60, Some(format!("Alert {}", alert.id))),
        (150, alert.session.as_ref().map(|session| format!("Session {}", facts::name(&session.id)))),
        (400, (!alert.events.is_empty()).then(|| format!("Events {}", ids(&alert.events)))),
        (450, (!group.repeats.is_empty()).then(repeats)),
        (40, Some(format!("Risk {:.0} of 100", alert.risk))),
        (200, facts::techniques(alert)),
        (200, facts::judged_by(alert)),
    ]
    .into_iter()
    .filter_map(|(limit, text)| plain(&text?, limit))
    .collect();
    (!elements.is_empty()).then(|| json!({"type": "context", "elements": elements}))
}

fn ids(ids: &[impl ToString]) -> String {
    let mut shown: Vec<_> = ids.iter().take(IDS).map(|id| facts::name(&id.to_string())).collect();
    if ids.len() > IDS {
        shown.push(format!("… {} more", facts::number((ids.len() - IDS) as u64)));
    }
    shown.join(", ")
}

fn digest_title(groups: &[Group]) -> String {
    let alerts: usize = groups.iter().map(Group::count).sum();
    let worst = groups.iter().max_by_key(|group| group.alert.severity).map_or(String::new(), headline);
    format!("{} alerts waited. The worst: {worst}", facts::number(alerts as u64))
}

fn digest(groups: &[Group]) -> Vec<Option<Value>> {
    let mut blocks = vec![header(&digest_title(groups))];
    blocks.extend(groups.iter().map(|group| {
        let alert = &group.alert;
        // Each part is cut by itself, so that a long title never costs the id.
        let (title, who) = (escape(&headline(group), 170), escape(&facts::who(alert), 110));
        let text = format!("{title}\n{who}\n{} · alert {}", facts::time(alert.time), alert.id);
        Some(json!({"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}}))
    }));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn length(value: &Value) -> usize {
        match value {
            Value::String(text) => text.encode_utf16().count(),
            Value::Array(items) => items.iter().map(length).sum(),
            Value::Object(fields) => {
                fields.iter().filter(|(name, _)| *name != "type").map(|(_, value)| length(value)).sum()
            }
            _ => 0,
        }
    }

    #[test]
    fn the_largest_message_and_the_largest_digest_stay_below_the_total() {
        let huge = samples::huge();
        let one = Group { repeats: vec![huge.id; 1_000], alert: huge };
        for groups in [vec![one.clone()], vec![one.clone(); DIGEST]] {
            let message = message(&groups);
            assert!(length(&message) <= TOTAL, "{} blocks, {} long", groups.len(), length(&message));
            assert!(length(&message) > TOTAL / 2, "the sample fills the budgets: {}", length(&message));
            assert!(length(&plain_message(&groups)) <= TOTAL);
        }
    }

    #[test]
    fn an_alert_that_says_next_to_nothing_has_no_empty_text() {
        let message = message(&[samples::blank().into()]);
        let text = message.to_string();
        assert!(!text.contains(r#""text":"""#), "{text}");
        assert!(text.contains(&samples::blank().id.to_string()));
    }
}
