//! Findings about many agents: raised once, from an epoch, by whoever made or read it.

use driftline_core::{Alert, Basis, EntityRef, Epoch, Evidence, Severity, TenantCounts, Timestamp};

use crate::explain::{Subject, alert};
use crate::finding::{Finding, Techniques};
use crate::world::World;

/// What an epoch says about many, judged by the world as it is after the epoch.
pub fn judge(epoch: &Epoch, world: &World) -> Vec<Alert> {
    epoch
        .tenants
        .iter()
        .flat_map(|counts| [unregistered(counts, epoch, world), flood(counts, epoch, world)])
        .flatten()
        .collect()
}

/// Agents without an identity document, where so many have none that each is not news.
fn unregistered(counts: &TenantCounts, epoch: &Epoch, world: &World) -> Option<Alert> {
    let coverage = world.coverage.get(&counts.tenant).copied().unwrap_or_default();
    if coverage.listed_in != Some(epoch.number) {
        return None;
    }
    let finding = Finding {
        severity: Severity::Low,
        title: format!("{} agents act without an identity document", coverage.unregistered),
        summary: format!(
            "{} of {} agents seen so far are registered; until {:.0}% are, those that are not are listed here.",
            coverage.registered,
            coverage.registered + coverage.unregistered,
            100.0 * world.settings.registration_share
        ),
        recommendation: "Register those that are known, the ones that touch sensitive data first.",
        evidence: vec![Evidence {
            feature: "identity_document".to_owned(),
            observed: listed(counts, coverage.unregistered),
            expected: vec!["one for every agent".to_owned()],
            ..Evidence::default()
        }],
        ..base("unregistered_agents", epoch)
    };
    Some(raise(finding, counts, epoch, world))
}

/// More agents than there is room for, or than may be new in an hour.
fn flood(counts: &TenantCounts, epoch: &Epoch, world: &World) -> Option<Alert> {
    let flood = world.coverage.get(&counts.tenant)?.flood;
    if flood.told_in != Some(epoch.number) {
        return None;
    }
    let limits = &world.settings.limits;
    let finding = Finding {
        severity: Severity::High,
        title: format!("{} events came from new agents that there is no room for", flood.events),
        summary: "Made-up agent ids look like this. Agents known before keep their baselines; those beyond the limits are \
                  scored against the fleet, forgotten, and told of here alone. It is told again when a day has passed and \
                  there are ten times as many."
            .to_owned(),
        recommendation: "Find the producer that makes the ids up; if the fleet really grows like this, register its \
                         agents, or raise limits.new_agents_per_hour or limits.agents_per_tenant.",
        evidence: vec![Evidence {
            feature: "agents".to_owned(),
            observed: format!("{} events in this hour", counts.turned_away),
            expected: vec![
                format!("at most {} agents in a partition", limits.agents_per_tenant),
                format!("at most {} new ones an hour without an identity document", limits.new_agents_per_hour),
                format!("at most {} tenants", limits.tenants),
            ],
            ..Evidence::default()
        }],
        ..base("agent_flood", epoch)
    };
    Some(raise(finding, counts, epoch, world))
}

/// Records of a partition that are no events, so many in a row that a format must have changed.
pub fn undecodable(partition: &str, position: &str, records: u64, time: Timestamp, world: &World) -> Alert {
    let finding = Finding {
        detector: "ingest",
        severity: Severity::High,
        basis: Vec::new(),
        anchor: position.to_owned(),
        title: format!("{records} records in a row of {partition} are no events"),
        summary: format!("Nothing that agents did there is seen; the last such record is {position}."),
        recommendation: "Look at the dead letters for the reason; a producer has changed its format, or writes to the \
                         wrong topic.",
        ..base("undecodable_records", &Epoch::default())
    };
    let subject = Subject { tenant: "", entity: ("partition", partition), time, entities: Vec::new(), risk: 0.0 };
    alert(finding, &subject, None, world)
}

fn listed(counts: &TenantCounts, unregistered: u64) -> String {
    let shown = counts.sample.join(", ");
    match unregistered.saturating_sub(counts.sample.len() as u64) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn raise(finding: Finding, counts: &TenantCounts, epoch: &Epoch, world: &World) -> Alert {
    let entities = counts.sample.iter().map(|id| EntityRef { kind: "agent".to_owned(), id: id.clone() });
    let subject = Subject {
        tenant: &counts.tenant,
        entity: ("tenant", &counts.tenant),
        time: epoch.until,
        entities: entities.collect(),
        risk: 0.0,
    };
    alert(finding, &subject, None, world)
}

fn base(kind: &'static str, epoch: &Epoch) -> Finding {
    Finding {
        basis: vec![Basis::Undeclared],
        severity: Severity::Low,
        techniques: Techniques { attack: &[], atlas: &[], owasp: &["ASI03", "ASI10"] },
        ..Finding::deterministic("inventory", kind, format!("epoch/{}", epoch.until))
    }
}
