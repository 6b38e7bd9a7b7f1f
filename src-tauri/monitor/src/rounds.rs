//! The measuring task: when to measure, what happened meanwhile, and where it goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId, MissionId};
use model::inbox::Request;
use model::signal::{Mark, MarkKind};
use store::Ledger;
use store::telemetry::{Recorded, Telemetry};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::clocks::{Clocks, Jump};
use crate::collect::{Collector, Measured};
use crate::flow::Flow;
use crate::ids::{Grid, Ids};
use crate::interest::Interest;
use crate::lag::Lag;
use crate::pace::Pace;
use crate::roster::{Roster, Watched};
use crate::samples::Samples;
use crate::snapshot::{CloseUp, Snapshot};
use crate::totals::{AgentTotals, Totals};
use crate::used::{Used, WorkTotals};
use crate::{Monitor, MonitorContext, MonitorError, Sources};

/// The shortest time between two measurements; below it processor figures mean nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Time between two looks at what is on a screen.
const CLOSE_EVERY: Duration = Duration::from_millis(250);
/// On battery this many times as long passes between two measurements.
const ON_BATTERY: u32 = 2;
/// How often it is tried to read what agents used while nothing happens.
const READS_MAX: u32 = 3;

pub(crate) async fn start(
    ctx: MonitorContext,
    tasks: &TaskTracker,
    cancel: CancellationToken,
) -> Result<Monitor, MonitorError> {
    let events = ctx.ledger.subscribe();
    let counted =
        Counted::read(&ctx.telemetry).await.map_err(|source| MonitorError::Counters { source })?;
    let told = Told::read(&ctx.ledger, &counted.work)
        .await
        .map_err(|source| MonitorError::Attempts { source })?;
    let collector = Collector::open(&ctx.data_dir, &ctx.runs, Totals::resumed(counted.processes))
        .map_err(|source| MonitorError::Open { source })?;
    let began = Instant::now();
    let (snapshots, seen) = watch::channel(Arc::default());
    let (close_ups, close_seen) = watch::channel(Arc::default());
    let mut rounds = Rounds {
        pace: Pace::new(began, ctx.interval.max(INTERVAL_MIN)),
        clocks: Clocks::read(ctx.clock.now(), began.into_std()),
        began: began.into_std(),
        ctx,
        told,
        snapshots,
        close_ups,
        interest: Interest::default(),
        sources: Sources::default(),
        lag: Lag::default(),
        ids: Ids::default(),
        grid: Grid::default(),
    };
    let (collector, measured) = measure(collector, rounds.told.roster.watched())
        .await
        .map_err(|source| MonitorError::First { source })?;
    let measured = measured.map_err(|source| MonitorError::Open { source })?;
    rounds.take(measured).await;
    let monitor = Monitor {
        snapshots: seen,
        close_ups: close_seen,
        interest: rounds.interest.clone(),
        sources: rounds.sources.clone(),
    };
    tasks.spawn(rounds.lag.clone().watch(cancel.clone()));
    tasks.spawn(rounds.run(collector, events, cancel));
    Ok(monitor)
}

/// What the counters of agents stood at when the engine ran last.
#[derive(Debug, Default)]
struct Counted {
    processes: HashMap<AgentId, AgentTotals>,
    /// Only what the ledger does not add up.
    work: HashMap<AgentId, WorkTotals>,
}

impl Counted {
    async fn read(telemetry: &Telemetry) -> Result<Self, store::telemetry::ReadError> {
        let mut found = Self::default();
        for (agent, cpu) in last_of(telemetry, "agent_cpu_seconds_total", 1_000.0).await? {
            found.processes.entry(agent).or_default().cpu_ms = cpu;
        }
        for (agent, bytes) in last_of(telemetry, "agent_disk_read_bytes_total", 1.0).await? {
            found.processes.entry(agent).or_default().read_bytes = Some(bytes);
        }
        for (agent, bytes) in last_of(telemetry, "agent_disk_written_bytes_total", 1.0).await? {
            found.processes.entry(agent).or_default().written_bytes = Some(bytes);
        }
        for (agent, bytes) in last_of(telemetry, "agent_output_bytes_total", 1.0).await? {
            found.processes.entry(agent).or_default().output_bytes = bytes;
        }
        for (agent, turns) in last_of(telemetry, "agent_turns_total", 1.0).await? {
            found.work.entry(agent).or_default().turns = turns;
        }
        for (agent, ms) in last_of(telemetry, "agent_model_seconds_total", 1_000.0).await? {
            found.work.entry(agent).or_default().model_ms = Some(ms);
        }
        Ok(found)
    }
}

/// The last value of each agent's series, as a whole number of the unit's `parts`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter is not negative, and a cast of what is too large gives the largest"
)]
async fn last_of(
    telemetry: &Telemetry,
    name: &str,
    parts: f64,
) -> Result<Vec<(AgentId, u64)>, store::telemetry::ReadError> {
    let found = telemetry.latest(name, &BTreeMap::new()).await?;
    let value = |value: f64| (value.max(0.0) * parts).round() as u64;
    let of = |(key, _, last): (model::signal::SeriesKey, _, f64)| {
        Some((key.labels.get("agent")?.parse().ok()?, value(last)))
    };
    Ok(found.into_iter().filter_map(of).collect())
}

/// What the ledger tells: which attempts run, what was used, how missions flow.
#[derive(Debug)]
struct Told {
    roster: Roster,
    used: Used,
    flow: Flow,
}

impl Told {
    async fn read(
        ledger: &Ledger,
        work: &HashMap<AgentId, WorkTotals>,
    ) -> Result<Self, store::ReadError> {
        let (roster, used) = read_used(ledger, work).await?;
        Ok(Self { roster, used, flow: Flow::new(waiting(ledger).await?) })
    }

    /// Reads again what was missed.
    async fn read_again(&mut self, ledger: &Ledger) -> Result<(), store::ReadError> {
        let (roster, used) = read_used(ledger, self.used.totals()).await?;
        self.flow.resume(waiting(ledger).await?);
        (self.roster, self.used) = (roster, used);
        Ok(())
    }
}

async fn waiting(ledger: &Ledger) -> Result<Vec<Request>, store::ReadError> {
    ledger.open_requests().await
}

/// The attempts whose programs should be running, what they have used so far, and what agents have
/// used in all. Both must be of one moment, or something would count twice.
async fn read_used(
    ledger: &Ledger,
    work: &HashMap<AgentId, WorkTotals>,
) -> Result<(Roster, Used), store::ReadError> {
    let mut tries = 0;
    loop {
        let head = ledger.status().head_seq;
        let found = read_used_once(ledger, work).await?;
        tries += 1;
        if ledger.status().head_seq == head || tries == READS_MAX {
            return Ok(found);
        }
    }
}

async fn read_used_once(
    ledger: &Ledger,
    work: &HashMap<AgentId, WorkTotals>,
) -> Result<(Roster, Used), store::ReadError> {
    let attempts = ledger.unfinished_attempts().await?;
    let missions: HashMap<AttemptId, MissionId> =
        attempts.iter().map(|attempt| (attempt.id, attempt.mission_id)).collect();
    let roster = Roster::from_attempts(attempts);
    let mut totals: HashMap<AgentId, WorkTotals> = work.clone();
    for usage in ledger.usage_by_agent().await? {
        let before = work.get(&usage.agent_id).copied().unwrap_or_default();
        let WorkTotals { turns, model_ms, .. } = before;
        let now = WorkTotals { turns, model_ms, ..WorkTotals::from(&usage) };
        totals.insert(usage.agent_id, now);
    }
    let mut used = Used::with_totals(totals);
    for watched in roster.watched() {
        let usage = ledger.usage_of(watched.attempt_id).await?;
        let mission_id = missions.get(&watched.attempt_id).copied();
        let percent = match mission_id {
            Some(id) => ledger.mission(id).await?.and_then(|(it, _)| it.progress?.percent),
            None => None,
        };
        used.begin(&watched, mission_id, usage, percent);
    }
    Ok((roster, used))
}

/// The state of the measuring task.
struct Rounds {
    ctx: MonitorContext,
    told: Told,
    pace: Pace,
    clocks: Clocks,
    began: std::time::Instant,
    snapshots: watch::Sender<Arc<Snapshot>>,
    close_ups: watch::Sender<Arc<CloseUp>>,
    interest: Interest,
    sources: Sources,
    lag: Lag,
    ids: Ids,
    grid: Grid,
}

impl Rounds {
    async fn run(
        mut self,
        collector: Collector,
        mut events: broadcast::Receiver<Arc<Event>>,
        cancel: CancellationToken,
    ) {
        let mut collector = Some(collector);
        let mut following = true;
        let mut ticker = ticker(self.pace.interval());
        let mut close = ticker_at_once(CLOSE_EVERY);
        loop {
            let shown = self.interest.agents();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                received = events.recv(), if following => match received {
                    Ok(event) => self.follow(&event, collector.as_mut()).await,
                    Err(RecvError::Lagged(missed)) => {
                        debug!(missed, "fell behind the event stream; reading the running attempts anew");
                        self.reread().await;
                    }
                    Err(RecvError::Closed) => following = false,
                },
                due = ticker.tick() => {
                    let (interval, missed) = (self.pace.interval(), self.pace.missed());
                    self.pace.measured(due);
                    collector = self.round(collector).await;
                    self.mark_missed(missed);
                    if self.pace.interval() != interval {
                        ticker = self::ticker(self.pace.interval());
                    }
                }
                _ = close.tick(), if !shown.is_empty() => {
                    collector = self.close_up(collector, shown).await;
                }
            }
        }
    }

    async fn follow(&mut self, event: &Event, collector: Option<&mut Collector>) {
        if let (Fact::AttemptExited { attempt_id, record }, Some(collector)) =
            (&event.fact, collector)
        {
            collector.ended(*attempt_id, record.cpu_ms);
        }
        self.told.used.apply(event);
        self.told.flow.apply(event);
        if self.told.roster.apply(event).is_err() {
            self.reread().await;
        }
    }

    async fn reread(&mut self) {
        if let Err(failure) = self.told.read_again(&self.ctx.ledger).await {
            warn!(error = %failure, "running attempts could not be read; measuring those known before");
        }
    }

    /// One measurement; hands the collector back for the next one.
    async fn round(&mut self, collector: Option<Collector>) -> Option<Collector> {
        // It broke off inside the last measurement. Its counters go on from what is stored.
        let collector = match collector {
            Some(collector) => collector,
            None => self.open_again().await?,
        };
        match measure(collector, self.told.roster.watched()).await {
            Ok((collector, Ok(measured))) => {
                self.take(measured).await;
                Some(collector)
            }
            Ok((collector, Err(failure))) => {
                self.pace.lost();
                warn!(error = %failure, "the process table could not be read; this measurement is a gap");
                Some(collector)
            }
            Err(failure) => {
                self.pace.lost();
                error!(error = %failure, "a measurement broke off; the next one starts afresh");
                None
            }
        }
    }

    async fn open_again(&mut self) -> Option<Collector> {
        let MonitorContext { data_dir, runs, telemetry, .. } = &self.ctx;
        let counted = Counted::read(telemetry).await.unwrap_or_default();
        match Collector::open(data_dir, runs, Totals::resumed(counted.processes)) {
            Ok(collector) => Some(collector),
            Err(failure) => {
                self.pace.lost();
                warn!(error = %failure, "the process table could not be read");
                None
            }
        }
    }

    /// Makes a measurement known: to telemetry, and to those who watch.
    async fn take(&mut self, measured: Measured) {
        let now = self.ctx.clock.now();
        self.notice_jumps(now);
        let at = self.grid.next(now, self.pace.interval());
        if self.told.flow.is_stale()
            && let Ok(counts) = self.ctx.ledger.counts().await
        {
            self.told.flow.counted(counts.missions);
        }
        let mut snapshot = measured.into_snapshot(at, self.pace.ticks(), self.pace.missed());
        snapshot.work = self.told.used.measured(&self.told.roster.watched());
        let waiting = self.told.flow.waiting();
        for (agent, work) in &mut snapshot.work {
            work.waiting = waiting.get(agent).copied().unwrap_or(0);
        }
        self.mind_the_battery(&snapshot);
        let mut samples = Samples::default();
        snapshot.put(&mut samples);
        self.told.flow.put(&mut samples);
        samples.add("engine_task_lag_seconds", self.lag.take().as_secs_f64());
        self.sources.measure(&mut samples);
        let batch = self.ids.batch(at, &samples, &self.ctx.telemetry);
        if self.ctx.telemetry.record_batch(batch) == Recorded::Dropped {
            debug!(tick = snapshot.tick, "telemetry is busy; this measurement is a gap");
        }
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    fn notice_jumps(&mut self, at: Timestamp) {
        let now = Clocks::read(at, self.began);
        for jump in now.since(&self.clocks) {
            match jump {
                Jump::Slept(ms) => {
                    info!(ms, "the machine slept; there is a gap in what was measured");
                    self.mark(at, MarkKind::Suspended, ms);
                }
                Jump::Set(ms) => {
                    info!(ms, "the clock was set; what was measured goes on from there");
                    self.mark(at, MarkKind::ClockStepped, ms);
                }
            }
        }
        self.clocks = now;
    }

    fn mark(&self, at: Timestamp, kind: MarkKind, span_ms: i64) {
        if self.ctx.telemetry.mark(Mark { at, kind, span_ms }) == Recorded::Dropped {
            debug!(
                kind = kind.as_str(),
                span_ms, "telemetry is busy; what happened to time is not kept"
            );
        }
    }

    /// Marks measurements that were due since the last one and did not happen.
    fn mark_missed(&self, before: u64) {
        let missed = self.pace.missed().saturating_sub(before);
        if missed > 0 {
            let span = self.pace.interval().as_millis().saturating_mul(u128::from(missed));
            let span_ms = i64::try_from(span).unwrap_or(i64::MAX);
            self.mark(self.ctx.clock.now(), MarkKind::Missed, span_ms);
        }
    }

    fn mind_the_battery(&mut self, snapshot: &Snapshot) {
        let Some(slow) = &snapshot.machine.slow else {
            return;
        };
        let often = self.ctx.interval.max(INTERVAL_MIN);
        let on_battery = slow.power.is_some_and(|power| power.on_battery);
        self.pace.set_interval(if on_battery { often * ON_BATTERY } else { often });
    }

    /// Looks at what is on screens between two measurements of everything.
    async fn close_up(
        &mut self,
        collector: Option<Collector>,
        shown: Vec<AgentId>,
    ) -> Option<Collector> {
        let mut collector = collector?;
        let looked = tokio::task::spawn_blocking(move || {
            let agents = collector.close_up(&shown, std::time::Instant::now());
            (collector, agents)
        });
        match looked.await {
            Ok((collector, agents)) => {
                let close_up = CloseUp { at: Some(self.ctx.clock.now()), agents };
                self.close_ups.send_replace(Arc::new(close_up));
                Some(collector)
            }
            Err(failure) => {
                error!(error = %failure, "a look at what is on screens broke off");
                None
            }
        }
    }
}

fn ticker(interval: Duration) -> Interval {
    let mut ticker = tokio::time::interval_at(Instant::now() + interval, interval);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticker
}

fn ticker_at_once(interval: Duration) -> Interval {
    let mut ticker = tokio::time::interval(interval);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// Measures away from the async threads: a scan of a thousand processes takes some milliseconds.
async fn measure(
    mut collector: Collector,
    watched: Vec<Watched>,
) -> Result<(Collector, std::io::Result<Measured>), JoinError> {
    tokio::task::spawn_blocking(move || {
        let measured = collector.collect(&watched, std::time::Instant::now());
        (collector, measured)
    })
    .await
}
