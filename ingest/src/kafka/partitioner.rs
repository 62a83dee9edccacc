//! Which partition a key belongs to, as Kafka's Java clients have it.

/// The partition of a key: `(murmur2(key) & 0x7fffffff) % partitions`, as in Kafka's
/// `BuiltInPartitioner.partitionForKey`, and as librdkafka does with `partitioner=murmur2_random`.
///
/// # Panics
///
/// Where `partitions` is 0 or less: a topic has one at least.
///
/// ```
/// assert_eq!(driftline_ingest::kafka::partition_of(b"support-assistant", 12), 0);
/// ```
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions
}

/// 32-bit MurmurHash2 with the seed that Kafka uses (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let (words, rest) = data.as_chunks::<4>();
    // A key is shorter than 2 GiB; Java's lengths are 32 bits wide.
    let mut hash = SEED ^ data.len() as u32;
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// What a record's key holds, as the producers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keyed {
    /// The agent's id.
    #[default]
    Agent,
    /// Tenant and agent id, joined by a slash.
    TenantAgent,
    /// Nothing that says where a record belongs.
    None,
}

impl Keyed {
    /// Whether a record with this key, read from this partition of so many, is where all records of the agent are: its
    /// key is the agent's, and hashes to the partition.
    ///
    /// ```
    /// use driftline_ingest::kafka::Keyed;
    ///
    /// assert!(Keyed::Agent.belongs(Some(b"support-assistant"), "acme", "support-assistant", 0, 12));
    /// assert!(!Keyed::Agent.belongs(Some(b"support-assistant"), "acme", "support-assistant", 11, 12));
    /// assert!(!Keyed::TenantAgent.belongs(Some(b"support-assistant"), "acme", "support-assistant", 0, 12));
    /// ```
    pub fn belongs(self, key: Option<&[u8]>, tenant: &str, agent: &str, partition: i32, partitions: i32) -> bool {
        let Some(key) = key else { return false };
        let is_agents = match self {
            Self::Agent => key == agent.as_bytes(),
            // Compared in parts: nothing is allocated for a record that is where it belongs.
            Self::TenantAgent => key
                .strip_prefix(tenant.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"/"))
                .is_some_and(|rest| rest == agent.as_bytes()),
            Self::None => false,
        };
        is_agents && partition_of(key, partitions) == partition
    }

    /// The key under which an agent's records are sent on.
    pub fn key(self, tenant: &str, agent: &str) -> String {
        match self {
            Self::Agent => agent.to_owned(),
            // Where the source isn't keyed, nothing says that agent ids are unique across tenants.
            Self::TenantAgent | Self::None => format!("{tenant}/{agent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_tests() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        let cases: [(&[u8], i32); 8] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
            (b"a", -1563381124),
            (b"", 275646681),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn a_record_belongs_where_its_agents_key_hashes_to() {
        let key = b"acme/a".as_slice();
        let home = partition_of(key, 7);
        assert!(Keyed::TenantAgent.belongs(Some(key), "acme", "a", home, 7));
        assert!(!Keyed::TenantAgent.belongs(Some(key), "acme", "b", home, 7), "another agent's key");
        assert!(!Keyed::TenantAgent.belongs(Some(b"acmea"), "acme", "a", partition_of(b"acmea", 7), 7));
        assert!(!Keyed::TenantAgent.belongs(None, "acme", "a", home, 7));
        assert!(!Keyed::None.belongs(Some(key), "acme", "a", home, 7));
        for keyed in [Keyed::Agent, Keyed::TenantAgent] {
            let key = keyed.key("acme", "a");
            assert!(keyed.belongs(Some(key.as_bytes()), "acme", "a", partition_of(key.as_bytes(), 7), 7));
        }
    }
}
