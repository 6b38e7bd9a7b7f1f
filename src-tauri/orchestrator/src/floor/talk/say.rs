//! What is said to an agent: messages, answers, and what the captain types.

use agents::runtime::{Answer, Told};
use agents::step::{self, Step};
use model::activity::Phase;
use model::agent::Runtime;
use model::id::{MessageId, RequestId};
use model::inbox::{Request, RequestEnd};
use model::message::{BATCH_MAX, Message, Source};
use tracing::warn;

use super::Talk;
use super::board::Poke;
use super::memory::Memory;
use crate::input::Input;

/// How much may be typed that a program does not read, in bytes.
const TYPED_BYTES_MAX: usize = 256 * 1024;

/// What an agent is asked when its context is nearly full.
const HANDOVER: &str = "Your context is nearly full, so another attempt will go on with this \
mission. Change nothing any more. Write down what it needs to know: what is done, what was decided \
and why, what is open, and what to do next. Your answer is handed over as it is.";

impl Talk<'_> {
    pub(super) async fn poked(&mut self, poke: Poke) {
        let now = self.floor.clock.now();
        match poke {
            Poke::News => {
                self.news = true;
                self.say_answers().await;
            }
            Poke::Type(text) if self.memory.waiting_bytes() < TYPED_BYTES_MAX => {
                self.memory.send(Some(text));
            }
            Poke::Type(_) => {
                warn!(attempt = %self.id, "a program reads nothing; what is typed is not kept");
            }
            Poke::Resize { cols, rows } => self.wire.resize(cols, rows).await,
            Poke::CancelTurn => self.call_off(),
            Poke::InterruptTurn => self.driver.cancel(now),
        }
    }

    /// Calls the turn under way off, because the captain wants it.
    fn call_off(&mut self) {
        // Only a protocol has turns, and only what is under way can be called off.
        if matches!(self.agent.runtime, Runtime::Acp { .. }) && !self.driver.takes_messages() {
            self.memory.called_off = true;
            self.changed = true;
            self.floor.board.phase(self.id, Phase::Cancelling);
        }
        self.driver.cancel(self.floor.clock.now());
    }

    /// Hands over what waits, provided the agent can take it now.
    pub(super) async fn say_news(&mut self) {
        self.say_answers().await;
        self.say_waiting().await;
    }

    /// Remembers what the ledger says the agent asked: what was kept may be older. What it asked in
    /// another way than by its protocol is answered in that way.
    pub(super) async fn recall_asked(&mut self) {
        match self.floor.ledger.open_requests_of(self.id).await {
            Ok(open) => {
                let asked = open.into_iter().filter(|request| self.driver.asks(&request.key));
                self.memory.asked.extend(asked.map(|request| (request.key, request.id)));
            }
            Err(err) => warn!(attempt = %self.id, %err, "what an agent asked could not be read"),
        }
    }

    /// What was asked under this key before the engine died, and is still to be told: its line is
    /// read a second time.
    pub(super) async fn known_request(&self, key: &str) -> Option<RequestId> {
        let ledger = &self.floor.ledger;
        let open = ledger.open_requests_of(self.id).await.unwrap_or_default();
        let untold = ledger.untold_requests_of(self.id).await.unwrap_or_default();
        let mut all = open.into_iter().chain(untold);
        all.find(|request| request.key == key).map(|request| request.id)
    }

    /// Tells the agent the answers it does not know yet.
    pub(super) async fn say_answers(&mut self) {
        let answered = match self.floor.ledger.untold_requests_of(self.id).await {
            Ok(answered) => answered,
            Err(err) => {
                warn!(attempt = %self.id, %err, "answers could not be read; trying again");
                self.news = true;
                return;
            }
        };
        for request in answered {
            let Some(answer) = answer_of(&request).filter(|_| self.driver.asks(&request.key))
            else {
                continue;
            };
            step::reached(Step::AnswerFound);
            let now = self.floor.clock.now();
            self.driver.answer(&request.key, Some(request.id), &answer, now);
            self.memory.asked.retain(|_, id| *id != request.id);
            self.memory.replied.push(request.id);
            self.changed = true;
            self.show_asking();
        }
    }

    /// Hands over the messages that wait; says whether there were any.
    pub(super) async fn say_waiting(&mut self) -> bool {
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        let waiting = match self.floor.ledger.waiting_messages(self.agent.id, limit).await {
            Ok(waiting) => waiting,
            Err(err) => {
                warn!(attempt = %self.id, %err, "messages could not be read; trying again");
                self.news = true;
                return false;
            }
        };
        let waiting: Vec<Message> =
            waiting.into_iter().filter(|it| !self.memory.handing.contains(&it.id)).collect();
        if waiting.is_empty() || !self.driver.takes_messages() {
            return false;
        }
        self.memory.handing.extend(waiting.iter().map(|message| message.id));
        let told = waiting
            .into_iter()
            .map(|message| Told { id: message.id, from: message.from, text: message.text })
            .collect();
        self.driver.tell(told, self.floor.clock.now());
        true
    }

    /// Records that messages and answers are with the program, once what tells it of them is kept: an
    /// engine that dies between the two still says it, and records it then.
    pub(super) async fn deliver(&mut self) {
        let Memory { handed, replied, begun, answered, .. } = &self.memory;
        let nothing =
            [handed, begun, answered].into_iter().all(Vec::is_empty) && replied.is_empty();
        // What cannot be kept is tried again in a moment.
        if nothing || !self.keep().await {
            return;
        }
        self.changed = true;
        for id in std::mem::take(&mut self.memory.replied) {
            step::reached(Step::AnswerTold);
            self.tell(Input::ReplyTold(id)).await;
            step::reached(Step::AnswerRecorded);
        }
        let messages = std::mem::take(&mut self.memory.handed);
        if !messages.is_empty() {
            step::reached(Step::MessageTold);
            self.tell(Input::Delivered { messages, id: self.id }).await;
            step::reached(Step::MessageRecorded);
        }
        // In the order in which it happened: what was not delivered is neither begun with nor answered.
        let messages = std::mem::take(&mut self.memory.begun);
        if !messages.is_empty() {
            self.tell(Input::Begun { messages }).await;
        }
        let messages = std::mem::take(&mut self.memory.answered);
        if !messages.is_empty() {
            self.tell(Input::Answered { messages }).await;
        }
    }

    /// Notes that messages could not be handed over; after a number of times they wait for the
    /// captain.
    pub(super) async fn not_delivered(&mut self, ids: Vec<MessageId>, why: &str) {
        for id in ids {
            self.memory.handing.retain(|handing| *handing != id);
            self.memory.handed.retain(|handed| *handed != id);
            self.tell(Input::NotDelivered { id, problem: why.to_owned() }).await;
        }
    }

    pub(super) fn ask_handover(&mut self) {
        let now = self.floor.clock.now();
        let id = MessageId::draw(now, &mut model::id::SystemDraw);
        self.memory.own.push(id);
        let told = Told { id, from: Source::System, text: HANDOVER.to_owned() };
        self.driver.tell(vec![told], now);
    }
}

/// What the agent is told of how its request ended; nothing where it does not wait for it.
fn answer_of(request: &Request) -> Option<Answer> {
    Some(match request.end.as_ref()? {
        RequestEnd::Once | RequestEnd::Always { .. } => Answer::Allow,
        RequestEnd::Denied { note } => Answer::Deny { note: note.clone() },
        RequestEnd::Answered { text } => Answer::Text { text: text.clone() },
        RequestEnd::Withdrawn { .. } => return None,
    })
}
