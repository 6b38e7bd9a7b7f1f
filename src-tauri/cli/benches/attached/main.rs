//! Measures agents that run elsewhere under the real program. `cargo bench -p cli --bench attached [-- AGENTS…]`
//!
//! For each number of agents (200 and 2,000): all at work, each with a heartbeat every second and word
//! of its progress every ten, beside one client of the live stream that also asks for what the UI
//! shows. How long each route takes, how long a change needs from its acknowledgement to the client,
//! and the engine's memory and processor time. Then the same beside clients that send and read slowly.
//! `HIVEKEEPER_BENCH_SECONDS` (60) is how long each part is measured.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for people at a terminal"
)]

#[expect(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/house/mod.rs"]
mod house;
mod http;
#[expect(dead_code, reason = "another bench uses the rest of it")]
#[path = "../swarm/process.rs"]
mod process;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::live::{LiveTopic, Payload};
use futures::StreamExt as _;
use gateway::Client;
use house::House;
use http::Line;
use process::Load;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Heartbeats are a second apart, and one in so many comes with word of progress.
const BEAT: Duration = Duration::from_secs(1);
const PROGRESS_EVERY: usize = 10;
/// What agents send, where it is answered well.
const SENT: [&str; 2] = ["/api/v1/attached/heartbeat", "/api/v1/attached/progress"];
/// What the UI asks for, each once a second.
const ASKED: [&str; 9] = [
    "/api/v1/overview",
    "/api/v1/agents",
    "/api/v1/missions?limit=100",
    "/api/v1/inbox",
    "/api/v1/events?limit=100",
    "/api/v1/devlogs?limit=50",
    "/api/v1/signals",
    "/api/v1/settings",
    "/api/v1/whoami",
];
/// Registrations and leases that are asked for at the same time.
const AT_ONCE: usize = 16;
/// So many agents have a connection each; of the heartbeats of more, some wait for one.
const FIT: usize = 400;
/// The least share of what is sent by agents that fit that has to be answered in time.
const ANSWERED_MIN: f64 = 0.95;
/// Clients that attack: as many send their heads a byte at a time, and as many read nothing.
const SLOW: usize = 200;

/// How long requests took, by route.
type Times = Arc<Mutex<BTreeMap<String, Vec<Duration>>>>;

/// When changes were acknowledged, by what they say, and how long they took to be heard of.
#[derive(Default)]
struct Told {
    acknowledged: HashMap<String, Instant>,
    heard: HashMap<String, Instant>,
    delays: Vec<Duration>,
}

struct Agent {
    name: String,
    token: String,
    attempt: String,
    fence: u64,
}

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    println!("machine: {model}, load {}", process::load());
    let asked = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let mut counts: Vec<usize> = asked.collect();
    if counts.is_empty() {
        counts = vec![200, 2_000];
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for count in counts {
        runtime.block_on(measure(count));
    }
}

fn seconds() -> Duration {
    let text = std::env::var("HIVEKEEPER_BENCH_SECONDS").ok();
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(60))
}

async fn measure(count: usize) {
    let house = House::open();
    let client = Client::for_data_dir(&house.data).unwrap();
    let address = client.endpoint().url.strip_prefix("http://").unwrap().to_owned();
    let captain = client.endpoint().token.clone();
    println!("\n{count} agents; idle: {}", Load::of(house.pid()));
    house.ok(&["settings", "set", &format!("running_max={count}")]);
    house.ok(&["settings", "set", "starts_per_cycle=50"]);
    let began = Instant::now();
    let agents = register(&address, &captain, count).await;
    missions(&house, &agents);
    let agents = lease_all(&address, agents).await;
    println!("  registered, and each with a mission, in {:.1} s", began.elapsed().as_secs_f64());
    let told = Arc::new(Mutex::new(Told::default()));
    let listening = listen(&client, Arc::clone(&told)).await;
    let (beating, times) = beat(&address, agents, &told);
    let asking = ask(&address, &captain, Arc::clone(&times));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let answered = part("alone", count, &house, &times, &told).await;
    assert!(count > FIT || answered >= ANSWERED_MIN, "agents that are heard of were kept waiting");
    let attack = attack(&address);
    part(&format!("beside {} slow clients", 2 * SLOW), count, &house, &times, &told).await;
    drop(attack);
    drop(asking);
    drop(beating);
    listening.abort();
}

/// Measures for a while and reports; gives the share of what the agents should have sent that was
/// answered.
async fn part(what: &str, count: usize, house: &House, times: &Times, told: &Mutex<Told>) -> f64 {
    times.lock().unwrap().clear();
    told.lock().unwrap().delays.clear();
    let (before, began) = (Load::of(house.pid()), Instant::now());
    tokio::time::sleep(seconds()).await;
    let after = Load::of(house.pid());
    let took = began.elapsed().as_secs_f64();
    let share = (after.cpu_s - before.cpu_s) / took * 100.0;
    println!("  {what}: {after}, {share:.1} % of a core");
    let all = std::mem::take(&mut *times.lock().unwrap());
    let sent = all.iter().filter(|(route, _)| SENT.contains(&route.as_str()));
    let answered: usize = sent.map(|(_, all)| all.len()).sum();
    let wanted = count as f64 * took / BEAT.as_secs_f64();
    let answered_share = answered as f64 / wanted;
    println!("    {answered} of {wanted:.0} heartbeats answered ({:.1} %)", answered_share * 100.0);
    for (route, all) in all {
        row(&route, all);
    }
    row("from commit to client", std::mem::take(&mut told.lock().unwrap().delays));
    answered_share
}

fn row(name: &str, mut all: Vec<Duration>) {
    all.sort_unstable();
    let at = |share: f64| {
        let found = all.get((all.len() as f64 * share) as usize);
        found.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "    {name:<34} p50 {:>7.2} p95 {:>7.2} p99 {:>7.2} ms (n {})",
        at(0.5),
        at(0.95),
        at(0.99),
        all.len()
    );
}

/// Posts until there is room for it.
async fn post(line: &mut Line, token: &str, path: &str, body: &Value) -> Value {
    loop {
        let (status, answer) = line.send("POST", path, token, Some(body)).await.unwrap();
        match status {
            200..300 => return serde_json::from_slice(&answer).unwrap_or(Value::Null),
            429 | 503 => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => panic!("{path}: {status} {}", String::from_utf8_lossy(&answer)),
        }
    }
}

async fn register(address: &str, captain: &str, count: usize) -> Vec<Agent> {
    let mut line = Line::open(address).await.unwrap();
    let mut agents = Vec::with_capacity(count);
    for n in 0..count {
        let name = format!("far-{n}");
        let new = json!({"name": name, "lost_after_s": 120, "grace_s": 1});
        let made = post(&mut line, captain, "/api/v1/attached", &new).await;
        let token = made["token"].as_str().unwrap().to_owned();
        agents.push(Agent { name, token, attempt: String::new(), fence: 0 });
    }
    agents
}

/// A mission for each, from a file.
fn missions(house: &House, agents: &[Agent]) {
    // A file holds a thousand at most.
    for (n, agents) in agents.chunks(1_000).enumerate() {
        let file = house.place.path().join(format!("missions-{n}.csv"));
        let mut rows = "title,brief,agent\n".to_owned();
        for agent in agents {
            rows.push_str(&format!("Work of {0},What {0} does.,{0}\n", agent.name));
        }
        std::fs::write(&file, rows).unwrap();
        house.ok(&["mission", "import", file.to_str().unwrap(), "--apply", "--queue"]);
    }
}

async fn lease_all(address: &str, agents: Vec<Agent>) -> Vec<Agent> {
    let (places, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for mut agent in agents {
        let (places, address) = (Arc::clone(&places), address.to_owned());
        tasks.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let mut line = Line::open(&address).await.unwrap();
            loop {
                let ask = json!({"wait_s": 20});
                let offer = post(&mut line, &agent.token, "/api/v1/attached/lease", &ask).await;
                if let Some(attempt) = offer["lease"]["attempt"].as_str() {
                    attempt.clone_into(&mut agent.attempt);
                    agent.fence = offer["lease"]["fence"].as_u64().unwrap();
                    return agent;
                }
            }
        });
    }
    tasks.join_all().await
}

/// Lets every agent send its heartbeats, spread over the second.
fn beat(address: &str, agents: Vec<Agent>, told: &Arc<Mutex<Told>>) -> (JoinSet<()>, Times) {
    let (times, mut tasks) = (Times::default(), JoinSet::new());
    let count = agents.len() as u32;
    for (n, agent) in agents.into_iter().enumerate() {
        let (times, told, address) = (Arc::clone(&times), Arc::clone(told), address.to_owned());
        let start = Instant::now() + BEAT * n as u32 / count;
        tasks.spawn(async move {
            tokio::time::sleep_until(start.into()).await;
            let mut line = Line::open(&address).await.unwrap();
            let mut ticks = tokio::time::interval(BEAT);
            for beat in n.. {
                ticks.tick().await;
                let (path, body, note) = said(&agent, beat);
                let began = Instant::now();
                let answer = line.send("POST", path, &agent.token, Some(&body)).await;
                let took = began.elapsed();
                let route = match answer {
                    Ok((200..300, _)) => path.to_owned(),
                    Ok((status, _)) => format!("{path} -> {status}"),
                    Err(_) => {
                        line = Line::open(&address).await.unwrap();
                        format!("{path} -> broken")
                    }
                };
                times.lock().unwrap().entry(route).or_default().push(took);
                if let Some(note) = note {
                    told.lock().unwrap().acknowledged(note, Instant::now());
                }
            }
        });
    }
    (tasks, times)
}

/// What an agent says at a beat, and the words by which it is known again.
fn said(agent: &Agent, beat: usize) -> (&'static str, Value, Option<String>) {
    if !beat.is_multiple_of(PROGRESS_EVERY) {
        return ("/api/v1/attached/heartbeat", json!({"attempt": agent.attempt}), None);
    }
    let note = format!("{} at {beat}", agent.name);
    let body = json!({"attempt": agent.attempt, "fence": agent.fence, "note": note});
    ("/api/v1/attached/progress", body, Some(note))
}

impl Told {
    fn acknowledged(&mut self, note: String, at: Instant) {
        // The client may have heard of it before the answer was here.
        match self.heard.remove(&note) {
            Some(heard) => self.delays.push(heard.saturating_duration_since(at)),
            None => drop(self.acknowledged.insert(note, at)),
        }
    }

    fn heard(&mut self, note: String, at: Instant) {
        match self.acknowledged.remove(&note) {
            Some(since) => self.delays.push(at.saturating_duration_since(since)),
            None => drop(self.heard.insert(note, at)),
        }
    }
}

async fn listen(client: &Client, told: Arc<Mutex<Told>>) -> tokio::task::JoinHandle<()> {
    let topics = [
        LiveTopic::Agents,
        LiveTopic::Missions,
        LiveTopic::Signals,
        LiveTopic::Events,
        LiveTopic::Inbox,
    ];
    let stream = client.live(None, &topics).await.unwrap();
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(Ok(frame)) = stream.next().await {
            let at = Instant::now();
            let Payload::Events { events } = frame.payload else { continue };
            let mut told = told.lock().unwrap();
            for event in events {
                if let model::event::Fact::MissionProgressed { progress, .. } = event.fact {
                    told.heard(progress.text, at);
                }
            }
        }
    })
}

/// Asks for what the UI shows, each route once a second.
fn ask(address: &str, captain: &str, times: Times) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (n, path) in ASKED.into_iter().enumerate() {
        // Spread over the second: how long a route takes, not how long nine wait for each other.
        let first = tokio::time::Instant::now() + BEAT.mul_f64(n as f64 / ASKED.len() as f64);
        let (times, address, token) = (Arc::clone(&times), address.to_owned(), captain.to_owned());
        tasks.spawn(async move {
            let mut line = Line::open(&address).await.unwrap();
            let mut ticks = tokio::time::interval_at(first, BEAT);
            loop {
                ticks.tick().await;
                let began = Instant::now();
                let answer = line.send("GET", path, &token, None).await;
                let took = began.elapsed();
                let route = match answer {
                    Ok((200, _)) => format!("GET {path}"),
                    Ok((status, _)) => format!("GET {path} -> {status}"),
                    Err(_) => {
                        line = Line::open(&address).await.unwrap();
                        format!("GET {path} -> broken")
                    }
                };
                times.lock().unwrap().entry(route).or_default().push(took);
            }
        });
    }
    tasks
}

/// Clients that send their heads a byte a second, and clients that ask and read nothing.
fn attack(address: &str) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..SLOW {
        let of = address.to_owned();
        tasks.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(&of).await else { continue };
                for byte in b"GET /api/v1/overview HTTP/1.1\r\nhost: ".iter().cycle() {
                    if stream.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(BEAT).await;
                }
            }
        });
        let of = address.to_owned();
        tasks.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(&of).await else { continue };
                let ask = format!("GET /healthz HTTP/1.1\r\nhost: {of}\r\n\r\n").repeat(1_000);
                drop(stream.write_all(ask.as_bytes()).await);
                tokio::time::sleep(10 * BEAT).await;
                drop(stream.read_u8().await);
            }
        });
    }
    tasks
}
