//! OTLP in protobuf, read in place: a field is a slice of the body, and nothing is built of those
//! that are not asked for.

use engine::{Exported, Names};

use super::gather::{Attributes, EVENT_NAME, Gathered, Point, Scalar};
use super::{Signal, Unreadable};

/// The state of a span that failed.
const SPAN_FAILED: u64 = 2;
/// The longest number, in bytes.
const VARINT_BYTES_MAX: usize = 10;

/// A message: its fields in the order in which they came.
#[derive(Debug, Clone, Copy)]
struct Message<'a>(&'a [u8]);

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Held<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    /// Four bytes; nothing that is read has them.
    Short,
}

type Field<'a> = (u64, Held<'a>);

impl<'a> Message<'a> {
    /// The next field, and what is left.
    fn next(&mut self) -> Result<Option<Field<'a>>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let held = match key & 7 {
            0 => Held::Varint(self.varint()?),
            1 => Held::Fixed(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let (bytes, rest) = self
                    .0
                    .split_at_checked(len)
                    .ok_or(Unreadable::Proto("a field is longer than the message"))?;
                self.0 = rest;
                Held::Bytes(bytes)
            }
            5 => {
                self.fixed::<4>()?;
                Held::Short
            }
            _ => return Err(Unreadable::Proto("a field is of a type that is not in use")),
        };
        match key >> 3 {
            0 => Err(Unreadable::Proto("a field has the number 0")),
            number => Ok(Some((number, held))),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let cut_off = Unreadable::Proto("it is cut off");
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(cut_off)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let [byte] = self.fixed::<1>()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(u32::try_from(place).unwrap_or(0) * 7).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Proto("a number is too long"))
    }

    /// Calls `each` with every field.
    fn fields(
        mut self,
        mut each: impl FnMut(u64, Held<'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        while let Some((number, held)) = self.next()? {
            each(number, held)?;
        }
        Ok(())
    }

    /// Calls `each` with every message in the field of this number.
    fn messages(
        self,
        wanted: u64,
        mut each: impl FnMut(Message<'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.fields(|number, held| match held {
            Held::Bytes(bytes) if number == wanted => each(Message(bytes)),
            _ => Ok(()),
        })
    }

    /// The text in the field of this number.
    fn text(self, wanted: u64) -> Result<Option<&'a str>, Unreadable> {
        let mut found = None;
        self.fields(|number, held| {
            if let Held::Bytes(bytes) = held
                && number == wanted
            {
                found = std::str::from_utf8(bytes).ok();
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Attributes in the field of this number.
    fn attributes(self, wanted: u64) -> Result<Attributes, Unreadable> {
        let mut all = Attributes::default();
        self.messages(wanted, |attribute| {
            let key = attribute.text(1)?.unwrap_or_default();
            attribute.messages(2, |value| {
                if let Some(value) = value.scalar()? {
                    all.add(key, value);
                }
                Ok(())
            })
        })?;
        Ok(all)
    }

    /// What an `AnyValue` holds.
    fn scalar(self) -> Result<Option<Scalar<'a>>, Unreadable> {
        let mut found = None;
        self.fields(|number, held| {
            found = match (number, held) {
                (1, Held::Bytes(bytes)) => {
                    Some(std::str::from_utf8(bytes).map_or(Scalar::Other(bytes), Scalar::Text))
                }
                (2, Held::Varint(value)) => Some(Scalar::Flag(value != 0)),
                (3, Held::Varint(value)) => Some(Scalar::Int(value.cast_signed())),
                (4, Held::Fixed(value)) => Some(Scalar::Number(f64::from_bits(value))),
                (5..=7, Held::Bytes(bytes)) => Some(Scalar::Other(bytes)),
                _ => return Ok(()),
            };
            Ok(())
        })?;
        Ok(found)
    }
}

/// Reads a body.
pub(super) fn read(signal: Signal, bytes: &[u8]) -> Result<Vec<Exported>, Unreadable> {
    let mut gathered = Gathered::default();
    Message(bytes).messages(1, |of_resource| {
        let mut attributes = Attributes::default();
        of_resource.messages(1, |resource| {
            attributes = resource.attributes(1)?;
            Ok(())
        })?;
        gathered.resource(attributes)?;
        of_resource.messages(2, |of_scope| {
            of_scope.messages(2, |item| match signal {
                Signal::Metrics => metric(&mut gathered, item),
                Signal::Logs => log(&mut gathered, item),
                Signal::Traces => span(&mut gathered, item),
            })
        })
    })?;
    Ok(gathered.take())
}

fn metric(gathered: &mut Gathered, metric: Message<'_>) -> Result<(), Unreadable> {
    let Some(name) = metric.text(1)?.filter(|name| Names::built_in().has_metric(name)) else {
        return Ok(());
    };
    metric.fields(|number, held| {
        let Held::Bytes(bytes) = held else { return Ok(()) };
        let point = match number {
            7 => number_point,
            9 => histogram_point,
            10 => exponential_point,
            // Gauges and summaries do not add up.
            _ => return Ok(()),
        };
        let data = Message(bytes);
        let mut temporality = 0;
        data.fields(|number, held| {
            if let (2, Held::Varint(value)) = (number, held) {
                temporality = value;
            }
            Ok(())
        })?;
        data.messages(1, |it| {
            let (figures, attributes) = point(it)?;
            match figures {
                Some(figures) => gathered.point(name, temporality, figures, attributes),
                None => Ok(()),
            }
        })
    })
}

type Read = Result<(Option<Point>, Attributes), Unreadable>;

fn number_point(point: Message<'_>) -> Read {
    let mut value = None;
    point.fields(|number, held| {
        match (number, held) {
            (4, Held::Fixed(bits)) => value = Some(f64::from_bits(bits)),
            #[expect(clippy::cast_precision_loss, reason = "no figure is that large")]
            (6, Held::Fixed(bits)) => value = Some(bits.cast_signed() as f64),
            _ => {}
        }
        Ok(())
    })?;
    Ok((value.map(|sum| Point { sum, count: 1.0 }), point.attributes(7)?))
}

fn histogram_point(point: Message<'_>) -> Read {
    Ok((sum_and_count(point)?, point.attributes(9)?))
}

fn exponential_point(point: Message<'_>) -> Read {
    Ok((sum_and_count(point)?, point.attributes(1)?))
}

fn sum_and_count(point: Message<'_>) -> Result<Option<Point>, Unreadable> {
    let (mut sum, mut count) = (0.0, None);
    point.fields(|number, held| {
        match (number, held) {
            #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
            (4, Held::Fixed(value)) => count = Some(value as f64),
            (5, Held::Fixed(bits)) => sum = f64::from_bits(bits),
            _ => {}
        }
        Ok(())
    })?;
    Ok(count.map(|count| Point { sum, count }))
}

fn log(gathered: &mut Gathered, record: Message<'_>) -> Result<(), Unreadable> {
    let attributes = record.attributes(6)?;
    let mut body = None;
    record.messages(5, |value| {
        body = value.text(1)?;
        Ok(())
    })?;
    let mut named = None;
    record.messages(6, |attribute| {
        if attribute.text(1)? == Some(EVENT_NAME) {
            attribute.messages(2, |value| {
                named = value.text(1)?;
                Ok(())
            })?;
        }
        Ok(())
    })?;
    gathered.event([record.text(12)?, body, named], attributes)
}

fn span(gathered: &mut Gathered, span: Message<'_>) -> Result<(), Unreadable> {
    let (mut start, mut end, mut failed) = (0u64, 0u64, false);
    span.fields(|number, held| {
        match (number, held) {
            (7, Held::Fixed(at)) => start = at,
            (8, Held::Fixed(at)) => end = at,
            (15, Held::Bytes(status)) => Message(status).fields(|number, held| {
                if let (3, Held::Varint(code)) = (number, held) {
                    failed = code == SPAN_FAILED;
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    #[expect(clippy::cast_precision_loss, reason = "no span is that long")]
    let ms = end.saturating_sub(start) as f64 / 1e6;
    gathered.span(ms, failed, span.attributes(9)?)
}

/// The answer that says that some of it could not be put onto anybody.
pub(super) fn partial_success(rejected: u64, why: &str) -> Vec<u8> {
    let mut partial = vec![1 << 3];
    put_varint(&mut partial, rejected);
    partial.push(2 << 3 | 2);
    put_varint(&mut partial, why.len() as u64);
    partial.extend(why.as_bytes());
    let mut answer = vec![1 << 3 | 2];
    put_varint(&mut answer, partial.len() as u64);
    answer.extend(partial);
    answer
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use engine::{Measurement, Temporality, Value};
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::{
        Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric, number_data_point,
    };
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn attribute(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(value) }),
            ..Default::default()
        }
    }

    fn text(key: &str, value: &str) -> KeyValue {
        attribute(key, any_value::Value::StringValue(value.into()))
    }

    fn resource() -> Option<Resource> {
        Some(Resource {
            attributes: vec![text("hivekeeper.attempt.id", "x")],
            ..Resource::default()
        })
    }

    fn metrics(metrics: Vec<Metric>) -> Vec<u8> {
        let scope = ScopeMetrics { metrics, ..ScopeMetrics::default() };
        let of_resource = ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        };
        ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }.encode_to_vec()
    }

    fn usage(name: &str, temporality: i32, value: i64) -> Metric {
        let point = NumberDataPoint {
            attributes: vec![text("type", "input"), text("prompt", "secret")],
            value: Some(number_data_point::Value::AsInt(value)),
            ..NumberDataPoint::default()
        };
        let sum = Sum {
            data_points: vec![point],
            aggregation_temporality: temporality,
            is_monotonic: true,
        };
        Metric { name: name.into(), data: Some(metric::Data::Sum(sum)), ..Metric::default() }
    }

    #[test]
    fn points_are_read_as_the_standards_own_types_write_them() {
        let histogram = HistogramDataPoint {
            attributes: vec![text("token_type", "output")],
            count: 3,
            sum: Some(200.0),
            ..HistogramDataPoint::default()
        };
        let histogram = Metric {
            name: "codex.turn.token_usage".into(),
            data: Some(metric::Data::Histogram(Histogram {
                data_points: vec![histogram],
                aggregation_temporality: 1,
            })),
            ..Metric::default()
        };
        let body = metrics(vec![
            usage("claude_code.token.usage", 2, -7),
            usage("somebody.elses", 2, 7),
            usage("claude_code.token.usage", 0, 7),
            histogram,
        ]);
        let read = read(Signal::Metrics, &body).unwrap();
        let [export] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(export.resource, [("hivekeeper.attempt.id".into(), Value::Text("x".into()))]);
        let [first, second] = export.samples.as_slice() else { panic!("{export:?}") };
        assert!(matches!(
            first.what,
            Measurement::Metric { temporality: Temporality::Cumulative, sum: -7.0, count: 1.0, .. }
        ));
        assert_eq!(first.attributes, [("type".into(), Value::Text("input".into()))], "no text");
        assert!(matches!(
            second.what,
            Measurement::Metric { temporality: Temporality::Delta, sum: 200.0, count: 3.0, .. }
        ));
    }

    #[test]
    fn events_are_known_by_any_of_their_names_and_spans_by_what_they_did() {
        let record = |body: &str, attributes: Vec<KeyValue>, event_name: &str| LogRecord {
            body: Some(AnyValue { value: Some(any_value::Value::StringValue(body.into())) }),
            attributes,
            event_name: event_name.into(),
            ..LogRecord::default()
        };
        let number = attribute("input_tokens", any_value::Value::IntValue(12));
        let scope = ScopeLogs {
            log_records: vec![
                record("claude_code.api_request", vec![number], ""),
                record("a secret prompt", vec![text("event.name", "codex.tool_result")], ""),
                record("", vec![], "gemini_cli.tool_call"),
                record("something else", vec![], ""),
            ],
            ..ScopeLogs::default()
        };
        let of_resource =
            ResourceLogs { resource: resource(), scope_logs: vec![scope], ..Default::default() };
        let body = ExportLogsServiceRequest { resource_logs: vec![of_resource] }.encode_to_vec();
        let logs = read(Signal::Logs, &body).unwrap();
        let names: Vec<_> = logs[0].samples.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["claude_code.api_request", "codex.tool_result", "gemini_cli.tool_call"]);
        assert!(!format!("{logs:?}").contains("secret"));

        let span = Span {
            attributes: vec![text("gen_ai.operation.name", "chat")],
            start_time_unix_nano: 1_000_000,
            end_time_unix_nano: 6_000_000,
            status: Some(Status { code: 2, ..Status::default() }),
            ..Span::default()
        };
        let scope = ScopeSpans { spans: vec![span, Span::default()], ..ScopeSpans::default() };
        let of_resource =
            ResourceSpans { resource: resource(), scope_spans: vec![scope], ..Default::default() };
        let body = ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec();
        let spans = read(Signal::Traces, &body).unwrap();
        assert_eq!(spans[0].samples.len(), 1);
        assert_eq!(spans[0].samples[0].what, Measurement::Span { ms: 5.0, failed: true });
    }

    #[test]
    fn empty_messages_by_the_million_become_nothing() {
        // As the standard's own types, each of these would be a structure of its own.
        let body: Vec<u8> = [0x0a, 0x00].repeat(10 * 1024 * 1024);
        assert_eq!(body.len(), super::super::UNPACKED_BYTES_MAX);
        let read = read(Signal::Metrics, &body);
        assert!(matches!(read, Err(Unreadable::TooMuch(_))), "{:?}", read.map(|it| it.len()));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_as_it_was(
            points in proptest::collection::vec((any::<i64>(), 1..=2i32), 1..20),
            cut in 0..2_000usize,
        ) {
            let all = points.iter().map(|(value, how)| usage("qwen-code.token.usage", *how, *value));
            let body = metrics(all.collect());
            let read_back = read(Signal::Metrics, &body).unwrap();
            let sums: Vec<f64> = read_back[0].samples.iter().map(|it| match it.what {
                Measurement::Metric { sum, .. } => sum,
                _ => f64::NAN,
            }).collect();
            let written: Vec<f64> = points.iter().map(|(value, _)| *value as f64).collect();
            prop_assert_eq!(sums, written);
            // Cut off anywhere, it is refused or read in part, and never panics.
            let _ = read(Signal::Metrics, &body[..cut.min(body.len())]);
        }
    }
}
