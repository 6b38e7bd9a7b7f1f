//! What a sample costs, in time, memory and bytes, and how fast dashboards are answered.
//!
//! Prints one line of JSON for each figure. Beside this store it measures plain rows in SQLite, and
//! writes the same samples as text for other programs (`scripts/bench-telemetry.sh`).

#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on ends there"
)]

mod export;
mod ours;
mod rows;
mod shapes;

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use shapes::Shape;

/// The end of all samples: the first moment of 2026. Not every program takes samples of the future.
pub(crate) const END_MS: i64 = 1_767_225_600_000;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) agents: usize,
    /// Seconds of all agents; the 6 hours of the fourth question, in full.
    pub(crate) wide_s: i64,
    /// Seconds of the cores; the day of the second question, in full.
    pub(crate) deep_s: i64,
    pub(crate) cores: usize,
    /// Seconds of the machine; the week of the fifth question, in full.
    pub(crate) long_s: i64,
    pub(crate) seed: u64,
}

impl Size {
    /// The groups of series, each with how many seconds there are of it.
    pub(crate) fn groups(&self) -> Vec<(Vec<Shape>, i64)> {
        vec![
            (vec![shapes::machine(self.seed)], self.long_s),
            (shapes::cores(self.cores, self.seed), self.deep_s),
            (shapes::swarm(self.agents, self.seed), self.wide_s),
        ]
    }

    /// The seconds of the longest group.
    pub(crate) fn longest_s(&self) -> i64 {
        self.long_s.max(self.deep_s).max(self.wide_s)
    }
}

/// A figure, as one line.
pub(crate) fn tell(who: &str, what: &str, value: f64, unit: &str) {
    println!("{}", json!({ "who": who, "what": what, "value": value, "unit": unit }));
}

/// The middle one of some times, and the one that 95 % are below, in milliseconds.
pub(crate) fn middle_and_p95(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)];
    (at(0.5), at(0.95))
}

/// A line of a file below /proc/self, as a number.
pub(crate) fn own(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// Processor time of this process, in seconds.
pub(crate) fn cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own = text.split_whitespace().next().and_then(|it| it.parse::<f64>().ok());
    let tasks = fs::read_dir("/proc/self/task").map(|tasks| {
        let each = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        });
        each.sum::<f64>()
    });
    tasks.unwrap_or(own.unwrap_or(f64::NAN)) / 1e9
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let mut size =
        Size { agents: 2000, wide_s: 1800, deep_s: 86_400, cores: 4, long_s: 86_400, seed: 42 };
    let (mut texts, mut places, mut questions) = (None, None, false);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<i64>().ok()).unwrap();
        match arg.as_str() {
            "--agents" => size.agents = usize::try_from(number()).unwrap(),
            "--wide" => size.wide_s = number(),
            "--deep" => size.deep_s = number(),
            "--cores" => size.cores = usize::try_from(number()).unwrap(),
            "--long" => size.long_s = number(),
            "--seed" => size.seed = number().unsigned_abs(),
            "--export" => texts = args.next().map(PathBuf::from),
            "--in" => places = args.next().map(PathBuf::from),
            "--questions" => questions = true,
            // A filter of names, as cargo passes it on.
            _ => {}
        }
    }
    if let Some(folder) = texts {
        export::write(&size, &folder).unwrap();
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = places.unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        ours::measure(&size, &folder.join("ours")).await;
        if questions {
            rows::measure(&size, &folder.join("rows.db")).await;
        }
    });
}
