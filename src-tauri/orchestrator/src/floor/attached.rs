//! Attempts of agents that run elsewhere: offered, watched by their heartbeats, and ended with words.
//!
//! No process of ours works on them. What can be said of one for certain is what its agent told; the
//! rest is said to be uncertain.

use std::path::Path;
use std::time::Duration;

use agents::runtime::command::CommandDriver;
use model::agent::Agent;
use model::attempt::AttemptState;
use model::id::{AttemptId, MessageId};
use model::process::{Exit, ExitRecord};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::opening::Kept;
use super::{Case, FloorSetup, Hindrance};
use crate::attached::Look;
use crate::input::Input;

/// An attempt that is not taken is given back after this many times the silence that its agent is
/// allowed, even while it is heard of.
const UNTAKEN_TIMES: u32 = 4;

/// How it ended when an agent that runs elsewhere was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CalledOff {
    /// It does not work on it any more, or never did.
    Surely,
    /// It did not say so; the text tells what may still go on.
    Unconfirmed(String),
}

/// What an agent that runs elsewhere is told first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstWords {
    /// Role, rules, brief, handoff and messages.
    pub prompt: String,
    /// The messages among them.
    pub messages: Vec<MessageId>,
}

impl FirstWords {
    /// What was written down for the attempt whose run is there; nothing before it was.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn recall(run: &Path) -> std::io::Result<Option<Self>> {
        let kept = Kept::recall(run)?;
        Ok(kept
            .map(|kept| kept.opening(Path::new("/")))
            .map(|opening| Self { prompt: opening.prompt, messages: opening.messages }))
    }
}

/// How waiting for an agent ended.
enum Waited {
    /// It reported its end, or the attempt is being stopped: others carry on.
    Over,
    /// It is given up.
    GivenUp(String),
}

/// After how much silence an agent is lost, where it runs elsewhere.
pub(super) fn lost_after(case: &Case) -> Option<(&Agent, Duration)> {
    let agent = case.agent.as_ref()?;
    let seconds = agent.runtime.lost_after_s()?;
    Some((agent, Duration::from_secs(seconds.into())))
}

impl FloorSetup {
    /// Makes the workplace, offers the attempt to its agent, and waits for its end.
    pub(super) async fn begin_elsewhere(&self, case: Case, cancel: &CancellationToken) {
        let id = case.attempt.id;
        match Box::pin(self.offer(&case, cancel)).await {
            Ok(true) => self.attend(id, cancel).await,
            Ok(false) => {}
            Err(hindrance) => {
                let reason = hindrance.to_string();
                let record = self.record(Exit::NotStarted { reason });
                self.tell(Input::Exited { id, record }).await;
            }
        }
    }

    /// Makes the workplace and writes down what the agent is told; no when the attempt was asked to
    /// stop.
    async fn offer(&self, case: &Case, cancel: &CancellationToken) -> Result<bool, Hindrance> {
        let agent = case.agent.as_ref().ok_or(Hindrance::NoAgent)?;
        let Some(opening) = self.make_ready(case, agent, cancel).await? else {
            return Ok(false);
        };
        let mut driver = CommandDriver::new(false);
        agents::runtime::Driver::open(&mut driver, opening, self.clock.now());
        self.put(case.attempt.id, &mut driver).await;
        Ok(true)
    }

    /// Waits until an agent that runs elsewhere reports its end, or is lost.
    pub(super) async fn attend(&self, id: AttemptId, cancel: &CancellationToken) {
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let Some((agent, lost_after)) = lost_after(&case) else {
            return;
        };
        let change = self.attached.sit(agent.id, lost_after, id);
        // Read once it is waited for, so that no end falls between.
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        if case.attempt.stopping
            || !matches!(case.attempt.state, AttemptState::Starting | AttemptState::Running)
        {
            return;
        }
        self.attached.settle(&case.attempt);
        let waited = loop {
            let changed = change.notified();
            let Some(look) = self.attached.look(id) else {
                break Waited::Over;
            };
            let (until, why) = patience(&look, lost_after);
            if Instant::now() >= until {
                break Waited::GivenUp(why);
            }
            tokio::select! {
                () = cancel.cancelled() => break Waited::Over,
                () = changed => {}
                () = sleep_until(until) => {}
            }
        };
        if let Waited::GivenUp(reason) = waited {
            let record = self.record(Exit::Lost { reason });
            self.tell(Input::Exited { id, record }).await;
        }
    }

    /// Tells an agent that runs elsewhere to stop, and waits until it did, or for as long as it is
    /// given. Nothing where the engine ends before that.
    pub(super) async fn call_off(&self, case: &Case) -> Option<CalledOff> {
        let id = case.attempt.id;
        let Some((agent, lost_after)) = lost_after(case) else {
            return Some(CalledOff::Surely);
        };
        if case.attempt.state != AttemptState::Running || case.attempt.exit.is_some() {
            return Some(CalledOff::Surely);
        }
        let change = self.attached.sit(agent.id, lost_after, id);
        self.attached.settle(&case.attempt);
        let asked = Instant::now();
        let grace = Duration::from_secs(agent.grace_s.into());
        loop {
            let changed = change.notified();
            let Some(look) = self.attached.look(id) else {
                return Some(CalledOff::Surely);
            };
            if look.left {
                return Some(CalledOff::Surely);
            }
            // Who asks for missions only is there, but cannot be told: it sends no heartbeat.
            let untold = look.silent_since.min(asked) + lost_after;
            let until = look.told.map_or(untold, |told| told + grace);
            if Instant::now() >= until {
                return Some(CalledOff::Unconfirmed(unconfirmed(&look, case, grace)));
            }
            tokio::select! {
                () = self.cancel.cancelled() => return None,
                () = changed => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// The record of an attempt that was stopped; it has no processes of ours.
    pub(super) fn stopped_elsewhere(&self) -> ExitRecord {
        self.record(Exit::Stopped { killed: false })
    }
}

/// Until when an attempt is waited for, and why not longer.
fn patience(look: &Look, lost_after: Duration) -> (Instant, String) {
    let seconds = lost_after.as_secs();
    if look.taken {
        let why = format!("no heartbeat came for {} s; its agent may still run", 2 * seconds);
        return (look.silent_since + 2 * lost_after, why);
    }
    let (silent, untaken) = (look.silent_since + lost_after, look.sat + UNTAKEN_TIMES * lost_after);
    if silent <= untaken {
        (silent, format!("its agent was not heard of for {seconds} s"))
    } else {
        let waited = u64::from(UNTAKEN_TIMES) * seconds;
        (untaken, format!("its agent was heard of and did not take it for {waited} s"))
    }
}

/// What is not known of an agent that did not say that it stopped.
fn unconfirmed(look: &Look, case: &Case, grace: Duration) -> String {
    let place = case.attempt.workplace.as_ref().map_or("its directory", |it| &it.directory);
    match look.told {
        Some(_) => format!(
            "it was told to stop and did not say within {} s that it did; it may still write to {place}",
            grace.as_secs()
        ),
        None => {
            format!("it sent no heartbeat, so it could not be told; it may still write to {place}")
        }
    }
}
