//! Checkpoints of real worktrees: whatever the repository does to files, bytes come back as they were.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use agents::checkpoint::Checkpointed;
use agents::worktree::{Git, GitError};

use crate::repo::{Repo, git, write};

/// Files by their path below a directory: their bytes, and whether they may be executed.
pub(crate) type Picture = BTreeMap<PathBuf, (Vec<u8>, bool)>;

/// Every file below `root` but git's own link: its bytes, or where it leads, and whether it may be
/// executed.
pub(crate) fn picture(root: &Path) -> Picture {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_symlink() {
                let to = std::fs::read_link(&path).unwrap();
                files.insert(name, (to.as_os_str().as_encoded_bytes().to_vec(), false));
            } else if name != Path::new(".git") {
                let runs = metadata.permissions().mode() & 0o100 != 0;
                files.insert(name, (std::fs::read(&path).unwrap(), runs));
            }
        }
    }
    files
}

/// What must not change when a checkpoint is made: files, index, branches, what is checked out.
fn surroundings(repo: &Repo) -> (Picture, Vec<u8>, String, String) {
    let index = git(&repo.tree(), &["rev-parse", "--path-format=absolute", "--git-path", "index"]);
    (
        picture(&repo.tree()),
        std::fs::read(index).unwrap(),
        repo.git(&["for-each-ref", "refs/heads"]),
        git(&repo.tree(), &["rev-parse", "HEAD"]),
    )
}

fn executable(path: &Path, yes: bool) {
    let mode = if yes { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A repository that turns line ends, filters, expands and recodes what it can.
async fn meddlesome() -> Repo {
    let repo = Repo::new();
    repo.git(&["config", "core.autocrlf", "true"]);
    repo.git(&["config", "filter.shout.clean", "tr a-z A-Z"]);
    repo.git(&["config", "filter.shout.smudge", "tr A-Z a-z"]);
    repo.git(&["config", "filter.shout.required", "true"]);
    repo.write(
        ".gitattributes",
        "*.shout filter=shout\n*.id ident\n*.u16 text working-tree-encoding=UTF-16LE\n*.txt text=auto\n",
    );
    repo.write("a.shout", "as it is\n");
    repo.write("gone.txt", "will be removed\n");
    repo.write("tool", "#!/bin/sh\n");
    executable(&repo.path().join("tool"), true);
    repo.write("force/kept.log", "tracked although it is ignored\n");
    repo.write(".gitignore", "ignored/\n*.log\n");
    repo.git(&["add", "."]);
    repo.git(&["add", "-f", "force/kept.log"]);
    repo.git(&["commit", "-q", "-m", "a repository with opinions"]);
    repo.worktree().await;
    repo
}

/// Work as an agent leaves it: committed, staged, changed again, new, removed, linked, executable.
fn work(tree: &Path) {
    write(tree, "committed.txt", "one\r\ntwo\nthree\r\n");
    git(tree, &["add", "committed.txt"]);
    git(tree, &["commit", "-q", "-m", "some"]);
    write(tree, "staged.txt", "staged\n");
    git(tree, &["add", "staged.txt"]);
    write(tree, "staged.txt", "changed after it was staged\r\n");
    write(tree, "a.shout", "Mixed CASE\n");
    write(tree, "new/ä \"b\".txt", "untracked\r\n");
    write(tree, "x.id", "$Id: not expanded $\n");
    std::fs::write(tree.join("y.u16"), [0xff, 0xfe, 0x00]).unwrap();
    std::fs::write(tree.join("binary"), [0, 255, 13, 10, 13]).unwrap();
    std::fs::write(tree.join("empty"), []).unwrap();
    std::fs::remove_file(tree.join("gone.txt")).unwrap();
    symlink("nowhere/at all", tree.join("link")).unwrap();
    executable(&tree.join("tool"), false);
    write(tree, "run me", "#!/bin/sh\r\n");
    executable(&tree.join("run me"), true);
    write(tree, "force/kept.log", "changed, still tracked\n");
    write(tree, "ignored/cache", "first");
}

/// What somebody does afterwards, to be undone.
fn havoc(tree: &Path) {
    // Git by hand refuses to add bytes that are not in the encoding it was told of.
    std::fs::remove_file(tree.join("y.u16")).unwrap();
    git(tree, &["add", "--all"]);
    git(tree, &["commit", "-q", "-m", "later"]);
    write(tree, "a.shout", "other");
    std::fs::remove_file(tree.join("link")).unwrap();
    write(tree, "link/is/a/directory", "now");
    std::fs::remove_dir_all(tree.join("new")).unwrap();
    write(tree, "new", "is a file now");
    write(tree, "committed.txt", "one\ntwo\nthree\n");
    executable(&tree.join("run me"), false);
    executable(&tree.join("tool"), true);
    std::fs::remove_file(tree.join("binary")).unwrap();
    symlink("a.txt", tree.join("binary")).unwrap();
    write(tree, "more/and/more", "x");
    write(tree, "gone.txt", "back again");
    write(tree, "ignored/cache", "second");
    write(tree, "force/kept.log", "once more");
    git(tree, &["add", "more"]);
}

async fn made(repo: &Repo, name: &str) -> Checkpointed {
    Git::new().checkpoint(&repo.tree(), name, "a checkpoint").await.unwrap()
}

fn without_ignored(mut picture: Picture) -> Picture {
    picture.retain(|path, _| !path.starts_with("ignored"));
    picture
}

#[tokio::test]
async fn restoring_a_checkpoint_gives_byte_identical_state_and_a_damaged_one_is_refused() {
    let repo = meddlesome().await;
    let tree = repo.tree();
    work(&tree);
    let before = surroundings(&repo);
    let first = made(&repo, "first").await;
    assert_eq!(surroundings(&repo), before, "making one touches nothing");
    assert_eq!(first.files, before.0.len() as u64 - 1, "all but the ignored one");
    assert!(first.uncommitted_files >= 10, "{first:?}");
    assert_eq!(made(&repo, "first").await, first, "made twice it is the same");

    havoc(&tree);
    let after = surroundings(&repo);
    let restored = Git::new().restore(&tree, &first.commit, &first.tree).await.unwrap();
    assert_eq!(restored.tree, first.tree);
    assert!(restored.changed_files >= 10, "{restored:?}");
    let now = surroundings(&repo);
    assert_eq!(without_ignored(now.0.clone()), without_ignored(before.0.clone()));
    assert_eq!(now.0[Path::new("ignored/cache")].0, b"second", "ignored files stay");
    assert_eq!((&now.2, &now.3), (&after.2, &after.3), "no branch is moved");
    assert_eq!(git(&tree, &["diff", "--cached", "--name-only"]), "", "nothing is staged");

    // What was there before can be had again.
    let back = &restored.snapshot;
    Git::new().restore(&tree, &back.commit, &back.tree).await.unwrap();
    assert_eq!(picture(&tree), after.0);

    damage_is_refused(&repo, &first).await;
}

/// Each object of a checkpoint in turn is cut, changed, exchanged or removed.
async fn damage_is_refused(repo: &Repo, sound: &Checkpointed) {
    let tree = repo.tree();
    let list = ["rev-list", "--objects", "--no-walk", sound.commit.as_str()];
    let objects = repo.git(&list);
    let objects: Vec<&str> = objects.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(objects.len() > 10);
    let before = picture(&tree);
    for (index, object) in objects.iter().enumerate() {
        let (directory, name) = object.split_at(2);
        let path = repo.path().join(".git/objects").join(directory).join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = objects[(index + 1) % objects.len()].split_at(2);
        let other = repo.path().join(".git/objects").join(other.0).join(other.1);
        match index % 4 {
            0 => {}
            1 => std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            2 => {
                let mut flipped = bytes.clone();
                flipped[bytes.len() / 2] ^= 0x10;
                std::fs::write(&path, flipped).unwrap();
            }
            _ => std::fs::copy(&other, &path).map(drop).unwrap(),
        }
        let error = Git::new().restore(&tree, &sound.commit, &sound.tree).await.unwrap_err();
        assert!(matches!(error, GitError::DamagedCheckpoint { .. }), "{index}: {error:?}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(picture(&tree), before, "nothing was changed");
    Git::new().verify_checkpoint(&tree, &sound.commit, &sound.tree).await.unwrap();
    Git::new().verify_checkpoint(&repo.path(), &sound.commit, &sound.tree).await.unwrap();
    for (commit, recorded) in [
        (sound.commit.as_str(), objects[0]),
        (sound.tree.as_str(), sound.tree.as_str()),
        ("HEAD", sound.tree.as_str()),
        ("--all", ""),
    ] {
        let error = Git::new().verify_checkpoint(&tree, commit, recorded).await.unwrap_err();
        assert!(matches!(error, GitError::DamagedCheckpoint { .. }), "{commit}: {error:?}");
    }
}

#[tokio::test]
async fn what_was_ignored_meanwhile_is_kept_before_it_is_removed() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    write(&tree, "secret.env", "first");
    let checkpoint = made(&repo, "c").await;
    let before = picture(&tree);
    write(&tree, ".gitignore", "ignored/\n*.env\nbuild/\n");
    write(&tree, "secret.env", "second, and ignored now");
    write(&tree, "build/out", "ignored when it was made");
    let restored = Git::new().restore(&tree, &checkpoint.commit, &checkpoint.tree).await.unwrap();
    assert_eq!(picture(&tree), before);
    let kept = |name: &str| {
        let all = repo.git(&["rev-list", "--all"]);
        all.lines().map(|commit| format!("{commit}:{name}")).find_map(|object| {
            let found = std::process::Command::new("git")
                .args(["cat-file", "-p", &object])
                .current_dir(repo.path())
                .output()
                .unwrap();
            (found.status.success() && found.stdout != b"first").then_some(found.stdout)
        })
    };
    assert_eq!(kept("secret.env").unwrap(), b"second, and ignored now");
    assert_eq!(kept("build/out").unwrap(), b"ignored when it was made");
    assert!(restored.snapshot.reference.starts_with("refs/hive/snapshots/attempt/"));
}

#[tokio::test]
async fn an_ignored_file_in_the_way_of_a_checkpoint_is_left_and_nothing_is_changed() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    write(&tree, "out/one", "a file of the checkpoint");
    let checkpoint = made(&repo, "c").await;
    std::fs::remove_dir_all(tree.join("out")).unwrap();
    write(&tree, ".gitignore", "ignored/\nout\n");
    write(&tree, "out", "ignored, and in the way");
    let before = picture(&tree);
    let result = Git::new().restore(&tree, &checkpoint.commit, &checkpoint.tree).await;
    let error = result.unwrap_err();
    assert!(error.to_string().contains("out"), "{error}");
    assert_eq!(picture(&tree), before);
}

#[tokio::test]
async fn what_was_staged_and_then_changed_is_kept_too() {
    let repo = Repo::new();
    repo.worktree().await;
    write(&repo.tree(), "a.txt", "staged");
    git(&repo.tree(), &["add", "a.txt"]);
    write(&repo.tree(), "a.txt", "changed again");
    let checkpoint = made(&repo, "c").await;
    let show = |object: String| repo.git(&["cat-file", "-p", &object]);
    assert_eq!(show(format!("{}:a.txt", checkpoint.commit)), "changed again");
    assert_eq!(show(format!("{}^2:a.txt", checkpoint.commit)), "staged");
}

#[tokio::test]
async fn a_repository_inside_is_left_alone_and_counted() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    for (name, commits) in [("with", true), ("without", false)] {
        write(&tree, &format!("{name}/file"), "theirs");
        git(&tree.join(name), &["init", "-q"]);
        if commits {
            git(&tree.join(name), &["add", "."]);
            git(&tree.join(name), &["commit", "-q", "-m", "theirs"]);
        }
    }
    let checkpoint = made(&repo, "c").await;
    assert_eq!(checkpoint.nested_repositories, 1, "the other one git cannot even name");
    write(&tree, "with/file", "changed");
    write(&tree, "a.txt", "changed");
    Git::new().restore(&tree, &checkpoint.commit, &checkpoint.tree).await.unwrap();
    let files = picture(&tree);
    assert_eq!(files[Path::new("with/file")].0, b"changed");
    assert_eq!(files[Path::new("without/file")].0, b"theirs");
    assert_eq!(files[Path::new("a.txt")].0, b"one\ntwo\n");
}

#[tokio::test]
async fn a_worktree_in_any_state_can_be_kept() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    // In the middle of a merge that does not fit.
    write(&tree, "a.txt", "ours\n");
    git(&tree, &["commit", "-q", "-a", "-m", "ours"]);
    repo.write("a.txt", "theirs\n");
    repo.git(&["commit", "-q", "-a", "-m", "theirs"]);
    let merge = ["-c", "user.name=T", "-c", "user.email=t@localhost", "merge", "-q", "main"];
    let merge = std::process::Command::new("git").args(merge).current_dir(&tree).output().unwrap();
    assert!(!merge.status.success());
    let before = surroundings(&repo);
    let merging = made(&repo, "merging").await;
    assert_eq!(surroundings(&repo), before);
    // Without any commit, and with a lock a killed git left.
    git(&tree, &["checkout", "-q", "-f", "--orphan", "nothing"]);
    let lock = git(&tree, &["rev-parse", "--path-format=absolute", "--git-path", "index.lock"]);
    std::fs::write(lock, "").unwrap();
    write(&tree, "a.txt", "an orphan");
    made(&repo, "orphan").await;
    Git::new().restore(&tree, &merging.commit, &merging.tree).await.unwrap();
    assert_eq!(picture(&tree), before.0);
    // As a checkout of its own.
    repo.write("b.txt", "in the checkout");
    let git_ = Git::new();
    let own = git_.checkpoint(&repo.path(), "own", "m").await.unwrap();
    assert_eq!(repo.git(&["cat-file", "-p", &format!("{}:b.txt", own.commit)]), "in the checkout");
}

#[tokio::test]
async fn a_checkpoint_of_the_same_name_keeps_the_earlier_one_and_can_be_let_go() {
    let repo = Repo::new();
    repo.worktree().await;
    let first = made(&repo, "c").await;
    write(&repo.tree(), "a.txt", "changed");
    let lock = repo.path().join(".git/refs/hive/checkpoints/c.lock");
    std::fs::write(lock, "left by a killed git").unwrap();
    let second = made(&repo, "c").await;
    assert_ne!(first.commit, second.commit);
    repo.git(&["merge-base", "--is-ancestor", &first.commit, &second.commit]);
    let git_ = Git::new();
    git_.forget_checkpoint(&repo.path(), "c").await.unwrap();
    git_.forget_checkpoint(&repo.path(), "c").await.unwrap();
    assert_eq!(repo.git(&["for-each-ref", "refs/hive"]), "");
    let error = git_.checkpoint(&repo.tree(), "../heads/main", "m").await.unwrap_err();
    assert!(matches!(error, GitError::BadName(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_worktree_has_no_checkpoint() {
    let repo = Repo::new();
    repo.write("inner/file", "x");
    let git_ = Git::new();
    let error = git_.checkpoint(&repo.path().join("inner"), "c", "m").await.unwrap_err();
    assert!(error.to_string().contains("inner"), "{error}");
    let error = git_.checkpoint(&repo.path().join("gone"), "c", "m").await.unwrap_err();
    assert!(matches!(error, GitError::Missing(_)), "{error}");
    assert_eq!(repo.git(&["for-each-ref", "refs/hive"]), "");
}
