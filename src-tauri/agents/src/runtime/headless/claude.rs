//! `stream-json` as Claude Code prints it, and Qwen Code after it.

use jiff::Timestamp;
use model::conversation::{PlanState, PlanStep};
use serde_json::Value;

use super::heard::{Call, End, Heard, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    match line.get("type").and_then(Value::as_str).unwrap_or_default() {
        "system" => vec![system(line)],
        "assistant" => parts(line).iter().flat_map(spoken).collect(),
        "user" => parts(line).iter().map(given_back).collect(),
        "result" => result(line),
        "rate_limit_event" => vec![limited(line)],
        // Parts of what comes as a whole afterwards, and its talk with whoever started it.
        "stream_event" | "control_request" | "control_response" | "keep_alive"
        | "tool_progress" | "auth_status" => vec![Heard::Nothing],
        other => vec![Heard::Unknown(format!("lines of the type '{other}' are not known"))],
    }
}

fn system(line: &Value) -> Heard {
    match line.get("subtype").and_then(Value::as_str).unwrap_or_default() {
        "init" => Heard::Opened {
            conversation: text(line, "/session_id"),
            agent: ["/claude_code_version", "/qwen_code_version", "/version"]
                .iter()
                .find_map(|at| text(line, at)),
            model: text(line, "/model"),
        },
        "compact_boundary" => Heard::Note("It shortened its context.".to_owned()),
        _ => Heard::Nothing,
    }
}

fn parts(line: &Value) -> Vec<Value> {
    match line.pointer("/message/content") {
        Some(Value::Array(parts)) => parts.clone(),
        Some(Value::String(text)) => vec![serde_json::json!({ "type": "text", "text": text })],
        _ => Vec::new(),
    }
}

fn spoken(part: &Value) -> Vec<Heard> {
    match part.get("type").and_then(Value::as_str).unwrap_or_default() {
        "text" => vec![Heard::Text { id: None, text: text_or_empty(part, "/text") }],
        "thinking" => vec![Heard::Thought { id: None, text: text_or_empty(part, "/thinking") }],
        "redacted_thinking" => vec![Heard::Nothing],
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            let call = Heard::Call(Box::new(Call {
                id: text_or_empty(part, "/id"),
                name: text(part, "/name"),
                input: part.get("input").cloned().unwrap_or_default(),
                ..Call::default()
            }));
            plan(part).map(Heard::Plan).into_iter().chain([call]).collect()
        }
        _ => vec![given_back(part)],
    }
}

/// The steps of its list of things to do.
fn plan(part: &Value) -> Option<Vec<PlanStep>> {
    let todos = part.pointer("/input/todos")?.as_array()?;
    let step = |todo: &Value| PlanStep {
        text: text_or_empty(todo, "/content"),
        state: match todo.get("status").and_then(Value::as_str) {
            Some("completed") => PlanState::Completed,
            Some("in_progress") => PlanState::InProgress,
            _ => PlanState::Pending,
        },
    };
    Some(todos.iter().map(step).collect())
}

fn given_back(part: &Value) -> Heard {
    match part.get("type").and_then(Value::as_str).unwrap_or_default() {
        kind if kind.ends_with("tool_result") => Heard::CallEnded {
            id: text_or_empty(part, "/tool_use_id"),
            output: part.get("content").and_then(readable),
            failed: part.get("is_error").and_then(Value::as_bool).unwrap_or_default(),
        },
        // What it was told, once more.
        "text" | "image" | "document" => Heard::Nothing,
        other => Heard::Unknown(format!("parts of the type '{other}' are not known")),
    }
}

fn limited(line: &Value) -> Heard {
    let status = text_or_empty(line, "/rate_limit_info/status");
    if status != "rejected" {
        return Heard::Nothing;
    }
    let until = line
        .pointer("/rate_limit_info/resetsAt")
        .and_then(Value::as_i64)
        .and_then(|second| Timestamp::from_second(second).ok());
    Heard::Limited { until, said: "its usage limit is reached".to_owned() }
}

fn result(line: &Value) -> Vec<Heard> {
    let mut heard = Vec::new();
    let denials = line.get("permission_denials").and_then(Value::as_array);
    let mut denied: Vec<String> =
        denials.into_iter().flatten().filter_map(|denial| text(denial, "/tool_name")).collect();
    denied.dedup();
    if !denied.is_empty() {
        heard.push(Heard::Problem(format!("It was not allowed to use {}.", denied.join(", "))));
    }
    heard.push(Heard::Result { end: end(line), figures: line.clone() });
    heard
}

fn end(line: &Value) -> End {
    let said = text(line, "/result");
    let subtype = text_or_empty(line, "/subtype");
    match subtype.as_str() {
        "error_max_turns" => return End::Limit { what: "its most turns".to_owned() },
        "error_max_budget_usd" => return End::Limit { what: "its budget".to_owned() },
        _ => {}
    }
    if line.get("is_error").and_then(Value::as_bool) == Some(true) || subtype.starts_with("error") {
        let first = line.pointer("/errors/0").and_then(Value::as_str).map(ToOwned::to_owned);
        let why = said.or(first).or_else(|| text(line, "/error/message")).unwrap_or(subtype);
        return End::Failed { why };
    }
    match line.get("stop_reason").and_then(Value::as_str) {
        Some("refusal") => End::Refused,
        Some("max_tokens") => End::Limit { what: "the longest answer of its model".to_owned() },
        _ => End::Done { said },
    }
}
