//! The keys of state records; the layout stands in [`crate::state`].

use std::fmt;

use crate::state::StateError;

/// What an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The partition itself, or a part of what it says about many.
    Partition = 0,
    /// An agent.
    Agent = 1,
}

/// Whose state a record holds a section of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity<'k> {
    /// What it is.
    pub kind: Kind,
    /// Its tenant; empty where there is none.
    pub tenant: &'k str,
    /// Its id: the agent's, or the peer group's of a [`Section::Group`].
    pub id: &'k str,
}

/// A part of an entity's state that changes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// What was learned of an agent.
    Baseline,
    /// What an event of an agent changes.
    Live,
    /// What the next epoch will say of a peer group.
    Group,
    /// What the next epoch will say of a tenant.
    Tenant,
    /// The name of the category with this key.
    Name(u64),
    /// How many new agents there were in an hour.
    Arrivals,
}

impl Section {
    /// Its number in keys and values.
    pub const fn number(self) -> u8 {
        match self {
            Self::Baseline => 1,
            Self::Live => 2,
            Self::Group => 3,
            Self::Tenant => 4,
            Self::Name(_) => 5,
            Self::Arrivals => 6,
        }
    }

    /// Of which kind of entity it is a section.
    const fn kind(self) -> Kind {
        match self {
            Self::Baseline | Self::Live => Kind::Agent,
            Self::Group | Self::Tenant | Self::Name(_) | Self::Arrivals => Kind::Partition,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str("baseline"),
            Self::Live => f.write_str("live"),
            Self::Group => f.write_str("group"),
            Self::Tenant => f.write_str("tenant"),
            Self::Name(key) => write!(f, "name of {key:016x}"),
            Self::Arrivals => f.write_str("arrivals"),
        }
    }
}

/// The key of a state record: a section of an entity.
///
/// ```
/// use driftline_detectors::state::{Key, Section};
///
/// let bytes = Key::agent("acme", "support-assistant", Section::Live).encode();
/// let key = Key::parse(&bytes)?;
/// assert_eq!((key.entity.tenant, key.entity.id, key.section), ("acme", "support-assistant", Section::Live));
/// # Ok::<(), driftline_detectors::state::StateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'k> {
    /// The entity.
    pub entity: Entity<'k>,
    /// The section.
    pub section: Section,
}

impl<'k> Key<'k> {
    /// A section of an agent.
    pub const fn agent(tenant: &'k str, id: &'k str, section: Section) -> Self {
        Self { entity: Entity { kind: Kind::Agent, tenant, id }, section }
    }

    /// A section of the partition.
    pub const fn partition(tenant: &'k str, id: &'k str, section: Section) -> Self {
        Self { entity: Entity { kind: Kind::Partition, tenant, id }, section }
    }

    /// The key's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Entity { kind, tenant, id } = self.entity;
        let mut bytes = Vec::with_capacity(tenant.len() + id.len() + 16);
        bytes.push(kind as u8);
        put_text(&mut bytes, tenant);
        put_text(&mut bytes, id);
        bytes.push(self.section.number());
        if let Section::Name(key) = self.section {
            bytes.extend_from_slice(&key.to_be_bytes());
        }
        bytes
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`StateError::Key`] where the bytes are none that [`Key::encode`] gives: damaged, of something else, or of a newer
    /// program that knows more kinds and sections.
    pub fn parse(bytes: &'k [u8]) -> Result<Self, StateError> {
        parse(bytes).ok_or_else(|| StateError::key(bytes))
    }
}

fn parse(bytes: &[u8]) -> Option<Key<'_>> {
    let (&kind, rest) = bytes.split_first()?;
    let kind = match kind {
        0 => Kind::Partition,
        1 => Kind::Agent,
        _ => return None,
    };
    let (tenant, rest) = take_text(rest)?;
    let (id, rest) = take_text(rest)?;
    let (&number, rest) = rest.split_first()?;
    let (section, rest) = match number {
        1 => (Section::Baseline, rest),
        2 => (Section::Live, rest),
        3 => (Section::Group, rest),
        4 => (Section::Tenant, rest),
        5 => {
            let (key, rest) = rest.split_first_chunk()?;
            (Section::Name(u64::from_be_bytes(*key)), rest)
        }
        6 => (Section::Arrivals, rest),
        _ => return None,
    };
    let is_whole = rest.is_empty() && section.kind() == kind;
    is_whole.then_some(Key { entity: Entity { kind, tenant, id }, section })
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    // Four groups of seven bits: no text comes near 256 MiB, and no shift can overflow.
    let last = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let (length, rest) = bytes.split_at(last + 1);
    // Zero in the last group would be a longer way to write the same length: a second key for one section.
    if last > 0 && length[last] == 0 {
        return None;
    }
    let length = length.iter().rev().fold(0usize, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn section() -> impl Strategy<Value = Section> {
        prop_oneof![
            Just(Section::Baseline),
            Just(Section::Live),
            Just(Section::Group),
            Just(Section::Tenant),
            Just(Section::Arrivals),
            any::<u64>().prop_map(Section::Name)
        ]
    }

    /// Texts that like to be taken for lengths, sections and each other.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[\\x00-\\x05a]{0,6}", ".{0,300}", "[\\x00\\x7f\\u{80}]{120,140}"]
    }

    fn of(section: Section, tenant: &'static str, id: &'static str) -> Vec<u8> {
        Key { entity: Entity { kind: section.kind(), tenant, id }, section }.encode()
    }

    proptest! {
        #[test]
        fn a_key_is_read_back(tenant in text(), id in text(), section in section()) {
            let key = Key { entity: Entity { kind: section.kind(), tenant: &tenant, id: &id }, section };
            let bytes = key.encode();
            prop_assert_eq!(Key::parse(&bytes).unwrap(), key);
            // None is the beginning of another.
            for end in 0..bytes.len() {
                prop_assert!(Key::parse(&bytes[..end]).is_err());
            }
            prop_assert!(Key::parse(&[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn bytes_that_are_read_as_a_key_are_its_only_ones(bytes in prop::collection::vec(0u8..6, 0..24)) {
            if let Ok(key) = Key::parse(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_length_has_one_way_to_be_written() {
        let plain = of(Section::Live, "", "a");
        assert_eq!(plain, [1, 0, 1, b'a', 2]);
        assert!(Key::parse(&[1, 0x80, 0, 1, b'a', 2]).is_err());
    }

    #[test]
    fn an_agents_sections_stand_side_by_side() {
        let mut keys = [
            of(Section::Live, "t", "ab"),
            of(Section::Baseline, "t", "a"),
            of(Section::Live, "t", "a"),
            of(Section::Name(7), "", ""),
            of(Section::Baseline, "t", "ab"),
            of(Section::Group, "t", "a"),
        ];
        keys.sort();
        let entities: Vec<_> = keys.iter().map(|key| Key::parse(key).unwrap().entity).collect();
        assert_eq!(entities.iter().map(|entity| entity.kind as u8).collect::<Vec<_>>(), [0, 0, 1, 1, 1, 1]);
        assert!(entities[2] == entities[3] && entities[4] == entities[5]);
    }
}
