//! Access tokens, pairing, and the doors for others: who gets in, where, and what is refused.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::body::Body;
use engine::Bearer;
use engine::view::{MadeToken, NewAttached, NewToken};
use gateway::rights::{RULES, Role, Rule};
use gateway::{Host, InProcess, NoWindow, Outer, Tls};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use model::token::{TokenArea, TokenRole, TokenScope};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tower::ServiceExt as _;

use crate::{House, PATIENCE, caller};

impl House {
    pub(crate) async fn token(
        &self,
        name: &str,
        role: TokenRole,
        scopes: Vec<TokenScope>,
    ) -> MadeToken {
        let new = NewToken { name: name.to_owned(), role, scopes, days: Some(1) };
        self.engine.make_token(&caller(), None, new).await.unwrap()
    }

    /// Asks as a program on this machine does, without a socket.
    pub(crate) async fn with(
        &self,
        token: &str,
        method: &Method,
        path: &str,
        body: &str,
    ) -> (u16, Value) {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let (status, _, value) = self.with_headers(&headers, method, path, body).await;
        (status, value)
    }

    pub(crate) async fn with_headers(
        &self,
        headers: &[(&str, &str)],
        method: &Method,
        path: &str,
        body: &str,
    ) -> (u16, HeaderMap, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address())
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.host.router().clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        // The stream itself never ends.
        let live = path == "/api/v1/live" && parts.status == StatusCode::OK;
        let bytes = if live { Vec::new() } else { body.collect().await.unwrap().to_bytes().into() };
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status.as_u16(), parts.headers, value)
    }
}

/// A path with something in its places.
pub(crate) fn filled(template: &str) -> String {
    template
        .replace("{id}", "0198c0de-0000-7000-8000-000000000001")
        .replace("{name}", "x")
        .replace("{index}", "0")
        .replace("{day}", "2026-01-02")
}

const ROLES: [TokenRole; 4] = TokenRole::ALL;

#[tokio::test]
async fn every_role_reaches_the_routes_of_its_station_and_no_other() {
    let house = House::open().await;
    for role in ROLES {
        let mut secret = String::new();
        for (n, (method, template, rule)) in RULES.iter().enumerate() {
            // A token takes 200 requests at once; one of its own for each part of the table.
            if n % 50 == 0 {
                let made = house.token(&format!("{} {n}", role.as_str()), role, Vec::new()).await;
                secret = made.secret.unwrap();
            }
            let may = match rule {
                Rule::Anybody => true,
                Rule::Needs(right) => Role::from(role).may(*right),
            };
            let (status, body) = house.with(&secret, method, &filled(template), "").await;
            let what = format!("{} {method} {template}: {status} {body}", role.as_str());
            // Signing in without a code is refused by its handler, whoever asks.
            let own = *template == "/api/v1/login";
            // The captain's alone: see the next test.
            let lets_in = *template == "/api/v1/login/links";
            // An agent that runs elsewhere says more than nothing, by a token of its own.
            let lent = may && template.starts_with("/api/v1/attached/");
            assert!(lent || (status == 403) == (!may || lets_in), "{what}");
            assert!(status != 401 || own, "{what}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn an_access_token_lets_nobody_else_in_whatever_its_role() {
    let house = House::open().await;
    let (token, pair) = (json!({"name": "more", "role": "viewer"}), json!({"role": "viewer"}));
    let asks = [("tokens", token), ("pairings", pair), ("login/links", json!({}))];
    for scopes in [Vec::new(), vec![TokenScope::Area { area: TokenArea::House }]] {
        let name = format!("boss {}", scopes.len());
        let boss = house.token(&name, TokenRole::Admin, scopes).await.secret.unwrap();
        for (path, body) in &asks {
            let path = format!("/api/v1/{path}");
            let (status, answer) = house.with(&boss, &Method::POST, &path, &body.to_string()).await;
            assert_eq!(status, 403, "{path}: {answer}");
        }
    }
    let (path, body) = ("/api/v1/tokens", asks[0].1.to_string());
    let (status, answer) = house.with(&house.captain(), &Method::POST, path, &body).await;
    assert_eq!(status, 201, "{answer}");
    house.close().await;
}

#[tokio::test]
async fn a_token_that_is_wrong_revoked_or_of_an_ended_attempt_opens_no_route() {
    let house = House::open().await;
    let revoked = house.token("gone", TokenRole::Admin, Vec::new()).await;
    let secret = revoked.secret.unwrap();
    assert_eq!(house.with(&secret, &Method::GET, "/api/v1/overview", "").await.0, 200);
    house.engine.revoke_token(&caller(), revoked.token.token.id).await.unwrap();
    let nearly = format!("{}x", &secret[..secret.len() - 1]);
    let attempt = format!("hk_a_0198c0de000070008000000000000001_{}", "0".repeat(64));
    let made_up = format!("hk_t_{}", "0".repeat(64));
    for token in [&secret, &nearly, &attempt, &made_up, &"hk_00".to_owned(), &String::new()] {
        for (method, template, rule) in RULES {
            if *rule != Rule::Anybody {
                let (status, body) = house.with(token, method, &filled(template), "").await;
                assert_eq!(status, 401, "{token} {method} {template}: {body}");
                assert_eq!(body["code"], "unauthorized");
            }
        }
        for path in ["/mcp", "/v1/metrics", "/v1/logs", "/v1/traces", "/api/v1/nope"] {
            let (status, _) = house.with(token, &Method::POST, path, "{}").await;
            assert_eq!(status, 401, "{token} {path}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_token_that_has_come_to_its_end_opens_no_route() {
    let house = House::open().await;
    let lender = house.token("lender", TokenRole::Operator, Vec::new()).await.token.token;
    let ended = jiff::Timestamp::UNIX_EPOCH;
    // What is lent ends with what it was lent by.
    let bearer = Bearer { expires_at: Some(ended), ..Bearer::from(&lender) };
    let new = NewAttached { name: "late".into(), ..NewAttached::default() };
    let made = house.engine.register_attached(&caller(), Some(&bearer), None, new).await.unwrap();
    let secret = made.token.unwrap();
    for (method, template, rule) in RULES.iter().filter(|(.., rule)| *rule != Rule::Anybody) {
        let (status, body) = house.with(&secret, method, &filled(template), "").await;
        assert_eq!(status, 401, "{rule:?} {method} {template}: {body}");
    }
    let (_, listed) = house.with(&house.captain(), &Method::GET, "/api/v1/tokens", "").await;
    assert_eq!(listed["items"][0]["state"], "expired", "{listed}");
    house.close().await;
}

/// The scopes of a token, and how requests with it are answered.
type Case = (&'static [&'static str], Vec<(String, u16)>);

#[tokio::test]
async fn a_scoped_token_reaches_its_own_areas_and_things_and_no_others() {
    let house = House::open().await;
    let mut ids = Vec::new();
    for (path, body) in [
        ("agents", json!({"name": "ann", "command": "cat"})),
        ("agents", json!({"name": "bob", "command": "cat"})),
        ("missions", json!({"title": "one", "brief": "a", "draft": true})),
        ("missions", json!({"title": "two", "brief": "b", "draft": true})),
    ] {
        let captain = house.captain();
        let path = format!("/api/v1/{path}");
        let (status, made) = house.with(&captain, &Method::POST, &path, &body.to_string()).await;
        assert_eq!(status, 201, "{made}");
        ids.push(made);
    }
    let id = |n: usize| ids[n]["id"].as_str().unwrap().to_owned();
    let short = |n: usize| ids[n]["short_id"].as_str().unwrap().to_owned();
    let scope = |text: &str| match text {
        "ann" => TokenScope::Agent { id: id(0).parse().unwrap() },
        "one" => TokenScope::Mission { id: id(2).parse().unwrap() },
        "missions" => TokenScope::Area { area: TokenArea::Missions },
        _ => TokenScope::Area { area: TokenArea::Talk },
    };
    let agent = |n: usize| format!("/api/v1/agents/{}", id(n));
    let mission = |n: usize| format!("/api/v1/missions/{}", id(n));
    let brief = |n: usize| format!("/api/v1/missions/{}", short(n));
    let list = || "/api/v1/missions".to_owned();
    let who = || "/api/v1/whoami".to_owned();
    let cases: Vec<Case> = vec![
        (
            &["ann"],
            vec![
                (agent(0), 200),
                ("/api/v1/agents/ann".to_owned(), 200),
                (agent(1), 403),
                ("/api/v1/agents".to_owned(), 403),
                (mission(2), 403),
                ("/api/v1/overview".to_owned(), 403),
                (who(), 200),
            ],
        ),
        (&["one"], vec![(mission(2), 200), (brief(2), 200), (mission(3), 403), (brief(3), 403)]),
        (&["one"], vec![(list(), 403), ("/api/v1/missions/M-ZZZZ".to_owned(), 403)]),
        (&["missions"], vec![(list(), 200), (mission(3), 200), (agent(0), 403), (who(), 200)]),
        (&["missions", "one"], vec![(mission(2), 200), (mission(3), 403), (list(), 403)]),
        (&["talk"], vec![("/api/v1/inbox".to_owned(), 200), (list(), 403)]),
    ];
    for (n, (scopes, asked)) in cases.into_iter().enumerate() {
        let scopes: Vec<TokenScope> = scopes.iter().map(|text| scope(text)).collect();
        let made = house.token(&format!("scoped {n}"), TokenRole::Operator, scopes).await;
        let secret = made.secret.unwrap();
        for (path, expected) in asked {
            let (status, body) = house.with(&secret, &Method::GET, &path, "").await;
            assert_eq!(status, expected, "{:?} {path}: {body}", made.token.token.scopes);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_secret_is_shown_once_and_who_used_it_is_in_the_log() {
    let house = House::open().await;
    let captain = house.captain();
    let new = json!({"name": "Ci", "role": "operator", "days": 7}).to_string();
    let key = [("authorization", format!("Bearer {captain}")), ("idempotency-key", "k".into())];
    let headers: Vec<(&str, &str)> = key.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = "/api/v1/tokens";
    let (status, _, made) = house.with_headers(&headers, &Method::POST, path, &new).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("hk_t_") && secret.len() == 69);
    assert_eq!(made["token"]["prefix"], secret[..12]);
    let (status, _, again) = house.with_headers(&headers, &Method::POST, path, &new).await;
    assert_eq!((status, &again["secret"]), (201, &Value::Null), "{again}");
    assert_eq!(again["token"]["id"], made["token"]["id"]);
    let (status, taken) = house.with(&captain, &Method::POST, path, &new.replace("Ci", "cI")).await;
    assert_eq!(status, 409, "{taken}");
    for bad in [
        json!({"name": "", "role": "viewer"}),
        json!({"name": "x", "role": "agent"}),
        json!({"name": "x", "role": "viewer", "days": 0}),
        json!({"name": "x", "role": "viewer", "scopes": [{"kind": "agent", "id": "x"}]}),
        json!({"name": "x", "role": "viewer", "hash": "y"}),
    ] {
        let (status, problem) = house.with(&captain, &Method::POST, path, &bad.to_string()).await;
        assert_eq!(status, 422, "{bad}: {problem}");
    }
    let halt = "/api/v1/swarm/halt";
    assert_eq!(house.with(secret, &Method::POST, halt, "").await.0, 200);
    assert_eq!(house.with(secret, &Method::GET, path, "").await.0, 403);
    let (_, events) =
        house.with(&captain, &Method::GET, "/api/v1/events?kind=swarm_halted", "").await;
    let actor = json!({"kind": "token", "id": made["token"]["id"], "name": "Ci"});
    assert_eq!(events["items"][0]["actor"], actor, "{events}");
    let (_, listed) = house.with(&captain, &Method::GET, path, "").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(listed["items"][0]["used_at"].is_string(), "{listed}");
    assert!(!listed.to_string().contains(secret), "it is shown once");
    let one = format!("{path}/{}", made["token"]["id"].as_str().unwrap());
    assert_eq!(house.with(&captain, &Method::DELETE, &one, "").await.0, 204);
    assert_eq!(house.with(&captain, &Method::DELETE, &one, "").await.0, 409);
    assert_eq!(house.with(secret, &Method::POST, halt, "").await.0, 401);
    // Neither the secret nor a half of it is in any file.
    let data = house.engine.data_dir().to_owned();
    let half = &secret.as_bytes()[5..37];
    for entry in std::fs::read_dir(data).unwrap().flatten().filter(|it| it.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(half.len()).any(|it| it == half), "{}", entry.path().display());
    }
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn a_token_gives_agents_elsewhere_nothing_that_outlives_it_and_takes_none_over() {
    let house = House::open().await;
    let register = async |token: &str, body: Value| {
        house.with(token, &Method::POST, "/api/v1/attached", &body.to_string()).await
    };
    let lent = async || {
        let all = house.engine.tokens(false).await.unwrap().items.into_iter();
        let mut lent = all.map(|view| view.token).filter(|token| token.lent_to().is_some());
        (lent.next().unwrap(), lent.next())
    };
    let maker = house.token("maker", TokenRole::Operator, Vec::new()).await;
    let (end, maker) = (maker.token.token.expires_at, maker.secret.unwrap());
    let (status, made) = register(&maker, json!({"name": "far"})).await;
    assert_eq!(status, 201, "{made}");
    let far = made["token"].as_str().unwrap();
    assert!(end.is_some());
    assert_eq!(lent().await.0.expires_at, end, "it ends with its maker's");

    let lost = json!({"name": "far", "new_token": true});
    let admin = house.token("boss", TokenRole::Admin, Vec::new()).await.secret.unwrap();
    for token in [&maker, &admin] {
        let (status, refused) = register(token, lost.clone()).await;
        assert_eq!((status, &refused["code"]), (403, &json!("forbidden")), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("captain"), "{refused}");
    }
    let beat = async |token: &str| {
        house.with(token, &Method::POST, "/api/v1/attached/heartbeat", "{}").await.0
    };
    assert_eq!(beat(far).await, 200, "its own token stands");
    let (status, made) = register(&house.captain(), lost).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((beat(far).await, beat(made["token"].as_str().unwrap()).await), (401, 200));
    let (lent, more) = lent().await;
    assert_eq!((lent.expires_at, more), (None, None), "the captain's holds until it is revoked");
    house.close().await;
}

#[tokio::test]
async fn the_same_idempotency_key_of_another_token_is_another_request() {
    let house = House::open().await;
    let mut secrets = vec![house.captain()];
    for name in ["one", "two"] {
        secrets.push(house.token(name, TokenRole::Operator, Vec::new()).await.secret.unwrap());
    }
    let send = async |secret: &str, text: &str| {
        let authorization = format!("Bearer {secret}");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "1")];
        let path = "/api/v1/agents/ann/messages";
        let body = json!({ "text": text }).to_string();
        let (status, _, sent) = house.with_headers(&headers, &Method::POST, path, &body).await;
        (status, sent["id"].clone())
    };
    let agent = json!({"name": "ann", "command": "cat"}).to_string();
    house.with(&house.captain(), &Method::POST, "/api/v1/agents", &agent).await;
    let mut ids = Vec::new();
    for secret in &secrets {
        let (status, id) = send(secret, "hello").await;
        assert!((200..300).contains(&status) && id.is_string(), "{status} {id}");
        assert!(!ids.contains(&id), "it is sent for each of them");
        ids.push(id);
    }
    for (secret, id) in secrets.iter().zip(&ids) {
        assert_eq!(&send(secret, "hello").await.1, id, "and once for each");
        assert_eq!(send(secret, "something else").await.0, 409);
    }
    house.close().await;
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_go_on() {
    let house = House::open().await;
    let secret = house.token("eager", TokenRole::Viewer, Vec::new()).await.secret.unwrap();
    let authorization = format!("Bearer {secret}");
    let headers = [("authorization", authorization.as_str())];
    let mut refused = None;
    for _ in 0..5_000 {
        let (status, headers, problem) =
            house.with_headers(&headers, &Method::GET, "/api/v1/whoami", "").await;
        if status == 429 {
            refused = Some((headers, problem));
            break;
        }
        assert_eq!(status, 200, "{problem}");
    }
    let (headers, problem) = refused.expect("it is refused some time");
    assert_eq!(problem["code"], "busy", "{problem}");
    let after: u32 = headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&after), "{after}");
    let (status, _) = house.with(&house.captain(), &Method::GET, "/api/v1/whoami", "").await;
    assert_eq!(status, 200, "others are not held up");
    house.close().await;
}

#[tokio::test]
async fn a_browser_is_paired_once_does_what_its_role_may_and_is_signed_out_by_revoking() {
    let house = House::open().await;
    let captain = house.captain();
    for (role, may) in [("viewer", false), ("operator", true)] {
        let body = json!({"role": role, "name": format!("the {role}")}).to_string();
        let (status, link) = house.with(&captain, &Method::POST, "/api/v1/pairings", &body).await;
        assert_eq!(status, 201, "{link}");
        assert_eq!(link["reachable"], false);
        assert!(link["qr"]["path"].as_str().unwrap().starts_with("M4 4h7v1h-7z"));
        let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
        let login = json!({ "code": code }).to_string();
        let sign_in =
            async || house.with_headers(&[], &Method::POST, "/api/v1/login", &login).await;
        let (status, headers, told) = sign_in().await;
        assert_eq!((status, &told["role"]), (200, &json!(role)), "{told}");
        let cookie = headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        assert_eq!(sign_in().await.0, 401, "once");
        let page = told["page"].as_str().unwrap();
        let own = [("cookie", cookie), ("sec-fetch-site", "same-origin")];
        let proved = [("cookie", cookie), ("x-hivekeeper-page", page)];
        let (status, _, who) =
            house.with_headers(&proved, &Method::GET, "/api/v1/whoami", "").await;
        assert_eq!((status, &who["role"]), (200, &json!(role)), "{who}");
        let halt = async |headers: &[(&str, &str)]| {
            house.with_headers(headers, &Method::POST, "/api/v1/swarm/halt", "").await.0
        };
        assert_eq!(halt(&own).await, 401, "without its page's secret");
        assert_eq!(halt(&proved).await, if may { 200 } else { 403 });
        for admin in ["/api/v1/agents", "/api/v1/tokens", "/api/v1/pairings"] {
            let (status, ..) = house.with_headers(&proved, &Method::POST, admin, "{}").await;
            assert_eq!(status, 403, "{role} {admin}");
        }
        let id = who["token_id"].as_str().unwrap().parse().unwrap();
        house.engine.revoke_token(&caller(), id).await.unwrap();
        assert_eq!(halt(&proved).await, 401, "signed out");
    }
    let bad = json!({"role": "admin"}).to_string();
    assert_eq!(house.with(&captain, &Method::POST, "/api/v1/pairings", &bad).await.0, 422);
    house.close().await;
}

#[tokio::test]
async fn a_body_that_is_nested_too_deep_or_comes_too_slowly_is_refused_in_words() {
    let house = House::open().await;
    let deep = format!("{{\"name\":\"a\",\"skills\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let (status, problem) =
        house.with(&house.captain(), &Method::POST, "/api/v1/agents", &deep).await;
    assert!((400..=422).contains(&status), "{problem}");
    let slow = "POST /api/v1/agents HTTP/1.1\r\nhost: HERE\r\nauthorization: Bearer TOKEN\r\n\
        content-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{";
    let answer = house.say(slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("paused for more than 10 s"), "{answer}");
    house.close().await;
}

/// Sends a request through any stream and reads the whole answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str) -> String {
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer may be cut off after its answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn other_machines_come_in_encrypted_under_the_names_that_were_given_and_everybody_sees_it() {
    let house = House::open().await;
    let place = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["build.example".into()]).unwrap();
    let (certificate, key) = (place.path().join("c.pem"), place.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = gateway::bind_anywhere(any).await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Tls::read(&certificate, &key).unwrap();
    let outer = Outer { listener, tls, names: vec!["build.example".into()] };
    let socket = place.path().join("own.sock");
    let here = gateway::bind(any).await.unwrap();
    let window = Arc::new(NoWindow);
    let host =
        Host::open_doors(&house.engine, here, Some(outer), Some(socket.clone()), window).unwrap();
    assert_eq!(host.outer_url().unwrap(), format!("https://build.example:{}", address.port()));
    assert!(host.login_link().unwrap().unwrap().starts_with("https://build.example:"));

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let token = gateway::Endpoint::read(house.engine.data_dir()).unwrap().unwrap().token;
    let outside = async |host: &str, more: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("build.example").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let head = format!(
            "GET /api/v1/overview HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{more}"
        );
        ask(stream, &head).await
    };
    let port = address.port();
    let named = format!("build.example:{port}");
    let answer = outside(&named, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("\"exposed\":\"https://{named}\"")), "{answer}");
    assert!(outside(&address.to_string(), "").await.starts_with("HTTP/1.1 200"));
    let own = format!("origin: https://{named}\r\n");
    assert!(outside(&named, &own).await.starts_with("HTTP/1.1 200"));
    for (host, more) in [
        (format!("attacker.example:{port}"), String::new()),
        (named.clone(), "origin: https://attacker.example\r\n".to_owned()),
        (named.clone(), format!("origin: http://{named}\r\n")),
    ] {
        let answer = outside(&host, &more).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host} {more}: {answer}");
    }
    // Nothing is said without encryption.
    let plain = TcpStream::connect(address).await.unwrap();
    let answer = ask(plain, &format!("GET / HTTP/1.1\r\nhost: {named}\r\n")).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");

    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (token, status) in [(token.as_str(), "200"), ("hk_00", "401")] {
        let stream = UnixStream::connect(&socket).await.unwrap();
        let head = format!(
            "GET /api/v1/overview HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        );
        let answer = ask(stream, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    host.close().await;
    assert!(!socket.exists());
    house.close().await;
}

#[tokio::test]
async fn the_window_is_the_captain_whatever_cookie_it_carries() {
    let house = House::open().await;
    let request = Request::builder()
        .uri("/api/v1/whoami")
        .extension(InProcess)
        .header(header::COOKIE, "hivekeeper_login_1=hk_t_0")
        .body(Body::empty())
        .unwrap();
    let answer = house.host.router().clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["role"], "admin");
    house.close().await;
}

#[tokio::test]
async fn a_stream_ends_when_the_token_it_was_opened_with_is_revoked() {
    let house = House::open().await;
    let made = house.token("listener", TokenRole::Viewer, Vec::new()).await;
    let request = Request::builder()
        .uri("/api/v1/live")
        .header(header::HOST, house.address())
        .header(header::AUTHORIZATION, format!("Bearer {}", made.secret.unwrap()))
        .body(Body::empty())
        .unwrap();
    let answer = house.host.router().clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    house.engine.revoke_token(&caller(), made.token.token.id).await.unwrap();
    let end = async { while let Some(Ok(_)) = body.frame().await {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream ends");
    house.close().await;
}
