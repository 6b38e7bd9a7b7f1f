//! What an agent that runs elsewhere says of its attempt. Everything carries the lease's fencing
//! number; what comes under a lease that has ended is refused, and kept as late where it is a result.

use model::attempt::{Attempt, AttemptState};
use model::conversation::cut;
use model::id::AttemptId;
use model::process::{Exit, ExitRecord};
use model::refusal::{Code, Refusal};
use model::usage::{FIGURE_MAX, Usage, UsageSource};
use orchestrator::Input;

use super::Lent;
use crate::missions::{invalid, text_line};
use crate::resolve::unreadable;
use crate::tools::{NoteTaken, Speaker, checked_text, one_line, progress_line};
use crate::view::{
    AttachedEnd, AttachedEvidence, AttachedFinish, AttachedInbox, AttachedMessages,
    AttachedProgress, AttachedUsage,
};
use crate::{Caller, Engine};

/// The longest name of a piece of evidence, in characters.
const NAME_CHARS_MAX: usize = 100;
/// The longest name of a model, in characters.
const MODEL_CHARS_MAX: usize = 100;
/// The most of a summary that is a mission's reason, in bytes.
const REASON_BYTES_MAX: usize = 200;

impl Engine {
    /// The attempt a lease is on, whether or not that has ended.
    async fn leased(&self, lent: Lent, id: AttemptId, fence: u32) -> Result<Attempt, Refusal> {
        // Whoever says something is there.
        self.heard(lent).await?;
        let attempt = self.0.ledger.attempt(id).await.map_err(unreadable)?;
        let attempt = attempt.filter(|it| it.agent_id == lent.agent).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("you have no attempt '{id}'"))
                .hint("use the attempt and the fence of your lease")
        })?;
        if attempt.n == fence { Ok(attempt) } else { Err(stale(&attempt, "its number is another")) }
    }

    /// The attempt a lease is on, provided it holds.
    async fn held(&self, lent: Lent, id: AttemptId, fence: u32) -> Result<Attempt, Refusal> {
        let attempt = self.leased(lent, id, fence).await?;
        match attempt.state {
            _ if attempt.stopping => {
                self.0.orchestrator.attached().told(attempt.id);
                Err(stale(&attempt, "it was asked to stop"))
            }
            AttemptState::Running => Ok(attempt),
            AttemptState::Leased | AttemptState::Starting => Err(untaken()),
            _ => Err(stale(&attempt, "it is over")),
        }
    }

    /// Keeps how far an agent says it is.
    ///
    /// # Errors
    /// When the lease has ended, nothing is said, or it is out of bounds.
    pub async fn attached_progress(
        &self,
        caller: &Caller,
        lent: Lent,
        said: AttachedProgress,
    ) -> Result<(), Refusal> {
        let line = progress_line(said.percent, said.note.as_deref())?;
        let attempt = self.held(lent, said.attempt, said.fence).await?;
        let who = Speaker::of(&attempt);
        self.note_progress(&lent.caller(caller), &who, said.percent, line).await
    }

    /// Keeps something that shows what was done, in the mission's devlog. It proves nothing by itself.
    ///
    /// # Errors
    /// When the lease has ended, or it is empty or too long.
    pub async fn attached_evidence(
        &self,
        caller: &Caller,
        lent: Lent,
        said: AttachedEvidence,
    ) -> Result<NoteTaken, Refusal> {
        let text = evidence_text(&said.name, &said.text)?;
        let attempt = self.held(lent, said.attempt, said.fence).await?;
        self.write_note(&lent.caller(caller), &Speaker::of(&attempt), &text).await
    }

    /// Keeps what an attempt has used so far.
    ///
    /// # Errors
    /// When the lease has ended, or something is out of bounds.
    pub async fn attached_usage(
        &self,
        caller: &Caller,
        lent: Lent,
        said: AttachedUsage,
    ) -> Result<(), Refusal> {
        let model = said.model.as_deref().filter(|model| !model.trim().is_empty());
        let model = model.map(|it| text_line("model", it, MODEL_CHARS_MAX)).transpose()?;
        let attempt = self.held(lent, said.attempt, said.fence).await?;
        let mut usage = Usage {
            model,
            tokens: said.tokens,
            requests: said.requests,
            reported_cost_micros: said.cost_micros,
            turns: said.turns,
            tool_calls: said.tool_calls,
            tool_failures: said.tool_failures,
            context: said.context,
            ..Usage::none(UsageSource::Result)
        };
        if usage.clone().bounded() != usage {
            return Err(invalid("a figure is larger than any attempt can use; nothing was kept")
                .hint(format!("at most {FIGURE_MAX}")));
        }
        let prices = self.0.presets.live_prices().now();
        let cost = usage.model.as_deref().and_then(|model| prices.cost(model, &usage.tokens));
        if let Some(cost) = cost {
            usage.own_cost_micros = Some(cost.micros);
            usage.prices_of = Some(cost.prices_of);
        }
        let input = Input::Measured { id: attempt.id, usage: Box::new(usage) };
        self.tell(&lent.caller(caller), input).await.map(drop)
    }

    /// Ends an attempt, as its agent says; the gates decide what that comes to. An attempt that was
    /// asked to stop is stopped by it.
    ///
    /// # Errors
    /// When the lease has ended, which is kept as late, or the summary is too long.
    pub async fn attached_finish(
        &self,
        caller: &Caller,
        lent: Lent,
        said: AttachedFinish,
    ) -> Result<AttachedEnd, Refusal> {
        let summary = match said.summary.trim() {
            "" => None,
            summary => Some(checked_text(summary)?),
        };
        let attempt = self.leased(lent, said.attempt, said.fence).await?;
        let id = attempt.id;
        let exit = ended(said.completed, summary.as_deref())?;
        let (caller, orchestrator) = (lent.caller(caller), &self.0.orchestrator);
        // An emergency stop is told of before it is recorded: who obeys it at once has failed nothing.
        let stops = attempt.stopping || (!said.completed && orchestrator.is_halted());
        match attempt.state {
            AttemptState::Running if stops => orchestrator.attached().left(lent.agent, id),
            AttemptState::Running => {
                self.exit_attached(&caller, &attempt, exit, summary).await?;
            }
            AttemptState::Leased | AttemptState::Starting => return Err(untaken()),
            // The answer to the first time was lost.
            _ if attempt.exit() == Some(&exit) => {}
            _ => {
                let record = ExitRecord::bare(exit, self.0.clock.now());
                if attempt.state.is_final() {
                    self.tell(&caller, Input::Exited { id, record }).await?;
                }
                return Err(stale(&attempt, "it is over"));
            }
        }
        let attempt = self.0.ledger.attempt(id).await.map_err(unreadable)?.unwrap_or(attempt);
        if attempt.stopping && attempt.state == AttemptState::Running {
            // It was asked to stop in this moment, and its end came to nothing.
            orchestrator.attached().left(lent.agent, id);
        }
        let mission = self.0.ledger.mission(attempt.mission_id).await.map_err(unreadable)?;
        let mission_state = mission.map_or_else(
            || Err(Refusal::new(Code::Conflict, "the mission was removed")),
            |(mission, _)| Ok(mission.state),
        )?;
        Ok(AttachedEnd { state: attempt.state, mission_state })
    }

    async fn exit_attached(
        &self,
        caller: &Caller,
        attempt: &Attempt,
        exit: Exit,
        summary: Option<String>,
    ) -> Result<(), Refusal> {
        if let Some(summary) = summary {
            // Two facts under one request: each has a key of its own.
            let key = caller.key.as_ref().map(|key| format!("{key}/note"));
            let apart = Caller { key, ..caller.clone() };
            self.write_note(&apart, &Speaker::of(attempt), &summary).await?;
        }
        let record = ExitRecord::bare(exit, self.0.clock.now());
        self.tell(caller, Input::Exited { id: attempt.id, record }).await.map(drop)
    }

    /// The messages to an agent that it has not done with; they count as delivered from now on.
    ///
    /// # Errors
    /// When the lease has ended, or there is no such message to this agent.
    pub async fn attached_messages(
        &self,
        caller: &Caller,
        lent: Lent,
        said: AttachedInbox,
    ) -> Result<AttachedMessages, Refusal> {
        let attempt = self.held(lent, said.attempt, said.fence).await?;
        let (caller, who) = (lent.caller(caller), Speaker::of(&attempt));
        if !said.done.is_empty() {
            self.acknowledge_for(&caller, &who, said.done).await?;
        }
        Ok(AttachedMessages { messages: self.messages_for(&caller, &who).await? })
    }
}

/// A piece of evidence as text of a devlog.
pub(crate) fn evidence_text(name: &str, text: &str) -> Result<String, Refusal> {
    let name = text_line("name", name, NAME_CHARS_MAX)?;
    checked_text(&format!("evidence: {name}\n\n{}", checked_text(text)?))
}

fn ended(completed: bool, summary: Option<&str>) -> Result<Exit, Refusal> {
    let what = if completed { "it says that it is done" } else { "it says that it stopped" };
    let reason = match summary {
        Some(summary) => format!("{what}: {}", cut(&one_line(summary)?, REASON_BYTES_MAX)),
        None => what.to_owned(),
    };
    Ok(Exit::Answered { completed, reason })
}

fn stale(attempt: &Attempt, why: &str) -> Refusal {
    let message = format!("the lease {} of this attempt has ended: {why}", attempt.n);
    Refusal::new(Code::StaleLease, message).hint("stop working on it, and ask for a mission again")
}

fn untaken() -> Refusal {
    Refusal::new(Code::Conflict, "the attempt was not taken yet").hint("ask for its lease first")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_who_says_that_it_is_done_claims_completion() {
        assert!(ended(true, Some("all of it")).unwrap().claims_completion());
        assert!(!ended(false, None).unwrap().claims_completion());
    }

    proptest! {
        #[test]
        fn no_evidence_or_summary_panics(name: String, text: String) {
            let _ = evidence_text(&name, &text);
            let _ = ended(true, Some(&text));
        }
    }
}
