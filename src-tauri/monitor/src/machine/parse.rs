//! What the kernel's text files say: pure functions over their text.

use super::Pressure;

/// The most cores whose use is told one by one.
const CORES_MAX: usize = 256;
/// Sectors in the kernel's tables of disks, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;

/// Time of a processor: all of it, and what of it was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) all: u64,
    pub(super) used: u64,
}

impl CpuTime {
    /// How much was used since, in percent; nothing where no time has passed. Waiting for a disk, the
    /// kernel's count of idle time may go back a little.
    #[expect(clippy::cast_precision_loss, reason = "ticks between two looks are far below 2^53")]
    pub(super) fn percent_since(&self, before: &Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let used = self.used.saturating_sub(before.used).min(all);
        Some(100.0 * used as f64 / all as f64)
    }
}

/// The whole machine and its cores by their numbers, in the text of `/proc/stat`.
pub(super) fn cpu(text: &str) -> (Option<CpuTime>, Vec<(u32, CpuTime)>) {
    let (mut whole, mut cores) = (None, Vec::new());
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next().unwrap_or_default();
        let Some(time) = cpu_time(fields) else {
            continue;
        };
        match name.strip_prefix("cpu") {
            Some("") => whole = Some(time),
            Some(number) if cores.len() < CORES_MAX => {
                cores.extend(number.parse().ok().map(|number: u32| (number, time)));
            }
            _ => {}
        }
    }
    (whole, cores)
}

/// user nice system idle iowait irq softirq steal; guests are in user and nice already.
fn cpu_time<'a>(fields: impl Iterator<Item = &'a str>) -> Option<CpuTime> {
    let times: Vec<u64> = fields.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let idle = times.get(3)?.saturating_add(times.get(4).copied().unwrap_or(0));
    let all = times.iter().fold(0, |sum: u64, time| sum.saturating_add(*time));
    Some(CpuTime { all, used: all.saturating_sub(idle) })
}

/// What `/proc/meminfo` says, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: Option<u64>,
    pub(super) free: u64,
    pub(super) swap_total: u64,
    pub(super) swap_free: u64,
}

pub(super) fn memory(text: &str) -> Memory {
    let mut found = Memory::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let kib = rest.split_ascii_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        let Some(bytes) = kib.map(|kib| kib.saturating_mul(1_024)) else {
            continue;
        };
        match name {
            "MemTotal" => found.total = bytes,
            "MemAvailable" => found.available = Some(bytes),
            "MemFree" => found.free = bytes,
            "SwapTotal" => found.swap_total = bytes,
            "SwapFree" => found.swap_free = bytes,
            _ => {}
        }
    }
    found
}

/// The averages of `/proc/loadavg`.
pub(super) fn load(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_ascii_whitespace().map(number);
    Some([fields.next()??, fields.next()??, fields.next()??])
}

/// A decimal number as the kernel writes it; no infinities and nothing below zero.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

/// The lines of a file in `/proc/pressure`.
pub(super) fn pressure(text: &str, resource: &'static str) -> Vec<Pressure> {
    let line = |line: &str| {
        let (kind, rest) = line.split_once(' ')?;
        let stalled = match kind {
            "some" => "some",
            "full" => "full",
            _ => return None,
        };
        let percent = number(rest.strip_prefix("avg10=")?.split(' ').next()?)?;
        Some(Pressure { resource, stalled, percent })
    };
    text.lines().take(2).filter_map(line).collect()
}

/// Pages that were read from and written to swap space, in the text of `/proc/vmstat`.
pub(super) fn swapped(text: &str) -> (Option<u64>, Option<u64>) {
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
    (of("pswpin "), of("pswpout "))
}

/// What a disk did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) busy_ms: u64,
}

/// The disks that `is_disk` knows, in the text of `/proc/diskstats`.
pub(super) fn disks(text: &str, is_disk: impl Fn(&str) -> bool) -> Vec<Disk> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let name = fields.next().filter(|name| is_disk(name))?;
        let figures: Vec<u64> = fields.take(10).map(str::parse).collect::<Result<_, _>>().ok()?;
        let bytes = |at: usize| figures.get(at).map(|it| it.saturating_mul(SECTOR_BYTES));
        Some(Disk {
            name: name.to_owned(),
            read_bytes: bytes(2)?,
            written_bytes: bytes(6)?,
            busy_ms: *figures.get(9)?,
        })
    };
    text.lines().filter_map(line).collect()
}

/// Bytes received and sent on everything but loopback, in the text of `/proc/net/dev`.
pub(super) fn network(text: &str) -> Option<(u64, u64)> {
    let line = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        if name.trim() == "lo" {
            return None;
        }
        let mut fields = rest.split_ascii_whitespace();
        let received = fields.next()?.parse::<u64>().ok()?;
        Some((received, fields.nth(7)?.parse::<u64>().ok()?))
    };
    let add = |(a, b): (u64, u64), (c, d): (u64, u64)| (a.saturating_add(c), b.saturating_add(d));
    text.lines().filter_map(line).reduce(add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn processors_are_told_apart_from_all_of_them_together() {
        let text = "cpu  100 0 50 800 50 0 0 0 20 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu3 1 2 3 x\ncpu2 50 0 25 400 25\nintr 5 cpu1\ncpu1 9 9 9 9\n";
        let (whole, cores) = cpu(text);
        assert_eq!(whole, Some(CpuTime { all: 1_000, used: 150 }));
        let numbers: Vec<_> = cores.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 2]);
        let later = CpuTime { all: 1_200, used: 200 };
        assert_eq!(later.percent_since(&whole.unwrap()), Some(25.0));
        assert_eq!(later.percent_since(&later), None, "no time has passed");
        let back = CpuTime { all: 1_300, used: 190 };
        assert_eq!(back.percent_since(&later), Some(0.0));
        assert_eq!(cpu(""), (None, vec![]));
    }

    #[test]
    fn memory_load_and_pressure_are_read_as_they_stand() {
        let text = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\nHugePages_Total:   0\nSwapTotal: 50 kB\nSwapFree: 20 kB\nbroken\nShmem: x kB\n";
        let found = memory(text);
        assert_eq!((found.total, found.available), (1_024_000, Some(614_400)));
        assert_eq!((found.swap_total, found.swap_free), (51_200, 20_480));
        assert_eq!(load("0.52 1.00 12.25 3/845 12345\n"), Some([0.52, 1.0, 12.25]));
        assert_eq!(load("0.52 nan 1 1/1 1"), None);
        assert_eq!(load(""), None);
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.25 avg60=0 avg300=0 total=1\n";
        let found = pressure(text, "io");
        let of = |it: &Pressure| (it.resource, it.stalled, it.percent);
        assert_eq!(
            found.iter().map(of).collect::<Vec<_>>(),
            [("io", "some", 1.5), ("io", "full", 0.25)]
        );
        assert_eq!(pressure("some avg10=inf\nother avg10=1", "cpu"), []);
        assert_eq!(swapped("pgpgin 5\npswpin 7\npswpout 8\npswpouts 9\n"), (Some(7), Some(8)));
    }

    #[test]
    fn disks_and_networks_are_added_up_without_what_stands_on_others() {
        let text = "   8       0 sda 10 0 200 5 20 0 400 6 0 70 80 0 0 0 0\n   8       1 sda1 1 0 100 5 1 0 100 6 0 7 8\n   7 0 loop0 1 2 3\n";
        let found = disks(text, |name| !name.starts_with("loop") && name != "sda1");
        let disk =
            Disk { name: "sda".into(), read_bytes: 102_400, written_bytes: 204_800, busy_ms: 70 };
        assert_eq!(found, [disk]);
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 100 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0\nwlan0:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(network(text), Some((101, 52)));
        assert_eq!(network("    lo: 9 0 0 0 0 0 0 0 9 0\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_left_out(text in "(?s).{0,300}") {
            cpu(&text);
            memory(&text);
            load(&text);
            pressure(&text, "cpu");
            swapped(&text);
            disks(&text, |_| true);
            network(&text);
        }

        #[test]
        fn lines_of_the_right_shape_with_wild_numbers_never_overflow(
            figures in prop::collection::vec(any::<u64>(), 0..20),
        ) {
            let words: Vec<_> = figures.iter().map(ToString::to_string).collect();
            let words = words.join(" ");
            let (whole, _) = cpu(&format!("cpu {words}\ncpu0 {words}\n"));
            if let Some(whole) = whole {
                prop_assert!(whole.used <= whole.all);
            }
            disks(&format!("8 0 sda {words}\n"), |_| true);
            network(&format!("eth0: {words}\neth1: {words}\n"));
            memory(&format!("MemTotal: {words}\n"));
        }
    }
}
