//! What happens in a conversation, and what comes of it.

use std::path::Path;

use agents::permission::{self, Who};
use agents::runtime::{Answer, Happening, Stop, Wanted};
use agents::step::{self, Step};
use model::activity::Phase;
use model::agent::CONTEXT_WARN_PERCENT;
use model::id::{MessageId, RequestId, SystemDraw};
use model::inbox::{Ask, Request};
use model::usage::Context;
use tracing::warn;

use super::Talk;
use super::memory::{Handover, Verdict};
use crate::input::Input;

impl Talk<'_> {
    pub(super) async fn hear(&mut self, happening: Happening) {
        let board = &self.floor.board;
        match happening {
            Happening::Opened { session, .. } => {
                self.memory.session = session;
                self.open_session_file();
                if let Some(right) = self.right.take() {
                    self.floor.starts.answered(right);
                }
                board.phase(self.id, Phase::Turn);
            }
            Happening::TurnStarted { n } => {
                board.turn(self.id, n);
                self.memory.called_off = false;
                let handing = std::mem::take(&mut self.memory.handing);
                self.memory.handed.extend(handing);
            }
            Happening::Started(messages) => {
                // A terminal has no turns: what is typed there is begun with.
                let begun = |id: &mut MessageId| messages.contains(id);
                let typed: Vec<MessageId> = self.memory.handing.extract_if(.., begun).collect();
                self.memory.handed.extend(typed);
                let messages = self.recorded(messages);
                self.memory.begun.extend(messages);
            }
            Happening::Acknowledged { messages, said } => {
                self.tell(Input::Acknowledged { id: self.id, said }).await;
                let messages = self.recorded(messages);
                self.memory.answered.extend(messages);
            }
            Happening::NotDelivered { messages, why } => self.not_delivered(messages, &why).await,
            Happening::Used(usage) => self.used(*usage).await,
            Happening::Context(context) => self.filled(context).await,
            Happening::Tool(tool) => board.tool(self.id, tool),
            Happening::Limited { until, said } => {
                board.phase(self.id, Phase::Limited { until, said });
            }
            Happening::TurnEnded { stop, .. } => {
                board.tool(self.id, None);
                self.measure_all().await;
                self.turn_ended(stop).await;
            }
            Happening::Broken { why, login } => {
                self.measure_all().await;
                self.memory.verdict = Some(Verdict::of(&Stop::Failed { why, login }));
            }
            asks => self.hear_asks(asks).await,
        }
    }

    /// Of these messages, those that are in the ledger.
    fn recorded(&self, mut messages: Vec<MessageId>) -> Vec<MessageId> {
        messages.retain(|id| !self.memory.own.contains(id));
        messages
    }

    async fn hear_asks(&mut self, happening: Happening) {
        match happening {
            Happening::AskedPermission { key, ask } => self.asked_permission(key, *ask).await,
            Happening::AskedQuestion { key, text, options } => {
                self.ask_captain(key, Ask::Question { text, options }).await;
            }
            Happening::Withdrawn { key, why } => {
                if let Some(id) = self.memory.asked.remove(&key) {
                    self.tell(Input::Withdrawn { id, why }).await;
                    // One that was answered meanwhile is not answered any more.
                    self.tell(Input::ReplyTold(id)).await;
                }
                self.show_asking();
            }
            _ => {}
        }
    }

    /// Answers by policy and rules where they say enough, and asks the captain otherwise.
    async fn asked_permission(&mut self, key: String, ask: Wanted) {
        let (mission_id, agent_id) = (self.mission.id, self.agent.id);
        // Without a workplace nothing is inside of it.
        let nowhere = self.run.join("nowhere");
        let workplace = self.attempt.workplace.as_ref();
        let worktree = workplace.map_or(nowhere.as_path(), |it| Path::new(&it.directory));
        let ask = permission::assess(ask, worktree);
        let rules = match self.floor.ledger.rules_for(mission_id, agent_id).await {
            Ok(rules) => rules,
            Err(err) => {
                // One of them may forbid what the policy allows: the captain decides.
                warn!(attempt = %self.id, %err, "the permission rules could not be read");
                return self.ask_captain(key, Ask::Permission { permission: ask }).await;
            }
        };
        let who = Who { mission_id, agent_id, worktree };
        let policy = self.agent.conduct.permissions;
        let now = self.floor.clock.now();
        match permission::judge(policy, &rules, &ask, who) {
            permission::Verdict::Allow { .. } => {
                self.driver.answer(&key, None, &Answer::Allow, now);
            }
            permission::Verdict::Deny { because } => {
                let answer = Answer::Deny { note: Some(because) };
                self.driver.answer(&key, None, &answer, now);
            }
            permission::Verdict::Ask => {
                self.ask_captain(key, Ask::Permission { permission: ask }).await;
            }
        }
    }

    async fn ask_captain(&mut self, key: String, ask: Ask) {
        let now = self.floor.clock.now();
        if let Some(known) = self.memory.asked.get(&key) {
            // The line was read before the engine started again.
            self.driver.asked_as(&key, *known, now);
            return self.show_asking();
        }
        if let Some(known) = self.known_request(&key).await {
            self.driver.asked_as(&key, known, now);
            self.memory.asked.insert(key, known);
            self.show_asking();
            return self.say_answers().await;
        }
        let id = RequestId::draw(now, &mut SystemDraw);
        let request = Request {
            id,
            attempt_id: self.id,
            mission_id: self.mission.id,
            agent_id: self.agent.id,
            key: key.clone(),
            ask,
            asked_at: now,
            not_before: None,
            end: None,
            ended_at: None,
            told: false,
        };
        self.memory.asked.insert(key.clone(), id);
        self.driver.asked_as(&key, id, now);
        step::reached(Step::AskHeard);
        if !self.tell(Input::Asked(Box::new(request))).await {
            // Nobody can be asked any more: the attempt ends, or asks too much at once.
            self.memory.asked.remove(&key);
            self.driver.answer(&key, None, &Answer::Cancelled, now);
        }
        step::reached(Step::AskRecorded);
        self.show_asking();
    }

    /// Shows on the board whether the agent waits for the captain.
    pub(super) fn show_asking(&self) {
        let open = u32::try_from(self.memory.asked.len()).unwrap_or(u32::MAX);
        self.floor.board.asking(self.id, open);
    }

    /// Notes how full the context is, and has the agent hand over where that is wanted.
    async fn filled(&mut self, context: Context) {
        self.floor.board.context(self.id, context);
        let Some(percent) = context.percent() else {
            return;
        };
        let handover = self.agent.conduct.handover_at_percent;
        let thresholds = CONTEXT_WARN_PERCENT.into_iter().chain(handover);
        let crossed: Vec<u8> = thresholds
            .filter(|threshold| percent >= *threshold && !self.memory.crossed.contains(threshold))
            .collect();
        for threshold in crossed {
            if !self.memory.crossed.contains(&threshold) {
                self.memory.crossed.push(threshold);
                let input = Input::ContextCrossed { id: self.id, percent: threshold, context };
                self.tell(input).await;
            }
        }
        if handover.is_some_and(|at| percent >= at) && self.memory.handover == Handover::None {
            self.memory.handover = Handover::Cancelled;
            self.driver.cancel(self.floor.clock.now());
        }
    }

    /// What comes after a turn: what waits to be said, the handover, or the end.
    async fn turn_ended(&mut self, stop: Stop) {
        if self.stopping {
            // What waits is for the next attempt.
            return;
        }
        match self.memory.handover {
            Handover::None => {}
            // It was done before the turn could be called off.
            Handover::Cancelled if stop == Stop::Done => {}
            Handover::Cancelled if self.driver.takes_messages() => {
                self.memory.handover = Handover::Asked;
                return self.ask_handover();
            }
            // It did not let its turn be called off, so that nothing can be asked of it.
            Handover::Cancelled | Handover::Asked => {
                step::reached(Step::HandoverSaid);
                let text = self.memory.take_written();
                self.memory.verdict = Some(Verdict::HandedOver { text });
                return;
            }
        }
        // What waits may be what it needs; only one that cannot go on is not told any more.
        let goes_on = !matches!(stop, Stop::Failed { .. });
        if goes_on && self.say_waiting().await {
            return;
        }
        self.memory.verdict = Some(match stop {
            Stop::Cancelled if self.memory.called_off => Verdict::CalledOff,
            stop => Verdict::of(&stop),
        });
    }
}
