//! The Agent Client Protocol: recorded conversations of real agents, agents that behave badly, and
//! engines that die in between.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that needs it")]

/// Any line, any order.
mod acp_fuzz;
/// Who plays the agent, and who keeps what the driver wants done.
#[path = "acp/desk.rs"]
mod desk;
/// Agents that do not do as they should.
#[path = "acp/misbehaving.rs"]
mod misbehaving;
/// The beginning of conversations.
#[path = "acp/opening.rs"]
mod opening;
/// What was recorded of real agents.
#[path = "acp/recorded.rs"]
mod recorded;
/// Permissions, questions, cancelling and messages.
#[path = "acp/talking.rs"]
mod talking;
