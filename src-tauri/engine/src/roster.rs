//! The agents with their derived status: facts from the ledger, the process table and the output.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::activity::Activity;
use model::agent::{Agent, Runtime};
use model::attempt::Attempt;
use model::id::AttemptId;
use model::mission::Mission;
use model::process::{Supervision, file};
use model::status::{AgentFacts, AgentState, Failing, Heartbeat, agent_status};
use monitor::{AgentUsage, Snapshot};
use orchestrator::Held;
use store::ledger::WaitingOf;

use crate::Engine;
use crate::book::Book;
use crate::view::{AgentUsageView, AgentView, CurrentWork};

/// How long the answer to "can this program be started" is believed.
const PROGRAM_KNOWN: Duration = Duration::from_secs(30);
/// How much of the end of an output is looked at for its last line.
const LAST_LINE_BYTES: u64 = 2_048;
/// The longest last line shown, in characters.
const LAST_LINE_CHARS: usize = 200;

/// What is expensive to look up and seldom changes.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    known: Mutex<Known>,
    pub(crate) book: tokio::sync::Mutex<Book>,
}

#[derive(Debug, Default)]
struct Known {
    programs: HashMap<(String, Option<String>), (Instant, Option<String>)>,
    lines: HashMap<AttemptId, (u64, LastLine)>,
    supervision: HashMap<AttemptId, Supervision>,
}

/// The end of an output, as a person sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct LastLine {
    text: Option<String>,
    /// Whether it stands in the middle of a line, as a prompt does.
    open: bool,
}

impl Roster {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known of all other attempts.
    pub(crate) fn keep_lines_of(&self, unfinished: &HashSet<AttemptId>) {
        let mut known = self.known();
        known.lines.retain(|id, _| unfinished.contains(id));
        known.supervision.retain(|id, _| unfinished.contains(id));
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
    fn last_line(&self, attempt: AttemptId, run: &Path) -> LastLine {
        let path = run.join(file::STDOUT);
        let Ok(size) = std::fs::metadata(&path).map(|there| there.len()) else {
            return LastLine::default();
        };
        let mut known = self.known();
        match known.lines.get(&attempt) {
            Some((seen, line)) if *seen == size => line.clone(),
            _ => {
                let line = read_last_line(&path, size).unwrap_or_default();
                known.lines.insert(attempt, (size, line.clone()));
                line
            }
        }
    }
}

fn read_last_line(path: &Path, size: u64) -> std::io::Result<LastLine> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_LINE_BYTES)))?;
    let mut end = Vec::new();
    file.take(LAST_LINE_BYTES).read_to_end(&mut end)?;
    // What steers a terminal is nothing a person sees.
    let text = agents::ansi::plain(&String::from_utf8_lossy(&end));
    let open = text.trim_end_matches('\r').chars().next_back().is_some_and(|last| last != '\n');
    // A line may be written over from its beginning.
    let parts = text.rsplit(['\n', '\r']);
    let line = parts.map(str::trim).find(|line| !line.is_empty());
    let shown =
        |line: &str| line.chars().filter(|ch| !ch.is_control()).take(LAST_LINE_CHARS).collect();
    Ok(LastLine { text: line.map(shown), open })
}

/// What is in memory about all agents at one moment.
#[derive(Debug)]
pub(crate) struct Around {
    snapshot: Arc<Snapshot>,
    activities: HashMap<AttemptId, Activity>,
    held: Held,
    now: Timestamp,
}

impl Around {
    /// Which measurement it is.
    pub(crate) fn tick(&self) -> u64 {
        self.snapshot.tick
    }
}

impl Engine {
    /// Looks around in memory.
    pub(crate) fn around(&self) -> Around {
        Around {
            snapshot: self.0.snapshots.borrow().clone(),
            activities: self.0.orchestrator.activities(),
            held: self.0.orchestrator.held(),
            now: self.0.clock.now(),
        }
    }

    /// Derives the view of an agent.
    pub(crate) fn view(&self, agent: Agent, standing: &Standing<'_>, around: &Around) -> AgentView {
        let Standing { attempt, mission, reviewing, waiting, failed, free_since } = *standing;
        let (roster, snapshot) = (&self.0.roster, &around.snapshot);
        let activity = attempt.and_then(|attempt| around.activities.get(&attempt.id));
        // One that the captain cleared is not held back, whatever it did before.
        let until = around.held.get(&agent.id).copied();
        let failing = Failing::of(failed, around.now)
            .and_then(|failing| until.is_some().then_some(Failing { until, ..failing }));
        let usage = snapshot
            .agents
            .get(&agent.id)
            .filter(|usage| attempt.is_some_and(|attempt| attempt.id == usage.attempt_id));
        let elsewhere = agent.runtime.lost_after_s();
        let starts = attempt.is_none() && elsewhere.is_none();
        let missing = if starts { roster.missing(&agent) } else { None };
        let heartbeat = elsewhere.map(|lost_after_s| {
            let (last_at, listening_since) = self.0.orchestrator.attached().last(agent.id);
            Heartbeat { last_at, listening_since, lost_after_s, asks: waiting.requests }
        });
        let printed = attempt
            .filter(|_| matches!(agent.runtime, Runtime::Command { .. }))
            .map(|it| roster.last_line(it.id, &self.0.dir.attempt(it.id)))
            .unwrap_or_default();
        let facts = AgentFacts {
            agent: &agent,
            missing: missing.as_deref(),
            attempt,
            reviewing,
            alive: usage.map(|usage| usage.alive),
            held: usage.is_some_and(|usage| usage.held),
            cpu_idle_s: usage.and_then(|usage| usage.cpu_idle_s),
            heartbeat,
            activity,
            failing: failing.as_ref(),
            last_output_at: usage.and_then(|usage| usage.last_output_at),
            at_prompt: agent.runtime.has_terminal() && printed.open,
            free_since,
        };
        let mut status = agent_status(&facts, around.now);
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
                Runtime::Command { .. } => printed.text,
                Runtime::Acp { .. } | Runtime::Headless { .. } => {
                    activity.and_then(|activity| activity.said.clone())
                }
                Runtime::Attached { .. } => {
                    mission.and_then(|mission| mission.progress.as_ref()).map(|it| it.text.clone())
                }
            },
            activity: activity.cloned(),
            messages_waiting: waiting.messages,
            requests_open: waiting.requests,
            supervision: attempt.and_then(|a| roster.supervision(a, &self.0.dir.attempt(a.id))),
            agent: Agent { runtime: agent.runtime.told(), ..agent },
        }
    }
}

/// What the ledger says about an agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) attempt: Option<&'a Attempt>,
    pub(crate) mission: Option<&'a Mission>,
    pub(crate) reviewing: bool,
    pub(crate) waiting: WaitingOf,
    /// Its last attempts, newest first, where the last one came to nothing.
    pub(crate) failed: &'a [Attempt],
    pub(crate) free_since: Timestamp,
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
    if runtime.lost_after_s().is_some() {
        return String::new();
    }
    let words = runtime.args().iter().map(String::as_str);
    shell_words::join(std::iter::once(runtime.program()).chain(words))
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    #[test]
    fn the_last_line_is_what_a_person_sees_of_it_and_says_whether_it_is_a_prompt() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let line = read_last_line(&path, text.len() as u64).unwrap();
            (line.text.unwrap_or_default(), line.open)
        };
        assert_eq!(read("x\r\n\u{1b}[?2004hbash-5.2# "), ("bash-5.2#".to_owned(), true));
        assert_eq!(read("10 %\r50 %\r"), ("50 %".to_owned(), true));
        assert_eq!(read("done\r\n\u{1b}[0m"), ("done".to_owned(), false));
        assert_eq!(read(""), (String::new(), false));
    }

    #[test]
    fn what_was_read_of_an_attempt_does_not_outlive_its_end() {
        let roster = Roster::default();
        let attempt = AttemptId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(file::STDOUT), "one\ntwo\n").unwrap();
        let two = LastLine { text: Some("two".to_owned()), open: false };
        assert_eq!(roster.last_line(attempt, run.path()), two);
        assert_eq!(roster.known().lines.len(), 1);
        roster.keep_lines_of(&HashSet::new());
        assert!(roster.known().lines.is_empty());
    }
}
