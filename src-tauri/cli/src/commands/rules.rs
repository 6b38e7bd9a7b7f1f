//! What holds for missions: policies, templates and settings.

use engine::view::{Listing, TemplateView};
use http::Method;
use model::gate::GateSpec;
use model::policy as words;
use model::settings::{self as kept, Template as Kept};
use serde_json::{Map, Value};

use crate::args::{Named, Policy, Save, Template};
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// The longest description of a policy or template, in bytes.
const TEXT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// `hivekeeper policy`.
pub(crate) async fn policy(command: Policy, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let path = |name: &str| format!("/api/v1/policies/{}", encode(name));
    match command {
        Policy::List => {
            const OPERATION: &str = "list the policies";
            let remote = Remote::find(place, OPERATION)?;
            let all: Listing<words::Policy> = remote.get(OPERATION, "/api/v1/policies").await?;
            list_policies(&all, out)
        }
        Policy::Show(Named { name }) => {
            let operation = format!("show the policy '{name}'");
            let remote = Remote::find(place, &operation)?;
            let policy: words::Policy = remote.get(&operation, &path(&name)).await?;
            show_policy(&policy, out)
        }
        Policy::Save(save) => {
            let operation = format!("save the policy '{}'", save.name);
            let policy = policy_of(&save, &operation)?;
            let remote = Remote::find(place, &operation)?;
            let policy: words::Policy =
                remote.send(&operation, Method::PUT, &path(&save.name), &policy).await?;
            show_policy(&policy, out)
        }
        Policy::Remove(Named { name }) => {
            let operation = format!("remove the policy '{name}'");
            remove(&operation, &path(&name), &name, place, out).await
        }
    }
}

async fn remove(
    operation: &str,
    path: &str,
    name: &str,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    let remote = Remote::find(place, operation)?;
    remote.change(operation, Method::DELETE, path, None).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"removed": true, "name": name}));
    }
    out.line(&format!("removed {name}"))
}

fn list_policies(all: &Listing<words::Policy>, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(all);
    }
    let rows: Vec<Vec<String>> = all
        .items
        .iter()
        .map(|policy| {
            vec![
                policy.name.clone(),
                word(&policy.grade),
                policy.gates.len().to_string(),
                policy.retries.to_string(),
                if policy.builtin { "built in" } else { "your own" }.to_owned(),
                policy.about.clone(),
            ]
        })
        .collect();
    out.table(&["NAME", "PROOF", "GATES", "RETRIES", "FROM", "WHAT IT ASKS FOR"], &rows)
}

fn show_policy(policy: &words::Policy, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(policy);
    }
    let retries = match policy.retries {
        0 => "none".to_owned(),
        n => format!("{n}, the first after {} s", policy.backoff_s),
    };
    out.pairs(&[
        ("policy", policy.name.clone()),
        ("about", policy.about.clone()),
        ("proof", word(&policy.grade)),
        ("retries", retries),
        ("hand over", if policy.hand_over { "to another agent" } else { "no" }.to_owned()),
        ("from", if policy.builtin { "built in" } else { "your own" }.to_owned()),
    ])?;
    for gate in &policy.gates {
        out.line(&format!("gate  {}", gate.label()))?;
    }
    Ok(())
}

/// Reads a JSON object with what the command line says of it: its name.
fn object(save: &Save, what: &'static str, operation: &str) -> Result<Map<String, Value>, Failure> {
    let source =
        Source { what, given: &save.what, bytes_max: TEXT_BYTES_MAX, too_large: "make it shorter" };
    let read = serde_json::from_str::<Value>(&source.read()?);
    match read.map_err(|error| Failure::new(operation).because(&error).hint(SHOWN))? {
        Value::Object(mut object) => {
            object.insert("name".to_owned(), save.name.clone().into());
            Ok(object)
        }
        _ => Err(Failure::new(operation).since("it is not a JSON object").hint(SHOWN)),
    }
}

const SHOWN: &str = "'--help' of this command shows one";

/// A policy as it was written: gates may be lines, and what is not said is as in `standard`.
fn policy_of(save: &Save, operation: &str) -> Result<words::Policy, Failure> {
    let mut object = object(save, "the policy", operation)?;
    if let Some(Value::Array(gates)) = object.get_mut("gates") {
        for gate in gates {
            if let Value::String(line) = gate {
                let read = GateSpec::parse(line)
                    .map_err(|error| Failure::new(operation).because(&error).hint(error.hint()))?;
                *gate = serde_json::to_value(read)
                    .map_err(|error| Failure::new(operation).because(&error))?;
            }
        }
    }
    let known = words::builtin().into_iter().find(|policy| policy.name == words::STANDARD);
    let standard = known.map(|policy| words::Policy { about: String::new(), ..policy });
    let standard = serde_json::to_value(standard).unwrap_or_default();
    let mut whole = standard.as_object().cloned().unwrap_or_default();
    whole.insert("builtin".to_owned(), false.into());
    complete(&mut whole, object, operation)?;
    serde_json::from_value(whole.into())
        .map_err(|error| Failure::new(operation).because(&error).hint(SHOWN))
}

/// Puts what was said over what is usual, and refuses what nobody would read.
fn complete(
    whole: &mut Map<String, Value>,
    said: Map<String, Value>,
    operation: &str,
) -> Result<(), Failure> {
    for (key, value) in said {
        if !whole.contains_key(&key) {
            return Err(Failure::new(operation)
                .since(format!("there is no '{key}' in it"))
                .allowed(whole.keys().cloned().collect()));
        }
        whole.insert(key, value);
    }
    Ok(())
}

/// `hivekeeper template`.
pub(crate) async fn template(
    command: Template,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    let path = |name: &str| format!("/api/v1/templates/{}", encode(name));
    match command {
        Template::List => {
            const OPERATION: &str = "list the templates";
            let remote = Remote::find(place, OPERATION)?;
            let all: Listing<TemplateView> = remote.get(OPERATION, "/api/v1/templates").await?;
            list_templates(&all, out)
        }
        Template::Show(Named { name }) => {
            let operation = format!("show the template '{name}'");
            let remote = Remote::find(place, &operation)?;
            let template: TemplateView = remote.get(&operation, &path(&name)).await?;
            show_template(&template, out)
        }
        Template::Save(save) => {
            let operation = format!("save the template '{}'", save.name);
            let template = template_of(&save, &operation)?;
            let remote = Remote::find(place, &operation)?;
            let template: TemplateView =
                remote.send(&operation, Method::PUT, &path(&save.name), &template).await?;
            show_template(&template, out)
        }
        Template::Remove(Named { name }) => {
            let operation = format!("remove the template '{name}'");
            remove(&operation, &path(&name), &name, place, out).await
        }
    }
}

/// A template as it was written; `placeholders`, which `template show --json` prints, is left out.
fn template_of(save: &Save, operation: &str) -> Result<Kept, Failure> {
    let mut object = object(save, "the template", operation)?;
    object.remove("placeholders");
    let empty = Kept {
        name: String::new(),
        about: String::new(),
        title: String::new(),
        brief: String::new(),
        gates: Vec::new(),
        labels: Vec::new(),
        skills: Vec::new(),
        policy: None,
        repository: None,
    };
    let empty = serde_json::to_value(empty).unwrap_or_default();
    let mut whole = empty.as_object().cloned().unwrap_or_default();
    complete(&mut whole, object, operation)?;
    serde_json::from_value(whole.into())
        .map_err(|error| Failure::new(operation).because(&error).hint(SHOWN))
}

fn list_templates(all: &Listing<TemplateView>, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(all);
    }
    if all.items.is_empty() {
        return out.line("no templates: save one with 'hivekeeper template save'");
    }
    let rows: Vec<Vec<String>> = all
        .items
        .iter()
        .map(|view| vec![view.template.name.clone(), places(view), view.template.about.clone()])
        .collect();
    out.table(&["NAME", "PLACES", "WHAT IT IS FOR"], &rows)
}

fn places(view: &TemplateView) -> String {
    let named: Vec<String> = view
        .placeholders
        .iter()
        .map(|place| match &place.default {
            None => place.name.clone(),
            Some(default) => format!("{}={default}", place.name),
        })
        .collect();
    named.join(", ")
}

fn show_template(view: &TemplateView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(view);
    }
    let template = &view.template;
    out.pairs(&[
        ("template", template.name.clone()),
        ("about", template.about.clone()),
        ("places", places(view)),
        ("title", template.title.clone()),
        ("gates", template.gates.join("; ")),
        ("labels", template.labels.join(", ")),
        ("skills", template.skills.join(", ")),
        ("policy", template.policy.clone().unwrap_or_default()),
        ("repository", template.repository.clone().unwrap_or_default()),
    ])?;
    out.line("")?;
    for line in template.brief.lines() {
        out.line(line)?;
    }
    Ok(())
}

/// The settings with some of them changed.
pub(super) fn with(
    settings: &kept::Settings,
    values: Vec<(String, String)>,
    operation: &str,
) -> Result<kept::Settings, Failure> {
    let whole = serde_json::to_value(settings).unwrap_or_default();
    let mut whole = whole.as_object().cloned().unwrap_or_default();
    for (key, text) in values {
        let key = key.replace('-', "_");
        let Some(place) = whole.get_mut(&key) else {
            return Err(Failure::usage(operation)
                .since(format!("there is no setting '{key}'"))
                .allowed(whole.keys().cloned().collect())
                .exit(2));
        };
        *place = match text.trim() {
            "none" | "null" if place.is_array() => Value::Array(Vec::new()),
            "none" | "null" => Value::Null,
            // A name stays a name, even one that is all digits.
            text if place.is_string() => text.into(),
            text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
    }
    serde_json::from_value(whole.into()).map_err(|error| {
        Failure::new(operation).because(&error).hint("'hivekeeper config get' prints them all")
    })
}

/// Prints the settings.
pub(super) fn show_settings(settings: &kept::Settings, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(settings);
    }
    let by_label: Vec<String> = settings
        .policy_of_label
        .iter()
        .map(|choice| format!("{} for '{}'", choice.policy, choice.label))
        .collect();
    let running = settings.running_max;
    out.pairs(&[
        ("running_max", running.map_or_else(|| "none".to_owned(), |most| most.to_string())),
        ("starts_per_cycle", settings.starts_per_cycle.to_string()),
        ("memory_free_min_percent", settings.memory_free_min_percent.to_string()),
        ("policy", settings.policy.clone()),
        ("policy_of_label", by_label.join(", ")),
        ("merge", word(&settings.merge)),
        ("trash_days", settings.trash_days.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(what: &str) -> Save {
        Save { name: "own".to_owned(), what: what.to_owned() }
    }

    #[test]
    fn a_policy_is_written_with_gates_as_lines_and_the_rest_as_usual() {
        let policy =
            policy_of(&save(r#"{"grade": "human", "gates": ["command: true"]}"#), "save").unwrap();
        assert_eq!(policy.name, "own");
        assert_eq!(policy.gates.len(), 1);
        assert!(!policy.builtin);
        assert_eq!(policy.retries, 0);
        let again = serde_json::to_string(&policy).unwrap();
        assert_eq!(policy_of(&save(&again), "save").unwrap(), policy);
        for wrong in
            ["", "[]", r#"{"gate": []}"#, r#"{"gates": ["nonsense"]}"#, r#"{"retries": "x"}"#]
        {
            assert!(policy_of(&save(wrong), "save").is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_are_changed_by_name_and_the_rest_stays() {
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let old = kept::Settings { trash_days: 7, ..kept::Settings::default() };
        let new = with(&old, pairs(&[("running-max", "8"), ("policy", "strict")]), "set").unwrap();
        assert_eq!(new.running_max, Some(8));
        assert_eq!(new.policy, "strict");
        assert_eq!(new.trash_days, 7);
        let none = with(&new, pairs(&[("running_max", "none")]), "set").unwrap();
        assert_eq!(none.running_max, None);
        let by_label = r#"[{"label": "ui", "policy": "strict"}]"#;
        let some = with(&old, pairs(&[("policy_of_label", by_label)]), "set").unwrap();
        assert_eq!(some.policy_of_label.len(), 1);
        let none = with(&some, pairs(&[("policy_of_label", "none")]), "set").unwrap();
        assert!(none.policy_of_label.is_empty(), "'none' empties what can be empty");
        let unknown = with(&old, pairs(&[("nonsense", "1")]), "set").unwrap_err();
        assert_eq!(unknown.exit_code(), 2);
        assert!(unknown.to_string().contains("trash_days"), "{unknown}");
        assert!(with(&old, pairs(&[("trash_days", "soon")]), "set").is_err());
    }
}
