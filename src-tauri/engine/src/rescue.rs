//! Agents that show no sign of life are woken: nudged, called off, started again, each after a while
//! and once. What was done is in the log, so that an engine that starts again goes on from there.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use model::activity::{Activity, Phase};
use model::event::Fact;
use model::id::{AttemptId, MessageId, SystemDraw};
use model::message::{Message, Source, Urgency};
use model::refusal::Refusal;
use model::rescue::{RescueStep, STALLS_MAX};
use model::status::{AgentState, STALLED_AFTER_S, span_in_words};
use orchestrator::Input;
use orchestrator::input::Rescue;
use store::ledger::EventFilter;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Engine;
use crate::resolve::unreadable;
use crate::view::AgentView;

/// How often it is looked who shows no sign of life.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest time between two steps.
const STEP_MAX: Duration = Duration::from_secs(300);
/// The most steps that are read of one attempt.
const STEPS_READ: u32 = 50;

/// What was done for the agents that show no sign of life.
#[derive(Debug, Default)]
pub(crate) struct Rescues {
    known: Mutex<HashMap<AttemptId, Rung>>,
    /// Messages a turn was called off for, so that its agent hears them: it has nothing else to go on
    /// with. They are called back when their attempt is over, at most a few for each.
    promised: Mutex<Vec<(AttemptId, MessageId)>>,
}

/// How far an agent's rescue is.
#[derive(Debug, Clone, Copy)]
struct Rung {
    step: RescueStep,
    at: Timestamp,
    /// When it was taken, or read from the log.
    taken: Instant,
    message: Option<MessageId>,
}

impl Rescues {
    fn known(&self) -> MutexGuard<'_, HashMap<AttemptId, Rung>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promised(&self) -> MutexGuard<'_, Vec<(AttemptId, MessageId)>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.known().is_empty() && self.promised().is_empty()
    }

    /// Forgets the agents that show signs of life again, and gives the messages they need not hear any
    /// more: not those their turn was called off for, while they are at work.
    fn recovered(
        &self,
        stalled: impl Fn(AttemptId) -> bool,
        at_work: &HashSet<AttemptId>,
    ) -> Vec<MessageId> {
        let mut known = self.known();
        let mut promised = self.promised();
        let mut unneeded = Vec::new();
        for (id, rung) in known.extract_if(|id, _| !stalled(*id)) {
            match (rung.step, rung.message) {
                (RescueStep::Rescue, Some(message)) => promised.push((id, message)),
                (_, message) => unneeded.extend(message),
            }
        }
        let over = promised.extract_if(.., |(id, _)| !at_work.contains(id));
        unneeded.extend(over.map(|(_, message)| message));
        unneeded
    }

    /// What was done for an agent that shows no sign of life, in words that follow its reason.
    pub(crate) fn told(&self, id: AttemptId) -> Option<String> {
        let rung = self.known().get(&id).copied()?;
        Some(format!("it {} at {:.0}", rung.step.in_words(), rung.at))
    }
}

impl Engine {
    /// Wakes agents that show no sign of life, until the engine ends.
    pub(crate) async fn tend_the_stalled(self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.0.cancel.cancelled() => return,
                _ = look.tick() => {}
            }
            if let Err(refusal) = self.wake().await {
                tracing::warn!(%refusal, "agents that show no sign of life could not be woken");
            }
        }
    }

    async fn wake(&self) -> Result<(), Refusal> {
        let rescues = &self.0.rescues;
        if !self.anybody_is_silent() && rescues.is_empty() {
            return Ok(());
        }
        let views = self.roster_views().await?;
        let stalled: HashMap<AttemptId, &AgentView> = views
            .iter()
            .filter(|view| view.status.state == AgentState::Stalled && !view.agent.paused)
            .filter_map(|view| Some((view.current.as_ref()?.attempt_id, view)))
            .filter(|(_, view)| self.is_silent(view))
            .collect();
        let at_work: HashSet<AttemptId> =
            views.iter().filter_map(|view| Some(view.current.as_ref()?.attempt_id)).collect();
        for message in rescues.recovered(|id| stalled.contains_key(&id), &at_work) {
            self.call_back(message).await;
        }
        for (id, view) in stalled {
            if let Err(refusal) = self.wake_one(id, view).await {
                tracing::info!(%refusal, attempt = %id, "an agent is not woken now");
            }
        }
        Ok(())
    }

    /// Whether any program that runs has been silent for so long that it may have stalled. Looks at
    /// what is measured only: mostly nobody has.
    fn anybody_is_silent(&self) -> bool {
        let snapshot = self.0.snapshots.borrow().clone();
        let activities = self.0.orchestrator.activities();
        snapshot.agents.values().filter(|usage| usage.alive && !usage.held).any(|usage| {
            let activity = activities.get(&usage.attempt_id);
            let waits = |activity: &&Activity| {
                !matches!(activity.phase, Phase::Turn | Phase::Limited { .. })
            };
            if activity.filter(waits).is_some() {
                return false;
            }
            let heard = activity.and_then(|activity| activity.last_event_at);
            let limit = activity.map_or(STALLED_AFTER_S, |it| i64::from(it.stalled_after_s));
            let last = usage.last_output_at.max(heard);
            last.is_none_or(|last| self.0.clock.now().duration_since(last).as_secs() >= limit)
        })
    }

    /// Whether a stalled agent has shown no sign of life for as long as its kind is given. One whose
    /// processes are held by somebody else is not to be woken.
    fn is_silent(&self, view: &AgentView) -> bool {
        let held = self.0.snapshots.borrow().agents.get(&view.agent.id).is_some_and(|it| it.held);
        !held && self.silent_s(view) >= self.patience(view).as_secs()
    }

    fn silent_s(&self, view: &AgentView) -> u64 {
        let silent = self.0.clock.now().duration_since(view.status.since).as_secs();
        u64::try_from(silent).unwrap_or(0)
    }

    /// Silence after which an agent of its kind is stalled.
    fn patience(&self, view: &AgentView) -> Duration {
        let known = view.activity.as_ref().map(|activity| u64::from(activity.stalled_after_s));
        Duration::from_secs(known.unwrap_or(STALLED_AFTER_S.unsigned_abs()))
    }

    /// Takes the next step for an agent, where it is time for one.
    async fn wake_one(&self, id: AttemptId, view: &AgentView) -> Result<(), Refusal> {
        let runtime = &view.agent.runtime;
        let known = self.0.rescues.known().get(&id).copied();
        let (rung, stalls) = match known {
            Some(rung) => (Some(rung), 0),
            None => self.rung_of(id, view.status.since).await?,
        };
        let step = match rung {
            Some(rung) => {
                self.0.rescues.known().insert(id, rung);
                let pause = (self.patience(view) / 2).min(STEP_MAX);
                match rung.step.next(runtime).filter(|_| rung.taken.elapsed() >= pause) {
                    Some(step) => step,
                    None => return Ok(()),
                }
            }
            None if stalls >= STALLS_MAX => {
                *RescueStep::ladder(runtime).last().unwrap_or(&RescueStep::Captain)
            }
            None => *RescueStep::ladder(runtime).first().unwrap_or(&RescueStep::Captain),
        };
        let now = self.0.clock.now();
        let message = (step == RescueStep::Nudge).then(|| nudge(view, self.silent_s(view), now));
        let said = message.as_ref().map(|message| message.id);
        let silent_s = self.silent_s(view);
        let rescue = Rescue { id, step, silent_s, message: message.map(Box::new) };
        self.0.orchestrator.tell(orchestrator::Command::own(Input::Rescue(rescue))).await?;
        let message = said.or(rung.and_then(|rung| rung.message));
        let rung = Rung { step, at: now, taken: Instant::now(), message };
        self.0.rescues.known().insert(id, rung);
        if step == RescueStep::Rescue {
            // What waits is said in the next turn. One that does not listen is started again.
            let _ = self.0.orchestrator.interrupt_turn(id);
        }
        Ok(())
    }

    /// How far the rescue of an attempt is that was silent since then, and how often it had stalled
    /// before, as the log says.
    async fn rung_of(
        &self,
        id: AttemptId,
        since: Timestamp,
    ) -> Result<(Option<Rung>, u32), Refusal> {
        let kinds = vec!["attempt_rescued".to_owned()];
        let filter = EventFilter {
            attempt_id: Some(id),
            kinds,
            limit: STEPS_READ,
            ..EventFilter::default()
        };
        let events = self.0.ledger.events(filter).await.map_err(unreadable)?.items;
        let steps = events.iter().filter_map(|event| match event.fact {
            Fact::AttemptRescued { step, at, .. } => Some((step, at)),
            _ => None,
        });
        let newest = steps.clone().next().filter(|(_, at)| *at >= since);
        let rung = newest.map(|(step, at)| Rung { step, at, taken: Instant::now(), message: None });
        let first = |step: &RescueStep| matches!(step, RescueStep::Nudge | RescueStep::Captain);
        let stalls = steps.filter(|(step, _)| first(step)).count();
        Ok((rung, u32::try_from(stalls).unwrap_or(u32::MAX)))
    }

    /// What an agent that works again has not yet heard, it need not hear any more.
    async fn call_back(&self, id: MessageId) {
        let discard = orchestrator::Command::own(Input::DiscardMessage(id));
        if let Err(refusal) = self.0.orchestrator.tell(discard).await {
            tracing::debug!(%refusal, "a nudge was heard already");
        }
    }
}

fn nudge(view: &AgentView, silent_s: u64, now: Timestamp) -> Message {
    let text = format!(
        "You have shown no sign of life for {}. Go on with your mission. Where something keeps you \
         from it, say what; where you wait for the captain, ask.",
        span_in_words(silent_s)
    );
    let id = MessageId::draw(now, &mut SystemDraw);
    let mission_id = view.current.as_ref().map(|work| work.mission_id);
    let message = Message::queued(id, view.agent.id, Source::System, text, now);
    Message { urgency: Urgency::Urgent, mission_id, ..message }
}
