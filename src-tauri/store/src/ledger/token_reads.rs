//! What the ledger says about access tokens and logins.
//!
//! Tested in `tests/ledger/tokens.rs` and `tests/ledger/logins.rs`.

use jiff::Timestamp;
use model::agent::AGENTS_MAX;
use model::id::TokenId;
use model::login::LOGINS_MAX;
use model::token::TOKENS_MAX;

use super::Ledger;
use super::error::ReadError;
use super::page::clamp;
use super::reader::read;
use super::table::logins::{self, KeptLogin};
use super::table::tokens::{self, KeptToken};

/// The most logins that are read at once, those that were ended included: decades of signing in.
const LOGINS_EVER_MAX: usize = 65_536;

impl Ledger {
    /// The access tokens, newest first; those that were revoked only where they are asked for.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn tokens(&self, revoked: bool, limit: u32) -> Result<Vec<KeptToken>, ReadError> {
        read!(self, "list access tokens", |conn| tokens::list(conn, revoked, clamp(limit)))
    }

    /// One access token, whether or not it was revoked.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn token(&self, id: TokenId) -> Result<Option<KeptToken>, ReadError> {
        read!(self, "read an access token", |conn| tokens::get(conn, id))
    }

    /// Every access token that is not revoked, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn standing_tokens(&self) -> Result<Vec<KeptToken>, ReadError> {
        // As many as can be made, and one for each agent that runs elsewhere.
        read!(self, "list access tokens", |conn| tokens::list(conn, false, TOKENS_MAX + AGENTS_MAX))
    }

    /// The logins that stand at a time, newest first; those that came to their end only where they
    /// are asked for.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn logins(
        &self,
        now: Timestamp,
        ended: bool,
        limit: u32,
    ) -> Result<Vec<KeptLogin>, ReadError> {
        read!(self, "list logins", |conn| logins::list(conn, now, ended, clamp(limit)))
    }

    /// Every login that stands at a time, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn standing_logins(&self, now: Timestamp) -> Result<Vec<KeptLogin>, ReadError> {
        // As many as the captain may have, and one for each token.
        read!(self, "list logins", |conn| logins::list(conn, now, false, LOGINS_MAX + TOKENS_MAX))
    }

    /// Every login there ever was, newest first; the oldest are left out of very many.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn logins_ever(&self) -> Result<Vec<KeptLogin>, ReadError> {
        let now = Timestamp::UNIX_EPOCH;
        read!(self, "list logins", |conn| logins::list(conn, now, true, LOGINS_EVER_MAX))
    }
}
