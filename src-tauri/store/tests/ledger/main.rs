//! The ledger against real files and real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

/// What is acknowledged is there, in order, once; lists and answers.
mod commit;
/// Messages, requests, rules, usage and reports.
mod conversation;
/// The process is killed at any moment, and the harness that shows it can fail.
mod crash;
/// Damage is detected, named and left alone.
mod damage;
/// Health checks, maintenance, and how things changed.
mod health;
/// Hooks, secrets, backups.
mod house;
/// Lists of missions, and attempts as experience.
mod lists;
/// Logins.
mod logins;
/// Rows follow from events.
mod replay;
/// Facts to write.
mod support;
/// Access tokens.
mod tokens;
/// Settings, policies, trash, topics, reviews and checkpoints.
mod workspace;
