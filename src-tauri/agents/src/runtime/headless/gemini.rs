//! `stream-json` as Gemini CLI prints it.

use serde_json::Value;

use super::heard::{Call, End, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    let heard = match line.get("type").and_then(Value::as_str).unwrap_or_default() {
        "init" => Heard::Opened {
            conversation: text(line, "/session_id"),
            agent: None,
            model: text(line, "/model"),
        },
        "message" => message(line),
        "tool_use" => Heard::Call(Box::new(Call {
            id: text_or_empty(line, "/tool_id"),
            name: text(line, "/tool_name"),
            input: line.get("parameters").cloned().unwrap_or_default(),
            ..Call::default()
        })),
        "tool_result" => {
            let failed = text(line, "/status").as_deref() == Some("error");
            let output = line.get("output").and_then(readable);
            Heard::CallEnded {
                id: text_or_empty(line, "/tool_id"),
                output: output.or_else(|| failed.then(|| error_in_words(line))),
                failed,
            }
        }
        "error" => Heard::Problem(error_in_words(line)),
        "result" => {
            let end = if text(line, "/status").as_deref() == Some("error") {
                End::Failed { why: error_in_words(line) }
            } else {
                End::Done { said: None }
            };
            Heard::Result { end, figures: line.clone() }
        }
        other => Heard::Unknown(format!("lines of the type '{other}' are not known")),
    };
    vec![heard]
}

fn message(line: &Value) -> Heard {
    let text = text_or_empty(line, "/content");
    match line.get("role").and_then(Value::as_str) {
        // What it was told, once more.
        Some("user") => Heard::Nothing,
        _ if line.get("delta").and_then(Value::as_bool) == Some(true) => {
            Heard::Grow { id: "message".to_owned(), text }
        }
        _ => Heard::Text { id: None, text },
    }
}
