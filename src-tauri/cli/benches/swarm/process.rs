//! What the system knows of processes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a process costs.
pub(crate) struct Load {
    pub(crate) pss_mb: f64,
    /// Processor time since its start, in seconds.
    pub(crate) cpu_s: f64,
    descriptors: usize,
    threads: usize,
}

impl Load {
    pub(crate) fn of(pid: u32) -> Self {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let count = |name: &str| fs::read_dir(proc.join(name)).map_or(0, Iterator::count);
        let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
        let ticks = |n: usize| fields.get(n).and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
        Self {
            pss_mb: pss_mb(pid).unwrap_or_default(),
            // USER_HZ is 100 on Linux, whatever the kernel ticks by.
            cpu_s: (ticks(12) + ticks(13)) / 100.0,
            descriptors: count("fd"),
            threads: count("task"),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MB PSS, {} descriptors, {} threads",
            self.pss_mb, self.descriptors, self.threads
        )
    }
}

/// Proportional set size of a process, in megabytes of 10^6 bytes.
pub(crate) fn pss_mb(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// The processes of the agents of a workspace and their shims, with their arguments.
pub(crate) fn marked(place: &Path) -> Vec<(u32, String)> {
    let place = place.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let read = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let line = read("cmdline");
        let shim = line.contains("hivekeeper-shim") && line.contains(place);
        let environment = read("environ");
        if shim || (environment.contains("HIVEKEEPER_RUN=") && environment.contains(place)) {
            found.push((pid, line));
        }
    }
    found
}

/// Waits for something that must come.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "waited five minutes for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// A program of this repository beside the bench.
pub(crate) fn beside(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is not built: cargo build --release -p shim -p agents --bins",
        path.display()
    );
    path
}
