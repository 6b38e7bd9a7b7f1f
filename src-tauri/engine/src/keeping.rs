//! How agents' processes are kept together on this machine, and what a sandbox protects.

use agents::supervision::{probed, statement, supervision_words};
use model::process::Sandbox;

use crate::Engine;
use crate::view::{SupervisionView, SupervisionWay};

/// What holds for an agent that was not given a sandbox.
const OPEN: &str = "An agent without a sandbox reaches what you reach: your files, your programs and \
                    the network. A worktree of its own keeps its work apart; it is no wall.";

impl Engine {
    /// How agents' processes are kept together here, what else would be possible, and what that
    /// means.
    pub async fn supervision(&self) -> SupervisionView {
        let probe = probed().await;
        let way =
            |(backend, tried): &(_, Result<(), agents::supervision::Reason>)| SupervisionWay {
                backend: *backend,
                problem: tried.as_ref().err().map(ToString::to_string),
            };
        let kept = format!(
            "Agents' processes are kept together by {}.",
            supervision_words(probe.in_force)
        );
        SupervisionView {
            in_force: probe.in_force,
            available: probe.available.iter().map(way).collect(),
            statement: vec![kept, OPEN.to_owned()],
            sandbox: statement(&Sandbox::default(), probe),
        }
    }
}
