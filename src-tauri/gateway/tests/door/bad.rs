//! What is sent to break something: every route refuses it in words, and the engine goes on.

use std::time::Instant;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::api::agent;
use crate::keys::filled;
use crate::{House, PATIENCE};

/// What breaks a statement that is put together from texts.
const SQL: &str = "x'; DROP TABLE missions; --";
const MORE_SQL: [&str; 5] = [
    "' OR '1'='1",
    "\") OR 1=1 --",
    "%' AND 1=0 UNION SELECT hash FROM tokens --",
    "\\'; --",
    "\u{0}'",
];

/// Every operation: method, path, what may be asked in its query, and the schema of its body.
struct Operation {
    method: String,
    path: String,
    query: Vec<String>,
    body: Option<Value>,
}

fn operations(description: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(operation) = item.get(method) else { continue };
            // The stream never ends, and has tests of its own.
            if path == "/api/v1/live" {
                continue;
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = |it: &&Value| it["in"] == "query";
            let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: parameters.iter().filter(in_query).map(name).collect(),
                body: (!body.is_null()).then(|| body.clone()),
            });
        }
    }
    assert!(all.len() > 60, "{}", all.len());
    all
}

/// A value that fits a schema as far as its shape goes, with this wherever a text may be.
fn filled_with(schema: &Value, text: &str, description: &Value, depth: usize) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return filled_with(&description["components"]["schemas"][name], text, description, depth);
    }
    if let Some(word) = schema["enum"].as_array().and_then(|words| words.first()) {
        return word.clone();
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(ways) = schema[several].as_array() {
            let way = ways.iter().find(|way| way["type"] != "null").unwrap_or(&Value::Null);
            return filled_with(way, text, description, depth);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(part) = filled_with(part, text, description, depth) {
                whole.extend(part);
            }
        }
        return Value::Object(whole);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "object" if depth < 8 => {
            let none = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&none);
            let fill = |it: &Value| filled_with(it, text, description, depth + 1);
            Value::Object(properties.iter().map(|(name, it)| (name.clone(), fill(it))).collect())
        }
        "array" if depth < 8 => {
            json!([filled_with(&schema["items"], text, description, depth + 1)])
        }
        "object" => json!({}),
        "array" => json!([]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "string" if schema["format"] == "date-time" => json!("2026-01-02T03:04:05Z"),
        "string" | "" => json!(text),
        _ => Value::Null,
    }
}

/// Asks as the captain, and never sees the engine fail.
async fn refused_or_done(house: &House, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, _, answer) = house.ask(method, path, body).await;
    let what = format!("{method} {path} {}: {status} {answer}", body.get(..200).unwrap_or(body));
    assert!(status.as_u16() < 500, "{what}");
    if status.is_client_error() {
        assert!(answer["code"].is_string() && !answer["detail"].is_null(), "{what}");
        for leak in ["sqlx", "SQLITE", "unrecognized token", "panicked"] {
            let detail = answer["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(leak) <= path.contains(leak) | body.contains(leak), "{what}");
        }
    }
    (status.as_u16(), answer)
}

fn in_path(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn sql_in_any_text_of_any_request_is_text() {
    let house = House::open().await;
    house.ask("POST", "/api/v1/agents", &agent("ann")).await;
    let (_, made) = refused_or_done(
        &house,
        "POST",
        "/api/v1/missions",
        &json!({"title": SQL, "brief": SQL, "draft": true, "labels": [SQL]}).to_string(),
    )
    .await;
    let id = made["id"].as_str().unwrap().to_owned();
    let description = serde_json::to_value(gateway::openapi::description()).unwrap();
    for operation in operations(&description) {
        let Operation { method, path, query, body } = &operation;
        // What ends the test itself, or looks for programs on this machine, is left alone.
        if ["/api/v1/demo", "/api/v1/swarm/halt", "/api/v1/scan"].contains(&path.as_str()) {
            continue;
        }
        for text in [SQL].into_iter().chain(MORE_SQL) {
            let body = body.as_ref().map(|it| filled_with(it, text, &description, 0).to_string());
            let body = body.unwrap_or_default();
            let place = filled(path);
            refused_or_done(&house, method, &place, &body).await;
            if path.contains('{') {
                let mut named = path.clone();
                for name in ["{id}", "{name}", "{day}"] {
                    named = named.replace(name, &in_path(text));
                }
                refused_or_done(&house, method, &named.replace("{index}", "0"), &body).await;
            }
            for name in query {
                let path = format!("{place}?{name}={}", in_path(text));
                refused_or_done(&house, method, &path, &body).await;
            }
            if text != SQL && method != "GET" {
                break;
            }
        }
    }
    // All of it is there, as it was written, and nothing else is.
    let (_, _, kept) = house.ask("GET", &format!("/api/v1/missions/{id}"), "").await;
    assert_eq!(
        (&kept["title"], &kept["brief"], &kept["labels"]),
        (&json!(SQL), &json!(SQL), &json!([SQL]))
    );
    assert_eq!(house.ask("GET", "/api/v1/agents/ann", "").await.0, StatusCode::OK);
    let verified = house.engine.verify().await.unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    house.close().await;
}

#[tokio::test]
async fn a_page_that_is_asked_for_with_bad_intent_is_refused_or_as_small_as_any() {
    let house = House::open().await;
    for n in 0..20 {
        house.ask("POST", "/api/v1/agents", &agent(&format!("agent {n}"))).await;
    }
    let description = serde_json::to_value(gateway::openapi::description()).unwrap();
    let lists: Vec<Operation> = operations(&description)
        .into_iter()
        .filter(|it| {
            it.method == "GET" && it.query.iter().any(|name| name == "cursor" || name == "limit")
        })
        .collect();
    assert!(lists.len() >= 5, "{}", lists.len());
    let limits = [
        "0",
        "-1",
        "501",
        "4294967296",
        "1e9",
        "NaN",
        "0x10",
        "99999999999999999999",
        "ten",
        "1;2",
    ];
    let cursors = [
        "-1",
        "0",
        "99999999999999999999",
        "../../x",
        "e30=",
        "\u{feff}1",
        "1 OR 1=1",
        &"9".repeat(4_000),
    ];
    for Operation { path, query, .. } in &lists {
        let path = filled(path);
        for (name, values) in [("limit", &limits[..]), ("cursor", &cursors[..])] {
            if !query.iter().any(|it| it == name) {
                continue;
            }
            for value in values {
                let asked = format!("{path}?{name}={}", in_path(value));
                let (status, answer) = refused_or_done(&house, "GET", &asked, "").await;
                let items = answer["items"].as_array().map_or(0, Vec::len);
                assert!(items <= 500, "{asked}");
                assert!(
                    name != "limit" || (400..500).contains(&status),
                    "{asked}: {status} {answer}"
                );
            }
            let twice = format!("{path}?{name}=1&{name}=2");
            assert_eq!(refused_or_done(&house, "GET", &twice, "").await.0 / 100, 4, "{twice}");
        }
        let many: Vec<String> = (0..400).map(|n| format!("x{n}=1")).collect();
        let many = format!("{path}?{}", many.join("&"));
        assert_eq!(refused_or_done(&house, "GET", &many, "").await.0 / 100, 4);
    }
    house.close().await;
}

#[tokio::test]
async fn bodies_of_any_shape_are_refused_on_every_route_and_none_is_too_much() {
    let house = House::open().await;
    let description = serde_json::to_value(gateway::openapi::description()).unwrap();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let shapes =
        ["[]", "7", "\"x\"", "true", "{\"\":{}}", "{", "\u{0}", "[{}]", "{\"id\":1e999}", &deep];
    let large = vec![b' '; 13 * 1024 * 1024];
    for Operation { method, path, body, .. } in operations(&description) {
        if method == "GET" || ["/api/v1/demo", "/api/v1/swarm/halt"].contains(&path.as_str()) {
            continue;
        }
        let path = filled(&path);
        for shape in shapes {
            let (status, answer) = refused_or_done(&house, &method, &path, shape).await;
            assert!((400..500).contains(&status), "{method} {path} {shape:.40}: {status} {answer}");
        }
        if body.is_some() {
            let authorization = format!("Bearer {}", house.captain());
            let kind = [("authorization", &*authorization), ("content-type", "application/json")];
            let (status, _) = house.send(&method, &path, &kind, &large).await;
            assert!([413, 0].contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(house.ask("GET", "/api/v1/overview", "").await.0, StatusCode::OK);
    house.close().await;
}

#[tokio::test]
async fn one_key_used_by_many_at_once_is_one_change() {
    let house = House::open().await;
    let captain = format!("Bearer {}", house.captain());
    for (path, one, other) in [
        ("/api/v1/agents", agent("ann"), agent("bob")),
        (
            "/api/v1/missions",
            json!({"title": "one", "brief": "b", "draft": true}).to_string(),
            json!({"title": "two", "brief": "b", "draft": true}).to_string(),
        ),
        (
            "/api/v1/tokens",
            json!({"name": "one", "role": "viewer"}).to_string(),
            json!({"name": "two", "role": "viewer"}).to_string(),
        ),
    ] {
        let headers = [("authorization", captain.as_str()), ("idempotency-key", path)];
        let ask = async |body: &str| {
            let (status, _, answer) = house.with_headers(&headers, &Method::POST, path, body).await;
            (status, answer)
        };
        let together = futures::future::join_all((0..20).map(|_| ask(&one))).await;
        let id = |answer: &Value| match &answer["token"] {
            Value::Null => answer["id"].clone(),
            token => token["id"].clone(),
        };
        let first = id(&together[0].1);
        for (status, answer) in &together {
            assert_eq!((*status, id(answer)), (201, first.clone()), "{path}: {answer}");
        }
        assert!(first.is_string());
        let (status, answer) = ask(&other).await;
        assert_eq!((status, &answer["code"]), (409, &json!("idempotency_mismatch")), "{answer}");
        let (_, _, listed) = house.with_headers(&headers[..1], &Method::GET, path, "").await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    }
    house.close().await;
}

#[tokio::test]
async fn ten_thousand_connections_that_come_and_go_keep_nobody_out() {
    let house = House::open().await;
    let address = house.address().to_owned();
    let token = house.captain();
    let mut all = JoinSet::new();
    for worker in 0..100 {
        let (address, token) = (address.clone(), token.clone());
        all.spawn(async move {
            for n in 0..100 {
                let connecting = TcpStream::connect(&*address);
                let Ok(Ok(mut stream)) = tokio::time::timeout(PATIENCE, connecting).await else {
                    continue;
                };
                let said = match (worker + n) % 5 {
                    // Nothing, nonsense, half of a head, half of a body, and one that leaves before its
                    // answer.
                    0 => String::new(),
                    1 => "\u{1}\u{2}\r\n\r\n\r\n".to_owned(),
                    2 => format!("GET /api/v1/overview HTTP/1.1\r\nhost: {address}\r\n"),
                    3 => format!(
                        "POST /api/v1/agents HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer \
                         {token}\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{{"
                    ),
                    _ => format!(
                        "GET /api/v1/overview HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer \
                         {token}\r\n\r\n"
                    ),
                };
                drop(stream.write_all(said.as_bytes()).await);
            }
        });
    }
    let mut slowest = std::time::Duration::ZERO;
    let mut asked = 0;
    while asked < 20 || !all.is_empty() {
        let begun = Instant::now();
        let own = format!("Bearer {token}");
        let own = [("authorization", own.as_str())];
        let (status, _) = house.send("GET", "/api/v1/whoami", &own, b"").await;
        assert_eq!(status, 200);
        slowest = slowest.max(begun.elapsed());
        asked += 1;
        while all.try_join_next().is_some() {}
    }
    assert!(slowest < PATIENCE / 2, "{slowest:?}");
    assert_eq!(
        house.ask("GET", "/api/v1/agents", "").await.2["items"],
        json!([]),
        "nothing was made"
    );
    house.close().await;
}

#[tokio::test]
async fn who_takes_every_place_of_a_connection_is_cut_off_and_others_get_in() {
    let house = House::open().await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        let connecting = TcpStream::connect(house.address());
        let mut stream = tokio::time::timeout(PATIENCE, connecting).await.unwrap().unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    let begun = Instant::now();
    let own = format!("Bearer {}", house.captain());
    let (status, _) = house.send("GET", "/api/v1/whoami", &[("authorization", &own)], b"").await;
    assert_eq!(status, 200);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    // Those that said too little in their time hold no place any more.
    let mut rest = Vec::new();
    let reading = silent[0].read_to_end(&mut rest);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("it was cut off");
    house.close().await;
}

#[tokio::test]
async fn a_stranger_that_sends_requests_ahead_and_reads_nothing_loses_its_connection() {
    const SENT: usize = 3_000;
    let house = House::open().await;
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    let ask = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", house.address());
    // It may be cut off before everything is sent.
    drop(stream.write_all(ask.repeat(SENT).as_bytes()).await);
    let mut answers = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answers));
    drop(reading.await.expect("it is cut off"));
    let answered = String::from_utf8_lossy(&answers).matches("HTTP/1.1 ").count();
    assert!((100..SENT - 500).contains(&answered), "{answered} of {SENT} were answered");
    house.close().await;
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_cut_short_and_holds_up_nobody_who_is_known() {
    let house = House::open().await;
    let (ann, new) = (house.at_work("ann").await, house.at_work("new").await);
    let bearers = [format!("Bearer {}", ann.token), format!("Bearer {}", new.token)];
    let [own, own_of_new] = bearers
        .each_ref()
        .map(|own| [("authorization", own.as_str()), ("content-type", "application/json")]);
    assert_eq!(house.post("/v1/metrics", &own, b"{}").await.0, 200);
    let made_up = format!("Bearer hk_a_0198c0de000070008000000000000001_{}", "0".repeat(64));
    let made_up = [("authorization", made_up.as_str()), ("content-type", "application/json")];
    let mut refused = 0;
    for _ in 0..400 {
        match house.post("/v1/metrics", &made_up, b"{}").await.0 {
            429 => refused += 1,
            status => assert_eq!(status, 401),
        }
    }
    assert!(refused > 0, "it is never told to wait");
    // From the same address: an agent that was heard before, one that was not, the captain, and a
    // browser.
    assert_eq!(house.post("/v1/metrics", &own, b"{}").await.0, 200);
    assert_eq!(house.post("/v1/metrics", &own_of_new, b"{}").await.0, 200);
    let captain = format!("Bearer {}", house.captain());
    let (status, _) =
        house.send("GET", "/api/v1/whoami", &[("authorization", &captain)], b"").await;
    assert_eq!(status, 200);
    let (status, _) = house.send("GET", "/healthz", &[], b"").await;
    assert_eq!(status, 200);
    house.close().await;
}

#[tokio::test]
async fn nonsense_that_claims_to_be_a_tool_call_is_refused_and_the_tools_go_on() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let own = format!("Bearer {}", work.token);
    let headers = [
        ("authorization", own.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let call = |name: Value, arguments: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}})
    };
    let long = "x".repeat(900_000);
    for body in [
        json!(null),
        json!([]),
        json!({}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "nothing/there"}),
        json!({"jsonrpc": "2.0", "id": {"a": []}, "method": 7}),
        call(json!("no_such_tool"), json!({})),
        call(json!(7), json!({})),
        call(json!("report_progress"), json!([])),
        call(json!("report_progress"), json!({"percent": 1e300, "text": 7})),
        call(json!("report_progress"), json!({"text": SQL, "percent": -1})),
        call(json!("devlog"), json!({"text": long, "more": {"a": {"b": {"c": {}}}}})),
        call(json!("mission_get"), json!({"mission": "M-0000", "id": SQL})),
    ] {
        let text = body.to_string();
        let (status, answer) = house.post("/mcp", &headers, text.as_bytes()).await;
        assert!(status < 500, "{text:.200}: {status} {}", String::from_utf8_lossy(&answer));
    }
    for raw in [&b"\xff\xfe"[..], b"{", b"", &[b'['; 200_000]] {
        let (status, _) = house.post("/mcp", &headers, raw).await;
        assert!((400..500).contains(&status), "{status}");
    }
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let (status, answer) = house.post("/mcp", &headers, list.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(status == 200 && answer.contains("mission_get"), "{status} {answer}");
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_at_any_moment_changes_nothing_by_halves() {
    let house = House::open().await;
    let body = agent("ann");
    let whole = format!(
        "POST /api/v1/agents HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nidempotency-key: \
         one\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        house.address(),
        house.captain(),
        body.len()
    );
    for at in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        let mut stream = TcpStream::connect(house.address()).await.unwrap();
        stream.write_all(&whole.as_bytes()[..at]).await.unwrap();
    }
    let listed = async || house.ask("GET", "/api/v1/agents", "").await.2["items"].clone();
    let until = Instant::now() + PATIENCE;
    while listed().await.as_array().unwrap().is_empty() {
        assert!(Instant::now() < until, "what was sent whole is done");
        tokio::task::yield_now().await;
    }
    assert_eq!(listed().await.as_array().unwrap().len(), 1);
    // And the same again is the same.
    let answer =
        house.say(&whole.replace("idempotency-key", "connection: close\r\nidempotency-key")).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(listed().await.as_array().unwrap().len(), 1);
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn every_name_and_origin_is_judged_on_every_route() {
    let house = House::open().await;
    let port = house.address().rsplit_once(':').unwrap().1.to_owned();
    let token = house.captain();
    let judge = async |method: &Method, path: &str, host: &str, origin: Option<&str>| {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .header("authorization", format!("Bearer {token}"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let router = house.host.router().clone();
        tower::ServiceExt::oneshot(router, request).await.unwrap().status().as_u16()
    };
    let here = house.address().to_owned();
    let hosts = [
        "attacker.example".to_owned(),
        format!("attacker.example:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        format!("0.0.0.0:{port}"),
        "127.0.0.1:1".to_owned(),
        String::new(),
    ];
    let origins =
        ["null", "", "http://attacker.example", "https://127.0.0.1", "http://127.0.0.1:1"];
    for (method, template, _) in gateway::rights::RULES {
        // What would change something is judged before anything is read.
        let path = filled(template);
        for host in &hosts {
            assert_eq!(judge(method, &path, host, None).await, 403, "{method} {path} {host}");
        }
        for origin in origins {
            let seen = judge(method, &path, &here, Some(origin)).await;
            assert_eq!(seen, 403, "{method} {path} {origin}");
        }
    }
    assert_eq!(judge(&Method::GET, "/", &hosts[0], None).await, 403, "nor any file");
    house.close().await;
}

#[tokio::test]
async fn who_is_turned_away_does_not_change_how_fast_the_engine_seems() {
    let house = House::open().await;
    let answered = async || {
        let (status, _, about) = house.ask("GET", "/api/v1/about", "").await;
        assert_eq!(status, 200);
        about["api"]["requests"].as_u64().unwrap()
    };
    let before = answered().await;
    for n in 0..30 {
        let wrong = [("authorization", if n % 2 == 0 { "Bearer hk_00" } else { "Bearer hk_t_00" })];
        let (status, _) = house.post("/api/v1/demo", &wrong, b"{}").await;
        assert!([401, 429].contains(&status), "{status}");
    }
    // This one and the one before.
    assert!(answered().await <= before + 2);
    house.close().await;
}
