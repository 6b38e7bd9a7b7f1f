//! What is read of transcripts.db when it is opened.

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;

use super::tables;
use crate::spare::{Contents, Spare};

/// Revisions of a fresh file begin after those of any file before it: this many for each
/// millisecond since 1970, which is more than can be written.
const REVISIONS_PER_MS: i64 = 1_000;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/transcripts");

/// The file.
pub(super) static SPARE: Spare = Spare {
    // "HKtr".
    application_id: 0x484B_7472,
    holds: "conversations",
    migrator: &MIGRATOR,
    readers: 3,
    writer_cache: "-4096",
    checked_bytes_max: 64 << 20,
};

/// Reads the revision of the next change.
#[derive(Debug)]
pub(super) struct NextRevision {
    /// What time it is.
    pub(super) now_ms: i64,
}

impl Contents for NextRevision {
    type Found = i64;

    async fn was_closed(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
        let clean = tables::mark(conn, tables::CLOSED_CLEANLY).await?;
        tables::set_mark(conn, tables::CLOSED_CLEANLY, 0).await?;
        Ok(clean == Some(1))
    }

    async fn read(&self, conn: &mut SqliteConnection) -> sqlx::Result<i64> {
        let revision = tables::mark(conn, tables::NEXT_REVISION).await?;
        Ok(revision.unwrap_or_else(|| self.now_ms.max(1).saturating_mul(REVISIONS_PER_MS)))
    }
}
