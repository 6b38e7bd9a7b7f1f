//! Measures starts and memory of the real programs. `cargo bench -p cli --bench start`
//!
//! - `serve`: from the start of the process until it listens, and until the API answers;
//! - its memory (PSS, from `/proc/PID/smaps_rollup`) idle and with twenty running agents;
//! - `hivekeeper status`, a whole process, against a running engine;
//! - the window: from the start of the process until its page asks for the first time, where there
//!   is a display (`scripts/with-display.sh cargo bench …`) and `hivekeeper-desktop` is built.
//!
//! The programs are those beside the bench's own directory: build them first with
//! `cargo build --release`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people at a terminal")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTS: usize = 20;
const STATUSES: usize = 50;
const WINDOWS: usize = 5;
const AGENTS: usize = 20;
/// How long memory is let settle before it is read.
const SETTLE: Duration = Duration::from_secs(8);

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {model}, {cores} cores\n");
    starts();
    let engine = Engine::start();
    println!("serve, idle, after {} s: {:.1} MB PSS", SETTLE.as_secs(), engine.settled_mb());
    statuses(&engine);
    agents(&engine);
    drop(engine);
    windows();
}

fn starts() {
    let (mut listening, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let engine = Engine::start();
        listening.push(engine.listening);
        ready.push(engine.ready);
    }
    report("serve: listening", &mut listening);
    report("serve: API ready", &mut ready);
}

fn statuses(engine: &Engine) {
    let mut times = Vec::new();
    for _ in 0..STATUSES {
        let begun = Instant::now();
        assert!(engine.hivekeeper(&["status", "--json"]));
        times.push(begun.elapsed());
    }
    report("status: whole process", &mut times);
}

fn agents(engine: &Engine) {
    let fake = program("hivekeeper-fake-agent");
    for n in 0..AGENTS {
        let command = format!("{} lines 100000 1000", fake.display());
        let name = format!("agent-{n}");
        assert!(engine.hivekeeper(&["agent", "add", &name, "--command", &command]));
        let mission = ["mission", "add", "--title", "Run", "--brief", "x", "--agent", &name];
        assert!(engine.hivekeeper(&mission));
    }
    println!("serve, {AGENTS} agents running: {:.1} MB PSS", engine.settled_mb());
    let shims = children_named(engine.child.id(), "hivekeeper-shim");
    println!("one shim: {:.2} MB PSS", pss_mb(shims[0]));
    let all = Command::new(program("hivekeeper"))
        .args(["mission", "list", "--json", "--data-dir"])
        .arg(engine.place.path())
        .output()
        .unwrap();
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    for mission in all["items"].as_array().unwrap() {
        engine.hivekeeper(&["mission", "cancel", mission["short_id"].as_str().unwrap()]);
    }
    wait("the agents to be gone", || {
        children_named(engine.child.id(), "hivekeeper-shim").is_empty()
    });
}

fn windows() {
    let desktop = beside("hivekeeper-desktop");
    if std::env::var_os("DISPLAY").is_none() || !desktop.exists() {
        println!("the window: not measured (no display, or hivekeeper-desktop is not built)");
        return;
    }
    let mut times = Vec::new();
    for _ in 0..WINDOWS {
        let place = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
        let data = place.path().join("data");
        let mut child = Command::new(&desktop)
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait("the page to ask", || start_ms(&data).is_some());
        times.push(Duration::from_millis(start_ms(&data).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    report("window: page asks for the first time", &mut times);
}

/// What the window wrote into its log about its start.
fn start_ms(data: &Path) -> Option<u64> {
    let logs = std::fs::read_dir(data.join("logs")).ok()?;
    let text: String =
        logs.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect();
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|line| line["fields"]["start_ms"].as_u64())
}

/// A running `hivekeeper serve`.
struct Engine {
    child: Child,
    place: TempDir,
    listening: Duration,
    ready: Duration,
}

impl Engine {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let mut child = Command::new(program("hivekeeper"))
            .args(["serve", "--data-dir"])
            .arg(place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let listening = begun.elapsed();
        let address = line.strip_prefix("listening on http://").unwrap().to_owned();
        wait("the API", || is_ready(&address));
        Self { child, place, listening, ready: begun.elapsed() }
    }

    fn hivekeeper(&self, args: &[&str]) -> bool {
        let status = Command::new(program("hivekeeper"))
            .args(args)
            .arg("--data-dir")
            .arg(self.place.path())
            .stdout(Stdio::null())
            .status();
        status.unwrap().success()
    }

    fn settled_mb(&self) -> f64 {
        std::thread::sleep(SETTLE);
        pss_mb(self.child.id())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_ready(address: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Proportional set size of a process, in megabytes of 10^6 bytes.
fn pss_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024.0 / 1e6
}

fn children_named(parent: u32, name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |key: &str| {
            status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim()
        };
        // The kernel keeps the first fifteen characters of a name.
        if name.starts_with(field("Name:")) && field("PPid:") == parent.to_string() {
            found.extend(field("Pid:").parse::<u32>());
        }
    }
    found
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: median {:.0} ms, slowest {:.0} ms, N={}", ms(median), ms(last), times.len());
}

/// Where a program of this repository is, whether it is built or not.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join(name)
}

fn program(name: &str) -> PathBuf {
    let path = beside(name);
    assert!(path.exists(), "{} is not built: cargo build --release --bins", path.display());
    path
}
