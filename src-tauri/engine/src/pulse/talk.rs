//! What is said in the conversations that somebody listens to.

use std::collections::HashMap;

use model::id::AttemptId;
use model::refusal::Refusal;
use store::transcripts::PAGE_ENTRIES_MAX;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::{FRAME_EVERY, never, parcels};
use crate::Engine;
use crate::live::{LiveTopic, Payload};

impl Engine {
    pub(super) async fn tell_conversations(self) {
        let mut changes = self.0.transcripts.subscribe();
        let hub = &self.0.hub;
        let mut last: HashMap<AttemptId, Instant> = HashMap::new();
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(changed) if !hub.changed(changed.attempt_id) => continue,
                    Ok(_) => due = due.or_else(|| Some(Instant::now())),
                    Err(RecvError::Lagged(_)) => {
                        hub.all_changed();
                        due = Some(Instant::now());
                    }
                    Err(RecvError::Closed) => return,
                },
                () = hub.to_follow.notified() => due = Some(Instant::now()),
                () = sleep_until(due.unwrap_or_else(never)) => {
                    due = self.tell_each(&mut last).await;
                }
            }
        }
    }

    /// Tells the news of each conversation whose turn it is; gives when the next one's is.
    async fn tell_each(&self, last: &mut HashMap<AttemptId, Instant>) -> Option<Instant> {
        let now = Instant::now();
        last.retain(|_, at| now.duration_since(*at) < FRAME_EVERY);
        let mut next: Option<Instant> = None;
        for (id, revision) in self.0.hub.with_news() {
            let at = match last.get(&id) {
                Some(last) => *last + FRAME_EVERY,
                None => {
                    last.insert(id, now);
                    match self.tell_conversation(id, revision).await {
                        Ok(false) => continue,
                        Ok(true) => now + FRAME_EVERY,
                        Err(refusal) => {
                            tracing::warn!(%refusal, "a conversation could not be read for those who listen");
                            self.0.hub.changed(id);
                            now + 10 * FRAME_EVERY
                        }
                    }
                }
            };
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        next
    }

    /// Tells what is new in one conversation; whether there is more.
    async fn tell_conversation(&self, id: AttemptId, revision: u64) -> Result<bool, Refusal> {
        let hub = &self.0.hub;
        hub.looking(id);
        let found = self.conversation_since(id, revision, PAGE_ENTRIES_MAX).await?;
        let (reached, more) = (found.0.revision, found.1);
        let mut parcels = parcels(found.0.entries);
        let rest = parcels.len() > 1;
        let entries = parcels.swap_remove(0);
        let Some(end) = entries.last().map(|entry| entry.revision) else {
            hub.told(id, reached, more);
            return Ok(more);
        };
        let revision = if rest { end } else { reached };
        let payload = Payload::Transcript { attempt_id: id, entries, revision };
        hub.publish(LiveTopic::Transcript(id), None, payload);
        hub.told(id, revision, more || rest);
        Ok(more || rest)
    }
}
