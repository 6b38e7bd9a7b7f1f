//! Use cases about missions.

use std::collections::HashMap;

use agents::worktree::Git;
use model::agent::Agent;
use model::attempt::Attempt;
use model::gate::{GateSpec, Grade};
use model::id::{AgentId, MissionId, SHORT_ID_LEN, ShortId, SystemDraw};
use model::mission::{
    BRIEF_BYTES_MAX, GATES_MAX, Mission, MissionState, RETRIES_MAX, TITLE_CHARS_MAX,
};
use model::refusal::{Code, Refusal};
use model::transition::{MissionInput, allowed};
use orchestrator::Input;
use orchestrator::schedule;
use store::ledger::{MissionFilter, PAGE_ROWS_DEFAULT};

use crate::resolve::{self, unreadable};
use crate::view::{
    Ask, Assign, AttemptView, Evidence, Listing, MissionDetail, MissionView, NewMission,
    RepositoryView,
};
use crate::{Caller, Engine};

/// Which missions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissionQuery {
    /// Only those in one of these states; empty means all.
    pub states: Vec<MissionState>,
    /// Only those of this agent, by id or name.
    pub agent: Option<String>,
    /// Only those whose title or id holds this text.
    pub text: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

/// What the state of missions is derived from, read once for a whole list.
struct Surroundings {
    agents: Vec<Agent>,
    unfinished: Vec<Attempt>,
}

impl Surroundings {
    fn name(&self, id: AgentId) -> Option<String> {
        self.agents.iter().find(|agent| agent.id == id).map(|agent| agent.name.clone())
    }
}

impl Engine {
    /// Lists missions, newest first.
    ///
    /// # Errors
    /// When the filter names an unknown agent or cursor, or the ledger cannot be read.
    pub async fn missions(&self, query: MissionQuery) -> Result<Listing<MissionView>, Refusal> {
        let ledger = &self.0.ledger;
        let agent = match &query.agent {
            Some(text) => Some(resolve::agent(ledger, text).await?.id),
            None => None,
        };
        let filter = MissionFilter {
            states: query.states,
            agent,
            text: query.text,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        };
        let page = ledger.missions(filter).await.map_err(unreadable)?;
        let around = self.surroundings().await?;
        let items = page.items.into_iter().map(|mission| self.mission_view(mission, &around));
        Ok(Listing { items: items.collect(), next: page.next })
    }

    /// Everything about one mission.
    ///
    /// # Errors
    /// When there is no such mission, or several go by that prefix.
    pub async fn mission(&self, text: &str) -> Result<MissionDetail, Refusal> {
        let (mission, brief) = resolve::mission(&self.0.ledger, text).await?;
        self.mission_detail(mission, brief).await
    }

    /// Creates a mission and, unless it is a draft, offers it to the agents.
    ///
    /// # Errors
    /// When the input is out of bounds; nothing is created then.
    pub async fn add_mission(
        &self,
        caller: &Caller,
        new: NewMission,
    ) -> Result<MissionDetail, Refusal> {
        let queue = !new.draft;
        let brief = checked_brief(&new.brief)?;
        let mission = self.checked_mission(new).await?;
        let id = mission.id;
        let input = Input::AddMission { mission, brief, queue };
        let id = self.tell_creation(caller, input, id.as_uuid()).await?;
        self.mission(&MissionId::from_uuid(id).to_string()).await
    }

    /// Asks something of a mission: queue, accept, reject, pause, resume, cancel, retry.
    ///
    /// # Errors
    /// When the published table has no such transition; the refusal names the allowed ones.
    pub async fn ask_mission(
        &self,
        caller: &Caller,
        text: &str,
        input: MissionInput,
        ask: Ask,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let note = ask.note.map(|note| note.chars().take(2_000).collect());
        self.tell(caller, Input::Ask { id: mission.id, input, note }).await?;
        self.mission(&mission.id.to_string()).await
    }

    /// Chooses the agent of a mission; a draft is queued by it.
    ///
    /// # Errors
    /// When the mission is under way or done, or there is no such agent.
    pub async fn assign_mission(
        &self,
        caller: &Caller,
        text: &str,
        assign: Assign,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let agent = match assign.agent {
            Some(name) => Some(resolve::agent(&self.0.ledger, &name).await?.id),
            None => None,
        };
        self.tell(caller, Input::Assign { id: mission.id, agent }).await?;
        self.mission(&mission.id.to_string()).await
    }

    /// Looks at a directory the captain names as repository.
    ///
    /// # Errors
    /// When it is not a git repository with at least one commit.
    pub async fn inspect_repository(&self, path: &str) -> Result<RepositoryView, Refusal> {
        let path = absolute(path)?;
        let found = Git::new()
            .inspect(&path)
            .await
            .map_err(|err| invalid(format!("failed to {err}")).hint(REPOSITORY_HINT))?;
        Ok(RepositoryView {
            root: found.root.display().to_string(),
            head_commit: found.head_commit,
            branch: found.branch,
            uncommitted_files: found.uncommitted_files,
        })
    }

    async fn surroundings(&self) -> Result<Surroundings, Refusal> {
        Ok(Surroundings {
            agents: self.0.ledger.agents().await.map_err(unreadable)?,
            unfinished: self.0.ledger.unfinished_attempts().await.map_err(unreadable)?,
        })
    }

    fn mission_view(&self, mission: Mission, around: &Surroundings) -> MissionView {
        let at_work = around.unfinished.iter().find(|attempt| attempt.mission_id == mission.id);
        let agent = at_work.map(|attempt| attempt.agent_id).or(mission.agent);
        let waiting =
            schedule::waiting(&mission, &around.agents, &around.unfinished, self.0.running_max);
        let reason = match (&waiting, &mission.note) {
            (Some(waiting), Some(note)) => Some(format!("{waiting} ({note})")),
            (Some(waiting), None) => Some(waiting.to_string()),
            (None, note) => note.clone(),
        };
        MissionView {
            agent_name: agent.and_then(|id| around.name(id)),
            waiting,
            reason,
            allowed: allowed(mission.state),
            mission,
        }
    }

    async fn mission_detail(
        &self,
        mission: Mission,
        brief: String,
    ) -> Result<MissionDetail, Refusal> {
        let around = self.surroundings().await?;
        let mut attempts = self.0.ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.n));
        let names = names(&around.agents);
        let needed = mission.policy.grade_needed();
        let evidence = Evidence {
            grade: mission.grade,
            needed,
            enough: mission.grade >= needed && mission.grade > Grade::None,
        };
        let attempts = self.attempt_views(attempts, &names).await?;
        Ok(MissionDetail { view: self.mission_view(mission, &around), brief, evidence, attempts })
    }

    /// Adds gates, names and output sizes to attempts.
    pub(crate) async fn attempt_views(
        &self,
        attempts: Vec<Attempt>,
        names: &HashMap<AgentId, String>,
    ) -> Result<Vec<AttemptView>, Refusal> {
        let mut views = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let gates = self.0.ledger.gate_results(attempt.id).await.map_err(unreadable)?;
            let (stdout_bytes, stderr_bytes) = self.output_bytes(attempt.id);
            views.push(AttemptView {
                agent: names.get(&attempt.agent_id).cloned(),
                exit_code: attempt.exit().and_then(model::process::Exit::code),
                ended: attempt.exit().map(ToString::to_string),
                gates,
                stdout_bytes,
                stderr_bytes,
                attempt,
            });
        }
        Ok(views)
    }

    pub(crate) async fn checked_mission(&self, new: NewMission) -> Result<Mission, Refusal> {
        let title = checked_title(&new.title)?;
        let gates = checked_gates(&new.gates)?;
        if new.retries > RETRIES_MAX {
            return Err(invalid(format!("{} retries are too many", new.retries))
                .hint(format!("at most {RETRIES_MAX}")));
        }
        let agent = match &new.agent {
            Some(text) => Some(resolve::agent(&self.0.ledger, text).await?.id),
            None => None,
        };
        let repository = match &new.repository {
            Some(path) => Some(self.inspect_repository(path).await?.root),
            None => None,
        };
        let now = self.0.clock.now();
        let id = MissionId::draw(now, &mut SystemDraw);
        Ok(Mission {
            id,
            short_id: ShortId::derive(id, SHORT_ID_LEN),
            title,
            state: MissionState::Draft,
            note: None,
            priority: new.priority,
            policy: new.policy,
            agent,
            repository,
            gates,
            retries_max: new.retries,
            attempts: 0,
            tries: 0,
            grade: Grade::None,
            demo: false,
            created_at: now,
            updated_at: now,
        })
    }
}

const REPOSITORY_HINT: &str =
    "name the directory of a git checkout that has at least one commit, or leave it empty";

pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidInput, message)
}

pub(crate) fn names(agents: &[Agent]) -> HashMap<AgentId, String> {
    agents.iter().map(|agent| (agent.id, agent.name.clone())).collect()
}

/// An absolute path, so that it means the same whoever asks from wherever.
pub(crate) fn absolute(path: &str) -> Result<std::path::PathBuf, Refusal> {
    let trimmed = path.trim();
    let full = match (trimmed.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => std::path::PathBuf::from(trimmed),
    };
    if full.is_absolute() && !trimmed.contains('\0') {
        return Ok(full);
    }
    Err(invalid(format!("'{trimmed}' is not an absolute path"))
        .hint("write the whole path, beginning with / or ~/"))
}

/// Refuses what cannot be read in one line, or reads differently from what it is.
pub(crate) fn legible(what: &str, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        return Err(
            invalid(format!("the {what} holds control characters")).hint("write it in one line")
        );
    }
    // Joiners are left alone: scripts and emoji need them.
    let invisible = |ch: &char| {
        matches!(ch, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    match text.chars().find(invisible) {
        Some(ch) => Err(invalid(format!(
            "the {what} holds the invisible character U+{:04X}",
            u32::from(ch)
        ))
        .hint("type it anew without it")),
        None => Ok(()),
    }
}

fn checked_title(title: &str) -> Result<String, Refusal> {
    let title = title.trim();
    if title.is_empty() {
        return Err(invalid("the title is empty").hint("say in one line what is to be done"));
    }
    legible("title", title)?;
    if title.chars().count() > TITLE_CHARS_MAX {
        return Err(invalid(format!("the title is longer than {TITLE_CHARS_MAX} characters"))
            .hint("put the details into the brief"));
    }
    Ok(title.to_owned())
}

fn checked_brief(brief: &str) -> Result<String, Refusal> {
    if brief.trim().is_empty() {
        return Err(invalid("the brief is empty")
            .hint("say what is to be done; the agent gets this text and nothing else"));
    }
    if brief.contains('\0') {
        return Err(invalid("the brief holds a NUL character, which no program can be given")
            .hint("remove it; a file that is no text is better named than pasted"));
    }
    if brief.len() > BRIEF_BYTES_MAX {
        return Err(invalid(format!(
            "the brief has {} bytes; the limit is {BRIEF_BYTES_MAX} (1 MiB)",
            brief.len()
        ))
        .hint("put long material into a file of the repository and name it in the brief"));
    }
    Ok(brief.to_owned())
}

fn checked_gates(lines: &[String]) -> Result<Vec<GateSpec>, Refusal> {
    if lines.len() > GATES_MAX {
        return Err(invalid(format!("{} gates are too many", lines.len()))
            .hint(format!("at most {GATES_MAX}; join commands with &&")));
    }
    lines
        .iter()
        .map(|line| GateSpec::parse(line).map_err(|err| invalid(err.to_string()).hint(err.hint())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_reads_differently_from_what_it_is_is_refused_by_name() {
        let check = |text: &str, words: Option<&str>| {
            let refused = legible("name", text).err().map(|refusal| refusal.message);
            assert_eq!(refused.as_deref(), words, "{text:?}");
        };
        check("Ann", None);
        check("مريم و", None);
        check("👩\u{200d}🚀 می\u{200c}خواهم", None);
        check("a\u{202e}b", Some("the name holds the invisible character U+202E"));
        check("a\u{2069}", Some("the name holds the invisible character U+2069"));
        check("\u{feff}a", Some("the name holds the invisible character U+FEFF"));
        check("a\u{200b}b", Some("the name holds the invisible character U+200B"));
        check("a\u{61c}b", Some("the name holds the invisible character U+061C"));
        check("a\nb", Some("the name holds control characters"));
    }

    #[test]
    fn a_brief_no_program_can_be_given_is_refused() {
        assert!(checked_brief("a\0b").unwrap_err().message.contains("NUL"));
        assert!(checked_brief("a\nb").is_ok());
    }

    #[test]
    fn a_refused_gate_says_what_to_write_for_its_kind() {
        let check = |line: &str, message: &str, hint: &str| {
            let refusal = checked_gates(&[line.to_owned()]).unwrap_err();
            assert_eq!(refusal.message, message);
            assert!(refusal.hint.as_deref().is_some_and(|it| it.contains(hint)), "{refusal:?}");
        };
        check("command:", "the 'command' gate names nothing to check", "command: cargo test");
        check("file: ", "the 'file' gate names nothing to check", "file: out.txt");
        check("file: .", "'.' is a directory, not a file", "name a file in it");
        check("make", "the gate 'make' does not begin with its kind", "file: out.txt");
    }
}
