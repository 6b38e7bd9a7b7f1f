//! Looks: one question to a page, a port, a file, a disk or a certificate, within limits of time and size.
//!
//! A look asks nothing twice, follows nothing, and says nothing of who asks. Commands are run elsewhere,
//! and reports come by themselves.

mod address;
mod certificate;
mod http;
mod place;
mod tls;

use std::time::Duration;

use jiff::Timestamp;
use model::health::Probe;
use tokio::time::Instant;

use super::check::Finding;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How it is.
    pub finding: Finding,
    /// How long the answer took; nothing where there was none, or nothing to wait for.
    pub latency: Option<Duration>,
}

/// Why a look got no answer that is in order, in words a person reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Amiss(String);

impl From<String> for Amiss {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<&str> for Amiss {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl Found {
    /// A look that got no answer.
    #[must_use]
    pub fn bad(why: impl Into<String>) -> Self {
        Self { finding: Finding::Bad(why.into()), latency: None }
    }

    /// An answer that is in order, unless it took too long.
    fn after(latency: Duration, slow_ms: Option<u32>) -> Self {
        let slow = slow_ms.filter(|slow| latency.as_millis() >= u128::from(*slow));
        let finding = match slow {
            Some(slow) => Finding::Poor(format!(
                "it answered after {} ms, which is slow from {slow} ms on",
                latency.as_millis()
            )),
            None => Finding::Good,
        };
        Self { finding, latency: Some(latency) }
    }
}

/// Looks once, for at most so long. Nothing where a look of this kind is not made here: commands and
/// reports.
pub async fn look(probe: &Probe, within: Duration, now: Timestamp) -> Option<Found> {
    let began = Instant::now();
    let looked = async {
        Some(match probe {
            Probe::Http { url, status, contains, slow_ms } => {
                let page = http::Page { url, status: *status, contains: contains.as_deref() };
                http::look(&page, *slow_ms, began).await
            }
            Probe::Tcp { host, port, slow_ms } => match address::connect(host, *port).await {
                Ok(_) => Found::after(began.elapsed(), *slow_ms),
                Err(why) => Found::bad(why.0),
            },
            Probe::FileAge { path, max_age_s, degraded_age_s } => {
                place::file_age(path, *max_age_s, *degraded_age_s, now).await
            }
            Probe::Disk { path, failed_free_percent, degraded_free_percent } => {
                place::disk(path, *failed_free_percent, *degraded_free_percent).await
            }
            Probe::Certificate { host, port, failed_days, degraded_days } => {
                let days = certificate::Days { failed: *failed_days, degraded: *degraded_days };
                certificate::look(host, *port, days, now, began).await
            }
            Probe::Command { .. } | Probe::Heartbeat { .. } => return None,
        })
    };
    match tokio::time::timeout(within, looked).await {
        Ok(found) => found,
        Err(_) => Some(Found::bad(format!("it did not answer within {} s", within.as_secs_f64()))),
    }
}

#[cfg(test)]
#[path = "../probe_tests.rs"]
mod tests;
