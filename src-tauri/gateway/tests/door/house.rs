//! The house over HTTP: edits that name a version, the history of the settings, hooks, secrets,
//! backups, the log, and one correlation id for all that a request causes.

use serde_json::{Value, json};

use crate::House;

/// An answer with the headers this area looks at.
struct Answer {
    status: u16,
    tag: Option<String>,
    correlation_id: Option<String>,
    body: Value,
}

impl House {
    async fn order(&self, method: &str, path: &str, more: &[(&str, &str)], body: Value) -> Answer {
        let token = format!("Bearer {}", self.captain());
        let mut headers = vec![("authorization", token.as_str())];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        if !bytes.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend_from_slice(more);
        let (status, head, body) = self.exchange(method, path, &headers, &bytes).await;
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        Answer {
            status,
            tag: header("etag:"),
            correlation_id: header("x-correlation-id:"),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn peek(&self, path: &str) -> Answer {
        self.order("GET", path, &[], Value::Null).await
    }
}

#[tokio::test]
async fn an_edit_of_what_was_changed_meanwhile_is_refused_and_changes_nothing() {
    let house = House::open().await;
    let caller = crate::caller();
    let new = engine::view::NewAgent {
        name: "ann".into(),
        command: Some("true".into()),
        ..engine::view::NewAgent::default()
    };
    house.engine.add_agent(&caller, new).await.unwrap();
    let policy = json!({"name": "careful", "about": "", "grade": "human", "gates": [], "retries": 0,
        "backoff_s": 30, "hand_over": false});
    let template = json!({"name": "fix", "about": "", "title": "Fix", "brief": "Fix it."});
    let made = json!({"title": "Do it", "brief": "do it", "draft": true});
    let made = house.order("POST", "/api/v1/missions", &[], made).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mission = format!("/api/v1/missions/{}", made.body["short_id"].as_str().unwrap());
    for (path, body) in
        [("/api/v1/policies/careful", &policy), ("/api/v1/templates/fix", &template)]
    {
        let any = house.order("PUT", path, &[("if-match", "*")], body.clone()).await;
        assert_eq!((any.status, &any.body["code"]), (412, &json!("changed_meanwhile")), "{path}");
        assert_eq!(house.order("PUT", path, &[], body.clone()).await.status, 200, "{path}");
    }
    let with = |object: &Value, key: &str, value: Value| {
        let mut object = object.clone();
        object[key] = value;
        object
    };
    let edits = [
        ("PUT", "/api/v1/settings", json!({"trash_days": 7}), json!({"trash_days": 8})),
        (
            "PUT",
            "/api/v1/policies/careful",
            with(&policy, "retries", json!(1)),
            with(&policy, "retries", json!(2)),
        ),
        (
            "PUT",
            "/api/v1/templates/fix",
            with(&template, "title", json!("A")),
            with(&template, "title", json!("B")),
        ),
        ("PATCH", "/api/v1/agents/ann", json!({"role": "one"}), json!({"role": "two"})),
        ("PATCH", mission.as_str(), json!({"title": "One"}), json!({"title": "Two"})),
    ];
    for (method, path, mine, theirs) in edits {
        let read = house.peek(path).await;
        let tag = read.tag.unwrap_or_else(|| panic!("{path} has no tag"));
        // Somebody else is quicker.
        let quicker = house.order(method, path, &[], theirs).await;
        assert_eq!(quicker.status, 200, "{path}: {}", quicker.body);
        assert_ne!(quicker.tag.as_deref(), Some(tag.as_str()), "{path}");
        let late = house.order(method, path, &[("if-match", &tag)], mine.clone()).await;
        assert_eq!((late.status, &late.body["code"]), (412, &json!("changed_meanwhile")), "{path}");
        let now = house.peek(path).await;
        assert_eq!(now.tag, quicker.tag, "{path}: nothing was applied");
        let now = now.tag.unwrap();
        let key = format!("again-{path}");
        let headers = [("if-match", now.as_str()), ("idempotency-key", &key)];
        let right = house.order(method, path, &headers, mine.clone()).await;
        assert_eq!(right.status, 200, "{path}: {}", right.body);
        // The same request again is the same edit, although its tag is old by now.
        let again = house.order(method, path, &headers, mine).await;
        assert_eq!((again.status, again.tag), (200, right.tag), "{path}: {}", again.body);
    }
    let odd = house.order("PUT", "/api/v1/settings", &[("if-match", "abc")], json!({})).await;
    assert_eq!(odd.status, 422);
    house.close().await;
}

#[tokio::test]
async fn what_one_request_causes_bears_one_id_in_the_answer_and_in_the_events() {
    let house = House::open().await;
    let set = house.order("PUT", "/api/v1/settings", &[], json!({"trash_days": 7})).await;
    let id = set.correlation_id.unwrap();
    let events = house.peek("/api/v1/events?kind=settings_changed").await;
    assert_eq!(events.body["items"][0]["correlation_id"], id);
    let other = house.peek("/api/v1/settings").await.correlation_id.unwrap();
    assert_ne!(id, other);
    let history = house.peek("/api/v1/settings/history").await;
    assert_eq!(history.body["items"][0]["changes"][0]["key"], "trash_days");
    let seq = history.body["items"][0]["seq"].clone();
    let back = house.order("POST", "/api/v1/settings/rollback", &[], json!({"seq": 0})).await;
    assert_eq!((back.status, &back.body["trash_days"]), (200, &json!(30)));
    let back = house.order("POST", "/api/v1/settings/rollback", &[], json!({"seq": seq})).await;
    assert_eq!((back.status, &back.body["trash_days"]), (200, &json!(7)));
    house.close().await;
}

#[tokio::test]
async fn hooks_secrets_and_backups_are_the_captains_and_no_value_is_ever_told() {
    let house = House::open().await;
    let hook = json!({"name": "tell", "command": ["true"], "events": ["settings_changed"]});
    let made = house.order("POST", "/api/v1/hooks", &[], hook.clone()).await;
    assert_eq!((made.status, &made.body["timeout_s"]), (201, &json!(10)), "{}", made.body);
    assert_eq!(house.order("POST", "/api/v1/hooks", &[], hook).await.status, 409);
    let path = format!("/api/v1/hooks/{}", made.body["id"].as_str().unwrap());
    let tried = house.order("POST", &format!("{path}/test"), &[], Value::Null).await;
    assert_eq!((tried.status, &tried.body["ok"]), (200, &json!(true)), "{}", tried.body);
    let runs = house.peek(&format!("{path}/runs")).await;
    assert_eq!(runs.body["items"][0]["test"], true);
    let late =
        house.order("PATCH", &path, &[("if-match", "\"0\"")], json!({"enabled": false})).await;
    assert_eq!(late.status, 412);
    let off = house.order("PATCH", &path, &[], json!({"enabled": false})).await;
    assert_eq!((off.status, &off.body["enabled"]), (200, &json!(false)));
    let kinds = house.peek("/api/v1/events/kinds").await;
    assert!(kinds.body["items"].as_array().unwrap().contains(&json!("hook_failed")));
    assert_eq!(house.order("DELETE", &path, &[], Value::Null).await.status, 204);

    let value = json!({"value": "correct-horse-battery"});
    let key = [("idempotency-key", "k1")];
    let kept = house.order("PUT", "/api/v1/secrets/db", &key, value.clone()).await;
    assert_eq!((kept.status, &kept.body["name"]), (200, &json!("db")), "{}", kept.body);
    assert!(!kept.body.to_string().contains("correct-horse"));
    let all = house.peek("/api/v1/secrets").await;
    assert_eq!(all.body["items"][0]["name"], "db");
    assert!(!all.body.to_string().contains("correct-horse"));
    let short = house.order("PUT", "/api/v1/secrets/db", &[], json!({"value": "x"})).await;
    assert_eq!(short.status, 422);
    assert_eq!(house.order("PUT", "/api/v1/secrets/a%20b", &[], value).await.status, 422);
    assert_eq!(house.order("DELETE", "/api/v1/secrets/db", &[], Value::Null).await.status, 204);
    assert_eq!(house.order("DELETE", "/api/v1/secrets/db", &[], Value::Null).await.status, 404);

    let begun = house.order("POST", "/api/v1/backups", &[], Value::Null).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    let made = house
        .until("the backup is made", async |engine| {
            let all = engine.backups().await.unwrap().items;
            all.into_iter().find(|it| it.state == engine::view::BackupState::Done)
        })
        .await;
    assert_eq!(begun.body["file"], made.file);

    let token = json!({"name": "ops", "role": "operator"});
    let token = house.order("POST", "/api/v1/tokens", &[], token).await.body["secret"].clone();
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    for path in ["/api/v1/hooks", "/api/v1/secrets", "/api/v1/backups", "/api/v1/log"] {
        let (status, _) = house.send("GET", path, &[("authorization", &bearer)], b"").await;
        assert_eq!(status, 403, "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_try_an_import_and_a_backup_that_are_asked_for_again_under_one_key_are_done_once() {
    let house = House::open().await;
    let hook = json!({"name": "tell", "command": ["true"], "events": ["settings_changed"]});
    let made = house.order("POST", "/api/v1/hooks", &[], hook).await;
    let path = format!("/api/v1/hooks/{}", made.body["id"].as_str().unwrap());
    let (test, import) = (format!("{path}/test"), "/api/v1/settings/import");
    let config = json!({"config": {"version": 1, "settings": {"trash_days": 7}}});
    let asks = [(test.as_str(), Value::Null), (import, config), ("/api/v1/backups", Value::Null)];
    for (path, body) in asks {
        let key = [("idempotency-key", path)];
        let first = house.order("POST", path, &key, body.clone()).await;
        assert!(first.status < 300, "{path}: {}", first.body);
        let again = house.order("POST", path, &key, body).await;
        assert_eq!((again.status, again.body), (first.status, first.body), "{path}");
    }
    let runs = house.peek(&format!("{path}/runs")).await;
    let runs = runs.body["items"].as_array().unwrap().clone();
    assert_eq!(runs.iter().filter(|run| run["test"] == true).count(), 1, "{runs:?}");
    house.close().await;
}

#[tokio::test]
async fn the_log_is_read_by_level_and_text_and_what_is_no_level_is_refused() {
    let house = House::open().await;
    let logs = house.engine.data_dir().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let line = |level: &str, n: u32| {
        json!({"time": "2026-01-31T09:30:00Z", "level": level, "target": "t", "agent": null,
            "mission": "M-7K2P", "correlation_id": "c-1", "message": format!("line {n}"),
            "fields": {"n": n}})
        .to_string()
            + "\n"
    };
    let text = line("INFO", 1) + &line("WARN", 2) + &line("INFO", 3);
    std::fs::write(logs.join("hivekeeper.2031-01-01.0001.log"), text).unwrap();
    let all = house.peek("/api/v1/log?limit=2").await;
    assert_eq!(all.body["items"][0]["message"], "line 3");
    let next = all.body["next"].as_str().unwrap();
    let rest = house.peek(&format!("/api/v1/log?before={next}")).await;
    assert_eq!(rest.body["items"][0]["message"], "line 1");
    assert_eq!(rest.body["next"], Value::Null);
    let warned = house.peek("/api/v1/log?level=warn&text=LINE").await;
    assert_eq!(warned.body["items"].as_array().unwrap().len(), 1);
    for wrong in ["level=loud", "before=..%2F..%2Fpasswd:1", "limit=0", "lines=3"] {
        assert_eq!(house.peek(&format!("/api/v1/log?{wrong}")).await.status, 422, "{wrong}");
    }
    house.close().await;
}
