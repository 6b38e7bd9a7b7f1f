//! Taking a mission: waited for by events, and given again to whoever asks again.

use std::time::Duration;

use agents::runtime::OwnTools;
use model::attempt::{Attempt, AttemptState};
use model::refusal::{Code, Refusal};
use orchestrator::{FirstWords, Input, Standing};
use tokio::time::{Instant, sleep_until};

use super::Lent;
use crate::missions::invalid;
use crate::resolve::{self, unreadable};
use crate::view::{AttachedAsk, AttachedLease, AttachedOffer, AttachedTools};
use crate::{Caller, Engine};

/// The longest an agent waits for a mission with one request, in seconds: well within the time after
/// which every request is answered.
const WAIT_S_MAX: u32 = 25;

impl Engine {
    /// The mission of an agent that runs elsewhere, after waiting for one for a while. Whoever has one
    /// gets the same one again, also after a restart of its own or of the engine.
    ///
    /// # Errors
    /// When it waits too long, the agent was removed, or the ledger cannot be read.
    pub async fn attached_lease(
        &self,
        caller: &Caller,
        lent: Lent,
        ask: AttachedAsk,
    ) -> Result<AttachedOffer, Refusal> {
        if ask.wait_s > WAIT_S_MAX {
            return Err(invalid(format!("a request waits at most {WAIT_S_MAX} s")));
        }
        self.heard(lent).await?;
        let orchestrator = &self.0.orchestrator;
        let poll = orchestrator
            .attached()
            .poll(lent.agent)
            .ok_or_else(|| Refusal::new(Code::Conflict, "the agent was removed"))?;
        // Each that waits holds a connection; where too many do, the answer comes at once.
        let wait_s = if poll.may_wait() { ask.wait_s } else { 0 };
        let until = Instant::now() + Duration::from_secs(wait_s.into());
        loop {
            let bell = poll.bell();
            let standing = orchestrator.attached().standing(lent.agent);
            let open = standing.filter(|it| !it.stopping && !orchestrator.is_halted());
            if let Some(standing) = open
                && let Some(lease) = self.take_lease(caller, lent, standing).await?
            {
                return Ok(AttachedOffer { lease: Some(lease) });
            }
            tokio::select! {
                () = bell => {}
                () = sleep_until(until) => return Ok(AttachedOffer { lease: None }),
                () = self.0.cancel.cancelled() => return Ok(AttachedOffer { lease: None }),
            }
        }
    }

    /// Takes an attempt; nothing where it has come to its end meanwhile.
    async fn take_lease(
        &self,
        caller: &Caller,
        lent: Lent,
        standing: Standing,
    ) -> Result<Option<AttachedLease>, Refusal> {
        let caller = lent.caller(caller).without_key();
        let id = standing.id;
        if !standing.taken {
            match self.tell(&caller, Input::Taken { id }).await {
                Ok(_) => {}
                // It was asked to stop in this moment, or somebody gave it up.
                Err(refusal) if refusal.code != Code::Busy && refusal.code != Code::Internal => {
                    return Ok(None);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        let attempt = resolve::attempt(&self.0.ledger, id).await?;
        if attempt.stopping || attempt.state != AttemptState::Running {
            return Ok(None);
        }
        self.0.orchestrator.attached().took(id);
        let run = self.0.dir.attempt(id);
        let first = tokio::task::spawn_blocking(move || FirstWords::recall(&run)).await;
        let first =
            first.map_err(std::io::Error::other).flatten().map_err(|error| unread(&error))?;
        let first = first.unwrap_or(FirstWords { prompt: String::new(), messages: Vec::new() });
        if !first.messages.is_empty() && !standing.taken {
            self.tell(&caller, Input::Delivered { messages: first.messages, id }).await?;
        }
        self.lease_of(attempt, first.prompt).await.map(Some)
    }

    async fn lease_of(&self, attempt: Attempt, prompt: String) -> Result<AttachedLease, Refusal> {
        let ledger = &self.0.ledger;
        let found = ledger.mission(attempt.mission_id).await.map_err(unreadable)?;
        let (mission, brief) =
            found.ok_or_else(|| Refusal::new(Code::Conflict, "the mission was removed"))?;
        let agent = ledger.agent(attempt.agent_id).await.map_err(unreadable)?;
        let tools = self.tools_of(&attempt).await;
        let (directory, branch) = match attempt.workplace {
            Some(workplace) => (workplace.directory, workplace.branch),
            None => {
                return Err(Refusal::new(Code::Conflict, "the attempt has no place to work in"));
            }
        };
        Ok(AttachedLease {
            attempt: attempt.id,
            fence: attempt.n,
            mission_id: mission.id,
            mission: mission.short_id,
            title: mission.title,
            brief,
            prompt,
            criteria: mission.criteria,
            gates: mission.gates.iter().map(model::gate::GateSpec::label).collect(),
            directory,
            branch,
            handoff: attempt.handoff.map(|handoff| handoff.text),
            deadline: mission.deadline,
            lost_after_s: agent.and_then(|it| it.runtime.lost_after_s()).unwrap_or_default(),
            tools: tools.map(|OwnTools { url, token }| AttachedTools { url, token }),
        })
    }

    /// Our tools for an attempt; nothing while the engine does not listen. Asked again, they go by the
    /// same token: each further one would end an earlier one at last.
    async fn tools_of(&self, attempt: &Attempt) -> Option<OwnTools> {
        let url = self.0.url.borrow().clone()?;
        let attached = self.0.orchestrator.attached();
        let (run, id) = (self.0.dir.attempt(attempt.id), attempt.id);
        let given = attached.tools(id);
        let token = tokio::task::spawn_blocking(move || {
            match given.filter(|token| agents::token::is_of(&run, token)) {
                Some(token) => Ok(token),
                None => agents::token::mint(&run, id),
            }
        });
        match token.await.map_err(std::io::Error::other).flatten() {
            Ok(token) => {
                attached.gave_tools(id, token.clone());
                Some(OwnTools { url: format!("{}/mcp", url.trim_end_matches('/')), token })
            }
            Err(error) => {
                tracing::warn!(attempt = %id, %error, "an attempt goes without our tools");
                None
            }
        }
    }
}

fn unread(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "what an agent is told could not be read");
    Refusal::new(Code::Internal, format!("failed to read what the agent is told: {error}"))
}
