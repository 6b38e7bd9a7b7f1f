//! Gates on real commands and files.

use std::time::Instant;

use agents::gate;
use model::clock::SystemClock;
use model::gate::{GATE_OUTPUT_BYTES_MAX, GateResult, GateSpec, Verdict};
use tokio_util::sync::CancellationToken;

use crate::support::{FAKE, Run, launcher};

async fn run_gate(run: &Run, gate: &GateSpec, cancel: &CancellationToken) -> GateResult {
    let launcher = launcher();
    let place = run.place();
    let env = [("HIVEKEEPER_MISSION".to_owned(), "m1".to_owned())];
    let commit = Some("c0ffee".to_owned());
    gate::run(&launcher, gate, 2, &run.dir(), &place, commit, &env, &SystemClock, cancel).await
}

async fn decide(run: &Run, gate: GateSpec) -> GateResult {
    run_gate(run, &gate, &CancellationToken::new()).await
}

fn command(command: impl Into<String>, timeout_s: u32) -> GateSpec {
    GateSpec::Command { command: command.into(), timeout_s }
}

/// The processes of the gate, by the marker it gives them.
fn gate_processes(run: &Run) -> usize {
    let marker = run.dir().join("gates/2").display().to_string();
    shim::proc::marked(&marker).len()
}

#[tokio::test]
async fn a_command_decides_by_its_exit_code_and_its_output_is_kept_in_order() {
    let check = async |line: &str, verdict, code, output: &str| {
        let run = Run::new();
        let result = decide(&run, command(line, 60)).await;
        assert_eq!(result.verdict, verdict, "{result:?}");
        assert_eq!(result.exit_code, code);
        assert_eq!(result.output, output);
        assert_eq!(result.output_bytes, output.len() as u64);
        assert_eq!((result.index, result.commit.as_deref()), (2, Some("c0ffee")));
    };
    let passed = Verdict::Passed;
    check("echo a; echo b >&2; echo c", passed, Some(0), "a\nb\nc\n").await;
    check("echo $HIVEKEEPER_MISSION", passed, Some(0), "m1\n").await;
    check("echo no; exit 3", Verdict::Failed, Some(3), "no\n").await;
    check("kill -9 $$", Verdict::Failed, None, "").await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_fails_and_says_so() {
    let result = decide(&Run::new(), command("no-such-checker --all", 60)).await;
    assert_eq!(result.verdict, Verdict::Failed);
    assert!(result.reason.contains("did not find"), "{}", result.reason);
    assert!(result.output.contains("no-such-checker"), "{}", result.output);
}

#[tokio::test]
async fn a_gate_that_takes_too_long_is_ended_with_everything_it_started() {
    let run = Run::new();
    let begun = Instant::now();
    let line = format!("echo begun; {FAKE} daemon 600000 child 600000 forever");
    let result = decide(&run, command(line, 1)).await;
    assert_eq!(result.verdict, Verdict::TimedOut);
    assert_eq!(result.output, "begun\n");
    assert!(result.reason.contains("within 1 s"), "{}", result.reason);
    assert_eq!(gate_processes(&run), 0);
    assert!(begun.elapsed().as_secs() < 20);
}

#[tokio::test]
async fn a_cancelled_gate_is_ended_and_proves_nothing() {
    let run = Run::new();
    let cancel = CancellationToken::new();
    let begun = run.place().join("begun");
    let stop = cancel.clone();
    let seen = tokio::task::spawn_blocking(move || {
        crate::support::until("the gate to begin", || begun.exists());
        stop.cancel();
    });
    let gate = command("touch begun; sleep 600", 600);
    let result = run_gate(&run, &gate, &cancel).await;
    seen.await.unwrap();
    assert_eq!(result.verdict, Verdict::Broken);
    assert!(result.reason.contains("cancelled"), "{}", result.reason);
    assert_eq!(gate_processes(&run), 0);
}

#[tokio::test]
async fn of_much_output_the_end_is_kept_and_all_of_it_counted() {
    let line = format!("{FAKE} flood 5000000 garbage say 'the end'");
    let result = decide(&Run::new(), command(line, 60)).await;
    assert_eq!(result.verdict, Verdict::Passed);
    assert!(result.output.len() <= GATE_OUTPUT_BYTES_MAX);
    assert!(result.output.len() > GATE_OUTPUT_BYTES_MAX / 2);
    assert!(result.output.ends_with("the end\n"));
    assert!(result.output_bytes > 5_000_000);
}

#[tokio::test]
async fn a_gate_that_ran_already_is_not_run_again() {
    let run = Run::new();
    let gate = command("echo x >> count; wc -l < count", 60);
    let first = decide(&run, gate.clone()).await;
    let second = decide(&run, gate).await;
    assert_eq!(first.output.trim(), "1");
    assert_eq!((second.output, second.verdict), (first.output, first.verdict));
}

#[tokio::test]
async fn a_gate_in_a_directory_that_is_gone_is_broken() {
    let run = Run::new();
    std::fs::remove_dir(run.place()).unwrap();
    let result = decide(&run, command("true", 60)).await;
    assert_eq!(result.verdict, Verdict::Broken);
    assert!(result.reason.contains("does not exist"), "{}", result.reason);
}

#[tokio::test]
async fn a_file_gate_wants_a_file_with_something_in_it_inside_the_directory() {
    let run = Run::new();
    let place = run.place();
    std::fs::write(place.join("full.txt"), "x").unwrap();
    std::fs::write(place.join("empty.txt"), "").unwrap();
    std::fs::create_dir(place.join("directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.join("outside")).unwrap();
    let check = async |path: &str, verdict, part: &str| {
        let path = path.to_owned();
        let result = decide(&run, GateSpec::File { path }).await;
        assert_eq!(result.verdict, verdict, "{result:?}");
        assert!(result.reason.contains(part), "{}", result.reason);
    };
    check("full.txt", Verdict::Passed, "1 bytes").await;
    check("empty.txt", Verdict::Failed, "is empty").await;
    check("absent.txt", Verdict::Failed, "does not exist").await;
    check("directory", Verdict::Failed, "is not a file").await;
    check("outside", Verdict::Failed, "leads out").await;
}
