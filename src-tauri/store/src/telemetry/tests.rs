//! Telemetry with real files and a clock that is moved by hand.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use model::clock::ManualClock;
use model::signal::{Bucket, SeriesKey, Tick};
use proptest::prelude::*;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::*;

mod hostile;
mod numbers;
mod recovery;
mod retention;
mod time;

const CPU: &str = "machine_cpu_percent";
/// Start of the recordings: a full ten minutes, so that windows are easy to count.
const START_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DEADLINE: Duration = Duration::from_secs(20);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(START_MS + ms).expect("a moment of this century")
}

/// Flushes happen when a test asks for them, not by the clock on the wall.
fn by_hand() -> TelemetryOptions {
    TelemetryOptions {
        flush_interval: Duration::from_secs(24 * 3600),
        queue_ticks: 4096,
        // Samples of any moment, wherever the clock stands.
        late_window: Duration::from_secs(100 * 365 * 24 * 3600),
        ahead_window: Duration::from_secs(100 * 365 * 24 * 3600),
        trust_after: Duration::ZERO,
        ..TelemetryOptions::default()
    }
}

/// A data directory that was used before, so that it takes files that are put there by hand.
fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    drop(DataDir::open(folder.path()).expect("the directory opens"));
    folder
}

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    options: TelemetryOptions,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: private_folder(),
            clock: Arc::new(ManualClock::new(at(0))),
            options: by_hand(),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join(FILE)
    }

    async fn open(&self) -> Telemetry {
        let dir = DataDir::open(self.folder.path()).expect("the directory opens");
        let clock = Arc::clone(&self.clock);
        Telemetry::open_with(&dir, clock, self.options).await.expect("telemetry opens")
    }

    /// The files as a kill -9 at this moment would leave them.
    fn crashed(&self) -> Self {
        let copy = Self {
            folder: private_folder(),
            clock: Arc::clone(&self.clock),
            options: self.options,
        };
        for suffix in ["", "-wal"] {
            let name = format!("{FILE}{suffix}");
            fs::copy(self.folder.path().join(&name), copy.folder.path().join(&name))
                .expect("the file is there");
        }
        copy
    }

    async fn sqlite(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.file());
        options.connect().await.expect("SQLite opens the file")
    }
}

fn tick(ms: i64, value: f64) -> Tick {
    Tick { at: at(ms), samples: vec![(SeriesKey::plain(CPU), value)] }
}

fn record(telemetry: &Telemetry, samples: &[(i64, f64)]) {
    for (ms, value) in samples {
        assert_eq!(telemetry.record(tick(*ms, *value)), Recorded::Taken);
    }
}

fn query(from_ms: i64, to_ms: i64, points: u32) -> RangeQuery {
    RangeQuery {
        name: CPU.to_owned(),
        labels: BTreeMap::new(),
        from: at(from_ms),
        to: at(to_ms),
        points,
    }
}

async fn buckets(telemetry: &Telemetry, query: RangeQuery) -> Vec<Bucket> {
    let mut found = telemetry.range(query).await.expect("readable");
    assert!(found.len() <= 1, "one series at most");
    found.pop().map_or_else(Vec::new, |series| series.buckets)
}

async fn count(telemetry: &Telemetry, from_ms: i64, to_ms: i64) -> u64 {
    let buckets = buckets(telemetry, query(from_ms, to_ms, 2000)).await;
    buckets.iter().map(|bucket| bucket.count).sum()
}

/// A signal that wanders between 0 and 100 % like a busy machine's.
fn wander(seconds: i64) -> Vec<(i64, f64)> {
    let mut state = 7_u64;
    let mut level = 30.0_f64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 10_000) as f64 / 10_000.0 - 0.5
    };
    (0..seconds)
        .map(|second| {
            level = (level + 4.0 * next()).clamp(0.0, 100.0);
            (second * 1000, level)
        })
        .collect()
}

#[tokio::test]
async fn what_is_recorded_comes_back_within_its_resolution_wherever_it_is() {
    let bench = Bench::new();
    let samples = wander(1500);
    let check = async |telemetry: &Telemetry, place: &str| {
        let buckets = buckets(telemetry, query(0, 1_500_000, 1500)).await;
        assert_eq!(buckets.len(), samples.len(), "{place}");
        for (bucket, (ms, value)) in buckets.iter().zip(&samples) {
            assert_eq!(bucket.at, at(*ms), "{place}");
            assert!((bucket.mean - value).abs() <= 0.0501, "{place}: {bucket:?} for {value}");
            assert_eq!((bucket.min, bucket.max, bucket.count), (bucket.last, bucket.last, 1));
        }
    };
    let telemetry = bench.open().await;
    record(&telemetry, &samples);
    telemetry.flush().await.expect("flushed");
    check(&telemetry, "chunks and memory").await;
    telemetry.close().await;
    let telemetry = bench.open().await;
    check(&telemetry, "chunks and journal, after a restart").await;
    bench.clock.advance(SignedDuration::from_hours(1));
    telemetry.flush().await.expect("flushed");
    check(&telemetry, "chunks only").await;
    let latest = telemetry.latest(CPU, &BTreeMap::new()).await.expect("readable");
    assert_eq!(latest.len(), 1);
    assert_eq!(latest[0].1, at(1_499_000));
    telemetry.close().await;
}

/// Min, max, mean, last and count of each bucket, computed the plain way.
fn reference(samples: &[(i64, i64)], found: &[Bucket], step_ms: i64, to_ms: i64) -> Vec<Bucket> {
    let mut expected = Vec::new();
    for bucket in found {
        let start = bucket.at.as_millisecond() - START_MS;
        let is_last = start + step_ms >= to_ms;
        let inside = |ms: i64| ms >= start && (ms < start + step_ms || (is_last && ms <= to_ms));
        let values: Vec<(i64, i64)> =
            samples.iter().copied().filter(|(ms, _)| inside(*ms)).collect();
        let tenths = |value: Option<i64>| value.expect("no empty buckets") as f64 / 10.0;
        let sum: i64 = values.iter().map(|(_, value)| value).sum();
        expected.push(Bucket {
            at: bucket.at,
            min: tenths(values.iter().map(|(_, value)| *value).min()),
            max: tenths(values.iter().map(|(_, value)| *value).max()),
            mean: sum as f64 / values.len() as f64 / 10.0,
            // Moments are distinct, so that the latest is one.
            last: tenths(values.iter().max_by_key(|(ms, _)| *ms).map(|(_, value)| *value)),
            count: values.len() as u64,
        });
    }
    expected
}

async fn compare(samples: &[(i64, i64)], flush_every: usize, points: u32, span_ms: i64) {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    for part in samples.chunks(flush_every) {
        for (ms, tenths) in part {
            let taken = telemetry.record(tick(*ms, *tenths as f64 / 10.0));
            assert_eq!(taken, Recorded::Taken);
        }
        telemetry.flush().await.expect("flushed");
    }
    let crashed = bench.crashed();
    let again = crashed.open().await;
    for telemetry in [&telemetry, &again] {
        let mut found = telemetry.range(query(0, span_ms, points)).await.expect("readable");
        let series = found.pop().expect("one series");
        assert!(series.buckets.len() <= points as usize);
        let step_ms = i64::try_from(series.step_ms).expect("fits");
        // Minutes widen the range to the end of the last one.
        let to_ms = if step_ms % 60_000 == 0 { span_ms + 59_999 } else { span_ms };
        assert_eq!(series.buckets, reference(samples, &series.buckets, step_ms, to_ms));
        let total: u64 = series.buckets.iter().map(|bucket| bucket.count).sum();
        assert_eq!(total, samples.len() as u64);
    }
    again.close().await;
    telemetry.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn buckets_equal_a_reference_computation(
        // Distinct moments, in an order that is mostly that of time.
        samples in prop::collection::btree_map(0_i64..=7_200_000, -1000_i64..1000, 1..900),
        swaps in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        flush_every in 50_usize..400,
        points in 1_u32..400,
    ) {
        let mut samples: Vec<(i64, i64)> = samples.into_iter().collect();
        for swap in swaps {
            let at = swap.index(samples.len());
            let other = (at + 3).min(samples.len() - 1);
            samples.swap(at, other);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(compare(&samples, flush_every, points, 7_200_000));
    }
}

#[tokio::test]
async fn a_gap_stays_a_gap() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    record(&telemetry, &[(0, 1.0), (1000, 2.0), (900_000, 3.0), (1_000_000, 4.0)]);
    telemetry.flush().await.expect("flushed");
    let found = buckets(&telemetry, query(0, 1_000_000, 100)).await;
    let starts: Vec<Timestamp> = found.iter().map(|bucket| bucket.at).collect();
    assert_eq!(starts, [at(0), at(900_000), at(990_000)]);
    assert_eq!(found[0].count, 2);
    telemetry.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_every_sample_once_while_chunks_move_to_the_file() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    for round in 1..=10_i64 {
        let from = (round - 1) * 700;
        let samples: Vec<(i64, f64)> = (from..from + 700).map(|at| (at * 100, 1.0)).collect();
        record(&telemetry, &samples);
        let expected = round.unsigned_abs() * 700;
        let started = Instant::now();
        while count(&telemetry, 0, 700_000).await < expected {
            assert!(started.elapsed() < DEADLINE, "never taken");
        }
        let reader = async {
            for _ in 0..10 {
                assert_eq!(count(&telemetry, 0, 700_000).await, expected);
            }
        };
        let (flushed, ()) = tokio::join!(telemetry.flush(), reader);
        flushed.expect("flushed");
    }
    telemetry.close().await;
}

#[tokio::test]
async fn labels_select_series() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let samples =
        ["ada", "bob"].map(|agent| (SeriesKey::with("agent_cpu_percent", "agent", agent), 1.0));
    let taken = telemetry.record(Tick { at: at(0), samples: samples.into() });
    assert_eq!(taken, Recorded::Taken);
    telemetry.flush().await.expect("flushed");
    let cases = [
        (BTreeMap::new(), 2),
        (BTreeMap::from([("agent".to_owned(), "ada".to_owned())]), 1),
        (BTreeMap::from([("agent".to_owned(), "eve".to_owned())]), 0),
    ];
    for (labels, expected) in cases {
        let question = RangeQuery {
            name: "agent_cpu_percent".to_owned(),
            labels: labels.clone(),
            ..query(0, 1000, 10)
        };
        let found = telemetry.range(question).await.expect("readable");
        assert_eq!(found.len(), expected, "{labels:?}");
        assert!(found.iter().all(|series| series.unit == "%"));
        let latest = telemetry.latest("agent_cpu_percent", &labels).await.expect("readable");
        assert_eq!(latest.len(), expected, "{labels:?}");
    }
    telemetry.close().await;
}

#[tokio::test]
async fn a_backwards_range_is_refused() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    let error = telemetry.range(query(1000, 0, 10)).await.expect_err("backwards");
    assert!(matches!(error, ReadError::Backwards { .. }));
    telemetry.close().await;
}

#[tokio::test]
async fn what_is_refused_is_counted_and_counts_survive_a_restart() {
    let mut bench = Bench::new();
    bench.options.series_max = 2;
    let telemetry = bench.open().await;
    let agent = |name: String| SeriesKey::with("agent_processes", "agent", name);
    let samples = vec![
        (SeriesKey::plain("weather"), 1.0),
        (agent("x".repeat(2000)), 1.0),
        (agent("ada".to_owned()), f64::NAN),
        (agent("ada".to_owned()), 1.0),
        (agent("bob".to_owned()), 2.0),
        (agent("eve".to_owned()), 3.0),
        (agent("bob".to_owned()), f64::INFINITY),
    ];
    let taken = telemetry.record(Tick { at: at(0), samples });
    assert_eq!(taken, Recorded::Taken);
    telemetry.flush().await.expect("flushed");
    let expected = TelemetryCounters {
        series: 2,
        series_max: 2,
        samples_recorded: 4,
        samples_of_unknown_signals: 1,
        samples_with_bad_labels: 1,
        samples_without_number: 2,
        // The number comes after NaN at the same moment, and infinity after the number.
        samples_twice: 2,
        samples_over_series_cap: 1,
        ..TelemetryCounters::default()
    };
    assert_eq!(telemetry.counters(), expected);
    telemetry.close().await;
    let after = telemetry.record(tick(0, 1.0));
    assert_eq!(after, Recorded::Dropped, "closed");
    assert!(matches!(telemetry.flush().await, Err(FlushError::Closed)));
    drop(telemetry);
    let telemetry = bench.open().await;
    assert_eq!(telemetry.counters(), expected);
    telemetry.close().await;
}

#[tokio::test]
async fn a_full_queue_drops_at_once_and_counts() {
    let mut bench = Bench::new();
    bench.options.queue_ticks = 2;
    let telemetry = bench.open().await;
    // One thread, and no await: the writer cannot take anything meanwhile.
    let fates: Vec<Recorded> = (0..4).map(|at| telemetry.record(tick(at, 1.0))).collect();
    use Recorded::{Dropped, Taken};
    assert_eq!(fates, [Taken, Taken, Dropped, Dropped]);
    assert_eq!(telemetry.counters().ticks_dropped, 2);
    telemetry.flush().await.expect("flushed");
    assert_eq!(count(&telemetry, 0, 10).await, 2);
    telemetry.close().await;
}

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_file_is_private_and_marked_as_ours() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    #[cfg(unix)]
    assert_eq!(mode(&bench.file()), 0o600);
    let mut conn = bench.sqlite().await;
    for (pragma, expected) in [
        ("PRAGMA application_id", "1212904557"),
        ("PRAGMA auto_vacuum", "2"),
        ("PRAGMA page_size", "8192"),
        ("PRAGMA journal_mode", "wal"),
    ] {
        let row = sqlx::query(pragma).fetch_one(&mut conn).await.expect("answers");
        let found: String = sqlx::Row::try_get_unchecked(&row, 0).expect("a value");
        assert_eq!(found, expected, "{pragma}");
    }
    conn.close().await.expect("closes");
    telemetry.close().await;
}

#[tokio::test]
async fn an_hour_of_processor_use_costs_less_than_a_byte_per_sample() {
    let bench = Bench::new();
    let telemetry = bench.open().await;
    // Eight hours, so that rows of minutes are full.
    for part in wander(8 * 3600).chunks(3600) {
        record(&telemetry, part);
        telemetry.flush().await.expect("flushed");
    }
    bench.clock.advance(SignedDuration::from_hours(24));
    telemetry.flush().await.expect("flushed");
    telemetry.flush().await.expect("flushed");
    let mut conn = bench.sqlite().await;
    let (chunks, minutes): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT sum(length(data)) FROM chunks), (SELECT sum(length(data)) FROM minutes)",
    )
    .fetch_one(&mut conn)
    .await
    .expect("measured");
    conn.close().await.expect("closes");
    let per_sample = chunks as f64 / (8.0 * 3600.0);
    let per_minute = minutes as f64 / (8.0 * 60.0);
    assert!(per_sample < 0.9, "{per_sample:.2} bytes per sample");
    assert!(per_minute < 8.0, "{per_minute:.2} bytes per minute");
    telemetry.close().await;
}
