//! Logins as they are shown.

use jiff::Timestamp;
use model::login::Login;
use model::token::TokenRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A login as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginView {
    /// The login.
    #[serde(flatten)]
    pub login: Login,
    /// Whether it opens anything now.
    pub state: LoginState,
    /// What the browser may do.
    pub role: TokenRole,
    /// The name a paired browser was given; nothing for the captain's own.
    pub name: Option<String>,
    /// When it was used last, to within a minute; nothing when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<Timestamp>,
    /// Whether it is the browser that asks.
    pub current: bool,
}

/// Whether a login opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginState {
    /// It does.
    Valid,
    /// It came to its end by itself.
    Expired,
    /// It was ended.
    Ended,
}

impl LoginState {
    /// How a login stands at that time.
    #[must_use]
    pub fn of(login: &Login, now: Timestamp) -> Self {
        if login.ended.is_some() {
            Self::Ended
        } else if login.is_valid(now) {
            Self::Valid
        } else {
            Self::Expired
        }
    }
}
