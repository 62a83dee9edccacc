//! Hashes that others can compute again: the id of a record without one, the key of a category, the hash of a mention.

use blake2::digest::consts::U5;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2bMac, Digest};
use xxhash_rust::xxh3;

/// The 128-bit XXH3 of a record's bytes.
pub fn record_hash(record: &[u8]) -> u128 {
    xxh3::xxh3_128(record)
}

/// The id of an event whose producer gave none: `h-` and the record's hash in 32 hexadecimal digits, and `-` and the
/// event's index where one record holds several.
///
/// ```
/// assert_eq!(driftline_core::record_id(0xfe, None), "h-000000000000000000000000000000fe");
/// assert_eq!(driftline_core::record_id(0xfe, Some(3)), "h-000000000000000000000000000000fe-3");
/// ```
pub fn record_id(hash: u128, index: Option<usize>) -> String {
    match index {
        None => format!("h-{hash:032x}"),
        Some(index) => format!("h-{hash:032x}-{index}"),
    }
}

/// The 64-bit key under which a category (a tool, a resource) is counted: XXH3 of its parts, seeded by its dimension,
/// so that the same name in two dimensions has two keys.
pub fn key(dimension: u8, parts: [&str; 2]) -> u64 {
    let first = xxh3::xxh3_64_with_seed(parts[0].as_bytes(), u64::from(dimension));
    if parts[1].is_empty() { first } else { xxh3::xxh3_64_with_seed(parts[1].as_bytes(), first) }
}

/// The key under which two categories are counted together (a tool after another one): XXH3 of both keys, seeded by the
/// dimension.
pub fn pair_key(dimension: u8, pair: [u64; 2]) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&pair[0].to_le_bytes());
    bytes[8..].copy_from_slice(&pair[1].to_le_bytes());
    xxh3::xxh3_64_with_seed(&bytes, u64::from(dimension))
}

/// The hash that `result.mentions` holds for an identifier: the 5-byte BLAKE2b digest, in hexadecimal, of the
/// identifier in lower case without spaces and punctuation, keyed where `secret` is not empty (RFC 7693; the key is
/// cut at the 64 bytes that BLAKE2b takes).
///
/// ```
/// use driftline_core::mention;
/// assert_eq!(mention("Bob@Example.org", b""), mention("bob example org", b""));
/// assert_ne!(mention("bob@example.org", b""), mention("bob@example.org", b"site key"));
/// assert_eq!(mention("bob@example.org", b"").len(), 10);
/// ```
pub fn mention(identifier: &str, secret: &[u8]) -> String {
    digest(identifier, secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of an identifier ([`mention`]) as the 40-bit number that its digits write.
pub fn mention_number(identifier: &str, secret: &[u8]) -> u64 {
    digest(identifier, secret).iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn digest(identifier: &str, secret: &[u8]) -> [u8; 5] {
    let normal: String = identifier.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if secret.is_empty() {
        return blake2::Blake2b::<U5>::digest(normal.as_bytes()).into();
    }
    match <Blake2bMac<U5> as KeyInit>::new_from_slice(&secret[..secret.len().min(64)]) {
        Ok(mac) => mac.chain_update(normal.as_bytes()).finalize().into_bytes().into(),
        // A key of 1 to 64 bytes is always taken.
        Err(_) => unreachable!("BLAKE2b takes keys of up to 64 bytes"),
    }
}
