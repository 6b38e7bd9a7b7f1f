//! The lines of `copilot --output-format json`.

use serde_json::Value;

use super::heard::{Call, End, Heard, error_in_words, readable, text, text_or_empty};

pub(super) fn hear(line: &Value) -> Vec<Heard> {
    let kind = line.get("type").and_then(Value::as_str).unwrap_or_default();
    let data = line.get("data").unwrap_or(&Value::Null);
    let id = || text(data, "/messageId").or_else(|| text(data, "/reasoningId"));
    let heard = match kind {
        "session.start" => Heard::Opened {
            conversation: text(data, "/sessionId"),
            agent: text(data, "/copilotVersion"),
            model: text(data, "/selectedModel"),
        },
        "session.error" => Heard::Problem(error_in_words(data)),
        "assistant.message_delta" => {
            Heard::Grow { id: id().unwrap_or_default(), text: text_or_empty(data, "/deltaContent") }
        }
        "assistant.message" => Heard::Text { id: id(), text: text_or_empty(data, "/content") },
        "assistant.reasoning_delta" => Heard::GrowThought {
            id: id().unwrap_or_default(),
            text: text_or_empty(data, "/deltaContent"),
        },
        "assistant.reasoning" => Heard::Thought { id: id(), text: text_or_empty(data, "/content") },
        "tool.execution_start" => Heard::Call(Box::new(Call {
            id: text_or_empty(data, "/toolCallId"),
            name: text(data, "/toolName"),
            own: text(data, "/mcpServerName").as_deref() == Some("hivekeeper"),
            input: data.get("arguments").cloned().unwrap_or_default(),
            ..Call::default()
        })),
        "tool.execution_complete" => {
            let failed = data.get("success").and_then(Value::as_bool) == Some(false);
            let output = data.pointer("/result/content").and_then(readable);
            Heard::CallEnded {
                id: text_or_empty(data, "/toolCallId"),
                output: output.or_else(|| failed.then(|| error_in_words(data))),
                failed,
            }
        }
        "result" => Heard::Result { end: end(line), figures: line.clone() },
        // What it was told, and what it says about itself.
        _ if [
            "user.",
            "session.",
            "assistant.",
            "tool.",
            "hook.",
            "system.",
            "subagent.",
            "skill.",
            "mcp.",
        ]
        .iter()
        .any(|family| kind.starts_with(family)) =>
        {
            Heard::Nothing
        }
        other => Heard::Unknown(format!("lines of the type '{other}' are not known")),
    };
    vec![heard]
}

fn end(line: &Value) -> End {
    match line.get("exitCode").and_then(Value::as_i64) {
        Some(code) if code != 0 => End::Failed { why: format!("it ended with the code {code}") },
        _ => End::Done { said: None },
    }
}
