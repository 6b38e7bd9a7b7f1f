//! What happened to samples, counted across restarts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Recorded,
    TicksDropped,
    UnknownSignal,
    BadValue,
    OverSeriesCap,
    Lost,
    DamagedJournalRow,
    DamagedChunk,
    FlushFailed,
}

/// The counters with the names they have in the file.
pub(super) const COUNTERS: [(Counted, &str); 9] = [
    (Counted::Recorded, "samples_recorded"),
    (Counted::TicksDropped, "ticks_dropped"),
    (Counted::UnknownSignal, "samples_of_unknown_signals"),
    (Counted::BadValue, "samples_without_number"),
    (Counted::OverSeriesCap, "samples_over_series_cap"),
    (Counted::Lost, "samples_lost"),
    (Counted::DamagedJournalRow, "journal_rows_damaged"),
    (Counted::DamagedChunk, "chunks_damaged"),
    (Counted::FlushFailed, "flushes_failed"),
];

/// Counts that any thread may raise.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; COUNTERS.len()]);

impl Counters {
    pub(super) fn add(&self, counted: Counted, by: u64) {
        self.0[counted as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self, counted: Counted) -> u64 {
        self.0[counted as usize].load(Ordering::Relaxed)
    }
}

/// What happened to samples since this telemetry file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TelemetryCounters {
    /// Samples that were taken.
    pub samples_recorded: u64,
    /// Whole ticks refused because the queue was full or closed.
    pub ticks_dropped: u64,
    /// Samples of signals that the catalogue does not know, or with labels over 1 KiB.
    pub samples_of_unknown_signals: u64,
    /// Samples that were not finite, or beyond 2^53 multiples of their resolution.
    pub samples_without_number: u64,
    /// Samples of new series when there were too many already.
    pub samples_over_series_cap: u64,
    /// Samples given up because the disk took none for too long.
    pub samples_lost: u64,
    /// Journal rows that could not be read back.
    pub journal_rows_damaged: u64,
    /// Stored chunks that could not be read; counted at every attempt.
    pub chunks_damaged: u64,
    /// Flushes that failed and were tried again.
    pub flushes_failed: u64,
}

impl From<&Counters> for TelemetryCounters {
    fn from(counters: &Counters) -> Self {
        Self {
            samples_recorded: counters.get(Counted::Recorded),
            ticks_dropped: counters.get(Counted::TicksDropped),
            samples_of_unknown_signals: counters.get(Counted::UnknownSignal),
            samples_without_number: counters.get(Counted::BadValue),
            samples_over_series_cap: counters.get(Counted::OverSeriesCap),
            samples_lost: counters.get(Counted::Lost),
            journal_rows_damaged: counters.get(Counted::DamagedJournalRow),
            chunks_damaged: counters.get(Counted::DamagedChunk),
            flushes_failed: counters.get(Counted::FlushFailed),
        }
    }
}
