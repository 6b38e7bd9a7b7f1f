//! What an agent uses: shown as soon as it is known, and recorded at a slower pace.

use std::ffi::OsString;
use std::time::Duration;

use agents::runtime::session_file::SessionMeter;
use agents::transcript::TranscriptError;
use model::usage::{Usage, UsageSource};
use tokio::time::Instant;
use tracing::warn;

use super::Talk;
use crate::input::Input;

/// How often it is recorded within a turn what was used.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// How often a session's file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The longest time between two looks for a file that is not there.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How often a file is read at once, a few megabytes each time, before something else is done.
const READS_MAX: usize = 64;

/// What is known of what a conversation uses.
#[derive(Debug)]
pub(super) struct Used {
    /// What the agent says, and not recorded yet.
    said: Option<Usage>,
    /// The newest that it said.
    newest: Option<Usage>,
    /// What it writes down, and not recorded yet.
    written: Option<Usage>,
    /// When something was recorded last.
    measured: Instant,
    /// When its session's file is looked at next.
    look_at: Instant,
    /// How long after that it is looked at again.
    pause: Duration,
}

impl Used {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { said: None, newest: None, written: None, measured: now, look_at: now, pause: LOOK }
    }
}

impl Talk<'_> {
    /// The agent says what it used.
    pub(super) async fn used(&mut self, usage: Usage) {
        let usage = self.priced(usage);
        self.floor.board.used(self.id, usage.clone());
        self.used.newest = Some(usage.clone());
        self.used.said = Some(usage);
        self.measure_now_and_then().await;
    }

    /// A session was opened, and nothing was asked in it: what its file holds by now is older.
    pub(super) fn open_session_file(&mut self) {
        let Some(session) = self.memory.session.clone() else {
            return;
        };
        match &mut self.memory.metered {
            Some(meter) => meter.go_on_in(&session),
            none => {
                let preset = self.agent.runtime.preset().unwrap_or_default();
                let ways = self.floor.presets.now().ways(preset);
                let Some(file) = ways.session_file else {
                    return;
                };
                let variables = agents::brief::variables(&self.run);
                *none = SessionMeter::new(&file, &session, |name| {
                    let own = variables.iter().rev().find(|(known, _)| known == name);
                    own.map(|(_, value)| OsString::from(value)).or_else(|| std::env::var_os(name))
                });
            }
        }
        if let Some(meter) = &mut self.memory.metered {
            told(meter.begin());
        }
        self.changed = true;
    }

    /// Looks at the session's file where that is due.
    pub(super) async fn look_at_session(&mut self) {
        if Instant::now() >= self.used.look_at {
            self.read_session();
            self.measure_now_and_then().await;
        }
    }

    /// Reads what the agent has written down by now.
    pub(super) fn read_session(&mut self) {
        let Some(meter) = &mut self.memory.metered else {
            return;
        };
        let before = meter.usage();
        let found = meter.is_found();
        for _ in 0..READS_MAX {
            if !told(meter.read()) {
                break;
            }
        }
        let pause = if found { LOOK } else { (self.used.pause * 2).min(LOOK_MAX) };
        self.used.pause = pause;
        self.used.look_at = Instant::now() + pause;
        let now = meter.usage();
        if now != before {
            self.changed = true;
            self.written(now);
        }
    }

    /// What the agent writes down is another source than what it says; of all but tokens, model and
    /// cost it knows nothing else.
    fn written(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else {
            return;
        };
        let said =
            self.used.newest.clone().unwrap_or_else(|| Usage::none(UsageSource::SessionFile));
        let usage = Usage {
            turns: said.turns,
            tool_calls: said.tool_calls,
            tool_failures: said.tool_failures,
            context: said.context,
            model: usage.model.clone().or(said.model),
            ..usage
        };
        let usage = self.priced(usage);
        self.floor.board.used(self.id, usage.clone());
        self.used.written = Some(usage);
    }

    /// Records what was used where the last time is long ago: a turn may take hours.
    async fn measure_now_and_then(&mut self) {
        if self.used.measured.elapsed() >= MEASURE_EVERY {
            self.measure().await;
        }
    }

    /// Records everything that was used: nothing follows, or not for a while.
    pub(super) async fn measure_all(&mut self) {
        self.read_session();
        self.measure().await;
    }

    /// Records what was used, by our own prices too.
    pub(super) async fn measure(&mut self) {
        let told = [self.used.said.take(), self.used.written.take()];
        for usage in told.into_iter().flatten() {
            self.used.measured = Instant::now();
            self.tell(Input::Measured { id: self.id, usage: Box::new(usage) }).await;
        }
    }

    fn priced(&self, mut usage: Usage) -> Usage {
        let known = usage.model.as_deref();
        let prices = self.floor.prices.now();
        if let Some(cost) = known.and_then(|model| prices.cost(model, &usage.tokens)) {
            usage.own_cost_micros = Some(cost.micros);
            usage.prices_of = Some(cost.prices_of);
        }
        usage
    }
}

/// What was read; where it cannot be read now, it is tried again.
fn told<T: Default>(read: Result<T, TranscriptError>) -> T {
    read.unwrap_or_else(|err| {
        warn!(%err, "the file of a session cannot be read");
        T::default()
    })
}
