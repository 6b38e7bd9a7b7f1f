//! What devices say of themselves under `/sys`: temperatures, graphics processors, power supplies.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Gpu, Power, Slow};

/// The most devices and sensors of one kind.
const DEVICES_MAX: usize = 64;
/// The most that is read of one of their files.
const TEXT_BYTES_MAX: u64 = 256;

pub(super) fn look(sys: &Path) -> Slow {
    Slow {
        temperatures: temperatures(&sys.join("class/hwmon")),
        gpus: gpus(&sys.join("class/drm")),
        power: power(&sys.join("class/power_supply")),
    }
}

/// The entries of a directory, in their order by name.
fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let found = fs::read_dir(directory).into_iter().flatten().take(4 * DEVICES_MAX);
    let found = found.filter_map(Result::ok);
    let mut found: Vec<_> = found
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(TEXT_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// A sensor is named by its chip and its own label. One that says what no sensor can mean - below
/// absolute zero or beyond 250 degrees - is broken.
fn temperatures(hwmon: &Path) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = Vec::new();
    for (monitor, path) in entries(hwmon) {
        let chip = text(&path.join("name")).unwrap_or(monitor);
        for (name, input) in entries(&path) {
            let Some(sensor) = name.strip_suffix("_input").filter(|it| it.starts_with("temp"))
            else {
                continue;
            };
            let Some(milli) = number::<i32>(&input) else {
                continue;
            };
            let degrees = f64::from(milli) / 1_000.0;
            if found.len() < DEVICES_MAX && (-273.0..=250.0).contains(&degrees) {
                let label = text(&path.join(format!("{sensor}_label")));
                let label = label.filter(|it| !it.is_empty()).unwrap_or_else(|| sensor.to_owned());
                let mut full = format!("{chip} {label}");
                // Two chips of one kind.
                let same = |full: &String| found.iter().any(|(name, _)| name == full);
                let plain = full.clone();
                let mut n = 2;
                while same(&full) {
                    full = format!("{plain} {n}");
                    n += 1;
                }
                found.push((full, degrees));
            }
        }
    }
    found
}

/// The drivers for Radeon say how busy the processor is, and others do in the same files.
fn gpus(drm: &Path) -> Vec<Gpu> {
    let is_card = |name: &str| {
        let number = name.strip_prefix("card");
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let cards = entries(drm).into_iter().filter(|(name, _)| is_card(name)).take(DEVICES_MAX);
    let look = |(name, path): (String, PathBuf)| {
        let device = path.join("device");
        let gpu = Gpu {
            name,
            percent: number(&device.join("gpu_busy_percent"))
                .filter(|it| (0.0..=100.0).contains(it)),
            memory_used_bytes: number(&device.join("mem_info_vram_used")),
            memory_total_bytes: number(&device.join("mem_info_vram_total")),
        };
        let says = gpu.percent.is_some() || gpu.memory_used_bytes.is_some();
        says.then_some(gpu)
    };
    cards.filter_map(look).collect()
}

/// A machine runs on its battery when one of them is being emptied and no mains is there.
fn power(supplies: &Path) -> Option<Power> {
    let (mut batteries, mut emptied, mut mains) = (Vec::new(), false, false);
    for (_, path) in entries(supplies).into_iter().take(DEVICES_MAX) {
        match text(&path.join("type")).as_deref() {
            // Of a mouse or a headset: not what the machine runs on.
            Some("Battery") if text(&path.join("scope")).as_deref() == Some("Device") => {}
            Some("Battery") => {
                batteries.push(number::<f64>(&path.join("capacity")));
                emptied |= text(&path.join("status")).as_deref() == Some("Discharging");
            }
            Some("Mains" | "USB") => mains |= number::<u8>(&path.join("online")) == Some(1),
            _ => {}
        }
    }
    if batteries.is_empty() {
        return None;
    }
    let known: Vec<f64> =
        batteries.into_iter().flatten().filter(|it| (0.0..=100.0).contains(it)).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are few batteries")]
    let percent = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    Some(Power { on_battery: emptied && !mains, percent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sys(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        place
    }

    #[test]
    fn what_a_machine_does_not_have_is_nothing() {
        let place = sys(&[]);
        assert_eq!(look(place.path()), Slow::default());
        let place =
            sys(&[("class/drm/card0/device/vendor", "x"), ("class/power_supply/AC/type", "Mains")]);
        assert_eq!(look(place.path()), Slow::default());
    }

    #[test]
    fn temperatures_are_named_by_chip_and_sensor_and_broken_sensors_are_left_out() {
        let place = sys(&[
            ("class/hwmon/hwmon0/name", "coretemp\n"),
            ("class/hwmon/hwmon0/temp1_input", "45500\n"),
            ("class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
            ("class/hwmon/hwmon0/temp2_input", "-274000\n"),
            ("class/hwmon/hwmon0/temp3_input", "lots\n"),
            ("class/hwmon/hwmon0/fan1_input", "900\n"),
            ("class/hwmon/hwmon1/name", "nvme\n"),
            ("class/hwmon/hwmon1/temp1_input", "30000\n"),
            ("class/hwmon/hwmon2/name", "nvme\n"),
            ("class/hwmon/hwmon2/temp1_input", "31000\n"),
        ]);
        let expected =
            [("coretemp Package id 0", 45.5), ("nvme temp1", 30.0), ("nvme temp1 2", 31.0)];
        let expected = expected.map(|(name, degrees)| (name.to_owned(), degrees));
        assert_eq!(look(place.path()).temperatures, expected);
    }

    #[test]
    fn a_graphics_processor_is_told_where_its_driver_says_something() {
        let place = sys(&[
            ("class/drm/card1/device/gpu_busy_percent", "37\n"),
            ("class/drm/card1/device/mem_info_vram_used", "1024\n"),
            ("class/drm/card1-HDMI-A-1/status", "connected\n"),
            ("class/drm/card2/device/gpu_busy_percent", "900\n"),
        ]);
        let gpu = Gpu {
            name: "card1".into(),
            percent: Some(37.0),
            memory_used_bytes: Some(1_024),
            memory_total_bytes: None,
        };
        assert_eq!(look(place.path()).gpus, [gpu]);
    }

    #[test]
    fn a_machine_is_on_its_battery_when_that_is_emptied_and_no_mains_is_there() {
        let check = |status: &str, online: &str, expected: bool| {
            let place = sys(&[
                ("class/power_supply/AC/type", "Mains"),
                ("class/power_supply/AC/online", online),
                ("class/power_supply/BAT0/type", "Battery\n"),
                ("class/power_supply/BAT0/status", status),
                ("class/power_supply/BAT0/capacity", "80\n"),
                ("class/power_supply/mouse/type", "Battery"),
                ("class/power_supply/mouse/scope", "Device"),
                ("class/power_supply/mouse/status", "Discharging"),
            ]);
            let power = Power { on_battery: expected, percent: Some(80.0) };
            assert_eq!(look(place.path()).power, Some(power), "{status} {online}");
        };
        check("Discharging\n", "0\n", true);
        check("Discharging\n", "1\n", false);
        check("Charging\n", "1\n", false);
        check("Full\n", "0\n", false);
    }
}
