//! Gates on real commands and files.

use std::io::Write as _;
use std::time::Instant;

use agents::gate::{self, Check, PRINTED_BYTES_MAX, Within};
use model::clock::SystemClock;
use model::gate::{GATE_OUTPUT_BYTES_MAX, GateResult, GateSpec, Verdict};
use model::process::Sandbox;
use tokio_util::sync::CancellationToken;

use crate::repo::Repo;
use crate::support::{FAKE, Run, launcher};

async fn run_gate(run: &Run, gate: &GateSpec, cancel: &CancellationToken) -> GateResult {
    let (dir, place) = (run.dir(), run.place());
    let check = Check {
        gate,
        index: 2,
        run: &dir,
        workdir: &place,
        base_commit: None,
        commit: Some("c0ffee".to_owned()),
        tree: Some("7ree".to_owned()),
        env: &[("HIVEKEEPER_MISSION".to_owned(), "m1".to_owned())],
        within: Within::default(),
    };
    gate::check(&launcher(), &check, &SystemClock, cancel).await
}

#[tokio::test]
async fn a_gate_runs_what_an_agent_left_behind_the_walls_the_agent_had() {
    if !agents::supervision::probe().can_sandbox() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: nothing makes a sandbox here");
        return;
    }
    let run = Run::new();
    let (dir, place) = (run.dir(), run.place());
    let outside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let left = format!("echo x > {}/escaped", outside.path().display());
    std::fs::write(place.join("test.sh"), left).unwrap();
    let gate = command("echo y > inside && sh test.sh 2>/dev/null || echo refused", 60);
    let sandbox = Some(Sandbox { network: false, ..Sandbox::default() });
    let check = Check {
        gate: &gate,
        index: 2,
        run: &dir,
        workdir: &place,
        base_commit: None,
        commit: None,
        tree: None,
        env: &[],
        within: Within { sandbox, ..Within::default() },
    };
    let cancel = CancellationToken::new();
    let result = gate::check(&launcher(), &check, &SystemClock, &cancel).await;
    assert_eq!((result.verdict, result.output.as_str()), (Verdict::Passed, "refused\n"));
    assert!(place.join("inside").exists() && !outside.path().join("escaped").exists());
}

async fn decide(run: &Run, gate: GateSpec) -> GateResult {
    run_gate(run, &gate, &CancellationToken::new()).await
}

fn command(command: impl Into<String>, timeout_s: u32) -> GateSpec {
    GateSpec::Command { command: command.into(), timeout_s, proof: None }
}

fn proved(line: &str, proof: &str) -> GateSpec {
    let (command, proof) = (line.to_owned(), Some(proof.to_owned()));
    GateSpec::Command { command, timeout_s: 60, proof }
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
        assert_eq!((result.tree.as_deref(), result.checks), (Some("7ree"), None));
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

#[tokio::test]
async fn a_gate_is_a_command_whose_exit_code_decides_its_output_is_stored_and_zero_tests_run_is_a_failure()
 {
    let check = async |line: &str, verdict, checks, reason: &str| {
        let result = decide(&Run::new(), proved(line, "{n} passed")).await;
        assert_eq!((result.verdict, result.checks), (verdict, checks), "{line}: {result:?}");
        assert_eq!(result.reason, reason, "{line}");
        assert_eq!(result.output_bytes, result.output.len() as u64);
        assert!(result.output.contains("pass"), "{}", result.output);
    };
    let (passed, failed) = (Verdict::Passed, Verdict::Failed);
    check("echo ok. 12 passed", passed, Some(12), "exit code 0; 12 checks ran").await;
    check("echo 1 passed; echo 2 passed >&2", passed, Some(3), "exit code 0; 3 checks ran").await;
    check("echo 12 passed; exit 4", failed, Some(12), "exit code 4; 12 checks ran").await;
    check("echo 0 passed", failed, Some(0), "exit code 0, but 0 checks ran").await;
    let missing = "exit code 0, but no line of its output says '{n} passed'";
    check("echo nothing passed", failed, None, missing).await;
    check("echo nothing passed; exit 4", failed, None, "exit code 4").await;
    // The line stands far before what is shown of the output.
    let long = format!("echo 7 passed; {FAKE} flood 5000000 garbage; echo passed");
    let result = decide(&Run::new(), proved(&long, "{n} passed")).await;
    assert_eq!((result.verdict, result.checks), (passed, Some(7)), "{}", result.reason);
    assert!(result.output.len() <= GATE_OUTPUT_BYTES_MAX && result.output_bytes > 5_000_000);
}

#[tokio::test]
async fn a_gate_that_prints_a_gigabyte_is_stopped_and_fills_no_disk() {
    let run = Run::new();
    let begun = Instant::now();
    // Deaf to TERM, so that it goes on printing as long as it may.
    let line = "trap '' TERM; yes | head -c 1000000000; yes passed 1";
    let result = decide(&run, command(line, 600)).await;
    assert_eq!(result.verdict, Verdict::Failed, "{}", result.reason);
    assert!(result.reason.contains("more than 256 MiB"), "{}", result.reason);
    assert!(result.output.len() <= GATE_OUTPUT_BYTES_MAX && result.output.ends_with('\n'));
    let printed = run.dir().join("gates/2/stdout.log").metadata().unwrap().len();
    assert_eq!((printed, result.output_bytes), (PRINTED_BYTES_MAX, PRINTED_BYTES_MAX));
    assert_eq!(gate_processes(&run), 0);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let again = decide(&run, command(line, 600)).await;
    assert_eq!((again.verdict, again.reason), (result.verdict, result.reason));
}

#[tokio::test]
async fn a_gate_that_forks_hundreds_of_children_leaves_none() {
    let run = Run::new();
    let line = "i=0; while [ $i -lt 300 ]; do (trap '' TERM; sleep 600) & i=$((i+1)); done; \
                echo forked; wait";
    let result = decide(&run, command(line, 3)).await;
    assert_eq!((result.verdict, result.output.as_str()), (Verdict::TimedOut, "forked\n"));
    assert!(!result.reason.contains("could not"), "{}", result.reason);
    assert_eq!(gate_processes(&run), 0);
}

/// Answers a gate that looks at the last commit of a repository.
async fn look(repo: &Repo, gate: GateSpec) -> GateResult {
    look_until(repo, gate, &CancellationToken::new()).await
}

async fn look_until(repo: &Repo, gate: GateSpec, cancel: &CancellationToken) -> GateResult {
    let (run, base) = (Run::new(), repo.git(&["rev-parse", "HEAD~1"]));
    let (dir, place) = (run.dir(), repo.path());
    let check = Check {
        gate: &gate,
        index: 0,
        run: &dir,
        workdir: &place,
        base_commit: Some(&base),
        commit: Some(repo.git(&["rev-parse", "HEAD"])),
        tree: Some(repo.git(&["rev-parse", "HEAD^{tree}"])),
        env: &[],
        within: Within::default(),
    };
    gate::check(&launcher(), &check, &SystemClock, cancel).await
}

fn commit(repo: &Repo, files: &[(&str, &str)]) {
    files.iter().for_each(|(name, text)| repo.write(name, text));
    repo.git(&["add", "--all", "--force"]);
    repo.git(&["commit", "--quiet", "--allow-empty", "--message", "work"]);
}

fn numbered(prefix: &str, lines: std::ops::Range<u32>) -> String {
    lines.map(|n| format!("{prefix} {n}\n")).collect()
}

#[tokio::test]
async fn a_diff_gate_wants_a_change_and_one_of_paths_wants_it_in_its_place() {
    let repo = Repo::new();
    commit(&repo, &[]);
    assert_eq!(look(&repo, GateSpec::DiffNotEmpty).await.verdict, Verdict::Failed);
    commit(&repo, &[("src/ä b.rs", "x\n"), ("src/deep/c.rs", "y\n"), ("docs/a.md", "z\n")]);
    let result = look(&repo, GateSpec::DiffNotEmpty).await;
    assert_eq!(result.verdict, Verdict::Passed, "{}", result.reason);
    assert_eq!(result.output, "docs/a.md\nsrc/deep/c.rs\nsrc/ä b.rs\n");
    assert!(result.tree.is_some() && result.commit.is_some());
    let within = async |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        look(&repo, GateSpec::DiffWithin { paths }).await
    };
    assert_eq!(within(&["src/", "docs/*.md"]).await.verdict, Verdict::Passed);
    let result = within(&["src/**"]).await;
    assert_eq!(result.verdict, Verdict::Failed);
    assert_eq!(result.reason, "1 of 3 changed files is outside of src/**: docs/a.md");
    assert_eq!(result.output, "docs/a.md: outside of src/**\n");
    let result = within(&["src/["]).await;
    assert_eq!(result.verdict, Verdict::Broken);
    let expect = "failed to read the pattern: error parsing glob 'src/[";
    assert!(result.reason.contains(expect), "{}", result.reason);
    // What is renamed is changed in both places.
    repo.git(&["mv", "docs/a.md", "src/a.md"]);
    commit(&repo, &[]);
    assert_eq!(within(&["src"]).await.output, "docs/a.md: outside of src\n");
}

#[tokio::test]
async fn a_gate_of_lines_counts_those_of_changed_text_files_only() {
    let repo = Repo::new();
    commit(&repo, &[("old.txt", &numbered("old", 0..50)), ("long.txt", &numbered("x", 0..10))]);
    let files: &[(&str, &str)] =
        &[("long.txt", &numbered("x", 0..11)), ("even.txt", "1\n2\n3"), ("image", "a\0\n\n\n\n")];
    commit(&repo, files);
    std::os::unix::fs::symlink("old.txt", repo.path().join("link")).unwrap();
    commit(&repo, &[]);
    repo.git(&["reset", "--quiet", "--soft", "HEAD~2"]);
    commit(&repo, &[]);
    let result = look(&repo, GateSpec::MaxLines { lines: 3 }).await;
    assert_eq!(result.verdict, Verdict::Failed);
    assert_eq!(result.reason, "1 of 2 changed text files has more than 3 lines: long.txt (11)");
    assert_eq!(result.output, "long.txt:4: it has 11 lines\n");
    let result = look(&repo, GateSpec::MaxLines { lines: 11 }).await;
    assert_eq!(result.verdict, Verdict::Passed, "{}", result.reason);
}

#[tokio::test]
async fn a_gate_of_duplicates_finds_added_blocks_and_not_the_ones_that_were_there() {
    let repo = Repo::new();
    let (old, copy) = (numbered("old", 0..20), numbered("  old", 4..16));
    commit(&repo, &[("one.txt", &old), ("two.txt", &old), ("three.txt", "a\nb\n")]);
    commit(&repo, &[("one.txt", &format!("{old}new\n")), ("three.txt", "a\nb\nc\n")]);
    let gate = GateSpec::NoDuplicates { lines: 10 };
    let result = look(&repo, gate.clone()).await;
    assert_eq!(result.verdict, Verdict::Passed, "{result:?}");
    commit(&repo, &[("three.txt", &format!("a\nb\nc\n\n{copy}"))]);
    let result = look(&repo, gate.clone()).await;
    assert_eq!(result.verdict, Verdict::Failed, "{result:?}");
    assert_eq!(result.output, "three.txt:5: 12 added lines are also at one.txt:5\n");
    assert!(result.reason.contains("1 block of 10 or more added lines"), "{}", result.reason);
    let result = look(&repo, GateSpec::NoDuplicates { lines: 13 }).await;
    assert_eq!(result.verdict, Verdict::Passed, "{result:?}");
    // Nine lines and one that was there already are no block of ten added ones.
    commit(&repo, &[("four.txt", "old 3\nx\n")]);
    commit(&repo, &[("four.txt", &format!("old 3\n{}x\n", numbered("old", 4..13)))]);
    assert_eq!(look(&repo, gate.clone()).await.verdict, Verdict::Passed);
    let twice = format!("{}between\n{}", numbered("own", 0..10), numbered("own", 0..10));
    commit(&repo, &[("five.txt", &twice)]);
    let result = look(&repo, gate).await;
    let expect = "five.txt:1: 10 added lines are also at five.txt:12\n\
                  five.txt:12: 10 added lines are also at five.txt:1\n";
    assert_eq!(result.output, expect, "{}", result.reason);
}

#[tokio::test]
async fn a_gate_of_secrets_names_the_place_and_never_shows_what_it_found() {
    let repo = Repo::new();
    let token = ["gh", "p_", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"].concat();
    let gate = GateSpec::NoSecrets;
    commit(&repo, &[("removed.txt", &format!("t = {token}\n"))]);
    commit(&repo, &[("removed.txt", "t = nothing\n"), ("ok.txt", "password = input()\n")]);
    assert_eq!(look(&repo, gate.clone()).await.verdict, Verdict::Passed);
    let text = format!("one\n++ b/fake\nx {token} y\n");
    // The repository cannot hide it: not as a binary file, not by its own settings.
    repo.git(&["config", "diff.noprefix", "true"]);
    repo.git(&["config", "color.ui", "always"]);
    commit(
        &repo,
        &[
            ("a \"ä\".env", &text),
            (".gitattributes", "* -diff\n"),
            ("bin", &format!("\0{token}\n")),
        ],
    );
    let result = look(&repo, gate.clone()).await;
    assert_eq!(result.verdict, Verdict::Failed);
    let expect = "a \"ä\".env:3: GitHub token in: x [removed: GitHub token] y\n\
                  bin:1: GitHub token in: \u{fffd}[removed: GitHub token]\n";
    assert_eq!(result.output, expect);
    assert!(result.reason.starts_with("2 added things look like a secret: "), "{}", result.reason);
    assert!(!format!("{result:?}").contains(&token[4..14]));
    // However much comes before it, and however long its line is.
    let far = format!("{}{} {token}", numbered("line", 0..500_000), "x".repeat(200_000));
    commit(&repo, &[("far.txt", &far)]);
    let result = look(&repo, gate).await;
    assert_eq!(result.output, "far.txt:500001: GitHub token\n", "{}", result.reason);
}

#[tokio::test]
async fn a_gate_without_what_it_looks_at_or_for_somebody_else_proves_nothing() {
    let broken = async |gate: GateSpec, part: &str| {
        let result = decide(&Run::new(), gate).await;
        assert_eq!(result.verdict, Verdict::Broken, "{result:?}");
        assert!(result.reason.contains(part), "{}", result.reason);
    };
    broken(GateSpec::DiffNotEmpty, "nothing to compare").await;
    broken(GateSpec::Ci { name: "build".to_owned() }, "answered by a build server").await;
    broken(GateSpec::Reviewer { agent: None }, "answered by another agent").await;
    broken(GateSpec::Human { question: "ok?".to_owned() }, "answered by the captain").await;
    let repo = Repo::new();
    commit(&repo, &[("x", "x\n")]);
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let result = look_until(&repo, GateSpec::NoSecrets, &cancelled).await;
    assert_eq!(result.verdict, Verdict::Broken);
    assert!(result.reason.contains("cancelled"), "{}", result.reason);
    let (run, base, place) = (Run::new(), "0".repeat(40), repo.path());
    let check = Check {
        gate: &GateSpec::NoSecrets,
        index: 0,
        run: &run.dir(),
        workdir: &place,
        base_commit: Some(&base),
        commit: Some(base.clone()),
        tree: None,
        env: &[],
        within: Within::default(),
    };
    let result = gate::check(&launcher(), &check, &SystemClock, &CancellationToken::new()).await;
    assert_eq!(result.verdict, Verdict::Broken);
    assert!(result.reason.contains("failed to list what changed"), "{}", result.reason);
}
