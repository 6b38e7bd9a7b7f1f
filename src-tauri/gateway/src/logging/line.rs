//! How a line of the log looks: JSON with time, level, target, agent, mission and correlation id in
//! every one of them, whether they are known or not, and without secrets.

use std::fmt::{self, Debug};

use model::clock::{Clock as _, SystemClock};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The longest text of one field, in bytes; the rest is cut off.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// The most fields of one line.
const FIELDS_MAX: usize = 64;

/// Writes lines.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            if let Some(known) = extensions.get::<FormattedFields<N>>()
                && let Ok(Value::Object(known)) = serde_json::from_str(known.fields.as_str())
            {
                known.into_iter().for_each(|(name, value)| fields.put(&name, value));
            }
        }
        event.record(&mut fields);
        let line = fields.line(event.metadata().level().as_str(), event.metadata().target());
        writeln!(writer, "{line}")
    }
}

/// The fields of a line; the innermost word counts.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        if self.0.len() < FIELDS_MAX || self.0.contains_key(name) {
            self.0.insert(name.to_owned(), clean(value));
        }
    }

    /// Takes out what goes by the first of these names that is there.
    fn take(&mut self, names: &[&str]) -> Value {
        let mut taken = Value::Null;
        for name in names {
            if let Some(value) = self.0.remove(*name)
                && taken.is_null()
            {
                taken = value;
            }
        }
        taken
    }

    fn line(mut self, level: &str, target: &str) -> Value {
        let message = self.take(&["message"]);
        let agent = self.take(&["agent", "agent_id"]);
        let mission = self.take(&["mission", "mission_id"]);
        let correlation_id = self.take(&["correlation_id"]);
        let mut line = Map::new();
        line.insert("time".to_owned(), SystemClock.now().to_string().into());
        line.insert("level".to_owned(), level.into());
        line.insert("target".to_owned(), target.into());
        line.insert("agent".to_owned(), agent);
        line.insert("mission".to_owned(), mission);
        line.insert("correlation_id".to_owned(), correlation_id);
        line.insert("message".to_owned(), message);
        line.insert("fields".to_owned(), Value::Object(self.0));
        Value::Object(line)
    }
}

/// A value without secrets, and no longer than a line should be.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let mut text = match engine::without_secrets(&text) {
                std::borrow::Cow::Owned(clean) => clean,
                std::borrow::Cow::Borrowed(_) => text,
            };
            if text.len() > TEXT_BYTES_MAX {
                text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
                text.push('…');
            }
            Value::String(text)
        }
        other => other,
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(source) = next {
            text.push_str(": ");
            text.push_str(&source.to_string());
            next = source.source();
        }
        self.put(field.name(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let layer = fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(kept.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_line_has_its_time_level_agent_mission_and_correlation_id() {
        let lines = logged(|| {
            tracing::warn!(n = 7, "without anything around it");
            let outer = tracing::info_span!("request", correlation_id = "c-1", agent = "ann");
            let _outer = outer.enter();
            let inner = tracing::info_span!("attempt", mission = tracing::field::Empty);
            inner.record("mission", "M-7K2P");
            let _inner = inner.enter();
            tracing::info!(agent_id = "bob", "within both");
            tracing::info!(mission = "M-0000", "its own word counts");
        });
        for line in &lines {
            for name in ["time", "level", "target", "agent", "mission", "correlation_id", "message"]
            {
                assert!(line.get(name).is_some(), "{name}: {line}");
            }
            assert!(line["time"].as_str().unwrap().parse::<model::Timestamp>().is_ok());
        }
        assert_eq!((&lines[0]["level"], &lines[0]["agent"]), (&"WARN".into(), &Value::Null));
        assert_eq!(lines[0]["fields"]["n"], 7);
        assert_eq!(lines[1]["correlation_id"], "c-1");
        assert_eq!((&lines[1]["agent"], &lines[1]["mission"]), (&"ann".into(), &"M-7K2P".into()));
        assert_eq!(lines[2]["mission"], "M-0000");
        assert_eq!(lines[1]["message"], "within both");
    }

    #[test]
    fn a_secret_and_a_long_text_are_cut_out_of_a_line() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let long = "x".repeat(100_000);
        let error = io::Error::other(format!("sent {token}"));
        let lines = logged(|| {
            tracing::error!(error = &error as &dyn std::error::Error, long, "said {token}");
        });
        let text = lines[0].to_string();
        assert!(!text.contains(&token), "{text}");
        assert!(text.len() < 10_000 && text.contains('…'));
    }
}
