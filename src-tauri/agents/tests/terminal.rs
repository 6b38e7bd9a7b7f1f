//! Programs in a terminal of their own.

use std::time::{Duration, Instant};

use agents::channel::{Channel, ShimSays};
use agents::{ansi, transcript};
use model::process::{Exit, LaunchSpec, ProcessIdentity, TerminalSize, file};
use tokio_util::sync::CancellationToken;

use crate::support::{Run, launcher, until};

async fn start(run: &Run, script: &str) -> ProcessIdentity {
    let spec = LaunchSpec {
        program: "sh".to_owned(),
        terminal: Some(TerminalSize { cols: 100, rows: 30 }),
        ..run.spec(&["-c", script])
    };
    launcher().start(&run.dir(), &spec, None).await.unwrap()
}

async fn exit(run: &Run, identity: &ProcessIdentity) -> Exit {
    launcher().wait(&run.dir(), identity, &CancellationToken::new()).await.unwrap().exit
}

#[tokio::test]
async fn a_program_finds_a_terminal_of_the_size_that_was_asked_for() {
    let run = Run::new();
    let identity =
        start(&run, "tty; stty size; echo \"$TERM\"; echo both >&2; ps -o tty= -p $$").await;
    assert_eq!(exit(&run, &identity).await, Exit::Code { code: 0 });
    let out = run.stdout();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{out}");
    assert_eq!(lines[1..4], ["30 100", "xterm-256color", "both"], "{out}");
    assert_eq!(format!("/dev/{}", lines[4]), lines[0], "it is its controlling terminal");
    assert_eq!(run.text(file::STDERR), "", "a terminal has one stream");
}

#[tokio::test]
async fn a_new_size_reaches_the_program() {
    let run = Run::new();
    start(&run, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done").await;
    run.until_printed("ready");
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    channel.resize(TerminalSize { cols: 132, rows: 43 }).await.unwrap();
    run.until_printed("43 132");
}

#[tokio::test]
async fn the_live_terminal_shows_new_output_within_200_ms_and_accepts_input() {
    let run = Run::new();
    let identity =
        start(&run, "echo ready; while read -r line; do echo \"you said $line\"; done").await;
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    run.until_printed("ready");
    let out = run.dir().join(file::STDOUT);
    let mut times = Vec::new();
    for n in 1..=20 {
        let begun = Instant::now();
        channel.send_input(n, &format!("word {n}\n")).await.unwrap();
        let expect = format!("you said word {n}\r\n");
        loop {
            let from = transcript::tail_offset(&out, 4096);
            if transcript::read(&out, from, 8192).unwrap().text.contains(&expect) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{n}");
            // The window reads when it is told to, not by the clock.
            assert!(channel.next().await.is_some());
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    assert!(times[18] < Duration::from_millis(200), "{times:?}");
    // The terminal itself echoes what is typed.
    assert!(run.stdout().contains("word 20\r\nyou said word 20\r\n"), "{}", run.stdout());
    channel.close_input(21).await.unwrap();
    assert_eq!(exit(&run, &identity).await, Exit::Code { code: 0 });
}

#[tokio::test]
async fn control_c_interrupts_the_program_in_the_terminal() {
    let run = Run::new();
    let identity = start(
        &run,
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.02; done",
    )
    .await;
    run.until_printed("ready");
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    channel.send_input(1, "\u{3}").await.unwrap();
    assert_eq!(exit(&run, &identity).await, Exit::Code { code: 3 });
    assert!(run.stdout().contains("interrupted"), "{}", run.stdout());
}

#[tokio::test]
async fn an_idle_terminal_costs_nothing() {
    let run = Run::new();
    let identity = start(&run, "echo ready; read -r line").await;
    run.until_printed("ready");
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    let mut heard = Vec::new();
    // Until it has told everything there is to tell.
    while let Ok(Some(said)) =
        tokio::time::timeout(Duration::from_millis(300), channel.next()).await
    {
        heard.push(said);
    }
    assert!(matches!(heard[0], ShimSays::Hello { .. }), "{heard:?}");
    let wakes = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", identity.shim.pid)).unwrap();
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap().to_owned();
        line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()
    };
    let before = wakes();
    // Time has to pass for something to be able to happen.
    assert!(tokio::time::timeout(Duration::from_millis(700), channel.next()).await.is_err());
    assert_eq!(wakes(), before, "nothing happened, and so it did nothing");
}

#[tokio::test]
async fn colours_of_a_terminal_are_kept_and_its_other_commands_are_not_shown() {
    let run = Run::new();
    let identity =
        start(&run, "printf '\\033[2J\\033[1;32mgreen\\033[0m\\033]0;title\\007\\n'").await;
    exit(&run, &identity).await;
    let out = run.stdout();
    assert!(out.contains("\u{1b}[2J"), "the file keeps what was printed: {out:?}");
    assert_eq!(ansi::colours_only(&out), "\u{1b}[1;32mgreen\u{1b}[0m\r\n");
    assert_eq!(ansi::plain(&out), "green\r\n");
}

#[tokio::test]
async fn a_stopped_program_in_a_terminal_leaves_nothing_behind() {
    let run = Run::new();
    let identity = start(&run, "sleep 600 & sleep 601 & echo ready; wait").await;
    run.until_printed("ready");
    let record = launcher().stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    until("the tree to be gone", || run.processes().is_empty());
    assert_eq!(record.survivors, []);
}
