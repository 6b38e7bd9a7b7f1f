//! Agents that run elsewhere: by plain HTTP, and by the example clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

mod examples;
mod leases;

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::view::{MissionDetail, NewMission};
use engine::{Caller, Config, Engine};
use gateway::{Client, Endpoint, Host, NoWindow};
use http::Method;
use model::event::Actor;
use model::id::CorrelationId;
use serde_json::Value;
use tempfile::TempDir;

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that listens.
struct House {
    engine: Engine,
    host: Host,
    place: TempDir,
}

impl House {
    async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    async fn open_in(place: TempDir) -> Self {
        let data = place.path().join("data");
        let engine = Engine::open(Config::new(data, "0.0.0-test")).await.unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let host = Host::open(&engine, address, Arc::new(NoWindow)).await.unwrap();
        Self { engine, host, place }
    }

    /// Ends the engine in order and opens its workspace again.
    async fn reopen(self) -> Self {
        let Self { engine, host, place } = self;
        host.close().await;
        drop(host);
        engine.shutdown().await;
        drop(engine);
        Self::open_in(place).await
    }

    async fn close(self) {
        self.host.close().await;
        self.engine.shutdown().await;
    }

    /// The captain's own token.
    fn captain(&self) -> String {
        Endpoint::read(self.engine.data_dir()).unwrap().unwrap().token
    }

    fn client(&self, token: &str) -> Client {
        Client::for_data_dir(self.engine.data_dir()).unwrap().with_token(token.to_owned())
    }

    /// Posts JSON with a token; gives the status and what was answered.
    async fn say(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = Some(body.to_string().into_bytes());
        let answer = self.client(token).request(Method::POST, path, body).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    async fn work(&self, title: &str, change: impl FnOnce(&mut NewMission)) -> String {
        let mut new = NewMission {
            title: title.into(),
            brief: format!("The brief of {title}."),
            policy: Some("trusting".into()),
            ..NewMission::default()
        };
        change(&mut new);
        let made = self.engine.add_mission(&caller(), new).await.unwrap();
        made.view.mission.short_id.to_string()
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

    async fn until_detail(
        &self,
        mission: &str,
        fits: impl Fn(&MissionDetail) -> bool,
    ) -> MissionDetail {
        let begun = Instant::now();
        loop {
            let detail = self.engine.mission(mission).await.unwrap();
            if fits(&detail) {
                return detail;
            }
            assert!(begun.elapsed() < PATIENCE, "{detail:#?}");
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
