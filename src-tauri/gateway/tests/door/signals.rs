//! Questions about what was measured, over HTTP.

use std::time::Duration;

use engine::{SignalAsk, When};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::House;

/// Asks for a range of the last hour.
async fn asked(house: &House, rest: &str) -> (StatusCode, Value) {
    let path = format!("/api/v1/signals/query_range?last=3600&{rest}");
    let (status, _, answer) = house.ask(Method::GET.as_str(), &path, "").await;
    (status, answer)
}

/// Waits until the engine has measured itself for a while.
async fn measured(house: &House) {
    let many = async |engine: &engine::Engine| {
        let now = engine.clock().now();
        let ask = SignalAsk {
            expr: "count_over_time(engine_memory_bytes[1h])".into(),
            when: When::At(now),
            lookback_ms: None,
            top: None,
            deadline: Duration::from_secs(10),
        };
        let answer = engine.ask_signals(ask).await.unwrap();
        answer.series.first().filter(|it| it.buckets[0].last >= 3.0).map(|_| ())
    };
    house.until("the engine measures itself", many).await;
}

#[tokio::test]
async fn an_expression_is_answered_in_columns_at_steps_and_as_a_table() {
    let house = House::open().await;
    measured(&house).await;
    let (status, answer) = asked(&house, "expr=engine_memory_bytes&points=10").await;
    assert_eq!(status, 200, "{answer}");
    let series = &answer["series"][0];
    assert_eq!(series["labels"]["__name__"], "engine_memory_bytes", "{answer}");
    assert_eq!(series["unit"], "B");
    assert!(series["buckets"][0]["min"].as_f64() > Some(0.0), "{answer}");
    assert!(series["buckets"].as_array().unwrap().len() <= 10);
    // Columns of six minutes are made of the sums of minutes: one row may hold all samples there are.
    assert!(series["buckets"][0]["count"].as_u64() >= Some(3), "{answer}");
    assert!(answer["stats"]["samples_read"].as_u64() >= Some(1), "{answer}");
    assert!(answer["marks"].is_array() && answer["step_ms"].as_u64() > Some(0), "{answer}");

    let (_, answer) = asked(&house, "expr=engine_memory_bytes/0&points=10").await;
    assert_eq!(answer["series"].as_array().unwrap().len(), 0);
    assert!(answer["notes"][0].as_str().unwrap().contains("no finite numbers"), "{answer}");

    let (status, answer) = asked(&house, "expr=sum(engine_memory_bytes)&step=1").await;
    assert_eq!((status.as_u16(), &answer["step_ms"]), (200, &Value::from(1000)), "{answer}");

    let path = "/api/v1/signals/query?expr=engine_memory_bytes";
    let (status, _, answer) = house.ask("GET", path, "").await;
    assert_eq!((status.as_u16(), &answer["step_ms"]), (200, &Value::from(0)), "{answer}");

    let path = "/api/v1/signals/query?expr=engine_memory_bytes&format=csv";
    let bearer = format!("Bearer {}", house.captain());
    let (status, head, body) =
        house.exchange("GET", path, &[("authorization", &bearer)], b"").await;
    let body = String::from_utf8(body).unwrap();
    assert!(status == 200 && head.to_lowercase().contains("text/csv"), "{head}");
    assert!(body.starts_with("at,series,unit,min,max,mean,last,count\r\n"), "{body}");
    assert!(body.contains(",engine_memory_bytes,B,"), "{body}");

    let (_, _, series) =
        house.ask("GET", "/api/v1/signals/series?match=engine_memory_bytes", "").await;
    assert!(series["items"][0]["latest"]["value"].as_f64() > Some(0.0), "{series}");
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_its_place() {
    let house = House::open().await;
    let (status, problem) = asked(&house, "expr=rates(engine_memory_bytes%5B5m%5D)").await;
    assert_eq!((status.as_u16(), &problem["position"]), (422, &Value::from(1)), "{problem}");
    assert_eq!(problem["hint"], "did you mean rate?");
    for (rest, status) in [
        ("expr=", 422),
        ("points=5", 422),
        ("expr=no_such_signal", 404),
        ("expr=1&points=5&step=5", 422),
        ("expr=1&points=0", 422),
        ("expr=1&top_by=luck", 422),
        ("expr=1&timeout=99", 422),
        ("expr=1&format=xml", 422),
        ("expr=%7Ba%3D~%22(x%7B999%7D)%7B999%7D%22%7D", 422),
    ] {
        let (seen, problem) = asked(&house, rest).await;
        assert_eq!(seen.as_u16(), status, "{rest}: {problem}");
    }
    let deep = "(".repeat(2000);
    let (status, _) = asked(&house, &format!("expr={deep}")).await;
    assert_eq!(status.as_u16(), 422);
    let years = "/api/v1/signals/query_range?expr=sum(engine_memory_bytes)&from=2016-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&step=1";
    let (status, _, problem) = house.ask("GET", years, "").await;
    assert_eq!(status.as_u16(), 422, "{problem}");
    let (status, _, problem) = house.ask("DELETE", "/api/v1/signals/questions/77", "").await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &Value::from("not_found")));
    let (_, _, questions) = house.ask("GET", "/api/v1/signals/questions", "").await;
    assert_eq!(questions["items"].as_array().unwrap().len(), 0);
    house.close().await;
}
