//! Notices that the machine slept, and that its clock was set.
//!
//! One clock stands still while the machine sleeps, one goes on, and one is on the wall and can be
//! set. What they disagree on tells what happened.

use std::time::Duration;

use jiff::Timestamp;

/// What clocks may disagree on between two looks without anything having happened: a clock is brought
/// back on time little by little.
const SLACK_MS: i64 = 2_000;

/// The clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    wall: Timestamp,
    /// Time the machine was awake.
    awake: Duration,
    /// Time since the boot; nothing where no clock tells it.
    since_boot: Option<Duration>,
}

/// Something that happened to time between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jump {
    /// The machine slept, for so many milliseconds.
    Slept(i64),
    /// The clock was set, by so many milliseconds.
    Set(i64),
}

impl Clocks {
    /// The clocks now; the wall's is told by who asks.
    pub(crate) fn read(wall: Timestamp, began: std::time::Instant) -> Self {
        #[cfg(target_os = "linux")]
        {
            let _ = began;
            let read = |id| {
                let found = rustix::time::clock_gettime(id);
                let seconds = u64::try_from(found.tv_sec).unwrap_or(0);
                Duration::new(seconds, u32::try_from(found.tv_nsec).unwrap_or(0))
            };
            let awake = read(rustix::time::ClockId::Monotonic);
            let since_boot = Some(read(rustix::time::ClockId::Boottime));
            Self { wall, awake, since_boot }
        }
        #[cfg(not(target_os = "linux"))]
        Self { wall, awake: began.elapsed(), since_boot: None }
    }

    /// What happened since `before`. Where no clock goes on through sleep, a jump forwards is taken
    /// for sleep, which is far more common.
    pub(crate) fn since(&self, before: &Self) -> Vec<Jump> {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let awake = ms(self.awake.saturating_sub(before.awake));
        let wall = self.wall.as_millisecond().saturating_sub(before.wall.as_millisecond());
        let passed = match (self.since_boot, before.since_boot) {
            (Some(now), Some(then)) => ms(now.saturating_sub(then)).max(awake),
            _ => wall.max(awake),
        };
        let (slept, set) = (passed - awake, wall - passed);
        let mut jumps = Vec::new();
        if slept > SLACK_MS {
            jumps.push(Jump::Slept(slept));
        }
        if set.abs() > SLACK_MS {
            jumps.push(Jump::Set(set));
        }
        jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn clocks(wall_ms: i64, awake_ms: u64, boot_ms: Option<u64>) -> Clocks {
        Clocks {
            wall: Timestamp::from_millisecond(1_700_000_000_000 + wall_ms).unwrap(),
            awake: Duration::from_millis(awake_ms),
            since_boot: boot_ms.map(Duration::from_millis),
        }
    }

    #[test]
    fn suspend_and_clock_jumps_are_told_apart() {
        let before = clocks(0, 0, Some(0));
        let check = |wall: i64, awake: u64, boot: u64, expected: &[Jump]| {
            assert_eq!(clocks(wall, awake, Some(boot)).since(&before), expected);
        };
        check(1_000, 1_000, 1_000, &[]);
        check(2_900, 1_000, 1_000, &[]);
        check(1_000 + HOUR_MS, 1_000, 1_000, &[Jump::Set(HOUR_MS)]);
        check(1_000 - HOUR_MS, 1_000, 1_000, &[Jump::Set(-HOUR_MS)]);
        let night = 8 * HOUR_MS;
        check(night + 1_000, 1_000, 28_801_000, &[Jump::Slept(night)]);
        check(1_000, 1_000, 28_801_000, &[Jump::Slept(night), Jump::Set(-night)]);
    }

    #[test]
    fn where_no_clock_goes_on_through_sleep_a_jump_forwards_is_sleep() {
        let before = clocks(0, 0, None);
        let check = |wall: i64, expected: &[Jump]| {
            assert_eq!(clocks(wall, 1_000, None).since(&before), expected);
        };
        check(1_000, &[]);
        check(HOUR_MS + 1_000, &[Jump::Slept(HOUR_MS)]);
        check(1_000 - HOUR_MS, &[Jump::Set(-HOUR_MS)]);
    }

    #[test]
    fn the_clocks_of_this_machine_agree() {
        let began = std::time::Instant::now();
        let now = Timestamp::UNIX_EPOCH;
        let (one, two) = (Clocks::read(now, began), Clocks::read(now, began));
        assert_eq!(two.since(&one), []);
        if cfg!(target_os = "linux") {
            assert!(one.since_boot >= Some(one.awake) && one.awake > Duration::ZERO);
        }
    }
}
