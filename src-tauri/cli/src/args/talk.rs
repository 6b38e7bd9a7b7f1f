//! The words of messages, the inbox, rules and usage.

use clap::{Args, Subcommand, ValueEnum};
use engine::view::ScopeWord;
use model::message::MessageState;

use super::{Which, given};

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Say something to an agent, also while it works.
    #[command(after_help = "Example: hivekeeper message send ann 'use the second way' --urgent")]
    Send {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
        /// What; @FILE reads a file, - standard input.
        text: String,
        /// Before all regular ones.
        #[arg(long)]
        urgent: bool,
        /// The mission it is about.
        #[arg(long, value_name = "ID")]
        mission: Option<String>,
    },
    /// Say the same to several agents; each has a result of its own.
    #[command(
        after_help = "Example: hivekeeper message broadcast 'pull first' --to ann --to bob\n\
        Exits with 1 when somebody could not be told."
    )]
    Broadcast {
        /// What; @FILE reads a file, - standard input.
        text: String,
        /// An agent's name or id; may be repeated.
        #[arg(long, value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        to: Vec<String>,
        /// Every agent.
        #[arg(long)]
        all: bool,
        /// Before all regular ones.
        #[arg(long)]
        urgent: bool,
    },
    /// List messages, the newest first, with how far each is.
    #[command(after_help = "Example: hivekeeper message list --agent ann --state quarantined")]
    List(ListMessages),
    /// Show how far the messages of a broadcast are.
    #[command(after_help = "Example: hivekeeper message status ID")]
    Status {
        /// The broadcast's id.
        #[arg(value_parser = given)]
        broadcast: String,
    },
    /// Deliver a message again; a report in quarantine is read again.
    #[command(after_help = "Example: hivekeeper message retry ID")]
    Retry {
        /// Its id.
        #[arg(value_parser = given)]
        message: String,
    },
    /// Give a message up that waits or is in quarantine.
    #[command(after_help = "Example: hivekeeper message discard ID")]
    Discard {
        /// Its id.
        #[arg(value_parser = given)]
        message: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListMessages {
    /// Only those to this agent.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Only those about this mission.
    #[arg(long, value_name = "ID")]
    pub(crate) mission: Option<String>,
    /// Only those that are this far; may be repeated.
    #[arg(long = "state", value_enum, value_delimiter = ',')]
    pub(crate) states: Vec<State>,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It waits for the agent.
    Queued,
    /// The agent's program has it.
    Delivered,
    /// The agent has begun to act on it.
    Started,
    /// The agent has answered to it.
    Acknowledged,
    /// It could not be delivered and waits for you.
    Quarantined,
    /// It is not to be delivered any more.
    Discarded,
}

impl From<State> for MessageState {
    fn from(word: State) -> Self {
        match word {
            State::Queued => Self::Queued,
            State::Delivered => Self::Delivered,
            State::Started => Self::Started,
            State::Acknowledged => Self::Acknowledged,
            State::Quarantined => Self::Quarantined,
            State::Discarded => Self::Discarded,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Inbox {
    #[command(subcommand)]
    pub(crate) command: Option<InboxCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InboxCommand {
    /// Show what waits for you.
    #[command(after_help = "Example: hivekeeper inbox list")]
    List,
    /// Answer what an agent asks.
    #[command(after_help = "Example: hivekeeper inbox answer ID always --scope workspace\n\
        A question: hivekeeper inbox answer ID 'take the left one'")]
    Answer(AnswerRequest),
}

#[derive(Debug, Args)]
pub(crate) struct AnswerRequest {
    /// The request's id.
    #[arg(value_parser = given)]
    pub(crate) request: String,
    /// once, always, deny, not-now, or the answer to a question in your words.
    #[arg(required_unless_present = "text")]
    pub(crate) answer: Option<String>,
    /// The answer to a question, even if it is one of these words; @FILE reads a file.
    #[arg(long, conflicts_with = "answer")]
    pub(crate) text: Option<String>,
    /// How far always reaches; the agent unless given.
    #[arg(long, value_enum)]
    pub(crate) scope: Option<Scope>,
    /// What always allows, such as 'run: git status *'; as the request says unless given.
    #[arg(long)]
    pub(crate) pattern: Option<String>,
    /// Why it is denied, for the agent.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// How far a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// The mission.
    Mission,
    /// The agent.
    Agent,
    /// Every agent of the workspace.
    Workspace,
}

impl From<Scope> for ScopeWord {
    fn from(word: Scope) -> Self {
        match word {
            Scope::Mission => Self::Mission,
            Scope::Agent => Self::Agent,
            Scope::Workspace => Self::Workspace,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List the permission rules.
    #[command(after_help = "Example: hivekeeper rule list")]
    List,
    /// Allow or forbid what fits a pattern, for everybody unless it is said for whom.
    #[command(after_help = "Example: hivekeeper rule add 'run: git status *' --agent ann")]
    Add {
        /// What it fits: 'run: …', 'edit: …', 'tool: …' or 'fetch: …'.
        pattern: String,
        /// Forbid it instead of allowing it.
        #[arg(long)]
        forbid: bool,
        /// Only for this agent.
        #[arg(long, value_name = "NAME", conflicts_with = "mission")]
        agent: Option<String>,
        /// Only for this mission.
        #[arg(long, value_name = "ID")]
        mission: Option<String>,
    },
    /// Remove a permission rule.
    #[command(after_help = "Example: hivekeeper rule remove ID")]
    Remove {
        /// Its id.
        #[arg(value_parser = given)]
        rule: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Which attempt, from 1.
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
}
