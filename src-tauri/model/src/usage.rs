//! Usage: tokens and cost of an attempt. What is not known stays unknown; it is never zero.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest figure that is believed: far beyond what any attempt uses, and small enough that the
/// figures of all attempts can be added up, and that browsers read them exactly.
pub const FIGURE_MAX: u64 = 1_000_000_000_000_000;

/// Tokens by kind; what nobody said is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Tokens {
    /// Read by the model anew.
    pub uncached_input: Option<u64>,
    /// Read by the model from its cache.
    pub cache_read: Option<u64>,
    /// Written to the model's cache.
    pub cache_write: Option<u64>,
    /// Written by the model, its reasoning included.
    pub output: Option<u64>,
    /// Of the output, what the model wrote to itself.
    pub reasoning: Option<u64>,
}

impl Tokens {
    /// Everything read and written, as far as it is known; nothing where nothing is.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let known = [self.uncached_input, self.cache_read, self.cache_write, self.output];
        sum(&known)
    }

    /// All input, as far as it is known; nothing where nothing is.
    #[must_use]
    pub fn input(&self) -> Option<u64> {
        let known = [self.uncached_input, self.cache_read, self.cache_write];
        sum(&known)
    }

    /// Both together; a kind is unknown only where both do not know it.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            uncached_input: add(self.uncached_input, other.uncached_input),
            cache_read: add(self.cache_read, other.cache_read),
            cache_write: add(self.cache_write, other.cache_write),
            output: add(self.output, other.output),
            reasoning: add(self.reasoning, other.reasoning),
        }
    }
}

fn sum(figures: &[Option<u64>]) -> Option<u64> {
    figures.iter().fold(None, |sum, figure| add(sum, *figure))
}

const fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (Some(known), None) | (None, Some(known)) => Some(known),
        (None, None) => None,
    }
}

/// How full the agent's context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Context {
    /// Tokens in it.
    pub used: u64,
    /// Tokens that fit.
    pub size: u64,
}

impl Context {
    /// How full it is, in percent; nothing where the size is not known.
    #[must_use]
    pub fn percent(&self) -> Option<u8> {
        let percent = self.used.saturating_mul(100).checked_div(self.size)?;
        Some(u8::try_from(percent.min(100)).unwrap_or(100))
    }
}

/// Where figures come from, best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The agent exported them by OpenTelemetry.
    Otlp,
    /// The agent's own result says so, for the whole of its work.
    Result,
    /// Read from the file that the agent itself writes of its session.
    SessionFile,
    /// Summed up from what the agent said of each request or turn.
    Sum,
    /// The agent said only a part, such as its last request.
    Partial,
}

impl UsageSource {
    /// Every source, best first.
    pub const ALL: [Self; 5] =
        [Self::Otlp, Self::Result, Self::SessionFile, Self::Sum, Self::Partial];

    /// The word used in storage and interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Result => "result",
            Self::SessionFile => "session_file",
            Self::Sum => "sum",
            Self::Partial => "partial",
        }
    }
}

/// What an attempt has used according to one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Who says so.
    pub source: UsageSource,
    /// The model, where it is known; several are joined by a comma.
    pub model: Option<String>,
    /// Tokens of the whole attempt so far.
    pub tokens: Tokens,
    /// Model requests, where they were counted.
    pub requests: Option<u64>,
    /// What it cost as the agent says, in millionths of a US dollar.
    pub reported_cost_micros: Option<u64>,
    /// What it cost by our own prices, in millionths of a US dollar; nothing without a price.
    pub own_cost_micros: Option<u64>,
    /// The day the prices are of, such as `2026-11-01`.
    pub prices_of: Option<String>,
    /// Time spent waiting for the model, in milliseconds.
    pub model_ms: Option<u64>,
    /// Turns so far.
    pub turns: u64,
    /// Tool calls so far.
    pub tool_calls: u64,
    /// Of these, the ones that failed.
    pub tool_failures: u64,
    /// How full its context is.
    pub context: Option<Context>,
}

impl Usage {
    /// Nothing used yet, according to `source`.
    #[must_use]
    pub const fn none(source: UsageSource) -> Self {
        Self {
            source,
            model: None,
            tokens: Tokens {
                uncached_input: None,
                cache_read: None,
                cache_write: None,
                output: None,
                reasoning: None,
            },
            requests: None,
            reported_cost_micros: None,
            own_cost_micros: None,
            prices_of: None,
            model_ms: None,
            turns: 0,
            tool_calls: 0,
            tool_failures: 0,
            context: None,
        }
    }

    /// The same with every figure above [`FIGURE_MAX`] made that: what an agent says of itself is not to
    /// break the sums of all.
    #[must_use]
    pub fn bounded(self) -> Self {
        let most = |figure: Option<u64>| figure.map(|it| it.min(FIGURE_MAX));
        let tokens = Tokens {
            uncached_input: most(self.tokens.uncached_input),
            cache_read: most(self.tokens.cache_read),
            cache_write: most(self.tokens.cache_write),
            output: most(self.tokens.output),
            reasoning: most(self.tokens.reasoning),
        };
        let context = self
            .context
            .map(|it| Context { used: it.used.min(FIGURE_MAX), size: it.size.min(FIGURE_MAX) });
        Self {
            tokens,
            requests: most(self.requests),
            reported_cost_micros: most(self.reported_cost_micros),
            own_cost_micros: most(self.own_cost_micros),
            model_ms: most(self.model_ms),
            turns: self.turns.min(FIGURE_MAX),
            tool_calls: self.tool_calls.min(FIGURE_MAX),
            tool_failures: self.tool_failures.min(FIGURE_MAX),
            context,
            ..self
        }
    }

    /// Of what several sources say of the same attempt, the best. They are never added up.
    #[must_use]
    pub fn best(all: &[Self]) -> Option<&Self> {
        let says = |usage: &&Self| usage.tokens.total().is_some();
        all.iter().filter(says).min_by_key(|usage| usage.source).or_else(|| all.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_stays_unknown_and_is_not_zero() {
        assert_eq!(Tokens::default().total(), None);
        let some = Tokens { output: Some(5), ..Tokens::default() };
        assert_eq!(some.total(), Some(5));
        assert_eq!(some.plus(&some).output, Some(10));
        assert_eq!(some.plus(&some).cache_read, None);
        assert_eq!(Context { used: 5, size: 0 }.percent(), None);
        assert_eq!(Context { used: 150, size: 100 }.percent(), Some(100));
    }

    #[test]
    fn figures_that_nobody_can_mean_neither_overflow_a_sum_nor_are_kept() {
        let most = Some(u64::MAX);
        let tokens = Tokens {
            uncached_input: most,
            cache_read: most,
            cache_write: most,
            output: most,
            reasoning: most,
        };
        assert_eq!((tokens.total(), tokens.input()), (most, most));
        let usage = Usage {
            tokens,
            requests: most,
            reported_cost_micros: most,
            own_cost_micros: most,
            model_ms: most,
            turns: u64::MAX,
            tool_calls: u64::MAX,
            tool_failures: u64::MAX,
            context: Some(Context { used: u64::MAX, size: u64::MAX }),
            ..Usage::none(UsageSource::Result)
        };
        let text = serde_json::to_string(&usage.clone().bounded()).unwrap();
        assert!(!text.contains(&u64::MAX.to_string()), "{text}");
        assert_eq!(text.matches(&FIGURE_MAX.to_string()).count(), 14, "{text}");
        assert_eq!(usage.clone().bounded().bounded(), usage.bounded());
        let some = Usage { turns: 3, ..Usage::none(UsageSource::Sum) };
        assert_eq!(some.clone().bounded(), some);
    }

    #[test]
    fn the_best_source_is_taken_alone_and_one_that_says_nothing_is_passed_over() {
        let of = |source, output| Usage {
            tokens: Tokens { output, ..Tokens::default() },
            ..Usage::none(source)
        };
        let all = [
            of(UsageSource::Sum, Some(3)),
            of(UsageSource::Otlp, None),
            of(UsageSource::Result, Some(4)),
        ];
        assert_eq!(Usage::best(&all).unwrap().tokens.output, Some(4));
        assert_eq!(Usage::best(&[]), None);
    }
}
