//! Directories on their way to the trash and back, interrupted wherever that is possible.

use std::future::Future;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use agents::trash::{Trash, TrashError, TrashOrder, TrashState, Trashable};
use agents::worktree::Git;

use crate::checkpoints::{Picture, picture};
use crate::repo::{Repo, git, write};

struct Place {
    repo: Repo,
    trash: Trash,
}

impl Place {
    /// A worktree with work that is nowhere else.
    async fn new() -> Self {
        let repo = Repo::new();
        repo.worktree().await;
        let tree = repo.tree();
        write(&tree, "committed.txt", "a commit of the attempt");
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "-q", "-m", "work"]);
        write(&tree, "a.txt", "changed\r\n");
        write(&tree, "staged.txt", "staged");
        git(&tree, &["add", "staged.txt"]);
        write(&tree, "deep/er/new.txt", "untracked");
        write(&tree, "ignored/secret", "ignored, and dear to somebody");
        symlink("/nowhere", tree.join("link")).unwrap();
        let root = repo.root.path().join("data/trash");
        Self { trash: Trash::new(root, Git::new()), repo }
    }

    fn order(&self) -> TrashOrder {
        TrashOrder {
            item: "item-1".to_owned(),
            from: self.repo.tree(),
            what: Trashable::Worktree { repository: self.repo.path() },
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    fn content(&self) -> PathBuf {
        self.repo.root.path().join("data/trash/item-1/content")
    }

    fn state(&self) -> TrashState {
        self.trash.state_of("item-1", &self.repo.tree()).unwrap()
    }

    /// The files, wherever they are, and that they are in one place.
    fn files(&self) -> Picture {
        match self.state() {
            TrashState::InPlace => picture(&self.repo.tree()),
            state => {
                assert_eq!(state, TrashState::InTrash);
                picture(&self.content())
            }
        }
    }

    fn worktrees(&self) -> String {
        self.repo.git(&["worktree", "list", "--porcelain"])
    }
}

/// Goes on with something until it was asked `polls` times, then lets go of it as a crash would.
async fn interrupted<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn no_staged_destructive_action_loses_an_uncommitted_byte() {
    let place = Place::new().await;
    let tree = place.repo.tree();
    let before = place.files();
    let status = git(&tree, &["status", "--porcelain"]);
    let (mut puts, mut restores, mut polls) = (0, 0, 0);
    // Until neither is interrupted any more, however far they get.
    while puts == 0 || restores == 0 {
        let put = interrupted(polls, place.trash.put(&place.order())).await;
        puts += usize::from(put.is_some());
        assert_eq!(place.files(), before, "the move there was left after {polls}");
        let _ = git(&place.repo.path(), &["worktree", "prune", "-v"]);
        place.trash.put(&place.order()).await.unwrap();
        assert_eq!(place.state(), TrashState::InTrash);
        assert_eq!(place.files(), before);
        assert_eq!(git(&place.content(), &["status", "--porcelain"]), status, "git knows it");

        let restored = interrupted(polls, place.trash.restore("item-1")).await;
        restores += usize::from(restored.is_some());
        assert_eq!(place.files(), before, "the move back was left after {polls}");
        match place.trash.restore("item-1").await {
            Ok(back) => assert_eq!(back, tree),
            // It was finished, and its folder is gone.
            Err(TrashError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(place.state(), TrashState::InPlace);
        assert_eq!(place.files(), before);
        assert_eq!(git(&tree, &["status", "--porcelain"]), status);
        assert!(!place.worktrees().contains("locked"), "{}", place.worktrees());
        polls += 2;
    }
    assert!(polls > 30, "it was interrupted in {polls} places");
}

#[tokio::test]
async fn a_worktree_in_the_trash_stays_known_to_git_and_is_kept_as_a_commit_too() {
    let place = Place::new().await;
    let before = place.files();
    let trashed = place.trash.put(&place.order()).await.unwrap();
    assert_eq!(trashed.branch.as_deref(), Some("hive/m1/1"));
    assert_eq!(trashed.commit, Some(place.repo.git(&["rev-parse", "hive/m1/1"])));
    assert!(trashed.bytes > 0 && trashed.files as usize == before.len(), "{trashed:?}");
    assert_eq!(trashed.problem, None);
    assert_eq!(place.trash.items().unwrap(), std::slice::from_ref(&trashed));
    let snapshot = trashed.snapshot.unwrap();
    assert_eq!(snapshot.reference, "refs/hive/trash/item-1");
    assert_eq!(snapshot.uncommitted_files, 4, "{snapshot:?}");
    Git::new()
        .verify_checkpoint(&place.repo.path(), &snapshot.commit, &snapshot.tree)
        .await
        .unwrap();
    place.repo.git(&["worktree", "prune"]);
    let list = place.worktrees();
    assert!(list.contains(&place.content().display().to_string()), "{list}");
    assert!(list.contains("locked in the trash of hivekeeper as item-1"), "{list}");
    let mode = place.content().parent().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn what_is_purged_is_gone_and_its_branch_stays() {
    let place = Place::new().await;
    let branch = place.repo.git(&["rev-parse", "hive/m1/1"]);
    write(&place.repo.tree(), "locked/file", "in a directory nobody may write to");
    let locked = place.repo.tree().join("locked");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    place.trash.put(&place.order()).await.unwrap();
    place.trash.purge("item-1").await.unwrap();
    assert_eq!(place.state(), TrashState::Missing);
    assert!(!place.content().parent().unwrap().exists());
    assert_eq!(place.repo.git(&["rev-parse", "hive/m1/1"]), branch);
    assert_eq!(place.repo.git(&["for-each-ref", "refs/hive"]), "");
    assert_eq!(place.worktrees().matches("worktree ").count(), 1, "{}", place.worktrees());
    assert_eq!(place.trash.items().unwrap(), []);
    let error = place.trash.purge("item-1").await.unwrap_err();
    assert!(matches!(error, TrashError::Unknown(_)), "{error}");
}

#[tokio::test]
async fn a_purge_that_was_begun_is_finished_and_half_of_it_is_never_restored() {
    let place = Place::new().await;
    place.trash.put(&place.order()).await.unwrap();
    std::fs::write(place.content().with_file_name("purged"), "").unwrap();
    std::fs::remove_file(place.content().join("a.txt")).unwrap();
    let error = place.trash.restore("item-1").await.unwrap_err();
    assert!(matches!(error, TrashError::Purged(_)), "{error}");
    place.trash.purge("item-1").await.unwrap();
    assert_eq!(place.state(), TrashState::Missing);
}

#[tokio::test]
async fn a_purge_of_what_never_got_into_the_trash_leaves_it_alone() {
    let place = Place::new().await;
    let before = place.files();
    place.trash.put(&place.order()).await.unwrap();
    // As after a crash before the move.
    std::fs::rename(place.content(), place.repo.tree()).unwrap();
    place.trash.purge("item-1").await.unwrap();
    assert_eq!(place.state(), TrashState::InPlace);
    assert_eq!(place.files(), before);
}

#[tokio::test]
async fn nothing_is_restored_onto_something_and_nothing_is_trashed_twice() {
    let place = Place::new().await;
    let before = place.files();
    place.trash.put(&place.order()).await.unwrap();
    for empty in [true, false] {
        std::fs::create_dir_all(place.repo.tree()).unwrap();
        if !empty {
            write(&place.repo.tree(), "new", "somebody else's");
        }
        assert_eq!(place.state(), TrashState::Both);
        let error = place.trash.restore("item-1").await.unwrap_err();
        assert!(error.to_string().contains("something is there"), "{error}");
        let error = place.trash.put(&place.order()).await.unwrap_err();
        assert!(matches!(error, TrashError::Twice(_)), "{error}");
    }
    assert_eq!(picture(&place.content()), before);
    assert_eq!(std::fs::read(place.repo.tree().join("new")).unwrap(), b"somebody else's");
}

#[tokio::test]
async fn a_worktree_whose_repository_is_gone_is_moved_whole_all_the_same() {
    let place = Place::new().await;
    let before = place.files();
    std::fs::remove_dir_all(place.repo.path()).unwrap();
    let order = TrashOrder {
        what: Trashable::Worktree { repository: place.repo.root.path().join("repo") },
        item: "item-1".to_owned(),
        from: place.repo.tree(),
        at: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    let trashed = place.trash.put(&order).await.unwrap();
    assert!(trashed.problem.unwrap().contains("is missing"));
    assert_eq!(picture(&place.content()), before);
    place.trash.restore("item-1").await.unwrap();
    assert_eq!(picture(&place.repo.tree()), before);
    place.trash.put(&order).await.unwrap();
    place.trash.purge("item-1").await.unwrap();
    assert!(!place.repo.tree().exists());
}

#[tokio::test]
async fn a_worktree_that_somebody_locked_stays_locked_by_them() {
    let place = Place::new().await;
    let tree = place.repo.tree().display().to_string();
    place.repo.git(&["worktree", "lock", "--reason", "mine", &tree]);
    place.trash.put(&place.order()).await.unwrap();
    place.trash.restore("item-1").await.unwrap();
    assert!(place.worktrees().contains("locked mine"), "{}", place.worktrees());
}

#[tokio::test]
async fn a_plain_directory_goes_to_the_trash_and_back() {
    let root = tempfile::tempdir().unwrap();
    let trash = Trash::new(root.path().join("trash"), Git::new());
    let run = root.path().join("runs/a");
    write(&run, "stdout.log", "what it printed");
    let order = TrashOrder {
        item: "run-a".to_owned(),
        from: run.clone(),
        what: Trashable::Directory,
        at: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    let trashed = trash.put(&order).await.unwrap();
    assert_eq!((trashed.files, trashed.snapshot), (1, None));
    assert!(!run.exists());
    std::fs::remove_dir(root.path().join("runs")).unwrap();
    assert_eq!(trash.restore("run-a").await.unwrap(), run);
    assert_eq!(std::fs::read(run.join("stdout.log")).unwrap(), b"what it printed");
    assert!(!root.path().join("trash/run-a").exists());
}

#[tokio::test]
async fn what_cannot_be_trashed_is_refused_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let trash = Trash::new(root.path().join("trash"), Git::new());
    let check = async |item: &str, from: &Path, expect: &str| {
        let order = TrashOrder {
            item: item.to_owned(),
            from: from.to_owned(),
            what: Trashable::Directory,
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        let error = trash.put(&order).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    std::fs::create_dir(root.path().join("directory")).unwrap();
    std::fs::write(root.path().join("file"), "x").unwrap();
    symlink("directory", root.path().join("link")).unwrap();
    check("a", &root.path().join("gone"), "it does not exist").await;
    check("b", &root.path().join("file"), "it is not a directory").await;
    check("c", &root.path().join("link"), "it is not a directory").await;
    check("../d", &root.path().join("directory"), "as a name").await;
    let error = trash.restore("nothing").await.unwrap_err();
    assert!(matches!(error, TrashError::Unknown(_)), "{error}");
    // A trash on another file system refuses, and says what to do.
    let elsewhere = Path::new("/dev/shm");
    if elsewhere.is_dir() && device(elsewhere) != device(root.path()) {
        let other = tempfile::tempdir_in(elsewhere).unwrap();
        let trash = Trash::new(other.path().join("trash"), Git::new());
        let order = TrashOrder {
            item: "e".to_owned(),
            from: root.path().join("directory"),
            what: Trashable::Directory,
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        let error = trash.put(&order).await.unwrap_err();
        assert!(error.to_string().contains("different file systems"), "{error}");
        assert!(root.path().join("directory").is_dir());
    }
}

fn device(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::dev(&path.metadata().unwrap())
}
