//! What is left after crashes, failing disks and damaged files.

use super::*;

#[tokio::test]
async fn a_crash_loses_nothing_that_was_flushed() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let samples = wander(1300);
    for (at, part) in samples.chunks(5).enumerate() {
        record(&telemetry, part);
        telemetry.flush().await.expect("flushed");
        // Within a window, at the end of one, and in the next.
        if [60, 119, 120, 121, 259].contains(&at) {
            let crashed = bench.crashed();
            let again = crashed.open().await;
            let expected = (at as u64 + 1) * 5;
            assert_eq!(count(&again, 0, 1_300_000).await, expected, "crash after flush {at}");
            again.flush().await.expect("flushed");
            let twice = crashed.crashed();
            let third = twice.open().await;
            assert_eq!(
                count(&third, 0, 1_300_000).await,
                expected,
                "second crash after flush {at}"
            );
            assert_eq!(third.counters().journal_rows_damaged, 0);
            third.close().await;
            again.close().await;
        }
    }
    record(&telemetry, &[(1_300_000, 1.0)]);
    let crashed = bench.crashed();
    let again = crashed.open().await;
    assert_eq!(count(&again, 0, 2_000_000).await, 1300, "only the unflushed sample is lost");
    again.close().await;
    telemetry.close().await;
}

#[tokio::test]
async fn the_timer_flushes_by_itself() {
    let mut bench = Bench::new();
    bench.options.flush_interval = Duration::from_millis(10);
    let telemetry = bench.open().await;
    record(&telemetry, &[(0, 5.0)]);
    let started = Instant::now();
    loop {
        let crashed = bench.crashed();
        let again = crashed.open().await;
        let found = count(&again, 0, 1000).await;
        again.close().await;
        if found == 1 {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "never flushed");
        tokio::task::yield_now().await;
    }
    telemetry.close().await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_fresh_one_made() {
    let healthy = Bench::new();
    let telemetry = healthy.open().await;
    record(&telemetry, &wander(3000));
    telemetry.flush().await.expect("flushed");
    telemetry.close().await;
    // As a crash leaves it: not marked as closed, so that pages are checked.
    let mut conn = healthy.sqlite().await;
    sqlx::query("UPDATE counters SET value = 0 WHERE name = 'closed_cleanly'")
        .execute(&mut conn)
        .await
        .expect("updated");
    conn.close().await.expect("closes");
    let bytes = fs::read(healthy.file()).expect("there");
    let with_noise = |from: usize, to: usize| {
        let mut bytes = bytes.clone();
        bytes[from..to].fill(0xA5);
        bytes
    };
    let cases = [
        ("not a database", b"these are not the bytes of a database, whatever it says".to_vec()),
        ("cut off", bytes[..bytes.len() / 2].to_vec()),
        ("no header", with_noise(0, 100)),
        ("schema page", with_noise(100, 8192)),
        ("pages in the middle", with_noise(8192, bytes.len() / 2)),
    ];
    for (name, damaged) in cases {
        let bench = Bench::new();
        fs::write(bench.file(), &damaged).expect("written");
        let telemetry = bench.open().await;
        let aside = format!("{FILE}.damaged-{START_MS:013}");
        let told = telemetry.set_aside().map(std::path::Path::to_owned);
        assert_eq!(told, Some(bench.folder.path().join(&aside)), "{name}");
        record(&telemetry, &[(0, 5.0)]);
        telemetry.flush().await.expect("flushed");
        assert_eq!(count(&telemetry, 0, HOUR_MS).await, 1, "{name}");
        telemetry.close().await;
        let telemetry = bench.open().await;
        assert_eq!(telemetry.set_aside(), None, "{name}: told once");
        telemetry.close().await;
        let kept = fs::read(bench.folder.path().join(aside));
        assert_eq!(kept.expect("set aside").len(), damaged.len(), "{name}");
    }
}

#[tokio::test]
async fn a_file_of_another_program_or_a_newer_release_is_set_aside() {
    for statement in [
        "PRAGMA application_id = 7",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'newer', 1, x'00', 0)",
    ] {
        let bench = Bench::new();
        bench.open().await.close().await;
        let mut conn = bench.sqlite().await;
        sqlx::query(statement).execute(&mut conn).await.expect("done");
        conn.close().await.expect("closes");
        bench.open().await.close().await;
        let aside = format!("{FILE}.damaged-{START_MS:013}");
        assert!(bench.folder.path().join(aside).exists(), "{statement}");
    }
}

#[tokio::test]
async fn only_the_newest_damaged_files_are_kept() {
    let bench = Bench::new();
    for _ in 0..4 {
        fs::write(bench.file(), b"no database, but long enough to be mistaken for one")
            .expect("written");
        bench.open().await.close().await;
        bench.clock.advance(SignedDuration::from_secs(1));
    }
    let names = fs::read_dir(bench.folder.path()).expect("readable");
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut kept: Vec<String> = names.filter(|name| name.contains(".damaged-")).collect();
    kept.sort();
    let expected = [2000, 3000].map(|ms| format!("{FILE}.damaged-{:013}", START_MS + ms));
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn a_damaged_journal_row_is_skipped_and_counted() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    for second in 0..3 {
        record(&telemetry, &[(second * 1000, 1.0)]);
        telemetry.flush().await.expect("flushed");
    }
    telemetry.close().await;
    let mut conn = bench.sqlite().await;
    sqlx::query(
        "UPDATE journal SET data = x'010203040506070809'
         WHERE seq = (SELECT min(seq) + 1 FROM journal)",
    )
    .execute(&mut conn)
    .await
    .expect("updated");
    conn.close().await.expect("closes");
    let telemetry = bench.open().await;
    assert_eq!(count(&telemetry, 0, 10_000).await, 2);
    assert_eq!(telemetry.counters().journal_rows_damaged, 1);
    telemetry.close().await;
}

#[tokio::test]
async fn a_damaged_chunk_is_skipped_and_counted() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    record(&telemetry, &wander(1500));
    telemetry.flush().await.expect("flushed");
    let mut conn = bench.sqlite().await;
    sqlx::query("UPDATE chunks SET data = x'0102' WHERE id = (SELECT min(id) FROM chunks)")
        .execute(&mut conn)
        .await
        .expect("updated");
    conn.close().await.expect("closes");
    let left = count(&telemetry, 0, 1_500_000).await;
    assert!((800..1500).contains(&left), "{left} samples left");
    assert_eq!(telemetry.counters().chunks_damaged, 1);
    telemetry.close().await;
}

#[tokio::test]
async fn a_flush_that_fails_keeps_the_samples_for_the_next() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    record(&telemetry, &wander(1000));
    telemetry.flush().await.expect("flushed");
    record(&telemetry, &[(1_000_000, 1.0)]);
    let mut conn = bench.sqlite().await;
    let lock = conn.begin_with("BEGIN IMMEDIATE").await.expect("locked");
    let error = telemetry.flush().await.expect_err("somebody else writes");
    assert!(matches!(error, FlushError::Storage { .. }), "{error:?}");
    assert_eq!(count(&telemetry, 0, 1_000_000).await, 1001);
    assert_eq!(telemetry.counters().flushes_failed, 1);
    record(&telemetry, &[(1_001_000, 1.0)]);
    lock.rollback().await.expect("released");
    telemetry.flush().await.expect("flushed");
    let crashed = bench.crashed();
    let again = crashed.open().await;
    assert_eq!(count(&again, 0, 2_000_000).await, 1002);
    again.close().await;
    telemetry.close().await;
}

/// Runs one statement beside the writer.
async fn beside(bench: &Bench, sql: &'static str) {
    let mut conn = bench.sqlite().await;
    sqlx::raw_sql(sql).execute(&mut conn).await.expect("executed");
    conn.close().await.expect("closes");
}

#[tokio::test]
async fn flushing_goes_on_by_itself_after_sqlite_ended_a_transaction() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    // Fails like a full disk: SQLite rolls the whole transaction back before anybody asks it to.
    beside(
        &bench,
        "CREATE TRIGGER full BEFORE INSERT ON journal \
         BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END",
    )
    .await;
    record(&telemetry, &[(0, 1.0)]);
    for ms in [5_000, 10_000] {
        let error = telemetry.flush().await.expect_err("the disk is full");
        let FlushError::Storage { source } = error else { panic!("{error}") };
        assert!(source.to_string().contains("the disk is full"), "{source}");
        record(&telemetry, &[(ms, 1.0)]);
    }
    beside(&bench, "DROP TRIGGER full").await;
    telemetry.flush().await.expect("flushed");
    let crashed = bench.crashed();
    let again = crashed.open().await;
    assert_eq!(count(&again, 0, 20_000).await, 3, "every sample was kept");
    again.close().await;
    telemetry.close().await;
}
