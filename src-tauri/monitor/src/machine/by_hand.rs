//! The machine's figures from `/proc` and `/sys`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::kept::Kept;
use super::parse::{self, CpuTime};
use super::{MachineUsage, Swap, sensors};

/// Every so many measurements what changes slowly is looked at.
const SLOW_EVERY: u64 = 5;
/// Every so many measurements it is looked up which disks there are.
const DISKS_EVERY: u64 = 60;
/// Devices that stand on other devices, or on memory: what they do would count twice.
const NO_DISKS: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "sr"];
/// The most disks.
const DISKS_MAX: usize = 256;

/// Holds what must be kept from one measurement to the next.
#[derive(Debug)]
pub(crate) struct Machine {
    sys: PathBuf,
    data_dir: PathBuf,
    stat: Kept,
    meminfo: Kept,
    loadavg: Kept,
    pressures: [(&'static str, Kept); 3],
    vmstat: Kept,
    diskstats: Kept,
    network: Kept,
    disks: HashSet<String>,
    whole: Option<CpuTime>,
    cores: HashMap<u32, CpuTime>,
    looks: u64,
    text: String,
}

impl Machine {
    pub(crate) fn open(data_dir: &Path) -> Self {
        Self::rooted(Path::new("/"), data_dir)
    }

    fn rooted(root: &Path, data_dir: &Path) -> Self {
        let kept = |path: &str| Kept::new(root.join(path));
        Self {
            sys: root.join("sys"),
            data_dir: data_dir.to_owned(),
            stat: kept("proc/stat"),
            meminfo: kept("proc/meminfo"),
            loadavg: kept("proc/loadavg"),
            pressures: [
                ("cpu", kept("proc/pressure/cpu")),
                ("memory", kept("proc/pressure/memory")),
                ("io", kept("proc/pressure/io")),
            ],
            vmstat: kept("proc/vmstat"),
            diskstats: kept("proc/diskstats"),
            network: kept("proc/net/dev"),
            disks: HashSet::new(),
            whole: None,
            cores: HashMap::new(),
            looks: 0,
            text: String::new(),
        }
    }

    /// Looks at everything once.
    pub(crate) fn look(&mut self) -> MachineUsage {
        let slowly = self.looks.is_multiple_of(SLOW_EVERY);
        let mut found = MachineUsage::default();
        self.processors(&mut found);
        self.memory(&mut found);
        if self.loadavg.read(&mut self.text) {
            found.load = parse::load(&self.text);
        }
        for (resource, file) in &mut self.pressures {
            if file.read(&mut self.text) {
                found.pressure.extend(parse::pressure(&self.text, resource));
            }
        }
        self.disks(&mut found);
        if self.network.read(&mut self.text)
            && let Some((received, sent)) = parse::network(&self.text)
        {
            found.network_received_bytes = Some(received);
            found.network_sent_bytes = Some(sent);
        }
        found.slow = slowly.then(|| sensors::look(&self.sys));
        self.looks += 1;
        found
    }

    fn processors(&mut self, found: &mut MachineUsage) {
        if !self.stat.read(&mut self.text) {
            return;
        }
        let (whole, cores) = parse::cpu(&self.text);
        let before = std::mem::replace(&mut self.whole, whole);
        found.cpu_percent = whole.zip(before).and_then(|(now, then)| now.percent_since(&then));
        let since = |(core, now): &(u32, CpuTime)| {
            let percent = now.percent_since(self.cores.get(core)?)?;
            Some((*core, percent))
        };
        found.cores = cores.iter().filter_map(since).collect();
        self.cores = cores.into_iter().collect();
    }

    fn memory(&mut self, found: &mut MachineUsage) {
        if !self.meminfo.read(&mut self.text) {
            return;
        }
        let memory = parse::memory(&self.text);
        let free = memory.available.unwrap_or(memory.free);
        found.memory_total_bytes = memory.total;
        found.memory_used_bytes = memory.total.saturating_sub(free);
        found.memory_available_bytes = memory.available;
        if memory.swap_total == 0 {
            return;
        }
        let mut swap = Swap {
            total_bytes: memory.swap_total,
            used_bytes: memory.swap_total.saturating_sub(memory.swap_free),
            in_bytes: None,
            out_bytes: None,
        };
        if self.vmstat.read(&mut self.text) {
            let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
            let (read, written) = parse::swapped(&self.text);
            swap.in_bytes = read.map(|pages| pages.saturating_mul(page));
            swap.out_bytes = written.map(|pages| pages.saturating_mul(page));
        }
        found.swap = Some(swap);
    }

    /// The table of disks lists only some file systems, so that the data directory itself is asked
    /// what space it has.
    fn disks(&mut self, found: &mut MachineUsage) {
        if let Ok(space) = rustix::fs::statvfs(&self.data_dir) {
            found.disk_free_bytes = Some(space.f_bavail.saturating_mul(space.f_frsize));
            found.disk_total_bytes = Some(space.f_blocks.saturating_mul(space.f_frsize));
        }
        if self.looks.is_multiple_of(DISKS_EVERY) {
            self.disks = disks_of(&self.sys.join("block"));
        }
        if self.disks.is_empty() || !self.diskstats.read(&mut self.text) {
            return;
        }
        let disks = parse::disks(&self.text, |name| self.disks.contains(name));
        if disks.is_empty() {
            return;
        }
        let add = |sum: u64, bytes: u64| sum.saturating_add(bytes);
        found.disk_read_bytes = Some(disks.iter().map(|disk| disk.read_bytes).fold(0, add));
        found.disk_written_bytes = Some(disks.iter().map(|disk| disk.written_bytes).fold(0, add));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the boot fit")]
        let busy = |disk: parse::Disk| (disk.name, disk.busy_ms as f64 / 1_000.0);
        found.disk_busy_s = disks.into_iter().map(busy).collect();
    }
}

/// The names of whole disks.
fn disks_of(block: &Path) -> HashSet<String> {
    let found = std::fs::read_dir(block).into_iter().flatten().filter_map(Result::ok);
    found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !NO_DISKS.iter().any(|begin| name.starts_with(begin)))
        .take(DISKS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// What `free -b` says in a column of a line.
    fn by_free(line: &str, column: usize) -> Option<f64> {
        let said = Command::new("free").args(["-b", "-w"]).output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let found = said.lines().find(|it| it.starts_with(line))?;
        found.split_whitespace().nth(column)?.parse().ok()
    }

    /// Tries until a measurement lies between two looks of the other tool around it, or next to them.
    fn agrees(what: &str, slack: f64, ours: impl Fn() -> f64, other: impl Fn() -> f64) {
        let began = Instant::now();
        loop {
            let (before, found, after) = (other(), ours(), other());
            let (least, most) = (before.min(after), before.max(after));
            if found >= least * (1.0 - slack) && found <= most * (1.0 + slack) {
                return;
            }
            let said = format!("{what}: {found}, by the tool {before} and {after}");
            assert!(began.elapsed() < Duration::from_secs(30), "{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
    fn memory_is_within_five_percent_of_what_the_system_tool_says() {
        let look = || Machine::open(Path::new("/")).look();
        let Some(total) = by_free("Mem:", 1) else {
            eprintln!("skipped: there is no 'free' here");
            return;
        };
        assert!((look().memory_total_bytes as f64 - total).abs() < 1.0);
        let available = || by_free("Mem:", 7).unwrap();
        agrees("available", 0.05, || look().memory_available_bytes.unwrap() as f64, available);
        let used = || total - by_free("Mem:", 7).unwrap();
        agrees("used", 0.05, || look().memory_used_bytes as f64, used);
    }

    #[test]
    fn processor_use_is_within_five_percent_of_what_the_kernel_counts() {
        let mut machine = Machine::open(Path::new("/"));
        let first = std::fs::read_to_string("/proc/stat").unwrap();
        assert_eq!(machine.look().cpu_percent, None, "nothing to compare with");
        // Something to count, for as long as it takes.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(400) {
            std::hint::black_box((0..1_000).sum::<u64>());
        }
        let found = machine.look();
        let last = std::fs::read_to_string("/proc/stat").unwrap();
        let ticks = |text: &str| {
            let line = text.lines().next().unwrap().to_owned();
            let fields = line.split_whitespace().skip(1).take(8);
            fields.map(|it| it.parse::<f64>().unwrap()).collect::<Vec<_>>()
        };
        let (first, last) = (ticks(&first), ticks(&last));
        let since = |at: usize| last[at] - first[at];
        let all: f64 = (0..8).map(since).sum();
        let percent = 100.0 * (all - since(3) - since(4)) / all;
        let ours = found.cpu_percent.unwrap();
        assert!((ours - percent).abs() <= 5.0, "{ours} beside {percent}");
        assert!(found.cores.iter().all(|(_, percent)| (0.0..=100.0).contains(percent)));
        assert_eq!(found.cores.len(), std::thread::available_parallelism().unwrap().get());
    }

    #[test]
    fn what_a_machine_does_not_tell_is_nothing_and_never_zero() {
        let empty = tempfile::tempdir().unwrap();
        let mut machine = Machine::rooted(empty.path(), &empty.path().join("nowhere"));
        let found = machine.look();
        let nothing = MachineUsage { slow: found.slow.clone(), ..MachineUsage::default() };
        assert_eq!(found, nothing);
        assert!(machine.look().slow.is_none(), "it is looked at every few times");

        std::fs::create_dir_all(empty.path().join("proc")).unwrap();
        let says = "MemTotal: 100 kB\nMemFree: 40 kB\nSwapTotal: 0 kB\n";
        std::fs::write(empty.path().join("proc/meminfo"), says).unwrap();
        let found = machine.look();
        assert_eq!((found.memory_used_bytes, found.swap), (61_440, None));
    }
}
