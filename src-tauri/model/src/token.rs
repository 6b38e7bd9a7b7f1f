//! Access tokens: named keys that programs and paired browsers show, with a role, scopes and an end.
//!
//! The secret itself is no part of the model: it is shown once when it is made, and only its SHA-256
//! is kept, beside the [`AccessToken`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AgentId, LoginId, MissionId, TokenId};

/// What the secret of every access token starts with.
pub const TOKEN_PREFIX: &str = "hk_t_";
/// How many characters of a secret are kept in clear, so that it can be told from others.
pub const PREFIX_CHARS: usize = 12;
/// How many characters a secret has: its beginning and 256 bits as hexadecimal digits.
pub const SECRET_CHARS: usize = TOKEN_PREFIX.len() + 64;
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 80;
/// The most scopes of one token.
pub const SCOPES_MAX: usize = 20;
/// The most tokens that are not revoked.
pub const TOKENS_MAX: usize = 500;
/// The longest a token is valid, in days, unless it is valid until it is revoked.
pub const DAYS_MAX: u32 = 3_650;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessToken {
    /// Its identity.
    pub id: TokenId,
    /// What it is for, in the captain's words.
    pub name: String,
    /// The first characters of its secret, to tell it from others.
    #[schema(example = "hk_t_3f9a1c2")]
    pub prefix: String,
    /// What its holder may do.
    pub role: TokenRole,
    /// Where its holder may do it; everywhere when there are none.
    pub scopes: Vec<TokenScope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// When it ends by itself; nothing when it holds until it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// What it was made by, and ends with; nothing where that was the captain, on this machine.
    #[serde(default)]
    pub made_by: Option<Maker>,
}

/// What an access token was made by: when that is taken back, so is the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Maker {
    /// Another access token, such as that of a paired browser.
    Token {
        /// Which one.
        id: TokenId,
    },
    /// A browser that was signed in as the captain.
    Login {
        /// Its login.
        id: LoginId,
    },
}

impl AccessToken {
    /// The agent that runs elsewhere and comes in by it; nothing where it is for something else.
    #[must_use]
    pub fn lent_to(&self) -> Option<AgentId> {
        match (self.role, self.scopes.as_slice()) {
            (TokenRole::Worker, [TokenScope::Agent { id }]) => Some(*id),
            _ => None,
        }
    }

    /// Whether it opens anything at that time.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenRole {
    /// A machine that lends its agents.
    Worker,
    /// Sees everything, changes nothing.
    Viewer,
    /// Works with agents and missions.
    Operator,
    /// Everything the captain may do.
    Admin,
}

impl TokenRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Viewer, Self::Operator, Self::Admin];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Where a token may be used. Areas widen each other, and so do agents and missions; a token with
/// both may be used on these agents and missions, in these areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenScope {
    /// In this part of the API.
    Area {
        /// Which one.
        area: TokenArea,
    },
    /// On this agent alone.
    Agent {
        /// Which one.
        id: AgentId,
    },
    /// On this mission alone, with its attempts.
    Mission {
        /// Which one.
        id: MissionId,
    },
}

/// A part of the API.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenArea {
    /// The swarm as a whole: how it is, what it does next, the emergency stop, recovery.
    Swarm,
    /// Agents, and how they are started.
    Agents,
    /// Missions, their attempts, their work and what passed between them and their agents.
    Missions,
    /// Messages, the inbox, permission rules and topics.
    Talk,
    /// Settings, policies and templates.
    Rules,
    /// Devlogs and reports.
    Journal,
    /// Signals and figures.
    Signals,
    /// The log of events and the live stream.
    Events,
    /// The house: checks, tokens, the window, the description of the API.
    House,
}

impl TokenArea {
    /// Every area.
    pub const ALL: [Self; 9] = [
        Self::Swarm,
        Self::Agents,
        Self::Missions,
        Self::Talk,
        Self::Rules,
        Self::Journal,
        Self::Signals,
        Self::Events,
        Self::House,
    ];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swarm => "swarm",
            Self::Agents => "agents",
            Self::Missions => "missions",
            Self::Talk => "talk",
            Self::Rules => "rules",
            Self::Journal => "journal",
            Self::Signals => "signals",
            Self::Events => "events",
            Self::House => "house",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::id::SystemDraw;

    #[test]
    fn a_token_is_valid_until_its_end_or_until_it_is_revoked() {
        let now = Timestamp::UNIX_EPOCH;
        let end = now + SignedDuration::from_secs(60);
        let token = AccessToken {
            id: TokenId::draw(now, &mut SystemDraw),
            name: "ci".into(),
            prefix: "hk_t_0000000".into(),
            role: TokenRole::Viewer,
            scopes: Vec::new(),
            made_at: now,
            expires_at: Some(end),
            revoked_at: None,
            made_by: None,
        };
        assert!(token.is_valid(now));
        assert!(token.is_valid(end - SignedDuration::from_nanos(1)));
        assert!(!token.is_valid(end));
        let forever = AccessToken { expires_at: None, ..token.clone() };
        assert!(forever.is_valid(end));
        assert!(!AccessToken { revoked_at: Some(now), ..forever }.is_valid(now));
    }

    #[test]
    fn a_token_from_before_makers_were_kept_is_read_as_the_captains() {
        let text = r#"{"id":"01a2b3c4-0000-7000-8000-000000000001","name":"ci","prefix":"hk_t_0000000",
            "role":"viewer","scopes":[],"made_at":"2026-01-31T09:30:00Z","expires_at":null,
            "revoked_at":null}"#;
        assert_eq!(serde_json::from_str::<AccessToken>(text).unwrap().made_by, None);
        let maker = r#"{"kind":"token","id":"01a2b3c4-0000-7000-8000-000000000001"}"#;
        let read: Maker = serde_json::from_str(maker).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), maker);
    }

    #[test]
    fn the_words_are_those_of_the_wire() {
        for role in TokenRole::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for area in TokenArea::ALL {
            assert_eq!(serde_json::to_value(area).unwrap(), area.as_str());
        }
        let scope: TokenScope = serde_json::from_str(r#"{"kind":"area","area":"talk"}"#).unwrap();
        assert_eq!(scope, TokenScope::Area { area: TokenArea::Talk });
        assert!(serde_json::from_str::<TokenScope>(r#"{"kind":"everything"}"#).is_err());
    }
}
