//! What the ledger says about the workspace as a whole: settings, policies, trash, topics.
//!
//! Tested in `tests/ledger/workspace.rs`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::hook::Hook;
use model::id::{AgentId, TopicId, TrashId};
use model::policy::Policy;
use model::settings::{Settings, Template};
use model::topic::{Topic, Vote};
use model::trash::TrashItem;
use sqlx::Connection as _;

use super::Ledger;
use super::error::ReadError;
use super::page::{Page, clamp, cut, read_cursor};
use super::reader::read;
use super::table::attempts::{self, Hold};
use super::table::named::{self, Halted, KeptSecret};
use super::table::trash::{self, TrashFilter};
use super::table::{reviews, topics};

/// What the states of missions are derived from besides themselves, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// What attempts that are not over hold, oldest first.
    pub holds: Vec<Hold>,
    /// The agents that were asked to review and have not answered, longest first.
    pub reviewers: Vec<AgentId>,
    /// The settings.
    pub settings: Settings,
    /// Whether everything is stopped.
    pub halted: bool,
}

impl Circumstances {
    /// The agents that cannot take a mission now.
    #[must_use]
    pub fn busy(&self) -> BTreeSet<AgentId> {
        let occupied = self.holds.iter().filter(|hold| hold.occupies_agent);
        occupied.map(|hold| hold.agent_id).chain(self.reviewers.iter().copied()).collect()
    }
}

impl Ledger {
    /// What the states of missions are derived from besides themselves.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn circumstances(&self) -> Result<Circumstances, ReadError> {
        read!(self, "read who is at work", |conn| async {
            let mut snapshot = conn.begin().await?;
            let reviews = reviews::pending(&mut snapshot).await?;
            Ok(Circumstances {
                holds: attempts::holds(&mut snapshot).await?,
                reviewers: reviews.into_iter().map(|(_, _, agent)| agent).collect(),
                settings: named::settings(&mut snapshot).await?,
                halted: named::halted(&mut snapshot).await?.is_some(),
            })
        })
    }

    /// The settings of the workspace; the defaults until they were changed.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn settings(&self) -> Result<Settings, ReadError> {
        read!(self, "read the settings", |conn| named::settings(conn))
    }

    /// Since when and why everything is stopped; nothing when it is not.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn halted(&self) -> Result<Option<Halted>, ReadError> {
        read!(self, "read whether the swarm is halted", |conn| named::halted(conn))
    }

    /// The captain's policies, by name; those that come with the program are not among them.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn policies(&self) -> Result<Vec<Policy>, ReadError> {
        read!(self, "list policies", |conn| named::POLICIES.all(conn))
    }

    /// The templates of missions, by name.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn templates(&self) -> Result<Vec<Template>, ReadError> {
        read!(self, "list templates", |conn| named::TEMPLATES.all(conn))
    }

    /// One template.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn template(&self, name: &str) -> Result<Option<Template>, ReadError> {
        read!(self, "read a template", |conn| named::TEMPLATES.get(conn, name))
    }

    /// The hooks, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn hooks(&self) -> Result<Vec<Hook>, ReadError> {
        read!(self, "list hooks", |conn| named::HOOKS.all(conn))
    }

    /// The names of the secrets, in their order; the values are in no database.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn secrets(&self) -> Result<Vec<KeptSecret>, ReadError> {
        read!(self, "list secrets", |conn| named::SECRETS.all(conn))
    }

    /// What is in the trash and matches, newest first.
    ///
    /// # Errors
    /// When it cannot be read in time, or the cursor is not one of this list.
    pub async fn trash(&self, filter: TrashFilter) -> Result<Page<TrashItem>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), |text| text.parse().ok())?;
        let limit = clamp(filter.limit);
        let rows =
            read!(self, "list the trash", |conn| trash::list(conn, &filter, before, limit + 1))?;
        Ok(cut(rows, limit, |item| item.id.to_string()))
    }

    /// One thing in the trash; nothing when it was restored or is gone for good.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn trash_item(&self, id: TrashId) -> Result<Option<TrashItem>, ReadError> {
        read!(self, "read what is in the trash", |conn| trash::get(conn, id))
    }

    /// What is to be removed from the trash for good by now, longest due first.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn trash_due(&self, now: Timestamp, limit: u32) -> Result<Vec<TrashItem>, ReadError> {
        read!(self, "list what is due in the trash", |conn| trash::due(conn, now, clamp(limit)))
    }

    /// The newest topics, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn topics(&self, limit: u32) -> Result<Vec<Topic>, ReadError> {
        read!(self, "list topics", |conn| topics::newest(conn, clamp(limit)))
    }

    /// One topic.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn topic(&self, id: TopicId) -> Result<Option<Topic>, ReadError> {
        read!(self, "read a topic", |conn| topics::get(conn, id))
    }

    /// The votes on a topic, by agent.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn votes_of(&self, id: TopicId) -> Result<Vec<Vote>, ReadError> {
        read!(self, "list votes", |conn| topics::votes(conn, id))
    }
}
