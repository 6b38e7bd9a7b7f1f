//! The four questions about an agent: was it started, is it alive, is it ready, does it get on?
//!
//! A function of its derived state; liveness depends on nothing that agents share.

use jiff::Timestamp;
use model::health::HealthState;
use model::status::{AgentState, AgentStatus, span_in_words};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Finding, Untold};

/// Suspicion from which on an agent is suspect, and that is shown.
pub const SUSPECT_PHI: f64 = 5.0;
/// How long a start may take before it is not as it should be, in seconds.
const START_SLOW_S: i64 = 60;
/// How long a start may take at all, in seconds.
const START_FAILED_S: i64 = 300;

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// How it is with that.
    pub state: HealthState,
    /// Why.
    pub reason: String,
}

/// What is asked about an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vitals {
    /// Whether it came up.
    pub started: Answer,
    /// Whether its process, or whoever runs elsewhere, is there. Where it is not: start it again.
    pub alive: Answer,
    /// Whether it can take a mission. Where it cannot: give it none.
    pub ready: Answer,
    /// Whether its work gets on.
    pub progressing: Answer,
}

/// What the silence of an agent that runs elsewhere says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// How suspicious it is.
    pub phi: f64,
    /// From which suspicion on it is taken for dead.
    pub phi_max: f64,
    /// How long it lasts, in seconds.
    pub seconds: u64,
}

fn said(state: HealthState, reason: &str) -> Answer {
    Answer { state, reason: reason.to_owned() }
}

fn ok(reason: &str) -> Answer {
    said(HealthState::Ok, reason)
}

fn unknown(reason: &str) -> Answer {
    said(HealthState::Unknown, reason)
}

impl Vitals {
    /// Asks about an agent; `at_work` says that it has an attempt.
    #[must_use]
    pub fn of(
        status: &AgentStatus,
        at_work: bool,
        silence: Option<Silence>,
        now: Timestamp,
    ) -> Self {
        let mut vitals = Self::by_state(status, at_work, now);
        if let Some(Silence { phi, phi_max, seconds }) = silence
            && vitals.alive.state == HealthState::Ok
        {
            let silent = span_in_words(seconds);
            if phi >= phi_max {
                let reason = format!("not heard of for {silent}, far longer than it ever is");
                vitals.alive = said(HealthState::Failed, &reason);
            } else if phi >= SUSPECT_PHI {
                let reason = format!("not heard of for {silent}, longer than usual");
                vitals.alive = said(HealthState::Degraded, &reason);
            }
        }
        vitals
    }

    fn by_state(status: &AgentStatus, at_work: bool, now: Timestamp) -> Self {
        use HealthState::{Degraded, Failed};
        let why = status.reason.as_str();
        let rests = || unknown("nothing of it has to run");
        let all = |answer: Answer| Self {
            started: answer.clone(),
            alive: answer.clone(),
            ready: answer.clone(),
            progressing: answer,
        };
        let runs = |ready: Answer, progressing: Answer| Self {
            started: ok("it came up"),
            alive: ok("it is there"),
            ready,
            progressing,
        };
        let idle = |started: Answer, ready: Answer| Self {
            started,
            alive: rests(),
            ready,
            progressing: unknown("it has no mission"),
        };
        match status.state {
            AgentState::Idle if status.signal == "heartbeat" => {
                runs(ok("it is free"), unknown("it has no mission"))
            }
            AgentState::Idle => idle(rests(), ok("it is free")),
            AgentState::Working => runs(ok("it works"), ok(why)),
            AgentState::Offline => Self {
                started: said(Failed, why),
                alive: unknown("it was not started"),
                ready: said(Failed, why),
                progressing: unknown("it has no mission"),
            },
            AgentState::Starting => {
                let took_s = now.duration_since(status.since).as_secs();
                let started = match took_s {
                    ..START_SLOW_S => unknown(why),
                    START_SLOW_S..START_FAILED_S => said(Degraded, "its start takes long"),
                    _ => said(Failed, "it did not start in time"),
                };
                Self { started, ..all(unknown("it is being started")) }
            }
            AgentState::WaitingForCaptain if at_work => runs(ok("it works"), unknown(why)),
            AgentState::WaitingForCaptain => idle(rests(), said(Failed, why)),
            AgentState::Paused if at_work && status.signal == "protocol" => {
                runs(said(Degraded, why), unknown(why))
            }
            AgentState::Paused if at_work => runs(unknown(why), unknown(why)),
            AgentState::Paused => idle(rests(), unknown(why)),
            AgentState::Quiet => runs(ok("it works"), said(Degraded, why)),
            AgentState::Stalled => runs(ok("it works"), said(Failed, why)),
            AgentState::LostSignal => Self {
                started: ok("it came up"),
                alive: said(Failed, why),
                ready: unknown("it is not there"),
                progressing: unknown("it is not there"),
            },
            AgentState::CrashLooping => idle(said(Failed, why), said(Failed, why)),
            AgentState::Stopping => all(unknown(why)),
        }
    }

    /// The four with their names.
    #[must_use]
    pub fn each(&self) -> [(&'static str, &Answer); 4] {
        [
            ("started", &self.started),
            ("alive", &self.alive),
            ("ready", &self.ready),
            ("progressing", &self.progressing),
        ]
    }

    /// What they come to together: the worst that is known. Nothing where nothing is; then why.
    ///
    /// # Errors
    /// Why nothing can be said of it.
    pub fn finding(&self) -> Result<Finding, Untold> {
        let worst = |state| self.each().into_iter().find(|(_, answer)| answer.state == state);
        let reason = |(name, answer): (&str, &Answer)| format!("not {name}: {}", answer.reason);
        if let Some(failed) = worst(HealthState::Failed) {
            return Ok(Finding::Bad(reason(failed)));
        }
        if let Some(degraded) = worst(HealthState::Degraded) {
            let (name, answer) = degraded;
            return Ok(Finding::Poor(format!("{name}, but: {}", answer.reason)));
        }
        match worst(HealthState::Ok) {
            Some(_) => Ok(Finding::Good),
            None => Err(Untold(self.ready.reason.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::status::Confidence;

    use super::*;

    fn status(state: AgentState, signal: &str) -> AgentStatus {
        AgentStatus {
            state,
            since: Timestamp::UNIX_EPOCH,
            reason: "because".to_owned(),
            signal: signal.to_owned(),
            confidence: Confidence::Certain,
        }
    }

    fn now(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    /// `o`, `d`, `f` and `?` for the four questions, and what they come to.
    fn answers(vitals: &Vitals) -> String {
        let letter = |state| match state {
            HealthState::Ok => 'o',
            HealthState::Degraded => 'd',
            HealthState::Failed => 'f',
            HealthState::Unknown => '?',
        };
        let all = match vitals.finding() {
            Ok(Finding::Good) => 'o',
            Ok(Finding::Poor(_)) => 'd',
            Ok(Finding::Bad(_)) => 'f',
            Err(_) => '?',
        };
        let each = vitals.each().map(|(_, answer)| letter(answer.state));
        each.into_iter().chain([' ', all]).collect()
    }

    #[test]
    fn the_four_questions_are_answered_for_every_state_of_an_agent() {
        let check = |state, signal, at_work, expected: &str| {
            let vitals = Vitals::of(&status(state, signal), at_work, None, now(10));
            assert_eq!(answers(&vitals), expected, "{state:?} {signal}");
        };
        check(AgentState::Idle, "attempt", false, "??o? o");
        check(AgentState::Idle, "heartbeat", false, "ooo? o");
        check(AgentState::Working, "output", true, "oooo o");
        check(AgentState::Offline, "program", false, "f?f? f");
        check(AgentState::Starting, "attempt", true, "???? ?");
        check(AgentState::WaitingForCaptain, "protocol", true, "ooo? o");
        check(AgentState::WaitingForCaptain, "attempt", false, "??f? f");
        check(AgentState::Paused, "agent", false, "???? ?");
        check(AgentState::Paused, "attempt", true, "oo?? o");
        check(AgentState::Paused, "protocol", true, "ood? d");
        check(AgentState::Quiet, "output", true, "oood d");
        check(AgentState::Stalled, "output", true, "ooof f");
        check(AgentState::LostSignal, "process table", true, "of?? f");
        check(AgentState::CrashLooping, "attempt", false, "f?f? f");
        check(AgentState::Stopping, "attempt", true, "???? ?");
    }

    #[test]
    fn a_start_that_takes_long_is_said_and_one_that_takes_too_long_has_failed() {
        let starting = status(AgentState::Starting, "attempt");
        let check = |at, expected: &str| {
            assert_eq!(answers(&Vitals::of(&starting, true, None, now(at))), expected, "{at}");
        };
        check(59, "???? ?");
        check(60, "d??? d");
        check(299, "d??? d");
        check(300, "f??? f");
    }

    #[test]
    fn the_silence_of_an_agent_elsewhere_makes_it_suspect_and_then_dead() {
        let working = status(AgentState::Working, "heartbeat");
        let check = |phi, expected: &str| {
            let silence = Some(Silence { phi, phi_max: 8.0, seconds: 4 });
            assert_eq!(answers(&Vitals::of(&working, true, silence, now(1))), expected, "{phi}");
        };
        check(4.9, "oooo o");
        check(5.0, "odoo d");
        check(8.0, "ofoo f");
        check(f64::INFINITY, "ofoo f");
        let lost = status(AgentState::LostSignal, "heartbeat");
        let calm = Some(Silence { phi: 0.0, phi_max: 8.0, seconds: 4 });
        assert_eq!(answers(&Vitals::of(&lost, true, calm, now(1))), "of?? f");
    }
}
