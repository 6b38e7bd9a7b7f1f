//! Use cases about agents.

use model::agent::{Agent, GRACE_S_DEFAULT, GRACE_S_RANGE, NAME_CHARS_MAX, Runtime};
use model::id::{AgentId, SystemDraw};
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use crate::missions::{absolute, invalid, legible, names};
use crate::resolve::{self, unreadable};
use crate::view::{AgentView, AttemptView, CommandCheck, DetectedRuntime, Listing, NewAgent};
use crate::{Caller, Engine};

/// The longest command line, in bytes.
const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// The longest role or skill, in characters.
const WORDS_CHARS_MAX: usize = 200;
/// The most skills of one agent.
const SKILLS_MAX: usize = 50;
/// The most variables of one agent.
const ENV_MAX: usize = 200;

impl Engine {
    /// Lists every agent with its derived status, by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn agents(&self) -> Result<Listing<AgentView>, Refusal> {
        Ok(Listing { items: self.roster_views().await?, next: None })
    }

    /// One agent with its derived status.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn agent(&self, text: &str) -> Result<AgentView, Refusal> {
        let agent = resolve::agent(&self.0.ledger, text).await?;
        self.roster_view(agent).await
    }

    /// Creates an agent.
    ///
    /// # Errors
    /// When the input is out of bounds or the name is taken.
    pub async fn add_agent(&self, caller: &Caller, new: NewAgent) -> Result<AgentView, Refusal> {
        let agent = self.checked_agent(new)?;
        let (id, name) = (agent.id.as_uuid(), agent.name.clone());
        let id = match self.tell_creation(caller, Input::AddAgent(agent), id).await {
            Err(refusal) if refusal.code == Code::Conflict => {
                return Err(self.name_of_the_other(refusal, &name).await);
            }
            made => made?,
        };
        self.agent(&AgentId::from_uuid(id).to_string()).await
    }

    /// Says which agent has the name, where that is what is in the way.
    async fn name_of_the_other(&self, refusal: Refusal, name: &str) -> Refusal {
        match resolve::agent(&self.0.ledger, name).await {
            Ok(other) => Refusal {
                message: format!("the name '{name}' is taken by the agent '{}'", other.name),
                ..refusal
            },
            Err(_) => refusal,
        }
    }

    /// Removes an agent; what it did stays in the ledger.
    ///
    /// # Errors
    /// When there is no such agent, or it is at work.
    pub async fn remove_agent(&self, caller: &Caller, text: &str) -> Result<(), Refusal> {
        let agent = resolve::agent(&self.0.ledger, text).await?;
        self.tell(caller, Input::RemoveAgent(agent.id)).await.map(drop)
    }

    /// Holds an agent back: it ends what it does and gets no new mission.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn pause_agent(&self, caller: &Caller, text: &str) -> Result<AgentView, Refusal> {
        self.hold_agent(caller, text, true).await
    }

    /// Lets an agent go on.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn resume_agent(&self, caller: &Caller, text: &str) -> Result<AgentView, Refusal> {
        self.hold_agent(caller, text, false).await
    }

    async fn hold_agent(
        &self,
        caller: &Caller,
        text: &str,
        paused: bool,
    ) -> Result<AgentView, Refusal> {
        let agent = resolve::agent(&self.0.ledger, text).await?;
        self.tell(caller, Input::HoldAgent { id: agent.id, paused }).await?;
        self.agent(&agent.id.to_string()).await
    }

    /// The attempts of an agent, newest first.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn agent_attempts(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Listing<AttemptView>, Refusal> {
        let agent = resolve::agent(&self.0.ledger, text).await?;
        let limit = limit.clamp(1, 200);
        let attempts =
            self.0.ledger.attempts_of_agent(agent.id, limit).await.map_err(unreadable)?;
        let names = names(std::slice::from_ref(&agent));
        Ok(Listing { items: self.attempt_views(attempts, &names).await?, next: None })
    }

    /// What a command line would start, and whether it can.
    ///
    /// # Errors
    /// When the line cannot be split into words.
    pub fn check_command(
        &self,
        command: &str,
        directory: Option<&str>,
    ) -> Result<CommandCheck, Refusal> {
        let (program, args) = split(command)?;
        let directory = directory.map(absolute).transpose()?;
        let problem = agents::detect::missing(&program, directory.as_deref());
        Ok(CommandCheck { program, args, problem })
    }

    /// Known agent programs, those found on this machine first.
    #[must_use]
    pub fn runtimes(&self) -> Listing<DetectedRuntime> {
        let mut items: Vec<DetectedRuntime> = agents::detect::installed()
            .into_iter()
            .map(|found| DetectedRuntime {
                preset: found.preset,
                title: found.title,
                program: found.program,
                path: found.path.map(|path| path.display().to_string()),
                command: found.command,
                note: found.note,
            })
            .collect();
        items.sort_by_key(|found| found.path.is_none());
        Listing { items, next: None }
    }

    pub(crate) fn checked_agent(&self, new: NewAgent) -> Result<Agent, Refusal> {
        let name = checked_name(&new.name)?;
        if new.runtime != "command" {
            return Err(invalid(format!("'{}' is not a runtime of this version", new.runtime))
                .hint("use the runtime 'command'"));
        }
        let (program, args) = split(&self.command_line(new.command, new.preset)?)?;
        let grace_s = new.grace_s.unwrap_or(GRACE_S_DEFAULT);
        if !GRACE_S_RANGE.contains(&grace_s) {
            return Err(invalid(format!("a grace of {grace_s} s is out of range"))
                .hint("between 1 and 120 seconds"));
        }
        if new.env.len() > ENV_MAX || new.env.iter().any(|(key, value)| !is_variable(key, value)) {
            return Err(invalid("the environment holds a name or value that cannot be set")
                .hint("names are letters, digits and _, values hold no NUL; at most 200"));
        }
        let words = |text: &String| {
            text.chars().count() > WORDS_CHARS_MAX || text.chars().any(char::is_control)
        };
        if new.skills.len() > SKILLS_MAX || new.skills.iter().chain([&new.role]).any(words) {
            return Err(invalid("the role or a skill is too long or there are too many skills")
                .hint("at most 50 skills of 200 characters, in one line each"));
        }
        let directory = match new.directory.filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(checked_directory(&text)?),
            None => None,
        };
        let now = self.0.clock.now();
        Ok(Agent {
            id: AgentId::draw(now, &mut SystemDraw),
            name,
            role: new.role.trim().to_owned(),
            skills: new.skills,
            runtime: Runtime::Command { program, args, env: new.env, terminal: false },
            directory,
            grace_s,
            conduct: model::agent::Conduct::default(),
            paused: false,
            demo: false,
            created_at: now,
        })
    }

    fn command_line(
        &self,
        command: Option<String>,
        preset: Option<String>,
    ) -> Result<String, Refusal> {
        if preset.is_none() && command.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(invalid("the command line is empty").hint("such as: sh -c \"echo hello\""));
        }
        let given = |text: &String| !text.trim().is_empty();
        match (command.filter(given), preset.filter(given)) {
            (Some(command), None) => Ok(command),
            (None, Some(preset)) => {
                let known = agents::detect::installed();
                let found = known.iter().find(|found| found.preset == preset);
                found.map(|found| found.command.clone()).ok_or_else(|| {
                    let names = known.iter().map(|found| found.preset.clone()).collect();
                    invalid(format!("there is no preset '{preset}'")).allowed(names)
                })
            }
            _ => Err(invalid("exactly one of 'command' and 'preset' is needed")
                .hint("such as command: sh -c \"echo hello\"")),
        }
    }
}

fn is_variable(key: &str, value: &str) -> bool {
    let mut chars = key.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
        && !value.contains('\0')
}

fn checked_name(name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() {
        return Err(invalid("the name is empty").hint("give the agent a name you will recognise"));
    }
    legible("name", name)?;
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(invalid(format!("the name is longer than {NAME_CHARS_MAX} characters"))
            .hint("say what it is for with its role"));
    }
    if name.parse::<AgentId>().is_ok() {
        return Err(invalid("the name looks like an id").hint("choose a name people can say"));
    }
    Ok(name.to_owned())
}

fn checked_directory(text: &str) -> Result<String, Refusal> {
    let path = absolute(text)?;
    if !path.is_dir() {
        return Err(invalid(format!("there is no directory {}", path.display()))
            .hint("create it first, or leave it empty: each attempt then gets one of its own"));
    }
    Ok(path.display().to_string())
}

/// Splits a command line into program and arguments as a shell would, without running one.
fn split(command: &str) -> Result<(String, Vec<String>), Refusal> {
    if command.len() > COMMAND_BYTES_MAX || command.contains('\0') {
        return Err(invalid("the command line is too long or holds a NUL character"));
    }
    let mut words = shell_words::split(command).map_err(|err| {
        Refusal::new(Code::InvalidInput, format!("the command line cannot be read: {err}"))
            .hint("close every quote")
    })?;
    if words.first().is_none_or(String::is_empty) {
        return Err(invalid("the command line names no program"));
    }
    let program = words.remove(0);
    Ok((program, words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_line_is_split_as_in_a_shell() {
        let check = |line: &str, words: Option<&[&str]>| {
            let read = split(line).ok().map(|(program, args)| {
                let mut all = vec![program];
                all.extend(args);
                all
            });
            let words = words.map(|w| w.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(read, words, "{line}");
        };
        check("sh -c 'echo a b'", Some(&["sh", "-c", "echo a b"]));
        check(r#"claude -p "{brief}""#, Some(&["claude", "-p", "{brief}"]));
        check("sh -c 'open", None);
        check("   ", None);
        check("'' a", None);
    }

    proptest! {
        #[test]
        fn no_command_line_panics_and_each_reads_back(line: String) {
            if let Ok((program, args)) = split(&line) {
                let mut words = vec![program];
                words.extend(args);
                let again = split(&shell_words::join(&words)).unwrap();
                prop_assert_eq!(again.0, words.remove(0));
                prop_assert_eq!(again.1, words);
            }
        }
    }
}
