//! Health of the agents: what is asked about each of them, from its state and its heartbeats.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use model::id::AgentId;
use monitor::health::{
    CheckSettings, Excuse, Finding, Looking, Moment, Phi, Silence, Spec, Untold, Vitals,
};

use super::memory::{Known, Watched, phi_settings};
use crate::Engine;
use crate::view::AgentView;

/// What the ids of agents' checks begin with.
pub(super) const PREFIX: &str = "agent.";
/// A heartbeat that is so new is that of an agent which waits with an open request.
const WAITS_MS: i128 = 50;

pub(super) fn key_of(id: AgentId) -> String {
    format!("{PREFIX}{id}")
}

pub(super) fn agent_of(key: &str) -> Option<AgentId> {
    key.strip_prefix(PREFIX)?.parse().ok()
}

/// How an agent is judged: its state is certain by itself, and counts at once.
pub(super) fn spec(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        settings: CheckSettings {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            failures: 1,
            successes: 1,
            start_within: None,
        },
        needs: Vec::new(),
        paused: false,
        looking: Looking::Watched,
        own: false,
    }
}

/// What is known of an agent at one moment.
pub(super) struct Look {
    view: AgentView,
    /// When it was heard of last, and after how much silence it is lost, where it runs elsewhere.
    heard: Option<(Option<Timestamp>, u32)>,
}

impl Engine {
    /// What is known of the agents now.
    pub(super) fn looks_at(&self, views: Vec<AgentView>) -> Vec<Look> {
        let attached = self.0.orchestrator.attached();
        let look = |view: AgentView| {
            let lost_after = view.agent.runtime.lost_after_s();
            let heard = lost_after.map(|lost| (attached.last(view.agent.id).0, lost));
            Look { view, heard }
        };
        views.into_iter().map(look).collect()
    }
}

impl Watched {
    /// Takes what was heard, and says what its silence says.
    fn listen(&mut self, look: &Look, count: Duration, wall: Timestamp) -> Option<Silence> {
        let (last, lost_after_s) = look.heard?;
        let last = last?;
        let settings = phi_settings(lost_after_s);
        let (phi, before) = self.beats.get_or_insert_with(|| (Phi::new(settings), None));
        let ago = wall.duration_since(last);
        if *before != Some(last) {
            // One that waits is there all the time, and says nothing about how often it reports.
            if before.is_some() && ago.as_millis() < WAITS_MS {
                phi.reset(count);
            } else {
                phi.beat(count);
            }
            *before = Some(last);
        }
        let seconds = u64::try_from(ago.as_secs()).unwrap_or(0);
        Some(Silence { phi: phi.suspicion(count), phi_max: settings.threshold, seconds })
    }
}

impl Known {
    /// Takes what is known of all agents. Where too many fall ill in the same second, nobody is blamed
    /// for a while, and it is said why.
    pub(super) fn take_agents(
        &mut self,
        looks: Vec<Look>,
        now: Moment,
        count: Duration,
    ) -> Option<Excuse> {
        let there: BTreeSet<AgentId> = looks.iter().map(|look| look.view.agent.id).collect();
        let gone: Vec<AgentId> =
            self.agents.keys().filter(|id| !there.contains(id)).copied().collect();
        for id in gone {
            self.agents.remove(&id);
            self.board.remove(&key_of(id));
        }
        let watched = looks.len();
        let mut found = Vec::with_capacity(looks.len());
        let mut excuse = None;
        for look in looks {
            let agent = &look.view.agent;
            let entry = self.agents.entry(agent.id).or_insert_with(|| Watched {
                name: String::new(),
                vitals: Vitals::of(&look.view.status, false, None, now.wall),
                failed: false,
                beats: None,
            });
            let silence = entry.listen(&look, count, now.wall);
            let at_work = look.view.current.is_some();
            entry.vitals = Vitals::of(&look.view.status, at_work, silence, now.wall);
            let finding = entry.vitals.finding();
            let failed = matches!(finding, Ok(Finding::Bad(_)));
            if failed && !entry.failed {
                excuse = excuse.or(self.passage.suspect(count, watched));
            }
            entry.failed = failed;
            let key = key_of(agent.id);
            if entry.name != agent.name {
                entry.name.clone_from(&agent.name);
                self.board.put(&key, spec(&agent.name), false, now);
            }
            found.push((key, finding));
        }
        if excuse.is_none() {
            for (key, finding) in found {
                match finding {
                    Ok(finding) => self.board.look(&key, finding, None, now),
                    Err(Untold(why)) => self.board.withdraw(&key, &why, now),
                }
            }
        }
        excuse
    }

    /// Nobody is blamed for what was not heard while the machine slept.
    pub(super) fn forgive_silence(&mut self, count: Duration) {
        for agent in self.agents.values_mut() {
            if let Some((phi, _)) = &mut agent.beats {
                phi.reset(count);
            }
        }
    }
}
