//! The JSON Schema (2020-12) of the frames, made from the types themselves.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::frame::Frame;
use super::topic::LiveAsk;

/// Where descriptions of types refer to each other in the API's own description.
const IN_THE_API: &str = "#/components/schemas/";

/// The schema of a frame. `$defs` holds that of everything inside, and under `LiveAsk` that of what
/// a listener may send.
///
/// # Errors
/// When a description cannot be written as JSON.
pub fn schema() -> Result<Value, serde_json::Error> {
    let mut parts = vec![
        (Frame::name().into_owned(), Frame::schema()),
        (LiveAsk::name().into_owned(), LiveAsk::schema()),
    ];
    Frame::schemas(&mut parts);
    LiveAsk::schemas(&mut parts);
    let mut defs = Map::new();
    for (name, schema) in parts {
        let mut schema = serde_json::to_value(schema)?;
        refer_here(&mut schema);
        defs.insert(name, schema);
    }
    defs.sort_keys();
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Frames of Hivekeeper's live stream",
        "description": "What GET /api/v1/live sends, over a WebSocket and as server-sent events.",
        "$ref": "#/$defs/Frame",
        "$defs": defs,
    }))
}

/// The schema as text, with a line end at the end.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn schema_text() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&schema()?)?;
    text.push('\n');
    Ok(text)
}

fn refer_here(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "$ref" => {
                        *text = text.replace(IN_THE_API, "#/$defs/");
                    }
                    field => refer_here(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer_here),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_that_of_this_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/live.schema.json");
        if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
            std::fs::write(path, schema_text().unwrap()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == schema_text().unwrap(),
            "docs/live.schema.json is stale: run this test with HIVEKEEPER_UPDATE_DOCS=1"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = schema().unwrap();
        let text = schema.to_string();
        for rest in text.split("\"$ref\":\"").skip(1) {
            let name = rest.split('"').next().unwrap();
            let name = name.strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
        assert!(jsonschema::draft202012::new(&schema).is_ok());
    }
}
