//! The values of state records: version, section, body, checksum; the layout stands in [`crate::state`].

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::state::error::At;
use crate::state::{Key, StateError, StateRecord};

/// The version of the format that this program writes; it reads all from 1 on.
pub const VERSION: u8 = 5;

const HEADER: usize = 2;
const CHECKSUM: usize = 8;

/// Makes the record of a section.
pub fn seal(key: Key<'_>, body: &impl Serialize) -> StateRecord {
    let (section, key) = (key.section.number(), key.encode());
    let mut value = Vec::with_capacity(512);
    value.extend_from_slice(&[VERSION, section]);
    let Ok(mut value) = postcard::to_extend(body, value) else {
        // Memory does not run out as an error, and no type here has a sequence of unknown length.
        unreachable!("a section of state is always written")
    };
    let checksum = checksum(&key, &value);
    value.extend_from_slice(&checksum.to_le_bytes());
    StateRecord { key, value: Some(value) }
}

/// Reads the body of a section; `key` is what `bytes` were parsed to.
pub fn open<'v, T: Deserialize<'v>>(key: Key<'_>, bytes: &[u8], value: &'v [u8]) -> Result<T, StateError> {
    let body = |reason: String| StateError::Body { at: At::of(key), reason };
    match postcard::take_from_bytes(unseal(key, bytes, value)?) {
        Ok((read, [])) => Ok(read),
        Ok((_, rest)) => Err(body(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(body(error.to_string())),
    }
}

/// A value's body, if the value is whole, of this version, and stands under its own key.
pub fn unseal<'v>(key: Key<'_>, bytes: &[u8], value: &'v [u8]) -> Result<&'v [u8], StateError> {
    let at = || At::of(key);
    match value {
        [] => return Err(StateError::Truncated { at: at(), bytes: 0 }),
        [found, ..] if !(1..=VERSION).contains(found) => return Err(StateError::Version { at: at(), found: *found }),
        _ => {}
    }
    let Some((sealed, sum)) = value.split_last_chunk::<CHECKSUM>().filter(|(sealed, _)| sealed.len() >= HEADER) else {
        return Err(StateError::Truncated { at: at(), bytes: value.len() });
    };
    if sealed[1] != key.section.number() {
        return Err(StateError::Section { at: at(), found: sealed[1] });
    }
    if checksum(bytes, sealed) != u64::from_le_bytes(*sum) {
        return Err(StateError::Checksum { at: at() });
    }
    Ok(&sealed[HEADER..])
}

/// The version of the format that a value is of; 0 where it has no bytes.
pub fn version_of(value: &[u8]) -> u8 {
    value.first().copied().unwrap_or_default()
}

/// The checksum that a value ends with: what tells one value of a key from another.
pub fn checksum_of(value: &[u8]) -> u64 {
    value.split_last_chunk::<CHECKSUM>().map_or(0, |(_, sum)| u64::from_le_bytes(*sum))
}

fn checksum(key: &[u8], sealed: &[u8]) -> u64 {
    xxh3_64_with_seed(sealed, xxh3_64(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Section;

    const KEY: Key<'_> = Key::agent("acme", "a", Section::Live);

    fn sealed() -> StateRecord {
        seal(KEY, &(7u32, "body"))
    }

    fn opened(key: Key<'_>, value: &[u8]) -> Result<(u32, String), StateError> {
        open(key, &key.encode(), value)
    }

    #[test]
    fn what_is_sealed_is_opened() {
        assert_eq!(opened(KEY, &sealed().value.unwrap()), Ok((7, "body".to_owned())));
    }

    #[test]
    fn no_bit_may_change_and_no_byte_be_missing() {
        let value = sealed().value.unwrap();
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = opened(KEY, &damaged).unwrap_err();
            match bit / 8 {
                // Bit by bit, a version may become another that is read, or one that is not.
                0 => assert!(matches!(error, StateError::Version { .. } | StateError::Checksum { .. }), "{error}"),
                1 => assert!(matches!(error, StateError::Section { .. }), "{error}"),
                _ => assert!(matches!(error, StateError::Checksum { .. }), "{error}"),
            }
        }
        for end in 0..value.len() {
            let error = opened(KEY, &value[..end]).unwrap_err();
            let is_named = match end {
                ..10 => matches!(error, StateError::Truncated { bytes, .. } if bytes == end),
                _ => matches!(error, StateError::Checksum { .. }),
            };
            assert!(is_named, "{end}: {error}");
        }
    }

    #[test]
    fn a_value_stands_under_its_own_key_only() {
        let value = sealed().value.unwrap();
        let of = |tenant, id, section| opened(Key::agent(tenant, id, section), &value).unwrap_err();
        assert!(matches!(of("acme", "b", Section::Live), StateError::Checksum { .. }));
        assert!(matches!(of("", "a", Section::Live), StateError::Checksum { .. }));
        assert!(matches!(of("acme", "a", Section::Baseline), StateError::Section { found: 2, .. }));
    }

    #[test]
    fn a_body_of_another_shape_is_refused_and_named() {
        let error = open::<u32>(KEY, &KEY.encode(), &sealed().value.unwrap()).unwrap_err();
        assert!(matches!(&error, StateError::Body { reason, .. } if reason.contains("left over")), "{error}");
        let error = open::<(u32, [String; 3])>(KEY, &KEY.encode(), &sealed().value.unwrap()).unwrap_err();
        assert!(matches!(&error, StateError::Body { .. }), "{error}");
        assert!(error.to_string().starts_with("section `live` of agent `a` of tenant `acme`"), "{error}");
    }

    #[test]
    fn a_newer_version_says_what_to_do() {
        let mut value = sealed().value.unwrap();
        value[0] = 9;
        let error = opened(KEY, &value).unwrap_err().to_string();
        assert!(
            error.contains("version 9")
                && error.contains(&format!("reads versions 1 to {VERSION}"))
                && error.contains("rebuild"),
            "{error}"
        );
    }
}
