//! Listing worktrees and cleaning them up.

use engine::WorktreeQuery;
use engine::view::{Ask, CleanRequest, CleanView, MergeWish, WorktreeView};
use model::id::AttemptId;
use model::mission::MissionState;
use model::refusal::Code;
use model::transition::MissionInput;

use crate::hive::Hive;
use crate::{picture, short, worktree};

impl Hive {
    async fn worktrees(&self) -> Vec<WorktreeView> {
        self.engine.worktrees(WorktreeQuery::default()).await.unwrap().items
    }

    async fn clean(&self, apply: bool, only: Option<Vec<AttemptId>>) -> CleanView {
        self.engine.clean(&self.caller(), CleanRequest { apply, only }).await.unwrap()
    }
}

fn of<'a>(all: &'a [WorktreeView], id: &str) -> &'a WorktreeView {
    all.iter().find(|it| it.short_id.as_str() == id).unwrap()
}

#[tokio::test]
async fn worktrees_list_size_age_and_dirtiness_and_clean_up_skips_everything_dirty_or_unmerged() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let merged = short(&hive.reviewed(&repository, "ann", "echo ann > ann.txt").await);
    let ask = Ask { merge: Some(MergeWish::Squash), ..Ask::default() };
    let accepted =
        hive.engine.ask_mission(&hive.caller(), &merged, MissionInput::Accept, ask).await.unwrap();
    let unmerged = short(&hive.cancelled(&repository, "bob", "echo bob > bob.txt").await);
    let dirty = hive.cancelled(&repository, "cid", "true").await;
    std::fs::write(worktree(&dirty).join("precious.txt"), "not committed\n").unwrap();
    let dirty = short(&dirty);
    let reviewed = short(&hive.reviewed(&repository, "dan", "true").await);
    let live = hive.mission_on(&repository, "eve", "echo on; sleep 300").await;
    hive.until_printed(&live, "on\n").await;
    let empty = hive.cancelled(&repository, "fay", "true").await;

    let all = hive.worktrees().await;
    assert_eq!(all.len(), 6);
    for it in &all {
        assert_eq!(it.problem, None, "{it:?}");
        assert!(it.bytes.unwrap() > 0 && it.files.unwrap() >= 2 && it.modified_at.is_some());
        assert!(it.age_s < 600);
    }
    let kept = |id: &str| of(&all, id).kept_because.clone();
    assert_eq!(of(&all, &dirty).dirty_files, Some(1));
    assert_eq!(of(&all, &unmerged).unmerged_commits, Some(1));
    assert_eq!(kept(&merged), Vec::<String>::new(), "a squash has all of it");
    assert_eq!(kept(&unmerged), ["1 commit is on no other branch"]);
    assert_eq!(kept(&dirty), ["1 file is not committed"]);
    assert_eq!(kept(&reviewed), ["its work is under review"]);
    assert_eq!(kept(&live), ["a live attempt works in it"]);

    let before = picture(&hive.engine.data_dir().join("worktrees"));
    let preview = hive.clean(false, None).await;
    let mut would: Vec<_> = preview.would_remove.iter().map(|it| it.short_id.to_string()).collect();
    would.sort();
    let mut expect = [merged.clone(), short(&empty)];
    expect.sort();
    assert_eq!((would.as_slice(), preview.kept.len()), (expect.as_slice(), 4));
    let bytes = of(&all, &merged).bytes.unwrap() + of(&all, &short(&empty)).bytes.unwrap();
    assert_eq!(preview.bytes, bytes);
    let after = picture(&hive.engine.data_dir().join("worktrees"));
    assert_eq!(after, before, "a preview moves nothing");

    let one = hive.clean(true, Some(vec![accepted.attempts[0].attempt.id])).await;
    assert_eq!((one.removed.len(), one.would_remove.len(), one.kept.len()), (1, 0, 0));
    assert!(!worktree(&accepted).exists() && worktree(&empty).exists());
    let cleaned = hive.clean(true, None).await;
    assert_eq!((cleaned.removed.len(), cleaned.kept.len()), (1, 4));
    assert_eq!(hive.worktrees().await.len(), 4);
    let again = CleanRequest { apply: true, only: Some(vec![accepted.attempts[0].attempt.id]) };
    let refused = hive.engine.clean(&hive.caller(), again).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    hive.ask(&live, MissionInput::Cancel).await.unwrap();
    hive.until_over(&live).await;
}

#[tokio::test]
async fn a_worktree_that_cannot_be_looked_at_is_kept_and_says_why() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.cancelled(&repository, "ann", "true").await;
    std::fs::remove_file(worktree(&detail).join(".git")).unwrap();
    let cleaned = hive.clean(true, None).await;
    assert_eq!((cleaned.removed.len(), cleaned.kept.len()), (0, 1));
    assert!(cleaned.kept[0].problem.is_some());
    assert_eq!(cleaned.kept[0].kept_because.len(), 1);
    assert!(worktree(&detail).exists());
}

#[tokio::test]
async fn work_that_is_running_again_is_not_cleaned_up_however_it_was_named() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let live = hive.mission_on(&repository, "ann", "echo on; sleep 300").await;
    let running = hive.until_printed(&live, "on\n").await;
    let cleaned = hive.clean(true, Some(vec![running.attempts[0].attempt.id])).await;
    assert_eq!(cleaned.removed, []);
    assert!(worktree(&running).exists());
    hive.ask(&live, MissionInput::Cancel).await.unwrap();
    let over = hive.until_over(&live).await;
    assert_eq!(over.view.mission.state, MissionState::Cancelled);
}
