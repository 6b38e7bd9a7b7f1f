//! The machine's figures as sysinfo reads them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sysinfo::{CpuRefreshKind, Disk, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, System};

use super::{MachineUsage, Swap};

/// Holds what must be kept from one measurement to the next. What cannot be opened is left out.
#[derive(Debug)]
pub(crate) struct Machine {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
    data_dir: PathBuf,
    looks: u64,
}

impl Machine {
    pub(crate) fn open(data_dir: &Path) -> Self {
        Self {
            system: System::new().ok(),
            disks: Disks::new().ok(),
            networks: Networks::new().ok(),
            data_dir: data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned()),
            looks: 0,
        }
    }

    /// Looks at everything once.
    pub(crate) fn look(&mut self) -> MachineUsage {
        let mut found = MachineUsage::default();
        if let Some(system) = &mut self.system {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
            system.refresh_memory_specifics(MemoryRefreshKind::everything());
            fill(&mut found, system, self.looks > 0);
        }
        if let Some(disks) = &mut self.disks {
            let figures = DiskRefreshKind::nothing().with_io_usage().with_storage();
            disks.refresh_specifics(true, figures);
            space(&mut found, disks, &self.data_dir);
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let outside = networks.iter().filter(|(name, _)| *name != "lo" && *name != "lo0");
            let each = outside.map(|(_, data)| (data.total_received(), data.total_transmitted()));
            let sum = each.reduce(|(a, b), (c, d)| (a.saturating_add(c), b.saturating_add(d)));
            found.network_received_bytes = sum.map(|(received, _)| received);
            found.network_sent_bytes = sum.map(|(_, sent)| sent);
        }
        self.looks += 1;
        found
    }
}

fn fill(found: &mut MachineUsage, system: &System, compared: bool) {
    if compared {
        found.cpu_percent = Some(f64::from(system.global_cpu_usage()));
        let cores = (0_u32..).zip(system.cpus()).take(256);
        found.cores = cores.map(|(at, core)| (at, f64::from(core.cpu_usage()))).collect();
    }
    if cfg!(unix) {
        let load = System::load_average();
        found.load = Some([load.one, load.five, load.fifteen]);
    }
    found.memory_used_bytes = system.used_memory();
    found.memory_total_bytes = system.total_memory();
    found.memory_available_bytes = Some(system.available_memory());
    found.swap = (system.total_swap() > 0).then(|| Swap {
        total_bytes: system.total_swap(),
        used_bytes: system.used_swap(),
        in_bytes: None,
        out_bytes: None,
    });
}

/// The disk mounted closest above the data directory, and all of them together; one mounted at
/// several places counts once.
fn space(found: &mut MachineUsage, disks: &Disks, data_dir: &Path) {
    let above = disks.iter().filter(|disk| data_dir.starts_with(disk.mount_point()));
    let closest = above.max_by_key(|disk| disk.mount_point().components().count());
    found.disk_free_bytes = closest.map(Disk::available_space);
    found.disk_total_bytes = closest.map(Disk::total_space);
    let by_name: HashMap<_, _> = disks.iter().map(|disk| (disk.name(), disk.usage())).collect();
    if !by_name.is_empty() {
        found.disk_read_bytes = Some(by_name.values().map(|it| it.total_read_bytes).sum());
        found.disk_written_bytes = Some(by_name.values().map(|it| it.total_written_bytes).sum());
    }
}
