//! The numbers of processes are used again: those of an agent and its shim belong to strangers when the
//! engine starts anew.

use std::io::Write as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use engine::view::NewMission;
use model::attempt::AttemptState;
use model::mission::MissionState;
use model::process::{Exit, ProcessRef};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::hive::{self, Hive, agent, processes_of};
use crate::{lines, of};

/// Where the kernel takes the next number from; only root may write there.
const LAST_NUMBER: &str = "/proc/sys/kernel/ns_last_pid";
/// How often a number is tried that others take too.
const TRIES: usize = 2_000;

/// A stranger under a number; ends with the test.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Stranger {
    /// Starts one under the number of a process that is gone.
    fn under(number: u32) -> Option<Self> {
        for _ in 0..TRIES {
            std::fs::write(LAST_NUMBER, (number - 1).to_string()).ok()?;
            let stranger = Self(Command::new("sleep").arg("600").spawn().unwrap());
            if stranger.0.id() == number {
                return Some(stranger);
            }
            drop(stranger);
            // Somebody else's thread may have it for a moment.
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn is_unharmed(&mut self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        self.0.try_wait().unwrap().is_none() && stat.contains(") S ")
    }
}

/// Ends a process without a trace.
fn wipe_out(process: ProcessRef) {
    let pid = Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
    let _ = kill_process(pid, Signal::KILL);
    let until = Instant::now() + Duration::from_secs(20);
    while std::path::Path::new(&format!("/proc/{}", process.pid)).exists() {
        // Whoever is its parent: here as the reaper of orphans.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        assert!(Instant::now() < until, "{process:?} is still in the table");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn strangers_under_the_numbers_of_an_agent_are_neither_taken_for_it_nor_harmed() {
    if std::fs::OpenOptions::new().write(true).open(LAST_NUMBER).is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: only root can have a number used again");
        return;
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let hive = Hive::open().await;
    let ran = hive.place.path().join("ran");
    // The first time it never ends.
    let script = format!(
        "echo ran >> {0}; echo ready; test $(wc -l < {0}) -gt 1 || exec sleep 600",
        ran.display()
    );
    hive.add(agent("ann", &format!("sh -c '{script}'"))).await;
    let id = hive.mission(NewMission { retries: Some(3), ..of("ann", "x") }).await;
    let detail = hive.until_printed(&id, "ready\n").await;
    let first = detail.attempts[0].attempt.clone();
    let process = first.process.clone().unwrap();

    let Hive { engine, ending, place } = hive;
    let data = engine.data_dir().to_owned();
    engine.shutdown().await;
    drop(engine);
    wipe_out(process.shim);
    wipe_out(process.program);
    let mut strangers = [process.shim, process.program].map(|process| {
        Stranger::under(process.pid).expect("the number is free, and nobody else takes it for ever")
    });
    let hive = Hive { engine: hive::open(&data).await, ending, place };

    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    let lost = done.attempts.iter().find(|view| view.attempt.id == first.id).unwrap();
    assert_eq!(lost.attempt.state, AttemptState::Lost, "{lost:#?}");
    assert!(matches!(lost.attempt.exit(), Some(Exit::Lost { .. })), "{lost:#?}");
    assert_eq!((done.attempts.len(), lines(&ran)), (2, 2));
    assert!(strangers.iter_mut().all(Stranger::is_unharmed), "strangers were signalled");
    assert_eq!(processes_of(&first.id.to_string()), Vec::<String>::new());
}
