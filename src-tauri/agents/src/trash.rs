//! The trash: directories are moved there, stay as they are, and can be moved back.
//!
//! Invariant: a directory is only ever renamed, whole, within one file system; nothing is copied and
//! then deleted. Each step can be interrupted: what is where is told by the disk alone, and asking
//! again finishes what was begun. Only [`Trash::purge`] removes anything.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shim::record;
use utoipa::ToSchema;

use crate::checkpoint::{Checkpointed, checked};
use crate::run_files::make_private;
use crate::secure::linked;
use crate::tidying::walk;
use crate::worktree::{Git, GitError};

/// Where is kept what was not committed in a worktree that is in the trash.
const KEPT: &str = "refs/hive/trash";
/// The directory itself, in its item's folder.
const CONTENT: &str = "content";
/// What is known of it.
const MANIFEST: &str = "manifest.json";
/// Says that it is being removed for good, so that half of it is never restored.
const PURGED: &str = "purged";
/// How many items are listed.
const ITEMS_MAX: usize = 100_000;

/// What keeps something from being moved to the trash or back.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// There is nothing to be moved.
    #[error("move '{}' to the trash: it does not exist", .0.display())]
    Nothing(PathBuf),
    /// What is there is no directory.
    #[error("move '{}' to the trash: it is not a directory; it was left as it is", .0.display())]
    NotADirectory(PathBuf),
    /// There is one in the trash and another where it was.
    #[error(
        "move '{from}' to the trash: the trash has it already, and something else is there now; \
         both were left as they are", from = .0.display()
    )]
    Twice(PathBuf),
    /// The trash is on another disk.
    #[error(
        "move '{from}' to the trash '{trash}': they are on different file systems; nothing was \
         changed. Move the data directory so that both are on one, or remove it by hand",
        from = from.display(), trash = trash.display()
    )]
    OtherFileSystem {
        /// What was to be moved.
        from: PathBuf,
        /// Where to.
        trash: PathBuf,
    },
    /// Something else is where it was.
    #[error(
        "restore '{}': something is there; move that away and retry. What is in the trash was \
         left as it is", .0.display()
    )]
    Occupied(PathBuf),
    /// There is no such item.
    #[error("find '{0}' in the trash")]
    Unknown(String),
    /// The item is no longer whole.
    #[error("restore '{0}': it is being removed for good")]
    Purged(String),
    /// Git got in the way.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system got in the way.
    #[error("{what} '{}'", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What kind of directory it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trashable {
    /// A worktree, which git is told of.
    Worktree {
        /// The repository it belongs to; it may be gone.
        #[schema(value_type = String)]
        repository: PathBuf,
    },
    /// Any other directory, such as that of a run.
    Directory,
}

/// What is to be moved to the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashOrder {
    /// The name of its folder in the trash: letters, digits, `-`, `_` and `.`.
    pub item: String,
    /// The directory.
    pub from: PathBuf,
    /// What it is.
    pub what: Trashable,
    /// When it was asked for.
    pub at: Timestamp,
}

/// What is in the trash, as its folder says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trashed {
    /// The name of its folder.
    pub item: String,
    /// Where it was.
    #[schema(value_type = String)]
    pub from: PathBuf,
    /// What it is.
    pub what: Trashable,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How much room it takes, in bytes.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// The branch that was checked out.
    pub branch: Option<String>,
    /// The commit that was checked out.
    pub commit: Option<String>,
    /// What keeps its files as a commit too; nothing where it is no worktree.
    pub snapshot: Option<Checkpointed>,
    /// Why there is no such commit, where there should be one. The directory is whole all the same.
    pub problem: Option<String>,
}

/// Where a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrashState {
    /// Neither in the trash nor where it was.
    Missing,
    /// Where it was.
    InPlace,
    /// In the trash.
    InTrash,
    /// In the trash, and something is where it was.
    Both,
}

/// The trash of a data directory.
#[derive(Debug, Clone)]
pub struct Trash {
    root: PathBuf,
    git: Git,
}

impl Trash {
    /// The trash in the directory `root`, which is made when it is needed.
    #[must_use]
    pub fn new(root: PathBuf, git: Git) -> Self {
        Self { root, git }
    }

    /// Where the directory `from` is, which is, or is to be, the item's.
    ///
    /// # Errors
    /// When the item's name is none.
    pub fn state_of(&self, item: &str, from: &Path) -> Result<TrashState, TrashError> {
        let content = self.folder(item)?.join(CONTENT);
        Ok(match (is_there(from), is_there(&content)) {
            (false, false) => TrashState::Missing,
            (true, false) => TrashState::InPlace,
            (false, true) => TrashState::InTrash,
            (true, true) => TrashState::Both,
        })
    }

    /// What is in the trash, in no order. A folder that says nothing readable is left out.
    ///
    /// # Errors
    /// When the trash cannot be read.
    pub fn items(&self) -> Result<Vec<Trashed>, TrashError> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io("read the trash", &self.root)(source)),
        };
        let read = |folder: PathBuf| match record::read_json::<Trashed>(&folder.join(MANIFEST)) {
            Ok(manifest) => manifest.filter(|_| is_there(&folder.join(CONTENT))),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "a trashed item is unreadable");
                None
            }
        };
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(folders.filter_map(read).take(ITEMS_MAX).collect())
    }

    /// Moves a directory to the trash. Of a worktree everything that is not ignored is kept as
    /// a commit first, and git goes on knowing it, locked, so that it is not forgotten.
    ///
    /// Idempotent: asked again, it finishes what was interrupted.
    ///
    /// # Errors
    /// When it is missing or no directory, the trash is on another file system, or the system
    /// refuses; the directory is where it was then, unless it says otherwise.
    pub async fn put(&self, order: &TrashOrder) -> Result<Trashed, TrashError> {
        let folder = self.folder(&order.item)?;
        let (content, from) = (folder.join(CONTENT), order.from.as_path());
        match self.state_of(&order.item, from)? {
            TrashState::Missing => return Err(TrashError::Nothing(from.to_owned())),
            TrashState::Both => return Err(TrashError::Twice(from.to_owned())),
            TrashState::InTrash => {
                let trashed = self.manifest(&order.item)?;
                self.relink(&trashed, &content).await?;
                return Ok(trashed);
            }
            TrashState::InPlace => {}
        }
        let is_directory = from.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if !is_directory {
            return Err(TrashError::NotADirectory(from.to_owned()));
        }
        make_private(&folder).map_err(io("make", &folder))?;
        let trashed = self.describe(order).await?;
        let path = folder.join(MANIFEST);
        record::write_json(&path, &trashed).map_err(io("write", &path))?;
        self.lock(&trashed, from).await?;
        move_whole(from, &content).map_err(|error| match error.kind() {
            ErrorKind::CrossesDevices => {
                TrashError::OtherFileSystem { from: from.to_owned(), trash: self.root.clone() }
            }
            ErrorKind::AlreadyExists => TrashError::Twice(from.to_owned()),
            _ => io("move to the trash", from)(error),
        })?;
        self.relink(&trashed, &content).await?;
        Ok(trashed)
    }

    /// Moves an item back to where it was and returns that place.
    ///
    /// Idempotent, as long as its folder is there.
    ///
    /// # Errors
    /// When there is no such item, something else is where it was, or the system refuses; it is in
    /// the trash still then.
    pub async fn restore(&self, item: &str) -> Result<PathBuf, TrashError> {
        let folder = self.folder(item)?;
        let trashed = self.manifest(item)?;
        let (content, from) = (folder.join(CONTENT), trashed.from.clone());
        match self.state_of(item, &from)? {
            TrashState::Missing => return Err(TrashError::Unknown(item.to_owned())),
            TrashState::Both => return Err(TrashError::Occupied(from)),
            TrashState::InPlace => {}
            TrashState::InTrash if is_there(&folder.join(PURGED)) => {
                return Err(TrashError::Purged(item.to_owned()));
            }
            TrashState::InTrash => {
                if let Some(parent) = from.parent() {
                    make_private(parent).map_err(io("make", parent))?;
                }
                move_whole(&content, &from).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => TrashError::Occupied(from.clone()),
                    _ => io("restore", &from)(error),
                })?;
            }
        }
        self.relink(&trashed, &from).await?;
        self.unlock(&trashed, &from).await?;
        self.forget(&trashed).await;
        remove_folder(&folder)?;
        Ok(from)
    }

    /// Removes an item for good, with the commit that kept its files; its branch stays. What is not
    /// in the trash is left alone, wherever it is.
    ///
    /// Idempotent. An item whose removal was begun cannot be restored.
    ///
    /// # Errors
    /// When there is no such item, or the system refuses to remove it.
    pub async fn purge(&self, item: &str) -> Result<(), TrashError> {
        let folder = self.folder(item)?;
        let trashed = self.manifest(item)?;
        let content = folder.join(CONTENT);
        let mark = folder.join(PURGED);
        if is_there(&content) {
            record::write(&mark, b"").map_err(io("write", &mark))?;
            let gone = content.clone();
            let task = tokio::task::spawn_blocking(move || remove_tree(&gone));
            task.await
                .map_err(std::io::Error::from)
                .and_then(|result| result)
                .map_err(io("remove", &content))?;
        } else if is_there(&trashed.from) && !is_there(&mark) {
            // It never got here, or is back: git need not hold on to it.
            self.unlock(&trashed, &trashed.from).await?;
        }
        self.unregister(&trashed, &content).await;
        self.forget(&trashed).await;
        remove_folder(&folder)
    }

    fn folder(&self, item: &str) -> Result<PathBuf, TrashError> {
        Ok(self.root.join(checked(item)?))
    }

    fn manifest(&self, item: &str) -> Result<Trashed, TrashError> {
        let path = self.folder(item)?.join(MANIFEST);
        let manifest = record::read_json(&path).map_err(io("read", &path))?;
        manifest.ok_or_else(|| TrashError::Unknown(item.to_owned()))
    }

    /// Finds out what the directory is, and keeps what is not committed in it.
    async fn describe(&self, order: &TrashOrder) -> Result<Trashed, TrashError> {
        let walk = walk(order.from.clone(), HashSet::new()).await?;
        let mut trashed = Trashed {
            item: order.item.clone(),
            from: order.from.clone(),
            what: order.what.clone(),
            at: order.at,
            bytes: walk.bytes,
            files: walk.files,
            branch: None,
            commit: None,
            snapshot: None,
            problem: None,
        };
        if order.what == Trashable::Directory {
            return Ok(trashed);
        }
        match self.keep(order).await {
            Ok((snapshot, commit, branch)) => {
                (trashed.commit, trashed.branch) = (commit, branch);
                trashed.snapshot = Some(snapshot);
            }
            // Moving it loses nothing either: its repository may be gone, or damaged.
            Err(error) => {
                tracing::warn!(worktree = %order.from.display(), %error, "it has no snapshot");
                trashed.problem = Some(format!("failed to {error}"));
            }
        }
        Ok(trashed)
    }

    async fn keep(
        &self,
        order: &TrashOrder,
    ) -> Result<(Checkpointed, Option<String>, Option<String>), GitError> {
        let (reference, from) = (format!("{KEPT}/{}", order.item), order.from.as_path());
        // What is no longer linked to a repository, git has no say about.
        linked(from)?;
        let message = "What was here when it was moved to the trash";
        let snapshot = self.git.keep(from, &reference, message).await?;
        let what = "look at the worktree";
        let commit = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        let commit = self.git.ask(from, what, &commit, &[]).await?;
        let branch = ["symbolic-ref", "--quiet", "--short", "HEAD"];
        let branch = self.git.ask(from, what, &branch, &[]).await?;
        let line = |answer: crate::git::Answer| (answer.code == Some(0)).then(|| answer.line());
        Ok((snapshot, line(commit), line(branch)))
    }

    /// Runs git in the repository of a worktree; nothing where there is none.
    async fn in_repository(
        &self,
        trashed: &Trashed,
        args: &[&str],
        place: &Path,
    ) -> Result<Option<crate::git::Answer>, GitError> {
        let Trashable::Worktree { repository } = &trashed.what else {
            return Ok(None);
        };
        // Without a snapshot git does not know it, or cannot do anything about it.
        if trashed.snapshot.is_none() || !repository.is_dir() {
            return Ok(None);
        }
        let what = "tell git of a moved worktree";
        self.git.ask(repository, what, args, &[place]).await.map(Some)
    }

    /// Keeps git from forgetting the worktree while it is on its way.
    async fn lock(&self, trashed: &Trashed, place: &Path) -> Result<(), TrashError> {
        let reason = reason(trashed);
        let lock = ["worktree", "lock", "--reason", reason.as_str()];
        if let Some(answer) = self.in_repository(trashed, &lock, place).await?
            && answer.code != Some(0)
            && !answer.said.contains("already locked")
        {
            // The main checkout of a repository, for one: git neither locks nor forgets it.
            tracing::warn!(worktree = %place.display(), said = answer.said, "it is not locked");
        }
        Ok(())
    }

    /// Lets git forget the worktree once its directory is gone, unless somebody else locked it.
    async fn unlock(&self, trashed: &Trashed, place: &Path) -> Result<(), TrashError> {
        let ask = ["rev-parse", "--path-format=absolute", "--git-path", "locked"];
        if trashed.snapshot.is_none() {
            return Ok(());
        }
        let path = self.git.ask(place, "look at the worktree", &ask, &[]).await?;
        let said = std::fs::read_to_string(path.line()).unwrap_or_default();
        if path.code == Some(0) && said.trim() == reason(trashed) {
            self.in_repository(trashed, &["worktree", "unlock"], place).await?;
        }
        Ok(())
    }

    /// Tells git where the worktree is now.
    async fn relink(&self, trashed: &Trashed, place: &Path) -> Result<(), TrashError> {
        let repair = self.in_repository(trashed, &["worktree", "repair"], place).await?;
        if let Some(answer) = repair.filter(|answer| answer.code != Some(0)) {
            // It is registered where it was, and finds its repository again once it is back there.
            tracing::warn!(worktree = %place.display(), said = answer.said, "git was not told");
        }
        Ok(())
    }

    /// Makes git forget a worktree that is gone.
    async fn unregister(&self, trashed: &Trashed, place: &Path) {
        let remove = ["worktree", "remove", "--force", "--force"];
        match self.in_repository(trashed, &remove, place).await {
            Ok(Some(answer)) if answer.code != Some(0) => {
                tracing::debug!(said = answer.said, "git did not know a purged worktree");
            }
            Err(error) => tracing::warn!(%error, "git still knows a purged worktree"),
            Ok(_) => {}
        }
    }

    /// Lets go of the commit that kept its files.
    async fn forget(&self, trashed: &Trashed) {
        let (Some(snapshot), Trashable::Worktree { repository }) =
            (&trashed.snapshot, &trashed.what)
        else {
            return;
        };
        if let Err(error) = self.git.let_go(repository, &snapshot.reference).await {
            tracing::warn!(reference = snapshot.reference, %error, "a snapshot is kept needlessly");
        }
    }
}

fn reason(trashed: &Trashed) -> String {
    format!("in the trash of hivekeeper as {}", trashed.item)
}

fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> TrashError + 'a {
    move |source| TrashError::Io { what, path: path.to_owned(), source }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Renames a directory, never onto something, and waits until both names are on the disk.
fn move_whole(from: &Path, to: &Path) -> std::io::Result<()> {
    rename(from, to)?;
    for directory in [to.parent(), from.parent()].into_iter().flatten() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that does not know how to refuse.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_unless_there(from, to),
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    rename_unless_there(from, to)
}

fn rename_unless_there(from: &Path, to: &Path) -> std::io::Result<()> {
    if is_there(to) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// Removes a directory and all that is in it; directories that nobody may write to are opened first.
fn remove_tree(root: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(root) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => return result,
    }
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(root)
}

/// Removes an item's folder, which has nothing but what was written into it here; the manifest goes
/// last, so that the rest can be done again.
fn remove_folder(folder: &Path) -> Result<(), TrashError> {
    for name in [PURGED, MANIFEST] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("remove", &path)(error));
            }
            _ => {}
        }
    }
    for unfinished in ["manifest.tmp", "purged.tmp"] {
        let _ = std::fs::remove_file(folder.join(unfinished));
    }
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", folder)(error)),
        _ => Ok(()),
    }
}
