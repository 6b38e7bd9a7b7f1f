//! The machine's figures: from `/proc` and `/sys` on Linux, through sysinfo elsewhere.

#[cfg(target_os = "linux")]
mod by_hand;
#[cfg(target_os = "linux")]
mod kept;
#[cfg(target_os = "linux")]
mod parse;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod sensors;

#[cfg(target_os = "linux")]
pub(crate) use by_hand::Machine;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Machine;

/// The machine's load. Totals count since the machine started. What the machine does not have, or
/// does not tell, is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineUsage {
    /// Processor use, 100 = all cores; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Use of each core, by its number; empty before the second measurement.
    pub cores: Vec<(u32, f64)>,
    /// Processes that run or wait for a disk, averaged over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// How much was waited for a resource.
    pub pressure: Vec<Pressure>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Memory that programs can still have without swapping, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Memory installed, in bytes.
    pub memory_total_bytes: u64,
    /// Swap space; nothing where there is none.
    pub swap: Option<Swap>,
    /// Space left on the disk of the data directory; nothing when that disk is not listed.
    pub disk_free_bytes: Option<u64>,
    /// Size of the disk of the data directory.
    pub disk_total_bytes: Option<u64>,
    /// Bytes read from disks; nothing where no disk is listed.
    pub disk_read_bytes: Option<u64>,
    /// Bytes written to disks; nothing where no disk is listed.
    pub disk_written_bytes: Option<u64>,
    /// Time in which a disk had something to do, by its name, in seconds.
    pub disk_busy_s: Vec<(String, f64)>,
    /// Bytes received on all interfaces but loopback; nothing where there is none.
    pub network_received_bytes: Option<u64>,
    /// Bytes sent on all interfaces but loopback; nothing where there is none.
    pub network_sent_bytes: Option<u64>,
    /// What is looked at every few measurements; nothing at the others.
    pub slow: Option<Slow>,
}

/// What changes slowly, or costs more to read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slow {
    /// What each temperature sensor says, in degrees Celsius.
    pub temperatures: Vec<(String, f64)>,
    /// The graphics processors whose drivers say something.
    pub gpus: Vec<Gpu>,
    /// Where the power comes from; nothing where there is no battery.
    pub power: Option<Power>,
}

/// How much was waited for a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// `cpu`, `memory` or `io`.
    pub resource: &'static str,
    /// `some` processes or the `full` machine.
    pub stalled: &'static str,
    /// Share of the last ten seconds.
    pub percent: f64,
}

/// Swap space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// How much there is, in bytes.
    pub total_bytes: u64,
    /// How much is in use, in bytes.
    pub used_bytes: u64,
    /// Bytes read back, since the machine started.
    pub in_bytes: Option<u64>,
    /// Bytes written, since the machine started.
    pub out_bytes: Option<u64>,
}

/// A graphics processor.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// Its name, such as `card0`.
    pub name: String,
    /// Its use.
    pub percent: Option<f64>,
    /// Its memory in use, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Its memory, in bytes.
    pub memory_total_bytes: Option<u64>,
}

/// Where a portable machine's power comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// Whether it runs on its battery.
    pub on_battery: bool,
    /// How full the battery is.
    pub percent: Option<f64>,
}
