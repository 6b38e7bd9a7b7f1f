//! Control groups, version 2: a run in a group of its own, which none of its processes
//! leaves without meaning to (one that may write to the tree of groups can move itself elsewhere).
//!
//! Two ways lead to one: where systemd runs, a scope it makes (`systemd-run --scope`), because the
//! tree of groups is its own there; elsewhere a directory below the group this program is in. Which
//! limits the kernel holds depends on the controllers the group was given; what it does not hold,
//! the shim watches.
//!
//! The way through systemd has been written after its manual and is covered by tests of its argument
//! list only: none of the machines it was developed on runs systemd.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::process::{Limits, ProcessRef};
use serde::{Deserialize, Serialize};

use super::{Absent, full_path, is_program};
use crate::proc;

/// Where all groups of runs are made.
const OWN: &str = "hivekeeper";
/// How deep groups inside of a run's group are looked for.
const DEPTH_MAX: u32 = 8;
/// How long a group may take to become empty after it was killed.
const EMPTY_TIME: Duration = Duration::from_secs(2);
/// How long systemd may take to make a scope.
const SCOPE_TIME: Duration = Duration::from_secs(5);
/// The weights the kernel knows.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;

/// Which limits the kernel itself holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLimits {
    /// Memory: the group is ended when it needs more.
    pub memory: bool,
    /// Processes: no more can be started.
    pub processes: bool,
    /// The share of the processor.
    pub cpu: bool,
}

impl HeldLimits {
    /// What a list of controllers, as in `cgroup.controllers`, can hold.
    #[must_use]
    pub fn of_controllers(list: &str) -> Self {
        let has = |name| list.split_ascii_whitespace().any(|word| word == name);
        Self { memory: has("memory"), processes: has("pids"), cpu: has("cpu") }
    }
}

/// How a run gets a group of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// systemd makes one: its own user's instance, or the system's where this program is root's.
    Scope {
        /// Whether it is the user's instance.
        user: bool,
    },
    /// A directory below this one.
    Directory(PathBuf),
}

impl Way {
    /// The way on this machine.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find() -> Result<Self, Absent> {
        if Path::new("/run/systemd/system").is_dir() {
            return match is_program("systemd-run") {
                true => Ok(Self::Scope { user: !rustix::process::geteuid().is_root() }),
                false => Err(Absent::NoProgram("systemd-run")),
            };
        }
        let read = |path| std::fs::read_to_string(path).map_err(Absent::from);
        let mounts = read("/proc/self/mountinfo")?;
        let mount = mount_point(&mounts).ok_or(Absent::NoCgroups)?;
        let own = read("/proc/self/cgroup")?;
        let inside = own_group(&own).ok_or(Absent::NoCgroups)?;
        delegated(&mount, inside.trim_start_matches('/')).map(Self::Directory)
    }
}

/// The nearest group, from our own upwards, in which groups can be made.
fn delegated(mount: &Path, inside: &str) -> Result<PathBuf, Absent> {
    let own = mount.join(inside);
    let mut refused = Absent::NoCgroups;
    for group in own.ancestors().take_while(|group| group.starts_with(mount)) {
        match make(&group.join(OWN)) {
            // Moving a process needs the same right again.
            Ok(()) if can_write(&group.join("cgroup.procs")) => return Ok(group.to_owned()),
            Ok(()) => refused = ErrorKind::PermissionDenied.into(),
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

fn can_write(file: &Path) -> bool {
    std::fs::OpenOptions::new().write(true).open(file).is_ok()
}

/// Where the second version is mounted, from the text of `/proc/self/mountinfo`.
#[must_use]
pub fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let point = before.split(' ').nth(4)?;
        (kind == "cgroup2").then(|| PathBuf::from(point.replace("\\040", " ")))
    })
}

/// The group of the second version, from the text of `/proc/PID/cgroup`.
#[must_use]
pub fn own_group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A number of a file of `key value` lines, as `cgroup.events` and `memory.events` are.
#[must_use]
pub fn event(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// A control group, by its directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group for one run below `home` and sets what of `limits` the kernel can hold there.
    ///
    /// # Errors
    /// When it cannot be made, or a limit cannot be set.
    pub fn create(home: &Path, name: &str, limits: &Limits) -> std::io::Result<(Self, HeldLimits)> {
        let own = home.join(OWN);
        make(&own)?;
        for group in [home, &own] {
            for controller in ["+memory", "+pids", "+cpu"] {
                // One by one: what is not there, or is used elsewhere, hinders none of the others.
                let _ = write(&group.join("cgroup.subtree_control"), controller);
            }
        }
        let group = Self(own.join(name));
        make(&group.0)?;
        let held = group.limit(limits)?;
        Ok((group, held))
    }

    /// The group in `directory`.
    #[must_use]
    pub const fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The group a process is in.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub fn of_process(pid: u32) -> std::io::Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let found = mount_point(&mounts).zip(own_group(&text));
        let (mount, group) = found.ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        Ok(Self(mount.join(group.trim_start_matches('/'))))
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    fn limit(&self, limits: &Limits) -> std::io::Result<HeldLimits> {
        let controllers = std::fs::read_to_string(self.0.join("cgroup.controllers"))?;
        let held = HeldLimits::of_controllers(&controllers);
        if let Some(bytes) = limits.memory_bytes.filter(|_| held.memory) {
            write(&self.0.join("memory.max"), &bytes.to_string())?;
            // All of it ends, not whichever process the kernel happens to choose; and what does not
            // fit is not moved to the disk instead. Kernels without these files do without.
            let _ = write(&self.0.join("memory.oom.group"), "1");
            let _ = write(&self.0.join("memory.swap.max"), "0");
        }
        if let Some(count) = limits.processes.filter(|_| held.processes) {
            write(&self.0.join("pids.max"), &count.to_string())?;
        }
        if let Some(weight) = limits.cpu_weight.filter(|_| held.cpu) {
            let weight = weight.clamp(*WEIGHTS.start(), *WEIGHTS.end());
            write(&self.0.join("cpu.weight"), &weight.to_string())?;
        }
        Ok(held)
    }

    /// Which of `limits` the kernel really holds here: its controllers are there, and it took the
    /// figures over. What somebody else was asked to set may have been passed over in silence.
    #[must_use]
    pub fn holds(&self, limits: &Limits) -> HeldLimits {
        let text = |name: &str| std::fs::read_to_string(self.0.join(name)).unwrap_or_default();
        let has = HeldLimits::of_controllers(&text("cgroup.controllers"));
        // A limit of nothing in particular reads `max`; memory is rounded to whole pages.
        let at_most = |name: &str, most: Option<u64>| {
            most.is_none_or(|most| text(name).trim().parse::<u64>().is_ok_and(|now| now <= most))
        };
        HeldLimits {
            memory: has.memory && at_most("memory.max", limits.memory_bytes),
            processes: has.processes && at_most("pids.max", limits.processes.map(u64::from)),
            cpu: has.cpu,
        }
    }

    /// Moves this very process into it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn join(&self) -> std::io::Result<()> {
        self.admit(0)
    }

    /// Moves the process of that number into it; 0 is the one that asks.
    fn admit(&self, pid: u32) -> std::io::Result<()> {
        write(&self.0.join("cgroup.procs"), &pid.to_string())
    }

    /// Every living process in it and in the groups inside of it.
    #[must_use]
    pub fn members(&self) -> Vec<ProcessRef> {
        let stats = self.pids().into_iter().filter_map(proc::stat);
        stats.filter(|stat| !stat.ended).map(|stat| stat.process()).collect()
    }

    fn pids(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for group in self.inner() {
            let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        pids
    }

    /// Its own directory and those inside of it, the outermost first.
    fn inner(&self) -> Vec<PathBuf> {
        let mut found = vec![(self.0.clone(), 0)];
        let mut next = 0;
        while let Some((group, depth)) = found.get(next).cloned() {
            next += 1;
            let entries = std::fs::read_dir(&group).into_iter().flatten().filter_map(Result::ok);
            let directories = entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
            if depth < DEPTH_MAX {
                found.extend(directories.map(|entry| (entry.path(), depth + 1)));
            }
        }
        found.into_iter().map(|(group, _)| group).collect()
    }

    /// Whether the kernel says that a process is in it, or in a group inside of it.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        let text = std::fs::read_to_string(self.0.join("cgroup.events")).unwrap_or_default();
        event(&text, "populated") == Some(1)
    }

    /// Ends every process in it at once, those that are just being started included.
    ///
    /// # Errors
    /// When the kernel refuses, or is older than 5.14.
    pub fn kill(&self) -> std::io::Result<()> {
        write(&self.0.join("cgroup.kill"), "1")
    }

    /// How often the kernel ended a process of it for want of memory.
    #[must_use]
    pub fn ended_for_memory(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        event(&text, "oom_kill").unwrap_or(0)
    }

    /// Ends what is left in it, waits at most two seconds until it is empty, and removes it. What
    /// cannot be removed stays, empty, until the machine restarts.
    pub fn close(&self) {
        if self.is_populated() {
            let _ = self.kill();
        }
        let deadline = Instant::now() + EMPTY_TIME;
        while self.is_populated() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        for group in self.inner().iter().rev() {
            let _ = std::fs::remove_dir(group);
        }
    }
}

fn make(directory: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Writes to a file the kernel has made; never makes one.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// The command, up to what it is to run, by which systemd makes a scope with `limits`.
#[must_use]
pub fn scope(user: bool, limits: &Limits) -> Vec<String> {
    let mut line = vec![full_path("systemd-run")];
    line.extend(user.then(|| "--user".to_owned()));
    line.extend(["--scope", "--quiet", "--collect"].map(str::to_owned));
    let mut property = |name: &str, value: String| {
        line.extend(["--property".to_owned(), format!("{name}={value}")]);
    };
    property("Delegate", "yes".to_owned());
    if let Some(bytes) = limits.memory_bytes {
        property("MemoryMax", bytes.to_string());
        property("MemorySwapMax", "0".to_owned());
        property("OOMPolicy", "kill".to_owned());
    }
    if let Some(count) = limits.processes {
        property("TasksMax", count.to_string());
    }
    if let Some(weight) = limits.cpu_weight {
        property("CPUWeight", weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()).to_string());
    }
    line.push("--".to_owned());
    line
}

/// Whether systemd makes scopes now: its user's instance may be gone with the last session.
///
/// # Errors
/// Why it does not.
pub fn try_scope(user: bool) -> Result<(), Absent> {
    let line = scope(user, &Limits::default());
    let mut command = Command::new(&line[0]);
    let done = super::ask(command.args(&line[1..]).arg("true"), SCOPE_TIME)?;
    if done.status.success() { Ok(()) } else { Err(Absent::NoScope) }
}

/// Tries it: makes a group, puts a process into it, ends the group, and sees it empty.
///
/// # Errors
/// Why it does not work here.
pub fn probe() -> Result<HeldLimits, Absent> {
    let (mut child, group, held) = match Way::find()? {
        Way::Scope { user } => {
            let line = scope(user, &Limits::default());
            let child = waiting(Command::new(&line[0]).args(&line[1..]).arg("cat"))?;
            let group = settled(child.id())?;
            let text = std::fs::read_to_string(group.0.join("cgroup.controllers"));
            (child, group, HeldLimits::of_controllers(&text.unwrap_or_default()))
        }
        Way::Directory(home) => {
            let name = format!("probe-{}", std::process::id());
            let (group, held) = Cgroup::create(&home, &name, &Limits::default())?;
            let child = waiting(&mut Command::new("cat"))?;
            let admitted = group.admit(child.id());
            let mut child = child;
            if let Err(error) = admitted {
                let _ = child.kill();
                let _ = child.wait();
                group.close();
                return Err(error.into());
            }
            (child, group, held)
        }
    };
    let killed = group.kill();
    let deadline = Instant::now() + EMPTY_TIME;
    while killed.is_ok() && group.is_populated() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let left = group.is_populated();
    let _ = child.kill();
    let _ = child.wait();
    group.close();
    killed?;
    if left { Err(Absent::NotEmptied) } else { Ok(held) }
}

/// Starts a process that waits for its input until it is ended.
fn waiting(command: &mut Command) -> Result<std::process::Child, Absent> {
    let silent = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.spawn().map_err(Absent::from)
}

/// The scope a process has been put into, once it has left this program's own group.
fn settled(pid: u32) -> Result<Cgroup, Absent> {
    let own = Cgroup::of_process(std::process::id())?;
    let deadline = Instant::now() + EMPTY_TIME;
    while Instant::now() < deadline {
        let group = Cgroup::of_process(pid)?;
        if group != own {
            return Ok(group);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(Absent::NoScope)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A directory that looks like a group with these controllers.
    fn fake(controllers: &str) -> (tempfile::TempDir, Cgroup) {
        let place = tempfile::tempdir().unwrap();
        let files = ["memory.max", "memory.oom.group", "memory.swap.max", "pids.max", "cpu.weight"];
        for name in files.iter().chain(&["cgroup.procs", "cgroup.kill"]) {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        std::fs::write(place.path().join("cgroup.controllers"), controllers).unwrap();
        let group = Cgroup::at(place.path().to_owned());
        (place, group)
    }

    #[test]
    fn a_group_that_somebody_else_made_holds_what_can_be_read_there() {
        let limits = Limits {
            memory_bytes: Some(2 << 30),
            processes: Some(64),
            cpu_weight: Some(50),
            ..Limits::default()
        };
        let (place, group) = fake("cpu memory pids\n");
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        write("memory.max", "2147483648\n");
        write("pids.max", "max\n");
        let held = group.holds(&limits);
        assert_eq!(held, HeldLimits { memory: true, processes: false, cpu: true });
        assert!(group.holds(&Limits::default()).processes, "nothing was asked of it");
        write("pids.max", "64\n");
        assert!(group.holds(&limits).processes);
        write("cgroup.controllers", "pids\n");
        let held = group.holds(&limits);
        assert_eq!(held, HeldLimits { memory: false, processes: true, cpu: false });
        assert_eq!(Cgroup::at("/no/such".into()).holds(&limits), HeldLimits::default());
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them_where_it_can_hold_them() {
        let limits = Limits {
            memory_bytes: Some(2 << 30),
            processes: Some(64),
            cpu_weight: Some(20_000),
            ..Limits::default()
        };
        let (place, group) = fake("cpuset cpu io memory pids\n");
        let held = group.limit(&limits).unwrap();
        assert_eq!(held, HeldLimits { memory: true, processes: true, cpu: true });
        let text = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
        assert_eq!((text("memory.max"), text("pids.max")), ("2147483648".into(), "64".into()));
        assert_eq!((text("memory.oom.group"), text("cpu.weight")), ("1".into(), "10000".into()));
        let (place, group) = fake("cpu\n");
        let held = group.limit(&limits).unwrap();
        assert_eq!(held, HeldLimits { memory: false, processes: false, cpu: true });
        assert_eq!(std::fs::read_to_string(place.path().join("pids.max")).unwrap(), "");
    }

    #[test]
    fn members_are_found_in_groups_inside_and_emptiness_is_what_the_kernel_says() {
        let (place, group) = fake("");
        let own = std::process::id();
        std::fs::create_dir(place.path().join("inner")).unwrap();
        let procs = place.path().join("inner/cgroup.procs");
        std::fs::write(procs, format!("{own}\n4294967295\n")).unwrap();
        assert_eq!(group.members(), [proc::stat(own).unwrap().process()]);
        let events = place.path().join("cgroup.events");
        std::fs::write(&events, "populated 1\nfrozen 0\n").unwrap();
        assert!(group.is_populated());
        std::fs::write(&events, "populated 0\nfrozen 0\n").unwrap();
        assert!(!group.is_populated());
        std::fs::write(place.path().join("memory.events"), "oom 3\noom_kill 2\n").unwrap();
        assert_eq!(group.ended_for_memory(), 2);
        group.kill().unwrap();
        assert_eq!(std::fs::read_to_string(place.path().join("cgroup.kill")).unwrap(), "1");
    }

    #[test]
    fn the_second_version_is_found_among_the_mounts_and_the_groups() {
        let mounts = "28 24 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 24 0:26 / /sys/fs/cgroup/with\\040space rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup/with space".into()));
        assert_eq!(mount_point("1 2 3:4 / /proc rw - proc proc rw\n"), None);
        assert_eq!(own_group("4:memory:/a\n0::/user.slice/b\n"), Some("/user.slice/b"));
        assert_eq!(own_group("4:memory:/a\n"), None);
    }

    #[test]
    fn systemd_is_asked_for_a_scope_with_the_limits() {
        let limits = Limits { memory_bytes: Some(5), processes: Some(7), ..Limits::default() };
        let line = scope(true, &limits).join(" ");
        assert!(line.contains("systemd-run --user --scope --quiet --collect"), "{line}");
        assert!(line.contains("--property MemoryMax=5 --property MemorySwapMax=0"), "{line}");
        assert!(line.ends_with("--property TasksMax=7 --"), "{line}");
        assert!(!scope(false, &Limits::default()).contains(&"--user".to_owned()));
    }

    #[test]
    fn a_place_where_no_group_can_be_made_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(delegated(&place.path().join("absent"), "a/b").is_err());
    }

    proptest! {
        #[test]
        fn no_text_of_the_kernel_makes_the_readers_panic(text in "\\PC*\n?\\PC*") {
            let _ = (mount_point(&text), own_group(&text), event(&text, "populated"));
            let _ = HeldLimits::of_controllers(&text);
        }

        #[test]
        fn a_counter_is_read_back(key in "[a-z_]{1,12}", value in any::<u64>()) {
            prop_assert_eq!(event(&format!("a_b 1\n{key} {value}\nz 2\n"), &key).is_some(), true);
        }
    }
}
