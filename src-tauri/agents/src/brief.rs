//! Turns an agent's runtime and a mission's brief into what the shim is asked to start.

use std::path::{Path, PathBuf};

use model::agent::{Agent, BRIEF_FILE_PLACEHOLDER, BRIEF_PLACEHOLDER, Runtime};
use model::id::{AttemptId, MissionId};
use model::process::{LaunchSpec, Sandbox, Supervision, TerminalSize};
use model::trace;

use crate::run_files::read_spec;
use crate::runtime::presets::{Added, Additions};

/// The longest single argument Linux takes, in bytes, without its closing NUL (`MAX_ARG_STRLEN`).
pub const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;
/// The file `{brief_file}` stands for, in the run's directory.
const BRIEF_FILE: &str = "brief.md";
/// The file with the agent's token, in the run's directory; removed when the run is over.
pub const TOKEN_FILE: &str = "token";

/// The variable by which whatever a program exports by OpenTelemetry says whose it is.
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What is to be started, for whom, and where.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// What its preset adds to its command line.
    pub additions: &'a Additions,
    /// How its processes are kept together.
    pub supervision: Supervision,
    /// What the mission asks for.
    pub brief: &'a str,
    /// The mission.
    pub mission: MissionId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The run's directory.
    pub run: &'a Path,
    /// Where the program starts.
    pub directory: &'a Path,
    /// Where the engine can be reached, where it listens.
    pub url: Option<&'a str>,
    /// The agent's own token; it is put into a private file.
    pub token: Option<&'a str>,
    /// Where its reports are taken from, and where messages to it are put; nothing where it has no such
    /// directories.
    pub post: Option<Post<'a>>,
}

/// The directories by which an agent is reached that knows only files.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// Where its reports are taken from.
    pub inbox: &'a Path,
    /// Where messages to it are put.
    pub messages: &'a Path,
}

/// What [`crate::Launcher::start`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The program, its arguments and its environment.
    pub spec: LaunchSpec,
    /// What it reads on standard input; nothing when an argument carries the brief.
    pub stdin: Option<Vec<u8>>,
}

/// What a run's program was given as variables, beside those it inherited and its secrets; nothing where
/// that cannot be read.
#[must_use]
pub fn variables(run: &Path) -> Vec<(String, String)> {
    read_spec(run).ok().flatten().map(|spec| spec.env).unwrap_or_default()
}

/// What keeps a brief from being handed over.
#[derive(Debug, thiserror::Error)]
pub enum BriefError {
    /// An argument would be longer than the system takes.
    #[error(
        "pass the brief as an argument: with it the argument has {bytes} bytes, the system takes \
         {ARGUMENT_BYTES_MAX}; use {{brief_file}} in place of {{brief}}, or neither for standard input"
    )]
    TooLong {
        /// How long it would be.
        bytes: usize,
    },
    /// A NUL byte would end the argument early.
    #[error(
        "pass the brief as an argument: it contains a NUL byte; use {{brief_file}} in place of \
         {{brief}}, or neither for standard input"
    )]
    Nul,
    /// The brief's file cannot be written.
    #[error("write the brief to '{}'", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What has an agent export its figures to us. Where the captain says where they go, they go there,
/// and our token does not go with them.
fn export<'a>(runtime: &Runtime, additions: &'a Additions) -> Option<&'a Added> {
    let theirs = runtime.env().keys().any(|name| {
        let ways = ["OTEL_EXPORTER_", "GEMINI_TELEMETRY_", "QWEN_TELEMETRY_"];
        ways.iter().any(|way| name.starts_with(way))
    });
    (!theirs).then_some(&additions.export)
}

/// Whose figures a program exports, behind what the captain says about it.
fn resource_attributes(order: &Order<'_>) -> String {
    let Order { agent, mission, attempt, .. } = order;
    let id = agent.id;
    let own = format!(
        "hivekeeper.agent.id={id},hivekeeper.mission.id={mission},hivekeeper.attempt.id={attempt}"
    );
    match agent.runtime.env().get(RESOURCE_ATTRIBUTES).map(|given| given.trim()) {
        Some(given) if !given.is_empty() => format!("{},{own}", given.trim_end_matches(',')),
        _ => own,
    }
}

/// Makes the specification of a run, and the brief's file (0600) where an argument asks for it.
///
/// # Errors
/// When the brief does not fit into an argument, or its file cannot be written.
pub fn prepare(order: &Order<'_>) -> Result<Prepared, BriefError> {
    let Order { agent, additions, .. } = order;
    let runtime = &agent.runtime;
    let path = order.run.join(BRIEF_FILE);
    let mut used = Used::default();
    let export = export(runtime, additions);
    let args = runtime
        .args()
        .iter()
        .chain(&additions.args)
        .chain(export.into_iter().flat_map(|added| &added.args))
        .map(|arg| fill(arg, order.brief, &path, &mut used))
        .collect::<Result<Vec<_>, _>>()?;
    let written = |path: &Path, text: &str| {
        crate::run_files::make_private(order.run)
            .and_then(|()| shim::record::write(path, text.as_bytes()))
            .map_err(|source| BriefError::Write { path: path.to_owned(), source })
    };
    if used.file {
        written(&path, order.brief)?;
    }
    if let Some((path, text)) = &additions.file {
        written(path, text)?;
    }
    let token_path = order.run.join(TOKEN_FILE);
    if let Some(token) = order.token {
        written(&token_path, token)?;
    }
    for directory in &additions.directories {
        crate::run_files::make_private(directory)
            .map_err(|source| BriefError::Write { path: directory.clone(), source })?;
    }
    // A protocol brings the brief itself, and a terminal is for typing.
    let talks = matches!(runtime, Runtime::Acp { .. });
    let terminal = runtime.has_terminal().then(TerminalSize::default);
    let by_stdin = !used.text && !used.file && !talks && terminal.is_none();
    let stdin = by_stdin.then(|| whole_lines(order.brief));
    let own = [
        (RESOURCE_ATTRIBUTES, Some(resource_attributes(order))),
        ("HIVEKEEPER_MISSION", Some(order.mission.to_string())),
        ("HIVEKEEPER_ATTEMPT", Some(order.attempt.to_string())),
        ("HIVEKEEPER_URL", order.url.map(ToOwned::to_owned)),
        ("HIVEKEEPER_TOKEN_FILE", order.token.map(|_| token_path.display().to_string())),
        ("HIVEKEEPER_INBOX", order.post.map(|post| post.inbox.display().to_string())),
        ("HIVEKEEPER_MESSAGES", order.post.map(|post| post.messages.display().to_string())),
        (trace::VARIABLE, Some(trace::parent(order.mission, order.attempt))),
    ];
    let mut env: Vec<(String, String)> = runtime.env().clone().into_iter().collect();
    env.extend(additions.env.iter().cloned());
    env.extend(export.into_iter().flat_map(|added| added.env.clone()));
    env.retain(|(name, _)| name != RESOURCE_ATTRIBUTES && name != trace::VARIABLE);
    env.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let spec = LaunchSpec {
        program: runtime.program().to_owned(),
        args,
        env,
        directory: order.directory.display().to_string(),
        stdin: stdin.is_some(),
        grace_ms: u64::from(agent.grace_s) * 1000,
        marker: order.attempt.to_string(),
        channel: talks,
        terminal,
        limits: agent.conduct.limits,
        sandbox: sandbox(order),
        shown: order.post.map(|post| post.messages.display().to_string()).into_iter().collect(),
        supervision: order.supervision,
        inherited: Vec::new(),
        withheld: Vec::new(),
        secret: Vec::new(),
    };
    Ok(Prepared { spec, stdin })
}

/// The agent's sandbox, open to what commits, its own data and its reports need.
fn sandbox(order: &Order<'_>) -> Option<Sandbox> {
    let mut sandbox = order.agent.conduct.sandbox.clone()?;
    let git = crate::supervision::git_directories(order.directory);
    let needed = git.iter().chain(&order.additions.directories).map(PathBuf::as_path);
    let needed = needed.chain(order.post.map(|post| post.inbox));
    sandbox.writable.extend(needed.map(|path| path.display().to_string()));
    Some(sandbox)
}

#[derive(Default)]
struct Used {
    text: bool,
    file: bool,
}

/// Puts brief and path where the placeholders stand; what the brief says is not read again.
fn fill(arg: &str, brief: &str, path: &Path, used: &mut Used) -> Result<String, BriefError> {
    let mut filled = String::new();
    let mut rest = arg;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        if let Some(after) = from.strip_prefix(BRIEF_FILE_PLACEHOLDER) {
            used.file = true;
            filled.push_str(&path.display().to_string());
            rest = after;
        } else if let Some(after) = from.strip_prefix(BRIEF_PLACEHOLDER) {
            if brief.contains('\0') {
                return Err(BriefError::Nul);
            }
            used.text = true;
            filled.push_str(brief);
            rest = after;
        } else {
            filled.push('{');
            rest = &from[1..];
        }
    }
    filled.push_str(rest);
    if filled.len() > ARGUMENT_BYTES_MAX {
        return Err(BriefError::TooLong { bytes: filled.len() });
    }
    Ok(filled)
}

/// A text as a program reads it line by line: the last one ends as the others do.
fn whole_lines(text: &str) -> Vec<u8> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    [text, end].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::id::SystemDraw;

    use super::*;

    fn prepared(args: &[&str], brief: &str, run: &Path) -> Result<Prepared, BriefError> {
        let runtime = Runtime::Command {
            terminal: false,
            program: "tool".into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::from([("A".into(), "b".into())]),
        };
        prepared_for(runtime, brief, run)
    }

    fn prepared_for(runtime: Runtime, brief: &str, run: &Path) -> Result<Prepared, BriefError> {
        prepared_with(runtime, &Additions::default(), brief, run)
    }

    fn prepared_with(
        runtime: Runtime,
        additions: &Additions,
        brief: &str,
        run: &Path,
    ) -> Result<Prepared, BriefError> {
        let now = model::Timestamp::UNIX_EPOCH;
        let agent = Agent {
            id: model::id::AgentId::draw(now, &mut SystemDraw),
            name: "ada".into(),
            role: String::new(),
            skills: Vec::new(),
            runtime,
            directory: None,
            grace_s: 7,
            conduct: model::agent::Conduct::default(),
            paused: false,
            demo: false,
            created_at: now,
        };
        prepare(&Order {
            agent: &agent,
            additions,
            supervision: Supervision::Session,
            brief,
            mission: MissionId::draw(now, &mut SystemDraw),
            attempt: AttemptId::draw(now, &mut SystemDraw),
            run,
            directory: Path::new("/work/place"),
            url: Some("http://127.0.0.1:1"),
            token: Some("hk_a_secret"),
            post: Some(Post { inbox: Path::new("/data/inbox"), messages: Path::new("/data/mail") }),
        })
    }

    #[test]
    fn the_brief_goes_where_the_arguments_say_and_else_to_standard_input() {
        let run = tempfile::tempdir().unwrap();
        let file = run.path().join(BRIEF_FILE).display().to_string();
        let check = |args: &[&str], expect: &[&str], stdin: bool| {
            let got = prepared(args, "do {brief_file}", run.path()).unwrap();
            assert_eq!(got.spec.args, expect);
            let lines = stdin.then(|| b"do {brief_file}\n".to_vec());
            assert_eq!(got.stdin, lines, "its last line ends as the others do");
            assert_eq!(got.spec.stdin, stdin);
        };
        check(&["-x"], &["-x"], true);
        check(&["-p", "{brief}"], &["-p", "do {brief_file}"], false);
        check(&["--m={brief}!"], &["--m=do {brief_file}!"], false);
        check(&["-f", "@{brief_file}"], &["-f", &format!("@{file}")], false);
        check(&["{other}", "{"], &["{other}", "{"], true);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "do {brief_file}");
    }

    #[test]
    fn a_brief_too_long_for_an_argument_says_what_to_use_instead() {
        let run = tempfile::tempdir().unwrap();
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        let said = prepared(&["{brief}"], &long, run.path()).unwrap_err().to_string();
        assert!(said.contains("{brief_file}") && said.contains("131072"), "{said}");
        assert!(prepared(&["{brief_file}"], &long, run.path()).is_ok());
        assert!(prepared(&[], &long, run.path()).is_ok());
        assert!(matches!(prepared(&["{brief}"], "a\0b", run.path()), Err(BriefError::Nul)));
    }

    #[test]
    fn the_environment_tells_the_program_which_attempt_it_is() {
        let run = tempfile::tempdir().unwrap();
        let spec = prepared(&[], "x", run.path()).unwrap().spec;
        let names: Vec<&str> = spec.env.iter().map(|(name, _)| name.as_str()).collect();
        let own = ["MISSION", "ATTEMPT", "URL", "TOKEN_FILE", "INBOX", "MESSAGES"];
        let own = own.map(|it| format!("HIVEKEEPER_{it}"));
        assert_eq!(names[0], "A");
        assert_eq!(names[1], RESOURCE_ATTRIBUTES);
        assert_eq!(names[2..8], own);
        assert_eq!(names[8..], [trace::VARIABLE]);
        let (_, resource) = &spec.env[1];
        let (_, attempt) = &spec.env[3];
        assert!(resource.starts_with("hivekeeper.agent.id="), "{resource}");
        assert!(resource.ends_with(&format!(",hivekeeper.attempt.id={attempt}")), "{resource}");
        assert_eq!(spec.grace_ms, 7000);
        assert!(spec.env.iter().all(|(_, value)| !value.contains("hk_a_secret")));
        let token = std::fs::read_to_string(run.path().join(TOKEN_FILE)).unwrap();
        assert_eq!(token, "hk_a_secret");
    }

    #[test]
    fn figures_go_where_the_captain_says_and_our_token_does_not_go_with_them() {
        let run = tempfile::tempdir().unwrap();
        let prepared = |own: &str| {
            let runtime = Runtime::Command {
                terminal: false,
                program: "tool".into(),
                args: vec!["-x".into()],
                env: BTreeMap::from([(own.to_owned(), "x".to_owned())]),
            };
            let mut additions = Additions::default();
            additions.env.push(("B".into(), "b".into()));
            additions.export.args.push("-ours".into());
            additions.export.env.insert("OTEL_EXPORTER_OTLP_HEADERS".into(), "ours".into());
            let spec = prepared_with(runtime, &additions, "x", run.path()).unwrap().spec;
            let ours = spec.env.iter().any(|(_, value)| value == "ours");
            assert!(spec.env.iter().any(|(name, _)| name == "B"), "{:?}", spec.env);
            (spec.args, ours)
        };
        assert_eq!(prepared("A"), (vec!["-x".to_owned(), "-ours".to_owned()], true));
        let theirs = prepared("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        assert_eq!(theirs, (vec!["-x".to_owned()], false));
    }

    #[test]
    fn a_protocol_or_a_terminal_gets_no_brief_on_standard_input() {
        let run = tempfile::tempdir().unwrap();
        let (program, args, env) = ("tool".to_owned(), Vec::new(), BTreeMap::new());
        let acp = Runtime::Acp {
            program: program.clone(),
            args: Vec::new(),
            env: BTreeMap::new(),
            preset: "custom".into(),
        };
        let spec = prepared_for(acp, "do it", run.path()).unwrap();
        assert!(spec.stdin.is_none() && spec.spec.channel && spec.spec.terminal.is_none());
        let typed = Runtime::Command { program, args, env, terminal: true };
        let spec = prepared_for(typed, "do it", run.path()).unwrap();
        assert!(spec.stdin.is_none() && !spec.spec.channel && spec.spec.terminal.is_some());
    }
}
