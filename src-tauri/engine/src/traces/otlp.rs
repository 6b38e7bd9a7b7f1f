//! Spans as OTLP in protobuf, by the standard's own types.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as proto, ResourceSpans, ScopeSpans, Status};
use prost::Message as _;

use super::spans::{Said, Span};

/// The name of this program in traces.
const NAME: &str = "hivekeeper";

/// Writes spans as the body of a request to `/v1/traces`.
pub(super) fn encode(spans: &[Span], version: &str, run: &str) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            attribute("service.name", &Said::from(NAME)),
            attribute("service.version", &Said::from(version)),
            attribute("service.instance.id", &Said::from(run)),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: NAME.to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.iter().map(of).collect(),
        ..ScopeSpans::default()
    };
    let of_resource = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
}

fn of(span: &Span) -> proto::Span {
    let nanos = |at: jiff::Timestamp| u64::try_from(at.as_nanosecond()).unwrap_or(0);
    let status = span.went_well.map(|well| Status {
        code: if well { StatusCode::Ok } else { StatusCode::Error }.into(),
        ..Status::default()
    });
    proto::Span {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: span.parent.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        name: span.name.clone(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(span.from),
        end_time_unix_nano: nanos(span.to),
        attributes: span.attributes.iter().map(|(key, said)| attribute(key, said)).collect(),
        status,
        ..proto::Span::default()
    }
}

fn attribute(key: &str, said: &Said) -> KeyValue {
    let value = match said {
        Said::Text(text) => any_value::Value::StringValue(text.clone()),
        Said::Number(number) => any_value::Value::IntValue(*number),
        Said::Flag(flag) => any_value::Value::BoolValue(*flag),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
