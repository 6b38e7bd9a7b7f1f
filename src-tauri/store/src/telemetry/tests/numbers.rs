//! Numbers that are none, and sums that are exact.

use super::*;
use model::signal::of_series;
use tokio_util::sync::CancellationToken;

pub(super) fn reading(ids: Vec<SeriesId>, from_ms: i64, to_ms: i64, how: Resolution) -> ReadQuery {
    ReadQuery {
        series: ids,
        from: at(from_ms),
        to: at(to_ms),
        resolution: how,
        deadline: DEADLINE,
        cancel: CancellationToken::new(),
    }
}

/// Everything of one series, at a resolution.
pub(super) async fn values(
    telemetry: &Telemetry,
    id: SeriesId,
    from_ms: i64,
    to_ms: i64,
    how: Resolution,
) -> Values {
    let mut reader = telemetry.read(reading(vec![id], from_ms, to_ms, how)).expect("forwards");
    let first = reader.next().await.expect("one series").expect("readable");
    assert!(reader.next().await.is_none(), "one series only");
    assert_eq!(first.id, id);
    first.values
}

pub(super) async fn samples(telemetry: &Telemetry, id: SeriesId, to_ms: i64) -> Vec<(i64, f64)> {
    match values(telemetry, id, 0, to_ms, Resolution::Raw).await {
        Values::Samples(samples) => {
            samples.iter().map(|it| (it.at_ms - START_MS, it.value)).collect()
        }
        Values::Sums { .. } => panic!("samples were asked for"),
    }
}

fn batch(ms: i64, id: SeriesId, value: f64) -> Batch {
    Batch { at: at(ms), samples: vec![(id, value)] }
}

#[tokio::test]
async fn what_is_no_number_comes_back_bit_by_bit_and_is_in_no_sum() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    let odd_nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let odd = [odd_nan, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300];
    let mut expected = Vec::new();
    for second in 0..1200 {
        let value = if second % 100 == 50 { odd[second / 100 % 5] } else { second as f64 / 10.0 };
        expected.push((second as i64 * 1000, value));
        assert_eq!(telemetry.record_batch(batch(second as i64 * 1000, id, value)), Recorded::Taken);
    }
    for place in ["in the journal and a chunk", "in chunks"] {
        telemetry.flush().await.expect("flushed");
        let found = samples(&telemetry, id, 2_000_000).await;
        assert_eq!(found.len(), expected.len(), "{place}");
        for ((at, value), (expected_at, expected)) in found.iter().zip(&expected) {
            assert_eq!((at, value.to_bits()), (expected_at, expected.to_bits()), "{place}");
        }
        bench.clock.advance(SignedDuration::from_hours(1));
    }
    let Values::Sums { sums, .. } = values(&telemetry, id, 0, 1_199_999, Resolution::Minute).await
    else {
        panic!("sums were asked for")
    };
    assert_eq!(sums.len(), 20);
    assert_eq!(sums.iter().map(|it| it.anomalies).sum::<u64>(), 12);
    assert_eq!(sums.iter().map(|it| it.count).sum::<u64>(), 1188);
    assert!(sums.iter().all(|it| it.sum.is_finite() && it.max < 1200.0));
    let found = buckets(&telemetry, query(0, 1_200_000, 50)).await;
    assert!(found.iter().all(|bucket| bucket.mean.is_finite() && bucket.max.is_finite()));
    assert_eq!(telemetry.counters().samples_without_number, 12);
    telemetry.close().await;
}

/// The plain way to sum up samples by the stretch.
fn reference(
    points: &[(i64, i64)],
    width_ms: i64,
) -> BTreeMap<i64, (i64, i64, i64, i64, i64, u64)> {
    let mut all: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (ms, tenths) in points {
        all.entry((START_MS + ms).div_euclid(width_ms) * width_ms).or_default().push(*tenths);
    }
    let sum = |of: &Vec<i64>| {
        let (min, max) = (*of.iter().min().expect("some"), *of.iter().max().expect("some"));
        (min, max, of.iter().sum(), of[0], of[of.len() - 1], of.len() as u64)
    };
    all.iter().map(|(start, of)| (*start, sum(of))).collect()
}

async fn sums_equal_samples(points: Vec<(i64, i64)>, late: Vec<(i64, i64)>) {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    for part in points.chunks(500) {
        for (ms, tenths) in part {
            let taken = telemetry.record_batch(batch(*ms, id, *tenths as f64 / 10.0));
            assert_eq!(taken, Recorded::Taken);
        }
        telemetry.flush().await.expect("flushed");
    }
    bench.clock.advance(SignedDuration::from_hours(30));
    for _ in 0..8 {
        telemetry.flush().await.expect("flushed");
    }
    // Of four hours that are rolled up by now.
    let mut all: BTreeMap<i64, i64> = points.into_iter().collect();
    for (ms, tenths) in late {
        assert_eq!(telemetry.record_batch(batch(ms, id, tenths as f64 / 10.0)), Recorded::Taken);
        all.insert(ms, tenths);
    }
    for _ in 0..30 {
        // A late chunk is closed after so many rows of the journal.
        let elsewhere = Tick {
            at: at(110 * HOUR_MS),
            samples: vec![(SeriesKey::plain("engine_cpu_percent"), 1.0)],
        };
        assert_eq!(telemetry.record(elsewhere), Recorded::Taken);
        telemetry.flush().await.expect("flushed");
    }
    let all: Vec<(i64, i64)> = all.into_iter().collect();
    for (how, width_ms) in [(Resolution::Minute, 60_000), (Resolution::Hour, HOUR_MS)] {
        let Values::Sums { sums, step_ms } = values(&telemetry, id, 0, 24 * HOUR_MS, how).await
        else {
            panic!("sums were asked for")
        };
        assert_eq!(step_ms, width_ms.unsigned_abs());
        let tenths = |value: f64| (value * 10.0).round() as i64;
        let found = sums.iter().map(|it| {
            let figures = (
                tenths(it.min),
                tenths(it.max),
                tenths(it.sum),
                tenths(it.first),
                tenths(it.last),
                it.count,
            );
            (it.at_ms, figures)
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), reference(&all, width_ms));
    }
    telemetry.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn sums_by_minute_and_hour_equal_those_of_the_samples(
        points in prop::collection::btree_map(0_i64..10 * HOUR_MS, -1000_i64..1000, 1..3000),
        late in prop::collection::vec((0_i64..10 * HOUR_MS, -1000_i64..1000), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let points = points.into_iter().collect();
        runtime.expect("a runtime").block_on(sums_equal_samples(points, late));
    }
}

#[tokio::test]
async fn a_signal_is_kept_as_finely_as_it_says() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let keys = ["agent_cost_usd_total", CPU, "machine_memory_used_bytes"];
    for (nth, name) in keys.into_iter().enumerate() {
        let step = of_series(name).expect("in the catalogue").resolution();
        let id = telemetry.series(&SeriesKey::plain(name)).expect("a known signal");
        let given = [0.123_456_789, -7.77, 123_456.789, 1e9 + 0.5];
        for (second, value) in given.into_iter().enumerate() {
            let taken = telemetry.record_batch(batch(second as i64 * 1000, id, value));
            assert_eq!(taken, Recorded::Taken);
        }
        telemetry.flush().await.expect("flushed");
        let found = samples(&telemetry, id, 10_000).await;
        assert_eq!(found.len(), given.len(), "{nth}");
        for ((_, found), given) in found.iter().zip(given) {
            assert!((found - given).abs() <= step * 0.500_001, "{name}: {found} for {given}");
        }
    }
    telemetry.close().await;
}

#[tokio::test]
async fn negative_counters_and_resets_are_kept_as_they_are() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let key = SeriesKey::plain("machine_network_sent_bytes_total");
    let id = telemetry.series(&key).expect("a known signal");
    let given: Vec<(i64, f64)> = [5.0, 9e15, 0.0, -3.0, 7.0, 7.0, 1.0]
        .into_iter()
        .enumerate()
        .map(|(second, value)| (second as i64 * 1000, value))
        .collect();
    for (ms, value) in &given {
        assert_eq!(telemetry.record_batch(batch(*ms, id, *value)), Recorded::Taken);
    }
    telemetry.flush().await.expect("flushed");
    assert_eq!(samples(&telemetry, id, 10_000).await, given);
    telemetry.close().await;
}
