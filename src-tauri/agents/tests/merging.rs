//! Accepting an attempt's work.

use std::path::{Path, PathBuf};

use agents::merge::{How, MergeError, MergeOrder, MergePreview, Merged};
use agents::worktree::{Git, GitError};

use crate::hostile::Traps;
use crate::repo::{Repo, git, write};

const BRANCH: &str = "hive/m1/1";
const EVERY: [How; 3] = [How::Merge, How::Squash, How::Rebase];

/// An attempt of two commits on a repository.
struct Work {
    repo: Repo,
    base: String,
    commit: String,
}

impl Work {
    async fn new() -> Self {
        Self::on(Repo::new()).await
    }

    async fn on(repo: Repo) -> Self {
        let base = repo.worktree().await.base_commit.unwrap();
        write(&repo.tree(), "b.txt", "b\n");
        commit(&repo.tree(), "first of agent");
        write(&repo.tree(), "a.txt", "one\nTWO\n");
        let commit = commit(&repo.tree(), "second of agent");
        Self { repo, base, commit }
    }

    fn order(&self, how: How) -> MergeOrder {
        MergeOrder {
            target_branch: "main".to_owned(),
            expected_target: None,
            base: self.base.clone(),
            commit: self.commit.clone(),
            branch: Some(BRANCH.to_owned()),
            worktree: Some(self.repo.tree().display().to_string()),
            how,
            message: "What was done\n\nand why".to_owned(),
        }
    }

    async fn try_merge(&self, order: &MergeOrder) -> Result<Merged, GitError> {
        Git::new().merge(&self.repo.path(), order).await
    }

    async fn merge(&self, how: How) -> Merged {
        self.try_merge(&self.order(how)).await.unwrap()
    }

    async fn preview(&self) -> MergePreview {
        let path = self.repo.path();
        Git::new().merge_preview(&path, "main", &self.base, &self.commit).await.unwrap()
    }

    /// Expects a refusal of every way of merging that leaves everything as it was.
    async fn refused(&self, order: &MergeOrder) -> GitError {
        let before = state(&self.repo);
        let mut last = None;
        for how in EVERY {
            let error = self.try_merge(&MergeOrder { how, ..order.clone() }).await.unwrap_err();
            assert_eq!(state(&self.repo), before, "{how:?}: {error}");
            last = Some(error);
        }
        last.unwrap()
    }
}

fn commit(dir: &Path, message: &str) -> String {
    git(dir, &["add", "--all"]);
    let author = ["-c", "user.name=Agent Ä", "-c", "user.email=agent@localhost"];
    git(dir, &[&author[..], &["commit", "-q", "-m", message]].concat());
    git(dir, &["rev-parse", "HEAD"])
}

/// Everything of a repository that a refusal must leave alone, in one text.
fn state(repo: &Repo) -> String {
    let place = repo.path();
    let mut files: Vec<String> = walk(&place)
        .into_iter()
        .map(|path| format!("{} {:?}", path.display(), std::fs::read(&path).unwrap_or_default()))
        .collect();
    files.sort();
    [
        repo.git(&["--no-optional-locks", "status", "--porcelain", "--ignored"]),
        repo.git(&["for-each-ref"]),
        repo.git(&["rev-parse", "HEAD"]),
        repo.git(&["ls-files", "--stage"]),
        repo.git(&["fsck", "--no-dangling", "--no-progress"]),
        files.join("\n"),
    ]
    .join("\n--\n")
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| !path.ends_with(".git"));
    entries
        .flat_map(|path| if path.is_dir() && !path.is_symlink() { walk(&path) } else { vec![path] })
        .collect()
}

fn tree_of(repo: &Repo, name: &str) -> String {
    repo.git(&["rev-parse", &format!("{name}^{{tree}}")])
}

fn log(repo: &Repo, format: &str, range: &str) -> Vec<String> {
    let format = format!("--format={format}");
    repo.git(&["log", "--reverse", &format, range]).lines().map(str::to_owned).collect()
}

fn text(repo: &Repo, name: &str) -> String {
    std::fs::read_to_string(repo.path().join(name)).unwrap()
}

fn move_target(repo: &Repo, name: &str, content: &str) -> String {
    repo.write(name, content);
    repo.git(&["add", name]);
    repo.git(&["commit", "-q", "-m", "meanwhile"]);
    repo.git(&["rev-parse", "HEAD"])
}

#[tokio::test]
async fn accepting_an_attempt_merges_exactly_the_reviewed_commit() {
    for how in EVERY {
        let work = Work::new().await;
        let reviewed = tree_of(&work.repo, &work.commit);

        // A change made after the review sends it back to review.
        let changed = |error: GitError| {
            let is = matches!(error, GitError::Merge(MergeError::ChangedAfterReview { .. }));
            assert!(is && error.to_string().contains("Review it again"), "{error}");
        };
        write(&work.repo.tree(), "unseen.txt", "x");
        changed(work.refused(&work.order(how)).await);
        commit(&work.repo.tree(), "after the review");
        changed(work.refused(&work.order(how)).await);
        let anywhere = MergeOrder { worktree: None, ..work.order(how) };
        changed(work.refused(&anywhere).await);
        git(&work.repo.tree(), &["reset", "-q", "--hard", &work.commit]);

        let merged = work.merge(how).await;
        assert_eq!((&merged.before, merged.already_merged), (&work.base, false));
        assert_eq!(merged.after, work.repo.git(&["rev-parse", "main"]));
        assert_eq!(tree_of(&work.repo, "main"), reviewed, "{how:?}");
        assert_eq!(merged.tree, reviewed);
        assert_eq!(merged.checked_out_at, Some(work.repo.path().display().to_string()));
        assert_eq!(text(&work.repo, "b.txt"), "b\n");
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "");
        let said = log(&work.repo, "%an|%s|%p", &format!("{}..main", work.base));
        let short = |commit: &str| work.repo.git(&["rev-parse", "--short", commit]);
        let (base, tip) = (short(&work.base), short(&work.commit));
        match how {
            How::Merge => {
                assert_eq!(said.len(), 3);
                assert!(said[2].ends_with(&format!("|What was done|{base} {tip}")), "{said:?}");
            }
            How::Squash => assert_eq!(said, [format!("Agent Ä|What was done|{base}")]),
            How::Rebase => assert_eq!(merged.after, work.commit),
        }
        let again = work.merge(how).await;
        assert!(again.already_merged && again.after == merged.after, "{how:?}");
        assert!(work.preview().await.already_merged);
    }
}

#[tokio::test]
async fn a_branch_that_moved_gets_the_work_besides_what_it_has() {
    for how in EVERY {
        let work = Work::new().await;
        let moved = move_target(&work.repo, "c.txt", "c\n");
        let before = state(&work.repo);
        let preview = work.preview().await;
        assert_eq!(state(&work.repo), before, "looking changes nothing");
        assert_eq!(preview.target_commit, moved);
        assert!(preview.target_moved && !preview.can_fast_forward && !preview.already_merged);
        assert_eq!((preview.commits_behind, preview.commits_ahead), (1, 2));
        assert!(preview.conflicts.is_empty() && preview.checkout_dirty_files.is_empty());

        let stale = MergeOrder { expected_target: Some(work.base.clone()), ..work.order(how) };
        let error = work.refused(&stale).await;
        assert!(matches!(error, GitError::Merge(MergeError::TargetMoved { .. })), "{error}");
        let seen = MergeOrder { expected_target: Some(moved.clone()), ..work.order(how) };
        let merged = work.try_merge(&seen).await.unwrap();
        for (name, expect) in [("a.txt", "one\nTWO\n"), ("b.txt", "b\n"), ("c.txt", "c\n")] {
            assert_eq!(text(&work.repo, name), expect, "{how:?}");
        }
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "");
        let said = log(&work.repo, "%an|%s", &format!("{moved}..main"));
        match how {
            How::Merge => assert_eq!(said.len(), 3),
            How::Squash => assert_eq!(said, ["Agent Ä|What was done"]),
            How::Rebase => {
                assert_eq!(said, ["Agent Ä|first of agent", "Agent Ä|second of agent"]);
                let date = |range: &str| log(&work.repo, "%ad", range);
                assert_eq!(
                    date(&format!("{moved}..main")),
                    date(&format!("{}..{}", work.base, work.commit)),
                );
            }
        }
        work.repo.git(&["fsck", "--strict", "--no-dangling"]);
        let again = work.try_merge(&seen).await.unwrap();
        assert!(
            again.already_merged && again.after == merged.after,
            "a repeated call does nothing"
        );
    }
}

#[tokio::test]
async fn a_conflict_is_refused_with_the_files_and_what_to_do() {
    let work = Work::new().await;
    move_target(&work.repo, "a.txt", "one\nzwei\n");
    assert_eq!(work.preview().await.conflicts, ["a.txt"]);
    let error = work.refused(&work.order(How::Merge)).await.to_string();
    for words in ["'a.txt'", "rebased onto 'main'", "git merge hive/m1/1", "nothing was changed"] {
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn commits_that_conflict_one_by_one_can_still_be_merged_together() {
    let work = Work::new().await;
    // The target makes the line what the work has it be at last.
    let tree = work.repo.tree();
    write(&tree, "a.txt", "one\nthird\n");
    let third = commit(&tree, "third");
    let work = Work { commit: third, ..work };
    move_target(&work.repo, "a.txt", "one\nthird\n");
    let before = state(&work.repo);
    let error = work.try_merge(&work.order(How::Rebase)).await.unwrap_err();
    assert!(matches!(error, GitError::Merge(MergeError::ReplayConflicts { .. })), "{error}");
    assert_eq!(state(&work.repo), before);
    assert!(!work.merge(How::Squash).await.already_merged);
    assert_eq!(text(&work.repo, "b.txt"), "b\n");
}

#[tokio::test]
async fn uncommitted_work_of_the_checkout_stays_and_is_in_the_way_only_where_it_is_touched() {
    for how in EVERY {
        let work = Work::new().await;
        work.repo.write("mine.txt", "mine");
        work.repo.write(".gitignore", "ignored/\n# mine\n");
        work.repo.git(&["add", ".gitignore"]);
        let check = async |file: &str, content: &str| {
            work.repo.write(file, content);
            let preview = work.preview().await;
            assert_eq!(preview.checkout_dirty_files, [file]);
            assert_eq!(preview.checked_out_at, Some(work.repo.path().display().to_string()));
            let error = work.refused(&work.order(how)).await;
            let is = matches!(error, GitError::Merge(MergeError::WouldOverwrite { .. }));
            assert!(is && error.to_string().contains(file), "{error}");
        };
        check("a.txt", "one\nmy own\n").await;
        work.repo.git(&["add", "a.txt"]);
        check("a.txt", "one\nmy own\n").await;
        work.repo.git(&["reset", "-q", "a.txt"]);
        work.repo.git(&["checkout", "-q", "a.txt"]);
        check("b.txt", "untracked").await;
        std::fs::write(work.repo.path().join(".git/info/exclude"), "b.txt\n").unwrap();
        check("b.txt", "ignored").await;
        std::fs::remove_file(work.repo.path().join("b.txt")).unwrap();
        work.repo.write("b.txt/inner", "a directory where the work has a file");
        assert_eq!(work.preview().await.checkout_dirty_files, ["b.txt"]);
        work.refused(&work.order(how)).await;
        std::fs::remove_dir_all(work.repo.path().join("b.txt")).unwrap();

        work.merge(how).await;
        assert_eq!(text(&work.repo, "mine.txt"), "mine");
        let status = work.repo.git(&["status", "--porcelain"]);
        assert_eq!(status, "M  .gitignore\n?? mine.txt", "what was staged is still staged");
    }
}

#[tokio::test]
async fn a_merge_that_died_before_the_branch_moved_is_finished_by_the_next() {
    for how in EVERY {
        let work = Work::new().await;
        work.repo.write("mine.txt", "mine");
        // Git has put everything in place, and was killed.
        work.repo.git(&["read-tree", "-m", "-u", "main", &work.commit]);
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "M  a.txt\nA  b.txt\n?? mine.txt");
        work.repo.write("b.txt", "changed since");
        let error = work.refused(&work.order(how)).await;
        let is = matches!(error, GitError::Merge(MergeError::WouldOverwrite { .. }));
        assert!(is && error.to_string().contains("in 'b.txt',"), "{error}");
        work.repo.write("b.txt", "b\n");
        assert!(!work.merge(how).await.already_merged);
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "?? mine.txt", "{how:?}");
        assert_eq!(tree_of(&work.repo, "main"), tree_of(&work.repo, &work.commit));
    }
}

#[tokio::test]
async fn a_branch_that_is_not_checked_out_is_moved_without_touching_any_files() {
    for how in EVERY {
        let work = Work::new().await;
        work.repo.git(&["checkout", "-q", "--detach"]);
        work.repo.write("a.txt", "my own\n");
        let head = work.repo.git(&["rev-parse", "HEAD"]);
        assert_eq!(work.preview().await.checked_out_at, None);
        let merged = work.merge(how).await;
        assert_eq!(merged.checked_out_at, None);
        assert_eq!(work.repo.git(&["rev-parse", "main"]), merged.after);
        assert_eq!(tree_of(&work.repo, "main"), tree_of(&work.repo, &work.commit));
        assert_eq!(work.repo.git(&["rev-parse", "HEAD"]), head);
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "M a.txt");
        let log = work.repo.git(&["reflog", "show", "main"]);
        assert!(log.contains("hivekeeper: merge"), "{log}");
    }
}

#[tokio::test]
async fn a_branch_checked_out_in_another_worktree_is_updated_there() {
    let work = Work::new().await;
    work.repo.git(&["checkout", "-q", "-b", "other"]);
    let place = work.repo.root.path().join("second\nplace ä");
    work.repo.git(&["worktree", "add", "-q", place.to_str().unwrap(), "main"]);
    let place = place.canonicalize().unwrap();
    let merged = work.merge(How::Squash).await;
    assert_eq!(merged.checked_out_at, Some(place.display().to_string()));
    assert_eq!(std::fs::read_to_string(place.join("b.txt")).unwrap(), "b\n");
    assert!(!work.repo.path().join("b.txt").exists());

    // A checkout that is only registered is none.
    let work = Work::new().await;
    work.repo.git(&["checkout", "-q", "-b", "other"]);
    let gone = work.repo.root.path().join("gone");
    work.repo.git(&["worktree", "add", "-q", gone.to_str().unwrap(), "main"]);
    std::fs::remove_dir_all(&gone).unwrap();
    assert_eq!(work.merge(How::Merge).await.checked_out_at, None);

    // Unless it is locked: its disk may come back.
    let work = Work::new().await;
    work.repo.git(&["checkout", "-q", "-b", "other"]);
    let gone = work.repo.root.path().join("gone");
    work.repo.git(&["worktree", "add", "-q", "--lock", gone.to_str().unwrap(), "main"]);
    std::fs::remove_dir_all(&gone).unwrap();
    let error = work.refused(&work.order(How::Merge)).await;
    assert!(matches!(error, GitError::Merge(MergeError::CheckedOut { .. })), "{error}");
}

#[tokio::test]
async fn what_is_locked_or_unfinished_is_refused_with_what_to_do() {
    let work = Work::new().await;
    for lock in [".git/index.lock", ".git/HEAD.lock", ".git/refs/heads/main.lock"] {
        let lock = work.repo.path().join(lock);
        std::fs::write(&lock, "").unwrap();
        // Nothing of git works by hand then, so its state is compared by its files.
        let before = (walk(&work.repo.path()), work.repo.git(&["rev-parse", "main"]));
        for how in EVERY {
            let error = work.try_merge(&work.order(how)).await.unwrap_err();
            let expect = MergeError::Locked(lock.clone()).to_string();
            assert_eq!(error.to_string(), expect);
        }
        assert_eq!((walk(&work.repo.path()), work.repo.git(&["rev-parse", "main"])), before);
        std::fs::remove_file(&lock).unwrap();
    }
    let unfinished = |error: GitError, expect: &str| {
        let is = matches!(error, GitError::Merge(MergeError::Unfinished { doing, .. }) if doing == expect);
        assert!(is, "{error}");
    };
    std::fs::write(work.repo.path().join(".git/MERGE_HEAD"), format!("{}\n", work.base)).unwrap();
    unfinished(work.refused(&work.order(How::Merge)).await, "a merge");
    std::fs::remove_file(work.repo.path().join(".git/MERGE_HEAD")).unwrap();
    std::fs::create_dir(work.repo.path().join(".git/rebase-merge")).unwrap();
    std::fs::write(work.repo.path().join(".git/rebase-merge/head-name"), "refs/heads/main\n")
        .unwrap();
    work.repo.git(&["checkout", "-q", "--detach"]);
    unfinished(work.refused(&work.order(How::Merge)).await, "a rebase");
    std::fs::remove_dir_all(work.repo.path().join(".git/rebase-merge")).unwrap();
    work.merge(How::Merge).await;
}

#[tokio::test]
async fn what_is_no_branch_or_no_repository_is_refused_with_the_reason() {
    let work = Work::new().await;
    for name in ["", "gone", "-f", "--help", "@{-1}", "HEAD", "main^", "a b", "refs/heads/main"] {
        let order = MergeOrder { target_branch: name.to_owned(), ..work.order(How::Merge) };
        let error = work.refused(&order).await;
        let is = matches!(error, GitError::Merge(MergeError::NoBranch { .. }));
        assert!(is, "{name}: {error}");
        let path = work.repo.path();
        let preview = Git::new().merge_preview(&path, name, &work.base, &work.commit).await;
        assert_eq!(preview.unwrap_err().to_string(), error.to_string());
    }
    work.repo.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    let order = MergeOrder { target_branch: "alias".to_owned(), ..work.order(How::Merge) };
    let error = work.refused(&order).await;
    assert!(matches!(error, GitError::Merge(MergeError::Alias { .. })), "{error}");
    for commit in ["HEAD", "--all", "gone"] {
        let order = MergeOrder { commit: commit.to_owned(), ..work.order(How::Merge) };
        let error = work.refused(&order).await;
        assert!(matches!(error, GitError::NoCommit { .. }), "{error}");
    }
    let elsewhere = |path: PathBuf| {
        let order = work.order(How::Squash);
        async move { Git::new().merge(&path, &order).await.unwrap_err() }
    };
    let root = work.repo.root.path();
    assert!(matches!(elsewhere(root.join("vanished")).await, GitError::Missing(_)));
    assert!(matches!(elsewhere(root.to_owned()).await, GitError::NotARepository(_)));
    git(root, &["clone", "-q", "--bare", "repo", "bare.git"]);
    assert!(matches!(elsewhere(root.join("bare.git")).await, GitError::Bare(_)));
}

#[tokio::test]
async fn a_branch_with_an_odd_name_is_merged_into_and_not_taken_for_an_option() {
    let work = Work::new().await;
    // Git itself makes no such name, but may find one.
    for name in ["-f", "--abort", "ä/ö"] {
        work.repo.git(&["update-ref", &format!("refs/heads/{name}"), &work.base]);
        let order = MergeOrder { target_branch: name.to_owned(), ..work.order(How::Squash) };
        let merged = work.try_merge(&order).await.unwrap();
        let found = work.repo.git(&["rev-parse", &format!("refs/heads/{name}")]);
        assert_eq!(found, merged.after);
    }
}

#[tokio::test]
async fn a_shallow_clone_is_merged_into_as_far_as_its_history_reaches() {
    let origin = Repo::new();
    move_target(&origin, "c.txt", "c\n");
    let root = tempfile::tempdir().unwrap();
    let url = format!("file://{}", origin.path().display());
    git(root.path(), &["clone", "-q", "--depth", "1", &url, "repo"]);
    let work = Work::on(Repo { root }).await;
    move_target(&work.repo, "d.txt", "d\n");
    work.merge(How::Rebase).await;
    assert_eq!(text(&work.repo, "b.txt"), "b\n");
    let other = work.repo.git(&["commit-tree", "-m", "x", &format!("{}^{{tree}}", work.commit)]);
    let order =
        MergeOrder { commit: other, branch: None, worktree: None, ..work.order(How::Merge) };
    let order = MergeOrder { base: work.base.clone(), ..order };
    move_target(&work.repo, "e.txt", "e\n");
    let error = work.refused(&order).await;
    assert!(matches!(error, GitError::Unrelated(..)), "{error}");
}

#[tokio::test]
async fn repositories_of_every_kind_are_merged_into() {
    let odd = tempfile::Builder::new().prefix("o\"d: d\\\n").tempdir().unwrap();
    let plain = || tempfile::tempdir().unwrap();
    let begun = |root: tempfile::TempDir, how: &[&str]| {
        git(root.path(), &[&["init", "-q", "-b", "main"], how, &["repo"]].concat());
        let repo = Repo { root };
        move_target(&repo, "a.txt", "one\ntwo\n");
        repo
    };
    let partial = |origin: Repo| {
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        move_target(&origin, "a.txt", "one\ntwo\nthree\n");
        move_target(&origin, "a.txt", "one\ntwo\n");
        let root = plain();
        let url = format!("file://{}", origin.path().display());
        git(root.path(), &["clone", "-q", "--filter=blob:none", &url, "repo"]);
        drop(origin);
        Repo { root }
    };
    let elsewhere = plain();
    let separate = elsewhere.path().join("elsewhere.git");
    let separate = format!("--separate-git-dir={}", separate.display());
    for repo in [
        begun(plain(), &["--object-format=sha256"]),
        begun(tempfile::tempdir_in(odd.path()).unwrap(), &[]),
        begun(plain(), &[&separate]),
        partial(Repo::new()),
    ] {
        let work = Work::on(repo).await;
        move_target(&work.repo, "c.txt", "c\n");
        assert!(work.preview().await.conflicts.is_empty());
        let touched = Git::new().touched(&work.repo.tree(), &work.base).await.unwrap();
        assert_eq!(touched.len(), 2);
        work.merge(How::Rebase).await;
        assert_eq!(text(&work.repo, "a.txt"), "one\nTWO\n");
        assert_eq!(work.repo.git(&["status", "--porcelain"]), "");
    }
}

#[tokio::test]
async fn merging_runs_nothing_of_a_hostile_repository_but_the_filters_of_its_files() {
    for how in EVERY {
        let repo = Repo::new();
        repo.write(".gitattributes", Traps::ATTRIBUTES);
        repo.write("big.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        repo.write(
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch%20trace\n",
        );
        repo.git(&["add", "."]);
        repo.git(&["commit", "-q", "-m", "hostile"]);
        let link = format!("160000,{},x", "1".repeat(40));
        repo.git(&["update-index", "--add", "--cacheinfo", &link]);
        repo.git(&["commit", "-q", "-m", "a submodule"]);
        let work = Work::on(repo).await;
        write(&work.repo.tree(), "big.txt", "1\n2\n3\n4\n5\n6\n7\n8\nnine\n");
        let last = commit(&work.repo.tree(), "third");
        let work = Work { commit: last, ..work };
        move_target(&work.repo, "big.txt", "eins\n2\n3\n4\n5\n6\n7\n8\n9\n");
        let traps = Traps::set(&work.repo);
        let preview = work.preview().await;
        assert!(preview.conflicts.is_empty(), "git's own merging took the program's place");
        traps.expect_filters_at_most();
        work.merge(how).await;
        assert_eq!(text(&work.repo, "big.txt"), "eins\n2\n3\n4\n5\n6\n7\n8\nnine\n");
        traps.expect_filters_at_most();
        assert!(!work.repo.path().join("trace").exists(), "the submodule was not fetched");
    }
}

#[tokio::test]
async fn a_program_for_merging_cannot_merge_what_git_cannot() {
    let repo = Repo::new();
    repo.write(".gitattributes", "* merge=trap\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "hostile"]);
    let work = Work::on(repo).await;
    write(&work.repo.tree(), "bin", "a\0agent");
    let work = Work { commit: commit(&work.repo.tree(), "binary"), ..work };
    move_target(&work.repo, "bin", "a\0captain");
    let traps = Traps::set(&work.repo);
    assert_eq!(work.preview().await.conflicts, ["bin"]);
    traps.expect_filters_at_most();
}
