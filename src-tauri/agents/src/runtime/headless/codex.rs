//! The lines of `codex exec --json`.

use model::conversation::{FileChange, PlanState, PlanStep, ToolKind};
use serde_json::{Value, json};

use super::heard::{Call, End, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    let kind = line.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "thread.started" => {
            vec![Heard::Opened { conversation: text(line, "/thread_id"), agent: None, model: None }]
        }
        "turn.started" => vec![Heard::Nothing],
        "item.started" | "item.updated" | "item.completed" => {
            let over = kind == "item.completed";
            line.get("item").map_or_else(|| vec![unknown("an item")], |item| heard_of(item, over))
        }
        "turn.completed" => {
            vec![Heard::Result { end: End::Done { said: None }, figures: line.clone() }]
        }
        "turn.failed" => {
            let end = End::Failed { why: error_in_words(line) };
            vec![Heard::Result { end, figures: line.clone() }]
        }
        "error" => vec![Heard::Problem(error_in_words(line))],
        other => vec![Heard::Unknown(format!("lines of the type '{other}' are not known"))],
    }
}

fn unknown(what: &str) -> Heard {
    Heard::Unknown(format!("{what} is missing or not known"))
}

fn heard_of(item: &Value, over: bool) -> Vec<Heard> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "agent_message" if over => {
            vec![Heard::Text { id: None, text: text_or_empty(item, "/text") }]
        }
        "reasoning" if over => {
            vec![Heard::Thought { id: None, text: text_or_empty(item, "/text") }]
        }
        "agent_message" | "reasoning" => vec![Heard::Nothing],
        "todo_list" => vec![Heard::Plan(steps(item))],
        "error" => vec![Heard::Problem(text_or_empty(item, "/message"))],
        "command_execution" | "file_change" | "mcp_tool_call" | "web_search"
        | "collab_tool_call" => used(kind, item, over),
        other => vec![Heard::Unknown(format!("items of the type '{other}' are not known"))],
    }
}

fn steps(item: &Value) -> Vec<PlanStep> {
    let of = |step: &Value| PlanStep {
        text: text_or_empty(step, "/text"),
        state: match step.get("completed").and_then(Value::as_bool) {
            Some(true) => PlanState::Completed,
            _ => PlanState::Pending,
        },
    };
    item.get("items").and_then(Value::as_array).into_iter().flatten().map(of).collect()
}

fn used(kind: &str, item: &Value, over: bool) -> Vec<Heard> {
    let id = text_or_empty(item, "/id");
    let mut call = Call { id: id.clone(), ..Call::default() };
    match kind {
        "command_execution" => {
            call.kind = Some(ToolKind::Execute);
            call.name = Some("shell".to_owned());
            call.input = json!({ "command": item.get("command") });
        }
        "file_change" => {
            call.kind = Some(ToolKind::Edit);
            call.name = Some("apply_patch".to_owned());
            call.changes = changes(item);
            let paths: Vec<&str> = call.changes.iter().map(|change| change.path.as_str()).collect();
            call.title = Some(format!("Change {}", paths.join(", ")));
            call.input = json!({ "changes": item.get("changes") });
        }
        "web_search" => {
            call.kind = Some(ToolKind::Fetch);
            call.name = Some("web_search".to_owned());
            call.input = json!({ "query": item.get("query") });
        }
        _ => {
            call.own = text(item, "/server").as_deref() == Some("hivekeeper");
            call.name = text(item, "/tool");
            call.input = item.get("arguments").cloned().unwrap_or_default();
        }
    }
    let mut heard = vec![Heard::Call(Box::new(call))];
    if over {
        let failed = matches!(text(item, "/status").as_deref(), Some("failed" | "declined"))
            || item.get("exit_code").and_then(Value::as_i64).is_some_and(|code| code != 0);
        let output = ["/aggregated_output", "/error/message"]
            .iter()
            .find_map(|at| text(item, at))
            .or_else(|| item.pointer("/result/content").and_then(readable));
        heard.push(Heard::CallEnded { id, output, failed });
    }
    heard
}

/// The files, without what was in them: the program does not say.
fn changes(item: &Value) -> Vec<FileChange> {
    let of = |change: &Value| {
        let path = text(change, "/path")?;
        Some(FileChange { path, before: None, after: String::new() })
    };
    item.get("changes").and_then(Value::as_array).into_iter().flatten().filter_map(of).collect()
}
