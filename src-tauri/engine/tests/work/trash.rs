//! Nothing that is removed is lost: it is in the trash, and a crash in between is finished.

use agents::trash::Trash;
use agents::worktree::Git;
use engine::TrashQuery;
use engine::view::{CleanRequest, TrashView};
use model::id::TrashId;
use model::mission::MissionState;
use model::refusal::Code;
use model::transition::MissionInput;
use model::trash::TrashKind;

use crate::hive::{Hive, git};
use crate::{Picture, picture, short, tip, worktree};

/// Leaves something uncommitted of every kind.
const MESS: &[(&str, &str)] =
    &[("README.md", "changed\n"), ("new.txt", "new\n"), ("deep/er/file", "x"), ("built.o", "o")];

impl Hive {
    async fn trash(&self) -> Vec<TrashView> {
        self.engine.trash(TrashQuery::default()).await.unwrap().items
    }

    async fn restore(&self, id: TrashId) -> Vec<TrashKind> {
        let done = self.engine.restore_from_trash(&self.caller(), id).await.unwrap();
        assert_eq!(done.problems, Vec::<String>::new());
        done.restored.into_iter().map(|item| item.kind).collect()
    }
}

/// A cancelled mission with an untidy worktree.
async fn untidy(hive: &Hive) -> (String, std::path::PathBuf, Picture) {
    let repository = hive.repository("work");
    std::fs::write(repository.join(".gitignore"), "*.o\n").unwrap();
    crate::commit_all(&repository, "ignores");
    let detail = hive.cancelled(&repository, "ann", "echo x > tool; chmod +x tool").await;
    let place = worktree(&detail);
    for (path, text) in MESS {
        let path = place.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let before = picture(&place);
    assert!(before.len() >= 6);
    (short(&detail), place, before)
}

fn of_kind(trash: &[TrashView], kind: TrashKind) -> &TrashView {
    trash.iter().find(|it| it.item.kind == kind).unwrap()
}

#[tokio::test]
async fn deleting_a_mission_loses_no_uncommitted_byte_and_all_is_in_the_trash_for_30_days() {
    let hive = Hive::open().await;
    let (id, place, before) = untidy(&hive).await;
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    assert!(!place.exists());
    assert_eq!(hive.engine.mission(&id).await.unwrap_err().code, Code::NotFound);
    let trash = hive.trash().await;
    assert_eq!(trash.len(), 2);
    for view in &trash {
        let kept = view.item.until.duration_since(view.item.at);
        assert_eq!((kept.as_hours(), view.exists), (30 * 24, true));
    }
    let (gone, tree) = (of_kind(&trash, TrashKind::Mission), of_kind(&trash, TrashKind::Worktree));
    assert!(tree.item.bytes > 0);
    // A worktree comes back with its mission, and not before.
    let refused = hive.engine.restore_from_trash(&hive.caller(), tree.item.id).await.unwrap_err();
    assert_eq!(refused.allowed, [gone.item.id.to_string()]);
    let hive = hive.reopen().await;
    let restored = hive.restore(gone.item.id).await;
    assert_eq!(restored, [TrashKind::Mission, TrashKind::Worktree]);
    assert_eq!(picture(&place), before);
    assert!(git(&place, &["status", "--porcelain"]).contains("?? new.txt"), "git knows it again");
    let detail = hive.engine.mission(&id).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::Cancelled);
    assert_eq!(hive.trash().await, []);
    let again = hive.engine.restore_from_trash(&hive.caller(), gone.item.id).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
    assert_eq!(picture(&place), before);
}

#[tokio::test]
async fn a_move_to_the_trash_that_a_crash_interrupted_is_finished_at_the_next_start() {
    let hive = Hive::open().await;
    let (id, place, before) = untidy(&hive).await;
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    let (data, trash) = (hive.engine.data_dir().to_owned(), hive.trash().await);
    let tree = of_kind(&trash, TrashKind::Worktree).item.clone();
    hive.engine.shutdown().await;
    // As it is when the engine dies after recording the move and before the move itself.
    let bin = Trash::new(data.join("trash"), Git::new());
    bin.restore(&tree.id.to_string()).await.unwrap();
    assert_eq!(picture(&place), before);
    let hive = hive.reopen().await;
    hive.until_moved(|| !place.exists()).await;
    let mission = of_kind(&trash, TrashKind::Mission).item.id;
    assert_eq!(hive.restore(mission).await.len(), 2);
    assert_eq!(picture(&place), before);
}

#[tokio::test]
async fn a_mission_deleted_in_a_crash_before_its_worktree_was_moved_is_cleaned_up_at_the_next_start()
 {
    let hive = Hive::open().await;
    let (id, place, before) = untidy(&hive).await;
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    let trash = hive.trash().await;
    let tree = of_kind(&trash, TrashKind::Worktree).item.id;
    let mission = of_kind(&trash, TrashKind::Mission).item.id;
    let data = hive.engine.data_dir().to_owned();
    // As it is when the engine dies after it has restored the worktree and before it has said so.
    std::fs::create_dir_all(data.join("trash-restoring")).unwrap();
    std::fs::write(data.join("trash-restoring").join(tree.to_string()), "").unwrap();
    hive.engine.shutdown().await;
    let bin = Trash::new(data.join("trash"), Git::new());
    bin.restore(&tree.to_string()).await.unwrap();
    let hive = hive.reopen().await;
    // First the restoring is finished; then the worktree follows its mission.
    hive.until_moved(|| !place.exists() && !data.join("trash-restoring").exists()).await;
    let worktrees: Vec<_> =
        hive.trash().await.into_iter().filter(|it| it.item.kind == TrashKind::Worktree).collect();
    assert_eq!(worktrees.len(), 1);
    assert_ne!(worktrees[0].item.id, tree);
    assert_eq!(hive.restore(mission).await.len(), 2);
    assert_eq!(picture(&place), before);
}

#[tokio::test]
async fn what_is_where_a_worktree_was_is_left_alone_and_restoring_says_so() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.cancelled(&repository, "ann", "true").await;
    let place = worktree(&detail);
    let request = CleanRequest { apply: true, only: None };
    let cleaned = hive.engine.clean(&hive.caller(), request).await.unwrap();
    let id = cleaned.removed[0].trash_id;
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("mine"), "mine").unwrap();
    let refused = hive.engine.restore_from_trash(&hive.caller(), id).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.contains("something is there"), "{}", refused.message);
    assert_eq!(std::fs::read_to_string(place.join("mine")).unwrap(), "mine");
    std::fs::remove_dir_all(&place).unwrap();
    let caller = hive.keyed("back", 1);
    let restored = hive.engine.restore_from_trash(&caller, id).await.unwrap();
    assert_eq!(restored.restored[0].path.as_deref(), place.to_str());
    assert!(place.join("README.md").exists());
    let again = hive.engine.restore_from_trash(&caller, id).await.unwrap();
    assert_eq!(again, restored, "the same request gets the same answer");
    let other = hive.engine.restore_from_trash(&hive.keyed("back", 2), id).await.unwrap_err();
    assert_eq!(other.code, Code::IdempotencyMismatch);
}

#[tokio::test]
async fn purging_removes_the_files_for_good_and_never_the_branch() {
    let hive = Hive::open().await;
    let (id, place, _) = untidy(&hive).await;
    let repository = hive.place.path().join("work");
    let branch = format!("hive/{id}/1");
    let work = tip(&repository, &branch);
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    let trash = hive.trash().await;
    let refs = || git(&repository, &["for-each-ref", "--format=%(refname)", "refs/hive/trash"]);
    assert_eq!(refs().lines().count(), 1);
    let caller = hive.keyed("purge", 3);
    for view in &trash {
        let caller = if view.item.kind == TrashKind::Worktree { &caller } else { &hive.caller() };
        hive.engine.purge_from_trash(caller, view.item.id).await.unwrap();
    }
    let tree = of_kind(&trash, TrashKind::Worktree).item.id;
    hive.engine.purge_from_trash(&caller, tree).await.unwrap();
    let refused = hive.engine.purge_from_trash(&hive.caller(), tree).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    assert!(!place.exists() && refs().is_empty());
    assert_eq!(hive.trash().await, []);
    assert!(!hive.engine.data_dir().join("trash").join(tree.to_string()).exists());
    assert_eq!(tip(&repository, &branch), work);
    assert_eq!(hive.engine.mission(&id).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_mission_that_is_under_way_is_not_deleted_and_its_worktree_stays() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let id = hive.mission_on(&repository, "ann", "echo half > half.txt; echo on; sleep 300").await;
    let running = hive.until_printed(&id, "on\n").await;
    let refused = hive.engine.remove_mission(&hive.caller(), &id).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(worktree(&running).join("half.txt").exists());
    assert_eq!(hive.trash().await, []);
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

impl Hive {
    /// Waits until something on the disk has happened.
    async fn until_moved(&self, done: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !done() {
            assert!(start.elapsed().as_secs() < 60, "it was not moved");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
