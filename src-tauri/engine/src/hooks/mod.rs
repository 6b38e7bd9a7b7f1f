//! Hooks: made, changed, tried out, and how their runs ended.

mod input;
mod memory;
mod runner;

use std::sync::Arc;
use std::time::Duration;

use model::event::{Event, Fact};
use model::hook::{HOOKS_MAX, Hook, MEMORY_BYTES_DEFAULT, PER_MINUTE_DEFAULT, TIMEOUT_S_DEFAULT};
use model::id::{HookId, SystemDraw};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use store::ledger::EventFilter;

use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::view::{EditHook, HookRun, HookView, Listing, NewHook};
use crate::{Caller, Engine};

pub(crate) use memory::Hooks;

/// The longest somebody waits for a hook that is tried out.
const TRY_MAX: Duration = Duration::from_secs(25);
/// What no hook hears: it is recorded when everything else has ended.
const UNHEARD: &str = "engine_stopped";

impl Engine {
    /// The hooks, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn hooks(&self) -> Result<Listing<HookView>, Refusal> {
        let hooks = self.0.ledger.hooks().await.map_err(unreadable)?;
        let items = hooks.into_iter().map(|hook| self.0.hooks.view(hook)).collect();
        Ok(Listing { items, next: None })
    }

    /// One hook.
    ///
    /// # Errors
    /// When there is no such hook.
    pub async fn hook(&self, id: HookId) -> Result<HookView, Refusal> {
        Ok(self.0.hooks.view(self.kept_hook(id).await?))
    }

    async fn kept_hook(&self, id: HookId) -> Result<Hook, Refusal> {
        let hooks = self.0.ledger.hooks().await.map_err(unreadable)?;
        hooks.into_iter().find(|hook| hook.id == id).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no hook '{id}'"))
                .hint("list the hooks to see their ids")
        })
    }

    /// Makes a hook. It hears what happens from then on.
    ///
    /// # Errors
    /// When its name is taken, there are too many, or something is out of bounds.
    pub async fn add_hook(&self, caller: &Caller, new: NewHook) -> Result<HookView, Refusal> {
        let _alone = self.0.hooks.changing.lock().await;
        let id = HookId::draw(self.0.clock.now(), &mut SystemDraw);
        let hook = Hook {
            id,
            name: new.name.trim().to_owned(),
            command: new.command,
            events: new.events,
            timeout_s: new.timeout_s.unwrap_or(TIMEOUT_S_DEFAULT),
            memory_bytes: new.memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT),
            per_minute: new.per_minute.unwrap_or(PER_MINUTE_DEFAULT),
            enabled: new.enabled.unwrap_or(true),
            off_because: None,
        };
        check(&hook)?;
        check_heard(&hook.events)?;
        if !self.was_answered(caller).await? {
            self.has_room_for(&hook).await?;
        }
        let input = Input::Record(Fact::HookSaved { hook });
        let made = self.tell_creation(caller, input, id.as_uuid()).await?;
        self.hook(HookId::from_uuid(made)).await
    }

    /// Changes a hook. Switched on, it begins anew: its failures are forgotten.
    ///
    /// # Errors
    /// When there is no such hook, or something is out of bounds.
    pub async fn edit_hook(
        &self,
        caller: &Caller,
        id: HookId,
        edit: EditHook,
    ) -> Result<HookView, Refusal> {
        let _alone = self.0.hooks.changing.lock().await;
        let old = self.kept_hook(id).await?;
        let (switched, enabled) = (edit.enabled.is_some(), edit.enabled.unwrap_or(old.enabled));
        if let Some(events) = &edit.events {
            check_heard(events)?;
        }
        let hook = Hook {
            id,
            name: edit.name.map_or_else(|| old.name.clone(), |name| name.trim().to_owned()),
            command: edit.command.unwrap_or_else(|| old.command.clone()),
            events: edit.events.unwrap_or_else(|| old.events.clone()),
            timeout_s: edit.timeout_s.unwrap_or(old.timeout_s),
            memory_bytes: edit.memory_bytes.unwrap_or(old.memory_bytes),
            per_minute: edit.per_minute.unwrap_or(old.per_minute),
            enabled,
            off_because: old.off_because.clone().filter(|_| !enabled),
        };
        check(&hook)?;
        if hook.name.to_lowercase() != old.name.to_lowercase() {
            self.has_room_for(&hook).await?;
        }
        // It may be off in this run of the engine alone, as that could not be recorded.
        if hook != old || switched {
            self.tell(caller, Input::Record(Fact::HookSaved { hook })).await?;
        }
        self.hook(id).await
    }

    /// Removes a hook. A run of it that is under way comes to its end.
    ///
    /// # Errors
    /// When there is no such hook.
    pub async fn remove_hook(&self, caller: &Caller, id: HookId) -> Result<(), Refusal> {
        let _alone = self.0.hooks.changing.lock().await;
        if !self.was_answered(caller).await? {
            self.kept_hook(id).await?;
        }
        let fact = Fact::HookRemoved { hook_id: id };
        self.tell(caller, Input::Record(fact)).await.map(drop)
    }

    /// The last runs of a hook in this run of the engine, the newest first.
    ///
    /// # Errors
    /// When there is no such hook.
    pub async fn hook_runs(&self, id: HookId) -> Result<Listing<HookRun>, Refusal> {
        self.kept_hook(id).await?;
        Ok(Listing { items: self.0.hooks.runs(id), next: None })
    }

    /// Runs a hook now, on the newest event of a kind it listens to, whether it is switched on or not,
    /// for 25 s at most. How it ends counts for nothing. It comes to its end also where nobody waits
    /// for that any more.
    ///
    /// # Errors
    /// When there is no such hook, or another one is being tried out.
    pub async fn try_hook(&self, id: HookId) -> Result<HookRun, Refusal> {
        let hook = self.kept_hook(id).await?;
        let Ok(alone) = Arc::clone(&self.0.hooks.trying).try_lock_owned() else {
            return Err(Refusal::new(Code::Busy, "another hook is being tried out")
                .hint("try again when it has ended, in half a minute at the latest"));
        };
        let engine = self.clone();
        let trial = self.0.tasks.spawn(async move {
            let _alone = alone;
            engine.trial(hook).await
        });
        trial.await.unwrap_or_else(|error| {
            Err(Refusal::new(Code::Internal, format!("the trial broke down: {error}")))
        })
    }

    async fn trial(&self, hook: Hook) -> Result<HookRun, Refusal> {
        let event = self.sample_for(&hook).await?;
        let within = TRY_MAX.min(Duration::from_secs(u64::from(hook.timeout_s)));
        let run = self.run_hook(&hook, &event, within, true).await;
        let run = run.ok_or_else(|| Refusal::new(Code::Busy, "the engine is about to end"))?;
        self.0.hooks.note_try(hook.id, run.clone());
        Ok(run)
    }

    /// The newest event of a kind that a hook listens to, or else the newest of all.
    async fn sample_for(&self, hook: &Hook) -> Result<Event, Refusal> {
        for kinds in [hook.events.clone(), Vec::new()] {
            let filter = EventFilter { kinds, limit: 1, ..EventFilter::default() };
            let page = self.0.ledger.events(filter).await.map_err(unreadable)?;
            if let Some(event) = page.items.into_iter().next() {
                return Ok(event);
            }
        }
        // The start of the engine is an event.
        Err(Refusal::new(Code::Internal, "there is no event to try it on"))
    }

    /// Whether a hook by that name can be there.
    async fn has_room_for(&self, hook: &Hook) -> Result<(), Refusal> {
        let known = self.0.ledger.hooks().await.map_err(unreadable)?;
        let same =
            |it: &&Hook| it.id != hook.id && it.name.to_lowercase() == hook.name.to_lowercase();
        if let Some(taken) = known.iter().find(same) {
            let message = format!("there is a hook '{}' already", taken.name);
            return Err(Refusal::new(Code::Conflict, message).hint("choose another name"));
        }
        if known.len() >= HOOKS_MAX && !known.iter().any(|it| it.id == hook.id) {
            let message = format!("a workspace holds at most {HOOKS_MAX} hooks");
            return Err(Refusal::new(Code::Conflict, message).hint("remove some you do not need"));
        }
        Ok(())
    }
}

fn check(hook: &Hook) -> Result<(), Refusal> {
    hook.check(Fact::kinds()).map_err(|fault| {
        let refusal = invalid(fault.to_string());
        match fault {
            model::hook::HookFault::Kind(_) => refusal.allowed(Fact::kinds().to_vec()),
            _ => refusal,
        }
    })
}

/// Refuses to listen to what is never heard.
fn check_heard(events: &[String]) -> Result<(), Refusal> {
    if !events.iter().any(|kind| kind == UNHEARD) {
        return Ok(());
    }
    Err(invalid(format!("no hook hears '{UNHEARD}': nothing runs any more when it is recorded"))
        .hint("listen to 'engine_started', which says whether the engine ended in order before"))
}
