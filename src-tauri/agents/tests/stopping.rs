//! Trees that are ended to the last process, and runs that outlive an engine or a shim.

use std::time::Instant;

use agents::{Found, Launcher, survey};
use model::process::{Exit, ExitRecord, LaunchSpec, ProcessIdentity, ProcessRef};
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::support::{FAKE, Run, launcher, until};

async fn started(run: &Run, args: &[&str], grace_ms: u64) -> (Launcher, ProcessIdentity) {
    let launcher = launcher();
    let mut spec = run.spec(args);
    spec.grace_ms = grace_ms;
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    (launcher, identity)
}

async fn stopped(run: &Run, args: &[&str], processes: usize, grace_ms: u64) -> ExitRecord {
    let (launcher, identity) = started(run, args, grace_ms).await;
    run.until_processes(processes);
    run.until_printed("ready");
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.survivors, []);
    assert_eq!(run.processes(), [], "a stopped run has no process");
    assert!(!survey::alive(&identity));
    assert!(record.memory_peak_bytes > 0, "{record:?}");
    assert_eq!(launcher.look(&run.dir()).unwrap(), Found::Ended(record.clone()));
    record
}

#[tokio::test]
async fn a_program_that_heeds_term_is_stopped_without_being_killed() {
    let run = Run::new();
    let begun = Instant::now();
    let record = stopped(&run, &["say", "ready", "forever"], 1, 10_000).await;
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert!(begun.elapsed().as_secs() < 8, "the grace is a limit, not a wait");
}

#[tokio::test]
async fn a_program_that_ignores_term_is_killed_after_its_grace() {
    let run = Run::new();
    let args = ["ignore-term", "say", "ready", "forever"];
    let begun = Instant::now();
    let record = stopped(&run, &args, 1, 300).await;
    assert_eq!(record.exit, Exit::Stopped { killed: true });
    assert!(begun.elapsed().as_millis() >= 300);
}

#[tokio::test]
async fn descendants_are_stopped_too_even_those_that_left_the_session() {
    let run = Run::new();
    let args =
        ["child", "600000", "daemon", "600000", "child", "600000", "say", "ready", "forever"];
    let record = stopped(&run, &args, 4, 10_000).await;
    assert_eq!(record.exit, Exit::Stopped { killed: false });
}

#[tokio::test]
async fn an_orphan_that_left_the_session_and_hides_its_marker_is_stopped_too() {
    let run = Run::new();
    let script = format!("(env -i {FAKE} session pid forever &); exec {FAKE} say ready forever");
    let mut spec = run.spec(&["-c", &script]);
    spec.program = "sh".to_owned();
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    run.until_printed("ready");
    run.until_printed("pid ");
    let output = run.stdout();
    let pid = output.lines().find_map(|line| line.strip_prefix("pid ")?.parse().ok()).unwrap();
    let orphan = shim::proc::stat(pid).unwrap().process();
    assert!(!run.processes().contains(&orphan), "it hides its marker");
    launcher.stop(&run.dir(), &identity).await.unwrap();
    let survived = shim::proc::is_alive(orphan);
    let _ = shim::proc::signal(orphan, Signal::KILL);
    assert!(!survived);
}

#[tokio::test]
async fn descendants_that_ignore_term_are_killed_with_their_program() {
    let run = Run::new();
    let args = ["ignore-term", "child", "600000", "daemon", "600000", "say", "ready", "forever"];
    let record = stopped(&run, &args, 3, 200).await;
    assert_eq!(record.exit, Exit::Stopped { killed: true });
}

#[tokio::test]
async fn stopping_twice_gives_the_same_record() {
    let run = Run::new();
    let first = stopped(&run, &["say", "ready", "forever"], 1, 10_000).await;
    let found = launcher().look(&run.dir()).unwrap();
    assert_eq!(found, Found::Ended(first));
}

#[tokio::test]
async fn no_descendant_outlives_the_end_of_its_program() {
    let run = Run::new();
    let args = ["ignore-term", "child", "600000", "daemon", "600000", "say", "ready", "exit", "3"];
    let (launcher, identity) = started(&run, &args, 10_000).await;
    let record = launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
    assert_eq!(record.exit, Exit::Code { code: 3 });
    assert_eq!(run.processes(), []);
}

#[tokio::test]
async fn a_run_goes_on_without_its_engine_and_the_next_one_takes_it_over() {
    let run = Run::new();
    let args = ["say", "before", "until", "go", "say", "after", "exit", "5"];
    let (launcher, identity) = started(&run, &args, 10_000).await;
    run.until_printed("before");
    drop(launcher);
    let next = crate::support::launcher();
    assert_eq!(next.look(&run.dir()).unwrap(), Found::Running(identity.clone()));
    std::fs::write(run.place().join("go"), "").unwrap();
    let record = next.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
    assert_eq!(record.exit, Exit::Code { code: 5 });
    assert_eq!(run.stdout(), "before\nafter\n");
}

#[tokio::test]
async fn when_the_shim_is_killed_the_run_is_lost_and_stopping_leaves_nothing() {
    let run = Run::new();
    let args = ["child", "600000", "daemon", "600000", "say", "ready", "forever"];
    let (launcher, identity) = started(&run, &args, 10_000).await;
    run.until_processes(3);
    run.until_printed("ready");
    let _ = shim::proc::signal(identity.shim, Signal::KILL);
    let record = launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
    let Exit::Lost { reason } = &record.exit else {
        panic!("{record:?}");
    };
    assert!(reason.contains("3 of its processes still run"), "{reason}");
    assert_eq!(record.survivors.len(), 3);
    let Found::Gone { left, .. } = launcher.look(&run.dir()).unwrap() else {
        panic!("not gone");
    };
    assert_eq!(left.len(), 3);
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert_eq!(run.processes(), []);
    assert_eq!(launcher.look(&run.dir()).unwrap(), Found::Ended(record));
}

#[tokio::test]
async fn a_run_whose_processes_all_vanished_is_recorded_as_lost() {
    let run = Run::new();
    let (launcher, identity) = started(&run, &["forever"], 10_000).await;
    let _ = shim::proc::signal(identity.shim, Signal::KILL);
    let _ = shim::proc::signal(identity.program, Signal::KILL);
    until("both to be gone", || !survey::alive(&identity));
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert!(matches!(record.exit, Exit::Lost { .. }), "{record:?}");
}

#[tokio::test]
async fn a_process_that_only_has_the_number_of_ours_is_neither_trusted_nor_harmed() {
    let run = Run::new();
    let (launcher, identity) = started(&run, &["say", "ready", "forever"], 500).await;
    let mut stranger = identity.clone();
    stranger.shim.start_ticks += 1;
    stranger.program.start_ticks += 1;
    stranger.marker = "somebody else".to_owned();
    assert!(!survey::alive(&stranger));
    let other_boot = ProcessIdentity { boot_id: "another boot".to_owned(), ..identity.clone() };
    assert!(!survey::alive(&other_boot));
    let elsewhere = run.root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let record = launcher.stop(&elsewhere, &stranger).await.unwrap();
    assert!(matches!(record.exit, Exit::Lost { .. }), "{record:?}");
    assert!(survey::alive(&identity), "the stranger was left alone");
}

#[tokio::test]
async fn a_shim_that_is_held_does_not_save_what_hides_its_marker() {
    let run = Run::new();
    let script = format!("(env -i {FAKE} session pid forever &); exec {FAKE} say ready forever");
    let mut spec = run.spec(&["-c", &script]);
    spec.program = "sh".to_owned();
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    run.until_printed("ready");
    run.until_printed("pid ");
    let output = run.stdout();
    let pid = output.lines().find_map(|line| line.strip_prefix("pid ")?.parse().ok()).unwrap();
    let orphan = shim::proc::stat(pid).unwrap().process();
    let _ = shim::proc::signal(identity.shim, Signal::STOP);
    until("the shim is held", || shim::proc::stat(identity.shim.pid).unwrap().held);
    let begun = Instant::now();
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    let survived = shim::proc::is_alive(orphan);
    let _ = shim::proc::signal(orphan, Signal::KILL);
    assert!(!survived && run.processes().is_empty(), "{record:?}");
    assert!(begun.elapsed().as_secs() < 10, "it is let go on, and ends its tree itself");
    assert_eq!(record.exit, Exit::Stopped { killed: false });
}

#[tokio::test]
async fn what_a_supervisor_that_never_answers_holds_is_ended_whatever_it_hides() {
    let run = Run::new();
    // A supervisor that heeds nothing, with a child that hides its marker.
    let script =
        format!("trap '' TERM; env -i {FAKE} session forever & wait; wait; wait; sleep 600");
    let mut deaf = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let stat = |pid| shim::proc::stat(pid).unwrap();
    let below = || shim::proc::below(deaf.id(), &shim::proc::table().unwrap());
    until("its child", || !below().is_empty());
    let child = below()[0];
    std::fs::create_dir_all(run.dir()).unwrap();
    let spec = LaunchSpec { grace_ms: 1, ..run.spec(&[]) };
    agents::record::write_json(&run.dir().join("spec.json"), &spec).unwrap();
    let identity = ProcessIdentity {
        shim: stat(deaf.id()).process(),
        program: ProcessRef { pid: child.pid, start_ticks: child.start_ticks + 1 },
        boot_id: shim::proc::boot_id().unwrap(),
        marker: run.marker.clone(),
        started_at: model::Timestamp::UNIX_EPOCH,
    };
    let record = launcher().stop(&run.dir(), &identity).await.unwrap();
    let survived = shim::proc::is_alive(child);
    let _ = shim::proc::signal(child, Signal::KILL);
    let _ = deaf.kill();
    deaf.wait().unwrap();
    assert!(!survived, "{record:?}");
}

#[tokio::test]
async fn a_run_whose_record_is_damaged_while_it_runs_is_watched_and_stopped_all_the_same() {
    let run = Run::new();
    let (launcher, identity) = started(&run, &["say", "ready", "until", "go"], 10_000).await;
    run.until_printed("ready");
    let path = run.dir().join(model::process::file::EXIT);
    std::fs::write(&path, "{\"exit\":").unwrap();
    assert!(matches!(launcher.look(&run.dir()), Ok(Found::Running(_))), "its shim is there");
    let cancel = CancellationToken::new();
    let dir = run.dir();
    let waiting = launcher.wait(&dir, &identity, &cancel);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), waiting).await;
    assert!(waited.is_err(), "it is not over: {waited:?}");
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert_eq!(run.processes(), []);

    // Damaged when its shim is gone: what is left is ended, and the damage is kept beside.
    let run = Run::new();
    let (_, identity) = started(&run, &["say", "ready", "forever"], 10_000).await;
    run.until_printed("ready");
    let _ = shim::proc::signal(identity.shim, Signal::KILL);
    until("the shim's end", || !shim::proc::is_alive(identity.shim));
    let path = run.dir().join(model::process::file::EXIT);
    std::fs::write(&path, "{\"exit\":").unwrap();
    let record = launcher.end(&run.dir()).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert_eq!(run.processes(), []);
    let kept = std::fs::read_to_string(path.with_extension("damaged")).unwrap();
    assert_eq!(kept, "{\"exit\":");
    assert_eq!(launcher.look(&run.dir()).unwrap(), Found::Ended(record));
}

#[tokio::test]
async fn a_damaged_record_is_named_and_left_as_it_is() {
    let run = Run::new();
    std::fs::create_dir(run.dir()).unwrap();
    let path = run.dir().join(model::process::file::EXIT);
    std::fs::write(&path, "{\"exit\":").unwrap();
    let Found::Ended(record) = launcher().look(&run.dir()).unwrap() else {
        panic!("not ended");
    };
    assert!(record.exit.to_string().contains("damaged"), "{record:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"exit\":");
}
