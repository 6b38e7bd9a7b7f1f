//! Reviewing work, and putting exactly what was reviewed onto its branch.

use engine::PatchQuery;
use engine::view::{Ask, FileStatus, MergeWish, MissionDetail, NewMission};
use model::gate::Verdict;
use model::mission::{MergeHow, MissionState};
use model::refusal::Code;
use model::transition::MissionInput;

use crate::hive::{APPROVE, Hive, agent, git, mission};
use crate::{commit_all, head, short, tip, worktree};

fn merge(how: MergeWish) -> Ask {
    Ask { merge: Some(how), ..Ask::default() }
}

#[tokio::test]
async fn accepting_an_attempt_merges_exactly_the_reviewed_commit() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let base = tip(&repository, "main");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    let (id, reviewed) = (short(&detail), head(&detail));
    let review = hive.engine.review(&id).await.unwrap();
    assert_eq!(review.problems, Vec::<String>::new());
    assert_eq!(review.reviewed_commit.as_ref(), Some(&reviewed));
    assert_eq!((review.base.as_ref(), &review.changed_since), (Some(&base), &None));
    let files: Vec<_> = review.files.iter().map(|it| (it.path.as_str(), it.status)).collect();
    assert_eq!(files, [("made.txt", FileStatus::Added)]);
    let preview = review.merge.unwrap();
    assert_eq!((preview.target.as_str(), preview.how), ("main", MergeHow::Merge));
    assert!(preview.preview.unwrap().can_fast_forward);

    let ask = Ask { reviewed: Some(reviewed.clone()), ..merge(MergeWish::Merge) };
    let done =
        hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await.unwrap();
    assert_eq!(done.view.mission.state, MissionState::Done);
    let merged = done.view.mission.merged.unwrap();
    assert_eq!((merged.reviewed, merged.target.as_str()), (reviewed.clone(), "main"));
    assert_eq!(merged.commit, tip(&repository, "main"));
    assert_eq!(tip(&repository, "main^{tree}"), tip(&repository, &format!("{reviewed}^{{tree}}")));
    let made = std::fs::read_to_string(repository.join("made.txt")).unwrap();
    assert_eq!(made, "new\n", "the checkout of the branch follows");
}

#[tokio::test]
async fn a_change_made_after_the_review_sends_it_back_to_review() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let base = tip(&repository, "main");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    let id = short(&detail);
    std::fs::write(worktree(&detail).join("later.txt"), "sneaked in\n").unwrap();
    let review = hive.engine.review(&id).await.unwrap();
    assert!(review.changed_since.unwrap().contains("1 file"));
    for ask in [merge(MergeWish::Merge), merge(MergeWish::None)] {
        let before = head(&hive.until(&id, |it| it == MissionState::InReview).await);
        let caller = hive.caller();
        let refused = hive.engine.ask_mission(&caller, &id, MissionInput::Accept, ask).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        let said = "the work changed after the review: uncommitted in its worktree: 1 file; its \
                    gates run again";
        assert_eq!(refused.message, said);
        assert_eq!(tip(&repository, "main"), base, "nothing was merged");
        let again = hive
            .until_detail(&id, |detail| {
                detail.view.mission.state == MissionState::InReview && head(detail) != before
            })
            .await;
        let files = hive.engine.review(&id).await.unwrap().files;
        assert!(files.iter().any(|file| file.path == "later.txt"), "it is reviewed now");
        std::fs::write(worktree(&again).join("later.txt"), head(&again)).unwrap();
    }
    // What is committed behind the review's back is another commit.
    let detail = hive.until(&id, |it| it == MissionState::InReview).await;
    commit_all(&worktree(&detail), "behind the back");
    let caller = hive.caller();
    let ask = merge(MergeWish::Merge);
    let refused = hive.engine.ask_mission(&caller, &id, MissionInput::Accept, ask).await;
    assert!(refused.unwrap_err().message.contains("it was at the commit"));
    let detail = hive.until_detail(&id, |it| it.view.mission.state == MissionState::InReview).await;
    let stale = Ask { reviewed: Some(base.clone()), ..merge(MergeWish::Merge) };
    let refused = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, stale).await;
    assert!(refused.unwrap_err().message.contains(&format!("not at {base}")));
    let ask = Ask { reviewed: Some(head(&detail)), ..merge(MergeWish::Squash) };
    let done = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
    assert_eq!(done.unwrap().view.mission.state, MissionState::Done);
    assert!(repository.join("later.txt").exists());
}

#[tokio::test]
async fn work_that_conflicts_is_not_accepted_and_says_what_to_do() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo mine > README.md").await;
    let id = short(&detail);
    std::fs::write(repository.join("README.md"), "yours\n").unwrap();
    commit_all(&repository, "meanwhile");
    let before = tip(&repository, "main");
    let review = hive.engine.review(&id).await.unwrap();
    assert_eq!(review.merge.unwrap().preview.unwrap().conflicts, ["README.md"]);
    let ask = merge(MergeWish::Rebase);
    let refused = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.contains("README.md"), "{}", refused.message);
    assert_eq!(tip(&repository, "main"), before);
    let detail = hive.engine.mission(&id).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::InReview);
    let ask = merge(MergeWish::None);
    let done = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
    let done = done.unwrap().view.mission;
    assert_eq!((done.state, done.merged), (MissionState::Done, None));
    assert_eq!(tip(&repository, "main"), before, "it stays on its own branch");
}

#[tokio::test]
async fn an_acceptance_that_was_cut_off_after_the_merge_is_completed_by_the_same_request() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    let (id, reviewed) = (short(&detail), head(&detail));
    // As the engine leaves it when it dies between the two.
    git(&repository, &["merge", "-q", "--ff-only", &reviewed]);
    let caller = hive.keyed("k", 1);
    let ask = merge(MergeWish::Merge);
    let done = hive.engine.ask_mission(&caller, &id, MissionInput::Accept, ask.clone()).await;
    let done = done.unwrap().view.mission;
    assert_eq!(done.state, MissionState::Done);
    assert_eq!(done.merged.unwrap().commit, reviewed);
    // The answer was lost: asked again under the same key, it is given again.
    let again = hive.engine.ask_mission(&caller, &id, MissionInput::Accept, ask).await.unwrap();
    assert_eq!(again.view.mission.state, MissionState::Done);
    assert_eq!(tip(&repository, "main"), reviewed);
}

#[tokio::test]
async fn one_mission_is_accepted_once_however_many_ask_at_the_same_time() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    let id = short(&detail);
    let accept = || async {
        let ask = merge(MergeWish::Merge);
        hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await
    };
    let answers = futures::future::join_all((0..4).map(|_| accept())).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 3));
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        let known = [Code::Conflict, Code::TransitionRefused].contains(&refusal.code);
        assert!(known, "{refusal:?}");
    }
    let commits = git(&repository, &["rev-list", "--count", "main"]);
    assert_eq!(commits.trim(), "3", "the first, the work, and one merge");
}

#[tokio::test]
async fn an_acceptance_whose_caller_goes_away_is_carried_out_to_its_end() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    let id = short(&detail);
    // Each caller goes away before git can be done, until one finds that it was begun.
    loop {
        let caller = hive.caller();
        let asked =
            hive.engine.ask_mission(&caller, &id, MissionInput::Accept, merge(MergeWish::Merge));
        match tokio::time::timeout(std::time::Duration::from_millis(5), asked).await {
            Err(_) => {}
            Ok(Err(refusal)) if refusal.message.contains("is being merged") => break,
            Ok(other) => unreachable!("it was over before anybody went away: {other:?}"),
        }
    }
    let done = hive.until(&id, MissionState::is_final).await.view.mission;
    assert_eq!(done.state, MissionState::Done);
    assert_eq!(done.merged.unwrap().commit, tip(&repository, "main"));
}

#[tokio::test]
async fn a_patch_is_shown_by_file_and_never_of_a_path_outside() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let script = "git mv README.md READ.md; printf \"a\\nb\\n\" > a.txt; printf \"x\\0y\" > b.bin";
    let detail = hive.reviewed(&repository, "ann", script).await;
    let attempt = detail.attempts[0].attempt.id;
    let patch = |path: &str, old: Option<&str>| {
        let query = PatchQuery {
            path: Some(path.into()),
            old_path: old.map(str::to_owned),
            context: Some(0),
        };
        hive.engine.patch(attempt, query)
    };
    let text = patch("a.txt", None).await.unwrap();
    assert!(text.text.ends_with("@@ -0,0 +1,2 @@\n+a\n+b\n"), "{}", text.text);
    assert!(!text.truncated && !text.binary);
    assert!(patch("b.bin", None).await.unwrap().binary);
    let moved = patch("READ.md", Some("README.md")).await.unwrap();
    assert!(moved.text.contains("rename from README.md"), "{}", moved.text);
    for outside in ["../secret", "/etc/passwd", ""] {
        let refused = patch(outside, None).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidInput, "{outside}");
    }
    let whole = hive.engine.patch(attempt, PatchQuery::default()).await.unwrap();
    assert!(whole.text.contains("a.txt") && whole.text.contains("b.bin"));
}

#[tokio::test]
async fn a_review_of_a_repository_that_is_gone_says_so_and_shows_the_rest() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo new > made.txt").await;
    std::fs::rename(&repository, repository.with_extension("elsewhere")).unwrap();
    let review = hive.engine.review(&short(&detail)).await.unwrap();
    assert_eq!(review.reviewed_commit, Some(head(&detail)));
    assert_eq!(review.diff.files, 1, "as it was counted when it was secured");
    assert!(!review.problems.is_empty());
    assert!(review.merge.unwrap().problem.unwrap().contains("does not exist"));
    let ask = merge(MergeWish::Merge);
    let id = short(&detail);
    let refused = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
    assert_eq!(refused.unwrap_err().code, Code::Conflict);
}

#[tokio::test]
async fn a_reviewing_agent_that_is_asked_again_looks_at_the_work_as_it_is_by_then() {
    for leaves in ["true", "touch left-behind.txt"] {
        let hive = Hive::open().await;
        let repository = hive.repository("work");
        let mut bob = agent("bob", &format!("sh -c '{leaves}; cat made.txt; {APPROVE}'"));
        bob.skills = vec!["review".into()];
        hive.add(bob).await;
        hive.add(agent("ann", "sh -c 'echo new > made.txt'")).await;
        let id = hive
            .mission(NewMission {
                agent: Some("ann".into()),
                repository: Some(repository.display().to_string()),
                gates: vec!["reviewer: any".into(), "human: is it fine?".into()],
                ..mission("Make it", "please do it")
            })
            .await;
        let answered = |detail: &MissionDetail, printed: &str| {
            let its = detail.attempts[0].gates.iter().find(|it| it.index == 0);
            detail.view.mission.state == MissionState::InReview
                && its
                    .is_some_and(|it| it.verdict == Verdict::Passed && it.output.contains(printed))
        };
        let first = hive.until_detail(&id, |detail| answered(detail, "new")).await;
        std::fs::write(worktree(&first).join("made.txt"), "newer\n").unwrap();
        let ask = merge(MergeWish::Merge);
        let refused = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
        assert_eq!(refused.unwrap_err().code, Code::Conflict);
        let again = hive.until_detail(&id, |detail| answered(detail, "newer")).await;
        assert_eq!(again.attempts[0].gates[0].commit, Some(head(&again)));
        let branches = git(&repository, &["branch", "--list", "hive/*-review-*"]);
        assert_eq!(branches.trim().is_empty(), leaves == "true", "{branches}");
    }
}

#[tokio::test]
async fn what_a_gate_writes_into_the_worktree_is_no_part_of_the_work() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    hive.add(agent("ann", "sh -c 'echo new > made.txt'")).await;
    let writes = "command: date +%s%N > coverage.txt; date +%s%N >> made.txt";
    let id = hive
        .mission(NewMission {
            agent: Some("ann".into()),
            repository: Some(repository.display().to_string()),
            gates: vec![writes.into(), "human: is it fine?".into()],
            ..mission("Make it", "please do it")
        })
        .await;
    let detail = hive.until(&id, |it| it == MissionState::InReview).await;
    assert_eq!(hive.engine.review(&id).await.unwrap().changed_since, None);
    let ask = merge(MergeWish::Squash);
    let accepted = hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Accept, ask).await;
    assert_eq!(accepted.unwrap().view.mission.state, MissionState::Done);
    assert!(!repository.join("coverage.txt").exists());
    assert_eq!(std::fs::read_to_string(repository.join("made.txt")).unwrap(), "new\n");
    let kept = hive.engine.checkpoints(&id).await.unwrap().items;
    let kept: Vec<_> = kept.iter().map(|it| (it.note.as_str(), it.uncommitted_files)).collect();
    assert_eq!(kept, [("left by its gates", 2)], "nothing of it is lost: {}", head(&detail));
}
