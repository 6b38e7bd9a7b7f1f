//! Measures many real agents under the real program. `cargo bench -p cli --bench swarm [-- PART…]`
//!
//! - `steady`: 300 silent processes for ten minutes (`HIVEKEEPER_BENCH_AGENTS`, `…_SECONDS`): the
//!   engine's memory, processor time and descriptors, and the memory of a shim;
//! - `stop`: the end of 100 trees that ignore TERM, by `hivekeeper halt`;
//! - `adopt`: 100 agents that print, a killed engine and a new one: how long until it knows them all,
//!   wrong states, lost lines;
//! - `tail`: from a line's printing until a client of the API has it, alone and beside 100 others;
//! - `goose`: 20 real agents at once, each a whole mission (`scripts/agents.sh` installs them).
//!
//! Without a part all are measured. Built before: `cargo build --release -p shim -p agents --bins`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for people at a terminal"
)]

#[expect(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/house/mod.rs"]
mod house;
#[path = "../../tests/agents/model.rs"]
mod model;
#[expect(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/agents/programs.rs"]
mod programs;
#[expect(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/agents/swarm.rs"]
mod swarm;

mod process;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use house::House;
use process::{Load, marked, pss_mb, wait};
use swarm::Swarm;

/// How long things are let settle before they are looked at.
const SETTLE: Duration = Duration::from_secs(8);
/// How many agents are stopped, and how many are adopted.
const HUNDRED: usize = 100;
/// How many real agents work at once.
const REAL: usize = 20;
/// How many lines each adopted agent prints, one every 100 ms.
const LINES: usize = 300;
/// How many lines a tail is measured by.
const TAILED: usize = 200;

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {model}, {cores} cores, load {}", process::load());
    let parts: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    for (name, part) in [
        ("stop", stop as fn()),
        ("adopt", adopt),
        ("tail", tail),
        ("goose", goose),
        ("steady", steady),
    ] {
        if wanted(name) {
            println!("\n{name}");
            part();
        }
    }
}

/// Adds agents and gives each a mission; returns the short ids of the missions.
fn busy(house: &House, name: &str, count: usize, command: &str) -> Vec<String> {
    (0..count)
        .map(|n| {
            let agent = format!("{name}-{n}");
            house.ok(&["agent", "add", &agent, "--command", command, "--grace", "2"]);
            let title = format!("Work of {agent}");
            let add = ["mission", "add", "--title", &title, "--brief", "x", "--agent", &agent];
            house.json(&[&add[..], &["--policy", "trusting"]].concat())["short_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// The states of all missions, by short id.
fn states(house: &House) -> HashMap<String, String> {
    let mut states = HashMap::new();
    let list = house.json(&["mission", "list", "--limit", "500"]);
    for mission in list["items"].as_array().unwrap() {
        let text = |key: &str| mission[key].as_str().unwrap().to_owned();
        states.insert(text("short_id"), text("state"));
    }
    states
}

fn all_are(house: &House, state: &str, count: usize) -> bool {
    states(house).values().filter(|it| *it == state).count() == count
}

fn stop() {
    let house = House::open();
    let fake = process::beside("hivekeeper-fake-agent");
    let line = format!("{} ignore-term child 86400000 daemon 86400000 forever", fake.display());
    let begun = Instant::now();
    busy(&house, "deaf", HUNDRED, &line);
    wait("all to run", || all_are(&house, "running", HUNDRED));
    println!("{HUNDRED} agents added and started in {:.1} s", begun.elapsed().as_secs_f64());
    std::thread::sleep(SETTLE);
    let trees = marked(house.place.path());
    let begun = Instant::now();
    let (code, said, error) = house.run(&["halt"]);
    let told = begun.elapsed();
    wait("no process to be left", || marked(house.place.path()).is_empty());
    println!(
        "halt: {} processes in {HUNDRED} trees, each ignoring TERM with grace 2 s: told after {:.2} s (exit {code}), the last gone after {:.2} s",
        trees.len(),
        told.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
    );
    println!("it said: {}{}", said.trim(), error.trim());
}

fn adopt() {
    let mut house = House::open();
    let place = Arc::clone(&house.place);
    let fake = process::beside("hivekeeper-fake-agent");
    let line = format!("{} lines {LINES} 100", fake.display());
    // They begin when all are there, so that none ends before the engine is killed.
    let go = place.path().join("go");
    let line =
        format!("{} until {} {}", fake.display(), go.display(), &line[fake.as_os_str().len()..]);
    let ids = busy(&house, "teller", HUNDRED, line.trim());
    wait("all to run", || all_are(&house, "running", HUNDRED));
    std::fs::write(&go, "").unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let before = marked(place.path()).len();
    house.kill();
    std::thread::sleep(Duration::from_secs(3));
    let begun = Instant::now();
    let house = House::open_in(Arc::clone(&place), None);
    let listening = begun.elapsed();
    let first = states(&house);
    let answered = begun.elapsed();
    let wrong = ids.iter().filter(|id| first[*id] != "running").count();
    let mut seen = 0;
    wait("every agent to be alive again", || {
        seen = alive(&house);
        seen == HUNDRED
    });
    println!(
        "adopted: {before} processes before; listening after {:.0} ms, the list of missions after {:.0} ms with {wrong} wrong states, all {seen} agents seen alive after {:.0} ms",
        ms(listening),
        ms(answered),
        ms(begun.elapsed()),
    );
    wait("all to end", || all_are(&house, "done", HUNDRED));
    let attempts =
        |id: &String| house.json(&["mission", "show", id])["attempts"].as_array().unwrap().len();
    let again = ids.iter().filter(|id| attempts(id) != 1).count();
    let mut off = 0;
    for id in &ids {
        let text = house.ok(&["logs", id, "--raw"]);
        let wanted: String = (1..=LINES).map(|n| format!("line {n}\n")).collect();
        off += usize::from(text != wanted);
    }
    println!(
        "after their end: {again} missions were begun again, {off} of {HUNDRED} outputs are not exactly the {LINES} lines printed",
    );
}

/// How many agents are said to be at work, by what was seen of them.
fn alive(house: &House) -> usize {
    let agents = house.json(&["agent", "list"]);
    let agents = agents["items"].as_array().unwrap();
    agents.iter().filter(|agent| agent["status"]["state"] == "working").count()
}

fn tail() {
    for others in [0, HUNDRED] {
        let house = House::open();
        let fake = process::beside("hivekeeper-fake-agent");
        busy(&house, "other", others, &format!("{} lines 100000 100", fake.display()));
        let clock = "sh -c 'while :; do date +%s%N; sleep 0.1; done'";
        let id = busy(&house, "clock", 1, clock).remove(0);
        wait("all to run", || all_are(&house, "running", others + 1));
        let mut follow = house.follow(&["logs", &id, "-f", "--raw"]);
        let mut times: Vec<Duration> = Vec::new();
        while times.len() < TAILED + 20 {
            let line = follow.line();
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let Ok(printed) = line.trim().parse::<u64>() else { continue };
            times.push(now.saturating_sub(Duration::from_nanos(printed)));
        }
        // The first are from before the client came.
        times.drain(..20);
        times.sort();
        println!(
            "a line is at a client of the API, beside {others} agents of 10 lines/s: p50 {:.0} ms, p95 {:.0} ms, slowest {:.0} ms, N={}",
            ms(times[times.len() / 2]),
            ms(times[times.len() * 95 / 100]),
            ms(times[times.len() - 1]),
            times.len()
        );
        end_all(&house);
    }
}

fn goose() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../.agents/node_modules/@aaif/goose-binary-linux-x64/bin/goose");
    if !file.is_file() {
        println!("not measured: goose is not installed (scripts/agents.sh)");
        return;
    }
    let swarm = Swarm::of(&programs::GOOSE);
    let brief = (programs::GOOSE.run)("echo hi > HELLO.md");
    let brief = format!("{brief}[[fake:mcp report_progress {{\"percent\":50}}]][[fake:slow 10]]");
    let names: Vec<String> = (0..REAL).map(|n| format!("goose-{n}")).collect();
    names.iter().for_each(|name| swarm.agent(name));
    let idle = Load::of(swarm.house.pid());
    let begun = Instant::now();
    let ids: Vec<String> = names.iter().map(|name| swarm.mission(name, &brief)).collect();
    let (mut most, mut memory, mut together) = (0, 0.0_f64, 0);
    loop {
        for request in swarm.house.json(&["inbox", "list"])["requests"].as_array().unwrap() {
            drop(swarm.house.run(&["inbox", "answer", request["id"].as_str().unwrap(), "once"]));
        }
        let states = states(&swarm.house);
        let of = |wanted: &[&str]| {
            ids.iter().filter(|id| wanted.contains(&states[*id].as_str())).count()
        };
        together = together.max(of(&["running", "needs_input"]));
        most = most.max(swarm.processes().len());
        memory = memory.max(pss_mb(swarm.house.pid()).unwrap_or_default());
        if of(&["done", "failed", "cancelled"]) == REAL {
            println!("{} of {REAL} done", of(&["done"]));
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(600), "they do not end: {states:?}");
    }
    let spent = Load::of(swarm.house.pid());
    let used: u64 = ids
        .iter()
        .map(|id| {
            let usage = swarm.house.json(&["usage", id]);
            usage["best"]["tokens"]["uncached_input"].as_u64().unwrap_or_default()
        })
        .sum();
    println!(
        "in {:.1} s, at most {together} at once and {most} processes; engine at most {memory:.1} MB PSS (idle {:.1}), {:.1} s of processor time",
        begun.elapsed().as_secs_f64(),
        idle.pss_mb,
        spent.cpu_s - idle.cpu_s
    );
    println!(
        "{used} tokens in according to the agents, {} according to the model ({} requests)",
        swarm.model.steps().len() * 1000,
        swarm.model.steps().len()
    );
    swarm.nobody_is_left();
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn steady() {
    let count = usize::try_from(number("HIVEKEEPER_BENCH_AGENTS", 300)).unwrap();
    let seconds = number("HIVEKEEPER_BENCH_SECONDS", 600);
    let house = House::open();
    std::thread::sleep(SETTLE);
    println!("idle: {}", Load::of(house.pid()));
    house.ok(&["settings", "set", &format!("running_max={count}")]);
    let begun = Instant::now();
    busy(&house, "sleeper", count, "sleep 86400");
    wait("all to run", || all_are(&house, "running", count));
    println!("{count} agents added and started in {:.1} s", begun.elapsed().as_secs_f64());
    std::thread::sleep(SETTLE);
    let steps = 10;
    let mut last = Load::of(house.pid());
    println!("at first:        {last}");
    for step in 1..=steps {
        std::thread::sleep(Duration::from_secs(seconds / steps));
        let now = Load::of(house.pid());
        let share = (now.cpu_s - last.cpu_s) / (seconds / steps) as f64 * 100.0;
        println!("after {:>4} s:    {now}, {share:.1} % of a core", seconds / steps * step);
        last = now;
    }
    let mut shims: Vec<f64> = marked(house.place.path())
        .into_iter()
        .filter(|(_, line)| line.contains("hivekeeper-shim"))
        .filter_map(|(pid, _)| pss_mb(pid))
        .collect();
    shims.sort_by(f64::total_cmp);
    let (median, most) = (shims[shims.len() / 2], shims[shims.len() - 1]);
    println!("shims: median {median:.2} MB PSS, most {most:.2} MB, N={}", shims.len());
    let wrong = states(&house).values().filter(|state| *state != "running").count();
    println!("wrong states: {wrong} of {count}");
    end_all(&house);
}

/// Ends what a part has started, and waits for it.
fn end_all(house: &House) {
    drop(house.run(&["halt"]));
    wait("no process to be left", || marked(house.place.path()).is_empty());
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
