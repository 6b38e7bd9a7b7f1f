//! What happened to samples, counted across restarts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Recorded,
    TicksDropped,
    UnknownSignal,
    BadLabels,
    UnknownSeries,
    NoMultiple,
    Twice,
    Late,
    Ahead,
    OverSeriesCap,
    Lost,
    DamagedJournalRow,
    DamagedChunk,
    FlushFailed,
}

/// The counters with the names they have in the file.
pub(super) const COUNTERS: [(Counted, &str); 14] = [
    (Counted::Recorded, "samples_recorded"),
    (Counted::TicksDropped, "ticks_dropped"),
    (Counted::UnknownSignal, "samples_of_unknown_signals"),
    (Counted::BadLabels, "samples_with_bad_labels"),
    (Counted::UnknownSeries, "samples_of_forgotten_series"),
    (Counted::NoMultiple, "samples_without_number"),
    (Counted::Twice, "samples_twice"),
    (Counted::Late, "samples_too_late"),
    (Counted::Ahead, "samples_of_the_future"),
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

/// What happened to samples since this telemetry file was made, and how many series there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TelemetryCounters {
    /// Series there are now.
    pub series: u64,
    /// Series there may be.
    pub series_max: u64,
    /// Samples that were taken.
    pub samples_recorded: u64,
    /// Whole ticks refused because the queue was full or closed.
    pub ticks_dropped: u64,
    /// Samples of signals that the catalogue does not know.
    pub samples_of_unknown_signals: u64,
    /// Samples with more than 16 labels, or with a name and labels over 1 KiB.
    pub samples_with_bad_labels: u64,
    /// Samples of series that were forgotten meanwhile.
    pub samples_of_forgotten_series: u64,
    /// Samples that were not finite, or beyond 2^53 multiples of their resolution. They are kept as
    /// they are, and left out of sums.
    pub samples_without_number: u64,
    /// Samples of a moment of which there was one already; the later one stays.
    pub samples_twice: u64,
    /// Samples refused because they were older than the window for late ones.
    pub samples_too_late: u64,
    /// Samples refused because they were of a moment far ahead.
    pub samples_of_the_future: u64,
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
            series: 0,
            series_max: 0,
            samples_recorded: counters.get(Counted::Recorded),
            ticks_dropped: counters.get(Counted::TicksDropped),
            samples_of_unknown_signals: counters.get(Counted::UnknownSignal),
            samples_with_bad_labels: counters.get(Counted::BadLabels),
            samples_of_forgotten_series: counters.get(Counted::UnknownSeries),
            samples_without_number: counters.get(Counted::NoMultiple),
            samples_twice: counters.get(Counted::Twice),
            samples_too_late: counters.get(Counted::Late),
            samples_of_the_future: counters.get(Counted::Ahead),
            samples_over_series_cap: counters.get(Counted::OverSeriesCap),
            samples_lost: counters.get(Counted::Lost),
            journal_rows_damaged: counters.get(Counted::DamagedJournalRow),
            chunks_damaged: counters.get(Counted::DamagedChunk),
            flushes_failed: counters.get(Counted::FlushFailed),
        }
    }
}
