//! The agents with their derived status: facts from the ledger, the process table and the output.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::activity::Activity;
use model::agent::{Agent, Runtime};
use model::attempt::{Attempt, AttemptState};
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::Mission;
use model::process::{Supervision, file};
use model::refusal::Refusal;
use model::status::{AgentFacts, AgentState, CRASH_LOOP_TIMES, Failing, agent_status};
use monitor::{AgentUsage, Snapshot};
use store::ledger::WaitingOf;

use crate::Engine;
use crate::resolve::unreadable;
use crate::view::{AgentUsageView, AgentView, CurrentWork};

/// How long the answer to "can this program be started" is believed.
const PROGRAM_KNOWN: Duration = Duration::from_secs(30);
/// How much of the end of an output is looked at for its last line.
const LAST_LINE_BYTES: u64 = 2_048;
/// The longest last line shown, in characters.
const LAST_LINE_CHARS: usize = 200;

/// What is expensive to look up and seldom changes.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    programs: HashMap<(String, Option<String>), (Instant, Option<String>)>,
    free_since: HashMap<AgentId, Timestamp>,
    /// The last attempts of each agent, newest first, where the last one came to nothing.
    failed: HashMap<AgentId, Vec<Attempt>>,
    lines: HashMap<AttemptId, (u64, Option<String>)>,
    supervision: HashMap<AttemptId, Supervision>,
    /// The last views, with the ledger's head and the measurement they were derived from.
    views: Option<((u64, u64), Vec<AgentView>)>,
}

impl Roster {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an agent became free.
    pub(crate) fn freed(&self, agent: AgentId, attempt: AttemptId, at: Timestamp) {
        let mut known = self.known();
        known.free_since.insert(agent, at);
        known.failed.remove(&agent);
        known.lines.remove(&attempt);
        known.supervision.remove(&attempt);
    }

    /// Notes since when an agent is free as the ledger had it, and gives what holds: an agent that
    /// became free while that was read is free since then.
    fn free_as_read(&self, agent: AgentId, since: Timestamp) -> Timestamp {
        *self.known().free_since.entry(agent).or_insert(since)
    }

    /// Forgets the last lines of all other attempts: a view that was under way when an attempt
    /// ended has noted its line once more.
    fn keep_lines_of(&self, unfinished: &[Attempt]) {
        let mut known = self.known();
        if known.lines.len() > unfinished.len() {
            let alive: HashSet<AttemptId> = unfinished.iter().map(|attempt| attempt.id).collect();
            known.lines.retain(|id, _| alive.contains(id));
        }
        if known.supervision.len() > unfinished.len() {
            let alive: HashSet<AttemptId> = unfinished.iter().map(|attempt| attempt.id).collect();
            known.supervision.retain(|id, _| alive.contains(id));
        }
    }

    /// Forgets an agent that was removed.
    pub(crate) fn removed(&self, agent: AgentId) {
        let mut known = self.known();
        known.free_since.remove(&agent);
        known.failed.remove(&agent);
    }

    /// How the processes of a run are kept together; nothing before they are there.
    fn supervision(&self, attempt: &Attempt, run: &Path) -> Option<Supervision> {
        attempt.process.as_ref()?;
        let mut known = self.known();
        if let Some(known) = known.supervision.get(&attempt.id) {
            return Some(*known);
        }
        let found = agents::supervision::in_force(run).ok()?;
        known.supervision.insert(attempt.id, found);
        Some(found)
    }

    /// Why the agent's program cannot be started, as far as that is known.
    fn missing(&self, agent: &Agent) -> Option<String> {
        let program = agent.runtime.program();
        let key = (program.to_owned(), agent.directory.clone());
        let mut known = self.known();
        if let Some((looked, answer)) = known.programs.get(&key)
            && looked.elapsed() < PROGRAM_KNOWN
        {
            return answer.clone();
        }
        known.programs.retain(|_, (looked, _)| looked.elapsed() < PROGRAM_KNOWN);
        let answer = agents::detect::missing(program, agent.directory.as_deref().map(Path::new));
        known.programs.insert(key, (Instant::now(), answer.clone()));
        answer
    }

    /// The last line of an output, read again only when there is more of it.
    fn last_line(&self, attempt: AttemptId, run: &Path) -> Option<String> {
        let path = run.join(file::STDOUT);
        let size = std::fs::metadata(&path).ok()?.len();
        let mut known = self.known();
        match known.lines.get(&attempt) {
            Some((seen, line)) if *seen == size => line.clone(),
            _ => {
                let line = read_last_line(&path, size).ok().flatten();
                known.lines.insert(attempt, (size, line.clone()));
                line
            }
        }
    }
}

fn read_last_line(path: &Path, size: u64) -> std::io::Result<Option<String>> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_LINE_BYTES)))?;
    let mut end = Vec::new();
    file.take(LAST_LINE_BYTES).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let shown =
        |line: &str| line.chars().filter(|ch| !ch.is_control()).take(LAST_LINE_CHARS).collect();
    Ok(line.map(shown))
}

impl Engine {
    /// Every agent with its status, by name.
    pub(crate) async fn roster_views(&self) -> Result<Vec<AgentView>, Refusal> {
        // Everything a view is derived from is either in the ledger or in the last measurement.
        let facts = (self.0.ledger.status().head_seq, self.0.snapshots.borrow().tick);
        if let Some((known, views)) = &self.0.roster.known().views
            && *known == facts
        {
            return Ok(seen_now(views.clone(), &self.0.orchestrator.activities()));
        }
        let mut agents = self.0.ledger.agents().await.map_err(unreadable)?;
        agents.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
        let unfinished = self.0.ledger.unfinished_attempts().await.map_err(unreadable)?;
        self.0.roster.keep_lines_of(&unfinished);
        let views = self.views_of(agents, &unfinished).await?;
        self.0.roster.known().views = Some((facts, views.clone()));
        Ok(views)
    }

    /// One agent with its status.
    pub(crate) async fn roster_view(&self, agent: Agent) -> Result<AgentView, Refusal> {
        let ledger = &self.0.ledger;
        let unfinished = ledger.unfinished_attempts_of(agent.id).await.map_err(unreadable)?;
        let mut views = self.views_of(vec![agent], &unfinished).await?;
        views
            .pop()
            .ok_or_else(|| Refusal::new(model::refusal::Code::NotFound, "there is no such agent"))
    }

    async fn views_of(
        &self,
        agents: Vec<Agent>,
        unfinished: &[Attempt],
    ) -> Result<Vec<AgentView>, Refusal> {
        let ids: Vec<MissionId> = unfinished.iter().map(|attempt| attempt.mission_id).collect();
        let missions = self.0.ledger.missions_by_id(&ids).await.map_err(unreadable)?;
        // An attempt under review keeps its mission, not its agent.
        let attempts: HashMap<AgentId, &Attempt> = unfinished
            .iter()
            .filter(|attempt| attempt.occupies_agent())
            .map(|attempt| (attempt.agent_id, attempt))
            .collect();
        let reviews = self.0.ledger.pending_reviews().await.map_err(unreadable)?;
        let reviewing: HashSet<AgentId> = reviews.iter().map(|(_, _, agent)| *agent).collect();
        let missions: HashMap<MissionId, &Mission> =
            missions.iter().map(|mission| (mission.id, mission)).collect();
        let snapshot = self.0.snapshots.borrow().clone();
        let waiting = self.0.ledger.waiting_by_agent().await.map_err(unreadable)?;
        let activities = self.0.orchestrator.activities();
        let mut views = Vec::with_capacity(agents.len());
        for agent in agents {
            let (free_since, failing) = self.past(&agent).await?;
            let attempt = attempts.get(&agent.id).copied();
            let mission = attempt.and_then(|a| missions.get(&a.mission_id)).copied();
            let standing = Standing {
                attempt,
                mission,
                reviewing: reviewing.contains(&agent.id),
                activity: attempt.and_then(|attempt| activities.get(&attempt.id)),
                waiting: waiting.get(&agent.id).copied().unwrap_or_default(),
                failing,
                free_since,
            };
            views.push(self.view(agent, &standing, &snapshot));
        }
        Ok(views)
    }

    fn view(&self, agent: Agent, standing: &Standing<'_>, snapshot: &Snapshot) -> AgentView {
        let Standing { attempt, mission, reviewing, activity, waiting, free_since, .. } = *standing;
        let roster = &self.0.roster;
        let usage = snapshot
            .agents
            .get(&agent.id)
            .filter(|usage| attempt.is_some_and(|attempt| attempt.id == usage.attempt_id));
        let missing = if attempt.is_none() { roster.missing(&agent) } else { None };
        let facts = AgentFacts {
            agent: &agent,
            missing: missing.as_deref(),
            attempt,
            reviewing,
            alive: usage.map(|usage| usage.alive),
            held: usage.is_some_and(|usage| usage.held),
            cpu_idle_s: usage.and_then(|usage| usage.cpu_idle_s),
            activity,
            failing: standing.failing.as_ref(),
            last_output_at: usage.and_then(|usage| usage.last_output_at),
            free_since,
        };
        let mut status = agent_status(&facts, self.0.clock.now());
        if let Some(told) = attempt.and_then(|attempt| self.0.rescues.told(attempt.id))
            && status.state == AgentState::Stalled
        {
            status.reason = format!("{}; {told}", status.reason);
        }
        AgentView {
            command: command_line(&agent.runtime),
            status,
            current: attempt.zip(mission).map(|(attempt, mission)| current(attempt, mission)),
            usage: usage.filter(|usage| usage.alive).map(|usage| shown(usage, snapshot.at)),
            // What a protocol prints is not for people; what the agent says by it is.
            last_line: match &agent.runtime {
                Runtime::Command { .. } => {
                    attempt.and_then(|a| roster.last_line(a.id, &self.0.dir.attempt(a.id)))
                }
                Runtime::Acp { .. } | Runtime::Headless { .. } => {
                    activity.and_then(|activity| activity.said.clone())
                }
            },
            activity: activity.cloned(),
            messages_waiting: waiting.messages,
            requests_open: waiting.requests,
            supervision: attempt.and_then(|a| roster.supervision(a, &self.0.dir.attempt(a.id))),
            agent,
        }
    }

    /// Whether an agent is held back because it fails again and again; one that the captain cleared
    /// is not.
    fn failing(&self, id: AgentId, last: &[Attempt], now: Timestamp) -> Option<Failing> {
        let until = self.0.orchestrator.held().get(&id).copied();
        let failing = Failing::of(last, now)?;
        until.is_some().then_some(Failing { until, ..failing })
    }

    /// Since when an agent is free, and whether it fails again and again.
    async fn past(&self, agent: &Agent) -> Result<(Timestamp, Option<Failing>), Refusal> {
        let now = self.0.clock.now();
        {
            let known = self.0.roster.known();
            if let (Some(since), Some(failed)) =
                (known.free_since.get(&agent.id), known.failed.get(&agent.id))
            {
                return Ok((*since, self.failing(agent.id, failed, now)));
            }
        }
        let limit = u32::try_from(CRASH_LOOP_TIMES).unwrap_or(u32::MAX);
        let mut last =
            self.0.ledger.attempts_of_agent(agent.id, limit).await.map_err(unreadable)?;
        let since = last.first().and_then(|attempt| attempt.ended_at).unwrap_or(agent.created_at);
        let since = self.0.roster.free_as_read(agent.id, since);
        // Those of an agent that does well are not needed.
        if last.first().is_none_or(|attempt| attempt.state != AttemptState::Rejected) {
            last.clear();
        }
        let failing = self.failing(agent.id, &last, now);
        self.0.roster.known().failed.insert(agent.id, last);
        Ok((since, failing))
    }
}

/// The views with what the conversations do at this moment.
fn seen_now(
    mut views: Vec<AgentView>,
    activities: &HashMap<AttemptId, Activity>,
) -> Vec<AgentView> {
    for view in &mut views {
        view.activity =
            view.current.as_ref().and_then(|work| activities.get(&work.attempt_id)).cloned();
    }
    views
}

/// What the ledger says about an agent.
struct Standing<'a> {
    attempt: Option<&'a Attempt>,
    mission: Option<&'a Mission>,
    reviewing: bool,
    activity: Option<&'a Activity>,
    waiting: WaitingOf,
    failing: Option<Failing>,
    free_since: Timestamp,
}

fn current(attempt: &Attempt, mission: &Mission) -> CurrentWork {
    CurrentWork {
        attempt_id: attempt.id,
        n: attempt.n,
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        title: mission.title.clone(),
        leased_at: attempt.leased_at,
    }
}

fn shown(usage: &AgentUsage, at: Timestamp) -> AgentUsageView {
    AgentUsageView {
        at,
        cpu_percent: usage.cpu_percent,
        memory_bytes: usage.memory_bytes,
        processes: usage.processes,
        output_bytes: usage.output_bytes,
    }
}

/// The command line of a runtime, quoted so that it reads back as the same words.
fn command_line(runtime: &Runtime) -> String {
    let words = runtime.args().iter().map(String::as_str);
    shell_words::join(std::iter::once(runtime.program()).chain(words))
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    #[test]
    fn what_was_read_before_an_attempt_ended_does_not_outlive_its_end() {
        let roster = Roster::default();
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let agent = AgentId::draw(then, &mut SystemDraw);
        let attempt = AttemptId::draw(then, &mut SystemDraw);
        roster.freed(agent, attempt, now);
        assert_eq!(roster.free_as_read(agent, then), now);
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(file::STDOUT), "one\ntwo\n").unwrap();
        assert_eq!(roster.last_line(attempt, run.path()).as_deref(), Some("two"));
        assert_eq!(roster.known().lines.len(), 1);
        roster.keep_lines_of(&[]);
        assert!(roster.known().lines.is_empty());
    }
}
