//! Trees that are held, and all of them ended at once: whatever they ignore, whoever of ours is gone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agents::halt::Halted;
use agents::{Found, LaunchError, Launcher};
use model::process::{Exit, LaunchSpec, ProcessIdentity, ProcessRef, file};
use rustix::process::Signal;
use shim::{proc, record};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{FAKE, Run, launcher, shim, until};

const WITHIN: Duration = Duration::from_secs(5);

/// A directory of runs, as an engine has one. What is left of them is ended with it.
struct Runs(TempDir);

impl Runs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("runs")
    }

    fn run(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn spec(&self, name: &str, args: &[&str]) -> LaunchSpec {
        LaunchSpec {
            program: FAKE.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            directory: "/".to_owned(),
            stdin: false,
            grace_ms: 60_000,
            marker: self.marker(name),
            ..LaunchSpec::default()
        }
    }

    fn marker(&self, name: &str) -> String {
        self.run(name).display().to_string()
    }

    async fn start(&self, launcher: &Launcher, name: &str, args: &[&str]) -> ProcessIdentity {
        launcher.start(&self.run(name), &self.spec(name, args), None).await.unwrap()
    }

    fn printed(&self, name: &str, text: &str) {
        let path = self.run(name).join(file::STDOUT);
        until("the output", || {
            std::fs::read_to_string(&path).is_ok_and(|printed| printed.contains(text))
        });
    }

    fn living(&self, name: &str) -> Vec<ProcessRef> {
        proc::marked(&self.marker(name))
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let root = self.root();
        let ours = |marker: &String| {
            Path::new(marker).starts_with(&root)
                || (marker.len() == 36 && root.join(marker).is_dir())
        };
        for stat in proc::table().unwrap() {
            if proc::marker(stat.pid).unwrap().is_some_and(|marker| ours(&marker)) {
                let _ = proc::signal(stat.process(), Signal::KILL);
            }
        }
    }
}

async fn halt(launcher: &Launcher, runs: &Runs) -> (Vec<Halted>, Duration) {
    let begun = Instant::now();
    let halted = launcher.halt(&runs.root(), WITHIN).await;
    (halted, begun.elapsed())
}

fn find<'a>(halted: &'a [Halted], runs: &Runs, name: &str) -> &'a Halted {
    let place = runs.run(name).display().to_string();
    halted.iter().find(|halted| halted.run == place).unwrap()
}

/// What ignores TERM: a program, its child, and a grandchild in a session of its own.
const STUBBORN: [&str; 8] =
    ["ignore-term", "child", "600000", "daemon", "600000", "say", "ready", "forever"];

#[tokio::test]
async fn one_action_ends_every_agent_process_within_5_s_and_lists_any_survivor() {
    const TREES: usize = 60;
    let runs = Runs::new();
    let launcher = launcher();
    let names: Vec<String> = (0..TREES).map(|n| format!("run-{n}")).collect();
    let mut identities = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let docile = ["child", "600000", "say", "ready", "forever"];
        let args = if n % 2 == 0 { STUBBORN.as_slice() } else { docile.as_slice() };
        identities.push(runs.start(&launcher, name, args).await);
    }
    let gate = runs.start(&launcher, "run-0/gates/2", &["say", "ready", "forever"]).await;
    let mut before = Vec::new();
    for (n, name) in names.iter().enumerate() {
        runs.printed(name, "ready");
        let count = if n % 2 == 0 { 3 } else { 2 };
        until("the processes", || runs.living(name).len() == count);
        before.extend(runs.living(name));
    }
    runs.printed("run-0/gates/2", "ready");
    // One shim was killed, one tree is held, one hides its marker.
    let _ = proc::signal(identities[2].shim, Signal::KILL);
    launcher.freeze(&runs.run("run-3"), &identities[3]).await.unwrap();
    let hidden = format!("(env -i {FAKE} session pid ignore-term forever &); exec {FAKE} forever");
    let spec = LaunchSpec { program: "sh".to_owned(), ..runs.spec("hidden", &["-c", &hidden]) };
    launcher.start(&runs.run("hidden"), &spec, None).await.unwrap();
    runs.printed("hidden", "pid ");
    let printed = std::fs::read_to_string(runs.run("hidden").join(file::STDOUT)).unwrap();
    let pid = printed.trim().strip_prefix("pid ").unwrap().parse().unwrap();
    let hidden = proc::stat(pid).unwrap().process();

    let (halted, took) = halt(&launcher, &runs).await;
    println!("{TREES} trees of {} processes were gone after {took:?}", before.len());
    let left: Vec<_> = before.iter().filter(|process| proc::is_alive(**process)).collect();
    assert_eq!(left, Vec::<&ProcessRef>::new());
    assert!(!proc::is_alive(gate.program) && !proc::is_alive(hidden));
    assert!(took < WITHIN, "{took:?}");
    assert_eq!(halted.len(), TREES + 2);
    assert!(halted.iter().all(|halted| halted.survivors.is_empty()), "{halted:?}");
    assert_eq!(find(&halted, &runs, "run-0").ended.len(), 3);
    assert!(find(&halted, &runs, "run-0").killed);
    assert!(!find(&halted, &runs, "run-1").killed);
    assert!(!find(&halted, &runs, "run-3").killed, "what is held heeds TERM too");
    // Each shim that is left says how it ended.
    for (name, identity) in names.iter().zip(&identities) {
        let (run, cancel) = (runs.run(name), CancellationToken::new());
        let record = launcher.wait(&run, identity, &cancel).await.unwrap();
        match (name.as_str(), &record.exit) {
            ("run-2", Exit::Lost { .. }) => {}
            (name, Exit::Stopped { killed }) => {
                assert_eq!(*killed, find(&halted, &runs, name).killed, "{name}");
            }
            _ => panic!("{name}: {record:?}"),
        }
    }
    assert_eq!(halt(&launcher, &runs).await.0, [], "there is nothing more to end");
}

#[tokio::test]
async fn what_the_system_does_not_end_is_listed_as_a_survivor() {
    let runs = Runs::new();
    let launcher = launcher();
    runs.start(&launcher, "run", &STUBBORN).await;
    runs.printed("run", "ready");
    // No time for KILL: what ignores TERM is still there.
    let halted = launcher.halt(&runs.root(), Duration::ZERO).await;
    let names: Vec<&str> = find(&halted, &runs, "run")
        .survivors
        .iter()
        .map(|survivor| survivor.program.as_str())
        .collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("hivekeeper-fake")));
    let (halted, _) = halt(&launcher, &runs).await;
    assert!(find(&halted, &runs, "run").survivors.is_empty());
}

#[tokio::test]
async fn a_place_without_runs_has_nothing_to_end() {
    let runs = Runs::new();
    assert_eq!(halt(&launcher(), &runs).await.0, []);
}

#[tokio::test]
async fn strangers_are_left_alone() {
    let (runs, others) = (Runs::new(), Runs::new());
    let launcher = launcher();
    let other = others.start(&launcher, "run", &["say", "ready", "forever"]).await;
    let mut claimed = other.clone();
    // A record that names a living process of the same number, started at another time.
    claimed.shim.start_ticks += 1;
    claimed.program.start_ticks += 1;
    claimed.marker = "nobody".to_owned();
    std::fs::create_dir_all(runs.run("old")).unwrap();
    record::write_json(&runs.run("old").join(file::PROCESS), &claimed).unwrap();
    assert_eq!(halt(&launcher, &runs).await.0, []);
    assert!(proc::is_alive(other.program) && proc::is_alive(other.shim));
}

#[tokio::test]
async fn a_disk_that_refuses_writes_does_not_save_a_tree() {
    let runs = Runs::new();
    let launcher = launcher();
    let identity = runs.start(&launcher, "run", &STUBBORN).await;
    runs.printed("run", "ready");
    until("the tree", || runs.living("run").len() == 3);
    // Neither record nor its unfinished beginning can be written where directories are, and neither
    // can be replaced; the run's own files are unreadable.
    for name in ["exit.tmp", "lock"] {
        let _ = std::fs::remove_file(runs.run("run").join(name));
        std::fs::create_dir(runs.run("run").join(name)).unwrap();
    }
    let (halted, took) = halt(&launcher, &runs).await;
    assert_eq!(find(&halted, &runs, "run").ended.len(), 3);
    assert_eq!(runs.living("run"), []);
    assert!(took < WITHIN, "{took:?}");
    assert!(!runs.run("run").join(file::EXIT).exists());
    let _ = proc::signal(identity.shim, Signal::KILL);
}

#[tokio::test]
async fn runs_whose_directory_is_gone_or_damaged_are_ended_too() {
    let runs = Runs::new();
    let launcher = launcher();
    let mut shims = Vec::new();
    for name in ["gone", "damaged"] {
        shims.push(runs.start(&launcher, name, &STUBBORN).await.shim);
        runs.printed(name, "ready");
    }
    // An attempt's processes carry its id, which is what its directory is called.
    let id = format!("0198f0c2-7d4e-7abc-8def-{:012x}", std::process::id());
    let spec = LaunchSpec { marker: id.clone(), ..runs.spec(&id, &STUBBORN) };
    shims.push(launcher.start(&runs.run(&id), &spec, None).await.unwrap().shim);
    runs.printed(&id, "ready");
    for name in [file::PROCESS, file::SPEC] {
        std::fs::write(runs.run(&id).join(name), "{").unwrap();
    }
    std::fs::remove_dir_all(runs.run("gone")).unwrap();
    std::fs::write(runs.run("damaged").join(file::PROCESS), "{").unwrap();
    let (halted, _) = halt(&launcher, &runs).await;
    assert_eq!(halted.len(), 3, "{halted:?}");
    assert_eq!((runs.living("gone"), runs.living("damaged")), (Vec::new(), Vec::new()));
    assert_eq!(proc::marked(&id), []);
    for shim in shims {
        let _ = proc::signal(shim, Signal::KILL);
    }
}

#[tokio::test]
async fn a_held_tree_does_nothing_until_it_goes_on() {
    let run = Run::new();
    let launcher = launcher();
    let spec = run.spec(&["daemon", "600000", "lines", "100000", "5"]);
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    run.until_printed("line 3\n");
    run.until_processes(2);
    let held = launcher.freeze(&run.dir(), &identity).await.unwrap();
    assert_eq!((held.processes, held.refused.as_slice()), (2, [].as_slice()));
    let is_held = |process: &ProcessRef| proc::stat(process.pid).is_some_and(|stat| stat.held);
    assert!(run.processes().iter().all(is_held));
    assert!(!is_held(&identity.shim), "the shim is never held");
    assert!(matches!(launcher.look(&run.dir()), Ok(Found::Running(_))));
    let printed = run.stdout().len();
    let again = launcher.freeze(&run.dir(), &identity).await.unwrap();
    assert_eq!(again.processes, 2);
    assert_eq!(run.stdout().len(), printed, "it does nothing");
    let thawed = launcher.thaw(&run.dir(), &identity).await.unwrap();
    assert_eq!((thawed.processes, thawed.refused.as_slice()), (2, [].as_slice()));
    until("it to go on", || run.stdout().len() > printed);
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert_eq!(launcher.freeze(&run.dir(), &identity).await.unwrap().processes, 0);
}

#[tokio::test]
async fn a_held_tree_is_stopped_by_term_like_any_other() {
    let run = Run::new();
    let launcher = launcher();
    let spec = run.spec(&["child", "600000", "say", "ready", "forever"]);
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    run.until_printed("ready");
    run.until_processes(2);
    launcher.freeze(&run.dir(), &identity).await.unwrap();
    let begun = Instant::now();
    let record = launcher.stop(&run.dir(), &identity).await.unwrap();
    assert_eq!(record.exit, Exit::Stopped { killed: false });
    assert!(begun.elapsed().as_secs() < 8, "not only after its grace of ten seconds");
    assert_eq!(run.processes(), []);
}

#[tokio::test]
async fn a_restart_of_the_machine_is_told_from_a_loss() {
    let runs = Runs::new();
    let launcher = launcher();
    let identity = runs.start(&launcher, "run", &["exit", "0"]).await;
    let earlier = ProcessIdentity { boot_id: "an earlier boot".to_owned(), ..identity };
    let run = runs.run("earlier");
    std::fs::create_dir_all(&run).unwrap();
    record::write_json(&run.join(file::PROCESS), &earlier).unwrap();
    let Found::Ended(found) = launcher.look(&run).unwrap() else {
        panic!("not ended");
    };
    assert_eq!((&found.exit, found.survivors.as_slice()), (&Exit::Rebooted, [].as_slice()));
    assert_eq!(found.exit.to_string(), "was ended by a restart of the machine");
    let waited = launcher.wait(&run, &earlier, &CancellationToken::new()).await.unwrap();
    assert_eq!(waited.exit, Exit::Rebooted);
    let stopped = launcher.stop(&run, &earlier).await.unwrap();
    assert_eq!(stopped.exit, Exit::Rebooted);
    assert_eq!(launcher.look(&run).unwrap(), Found::Ended(stopped));
}

/// Starts a shim by hand, as an engine does that dies before it hears of it.
fn start_alone(run: &Path) -> std::process::Child {
    std::process::Command::new(shim()).arg(run).spawn().unwrap()
}

#[tokio::test]
async fn a_shim_that_comes_after_its_engine_died_starts_nothing_once_the_run_was_forestalled() {
    let runs = Runs::new();
    for name in ["halted", "forestalled"] {
        let run = runs.run(name);
        std::fs::create_dir_all(&run).unwrap();
        record::write_json(&run.join(file::SPEC), &runs.spec(name, &["say", "ran"])).unwrap();
        if name == "halted" {
            assert_eq!(halt(&launcher(), &runs).await.0, []);
        } else {
            let record = launcher().forestall(&run).await.unwrap();
            assert_eq!(record.exit, Exit::Stopped { killed: false });
        }
        start_alone(&run).wait().unwrap();
        assert!(run.join(file::EXIT).exists());
        assert!(!run.join(file::STDOUT).exists(), "{name}: it was started");
    }
    let nowhere = launcher().forestall(&runs.run("never prepared")).await.unwrap();
    assert_eq!(nowhere.exit, Exit::Stopped { killed: false });
}

#[tokio::test]
async fn a_shim_that_is_just_starting_something_is_not_missed() {
    for way in ["halt", "forestall"] {
        let runs = Runs::new();
        let run = runs.run("run");
        std::fs::create_dir_all(&run).unwrap();
        record::write_json(&run.join(file::SPEC), &runs.spec("run", &STUBBORN)).unwrap();
        // It cannot say what it started: it takes the lock and stays in between.
        let fifo = run.join(file::STDIN);
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let spec = LaunchSpec { stdin: true, grace_ms: 100, ..runs.spec("run", &STUBBORN) };
        record::write_json(&run.join(file::SPEC), &spec).unwrap();
        let mut alone = start_alone(&run);
        until("the shim to have the lock", || {
            std::fs::read(run.join("lock")).is_ok_and(|mark| !mark.is_empty())
        });
        let launcher = launcher();
        let ending = async {
            if way == "halt" {
                let halted = launcher.halt(&runs.root(), WITHIN).await;
                assert!(halted.iter().all(|halted| halted.survivors.is_empty()), "{halted:?}");
            } else {
                let record = launcher.forestall(&run).await.unwrap();
                assert!(matches!(record.exit, Exit::Stopped { .. }), "{record:?}");
            }
        };
        let letting_go = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let path = fifo.clone();
            tokio::task::spawn_blocking(move || std::fs::File::create(path).unwrap()).await.unwrap()
        };
        let (_, open) = tokio::join!(ending, letting_go);
        drop(open);
        alone.wait().unwrap();
        assert_eq!(runs.living("run"), [], "{way}");
        let Found::Ended(record) = launcher.look(&run).unwrap() else {
            panic!("{way}: not ended");
        };
        assert!(matches!(record.exit, Exit::Stopped { .. }), "{way}: {record:?}");
    }
}

#[tokio::test]
async fn a_run_that_was_started_is_stopped_when_it_is_forestalled() {
    let runs = Runs::new();
    let launcher = launcher();
    runs.start(&launcher, "run", &["say", "ready", "forever"]).await;
    runs.printed("run", "ready");
    let record: Result<_, LaunchError> = launcher.forestall(&runs.run("run")).await;
    assert_eq!(record.unwrap().exit, Exit::Stopped { killed: false });
    assert_eq!(runs.living("run"), []);
}
