//! Securing what an attempt left, and running the engine's gates on it.

use std::path::{Path, PathBuf};

use agents::gate::{self, Check, Within};
use agents::step::{self, Step};
use agents::worktree::Git;
use model::attempt::{Work, Workplace};
use model::gate::{Answerer, GateResult, GateSpec, Verdict};
use model::id::AttemptId;
use model::process::Exit;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Case, FloorSetup, GATES, Hindrance, not_secured};
use crate::input::Input;

impl FloorSetup {
    pub(super) async fn verify(&self, id: AttemptId, cancel: &CancellationToken) {
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let Some(workplace) = case.attempt.workplace.clone() else {
            let problem = Some("it has no workplace that could be checked".to_owned());
            self.tell(Input::Verified { id, problem }).await;
            return;
        };
        let work = match self.secure(&case, &workplace).await {
            Ok(work) => work,
            Err(problem) => {
                let problem = Some(problem.to_string());
                self.tell(Input::Verified { id, problem }).await;
                return;
            }
        };
        if let Err(error) = self.set_old_gates_aside(id, work.as_ref()) {
            let problem = format!("what its gates printed before could not be set aside: {error}");
            self.tell(Input::Verified { id, problem: Some(problem) }).await;
            return;
        }
        let claims = case.attempt.exit().is_some_and(Exit::claims_completion);
        let gates = if claims { case.mission.gates.as_slice() } else { &[] };
        for (index, gate) in (0..).zip(gates) {
            if gate.answerer() != Answerer::Engine {
                continue;
            }
            // Nothing is started while everything is stopped.
            if cancel.run_until_cancelled(self.switch.pass()).await.is_none() {
                return;
            }
            let result = self.gate(&case, &workplace, work.as_ref(), index, gate, cancel).await;
            // A gate that was ended with everything else says nothing; its attempt is stopped.
            if self.switch.is_thrown() {
                cancel.run_until_cancelled(self.switch.pass()).await;
            }
            step::reached(Step::GateAnswered);
            if cancel.is_cancelled() || !self.tell(Input::GateFinished { id, result }).await {
                return;
            }
            step::reached(Step::GateRecorded);
        }
        let commands = gates.iter().any(|gate| matches!(gate, GateSpec::Command { .. }));
        if let Some(work) = work.as_ref().filter(|_| commands)
            && let Err(hindrance) = self.clear_after_gates(&case, &workplace, work).await
        {
            warn!(attempt = %id, %hindrance, "what its gates left stays in its worktree");
        }
        step::reached(Step::Verified);
        self.tell(Input::Verified { id, problem: None }).await;
        step::reached(Step::Accepted);
    }

    /// Takes what the gates' commands wrote out of the worktree, so that it is neither taken for a
    /// change of the work nor becomes part of it. It is kept as a checkpoint.
    async fn clear_after_gates(
        &self,
        case: &Case,
        workplace: &Workplace,
        work: &Work,
    ) -> Result<(), Hindrance> {
        let (git, place) = (Git::new(), Path::new(&workplace.directory));
        let seen = git.seen(place).await?;
        if seen.dirty_files == 0 || seen.head_commit != work.head_commit {
            return Ok(());
        }
        self.checkpoint(case, "left by its gates").await?;
        Ok(git.take_back(place, &work.head_commit).await?)
    }

    /// Gates that ran on other work than this are not taken for having run on it.
    fn set_old_gates_aside(&self, id: AttemptId, work: Option<&Work>) -> std::io::Result<()> {
        let Some(work) = work else {
            return Ok(());
        };
        let run = self.run(id);
        let (gates, about) = (run.join(GATES), run.join("gates.commit"));
        let known = match std::fs::read_to_string(&about) {
            Ok(known) => known,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        if known == work.head_commit {
            return Ok(());
        }
        if gates.exists() && !known.is_empty() {
            // The same work may have been looked at before, with other work in between.
            let names = (1..).map(|n| match n {
                1 => format!("{GATES}-{known}"),
                n => format!("{GATES}-{known}-{n}"),
            });
            if let Some(aside) = names.map(|name| run.join(name)).find(|it| !it.exists()) {
                std::fs::rename(&gates, &aside)?;
            }
        }
        if run.is_dir() { std::fs::write(&about, &work.head_commit) } else { Ok(()) }
    }

    async fn gate(
        &self,
        case: &Case,
        workplace: &Workplace,
        work: Option<&Work>,
        index: u32,
        gate: &GateSpec,
        cancel: &CancellationToken,
    ) -> GateResult {
        let run = self.run(case.attempt.id);
        let check = Check {
            gate,
            index,
            run: &run,
            workdir: Path::new(&workplace.directory),
            base_commit: workplace.base_commit.as_deref(),
            commit: work.map(|work| work.head_commit.clone()),
            tree: work.and_then(|work| work.tree.clone()),
            env: &[("HIVEKEEPER_MISSION".to_owned(), case.mission.id.to_string())],
            within: self.within(case).await,
        };
        let result = gate::check(&self.launcher, &check, self.clock.as_ref(), cancel).await;
        if result.verdict != Verdict::Passed {
            info!(attempt = %case.attempt.id, index, reason = result.reason, "a gate did not pass");
        }
        result
    }

    /// What a gate's command may do: what it runs was written by the agent, so it is no freer than it.
    async fn within(&self, case: &Case) -> Within {
        let conduct = case.agent.as_ref().map(|agent| agent.conduct.clone()).unwrap_or_default();
        let supervision = self.supervision().await;
        Within { limits: conduct.limits, sandbox: conduct.sandbox, supervision }
    }

    /// Commits what the attempt left uncommitted in its worktree, and says what there is.
    pub(super) async fn secure(
        &self,
        case: &Case,
        workplace: &Workplace,
    ) -> Result<Option<Work>, Hindrance> {
        if let Err(hindrance) = self.lift_files(case, workplace) {
            warn!(attempt = %case.attempt.id, %hindrance, "files of ours stay in a worktree");
        }
        let (Some(base), Some(branch)) = (&workplace.base_commit, &workplace.branch) else {
            return Ok(None);
        };
        let (id, n) = (&case.mission.short_id, case.attempt.n);
        let message = format!("hive: what {id} attempt {n} left uncommitted");
        let place = PathBuf::from(&workplace.directory);
        let secured = Git::new().secure(&place, branch, base, &message).await;
        let work = secured.map_err(|source| not_secured(place, branch, source))?;
        step::reached(Step::WorkSecured);
        self.tell(Input::Secured { id: case.attempt.id, work: work.clone() }).await;
        step::reached(Step::WorkRecorded);
        Ok(Some(work))
    }
}
