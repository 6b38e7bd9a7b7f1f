//! A small world in which the pure core decides: no clock, no file, no process.

use jiff::{SignedDuration, Timestamp};
use model::agent::{Agent, Runtime};
use model::attempt::{Attempt, Work};
use model::effect::Effect;
use model::event::Fact;
use model::gate::{GateResult, GateSpec, Verdict};
use model::id::{AgentId, AttemptId, Draw, MissionId};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};
use model::refusal::Refusal;
use model::transition::MissionInput;
use orchestrator::decide::{Decision, decide};
use orchestrator::state::State;
use orchestrator::{Cycle, Input, Wish};

/// Counts up, so that every run of a test draws the same ids.
pub(crate) struct Count(pub(crate) u64);

impl Draw for Count {
    fn bytes(&mut self) -> [u8; 10] {
        self.0 += 1;
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// A state with what it takes to go on.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) draw: Count,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn new() -> Self {
        let state = State::new(100);
        Self { state, draw: Count(0), now: Timestamp::UNIX_EPOCH }
    }

    /// Decides, and folds the facts in as the loop does once they are recorded.
    pub(crate) fn tell(&mut self, input: Input) -> Result<Decision, Refusal> {
        let decision = decide(&self.state, input, self.now, &mut self.draw)?;
        for (_, fact) in &decision.facts {
            self.state.apply(fact);
        }
        Ok(decision)
    }

    pub(crate) fn agent(&mut self, name: &str) -> AgentId {
        self.agent_with(name, &[])
    }

    pub(crate) fn agent_with(&mut self, name: &str, skills: &[&str]) -> AgentId {
        let id = AgentId::draw(self.now, &mut self.draw);
        let agent = Agent {
            id,
            name: name.to_owned(),
            role: String::new(),
            skills: skills.iter().map(|skill| (*skill).to_owned()).collect(),
            runtime: Runtime::Command {
                terminal: false,
                program: "true".to_owned(),
                args: Vec::new(),
                env: Default::default(),
            },
            directory: None,
            grace_s: 1,
            conduct: model::agent::Conduct::default(),
            paused: false,
            demo: false,
            created_at: self.now,
        };
        self.tell(Input::AddAgent(agent)).unwrap();
        id
    }

    pub(crate) fn mission(&mut self, change: impl FnOnce(&mut Mission)) -> MissionId {
        let id = MissionId::draw(self.now, &mut self.draw);
        let mut mission = Mission {
            gates: vec![GateSpec::parse("command: true").unwrap()],
            ..Mission::draft(id, "t", self.now)
        };
        change(&mut mission);
        self.tell(Input::AddMission { mission, brief: "b".to_owned(), queue: true }).unwrap();
        id
    }

    pub(crate) fn lease(&mut self) -> Option<(MissionId, AttemptId)> {
        let decision = self.tell(Input::Schedule(Cycle::default())).unwrap();
        self.state.forget_finished();
        decision.effects.first().map(|effect| match effect {
            Effect::Start { mission_id, attempt_id } => (*mission_id, *attempt_id),
            other => panic!("scheduling sets off {other:?}"),
        })
    }

    /// Takes an attempt to where its program runs.
    pub(crate) fn start(&mut self, id: AttemptId) {
        self.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
        self.tell(Input::Started { id, process: process() }).unwrap();
    }

    /// Takes an attempt through to its verification.
    pub(crate) fn work(&mut self, id: AttemptId, exit: Exit) {
        self.start(id);
        self.tell(Input::Exited { id, record: record(exit) }).unwrap();
    }

    /// Takes a verified attempt's gates as found, and judges it.
    pub(crate) fn verify(&mut self, id: AttemptId, results: Vec<GateResult>) -> Decision {
        for result in results {
            self.tell(Input::GateFinished { id, result }).unwrap();
        }
        self.tell(Input::Verified { id, problem: None }).unwrap()
    }

    /// Leases the next mission, and takes it through with every gate of the engine passed.
    pub(crate) fn finish(&mut self) -> (MissionId, AttemptId) {
        let (mission, attempt) = self.lease().unwrap();
        self.work(attempt, Exit::Code { code: 0 });
        self.verify(attempt, vec![gate(Verdict::Passed)]);
        (mission, attempt)
    }

    /// Asks something of a mission.
    pub(crate) fn ask(&mut self, id: MissionId, input: MissionInput) -> Result<Decision, Refusal> {
        self.tell(Input::Ask { id, wish: Wish::new(input) })
    }

    /// Asks something of a mission, with words.
    pub(crate) fn ask_saying(
        &mut self,
        id: MissionId,
        input: MissionInput,
        note: &str,
    ) -> Result<Decision, Refusal> {
        let wish = Wish { note: Some(note.to_owned()), ..Wish::new(input) };
        self.tell(Input::Ask { id, wish })
    }

    pub(crate) fn pass_time(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn attempt(&self, id: AttemptId) -> &Attempt {
        &self.state.attempts[&id]
    }

    pub(crate) fn stands(&self, id: MissionId) -> MissionState {
        self.state.missions[&id].state
    }
}

pub(crate) fn workplace() -> model::attempt::Workplace {
    model::attempt::Workplace {
        directory: "/x".to_owned(),
        branch: None,
        base_commit: None,
        uncommitted_files: 0,
    }
}

pub(crate) fn process() -> ProcessIdentity {
    let one = ProcessRef { pid: 1, start_ticks: 1 };
    ProcessIdentity {
        shim: one,
        program: one,
        boot_id: "b".to_owned(),
        marker: "m".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn record(exit: Exit) -> ExitRecord {
    ExitRecord::bare(exit, Timestamp::UNIX_EPOCH)
}

pub(crate) fn gate(verdict: Verdict) -> GateResult {
    GateResult {
        index: 0,
        gate: GateSpec::parse("command: true").unwrap(),
        verdict,
        exit_code: None,
        reason: "said so".to_owned(),
        output: String::new(),
        output_bytes: 0,
        commit: None,
        tree: None,
        checks: None,
        by: None,
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 0,
    }
}

/// What an attempt left at a commit.
pub(crate) fn work_at(commit: &str) -> Work {
    Work {
        head_commit: commit.to_owned(),
        commits: Vec::new(),
        tree: Some(format!("tree of {commit}")),
        diff: Default::default(),
        rescued_files: 0,
    }
}

/// A gate's result for what was at a commit.
pub(crate) fn gate_at(line: &str, index: u32, verdict: Verdict, commit: &str) -> GateResult {
    GateResult {
        index,
        gate: GateSpec::parse(line).unwrap(),
        commit: Some(commit.to_owned()),
        tree: Some(format!("tree of {commit}")),
        ..gate(verdict)
    }
}

/// The first fact of a decision that fits.
pub(crate) fn find<T>(decision: &Decision, fits: impl Fn(&Fact) -> Option<T>) -> Option<T> {
    decision.facts.iter().find_map(|(_, fact)| fits(fact))
}
