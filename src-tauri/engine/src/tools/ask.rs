//! Questions to the captain: asked, waited for by events, and asked for again.

use std::sync::Arc;
use std::time::Duration;

use agents::reports::{OPTION_CHARS_MAX, OPTIONS_MAX, TEXT_BYTES_MAX};
use model::event::{Event, Fact};
use model::id::{RequestId, SystemDraw};
use model::inbox::{Ask, Request, RequestEnd};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::{Speaker, ToolCall, clean};
use crate::Engine;
use crate::missions::{invalid, text_line};
use crate::resolve::unreadable;

/// What begins the key of a question that was asked over MCP: its answer is a tool's result.
const QUESTION: &str = "mcp:";

/// A question to the captain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Answers to choose from; any text where there are none.
    pub options: Vec<String>,
}

/// How far a question is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AskState {
    /// The captain has not answered.
    Pending {
        /// What to ask for it by.
        ask_id: RequestId,
    },
    /// The captain has answered.
    Answered {
        /// The question.
        ask_id: RequestId,
        /// The answer.
        answer: String,
    },
    /// The captain does not want to answer.
    Declined {
        /// The question.
        ask_id: RequestId,
        /// Why, in the captain's words.
        note: Option<String>,
    },
    /// It is no longer asked.
    Withdrawn {
        /// The question.
        ask_id: RequestId,
        /// Why.
        why: String,
    },
}

impl AskState {
    fn of(request: &Request) -> Self {
        let ask_id = request.id;
        match request.end.clone() {
            None => Self::Pending { ask_id },
            Some(RequestEnd::Answered { text }) => Self::Answered { ask_id, answer: text },
            Some(RequestEnd::Denied { note }) => Self::Declined { ask_id, note },
            Some(RequestEnd::Withdrawn { why }) => Self::Withdrawn { ask_id, why },
            // A question cannot end like this; what it meant is said all the same.
            Some(RequestEnd::Once | RequestEnd::Always { .. }) => {
                Self::Answered { ask_id, answer: "yes".to_owned() }
            }
        }
    }

    /// Whether the captain has not answered.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }
}

impl Engine {
    /// Asks the captain and gives what to ask for the answer by. The same call, and a question that
    /// waits already, is asked once.
    ///
    /// # Errors
    /// When the question is empty or too long, the attempt asks too much at once, or it is over.
    pub async fn tool_ask(&self, call: ToolCall<'_>, ask: Question) -> Result<RequestId, Refusal> {
        let ask = checked(ask)?;
        let said: Vec<&str> = std::iter::once(ask.text.as_str())
            .chain(ask.options.iter().map(String::as_str))
            .collect();
        let caller = call.caller(&said)?;
        let attempt = self.attempt_of(call.who).await?;
        let wanted = Ask::Question { text: ask.text.clone(), options: ask.options.clone() };
        if caller.key.is_none() {
            let open = self.0.ledger.open_requests_of(attempt.id).await.map_err(unreadable)?;
            let same = |it: &&Request| it.key.starts_with(QUESTION) && it.ask == wanted;
            if let Some(request) = open.iter().find(same) {
                // A client that gave up waiting asks again.
                return Ok(request.id);
            }
        }
        let now = self.0.clock.now();
        let id = RequestId::draw(now, &mut SystemDraw);
        let request = Request {
            id,
            attempt_id: attempt.id,
            mission_id: attempt.mission_id,
            agent_id: attempt.agent_id,
            key: format!("{QUESTION}{}", Uuid::new_v4()),
            ask: wanted,
            asked_at: now,
            not_before: None,
            end: None,
            ended_at: None,
            told: false,
        };
        let input = Input::Asked(Box::new(request));
        self.tell_creation(&caller, input, id.as_uuid()).await.map(RequestId::from_uuid)
    }

    /// How far a question of this attempt is, after waiting for its answer for a while.
    ///
    /// # Errors
    /// When this attempt has asked no such question, or the ledger cannot be read.
    pub async fn tool_answer(
        &self,
        who: &Speaker,
        id: RequestId,
        wait: Duration,
    ) -> Result<AskState, Refusal> {
        // Listened to before it is looked at, so that no answer falls between.
        let events = self.0.ledger.subscribe();
        let mut state = self.asked_state(who, id).await?;
        if state.is_pending() && !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.0.cancel.cancelled() => {}
                () = ended(events, id) => {}
            }
            state = self.asked_state(who, id).await?;
        }
        if !state.is_pending() {
            let told = orchestrator::Command::own(Input::ReplyTold(id));
            if let Err(refusal) = self.0.orchestrator.tell(told).await {
                tracing::warn!(%refusal, "it was not noted that an answer was told");
            }
        }
        Ok(state)
    }

    async fn asked_state(&self, who: &Speaker, id: RequestId) -> Result<AskState, Refusal> {
        let known = self.0.ledger.request(id).await.map_err(unreadable)?;
        known
            .filter(|it| it.attempt_id == who.attempt && matches!(it.ask, Ask::Question { .. }))
            .map(|request| AskState::of(&request))
            .ok_or_else(|| {
                Refusal::new(Code::NotFound, format!("you have not asked anything as '{id}'"))
                    .hint("use the ask_id that ask_captain gave")
            })
    }
}

/// Ends when the request has, or when that may have been missed.
async fn ended(mut events: Receiver<Arc<Event>>, id: RequestId) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if matches!(&event.fact, Fact::RequestEnded { request_id, .. } if *request_id == id)
                {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn checked(ask: Question) -> Result<Question, Refusal> {
    let text = clean(ask.text.trim());
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!("a question has 1 to {TEXT_BYTES_MAX} bytes")));
    }
    if ask.options.len() > OPTIONS_MAX {
        return Err(invalid(format!("a question offers at most {OPTIONS_MAX} answers")));
    }
    let options = ask.options.iter().map(|it| text_line("answer", &clean(it), OPTION_CHARS_MAX));
    Ok(Question { text, options: options.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(text: &str, options: &[&str]) -> Question {
        let options = options.iter().map(|it| (*it).to_owned()).collect();
        Question { text: text.to_owned(), options }
    }

    #[test]
    fn a_question_says_something_and_offers_a_few_answers_of_one_line() {
        assert_eq!(checked(ask(" why? ", &[" a "])).unwrap(), ask("why?", &["a"]));
        assert!(checked(ask(" \n", &[])).is_err());
        assert!(checked(ask(&"x".repeat(TEXT_BYTES_MAX + 1), &[])).is_err());
        assert!(checked(ask("why?", &[""])).is_err());
        assert!(checked(ask("why?", &["a"; OPTIONS_MAX + 1])).is_err());
    }

    proptest! {
        #[test]
        fn no_question_panics(text: String, options: Vec<String>) {
            if let Ok(taken) = checked(Question { text, options }) {
                prop_assert!(!taken.text.is_empty() && !taken.text.contains('\0'));
            }
        }
    }
}
