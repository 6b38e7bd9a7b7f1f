//! Health checks: what is looked at and how it is judged, and what it was found to be.

mod maintenance;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use maintenance::{Maintenance, MaintenanceFault, Recurrence};

use crate::id::CheckId;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// The most checks of the captain's own in one workspace.
pub const CHECKS_MAX: usize = 200;
/// The most maintenance windows of one workspace.
pub const WINDOWS_MAX: usize = 200;
/// The most checks that one check needs, or that one maintenance window names.
pub const NAMED_MAX: usize = 50;
/// The longest text of an address, a path, a word of a command or a text to be found, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// The most words of a command.
pub const WORDS_MAX: usize = 100;
/// Time between two looks unless the captain says otherwise, in seconds.
pub const INTERVAL_S_DEFAULT: u32 = 30;
/// The longest time between two looks, in seconds: a day.
pub const INTERVAL_S_MAX: u32 = 86_400;
/// How long a look may take unless the captain says otherwise, in seconds.
pub const TIMEOUT_S_DEFAULT: u32 = 5;
/// The longest a look may take, in seconds.
pub const TIMEOUT_S_MAX: u32 = 25;
/// Bad looks in a row until it has failed, unless the captain says otherwise.
pub const FAILURES_DEFAULT: u32 = 3;
/// Good looks in a row until it is in order again, unless the captain says otherwise.
pub const SUCCESSES_DEFAULT: u32 = 2;
/// The most looks in a row that a threshold may ask for.
pub const LOOKS_MAX: u32 = 100;
/// The longest period or grace of something that reports by itself, in seconds: 400 days.
pub const PERIOD_S_MAX: u64 = 400 * 86_400;
/// The longest maintenance that does not recur, in days.
pub const MAINTENANCE_DAYS_MAX: i64 = 366;
/// The longest note, in characters.
pub const NOTE_CHARS_MAX: usize = 300;
/// The longest reason that is kept, in characters.
pub const REASON_CHARS_MAX: usize = 300;

/// How something is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It is in order.
    Ok,
    /// It works, but not as it should, or something that it needs does not.
    Degraded,
    /// It does not work.
    Failed,
    /// Nothing is known: it was not looked at, or is paused or under maintenance.
    Unknown,
}

impl HealthState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Degraded, Self::Failed, Self::Unknown];

    /// The word used in interfaces and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What a look does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Asks for a page. Where that answers is not gone on to another one, and at most 1 MiB is read.
    Http {
        /// Its address, `http://` or `https://`.
        #[schema(example = "http://127.0.0.1:3000/health")]
        url: String,
        /// The status it must have; any of 200 to 299 unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// A text its body must hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
        /// From how many milliseconds on it is degraded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slow_ms: Option<u32>,
    },
    /// Opens a connection, and sends nothing.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
        /// From how many milliseconds on it is degraded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slow_ms: Option<u32>,
    },
    /// Runs a command: exit code 0 is in order, 1 to 255 is not.
    Command {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// The exit code that means degraded rather than failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        degraded_code: Option<u8>,
    },
    /// Looks how long ago a file was written.
    FileAge {
        /// The file, an absolute path.
        path: String,
        /// From which age on it has failed, in seconds.
        max_age_s: u64,
        /// From which age on it is degraded, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        degraded_age_s: Option<u64>,
    },
    /// Looks how much of a disk is free.
    Disk {
        /// A place on it, an absolute path.
        path: String,
        /// Below how much free space it has failed, in percent.
        #[serde(default = "failed_free_percent")]
        failed_free_percent: u8,
        /// Below how much free space it is degraded, in percent.
        #[serde(default = "degraded_free_percent")]
        degraded_free_percent: u8,
    },
    /// Looks how long a certificate is still valid, and whether this machine trusts it.
    Certificate {
        /// The host's name.
        host: String,
        /// The port; 443 unless given.
        #[serde(default = "https_port")]
        port: u16,
        /// Below how many days it has failed.
        #[serde(default = "failed_days")]
        failed_days: u32,
        /// Below how many days it is degraded.
        #[serde(default = "degraded_days")]
        degraded_days: u32,
    },
    /// Waits for reports: something says by itself that it is alive, and its silence is what counts.
    Heartbeat {
        /// How often it reports, in seconds.
        period_s: u64,
        /// How much later than that is still in order, in seconds; also how long it may take from its
        /// start to its success.
        grace_s: u64,
    },
}

const fn failed_free_percent() -> u8 {
    5
}

const fn degraded_free_percent() -> u8 {
    10
}

const fn https_port() -> u16 {
    443
}

const fn failed_days() -> u32 {
    7
}

const fn degraded_days() -> u32 {
    21
}

impl Probe {
    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> CheckKind {
        match self {
            Self::Http { .. } => CheckKind::Http,
            Self::Tcp { .. } => CheckKind::Tcp,
            Self::Command { .. } => CheckKind::Command,
            Self::FileAge { .. } => CheckKind::FileAge,
            Self::Disk { .. } => CheckKind::Disk,
            Self::Certificate { .. } => CheckKind::Certificate,
            Self::Heartbeat { .. } => CheckKind::Heartbeat,
        }
    }

    /// What it looks at, in a few words that hold no secret: of an address no query, of a command the
    /// program alone.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Http { url, .. } => bare(url),
            Self::Tcp { host, port, .. } | Self::Certificate { host, port, .. } => {
                format!("{host}:{port}")
            }
            Self::Command { command, .. } => command.first().cloned().unwrap_or_default(),
            Self::FileAge { path, .. } | Self::Disk { path, .. } => path.clone(),
            Self::Heartbeat { period_s, .. } => format!("a report every {period_s} s"),
        }
    }

    /// The same without what may hold a secret.
    #[must_use]
    pub fn told(&self) -> Self {
        let mut told = self.clone();
        match &mut told {
            Self::Http { url, contains, .. } => {
                *url = bare(url);
                *contains = None;
            }
            Self::Command { command, .. } => command.truncate(1),
            _ => {}
        }
        told
    }
}

/// An address without who asks, the query and the fragment.
fn bare(url: &str) -> String {
    let cut = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = cut.split_once("://") else {
        return cut.to_owned();
    };
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let host = host.rsplit('@').next().unwrap_or_default();
    let slash = if rest.contains('/') { "/" } else { "" };
    format!("{scheme}://{host}{slash}{path}")
}

/// The kind of a check.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A part of the engine.
    Engine,
    /// An agent.
    Agent,
    /// A page.
    Http,
    /// A port.
    Tcp,
    /// A command's exit code.
    Command,
    /// A file's age.
    FileAge,
    /// Free space.
    Disk,
    /// A certificate's end.
    Certificate,
    /// Reports that must come.
    Heartbeat,
}

impl CheckKind {
    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Agent => "agent",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Command => "command",
            Self::FileAge => "file_age",
            Self::Disk => "disk",
            Self::Certificate => "certificate",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// A check of the captain's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// Its identity.
    pub id: CheckId,
    /// Its name, which no other check has.
    pub name: String,
    /// What a look does.
    pub probe: Probe,
    /// Time between two looks, in seconds.
    pub interval_s: u32,
    /// How long a look may take, in seconds; less than the interval.
    pub timeout_s: u32,
    /// Bad looks in a row until it has failed.
    pub failures: u32,
    /// Good looks in a row until it is in order again.
    pub successes: u32,
    /// How long it may take until its first good look, in seconds; it is not judged before. Nothing
    /// where every look counts.
    pub start_within_s: Option<u32>,
    /// The checks it needs, by their ids: while one of them has failed, that explains this one.
    pub needs: Vec<String>,
    /// Whether it is looked at at all.
    pub enabled: bool,
}

/// A check that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckFault {
    /// The name is empty, too long, or holds control characters.
    #[error("a check's name is one line of 1 to {NAME_CHARS_MAX} characters")]
    Name,
    /// The interval is out of range.
    #[error("looks are 1 s to {INTERVAL_S_MAX} s apart, not {0} s")]
    Interval(u32),
    /// The time limit is out of range, or as long as the interval.
    #[error(
        "a look takes between 1 and {TIMEOUT_S_MAX} s, not {timeout_s} s, and less than the interval of \
         {interval_s} s"
    )]
    Timeout {
        /// How long a look may take.
        timeout_s: u32,
        /// Time between two looks.
        interval_s: u32,
    },
    /// A threshold is out of range.
    #[error("a threshold is 1 to {LOOKS_MAX} looks, not {0}")]
    Threshold(u32),
    /// A start takes no time, or too long.
    #[error("a start takes between 1 and {INTERVAL_S_MAX} s, not {0} s")]
    Start(u32),
    /// It needs too much.
    #[error("a check needs at most {NAMED_MAX} others")]
    Needs,
    /// The address cannot be asked.
    #[error("'{0}' is no address to ask: {1}")]
    Url(String, &'static str),
    /// The status is none.
    #[error("{0} is no status of an answer: they are 100 to 599")]
    Status(u16),
    /// A host's name or port is none.
    #[error("'{0}' is no host and port to connect to")]
    Host(String),
    /// There is no program, or something in the command cannot be handed over.
    #[error(
        "a check's command is a program and its arguments: at most {WORDS_MAX} words of {TEXT_BYTES_MAX} \
         bytes, without NUL"
    )]
    Command,
    /// Code 0 is what a command in order ends with.
    #[error("a command that ends with 0 is in order: choose another exit code for degraded")]
    DegradedCode,
    /// The path is no absolute one.
    #[error("'{0}' is no absolute path")]
    Path(String),
    /// What is degraded would have failed already.
    #[error("{0}: it would have failed before it was degraded")]
    Order(&'static str),
    /// A share is none.
    #[error("{0} % is more than all of it")]
    Percent(u8),
    /// A time is out of range.
    #[error("{what} is 1 s to {PERIOD_S_MAX} s, not {seconds} s")]
    Seconds {
        /// What it is.
        what: &'static str,
        /// How long it is.
        seconds: u64,
    },
    /// A text is empty or too long.
    #[error("the text to be found is 1 to {TEXT_BYTES_MAX} bytes")]
    Contains,
}

/// Whether a text is one line of 1 to so many characters, with nothing around it.
fn is_line(text: &str, chars_max: usize) -> bool {
    let trimmed = text.trim();
    !trimmed.is_empty()
        && trimmed.len() == text.len()
        && text.chars().count() <= chars_max
        && !text.chars().any(char::is_control)
}

impl HealthCheck {
    /// Checks every field by itself. Whether the name is free, what it needs is there, and needs do not
    /// go round, is not known here.
    ///
    /// # Errors
    /// Names the first field that cannot be.
    pub fn check(&self) -> Result<(), CheckFault> {
        if !is_line(&self.name, NAME_CHARS_MAX) {
            return Err(CheckFault::Name);
        }
        let Self { interval_s, timeout_s, .. } = *self;
        if !(1..=INTERVAL_S_MAX).contains(&interval_s) {
            return Err(CheckFault::Interval(interval_s));
        }
        let waits = matches!(self.probe, Probe::Heartbeat { .. });
        if !waits && (!(1..=TIMEOUT_S_MAX).contains(&timeout_s) || timeout_s >= interval_s) {
            return Err(CheckFault::Timeout { timeout_s, interval_s });
        }
        for looks in [self.failures, self.successes] {
            if !(1..=LOOKS_MAX).contains(&looks) {
                return Err(CheckFault::Threshold(looks));
            }
        }
        if let Some(start) = self.start_within_s.filter(|s| !(1..=INTERVAL_S_MAX).contains(s)) {
            return Err(CheckFault::Start(start));
        }
        if self.needs.len() > NAMED_MAX {
            return Err(CheckFault::Needs);
        }
        self.probe.check()
    }
}

impl Probe {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first that cannot be.
    pub fn check(&self) -> Result<(), CheckFault> {
        match self {
            Self::Http { url, status, contains, .. } => {
                if let Some(why) = wrong_url(url) {
                    return Err(CheckFault::Url(url.chars().take(200).collect(), why));
                }
                if let Some(status) = status.filter(|status| !(100..600).contains(status)) {
                    return Err(CheckFault::Status(status));
                }
                let fits = |text: &String| (1..=TEXT_BYTES_MAX).contains(&text.len());
                if contains.as_ref().is_some_and(|text| !fits(text)) {
                    return Err(CheckFault::Contains);
                }
                Ok(())
            }
            Self::Tcp { host, port, .. } => check_host(host, *port),
            Self::Certificate { host, port, failed_days, degraded_days } => {
                check_host(host, *port)?;
                in_order(failed_days <= degraded_days, "fewer days for degraded than for failed")
            }
            Self::Command { command, degraded_code } => {
                let odd = |word: &String| word.len() > TEXT_BYTES_MAX || word.contains('\0');
                let program = command.first().is_some_and(|word| !word.trim().is_empty());
                if !program || command.len() > WORDS_MAX || command.iter().any(odd) {
                    return Err(CheckFault::Command);
                }
                match degraded_code {
                    Some(0) => Err(CheckFault::DegradedCode),
                    _ => Ok(()),
                }
            }
            Self::FileAge { path, max_age_s, degraded_age_s } => {
                check_path(path)?;
                check_seconds("an age", *max_age_s)?;
                let before = degraded_age_s.is_none_or(|degraded| degraded <= *max_age_s);
                in_order(before, "a greater age for degraded than for failed")
            }
            Self::Disk { path, failed_free_percent, degraded_free_percent } => {
                check_path(path)?;
                for percent in [*failed_free_percent, *degraded_free_percent] {
                    if percent > 100 {
                        return Err(CheckFault::Percent(percent));
                    }
                }
                let before = failed_free_percent <= degraded_free_percent;
                in_order(before, "less free space for degraded than for failed")
            }
            Self::Heartbeat { period_s, grace_s } => {
                check_seconds("a period", *period_s)?;
                check_seconds("a grace", *grace_s)
            }
        }
    }
}

fn in_order(fits: bool, what: &'static str) -> Result<(), CheckFault> {
    if fits { Ok(()) } else { Err(CheckFault::Order(what)) }
}

fn check_seconds(what: &'static str, seconds: u64) -> Result<(), CheckFault> {
    if (1..=PERIOD_S_MAX).contains(&seconds) {
        Ok(())
    } else {
        Err(CheckFault::Seconds { what, seconds })
    }
}

fn check_host(host: &str, port: u16) -> Result<(), CheckFault> {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '-' | '_' | ':');
    let fits = (1..=253).contains(&host.len()) && host.chars().all(plain) && port != 0;
    if fits { Ok(()) } else { Err(CheckFault::Host(format!("{host}:{port}"))) }
}

fn check_path(path: &str) -> Result<(), CheckFault> {
    let absolute = std::path::Path::new(path).is_absolute();
    if absolute && path.len() <= TEXT_BYTES_MAX && !path.contains('\0') {
        Ok(())
    } else {
        Err(CheckFault::Path(path.chars().take(200).collect()))
    }
}

/// Why an address cannot be asked; nothing where it can.
fn wrong_url(url: &str) -> Option<&'static str> {
    if url.len() > TEXT_BYTES_MAX {
        return Some("it is too long");
    }
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Some("it does not begin with http:// or https://");
    };
    if url.chars().any(|ch| ch.is_control() || ch.is_whitespace()) || !url.is_ascii() {
        return Some("it holds spaces or signs that have to be written as %XX");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') {
        return Some("it names no host");
    }
    if authority.contains('@') {
        return Some("it holds a user or a password, which would be told to whoever reads it");
    }
    None
}

/// A change of how something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckChange {
    /// The id of the check.
    pub check: String,
    /// Since when: the first of the looks that came to it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it was certain.
    #[schema(value_type = String, format = DateTime)]
    pub confirmed_at: Timestamp,
    /// What it was.
    pub from: HealthState,
    /// What it is.
    pub to: HealthState,
    /// Why; empty where it is in order.
    pub reason: String,
}

/// The most changes that one event tells of.
pub const CHANGES_MAX: usize = 500;

/// What something that reports by itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It begins.
    Start,
    /// It is done, or alive.
    Success,
    /// It failed.
    Failure,
}

/// What something has reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reported {
    /// Its last success.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
    /// When it said that it begins, where nothing else came since.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started: Option<Timestamp>,
    /// Whether it last said that it failed.
    pub failed: bool,
}

impl Reported {
    /// What it has reported after one more.
    #[must_use]
    pub fn after(self, report: Report, at: Timestamp) -> Self {
        match report {
            Report::Start => Self { started: Some(at), ..self },
            Report::Success => Self { last: Some(at), started: None, failed: false },
            Report::Failure => Self { started: None, failed: true, ..self },
        }
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
