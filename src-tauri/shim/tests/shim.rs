//! The shim as a program: what it does with runs nobody finished, and what it costs.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that needs it")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use model::process::{Exit, ExitRecord, LaunchSpec, ProcessIdentity, file};
use rustix::process::Signal;
use shim::{proc, record};
use tempfile::TempDir;

fn shim(run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hivekeeper-shim"));
    command.arg(run);
    command
}

fn spec(run: &Path, script: &str) {
    let spec = LaunchSpec {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        directory: "/".to_owned(),
        stdin: false,
        grace_ms: 5_000,
        marker: run.display().to_string(),
        ..LaunchSpec::default()
    };
    record::write_json(&run.join(file::SPEC), &spec).unwrap();
}

fn exit(run: &Path) -> ExitRecord {
    record::read_json(&run.join(file::EXIT)).unwrap().unwrap()
}

fn run_to_end(script: &str) -> (TempDir, ExitStatus) {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), script);
    let status = shim(run.path()).status().unwrap();
    (run, status)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn process(run: &Path) -> ProcessIdentity {
    until("the process", || record::read_json(&run.join(file::PROCESS)).unwrap())
}

#[test]
fn a_run_that_is_over_is_not_run_again() {
    let (run, status) = run_to_end("echo ran");
    assert!(status.success());
    let first = exit(run.path());
    assert_eq!(first.exit, Exit::Code { code: 0 });
    assert!(shim(run.path()).status().unwrap().success());
    assert_eq!(exit(run.path()), first);
    let output = std::fs::read_to_string(run.path().join(file::STDOUT)).unwrap();
    assert_eq!(output, "ran\n");
}

#[test]
fn the_engines_own_variables_are_not_for_the_program() {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), "env");
    let status = shim(run.path())
        .env("HIVEKEEPER_TOKEN_FILE", "/secret")
        .env("HIVEKEEPER_DATA_DIR", "/data")
        .env("GIT_DIR", "/elsewhere/.git")
        .env("GIT_AUTHOR_NAME", "Ann")
        .status()
        .unwrap();
    assert!(status.success());
    let output = std::fs::read_to_string(run.path().join(file::STDOUT)).unwrap();
    let own = format!("HIVEKEEPER_RUN={}", run.path().display());
    let names = |line: &&str| {
        ["HIVEKEEPER_", "GIT_DIR=", "GIT_AUTHOR_NAME="].iter().any(|name| line.starts_with(name))
    };
    let mut seen: Vec<&str> = output.lines().filter(names).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["GIT_AUTHOR_NAME=Ann", &own]);
}

#[test]
fn processor_time_of_the_whole_tree_is_counted() {
    let (run, _) = run_to_end("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'");
    let record = exit(run.path());
    assert!(record.cpu_ms > 0, "{record:?}");
    assert!(record.memory_peak_bytes > 0, "{record:?}");
}

#[test]
fn a_run_without_a_readable_specification_is_recorded_as_not_started() {
    let run = tempfile::tempdir().unwrap();
    assert!(shim(run.path()).status().unwrap().success());
    let Exit::NotStarted { reason } = exit(run.path()).exit else {
        panic!("started");
    };
    assert_eq!(reason, "nothing says what to start");
}

#[test]
fn a_directory_that_is_not_there_and_a_wrong_call_end_with_a_complaint() {
    for args in [vec!["/no/such/run"], vec![], vec!["a", "b"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_hivekeeper-shim")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("hivekeeper-shim"));
    }
}

#[test]
fn what_a_shim_killed_before_its_record_left_is_ended_and_the_run_is_lost() {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), "exec sleep 600");
    let mut first = shim(run.path()).spawn().unwrap();
    let identity = process(run.path());
    first.kill().unwrap();
    first.wait().unwrap();
    // As if it had been killed a moment earlier.
    std::fs::remove_file(run.path().join(file::PROCESS)).unwrap();
    assert!(proc::is_alive(identity.program));
    assert!(shim(run.path()).status().unwrap().success());
    assert!(matches!(exit(run.path()).exit, Exit::Lost { .. }));
    until("the program's end", || (!proc::is_alive(identity.program)).then_some(()));
}

#[test]
fn a_hangup_does_not_end_a_run_and_int_stops_it() {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), "trap '' HUP; exec sleep 600");
    let mut child = shim(run.path()).spawn().unwrap();
    let identity = process(run.path());
    assert_eq!(proc::signal(identity.shim, Signal::HUP), proc::Delivery::Sent);
    assert_eq!(proc::signal(identity.shim, Signal::INT), proc::Delivery::Sent);
    assert!(child.wait().unwrap().success());
    assert_eq!(exit(run.path()).exit, Exit::Stopped { killed: false });
}

#[test]
fn a_shim_leads_its_own_session_and_stays_small() {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), "exec sleep 600");
    let mut child = shim(run.path()).spawn().unwrap();
    let identity = process(run.path());
    let stat = std::fs::read_to_string(proc_file(identity.shim.pid, "stat")).unwrap();
    let session = stat.rsplit(')').next().unwrap().split(' ').nth(4).unwrap();
    assert_eq!(session, identity.shim.pid.to_string());
    let memory = std::fs::read_to_string(proc_file(identity.shim.pid, "smaps_rollup")).unwrap();
    let pss_kb: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap();
    assert!(pss_kb < 4 * 1024, "{pss_kb} kB, unoptimised");
    let _ = proc::signal(identity.shim, Signal::TERM);
    child.wait().unwrap();
}

fn proc_file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

#[test]
fn a_shim_whose_run_was_removed_ends_and_complains() {
    let run = tempfile::tempdir().unwrap();
    spec(run.path(), "exec sleep 600");
    let child = shim(run.path()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let identity = process(run.path());
    run.close().unwrap();
    let begun = Instant::now();
    let _ = proc::signal(identity.program, Signal::KILL);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("failed to write"), "{said}");
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn a_shim_that_is_halted_ends_its_tree_by_itself_when_the_engine_does_not() {
    let run = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo ready; while :; do sleep 600 & wait; done";
    spec(run.path(), script);
    let mut shim = shim(run.path()).spawn().unwrap();
    let identity = process(run.path());
    until("the output", || {
        let printed = std::fs::read_to_string(run.path().join(file::STDOUT)).ok()?;
        printed.contains("ready").then_some(())
    });
    assert_eq!(proc::signal(identity.shim, Signal::USR1), proc::Delivery::Sent);
    let begun = Instant::now();
    assert!(shim.wait().unwrap().success());
    assert!(begun.elapsed() >= Duration::from_secs(2), "the engine has its time first");
    assert_eq!(exit(run.path()).exit, Exit::Stopped { killed: true });
    assert_eq!(proc::marked(&identity.marker), []);
}
