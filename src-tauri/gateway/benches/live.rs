//! Measures the live stream over a real socket. `cargo bench -p gateway --bench live [-- AGENTS…]`
//!
//! For each number of idle agents (200 and 2,000): from the moment a change is asked for, and from
//! the moment it is acknowledged, until a client of the WebSocket has its event and the agent it
//! changed; the same while 100 changes a second are made; and what the engine itself uses while
//! nothing happens and somebody listens.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people at a terminal")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::live::{Frame, Payload};
use engine::view::NewAgent;
use engine::{Caller, Config, Engine};
use futures::StreamExt as _;
use gateway::{Endpoint, Host, NoWindow};
use model::event::Actor;
use model::id::{AgentId, CorrelationId};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Changes that are made one at a time.
const SINGLE: usize = 200;
/// Changes that are made in a hurry, and the time between two.
const HURRIED: usize = 1_000;
const HURRY: Duration = Duration::from_millis(10);
/// How long is looked at what is used while nothing happens.
const QUIET: Duration = Duration::from_secs(10);

/// What a client heard of a change.
#[derive(Debug, Clone)]
enum Heard {
    Event(String, Instant),
    Agent(AgentId, bool, Instant),
    Cpu(f64, u64),
}

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("machine: {model}, load {}", load.trim());
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

fn caller() -> Caller {
    Caller {
        actor: Actor::Captain,
        correlation_id: CorrelationId::from_uuid(uuid::Uuid::now_v7()),
        key: None,
        fingerprint: [0; 32],
    }
}

async fn measure(count: usize) {
    let place = tempfile::tempdir().unwrap();
    let engine = Engine::open(Config::new(place.path().join("data"), "bench").without_keychain())
        .await
        .unwrap();
    let mut adding = JoinSet::new();
    for n in 0..count {
        let engine = engine.clone();
        adding.spawn(async move {
            let command = Some("true".to_owned());
            let new = NewAgent { name: format!("a{n}"), command, ..NewAgent::default() };
            engine.add_agent(&caller(), new).await.unwrap().agent.id
        });
    }
    let ids: Vec<AgentId> = adding.join_all().await;
    let host =
        Host::open(&engine, "127.0.0.1:0".parse().unwrap(), Arc::new(NoWindow)).await.unwrap();
    let (hear, mut heard) = mpsc::unbounded_channel();
    let began = Instant::now();
    let listening = listen(&engine, &host, hear).await;
    println!("{count} agents: a snapshot of all topics in {:.0} ms", ms(began.elapsed()));
    quiet(&mut heard).await;
    let single = ids.iter().cycle().take(SINGLE).copied().collect::<Vec<_>>();
    report("one at a time", changes(&engine, &single, None, &mut heard).await);
    let hurried = ids.iter().cycle().skip(SINGLE).take(HURRIED).copied().collect::<Vec<_>>();
    report("100 a second", changes(&engine, &hurried, Some(HURRY), &mut heard).await);
    listening.abort();
    host.close().await;
    engine.shutdown().await;
}

/// Opens a listener of all topics; returns when it has caught up.
async fn listen(
    engine: &Engine,
    host: &Host,
    hear: mpsc::UnboundedSender<Heard>,
) -> tokio::task::JoinHandle<()> {
    let token = Endpoint::read(engine.data_dir()).unwrap().unwrap().token;
    let address = host.url().strip_prefix("http://").unwrap().to_owned();
    let mut request = format!("ws://{address}/api/v1/live").into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let mut caught_up = 0;
    while caught_up < 5 {
        let message = socket.next().await.unwrap().unwrap();
        caught_up += usize::from(message.to_text().is_ok_and(|it| it.contains("\"caught_up\"")));
    }
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let at = Instant::now();
            let Ok(frame) = serde_json::from_str::<Frame>(message.to_text().unwrap_or("")) else {
                continue;
            };
            let all: Vec<Heard> = match frame.payload {
                Payload::Events { events } => events
                    .into_iter()
                    .filter_map(|event| event.correlation_id)
                    .map(|id| Heard::Event(id.to_string(), at))
                    .collect(),
                Payload::Agents { agents, .. } => agents
                    .into_iter()
                    .map(|view| Heard::Agent(view.agent.id, view.agent.paused, at))
                    .collect(),
                Payload::Signals { overview } => overview
                    .engine
                    .and_then(|usage| Some(Heard::Cpu(usage.cpu_percent?, usage.memory_bytes)))
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            };
            for one in all {
                drop(hear.send(one));
            }
        }
    })
}

/// What the engine uses while somebody listens and nothing happens.
async fn quiet(heard: &mut mpsc::UnboundedReceiver<Heard>) {
    tokio::time::sleep(QUIET).await;
    let mut used = Vec::new();
    while let Ok(one) = heard.try_recv() {
        if let Heard::Cpu(percent, memory) = one {
            used.push((percent, memory));
        }
    }
    let last = used.split_off(used.len() / 2);
    let cpu = last.iter().map(|(cpu, _)| cpu).sum::<f64>() / last.len().max(1) as f64;
    let memory = last.last().map_or(0, |(_, memory)| memory >> 20);
    println!("  quiet: {cpu:.1} % of a core, {memory} MiB resident, client included");
}

struct Delays {
    asked: Vec<Duration>,
    acknowledged: Vec<Duration>,
    agents: Vec<Duration>,
}

/// Holds agents back or lets them go on, and waits until the client knows it.
async fn changes(
    engine: &Engine,
    ids: &[AgentId],
    every: Option<Duration>,
    heard: &mut mpsc::UnboundedReceiver<Heard>,
) -> Delays {
    let mut made: HashMap<String, (Instant, Instant)> = HashMap::new();
    let mut changed: HashMap<AgentId, (bool, Instant)> = HashMap::new();
    let mut delays = Delays { asked: Vec::new(), acknowledged: Vec::new(), agents: Vec::new() };
    for (n, id) in ids.iter().enumerate() {
        let paused = !engine.agent(&id.to_string()).await.unwrap().agent.paused;
        let caller = caller();
        let began = Instant::now();
        let text = id.to_string();
        if paused {
            engine.pause_agent(&caller, &text).await.unwrap();
        } else {
            engine.resume_agent(&caller, &text).await.unwrap();
        }
        made.insert(caller.correlation_id.to_string(), (began, Instant::now()));
        changed.insert(*id, (paused, began));
        match every {
            // Not in step with the pace of the frames.
            None => tokio::time::sleep(Duration::from_millis(120 + (n as u64 * 37) % 90)).await,
            Some(every) => tokio::time::sleep(every.saturating_sub(began.elapsed())).await,
        }
    }
    let until = Instant::now() + Duration::from_secs(10);
    while (delays.asked.len() < ids.len() || !changed.is_empty()) && Instant::now() < until {
        let next = tokio::time::timeout(Duration::from_secs(2), heard.recv()).await;
        let Ok(Some(one)) = next else {
            break;
        };
        match one {
            Heard::Event(id, at) => {
                if let Some((asked, acknowledged)) = made.remove(&id) {
                    delays.asked.push(at.duration_since(asked));
                    delays.acknowledged.push(at.saturating_duration_since(acknowledged));
                }
            }
            Heard::Agent(id, paused, at) => {
                if changed.get(&id).is_some_and(|(wanted, since)| *wanted == paused && at >= *since)
                    && let Some((_, since)) = changed.remove(&id)
                {
                    delays.agents.push(at.duration_since(since));
                }
            }
            Heard::Cpu(..) => {}
        }
    }
    println!("  not heard of: {} events, {} agents", made.len(), changed.len());
    delays
}

fn report(what: &str, delays: Delays) {
    for (name, mut all) in [
        ("event, since it was acknowledged", delays.acknowledged),
        ("event, since it was asked for", delays.asked),
        ("agent, since it was asked for", delays.agents),
    ] {
        all.sort_unstable();
        let at =
            |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or_default();
        let (p50, p95, p99) = (ms(at(0.5)), ms(at(0.95)), ms(at(0.99)));
        println!("  {what}: {name}: p50 {p50:.1} p95 {p95:.1} p99 {p99:.1} ms (n {})", all.len());
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
