//! A workspace to measure in: a data directory on the disk, its ledger, the orchestrator's loop, and
//! agents that are instant or real.
//!
//! An *instant* agent costs no process: when an attempt is leased, the records a program would leave
//! (who ran, and that it ended with code 0) are laid into its run's directory, and the floor finds
//! there what it finds after a restart of the engine: a program that was started and is over. The
//! rest is the product's own: loop, ledger, outbox, workplace, verification. The records appear all
//! at once, as a directory. Should the floor be faster than they are, it starts what a process agent
//! is; how often that happened is counted.
//!
//! A *process* agent is the fake agent without arguments, under the real shim.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agents::Launcher;
use agents::runtime::presets::Presets;
use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use model::agent::{Agent, Runtime};
use model::clock::{Clock as _, SystemClock};
use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId, MissionId, SystemDraw};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef, Supervision, file};
use orchestrator::{Command, Input, Orchestrator, Setup};
use store::DataDir;
use store::ledger::Ledger;
use store::transcripts::Transcripts;
use tempfile::TempDir;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every mission asks for.
pub(crate) const BRIEF: &str = "Do nothing, and say that it is done.";
/// How long one life may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What works on the missions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agents {
    /// Agents that are done as soon as they are started, without a process.
    Instant,
    /// A program that ends at once, with the shim that supervises it.
    Process,
    /// Nobody; missions stay queued.
    None,
}

/// Who waits for the end of a mission.
type Ends = Arc<Mutex<HashMap<MissionId, oneshot::Sender<(MissionState, Instant)>>>>;

/// A running orchestrator with its workspace.
pub(crate) struct World {
    /// Where everything is recorded.
    pub(crate) ledger: Ledger,
    orchestrator: Orchestrator,
    ends: Ends,
    late: Arc<AtomicUsize>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    dir: DataDir,
    _place: TempDir,
}

impl World {
    /// Opens a fresh workspace with `count` agents.
    pub(crate) async fn open(kind: Agents, count: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&place.path().join("data")).unwrap();
        let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (ends, late) = (Ends::default(), Arc::new(AtomicUsize::new(0)));
        let follower = Follower {
            kind,
            runs: dir.runs(),
            ends: Arc::clone(&ends),
            late: Arc::clone(&late),
            records: records(&dir.runs()),
        };
        std::thread::spawn({
            let events = ledger.subscribe();
            move || follower.follow(events)
        });
        let setup = Setup {
            ledger: ledger.clone(),
            clock: Arc::new(SystemClock),
            draw: Box::new(SystemDraw),
            launcher: launcher(kind),
            runs: dir.runs(),
            worktrees: dir.worktrees(),
            url: watch::Sender::new(None).subscribe(),
            running_max: u32::try_from(count.max(1)).unwrap(),
            memory_free_percent: watch::Sender::new(None).subscribe(),
            agents: dir.root().join("agents"),
            supervision: Some(Supervision::Session),
            transcripts: Transcripts::open(&dir, Arc::new(SystemClock)).await.unwrap(),
            presets: Arc::new(Live::<Presets>::built_in()),
            prices: Arc::new(Live::<Prices>::built_in()),
            vault: agents::vault::Vault::without_keychain(dir.root()),
            halt_mark: dir.root().join("halted"),
        };
        let orchestrator = Orchestrator::start(setup, &tasks, cancel.clone()).await.unwrap();
        let world = Self { ledger, orchestrator, ends, late, tasks, cancel, dir, _place: place };
        if kind != Agents::None {
            for n in 0..count {
                world.tell(Input::AddAgent(agent(n))).await;
            }
        }
        world
    }

    async fn tell(&self, input: Input) {
        self.orchestrator.tell(Command::own(input)).await.unwrap();
    }

    /// Queues a mission; returns once the ledger holds it.
    pub(crate) async fn queue(&self) -> MissionId {
        let mission = mission();
        let id = mission.id;
        self.tell(add(mission)).await;
        id
    }

    /// Takes a mission from its creation to its end; gives how long that took, or nothing when it did
    /// not get done.
    pub(crate) async fn life(&self) -> Option<Duration> {
        let mission = mission();
        let id = mission.id;
        let (tell, end) = oneshot::channel();
        self.ends.lock().unwrap().insert(id, tell);
        let begun = Instant::now();
        self.tell(add(mission)).await;
        let Ok(end) = tokio::time::timeout(PATIENCE, end).await else {
            let found = self.ledger.mission(id).await.unwrap();
            unreachable!("no end within {PATIENCE:?} of {found:?}");
        };
        let (state, ended) = end.unwrap();
        if state == MissionState::Done {
            return Some(ended - begun);
        }
        self.explain(id, state).await;
        None
    }

    /// Says why a mission did not get done: a failure without its reason helps nobody.
    async fn explain(&self, id: MissionId, state: MissionState) {
        let found = self.ledger.mission(id).await.unwrap();
        let note = found.and_then(|(mission, _)| mission.note);
        eprintln!("mission {id} is {state:?}: {}", note.as_deref().unwrap_or("without a reason"));
    }

    /// How many attempts were started before the records of their instant agent were there.
    pub(crate) fn late(&self) -> usize {
        self.late.load(Ordering::Relaxed)
    }

    /// The size of the ledger's file, in bytes.
    pub(crate) fn ledger_bytes(&self) -> u64 {
        std::fs::metadata(self.dir.root().join("ledger.db")).unwrap().len()
    }

    /// Ends the loop and closes the ledger.
    pub(crate) async fn close(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.ledger.close().await;
    }
}

/// The mission every life is about: no repository, no gate, the agent's word is enough.
pub(crate) fn mission() -> Mission {
    let now = SystemClock.now();
    Mission {
        proof: Some(model::gate::Grade::SelfReport),
        ..Mission::draft(MissionId::draw(now, &mut SystemDraw), "measure a life", now)
    }
}

fn add(mission: Mission) -> Input {
    Input::AddMission { mission, brief: BRIEF.to_owned(), queue: true }
}

/// The agent of this number.
pub(crate) fn agent(n: usize) -> Agent {
    let now = SystemClock.now();
    Agent {
        id: AgentId::draw(now, &mut SystemDraw),
        name: format!("agent-{n:05}"),
        role: String::new(),
        skills: Vec::new(),
        runtime: Runtime::Command {
            terminal: false,
            program: program("hivekeeper-fake-agent").display().to_string(),
            args: Vec::new(),
            env: Default::default(),
        },
        directory: None,
        grace_s: 1,
        conduct: model::agent::Conduct::default(),
        paused: false,
        demo: false,
        created_at: now,
    }
}

fn launcher(kind: Agents) -> Launcher {
    Launcher::with_shim(match kind {
        Agents::Instant if !programs_are_built() => PathBuf::from("true"),
        Agents::Process | Agents::Instant => program("hivekeeper-shim"),
        Agents::None => PathBuf::from("true"),
    })
}

/// A program of ours, built beside the bench.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join(name)
}

/// Whether what [`Agents::Process`] needs is built.
pub(crate) fn programs_are_built() -> bool {
    ["hivekeeper-shim", "hivekeeper-fake-agent"].iter().all(|name| program(name).is_file())
}

/// Follows what is recorded: lays down what instant agents leave, and says when a mission is over.
struct Follower {
    kind: Agents,
    runs: PathBuf,
    ends: Ends,
    late: Arc<AtomicUsize>,
    records: PathBuf,
}

impl Follower {
    /// Until the ledger is closed. An event it did not keep up with would lose an end: it must not.
    fn follow(self, mut events: Receiver<Arc<Event>>) {
        loop {
            match events.blocking_recv() {
                Ok(event) => self.observe(&event.fact),
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(n)) => unreachable!("the bench missed {n} events"),
            }
        }
    }

    fn observe(&self, fact: &Fact) {
        match fact {
            Fact::AttemptPrepared { attempt_id, .. } if self.kind == Agents::Instant => {
                lay(&self.records, &self.runs.join(attempt_id.to_string()));
            }
            Fact::AttemptEnded { attempt_id, .. } => self.clear(*attempt_id),
            Fact::MissionMoved { mission_id, to, .. }
                if to.is_final() || *to == MissionState::InReview =>
            {
                if let Some(tell) = self.ends.lock().unwrap().remove(mission_id) {
                    // Whoever waited may have given up.
                    let _ = tell.send((*to, Instant::now()));
                }
            }
            _ => {}
        }
    }

    /// Removes a run: the product keeps it until retention takes it, here it would fill the disk.
    fn clear(&self, id: AttemptId) {
        let run = self.runs.join(id.to_string());
        let started = self.kind == Agents::Instant && run.join("shim.log").exists();
        self.late.fetch_add(usize::from(started), Ordering::Relaxed);
        drop(std::fs::remove_dir_all(run));
    }
}

/// What a program that was instant would have left, written once beside the runs.
fn records(runs: &Path) -> PathBuf {
    let place = runs.with_file_name("instant");
    let now = SystemClock.now();
    let nobody = ProcessRef { pid: 0, start_ticks: 0 };
    let exit = ExitRecord::bare(Exit::Code { code: 0 }, now);
    let who = ProcessIdentity {
        shim: nobody,
        program: nobody,
        boot_id: "measured without a process".to_owned(),
        marker: "instant".to_owned(),
        started_at: now,
    };
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join(file::EXIT), serde_json::to_vec(&exit).unwrap()).unwrap();
    std::fs::write(place.join(file::PROCESS), serde_json::to_vec(&who).unwrap()).unwrap();
    place
}

/// Lays them down between the attempt's being prepared and its being started: the record of the end
/// first, because the floor begins with the record of the start. Where the floor was faster, a
/// program is started, and what that leaves stays.
fn lay(records: &Path, run: &Path) {
    std::fs::create_dir_all(run).unwrap();
    if !run.join(file::SPEC).exists() {
        for name in [file::EXIT, file::PROCESS] {
            // What is there already is the started program's.
            let _ = std::fs::hard_link(records.join(name), run.join(name));
        }
    }
}
