//! Whether a process is still the one that was started, and not a later one of the same number.

use model::process::ProcessIdentity;

use crate::tree::{Row, Table};

/// The boot the engine runs in.
#[derive(Debug)]
pub(crate) struct Boot(Option<String>);

impl Boot {
    /// Reads the kernel's boot id, where there is one.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self(text.map(|text| text.trim().to_owned()))
    }

    /// Whether what was started then was started in this boot.
    pub(crate) fn is_of(&self, identity: &ProcessIdentity) -> bool {
        self.0.as_ref().is_none_or(|boot| *boot == identity.boot_id)
    }

    /// Whether the root of the tree is alive and the same process as when it was started.
    pub(crate) fn root_alive(&self, identity: &ProcessIdentity, table: &Table) -> bool {
        self.is_of(identity)
            && table.row(identity.shim.pid).is_some_and(|row| same_start(identity, row))
    }
}

/// The kernel says when a process was started to the clock tick: no two of one number agree.
#[cfg(target_os = "linux")]
const fn same_start(identity: &ProcessIdentity, row: &Row) -> bool {
    row.started == identity.shim.start_ticks
}

/// Elsewhere the start is known to the second; the shim starts right before its program.
#[cfg(not(target_os = "linux"))]
fn same_start(identity: &ProcessIdentity, row: &Row) -> bool {
    let program_s = identity.started_at.as_second();
    i64::try_from(row.started).is_ok_and(|root_s| (program_s - root_s).abs() <= 2)
}
