//! What comes from an agent, read tolerantly: what is missing, unknown or of a wrong type is nothing.

use model::conversation::{
    CUT_MARKER, FileChange, PlanState, PlanStep, TOOL_BYTES_MAX, ToolKind, ToolState, cut,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::permission::quoted;

/// The most files whose change is kept of one call.
const CHANGES_MAX: usize = 20;
/// The most kept of all changes of one call, in bytes.
const CHANGES_BYTES_MAX: usize = 256 * 1024;
/// The most places that are kept of one call.
const PLACES_MAX: usize = 20;
/// The most steps of a plan.
const STEPS_MAX: usize = 200;
/// The longest title, name, place or step, in bytes.
pub(super) const TITLE_BYTES_MAX: usize = 1000;
/// The longest directory of a command, in bytes.
const DIRECTORY_BYTES_MAX: usize = 4096;
/// Where the arguments of a command stand, beside it.
const ARGS: &[&str] = &["args", "arguments", "argv"];
/// Where its variables stand.
const VARIABLES: &[&str] = &["env", "environment"];
/// Where the directory stands that it is to run in.
const DIRECTORIES: &[&str] = &[
    "cwd",
    "workdir",
    "workDir",
    "working_dir",
    "workingDir",
    "working_directory",
    "workingDirectory",
    "directory",
];
/// What stands beside a command and says nothing of what it does.
const PLAIN: &[&str] =
    &["description", "timeout", "timeout_ms", "timeout_secs", "call_id", "turn_id", "parsed_cmd"];
/// How deep a tool's name is looked for.
const META_DEPTH_MAX: usize = 3;

/// The text under `key`; an empty one is nothing.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The text under `key`, as long as a title may be.
pub(super) fn title(value: &Value, key: &str) -> Option<String> {
    let text = text(value, key)?.trim();
    (!text.is_empty()).then(|| cut(text, TITLE_BYTES_MAX))
}

/// The text of a content block, or of a list of them; nothing where there is a kind that is not known.
pub(super) fn block(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => blocks.iter().map(block).collect(),
        _ => match text(content, "type")? {
            "text" => Some(content.get("text")?.as_str()?.to_owned()),
            "image" => Some("[image]".to_owned()),
            "audio" => Some("[audio]".to_owned()),
            "resource_link" => {
                Some(format!("[{}]", text(content, "uri").or(text(content, "name"))?))
            }
            "resource" => {
                let resource = content.get("resource")?;
                text(resource, "text")
                    .map(str::to_owned)
                    .or_else(|| Some(format!("[{}]", text(resource, "uri")?)))
            }
            _ => None,
        },
    }
}

/// The kind of tool; nothing where it is not said.
pub(super) fn kind(update: &Value) -> Option<ToolKind> {
    Some(match text(update, "kind")? {
        "read" => ToolKind::Read,
        "edit" => ToolKind::Edit,
        "delete" => ToolKind::Delete,
        "move" => ToolKind::Move,
        "search" => ToolKind::Search,
        "execute" => ToolKind::Execute,
        "think" => ToolKind::Think,
        "fetch" => ToolKind::Fetch,
        _ => ToolKind::Other,
    })
}

/// The kind of a tool whose agent does not say it: one that is given a command runs it, and the names
/// of a few tools are the same everywhere.
pub(super) fn likely_kind(name: Option<&str>, input: &Value) -> Option<ToolKind> {
    if command(input).is_some() {
        return Some(ToolKind::Execute);
    }
    Some(match name?.to_ascii_lowercase().as_str() {
        "write" | "edit" | "create" | "write_file" | "edit_file" | "apply_patch"
        | "str_replace" => ToolKind::Edit,
        "read" | "read_file" | "view" | "ls" | "list_directory" => ToolKind::Read,
        "glob" | "grep" => ToolKind::Search,
        "shell" | "bash" => ToolKind::Execute,
        "fetch" | "webfetch" | "web_fetch" => ToolKind::Fetch,
        _ => return None,
    })
}

/// The file a tool is given by name, where its agent does not list the places of a call.
pub(super) fn place(input: &Value) -> Option<String> {
    let keys = ["path", "file_path", "filePath", "filepath", "notebook_path", "absolute_path"];
    keys.iter().find_map(|key| title(input, key))
}

/// How far a call is; nothing where it is not said or not known.
pub(super) fn state(update: &Value) -> Option<ToolState> {
    Some(match text(update, "status")? {
        "pending" => ToolState::Pending,
        "in_progress" | "running" => ToolState::Running,
        "completed" => ToolState::Completed,
        "failed" | "cancelled" => ToolState::Failed,
        _ => return None,
    })
}

/// The tool's own name, as the agent's program says: a title may be the model's own words.
pub(super) fn tool_name(update: &Value) -> Option<String> {
    title(update, "name").or_else(|| named_in(update.get("_meta")?, META_DEPTH_MAX))
}

fn named_in(meta: &Value, depth: usize) -> Option<String> {
    let fields = meta.as_object()?;
    title(meta, "toolName").or_else(|| title(meta, "tool_name")).or_else(|| {
        let deeper = depth.checked_sub(1)?;
        fields.values().find_map(|field| named_in(field, deeper))
    })
}

/// What a tool runs, as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ran {
    /// The exact command.
    pub(super) command: String,
    /// Where it runs, where that was said.
    pub(super) directory: Option<String>,
    /// What else it was given.
    pub(super) besides: Option<String>,
}

/// What a tool runs, where it is given a command.
pub(super) fn ran(input: &Value) -> Option<Ran> {
    Some(Ran { command: command(input)?, directory: directory(input), besides: besides(input) })
}

/// The exact command, where a tool is given one: with the arguments and the variables beside it.
pub(super) fn command(input: &Value) -> Option<String> {
    let said = input.get("command").or_else(|| input.get("cmd"))?;
    let mut line = match said {
        Value::String(text) => text.clone(),
        Value::Array(words) => joined(&texts(words)?),
        _ => return None,
    };
    if let Some(args) = under(input, ARGS) {
        line = with_args(said, &line, args);
    }
    if line.is_empty() {
        return None;
    }
    let set = under(input, VARIABLES).map(set).unwrap_or_default();
    Some(cut(&format!("{set}{line}"), TOOL_BYTES_MAX))
}

fn under<'a>(input: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    keys.iter().filter_map(|key| input.get(key)).find(|value| !empty(value))
}

fn texts(words: &[Value]) -> Option<Vec<&str>> {
    words.iter().map(Value::as_str).collect()
}

/// A list of words as one line; of a shell that is given a line it is that line.
fn joined(words: &[&str]) -> String {
    match words {
        [shell, flag, script] if is_shell(shell) && runs_line(flag) => (*script).to_owned(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn with_args(said: &Value, line: &str, args: &Value) -> String {
    match args {
        Value::Array(words) => match (said, texts(words)) {
            (Value::String(program), Some(words)) if !program.contains(char::is_whitespace) => {
                joined(&[&[program.as_str()], words.as_slice()].concat())
            }
            (_, Some(words)) => format!("{line} {}", joined(&words)),
            _ => format!("{line} {}", quoted(&args.to_string())),
        },
        Value::String(text) => format!("{line} {text}"),
        _ => format!("{line} {}", quoted(&args.to_string())),
    }
}

/// The variables that are set for a command, as a shell writes them before it.
fn set(variables: &Value) -> String {
    let name = |name: &str| {
        let fine = |ch: char| ch.is_ascii_alphanumeric() || ch == '_';
        !name.is_empty()
            && !name.starts_with(|ch: char| ch.is_ascii_digit())
            && name.chars().all(fine)
    };
    let pairs: Option<Vec<(&str, &str)>> = match variables {
        Value::Object(all) => {
            all.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
        }
        Value::Array(all) => all.iter().map(|pair| pair.as_str()?.split_once('=')).collect(),
        _ => None,
    };
    match pairs.filter(|pairs| pairs.iter().all(|(key, _)| name(key))) {
        Some(pairs) => {
            pairs.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect()
        }
        // Whatever it is, it is something that is set.
        None => format!("env={} ", quoted(&variables.to_string())),
    }
}

/// Where a command is to run. What is no text leads nowhere anybody knows.
fn directory(input: &Value) -> Option<String> {
    match under(input, DIRECTORIES)? {
        Value::String(text) => Some(cut(text, DIRECTORY_BYTES_MAX)),
        other => Some(cut(&format!("{other}\0"), DIRECTORY_BYTES_MAX)),
    }
}

/// What stands beside a command and says something of it.
fn besides(input: &Value) -> Option<String> {
    let known = ["command", "cmd"].into_iter().chain(PLAIN.iter().copied());
    let known: Vec<&str> = known.chain([ARGS, VARIABLES, DIRECTORIES].concat()).collect();
    let rest: serde_json::Map<String, Value> = input
        .as_object()?
        .iter()
        .filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!rest.is_empty()).then(|| cut(&Value::Object(rest).to_string(), TOOL_BYTES_MAX))
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    matches!(name, "sh" | "bash" | "zsh" | "dash" | "fish")
}

/// Whether an option of a shell says that the next word is a line: `-c`, or letters that end with it.
fn runs_line(flag: &str) -> bool {
    let letters = flag.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    letters.is_some_and(|letters| letters.ends_with('c'))
}

/// What a tool is given, as a person reads it; nothing where it is given nothing.
pub(super) fn input(raw: &Value) -> Option<String> {
    match raw {
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        Value::String(text) => Some(cut(text, TOOL_BYTES_MAX)),
        _ => command(raw).or_else(|| Some(cut(&raw.to_string(), TOOL_BYTES_MAX))),
    }
}

/// What a tool gave back: the texts of its content, or else its raw output.
pub(super) fn output(update: &Value) -> Option<String> {
    let texts: Vec<String> = update
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|part| text(part, "type") == Some("content"))
        .filter_map(|part| block(part.get("content")?))
        .collect();
    if !texts.is_empty() {
        return Some(cut(&texts.join("\n"), TOOL_BYTES_MAX));
    }
    let raw = update.get("rawOutput")?;
    let told = ["output", "formatted_output", "aggregated_output", "stdout", "text", "error"];
    match raw {
        Value::Null => None,
        Value::String(text) => Some(cut(text, TOOL_BYTES_MAX)),
        _ => told
            .iter()
            .find_map(|key| raw.get(key)?.as_str())
            .map_or_else(
                || Some(raw.to_string()),
                |text| (!text.is_empty()).then(|| text.to_owned()),
            )
            .map(|text| cut(&text, TOOL_BYTES_MAX)),
    }
}

/// The changes of files among a call's content.
pub(super) fn changes(update: &Value) -> Vec<FileChange> {
    let mut room = CHANGES_BYTES_MAX;
    let mut kept = |text: &str| {
        let text = cut(text, TOOL_BYTES_MAX.min(room.max(CUT_MARKER.len())));
        room = room.saturating_sub(text.len());
        text
    };
    let parts = update.get("content").and_then(Value::as_array).into_iter().flatten();
    parts
        .filter(|part| text(part, "type") == Some("diff"))
        .filter_map(|part| {
            let path = title(part, "path")?;
            let before = part.get("oldText").and_then(Value::as_str).map(&mut kept);
            let after =
                part.get("newText").and_then(Value::as_str).map(&mut kept).unwrap_or_default();
            Some(FileChange { path, before, after })
        })
        .take(CHANGES_MAX)
        .collect()
}

/// The files a call is about.
pub(super) fn places(update: &Value) -> Option<Vec<String>> {
    let locations = update.get("locations")?.as_array()?;
    Some(locations.iter().filter_map(|place| title(place, "path")).take(PLACES_MAX).collect())
}

/// The steps of a plan.
pub(super) fn steps(update: &Value) -> Option<Vec<PlanStep>> {
    let entries = update.get("entries")?.as_array()?;
    let step = |entry: &Value| {
        let state = match text(entry, "status") {
            Some("in_progress") => PlanState::InProgress,
            Some("completed") => PlanState::Completed,
            _ => PlanState::Pending,
        };
        Some(PlanStep { text: title(entry, "content")?, state })
    };
    Some(entries.iter().filter_map(step).take(STEPS_MAX).collect())
}

/// What an error of JSON-RPC says, in the agent's words: its code, its message and what is in its data.
pub(crate) fn error(error: &Value) -> (Option<i64>, String) {
    let code = error.get("code").and_then(Value::as_i64);
    let message =
        title(error, "message").or_else(|| error.as_str().map(|text| cut(text, TITLE_BYTES_MAX)));
    let data = error.get("data");
    let more = data.and_then(|data| match data {
        Value::String(text) => Some(cut(text, TITLE_BYTES_MAX)),
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        _ => ["details", "message", "error", "reason"]
            .iter()
            .find_map(|key| title(data, key).or_else(|| title(data.get(key)?, "message")))
            .or_else(|| Some(cut(&data.to_string(), TITLE_BYTES_MAX))),
    });
    let said = match (message, more) {
        (Some(message), Some(more)) if !message.contains(&more) => format!("{message}: {more}"),
        (Some(said), _) | (None, Some(said)) => said,
        (None, None) => cut(&error.to_string(), TITLE_BYTES_MAX),
    };
    (code, said)
}
