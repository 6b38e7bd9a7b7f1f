//! Tools as headless programs name them: what kind they are, what they change, what to call it.

use model::conversation::{FileChange, TOOL_BYTES_MAX, ToolKind, cut};
use serde_json::Value;

/// The longest title of a tool call, in bytes.
const TITLE_BYTES_MAX: usize = 200;
/// The longest path that is kept, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// What parts of a tool's name tell of its kind, the first that fits.
const KINDS: &[(ToolKind, &[&str])] = &[
    (ToolKind::Think, &["todo", "think", "plan"]),
    (ToolKind::Delete, &["delete", "remove"]),
    (ToolKind::Move, &["move", "rename"]),
    (ToolKind::Fetch, &["fetch", "web", "http", "browse"]),
    (ToolKind::Execute, &["bash", "shell", "exec", "command", "terminal", "powershell"]),
    (ToolKind::Edit, &["edit", "write", "patch", "replace", "create", "insert"]),
    (ToolKind::Search, &["grep", "glob", "search", "find", "list", "tree"]),
    (ToolKind::Read, &["read", "view", "cat", "open"]),
];
const PATHS: &[&str] =
    &["file_path", "filePath", "path", "absolute_path", "notebook_path", "filename", "file"];
const AFTER: &[&str] =
    &["content", "new_string", "newString", "new_str", "file_text", "contents", "after"];
const BEFORE: &[&str] = &["old_string", "oldString", "old_str", "before"];

/// What kind of tool has this name.
pub(super) fn kind(name: &str) -> ToolKind {
    let name = name.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|(_, parts)| parts.iter().any(|part| name.contains(part)))
        .map_or(ToolKind::Other, |(kind, _)| *kind)
}

/// Whether a name is one of our own tools': it fits one of the preset's names for them. A name
/// without anything around the tool's own says nothing.
pub(super) fn is_own(name: &str, templates: &[String]) -> bool {
    templates.iter().any(|template| {
        template.split_once("{tool}").is_some_and(|(before, after)| {
            !(before.is_empty() && after.is_empty())
                && name.len() > before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
    })
}

/// What a call does, in a few words.
pub(super) fn title(name: &str, input: &Value) -> String {
    let about = field(input, &["command", "cmd"])
        .or_else(|| field(input, PATHS))
        .or_else(|| field(input, &["pattern", "query", "url", "description"]));
    let line = about.and_then(|about| about.lines().next()).unwrap_or_default();
    let title = if line.is_empty() { name.to_owned() } else { format!("{name}: {line}") };
    cut(&title, TITLE_BYTES_MAX)
}

/// The command a call runs, as it was given.
pub(super) fn input(input: &Value) -> Option<String> {
    if input.is_null() {
        return None;
    }
    let command = field(input, &["command", "cmd"]).filter(|_| only_one(input));
    let text = command.map_or_else(|| input.to_string(), ToOwned::to_owned);
    Some(cut(&text, TOOL_BYTES_MAX))
}

fn only_one(input: &Value) -> bool {
    input.as_object().is_some_and(|fields| fields.len() == 1)
}

/// The files a call is about.
pub(super) fn places(input: &Value) -> Vec<String> {
    field(input, PATHS).map(|path| cut(path, PATH_BYTES_MAX)).into_iter().collect()
}

/// What a call changes in a file, as far as its input says.
pub(super) fn changes(input: &Value) -> Vec<FileChange> {
    let change = field(input, PATHS).zip(field(input, AFTER)).map(|(path, after)| FileChange {
        path: cut(path, PATH_BYTES_MAX),
        before: field(input, BEFORE).map(|text| cut(text, TOOL_BYTES_MAX)),
        after: cut(after, TOOL_BYTES_MAX),
    });
    change.into_iter().collect()
}

fn field<'a>(input: &'a Value, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| input.get(name)?.as_str()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_known_by_their_names_and_what_they_are_given() {
        assert_eq!(kind("Bash"), ToolKind::Execute);
        assert_eq!(kind("run_shell_command"), ToolKind::Execute);
        assert_eq!(kind("write"), ToolKind::Edit);
        assert_eq!(kind("WebSearch"), ToolKind::Fetch);
        assert_eq!(kind("Skill"), ToolKind::Other);
        assert_eq!(title("Bash", &json!({"command": "ls\nrm x"})), "Bash: ls");
        let edit = json!({"filePath": "a.rs", "oldString": "1", "newString": "2"});
        assert_eq!(changes(&edit)[0].before.as_deref(), Some("1"));
        assert_eq!(places(&edit), ["a.rs"]);
        assert_eq!(input(&json!({"command": "ls"})).as_deref(), Some("ls"));
        assert_eq!(input(&json!({"command": "ls", "t": 1})).unwrap(), r#"{"command":"ls","t":1}"#);
        assert_eq!(input(&Value::Null), None);
    }

    #[test]
    fn our_own_tools_are_known_by_what_stands_around_their_names() {
        let names = ["mcp__hivekeeper__{tool}".to_owned(), "{tool}".to_owned()];
        assert!(is_own("mcp__hivekeeper__devlog", &names));
        assert!(!is_own("mcp__other__devlog", &names));
        assert!(!is_own("devlog", &names));
        assert!(!is_own("mcp__hivekeeper__", &names));
    }
}
