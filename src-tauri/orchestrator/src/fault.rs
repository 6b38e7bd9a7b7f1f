//! Deliberate faults, so that the simulation can show that it finds them. Only tests switch them on;
//! without the feature `faults` there are none.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An attempt whose mission is done keeps the lease.
    LostLeaseRelease,
    /// A mission is done whatever its gates found.
    DoneWithoutEvidence,
    /// A mission is leased twice.
    DoubleAssignment,
}

#[cfg(feature = "faults")]
mod switched {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static ON: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Switches one fault on in this thread, or all off.
    pub fn switch(fault: Option<Fault>) {
        ON.with(|on| on.set(fault));
    }

    pub(crate) fn is_on(fault: Fault) -> bool {
        ON.with(|on| on.get() == Some(fault))
    }
}

#[cfg(feature = "faults")]
pub(crate) use switched::is_on;
#[cfg(feature = "faults")]
pub use switched::switch;

#[cfg(not(feature = "faults"))]
pub(crate) const fn is_on(_fault: Fault) -> bool {
    false
}
