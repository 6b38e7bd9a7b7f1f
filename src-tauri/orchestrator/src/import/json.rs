//! Missions as JSON: a list of objects, or an object with the list under `missions`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::entry::{At, Entry, Field, Given, Kind};
use super::faults::Faults;
use super::{Criterion, Document, MISSIONS_MAX};

/// The members of an object in their order, those that are there twice included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}

/// Reads the missions of a document.
pub(super) fn read(document: &Document<'_>, faults: &mut Faults) -> Vec<Entry> {
    let Some((list, name)) = list_of(document, faults) else { return Vec::new() };
    if list.len() > MISSIONS_MAX {
        // Told by the count; reading them all would tell nothing more.
        return list.iter().map(|one| Entry::at(line_of(document, one))).collect();
    }
    let read = |(index, one): (usize, &&RawValue)| {
        mission(document, one, &format!("{name}[{index}]"), faults)
    };
    list.iter().enumerate().filter_map(read).collect()
}

/// The list of missions and what it is called.
fn list_of<'a>(
    document: &Document<'a>,
    faults: &mut Faults,
) -> Option<(Vec<&'a RawValue>, &'static str)> {
    if !document.text.trim_start().starts_with('{') {
        let list = parsed(document.text, 1, faults, "")?;
        return Some((list, ""));
    }
    let Members(members) = parsed(document.text, 1, faults, "")?;
    let mut list = None;
    for (name, value) in members {
        let line = line_of(document, value);
        match name.as_str() {
            "missions" if list.is_none() => {
                list = Some((parsed(value.get(), line, faults, "missions ")?, "missions"));
            }
            "missions" => faults.add(line, "'missions' is there twice", "keep one of them"),
            _ => faults.add(line, format!("'{name}' is not known here"), "only 'missions' is"),
        }
    }
    if list.is_none() && !faults.any() {
        faults.add(1, "the object has no 'missions'", "write {\"missions\": […]} or a list");
    }
    list
}

/// Parses a part of the document that begins in `line`.
fn parsed<'a, T: Deserialize<'a>>(
    text: &'a str,
    line: usize,
    faults: &mut Faults,
    name: &str,
) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let line = line + error.line().saturating_sub(1);
            let hint = if error.is_data() {
                "write a list of objects, [{\"title\": \"…\"}]"
            } else {
                "correct the JSON there"
            };
            faults.add(line, format!("{name}{error}"), hint);
            None
        }
    }
}

/// Where a part of the document begins.
fn line_of(document: &Document<'_>, part: &RawValue) -> usize {
    // A raw value is a slice of the document.
    let offset = part.get().as_ptr().addr().saturating_sub(document.text.as_ptr().addr());
    document.line_of(offset)
}

fn mission(
    document: &Document<'_>,
    raw: &RawValue,
    name: &str,
    faults: &mut Faults,
) -> Option<Entry> {
    let line = line_of(document, raw);
    if !raw.get().starts_with('{') {
        faults.add(line, format!("{name} is no object"), "write {\"title\": \"…\"}");
        return None;
    }
    let Members(members) = parsed(raw.get(), line, faults, &format!("{name}: "))?;
    let mut entry = Entry::at(line);
    let mut known: Vec<Field> = Vec::new();
    for (key, raw) in members {
        let line = line_of(document, raw);
        let name = format!("{name}.{key}");
        let Some(field) = Field::named(&key) else {
            let hint = format!("the fields are {}", Field::names());
            faults.add(line, format!("{name} is not a field of a mission"), hint);
            continue;
        };
        if known.contains(&field) {
            faults.add(line, format!("{name} is there twice"), "keep one of them");
            continue;
        }
        known.push(field);
        let Some(value) = parsed(raw.get(), line, faults, &format!("{name}: ")) else { continue };
        match given(field.kind(), value) {
            Ok(None) => {}
            Ok(Some(given)) => entry.put(field, given, &At { line, name: &name }, faults),
            Err(Other { path, wanted }) => {
                faults.add(
                    line,
                    format!("{name}{path} is not {wanted}"),
                    format!("write {wanted}"),
                );
            }
        }
    }
    if !known.contains(&Field::Title) {
        faults.add(line, format!("{name} has no title"), "give it one");
        return None;
    }
    Some(entry)
}

/// A value of another kind than its field's.
struct Other {
    path: String,
    wanted: &'static str,
}

fn other<T>(path: &str, wanted: &'static str) -> Result<T, Other> {
    Err(Other { path: path.to_owned(), wanted })
}

fn given(kind: Kind, value: Value) -> Result<Option<Given>, Other> {
    let given = match (kind, value) {
        (_, Value::Null) => return Ok(None),
        (Kind::Text, Value::String(text)) => Given::Text(text),
        (Kind::Text, _) => return other("", "a text"),
        (Kind::Flag, Value::Bool(flag)) => Given::Flag(flag),
        (Kind::Flag, _) => return other("", "true or false"),
        (Kind::Count, value) => match value.as_u64().and_then(|count| count.try_into().ok()) {
            Some(count) => Given::Count(count),
            None => return other("", "a whole number"),
        },
        (Kind::List, Value::Array(list)) => {
            let texts = list.into_iter().enumerate().map(|(index, value)| match value {
                Value::String(text) => Ok(text),
                _ => other(&format!("[{index}]"), "a text"),
            });
            Given::List(texts.collect::<Result<_, _>>()?)
        }
        (Kind::List, _) => return other("", "a list of texts"),
        (Kind::Criteria, Value::Array(list)) => {
            let criteria = list.into_iter().enumerate().map(|(index, value)| {
                let wanted = "a text or {\"text\": \"…\", \"done\": false}";
                criterion(value).map_or_else(|| other(&format!("[{index}]"), wanted), Ok)
            });
            Given::Criteria(criteria.collect::<Result<_, _>>()?)
        }
        (Kind::Criteria, _) => return other("", "a list of criteria"),
    };
    Ok(Some(given))
}

fn criterion(value: Value) -> Option<Criterion> {
    let mut members = match value {
        Value::String(text) => return Some(Criterion { text, done: false }),
        Value::Object(members) => members,
        _ => return None,
    };
    let text = members.remove("text")?;
    let done = members.remove("done").unwrap_or(Value::Bool(false));
    match (text, done, members.is_empty()) {
        (Value::String(text), Value::Bool(done), true) => Some(Criterion { text, done }),
        _ => None,
    }
}
