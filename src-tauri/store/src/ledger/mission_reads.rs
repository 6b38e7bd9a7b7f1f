//! What the ledger says about missions and their attempts.
//!
//! Tested in `tests/ledger/commit.rs`, `tests/ledger/lists.rs` and `tests/ledger/workspace.rs`.

use jiff::Timestamp;
use model::attempt::{Attempt, Checkpoint};
use model::gate::GateResult;
use model::id::{AgentId, AttemptId, CheckpointId, MissionId, ShortId};
use model::mission::Mission;
use sqlx::Connection;

use super::Ledger;
use super::error::ReadError;
use super::page::{Page, clamp, cut, read_cursor};
use super::reader::read;
use super::table::attempt_history::{self, AgentCounts, PAST_MAX, PastAttempt};
use super::table::mission_lists::{self, MissionFilter, MissionStanding, MissionText, TEXTS_MAX};
use super::table::work_done::{self, WorkDone};
use super::table::{attempts, checkpoints, gate_results, missions, reviews};

impl Ledger {
    /// Missions that match, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn missions(&self, filter: MissionFilter) -> Result<Page<Mission>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), |text| text.parse().ok())?;
        let limit = clamp(filter.limit);
        let rows = read!(self, "list missions", |conn| async {
            // One snapshot: a mission that moves between two states is listed once.
            let mut snapshot = conn.begin().await?;
            mission_lists::list(&mut snapshot, &filter, before, limit + 1).await
        })?;
        Ok(cut(rows, limit, |mission| mission.id.to_string()))
    }

    /// One mission with its brief; nothing when it was removed.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn mission(&self, id: MissionId) -> Result<Option<(Mission, String)>, ReadError> {
        let found = read!(self, "read a mission", |conn| missions::get(conn, id))?;
        Ok(found.filter(|(_, _, removed)| !removed).map(|(mission, brief, _)| (mission, brief)))
    }

    /// One mission with its brief, even when it was removed since; for telling what happened.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn mission_ever(
        &self,
        id: MissionId,
    ) -> Result<Option<(Mission, String)>, ReadError> {
        let found = read!(self, "read a mission", |conn| missions::get(conn, id))?;
        Ok(found.map(|(mission, brief, _)| (mission, brief)))
    }

    /// Missions whose short id begins like this, as [`ShortId::normalise`] writes it.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn find_missions(
        &self,
        short_prefix: &str,
        limit: u32,
    ) -> Result<Vec<Mission>, ReadError> {
        read!(self, "find a mission", |conn| mission_lists::find(conn, short_prefix, clamp(limit)))
    }

    /// The missions with these ids, removed ones included, without their briefs.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn missions_by_id(&self, ids: &[MissionId]) -> Result<Vec<Mission>, ReadError> {
        read!(self, "look missions up", |conn| mission_lists::by_id(conn, ids))
    }

    /// Whether a short id was ever given.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn short_id_taken(&self, short: &ShortId) -> Result<bool, ReadError> {
        read!(self, "look for a short id", |conn| missions::short_id_taken(conn, short))
    }

    /// Those of these short ids that were ever given, even to a mission since removed.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn short_ids_taken(&self, shorts: &[ShortId]) -> Result<Vec<ShortId>, ReadError> {
        read!(self, "look for short ids", |conn| missions::short_ids_taken(conn, shorts))
    }

    /// Every mission that is not in a final state, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn unfinished_missions(&self) -> Result<Vec<Mission>, ReadError> {
        read!(self, "list unfinished missions", |conn| mission_lists::unfinished(conn))
    }

    /// Every attempt of a mission, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn attempts_of(&self, id: MissionId) -> Result<Vec<Attempt>, ReadError> {
        read!(self, "list attempts", |conn| attempts::of_mission(conn, id))
    }

    /// One attempt.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, ReadError> {
        read!(self, "read an attempt", |conn| attempts::get(conn, id))
    }

    /// Every attempt that is not over, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn unfinished_attempts(&self) -> Result<Vec<Attempt>, ReadError> {
        read!(self, "list unfinished attempts", |conn| attempts::unfinished(conn))
    }

    /// The attempts of an agent that are not over, oldest first: at most one that it works on, and
    /// those whose work is in review.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn unfinished_attempts_of(&self, id: AgentId) -> Result<Vec<Attempt>, ReadError> {
        read!(self, "look for an attempt", |conn| attempts::unfinished_of_agent(conn, id))
    }

    /// The newest attempts of an agent, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn attempts_of_agent(
        &self,
        id: AgentId,
        limit: u32,
    ) -> Result<Vec<Attempt>, ReadError> {
        read!(self, "list attempts", |conn| attempts::of_agent(conn, id, clamp(limit)))
    }

    /// The attempts that ended since then, oldest first; of very many the newest.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn attempts_ended_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Attempt>, ReadError> {
        read!(self, "list ended attempts", |conn| attempts::ended_since(conn, since, clamp(limit)))
    }

    /// What the gates of an attempt found, in their order.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn gate_results(&self, id: AttemptId) -> Result<Vec<GateResult>, ReadError> {
        read!(self, "list gate results", |conn| gate_results::of_attempt(conn, id))
    }

    /// The mission with this name where it was imported from; nothing when it was removed.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn mission_by_external_id(
        &self,
        external_id: &str,
    ) -> Result<Option<(Mission, String)>, ReadError> {
        read!(self, "look for an imported mission", |conn| {
            missions::by_external_id(conn, external_id)
        })
    }

    /// Where these missions stand, removed ones included, in no particular order. Those that never
    /// were are left out.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn mission_states(
        &self,
        ids: &[MissionId],
    ) -> Result<Vec<MissionStanding>, ReadError> {
        read!(self, "look up where missions stand", |conn| mission_lists::standings(conn, ids))
    }

    /// Unfinished missions that cannot start before this one is done, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn dependents_of(&self, id: MissionId) -> Result<Vec<MissionId>, ReadError> {
        read!(self, "list dependent missions", |conn| mission_lists::dependents(conn, id))
    }

    /// The words of at most `limit` missions, for finding some that say the same: newest first the
    /// unfinished ones, then the finished ones, of each at most [`TEXTS_MAX`].
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn texts(&self, limit: u32) -> Result<Vec<MissionText>, ReadError> {
        let most = limit.clamp(1, TEXTS_MAX.0 + TEXTS_MAX.1) as usize;
        read!(self, "read the texts of missions", |conn| async {
            let mut snapshot = conn.begin().await?;
            mission_lists::texts(&mut snapshot, most).await
        })
    }

    /// Attempts that ended by themselves, newest first, at most [`PAST_MAX`].
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn past(&self, limit: u32) -> Result<Vec<PastAttempt>, ReadError> {
        let most = limit.clamp(1, PAST_MAX) as usize;
        read!(self, "list past attempts", |conn| attempt_history::past(conn, most))
    }

    /// How the attempts of each agent ended, of those that have any that was not stopped.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn counts_by_agent(&self) -> Result<Vec<AgentCounts>, ReadError> {
        read!(self, "count attempts by agent", |conn| attempt_history::counts_by_agent(conn))
    }

    /// What ended after `after` and not after `until`, newest first, and what is under way.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn work_between(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<WorkDone, ReadError> {
        read!(self, "read what was done", |conn| async {
            // One snapshot: an attempt that ends meanwhile is in one of the two lists.
            let mut snapshot = conn.begin().await?;
            work_done::between(&mut snapshot, after, until).await
        })
    }

    /// Attempts on a branch whose worktree is neither in the trash nor gone, newest first. The
    /// cursor is that of the page before.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn worktrees(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Attempt>, ReadError> {
        let before = read_cursor(cursor, |text| text.parse().ok())?;
        let limit = clamp(limit);
        let rows = read!(self, "list worktrees", |conn| {
            attempts::with_worktree(conn, before, limit + 1)
        })?;
        Ok(cut(rows, limit, |attempt| attempt.id.to_string()))
    }

    /// Who was asked to review which gate of which attempt and has not answered, longest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn pending_reviews(&self) -> Result<Vec<(AttemptId, u32, AgentId)>, ReadError> {
        read!(self, "list awaited reviews", |conn| reviews::pending(conn))
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn checkpoint(&self, id: CheckpointId) -> Result<Option<Checkpoint>, ReadError> {
        read!(self, "read a checkpoint", |conn| checkpoints::get(conn, id))
    }

    /// The checkpoints of an attempt, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn checkpoints_of(&self, id: AttemptId) -> Result<Vec<Checkpoint>, ReadError> {
        read!(self, "list checkpoints", |conn| checkpoints::of_attempt(conn, id))
    }

    /// The checkpoints of all attempts of a mission, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn checkpoints_of_mission(
        &self,
        id: MissionId,
    ) -> Result<Vec<Checkpoint>, ReadError> {
        read!(self, "list checkpoints", |conn| checkpoints::of_mission(conn, id))
    }
}
