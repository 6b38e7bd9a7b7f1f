//! Headless programs and plain commands: recorded output becomes a conversation.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that needs it")]

use std::collections::BTreeMap;

use agents::runtime::command::CommandDriver;
use agents::runtime::headless::{Format, HeadlessDriver};
use agents::runtime::presets::{Kind, Presets, custom};
use agents::runtime::{Act, Driver, Happening, Line, Opening, Stop, Told};
use model::Timestamp;
use model::conversation::{Body, Stream, ToolKind, ToolState};
use model::id::{MessageId, SystemDraw};
use model::message::Source;
use model::process::Exit;
use model::usage::{Usage, UsageSource};
use proptest::prelude::*;

const AT: Timestamp = Timestamp::UNIX_EPOCH;
const OK: Exit = Exit::Code { code: 0 };

/// A conversation as it is stored, and what was told of it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    order: Vec<String>,
    entries: BTreeMap<String, Body>,
    told: Vec<Happening>,
    sent: Vec<String>,
}

impl Seen {
    fn take(&mut self, driver: &mut dyn Driver) {
        for act in driver.take() {
            match act {
                Act::Put(entry) => {
                    if self.entries.insert(entry.id.clone(), entry.body).is_none() {
                        self.order.push(entry.id);
                    }
                }
                Act::Tell(happening) => self.told.push(happening),
                Act::Send(line) => self.sent.push(line),
                Act::CloseInput => self.sent.push("<end>".to_owned()),
            }
        }
    }

    fn kinds(&self) -> Vec<&str> {
        self.order.iter().map(|id| self.entries[id].kind()).collect()
    }

    fn usage(&self) -> Option<&Usage> {
        self.told.iter().rev().find_map(|happening| match happening {
            Happening::Used(usage) => Some(usage.as_ref()),
            _ => None,
        })
    }

    fn calls(&self) -> Vec<(ToolKind, ToolState, Option<&str>)> {
        let calls = self.order.iter().filter_map(|id| match &self.entries[id] {
            Body::ToolCall { call } => Some((call.tool, call.state, call.output.as_deref())),
            _ => None,
        });
        calls.collect()
    }

    fn texts(&self) -> Vec<&str> {
        let texts = self.order.iter().filter_map(|id| match &self.entries[id] {
            Body::Message { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

fn opening() -> Opening {
    Opening {
        directory: "/W".to_owned(),
        prompt: "do it".to_owned(),
        messages: Vec::new(),
        tools: None,
        session: None,
    }
}

fn driver(preset: &str) -> HeadlessDriver {
    let presets = Presets::built_in();
    let preset = presets.find(preset).unwrap();
    HeadlessDriver::new(preset.format.unwrap(), &preset.ways)
}

fn line(text: &str) -> Line<'_> {
    Line { bytes: text.as_bytes(), cut: false, at: AT }
}

fn played(preset: &str, lines: &str, exit: &Exit) -> (Seen, Option<Stop>) {
    let mut driver = driver(preset);
    let mut seen = Seen::default();
    driver.open(opening(), AT);
    for text in lines.lines() {
        driver.stdout(line(text));
        seen.take(&mut driver);
    }
    let stop = driver.ended(exit, AT);
    seen.take(&mut driver);
    (seen, stop)
}

fn golden(name: &str) -> String {
    let file = format!("{}/tests/golden-headless/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn recorded_output_becomes_a_conversation_with_its_tools_and_its_exact_use() {
    use ToolKind::{Edit, Execute, Own};
    // The truth is 4 requests of 1000 input (200 of it cached) and 50 output (10 of it reasoning);
    // the recorded run of goose made 3.
    let expect = [
        (
            "claude",
            "m",
            vec![Edit, Execute, Own],
            Some((3200, Some(800), 200)),
            UsageSource::Result,
        ),
        (
            "codex",
            "m",
            vec![Execute, Execute, Own],
            Some((3200, Some(800), 200)),
            UsageSource::Result,
        ),
        ("goose-run", "m", vec![Edit, Execute], Some((3000, None, 150)), UsageSource::Result),
        ("opencode", "m", vec![Edit, Execute, Own], Some((3200, Some(800), 200)), UsageSource::Sum),
    ];
    for (preset, _, tools, tokens, source) in expect {
        let (seen, stop) = played(preset, &golden(preset.trim_end_matches("-run")), &OK);
        assert_eq!(stop, Some(Stop::Done), "{preset}");
        let kinds: Vec<_> = seen.calls().iter().map(|call| call.0).collect();
        assert_eq!(kinds, tools, "{preset}");
        assert!(seen.calls().iter().all(|call| call.1 == ToolState::Completed), "{preset}");
        let shell = seen.calls().into_iter().rfind(|call| call.0 == Execute).unwrap();
        assert_eq!(shell.2.map(str::trim), Some("hi-shell"), "{preset}");
        assert_eq!(seen.texts()[0], "I will write the file.", "{preset}");
        assert!(!seen.kinds().contains(&"unsupported"), "{preset}: {:?}", seen.entries);
        let usage = seen.usage().unwrap();
        let told = usage.tokens.uncached_input.zip(usage.tokens.output);
        let told = told.map(|(input, output)| (input, usage.tokens.cache_read, output));
        assert_eq!(told, tokens, "{preset}");
        assert_eq!(usage.source, source, "{preset}");
        assert_eq!(usage.tool_calls, tools.len() as u64, "{preset}");
        let acknowledged = seen.told.iter().any(|it| matches!(it, Happening::Acknowledged { .. }));
        assert!(acknowledged, "{preset}");
    }
    let (claude, _) = played("claude", &golden("claude"), &OK);
    assert_eq!(claude.usage().unwrap().reported_cost_micros, Some(16_960));
    assert_eq!(claude.usage().unwrap().model.as_deref(), Some("fake-model"));
    let version = claude.told.iter().find_map(|it| match it {
        Happening::Opened { agent, .. } => agent.clone(),
        _ => None,
    });
    assert_eq!(version.as_deref(), Some("2.1.329"));
    let (opencode, _) = played("opencode", &golden("opencode"), &OK);
    assert_eq!(opencode.usage().unwrap().reported_cost_micros, Some(3680));
    let (goose, _) = played("goose-run", &golden("goose"), &OK);
    assert_eq!(goose.texts().len(), 2, "{:?}", goose.texts());
    let Body::ToolCall { call } = &claude.entries["call:toolu_10680cb3e13946b3"] else { panic!() };
    assert_eq!(call.changes[0].after, "hello from claude");
}

#[test]
fn formats_that_were_not_recorded_are_read_as_they_are_described() {
    let gemini = r#"{"type":"init","session_id":"s","model":"gemini-2.5-pro"}
{"type":"message","role":"user","content":"do it"}
{"type":"message","role":"assistant","content":"Hel","delta":true}
{"type":"message","role":"assistant","content":"lo","delta":true}
{"type":"tool_use","tool_name":"run_shell_command","tool_id":"1","parameters":{"command":"ls"}}
{"type":"tool_result","tool_id":"1","status":"error","error":{"type":"x","message":"no ls"}}
{"type":"result","status":"success","stats":{"total_tokens":4200,"input_tokens":4000,"output_tokens":200,"cached":800,"tool_calls":1}}"#;
    let (seen, stop) = played("gemini", gemini, &OK);
    assert_eq!((stop, seen.texts()), (Some(Stop::Done), vec!["Hello"]));
    assert_eq!(seen.calls(), [(ToolKind::Execute, ToolState::Failed, Some("no ls"))]);
    assert_eq!(seen.usage().unwrap().tokens.uncached_input, Some(3200));

    let copilot = r#"{"type":"session.start","data":{"sessionId":"s","copilotVersion":"1.0"}}
{"type":"assistant.message_delta","data":{"messageId":"a","deltaContent":"Hel"}}
{"type":"assistant.message_delta","data":{"messageId":"a","deltaContent":"lo"}}
{"type":"assistant.message","data":{"messageId":"a","content":"Hello"}}
{"type":"tool.execution_start","data":{"toolCallId":"1","toolName":"hivekeeper-devlog","arguments":{}}}
{"type":"tool.execution_complete","data":{"toolCallId":"1","success":true,"result":{"content":"noted"}}}
{"type":"result","exitCode":0,"usage":{"premiumRequests":1,"totalApiDurationMs":7}}"#;
    let (seen, stop) = played("copilot", copilot, &OK);
    assert_eq!((stop, seen.texts()), (Some(Stop::Done), vec!["Hello"]));
    assert_eq!(seen.calls(), [(ToolKind::Own, ToolState::Completed, Some("noted"))]);
    assert_eq!(seen.usage().unwrap().tokens.total(), None);

    let kimi = r#"{"role":"assistant","content":[{"type":"think","think":"hm"},{"type":"text","text":"Hello"}],"tool_calls":[{"type":"function","id":"1","function":{"name":"Shell","arguments":"{\"command\":\"ls\"}"}}]}
{"role":"tool","tool_call_id":"1","content":"a b"}"#;
    let (seen, stop) = played("kimi", kimi, &OK);
    assert_eq!(stop, Some(Stop::Done));
    assert_eq!(seen.kinds(), ["prompt", "thought", "message", "tool_call"]);
    assert_eq!(seen.usage(), None);

    let aider = "Aider v0.86\n\nI did it.\nTokens: 1.0k sent, 50 received. Cost: $0.01 message, $0.01 session.\n";
    let (seen, stop) = played("aider", aider, &OK);
    assert_eq!(stop, Some(Stop::Done));
    assert!(seen.texts()[0].contains("I did it.\n"));
    let usage = seen.usage().unwrap();
    assert_eq!((usage.tokens.uncached_input, usage.tokens.output), (Some(1000), Some(50)));
    assert_eq!(usage.reported_cost_micros, Some(10_000));
}

#[test]
fn how_it_ended_is_what_it_said_and_how_its_program_ended() {
    let result =
        |rest: &str| format!(r#"{{"type":"result","subtype":"success","is_error":false{rest}}}"#);
    let said = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"hi"}]}}"#;
    let both = format!("{said}\n{}", result(""));
    let failed = |why: &str, login| Some(Stop::Failed { why: why.to_owned(), login });
    let stop = |lines: &str, exit: &Exit| played("claude", lines, exit).1;
    assert_eq!(stop(&both, &OK), Some(Stop::Done));
    assert_eq!(stop(&result(""), &OK), Some(Stop::Empty));
    assert_eq!(stop("", &OK), Some(Stop::Empty));
    assert_eq!(stop(said, &OK), failed("it ended without saying that it was done", false));
    assert_eq!(stop(&both, &Exit::Code { code: 3 }), failed("it ended with the code 3", false));
    assert_eq!(stop(said, &Exit::Stopped { killed: true }), Some(Stop::Cancelled));
    let error = r#"{"type":"result","subtype":"success","is_error":true,"result":"Invalid API key · Please run /login"}"#;
    assert_eq!(
        stop(error, &Exit::Code { code: 1 }),
        failed("Invalid API key · Please run /login", true)
    );
    let turns = r#"{"type":"result","subtype":"error_max_turns","is_error":false}"#;
    assert!(matches!(stop(turns, &OK), Some(Stop::Limit { .. })));
    let refused = format!("{said}\n{}", result(r#","stop_reason":"refusal""#));
    assert_eq!(stop(&refused, &OK), Some(Stop::Refused));
    // A model that answered is one it is logged in to, whatever was complained of before.
    for (spoke, login) in [(false, true), (true, false)] {
        let mut driver = driver("claude");
        driver.open(opening(), AT);
        driver.stderr(line("GET /models: HTTP 401"));
        if spoke {
            driver.stdout(line(said));
        }
        let stop = driver.ended(&Exit::Code { code: 1 }, AT);
        assert!(
            matches!(stop, Some(Stop::Failed { login: found, .. }) if found == login),
            "{stop:?}"
        );
    }
    let mut driver = driver("claude");
    driver.open(opening(), AT);
    driver.stderr(line("Error: rate limit reached, retry after 30 s"));
    driver.cancel(AT);
    assert_eq!(driver.ended(&Exit::Stopped { killed: false }, AT), Some(Stop::Cancelled));
    assert_eq!(driver.ended(&OK, AT), None);
    let mut seen = Seen::default();
    seen.take(&mut driver);
    let limited = seen.told.iter().find_map(|it| match it {
        Happening::Limited { until, .. } => *until,
        _ => None,
    });
    assert_eq!(limited, Some(AT + jiff::SignedDuration::from_secs(30)));
}

#[test]
fn a_line_that_is_not_known_is_kept_and_a_tool_that_did_not_end_is_given_up() {
    let lines = r#"Welcome!
{"type":"news","text":"x"}
{"type":"assistant","message":{"content":[{"type":"tool_use","id":"1","name":"Bash","input":{"command":"sleep 9"}}]}}"#;
    let (seen, _) = played("claude", lines, &Exit::Signal { signal: 9 });
    assert_eq!(seen.kinds(), ["prompt", "unsupported", "unsupported", "tool_call"]);
    assert_eq!(seen.calls()[0].1, ToolState::Abandoned);
    let Body::Unsupported { text, why } = &seen.entries["u2"] else { panic!() };
    assert!(text.contains("news") && why.contains("'news'"), "{why}");
    let many = "x\n".repeat(2000);
    assert!(played("claude", &many, &OK).0.entries.len() < 600);
    let mut driver = driver("claude");
    driver.stdout(Line { bytes: b"{\"type\":", cut: true, at: AT });
    let mut seen = Seen::default();
    seen.take(&mut driver);
    assert_eq!(seen.kinds(), ["unsupported"]);
}

#[test]
fn a_driver_that_is_restored_between_lines_gives_the_same_conversation() {
    for (preset, file) in
        [("claude", "claude"), ("codex", "codex"), ("goose-run", "goose"), ("opencode", "opencode")]
    {
        let lines = golden(file);
        let whole = played(preset, &lines, &OK).0;
        let presets = Presets::built_in();
        let known = presets.find(preset).unwrap();
        let mut driver = driver(preset);
        let mut seen = Seen::default();
        driver.open(opening(), AT);
        for (n, text) in lines.lines().enumerate() {
            driver.stdout(line(text));
            seen.take(&mut driver);
            if n % 3 != 0 {
                continue;
            }
            let kept = driver.snapshot();
            driver = HeadlessDriver::restore(known.format.unwrap(), &known.ways, kept).unwrap();
        }
        driver.ended(&OK, AT);
        seen.take(&mut driver);
        assert_eq!(seen, whole, "{preset}");
    }
    assert!(
        HeadlessDriver::restore(Format::Claude, &Presets::built_in().ways("claude"), 7.into())
            .is_err()
    );
}

#[test]
fn a_plain_program_is_not_read_line_by_line_and_told_only_in_a_terminal() {
    let told = Told {
        id: MessageId::draw(AT, &mut SystemDraw),
        from: Source::Captain,
        text: "do\n\u{3}this  now\u{1b}[A".to_owned(),
    };
    let mut driver = CommandDriver::new(false);
    let mut seen = Seen::default();
    driver.open(opening(), AT);
    driver.stdout(line(r#"{"type":"result"}"#));
    driver.printed(Stream::Stdout, 10, AT);
    driver.printed(Stream::Stdout, 4096, AT);
    assert!(!driver.takes_messages());
    driver.tell(vec![told.clone()], AT);
    assert_eq!(driver.ended(&Exit::Code { code: 2 }, AT), None);
    seen.take(&mut driver);
    assert_eq!(seen.kinds(), ["prompt", "output"]);
    assert_eq!(
        seen.entries["output:stdout"],
        Body::Output { stream: Stream::Stdout, from: 0, to: 4096 }
    );
    assert!(seen.told.iter().any(|it| matches!(it, Happening::NotDelivered { .. })));
    assert!(
        seen.told
            .iter()
            .any(|it| matches!(it, Happening::TurnEnded { stop: Stop::Failed { .. }, .. }))
    );

    let mut driver = CommandDriver::new(true);
    let mut seen = Seen::default();
    driver.open(opening(), AT);
    driver = CommandDriver::restore(driver.snapshot()).unwrap();
    driver.tell(vec![told], AT);
    seen.take(&mut driver);
    assert_eq!(seen.sent, ["do this now [A"]);
    assert_eq!(seen.order, ["prompt:2"]);
}

#[test]
fn a_headless_program_of_the_captains_own_is_read_by_a_known_form() {
    let presets = Presets::built_in();
    for format in Format::ALL {
        let preset = presets.find(&custom(format)).unwrap();
        assert_eq!((preset.kind, preset.format), (Kind::Headless, Some(format)));
        assert!(preset.program.is_none() && !preset.ways.limit_signs.is_empty());
        assert_eq!(Format::parse(format.as_str()), Some(format));
        let listed = presets.iter().any(|listed| listed.name == preset.name);
        assert!(!listed, "it is no agent that could be found on this machine");
    }
    let claude = presets.find(&custom(Format::Claude)).unwrap();
    let mut driver = HeadlessDriver::new(Format::Claude, &claude.ways);
    let mut seen = Seen::default();
    driver.open(opening(), AT);
    for text in golden("claude").lines() {
        driver.stdout(line(text));
    }
    assert_eq!(driver.ended(&OK, AT), Some(Stop::Done));
    seen.take(&mut driver);
    assert_eq!(
        seen.usage().unwrap().tokens.total(),
        played("claude", &golden("claude"), &OK).0.usage().unwrap().tokens.total()
    );
}

#[test]
fn text_that_comes_line_by_line_is_put_as_often_as_it_is_taken() {
    let ways = Presets::built_in().ways("aider");
    let mut driver = HeadlessDriver::new(Format::Text, &ways);
    driver.open(opening(), AT);
    driver.take();
    for n in 0..1_000 {
        driver.stdout(line(&format!("line {n}")));
    }
    let puts = driver.take().into_iter().filter(|act| matches!(act, Act::Put(_))).count();
    assert_eq!(puts, 1, "not one for each line");
    driver.stdout(line("the end"));
    let mut seen = Seen::default();
    assert_eq!(driver.ended(&OK, AT), Some(Stop::Done));
    seen.take(&mut driver);
    assert!(seen.texts()[0].starts_with("line 0\nline 1\n"));
    assert!(seen.texts()[0].ends_with("line 999\nthe end\n"));
}

#[test]
fn every_program_that_prints_has_answered_so_that_others_may_start() {
    for format in Format::ALL {
        let mut driver = HeadlessDriver::new(format, &Presets::built_in().ways("custom"));
        driver.open(opening(), AT);
        let first = match format {
            Format::Claude => r#"{"type":"system","subtype":"init"}"#,
            Format::Codex => r#"{"type":"thread.started","thread_id":"t"}"#,
            Format::Gemini => r#"{"type":"init"}"#,
            Format::Copilot => r#"{"type":"session.start","data":{}}"#,
            _ => r#"{"type":"anything"}"#,
        };
        driver.stdout(line(first));
        driver.stdout(line(first));
        let opened = |act: &Act| matches!(act, Act::Tell(Happening::Opened { .. }));
        assert_eq!(driver.take().iter().filter(|act| opened(act)).count(), 1, "{format:?}");
    }
}

#[test]
fn messages_that_nobody_answered_to_are_told_again() {
    let id = MessageId::draw(AT, &mut SystemDraw);
    let told_again = |exit: &Exit, stderr: &str, lines: &str| {
        let mut driver = driver("claude");
        let mut seen = Seen::default();
        driver.open(Opening { messages: vec![id], ..opening() }, AT);
        lines.lines().for_each(|text| driver.stdout(line(text)));
        driver.stderr(line(stderr));
        driver.ended(exit, AT);
        seen.take(&mut driver);
        let again = |told: &Happening| matches!(told, Happening::NotDelivered { messages, .. } if *messages == [id]);
        let done = |told: &Happening| matches!(told, Happening::Acknowledged { .. });
        (seen.told.iter().any(again), seen.told.iter().any(done))
    };
    assert_eq!(told_again(&OK, "", &golden("claude")), (false, true));
    let half = golden("claude").lines().next().unwrap().to_owned();
    assert_eq!(told_again(&Exit::Code { code: 1 }, "401", &half), (true, false));
    assert_eq!(told_again(&Exit::Signal { signal: 9 }, "", ""), (true, false));
    assert_eq!(told_again(&Exit::Stopped { killed: false }, "", &half), (true, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_output_stops_a_driver(
        lines in prop::collection::vec((0usize..40, any::<u8>(), 0usize..400), 0..60), code in 0i32..3,
        preset in prop::sample::select(vec![
            "claude", "codex", "gemini", "opencode", "goose-run", "copilot", "kimi", "aider",
        ]),
    ) {
        let known: Vec<String> = ["claude", "codex", "goose", "opencode"]
            .iter()
            .flat_map(|name| golden(name).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let mut driver = driver(preset);
        driver.open(opening(), AT);
        for (which, byte, at) in &lines {
            let mut bytes = known[which % known.len()].clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = *byte;
            driver.stdout(Line { bytes: &bytes, cut: false, at: AT });
            driver.stderr(Line { bytes: &bytes, cut: true, at: AT });
            driver.tick(AT);
        }
        let stop = driver.ended(&Exit::Code { code }, AT);
        prop_assert!(stop.is_some());
        driver.take();
        prop_assert!(driver.snapshot().is_object());
    }
}
