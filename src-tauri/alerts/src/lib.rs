//! Warns: the conditions of rules and the life of the alerts they raise.
//!
//! A rule's state is a fold over readings, [`Alert::tick`]: the same readings at the same times
//! give the same alerts, so that a recorded incident is a test. Missing data is a reading of its
//! own; it is never taken for a value.
//!
//! Invariant: alerts never measures, never waits and never tells anybody. It is given readings and
//! the time, and answers with states.

mod alert;
mod rule;

pub use crate::alert::{Alert, Phase, RESOLVED_KEPT};
pub use crate::rule::{NoData, Reading, Rule, RuleError, Threshold};
