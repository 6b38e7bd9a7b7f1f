//! What is known of hooks in this run of the engine: what waits for them, and how they did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::event::{Event, Fact};
use model::hook::{FAILURES_MAX, Hook, RUNS_KEPT};
use model::id::HookId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::view::{HookRun, HookView};

/// Hooks that run at the same time.
const TOGETHER_MAX: usize = 4;
/// Events that wait for one hook; what comes then is passed over, and counted.
const WAITING_MAX: usize = 100;
/// What *per minute* means.
const MINUTE: Duration = Duration::from_secs(60);

/// The hooks, as they are now, and what is known of each.
#[derive(Debug)]
pub(crate) struct Hooks {
    known: Mutex<Known>,
    /// Hooks that may run at the same time.
    pub(super) together: Arc<Semaphore>,
    /// One change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// One trial at a time.
    pub(super) trying: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    hooks: HashMap<HookId, Hook>,
    memories: HashMap<HookId, Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The newest first.
    runs: VecDeque<HookRun>,
    failures: u32,
    /// When the runs of the last minute began.
    begun: VecDeque<Instant>,
    waiting: VecDeque<Arc<Event>>,
    running: bool,
    passed_over: u64,
}

impl Memory {
    fn keep(&mut self, run: HookRun) {
        self.runs.push_front(run);
        self.runs.truncate(RUNS_KEPT);
    }

    /// Whether it may run once more in this minute; if so, that is noted.
    fn may_run(&mut self, per_minute: u32, now: Instant) -> bool {
        while self.begun.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.begun.pop_front();
        }
        let may = self.begun.len() < per_minute as usize;
        if may {
            self.begun.push_back(now);
        }
        may
    }
}

impl Hooks {
    /// The hooks that are there at the start.
    pub(crate) fn new(hooks: Vec<Hook>) -> Self {
        let known = Known {
            hooks: hooks.into_iter().map(|hook| (hook.id, hook)).collect(),
            memories: HashMap::new(),
        };
        Self {
            known: Mutex::new(known),
            together: Arc::new(Semaphore::new(TOGETHER_MAX)),
            changing: tokio::sync::Mutex::default(),
            trying: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in. Gives the hooks for which somebody has to begin to work.
    pub(super) fn take(&self, event: &Arc<Event>) -> Vec<HookId> {
        let mut known = self.known();
        match &event.fact {
            Fact::HookSaved { hook } => {
                let was_on = known.hooks.get(&hook.id).is_some_and(|old| old.enabled);
                if hook.enabled && !was_on {
                    known.memories.entry(hook.id).or_default().failures = 0;
                }
                known.hooks.insert(hook.id, hook.clone());
            }
            Fact::HookRemoved { hook_id } => {
                known.hooks.remove(hook_id);
                known.memories.remove(hook_id);
            }
            _ => {}
        }
        let kind = event.fact.kind();
        // A hook is not told of its own failure: it would fail again.
        let own = match &event.fact {
            Fact::HookFailed { hook_id, .. } => Some(*hook_id),
            _ => None,
        };
        let hears = |hook: &&Hook| {
            hook.enabled && Some(hook.id) != own && hook.events.iter().any(|it| it == kind)
        };
        let ids: Vec<HookId> = known.hooks.values().filter(hears).map(|hook| hook.id).collect();
        let mut begin = Vec::new();
        for id in ids {
            let memory = known.memories.entry(id).or_default();
            if memory.waiting.len() >= WAITING_MAX {
                memory.passed_over += 1;
                continue;
            }
            memory.waiting.push_back(Arc::clone(event));
            if !memory.running {
                memory.running = true;
                begin.push(id);
            }
        }
        begin
    }

    /// What a hook is to run on next; nothing when it has nothing to do, and whoever worked for it is
    /// to stop.
    pub(super) fn next(&self, id: HookId, now: Instant) -> Option<(Hook, Arc<Event>)> {
        let mut known = self.known();
        let hook = known.hooks.get(&id).filter(|hook| hook.enabled).cloned();
        let memory = known.memories.get_mut(&id)?;
        let Some(hook) = hook else {
            memory.waiting.clear();
            memory.running = false;
            return None;
        };
        while let Some(event) = memory.waiting.pop_front() {
            if memory.may_run(hook.per_minute, now) {
                return Some((hook, event));
            }
            memory.passed_over += 1;
        }
        memory.running = false;
        None
    }

    /// Notes how a run ended of a hook as it was then. Gives how often it has failed in a row; never
    /// where it was changed meanwhile: how it did before says nothing of how it does now.
    pub(super) fn note(&self, ran: &Hook, run: HookRun) -> u32 {
        let mut known = self.known();
        let Known { hooks, memories } = &mut *known;
        // One that was removed meanwhile has no memory any more.
        let (Some(hook), Some(memory)) = (hooks.get_mut(&ran.id), memories.get_mut(&ran.id)) else {
            return 0;
        };
        if hook != ran {
            memory.keep(run);
            return 0;
        }
        memory.failures = if run.ok { 0 } else { memory.failures + 1 };
        memory.keep(run);
        if memory.failures >= FAILURES_MAX {
            // At once: that it is off is recorded while the next event may be waiting.
            hook.enabled = false;
        }
        memory.failures
    }

    /// Switches a hook on again where only [`Hooks::note`] has switched it off, as that could not be
    /// recorded. Its failures are kept, so that the next one tries again.
    pub(super) fn stays_on(&self, ran: &Hook) {
        let mut known = self.known();
        if let Some(hook) = known.hooks.get_mut(&ran.id)
            && *hook == (Hook { enabled: false, ..ran.clone() })
        {
            hook.enabled = ran.enabled;
        }
    }

    /// Notes how a trial ended, which counts for nothing.
    pub(super) fn note_try(&self, id: HookId, run: HookRun) {
        self.known().memories.entry(id).or_default().keep(run);
    }

    /// A hook with how it does.
    pub(super) fn view(&self, hook: Hook) -> HookView {
        let known = self.known();
        let none = Memory::default();
        let memory = known.memories.get(&hook.id).unwrap_or(&none);
        HookView {
            running: memory.running,
            waiting: u32::try_from(memory.waiting.len()).unwrap_or(u32::MAX),
            passed_over: memory.passed_over,
            failures: memory.failures,
            last: memory.runs.front().cloned(),
            hook,
        }
    }

    /// The last runs of a hook, the newest first.
    pub(super) fn runs(&self, id: HookId) -> Vec<HookRun> {
        let known = self.known();
        known
            .memories
            .get(&id)
            .map(|memory| memory.runs.iter().cloned().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::event::{Actor, Subject};
    use model::id::EventId;
    use uuid::Uuid;

    use super::*;

    fn hook(n: u128, events: &[&str]) -> Hook {
        Hook {
            id: HookId::from_uuid(Uuid::from_u128(n)),
            name: format!("hook {n}"),
            command: vec!["true".to_owned()],
            events: events.iter().map(|kind| (*kind).to_owned()).collect(),
            timeout_s: 1,
            memory_bytes: model::hook::MEMORY_BYTES_DEFAULT,
            per_minute: 3,
            enabled: true,
            off_because: None,
        }
    }

    fn event(seq: u64, fact: Fact) -> Arc<Event> {
        Arc::new(Event {
            seq,
            id: EventId::from_uuid(Uuid::nil()),
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            mission_seq: None,
            fact,
        })
    }

    #[test]
    fn a_hook_hears_what_it_listens_to_and_is_begun_once() {
        let one = hook(1, &["swarm_resumed"]);
        let hooks = Hooks::new(vec![one.clone(), hook(2, &["engine_stopped"])]);
        assert_eq!(hooks.take(&event(1, Fact::SwarmResumed)), [one.id]);
        assert!(hooks.take(&event(2, Fact::SwarmResumed)).is_empty(), "it works already");
        let now = Instant::now();
        assert_eq!(hooks.next(one.id, now).unwrap().1.seq, 1);
        assert_eq!(hooks.next(one.id, now).unwrap().1.seq, 2);
        assert!(hooks.next(one.id, now).is_none());
        assert_eq!(hooks.take(&event(3, Fact::SwarmResumed)), [one.id], "it begins again");
    }

    #[test]
    fn what_comes_beyond_its_rate_or_its_queue_is_passed_over_and_counted() {
        let one = hook(1, &["swarm_resumed"]);
        let hooks = Hooks::new(vec![one.clone()]);
        for seq in 0..200 {
            hooks.take(&event(seq, Fact::SwarmResumed));
        }
        let now = Instant::now();
        for _ in 0..3 {
            assert!(hooks.next(one.id, now).is_some());
        }
        assert!(hooks.next(one.id, now).is_none(), "three in a minute");
        assert_eq!(hooks.view(one.clone()).passed_over, 197);
        hooks.take(&event(201, Fact::SwarmResumed));
        assert!(hooks.next(one.id, now + MINUTE).is_some(), "a minute later it may run again");
    }

    #[test]
    fn a_hook_that_is_switched_off_or_removed_hears_nothing_and_one_switched_on_begins_anew() {
        let one = hook(1, &["swarm_resumed"]);
        let hooks = Hooks::new(vec![one.clone()]);
        hooks.take(&event(1, Fact::SwarmResumed));
        let off = Hook { enabled: false, ..one.clone() };
        hooks.take(&event(2, Fact::HookSaved { hook: off }));
        assert!(hooks.next(one.id, Instant::now()).is_none(), "what waited is dropped");
        assert!(hooks.take(&event(3, Fact::SwarmResumed)).is_empty());
        hooks.take(&event(4, Fact::HookSaved { hook: one.clone() }));
        assert_eq!(hooks.view(one.clone()).failures, 0);
        assert_eq!(hooks.take(&event(5, Fact::SwarmResumed)), [one.id]);
        hooks.take(&event(6, Fact::HookRemoved { hook_id: one.id }));
        assert!(hooks.next(one.id, Instant::now()).is_none());
        assert!(hooks.take(&event(7, Fact::SwarmResumed)).is_empty());
    }

    fn failed() -> HookRun {
        HookRun {
            at: Timestamp::UNIX_EPOCH,
            event_seq: 1,
            event: "swarm_resumed".to_owned(),
            test: false,
            ok: false,
            code: Some(1),
            how: "ended with exit code 1".to_owned(),
            ms: 1,
            output: String::new(),
            limit: None,
        }
    }

    #[test]
    fn a_hook_whose_end_could_not_be_recorded_stays_on_with_its_failures() {
        let one = hook(1, &["swarm_resumed"]);
        let hooks = Hooks::new(vec![one.clone()]);
        hooks.take(&event(1, Fact::SwarmResumed));
        let counted: Vec<u32> = (0..FAILURES_MAX).map(|_| hooks.note(&one, failed())).collect();
        assert_eq!(counted.last(), Some(&FAILURES_MAX));
        assert!(hooks.next(one.id, Instant::now()).is_none(), "it is off");
        hooks.stays_on(&one);
        assert_eq!(hooks.take(&event(2, Fact::SwarmResumed)), [one.id]);
        assert_eq!(hooks.note(&one, failed()), FAILURES_MAX + 1, "the next failure tries again");
        // Said to be on by the captain, it begins anew, whatever the ledger has.
        hooks.take(&event(3, Fact::HookSaved { hook: one.clone() }));
        assert_eq!(hooks.view(one.clone()).failures, 0);
        assert!(hooks.next(one.id, Instant::now()).is_some(), "it goes on");
    }

    #[test]
    fn a_hook_that_was_repaired_while_it_ran_is_not_switched_off_for_how_it_was() {
        let one = hook(1, &["swarm_resumed"]);
        let hooks = Hooks::new(vec![one.clone()]);
        hooks.take(&event(1, Fact::SwarmResumed));
        for _ in 1..FAILURES_MAX {
            hooks.note(&one, failed());
        }
        let mended = Hook { command: vec!["better".to_owned()], ..one.clone() };
        hooks.take(&event(2, Fact::HookSaved { hook: mended.clone() }));
        assert_eq!(hooks.note(&one, failed()), 0);
        hooks.stays_on(&one);
        hooks.take(&event(3, Fact::SwarmResumed));
        assert_eq!(hooks.next(one.id, Instant::now()).unwrap().0, mended);
    }

    #[test]
    fn a_hook_is_not_told_of_its_own_failure() {
        let (one, two) = (hook(1, &["hook_failed"]), hook(2, &["hook_failed"]));
        let hooks = Hooks::new(vec![one.clone(), two.clone()]);
        let fact = Fact::HookFailed {
            hook_id: one.id,
            name: one.name,
            event_seq: 1,
            reason: "it ended".to_owned(),
        };
        assert_eq!(hooks.take(&event(1, fact)), [two.id]);
    }
}
