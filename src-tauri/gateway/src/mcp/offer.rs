//! What the tools are called, what they do, and what they are given.

use std::sync::{Arc, LazyLock};

use engine::OWN_TOOLS;
use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

/// Some clients hide tools behind a search of their own; this asks them to show ours.
const ALWAYS_LOAD: &str = "anthropic/alwaysLoad";

/// The tools, in the order in which they are offered.
pub(super) fn tools() -> &'static [Tool] {
    static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| OWN_TOOLS.map(tool).into());
    &TOOLS
}

fn tool(name: &'static str) -> Tool {
    let (does, properties, required) = described(name);
    let mut properties = object(properties);
    let reads = matches!(name, "mission_get" | "ask_result" | "inbox_read" | "knowledge_search");
    if !reads {
        let call_id = json!({
            "type": "string",
            "maxLength": engine::CALL_ID_BYTES_MAX,
            "description": "Your own id of this call: sent again, it is carried out once.",
        });
        properties.insert("call_id".to_owned(), call_id);
    }
    let schema = object(json!({
        "type": "object",
        "properties": properties,
        "required": required,
    }));
    let hints = ToolAnnotations::new().read_only(reads).destructive(false).open_world(false);
    Tool::new(name, does, Arc::new(schema))
        .with_annotations(hints)
        .with_meta(MetaObject(object(json!({ ALWAYS_LOAD: true }))))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What a tool does, what it is given, and what of that must be there.
fn described(name: &str) -> (&'static str, Value, &'static [&'static str]) {
    match name {
        "mission_get" => (
            "Your mission: title, brief, criteria, progress, handoff of the attempt before.",
            json!({}),
            &[],
        ),
        "report_progress" => (
            "Say how far you are. The captain sees it at once.",
            json!({
                "percent": { "type": "integer", "minimum": 0, "maximum": 100 },
                "note": text("What you are at, in one line."),
            }),
            &[],
        ),
        "devlog" => (
            "Write an entry into the mission's devlog: decisions, findings, dead ends.",
            json!({ "text": text("What is worth keeping.") }),
            &["text"],
        ),
        "ask_captain" => (
            "Ask the human in charge. Gives the answer, or state 'pending' with an ask_id for \
             ask_result.",
            json!({
                "question": text("The question, with what one has to know to answer it."),
                "options": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "Answers to choose from; leave out for any text.",
                },
                "wait_s": wait(),
            }),
            &["question"],
        ),
        "ask_result" => (
            "The answer to a question of ask_captain that was pending. Waits for it; call it again \
             while it is pending.",
            json!({ "ask_id": text("From ask_captain."), "wait_s": wait() }),
            &["ask_id"],
        ),
        "inbox_read" => (
            "Messages to you from the captain and other agents that you have not acknowledged.",
            json!({}),
            &[],
        ),
        "inbox_acknowledge" => (
            "Say that you have done with a message of inbox_read.",
            json!({ "message_id": text("Its id.") }),
            &["message_id"],
        ),
        "message_send" => (
            "Send a message to another agent.",
            json!({
                "to": text("The agent's name."),
                "text": text("What."),
                "urgent": { "type": "boolean", "description": "Before its other messages." },
            }),
            &["to", "text"],
        ),
        "evidence_attach" => (
            "Attach something that shows what you did, such as the end of a test run. It proves \
             nothing by itself.",
            json!({
                "name": text("What it is, in one line."),
                "text": text("What it shows."),
            }),
            &["name", "text"],
        ),
        "knowledge_search" => (
            "Search the devlogs of all missions, and the conversations of your own, for a text.",
            json!({ "query": text("A word or two that stand in it.") }),
            &["query"],
        ),
        "mission_propose" => (
            "Propose another mission to the captain, who decides whether it is done.",
            json!({
                "title": text("One line."),
                "brief": text("What is to be done, and why."),
                "criteria": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "What the work must do, a line each.",
                },
            }),
            &["title", "brief"],
        ),
        "mission_done" => (
            "Say that you have finished, and what you did. Then end your turn; the mission's gates \
             decide whether it is done.",
            json!({ "summary": text("What you did, and what is left.") }),
            &["summary"],
        ),
        _ => ("", json!({}), &[]),
    }
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}

fn wait() -> Value {
    json!({
        "type": "integer",
        "minimum": 0,
        "maximum": super::call::ASK_WAIT_S,
        "description": "How long to wait for the answer, in seconds.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_tool_is_offered_in_order_shortly_described_and_always_loaded() {
        let names: Vec<_> = tools().iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(names, OWN_TOOLS);
        for tool in tools() {
            let does = tool.description.as_deref().unwrap();
            assert!((10..=200).contains(&does.len()), "{}: {does}", tool.name);
            assert_eq!(tool.meta.as_ref().unwrap().0[ALWAYS_LOAD], true);
            let given = &tool.input_schema["properties"];
            for name in tool.input_schema["required"].as_array().unwrap() {
                assert!(given.get(name.as_str().unwrap()).is_some(), "{}: {name}", tool.name);
            }
            let identity = ["agent", "agent_id", "attempt", "attempt_id", "mission_id", "token"];
            assert!(identity.iter().all(|name| given.get(*name).is_none()), "{}", tool.name);
        }
    }
}
