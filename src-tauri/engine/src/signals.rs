//! Questions about what was measured: expressions, answered from telemetry beside everything else.
//!
//! A question is answered by a thread of its own, as it may be all arithmetic for a second; a few at
//! once, each within a deadline, and given up when nobody waits for it any more.

mod answer;
mod source;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use insight::query::{Across, Ask, Guard, Lookback, Plan, Progress, QueryError, Settings, Stop};
use jiff::Timestamp;
use model::refusal::{Code, Refusal};
use store::telemetry::Telemetry;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::missions::invalid;
use crate::view::Listing;
use answer::Found;
pub use answer::{
    AnswerTier, AnsweredSeries, KnownSeries, LatestSample, QuestionStats, SignalAnswer,
    SignalQuestion, TopBy,
};
use source::TelemetrySource;

/// Questions that are answered at once.
const AT_ONCE: usize = 4;
/// From so many questions on that are being answered, others are refused.
pub(crate) const QUESTIONS_BUSY: usize = AT_ONCE;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// The longest a question may take.
pub const QUESTION_DEADLINE_MAX: Duration = Duration::from_secs(25);
/// How long it may take unless it says otherwise.
pub const QUESTION_DEADLINE: Duration = Duration::from_secs(10);
/// Series of one page.
const SERIES_PER_PAGE: usize = 500;

/// When a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// One moment.
    At(Timestamp),
    /// A stretch of time, in the columns of a chart.
    Across {
        /// Its beginning.
        from: Timestamp,
        /// Its end, included.
        to: Timestamp,
        /// How many columns at most.
        points: u32,
    },
    /// Moments at even steps, as Prometheus answers.
    Steps {
        /// The first.
        from: Timestamp,
        /// The end; no moment is later.
        to: Timestamp,
        /// How far they are apart, in milliseconds.
        step_ms: u64,
    },
}

/// A question about what was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalAsk {
    /// The expression.
    pub expr: String,
    /// When it is about.
    pub when: When,
    /// How long a sample counts as present, in milliseconds; as the series' own intervals say, unless
    /// given.
    pub lookback_ms: Option<u32>,
    /// Only so many series, ranked over the whole range.
    pub top: Option<(u32, TopBy)>,
    /// How long it may take.
    pub deadline: Duration,
}

/// The questions that are being answered.
#[derive(Debug)]
pub(crate) struct Questions {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Running>>,
    turns: Arc<Semaphore>,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            running: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

#[derive(Debug, Clone)]
struct Running {
    expr: String,
    since: Timestamp,
    progress: Arc<Mutex<Progress>>,
    cancel: CancellationToken,
}

impl Questions {
    /// How many questions are being answered or wait.
    pub(crate) fn running_count(&self) -> usize {
        self.running().len()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        // Nothing panics while it is held, and the map is whole after every change.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, running: Running) -> Listed<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.running().insert(id, running);
        Listed { questions: self, id }
    }
}

/// A question is listed for as long as somebody waits for it, and given up when nobody does.
struct Listed<'a> {
    questions: &'a Questions,
    id: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.questions.running().remove(&self.id) {
            running.cancel.cancel();
        }
    }
}

/// Ends an evaluation that nobody waits for, or that takes too long.
struct Watch {
    progress: Arc<Mutex<Progress>>,
    cancel: CancellationToken,
    until: Instant,
    deadline: Duration,
}

impl Guard for Watch {
    fn check(&self, progress: &Progress) -> Result<(), Stop> {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = *progress;
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if Instant::now() >= self.until {
            let deadline_ms = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
            return Err(Stop::Deadline { deadline_ms });
        }
        Ok(())
    }
}

impl Engine {
    /// Answers a question about what was measured.
    ///
    /// # Errors
    /// When the expression is not of the language, with its place; when the answer would be too much;
    /// and when it takes too long.
    pub async fn ask_signals(&self, ask: SignalAsk) -> Result<SignalAnswer, Refusal> {
        let plan = Plan::read(&ask.expr).map_err(|fault| refused(fault.into()))?;
        known(&plan)?;
        let turns = Arc::clone(&self.0.questions.turns);
        let Ok(Ok(turn)) = tokio::time::timeout(TURN, turns.acquire_owned()).await else {
            let message = format!("{AT_ONCE} questions about signals are being answered");
            return Err(Refusal::new(Code::Busy, message).hint("ask again in a moment"));
        };
        let deadline = ask.deadline.clamp(Duration::from_millis(1), QUESTION_DEADLINE_MAX);
        let (progress, cancel) = (Arc::default(), self.0.cancel.child_token());
        let running = Running {
            expr: ask.expr.clone(),
            since: self.0.clock.now(),
            progress: Arc::clone(&progress),
            cancel: cancel.clone(),
        };
        let _listed = self.0.questions.begin(running);
        let begun = Instant::now();
        let watch = Watch { progress, cancel, until: begun + deadline, deadline };
        let (telemetry, asked) = (self.0.telemetry.clone(), ask.clone());
        let handle = Handle::current();
        let evaluate = move || {
            // Who stops waiting gives up the question, not its turn: its thread is busy until it sees.
            let _turn = turn;
            evaluate(&plan, &asked, &telemetry, &handle, &watch)
        };
        let found = tokio::task::spawn_blocking(evaluate).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a question ended early");
            Refusal::new(Code::Internal, "failed to answer the expression: its thread ended")
        })?;
        let found = found.map_err(refused)?;
        let (from, to) = ask.when.ends();
        let marks = self
            .0
            .telemetry
            .marks(from, to)
            .await
            .map_err(|error| refused(QueryError::Source(Box::new(error))))?;
        Ok(found.shown(&ask, marks, begun.elapsed()))
    }

    /// The series a selector finds, sorted, from a place on; what was measured last is with them.
    ///
    /// # Errors
    /// When it is no selector.
    pub fn signal_series(
        &self,
        selector: &str,
        cursor: Option<&str>,
    ) -> Result<Listing<KnownSeries>, Refusal> {
        let plan = Plan::read(selector).map_err(|fault| refused(fault.into()))?;
        let Some(matchers) = plan.selector() else {
            return Err(invalid(format!("'{selector}' is not a selector"))
                .hint("write a name, labels in braces, or both: agent_cpu_percent{agent=\"a1\"}"));
        };
        let first: usize = match cursor {
            None => 0,
            Some(cursor) => cursor
                .parse()
                .map_err(|_| invalid("the cursor is not one of ours").hint("leave it out"))?,
        };
        let selector = source::selector(matchers).map_err(refused)?;
        let mut found = self.0.telemetry.select(&selector);
        found.sort_by(|one, other| one.key.cmp(&other.key));
        let more = found.len() > first.saturating_add(SERIES_PER_PAGE);
        let items = found.into_iter().skip(first).take(SERIES_PER_PAGE).map(KnownSeries::from);
        Ok(Listing {
            items: items.collect(),
            next: more.then(|| (first + SERIES_PER_PAGE).to_string()),
        })
    }

    /// The questions that are being answered, and how far each has come.
    #[must_use]
    pub fn signal_questions(&self) -> Listing<SignalQuestion> {
        let running = self.0.questions.running().clone();
        let items = running.into_iter().map(|(id, running)| {
            let progress = *running.progress.lock().unwrap_or_else(PoisonError::into_inner);
            SignalQuestion {
                id,
                expr: running.expr,
                since: running.since,
                series_found: progress.series_found,
                series_read: progress.series_read,
                samples_read: progress.samples_read,
            }
        });
        Listing { items: items.collect(), next: None }
    }

    /// Gives up a question that is being answered.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn cancel_signal_question(&self, id: u64) -> Result<(), Refusal> {
        let running = self.0.questions.running().get(&id).cloned();
        let Some(running) = running else {
            let message = format!("no question {id} is being answered");
            return Err(Refusal::new(Code::NotFound, message).hint("it may have been answered"));
        };
        running.cancel.cancel();
        Ok(())
    }
}

impl When {
    /// Its beginning and its end.
    fn ends(self) -> (Timestamp, Timestamp) {
        match self {
            Self::At(at) => (at, at),
            Self::Across { from, to, .. } | Self::Steps { from, to, .. } => (from, to),
        }
    }
}

/// Refuses a plain selector of a signal that there is not: it was mistyped.
fn known(plan: &Plan) -> Result<(), Refusal> {
    let (Some(_), [name]) = (plan.selector(), plan.signals()) else { return Ok(()) };
    if unit_of(name).is_some() {
        return Ok(());
    }
    let names = model::signal::CATALOGUE.iter().map(|signal| signal.name.to_owned()).collect();
    let message = format!("there is no signal '{name}'");
    Err(Refusal::new(Code::NotFound, message).hint("GET /api/v1/signals lists them").allowed(names))
}

/// Answers a question; blocks, as it reads and calculates.
fn evaluate(
    plan: &Plan,
    ask: &SignalAsk,
    telemetry: &Telemetry,
    handle: &Handle,
    watch: &Watch,
) -> Result<Found, QueryError> {
    let source = TelemetrySource::new(telemetry, handle, (watch.until, &watch.cancel), plan);
    let lookback = match ask.lookback_ms {
        Some(lookback_ms) => Lookback::Fixed(i64::from(lookback_ms)),
        None => Lookback::Gaps,
    };
    let settings = Settings { lookback, ..Settings::default() };
    let question = Ask { plan, source: &source, settings, guard: watch };
    let mut found = match ask.when {
        When::At(at) => Found::points(question.at(at.as_millisecond())?),
        When::Across { from, to, points } => Found::columns(question.across(Across {
            from_ms: from.as_millisecond(),
            to_ms: to.as_millisecond(),
            columns: usize::try_from(points).unwrap_or(usize::MAX),
        })?),
        When::Steps { from, to, step_ms } => {
            let step_ms = i64::try_from(step_ms).unwrap_or(i64::MAX);
            let (from_ms, to_ms) = (from.as_millisecond(), to.as_millisecond());
            Found::points(question.steps(from_ms, to_ms, step_ms)?)
        }
    };
    found.name_units(&plan.unit(&unit_of), &unit_of);
    for name in plan.signals() {
        match (model::signal::of_series(name), model::signal::by_name(name)) {
            (Some(_), _) => {}
            (None, Some(_)) => found.note(format!(
                "{name} is a histogram: its series are {name}_bucket, {name}_sum and {name}_count"
            )),
            (None, None) => {
                found.note(format!("there is no signal '{name}'; GET /api/v1/signals lists them"));
            }
        }
    }
    Ok(found)
}

/// The unit of a signal, or of the series that hold a part of a histogram.
fn unit_of(name: &str) -> Option<String> {
    let series = model::signal::of_series(name).map(|of| of.unit());
    let unit = series.or_else(|| model::signal::by_name(name).map(|signal| signal.unit));
    unit.map(str::to_owned)
}

/// Why a question is not answered, as others hear it.
fn refused(error: QueryError) -> Refusal {
    match error {
        QueryError::Fault(fault) => {
            let position = u32::try_from(fault.position).unwrap_or(u32::MAX);
            let refusal = invalid(fault.to_string()).at(position);
            match fault.hint {
                Some(hint) => refusal.hint(hint),
                None => refusal,
            }
        }
        QueryError::TooMuch { .. } => invalid(format!("failed to {error}")).hint(
            "ask for a shorter range, fewer points or fewer series: add labels, or aggregate",
        ),
        QueryError::BadRange(_) => invalid(format!("failed to {error}")),
        QueryError::Stopped(Stop::Cancelled) => {
            Refusal::new(Code::Conflict, format!("failed to {error}")).hint("ask again")
        }
        QueryError::Stopped(Stop::Deadline { .. }) => {
            Refusal::new(Code::Busy, format!("failed to {error}"))
                .hint("ask for a shorter range or fewer series, or give it more time")
        }
        QueryError::Source(source) => {
            tracing::error!(
                error = &*source as &dyn std::error::Error,
                "telemetry could not be read"
            );
            Refusal::new(Code::Internal, format!("failed to {source}"))
        }
    }
}
