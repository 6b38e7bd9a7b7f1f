//! Missions from end to end inside one process: real ledger, real processes, real git.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod hive;

use engine::view::{Ask, NewMission};
use hive::{Hive, agent, mission};
use model::attempt::AttemptState;
use model::gate::{Grade, Verdict};
use model::mission::MissionState;
use model::refusal::Code;
use model::transition::MissionInput;

#[tokio::test]
async fn a_mission_whose_gates_pass_is_done_with_observed_evidence() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    hive.add(agent("ann", "sh -c 'cat > asked.txt; echo working; echo result > out.txt'")).await;
    let id = hive
        .mission(NewMission {
            agent: Some("ann".into()),
            repository: Some(repository.display().to_string()),
            gates: vec!["file: out.txt".into(), "command: grep -q result out.txt".into()],
            ..mission("Make out.txt", "please make it")
        })
        .await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{:?}", done.view.reason);
    assert_eq!(done.evidence.grade, Grade::Observed);
    let attempt = &done.attempts[0];
    assert_eq!(attempt.exit_code, Some(0));
    assert_eq!(attempt.attempt.state, AttemptState::Accepted);
    assert_eq!(attempt.gates.len(), 2);
    assert!(attempt.gates.iter().all(|gate| gate.verdict == Verdict::Passed));
    let work = attempt.attempt.work.as_ref().unwrap();
    assert_eq!(work.diff.files, 2);
    assert_eq!(work.rescued_files, 2);
    assert_eq!(hive.printed(&done).await, "working\n");
    let place = attempt.attempt.workplace.as_ref().unwrap();
    let asked = std::fs::read_to_string(format!("{}/asked.txt", place.directory)).unwrap();
    assert_eq!(asked, "please make it\n");
    let branch = place.branch.clone().unwrap();
    assert_eq!(branch, format!("hive/{}/1", done.view.mission.short_id));
    assert!(!repository.join("out.txt").exists(), "the captain's checkout is left alone");
}

#[tokio::test]
async fn a_mission_whose_gate_fails_is_not_done_and_says_which() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c 'echo all done'")).await;
    let id = hive
        .mission(NewMission {
            gates: vec!["command: echo looked; test -e out.txt".into()],
            ..mission("Make out.txt", "x")
        })
        .await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed);
    assert_eq!(failed.evidence.grade, Grade::None);
    let gate = &failed.attempts[0].gates[0];
    assert_eq!((gate.verdict, gate.exit_code), (Verdict::Failed, Some(1)));
    assert_eq!(gate.output, "looked\n");
    let reason = failed.view.reason.unwrap();
    assert!(reason.contains("command: echo looked"), "{reason}");
}

#[tokio::test]
async fn a_failed_mission_is_retried_at_most_n_times_then_fails_visibly() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c 'exit 3'")).await;
    let id = hive.mission(NewMission { retries: Some(2), ..mission("Fail", "x") }).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed);
    assert_eq!(failed.attempts.len(), 3);
    assert!(failed.attempts.iter().all(|attempt| attempt.exit_code == Some(3)));
    assert!(failed.view.reason.unwrap().contains("exit code 3"));
}

#[tokio::test]
async fn without_a_gate_the_captain_decides_and_under_trusting_the_agents_word_is_enough() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let id = hive.mission(mission("Look", "x")).await;
    let review = hive.until(&id, |state| state == MissionState::InReview).await;
    assert_eq!(review.evidence.grade, Grade::SelfReport);
    let accept = Ask { note: Some("fine".into()), ..Ask::default() };
    let done =
        hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, accept).await.unwrap();
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!(done.evidence.grade, Grade::Human);

    let trusting = NewMission { policy: Some("trusting".into()), ..mission("Look", "x") };
    let id = hive.mission(trusting).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!(done.evidence.grade, Grade::SelfReport);
}

#[tokio::test]
async fn cancelling_ends_the_whole_process_tree_and_keeps_the_work() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    hive.add(agent(
        "ann",
        "sh -c 'echo half > half.txt; (setsid sleep 300 &); echo on; sleep 300'",
    ))
    .await;
    let id = hive
        .mission(NewMission {
            repository: Some(repository.display().to_string()),
            ..mission("Long", "x")
        })
        .await;
    let running = hive.until_printed(&id, "on\n").await;
    let process = running.attempts[0].attempt.process.clone().unwrap();
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    let over = hive.until_over(&id).await;
    assert_eq!(over.view.mission.state, MissionState::Cancelled);
    let attempt = &over.attempts[0].attempt;
    assert_eq!(attempt.state, AttemptState::Stopped);
    assert_eq!(attempt.work.as_ref().map(|work| work.rescued_files), Some(1));
    assert_eq!(hive::processes_of(&process.marker), Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_program_and_a_missing_directory_are_told_by_name_and_start_nothing() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "no-such-program-anywhere --now")).await;
    let id = hive.mission(mission("Try", "x")).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    let reason = failed.view.reason.unwrap();
    assert!(reason.contains("no-such-program-anywhere"), "{reason}");
    assert_eq!(failed.attempts[0].attempt.state, AttemptState::Rejected);

    let gone = hive.place.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let mut homeless = agent("bob", "true");
    homeless.directory = Some(gone.display().to_string());
    hive.add(homeless).await;
    std::fs::remove_dir(&gone).unwrap();
    let id = hive.mission(NewMission { agent: Some("bob".into()), ..mission("Try", "x") }).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert!(failed.view.reason.unwrap().contains("gone"));
}

#[tokio::test]
async fn bad_input_is_refused_in_words_and_changes_nothing() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let before = hive.happened().await;
    let plain = hive.place.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    let at = |path: &std::path::Path| Some(path.display().to_string());
    let cases = [
        (mission("", "x"), "title is empty"),
        (mission("Try", "  \n "), "brief is empty"),
        (mission("Try", &"x".repeat(1024 * 1024 + 1)), "1 MiB"),
        (NewMission { repository: at(&plain), ..mission("Try", "x") }, "not in a git repository"),
        (NewMission { repository: at(&plain.join("no")), ..mission("Try", "x") }, "does not exist"),
        (NewMission { repository: Some("x/y".into()), ..mission("Try", "x") }, "absolute path"),
        (NewMission { agent: Some("eve".into()), ..mission("Try", "x") }, "no agent 'eve'"),
        (NewMission { gates: vec!["cargo test".into()], ..mission("Try", "x") }, "kind"),
        (NewMission { retries: Some(21), ..mission("Try", "x") }, "21 retries"),
    ];
    for (new, words) in cases {
        let refusal = hive.engine.add_mission(&hive.caller(), new).await.unwrap_err();
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }
    let taken = hive.engine.add_agent(&hive.caller(), agent("ANN", "true")).await.unwrap_err();
    assert_eq!(taken.code, Code::Conflict);
    assert_eq!(hive.happened().await, before);
}

#[tokio::test]
async fn a_brief_of_one_mebibyte_reaches_the_agent_whole() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "wc -c")).await;
    let id = hive.mission(mission("Count", &"ü".repeat(512 * 1024))).await;
    let ended = hive.until(&id, |state| state == MissionState::InReview).await;
    // Its only line ends as lines do.
    assert_eq!(hive.printed(&ended).await.trim(), (1024 * 1024 + 1).to_string());
}

#[tokio::test]
async fn uncommitted_files_of_the_captain_are_counted_and_stay_where_they_are() {
    let hive = Hive::open().await;
    let repository = hive.repository("dirty");
    std::fs::write(repository.join("mine.txt"), "mine").unwrap();
    let found = hive.engine.inspect_repository(&repository.display().to_string()).await.unwrap();
    assert_eq!(found.uncommitted_files, 1);
    hive.add(agent("ann", "sh -c 'test ! -e mine.txt'")).await;
    let id = hive
        .mission(NewMission {
            repository: Some(repository.display().to_string()),
            policy: Some("trusting".into()),
            ..mission("Look", "x")
        })
        .await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{:?}", done.view.reason);
    let place = done.attempts[0].attempt.workplace.clone().unwrap();
    assert_eq!(place.uncommitted_files, 1);
    assert_eq!(std::fs::read_to_string(repository.join("mine.txt")).unwrap(), "mine");
}

#[tokio::test]
async fn a_repeated_request_creates_one_mission_and_another_body_is_refused() {
    let hive = Hive::open().await;
    let caller = hive.keyed("k1", 1);
    let first = hive.engine.add_mission(&caller, mission("Once", "x")).await.unwrap();
    let again = hive.engine.add_mission(&caller, mission("Once", "x")).await.unwrap();
    assert_eq!(first.view.mission.id, again.view.mission.id);
    let other = hive.engine.add_mission(&hive.keyed("k1", 2), mission("Twice", "x")).await;
    assert_eq!(other.unwrap_err().code, Code::IdempotencyMismatch);
    let all = hive.engine.missions(engine::MissionQuery::default()).await.unwrap();
    assert_eq!(all.items.len(), 1);
}

#[tokio::test]
async fn a_readable_id_or_a_unique_prefix_resolves_and_an_ambiguous_one_lists_candidates() {
    let hive = Hive::open().await;
    let mut shorts = Vec::new();
    for n in 0..40 {
        let new = NewMission { draft: true, ..mission(&format!("Draft {n}"), "x") };
        let made = hive.engine.add_mission(&hive.caller(), new).await.unwrap();
        shorts.push(made.view.mission.short_id.to_string());
    }
    let found = hive.engine.mission(&shorts[7].to_lowercase()).await.unwrap();
    assert_eq!(found.view.mission.short_id.to_string(), shorts[7]);
    // Forty ids over 32 first letters: one letter is shared.
    let shared = shorts.iter().find(|a| shorts.iter().any(|b| a != &b && a[..3] == b[..3]));
    let refusal = hive.engine.mission(&shared.unwrap()[..3]).await.unwrap_err();
    assert_eq!(refusal.code, Code::Ambiguous);
    assert!(refusal.allowed.len() >= 2);
    assert_eq!(hive.engine.mission("M-ZZZZZZZZ").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_paused_agent_gets_no_mission_until_it_is_resumed() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    hive.engine.pause_agent(&hive.caller(), "ann").await.unwrap();
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Wait", "x") }).await;
    let waiting = hive.engine.mission(&id).await.unwrap();
    assert_eq!(waiting.view.mission.state, MissionState::Queued);
    assert_eq!(waiting.view.reason.as_deref(), Some("waiting for a free agent"));
    hive.engine.resume_agent(&hive.caller(), "ann").await.unwrap();
    assert_eq!(
        hive.until(&id, MissionState::is_final).await.view.mission.state,
        MissionState::Done
    );
}

#[tokio::test]
async fn finishing_a_mission_yields_a_dated_devlog_that_can_be_found_and_exported() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "echo hello")).await;
    let new = NewMission { policy: Some("trusting".into()), ..mission("Say <b>hello</b>", "x") };
    let id = hive.mission(new).await;
    hive.until(&id, MissionState::is_final).await;
    let devlog = hive.devlog(&id).await;
    assert!(devlog.title.contains(devlog.short_id.as_str()));
    let found = hive
        .engine
        .devlogs(engine::DevlogQuery { text: Some("HELLO".into()), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    let html = hive.engine.export_devlog(devlog.id, engine::Format::Html).await.unwrap();
    assert!(html.body.contains("&lt;b&gt;hello"), "the title is text in the page");
    assert!(!html.body.contains("<b>hello"));
}
