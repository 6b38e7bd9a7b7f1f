//! What goes out on the live stream: every event, and the swarm whenever it changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::event::{Event, Fact};
use model::id::AgentId;
use model::inbox::Ask;
use model::mission::MissionState;
use model::refusal::Refusal;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};

use crate::Engine;
use crate::live::Payload;
use crate::resolve::unreadable;
use crate::view::{AgentView, EngineUsage, MachineView, Overview};

/// The shortest time between two frames about the swarm.
const SWARM_EVERY: Duration = Duration::from_millis(100);
/// The longest text inside an event on the live stream, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Events read at once to catch up after falling behind.
const CATCH_UP: u32 = 500;

impl Engine {
    /// The whole swarm at a glance.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn overview(&self) -> Result<Overview, Refusal> {
        let agents = self.roster_views().await?;
        self.overview_of(&agents).await
    }

    async fn overview_of(&self, views: &[AgentView]) -> Result<Overview, Refusal> {
        let parts = &self.0;
        let counts = parts.ledger.counts().await.map_err(unreadable)?;
        let snapshot = parts.snapshots.borrow().clone();
        let mut agents = BTreeMap::new();
        for view in views {
            *agents.entry(view.status.state).or_insert(0) += 1;
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
            demo: views.iter().any(|view| view.agent.demo),
            events: counts.events,
            swarm: self.swarm_view(views).await?,
            exposed: self.exposed(),
            missions: counts.missions.into_iter().filter(|(_, n)| *n > 0).collect(),
        })
    }

    /// Forwards events and swarm frames until the engine ends.
    pub(crate) async fn pulse(self, events: broadcast::Receiver<Arc<Event>>, seen: u64) {
        let mut pulse = Pulse { sent: HashMap::new(), seen, due: None, engine: self };
        let cancel = pulse.engine.0.cancel.clone();
        tokio::select! {
            () = cancel.cancelled() => {}
            () = pulse.run(events) => {}
        }
    }
}

struct Pulse {
    engine: Engine,
    /// The agents as the listeners know them.
    sent: HashMap<AgentId, AgentView>,
    /// The last event that was forwarded.
    seen: u64,
    /// When the next swarm frame goes out, if one is owed.
    due: Option<Instant>,
}

impl Pulse {
    async fn run(&mut self, mut events: broadcast::Receiver<Arc<Event>>) {
        let mut ticks = self.engine.0.snapshots.clone();
        let mut last = Instant::now();
        loop {
            let due = self.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => self.forward(&event),
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return,
                },
                () = sleep_until(due), if self.due.is_some() => {
                    last = Instant::now();
                    self.due = None;
                    self.swarm().await;
                    continue;
                }
                tick = ticks.changed() => if tick.is_err() { return },
            }
            self.due.get_or_insert(last + SWARM_EVERY);
        }
    }

    async fn catch_up(&mut self) {
        while let Ok(missed) = self.engine.0.ledger.events_after(self.seen, CATCH_UP).await
            && !missed.is_empty()
        {
            for event in &missed {
                self.forward(event);
            }
        }
    }

    fn forward(&mut self, event: &Event) {
        if event.seq <= self.seen {
            return;
        }
        self.seen = event.seq;
        let parts = &self.engine.0;
        parts.losses.note(event);
        match (&event.fact, event.subject.agent_id) {
            (Fact::AttemptEnded { attempt_id, .. }, Some(agent)) => {
                parts.roster.freed(agent, *attempt_id, event.at);
            }
            (Fact::AgentRemoved { agent_id }, _) => {
                parts.roster.removed(*agent_id);
                self.sent.remove(agent_id);
            }
            (Fact::AgentAdded { agent }, _) => self.engine.make_place(agent.id),
            (
                Fact::MessageQueued { .. }
                | Fact::MessageRetried { .. }
                | Fact::RequestEnded { .. }
                | Fact::AttemptStarted { .. }
                | Fact::AttemptAdopted { .. },
                _,
            ) => parts.courier.wake(),
            _ => {}
        }
        parts.hub.publish(Payload::Event { event: trimmed(event.clone()) });
    }

    /// Sends what differs from the frame before; everything when nobody listened until now.
    async fn swarm(&mut self) {
        if self.engine.0.hub.listeners() == 0 {
            self.sent.clear();
            return;
        }
        let Ok(views) = self.engine.roster_views().await else {
            return;
        };
        let Ok(overview) = self.engine.overview_of(&views).await else {
            return;
        };
        let mut changed = Vec::new();
        for view in views {
            if self.sent.get(&view.agent.id) != Some(&view) {
                self.sent.insert(view.agent.id, view.clone());
                changed.push(view);
            }
        }
        self.engine.0.hub.publish(Payload::Swarm { overview, agents: changed });
    }
}

/// Cuts the long texts of an event; the whole is in the ledger.
fn trimmed(mut event: Event) -> Event {
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
