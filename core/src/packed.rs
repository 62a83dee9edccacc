//! Hashes, which take more bytes as numbers of variable length: little-endian, one after the other, as one run of bytes; used
//! as `#[serde(with = "…")]`.

macro_rules! hashes {
    ($(#[$doc:meta])* $name:ident, $number:ty) => {
        $(#[$doc])*
        pub mod $name {
            use std::fmt;

            use serde::Serializer;
            use serde::de::{Deserializer, Error, Visitor};

            /// Writes them.
            ///
            /// # Errors
            ///
            /// The serializer's own.
            pub fn serialize<S: Serializer>(hashes: &[$number], serializer: S) -> Result<S::Ok, S::Error> {
                let mut bytes = Vec::with_capacity(size_of_val(hashes));
                for hash in hashes {
                    bytes.extend_from_slice(&hash.to_le_bytes());
                }
                serializer.serialize_bytes(&bytes)
            }

            /// Reads them back.
            ///
            /// # Errors
            ///
            /// Where the bytes are not of whole hashes.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<$number>, D::Error> {
                struct Hashes;

                impl Visitor<'_> for Hashes {
                    type Value = Vec<$number>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "hashes of {} bytes each", size_of::<$number>())
                    }

                    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                        let (hashes, rest) = bytes.as_chunks();
                        if !rest.is_empty() {
                            return Err(E::invalid_length(bytes.len(), &self));
                        }
                        Ok(hashes.iter().map(|hash| <$number>::from_le_bytes(*hash)).collect())
                    }
                }

                deserializer.deserialize_bytes(Hashes)
            }
        }
    };
}

hashes!(
    /// Keys of categories and the like.
    keys, u64
);
hashes!(
    /// Keys cut to half.
    halves, u32
);
