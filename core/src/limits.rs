//! Bounds on everything that comes from outside, checked before a record is parsed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on records and on what is kept of them.
///
/// A record past `record_bytes`, `depth` or `string_bytes` is rejected: it goes to the dead letters with the bound as its
/// reason. Past the others nothing is rejected: the event is scored, but what would not fit is not learned, and a metric
/// counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest record, in bytes. Default 1 MiB.
    pub record_bytes: usize,
    /// Deepest nesting of objects and arrays in a record. Default 64; at most 512, so that no parser's stack is at risk.
    pub depth: usize,
    /// Longest string in a record, in bytes as it is written, escapes included. Default 64 KiB.
    pub string_bytes: usize,
    /// Distinct tools, and distinct resources, that are kept for an agent. Default 1,024.
    pub keys_per_agent: usize,
    /// Agents that are kept for a tenant in one partition. Default 1,000,000.
    pub agents_per_tenant: usize,
    /// Agents without an identity document that a tenant may bring to one partition in an hour of event time; all tenants
    /// together may bring twice as many. Agents with a document are not counted. Default 20,000: a fleet of a million without
    /// documents is known on twelve partitions within five hours, and made-up ids end there.
    pub new_agents_per_hour: usize,
    /// Tenants that are kept in one partition. Default 1,000.
    pub tenants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 1 << 20,
            depth: 64,
            string_bytes: 64 << 10,
            keys_per_agent: 1024,
            agents_per_tenant: 1_000_000,
            new_agents_per_hour: 20_000,
            tenants: 1_000,
        }
    }
}

/// The bound that a record is past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Record,
    Depth,
    String,
    /// Not past a bound: after `\\u` the parser passes over four bytes of a string that nobody reads, whatever they are. A
    /// quote among them would end the string for these counts and not for the parser.
    Escape,
}

impl Limits {
    /// The deepest nesting that [`Limits::depth`] may be set to.
    pub const MAX_DEPTH: usize = 512;

    /// Whether a record keeps to the first three bounds. A parser meets nothing deeper or longer afterwards, whatever
    /// the record holds: brackets and quotes are counted as JSON has them, and where the text is no JSON at all the
    /// parser stops where the counts stop making sense.
    pub(crate) fn check(&self, record: &[u8]) -> Result<(), Excess> {
        if record.len() > self.record_bytes {
            return Err(Excess::Record);
        }
        if !escapes_are_whole(record) {
            return Err(Excess::Escape);
        }
        // Fewer opening brackets than the bound, wherever they stand, cannot nest deeper than it, and no string is
        // longer than its record: nearly all records pass on this look, which is vector code.
        let brackets = bytecount::count(record, b'{') + bytecount::count(record, b'[');
        if brackets <= self.depth && record.len() <= self.string_bytes {
            return Ok(());
        }
        self.walk(record)
    }

    fn walk(&self, record: &[u8]) -> Result<(), Excess> {
        let mut depth = 0usize;
        let mut string_start = None;
        let mut escaped = false;
        for (i, &byte) in record.iter().enumerate() {
            if let Some(start) = string_start {
                if i - start > self.string_bytes {
                    return Err(Excess::String);
                }
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => string_start = None,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => string_start = Some(i + 1),
                b'{' | b'[' => {
                    depth += 1;
                    if depth > self.depth {
                        return Err(Excess::Depth);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether four hexadecimal digits follow each `\\u`.
fn escapes_are_whole(mut rest: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let after = rest.get(at + 1..).unwrap_or_default();
        if after.first() == Some(&b'u')
            && !after.get(1..5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        {
            return false;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits { record_bytes: 1000, depth: 4, string_bytes: 8, ..Limits::default() }
    }

    #[test]
    fn bounds_are_inclusive() {
        assert_eq!(small().check(b"[[[[]]]]"), Ok(()));
        assert_eq!(small().check(b"[[[[[]]]]]"), Err(Excess::Depth));
        assert_eq!(small().check(br#"["12345678"]"#), Ok(()));
        assert_eq!(small().check(br#"["123456789"]"#), Err(Excess::String));
        assert_eq!(small().check(&[b' '; 1000]), Ok(()));
        assert_eq!(small().check(&[b' '; 1001]), Err(Excess::Record));
    }

    #[test]
    fn an_escape_without_its_digits_is_found_wherever_it_stands() {
        for broken in [r#""\u12"#, r#""\u12" "#, r#""a\\\u00g0""#, r#"{"\u""#] {
            assert_eq!(small().check(broken.as_bytes()), Err(Excess::Escape), "{broken}");
        }
        for whole in [r#""\u00e9""#, r#""\\u12""#, r#""\n\u0041""#, r#""\""#] {
            assert!(escapes_are_whole(whole.as_bytes()), "{whole}");
        }
    }

    #[test]
    fn brackets_inside_strings_and_side_by_side_do_not_nest() {
        assert_eq!(small().check(br#"["[[[["]"#), Ok(()));
        assert_eq!(small().check(br#"["\"[[[["]"#), Ok(()));
        assert_eq!(small().check(b"[[],[],[],[],[],[]]"), Ok(()));
    }
}
