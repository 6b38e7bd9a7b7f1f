//! Health over HTTP: checks, what they found, maintenance, and who sees what of them.

use serde_json::{Value, json};

use crate::House;

impl House {
    /// Asks as the captain; gives the status, the tag and the body.
    async fn health(&self, method: &str, path: &str, body: Value) -> (u16, String, Value) {
        self.health_with(method, path, &[], body).await
    }

    async fn health_with(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Value,
    ) -> (u16, String, Value) {
        let token = format!("Bearer {}", self.captain());
        let mut headers = vec![("authorization", token.as_str())];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        if !bytes.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend_from_slice(more);
        let path = format!("/api/v1/health{path}");
        let (status, head, body) = self.exchange(method, &path, &headers, &bytes).await;
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, tag.unwrap_or_default().trim().to_owned(), body)
    }
}

#[tokio::test]
async fn a_check_is_made_changed_looked_at_told_of_and_removed() {
    let house = House::open().await;
    let probe = json!({"kind": "disk", "path": "/", "failed_free_percent": 0,
        "degraded_free_percent": 0});
    let new = json!({"name": "root", "probe": probe, "interval_s": 3600});
    let key = [("idempotency-key", "k1")];
    let (status, _, made) = house.health_with("POST", "/checks", &key, new.clone()).await;
    assert_eq!((status, &made["kind"]), (201, &json!("disk")), "{made}");
    let (again, _, same) = house.health_with("POST", "/checks", &key, new.clone()).await;
    assert_eq!((again, &same["id"]), (201, &made["id"]), "the same request is done once");
    assert_eq!(house.health("POST", "/checks", new).await.0, 409);
    let path = format!("/checks/{}", made["id"].as_str().unwrap());
    house
        .until("it was looked at", async |engine| {
            engine.check(made["id"].as_str().unwrap()).ok().filter(|it| it.last_at.is_some())
        })
        .await;
    let (status, tag, view) = house.health("GET", &path, Value::Null).await;
    assert_eq!((status, &view["state"]), (200, &json!("ok")), "{view}");
    assert_eq!(view["settings"]["timeout_s"], 5);
    let (status, _, run) = house.health("POST", &format!("{path}/run"), Value::Null).await;
    assert_eq!((status, &run["beat"]["state"]), (200, &json!("ok")), "{run}");
    let edit = json!({"failures": 5});
    let stale = [("if-match", "\"0\"")];
    assert_eq!(house.health_with("PATCH", &path, &stale, edit.clone()).await.0, 412);
    let fresh = [("if-match", tag.as_str())];
    let (status, _, edited) = house.health_with("PATCH", &path, &fresh, edit).await;
    assert_eq!((status, &edited["settings"]["failures"]), (200, &json!(5)), "{edited}");
    let (status, _, history) = house.health("GET", &format!("{path}/history"), Value::Null).await;
    assert_eq!(status, 200);
    assert!(history["beats"].as_array().is_some_and(|beats| beats.len() >= 2), "{history}");
    let backwards = format!("{path}/history?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z");
    assert_eq!(house.health("GET", &backwards, Value::Null).await.0, 422);
    assert_eq!(house.health("POST", &format!("{path}/report"), Value::Null).await.0, 409);
    assert_eq!(house.health("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(house.health("GET", &path, Value::Null).await.0, 404);
    house.close().await;
}

#[tokio::test]
async fn checks_are_listed_by_subject_and_state_page_by_page() {
    let house = House::open().await;
    house
        .until("the parts are looked at", async |engine| {
            engine.check("engine.store").ok().filter(|it| it.last_at.is_some())
        })
        .await;
    let list =
        async |query: &str| house.health("GET", &format!("/checks{query}"), Value::Null).await;
    let (_, _, all) = list("?subject=engine").await;
    let count = all["items"].as_array().unwrap().len();
    assert!(count >= 8, "{all}");
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, _, page) = list(&format!("?limit=3&subject=engine{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), count);
    let (_, _, none) = list("?subject=user").await;
    assert_eq!(none["items"], json!([]));
    for wrong in ["?limit=0", "?state=fine", "?subject=all", "?cursor=nobody", "?colour=red"] {
        assert_eq!(list(wrong).await.0, 422, "{wrong}");
    }
    let (status, _, counts) = house.health("GET", "", Value::Null).await;
    assert_eq!(status, 200);
    assert!(counts["ok"].as_u64().is_some_and(|ok| ok >= 1), "{counts}");
    house.close().await;
}

#[tokio::test]
async fn who_may_not_change_checks_sees_no_secret_of_them_and_may_set_maintenance() {
    let house = House::open().await;
    let command = json!({"kind": "command", "command": ["true", "--key=abc-secret"]});
    let url = json!({"kind": "http", "url": "http://127.0.0.1:9/a?key=abc-secret"});
    for (name, probe) in [("one", command), ("two", url)] {
        let new = json!({"name": name, "probe": probe, "interval_s": 3600});
        assert_eq!(house.health("POST", "/checks", new).await.0, 201);
    }
    let own = "/checks?subject=user";
    let (_, _, all) = house.health("GET", own, Value::Null).await;
    assert!(all.to_string().contains("abc-secret"), "the captain sees what there is: {all}");
    let token = json!({"name": "ops", "role": "operator"}).to_string();
    let captain = format!("Bearer {}", house.captain());
    let headers = [("authorization", captain.as_str()), ("content-type", "application/json")];
    let (_, made) = house.send("POST", "/api/v1/tokens", &headers, token.as_bytes()).await;
    let made: Value = serde_json::from_slice(&made).unwrap();
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for path in ["/api/v1/health/checks?subject=user", "/api/v1/events"] {
        let (status, body) = house.send("GET", path, &headers, b"").await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 200 && !body.contains("abc-secret"), "{path}: {body}");
    }
    let (status, _) = house.send("POST", "/api/v1/health/checks", &headers, b"{}").await;
    assert_eq!(status, 403);
    let window = json!({"until": "2999-01-01T00:00:00Z"}).to_string();
    let path = "/api/v1/health/maintenance";
    let (status, _) = house.send("POST", path, &headers, window.as_bytes()).await;
    assert_eq!(status, 422, "it is far too long");
    let until =
        model::clock::Clock::now(&model::clock::SystemClock) + jiff::SignedDuration::from_hours(1);
    let window = json!({"until": until, "note": "the disk"}).to_string();
    let (status, body) = house.send("POST", path, &headers, window.as_bytes()).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["active"]), (201, &json!(true)), "{body}");
    let (_, _, under) = house.health("GET", own, Value::Null).await;
    let all = under["items"].as_array().unwrap();
    assert!(all.iter().all(|it| it["maintenance"] == true && it["state"] == "unknown"), "{under}");
    let one = format!("{path}/{}", body["id"].as_str().unwrap());
    assert_eq!(house.send("DELETE", &one, &headers, b"").await.0, 204);
    assert_eq!(house.send("DELETE", &one, &headers, b"").await.0, 404);
    house.close().await;
}
