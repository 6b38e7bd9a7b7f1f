//! Names that link what belongs to one mission, in whichever process it happens: W3C trace context.
//!
//! A trace is a mission and a span is a part of it, so that both names follow from what they are of:
//! nobody has to remember them, and each run of the engine finds the same.

use std::fmt;
use std::net::IpAddr;

use uuid::Uuid;

use crate::id::{AttemptId, MissionId};

/// The longest address traces are sent to, in bytes.
pub const ENDPOINT_BYTES_MAX: usize = 500;

/// The name of everything that belongs to one mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The name of one part of a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The trace of a mission: its id.
    #[must_use]
    pub fn of(mission: MissionId) -> Self {
        Self(mission.as_uuid().into_bytes())
    }

    /// As it is sent.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// The span of what has this id.
    #[must_use]
    pub fn of(id: Uuid) -> Self {
        Self::part(id, "")
    }

    /// The span of a part of what has this id.
    #[must_use]
    pub fn part(id: Uuid, name: &str) -> Self {
        // FNV-1a: names of things on one machine, not secrets; 64 bits are what a span has.
        let bytes = id.as_bytes().iter().chain(name.as_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        // A name of zeros is none.
        Self(hash.max(1).to_be_bytes())
    }

    /// As it is sent.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

/// The variable in which a program finds what it works for.
pub const VARIABLE: &str = "TRACEPARENT";

/// What the program of an attempt finds in [`VARIABLE`]: what it does belongs to this attempt.
#[must_use]
pub fn parent(mission: MissionId, attempt: AttemptId) -> String {
    format!("00-{}-{}-01", TraceId::of(mission), SpanId::of(attempt.as_uuid()))
}

/// What is wrong with an address that traces are to be sent to; nothing where it is one: `https`
/// anywhere, or `http` to this machine itself, without a name, a password or a query in it: whoever may
/// read the settings reads the address.
#[must_use]
pub fn wrong_endpoint(url: &str) -> Option<&'static str> {
    if url.len() > ENDPOINT_BYTES_MAX {
        return Some("it is too long");
    }
    if url.chars().any(|ch| ch.is_whitespace() || ch.is_control() || !ch.is_ascii()) {
        return Some("it holds something that no address does");
    }
    let (plain, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Some("it begins with neither https:// nor http://"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Some("it holds a name or password");
    }
    if path.contains('?') {
        return Some("it holds a query, in which keys would stand for everybody to read");
    }
    if path.contains('#') {
        return Some("it holds a '#'");
    }
    let Some(host) = host_of(authority) else {
        return Some("it names no host, or its port is none");
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (plain && !here).then_some("http is for this machine itself; elsewhere it must be https")
}

/// The host of an authority, without its port.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((inner, port)) => {
            inner.parse::<std::net::Ipv6Addr>().ok()?;
            (
                &authority[..inner.len() + 2],
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let fits = |ch: char| ch.is_ascii_alphanumeric() || ".-_[]:".contains(ch);
    let port_fits = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    (!host.is_empty() && host.chars().all(fits) && port_fits).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::SystemDraw;

    #[test]
    fn the_name_of_a_trace_is_that_of_its_mission_and_each_attempt_has_its_own_span() {
        let (now, draw) = (crate::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mission = MissionId::draw(now, draw);
        let (one, other) = (AttemptId::draw(now, draw), AttemptId::draw(now, draw));
        let told = parent(mission, one);
        let parts: Vec<&str> = told.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else { panic!("{told}") };
        assert_eq!((*version, *flags), ("00", "01"));
        assert_eq!(*trace, mission.to_string().replace('-', ""));
        assert_eq!(*span, SpanId::of(one.as_uuid()).to_string());
        assert_eq!(span.len(), 16);
        assert_ne!(told, parent(mission, other));
        assert_eq!(told, parent(mission, one), "it is found again");
        assert_ne!(SpanId::part(one.as_uuid(), "gate 0"), SpanId::part(one.as_uuid(), "gate 1"));
    }

    #[test]
    fn traces_leave_this_machine_encrypted_or_not_at_all() {
        for good in [
            "http://127.0.0.1:4318/v1/traces",
            "http://localhost:4318",
            "http://[::1]:4318/v1/traces",
            "https://traces.example.org/v1/traces",
        ] {
            assert_eq!(wrong_endpoint(good), None, "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:4318",
            "ftp://localhost/",
            "http://traces.example.org/",
            "http://127.0.0.1.example.org/",
            "http://localhost@traces.example.org/",
            "https://a:b@traces.example.org/",
            "https://",
            "https://:4318/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://exa mple.org/",
            "https://example.org/\r\nhost: a",
            "https://[::1/",
            "https://example.org/#a",
            "https://traces.example.org/v1/traces?api-key=a",
            "https://traces.example.org?api-key=a",
        ] {
            assert!(wrong_endpoint(bad).is_some(), "{bad}");
        }
        assert!(wrong_endpoint(&format!("https://a/{}", "x".repeat(500))).is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_given_is_an_address_or_is_not(text in ".{0,80}", tail in "[!-~]{0,40}") {
            let _ = wrong_endpoint(&text);
            if wrong_endpoint(&format!("http://{tail}")).is_none() {
                let host = tail.split(['/', '?', ':']).next().unwrap();
                prop_assert!(host.starts_with("127.") || host == "localhost" || host == "[");
            }
        }
    }
}
