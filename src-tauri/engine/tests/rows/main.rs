//! What the product promises of missions, one test per promise: real ledger, processes and git.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

#[path = "../hive/mod.rs"]
mod hive;

mod captain;
mod evidence;
mod halting;
mod house;
mod import;
mod inbox;
mod live;
mod messages;
mod recovery;
mod reports;
mod runtimes;
mod schedule;
mod talking;
mod traces;
mod turns;
mod unwatched;
mod used;
