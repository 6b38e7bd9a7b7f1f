//! The words of `hivekeeper mission`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use engine::view::MergeWish;
use model::mission::MissionState;

use super::{AddMission, CheckMission, EditMission, given};
use crate::selector::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Mission {
    /// List the missions, the newest first.
    #[command(after_help = "Example: hivekeeper mission list --state in_review --label ui")]
    List(ListMissions),
    /// Show everything about a mission.
    #[command(after_help = "Example: hivekeeper mission show M-7K2P")]
    Show(Which),
    /// Create a mission.
    #[command(after_help = "Example: hivekeeper mission add --title 'Fix the login' \
        --brief @brief.md --repo . --gate 'command: cargo test' --label ui --deadline 2026-05-01")]
    Add(Box<AddMission>),
    /// Change a mission; what is not named stays as it is.
    #[command(
        after_help = "Example: hivekeeper mission edit M-7K2P --priority high --clear agent\n\
        What a flag that may be repeated names takes the place of all there was."
    )]
    Edit(Box<EditMission>),
    /// Say what would become of a mission, and create nothing.
    #[command(
        after_help = "Example: hivekeeper mission check --title T --brief @brief.md --repo .\n\
        Exits with 1 when it could not be created."
    )]
    Check(Box<CheckMission>),
    /// Say why a mission waits, and why it went to whom.
    #[command(after_help = "Example: hivekeeper mission why M-7K2P")]
    Why(Which),
    /// Choose the agent of a mission.
    #[command(after_help = "Example: hivekeeper mission assign M-7K2P --agent ann")]
    Assign(Assign),
    /// Offer a draft to the agents.
    #[command(after_help = "Example: hivekeeper mission queue M-7K2P")]
    Queue(Ask),
    /// Show the work of a mission: its files, its gates, and what merging would do.
    #[command(after_help = "Example: hivekeeper mission review M-7K2P")]
    Review(Which),
    /// Print the work of a mission as a patch.
    #[command(after_help = "Example: hivekeeper mission diff M-7K2P src | git apply --check")]
    Diff(Diff),
    /// Accept the work of a mission in review.
    #[command(after_help = "Example: hivekeeper mission accept M-7K2P --merge squash")]
    Accept(Accept),
    /// Reject the work of a mission in review.
    #[command(
        after_help = "Example: hivekeeper mission reject M-7K2P --note 'not what was asked for'"
    )]
    Reject(Ask),
    /// Send the work of a mission in review back with what is missing; the agent gets your words.
    #[command(
        after_help = "Example: hivekeeper mission send-back M-7K2P --note 'the tests are missing'"
    )]
    SendBack(SendBack),
    /// Hold a mission back.
    #[command(after_help = "Example: hivekeeper mission pause M-7K2P --keep-processes")]
    Pause(Pause),
    /// Let a paused mission go on.
    #[command(after_help = "Example: hivekeeper mission resume M-7K2P")]
    Resume(Ask),
    /// Call a mission off.
    #[command(after_help = "Example: hivekeeper mission cancel M-7K2P")]
    Cancel(Ask),
    /// Ask for another attempt.
    #[command(after_help = "Example: hivekeeper mission retry M-7K2P --fresh")]
    Retry(Retry),
    /// Say how far the work is.
    #[command(after_help = "Example: hivekeeper mission progress M-7K2P --text 'half of it' \
        --percent 50 --met 1")]
    Progress(Progress),
    /// Move a finished mission or a draft to the trash, with its worktrees.
    #[command(after_help = "Example: hivekeeper mission delete M-7K2P --yes")]
    Delete(Delete),
    /// Make missions from a document: Markdown, JSON or CSV.
    #[command(after_help = "Example: hivekeeper mission import tasks.md --repo . --apply\n\
        Without --apply it says what would be made and makes nothing. Exits with 1 when something \
        of the document cannot be taken over.")]
    Import(Import),
    /// Wait until a mission is in one of the given states.
    #[command(
        after_help = "Example: hivekeeper mission wait M-7K2P --for done,failed --timeout 60s"
    )]
    Wait(Wait),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The mission: its short id, a unique prefix of it, or its id.
    #[arg(value_name = "ID", value_parser = given)]
    pub(crate) mission: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListMissions {
    /// Only these states; separated by commas, or repeated.
    #[arg(long, value_delimiter = ',', value_name = "STATE")]
    pub(crate) state: Vec<MissionState>,
    /// Only missions of this agent.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only missions with this text.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// Only missions with this label.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Only missions on this repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// Only missions under this policy.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Assign {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The agent.
    #[arg(long, value_name = "NAME", required_unless_present = "any")]
    pub(crate) agent: Option<String>,
    /// Any agent that is free.
    #[arg(long, conflicts_with = "agent")]
    pub(crate) any: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why, in your words; kept with the mission.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    pub(crate) ask: Ask,
    /// Put the work onto its target branch first; nothing is accepted when that does not work.
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) merge: Option<MergeHow>,
    /// The commit you reviewed; other work is not accepted.
    #[arg(long, value_name = "COMMIT")]
    pub(crate) reviewed: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MergeHow {
    /// A merge commit, or a fast-forward where the target did not move.
    Merge,
    /// One commit.
    Squash,
    /// The commits one by one on top of the target.
    Rebase,
    /// It stays on its own branch.
    None,
}

impl From<MergeHow> for MergeWish {
    fn from(how: MergeHow) -> Self {
        match how {
            MergeHow::Merge => Self::Merge,
            MergeHow::Squash => Self::Squash,
            MergeHow::Rebase => Self::Rebase,
            MergeHow::None => Self::None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SendBack {
    #[command(flatten)]
    pub(crate) which: Which,
    /// What is missing: the text itself, @FILE, or - for standard input.
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub(crate) note: String,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) ask: Ask,
    /// Hold the processes where they are instead of stopping them at a checkpoint.
    #[arg(long)]
    pub(crate) keep_processes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) ask: Ask,
    /// Start anew instead of going on from the work of the attempt before.
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Progress {
    #[command(flatten)]
    pub(crate) which: Which,
    /// In one line.
    #[arg(long)]
    pub(crate) text: String,
    /// How much of it, from 0 to 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) percent: Option<u8>,
    /// Criteria that are met, by their numbers as 'mission show' prints them.
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1.., value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) met: Vec<u32>,
    /// Criteria that are no longer met.
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1.., value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) unmet: Vec<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only this file or directory of the repository.
    pub(crate) path: Option<String>,
    /// Which attempt, from 1; the latest unless given.
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// How many unchanged lines around each change.
    #[arg(long, value_name = "LINES")]
    pub(crate) context: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The document; - means standard input.
    pub(crate) file: PathBuf,
    /// How it is written; by the end of the file's name unless given.
    #[arg(long, value_enum)]
    pub(crate) format: Option<DocumentFormat>,
    /// The repository of missions that name none.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// The policy of missions that name none.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// The agent of missions that name none.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// A label every mission gets; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Offer new missions to the agents at once instead of keeping them as drafts.
    #[arg(long)]
    pub(crate) queue: bool,
    /// Make the missions; without it, say only what would be made.
    #[arg(long)]
    pub(crate) apply: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentFormat {
    /// Headings or check-boxes.
    Markdown,
    /// A list of objects.
    Json,
    /// A header row and a mission a line.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The states to wait for, separated by commas.
    #[arg(
        long = "for",
        value_delimiter = ',',
        value_name = "STATES",
        default_value = "done,in_review,failed,cancelled"
    )]
    pub(crate) states: Vec<MissionState>,
    /// How long, such as 60s or 5m; without it, as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}
