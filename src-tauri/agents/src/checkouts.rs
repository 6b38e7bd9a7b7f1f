//! Where a branch is checked out, and whether it can be moved there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::merge::{MergeError, Target, WHAT};
use crate::worktree::{Git, GitError};

/// Files that git holds while it changes something, in its directory of a checkout.
const LOCKS: &[&str] = &["index.lock", "HEAD.lock"];
/// Files that say what is unfinished in a checkout.
const UNFINISHED: &[(&str, &str)] =
    &[("MERGE_HEAD", "a merge"), ("CHERRY_PICK_HEAD", "a cherry-pick")];
/// Files that say on which branch something is being done while it is not checked out.
const HELD: &[(&str, &str)] = &[
    ("rebase-merge/head-name", "a rebase"),
    ("rebase-apply/head-name", "a rebase"),
    ("rebase-merge/update-refs", "a rebase"),
    ("BISECT_START", "a bisection"),
];

/// How a branch stands before it is moved.
pub(crate) enum Standing {
    /// It is checked out nowhere.
    Free,
    /// It is checked out here.
    At(PathBuf),
    /// It is checked out here, and cannot be moved.
    Hindered {
        /// Where.
        place: PathBuf,
        /// Why not.
        why: MergeError,
    },
}

/// One entry of git's list of worktrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Checkout {
    place: PathBuf,
    branch: Option<String>,
    locked: bool,
}

impl Git {
    /// Where the branch is checked out, and what keeps it from being moved.
    pub(crate) async fn standing(&self, target: &Target) -> Result<Standing, GitError> {
        let list = ["worktree", "list", "--porcelain", "-z"];
        let list = self.tell(&target.root, WHAT, &list, &[]).await?;
        let mut checkouts = read_checkouts(&list.out);
        let common = self.common_dir(&target.root).await?;
        if let Some(main) = checkouts.first_mut()
            && self.git_dir(&target.root).await? == common
        {
            // Of a submodule, the list has git's directory here.
            main.place.clone_from(&target.root);
        }
        for git_dir in git_dirs(&common) {
            for (file, doing) in HELD {
                if holds(&git_dir.join(file), target) {
                    let place = checkout_of(&git_dir, &common, target);
                    let why = MergeError::Unfinished { doing, place: place.clone() };
                    return Ok(Standing::Hindered { place, why });
                }
            }
        }
        let name = target.name();
        let on = |checkout: &&Checkout| {
            checkout.branch.as_deref() == Some(&name)
                && (checkout.place.is_dir() || checkout.locked)
        };
        let mut there = checkouts.iter().filter(on);
        let Some(first) = there.next() else { return Ok(Standing::Free) };
        let place = first.place.clone();
        let checked_out = |why| MergeError::CheckedOut {
            target: target.branch.clone(),
            place: place.clone(),
            why,
        };
        let why = if there.next().is_some() {
            checked_out("and at another place too")
        } else if !place.is_dir() {
            checked_out("which is locked and not there")
        } else {
            let git_dir = self.git_dir(&place).await?;
            match UNFINISHED.iter().find(|(file, _)| git_dir.join(file).exists()) {
                Some((_, doing)) => MergeError::Unfinished { doing, place: place.clone() },
                None => return Ok(Standing::At(place)),
            }
        };
        Ok(Standing::Hindered { place, why })
    }

    /// Refuses while git, or one that died, holds what is to be changed.
    pub(crate) async fn check_locks(
        &self,
        target: &Target,
        place: Option<&Path>,
    ) -> Result<(), GitError> {
        let common = self.common_dir(&target.root).await?;
        let mut locks = vec![common.join(format!("{}.lock", target.name()))];
        if let Some(place) = place {
            let git_dir = self.git_dir(place).await?;
            locks.extend(LOCKS.iter().map(|lock| git_dir.join(lock)));
        }
        match locks.into_iter().find(|lock| lock.symlink_metadata().is_ok()) {
            Some(lock) => Err(MergeError::Locked(lock).into()),
            None => Ok(()),
        }
    }

    async fn common_dir(&self, root: &Path) -> Result<PathBuf, GitError> {
        let ask = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
        let answer = self.tell(root, WHAT, &ask, &[]).await?;
        let line = answer.out.strip_suffix(b"\n").unwrap_or(&answer.out);
        Ok(PathBuf::from(OsStr::from_bytes(line)))
    }
}

/// Git's directories of all checkouts of a repository.
fn git_dirs(common: &Path) -> Vec<PathBuf> {
    let others = std::fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
    let mut dirs = vec![common.to_owned()];
    dirs.extend(others.map(|entry| entry.path()));
    dirs
}

/// Whether a file of an unfinished rebase or bisection names the branch.
fn holds(file: &Path, target: &Target) -> bool {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().any(|line| line == target.name() || line == target.branch)
}

/// The checkout that git's directory belongs to, as it says itself.
fn checkout_of(git_dir: &Path, common: &Path, target: &Target) -> PathBuf {
    if git_dir == common {
        let main = common.parent().filter(|_| common.ends_with(".git"));
        return main.unwrap_or(&target.root).to_owned();
    }
    let link = std::fs::read_to_string(git_dir.join("gitdir")).unwrap_or_default();
    Path::new(link.trim_end()).parent().unwrap_or(git_dir).to_owned()
}

/// Reads entries of `word value`, each of NUL-ended lines with an empty one behind.
fn read_checkouts(text: &[u8]) -> Vec<Checkout> {
    let mut checkouts: Vec<Checkout> = Vec::new();
    for line in text.split(|byte| *byte == 0) {
        let mut words = line.splitn(2, |byte| *byte == b' ');
        let (word, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if word == b"worktree" {
            let place = PathBuf::from(OsStr::from_bytes(value));
            checkouts.push(Checkout { place, ..Checkout::default() });
        }
        let Some(checkout) = checkouts.last_mut() else { continue };
        match word {
            b"branch" => checkout.branch = Some(String::from_utf8_lossy(value).into_owned()),
            b"locked" => checkout.locked = true,
            _ => {}
        }
    }
    checkouts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checkouts_are_read_with_their_branches() {
        let text = b"worktree /a b\0HEAD 12\0branch refs/heads/main\0\0worktree /c\nd\0HEAD 12\0\
            detached\0locked because of it\0\0";
        let first = Checkout {
            place: "/a b".into(),
            branch: Some("refs/heads/main".to_owned()),
            locked: false,
        };
        let second = Checkout { place: "/c\nd".into(), branch: None, locked: true };
        assert_eq!(read_checkouts(text), [first, second]);
    }

    proptest! {
        #[test]
        fn no_list_of_checkouts_can_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_checkouts(&bytes);
        }
    }
}
