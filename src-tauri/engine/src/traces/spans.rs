//! The spans of a mission: attempts, gates, tool calls, messages, prompts and questions.

use jiff::Timestamp;
use model::attempt::{Attempt, AttemptState};
use model::conversation::{Body, Entry, ToolState};
use model::gate::{GateResult, Verdict};
use model::id::{AttemptId, MissionId};
use model::message::Message;
use model::mission::MissionState;
use model::process::Exit;
use model::refusal::{Code, Refusal};
use model::trace::{SpanId, TraceId};
use model::usage::Usage;
use store::ledger::MessageFilter;
use store::transcripts::{PAGE_ENTRIES_MAX, PageFrom};

use crate::Engine;
use crate::resolve::unreadable;

/// The most entries of a conversation that become spans, the first ones.
const ENTRIES_MAX: usize = 2_000;
/// The most messages to an agent that are looked through for those of the attempt, the newest.
const MESSAGES_MAX: u32 = 200;
/// The longest name of a tool that is sent, in characters.
const NAME_CHARS_MAX: usize = 80;

/// What an attribute of a span says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// A part of a mission with its beginning and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Whether it went well; nothing where there is no such thing.
    pub(super) went_well: Option<bool>,
    pub(super) attributes: Vec<(&'static str, Said)>,
}

impl Span {
    fn with(mut self, key: &'static str, said: impl Into<Said>) -> Self {
        self.attributes.push((key, said.into()));
        self
    }

    fn with_some(self, key: &'static str, said: Option<impl Into<Said>>) -> Self {
        match said {
            Some(said) => self.with(key, said),
            None => self,
        }
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Said {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i32> for Said {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Said {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Engine {
    /// The span of a mission that is over; nothing where it is not, or not any more.
    pub(super) async fn span_of_mission(&self, id: MissionId) -> Result<Option<Span>, Refusal> {
        let found = self.0.ledger.mission_ever(id).await.map_err(unreadable)?;
        let found = found.map(|(mission, _)| mission);
        let Some(mission) = found.filter(|mission| mission.state.is_final()) else {
            return Ok(None);
        };
        let span = Span {
            trace: TraceId::of(id),
            id: SpanId::of(id.as_uuid()),
            parent: None,
            name: format!("mission {}", mission.short_id),
            from: mission.created_at,
            to: mission.updated_at.max(mission.created_at),
            went_well: match mission.state {
                MissionState::Done => Some(true),
                MissionState::Failed => Some(false),
                _ => None,
            },
            attributes: Vec::new(),
        };
        Ok(Some(
            span.with("hivekeeper.mission.id", id.to_string())
                .with("hivekeeper.mission.short_id", mission.short_id.to_string())
                .with("hivekeeper.mission.state", mission.state.as_str())
                .with("hivekeeper.mission.grade", mission.grade.as_str())
                .with("hivekeeper.mission.attempts", u64::from(mission.attempts)),
        ))
    }

    /// The spans of an attempt that is over and of everything in it.
    pub(super) async fn spans_of_attempt(&self, id: AttemptId) -> Result<Vec<Span>, Refusal> {
        let ledger = &self.0.ledger;
        let Some(attempt) = ledger.attempt(id).await.map_err(unreadable)? else {
            return Ok(Vec::new());
        };
        let agent = ledger.agent_ever(attempt.agent_id).await.map_err(unreadable)?;
        let usage = ledger.usage_of(id).await.map_err(unreadable)?;
        let gates = ledger.gate_results(id).await.map_err(unreadable)?;
        let filter = MessageFilter {
            agent_id: Some(attempt.agent_id),
            limit: MESSAGES_MAX,
            ..MessageFilter::default()
        };
        let messages = ledger.messages(filter).await.map_err(unreadable)?.items;
        let mut of = Of { attempt, now: self.0.clock.now(), spans: Vec::new() };
        let name = agent.map_or_else(|| of.attempt.agent_id.to_string(), |agent| agent.name);
        of.attempt(&name, Usage::best(&usage));
        gates.iter().for_each(|gate| of.gate(gate));
        let own = messages.iter().filter(|message| message.attempt_id == Some(id));
        own.for_each(|message| of.message(message));
        let mut from = PageFrom::After(0);
        while of.spans.len() < ENTRIES_MAX {
            let page = self.0.transcripts.page(id, from, PAGE_ENTRIES_MAX).await;
            let page = page.map_err(|err| {
                tracing::error!(
                    error = &err as &dyn std::error::Error,
                    "a conversation could not be read"
                );
                Refusal::new(Code::Internal, format!("failed to {err}"))
            })?;
            let Some(last) = page.entries.last() else { break };
            from = PageFrom::After(last.ordinal);
            page.entries.iter().for_each(|placed| of.entry(&placed.entry));
        }
        of.spans.truncate(ENTRIES_MAX);
        Ok(of.spans)
    }
}

/// The spans of one attempt, as they are made.
struct Of {
    attempt: Attempt,
    now: Timestamp,
    spans: Vec<Span>,
}

impl Of {
    /// A span in the attempt.
    fn within(&self, id: SpanId, name: String, from: Timestamp, to: Timestamp) -> Span {
        Span {
            trace: TraceId::of(self.attempt.mission_id),
            id,
            parent: Some(SpanId::of(self.attempt.id.as_uuid())),
            name,
            from,
            to: to.max(from),
            went_well: None,
            attributes: Vec::new(),
        }
    }

    fn attempt(&mut self, agent: &str, usage: Option<&Usage>) {
        let attempt = &self.attempt;
        let to = attempt.ended_at.unwrap_or(self.now);
        let id = SpanId::of(attempt.id.as_uuid());
        let span = self.within(id, format!("invoke_agent {agent}"), attempt.leased_at, to);
        let tokens = usage.map(|usage| usage.tokens).unwrap_or_default();
        let code = match attempt.exit() {
            Some(Exit::Code { code }) => Some(*code),
            _ => None,
        };
        let cost = usage.and_then(|usage| usage.own_cost_micros.or(usage.reported_cost_micros));
        let span = Span {
            parent: Some(SpanId::of(attempt.mission_id.as_uuid())),
            went_well: match attempt.state {
                AttemptState::Accepted => Some(true),
                AttemptState::Rejected | AttemptState::Lost => Some(false),
                _ => None,
            },
            ..span
        };
        let span = span
            .with("gen_ai.operation.name", "invoke_agent")
            .with("gen_ai.agent.name", agent)
            .with("gen_ai.agent.id", attempt.agent_id.to_string())
            .with("hivekeeper.mission.id", attempt.mission_id.to_string())
            .with("hivekeeper.attempt.id", attempt.id.to_string())
            .with("hivekeeper.attempt.n", u64::from(attempt.n))
            .with("hivekeeper.attempt.state", attempt.state.as_str())
            .with_some("process.exit.code", code)
            .with_some("gen_ai.response.model", usage.and_then(|usage| usage.model.clone()))
            .with_some("gen_ai.usage.input_tokens", tokens.input())
            .with_some("gen_ai.usage.output_tokens", tokens.output)
            .with_some("gen_ai.usage.cache_read.input_tokens", tokens.cache_read)
            .with_some("hivekeeper.cost.micro_usd", cost);
        self.spans.push(span);
    }

    fn gate(&mut self, result: &GateResult) {
        let id = SpanId::part(self.attempt.id.as_uuid(), &format!("gate {}", result.index));
        let took = jiff::SignedDuration::from_millis(
            i64::try_from(result.duration_ms).unwrap_or(i64::MAX),
        );
        let to = result.started_at.checked_add(took).unwrap_or(self.now);
        let kind = result.gate.kind();
        let span = self.within(id, format!("gate {kind}"), result.started_at, to);
        let span = Span { went_well: Some(result.verdict == Verdict::Passed), ..span }
            .with("hivekeeper.gate.index", u64::from(result.index))
            .with("hivekeeper.gate.kind", kind)
            .with("hivekeeper.gate.verdict", result.verdict.as_str())
            .with_some("process.exit.code", result.exit_code);
        self.spans.push(span);
    }

    fn message(&mut self, message: &Message) {
        let id = SpanId::of(message.id.as_uuid());
        let known = [message.acknowledged_at, message.started_at, message.delivered_at];
        let to = known.into_iter().flatten().next().unwrap_or(message.queued_at);
        let span = self.within(id, "message".to_owned(), message.queued_at, to);
        let span = span
            .with("hivekeeper.message.id", message.id.to_string())
            .with("hivekeeper.message.acknowledged", message.acknowledged_at.is_some());
        self.spans.push(span);
    }

    fn entry(&mut self, entry: &Entry) {
        let id = SpanId::part(self.attempt.id.as_uuid(), &format!("entry {}", entry.id));
        let named = |name: &str| self.within(id, name.to_owned(), entry.at, entry.updated_at);
        let span = match &entry.body {
            Body::Prompt { .. } => named("prompt"),
            Body::Message { .. } => named("answer"),
            Body::Request { answer, .. } => {
                named("request").with("hivekeeper.request.answered", answer.is_some())
            }
            Body::ToolCall { call } => {
                let kind = serde_json::to_value(call.tool).unwrap_or_default();
                let kind = kind.as_str().unwrap_or_default().to_owned();
                let name: String = match &call.name {
                    Some(name) => name.chars().take(NAME_CHARS_MAX).collect(),
                    None => kind.clone(),
                };
                let from = call.started_at.unwrap_or(entry.at);
                let to = call.ended_at.unwrap_or(entry.updated_at);
                let span = self.within(id, format!("execute_tool {name}"), from, to);
                Span { went_well: went_well(call.state), ..span }
                    .with("gen_ai.operation.name", "execute_tool")
                    .with("gen_ai.tool.name", name)
                    .with("hivekeeper.tool.kind", kind)
                    .with("hivekeeper.tool.slow", call.slow)
            }
            _ => return,
        };
        self.spans.push(span);
    }
}

const fn went_well(state: ToolState) -> Option<bool> {
    match state {
        ToolState::Completed => Some(true),
        ToolState::Failed => Some(false),
        _ => None,
    }
}
