//! The figures of the engine as Prometheus reads them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::House;

/// The value of each series, by its name with labels.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.map(|line| read(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

impl House {
    async fn metrics(&self, token: Option<&str>) -> (u16, String) {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|it| ("authorization", it.as_str())).collect();
        let (status, body) = self.send("GET", "/metrics", &headers, b"").await;
        (status, String::from_utf8(body).unwrap())
    }
}

#[tokio::test]
async fn metrics_passes_promtools_check() {
    let house = House::open().await;
    let work = house.at_work("ann \"the\\first\"").await;
    let otlp = format!("Bearer {}", work.token);
    let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"claude_code.api_request","attributes":[
        {"key":"input_tokens","value":{"intValue":"30"}},{"key":"output_tokens","value":{"intValue":"4"}},
        {"key":"cost_usd","value":{"doubleValue":0.25}},{"key":"model","value":{"stringValue":"m"}}]}]}]}]}"#;
    let headers = [("authorization", otlp.as_str()), ("content-type", "application/json")];
    let (status, _) = house.post("/v1/logs", &headers, body).await;
    assert_eq!(status, 200);
    let captain = house.captain();
    house
        .send("GET", "/no/such/page", &[("authorization", &format!("Bearer {captain}"))], b"")
        .await;
    let text = house
        .until("what was used is told", async |_| {
            let (status, text) = house.metrics(Some(&captain)).await;
            assert_eq!(status, 200, "{text}");
            text.contains("hivekeeper_tokens_total").then_some(text)
        })
        .await;

    let all = series(&text);
    let agent = r#"agent="ann \"the\\first\"""#;
    let value = |name: String| *all.get(&name).unwrap_or_else(|| panic!("{name}\n{text}"));
    assert_eq!(value(format!("hivekeeper_tokens_total{{{agent},kind=\"uncached_input\"}}")), 30.0);
    assert_eq!(value(format!("hivekeeper_tokens_total{{{agent},kind=\"output\"}}")), 4.0);
    assert!(
        (value(format!("hivekeeper_cost_usd_total{{{agent},by=\"agent\"}}")) - 0.25).abs() < 1e-9
    );
    assert_eq!(value("hivekeeper_missions{state=\"running\"}".into()), 1.0);
    assert_eq!(value("hivekeeper_missions{state=\"done\"}".into()), 0.0);
    let agents: f64 =
        all.iter().filter(|(name, _)| name.starts_with("hivekeeper_agents{")).map(|it| it.1).sum();
    assert_eq!(agents, 1.0);
    assert!(value("hivekeeper_ledger_events_total{ledger=\"main\"}".into()) > 3.0);
    assert_eq!(value("hivekeeper_ledger_up".into()), 1.0);
    let counted = "hivekeeper_http_request_duration_seconds_count";
    assert!(value(format!("{counted}{{code=\"2xx\",method=\"POST\",route=\"/v1/logs\"}}")) >= 1.0);
    let (_, again) = house.metrics(Some(&captain)).await;
    let own = format!("{counted}{{code=\"2xx\",method=\"GET\",route=\"/metrics\"}}");
    assert!(series(&again)[&own] >= 1.0);

    match Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(mut promtool) => {
            promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            let said = promtool.wait_with_output().unwrap();
            let words = [said.stdout, said.stderr].concat();
            assert!(said.status.success(), "{}\n{text}", String::from_utf8_lossy(&words));
        }
        Err(error) => {
            eprintln!("skipped: promtool did not look at /metrics: {error}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn whoever_may_not_see_gets_no_figures() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    assert_eq!(house.metrics(None).await.0, 401);
    assert_eq!(house.metrics(Some(&work.token)).await.0, 403);
    let head = house
        .send("POST", "/metrics", &[("authorization", &format!("Bearer {}", house.captain()))], b"")
        .await;
    assert_eq!(head.0, 405);
    house.close().await;
}
