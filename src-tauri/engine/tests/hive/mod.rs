//! A workspace of a test's own, and waiting for what is to come.
#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use engine::view::{Ask, AttemptView, MissionDetail, NewAgent, NewMission, OutputStream};
use engine::{Caller, Config, DevlogQuery, Engine, TranscriptQuery};
use model::devlog::Devlog;
use model::event::Actor;
use model::id::CorrelationId;
use model::mission::MissionState;
use model::refusal::Refusal;
use model::transition::MissionInput;
use tempfile::TempDir;

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reviewing agent in a shell does to approve: the word to answer with stands in its brief.
pub(crate) const APPROVE: &str = r#"sed -n "s/.*\(VERDICT-[0-9a-f]*: approve\) or.*/\1/p""#;

pub(crate) struct Hive {
    pub(crate) engine: Engine,
    pub(crate) ending: Ending,
    pub(crate) place: TempDir,
}

/// Ends what still runs when a test is over, passed or not: agents outlive their engine by design.
pub(crate) struct Ending(PathBuf);

impl Ending {
    /// Ends what is left of the runs in a directory.
    pub(crate) fn of(runs: &Path) -> Self {
        Self(runs.to_owned())
    }
}

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

pub(crate) fn agent(name: &str, command: &str) -> NewAgent {
    NewAgent {
        name: name.into(),
        command: Some(command.into()),
        grace_s: Some(1),
        ..NewAgent::default()
    }
}

/// An agent that speaks the Agent Client Protocol and does what its prompt says.
pub(crate) fn acp(name: &str) -> NewAgent {
    NewAgent { runtime: Some("acp".into()), ..agent(name, &fake_acp()) }
}

pub(crate) fn mission(title: &str, brief: &str) -> NewMission {
    NewMission { title: title.into(), brief: brief.into(), ..NewMission::default() }
}

impl Hive {
    pub(crate) async fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        let engine = open(&data).await;
        Self { engine, ending: Ending(data.join("runs")), place }
    }

    /// A workspace in which a file is there before the engine is.
    pub(crate) async fn open_with(name: &str, text: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&data, private).unwrap();
        std::fs::write(data.join(name), text).unwrap();
        let engine = open(&data).await;
        Self { engine, ending: Ending(data.join("runs")), place }
    }

    /// Ends the engine in order and opens its workspace again.
    pub(crate) async fn reopen(self) -> Self {
        let Self { engine, ending, place } = self;
        let data = engine.data_dir().to_owned();
        engine.shutdown().await;
        drop(engine);
        Self { engine: open(&data).await, ending, place }
    }

    /// How many events there are but for those of the health checks, which come when they come.
    pub(crate) async fn happened(&self) -> usize {
        let events = self
            .engine
            .events(engine::EventQuery { limit: Some(500), ..Default::default() })
            .await
            .unwrap()
            .items;
        assert!(events.len() < 500, "all on one page");
        events.iter().filter(|event| event.fact.kind() != "checks_changed").count()
    }

    pub(crate) fn caller(&self) -> Caller {
        caller()
    }

    pub(crate) fn keyed(&self, key: &str, fingerprint: u8) -> Caller {
        keyed(key, fingerprint)
    }

    pub(crate) async fn add(&self, new: NewAgent) {
        self.engine.add_agent(&self.caller(), new).await.unwrap();
    }

    pub(crate) async fn mission(&self, new: NewMission) -> String {
        let made = self.engine.add_mission(&self.caller(), new).await.unwrap();
        made.view.mission.short_id.to_string()
    }

    pub(crate) async fn ask(
        &self,
        id: &str,
        input: MissionInput,
    ) -> Result<MissionDetail, Refusal> {
        self.engine.ask_mission(&self.caller(), id, input, Ask::default()).await
    }

    /// Waits until the mission is in a state like this.
    pub(crate) async fn until(
        &self,
        id: &str,
        wanted: impl Fn(MissionState) -> bool,
    ) -> MissionDetail {
        self.until_detail(id, |detail| wanted(detail.view.mission.state)).await
    }

    /// Waits until no attempt of the mission is under way.
    pub(crate) async fn until_over(&self, id: &str) -> MissionDetail {
        self.until_detail(id, |detail| {
            detail.attempts.iter().all(|attempt| attempt.attempt.state.is_final())
        })
        .await
    }

    pub(crate) async fn until_printed(&self, id: &str, text: &str) -> MissionDetail {
        let start = Instant::now();
        loop {
            let detail = self.engine.mission(id).await.unwrap();
            let started = |view: &AttemptView| view.attempt.process.is_some();
            if detail.attempts.first().is_some_and(started) && self.printed(&detail).await == text {
                return detail;
            }
            assert!(start.elapsed() < PATIENCE, "{detail:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until what is looked for is there.
    pub(crate) async fn until_some<T>(
        &self,
        what: &str,
        look: impl AsyncFn(&Engine) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(&self.engine).await {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_detail(
        &self,
        id: &str,
        wanted: impl Fn(&MissionDetail) -> bool,
    ) -> MissionDetail {
        let start = Instant::now();
        loop {
            let detail = self.engine.mission(id).await.unwrap();
            if wanted(&detail) {
                return detail;
            }
            assert!(start.elapsed() < PATIENCE, "{detail:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the latest attempt printed.
    pub(crate) async fn printed(&self, detail: &MissionDetail) -> String {
        let query = TranscriptQuery {
            stream: OutputStream::Stdout,
            offset: 0,
            max_bytes: 1 << 20,
            wait_ms: 0,
        };
        self.engine.transcript(detail.attempts[0].attempt.id, query).await.unwrap().text
    }

    /// Waits for the mission's first devlog.
    pub(crate) async fn devlog(&self, id: &str) -> Devlog {
        let start = Instant::now();
        loop {
            let query = DevlogQuery { mission: Some(id.into()), ..Default::default() };
            if let Some(devlog) = self.engine.devlogs(query).await.unwrap().items.pop() {
                return devlog;
            }
            assert!(start.elapsed() < PATIENCE, "no devlog was written");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A git repository with one commit.
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        let path = self.place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("README.md"), "# Test\n").unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        git(&path, &["add", "-A"]);
        git(&path, &["-c", "user.name=T", "-c", "user.email=t@x", "commit", "-q", "-m", "first"]);
        path
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

pub(crate) fn keyed(key: &str, fingerprint: u8) -> Caller {
    Caller { key: Some(key.into()), fingerprint: [fingerprint; 32], ..caller() }
}

/// The test agent, built beside the tests.
pub(crate) fn fake_agent() -> String {
    beside("hivekeeper-fake-agent")
}

/// The test agent that speaks the Agent Client Protocol.
pub(crate) fn fake_acp() -> String {
    beside("hivekeeper-fake-acp")
}

fn beside(name: &str) -> String {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "build the binaries first: cargo build --workspace --bins");
    path.display().to_string()
}

pub(crate) async fn open(data: &Path) -> Engine {
    Engine::open(Config::new(data.to_owned(), "0.0.0-test").without_keychain()).await.unwrap()
}

/// Opens a workspace as soon as nobody else holds it.
pub(crate) async fn open_when_free(data: &Path) -> Engine {
    let start = Instant::now();
    loop {
        match Engine::open(Config::new(data.to_owned(), "0.0.0-test").without_keychain()).await {
            Ok(engine) => return engine,
            Err(err) => assert!(err.is_locked() && start.elapsed() < PATIENCE, "{err:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(directory).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The processes whose environment carries this marker, as `pid name`.
pub(crate) fn processes_of(marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(environ) = std::fs::read(path.join("environ")) else {
            continue;
        };
        let wanted = format!("HIVEKEEPER_RUN={marker}");
        if environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            found.push(format!("{} {}", entry.file_name().display(), name.trim()));
        }
    }
    found
}
