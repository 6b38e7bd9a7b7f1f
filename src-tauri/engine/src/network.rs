//! Whether a route leads out of this machine. Nothing is sent to find out: the kernel's own tables
//! of routes are read.

use std::io::Read as _;
use std::path::Path;

/// The most that is read of a table, in bytes.
const TABLE_BYTES_MAX: u64 = 1024 * 1024;
/// A route that is up (`RTF_UP`).
const UP: u32 = 0x1;
/// A route that refuses what is sent along it (`RTF_REJECT`).
const REFUSES: u32 = 0x200;

/// Whether a route leads to everywhere else; nothing where the system does not say.
pub(crate) fn leads_out() -> Option<bool> {
    let v4 = table(Path::new("/proc/net/route"));
    let v6 = table(Path::new("/proc/net/ipv6_route"));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let v4 = v4.is_some_and(|text| text.lines().skip(1).any(is_way_out_v4));
    Some(v4 || v6.is_some_and(|text| text.lines().any(is_way_out_v6)))
}

fn table(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(TABLE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Interface, destination, gateway, flags, references, use, metric, mask.
fn is_way_out_v4(line: &str) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, destination, _, flags, _, _, _, mask, ..] = fields.as_slice() else {
        return false;
    };
    is_zero(destination) && is_zero(mask) && *interface != "lo" && is_open(flags)
}

/// Destination, its prefix, source, its prefix, next hop, metric, references, use, flags, interface.
fn is_way_out_v6(line: &str) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [destination, prefix, _, _, _, _, _, _, flags, interface] = fields.as_slice() else {
        return false;
    };
    is_zero(destination) && is_zero(prefix) && *interface != "lo" && is_open(flags)
}

fn is_zero(hex: &str) -> bool {
    !hex.is_empty() && hex.bytes().all(|digit| digit == b'0')
}

fn is_open(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0 && flags & REFUSES == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_default_route_that_is_up_leads_out_and_no_other() {
        let v4 = |line: &str, out: bool| assert_eq!(is_way_out_v4(line), out, "{line}");
        v4("eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0", true);
        v4("eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0", false);
        v4("eth0\t00000000\t0102A8C0\t0002\t0\t0\t100\t00000000\t0\t0\t0", false);
        v4("lo\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0", false);
        let zeros = "0".repeat(32);
        let v6 = |flags: &str, interface: &str, out: bool| {
            let line = format!("{zeros} 00 {zeros} 00 {zeros} 00000400 1 0 {flags} {interface}");
            assert_eq!(is_way_out_v6(&line), out, "{line}");
        };
        v6("00000003", "eth0", true);
        v6("00200200", "lo", false);
        v6("00000201", "eth0", false);
    }

    proptest! {
        #[test]
        fn no_line_panics(line: String) {
            let _ = is_way_out_v4(&line);
            let _ = is_way_out_v6(&line);
        }
    }
}
