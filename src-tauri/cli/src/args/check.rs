//! The words of `hivekeeper check`: what is looked at, how it is judged, and when nobody is to look.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::Timestamp;

use super::{deadline, given};
use crate::selector::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// List the checks: parts of the engine, your own, and agents; the worst first.
    #[command(after_help = "Example: hivekeeper check list --state failed")]
    List {
        /// Only those that are so.
        #[arg(long, value_enum)]
        state: Option<StateWord>,
        /// Only those about this.
        #[arg(long, value_enum)]
        subject: Option<SubjectWord>,
    },
    /// Show a check: how it is, since when and why.
    #[command(after_help = "Example: hivekeeper check show engine.store")]
    Show {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
    },
    /// Have something looked at again and again.
    #[command(
        after_help = "Example: hivekeeper check add shop --http http://127.0.0.1:3000/health --slow-ms 800\n\
        hivekeeper check add db --tcp 127.0.0.1:5432 --interval 10s --timeout 2s --needs shop\n\
        hivekeeper check add backup --file /var/backups/db.dump --max-age 26h\n\
        hivekeeper check add root --disk / --failed-percent 5 --degraded-percent 10\n\
        hivekeeper check add cert --certificate shop.example\n\
        hivekeeper check add nightly --heartbeat 24h --grace 1h\n\
        hivekeeper check add tests -- cargo test --quiet\n\
        A command is started as it stands, without a shell; exit code 0 is in order."
    )]
    Add {
        /// Its name.
        #[arg(value_parser = given)]
        name: String,
        #[command(flatten)]
        probe: ProbeArgs,
        #[command(flatten)]
        judging: Judging,
        /// Do not look at it yet.
        #[arg(long)]
        off: bool,
    },
    /// Change a check of your own; what is not named stays as it is.
    #[command(after_help = "Example: hivekeeper check edit shop --interval 1m --failures 5")]
    Edit {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
        /// Another name.
        #[arg(long, value_name = "NAME", value_parser = given)]
        name: Option<String>,
        #[command(flatten)]
        probe: ProbeArgs,
        #[command(flatten)]
        judging: Judging,
        /// Look at it.
        #[arg(long, conflicts_with = "off")]
        on: bool,
        /// Do not look at it any more.
        #[arg(long)]
        off: bool,
    },
    /// Remove a check of your own, with its history.
    #[command(after_help = "Example: hivekeeper check remove shop")]
    Remove {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
    },
    /// Look at a check now; what is found counts as every look does.
    #[command(after_help = "Example: hivekeeper check run shop\n\
        Exits with 1 when what it looks at does not work.")]
    Run {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
    },
    /// Tell how a check was: its last looks, how its state changed, and how much of the time it was in
    /// order.
    #[command(after_help = "Example: hivekeeper check history shop --last 7d")]
    History {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
        /// How far back, such as 12h or 30d.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        last: Duration,
    },
    /// Report to a check that waits for it.
    #[command(after_help = "Example: hivekeeper check report nightly\n\
        In a script: hivekeeper check report nightly start; ./dump && hivekeeper check report nightly")]
    Report {
        /// Its name or id.
        #[arg(value_parser = given)]
        check: String,
        /// What is reported.
        #[arg(value_enum, default_value_t = ReportWord::Success)]
        report: ReportWord,
    },
    /// Say when checks are not to be looked at, as somebody works on what they look at.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// List the times of maintenance.
    #[command(after_help = "Example: hivekeeper check maintenance list")]
    List,
    /// Set a time of maintenance.
    #[command(
        after_help = "Example: hivekeeper check maintenance add --for 2h --check shop --note 'the database is moved'\n\
        hivekeeper check maintenance add --from 2026-03-14T22:00:00Z --for 4h --recurs weekly \
        --zone Europe/Berlin"
    )]
    Add {
        /// When it begins, RFC 3339; now unless given.
        #[arg(long, value_name = "TIME", value_parser = deadline)]
        from: Option<Timestamp>,
        /// How long it lasts, such as 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Duration,
        /// How often it recurs.
        #[arg(long, value_enum)]
        recurs: Option<RecursWord>,
        /// The time zone in which it recurs at the same time of day.
        #[arg(long, value_name = "ZONE", requires = "recurs")]
        zone: Option<String>,
        /// A check it is for, by name or id; may be given several times. All of your own unless given.
        #[arg(long = "check", value_name = "CHECK", value_parser = given)]
        checks: Vec<String>,
        /// What is done.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Call a time of maintenance off, or end it.
    #[command(
        after_help = "Example: hivekeeper check maintenance remove 019cec1a-2b3c-7d4e-8f50-000000000001"
    )]
    Remove {
        /// Its id.
        #[arg(value_name = "ID", value_parser = given)]
        id: String,
    },
}

/// What is looked at.
#[derive(Debug, Args)]
#[group(id = "probe")]
pub(crate) struct ProbeArgs {
    /// Ask for a page.
    #[arg(long, value_name = "URL", group = "kind")]
    pub(crate) http: Option<String>,
    /// Open a connection.
    #[arg(long, value_name = "HOST:PORT", group = "kind")]
    pub(crate) tcp: Option<String>,
    /// Look how long ago a file was written.
    #[arg(long, value_name = "PATH", group = "kind", requires = "max_age")]
    pub(crate) file: Option<String>,
    /// Look how much of the disk is free that holds this place.
    #[arg(long, value_name = "PATH", group = "kind")]
    pub(crate) disk: Option<String>,
    /// Look how long a host's certificate is still valid.
    #[arg(long, value_name = "HOST[:PORT]", group = "kind")]
    pub(crate) certificate: Option<String>,
    /// Wait for reports that come this often.
    #[arg(long, value_name = "PERIOD", group = "kind", requires = "grace", value_parser = duration)]
    pub(crate) heartbeat: Option<Duration>,
    /// How much later a report is still in order.
    #[arg(long, value_name = "TIME", requires = "heartbeat", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
    /// The status a page must have; 200 to 299 unless given.
    #[arg(long, value_name = "CODE", requires = "http")]
    pub(crate) status: Option<u16>,
    /// A text a page must hold.
    #[arg(long, value_name = "TEXT", requires = "http")]
    pub(crate) contains: Option<String>,
    /// From how many milliseconds on an answer is slow.
    #[arg(long, value_name = "MS")]
    pub(crate) slow_ms: Option<u32>,
    /// From which age on a file is too old, such as 26h.
    #[arg(long, value_name = "TIME", requires = "file", value_parser = duration)]
    pub(crate) max_age: Option<Duration>,
    /// From which age on a file is getting old.
    #[arg(long, value_name = "TIME", requires = "file", value_parser = duration)]
    pub(crate) degraded_age: Option<Duration>,
    /// Below how many percent of free space a disk is full; 5 unless given.
    #[arg(long, value_name = "N", requires = "disk")]
    pub(crate) failed_percent: Option<u8>,
    /// Below how many percent of free space a disk is getting full; 10 unless given.
    #[arg(long, value_name = "N", requires = "disk")]
    pub(crate) degraded_percent: Option<u8>,
    /// Below how many days a certificate ends too soon; 7 unless given.
    #[arg(long, value_name = "N", requires = "certificate")]
    pub(crate) failed_days: Option<u32>,
    /// Below how many days a certificate ends soon; 21 unless given.
    #[arg(long, value_name = "N", requires = "certificate")]
    pub(crate) degraded_days: Option<u32>,
    /// The exit code of a command that means degraded rather than failed.
    #[arg(long, value_name = "CODE")]
    pub(crate) degraded_code: Option<u8>,
    /// Run a command: the program and its arguments.
    #[arg(last = true, value_name = "COMMAND", group = "kind")]
    pub(crate) command: Vec<String>,
}

/// How it is judged.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// Time between two looks, such as 30s; 30s unless given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) interval: Option<Duration>,
    /// How long a look may take, 1s to 25s; 5s unless given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Bad looks in a row until it has failed; 3 unless given.
    #[arg(long, value_name = "N")]
    pub(crate) failures: Option<u32>,
    /// Good looks in a row until it is in order again; 2 unless given.
    #[arg(long, value_name = "N")]
    pub(crate) successes: Option<u32>,
    /// How long it may take until its first good look, such as 2m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) start_within: Option<Duration>,
    /// A check it needs, by name or id; may be given several times. While that has failed, it explains
    /// this one.
    #[arg(long, value_name = "CHECK", value_parser = given)]
    pub(crate) needs: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateWord {
    /// In order.
    Ok,
    /// Not as it should be.
    Degraded,
    /// Does not work.
    Failed,
    /// Nothing is known.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubjectWord {
    /// Parts of the engine.
    Engine,
    /// Your own.
    User,
    /// Agents.
    Agent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportWord {
    /// It begins.
    Start,
    /// It is done, or alive.
    Success,
    /// It failed.
    Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecursWord {
    /// Each day.
    Daily,
    /// Each week.
    Weekly,
}
