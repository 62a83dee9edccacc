//! What can be wrong with a state record.

use std::fmt;

use driftline_core::{terminal, truncate};

use crate::state::VERSION;
use crate::state::key::{Entity, Key, Kind};

/// Most bytes of a key that are shown where it cannot be read.
const SHOWN: usize = 48;

/// A section of an entity, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// What the entity is.
    pub kind: Kind,
    /// Its tenant; empty where there is none.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// The section, in words.
    pub section: String,
}

impl At {
    pub(crate) fn of(key: Key<'_>) -> Box<Self> {
        let Entity { kind, tenant, id } = key.entity;
        Box::new(Self { kind, tenant: tenant.to_owned(), id: id.to_owned(), section: key.section.to_string() })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |text: &str| terminal(&truncate(text, 120)).into_owned();
        write!(f, "section `{}` of ", self.section)?;
        match self.kind {
            Kind::Agent => write!(f, "agent `{}`", show(&self.id))?,
            Kind::Partition if self.id.is_empty() => f.write_str("the partition")?,
            Kind::Partition => write!(f, "peer group `{}`", show(&self.id))?,
        }
        if self.tenant.is_empty() { Ok(()) } else { write!(f, " of tenant `{}`", show(&self.tenant)) }
    }
}

/// State that cannot be taken back. What was read before it must not be used either: an engine that knows only part of
/// what it knew raises other alerts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The key is none of a state record.
    #[error(
        "`{key}` is no key of a state record: it is damaged, of something else, or of a newer program (run that one, or \
         rebuild the state from the changelog or from history)"
    )]
    Key {
        /// Its first bytes, in hexadecimal.
        key: String,
    },
    /// The value is of a version of the format that this program does not know.
    #[error(
        "{at} is in version {found} of the format, and this program reads versions 1 to {VERSION}: run the program that \
         wrote it (a newer one?), or rebuild the state from the changelog or from history"
    )]
    Version {
        /// Of what.
        at: Box<At>,
        /// The version that was found.
        found: u8,
    },
    /// The value ends too early.
    #[error("{at} is cut off: {bytes} bytes are left; rebuild the state from the changelog or from history")]
    Truncated {
        /// Of what.
        at: Box<At>,
        /// Bytes that are there.
        bytes: usize,
    },
    /// The value says that it is of another section.
    #[error("{at} holds section number {found}: it stands under another's key; rebuild the state from the changelog")]
    Section {
        /// Of what.
        at: Box<At>,
        /// The number that was found.
        found: u8,
    },
    /// The checksum does not agree.
    #[error(
        "{at} does not agree with its checksum: it is damaged, or stands under another's key; rebuild the state from the \
         changelog or from history"
    )]
    Checksum {
        /// Of what.
        at: Box<At>,
    },
    /// The body is not what its version has, though its checksum agrees.
    #[error(
        "{at} is no state of the version that it is said to be of: {reason}; was it written by an unreleased program?"
    )]
    Body {
        /// Of what.
        at: Box<At>,
        /// What does not fit.
        reason: String,
    },
    /// An agent has one of its sections and not the other.
    #[error(
        "{at} is missing while the agent's other one is there: rebuild the state from the changelog or from history"
    )]
    Incomplete {
        /// What is missing.
        at: Box<At>,
    },
}

impl StateError {
    pub(crate) fn key(bytes: &[u8]) -> Self {
        let shown: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
        Self::Key { key: if bytes.len() > SHOWN { shown + "…" } else { shown } }
    }
}
