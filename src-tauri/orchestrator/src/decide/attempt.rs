//! What happens to an attempt, from its workplace to the end of its processes.

use jiff::SignedDuration;
use model::attempt::{Attempt, AttemptState, Checkpoint, Work, Workplace};
use model::conversation::one_line;
use model::effect::Effect;
use model::event::Fact;
use model::gate::{GateResult, Grade, Verdict};
use model::id::{AttemptId, CheckpointId};
use model::mission::{BACKOFF_S_MAX, Handoff, Mission, MissionState, RECOVERIES_MAX};
use model::process::{Exit, ExitRecord, ProcessIdentity};
use model::refusal::{Code, Refusal};
use model::transition::{AttemptInput, MissionInput, attempt_next};

use super::Desk;
use crate::fault::{self, Fault};
use crate::judge::{Judgement, judge};

/// From how much of what gates found on a handoff says no more, in bytes.
const FOUND_BYTES_MAX: usize = 16 * 1024;

impl Desk<'_> {
    pub(super) fn prepared(&mut self, id: AttemptId, workplace: Workplace) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.stopping {
            return Err(Refusal::new(Code::Conflict, "the attempt has been asked to stop"));
        }
        if attempt.state == AttemptState::Starting {
            return Ok(());
        }
        attempt_next(attempt.state, AttemptInput::Prepare)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptPrepared { attempt_id: id, workplace });
        Ok(())
    }

    pub(super) fn started(
        &mut self,
        id: AttemptId,
        process: ProcessIdentity,
    ) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.state == AttemptState::Running && attempt.process.as_ref() == Some(&process) {
            // Told again because the first answer got lost.
            return Ok(());
        }
        attempt_next(attempt.state, AttemptInput::Start)?;
        let mission = self.mission(attempt.mission_id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptStarted { attempt_id: id, process });
        if mission.state == MissionState::Assigned {
            let moved = self.moved(&mission, MissionInput::Start, None)?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    /// An agent that runs elsewhere took its attempt; it may ask more than once.
    pub(super) fn taken(&mut self, id: AttemptId) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.stopping {
            return Err(Refusal::new(Code::Conflict, "the attempt has been asked to stop"));
        }
        if attempt.state == AttemptState::Running {
            return Ok(());
        }
        attempt_next(attempt.state, AttemptInput::Start)?;
        let mission = self.mission(attempt.mission_id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptTaken { attempt_id: id });
        if mission.state == MissionState::Assigned {
            let moved = self.moved(&mission, MissionInput::Start, None)?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    pub(super) fn adopted(
        &mut self,
        id: AttemptId,
        process: ProcessIdentity,
    ) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.state != AttemptState::Running {
            let message = format!("the attempt is {}, not running", attempt.state.as_str());
            return Err(Refusal::new(Code::Conflict, message));
        }
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptAdopted { attempt_id: id, process });
        Ok(())
    }

    pub(super) fn exited(&mut self, id: AttemptId, record: ExitRecord) -> Result<(), Refusal> {
        let Ok(attempt) = self.live(id) else {
            self.late(id, format!("its program {} after its lease had ended", record.exit));
            return Ok(());
        };
        if attempt.stopping || attempt.exit.as_ref() == Some(&record) {
            return Ok(());
        }
        let mission = self.mission(attempt.mission_id)?;
        if let Exit::NotStarted { reason } = &record.exit {
            let note = format!("the agent's program did not start: {reason}");
            return self.came_to_nothing(&mission, attempt, AttemptInput::Reject, note);
        }
        if let Exit::Lost { reason } = &record.exit
            && matches!(attempt.state, AttemptState::Leased | AttemptState::Starting)
        {
            // Its agent runs elsewhere and went before it took the attempt: nothing was tried.
            let note = format!("nobody took the mission: {reason}");
            let attempt = Attempt { exit: Some(record), ..attempt.clone() };
            return self.came_to_nothing(&mission, &attempt, AttemptInput::Lose, note);
        }
        attempt_next(attempt.state, AttemptInput::Exit)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptExited { attempt_id: id, record });
        if mission.state == MissionState::Paused {
            // It ended while it was held: what it left is secured, and the mission stays held.
            self.stop(id);
            return Ok(());
        }
        self.fact(subject, Fact::AttemptVerifying { attempt_id: id });
        let moved = self.moved(&mission, MissionInput::Exit, None)?;
        self.fact(subject, moved);
        self.decision.effects.push(Effect::Verify { mission_id: mission.id, attempt_id: id });
        Ok(())
    }

    pub(super) fn secured(&mut self, id: AttemptId, work: Work) {
        if self.live(id).is_err() {
            return self.late(id, format!("its work is secured at {}", work.head_commit));
        }
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::WorkRecorded { attempt_id: id, work });
    }

    pub(super) fn verified(
        &mut self,
        id: AttemptId,
        problem: Option<String>,
    ) -> Result<(), Refusal> {
        let Ok(attempt) = self.live(id) else {
            self.late(id, "its gates were run".to_owned());
            return Ok(());
        };
        if attempt.stopping || attempt.in_review {
            return Ok(());
        }
        let mut mission = self.mission(attempt.mission_id)?;
        let unknown = Exit::Lost { reason: "no record of its end".to_owned() };
        let exit = attempt.exit().unwrap_or(&unknown);
        let none = Default::default();
        let results = self.state.results.get(&id).unwrap_or(&none);
        let judgement = match problem {
            _ if fault::is_on(Fault::DoneWithoutEvidence) => {
                Judgement::Done { grade: Grade::None, note: "done".to_owned() }
            }
            Some(note) => Judgement::Rejected { note },
            None => judge(&mission, attempt, exit, results),
        };
        let subject = self.state.subject_of_attempt(id);
        match judgement {
            Judgement::Done { grade, note } => {
                mission.grade = grade;
                let moved = self.moved(&mission, MissionInput::Pass, Some(note.clone()))?;
                let state = attempt_next(attempt.state, AttemptInput::Accept)?;
                let ended = Fact::AttemptEnded { attempt_id: id, state, note: Some(note) };
                if !fault::is_on(Fault::LostLeaseRelease) {
                    self.fact(subject, ended);
                }
                self.fact(subject, moved);
                Ok(())
            }
            Judgement::Review { grade, note } => {
                mission.grade = grade;
                let moved = self.moved(&mission, MissionInput::AskReview, Some(note))?;
                self.fact(subject, Fact::AttemptReviewing { attempt_id: id });
                self.fact(subject, moved);
                Ok(())
            }
            Judgement::Rejected { note } => {
                let input = match exit {
                    Exit::Lost { .. } | Exit::Rebooted => AttemptInput::Lose,
                    Exit::Stopped { .. } | Exit::CalledOff => AttemptInput::Stop,
                    _ => AttemptInput::Reject,
                };
                self.came_to_nothing(&mission, attempt, input, note)
            }
        }
    }

    pub(super) fn stopped(
        &mut self,
        id: AttemptId,
        record: ExitRecord,
        problem: Option<String>,
    ) -> Result<(), Refusal> {
        let Ok(attempt) = self.live(id) else {
            self.late(id, "its processes are gone".to_owned());
            return Ok(());
        };
        if !attempt.stopping {
            return Err(Refusal::new(Code::Conflict, "the attempt was not asked to stop"));
        }
        let state = attempt_next(attempt.state, AttemptInput::Stop)?;
        let mut note = match &record.exit {
            Exit::Stopped { .. } => format!("the agent's program {}", record.exit),
            other => format!("stopped; the agent's program {other}"),
        };
        if let Some(problem) = problem {
            note = format!("{note}; {problem}");
        }
        let subject = self.state.subject_of_attempt(id);
        if attempt.exit.is_none() && attempt.state == AttemptState::Running {
            self.fact(subject, Fact::AttemptExited { attempt_id: id, record });
        }
        if let Ok(mission) = self.mission(attempt.mission_id) {
            self.hand_over(
                &mission,
                attempt,
                "It was stopped before it was done; go on from there.",
            );
        }
        self.fact(subject, Fact::AttemptEnded { attempt_id: id, state, note: Some(note) });
        Ok(())
    }

    /// What was asked is carried out only where it is what is asked by now.
    pub(super) fn froze(&mut self, id: AttemptId, frozen: bool) {
        let asked = self.state.attempts.get(&id).map(|attempt| attempt.frozen);
        if asked.is_none_or(|asked| asked == frozen) {
            self.decision.carried.push((id, "freeze"));
        }
    }

    pub(super) fn checkpointed(&mut self, checkpoint: Checkpoint) {
        let subject = self.state.subject_of_attempt(checkpoint.attempt_id);
        self.fact(subject, Fact::CheckpointMade { checkpoint });
    }

    pub(super) fn restored(&mut self, id: AttemptId, checkpoint_id: CheckpointId, before: String) {
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::CheckpointRestored { checkpoint_id, before });
    }

    /// Ends an attempt that does not count, and gives its mission another try, holds it, or gives
    /// it up.
    pub(super) fn came_to_nothing(
        &mut self,
        mission: &Mission,
        attempt: &Attempt,
        input: AttemptInput,
        note: String,
    ) -> Result<(), Refusal> {
        let state = attempt_next(attempt.state, input)?;
        let note = one_line(&note);
        let (moved, again) = self.after_nothing(mission, attempt, note.clone())?;
        if again {
            self.hand_over(mission, attempt, &note);
        }
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::AttemptEnded { attempt_id: attempt.id, state, note: Some(note) });
        self.fact(subject, moved);
        Ok(())
    }

    /// Where the mission goes, and whether another attempt may follow.
    fn after_nothing(
        &mut self,
        mission: &Mission,
        attempt: &Attempt,
        note: String,
    ) -> Result<(Fact, bool), Refusal> {
        let mut mission = mission.clone();
        let exit = attempt.exit();
        let called_off = matches!(exit, Some(Exit::CalledOff));
        let interrupted =
            matches!(exit, Some(Exit::Rebooted | Exit::Stopped { .. } | Exit::HandedOver { .. }));
        if interrupted || called_off {
            // What was ended from outside did not fail: the try does not count.
            mission.tries = mission.tries.saturating_sub(1);
        }
        if called_off {
            let note = format!(
                "{note}, and its attempt ended with it: resume it for another attempt, or cancel it"
            );
            return Ok((self.moved(&mission, MissionInput::Interrupt, Some(note))?, true));
        }
        if matches!(exit, Some(Exit::Rebooted)) && !mission.unattended {
            let note = format!("{note}; it waits for you, because it is not marked unattended");
            return Ok((self.moved(&mission, MissionInput::Interrupt, Some(note))?, true));
        }
        if interrupted {
            return Ok((self.moved(&mission, MissionInput::Requeue, Some(note))?, true));
        }
        let vanished = matches!(exit, Some(Exit::Lost { .. }));
        if vanished && mission.recoveries < RECOVERIES_MAX {
            mission.recoveries += 1;
            mission.tries = mission.tries.saturating_sub(1);
            mission.not_before = Some(self.now + self.backoff(&mission, mission.recoveries));
            let note = format!(
                "{note}; queued again by itself, {} of {RECOVERIES_MAX} times",
                mission.recoveries
            );
            return Ok((self.moved(&mission, MissionInput::Requeue, Some(note))?, true));
        }
        if mission.tries > mission.retries_max {
            return Ok((self.moved(&mission, MissionInput::Fail, Some(note))?, false));
        }
        let left = mission.retries_max + 1 - mission.tries;
        mission.not_before = Some(self.now + self.backoff(&mission, mission.tries));
        let note = format!("{note}; {left} of {} retries left", mission.retries_max);
        Ok((self.moved(&mission, MissionInput::Requeue, Some(note))?, true))
    }

    /// The pause before the next try: doubled each time, up to a limit, a fifth more or less, so
    /// that what failed together does not come back together.
    pub(super) fn backoff(&mut self, mission: &Mission, failures: u32) -> SignedDuration {
        let doubled = 1u64 << failures.saturating_sub(1).min(20);
        let pause_s = (u64::from(mission.backoff_s) * doubled).min(u64::from(BACKOFF_S_MAX));
        let bytes = self.draw.bytes();
        let random = u64::from(u16::from_be_bytes([bytes[8], bytes[9]]));
        // From 800 to 1200 thousandths.
        let pause_ms = pause_s * (800 + random * 400 / u64::from(u16::MAX));
        SignedDuration::from_millis(i64::try_from(pause_ms).unwrap_or(i64::MAX))
    }

    /// Writes down what the next attempt needs to know of this one.
    pub(super) fn hand_over(&mut self, mission: &Mission, attempt: &Attempt, text: &str) {
        let results = self.state.results.get(&attempt.id).into_iter().flat_map(|all| all.values());
        let found = found_by(results.filter(|result| result.verdict != Verdict::Passed));
        // It may become an argument, which ends at such a byte.
        let own = match attempt.exit() {
            Some(Exit::HandedOver { text }) => Some(text.as_str()),
            // What the agent itself wrote in this attempt comes first.
            _ => mission
                .handoff
                .as_ref()
                .filter(|it| it.from == attempt.n)
                .map(|it| it.text.as_str()),
        };
        let own = own.map(|own| format!("{}\n\n", own.trim_end())).unwrap_or_default();
        let text = format!("{own}{text}{found}").replace('\0', "\u{fffd}");
        let handoff = Handoff {
            from: attempt.n,
            agent_id: attempt.agent_id,
            // What left no work of its own hands on what it was given.
            commit: attempt
                .work
                .as_ref()
                .map(|work| work.head_commit.clone())
                .or_else(|| attempt.handoff.as_ref().and_then(|before| before.commit.clone())),
            text,
            at: self.now,
        };
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::HandoffWritten { mission_id: mission.id, handoff: Some(handoff) });
    }
}

/// What gates found that did not pass, as far as it fits.
fn found_by<'a>(results: impl Iterator<Item = &'a GateResult>) -> String {
    let (mut text, mut more) = (String::new(), 0);
    for result in results {
        if text.len() >= FOUND_BYTES_MAX {
            more += 1;
            continue;
        }
        text.push_str(&format!("\n\nGate '{}': {}", result.gate.label(), result.reason));
        if !result.output.trim().is_empty() {
            text.push_str(&format!("\n{}", result.output.trim_end()));
        }
    }
    if more > 0 {
        text.push_str(&format!("\n\n{more} more gates did not pass."));
    }
    text
}
