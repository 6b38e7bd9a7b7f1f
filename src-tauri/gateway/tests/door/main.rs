//! What is reached from outside: the API, and what agents themselves call: their tools over MCP, and
//! the receivers of their figures.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

mod again;
mod api;
mod bad;
mod chain;
mod health;
mod house;
mod keys;
mod live;
mod logins;
mod matrix;
mod mcp;
mod metrics;
mod otlp;
mod outer;
mod reattach;
mod signals;

#[path = "../hosted/mod.rs"]
mod hosted;

use engine::view::{MissionDetail, NewAgent, NewMission};
use model::attempt::{Attempt, AttemptState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use hosted::{House, PATIENCE, caller};

/// An agent at work on a mission.
struct AtWork {
    attempt: Attempt,
    mission: String,
    token: String,
}

impl House {
    fn address(&self) -> &str {
        self.host.url().strip_prefix("http://").unwrap()
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
        let running = |attempt: &Attempt| attempt.state == AttemptState::Running;
        let fits = |detail: &MissionDetail| {
            detail.attempts.first().is_some_and(|view| running(&view.attempt))
        };
        let attempt = self.until_detail(&mission, fits).await.attempts.remove(0).attempt;
        let run = self.engine.data_dir().join("runs").join(attempt.id.to_string());
        let token = std::fs::read_to_string(run.join("token")).unwrap();
        AtWork { attempt, mission, token }
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
}
