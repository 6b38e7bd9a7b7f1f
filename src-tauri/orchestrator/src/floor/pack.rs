//! What an agent is told first, and the files it finds where that was asked for.

use std::path::{Path, PathBuf};

use agents::brief::ARGUMENT_BYTES_MAX;
use agents::pack::{self, PACK_BYTES_MAX, Pack, PackFile, Reporting};
use agents::runtime::{OWN_TOOLS, Opening, OwnTools};
use agents::supervision::git_directories;
use model::agent::{Agent, BRIEF_PLACEHOLDER, Runtime};
use model::attempt::Workplace;
use model::message::{BATCH_MAX, Source};

use super::follow::home;
use super::launch::with_handoff;
use super::opening::Kept;
use super::{Case, FloorSetup, Hindrance};

/// Where an agent's reports are taken from, in its own directory.
pub(super) const INBOX: &str = "inbox";
/// Where messages to it are put.
pub(super) const MESSAGES: &str = "messages";
/// Room that an argument needs beside the pack, in bytes.
const BESIDE_BYTES: usize = 4 * 1024;

impl FloorSetup {
    /// What an agent is told first: the brief for a plain program; role, rules, mission, handoff and
    /// waiting messages for one that is talked to.
    pub(super) async fn opening(
        &self,
        case: &Case,
        agent: &Agent,
        directory: &Path,
    ) -> Result<Opening, Hindrance> {
        let tools = self.own_tools(&case.attempt).await;
        let session = self.session_before(case, agent).await?;
        let directory = directory.display().to_string();
        if matches!(agent.runtime, Runtime::Command { .. }) {
            let prompt = with_handoff(&case.brief, case.attempt.handoff.as_ref());
            return Ok(Opening { directory, prompt, messages: Vec::new(), tools, session });
        }
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        let waiting = self.ledger.waiting_messages(agent.id, limit).await?;
        let messages: Vec<(Source, String)> =
            waiting.iter().map(|message| (message.from.clone(), message.text.clone())).collect();
        let inbox = home(&self.agents, agent).join(INBOX);
        let presets = self.presets.now();
        let preset = agent.runtime.preset().and_then(|name| presets.find(name));
        let named = preset.and_then(|it| it.ways.tool_names.first()).map_or("{tool}", |it| it);
        let takes_tools = match &agent.runtime {
            Runtime::Acp { .. } | Runtime::Attached { .. } => true,
            _ => preset.is_some_and(agents::runtime::presets::Preset::takes_tools),
        };
        let packed = pack::pack(
            &Pack {
                agent: &agent.name,
                role: &agent.role,
                rules: &agent.conduct.rules,
                mission: &case.mission,
                brief: &case.brief,
                handoff: case.attempt.handoff.as_ref(),
                reporting: reporting(tools.as_ref(), takes_tools, named, &inbox),
                messages: &messages,
            },
            room(&agent.runtime),
        );
        let messages = waiting.iter().take(packed.messages).map(|message| message.id).collect();
        Ok(Opening { directory, prompt: packed.text, messages, tools, session })
    }

    /// What an agent was told when its program was started, by this engine or one before it.
    pub(super) async fn opening_again(
        &self,
        case: &Case,
        agent: &Agent,
    ) -> Result<Opening, Hindrance> {
        let place = case.attempt.workplace.as_ref().map_or("/", |it| &it.directory);
        let run = self.run(case.attempt.id);
        let kept = self.read_at_last(|| Kept::recall(&run)).await;
        let kept = kept.map_err(Hindrance::Conversation)?;
        let Some(kept) = kept else {
            return self.opening(case, agent, Path::new(place)).await;
        };
        // Who speaks a protocol is told of its tools there, and its token is kept nowhere; the others
        // have had theirs from the start.
        let tools = match agent.runtime {
            Runtime::Acp { .. } => self.own_tools(&case.attempt).await,
            _ => None,
        };
        Ok(Opening { tools, ..kept.opening(Path::new(place)) })
    }

    /// Lays the files of an agent that wants them into its worktree.
    pub(super) fn lay_files(&self, case: &Case, workplace: &Workplace) -> Result<(), Hindrance> {
        match Laid::of(case, workplace) {
            Some(laid) => pack::lay(&laid.place, &laid.exclude, &laid.mark, &laid.files)
                .map_err(Hindrance::Files),
            None => Ok(()),
        }
    }

    /// Takes them away again, before anything looks at the work.
    pub(super) fn lift_files(&self, case: &Case, workplace: &Workplace) -> Result<(), Hindrance> {
        match Laid::of(case, workplace) {
            Some(laid) => pack::lift(&laid.place, &laid.exclude, &laid.mark, &laid.files)
                .map_err(Hindrance::Files),
            None => Ok(()),
        }
    }
}

/// How an agent reports: by our tools where it can use them, by files otherwise.
fn reporting<'a>(
    tools: Option<&OwnTools>,
    takes_tools: bool,
    named: &'a str,
    inbox: &'a Path,
) -> Reporting<'a> {
    match tools {
        Some(_) if takes_tools => Reporting::Tools { named, tools: &OWN_TOOLS },
        _ if inbox.is_dir() => Reporting::Inbox(inbox),
        _ => Reporting::None,
    }
}

/// How much an agent can be told at once.
fn room(runtime: &Runtime) -> usize {
    match runtime.args().iter().any(|arg| arg.contains(BRIEF_PLACEHOLDER)) {
        true => ARGUMENT_BYTES_MAX - BESIDE_BYTES,
        false => PACK_BYTES_MAX,
    }
}

/// Files in a worktree that are ours.
struct Laid {
    place: PathBuf,
    exclude: PathBuf,
    mark: String,
    files: Vec<PackFile>,
}

impl Laid {
    /// The files of an attempt; nothing where they are not asked for, or it has no worktree.
    fn of(case: &Case, workplace: &Workplace) -> Option<Self> {
        let agent = case.agent.as_ref().filter(|agent| agent.conduct.files)?;
        workplace.branch.as_ref()?;
        let place = PathBuf::from(&workplace.directory);
        let exclude = git_directories(&place).first()?.join("info").join("exclude");
        let mark = format!("hivekeeper: files of attempt {}", case.attempt.id);
        // What is the project's own is known by git: it is in the commit the attempt began with.
        let files = pack::files(&agent.role, &agent.conduct.rules, |name| {
            is_the_projects(&place.join(name), &exclude, &mark)
        });
        Some(Self { place, exclude, mark, files })
    }
}

/// Whether a file was there before ours were laid: it is there, and nothing says it is ours.
fn is_the_projects(path: &Path, exclude: &Path, mark: &str) -> bool {
    let ours = std::fs::read_to_string(exclude).is_ok_and(|text| text.contains(mark));
    path.symlink_metadata().is_ok() && !ours
}
