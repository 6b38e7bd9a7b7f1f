//! Measures whether memory depends on history: a hundred thousand missions live and end in one
//! orchestrator, and ten times on the way its memory is read.
//!
//! ```text
//! HIVEKEEPER_BENCH_MISSIONS=100000 cargo bench -p orchestrator --bench missions -- memory
//! ```
//!
//! Memory is the proportional set size of this process, from `/proc/self/smaps_rollup`: ledger, loop,
//! floor and instant agents (see `world`), without the window, the API and the measuring. It does not
//! depend on how fast the disk is: `TMPDIR=/dev/shm` gives the same in less time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::world::{Agents, World};

const MISSIONS: usize = 100_000;
const LANES: usize = 16;
/// How often memory is read.
const READINGS: usize = 10;
/// What the slope is told per, in missions.
const PER: f64 = 10_000.0;

/// The memory of this process, in KiB.
fn pss_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// Takes missions through their lives, [`LANES`] at a time; gives how many did not get done.
async fn live(world: &Arc<World>, missions: usize) -> usize {
    let begun = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (world, begun) = (Arc::clone(world), Arc::clone(&begun));
        lanes.spawn(async move {
            let mut failed = 0;
            while begun.fetch_add(1, Ordering::Relaxed) < missions {
                failed += usize::from(world.life().await.is_none());
            }
            failed
        });
    }
    lanes.join_all().await.into_iter().sum()
}

/// The slope of a line through the points, by least squares, per step.
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = values.iter().sum::<f64>() / n;
    let mut above = 0.0;
    let mut below = 0.0;
    for (x, y) in values.iter().enumerate() {
        let dx = x as f64 - mean_x;
        above += dx * (y - mean_y);
        below += dx * dx;
    }
    above / below
}

/// Measures, and prints what was found.
pub(crate) fn run() {
    let missions = std::env::var("HIVEKEEPER_BENCH_MISSIONS")
        .map_or(MISSIONS, |text| text.parse().expect("HIVEKEEPER_BENCH_MISSIONS is a number"));
    let runtime = Runtime::new().unwrap();
    let world = Arc::new(runtime.block_on(World::open(Agents::Instant, LANES)));
    println!("    0 missions: {:>8} KiB PSS", pss_kib());
    let (mut failed, mut memory) = (0, Vec::new());
    let step = missions.div_ceil(READINGS).max(1);
    let mut lived = 0;
    while lived < missions {
        let count = step.min(missions - lived);
        let begun = Instant::now();
        failed += runtime.block_on(live(&world, count));
        lived += count;
        let pss = pss_kib();
        memory.push(pss as f64);
        println!(
            "{lived:>7} missions: {pss:>8} KiB PSS, ledger {:.0} MB, {:.0} missions/s",
            world.ledger_bytes() as f64 / 1e6,
            count as f64 / begun.elapsed().as_secs_f64(),
        );
    }
    // Until the first reading caches fill that have a limit.
    if memory.len() > 2 {
        let slope = slope(&memory[1..]) * PER / step as f64;
        println!("slope after the first {step}: {slope:+.0} KiB per {PER} missions");
    }
    println!("{failed} of {lived} missions did not get done, {} were started late", world.late());
    runtime.block_on(Arc::into_inner(world).expect("every lane has ended").close());
}
