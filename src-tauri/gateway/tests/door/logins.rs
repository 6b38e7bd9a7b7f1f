//! Browsers: they sign in once, prove themselves with every request, are listed, and leave.

use futures::StreamExt as _;
use gateway::InProcess;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tower::ServiceExt as _;

use crate::{House, PATIENCE};

/// A browser that is signed in.
pub(crate) struct Browser {
    pub(crate) id: String,
    pub(crate) cookie: String,
    pub(crate) page: String,
}

impl Browser {
    pub(crate) fn of(headers: &HeaderMap, told: &Value) -> Self {
        let cookie = headers[header::SET_COOKIE].to_str().unwrap();
        Self {
            id: told["login_id"].as_str().unwrap().to_owned(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
            page: told["page"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn headers(&self) -> [(&str, &str); 2] {
        [("cookie", &self.cookie), ("x-hivekeeper-page", &self.page)]
    }
}

impl House {
    /// A login link's code, asked for by the captain's token.
    async fn code(&self) -> String {
        let (status, link) =
            self.with(&self.captain(), &Method::POST, "/api/v1/login/links", "").await;
        assert_eq!(status, 201, "{link}");
        link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned()
    }

    pub(crate) async fn sign_in_with(
        &self,
        code: &str,
        more: &[(&str, &str)],
    ) -> (u16, HeaderMap, Value) {
        let body = json!({ "code": code }).to_string();
        self.with_headers(more, &Method::POST, "/api/v1/login", &body).await
    }

    pub(crate) async fn browser(&self) -> Browser {
        let (status, headers, told) =
            self.sign_in_with(&self.code().await, &[("user-agent", "Fox/1 (tests)")]).await;
        assert_eq!(status, 200, "{told}");
        Browser::of(&headers, &told)
    }

    pub(crate) async fn paired(&self, role: &str) -> Browser {
        let body = json!({"role": role, "name": format!("the {role}")}).to_string();
        let (status, link) =
            self.with(&self.captain(), &Method::POST, "/api/v1/pairings", &body).await;
        assert_eq!(status, 201, "{link}");
        let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
        let (status, headers, told) = self.sign_in_with(&code, &[]).await;
        assert_eq!(status, 200, "{told}");
        Browser::of(&headers, &told)
    }

    pub(crate) async fn as_browser(
        &self,
        it: &Browser,
        method: Method,
        path: &str,
    ) -> (u16, Value) {
        let (status, _, body) = self.with_headers(&it.headers(), &method, path, "").await;
        (status, body)
    }

    /// The live stream, as a page of that browser opens it.
    pub(crate) async fn page_stream(&self, browser: &Browser) -> WebSocketStream<TcpStream> {
        let here = format!("http://{}", self.address());
        let protocols = format!("hivekeeper.live, {}", browser.page);
        page_socket(self, browser, &protocols, Some(&here)).await.unwrap()
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/logins{query}");
        let (status, listed) = self.with(&self.captain(), &Method::GET, &path, "").await;
        assert_eq!(status, 200, "{listed}");
        listed["items"].as_array().unwrap().clone()
    }
}

const WHO: &str = "/api/v1/whoami";

#[tokio::test]
async fn a_login_is_good_for_the_page_it_was_made_for_and_for_nobody_else_who_gets_its_cookie() {
    let house = House::open().await;
    let here = format!("http://{}", house.address());
    let port = house.address().split_once(':').unwrap().1.to_owned();
    for browser in [house.browser().await, house.paired("operator").await] {
        let (cookie, page) = (("cookie", &*browser.cookie), ("x-hivekeeper-page", &*browser.page));
        let name = browser.cookie.split_once('=').unwrap().0;
        assert_eq!(name, format!("hivekeeper_login_{port}"));
        let other = house.browser().await;
        let both = format!("{}; {}", browser.cookie, other.cookie);
        let other_page = ("x-hivekeeper-page", &*other.page);
        let elsewhere = format!("http://localhost:{port}");
        let guessed = format!("{name}=hk_l_{}", "0".repeat(64));
        let secret = browser.cookie.split_once('=').unwrap().1;
        let bearer = format!("Bearer {secret}");
        let page_bearer = format!("Bearer {}", browser.page);
        let wrong = ("authorization", "Bearer hk_00");
        let cases = [
            ("cookie and page", vec![cookie, page], 200),
            ("and the origin", vec![cookie, page, ("origin", &here)], 200),
            // What a page behind another port of this host can get hold of and send.
            ("cookie alone", vec![cookie], 401),
            ("and what browsers say", vec![cookie, ("sec-fetch-site", "same-origin")], 401),
            ("and an origin that is made up", vec![cookie, ("origin", &here)], 401),
            ("another page's secret", vec![cookie, other_page], 401),
            ("no secret at all", vec![cookie, ("x-hivekeeper-page", "")], 401),
            ("two secrets", vec![cookie, page, page], 401),
            ("the cookie as secret", vec![cookie, ("x-hivekeeper-page", secret)], 401),
            ("page alone", vec![page], 401),
            ("a guess", vec![("cookie", &guessed), page], 401),
            ("another name of this engine", vec![cookie, page, ("origin", &elsewhere)], 401),
            ("the cookie as token", vec![("authorization", &bearer)], 401),
            ("the page's secret as token", vec![("authorization", &page_bearer)], 401),
            ("a wrong token beside it", vec![cookie, page, wrong], 401),
            ("the first of two cookies", vec![("cookie", &both), page], 200),
            ("the second of two", vec![("cookie", &both), other_page], 401),
        ];
        for (what, headers, expected) in cases {
            for (method, path) in [(Method::GET, WHO), (Method::POST, "/api/v1/swarm/resume")] {
                let (status, _, body) = house.with_headers(&headers, &method, path, "").await;
                // Nothing is halted.
                let refused = matches!(status, 401 | 403);
                assert_eq!(refused, expected == 401, "{what} {method}: {status} {body}");
            }
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_login_that_was_made_under_one_name_is_worth_nothing_under_another() {
    let house = House::open().await;
    let browser = house.browser().await;
    let port = house.address().split_once(':').unwrap().1;
    let ask = async |host: &str| {
        let mut request = Request::builder().uri(WHO).header(header::HOST, host);
        for (name, value) in browser.headers() {
            request = request.header(name, value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        house.host.router().clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask(&format!("127.0.0.1:{port}")).await, 200);
    assert_eq!(ask(&format!("localhost:{port}")).await, 401);
    assert_eq!(ask("attacker.example").await, 403);
    house.close().await;
}

#[tokio::test]
async fn browsers_are_listed_and_signed_out_from_elsewhere_and_by_themselves_and_it_is_in_the_log()
{
    let house = House::open().await;
    let (one, two, phone) =
        (house.browser().await, house.browser().await, house.paired("viewer").await);
    let (status, who) = house.as_browser(&one, Method::GET, WHO).await;
    assert_eq!((status, &who["login_id"], &who["role"]), (200, &json!(one.id), &json!("admin")));
    assert_eq!(house.as_browser(&phone, Method::GET, "/api/v1/logins").await.0, 403);
    let (_, mine) = house.as_browser(&one, Method::GET, "/api/v1/logins").await;
    let current: Vec<_> =
        mine["items"].as_array().unwrap().iter().map(|it| it["current"] == true).collect();
    assert_eq!(current, [false, false, true], "{mine}");
    let listed = house.listed("").await;
    assert_eq!(listed.len(), 3);
    let (newest, oldest) = (&listed[0], &listed[2]);
    assert_eq!((&newest["via"], &newest["name"]), (&json!("pairing"), &json!("the viewer")));
    assert_eq!((&newest["role"], &newest["state"]), (&json!("viewer"), &json!("valid")));
    assert_eq!((&oldest["via"], &oldest["role"]), (&json!("code"), &json!("admin")));
    assert_eq!(oldest["agent"], "Fox/1 (tests)");
    assert!(oldest["used_at"].is_string(), "{oldest}");
    for secret in [&one.page, &one.cookie[one.cookie.len() - 64..].to_owned()] {
        assert!(!json!(listed).to_string().contains(secret.as_str()), "secrets are kept nowhere");
    }

    let path = format!("/api/v1/logins/{}", two.id);
    assert_eq!(house.as_browser(&one, Method::DELETE, &path).await.0, 204);
    assert_eq!(house.as_browser(&one, Method::DELETE, &path).await.0, 409);
    assert_eq!(house.as_browser(&two, Method::GET, WHO).await.0, 401);
    let nobody = "/api/v1/logins/0198c0de-0000-7000-8000-000000000001";
    assert_eq!(house.as_browser(&one, Method::DELETE, nobody).await.0, 404);
    assert_eq!(house.as_browser(&one, Method::DELETE, "/api/v1/logins/x").await.0, 422);

    let (status, headers, _) =
        house.with_headers(&phone.headers(), &Method::POST, "/api/v1/logout", "").await;
    assert_eq!(status, 204);
    assert!(headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(house.as_browser(&phone, Method::GET, WHO).await.0, 401);
    let (_, tokens) = house.with(&house.captain(), &Method::GET, "/api/v1/tokens", "").await;
    assert_eq!(tokens["items"], json!([]), "its token went with it");
    let (status, problem) = house.with(&house.captain(), &Method::POST, "/api/v1/logout", "").await;
    assert_eq!(status, 409, "a program signs nobody out by leaving: {problem}");

    let ever = house.listed("?ended=true").await;
    let why: Vec<_> = ever.iter().map(|it| it["ended"]["why"].clone()).collect();
    assert_eq!(why, [json!("signed_out"), json!("revoked"), Value::Null]);
    assert_eq!(house.listed("").await.len(), 1);

    let (_, events) = house.with(&house.captain(), &Method::GET, "/api/v1/events", "").await;
    let of = |kind: &str| -> Vec<Value> {
        let all = events["items"].as_array().unwrap();
        all.iter().filter(|it| it["fact"]["kind"] == kind).cloned().collect()
    };
    assert_eq!(of("logged_in").len(), 3);
    assert_eq!(of("logged_in")[0]["actor"]["name"], "the viewer");
    assert_eq!(of("logged_in")[2]["actor"]["kind"], "captain");
    assert_eq!(of("logged_out").len(), 2);
    assert_eq!(of("logged_out")[0]["actor"]["name"], "the viewer");
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn a_login_outlives_the_engine_and_its_end_does_too() {
    let house = House::open().await;
    let (stays, goes, phone) =
        (house.browser().await, house.browser().await, house.paired("viewer").await);
    let path = format!("/api/v1/logins/{}", goes.id);
    house.with(&house.captain(), &Method::DELETE, &path, "").await;
    let house = house.reopen().await;
    // A test has another port each time; the login is for the address of before.
    let port = stays.cookie.split_once('=').unwrap().0.rsplit_once('_').unwrap().1.to_owned();
    if house.address().ends_with(&format!(":{port}")) {
        assert_eq!(house.as_browser(&stays, Method::GET, WHO).await.0, 200);
        assert_eq!(house.as_browser(&phone, Method::GET, WHO).await.0, 200);
        assert_eq!(house.as_browser(&goes, Method::GET, WHO).await.0, 401);
    }
    let ids: Vec<_> = house.listed("").await.iter().map(|it| it["id"].clone()).collect();
    assert_eq!(ids, [json!(phone.id), json!(stays.id)]);
    house.close().await;
}

#[tokio::test]
async fn a_browser_that_signs_in_again_has_one_login() {
    let house = House::open().await;
    let first = house.paired("viewer").await;
    let cookie = [("cookie", first.cookie.as_str())];
    let (status, headers, told) = house.sign_in_with(&house.code().await, &cookie).await;
    assert_eq!(status, 200, "{told}");
    let second = Browser::of(&headers, &told);
    assert_eq!(house.as_browser(&first, Method::GET, WHO).await.0, 401);
    let (_, who) = house.as_browser(&second, Method::GET, WHO).await;
    assert_eq!(who["role"], "admin");
    let ever = house.listed("?ended=true").await;
    assert_eq!(ever[1]["ended"]["why"], "again");
    let (_, tokens) = house.with(&house.captain(), &Method::GET, "/api/v1/tokens", "").await;
    assert_eq!(tokens["items"], json!([]));
    house.close().await;
}

#[tokio::test]
async fn the_links_a_browser_asked_for_go_with_it() {
    let house = House::open().await;
    let browser = house.browser().await;
    let (status, link) = house.as_browser(&browser, Method::POST, "/api/v1/login/links").await;
    assert_eq!(status, 201, "{link}");
    let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
    let other = house.code().await;
    let path = format!("/api/v1/logins/{}", browser.id);
    assert_eq!(house.with(&house.captain(), &Method::DELETE, &path, "").await.0, 204);
    assert_eq!(house.sign_in_with(&code, &[]).await.0, 401);
    assert_eq!(house.sign_in_with(&other, &[]).await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn the_links_of_a_browser_that_signs_in_again_or_gives_way_open_nothing() {
    let house = House::open().await;
    let linked = async || {
        let browser = house.browser().await;
        let path = "/api/v1/login/links";
        let (status, link) = house.as_browser(&browser, Method::POST, path).await;
        assert_eq!(status, 201, "{link}");
        (browser, link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned())
    };
    let (again, code) = linked().await;
    let cookie = [("cookie", again.cookie.as_str())];
    assert_eq!(house.sign_in_with(&house.code().await, &cookie).await.0, 200);
    assert_eq!(house.sign_in_with(&code, &[]).await.0, 401, "its browser has another login");

    let (oldest, code) = linked().await;
    for _ in 0..model::login::LOGINS_MAX {
        house.browser().await;
    }
    assert_eq!(house.as_browser(&oldest, Method::GET, WHO).await.0, 401);
    assert_eq!(house.sign_in_with(&code, &[]).await.0, 401, "its browser gave way to others");
    house.close().await;
}

#[tokio::test]
async fn a_login_has_the_role_and_name_of_its_token_however_many_tokens_there_are() {
    let house = House::open().await;
    let phone = house.paired("operator").await;
    for n in 1..model::token::TOKENS_MAX {
        house.token(&n.to_string(), model::token::TokenRole::Viewer, Vec::new()).await;
    }
    let far = json!({"name": "far"}).to_string();
    let (status, made) =
        house.with(&house.captain(), &Method::POST, "/api/v1/attached", &far).await;
    assert_eq!(status, 201, "{made}");
    let tokens = house.engine.tokens(false).await.unwrap().items;
    assert_eq!(tokens.len(), model::token::TOKENS_MAX + 1);
    assert_eq!(tokens.last().unwrap().token.name, "the operator", "the oldest is shown");
    let check = |login: &Value| {
        let what = (&login["id"], &login["role"], &login["name"]);
        assert_eq!(what, (&json!(phone.id), &json!("operator"), &json!("the operator")));
    };
    check(&house.listed("").await[0]);
    // One that opens nothing any more is still told by its name.
    let path = format!("/api/v1/logins/{}", phone.id);
    assert_eq!(house.with(&house.captain(), &Method::DELETE, &path, "").await.0, 204);
    check(&house.listed("?ended=true").await[0]);
    house.close().await;
}

#[tokio::test]
async fn a_pairing_that_cannot_be_used_now_can_be_used_later() {
    let house = House::open().await;
    let body = json!({"role": "viewer", "name": "phone"}).to_string();
    let (_, link) = house.with(&house.captain(), &Method::POST, "/api/v1/pairings", &body).await;
    let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
    let taken = house.token("Phone", model::token::TokenRole::Viewer, Vec::new()).await;
    let (status, _, problem) = house.sign_in_with(&code, &[]).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    house.engine.revoke_token(&crate::caller(), taken.token.token.id).await.unwrap();
    assert_eq!(house.sign_in_with(&code, &[]).await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn wrong_codes_hold_up_nobody_with_a_right_one() {
    let house = House::open().await;
    let right = house.code().await;
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(house.sign_in_with(&"0".repeat(64), &[]).await.0);
    }
    assert_eq!((seen[0], seen[9]), (401, 429), "{seen:?}");
    assert_eq!(house.sign_in_with(&right, &[]).await.0, 200);
    house.close().await;
}

/// Opens the live stream as a page does: without headers of its own.
async fn page_socket(
    house: &House,
    browser: &Browser,
    protocols: &str,
    origin: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let url = format!("ws://{}/api/v1/live?topics=events", house.address());
    let mut request = url.into_client_request().unwrap();
    let mut set = |name: &'static str, value: &str| {
        request.headers_mut().insert(name, value.parse().unwrap());
    };
    set("cookie", &browser.cookie);
    set("sec-websocket-protocol", protocols);
    if let Some(origin) = origin {
        set("origin", origin);
    }
    let stream = TcpStream::connect(house.address()).await.unwrap();
    client_async(request, stream).await.map(|(socket, _)| socket)
}

#[tokio::test]
async fn a_page_listens_with_its_secret_and_no_longer_than_it_is_signed_in() {
    let house = House::open().await;
    let here = format!("http://{}", house.address());
    for browser in [house.browser().await, house.paired("viewer").await] {
        let good = format!("hivekeeper.live, {}", browser.page);
        for (protocols, origin) in [
            ("hivekeeper.live", Some(here.as_str())),
            (good.as_str(), None),
            ("hivekeeper.live, hk_p_0", Some(here.as_str())),
        ] {
            let refused = page_socket(&house, &browser, protocols, origin).await;
            let Err(Error::Http(answer)) = refused else { panic!("{protocols} {origin:?}") };
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{protocols} {origin:?}");
        }
        let mut socket = page_socket(&house, &browser, &good, Some(&here)).await.unwrap();
        let first = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        assert!(matches!(first, Some(Ok(Message::Text(_)))), "{first:?}");
        let path = format!("/api/v1/logins/{}", browser.id);
        assert_eq!(house.with(&house.captain(), &Method::DELETE, &path, "").await.0, 204);
        let ended = async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(close))) => break close,
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        let close = tokio::time::timeout(PATIENCE, ended).await;
        let close = close.expect("the stream ends with the login").unwrap();
        assert_eq!(u16::from(close.code), 1008, "{close:?}");
        assert!(close.reason.contains("signed out"), "{close:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_browser_has_so_many_streams_and_no_more() {
    let house = House::open().await;
    let browser = house.browser().await;
    let here = format!("http://{}", house.address());
    let protocols = format!("hivekeeper.live, {}", browser.page);
    let mut open = Vec::new();
    let refused = loop {
        match page_socket(&house, &browser, &protocols, Some(&here)).await {
            Ok(socket) => open.push(socket),
            Err(Error::Http(answer)) => break answer.status(),
            Err(error) => panic!("{error}"),
        }
        assert!(open.len() < 100);
    };
    assert_eq!((refused, open.len()), (StatusCode::TOO_MANY_REQUESTS, 16));
    open.pop();
    let until = std::time::Instant::now() + PATIENCE;
    while page_socket(&house, &browser, &protocols, Some(&here)).await.is_err() {
        assert!(std::time::Instant::now() < until, "the place is free again");
    }
    let socket = house.listen_as_captain().await;
    assert!(socket.is_ok(), "others still get in");
    house.close().await;
}

impl House {
    async fn listen_as_captain(&self) -> Result<WebSocketStream<TcpStream>, Error> {
        let url = format!("ws://{}/api/v1/live?topics=events", self.address());
        let mut request = url.into_client_request().unwrap();
        let token = format!("Bearer {}", self.captain());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let stream = TcpStream::connect(self.address()).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| socket)
    }
}

#[tokio::test]
async fn who_reads_events_reads_nothing_that_keys_are_recognised_by() {
    let house = House::open().await;
    let _browser = house.browser().await;
    let viewer = house.token("eyes", model::token::TokenRole::Viewer, Vec::new()).await;
    let viewer = viewer.secret.unwrap();
    let (status, events) = house.with(&viewer, &Method::GET, "/api/v1/events", "").await;
    assert_eq!(status, 200);
    let fact = |kind: &str| {
        let all = events["items"].as_array().unwrap();
        all.iter().find(|it| it["fact"]["kind"] == kind).unwrap()["fact"].clone()
    };
    let (made, signed_in) = (fact("token_made"), fact("logged_in"));
    assert_eq!((&made["hash"], &made["token"]["prefix"]), (&json!(""), &json!("")), "{made}");
    assert_eq!(made["token"]["name"], "eyes");
    for secret in ["cookie_hash", "page_hash"] {
        assert_eq!(signed_in[secret], "", "{signed_in}");
    }
    assert_eq!(
        (&signed_in["login"]["agent"], &signed_in["login"]["from"]),
        (&json!(""), &Value::Null)
    );
    // And the same on the live stream.
    let request = Request::builder()
        .uri("/api/v1/live?topics=events")
        .extension(InProcess)
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = house.host.router().clone().oneshot(request).await.unwrap();
    let mut told = String::new();
    let mut body = answer.into_body().into_data_stream();
    // What was recorded a moment ago may come after what the stream begins with.
    while !(told.contains("token_made") && told.contains("logged_in")) {
        let piece = tokio::time::timeout(PATIENCE, body.next()).await.unwrap();
        told.push_str(&String::from_utf8_lossy(&piece.unwrap().unwrap()));
    }
    assert!(told.contains(r#""cookie_hash":"""#) && told.contains(r#""hash":"""#), "{told}");
    assert!(!told.contains("Fox/1"), "{told}");
    house.close().await;
}
