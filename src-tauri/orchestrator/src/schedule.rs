//! Who works on what next: deterministic for a given snapshot, and explained.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use model::agent::Agent;
use model::attempt::Attempt;
use model::choice::{CANDIDATES_MAX, Candidate, Choice, Points};
use model::gate::GateSpec;
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::{Mission, MissionState, Priority};
use model::status::{HeldUntil, Waiting};

use crate::input::Cycle;
use crate::judge::answer_of;
use crate::state::{State, Track, is_waiting};
use crate::streaks::Held;

/// The skill of agents that review the work of others without being named.
pub const REVIEW_SKILL: &str = "review";
/// What a step of priority counts; more than age and deadline together ever do.
const PRIORITY_POINTS: i64 = 100_000;
/// What an overdue mission gets; one that is due in a week or later gets nothing.
const DEADLINE_POINTS_MAX: i64 = 50_000;
/// How far ahead a deadline counts, in minutes.
const DEADLINE_AHEAD_MIN: i64 = 7 * 24 * 60;
/// What waiting counts at most, at one point a minute: four weeks.
const AGE_POINTS_MAX: i64 = 40_320;
/// What an agent's success counts at most.
const SUCCESS_POINTS: i64 = 1_000;

/// One start the scheduler decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The mission.
    pub mission_id: MissionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Why.
    pub choice: Choice,
}

/// Chooses what to start now, best first, at most as much as the settings and limits allow.
///
/// A mission's points are its priority, then its deadline, then how long it has waited. A mission
/// without a chosen agent gets the free agent with the skills it needs and the best record; equal
/// ones in the order of their names.
#[must_use]
pub fn plan(state: &State, cycle: Cycle, now: Timestamp) -> Vec<Start> {
    let room = (state.running_max() as usize).saturating_sub(state.under_way());
    let room = room.min(state.settings.starts_per_cycle as usize);
    if room == 0 || state.halted.is_some() || too_little_memory(state, &cycle).is_some() {
        return Vec::new();
    }
    let mut pool = Pool::of(state, &cycle);
    if pool.free.is_empty() {
        return Vec::new();
    }
    let mut waiting: Vec<(i64, &Mission)> = state
        .queued()
        .filter(|mission| blocked(state, mission, now).is_none())
        .map(|mission| (points_of(mission, now), mission))
        .collect();
    waiting.sort_unstable_by_key(|(points, mission)| (Reverse(*points), mission.id));
    let left = waiting.len() as u64;
    let mut starts = Vec::new();
    for (points, mission) in waiting {
        if starts.len() == room || pool.free.is_empty() {
            break;
        }
        let Some(agent_id) = pool.pick(mission, previous(mission)) else {
            continue;
        };
        let choice = Choice {
            at: now,
            points,
            reasons: reasons_of(mission, now),
            waiting: left,
            candidates: pool.candidates(mission, previous(mission)),
            considered: pool.free.len() as u64,
        };
        pool.take(agent_id);
        starts.push(Start { mission_id: mission.id, agent_id, choice });
    }
    starts
}

/// What keeps a queued mission from being leased, whatever agents are there.
fn blocked(state: &State, mission: &Mission, now: Timestamp) -> Option<Waiting> {
    if state.attempt_of_mission(mission.id).is_some() {
        return Some(Waiting::Until { at: now });
    }
    if let Some(at) = mission.not_before.filter(|at| *at > now) {
        return Some(Waiting::Until { at });
    }
    dependencies(mission, |id| state.dependency(id).map(|(short, it)| (short.to_owned(), it)))
}

fn dependencies(
    mission: &Mission,
    known: impl Fn(MissionId) -> Option<(String, MissionState)>,
) -> Option<Waiting> {
    let (mut missions, mut stuck) = (Vec::new(), Vec::new());
    for id in &mission.depends_on {
        match known(*id) {
            Some((_, MissionState::Done)) => {}
            Some((short, MissionState::Failed | MissionState::Cancelled)) => {
                missions.push(short.clone());
                stuck.push(short);
            }
            Some((short, _)) => missions.push(short),
            None => {
                missions.push(id.to_string());
                stuck.push(id.to_string());
            }
        }
    }
    (!missions.is_empty()).then_some(Waiting::Dependencies { missions, stuck })
}

fn too_little_memory(state: &State, cycle: &Cycle) -> Option<Waiting> {
    memory(state.settings.memory_free_min_percent, cycle.memory_free_percent)
}

fn memory(needed_percent: u8, free_percent: Option<u8>) -> Option<Waiting> {
    let free_percent = free_percent.filter(|free| *free < needed_percent)?;
    Some(Waiting::Memory { free_percent, needed_percent })
}

/// The agent of the attempt before, where another one is to take the next.
fn previous(mission: &Mission) -> Option<AgentId> {
    let handoff = mission.handoff.as_ref().filter(|_| mission.hand_over)?;
    Some(handoff.agent_id)
}

fn points_of(mission: &Mission, now: Timestamp) -> i64 {
    priority_points(mission) + deadline_points(mission, now) + age_points(mission, now)
}

fn priority_points(mission: &Mission) -> i64 {
    let step = match mission.priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    };
    step * PRIORITY_POINTS
}

fn deadline_points(mission: &Mission, now: Timestamp) -> i64 {
    let Some(deadline) = mission.deadline else {
        return 0;
    };
    let left_min = deadline.duration_since(now).as_secs() / 60;
    let near = (DEADLINE_AHEAD_MIN - left_min).clamp(0, DEADLINE_AHEAD_MIN);
    near * DEADLINE_POINTS_MAX / DEADLINE_AHEAD_MIN
}

fn age_points(mission: &Mission, now: Timestamp) -> i64 {
    (now.duration_since(mission.created_at).as_secs() / 60).clamp(0, AGE_POINTS_MAX)
}

fn reasons_of(mission: &Mission, now: Timestamp) -> Vec<Points> {
    let mut reasons = vec![Points {
        what: "priority".to_owned(),
        points: priority_points(mission),
        because: format!("{:?}", mission.priority).to_lowercase(),
    }];
    if let Some(deadline) = mission.deadline {
        reasons.push(Points {
            what: "deadline".to_owned(),
            points: deadline_points(mission, now),
            because: format!("due {deadline:.0}"),
        });
    }
    let waited = now.duration_since(mission.created_at).as_secs() / 60;
    reasons.push(Points {
        what: "age".to_owned(),
        points: age_points(mission, now),
        because: format!("created {waited} min ago"),
    });
    reasons
}

/// An agent's record as points, with what they say. Laplace's rule of succession: an agent without
/// a record stands in the middle.
fn success(track: Option<&Track>) -> Points {
    let track = track.copied().unwrap_or_default();
    let (accepted, ended) = (track.accepted.min(1 << 40), track.ended.min(1 << 40));
    let points = i64::try_from(accepted + 1).unwrap_or(0) * SUCCESS_POINTS
        / i64::try_from(ended + 2).unwrap_or(i64::MAX);
    let because = match ended {
        0 => "no history yet".to_owned(),
        ended => format!("{accepted} of {ended} attempts accepted"),
    };
    Points { what: "success".to_owned(), points, because }
}

/// The agents that could start something now, best record first.
struct Pool<'a> {
    free: Vec<&'a Agent>,
    tracks: &'a BTreeMap<AgentId, Track>,
    /// Skill lists nobody free has, so that they are looked for once.
    nobody: HashMap<(&'a [String], bool), ()>,
}

impl<'a> Pool<'a> {
    fn of(state: &'a State, cycle: &Cycle) -> Self {
        let busy = state.busy();
        let mut free: Vec<(i64, &Agent)> = state
            .agents
            .values()
            .filter(|agent| !agent.paused && !busy.contains(&agent.id))
            .filter(|agent| !cycle.held.contains_key(&agent.id))
            .filter(|agent| !cycle.absent.contains(&agent.id))
            .map(|agent| (success(state.tracks.get(&agent.id)).points, agent))
            .collect();
        free.sort_by(|(a_points, a), (b_points, b)| {
            b_points.cmp(a_points).then_with(|| a.name.cmp(&b.name)).then(a.id.cmp(&b.id))
        });
        let free = free.into_iter().map(|(_, agent)| agent).collect();
        Self { free, tracks: &state.tracks, nobody: HashMap::new() }
    }

    fn pick(&mut self, mission: &'a Mission, previous: Option<AgentId>) -> Option<AgentId> {
        let key = (mission.skills.as_slice(), mission.demo);
        let any = mission.agent.is_none() && previous.is_none();
        if any && self.nobody.contains_key(&key) {
            return None;
        }
        let fitting = |agent: &&&Agent| unfit(mission, agent, previous).is_none();
        let found = self.free.iter().find(fitting).map(|agent| agent.id);
        if any && found.is_none() {
            self.nobody.insert(key, ());
        }
        // Where nobody else fits, the same agent may try again.
        let same = |agent: &&&Agent| Some(agent.id) == previous && lacks(mission, agent).is_none();
        found.or_else(|| self.free.iter().find(same).map(|agent| agent.id))
    }

    fn take(&mut self, id: AgentId) {
        self.free.retain(|agent| agent.id != id);
    }

    /// The best of those that fit, and then of those that do not.
    fn candidates(&self, mission: &Mission, previous: Option<AgentId>) -> Vec<Candidate> {
        let fits = |agent: &&&Agent| unfit(mission, agent, previous).is_none();
        let fitting = self.free.iter().filter(fits).take(CANDIDATES_MAX);
        let candidate = |agent: &&Agent, refused: Option<String>| {
            let success = success(self.tracks.get(&agent.id));
            Candidate {
                agent_id: agent.id,
                name: agent.name.clone(),
                points: success.points,
                reasons: vec![success],
                refused,
            }
        };
        let mut all: Vec<Candidate> = fitting.map(|agent| candidate(agent, None)).collect();
        let left = CANDIDATES_MAX - all.len();
        all.extend(
            self.free
                .iter()
                .take(4 * CANDIDATES_MAX)
                .filter_map(|agent| Some(candidate(agent, Some(unfit(mission, agent, previous)?))))
                .take(left),
        );
        all
    }
}

/// Why an agent cannot take a mission, whether or not it is free.
fn unfit(mission: &Mission, agent: &Agent, previous: Option<AgentId>) -> Option<String> {
    if previous == Some(agent.id) {
        return Some("it made the attempt before; the policy hands over".to_owned());
    }
    if let Some(chosen) = mission.agent.filter(|_| previous.is_none())
        && chosen != agent.id
    {
        return Some("another agent was chosen".to_owned());
    }
    lacks(mission, agent)
}

/// What an agent lacks for a mission.
fn lacks(mission: &Mission, agent: &Agent) -> Option<String> {
    if agent.demo != mission.demo {
        let whose = if agent.demo { "it belongs" } else { "the mission belongs" };
        return Some(format!("{whose} to the demo swarm"));
    }
    let missing: Vec<&str> = missing_skills(mission, agent).collect();
    (!missing.is_empty()).then(|| format!("it cannot {}", missing.join(", ")))
}

fn missing_skills<'a>(
    mission: &'a Mission,
    agent: &'a Agent,
) -> impl Iterator<Item = &'a str> + 'a {
    let can = |skill: &str| agent.skills.iter().any(|has| has.eq_ignore_ascii_case(skill));
    mission.skills.iter().map(String::as_str).filter(move |skill| !can(skill))
}

/// The next review an agent can be asked for: the attempt, the gate's place, and the agent.
#[must_use]
pub fn next_review(state: &State, held: &Held) -> Option<(AttemptId, u32, AgentId)> {
    if state.halted.is_some() || state.under_way() >= state.running_max() as usize {
        return None;
    }
    let in_review =
        state.attempts.values().filter(|attempt| attempt.in_review && !attempt.stopping);
    let asked = in_review.flat_map(|attempt| {
        pending_reviews(state, attempt).into_iter().map(move |review| (attempt, review))
    });
    asked.into_iter().find_map(|(attempt, (index, named))| {
        let agent = reviewer(state, held, attempt, named)?;
        Some((attempt.id, index, agent))
    })
}

fn reviewer(state: &State, held: &Held, attempt: &Attempt, named: Option<&str>) -> Option<AgentId> {
    let mission = state.missions.get(&attempt.mission_id)?;
    let can = |agent: &&Agent| match named {
        Some(name) => agent.name.eq_ignore_ascii_case(name),
        None => agent.skills.iter().any(|skill| skill.eq_ignore_ascii_case(REVIEW_SKILL)),
    };
    let free = |agent: &&Agent| {
        agent.id != attempt.agent_id
            && agent.demo == mission.demo
            && !agent.paused
            // A review is a program that is started.
            && agent.runtime.lost_after_s().is_none()
            && !state.is_busy(agent.id)
            && !held.contains_key(&agent.id)
    };
    let mut able: Vec<&Agent> = state.agents.values().filter(can).filter(free).collect();
    able.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    able.first().map(|agent| agent.id)
}

/// The reviews of an attempt that nobody was asked for yet.
fn pending_reviews<'a>(state: &'a State, attempt: &Attempt) -> Vec<(u32, Option<&'a str>)> {
    let Some(mission) = state.missions.get(&attempt.mission_id) else {
        return Vec::new();
    };
    let answered = |index: u32, gate: &GateSpec| {
        let results = state.results.get(&attempt.id);
        results.is_some_and(|all| answer_of(mission, index, gate, attempt, all).is_some())
    };
    let asked = |index: u32| state.reviews.contains_key(&(attempt.id, index));
    (0..)
        .zip(&mission.gates)
        .filter(|(index, gate)| !asked(*index) && !answered(*index, gate))
        .filter_map(|(index, gate)| match gate {
            GateSpec::Reviewer { agent } => Some((index, agent.as_deref())),
            _ => None,
        })
        .collect()
}

/// When something that waits for a time can start; nothing when nothing waits for one.
#[must_use]
pub fn next_due(state: &State, now: Timestamp) -> Option<SignedDuration> {
    state.delays().filter(|at| *at > now).min().map(|at| at.duration_since(now))
}

/// What the reason a mission waits for is derived from.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Every agent.
    pub agents: &'a [Agent],
    /// Agents that are occupied.
    pub busy: &'a BTreeSet<AgentId>,
    /// Agents that are held back for how they failed, and until when.
    pub held: &'a Held,
    /// Agents that run elsewhere and are not heard of.
    pub absent: &'a BTreeSet<AgentId>,
    /// How many attempts and reviews are under way.
    pub under_way: usize,
    /// How many may be.
    pub running_max: u32,
    /// Whether the captain stopped everything.
    pub halted: bool,
    /// How much memory is free, in percent.
    pub memory_free_percent: Option<u8>,
    /// How much must be.
    pub memory_free_min_percent: u8,
    /// Where the missions stand that others depend on, with their readable ids.
    pub dependencies: &'a BTreeMap<MissionId, (String, MissionState)>,
    /// The time.
    pub now: Timestamp,
}

/// Why a queued mission has not started; nothing when it is not queued or about to start.
#[must_use]
pub fn waiting(mission: &Mission, around: &Around<'_>) -> Option<Waiting> {
    if !is_waiting(mission) {
        return None;
    }
    if around.halted {
        return Some(Waiting::Halted);
    }
    if let Some(at) = mission.not_before.filter(|at| *at > around.now) {
        return Some(Waiting::Until { at });
    }
    dependencies(mission, |id| around.dependencies.get(&id).cloned())
        .or_else(|| waiting_for_agent(mission, around))
        .or_else(|| {
            let running_max = around.running_max;
            (around.under_way >= running_max as usize).then_some(Waiting::Limit { running_max })
        })
        .or_else(|| memory(around.memory_free_min_percent, around.memory_free_percent))
}

fn waiting_for_agent(mission: &Mission, around: &Around<'_>) -> Option<Waiting> {
    if let Some(chosen) = mission.agent.filter(|_| previous(mission).is_none()) {
        let Some(agent) = around.agents.iter().find(|agent| agent.id == chosen) else {
            return Some(Waiting::AgentRemoved);
        };
        let missing: Vec<String> = missing_skills(mission, agent).map(str::to_owned).collect();
        let name = agent.name.clone();
        return if !missing.is_empty() {
            Some(Waiting::Skills { skills: missing })
        } else if agent.paused {
            Some(Waiting::AgentPaused { agent: name })
        } else if let Some(until) = around.held.get(&chosen) {
            Some(match *until {
                HeldUntil::At(until) => Waiting::AgentHeld { agent: name, until },
                HeldUntil::LoggedIn => Waiting::AgentLogin { agent: name },
            })
        } else if around.absent.contains(&chosen) {
            Some(Waiting::AgentAbsent { agent: name })
        } else {
            around.busy.contains(&chosen).then_some(Waiting::AgentBusy { agent: name })
        };
    }
    let ours = || around.agents.iter().filter(|agent| agent.demo == mission.demo);
    if ours().next().is_none() {
        return Some(Waiting::NoAgent);
    }
    let fitting = || ours().filter(|agent| missing_skills(mission, agent).next().is_none());
    if fitting().next().is_none() {
        return Some(Waiting::Skills { skills: mission.skills.clone() });
    }
    let held = |agent: &Agent| {
        let away = around.held.contains_key(&agent.id) || around.absent.contains(&agent.id);
        agent.paused || away
    };
    let free = |agent: &Agent| !held(agent) && !around.busy.contains(&agent.id);
    (!fitting().any(free)).then_some(Waiting::NoFreeAgent)
}

/// Why a mission would go to whom, were it decided now: every agent, best first, with what keeps
/// it back.
#[must_use]
pub fn explain(state: &State, id: MissionId, cycle: &Cycle, now: Timestamp) -> Option<Choice> {
    let mission = state.missions.get(&id)?;
    let busy = state.busy();
    let previous = previous(mission);
    let mut candidates: Vec<Candidate> = state
        .agents
        .values()
        .map(|agent| {
            let success = success(state.tracks.get(&agent.id));
            let refused = unfit(mission, agent, previous).or_else(|| {
                if agent.paused {
                    Some("it is paused".to_owned())
                } else if cycle.absent.contains(&agent.id) {
                    Some("it runs elsewhere and is not heard of".to_owned())
                } else if let Some(until) = cycle.held.get(&agent.id) {
                    Some(match until {
                        HeldUntil::At(_) => {
                            format!("it failed again and again and is held back {until}")
                        }
                        HeldUntil::LoggedIn => "it has to be logged in".to_owned(),
                    })
                } else {
                    busy.contains(&agent.id).then(|| "it is at work".to_owned())
                }
            });
            Candidate {
                agent_id: agent.id,
                name: agent.name.clone(),
                points: success.points,
                reasons: vec![success],
                refused,
            }
        })
        .collect();
    let considered = candidates.len() as u64;
    candidates.sort_by(|a, b| {
        let key = |it: &Candidate| (it.refused.is_some(), Reverse(it.points));
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    candidates.truncate(CANDIDATES_MAX);
    Some(Choice {
        at: now,
        points: points_of(mission, now),
        reasons: reasons_of(mission, now),
        waiting: state.queued().count() as u64,
        candidates,
        considered,
    })
}
