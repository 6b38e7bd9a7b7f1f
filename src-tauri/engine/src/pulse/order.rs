//! Every event once and in its order, whatever is lost on the way here and however often the ledger
//! cannot be read.

use std::time::Duration;

use model::event::Event;
use store::ledger::{Ledger, ReadError};
use tokio::time::Instant;

/// Events read at once to catch up after falling behind.
const CATCH_UP: u32 = 500;
/// When the ledger is read again after it could not be, the first time; then twice as long each time.
const AGAIN: Duration = Duration::from_millis(100);
/// The longest time between two tries.
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// Where events are read that were missed.
pub(super) trait Events: Sync {
    /// The events after a place, at most so many, oldest first.
    fn after(
        &self,
        seq: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Event>, ReadError>> + Send;
}

impl Events for Ledger {
    async fn after(&self, seq: u64, limit: u32) -> Result<Vec<Event>, ReadError> {
        self.events_after(seq, limit).await
    }
}

/// Where somebody is in the order of events.
#[derive(Debug)]
pub(super) struct InOrder {
    /// The last event that was taken.
    seen: u64,
    /// When what is missing is read; nothing while nothing is.
    due: Option<Instant>,
    /// How often it could not be read, one after the other.
    failed: u32,
}

impl InOrder {
    /// Begins after an event. What was recorded since, without having been announced here, is read
    /// first.
    pub(super) fn after(seen: u64) -> Self {
        Self { seen, due: Some(Instant::now()), failed: 0 }
    }

    /// Whether an announced event is the next one; if so, it counts as taken. One that is further on
    /// is read later, with those before it.
    pub(super) fn is_next(&mut self, event: &Event) -> bool {
        if event.seq <= self.seen {
            return false;
        }
        if self.due.is_none() && event.seq == self.seen + 1 {
            self.seen = event.seq;
            return true;
        }
        self.missed();
        false
    }

    /// Notes that announcements were lost.
    pub(super) fn missed(&mut self) {
        self.due.get_or_insert_with(Instant::now);
    }

    /// When to read what is missing.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Reads some of what is missing; those count as taken. Where it cannot be read it stays due.
    pub(super) async fn read(&mut self, from: &impl Events) -> Vec<Event> {
        match from.after(self.seen, CATCH_UP).await {
            Ok(events) => {
                self.failed = 0;
                self.due = events.last().map(|last| {
                    self.seen = last.seq;
                    Instant::now()
                });
                events
            }
            Err(error) => {
                let wait = AGAIN.saturating_mul(1 << self.failed.min(8)).min(AGAIN_MAX);
                self.failed += 1;
                self.due = Some(Instant::now() + wait);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    after = self.seen,
                    "events could not be read for those who listen; they are read again"
                );
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::event::{Actor, Fact, Subject};
    use model::id::{EventId, SystemDraw};
    use proptest::prelude::*;

    use super::*;

    fn event(seq: u64) -> Event {
        Event {
            seq,
            id: EventId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw),
            at: model::Timestamp::UNIX_EPOCH,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            mission_seq: None,
            fact: Fact::EngineStopped,
        }
    }

    /// A ledger with so many events, the reads of which fail where the list says so.
    struct Kept {
        events: Mutex<u64>,
        fails: Mutex<Vec<bool>>,
    }

    impl Events for Kept {
        async fn after(&self, seq: u64, limit: u32) -> Result<Vec<Event>, ReadError> {
            if self.fails.lock().unwrap().pop() == Some(true) {
                return Err(ReadError::Deadline { operation: "read events", seconds: 1.0 });
            }
            let last = *self.events.lock().unwrap();
            Ok((seq + 1..=last).take(limit as usize).map(event).collect())
        }
    }

    #[tokio::test]
    async fn events_that_could_not_be_read_once_are_not_lost() {
        let kept = Kept { events: Mutex::new(3), fails: Mutex::new(vec![true]) };
        let mut order = InOrder::after(0);
        assert!(order.read(&kept).await.is_empty(), "the read failed");
        // What comes next must not pass what is missing.
        *kept.events.lock().unwrap() = 4;
        assert!(!order.is_next(&event(4)));
        let due = order.due().unwrap();
        assert!(due > Instant::now(), "not at once again");
        tokio::time::sleep_until(due).await;
        let read: Vec<u64> = order.read(&kept).await.iter().map(|event| event.seq).collect();
        assert_eq!(read, [1, 2, 3, 4]);
        assert!(order.read(&kept).await.is_empty() && order.due().is_none());
        assert!(order.is_next(&event(5)), "it goes on with what is announced");
    }

    proptest! {
        #[test]
        fn whatever_is_lost_or_fails_each_event_is_taken_once_and_in_order(
            steps in proptest::collection::vec((0..4u8, any::<bool>()), 1..80)
        ) {
            let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            clock.block_on(async {
                let kept = Kept { events: Mutex::new(0), fails: Mutex::default() };
                let (mut order, mut taken) = (InOrder::after(0), Vec::new());
                for (step, lost) in steps {
                    match step {
                        0 | 1 => {
                            let seq = { let mut n = kept.events.lock().unwrap(); *n += 1; *n };
                            if lost && step == 0 {
                                order.missed();
                            }
                            if !lost && order.is_next(&event(seq)) {
                                taken.push(seq);
                            }
                        }
                        _ => {
                            kept.fails.lock().unwrap().push(lost);
                            if order.due().is_some() {
                                taken.extend(order.read(&kept).await.iter().map(|it| it.seq));
                            }
                        }
                    }
                }
                kept.fails.lock().unwrap().clear();
                order.missed();
                while order.due().is_some() {
                    taken.extend(order.read(&kept).await.iter().map(|event| event.seq));
                }
                let all: Vec<u64> = (1..=*kept.events.lock().unwrap()).collect();
                prop_assert_eq!(taken, all);
                Ok(())
            })?;
        }
    }
}
