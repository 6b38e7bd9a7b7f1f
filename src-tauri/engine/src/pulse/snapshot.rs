//! Snapshots: what a listener begins with, and where what follows goes on.

use model::id::AttemptId;
use model::refusal::Refusal;

use super::events::trimmed;
use super::{AGENTS_MAX, parcels, size};
use crate::live::{FRAME_BYTES_AIM, LiveTopic, Payload, Snapshot, Source};
use crate::resolve::unreadable;
use crate::{ConversationQuery, Engine, MissionQuery};

/// Events of a snapshot.
const EVENTS: u32 = 200;
/// Missions of a snapshot, the newest ones.
const MISSIONS: u32 = 500;
/// Entries of a snapshot of a conversation, the last ones.
const ENTRIES: u32 = 200;

impl Source for Engine {
    async fn snapshot(&self, topic: LiveTopic) -> Result<Snapshot, Refusal> {
        match topic {
            LiveTopic::Agents => self.agents_now().await,
            LiveTopic::Events => self.events_now().await,
            LiveTopic::Missions => {
                let seq = self.0.hub.latest();
                let query = MissionQuery { limit: Some(MISSIONS), ..MissionQuery::default() };
                let page = self.missions(query).await?;
                let more = page.next.is_some();
                let part = |missions| Payload::Missions { missions, removed: Vec::new(), more };
                Ok(Snapshot { seq, parts: parcels(page.items).into_iter().map(part).collect() })
            }
            LiveTopic::Signals => {
                let seq = self.0.hub.latest();
                let overview = self.overview().await?;
                Ok(Snapshot { seq, parts: vec![Payload::Signals { overview }] })
            }
            LiveTopic::Inbox => {
                let seq = self.0.hub.latest();
                let inbox = self.inbox().await?;
                let counts = inbox.counts;
                let part = |requests| Payload::Inbox { requests, counts };
                Ok(Snapshot { seq, parts: parcels(inbox.requests).into_iter().map(part).collect() })
            }
            LiveTopic::Transcript(id) => self.conversation_now(id).await,
        }
    }
}

impl Engine {
    async fn agents_now(&self) -> Result<Snapshot, Refusal> {
        let hub = &self.0.hub;
        let mut book = self.book().await?;
        // What differs by now is told to the others as well, so that all know the same.
        loop {
            let found = self.difference(&mut book, AGENTS_MAX);
            if found.changed.is_empty() && found.removed.is_empty() {
                break;
            }
            if hub.others_listen(LiveTopic::Agents) {
                let payload = Payload::Agents { agents: found.changed, removed: found.removed };
                hub.publish(LiveTopic::Agents, None, payload);
            }
            if !found.more {
                break;
            }
        }
        let part = |agents| Payload::Agents { agents, removed: Vec::new() };
        let parts = parcels(book.told()).into_iter().map(part).collect();
        Ok(Snapshot { seq: hub.latest(), parts })
    }

    async fn events_now(&self) -> Result<Snapshot, Refusal> {
        let (seq, through) = self.0.hub.events_through();
        let after = through.saturating_sub(u64::from(EVENTS));
        let mut events = self.0.ledger.events_after(after, EVENTS).await.map_err(unreadable)?;
        events.retain(|event| event.seq <= through);
        let events = events.into_iter().map(trimmed).collect();
        let part = |events| Payload::Events { events };
        Ok(Snapshot { seq, parts: parcels(events).into_iter().map(part).collect() })
    }

    async fn conversation_now(&self, id: AttemptId) -> Result<Snapshot, Refusal> {
        let seq = self.0.hub.latest();
        let query = ConversationQuery { limit: Some(ENTRIES), ..ConversationQuery::default() };
        let mut page = self.conversation(id, query).await?;
        let mut bytes = 0;
        let fits = page.entries.iter().rev().take_while(|entry| {
            bytes += size(entry);
            bytes <= FRAME_BYTES_AIM
        });
        let keep = fits.count().max(1).min(page.entries.len());
        page.entries.drain(..page.entries.len() - keep);
        self.0.hub.follow(id, page.revision)?;
        Ok(Snapshot { seq, parts: vec![Payload::Conversation { attempt_id: id, page }] })
    }
}
