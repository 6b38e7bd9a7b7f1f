//! Whether things are in order: checks, heartbeats, silence, and how much of the time they were.
//!
//! Everything here is a pure function of what is handed in and of the time that is handed in; who
//! looks, and what comes of it, is elsewhere.

mod check;
mod deadline;
mod guard;
mod phi;
mod uptime;

pub use check::{BadSettings, Change, Check, CheckSettings, Finding, Health, Over};
pub use deadline::{Deadline, Reports, Standing};
pub use guard::{Excuse, Guard};
pub use phi::{Phi, PhiSettings};
pub use uptime::Uptime;
