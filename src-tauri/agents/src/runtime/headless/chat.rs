//! Messages as in the chat interface of OpenAI, one a line.

use serde_json::Value;

use super::heard::{Call, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    match line.get("role").and_then(Value::as_str) {
        Some("assistant") => spoken(line),
        Some("tool") => vec![Heard::CallEnded {
            id: text_or_empty(line, "/tool_call_id"),
            output: line.get("content").and_then(readable),
            failed: line.get("is_error").and_then(Value::as_bool).unwrap_or_default(),
        }],
        // What it was told, once more.
        Some("user" | "system" | "developer" | "meta") => vec![Heard::Nothing],
        _ if line.get("error").is_some() => vec![Heard::Problem(error_in_words(line))],
        _ => vec![Heard::Unknown("it is not a message of a role that is known".to_owned())],
    }
}

fn spoken(line: &Value) -> Vec<Heard> {
    let mut heard = Vec::new();
    if let Some(text) = text(line, "/reasoning_content") {
        heard.push(Heard::Thought { id: None, text });
    }
    match line.get("content") {
        Some(Value::String(text)) if !text.is_empty() => {
            heard.push(Heard::Text { id: None, text: text.clone() });
        }
        Some(Value::Array(parts)) => heard.extend(parts.iter().filter_map(part)),
        _ => {}
    }
    let calls = line.get("tool_calls").and_then(Value::as_array);
    heard.extend(calls.into_iter().flatten().map(call));
    heard
}

fn part(part: &Value) -> Option<Heard> {
    if let Some(text) = text(part, "/think").or_else(|| text(part, "/thinking")) {
        return Some(Heard::Thought { id: None, text });
    }
    text(part, "/text").map(|text| Heard::Text { id: None, text })
}

fn call(call: &Value) -> Heard {
    let given = text_or_empty(call, "/function/arguments");
    Heard::Call(Box::new(Call {
        id: text_or_empty(call, "/id"),
        name: text(call, "/function/name"),
        input: serde_json::from_str(&given).unwrap_or(Value::String(given)),
        ..Call::default()
    }))
}
