//! The pure core, walked by hand and at random. No clock, no file, no process.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

use jiff::Timestamp;
use model::agent::{Agent, Runtime};
use model::attempt::AttemptState;
use model::effect::Effect;
use model::event::Fact;
use model::gate::{GateResult, GateSpec, Grade, Verdict};
use model::id::{AgentId, AttemptId, Draw, MissionId, ShortId};
use model::mission::{Mission, MissionState, Policy, Priority};
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};
use model::refusal::{Code, Refusal};
use model::transition::{MISSION_TABLE, MissionInput};
use orchestrator::Input;
use orchestrator::decide::{Decision, decide};
use orchestrator::state::State;
use proptest::prelude::*;

/// Counts up, so that every run of a test draws the same ids.
struct Count(u64);

impl Draw for Count {
    fn bytes(&mut self) -> [u8; 10] {
        self.0 += 1;
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// A state with what it takes to go on.
struct World {
    state: State,
    draw: Count,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let state = State { running_max: 100, ..State::default() };
        Self { state, draw: Count(0), now: Timestamp::UNIX_EPOCH }
    }

    /// Decides, and folds the facts in as the loop does once they are recorded.
    fn tell(&mut self, input: Input) -> Result<Decision, Refusal> {
        let decision = decide(&self.state, input, self.now, &mut self.draw)?;
        for (_, fact) in &decision.facts {
            self.state.apply(fact);
        }
        Ok(decision)
    }

    fn agent(&mut self, name: &str) -> AgentId {
        let id = AgentId::draw(self.now, &mut self.draw);
        let agent = Agent {
            id,
            name: name.to_owned(),
            role: String::new(),
            skills: Vec::new(),
            runtime: Runtime::Command {
                program: "true".to_owned(),
                args: Vec::new(),
                env: Default::default(),
            },
            directory: None,
            grace_s: 1,
            paused: false,
            demo: false,
            created_at: self.now,
        };
        self.tell(Input::AddAgent(agent)).unwrap();
        id
    }

    fn mission(&mut self, change: impl FnOnce(&mut Mission)) -> MissionId {
        let id = MissionId::draw(self.now, &mut self.draw);
        let mut mission = Mission {
            id,
            short_id: ShortId::derive(id, 4),
            title: "t".to_owned(),
            state: MissionState::Draft,
            note: None,
            priority: Priority::Normal,
            policy: Policy::Standard,
            agent: None,
            repository: None,
            gates: vec![GateSpec::parse("command: true").unwrap()],
            retries_max: 0,
            attempts: 0,
            tries: 0,
            grade: Grade::None,
            demo: false,
            created_at: self.now,
            updated_at: self.now,
        };
        change(&mut mission);
        self.tell(Input::AddMission { mission, brief: "b".to_owned(), queue: true }).unwrap();
        id
    }

    fn lease(&mut self) -> Option<(MissionId, AttemptId)> {
        let decision = self.tell(Input::Schedule).unwrap();
        decision.effects.first().map(|effect| match effect {
            Effect::Start { mission_id, attempt_id } => (*mission_id, *attempt_id),
            other => panic!("scheduling sets off {other:?}"),
        })
    }

    /// Takes an attempt through to its verification.
    fn work(&mut self, id: AttemptId, exit: Exit) {
        self.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
        self.tell(Input::Started { id, process: process() }).unwrap();
        self.tell(Input::Exited { id, record: record(exit) }).unwrap();
    }

    fn stands(&self, id: MissionId) -> MissionState {
        self.state.missions[&id].state
    }
}

fn workplace() -> model::attempt::Workplace {
    model::attempt::Workplace {
        directory: "/x".to_owned(),
        branch: None,
        base_commit: None,
        uncommitted_files: 0,
    }
}

fn process() -> ProcessIdentity {
    let one = ProcessRef { pid: 1, start_ticks: 1 };
    ProcessIdentity {
        shim: one,
        program: one,
        boot_id: "b".to_owned(),
        marker: "m".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn record(exit: Exit) -> ExitRecord {
    ExitRecord {
        exit,
        ended_at: Timestamp::UNIX_EPOCH,
        cpu_ms: 0,
        memory_peak_bytes: 0,
        survivors: Vec::new(),
    }
}

fn gate(verdict: Verdict) -> GateResult {
    GateResult {
        index: 0,
        gate: GateSpec::parse("command: true").unwrap(),
        verdict,
        exit_code: None,
        reason: "said so".to_owned(),
        output: String::new(),
        output_bytes: 0,
        commit: None,
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 0,
    }
}

#[test]
fn what_an_attempt_came_to_follows_from_its_exit_its_gates_and_the_policy() {
    use MissionState::{Done, Failed, InReview};
    let check = |policy, gates: &[Verdict], exit, state, grade| {
        let mut world = World::new();
        world.agent("ann");
        let id = world.mission(|mission| {
            mission.policy = policy;
            mission.gates.resize(gates.len(), mission.gates[0].clone());
        });
        let (_, attempt) = world.lease().unwrap();
        world.work(attempt, exit);
        let gates = gates.iter().map(|verdict| gate(*verdict)).collect();
        world.tell(Input::Verified { id: attempt, gates, problem: None }).unwrap();
        let mission = &world.state.missions[&id];
        assert_eq!((mission.state, mission.grade), (state, grade), "{policy:?} {:?}", mission.note);
    };
    let ok = Exit::Code { code: 0 };
    let (yes, no) = (Verdict::Passed, Verdict::Failed);
    check(Policy::Standard, &[yes], ok.clone(), Done, Grade::Observed);
    check(Policy::Standard, &[yes, yes], ok.clone(), Done, Grade::Observed);
    check(Policy::Standard, &[], ok.clone(), InReview, Grade::SelfReport);
    check(Policy::Trusting, &[], ok.clone(), Done, Grade::SelfReport);
    check(Policy::Trusting, &[no], ok.clone(), Failed, Grade::None);
    check(Policy::Strict, &[yes], ok.clone(), InReview, Grade::Observed);
    check(Policy::Standard, &[yes, no], ok.clone(), Failed, Grade::None);
    check(Policy::Standard, &[Verdict::TimedOut], ok.clone(), Failed, Grade::None);
    check(Policy::Standard, &[Verdict::Broken], ok, Failed, Grade::None);
    check(Policy::Trusting, &[], Exit::Code { code: 1 }, Failed, Grade::None);
    check(Policy::Trusting, &[], Exit::Signal { signal: 9 }, Failed, Grade::None);
    let lost = Exit::Lost { reason: "gone".to_owned() };
    check(Policy::Trusting, &[], lost, Failed, Grade::None);
}

#[test]
fn what_is_told_twice_is_recorded_once() {
    let mut world = World::new();
    world.agent("a");
    world.mission(|_| {});
    let (_, id) = world.lease().unwrap();
    world.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
    for input in [
        Input::Started { id, process: process() },
        Input::Exited { id, record: record(Exit::Code { code: 0 }) },
    ] {
        assert_ne!(world.tell(input.clone()).unwrap(), Decision::default());
        assert_eq!(world.tell(input).unwrap(), Decision::default());
    }
}

#[test]
fn gates_that_were_not_all_run_are_not_enough() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| mission.gates.push(mission.gates[0].clone()));
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    let gates = vec![gate(Verdict::Passed)];
    world.tell(Input::Verified { id: attempt, gates, problem: None }).unwrap();
    assert_eq!(world.stands(id), MissionState::Failed);
}

#[test]
fn the_more_urgent_mission_goes_first_then_the_older() {
    let mut world = World::new();
    let older = world.mission(|_| {});
    let newer = world.mission(|_| {});
    let urgent = world.mission(|mission| mission.priority = Priority::Urgent);
    let mut order = Vec::new();
    for name in ["a", "b", "c"] {
        world.agent(name);
        order.push(world.lease().unwrap().0);
    }
    assert_eq!(order, [urgent, older, newer]);
}

#[test]
fn an_agent_works_on_one_mission_at_a_time_and_only_on_its_own() {
    let mut world = World::new();
    let ann = world.agent("ann");
    let bob = world.agent("bob");
    let first = world.mission(|mission| mission.agent = Some(bob));
    let second = world.mission(|mission| mission.agent = Some(bob));
    assert_eq!(world.lease().unwrap().0, first);
    assert_eq!(world.lease(), None, "bob is busy and ann was not chosen");
    assert_eq!(world.stands(second), MissionState::Queued);
    let refused = world.tell(Input::RemoveAgent(bob)).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    world.tell(Input::RemoveAgent(ann)).unwrap();
}

#[test]
fn cancelling_a_running_mission_stops_its_attempt_once_and_keeps_the_agent_until_it_is_gone() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.tell(Input::Prepared { id: attempt, workplace: workplace() }).unwrap();
    world.tell(Input::Started { id: attempt, process: process() }).unwrap();
    let cancel = |input| Input::Ask { id, input, note: None };
    let decision = world.tell(cancel(MissionInput::Cancel)).unwrap();
    assert_eq!(decision.effects, [Effect::Stop { attempt_id: attempt }]);
    assert_eq!(world.stands(id), MissionState::Cancelled);
    let other = world.mission(|_| {});
    assert_eq!(world.lease(), None, "the agent is still being stopped");
    assert_eq!(world.tell(cancel(MissionInput::Retry)).unwrap_err().code, Code::Conflict);
    let late = world.tell(Input::Exited { id: attempt, record: record(Exit::Code { code: 0 }) });
    assert_eq!(late.unwrap(), Decision::default(), "its exit is the stop's to tell");
    let stopped = record(Exit::Stopped { killed: true });
    let problem = Some("its work is kept in /x but not committed".to_owned());
    let decision = world.tell(Input::Stopped { id: attempt, record: stopped, problem }).unwrap();
    let said = decision.facts.iter().find_map(|(_, fact)| match fact {
        Fact::AttemptEnded { note, .. } => note.clone(),
        _ => None,
    });
    assert!(said.unwrap().ends_with("; its work is kept in /x but not committed"));
    world.state.forget_finished();
    assert_eq!(world.lease().map(|leased| leased.0), Some(other));
}

#[test]
fn a_late_result_is_kept_as_late_and_never_applied() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| mission.gates.clear());
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.tell(Input::Verified { id: attempt, gates: Vec::new(), problem: None }).unwrap();
    world.state.forget_finished();
    let late = Input::Exited { id: attempt, record: record(Exit::Code { code: 7 }) };
    let decision = world.tell(late).unwrap();
    assert!(matches!(decision.facts[..], [(_, Fact::ResultLate { .. })]));
    assert_eq!(world.stands(id), MissionState::InReview);
}

#[test]
fn a_mission_that_waits_says_for_what() {
    use model::status::Waiting;
    let mut world = World::new();
    let id = world.mission(|_| {});
    let waiting = |world: &World| {
        let agents: Vec<_> = world.state.agents.values().cloned().collect();
        let attempts: Vec<_> = world.state.attempts.values().cloned().collect();
        let mission = &world.state.missions[&id];
        orchestrator::schedule::waiting(mission, &agents, &attempts, world.state.running_max)
    };
    assert_eq!(waiting(&world), Some(Waiting::NoAgent));
    let ann = world.agent("ann");
    assert_eq!(waiting(&world), None, "it is about to start");
    world.tell(Input::HoldAgent { id: ann, paused: true }).unwrap();
    assert_eq!(waiting(&world), Some(Waiting::NoFreeAgent));
    world.tell(Input::Assign { id, agent: Some(ann) }).unwrap();
    let paused = Waiting::AgentPaused { agent: "ann".to_owned() };
    assert_eq!(waiting(&world), Some(paused));
    world.tell(Input::RemoveAgent(ann)).unwrap();
    assert_eq!(waiting(&world), Some(Waiting::AgentRemoved));
}

/// What a random walk does next; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Agent,
    Mission(u32, u8),
    Schedule,
    Ask(usize, usize),
    Prepared(usize),
    Started(usize),
    Exited(usize, i32),
    Verified(usize, bool),
    Stopped(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Agent),
        2 => (0..3u32, 0..3u8).prop_map(|(retries, policy)| Step::Mission(retries, policy)),
        4 => Just(Step::Schedule),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(which, input)| Step::Ask(which, input)),
        3 => any::<usize>().prop_map(Step::Prepared),
        3 => any::<usize>().prop_map(Step::Started),
        3 => (any::<usize>(), 0..2i32).prop_map(|(which, code)| Step::Exited(which, code)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, pass)| Step::Verified(which, pass)),
        2 => any::<usize>().prop_map(Step::Stopped),
    ]
}

fn input(world: &mut World, step: &Step) -> Option<Input> {
    fn pick<T: Copy>(all: &[T], which: usize) -> Option<T> {
        (!all.is_empty()).then(|| all[which % all.len()])
    }
    let attempts: Vec<_> = world.state.attempts.keys().copied().collect();
    let missions: Vec<_> = world.state.missions.keys().copied().collect();
    Some(match step {
        Step::Agent => {
            let name = format!("agent {}", world.draw.0);
            world.agent(&name);
            return None;
        }
        Step::Mission(retries, policy) => {
            world.mission(|mission| {
                mission.retries_max = *retries;
                mission.policy =
                    [Policy::Trusting, Policy::Standard, Policy::Strict][usize::from(*policy)];
            });
            return None;
        }
        Step::Schedule => Input::Schedule,
        Step::Ask(which, input) => Input::Ask {
            id: pick(&missions, *which)?,
            input: MissionInput::ALL[input % MissionInput::ALL.len()],
            note: None,
        },
        Step::Prepared(which) => {
            Input::Prepared { id: pick(&attempts, *which)?, workplace: workplace() }
        }
        Step::Started(which) => Input::Started { id: pick(&attempts, *which)?, process: process() },
        Step::Exited(which, code) => {
            let record = record(Exit::Code { code: *code });
            Input::Exited { id: pick(&attempts, *which)?, record }
        }
        Step::Verified(which, pass) => {
            let verdict = if *pass { Verdict::Passed } else { Verdict::Failed };
            Input::Verified {
                id: pick(&attempts, *which)?,
                gates: vec![gate(verdict)],
                problem: None,
            }
        }
        Step::Stopped(which) => {
            let record = record(Exit::Stopped { killed: false });
            Input::Stopped { id: pick(&attempts, *which)?, record, problem: None }
        }
    })
}

/// The invariants that hold whatever came in.
fn check(before: &State, world: &World, decision: &Decision) {
    for (_, fact) in &decision.facts {
        if let Fact::MissionMoved { mission_id, from, to, grade, .. } = fact {
            let listed = MISSION_TABLE.iter().any(|rule| rule.from == *from && rule.to == *to);
            assert!(listed, "{from} to {to} is not in the table");
            if *to == MissionState::Done {
                let policy = before.missions[mission_id].policy;
                assert!(*grade >= policy.grade_needed(), "done without the evidence it needs");
            }
        }
    }
    for agent in world.state.agents.keys() {
        let busy =
            world.state.attempts.values().filter(|a| a.agent_id == *agent && !a.state.is_final());
        assert!(busy.count() <= 1, "an agent has two attempts");
    }
    for mission in world.state.missions.values() {
        let live = world
            .state
            .attempts
            .values()
            .filter(|a| a.mission_id == mission.id && !a.state.is_final());
        let live: Vec<_> = live.collect();
        assert!(live.len() <= 1, "a mission has two live leases");
        assert!(mission.tries <= mission.retries_max + 1, "more tries than were asked for");
        if mission.state.has_live_attempt() {
            assert_eq!(live.len(), 1, "{} without an attempt", mission.state);
            assert!(!live[0].stopping, "{} with an attempt being stopped", mission.state);
        }
        if mission.state == MissionState::Running {
            assert_eq!(live[0].state, AttemptState::Running);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_in_the_invariants_hold_and_replaying_the_facts_gives_the_same_state(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        let mut replayed = State { running_max: 100, ..State::default() };
        for step in steps {
            let draws = world.draw.0;
            let before = world.state.clone();
            let Some(input) = input(&mut world, &step) else {
                replayed = world.state.clone();
                continue;
            };
            let again = decide(&world.state, input.clone(), world.now, &mut Count(draws));
            let Ok(decision) = world.tell(input) else {
                prop_assert!(again.is_err());
                prop_assert_eq!(&before, &world.state, "a refusal changes nothing");
                continue;
            };
            prop_assert_eq!(&again.unwrap(), &decision, "the same input gives the same decision");
            check(&before, &world, &decision);
            for (_, fact) in &decision.facts {
                replayed.apply(fact);
            }
            prop_assert_eq!(&replayed, &world.state);
            world.state.forget_finished();
            replayed.forget_finished();
        }
    }
}
