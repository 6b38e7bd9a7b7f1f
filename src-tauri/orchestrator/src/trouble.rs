//! What went wrong with the ledger, in words for who asked.

use model::refusal::{Code, Refusal};
use store::ledger::{CommitError, ReadError};
use tracing::error;

pub(crate) fn key_reused() -> Refusal {
    Refusal::new(
        Code::IdempotencyMismatch,
        "this idempotency key was used before for another request; nothing was changed",
    )
    .hint("use a new key for a new request")
}

pub(crate) fn unreadable(err: ReadError) -> Refusal {
    error!(error = &err as &dyn std::error::Error, "the ledger could not be read");
    Refusal::new(Code::Internal, format!("the ledger could not be read: {err}"))
        .hint("nothing was changed; see the log in the data directory")
}

pub(crate) fn not_recorded(err: CommitError) -> Refusal {
    match err {
        CommitError::KeyReused => key_reused(),
        CommitError::Busy => Refusal::new(Code::Busy, "the ledger is busy; nothing was changed")
            .hint("try again in a few seconds"),
        // The state is read again before the next try, which then gets an answer that is true.
        CommitError::Conflict { .. } => Refusal::new(
            Code::Busy,
            "it was changed in the meantime; nothing was changed by this request",
        )
        .hint("look again and repeat"),
        full if full.is_disk_full() => {
            error!(error = &full as &dyn std::error::Error, "the disk is full");
            Refusal::new(
                Code::Internal,
                "the disk that holds the data directory is full; whether the change was kept is not certain",
            )
            .hint("free space, look whether it is there, and repeat it if not")
        }
        other => {
            error!(error = &other as &dyn std::error::Error, "a change was not recorded");
            Refusal::new(Code::Internal, format!("the change was not recorded: {other}"))
                .hint("repeat the request with the same idempotency key; see the log in the data directory")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_change_that_met_a_full_disk_says_so_and_what_to_do() {
        let failed = |kind: std::io::ErrorKind| {
            let source = Arc::new(std::io::Error::from(kind));
            not_recorded(CommitError::Storage { operation: "write to the ledger", source })
        };
        let full = failed(std::io::ErrorKind::StorageFull);
        assert!(full.message.contains("data directory is full"), "{full:?}");
        assert!(full.hint.is_some_and(|hint| hint.starts_with("free space")));
        let other = failed(std::io::ErrorKind::PermissionDenied);
        assert!(!other.message.contains("full"), "{other:?}");
    }
}
