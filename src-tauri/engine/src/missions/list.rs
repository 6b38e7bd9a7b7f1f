//! Missions as they are shown: their facts with what is derived from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::id::{AgentId, MissionId};
use model::mission::{Mission, MissionState};
use model::refusal::Refusal;
use model::transition::allowed;
use orchestrator::Held;
use orchestrator::judge;
use orchestrator::schedule::{self, Around};
use orchestrator::state::State;
use store::ledger::{MissionFilter, PAGE_ROWS_DEFAULT};

use super::names;
use crate::Engine;
use crate::evidence::evidence;
use crate::resolve::{self, unreadable};
use crate::view::{AttemptView, Link, Listing, MissionDetail, MissionView};

/// How long is waited for what missions in review wait for by now.
const LOOK_MAX: std::time::Duration = std::time::Duration::from_millis(250);

/// Which missions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissionQuery {
    /// Only those in one of these states; empty means all.
    pub states: Vec<MissionState>,
    /// Only those of this agent, by id or name.
    pub agent: Option<String>,
    /// Only those with this label.
    pub label: Option<String>,
    /// Only those that work on this repository, by its root.
    pub repository: Option<String>,
    /// Only those under the policy of this name.
    pub policy: Option<String>,
    /// Only those whose title or id holds this text.
    pub text: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

/// What the state of missions is derived from, read once for a whole list.
pub(crate) struct Surroundings {
    agents: Arc<Vec<Agent>>,
    names: HashMap<AgentId, String>,
    /// The agent of the attempt that is not over, by mission.
    at_work: HashMap<MissionId, AgentId>,
    busy: BTreeSet<AgentId>,
    held: Held,
    absent: Arc<BTreeSet<AgentId>>,
    under_way: usize,
    running_max: u32,
    halted: bool,
    memory_free_percent: Option<u8>,
    memory_free_min_percent: u8,
    dependencies: BTreeMap<MissionId, (String, MissionState)>,
    /// What missions in review wait for, with the answers there are by now.
    standing: HashMap<MissionId, String>,
    now: jiff::Timestamp,
}

impl Surroundings {
    pub(crate) fn around(&self) -> Around<'_> {
        Around {
            agents: &self.agents,
            busy: &self.busy,
            held: &self.held,
            absent: &self.absent,
            under_way: self.under_way,
            running_max: self.running_max,
            halted: self.halted,
            memory_free_percent: self.memory_free_percent,
            memory_free_min_percent: self.memory_free_min_percent,
            dependencies: &self.dependencies,
            now: self.now,
        }
    }

    fn view(&self, mission: Mission) -> MissionView {
        let agent = self.at_work.get(&mission.id).copied().or(mission.agent);
        let waiting = schedule::waiting(&mission, &self.around());
        let note = self.standing.get(&mission.id).or(mission.note.as_ref());
        let reason = match (&waiting, note) {
            (Some(waiting), Some(note)) => Some(format!("{waiting} ({note})")),
            (Some(waiting), None) => Some(waiting.to_string()),
            (None, note) => note.cloned(),
        };
        MissionView {
            agent_name: agent.and_then(|id| self.names.get(&id).cloned()),
            waiting,
            reason,
            allowed: allowed(mission.state),
            mission,
        }
    }
}

impl Engine {
    /// Lists missions, newest first.
    ///
    /// # Errors
    /// When the filter names an unknown agent or cursor, or the ledger cannot be read.
    pub async fn missions(&self, query: MissionQuery) -> Result<Listing<MissionView>, Refusal> {
        let ledger = &self.0.ledger;
        let agent = match &query.agent {
            Some(text) => Some(resolve::agent(ledger, text).await?.id),
            None => None,
        };
        let filter = MissionFilter {
            states: query.states,
            agent,
            label: query.label,
            repository: query.repository,
            policy: query.policy,
            text: query.text,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        };
        let page = ledger.missions(filter).await.map_err(unreadable)?;
        let around = self.surroundings(&page.items).await?;
        let items = page.items.into_iter().map(|mission| around.view(mission)).collect();
        Ok(Listing { items, next: page.next })
    }

    /// The missions with these ids that are on the lists, as a list shows them.
    pub(crate) async fn mission_views(
        &self,
        ids: &[MissionId],
    ) -> Result<Vec<MissionView>, Refusal> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut missions = self.0.ledger.missions_by_id(ids).await.map_err(unreadable)?;
        let states = self.0.ledger.mission_states(ids).await.map_err(unreadable)?;
        let removed: BTreeSet<MissionId> =
            states.into_iter().filter(|it| it.removed).map(|it| it.id).collect();
        missions.retain(|mission| !removed.contains(&mission.id));
        let around = self.surroundings(&missions).await?;
        Ok(missions.into_iter().map(|mission| around.view(mission)).collect())
    }

    /// Everything about one mission.
    ///
    /// # Errors
    /// When there is no such mission, or several go by that prefix.
    pub async fn mission(&self, text: &str) -> Result<MissionDetail, Refusal> {
        let (mission, brief) = resolve::mission(&self.0.ledger, text).await?;
        self.mission_detail(mission, brief).await
    }

    pub(crate) async fn mission_of(&self, id: MissionId) -> Result<MissionDetail, Refusal> {
        self.mission(&id.to_string()).await
    }

    /// Reads what these missions' states are derived from.
    pub(crate) async fn surroundings(&self, missions: &[Mission]) -> Result<Surroundings, Refusal> {
        let ledger = &self.0.ledger;
        let agents = self.known_agents().await?;
        let now = ledger.circumstances().await.map_err(unreadable)?;
        let occupied = now.holds.iter().filter(|hold| hold.occupies_agent).count();
        let mut wanted: Vec<MissionId> = missions
            .iter()
            .filter(|mission| matches!(mission.state, MissionState::Queued | MissionState::Paused))
            .flat_map(|mission| mission.depends_on.iter().copied())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let standings = match wanted.as_slice() {
            [] => Vec::new(),
            ids => ledger.mission_states(ids).await.map_err(unreadable)?,
        };
        let dependencies = standings
            .into_iter()
            .map(|it| {
                // What was taken off the lists before it was done will not be done by itself.
                let gone = it.removed && it.state != MissionState::Done;
                let state = if gone { MissionState::Cancelled } else { it.state };
                (it.id, (it.short_id.as_str().to_owned(), state))
            })
            .collect();
        Ok(Surroundings {
            standing: self.standing(missions).await?,
            names: names(&agents),
            at_work: now.holds.iter().map(|hold| (hold.mission_id, hold.agent_id)).collect(),
            held: self.0.orchestrator.held(),
            absent: self.0.orchestrator.attached().absent(agents.iter()),
            busy: now.busy(),
            under_way: occupied + now.reviewers.len(),
            running_max: now.settings.running_max.unwrap_or(self.0.running_max),
            halted: now.halted || self.0.orchestrator.is_halted(),
            memory_free_percent: *self.0.memory_free_percent.borrow(),
            memory_free_min_percent: now.settings.memory_free_min_percent,
            dependencies,
            now: self.0.clock.now(),
            agents,
        })
    }

    /// What those of the missions that are in review wait for.
    async fn standing(&self, missions: &[Mission]) -> Result<HashMap<MissionId, String>, Refusal> {
        let reviewed = missions.iter().filter(|it| it.state == MissionState::InReview);
        let ids: Vec<MissionId> = reviewed.map(|mission| mission.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let look = move |state: &State, _, _| {
            let said = ids.into_iter().filter_map(|id| Some((id, judge::standing(state, id)?)));
            said.collect()
        };
        // What is busy recording must not keep the missions from being seen: their recorded notes say
        // nearly the same.
        match tokio::time::timeout(LOOK_MAX, self.0.orchestrator.look(look)).await {
            Ok(said) => said,
            Err(_) => Ok(HashMap::new()),
        }
    }

    async fn mission_detail(
        &self,
        mission: Mission,
        brief: String,
    ) -> Result<MissionDetail, Refusal> {
        let ledger = &self.0.ledger;
        let around = self.surroundings(std::slice::from_ref(&mission)).await?;
        let mut attempts = ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.n));
        let attempts = self.attempt_views(attempts, &around.names).await?;
        let dependents = ledger.dependents_of(mission.id).await.map_err(unreadable)?;
        let actual_s = actual_s(&mission, &attempts);
        let estimate_s = mission.estimate.as_ref().map(|estimate| seconds(estimate.seconds));
        let error = estimate_s.zip(actual_s);
        let view = around.view(mission);
        Ok(MissionDetail {
            brief,
            evidence: evidence(&view.mission, &attempts),
            owner: view.agent_name.clone(),
            dependencies: self.links(&view.mission.depends_on).await?,
            dependents: self.links(&dependents).await?,
            actual_s,
            estimate_error_percent: error
                .and_then(|(estimate, actual)| insight::history::error_percent(estimate, actual)),
            checkpoints: ledger
                .checkpoints_of_mission(view.mission.id)
                .await
                .map_err(unreadable)?,
            similar: Vec::new(),
            view,
            attempts,
        })
    }

    /// The missions with these ids, in this order.
    pub(crate) async fn links(&self, ids: &[MissionId]) -> Result<Vec<Link>, Refusal> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.0.ledger.missions_by_id(ids).await.map_err(unreadable)?;
        let mut links: HashMap<MissionId, Link> =
            found.iter().map(|mission| (mission.id, link(mission))).collect();
        Ok(ids.iter().filter_map(|id| links.remove(id)).collect())
    }

    /// Adds gates, names and output sizes to attempts.
    pub(crate) async fn attempt_views(
        &self,
        attempts: Vec<Attempt>,
        names: &HashMap<AgentId, String>,
    ) -> Result<Vec<AttemptView>, Refusal> {
        let mut views = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let gates = self.0.ledger.gate_results(attempt.id).await.map_err(unreadable)?;
            let (stdout_bytes, stderr_bytes) = self.output_bytes(attempt.id);
            views.push(AttemptView {
                agent: names.get(&attempt.agent_id).cloned(),
                exit_code: attempt.exit().and_then(model::process::Exit::code),
                ended: attempt.exit().map(ToString::to_string),
                gates,
                stdout_bytes,
                stderr_bytes,
                attempt,
            });
        }
        Ok(views)
    }
}

fn link(mission: &Mission) -> Link {
    Link {
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        title: mission.title.clone(),
        state: mission.state,
    }
}

/// How long the accepted attempt took from its lease to the end of its program.
fn actual_s(mission: &Mission, attempts: &[AttemptView]) -> Option<f64> {
    if mission.state != MissionState::Done {
        return None;
    }
    let accepted = attempts.iter().map(|view| &view.attempt);
    let attempt = accepted.into_iter().find(|it| it.state == AttemptState::Accepted)?;
    let ended_at = attempt.exit.as_ref()?.ended_at;
    Some(ended_at.duration_since(attempt.leased_at).as_secs_f64().max(0.0))
}

/// Seconds as a number with a fraction.
#[expect(clippy::cast_precision_loss, reason = "a mission takes less than 2^52 seconds")]
pub(crate) const fn seconds(whole: u64) -> f64 {
    whole as f64
}
