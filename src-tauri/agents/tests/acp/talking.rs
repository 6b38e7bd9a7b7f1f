//! Permissions, questions, cancelling and messages.

use agents::runtime::ways::{Covers, UsageFields, UsagePlace, UsageRule, Ways};
use agents::runtime::{Answer, Driver, Happening, Stop};
use model::conversation::{Body, TEXT_BYTES_MAX, ToolState};
use model::id::{AgentId, RequestId, SystemDraw};
use model::inbox::PermissionPolicy;
use model::message::Source;
use model::process::Exit;
use serde_json::{Value, json};

use crate::desk::{Desk, told};

fn opened() -> Desk {
    Desk::opened(Ways::default(), PermissionPolicy::Ask)
}

fn call(desk: &mut Desk, id: &str, status: &str) {
    desk.update(
        &json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": "make", "kind": "execute",
        "status": status, "rawInput": {"command": ["/bin/bash", "-lc", "make test"]}}),
    );
}

fn asks(desk: &mut Desk, id: &Value, kinds: &[&str]) {
    let options: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({"optionId": format!("o-{kind}"), "name": kind, "kind": kind}))
        .collect();
    desk.says(&json!({"id": id, "method": "session/request_permission", "params": {"sessionId": "s1",
        "toolCall": {"toolCallId": "c1", "title": "make", "kind": "execute", "status": "pending"}, "options": options}}));
}

fn outcome(desk: &Desk, id: &Value) -> Value {
    desk.sent.iter().find(|sent| sent["id"] == *id && sent.get("result").is_some()).unwrap()["result"]["outcome"].clone()
}

fn stops(desk: &mut Desk, reason: &str) {
    desk.says(&json!({"id": 3, "result": {"stopReason": reason}}));
}

#[test]
fn an_answer_takes_the_option_that_means_it_once() {
    let all = ["allow_always", "allow_once", "reject_always", "reject_once"];
    let deny = Answer::Deny { note: Some("not here".to_owned()) };
    let cases: [(&Answer, &[&str], Option<&str>); 6] = [
        (&Answer::Allow, &all, Some("o-allow_once")),
        (&Answer::Allow, &["allow_always"], Some("o-allow_always")),
        (&deny, &all, Some("o-reject_once")),
        (&deny, &["allow_once", "reject_always"], Some("o-reject_always")),
        (&deny, &["allow_once"], None),
        (&Answer::Cancelled, &all, None),
    ];
    for (n, (answer, kinds, option)) in cases.into_iter().enumerate() {
        let mut desk = opened();
        let id = if n % 2 == 0 { json!(70 + n) } else { json!(format!("r-{n}")) };
        asks(&mut desk, &id, kinds);
        assert_eq!(desk.asked()[0].1.command.as_deref(), None);
        desk.answer(&id.to_string(), answer);
        desk.answer(&id.to_string(), answer);
        match option {
            Some(option) => {
                assert_eq!(outcome(&desk, &id), json!({"outcome": "selected", "optionId": option}))
            }
            None => assert_eq!(outcome(&desk, &id), json!({"outcome": "cancelled"})),
        }
        assert_eq!(desk.methods().iter().filter(|method| **method == "answer").count(), 1);
    }
}

#[test]
fn a_turn_that_is_called_off_answers_what_is_open_first() {
    let mut desk = opened();
    call(&mut desk, "c1", "pending");
    asks(&mut desk, &json!("r1"), &["allow_once", "reject_once"]);
    desk.says(&json!({"id": 8, "method": "elicitation/create", "params": {"mode": "form", "message": "Which?"}}));
    desk.cancel();
    desk.cancel();
    assert_eq!(desk.methods()[3..], ["answer", "answer", "session/cancel"]);
    assert_eq!(desk.sent[3]["result"]["outcome"]["outcome"], "cancelled");
    assert_eq!(desk.sent[4]["result"]["action"], "cancel");
    assert!(
        desk.told
            .iter()
            .any(|told| matches!(told, Happening::Withdrawn { key, .. } if key == "\"r1\""))
    );
    asks(&mut desk, &json!("r2"), &["allow_once"]);
    assert_eq!(
        outcome(&desk, &json!("r2")),
        json!({"outcome": "cancelled"}),
        "a late request is answered too"
    );
    stops(&mut desk, "end_turn");
    assert_eq!(desk.stops(), [&Stop::Cancelled], "whatever the agent calls it");
    assert!(!desk.closed);
    assert!(desk.driver.takes_messages());
    assert!(
        matches!(desk.body("call:c1"), Body::ToolCall { call } if call.state == ToolState::Abandoned)
    );
}

#[test]
fn a_turn_answered_in_words_is_done_although_the_total_of_tokens_stands_still() {
    let field = |name: &str| Some(format!("/{name}"));
    let rule = UsageRule {
        at: "/_meta/total".to_owned(),
        place: UsagePlace::Result,
        of: None,
        covers: Covers::Conversation,
        fields: UsageFields { input: field("in"), output: field("out"), ..UsageFields::default() },
        input_includes_cache: false,
        output_excludes_reasoning: false,
    };
    let ways = Ways { usage: vec![rule], ..Ways::default() };
    let mut desk = Desk::opened(ways, PermissionPolicy::Ask);
    let answer = |id: i64| json!({"id": id, "result": {"stopReason": "end_turn", "_meta": {"total": {"in": 10, "out": 5}}}});
    desk.text("Hello.");
    desk.says(&answer(3));
    desk.tell(vec![told("Stop what you do.", Source::Captain)]);
    desk.text("Very well.");
    desk.says(&answer(4));
    assert_eq!(desk.stops(), [&Stop::Done, &Stop::Done]);
}

#[test]
fn a_program_that_does_not_end_by_itself_is_known_not_to() {
    for ends_on_eof in [true, false] {
        let ways = Ways { ends_on_eof, ..Ways::default() };
        let desk = Desk::opened(ways, PermissionPolicy::Ask);
        assert_eq!(desk.driver.ends_on_eof(), ends_on_eof);
    }
}

#[test]
fn an_answer_that_is_about_an_error_is_an_answer() {
    let ways = Ways {
        limit_signs: vec!["(?i)rate limit".to_owned()],
        login_signs: vec!["(?i)error 401".to_owned(), "authentication failed".to_owned()],
        error_signs: vec!["^Ran into this error: ".to_owned()],
        ..Ways::default()
    };
    let ended = |stderr: &str, said: &str, result: &Value| {
        let mut desk = Desk::opened(ways.clone(), PermissionPolicy::Ask);
        if !stderr.is_empty() {
            desk.stderr(stderr);
        }
        desk.text(said);
        desk.says(&json!({"id": 3, "result": result}));
        desk.stops()[0].clone()
    };
    let answer = "Your API returns error 401: authentication failed. There is a rate limit, too.";
    assert_eq!(ended("", answer, &json!({"stopReason": "end_turn"})), Stop::Done);
    let failed = |stop: &Stop| match stop {
        Stop::Failed { login, .. } => Some(*login),
        _ => None,
    };
    let none = json!({"stopReason": "end_turn", "usage": {"inputTokens": 0, "outputTokens": 0}});
    assert_eq!(failed(&ended("", "error 401", &none)), Some(true), "no model wrote it");
    let plain = json!({"stopReason": "end_turn"});
    let told = format!("Ran into this error: {answer}");
    assert_eq!(failed(&ended("", &told, &plain)), Some(true), "it tells errors so");
    assert_eq!(failed(&ended("HTTP error 401", answer, &plain)), Some(true), "both say so");
    assert_eq!(failed(&ended("rate limit", "a rate limit", &plain)), Some(false));
    // What was complained of before a model answered with a tool is over.
    let mut desk = Desk::opened(ways.clone(), PermissionPolicy::Ask);
    desk.stderr("HTTP error 401");
    call(&mut desk, "c1", "in_progress");
    desk.driver.ended(&Exit::Code { code: 1 }, desk.now);
    desk.take();
    assert_eq!(failed(desk.stops()[0]), Some(false));
}

#[test]
fn a_request_that_waits_says_what_is_asked_and_where_it_is_in_the_inbox() {
    let mut desk = opened();
    desk.says(
        &json!({"id": "r1", "method": "session/request_permission", "params": {"sessionId": "s1",
        "toolCall": {"toolCallId": "c7", "title": "shell", "kind": "execute",
            "rawInput": {"command": "cargo test -q"}},
        "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}]}}),
    );
    let entry = |desk: &Desk| {
        let found = desk.entries.iter().find_map(|entry| match &entry.body {
            Body::Request { request_id, title, answer } => {
                Some((*request_id, title.clone(), answer.clone()))
            }
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(entry(&desk), (None, "shell: cargo test -q".to_owned(), None));
    let id = RequestId::draw(desk.now, &mut SystemDraw);
    desk.driver.asked_as("\"r1\"", id, desk.now);
    desk.crash();
    assert_eq!(entry(&desk).0, Some(id), "it waits still");
    desk.cancel();
    let (known, _, answer) = entry(&desk);
    assert_eq!((known, answer.as_deref()), (Some(id), Some("the turn was called off")));
}

/// What a permission is asked for whose tool is given `input`.
fn asked_with(
    before: Option<&Value>,
    input: &Value,
) -> (Option<String>, Option<String>, Option<String>) {
    let mut desk = opened();
    if let Some(before) = before {
        desk.update(&json!({"sessionUpdate": "tool_call", "toolCallId": "c7", "title": "shell",
            "kind": "execute", "status": "pending", "rawInput": before}));
    }
    let call = json!({"toolCallId": "c7", "title": "shell", "kind": "execute", "rawInput": input});
    desk.says(&json!({"id": "r1", "method": "session/request_permission", "params": {
        "sessionId": "s1", "toolCall": call,
        "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}]}}));
    let asked = desk.asked();
    let ask = asked.first().unwrap().1;
    (ask.command.clone(), ask.directory.clone(), ask.input.clone())
}

#[test]
fn a_permission_tells_the_whole_command_with_its_arguments_its_variables_and_its_directory() {
    let some = |text: &str| Some(text.to_owned());
    for (input, command, directory, besides) in [
        (
            json!({"command": "rm -rf build", "cwd": "/home/u/other"}),
            "rm -rf build",
            some("/home/u/other"),
            None,
        ),
        (json!({"command": ["make"], "workdir": "sub"}), "make", some("sub"), None),
        (json!({"command": "git", "args": ["push", "--force"]}), "git push --force", None, None),
        (json!({"command": "git", "args": ["push", "a b"]}), "git push 'a b'", None, None),
        (json!({"command": "bash", "args": ["-lc", "rm x"]}), "rm x", None, None),
        (json!({"command": "make x", "args": "-f y"}), "make x -f y", None, None),
        (json!({"command": ["bash", "--norc", "x.sh"]}), "bash --norc x.sh", None, None),
        (
            json!({"command": "git status", "env": {"GIT_PAGER": "./evil x"}}),
            "GIT_PAGER='./evil x' git status",
            None,
            None,
        ),
        (json!({"command": "git status", "env": ["A=1"]}), "A=1 git status", None, None),
        (
            json!({"command": "sh", "stdin": "rm x", "timeout": 5}),
            "sh",
            None,
            some(r#"{"stdin":"rm x"}"#),
        ),
    ] {
        let expected = (some(command), directory, besides);
        assert_eq!(asked_with(None, &input), expected, "{input}");
        // Told with the call before, and not again.
        assert_eq!(asked_with(Some(&input), &Value::Null), expected, "{input}");
    }
    let nowhere = asked_with(None, &json!({"command": "ls", "cwd": {"a": 1}})).1.unwrap();
    assert!(nowhere.contains('\0'), "it leads nowhere anybody knows: {nowhere:?}");
    let other = asked_with(Some(&json!({"path": "x"})), &Value::Null);
    assert_eq!(other.0, None, "what is no command is not shown as one");
    assert_eq!(other.2.as_deref(), Some(r#"{"path":"x"}"#));
}

#[test]
fn a_turn_that_is_called_off_and_does_not_end_is_given_up_in_time() {
    let mut desk = opened();
    desk.cancel();
    desk.pass(9);
    assert!(desk.stops().is_empty());
    desk.pass(1);
    assert_eq!(desk.stops(), [&Stop::Cancelled]);
    assert!(desk.closed);
    stops(&mut desk, "end_turn");
    assert_eq!(desk.stops().len(), 1);
}

#[test]
fn text_grows_in_one_entry_until_something_else_comes_between() {
    let mut desk = opened();
    desk.text("Hello");
    desk.text(", world");
    desk.update(&json!({"sessionUpdate": "usage_update", "used": 5, "size": 10}));
    desk.text("!");
    call(&mut desk, "c1", "in_progress");
    desk.text("Done.");
    stops(&mut desk, "end_turn");
    assert!(matches!(desk.body("m1"), Body::Message { text } if text == "Hello, world!"));
    assert!(matches!(desk.body("m2"), Body::Message { text } if text == "Done."));
    let ids: Vec<&str> = desk.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["prompt:1", "m1", "call:c1", "m2", "usage:1"]);
}

#[test]
fn a_text_that_is_too_long_for_one_entry_goes_on_in_the_next() {
    let mut desk = opened();
    let long = "ä".repeat(TEXT_BYTES_MAX);
    desk.text(&long);
    desk.text("end");
    stops(&mut desk, "end_turn");
    let texts: Vec<&str> = desk
        .entries
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::Message { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX));
    assert_eq!(texts.concat(), long + "end");
}

#[test]
fn a_tool_that_takes_too_long_is_called_slow_but_not_while_it_waits_for_the_captain() {
    let mut desk = opened();
    call(&mut desk, "c1", "pending");
    asks(&mut desk, &json!(1), &["allow_once"]);
    desk.pass(500);
    let slow = |desk: &Desk| matches!(desk.body("call:c1"), Body::ToolCall { call } if call.slow);
    assert!(!slow(&desk));
    desk.answer("1", &Answer::Allow);
    assert!(matches!(desk.told.last(), Some(Happening::Tool(Some(tool))) if tool == "make"));
    desk.pass(59);
    assert!(!slow(&desk));
    desk.pass(1);
    assert!(slow(&desk));
    desk.update(
        &json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "failed"}),
    );
    assert_eq!(desk.told.last(), Some(&Happening::Tool(None)));
    let Body::ToolCall { call } = desk.body("call:c1") else { unreachable!() };
    assert_eq!(call.state, ToolState::Failed);
    assert_eq!(call.input.as_deref(), Some("make test"));
    let ran = call.ended_at.unwrap().duration_since(call.started_at.unwrap());
    assert_eq!(ran.as_secs(), 60);
}

#[test]
fn messages_are_handed_over_between_turns_with_who_said_them_and_acknowledged_at_the_end() {
    let mut desk = opened();
    let early = told("too early", Source::Captain);
    desk.tell(vec![early.clone()]);
    assert!(
        matches!(desk.told.last(), Some(Happening::NotDelivered { messages, .. }) if *messages == [early.id])
    );
    desk.text("Ready.");
    stops(&mut desk, "end_turn");
    assert!(
        matches!(&desk.told[..], [.., Happening::Acknowledged { messages, said }, Happening::TurnEnded { n: 1, stop: Stop::Done, .. }]
        if messages.is_empty() && said == "Ready.")
    );
    let id: AgentId = "01930000-0000-7000-8000-000000000001".parse().unwrap();
    let agent = Source::Agent { id, name: "Ada".to_owned() };
    let both = vec![
        told("Stop it.", Source::Captain),
        told("Use mine, then.", agent),
        told("Be brief.", Source::System),
    ];
    let ids: Vec<_> = both.iter().map(|message| message.id).collect();
    desk.tell(both);
    assert_eq!(
        desk.sent.last().unwrap()["params"]["prompt"][0]["text"],
        "From the captain:\nStop it.\n\nFrom agent Ada:\nUse mine, then.\n\nFrom Hivekeeper:\nBe brief."
    );
    assert!(!desk.told.contains(&Happening::Started(ids.clone())));
    desk.text("Yes.");
    assert_eq!(desk.told.last(), Some(&Happening::Started(ids.clone())));
    desk.says(&json!({"id": 4, "result": {"stopReason": "end_turn"}}));
    assert!(
        desk.told.contains(&Happening::Acknowledged { messages: ids, said: "Yes.".to_owned() })
    );
}

#[test]
fn messages_of_a_turn_that_failed_are_handed_back() {
    let mut desk = opened();
    desk.text("Ready.");
    stops(&mut desk, "end_turn");
    let one = told("Go on.", Source::Captain);
    desk.tell(vec![one.clone()]);
    desk.says(&json!({"id": 4, "error": {"code": -32603, "message": "Internal error", "data": {"details": "provider said 500"}}}));
    assert!(desk.told.iter().any(|told| matches!(told, Happening::NotDelivered { messages, why }
        if *messages == [one.id] && why.contains("provider said 500"))));
    assert!(matches!(desk.stops()[1], Stop::Failed { login: false, .. }));
}

#[test]
fn every_end_of_a_turn_is_told_for_what_it_is() {
    for (reason, stop) in [
        ("max_tokens", None),
        ("max_turn_requests", None),
        ("refusal", Some(Stop::Refused)),
        ("cancelled", Some(Stop::Cancelled)),
        ("bored", Some(Stop::Unknown { reason: "bored".to_owned() })),
        ("end_turn", Some(Stop::Empty)),
    ] {
        let mut desk = opened();
        stops(&mut desk, reason);
        match stop {
            Some(stop) => assert_eq!(desk.stops(), [&stop]),
            None => assert!(matches!(desk.stops()[..], [Stop::Limit { .. }])),
        }
        assert!(desk.driver.takes_messages(), "{reason}");
    }
}

#[test]
fn an_error_that_asks_for_a_login_or_for_patience_is_told_as_such() {
    for (code, message, login) in
        [(-32000, "Authentication required", true), (401, "no", true), (-32603, "no", false)]
    {
        let mut desk = opened();
        desk.says(&json!({"id": 3, "error": {"code": code, "message": message}}));
        assert!(matches!(desk.stops()[..], [Stop::Failed { login: told, .. }] if *told == login));
    }
    let ways = Ways { limit_signs: vec!["(?i)rate limit".to_owned()], ..Ways::default() };
    let mut desk = Desk::opened(ways, PermissionPolicy::Ask);
    desk.stderr("WARN rate limit, retry after 20 s");
    desk.stderr("WARN rate limit, retry after 20 s");
    let limited =
        desk.told.iter().filter(|told| matches!(told, Happening::Limited { until: Some(_), .. }));
    assert_eq!(limited.count(), 1);
    desk.pass(11);
    desk.update(
        &json!({"sessionUpdate": "notice", "severity": "warning", "title": "Rate limit reached"}),
    );
    let limited = desk.told.iter().filter(|told| matches!(told, Happening::Limited { .. }));
    assert_eq!(limited.count(), 2);
}

#[test]
fn a_question_is_asked_with_its_answers_and_answered_in_the_form_the_agent_wants() {
    let mut desk = opened();
    let schema =
        json!({"type": "object", "properties": {"count": {"type": "integer", "enum": null}}});
    desk.says(&json!({"id": 5, "method": "elicitation/create", "params": {"sessionId": "s1", "mode": "form",
        "message": "How many?", "requestedSchema": schema}}));
    let schema = json!({"type": "object", "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}});
    desk.says(&json!({"id": 6, "method": "elicitation/create", "params": {"sessionId": "s1", "mode": "form",
        "message": "Which?", "requestedSchema": schema}}));
    assert!(
        desk.told.iter().any(|told| matches!(told, Happening::AskedQuestion { text, options, .. }
        if text == "Which?" && *options == ["red", "blue"]))
    );
    desk.answer("5", &Answer::Text { text: "7".to_owned() });
    desk.answer("6", &Answer::Deny { note: None });
    assert_eq!(desk.sent[3]["result"], json!({"action": "accept", "content": {"count": 7}}));
    assert_eq!(desk.sent[4]["result"], json!({"action": "decline"}));
}

#[test]
fn a_request_the_agent_takes_back_is_withdrawn() {
    let mut desk = opened();
    asks(&mut desk, &json!(9), &["allow_once"]);
    desk.says(&json!({"method": "$/cancel_request", "params": {"requestId": 9}}));
    assert!(
        desk.told.iter().any(|told| matches!(told, Happening::Withdrawn { key, .. } if key == "9"))
    );
    desk.answer("9", &Answer::Allow);
    assert_eq!(desk.sent.last().unwrap()["error"]["code"], -32800);
}

#[test]
fn a_program_that_ends_in_the_middle_of_its_turn_has_failed_and_nothing_stays_open() {
    let mut desk = opened();
    call(&mut desk, "c1", "in_progress");
    asks(&mut desk, &json!(9), &["allow_once"]);
    desk.text("I am about");
    let stop = desk.driver.ended(&Exit::Signal { signal: 9 }, desk.now);
    desk.take();
    assert!(matches!(stop, Some(Stop::Failed { why, .. }) if why.contains("signal 9")));
    assert!(
        matches!(desk.body("call:c1"), Body::ToolCall { call } if call.state == ToolState::Abandoned)
    );
    assert!(desk.told.iter().any(|told| matches!(told, Happening::Withdrawn { .. })));
    assert!(matches!(desk.body("m1"), Body::Message { text } if text == "I am about"));
}

#[test]
fn a_conversation_ends_by_closing_its_session_and_then_its_input() {
    let mut desk = opened();
    desk.text("Done.");
    stops(&mut desk, "end_turn");
    desk.driver.finish(desk.now);
    desk.take();
    assert_eq!(desk.methods().last(), Some(&"session/close"));
    assert!(!desk.closed);
    assert!(!desk.driver.takes_messages());
    desk.says(&json!({"id": 4, "result": {}}));
    assert!(desk.closed);
    assert_eq!(desk.driver.ended(&Exit::Stopped { killed: true }, desk.now), Some(Stop::Done));
    let mut silent = opened();
    silent.driver.finish(silent.now);
    silent.take();
    assert!(silent.methods().contains(&"session/cancel"));
    silent.pass(2);
    assert!(silent.closed, "nobody waits long for a polite end");
}
