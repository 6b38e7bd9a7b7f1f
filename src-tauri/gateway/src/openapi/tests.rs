//! What the description of the API promises about itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::rights::{PROTOCOLS, RULES};

/// The whole description, and what of it is looked at.
struct Described(Value);

impl Described {
    fn now() -> Self {
        Self(serde_json::to_value(description()).unwrap())
    }

    /// A part of it, where it is a reference what it refers to.
    fn at<'a>(&'a self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => part,
        }
    }

    /// Every operation with its method and path.
    fn operations(&self) -> impl Iterator<Item = (String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            ["get", "post", "put", "patch", "delete"]
                .into_iter()
                .filter_map(move |method| Some((format!("{method} {path}"), item.get(method)?)))
        })
    }

    /// What is wrong with these values by their schemas, of which all are read at once.
    fn misfits(&self, shown: &[Shown<'_>]) -> Vec<String> {
        let name = |n: usize| format!("{n} {}", shown[n].what);
        let all = |part: fn(&Shown<'_>) -> Value| -> serde_json::Map<String, Value> {
            shown.iter().enumerate().map(|(n, it)| (name(n), part(it))).collect()
        };
        let (schemas, values) = (all(|it| it.schema.clone()), all(|it| it.value.clone()));
        let schema = json!({"components": self.0["components"], "properties": schemas});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let values = Value::Object(values);
        validator.iter_errors(&values).map(|it| format!("{}: {it}", it.instance_path())).collect()
    }
}

/// A value that is shown as an example.
struct Shown<'a> {
    what: String,
    schema: &'a Value,
    value: &'a Value,
}

fn id(operation: &Value) -> &str {
    operation["operationId"].as_str().unwrap()
}

#[test]
fn every_operation_says_what_it_does_what_it_answers_and_how_it_refuses() {
    for (method, path, operation) in operations() {
        let id = operation.operation_id.unwrap();
        let text = |text: Option<String>| !text.unwrap_or_default().trim().is_empty();
        assert!(text(operation.summary), "{path} {id} has no summary");
        assert!(text(operation.description), "{path} {id} has no description");
        assert!(operation.tags.is_some(), "{path} {id} has no tag");
        let statuses: Vec<_> = operation.responses.responses.keys().collect();
        assert!(statuses.iter().any(|status| status.starts_with('2')), "{id}");
        let open = look_up(&method, &path) == Verdict::Rule(Rule::Anybody);
        for refusal in ["401", "403", "429", "503"].iter().filter(|it| !open || **it == "403") {
            assert!(statuses.iter().any(|status| *status == refusal), "{id} {refusal}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let mut names: Vec<_> =
        operations().into_iter().map(|(.., operation)| operation.operation_id.unwrap()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_refusal_of_every_operation_names_its_codes_and_shows_each_of_them() {
    let described = Described::now();
    let mut shown = Vec::new();
    for (request, operation) in described.operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if !status.starts_with(['4', '5']) {
                continue;
            }
            let content = &described.at(response)["content"]["application/problem+json"];
            let codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"].as_array();
            let codes = codes.unwrap_or_else(|| panic!("{request} {status} names no codes"));
            assert!(!codes.is_empty(), "{request} {status}");
            for code in codes {
                let example = &content["examples"][code.as_str().unwrap()]["value"];
                assert_eq!(example["code"], *code, "{request} {status}");
                assert_eq!(example["status"].to_string(), *status, "{request}");
                let what = format!("{request} {status}");
                shown.push(Shown { what, schema: &content["schema"], value: example });
            }
        }
    }
    assert!(shown.len() > 500, "{}", shown.len());
    // Many operations share a description.
    shown.sort_by_key(|it| std::ptr::from_ref(it.value));
    shown.dedup_by_key(|it| std::ptr::from_ref(it.value));
    assert_eq!(described.misfits(&shown), Vec::<String>::new());
}

#[test]
fn every_operation_shows_a_request_and_its_answer_that_fit_their_schemas() {
    let described = Described::now();
    let (mut missing, mut all) = (Vec::new(), Vec::new());
    for (request, operation) in described.operations() {
        let mut check = |what: &str, schema, example| {
            let what = format!("{} ({request}): {what}", id(operation));
            match example {
                None => missing.push(what),
                Some(value) => all.push(Shown { what, schema, value }),
            }
        };
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let example = parameter.get("example");
            if example.is_some() || parameter["in"] == "path" {
                let name = parameter["name"].as_str().unwrap();
                check(name, &parameter["schema"], example);
            }
        }
        if let Some(body) = operation.get("requestBody") {
            let content = &body["content"]["application/json"];
            check("request", &content["schema"], content.get("example"));
        }
        let shown = operation["responses"].as_object().unwrap().iter().find_map(|(status, it)| {
            let content = status.starts_with('2').then(|| it["content"].as_object())??;
            content.values().find(|it| it.get("example").is_some()).or(content.values().next())
        });
        if let Some(content) = shown {
            check("answer", &content["schema"], content.get("example"));
        }
    }
    assert_eq!(described.misfits(&all), Vec::<String>::new());
    assert!(missing.is_empty(), "record these with scripts/examples.sh:\n{}", missing.join("\n"));
}

#[test]
fn an_example_names_no_place_of_the_machine_it_was_recorded_on() {
    let text = text().unwrap();
    for folder in ["tmp", "root", "work", "Users"] {
        assert!(!text.contains(&format!("\"/{folder}/")), "the description names '/{folder}/'");
    }
    assert!(!text.contains("target/debug"), "the description names where it was built");
}

/// What the router itself says it has: its routes with their methods.
fn listing() -> BTreeSet<String> {
    let (router, _) = routes::all().split_for_parts();
    listed(&format!("{:?}", router.merge(crate::otlp::routes())))
}

/// Reads the routes and methods out of how a router shows itself.
fn listed(shown: &str) -> BTreeSet<String> {
    let mut methods: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
    // What is answered where no route fits has ids of its own.
    let shown = shown.split("fallback_router").next().unwrap_or_default();
    for entry in shown.split("RouteId(").skip(1) {
        let (id, rest) = entry.split_once(')').unwrap();
        let rest = rest.trim_start_matches(": ");
        if let Some(path) = rest.strip_prefix('"') {
            paths.insert(id, path.split('"').next().unwrap());
        } else if rest.contains("MethodRouter {") {
            let has = |method: &&str| {
                let none = format!("{method}: None");
                rest.contains(&format!("{method}: ")) && !rest.contains(&none)
            };
            let all =
                ["get", "post", "put", "patch", "delete", "head", "options", "trace", "connect"];
            methods
                .insert(id, all.iter().filter(|it| has(it)).map(|it| it.to_uppercase()).collect());
        }
    }
    let of_path = |(id, path): (&&str, &&str)| {
        let methods = methods.get(*id).cloned().unwrap_or_default();
        let path = (*path).to_owned();
        methods.into_iter().map(move |method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_router_the_description_and_the_table_of_rights_name_the_same_routes() {
    let described: BTreeSet<String> =
        operations().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let ruled: BTreeSet<String> =
        RULES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(described, ruled, "the description and the table");
    let protocols = PROTOCOLS.iter().map(|(method, path, _)| format!("{method} {path}"));
    // The tools answer whatever comes to their path by themselves.
    let protocols = protocols.filter(|route| !route.ends_with(" /mcp"));
    let all: BTreeSet<String> = ruled.into_iter().chain(protocols).collect();
    assert_eq!(listing(), all, "the router and the table");
}

#[test]
fn no_code_is_left_out_of_the_list_of_codes() {
    let schema = serde_json::to_value(model::refusal::Code::schema()).unwrap();
    let words: Vec<_> = model::refusal::Code::ALL.iter().map(|code| json!(code.as_str())).collect();
    let mut listed = schema["enum"].as_array().unwrap().clone();
    listed.retain(|word| !words.contains(word));
    assert_eq!(listed, Vec::<Value>::new(), "not in Code::ALL");
}

/// Compares a file of docs with what it is made of, or writes it.
fn is_current(name: &str, text: &str) {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is stale: run 'HIVEKEEPER_UPDATE_DOCS=1 cargo test -p gateway --lib openapi'"
    );
}

#[test]
fn the_committed_description_is_that_of_this_program() {
    is_current("openapi.json", &text().unwrap());
}

#[test]
fn the_committed_table_of_refusals_is_that_of_this_program() {
    is_current("errors.md", &table());
}

#[test]
fn the_committed_table_of_rights_is_that_of_this_program() {
    is_current("rights.md", &matrix());
}
