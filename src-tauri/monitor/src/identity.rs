//! Whether a process is still the one that was started, and not a later one of the same number.

use model::process::ProcessIdentity;

use crate::tree::Table;

/// The boot the engine runs in.
#[derive(Debug)]
pub(crate) struct Boot(Option<String>);

impl Boot {
    /// Reads the kernel's boot id, where there is one.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self(text.map(|text| text.trim().to_owned()))
    }

    /// Whether the root of the tree is alive and the same process as when it was started.
    pub(crate) fn root_alive(&self, identity: &ProcessIdentity, table: &Table) -> bool {
        let same_boot = match &self.0 {
            Some(boot) => *boot == identity.boot_id,
            None => true,
        };
        same_boot
            && table.row(identity.shim.pid).is_some_and(|row| same_start(identity, row.started_s))
    }
}

/// The kernel says when a process was started to the clock tick: no two of one number agree.
#[cfg(target_os = "linux")]
fn same_start(identity: &ProcessIdentity, _started_s: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", identity.shim.pid))
        .ok()
        .and_then(|stat| start_ticks(&stat))
        == Some(identity.shim.start_ticks)
}

/// Elsewhere the start is known to the second; the shim starts right before its program.
#[cfg(not(target_os = "linux"))]
fn same_start(identity: &ProcessIdentity, started_s: u64) -> bool {
    let program_s = identity.started_at.as_second();
    i64::try_from(started_s).is_ok_and(|root_s| (program_s - root_s).abs() <= 2)
}

/// Field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)); the name in field 2 may hold anything.
#[cfg(target_os = "linux")]
pub(crate) fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_whatever_the_program_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        let check = |stat: String, expect: Option<u64>| assert_eq!(start_ticks(&stat), expect);
        check(format!("10 (sh) {rest}"), Some(4711));
        check(format!("10 (a b) c) {rest}"), Some(4711));
        check("10 (sh) S 1 2".to_owned(), None);
        check(String::new(), None);
    }
}
