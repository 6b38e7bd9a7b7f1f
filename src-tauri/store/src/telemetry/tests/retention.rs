//! What is deleted, and what is not.

use super::*;

/// Opens again, which begins with retention, and waits until nothing changes for the predicate.
async fn until(telemetry: &Telemetry, what: &str, done: impl AsyncFn(&Telemetry) -> bool) {
    let started = Instant::now();
    while !done(telemetry).await {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        tokio::task::yield_now().await;
    }
}

async fn rows(bench: &Bench, table: &'static str) -> i64 {
    let mut conn = bench.sqlite().await;
    let statement = match table {
        "chunks" => "SELECT count(*) FROM chunks",
        "minutes" => "SELECT count(*) FROM minutes",
        "hours" => "SELECT count(*) FROM hours",
        _ => "SELECT count(*) FROM series",
    };
    let rows = sqlx::query_scalar(statement).fetch_one(&mut conn).await.expect("counted");
    conn.close().await.expect("closes");
    rows
}

/// Flushes until everything that is over is rolled up.
async fn settle(telemetry: &Telemetry) {
    for _ in 0..400 {
        telemetry.flush().await.expect("flushed");
    }
}

#[tokio::test]
async fn retention_deletes_only_the_old() {
    let mut bench = Bench::new();
    let telemetry = bench.open().await;
    let old: Vec<(i64, f64)> = (0..600).map(|at| (at * 10_000, 1.0)).collect();
    record(&telemetry, &old);
    let now_ms = 80 * HOUR_MS;
    let young: Vec<(i64, f64)> = (0..600).map(|at| (now_ms - HOUR_MS + at * 6000, 2.0)).collect();
    record(&telemetry, &young);
    bench.clock.advance(SignedDuration::from_hours(96));
    settle(&telemetry).await;
    telemetry.close().await;
    let (chunks, minutes) = (rows(&bench, "chunks").await, rows(&bench, "minutes").await);

    let telemetry = bench.open().await;
    until(&telemetry, "old chunks deleted", async |_| rows(&bench, "chunks").await < chunks).await;
    assert_eq!(rows(&bench, "minutes").await, minutes, "minutes are kept longer");
    assert_eq!(count(&telemetry, now_ms - HOUR_MS, now_ms).await, 600, "the young are whole");
    // An hour of long ago, in detail: answered by the minute.
    let found = buckets(&telemetry, query(0, HOUR_MS, 2000)).await;
    assert_eq!(found.len(), 61, "60 minutes and the one that holds the end");
    assert!(found.iter().all(|bucket| bucket.count == 6 && bucket.mean == 1.0));
    telemetry.close().await;

    bench.options.minute_age = Duration::from_secs(3600 * 24);
    let telemetry = bench.open().await;
    until(&telemetry, "old minutes deleted", async |_| rows(&bench, "minutes").await < minutes)
        .await;
    // By the hour it is still known.
    let found = buckets(&telemetry, query(0, HOUR_MS - 1, 2000)).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].count, found[0].mean), (360, 1.0));
    assert_eq!(count(&telemetry, now_ms - HOUR_MS, now_ms).await, 600);
    telemetry.close().await;
}

#[tokio::test]
async fn a_series_of_which_nothing_is_left_is_forgotten() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    record(&telemetry, &[(0, 1.0)]);
    let gone = Tick { at: at(0), samples: vec![(SeriesKey::plain("engine_cpu_percent"), 1.0)] };
    assert_eq!(telemetry.record(gone), Recorded::Taken);
    record(&telemetry, &[(1000 * 24 * HOUR_MS, 1.0)]);
    bench.clock.advance(SignedDuration::from_hours(24 * 1000));
    telemetry.close().await;
    assert_eq!(rows(&bench, "series").await, 2);
    let telemetry = bench.open().await;
    until(&telemetry, "series forgotten", async |_| rows(&bench, "series").await == 1).await;
    let left = telemetry.latest("engine_cpu_percent", &BTreeMap::new()).await;
    assert_eq!(left.expect("readable"), []);
    telemetry.close().await;
}

#[tokio::test]
async fn the_disk_budget_takes_the_oldest() {
    let mut bench = Bench::new();
    let telemetry = bench.open().await;
    let samples = wander(20 * 3600);
    for part in samples.chunks(4000) {
        record(&telemetry, part);
        telemetry.flush().await.expect("flushed");
    }
    bench.clock.advance(SignedDuration::from_hours(21));
    telemetry.close().await;
    let chunks = rows(&bench, "chunks").await;
    let before = fs::metadata(bench.file()).expect("there").len();

    bench.options.disk_budget_bytes = before * 3 / 4;
    let telemetry = bench.open().await;
    until(&telemetry, "shrunk", async |_| rows(&bench, "chunks").await < chunks).await;
    telemetry.close().await;
    let after = fs::metadata(bench.file()).expect("there").len();
    assert!(after <= before * 3 / 4, "{after} of {before} bytes are left");
}

#[tokio::test]
async fn a_budget_of_nothing_leaves_nothing() {
    let mut bench = Bench::new();
    let telemetry = bench.open().await;
    for part in wander(2 * 3600).chunks(1000) {
        record(&telemetry, part);
        telemetry.flush().await.expect("flushed");
    }
    bench.clock.advance(SignedDuration::from_hours(2));
    telemetry.close().await;
    // Less than a fresh file takes: everything is to go, though the four hours are not over.
    bench.options.disk_budget_bytes = 1;
    let telemetry = bench.open().await;
    until(&telemetry, "all chunks deleted", async |_| rows(&bench, "chunks").await == 0).await;
    until(&telemetry, "minutes too", async |_| rows(&bench, "minutes").await == 0).await;
    until(&telemetry, "hours too", async |_| rows(&bench, "hours").await == 0).await;
    telemetry.close().await;
}

#[tokio::test]
async fn the_journal_ends_when_chunks_are_written() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    for (at, part) in wander(2400).chunks(5).enumerate() {
        record(&telemetry, part);
        bench.clock.advance(SignedDuration::from_secs(5));
        telemetry.flush().await.expect("flushed");
        if at % 100 == 99 {
            let mut conn = bench.sqlite().await;
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM journal")
                .fetch_one(&mut conn)
                .await
                .expect("counted");
            assert!(rows <= 121, "{rows} rows after {at} flushes");
            conn.close().await.expect("closes");
        }
    }
    telemetry.close().await;
}
