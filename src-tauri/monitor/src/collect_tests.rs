//! The collector against real process trees, checked with `/proc`.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use model::process::{ProcessIdentity, ProcessRef};

use super::*;

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

fn collector(dir: &Path) -> Collector {
    Collector::open(dir, dir, Totals::default()).unwrap()
}

fn collect(collector: &mut Collector, watched: &[Watched]) -> Measured {
    collector.collect(watched, Instant::now()).unwrap()
}

/// Field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)).
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
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
    let mut collector = collector(dir.path());
    let watched = [watched(identity(tree.pid()))];

    let look = |collector: &mut Collector| usage(&collect(collector, &watched));
    assert_eq!(look(&mut collector).cpu_percent, None, "nothing to compare with");
    until("three processes", || (look(&mut collector).processes == 3).then_some(()));
    let table = collector.processes.scan(&[tree.pid()], &[]).unwrap();
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
    let measured = usage(&collector.collect(&watched, second).unwrap());
    let after_second = cpu_ms(&pids);

    let used_ms = measured.cpu_percent.unwrap() / 100.0 * (second - first).as_secs_f64() * 1e3;
    let (least, most) = (before_second - after_first, after_second - before_first);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let range = (least as f64 - 60.0)..(most as f64 + 60.0);
    assert!(range.contains(&used_ms), "{used_ms} ms, by /proc {range:?}");
    assert!(measured.alive);
    assert_eq!((measured.processes, measured.threads), (3, Some(3)));
    let total = measured.totals.cpu_ms;
    assert!(total.abs_diff(after_second) < 200, "{total} beside {after_second}");
    let by_proc = memory(&pids);
    let off = measured.memory_bytes.abs_diff(by_proc);
    assert!(off < by_proc / 10 + 256 * 1024, "{off} off {by_proc}");
}

#[test]
fn a_later_process_of_the_same_number_is_not_the_agent() {
    let tree = Tree::start("sleep 300");
    let dir = tempfile::tempdir().unwrap();
    let mut collector = collector(dir.path());
    let mut check = |process: ProcessIdentity, alive: bool| {
        let measured = collect(&mut collector, &[watched(process)]);
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
    let mut collector = collector(dir.path());
    let watched = [watched(identity(tree.pid()))];
    assert!(usage(&collect(&mut collector, &watched)).alive);

    tree.kill();
    let dead = until("the root to be seen dead", || {
        let usage = usage(&collect(&mut collector, &watched));
        (!usage.alive).then_some(usage)
    });
    assert_eq!((dead.processes, dead.memory_bytes, dead.cpu_percent), (0, 0, None));
    tree.0.wait().unwrap();
    assert!(!usage(&collect(&mut collector, &watched)).alive);
}

#[test]
fn an_attempt_that_ended_in_order_is_no_longer_measured() {
    let mut tree = Tree::start("exit 0");
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(ATTEMPT);
    std::fs::create_dir(&run).unwrap();
    let watched = [watched(identity(tree.pid()))];
    tree.0.wait().unwrap();
    let mut collector = collector(dir.path());
    assert!(!usage(&collect(&mut collector, &watched)).alive);
    std::fs::write(run.join(file::EXIT), "{}").unwrap();
    assert!(collect(&mut collector, &watched).agents.is_empty());
}

#[test]
fn output_is_counted_in_both_files_and_dated_by_the_last_write() {
    let tree = Tree::start("sleep 300");
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(ATTEMPT);
    std::fs::create_dir(&run).unwrap();
    let watched = [watched(identity(tree.pid()))];
    let mut collector = collector(dir.path());
    std::fs::write(run.join(file::STDOUT), "").unwrap();
    let silent = usage(&collect(&mut collector, &watched));
    assert_eq!((silent.output_bytes, silent.last_output_at), (0, None));

    std::fs::write(run.join(file::STDOUT), "hello").unwrap();
    std::fs::write(run.join(file::STDERR), "oh").unwrap();
    let at = std::fs::metadata(run.join(file::STDERR)).unwrap().modified();
    let spoke = usage(&collect(&mut collector, &watched));
    assert_eq!(spoke.output_bytes, 7);
    assert_eq!(spoke.last_output_at, Some(at.unwrap().try_into().unwrap()));
}

#[test]
fn without_running_agents_only_the_engine_itself_is_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = collector(dir.path());
    let first = collect(&mut collector, &[]);
    assert_eq!(collector.processes.scan(&[], &[collector.own_pid]).unwrap().len(), 1);
    let engine = first.engine.unwrap();
    assert!(engine.memory_bytes > 1_000_000 && engine.cpu_percent.is_none());
    assert_eq!(first.machine.cpu_percent, None);

    let later = until("a second measurement", || {
        let measured = collect(&mut collector, &[]);
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
        let mut collector = collector(dir);
        // Others write meanwhile: what is found lies near one of the two looks around it.
        until("a quiet moment", || {
            let before = free_by_df(dir);
            let found = collect(&mut collector, &[]).machine.disk_free_bytes.unwrap();
            let after = free_by_df(dir);
            let slack = 1 << 20;
            let (least, most) = (before.min(after), before.max(after));
            (least.saturating_sub(slack)..=most + slack).contains(&found).then_some(())
        });
    }
}

#[test]
fn processor_time_of_programs_too_short_to_be_seen_counts_through_their_parent() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    let script = format!(
        "while [ ! -e '{0}' ]; do sleep 0.05; done; for n in 1 2 3 4 5 6; do sh -c '{burn}'; done; touch '{0}.done'; sleep 300",
        go.display()
    );
    let tree = Tree::start(&script);
    let mut collector = collector(dir.path());
    let watched = [watched(identity(tree.pid()))];
    until("the shell to wait", || {
        (usage(&collect(&mut collector, &watched)).processes == 2).then_some(())
    });
    let before = usage(&collect(&mut collector, &watched)).totals.cpu_ms;
    std::fs::write(&go, "").unwrap();
    until("it to be done", || dir.path().join("go.done").exists().then_some(()));
    until("its last child", || {
        (usage(&collect(&mut collector, &watched)).processes == 2).then_some(())
    });
    let after = usage(&collect(&mut collector, &watched)).totals.cpu_ms;
    // The shell's own field of children that have ended, in ticks of 10 ms.
    let stat = stat(tree.pid());
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let field = |at: usize| rest.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap();
    let kernel = (11..15).map(field).sum::<u64>() * 10;
    assert!(kernel > 50, "the work was too little to see: {kernel} ms");
    assert!(after - before <= kernel && kernel - after < 60, "{before} {after} {kernel}");
}

#[test]
fn counters_of_an_agent_go_on_when_its_process_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let first = Tree::start("while :; do :; done");
    let mut collector = collector(dir.path());
    collect(&mut collector, &[]);
    let one = watched(identity(first.pid()));
    let run = dir.path().join(ATTEMPT);
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join(file::STDOUT), "hello").unwrap();
    let used = until("some use", || {
        let totals = usage(&collect(&mut collector, std::slice::from_ref(&one))).totals;
        (totals.cpu_ms > 200).then_some(totals)
    });
    assert_eq!(used.output_bytes, 5);
    first.kill();
    collector.ended(one.attempt_id, 100_000);

    let second = Tree::start("sleep 300");
    let next = Watched {
        attempt_id: "0198c0de-0000-7000-8000-0000000000ff".parse().unwrap(),
        ..watched(identity(second.pid()))
    };
    let after = usage(&collect(&mut collector, &[next])).totals;
    // What it used after the last look is known from the record of its end.
    assert!((100_000..100_100).contains(&after.cpu_ms), "{after:?} after {used:?}");
    assert_eq!(after.output_bytes, 5);
}

#[test]
fn what_was_taken_over_counts_from_the_first_look_on_top_of_what_was_known() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::start("while :; do :; done");
    until("some use", || (cpu_ms(&[tree.pid()]) > 100).then_some(()));
    let agent: AgentId = AGENT.parse().unwrap();
    let known = AgentTotals { cpu_ms: 50_000, output_bytes: 7, ..AgentTotals::default() };
    let totals = Totals::resumed(HashMap::from([(agent, known)]));
    let mut collector = Collector::open(dir.path(), dir.path(), totals).unwrap();
    let watched = [watched(identity(tree.pid()))];
    let found = usage(&collect(&mut collector, &watched)).totals;
    let found = (found.cpu_ms, found.output_bytes);
    assert_eq!(found, (50_000, 7), "nothing counts twice");
    until("more use", || {
        (usage(&collect(&mut collector, &watched)).totals.cpu_ms > 50_050).then_some(())
    });
}

#[test]
fn files_and_bytes_of_a_tree_are_read_every_few_measurements() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::start("sleep 300 & wait");
    let mut collector = collector(dir.path());
    let watched = [watched(identity(tree.pid()))];
    until("the child", || (usage(&collect(&mut collector, &watched)).processes == 2).then_some(()));
    let found: Vec<_> =
        (0..DETAILS_EVERY).map(|_| usage(&collect(&mut collector, &watched)).open_files).collect();
    let told: Vec<_> = found.iter().flatten().copied().collect();
    // Each of the two has at least its three streams.
    assert_eq!(told.len(), 1, "{found:?}");
    assert!(told[0] >= 6, "{found:?}");
}

#[test]
fn what_is_on_a_screen_is_looked_at_between_two_measurements() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::start("while :; do :; done");
    let agent: AgentId = AGENT.parse().unwrap();
    let other = "0198c0de-0000-7000-8000-0000000000bb".parse().unwrap();
    let mut collector = collector(dir.path());
    let watched = [watched(identity(tree.pid()))];
    assert!(collector.close_up(&[agent], Instant::now()).is_empty(), "it is not known yet");
    collect(&mut collector, &watched);
    let busy = until("its use", || {
        let found = collector.close_up(&[agent], Instant::now());
        found[&agent].cpu_percent.filter(|percent| *percent > 5.0)
    });
    assert!(busy < 150.0, "{busy}");
    assert!(collector.close_up(&[other], Instant::now()).is_empty());
    tree.kill();
    until("its end", || collector.close_up(&[agent], Instant::now()).is_empty().then_some(()));
}
