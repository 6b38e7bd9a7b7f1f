//! Telemetry as a source of series.

use std::cell::RefCell;
use std::time::Instant;

use insight::query::{
    Compare, Each, Found, Labels, Matcher, NAME, Plan, QueryError, Sample, Source, Stop, Stretch,
    Sums, Tier,
};
use jiff::Timestamp;
use store::telemetry::{
    MatchOp, ReadError, ReadQuery, Resolution, Selector, SeriesId, Telemetry, Values,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Telemetry, read by a thread that may wait.
pub(super) struct TelemetrySource<'a> {
    telemetry: &'a Telemetry,
    handle: &'a Handle,
    until: Instant,
    cancel: &'a CancellationToken,
    /// A signal of the expression.
    signal: Option<&'a str>,
    /// The series that were found, by the number they were given.
    found: RefCell<Vec<SeriesId>>,
}

impl<'a> TelemetrySource<'a> {
    pub(super) fn new(
        telemetry: &'a Telemetry,
        handle: &'a Handle,
        (until, cancel): (Instant, &'a CancellationToken),
        plan: &'a Plan,
    ) -> Self {
        let signal = plan.signals().first().map(String::as_str);
        Self { telemetry, handle, until, cancel, signal, found: RefCell::default() }
    }

    /// Reads series one after the other.
    fn read(
        &self,
        series: Vec<SeriesId>,
        within: Stretch,
        tier: Tier,
        each: &mut dyn FnMut(usize, Values) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        if within.from_ms > within.to_ms || series.is_empty() {
            return Ok(());
        }
        let query = ReadQuery {
            series,
            from: moment(within.from_ms),
            to: moment(within.to_ms),
            resolution: match tier {
                Tier::Raw => Resolution::Raw,
                Tier::Minute => Resolution::Minute,
                Tier::Hour => Resolution::Hour,
            },
            deadline: self.until.saturating_duration_since(Instant::now()),
            cancel: self.cancel.clone(),
        };
        let mut reader = self.telemetry.read(query).map_err(failed)?;
        let mut place = 0;
        while let Some(values) = self.handle.block_on(reader.next()) {
            each(place, values.map_err(failed)?.values)?;
            place += 1;
        }
        Ok(())
    }

    fn series(&self, ids: &[u64]) -> Vec<SeriesId> {
        let found = self.found.borrow();
        let known = |id: &u64| usize::try_from(*id).ok().and_then(|place| found.get(place));
        ids.iter().filter_map(known).copied().collect()
    }
}

impl Source for TelemetrySource<'_> {
    fn select(&self, matchers: &[Matcher]) -> Result<Vec<Found>, QueryError> {
        let chosen = self.telemetry.select(&selector(matchers)?);
        let mut ids = self.found.borrow_mut();
        let found = chosen.into_iter().map(|meta| {
            ids.push(meta.id);
            let mut labels = Labels::new(meta.key.labels);
            labels.set(NAME, meta.key.name);
            Found { id: ids.len() as u64 - 1, labels }
        });
        let mut found: Vec<Found> = found.collect();
        found.sort_by(|one, other| one.labels.cmp(&other.labels));
        Ok(found)
    }

    fn finest(&self, wanted: Tier, from_ms: i64) -> Result<Tier, QueryError> {
        // What is kept as finely is the same for all series: any of them tells.
        let any = self.signal.map(|name| self.telemetry.select(&Selector::named(name)));
        let Some(any) = any.and_then(|found| found.first().map(|meta| meta.id)) else {
            return Ok(wanted);
        };
        let mut finest = wanted;
        let moment = Stretch { from_ms, to_ms: from_ms };
        self.read(vec![any], moment, wanted, &mut |_, values| {
            finest = match values {
                Values::Samples(_) => Tier::Raw,
                Values::Sums { step_ms, .. }
                    if step_ms > Tier::Minute.width_ms().unsigned_abs() =>
                {
                    Tier::Hour
                }
                Values::Sums { .. } => Tier::Minute,
            };
            Ok(())
        })?;
        Ok(finest)
    }

    fn samples(&self, ids: &[u64], within: Stretch, each: Each<Sample>) -> Result<(), QueryError> {
        self.read(self.series(ids), within, Tier::Raw, &mut |place, values| match values {
            Values::Samples(samples) => {
                let sample =
                    |it: store::telemetry::Sample| Sample { at_ms: it.at_ms, value: it.value };
                each(place, &samples.into_iter().map(sample).collect::<Vec<Sample>>())
            }
            // They went between two questions to the file.
            Values::Sums { .. } => each(place, &[]),
        })
    }

    fn sums(
        &self,
        ids: &[u64],
        within: Stretch,
        tier: Tier,
        each: Each<Sums>,
    ) -> Result<(), QueryError> {
        self.read(self.series(ids), within, tier, &mut |place, values| match values {
            Values::Sums { sums, .. } => {
                let there = |it: &store::telemetry::Sums| it.count > 0;
                let sums = sums.into_iter().filter(there).map(|it| Sums {
                    at_ms: it.at_ms,
                    min: it.min,
                    max: it.max,
                    sum: it.sum,
                    count: it.count,
                    first: it.first,
                    first_at_ms: it.first_at_ms,
                    last: it.last,
                    last_at_ms: it.last_at_ms,
                });
                each(place, &sums.collect::<Vec<Sums>>())
            }
            Values::Samples(_) => each(place, &[]),
        })
    }
}

/// A choice of series as the store takes it.
pub(super) fn selector(matchers: &[Matcher]) -> Result<Selector, QueryError> {
    let matchers = matchers.iter().map(|matcher| {
        let op = match matcher.compare {
            Compare::Equal => MatchOp::Equal,
            Compare::NotEqual => MatchOp::NotEqual,
            Compare::Match => MatchOp::Match,
            Compare::NoMatch => MatchOp::NotMatch,
        };
        store::telemetry::Matcher::new(&matcher.label, op, &matcher.value)
    });
    let matchers = matchers.collect::<Result<Vec<_>, _>>();
    matchers.map(Selector::new).map_err(|error| QueryError::Source(Box::new(error)))
}

fn failed(error: ReadError) -> QueryError {
    match error {
        ReadError::Cancelled => QueryError::Stopped(Stop::Cancelled),
        ReadError::Deadline { deadline_ms } => QueryError::Stopped(Stop::Deadline { deadline_ms }),
        error => QueryError::Source(Box::new(error)),
    }
}

/// A moment; the nearest there is where it is out of reach.
pub(super) fn moment(at_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
