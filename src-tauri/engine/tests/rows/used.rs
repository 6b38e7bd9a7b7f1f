//! What agents use: seen while they work, and read where they write it down themselves.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::EventQuery;
use engine::view::{NewAgent, NewMission};
use model::agent::Conduct;
use model::event::Fact;
use model::id::AttemptId;
use model::inbox::PermissionPolicy;
use model::mission::MissionState;
use model::transition::MissionInput;
use model::usage::{Tokens, UsageSource};

use crate::hive::{Hive, acp, fake_acp, mission};

/// How soon what was used is seen.
const SOON: Duration = Duration::from_secs(2);

/// A kind of agent that tells what it used in its updates, and one that writes it into a file of its
/// session.
fn kinds() -> String {
    let program = fake_acp();
    format!(
        r#"
[[runtime]]
name = "telling"
kind = "acp"
program = "{program}"
[[runtime.ways.usage]]
in = "update"
of = "usage_update"
at = ""
covers = "conversation"
[runtime.ways.usage.fields]
input = "/used"

[[runtime]]
name = "writing"
kind = "acp"
program = "{program}"
[runtime.ways.session_file]
roots = [{{ env = "WRITES_TO" }}]
path = "*/session-{{session}}.jsonl"
kind = ["/type"]
[[runtime.ways.session_file.usage]]
in = "update"
of = "used"
at = "/total"
covers = "conversation"
input_includes_cache = true
[runtime.ways.session_file.usage.fields]
input = "/in"
cache_read = "/cached"
output = "/out"
"#
    )
}

fn of_kind(name: &str, kind: &str) -> NewAgent {
    let conduct = Conduct { permissions: PermissionPolicy::Unattended, ..Conduct::default() };
    let preset = Some(kind.into());
    NewAgent { preset, command: None, runtime: None, conduct, ..acp(name) }
}

fn of(agent: &str, brief: &str) -> NewMission {
    let policy = Some("trusting".into());
    NewMission { agent: Some(agent.into()), policy, retries: Some(0), ..mission("Use", brief) }
}

impl Hive {
    /// How often it was recorded what an attempt used.
    async fn measured(&self, id: AttemptId) -> usize {
        let kind = Some("usage_measured".to_owned());
        let query = EventQuery { kind, limit: Some(500), ..EventQuery::default() };
        let events = self.engine.events(query).await.unwrap().items;
        let of_it = |fact: &Fact| matches!(fact, Fact::UsageMeasured { attempt_id, .. } if *attempt_id == id);
        events.iter().filter(|event| of_it(&event.fact)).count()
    }

    async fn used(&self, id: AttemptId) -> Option<(UsageSource, Tokens)> {
        let best = self.engine.usage(id).await.unwrap().best?;
        Some((best.source, best.tokens))
    }

    /// The only attempt of a mission, once its agent uses that much input; how long that took.
    async fn until_used(&self, id: &str, input: u64) -> (AttemptId, Duration) {
        let begun = Instant::now();
        let attempt = self
            .until_some(&format!("it used {input}"), async |engine| {
                let id = engine.mission(id).await.unwrap().attempts.first()?.attempt.id;
                let (_, tokens) = self.used(id).await?;
                (tokens.input() == Some(input)).then_some(id)
            })
            .await;
        (attempt, begun.elapsed())
    }
}

#[tokio::test]
async fn what_a_working_agent_uses_is_seen_within_2_s_and_recorded_at_a_slower_pace() {
    let hive = Hive::open_with("runtimes.toml", &kinds()).await;
    hive.add(of_kind("ann", "telling")).await;
    let go = hive.place.path().join("go");
    let brief = format!("@context 500 1000\n@until {}\n@context 700 1000\n@hang", go.display());
    let id = hive.mission(of("ann", &brief)).await;
    let (attempt, _) = hive.until_used(&id, 500).await;
    std::fs::write(&go, "").unwrap();
    let (_, took) = hive.until_used(&id, 700).await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(hive.measured(attempt).await, 0, "the ledger is not written for it");
    let shown = hive.engine.agent("ann").await.unwrap().activity.unwrap().usage.unwrap();
    assert_eq!(shown.tokens.input(), Some(700), "the agent's own view shows it too");
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
    assert_eq!(hive.used(attempt).await.unwrap().1.input(), Some(700), "in the end it is kept");
    assert_eq!(hive.measured(attempt).await, 1);
}

/// A command that writes how much an agent's session used by now; its agent is the shell's parent.
fn writes(place: &Path, input: u64) -> String {
    let (cached, out) = (input / 5, input / 20);
    let line = format!(
        r#"{{"type":"used","total":{{"in":{input},"cached":{cached},"out":{out}}},"text":"s3cret"}}"#
    );
    format!("@run echo '{line}' >> {}/session-session-$PPID-0.jsonl", place.display())
}

#[tokio::test]
async fn what_an_agent_writes_down_of_its_session_is_counted_once_also_by_the_next_engine() {
    let hive = Hive::open_with("runtimes.toml", &kinds()).await;
    let written = hive.place.path().join("written");
    let today = written.join("today");
    std::fs::create_dir_all(&today).unwrap();
    let mut ann = of_kind("ann", "writing");
    ann.env.insert("WRITES_TO".into(), written.display().to_string());
    hive.add(ann).await;
    let go = hive.place.path().join("go");
    let (one, all) = (writes(&today, 1_000), writes(&today, 4_000));
    let brief = format!("@say on\n{one}\n@until {}\n{all}\n@say done", go.display());
    let id = hive.mission(of("ann", &brief)).await;
    let (attempt, _) = hive.until_used(&id, 1_000).await;
    let hive = hive.reopen().await;
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    let (source, tokens) = hive.used(attempt).await.unwrap();
    let truth = (Some(3_200), Some(800), Some(200));
    assert_eq!((tokens.uncached_input, tokens.cache_read, tokens.output), truth);
    assert_eq!(source, UsageSource::SessionFile);
    // Its file is only read, and nothing but figures is taken from it.
    let file = std::fs::read_dir(&today).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 2);
    let run = hive.engine.data_dir().join("runs").join(attempt.to_string());
    let kept = std::fs::read(run.join("conversation.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let metered = kept["metered"].to_string();
    assert!(metered.contains("session-") && !metered.contains("s3cret"), "{metered}");
}
