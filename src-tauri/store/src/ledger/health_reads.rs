//! What the ledger says about health: the captain's checks, times of maintenance, and how things changed.
//!
//! Tested in `tests/ledger/health.rs`.

use model::health::{CheckChange, HealthCheck, Maintenance, Reported};
use model::id::CheckId;

use super::Ledger;
use super::error::ReadError;
use super::reader::read;
use super::table::checks::{self, ChangeFilter};
use super::table::named;

impl Ledger {
    /// The captain's health checks, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn health_checks(&self) -> Result<Vec<HealthCheck>, ReadError> {
        read!(self, "list health checks", |conn| named::CHECKS.all(conn))
    }

    /// The times of maintenance, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn maintenance(&self) -> Result<Vec<Maintenance>, ReadError> {
        read!(self, "list times of maintenance", |conn| named::MAINTENANCE.all(conn))
    }

    /// What was reported to a check; nothing at all where it never was.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn reported(&self, id: CheckId) -> Result<Reported, ReadError> {
        read!(self, "read what was reported to a check", |conn| checks::reported(conn, id))
    }

    /// How things changed, newest first.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn check_changes(&self, filter: ChangeFilter) -> Result<Vec<CheckChange>, ReadError> {
        read!(self, "list changes of health", |conn| checks::list(conn, &filter))
    }

    /// The last change of each check that has any, by the checks' ids.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn last_check_changes(&self) -> Result<Vec<CheckChange>, ReadError> {
        read!(self, "read the last changes of health", |conn| checks::last(conn))
    }
}
