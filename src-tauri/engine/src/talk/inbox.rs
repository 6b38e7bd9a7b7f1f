//! The inbox: what agents ask, what waits for review, what could not be delivered.

use std::collections::{HashMap, HashSet};

use model::id::{AgentId, MissionId, RequestId};
use model::inbox::{ANSWER_BYTES_MAX, Ask, Request, Scope};
use model::message::MessageState;
use model::mission::{Mission, MissionState};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use orchestrator::input::Reply;
use store::ledger::{
    MessageFilter, MissionFilter, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, RequestFilter,
};

use super::rules::checked_pattern;
use crate::missions::{invalid, names};
use crate::resolve::{self, unreadable};
use crate::view::{
    AnswerWord, InboxTotals, InboxView, MessageView, RequestAnswer, RequestPage, RequestView,
    ReviewWaiting, ScopeWord,
};
use crate::{Caller, Engine};

/// Which requests to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestQuery {
    /// Only those that wait, or only those that do not.
    pub open: Option<bool>,
    /// Only those of this agent.
    pub agent: Option<String>,
    /// Only those of this mission.
    pub mission: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

impl Engine {
    /// Everything that waits for the captain.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn inbox(&self) -> Result<InboxView, Refusal> {
        let counts = self.inbox_totals().await?;
        // What there is none of need not be looked for; what comes in between is told by the stream.
        let requests = if counts.permissions + counts.questions == 0 {
            Vec::new()
        } else {
            self.open_requests().await?
        };
        let reviews = if counts.reviews == 0 { Vec::new() } else { self.waiting_reviews().await? };
        let quarantined =
            if counts.quarantined == 0 { Vec::new() } else { self.quarantined().await? };
        Ok(InboxView { requests, reviews, quarantined, counts })
    }

    /// What waits for an answer, the longest waiting first.
    async fn open_requests(&self) -> Result<Vec<RequestView>, Refusal> {
        let now = self.0.clock.now();
        let mut open = self.0.ledger.open_requests().await.map_err(unreadable)?;
        // Those that were put off come last; sorting keeps the rest in its order.
        open.sort_by_key(|request| request.not_before.is_some_and(|until| until > now));
        self.request_views(open).await
    }

    /// The messages and reports in quarantine, newest first.
    async fn quarantined(&self) -> Result<Vec<MessageView>, Refusal> {
        let filter = MessageFilter {
            states: vec![MessageState::Quarantined],
            limit: PAGE_ROWS_MAX,
            ..MessageFilter::default()
        };
        let page = self.0.ledger.messages(filter).await.map_err(unreadable)?;
        self.message_views(page.items).await
    }

    /// How much waits for the captain.
    pub(crate) async fn inbox_totals(&self) -> Result<InboxTotals, Refusal> {
        let counts = self.0.ledger.inbox_counts().await.map_err(unreadable)?;
        Ok(InboxTotals {
            permissions: counts.requests.saturating_sub(counts.questions),
            questions: counts.questions,
            reviews: counts.reviews,
            quarantined: counts.quarantined,
            total: counts.requests + counts.reviews + counts.quarantined,
        })
    }

    /// Missions whose work waits for the captain, the longest waiting first.
    async fn waiting_reviews(&self) -> Result<Vec<ReviewWaiting>, Refusal> {
        let filter = MissionFilter {
            states: vec![MissionState::InReview],
            limit: PAGE_ROWS_MAX,
            ..MissionFilter::default()
        };
        let page = self.0.ledger.missions(filter).await.map_err(unreadable)?;
        let mut waiting: Vec<ReviewWaiting> = page
            .items
            .into_iter()
            .map(|mission| ReviewWaiting {
                mission_id: mission.id,
                short_id: mission.short_id,
                title: mission.title,
                since: mission.updated_at,
            })
            .collect();
        waiting.sort_by_key(|mission| mission.since);
        Ok(waiting)
    }

    /// Lists requests, newest first.
    ///
    /// # Errors
    /// When the filter names something unknown, or the ledger cannot be read.
    pub async fn requests(&self, query: RequestQuery) -> Result<RequestPage, Refusal> {
        let ledger = &self.0.ledger;
        let agent_id = match &query.agent {
            Some(text) => Some(resolve::agent(ledger, text).await?.id),
            None => None,
        };
        let mission_id = match &query.mission {
            Some(text) => Some(resolve::mission(ledger, text).await?.0.id),
            None => None,
        };
        let filter = RequestFilter {
            open: query.open,
            agent_id,
            mission_id,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        };
        let page = ledger.requests(filter).await.map_err(unreadable)?;
        Ok(RequestPage { items: self.request_views(page.items).await?, next_cursor: page.next })
    }

    /// One request.
    ///
    /// # Errors
    /// When there is no such request.
    pub async fn request(&self, id: RequestId) -> Result<RequestView, Refusal> {
        let request = self.found_request(id).await?;
        let mut views = self.request_views(vec![request]).await?;
        views.pop().ok_or_else(|| no_request(id))
    }

    async fn found_request(&self, id: RequestId) -> Result<Request, Refusal> {
        let found = self.0.ledger.request(id).await.map_err(unreadable)?;
        found.ok_or_else(|| no_request(id))
    }

    pub(crate) async fn request_views(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<RequestView>, Refusal> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.0.clock.now();
        let names: HashMap<AgentId, String> = names(&self.known_agents().await?);
        let ids: HashSet<MissionId> = requests.iter().map(|request| request.mission_id).collect();
        let ids: Vec<MissionId> = ids.into_iter().collect();
        let mut missions: HashMap<MissionId, Mission> = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(PAGE_ROWS_MAX as usize) {
            let found = self.0.ledger.missions_by_id(ids).await.map_err(unreadable)?;
            missions.extend(found.into_iter().map(|mission| (mission.id, mission)));
        }
        let view = |request: Request| {
            let mission = missions.get(&request.mission_id);
            RequestView {
                agent: names.get(&request.agent_id).cloned(),
                short_id: mission.map(|mission| mission.short_id.clone()),
                mission_title: mission.map(|mission| mission.title.clone()),
                age_s: u64::try_from(now.duration_since(request.asked_at).as_secs()).unwrap_or(0),
                request,
            }
        };
        Ok(requests.into_iter().map(view).collect())
    }

    /// Answers what an agent asks. It is told at once; the one that came first counts.
    ///
    /// # Errors
    /// When there is no such request, it was answered or withdrawn, or the answer does not fit it.
    pub async fn answer_request(
        &self,
        caller: &Caller,
        id: RequestId,
        answer: RequestAnswer,
    ) -> Result<RequestView, Refusal> {
        let request = self.found_request(id).await?;
        let reply = reply(&request, answer)?;
        if matches!(reply, Reply::Always { .. }) && !self.was_answered(caller).await? {
            self.room_for_rule().await?;
        }
        self.tell(caller, Input::Reply { id, reply }).await?;
        self.request(id).await
    }
}

fn no_request(id: RequestId) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no request '{id}'"))
        .hint("look at the inbox to see what agents ask")
}

/// What an answer means for this request.
fn reply(request: &Request, answer: RequestAnswer) -> Result<Reply, Refusal> {
    let RequestAnswer { answer, scope, pattern, note, text } = answer;
    let word = match answer {
        AnswerWord::Once => "once",
        AnswerWord::Always => "always",
        AnswerWord::Deny => "deny",
        AnswerWord::NotNow => "not_now",
        AnswerWord::Text => "text",
    };
    let stray = [
        ("scope", scope.is_some() && answer != AnswerWord::Always),
        ("pattern", pattern.is_some() && answer != AnswerWord::Always),
        ("note", note.is_some() && answer != AnswerWord::Deny),
        ("text", text.is_some() && answer != AnswerWord::Text),
    ];
    if let Some((field, _)) = stray.into_iter().find(|(_, stray)| *stray) {
        return Err(invalid(format!("'{field}' says nothing beside the answer '{word}'"))
            .hint("leave it out, or choose the answer it belongs to"));
    }
    Ok(match answer {
        AnswerWord::Once => Reply::Once,
        AnswerWord::NotNow => Reply::NotNow,
        AnswerWord::Deny => {
            let note = note.filter(|note| !note.trim().is_empty());
            if note.as_ref().is_some_and(|note| note.len() > ANSWER_BYTES_MAX) {
                return Err(invalid(format!("the note is longer than {ANSWER_BYTES_MAX} bytes"))
                    .hint("tell the agent the rest in a message"));
            }
            Reply::Deny { note }
        }
        AnswerWord::Text => Reply::Text(text.ok_or_else(|| {
            invalid("the answer has no text").hint("put it into the field 'text'")
        })?),
        AnswerWord::Always => {
            let suggested = match &request.ask {
                Ask::Permission { permission } => permission.pattern.clone(),
                Ask::Question { .. } => {
                    return Err(invalid("a question has no answer for always")
                        .hint("answer it with 'text'"));
                }
            };
            let pattern = checked_pattern(&pattern.unwrap_or(suggested))?;
            let scope = match scope.unwrap_or(ScopeWord::Agent) {
                ScopeWord::Mission => Scope::Mission { id: request.mission_id },
                ScopeWord::Agent => Scope::Agent { id: request.agent_id },
                ScopeWord::Workspace => Scope::Workspace,
            };
            Reply::Always { scope, pattern }
        }
    })
}
