//! Traces out: a mission as spans, sent by OpenTelemetry where the captain says so.
//!
//! Invariant: spans hold names, states and numbers, never what was said, asked or written. Nothing
//! is sent unless an address is set; nothing that is owed is kept beyond a bounded queue, and what
//! could not be sent is counted and given up. No work ever waits for it.

mod otlp;
mod send;
mod spans;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::event::{Event, Fact};
use model::id::{AttemptId, MissionId};
use model::refusal::Refusal;
use tokio::sync::mpsc;

use crate::Engine;
use spans::Span;

/// Parts of missions that wait to be sent; what comes then is given up and counted.
const OWED_MAX: usize = 256;
/// How often the same is sent before it is given up.
const TRIES_MAX: u32 = 4;
/// How long is waited before the first retry; then twice as long each time.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A part of a mission that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Attempt(AttemptId),
    Mission(MissionId),
}

/// What became of the parts of missions that were to be sent, since the engine was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Parts that were taken.
    pub sent: u64,
    /// Parts given up because nobody took them.
    pub failed: u64,
    /// Parts given up because too many waited.
    pub dropped: u64,
}

/// What is to be sent, and where to.
#[derive(Debug)]
pub(crate) struct Traces {
    to: Mutex<Option<String>>,
    owe: mpsc::Sender<Owed>,
    owed: Mutex<Option<mpsc::Receiver<Owed>>>,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Traces {
    /// Begins with the address that is set.
    pub(crate) fn new(to: Option<String>) -> Self {
        let (owe, owed) = mpsc::channel(OWED_MAX);
        Self {
            to: Mutex::new(to),
            owe,
            owed: Mutex::new(Some(owed)),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn to(&self) -> Option<String> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of what was recorded; it never waits.
    pub(crate) fn note(&self, event: &Event) {
        let owed = match &event.fact {
            Fact::SettingsChanged { settings } => {
                let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
                to.clone_from(&settings.traces_to);
                return;
            }
            Fact::AttemptEnded { attempt_id, .. } => Owed::Attempt(*attempt_id),
            Fact::MissionMoved { mission_id, to, .. } if to.is_final() => {
                Owed::Mission(*mission_id)
            }
            _ => return,
        };
        if self.to().is_some() && self.owe.try_send(owed).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of what was to be sent.
    pub(crate) fn counts(&self) -> TraceCounts {
        TraceCounts {
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Engine {
    /// Sends the parts of missions that are over, one after the other, until the engine ends.
    pub(crate) async fn tend_the_traces(self) {
        let owed = {
            let mut owed = self.0.traces.owed.lock().unwrap_or_else(PoisonError::into_inner);
            owed.take()
        };
        let Some(mut owed) = owed else { return };
        let cancel = self.0.cancel.clone();
        let work = async {
            while let Some(part) = owed.recv().await {
                self.send_part(part).await;
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    async fn send_part(&self, part: Owed) {
        let traces = &self.0.traces;
        let sent = match self.spans_of(part).await {
            Ok(spans) if spans.is_empty() => return,
            Ok(spans) => {
                let body = otlp::encode(&spans, self.0.version, self.epoch());
                self.deliver(body).await
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "a part of a mission could not be read for its trace");
                false
            }
        };
        let count = if sent { &traces.sent } else { &traces.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a body; whether it was taken. The address may change in between.
    async fn deliver(&self, body: Vec<u8>) -> bool {
        let body = hyper::body::Bytes::from(body);
        let mut wait = RETRY_AFTER;
        for tried in 1..=TRIES_MAX {
            let Some(to) = self.0.traces.to() else { return false };
            match send::post(&to, body.clone()).await {
                Ok(()) => return true,
                Err(error) => {
                    let again = error.may_pass() && tried < TRIES_MAX;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        tried,
                        again,
                        "spans could not be sent"
                    );
                    if !again {
                        return false;
                    }
                }
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        false
    }

    async fn spans_of(&self, part: Owed) -> Result<Vec<Span>, Refusal> {
        match part {
            Owed::Attempt(id) => self.spans_of_attempt(id).await,
            Owed::Mission(id) => Ok(self.span_of_mission(id).await?.into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::attempt::AttemptState;
    use model::event::{Actor, Subject};
    use model::id::{EventId, SystemDraw};

    use super::*;

    fn ended() -> Event {
        let (now, draw) = (model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let attempt_id = AttemptId::draw(now, draw);
        Event {
            seq: 1,
            id: EventId::draw(now, draw),
            at: now,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            mission_seq: None,
            fact: Fact::AttemptEnded { attempt_id, state: AttemptState::Accepted, note: None },
        }
    }

    #[test]
    fn nothing_is_owed_where_no_address_is_set_and_never_more_than_the_queue_holds() {
        let traces = Traces::new(None);
        traces.note(&ended());
        assert_eq!(traces.owe.capacity(), OWED_MAX);
        let settings = model::settings::Settings {
            traces_to: Some("http://localhost:1".to_owned()),
            ..Default::default()
        };
        traces.note(&Event { fact: Fact::SettingsChanged { settings }, ..ended() });
        for _ in 0..OWED_MAX + 3 {
            traces.note(&ended());
        }
        assert_eq!(traces.counts(), TraceCounts { dropped: 3, ..TraceCounts::default() });
    }
}
