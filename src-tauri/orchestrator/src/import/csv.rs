//! Missions as CSV (RFC 4180): a header row with the names of the fields, a row per mission.

use ::csv::{Position, ReaderBuilder, StringRecord};

use super::entry::{At, Entry, Field, Given, Kind};
use super::faults::Faults;
use super::{Criterion, Document};

/// Reads the missions of a document.
pub(super) fn read(document: &Document<'_>, faults: &mut Faults) -> Vec<Entry> {
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(document.text.as_bytes());
    let mut columns: Option<Vec<Option<Field>>> = None;
    let mut entries = Vec::new();
    let mut last = 1;
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(last, |at| line_of(document, at));
                faults.add(line, error.to_string(), "correct the row");
                break;
            }
        };
        last = row.position().map_or(last, |at| line_of(document, at));
        match &columns {
            None => columns = Some(header(&row, last, faults)),
            Some(columns) => entries.extend(mission(&row, columns, last, faults)),
        }
    }
    // An open quote takes in all that follows it, so the row it began in is the last one.
    if document.text.matches('"').count() % 2 == 1 {
        let hint = "close the quote; within quotes write \"\" for one";
        faults.add(last, "a quote opens or closes alone", hint);
    }
    entries
}

/// Where a row begins; the reader counts the empty lines before it in.
fn line_of(document: &Document<'_>, at: &Position) -> usize {
    let offset = usize::try_from(at.byte()).unwrap_or(usize::MAX).min(document.text.len());
    let blank = document.text.as_bytes()[offset..].iter().take_while(|byte| **byte == b'\n');
    document.line_of(offset + blank.count())
}

fn header(row: &StringRecord, line: usize, faults: &mut Faults) -> Vec<Option<Field>> {
    let mut columns: Vec<Option<Field>> = Vec::new();
    for (index, name) in row.iter().enumerate() {
        let field = Field::meant(name);
        let place = format!("column {}: '{}'", index + 1, name.trim());
        match field {
            None => {
                let hint = format!(
                    "write a header row, separated by commas, with some of {}",
                    Field::names()
                );
                faults.add(line, format!("{place} is not a field of a mission"), hint);
            }
            Some(_) if columns.contains(&field) => {
                faults.add(line, format!("{place} is there twice"), "keep one of the columns");
            }
            Some(_) => {}
        }
        columns.push(field);
    }
    if !columns.contains(&Some(Field::Title)) {
        faults.add(line, "the header row has no column 'title'", "add it");
    }
    columns
}

fn mission(
    row: &StringRecord,
    columns: &[Option<Field>],
    line: usize,
    faults: &mut Faults,
) -> Option<Entry> {
    if row.iter().all(|cell| cell.trim().is_empty()) {
        return None;
    }
    if row.len() != columns.len() {
        let message = format!("the row has {} cells, the header {}", row.len(), columns.len());
        faults.add(line, message, "quote cells that have a comma or line break in them");
        return None;
    }
    let mut entry = Entry::at(line);
    for (index, (cell, field)) in row.iter().zip(columns).enumerate() {
        let Some(field) = *field else { continue };
        let name = format!("column {} ({})", index + 1, field.name());
        if cell.trim().is_empty() {
            if field == Field::Title {
                faults.add(line, format!("{name} is empty"), "give the mission a title");
                return None;
            }
            continue;
        }
        match given(field.kind(), cell) {
            Ok(given) => entry.put(field, given, &At { line, name: &name }, faults),
            Err(wanted) => {
                let message = format!("{name}: '{}' is not {wanted}", cell.trim());
                faults.add(line, message, format!("write {wanted}"));
            }
        }
    }
    Some(entry)
}

fn given(kind: Kind, cell: &str) -> Result<Given, &'static str> {
    match kind {
        Kind::Text => Ok(Given::Text(cell.to_owned())),
        Kind::List => Ok(Given::List(list(cell))),
        Kind::Criteria => Ok(Given::Criteria(list(cell).into_iter().map(criterion).collect())),
        Kind::Count => cell.trim().parse().map(Given::Count).map_err(|_| "a whole number"),
        Kind::Flag => flag(cell).map(Given::Flag).ok_or("true or false"),
    }
}

/// `true`, `yes`, `x` or `1`, and their opposites.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "x" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// What stands between semicolons; `\;` is a semicolon.
fn list(cell: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut rest = cell.chars().peekable();
    while let Some(ch) = rest.next() {
        match ch {
            '\\' if rest.peek() == Some(&';') => {
                rest.next();
                items.last_mut().expect("it began with one").push(';');
            }
            ';' => items.push(String::new()),
            _ => items.last_mut().expect("it began with one").push(ch),
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// `[x] text`, `[ ] text` or only the text.
fn criterion(text: String) -> Criterion {
    let text = text.trim();
    let (text, done) = match (text.strip_prefix("[ ]"), text.get(..3)) {
        (Some(rest), _) => (rest, false),
        (None, Some("[x]" | "[X]")) => (&text[3..], true),
        _ => (text, false),
    };
    Criterion { text: text.trim().to_owned(), done }
}
