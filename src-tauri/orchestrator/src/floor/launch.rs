//! Starting an attempt's program, watching it, and taking over one that runs already.

use std::path::{Path, PathBuf};

use agents::brief::ARGUMENT_BYTES_MAX;
use agents::links::Ground;
use agents::runtime::Opening;
use agents::runtime::presets::Start;
use agents::step::{self, Step};
use agents::worktree::Git;
use agents::{Found, LaunchError, brief};
use model::agent::Agent;
use model::attempt::Workplace;
use model::id::AttemptId;
use model::mission::Handoff;
use model::process::{Exit, ProcessIdentity, Supervision};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::attached::lost_after;
use super::follow::home;
use super::opening::Kept;
use super::pack::{INBOX, MESSAGES};
use super::{Case, FloorSetup, Hindrance, PAUSE};
use crate::input::Input;

/// Room that an argument needs beside the brief and the handoff's own words, in bytes.
const BESIDE_BYTES: usize = 4 * 1024;
/// The directory of a run an attempt works in when neither mission nor agent names one.
const WORK: &str = "work";

impl FloorSetup {
    pub(super) async fn start(&self, id: AttemptId, cancel: &CancellationToken) {
        // Nothing is made while everything is stopped.
        if cancel.run_until_cancelled(self.switch.pass()).await.is_none() {
            return;
        }
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        if lost_after(&case).is_some() {
            return Box::pin(self.begin_elsewhere(case, cancel)).await;
        }
        let preset = case.agent.as_ref().and_then(|agent| agent.runtime.preset());
        let presets = self.presets.now();
        let preset = preset.and_then(|name| presets.find(name));
        let right = match cancel.run_until_cancelled(self.starts.wait(preset)).await {
            Some(Ok(right)) => right,
            Some(Err(full)) => return self.not_started(id, &Hindrance::NoRoom(full)).await,
            None => return,
        };
        match Box::pin(self.launch(&case, cancel)).await {
            Ok(Some((process, opening))) => {
                if self.tell(Input::Started { id, process: process.clone() }).await {
                    step::reached(Step::Started);
                    let Some(case) = self.case_at_last(id).await else {
                        return;
                    };
                    Box::pin(self.follow(case, Some((opening, Some(right))), &process, cancel))
                        .await;
                }
            }
            Ok(None) => {}
            Err(hindrance) => self.not_started(id, &hindrance).await,
        }
    }

    /// Tells that a program was not started. What may run all the same is ended before anything is
    /// said.
    async fn not_started(&self, id: AttemptId, hindrance: &Hindrance) {
        if Box::pin(self.end_at_last(&self.run(id))).await.is_none() {
            return;
        }
        let reason = hindrance.to_string();
        let record = self.record(Exit::NotStarted { reason });
        self.tell(Input::Exited { id, record }).await;
    }

    /// Makes the workplace and starts the program; nothing when the attempt was asked to stop.
    async fn launch(
        &self,
        case: &Case,
        cancel: &CancellationToken,
    ) -> Result<Option<(ProcessIdentity, Opening)>, Hindrance> {
        let agent = case.agent.as_ref().ok_or(Hindrance::NoAgent)?;
        let id = case.attempt.id;
        let run = self.run(id);
        if let Some(process) = self.started_at_last(&run).await? {
            // An engine before this one started it, and died before that was recorded.
            return Ok(Some((process, self.opening_again(case, agent).await?)));
        }
        let Some(opening) = self.make_ready(case, agent, cancel).await? else {
            return Ok(None);
        };
        let launch = self.order(case, agent, &opening).await?;
        step::reached(Step::BriefWritten);
        match self.launcher.start(&run, &launch.spec, launch.stdin.as_deref()).await {
            Ok(process) => {
                step::reached(Step::Answered);
                Ok(Some((process, opening)))
            }
            Err(LaunchError::NotStarted { reason }) => Err(Hindrance::NotStarted(reason)),
            Err(err) => Err(Hindrance::Launch(err)),
        }
    }

    /// Who was started in a run by an engine before this one. As long as that cannot be read, nothing
    /// is done: a program that runs must not be taken for none.
    async fn started_at_last(&self, run: &Path) -> Result<Option<ProcessIdentity>, Hindrance> {
        let mut pause = PAUSE;
        loop {
            match self.launcher.started(run) {
                Err(err) if err.is_want() && self.rest(&mut pause).await.is_some() => {}
                started => return started.map_err(Hindrance::Launch),
            }
        }
    }

    /// Makes the workplace and writes down what the agent is told first; nothing when the attempt was
    /// asked to stop.
    pub(super) async fn make_ready(
        &self,
        case: &Case,
        agent: &Agent,
        cancel: &CancellationToken,
    ) -> Result<Option<Opening>, Hindrance> {
        let id = case.attempt.id;
        let run = self.run(id);
        let workplace = match &case.attempt.workplace {
            Some(workplace) => workplace.clone(),
            None => self.prepare(case, agent).await?,
        };
        step::reached(Step::WorktreeMade);
        let told = Input::Prepared { id, workplace: workplace.clone() };
        if cancel.is_cancelled() || !self.tell(told).await || cancel.is_cancelled() {
            return Ok(None);
        }
        step::reached(Step::Prepared);
        if cancel.run_until_cancelled(self.switch.pass()).await.is_none() {
            return Ok(None);
        }
        let directory = Path::new(&workplace.directory);
        self.lay_files(case, &workplace)?;
        let kept = self.read_at_last(|| Kept::recall(&run)).await;
        let opening = match kept.map_err(Hindrance::Conversation)? {
            // A shim that was started before may have got to it: then this is what was told.
            Some(kept) => {
                let tools = self.own_tools(&case.attempt).await;
                Opening { tools, ..kept.opening(directory) }
            }
            None => self.opening(case, agent, directory).await?,
        };
        Kept::of(&opening, self.clock.now()).keep(&run).map_err(Hindrance::Opening)?;
        Ok(Some(opening))
    }

    /// What is to be started for an attempt; its private files are written.
    async fn order(
        &self,
        case: &Case,
        agent: &Agent,
        opening: &Opening,
    ) -> Result<brief::Prepared, Hindrance> {
        let run = self.run(case.attempt.id);
        let url = self.url.borrow().clone();
        let home = home(&self.agents, agent);
        let presets = self.presets.now();
        let preset = agent.runtime.preset().and_then(|name| presets.find(name));
        let start = Start {
            policy: agent.conduct.permissions,
            tools: opening.tools.as_ref(),
            run: &run,
            data: Some(&home),
            apart: false,
        };
        let additions = preset.map(|preset| preset.additions(&start)).unwrap_or_default();
        let (inbox, messages) = (home.join(INBOX), home.join(MESSAGES));
        let post = brief::Post { inbox: &inbox, messages: &messages };
        let mut prepared = brief::prepare(&brief::Order {
            agent,
            additions: &additions,
            supervision: self.supervision().await,
            brief: &opening.prompt,
            mission: case.mission.id,
            attempt: case.attempt.id,
            run: &run,
            directory: Path::new(&opening.directory),
            url: url.as_deref(),
            token: opening.tools.as_ref().map(|tools| tools.token.as_str()),
            post: (inbox.is_dir() && messages.is_dir()).then_some(post),
        })?;
        // At the last moment, and into the program's environment alone.
        prepared.spec.secret = self.vault.fill(&mut prepared.spec.env).await?;
        Ok(prepared)
    }

    /// How processes are kept together.
    pub(super) async fn supervision(&self) -> Supervision {
        match self.supervision {
            Some(way) => way,
            None => agents::supervision::probed().await.in_force,
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
            let start = case.attempt.handoff.as_ref().and_then(|it| it.commit.as_deref());
            let ground = Ground {
                repo: Path::new(repository),
                branch: &branch,
                dir: &place,
                start,
                links: &case.mission.links,
            };
            let laid = Git::new().lay(ground).await?;
            for left_out in &laid.left_out {
                warn!(attempt = %case.attempt.id, path = left_out.path, "a directory was not linked");
            }
            return Ok(laid.workplace);
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

    pub(super) async fn take_over(&self, id: AttemptId, cancel: &CancellationToken) {
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        if lost_after(&case).is_some() {
            return Box::pin(self.attend(id, cancel)).await;
        }
        let run = self.run(id);
        let mut pause = PAUSE;
        let found = loop {
            match self.launcher.look(&run) {
                Ok(found) => break found,
                Err(err) => warn!(attempt = %id, %err, "a run could not be looked at yet"),
            }
            if self.rest(&mut pause).await.is_none() {
                return;
            }
        };
        let process = match found {
            Found::Running(process) => {
                if !self.tell(Input::Adopted { id, process: process.clone() }).await {
                    return;
                }
                Some(process)
            }
            Found::Gone { identity, .. } => Some(identity),
            // What it said while nobody listened is still to be read.
            Found::Ended(_) => case.attempt.process.clone(),
            Found::NotStarted => None,
        };
        match process {
            Some(process) => Box::pin(self.follow(case, None, &process, cancel)).await,
            None => {
                // Its files are gone; its processes need not be.
                if let Some(process) = &case.attempt.process
                    && self.end(&run, process).await.is_none()
                {
                    return;
                }
                let reason = "its run directory holds no trace of a process".to_owned();
                let record = self.record(Exit::Lost { reason });
                self.tell(Input::Exited { id, record }).await;
            }
        }
    }

    /// Holds the processes of an attempt where they are, or lets them go on, as the attempt says.
    pub(super) async fn freeze(&self, id: AttemptId) {
        // One after the other: each does what is asked by then, so the last one leaves it so.
        let _turn = self.freezing.lock().await;
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let run = self.run(id);
        let frozen = case.attempt.frozen;
        self.attached.hold(id, frozen);
        let mut pause = PAUSE;
        let found = loop {
            match self.launcher.look(&run) {
                Err(err) if err.is_want() => {
                    warn!(attempt = %id, %err, "processes cannot be held or let go yet");
                    if self.rest(&mut pause).await.is_none() {
                        return;
                    }
                }
                found => break found,
            }
        };
        if let Ok(Found::Running(process)) = found {
            let done = if frozen {
                self.launcher.freeze(&run, &process).await
            } else {
                self.launcher.thaw(&run, &process).await
            };
            if let Err(err) = done {
                warn!(attempt = %id, %err, "processes could not be held or let go");
            }
        }
        self.tell(Input::Froze { id, frozen }).await;
    }
}

/// The brief, with what the attempt before left behind it.
pub(super) fn with_handoff(brief: &str, handoff: Option<&Handoff>) -> String {
    match handoff {
        None => brief.to_owned(),
        Some(handoff) => {
            let on = match handoff.commit {
                Some(_) => "Its work is in your directory.",
                None => "You start anew.",
            };
            format!(
                "{brief}\n\n---\nHandoff from attempt {} of this mission. {on}\n\n{}\n",
                handoff.from,
                fitting(brief, &handoff.text)
            )
        }
    }
}

/// As much of a handoff's text as leaves a brief that may be an argument short enough for one.
fn fitting(brief: &str, text: &str) -> String {
    let Some(room) = ARGUMENT_BYTES_MAX.checked_sub(brief.len() + BESIDE_BYTES) else {
        // With or without it, the brief is none; it goes another way.
        return text.to_owned();
    };
    if text.len() <= room {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(room);
    format!("{}\n(cut here: the rest did not fit)", &text[..cut])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::id::AgentId;

    use super::*;

    #[test]
    fn the_next_attempt_gets_the_brief_as_it_is_and_the_handoff_behind_it() {
        let handoff = |commit: Option<&str>| Handoff {
            from: 2,
            agent_id: AgentId::from_uuid(Default::default()),
            commit: commit.map(str::to_owned),
            text: "gate 'command: make' did not pass".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(with_handoff("Do it.", None), "Do it.");
        let text = with_handoff("Do it.", Some(&handoff(Some("abc"))));
        assert!(text.starts_with("Do it.\n\n---\nHandoff from attempt 2"), "{text}");
        assert!(text.contains("Its work is in your directory."), "{text}");
        assert!(text.contains("gate 'command: make' did not pass"), "{text}");
        assert!(with_handoff("Do it.", Some(&handoff(None))).contains("You start anew."));
    }

    #[test]
    fn a_brief_that_was_an_argument_is_one_with_its_handoff_too() {
        let brief = "b".repeat(ARGUMENT_BYTES_MAX - 2 * BESIDE_BYTES);
        let handoff = Handoff {
            from: 1,
            agent_id: AgentId::from_uuid(Default::default()),
            commit: None,
            text: "ä".repeat(100_000),
            at: Timestamp::UNIX_EPOCH,
        };
        let text = with_handoff(&brief, Some(&handoff));
        assert!(text.len() <= ARGUMENT_BYTES_MAX, "{}", text.len());
        assert!(text.starts_with(&brief) && text.contains("cut here"));
        let long = "b".repeat(ARGUMENT_BYTES_MAX);
        assert!(with_handoff(&long, Some(&handoff)).contains(&handoff.text));
    }
}
