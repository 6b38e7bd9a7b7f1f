//! Whether things are in order: checks, heartbeats, silence, and how much of the time they were.
//!
//! Everything but [`probe`] and [`Passage`] is a pure function of what is handed in and of the time
//! that is handed in; who looks, and what comes of it, is elsewhere.

mod board;
mod check;
mod deadline;
mod guard;
mod passage;
mod phi;
pub mod probe;
mod spec;
mod uptime;
mod vitals;

pub use board::{BEATS_KEPT, Board};
pub use check::{BadSettings, Change, Check, CheckSettings, Finding, Health, Over, Untold};
pub use deadline::{Deadline, Reports, Standing};
pub use guard::{Excuse, Guard};
pub use passage::{Passage, Passed};
pub use phi::{Phi, PhiSettings};
pub use spec::{Beat, Looking, Moment, Spec, Standing as CheckStanding};
pub use uptime::Uptime;
pub use vitals::{Answer, SUSPECT_PHI, Silence, Vitals};
