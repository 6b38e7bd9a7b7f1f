//! Trees kept together in every way this machine has, and ended to the last process.

use std::io::Write as _;
use std::time::Instant;

use agents::supervision::{self, Probe};
use model::process::{Exit, LaunchSpec, Limits, ProcessRef, Sandbox, Supervision, TerminalSize};
use rustix::process::Signal;
use shim::proc;
use tokio_util::sync::CancellationToken;

use crate::support::{FAKE, Run, launcher, until};

const WAYS: [Supervision; 4] =
    [Supervision::Cgroup, Supervision::Namespace, Supervision::Session, Supervision::Group];

/// The ways that work here. The others are named on standard error: nothing is said of them.
pub(crate) fn ways() -> Vec<Supervision> {
    static PROBE: std::sync::OnceLock<Probe> = std::sync::OnceLock::new();
    let probe = PROBE.get_or_init(supervision::probe);
    let works = |way: &Supervision| {
        let found = probe.available.iter().find(|(other, _)| other == way).unwrap();
        if let Err(reason) = &found.1 {
            let _ = writeln!(std::io::stderr(), "SKIPPED, {way:?} is not there: {reason}");
        }
        found.1.is_ok()
    };
    WAYS.into_iter().filter(works).collect()
}

/// Every living process with this word in its command line.
pub(crate) fn with_argument(word: &str) -> Vec<ProcessRef> {
    let has = |pid: u32| proc::arguments(pid).iter().any(|arg| arg == word.as_bytes());
    let table = proc::table().unwrap();
    table.iter().filter(|it| !it.ended && has(it.pid)).map(proc::Stat::process).collect()
}

/// A number of seconds that no other process sleeps for.
pub(crate) fn own_time() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("4000.{}{next:03}", std::process::id())
}

/// Ends what a failed test leaves, which may carry no marker.
struct Ending(String);

impl Drop for Ending {
    fn drop(&mut self) {
        for process in with_argument(&self.0) {
            let _ = proc::signal(process, Signal::KILL);
        }
    }
}

pub(crate) fn script(run: &Run, text: &str) -> LaunchSpec {
    LaunchSpec { program: "sh".to_owned(), ..run.spec(&["-c", text]) }
}

#[tokio::test]
async fn after_stop_no_process_of_that_agents_tree_remains_and_its_workspace_is_kept() {
    for way in ways() {
        let run = Run::new();
        let time = own_time();
        let _ending = Ending(time.clone());
        // Twice removed, in a session of its own, without a marker, without descriptors, deaf to
        // TERM; beside it an ordinary child.
        let hidden = format!("trap \"\" TERM; exec <&- >&- 2>&-; sleep {time} & sleep {time}");
        let text = format!(
            "echo work > kept.txt; (setsid env -i PATH=\"$PATH\" sh -c '{hidden}' &)\n\
             sleep {time} & echo ready; wait"
        );
        let mut spec = LaunchSpec { supervision: way, ..script(&run, &text) };
        spec.grace_ms = 300;
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        until("the tree", || with_argument(&time).len() == 3);
        assert_eq!(supervision::in_force(&run.dir()).unwrap(), way);
        let begun = Instant::now();
        let record = launcher.stop(&run.dir(), &identity).await.unwrap();
        assert_eq!(with_argument(&time), [], "{way:?}: the system shows none of them");
        assert_eq!(run.processes(), [], "{way:?}");
        assert_eq!(record.survivors, [], "{way:?}");
        // A namespace ends with its program, which heeds TERM; elsewhere the deaf one has its grace.
        let killed = way != Supervision::Namespace;
        assert_eq!(record.exit, Exit::Stopped { killed }, "{way:?}");
        assert!(begun.elapsed().as_secs() < 5, "{way:?}: {:?}", begun.elapsed());
        let kept = std::fs::read_to_string(run.place().join("kept.txt")).unwrap();
        assert_eq!(kept, "work\n", "{way:?}");
    }
}

#[tokio::test]
async fn a_program_that_heeds_term_has_its_grace_whatever_keeps_it_together() {
    for way in ways() {
        let run = Run::new();
        let text = "trap 'echo tidied; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let spec = LaunchSpec { supervision: way, ..script(&run, text) };
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        run.until_printed("ready");
        let record = launcher.stop(&run.dir(), &identity).await.unwrap();
        assert_eq!(record.exit, Exit::Stopped { killed: false }, "{way:?}");
        assert!(run.stdout().contains("tidied"), "{way:?}: {}", run.stdout());
    }
}

#[tokio::test]
async fn how_a_program_ended_is_the_same_whatever_keeps_it_together() {
    for way in ways() {
        let run = Run::new();
        let mut spec = run.spec(&["say", "done", "exit", "5"]);
        spec.supervision = way;
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        let record = launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
        assert_eq!(record.exit, Exit::Code { code: 5 }, "{way:?}");
        assert_eq!(run.stdout(), "done\n", "{way:?}");
        assert!(record.memory_peak_bytes > 0, "{way:?}: {record:?}");
    }
}

#[tokio::test]
async fn when_the_shim_is_killed_a_process_without_a_marker_is_found_by_what_kept_it_together() {
    let sure = |way: &Supervision| matches!(way, Supervision::Cgroup | Supervision::Namespace);
    for way in ways().into_iter().filter(sure) {
        let run = Run::new();
        let time = own_time();
        let _ending = Ending(time.clone());
        let text = format!("(setsid env -i sleep {time} &); echo ready; sleep {time}");
        let spec = LaunchSpec { supervision: way, ..script(&run, &text) };
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        until("the tree", || with_argument(&time).len() == 2);
        assert_eq!(proc::signal(identity.shim, Signal::KILL), proc::Delivery::Sent);
        until("the shim's end", || !proc::is_alive(identity.shim));
        launcher.stop(&run.dir(), &identity).await.unwrap();
        until("an empty tree", || with_argument(&time).is_empty());
    }
}

#[tokio::test]
async fn what_is_missing_or_cannot_be_run_is_named_through_the_door_too() {
    let limits = Limits { open_files: Some(256), ..Limits::default() };
    for way in ways() {
        for (program, text, expect) in [
            ("absent", None, "was not found"),
            ("plain", Some((0o600, "x")), "chmod +x"),
            ("orphan", Some((0o700, "#!/no/such/interpreter\n")), "first line (#!)"),
        ] {
            let run = Run::new();
            if let Some((mode, text)) = text {
                use std::os::unix::fs::PermissionsExt;
                let path = run.place().join(program);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
            let program = format!("./{program}");
            let spec = LaunchSpec { program, supervision: way, limits, ..run.spec(&[]) };
            let error = launcher().start(&run.dir(), &spec, None).await.unwrap_err().to_string();
            assert!(error.contains(expect), "{way:?}: {error}");
            until("an empty tree", || run.processes().is_empty());
        }
    }
}

#[tokio::test]
async fn a_program_inherits_no_descriptor_but_its_three() {
    let limits = Limits { open_files: Some(256), ..Limits::default() };
    for way in ways() {
        let run = Run::new();
        let spec = LaunchSpec { supervision: way, limits, ..script(&run, "ls /proc/self/fd") };
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap();
        // The fourth is that of the listing itself.
        assert_eq!(run.stdout(), "0\n1\n2\n3\n", "{way:?}");
    }
}

#[tokio::test]
async fn a_terminal_is_the_programs_own_whatever_keeps_it_together() {
    for way in ways() {
        for sandbox in [None, Some(Sandbox::default())] {
            let run = Run::new();
            let text = "test -t 0 && test -t 1 && echo mine > /dev/tty; exit 3";
            let terminal = Some(TerminalSize { cols: 100, rows: 30 });
            let mut spec = LaunchSpec { supervision: way, terminal, ..script(&run, text) };
            spec.sandbox = sandbox.clone();
            let launcher = launcher();
            let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
            let cancel = CancellationToken::new();
            let record = launcher.wait(&run.dir(), &identity, &cancel).await.unwrap();
            assert_eq!(record.exit, Exit::Code { code: 3 }, "{way:?} {sandbox:?}");
            assert!(run.stdout().contains("mine"), "{way:?} {sandbox:?}: {}", run.stdout());
        }
    }
}

#[tokio::test]
async fn a_process_that_has_the_number_of_one_of_ours_is_never_signalled() {
    let run = Run::new();
    let launcher = launcher();
    let spec = run.spec(&["say", "ready", "forever"]);
    let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
    run.until_printed("ready");
    let program = identity.program;
    let earlier = ProcessRef { start_ticks: program.start_ticks - 1, ..program };
    for signal in [Signal::TERM, Signal::KILL, Signal::STOP] {
        assert_eq!(proc::signal(earlier, signal), proc::Delivery::Gone);
    }
    // A tree that is known by that number only: nothing of it is found, nothing is ended.
    let mut tree = shim::tree::Orphans::new("a marker nobody has", [earlier]);
    let ended = shim::tree::kill(&mut tree);
    assert_eq!((ended.signalled, ended.survivors), (0, Vec::new()));
    assert!(proc::is_alive(program));
    launcher.stop(&run.dir(), &identity).await.unwrap();
    assert!(std::path::Path::new(FAKE).exists());
}
