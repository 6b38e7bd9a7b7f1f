//! Status: derived from facts when it is read, never stored.

mod attached;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::activity::{Activity, Phase};
use crate::agent::Agent;
use crate::attempt::{Attempt, AttemptState};
use crate::process::Exit;

/// Silence after which a working agent is called quiet, in seconds, unless its preset says otherwise.
pub const QUIET_AFTER_S: i64 = 120;
/// Silence after which a working agent is called stalled, in seconds, unless its preset says
/// otherwise.
pub const STALLED_AFTER_S: i64 = 600;
/// Within how many seconds its processes must have computed for an agent to be called busy.
pub const CPU_BUSY_S: u64 = 5;
/// As many failures one after the other are a crash loop.
pub const CRASH_LOOP_TIMES: usize = 5;
/// Within how many minutes.
pub const CRASH_LOOP_MIN: i64 = 10;

/// What an agent is doing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It cannot be started: its program is not there.
    Offline,
    /// Its workplace and process are being made.
    Starting,
    /// It has nothing to do.
    Idle,
    /// Its process runs and prints.
    Working,
    /// It asks the captain.
    WaitingForCaptain,
    /// Held back by the captain.
    Paused,
    /// Its process runs and has printed nothing for a while.
    Quiet,
    /// Its process runs and shows no activity at all.
    Stalled,
    /// Its process should run, and the operating system does not know it.
    LostSignal,
    /// It fails again and again at once.
    CrashLooping,
    /// Its process tree is being ended.
    Stopping,
}

impl AgentState {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Offline,
        Self::Starting,
        Self::Idle,
        Self::Working,
        Self::WaitingForCaptain,
        Self::Paused,
        Self::Quiet,
        Self::Stalled,
        Self::LostSignal,
        Self::CrashLooping,
        Self::Stopping,
    ];
}

/// How sure a state is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A fact says so.
    Certain,
    /// Several signs agree, and none says so by itself.
    Likely,
    /// There is one sign only, or none was seen yet.
    Guess,
}

/// An agent's state with what it was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    /// The state.
    pub state: AgentState,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why, in words a person reads.
    pub reason: String,
    /// The fact that says so, such as `attempt`, `process table`, `output`, `protocol`, `cpu`,
    /// `heartbeat`.
    pub signal: String,
    /// How sure that is.
    pub confidence: Confidence,
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentFacts<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// Why its program cannot be started, where that is known.
    pub missing: Option<&'a str>,
    /// The unfinished attempt it is occupied with.
    pub attempt: Option<&'a Attempt>,
    /// Whether it was asked to review the work of another agent.
    pub reviewing: bool,
    /// Whether the operating system knows the attempt's processes; nothing before the first look.
    pub alive: Option<bool>,
    /// Whether the operating system holds all of them where they are.
    pub held: bool,
    /// How long they have used next to no processor time, in seconds; nothing before that is known.
    pub cpu_idle_s: Option<u64>,
    /// When it last printed something.
    pub last_output_at: Option<Timestamp>,
    /// Whether it runs in a terminal, and what it printed last ends in the middle of a line, as a
    /// prompt does.
    pub at_prompt: bool,
    /// When it was heard of, where it runs elsewhere.
    pub heartbeat: Option<Heartbeat>,
    /// What its conversation is doing, where it has one.
    pub activity: Option<&'a Activity>,
    /// What its last attempts came to, where it is held back for that.
    pub failing: Option<&'a Failing>,
    /// When it last became free.
    pub free_since: Timestamp,
}

/// What is known of an agent that runs elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// When it was heard of last in this run of the engine; nothing where it was not.
    pub last_at: Option<Timestamp>,
    /// Since when it is listened for.
    pub listening_since: Timestamp,
    /// After how much silence it is lost, in seconds.
    pub lost_after_s: u32,
    /// What it asks the captain and waits for.
    pub asks: u32,
}

/// Failures of an agent that followed each other closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// How many.
    pub times: u32,
    /// In how many minutes.
    pub minutes: i64,
    /// Why it failed the last time.
    pub last: String,
    /// Until when it gets no mission, unless the captain clears it; nothing where that is not known.
    pub until: Option<HeldUntil>,
}

/// Until when an agent gets no mission, unless the captain clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldUntil {
    /// Until then: it failed again and again.
    At(Timestamp),
    /// Until it is logged in: nobody but the captain can say that it is.
    LoggedIn,
}

impl std::fmt::Display for HeldUntil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(at) => write!(f, "until {at:.0}"),
            Self::LoggedIn => f.write_str("until it is logged in"),
        }
    }
}

/// A length of time as a person says it: in seconds up to two minutes, then in minutes, then in
/// hours and minutes.
#[must_use]
pub fn span_in_words(seconds: u64) -> String {
    let minutes = seconds / 60;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{minutes} min"),
        _ if minutes.is_multiple_of(60) => format!("{} h", minutes / 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Whether an attempt that ends like this has failed without having got anywhere. One whose program
/// could not be started says nothing about its agent, and costs nothing.
#[must_use]
pub fn failed_at_once(attempt: &Attempt, state: AttemptState) -> bool {
    // One that runs elsewhere has no process, but it ended.
    let ran = attempt.process.is_some() || attempt.exit.is_some();
    state == AttemptState::Rejected && ran && !claimed(attempt)
}

impl Failing {
    /// What the last attempts of an agent, newest first, say about it: that it has to be logged in, or
    /// as many failures within [`CRASH_LOOP_MIN`] minutes as [`CRASH_LOOP_TIMES`] and nothing else
    /// between.
    #[must_use]
    pub fn of(attempts: &[Attempt], now: Timestamp) -> Option<Self> {
        let failed = |attempt: &&Attempt| {
            let ended = attempt.ended_at.is_some_and(|at| {
                now.duration_since(at) <= SignedDuration::from_mins(CRASH_LOOP_MIN)
            });
            ended && failed_at_once(attempt, attempt.state)
        };
        let times = attempts.iter().take_while(failed).count();
        let last = attempts.first()?;
        if let Some(Exit::NoLogin { reason }) = last.exit() {
            return Some(Self { times: 1, minutes: 0, last: reason.clone(), until: None });
        }
        (times >= CRASH_LOOP_TIMES).then(|| Self {
            times: u32::try_from(times).unwrap_or(u32::MAX),
            minutes: CRASH_LOOP_MIN,
            last: last.note.clone().unwrap_or_else(|| "no reason was recorded".to_owned()),
            until: None,
        })
    }
}

/// Whether the agent at least said that it was done.
fn claimed(attempt: &Attempt) -> bool {
    attempt.exit().is_some_and(Exit::claims_completion)
}

/// Derives the state of an agent.
#[must_use]
pub fn agent_status(facts: &AgentFacts<'_>, now: Timestamp) -> AgentStatus {
    match (facts.attempt, facts.heartbeat) {
        (Some(attempt), None) => busy_status(facts, attempt, now),
        (Some(attempt), Some(heartbeat)) => attached::at_work(attempt, &heartbeat, now),
        (None, Some(heartbeat)) if free_status(facts).state == AgentState::Idle => {
            attached::free(&heartbeat, facts.free_since, now)
        }
        (None, _) => free_status(facts),
    }
}

/// A state that a fact says by itself.
fn certain(
    state: AgentState,
    since: Timestamp,
    reason: impl Into<String>,
    signal: &str,
) -> AgentStatus {
    AgentStatus {
        state,
        since,
        reason: reason.into(),
        signal: signal.to_owned(),
        confidence: Confidence::Certain,
    }
}

fn free_status(facts: &AgentFacts<'_>) -> AgentStatus {
    let since = facts.free_since;
    if facts.reviewing {
        let reason = "reviews the work of another agent";
        return certain(AgentState::Working, since, reason, "review");
    }
    if facts.agent.paused {
        return certain(AgentState::Paused, since, "held back by the captain", "agent");
    }
    if let Some(why) = facts.missing {
        return certain(AgentState::Offline, since, why, "program");
    }
    match facts.failing {
        Some(Failing { last, until: Some(HeldUntil::LoggedIn), .. }) => {
            let reason = format!(
                "has to be logged in, and gets no mission until then: start it once in a terminal \
                 and log in, then resume it; it said: {last}"
            );
            certain(AgentState::WaitingForCaptain, since, reason, "attempt")
        }
        Some(Failing { times, minutes, last, until }) => {
            let until = until.map_or_else(|| "for now".to_owned(), |until| until.to_string());
            let reason = format!(
                "failed {times} times within {minutes} minutes and gets no mission {until}; when the \
                 cause is removed, resume it to let it start at once; last: {last}"
            );
            certain(AgentState::CrashLooping, since, reason, "attempt")
        }
        None => certain(AgentState::Idle, since, "no mission", "attempt"),
    }
}

fn busy_status(facts: &AgentFacts<'_>, attempt: &Attempt, now: Timestamp) -> AgentStatus {
    let started = attempt.process.as_ref().map_or(attempt.leased_at, |process| process.started_at);
    if attempt.stopping {
        return certain(AgentState::Stopping, started, "its processes are being ended", "attempt");
    }
    if attempt.frozen && facts.alive != Some(false) {
        return certain(AgentState::Paused, started, "its processes are held", "attempt");
    }
    match attempt.state {
        AttemptState::Leased | AttemptState::Starting => {
            certain(AgentState::Starting, attempt.leased_at, "being started", "attempt")
        }
        AttemptState::Running => running_status(facts, started, now),
        _ => {
            let since = attempt.exit.as_ref().map_or(started, |record| record.ended_at);
            certain(AgentState::Working, since, "the gates run on its work", "attempt")
        }
    }
}

fn running_status(facts: &AgentFacts<'_>, started: Timestamp, now: Timestamp) -> AgentStatus {
    if facts.alive == Some(false) {
        let reason = "its process is not in the process table";
        return certain(AgentState::LostSignal, started, reason, "process table");
    }
    if facts.held {
        let reason = "its processes are held, and not by Hivekeeper";
        return certain(AgentState::Stalled, last_sign(facts, started).0, reason, "process table");
    }
    match facts.activity {
        Some(activity) => match said_status(activity, now) {
            Some(status) => status,
            None => silence_status(facts, started, now),
        },
        None => silence_status(facts, started, now),
    }
}

/// What the conversation itself says; nothing where it says no more than that a turn is under way.
fn said_status(activity: &Activity, now: Timestamp) -> Option<AgentStatus> {
    let since = activity.since;
    let status = |state, reason: String| certain(state, since, reason, "protocol");
    Some(match &activity.phase {
        Phase::Opening => {
            status(AgentState::Starting, "was started and has not answered yet".to_owned())
        }
        Phase::Asking { open: 1 } => {
            status(AgentState::WaitingForCaptain, "asks you something".to_owned())
        }
        Phase::Asking { open } => {
            status(AgentState::WaitingForCaptain, format!("asks you {open} things"))
        }
        // It should have gone on by itself by now.
        Phase::Limited { until, .. } if is_overdue(activity, *until, now) => return None,
        Phase::Limited { until, said } => {
            let until = until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
            let reason = format!("its provider makes it wait{until}: {said}");
            AgentStatus { confidence: Confidence::Likely, ..status(AgentState::Paused, reason) }
        }
        Phase::Cancelling => status(AgentState::Stopping, "its turn was called off".to_owned()),
        Phase::Ending => {
            status(AgentState::Working, "its conversation is over; its program ends".to_owned())
        }
        Phase::Turn => return None,
    })
}

/// Whether an agent whose provider made it wait has been silent for longer than that, and than such
/// an agent may be.
fn is_overdue(activity: &Activity, until: Option<Timestamp>, now: Timestamp) -> bool {
    let waited = now.duration_since(until.unwrap_or(activity.since).max(activity.since));
    waited.as_secs() >= i64::from(activity.stalled_after_s)
}

/// The last sign of life, and what gave it.
fn last_sign(facts: &AgentFacts<'_>, started: Timestamp) -> (Timestamp, &'static str) {
    let heard = facts.activity.and_then(|activity| activity.last_event_at);
    let signs =
        [(Some(started), "process table"), (facts.last_output_at, "output"), (heard, "protocol")];
    let known = signs.into_iter().filter_map(|(at, signal)| Some((at?, signal)));
    known.max_by_key(|(at, _)| *at).unwrap_or((started, "process table"))
}

/// What can be told from when something was seen last.
fn silence_status(facts: &AgentFacts<'_>, started: Timestamp, now: Timestamp) -> AgentStatus {
    let (last, signal) = last_sign(facts, started);
    let silent_s = now.duration_since(last).as_secs().max(0);
    let quiet_after = facts.activity.map_or(QUIET_AFTER_S, |it| i64::from(it.quiet_after_s));
    let stalled_after = facts.activity.map_or(STALLED_AFTER_S, |it| i64::from(it.stalled_after_s));
    let doing = doing(facts.activity, now);
    if silent_s < quiet_after {
        let seen = facts.alive.is_some() || signal != "process table";
        return AgentStatus {
            state: AgentState::Working,
            since: started,
            reason: doing.unwrap_or_else(|| "its process runs".to_owned()),
            signal: signal.to_owned(),
            confidence: if seen { Confidence::Certain } else { Confidence::Guess },
        };
    }
    let silent = format!("no sign of it for {}", span_in_words(silent_s.unsigned_abs()));
    let doing = doing.map(|doing| format!("; {doing}")).unwrap_or_default();
    let status = |state, reason, signal: &str, confidence| AgentStatus {
        state,
        since: last,
        reason,
        signal: signal.to_owned(),
        confidence,
    };
    match facts.cpu_idle_s {
        Some(idle) if idle < CPU_BUSY_S => {
            let reason = format!("{silent}, but its processes compute{doing}");
            status(AgentState::Working, reason, "cpu", Confidence::Likely)
        }
        _ if facts.at_prompt => {
            let reason = format!(
                "nothing was printed for {}, and its terminal stands in the middle of a line, as at \
                 a prompt: it may wait for you to type",
                span_in_words(silent_s.unsigned_abs())
            );
            status(AgentState::WaitingForCaptain, reason, "output", Confidence::Likely)
        }
        idle if silent_s >= stalled_after => {
            let reason = format!("{silent}, and its processes do nothing{doing}");
            let sure = if idle.is_some() { Confidence::Likely } else { Confidence::Guess };
            status(AgentState::Stalled, reason, signal, sure)
        }
        _ => status(AgentState::Quiet, format!("{silent}{doing}"), signal, Confidence::Likely),
    }
}

/// The tool an agent uses, and for how long.
fn doing(activity: Option<&Activity>, now: Timestamp) -> Option<String> {
    let activity = activity?;
    let tool = activity.tool.as_ref()?;
    let since = activity.tool_since.unwrap_or(activity.since);
    let seconds = now.duration_since(since).as_secs().max(0).unsigned_abs();
    Some(format!("uses '{tool}' since {}", span_in_words(seconds)))
}

/// Why a queued mission has not started; computed from facts when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Waiting {
    /// There is no agent at all.
    NoAgent,
    /// Every agent is busy or paused.
    NoFreeAgent,
    /// The chosen agent works on something else.
    AgentBusy {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent is paused.
    AgentPaused {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent failed again and again, and is held back.
    AgentHeld {
        /// The agent's name.
        agent: String,
        /// Until when.
        #[schema(value_type = String, format = DateTime)]
        until: Timestamp,
    },
    /// The chosen agent has to be logged in, and is held back until then.
    AgentLogin {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent runs elsewhere and is not heard of.
    AgentAbsent {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent was removed.
    AgentRemoved,
    /// Missions it depends on are not done.
    Dependencies {
        /// Their short ids.
        missions: Vec<String>,
        /// Those of them that failed, were cancelled or are gone, so that waiting alone does not help.
        stuck: Vec<String>,
    },
    /// No agent has the skills it needs.
    Skills {
        /// Those that no single agent has all of.
        skills: Vec<String>,
    },
    /// It is too early.
    Until {
        /// When it can start.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// The captain stopped everything.
    Halted,
    /// Too little memory is free.
    Memory {
        /// How much is free, in percent.
        free_percent: u8,
        /// How much must be.
        needed_percent: u8,
    },
    /// As many attempts run as are allowed at once.
    Limit {
        /// How many that is.
        running_max: u32,
    },
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dependencies { missions, stuck } if stuck.is_empty() => {
                write!(f, "waiting for {} to be done", missions.join(", "))
            }
            Self::Dependencies { stuck, .. } => write!(
                f,
                "waiting for {}, which will not be done by {}",
                stuck.join(", "),
                if stuck.len() == 1 { "itself" } else { "themselves" }
            ),
            Self::Skills { skills } => {
                write!(f, "waiting for an agent that can {}", skills.join(", "))
            }
            Self::Until { at } => write!(f, "waiting until {at:.0}"),
            Self::Halted => f.write_str("waiting: you stopped everything; resume the swarm"),
            Self::Memory { free_percent, needed_percent } => write!(
                f,
                "waiting for memory: {free_percent} % is free, {needed_percent} % must be"
            ),
            Self::NoAgent => f.write_str("waiting for an agent: there is none yet"),
            Self::NoFreeAgent => f.write_str("waiting for a free agent"),
            Self::AgentBusy { agent } => write!(f, "waiting for {agent} to be free"),
            Self::AgentPaused { agent } => write!(f, "waiting: {agent} is paused"),
            Self::AgentHeld { agent, until } => write!(
                f,
                "waiting until {until:.0}: {agent} failed again and again; resume it to let it start \
                 at once"
            ),
            Self::AgentLogin { agent } => write!(
                f,
                "waiting until {agent} is logged in: start it once in a terminal and log in, then \
                 resume it"
            ),
            Self::AgentAbsent { agent } => {
                write!(f, "waiting: {agent} runs elsewhere and is not heard of; start it")
            }
            Self::AgentRemoved => f.write_str("waiting: the chosen agent was removed"),
            Self::Limit { running_max } => {
                write!(f, "waiting: {running_max} attempts run, which is the limit")
            }
        }
    }
}
