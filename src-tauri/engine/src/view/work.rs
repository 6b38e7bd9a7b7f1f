//! Work and its places: reviews, conflicts, worktrees, the trash, checkpoints and scans.

use jiff::Timestamp;
use model::attempt::{Checkpoint, DiffStat};
use model::id::{AttemptId, MissionId, ShortId, TrashId};
use model::mission::MergeHow;
use model::trash::TrashItem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use agents::merge::MergePreview;
pub use agents::review::{ChangedFile, FileStatus};
pub use agents::scan::{Duplicate, Oversize, Place, ScanReport, Skipped};

use super::AttemptView;

/// What a reviewer needs to see of a mission's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// The attempt with what its gates found: the one under review, or else the latest one.
    pub attempt: AttemptView,
    /// The commit the gates looked at, which is the one that is merged; nothing before the program
    /// has ended, and for work outside of a repository.
    pub reviewed_commit: Option<String>,
    /// The commit the files are shown of: the reviewed one, or the one that is checked out now.
    pub commit: Option<String>,
    /// The commit it is compared with: the last one both have in common.
    pub base: Option<String>,
    /// What differs between the reviewed commit and the worktree now; nothing where it is the same,
    /// where the worktree is gone, and before the program has ended.
    pub changed_since: Option<String>,
    /// The changed files, in the order of their paths; at most 5,000.
    pub files: Vec<ChangedFile>,
    /// Whether there are more files.
    pub files_truncated: bool,
    /// How much was changed.
    pub diff: DiffStat,
    /// What merging it would do; nothing where there is no branch to merge into.
    pub merge: Option<MergeView>,
    /// Files that other attempts touch as well.
    pub radar: Vec<RadarConflict>,
    /// The order in which the attempts on this repository are best merged.
    pub order: Vec<RadarPlace>,
    /// What could not be looked at, and why.
    pub problems: Vec<String>,
}

/// What merging would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MergeView {
    /// The branch to merge into.
    pub target: String,
    /// How it is merged unless the captain says otherwise.
    pub how: MergeHow,
    /// What would happen; nothing where that could not be found out.
    pub preview: Option<MergePreview>,
    /// Why it could not be found out.
    pub problem: Option<String>,
}

/// A unified diff of an attempt's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatchView {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The commit it starts from.
    pub base: String,
    /// The commit it ends with.
    pub commit: String,
    /// The file or directory; nothing when it is of all files.
    pub path: Option<String>,
    /// Its text; what is not text is replaced.
    pub text: String,
    /// Whether it is longer. What is there ends with a whole line.
    pub truncated: bool,
    /// Whether some file of it is no text, so that its lines are not shown.
    pub binary: bool,
}

/// Where attempts that are not over touch the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Radar {
    /// The files, those with overlapping changes first.
    pub conflicts: Vec<RadarConflict>,
    /// The order in which the attempts are best merged, by repository.
    pub order: Vec<RadarPlace>,
    /// Attempts whose worktree was not looked at, and why.
    pub unseen: Vec<RadarUnseen>,
    /// When it was looked at.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A file that several attempts touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RadarConflict {
    /// The repository, by its directory.
    pub repository: String,
    /// The file, relative to it.
    pub path: String,
    /// Whose attempts.
    pub between: Vec<RadarParty>,
    /// Whether two of them cannot both be merged as they are. True as well where that is not known.
    pub overlapping: bool,
    /// Whether that was told by the file's name only.
    pub by_file_only: bool,
    /// The changed lines of each, in the same order.
    pub lines: Vec<RadarLines>,
}

/// An attempt that touches a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RadarParty {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// Which attempt of the mission.
    pub n: u32,
    /// The agent's name; nothing once it is removed.
    pub agent_name: Option<String>,
}

/// The lines of a file that one attempt changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RadarLines {
    /// The mission's readable id.
    pub short_id: ShortId,
    /// Which attempt of the mission.
    pub n: u32,
    /// The ranges, in the commit the attempt started from.
    pub ranges: Vec<LineRange>,
}

/// Lines of a file, counted from 1. A range that ends before it starts is the place in front of
/// `start`, where lines were added and none was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineRange {
    /// The first line.
    pub start: u64,
    /// The last line.
    pub end: u64,
}

/// An attempt's place in the suggested order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RadarPlace {
    /// The repository, by its directory.
    pub repository: String,
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Which attempt of the mission.
    pub n: u32,
    /// Why it is there.
    pub because: String,
}

/// An attempt whose worktree was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RadarUnseen {
    /// The mission's readable id.
    pub short_id: ShortId,
    /// Which attempt of the mission.
    pub n: u32,
    /// Why not.
    pub why: String,
}

/// The worktrees of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worktrees {
    /// The worktrees of this page, those of the newest attempts first.
    pub items: Vec<WorktreeView>,
    /// How much room those of this page take, in bytes.
    pub bytes: u64,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next: Option<String>,
}

/// A worktree of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorktreeView {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// Which attempt of the mission.
    pub attempt: u32,
    /// That attempt.
    pub attempt_id: AttemptId,
    /// Where it is.
    pub path: String,
    /// The repository, by its directory.
    pub repository: String,
    /// The attempt's branch; it stays when the worktree goes.
    pub branch: String,
    /// How much room it takes, in bytes; nothing where that is not known.
    pub bytes: Option<u64>,
    /// How many files it has.
    pub files: Option<u64>,
    /// How old it is, in seconds.
    pub age_s: u64,
    /// When something in it was last written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified_at: Option<Timestamp>,
    /// How many files are not committed.
    pub dirty_files: Option<u64>,
    /// How much of the room ignored files take, such as build output, in bytes.
    pub ignored_bytes: Option<u64>,
    /// Commits that are on no other branch.
    pub unmerged_commits: Option<u64>,
    /// Whether its attempt is not over.
    pub live: bool,
    /// Every reason not to clean it up; nothing when it can go without losing anything.
    pub kept_because: Vec<String>,
    /// Why it could not be looked at.
    pub problem: Option<String>,
}

/// Which worktrees to clean up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanRequest {
    /// Move them to the trash; without it, say only what would be moved.
    pub apply: bool,
    /// Only the worktrees of these attempts.
    #[serde(default)]
    pub only: Option<Vec<AttemptId>>,
}

/// What was, or would be, cleaned up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanView {
    /// What would be moved to the trash; empty when it was done.
    pub would_remove: Vec<WorktreeView>,
    /// What was moved to the trash.
    pub removed: Vec<RemovedWorktree>,
    /// What is kept; each says why.
    pub kept: Vec<WorktreeView>,
    /// How much room that frees once the trash is emptied, in bytes.
    pub bytes: u64,
    /// Whether there are more worktrees than were looked at.
    pub more: bool,
}

/// A worktree that was moved to the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedWorktree {
    /// The worktree as it was.
    #[serde(flatten)]
    pub worktree: WorktreeView,
    /// What it is in the trash.
    pub trash_id: TrashId,
}

/// Something in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrashView {
    /// What it is.
    #[serde(flatten)]
    pub item: TrashItem,
    /// Whether it can be restored; of a worktree, whether its directory is in the trash.
    pub exists: bool,
}

/// What came back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrashRestored {
    /// What was restored: a mission comes back with its worktrees.
    pub restored: Vec<TrashItem>,
    /// What could not be restored, and why; it is in the trash still.
    pub problems: Vec<String>,
}

/// What a checkpoint is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewCheckpoint {
    /// In the captain's words, in one line.
    pub note: Option<String>,
}

/// What putting back a checkpoint did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreView {
    /// The commit that holds what was there before.
    pub before: String,
    /// The checkpoint that was restored.
    pub restored: Checkpoint,
    /// The tree of the files that are there now, read from the disk: the checkpoint's.
    pub tree: String,
    /// How many files were written, changed or removed.
    pub changed_files: u64,
    /// Whether the gates run again because the work was under review.
    pub gates_run_again: bool,
}

/// What to look for in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRequest {
    /// The directory: an absolute path, or one that begins with `~/`.
    pub path: String,
    /// How many lines a file may have; 600 unless given.
    #[serde(default)]
    pub lines_max: Option<u32>,
    /// How many equal lines make a block, 3 at least; blank ones do not count.
    #[serde(default)]
    pub block_lines: Option<u32>,
}
