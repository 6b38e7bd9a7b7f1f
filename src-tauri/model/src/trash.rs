//! The trash: what was removed and can be restored for a while.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{MissionId, TrashId};

/// What lies in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrashKind {
    /// A mission that was taken off the lists.
    Mission,
    /// The worktree of an attempt.
    Worktree,
}

/// Something that was removed and can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrashItem {
    /// Its identity; its folder in the trash is named by it.
    pub id: TrashId,
    /// What it is.
    pub kind: TrashKind,
    /// The mission it is, or belongs to.
    pub mission_id: MissionId,
    /// Which attempt of the mission, where it is a worktree.
    pub attempt: Option<u32>,
    /// What a person knows it by.
    pub title: String,
    /// Where it was, where it is a worktree.
    pub path: Option<String>,
    /// The repository, where it is a worktree.
    pub repository: Option<String>,
    /// The branch, where it is a worktree.
    pub branch: Option<String>,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// When it was removed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it is removed for good.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// How something left the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrashEnd {
    /// It is back where it was.
    Restored,
    /// It is gone for good.
    Purged,
}
