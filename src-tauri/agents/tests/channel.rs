//! Conversations through the shim's socket: input, engines that come and go, back-pressure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agents::channel::{Channel, ChannelError, Heard, ShimSays};
use agents::lines::{LineReader, RawLine};
use model::process::{Exit, Limits, ProcessIdentity, file};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{Run, launcher, until};

const ECHO: &str = "while read -r line; do echo \"got $line\"; done; echo end";
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a shell script that is talked to.
async fn talk(run: &Run, dir: &Path, script: &str, limits: Limits) -> ProcessIdentity {
    let mut spec = run.spec(&["-c", script]);
    spec.program = "sh".to_owned();
    spec.channel = true;
    spec.limits = limits;
    launcher().start(dir, &spec, None).await.unwrap()
}

async fn ended(dir: &Path, identity: &ProcessIdentity) -> model::process::ExitRecord {
    let wait = CancellationToken::new();
    timeout(PATIENCE, launcher().wait(dir, identity, &wait)).await.unwrap().unwrap()
}

/// What the shim says until `wanted` is among it.
async fn hear_until(channel: &mut Channel, wanted: &ShimSays) {
    let hear = async {
        loop {
            let said = channel.next().await.expect("the connection stays");
            if said == *wanted {
                return;
            }
        }
    };
    timeout(PATIENCE, hear).await.unwrap();
}

async fn hello(channel: &mut Channel) -> u64 {
    match timeout(PATIENCE, channel.next()).await.unwrap() {
        Some(ShimSays::Hello { input_n, .. }) => input_n,
        other => panic!("{other:?}"),
    }
}

/// Reads lines until one is `last`, telling the shim how far it came.
async fn read_until(channel: &mut Channel, out: &Path, mut from: u64, last: &str) -> Vec<String> {
    let mut lines = LineReader::new(out);
    let mut read = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        while let Some(line) = lines.next_line(from).unwrap() {
            assert!(!line.cut);
            from = line.next_offset;
            // After its last line the program is gone, and the shim soon after it.
            let _ = channel.read_up_to(from).await;
            read.push(String::from_utf8(line.bytes).unwrap());
            if read.last().is_some_and(|line| line == last) {
                return read;
            }
        }
        let _ = channel.hear(agents::channel::LOOK).await;
    }
    panic!("waited in vain for {last}");
}

#[tokio::test]
async fn numbered_input_reaches_the_program_exactly_once_over_engines_that_come_and_go() {
    let run = Run::new();
    let identity = talk(&run, &run.dir(), ECHO, Limits::default()).await;
    let mut next = 1;
    for _ in 0..5 {
        let mut channel = Channel::connect(&run.dir()).await.unwrap();
        let seen = hello(&mut channel).await;
        assert!(seen < next, "{seen} before {next}");
        // An engine that died does not know whether its last inputs arrived: it sends them again.
        // What was still on its way when it died is lost: what counts is the number it is greeted with.
        for n in next.saturating_sub(3).clamp(1, seen + 1)..next + 4 {
            channel.send_input(n, &format!("{n}\n")).await.unwrap();
        }
        next += 4;
        // Gone without a word, and without having read an answer.
        drop(channel);
    }
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    let seen = hello(&mut channel).await;
    for n in seen + 1..next {
        channel.send_input(n, &format!("{n}\n")).await.unwrap();
    }
    channel.close_input(next).await.unwrap();
    hear_until(&mut channel, &ShimSays::Accepted { n: next }).await;
    assert_eq!(ended(&run.dir(), &identity).await.exit, Exit::Code { code: 0 });
    let expect: Vec<String> = (1..next).map(|n| format!("got {n}")).collect();
    assert_eq!(run.stdout(), format!("{}\nend\n", expect.join("\n")));
    let sent: Vec<String> = (1..next).map(|n| n.to_string()).collect();
    assert_eq!(run.text(file::STDIN_LOG), format!("{}\n", sent.join("\n")));
}

#[tokio::test]
async fn the_newest_engine_counts_and_the_older_one_learns_of_it() {
    let run = Run::new();
    talk(&run, &run.dir(), ECHO, Limits::default()).await;
    let mut old = Channel::connect(&run.dir()).await.unwrap();
    hello(&mut old).await;
    let mut new = Channel::connect(&run.dir()).await.unwrap();
    assert_eq!(hello(&mut new).await, 0);
    assert_eq!(timeout(PATIENCE, old.next()).await.unwrap(), None);
    new.send_input(1, "hi\n").await.unwrap();
    hear_until(&mut new, &ShimSays::Accepted { n: 1 }).await;
    until("the echo", || run.stdout() == "got hi\n");
    assert!(matches!(old.hear(Duration::from_secs(1)).await, Heard::Gone));
}

#[tokio::test]
async fn an_input_of_eight_megabytes_arrives_whole_and_a_longer_one_is_refused() {
    let run = Run::new();
    let identity = talk(&run, &run.dir(), "wc -c", Limits::default()).await;
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    let text = "\n\u{1}x".repeat((8 << 20) / 3);
    channel.send_input(1, &text).await.unwrap();
    let longer = "x".repeat((8 << 20) + 1);
    let error = channel.send_input(2, &longer).await.unwrap_err();
    assert!(matches!(error, ChannelError::TooLong { .. }), "{error}");
    channel.close_input(3).await.unwrap();
    hear_until(&mut channel, &ShimSays::Accepted { n: 1 }).await;
    ended(&run.dir(), &identity).await;
    assert_eq!(run.stdout().trim(), text.len().to_string());
}

#[tokio::test]
async fn input_after_the_program_closed_its_own_is_refused_in_words() {
    let run = Run::new();
    talk(&run, &run.dir(), "exec 0<&-; echo closed; exec sleep 600", Limits::default()).await;
    run.until_printed("closed");
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    channel.send_input(1, "x\n").await.unwrap();
    let refused = async {
        loop {
            match channel.next().await {
                Some(ShimSays::Refused { n: 1, reason, later: false }) => return reason,
                Some(_) => {}
                None => panic!("gone"),
            }
        }
    };
    let reason = timeout(PATIENCE, refused).await.unwrap();
    assert!(reason.contains("closed its input"), "{reason}");
}

#[tokio::test]
async fn a_conversation_nobody_reads_waits_and_loses_nothing() {
    let run = Run::new();
    let limits = Limits { output_bytes: Some(256 << 10), ..Limits::default() };
    let script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo \"line $i, long enough to matter\"; done; read x; echo \"heard $x\"";
    let identity = talk(&run, &run.dir(), script, limits).await;
    let out = run.dir().join(file::STDOUT);
    let size = || out.metadata().map_or(0, |found| found.len());
    until("the ring to be full", || size() >= 256 << 10);
    // What the engine does not read it is not given more of; the rest waits in the program.
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    hello(&mut channel).await;
    assert!(size() <= (256 << 10) + (64 << 10), "{}", size());
    assert!(shim::proc::is_alive(identity.program));
    channel.send_input(1, "me\n").await.unwrap();
    let read = read_until(&mut channel, &out, 0, "heard me").await;
    assert_eq!(read.len(), 60_001);
    assert!((1..=60_000).zip(&read).all(|(n, line)| line.starts_with(&format!("line {n},"))));
    let record = ended(&run.dir(), &identity).await;
    assert_eq!(record.exit, Exit::Code { code: 0 });
    assert!(record.given_up_bytes > 1 << 20, "what was read is given up: {record:?}");
}

#[tokio::test]
async fn a_run_in_a_very_long_path_can_be_talked_to() {
    let run = Run::new();
    let dir: PathBuf = run.root.path().join("d".repeat(120)).join("e".repeat(120));
    let identity = talk(&run, &dir, ECHO, Limits::default()).await;
    let mut channel = Channel::connect(&dir).await.unwrap();
    channel.send_input(1, "far\n").await.unwrap();
    channel.close_input(2).await.unwrap();
    ended(&dir, &identity).await;
    assert_eq!(std::fs::read_to_string(dir.join(file::STDOUT)).unwrap(), "got far\nend\n");
    let gone = Channel::connect(&dir).await.unwrap_err();
    assert!(matches!(gone, ChannelError::Connect { .. }), "{gone}");
    assert!(!dir.join(file::CONTROL).exists());
}

#[tokio::test]
async fn a_shim_with_a_client_that_reads_nothing_goes_on_with_everything_else() {
    let run = Run::new();
    let identity = talk(&run, &run.dir(), "cat >/dev/null; seq 20000", Limits::default()).await;
    let mut deaf = Channel::connect(&run.dir()).await.unwrap();
    for n in 1..=20_000 {
        // Its answers pile up; at some point the shim lets it go.
        if deaf.send_input(n, "x\n").await.is_err() {
            break;
        }
    }
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    let seen = hello(&mut channel).await;
    assert!(seen > 100, "{seen}");
    channel.close_input(30_000).await.unwrap();
    assert_eq!(ended(&run.dir(), &identity).await.exit, Exit::Code { code: 0 });
    assert!(run.stdout().ends_with("\n20000\n"));
    drop(deaf);
}

#[tokio::test]
async fn a_shim_that_is_held_holds_nobody_else_up() {
    let run = Run::new();
    let identity = talk(&run, &run.dir(), ECHO, Limits::default()).await;
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    hello(&mut channel).await;
    let _ = shim::proc::signal(identity.shim, rustix::process::Signal::STOP);
    let text = "x".repeat(4 << 20);
    let sent = timeout(Duration::from_secs(15), channel.send_input(1, &text)).await;
    let error = sent.expect("it is given up").unwrap_err();
    assert!(matches!(error, ChannelError::Gone(_)), "{error}");
    // What was sent half is not taken by the shim when it goes on: it is sent again.
    let _ = shim::proc::signal(identity.shim, rustix::process::Signal::CONT);
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    assert_eq!(hello(&mut channel).await, 0);
    channel.send_input(1, "hi\n").await.unwrap();
    channel.close_input(2).await.unwrap();
    assert_eq!(ended(&run.dir(), &identity).await.exit, Exit::Code { code: 0 });
    assert_eq!(run.stdout(), "got hi\nend\n");
}

#[tokio::test]
async fn a_line_of_json_of_eight_megabytes_is_read_whole() {
    let run = Run::new();
    let script =
        "printf '{\"a\":\"'; head -c 8388608 /dev/zero | tr '\\0' y; printf '\"}\\n'; read x";
    talk(&run, &run.dir(), script, Limits::default()).await;
    let mut channel = Channel::connect(&run.dir()).await.unwrap();
    let mut lines = LineReader::new(&run.dir().join(file::STDOUT));
    let read = async {
        loop {
            if let Some(line) = lines.next_line(0).unwrap() {
                return line;
            }
            let _ = channel.hear(agents::channel::LOOK).await;
        }
    };
    let RawLine { bytes, cut, next_offset, .. } = timeout(PATIENCE, read).await.unwrap();
    assert!(!cut);
    assert_eq!((bytes.len(), next_offset), (8_388_616, 8_388_617));
    assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
}
