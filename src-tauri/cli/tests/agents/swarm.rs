//! A real engine, real agents, a repository, and a model that does what the brief says.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::house::{House, json};
use crate::model::Model;
use crate::programs::Program;

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// All of it; no process of it outlives the test.
pub(crate) struct Swarm {
    pub(crate) house: House,
    pub(crate) model: Model,
    pub(crate) repository: PathBuf,
    place: Arc<TempDir>,
    path: OsString,
    program: &'static Program,
}

/// A process of an agent.
#[derive(Debug)]
pub(crate) struct Process {
    pid: String,
    /// Its arguments.
    pub(crate) line: String,
}

impl Swarm {
    /// Starts everything but an agent.
    pub(crate) fn of(program: &'static Program) -> Self {
        let path = program.path();
        let model = Model::open();
        let place = Arc::new(tempfile::tempdir().unwrap());
        let house = House::open_in(Arc::clone(&place), Some(&path));
        let repository = house.repository();
        Self { house, model, repository, place, path, program }
    }

    /// Adds an agent that asks for everything, in a home of its own.
    pub(crate) fn agent(&self, name: &str) {
        let home = self.place.path().join("homes").join(name);
        let mut args =
            ["agent", "add", name, "--preset", self.program.preset].map(str::to_owned).to_vec();
        args.extend(["--permissions", "ask", "--grace", "2"].map(str::to_owned));
        for (variable, value) in self.program.settle(&home, &self.model.url) {
            args.extend(["--env".to_owned(), format!("{variable}={value}")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.house.ok(&args);
    }

    /// Gives an agent a mission that is done when there is a file `HELLO.md`.
    pub(crate) fn mission(&self, agent: &str, brief: &str) -> String {
        self.mission_with(agent, brief, &[])
    }

    /// The same, with more said of it.
    pub(crate) fn mission_with(&self, agent: &str, brief: &str, more: &[&str]) -> String {
        let repository = self.repository.to_str().unwrap();
        let title = format!("What {agent} does");
        let work = ["--repo", repository, "--gate", "file: HELLO.md"];
        let add = ["mission", "add", "--title", &title, "--brief", brief, "--agent", agent];
        let made = self.house.json(&[&add[..], &work, more].concat());
        made["short_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a mission is in one of the states, and says in which.
    pub(crate) fn wait(&self, id: &str, states: &str) -> String {
        let patience = format!("{}s", PATIENCE.as_secs());
        let (code, _, error) =
            self.house.run(&["mission", "wait", id, "--for", states, "--timeout", &patience]);
        assert_eq!(code, 0, "{id}: {error}: {}", self.house.ok(&["logs", id]));
        self.shown(id)["state"].as_str().unwrap().to_owned()
    }

    /// Everything about a mission.
    pub(crate) fn shown(&self, id: &str) -> Value {
        self.house.json(&["mission", "show", id])
    }

    /// Waits until a mission asks for something, and returns the request.
    pub(crate) fn asked(&self, id: &str) -> Value {
        self.wait(id, "needs_input,done,failed,cancelled");
        let found = self.pending(id);
        found.unwrap_or_else(|| panic!("it asks for nothing: {}", self.shown(id)))
    }

    fn pending(&self, id: &str) -> Option<Value> {
        let inbox = self.house.json(&["inbox", "list"]);
        let mut requests = inbox["requests"].as_array().unwrap().iter();
        requests.find(|request| request["short_id"] == id).cloned()
    }

    /// Allows what was asked for, once.
    pub(crate) fn allow(&self, request: &Value) {
        self.house.ok(&["inbox", "answer", request["id"].as_str().unwrap(), "once"]);
    }

    /// Allows everything until a mission ended; returns how it ended and what it asked for.
    pub(crate) fn allow_all(&self, id: &str) -> (String, Vec<Value>) {
        let mut asked = Vec::new();
        loop {
            let state = self.wait(id, "needs_input,done,failed,cancelled");
            if ["done", "failed", "cancelled"].contains(&state.as_str()) {
                return (state, asked);
            }
            if let Some(request) = self.pending(id) {
                self.allow(&request);
                asked.push(request);
            }
        }
    }

    /// The entries of a mission's conversation of one kind.
    pub(crate) fn entries(&self, id: &str, kind: &str) -> Vec<Value> {
        let text = self.house.ok(&["logs", id, "--json"]);
        let bodies = text.lines().map(|line| json(line)["entry"]["body"].clone());
        bodies.filter(|body| body["kind"] == kind).collect()
    }

    /// Ends the engine without a warning and starts another one in its place.
    pub(crate) fn crash(&mut self) {
        self.house.kill();
        self.house = House::open_in(Arc::clone(&self.place), Some(&self.path));
    }

    /// The processes of agents: by their marker, by where they are, or by what they work on.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let place = self.place.path().to_str().unwrap();
        let engine = self.house.pid().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().into_string() else { continue };
            if pid == engine || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let read = |name: &str| {
                let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let (line, environment) = (read("cmdline"), read("environ"));
            let marked = environment.contains("HIVEKEEPER_RUN=") && environment.contains(place);
            let here =
                fs::read_link(entry.path().join("cwd")).is_ok_and(|it| it.starts_with(place));
            if marked || here || line.contains(place) {
                found.push(Process { pid, line });
            }
        }
        found
    }

    /// Waits until no process of any agent is left.
    pub(crate) fn nobody_is_left(&self) {
        until("no process is left", || self.processes().is_empty(), || self.processes());
    }

    /// What a file of a branch holds.
    pub(crate) fn file(&self, branch: &str, name: &str) -> Option<String> {
        let object = format!("{branch}:{name}");
        let shown =
            Command::new("git").arg("-C").arg(&self.repository).args(["show", &object]).output();
        let shown = shown.unwrap();
        shown.status.success().then(|| String::from_utf8(shown.stdout).unwrap())
    }

    /// Where the engine listens.
    pub(crate) fn address(&self) -> String {
        let endpoint = fs::read_to_string(Path::new(&self.house.data).join("endpoint.json"));
        json(&endpoint.unwrap())["url"].as_str().unwrap().to_owned()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // Agents outlive an engine that ends; those of a test that failed must not outlive the test.
        for process in self.processes() {
            drop(Command::new("kill").args(["-9", &process.pid]).status());
        }
    }
}

/// Waits for something; says what there was instead when it does not come.
pub(crate) fn until<T: std::fmt::Debug>(
    what: &str,
    met: impl Fn() -> bool,
    instead: impl Fn() -> T,
) {
    let until = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < until, "it never came to that: {what}; {:?}", instead());
        std::thread::yield_now();
    }
}
