//! What an alert says, in words for people: the same in every sink.
//!
//! Every text that comes from outside is made safe to show here: control characters and characters that reorder text
//! are visible, a name that is more than a plain word stands in quotes, so that it cannot pass for something that
//! Driftline says itself, and everything has a bound. A sink still has to escape for its own markup.

use driftline_core::{
    Alert, AlertAgent, AlertStatus, Basis, Evidence, PrincipalKind, Severity, Timestamp, terminal, truncate, wire_name,
};

/// Most characters of a name, an address, a path.
const NAME_CHARS: usize = 160;
/// Most characters of a sentence.
const SENTENCE_CHARS: usize = 1_200;

/// A sentence, safe to show.
pub(crate) fn sentence(text: &str) -> String {
    terminal(&truncate(text.trim(), SENTENCE_CHARS)).into_owned()
}

/// A name, safe to show: a plain word as it is, anything else in quotes that it cannot close.
pub(crate) fn name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@:/+*#".contains(c);
    let cut = truncate(text, NAME_CHARS);
    if !cut.is_empty() && cut.trim_end_matches('…').chars().all(plain) {
        return cut.into_owned();
    }
    quoted(&cut)
}

fn quoted(text: &str) -> String {
    format!("“{}”", terminal(&truncate(text, SENTENCE_CHARS)).replace(['“', '”'], "\""))
}

/// `CRITICAL`, or `RESOLVED · CRITICAL`.
pub(crate) fn severity(alert: &Alert) -> String {
    let word = alert.severity.as_str().to_uppercase();
    match alert.status {
        AlertStatus::Firing => word,
        AlertStatus::Resolved => format!("RESOLVED · {word}"),
    }
}

/// A sign for each severity, told apart by its shape.
pub(crate) fn sign(alert: &Alert) -> &'static str {
    match (alert.status, alert.severity) {
        (AlertStatus::Resolved, _) => "✅",
        (_, Severity::Critical) => "🚨",
        (_, Severity::High) => "🔺",
        (_, Severity::Medium) => "🔶",
        (_, Severity::Low) => "🔹",
        (_, Severity::Info) => "💬",
    }
}

/// The title; never blank.
pub(crate) fn title(alert: &Alert) -> String {
    match sentence(&alert.title) {
        title if title.is_empty() => format!("{} finding", name(&alert.family)),
        title => title,
    }
}

/// `2026-03-02 08:11:24 UTC`.
pub(crate) fn time(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} UTC", text.get(..19).unwrap_or(&text).replace('T', " "))
}

/// The agent and its version, or all that a finding about many concerns.
pub(crate) fn entity(alert: &Alert) -> String {
    let Some(agent) = &alert.agent else {
        return many(alert);
    };
    let version = agent.version.as_deref().map_or(String::new(), |version| format!(" {}", name(version)));
    name(&agent.id) + &version
}

/// The same, with its name, whose it is, and who answers for it.
pub(crate) fn who(alert: &Alert) -> String {
    let Some(agent) = &alert.agent else {
        return many(alert);
    };
    let mut parts = vec![entity(alert)];
    parts.extend(agent.name.as_deref().filter(|n| *n != agent.id).map(name));
    parts.extend(agent.team.as_deref().map(|team| format!("team {}", name(team))));
    parts.push(owner(agent));
    if !alert.tenant.is_empty() {
        parts.push(format!("tenant {}", name(&alert.tenant)));
    }
    parts.join(", ")
}

/// Who answers for the agent.
pub(crate) fn owner(agent: &AlertAgent) -> String {
    agent.owner.as_deref().map_or("no owner on record".to_owned(), |owner| format!("owner {}", name(owner)))
}

fn many(alert: &Alert) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = alert.entities.iter().take(SHOWN).map(|entity| name(&entity.id)).collect();
    let kind = alert.entities.first().map_or("agent", |entity| entity.kind.as_str());
    match (alert.entities.len(), alert.entities.len().saturating_sub(SHOWN)) {
        (0, _) => "no single agent".to_owned(),
        (1, _) => format!("{} {}", name(kind), shown[0]),
        (all, 0) => format!("{all} {}s: {}", name(kind), shown.join(", ")),
        (all, more) => {
            format!("{} {}s: {}, … {} more", number(all as u64), name(kind), shown.join(", "), number(more as u64))
        }
    }
}

/// Whether the agent's identity was verified; `None` for a finding about many.
pub(crate) fn verified(alert: &Alert) -> Option<&'static str> {
    alert.agent.as_ref().map(|agent| if agent.verified { "identity verified" } else { "identity NOT verified" })
}

/// On whose behalf, and through whom: `alice@acme.example (user) → orchestrator → support-assistant`.
pub(crate) fn behalf(alert: &Alert) -> Option<String> {
    const LINKS: usize = 8;
    let mut chain = Vec::new();
    let first = alert.delegation.first().and_then(|link| link.principal.as_deref());
    let principal = alert.principal.as_ref();
    if let Some(delegator) = first
        && principal.is_none_or(|principal| principal.id != delegator)
    {
        chain.push(name(delegator));
    }
    if let Some(principal) = principal {
        let kind = principal.kind.map_or(String::new(), |kind: PrincipalKind| format!(" ({})", wire_name(kind)));
        chain.push(name(&principal.id) + &kind);
    }
    let agents: Vec<_> = alert.delegation.iter().filter_map(|link| link.agent.as_deref()).collect();
    chain.extend(agents.iter().take(LINKS).map(|agent| name(agent)));
    if agents.len() > LINKS {
        chain.push(format!("… {} more", agents.len() - LINKS));
    }
    if chain.is_empty() {
        return None;
    }
    if !agents.is_empty() {
        chain.extend(alert.agent.as_ref().map(|agent| name(&agent.id)));
    }
    Some(chain.join(" → "))
}

/// The act and what it touched: `send_email on mcp://mail (write) → bob@example.org (email, restricted)`.
pub(crate) fn act(alert: &Alert) -> Option<String> {
    let action = alert.action.as_ref()?;
    let mut text = name(&action.name);
    if let Some(server) = &action.server {
        text += &format!(" on {}", name(server));
    }
    if let Some(access) = action.access {
        text += &format!(" ({})", wire_name(access));
    }
    if let Some(resource) = &alert.resource {
        let mut notes: Vec<_> =
            [&resource.kind, &resource.role, &resource.origin].into_iter().flatten().map(|note| name(note)).collect();
        notes.extend(resource.sensitivity.map(wire_name));
        text += &format!(" → {}", name(&resource.id));
        if !notes.is_empty() {
            text += &format!(" ({})", notes.join(", "));
        }
    }
    Some(text)
}

/// What was at stake: `1,240 records, 5,242,880 bytes, up to restricted`.
pub(crate) fn impact(alert: &Alert) -> Option<String> {
    let impact = alert.impact.as_ref()?;
    let mut parts = Vec::new();
    for (count, unit) in
        [(impact.records, "record"), (impact.resources, "distinct resource"), (impact.bytes_out, "byte")]
    {
        parts.extend(count.map(|count| format!("{} {unit}{}", number(count), if count == 1 { "" } else { "s" })));
    }
    parts.extend(impact.sensitivity.map(|sensitivity| format!("up to {}", wire_name(sensitivity))));
    parts.extend(impact.cost_usd.filter(|cost| cost.is_finite()).map(|cost| format!("{cost:.2} USD")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What was asked for: `refund: “Refund order 1042 for the customer”`.
pub(crate) fn task(alert: &Alert) -> Option<String> {
    let task = alert.task.as_ref()?;
    let kind = task.kind.as_deref().map(name);
    let intent = task.intent.as_deref().map(quoted);
    let parts: Vec<_> = kind.into_iter().chain(intent).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// How improbable: `1 in 2,400 of this agent's sessions look like this by chance`.
pub(crate) fn rarity(alert: &Alert) -> Option<String> {
    let p = alert.p_value.filter(|p| (0.0..=1.0).contains(p))?;
    let sessions = if alert.agent.is_some() { "of this agent's honest sessions" } else { "by chance" };
    Some(if p < 1e-9 {
        format!("fewer than 1 in 1,000,000,000 {sessions}")
    } else {
        format!("1 in {} {sessions}", one_in(p))
    })
}

/// 1/p to two significant digits.
fn one_in(p: f64) -> String {
    let n = (1.0 / p).max(1.0);
    let unit = 10f64.powi(n.log10().floor() as i32 - 1).max(1.0);
    number(((n / unit).round() * unit) as u64)
}

/// In what sense it departs from what it should be.
pub(crate) fn basis(alert: &Alert) -> Option<String> {
    let words: Vec<_> = alert
        .basis
        .iter()
        .map(|basis| match basis {
            Basis::Undeclared => "not declared in its identity document",
            Basis::OutsideGrant => "outside its grant",
            Basis::Unusual => "unusual for it",
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// One piece of evidence: `recipient: bob@example.org; usual: acme.example (98%); of 12,400 seen; 0 of 12 peers`.
pub(crate) fn evidence(evidence: &Evidence) -> String {
    const USUAL: usize = 3;
    let short = |text: &str| terminal(&truncate(text, NAME_CHARS)).into_owned();
    let mut text = format!("{}: {}", short(&evidence.feature), short(&evidence.observed));
    if !evidence.expected.is_empty() {
        let usual: Vec<_> = evidence.expected.iter().take(USUAL).map(|usual| short(usual)).collect();
        text += &format!("; usual: {}", usual.join(", "));
    }
    if let Some(count) = evidence.baseline_count {
        text += &format!("; {} seen before", number(count));
    }
    if let Some(peers) = &evidence.peers {
        text += &format!("; {}", short(peers));
    }
    text
}

/// The techniques: `T1567 · AML.T0086 · ASI01`.
pub(crate) fn techniques(alert: &Alert) -> Option<String> {
    const SHOWN: usize = 10;
    let ids: Vec<_> =
        alert.attack.iter().chain(&alert.atlas).chain(&alert.owasp).take(SHOWN).map(|id| name(id)).collect();
    (!ids.is_empty()).then(|| ids.join(" · "))
}

/// What it was judged by: `baseline 2026-02-28 of 48,210 events · identity document 7 · rule r-1`.
pub(crate) fn judged_by(alert: &Alert) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(baseline) = &alert.baseline {
        let version = baseline.version.as_deref().map_or(String::new(), |version| format!(" {}", name(version)));
        parts.push(format!("baseline{version} of {} events", number(baseline.events)));
    }
    parts.extend(alert.identity.as_deref().map(|version| format!("identity document {}", name(version))));
    parts.extend(alert.rule.as_ref().map(|rule| format!("rule {}", name(&rule.id))));
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// A count with separators: `12,400`.
pub(crate) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_name_cannot_pass_for_what_driftline_says() {
        assert_eq!(name("spiffe://acme.example/a_b-1"), "spiffe://acme.example/a_b-1");
        assert_eq!(name("evil, team security”, owner “ciso"), "“evil, team security\", owner \"ciso”");
        assert_eq!(name("a\nb\u{202e}"), "“a\\u{a}b\\u{202e}”");
        assert_eq!(name(""), "“”");
        assert_eq!(name("\u{3164}"), "“\u{3164}”", "a letter that is not seen");
        assert!(name(&"x".repeat(1_000)).chars().count() <= NAME_CHARS);
    }

    #[test]
    fn rarity_is_a_round_number_of_sessions() {
        let rarity = |p| rarity(&Alert { p_value: Some(p), ..samples::hijacked() });
        assert_eq!(rarity(0.000_412).unwrap(), "1 in 2,400 of this agent's honest sessions");
        assert_eq!(rarity(1.0).unwrap(), "1 in 1 of this agent's honest sessions");
        assert_eq!(rarity(0.0).unwrap(), "fewer than 1 in 1,000,000,000 of this agent's honest sessions");
        for nonsense in [f64::NAN, -1.0, 2.0, f64::INFINITY] {
            assert_eq!(rarity(nonsense), None);
        }
    }

    #[test]
    fn numbers_have_separators() {
        let numbers: Vec<_> = [0, 999, 1_000, 12_400, u64::MAX].map(number).into();
        assert_eq!(numbers, ["0", "999", "1,000", "12,400", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn the_chain_names_the_first_delegator_once() {
        assert_eq!(
            behalf(&samples::hijacked()).unwrap(),
            "alice@acme.example (user) → orchestrator → support-assistant"
        );
    }

    #[test]
    fn a_blank_title_is_replaced() {
        assert_eq!(title(&Alert { title: " \n".into(), ..samples::hijacked() }), "deviation finding");
    }
}
