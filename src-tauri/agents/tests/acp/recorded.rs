//! What was recorded of real agents, said again line by line.

use agents::runtime::{Answer, Driver, Happening, Stop};
use jiff::{SignedDuration, Timestamp};
use model::conversation::{Body, ToolKind};
use model::inbox::PermissionPolicy;
use model::usage::UsageSource;
use serde_json::Value;

use crate::desk::{Desk, ways};

const RECORDED: [(&str, &str, &str); 6] = [
    ("goose", "goose", include_str!("../golden/goose.jsonl")),
    ("goose", "goose-totals", include_str!("../golden/goose-totals.jsonl")),
    ("goose", "goose-loaded", include_str!("../golden/goose-loaded.jsonl")),
    ("goose", "goose-refused", include_str!("../golden/goose-refused.jsonl")),
    ("codex-zed", "codex-zed", include_str!("../golden/codex-zed.jsonl")),
    ("opencode", "opencode", include_str!("../golden/opencode.jsonl")),
];

/// What happens to a driver besides the lines it reads.
#[derive(Clone, Copy)]
enum Fate {
    Lives,
    /// The engine dies after so many lines.
    DiesAfter(usize),
    /// The engine dies after so many lines, and what it did since the snapshot so many lines ago was not kept.
    Forgets(usize, usize),
}

fn replay(name: &str, fate: Fate) -> Desk {
    let (agent, _, text) = RECORDED.iter().find(|(_, known, _)| *known == name).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut desk = Desk::new(ways(agent), PermissionPolicy::Ask);
    let began = desk.now;
    let session = text.contains("session/load").then_some("20261121_1");
    desk.open_with("Do it.", session);
    let agents: Vec<&Value> = lines.iter().filter(|line| line["dir"] != "->").collect();
    let mut kept = None;
    let mut n = 0;
    let mut forgot = false;
    while n < agents.len() {
        if let Fate::Forgets(at, back) = fate
            && n == at.saturating_sub(back)
            && kept.is_none()
        {
            kept = Some((n, desk.driver.snapshot()));
        }
        hear(&mut desk, agents[n], began);
        n += 1;
        match fate {
            Fate::DiesAfter(at) if n == at => desk.crash(),
            Fate::Forgets(at, _) if n == at && !forgot => {
                forgot = true;
                let (back_to, snapshot) = kept.take().unwrap();
                desk.driver = agents::runtime::acp::AcpDriver::restore(snapshot)
                    .unwrap()
                    .with_tools(Some(crate::desk::tools()));
                n = back_to;
                kept = Some((n, Value::Null));
            }
            _ => {}
        }
    }
    desk
}

fn hear(desk: &mut Desk, line: &Value, began: Timestamp) {
    #[expect(clippy::cast_possible_truncation, reason = "a recording lasts seconds")]
    let ms = (line["t"].as_f64().unwrap() * 1000.0) as i64;
    desk.now = began.checked_add(SignedDuration::from_millis(ms)).unwrap();
    if line["dir"] == "ERR" {
        desk.stderr(line["msg"].as_str().unwrap());
        return;
    }
    // The client that recorded sent other requests: answers to its later ones are not for us.
    let id = line["msg"]["id"].as_i64();
    let asked = |sent: &Value| sent["id"].as_i64() == id && sent.get("method").is_some();
    if line["msg"].get("method").is_none() && !desk.sent.iter().any(asked) {
        return;
    }
    let before = desk.asked().len();
    desk.line(&line["msg"].to_string());
    let keys: Vec<String> =
        desk.asked()[before..].iter().map(|(key, _)| (*key).to_owned()).collect();
    for key in keys {
        desk.answer(&key, &Answer::Allow);
    }
}

fn lines(name: &str) -> usize {
    let (_, _, text) = RECORDED.iter().find(|(_, known, _)| *known == name).unwrap();
    text.lines().filter(|line| !line.contains(r#""dir": "->""#)).count()
}

#[test]
fn a_conversation_of_goose_is_written_down() {
    let desk = replay("goose", Fate::Lives);
    let expected = [
        r#"prompt:1 prompt System: Do it."#,
        r#"t1 thinks pondering"#,
        r#"m1 says I will write the file."#,
        r#"call:call_b019613b21614ce5 Edit Completed Fake title [write] <- {"path":"/W/goose.turn/cwd/HELLO.md","content":"hello from goose"}"#,
        r#"ask:1 asks write: /W/goose.turn/cwd/HELLO.md: Some("allowed")"#,
        r#"odd:1 odd: the agent asked for fs/write_text_file, which is not offered"#,
        r#"call:call_0348463f224f4d04 Execute Completed Fake title [shell] <- echo hi-shell"#,
        r#"ask:2 asks shell: echo hi-shell: Some("allowed")"#,
        r#"odd:2 odd: the agent asked for terminal/create, which is not offered"#,
        r#"odd:3 odd: the agent asked for terminal/wait_for_exit, which is not offered"#,
        r#"odd:4 odd: the agent asked for terminal/output, which is not offered"#,
        r#"odd:5 odd: the agent asked for terminal/release, which is not offered"#,
        r#"call:call_a9831a5dc9c0452d Own Completed Fake title [hivekeeper__report_progress] <- {"pct":50} -> noted"#,
        r#"m2 says FAKE-FINAL"#,
        r#"usage:1 used Some(1000) + Some(50), context Some(1050)"#,
    ];
    assert_eq!(desk.written(), expected);
    assert_eq!(desk.stops(), [&Stop::Done]);
}

#[test]
fn a_conversation_of_codex_is_written_down() {
    let desk = replay("codex-zed", Fate::Lives);
    let expected = [
        r#"prompt:1 prompt System: Do it."#,
        r#"m1 says Model metadata for `fake-model` not found. Defaulting to fallback metadata; this can degra"#,
        r#"t1 thinks ||pondering"#,
        r#"m2 says I will write the file."#,
        r#"call:call_ce74163278a64f79 Execute Completed cat > '/W/codex-zed.turn/cwd/HELLO.md' <<'FAKE_EOF'|hello from codex-zed|FAKE_EOF <- cat > '/W/codex-zed.turn/cwd/HELLO.md' <<'FAKE_EOF'|hello from codex-zed|FAKE_EOF"#,
        r#"call:call_c9348cd5af1f428c Execute Completed echo hi-shell <- echo hi-shell -> hi-shell|"#,
        r#"call:call_1b003ab11f214472 Own Completed Tool: hivekeeper/report_progress <- {"server":"hivekeeper","tool":"report_progress","arguments":{"pct":50}} -> noted"#,
        r#"m3 says FAKE-FINAL"#,
        r#"usage:1 used None + None, context Some(1050)"#,
    ];
    assert_eq!(desk.written(), expected);
    assert_eq!(desk.stops(), [&Stop::Done]);
    assert!(desk.asked().is_empty(), "its only request was for one of our own tools");
}

#[test]
fn a_conversation_of_opencode_is_written_down() {
    let desk = replay("opencode", Fate::Lives);
    let expected = [
        r#"prompt:1 prompt System: Do it."#,
        r#"t1 thinks pondering"#,
        r#"m1 says I will write the file."#,
        r#"call:call_b473833fbe3e420e Edit Completed HELLO.md <- {"filePath":"/W/opencode.turn/cwd/HELLO.md","content":"hello from opencode"} -> Wrote file successfully."#,
        r#"ask:1 asks /W/opencode.turn/cwd/HELLO.md: Some("allowed")"#,
        r#"odd:1 odd: the agent asked for fs/write_text_file, which is not offered"#,
        r#"call:call_f05c25109b0a4a1f Execute Completed echo hi-shell <- echo hi-shell -> hi-shell|"#,
        r#"ask:2 asks echo hi-shell: Some("allowed")"#,
        r#"call:call_118eccd2e0b748f3 Own Completed hivekeeper_report_progress <- {"pct":50} -> noted"#,
        r#"m2 says FAKE-FINAL"#,
        r#"usage:1 used Some(1000) + Some(50), context Some(1000)"#,
    ];
    assert_eq!(desk.written(), expected);
    assert_eq!(desk.stops(), [&Stop::Done]);
}

#[test]
fn what_goose_asks_names_the_command_and_the_file() {
    let desk = replay("goose-totals", Fate::Lives);
    let asked = desk.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].1.tool, ToolKind::Edit);
    assert_eq!(asked[0].1.places, ["/W/goose/cwd/HELLO.md"]);
    assert_eq!(asked[1].1.tool, ToolKind::Execute);
    assert_eq!(asked[1].1.command.as_deref(), Some("echo hi-shell"));
    assert!(asked[1].1.agent_remembers);
}

#[test]
fn permission_for_one_of_our_own_tools_is_given_at_once() {
    for name in ["goose", "codex-zed"] {
        let desk = replay(name, Fate::Lives);
        let own = desk.entries.iter().filter(|entry| match &entry.body {
            Body::ToolCall { call } => call.tool == ToolKind::Own,
            _ => false,
        });
        assert_eq!(own.count(), 1, "{name}");
        let about_own = |ask: &&(&str, &agents::runtime::Wanted)| ask.1.tool == ToolKind::Own;
        assert_eq!(desk.asked().iter().filter(about_own).count(), 0, "{name}");
        let chosen: Vec<_> =
            desk.sent.iter().filter_map(|sent| sent.pointer("/result/outcome/optionId")).collect();
        assert!(
            chosen.iter().any(|option| *option == "allow_once" || *option == "approved"),
            "{name}"
        );
    }
}

#[test]
fn the_usage_of_each_recorded_agent_is_what_it_said_and_no_more() {
    let of = |name: &str| replay(name, Fate::Lives).used().clone();
    let truth = of("goose-totals");
    assert_eq!(truth.source, UsageSource::Result);
    assert_eq!((truth.tokens.input(), truth.tokens.output), (Some(4000), Some(200)));
    assert_eq!((truth.turns, truth.tool_calls, truth.tool_failures), (1, 3, 0));
    let part = of("goose");
    assert_eq!(part.source, UsageSource::Partial);
    assert_eq!((part.tokens.input(), part.tokens.output), (Some(1000), Some(50)));
    let codex = of("codex-zed");
    assert_eq!(codex.tokens.total(), None, "it tells no tokens, and that is not zero");
    assert_eq!(codex.context.map(|context| context.used), Some(1050));
    let opencode = of("opencode");
    assert_eq!(opencode.source, UsageSource::Partial);
    assert_eq!(opencode.tokens.total(), Some(1050));
    assert_eq!(opencode.tokens.cache_read, Some(200));
    assert_eq!(opencode.reported_cost_micros, Some(3680));
}

#[test]
fn a_loaded_session_does_not_write_its_history_again() {
    let desk = replay("goose-loaded", Fate::Lives);
    let expected = [
        r#"state:1 state The earlier session goes on."#,
        r#"prompt:1 prompt System: Do it."#,
        r#"m1 says FAKE-FINAL"#,
        r#"usage:1 used Some(1000) + Some(50), context Some(1050)"#,
    ];
    assert_eq!(desk.written(), expected);
    assert!(desk.methods().contains(&"session/load"));
    assert_eq!(desk.used().tokens.total(), Some(1050), "what was before was counted before");
    let told = desk.told.iter().filter_map(|told| match told {
        Happening::Used(usage) => usage.tokens.total(),
        _ => None,
    });
    assert_eq!(told.max(), Some(1050), "nor was it ever told");
}

#[test]
fn a_refused_login_told_as_the_models_own_words_is_seen() {
    let desk = replay("goose-refused", Fate::Lives);
    assert!(matches!(desk.stops()[..], [Stop::Failed { login: true, why }] if why.contains("401")));
}

#[test]
fn an_engine_that_dies_after_any_line_goes_on_as_if_it_had_not() {
    for (_, name, _) in RECORDED {
        let whole = replay(name, Fate::Lives);
        for at in 0..=lines(name) {
            let cut = replay(name, Fate::DiesAfter(at));
            assert_eq!(cut.entries, whole.entries, "{name} cut after {at}");
            assert_eq!(cut.told, whole.told, "{name} cut after {at}");
            assert_eq!(cut.sent, whole.sent, "{name} cut after {at}");
        }
    }
}

#[test]
fn lines_that_are_read_a_second_time_come_to_the_same_entries() {
    for (_, name, _) in RECORDED {
        let whole = replay(name, Fate::Lives);
        for at in 1..=lines(name) {
            for back in [1, 3, 7] {
                let again = replay(name, Fate::Forgets(at, back));
                assert_eq!(again.entries, whole.entries, "{name} at {at}, {back} back");
                let ended = |told: &&Happening| matches!(told, Happening::TurnEnded { .. });
                let last = |desk: &Desk| desk.told.iter().rfind(ended).cloned();
                assert_eq!(last(&again), last(&whole), "{name} at {at}, {back} back");
            }
        }
    }
}
