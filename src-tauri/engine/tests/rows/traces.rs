//! Traces: everything that belongs to a mission under one name, here and elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::view::{NewMessage, NewMission};
use engine::{ConversationQuery, Engine};
use model::attempt::AttemptState;
use model::conversation::Body;
use model::mission::MissionState;
use model::settings::Settings;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::hive::{Hive, acp, mission};

/// What stands in a brief and in a message, and must not leave the machine.
const UNSAID: &str = "xyzzy";

/// A receiver of OTLP over HTTP as Jaeger has one, on this machine.
struct Receiver {
    url: String,
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _serving: tokio::task::JoinSet<()>,
}

impl Receiver {
    /// Begins; the first so many requests are answered with 503.
    async fn open(unwilling: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>> = Arc::default();
        let mut serving = tokio::task::JoinSet::new();
        let kept = Arc::clone(&taken);
        serving.spawn(async move {
            for n in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                if let Some(request) = answer(stream, n < unwilling).await {
                    kept.lock().unwrap().push(request);
                }
            }
        });
        Self { url, taken, _serving: serving }
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let resources = taken.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn answer(mut stream: TcpStream, unwilling: bool) -> Option<ExportTraceServiceRequest> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().trim().parse().unwrap();
    while bytes.len() < end + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the body is cut off");
    }
    let status = if unwilling { "503 Service Unavailable" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    let body = ExportTraceServiceRequest::decode(&bytes[end..]).unwrap();
    (!unwilling).then_some(body)
}

async fn send_to(hive: &Hive, url: &str) {
    let settings = Settings { traces_to: Some(url.to_owned()), ..Settings::default() };
    hive.engine.configure(&hive.caller(), settings).await.unwrap();
}

/// A mission of an agent that shows its environment, uses tools, and has to pass a gate.
async fn traced(hive: &Hive, brief: &str) -> String {
    hive.add(acp("ann")).await;
    let message = NewMessage { text: format!("@think {UNSAID}"), ..NewMessage::default() };
    hive.engine.send_message(&hive.caller(), "ann", message).await.unwrap();
    hive.mission(NewMission {
        agent: Some("ann".into()),
        policy: Some("trusting".into()),
        retries: Some(0),
        gates: vec!["command: true".into()],
        ..mission("Traced", brief)
    })
    .await
}

fn said(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        any_value::Value::BoolValue(flag) => Some(flag.to_string()),
        other => unreachable!("no attribute of ours is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn until_root(hive: &Hive, receiver: &Receiver) -> Vec<Span> {
    let is_root = |span: &Span| span.parent_span_id.is_empty();
    hive.until_some("the whole trace was sent", async |_: &Engine| {
        Some(receiver.spans()).filter(|spans| spans.iter().any(is_root))
    })
    .await
}

#[tokio::test]
async fn one_id_links_prompt_tool_calls_messages_and_results_of_a_mission_across_processes() {
    let hive = Hive::open().await;
    let receiver = Receiver::open(0).await;
    send_to(&hive, &receiver.url).await;
    let brief = format!("@think {UNSAID}\n@show\n@tool read Look\n@fail-tool Trip\n@say done");
    let id = traced(&hive, &brief).await;
    let detail = hive.until(&id, |state| state == MissionState::Done).await;
    let attempt = &detail.attempts[0].attempt;
    let spans = until_root(&hive, &receiver).await;

    let trace = detail.view.mission.id.to_string().replace('-', "");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "{spans:#?}");
    let named = |name: &str| spans.iter().find(|span| span.name == name);
    for part in ["invoke_agent ann", "prompt", "message", "answer", "gate command"] {
        assert!(named(part).is_some(), "{part} is missing: {spans:#?}");
    }
    let tools = spans.iter().filter(|span| span.name.starts_with("execute_tool"));
    let outcomes: BTreeSet<i32> =
        tools.map(|span| span.status.as_ref().map_or(0, |status| status.code)).collect();
    assert_eq!(outcomes, BTreeSet::from([1, 2]), "one tool call went well, the other did not");
    let work = named("invoke_agent ann").unwrap();
    assert_eq!(said(work, "hivekeeper.attempt.state").as_deref(), Some("accepted"), "the result");
    assert_eq!(attempt.state, AttemptState::Accepted);

    // The program itself was told the same names, in another process.
    let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
    let page = hive.engine.conversation(attempt.id, query).await.unwrap();
    let said: String = page
        .entries
        .into_iter()
        .filter_map(|at| match at.entry.body {
            Body::Message { text } => Some(text),
            _ => None,
        })
        .collect();
    let told = format!("TRACEPARENT=00-{trace}-{}-01", hex(&work.span_id));
    assert!(said.contains(&told), "{told} is not in {said}");
    hive.engine.shutdown().await;
}

#[tokio::test]
async fn a_missions_trace_can_be_seen_in_jaeger() {
    let hive = Hive::open().await;
    // One that is not ready yet is asked again.
    let receiver = Receiver::open(1).await;
    send_to(&hive, &receiver.url).await;
    let brief = format!("@think {UNSAID}\n@tool read {UNSAID}\n@usage 30 4\n@say {UNSAID}");
    let id = traced(&hive, &brief).await;
    hive.until(&id, |state| state == MissionState::Done).await;
    let spans = until_root(&hive, &receiver).await;

    // What Jaeger needs of a trace: names of the right length, one root, no parent that is missing,
    // ends after beginnings, and the name of the service.
    let by_id: HashMap<&[u8], &Span> =
        spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "each span has a name of its own");
    let roots: Vec<&Span> = spans.iter().filter(|it| it.parent_span_id.is_empty()).collect();
    let [root] = roots.as_slice() else { panic!("{roots:#?}") };
    assert_eq!(root.name, format!("mission {id}"));
    assert_eq!(root.status.as_ref().map(|status| status.code), Some(1));
    for span in &spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.span_id.iter().any(|byte| *byte != 0));
        assert!(0 < span.start_time_unix_nano, "{span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        let mut at = span;
        while !at.parent_span_id.is_empty() {
            at = by_id.get(at.parent_span_id.as_slice()).expect("its parent was sent");
        }
        assert_eq!(at.span_id, root.span_id);
    }
    let work = spans.iter().find(|span| span.name == "invoke_agent ann").unwrap();
    assert_eq!(said(work, "gen_ai.operation.name").as_deref(), Some("invoke_agent"));
    assert_eq!(said(work, "gen_ai.usage.input_tokens").as_deref(), Some("30"));
    assert_eq!(said(work, "gen_ai.usage.output_tokens").as_deref(), Some("4"));
    {
        let taken = receiver.taken.lock().unwrap();
        let resource = taken[0].resource_spans[0].resource.as_ref().unwrap();
        assert!(format!("{resource:?}").contains("hivekeeper"), "{resource:?}");
        assert!(!format!("{taken:?}").contains(UNSAID), "only names and numbers leave");
    }
    hive.engine.shutdown().await;
}

#[tokio::test]
async fn nothing_is_sent_unless_the_captain_says_where_to_and_a_dead_receiver_holds_nothing_up() {
    let hive = Hive::open().await;
    let receiver = Receiver::open(0).await;
    hive.add(acp("ann")).await;
    let quiet = |title: &str| NewMission {
        policy: Some("trusting".into()),
        retries: Some(0),
        ..mission(title, "@say done")
    };
    let id = hive.mission(quiet("Quiet")).await;
    hive.until(&id, |state| state == MissionState::Done).await;
    // Elsewhere only encrypted.
    let open = Settings {
        traces_to: Some("http://traces.example.org/v1/traces".into()),
        ..Settings::default()
    };
    let refused = hive.engine.configure(&hive.caller(), open).await.unwrap_err();
    assert!(refused.message.contains("must be https"), "{refused}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    send_to(&hive, &nobody).await;
    let id = hive.mission(quiet("To nobody")).await;
    let begun = std::time::Instant::now();
    hive.until(&id, |state| state == MissionState::Done).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "the work did not wait for it");
    hive.until_some("what nobody took is given up and counted", async |engine: &Engine| {
        let counts = engine.figures().await.unwrap().traces;
        (counts.failed >= 1).then_some(())
    })
    .await;
    assert!(receiver.spans().is_empty(), "nothing of the first mission was ever sent");
    hive.engine.shutdown().await;
}
