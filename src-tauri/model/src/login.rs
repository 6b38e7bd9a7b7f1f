//! Logins: browsers that are signed in, each a thing of its own that is listed and ended.
//!
//! What a browser proves itself with is no part of the model: two secrets that are handed out once,
//! one in a cookie that no page can read and one for the page alone, and kept as SHA-256 only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{LoginId, TokenId};

/// The longest description of a browser by itself that is kept, in characters.
pub const AGENT_CHARS_MAX: usize = 200;
/// The most browsers that are signed in as the captain at once; the oldest gives way.
pub const LOGINS_MAX: usize = 64;
/// How long a browser stays signed in as the captain, in days.
pub const CAPTAIN_DAYS: u32 = 7;
/// How long a browser stays paired, in days.
pub const PAIRED_DAYS: u32 = 30;

/// A browser that signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// Its identity, which opens nothing.
    pub id: LoginId,
    /// How it came in.
    pub via: LoginVia,
    /// The access token that says what it may do; nothing for the captain.
    pub token_id: Option<TokenId>,
    /// The browser whose link it came in by; nothing where that was made on this machine.
    #[serde(default)]
    pub made_by: Option<LoginId>,
    /// The page it signed in from, such as `http://127.0.0.1:7171`; it is good for nothing elsewhere.
    #[schema(example = "http://127.0.0.1:7171")]
    pub origin: String,
    /// The address it came from; nothing through the Unix socket.
    #[schema(example = "127.0.0.1")]
    pub from: Option<String>,
    /// What it calls itself, shortened; nothing of it is true for certain.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")]
    pub agent: String,
    /// When it signed in.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// How it was ended before that.
    pub ended: Option<LoginEnded>,
}

impl Login {
    /// Whether it opens anything at that time.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires_at
    }

    /// Whether this login took the place of that one, in the same browser.
    #[must_use]
    pub fn is_instead_of(&self, old: &Self) -> bool {
        let again = LoginEnded { at: self.made_at, why: LoginEnd::Again };
        self.id != old.id && old.ended == Some(again)
    }
}

/// How a browser came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginVia {
    /// By the one-time code of a login link, as the captain.
    Code,
    /// By the one-time code of a pairing, with a token of its own.
    Pairing,
}

impl LoginVia {
    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Pairing => "pairing",
        }
    }
}

/// That a login was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginEnded {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub why: LoginEnd,
}

/// Why a login was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginEnd {
    /// The browser signed out.
    SignedOut,
    /// It was ended from elsewhere.
    Revoked,
    /// The browser signed in again, by the login that was made at the time of this end.
    Again,
    /// Too many were signed in; the oldest gave way.
    Crowded,
    /// Its access token was revoked.
    TokenRevoked,
}

impl LoginEnd {
    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Revoked => "revoked",
            Self::Again => "again",
            Self::Crowded => "crowded",
            Self::TokenRevoked => "token_revoked",
        }
    }
}

/// What a browser says of itself, made fit to be kept: one line of printable text, not too long.
#[must_use]
pub fn agent_text(said: &str) -> String {
    said.chars().filter(|ch| !ch.is_control()).take(AGENT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::id::SystemDraw;

    #[test]
    fn a_login_is_valid_until_its_end_or_until_it_is_ended() {
        let now = Timestamp::UNIX_EPOCH;
        let end = now + SignedDuration::from_hours(1);
        let login = Login {
            id: LoginId::draw(now, &mut SystemDraw),
            via: LoginVia::Code,
            token_id: None,
            made_by: None,
            origin: "http://127.0.0.1:7171".into(),
            from: Some("127.0.0.1".into()),
            agent: String::new(),
            made_at: now,
            expires_at: end,
            ended: None,
        };
        assert!(login.is_valid(now));
        assert!(!login.is_valid(end));
        let ended = Some(LoginEnded { at: now, why: LoginEnd::SignedOut });
        assert!(!Login { ended, ..login }.is_valid(now));
    }

    #[test]
    fn the_words_are_those_of_the_wire() {
        for via in [LoginVia::Code, LoginVia::Pairing] {
            assert_eq!(serde_json::to_value(via).unwrap(), via.as_str());
        }
        for why in [
            LoginEnd::SignedOut,
            LoginEnd::Revoked,
            LoginEnd::Again,
            LoginEnd::Crowded,
            LoginEnd::TokenRevoked,
        ] {
            assert_eq!(serde_json::to_value(why).unwrap(), why.as_str());
        }
    }

    proptest! {
        #[test]
        fn what_a_browser_says_of_itself_is_one_short_line(said: String) {
            let kept = agent_text(&said);
            prop_assert!(kept.chars().count() <= AGENT_CHARS_MAX);
            prop_assert!(!kept.chars().any(char::is_control));
        }
    }
}
