//! Kinds of agents: known by name, changed by a file, tried, and changed later.

use engine::view::{EditAgent, NewAgent};
use model::agent::{Conduct, Runtime};
use model::mission::MissionState;
use model::process::Limits;
use model::refusal::Code;
use model::status::AgentState;
use model::transition::MissionInput;

use crate::hive::{Hive, acp, agent, fake_acp, fake_agent, mission};

/// A file of presets with one that works, one that is not there and one that does not answer.
fn presets() -> String {
    let acp = fake_acp();
    format!(
        r#"
[[runtime]]
name = "mine"
title = "My own"
kind = "acp"
program = "{acp}"
health = ["--version"]

[[runtime]]
name = "absent"
title = "Not here"
kind = "acp"
program = "no-such-agent-anywhere"
install = "npm install -g no-such-agent"

[[runtime]]
name = "locked"
kind = "acp"
program = "{acp}"
args = ["--login"]

[[runtime]]
name = "dying"
kind = "acp"
program = "{dying}"
args = ["complain", "no such model", "exit", "3"]
"#,
        dying = fake_agent()
    )
}

async fn with_presets() -> Hive {
    let hive = Hive::open().await;
    std::fs::write(hive.engine.data_dir().join("runtimes.toml"), presets()).unwrap();
    hive.reopen().await
}

#[tokio::test]
async fn adding_a_runtime_needs_only_a_config_entry_and_a_missing_cli_is_reported_before_start() {
    let hive = with_presets().await;
    let list = hive.engine.presets().await;
    assert_eq!(list.problem, None);
    let of = |name: &str| list.presets.iter().find(|it| it.name == name).unwrap();
    let mine = of("mine");
    let version = mine.installed.as_ref().unwrap().version.as_deref();
    assert_eq!(version, Some("hivekeeper-fake-acp 1.2.3"));
    assert!(mine.missing.is_empty() && mine.modes.ask);
    let absent = of("absent");
    assert_eq!(absent.installed, None);
    assert!(absent.missing[0].contains("no-such-agent-anywhere"), "{:?}", absent.missing);
    assert!(absent.missing[0].contains("npm install"), "{:?}", absent.missing);

    let preset = |name: &str, preset: &str| NewAgent {
        name: name.into(),
        preset: Some(preset.into()),
        ..NewAgent::default()
    };
    let missing = hive.engine.add_agent(&hive.caller(), preset("bob", "absent")).await.unwrap();
    assert_eq!(missing.status.state, AgentState::Offline);
    assert!(missing.status.reason.contains("no-such-agent-anywhere"), "{}", missing.status.reason);
    let made = hive.engine.add_agent(&hive.caller(), preset("ann", "mine")).await.unwrap();
    assert!(matches!(&made.agent.runtime, Runtime::Acp { preset, .. } if preset == "mine"));
    let new = engine::view::NewMission {
        agent: Some("ann".into()),
        policy: Some("trusting".into()),
        ..mission("Go", "@say hello\n@write out.txt hello")
    };
    let id = hive.mission(new).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
    let unknown = hive.engine.add_agent(&hive.caller(), preset("cid", "nope")).await.unwrap_err();
    assert!(unknown.allowed.contains(&"mine".to_owned()));
}

#[tokio::test]
async fn a_preset_is_tried_by_a_greeting_and_nothing_of_it_is_left() {
    let hive = with_presets().await;
    let fine = hive.engine.try_preset("mine").await.unwrap();
    assert!(fine.ok && fine.opened_ms.is_some() && fine.problem.is_none(), "{fine:?}");
    assert_eq!(fine.version.as_deref(), Some("1.2.3"));
    let locked = hive.engine.try_preset("locked").await.unwrap();
    assert!(!locked.ok && locked.problem.unwrap().contains("logged in"));
    let dying = hive.engine.try_preset("dying").await.unwrap();
    assert!(!dying.ok && dying.problem.unwrap().contains("ended before it answered"));
    assert_eq!(dying.said, "no such model");
    let absent = hive.engine.try_preset("absent").await.unwrap();
    assert!(absent.problem.unwrap().contains("no-such-agent-anywhere"));
    assert_eq!(hive.engine.try_preset("nope").await.unwrap_err().code, Code::NotFound);
    let trials = std::fs::read_dir(hive.engine.data_dir().join("trials")).unwrap();
    assert_eq!(trials.count(), 0, "nothing is left");
}

#[tokio::test]
async fn presets_that_cannot_be_read_are_named_and_the_known_ones_stay() {
    let hive = Hive::open().await;
    let file = hive.engine.data_dir().join("runtimes.toml");
    std::fs::write(&file, "[[runtime]]\nname = \"x\"\n").unwrap();
    let hive = hive.reopen().await;
    let list = hive.engine.presets().await;
    let problem = list.problem.unwrap();
    assert!(problem.contains("runtimes.toml") && problem.contains("kind"), "{problem}");
    assert!(list.presets.iter().any(|preset| preset.name == "goose"));
}

#[tokio::test]
async fn presets_are_read_again_when_their_file_changed_without_a_restart() {
    let hive = Hive::open().await;
    let file = hive.engine.data_dir().join("runtimes.toml");
    std::fs::write(&file, presets()).unwrap();
    let listed = |name: &'static str| {
        hive.until_some(name, async move |engine| {
            engine.presets().await.presets.into_iter().find(|it| it.name == name)
        })
    };
    listed("mine").await;
    std::fs::write(&file, "[[runtime]]\nname = \"x\"\n").unwrap();
    let problem = hive
        .until_some("what is wrong is told", async |engine| engine.presets().await.problem)
        .await;
    assert!(problem.contains("runtimes.toml") && problem.contains("hold until"), "{problem}");
    listed("mine").await;
    std::fs::write(&file, presets().replace("\"mine\"", "\"yours\"")).unwrap();
    listed("yours").await;
    assert_eq!(hive.engine.presets().await.problem, None);
}

#[tokio::test]
async fn a_headless_program_of_the_captains_own_needs_no_config_entry() {
    let hive = Hive::open().await;
    let new = |format: Option<&str>| NewAgent {
        runtime: Some("headless".into()),
        format: format.map(str::to_owned),
        ..agent("ann", "sh -c 'cat > brief.txt; echo all done; echo done > out.txt'")
    };
    let add = async |new| hive.engine.add_agent(&hive.caller(), new).await;
    let refused = add(new(None)).await.unwrap_err();
    assert!(refused.allowed.contains(&"text".to_owned()), "{refused:?}");
    assert_eq!(add(new(Some("smoke"))).await.unwrap_err().code, Code::InvalidInput);
    let plain = NewAgent { format: Some("text".into()), ..agent("bob", "true") };
    assert_eq!(add(plain).await.unwrap_err().code, Code::InvalidInput);
    add(new(Some("text"))).await.unwrap();
    let wanted = engine::view::NewMission {
        agent: Some("ann".into()),
        policy: Some("trusting".into()),
        gates: vec!["file: out.txt".into()],
        ..mission("Go", "write it")
    };
    let id = hive.mission(wanted).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    let attempt = done.attempts[0].attempt.id;
    let query = engine::ConversationQuery { after: Some(0), ..Default::default() };
    let page = hive.engine.conversation(attempt, query).await.unwrap();
    let said = page.entries.iter().any(|at| {
        matches!(&at.entry.body, model::conversation::Body::Message { text } if text.contains("all done"))
    });
    assert!(said, "{page:?}");
}

#[tokio::test]
async fn what_codex_says_it_used_is_what_is_known_of_its_attempt() {
    let recorded =
        format!("{}/../agents/tests/golden-headless/codex.jsonl", env!("CARGO_MANIFEST_DIR"));
    let hive = Hive::open().await;
    let command = format!("sh -c 'cat > /dev/null; cat {recorded}'");
    let new = NewAgent {
        runtime: Some("headless".into()),
        format: Some("codex".into()),
        ..agent("cod", &command)
    };
    hive.add(new).await;
    let wanted = engine::view::NewMission {
        agent: Some("cod".into()),
        policy: Some("trusting".into()),
        retries: Some(0),
        ..mission("Go", "write it")
    };
    let id = hive.mission(wanted).await;
    let over = hive.until_over(&id).await;
    let usage = hive.engine.usage(over.attempts[0].attempt.id).await.unwrap();
    let tokens = usage.best.as_ref().unwrap().tokens;
    assert_eq!((tokens.uncached_input, tokens.cache_read), (Some(3200), Some(800)), "{usage:?}");
    assert_eq!(tokens.output, Some(200));
}

#[tokio::test]
async fn only_what_is_named_in_a_change_of_an_agent_changes_and_not_how_it_is_started_while_it_works()
 {
    let hive = Hive::open().await;
    hive.add(acp("ann")).await;
    hive.add(agent("bob", "true")).await;
    let edit = async |json: &str| {
        let edit: EditAgent = serde_json::from_str(json).unwrap();
        hive.engine.edit_agent(&hive.caller(), "ann", edit).await
    };
    let before = hive.engine.agent("ann").await.unwrap().agent;
    let after = edit(r#"{"role":"writes","conduct":{"limits":{"memory_bytes":1073741824}}}"#)
        .await
        .unwrap()
        .agent;
    let limits = Limits { memory_bytes: Some(1 << 30), ..Limits::default() };
    let expected = model::agent::Agent {
        role: "writes".into(),
        conduct: Conduct { limits, ..Conduct::default() },
        ..before
    };
    assert_eq!(after, expected);
    let taken = edit(r#"{"name":"BOB"}"#).await.unwrap_err();
    assert!(taken.message.contains("'bob'"), "{}", taken.message);
    let small = edit(r#"{"conduct":{"limits":{"memory_bytes":1}}}"#).await.unwrap_err();
    assert_eq!(small.code, Code::InvalidInput);
    let id = hive
        .mission(engine::view::NewMission { agent: Some("ann".into()), ..mission("Hang", "@hang") })
        .await;
    hive.until(&id, |state| state == MissionState::Running).await;
    assert_eq!(edit(r#"{"command":"sh"}"#).await.unwrap_err().code, Code::Conflict);
    assert_eq!(edit(r#"{"env":{"A":"b"}}"#).await.unwrap_err().code, Code::Conflict);
    assert_eq!(edit(r#"{"role":"still"}"#).await.unwrap().agent.role, "still");
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
    let moved = edit(r#"{"command":"sh -c true","env":{"A":"b"}}"#).await.unwrap();
    assert_eq!(moved.command, "sh -c true");
    assert!(matches!(moved.agent.runtime, Runtime::Acp { .. }), "how it is driven stays");
}
