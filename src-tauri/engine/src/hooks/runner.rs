//! Runs hooks on what happens: one run of each at a time, a few together, each within its limits.
//!
//! A hook hears what happens while the engine runs, once at most. It never delays anything: what is
//! recorded is recorded before it hears of it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agents::errand::{self, Errand, Limit, Ran};
use model::event::{Event, Fact};
use model::hook::{FAILURES_MAX, Hook};
use model::id::HookId;
use orchestrator::{Command, Input};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::input;
use crate::Engine;
use crate::view::{HookLimit, HookRun};

/// Where hooks have their places, in the data directory.
const HOOKS: &str = "hooks";
/// Where a hook's program starts, in the hook's own place.
const WORK: &str = "work";
/// Where the files of a run are, in the hook's own place.
const RUN: &str = "run";
/// The same for one that is tried out.
const TRIAL: &str = "trial";
/// Events read at once to catch up after falling behind.
const CATCH_UP: u32 = 500;

impl Engine {
    /// Follows what happens and runs the hooks that listen to it.
    pub(crate) async fn follow_with_hooks(
        self,
        mut events: broadcast::Receiver<Arc<Event>>,
        mut seen: u64,
    ) {
        self.clear_hooks().await;
        // The start itself was recorded before anybody listened.
        seen = self.catch_up(seen).await;
        let cancel = self.0.cancel.clone();
        loop {
            let heard = tokio::select! {
                () = cancel.cancelled() => return,
                heard = events.recv() => heard,
            };
            match heard {
                Ok(event) if event.seq > seen => {
                    seen = event.seq;
                    self.offer(&event);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => seen = self.catch_up(seen).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn catch_up(&self, mut seen: u64) -> u64 {
        while let Ok(missed) = self.0.ledger.events_after(seen, CATCH_UP).await
            && !missed.is_empty()
        {
            for event in missed {
                seen = event.seq;
                self.offer(&Arc::new(event));
            }
        }
        seen
    }

    fn offer(&self, event: &Arc<Event>) {
        for id in self.0.hooks.take(event) {
            self.0.tasks.spawn(self.clone().work_for(id));
        }
    }

    /// Runs a hook on what waits for it, one after the other.
    async fn work_for(self, id: HookId) {
        while let Some((hook, event)) = self.0.hooks.next(id, Instant::now()) {
            let Ok(_place) = Arc::clone(&self.0.hooks.together).acquire_owned().await else {
                return;
            };
            let correlation_id = event.correlation_id.map(|id| id.to_string());
            let span = tracing::info_span!("hook", hook = hook.name, correlation_id);
            let within = Duration::from_secs(u64::from(hook.timeout_s));
            let work = async {
                let Some(run) = self.run_hook(&hook, &event, within, false).await else {
                    return false;
                };
                let failures = self.0.hooks.note(&hook, run.clone());
                if run.ok {
                    tracing::debug!(ms = run.ms, "a hook ran");
                } else {
                    self.tell_failure(&hook, &event, &run, failures).await;
                }
                true
            };
            if !work.instrument(span).await {
                return;
            }
        }
    }

    /// Runs a hook once; nothing where the engine ends meanwhile.
    pub(super) async fn run_hook(
        &self,
        hook: &Hook,
        event: &Event,
        within: Duration,
        test: bool,
    ) -> Option<HookRun> {
        let at = self.0.clock.now();
        let place = self.hooks_place().join(hook.id.to_string());
        let ran = match private_directory(&place.join(WORK)) {
            Ok(()) => self.errand(hook, event, &place, within, test).await,
            Err(error) => not_run(format!("could not be given a place to work in: {error}")),
        };
        if self.0.cancel.is_cancelled() && ran.code.is_none() {
            return None;
        }
        Some(HookRun {
            at,
            event_seq: event.seq,
            event: event.fact.kind().to_owned(),
            test,
            ok: ran.is_well(),
            code: ran.code,
            how: ran.how,
            ms: ran.ms,
            output: ran.output,
            limit: ran.limit.map(|limit| match limit {
                Limit::Time => HookLimit::Time,
                Limit::Use => HookLimit::Use,
            }),
        })
    }

    async fn errand(
        &self,
        hook: &Hook,
        event: &Event,
        place: &Path,
        within: Duration,
        test: bool,
    ) -> Ran {
        let input = input::of(hook, event);
        let work = place.join(WORK);
        let errand = Errand {
            command: &hook.command,
            env: vec![
                ("HIVEKEEPER_HOOK".to_owned(), hook.name.clone()),
                ("HIVEKEEPER_EVENT".to_owned(), event.fact.kind().to_owned()),
            ],
            directory: &work,
            input: &input,
            within,
            memory_bytes: hook.memory_bytes,
            supervision: agents::supervision::probed().await.in_force,
        };
        let run = place.join(if test { TRIAL } else { RUN });
        match errand::run(&self.0.launcher, &run, &errand, &self.0.cancel).await {
            Ok(ran) => ran,
            Err(error) => not_run(format!("could not be run: failed to {error}")),
        }
    }

    /// Records that a hook failed, and switches it off where it does again and again.
    async fn tell_failure(&self, hook: &Hook, event: &Event, run: &HookRun, failures: u32) {
        tracing::warn!(how = run.how, failures, "a hook failed");
        let fact = Fact::HookFailed {
            hook_id: hook.id,
            name: hook.name.clone(),
            event_seq: event.seq,
            reason: run.how.clone(),
        };
        let mut inputs = vec![Input::Record(fact)];
        if failures < FAILURES_MAX {
            self.record_of_hooks(Input::Several(inputs)).await;
            return;
        }
        let _alone = self.0.hooks.changing.lock().await;
        let kept = self.0.ledger.hooks().await;
        let unread = kept.is_err();
        // One that was changed while it ran stays as it is now; one that is gone stays gone.
        if kept.unwrap_or_default().contains(hook) {
            let because =
                format!("it failed {failures} times in a row; the last time it {}", run.how);
            let hook = Hook { enabled: false, off_because: Some(because), ..hook.clone() };
            inputs.push(Input::Record(Fact::HookSaved { hook }));
        }
        if !self.record_of_hooks(Input::Several(inputs)).await || unread {
            self.0.hooks.stays_on(hook);
        }
    }

    /// Records what became of a hook; false where the ledger does not take it.
    async fn record_of_hooks(&self, input: Input) -> bool {
        let recorded = self.0.orchestrator.tell(Command::own(input)).await;
        if let Err(refusal) = &recorded {
            tracing::warn!(%refusal, "what became of a hook was not recorded");
        }
        recorded.is_ok()
    }

    fn hooks_place(&self) -> PathBuf {
        self.data_dir().join(HOOKS)
    }

    /// Ends what an engine before this one left of its hooks.
    async fn clear_hooks(&self) {
        let entries = std::fs::read_dir(self.hooks_place()).into_iter().flatten().flatten();
        for place in entries.map(|entry| entry.path()) {
            for run in [RUN, TRIAL] {
                if let Err(error) = errand::clear(&self.0.launcher, &place.join(run)).await {
                    tracing::warn!(place = %place.display(), %error, "a hook's last run is not ended");
                }
            }
        }
    }
}

fn not_run(how: String) -> Ran {
    Ran { code: None, limit: None, how, ms: 0, output: String::new(), survivors: 0 }
}

fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
