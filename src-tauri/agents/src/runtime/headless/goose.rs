//! `stream-json` as goose prints it.

use serde_json::Value;

use super::heard::{Call, End, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    match line.get("type").and_then(Value::as_str).unwrap_or_default() {
        "message" => {
            let id = text_or_empty(line, "/message/id");
            let from_user = text(line, "/message/role").as_deref() == Some("user");
            let parts = line.pointer("/message/content").and_then(Value::as_array);
            parts.into_iter().flatten().map(|part| of(part, &id, from_user)).collect()
        }
        "complete" => {
            vec![Heard::Result { end: End::Done { said: None }, figures: line.clone() }]
        }
        "error" => {
            let end = End::Failed { why: error_in_words(line) };
            vec![Heard::Result { end, figures: line.clone() }]
        }
        "notification" | "model_change" => vec![Heard::Nothing],
        other => vec![Heard::Unknown(format!("lines of the type '{other}' are not known"))],
    }
}

fn of(part: &Value, id: &str, from_user: bool) -> Heard {
    let id = id.to_owned();
    match part.get("type").and_then(Value::as_str).unwrap_or_default() {
        // What it was told, once more.
        "text" if from_user => Heard::Nothing,
        "text" => Heard::Grow { id, text: text_or_empty(part, "/text") },
        "thinking" | "reasoning" => Heard::GrowThought {
            id,
            text: text(part, "/thinking").or_else(|| text(part, "/text")).unwrap_or_default(),
        },
        "toolRequest" | "frontendToolRequest" => Heard::Call(Box::new(Call {
            id: text_or_empty(part, "/id"),
            name: text(part, "/toolCall/value/name"),
            input: part.pointer("/toolCall/value/arguments").cloned().unwrap_or_default(),
            ..Call::default()
        })),
        "toolResponse" => {
            let result = part.get("toolResult").unwrap_or(&Value::Null);
            let refused = text(result, "/status").as_deref() == Some("error");
            let is_error = result.pointer("/value/isError").and_then(Value::as_bool);
            let code = result.pointer("/value/structuredContent/exit_code").and_then(Value::as_i64);
            let output = result.pointer("/value/content").and_then(readable);
            Heard::CallEnded {
                id: text_or_empty(part, "/id"),
                output: output.or_else(|| text(result, "/error")),
                failed: refused || is_error == Some(true) || code.is_some_and(|code| code != 0),
            }
        }
        "redactedThinking"
        | "image"
        | "systemNotification"
        | "contextLengthExceeded"
        | "summarizationRequested" => Heard::Nothing,
        other => Heard::Unknown(format!("parts of the type '{other}' are not known")),
    }
}
