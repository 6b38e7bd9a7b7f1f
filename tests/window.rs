//! The first flight in the real window: create, assign, watch, judge, export.

use crate::support::driver::Window;
use crate::support::{Place, git, program, until};

/// Creates an agent with this command line, from wherever the window is.
async fn create_agent(window: &Window, name: &str, command: &str) {
    window.click("nav-agents").await;
    window.click("new-agent").await;
    window.write("agent-command", command).await;
    window.write("agent-name", name).await;
    window.click("agent-create").await;
    window.until_text("heading", name).await;
}

/// Creates a mission for this agent with one command gate, and opens it.
async fn create_mission(window: &Window, agent: &str, repository: &str, gate: &str) {
    window.click("nav-missions").await;
    window.click("new-mission").await;
    window.write("mission-title", "Greet the captain").await;
    window.write("mission-brief", "Write greeting.txt").await;
    window.choose("mission-agent", agent).await;
    window.write("mission-repository", repository).await;
    window.find("repository-found").await;
    window.click("gate-add-command").await;
    window.write("gate-line", gate).await;
    window.click("mission-create").await;
    window.find("mission-state").await;
}

#[tokio::test]
async fn a_mission_assigned_by_click_is_watched_live_passes_its_gate_and_is_exported() {
    let place = Place::new();
    let repository = place.repository("work");
    let go = place.path("go");
    let fake = program("hivekeeper-fake-agent");
    let window = Window::open(&place).await;
    let command = format!(
        "{} say started until {} write greeting.txt hello say finished",
        fake.display(),
        go.display()
    );
    create_agent(&window, "ann", &command).await;
    create_mission(&window, "ann", &repository.display().to_string(), "grep hello greeting.txt")
        .await;
    window.until_attribute("mission-state", "data-state", "running").await;
    window.until_text("transcript", "started").await;
    std::fs::write(&go, "").unwrap();
    window.until_text("transcript", "finished").await;
    window.until_attribute("mission-state", "data-state", "done").await;
    window.until_attribute("gate-result", "data-verdict", "passed").await;
    window.until_attribute("evidence-grade", "data-grade", "observed").await;

    let branches = git(&repository, &["branch", "--list", "hive/*", "--format=%(refname:short)"]);
    assert!(branches.starts_with("hive/M-") && branches.ends_with("/1"), "{branches}");
    assert_eq!(git(&repository, &["show", &format!("{branches}:greeting.txt")]), "hello");
    assert_eq!(git(&repository, &["status", "--porcelain"]), "", "the checkout is left alone");

    window.click("nav-devlogs").await;
    window.click("devlog-item").await;
    window.until_text("devlog-text", "Greet the captain").await;
    window.click("devlog-export-md").await;
    let markdown = place.exported(".md").await;
    assert!(markdown.contains("Greet the captain") && markdown.contains("grep hello"));
    window.click("devlog-export-html").await;
    let html = place.exported(".html").await;
    assert!(html.contains("Greet the captain") && !html.contains("<script"));
    window.picture("devlog").await;
    window.close().await;
}

#[tokio::test]
async fn a_mission_whose_gate_fails_is_shown_as_failed_with_the_gates_output() {
    let place = Place::new();
    let repository = place.repository("work");
    let window = Window::open(&place).await;
    let command = format!("{} say 'all done'", program("hivekeeper-fake-agent").display());
    create_agent(&window, "hasty", &command).await;
    let gate = "echo no greeting here; test -s greeting.txt";
    create_mission(&window, "hasty", &repository.display().to_string(), gate).await;
    window.until_attribute("mission-state", "data-state", "failed").await;
    window.until_attribute("gate-result", "data-verdict", "failed").await;
    window.until_attribute("evidence-grade", "data-grade", "none").await;
    window.until_text("mission-reason", "exit code 1").await;
    window.until_text("gate-output", "no greeting here").await;
    window.picture("failed-gate").await;
    window.close().await;
}

#[tokio::test]
async fn after_a_kill_the_window_shows_the_adopted_attempt_with_its_output_complete() {
    let place = Place::new();
    let go = place.path("go");
    let window = Window::open(&place).await;
    let command = format!(
        "{} lines 200 5 say before until {} say after",
        program("hivekeeper-fake-agent").display(),
        go.display()
    );
    create_agent(&window, "ann", &command).await;
    let repository = place.repository("work").display().to_string();
    create_mission(&window, "ann", &repository, "true").await;
    // The last lines are the ones in sight, however late the page comes.
    window.until_text("transcript", "before").await;
    kill_engine(&place).await;
    window.close().await;

    let window = Window::open(&place).await;
    window.click("nav-missions").await;
    window.click("mission-card").await;
    window.until_attribute("mission-state", "data-state", "running").await;
    std::fs::write(&go, "").unwrap();
    window.until_attribute("mission-state", "data-state", "done").await;
    window.until_text("transcript", "after").await;
    let log = std::fs::read_dir(place.data().join("runs")).unwrap().flatten().next().unwrap();
    let printed = std::fs::read_to_string(log.path().join("stdout.log")).unwrap();
    assert_eq!(printed.lines().count(), 202, "every line is there once");
    assert!(printed.starts_with("line 1\n") && printed.ends_with("before\nafter\n"));
    window.close().await;
}

#[tokio::test]
async fn what_a_window_remembers_belongs_to_its_workspace() {
    let (place, other) = (Place::new(), Place::new());
    let window = Window::open(&place).await;
    window.click("nav-missions").await;
    // The view is fetched when it is first shown; a key before that is nobody's.
    window.until_attribute("missions", "data-look", "board").await;
    window.press("3").await;
    window.until_attribute("missions", "data-look", "graph").await;
    window.close().await;
    let window = Window::open(&other).await;
    window.click("nav-missions").await;
    window.until_attribute("missions", "data-look", "board").await;
    window.close().await;
    let window = Window::open(&place).await;
    window.click("nav-missions").await;
    window.until_attribute("missions", "data-look", "graph").await;
    window.close().await;
}

#[tokio::test]
async fn the_window_attaches_to_an_engine_that_runs_already() {
    let place = Place::new();
    let mut engine = serve(&place);
    let window = Window::open(&place).await;
    create_agent(&window, "ann", "true").await;
    let listed = std::process::Command::new(program("hivekeeper"))
        .args(["agent", "list", "--json", "--data-dir"])
        .arg(place.data())
        .output()
        .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["items"][0]["name"], "ann", "it is the running engine's");
    // What happens there reaches this window live.
    let added = std::process::Command::new(program("hivekeeper"))
        .args(["agent", "add", "bob", "--command", "true", "--data-dir"])
        .arg(place.data())
        .status()
        .unwrap();
    assert!(added.success());
    window.click("nav-agents").await;
    window.until_text("agent-table", "bob").await;
    window.close().await;
    assert!(engine.try_wait().unwrap().is_none(), "the engine goes on without the window");
    engine.kill().unwrap();
    engine.wait().unwrap();
}

/// Starts `hivekeeper serve` and waits until it listens.
fn serve(place: &Place) -> std::process::Child {
    use std::io::BufRead as _;
    let mut engine = std::process::Command::new(program("hivekeeper"))
        .args(["serve", "--data-dir"])
        .arg(place.data())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufReader::new(engine.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("listening on http://127.0.0.1:"), "{said}");
    engine
}

/// Ends the program of the window as a crash would, and waits until it is gone.
async fn kill_engine(place: &Place) {
    let endpoint = std::fs::read_to_string(place.data().join("endpoint.json")).unwrap();
    let endpoint: serde_json::Value = serde_json::from_str(&endpoint).unwrap();
    let pid = endpoint["pid"].as_u64().unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
    until("the killed program to be gone", async || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let gone = state.is_empty() || state.contains(") Z ");
        gone.then_some(())
    })
    .await;
}
