//! The meter: what an agent says it used, read by the rules of its preset.
//!
//! Agents mean different things by the same words: the last request, the turn, or everything so far;
//! with the cache or without. A rule says which, and a meter keeps what each rule gave apart, so that
//! figures of two kinds are never added up.
//!
//! Invariant: what nobody said stays unknown; it is never zero.

use model::usage::{Context, Tokens, Usage, UsageSource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ways::{Covers, UsageFields, UsagePlace, UsageRule};

/// The most model names that are told.
pub(super) const MODELS_MAX: usize = 8;
/// The longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 100;
/// A number above this is no figure of one message; sums of what is below it do not overflow.
const FIGURE_MAX: u64 = 1_000_000_000_000;

/// Adds up what one conversation has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    rules: Vec<UsageRule>,
    read: Vec<Read>,
    models: Vec<String>,
    cost_micros: Option<u64>,
    context: Option<Context>,
    turns: u64,
    tool_calls: u64,
    tool_failures: u64,
    tool_calls_before: u64,
    output_before: Option<u64>,
    /// Whether a turn of several requests told only its last one.
    lower_bound: bool,
    /// Whether it goes on with a session of an earlier attempt.
    #[serde(default)]
    goes_on: bool,
    /// Whether the first total since then was told too late to know how much of it is older.
    #[serde(default)]
    begun_late: bool,
    /// What the session had cost before.
    #[serde(default)]
    cost_before: Option<u64>,
}

/// What one rule has given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    /// Of the turns that ended; everything, for rules that need no turn.
    done: Figures,
    /// Of the turn under way.
    turn: Figures,
    /// Of totals: what they were when an earlier session was taken up again.
    #[serde(default)]
    before: Figures,
    /// Whether the next total is the first one since then: how much of it is older is not known.
    #[serde(default)]
    unsure: bool,
}

impl Read {
    /// Everything since it began. A total that has not moved since says nothing.
    fn all(&self) -> Figures {
        if self.before != Figures::default() && self.done == self.before {
            return self.turn;
        }
        self.done.since(&self.before).plus(&self.turn)
    }
}

/// Figures of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) tokens: Tokens,
    pub(super) cost_micros: Option<u64>,
    pub(super) requests: Option<u64>,
    pub(super) model_ms: Option<u64>,
}

impl Figures {
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            tokens: self.tokens.plus(&other.tokens),
            cost_micros: add(self.cost_micros, other.cost_micros),
            requests: add(self.requests, other.requests),
            model_ms: add(self.model_ms, other.model_ms),
        }
    }

    /// What was added since a total was `before`; all of it where the total began anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        if self.tokens.total() < before.tokens.total() {
            return *self;
        }
        let more = |now: Option<u64>, before: Option<u64>| {
            now.map(|now| now.saturating_sub(before.unwrap_or(0)))
        };
        let (now, then) = (&self.tokens, &before.tokens);
        Self {
            tokens: Tokens {
                uncached_input: more(now.uncached_input, then.uncached_input),
                cache_read: more(now.cache_read, then.cache_read),
                cache_write: more(now.cache_write, then.cache_write),
                output: more(now.output, then.output),
                reasoning: more(now.reasoning, then.reasoning),
            },
            cost_micros: more(self.cost_micros, before.cost_micros),
            requests: more(self.requests, before.requests),
            model_ms: more(self.model_ms, before.model_ms),
        }
    }

    /// The newer of each figure.
    fn renewed(&self, newer: &Self) -> Self {
        let (old, new) = (&self.tokens, &newer.tokens);
        Self {
            tokens: Tokens {
                uncached_input: new.uncached_input.or(old.uncached_input),
                cache_read: new.cache_read.or(old.cache_read),
                cache_write: new.cache_write.or(old.cache_write),
                output: new.output.or(old.output),
                reasoning: new.reasoning.or(old.reasoning),
            },
            cost_micros: newer.cost_micros.or(self.cost_micros),
            requests: newer.requests.or(self.requests),
            model_ms: newer.model_ms.or(self.model_ms),
        }
    }
}

fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

impl Meter {
    /// A meter that reads by these rules; where two say the same, the one that covers more counts,
    /// and of two that cover the same the first.
    #[must_use]
    pub fn new(rules: &[UsageRule]) -> Self {
        Self {
            rules: rules.to_vec(),
            read: vec![Read::default(); rules.len()],
            models: Vec::new(),
            cost_micros: None,
            context: None,
            turns: 0,
            tool_calls: 0,
            tool_failures: 0,
            tool_calls_before: 0,
            output_before: None,
            lower_bound: false,
            goes_on: false,
            begun_late: false,
            cost_before: None,
        }
    }

    /// An earlier session goes on: totals that were told so far, or are told next, are of what was
    /// before, and were counted then.
    pub fn goes_on(&mut self) {
        self.goes_on = true;
        self.cost_before = self.cost_micros;
        for (rule, read) in self.rules.iter().zip(&mut self.read) {
            if rule.covers == Covers::Conversation {
                read.before = read.done;
                read.unsure = read.done == Figures::default();
            }
        }
    }

    /// Reads the answer to a prompt, or the last line of a headless program. Gives whether it said anything.
    pub fn result(&mut self, message: &Value) -> bool {
        self.read(UsagePlace::Result, None, message)
    }

    /// Reads an update, or a line, of one kind. Gives whether it said anything.
    pub fn update(&mut self, kind: &str, message: &Value) -> bool {
        self.read(UsagePlace::Update, Some(kind), message)
    }

    /// What the conversation has cost so far, in US dollars, where the protocol itself says so.
    pub fn cost_usd(&mut self, dollars: f64) {
        self.cost_micros = micros(dollars).or(self.cost_micros);
        if self.goes_on && self.cost_before.is_none() {
            self.cost_before = self.cost_micros;
        }
    }

    /// How full the context is now.
    pub const fn context(&mut self, context: Context) {
        self.context = Some(context);
    }

    /// The agent used a tool.
    pub const fn tool_called(&mut self) {
        self.tool_calls = self.tool_calls.saturating_add(1);
    }

    /// A tool the agent used failed.
    pub const fn tool_failed(&mut self) {
        self.tool_failures = self.tool_failures.saturating_add(1);
    }

    /// Whether the agent has used a tool in the turn under way.
    #[must_use]
    pub const fn used_tools(&self) -> bool {
        self.tool_calls > self.tool_calls_before
    }

    /// Output tokens of the turn under way, where they were told. A total that stands still says
    /// nothing of the turn: many agents tell it late, or not in every turn.
    #[must_use]
    pub fn turn_output(&self) -> Option<u64> {
        let of_turn = self.read.iter().filter_map(|read| read.turn.tokens.output).max();
        let before = self.output_before.unwrap_or(0);
        let begins = before == 0 && !self.goes_on;
        let all = self.usage().tokens.output.filter(|now| begins || *now > before);
        of_turn.max(all.map(|now| now.saturating_sub(before)))
    }

    /// A turn has ended: what was said of it is added to what was said of the others.
    pub fn turn_ended(&mut self) {
        let several_requests = self.used_tools();
        for (rule, read) in self.rules.iter().zip(&mut self.read) {
            let told = std::mem::take(&mut read.turn);
            if rule.covers == Covers::LastRequest && told != Figures::default() {
                self.lower_bound |= several_requests;
            }
            read.done = read.done.plus(&told);
        }
        self.turns = self.turns.saturating_add(1);
        self.tool_calls_before = self.tool_calls;
        self.output_before = self.usage().tokens.output;
    }

    /// What the conversation has used so far. Tokens, cost, requests and time are each taken from the
    /// rule that covers most; its source is the one of the tokens.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let best = |says: fn(&Figures) -> bool| {
            let told = self.rules.iter().zip(&self.read);
            told.map(|(rule, read)| (rule.covers, read.all()))
                .filter(|(_, figures)| says(figures))
                .min_by_key(|(covers, _)| rank(*covers))
        };
        let tokens = best(|figures| figures.tokens.total().is_some());
        let cost = best(|figures| figures.cost_micros.is_some());
        let requests = best(|figures| figures.requests.is_some());
        let time = best(|figures| figures.model_ms.is_some());
        let source = tokens.map_or(UsageSource::Partial, |(covers, _)| self.source(covers));
        Usage {
            model: (!self.models.is_empty()).then(|| self.models.join(", ")),
            tokens: tokens.map(|(_, figures)| figures.tokens).unwrap_or_default(),
            requests: requests.and_then(|(_, figures)| figures.requests),
            reported_cost_micros: cost
                .and_then(|(_, figures)| figures.cost_micros)
                .or_else(|| self.own_cost()),
            model_ms: time.and_then(|(_, figures)| figures.model_ms),
            turns: self.turns,
            tool_calls: self.tool_calls,
            tool_failures: self.tool_failures,
            context: self.context,
            ..Usage::none(source)
        }
    }

    /// What it has cost since it began; where a session goes on, not before a second total says so.
    fn own_cost(&self) -> Option<u64> {
        let (now, before) = (self.cost_micros?, self.cost_before);
        match before {
            _ if !self.goes_on => Some(now),
            Some(before) if now > before => Some(now - before),
            _ => None,
        }
    }

    const fn source(&self, covers: Covers) -> UsageSource {
        match covers {
            Covers::Conversation if self.begun_late => UsageSource::Partial,
            Covers::Conversation => UsageSource::Result,
            Covers::LastRequest if self.lower_bound || self.used_tools() => UsageSource::Partial,
            Covers::Turn | Covers::Request | Covers::LastRequest => UsageSource::Sum,
        }
    }

    fn read(&mut self, place: UsagePlace, kind: Option<&str>, message: &Value) -> bool {
        let mut said = false;
        for (rule, read) in self.rules.iter().zip(&mut self.read) {
            let meant =
                rule.place == place && (place == UsagePlace::Result || rule.of.as_deref() == kind);
            let Some(at) = meant.then(|| find(message, &rule.at)).flatten() else { continue };
            if let Some(model) = text(at, rule.fields.model.as_deref())
                && self.models.len() < MODELS_MAX
                && !self.models.contains(&model)
            {
                self.models.push(model);
            }
            let figures = figures(at, rule);
            if figures == Figures::default() {
                continue;
            }
            said = true;
            match rule.covers {
                Covers::Conversation => {
                    read.done = read.done.renewed(&figures);
                    if std::mem::take(&mut read.unsure) {
                        read.before = read.done;
                        self.begun_late = true;
                    }
                }
                Covers::Request => read.done = read.done.plus(&figures),
                Covers::Turn | Covers::LastRequest => read.turn = figures,
            }
        }
        said
    }
}

/// The less, the better.
pub(super) const fn rank(covers: Covers) -> u8 {
    match covers {
        Covers::Conversation => 0,
        Covers::Turn => 1,
        Covers::Request => 2,
        Covers::LastRequest => 3,
    }
}

pub(super) fn figures(at: &Value, rule: &UsageRule) -> Figures {
    let UsageFields { input, cache_read, cache_write, output, reasoning, .. } = &rule.fields;
    let number = |field: &Option<String>| {
        field.as_deref().and_then(|field| find(at, field)).and_then(whole_number)
    };
    let (cached, thought) = (number(cache_read), number(reasoning));
    let input = number(input).map(|all| match cached {
        Some(cached) if rule.input_includes_cache => all.saturating_sub(cached),
        _ => all,
    });
    let output = number(output).map(|said| match thought {
        Some(thought) if rule.output_excludes_reasoning => said.saturating_add(thought),
        _ => said,
    });
    let dollars = rule.fields.cost_usd.as_deref().and_then(|field| find(at, field)?.as_f64());
    Figures {
        tokens: Tokens {
            uncached_input: input,
            cache_read: cached,
            cache_write: number(cache_write),
            output,
            reasoning: thought,
        },
        cost_micros: dollars.and_then(micros),
        requests: number(&rule.fields.requests),
        model_ms: number(&rule.fields.model_ms),
    }
}

/// What a JSON pointer leads to; the slash at its beginning may be left out.
pub(super) fn find<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.is_empty() || pointer.starts_with('/') {
        value.pointer(pointer)
    } else {
        value.get(pointer)
    }
}

pub(super) fn text(at: &Value, field: Option<&str>) -> Option<String> {
    let name = find(at, field?)?.as_str()?.trim();
    (!name.is_empty()).then(|| model::conversation::cut(name, MODEL_BYTES_MAX))
}

/// Reads a number that is neither below zero nor beyond reason, however it is written.
#[must_use]
pub(crate) fn whole_number(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64().or_else(|| from_float(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| *number <= FIGURE_MAX)
}

fn from_float(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what does not fit is not used"
    )]
    let whole = number.round() as u64;
    (0.0..=9e15).contains(&number).then_some(whole)
}

/// Dollars in millionths.
#[must_use]
fn micros(dollars: f64) -> Option<u64> {
    from_float(dollars * 1e6).filter(|micros| *micros <= FIGURE_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rule(place: UsagePlace, of: Option<&str>, at: &str, covers: Covers) -> UsageRule {
        let field = |name: &str| Some(format!("/{name}"));
        UsageRule {
            at: at.to_owned(),
            place,
            of: of.map(str::to_owned),
            covers,
            fields: UsageFields {
                input: field("in"),
                cache_read: field("cached"),
                output: field("out"),
                reasoning: field("thought"),
                cost_usd: field("usd"),
                model: field("model"),
                ..UsageFields::default()
            },
            input_includes_cache: false,
            output_excludes_reasoning: false,
        }
    }

    #[test]
    fn turns_are_summed_up_and_the_cache_is_told_apart() {
        let mut meter = Meter::new(&[UsageRule {
            input_includes_cache: true,
            ..rule(UsagePlace::Result, None, "/usage", Covers::Turn)
        }]);
        for _ in 0..2 {
            assert!(
                meter.result(
                    &json!({"usage": {"in": 4000, "cached": 800, "out": 200, "thought": 40}})
                )
            );
            meter.turn_ended();
        }
        let usage = meter.usage();
        assert_eq!(usage.source, UsageSource::Sum);
        assert_eq!(usage.tokens.uncached_input, Some(6400));
        assert_eq!(usage.tokens.cache_read, Some(1600));
        assert_eq!(usage.tokens.total(), Some(8400));
        assert_eq!(usage.turns, 2);
        assert_eq!(usage.requests, None);
    }

    #[test]
    fn what_a_session_had_used_before_it_was_taken_up_again_is_not_counted_again() {
        let total = |input: u64, output: u64| json!({"usage": {"in": input, "out": output}});
        let rules = [rule(UsagePlace::Result, None, "/usage", Covers::Conversation)];
        let mut told = Meter::new(&rules);
        told.result(&total(5000, 250));
        told.goes_on();
        assert_eq!(told.usage().tokens.total(), None, "nothing has been used yet");
        assert_eq!(told.turn_output(), None);
        told.result(&total(6000, 300));
        assert_eq!(told.usage().tokens.input(), Some(1000));
        assert_eq!(told.turn_output(), Some(50));
        assert_eq!(told.usage().source, UsageSource::Result);

        // How much of the first total is older is not known.
        let mut silent = Meter::new(&rules);
        silent.goes_on();
        silent.cost_usd(2.0);
        silent.result(&total(6000, 300));
        assert_eq!(silent.usage().tokens.total(), None);
        assert_eq!(silent.usage().reported_cost_micros, None);
        silent.result(&total(7000, 350));
        silent.cost_usd(2.5);
        assert_eq!(silent.usage().tokens.total(), Some(1050));
        assert_eq!(silent.usage().reported_cost_micros, Some(500_000));
        assert_eq!(silent.usage().source, UsageSource::Partial, "at least that");

        // A total that begins anew is of this time.
        let mut anew = Meter::new(&rules);
        anew.result(&total(5000, 250));
        anew.goes_on();
        anew.result(&total(100, 5));
        assert_eq!(anew.usage().tokens.total(), Some(105));
    }

    #[test]
    fn a_total_that_stands_still_says_nothing_of_the_turn_and_a_zero_does() {
        let meter = |covers| Meter::new(&[rule(UsagePlace::Result, None, "/usage", covers)]);
        let mut all = meter(Covers::Conversation);
        all.result(&json!({"usage": {"in": 10, "out": 0}}));
        assert_eq!(all.turn_output(), Some(0), "there was nothing yet");
        all.result(&json!({"usage": {"in": 10, "out": 5}}));
        all.turn_ended();
        all.result(&json!({"usage": {"in": 10, "out": 5}}));
        assert_eq!(all.turn_output(), None);
        all.result(&json!({"usage": {"in": 20, "out": 9}}));
        assert_eq!(all.turn_output(), Some(4));
        let mut each = meter(Covers::Turn);
        each.result(&json!({"usage": {"in": 10, "out": 5}}));
        each.turn_ended();
        assert_eq!(each.turn_output(), None);
        each.result(&json!({"usage": {"in": 10, "out": 0}}));
        assert_eq!(each.turn_output(), Some(0));
    }

    #[test]
    fn the_last_request_of_a_turn_with_tools_is_a_part_and_is_said_to_be_one() {
        let mut meter =
            Meter::new(&[rule(UsagePlace::Result, None, "/usage", Covers::LastRequest)]);
        meter.result(&json!({"usage": {"in": 1000, "out": 50}}));
        meter.turn_ended();
        assert_eq!(meter.usage().source, UsageSource::Sum);
        meter.tool_called();
        meter.result(&json!({"usage": {"in": 1000, "out": 50}}));
        assert_eq!(meter.turn_output(), Some(50));
        meter.turn_ended();
        assert_eq!(meter.usage().source, UsageSource::Partial);
        assert_eq!(meter.usage().tokens.total(), Some(2100));
    }

    #[test]
    fn what_covers_the_conversation_takes_the_place_of_everything_else() {
        let mut meter = Meter::new(&[
            rule(UsagePlace::Result, None, "/usage", Covers::LastRequest),
            rule(UsagePlace::Update, Some("total"), "", Covers::Conversation),
        ]);
        meter.result(&json!({"usage": {"in": 1000, "out": 50, "usd": 0.5}}));
        assert!(meter.update("total", &json!({"in": "4000", "out": 200.0, "model": "fake"})));
        assert!(!meter.update("other", &json!({"in": 9, "out": 9})));
        meter.update("total", &json!({"in": 5000, "out": 250, "model": "fake"}));
        let usage = meter.usage();
        assert_eq!(usage.source, UsageSource::Result);
        assert_eq!(usage.tokens.total(), Some(5250));
        assert_eq!(usage.reported_cost_micros, Some(500_000));
        assert_eq!(usage.model.as_deref(), Some("fake"));
    }

    #[test]
    fn reasoning_beside_the_output_is_added_to_it() {
        let mut meter = Meter::new(&[UsageRule {
            output_excludes_reasoning: true,
            ..rule(UsagePlace::Update, Some("step"), "/tokens", Covers::Request)
        }]);
        for _ in 0..4 {
            meter.update(
                "step",
                &json!({"tokens": {"in": 800, "cached": 200, "out": 40, "thought": 10}}),
            );
        }
        assert_eq!(meter.usage().tokens.output, Some(200));
        assert_eq!(meter.usage().tokens.input(), Some(4000));
    }

    #[test]
    fn what_is_not_a_number_is_not_known() {
        let mut meter = Meter::new(&[rule(UsagePlace::Result, None, "/usage", Covers::Turn)]);
        for odd in
            [json!(null), json!({"usage": null}), json!({"usage": {"in": "many", "out": -5}})]
        {
            assert!(!meter.result(&odd));
        }
        assert_eq!(meter.usage().tokens.total(), None);
        assert_eq!(meter.usage().source, UsageSource::Partial);
    }

    proptest! {
        #[test]
        fn no_figures_stop_the_meter(numbers in prop::collection::vec(any::<f64>(), 4), big: u64) {
            let mut meter = Meter::new(&[
                rule(UsagePlace::Result, None, "", Covers::Request),
                rule(UsagePlace::Result, None, "", Covers::Conversation),
            ]);
            for number in numbers {
                meter.result(&json!({"in": number, "out": big, "cached": big, "usd": number}));
                meter.turn_ended();
            }
            let kept: Meter = serde_json::from_value(serde_json::to_value(&meter).unwrap()).unwrap();
            prop_assert_eq!(kept, meter);
        }
    }
}
