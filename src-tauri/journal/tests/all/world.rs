//! A small workspace: two agents, and missions that run through the whole table.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::agent::{Agent, Runtime};
use model::attempt::{Attempt, AttemptState, Commit, DiffStat, Work, Workplace};
use model::clock::{Clock, ManualClock};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::gate::{GateResult, GateSpec, Grade, Verdict};
use model::id::{AgentId, AttemptId, EventId, MissionId, ShortId, SystemDraw};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};
use model::signal::{SeriesKey, Tick};
use store::telemetry::{Recorded, Telemetry};
use store::{Change, DataDir, Ledger};

/// Friday morning, UTC.
pub(crate) fn start() -> Timestamp {
    "2026-11-20T09:58:00Z".parse().unwrap()
}

pub(crate) fn mission_id(n: u8) -> MissionId {
    format!("0198c0de-0000-7000-8000-0000000001{n:02x}").parse().unwrap()
}

pub(crate) fn attempt_id(n: u8) -> AttemptId {
    format!("0198c0de-0000-7000-8000-0000000002{n:02x}").parse().unwrap()
}

pub(crate) fn agent_id(n: u8) -> AgentId {
    format!("0198c0de-0000-7000-8000-0000000003{n:02x}").parse().unwrap()
}

/// How an attempt comes out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    GateFails,
    Lost,
}

/// The texts of a mission that others write.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) brief: String,
    pub(crate) command: String,
    pub(crate) reason: String,
    pub(crate) output: String,
    pub(crate) subject: String,
    pub(crate) branch: String,
    pub(crate) note: String,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            title: "Fix the parser".into(),
            brief: "Make `cargo test` pass.\n".into(),
            command: "cargo test".into(),
            reason: "it exited with code 101".into(),
            output: "running 2 tests\ntest a ... ok\ntest b ... FAILED\n".into(),
            subject: "parser: read empty lines".into(),
            branch: "hive/M-0001/1".into(),
            note: "a gate did not pass".into(),
        }
    }
}

pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) telemetry: Telemetry,
    pub(crate) clock: Arc<ManualClock>,
    _dir: DataDir,
    _home: tempfile::TempDir,
}

impl World {
    pub(crate) async fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&home.path().join("data")).unwrap();
        let clock = Arc::new(ManualClock::new(start()));
        let ledger = Ledger::open(&dir, clock.clone()).await.unwrap();
        let telemetry = Telemetry::open(&dir, clock.clone()).await.unwrap();
        Self { ledger, telemetry, clock, _dir: dir, _home: home }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub(crate) async fn facts(&self, subject: Subject, facts: Vec<Fact>) {
        let events = facts.into_iter().map(|fact| NewEvent {
            id: EventId::draw(self.now(), &mut SystemDraw),
            at: self.now(),
            actor: Actor::Engine,
            correlation_id: None,
            subject,
            fact,
        });
        self.ledger.commit(Change::events(events.collect())).await.unwrap();
    }

    pub(crate) async fn add_agent(&self, n: u8, name: &str) {
        let agent = Agent {
            id: agent_id(n),
            name: name.to_owned(),
            role: "writes code".into(),
            skills: Vec::new(),
            runtime: Runtime::Command {
                terminal: false,
                program: "sh".into(),
                args: Vec::new(),
                env: [("TOKEN".to_owned(), "planted-secret".to_owned())].into(),
            },
            directory: None,
            grace_s: 10,
            conduct: model::agent::Conduct::default(),
            paused: false,
            demo: false,
            created_at: self.now(),
        };
        let subject = Subject { agent_id: Some(agent.id), ..Subject::default() };
        self.facts(subject, vec![Fact::AgentAdded { agent }]).await;
    }

    pub(crate) async fn add_mission(&self, n: u8, words: &Words) {
        let id = mission_id(n);
        let mission = Mission {
            short_id: ShortId::derive(id, 4),
            state: MissionState::Queued,
            repository: Some("/home/captain/project".into()),
            gates: vec![gate(words)],
            retries_max: 1,
            ..Mission::draft(id, words.title.clone(), self.now())
        };
        let subject = Subject { mission_id: Some(id), ..Subject::default() };
        let brief = words.brief.clone();
        self.facts(subject, vec![Fact::MissionCreated { mission, brief }]).await;
    }

    /// One attempt of a mission from its lease to its end, `n` being the attempt's number.
    pub(crate) async fn attempt(
        &self,
        (mission, attempt, agent, n): (u8, u8, u8, u32),
        words: &Words,
        ending: Ending,
        last: bool,
    ) {
        let (mission_id, attempt_id, agent_id) =
            (mission_id(mission), attempt_id(attempt), agent_id(agent));
        let subject = Subject {
            mission_id: Some(mission_id),
            attempt_id: Some(attempt_id),
            agent_id: Some(agent_id),
        };
        let moved = |from, to, grade| Fact::MissionMoved {
            mission_id,
            from,
            to,
            note: None,
            grade,
            tries: n,
            recoveries: 0,
            not_before: None,
        };
        let leased = leased(subject, n, self.now());
        let leased = vec![
            Fact::AttemptLeased { attempt: leased },
            moved(MissionState::Queued, MissionState::Assigned, Grade::None),
        ];
        self.facts(subject, leased).await;
        self.pass(1);
        let process = identity(self.now());
        let workplace = Workplace {
            directory: "/data/worktrees/1".into(),
            branch: Some(words.branch.clone()),
            base_commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
            uncommitted_files: 2,
        };
        let started = vec![
            Fact::AttemptPrepared { attempt_id, workplace },
            Fact::AttemptStarted { attempt_id, process },
            moved(MissionState::Assigned, MissionState::Running, Grade::None),
        ];
        self.facts(subject, started).await;
        self.measure(agent_id, 20);
        let mut facts = match ending {
            Ending::Lost => Vec::new(),
            Ending::Done | Ending::GateFails => self.finish(attempt_id, words, ending),
        };
        let running = match ending {
            Ending::Lost => MissionState::Running,
            _ => {
                facts.insert(1, moved(MissionState::Running, MissionState::Verifying, Grade::None));
                MissionState::Verifying
            }
        };
        let (state, to, grade) = match (ending, last) {
            (Ending::Done, _) => (AttemptState::Accepted, MissionState::Done, Grade::Observed),
            (Ending::GateFails, true) => {
                (AttemptState::Rejected, MissionState::Failed, Grade::None)
            }
            (Ending::GateFails, false) => {
                (AttemptState::Rejected, MissionState::Queued, Grade::None)
            }
            (Ending::Lost, _) => (AttemptState::Lost, MissionState::Failed, Grade::None),
        };
        let note = (ending != Ending::Done).then(|| words.note.clone());
        facts.push(Fact::AttemptEnded { attempt_id, state, note });
        facts.push(moved(running, to, grade));
        self.pass(4);
        self.facts(subject, facts).await;
        self.telemetry.flush().await.unwrap();
    }

    /// Twenty seconds of samples with a gap in the middle; moves the clock along.
    fn measure(&self, agent: AgentId, seconds: i64) {
        for second in 0..seconds {
            self.pass(1);
            if (8..14).contains(&second) {
                continue;
            }
            let key = |name: &str| SeriesKey::with(name, "agent", agent.to_string());
            let busy = if second < 8 { 90.0 } else { 30.0 };
            let tick = Tick {
                at: self.now(),
                samples: vec![
                    (key("agent_cpu_percent"), busy),
                    (key("agent_memory_bytes"), 52_428_800.0),
                ],
            };
            assert_eq!(self.telemetry.record(tick), Recorded::Taken);
        }
    }

    fn finish(&self, attempt_id: AttemptId, words: &Words, ending: Ending) -> Vec<Fact> {
        let record = ExitRecord {
            cpu_ms: 12_340,
            memory_peak_bytes: 41_943_040,
            ..ExitRecord::bare(Exit::Code { code: 0 }, self.now())
        };
        let work = Work {
            head_commit: "fedcba9876543210fedcba9876543210fedcba98".into(),
            commits: vec![Commit {
                hash: "fedcba9876543210fedcba9876543210fedcba98".into(),
                subject: words.subject.clone(),
            }],
            tree: None,
            diff: DiffStat { files: 2, insertions: 31, deletions: 4 },
            rescued_files: 1,
        };
        let passed = ending == Ending::Done;
        let result = GateResult {
            index: 0,
            gate: gate(words),
            verdict: if passed { Verdict::Passed } else { Verdict::Failed },
            exit_code: Some(if passed { 0 } else { 101 }),
            reason: if passed { "it exited with code 0".into() } else { words.reason.clone() },
            output: words.output.clone(),
            output_bytes: words.output.len() as u64,
            commit: Some("fedcba9876543210fedcba9876543210fedcba98".into()),
            tree: None,
            checks: None,
            by: None,
            started_at: self.now(),
            duration_ms: 3_200,
        };
        vec![
            Fact::AttemptExited { attempt_id, record },
            Fact::AttemptVerifying { attempt_id },
            Fact::WorkRecorded { attempt_id, work },
            Fact::GateFinished { attempt_id, result },
        ]
    }
}

fn gate(words: &Words) -> GateSpec {
    GateSpec::Command { command: words.command.clone(), timeout_s: 600, proof: None }
}

fn leased(subject: Subject, n: u32, at: Timestamp) -> Attempt {
    Attempt::leased(
        subject.attempt_id.unwrap(),
        subject.mission_id.unwrap(),
        subject.agent_id.unwrap(),
        n,
        at,
    )
}

fn identity(started_at: Timestamp) -> ProcessIdentity {
    let process = |pid| ProcessRef { pid, start_ticks: 1 };
    ProcessIdentity {
        shim: process(40),
        program: process(41),
        boot_id: "boot".into(),
        marker: "marker".into(),
        started_at,
    }
}

/// What a review adds to a mission's life.
impl World {
    /// An attempt whose gates passed and that waits for an answer, `n` being its number.
    pub(crate) async fn reviewing(&self, (mission, attempt, agent, n): (u8, u8, u8, u32)) {
        let subject = subject(mission, attempt, agent);
        let (mission_id, attempt_id) = (mission_id(mission), attempt_id(attempt));
        let moved = |from, to| moved(mission_id, (from, to), Grade::None, n);
        let leased = leased(subject, n, self.now());
        let queued = moved(MissionState::Queued, MissionState::Assigned);
        self.facts(subject, vec![Fact::AttemptLeased { attempt: leased }, queued]).await;
        let process = identity(self.now());
        let started = vec![
            Fact::AttemptStarted { attempt_id, process },
            moved(MissionState::Assigned, MissionState::Running),
        ];
        self.facts(subject, started).await;
        self.pass(20);
        let mut facts = self.finish(attempt_id, &Words::default(), Ending::Done);
        facts.insert(1, moved(MissionState::Running, MissionState::Verifying));
        facts.push(Fact::AttemptReviewing { attempt_id });
        facts.push(moved(MissionState::Verifying, MissionState::InReview));
        self.facts(subject, facts).await;
    }

    /// The end of a review.
    pub(crate) async fn reviewed(
        &self,
        (mission, attempt, agent, n): (u8, u8, u8, u32),
        state: AttemptState,
        mut before: Vec<Fact>,
    ) {
        let subject = subject(mission, attempt, agent);
        let to = match state {
            AttemptState::Accepted => MissionState::Done,
            _ => MissionState::Queued,
        };
        let attempt_id = attempt_id(attempt);
        before.push(Fact::AttemptEnded { attempt_id, state, note: None });
        let from = MissionState::InReview;
        before.push(moved(mission_id(mission), (from, to), Grade::Human, n));
        self.facts(subject, before).await;
    }
}

pub(crate) fn subject(mission: u8, attempt: u8, agent: u8) -> Subject {
    Subject {
        mission_id: Some(mission_id(mission)),
        attempt_id: Some(attempt_id(attempt)),
        agent_id: Some(agent_id(agent)),
    }
}

fn moved(
    mission_id: MissionId,
    (from, to): (MissionState, MissionState),
    grade: Grade,
    tries: u32,
) -> Fact {
    Fact::MissionMoved {
        mission_id,
        from,
        to,
        note: None,
        grade,
        tries,
        recoveries: 0,
        not_before: None,
    }
}
