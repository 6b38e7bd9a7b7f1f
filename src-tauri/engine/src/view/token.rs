//! Access tokens and pairing, as they are asked for and shown.

use jiff::Timestamp;
use model::token::{AccessToken, TokenRole, TokenScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for; no two valid tokens have the same name.
    #[schema(example = "build server")]
    pub name: String,
    /// What its holder may do.
    pub role: TokenRole,
    /// Where; everywhere when there are none.
    #[serde(default)]
    pub scopes: Vec<TokenScope>,
    /// After how many days it ends by itself, at most 3650; nothing when it holds until it is revoked.
    #[serde(default)]
    #[schema(example = 90)]
    pub days: Option<u32>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// The token.
    pub token: TokenView,
    /// Its secret, to be sent as `Authorization: Bearer SECRET`. It is shown in this answer and never
    /// again; nothing where the request was carried out before, under the same idempotency key.
    pub secret: Option<String>,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A token as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// The token.
    #[serde(flatten)]
    pub token: AccessToken,
    /// Whether it opens anything now.
    pub state: TokenState,
    /// When it was used last, to within a minute; nothing when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<Timestamp>,
}

/// Whether a token opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It does.
    Valid,
    /// It came to its end by itself.
    Expired,
    /// It was revoked.
    Revoked,
}

impl TokenState {
    /// How a token stands at that time.
    #[must_use]
    pub fn of(token: &AccessToken, now: Timestamp) -> Self {
        if token.revoked_at.is_some() {
            Self::Revoked
        } else if token.is_valid(now) {
            Self::Valid
        } else {
            Self::Expired
        }
    }
}
