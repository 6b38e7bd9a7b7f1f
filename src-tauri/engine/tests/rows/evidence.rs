//! Evidence before done, answers from outside, and evidence that is about other work.

use engine::view::{Ask, CiResult, CiStatus, MissionDetail, NewMission};
use model::gate::{Grade, Verdict};
use model::mission::MissionState;
use model::policy::Policy;
use model::refusal::Code;
use model::transition::MissionInput;

use crate::hive::{APPROVE, Hive, agent, git, mission};

fn worker(text: &str) -> String {
    format!(
        "sh -c 'echo {text} > out.txt; git add -A; git -c user.name=A -c user.email=a@x commit -qm work'"
    )
}

async fn in_review(hive: &Hive, gates: &[&str]) -> (String, MissionDetail) {
    let repository = hive.repository("work");
    hive.add(agent("ann", &worker("one"))).await;
    let id = hive
        .mission(NewMission {
            repository: Some(repository.display().to_string()),
            gates: gates.iter().map(ToString::to_string).collect(),
            agent: Some("ann".into()),
            ..mission("Make out.txt", "make it")
        })
        .await;
    let detail = hive.until(&id, |state| state == MissionState::InReview).await;
    (id, detail)
}

fn ci(name: &str, status: CiStatus, commit: &str) -> CiResult {
    CiResult {
        name: name.into(),
        status,
        commit: commit.into(),
        url: Some("https://ci.example/7".into()),
        output: Some("12 tests".into()),
    }
}

fn head(detail: &MissionDetail) -> String {
    detail.attempts[0].attempt.work.as_ref().unwrap().head_commit.clone()
}

#[tokio::test]
async fn a_mission_cannot_enter_done_without_the_evidence_its_policy_requires_each_openable() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c 'echo made > out.txt'")).await;
    let policy = Policy {
        name: "reviewed".into(),
        about: "A command and a look.".into(),
        grade: Grade::Human,
        gates: vec!["command: echo looked at it".parse_gate()],
        retries: 0,
        backoff_s: 1,
        hand_over: false,
        builtin: false,
    };
    hive.engine.save_policy(&hive.caller(), "reviewed", policy).await.unwrap();
    let new = NewMission {
        policy: Some("reviewed".into()),
        gates: vec!["file: out.txt".into()],
        ..mission("Make out.txt", "make it")
    };
    let id = hive.mission(new).await;
    let review = hive.until(&id, |state| state == MissionState::InReview).await;
    assert_eq!((review.evidence.grade, review.evidence.needed), (Grade::Observed, Grade::Human));
    assert!(!review.evidence.enough);
    let kinds: Vec<&str> = review.evidence.items.iter().map(|item| item.kind.as_str()).collect();
    assert_eq!(kinds, ["command", "file"], "the policy's gates come first");
    assert!(review.evidence.items.iter().all(|item| item.verdict == Verdict::Passed));
    let first = &review.evidence.items[0];
    assert!(first.openable);
    let output = hive.engine.gate_output(first.attempt_id, 0, 0).await.unwrap();
    assert_eq!((output.text.as_str(), output.printed), ("looked at it\n", 13));
    let rest = hive.engine.gate_output(first.attempt_id, 0, 7).await.unwrap();
    assert_eq!((rest.text.as_str(), rest.next_offset), ("at it\n", 13));
    assert_eq!(
        hive.engine.gate_output(first.attempt_id, 9, 0).await.unwrap_err().code,
        Code::NotFound
    );
    let done = hive.ask(&id, MissionInput::Accept).await.unwrap();
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!((done.evidence.grade, done.evidence.enough), (Grade::Human, true));
}

trait ParseGate {
    fn parse_gate(&self) -> model::gate::GateSpec;
}

impl ParseGate for str {
    fn parse_gate(&self) -> model::gate::GateSpec {
        model::gate::GateSpec::parse(self).unwrap()
    }
}

#[tokio::test]
async fn a_completion_is_verified_by_another_agent_and_stays_in_review_until_it_is_answered() {
    let hive = Hive::open().await;
    let (id, review) = in_review(&hive, &["file: out.txt", "reviewer: any"]).await;
    assert!(review.view.reason.unwrap().contains("another agent is to review it"));
    let refused = hive.ask(&id, MissionInput::Accept).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict, "an unanswered gate keeps it from being accepted");
    let mut bob = agent("bob", &format!("sh -c 'cat out.txt; echo; {APPROVE}'"));
    bob.skills = vec!["review".into()];
    hive.add(bob).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{:?}", done.view.reason);
    assert_eq!(done.evidence.grade, Grade::Independent);
    let answer = &done.evidence.items[1];
    assert_eq!((answer.by.as_deref(), answer.verdict), (Some("bob"), Verdict::Passed));
    let read = hive.engine.gate_output(answer.attempt_id, 1, 0).await.unwrap();
    assert!(read.text.starts_with("one"), "{}", read.text);
}

#[tokio::test]
async fn a_reviewer_that_would_be_waited_for_without_end_is_refused_with_who_could() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let by = |name: &str, author: Option<&str>| NewMission {
        gates: vec![format!("reviewer: {name}")],
        agent: author.map(Into::into),
        draft: true,
        ..mission("Reviewed", "make it")
    };
    let caller = hive.caller();
    let refused = |new| hive.engine.add_mission(&caller, new);
    let ghost = refused(by("ghost", None)).await.unwrap_err();
    assert_eq!((ghost.code, &ghost.allowed[..]), (Code::InvalidInput, &["ann".to_owned()][..]));
    assert!(ghost.message.contains("reviewer: ghost"), "{ghost:?}");
    let own = refused(by("Ann", Some("ann"))).await.unwrap_err();
    assert!(own.message.contains("its own work"), "{own:?}");
    hive.add(agent("bob", "true")).await;
    refused(by("ANN", Some("bob"))).await.unwrap();
}

#[tokio::test]
async fn a_ci_result_attaches_to_a_mission_as_evidence_and_a_red_one_blocks_done() {
    let hive = Hive::open().await;
    let (id, review) = in_review(&hive, &["file: out.txt", "ci: build"]).await;
    let commit = head(&review);
    let unknown = ci("build", CiStatus::Passed, "1234567");
    let refused = hive.engine.take_ci(&hive.caller(), &id, unknown).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    let red = ci("build", CiStatus::Failed, &commit[..9]);
    let after = hive.engine.take_ci(&hive.caller(), &id, red).await.unwrap();
    assert_eq!(after.view.mission.state, MissionState::InReview);
    let reason = after.view.reason.unwrap();
    assert!(reason.contains("but gate 'ci: build' did not pass"), "what is true now: {reason}");
    let item = &after.evidence.items[1];
    assert_eq!((item.verdict, item.grade), (Verdict::Failed, Grade::Independent));
    assert_eq!(item.by.as_deref(), Some("https://ci.example/7"));
    let refused = hive.ask(&id, MissionInput::Accept).await.unwrap_err();
    assert!(refused.message.contains("ci: build"), "{}", refused.message);
    let green = ci("build", CiStatus::Passed, &commit);
    let done = hive.engine.take_ci(&hive.caller(), &id, green.clone()).await.unwrap();
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!(done.evidence.grade, Grade::Independent);
    let late = hive.engine.take_ci(&hive.caller(), &id, green).await.unwrap_err();
    assert!(late.message.contains("late"), "{}", late.message);
}

#[tokio::test]
async fn a_red_ci_result_nobody_asked_for_blocks_done_too() {
    let hive = Hive::open().await;
    let (id, review) = in_review(&hive, &["human: is it fine?"]).await;
    let red = ci("nightly", CiStatus::Failed, &head(&review));
    hive.engine.take_ci(&hive.caller(), &id, red).await.unwrap();
    let refused = hive.ask(&id, MissionInput::Accept).await.unwrap_err();
    assert!(refused.message.contains("nightly"), "{}", refused.message);
    let green = ci("nightly", CiStatus::Passed, &head(&review));
    hive.engine.take_ci(&hive.caller(), &id, green).await.unwrap();
    let keep = Ask { merge: Some(engine::view::MergeWish::None), ..Ask::default() };
    let accepted = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, keep).await;
    assert_eq!(accepted.unwrap().view.mission.state, MissionState::Done);
}

#[tokio::test]
async fn evidence_older_than_the_last_change_of_the_work_is_stale_and_no_longer_counts() {
    let hive = Hive::open().await;
    let (id, review) = in_review(&hive, &["file: out.txt", "human: fine?"]).await;
    assert!(!review.evidence.stale);
    assert!(review.evidence.items.iter().all(|item| !item.stale));
    let place = review.attempts[0].attempt.workplace.clone().unwrap().directory;
    std::fs::write(format!("{place}/out.txt"), "").unwrap();
    git(place.as_ref(), &["add", "-A"]);
    git(place.as_ref(), &["-c", "user.name=T", "-c", "user.email=t@x", "commit", "-qm", "empty"]);
    let merge = Ask { merge: Some(engine::view::MergeWish::Merge), ..Ask::default() };
    let refused = hive
        .engine
        .ask_mission(&hive.caller(), &id, MissionInput::Accept, merge)
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::Conflict, "{}", refused.message);
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed, "its gates ran on the new work");
    assert!(!failed.evidence.enough);
}

#[tokio::test]
async fn what_a_gate_printed_does_not_keep_the_next_attempt_from_starting() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c true ann {brief}")).await;
    let id = hive
        .mission(NewMission {
            agent: Some("ann".into()),
            gates: vec!["command: head -c 300000 /dev/zero; false".into()],
            retries: Some(1),
            backoff_s: Some(1),
            ..mission("Print it", &"please ".repeat(18_000))
        })
        .await;
    let detail = hive.until(&id, MissionState::is_final).await;
    let ended: Vec<_> = detail.attempts.iter().map(|it| it.exit_code).collect();
    assert_eq!(ended, [Some(0), Some(0)], "{:?}", detail.view.reason);
    assert!(detail.attempts[0].attempt.handoff.as_ref().unwrap().text.contains("Gate"));
}

#[tokio::test]
async fn build_servers_name_only_so_many_checks_of_an_attempt() {
    let hive = Hive::open().await;
    let (id, review) = in_review(&hive, &["human: is it fine?"]).await;
    for n in 0..64 {
        let green = ci(&format!("check {n}"), CiStatus::Passed, &head(&review));
        hive.engine.take_ci(&hive.caller(), &id, green).await.unwrap();
    }
    let post = async |name: &str| {
        let green = ci(name, CiStatus::Passed, &head(&review));
        hive.engine.take_ci(&hive.caller(), &id, green).await
    };
    assert_eq!(post("one more").await.unwrap_err().code, Code::Conflict);
    assert!(post("check 3").await.is_ok(), "one that is known is replaced");
}
