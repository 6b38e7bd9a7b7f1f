//! Input that nobody should send.

use super::numbers::{reading, samples};
use super::*;

#[tokio::test]
async fn a_million_label_sets_cost_no_more_than_the_cap() {
    let mut bench = Bench::new();
    bench.options.series_max = 1000;
    let telemetry = bench.open().await;
    let mut refused = 0;
    for n in 0..1_000_000 {
        let key = SeriesKey::with("agent_processes", "agent", format!("bee-{n}"));
        match telemetry.series(&key) {
            Ok(_) => {}
            Err(Refused::TooManySeries { max }) => {
                assert_eq!(max, 1000);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 999_000);
    // Those that are known go on.
    let known = SeriesKey::with("agent_processes", "agent", "bee-7");
    let id = telemetry.series(&known).expect("known");
    assert_eq!(
        telemetry.record_batch(Batch { at: at(0), samples: vec![(id, 3.0)] }),
        Recorded::Taken
    );
    telemetry.flush().await.expect("flushed");
    let counters = telemetry.counters();
    assert_eq!((counters.series, counters.series_max), (1000, 1000));
    assert_eq!(counters.samples_over_series_cap, 999_000);
    assert_eq!(samples(&telemetry, id, 1000).await, [(0, 3.0)]);
    telemetry.close().await;
}

#[tokio::test]
async fn unknown_signals_and_bad_labels_are_refused_by_name() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let unknown = telemetry.series(&SeriesKey::plain("weather"));
    assert_eq!(unknown, Err(Refused::UnknownSignal { name: "weather".to_owned() }));
    for value in ["x".repeat(2000), "a\0b".to_owned()] {
        let key = SeriesKey::with("agent_processes", "agent", value);
        assert!(matches!(telemetry.series(&key), Err(Refused::Labels { .. })));
    }
    let mut reader =
        telemetry.read(reading(vec![SeriesId(77)], 0, 1000, Resolution::Raw)).expect("forwards");
    let nothing = reader.next().await.expect("an answer").expect("readable");
    assert_eq!(nothing.values, Values::Samples(Vec::new()));
    let stale = Batch { at: at(0), samples: vec![(SeriesId(77), 1.0)] };
    assert_eq!(telemetry.record_batch(stale), Recorded::Taken);
    telemetry.flush().await.expect("flushed");
    assert_eq!(telemetry.counters().samples_of_forgotten_series, 1);
    telemetry.close().await;
}

#[tokio::test]
async fn a_thousand_samples_a_second_are_kept_apart() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    let count = 300_000;
    for from in (0..count).step_by(2000) {
        for ms in from..from + 2000 {
            let sample = vec![(id, (ms % 1000) as f64)];
            assert_eq!(
                telemetry.record_batch(Batch { at: at(ms), samples: sample }),
                Recorded::Taken
            );
        }
        telemetry.flush().await.expect("flushed");
    }
    let found = samples(&telemetry, id, 1_000_000).await;
    assert_eq!(found.len(), count as usize);
    assert!(
        found.iter().enumerate().all(|(n, (ms, value))| {
            *ms == n as i64 && (value - (n % 1000) as f64).abs() < 0.06
        })
    );
    let crashed = bench.crashed();
    let again = crashed.open().await;
    again.flush().await.expect("flushed");
    let id = again.series(&SeriesKey::plain(CPU)).expect("a known signal");
    assert_eq!(samples(&again, id, 1_000_000).await, found, "after a crash");
    again.close().await;
    telemetry.close().await;
}

#[tokio::test]
async fn ten_years_at_a_millisecond_are_answered_or_refused_in_time() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    let year = 365 * 24 * HOUR_MS;
    // A burst at either end of ten years, and a window's worth at every month between.
    for month in 0..120 {
        let from = month * 30 * 24 * HOUR_MS;
        for ms in (from..from + 500).step_by(1) {
            record(&telemetry, &[(ms, 1.0)]);
        }
        telemetry.flush().await.expect("flushed");
    }
    let started = Instant::now();
    assert_eq!(samples(&telemetry, id, 10 * year).await.len(), 60_000);
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
    // Once they are over, ten years are answered by the hour.
    bench.clock.advance(SignedDuration::from_hours(11 * 365 * 24));
    for _ in 0..300 {
        telemetry.flush().await.expect("flushed");
    }
    let found = buckets(&telemetry, query(0, 10 * year, 2000)).await;
    assert_eq!(found.iter().map(|bucket| bucket.count).sum::<u64>(), 60_000);
    let mut hurried = reading(vec![id; 500], 0, 10 * year, Resolution::Raw);
    hurried.deadline = Duration::from_millis(1);
    let mut reader = telemetry.read(hurried).expect("forwards");
    let late = loop {
        match reader.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(late, Some(Err(ReadError::Deadline { deadline_ms: 1 }))), "{late:?}");
    assert!(reader.next().await.is_none(), "nothing after an error");
    telemetry.close().await;
}

#[tokio::test]
async fn a_question_that_is_withdrawn_ends() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    record(&telemetry, &wander(100));
    telemetry.flush().await.expect("flushed");
    let id = telemetry.series(&SeriesKey::plain(CPU)).expect("a known signal");
    let question = reading(vec![id; 10], 0, 1_000_000, Resolution::Raw);
    question.cancel.cancel();
    let mut reader = telemetry.read(question).expect("forwards");
    assert!(matches!(reader.next().await, Some(Err(ReadError::Cancelled))));
    assert!(reader.next().await.is_none());
    telemetry.close().await;
}

#[tokio::test]
async fn series_are_chosen_by_labels_and_told_with_what_they_mean() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    for agent in ["ada", "bob", "eve"] {
        let key = SeriesKey::with("agent_cpu_percent", "agent", agent);
        assert!(telemetry.series(&key).is_ok());
    }
    record(&telemetry, &[(0, 3.0)]);
    telemetry.flush().await.expect("flushed");
    let name = Matcher::new("__name__", MatchOp::Match, "agent_.*").expect("a pattern");
    let agent = Matcher::new("agent", MatchOp::NotMatch, "a.*|bo.").expect("a pattern");
    let found = telemetry.select(&Selector::new(vec![name, agent]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, SeriesKey::with("agent_cpu_percent", "agent", "eve"));
    assert_eq!((found[0].kind, found[0].unit), (model::signal::SignalKind::Gauge, "%"));
    assert_eq!(found[0].latest, None);
    let all = telemetry.select(&Selector::default());
    assert_eq!(all.len(), 4);
    assert_eq!(all[3].latest, Some((at(0), 3.0)));
    telemetry.close().await;
}
