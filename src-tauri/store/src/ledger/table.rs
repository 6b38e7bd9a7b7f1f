//! One file per table, or per way to read it: row types and queries, and nothing that decides.

pub(crate) mod agents;
pub(crate) mod answers;
pub(crate) mod attempt_history;
pub(crate) mod attempt_usage;
pub(crate) mod attempts;
pub(crate) mod checkpoints;
pub(crate) mod checks;
pub(crate) mod cursors;
pub(crate) mod devlogs;
pub(crate) mod events;
pub(crate) mod gate_results;
pub(crate) mod keys;
pub(crate) mod logins;
pub(crate) mod messages;
pub(crate) mod mission_lists;
pub(crate) mod missions;
pub(crate) mod named;
pub(crate) mod outbox;
pub(crate) mod reports;
pub(crate) mod requests;
pub(crate) mod reviews;
pub(crate) mod rules;
pub(crate) mod tokens;
pub(crate) mod topics;
pub(crate) mod trash;
pub(crate) mod work_done;
