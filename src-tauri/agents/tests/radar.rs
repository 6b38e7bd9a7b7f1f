//! Which files attempts touch, and where they meet.

use std::path::PathBuf;

use agents::radar::{Touched, TouchedFile, conflicts, suggested_order};
use agents::review::FileStatus;
use agents::worktree::{Git, GitError};

use crate::hostile::Traps;
use crate::repo::{Repo, git, write};

fn numbered(changed: &[(usize, &str)]) -> String {
    let line = |n: usize| {
        let new = changed.iter().find(|(at, _)| *at == n);
        new.map_or_else(|| format!("{n}\n"), |(_, text)| (*text).to_owned())
    };
    (1..=30).map(line).collect()
}

fn begun() -> Repo {
    let repo = Repo::new();
    repo.write("shared.txt", &numbered(&[]));
    repo.write("gone.txt", "gone\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "numbers"]);
    repo
}

async fn attempt(repo: &Repo, n: u32) -> (PathBuf, String) {
    let dir = repo.root.path().join(format!("data/worktrees/{n}"));
    let place = Git::new().create(&repo.path(), &format!("hive/m{n}/1"), &dir).await.unwrap();
    (dir, place.base_commit.unwrap())
}

async fn touched(key: &str, dir: &std::path::Path, base: &str) -> Touched {
    let files = Git::new().touched(dir, base).await.unwrap();
    Touched { key: key.to_owned(), base: base.to_owned(), files }
}

fn lines(file: &TouchedFile) -> Vec<String> {
    file.lines.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn two_agents_changing_the_same_file_are_shown_with_the_lines_and_a_suggested_order() {
    let repo = begun();
    let (one, base) = attempt(&repo, 1).await;
    let (two, same) = attempt(&repo, 2).await;
    let (three, _) = attempt(&repo, 3).await;
    assert_eq!(base, same);
    // One has committed, one has not even told git of its files, one is elsewhere in the file.
    write(&one, "shared.txt", &numbered(&[(10, "ten\n"), (11, "eleven\n"), (20, "")]));
    write(&one, "new.txt", "by one\n");
    git(&one, &["add", "."]);
    git(&one, &["commit", "-q", "-m", "work"]);
    write(&two, "shared.txt", &numbered(&[(11, "ELEVEN\n")]));
    write(&two, "new.txt", "by two\n");
    write(&three, "shared.txt", &numbered(&[(29, "29\nand a half\n")]));
    let all = [
        touched("two", &two, &base).await,
        touched("one", &one, &base).await,
        touched("three", &three, &base).await,
    ];
    let found = conflicts(&all);
    let short: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.overlapping)).collect();
    assert_eq!(short, [("new.txt", true), ("shared.txt", true)]);
    assert_eq!(found[0].between, ["one", "two"]);
    assert_eq!(found[1].between, ["one", "three", "two"]);
    let shown: Vec<_> = found[1]
        .lines
        .iter()
        .map(|of| of.lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(shown, ["10-11,20", "before 30", "11"]);
    assert!(!found[1].by_file_only);
    let order: Vec<_> = suggested_order(&all).into_iter().map(|it| it.key).collect();
    assert_eq!(order, ["three", "two", "one"]);

    // What is said to overlap, git cannot merge; what is not, it can.
    let commit = |dir: &std::path::Path| {
        git(dir, &["add", "."]);
        git(dir, &["commit", "-q", "--allow-empty", "-m", "work"]);
        git(dir, &["rev-parse", "HEAD"])
    };
    let (a, b, c) = (commit(&one), commit(&two), commit(&three));
    let merges = async |commit: &str| {
        let preview = Git::new().merge_preview(&repo.path(), "main", &base, commit).await;
        preview.unwrap().conflicts
    };
    repo.git(&["merge", "-q", "--ff-only", &c]);
    assert!(merges(&a).await.is_empty());
    repo.git(&["merge", "-q", "--no-edit", &a]);
    assert_eq!(merges(&b).await, ["new.txt", "shared.txt"]);
}

#[tokio::test]
async fn what_is_touched_is_what_differs_from_the_base_committed_or_not() {
    let repo = begun();
    let (dir, base) = attempt(&repo, 1).await;
    assert!(Git::new().touched(&dir, &base).await.unwrap().is_empty());
    write(&dir, "shared.txt", &numbered(&[(1, "0\n1\n"), (5, "")]));
    git(&dir, &["commit", "-q", "-a", "-m", "work"]);
    std::fs::remove_file(dir.join("gone.txt")).unwrap();
    write(&dir, "n\ndiff --git a/x b/x\n@@ -1 +1 @@", "a name that looks like a patch\n");
    write(&dir, "ignored/x", "not touched");
    write(&dir, "bin", "a\0b");
    std::fs::remove_file(dir.join("a.txt")).unwrap();
    std::os::unix::fs::symlink("shared.txt", dir.join("a.txt")).unwrap();
    write(&dir, "z.txt", "1\n2\n3\n");
    let index = PathBuf::from(git(&dir, &["rev-parse", "--absolute-git-dir"])).join("index");
    let before = std::fs::read(&index).unwrap();
    let files = Git::new().touched(&dir, &base).await.unwrap();
    assert_eq!(std::fs::read(&index).unwrap(), before, "its index is as it was");
    let find = |path: &str| files.iter().find(|file| file.path == path).unwrap();
    assert_eq!(files.len(), 6);
    assert_eq!(lines(find("shared.txt")), ["before 1", "5"]);
    assert_eq!(find("shared.txt").changed_lines, 2);
    assert_eq!(
        (find("gone.txt").status, lines(find("gone.txt"))),
        (FileStatus::Deleted, vec!["1".to_owned()])
    );
    assert_eq!(find("a.txt").status, FileStatus::TypeChanged);
    assert_eq!(lines(find("a.txt")), ["1-2"]);
    assert!(!find("bin").lines_known, "a binary file has no lines");
    let odd = find("n\ndiff --git a/x b/x\n@@ -1 +1 @@");
    assert_eq!((odd.status, odd.changed_lines, odd.lines_known), (FileStatus::Added, 1, true));
    let last = find("z.txt");
    assert_eq!((last.changed_lines, last.lines_known), (3, true), "each has its own lines");
    let error = Git::new().touched(&dir, "HEAD").await.unwrap_err();
    assert!(matches!(error, GitError::NoCommit { .. }), "{error}");
}

#[tokio::test]
async fn a_huge_change_is_looked_at_without_reading_all_of_it() {
    let repo = begun();
    let (dir, base) = attempt(&repo, 1).await;
    write(&dir, "huge.txt", &"x".repeat(9 * 1024 * 1024));
    write(&dir, "huge2.txt", &"line\n".repeat(1_000_000));
    write(&dir, "shared.txt", &numbered(&[(7, "seven\n")]));
    let files = Git::new().touched(&dir, &base).await.unwrap();
    assert!(files.iter().all(|file| file.lines_known));
    assert_eq!(lines(&files[2]), ["7"]);
    assert_eq!(files[1].changed_lines, 1_000_000);
}

#[tokio::test]
async fn looking_at_what_is_touched_runs_nothing_but_the_filters_of_changed_files() {
    let repo = begun();
    let (dir, base) = attempt(&repo, 1).await;
    let traps = Traps::set(&repo);
    write(&dir, "shared.txt", &numbered(&[(7, "seven\n")]));
    write(&dir, ".gitattributes", "*.txt diff=trap merge=trap\n");
    assert_eq!(Git::new().touched(&dir, &base).await.unwrap().len(), 2);
    traps.expect_none();
    write(&dir, ".gitattributes", Traps::ATTRIBUTES);
    assert_eq!(Git::new().touched(&dir, &base).await.unwrap().len(), 2);
    traps.expect_only(&["clean"]);
}
