//! Files and disks. What does not answer, such as a share whose server is gone, holds up nobody else.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use model::status::span_in_words;
use tokio::sync::Semaphore;

use super::Found;
use crate::health::check::Finding;

/// Looks how long ago a file was written.
pub(super) async fn file_age(
    path: &str,
    max_age_s: u64,
    degraded_age_s: Option<u64>,
    now: Timestamp,
) -> Found {
    let place = path.to_owned();
    let found = blocking(move || std::fs::metadata(place)?.modified()).await;
    let finding = match found {
        Ok(written) => judge_age(age_s(written, now), max_age_s, degraded_age_s),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::Bad(format!("there is no {path}"))
        }
        Err(error) => Finding::Bad(format!("failed to look at {path}: {error}")),
    };
    Found { finding, latency: None }
}

/// What is written in time to come is new.
fn age_s(written: SystemTime, now: Timestamp) -> u64 {
    let written = Timestamp::try_from(written).unwrap_or(now);
    u64::try_from(now.duration_since(written).as_secs()).unwrap_or(0)
}

fn judge_age(age_s: u64, max_s: u64, degraded_s: Option<u64>) -> Finding {
    let old = format!("it was written {} ago", span_in_words(age_s));
    if age_s >= max_s {
        Finding::Bad(old)
    } else if degraded_s.is_some_and(|degraded| age_s >= degraded) {
        Finding::Poor(old)
    } else {
        Finding::Good
    }
}

/// Looks how much of a disk is free.
pub(super) async fn disk(path: &str, failed_percent: u8, degraded_percent: u8) -> Found {
    let place = path.to_owned();
    let finding = match blocking(move || free(&place)).await {
        Ok((free, all)) => judge_free(free, all, failed_percent, degraded_percent),
        Err(error) => Finding::Bad(format!("failed to look at the disk of {path}: {error}")),
    };
    Found { finding, latency: None }
}

fn judge_free(free: u64, all: u64, failed_percent: u8, degraded_percent: u8) -> Finding {
    if all == 0 {
        return Finding::Bad("it is no disk with space of its own".to_owned());
    }
    let below = |percent: u8| u128::from(free) * 100 < u128::from(all) * u128::from(percent);
    let share = u128::from(free) * 100 / u128::from(all);
    let left = || format!("{share} % is free ({} MiB)", free >> 20);
    if below(failed_percent) {
        Finding::Bad(left())
    } else if below(degraded_percent) {
        Finding::Poor(left())
    } else {
        Finding::Good
    }
}

/// What of a disk is free for everybody, and how large it is, in bytes.
#[cfg(unix)]
fn free(path: &str) -> std::io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(path)?;
    let block = found.f_frsize.max(1);
    Ok((found.f_bavail.saturating_mul(block), found.f_blocks.saturating_mul(block)))
}

#[cfg(not(unix))]
fn free(_: &str) -> std::io::Result<(u64, u64)> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Looks that may be with the system at the same time. One that hangs there keeps its thread after
/// nobody waits for it any more, and the threads are few and everybody's.
const WITH_THE_SYSTEM_MAX: usize = 2;
static WITH_THE_SYSTEM: Semaphore = Semaphore::const_new(WITH_THE_SYSTEM_MAX);
/// How long a look waits for those before it.
const TURN: Duration = Duration::from_secs(1);

/// Asks the system for something that may hang: a share whose server is gone, a name.
pub(super) async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let Ok(Ok(turn)) = tokio::time::timeout(TURN, WITH_THE_SYSTEM.acquire()).await else {
        return Err(std::io::Error::other("what was asked before is not answered yet"));
    };
    let ask = move || {
        // Given back by the thread itself, whenever the system lets go of it.
        let _turn = turn;
        what()
    };
    tokio::task::spawn_blocking(ask).await.map_err(std::io::Error::other).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_too_old_from_its_age_on() {
        let check = |age, expected: &str| {
            let found = match judge_age(age, 3_600, Some(600)) {
                Finding::Good => "good",
                Finding::Poor(_) => "poor",
                Finding::Bad(_) => "bad",
            };
            assert_eq!(found, expected, "{age}");
        };
        check(0, "good");
        check(599, "good");
        check(600, "poor");
        check(3_599, "poor");
        check(3_600, "bad");
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(10);
        assert_eq!(age_s(later, Timestamp::UNIX_EPOCH), 0, "written in time to come");
    }

    #[test]
    fn a_disk_is_full_below_its_share() {
        let check = |free, expected: &str| {
            let found = match judge_free(free, 1_000, 5, 10) {
                Finding::Good => "good",
                Finding::Poor(_) => "poor",
                Finding::Bad(_) => "bad",
            };
            assert_eq!(found, expected, "{free}");
        };
        check(100, "good");
        check(99, "poor");
        check(50, "poor");
        check(49, "bad");
        assert!(matches!(judge_free(0, 0, 5, 10), Finding::Bad(_)));
        assert_eq!(judge_free(u64::MAX, u64::MAX, 5, 10), Finding::Good);
    }
}
