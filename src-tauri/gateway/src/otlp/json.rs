//! OTLP in JSON, read tolerantly: whole numbers may be text, unknown fields are passed over.

use std::borrow::Cow;

use engine::{Exported, Names};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::gather::{Attributes, CUMULATIVE, DELTA, EVENT_NAME, Gathered, Point, Scalar};
use super::{Signal, Unreadable};

/// The most objects and lists of one body: each becomes a structure.
const PARTS_MAX: usize = 300_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    resource_metrics: Vec<OfResource<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    resource_logs: Vec<OfResource<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    resource_spans: Vec<OfResource<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfResource<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    scope_metrics: Vec<OfScope<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    scope_logs: Vec<OfScope<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    scope_spans: Vec<OfScope<'a>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    attributes: Vec<Attribute<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfScope<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    metrics: Vec<Metric<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    log_records: Vec<Log<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    spans: Vec<Span<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sum: Option<Data<'a>>,
    #[serde(borrow)]
    histogram: Option<Data<'a>>,
    #[serde(borrow)]
    exponential_histogram: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    aggregation_temporality: Option<Temporality<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    data_points: Vec<DataPoint<'a>>,
}

/// A number by the standard; some write its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Temporality<'a> {
    Number(u64),
    Name(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataPoint<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    attributes: Vec<Attribute<'a>>,
    as_double: Option<Number>,
    as_int: Option<Number>,
    sum: Option<Number>,
    count: Option<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log<'a> {
    #[serde(borrow)]
    body: Option<Any<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    attributes: Vec<Attribute<'a>>,
    #[serde(borrow)]
    event_name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    attributes: Vec<Attribute<'a>>,
    start_time_unix_nano: Option<Number>,
    end_time_unix_nano: Option<Number>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Attribute<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Any<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Any<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    int_value: Option<Number>,
    double_value: Option<Number>,
}

/// A number that may be written as text.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        #[expect(clippy::cast_precision_loss, reason = "no figure is that large")]
        impl Visitor<'_> for Reads {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or one as text")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Number, E> {
                value.trim().parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

/// A list; nothing is an empty one.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Any<'_> {
    fn scalar(&self) -> Scalar<'_> {
        match self {
            Self { string_value: Some(text), .. } => Scalar::Text(text),
            Self { bool_value: Some(flag), .. } => Scalar::Flag(*flag),
            Self { int_value: Some(Number(number)), .. }
            | Self { double_value: Some(Number(number)), .. } => Scalar::Number(*number),
            _ => Scalar::Other(&[]),
        }
    }
}

fn attributes(all: &[Attribute<'_>]) -> Attributes {
    let mut gathered = Attributes::default();
    for Attribute { key, value } in all {
        if let (Some(key), Some(value)) = (key, value) {
            gathered.add(key, value.scalar());
        }
    }
    gathered
}

/// Reads a body.
pub(super) fn read(signal: Signal, bytes: &[u8]) -> Result<Vec<Exported>, Unreadable> {
    let parts = bytes.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if parts > PARTS_MAX {
        return Err(Unreadable::TooMuch("300,000 objects and lists"));
    }
    let body: Body<'_> = serde_json::from_slice(bytes)?;
    let resources = match signal {
        Signal::Metrics => body.resource_metrics,
        Signal::Logs => body.resource_logs,
        Signal::Traces => body.resource_spans,
    };
    let mut gathered = Gathered::default();
    for of_resource in &resources {
        let own = of_resource.resource.as_ref().map(|it| attributes(&it.attributes));
        gathered.resource(own.unwrap_or_default())?;
        for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            take_metric(&mut gathered, metric)?;
        }
        for log in of_resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            take_log(&mut gathered, log)?;
        }
        for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            take_span(&mut gathered, span)?;
        }
    }
    Ok(gathered.take())
}

fn take_metric(gathered: &mut Gathered, metric: &Metric<'_>) -> Result<(), Unreadable> {
    let name = metric.name.as_deref().unwrap_or_default();
    if !Names::built_in().has_metric(name) {
        return Ok(());
    }
    let all = [&metric.sum, &metric.histogram, &metric.exponential_histogram];
    for data in all.into_iter().flatten() {
        let temporality = match &data.aggregation_temporality {
            Some(Temporality::Number(number)) => *number,
            Some(Temporality::Name(name)) if name.ends_with("_DELTA") => DELTA,
            Some(Temporality::Name(name)) if name.ends_with("_CUMULATIVE") => CUMULATIVE,
            _ => 0,
        };
        for point in &data.data_points {
            let value = point.as_double.or(point.as_int);
            let figures = match (value, point.count) {
                (Some(Number(sum)), _) => Point { sum, count: 1.0 },
                (None, Some(Number(count))) => {
                    Point { sum: point.sum.map_or(0.0, |Number(sum)| sum), count }
                }
                (None, None) => continue,
            };
            gathered.point(name, temporality, figures, attributes(&point.attributes))?;
        }
    }
    Ok(())
}

fn take_log(gathered: &mut Gathered, log: &Log<'_>) -> Result<(), Unreadable> {
    let body = log.body.as_ref().and_then(|body| body.string_value.as_deref());
    let named = log.attributes.iter().find(|it| it.key.as_deref() == Some(EVENT_NAME));
    let named = named.and_then(|it| it.value.as_ref()?.string_value.as_deref());
    gathered.event([log.event_name.as_deref(), body, named], attributes(&log.attributes))
}

fn take_span(gathered: &mut Gathered, span: &Span<'_>) -> Result<(), Unreadable> {
    let at = |time: Option<Number>| time.map_or(0.0, |Number(at)| at);
    let took = at(span.end_time_unix_nano) - at(span.start_time_unix_nano);
    let code = span.status.as_ref().and_then(|status| status.code.as_ref());
    let failed = match code {
        Some(serde_json::Value::Number(code)) => code.as_u64() == Some(2),
        Some(serde_json::Value::String(code)) => code == "STATUS_CODE_ERROR",
        _ => false,
    };
    gathered.span(took / 1e6, failed, attributes(&span.attributes))
}

#[cfg(test)]
mod tests {
    use engine::Measurement;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tokens(value: serde_json::Value) -> Vec<f64> {
        let body = json!({"resourceMetrics": [{"resource": null, "scopeMetrics": [{"metrics": [{
            "name": "claude_code.token.usage",
            "sum": {"aggregationTemporality": 1, "unknown": {}, "dataPoints": [value]},
        }]}]}]});
        let read = read(Signal::Metrics, body.to_string().as_bytes()).unwrap();
        let samples = read.iter().flat_map(|export| &export.samples);
        samples
            .map(|sample| match sample.what {
                Measurement::Metric { sum, .. } => sum,
                _ => f64::NAN,
            })
            .collect()
    }

    #[test]
    fn whole_numbers_are_read_as_numbers_and_as_text() {
        assert_eq!(tokens(json!({"asInt": "4000", "attributes": null})), [4000.0]);
        assert_eq!(tokens(json!({"asInt": 4000})), [4000.0]);
        assert_eq!(tokens(json!({"asDouble": 40.5, "exemplars": [[]]})), [40.5]);
        assert_eq!(tokens(json!({})), Vec::<f64>::new());
        assert!(read(Signal::Metrics, b"{").is_err());
        assert!(read(Signal::Metrics, b"7").is_err());
    }

    #[test]
    fn empty_objects_by_the_million_and_endless_depth_are_refused() {
        let many = format!("{{\"resourceMetrics\":[{}{{}}]}}", "{},".repeat(PARTS_MAX));
        assert!(matches!(read(Signal::Metrics, many.as_bytes()), Err(Unreadable::TooMuch(_))));
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(matches!(read(Signal::Metrics, deep.as_bytes()), Err(Unreadable::Json(_))));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, name: String, value: f64) {
            let _ = read(Signal::Logs, text.as_bytes());
            let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
                "attributes": [{"key": name, "value": {"stringValue": text}}],
                "endTimeUnixNano": value,
            }]}]}]});
            let _ = read(Signal::Traces, body.to_string().as_bytes());
        }
    }
}
