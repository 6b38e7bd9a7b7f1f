//! The words of what tells about work: outputs, devlogs, reports, signals.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Which, given};
use crate::selector::duration;

#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Go on until the attempt ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// What it complained about instead of what it printed.
    #[arg(long)]
    pub(crate) stderr: bool,
    /// Which attempt, from 1.
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// The output as it is, also of an agent that is talked with.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Devlog {
    /// List the devlogs, the newest first.
    #[command(after_help = "Example: hivekeeper devlog list --mission M-7K2P")]
    List(ListDevlogs),
    /// Print a devlog.
    #[command(after_help = "Example: hivekeeper devlog show ID")]
    Show {
        /// Its id.
        #[arg(value_parser = given)]
        devlog: String,
    },
    /// Write a devlog to a file.
    #[command(after_help = "Example: hivekeeper devlog export ID --format html -o devlog.html")]
    Export(ExportDevlog),
}

#[derive(Debug, Args)]
pub(crate) struct ListDevlogs {
    /// Only devlogs of this mission.
    #[arg(long, value_name = "ID")]
    pub(crate) mission: Option<String>,
    /// Only devlogs with this text.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportDevlog {
    /// Its id.
    #[arg(value_parser = given)]
    pub(crate) devlog: String,
    /// The form.
    #[arg(long, value_enum, default_value = "md")]
    pub(crate) format: DevlogFormat,
    /// The file; - or nothing means standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DevlogFormat {
    Md,
    Html,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// Report on a mission.
    #[command(
        after_help = "Example: hivekeeper report mission M-7K2P --format html -o report.html"
    )]
    Mission {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        to: ReportTo,
    },
    /// Report on a day.
    #[command(after_help = "Example: hivekeeper report day 2026-05-01 -o day.md")]
    Day {
        /// The day, as YYYY-MM-DD; today unless given.
        day: Option<jiff::civil::Date>,
        #[command(flatten)]
        to: ReportTo,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReportTo {
    /// The form.
    #[arg(long, value_enum, default_value = "md")]
    pub(crate) format: ReportFormat,
    /// The file; - or nothing means standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The time zone, such as Europe/Berlin; this machine's unless given.
    #[arg(long)]
    pub(crate) zone: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ReportFormat {
    Md,
    Html,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Signal {
    /// List what is measured.
    #[command(after_help = "Example: hivekeeper signal list")]
    List,
    /// Evaluate an expression over a range of time.
    #[command(
        after_help = "Example: hivekeeper signal query 'sum by (agent) (rate(agent_output_bytes_total[1m]))' --last 1h --csv"
    )]
    Query(QuerySignal),
}

#[derive(Debug, Args)]
pub(crate) struct QuerySignal {
    /// The expression, such as 'agent_cpu_percent{agent="a1"}' or 'topk(3, agent_cpu_percent)'.
    #[arg(value_name = "EXPR")]
    pub(crate) expr: String,
    /// How far back, such as 10m or 2h.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) last: Duration,
    /// How many buckets at most.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) points: u32,
    /// Only so many series, ranked by their mean over the whole time.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) top: Option<u32>,
    /// Print comma-separated values.
    #[arg(long)]
    pub(crate) csv: bool,
}
