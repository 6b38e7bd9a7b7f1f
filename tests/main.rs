//! End to end: the real window and the real programs, one commented module per area.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

/// A workspace of a test's own, programs, repositories, and waiting for what is to come.
mod support;
/// The first flight in the real window: create, assign, watch, judge, export.
mod window;
