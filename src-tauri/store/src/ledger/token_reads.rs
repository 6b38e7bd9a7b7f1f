//! What the ledger says about access tokens.
//!
//! Tested in `tests/ledger/tokens.rs`.

use super::Ledger;
use super::error::ReadError;
use super::page::clamp;
use super::reader::read;
use super::table::tokens::{self, KeptToken};

impl Ledger {
    /// The access tokens, newest first; those that were revoked only where they are asked for.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn tokens(&self, revoked: bool, limit: u32) -> Result<Vec<KeptToken>, ReadError> {
        read!(self, "list access tokens", |conn| tokens::list(conn, revoked, clamp(limit)))
    }
}
