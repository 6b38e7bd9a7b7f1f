//! The swarm as a whole: how it does, how it is stopped, and how it goes on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::attempt::AttemptState;
use model::event::{Event, Fact};
use model::id::AttemptId;
use model::process::Exit;
use model::refusal::Refusal;
use model::status::AgentState;
use model::swarm::{LOST_COUNTS_S, SwarmFacts, swarm_health};
use orchestrator::{Command, HaltReport, Input};
use store::ledger::{EventFilter, Ledger, ReadError};

use crate::resolve::unreadable;
use crate::view::{HaltRequest, HaltView, Survivor, SwarmView};
use crate::{Caller, Engine};

/// The most programs that died that are remembered.
const LOST_MAX: usize = 1_000;
/// Events that are looked through at the start for programs that died.
const LOOKED_THROUGH: u32 = 500;
/// How long the emergency stop may take before it is answered; recording goes on behind it.
const ANSWER_WITHIN: Duration = Duration::from_millis(4_700);

/// Programs that died without being asked to.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<VecDeque<(Timestamp, AttemptId)>>);

impl Losses {
    /// What the ledger says of the last minutes.
    pub(crate) async fn read(ledger: &Ledger, now: Timestamp) -> Result<Self, ReadError> {
        let this = Self::default();
        let filter = EventFilter {
            kinds: vec!["attempt_exited".to_owned(), "attempt_ended".to_owned()],
            limit: LOOKED_THROUGH,
            ..EventFilter::default()
        };
        let page = ledger.events(filter).await?;
        let since = beginning(now);
        for event in page.items.iter().rev().filter(|event| event.at >= since) {
            this.note(event);
        }
        Ok(this)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Timestamp, AttemptId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in.
    pub(crate) fn note(&self, event: &Event) {
        let died = match &event.fact {
            Fact::AttemptExited { attempt_id, record } => {
                let died = matches!(record.exit, Exit::Signal { .. } | Exit::Lost { .. });
                died.then_some(*attempt_id)
            }
            Fact::AttemptEnded { attempt_id, state: AttemptState::Lost, .. } => Some(*attempt_id),
            _ => None,
        };
        let Some(id) = died else {
            return;
        };
        let mut kept = self.kept();
        if kept.iter().any(|(_, known)| *known == id) {
            return;
        }
        if kept.len() == LOST_MAX {
            kept.pop_front();
        }
        kept.push_back((event.at, id));
    }

    /// How many died in the last minutes.
    fn count(&self, now: Timestamp) -> u64 {
        let since = beginning(now);
        let mut kept = self.kept();
        kept.retain(|(at, _)| *at >= since);
        kept.len() as u64
    }
}

fn beginning(now: Timestamp) -> Timestamp {
    now.saturating_sub(SignedDuration::from_secs(LOST_COUNTS_S)).unwrap_or(Timestamp::MIN)
}

impl Engine {
    /// The state and health of the swarm.
    pub(crate) async fn swarm_view(&self, states: &[AgentState]) -> Result<SwarmView, Refusal> {
        let recorded = self.0.ledger.halted().await.map_err(unreadable)?;
        let health = swarm_health(&SwarmFacts {
            agents: states,
            lost: self.0.losses.count(self.0.clock.now()),
            halted: recorded.is_some() || self.0.orchestrator.is_halted(),
        });
        Ok(SwarmView {
            state: health.state,
            grade: health.grade,
            live: health.live,
            because: health.because,
            advice: health.advice,
            halted_since: recorded.map(|halted| halted.since),
        })
    }

    /// Ends every process tree at once, and starts nothing until the swarm is resumed.
    ///
    /// It is answered within five seconds, whatever the ledger does; what could not be recorded or
    /// ended by then is said.
    pub async fn halt_swarm(&self, caller: &Caller, request: HaltRequest) -> HaltView {
        let command = Command {
            input: Input::Halt { note: request.note },
            actor: caller.actor.clone(),
            correlation_id: Some(caller.correlation_id),
            answer: None,
        };
        let engine = self.clone();
        let (ended, mut told) = tokio::sync::oneshot::channel();
        // It goes on when the one who asked does not wait.
        self.0.tasks.spawn(async move {
            let report = engine.0.orchestrator.halt(command).await;
            drop(ended.send(report));
        });
        match tokio::time::timeout(ANSWER_WITHIN, &mut told).await {
            Ok(Ok(report)) => shown(report),
            _ => HaltView {
                trees: 0,
                ended: 0,
                survivors: Vec::new(),
                took_ms: u64::try_from(ANSWER_WITHIN.as_millis()).unwrap_or(u64::MAX),
                recorded: false,
                problem: Some(
                    "nothing new is started; ending what runs, or recording it, is still under \
                     way: ask again to see what is left"
                        .to_owned(),
                ),
            },
        }
    }

    /// Lets the swarm go on.
    ///
    /// # Errors
    /// When it is not stopped.
    pub async fn resume_swarm(&self, caller: &Caller) -> Result<(), Refusal> {
        self.tell(caller, Input::ResumeSwarm).await.map(drop)
    }
}

fn shown(report: HaltReport) -> HaltView {
    let survivors = report.survivors.into_iter();
    HaltView {
        trees: report.trees,
        ended: report.ended,
        survivors: survivors.map(|(pid, program)| Survivor { pid, program }).collect(),
        took_ms: report.took_ms,
        recorded: report.not_recorded.is_none(),
        problem: report.not_recorded,
    }
}
