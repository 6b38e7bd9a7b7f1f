//! The name table: what agents call the figures they export, as data.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The table that comes with the program.
const BUILT_IN: &str = include_str!("otlp_names.toml");
/// Where a resource names its attempt.
pub(super) const ATTEMPT: &str = "hivekeeper.attempt.id";
/// Where a resource names its agent.
pub(super) const AGENT: &str = "hivekeeper.agent.id";

/// A kind of tokens as agents tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// All input, the cached included.
    Input,
    UncachedInput,
    CacheRead,
    CacheWrite,
    Output,
    Reasoning,
}

/// What a metric counts that is no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Counts {
    CostUsd,
    Requests,
    ToolCalls,
    Turns,
    ModelMs,
    ModelS,
}

/// What is taken of a histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Take {
    #[default]
    Sum,
    Count,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricRule {
    name: String,
    pub(super) by: Option<String>,
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, Kind>,
    pub(super) kind: Option<Kind>,
    pub(super) counts: Option<Counts>,
    #[serde(default)]
    pub(super) take: Take,
    pub(super) ok: Option<String>,
    pub(super) model: Option<String>,
}

/// What an event or a span says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordRule {
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(super) when: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    pub(super) requests: bool,
    #[serde(default)]
    pub(super) tool: bool,
    #[serde(default)]
    pub(super) turn: bool,
    #[serde(default)]
    pub(super) times: bool,
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, Kind>,
    pub(super) cost_usd: Option<String>,
    pub(super) model_ms: Option<String>,
    pub(super) ok: Option<String>,
    pub(super) model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Road {
    name: String,
    #[serde(default)]
    metric: Vec<MetricRule>,
    #[serde(default)]
    event: Vec<RecordRule>,
    #[serde(default)]
    span: Vec<RecordRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    road: Vec<Road>,
}

/// A rule and its place in the table.
type Placed<T> = (usize, T);

/// The names of figures.
#[derive(Debug)]
pub struct Names {
    roads: Vec<String>,
    metrics: HashMap<String, Placed<MetricRule>>,
    events: HashMap<String, Placed<RecordRule>>,
    spans: Vec<Placed<RecordRule>>,
    attributes: BTreeSet<String>,
}

impl Names {
    /// The table that comes with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static TABLE: LazyLock<Names> =
            LazyLock::new(|| Names::read(BUILT_IN).expect("a test reads the table"));
        &TABLE
    }

    fn read(text: &str) -> Result<Self, toml::de::Error> {
        let table: Table = toml::from_str(text)?;
        let mut names = Self {
            roads: Vec::new(),
            metrics: HashMap::new(),
            events: HashMap::new(),
            spans: Vec::new(),
            attributes: [ATTEMPT, AGENT].map(str::to_owned).into(),
        };
        for (place, road) in table.road.into_iter().enumerate() {
            names.roads.push(road.name);
            for rule in road.metric {
                let read = [&rule.by, &rule.ok, &rule.model];
                names.attributes.extend(read.into_iter().flatten().cloned());
                names.metrics.insert(rule.name.clone(), (place, rule));
            }
            for rule in road.event {
                names.reads(&rule);
                names.events.insert(rule.name.clone(), (place, rule));
            }
            for rule in road.span {
                names.reads(&rule);
                names.spans.push((place, rule));
            }
        }
        Ok(names)
    }

    fn reads(&mut self, rule: &RecordRule) {
        let read = [&rule.cost_usd, &rule.model_ms, &rule.ok, &rule.model];
        self.attributes.extend(read.into_iter().flatten().cloned());
        self.attributes.extend(rule.when.keys().chain(rule.tokens.keys()).cloned());
    }

    /// Whether a metric of this name says anything.
    #[must_use]
    pub fn has_metric(&self, name: &str) -> bool {
        self.metrics.contains_key(name)
    }

    /// Whether an event of this name says anything.
    #[must_use]
    pub fn has_event(&self, name: &str) -> bool {
        self.events.contains_key(name)
    }

    /// Whether an attribute is read. All others are dropped where they come in: they may hold
    /// prompts, arguments and code.
    #[must_use]
    pub fn has_attribute(&self, key: &str) -> bool {
        self.attributes.contains(key)
    }

    /// The name of the road at a place, for what is kept in files.
    pub(super) fn road(&self, place: usize) -> &str {
        self.roads.get(place).map_or("", String::as_str)
    }

    pub(super) fn roads(&self) -> &[String] {
        &self.roads
    }

    pub(super) fn metric(&self, name: &str) -> Option<&Placed<MetricRule>> {
        self.metrics.get(name)
    }

    pub(super) fn event(&self, name: &str) -> Option<&Placed<RecordRule>> {
        self.events.get(name)
    }

    pub(super) fn spans(&self) -> &[Placed<RecordRule>] {
        &self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_every_rule_says_something() {
        let names = Names::read(BUILT_IN).unwrap();
        for (name, (_, rule)) in &names.metrics {
            let tokens = rule.by.is_some() && !rule.tokens.is_empty();
            let said = [tokens, rule.kind.is_some(), rule.counts.is_some()];
            assert_eq!(said.into_iter().filter(|said| *said).count(), 1, "{name}");
        }
        let records = names.events.values().chain(&names.spans);
        for (_, rule) in records {
            assert!(rule.requests || rule.tool || rule.turn || !rule.tokens.is_empty(), "{rule:?}");
        }
        assert!(names.spans.iter().all(|(_, rule)| !rule.when.is_empty()));
    }

    #[test]
    fn nothing_that_holds_text_of_prompts_or_tools_is_read() {
        let names = Names::built_in();
        for key in ["prompt", "arguments", "tool_input", "gen_ai.input.messages", "body"] {
            assert!(!names.has_attribute(key), "{key}");
        }
    }
}
