//! How fast the ledger takes events, at 1 and at 64 writers, how long one commit takes, and the
//! first page of many missions.
//!
//! Criterion measures throughput; the distribution of latencies is measured beside it, because
//! criterion keeps no percentiles.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::clock::{Clock, SystemClock};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::gate::Grade;
use model::id::{EventId, MissionId, SHORT_ID_LEN_MAX, ShortId, SystemDraw};
use model::mission::{Mission, MissionState};
use store::ledger::PAGE_ROWS_DEFAULT;
use store::{Change, DataDir, Ledger, MissionFilter};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const WRITERS: [usize; 2] = [1, 64];
/// Writers and commits of the latency measurement.
const LATENCY_COMMITS: [(usize, usize); 2] = [(1, 5_000), (64, 20_000)];

fn event(id: MissionId, fact: Fact) -> NewEvent {
    let at = SystemClock.now();
    NewEvent {
        id: EventId::draw(at, &mut SystemDraw),
        at,
        actor: Actor::Engine,
        correlation_id: None,
        subject: Subject { mission_id: Some(id), ..Subject::default() },
        fact,
    }
}

fn creation() -> (MissionId, Change) {
    let at = SystemClock.now();
    let id = MissionId::draw(at, &mut SystemDraw);
    let mission = Mission {
        short_id: ShortId::derive(id, SHORT_ID_LEN_MAX),
        ..Mission::draft(id, "measure the ledger", at)
    };
    let brief = "append events as fast as the disk takes them".to_owned();
    let fact = Fact::MissionCreated { mission, brief };
    (id, Change::events(vec![event(id, fact)]))
}

/// A lifecycle event as the product writes it: one event, one row changed.
fn step(id: MissionId, n: usize) -> Change {
    let (from, to) = match n % 2 {
        0 => (MissionState::Draft, MissionState::Queued),
        _ => (MissionState::Queued, MissionState::Draft),
    };
    let fact = Fact::MissionMoved {
        mission_id: id,
        from,
        to,
        note: Some("because the bench says so".to_owned()),
        grade: Grade::None,
        tries: 0,
        recoveries: 0,
        not_before: None,
    };
    Change::events(vec![event(id, fact)])
}

async fn open(path: &Path) -> (DataDir, Ledger) {
    let dir = DataDir::open(path).expect("a fresh directory can be used");
    let ledger =
        Ledger::open(&dir, Arc::new(SystemClock)).await.expect("a fresh ledger can be made");
    (dir, ledger)
}

/// Commits `commits` events from `writers` tasks; gives the time of each commit.
async fn run(ledger: &Ledger, writers: usize, commits: usize) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let ledger = ledger.clone();
        let share = commits / writers + usize::from(writer < commits % writers);
        tasks.spawn(async move {
            let (id, change) = creation();
            ledger.commit(change).await.expect("a mission can be created");
            let mut took = Vec::with_capacity(share);
            for n in 0..share {
                let change = step(id, n);
                let began = Instant::now();
                black_box(ledger.commit(change).await.expect("a step can be written"));
                took.push(began.elapsed());
            }
            took
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

#[expect(clippy::print_stderr, reason = "a benchmark reports to who runs it")]
fn latencies(runtime: &Runtime) {
    for (writers, commits) in LATENCY_COMMITS {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (dir, ledger) = runtime.block_on(open(&folder.path().join("data")));
        let began = Instant::now();
        let mut took = runtime.block_on(run(&ledger, writers, commits));
        let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |part: f64| took[(part * (took.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
        let status = ledger.status();
        eprintln!(
            "ledger append, {writers:>2} writers: {} commits, {per_second:.0} events/s, \
             p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms, {:.1} changes per group",
            took.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            status.changes as f64 / status.groups.max(1) as f64,
        );
        runtime.block_on(ledger.close());
        drop(dir);
    }
}

/// How long the first page of many missions takes, and their counts.
#[expect(clippy::print_stderr, reason = "a benchmark reports to who runs it")]
async fn pages() {
    const MISSIONS: usize = 10_000;
    const READS: usize = 500;
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let (dir, ledger) = open(&folder.path().join("data")).await;
    for _ in 0..MISSIONS / 500 {
        let changes = (0..500).map(|_| creation().1.events).collect::<Vec<_>>().concat();
        ledger.commit(Change::events(changes)).await.expect("missions can be created");
    }
    let text = |text: &str| MissionFilter { text: Some(text.to_owned()), ..Default::default() };
    for (name, filter) in [
        ("all", MissionFilter::default()),
        ("by state", MissionFilter { states: vec![MissionState::Draft], ..Default::default() }),
        ("by policy", MissionFilter { policy: Some("standard".into()), ..Default::default() }),
        ("by a label none has", MissionFilter { label: Some("x".into()), ..Default::default() }),
        ("by a text none has", text("no such text")),
    ] {
        let mut took = Vec::with_capacity(READS);
        for _ in 0..READS {
            let filter = MissionFilter { limit: PAGE_ROWS_DEFAULT, ..filter.clone() };
            let began = Instant::now();
            black_box(ledger.missions(filter).await.expect("missions can be listed"));
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let p95 = took[READS * 95 / 100].as_secs_f64() * 1e3;
        eprintln!("first page of {MISSIONS} missions, {name}: p95 {p95:.2} ms");
    }
    ledger.close().await;
    drop(dir);
}

fn append(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(pages());
    latencies(&runtime);
    let mut group = criterion.benchmark_group("ledger append");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for writers in WRITERS {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (dir, ledger) = runtime.block_on(open(&folder.path().join("data")));
        let commits = 20 * writers;
        group.throughput(Throughput::Elements(commits as u64));
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.to_async(&runtime).iter(|| run(&ledger, writers, commits));
        });
        runtime.block_on(ledger.close());
        drop(dir);
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
