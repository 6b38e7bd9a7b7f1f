//! A run from its start to its record.

use std::os::unix::fs::PermissionsExt;

use agents::{Found, LaunchError, transcript};
use model::process::{Exit, ExitRecord, LaunchSpec, file};
use tokio_util::sync::CancellationToken;

use crate::support::{Run, launcher};

async fn run_to_end(run: &Run, spec: &LaunchSpec, stdin: Option<&[u8]>) -> ExitRecord {
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), spec, stdin).await.unwrap();
    let record = launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
    assert_eq!(run.processes(), [], "a run that is over has no process");
    assert_eq!(record.survivors, []);
    record
}

#[tokio::test]
async fn what_a_program_prints_and_its_exit_code_are_recorded() {
    let run = Run::new();
    let spec = run.spec(&["say", "hello", "complain", "oops", "exit", "7"]);
    let record = run_to_end(&run, &spec, None).await;
    assert_eq!(record.exit, Exit::Code { code: 7 });
    assert_eq!(run.stdout(), "hello\n");
    assert_eq!(run.text(file::STDERR), "oops\n");
    assert!(record.memory_peak_bytes > 100_000, "{record:?}");
    assert_eq!(launcher().look(&run.dir()).unwrap(), Found::Ended(record));
}

#[tokio::test]
async fn every_file_of_a_run_is_for_its_owner_only() {
    let run = Run::new();
    run_to_end(&run, &run.spec(&["say", "x"]), Some(b"brief")).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&run.dir()), 0o700);
    for entry in std::fs::read_dir(run.dir()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_brief_of_a_megabyte_reaches_standard_input_whole() {
    let run = Run::new();
    let brief = vec![b'b'; 1 << 20];
    run_to_end(&run, &run.spec(&["stdin"]), Some(&brief)).await;
    assert_eq!(run.stdout(), "stdin: 1048576 bytes\n");
}

#[tokio::test]
async fn without_a_brief_standard_input_is_empty() {
    let run = Run::new();
    run_to_end(&run, &run.spec(&["stdin"]), None).await;
    assert_eq!(run.stdout(), "stdin: 0 bytes\n");
}

#[tokio::test]
async fn the_environment_of_the_specification_and_the_marker_reach_the_program() {
    let run = Run::new();
    let mut spec = run.spec(&["show"]);
    spec.env = vec![("HIVEKEEPER_MISSION".into(), "m1".into())];
    run_to_end(&run, &spec, None).await;
    let shown = run.stdout();
    assert!(shown.contains("HIVEKEEPER_MISSION=m1\n"), "{shown}");
    assert!(shown.contains(&format!("HIVEKEEPER_RUN={}\n", run.marker)), "{shown}");
}

#[tokio::test]
async fn only_three_descriptors_reach_the_program() {
    let run = Run::new();
    let mut spec = run.spec(&["-c", "ls /proc/self/fd | wc -l; pwd; echo $PWD"]);
    spec.program = "sh".into();
    run_to_end(&run, &spec, None).await;
    // 0, 1, 2 and the one by which the directory is listed.
    let place = run.place().display().to_string();
    assert_eq!(run.stdout(), format!("4\n{place}\n{place}\n"));
}

#[tokio::test]
async fn a_program_ended_by_a_signal_in_the_middle_of_a_line_keeps_what_it_printed() {
    let run = Run::new();
    let record = run_to_end(&run, &run.spec(&["partial", "half a li", "abort"]), None).await;
    assert_eq!(record.exit, Exit::Signal { signal: 6 });
    assert_eq!(run.stdout(), "half a li");
}

#[tokio::test]
async fn bytes_that_are_not_text_are_shown_and_the_rest_is_not_lost() {
    let run = Run::new();
    run_to_end(&run, &run.spec(&["garbage", "say", "fine"]), None).await;
    assert_eq!(run.stdout(), "before \u{fffd}\u{fffd}\u{fffd} after\nfine\n");
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_leaves_a_record() {
    let here = tempfile::tempdir().unwrap();
    let plain = here.path().join("plain.txt");
    std::fs::write(&plain, "no program").unwrap();
    let plain = plain.display().to_string();
    let long = "x".repeat(200_000);
    let check = async |program: &str, directory: Option<&str>, arg: &str, expect: &str| {
        let run = Run::new();
        let mut spec = run.spec(&[arg]);
        spec.program = program.to_owned();
        if let Some(directory) = directory {
            spec.directory = directory.to_owned();
        }
        let launcher = launcher();
        let error = launcher.start(&run.dir(), &spec, None).await.expect_err(expect);
        let LaunchError::NotStarted { reason } = &error else {
            panic!("{error:?}");
        };
        assert!(reason.contains(expect), "{reason}");
        let again = launcher.start(&run.dir(), &spec, None).await.unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
        let Found::Ended(record) = launcher.look(&run.dir()).unwrap() else {
            panic!("no record");
        };
        let reason = reason.clone();
        assert_eq!(record.exit, Exit::NotStarted { reason });
    };
    let found = "was not found in PATH: install it, or name its full path";
    check("no-such-program-here", None, "", found).await;
    check("/no/such/program", None, "", "was not found").await;
    check(&plain, None, "", "permission denied").await;
    check("/tmp", None, "", "is a directory").await;
    check("sh", Some("/no/such/place"), "", "does not exist").await;
    check("sh", Some("/etc/hostname"), "", "is not a directory").await;
    check("sh", None, &long, "{brief_file}").await;
}

#[tokio::test]
async fn starting_a_run_twice_starts_its_program_once() {
    let run = Run::new();
    let (one, other) = (launcher(), launcher());
    let spec = run.spec(&["say", "once", "until", "go"]);
    let dir = run.dir();
    let (first, second) =
        tokio::join!(one.start(&dir, &spec, None), other.start(&dir, &spec, None));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    assert_eq!(first, one.start(&dir, &spec, None).await.unwrap());
    assert_eq!(one.look(&dir).unwrap(), Found::Running(first.clone()));
    std::fs::write(run.place().join("go"), "").unwrap();
    let cancel = CancellationToken::new();
    other.wait(&dir, &first, &cancel).await.unwrap();
    assert_eq!(first, one.start(&dir, &spec, None).await.unwrap());
    assert_eq!(run.stdout(), "once\n");
}

#[tokio::test]
async fn two_hundred_megabytes_of_output_cost_this_process_no_memory_and_end_readable() {
    let run = Run::new();
    let bytes = 200_000_000;
    let before = memory_bytes();
    let spec = run.spec(&["flood", "200000000", "say", "the end"]);
    run_to_end(&run, &spec, None).await;
    let path = run.dir().join(file::STDOUT);
    let from = transcript::tail_offset(&path, 1000);
    let tail = transcript::read(&path, from, 1 << 16).unwrap();
    assert_eq!(tail.size, bytes + "the end\n".len() as u64);
    assert!(tail.text.ends_with("....\nthe end\n"), "{}", tail.text);
    let mut offset = 0;
    while offset < tail.size {
        offset = transcript::read(&path, offset, 1 << 20).unwrap().next_offset;
    }
    let grown = memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
}

/// The resident memory of this process.
fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn waiting_can_be_given_up_without_touching_the_program() {
    let run = Run::new();
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), &run.spec(&["forever"]), None).await.unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let given_up = launcher.wait(&run.dir(), &identity, &cancel).await;
    assert!(matches!(given_up, Err(LaunchError::Cancelled)));
    launcher.close().await;
    assert!(agents::survey::alive(&identity));
}
