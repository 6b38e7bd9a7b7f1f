//! Everything that is recorded, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use model::event::{Event, Fact};
use model::inbox::Ask;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};

use super::order::InOrder;
use super::{Pace, never, size};
use crate::Engine;
use crate::live::FRAME_BYTES_AIM;

/// The longest text inside an event on the live stream, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Events of one frame.
const EVENTS_MAX: usize = 1_000;
/// Events that wait for their frame; what comes then waits in the ledger.
const WAITING_MAX: usize = 4_000;

struct Telling {
    engine: Engine,
    order: InOrder,
    /// Events that are to be told, with their size.
    waiting: VecDeque<(Event, usize)>,
    pace: Pace,
}

impl Engine {
    pub(super) async fn tell_events(self, mut events: broadcast::Receiver<Arc<Event>>, seen: u64) {
        let mut telling = Telling {
            engine: self,
            order: InOrder::after(seen),
            waiting: VecDeque::new(),
            pace: Pace::default(),
        };
        loop {
            let due = telling.pace.due.unwrap_or_else(never);
            let missing = telling.order.due().unwrap_or_else(never);
            let room = telling.waiting.len() < WAITING_MAX;
            tokio::select! {
                biased;
                event = events.recv(), if room => match event {
                    Ok(event) if telling.order.is_next(&event) => telling.take(&event),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => telling.order.missed(),
                    Err(RecvError::Closed) => return,
                },
                () = sleep_until(missing), if room => telling.catch_up().await,
                () = sleep_until(due) => telling.tell(),
            }
        }
    }
}

impl Telling {
    async fn catch_up(&mut self) {
        for event in self.order.read(&self.engine.0.ledger).await {
            self.take(&event);
        }
    }

    fn take(&mut self, event: &Event) {
        let parts = &self.engine.0;
        parts.losses.note(event);
        parts.traces.note(event);
        match &event.fact {
            Fact::AgentAdded { agent } => self.engine.make_place(agent.id),
            Fact::MessageQueued { .. }
            | Fact::MessageRetried { .. }
            | Fact::RequestEnded { .. }
            | Fact::AttemptStarted { .. }
            | Fact::AttemptAdopted { .. } => parts.courier.wake(),
            _ => {}
        }
        let event = trimmed(event.clone());
        let size = size(&event);
        self.waiting.push_back((event, size));
        self.pace.owe();
    }

    fn tell(&mut self) {
        self.pace.take(Instant::now());
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some((event, size)) = self.waiting.pop_front() {
            if !events.is_empty() && (bytes + size > FRAME_BYTES_AIM || events.len() == EVENTS_MAX)
            {
                self.waiting.push_front((event, size));
                break;
            }
            bytes += size;
            events.push(event);
        }
        if let Some(last) = events.last() {
            let through = last.seq;
            let correlation_id = last.correlation_id.map(|id| id.to_string());
            self.engine.0.hub.publish_events(through, correlation_id, events);
        }
        if !self.waiting.is_empty() {
            self.pace.owe();
        }
    }
}

/// Cuts the long texts of an event; the whole is in the ledger.
pub(super) fn trimmed(event: Event) -> Event {
    let mut event = event.told();
    match &mut event.fact {
        Fact::MissionCreated { brief, .. } | Fact::MissionChanged { brief: Some(brief), .. } => {
            cut(brief);
        }
        Fact::HandoffWritten { handoff: Some(handoff), .. } => cut(&mut handoff.text),
        Fact::GateFinished { result, .. } => cut(&mut result.output),
        Fact::DevlogWritten { devlog } => cut(&mut devlog.markdown),
        Fact::MessageQueued { message } => cut(&mut message.text),
        Fact::RequestAsked { request } => cut_ask(&mut request.ask),
        _ => {}
    }
    event
}

/// What an agent asks is shown from the inbox; here it is only what it is about.
fn cut_ask(ask: &mut Ask) {
    match ask {
        Ask::Permission { permission } => {
            permission.changes.clear();
            let texts = [&mut permission.command, &mut permission.input, &mut permission.why];
            texts.into_iter().flatten().for_each(cut);
        }
        Ask::Question { text, .. } => cut(text),
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
}
