//! What an attempt's work is, as its reviewer sees it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use agents::review::{ChangedFile, FileStatus, PatchOrder};
use agents::worktree::{Git, GitError};

use crate::hostile::Traps;
use crate::repo::{Repo, git, write};

/// A worktree and its base.
async fn start(repo: &Repo) -> (PathBuf, String) {
    let base = repo.worktree().await.base_commit.unwrap();
    (repo.tree(), base)
}

fn commit(dir: &Path) -> String {
    git(dir, &["add", "--all"]);
    git(dir, &["commit", "-q", "-m", "work"]);
    git(dir, &["rev-parse", "HEAD"])
}

fn index_of(dir: &Path) -> (Vec<u8>, std::time::SystemTime) {
    let index = PathBuf::from(git(dir, &["rev-parse", "--absolute-git-dir"])).join("index");
    (std::fs::read(&index).unwrap(), index.metadata().unwrap().modified().unwrap())
}

fn objects(repo: &Repo) -> String {
    repo.git(&["count-objects", "-v"])
}

fn order(base: &str, commit: &str, path: Option<&str>) -> PatchOrder {
    PatchOrder {
        base: base.to_owned(),
        commit: commit.to_owned(),
        path: path.map(str::to_owned),
        old_path: None,
        context_lines: None,
        bytes_max: 1 << 20,
    }
}

#[tokio::test]
async fn a_worktree_is_seen_with_everything_in_it_and_nothing_of_it_is_touched() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    let clean = Git::new().seen(&tree).await.unwrap();
    assert_eq!((clean.head_commit.as_str(), clean.dirty_files), (base.as_str(), 0));
    assert_eq!(clean.tree, git(&tree, &["rev-parse", "HEAD^{tree}"]));

    write(&tree, "staged.txt", "1");
    git(&tree, &["add", "staged.txt"]);
    write(&tree, "staged.txt", "2");
    write(&tree, "a.txt", "changed\n");
    write(&tree, "new/ä b.txt", "new");
    write(&tree, "ignored/c.txt", "ignored");
    let (index, kept) = (index_of(&tree), objects(&repo));
    let seen = Git::new().seen(&tree).await.unwrap();
    assert_eq!((seen.head_commit.as_str(), seen.dirty_files), (base.as_str(), 3));
    assert_eq!(Git::new().seen(&tree).await.unwrap(), seen, "the same again");
    assert_eq!(index_of(&tree), index, "its index is as it was");
    assert_eq!(objects(&repo), kept, "nothing was written to the repository");
    let git_dir = PathBuf::from(git(&tree, &["rev-parse", "--absolute-git-dir"]));
    let left = std::fs::read_dir(git_dir).unwrap().flatten();
    assert!(!left.map(|e| e.file_name()).any(|name| name.as_bytes().starts_with(b"hivekeeper")));

    let work = Git::new().secure(&tree, "hive/m1/1", &base, "left").await.unwrap();
    let secured = Git::new().tree_of(&repo.path(), &work.head_commit).await.unwrap();
    assert_eq!(secured, seen.tree, "what was seen is what is committed");
}

#[tokio::test]
async fn a_change_of_the_same_size_in_the_same_moment_is_seen() {
    let repo = Repo::new();
    let (tree, _) = start(&repo).await;
    for n in 0..20 {
        write(&tree, "a.txt", &format!("one\nt{n:02}\n"));
        git(&tree, &["add", "a.txt"]);
        let before = Git::new().seen(&tree).await.unwrap();
        write(&tree, "a.txt", &format!("one\nT{n:02}\n"));
        assert_ne!(Git::new().seen(&tree).await.unwrap().tree, before.tree, "{n}");
    }
}

#[tokio::test]
async fn a_worktree_that_is_cut_off_is_not_taken_for_another() {
    let repo = Repo::new();
    let (tree, _) = start(&repo).await;
    std::fs::remove_file(tree.join(".git")).unwrap();
    let error = Git::new().seen(&tree).await.unwrap_err();
    assert!(matches!(error, GitError::Unlinked { .. }), "{error}");
    let error = Git::new().seen(&repo.root.path().join("gone")).await.unwrap_err();
    assert!(matches!(error, GitError::Missing(_)), "{error}");
}

#[tokio::test]
async fn a_repository_inside_without_a_commit_is_left_out_of_what_is_seen() {
    let repo = Repo::new();
    let (tree, _) = start(&repo).await;
    git(&tree, &["init", "-q", "inner"]);
    write(&tree, "inner/x", "x");
    write(&tree, "b.txt", "b");
    assert_eq!(Git::new().seen(&tree).await.unwrap().dirty_files, 1);
}

#[tokio::test]
async fn changed_files_are_listed_with_what_happened_to_them() {
    let repo = Repo::new();
    let long: String = (0..50).map(|n| format!("line {n}\n")).collect();
    repo.write("moved.txt", &long);
    repo.write("gone.txt", "gone\n");
    repo.write("link", "a file\n");
    repo.write("bin", "a\0b");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "second"]);
    let (tree, base) = start(&repo).await;
    git(&tree, &["mv", "--", "moved.txt", "-n e\nw\t\"ä\".txt"]);
    write(&tree, "a.txt", "one\n2\nthree\n");
    write(&tree, "copy.txt", &format!("{long}and more\n"));
    write(&tree, "bin", "a\0c");
    std::fs::remove_file(tree.join("gone.txt")).unwrap();
    std::fs::remove_file(tree.join("link")).unwrap();
    std::os::unix::fs::symlink("a.txt", tree.join("link")).unwrap();
    std::fs::write(tree.join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    let commit = commit(&tree);
    // What the checkout moves on to is not the attempt's work.
    repo.write("later.txt", "later");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "later"]);
    let later = repo.git(&["rev-parse", "HEAD"]);

    let changes = Git::new().changed(&repo.path(), &later, &commit).await.unwrap();
    assert_eq!((changes.base.as_str(), changes.truncated), (base.as_str(), false));
    let find = |path: &str| -> ChangedFile {
        changes.files.iter().find(|file| file.path == path).unwrap().clone()
    };
    let lines = |file: &ChangedFile| (file.status, file.insertions, file.deletions, file.binary);
    assert_eq!(lines(&find("a.txt")), (FileStatus::Modified, Some(2), Some(1), false));
    assert_eq!(lines(&find("gone.txt")), (FileStatus::Deleted, Some(0), Some(1), false));
    assert_eq!(lines(&find("bin")), (FileStatus::Modified, None, None, true));
    assert_eq!(find("link").status, FileStatus::TypeChanged);
    let moved = find("-n e\nw\t\"ä\".txt");
    assert_eq!(moved.old_path.as_deref(), Some("moved.txt"));
    assert!(moved.exact && matches!(moved.status, FileStatus::Renamed | FileStatus::Copied));
    let copy = find("copy.txt");
    assert_eq!(copy.old_path.as_deref(), Some("moved.txt"));
    assert_eq!((copy.insertions, copy.deletions), (Some(1), Some(0)));
    let odd = find("\u{fffd}");
    assert!(!odd.exact && odd.status == FileStatus::Added);
    assert_eq!(changes.files.len(), 7);
}

#[tokio::test]
async fn more_files_than_are_listed_are_said() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    for n in 0..agents::review::FILES_MAX + 1 {
        write(&tree, &format!("many/{n:05}"), "");
    }
    let commit = commit(&tree);
    let changes = Git::new().changed(&tree, &base, &commit).await.unwrap();
    assert_eq!((changes.files.len(), changes.truncated), (agents::review::FILES_MAX, true));
}

#[tokio::test]
async fn a_patch_is_shown_of_a_file_with_whatever_name() {
    let repo = Repo::new();
    repo.write("moved.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "second"]);
    let (tree, base) = start(&repo).await;
    let names = ["-p", "--output=x", "a b", "n\nl", "ä", ":(top)x", "*", "\"q\"", "a.txt"];
    for name in names {
        write(&tree, name, "only this\n");
    }
    git(&tree, &["mv", "moved.txt", "there.txt"]);
    write(&tree, "there.txt", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n");
    std::fs::write(tree.join("latin"), b"\xe4\n").unwrap();
    let commit = commit(&tree);
    let patch = async |order: PatchOrder| Git::new().patch(&tree, &order).await.unwrap();
    for name in names {
        let patch = patch(order(&base, &commit, Some(name))).await;
        assert_eq!(patch.text.matches("diff --git").count(), 1, "{name}: {}", patch.text);
        assert!(patch.text.contains("+only this\n") && !patch.truncated, "{name}");
    }
    assert!(patch(order(&base, &commit, Some("latin"))).await.text.contains("+\u{fffd}\n"));
    assert_eq!(patch(order(&base, &commit, Some("not there"))).await.text, "");

    let mut renamed = order(&base, &commit, Some("there.txt"));
    renamed.old_path = Some("moved.txt".to_owned());
    let text = patch(renamed.clone()).await.text;
    assert!(text.contains("rename from moved.txt\nrename to there.txt\n"), "{text}");
    assert!(text.contains("@@ -2,7 +2,7 @@"), "three lines around: {text}");
    renamed.context_lines = Some(0);
    assert!(patch(renamed.clone()).await.text.contains("@@ -5 +5 @@"));

    let whole = patch(order(&base, &commit, None)).await;
    assert_eq!(whole.text.matches("diff --git").count(), names.len() + 2);
    let mut short = order(&base, &commit, None);
    short.bytes_max = 100;
    let short = patch(short).await;
    assert!(short.truncated && short.text.len() <= 100 && short.text.ends_with('\n'));
    assert!(whole.text.starts_with(&short.text));
}

#[tokio::test]
async fn only_full_names_of_commits_are_taken() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    let blob = git(&tree, &["rev-parse", "HEAD:a.txt"]);
    let missing = "a".repeat(40);
    for name in ["", "HEAD", "main", "--help", "-p", &base[..39], "HEAD~0", &blob, &missing] {
        for error in [
            Git::new().changed(&tree, &base, name).await.map(drop).unwrap_err(),
            Git::new().patch(&tree, &order(name, &base, None)).await.map(drop).unwrap_err(),
            Git::new().tree_of(&tree, name).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, GitError::NoCommit { .. }), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn commits_without_a_common_history_are_refused_with_what_to_do() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    git(&tree, &["checkout", "-q", "--orphan", "other"]);
    let other = commit(&tree);
    let error = Git::new().changed(&tree, &base, &other).await.unwrap_err();
    assert!(matches!(error, GitError::Unrelated(..)), "{error}");
    assert!(error.to_string().contains("git fetch --unshallow"), "{error}");
}

#[tokio::test]
async fn reviewing_runs_nothing_of_a_hostile_repository() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    write(&tree, "a.txt", "one\nchanged\n");
    write(&tree, "hidden.txt", "hidden\n");
    let traps = Traps::set(&repo);
    write(&tree, ".gitattributes", &format!("{}hidden.txt -diff\n", Traps::ATTRIBUTES));
    // Git by hand would run them all.
    let commit = traps.while_off(|| commit(&tree));
    let changes = Git::new().changed(&tree, &base, &commit).await.unwrap();
    assert_eq!(changes.files.len(), 3);
    let hidden = changes.files.iter().find(|file| file.path == "hidden.txt").unwrap();
    assert_eq!((hidden.insertions, hidden.binary), (Some(1), false), "it cannot hide");
    let patch = Git::new().patch(&tree, &order(&base, &commit, None)).await.unwrap();
    assert!(patch.text.contains("+changed\n") && patch.text.contains("+hidden\n"), "{patch:?}");
    traps.expect_none();

    // The filter decides what is committed, so it decides what is seen.
    write(&tree, "b.txt", "b");
    let seen = Git::new().seen(&tree).await.unwrap();
    assert_eq!(seen.dirty_files, 1);
    traps.expect_only(&["clean"]);
}

#[tokio::test]
async fn a_replaced_object_does_not_show_the_reviewer_another_work() {
    let repo = Repo::new();
    let (tree, base) = start(&repo).await;
    write(&tree, "a.txt", "real\n");
    let real = commit(&tree);
    git(&tree, &["checkout", "-q", "--detach", &base]);
    write(&tree, "a.txt", "harmless\n");
    let fake = commit(&tree);
    repo.git(&["replace", &real, &fake]);
    let patch = Git::new().patch(&repo.path(), &order(&base, &real, None)).await.unwrap();
    assert!(patch.text.contains("+real\n") && !patch.text.contains("harmless"), "{}", patch.text);
}
