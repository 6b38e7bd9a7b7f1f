//! Figures that real agents exported, put onto the right attempt.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use model::id::AttemptId;
use model::usage::{Usage, UsageSource};
use serde_json::{Value, json};

use crate::{AtWork, House};

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden-otlp/{name}.gz", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

impl House {
    async fn export(&self, path: &str, token: &str, kind: &[(&str, &str)], body: &[u8]) -> u16 {
        let token = bearer(token);
        let headers = [&[("authorization", token.as_str())], kind].concat();
        let (status, answer) = self.post(path, &headers, body).await;
        if kind.contains(&JSON) && status == 200 {
            assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), json!({}));
        }
        status
    }

    async fn measured(&self, id: AttemptId) -> Option<Usage> {
        let usage = self.engine.usage(id).await.unwrap();
        usage.sources.into_iter().find(|usage| usage.source == UsageSource::Otlp)
    }
}

/// Each body holds four requests: 4000 tokens read, 800 of them from the cache, 200 written.
fn is_the_truth(usage: &Usage, who: &str) {
    let tokens = usage.tokens;
    assert_eq!(tokens.uncached_input, Some(3200), "{who}");
    assert_eq!(tokens.cache_read, Some(800), "{who}");
    assert_eq!(tokens.output, Some(200), "{who}");
    assert_eq!(usage.model.as_deref(), Some("fake-model"), "{who}");
}

#[tokio::test]
async fn tokens_cost_tool_calls_and_latencies_that_agents_export_by_opentelemetry_appear_on_the_right_agent()
 {
    let house = House::open().await;
    let claude = house.at_work("claude").await;
    let again = house.at_work("again").await;
    let codex = house.at_work("codex").await;
    let gemini = house.at_work("gemini").await;
    let other = house.at_work("other").await;
    let metrics = "/v1/metrics";
    let send = async |work: &AtWork, path: &str, kind: &[(&str, &str)], body: &[u8]| {
        assert_eq!(house.export(path, &work.token, kind, body).await, 200, "{path}");
    };

    send(&claude, metrics, &[PROTOBUF, GZIP], &golden("claude-metrics.pb")).await;
    send(&claude, "/v1/logs", &[PROTOBUF, GZIP], &golden("claude-logs.pb")).await;
    let usage = house.measured(claude.attempt.id).await.unwrap();
    is_the_truth(&usage, "claude");
    assert_eq!(usage.tokens.cache_write, Some(0));
    assert_eq!(usage.reported_cost_micros, Some(16_960));
    // What only its events tell: they are not added to what its metrics tell.
    assert!(usage.requests.is_some_and(|requests| (1..=4).contains(&requests)), "{usage:?}");
    assert!(usage.model_ms.is_some() && usage.tool_calls > 0, "{usage:?}");

    send(&again, metrics, &[JSON, GZIP], &golden("claude-metrics.json")).await;
    is_the_truth(&house.measured(again.attempt.id).await.unwrap(), "claude in JSON");

    let body = unpacked(&golden("codex-metrics.json"));
    assert!(body.len() > 700_000);
    send(&codex, metrics, &[JSON], &body).await;
    let usage = house.measured(codex.attempt.id).await.unwrap();
    is_the_truth(&usage, "codex");
    assert_eq!((usage.requests, usage.tool_calls, usage.turns), (Some(4), 3, 1));
    assert_eq!((usage.model_ms, usage.tokens.reasoning), (Some(102), Some(40)));

    // All of it each time: said twice, it is counted once.
    for _ in 0..2 {
        send(&gemini, metrics, &[JSON, GZIP], &golden("gemini-metrics.json")).await;
        let usage = house.measured(gemini.attempt.id).await.unwrap();
        is_the_truth(&usage, "gemini");
        assert_eq!((usage.requests, usage.tool_calls), (Some(4), 3));
        assert_eq!(usage.model_ms, Some(192));
    }

    assert_eq!(house.measured(other.attempt.id).await, None);
    let best = house.engine.usage(codex.attempt.id).await.unwrap().best.unwrap();
    assert_eq!(best.source, UsageSource::Otlp);
    house.close().await;
}

#[tokio::test]
async fn an_engine_that_starts_again_goes_on_counting_where_it_was() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let body = golden("gemini-metrics.json");
    let send = async |house: &House, body: &[u8]| {
        assert_eq!(house.export("/v1/metrics", &work.token, &[JSON, GZIP], body).await, 200);
        house.measured(work.attempt.id).await.unwrap().tokens.output
    };
    assert_eq!(send(&house, &body).await, Some(200));
    let house = house.reopen().await;
    assert_eq!(send(&house, &body).await, Some(200), "the token holds, and nothing counts twice");
    let delta = unpacked(&golden("claude-metrics.json"));
    let later = String::from_utf8(delta.clone()).unwrap();
    let (before, time) = later.split_once("imeUnixNano\":\"").unwrap();
    let later = format!("{before}imeUnixNano\":\"9{}", &time[1..]);
    for body in [delta.as_slice(), &delta, later.as_bytes()] {
        send(&house, &packed(body)).await;
    }
    let used = house.measured(work.attempt.id).await.unwrap().tokens;
    // The second was the first again, whose answer might have been lost.
    assert_eq!(used.output, Some(400), "deltas are summed; of two roads the one that tells most");
    house.close().await;
}

#[tokio::test]
async fn a_body_of_many_resources_is_one_fact_and_an_attempt_that_exports_too_often_is_told_to_wait()
 {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let point = |n: u32| {
        json!({"resource": {"attributes": [{"key": "n", "value": {"intValue": n}}]},
            "scopeMetrics": [{"metrics": [{"name": "claude_code.token.usage", "sum": {
                "aggregationTemporality": 1, "dataPoints": [{"asInt": 2, "attributes": [
                    {"key": "type", "value": {"stringValue": "output"}}]}]}}]}]})
    };
    let many: Vec<Value> = (0..500).map(point).collect();
    let body = json!({"resourceMetrics": many}).to_string();
    assert_eq!(house.export("/v1/metrics", &work.token, &[JSON], body.as_bytes()).await, 200);
    assert_eq!(house.measured(work.attempt.id).await.unwrap().tokens.output, Some(1_000));
    let query =
        engine::EventQuery { kind: Some("usage_measured".into()), ..engine::EventQuery::default() };
    assert_eq!(house.engine.events(query).await.unwrap().items.len(), 1);

    let mut last = 200;
    for _ in 0..700 {
        last = house.export("/v1/traces", &work.token, &[JSON], b"{}").await;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429);
    house.close().await;
}

#[tokio::test]
async fn a_program_of_the_captain_names_the_attempt_and_an_agent_cannot_name_another() {
    let house = House::open().await;
    let (ann, bob) = (house.at_work("ann").await, house.at_work("bob").await);
    let captain = house.captain();
    let body = unpacked(&golden("claude-metrics.json"));
    let named = |key: &str, value: &str| {
        let text = String::from_utf8(body.clone()).unwrap();
        text.replace("\"swarm.agent.id\"", &format!("\"{key}\""))
            .replace("\"a1\"", &format!("\"{value}\""))
    };
    let id = bob.attempt.id;

    let foreign = named("hivekeeper.attempt.id", &id.to_string());
    let status = house.export("/v1/metrics", &ann.token, &[JSON], foreign.as_bytes()).await;
    assert_eq!(status, 200);
    assert_eq!(house.measured(id).await, None, "ann spoke of herself");
    is_the_truth(&house.measured(ann.attempt.id).await.unwrap(), "ann");

    assert_eq!(house.export("/v1/metrics", &captain, &[JSON], foreign.as_bytes()).await, 200);
    is_the_truth(&house.measured(id).await.unwrap(), "bob by his attempt");
    let agent = named("hivekeeper.agent.id", &bob.attempt.agent_id.to_string());
    assert_eq!(house.export("/v1/metrics", &captain, &[JSON], agent.as_bytes()).await, 200);
    assert_eq!(house.measured(id).await.unwrap().tokens.output, Some(400), "and by his name");

    let authorization = bearer(&captain);
    let headers = [("authorization", authorization.as_str()), JSON];
    let (status, answer) = house.post("/v1/metrics", &headers, &body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200);
    assert!(answer["partialSuccess"]["rejectedDataPoints"].is_string(), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn figures_are_taken_with_a_token_only_and_bombs_and_nonsense_are_refused() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let body = golden("claude-metrics.pb");
    let kind = [PROTOBUF, GZIP];
    let other = work.token.replace(&work.token[40..44], "0000");
    for token in ["hk_wrong", "", &other] {
        assert_eq!(house.export("/v1/metrics", token, &kind, &body).await, 401, "{token}");
    }
    let (status, _) = house.post("/v1/metrics", &kind, &body).await;
    assert_eq!(status, 401);
    let own = bearer(&work.token);
    let evil = [("authorization", own.as_str()), ("origin", "http://attacker.example"), PROTOBUF];
    assert_eq!(house.post("/v1/metrics", &evil, b"").await.0, 403);
    assert_eq!(house.send("GET", "/v1/metrics", &[("authorization", &own)], b"").await.0, 405);
    assert_eq!(house.send("POST", "/v1/other", &[("authorization", &own)], b"").await.0, 404);

    let check = async |kind: &[(&str, &str)], body: &[u8], status: u16| {
        assert_eq!(house.export("/v1/traces", &work.token, kind, body).await, status);
    };
    let bomb = packed(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    check(&[JSON, GZIP], &bomb, 413).await;
    check(&[JSON], &vec![b' '; 9 * 1024 * 1024], 413).await;
    check(&[PROTOBUF], b"\xff\xff\xff", 400).await;
    check(&[JSON], b"{", 400).await;
    check(&[JSON, GZIP], b"{}", 400).await;
    check(&[("content-type", "text/plain")], b"x", 415).await;
    check(&[JSON, ("content-encoding", "br")], b"{}", 415).await;
    check(&[JSON], b"{}", 200).await;
    check(&[PROTOBUF], b"", 200).await;
    assert_eq!(house.measured(work.attempt.id).await, None);

    // No text of prompts or tools is kept, in whatever way it came.
    let log = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
        "body": {"stringValue": "codex.tool_result"},
        "attributes": [
            {"key": "arguments", "value": {"stringValue": "planted-secret-7"}},
            {"key": "success", "value": {"stringValue": "false"}},
        ],
    }]}]}]});
    let logs = log.to_string();
    assert_eq!(house.export("/v1/logs", &work.token, &[JSON], logs.as_bytes()).await, 200);
    let usage = house.measured(work.attempt.id).await.unwrap();
    assert_eq!((usage.tool_calls, usage.tool_failures), (1, 1));
    let run = house.engine.data_dir().join("runs").join(work.attempt.id.to_string());
    let kept = std::fs::read_to_string(run.join("otlp.json")).unwrap();
    assert!(!kept.contains("planted-secret-7"), "{kept}");
    house.close().await;
}

/// A body of spans as a program writes it that is instrumented by the GenAI conventions.
fn spans() -> Vec<u8> {
    let span = |operation: &str, failed: bool, pairs: &[(&str, i64)]| {
        let mut attributes: Vec<Value> = pairs
            .iter()
            .map(|(key, number)| json!({"key": key, "value": {"intValue": number.to_string()}}))
            .collect();
        for (key, text) in [
            ("gen_ai.operation.name", operation),
            ("gen_ai.request.model", "m-1"),
            ("gen_ai.input.messages", "a secret prompt"),
        ] {
            attributes.push(json!({"key": key, "value": {"stringValue": text}}));
        }
        json!({
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
            "name": operation, "attributes": attributes,
            "startTimeUnixNano": "1000000", "endTimeUnixNano": "31000000",
            "status": {"code": if failed { 2 } else { 1 }},
        })
    };
    let used = [("gen_ai.usage.input_tokens", 30), ("gen_ai.usage.output_tokens", 4)];
    let all = [
        span("chat", false, &used),
        span("chat", false, &used),
        span("execute_tool", false, &[]),
        span("execute_tool", true, &[]),
        span("invoke_agent", false, &used),
    ];
    json!({"resourceSpans": [{"scopeSpans": [{"spans": all}]}]}).to_string().into_bytes()
}

#[tokio::test]
async fn spans_by_the_genai_names_appear_on_the_agent_of_the_token_compressed_either_way() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let house = House::open().await;
    let (one, other) = (house.at_work("one").await, house.at_work("other").await);
    let body = spans();
    let zstd = compress_to_vec(body.as_slice(), CompressionLevel::Fastest);
    let by_zstd = [JSON, ("content-encoding", "zstd")];
    assert_eq!(house.export("/v1/traces", &one.token, &by_zstd, &zstd).await, 200);
    // The same body again, compressed otherwise: it is counted once.
    let by_gzip = [JSON, GZIP];
    assert_eq!(house.export("/v1/traces", &one.token, &by_gzip, &packed(&body)).await, 200);
    let usage = house.measured(one.attempt.id).await.unwrap();
    assert_eq!((usage.tokens.uncached_input, usage.tokens.output), (Some(60), Some(8)));
    assert_eq!((usage.requests, usage.model_ms), (Some(2), Some(60)), "latencies of two requests");
    assert_eq!((usage.tool_calls, usage.tool_failures), (2, 1));
    assert_eq!(usage.model.as_deref(), Some("m-1"));
    assert_eq!(house.measured(other.attempt.id).await, None);
    let kept = house.engine.data_dir().join("runs").join(one.attempt.id.to_string());
    let kept = std::fs::read_to_string(kept.join("otlp.json")).unwrap();
    assert!(!kept.contains("secret"), "no text is kept");
    house.close().await;
}

#[tokio::test]
async fn an_agent_with_too_many_series_is_told_how_many_were_left_out() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let point = |n: usize| {
        json!({"asInt": "1", "attributes": [
            {"key": "type", "value": {"stringValue": "output"}},
            {"key": "somebody.made.this.up", "value": {"stringValue": n.to_string()}},
        ]})
    };
    let points: Vec<Value> = (0..4_010).map(point).collect();
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points});
    let metric = json!({"name": "gemini_cli.token.usage", "sum": sum});
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string();
    let token = bearer(&work.token);
    let headers = [("authorization", token.as_str()), JSON];
    let (status, answer) = house.post("/v1/metrics", &headers, body.as_bytes()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "10", "{answer}");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("more series"));
    let usage = house.measured(work.attempt.id).await.unwrap();
    assert_eq!(usage.tokens.output, Some(4_000), "what was taken counts");
    house.close().await;
}

#[tokio::test]
async fn an_agent_that_begins_exports_and_does_not_go_on_keeps_no_other_from_exporting() {
    use tokio::io::AsyncWriteExt as _;
    let house = House::open().await;
    let (one, other) = (house.at_work("one").await, house.at_work("other").await);
    let mut begun = Vec::new();
    for length in
        ["transfer-encoding: chunked\r\n\r\n1\r\n{\r\n", "content-length: 8388608\r\n\r\n{"]
    {
        for _ in 0..8 {
            let mut stream = tokio::net::TcpStream::connect(house.address()).await.unwrap();
            let head = format!(
                "POST /v1/metrics HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\n{length}",
                house.address(),
                one.token
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            begun.push(stream);
        }
    }
    // They are read by now, or are about to be.
    for _ in 0..20 {
        let status = house.export("/v1/metrics", &other.token, &[JSON], b"{}").await;
        assert_eq!(status, 200);
    }
    drop(begun);
    house.close().await;
}
