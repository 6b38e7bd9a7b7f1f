//! The published transition tables, as data. Everything that is not in them is refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::attempt::AttemptState;
use crate::mission::MissionState;
use crate::refusal::{Code, Refusal};

/// What can happen to a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissionInput {
    /// The captain offers it to the agents.
    Queue,
    /// An agent gets the lease.
    Lease,
    /// The agent's program runs.
    Start,
    /// The agent's program has ended.
    Exit,
    /// The evidence reaches the grade the policy asks for.
    Pass,
    /// The gates passed and the captain's answer is needed.
    AskReview,
    /// The attempt came to nothing and another one follows.
    Requeue,
    /// The attempt came to nothing and none follows.
    Fail,
    /// The captain accepts the work.
    Accept,
    /// The captain rejects the work.
    Reject,
    /// The captain holds it back.
    Pause,
    /// The captain lets it go on.
    Resume,
    /// The captain calls it off.
    Cancel,
    /// The captain wants another attempt.
    Retry,
    /// The captain sends the work back with what is to be changed.
    SendBack,
    /// What was reviewed has changed since, so its gates run again.
    Recheck,
    /// The processes of a held mission go on.
    Continue,
    /// The machine was restarted while it was under way, or the captain called its turn off.
    Interrupt,
    /// The agent asks and waits.
    Ask,
    /// Everything the agent asked is answered.
    Answer,
}

impl MissionInput {
    /// Every input.
    pub const ALL: [Self; 20] = [
        Self::Queue,
        Self::Lease,
        Self::Start,
        Self::Exit,
        Self::Pass,
        Self::AskReview,
        Self::Requeue,
        Self::Fail,
        Self::Accept,
        Self::Reject,
        Self::Pause,
        Self::Resume,
        Self::Cancel,
        Self::Retry,
        Self::SendBack,
        Self::Recheck,
        Self::Continue,
        Self::Interrupt,
        Self::Ask,
        Self::Answer,
    ];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Lease => "lease",
            Self::Start => "start",
            Self::Exit => "exit",
            Self::Pass => "pass",
            Self::AskReview => "ask_review",
            Self::Requeue => "requeue",
            Self::Fail => "fail",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::SendBack => "send_back",
            Self::Recheck => "recheck",
            Self::Continue => "continue",
            Self::Interrupt => "interrupt",
            Self::Ask => "ask",
            Self::Answer => "answer",
        }
    }

    /// Whether the captain may ask for it; the rest is the orchestrator's own.
    #[must_use]
    pub const fn is_captains(self) -> bool {
        matches!(
            self,
            Self::Queue
                | Self::Accept
                | Self::Reject
                | Self::Pause
                | Self::Resume
                | Self::Cancel
                | Self::Retry
                | Self::SendBack
        )
    }
}

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptInput {
    /// Its workplace is ready.
    Prepare,
    /// Its program runs.
    Start,
    /// Its program has ended.
    Exit,
    /// Its gates run.
    Verify,
    /// Its work counts.
    Accept,
    /// Its work does not count.
    Reject,
    /// Its program vanished without a record.
    Lose,
    /// Its processes are all gone because it was asked to stop.
    Stop,
}

/// One line of the mission table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissionRule {
    /// From this state,
    pub from: MissionState,
    /// on this input,
    pub input: MissionInput,
    /// to this state,
    pub to: MissionState,
    /// provided that.
    pub guard: &'static str,
    /// What is set off.
    pub effects: &'static str,
}

/// One line of the attempt table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRule {
    /// From this state,
    pub from: AttemptState,
    /// on this input,
    pub input: AttemptInput,
    /// to this state,
    pub to: AttemptState,
    /// provided that.
    pub guard: &'static str,
    /// What is set off.
    pub effects: &'static str,
}

macro_rules! missions {
    ($($from:ident, $input:ident => $to:ident, $guard:literal, $effects:literal;)*) => {
        &[$(MissionRule {
            from: MissionState::$from,
            input: MissionInput::$input,
            to: MissionState::$to,
            guard: $guard,
            effects: $effects,
        }),*]
    };
}

/// The mission table.
pub const MISSION_TABLE: &[MissionRule] = missions![
    Draft, Queue => Queued, "", "";
    Queued, Lease => Assigned, "its dependencies are done; a fitting agent is free; nothing holds the swarm back", "start the attempt";
    Assigned, Start => Running, "the attempt holds the lease", "";
    Running, Exit => Verifying, "the attempt holds the lease", "run the gates";
    Running, Ask => NeedsInput, "the attempt holds the lease", "put it into the inbox";
    NeedsInput, Answer => Running, "nothing it asked is open", "tell the agent";
    NeedsInput, Exit => Verifying, "the attempt holds the lease", "withdraw what it asked; run the gates";
    Verifying, Pass => Done, "every gate passed on the work as it is and the evidence reaches the grade that is needed", "write the devlog";
    Verifying, AskReview => InReview, "every gate of the engine passed and somebody's answer is needed", "ask reviewing agents; write the devlog";
    Assigned, Requeue => Queued, "tries are left, or the swarm was halted", "wait before the next try; write the handoff and the devlog";
    NeedsInput, Requeue => Queued, "tries are left, or the swarm was halted", "withdraw what it asked; wait before the next try; write the handoff and the devlog";
    Running, Requeue => Queued, "tries are left, or the swarm was halted", "wait before the next try; write the handoff and the devlog";
    Verifying, Requeue => Queued, "tries are left, or the swarm was halted", "wait before the next try; write the handoff and the devlog";
    InReview, Requeue => Queued, "a reviewing agent rejects the work and tries are left", "write the handoff and the devlog";
    Assigned, Fail => Failed, "no tries are left", "write the devlog";
    NeedsInput, Fail => Failed, "no tries are left", "withdraw what it asked; write the devlog";
    Running, Fail => Failed, "no tries are left", "write the devlog";
    Verifying, Fail => Failed, "no tries are left", "write the devlog";
    Assigned, Interrupt => Paused, "it is not unattended, or the captain called its turn off", "write the handoff and the devlog";
    NeedsInput, Interrupt => Paused, "it is not unattended, or the captain called its turn off", "withdraw what it asked; write the handoff and the devlog";
    Running, Interrupt => Paused, "it is not unattended, or the captain called its turn off", "write the handoff and the devlog";
    Verifying, Interrupt => Paused, "it is not unattended, or the captain called its turn off", "write the handoff and the devlog";
    InReview, Pass => Done, "every gate passed on the work as it is and the evidence reaches the grade that is needed", "write the devlog";
    InReview, Accept => Done, "no gate is red or unanswered and the work is as it was reviewed", "merge the reviewed commit where asked";
    InReview, Recheck => Verifying, "the work is not as it was reviewed", "run the gates again";
    InReview, SendBack => Queued, "", "write the handoff";
    InReview, Reject => Failed, "", "";
    InReview, Retry => Queued, "", "";
    Draft, Pause => Paused, "", "";
    Queued, Pause => Paused, "", "";
    Assigned, Pause => Paused, "", "make a checkpoint and stop the attempt";
    NeedsInput, Pause => Paused, "", "withdraw what it asked; make a checkpoint and stop the attempt";
    Running, Pause => Paused, "", "hold the attempt's processes, or make a checkpoint and stop it";
    Paused, Resume => Queued, "no attempt is held", "";
    Paused, Continue => Running, "an attempt is held", "let its processes go on";
    Draft, Cancel => Cancelled, "", "";
    Queued, Cancel => Cancelled, "", "";
    Paused, Cancel => Cancelled, "", "stop the attempt, where one is held";
    Assigned, Cancel => Cancelled, "", "stop the attempt; write the devlog";
    Running, Cancel => Cancelled, "", "stop the attempt; write the devlog";
    Verifying, Cancel => Cancelled, "", "stop the gates; write the devlog";
    NeedsInput, Cancel => Cancelled, "", "withdraw what it asked; stop the attempt; write the devlog";
    InReview, Cancel => Cancelled, "", "stop reviewing agents";
    Failed, Retry => Queued, "", "";
    Cancelled, Retry => Queued, "the stopped attempt's processes are gone", "";
];

macro_rules! attempts {
    ($($from:ident, $input:ident => $to:ident, $guard:literal, $effects:literal;)*) => {
        &[$(AttemptRule {
            from: AttemptState::$from,
            input: AttemptInput::$input,
            to: AttemptState::$to,
            guard: $guard,
            effects: $effects,
        }),*]
    };
}

/// The attempt table.
pub const ATTEMPT_TABLE: &[AttemptRule] = attempts![
    Leased, Prepare => Starting, "it was not asked to stop", "start the program";
    Starting, Start => Running, "", "watch the program";
    Running, Exit => Exited, "", "";
    Exited, Verify => Verifying, "", "secure the work and run the gates";
    Verifying, Accept => Accepted, "its mission is done", "";
    Verifying, Reject => Rejected, "", "";
    Leased, Reject => Rejected, "its program could not be started", "";
    Starting, Reject => Rejected, "its program could not be started", "";
    Leased, Lose => Lost, "", "";
    Starting, Lose => Lost, "", "";
    Running, Lose => Lost, "its processes are gone and left no record", "";
    Exited, Lose => Lost, "", "";
    Verifying, Lose => Lost, "", "";
    Leased, Stop => Stopped, "its process tree is empty", "";
    Starting, Stop => Stopped, "its process tree is empty", "";
    Running, Stop => Stopped, "its process tree is empty", "";
    Exited, Stop => Stopped, "its process tree is empty", "";
    Verifying, Stop => Stopped, "its process tree is empty", "";
];

/// Where a mission goes from `from` on `input`.
///
/// # Errors
/// When the table has no such line; the refusal names what the captain could ask for instead.
pub fn mission_next(from: MissionState, input: MissionInput) -> Result<MissionState, Refusal> {
    MISSION_TABLE
        .iter()
        .find(|rule| rule.from == from && rule.input == input)
        .map(|rule| rule.to)
        .ok_or_else(|| {
            Refusal::new(
                Code::TransitionRefused,
                format!("a mission that is {} cannot take '{}'", words(from), input.as_str()),
            )
            .allowed(allowed(from).iter().map(|input| input.as_str().to_owned()).collect())
        })
}

/// What the captain may ask of a mission in this state.
#[must_use]
pub fn allowed(from: MissionState) -> Vec<MissionInput> {
    MISSION_TABLE
        .iter()
        .filter(|rule| rule.from == from && rule.input.is_captains())
        .map(|rule| rule.input)
        .collect()
}

/// Where an attempt goes from `from` on `input`.
///
/// # Errors
/// When the table has no such line.
pub fn attempt_next(from: AttemptState, input: AttemptInput) -> Result<AttemptState, Refusal> {
    ATTEMPT_TABLE
        .iter()
        .find(|rule| rule.from == from && rule.input == input)
        .map(|rule| rule.to)
        .ok_or_else(|| {
            Refusal::new(
                Code::TransitionRefused,
                format!("an attempt that is {} cannot take {input:?}", from.as_str()),
            )
        })
}

fn words(state: MissionState) -> String {
    state.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_and_input_lead_to_two_places() {
        for (i, rule) in MISSION_TABLE.iter().enumerate() {
            for other in &MISSION_TABLE[i + 1..] {
                assert!((rule.from, rule.input) != (other.from, other.input), "{rule:?}");
            }
        }
        for (i, rule) in ATTEMPT_TABLE.iter().enumerate() {
            for other in &ATTEMPT_TABLE[i + 1..] {
                assert!((rule.from, rule.input) != (other.from, other.input), "{rule:?}");
            }
        }
    }

    #[test]
    fn nothing_leaves_done_and_everything_else_that_is_unfinished_can_be_cancelled() {
        assert!(MISSION_TABLE.iter().all(|rule| rule.from != MissionState::Done));
        for state in MissionState::ALL.into_iter().filter(|state| !state.is_final()) {
            assert_eq!(
                mission_next(state, MissionInput::Cancel),
                Ok(MissionState::Cancelled),
                "{state}"
            );
        }
    }

    #[test]
    fn done_is_reached_only_through_a_pass_or_the_captain() {
        let ways: Vec<_> = MISSION_TABLE
            .iter()
            .filter(|rule| rule.to == MissionState::Done)
            .map(|rule| rule.input)
            .collect();
        assert_eq!(ways, [MissionInput::Pass, MissionInput::Pass, MissionInput::Accept]);
    }

    #[test]
    fn every_transition_outside_the_published_table_is_refused_with_a_reason() {
        for from in MissionState::ALL {
            for input in MissionInput::ALL {
                let listed = MISSION_TABLE.iter().any(|r| r.from == from && r.input == input);
                match mission_next(from, input) {
                    Ok(_) => assert!(listed),
                    Err(refusal) => {
                        assert!(!listed);
                        assert_eq!(refusal.code, Code::TransitionRefused);
                        assert!(refusal.message.contains(input.as_str()));
                    }
                }
            }
        }
        let refusal = mission_next(MissionState::Running, MissionInput::Accept).unwrap_err();
        assert_eq!(refusal.message, "a mission that is running cannot take 'accept'");
        assert_eq!(refusal.allowed, ["pause", "cancel"]);
    }
}
