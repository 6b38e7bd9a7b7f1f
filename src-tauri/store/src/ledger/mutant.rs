//! Deliberate faults of the writer, for the test that proves that the crash tests can fail.
//!
//! They exist only with the feature `mutants` and do nothing unless the environment asks.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// No fault.
    None,
    /// Changes are acknowledged before they are committed.
    #[cfg(feature = "mutants")]
    AckBeforeCommit,
    /// Events are committed first, the rows they change in a second transaction.
    #[cfg(feature = "mutants")]
    Split,
}

impl Mutant {
    /// What the environment asks for.
    #[cfg(feature = "mutants")]
    pub(crate) fn chosen() -> Self {
        match std::env::var("HIVEKEEPER_LEDGER_MUTANT").as_deref() {
            Ok("ack_before_commit") => Self::AckBeforeCommit,
            Ok("split") => Self::Split,
            _ => Self::None,
        }
    }

    /// No fault.
    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn chosen() -> Self {
        Self::None
    }

    /// Waits as long as a slow disk takes for a commit, so that a kill can fall into the fault.
    pub(crate) async fn linger(self) {
        #[cfg(feature = "mutants")]
        let wait = std::time::Duration::from_millis(2);
        #[cfg(not(feature = "mutants"))]
        let wait = std::time::Duration::ZERO;
        if self != Self::None {
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether changes are acknowledged too early.
    pub(crate) fn acknowledges_early(self) -> bool {
        #[cfg(feature = "mutants")]
        return self == Self::AckBeforeCommit;
        #[cfg(not(feature = "mutants"))]
        false
    }

    /// Whether events and rows part.
    pub(crate) fn splits(self) -> bool {
        #[cfg(feature = "mutants")]
        return self == Self::Split;
        #[cfg(not(feature = "mutants"))]
        false
    }
}
