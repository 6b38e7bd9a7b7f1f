//! The beginning of conversations.

use agents::runtime::acp::{AcpDriver, RestoreError};
use agents::runtime::ways::{Setting, Ways};
use agents::runtime::{Driver, Happening, Stop};
use model::inbox::PermissionPolicy;
use model::process::Exit;
use serde_json::json;

use crate::desk::{Desk, mode};

fn can() -> serde_json::Value {
    json!({"id": 1, "result": {"protocolVersion": 1, "agentInfo": {"name": "a", "title": "Agent", "version": "2"},
        "agentCapabilities": {"loadSession": true, "mcpCapabilities": {"http": true}},
        "authMethods": [{"id": "x", "name": "X", "description": "Run `agent login`"}]}})
}

fn state(desk: &Desk, words: &str) -> bool {
    desk.written().iter().any(|line| line.contains("state") && line.contains(words))
}

#[test]
fn nothing_but_sessions_is_offered_and_our_own_tools_are_passed_with_the_session() {
    let meta = json!({"goose": {"customNotifications": true}}).as_object().unwrap().clone();
    let mut desk = Desk::new(Ways { client_meta: meta, ..Ways::default() }, PermissionPolicy::Ask);
    desk.open("Do it.");
    let hello = &desk.sent[0];
    assert_eq!(hello["jsonrpc"], "2.0");
    assert_eq!(hello["method"], "initialize");
    assert_eq!(hello["params"]["protocolVersion"], 1);
    let abilities = &hello["params"]["clientCapabilities"];
    assert_ne!(abilities["fs"]["readTextFile"], true);
    assert_ne!(abilities["fs"]["writeTextFile"], true);
    assert_ne!(abilities["terminal"], true);
    assert_eq!(abilities["session"]["notices"], json!({}));
    assert_eq!(abilities["session"]["compaction"], json!({}));
    assert_eq!(abilities["_meta"]["goose"]["customNotifications"], true);
    assert_eq!(hello["params"]["clientInfo"]["name"], "hivekeeper");
    desk.says(&can());
    let server = json!({"type": "http", "name": "hivekeeper", "url": "http://127.0.0.1:18090/mcp",
        "headers": [{"name": "Authorization", "value": "Bearer not-for-the-disk"}]});
    assert_eq!(desk.sent[1]["params"], json!({"cwd": "/W/cwd", "mcpServers": [server]}));
    desk.says(&json!({"id": 2, "result": {"sessionId": "s1"}}));
    assert_eq!(desk.methods(), ["initialize", "session/new", "session/prompt"]);
    assert_eq!(desk.sent[2]["params"]["prompt"], json!([{"type": "text", "text": "Do it."}]));
    let opened =
        Happening::Opened { session: Some("s1".to_owned()), agent: Some("Agent 2".to_owned()) };
    assert_eq!(desk.told, [opened, Happening::TurnStarted { n: 1 }]);
}

#[test]
fn an_agent_that_takes_no_servers_over_http_works_without_our_tools_and_it_is_said() {
    let mut desk = Desk::new(Ways::default(), PermissionPolicy::Ask);
    desk.open("Do it.");
    desk.says(&json!({"id": 1, "result": {"protocolVersion": 1}}));
    assert_eq!(desk.sent[1]["params"]["mcpServers"], json!([]));
    assert!(state(&desk, "own tools"));
}

#[test]
fn an_agent_that_never_answers_initialize_is_given_up_in_time() {
    let mut desk = Desk::new(Ways { open_within_s: 30, ..Ways::default() }, PermissionPolicy::Ask);
    desk.open("Do it.");
    desk.pass(29);
    assert!(desk.told.is_empty());
    desk.pass(1);
    assert!(
        matches!(&desk.told[..], [Happening::Broken { why, login: false }] if why.contains("never answered initialize"))
    );
    assert!(desk.closed);
    desk.says(&can());
    assert_eq!(desk.methods(), ["initialize"], "an answer that comes later is nothing");
    let stop = desk.driver.ended(&Exit::Code { code: 0 }, desk.now);
    assert!(matches!(stop, Some(Stop::Failed { .. })));
}

#[test]
fn an_agent_that_is_not_logged_in_says_so_in_its_own_words() {
    let mut desk = Desk::new(Ways::default(), PermissionPolicy::Ask);
    desk.open("Do it.");
    desk.says(&can());
    desk.says(&json!({"id": 2, "error": {"code": -32000, "message": "Authentication required"}}));
    let said =
        |why: &str| why.contains("Authentication required") && why.contains("Run `agent login`");
    assert!(matches!(&desk.told[..], [Happening::Broken { why, login: true }] if said(why)));
    assert!(desk.closed);
}

#[test]
fn a_mode_that_is_not_offered_or_refused_is_told_and_the_work_begins() {
    let ways = Ways {
        unattended_mode: vec![
            mode("yolo"),
            mode("auto"),
            mode("now"),
            Setting::Option { option: "allow_all".to_owned(), value: "on".to_owned() },
        ],
        ..Ways::default()
    };
    let mut desk = Desk::new(ways, PermissionPolicy::Unattended);
    desk.open("Do it.");
    desk.says(&can());
    desk.says(&json!({"id": 2, "result": {"sessionId": "s1",
        "modes": {"currentModeId": "now", "availableModes": [{"id": "auto"}, {"id": "now"}]},
        "configOptions": [{"id": "allow_all", "type": "boolean", "currentValue": false}]}}));
    assert!(state(&desk, "mode yolo"));
    assert_eq!(desk.sent[2]["params"], json!({"sessionId": "s1", "modeId": "auto"}));
    desk.says(&json!({"id": 3, "error": {"code": -32602, "message": "not today"}}));
    assert!(state(&desk, "not today"));
    assert_eq!(desk.sent[3]["params"]["configId"], "allow_all");
    assert_eq!(desk.sent[3]["params"]["value"], true);
    desk.says(&json!({"id": 4, "result": {}}));
    assert_eq!(desk.methods().last(), Some(&"session/prompt"));
}

#[test]
fn an_agent_that_must_ask_and_is_not_made_to_does_not_begin() {
    use PermissionPolicy::{AllowList, Ask, AutoInWorktree, ReadOnly, Unattended};
    let session = |mode: &str| {
        json!({"id": 2, "result": {"sessionId": "s1",
            "modes": {"currentModeId": "auto", "availableModes": [{"id": "auto"}, {"id": mode}]}}})
    };
    let begun = |desk: &Desk| desk.methods().contains(&"session/prompt");
    let why = |desk: &Desk| {
        desk.told.iter().find_map(|told| match told {
            Happening::Broken { why, login: false } => Some(why.clone()),
            _ => None,
        })
    };
    let asks = Ways { ask_mode: vec![mode("plan")], open_within_s: 10, ..Ways::default() };
    for policy in [Ask, AllowList, ReadOnly] {
        for (offers, answer) in [("plan", Some("no")), ("plan", None), ("else", None)] {
            let mut desk = Desk::exactly(asks.clone(), policy);
            desk.open("Do it.");
            desk.says(&can());
            desk.says(&session(offers));
            match answer {
                Some(no) => desk.says(&json!({"id": 3, "error": {"code": -32602, "message": no}})),
                None => desk.pass(30),
            }
            assert!(!begun(&desk) && desk.closed, "{policy:?} {offers} {answer:?}");
            let why = why(&desk).unwrap();
            assert!(why.contains("mode plan") && why.contains("runtimes.toml"), "{why}");
            assert!(why.contains(policy.as_str()), "{why}");
        }
        let mut desk = Desk::exactly(asks.clone(), policy);
        desk.open("Do it.");
        desk.says(&can());
        desk.says(&session("plan"));
        desk.says(&json!({"id": 3, "result": {}}));
        assert!(begun(&desk), "{policy:?}");
    }
    // Who takes an earlier session up need not say what it offers: its answer to the wish decides.
    for (answer, begins) in [
        (json!({"id": 3, "result": {}}), true),
        (json!({"id": 3, "error": {"code": -32602, "message": "no"}}), false),
    ] {
        let mut desk = Desk::exactly(asks.clone(), Ask);
        desk.open_with("Go on.", Some("old"));
        desk.says(&can());
        desk.says(&json!({"id": 2, "result": {}}));
        assert_eq!(desk.sent[2]["method"], "session/set_mode");
        desk.says(&answer);
        assert_eq!(begun(&desk), begins, "{answer}");
    }
    // Of another agent nobody knows how it is made to ask.
    for (policy, begins) in [
        (Ask, true),
        (AllowList, false),
        (ReadOnly, false),
        (AutoInWorktree, true),
        (Unattended, true),
    ] {
        let mut desk = Desk::exactly(Ways::default(), policy);
        desk.open("Do it.");
        desk.says(&can());
        desk.says(&session("plan"));
        assert_eq!(begun(&desk), begins, "{policy:?}");
        assert_eq!(why(&desk).is_none(), begins, "{policy:?}");
        assert_eq!(state(&desk, "may act without asking"), policy == Ask, "{policy:?}");
    }
}

#[test]
fn a_mode_that_is_an_option_is_set_as_one_and_silence_does_not_stop_the_work() {
    let ways = Ways { ask_mode: vec![mode("plan")], open_within_s: 10, ..Ways::default() };
    let mut desk = Desk::new(ways, PermissionPolicy::AutoInWorktree);
    desk.open("Do it.");
    desk.says(&can());
    desk.says(&json!({"id": 2, "result": {"sessionId": "s1", "configOptions": [{"id": "mode", "category": "mode",
        "type": "select", "currentValue": "build", "options": [{"value": "build"}, {"value": "plan"}]}]}}));
    assert_eq!(desk.sent[2]["method"], "session/set_config_option");
    assert_eq!(desk.sent[2]["params"]["value"], "plan");
    desk.pass(30);
    assert!(state(&desk, "never answered"));
    assert_eq!(desk.methods().last(), Some(&"session/prompt"));
    desk.says(&json!({"id": 3, "result": {}}));
    assert_eq!(desk.methods().len(), 4, "the late answer changes nothing");
}

#[test]
fn a_session_that_cannot_be_loaded_begins_anew_and_it_is_said() {
    let mut desk = Desk::new(Ways::default(), PermissionPolicy::Ask);
    desk.open_with("Go on.", Some("old"));
    desk.says(&can());
    assert_eq!(desk.sent[1]["method"], "session/load");
    assert_eq!(desk.sent[1]["params"]["sessionId"], "old");
    desk.says(
        &json!({"id": 2, "error": {"code": -32002, "message": "No previous sessions found"}}),
    );
    assert!(state(&desk, "No previous sessions found"));
    desk.says(&json!({"id": 3, "result": {"sessionId": "new"}}));
    assert_eq!(desk.methods(), ["initialize", "session/load", "session/new", "session/prompt"]);
    assert_eq!(desk.sent[3]["params"]["sessionId"], "new");
}

#[test]
fn a_program_that_ends_before_it_answered_has_failed() {
    let mut desk = Desk::new(Ways::default(), PermissionPolicy::Ask);
    desk.open("Do it.");
    let stop = desk.driver.ended(&Exit::Code { code: 3 }, desk.now);
    assert!(matches!(stop, Some(Stop::Failed { why, .. }) if why.contains("exit code 3")));
}

#[test]
fn a_snapshot_of_another_form_or_a_damaged_one_is_refused_in_words() {
    let whole = Desk::opened(Ways::default(), PermissionPolicy::Ask).driver.snapshot();
    let mut other = whole.clone();
    other["version"] = json!(99);
    assert!(matches!(AcpDriver::restore(other), Err(RestoreError::Version { found: 99 })));
    let mut damaged = whole;
    damaged["turns"] = json!("many");
    let error = AcpDriver::restore(damaged).unwrap_err();
    assert!(error.to_string().contains("cannot be read"));
}

#[test]
fn the_entries_of_a_second_program_do_not_write_over_those_of_the_first() {
    let mut desk =
        Desk::of(AcpDriver::new(Ways::default(), PermissionPolicy::Ask, Vec::new()).for_program(2));
    desk.open("Go on.");
    desk.says(&can());
    desk.says(&json!({"id": 2, "result": {"sessionId": "s1"}}));
    desk.text("hello");
    assert!(desk.entries.iter().all(|entry| entry.id.starts_with("p2:")));
}
