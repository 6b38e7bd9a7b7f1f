//! The account of one attempt: what its programs exported, added up by road.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::usage::{Tokens, Usage, UsageSource};
use serde::{Deserialize, Serialize};

use super::names::{Counts, Kind, MetricRule, Names, RecordRule, Take};
use super::{Measurement, Sample, Temporality, Value};

/// The most cumulative series that are remembered of one attempt.
const SERIES_MAX: usize = 4_000;
/// The most exports that are remembered of one attempt: what is sent again is sent soon.
const BATCHES_MAX: usize = 256;
/// The most models that are named.
const MODELS_MAX: usize = 8;
/// The longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 100;
/// The largest figure that is believed.
const FIGURE_MAX: f64 = 1e15;

/// What one road says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Figures {
    tokens: BTreeMap<Kind, f64>,
    cost_usd: Option<f64>,
    requests: Option<f64>,
    turns: Option<f64>,
    tool_calls: Option<f64>,
    tool_failures: Option<f64>,
    model_ms: Option<f64>,
}

/// The account of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    roads: BTreeMap<String, Figures>,
    models: BTreeSet<String>,
    /// The last value of each cumulative series.
    last: BTreeMap<u64, f64>,
    /// The exports that came last.
    batches: VecDeque<u64>,
}

impl Figures {
    fn add(figure: &mut Option<f64>, value: f64) {
        *figure = Some(figure.unwrap_or_default() + value);
    }

    fn add_tokens(&mut self, kind: Kind, value: f64) {
        *self.tokens.entry(kind).or_default() += value;
    }

    fn count(&mut self, what: Counts, value: f64, failed: bool) {
        match what {
            Counts::CostUsd => Self::add(&mut self.cost_usd, value),
            Counts::Requests => Self::add(&mut self.requests, value),
            Counts::Turns => Self::add(&mut self.turns, value),
            Counts::ModelMs => Self::add(&mut self.model_ms, value),
            Counts::ModelS => Self::add(&mut self.model_ms, value * 1_000.0),
            Counts::ToolCalls => {
                Self::add(&mut self.tool_calls, value);
                Self::add(&mut self.tool_failures, if failed { value } else { 0.0 });
            }
        }
    }

    fn of(&self, kind: Kind) -> Option<u64> {
        self.tokens.get(&kind).map(|tokens| whole(*tokens))
    }

    fn tokens(&self) -> Tokens {
        let (cache_read, cache_write) = (self.of(Kind::CacheRead), self.of(Kind::CacheWrite));
        let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
        let uncached = self.of(Kind::Input).map(|input| input.saturating_sub(cached));
        Tokens {
            uncached_input: self.of(Kind::UncachedInput).or(uncached),
            cache_read,
            cache_write,
            output: self.of(Kind::Output),
            reasoning: self.of(Kind::Reasoning),
        }
    }
}

impl Account {
    /// Whether an export has not come before; it has from now on.
    pub(super) fn is_new(&mut self, batch: u64) -> bool {
        if self.batches.contains(&batch) {
            return false;
        }
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
        true
    }

    /// Adds what a resource exported; `resource` tells its series from those of another. Gives how
    /// many samples were left out because there are too many series.
    pub(super) fn add(&mut self, names: &Names, resource: u64, samples: &[Sample]) -> u64 {
        let mut over_cap = 0;
        for sample in samples {
            match &sample.what {
                Measurement::Metric { .. } => {
                    over_cap += u64::from(!self.add_metric(names, resource, sample));
                }
                Measurement::Event => {
                    if let Some((place, rule)) = names.event(&sample.name) {
                        self.add_record(names.road(*place), rule, sample);
                    }
                }
                Measurement::Span { .. } => {
                    let fits = |rule: &RecordRule| applies(rule, sample);
                    if let Some((place, rule)) = names.spans().iter().find(|(_, rule)| fits(rule)) {
                        self.add_record(names.road(*place), rule, sample);
                    }
                }
            }
        }
        over_cap
    }

    /// Adds a point of a metric; whether there was room for its series.
    fn add_metric(&mut self, names: &Names, resource: u64, sample: &Sample) -> bool {
        let Some((place, rule)) = names.metric(&sample.name) else {
            return true;
        };
        let Measurement::Metric { temporality, sum, count, series } = sample.what else {
            return true;
        };
        let value = if rule.take == Take::Count { count } else { sum };
        if !believable(value) {
            return true;
        }
        let value = match temporality {
            Temporality::Delta => value,
            Temporality::Cumulative => {
                let Some(more) = self.since(resource.wrapping_add(series), value) else {
                    return false;
                };
                more
            }
        };
        self.name_model(rule.model.as_deref(), sample);
        let figures = self.roads.entry(names.road(*place).to_owned()).or_default();
        count_metric(figures, rule, sample, value);
        true
    }

    /// How much a cumulative series grew; one that fell began anew.
    fn since(&mut self, series: u64, value: f64) -> Option<f64> {
        let before = self.last.get(&series).copied();
        if before.is_none() && self.last.len() >= SERIES_MAX {
            // Without memory of it, it would be counted again each time.
            return None;
        }
        self.last.insert(series, value);
        Some(match before {
            Some(before) if before <= value => value - before,
            _ => value,
        })
    }

    fn add_record(&mut self, road: &str, rule: &RecordRule, sample: &Sample) {
        if !applies(rule, sample) {
            return;
        }
        self.name_model(rule.model.as_deref(), sample);
        let figures = self.roads.entry(road.to_owned()).or_default();
        let number = |key: &str| sample.number(key).filter(|value| believable(*value));
        // One that is told under its old and its new name is told once.
        let mut told: BTreeMap<Kind, f64> = BTreeMap::new();
        for (key, kind) in &rule.tokens {
            if let Some(value) = number(key) {
                told.entry(*kind).and_modify(|it| *it = it.max(value)).or_insert(value);
            }
        }
        told.into_iter().for_each(|(kind, value)| figures.add_tokens(kind, value));
        if let Some(value) = rule.cost_usd.as_deref().and_then(number) {
            figures.count(Counts::CostUsd, value, false);
        }
        if let Some(value) = rule.model_ms.as_deref().and_then(number) {
            figures.count(Counts::ModelMs, value, false);
        }
        let (own_ms, own_failed) = match sample.what {
            Measurement::Span { ms, failed } => (Some(ms).filter(|ms| believable(*ms)), failed),
            _ => (None, false),
        };
        if let Some(ms) = own_ms.filter(|_| rule.times) {
            figures.count(Counts::ModelMs, ms, false);
        }
        if rule.requests {
            figures.count(Counts::Requests, 1.0, false);
        }
        if rule.turn {
            figures.count(Counts::Turns, 1.0, false);
        }
        if rule.tool {
            let failed = own_failed || rule.ok.as_deref().is_some_and(|key| sample.denies(key));
            figures.count(Counts::ToolCalls, 1.0, failed);
        }
    }

    fn name_model(&mut self, key: Option<&str>, sample: &Sample) {
        let Some(model) = key.and_then(|key| sample.text(key)) else {
            return;
        };
        let fits = (1..=MODEL_BYTES_MAX).contains(&model.len()) && !model.contains(',');
        if fits && self.models.len() < MODELS_MAX {
            self.models.insert(model.to_owned());
        }
    }

    /// What the attempt has used. Of each figure, what the road says that tells most of it.
    pub(super) fn usage(&self, names: &Names) -> Usage {
        let roads = || names.roads().iter().filter_map(|name| self.roads.get(name));
        let most = |figure: fn(&Figures) -> Option<f64>| {
            roads().filter_map(figure).reduce(|best, it| if it > best { it } else { best })
        };
        let tokens = roads()
            .map(Figures::tokens)
            .filter(|tokens| tokens.total().is_some())
            .reduce(|best, it| if it.total() > best.total() { it } else { best });
        let calls = roads()
            .filter_map(|it| Some((it.tool_calls?, it.tool_failures.unwrap_or_default())))
            .reduce(|best, it| if it.0 > best.0 { it } else { best });
        let models = self.models.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        Usage {
            model: (!models.is_empty()).then_some(models),
            tokens: tokens.unwrap_or_default(),
            requests: most(|it| it.requests).map(whole),
            reported_cost_micros: most(|it| it.cost_usd).map(|usd| whole(usd * 1e6)),
            model_ms: most(|it| it.model_ms).map(whole),
            turns: most(|it| it.turns).map_or(0, whole),
            tool_calls: calls.map_or(0, |(calls, _)| whole(calls)),
            tool_failures: calls.map_or(0, |(_, failures)| whole(failures)),
            ..Usage::none(UsageSource::Otlp)
        }
    }
}

fn count_metric(figures: &mut Figures, rule: &MetricRule, sample: &Sample, value: f64) {
    if let Some(by) = &rule.by
        && let Some(kind) = sample.text(by).and_then(|name| rule.tokens.get(name))
    {
        figures.add_tokens(*kind, value);
    }
    if let Some(kind) = rule.kind {
        figures.add_tokens(kind, value);
    }
    if let Some(counts) = rule.counts {
        let failed = rule.ok.as_deref().is_some_and(|key| sample.denies(key));
        figures.count(counts, value, failed);
    }
}

fn applies(rule: &RecordRule, sample: &Sample) -> bool {
    rule.when
        .iter()
        .all(|(key, values)| sample.text(key).is_some_and(|value| values.contains(value)))
}

/// Whether a figure can be one: not negative, not endless, not beyond measure.
fn believable(value: f64) -> bool {
    (0.0..=FIGURE_MAX).contains(&value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "every figure is believable: not negative and far below 2^64"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

impl Sample {
    fn value(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, also where it is written as text.
    fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Flag(_) => None,
        }
    }

    /// Whether a flag is there and not set, also where it is written as text.
    fn denies(&self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Flag(flag)) => !flag,
            Some(Value::Text(text)) => text.eq_ignore_ascii_case("false"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(kind: &str, series: u64, temporality: Temporality, sum: f64) -> Sample {
        Sample {
            name: "gemini_cli.token.usage".to_owned(),
            what: Measurement::Metric { temporality, sum, count: 1.0, series },
            attributes: vec![("type".to_owned(), Value::Text(kind.to_owned()))],
        }
    }

    #[test]
    fn a_cumulative_series_is_differenced_and_begins_anew_where_it_falls() {
        let mut account = Account::default();
        let names = Names::built_in();
        let mut say = |resource, value| {
            account.add(names, resource, &[tokens("output", 7, Temporality::Cumulative, value)]);
            account.usage(names).tokens.output
        };
        assert_eq!(say(1, 10.0), Some(10));
        assert_eq!(say(1, 10.0), Some(10), "said again");
        assert_eq!(say(1, 25.0), Some(25));
        assert_eq!(say(1, 5.0), Some(30), "it began anew");
        assert_eq!(say(2, 5.0), Some(35), "another program of the same attempt");
    }

    #[test]
    fn series_beyond_the_cap_are_left_out_and_counted_and_those_before_go_on() {
        let (mut account, names) = (Account::default(), Names::built_in());
        let all: Vec<Sample> = (0..SERIES_MAX as u64 + 7)
            .map(|series| tokens("output", series, Temporality::Cumulative, 1.0))
            .collect();
        assert_eq!(account.add(names, 0, &all), 7);
        assert_eq!(account.usage(names).tokens.output, Some(SERIES_MAX as u64));
        assert_eq!(account.add(names, 0, &all), 7, "they are left out each time");
        let known = tokens("output", 3, Temporality::Cumulative, 5.0);
        assert_eq!(account.add(names, 0, &[known]), 0);
        assert_eq!(account.usage(names).tokens.output, Some(SERIES_MAX as u64 + 4));
        assert!(serde_json::to_vec(&account).unwrap().len() < 512 * 1024, "its file stays small");
    }

    #[test]
    fn deltas_are_summed_and_cached_input_is_taken_out_of_input() {
        let mut account = Account::default();
        let names = Names::built_in();
        for (kind, sum) in [("input", 4000.0), ("cache", 800.0), ("output", 200.0)] {
            account.add(names, 0, &[tokens(kind, 0, Temporality::Delta, sum / 2.0)]);
            account.add(names, 0, &[tokens(kind, 0, Temporality::Delta, sum / 2.0)]);
        }
        let used = account.usage(names).tokens;
        assert_eq!(used.uncached_input, Some(3200));
        assert_eq!((used.cache_read, used.output), (Some(800), Some(200)));
        assert_eq!(used.reasoning, None, "what nobody said is not zero");
    }

    #[test]
    fn two_roads_that_tell_the_same_are_not_added_up() {
        let event = |tokens: f64| Sample {
            name: "gemini_cli.api_response".to_owned(),
            what: Measurement::Event,
            attributes: vec![("output_token_count".to_owned(), Value::Number(tokens))],
        };
        let mut account = Account::default();
        let names = Names::built_in();
        account.add(names, 0, &[tokens("output", 1, Temporality::Cumulative, 50.0), event(50.0)]);
        let usage = account.usage(names);
        assert_eq!((usage.tokens.output, usage.requests), (Some(50), Some(1)));
    }

    #[test]
    fn a_span_by_the_genai_names_counts_once_whichever_names_it_uses() {
        let names = Names::built_in();
        let span = |pairs: &[(&str, Value)]| Sample {
            name: String::new(),
            what: Measurement::Span { ms: 20.0, failed: false },
            attributes: pairs.iter().map(|(key, it)| ((*key).to_owned(), it.clone())).collect(),
        };
        let number = Value::Number;
        let chat = ("gen_ai.operation.name", Value::Text("chat".to_owned()));
        let new = ("gen_ai.usage.input_tokens", number(30.0));
        let old = ("gen_ai.usage.prompt_tokens", number(30.0));
        for pairs in [vec![new.clone()], vec![old.clone()], vec![new, old]] {
            let mut account = Account::default();
            let out = ("gen_ai.usage.output_tokens", number(4.0));
            account.add(names, 0, &[span(&[pairs, vec![chat.clone(), out]].concat())]);
            let usage = account.usage(names);
            assert_eq!((usage.tokens.uncached_input, usage.tokens.output), (Some(30), Some(4)));
            assert_eq!((usage.requests, usage.model_ms), (Some(1), Some(20)));
        }
    }

    #[test]
    fn an_account_is_kept_whole_in_its_file() {
        let mut account = Account::default();
        account.add(
            Names::built_in(),
            3,
            &[tokens("output", u64::MAX, Temporality::Cumulative, 1.0)],
        );
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account);
    }

    proptest! {
        #[test]
        fn no_figures_panic_and_none_is_taken_for_more_than_can_be(
            values in proptest::collection::vec((any::<f64>(), any::<bool>(), any::<u64>()), 0..30)
        ) {
            let mut account = Account::default();
            let names = Names::built_in();
            for (value, delta, series) in values {
                let how = if delta { Temporality::Delta } else { Temporality::Cumulative };
                account.add(names, 0, &[tokens("output", series, how, value)]);
            }
            let used = account.usage(names).tokens.output.unwrap_or(0);
            prop_assert!(used <= 30_000_000_000_000_000);
        }
    }
}
