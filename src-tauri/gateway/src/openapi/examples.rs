//! Requests and answers as they were: one file for each operation, by its name.
//!
//! `scripts/examples.sh` records them from a real engine, with what differs from run to run replaced.
//! A file holds the parameters of the path and the query, the body of the request, and the status
//! and body of the answer.

use rust_embed::RustEmbed;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder};
use utoipa::openapi::{Content, RefOr};

/// The recorded files.
#[derive(RustEmbed)]
#[folder = "src/openapi/examples"]
struct Recorded;

/// One request and its answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    /// Parameters of the path, the query and the headers, by name.
    #[serde(default)]
    parameters: Map<String, Value>,
    /// The body of the request.
    #[serde(default)]
    request: Option<Value>,
    /// The status of the answer.
    status: u16,
    /// The body of the answer.
    #[serde(default)]
    response: Option<Value>,
}

impl Example {
    /// That of an operation; nothing where none was recorded or the file cannot be read.
    pub(super) fn of(operation: &str) -> Option<Self> {
        let file = Recorded::get(&format!("{operation}.json"))?;
        serde_json::from_slice(&file.data).ok()
    }

    /// Shows the example in the description of its operation.
    pub(super) fn show_in(self, operation: &mut Operation) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter
                && let Some(value) = self.parameters.get(&parameter.name)
            {
                *parameter = with_example(parameter.clone(), value.clone());
            }
        }
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            show(body.content.values_mut().next(), self.request);
        }
        if let Some(RefOr::T(answer)) =
            operation.responses.responses.get_mut(&self.status.to_string())
        {
            show(answer.content.values_mut().next(), self.response);
        }
    }
}

fn show(content: Option<&mut RefOr<Content>>, example: Option<Value>) {
    if let Some(RefOr::T(content)) = content
        && content.example.is_none()
        && content.examples.is_empty()
    {
        content.example = example;
    }
}

fn with_example(parameter: Parameter, value: Value) -> Parameter {
    ParameterBuilder::from(parameter).example(Some(value)).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_the_example_of_an_operation_and_can_be_read() {
        let known: BTreeSet<String> = super::super::operations()
            .into_iter()
            .filter_map(|(_, _, operation)| operation.operation_id)
            .collect();
        for name in Recorded::iter() {
            let operation = name.strip_suffix(".json").unwrap();
            assert!(known.contains(operation), "{name} is the example of no operation");
            let file = Recorded::get(&name).unwrap();
            let read: Result<Example, _> = serde_json::from_slice(&file.data);
            assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
        }
    }
}
