//! Where effects are carried out: starts, stops and verifications, one at a time per attempt.
//!
//! What happened is told to the loop, and acted on only once the loop has recorded it. Every effect
//! may be carried out again after a crash: starting adopts what runs, stopping what is stopped gives
//! its record, and a gate that was started is waited for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agents::brief::BriefError;
use agents::worktree::{Git, GitError};
use agents::{Found, LaunchError, Launcher, brief, gate};
use model::agent::Agent;
use model::attempt::{Attempt, Work, Workplace};
use model::clock::SharedClock;
use model::effect::Effect;
use model::gate::{GateResult, Verdict};
use model::id::AttemptId;
use model::mission::Mission;
use model::process::{Exit, ExitRecord, ProcessIdentity};
use model::refusal::{Code, Refusal};
use store::ledger::{Ledger, ReadError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::input::Input;
use crate::run::{Command, Orchestrator};

/// The first pause before something is told or tried again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The directory of a run in which its gates run.
const GATES: &str = "gates";
/// The directory of a run an attempt works in when neither mission nor agent names one.
const WORK: &str = "work";

/// Why an attempt cannot go on; the words end up with the mission.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("failed to {0}")]
    Read(#[from] ReadError),
    #[error("{0} is not in the ledger")]
    Unknown(&'static str),
    #[error("the agent was removed")]
    NoAgent,
    #[error("{0}")]
    NotStarted(String),
    #[error("failed to {0}")]
    Launch(LaunchError),
    #[error("failed to {0}")]
    Brief(#[from] BriefError),
    #[error("failed to {0}")]
    Git(#[from] GitError),
    #[error("failed to make a directory for it: {0}")]
    Directory(std::io::Error),
    #[error("its directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("its work is kept in {} but not committed: failed to {source}", place.display())]
    Secure { place: PathBuf, source: GitError },
    #[error(
        "the agent removed its worktree {}; what was committed before is on the branch {branch}",
        place.display()
    )]
    Removed { place: PathBuf, branch: String },
}

/// What the floor needs.
pub(crate) struct FloorSetup {
    pub(crate) ledger: Ledger,
    pub(crate) clock: SharedClock,
    pub(crate) launcher: Launcher,
    pub(crate) runs: PathBuf,
    pub(crate) worktrees: PathBuf,
    pub(crate) url: watch::Receiver<Option<String>>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
}

/// The attempts that are being worked on.
pub(crate) struct Floor {
    hands: Arc<FloorSetup>,
    slots: Mutex<HashMap<AttemptId, Slot>>,
}

struct Slot {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Floor {
    pub(crate) fn new(setup: FloorSetup) -> Self {
        Self { hands: Arc::new(setup), slots: Mutex::new(HashMap::new()) }
    }

    /// Carries out an effect, after what is under way for the same attempt.
    pub(crate) fn carry_out(&self, effect: Effect) {
        let attempt_id = effect.attempt_id();
        if matches!(effect, Effect::Stop { .. })
            && let Some(slot) = self.slots().get(&attempt_id)
        {
            slot.cancel.cancel();
        }
        self.after_what_is_under_way(attempt_id, move |hands, cancel| async move {
            match effect {
                Effect::Start { .. } => hands.start(attempt_id, &cancel).await,
                Effect::Stop { .. } => hands.stop(attempt_id).await,
                Effect::Verify { .. } => hands.verify(attempt_id, &cancel).await,
            }
        });
    }

    /// Takes over an attempt whose program was started by an earlier run of the engine.
    pub(crate) fn take_over(&self, attempt_id: AttemptId) {
        self.after_what_is_under_way(attempt_id, move |hands, cancel| async move {
            hands.take_over(attempt_id, &cancel).await;
        });
    }

    /// Forgets an attempt that is over.
    pub(crate) fn forget(&self, attempt_id: AttemptId) {
        self.slots().remove(&attempt_id);
    }

    fn after_what_is_under_way<F, W>(&self, attempt_id: AttemptId, work: W)
    where
        W: FnOnce(Arc<FloorSetup>, CancellationToken) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let mut slots = self.slots();
        let before = slots.remove(&attempt_id);
        let cancel = CancellationToken::new();
        let (hands, token) = (Arc::clone(&self.hands), cancel.clone());
        let closing = self.hands.cancel.clone();
        let work = async move {
            if let Some(before) = before
                && before.task.await.is_err()
            {
                error!(attempt = %attempt_id, "work on an attempt broke off");
            }
            work(hands, token).await;
        };
        // When the engine ends, programs and gates go on under their shims and are taken up again.
        let task = self.hands.tasks.spawn(async move {
            closing.run_until_cancelled(work).await;
        });
        slots.insert(attempt_id, Slot { cancel, task });
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<AttemptId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything one attempt is about.
struct Case {
    mission: Mission,
    brief: String,
    attempt: Attempt,
    agent: Option<Agent>,
}

impl FloorSetup {
    fn run(&self, id: AttemptId) -> PathBuf {
        self.runs.join(id.to_string())
    }

    async fn case(&self, id: AttemptId) -> Result<Case, Hindrance> {
        let attempt = self.ledger.attempt(id).await?;
        let attempt = attempt.ok_or(Hindrance::Unknown("the attempt"))?;
        let mission = self.ledger.mission(attempt.mission_id).await?;
        let (mission, brief) = mission.ok_or(Hindrance::Unknown("its mission"))?;
        let agent = self.ledger.agent(attempt.agent_id).await?;
        Ok(Case { mission, brief, attempt, agent })
    }

    /// Reads everything about an attempt, again and again until it can be read.
    async fn case_at_last(&self, id: AttemptId) -> Option<Case> {
        let mut pause = PAUSE;
        loop {
            match self.case(id).await {
                Ok(case) => return Some(case),
                Err(err) => warn!(attempt = %id, %err, "an attempt could not be read"),
            }
            self.rest(&mut pause).await?;
        }
    }

    /// Pauses, longer each time; nothing when the engine ends.
    async fn rest(&self, pause: &mut Duration) -> Option<()> {
        tokio::select! {
            () = self.cancel.cancelled() => None,
            () = sleep(*pause) => {
                *pause = (*pause * 2).min(PAUSE_MAX);
                Some(())
            }
        }
    }

    /// Tells the loop what happened, until it is recorded or refused for good.
    ///
    /// Gives whether it was recorded.
    async fn tell(&self, input: Input) -> bool {
        let mut pause = PAUSE;
        loop {
            match self.orchestrator.tell(Command::own(input.clone())).await {
                Ok(_) => return true,
                Err(Refusal { code: Code::Busy | Code::Internal, message, .. }) => {
                    warn!(message, "what happened to an attempt could not be recorded yet");
                }
                Err(refusal) => {
                    info!(%refusal, "what happened to an attempt no longer matters");
                    return false;
                }
            }
            if self.rest(&mut pause).await.is_none() {
                return false;
            }
        }
    }

    async fn start(&self, id: AttemptId, cancel: &CancellationToken) {
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        match self.launch(&case, cancel).await {
            Ok(Some(process)) => {
                if self.tell(Input::Started { id, process: process.clone() }).await {
                    self.watch(id, &process, cancel).await;
                }
            }
            Ok(None) => {}
            Err(hindrance) => {
                let reason = hindrance.to_string();
                let record = self.record(Exit::NotStarted { reason });
                self.tell(Input::Exited { id, record }).await;
            }
        }
    }

    /// Makes the workplace and starts the program; nothing when the attempt was asked to stop.
    async fn launch(
        &self,
        case: &Case,
        cancel: &CancellationToken,
    ) -> Result<Option<ProcessIdentity>, Hindrance> {
        let agent = case.agent.as_ref().ok_or(Hindrance::NoAgent)?;
        let id = case.attempt.id;
        let workplace = match &case.attempt.workplace {
            Some(workplace) => workplace.clone(),
            None => self.prepare(case, agent).await?,
        };
        let told = Input::Prepared { id, workplace: workplace.clone() };
        if cancel.is_cancelled() || !self.tell(told).await || cancel.is_cancelled() {
            return Ok(None);
        }
        let run = self.run(id);
        let url = self.url.borrow().clone();
        let launch = brief::prepare(&brief::Order {
            runtime: &agent.runtime,
            brief: &case.brief,
            mission: case.mission.id,
            attempt: id,
            run: &run,
            directory: Path::new(&workplace.directory),
            grace_s: agent.grace_s,
            url: url.as_deref(),
        })?;
        match self.launcher.start(&run, &launch.spec, launch.stdin.as_deref()).await {
            Ok(process) => Ok(Some(process)),
            Err(LaunchError::NotStarted { reason }) => Err(Hindrance::NotStarted(reason)),
            Err(err) => Err(Hindrance::Launch(err)),
        }
    }

    async fn prepare(&self, case: &Case, agent: &Agent) -> Result<Workplace, Hindrance> {
        let plain = |directory: &Path| Workplace {
            directory: directory.display().to_string(),
            branch: None,
            base_commit: None,
            uncommitted_files: 0,
        };
        if let Some(repository) = &case.mission.repository {
            let n = case.attempt.n;
            let branch = format!("hive/{}/{n}", case.mission.short_id);
            let place = self.worktrees.join(case.mission.id.to_string()).join(n.to_string());
            let made = Git::new().create(Path::new(repository), &branch, &place).await;
            return Ok(made?);
        }
        let place = match &agent.directory {
            Some(directory) => PathBuf::from(directory),
            None => {
                let place = self.run(case.attempt.id).join(WORK);
                tokio::fs::create_dir_all(&place).await.map_err(Hindrance::Directory)?;
                place
            }
        };
        if place.is_dir() { Ok(plain(&place)) } else { Err(Hindrance::NoDirectory(place)) }
    }

    /// Waits for the end of a program and tells of it; leaves it alone when the engine ends.
    async fn watch(&self, id: AttemptId, process: &ProcessIdentity, cancel: &CancellationToken) {
        let run = self.run(id);
        match self.launcher.wait(&run, process, cancel).await {
            Ok(record) if matches!(record.exit, Exit::Lost { .. }) => {
                // The shim is gone: end what it left, so that nothing runs that nobody knows of.
                let record = self.end(&run, process).await.map_or(record, |ended| ExitRecord {
                    exit: Exit::Lost { reason: "its supervisor vanished".to_owned() },
                    ..ended
                });
                self.tell(Input::Exited { id, record }).await;
            }
            Ok(record) => {
                self.tell(Input::Exited { id, record }).await;
            }
            Err(LaunchError::Cancelled) => {}
            Err(err) => {
                let record = self.record(Exit::Lost { reason: format!("failed to {err}") });
                self.tell(Input::Exited { id, record }).await;
            }
        }
    }

    async fn take_over(&self, id: AttemptId, cancel: &CancellationToken) {
        let run = self.run(id);
        match self.launcher.look(&run) {
            Found::Running(process) => {
                if self.tell(Input::Adopted { id, process: process.clone() }).await {
                    self.watch(id, &process, cancel).await;
                }
            }
            Found::Ended(record) => {
                self.tell(Input::Exited { id, record }).await;
            }
            Found::Gone { identity, .. } => self.watch(id, &identity, cancel).await,
            Found::NotStarted => {
                let reason = "its run directory holds no trace of a process".to_owned();
                let record = self.record(Exit::Lost { reason });
                self.tell(Input::Exited { id, record }).await;
            }
        }
    }

    async fn verify(&self, id: AttemptId, cancel: &CancellationToken) {
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let Some(workplace) = case.attempt.workplace.clone() else {
            let problem = Some("it has no workplace that could be checked".to_owned());
            self.tell(Input::Verified { id, gates: Vec::new(), problem }).await;
            return;
        };
        let work = match self.secure(&case, &workplace).await {
            Ok(work) => work,
            Err(problem) => {
                self.tell(Input::Verified {
                    id,
                    gates: Vec::new(),
                    problem: Some(problem.to_string()),
                })
                .await;
                return;
            }
        };
        let claims = case.attempt.exit().is_some_and(Exit::claims_completion);
        let mut gates: Vec<GateResult> = Vec::new();
        let count = if claims { case.mission.gates.len() } else { 0 };
        for index in 0..count {
            let result = self.gate(&case, &workplace, work.as_ref(), index, cancel).await;
            if cancel.is_cancelled() {
                return;
            }
            if !self.tell(Input::GateFinished { id, result: result.clone() }).await {
                return;
            }
            gates.push(result);
        }
        self.tell(Input::Verified { id, gates, problem: None }).await;
    }

    async fn gate(
        &self,
        case: &Case,
        workplace: &Workplace,
        work: Option<&Work>,
        index: usize,
        cancel: &CancellationToken,
    ) -> GateResult {
        let run = self.run(case.attempt.id);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let result = gate::run(
            &self.launcher,
            &case.mission.gates[index as usize],
            index,
            &run,
            Path::new(&workplace.directory),
            work.map(|work| work.head_commit.clone()),
            &[("HIVEKEEPER_MISSION".to_owned(), case.mission.id.to_string())],
            self.clock.as_ref(),
            cancel,
        )
        .await;
        if result.verdict != Verdict::Passed {
            info!(attempt = %case.attempt.id, index, reason = result.reason, "a gate did not pass");
        }
        result
    }

    /// Commits what the attempt left uncommitted in its worktree, and says what there is.
    async fn secure(&self, case: &Case, workplace: &Workplace) -> Result<Option<Work>, Hindrance> {
        let (Some(base), Some(branch)) = (&workplace.base_commit, &workplace.branch) else {
            return Ok(None);
        };
        let (id, n) = (&case.mission.short_id, case.attempt.n);
        let message = format!("hive: what {id} attempt {n} left uncommitted");
        let place = PathBuf::from(&workplace.directory);
        let secured = Git::new().secure(&place, branch, base, &message).await;
        let work = secured.map_err(|source| not_secured(place, branch, source))?;
        self.tell(Input::Secured { id: case.attempt.id, work: work.clone() }).await;
        Ok(Some(work))
    }

    /// Ends every process of an attempt, its gates' included, secures its work, and tells of it.
    async fn stop(&self, id: AttemptId) {
        let run = self.run(id);
        let mut pause = PAUSE;
        let record = loop {
            match self.end_run(&run).await {
                Ok(record) => break record,
                Err(err) => {
                    error!(attempt = %id, %err, "an attempt could not be stopped; trying again");
                }
            }
            if self.rest(&mut pause).await.is_none() {
                return;
            }
        };
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let mut problem = None;
        if let Some(workplace) = &case.attempt.workplace
            && let Err(hindrance) = self.secure(&case, workplace).await
        {
            warn!(attempt = %id, %hindrance, "the work of a stopped attempt is not committed");
            problem = Some(hindrance.to_string());
        }
        self.tell(Input::Stopped { id, record, problem }).await;
    }

    /// Ends the program of a run and of its gates.
    async fn end_run(&self, run: &Path) -> Result<ExitRecord, LaunchError> {
        for gate in directories(&run.join(GATES)) {
            if let Found::Running(process) | Found::Gone { identity: process, .. } =
                self.launcher.look(&gate)
            {
                self.launcher.stop(&gate, &process).await?;
            }
        }
        match self.launcher.look(run) {
            Found::NotStarted => Ok(self.record(Exit::Stopped { killed: false })),
            Found::Ended(record) => Ok(record),
            Found::Running(process) | Found::Gone { identity: process, .. } => {
                self.launcher.stop(run, &process).await
            }
        }
    }

    async fn end(&self, run: &Path, process: &ProcessIdentity) -> Option<ExitRecord> {
        match self.launcher.stop(run, process).await {
            Ok(record) => Some(record),
            Err(err) => {
                error!(run = %run.display(), %err, "what a vanished shim left could not be ended");
                None
            }
        }
    }

    /// A record of a program that left none.
    fn record(&self, exit: Exit) -> ExitRecord {
        ExitRecord {
            exit,
            ended_at: self.clock.now(),
            cpu_ms: 0,
            memory_peak_bytes: 0,
            survivors: Vec::new(),
        }
    }
}

/// Says where the work is that could not be committed: only what is there is kept there.
fn not_secured(place: PathBuf, branch: &str, source: GitError) -> Hindrance {
    if place.is_dir() {
        Hindrance::Secure { place, source }
    } else {
        Hindrance::Removed { place, branch: branch.to_owned() }
    }
}

/// The directories in a directory; none when it is not there.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_said_to_be_kept_only_where_its_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let said = |place: &Path| {
            let source = GitError::Missing(place.to_owned());
            not_secured(place.to_owned(), "hive/M-1/1", source).to_string()
        };
        let (kept, gone) = (said(dir.path()), said(&dir.path().join("gone")));
        assert!(kept.contains("its work is kept in"), "{kept}");
        assert!(gone.contains("the agent removed its worktree"), "{gone}");
        assert!(gone.ends_with("what was committed before is on the branch hive/M-1/1"), "{gone}");
    }
}
