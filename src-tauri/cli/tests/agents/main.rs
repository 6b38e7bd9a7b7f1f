//! Real agents drive whole missions through the real program, without a network and without a key.
//!
//! `scripts/agents.sh` installs them. Without them nothing here can run: these tests are built with the
//! feature `real-agents` only, which `make test` does after it has installed the agents; where it
//! cannot, its summary says that they were not run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../house/mod.rs"]
mod house;
mod model;
mod programs;
mod swarm;

use programs::{CODEX, GOOSE, OPENCODE, Program, Used};
use swarm::{Swarm, until};

/// Reports half of it as done, by our own tool.
const REPORT: &str = r#"[[fake:mcp report_progress {"percent":50}]]"#;

fn a_whole_mission(program: &'static Program) {
    let swarm = Swarm::of(program);
    swarm.agent("ann");
    let run = program.run;
    let (write, shell) = (run("echo hi > HELLO.md"), run("echo shell > shell.txt"));
    let id = swarm.mission("ann", &format!("{write}{shell}{REPORT}"));
    let first = swarm.asked(&id);
    let branch = format!("hive/{id}/1");
    assert_eq!(first["ask"]["kind"], "permission", "{first}");
    assert_eq!(first["agent"], "ann");
    assert_eq!(swarm.model.steps().len(), 1, "it waits for the answer");
    let (state, asked) = swarm.allow_all(&id);
    let shown = swarm.shown(&id);
    assert_eq!(state, "done", "{shown}");
    let commands: Vec<_> = asked.iter().map(|it| &it["ask"]["permission"]["command"]).collect();
    assert_eq!(commands, ["echo hi > HELLO.md", "echo shell > shell.txt"]);

    assert_eq!(shown["progress"]["percent"], 50, "what it reports is seen: {shown}");
    assert_eq!(shown["evidence"]["grade"], "observed", "{shown}");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["attempts"][0]["workplace"]["branch"], branch.as_str());
    assert_eq!(swarm.file(&branch, "HELLO.md").as_deref(), Some("hi\n"));
    assert_eq!(swarm.file(&branch, "shell.txt").as_deref(), Some("shell\n"));
    assert_eq!(swarm.file("main", "HELLO.md"), None, "its work is on its own branch");
    assert!(!swarm.repository.join("HELLO.md").exists(), "and in its own worktree");

    assert_eq!(swarm.entries(&id, "prompt").len(), 1);
    assert_eq!(swarm.model.steps().len(), 4, "{:?}", swarm.model.steps());
    used(&swarm, &id, &program.used);
    swarm.nobody_is_left();
}

/// What a mission used is what its agent says of it, no more and no less.
fn used(swarm: &Swarm, id: &str, truth: &Used) {
    let usage = swarm.house.json(&["usage", id]);
    let best = &usage["best"];
    assert_eq!(best["source"], truth.source, "{usage}");
    assert_eq!(best["tokens"]["uncached_input"].as_u64(), truth.uncached_input, "{usage}");
    assert_eq!(best["tokens"]["cache_read"].as_u64(), truth.cache_read, "{usage}");
    assert_eq!(best["tokens"]["output"].as_u64(), truth.output, "{usage}");
    assert_eq!(best["reported_cost_micros"].as_u64(), truth.cost_micros, "{usage}");
}

fn a_cancelled_turn(program: &'static Program) {
    let swarm = Swarm::of(program);
    swarm.agent("ann");
    let id = swarm.mission("ann", &(program.run)("sleep 86399"));
    swarm.allow(&swarm.asked(&id));
    let sleeps = || swarm.processes().iter().any(|it| it.line.trim() == "sleep 86399");
    until("its command runs", sleeps, || swarm.processes());
    swarm.house.ok(&["mission", "cancel", &id]);
    assert_eq!(swarm.wait(&id, "cancelled,done,failed"), "cancelled");
    swarm.nobody_is_left();
    assert_eq!(swarm.shown(&id)["state"], "cancelled");
    assert_eq!(swarm.entries(&id, "prompt").len(), 1);
}

fn a_killed_engine(program: &'static Program) {
    let mut swarm = Swarm::of(program);
    swarm.agent("ann");
    let write = (program.run)("echo hi > HELLO.md");
    let id = swarm.mission("ann", &format!("{write}{REPORT}[[fake:slow 5]]"));
    let request = swarm.asked(&id);
    let address = swarm.address();
    swarm.crash();
    assert_eq!(swarm.address(), address, "agents find it again");
    let again = swarm.asked(&id);
    assert_eq!(again["id"], request["id"], "it is asked once");
    swarm.allow(&again);

    // In the middle of its answer.
    let text = |swarm: &Swarm| {
        let said = swarm.entries(&id, "message");
        said.iter().filter_map(|it| it["text"].as_str()).collect::<String>()
    };
    until("it begins to answer", || text(&swarm).contains("FAKE"), || text(&swarm));
    swarm.crash();
    assert!(!swarm.model.steps().is_empty());
    assert_eq!(swarm.shown(&id)["state"], "running", "it was in the middle of it");

    let (state, asked) = swarm.allow_all(&id);
    let shown = swarm.shown(&id);
    assert_eq!(state, "done", "{shown}");
    assert!(asked.is_empty(), "{asked:?}");
    assert_eq!(shown["progress"]["percent"], 50, "its tools went on: {shown}");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(swarm.entries(&id, "prompt").len(), 1, "it was told once");
    assert_eq!(swarm.model.steps().len(), 3, "{:?}", swarm.model.steps());
    let said = text(&swarm);
    assert_eq!(said.matches("FAKE-FINAL").count(), 1, "nothing is lost or twice: {said}");
    swarm.nobody_is_left();
}

fn errors_of_the_provider(program: &'static Program) {
    let swarm = Swarm::of(program);
    let missions = [
        ("ann", "[[fake:error 401 99]]"),
        ("bob", "[[fake:error 500 99]]"),
        ("cid", "[[fake:drop]]"),
        ("dan", "[[fake:hang 600]]"),
    ]
    .map(|(agent, brief)| {
        swarm.agent(agent);
        swarm.mission(agent, &format!("{brief} by {agent}"))
    });
    let [refused, broken, dropped, hung] = &missions;
    for id in [refused, broken, dropped] {
        let state = swarm.wait(id, "done,failed,cancelled,in_review");
        assert_eq!(state, "failed", "{}", swarm.shown(id));
    }
    let reason = swarm.shown(refused)["reason"].to_string();
    assert!(reason.contains("logged in"), "what to do is said: {reason}");
    let reason = swarm.shown(broken)["reason"].to_string();
    assert!(reason.contains("could not go on"), "{reason}");
    assert_eq!(swarm.shown(hung)["state"], "running", "waiting for a model is work");
    swarm.house.ok(&["mission", "cancel", hung]);
    assert_eq!(swarm.wait(hung, "done,failed,cancelled"), "cancelled");
    swarm.nobody_is_left();
}

/// A provider that refuses for too many requests: twice, and for ever.
fn too_many_requests(program: &'static Program) {
    let swarm = Swarm::of(program);
    let write = (program.run)("echo hi > HELLO.md");
    for agent in ["ann", "bob"] {
        swarm.agent(agent);
    }
    let passing = swarm.mission("ann", &format!("[[fake:error 429 2]]{write}"));
    let lasting = swarm.mission_with(
        "bob",
        "[[fake:error 429 999]] for ever",
        &["--retries", "1", "--backoff", "3"],
    );
    // Some agents try again by themselves, and some end their turn at once.
    let (state, _) = swarm.allow_all(&passing);
    let shown = swarm.shown(&passing);
    match state.as_str() {
        "done" => assert_eq!(shown["evidence"]["grade"], "observed", "{shown}"),
        _ => refused_for_too_many(&shown),
    }
    assert_eq!(swarm.wait(&lasting, "done,failed,cancelled,in_review"), "failed");
    let shown = swarm.shown(&lasting);
    refused_for_too_many(&shown);
    let attempts = shown["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "it is tried as often as was said, and no more: {shown}");
    let at = |n: u64, what: &str| {
        let of = attempts.iter().find(|attempt| attempt["n"] == n).unwrap();
        of[what].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let pause = at(2, "leased_at").duration_since(at(1, "ended_at"));
    // Three seconds, a fifth more or less.
    assert!(pause.as_millis() >= 2400, "it backs off before it tries again: {pause}");
    swarm.nobody_is_left();
}

/// The mission has failed, nothing is proved, and every attempt says what its provider said.
fn refused_for_too_many(shown: &serde_json::Value) {
    assert_eq!(shown["state"], "failed", "{shown}");
    assert_eq!(shown["evidence"]["grade"], "none", "{shown}");
    for attempt in shown["attempts"].as_array().unwrap() {
        assert_eq!(attempt["state"], "rejected", "{shown}");
        let said = attempt["ended"].to_string().to_lowercase();
        let names = ["429", "rate limit", "too many requests", "rate_limit"];
        assert!(names.iter().any(|name| said.contains(name)), "{said}");
    }
}

/// The same for every agent.
macro_rules! with {
    ($agent:ident, $program:expr) => {
        mod $agent {
            use super::*;

            #[test]
            fn a_mission_is_asked_for_answered_reported_and_proved_by_its_gate() {
                a_whole_mission($program);
            }

            #[test]
            fn cancelling_a_running_turn_leaves_no_process_of_its_tree() {
                a_cancelled_turn($program);
            }

            #[test]
            fn an_engine_killed_twice_in_a_turn_goes_on_with_the_one_prompt_it_sent() {
                a_killed_engine($program);
            }

            #[test]
            fn errors_of_the_provider_are_never_done_and_leave_no_process() {
                errors_of_the_provider($program);
            }

            #[test]
            fn a_refusal_for_too_many_requests_is_named_backed_off_from_and_never_done() {
                too_many_requests($program);
            }
        }
    };
}

with!(goose, &GOOSE);
with!(codex, &CODEX);
with!(opencode, &OPENCODE);
