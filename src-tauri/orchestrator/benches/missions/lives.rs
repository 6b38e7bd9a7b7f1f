//! Measures the whole durable life of a mission: created, queued, assigned, running, verifying, done,
//! each step acknowledged by the ledger (`synchronous=FULL`) before the next.
//!
//! ```text
//! cargo bench -p orchestrator --bench missions -- lives
//! … -- lives --json --agents instant|process --in-flight 1 16 64 --seconds 8 --warm-up 2
//! ```
//!
//! A life begins when the mission is handed to the orchestrator, and ends when the ledger tells that
//! it is done. With `--json` one line per figure is printed, as `benches/peers/run.sh` reads them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::figures;
use crate::world::{Agents, World, programs_are_built};

struct Wanted {
    json: bool,
    agents: Vec<Agents>,
    in_flight: Vec<usize>,
    seconds: f64,
    warm_up: f64,
}

impl Wanted {
    /// Reads the command line; what is not known, as cargo's own `--bench`, is passed over.
    fn read() -> Self {
        let mut wanted = Self {
            json: false,
            agents: vec![Agents::Instant, Agents::Process],
            in_flight: vec![1, 16, 64],
            seconds: 8.0,
            warm_up: 2.0,
        };
        let mut args = std::env::args().skip(1).peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--json" => wanted.json = true,
                "--agents" => wanted.agents = vec![kind(&args.next().unwrap())],
                "--seconds" => wanted.seconds = args.next().unwrap().parse().unwrap(),
                "--warm-up" => wanted.warm_up = args.next().unwrap().parse().unwrap(),
                "--in-flight" => {
                    wanted.in_flight.clear();
                    while let Some(Ok(n)) = args.peek().map(|text| text.parse()) {
                        wanted.in_flight.push(n);
                        args.next();
                    }
                }
                _ => {}
            }
        }
        wanted
    }
}

fn kind(text: &str) -> Agents {
    match text {
        "instant" => Agents::Instant,
        "process" => Agents::Process,
        other => unreachable!("--agents takes instant or process, not {other}"),
    }
}

const fn name(kind: Agents) -> &'static str {
    match kind {
        Agents::Instant => "instant agent",
        Agents::Process => "a process per mission, under the shim",
        Agents::None => "no agent",
    }
}

/// The lives of one figure.
struct Lives {
    took: Vec<Duration>,
    failed: usize,
    elapsed: Duration,
}

impl Lives {
    fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Keeps `in_flight` lives going for some seconds, and lets those under way end.
async fn drive(world: &Arc<World>, in_flight: usize, seconds: f64) -> Lives {
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    for _ in 0..in_flight {
        let world = Arc::clone(world);
        lanes.spawn(async move {
            let mut lives = Vec::new();
            while begun.elapsed().as_secs_f64() < seconds {
                lives.push(world.life().await);
            }
            lives
        });
    }
    let lives = lanes.join_all().await.concat();
    let elapsed = begun.elapsed();
    let mut took: Vec<Duration> = lives.iter().copied().flatten().collect();
    took.sort_unstable();
    Lives { failed: lives.len() - took.len(), took, elapsed }
}

fn measure(runtime: &Runtime, wanted: &Wanted, kind: Agents, in_flight: usize) {
    let world = Arc::new(runtime.block_on(World::open(kind, in_flight)));
    runtime.block_on(drive(&world, in_flight, wanted.warm_up));
    let before = world.ledger.status();
    let lives = runtime.block_on(drive(&world, in_flight, wanted.seconds));
    let after = world.ledger.status();
    let per_life = |now: u64, then: u64| (now - then) as f64 / lives.took.len().max(1) as f64;
    let changes = per_life(after.changes, before.changes);
    let groups = per_life(after.groups, before.groups);
    assert!(!lives.took.is_empty(), "no mission got done");
    if wanted.json {
        println!("{}", json(kind, in_flight, &lives));
    } else {
        println!(
            "{}, {in_flight:>2} in flight: {:.0} missions/s, p50 {:.2} ms, p99 {:.2} ms (N {}, {} \
             failed, {} started late; {changes:.1} changes and {groups:.1} commits per life)",
            name(kind),
            lives.per_second(),
            figures::at(&lives.took, 0.5),
            figures::at(&lives.took, 0.99),
            lives.took.len(),
            lives.failed,
            world.late(),
        );
    }
    runtime.block_on(Arc::into_inner(world).expect("every lane has ended").close());
}

fn json(kind: Agents, in_flight: usize, lives: &Lives) -> String {
    let round = |value: f64, by: f64| (value * by).round() / by;
    let system = match kind {
        Agents::Instant => "hivekeeper-instant",
        Agents::Process => "hivekeeper-process",
        Agents::None => "hivekeeper",
    };
    serde_json::json!({
        "system": system,
        "in_flight": in_flight,
        "lives": lives.took.len(),
        "failed": lives.failed,
        "seconds": round(lives.elapsed.as_secs_f64(), 1e3),
        "per_second": round(lives.per_second(), 10.0),
        "p50_ms": round(figures::at(&lives.took, 0.5), 100.0),
        "p99_ms": round(figures::at(&lives.took, 0.99), 100.0),
    })
    .to_string()
}

/// Measures, and prints what was found.
pub(crate) fn run() {
    let wanted = Wanted::read();
    let runtime = Runtime::new().unwrap();
    if !wanted.json {
        println!("instant agents: no process is started, its records are laid down by the bench\n");
    }
    for kind in wanted.agents.iter().copied() {
        if kind == Agents::Process && !programs_are_built() {
            println!("{}: not measured, build the programs first", name(kind));
            continue;
        }
        for in_flight in wanted.in_flight.iter().copied() {
            measure(&runtime, &wanted, kind, in_flight);
        }
    }
}
