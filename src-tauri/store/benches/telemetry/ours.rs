//! This store: what comes in by numbers of series and goes out series by series.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use model::clock::ManualClock;
use store::DataDir;
use store::telemetry::{
    Batch, MatchOp, Matcher, ReadQuery, Recorded, Resolution, Sample, Selector, SeriesId,
    Telemetry, TelemetryOptions, Values,
};
use tokio_util::sync::CancellationToken;

use super::shapes::Shape;
use super::{END_MS, Size, cpu_s, middle_and_p95, own, tell};

/// Seconds between two flushes, as in the product.
const FLUSH_S: i64 = 5;
/// How often each question is asked.
const TIMES: usize = 40;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

async fn open(folder: &Path, clock: &Arc<ManualClock>) -> Telemetry {
    let dir = DataDir::open(folder).unwrap();
    let long = Duration::from_secs(40 * 24 * 3600);
    let options = TelemetryOptions {
        // By hand, at the moments of the samples.
        flush_interval: long,
        raw_age: long,
        disk_budget_bytes: 1 << 40,
        queue_ticks: 4096,
        ..TelemetryOptions::default()
    };
    let clock: model::clock::SharedClock = Arc::<ManualClock>::clone(clock);
    Telemetry::open_with(&dir, clock, options).await.unwrap()
}

/// The samples of a few seconds of every group that has begun by then.
struct Feed {
    groups: Vec<(Vec<(SeriesId, Shape)>, i64)>,
}

impl Feed {
    fn new(telemetry: &Telemetry, size: &Size) -> Self {
        let known = |shape: Shape| (telemetry.series(&shape.key).unwrap(), shape);
        let groups = size.groups().into_iter();
        Self {
            groups: groups
                .map(|(shapes, span)| (shapes.into_iter().map(known).collect(), span))
                .collect(),
        }
    }

    fn batch(&mut self, second: i64) -> Batch {
        let mut samples = Vec::new();
        for (shapes, span) in &mut self.groups {
            if second >= END_MS / 1000 - *span {
                samples.extend(shapes.iter_mut().map(|(id, shape)| (*id, shape.next())));
            }
        }
        Batch { at: at(second * 1000), samples }
    }
}

pub(crate) async fn measure(size: &Size, folder: &Path) {
    let begin = END_MS / 1000 - size.longest_s();
    let clock = Arc::new(ManualClock::new(at(begin * 1000)));
    let before_kb = own("status", "RssAnon");
    let telemetry = open(folder, &clock).await;
    let mut feed = Feed::new(&telemetry, size);
    let idle_kb = own("status", "RssAnon");
    let (mut samples, mut took, mut cpu) = (0_u64, Duration::ZERO, 0.0);
    let written = own("io", "write_bytes");
    let mut open_kb = 0.0_f64;
    for from in (begin..END_MS / 1000).step_by(FLUSH_S as usize) {
        let seconds = from..(from + FLUSH_S).min(END_MS / 1000);
        let batches: Vec<Batch> = seconds.map(|second| feed.batch(second)).collect();
        samples += batches.iter().map(|batch| batch.samples.len() as u64).sum::<u64>();
        // Only the store is timed, and not what makes the samples up.
        let (started, cpu_before) = (Instant::now(), cpu_s());
        for batch in batches {
            assert_eq!(telemetry.record_batch(batch), Recorded::Taken);
        }
        telemetry.flush().await.unwrap();
        (took, cpu) = (took + started.elapsed(), cpu + cpu_s() - cpu_before);
        clock.advance(SignedDuration::from_secs(FLUSH_S));
        open_kb = open_kb.max(own("status", "RssAnon"));
    }
    let series = telemetry.counters().series as f64;
    tell("ours", "samples", samples as f64, "");
    tell("ours", "series", series, "");
    tell("ours", "ingest", samples as f64 / cpu / 1e6, "M samples/s of a core");
    tell("ours", "ingest by the clock", samples as f64 / took.as_secs_f64() / 1e6, "M samples/s");
    let rate = samples as f64 / size.wide_s.max(1) as f64;
    tell(
        "ours",
        "steady cost of 4,000 samples a second",
        cpu / samples as f64 * 4e5,
        "% of a core",
    );
    tell("ours", "samples a second, on average", rate, "");
    tell(
        "ours",
        "memory per series, the generator's included",
        (open_kb - before_kb) / series,
        "KB",
    );
    tell("ours", "memory before the first sample", idle_kb - before_kb, "KB");
    finish(&telemetry, &clock).await;
    let wrote = own("io", "write_bytes") - written;
    tell("ours", "written per sample", wrote / samples as f64, "B");
    telemetry.close().await;
    let file = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |it| it.len()) as f64;
    tell("ours", "stored per sample", file("telemetry.db") / samples as f64, "B");
    let telemetry = open(folder, &clock).await;
    ask(&telemetry, size).await;
    telemetry.close().await;
}

/// Closes what is open and rolls up what is over, as the hours after would.
async fn finish(telemetry: &Telemetry, clock: &ManualClock) {
    clock.advance(SignedDuration::from_hours(8));
    for _ in 0..200 {
        telemetry.flush().await.unwrap();
    }
}

struct Asked<'a> {
    telemetry: &'a Telemetry,
}

impl Asked<'_> {
    fn select(&self, name: &str, labels: &[(&str, &str)]) -> Vec<SeriesId> {
        let mut matchers = vec![Matcher::new("__name__", MatchOp::Equal, name).unwrap()];
        let label = |(label, value): &(&str, &str)| Matcher::new(label, MatchOp::Equal, value);
        matchers.extend(labels.iter().map(|it| label(it).unwrap()));
        self.telemetry.select(&Selector::new(matchers)).into_iter().map(|meta| meta.id).collect()
    }

    async fn read(
        &self,
        series: Vec<SeriesId>,
        span_s: i64,
        resolution: Resolution,
        mut take: impl FnMut(SeriesId, Values),
    ) {
        let mut reader = self
            .telemetry
            .read(ReadQuery {
                series,
                from: at(END_MS - span_s * 1000),
                to: at(END_MS),
                resolution,
                deadline: Duration::from_secs(600),
                cancel: CancellationToken::new(),
            })
            .unwrap();
        while let Some(found) = reader.next().await {
            let found = found.unwrap();
            take(found.id, found.values);
        }
    }

    async fn raw(&self, series: Vec<SeriesId>, span_s: i64, mut take: impl FnMut(&[Sample])) {
        let each = |_, values| match values {
            Values::Samples(samples) => take(&samples),
            Values::Sums { .. } => panic!("samples were asked for"),
        };
        self.read(series, span_s, Resolution::Raw, each).await;
    }
}

/// The five questions of a dashboard; prints how long they take, and their answers.
async fn ask(telemetry: &Telemetry, size: &Size) {
    let asked = Asked { telemetry };
    for (number, name) in super::rows::QUESTIONS.iter().enumerate() {
        let (mut times, mut answer) = (Vec::new(), 0.0);
        // What takes long is asked less often.
        while times.len() < TIMES && times.iter().sum::<f64>() < 20_000.0 {
            let started = Instant::now();
            answer = answer_to(number, &asked, size).await;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        let (middle, p95) = middle_and_p95(times);
        tell("ours", &format!("{name}: p50"), middle, "ms");
        tell("ours", &format!("{name}: p95"), p95, "ms");
        tell("ours", &format!("{name}: answer"), answer, "");
    }
    let one = asked.select("machine_cpu_percent", &[]);
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let started = Instant::now();
        let auto = Resolution::Auto { points: 1000 };
        asked.read(one.clone(), size.long_s.min(86_400), auto, |_, _| {}).await;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    let (middle, p95) = middle_and_p95(times);
    tell("ours", "24 h of one series at 1,000 columns: p50", middle, "ms");
    tell("ours", "24 h of one series at 1,000 columns: p95", p95, "ms");
}

/// One number of each answer, to be held against that of others.
async fn answer_to(number: usize, asked: &Asked<'_>, size: &Size) -> f64 {
    let mut answer = 0.0;
    match number {
        0 => {
            let one = asked.select("agent_cpu_percent", &[("agent", "bee-0000")]);
            let sum = |samples: &[Sample]| answer += samples.iter().map(|it| it.value).sum::<f64>();
            asked.raw(one, size.wide_s.min(3600), sum).await;
        }
        1 => {
            let cores = asked.select("machine_core_cpu_percent", &[]);
            let auto = Resolution::Auto { points: 800 };
            let add = |_, values| {
                answer += match values {
                    Values::Samples(samples) => samples.iter().map(|it| it.value).sum::<f64>(),
                    Values::Sums { sums, .. } => sums.iter().map(|it| it.sum).sum(),
                };
            };
            asked.read(cores, size.deep_s, auto, add).await;
        }
        2 => {
            let all = asked.select("agent_cpu_percent", &[]);
            let mut means = Vec::new();
            let mean = |samples: &[Sample]| {
                means.push(samples.iter().map(|it| it.value).sum::<f64>() / samples.len() as f64);
            };
            asked.raw(all, size.wide_s.min(3600), mean).await;
            means.sort_by(|one, other| other.total_cmp(one));
            answer = means.iter().take(10).sum();
        }
        3 => {
            for kind in ["output", "cache_read"] {
                let all = asked.select("agent_tokens_total", &[("kind", kind)]);
                let mut rates: BTreeMap<i64, f64> = BTreeMap::new();
                asked.raw(all, size.wide_s, |samples| add_rates(samples, &mut rates)).await;
                answer += rates.values().sum::<f64>();
            }
        }
        _ => {
            let mut values = Vec::new();
            let machine = asked.select("machine_cpu_percent", &[]);
            let add = |samples: &[Sample]| values.extend(samples.iter().map(|sample| sample.value));
            asked.raw(machine, size.long_s, add).await;
            answer = p95_of(&mut values);
        }
    }
    answer
}

/// The growth a second of each five minutes, starting again at zero where the total does.
pub(crate) fn add_rates(samples: &[Sample], rates: &mut BTreeMap<i64, f64>) {
    for pair in samples.windows(2) {
        let grown = pair[1].value - pair[0].value;
        let grown = if grown < 0.0 { pair[1].value } else { grown };
        *rates.entry(pair[1].at_ms / 300_000).or_default() += grown / 300.0;
    }
}

pub(crate) fn p95_of(values: &mut [f64]) -> f64 {
    let at = (values.len() as f64 * 0.95) as usize;
    let at = at.min(values.len().saturating_sub(1));
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}
