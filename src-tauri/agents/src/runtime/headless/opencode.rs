//! The lines of `opencode run --format json`.

use serde_json::Value;

use super::heard::{Call, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    let kind = line.get("type").and_then(Value::as_str).unwrap_or_default();
    let part = line.get("part").unwrap_or(&Value::Null);
    match kind {
        "step_start" => {
            vec![Heard::Opened { conversation: text(line, "/sessionID"), agent: None, model: None }]
        }
        "text" => vec![Heard::Text { id: None, text: text_or_empty(part, "/text") }],
        "reasoning" => vec![Heard::Thought { id: None, text: text_or_empty(part, "/text") }],
        "tool_use" => used(part),
        "step_finish" => {
            let mut heard = vec![Heard::Figures { kind: kind.to_owned(), value: line.clone() }];
            if text(part, "/reason").as_deref() == Some("length") {
                heard
                    .push(Heard::Problem("It reached the longest answer of its model.".to_owned()));
            }
            heard
        }
        "error" => vec![Heard::Problem(error_in_words(line))],
        other => vec![Heard::Unknown(format!("lines of the type '{other}' are not known"))],
    }
}

fn used(part: &Value) -> Vec<Heard> {
    let id = text_or_empty(part, "/callID");
    let status = text_or_empty(part, "/state/status");
    let call = Heard::Call(Box::new(Call {
        id: id.clone(),
        name: text(part, "/tool"),
        input: part.pointer("/state/input").cloned().unwrap_or_default(),
        ..Call::default()
    }));
    if !matches!(status.as_str(), "completed" | "error") {
        return vec![call];
    }
    let output = part.pointer("/state/output").and_then(readable);
    let ended = Heard::CallEnded {
        id,
        output: output.or_else(|| text(part, "/state/error")),
        failed: status == "error"
            || part
                .pointer("/state/metadata/exit")
                .and_then(Value::as_i64)
                .is_some_and(|it| it != 0),
    };
    vec![call, ended]
}
