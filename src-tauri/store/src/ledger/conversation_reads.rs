//! What the ledger says about conversations with agents: messages, requests, rules, usage, reports.
//!
//! Tested in `tests/ledger/conversation.rs`.

use std::collections::{HashMap, HashSet};

use model::id::{AgentId, AttemptId, MessageId, MissionId, RequestId};
use model::inbox::{OPEN_MAX, Request, Rule};
use model::message::{Message, WAITING_MAX};
use model::mission::MissionState;
use model::usage::Usage;
use serde::Serialize;
use sqlx::Connection;

use super::Ledger;
use super::error::ReadError;
use super::page::{Page, clamp, cut, read_cursor};
use super::reader::read;
use super::table::attempt_usage::{self, AgentUsage};
use super::table::messages::{self, MessageFilter};
use super::table::requests::{self, RequestFilter};
use super::table::{mission_lists, reports, rules};

/// The most requests that [`Ledger::open_requests`] hands out, the oldest.
pub const OPEN_REQUESTS_MAX: u32 = 5_000;

/// The most attempts that [`Ledger::untold_attempts`] hands out.
const UNTOLD_ATTEMPTS_MAX: u32 = 1_000;

/// How much waits for the captain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InboxCounts {
    /// Requests that wait, questions and those that are kept out of the way included.
    pub requests: u64,
    /// Of these, the questions.
    pub questions: u64,
    /// Of all that wait, those that are kept out of the way at this moment.
    pub deferred: u64,
    /// Messages in quarantine.
    pub quarantined: u64,
    /// Missions in review.
    pub reviews: u64,
}

/// What waits for an agent, and for the captain because of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitingOf {
    /// Messages to it that are not delivered.
    pub messages: u32,
    /// What it asks and waits for.
    pub requests: u32,
}

impl Ledger {
    /// One message.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, ReadError> {
        read!(self, "read a message", |conn| messages::get(conn, id))
    }

    /// Messages that match, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn messages(&self, filter: MessageFilter) -> Result<Page<Message>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), |text| text.parse().ok())?;
        let limit = clamp(filter.limit);
        let rows =
            read!(self, "list messages", |conn| messages::list(conn, &filter, before, limit + 1))?;
        Ok(cut(rows, limit, |message| message.id.to_string()))
    }

    /// What waits for an agent: urgent ones first, then the oldest.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn waiting_messages(
        &self,
        agent_id: AgentId,
        limit: u32,
    ) -> Result<Vec<Message>, ReadError> {
        read!(self, "list what waits for an agent", |conn| {
            messages::waiting(conn, agent_id, clamp(limit))
        })
    }

    /// How many messages wait for an agent.
    ///
    /// # Errors
    /// When they cannot be counted in time.
    pub async fn waiting_count(&self, agent_id: AgentId) -> Result<u32, ReadError> {
        read!(self, "count what waits for an agent", |conn| {
            messages::count_waiting(conn, agent_id)
        })
    }

    /// What each agent has waiting for it, and asks itself; those without either are left out.
    ///
    /// # Errors
    /// When it cannot be counted in time.
    pub async fn waiting_by_agent(&self) -> Result<HashMap<AgentId, WaitingOf>, ReadError> {
        read!(self, "count what waits by agent", |conn| async {
            let mut snapshot = conn.begin().await?;
            let mut all: HashMap<AgentId, WaitingOf> = HashMap::new();
            for (id, messages) in messages::waiting_by_agent(&mut snapshot).await? {
                all.entry(id).or_default().messages = messages;
            }
            for (id, requests) in requests::open_by_agent(&mut snapshot).await? {
                all.entry(id).or_default().requests = requests;
            }
            Ok(all)
        })
    }

    /// What an attempt's program got and its agent has not answered to, in the order it got it.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn messages_of_attempt(&self, id: AttemptId) -> Result<Vec<Message>, ReadError> {
        read!(self, "list what an attempt got", |conn| messages::of_attempt(conn, id, WAITING_MAX))
    }

    /// One request.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, ReadError> {
        read!(self, "read a request", |conn| requests::get(conn, id))
    }

    /// What waits for the captain, oldest first, at most [`OPEN_REQUESTS_MAX`]; the rest is on the
    /// pages of [`Ledger::requests`].
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn open_requests(&self) -> Result<Vec<Request>, ReadError> {
        read!(self, "list open requests", |conn| {
            requests::open(conn, OPEN_REQUESTS_MAX as usize)
        })
    }

    /// What an attempt asked and waits for, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn open_requests_of(&self, id: AttemptId) -> Result<Vec<Request>, ReadError> {
        read!(self, "list what an attempt asks", |conn| requests::open_of(conn, id, OPEN_MAX))
    }

    /// What an attempt asked and was answered without its agent being told, oldest first; what was
    /// withdrawn is not among them.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn untold_requests_of(&self, id: AttemptId) -> Result<Vec<Request>, ReadError> {
        read!(self, "list what an attempt was not told", |conn| {
            requests::untold_of(conn, id, OPEN_MAX)
        })
    }

    /// The attempts whose agents were not told an answer yet, the newest thousand.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn untold_attempts(&self) -> Result<HashSet<AttemptId>, ReadError> {
        let found = read!(self, "list who was not told", |conn| {
            requests::untold_attempts(conn, UNTOLD_ATTEMPTS_MAX)
        });
        found.map(|ids| ids.into_iter().collect())
    }

    /// Requests that match, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn requests(&self, filter: RequestFilter) -> Result<Page<Request>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), |text| text.parse().ok())?;
        let limit = clamp(filter.limit);
        let rows =
            read!(self, "list requests", |conn| requests::list(conn, &filter, before, limit + 1))?;
        Ok(cut(rows, limit, |request| request.id.to_string()))
    }

    /// The permission rules, newest first, at most [`super::RULES_MAX`].
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn rules(&self) -> Result<Vec<Rule>, ReadError> {
        read!(self, "list rules", |conn| rules::all(conn))
    }

    /// The rules that hold for an agent on a mission, those of the workspace included, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn rules_for(
        &self,
        mission_id: MissionId,
        agent_id: AgentId,
    ) -> Result<Vec<Rule>, ReadError> {
        read!(self, "list rules", |conn| rules::of(conn, mission_id, agent_id))
    }

    /// What an attempt has used according to each source, best first.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn usage_of(&self, id: AttemptId) -> Result<Vec<Usage>, ReadError> {
        read!(self, "read what an attempt used", |conn| attempt_usage::of_attempt(conn, id))
    }

    /// What the attempts of a mission have used, of those that said so, oldest attempt first.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn usage_of_mission(
        &self,
        id: MissionId,
    ) -> Result<Vec<(AttemptId, Vec<Usage>)>, ReadError> {
        read!(self, "read what a mission used", |conn| attempt_usage::of_mission(conn, id))
    }

    /// What each agent has used in all, of those that said so.
    ///
    /// # Errors
    /// When it cannot be added up in time.
    pub async fn usage_by_agent(&self) -> Result<Vec<AgentUsage>, ReadError> {
        read!(self, "add up what was used", |conn| attempt_usage::by_agent(conn))
    }

    /// Whether a report of an agent was taken before, of the last [`super::REPORTS_KEPT`].
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn report_seen(&self, agent_id: AgentId, key: &str) -> Result<bool, ReadError> {
        read!(self, "look a report up", |conn| reports::seen(conn, agent_id, key))
    }

    /// How much waits for the captain. Costs as much as is waiting, whatever the history.
    ///
    /// # Errors
    /// When it cannot be counted in time.
    pub async fn inbox_counts(&self) -> Result<InboxCounts, ReadError> {
        let now = self.0.clock.now();
        read!(self, "count the inbox", |conn| async {
            let mut snapshot = conn.begin().await?;
            let waiting = requests::count_waiting(&mut snapshot, now).await?;
            let missions = mission_lists::counts(&mut snapshot).await?;
            Ok(InboxCounts {
                requests: waiting.permissions + waiting.questions,
                questions: waiting.questions,
                deferred: waiting.deferred,
                quarantined: messages::count_quarantined(&mut snapshot).await?,
                reviews: missions.get(&MissionState::InReview).copied().unwrap_or(0),
            })
        })
    }
}
