//! Follows the ledger and writes one devlog for every attempt that is over, exactly once.
//!
//! The devlog and the follower's position are one change, and the devlog's number is derived from
//! the attempt's: neither a crash nor a repeated commit writes two.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::clock::SharedClock;
use model::event::{Actor, Event, Fact, NewEvent, Subject};
use model::id::{AttemptId, EventId, SystemDraw};
use store::telemetry::Telemetry;
use store::{Change, CommitError, Ledger};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::GatherError;
use crate::devlog::{self, devlog_id};
use crate::facts::AttemptFacts;

/// The name of the follower's position in the ledger.
pub const CURSOR: &str = "journal";
/// Events read at once.
const BATCH: u32 = 200;
/// Events without a devlog after which the position is stored all the same.
const IDLE_EVENTS_MAX: u64 = 2_000;
/// Quiet time after which it is stored too: who waits for the journal looks at its position.
const IDLE: Duration = Duration::from_millis(300);
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The follower; it stops with its cancellation.
#[derive(Debug)]
pub struct Journal(());

impl Journal {
    /// Follows the ledger in a task of `tasks` until `cancel`.
    pub fn start(
        ledger: Ledger,
        telemetry: Telemetry,
        clock: SharedClock,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let events = ledger.subscribe();
        let follower = Follower { ledger, telemetry, clock, at: 0, stored: 0 };
        tasks.spawn(follower.run(events, cancel));
        Self(())
    }
}

/// Why the follower could not go on for now.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("read the facts of an attempt")]
    Gather(#[source] GatherError),
    #[error("read events")]
    Events(#[source] store::ReadError),
    #[error("write a devlog")]
    Commit(#[source] CommitError),
}

impl FollowError {
    /// Whether what is stored makes no sense, so that reading it again gives the same.
    const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Events(store::ReadError::Unreadable { .. })
                | Self::Gather(GatherError::Ledger(store::ReadError::Unreadable { .. }))
        )
    }
}

struct Follower {
    ledger: Ledger,
    telemetry: Telemetry,
    clock: SharedClock,
    /// The last event that was looked at.
    at: u64,
    /// The position in the ledger.
    stored: u64,
}

impl Follower {
    async fn run(mut self, mut events: broadcast::Receiver<Arc<Event>>, cancel: CancellationToken) {
        let work = async {
            self.begin().await;
            loop {
                self.catch_up().await;
                // What is read is the ledger; the stream only says that there is something.
                let received = match tokio::time::timeout(IDLE, events.recv()).await {
                    Ok(received) => received,
                    Err(_quiet) => {
                        self.settle().await;
                        events.recv().await
                    }
                };
                match received {
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = work => {}
        }
    }

    async fn begin(&mut self) {
        let mut wait = RETRY_FIRST;
        loop {
            match self.ledger.cursor(CURSOR).await {
                Ok(position) => {
                    self.at = position;
                    self.stored = position;
                    return;
                }
                Err(failure) => pause(&failure, &mut wait).await,
            }
        }
    }

    /// Reads to the head of the ledger, however often it takes.
    async fn catch_up(&mut self) {
        let mut wait = RETRY_FIRST;
        loop {
            match self.step().await {
                Ok(true) => wait = RETRY_FIRST,
                Ok(false) => return,
                Err(FollowError::Commit(CommitError::Closed)) => return,
                Err(failure) => pause(&failure, &mut wait).await,
            }
        }
    }

    /// Stores the position when it has moved; when that fails, the events are read once more.
    async fn settle(&mut self) {
        if self.at == self.stored {
            return;
        }
        match self.commit(None, self.at).await {
            Ok(()) => self.stored = self.at,
            Err(failure) => debug!(error = %failure, "the journal's position is stored later"),
        }
    }

    /// Reads one batch; tells whether there may be more.
    async fn step(&mut self) -> Result<bool, FollowError> {
        let batch = self.ledger.events_after(self.at, BATCH).await.map_err(FollowError::Events)?;
        let Some(last) = batch.last().map(|event| event.seq) else {
            return Ok(false);
        };
        for event in &batch {
            if let Fact::AttemptEnded { attempt_id, .. } = &event.fact {
                match self.tell(*attempt_id, event).await {
                    // Trying again would hold up every later devlog for ever.
                    Err(failure) if failure.is_damage() => {
                        error!(error = %failure, attempt = %attempt_id, "an attempt cannot be read; it gets no devlog");
                        self.commit(None, event.seq).await?;
                    }
                    told => told?,
                }
                self.stored = event.seq;
            }
            self.at = event.seq;
        }
        if last - self.stored >= IDLE_EVENTS_MAX {
            self.commit(None, last).await?;
            self.stored = last;
        }
        Ok(true)
    }

    /// Writes the devlog of an attempt, unless it is there already or its mission is gone.
    async fn tell(&self, attempt_id: AttemptId, event: &Event) -> Result<(), FollowError> {
        let known = self.ledger.devlog(devlog_id(attempt_id)).await;
        if known.map_err(FollowError::Events)?.is_some() {
            return self.commit(None, event.seq).await;
        }
        let now = self.clock.now();
        match self.devlog(attempt_id, event, now).await? {
            Some(entry) => self.commit(Some(entry), event.seq).await,
            None => {
                debug!(attempt = %attempt_id, "its mission was removed; no devlog is written");
                self.commit(None, event.seq).await
            }
        }
    }

    async fn devlog(
        &self,
        attempt_id: AttemptId,
        event: &Event,
        now: Timestamp,
    ) -> Result<Option<NewEvent>, FollowError> {
        let attempt = self.ledger.attempt(attempt_id).await;
        let Some(attempt) = attempt.map_err(FollowError::Events)? else {
            return Ok(None);
        };
        let mission = self.ledger.mission(attempt.mission_id).await;
        let Some((mission, _)) = mission.map_err(FollowError::Events)? else {
            return Ok(None);
        };
        let subject = Subject {
            mission_id: Some(mission.id),
            attempt_id: Some(attempt_id),
            agent_id: Some(attempt.agent_id),
        };
        let facts = AttemptFacts::read(&self.ledger, &self.telemetry, attempt, now)
            .await
            .map_err(FollowError::Gather)?;
        Ok(Some(NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor: Actor::Engine,
            correlation_id: event.correlation_id,
            subject,
            fact: Fact::DevlogWritten { devlog: devlog::write(&mission, &facts, now) },
        }))
    }

    async fn commit(&self, event: Option<NewEvent>, position: u64) -> Result<(), FollowError> {
        let change = Change {
            events: event.into_iter().collect(),
            cursor: Some((CURSOR.to_owned(), position)),
            ..Change::default()
        };
        match self.ledger.commit(change).await {
            Ok(_) => Ok(()),
            // The same change, sent again after an unclear answer.
            Err(CommitError::Conflict { what: "cursor", .. }) => {
                debug!(position, "the journal's position was stored before");
                Ok(())
            }
            Err(CommitError::Conflict { what, reason }) => {
                error!(what, reason, position, "a devlog did not fit the ledger and was left out");
                Ok(())
            }
            Err(failure) => Err(FollowError::Commit(failure)),
        }
    }
}

async fn pause(failure: &(dyn std::error::Error + Send + Sync), wait: &mut Duration) {
    let cause = failure.source().map(ToString::to_string);
    warn!(error = %failure, cause, wait_ms = wait.as_millis(), "the journal could not go on and tries again");
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(RETRY_MAX);
}
