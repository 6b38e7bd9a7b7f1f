//! The API in front of a real engine: in process as the window uses it, and over a real socket.

use axum::body::Body;
use gateway::{Client, InProcess};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::{House, PATIENCE};

impl House {
    pub(crate) fn client(&self) -> Client {
        Client::for_data_dir(self.engine.data_dir()).unwrap()
    }

    /// Asks as the window does.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> (StatusCode, HeaderMap, Value) {
        self.ask_with(method, path, body, &[]).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path).extension(InProcess);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.host.router().clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status, parts.headers, value)
    }

    /// Sends bytes over a socket and returns the whole answer.
    pub(crate) async fn say(&self, request: &str) -> String {
        let request = request.replace("HERE", self.address()).replace("TOKEN", &self.captain());
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the answer ends");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub(crate) fn agent(name: &str) -> String {
    json!({"name": name, "command": "cat"}).to_string()
}

#[tokio::test]
async fn every_described_path_is_answered_by_its_handler() {
    let house = House::open().await;
    let description = serde_json::to_value(gateway::openapi::description()).unwrap();
    let mut asked = 0;
    for (template, item) in description["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            // The stream never ends; it has a test of its own.
            if item.get(method).is_none() || template == "/api/v1/live" {
                continue;
            }
            let path = template
                .replace("{id}", "x")
                .replace("{name}", "x")
                .replace("{index}", "0")
                .replace("{day}", "2026-01-02");
            let (status, _, body) = house.ask(&method.to_uppercase(), &path, "").await;
            let what = format!("{method} {path}: {status} {body}");
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
            assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{what}");
            let unknown =
                body["detail"].as_str().is_some_and(|text| text.starts_with("there is nothing at"));
            assert!(!unknown, "{what}");
            let documented = &item[method]["responses"];
            assert!(documented.get(status.as_str()).is_some(), "not described: {what}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
    house.close().await;
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_code() {
    let house = House::open().await;
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(1024 * 1024));
    let check = async |method: &str, path: &str, body: &str, status: u16, code: &str| {
        let (seen, headers, problem) = house.ask(method, path, body).await;
        let what = format!("{method} {path}: {problem}");
        assert_eq!(seen.as_u16(), status, "{what}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["code"], code, "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{what}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    };
    let agents = "/api/v1/agents";
    check("POST", agents, "{", 400, "invalid_input").await;
    check("POST", agents, "[]", 422, "invalid_input").await;
    check("POST", agents, r#"{"name":"a","x":1}"#, 422, "invalid_input").await;
    check("POST", agents, r#"{"name":"","command":"cat"}"#, 422, "invalid_input").await;
    check("POST", agents, r#"{"name":"a","command":"cat 'x"}"#, 422, "invalid_input").await;
    check("POST", agents, &large, 413, "invalid_input").await;
    check("PUT", agents, "", 405, "invalid_input").await;
    check("GET", "/api/v1/nope", "", 404, "not_found").await;
    check("GET", "/api/v1/agents/nobody", "", 404, "not_found").await;
    check("GET", "/api/v1/agents/%ff", "", 422, "invalid_input").await;
    check("GET", "/api/v1/missions/M-ZZZZ", "", 404, "not_found").await;
    check("GET", "/api/v1/missions?limit=0", "", 422, "invalid_input").await;
    check("GET", "/api/v1/missions?nope=1", "", 422, "invalid_input").await;
    check("GET", "/api/v1/missions?state=nope", "", 422, "invalid_input").await;
    check("GET", "/api/v1/missions?cursor=nope", "", 422, "invalid_input").await;
    check("GET", "/api/v1/devlogs/nope", "", 422, "invalid_input").await;
    check("GET", "/api/v1/repositories?path=/", "", 422, "invalid_input").await;
    check("GET", "/api/v1/signals/range?name=nope", "", 404, "not_found").await;
    check("GET", "/api/v1/reports/day/yesterday", "", 422, "invalid_input").await;
    check("POST", "/api/v1/window/focus", "", 409, "conflict").await;
    check("POST", "/api/v1/missions", r#"{"title":"t","brief":" "}"#, 422, "invalid_input").await;
    house.close().await;
}

#[tokio::test]
async fn a_request_sent_twice_under_one_key_is_carried_out_once_and_answered_alike() {
    let house = House::open().await;
    let key = [("idempotency-key", "k-1")];
    let path = "/api/v1/agents";
    let first = house.ask_with("POST", path, &agent("ann"), &key).await;
    let again = house.ask_with("POST", path, &agent("ann"), &key).await;
    assert_eq!(first.0, StatusCode::CREATED, "{}", first.2);
    assert_eq!(again.0, StatusCode::CREATED, "{}", again.2);
    assert_eq!(first.2["id"], again.2["id"]);
    let other = house.ask_with("POST", path, &agent("bob"), &key).await;
    assert_eq!(other.0, StatusCode::CONFLICT);
    assert_eq!(other.2["code"], "idempotency_mismatch");
    let (_, _, all) = house.ask("GET", path, "").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_brief_of_one_mebibyte_is_taken_whole_and_a_larger_one_refused() {
    let house = House::open().await;
    // A control character is six bytes of JSON.
    let brief = "\u{1}".repeat(1024 * 1024);
    let body = json!({"title": "large", "brief": brief, "draft": true}).to_string();
    assert!(body.len() > 6 * 1024 * 1024);
    let (status, _, made) = house.ask("POST", "/api/v1/missions", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{}", made["detail"]);
    let path = format!("/api/v1/missions/{}", made["short_id"].as_str().unwrap());
    let (_, _, read) = house.ask("GET", &path, "").await;
    assert_eq!(read["brief"], brief);
    let body = json!({"title": "too large", "brief": format!("{brief}x")}).to_string();
    let (status, _, problem) = house.ask("POST", "/api/v1/missions", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    house.close().await;
}

#[tokio::test]
async fn a_near_duplicate_is_a_problem_that_names_its_twin() {
    let house = House::open().await;
    let brief = "Write a parser for the configuration file that refuses unknown options by name.";
    let path = "/api/v1/missions";
    let body = json!({"title": "Parse it", "brief": brief, "draft": true}).to_string();
    let (_, _, made) = house.ask("POST", path, &body).await;
    let body = json!({"title": "Parse it", "brief": brief, "if_similar": "ask"}).to_string();
    let (status, _, problem) = house.ask("POST", path, &body).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["code"], "near_duplicate");
    assert_eq!(problem["allowed"][0], made["short_id"]);
    assert!(problem["detail"].as_str().unwrap().contains("100 %"), "{problem}");
    let (status, _, check) = house.ask("POST", "/api/v1/missions/check", &body).await;
    assert_eq!(status, StatusCode::OK, "{check}");
    assert_eq!(check["similar"][0]["short_id"], made["short_id"]);
    house.close().await;
}

#[tokio::test]
async fn a_change_of_a_mission_takes_what_is_named_and_null_empties() {
    let house = House::open().await;
    let body = json!({
        "title": "t", "brief": "b", "draft": true, "deadline": "2031-01-02T03:04:05Z",
        "labels": ["one"],
    });
    let (_, _, made) = house.ask("POST", "/api/v1/missions", &body.to_string()).await;
    let path = format!("/api/v1/missions/{}", made["short_id"].as_str().unwrap());
    let (status, _, after) = house.ask("PATCH", &path, r#"{"deadline":null,"title":"n"}"#).await;
    assert_eq!(status, StatusCode::OK, "{after}");
    assert_eq!((&after["title"], &after["deadline"]), (&json!("n"), &Value::Null));
    assert_eq!((&after["labels"], &after["brief"]), (&json!(["one"]), &json!("b")));
    let (status, _, _) = house.ask("PATCH", &path, r#"{"state":"done"}"#).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _, _) = house.ask("DELETE", &path, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(house.ask("GET", &path, "").await.0, StatusCode::NOT_FOUND);
    house.close().await;
}

#[tokio::test]
async fn the_emergency_stop_and_what_follows_are_answered_over_the_wire() {
    let house = House::open().await;
    let (status, _, halted) = house.ask("POST", "/api/v1/swarm/halt", r#"{"note":"x"}"#).await;
    assert_eq!((status, &halted["recorded"]), (StatusCode::OK, &json!(true)), "{halted}");
    let (_, _, overview) = house.ask("GET", "/api/v1/overview", "").await;
    assert_eq!(overview["swarm"]["state"], "halted", "{overview}");
    assert_eq!(house.ask("POST", "/api/v1/swarm/resume", "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(house.ask("POST", "/api/v1/swarm/resume", "").await.0, StatusCode::CONFLICT);
    let (status, headers, bundle) = house.ask("GET", "/api/v1/diagnostics", "").await;
    assert_eq!(status, StatusCode::OK);
    let name = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(name.contains("hivekeeper-diagnostics-"), "{name}");
    assert!(bundle["left_out"].is_array());
    house.close().await;
}

#[tokio::test]
async fn a_browser_signs_in_once_with_the_link_and_then_shows_its_pages_secret_over_the_wire() {
    let house = House::open().await;
    let link = house.host.login_link().unwrap().unwrap();
    let code = link.split_once("#login=").unwrap().1.to_owned();
    let body = json!({ "code": code }).to_string();
    let login = format!(
        "POST /api/v1/login HTTP/1.1\r\nhost: HERE\r\norigin: http://HERE\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = house.say(&login).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut cookies = answer.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookies.next().unwrap();
    assert_eq!(cookies.next(), None, "{answer}");
    for part in ["; HttpOnly", "; Path=/", "; SameSite=Strict", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it would not be sent back: {cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let (_, port) = house.address().rsplit_once(':').unwrap();
    assert!(cookie.starts_with(&format!("hivekeeper_login_{port}=hk_l_")), "{cookie}");
    let told: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let page = told["page"].as_str().unwrap();
    assert!(page.starts_with("hk_p_"), "{told}");
    assert!(house.say(&login).await.starts_with("HTTP/1.1 401"));
    let ask = |method: &str, path: &str, extra: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: HERE\r\nconnection: close\r\ncookie: {cookie}\r\n{extra}\r\n"
        )
    };
    let own = "sec-fetch-site: same-origin\r\norigin: http://HERE\r\n";
    let proof = format!("{own}x-hivekeeper-page: {page}\r\n");
    let status = async |request: String| {
        let answer = house.say(&request).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(ask("GET", "/api/v1/overview", &proof)).await, "200");
    assert_eq!(status(ask("GET", "/api/v1/overview", own)).await, "401");
    assert_eq!(status(ask("POST", "/api/v1/window/focus", own)).await, "401");
    assert_eq!(status(ask("POST", "/api/v1/window/focus", &proof)).await, "409");
    house.close().await;
}

#[tokio::test]
async fn pages_of_other_names_and_origins_get_nothing_over_the_wire() {
    let house = House::open().await;
    let check = async |headers: &str, status: &str| {
        let request = format!(
            "GET /api/v1/overview HTTP/1.1\r\n{headers}\r\nauthorization: Bearer TOKEN\r\n\
             connection: close\r\n\r\n"
        );
        let answer = house.say(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
        if status != "200" {
            assert!(!answer.contains("data_dir"), "{answer}");
        }
        assert!(!answer.contains("access-control-allow"), "{answer}");
    };
    check("host: HERE", "200").await;
    check("host: HERE\r\norigin: http://HERE", "200").await;
    check("host: HERE\r\norigin: null", "403").await;
    check("host: HERE\r\norigin: http://attacker.example", "403").await;
    check("host: attacker.example", "403").await;
    check("host: 127.0.0.1.nip.io:80", "403").await;
    check("host: HERE\r\nhost: attacker.example", "403").await;
    house.close().await;
}

#[tokio::test]
async fn a_body_that_grows_past_its_limit_is_cut_off() {
    let house = House::open().await;
    let mut request = String::from(
        "POST /api/v1/agents HTTP/1.1\r\nhost: HERE\r\nauthorization: Bearer TOKEN\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let chunk = "x".repeat(64 * 1024);
    for _ in 0..17 {
        request.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    request.push_str("0\r\n\r\n");
    let answer = house.say(&request).await;
    assert!(answer.is_empty() || answer.contains(" 413 "), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn a_client_reads_and_changes_with_the_token_of_the_endpoint_file() {
    let house = House::open().await;
    let client = house.client();
    let body = Some(agent("ann").into_bytes());
    let made = client.request(Method::POST, "/api/v1/agents", body).await;
    assert_eq!(made.unwrap().status, StatusCode::CREATED);
    let read = client.request(Method::GET, "/api/v1/agents/ANN", None).await;
    let read: Value = serde_json::from_slice(&read.unwrap().body).unwrap();
    assert_eq!(read["name"], "ann");
    house.close().await;
}

#[tokio::test]
async fn a_page_of_the_interface_may_load_nothing_from_elsewhere() {
    let house = House::open().await;
    let (_, headers, _) = house.ask("GET", "/missions", "").await;
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let (_, headers, _) = house.ask("GET", "/api/v1/overview", "").await;
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    house.close().await;
}
