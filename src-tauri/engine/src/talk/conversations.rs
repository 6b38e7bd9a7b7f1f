//! Conversations: read, followed, searched; what they used; and what is typed into them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use model::agent::Runtime;
use model::attempt::Attempt;
use model::id::{AttemptId, MissionId};
use model::process::TerminalSize;
use model::refusal::{Code, Refusal};
use model::usage::Usage;
use orchestrator::NotReached;
use store::transcripts::{
    EntryPage, Hit, PAGE_ENTRIES_MAX, PageFrom, Placed, ReadError, SearchFilter,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use crate::missions::{invalid, names};
use crate::output::has_ended;
use crate::resolve::{self, unreadable};
use crate::view::{
    ConversationChanges, ConversationHit, ConversationHits, ConversationPage, EntryAt,
    TerminalInput, ToolCallTotals, UsageView,
};
use crate::{Caller, Engine};

/// Entries of a page unless the query says how many.
const ENTRIES_DEFAULT: u32 = 100;
/// Hits of a page unless the query says how many.
const HITS_DEFAULT: u32 = 50;
/// The most attempts a search is limited to.
const ATTEMPTS_MAX: u32 = 500;
/// The longest wait for a change, in milliseconds.
const WAIT_MS_MAX: u32 = 10_000;
/// How often a waiting reader looks whether the attempt is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest text that is typed at once, in bytes.
const TYPED_BYTES_MAX: usize = 64 * 1024;
/// The kinds of entries.
const KINDS: [&str; 10] = [
    "prompt",
    "message",
    "thought",
    "tool_call",
    "plan",
    "request",
    "usage",
    "state",
    "output",
    "unsupported",
];
/// The smallest and the largest side of a terminal, in characters.
const TERMINAL_SIDE: std::ops::RangeInclusive<u16> = 2..=1_000;

/// Which part of a conversation; its end unless it says from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationQuery {
    /// What comes after the entry of this place.
    pub after: Option<u64>,
    /// What comes before the entry of this place.
    pub before: Option<u64>,
    /// How many entries at most (1 to 500).
    pub limit: Option<u32>,
}

/// What to look for in conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words that all have to occur.
    pub text: String,
    /// Only in this attempt.
    pub attempt: Option<AttemptId>,
    /// Only in the last 500 attempts of this agent.
    pub agent: Option<String>,
    /// Only in the attempts of this mission.
    pub mission: Option<String>,
    /// Only entries of these kinds.
    pub kinds: Vec<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 100).
    pub limit: Option<u32>,
}

impl Engine {
    /// A part of a conversation, in its order.
    ///
    /// # Errors
    /// When there is no such attempt, both ends are given, or it cannot be read.
    pub async fn conversation(
        &self,
        id: AttemptId,
        query: ConversationQuery,
    ) -> Result<ConversationPage, Refusal> {
        resolve::attempt(&self.0.ledger, id).await?;
        let from = match (query.after, query.before) {
            (None, None) => PageFrom::End,
            (Some(after), None) => PageFrom::After(after),
            (None, Some(before)) => PageFrom::Before(before),
            (Some(_), Some(_)) => {
                return Err(invalid("'after' and 'before' exclude each other")
                    .hint("ask for what comes after one entry, or before another"));
            }
        };
        let limit = query.limit.unwrap_or(ENTRIES_DEFAULT).clamp(1, PAGE_ENTRIES_MAX);
        let page = self.0.transcripts.page(id, from, limit).await.map_err(untold)?;
        let EntryPage { entries, first, last, total, kept_from, revision } = page;
        Ok(ConversationPage {
            entries: entries.into_iter().map(placed).collect(),
            first: (total > 0).then_some(first),
            last: (total > 0).then_some(last),
            total,
            kept_from,
            revision,
        })
    }

    /// What has changed in a conversation since a revision. With `wait_ms` it answers as soon as
    /// something has, when the attempt is over, or when the time is up.
    ///
    /// # Errors
    /// When there is no such attempt, or it cannot be read.
    pub async fn conversation_changes(
        &self,
        id: AttemptId,
        revision: u64,
        wait_ms: u32,
    ) -> Result<ConversationChanges, Refusal> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX).into());
        // Before the first look, so that nothing slips through between the two.
        let mut news = self.0.transcripts.subscribe();
        let mut attempt = resolve::attempt(&self.0.ledger, id).await?;
        loop {
            let ended = has_ended(&attempt);
            let found = self.0.transcripts.since(id, revision, PAGE_ENTRIES_MAX).await;
            let found = found.map_err(untold)?;
            if !found.entries.is_empty() || ended || Instant::now() >= until {
                let entries = found.entries.into_iter().map(placed).collect();
                return Ok(ConversationChanges { entries, revision: found.revision });
            }
            let look = until.min(Instant::now() + LOOK_EVERY);
            loop {
                tokio::select! {
                    changed = news.recv() => match changed {
                        Ok(changed) if changed.attempt_id != id => continue,
                        Ok(_) | Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Err(closing()),
                    },
                    () = sleep_until(look) => break,
                    () = self.0.cancel.cancelled() => return Err(closing()),
                }
            }
            attempt = resolve::attempt(&self.0.ledger, id).await?;
        }
    }

    /// What has changed in a conversation since a revision, and whether there is more.
    pub(crate) async fn conversation_since(
        &self,
        id: AttemptId,
        revision: u64,
        limit: u32,
    ) -> Result<(ConversationChanges, bool), Refusal> {
        let found = self.0.transcripts.since(id, revision, limit).await.map_err(untold)?;
        let entries = found.entries.into_iter().map(placed).collect();
        Ok((ConversationChanges { entries, revision: found.revision }, found.more))
    }

    /// Looks for words in conversations; the newest entries come first.
    ///
    /// # Errors
    /// When there is nothing to look for, or the query names something unknown.
    pub async fn search_conversations(
        &self,
        query: SearchQuery,
    ) -> Result<ConversationHits, Refusal> {
        if query.text.trim().is_empty() {
            return Err(invalid("there is nothing to look for").hint("write some words"));
        }
        if let Some(kind) = query.kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            let all = KINDS.iter().map(ToString::to_string).collect();
            return Err(invalid(format!("'{kind}' is no kind of entry")).allowed(all));
        }
        let attempts = self.searched_attempts(&query).await?;
        if attempts.as_ref().is_some_and(Vec::is_empty) {
            return Ok(ConversationHits { hits: Vec::new(), next_cursor: None });
        }
        let filter = SearchFilter {
            text: query.text,
            attempts: attempts.unwrap_or_default(),
            kinds: query.kinds,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(HITS_DEFAULT),
        };
        let page = self.0.transcripts.search(filter).await.map_err(untold)?;
        Ok(ConversationHits { hits: self.hits(page.items).await?, next_cursor: page.next })
    }

    /// The attempts a search is limited to; nothing where it is not.
    async fn searched_attempts(
        &self,
        query: &SearchQuery,
    ) -> Result<Option<Vec<AttemptId>>, Refusal> {
        let ledger = &self.0.ledger;
        let mut limited: Option<HashSet<AttemptId>> = None;
        let mut also = |more: Vec<AttemptId>| {
            let more: HashSet<AttemptId> = more.into_iter().collect();
            limited = Some(match limited.take() {
                Some(known) => known.intersection(&more).copied().collect(),
                None => more,
            });
        };
        if let Some(id) = query.attempt {
            also(vec![id]);
        }
        if let Some(text) = &query.agent {
            let id = resolve::agent(ledger, text).await?.id;
            let attempts = ledger.attempts_of_agent(id, ATTEMPTS_MAX).await.map_err(unreadable)?;
            also(attempts.iter().map(|attempt| attempt.id).collect());
        }
        if let Some(text) = &query.mission {
            let id = resolve::mission(ledger, text).await?.0.id;
            let attempts = ledger.attempts_of(id).await.map_err(unreadable)?;
            also(attempts.iter().map(|attempt| attempt.id).collect());
        }
        Ok(limited.map(|ids| ids.into_iter().collect()))
    }

    async fn hits(&self, hits: Vec<Hit>) -> Result<Vec<ConversationHit>, Refusal> {
        let ledger = &self.0.ledger;
        let names = names(&ledger.agents().await.map_err(unreadable)?);
        let mut attempts: HashMap<AttemptId, Option<Attempt>> = HashMap::new();
        for hit in &hits {
            if let Entry::Vacant(place) = attempts.entry(hit.attempt_id) {
                place.insert(ledger.attempt(hit.attempt_id).await.map_err(unreadable)?);
            }
        }
        let ids: HashSet<MissionId> =
            attempts.values().flatten().map(|attempt| attempt.mission_id).collect();
        let ids: Vec<MissionId> = ids.into_iter().collect();
        let missions = ledger.missions_by_id(&ids).await.map_err(unreadable)?;
        let short_ids: HashMap<MissionId, _> =
            missions.into_iter().map(|mission| (mission.id, mission.short_id)).collect();
        let view = |hit: Hit| {
            let attempt = attempts.get(&hit.attempt_id).and_then(Option::as_ref);
            ConversationHit {
                attempt_id: hit.attempt_id,
                mission_id: attempt.map(|attempt| attempt.mission_id),
                short_id: attempt.and_then(|it| short_ids.get(&it.mission_id).cloned()),
                agent_id: attempt.map(|attempt| attempt.agent_id),
                agent: attempt.and_then(|it| names.get(&it.agent_id).cloned()),
                ordinal: hit.ordinal,
                at: hit.at,
                kind: hit.kind,
                snippet: hit.snippet.into_iter().map(|piece| piece.text).collect(),
            }
        };
        Ok(hits.into_iter().map(view).collect())
    }

    /// What an attempt has used, and how its tools did. What is not known stays unknown.
    ///
    /// # Errors
    /// When there is no such attempt.
    pub async fn usage(&self, id: AttemptId) -> Result<UsageView, Refusal> {
        resolve::attempt(&self.0.ledger, id).await?;
        let mut sources = self.0.ledger.usage_of(id).await.map_err(unreadable)?;
        for newer in self.0.orchestrator.used(id) {
            sources.retain(|known| known.source != newer.source);
            sources.push(newer);
        }
        sources.sort_by_key(|usage| usage.source);
        let calls = self.0.transcripts.tool_calls(id).await.map_err(untold)?;
        Ok(UsageView {
            best: Usage::best(&sources).cloned(),
            sources,
            tool_calls: ToolCallTotals {
                total: calls.total,
                failed: calls.failed,
                slow: calls.slow,
                running: calls.open,
            },
        })
    }

    /// Types into the terminal of an attempt that is at work.
    ///
    /// # Errors
    /// When there is no such attempt, it has no terminal, or it is over.
    pub async fn type_into(
        &self,
        _caller: &Caller,
        id: AttemptId,
        input: TerminalInput,
    ) -> Result<(), Refusal> {
        if input.text.is_empty() || input.text.len() > TYPED_BYTES_MAX {
            return Err(invalid(format!("1 to {TYPED_BYTES_MAX} bytes can be typed at once"))
                .hint("send a longer text in pieces, or as a message"));
        }
        self.with_terminal(id).await?;
        self.0.orchestrator.type_into(id, input.text).map_err(not_reached)
    }

    /// Gives the terminal of an attempt another size.
    ///
    /// # Errors
    /// When the size cannot be, there is no such attempt, it has no terminal, or it is over.
    pub async fn resize_terminal(
        &self,
        _caller: &Caller,
        id: AttemptId,
        size: TerminalSize,
    ) -> Result<(), Refusal> {
        if !TERMINAL_SIDE.contains(&size.cols) || !TERMINAL_SIDE.contains(&size.rows) {
            let (least, most) = (TERMINAL_SIDE.start(), TERMINAL_SIDE.end());
            return Err(invalid(format!("a terminal has {least} to {most} columns and rows")));
        }
        self.with_terminal(id).await?;
        self.0.orchestrator.resize(id, size.cols, size.rows).map_err(not_reached)
    }

    async fn with_terminal(&self, id: AttemptId) -> Result<(), Refusal> {
        let attempt = resolve::attempt(&self.0.ledger, id).await?;
        let agent = self.0.ledger.agent(attempt.agent_id).await.map_err(unreadable)?;
        match agent {
            Some(agent) if !agent.runtime.has_terminal() => {
                let why = format!("{} has no terminal; nothing was typed", agent.name);
                Err(Refusal::new(Code::Conflict, why)
                    .hint("send it a message, or create an agent with a terminal"))
            }
            _ => Ok(()),
        }
    }

    /// Calls off what an agent does now. What waits to be told is said then; where nothing does, its
    /// attempt ends, and its mission is held without having lost a try.
    ///
    /// # Errors
    /// When there is no such attempt, no conversation is under way, or it has no turns.
    pub async fn cancel_turn(&self, _caller: &Caller, id: AttemptId) -> Result<(), Refusal> {
        let attempt = resolve::attempt(&self.0.ledger, id).await?;
        let agent = self.0.ledger.agent(attempt.agent_id).await.map_err(unreadable)?;
        if let Some(agent) = agent.filter(|it| !matches!(it.runtime, Runtime::Acp { .. })) {
            let why = format!("{} has no turns; nothing was called off", agent.name);
            return Err(Refusal::new(Code::Conflict, why)
                .hint("pause its mission to hold its processes, or cancel it to end them"));
        }
        self.0.orchestrator.cancel_turn(id).map_err(not_reached)
    }
}

fn placed(placed: Placed) -> EntryAt {
    EntryAt { ordinal: placed.ordinal, revision: placed.revision, entry: placed.entry }
}

fn closing() -> Refusal {
    Refusal::new(Code::Busy, "the engine is shutting down")
}

fn not_reached(why: NotReached) -> Refusal {
    let (code, hint) = match why {
        NotReached::Busy => (Code::Busy, "nothing of this was taken"),
        NotReached::NoConversation => (Code::Conflict, "look at the attempt as it is now"),
    };
    Refusal::new(code, why.to_string()).hint(hint)
}

/// Turns a failed read of conversations into what the caller is told.
fn untold(err: ReadError) -> Refusal {
    match err {
        ReadError::BadCursor { .. } => Refusal::new(Code::InvalidInput, format!("failed to {err}")),
        ReadError::Deadline => Refusal::new(Code::Busy, format!("failed to {err}")),
        _ => {
            let error: &dyn std::error::Error = &err;
            tracing::error!(error, "a conversation could not be read");
            Refusal::new(Code::Internal, format!("failed to {err}"))
                .hint("missions are not touched by this; see the log in the data directory")
        }
    }
}
