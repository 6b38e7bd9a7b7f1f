//! The words of serving, access tokens and pairing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use model::token::{DAYS_MAX, TokenRole};

use super::{address, given};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 means any that is free. Other machines reach an address that is not
    /// this machine's own, so that it takes --tls-cert and --tls-key.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// The certificate to show, with those that lead to its authority (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key (PEM), which nobody else may read.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A name by which other machines know this one, as in the certificate; may be repeated. Its
    /// addresses need not be named.
    #[arg(long, value_name = "HOST", requires = "tls_cert", value_parser = host)]
    pub(crate) name: Vec<String>,
    /// The Unix socket for this account (default: hivekeeper.sock in the workspace).
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print no link that signs a browser in, such as where others read what is printed; 'hivekeeper
    /// login' prints one.
    #[arg(long)]
    pub(crate) no_login_link: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(subcommand)]
    pub(crate) command: Option<LoginCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoginCommand {
    /// List the browsers that are signed in, the newest first.
    #[command(after_help = "Example: hivekeeper login list")]
    List {
        /// Also those that are signed out.
        #[arg(long)]
        ended: bool,
    },
    /// Sign a browser out; its pages and what it listens to end at once.
    #[command(after_help = "Example: hivekeeper login end 01a2b3c4-0000-7000-8000-000000000001")]
    End {
        /// Its id, or the name it was paired with.
        #[arg(value_parser = given, required_unless_present = "all")]
        login: Option<String>,
        /// Every browser there is.
        #[arg(long, conflicts_with = "login")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List the access tokens, the newest first.
    #[command(after_help = "Example: hivekeeper token list")]
    List {
        /// Also those that were revoked.
        #[arg(long)]
        revoked: bool,
    },
    /// Make an access token and print its secret, once.
    #[command(after_help = "Example: hivekeeper token add 'build server' --role operator \
        --scope missions --days 90\n\
        Send the secret as 'Authorization: Bearer SECRET'; it is kept nowhere.")]
    Add {
        /// What it is for.
        #[arg(value_parser = given)]
        name: String,
        /// What its holder may do.
        #[arg(long, value_enum)]
        role: RoleWord,
        /// Where: swarm, agents, missions, talk, rules, journal, signals, events, house, agent:NAME or
        /// mission:ID; may be repeated (default: everywhere). Who may read events reads of everything.
        #[arg(long = "scope", value_name = "SCOPE", value_parser = given)]
        scopes: Vec<String>,
        /// After how many days it ends (default: not before it is revoked).
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
        days: Option<u32>,
    },
    /// Revoke an access token; it opens nothing from then on.
    #[command(after_help = "Example: hivekeeper token revoke 'build server'")]
    Revoke {
        /// Its name or id.
        #[arg(value_parser = given)]
        token: String,
    },
    /// Print a link that pairs a browser, such as that of a phone, once.
    #[command(after_help = "Example: hivekeeper token pair --role viewer --name phone")]
    Pair {
        /// What it may do.
        #[arg(long, value_enum)]
        role: PairWord,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    /// A machine that lends its agents.
    Worker,
    /// Sees everything, changes nothing.
    Viewer,
    /// Works with agents and missions.
    Operator,
    /// Everything.
    Admin,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PairWord {
    /// Sees everything, changes nothing.
    Viewer,
    /// Works with agents and missions.
    Operator,
}

impl From<RoleWord> for TokenRole {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Worker => Self::Worker,
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Operator => Self::Operator,
            RoleWord::Admin => Self::Admin,
        }
    }
}

impl From<PairWord> for TokenRole {
    fn from(word: PairWord) -> Self {
        match word {
            PairWord::Viewer => Self::Viewer,
            PairWord::Operator => Self::Operator,
        }
    }
}

/// A name of a machine, without a port.
fn host(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write a name such as build.example, without a scheme and a port")
    }
}
