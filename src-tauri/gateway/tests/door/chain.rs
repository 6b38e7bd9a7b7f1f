//! Keys end with what they were made by: tokens that were lent, browsers that were let in, and what goes
//! on by them.

use futures::StreamExt as _;
use http::Method;
use model::token::TokenRole;
use serde_json::{Value, json};

use crate::logins::Browser;
use crate::{House, PATIENCE, caller};

const ATTACHED: &str = "/api/v1/attached";
const BEAT: &str = "/api/v1/attached/heartbeat";
const LEASE: &str = "/api/v1/attached/lease";

impl House {
    /// Registers an agent that runs elsewhere by a token; gives its own.
    async fn lent_by(&self, token: &str, name: &str) -> String {
        let body = json!({ "name": name }).to_string();
        let (status, made) = self.with(token, &Method::POST, ATTACHED, &body).await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    }

    async fn asked_in(&self, it: &Browser, path: &str, body: Value) -> Value {
        let headers = it.headers();
        let (status, _, made) =
            self.with_headers(&headers, &Method::POST, path, &body.to_string()).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn signed_in_by(&self, link: &Value) -> Browser {
        let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
        let (status, headers, told) = self.sign_in_with(&code, &[]).await;
        assert_eq!(status, 200, "{told}");
        Browser::of(&headers, &told)
    }

    async fn beats(&self, token: &str) -> u16 {
        self.with(token, &Method::POST, BEAT, "{}").await.0
    }

    async fn revoke(&self, id: &str) {
        let path = format!("/api/v1/tokens/{id}");
        let (status, answer) = self.with(&self.captain(), &Method::DELETE, &path, "").await;
        assert_eq!(status, 204, "{answer}");
    }
}

#[tokio::test]
async fn what_a_token_lent_ends_with_it_and_so_does_what_waits_by_it() {
    let house = House::open().await;
    let operator = house.token("operator", TokenRole::Operator, Vec::new()).await;
    let other = house.token("other", TokenRole::Operator, Vec::new()).await;
    let far = house.lent_by(operator.secret.as_deref().unwrap(), "far").await;
    let near = house.lent_by(other.secret.as_deref().unwrap(), "near").await;
    assert_eq!((house.beats(&far).await, house.beats(&near).await), (200, 200));
    let id = operator.token.token.id.to_string();
    let ask = json!({"wait_s": 25}).to_string();
    let waiting = house.with(&far, &Method::POST, LEASE, &ask);
    let revoking = async {
        // Once it waits, it was let in.
        house.until("it waits", async |_| (house.beats(&far).await == 200).then_some(())).await;
        house.revoke(&id).await;
    };
    let begun = std::time::Instant::now();
    let ((status, answer), ()) = tokio::join!(waiting, revoking);
    assert_eq!(status, 401, "{answer}");
    assert!(begun.elapsed().as_secs() < 20, "it does not wait to the end");
    assert_eq!((house.beats(&far).await, house.beats(&near).await), (401, 200));
    let listed =
        house.with(&house.captain(), &Method::GET, "/api/v1/tokens?revoked=true", "").await;
    let state = |name: &str| {
        let items = listed.1["items"].as_array().unwrap();
        items.iter().find(|it| it["name"] == name).unwrap()["state"].clone()
    };
    assert_eq!(
        (state("attached: far"), state("attached: near")),
        (json!("revoked"), json!("valid"))
    );
    let house = house.reopen().await;
    assert_eq!((house.beats(&far).await, house.beats(&near).await), (401, 200), "and stays so");
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn the_tools_that_came_with_a_lease_end_with_the_token_that_took_it() {
    let house = House::open().await;
    let far = house.lent_by(&house.captain(), "far").await;
    house.work("Far work", |new| new.agent = Some("far".into())).await;
    let ask = json!({"wait_s": 25}).to_string();
    let (status, offer) = house.with(&far, &Method::POST, LEASE, &ask).await;
    assert_eq!(status, 200, "{offer}");
    let tools = offer["lease"]["tools"]["token"].as_str().unwrap().to_owned();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let own = format!("Bearer {tools}");
    let headers = [
        ("authorization", own.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let listed = async || house.post("/mcp", &headers, list.as_bytes()).await.0;
    assert_eq!(listed().await, 200);
    let tokens = house.engine.tokens(false).await.unwrap().items;
    house.engine.revoke_token(&caller(), tokens[0].token.id).await.unwrap();
    assert_eq!(listed().await, 401);
    house.close().await;
}

#[tokio::test]
async fn what_a_paired_browser_lent_ends_when_it_signs_out() {
    let house = House::open().await;
    let phone = house.paired("operator").await;
    let made = house.asked_in(&phone, ATTACHED, json!({"name": "far"})).await;
    let far = made["token"].as_str().unwrap().to_owned();
    assert_eq!(house.beats(&far).await, 200);
    assert_eq!(house.as_browser(&phone, Method::POST, "/api/v1/logout").await.0, 204);
    assert_eq!(house.beats(&far).await, 401);
    house.close().await;
}

#[tokio::test]
async fn all_that_was_made_in_a_browser_ends_when_it_is_signed_out_from_elsewhere() {
    let house = House::open().await;
    let stolen = house.browser().await;
    let new = json!({"name": "made in it", "role": "operator"});
    let made = house.asked_in(&stolen, "/api/v1/tokens", new).await["secret"].clone();
    let made = made.as_str().unwrap().to_owned();
    let far = house.lent_by(&made, "far").await;
    let link = house.asked_in(&stolen, "/api/v1/login/links", json!({})).await;
    let invited = house.signed_in_by(&link).await;
    let pairing = json!({"role": "viewer", "name": "phone"});
    let phone = house.asked_in(&invited, "/api/v1/pairings", pairing).await;
    let phone = house.signed_in_by(&phone).await;
    let mut stream = house.page_stream(&phone).await;

    let path = format!("/api/v1/logins/{}", stolen.id);
    assert_eq!(house.with(&house.captain(), &Method::DELETE, &path, "").await.0, 204);
    let end = async { while stream.next().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream of the phone ends");
    let who = "/api/v1/whoami";
    for browser in [&stolen, &invited, &phone] {
        assert_eq!(house.as_browser(browser, Method::GET, who).await.0, 401);
    }
    assert_eq!(house.with(&made, &Method::GET, who, "").await.0, 401);
    assert_eq!(house.beats(&far).await, 401);
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

impl House {
    /// Opens a link in a browser that is signed in already.
    async fn signed_in_again(&self, it: &Browser, link: &Value) -> Browser {
        let code = link["url"].as_str().unwrap().split_once("#login=").unwrap().1.to_owned();
        let cookie = [("cookie", it.cookie.as_str())];
        let (status, headers, told) = self.sign_in_with(&code, &cookie).await;
        assert_eq!(status, 200, "{told}");
        Browser::of(&headers, &told)
    }

    async fn end(&self, login: &str) -> u16 {
        let path = format!("/api/v1/logins/{login}");
        self.with(&self.captain(), &Method::DELETE, &path, "").await.0
    }
}

#[tokio::test]
async fn a_browser_that_is_not_trusted_leaves_nothing_behind_by_signing_in_again() {
    let house = House::open().await;
    let who = "/api/v1/whoami";
    let first = house.browser().await;
    let new = |name: &str| json!({"name": name, "role": "operator"});
    let token = async |it: &Browser, name: &str| {
        let made = house.asked_in(it, "/api/v1/tokens", new(name)).await;
        made["secret"].as_str().unwrap().to_owned()
    };
    let stands = async |secret: &str| house.with(secret, &Method::GET, who, "").await.0 == 200;
    let made = token(&first, "made before").await;
    let link = house.asked_in(&first, "/api/v1/login/links", json!({})).await;
    let second = house.signed_in_again(&first, &link).await;
    assert!(stands(&made).await, "what the captain made stays");
    let later = token(&second, "made after").await;
    let other = token(&house.browser().await, "of another browser").await;

    assert_eq!(house.end(&second.id).await, 204);
    assert_eq!((stands(&made).await, stands(&later).await), (false, false));
    assert!(stands(&other).await);
    assert_eq!(house.end(&second.id).await, 409, "nothing is left of it");

    // One that has given way is still somebody whose work can be undone.
    let old = house.browser().await;
    let by_old = token(&old, "made by the old one").await;
    let link = house.asked_in(&old, "/api/v1/login/links", json!({})).await;
    let now = house.signed_in_again(&old, &link).await;
    assert_eq!(house.end(&old.id).await, 204);
    assert!(!stands(&by_old).await);
    assert_eq!(house.as_browser(&now, Method::GET, who).await.0, 401);
    let house = house.reopen().await;
    for secret in [&made, &later, &by_old] {
        assert_eq!(house.with(secret, &Method::GET, who, "").await.0, 401, "and stays so");
    }
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn what_the_captain_made_in_a_browser_stays_when_it_signs_out_by_itself() {
    let house = House::open().await;
    let own = house.browser().await;
    let new = json!({"name": "build server", "role": "viewer"});
    let made = house.asked_in(&own, "/api/v1/tokens", new).await["secret"].clone();
    assert_eq!(house.as_browser(&own, Method::POST, "/api/v1/logout").await.0, 204);
    let who = "/api/v1/whoami";
    assert_eq!(house.with(made.as_str().unwrap(), &Method::GET, who, "").await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn of_the_tokens_that_are_asked_for_one_agent_at_once_one_is_good() {
    let house = House::open().await;
    house.lent_by(&house.captain(), "far").await;
    let (captain, body) = (house.captain(), json!({"name": "far", "new_token": true}).to_string());
    let ask = || house.with(&captain, &Method::POST, ATTACHED, &body);
    let asked = futures::future::join_all((0..8).map(|_| ask())).await;
    let mut good = 0;
    for (status, made) in &asked {
        assert_eq!(*status, 201, "{made}");
        let beat = house.beats(made["token"].as_str().unwrap()).await;
        good += usize::from(beat == 200);
    }
    assert_eq!(good, 1);
    let listed = house.engine.tokens(false).await.unwrap().items;
    assert_eq!(listed.len(), 1, "{listed:?}");
    house.close().await;
}
