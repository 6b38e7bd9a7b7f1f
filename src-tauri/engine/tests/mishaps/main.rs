//! Whole missions in which the engine is ended at every named step, has no descriptor left, or finds
//! strangers under the numbers of its processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

#[path = "../hive/mod.rs"]
mod hive;

mod bad;
mod numbers;
mod scarce;
mod steps;
mod talks;

use std::path::Path;
use std::process::{Command, Stdio};

use engine::view::{MissionDetail, NewMission};
use engine::{ConversationQuery, Engine, MissionQuery};
use model::conversation::{Body, Entry};
use model::id::AttemptId;

/// Tells a copy of this test program where it works; without it, it has nothing to do.
const PLACE: &str = "HIVEKEEPER_TEST_PLACE";

/// A copy of this test program that runs one test, by its full name.
fn copy(test: &str, place: &Path) -> Command {
    let mut copy = Command::new(std::env::current_exe().unwrap());
    copy.args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    copy
}

impl hive::Hive {
    /// Ends the engine, and looks through its ledger.
    async fn end_soundly(self, at: &str) {
        let Self { engine, ending, place } = self;
        let data = engine.data_dir().to_owned();
        engine.shutdown().await;
        drop(engine);
        let verified = engine::verify(&data).await.unwrap();
        assert!(verified.is_sound(), "{at}: {verified:?}");
        drop((ending, place));
    }
}

/// A mission that is done when its gates passed.
fn of(agent: &str, brief: &str) -> NewMission {
    NewMission {
        agent: Some(agent.into()),
        policy: Some("trusting".into()),
        backoff_s: Some(0),
        ..hive::mission("Mishap", brief)
    }
}

/// The only mission there is.
async fn only_mission(engine: &Engine) -> MissionDetail {
    let missions = engine.missions(MissionQuery::default()).await.unwrap().items;
    assert_eq!(missions.len(), 1, "{missions:#?}");
    engine.mission(missions[0].mission.short_id.as_str()).await.unwrap()
}

async fn entries(engine: &Engine, id: AttemptId) -> Vec<Entry> {
    let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
    let page = engine.conversation(id, query).await.unwrap();
    page.entries.into_iter().map(|at| at.entry).collect()
}

/// Everything an agent said.
async fn said(engine: &Engine, id: AttemptId) -> String {
    let text = |entry: Entry| match entry.body {
        Body::Message { text } => Some(text),
        _ => None,
    };
    entries(engine, id).await.into_iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// How many entries are like this.
fn count(entries: &[Entry], wanted: impl Fn(&Body) -> bool) -> usize {
    entries.iter().filter(|entry| wanted(&entry.body)).count()
}

/// The lines of a file; none where it is not there.
fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}
