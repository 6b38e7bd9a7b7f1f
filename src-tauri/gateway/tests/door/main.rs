//! What is reached from outside: the API, and what agents themselves call: their tools over MCP, and
//! the receivers of their figures.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

mod api;
mod bad;
mod house;
mod keys;
mod live;
mod logins;
mod matrix;
mod mcp;
mod metrics;
mod otlp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::view::{NewAgent, NewMission};
use engine::{Caller, Config, Engine};
use gateway::{Endpoint, Host, NoWindow};
use model::attempt::{Attempt, AttemptState};
use model::event::Actor;
use model::id::CorrelationId;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that listens, and what it started.
struct House {
    engine: Engine,
    host: Host,
    place: TempDir,
    ending: Ending,
}

/// Ends what still runs when a test is over, passed or not: agents outlive their engine by design.
struct Ending(PathBuf);

impl Drop for Ending {
    fn drop(&mut self) {
        for run in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let record = std::fs::read_to_string(run.path().join("process.json"));
            let record: serde_json::Value =
                record.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let Some(pid) = record["shim"]["pid"].as_u64() else {
                continue;
            };
            // Nothing is ended by its number alone.
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.contains(&run.path().display().to_string()) {
                drop(std::process::Command::new("kill").arg(pid.to_string()).status());
            }
        }
    }
}

/// An agent at work on a mission.
struct AtWork {
    attempt: Attempt,
    mission: String,
    token: String,
}

impl House {
    async fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        let engine = Engine::open(Config::new(data.clone(), "0.0.0-test")).await.unwrap();
        let host = Self::listen(&engine).await;
        Self { engine, host, place, ending: Ending(data.join("runs")) }
    }

    async fn listen(engine: &Engine) -> Host {
        Host::open(engine, "127.0.0.1:0".parse().unwrap(), Arc::new(NoWindow)).await.unwrap()
    }

    /// Ends the engine in order and opens its workspace again.
    async fn reopen(self) -> Self {
        let Self { engine, host, place, ending } = self;
        let data = engine.data_dir().to_owned();
        host.close().await;
        drop(host);
        engine.shutdown().await;
        drop(engine);
        let engine = Engine::open(Config::new(data, "0.0.0-test")).await.unwrap();
        let host = Self::listen(&engine).await;
        Self { engine, host, place, ending }
    }

    async fn close(self) {
        self.host.close().await;
        self.engine.shutdown().await;
    }

    /// Has an agent work on something until it is stopped.
    async fn at_work(&self, name: &str) -> AtWork {
        let caller = caller();
        let new = NewAgent {
            name: name.into(),
            command: Some("sleep 600".into()),
            grace_s: Some(1),
            ..NewAgent::default()
        };
        self.engine.add_agent(&caller, new).await.unwrap();
        let new = NewMission {
            title: format!("Work of {name}"),
            brief: format!("Only {name} may know this."),
            agent: Some(name.into()),
            ..NewMission::default()
        };
        let made = self.engine.add_mission(&caller, new).await.unwrap();
        let mission = made.view.mission.short_id.to_string();
        let begun = Instant::now();
        loop {
            let detail = self.engine.mission(&mission).await.unwrap();
            let attempt = detail.attempts.first().map(|view| view.attempt.clone());
            if let Some(attempt) = attempt.filter(|it| it.state == AttemptState::Running) {
                let run = self.engine.data_dir().join("runs").join(attempt.id.to_string());
                let token = std::fs::read_to_string(run.join("token")).unwrap();
                return AtWork { attempt, mission, token };
            }
            assert!(begun.elapsed() < PATIENCE, "{detail:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The captain's own token.
    fn captain(&self) -> String {
        Endpoint::read(self.engine.data_dir()).unwrap().unwrap().token
    }

    fn address(&self) -> &str {
        self.host.url().strip_prefix("http://").unwrap()
    }

    /// Posts over a socket; gives the status and the body.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        self.send("POST", path, headers, body).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let (status, _, body) = self.exchange(method, path, headers, body).await;
        (status, body)
    }

    /// Sends over a socket; gives the status, the head and the body.
    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String, Vec<u8>) {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address(),
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let all = [head.as_bytes(), body].concat();
        let mut answer = Vec::new();
        // One that is refused early may not be read to its end.
        let write = async { drop(writing.write_all(&all).await) };
        let read = async { drop(reading.read_to_end(&mut answer).await) };
        tokio::time::timeout(PATIENCE, async { tokio::join!(write, read) }).await.unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = answer.get(end + 4..).unwrap_or_default().to_vec();
        (status.unwrap_or(0), head, body)
    }

    /// Waits until what is looked for is there.
    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Engine) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(&self.engine).await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
