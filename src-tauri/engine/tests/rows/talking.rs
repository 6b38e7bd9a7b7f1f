//! Agents that are talked to: driven end to end, through restarts, and when they misbehave.

use std::path::Path;
use std::time::Duration;

use engine::view::{Ask, NewAgent, NewMission, UsageView};
use engine::{ConversationQuery, EventQuery};
use model::agent::Conduct;
use model::attempt::{Attempt, AttemptState};
use model::conversation::{Body, Entry, ToolCall, ToolState};
use model::event::Fact;
use model::gate::{GateResult, Verdict};
use model::id::AttemptId;
use model::inbox::PermissionPolicy;
use model::mission::MissionState;
use model::process::Exit;
use model::rescue::RescueStep;
use model::status::{AgentState, AgentStatus};
use model::transition::MissionInput;
use model::usage::UsageSource;

use crate::hive::{Hive, acp, fake_acp, git, mission, processes_of};

/// Kinds of agents whose patience is short, so that a test need not wait for it: one for each
/// argument of the agent.
fn impatient_kinds() -> String {
    let kind = |args: &str| {
        format!(
            r#"
[[runtime]]
name = "impatient{args}"
title = "Impatient"
kind = "acp"
program = "{}"
args = [{}]
[runtime.ways]
open_within_s = 1
cancel_within_s = 1
slow_tool_s = 1
quiet_after_s = 6
stalled_after_s = 9
limit_signs = ["429"]
login_signs = ["401"]
"#,
            fake_acp(),
            if args.is_empty() { String::new() } else { format!("\"{args}\"") },
        )
    };
    ["", "--never-initialize", "--login", "--ignore-eof"].map(kind).concat()
}

async fn impatient_hive() -> Hive {
    Hive::open_with("runtimes.toml", &impatient_kinds()).await
}

/// An agent of an impatient kind.
fn impatient(name: &str, args: &str) -> NewAgent {
    let preset = Some(format!("impatient{args}"));
    NewAgent { preset, command: None, runtime: None, ..acp(name) }
}

fn of(agent: &str, brief: &str) -> NewMission {
    NewMission {
        agent: Some(agent.into()),
        policy: Some("trusting".into()),
        retries: Some(0),
        ..mission("Talk", brief)
    }
}

impl Hive {
    async fn entries(&self, id: AttemptId) -> Vec<Entry> {
        let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
        let page = self.engine.conversation(id, query).await.unwrap();
        page.entries.into_iter().map(|at| at.entry).collect()
    }

    async fn said_in(&self, id: AttemptId) -> String {
        let text = |entry: Entry| match entry.body {
            Body::Message { text } => Some(text),
            _ => None,
        };
        self.entries(id).await.into_iter().filter_map(text).collect::<Vec<_>>().join("\n")
    }

    async fn until_said(&self, id: AttemptId, wanted: &str) {
        self.until_some(&format!("it says '{wanted}'"), async |_| {
            self.said_in(id).await.contains(wanted).then_some(())
        })
        .await;
    }

    /// The first attempt of a mission, once its program runs.
    async fn running(&self, id: &str) -> Attempt {
        let detail = self
            .until_detail(id, |detail| {
                let first = detail.attempts.first();
                first.is_some_and(|view| view.attempt.state == AttemptState::Running)
            })
            .await;
        detail.attempts[0].attempt.clone()
    }

    /// How the only attempt of a mission ended.
    async fn ended(&self, id: &str) -> Attempt {
        self.until_over(id).await.attempts[0].attempt.clone()
    }

    async fn state_of(&self, name: &str) -> AgentStatus {
        self.engine.agent(name).await.unwrap().status
    }

    async fn until_state(&self, name: &str, wanted: AgentState) -> AgentStatus {
        self.until_some(&format!("{name} is {wanted:?}"), async |_| {
            Some(self.state_of(name).await).filter(|status| status.state == wanted)
        })
        .await
    }
}

fn reason(attempt: &Attempt) -> String {
    attempt.exit().map(ToString::to_string).unwrap_or_default()
}

fn sent_to(hive: &Hive, id: AttemptId) -> String {
    let run = hive.engine.data_dir().join("runs").join(id.to_string());
    std::fs::read_to_string(run.join("stdin.log")).unwrap()
}

fn calls(entries: &[Entry]) -> Vec<ToolCall> {
    let call = |entry: &Entry| match &entry.body {
        Body::ToolCall { call } => Some(call.clone()),
        _ => None,
    };
    entries.iter().filter_map(call).collect()
}

#[tokio::test]
async fn an_unmodified_acp_agent_is_driven_end_to_end() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let repository = hive.repository("repo");
    let brief = "@think first this\n@plan one;;two\n@edit OUT.txt done\n@tool search look\n\
                 @usage 100 20\n@context 500 1000\n@say ready";
    let new = NewMission {
        repository: Some(repository.display().to_string()),
        gates: vec!["file: OUT.txt".into()],
        ..of("ada", brief)
    };
    let id = hive.mission(new).await;
    let detail = hive.until(&id, MissionState::is_final).await;
    assert_eq!(detail.view.mission.state, MissionState::Done, "{detail:#?}");
    let attempt = &detail.attempts[0].attempt;
    assert!(matches!(attempt.exit(), Some(Exit::Answered { completed: true, .. })));
    let entries = hive.entries(attempt.id).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry.body.kind()).collect();
    let place = |kind| kinds.iter().position(|known| *known == kind).unwrap();
    assert!(place("prompt") < place("thought") && place("thought") < place("message"), "{kinds:?}");
    assert!(kinds.contains(&"plan"), "{kinds:?}");
    assert!(calls(&entries).iter().all(|call| call.state == ToolState::Completed));
    let UsageView { best, .. } = hive.engine.usage(attempt.id).await.unwrap();
    assert_eq!(best.unwrap().tokens.output, Some(20));
    assert_eq!(processes_of(&attempt.id.to_string()), [] as [String; 0], "nothing is left of it");
}

#[tokio::test]
async fn a_conversation_goes_on_in_the_middle_of_a_turn_when_the_engine_starts_again() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let go = hive.place.path().join("go");
    let id = hive.mission(of("ada", &format!("@say one\n@until {}\n@say two", go.display()))).await;
    let attempt = hive.running(&id).await;
    hive.until_said(attempt.id, "one").await;
    let hive = hive.reopen().await;
    std::fs::write(&go, "").unwrap();
    let detail = hive.until(&id, MissionState::is_final).await;
    assert_eq!(detail.view.mission.state, MissionState::Done);
    assert_eq!(detail.attempts.len(), 1, "it is the same attempt");
    assert_eq!(detail.attempts[0].attempt.process, attempt.process, "and the same program");
    let said = hive.said_in(attempt.id).await;
    assert_eq!((said.matches("one").count(), said.matches("two").count()), (1, 1), "{said}");
    let prompts = sent_to(&hive, attempt.id).matches("session/prompt").count();
    assert_eq!(prompts, 1, "it was told once");
}

#[tokio::test]
async fn a_request_that_is_open_survives_a_restart_and_its_answer_reaches_the_agent() {
    let hive = Hive::open().await;
    let conduct = Conduct { permissions: PermissionPolicy::Ask, ..Conduct::default() };
    hive.add(NewAgent { conduct, ..acp("ada") }).await;
    let id = hive.mission(of("ada", "@run echo asked\n@say after")).await;
    hive.until(&id, |state| state == MissionState::NeedsInput).await;
    let hive = hive.reopen().await;
    let request = hive.engine.inbox().await.unwrap().requests.remove(0);
    let once = serde_json::from_str(r#"{"answer":"once"}"#).unwrap();
    hive.engine.answer_request(&hive.caller(), request.request.id, once).await.unwrap();
    let detail = hive.until(&id, MissionState::is_final).await;
    assert_eq!(detail.view.mission.state, MissionState::Done);
    hive.until_said(detail.attempts[0].attempt.id, "after").await;
}

#[tokio::test]
async fn cancelling_answers_what_is_open_first_and_leaves_no_process() {
    let hive = Hive::open().await;
    let conduct = Conduct { permissions: PermissionPolicy::Ask, ..Conduct::default() };
    hive.add(NewAgent { conduct, ..acp("ada") }).await;
    let id = hive.mission(of("ada", "@child 600000\n@run echo asked")).await;
    hive.until(&id, |state| state == MissionState::NeedsInput).await;
    hive.engine
        .ask_mission(&hive.caller(), &id, MissionInput::Cancel, Ask::default())
        .await
        .unwrap();
    let attempt = hive.ended(&id).await;
    let sent = sent_to(&hive, attempt.id);
    let (answered, cancelled) =
        (sent.find(r#""outcome":"cancelled""#).unwrap(), sent.find("session/cancel").unwrap());
    assert!(answered < cancelled, "{sent}");
    assert_eq!(processes_of(&attempt.id.to_string()), [] as [String; 0]);
    assert!(hive.engine.inbox().await.unwrap().requests.is_empty());
}

/// What each misbehaviour comes to: the brief, the arguments, the words of the reason.
const MISBEHAVIOURS: [(&str, &str, &str); 9] = [
    ("", "--never-initialize", "answered"),
    ("@say half\n@die", "", ""),
    ("@empty", "", "without having said or done anything"),
    ("@stop bored\n@say x", "", "bored"),
    ("@error -32603 no such model", "", "no such model"),
    ("", "--login", "logged in"),
    ("@say x\n@exit 3", "", ""),
    ("@say x\n@stop refusal", "", "refused"),
    ("@say x\n@stop max_tokens", "", "limit"),
];

#[tokio::test]
async fn an_agent_that_misbehaves_is_never_called_done_and_leaves_no_process() {
    let hive = impatient_hive().await;
    for (n, (brief, args, words)) in MISBEHAVIOURS.iter().enumerate() {
        let name = format!("bad{n}");
        hive.add(impatient(&name, args)).await;
        let brief = if brief.is_empty() { "@say hello" } else { brief };
        let id = hive.mission(of(&name, brief)).await;
        let detail = hive.until(&id, MissionState::is_final).await;
        let attempt = &detail.attempts[0].attempt;
        let said = format!("{brief} {args}: {}", reason(attempt));
        assert_eq!(detail.view.mission.state, MissionState::Failed, "{said}");
        assert!(reason(attempt).contains(words), "{said}");
        assert_eq!(processes_of(&attempt.id.to_string()), [] as [String; 0], "{said}");
    }
}

#[tokio::test]
async fn what_an_agent_claims_or_forges_does_not_make_its_work_done() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    for brief in ["@forge", "@claim", "@noise\n@say fine"] {
        let new =
            NewMission { gates: vec!["file: never.txt".into()], policy: None, ..of("ada", brief) };
        let id = hive.mission(new).await;
        let detail = hive.until(&id, MissionState::is_final).await;
        assert_eq!(detail.view.mission.state, MissionState::Failed, "{brief}");
    }
}

#[tokio::test]
async fn an_agent_that_ignores_being_cancelled_is_ended_all_the_same() {
    let hive = impatient_hive().await;
    hive.add(impatient("ada", "--ignore-eof")).await;
    let id = hive.mission(of("ada", "@ignore-cancel\n@say on\n@forever")).await;
    let attempt = hive.running(&id).await;
    hive.until_said(attempt.id, "on").await;
    hive.engine
        .ask_mission(&hive.caller(), &id, MissionInput::Cancel, Ask::default())
        .await
        .unwrap();
    let attempt = hive.ended(&id).await;
    assert_eq!(attempt.state, AttemptState::Stopped);
    assert_eq!(processes_of(&attempt.id.to_string()), [] as [String; 0]);
}

#[tokio::test]
async fn a_new_attempt_receives_role_rules_mission_and_last_handoff_and_its_acknowledgement_is_recorded()
 {
    let hive = Hive::open().await;
    let conduct = Conduct { rules: "Never touch the schema.".into(), ..Conduct::default() };
    let new = NewAgent { role: "the database expert".into(), conduct, ..acp("ada") };
    hive.add(new).await;
    let new = NewMission { retries: Some(1), backoff_s: Some(0), ..of("ada", "@say no\n@exit 3") };
    let id = hive.mission(new).await;
    let detail = hive.until(&id, MissionState::is_final).await;
    let last = &detail.attempts.iter().max_by_key(|view| view.attempt.n).unwrap().attempt;
    assert_eq!(last.n, 2, "{detail:#?}");
    let entries = hive.entries(last.id).await;
    let Body::Prompt { text, .. } = &entries[0].body else { unreachable!("{entries:#?}") };
    for part in ["the database expert", "Never touch the schema.", "@say no", "attempt 1"] {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
    let first = hive.mission(of("ada", "@say understood")).await;
    let detail = hive.until(&first, MissionState::is_final).await;
    assert!(detail.attempts[0].attempt.acknowledged_at.is_some());
}

#[tokio::test]
async fn each_agent_tool_call_is_recorded_with_duration_and_outcome_and_slow_ones_are_flagged() {
    let hive = impatient_hive().await;
    hive.add(impatient("ada", "")).await;
    let id =
        hive.mission(of("ada", "@tool read look\n@fail-tool break\n@slow-tool 1500 wait")).await;
    let detail = hive.until(&id, MissionState::is_final).await;
    let attempt = detail.attempts[0].attempt.id;
    let entries = hive.entries(attempt).await;
    let found = calls(&entries);
    let of = |title: &str| found.iter().find(|call| call.title.contains(title)).unwrap();
    for call in &found {
        assert!(call.started_at.is_some() && call.ended_at >= call.started_at, "{call:?}");
    }
    assert_eq!(of("look").state, ToolState::Completed);
    assert_eq!(of("break").state, ToolState::Failed);
    assert!(of("wait").slow && !of("look").slow);
    let usage = hive.engine.usage(attempt).await.unwrap();
    assert_eq!((usage.tool_calls.total, usage.tool_calls.failed, usage.tool_calls.slow), (3, 1, 1));
}

#[tokio::test]
async fn crossing_a_context_threshold_raises_one_event_and_if_set_starts_the_handoff() {
    let hive = Hive::open().await;
    let conduct = Conduct { handover_at_percent: Some(80), ..Conduct::default() };
    hive.add(NewAgent { conduct, ..acp("ada") }).await;
    let brief = "@context 75 100\n@context 76 100\n@context 85 100\n@say all I know\n@hang";
    let id = hive.mission(of("ada", brief)).await;
    let handed = hive
        .until_detail(&id, |detail| {
            let first = detail.attempts.iter().find(|view| view.attempt.n == 1);
            first.is_some_and(|view| view.attempt.state.is_final())
        })
        .await;
    let first = handed.attempts.iter().find(|view| view.attempt.n == 1).unwrap();
    assert!(matches!(first.attempt.exit(), Some(Exit::HandedOver { .. })), "{:?}", first.attempt);
    let events = hive.engine.events(EventQuery::default()).await.unwrap().items;
    let mut crossed: Vec<u8> = events
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::ContextCrossed { attempt_id, percent, .. } if attempt_id == first.attempt.id => {
                Some(percent)
            }
            _ => None,
        })
        .collect();
    crossed.sort_unstable();
    assert_eq!(crossed, [70, 80], "each threshold once");
    let next = hive
        .until_detail(&id, |detail| detail.attempts.iter().any(|view| view.attempt.n == 2))
        .await;
    let second = next.attempts.iter().find(|view| view.attempt.n == 2).unwrap();
    assert!(second.attempt.handoff.is_some(), "the next attempt knows what the first one wrote");
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
}

/// An agent that is stalled after a few seconds.
async fn sleepy_hive() -> Hive {
    let kind = impatient_kinds();
    let kind = kind.replace("quiet_after_s = 6", "quiet_after_s = 1");
    Hive::open_with("runtimes.toml", &kind.replace("stalled_after_s = 9", "stalled_after_s = 2"))
        .await
}

impl Hive {
    /// What was done for an attempt's agent because it was stalled, in order.
    async fn rescued(&self, id: AttemptId) -> Vec<RescueStep> {
        let kind = Some("attempt_rescued".to_owned());
        let events =
            self.engine.events(EventQuery { kind, ..EventQuery::default() }).await.unwrap();
        let step = |fact: &Fact| match fact {
            Fact::AttemptRescued { attempt_id, step, .. } if *attempt_id == id => Some(*step),
            _ => None,
        };
        let mut steps: Vec<_> = events.items.iter().filter_map(|event| step(&event.fact)).collect();
        steps.reverse();
        steps
    }
}

#[tokio::test]
async fn a_stalled_agent_receives_nudge_rescue_and_restart_in_order_each_once() {
    let hive = sleepy_hive().await;
    hive.add(impatient("ada", "")).await;
    let id =
        hive.mission(NewMission { retries: Some(1), ..of("ada", "@ignore-cancel\n@hang") }).await;
    let first = hive.running(&id).await.id;
    let status = hive
        .until_some("its state says what was done", async |_| {
            let status = hive.state_of("ada").await;
            status.reason.contains("was nudged").then_some(status)
        })
        .await;
    assert_eq!(status.state, AgentState::Stalled);
    let ended = hive
        .until_detail(&id, |detail| {
            let first = detail.attempts.iter().find(|view| view.attempt.n == 1);
            first.is_some_and(|view| view.attempt.state.is_final())
        })
        .await;
    assert_eq!(ended.attempts.iter().filter(|view| view.attempt.n == 1).count(), 1);
    let steps = hive.rescued(first).await;
    assert_eq!(&steps[..2], [RescueStep::Nudge, RescueStep::Rescue], "{steps:?}");
    assert!(steps.len() <= 3, "each once: {steps:?}");
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
}

#[tokio::test]
async fn a_nudged_agent_whose_turn_is_called_off_hears_it_and_goes_on() {
    // How fast it lets its turn be called off is not asked here.
    let kind = impatient_kinds().replace("cancel_within_s = 1", "cancel_within_s = 30");
    let kind = kind.replace(
        "quiet_after_s = 6\nstalled_after_s = 9",
        "quiet_after_s = 1\nstalled_after_s = 6",
    );
    let hive = Hive::open_with("runtimes.toml", &kind).await;
    hive.add(impatient("ada", "")).await;
    let id = hive.mission(of("ada", "@say before\n@hang")).await;
    let attempt = hive.running(&id).await.id;
    let over = hive.until_over(&id).await;
    assert_eq!(over.attempts.len(), 1);
    assert_eq!(hive.rescued(attempt).await, [RescueStep::Nudge, RescueStep::Rescue]);
    let told = hive.entries(attempt).await.into_iter().any(
        |entry| matches!(entry.body, Body::Prompt { text, .. } if text.contains("no sign of life")),
    );
    assert!(told, "it heard the nudge in its next turn");
}

/// Signals a process as somebody else on this machine would.
fn signal(pid: u32, name: &str) {
    let done = std::process::Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

const SECONDS_5: Duration = Duration::from_secs(5);

#[tokio::test]
async fn killing_an_agent_process_changes_its_state_within_5_s_without_waiting_for_a_timeout() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let id = hive.mission(of("ada", "@say on\n@forever")).await;
    let attempt = hive.running(&id).await;
    hive.until_said(attempt.id, "on").await;
    let killed = std::time::Instant::now();
    signal(attempt.process.unwrap().program.pid, "-KILL");
    let attempt = hive.ended(&id).await;
    assert!(killed.elapsed() < SECONDS_5, "{:?}", killed.elapsed());
    assert_eq!(hive.state_of("ada").await.state, AgentState::Idle);
    assert!(
        reason(&attempt).contains("signal 9") || reason(&attempt).contains("137"),
        "{attempt:?}"
    );
}

#[tokio::test]
async fn the_shown_state_its_age_its_reason_and_the_signal_are_right_in_staged_situations() {
    let hive = impatient_hive().await;
    let start = |name: &'static str, args: &'static str, brief: &'static str| {
        let hive = &hive;
        async move {
            hive.add(impatient(name, args)).await;
            hive.mission(of(name, brief)).await
        }
    };
    // Waiting for the captain.
    start("asker", "", "@question which?;;a;;b").await;
    let status = hive.until_state("asker", AgentState::WaitingForCaptain).await;
    assert_eq!(status.signal, "protocol");
    // Limited by its provider.
    start("limited", "", "@complain 429 too many requests\n@hang").await;
    let status = hive.until_state("limited", AgentState::Paused).await;
    assert!(status.reason.contains("429"), "{status:?}");
    // Held from outside.
    let frozen = start("frozen", "", "@say on\n@forever").await;
    let attempt = hive.running(&frozen).await;
    hive.until_said(attempt.id, "on").await;
    let process = attempt.process.unwrap();
    signal(process.program.pid, "-STOP");
    let status = hive.until_state("frozen", AgentState::Stalled).await;
    assert_eq!(status.signal, "process table");
    signal(process.program.pid, "-CONT");
    // Silent and doing nothing.
    start("silent", "", "@say on\n@hang").await;
    let status = hive.until_state("silent", AgentState::Quiet).await;
    assert!(status.reason.contains("no sign of it"), "{status:?}");
    let status = hive.until_state("silent", AgentState::Stalled).await;
    assert!(status.since <= model::Timestamp::now(), "{status:?}");
    // Finished.
    start("quick", "", "@say done").await;
    hive.until_state("quick", AgentState::Idle).await;
    // Missing.
    hive.add(NewAgent { command: Some("/nowhere/at/all".into()), ..acp("absent") }).await;
    let status = hive.until_state("absent", AgentState::Offline).await;
    assert_eq!(status.signal, "program");
}

#[tokio::test]
async fn each_agent_works_in_its_own_git_worktree_and_branch_and_two_agents_never_share_one() {
    let hive = Hive::open().await;
    let repository = hive.repository("repo");
    let mut places = Vec::new();
    for name in ["ada", "bob"] {
        hive.add(acp(name)).await;
        let new = NewMission {
            repository: Some(repository.display().to_string()),
            ..of(name, "@say on\n@hang")
        };
        let id = hive.mission(new).await;
        let attempt = hive.running(&id).await;
        let place = attempt.workplace.unwrap();
        let branch = git(Path::new(&place.directory), &["branch", "--show-current"]);
        assert_eq!(Some(branch.trim()), place.branch.as_deref());
        places.push((place.directory, place.branch, id));
    }
    assert!(places[0].0 != places[1].0 && places[0].1 != places[1].1, "{places:?}");
    for (.., id) in places {
        hive.ask(&id, MissionInput::Cancel).await.unwrap();
    }
}

#[tokio::test]
async fn what_came_from_one_source_is_not_counted_again_from_another() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let id = hive.mission(of("ada", "@usage 100 20\n@say x")).await;
    let detail = hive.until(&id, MissionState::is_final).await;
    let usage = hive.engine.usage(detail.attempts[0].attempt.id).await.unwrap();
    let best = usage.best.unwrap();
    assert!(usage.sources.len() <= 1 || best.source != UsageSource::Sum);
    assert_eq!(best.tokens.input(), Some(100));
    assert_eq!(best.own_cost_micros, None, "a model without a price costs an unknown amount");
}

#[tokio::test]
async fn an_agent_that_is_talked_to_reviews_the_work_of_another_and_changes_nothing() {
    // Who reviews may only read: how an agent is made to ask has to be known.
    let asks = "[[runtime]]\nname = \"custom\"\n[runtime.ways]\nask_mode = [{ mode = \"ask\" }]\n";
    let hive = Hive::open_with("runtimes.toml", asks).await;
    hive.add(acp("ada")).await;
    hive.add(NewAgent { skills: vec!["review".into()], ..acp("rita") }).await;
    let repository = hive.repository("repo");
    for (verdict, found) in [("approve", Verdict::Passed), ("reject", Verdict::Failed)] {
        let brief = format!("@edit OUT.txt {verdict}\n@say so\n@verdict {verdict}");
        let new = NewMission {
            repository: Some(repository.display().to_string()),
            gates: vec!["file: OUT.txt".into(), "reviewer: rita".into()],
            ..of("ada", &brief)
        };
        let id = hive.mission(new).await;
        let by_rita = |gate: &&GateResult| gate.by.as_deref() == Some("rita");
        let detail = hive
            .until_detail(&id, |detail| {
                detail.attempts.first().is_some_and(|it| it.gates.iter().any(|gate| by_rita(&gate)))
            })
            .await;
        let gates = &detail.attempts[0].gates;
        let review = gates.iter().find(by_rita).unwrap();
        assert_eq!(review.verdict, found, "{review:#?}");
        assert!(review.output.contains(verdict) && !review.output.contains("jsonrpc"));
        let run = detail.attempts[0].attempt.id.to_string();
        assert_eq!(processes_of(&run), [] as [String; 0]);
    }
}

#[tokio::test]
async fn a_message_that_waits_is_delivered_although_the_turn_before_came_to_nothing() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let go = hive.place.path().join("go");
    let id = hive.mission(of("ada", &format!("@until {}", go.display()))).await;
    let attempt = hive.running(&id).await;
    let text = "@say I heard you".into();
    let new = engine::view::NewMessage { text, ..engine::view::NewMessage::default() };
    hive.engine.send_message(&hive.caller(), "ada", new).await.unwrap();
    std::fs::write(&go, "").unwrap();
    let detail = hive.until(&id, MissionState::is_final).await;
    assert_eq!(detail.view.mission.state, MissionState::Done, "{detail:#?}");
    hive.until_said(attempt.id, "I heard you").await;
}
