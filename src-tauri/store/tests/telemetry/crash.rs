//! The process that writes is killed with SIGKILL at any moment; what it flushed is there, once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::clock::SystemClock;
use model::signal::SeriesKey;
use store::DataDir;
use store::telemetry::{
    Batch, ReadQuery, Recorded, Resolution, Selector, SeriesId, Telemetry, TelemetryOptions, Values,
};
use tokio_util::sync::CancellationToken;

/// Names the data directory to the child process.
const DIRECTORY: &str = "HIVEKEEPER_TEST_TELEMETRY_DIR";
/// Series whose windows end at different minutes.
const SERIES: usize = 4;
/// Moments between two flushes; a window of ten minutes is over every 12 flushes.
const STEPS: i64 = 50;
/// The first moment: a full four hours.
const START_MS: i64 = 1_799_996_400_000;
/// Kills between two looks at everything.
const KILLS_A_LOOK: u64 = 10;

fn at(n: i64) -> Timestamp {
    Timestamp::from_millisecond(START_MS + n * 1000).unwrap()
}

/// The sample of a series at the n-th moment; now and then it is no number.
fn value(series: usize, n: i64) -> f64 {
    match n % 97 {
        13 => f64::from_bits(0x7ff8_0000_0000_0000 | n.unsigned_abs() & 0xffff),
        _ => (n * 7 + series as i64 * 31).rem_euclid(1000) as f64 / 10.0,
    }
}

async fn open(data: &Path) -> (Telemetry, Vec<SeriesId>) {
    let dir = DataDir::open(data).unwrap();
    let ever = Duration::from_secs(100 * 365 * 24 * 3600);
    let options = TelemetryOptions {
        flush_interval: Duration::from_secs(3600),
        // The moments of samples have nothing to do with the clock on the wall.
        late_window: ever,
        ahead_window: ever,
        raw_age: ever,
        ..TelemetryOptions::default()
    };
    let telemetry = Telemetry::open_with(&dir, Arc::new(SystemClock), options).await.unwrap();
    let key = |n: usize| SeriesKey::with("agent_cpu_percent", "agent", format!("bee-{n}"));
    let ids = (0..SERIES).map(|n| telemetry.series(&key(n)).unwrap()).collect();
    (telemetry, ids)
}

/// Run by the test below in a process of its own; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_measures_until_it_is_killed() {
    let Ok(path) = std::env::var(DIRECTORY) else {
        return;
    };
    let (telemetry, ids) = open(Path::new(&path)).await;
    let latest = telemetry.select(&Selector::default()).into_iter().filter_map(|it| it.latest);
    let latest = latest.map(|(at, _)| (at.as_millisecond() - START_MS) / 1000).min();
    let mut n = latest.map_or(0, |latest| latest + 1);
    loop {
        for _ in 0..STEPS {
            let samples = ids.iter().enumerate().map(|(series, id)| (*id, value(series, n)));
            let batch = Batch { at: at(n), samples: samples.collect() };
            assert_eq!(telemetry.record_batch(batch), Recorded::Taken);
            n += 1;
        }
        telemetry.flush().await.unwrap();
        // One write call, so that a line is there as a whole or not at all.
        let line = format!("ack {}\n", n - 1);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

/// Lets a child measure, kills it, and gives the last moment it said was flushed.
fn kill_one(data: &Path, chance: &mut u64) -> Option<i64> {
    let mut below = |bound: u64| {
        *chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*chance >> 33) % bound
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_measures_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(DIRECTORY, data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = |line: &str| line.strip_prefix("ack ")?.parse::<i64>().ok();
    let (enough, mut acks) = (below(14), Vec::new());
    while (acks.len() as u64) < enough {
        acks.extend(read(&lines.next().expect("the child measures until it is killed").unwrap()));
    }
    // Spread the moment of the kill over more than a whole flush, and over the start.
    let until = Instant::now() + Duration::from_micros(below(9_000));
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    acks.extend(lines.map_while(Result::ok).filter_map(|line| read(&line)));
    acks.into_iter().max()
}

async fn values(telemetry: &Telemetry, id: SeriesId, resolution: Resolution) -> Values {
    let query = ReadQuery {
        series: vec![id],
        from: at(-3600),
        to: at(10_000_000),
        resolution,
        deadline: Duration::from_secs(60),
        cancel: CancellationToken::new(),
    };
    telemetry.read(query).unwrap().next().await.unwrap().unwrap().values
}

/// Everything up to the last moment that was said to be flushed is there, once and as it was.
async fn examine(data: &Path, acked: i64) {
    let (telemetry, ids) = open(data).await;
    for (series, id) in ids.into_iter().enumerate() {
        let Values::Samples(samples) = values(&telemetry, id, Resolution::Raw).await else {
            panic!("all samples are kept")
        };
        assert!(samples.len() as i64 > acked, "{} of {acked} are left", samples.len());
        for (n, sample) in (0..).zip(&samples) {
            assert_eq!(sample.at_ms, at(n).as_millisecond(), "series {series}, moment {n}");
            let expected = value(series, n);
            let same = sample.value.to_bits() == expected.to_bits();
            assert!(same, "series {series}, moment {n}: {} for {expected}", sample.value);
        }
        let Values::Sums { sums, .. } = values(&telemetry, id, Resolution::Minute).await else {
            panic!("minutes were asked for")
        };
        let all: u64 = sums.iter().map(|minute| minute.count + minute.anomalies).sum();
        assert_eq!(all, samples.len() as u64, "series {series}, by the minute");
    }
    let counters = telemetry.counters();
    assert_eq!((counters.journal_rows_damaged, counters.chunks_damaged), (0, 0));
    telemetry.close().await;
}

fn trials() -> u64 {
    let asked = std::env::var("HIVEKEEPER_CRASH_TRIALS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn a_kill_loses_nothing_that_was_flushed_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut acked, mut chance) = (-1, 42);
    for trial in 1..=trials() {
        acked = kill_one(&data, &mut chance).unwrap_or(acked).max(acked);
        if trial % KILLS_A_LOOK == 0 || trial == trials() {
            runtime.block_on(examine(&data, acked));
        }
    }
    assert!(acked > 1000, "windows were closed between kills: {acked}");
}
