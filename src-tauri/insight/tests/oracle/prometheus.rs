//! A real Prometheus with the same data, on a port of its own, for as long as the test runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insight::query::InMemory;
use serde_json::Value;

/// Points by labels.
pub(crate) type Answer = BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    /// Goes with it.
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one with these series, if there is one here.
    pub(crate) fn start(source: &InMemory) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.om");
        std::fs::write(&file, open_metrics(source)).unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .arg(&file)
            .arg(dir.path().join("tsdb"))
            .output();
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                eprintln!("skipped: promtool did not take the data: {error}");
                return None;
            }
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                eprintln!("skipped: prometheus does not start: {error}");
                return None;
            }
        };
        let prometheus = Self { child, port, _dir: dir };
        let begun = Instant::now();
        while prometheus.get("/-/ready").is_none_or(|(status, _)| status != 200) {
            assert!(begun.elapsed() < PATIENCE, "prometheus is not ready after {PATIENCE:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Some(prometheus)
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Asks it; a step of 0 asks for the end alone.
    pub(crate) fn ask(
        &self,
        text: &str,
        (from_ms, to_ms): (i64, i64),
        step_ms: i64,
    ) -> Result<Answer, String> {
        let query = encoded(text);
        let path = if step_ms == 0 {
            format!("/api/v1/query?query={query}&time={}", to_ms / 1000)
        } else {
            let (from, to, step) = (from_ms / 1000, to_ms / 1000, step_ms / 1000);
            format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}")
        };
        let (_, body) = self.get(&path).expect("prometheus answers");
        let body: Value = serde_json::from_str(&body).unwrap();
        if body["status"] != "success" {
            return Err(body["error"].to_string());
        }
        let result = &body["data"]["result"];
        if body["data"]["resultType"] == "scalar" {
            return Ok(BTreeMap::from([(BTreeMap::new(), vec![point(result)])]));
        }
        let series = result.as_array().unwrap().iter().map(|series| {
            let labels: BTreeMap<String, String> =
                serde_json::from_value(series["metric"].clone()).unwrap();
            let points = match series.get("values") {
                Some(values) => values.as_array().unwrap().iter().map(point).collect(),
                None => vec![point(&series["value"])],
            };
            (labels, points)
        });
        Ok(series.collect())
    }
}

fn point(pair: &Value) -> (i64, f64) {
    let at_ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
    (at_ms, pair[1].as_str().unwrap().parse().unwrap())
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

fn open_metrics(source: &InMemory) -> String {
    let mut text = String::new();
    let mut name = "";
    for (labels, samples) in source.iter() {
        if labels.name() != name {
            name = labels.name();
            writeln!(text, "# TYPE {name} unknown").unwrap();
        }
        let pairs: Vec<String> = labels
            .iter()
            .filter(|(label, _)| *label != "__name__")
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let pairs = pairs.join(",");
        for sample in samples {
            let (value, at) = (sample.value, sample.at_ms as f64 / 1000.0);
            let value = match value {
                value if value.is_nan() => "NaN".to_owned(),
                value if value.is_infinite() => "+Inf".to_owned(),
                value => value.to_string(),
            };
            writeln!(text, "{name}{{{pairs}}} {value} {at:.3}").unwrap();
        }
    }
    text.push_str("# EOF\n");
    text
}
