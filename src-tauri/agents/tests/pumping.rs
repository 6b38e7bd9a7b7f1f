//! What the shim makes of a program's output: complete, bounded, without secrets.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use agents::lines::LineReader;
use agents::{search, transcript};
use jiff::SignedDuration;
use model::clock::{Clock, SystemClock};
use model::process::{Exit, ExitRecord, LaunchSpec, Limits, file};
use tokio_util::sync::CancellationToken;

use crate::support::{Run, launcher, until};

async fn run_to_end(run: &Run, spec: &LaunchSpec) -> ExitRecord {
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), spec, None).await.unwrap();
    launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap()
}

fn script(run: &Run, script: &str) -> LaunchSpec {
    LaunchSpec { program: "sh".to_owned(), ..run.spec(&["-c", script]) }
}

/// A token that looks like GitHub's; put together so that it stands in no file of ours.
fn token() -> String {
    format!("ghp_{}", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6")
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn both_streams_are_complete_when_a_program_dies_in_the_middle_of_a_line() {
    let run = Run::new();
    let spec = script(&run, "printf 'first\\nhalf'; printf 'also half' >&2; kill -KILL $$");
    let record = run_to_end(&run, &spec).await;
    assert_eq!(record.exit, Exit::Signal { signal: 9 });
    assert_eq!(run.stdout(), "first\nhalf");
    assert_eq!(run.text(file::STDERR), "also half");
    assert_eq!((record.given_up_bytes, record.redacted), (0, 0));
}

#[tokio::test]
async fn a_run_nobody_talks_to_prints_more_than_is_kept_and_is_not_held_up() {
    let run = Run::new();
    let limits = Limits { output_bytes: Some(1 << 20), ..Limits::default() };
    let spec = LaunchSpec { limits, ..run.spec(&["flood", "20000000"]) };
    let record = run_to_end(&run, &spec).await;
    assert_eq!(record.exit, Exit::Code { code: 0 });
    let out = run.dir().join(file::STDOUT);
    let found = out.metadata().unwrap();
    assert_eq!(found.len(), 20_000_000, "offsets stay");
    assert!(found.blocks() * 512 <= (1 << 20) + (1 << 18), "{} blocks", found.blocks());
    let chunk = transcript::read_ended(&out, 0, 1000).unwrap();
    assert_eq!(chunk.offset, chunk.kept_from);
    assert_eq!(chunk.kept_from, record.given_up_bytes);
    assert!(chunk.kept_from >= 20_000_000 - (5 << 18), "{}", chunk.kept_from);
    assert!(!chunk.text.contains('\0'));
    let hits = search::search(&out, "xxxx", 0, 3).unwrap();
    assert!(hits.hits.iter().all(|hit| hit.offset >= chunk.kept_from));
}

#[tokio::test]
async fn what_was_printed_when_is_known() {
    let run = Run::new();
    let before = SystemClock.now();
    run_to_end(&run, &script(&run, "echo one; sleep 1.2; echo two")).await;
    let index = run.dir().join(file::STDOUT_INDEX);
    let at = |offset| search::time_of(&index, offset).unwrap().unwrap();
    assert!(at(0) >= before - SignedDuration::from_millis(2), "{} {before}", at(0));
    assert!(at(4).duration_since(at(0)) >= SignedDuration::from_secs(1), "{} {}", at(0), at(4));
    assert_eq!(at(3), at(0));
}

#[tokio::test]
async fn secrets_reach_the_program_and_no_file() {
    let run = Run::new();
    let secret = "correct-horse-battery";
    let mut spec = script(
        &run,
        "echo \"length ${#DEPLOY_PASSWORD} ${#HIVEKEEPER_API_KEY}\"; echo \"$DEPLOY_PASSWORD\"; \
         printf '{\"text\":\"%s\"}\\n' \"$DEPLOY_PASSWORD\" >&2; printf '%.4s' \"$DEPLOY_PASSWORD\"; \
         sleep 0.3; echo \"${DEPLOY_PASSWORD#corr} staple\"; echo \"token $PLAIN\"; \
         printf '%.11s' \"$DEPLOY_PASSWORD\"",
    );
    spec.env = vec![
        ("DEPLOY_PASSWORD".to_owned(), secret.to_owned()),
        ("HIVEKEEPER_API_KEY".to_owned(), "another-secret".to_owned()),
        ("PLAIN".to_owned(), "harmless".to_owned()),
    ];
    let record = run_to_end(&run, &spec).await;
    let out = run.stdout();
    assert!(out.starts_with("length 21 14\n«redacted»\n"), "{out}");
    // A beginning that was let go after a tenth of a second is no longer than seven bytes.
    assert!(out.contains("corr«redacted» staple\ntoken harmless\n"), "{out}");
    assert_eq!(run.text(file::STDERR), "{\"text\":\"«redacted»\"}\n");
    assert!(record.redacted >= 3, "{record:?}");
    for entry in std::fs::read_dir(run.dir()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for leak in [secret, "another-secret", "correct-"] {
            assert!(!text.contains(leak), "{leak} in {}", path.display());
        }
    }
}

#[tokio::test]
async fn secrets_among_the_arguments_reach_the_program_and_no_file() {
    let secret = "correct-horse-battery";
    let own = format!("hk_a_{0}_{0}{0}", "0123456789abcdef0123456789abcdef");
    // Directly, and through the door.
    let limited = Limits { open_files: Some(256), ..Limits::default() };
    for limits in [Limits::default(), limited] {
        let run = Run::new();
        let text = "echo ${#1} ${#2} ${#3}; echo $1; echo $OTEL_EXPORTER_OTLP_HEADERS; \
                    printf %s \"$3\" | base64";
        let mut spec = script(&run, text);
        spec.args.extend(["sh".to_owned(), format!("--key={secret}"), own.clone()]);
        spec.args.push(secret.to_owned());
        spec.limits = limits;
        spec.env = vec![
            ("DEPLOY_PASSWORD".to_owned(), secret.to_owned()),
            ("OTEL_EXPORTER_OTLP_HEADERS".to_owned(), format!("Authorization=Bearer {own}")),
        ];
        run_to_end(&run, &spec).await;
        let header = "Authorization=Bearer «redacted»";
        let expect = format!("27 102 21\n--key=«redacted»\n{header}\n«redacted»\n");
        assert_eq!(run.stdout(), expect);
        for entry in std::fs::read_dir(run.dir()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            for leak in [secret, &own, "Y29ycmVjdC1ob3JzZS"] {
                assert!(!text.contains(leak), "{leak} in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_token_printed_byte_by_byte_is_taken_out() {
    let run = Run::new();
    // The pieces are in the script; the token never is.
    let bytes: String = token().chars().map(|c| format!("printf {c}; ")).collect::<String>();
    let spec = script(&run, &format!("printf 'a '; {bytes} echo ' b'"));
    run_to_end(&run, &spec).await;
    assert_eq!(run.stdout(), "a «redacted» b\n");
}

#[tokio::test]
async fn a_prompt_without_a_line_end_is_shown_within_200_ms() {
    let run = Run::new();
    let spec = script(&run, "printf 'password for gh'; exec sleep 600");
    launcher().start(&run.dir(), &spec, None).await.unwrap();
    let out = run.dir().join(file::STDOUT);
    let text = || transcript::read(&out, 0, 100).unwrap().text;
    until("the beginning", || text().starts_with("password for "));
    let begun = std::time::Instant::now();
    until("the whole prompt", || text() == "password for gh");
    assert!(begun.elapsed().as_millis() < 200, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn memory_stays_bounded_while_an_agent_prints_200_megabytes_of_lines() {
    flood("yes '{\"type\":\"text\",\"text\":\"a line of an agent that talks a lot\"}' | head -c 200000000").await;
}

#[tokio::test]
async fn memory_stays_bounded_while_an_agent_prints_200_megabytes_without_a_line_end() {
    flood("head -c 200000000 /dev/zero | tr '\\0' x").await;
}

/// Reads everything while it is printed, and looks at the memory.
async fn flood(printing: &str) {
    let run = Run::new();
    let limits = Limits { output_bytes: Some(32 << 20), ..Limits::default() };
    let spec = LaunchSpec { limits, ..script(&run, printing) };
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    let before = resident();
    let (most, read) = tokio::task::spawn_blocking({
        let run_dir = run.dir();
        move || read_along(&run_dir)
    })
    .await
    .unwrap();
    let record = launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
    assert_eq!(record.exit, Exit::Code { code: 0 });
    assert_eq!(read, 200_000_000);
    assert!(most.saturating_sub(before) < 64 << 20, "{most} bytes after {before}");
}

fn read_along(run: &Path) -> (u64, u64) {
    let mut lines = LineReader::new(&run.join(file::STDOUT));
    let (mut most, mut from, mut count) = (0, 0, 0_u64);
    loop {
        // Before the look: what comes after it is found by the next one.
        let over = run.join(file::EXIT).exists();
        let line = if over { lines.last_line(from) } else { lines.next_line(from) };
        match line.unwrap() {
            Some(line) => from = line.next_offset,
            None if over => return (most, from),
            None => std::thread::yield_now(),
        }
        count += 1;
        if count % 1000 == 1 {
            most = most.max(resident());
        }
    }
}
