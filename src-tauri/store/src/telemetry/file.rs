//! What is read of telemetry.db when it is opened.
//!
//! Telemetry may be lost, so that a damaged file never keeps the engine from starting.

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;

use super::counters::{Counted, Counters};
use super::memory::Memory;
use super::{TelemetryOptions, blob, tables};
use crate::spare::{Contents, Spare};

/// Journal rows read at once.
const JOURNAL_SLICE: i64 = 16;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/telemetry");

/// The file.
pub(super) static SPARE: Spare = Spare {
    // "HKtm".
    application_id: 0x484B_746D,
    holds: "measurements",
    migrator: &MIGRATOR,
    readers: 2,
    writer_cache: crate::ledger::CACHE_SIZE,
    checked_bytes_max: u64::MAX,
};

/// Reads series, counters and journal into memory.
#[derive(Debug)]
pub(super) struct Restore<'a>(pub(super) &'a TelemetryOptions);

impl Contents for Restore<'_> {
    type Found = (Memory, Counters);

    async fn was_closed(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
        let clean = tables::number(conn, tables::CLOSED_CLEANLY).await?;
        tables::set_number(conn, tables::CLOSED_CLEANLY, 0).await?;
        Ok(clean != 0)
    }

    async fn read(&self, conn: &mut SqliteConnection) -> sqlx::Result<(Memory, Counters)> {
        let counters = tables::load_counters(conn).await?;
        let series = tables::load_series(conn).await?;
        let next_part = tables::number(conn, tables::NEXT_PART).await?;
        let from = series.iter().map(|series| series.journal_from).max();
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT max(seq) FROM journal").fetch_one(&mut *conn).await?;
        let next_seq = from.unwrap_or(1).max(newest.unwrap_or(0) + 1);
        let mut memory = Memory::new(series, next_part, next_seq, self.0.series_max);
        let mut seq = i64::MIN;
        loop {
            let rows = tables::journal_after(conn, seq, JOURNAL_SLICE).await?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            seq = *last;
            for (seq, samples) in &rows {
                match blob::decode_journal(samples) {
                    Ok(groups) => memory.replay(*seq, groups, &counters),
                    Err(error) => {
                        counters.add(Counted::DamagedJournalRow, 1);
                        tracing::warn!(seq, %error, "telemetry journal row skipped");
                    }
                }
            }
        }
        Ok((memory, counters))
    }
}
