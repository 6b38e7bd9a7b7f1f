//! Understands: robust statistics over what was measured, with the number of samples beside them.
//!
//! Every figure comes from a [`Sample`], which cannot be empty: where there is no data there is no
//! figure. Nothing here knows a clock, a ledger or a rule.
//!
//! Invariant: insight never acts and never writes. It is given numbers and answers with numbers.

pub mod efficiency;
mod estimate;
pub mod history;
pub mod query;
mod sample;
pub mod similar;

pub use crate::estimate::Estimate;
pub use crate::sample::{NotASample, Sample};
