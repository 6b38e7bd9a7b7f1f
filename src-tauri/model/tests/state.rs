//! The state of an agent in staged situations, by what is known of it.

use jiff::{SignedDuration, Timestamp};
use model::activity::{Activity, Phase};
use model::agent::{Agent, Conduct, Runtime};
use model::attempt::{Attempt, AttemptState};
use model::id::{AgentId, AttemptId, MissionId, SystemDraw};
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};
use model::status::{
    AgentFacts, AgentState, Confidence, Failing, HeldUntil, agent_status, span_in_words,
};

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn agent() -> Agent {
    Agent {
        id: AgentId::draw(START, &mut SystemDraw),
        name: "ada".into(),
        role: String::new(),
        skills: Vec::new(),
        runtime: Runtime::Command {
            program: "true".into(),
            args: Vec::new(),
            env: Default::default(),
            terminal: false,
        },
        directory: None,
        grace_s: 1,
        conduct: Conduct::default(),
        paused: false,
        demo: false,
        created_at: START,
    }
}

fn attempt(agent: &Agent, state: AttemptState) -> Attempt {
    let (id, mission) =
        (AttemptId::draw(START, &mut SystemDraw), MissionId::draw(START, &mut SystemDraw));
    let process = ProcessRef { pid: 7, start_ticks: 7 };
    let process = ProcessIdentity {
        shim: process,
        program: process,
        boot_id: "boot".into(),
        marker: "marker".into(),
        started_at: START,
    };
    Attempt { state, process: Some(process), ..Attempt::leased(id, mission, agent.id, 1, START) }
}

fn activity(phase: Phase) -> Activity {
    Activity {
        phase,
        since: at(5),
        last_event_at: Some(at(5)),
        tool: None,
        tool_since: None,
        said: None,
        turn: 1,
        context: None,
        usage: None,
        quiet_after_s: 120,
        stalled_after_s: 600,
    }
}

struct Stage<'a> {
    now: i64,
    change: &'a dyn Fn(&mut AgentFacts<'_>),
    attempt: Option<&'a Attempt>,
    activity: Option<Activity>,
}

/// The state in a situation: a running attempt whose processes live, changed as the stage says.
fn stage(stage: &Stage<'_>) -> (AgentState, String, Confidence, String) {
    let agent = agent();
    let running = attempt(&agent, AttemptState::Running);
    let mut facts = AgentFacts {
        agent: &agent,
        missing: None,
        attempt: Some(stage.attempt.unwrap_or(&running)),
        reviewing: false,
        alive: Some(true),
        held: false,
        cpu_idle_s: Some(0),
        last_output_at: None,
        at_prompt: false,
        heartbeat: None,
        activity: stage.activity.as_ref(),
        failing: None,
        free_since: START,
    };
    (stage.change)(&mut facts);
    let status = agent_status(&facts, at(stage.now));
    assert!(!status.reason.is_empty());
    (status.state, status.signal, status.confidence, status.reason)
}

fn of(now: i64, change: &dyn Fn(&mut AgentFacts<'_>)) -> (AgentState, String, Confidence) {
    let (state, signal, sure, _) = stage(&Stage { now, change, attempt: None, activity: None });
    (state, signal, sure)
}

fn said(now: i64, phase: Phase) -> (AgentState, String, Confidence, String) {
    let activity = Some(activity(phase));
    stage(&Stage { now, change: &|_| {}, attempt: None, activity })
}

fn expect(state: AgentState, signal: &str, sure: Confidence) -> (AgentState, String, Confidence) {
    (state, signal.to_owned(), sure)
}

use AgentState as S;
use Confidence::{Certain, Guess, Likely};

#[test]
fn an_agent_whose_process_was_killed_has_lost_its_signal() {
    let got = of(10, &|facts| facts.alive = Some(false));
    assert_eq!(got, expect(S::LostSignal, "process table", Certain));
}

#[test]
fn an_agent_whose_processes_are_held_from_outside_is_stalled_at_once() {
    let got = of(10, &|facts| facts.held = true);
    assert_eq!(got, expect(S::Stalled, "process table", Certain));
}

#[test]
fn an_agent_that_is_silent_but_computes_works() {
    let got = of(1_000, &|facts| facts.cpu_idle_s = Some(2));
    assert_eq!(got, expect(S::Working, "cpu", Likely));
}

#[test]
fn a_terminal_at_a_prompt_waits_for_the_captain_and_is_never_stalled() {
    let at_prompt = |now: i64, idle: u64| {
        of(now, &move |facts| {
            facts.at_prompt = true;
            facts.cpu_idle_s = Some(idle);
        })
    };
    assert_eq!(at_prompt(119, 119), expect(S::Working, "process table", Certain));
    assert_eq!(at_prompt(700, 700), expect(S::WaitingForCaptain, "output", Likely));
    assert_eq!(at_prompt(700, 0), expect(S::Working, "cpu", Likely), "it computes");
}

#[test]
fn silence_is_told_in_minutes_where_it_is_long() {
    let words = [7, 119, 120, 442, 3_600, 7_199, 7_200, 8_000].map(span_in_words);
    let wanted = ["7 s", "119 s", "2 min", "7 min", "60 min", "119 min", "2 h", "2 h 13 min"];
    assert_eq!(words, wanted);
    let idle = |facts: &mut AgentFacts<'_>| facts.cpu_idle_s = Some(442);
    let stage = Stage { now: 442, change: &idle, attempt: None, activity: None };
    assert_eq!(self::stage(&stage).3, "no sign of it for 7 min");
}

#[test]
fn an_agent_that_has_to_be_logged_in_waits_for_the_captain_with_what_it_said() {
    let agent = agent();
    let exit = ExitRecord::bare(Exit::NoLogin { reason: "401".to_owned() }, START);
    let last = Attempt { exit: Some(exit), ..attempt(&agent, AttemptState::Rejected) };
    let failing = Failing::of(&[last], START).unwrap();
    let failing = Failing { until: Some(HeldUntil::LoggedIn), ..failing };
    let facts = AgentFacts {
        agent: &agent,
        missing: None,
        attempt: None,
        reviewing: false,
        alive: None,
        held: false,
        cpu_idle_s: None,
        last_output_at: None,
        at_prompt: false,
        heartbeat: None,
        activity: None,
        failing: Some(&failing),
        free_since: START,
    };
    let status = agent_status(&facts, at(10));
    assert_eq!((status.state, status.since), (S::WaitingForCaptain, START));
    assert!(status.reason.contains("log in") && status.reason.ends_with("401"), "{status:?}");
}

#[test]
fn an_agent_that_prints_and_computes_nothing_is_quiet_and_then_stalled() {
    let idle = |now, idle_s| of(now, &move |facts| facts.cpu_idle_s = idle_s);
    assert_eq!(idle(119, Some(119)), expect(S::Working, "process table", Certain));
    assert_eq!(idle(130, Some(130)), expect(S::Quiet, "process table", Likely));
    assert_eq!(idle(600, Some(600)), expect(S::Stalled, "process table", Likely));
    assert_eq!(idle(600, None), expect(S::Stalled, "process table", Guess));
}

#[test]
fn an_agent_that_prints_works_whatever_it_prints() {
    // A forged "mission complete" is output like any other.
    let got = of(1_000, &|facts| {
        facts.last_output_at = Some(at(995));
        facts.cpu_idle_s = Some(500);
    });
    assert_eq!(got, expect(S::Working, "output", Certain));
}

#[test]
fn an_agent_that_asks_waits_for_the_captain_however_long() {
    let (state, signal, sure, reason) = said(5_000, Phase::Asking { open: 2 });
    assert_eq!((state, signal.as_str(), sure), (S::WaitingForCaptain, "protocol", Certain));
    assert!(reason.contains("2 things"), "{reason}");
}

#[test]
fn an_agent_whose_provider_limits_it_is_paused_until_then() {
    let limited = Phase::Limited { until: Some(at(90)), said: "429 too many requests".into() };
    let (state, signal, sure, reason) = said(600, limited.clone());
    assert_eq!((state, signal.as_str(), sure), (S::Paused, "protocol", Likely));
    assert!(reason.contains("1970-01-01T00:01:30Z") && reason.contains("429"), "{reason}");
    assert_ne!(said(700, limited).0, S::Paused, "it should have gone on ten minutes ago");
}

#[test]
fn an_agent_that_was_started_and_has_not_answered_is_starting() {
    assert_eq!(said(30, Phase::Opening).0, S::Starting);
}

#[test]
fn an_agent_that_uses_a_tool_for_long_says_which_one() {
    let mut activity = activity(Phase::Turn);
    activity.tool = Some("cargo test".into());
    activity.tool_since = Some(at(5));
    let (state, _, _, reason) =
        stage(&Stage { now: 205, change: &|_| {}, attempt: None, activity: Some(activity) });
    assert_eq!(state, S::Working, "its processes compute");
    assert!(reason.contains("uses 'cargo test' since 3 min"), "{reason}");
}

#[test]
fn an_agent_that_is_stopped_or_held_by_the_captain_says_so() {
    let agent = agent();
    let stopping = Attempt { stopping: true, ..attempt(&agent, AttemptState::Running) };
    let frozen = Attempt { frozen: true, ..attempt(&agent, AttemptState::Running) };
    let state = |attempt: &Attempt| {
        stage(&Stage { now: 900, change: &|_| {}, attempt: Some(attempt), activity: None }).0
    };
    assert_eq!(state(&stopping), S::Stopping);
    assert_eq!(state(&frozen), S::Paused);
}

#[test]
fn an_agent_whose_work_is_checked_works_and_one_without_a_mission_is_idle() {
    let agent = agent();
    let record = ExitRecord {
        exit: Exit::Code { code: 0 },
        ended_at: at(40),
        cpu_ms: 0,
        memory_peak_bytes: 0,
        survivors: Vec::new(),
        given_up_bytes: 0,
        redacted: 0,
    };
    let verifying = Attempt { exit: Some(record), ..attempt(&agent, AttemptState::Verifying) };
    let got = stage(&Stage { now: 50, change: &|_| {}, attempt: Some(&verifying), activity: None });
    assert_eq!((got.0, got.1.as_str()), (S::Working, "attempt"));
    assert_eq!(of(50, &|facts| facts.attempt = None), expect(S::Idle, "attempt", Certain));
}

#[test]
fn an_agent_whose_program_is_missing_is_offline() {
    let got = of(50, &|facts| {
        facts.attempt = None;
        facts.missing = Some("there is no program 'goose'");
    });
    assert_eq!(got, expect(S::Offline, "program", Certain));
}

#[test]
fn an_agent_that_was_taken_over_is_not_called_dead_before_it_was_looked_for() {
    let got = of(1, &|facts| {
        facts.alive = None;
        facts.cpu_idle_s = None;
    });
    assert_eq!(got, expect(S::Working, "process table", Guess));
}

#[test]
fn an_agent_that_failed_five_times_within_ten_minutes_is_crash_looping() {
    let agent = agent();
    let failed = |minute: i64| Attempt {
        ended_at: Some(at(60 * minute)),
        note: Some("exit code 1".into()),
        ..attempt(&agent, AttemptState::Rejected)
    };
    let newest_first: Vec<Attempt> = (0..5).rev().map(failed).collect();
    let failing = Failing::of(&newest_first, at(300)).unwrap();
    assert_eq!((failing.times, failing.last.as_str()), (5, "exit code 1"));
    assert_eq!(Failing::of(&newest_first[1..], at(300)), None, "four are not enough");
    assert_eq!(Failing::of(&newest_first, at(3_600)), None, "long ago");
    let got = of(300, &|facts| {
        facts.attempt = None;
        let failing = Box::leak(Box::new(failing.clone()));
        facts.failing = Some(failing);
    });
    assert_eq!(got, expect(S::CrashLooping, "attempt", Certain));
}
