//! The words of the bridge to an agent's tools.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// Where the engine listens (default: HIVEKEEPER_URL, or else the engine of the workspace).
    #[arg(long, value_name = "URL", env = "HIVEKEEPER_URL")]
    pub(crate) url: Option<String>,
}
