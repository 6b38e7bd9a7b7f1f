//! Requests that come twice under one idempotency key, where the ledger keeps no answer for them.
//!
//! What is recorded is answered from the ledger, across restarts. What is not - something typed, a
//! preview, a link - is answered from here, for as long as this engine runs.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::Caller;
use model::refusal::{Code, Refusal};
use tokio::time::Instant;

use crate::problem::Problem;

/// How many keys are remembered; the oldest goes first.
const KEYS_MAX: usize = 256;
/// How long a key is remembered.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer, once it is there. Whoever comes with the same key meanwhile waits for it.
type Answer = Arc<tokio::sync::Mutex<Option<Box<dyn Any + Send>>>>;

/// Answers by key.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<String, Request>,
    /// Keys with the time they came, the oldest first.
    came: VecDeque<(Instant, String)>,
}

struct Request {
    fingerprint: [u8; 32],
    answer: Answer,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    /// Does something once for each key: the same request again gets the same answer. What was
    /// refused is tried again.
    pub(crate) async fn once<T, E>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem>
    where
        T: Clone + Send + 'static,
        E: Into<Problem>,
    {
        let Some(key) = &caller.key else {
            return work.await.map_err(Into::into);
        };
        // Nobody is answered what another was told.
        let key = format!("{:?} {key}", caller.actor);
        let answer = self.of(key, caller.fingerprint)?;
        let mut answer = answer.lock().await;
        if let Some(known) = answer.as_ref().and_then(|known| known.downcast_ref::<T>()) {
            return Ok(known.clone());
        }
        let done = work.await.map_err(Into::into)?;
        *answer = Some(Box::new(done.clone()));
        Ok(done)
    }

    fn of(&self, key: String, fingerprint: [u8; 32]) -> Result<Answer, Problem> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((came, oldest)) = kept.came.front().cloned()
            && (kept.came.len() >= KEYS_MAX || now.duration_since(came) > KEPT)
        {
            kept.came.pop_front();
            kept.by_key.remove(&oldest);
        }
        if let Some(known) = kept.by_key.get(&key) {
            if known.fingerprint == fingerprint {
                return Ok(Arc::clone(&known.answer));
            }
            return Err(Refusal::new(
                Code::IdempotencyMismatch,
                "this idempotency key was used before for another request; nothing was changed",
            )
            .hint("use a new key for a new request")
            .into());
        }
        let answer = Answer::default();
        let request = Request { fingerprint, answer: Arc::clone(&answer) };
        kept.by_key.insert(key.clone(), request);
        kept.came.push_back((now, key));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use model::event::Actor;
    use model::id::{CorrelationId, SystemDraw};

    use super::*;

    fn caller(key: Option<&str>, what: u8) -> Caller {
        Caller {
            actor: Actor::Captain,
            correlation_id: CorrelationId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw),
            key: key.map(str::to_owned),
            fingerprint: [what; 32],
        }
    }

    struct Counted(AtomicU32);

    impl Counted {
        async fn next(&self) -> Result<u32, Problem> {
            tokio::task::yield_now().await;
            Ok(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    #[tokio::test]
    async fn the_same_request_under_one_key_is_done_once_and_another_is_refused() {
        let (answers, counted) = (Answers::default(), Counted(AtomicU32::new(0)));
        let ask = async |key, what| answers.once(&caller(key, what), counted.next()).await;
        assert_eq!(ask(Some("a"), 1).await.unwrap(), 0);
        assert_eq!(ask(Some("a"), 1).await.unwrap(), 0);
        assert_eq!(ask(None, 1).await.unwrap(), 1);
        assert_eq!(ask(Some("a"), 2).await.unwrap_err().code, Code::IdempotencyMismatch);
        let (one, other) = tokio::join!(ask(Some("b"), 1), ask(Some("b"), 1));
        assert_eq!((one.unwrap(), other.unwrap()), (2, 2), "at the same time");
    }

    #[tokio::test]
    async fn what_was_refused_is_tried_again_and_old_keys_are_forgotten() {
        let answers = Answers::default();
        let refused = async { Err::<u32, _>(Problem::busy("not now")) };
        assert_eq!(answers.once(&caller(Some("a"), 1), refused).await.unwrap_err().status, 429);
        let done = async { Ok::<u32, Problem>(7) };
        assert_eq!(answers.once(&caller(Some("a"), 1), done).await.unwrap(), 7);
        for n in 0..2 * KEYS_MAX {
            let done = async { Ok::<u32, Problem>(0) };
            answers.once(&caller(Some(&n.to_string()), 1), done).await.unwrap();
        }
        assert!(answers.0.lock().unwrap().by_key.len() <= KEYS_MAX);
    }
}
