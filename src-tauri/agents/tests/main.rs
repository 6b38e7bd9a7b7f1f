//! Runs real processes and real git through the public interface of `agents`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be set up fails the test that needs it"
)]

/// Conversations with programs through the shim's socket.
mod channel;
/// Checkpoints, restored byte by byte.
mod checkpoints;
/// Errands: limits, crashes, and what they leave.
mod errands;
/// Gates: pass, fail, time-out, cancel, bounded output.
mod gates;
/// Holding trees, and ending all of them at once.
mod halting;
/// Repositories that would run programs.
mod hostile;
/// Starting, output, exit codes, bad input.
mod launching;
/// Worktrees that start elsewhere, and what is linked into them.
mod laying;
/// What an attempt leaves, wherever its agent went.
mod leaving;
/// What a run may use, and what becomes of it when it uses more.
mod limits;
/// Accepting work: previews, merging, refusals.
mod merging;
/// What the shim makes of a program's output.
mod pumping;
/// Where attempts touch the same files.
mod radar;
/// Repositories to make worktrees of.
mod repo;
/// What a reviewer sees of an attempt.
mod reviewing;
/// What a sandboxed program can see, write and reach.
mod sandbox;
/// Scans of directories: lists, limits, odd files.
mod scanning;
/// Ending trees, and engines and shims that die.
mod stopping;
/// Trees kept together in every way this machine has.
mod supervising;
/// What the tests have in common.
mod support;
/// Programs in a terminal of their own.
mod terminal;
/// How much room worktrees take, and what of them is nowhere else.
mod tidying;
/// Moving directories to the trash and back.
mod trash;
/// Worktrees on real repositories.
mod worktrees;
