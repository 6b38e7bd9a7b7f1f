//! Puts reviewed work onto a branch: makes the commit, checks it, and moves the branch.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::checkouts::Standing;
use crate::merge::{How, Melt, MergeError, MergeOrder, Merged, Target, WHAT};
use crate::secure::FALLBACK_COMMITTER;
use crate::worktree::{Git, GitError, refused};

/// The most commits that are replayed one by one.
const REPLAYED_MAX: usize = 500;
/// The most of a message that is used, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A fast-forward and nothing else; nothing is overwritten, put away or signed. Strategies that a
/// configuration names would make git merge where it is told to fast-forward.
const FAST_FORWARD: &[&str] = &[
    "merge",
    "--quiet",
    "--no-stat",
    "--no-squash",
    "--strategy=ort",
    "--commit",
    "--ff-only",
    "--no-autostash",
    "--no-verify",
    "--no-verify-signatures",
    "--no-gpg-sign",
    "--no-overwrite-ignore",
];

impl Git {
    /// Puts the reviewed commit of an attempt onto a branch.
    ///
    /// Where the branch has not moved since the work was started, the result has exactly the reviewed
    /// tree. Where it has, the result is what both are together. A checkout of the branch follows;
    /// its uncommitted changes stay as they are.
    ///
    /// Idempotent: what the branch has already is not merged again.
    ///
    /// # Errors
    /// [`MergeError`] says what keeps the work from being merged; nothing was changed then, save that
    /// git holds commits nobody refers to. The others are those of [`Git::inspect`].
    pub async fn merge(&self, repo: &Path, order: &MergeOrder) -> Result<Merged, GitError> {
        let target = self.target_of(repo, &order.target_branch).await?;
        let root = target.root.as_path();
        self.check_commit(root, &order.base).await?;
        let reviewed = self.tree_of(root, &order.commit).await?;
        let before = self.tree_of(root, &target.commit).await?;
        if self.stands_on(root, &target.commit, &order.commit).await? {
            return Ok(already(target, before));
        }
        let melt = self.melt(root, &target.commit, &order.commit, None).await?;
        if melt.conflicts.is_empty() && melt.tree == before {
            return Ok(already(target, before));
        }
        self.check_unchanged(root, order, &reviewed).await?;
        check_target(order, &target)?;
        if !melt.conflicts.is_empty() {
            let branch = order.branch.clone().unwrap_or_else(|| order.commit.clone());
            let (target, files) = (target.branch, melt.conflicts);
            return Err(MergeError::Conflicts { target, branch, files }.into());
        }
        let forward = self.stands_on(root, &order.commit, &target.commit).await?;
        if forward && melt.tree != reviewed {
            return Err(MergeError::NotAsReviewed { commit: order.commit.clone() }.into());
        }
        let place = match self.standing(&target).await? {
            Standing::Free => None,
            Standing::At(place) => Some(place),
            Standing::Hindered { why, .. } => return Err(why.into()),
        };
        if let Some(place) = &place {
            self.check_clean(&target, place, &melt.tree).await?;
        }
        self.check_locks(&target, place.as_deref()).await?;
        let made = self.make(&target, order, &melt, forward).await?;
        self.move_branch(&target, place.as_deref(), &made).await?;
        Ok(Merged {
            before: target.commit,
            target_branch: target.branch,
            after: made,
            tree: melt.tree,
            already_merged: false,
            checked_out_at: place.map(|place| place.display().to_string()),
        })
    }

    /// Whether `commit` has all of the history of `below`.
    async fn stands_on(&self, root: &Path, commit: &str, below: &str) -> Result<bool, GitError> {
        let ask = ["merge-base", "--is-ancestor", below, commit];
        let answer = self.ask(root, WHAT, &ask, &[]).await?;
        match answer.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(refused(WHAT, answer)),
        }
    }

    /// Refuses where the branch or the worktree has something that was not reviewed.
    async fn check_unchanged(
        &self,
        root: &Path,
        order: &MergeOrder,
        reviewed: &str,
    ) -> Result<(), GitError> {
        let changed = |place: &str| MergeError::ChangedAfterReview {
            place: place.to_owned(),
            commit: order.commit.clone(),
        };
        if let Some(branch) = &order.branch {
            let name = format!("refs/heads/{branch}");
            let ask = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
            let tip = self.ask(root, WHAT, &ask, &[]).await?;
            if tip.code == Some(0) && tip.line() != order.commit {
                return Err(changed(branch).into());
            }
        }
        if let Some(worktree) = &order.worktree
            && Path::new(worktree).exists()
            && self.seen(Path::new(worktree)).await?.tree != reviewed
        {
            return Err(changed(worktree).into());
        }
        Ok(())
    }

    async fn check_clean(&self, target: &Target, place: &Path, to: &str) -> Result<(), GitError> {
        let files = self.overwritten(place, &target.commit, to, None).await?;
        if files.is_empty() {
            return Ok(());
        }
        let (target, place) = (target.branch.clone(), place.to_owned());
        Err(MergeError::WouldOverwrite { target, place, files }.into())
    }

    /// Makes the commit that the branch is to have.
    async fn make(
        &self,
        target: &Target,
        order: &MergeOrder,
        melt: &Melt,
        forward: bool,
    ) -> Result<String, GitError> {
        let root = target.root.as_path();
        let who = self.committer(root).await?;
        let message = message(order);
        let made = match order.how {
            How::Rebase if forward => return Ok(order.commit.clone()),
            How::Rebase => {
                let made = self.replay(target, order, &who).await?;
                if self.tree_of(root, &made).await? != melt.tree {
                    let target = target.branch.clone();
                    return Err(MergeError::ReplayDiffers { target }.into());
                }
                return Ok(made);
            }
            How::Merge => Draft {
                tree: &melt.tree,
                parents: &[&target.commit, &order.commit],
                author: &who,
                committer: &who,
                encoding: None,
                message: message.as_bytes(),
            },
            How::Squash => {
                let raw = self.raw_commit(root, &order.commit).await?;
                let original = Original::read(&raw).ok_or(GitError::Unreadable { what: WHAT })?;
                let draft = Draft {
                    tree: &melt.tree,
                    parents: &[&target.commit],
                    author: original.author,
                    committer: &who,
                    encoding: None,
                    message: message.as_bytes(),
                };
                return self.write_commit(root, &draft).await;
            }
        };
        self.write_commit(root, &made).await
    }

    /// Makes the work's commits again, one by one, on the branch.
    async fn replay(
        &self,
        target: &Target,
        order: &MergeOrder,
        who: &[u8],
    ) -> Result<String, GitError> {
        let root = target.root.as_path();
        let list = ["rev-list", "--reverse", "--topo-order", "--no-merges"];
        let list = [&list[..], &[&order.commit, "--not", &target.commit]].concat();
        let list = self.tell(root, WHAT, &list, &[]).await?;
        let list = String::from_utf8_lossy(&list.out).into_owned();
        if list.lines().count() > REPLAYED_MAX {
            return Err(MergeError::TooManyCommits { commits_max: REPLAYED_MAX }.into());
        }
        let mut onto = target.commit.clone();
        let mut onto_tree = self.tree_of(root, &onto).await?;
        for commit in list.lines() {
            let raw = self.raw_commit(root, commit).await?;
            let original = Original::read(&raw).ok_or(GitError::Unreadable { what: WHAT })?;
            let Some(parent) = original.parent else {
                return Err(GitError::Unrelated(commit.to_owned(), onto));
            };
            let mut draft = Draft {
                tree: &onto_tree,
                parents: &[parent],
                author: original.author,
                committer: who,
                encoding: original.encoding,
                message: original.message,
            };
            // What the branch has, as if it were made of the same parent: so git compares with that.
            let ours = self.write_commit(root, &draft).await?;
            let melt = self.melt(root, &ours, commit, None).await?;
            if !melt.conflicts.is_empty() {
                let (target, commit) = (target.branch.clone(), commit.to_owned());
                let files = melt.conflicts;
                return Err(MergeError::ReplayConflicts { target, commit, files }.into());
            }
            let was_empty = self.tree_of(root, parent).await? == original.tree;
            if melt.tree == onto_tree && !was_empty {
                continue; // The branch has it already.
            }
            let parents = [onto.as_str()];
            draft.tree = &melt.tree;
            draft.parents = &parents;
            onto = self.write_commit(root, &draft).await?;
            onto_tree = melt.tree;
        }
        Ok(onto)
    }

    /// Who commits, and when, as git writes it.
    async fn committer(&self, root: &Path) -> Result<Vec<u8>, GitError> {
        let mut ask = Vec::new();
        if self.ask(root, WHAT, &["config", "user.email"], &[]).await?.code != Some(0) {
            ask.extend_from_slice(FALLBACK_COMMITTER);
        }
        ask.extend_from_slice(&["var", "GIT_COMMITTER_IDENT"]);
        let mut who = self.tell(root, WHAT, &ask, &[]).await?.out;
        who.truncate(who.trim_ascii_end().len());
        Ok(who)
    }

    async fn raw_commit(&self, root: &Path, commit: &str) -> Result<Vec<u8>, GitError> {
        let answer = self.tell(root, WHAT, &["cat-file", "commit", commit], &[]).await?;
        if answer.cut { Err(GitError::Unreadable { what: WHAT }) } else { Ok(answer.out) }
    }

    async fn write_commit(&self, root: &Path, draft: &Draft<'_>) -> Result<String, GitError> {
        let io = |source| GitError::Io { what: WHAT, source };
        let mut file = tempfile::NamedTempFile::new().map_err(io)?;
        file.write_all(&draft.bytes()).map_err(io)?;
        let write = ["hash-object", "-t", "commit", "-w", "--no-filters"];
        Ok(self.tell(root, WHAT, &write, &[file.path()]).await?.line())
    }

    /// Moves the branch, with its checkout where it has one.
    async fn move_branch(
        &self,
        target: &Target,
        place: Option<&Path>,
        to: &str,
    ) -> Result<(), GitError> {
        let name = target.name();
        let Some(place) = place else {
            let set = ["update-ref", "-m", "hivekeeper: merge", &name, to, &target.commit];
            let answer = self.ask(&target.root, WHAT, &set, &[]).await?;
            return if answer.code == Some(0) {
                Ok(())
            } else {
                Err(self.why_not(target, answer).await)
            };
        };
        let on = self.tell(place, WHAT, &["symbolic-ref", "--quiet", "HEAD"], &[]).await?.line();
        if on != name {
            return Err(moved(target, &target.commit, "another branch").into());
        }
        let mut command = crate::git::command(place, &[FAST_FORWARD, &[to]].concat(), &[]);
        let options = format!("branch.{}.mergeOptions", target.branch);
        crate::git::set(&mut command, &[(options, String::new())]);
        let answer = self.run(command, WHAT).await?;
        if answer.code != Some(0) {
            return Err(self.why_not(target, answer).await);
        }
        let found = self.target_of(&target.root, &target.branch).await?.commit;
        if found == to { Ok(()) } else { Err(moved(target, to, &found).into()) }
    }

    /// What git's refusal to move the branch means.
    async fn why_not(&self, target: &Target, answer: crate::git::Answer) -> GitError {
        if let Some(lock) = lock_in(&answer.said) {
            return MergeError::Locked(lock).into();
        }
        match self.target_of(&target.root, &target.branch).await {
            Ok(found) if found.commit != target.commit => {
                moved(target, &target.commit, &found.commit).into()
            }
            Ok(_) => refused(WHAT, answer),
            Err(error) => error,
        }
    }
}

fn already(target: Target, tree: String) -> Merged {
    Merged {
        before: target.commit.clone(),
        after: target.commit,
        target_branch: target.branch,
        tree,
        already_merged: true,
        checked_out_at: None,
    }
}

fn moved(target: &Target, expected: &str, found: &str) -> MergeError {
    MergeError::TargetMoved {
        target: target.branch.clone(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn check_target(order: &MergeOrder, target: &Target) -> Result<(), MergeError> {
    match &order.expected_target {
        Some(expected) if *expected != target.commit => {
            Err(moved(target, expected, &target.commit))
        }
        _ => Ok(()),
    }
}

/// The lock named in `Unable to create '….lock': File exists`.
fn lock_in(said: &str) -> Option<PathBuf> {
    let (_, rest) = said.split_once("Unable to create '")?;
    let (lock, _) = rest.split_once("': File exists")?;
    Some(PathBuf::from(lock))
}

/// The message of the commit: never empty, bounded, and with nothing git cannot hold.
fn message(order: &MergeOrder) -> String {
    let mut text = order.message.replace('\0', " ");
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    let text = text.trim();
    if text.is_empty() {
        format!("Merge {}\n", order.branch.as_ref().unwrap_or(&order.commit))
    } else {
        format!("{text}\n")
    }
}

/// A commit that is to be made.
struct Draft<'a> {
    tree: &'a str,
    parents: &'a [&'a str],
    author: &'a [u8],
    committer: &'a [u8],
    encoding: Option<&'a [u8]>,
    message: &'a [u8],
}

impl Draft<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("tree {}\n", self.tree).into_bytes();
        for parent in self.parents {
            bytes.extend(format!("parent {parent}\n").into_bytes());
        }
        for (word, who) in [("author", self.author), ("committer", self.committer)] {
            bytes.extend_from_slice(&[word.as_bytes(), b" ", who, b"\n"].concat());
        }
        if let Some(encoding) = self.encoding {
            bytes.extend_from_slice(&[b"encoding ", encoding, b"\n"].concat());
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(self.message);
        bytes
    }
}

/// What is kept of a commit that is made again.
#[derive(Debug, PartialEq, Eq)]
struct Original<'a> {
    tree: &'a str,
    parent: Option<&'a str>,
    author: &'a [u8],
    encoding: Option<&'a [u8]>,
    message: &'a [u8],
}

impl<'a> Original<'a> {
    /// Reads a commit as git stores it; nothing where it is no such thing.
    fn read(raw: &'a [u8]) -> Option<Self> {
        let end = raw.windows(2).position(|pair| pair == b"\n\n")?;
        let (head, message) = (raw.get(..end)?, raw.get(end + 2..)?);
        let first = |word: &[u8]| {
            let mut lines = head.split(|byte| *byte == b'\n');
            lines.find_map(|line| line.strip_prefix(word))
        };
        Some(Self {
            tree: std::str::from_utf8(first(b"tree ")?).ok()?,
            parent: first(b"parent ").and_then(|parent| std::str::from_utf8(parent).ok()),
            author: first(b"author ")?,
            encoding: first(b"encoding "),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_commit_is_made_again_with_its_author_encoding_and_message() {
        let raw = b"tree aa\nparent bb\nauthor J\xe4 <j@x> 1 +0100\ncommitter C <c@x> 2 +0000\n\
            gpgsig x\n author fake\n y\nencoding latin1\n\nfirst\n\nauthor \xe4\n";
        let read = Original::read(raw).unwrap();
        assert_eq!((read.tree, read.parent), ("aa", Some("bb")));
        assert_eq!(read.message, b"first\n\nauthor \xe4\n");
        let draft = Draft {
            tree: "cc",
            parents: &["dd", "ee"],
            author: read.author,
            committer: b"W <w@x> 3 +0000",
            encoding: read.encoding,
            message: read.message,
        };
        let expect = b"tree cc\nparent dd\nparent ee\nauthor J\xe4 <j@x> 1 +0100\n\
            committer W <w@x> 3 +0000\nencoding latin1\n\nfirst\n\nauthor \xe4\n";
        assert_eq!(draft.bytes(), expect);
        assert_eq!(Original::read(b"tree aa\n\nno author"), None);
        assert_eq!(Original::read(b""), None);
    }

    #[test]
    fn the_lock_is_read_from_gits_words() {
        let said = "fatal: Unable to create '/a b/.git/index.lock': File exists.\n\nAnother git";
        assert_eq!(lock_in(said), Some("/a b/.git/index.lock".into()));
        assert_eq!(lock_in("fatal: something else"), None);
    }

    proptest! {
        #[test]
        fn no_commit_can_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Original::read(&bytes);
        }
    }
}
