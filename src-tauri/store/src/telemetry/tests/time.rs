//! Samples out of their time, clocks that are set, and machines that sleep.

use model::signal::{Mark, MarkKind};

use super::numbers::{samples, values};
use super::*;

/// The windows for late samples as they are in the product.
fn strict(bench: &mut Bench) {
    let usual = TelemetryOptions::default();
    bench.options.late_window = usual.late_window;
    bench.options.ahead_window = usual.ahead_window;
}

#[tokio::test]
async fn late_samples_are_taken_even_after_their_chunk_was_closed() {
    let bench = Bench::new();
    bench.clock.advance(SignedDuration::from_secs(800));
    let telemetry = bench.open().await;
    // The window of series 1 ends at a full ten minutes plus one.
    record(&telemetry, &[(10_000, 1.0), (30_000, 3.0), (20_000, 2.0), (700_000, 7.0)]);
    telemetry.flush().await.expect("flushed");
    record(&telemetry, &[(25_000, 9.0)]);
    telemetry.flush().await.expect("flushed");
    let found = buckets(&telemetry, query(0, 60_000, 60)).await;
    let values: Vec<f64> = found.iter().map(|bucket| bucket.last).collect();
    assert_eq!(values, [1.0, 2.0, 9.0, 3.0]);
    let latest = telemetry.latest(CPU, &BTreeMap::new()).await.expect("readable");
    assert_eq!((latest[0].1, latest[0].2), (at(700_000), 7.0), "a late one is not the latest");
    let crashed = bench.crashed();
    let again = crashed.open().await;
    assert_eq!(count(&again, 0, 60_000).await, 4, "the late one is in the journal");
    again.close().await;
    telemetry.close().await;
}

#[tokio::test]
async fn samples_beyond_the_window_are_refused_and_counted() {
    let mut bench = Bench::new();
    strict(&mut bench);
    let telemetry = bench.open().await;
    let day = 24 * HOUR_MS;
    let year_2100 = 4_102_444_800_000 - START_MS;
    // 1970, yesterday and a bit over an hour ago; an hour ahead, and the year 2100.
    record(&telemetry, &[(-START_MS, 1.0), (-day, 1.0), (-HOUR_MS - 1000, 1.0)]);
    record(&telemetry, &[(HOUR_MS, 1.0), (year_2100, 1.0)]);
    record(&telemetry, &[(-HOUR_MS + 1000, 1.0), (0, 2.0), (200_000, 3.0)]);
    telemetry.flush().await.expect("flushed");
    let counters = telemetry.counters();
    assert_eq!((counters.samples_too_late, counters.samples_of_the_future), (3, 2));
    assert_eq!(counters.samples_recorded, 3);
    assert_eq!(count(&telemetry, -START_MS, year_2100).await, 3);
    telemetry.close().await;
}

#[tokio::test]
async fn moments_without_a_place_are_refused_whatever_the_window() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    // The first moment of 1970, the days before, and three hundred years from now.
    for ms in [-START_MS, -START_MS - day_ms(), -START_MS - 40_000 * day_ms(), 110_000 * day_ms()] {
        record(&telemetry, &[(ms, 1.0)]);
    }
    let year_2100 = 4_102_444_800_000 - START_MS;
    record(&telemetry, &[(year_2100, 1.0)]);
    telemetry.flush().await.expect("flushed");
    assert_eq!(telemetry.counters().samples_too_late, 4);
    assert_eq!(telemetry.counters().samples_recorded, 1);
    assert_eq!(count(&telemetry, year_2100 - 1000, year_2100 + 1000).await, 1);
    telemetry.close().await;
}

const fn day_ms() -> i64 {
    24 * HOUR_MS
}

#[tokio::test]
async fn of_several_samples_at_one_moment_the_last_stays() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    record(&telemetry, &[(0, 1.0), (1000, 2.0), (1000, 3.0), (2000, 4.0)]);
    telemetry.flush().await.expect("flushed");
    record(&telemetry, &[(1000, 5.0)]);
    telemetry.flush().await.expect("flushed");
    let expected = [(0, 1.0), (1000, 5.0), (2000, 4.0)];
    assert_eq!(samples(&telemetry, id, 10_000).await, expected);
    bench.clock.advance(SignedDuration::from_hours(1));
    telemetry.flush().await.expect("flushed");
    assert_eq!(samples(&telemetry, id, 10_000).await, expected, "in the file");
    record(&telemetry, &[(2000, 6.0)]);
    telemetry.flush().await.expect("flushed");
    bench.clock.advance(SignedDuration::from_hours(1));
    telemetry.flush().await.expect("flushed");
    let expected = [(0, 1.0), (1000, 5.0), (2000, 6.0)];
    assert_eq!(samples(&telemetry, id, 10_000).await, expected, "merged in the file");
    telemetry.close().await;
}

/// A second of measuring, as the collector does it: by the clock of the machine.
fn measure(bench: &Bench, telemetry: &Telemetry, value: f64) {
    use model::clock::Clock;
    let tick = Tick { at: bench.clock.now(), samples: vec![(SeriesKey::plain(CPU), value)] };
    assert_eq!(telemetry.record(tick), Recorded::Taken);
    bench.clock.advance(SignedDuration::from_secs(1));
}

#[tokio::test]
async fn a_clock_that_is_set_loses_nothing_that_is_measured() {
    for step in [SignedDuration::from_hours(1), SignedDuration::from_hours(-1)] {
        let mut bench = Bench::new();
        strict(&mut bench);
        bench.clock.advance(SignedDuration::from_hours(2));
        let telemetry = bench.open().await;
        let mut expected = std::collections::BTreeSet::new();
        for minute in 0..180 {
            if minute == 90 {
                bench.clock.advance(step);
            }
            for _ in 0..10 {
                use model::clock::Clock;
                expected.insert(bench.clock.now());
                measure(&bench, &telemetry, 5.0);
                bench.clock.advance(SignedDuration::from_secs(5));
            }
            telemetry.flush().await.expect("flushed");
        }
        let counters = telemetry.counters();
        assert_eq!(counters.samples_recorded, 1800, "{step}");
        assert_eq!(counters.samples_too_late + counters.samples_of_the_future, 0, "{step}");
        let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
        let found = samples(&telemetry, id, 12 * HOUR_MS).await;
        // Moments that were lived through twice have one sample.
        assert_eq!(found.len(), expected.len(), "{step}");
        let crashed = bench.crashed();
        let again = crashed.open().await;
        let id = again.series(&SeriesKey::plain(CPU)).expect("a known signal");
        assert_eq!(samples(&again, id, 12 * HOUR_MS).await, found, "{step}, after a crash");
        again.close().await;
        telemetry.close().await;
    }
}

#[tokio::test]
async fn after_a_pause_every_chunk_is_over_at_once_and_none_is_given_up() {
    let mut bench = Bench::new();
    bench.options.waiting_samples_max = 1000;
    let telemetry = bench.open().await;
    let keys = (0..20).map(|core: u8| SeriesKey {
        name: "machine_core_cpu_percent".to_owned(),
        labels: BTreeMap::from([("core".to_owned(), core.to_string())]),
    });
    let ids: Vec<SeriesId> =
        keys.map(|key| telemetry.series(&key).expect("a known signal")).collect();
    let measured = |seconds: std::ops::Range<i64>| {
        let (bench, telemetry, ids) = (&bench, &telemetry, &ids);
        async move {
            for second in seconds {
                let samples = ids.iter().map(|id| (*id, second as f64)).collect();
                let batch = Batch { at: at(second * 1000), samples };
                assert_eq!(telemetry.record_batch(batch), Recorded::Taken);
                bench.clock.advance(SignedDuration::from_secs(1));
                if second % 30 == 29 {
                    telemetry.flush().await.expect("flushed");
                }
            }
        }
    };
    measured(0..300).await;
    bench.clock.advance(SignedDuration::from_hours(8));
    measured(8 * 3600 + 300..8 * 3600 + 310).await;
    telemetry.flush().await.expect("flushed");
    assert_eq!(telemetry.counters().samples_lost, 0);
    for id in &ids {
        assert_eq!(samples(&telemetry, *id, 9 * HOUR_MS).await.len(), 310);
    }
    // The same where the pause was the engine's.
    telemetry.close().await;
    bench.clock.advance(SignedDuration::from_hours(8));
    let telemetry = bench.open().await;
    telemetry.flush().await.expect("flushed");
    assert_eq!(telemetry.counters().samples_lost, 0);
    for id in &ids {
        assert_eq!(samples(&telemetry, *id, 17 * HOUR_MS).await.len(), 310);
    }
    telemetry.close().await;
}

#[tokio::test]
async fn eight_hours_of_sleep_are_a_gap_and_a_mark() {
    let mut bench = Bench::new();
    strict(&mut bench);
    let telemetry = bench.open().await;
    for _ in 0..300 {
        measure(&bench, &telemetry, 50.0);
    }
    telemetry.flush().await.expect("flushed");
    bench.clock.advance(SignedDuration::from_hours(8));
    let woken = at(300_000 + 8 * HOUR_MS);
    let mark = Mark { at: woken, kind: MarkKind::Suspended, span_ms: 8 * HOUR_MS };
    assert_eq!(telemetry.mark(mark), Recorded::Taken);
    for _ in 0..300 {
        measure(&bench, &telemetry, 50.0);
    }
    telemetry.flush().await.expect("flushed");
    let found = buckets(&telemetry, query(0, 9 * HOUR_MS - 1, 540)).await;
    let counts: Vec<u64> = found.iter().map(|bucket| bucket.count).collect();
    assert_eq!(counts, [60; 10], "five minutes before, five after, nothing between");
    assert!(found.iter().all(|bucket| bucket.min == 50.0), "no zeros");
    let marks = telemetry.marks(at(0), at(24 * HOUR_MS)).await.expect("readable");
    assert_eq!(marks, [mark]);
    assert_eq!(telemetry.marks(at(0), at(HOUR_MS)).await.expect("readable"), []);
    telemetry.close().await;
    let telemetry = bench.open().await;
    assert_eq!(telemetry.marks(woken, woken).await.expect("readable"), [mark], "kept");
    telemetry.close().await;
}

#[tokio::test]
async fn thirty_days_stay_under_the_budget() {
    const KEYS: usize = 6;
    let mut bench = Bench::new();
    strict(&mut bench);
    bench.options.disk_budget_bytes = 700 << 10;
    bench.options.raw_age = Duration::from_secs(2 * 24 * 3600);
    let mut telemetry = bench.open().await;
    let agent = |n: usize| SeriesKey::with("agent_cpu_percent", "agent", format!("bee-{n}"));
    let ids: Vec<SeriesId> =
        (0..KEYS).map(|n| telemetry.series(&agent(n)).expect("under the cap")).collect();
    let minutes = 30 * 24 * 60;
    for minute in 0..minutes {
        for half in [0, 30_000] {
            let level =
                |n: usize| ((minute * 7 + half / 1000) as usize * (n + 3) % 977) as f64 / 10.0;
            let samples = ids.iter().enumerate().map(|(n, id)| (*id, level(n))).collect();
            let taken = telemetry.record_batch(Batch { at: at(minute * 60_000 + half), samples });
            assert_eq!(taken, Recorded::Taken);
        }
        bench.clock.advance(SignedDuration::from_mins(1));
        if minute % 30 == 29 {
            telemetry.flush().await.expect("flushed");
        }
        if minute % 1440 == 1439 {
            // A start begins with retention.
            telemetry.close().await;
            telemetry = bench.open().await;
            telemetry.flush().await.expect("flushed");
            let size = fs::metadata(bench.file()).expect("there").len();
            assert!(size <= 1 << 20, "day {}: {size} bytes", minute / 1440);
        }
    }
    assert_eq!(telemetry.counters().samples_recorded, (minutes as u64) * 2 * KEYS as u64);
    let hours = values(&telemetry, ids[0], 0, minutes * 60_000, Resolution::Hour).await;
    let Values::Sums { sums, step_ms } = hours else { panic!("sums were asked for") };
    assert_eq!(step_ms, 3_600_000);
    assert!(sums.len() >= 24 * 25, "{} hours of 30 days are known", sums.len());
    assert!(sums.iter().rev().take(24).all(|hour| hour.count == 120));
    let last_day = (29 * day_ms(), 30 * day_ms() - 1);
    let Values::Samples(found) =
        values(&telemetry, ids[0], last_day.0, last_day.1, Resolution::Raw).await
    else {
        panic!("the last day is there in detail")
    };
    assert_eq!(found.len(), 2880);
    telemetry.close().await;
}
