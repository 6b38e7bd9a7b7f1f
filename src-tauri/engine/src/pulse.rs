//! What goes out on the live stream: events, what they changed, and what is measured.
//!
//! Three tasks make frames, so that none waits for another: what is recorded, what it makes of
//! agents, missions and the inbox, and what is said in conversations. Each topic has its own pace:
//! at most one frame in a tenth of a second, the first one at once.

mod events;
mod order;
mod snapshot;
mod state;
mod talk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use model::mission::MissionState;
use model::refusal::Refusal;
use model::status::AgentState;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::Engine;
use crate::live::FRAME_BYTES_AIM;
use crate::resolve::unreadable;
use crate::view::{EngineUsage, MachineView, Overview};

/// The shortest time between two frames about one topic.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// How long it takes until what could not be read is read again.
const AGAIN: Duration = Duration::from_secs(1);
/// Agents told of in one frame.
const AGENTS_MAX: usize = 500;

/// When the next frame about a topic goes out.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Pace {
    /// Notes that there is something to tell.
    fn owe(&mut self) {
        let now = Instant::now();
        let at = self.last.map_or(now, |last| (last + FRAME_EVERY).max(now));
        self.due.get_or_insert(at);
    }

    /// Notes that what there was to tell could not be told, and is tried again in a while.
    fn owe_again(&mut self) {
        self.due = Some(Instant::now() + AGAIN);
    }

    /// Whether it is time; if so, it is noted that it is told.
    fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            *self = Self { due: None, last: Some(now) };
        }
        is_due
    }
}

/// A time that does not come, for a wait for whatever else happens.
fn never() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// Cuts items into parcels that fit into a frame each; there is at least one.
fn parcels<T: Serialize>(items: Vec<T>) -> Vec<Vec<T>> {
    let (mut parcels, mut bytes) = (vec![Vec::new()], 0);
    for item in items {
        let size = size(&item);
        if bytes + size > FRAME_BYTES_AIM && bytes > 0 {
            parcels.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(parcel) = parcels.last_mut() {
            parcel.push(item);
        }
    }
    parcels
}

/// How long something is as JSON, in bytes.
fn size<T: Serialize>(item: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, item) {
        Ok(()) => count.0,
        Err(_) => FRAME_BYTES_AIM,
    }
}

impl Engine {
    /// The whole swarm at a glance.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn overview(&self) -> Result<Overview, Refusal> {
        let views = self.roster_views().await?;
        let states: Vec<AgentState> = views.iter().map(|view| view.status.state).collect();
        self.overview_of(&states, views.iter().any(|view| view.agent.demo)).await
    }

    async fn overview_of(&self, states: &[AgentState], demo: bool) -> Result<Overview, Refusal> {
        let parts = &self.0;
        let counts = parts.ledger.counts().await.map_err(unreadable)?;
        let snapshot = parts.snapshots.borrow().clone();
        let mut agents = BTreeMap::new();
        for state in states {
            *agents.entry(*state).or_insert(0) += 1;
        }
        let in_state = |state| counts.missions.get(&state).copied().unwrap_or(0);
        let machine = (snapshot.tick > 0).then(|| MachineView {
            at: snapshot.at,
            cpu_percent: snapshot.machine.cpu_percent,
            memory_used_bytes: snapshot.machine.memory_used_bytes,
            memory_total_bytes: snapshot.machine.memory_total_bytes,
            disk_free_bytes: snapshot.machine.disk_free_bytes,
        });
        let engine = snapshot.engine.as_ref().map(|usage| EngineUsage {
            cpu_percent: usage.cpu_percent,
            memory_bytes: usage.memory_bytes,
        });
        Ok(Overview {
            version: parts.version.to_owned(),
            data_dir: parts.dir.root().display().to_string(),
            started_at: parts.started_at,
            now: parts.clock.now(),
            agents,
            needs_you: in_state(MissionState::InReview) + in_state(MissionState::NeedsInput),
            machine,
            engine,
            demo,
            exposed: self.exposed(),
            events: counts.events,
            swarm: self.swarm_view(states).await?,
            missions: counts.missions.into_iter().filter(|(_, n)| *n > 0).collect(),
        })
    }

    /// Makes the frames of the live stream until the engine ends.
    pub(crate) fn begin_pulse(&self, events: broadcast::Receiver<Arc<Event>>, seen: u64) {
        self.0.hub.told_events_through(seen);
        let state = self.0.ledger.subscribe();
        let tasks = &self.0.tasks;
        let cancel = || self.0.cancel.clone();
        tasks.spawn(cancel().run_until_cancelled_owned(self.clone().tell_events(events, seen)));
        tasks.spawn(cancel().run_until_cancelled_owned(self.clone().tell_state(state, seen)));
        tasks.spawn(cancel().run_until_cancelled_owned(self.clone().tell_conversations()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_hold_everything_in_order_and_fit_into_a_frame() {
        let items: Vec<String> = (0..40).map(|i| format!("{i}").repeat(20_000)).collect();
        let parcels = parcels(items.clone());
        assert!(parcels.len() > 1);
        assert!(parcels.iter().all(|parcel| size(parcel) <= FRAME_BYTES_AIM + 1_000));
        assert_eq!(parcels.concat(), items);
        assert_eq!(super::parcels(Vec::<u8>::new()), [Vec::<u8>::new()]);
        assert_eq!(super::parcels(vec!["x".repeat(2 * FRAME_BYTES_AIM)]).len(), 1);
    }

    #[test]
    fn the_first_is_told_at_once_and_the_next_a_tenth_of_a_second_later() {
        let mut pace = Pace::default();
        let now = Instant::now();
        assert!(!pace.take(now), "nothing is owed");
        pace.owe();
        assert!(pace.take(Instant::now()));
        let told = pace.last.unwrap();
        pace.owe();
        assert_eq!(pace.due, Some(told + FRAME_EVERY));
        assert!(!pace.take(told + FRAME_EVERY - Duration::from_millis(1)));
        assert!(pace.take(told + FRAME_EVERY));
    }
}
