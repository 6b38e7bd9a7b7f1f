//! The example clients of agents that run elsewhere, as they are: a whole mission each, and a stop.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::attempt::AttemptState;
use model::mission::MissionState;
use model::transition::MissionInput;

use crate::{House, caller};

/// A client that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Starts an example with the captain's token, which registers its agent.
fn run(house: &House, example: &str, name: &str, command: &[&str]) -> Running {
    let out = std::fs::File::create(house.place.path().join(format!("{name}.log"))).unwrap();
    let child = Command::new(examples().join(example))
        .arg(name)
        .args(command)
        .env("HIVEKEEPER_URL", house.host.url())
        .env("HIVEKEEPER_TOKEN", house.captain())
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    Running(child)
}

async fn is_there(house: &House, name: &str) {
    house.until("the agent to register", async |engine| engine.agent(name).await.ok()).await;
}

fn said(house: &House, name: &str) -> String {
    std::fs::read_to_string(house.place.path().join(format!("{name}.log"))).unwrap()
}

/// Lets an example do a whole mission, and has it stop another one.
async fn drive(example: &str) {
    let house = House::open().await;
    let script = r#"cat > told.txt; echo "did it" > out.txt"#;
    let client = run(&house, example, "far", &["sh", "-c", script]);
    is_there(&house, "far").await;
    let mission = house
        .work("Do it", |new| {
            new.gates = vec!["file: out.txt".into()];
            new.policy = None;
        })
        .await;
    let detail = house
        .until_detail(&mission, |it| {
            assert!(it.attempts.len() < 2, "{it:#?}\n{}", said(&house, "far"));
            it.view.mission.state == MissionState::Done
        })
        .await;
    let place = detail.attempts[0].attempt.workplace.clone().unwrap().directory;
    let told = std::fs::read_to_string(Path::new(&place).join("told.txt")).unwrap();
    assert!(told.contains("The brief of Do it."), "{told}");

    // The next one never ends by itself.
    drop(client);
    let _client = run(&house, example, "slow", &["sh", "-c", "sleep 600"]);
    is_there(&house, "slow").await;
    let mission = house.work("Stop it", |new| new.agent = Some("slow".into())).await;
    house.until_detail(&mission, |it| it.view.mission.state == MissionState::Running).await;
    let ask = Default::default();
    house.engine.ask_mission(&caller(), &mission, MissionInput::Cancel, ask).await.unwrap();
    let detail = house
        .until_detail(&mission, |it| it.attempts[0].attempt.state == AttemptState::Stopped)
        .await;
    let note = detail.attempts[0].attempt.note.clone().unwrap();
    assert!(!note.contains("may still"), "{note}\n{}", said(&house, "slow"));
    house.close().await;
}

#[tokio::test]
async fn the_example_in_python_does_a_mission_and_stops_when_it_is_told() {
    let text = std::fs::read_to_string(examples().join("attached_agent.py")).unwrap();
    assert!(text.lines().count() <= 60, "it is meant to be read at a glance");
    drive("attached_agent.py").await;
}

#[tokio::test]
async fn the_example_in_python_ends_its_command_where_its_token_opens_nothing_any_more() {
    let house = House::open().await;
    let file = house.place.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", file.display());
    let _client = run(&house, "attached_agent.py", "far", &["sh", "-c", &script]);
    is_there(&house, "far").await;
    house.work("Work on", |_| {}).await;
    let pid = house.until("the command", async |_| std::fs::read_to_string(&file).ok()).await;
    let lost = serde_json::json!({"name": "far", "new_token": true});
    assert_eq!(house.say(&house.captain(), "/api/v1/attached", &lost).await.0, 201);
    let ended = async |_: &engine::Engine| {
        let mut look = Command::new("kill");
        look.args(["-0", pid.trim()]).stderr(Stdio::null());
        (!look.status().unwrap().success()).then_some(())
    };
    house.until("the command to end", ended).await;
    house.close().await;
}

#[tokio::test]
async fn the_example_in_shell_does_a_mission_and_stops_when_it_is_told() {
    drive("attached_agent.sh").await;
}
