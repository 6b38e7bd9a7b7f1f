//! What the C library's allocator keeps for itself: less of it, and given back.
//!
//! glibc makes an arena for each thread that finds the others busy, up to eight for each core, and keeps
//! what was freed in each. A start of two hundred agents leaves megabytes in each of them, for good. The
//! two calls that change this have no safe wrapper; this is the one module that holds `unsafe`.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the allocator is told by calls of the C library alone")
)]

use std::time::Duration;

use crate::Engine;

/// How long after the start what it took is given back.
const FIRST: Duration = Duration::from_secs(10);
/// How often afterwards.
const EVERY: Duration = Duration::from_secs(60);

/// Has the allocator share few arenas among the threads. To be called before there are any.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn share() {
    /// One for each thread that answers requests.
    const ARENAS: libc::c_int = 2;
    // SAFETY: it stores a number among the allocator's settings, under the allocator's own lock; it
    // takes no pointer and may be called at any time. Where it fails nothing is changed.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

/// Other C libraries have no arenas to share.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn share() {}

/// Gives pages that hold nothing back to the operating system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    // SAFETY: it walks the allocator's own lists under the allocator's locks and gives back pages that
    // hold nothing allocated; it may be called from any thread at any time.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const fn give_back() {}

impl Engine {
    /// Gives back what is free, once a minute, for as long as the engine runs.
    pub(crate) async fn tend_the_heap(self) {
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = self.0.cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            // It takes milliseconds, and no request is to wait for them.
            if tokio::task::spawn_blocking(give_back).await.is_err() {
                return;
            }
            wait = EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_is_free_is_given_back() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
        };
        super::share();
        // Small enough to come from the heap, and the last one keeps the heap from shrinking by itself.
        let mut held: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 2_000]).collect();
        let last = held.pop();
        drop(held);
        let before = resident();
        super::give_back();
        let after = resident();
        assert!(after + (20 << 20) < before, "{before} bytes before, {after} after");
        drop(last);
    }
}
