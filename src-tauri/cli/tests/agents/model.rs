//! A model provider that needs no network: it does what the brief says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A running model provider; it ends with the test.
pub(crate) struct Model {
    /// Where it answers.
    pub(crate) url: String,
    place: TempDir,
    server: Child,
}

impl Model {
    pub(crate) fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/rigs/fake_model_server.py");
        let mut server = Command::new("python3")
            .arg(program)
            .args(["--port", "0", "--log"])
            .arg(place.path().join("requests"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there: scripts/need.sh installs it");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("fake model on ").unwrap().to_owned();
        Self { url, place, server }
    }

    /// What it answered to the requests of a turn so far; titles and summaries do not count.
    pub(crate) fn steps(&self) -> Vec<String> {
        let log = fs::read_to_string(self.place.path().join("requests")).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|request| Some(request["act"].as_str()?.to_owned()))
            .filter(|act| act != "aux" && act != "schema")
            .collect()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
