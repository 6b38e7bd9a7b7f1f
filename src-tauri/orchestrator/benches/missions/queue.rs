//! Measures ten thousand missions: how long they take to be queued, one transaction each from 64
//! writers, and how long the first page of the list takes after that.
//!
//! A page is what the engine reads for the list: the newest missions from the store, every agent,
//! the unfinished attempts, and for each mission why it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::clock::{Clock as _, SystemClock};
use model::id::AgentId;
use orchestrator::schedule::{self, Around};
use store::ledger::{MissionFilter, PAGE_ROWS_DEFAULT};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::figures;
use crate::world::{Agents, World};

const MISSIONS: usize = 10_000;
const WRITERS: usize = 64;
const PAGES: usize = 500;

async fn queue_all(world: &Arc<World>) -> (Duration, Vec<Duration>) {
    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let world = Arc::clone(world);
        let share = MISSIONS / WRITERS + usize::from(writer < MISSIONS % WRITERS);
        writers.spawn(async move {
            let mut took = Vec::with_capacity(share);
            for _ in 0..share {
                let begun = Instant::now();
                world.queue().await;
                took.push(begun.elapsed());
            }
            took
        });
    }
    let took = writers.join_all().await.concat();
    (begun.elapsed(), took)
}

/// Reads the first page with what its rows are derived from.
async fn first_page(world: &World) -> Duration {
    let begun = Instant::now();
    let filter = MissionFilter { limit: PAGE_ROWS_DEFAULT, ..MissionFilter::default() };
    let page = world.ledger.missions(filter).await.unwrap();
    let agents = world.ledger.agents().await.unwrap();
    let unfinished = world.ledger.unfinished_attempts().await.unwrap();
    let busy: BTreeSet<AgentId> = unfinished.iter().map(|attempt| attempt.agent_id).collect();
    let around = Around {
        agents: &agents,
        busy: &busy,
        held: &orchestrator::Held::default(),
        absent: &BTreeSet::new(),
        under_way: busy.len(),
        running_max: 1,
        halted: false,
        memory_free_percent: None,
        memory_free_min_percent: 0,
        dependencies: &BTreeMap::new(),
        now: SystemClock.now(),
    };
    for mission in &page.items {
        black_box(schedule::waiting(mission, &around));
    }
    assert_eq!(page.items.len(), PAGE_ROWS_DEFAULT as usize);
    begun.elapsed()
}

async fn pages(world: &World) -> Vec<Duration> {
    let mut took = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        took.push(first_page(world).await);
    }
    took
}

/// Measures, and prints what was found.
pub(crate) fn run() {
    let runtime = Runtime::new().unwrap();
    let world = Arc::new(runtime.block_on(World::open(Agents::None, 0)));
    let (all, each) = runtime.block_on(queue_all(&world));
    let status = world.ledger.status();
    println!(
        "{MISSIONS} missions queued by {WRITERS} writers: {:.2} s ({:.0}/s, {:.1} changes per \
         commit); each: {}",
        all.as_secs_f64(),
        MISSIONS as f64 / all.as_secs_f64(),
        status.changes as f64 / status.groups.max(1) as f64,
        figures::spread(each),
    );
    let took = runtime.block_on(pages(&world));
    println!("first page of {MISSIONS}: {}", figures::spread(took));
    runtime.block_on(Arc::into_inner(world).expect("every writer has ended").close());
}
