//! The numbers that telemetry has given to series, so that a sample costs one look at a table.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use model::signal::{self, SignalKind};
use store::telemetry::{Batch, SeriesId, Telemetry};

use crate::samples::{Key, Samples};

/// After so many measurements a series that has no more samples is forgotten, and one that was
/// refused is asked for again.
const FORGOTTEN_AFTER: u64 = 600;

/// After how far a step back of the clock counters do not wait for it: it was ahead before.
const HELD_BACK_MAX: SignedDuration = SignedDuration::from_hours(2);

#[derive(Debug)]
struct Known {
    /// Nothing where it was refused.
    id: Option<SeriesId>,
    /// Whether it only grows.
    grows: bool,
    asked: u64,
    used: u64,
}

/// The numbers of series.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    known: HashMap<Key, Known>,
    batches: u64,
    /// The latest moment of which there are samples.
    latest: Option<Timestamp>,
}

impl Ids {
    /// Makes samples ready for telemetry. What it has no place for is left out; it counts that.
    pub(crate) fn batch(
        &mut self,
        at: Timestamp,
        samples: &Samples,
        telemetry: &Telemetry,
    ) -> Batch {
        self.batches += 1;
        let now = self.batches;
        // Where the clock was set back, moments come a second time. What goes up and down is kept of
        // both; a counter among its own later values would look as if it had begun anew, again and again.
        let back = self.latest.map_or(SignedDuration::MIN, |latest| latest.duration_since(at));
        let again = (SignedDuration::ZERO..=HELD_BACK_MAX).contains(&back);
        if !again {
            self.latest = Some(at);
        }
        let mut batch = Batch { at, samples: Vec::with_capacity(samples.each().len()) };
        for (key, value) in samples.each() {
            let id = match self.known.get_mut(key) {
                Some(known) if known.id.is_some() || now - known.asked < FORGOTTEN_AFTER => {
                    known.used = now;
                    known.id.filter(|_| !(again && known.grows))
                }
                _ => {
                    let series = key.series();
                    let kind = signal::of_series(&series.name).map(|of| of.kind());
                    let grows = matches!(kind, Some(SignalKind::Counter | SignalKind::Histogram));
                    let id = telemetry.series(&series).ok();
                    self.known.insert(key.clone(), Known { id, grows, asked: now, used: now });
                    id.filter(|_| !(again && grows))
                }
            };
            batch.samples.extend(id.map(|id| (id, *value)));
        }
        if now.is_multiple_of(FORGOTTEN_AFTER) {
            self.known.retain(|_, known| now - known.used < FORGOTTEN_AFTER);
        }
        batch
    }
}

/// The moments of measurements: on a grid they cost nothing to keep.
#[derive(Debug, Default)]
pub(crate) struct Grid(Option<Timestamp>);

impl Grid {
    /// The moment of a measurement that is made now: whole intervals after the one before, as long as
    /// that is nearer than half of one.
    pub(crate) fn next(&mut self, now: Timestamp, interval: std::time::Duration) -> Timestamp {
        let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let now_ms = now.as_millisecond();
        let on_grid = self.0.and_then(|last| {
            let since = now_ms.checked_sub(last.as_millisecond())?;
            let steps = since.checked_add(step / 2)?.div_euclid(step);
            let at = last.as_millisecond().checked_add(steps.checked_mul(step)?)?;
            (steps > 0).then(|| Timestamp::from_millisecond(at).ok()).flatten()
        });
        let at = on_grid.or_else(|| Timestamp::from_millisecond(now_ms).ok()).unwrap_or(now);
        self.0 = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::clock::SystemClock;
    use store::DataDir;
    use store::telemetry::TelemetryOptions;

    use super::*;

    #[test]
    fn moments_stay_on_their_grid_and_a_gap_is_whole_steps() {
        let mut grid = Grid::default();
        let second = Duration::from_secs(1);
        let mut next =
            |ms: i64| grid.next(Timestamp::from_millisecond(ms).unwrap(), second).as_millisecond();
        assert_eq!(next(1_000_123), 1_000_123);
        assert_eq!(
            [1_001_130, 1_002_119, 1_003_600].map(&mut next),
            [1_001_123, 1_002_123, 1_003_123]
        );
        assert_eq!(next(1_010_140), 1_010_123, "seven are missing");
        // The clock was set back; and twice within one step.
        assert_eq!([500_000, 500_100, 501_010].map(&mut next), [500_000, 500_100, 501_100]);
        assert_eq!(next(i64::from(i32::MAX)), 2_147_484_100, "the nearest one");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_the_clock_is_set_back_no_counter_looks_as_if_it_had_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&home.path().join("data")).unwrap();
        let options = TelemetryOptions::default();
        let telemetry = Telemetry::open_with(&dir, Arc::new(SystemClock), options).await.unwrap();
        let mut ids = Ids::default();
        let mut samples = Samples::default();
        samples.add("machine_cpu_percent", 1.0);
        samples.add_of("agent_tokens_total", ("agent", "a"), 2.0);
        let mut kept = |s: i64| {
            let at = Timestamp::from_second(1_700_000_000 + s).unwrap();
            ids.batch(at, &samples, &telemetry).samples.len()
        };
        assert_eq!([0, 1, 2].map(&mut kept), [2; 3]);
        // A second back, and an hour: levels are kept, counters wait until time goes on.
        assert_eq!([1, 2, -3600, -1, 2, 3].map(&mut kept), [1, 1, 1, 1, 1, 2]);
        // It was wrong before: nothing waits for a day.
        assert_eq!([-86_400, -86_399].map(&mut kept), [2; 2]);
        telemetry.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_series_is_named_once_and_one_that_is_refused_costs_nothing_more() {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&home.path().join("data")).unwrap();
        let options = TelemetryOptions { series_max: 2, ..TelemetryOptions::default() };
        let telemetry = Telemetry::open_with(&dir, Arc::new(SystemClock), options).await.unwrap();
        let mut ids = Ids::default();
        let mut samples = Samples::default();
        samples.add("machine_cpu_percent", 1.0);
        for core in 0..3 {
            samples.add_of("machine_core_cpu_percent", ("core", core), 2.0);
        }
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        for _ in 0..3 {
            assert_eq!(ids.batch(at, &samples, &telemetry).samples.len(), 2);
        }
        assert_eq!(telemetry.counters().samples_over_series_cap, 2, "each was asked for once");
        for _ in 0..2 * FORGOTTEN_AFTER {
            ids.batch(at, &Samples::default(), &telemetry);
        }
        assert!(ids.known.is_empty());
        telemetry.close().await;
    }
}
