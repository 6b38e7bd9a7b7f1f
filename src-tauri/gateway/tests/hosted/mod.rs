//! An engine that listens, in a workspace of a test's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::view::{MissionDetail, NewMission};
use engine::{Caller, Config, Engine};
use gateway::{Endpoint, Host, NoWindow};
use model::event::Actor;
use model::id::CorrelationId;
use tempfile::TempDir;

/// The longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that listens, and what it started.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) host: Host,
    pub(crate) place: TempDir,
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

impl House {
    pub(crate) async fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let ending = Ending(place.path().join("data").join("runs"));
        Self::open_in(place, ending).await
    }

    async fn open_in(place: TempDir, ending: Ending) -> Self {
        let data = place.path().join("data");
        let engine =
            Engine::open(Config::new(data, "0.0.0-test").without_keychain()).await.unwrap();
        let host = Self::listen(&engine).await;
        Self { engine, host, place, ending }
    }

    pub(crate) async fn listen(engine: &Engine) -> Host {
        Host::open(engine, "127.0.0.1:0".parse().unwrap(), Arc::new(NoWindow)).await.unwrap()
    }

    /// Ends the engine in order and opens its workspace again.
    pub(crate) async fn reopen(self) -> Self {
        let Self { engine, host, place, ending } = self;
        host.close().await;
        drop(host);
        engine.shutdown().await;
        drop(engine);
        Self::open_in(place, ending).await
    }

    pub(crate) async fn close(self) {
        self.host.close().await;
        self.engine.shutdown().await;
    }

    /// The captain's own token.
    pub(crate) fn captain(&self) -> String {
        Endpoint::read(self.engine.data_dir()).unwrap().unwrap().token
    }

    /// Makes a mission that needs nobody's review.
    pub(crate) async fn work(&self, title: &str, change: impl FnOnce(&mut NewMission)) -> String {
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
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn(&Engine) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(&self.engine).await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a mission is as it should be.
    pub(crate) async fn until_detail(
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

pub(crate) fn caller() -> Caller {
    Caller {
        actor: Actor::Captain,
        correlation_id: CorrelationId::from_uuid(uuid::Uuid::now_v7()),
        key: None,
        fingerprint: [0; 32],
    }
}
