//! How fast a long conversation is written, paged and searched.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::clock::{Clock, SystemClock};
use model::conversation::{Body, Entry};
use model::id::{AttemptId, SystemDraw};
use store::{DataDir, PageFrom, SearchFilter, Transcripts};
use tokio::runtime::Runtime;

const ENTRIES: u32 = 100_000;
const PAGE: u32 = 500;

fn entry(n: u32) -> Entry {
    let at = SystemClock.now();
    let text = format!("Entry {n}: the quick brown fox number {} jumps over the lazy dog", n % 97);
    Entry { id: format!("m{n}"), at, updated_at: at, body: Body::Message { text } }
}

fn attempt() -> AttemptId {
    AttemptId::draw(SystemClock.now(), &mut SystemDraw)
}

async fn fill(transcripts: &Transcripts, id: AttemptId, entries: u32) {
    for from in (0..entries).step_by(1_000) {
        let part = (from..entries.min(from + 1_000)).map(entry).collect();
        transcripts.put(id, part).await.expect("entries can be written");
    }
}

fn transcripts(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let dir = DataDir::open(&folder.path().join("data")).expect("a fresh directory can be used");
    let opened = runtime.block_on(Transcripts::open(&dir, Arc::new(SystemClock)));
    let transcripts = opened.expect("a fresh file can be made");
    let id = attempt();
    runtime.block_on(fill(&transcripts, id, ENTRIES));

    let mut group = criterion.benchmark_group(format!("a conversation of {ENTRIES} entries"));
    group.sample_size(20);
    for (name, from) in [
        ("end", PageFrom::End),
        ("middle", PageFrom::After(u64::from(ENTRIES / 2))),
        ("beginning", PageFrom::After(0)),
    ] {
        group.bench_function(BenchmarkId::new("page", name), |bencher| {
            bencher.to_async(&runtime).iter(async || {
                let page = transcripts.page(id, from, PAGE).await;
                black_box(page.expect("a page can be read"))
            });
        });
    }
    for (name, text) in [("a rare word", "99999"), ("a word in every entry", "fox")] {
        group.bench_function(BenchmarkId::new("search", name), |bencher| {
            bencher.to_async(&runtime).iter(async || {
                let filter =
                    SearchFilter { text: text.to_owned(), limit: 50, ..Default::default() };
                black_box(transcripts.search(filter).await.expect("it can be searched"))
            });
        });
    }
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("put 1,000 new entries", |bencher| {
        bencher.to_async(&runtime).iter(async || fill(&transcripts, attempt(), 1_000).await);
    });
    group.finish();
    runtime.block_on(transcripts.close());
}

criterion_group!(benches, transcripts);
criterion_main!(benches);
