//! What is read of telemetry.db when it is opened.
//!
//! Telemetry may be lost, so that a damaged file never keeps the engine from starting.

use std::collections::HashMap;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;

use super::blob::JournalRow;
use super::counters::{Counted, Counters};
use super::memory::{Limits, Memory};
use super::roll::Roller;
use super::tables::Sizes;
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

/// What was read.
pub(super) struct Restored {
    pub(super) memory: Memory,
    pub(super) counters: Counters,
    pub(super) roller: Roller,
    pub(super) sizes: Sizes,
}

impl Contents for Restore<'_> {
    type Found = Restored;

    async fn was_closed(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
        let clean = tables::number(conn, tables::CLOSED_CLEANLY).await?;
        tables::set_number(conn, tables::CLOSED_CLEANLY, 0).await?;
        Ok(clean != 0)
    }

    async fn read(&self, conn: &mut SqliteConnection) -> sqlx::Result<Restored> {
        let counters = tables::load_counters(conn).await?;
        let series = tables::load_series(conn).await?;
        let next_seq = tables::last_seq(conn).await? + 1;
        let ms = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let limits = Limits {
            series_max: self.0.series_max,
            waiting_max: self.0.waiting_samples_max,
            late_ms: ms(self.0.late_window),
            ahead_ms: ms(self.0.ahead_window),
        };
        let highest = tables::number(conn, tables::HIGHEST_SERIES).await?;
        let mut memory = Memory::new(series, highest, next_seq, limits);
        let mut begins = HashMap::new();
        each_row(conn, |_, row| {
            if let Some(row) = row {
                begins.extend(row.begins);
            } else {
                counters.add(Counted::DamagedJournalRow, 1);
            }
        })
        .await?;
        each_row(conn, |seq, row| {
            if let Some(row) = row {
                memory.replay(seq, &row, &begins);
            } else {
                tracing::warn!(seq, "telemetry journal row skipped: its bytes are damaged");
            }
        })
        .await?;
        let roller = Roller::new(tables::number(conn, tables::ROLLED_TO).await?.max(0));
        let sizes = tables::load_sizes(conn).await?;
        Ok(Restored { memory, counters, roller, sizes })
    }
}

/// Hands over the rows of the journal, oldest first; `None` for one that is damaged.
async fn each_row(
    conn: &mut SqliteConnection,
    mut take: impl FnMut(i64, Option<JournalRow>),
) -> sqlx::Result<()> {
    let mut seq = i64::MIN;
    loop {
        let rows = tables::journal_after(conn, seq, JOURNAL_SLICE).await?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        seq = *last;
        for (seq, blob) in &rows {
            take(*seq, blob::decode_journal(blob).ok());
        }
    }
}
