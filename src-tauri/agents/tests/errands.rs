//! Errands end within their limits, and leave nothing behind: real processes that misbehave.

use std::path::Path;
use std::time::{Duration, Instant};

use agents::Launcher;
use agents::errand::{self, Errand, Limit, Ran};
use tokio_util::sync::CancellationToken;

use crate::support::*;

struct Place {
    dir: tempfile::TempDir,
    launcher: Launcher,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), launcher: launcher() }
    }

    async fn run(&self, script: &str, within: Duration, memory_bytes: u64) -> Ran {
        let command = ["sh", "-c", script].map(str::to_owned);
        self.run_command(&command, within, memory_bytes, &CancellationToken::new()).await.unwrap()
    }

    async fn run_command(
        &self,
        command: &[String],
        within: Duration,
        memory_bytes: u64,
        cancel: &CancellationToken,
    ) -> Result<Ran, agents::LaunchError> {
        let errand = Errand {
            command,
            env: vec![("NAMED".to_owned(), "value".to_owned())],
            directory: self.dir.path(),
            input: b"{\"a\":1}\n",
            within,
            memory_bytes,
            supervision: agents::supervision::probed().await.in_force,
        };
        errand::run(&self.launcher, &self.dir.path().join("run"), &errand, cancel).await
    }

    /// The process whose number a script wrote down.
    fn noted(&self, name: &str) -> Option<u32> {
        std::fs::read_to_string(self.dir.path().join(name)).ok()?.trim().parse().ok()
    }
}

/// Whether a process is there and no zombie.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|text| !text.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

const ROOM: u64 = 512 * 1024 * 1024;

#[tokio::test]
async fn an_errand_reads_its_input_and_says_how_it_ended() {
    let place = Place::new();
    let ran = place.run("cat; echo \"$NAMED\"; echo oops >&2", Duration::from_secs(30), ROOM).await;
    assert_eq!((ran.code, ran.limit, ran.survivors), (Some(0), None, 0), "{ran:?}");
    assert_eq!(ran.output, "{\"a\":1}\nvalue\noops\n");
    assert!(ran.is_well());
    assert!(!place.dir.path().join("run").exists(), "its files are gone");
}

#[tokio::test]
async fn a_crashing_errand_has_failed_and_its_end_is_named() {
    let place = Place::new();
    let ran = place.run("echo before; exit 7", Duration::from_secs(30), ROOM).await;
    assert_eq!((ran.code, ran.is_well()), (Some(7), false));
    assert_eq!(ran.how, "ended with exit code 7");
    let ran = place.run("kill -SEGV $$", Duration::from_secs(30), ROOM).await;
    assert_eq!((ran.code, ran.is_well()), (None, false));
    assert!(ran.how.contains("signal 11"), "{}", ran.how);
    let command = ["no-such-program-anywhere".to_owned()];
    let token = CancellationToken::new();
    let refused = place.run_command(&command, Duration::from_secs(30), ROOM, &token).await;
    assert!(refused.unwrap_err().to_string().contains("no-such-program-anywhere"));
}

#[tokio::test]
async fn a_hanging_errand_is_ended_as_a_tree_at_its_limit() {
    let place = Place::new();
    let script =
        "trap '' TERM; (trap '' TERM; echo $BASHPID; sleep 600) & echo $! > child; sleep 600";
    let begun = Instant::now();
    let ran = place.run(script, Duration::from_secs(1), ROOM).await;
    assert_eq!((ran.limit, ran.code, ran.survivors), (Some(Limit::Time), None, 0), "{ran:?}");
    assert!(ran.how.contains("did not end within 1 s"), "{}", ran.how);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let child = place.noted("child").unwrap();
    assert!(!lives(child), "its child is gone as well");
}

#[tokio::test]
async fn an_errand_that_forks_away_leaves_nothing_behind() {
    let place = Place::new();
    let script = "setsid sh -c 'echo $$ > away; exec sleep 600' >/dev/null 2>&1 </dev/null & \
                  while [ ! -s away ]; do sleep 0.05; done; echo gone";
    let ran = place.run(script, Duration::from_secs(30), ROOM).await;
    let away = place.noted("away").unwrap();
    assert!(!lives(away), "{ran:?}");
    assert_eq!(ran.survivors, 0);
}

#[tokio::test]
async fn an_errand_that_eats_memory_is_ended_at_its_limit() {
    let place = Place::new();
    // Each line is kept, so that what is held grows until something says stop.
    let script = "awk 'BEGIN { while (1) { a[n++] = sprintf(\"%1000s\", n) } }'";
    let ran = place.run(script, Duration::from_secs(60), 64 * 1024 * 1024).await;
    assert!(!ran.is_well() && ran.limit != Some(Limit::Time), "{ran:?}");
    assert_eq!(ran.survivors, 0);
}

#[tokio::test]
async fn an_errand_that_prints_without_end_is_kept_short() {
    let place = Place::new();
    let ran = place.run("yes abcdefgh", Duration::from_secs(1), ROOM).await;
    assert_eq!(ran.limit, Some(Limit::Time));
    assert!(ran.output.len() <= 2 * errand::TAIL_BYTES + 64, "{}", ran.output.len());
    assert!(ran.output.contains("abcdefgh"));
}

#[tokio::test]
async fn what_an_engine_left_of_an_errand_is_ended_by_the_next_one() {
    let place = Place::new();
    let cancel = CancellationToken::new();
    let command = ["sh", "-c", "echo $$ > own; exec sleep 600"].map(str::to_owned);
    let begun = Instant::now();
    let mut running = Box::pin(place.run_command(&command, Duration::from_secs(60), ROOM, &cancel));
    // The engine dies while it runs: nobody waits for it any more.
    while place.noted("own").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        drop(tokio::time::timeout(Duration::from_millis(20), &mut running).await);
    }
    drop(running);
    let own = place.noted("own").unwrap();
    assert!(lives(own));
    errand::clear(&place.launcher, &place.dir.path().join("run")).await.unwrap();
    assert!(!lives(own));
    assert!(!place.dir.path().join("run").exists());
}

#[tokio::test]
async fn an_errand_ends_with_its_engine() {
    let place = Place::new();
    let cancel = CancellationToken::new();
    let command = ["sh", "-c", "echo $$ > own; exec sleep 600"].map(str::to_owned);
    let noted = async {
        while place.noted("own").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let run = place.run_command(&command, Duration::from_secs(60), ROOM, &cancel);
    let (ran, ()) = tokio::join!(run, noted);
    assert_eq!(ran.unwrap().how, "was ended with the engine");
    assert!(!lives(place.noted("own").unwrap()));
}
