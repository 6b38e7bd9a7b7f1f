//! What agents ask, and how it is answered.

use jiff::SignedDuration;
use model::attempt::AttemptState;
use model::event::Fact;
use model::id::{AttemptId, RequestId, RuleId};
use model::inbox::{ANSWER_BYTES_MAX, Ask, NOT_NOW_S, OPEN_MAX, Request, RequestEnd, Rule};
use model::mission::MissionState;
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;

use super::Desk;
use crate::input::Reply;

impl Desk<'_> {
    pub(super) fn asked(&mut self, request: Request) -> Result<(), Refusal> {
        let attempt = self.live(request.attempt_id)?;
        if attempt.stopping || attempt.state != AttemptState::Running {
            let message = "the attempt does not run any more; nobody waits for an answer";
            return Err(Refusal::new(Code::Conflict, message));
        }
        let mut open = self.state.requests_of(attempt.id);
        if open.clone().any(|known| known.key == request.key) {
            // Told again because the first answer got lost.
            return Ok(());
        }
        if open.nth(OPEN_MAX - 1).is_some() {
            let message = format!("the attempt asks {OPEN_MAX} things at once already");
            return Err(Refusal::new(Code::Busy, message).hint("answer some of them first"));
        }
        let mission = self.mission(attempt.mission_id)?;
        let subject = self.state.subject_of_attempt(attempt.id);
        let title = request.ask.title().to_owned();
        self.fact(subject, Fact::RequestAsked { request });
        if mission.state == MissionState::Running {
            let moved = self.moved(&mission, MissionInput::Ask, Some(format!("asks: {title}")))?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, id: RequestId, reply: Reply) -> Result<(), Refusal> {
        let request = self.open_request(id)?;
        let permission = matches!(request.ask, Ask::Permission { .. });
        let end = match reply {
            Reply::Text(_) if permission => {
                return Err(Refusal::new(Code::InvalidInput, "a permission is not a question")
                    .allowed(words(&["once", "always", "deny", "not_now"])));
            }
            Reply::Once | Reply::Always { .. } if !permission => {
                return Err(Refusal::new(
                    Code::InvalidInput,
                    "a question wants an answer in words",
                )
                .allowed(words(&["text", "deny", "not_now"])));
            }
            Reply::Text(text) if text.trim().is_empty() || text.len() > ANSWER_BYTES_MAX => {
                let message = format!("an answer has 1 to {ANSWER_BYTES_MAX} bytes");
                return Err(Refusal::new(Code::InvalidInput, message));
            }
            Reply::NotNow => {
                let not_before = self.now + SignedDuration::from_secs(NOT_NOW_S);
                let subject = self.state.subject_of_attempt(request.attempt_id);
                self.fact(subject, Fact::RequestDeferred { request_id: id, not_before });
                return Ok(());
            }
            Reply::Once => RequestEnd::Once,
            Reply::Deny { note } => RequestEnd::Denied { note },
            Reply::Text(text) => RequestEnd::Answered { text },
            Reply::Always { scope, pattern } => {
                let rule_id = RuleId::draw(self.now, self.draw);
                let rule = Rule { id: rule_id, pattern, allow: true, scope, created_at: self.now };
                let subject = self.state.subject_of_attempt(request.attempt_id);
                self.fact(subject, Fact::RuleAdded { rule });
                RequestEnd::Always { rule_id }
            }
        };
        self.end_request(id, request.attempt_id, end)
    }

    pub(super) fn withdrawn(&mut self, id: RequestId, why: String) -> Result<(), Refusal> {
        match self.state.requests.get(&id) {
            Some(request) => {
                self.end_request(id, request.attempt_id, RequestEnd::Withdrawn { why })
            }
            None => Ok(()),
        }
    }

    pub(super) fn reply_told(&mut self, request_id: RequestId) {
        let known = self.state.answered.get(&request_id);
        let answered = |request: &&Request| {
            let withdrawn = matches!(request.end, Some(RequestEnd::Withdrawn { .. }));
            !request.told && !request.waits() && !withdrawn
        };
        if let Some(request) = known.filter(answered) {
            let subject = self.state.subject_of_attempt(request.attempt_id);
            self.fact(subject, Fact::RequestTold { request_id });
        }
    }

    fn open_request(&self, id: RequestId) -> Result<Request, Refusal> {
        self.state.requests.get(&id).cloned().ok_or_else(|| {
            let message = "it was answered already, or the agent no longer waits for it";
            Refusal::new(Code::Conflict, message).hint("look at the inbox as it is now")
        })
    }

    /// Ends a request, and lets its mission go on where it was the last one.
    fn end_request(
        &mut self,
        id: RequestId,
        attempt: AttemptId,
        end: RequestEnd,
    ) -> Result<(), Refusal> {
        let subject = self.state.subject_of_attempt(attempt);
        let at = self.now;
        self.fact(subject, Fact::RequestEnded { request_id: id, end, at });
        let last = self.state.requests_of(attempt).all(|other| other.id == id);
        let mission = self.state.attempts.get(&attempt).map(|attempt| attempt.mission_id);
        if let Some(mission) = mission.and_then(|id| self.state.missions.get(&id))
            && last
            && mission.state == MissionState::NeedsInput
        {
            let moved = self.moved(mission, MissionInput::Answer, None)?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    /// Withdraws what attempts asked that come to their end by what was decided.
    pub(super) fn withdraw(&mut self) {
        let over: Vec<AttemptId> = (self.decision.facts.iter())
            .filter_map(|(_, fact)| match fact {
                Fact::AttemptStopping { attempt_id }
                | Fact::AttemptExited { attempt_id, .. }
                | Fact::AttemptEnded { attempt_id, .. } => Some(*attempt_id),
                _ => None,
            })
            .collect();
        if over.is_empty() {
            return;
        }
        let at = self.now;
        let state = self.state;
        for request in state.requests.values().filter(|it| over.contains(&it.attempt_id)) {
            let end = RequestEnd::Withdrawn { why: "the attempt came to its end".to_owned() };
            let fact = Fact::RequestEnded { request_id: request.id, end, at };
            self.fact(state.subject_of_attempt(request.attempt_id), fact);
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
