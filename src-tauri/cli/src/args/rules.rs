//! The words of what holds for missions: policies and templates; and of topics.

use clap::{Args, Subcommand};

use super::given;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List the policies.
    #[command(after_help = "Example: hivekeeper policy list")]
    List,
    /// Show a policy.
    #[command(after_help = "Example: hivekeeper policy show careful")]
    Show(Named),
    /// Create or change a policy of your own.
    #[command(after_help = "Example: hivekeeper policy save careful @careful.json\n\
        The file holds an object such as {\"about\": \"tests and a review\", \"grade\": \"human\", \
        \"gates\": [\"command: cargo test\", \"human: Is it right?\"], \"retries\": 1}; \
        'policy show NAME --json' prints one.")]
    Save(Save),
    /// Remove a policy of your own; missions that are there stay as they are.
    #[command(after_help = "Example: hivekeeper policy remove careful")]
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Template {
    /// List the templates.
    #[command(after_help = "Example: hivekeeper template list")]
    List,
    /// Show a template and its places.
    #[command(after_help = "Example: hivekeeper template show fix")]
    Show(Named),
    /// Create or change a template.
    #[command(after_help = "Example: hivekeeper template save fix @fix.json\n\
        The file holds an object such as {\"about\": \"a small fix\", \"title\": \"Fix {{what}}\", \
        \"brief\": \"Fix {{what}} in {{where|src}}.\", \"gates\": [\"command: cargo test\"]}; \
        'template show NAME --json' prints one.")]
    Save(Save),
    /// Remove a template; missions that are there stay as they are.
    #[command(after_help = "Example: hivekeeper template remove fix")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name.
    #[arg(value_parser = given)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Save {
    /// Its name.
    #[arg(value_parser = given)]
    pub(crate) name: String,
    /// What it says, in JSON: @FILE, - for standard input, or the text itself.
    #[arg(value_name = "@FILE|-|JSON", allow_hyphen_values = true)]
    pub(crate) what: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// List the topics, the newest first.
    #[command(after_help = "Example: hivekeeper topic list")]
    List,
    /// Show a topic with its votes.
    #[command(after_help = "Example: hivekeeper topic show ID")]
    Show {
        /// Its id.
        #[arg(value_name = "ID", value_parser = given)]
        topic: String,
    },
    /// Ask the agents something.
    #[command(after_help = "Example: hivekeeper topic open --title 'Which parser?' \
        --option nom --option chumsky")]
    Open {
        /// The question, in one line.
        #[arg(long)]
        title: String,
        /// What there is to know about it: the text itself, @FILE, or - for standard input.
        #[arg(long, value_name = "TEXT|@FILE|-", default_value = "", allow_hyphen_values = true)]
        text: String,
        /// What can be voted for; at least two.
        #[arg(long = "option", value_name = "TEXT", required = true)]
        options: Vec<String>,
    },
    /// Cast an agent's vote; a second one replaces the first.
    #[command(after_help = "Example: hivekeeper topic vote ID --agent ann --option nom \
        --because 'it is here already'")]
    Vote {
        /// Its id.
        #[arg(value_name = "ID", value_parser = given)]
        topic: String,
        /// Who votes.
        #[arg(long, value_name = "NAME")]
        agent: String,
        /// For what.
        #[arg(long, value_name = "TEXT")]
        option: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Decide a topic, by the votes or as you say.
    #[command(after_help = "Example: hivekeeper topic close ID --option nom")]
    Close {
        /// Its id.
        #[arg(value_name = "ID", value_parser = given)]
        topic: String,
        /// What you take; the option with most votes unless given.
        #[arg(long, value_name = "TEXT")]
        option: Option<String>,
        /// Why, in your words.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}
