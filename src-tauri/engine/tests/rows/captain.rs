//! What the captain says of missions: criteria, deadlines, changes, twins, votes, and what holds
//! for the whole workspace.

use engine::view::{
    Ask, CloseTopic, CriterionMark, EditMission, IfSimilar, NewMission, NewProgress, NewTopic,
    NewVote,
};
use model::gate::{GateSpec, Grade};
use model::mission::{MissionState, Priority};
use model::policy::Policy;
use model::refusal::Code;
use model::settings::{LabelPolicy, Settings};
use model::status::AgentState;
use model::transition::MissionInput;

use crate::hive::{Hive, agent, fake_agent, mission};

const BRIEF: &str = "Write a parser for the configuration file that reads every option, refuses \
                     unknown ones with their line, and keeps comments where they are.";

#[tokio::test]
async fn a_mission_shows_acceptance_criteria_deadline_progress_marks_and_current_owner() {
    let hive = Hive::open().await;
    hive.add(agent("ann", &format!("{} forever", fake_agent()))).await;
    let deadline = "2031-05-06T07:08:09Z".parse().unwrap();
    let new = NewMission {
        criteria: vec!["it reads".into(), "it writes".into()],
        deadline: Some(deadline),
        ..mission("Make it", "x")
    };
    let id = hive.mission(new).await;
    hive.until(&id, |state| state == MissionState::Running).await;
    let said = NewProgress {
        percent: Some(40),
        text: "reading works".into(),
        criteria: vec![CriterionMark { place: 0, met: true }],
    };
    let shown = hive.engine.progress_mission(&hive.caller(), &id, said).await.unwrap();
    let it = &shown.view.mission;
    assert_eq!(it.criteria.iter().map(|it| it.met).collect::<Vec<_>>(), [true, false]);
    assert_eq!(it.deadline, Some(deadline));
    assert_eq!(it.progress.as_ref().unwrap().percent, Some(40));
    assert_eq!(shown.owner.as_deref(), Some("ann"));
    let beyond = NewProgress {
        text: "more".into(),
        criteria: vec![CriterionMark { place: 2, met: true }],
        ..NewProgress::default()
    };
    let refused = hive.engine.progress_mission(&hive.caller(), &id, beyond).await.unwrap_err();
    assert!(refused.message.contains("there are 2"), "{}", refused.message);
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

#[tokio::test]
async fn only_what_is_named_in_a_change_changes_and_not_while_an_attempt_is_under_way() {
    let hive = Hive::open().await;
    let new = NewMission {
        draft: true,
        labels: vec!["one".into()],
        gates: vec!["command: true".into()],
        estimate_min: Some(5),
        ..mission("Before", "the brief")
    };
    let id = hive.mission(new).await;
    let edit: EditMission =
        serde_json::from_str(r#"{"title":"After","priority":"high","proof":"human"}"#).unwrap();
    let before = hive.engine.mission(&id).await.unwrap();
    let after = hive.engine.edit_mission(&hive.caller(), &id, edit).await.unwrap();
    let mut expected = before.view.mission.clone();
    expected.title = "After".into();
    expected.priority = Priority::High;
    expected.proof = Some(Grade::Human);
    expected.updated_at = after.view.mission.updated_at;
    assert_eq!(after.view.mission, expected);
    assert_eq!(after.brief, "the brief");
    let emptied: EditMission =
        serde_json::from_str(r#"{"proof":null,"brief":"new words","policy":"strict"}"#).unwrap();
    let after = hive.engine.edit_mission(&hive.caller(), &id, emptied).await.unwrap();
    assert_eq!((after.view.mission.proof, after.brief.as_str()), (None, "new words"));
    let kinds: Vec<_> = after.view.mission.gates.iter().map(GateSpec::kind).collect();
    assert_eq!(kinds, ["human", "command"], "gates that look at changes need a repository");
    let wrong = EditMission { gates: Some(vec!["diff: any".into()]), ..EditMission::default() };
    let refused = hive.engine.edit_mission(&hive.caller(), &id, wrong).await.unwrap_err();
    assert!(refused.message.contains("needs a repository"), "{}", refused.message);
    hive.add(agent("ann", &format!("{} forever", fake_agent()))).await;
    hive.ask(&id, MissionInput::Queue).await.unwrap();
    hive.until(&id, |state| state == MissionState::Running).await;
    let late = EditMission { title: Some("Late".into()), ..EditMission::default() };
    let refused = hive.engine.edit_mission(&hive.caller(), &id, late).await.unwrap_err();
    assert_eq!(refused.code, Code::TransitionRefused);
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

#[tokio::test]
async fn creating_a_mission_whose_text_is_nearly_one_that_exists_shows_it_and_asks() {
    let hive = Hive::open().await;
    let draft = |title: &str, brief: &str| NewMission { draft: true, ..mission(title, brief) };
    let first = hive.mission(draft("Parse the configuration", BRIEF)).await;
    let twin = format!("{BRIEF} Thank you.");
    let ask = NewMission { if_similar: IfSimilar::Ask, ..draft("Parse the configuration", &twin) };
    let events = hive.happened().await;
    let refused = hive.engine.add_mission(&hive.caller(), ask.clone()).await.unwrap_err();
    assert_eq!((refused.code, &refused.allowed), (Code::NearDuplicate, &vec![first.clone()]));
    assert!(refused.message.contains(&first) && refused.message.contains('%'), "{refused:?}");
    assert_eq!(hive.happened().await, events, "nothing was created");
    let check = hive.engine.check_mission(ask.clone()).await.unwrap();
    assert!(check.similar[0].similarity >= check.threshold);
    let create = NewMission { if_similar: IfSimilar::Create, ..ask };
    let made = hive.engine.add_mission(&hive.caller(), create).await.unwrap();
    assert_eq!(made.similar.len(), 1);
    assert_eq!(made.similar[0].short_id.as_str(), first);
    let other = draft("Measure the noise of the fans", "Record for a minute in every room.");
    let other = NewMission { if_similar: IfSimilar::Ask, ..other };
    assert!(hive.engine.add_mission(&hive.caller(), other).await.unwrap().similar.is_empty());
}

#[tokio::test]
async fn a_topic_collects_one_vote_per_agent_with_rationale_and_closes_with_a_recorded_decision() {
    let hive = Hive::open().await;
    for name in ["ann", "bob", "cid"] {
        hive.add(agent(name, "true")).await;
    }
    let new = NewTopic {
        title: "Which way?".into(),
        text: String::new(),
        options: vec!["left".into(), "right".into()],
    };
    let topic = hive.engine.open_topic(&hive.caller(), new).await.unwrap().topic.id;
    let vote = async |agent: &str, option: &str, rationale: &str| {
        let (agent, option, rationale) = (agent.into(), option.into(), rationale.into());
        hive.engine.vote(&hive.caller(), topic, NewVote { agent, option, rationale }).await
    };
    vote("ann", "left", "it is shorter").await.unwrap();
    vote("bob", "left", "it is drier").await.unwrap();
    assert_eq!(vote("cid", "up", "why not").await.unwrap_err().code, Code::InvalidInput);
    assert_eq!(vote("cid", "left", "  ").await.unwrap_err().code, Code::InvalidInput);
    vote("cid", "right", "the view").await.unwrap();
    let seen = vote("bob", "right", "I looked again").await.unwrap();
    assert_eq!(seen.votes.len(), 3, "one vote per agent");
    let bob = seen.votes.iter().find(|vote| vote.agent_name.as_deref() == Some("bob")).unwrap();
    assert_eq!((bob.option.as_str(), bob.rationale.as_str()), ("right", "I looked again"));
    let closed =
        hive.engine.close_topic(&hive.caller(), topic, CloseTopic::default()).await.unwrap();
    let decision = closed.topic.decision.unwrap();
    assert_eq!(decision.option.as_deref(), Some("right"));
    assert!(decision.because.contains('2'), "{}", decision.because);
    assert!(vote("ann", "left", "too late").await.is_err());
    let hive = hive.reopen().await;
    let kept = hive.engine.topics().await.unwrap().items;
    assert_eq!(kept[0].topic.decision.as_ref().unwrap().option.as_deref(), Some("right"));
}

#[tokio::test]
async fn a_policy_is_found_by_name_by_label_and_by_default_and_says_so() {
    let hive = Hive::open().await;
    let own = Policy {
        name: "docs".into(),
        about: "For texts.".into(),
        grade: Grade::Observed,
        gates: vec![GateSpec::File { path: "README.md".into() }, GateSpec::DiffNotEmpty],
        retries: 2,
        backoff_s: 7,
        hand_over: true,
        builtin: false,
    };
    let renamed = hive.engine.save_policy(&hive.caller(), "other", own.clone()).await;
    assert_eq!(renamed.unwrap_err().code, Code::InvalidInput);
    hive.engine.save_policy(&hive.caller(), "docs", own.clone()).await.unwrap();
    let over = Policy { name: "strict".into(), ..own };
    let refused = hive.engine.save_policy(&hive.caller(), "strict", over).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    let unknown = Settings { policy: "nope".into(), ..Settings::default() };
    assert!(hive.engine.configure(&hive.caller(), unknown).await.is_err());
    let by_label = LabelPolicy { label: "text".into(), policy: "docs".into() };
    let settings = Settings { policy_of_label: vec![by_label], ..Settings::default() };
    hive.engine.configure(&hive.caller(), settings).await.unwrap();
    let used = hive.engine.remove_policy(&hive.caller(), "docs").await.unwrap_err();
    assert_eq!(used.code, Code::Conflict);
    let labelled = NewMission {
        labels: vec!["text".into()],
        gates: vec!["file: README.md".into(), "command: true".into()],
        draft: true,
        ..mission("Write", "x")
    };
    let check = hive.engine.check_mission(labelled.clone()).await.unwrap();
    assert_eq!(check.policy.name, "docs");
    assert!(check.policy_because.contains("'text'"), "{}", check.policy_because);
    let lines: Vec<_> = check.gates.iter().map(|gate| gate.line.as_str()).collect();
    assert_eq!(lines, ["file: README.md", "command: true"], "each once; no changes to look at");
    let made = hive.engine.add_mission(&hive.caller(), labelled.clone()).await.unwrap();
    let it = made.view.mission;
    assert_eq!((it.retries_max, it.backoff_s, it.hand_over), (2, 7, true));
    assert_eq!(it.proof, Some(Grade::Observed));
    let named = NewMission { policy: Some("trusting".into()), retries: Some(0), ..labelled };
    let check = hive.engine.check_mission(named).await.unwrap();
    assert_eq!((check.policy.name.as_str(), check.needs_review), ("trusting", false));
    let wrong = NewMission { policy: Some("nope".into()), ..mission("", " ") };
    let check = hive.engine.check_mission(wrong).await.unwrap();
    assert_eq!(check.problems.len(), 3, "{:?}", check.problems);
}

#[tokio::test]
async fn a_held_missions_agent_is_shown_as_paused_and_goes_on_where_it_stood() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    let command = format!("{} say one until {} say two", fake_agent(), go.display());
    hive.add(agent("ann", &command)).await;
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Hold", "x") }).await;
    hive.until_printed(&id, "one\n").await;
    hive.until(&id, |state| state == MissionState::Running).await;
    let keep = Ask { keep_processes: true, ..Ask::default() };
    hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Pause, keep).await.unwrap();
    let shown = hive.engine.agent("ann").await.unwrap();
    assert_eq!(shown.status.state, AgentState::Paused);
    assert_eq!(shown.status.reason, "its processes are held");
    let resumed = hive.ask(&id, MissionInput::Resume).await.unwrap();
    assert_eq!(resumed.view.mission.state, MissionState::Running);
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.attempts.len(), 1, "it is the same attempt");
    assert_eq!(hive.printed(&done).await, "one\ntwo\n");
}
