//! What events and measurements make of agents, missions, the swarm and the inbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::event::{Event, Fact};
use model::id::{CorrelationId, MissionId, RequestId};
use model::refusal::Refusal;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};

use super::order::InOrder;
use super::{AGENTS_MAX, Pace, never};
use crate::Engine;
use crate::live::{LiveTopic, Payload};
use crate::resolve::unreadable;
use crate::view::{InboxTotals, RequestView};

/// Missions and requests told of in one frame.
const ROWS_MAX: usize = 100;

/// What is owed on a topic whose rows are named by id.
#[derive(Debug)]
struct Owed<Id> {
    ids: BTreeSet<Id>,
    correlation: Option<CorrelationId>,
    pace: Pace,
}

impl<Id> Default for Owed<Id> {
    fn default() -> Self {
        Self { ids: BTreeSet::new(), correlation: None, pace: Pace::default() }
    }
}

impl<Id: Ord + Copy> Owed<Id> {
    fn owe(&mut self, ids: impl IntoIterator<Item = Id>, event: &Event) {
        self.ids.extend(ids);
        self.correlation = event.correlation_id.or(self.correlation);
        self.pace.owe();
    }

    /// The rows of the next frame, and the request that led to it.
    fn take(&mut self) -> (Vec<Id>, Option<CorrelationId>) {
        let mut ids = Vec::new();
        while ids.len() < ROWS_MAX
            && let Some(id) = self.ids.pop_first()
        {
            ids.push(id);
        }
        let correlation = self.correlation;
        if self.ids.is_empty() {
            self.correlation = None;
        } else {
            self.pace.owe();
        }
        (ids, correlation)
    }

    /// Takes back what could not be told.
    fn give_back(&mut self, ids: Vec<Id>, correlation: Option<CorrelationId>) {
        self.ids.extend(ids);
        self.correlation = self.correlation.or(correlation);
        self.pace.owe_again();
    }
}

struct Telling {
    engine: Engine,
    order: InOrder,
    agents: Pace,
    agents_correlation: Option<CorrelationId>,
    missions: Owed<MissionId>,
    requests: Owed<RequestId>,
    /// How much waits, as it was told last.
    counts: Option<InboxTotals>,
}

impl Engine {
    pub(super) async fn tell_state(self, mut events: broadcast::Receiver<Arc<Event>>, seen: u64) {
        let mut ticks = self.0.snapshots.clone();
        let mut telling = Telling {
            engine: self.clone(),
            order: InOrder::after(seen),
            agents: Pace::default(),
            agents_correlation: None,
            missions: Owed::default(),
            requests: Owed::default(),
            counts: None,
        };
        loop {
            let missing = telling.order.due().unwrap_or_else(never);
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) if telling.order.is_next(&event) => telling.take(&event),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => telling.order.missed(),
                    Err(RecvError::Closed) => return,
                },
                () = sleep_until(missing) => telling.catch_up().await,
                () = sleep_until(telling.due()) => telling.tell(Instant::now()).await,
                tick = ticks.changed() => match tick {
                    Ok(()) => telling.agents.owe(),
                    Err(_) => return,
                },
                () = self.0.hub.wanted.notified() => telling.agents.owe(),
            }
        }
    }
}

impl Telling {
    fn due(&self) -> Instant {
        let dues = [self.agents.due, self.missions.pace.due, self.requests.pace.due];
        dues.into_iter().flatten().min().unwrap_or_else(never)
    }

    async fn catch_up(&mut self) {
        for event in self.order.read(&self.engine.0.ledger).await {
            self.take(&event);
        }
    }

    fn take(&mut self, event: &Event) {
        self.agents.owe();
        self.agents_correlation = event.correlation_id.or(self.agents_correlation);
        if let Some(id) = event.subject.mission_id {
            self.missions.owe([id], event);
        }
        match &event.fact {
            Fact::RequestAsked { request } => self.requests.owe([request.id], event),
            Fact::RequestEnded { request_id, .. }
            | Fact::RequestDeferred { request_id, .. }
            | Fact::RequestTold { request_id, .. } => self.requests.owe([*request_id], event),
            Fact::MessageFailed { .. }
            | Fact::MessageRetried { .. }
            | Fact::MessageDiscarded { .. }
            | Fact::MissionMoved { .. }
            | Fact::MissionRemoved { .. }
            | Fact::AgentRemoved { .. } => self.requests.owe([], event),
            _ => {}
        }
    }

    async fn tell(&mut self, now: Instant) {
        let told = [
            if self.agents.take(now) { self.tell_agents().await } else { Ok(()) },
            if self.missions.pace.take(now) { self.tell_missions().await } else { Ok(()) },
            if self.requests.pace.take(now) { self.tell_inbox().await } else { Ok(()) },
        ];
        for refusal in told.into_iter().filter_map(Result::err) {
            tracing::warn!(%refusal, "what changed could not be read for those who listen");
        }
    }

    async fn tell_agents(&mut self) -> Result<(), Refusal> {
        let correlation = self.agents_correlation.take();
        let told = self.try_to_tell_agents(correlation).await;
        if told.is_err() {
            self.agents_correlation = self.agents_correlation.or(correlation);
            self.agents.owe_again();
        }
        told
    }

    async fn try_to_tell_agents(
        &mut self,
        correlation: Option<CorrelationId>,
    ) -> Result<(), Refusal> {
        let (engine, hub) = (&self.engine, &self.engine.0.hub);
        let wanted = [LiveTopic::Agents, LiveTopic::Signals].map(|topic| hub.is_wanted(topic));
        if wanted == [false, false] {
            return Ok(());
        }
        let correlation = correlation.map(|id| id.to_string());
        let mut book = engine.book().await?;
        let found = engine.difference(&mut book, AGENTS_MAX);
        let (states, demo) = book.states();
        if found.more {
            self.agents.owe();
        }
        let differs = !found.changed.is_empty() || !found.removed.is_empty();
        if differs && hub.is_wanted(LiveTopic::Agents) {
            let payload = Payload::Agents { agents: found.changed, removed: found.removed };
            // While the book is held: a snapshot has either all of this or nothing.
            hub.publish(LiveTopic::Agents, correlation.clone(), payload);
        }
        drop(book);
        if hub.is_wanted(LiveTopic::Signals) {
            let overview = engine.overview_of(&states, demo).await?;
            hub.publish(LiveTopic::Signals, correlation, Payload::Signals { overview });
        }
        Ok(())
    }

    async fn tell_missions(&mut self) -> Result<(), Refusal> {
        let (ids, correlation) = self.missions.take();
        let (engine, hub) = (&self.engine, &self.engine.0.hub);
        if !hub.is_wanted(LiveTopic::Missions) {
            self.missions.ids.clear();
            return Ok(());
        }
        let missions = match engine.mission_views(&ids).await {
            Ok(missions) => missions,
            Err(refusal) => {
                self.missions.give_back(ids, correlation);
                return Err(refusal);
            }
        };
        let there: BTreeSet<MissionId> = missions.iter().map(|view| view.mission.id).collect();
        let removed = ids.into_iter().filter(|id| !there.contains(id)).collect();
        let mut parcels = super::parcels(missions).into_iter();
        let missions = parcels.next().unwrap_or_default();
        // What does not fit into this frame goes into the next one.
        let rest: Vec<MissionId> = parcels.flatten().map(|view| view.mission.id).collect();
        if !rest.is_empty() {
            self.missions.ids.extend(rest);
            self.missions.pace.owe();
        }
        let payload = Payload::Missions { missions, removed, more: false };
        hub.publish(LiveTopic::Missions, correlation.map(|id| id.to_string()), payload);
        Ok(())
    }

    async fn tell_inbox(&mut self) -> Result<(), Refusal> {
        let (ids, correlation) = self.requests.take();
        let (engine, hub) = (&self.engine, &self.engine.0.hub);
        if !hub.is_wanted(LiveTopic::Inbox) {
            self.requests.ids.clear();
            self.counts = None;
            return Ok(());
        }
        let (requests, counts) = match engine.inbox_news(&ids).await {
            Ok(news) => news,
            Err(refusal) => {
                self.requests.give_back(ids, correlation);
                return Err(refusal);
            }
        };
        if requests.is_empty() && self.counts == Some(counts) {
            return Ok(());
        }
        self.counts = Some(counts);
        let correlation = correlation.map(|id| id.to_string());
        hub.publish(LiveTopic::Inbox, correlation, Payload::Inbox { requests, counts });
        Ok(())
    }
}

impl Engine {
    /// Requests as they are now, and how much waits.
    async fn inbox_news(
        &self,
        ids: &[RequestId],
    ) -> Result<(Vec<RequestView>, InboxTotals), Refusal> {
        let counts = self.inbox_totals().await?;
        let mut requests = Vec::with_capacity(ids.len());
        for id in ids {
            requests.extend(self.0.ledger.request(*id).await.map_err(unreadable)?);
        }
        Ok((self.request_views(requests).await?, counts))
    }
}

#[cfg(test)]
mod tests {
    use model::event::{Actor, Subject};
    use model::id::{EventId, SystemDraw};

    use super::*;
    use crate::Config;
    use crate::live::LiveFrom;

    #[tokio::test]
    async fn what_could_not_be_read_is_owed_again_with_the_request_that_led_to_it() {
        let place = tempfile::tempdir().unwrap();
        let config = Config::new(place.path().join("data"), "0.0.0-test");
        let engine = Engine::open(config).await.unwrap();
        let (_, wishes) = tokio::sync::mpsc::channel(1);
        let topics = vec![LiveTopic::Inbox, LiveTopic::Missions, LiveTopic::Agents];
        let _listens = engine.live(LiveFrom { topics, ..LiveFrom::default() }, wishes);
        engine.0.ledger.close().await;

        let (now, draw) = (engine.0.clock.now(), &mut SystemDraw);
        let (mission, request) = (MissionId::draw(now, draw), RequestId::draw(now, draw));
        let correlation_id = Some(CorrelationId::draw(now, draw));
        let event = Event {
            seq: 1,
            id: EventId::draw(now, draw),
            at: now,
            actor: Actor::Captain,
            correlation_id,
            subject: Subject { mission_id: Some(mission), ..Subject::default() },
            mission_seq: None,
            fact: Fact::RequestTold { request_id: request },
        };
        let mut telling = Telling {
            engine,
            order: InOrder::after(0),
            agents: Pace::default(),
            agents_correlation: None,
            missions: Owed::default(),
            requests: Owed::default(),
            counts: None,
        };
        telling.take(&event);
        telling.tell(Instant::now()).await;
        assert_eq!(telling.requests.ids, BTreeSet::from([request]));
        assert_eq!(telling.requests.correlation, correlation_id);
        assert_eq!(telling.missions.ids, BTreeSet::from([mission]));
        assert_eq!(telling.missions.correlation, correlation_id);
        let dues = [telling.requests.pace.due, telling.missions.pace.due];
        assert!(dues.iter().all(|due| due.is_some_and(|due| due > Instant::now())));
    }
}
