//! Messages to agents: sent to one or to several, looked at, tried again, given up.

use std::collections::HashMap;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use model::agent::Agent;
use model::event::Actor;
use model::id::{AgentId, BroadcastId, MessageId, MissionId, SystemDraw};
use model::message::{Message, MessageState, Source, TEXT_BYTES_MAX, Urgency, WAITING_MAX};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use sha2::{Digest as _, Sha256};
use store::ledger::{MessageFilter, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};

use crate::missions::{invalid, names};
use crate::resolve::{self, unreadable};
use crate::view::{
    BroadcastMessage, BroadcastResult, BroadcastState, BroadcastView, MessagePage, MessageView,
    NewBroadcast, NewMessage,
};
use crate::{Caller, Engine};

/// The word that stands for every agent in a broadcast.
const EVERYBODY: &str = "all";
/// Messages of a broadcast that are queued at the same time.
const SIDE_BY_SIDE: usize = 64;
/// How many messages may wait for an agent before other agents can send it no more.
const OF_AGENTS_MAX: usize = WAITING_MAX / 2;
/// The most names of a broadcast.
const NAMED_MAX: usize = 10_000;

/// Which messages to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageQuery {
    /// Only those to this agent.
    pub agent: Option<String>,
    /// Only those about this mission.
    pub mission: Option<String>,
    /// Only those that are this far; empty means all.
    pub states: Vec<MessageState>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

/// What is said, checked.
struct Said {
    text: String,
    urgency: Urgency,
    mission: Option<MissionId>,
    broadcast: Option<BroadcastId>,
}

impl Engine {
    /// Says something to an agent: at once where it can be told while it works, else with its next
    /// turn or mission.
    ///
    /// # Errors
    /// When there is no such agent or mission, the text is empty or too long, or too many messages
    /// wait for the agent already.
    pub async fn send_message(
        &self,
        caller: &Caller,
        agent: &str,
        new: NewMessage,
    ) -> Result<MessageView, Refusal> {
        let agent = resolve::agent(&self.0.ledger, agent).await?;
        let mission = match &new.mission {
            Some(text) => Some(resolve::mission(&self.0.ledger, text).await?.0.id),
            None => None,
        };
        let urgency = urgency(new.urgent);
        let said = Said { text: checked_text(new.text)?, urgency, mission, broadcast: None };
        let id = self.queue_message(caller, &agent, &said).await?;
        self.message(id).await
    }

    /// Says the same to several agents; each has a result of its own, and a message of its own that
    /// is delivered once.
    ///
    /// # Errors
    /// When nobody is named, or the text is empty or too long. What is in the way of one agent is in
    /// its result.
    pub async fn broadcast(
        &self,
        caller: &Caller,
        new: NewBroadcast,
    ) -> Result<BroadcastView, Refusal> {
        let text = checked_text(new.text)?;
        let (agents, unknown) = self.recipients(&new.agents).await?;
        let broadcast = broadcast_id(caller, self.0.clock.now());
        let said =
            Said { text, urgency: urgency(new.urgent), mission: None, broadcast: Some(broadcast) };
        // Side by side, so that many are one write to the disk.
        let queued = stream::iter(agents).map(|agent| self.tell_one(caller, agent, &said));
        let mut results: Vec<BroadcastResult> = queued.buffered(SIDE_BY_SIDE).collect().await;
        let told = results.iter().any(|result| result.message_id.is_some());
        results.extend(unknown.into_iter().map(|(name, refusal)| BroadcastResult {
            agent_id: None,
            name,
            message_id: None,
            problem: Some(refusal.message),
        }));
        Ok(BroadcastView { broadcast_id: told.then_some(broadcast), results })
    }

    /// Queues the message of a broadcast to one agent.
    async fn tell_one(&self, caller: &Caller, agent: Agent, said: &Said) -> BroadcastResult {
        // Each agent's message is a request of its own, so that a repeated broadcast that was cut
        // short goes on where it was.
        let key = caller.key.as_ref().map(|key| format!("{key}/{}", agent.id));
        let caller = Caller { key, ..caller.clone() };
        let queued = self.queue_message(&caller, &agent, said).await;
        BroadcastResult {
            agent_id: Some(agent.id),
            name: agent.name,
            message_id: queued.as_ref().ok().copied(),
            problem: queued.err().map(|refusal| refusal.message),
        }
    }

    /// The agents that are named, each once and by name, and the names nobody has.
    async fn recipients(
        &self,
        named: &[String],
    ) -> Result<(Vec<Agent>, Vec<(String, Refusal)>), Refusal> {
        if named.len() > NAMED_MAX {
            return Err(invalid(format!("a broadcast names at most {NAMED_MAX} agents"))
                .hint("'all' means every agent"));
        }
        if named.iter().all(|name| name.trim().is_empty()) {
            return Err(invalid("nobody is named").hint("name agents, or 'all'"));
        }
        let all = self.0.ledger.agents().await.map_err(unreadable)?;
        let by_name: HashMap<String, &Agent> =
            all.iter().map(|agent| (agent.name.to_lowercase(), agent)).collect();
        let by_id: HashMap<AgentId, &Agent> = all.iter().map(|agent| (agent.id, agent)).collect();
        let (mut found, mut unknown) = (HashMap::new(), Vec::new());
        for name in named {
            let wanted = name.trim().to_lowercase();
            if wanted == EVERYBODY {
                found.extend(all.iter().map(|agent| (agent.id, agent.clone())));
                continue;
            }
            let meant = match wanted.parse::<AgentId>() {
                Ok(id) => by_id.get(&id),
                Err(_) => by_name.get(&wanted),
            };
            match meant {
                Some(agent) => drop(found.insert(agent.id, (*agent).clone())),
                None => {
                    let why = format!("there is no agent '{name}'");
                    unknown.push((name.clone(), Refusal::new(Code::NotFound, why)));
                }
            }
        }
        let mut agents: Vec<Agent> = found.into_values().collect();
        agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
        Ok((agents, unknown))
    }

    /// Whether one more message from this source can wait for an agent. Other agents may fill a part
    /// only, so that the captain is always heard.
    pub(crate) async fn room_for(&self, to: &Agent, from: &Source) -> Result<(), Refusal> {
        let waiting = self.0.ledger.waiting_count(to.id).await.map_err(unreadable)?;
        let max = match from {
            Source::Agent { .. } => OF_AGENTS_MAX,
            Source::Captain | Source::System => WAITING_MAX,
        };
        if (waiting as usize) < max {
            return Ok(());
        }
        let message = format!("{waiting} messages wait for {} already", to.name);
        Err(Refusal::new(Code::Busy, message)
            .hint("let it work, or discard some of those that wait"))
    }

    async fn queue_message(
        &self,
        caller: &Caller,
        to: &Agent,
        said: &Said,
    ) -> Result<MessageId, Refusal> {
        let sender = match &caller.actor {
            Actor::Agent { id } => {
                self.0.ledger.agent(*id).await.map_err(unreadable)?.map(|agent| agent.name)
            }
            _ => None,
        };
        let from = caller.source(sender);
        if !self.was_answered(caller).await? {
            self.room_for(to, &from).await?;
        }
        let now = self.0.clock.now();
        let id = MessageId::draw(now, &mut SystemDraw);
        let message = Message {
            urgency: said.urgency,
            mission_id: said.mission,
            broadcast_id: said.broadcast,
            ..Message::queued(id, to.id, from, said.text.clone(), now)
        };
        let id = self.tell_creation(caller, Input::QueueMessage(message), id.as_uuid()).await?;
        Ok(MessageId::from_uuid(id))
    }

    /// One message.
    ///
    /// # Errors
    /// When there is no such message.
    pub async fn message(&self, id: MessageId) -> Result<MessageView, Refusal> {
        let message = self.0.ledger.message(id).await.map_err(unreadable)?.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no message '{id}'"))
                .hint("list the messages to see their ids")
        })?;
        let agent = self.0.ledger.agent(message.to).await.map_err(unreadable)?;
        let state = message.state();
        Ok(MessageView { message, agent: agent.map(|agent| agent.name), state })
    }

    /// Lists messages, newest first.
    ///
    /// # Errors
    /// When the filter names something unknown, or the ledger cannot be read.
    pub async fn messages(&self, query: MessageQuery) -> Result<MessagePage, Refusal> {
        let ledger = &self.0.ledger;
        let agent_id = match &query.agent {
            Some(text) => Some(resolve::agent(ledger, text).await?.id),
            None => None,
        };
        let mission_id = match &query.mission {
            Some(text) => Some(resolve::mission(ledger, text).await?.0.id),
            None => None,
        };
        let filter = MessageFilter {
            agent_id,
            mission_id,
            states: query.states,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
            ..MessageFilter::default()
        };
        let page = ledger.messages(filter).await.map_err(unreadable)?;
        Ok(MessagePage { items: self.message_views(page.items).await?, next_cursor: page.next })
    }

    pub(super) async fn message_views(
        &self,
        messages: Vec<Message>,
    ) -> Result<Vec<MessageView>, Refusal> {
        let names = names(&self.0.ledger.agents().await.map_err(unreadable)?);
        let view = |message: Message| MessageView {
            agent: names.get(&message.to).cloned(),
            state: message.state(),
            message,
        };
        Ok(messages.into_iter().map(view).collect())
    }

    /// How far the messages of a broadcast are, by agent.
    ///
    /// # Errors
    /// When there is no such broadcast.
    pub async fn broadcast_state(&self, id: BroadcastId) -> Result<BroadcastState, Refusal> {
        let mut messages = Vec::new();
        let mut cursor = None;
        loop {
            let filter = MessageFilter {
                broadcast_id: Some(id),
                cursor,
                limit: PAGE_ROWS_MAX,
                ..MessageFilter::default()
            };
            let page = self.0.ledger.messages(filter).await.map_err(unreadable)?;
            messages.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if messages.is_empty() {
            let message = format!("there is no broadcast '{id}'");
            return Err(Refusal::new(Code::NotFound, message));
        }
        let views = self.message_views(messages).await?;
        let mut results: Vec<BroadcastMessage> = views
            .into_iter()
            .map(|message| BroadcastMessage {
                agent_id: message.message.to,
                name: message.agent.clone(),
                message,
            })
            .collect();
        results.sort_by_cached_key(|it| it.name.as_deref().unwrap_or_default().to_lowercase());
        Ok(BroadcastState { results })
    }

    /// Has a message delivered again that is in quarantine, or that an agent got and never answered
    /// to. A report that could not be understood is read again, as it is in its file by now.
    ///
    /// # Errors
    /// When there is no such message, or nothing is to be done about it.
    pub async fn retry_message(
        &self,
        caller: &Caller,
        id: MessageId,
    ) -> Result<MessageView, Refusal> {
        let message = self.message(id).await?;
        let input = match self.offer_report_again(&message.message)? {
            // The report is a file again; what stood for it in the inbox is done with.
            true => Input::DiscardMessage(id),
            false => Input::RetryMessage(id),
        };
        self.tell(caller, input).await?;
        self.message(id).await
    }

    /// Gives a message up that waits, or is in quarantine.
    ///
    /// # Errors
    /// When there is no such message, or an agent has it already.
    pub async fn discard_message(
        &self,
        caller: &Caller,
        id: MessageId,
    ) -> Result<MessageView, Refusal> {
        let message = self.message(id).await?;
        self.tell(caller, Input::DiscardMessage(id)).await?;
        self.put_report_away(&message.message);
        self.message(id).await
    }
}

/// The name of a broadcast: a repeated one has the same.
fn broadcast_id(caller: &Caller, now: Timestamp) -> BroadcastId {
    let Some(key) = &caller.key else {
        return BroadcastId::draw(now, &mut SystemDraw);
    };
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    BroadcastId::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

const fn urgency(urgent: bool) -> Urgency {
    if urgent { Urgency::Urgent } else { Urgency::Regular }
}

fn checked_text(text: String) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(invalid("the message is empty").hint("say something"));
    }
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the message is longer than {TEXT_BYTES_MAX} bytes");
        return Err(invalid(message).hint("put the long part into a file and name it"));
    }
    if text.contains('\0') {
        return Err(invalid("the message holds a NUL character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_that_is_empty_too_long_or_no_text_is_refused() {
        assert!(checked_text(" \n".to_owned()).is_err());
        assert!(checked_text("a\0b".to_owned()).is_err());
        assert!(checked_text("x".repeat(TEXT_BYTES_MAX)).is_ok());
        assert!(checked_text("x".repeat(TEXT_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn a_text_is_taken_as_it_is_or_not_at_all(text: String) {
            if let Ok(taken) = checked_text(text.clone()) {
                prop_assert_eq!(taken, text);
            }
        }
    }
}
