//! Following an attempt whose program runs: talking with it where it can be talked to, and watching
//! it otherwise.

use std::path::Path;

use agents::brief::TOKEN_FILE;
use agents::runtime::acp::AcpDriver;
use agents::runtime::command::CommandDriver;
use agents::runtime::headless::HeadlessDriver;
use agents::runtime::presets::MCP_FILE;
use agents::runtime::{Act, Driver, OWN_TOOLS, Opening, OwnTools};
use agents::step::{self, Step};
use agents::{LaunchError, token};
use model::agent::{Agent, Runtime};
use model::attempt::Attempt;
use model::conversation::{Entry, Stream};
use model::id::AttemptId;
use model::process::{Exit, ExitRecord, ProcessIdentity, file};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::opening::Kept;
use super::starts::StartRight;
use super::talk::{Beginning, Memory, Silence, Watched};
use super::{Case, FloorSetup, Hindrance};
use crate::input::Input;

impl FloorSetup {
    /// Follows a program to its end and tells of it; leaves it alone when the engine ends.
    ///
    /// `opening` is what its agent is told first; nothing where it was told before.
    pub(super) async fn follow(
        &self,
        case: Case,
        opening: Option<(Opening, Option<StartRight>)>,
        process: &ProcessIdentity,
        cancel: &CancellationToken,
    ) {
        let id = case.attempt.id;
        let (opening, right) = opening.unzip();
        let watched = match &case.agent {
            Some(agent) if is_talked_to(&agent.runtime) => {
                match Box::pin(self.beginning(&case, agent, opening)).await {
                    Ok(beginning) => {
                        let beginning = Beginning { right: right.flatten(), ..beginning };
                        Box::pin(self.talk(beginning, process, cancel)).await
                    }
                    Err(why) => {
                        error!(attempt = %id, %why, "a conversation cannot be taken up again");
                        Box::pin(self.break_off(id, process, why.to_string())).await
                    }
                }
            }
            _ => {
                // Its descriptors are open as soon as it is watched.
                drop(right);
                Box::pin(self.watch(id, opening, process, cancel)).await
            }
        };
        match watched {
            Ok(Watched::Over(record)) => Box::pin(self.over(id, process, record)).await,
            // Who asked for it carries on with it.
            Ok(Watched::Asked) | Err(LaunchError::Cancelled) => {}
            Err(err) => {
                let reason = format!("failed to {err}");
                let record = self.record(Exit::Lost { reason: reason.clone() });
                // Nobody watches it any more: it is ended before it is called lost.
                if let Some(ended) = self.leave_nothing(&self.run(id), process, record).await {
                    let record = ExitRecord { exit: Exit::Lost { reason }, ..ended };
                    self.tell(Input::Exited { id, record }).await;
                }
            }
        }
    }

    /// Tells of the end of a program, and ends what a vanished shim left of it.
    async fn over(&self, id: AttemptId, process: &ProcessIdentity, record: ExitRecord) {
        step::reached(Step::ExitFound);
        let run = self.run(id);
        self.remove_tokens(id);
        if let Some(record) = self.leave_nothing(&run, process, record).await {
            self.tell(Input::Exited { id, record }).await;
            step::reached(Step::ExitRecorded);
        }
    }

    /// Ends what a vanished shim left, so that nothing runs that nobody knows of. Nothing when the
    /// engine ends before that is done.
    pub(super) async fn leave_nothing(
        &self,
        run: &Path,
        process: &ProcessIdentity,
        record: ExitRecord,
    ) -> Option<ExitRecord> {
        match record.exit {
            Exit::Lost { .. } => self.end(run, process).await.map(|ended| ExitRecord {
                exit: Exit::Lost { reason: "its supervisor vanished".to_owned() },
                ..ended
            }),
            _ => Some(record),
        }
    }

    /// Nobody may speak for the attempt any more: its token is removed, and what holds it.
    pub(super) fn remove_tokens(&self, id: AttemptId) {
        let run = self.run(id);
        for name in [TOKEN_FILE, MCP_FILE] {
            if let Err(err) = std::fs::remove_file(run.join(name))
                && err.kind() != std::io::ErrorKind::NotFound
            {
                warn!(attempt = %id, %err, name, "the token of an attempt could not be removed");
            }
        }
    }

    /// Ends a program whose conversation cannot go on.
    async fn break_off(
        &self,
        id: AttemptId,
        process: &ProcessIdentity,
        why: String,
    ) -> Result<Watched, LaunchError> {
        let ended = self.end(&self.run(id), process).await;
        let record = ended.ok_or(LaunchError::Cancelled)?;
        let exit = Exit::Answered { completed: false, reason: why };
        Ok(Watched::Over(ExitRecord { exit, ..record }))
    }

    /// Watches a program that cannot be talked to: what it was given and where its output is are
    /// put into the conversation.
    async fn watch(
        &self,
        id: AttemptId,
        opening: Option<Opening>,
        process: &ProcessIdentity,
        cancel: &CancellationToken,
    ) -> Result<Watched, LaunchError> {
        let run = self.run(id);
        let mut driver = CommandDriver::new(false);
        // An engine may have died before it was written; written again it is the same entry.
        let kept = self.read_at_last(|| Kept::recall(&run)).await;
        match (opening, kept) {
            (_, Ok(Some(kept))) => {
                let at = kept.at;
                driver.open(kept.opening(Path::new("/")), at);
            }
            (Some(opening), _) => driver.open(opening, self.clock.now()),
            (None, kept) => {
                if let Err(err) = kept {
                    warn!(attempt = %id, %err, "what an agent was told is not known any more");
                }
            }
        }
        self.put(id, &mut driver).await;
        step::reached(Step::OpeningSent);
        let record = self.launcher.wait(&run, process, cancel).await?;
        for (stream, name) in [(Stream::Stdout, file::STDOUT), (Stream::Stderr, file::STDERR)] {
            let bytes = std::fs::metadata(run.join(name)).map_or(0, |found| found.len());
            driver.printed(stream, bytes, self.clock.now());
        }
        self.put(id, &mut driver).await;
        Ok(Watched::Over(record))
    }

    /// Puts the entries a driver has made into the conversation.
    pub(super) async fn put(&self, id: AttemptId, driver: &mut CommandDriver) {
        let entry = |act| match act {
            Act::Put(entry) => Some(entry),
            _ => None,
        };
        let entries: Vec<Entry> = driver.take().into_iter().filter_map(entry).collect();
        if let Err(err) = self.transcripts.put(id, entries).await {
            warn!(attempt = %id, %err, "entries of a conversation could not be written");
        }
    }

    /// What a conversation begins with, or goes on from.
    async fn beginning(
        &self,
        case: &Case,
        agent: &Agent,
        opening: Option<Opening>,
    ) -> Result<Beginning, Hindrance> {
        let run = self.run(case.attempt.id);
        let kept = self.read_at_last(|| Memory::recall(&run)).await;
        let kept = kept.map_err(Hindrance::Conversation)?;
        let mut token = None;
        let (driver, opening, memory) = match (kept, opening) {
            (Some(memory), _) => {
                // Its token is kept nowhere; one that may not have reached it is replaced.
                let tools = match memory.session {
                    None => self.own_tools(&case.attempt).await,
                    Some(_) => None,
                };
                token = tools.as_ref().map(|tools| tools.token.clone());
                (self.restored(agent, &memory, tools)?, None, memory)
            }
            (None, Some(opening)) => (self.driver(agent)?, Some(opening), Memory::default()),
            // The engine died before the agent was told anything.
            (None, None) => {
                let opening = self.opening_again(case, agent).await?;
                (self.driver(agent)?, Some(opening), Memory::default())
            }
        };
        if let Some(tools) = opening.as_ref().and_then(|opening| opening.tools.as_ref()) {
            token = Some(tools.token.clone());
        }
        let ways = self.presets.now().ways(agent.runtime.preset().unwrap_or("custom"));
        Ok(Beginning {
            mission: case.mission.clone(),
            agent: agent.clone(),
            attempt: case.attempt.clone(),
            driver,
            opening,
            memory,
            silence: Silence {
                opening: true,
                quiet_after_s: ways.quiet_after_s,
                stalled_after_s: ways.stalled_after_s,
            },
            token,
            right: None,
        })
    }

    /// The session of the attempt before, where the same agent goes on and can take it up again.
    pub(super) async fn session_before(
        &self,
        case: &Case,
        agent: &Agent,
    ) -> Result<Option<String>, Hindrance> {
        let Some(preset) = agent.runtime.preset() else {
            return Ok(None);
        };
        let before = case.attempt.handoff.as_ref().filter(|it| it.agent_id == agent.id);
        let (Some(before), true) = (before, self.presets.now().ways(preset).loads_after_kill)
        else {
            return Ok(None);
        };
        let attempts = self.ledger.attempts_of(case.mission.id).await?;
        let before = attempts.iter().find(|attempt| attempt.n == before.from);
        // One that came to its end by itself has said what it had to say.
        let cut_off =
            |attempt: &&Attempt| matches!(attempt.exit(), Some(Exit::Lost { .. } | Exit::Rebooted));
        let Some(before) = before.filter(cut_off) else {
            return Ok(None);
        };
        let run = self.run(before.id);
        let kept = self.read_at_last(|| Memory::recall(&run)).await;
        let kept = kept.map_err(Hindrance::Conversation)?;
        Ok(kept.and_then(|kept| kept.session))
    }

    /// Our own tools as an attempt's agent sees them; nothing while the engine does not listen.
    pub(super) async fn own_tools(&self, attempt: &Attempt) -> Option<OwnTools> {
        let url = self.url.borrow().clone()?;
        let run = self.run(attempt.id);
        match self.read_at_last(|| token::mint(&run, attempt.id)).await {
            Ok(token) => {
                Some(OwnTools { url: format!("{}/mcp", url.trim_end_matches('/')), token })
            }
            Err(err) => {
                warn!(attempt = %attempt.id, %err, "an attempt goes without our tools");
                None
            }
        }
    }

    pub(super) fn driver(&self, agent: &Agent) -> Result<Box<dyn Driver>, Hindrance> {
        let policy = agent.conduct.permissions;
        Ok(match &agent.runtime {
            Runtime::Acp { preset, .. } => {
                let own = OWN_TOOLS.iter().map(|name| (*name).to_owned()).collect();
                Box::new(AcpDriver::new(self.presets.now().ways(preset), policy, own))
            }
            Runtime::Headless { preset, .. } => {
                let format = self.format(preset)?;
                Box::new(HeadlessDriver::new(format, &self.presets.now().ways(preset)))
            }
            Runtime::Command { terminal, .. } => Box::new(CommandDriver::new(*terminal)),
            Runtime::Attached { .. } => return Err(Hindrance::Elsewhere),
        })
    }

    fn restored(
        &self,
        agent: &Agent,
        memory: &Memory,
        tools: Option<OwnTools>,
    ) -> Result<Box<dyn Driver>, Hindrance> {
        let known = memory.driver().clone();
        let unknown = |err: &dyn std::fmt::Display| Hindrance::Snapshot(err.to_string());
        Ok(match &agent.runtime {
            Runtime::Acp { .. } => {
                let restored = AcpDriver::restore(known).map_err(|err| unknown(&err))?;
                Box::new(restored.with_tools(tools))
            }
            Runtime::Headless { preset, .. } => {
                let (format, ways) = (self.format(preset)?, self.presets.now().ways(preset));
                let restored = HeadlessDriver::restore(format, &ways, known);
                Box::new(restored.map_err(|err| unknown(&err))?)
            }
            Runtime::Command { .. } => {
                Box::new(CommandDriver::restore(known).map_err(|err| unknown(&err))?)
            }
            Runtime::Attached { .. } => return Err(Hindrance::Elsewhere),
        })
    }

    fn format(&self, preset: &str) -> Result<agents::runtime::headless::Format, Hindrance> {
        let known = self.presets.now().find(preset).and_then(|preset| preset.format);
        known.ok_or_else(|| Hindrance::Preset(preset.to_owned()))
    }
}

/// Whether a program says, or is told, more than its output and its exit code.
pub(super) const fn is_talked_to(runtime: &Runtime) -> bool {
    match runtime {
        Runtime::Acp { .. } | Runtime::Headless { .. } => true,
        Runtime::Command { terminal, .. } => *terminal,
        Runtime::Attached { .. } => false,
    }
}

/// Where an agent's own data is kept, apart from its attempts.
pub(super) fn home(agents: &Path, agent: &Agent) -> std::path::PathBuf {
    agents.join(agent.id.to_string())
}
