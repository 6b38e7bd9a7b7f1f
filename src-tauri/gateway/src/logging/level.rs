//! How much is logged: said at the start, and changed while the engine runs, for a time or until it ends.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use engine::Engine;
use jiff::{SignedDuration, Timestamp};
use model::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::reload::{Handle, Layer};
use utoipa::ToSchema;

/// How much is logged where nobody says otherwise.
const USUAL: &str = "info";
/// The longest filter, in characters.
const FILTER_CHARS_MAX: usize = 1_000;
/// The longest time another filter may hold, in seconds: a day.
const FOR_S_MAX: u32 = 86_400;

/// How much is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LevelView {
    /// In the notation of `EnvFilter`.
    #[schema(example = "info,orchestrator=debug")]
    pub(crate) filter: String,
    /// What holds where nobody says otherwise.
    #[schema(example = "info")]
    pub(crate) usual: String,
    /// When it becomes what is usual again; nothing when it stays until the engine ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) until: Option<Timestamp>,
}

/// How much is to be logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLevel {
    /// `error`, `warn`, `info`, `debug` or `trace`, or one of them for a part of the engine, such as
    /// `info,orchestrator=debug`.
    #[schema(example = "debug")]
    pub(crate) filter: String,
    /// For how long, in seconds, up to a day; until the engine ends where nothing is said.
    #[serde(default)]
    pub(crate) for_seconds: Option<u32>,
}

/// How much is logged could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LevelError {
    /// This process writes no log.
    #[error("this engine writes no log of its own")]
    NoLog,
    /// The filter is too long, or none.
    #[error("'{0}' says nothing that can be logged: {1}")]
    Filter(String, String),
    /// The time is out of range.
    #[error("a filter holds for 1 to {FOR_S_MAX} s, not {0}")]
    Time(u32),
}

struct Control {
    handle: Handle<EnvFilter, Registry>,
    usual: String,
    now: Mutex<Now>,
}

#[derive(Debug, Clone)]
struct Now {
    filter: String,
    until: Option<Timestamp>,
    /// Counts the changes, so that an old one does not end a newer one.
    turn: u64,
}

static CONTROL: OnceLock<Control> = OnceLock::new();

/// The filter at the start; what cannot be read of it is left out.
pub(super) fn begin(wanted: &str) -> Layer<EnvFilter, Registry> {
    let usual = if wanted.trim().is_empty() { USUAL } else { wanted.trim() };
    // `EnvFilter` panics on some letters outside of ASCII, even where it is to be lossy.
    let usual = if usual.is_ascii() { usual } else { USUAL };
    let (layer, handle) = Layer::new(EnvFilter::builder().parse_lossy(usual));
    let now = Now { filter: usual.to_owned(), until: None, turn: 0 };
    // Only a second call could find it set, and there is none.
    let _ = CONTROL.set(Control { handle, usual: usual.to_owned(), now: Mutex::new(now) });
    layer
}

impl Control {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, filter: &str) -> Result<(), LevelError> {
        let wrong = |why: String| LevelError::Filter(filter.to_owned(), why);
        let read = read(filter).map_err(|error| wrong(error.to_string()))?;
        self.handle.reload(read).map_err(|error| wrong(error.to_string()))
    }

    fn view(&self) -> LevelView {
        let now = self.now();
        LevelView { filter: now.filter.clone(), usual: self.usual.clone(), until: now.until }
    }
}

fn read(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(filter)
}

/// How much is logged.
pub(crate) fn level() -> Result<LevelView, LevelError> {
    CONTROL.get().map(Control::view).ok_or(LevelError::NoLog)
}

/// Changes how much is logged.
pub(crate) fn set_level(engine: &Engine, new: NewLevel) -> Result<LevelView, LevelError> {
    check(&new)?;
    let control = CONTROL.get().ok_or(LevelError::NoLog)?;
    control.apply(&new.filter)?;
    let turn = {
        let mut now = control.now();
        let in_s = |s: u32| SystemClock.now() + SignedDuration::from_secs(i64::from(s));
        *now = Now { filter: new.filter, until: new.for_seconds.map(in_s), turn: now.turn + 1 };
        now.turn
    };
    if let Some(seconds) = new.for_seconds {
        let wait = Duration::from_secs(u64::from(seconds));
        engine.later(wait, move || go_back(control, turn));
    }
    tracing::warn!(filter = control.view().filter, "how much is logged was changed");
    Ok(control.view())
}

fn check(new: &NewLevel) -> Result<(), LevelError> {
    let filter = &new.filter;
    if filter.trim().is_empty() || filter.chars().count() > FILTER_CHARS_MAX {
        let why = format!("write 1 to {FILTER_CHARS_MAX} characters");
        return Err(LevelError::Filter(filter.chars().take(40).collect(), why));
    }
    if !filter.is_ascii() {
        // Nothing of ours is named so, and `EnvFilter` panics on some of it.
        return Err(LevelError::Filter(filter.clone(), "write plain ASCII letters".to_owned()));
    }
    read(filter).map_err(|error| LevelError::Filter(filter.clone(), error.to_string()))?;
    match new.for_seconds {
        Some(seconds) if !(1..=FOR_S_MAX).contains(&seconds) => Err(LevelError::Time(seconds)),
        _ => Ok(()),
    }
}

/// Makes the filter what is usual, unless it was changed again.
fn go_back(control: &Control, turn: u64) {
    if control.now().turn != turn {
        return;
    }
    match control.apply(&control.usual) {
        Ok(()) => {
            *control.now() = Now { filter: control.usual.clone(), until: None, turn };
            tracing::info!("as much is logged as usual again");
        }
        Err(error) => tracing::warn!(%error, "how much is logged could not be changed back"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_is_a_level_with_parts_of_the_engine_and_holds_for_a_day_at_most() {
        let check = |filter: &str, for_seconds: Option<u32>| {
            check(&NewLevel { filter: filter.to_owned(), for_seconds })
        };
        assert!(check("debug", None).is_ok());
        assert!(check("info,orchestrator=debug,engine::hooks=trace", Some(60)).is_ok());
        assert!(matches!(check("", None), Err(LevelError::Filter(..))));
        assert!(matches!(check("a=b=c", None), Err(LevelError::Filter(..))));
        assert!(matches!(check("info,ß[x]=debug", None), Err(LevelError::Filter(..))));
        assert!(matches!(check(&"x".repeat(1_001), None), Err(LevelError::Filter(..))));
        assert!(matches!(check("debug", Some(0)), Err(LevelError::Time(0))));
        assert!(matches!(check("debug", Some(86_401)), Err(LevelError::Time(_))));
    }

    proptest! {
        #[test]
        fn no_filter_panics(filter: String) {
            let _ = check(&NewLevel { filter, for_seconds: None });
        }

        #[test]
        fn no_filter_made_of_its_signs_panics(filter in "[ a-c0-9_:,=.*{}\\[\\]\"\\\\/()+éß𝔘-]{0,30}") {
            let _ = check(&NewLevel { filter, for_seconds: None });
        }
    }
}
