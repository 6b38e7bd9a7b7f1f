//! The hash chain: each event's hash covers the one before and the event exactly as it is stored.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// What the first event's hash covers in place of a predecessor.
pub(crate) const GENESIS: Hash = [0; 32];

/// Where the log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The last event's place; 0 when there is none.
    pub(crate) seq: u64,
    /// The last event's hash.
    pub(crate) hash: Hash,
}

impl Tail {
    /// The end of a log without events.
    pub(crate) const EMPTY: Self = Self { seq: 0, hash: GENESIS };
}

/// Collects the fields of one event.
pub(crate) struct Link(Sha256);

impl Link {
    /// Begins with the hash of the event before.
    pub(crate) fn after(previous: &Hash) -> Self {
        let mut hash = Sha256::new();
        hash.update(previous);
        Self(hash)
    }

    /// Adds a number.
    pub(crate) fn number(self, value: i64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Adds bytes with their length, so that no two events read the same.
    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.update([1]);
        self.0.update((value.len() as u64).to_be_bytes());
        self.0.update(value);
        self
    }

    /// Adds bytes that may be absent.
    pub(crate) fn maybe(mut self, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.bytes(value),
            None => {
                self.0.update([0]);
                self
            }
        }
    }

    /// The hash.
    pub(crate) fn seal(self) -> Hash {
        self.0.finalize().into()
    }
}

/// A hash as text.
pub(crate) fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a hash from text.
pub(crate) fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(hash)
}
