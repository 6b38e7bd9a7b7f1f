//! Agents that do not do as they should: none of it costs a turn, and nothing of it is lost.

use agents::runtime::ways::Ways;
use agents::runtime::{Happening, Stop};
use model::conversation::{Body, TEXT_BYTES_MAX, UNSUPPORTED_BYTES_MAX};
use model::inbox::PermissionPolicy;
use serde_json::{Value, json};

use crate::desk::Desk;

/// A turn of an agent that says "one", does something odd, says "two" and ends.
fn turn(odd: impl FnOnce(&mut Desk), result: &Value) -> Desk {
    let mut desk = Desk::new(Ways::default(), PermissionPolicy::Ask);
    desk.open("Do it.");
    desk.says(&json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": [], "somethingNew": {"x": 1}}}));
    desk.says(&json!({"id": 2, "result": {"sessionId": "s1"}}));
    desk.text("one");
    odd(&mut desk);
    desk.text("two");
    desk.says(&json!({"id": 3, "result": result}));
    desk
}

fn done() -> Value {
    json!({"stopReason": "end_turn"})
}

fn odd(desk: &Desk) -> Vec<(&str, &str)> {
    let all = desk.entries.iter().filter_map(|entry| match &entry.body {
        Body::Unsupported { text, why } => Some((text.as_str(), why.as_str())),
        _ => None,
    });
    all.collect()
}

fn unharmed(desk: &Desk, kept: &str) {
    assert_eq!(desk.stops(), [&Stop::Done]);
    let odd = odd(desk);
    assert_eq!(odd.len(), 1, "{odd:?}");
    assert!(odd[0].0.contains(kept), "{odd:?}");
}

#[test]
fn a_banner_on_standard_output_is_kept_and_costs_nothing() {
    unharmed(
        &turn(|desk| desk.line("Welcome to BadAgent v1 (this line is not JSON)"), &done()),
        "Welcome",
    );
}

#[test]
fn an_update_nobody_knows_is_kept_and_costs_nothing() {
    let update = json!({"sessionUpdate": "brand_new_update", "foo": 1});
    unharmed(&turn(|desk| desk.update(&update), &done()), "brand_new_update");
}

#[test]
fn a_notification_nobody_knows_is_kept_and_costs_nothing() {
    let notify = json!({"method": "vendor/notify", "params": {"a": 1}});
    unharmed(&turn(|desk| desk.says(&notify), &done()), "vendor/notify");
}

#[test]
fn figures_of_a_wrong_type_are_kept_and_cost_nothing() {
    let update = json!({"sessionUpdate": "usage_update", "used": "many", "size": null});
    unharmed(&turn(|desk| desk.update(&update), &done()), "many");
}

#[test]
fn content_nobody_knows_is_kept_and_costs_nothing() {
    let update = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "hologram", "data": "x"}});
    unharmed(&turn(|desk| desk.update(&update), &done()), "hologram");
}

#[test]
fn a_tool_of_an_unknown_kind_and_state_is_a_tool() {
    let update = json!({"sessionUpdate": "tool_call", "toolCallId": "t1", "title": "T", "kind": "teleport", "status": "meditating"});
    let desk = turn(|desk| desk.update(&update), &done());
    assert_eq!(desk.stops(), [&Stop::Done]);
    assert!(
        desk.written().contains(&"call:t1 Other Abandoned T".to_owned()),
        "{:?}",
        desk.written()
    );
}

#[test]
fn a_request_for_what_is_not_offered_is_refused_and_kept() {
    for method in ["vendor/ask", "fs/read_text_file", "fs/write_text_file", "terminal/create"] {
        let desk =
            turn(|desk| desk.says(&json!({"id": 77, "method": method, "params": {}})), &done());
        let refused = desk.sent.iter().find(|sent| sent["id"] == 77).unwrap();
        assert_eq!(refused["error"]["code"], -32601);
        unharmed(&desk, method);
    }
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut desk = turn(|_| {}, &done());
    desk.says(&json!({"id": 3, "result": {"stopReason": "refusal"}}));
    desk.says(&json!({"id": "3", "result": {"stopReason": "refusal"}}));
    assert_eq!(desk.stops(), [&Stop::Done]);
    assert!(odd(&desk).is_empty());
    desk.says(&json!({"id": 99, "result": {}}));
    assert_eq!(odd(&desk).len(), 1, "an answer to nothing is kept");
}

#[test]
fn usage_that_is_null_is_not_known() {
    let desk = turn(|_| {}, &json!({"stopReason": "end_turn", "usage": null}));
    assert_eq!(desk.stops(), [&Stop::Done]);
    assert_eq!(desk.used().tokens.total(), None);
}

#[test]
fn an_end_nobody_knows_ends_the_turn_all_the_same() {
    let desk = turn(|_| {}, &json!({"stopReason": "bored"}));
    assert_eq!(desk.stops(), [&Stop::Unknown { reason: "bored".to_owned() }]);
    assert!(desk.told.iter().any(|told| matches!(told, Happening::Acknowledged { .. })));
    for result in [json!(null), json!({}), json!({"stopReason": 5}), json!([])] {
        assert!(matches!(turn(|_| {}, &result).stops()[..], [Stop::Unknown { .. }]));
    }
}

#[test]
fn blank_lines_are_nothing() {
    let desk = turn(|desk| [" ", "", "\t"].into_iter().for_each(|line| desk.line(line)), &done());
    assert!(odd(&desk).is_empty());
    assert!(matches!(desk.body("m1"), Body::Message { text } if text == "onetwo"));
}

#[test]
fn a_line_of_eight_mebibytes_is_read_and_one_that_was_cut_is_kept_as_far_as_it_goes() {
    let big = "x".repeat(8 << 20);
    let desk = turn(|desk| desk.text(&big), &done());
    assert_eq!(desk.stops(), [&Stop::Done]);
    let said = desk.entries.iter().filter_map(|entry| match &entry.body {
        Body::Message { text } => Some(text.len()),
        _ => None,
    });
    let said: Vec<usize> = said.collect();
    assert_eq!(said.iter().sum::<usize>(), big.len() + 6);
    assert!(said.iter().all(|bytes| *bytes <= TEXT_BYTES_MAX));
    let desk = turn(|desk| desk.bytes(br#"{"jsonrpc":"2.0","method":"sess"#, true), &done());
    unharmed(&desk, "jsonrpc");
}

#[test]
fn a_flood_of_lines_nobody_understands_is_counted_and_not_kept_whole() {
    let long = "y".repeat(UNSUPPORTED_BYTES_MAX * 2);
    let desk = turn(
        |desk| {
            for n in 0..5_000 {
                desk.says(&json!({"method": format!("vendor/{}", n % 200), "params": long}));
            }
        },
        &done(),
    );
    let odd = odd(&desk);
    assert!(odd.len() < 1_100, "{}", odd.len());
    assert!(odd.iter().all(|(text, _)| text.len() <= UNSUPPORTED_BYTES_MAX));
    assert!(odd.iter().any(|(_, why)| why.contains("like this so far")));
    assert_eq!(desk.stops(), [&Stop::Done]);
}

#[test]
fn an_update_of_another_session_is_not_mixed_in() {
    let other = json!({"method": "session/update", "params": {"sessionId": "s2", "update":
        {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "from elsewhere"}}}});
    unharmed(&turn(|desk| desk.says(&other), &done()), "from elsewhere");
}

#[test]
fn a_title_in_the_models_own_words_makes_no_command_one_of_our_own_tools() {
    let ways = Ways { tool_names: vec!["hivekeeper__{tool}".to_owned()], ..Ways::default() };
    for told in [
        json!({"toolCallId": "c1", "title": "hivekeeper__report_progress", "kind": "execute"}),
        json!({"toolCallId": "c1", "title": "hivekeeper__report_progress", "rawInput": {"command": "rm -rf ."}}),
        json!({"toolCallId": "c1", "title": "hivekeeper__report_progress", "_meta": {"x": {"toolName": "shell"}}}),
    ] {
        let mut desk = Desk::opened(ways.clone(), PermissionPolicy::Ask);
        desk.says(
            &json!({"id": 5, "method": "session/request_permission", "params": {"sessionId": "s1",
            "toolCall": told, "options": [{"optionId": "y", "kind": "allow_once"}]}}),
        );
        assert_eq!(desk.asked().len(), 1, "{told}");
    }
}

#[test]
fn more_requests_than_anybody_answers_are_refused() {
    let mut desk = Desk::opened(Ways::default(), PermissionPolicy::Ask);
    for id in 0..150 {
        desk.says(
            &json!({"id": id, "method": "session/request_permission", "params": {"options": []}}),
        );
    }
    assert_eq!(desk.asked().len(), model::inbox::OPEN_MAX);
}
