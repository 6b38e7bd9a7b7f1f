//! The collector against real process trees, checked with `/proc`.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use model::process::{ProcessIdentity, ProcessRef};

use super::*;
use crate::identity::start_ticks;

const ATTEMPT: &str = "0198c0de-0000-7000-8000-00000000000a";
const AGENT: &str = "0198c0de-0000-7000-8000-00000000000b";

/// A process group that ends with the test, whatever happens in it.
struct Tree(Child);

impl Tree {
    fn start(script: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(&self) {
        let group = format!("-{}", self.pid());
        let ended =
            Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        assert!(ended.is_ok());
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stat(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default()
}

/// Processor time by `/proc`, in milliseconds; the clock ticks a hundred times a second.
fn cpu_ms(pids: &[u32]) -> u64 {
    let one = |pid: &u32| {
        let stat = stat(*pid);
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let field = |at: usize| rest.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap();
        (field(11) + field(12)) * 10
    };
    pids.iter().map(one).sum()
}

/// Resident memory by `/proc`, in bytes.
fn memory(pids: &[u32]) -> u64 {
    let one = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    };
    pids.iter().map(one).sum()
}

fn identity(pid: u32) -> ProcessIdentity {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let process = ProcessRef { pid, start_ticks: start_ticks(&stat(pid)).unwrap() };
    ProcessIdentity {
        shim: process,
        program: process,
        boot_id: boot_id.trim().to_owned(),
        marker: "test".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn watched(process: ProcessIdentity) -> Watched {
    Watched { attempt_id: ATTEMPT.parse().unwrap(), agent_id: AGENT.parse().unwrap(), process }
}

fn usage(measured: &Measured) -> AgentUsage {
    measured.agents[&AGENT.parse().unwrap()].clone()
}

#[test]
fn a_tree_with_a_busy_and_a_sleeping_child_is_measured_as_the_kernel_counts_it() {
    let tree = Tree::start("sleep 300 & sh -c 'while :; do :; done' & wait");
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    let watched = [watched(identity(tree.pid()))];

    let look = |collector: &mut Collector| usage(&collector.collect(&watched, Instant::now()));
    assert_eq!(look(&mut collector).cpu_percent, None, "nothing to compare with");
    until("three processes", || (look(&mut collector).processes == 3).then_some(()));
    let table = collector.scan(true);
    let pids: Vec<_> = table.tree(tree.pid()).iter().map(|row| row.pid).collect();
    // The children have become what they run: their memory is steady from here on.
    until("the busy child", || (cpu_ms(&pids) > 50).then_some(()));

    let before_first = cpu_ms(&pids);
    let first = Instant::now();
    look(&mut collector);
    let after_first = cpu_ms(&pids);
    until("work", || (cpu_ms(&pids) > after_first + 400).then_some(()));
    let before_second = cpu_ms(&pids);
    let second = Instant::now();
    let measured = usage(&collector.collect(&watched, second));
    let after_second = cpu_ms(&pids);

    let used_ms = measured.cpu_percent.unwrap() / 100.0 * (second - first).as_secs_f64() * 1e3;
    let (least, most) = (before_second - after_first, after_second - before_first);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let range = (least as f64 - 60.0)..(most as f64 + 60.0);
    assert!(range.contains(&used_ms), "{used_ms} ms, by /proc {range:?}");
    assert!(measured.alive);
    assert_eq!(measured.processes, 3);
    let by_proc = memory(&pids);
    let off = measured.memory_bytes.abs_diff(by_proc);
    assert!(off < by_proc / 10 + 256 * 1024, "{off} off {by_proc}");
}

#[test]
fn a_later_process_of_the_same_number_is_not_the_agent() {
    let tree = Tree::start("sleep 300");
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    let mut check = |process: ProcessIdentity, alive: bool| {
        let measured = collector.collect(&[watched(process)], Instant::now());
        assert_eq!(usage(&measured).alive, alive);
        let tick = measured.into_snapshot(Timestamp::UNIX_EPOCH, 1, 0).to_tick();
        let samples = |(key, _): &(model::signal::SeriesKey, f64)| key.name.starts_with("agent_");
        assert_eq!(tick.samples.iter().any(samples), alive);
    };
    let right = identity(tree.pid());
    let mut started_later = right.clone();
    started_later.shim.start_ticks += 1;
    let mut other_boot = right.clone();
    other_boot.boot_id = "another".to_owned();
    check(right, true);
    check(started_later, false);
    check(other_boot, false);
}

#[test]
fn a_dead_root_is_not_alive_even_before_it_is_collected() {
    let mut tree = Tree::start("sleep 300");
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    let watched = [watched(identity(tree.pid()))];
    assert!(usage(&collector.collect(&watched, Instant::now())).alive);

    tree.kill();
    let dead = until("the root to be seen dead", || {
        let usage = usage(&collector.collect(&watched, Instant::now()));
        (!usage.alive).then_some(usage)
    });
    assert_eq!((dead.processes, dead.memory_bytes, dead.cpu_percent), (0, 0, None));
    tree.0.wait().unwrap();
    assert!(!usage(&collector.collect(&watched, Instant::now())).alive);
}

#[test]
fn an_attempt_that_ended_in_order_is_no_longer_measured() {
    let mut tree = Tree::start("exit 0");
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(ATTEMPT);
    std::fs::create_dir(&run).unwrap();
    let watched = [watched(identity(tree.pid()))];
    tree.0.wait().unwrap();
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    assert!(!usage(&collector.collect(&watched, Instant::now())).alive);
    std::fs::write(run.join(file::EXIT), "{}").unwrap();
    assert!(collector.collect(&watched, Instant::now()).agents.is_empty());
}

#[test]
fn output_is_counted_in_both_files_and_dated_by_the_last_write() {
    let tree = Tree::start("sleep 300");
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(ATTEMPT);
    std::fs::create_dir(&run).unwrap();
    let watched = [watched(identity(tree.pid()))];
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    std::fs::write(run.join(file::STDOUT), "").unwrap();
    let silent = usage(&collector.collect(&watched, Instant::now()));
    assert_eq!((silent.output_bytes, silent.last_output_at), (0, None));

    std::fs::write(run.join(file::STDOUT), "hello").unwrap();
    std::fs::write(run.join(file::STDERR), "oh").unwrap();
    let at = std::fs::metadata(run.join(file::STDERR)).unwrap().modified();
    let spoke = usage(&collector.collect(&watched, Instant::now()));
    assert_eq!(spoke.output_bytes, 7);
    assert_eq!(spoke.last_output_at, Some(at.unwrap().try_into().unwrap()));
}

#[test]
fn without_running_agents_only_the_engine_itself_is_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = Collector::open(dir.path(), dir.path()).unwrap();
    let first = collector.collect(&[], Instant::now());
    assert_eq!(collector.system.processes().len(), 1);
    let engine = first.engine.unwrap();
    assert!(engine.memory_bytes > 1_000_000 && engine.cpu_percent.is_none());
    assert_eq!(first.machine.cpu_percent, None);

    let later = until("a second measurement", || {
        let measured = collector.collect(&[], Instant::now());
        measured.machine.cpu_percent.map(|_| measured)
    });
    assert!(later.machine.memory_total_bytes > later.machine.memory_used_bytes);
    assert!(later.machine.memory_used_bytes > 0);
}

/// What `df` says is free for this user, in bytes.
fn free_by_df(dir: &Path) -> u64 {
    let said = Command::new("df").args(["-P", "-k", "--"]).arg(dir).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().last().unwrap().split_whitespace().nth(3).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn free_space_is_that_of_the_file_system_which_holds_the_directory() {
    let place = tempfile::tempdir().unwrap();
    // One of memory beside one of a disk: a directory's own answer, wherever it is mounted.
    for dir in [place.path(), Path::new("/dev/shm")].into_iter().filter(|dir| dir.exists()) {
        let mut collector = Collector::open(dir, dir).unwrap();
        // Others write meanwhile: what is found lies near one of the two looks around it.
        until("a quiet moment", || {
            let before = free_by_df(dir);
            let found = collector.collect(&[], Instant::now()).machine.disk_free_bytes.unwrap();
            let after = free_by_df(dir);
            let slack = 1 << 20;
            let (least, most) = (before.min(after), before.max(after));
            (least.saturating_sub(slack)..=most + slack).contains(&found).then_some(())
        });
    }
}
