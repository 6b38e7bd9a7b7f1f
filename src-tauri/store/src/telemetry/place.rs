//! Where things lie in the file: windows of time, and the keys of rows.
//!
//! Keys are time-major: new rows are appended at one end of a table and old ones deleted at the
//! other, so that retention is a deletion of a range, pages are full, and no row moves twice.

use super::tally::{HOUR_MS, MINUTE_MS};

/// The stretch of time one chunk covers.
pub(super) const WINDOW_MINUTES: i64 = 10;
pub(super) const WINDOW_MS: i64 = WINDOW_MINUTES * MINUTE_MS;
/// The stretch of time one row of minutes covers.
pub(super) const SPAN_MS: i64 = 4 * HOUR_MS;
/// The stretch of time one row of hours covers.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// Bits of a row's key that tell a series, and those that tell the chunks of one window apart.
const SERIES_BITS: u32 = 24;
const PART_BITS: u32 = 12;
/// Series there may ever have been.
pub(super) const SERIES_MAX: i64 = (1 << SERIES_BITS) - 1;
/// Chunks there may be of one series in one window.
pub(super) const PARTS_MAX: i64 = 1 << PART_BITS;
/// The first minute, counted since 1970, that no key can tell: in the year 2225.
const MINUTES_MAX: i64 = 1 << 27;

/// Whether there is a key for a moment.
pub(super) fn has_place(at_ms: i64) -> bool {
    // Windows of the first minutes would begin before 1970.
    (WINDOW_MS..(MINUTES_MAX - WINDOW_MINUTES) * MINUTE_MS).contains(&at_ms)
}

/// The window of a series that a moment belongs to, named by the minute it starts at.
///
/// Windows of different series start at different minutes, so that not all chunks close at once.
pub(super) const fn window_of(series: i64, at_ms: i64) -> i64 {
    let phase = series.rem_euclid(WINDOW_MINUTES);
    let minute = at_ms.div_euclid(MINUTE_MS) - phase;
    minute - minute.rem_euclid(WINDOW_MINUTES) + phase
}

/// The first moment of a window.
pub(super) const fn window_start(window: i64) -> i64 {
    window.saturating_mul(MINUTE_MS)
}

/// The key of the first chunk of a series in a window.
pub(super) const fn chunk_key(window: i64, series: i64) -> i64 {
    window << (SERIES_BITS + PART_BITS) | series << PART_BITS
}

/// Which chunk of its series and window a key stands for.
pub(super) const fn part_of(key: i64) -> i64 {
    key & (PARTS_MAX - 1)
}

/// The window of a chunk's key.
pub(super) const fn window_of_key(key: i64) -> i64 {
    key >> (SERIES_BITS + PART_BITS)
}

/// The key of a row of minutes or hours; `slot` is the number of its stretch since 1970.
pub(super) const fn row_key(slot: i64, series: i64) -> i64 {
    slot << SERIES_BITS | series
}

/// The slot and the series of such a key.
pub(super) const fn slot_and_series(key: i64) -> (i64, i64) {
    (key >> SERIES_BITS, key & SERIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_tell_window_series_and_part(
            at in WINDOW_MS..(MINUTES_MAX - WINDOW_MINUTES) * MINUTE_MS,
            series in 1..SERIES_MAX,
            part in 0..PARTS_MAX,
        ) {
            prop_assert!(has_place(at));
            let window = window_of(series, at);
            let start = window_start(window);
            prop_assert!(start <= at && at < start + WINDOW_MS && window >= 0);
            let key = chunk_key(window, series) + part;
            prop_assert!(key >= 0);
            prop_assert_eq!((window_of_key(key), part_of(key)), (window, part));
            prop_assert_eq!(key >> PART_BITS & SERIES_MAX, series);
            let slot = at / SPAN_MS;
            prop_assert_eq!(slot_and_series(row_key(slot, series)), (slot, series));
        }
    }

    #[test]
    fn there_is_no_place_before_1970_and_after_2224() {
        for at in [i64::MIN, -1, 0, i64::MAX, MINUTES_MAX * MINUTE_MS] {
            assert!(!has_place(at), "{at}");
        }
        // The first day of 2100.
        assert!(has_place(4_102_444_800_000));
    }
}
