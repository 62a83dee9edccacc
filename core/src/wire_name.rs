//! What the contract calls a value of one of its enumerations.

use serde::Serialize;

/// The word that the contract has for a value of one of its enumerations; empty for what is none.
///
/// ```
/// use driftline_core::{Access, wire_name};
/// assert_eq!(wire_name(Access::Read), "read");
/// ```
pub fn wire_name(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
