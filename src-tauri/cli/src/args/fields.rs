//! What can be said of a mission: the flags that making, checking and changing one share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::gate::Grade;
use model::mission as words;

use super::{Which, pair};

/// What a mission may be told besides its title and brief.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// The agent; without it, any that is free.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// The git repository to work on.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// What decides that it is done, such as 'command: cargo test' or 'file: out.txt'; may be repeated.
    #[arg(long = "gate", value_name = "GATE")]
    pub(crate) gates: Vec<String>,
    /// How urgent it is; normal unless given.
    #[arg(long, value_enum)]
    pub(crate) priority: Option<Priority>,
    /// How much proof it needs: trusting, standard, strict or a policy of your own; by its labels,
    /// or else by the settings, unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// How much proof 'done' needs, whatever the policy says.
    #[arg(long, value_enum, value_name = "GRADE")]
    pub(crate) proof: Option<Proof>,
    /// How often a failed attempt is followed by another one (0 to 20).
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Seconds before the first retry (0 to 300).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) backoff: Option<u32>,
    /// Let another agent retry.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false")]
    pub(crate) hand_over: Option<bool>,
    /// A word it can be found and compared by; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// A skill its agent must have; may be repeated.
    #[arg(long = "skill", value_name = "SKILL")]
    pub(crate) skills: Vec<String>,
    /// A mission that must be done first; may be repeated.
    #[arg(long, value_name = "ID")]
    pub(crate) depends_on: Vec<String>,
    /// When it should be done: YYYY-MM-DD (the end of that day here) or as in RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    pub(crate) deadline: Option<Timestamp>,
    /// How many minutes it is expected to take; what similar missions took unless given.
    #[arg(long, value_name = "MIN")]
    pub(crate) estimate: Option<u32>,
    /// What the work must do, in one line; may be repeated.
    #[arg(long = "criterion", value_name = "TEXT")]
    pub(crate) criteria: Vec<String>,
    /// Let it go on by itself after the machine was restarted.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false")]
    pub(crate) unattended: Option<bool>,
    /// An ignored directory of the checkout that the worktree gets a link to; may be repeated.
    #[arg(long = "link", value_name = "DIR")]
    pub(crate) links: Vec<String>,
    /// Its name where it comes from.
    #[arg(long, value_name = "NAME")]
    pub(crate) external_id: Option<String>,
}

/// A mission to be: what it says, or the template that says it.
#[derive(Debug, Args)]
pub(crate) struct NewMission {
    /// One line of text.
    #[arg(long, required_unless_present = "template")]
    pub(crate) title: Option<String>,
    /// What is to be done: the text itself, @FILE, or - for standard input.
    #[arg(
        long,
        value_name = "TEXT|@FILE|-",
        allow_hyphen_values = true,
        required_unless_present = "template"
    )]
    pub(crate) brief: Option<String>,
    /// A template it is made from; what is given beside it goes first.
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// What goes into a place of the template; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, requires = "template")]
    pub(crate) values: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) fields: Fields,
}

#[derive(Debug, Args)]
pub(crate) struct AddMission {
    #[command(flatten)]
    pub(crate) new: NewMission,
    /// Keep it as a draft.
    #[arg(long)]
    pub(crate) draft: bool,
    /// What to do when a mission says nearly the same: on a terminal you are asked unless given,
    /// and elsewhere it is created.
    #[arg(long, value_enum)]
    pub(crate) if_similar: Option<IfSimilar>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckMission {
    #[command(flatten)]
    pub(crate) new: NewMission,
}

#[derive(Debug, Args)]
pub(crate) struct EditMission {
    #[command(flatten)]
    pub(crate) which: Which,
    /// One line of text.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What is to be done: the text itself, @FILE, or - for standard input.
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub(crate) brief: Option<String>,
    #[command(flatten)]
    pub(crate) fields: Fields,
    /// What to empty; separated by commas, or repeated.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELD")]
    pub(crate) clear: Vec<Clearable>,
}

/// What can be emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clearable {
    Agent,
    Repo,
    Gates,
    Proof,
    Labels,
    Skills,
    DependsOn,
    Deadline,
    Estimate,
    Criteria,
    Links,
    ExternalId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfSimilar {
    /// Create it, and say so.
    Create,
    /// Ask on a terminal, and refuse elsewhere.
    Ask,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Priority {
    Urgent,
    High,
    Normal,
    Low,
}

impl From<Priority> for words::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Urgent => Self::Urgent,
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// The agent says so.
    SelfReport,
    /// A gate run by the engine passed.
    Observed,
    /// Another agent or an outside system confirmed it.
    Independent,
    /// You accepted it.
    Human,
}

impl From<Proof> for Grade {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::SelfReport => Self::SelfReport,
            Proof::Observed => Self::Observed,
            Proof::Independent => Self::Independent,
            Proof::Human => Self::Human,
        }
    }
}

/// Reads a day as its end on this machine's clock, or a moment.
pub(crate) fn deadline(text: &str) -> Result<Timestamp, &'static str> {
    const WRONG: &str =
        "write a day such as 2026-05-01, or a moment such as 2026-05-01T17:00:00+02:00";
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if text.len() != "2026-05-01".len() {
        return Err(WRONG);
    }
    let day: jiff::civil::Date = text.parse().map_err(|_| WRONG)?;
    let end = day.at(23, 59, 59, 0).to_zoned(TimeZone::system()).map_err(|_| WRONG)?;
    Ok(end.timestamp())
}
