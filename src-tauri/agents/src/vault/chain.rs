//! The keychain, which may hang for as long as it waits to be unlocked: one thread asks it, one wish
//! after the other, and nothing else ever waits inside it.
//!
//! The thread belongs to its [`Chain`], which begins it when it is first needed and ends it when it is
//! dropped. It is no task, as no token reaches a call that hangs, and such a call would keep one of
//! the few threads that everything else needs: one that hangs then is left to the end of the process,
//! so that nothing waits for it.

use std::mem::ManuallyDrop;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keyring_core::CredentialStore;
use tokio::sync::oneshot;

/// Wishes that wait for the keychain; who comes then is told that it does not answer.
const WAITING_MAX: usize = 64;

/// There is no keychain, for this reason.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoKeychain(pub(super) String);

/// The keychain, or why there is none.
pub(super) type Found = Result<Arc<CredentialStore>, NoKeychain>;

/// Looks for the keychain; it may hang as well.
pub(super) type Find = Arc<dyn Fn() -> Found + Send + Sync>;

/// A wish with everything it needs, and until when somebody waits for it.
type Wish = (Box<dyn FnOnce() + Send>, Instant);

/// The keychain gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It was not asked, and will not be.
    NotAsked,
    /// It was asked, and may still do what it was asked for.
    Begun,
    /// What asks it broke down.
    Broken,
}

/// How long the keychain may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// To be found.
    pub(super) find: Duration,
    /// To answer; it may have to ask its owner.
    pub(super) answer: Duration,
}

/// The keychain of this machine, found when it is first asked.
pub(super) struct Chain {
    find: Find,
    /// What is certain; that it did not answer is not.
    found: Arc<OnceLock<Found>>,
    patience: Patience,
    thread: Mutex<Option<Asking>>,
}

impl Chain {
    /// A keychain that is looked for like this.
    pub(super) fn new(find: Find, patience: Patience) -> Self {
        Self { find, found: Arc::default(), patience, thread: Mutex::default() }
    }

    /// The keychain, or why there is none now.
    pub(super) async fn found(&self) -> Found {
        if let Some(found) = self.found.get() {
            return found.clone();
        }
        let (found, find) = (Arc::clone(&self.found), Arc::clone(&self.find));
        let look = move || found.get_or_init(&*find).clone();
        let silent = || NoKeychain("it does not answer; it may wait to be unlocked".to_owned());
        self.within(self.patience.find, look).await.unwrap_or_else(|_| Err(silent()))
    }

    /// Has a wish fulfilled when its turn comes. Who stops waiting before withdraws it.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        wish: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.within(self.patience.answer, wish).await
    }

    async fn within<T: Send + 'static>(
        &self,
        within: Duration,
        wish: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let asker = Asker::default();
        let taken = Arc::clone(&asker.0);
        let wish = move || {
            if !taken.swap(true, Ordering::AcqRel) {
                // Whoever asked may have gone meanwhile.
                drop(answer.send(wish()));
            }
        };
        self.hand_over((Box::new(wish), Instant::now() + within))?;
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Broken),
            Err(_) if asker.withdraws() => Err(Unanswered::NotAsked),
            Err(_) => Err(Unanswered::Begun),
        }
    }

    fn hand_over(&self, wish: Wish) -> Result<(), Unanswered> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let asking = match &mut *thread {
            Some(asking) => asking,
            none => none.insert(Asking::begin().map_err(|error| {
                tracing::warn!(%error, "there is no thread that asks the keychain");
                Unanswered::NotAsked
            })?),
        };
        asking.take(wish)
    }
}

impl Drop for Chain {
    /// The keychain's library ends what it runs when it is let go of, and breaks down where that is
    /// done by a thread that must not wait: its own thread lets go of it.
    fn drop(&mut self) {
        let found = std::mem::take(&mut self.found);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(asking) = thread else {
            return;
        };
        // Where its thread hangs to the end of the process, it is there as long.
        let found = ManuallyDrop::new(found);
        let wish = move || drop(ManuallyDrop::into_inner(found));
        let until = Instant::now() + self.patience.answer;
        if asking.take((Box::new(wish), until)).is_err() {
            tracing::debug!("the keychain is not let go of: it hangs");
        }
    }
}

/// Decides, with the thread, whether a wish is fulfilled or withdrawn: whoever says so first.
#[derive(Default)]
struct Asker(Arc<AtomicBool>);

impl Asker {
    /// Withdraws the wish; false where it was begun before.
    fn withdraws(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.withdraws();
    }
}

/// The thread that asks the keychain.
struct Asking {
    /// Nothing once it is to end.
    queue: Option<SyncSender<Wish>>,
    busy: Busy,
    thread: Option<JoinHandle<()>>,
}

/// Until when somebody waits for the wish that is being fulfilled; nothing where there is none.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Option<Instant>>>);

impl Busy {
    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    fn begin() -> std::io::Result<Self> {
        let (queue, wishes) = sync_channel(WAITING_MAX);
        let busy = Busy::default();
        let noted = busy.clone();
        let thread = std::thread::Builder::new().name("keychain".to_owned());
        let thread = thread.spawn(move || fulfil(&wishes, &noted))?;
        Ok(Self { queue: Some(queue), busy, thread: Some(thread) })
    }

    fn take(&self, wish: Wish) -> Result<(), Unanswered> {
        let hangs = self.busy.until().is_some_and(|until| Instant::now() >= until);
        let queue = self.queue.as_ref().filter(|_| !hangs).ok_or(Unanswered::NotAsked)?;
        queue.try_send(wish).map_err(|_| Unanswered::NotAsked)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.queue = None;
        let hangs = self.busy.until().is_some();
        // Without a queue it ends at once, as those who asked have all withdrawn.
        if let Some(thread) = self.thread.take().filter(|_| !hangs)
            && thread.join().is_err()
        {
            tracing::warn!("what asks the keychain broke down");
        }
    }
}

fn fulfil(wishes: &Receiver<Wish>, busy: &Busy) {
    while let Ok((wish, until)) = wishes.recv() {
        *busy.until() = Some(until);
        // What a keychain's library breaks down on is this wish's alone.
        let done = std::panic::catch_unwind(AssertUnwindSafe(wish));
        *busy.until() = None;
        if done.is_err() {
            tracing::warn!("the keychain's library broke down");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    fn chain(answer: Duration) -> Chain {
        let find: Find = Arc::new(|| Err(NoKeychain("a test has none".to_owned())));
        Chain::new(find, Patience { find: SOON, answer })
    }

    #[tokio::test]
    async fn a_wish_that_hangs_is_uncertain_those_behind_it_are_withdrawn_and_never_fulfilled() {
        let chain = chain(SOON);
        let (go_on, held) = sync_channel::<()>(1);
        let written = Arc::new(AtomicUsize::new(0));
        let count = || {
            let written = Arc::clone(&written);
            move || written.fetch_add(1, Ordering::SeqCst)
        };
        let hangs = chain.ask(move || held.recv().is_ok());
        // Its turn never comes within its time.
        let behind = chain.ask(count());
        let (first, second) = tokio::join!(hangs, behind);
        assert_eq!(first, Err(Unanswered::Begun));
        assert_eq!(second, Err(Unanswered::NotAsked));
        assert_eq!(chain.ask(count()).await, Err(Unanswered::NotAsked));
        go_on.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let answer = loop {
            match chain.ask(count()).await {
                Ok(before) => break before,
                Err(_) => assert!(Instant::now() < deadline),
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(answer, 0, "what was withdrawn is never written");
    }

    #[tokio::test]
    async fn while_a_keychain_hangs_everybody_is_told_at_once_and_no_end_waits_for_it() {
        let (go_on, held) = sync_channel::<()>(1);
        let held = Mutex::new(held);
        let find: Find = Arc::new(move || {
            let _ = held.lock().unwrap().recv();
            Err(NoKeychain("a test has none".to_owned()))
        });
        let long = Duration::from_secs(600);
        let chain = Chain::new(find, Patience { find: SOON, answer: long });
        let NoKeychain(why) = chain.found().await.err().unwrap();
        assert!(why.contains("does not answer"), "{why}");
        let begun = Instant::now();
        assert_eq!(chain.ask(|| ()).await, Err(Unanswered::NotAsked));
        drop(chain);
        assert!(begun.elapsed() < long / 10);
        drop(go_on);
    }

    #[tokio::test]
    async fn that_a_keychain_did_not_answer_is_not_taken_for_its_absence() {
        let (go_on, held) = sync_channel::<()>(1);
        let held = Mutex::new(held);
        let store = keyring_core::mock::Store::new().unwrap();
        let find: Find = Arc::new(move || {
            let _ = held.lock().unwrap().recv();
            Ok(Arc::clone(&store) as Arc<CredentialStore>)
        });
        let chain = Chain::new(find, Patience { find: SOON, answer: SOON });
        assert!(chain.found().await.is_err());
        go_on.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while chain.found().await.is_err() {
            assert!(Instant::now() < deadline, "it is asked again");
            tokio::task::yield_now().await;
        }
    }

    /// A keychain that must not be let go of by a thread of the runtime.
    struct Particular(Arc<keyring_core::mock::Store>);

    impl keyring_core::api::CredentialStoreApi for Particular {
        fn vendor(&self) -> String {
            self.0.vendor()
        }

        fn id(&self) -> String {
            self.0.id()
        }

        fn build(
            &self,
            service: &str,
            user: &str,
            modifiers: Option<&std::collections::HashMap<&str, &str>>,
        ) -> keyring_core::Result<keyring_core::Entry> {
            self.0.build(service, user, modifiers)
        }

        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    impl Drop for Particular {
        fn drop(&mut self) {
            assert!(tokio::runtime::Handle::try_current().is_err(), "dropped within a runtime");
        }
    }

    #[tokio::test]
    async fn its_own_thread_lets_go_of_the_keychain() {
        let store: Arc<CredentialStore> =
            Arc::new(Particular(keyring_core::mock::Store::new().unwrap()));
        let found = Mutex::new(Some(store));
        let find: Find = Arc::new(move || Ok(found.lock().unwrap().take().unwrap()));
        let chain = Chain::new(find, Patience { find: SOON, answer: SOON });
        assert!(chain.found().await.is_ok());
        drop(chain);
    }

    #[tokio::test]
    async fn a_breakdown_is_of_one_wish_and_the_next_is_answered() {
        let chain = chain(Duration::from_secs(60));
        let broken = chain.ask(|| assert!(std::hint::black_box(false), "a test's breakdown")).await;
        assert_eq!(broken, Err(Unanswered::Broken));
        assert_eq!(chain.ask(|| 7).await, Ok(7));
    }
}
