//! One file per table: its row type and its queries, and nothing that decides.

pub(crate) mod agents;
pub(crate) mod answers;
pub(crate) mod attempts;
pub(crate) mod cursors;
pub(crate) mod devlogs;
pub(crate) mod events;
pub(crate) mod gate_results;
pub(crate) mod missions;
pub(crate) mod outbox;
