//! Figures in words: percentiles, and the machine they were measured on.

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Writes that are flushed to see how fast the disk is.
const FLUSHES: usize = 300;

/// The value below which `part` (0 to 1) of the sorted times lie, in milliseconds.
pub(crate) fn at(sorted: &[Duration], part: f64) -> f64 {
    sorted[(part * (sorted.len() - 1) as f64) as usize].as_secs_f64() * 1e3
}

/// The machine, in a line.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!("machine: {model}, {cores} cores, load average {}", load.join(" "))
}

/// Median, 95th and 99th percentile and maximum of some times, with how many there are.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!(
        "N {}, median {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        times.len(),
        at(&times, 0.5),
        at(&times, 0.95),
        at(&times, 0.99),
        at(&times, 1.0),
    )
}

/// How long the disk under the temporary directory takes to keep 4 KiB, in a line.
pub(crate) fn disk() -> String {
    let mut file = tempfile::tempfile().unwrap();
    let took = (0..FLUSHES).map(|_| {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    });
    format!("disk, 4 KiB written and flushed: {}", spread(took.collect()))
}
