//! What can be typed: a dumb description that the commands make sense of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::mission::MissionState;

use crate::selector::{Selector, duration};

/// A control center for swarms of AI agents.
#[derive(Debug, Parser)]
#[command(name = "hivekeeper", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no engine runs.\n\
    Without a command the window is opened.")]
pub(crate) struct Cli {
    /// The workspace (default: the platform's data directory).
    #[arg(long, global = true, value_name = "DIR", env = "HIVEKEEPER_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The key of a change; the same change with the same key is made once, however often it is asked.
    #[arg(long, global = true, value_name = "KEY", value_parser = key)]
    pub(crate) idempotency_key: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine and its interface without a window.
    Serve(Serve),
    /// Print a link that signs a browser in.
    Login,
    /// Show the swarm at a glance.
    Status,
    /// Check what the engine needs.
    Doctor,
    /// Work with agents.
    #[command(subcommand)]
    Agent(Agent),
    /// Work with missions.
    #[command(subcommand)]
    Mission(Mission),
    /// Print what an attempt of a mission printed (the latest one's, unless told otherwise).
    Logs(Logs),
    /// Read devlogs.
    #[command(subcommand)]
    Devlog(Devlog),
    /// Write a report.
    #[command(subcommand)]
    Report(Report),
    /// Read what was measured.
    #[command(subcommand)]
    Signal(Signal),
    /// Try the demo swarm: real processes that do small real work.
    #[command(subcommand)]
    Demo(Demo),
    /// Check the ledger: its chain of hashes, its head, and every row against the events.
    Verify,
    /// Print the description of the API (OpenAPI 3.1).
    #[command(hide = true)]
    Openapi,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 means any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents.
    List,
    /// Create an agent.
    Add(AddAgent),
    /// Show an agent.
    Show {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Hold an agent back: it gets no new mission.
    Pause {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Let an agent go on.
    Resume {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Remove an agent; what it did stays.
    Remove {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddAgent {
    /// Its name, unique whatever the case.
    pub(crate) name: String,
    /// The kind of runtime.
    #[arg(long, default_value = "command")]
    pub(crate) runtime: String,
    /// Its command line, quoted as in a shell; {brief} and {brief_file} are filled in.
    #[arg(long, value_name = "LINE", required_unless_present = "preset")]
    pub(crate) command: Option<String>,
    /// A known agent program instead of a command line.
    #[arg(long, conflicts_with = "command")]
    pub(crate) preset: Option<String>,
    /// What it is for.
    #[arg(long, default_value = "")]
    pub(crate) role: String,
    /// What it can do; may be repeated.
    #[arg(long = "skill", value_name = "SKILL")]
    pub(crate) skills: Vec<String>,
    /// A variable of its environment; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Where it starts when a mission names no repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Seconds between TERM and KILL when it is stopped (1 to 120).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mission {
    /// List the missions, the newest first.
    List(ListMissions),
    /// Show everything about a mission.
    Show(Which),
    /// Create a mission.
    Add(Box<AddMission>),
    /// Choose the agent of a mission.
    Assign(Assign),
    /// Offer a draft to the agents.
    Queue(Ask),
    /// Accept the work of a mission in review.
    Accept(Ask),
    /// Reject the work of a mission in review.
    Reject(Ask),
    /// Hold a mission back.
    Pause(Ask),
    /// Let a paused mission go on.
    Resume(Ask),
    /// Call a mission off.
    Cancel(Ask),
    /// Ask for another attempt.
    Retry(Ask),
    /// Wait until a mission is in one of the given states.
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
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AddMission {
    /// One line of text.
    #[arg(long)]
    pub(crate) title: String,
    /// What is to be done: the text itself, @FILE, or - for standard input.
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub(crate) brief: String,
    /// The agent; without it, any that is free.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// The git repository to work on.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// What decides that it is done, such as 'command: cargo test' or 'file: out.txt'; may be repeated.
    #[arg(long = "gate", value_name = "GATE")]
    pub(crate) gates: Vec<String>,
    /// How urgent it is.
    #[arg(long, value_enum, default_value = "normal")]
    pub(crate) priority: Priority,
    /// How much proof it needs.
    #[arg(long, value_enum, default_value = "standard")]
    pub(crate) policy: Policy,
    /// How often a failed attempt is followed by another one.
    #[arg(long, default_value_t = 0)]
    pub(crate) retries: u32,
    /// Keep it as a draft.
    #[arg(long)]
    pub(crate) draft: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Priority {
    Urgent,
    High,
    Normal,
    Low,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Policy {
    Trusting,
    Standard,
    Strict,
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum Devlog {
    /// List the devlogs, the newest first.
    List(ListDevlogs),
    /// Print a devlog.
    Show {
        /// Its id.
        #[arg(value_parser = given)]
        devlog: String,
    },
    /// Write a devlog to a file.
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
    Mission {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        to: ReportTo,
    },
    /// Report on a day.
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
    List,
    /// Read a signal over a range of time.
    Query(QuerySignal),
}

#[derive(Debug, Args)]
pub(crate) struct QuerySignal {
    /// The signal, such as machine_cpu_percent or 'agent_cpu_percent{agent="a1"}'.
    pub(crate) signal: Selector,
    /// How far back, such as 10m or 2h.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) last: Duration,
    /// How many buckets at most.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) points: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Demo {
    /// Start the demo swarm.
    Start,
    /// Stop the demo swarm and remove everything it made.
    Remove,
}

/// An id or a name; something has to be there.
fn given(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("an id or name is needed") } else { Ok(text.to_owned()) }
}

fn key(text: &str) -> Result<String, &'static str> {
    let fits = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("write 1 to 200 letters, digits or signs") }
}

/// An address to listen on, of which `localhost` is the one name that is understood.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    named
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:0")
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_description_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_lines_scripts_rely_on_are_understood() {
        let check = |line: &str| {
            let words = line.split(' ').map(|word| word.replace('_', " "));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        };
        check("hivekeeper");
        check("hivekeeper serve --data-dir D --listen 127.0.0.1:0");
        check(
            "hivekeeper agent add A --runtime command --command sh_-c_x --dir D --skill S --skill T --json",
        );
        check("hivekeeper agent add A --preset goose --json");
        check(
            "hivekeeper mission add --title T --brief - --agent A --repo D --gate command:_x --gate file:_y --priority urgent --policy strict --json",
        );
        check("hivekeeper mission show M-7K2P --json");
        check("hivekeeper mission accept M-7K2P");
        check("hivekeeper mission list --state done,failed");
        check("hivekeeper mission assign M-7K2P --any");
        check("hivekeeper logs M-7K2P -f --stderr");
        check("hivekeeper devlog list --mission M-7K2P --json");
        check("hivekeeper report mission M-7K2P --format html -o x.html");
        check("hivekeeper report day 2026-01-02 --format json -o x.json");
        check("hivekeeper verify --json");
        let wait = ["hivekeeper", "mission", "wait", "M-7K2P"];
        let rest = ["--for", "done,in_review,failed", "--timeout", "60s"];
        assert!(Cli::try_parse_from(wait.iter().chain(&rest)).is_ok());
        let query = ["hivekeeper", "signal", "query", r#"agent_cpu_percent{agent="a1"}"#];
        let rest = ["--last", "10m", "--points", "200", "--json"];
        assert!(Cli::try_parse_from(query.iter().chain(&rest)).is_ok());
    }
}
