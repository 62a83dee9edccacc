//! What a partition holds besides its agents: what was gathered for the next epoch, in a record a group and a record a
//! tenant, and the names of categories, a record each, so that nothing grows with the fleet.

use driftline_core::{KeyCount, TenantCounts, Timestamp};
use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::contribution::{Contribution, Part};
use crate::lexicon::Lexicon;
use crate::state::value::seal;
use crate::state::{Key, Section, StateRecord, wire};

/// Part of the format ([`crate::state`]): agents, and categories in order of dimension and key.
#[derive(Serialize, Deserialize)]
pub struct GroupBody(pub u64, pub Vec<KeyCount>);

/// The same, as version 3 has it: and judgements begun.
#[derive(Serialize, Deserialize)]
pub struct GroupBody3(pub GroupBody, pub u64);

/// Part of the format ([`crate::state`]): registered, unregistered, a sample of these, turned away.
#[derive(Serialize, Deserialize)]
pub struct TenantBody(pub u64, pub u64, pub Vec<String>, pub u64);

/// Part of the format ([`crate::state`]): the hour's beginning, and by tenant in order how many came.
#[derive(Serialize, Deserialize)]
pub struct ArrivalsBody<'a>(#[serde(with = "wire::millis")] Timestamp, #[serde(borrow)] Vec<(&'a str, u64)>);

impl ArrivalsBody<'_> {
    /// The arrivals that it says.
    pub fn arrivals(self) -> Arrivals {
        Arrivals::of(self.0, self.1.into_iter().map(|(tenant, agents)| (tenant.into(), agents)).collect())
    }
}

/// Part of the format ([`crate::state`]).
#[derive(Serialize, Deserialize)]
pub struct NameBody<'a>(#[serde(borrow)] pub &'a str);

impl TenantBody {
    fn of(counts: &TenantCounts) -> Self {
        Self(counts.registered, counts.unregistered, counts.sample.clone(), counts.turned_away)
    }

    /// The counts of the tenant that the key names.
    pub fn counts(self, tenant: &str) -> TenantCounts {
        let Self(registered, unregistered, sample, turned_away) = self;
        TenantCounts { tenant: tenant.to_owned(), registered, unregistered, sample, turned_away }
    }
}

/// All that was gathered for the next epoch.
pub fn contributed(contribution: &Contribution) -> impl Iterator<Item = StateRecord> {
    contribution.parts().map(|part| match part {
        Part::Group { tenant, group, agents, tests, keys } => {
            seal(Key::partition(tenant, group, Section::Group), &GroupBody3(GroupBody(agents, keys), tests))
        }
        Part::Tenant(counts) => seal(Key::partition(&counts.tenant, "", Section::Tenant), &TenantBody::of(counts)),
    })
}

/// The record of an hour's new agents, once there were any.
pub fn arrivals(arrivals: &Arrivals) -> Option<StateRecord> {
    let tenants = arrivals.tenants.iter().map(|(tenant, &agents)| (&**tenant, agents)).collect();
    let record = || seal(Key::partition("", "", Section::Arrivals), &ArrivalsBody(arrivals.hour, tenants));
    (!arrivals.tenants.is_empty()).then(record)
}

/// The record of a category's name.
pub fn name(lexicon: &Lexicon, key: u64) -> Option<StateRecord> {
    Some(seal(Key::partition("", "", Section::Name(key)), &NameBody(lexicon.get(key)?)))
}
