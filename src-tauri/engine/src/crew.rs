//! Use cases about agents.

use std::collections::BTreeMap;

use agents::runtime::headless::Format;
use agents::runtime::presets::{CUSTOM, Kind, custom};
use model::agent::{Agent, GRACE_S_DEFAULT, GRACE_S_RANGE, HIDDEN, NAME_CHARS_MAX, Runtime};
use model::id::{AgentId, SystemDraw};
use model::refusal::{Code, Refusal};
use model::status::HeldUntil;
use orchestrator::{Command, Input};

use crate::conduct;
use crate::missions::{absolute, invalid, legible, names};
use crate::resolve::{self, unreadable};
use crate::view::{
    AgentView, AttemptView, CommandCheck, DetectedRuntime, EditAgent, Listing, NewAgent,
};
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

    /// One agent as it was set, with the values of its variables: for what decides whether an edit
    /// still fits, not to be told.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn agent_as_set(&self, text: &str) -> Result<Agent, Refusal> {
        resolve::agent(&self.0.ledger, text).await
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
        self.tell(caller, Input::RemoveAgent(agent.id)).await?;
        self.forget_attached(caller, &agent).await;
        Ok(())
    }

    /// Holds an agent back: it ends what it does and gets no new mission.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn pause_agent(&self, caller: &Caller, text: &str) -> Result<AgentView, Refusal> {
        self.hold_agent(caller, text, true).await
    }

    /// Lets an agent go on, also one that is held back because it failed again and again.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn resume_agent(&self, caller: &Caller, text: &str) -> Result<AgentView, Refusal> {
        let agent = resolve::agent(&self.0.ledger, text).await?;
        if self.0.orchestrator.held().contains_key(&agent.id) {
            self.tell(&caller.without_key(), Input::ClearAgent(agent.id)).await?;
        }
        self.hold_agent(caller, text, false).await
    }

    /// A preset opened a conversation: its agents that had to be logged in can be given work again.
    pub(crate) async fn let_logged_in_go_on(&self, preset: &str) {
        let held = self.0.orchestrator.held();
        let held = held.iter().filter(|(_, until)| **until == HeldUntil::LoggedIn);
        for (id, _) in held {
            let agent = match self.0.ledger.agent(*id).await {
                Ok(Some(agent)) => agent,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, "an agent that is logged in may be held back still");
                    continue;
                }
            };
            if agent.runtime.preset() == Some(preset)
                && let Err(refusal) =
                    self.0.orchestrator.tell(Command::own(Input::ClearAgent(*id))).await
            {
                tracing::warn!(%refusal, agent = agent.name, "an agent is held back still");
            }
        }
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
        let mut items: Vec<DetectedRuntime> = agents::detect::installed(&self.0.presets.presets())
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

    /// Changes an agent; who it is and what it did stays.
    ///
    /// # Errors
    /// When there is no such agent, something is out of bounds, the name is taken, or how it is
    /// started is to be changed while it works.
    pub async fn edit_agent(
        &self,
        caller: &Caller,
        text: &str,
        edit: EditAgent,
    ) -> Result<AgentView, Refusal> {
        let _turn = self.0.agents_turn.lock().await;
        let mut agent = resolve::agent(&self.0.ledger, text).await?;
        if let Some(name) = &edit.name {
            agent.name = checked_name(name)?;
        }
        if let Some(role) = edit.role {
            role.trim().clone_into(&mut agent.role);
        }
        if let Some(skills) = edit.skills {
            agent.skills = skills;
        }
        checked_words(&agent.role, &agent.skills)?;
        if let Some(directory) = edit.directory {
            agent.directory = directory.as_deref().map(checked_directory).transpose()?;
        }
        agent.grace_s = checked_grace(Some(edit.grace_s.unwrap_or(agent.grace_s)))?;
        if edit.command.is_some() || edit.env.is_some() {
            agent.runtime = changed_runtime(agent.runtime, edit.command.as_deref(), edit.env)?;
        }
        if let Some(conduct) = edit.conduct {
            agent.conduct = conduct::checked(conduct, &agent.runtime, &self.0.presets.presets())?;
        }
        let (id, name) = (agent.id, agent.name.clone());
        match self.tell(caller, Input::EditAgent(agent)).await {
            Err(refusal) if refusal.code == Code::Conflict && edit.name.is_some() => {
                return Err(match resolve::agent(&self.0.ledger, &name).await {
                    Ok(other) if other.id != id => self.name_of_the_other(refusal, &name).await,
                    _ => refusal,
                });
            }
            told => told?,
        };
        self.agent(&id.to_string()).await
    }

    pub(crate) fn checked_agent(&self, new: NewAgent) -> Result<Agent, Refusal> {
        let name = checked_name(&new.name)?;
        checked_env(&new.env)?;
        checked_words(&new.role, &new.skills)?;
        let grace_s = checked_grace(new.grace_s)?;
        let directory = match new.directory.as_ref().filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(checked_directory(text)?),
            None => None,
        };
        let runtime = self.checked_runtime(&new)?;
        let conduct = conduct::checked(new.conduct, &runtime, &self.0.presets.presets())?;
        let now = self.0.clock.now();
        Ok(Agent {
            id: AgentId::draw(now, &mut SystemDraw),
            name,
            role: new.role.trim().to_owned(),
            skills: new.skills,
            runtime,
            directory,
            grace_s,
            conduct,
            paused: false,
            demo: false,
            created_at: now,
        })
    }

    /// How a new agent is driven: as its preset says, or as the captain says.
    fn checked_runtime(&self, new: &NewAgent) -> Result<Runtime, Refusal> {
        let given = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (command, preset) = (given(&new.command), given(&new.preset));
        let headless = new.runtime.as_deref() == Some("headless") && preset.is_none();
        if new.format.is_some() && !headless {
            return Err(invalid("only a headless command line says how its lines are read").hint(
                "a preset knows it itself; leave the format out, or choose the runtime 'headless'",
            ));
        }
        let env = new.env.clone();
        let Some(preset) = preset else {
            let Some(command) = command else {
                return Err(invalid("neither a command line nor a preset is given")
                    .hint("such as command: sh -c \"echo hello\", or preset: goose"));
            };
            let (program, args) = split(&command)?;
            let preset = CUSTOM.to_owned();
            let kind = new.runtime.as_deref().unwrap_or("command");
            let terminal = new.terminal;
            return match kind {
                "command" => Ok(Runtime::Command { program, args, env, terminal }),
                _ if terminal => Err(no_terminal(kind)),
                "acp" => Ok(Runtime::Acp { program, args, env, preset }),
                "headless" => {
                    let preset = custom(checked_format(new.format.as_deref())?);
                    Ok(Runtime::Headless { program, args, env, preset })
                }
                "attached" => Err(invalid("an agent that runs elsewhere has no command line")
                    .hint("POST /api/v1/attached registers it and gives its token")),
                other => {
                    let words = ["command", "acp", "headless"].map(str::to_owned);
                    Err(invalid(format!("there is no runtime '{other}'")).allowed(words.into()))
                }
            };
        };
        let known = self.0.presets.presets();
        let found = known.find(&preset).ok_or_else(|| {
            let names = known.iter().map(|preset| preset.name.clone()).collect();
            invalid(format!("there is no preset '{preset}'")).allowed(names)
        })?;
        let kind = kind_word(found.kind);
        if let Some(said) = new.runtime.as_deref().filter(|said| *said != kind) {
            return Err(invalid(format!(
                "the preset '{preset}' is driven as {kind}, not as {said}"
            ))
            .hint("leave the runtime out, or choose another preset"));
        }
        if new.terminal && found.kind != Kind::Command {
            return Err(no_terminal(kind));
        }
        let made = match (found.runtime(), command) {
            (Some(runtime), None) => runtime,
            (None, None) => {
                return Err(invalid(format!("the preset '{preset}' names no program"))
                    .hint("give its command line as well"));
            }
            (Some(_), Some(_)) => {
                return Err(invalid("exactly one of 'command' and 'preset' is needed")
                    .hint("the preset knows its program; variables can be added with 'env'"));
            }
            (None, Some(command)) => {
                let (program, args) = split(&command)?;
                let env = found.env.clone();
                match found.kind {
                    Kind::Command => Runtime::Command { program, args, env, terminal: false },
                    Kind::Acp => Runtime::Acp { program, args, env, preset },
                    Kind::Headless => Runtime::Headless { program, args, env, preset },
                }
            }
        };
        Ok(with_env(made, env, new.terminal))
    }
}

/// How the lines of a headless program are read, as the captain says.
fn checked_format(word: Option<&str>) -> Result<Format, Refusal> {
    let why = match word {
        None => "nothing says how the lines of this headless program are read".to_owned(),
        Some(word) => match Format::parse(word.trim()) {
            Some(format) => return Ok(format),
            None => format!("there is no format '{word}'"),
        },
    };
    let words = Format::ALL.map(|format| format.as_str().to_owned());
    Err(invalid(why)
        .hint("such as format: text, or claude for a program that prints like Claude Code")
        .allowed(words.into()))
}

/// The word for a kind of runtime.
pub(crate) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Command => "command",
        Kind::Acp => "acp",
        Kind::Headless => "headless",
    }
}

fn no_terminal(kind: &str) -> Refusal {
    invalid(format!("an agent driven as {kind} has no terminal"))
        .hint("leave the terminal out, or choose the runtime 'command'")
}

/// The runtime with these variables on top of its own.
fn with_env(runtime: Runtime, more: BTreeMap<String, String>, with_terminal: bool) -> Runtime {
    let add = |mut env: BTreeMap<String, String>| {
        env.extend(more);
        env
    };
    match runtime {
        Runtime::Command { program, args, env, terminal } => {
            Runtime::Command { program, args, env: add(env), terminal: terminal || with_terminal }
        }
        Runtime::Acp { program, args, env, preset } => {
            Runtime::Acp { program, args, env: add(env), preset }
        }
        Runtime::Headless { program, args, env, preset } => {
            Runtime::Headless { program, args, env: add(env), preset }
        }
        elsewhere @ Runtime::Attached { .. } => elsewhere,
    }
}

/// The runtime with another command line or other variables.
fn changed_runtime(
    runtime: Runtime,
    command: Option<&str>,
    env: Option<BTreeMap<String, String>>,
) -> Result<Runtime, Refusal> {
    let env = match env {
        Some(env) => {
            let env = kept_where_hidden(env, runtime.env())?;
            checked_env(&env)?;
            env
        }
        None => runtime.env().clone(),
    };
    let (program, args) = match command {
        Some(command) => split(command)?,
        None => (runtime.program().to_owned(), runtime.args().to_vec()),
    };
    Ok(match runtime {
        Runtime::Command { terminal, .. } => Runtime::Command { program, args, env, terminal },
        Runtime::Acp { preset, .. } => Runtime::Acp { program, args, env, preset },
        Runtime::Headless { preset, .. } => Runtime::Headless { program, args, env, preset },
        Runtime::Attached { .. } => {
            return Err(invalid("an agent that runs elsewhere is not started here")
                .hint("it has neither a command line nor variables of ours"));
        }
    })
}

/// Variables as they were edited where their values are not shown: such a value stays as it was.
fn kept_where_hidden(
    mut env: BTreeMap<String, String>,
    before: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    for (key, value) in env.iter_mut().filter(|(_, value)| *value == HIDDEN) {
        let kept = before.get(key).ok_or_else(|| {
            invalid(format!("{key} has no value that could stay as it is"))
                .hint(format!("{HIDDEN} keeps what a variable had; give {key} its value"))
        })?;
        value.clone_from(kept);
    }
    Ok(env)
}

/// Refuses what looks like a secret in what is told to whoever may see the agent, and stays in the
/// ledger and its backups.
fn without_secrets(what: &str, text: &str) -> Result<(), Refusal> {
    let Some(found) = text.lines().find_map(agents::secrets::find) else {
        return Ok(());
    };
    Err(invalid(format!("{what} looks like it holds a secret ({})", found.rule)).hint(
        "keep it with `hivekeeper secret set NAME`, and give the agent a variable with the value \
         secret:NAME",
    ))
}

fn checked_env(env: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (key, value) in env {
        without_secrets(&format!("the variable {key}"), &format!("{key}={value}"))?;
    }
    if env.len() > ENV_MAX || env.iter().any(|(key, value)| !is_variable(key, value)) {
        return Err(invalid("the environment holds a name or value that cannot be set")
            .hint("names are letters, digits and _, values hold no NUL; at most 200"));
    }
    Ok(())
}

pub(crate) fn checked_words(role: &String, skills: &[String]) -> Result<(), Refusal> {
    let wrong = |text: &String| {
        text.chars().count() > WORDS_CHARS_MAX || text.chars().any(char::is_control)
    };
    if skills.len() > SKILLS_MAX || skills.iter().chain([role]).any(wrong) {
        return Err(invalid("the role or a skill is too long or there are too many skills")
            .hint("at most 50 skills of 200 characters, in one line each"));
    }
    Ok(())
}

pub(crate) fn checked_grace(given: Option<u32>) -> Result<u32, Refusal> {
    let grace_s = given.unwrap_or(GRACE_S_DEFAULT);
    if GRACE_S_RANGE.contains(&grace_s) {
        return Ok(grace_s);
    }
    Err(invalid(format!("a grace of {grace_s} s is out of range"))
        .hint("between 1 and 120 seconds"))
}

fn is_variable(key: &str, value: &str) -> bool {
    let mut chars = key.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
        && !value.contains('\0')
}

pub(crate) fn checked_name(name: &str) -> Result<String, Refusal> {
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
    without_secrets("the command line", command)?;
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
