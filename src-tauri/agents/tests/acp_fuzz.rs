//! Any line in any order: nothing stops the driver, what it holds stays bounded, and an engine that
//! dies in between does not change what comes out.

use agents::runtime::acp::AcpDriver;
use agents::runtime::{Answer, Driver};
use model::inbox::PermissionPolicy;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::desk::{Desk, told, ways};

/// The most one snapshot of these conversations may take, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Line(String),
    Stderr(String),
    Message(Value),
    Pass(i64),
    Answer(u8),
    Cancel,
    Tell,
    Finish,
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_]{0,8}".prop_map(Value::from),
        Just(json!("s1")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "toolCallId",
            "title",
            "kind",
            "status",
            "content",
            "type",
            "text",
            "rawInput",
            "rawOutput",
            "command",
            "options",
            "optionId",
            "toolCall",
            "usage",
            "used",
            "size",
            "cost",
            "amount",
            "entries",
            "locations",
            "path",
            "oldText",
            "newText",
            "message",
            "requestedSchema",
            "properties",
            "_meta",
            "toolName",
            "sessionId",
            "stopReason",
            "code",
            "data",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,4}",
    ]
}

fn update() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec![
        "agent_message_chunk",
        "agent_thought_chunk",
        "user_message_chunk",
        "tool_call",
        "tool_call_update",
        "plan",
        "usage_update",
        "notice",
        "compaction_update",
        "session_info_update",
        "never_heard_of",
    ]);
    let id = prop::sample::select(vec!["c1", "c2", "c3"]);
    let status = prop::sample::select(vec!["pending", "in_progress", "completed", "failed", "odd"]);
    (kinds, id, status, any_json(), any::<bool>()).prop_map(|(kind, id, status, any, plain)| {
        let content = if plain { json!({"type": "text", "text": "ä piece "}) } else { any.clone() };
        let mut update = json!({"sessionUpdate": kind, "toolCallId": id, "status": status, "title": "t",
            "content": content, "rawInput": any, "used": 5, "size": 10});
        if plain {
            update["entries"] = json!([{"content": "a step", "status": status}]);
        }
        json!({"method": "session/update", "params": {"sessionId": "s1", "update": update}})
    })
}

fn message() -> impl Strategy<Value = Value> {
    let methods = prop::sample::select(vec![
        "session/update",
        "session/request_permission",
        "elicitation/create",
        "fs/read_text_file",
        "$/cancel_request",
        "vendor/x",
    ]);
    let options =
        json!([{"optionId": "y", "kind": "allow_once"}, {"optionId": "n", "kind": "reject_once"}]);
    prop_oneof![
        4 => update(),
        2 => (0..6i64, any_json()).prop_map(|(id, result)| json!({"id": id, "result": result})),
        1 => (0..6i64, any_json()).prop_map(|(id, error)| json!({"id": id, "error": error})),
        2 => (3..7i64).prop_map(|id| json!({"id": id, "result": {"stopReason": "end_turn"}})),
        2 => (0..4i64).prop_map(move |id| json!({"id": id, "method": "session/request_permission",
            "params": {"toolCall": {"toolCallId": "c1"}, "options": options}})),
        2 => (methods, any_json(), any_json())
            .prop_map(|(method, id, params)| json!({"method": method, "id": id, "params": params})),
        1 => any_json(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => message().prop_map(Step::Message),
        1 => any::<String>().prop_map(Step::Line),
        1 => any::<String>().prop_map(Step::Stderr),
        2 => (0..70i64).prop_map(Step::Pass),
        2 => (0..4u8).prop_map(Step::Answer),
        1 => Just(Step::Cancel),
        1 => Just(Step::Tell),
        1 => Just(Step::Finish),
    ]
}

fn run(steps: &[Step], opened: bool, dies_after: Option<usize>) -> Desk {
    let mut desk = if opened {
        Desk::opened(ways("goose"), PermissionPolicy::Ask)
    } else {
        let mut desk = Desk::new(ways("goose"), PermissionPolicy::Ask);
        desk.open("Do it.");
        desk
    };
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Line(line) => desk.line(line),
            Step::Stderr(line) => desk.stderr(line),
            Step::Message(message) => desk.line(&message.to_string()),
            Step::Pass(seconds) => desk.pass(*seconds),
            Step::Answer(id) => desk.answer(&id.to_string(), &Answer::Allow),
            Step::Cancel => desk.cancel(),
            Step::Tell if desk.driver.takes_messages() => {
                let mut message = told("Go on.", model::message::Source::Captain);
                message.id = "01930000-0000-7000-8000-000000000000".parse().unwrap();
                desk.tell(vec![message]);
            }
            Step::Tell => {}
            Step::Finish => {
                desk.driver.finish(desk.now);
                desk.take();
            }
        }
        if dies_after == Some(n) {
            desk.crash();
        }
    }
    desk.driver.ended(&model::process::Exit::Code { code: 0 }, desk.now);
    desk.take();
    desk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_lines_stop_the_driver_and_a_death_of_the_engine_changes_nothing(
        steps in prop::collection::vec(step(), 0..40),
        opened: bool,
        at in 0..40usize,
    ) {
        let whole = run(&steps, opened, None);
        let cut = run(&steps, opened, Some(at));
        prop_assert_eq!(&cut.entries, &whole.entries);
        prop_assert_eq!(&cut.told, &whole.told);
        prop_assert_eq!(&cut.sent, &whole.sent);
        prop_assert!(whole.entries.iter().all(|entry| entry.at <= entry.updated_at));
    }

    #[test]
    fn bytes_that_are_no_text_stop_nothing(bytes: Vec<u8>, cut: bool) {
        let mut desk = Desk::opened(ways("goose"), PermissionPolicy::Ask);
        desk.bytes(&bytes, cut);
    }

    #[test]
    fn a_snapshot_that_is_anything_is_refused_and_stops_nothing(mut kept in any_json()) {
        if kept.is_object() {
            kept["version"] = json!(1);
        }
        prop_assert!(AcpDriver::restore(kept).is_err());
    }
}

#[test]
fn what_is_held_of_a_long_conversation_stays_bounded() {
    let mut desk = Desk::opened(ways("goose"), PermissionPolicy::Ask);
    let big = "x".repeat(100_000);
    for n in 0..3_000 {
        let (id, open) = (format!("c{n}"), n % 7 == 0);
        let status = if open { "in_progress" } else { "completed" };
        desk.update(&json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": &big[..2000],
            "status": status, "rawInput": {"n": n}, "rawOutput": &big[..200]}));
        desk.text(&big[..500]);
        desk.update(&json!({"sessionUpdate": format!("odd_{n}"), "x": &big[..1000]}));
        desk.entries.clear();
        desk.told.clear();
    }
    let held = desk.driver.snapshot().to_string().len();
    assert!(held < SNAPSHOT_BYTES_MAX, "{held}");
}
