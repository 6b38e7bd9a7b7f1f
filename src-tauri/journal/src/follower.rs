//! Follows the ledger and writes one devlog for every attempt when it ends or first goes to review,
//! and a short one when that review is over or its work is merged later; each exactly once.
//!
//! The devlog and the follower's position are one change, and the devlog's number is derived from
//! the attempt's: neither a crash nor a repeated commit writes two.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::clock::SharedClock;
use model::devlog::Devlog;
use model::event::{Actor, Event, Fact, NewEvent, Subject};
use model::id::{EventId, SystemDraw};
use store::telemetry::Telemetry;
use store::{Change, CommitError, Ledger};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::GatherError;
use crate::closing::{self, closing_id};
use crate::devlog;
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
            if is_told(&event.fact) {
                match self.tell(event).await {
                    // Trying again would hold up every later devlog for ever.
                    Err(failure) if failure.is_damage() => {
                        error!(error = %failure, seq = event.seq, "an attempt cannot be read; it gets no devlog");
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

    /// Writes the devlog of an event, unless it is there already or its mission is gone.
    async fn tell(&self, event: &Event) -> Result<(), FollowError> {
        let now = self.clock.now();
        let Some(devlog) = self.devlog(event, now).await? else {
            debug!(seq = event.seq, "nothing is written about it");
            return self.commit(None, event.seq).await;
        };
        let known = self.ledger.devlog(devlog.id).await;
        if known.map_err(FollowError::Events)?.is_some() {
            return self.commit(None, event.seq).await;
        }
        let entry = NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor: Actor::Engine,
            correlation_id: event.correlation_id,
            subject: Subject {
                mission_id: Some(devlog.mission_id),
                attempt_id: devlog.attempt_id,
                agent_id: devlog.agent_id,
            },
            fact: Fact::DevlogWritten { devlog },
        };
        self.commit(Some(entry), event.seq).await
    }

    /// What there is to tell about an event.
    async fn devlog(&self, event: &Event, now: Timestamp) -> Result<Option<Devlog>, FollowError> {
        let attempt = match &event.fact {
            Fact::AttemptEnded { attempt_id, .. } | Fact::AttemptReviewing { attempt_id } => {
                self.ledger.attempt(*attempt_id).await.map_err(FollowError::Events)?
            }
            Fact::WorkMerged { mission_id, merge } => {
                let attempts = self.ledger.attempts_of(*mission_id).await;
                let attempts = attempts.map_err(FollowError::Events)?;
                attempts.into_iter().find(|attempt| attempt.n == merge.attempt)
            }
            _ => None,
        };
        let Some(attempt) = attempt else {
            return Ok(None);
        };
        let mission = self.ledger.mission(attempt.mission_id).await;
        let Some((mission, _)) = mission.map_err(FollowError::Events)? else {
            return Ok(None);
        };
        let facts = AttemptFacts::read(&self.ledger, &self.telemetry, attempt, now)
            .await
            .map_err(FollowError::Gather)?;
        let id = closing_id(facts.attempt.id, event.at);
        Ok(match &event.fact {
            Fact::WorkMerged { merge, .. } => facts
                .attempt
                .ended_at
                // Until its end is told, that tells of the merge as well.
                .is_some_and(|ended| ended < event.at)
                .then(|| closing::merged(&mission, &facts, merge, id)),
            Fact::AttemptEnded { .. } if facts.reviewed_at.is_some() => {
                Some(closing::reviewed(&mission, &facts, id))
            }
            _ => Some(devlog::write(&mission, &facts, now)),
        })
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

/// Whether there may be something to tell about a fact.
const fn is_told(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::AttemptEnded { .. } | Fact::AttemptReviewing { .. } | Fact::WorkMerged { .. }
    )
}

async fn pause(failure: &(dyn std::error::Error + Send + Sync), wait: &mut Duration) {
    let cause = failure.source().map(ToString::to_string);
    warn!(error = %failure, cause, wait_ms = wait.as_millis(), "the journal could not go on and tries again");
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(RETRY_MAX);
}
