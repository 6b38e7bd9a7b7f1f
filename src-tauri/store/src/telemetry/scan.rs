//! The samples of one series, window by window: what is in the file together with what is not yet.

use std::collections::{BTreeMap, VecDeque};

use sqlx::sqlite::SqliteConnection;

use super::blob;
use super::counters::{Counted, Counters};
use super::place::{WINDOW_MINUTES, window_of, window_of_key, window_start};
use super::tables::{self, KeyedBlob};
use super::tally::{Point, tidy};

/// Chunks read by one statement.
const ROWS: i64 = 512;

/// The first and the last window of which there are chunks, of any series.
pub(super) type Windows = Option<(i64, i64)>;

/// What there is of a window, not yet decoded.
#[derive(Debug, Default)]
struct Pieces {
    blobs: Vec<Vec<u8>>,
    live: Vec<Point>,
}

/// A reading of the samples of one series from some moment to another.
#[derive(Debug)]
pub(super) struct Scan {
    series: i64,
    /// The windows of the file that are still to be read.
    left: Windows,
    live: BTreeMap<i64, Vec<Point>>,
    ready: VecDeque<(i64, Pieces)>,
    from_ms: i64,
    to_ms: i64,
}

impl Scan {
    /// Both ends are included; `stored` says which windows are in the file, and `live` what of the
    /// series is not.
    pub(super) fn new(
        series: i64,
        (from_ms, to_ms): (i64, i64),
        stored: Windows,
        live: &[Point],
    ) -> Self {
        let left = stored.and_then(|(oldest, newest)| {
            let first = window_of(series, from_ms);
            // Stays in step with the series' own windows.
            let skipped = (oldest - first).max(0) / WINDOW_MINUTES * WINDOW_MINUTES;
            let (first, last) = (first + skipped, window_of(series, to_ms).min(newest));
            (first <= last).then_some((first, last))
        });
        let mut windows: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
        for point in live.iter().filter(|point| (from_ms..=to_ms).contains(&point.at)) {
            windows.entry(window_of(series, point.at)).or_default().push(*point);
        }
        Self { series, left, live: windows, ready: VecDeque::new(), from_ms, to_ms }
    }

    /// The samples of the next window that holds any, sorted, each moment once.
    pub(super) async fn next(
        &mut self,
        conn: &mut SqliteConnection,
        counters: &Counters,
    ) -> sqlx::Result<Option<Vec<Point>>> {
        loop {
            while let Some((window, pieces)) = self.ready.pop_front() {
                let points = self.decode(window, pieces, counters);
                if !points.is_empty() {
                    return Ok(Some(points));
                }
            }
            if !self.advance(conn).await? {
                return Ok(None);
            }
        }
    }

    /// Reads more; says whether there was anything.
    async fn advance(&mut self, conn: &mut SqliteConnection) -> sqlx::Result<bool> {
        let Some((first, last)) = self.left else {
            let rest = std::mem::take(&mut self.live).into_iter();
            self.ready
                .extend(rest.map(|(window, live)| (window, Pieces { live, ..Pieces::default() })));
            return Ok(!self.ready.is_empty());
        };
        let mut rows = tables::chunks_of(conn, self.series, (first, last), ROWS).await?;
        let mut end = last;
        if rows.len() as i64 >= ROWS {
            // The last window may have more chunks than were read.
            let window = rows.last().map_or(last, |(key, _)| window_of_key(*key));
            rows.retain(|(key, _)| window_of_key(*key) < window);
            end = window - WINDOW_MINUTES;
            if rows.is_empty() {
                rows = tables::chunks_in(conn, window, self.series).await?;
                end = window;
            }
        }
        self.left = (end < last).then_some((end + WINDOW_MINUTES, last));
        self.gather(rows, end);
        Ok(true)
    }

    /// Puts together what there is of the windows up to `end`.
    fn gather(&mut self, rows: Vec<KeyedBlob>, end: i64) {
        let later = self.live.split_off(&(end + 1));
        let live = std::mem::replace(&mut self.live, later);
        let mut windows: BTreeMap<i64, Pieces> = BTreeMap::new();
        for (key, blob) in rows {
            windows.entry(window_of_key(key)).or_default().blobs.push(blob);
        }
        for (window, live) in live {
            windows.entry(window).or_default().live = live;
        }
        self.ready.extend(windows);
    }

    fn decode(&self, window: i64, pieces: Pieces, counters: &Counters) -> Vec<Point> {
        let mut points = Vec::new();
        for blob in &pieces.blobs {
            if blob::decode_chunk(blob, window_start(window), &mut points).is_err() {
                damaged(self.series, window, counters);
            }
        }
        points.extend(pieces.live);
        tidy(&mut points);
        if points.first().is_some_and(|first| first.at < self.from_ms)
            || points.last().is_some_and(|last| last.at > self.to_ms)
        {
            points.retain(|point| (self.from_ms..=self.to_ms).contains(&point.at));
        }
        points
    }
}

/// Counts and tells of a blob that cannot be read.
pub(super) fn damaged(series: i64, window: i64, counters: &Counters) {
    counters.add(Counted::DamagedChunk, 1);
    tracing::warn!(series, window, "telemetry chunk skipped: its bytes are damaged");
}
