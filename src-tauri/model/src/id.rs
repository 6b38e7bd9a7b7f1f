//! Identities: UUIDv7 newtypes, and the short ids people read, say and type.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Draws random bits for ids; the orchestrator's simulation passes a seeded one.
pub trait Draw: Send + Sync {
    /// Ten random bytes.
    fn bytes(&mut self) -> [u8; 10];
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDraw;

impl Draw for SystemDraw {
    fn bytes(&mut self) -> [u8; 10] {
        let random = *Uuid::new_v4().as_bytes();
        let mut bytes = [0; 10];
        // Bytes 6 and 8 of a v4 UUID carry its version and variant: leave them out.
        bytes[..6].copy_from_slice(&random[..6]);
        bytes[6..].copy_from_slice(&random[10..14]);
        bytes
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an id from the time and random bits (UUIDv7, RFC 9562).
            #[must_use]
            pub fn draw(now: Timestamp, draw: &mut dyn Draw) -> Self {
                let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &draw.bytes()).into_uuid())
            }

            /// Wraps a UUID read back from storage.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

id!(/// Identifies a mission.
    MissionId);
id!(/// Identifies an attempt.
    AttemptId);
id!(/// Identifies an agent.
    AgentId);
id!(/// Identifies an event.
    EventId);
id!(/// Identifies an entry of the outbox.
    EffectId);
id!(/// Identifies a devlog.
    DevlogId);
id!(/// Identifies a checkpoint.
    CheckpointId);
id!(/// Identifies something in the trash.
    TrashId);
id!(/// Identifies a topic.
    TopicId);
id!(/// Identifies a message.
    MessageId);
id!(/// Links the messages that were sent together.
    BroadcastId);
id!(/// Identifies what an agent asked.
    RequestId);
id!(/// Identifies a permission rule.
    RuleId);
id!(/// Identifies an access token.
    TokenId);
id!(/// Identifies a browser that signed in.
    LoginId);
id!(/// Identifies a hook.
    HookId);
id!(/// Identifies a health check of the captain's own.
    CheckId);
id!(/// Identifies a time of maintenance.
    MaintenanceId);
id!(/// Links everything one request caused.
    CorrelationId);

/// Crockford's base 32: no I, L, O, U, so that nothing is misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a short id before it must grow to stay unique.
pub const SHORT_ID_LEN: usize = 4;
/// The longest short id; 2^60 missions are not expected in one workspace.
pub const SHORT_ID_LEN_MAX: usize = 12;

/// The readable id of a mission, such as `M-7K2P`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "M-7K2P")]
pub struct ShortId(String);

/// A text that is not a short id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a mission id such as M-7K2P")]
pub struct NotAShortId(pub String);

impl ShortId {
    /// Derives the short id of `len` characters from the random end of a mission's id.
    ///
    /// The store asks for a longer one when the first is taken.
    #[must_use]
    pub fn derive(id: MissionId, len: usize) -> Self {
        let mut bits = u64::from_be_bytes(last_eight(id.as_uuid()));
        let mut text = String::from("M-");
        for _ in 0..len.clamp(SHORT_ID_LEN, SHORT_ID_LEN_MAX) {
            text.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        Self(text)
    }

    /// The text, upper case, with its `M-`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what a person typed as a (prefix of a) short id: any case, `M-` optional,
    /// `o`, `i` and `l` read as the digits they look like.
    ///
    /// # Errors
    /// When the text holds a character that no short id has, nothing, or too much.
    pub fn normalise(text: &str) -> Result<String, NotAShortId> {
        let upper = text.trim().to_ascii_uppercase();
        let digits = upper.strip_prefix("M-").unwrap_or(&upper);
        let wrong = || NotAShortId(text.to_owned());
        if digits.is_empty() || digits.len() > SHORT_ID_LEN_MAX {
            return Err(wrong());
        }
        let mut out = String::from("M-");
        for ch in digits.chars() {
            let ch = match ch {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if !ch.is_ascii() || !ALPHABET.contains(&(ch as u8)) {
                return Err(wrong());
            }
            out.push(ch);
        }
        Ok(out)
    }
}

fn last_eight(uuid: Uuid) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&uuid.as_bytes()[8..]);
    out
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ShortId {
    type Err = NotAShortId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let normal = Self::normalise(text)?;
        if normal.len() < 2 + SHORT_ID_LEN {
            return Err(NotAShortId(text.to_owned()));
        }
        Ok(Self(normal))
    }
}

impl<'de> Deserialize<'de> for ShortId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Fixed(u8);
    impl Draw for Fixed {
        fn bytes(&mut self) -> [u8; 10] {
            self.0 = self.0.wrapping_add(1);
            [self.0; 10]
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let early = MissionId::draw(Timestamp::from_second(10).unwrap(), &mut Fixed(200));
        let late = MissionId::draw(Timestamp::from_second(11).unwrap(), &mut Fixed(1));
        assert!(early < late);
    }

    #[test]
    fn a_short_id_is_read_as_a_person_types_it() {
        let check = |typed: &str, read: Option<&str>| {
            assert_eq!(ShortId::normalise(typed).ok().as_deref(), read, "{typed}");
        };
        check("m-7k2p", Some("M-7K2P"));
        check("7K", Some("M-7K"));
        check(" M-OIL ", Some("M-011"));
        check("M-", None);
        check("M-7K2!", None);
        check("../../etc", None);
        check("M-ÄÖÜß", None);
    }

    proptest! {
        #[test]
        fn every_derived_short_id_reads_back_as_itself(bits: [u8; 16], len in 0usize..20) {
            let short = ShortId::derive(MissionId::from_uuid(Uuid::from_bytes(bits)), len);
            prop_assert_eq!(short.as_str().parse::<ShortId>().unwrap(), short);
        }

        #[test]
        fn no_typed_text_panics(text: String) {
            let _ = ShortId::normalise(&text);
        }
    }
}
