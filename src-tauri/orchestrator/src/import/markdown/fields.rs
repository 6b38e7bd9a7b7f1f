//! The lines of a mission: fields first, then its text.

use std::collections::VecDeque;
use std::ops::Range;

use super::super::csv::flag;
use super::super::entry::{At, Entry, Field, Given, Kind};
use super::super::faults::Faults;
use super::Document;
use super::blocks::{CheckBox, joined, list_item};
use super::sections::names_part;

/// The longest line that is looked at as a field's name.
const KEY_CHARS_MAX: usize = 20;

/// Lines with their numbers, read from the front.
#[derive(Debug)]
pub(super) struct Lines(VecDeque<(usize, String)>);

impl Lines {
    pub(super) fn of(document: &Document<'_>, range: Range<usize>) -> Self {
        let first = document.line_of(range.start);
        let lines = document.text[range].split('\n').enumerate();
        Self(lines.map(|(index, line)| (first + index, line.to_owned())).collect())
    }

    /// The lines of a box from behind the box on, without the indentation of its item.
    pub(super) fn of_item(document: &Document<'_>, one: &CheckBox) -> Self {
        let mut lines = Self::of(document, one.text..one.end);
        let line = document.text[..one.start].rfind('\n').map_or(0, |at| at + 1);
        let box_at = document.text[..one.text].rfind('[').unwrap_or(one.text);
        let width = box_at.saturating_sub(line);
        for (_, line) in lines.0.iter_mut().skip(1) {
            let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
            line.drain(..blank.min(width));
        }
        lines
    }

    /// Whether the first line with text is a field.
    pub(super) fn begins_with_field(&self) -> bool {
        let first = self.0.iter().find(|(_, line)| !line.trim().is_empty());
        first.is_some_and(|(_, line)| field(line).is_some())
    }

    /// Takes the first line with text as a title, without the marks of a heading, list or quote.
    pub(super) fn take_title(&mut self) -> Option<(usize, String)> {
        loop {
            let (number, line) = self.0.pop_front()?;
            let text = list_item(&line).unwrap_or(&line).trim_start_matches(['#', '>', ' ']);
            let title = joined(text);
            // The heading of a part names the part, not the mission.
            let is_part = line.trim_start().starts_with('#') && names_part(&title);
            if !(title.is_empty() || is_part) {
                return Some((number, title));
            }
        }
    }

    /// Takes the fields at the front.
    pub(super) fn take_fields(&mut self, entry: &mut Entry, faults: &mut Faults) {
        loop {
            let blank = self.0.iter().take_while(|(_, line)| line.trim().is_empty()).count();
            let Some((field, rest)) = self.0.get(blank).and_then(|(_, line)| field(line)) else {
                return;
            };
            let rest = rest.to_owned();
            self.0.drain(..blank);
            let Some((line, _)) = self.0.pop_front() else { return };
            let name = field.name();
            let values = match (rest.is_empty(), field.kind()) {
                (true, Kind::List) => self.take_list(),
                (_, Kind::List) => inline_list(field, &rest),
                _ => vec![rest],
            };
            match given(field, values) {
                Ok(given) => entry.put(field, given, &At { line, name }, faults),
                Err(wanted) => {
                    faults.add(line, format!("{name} is not {wanted}"), format!("write {wanted}"));
                }
            }
        }
    }

    /// Takes the items of a list that follows, over empty lines before it.
    fn take_list(&mut self) -> Vec<String> {
        let blank = self.0.iter().take_while(|(_, line)| line.trim().is_empty()).count();
        let items = self.0.iter().skip(blank).map_while(|(_, line)| list_item(line));
        let items: Vec<_> = items.map(|item| plain(item).to_owned()).collect();
        if !items.is_empty() {
            self.0.drain(..blank + items.len());
        }
        items
    }

    /// A line at the front that seems to be meant as a field: its number, its key, the field.
    pub(super) fn misspelt(&self) -> Option<(usize, String, &'static str)> {
        let (number, line) = self.0.iter().find(|(_, line)| !line.trim().is_empty())?;
        let (key, _) =
            line.split_once(':').filter(|(key, _)| key.chars().count() <= KEY_CHARS_MAX)?;
        let key = key.trim().to_lowercase().replace('-', "_");
        let near = |field: &Field| is_misspelt(&key, field.name());
        let meant = Field::ALL.into_iter().find(near)?;
        Some((*number, key, meant.name()))
    }

    /// What is left, without empty lines around it.
    pub(super) fn rest(self) -> String {
        let mut text = String::new();
        for (_, line) in self.0 {
            if text.is_empty() && line.trim().is_empty() {
                continue;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// The field a line gives, and what follows its colon.
fn field(line: &str) -> Option<(Field, &str)> {
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_matches(['*', ' ']);
    if key.chars().count() > KEY_CHARS_MAX || line.starts_with([' ', '\t']) {
        return None;
    }
    let field = Field::meant(key)?;
    // A title and a brief stand as such in the document, and boxes are the criteria.
    let is_text = matches!(field, Field::Title | Field::Brief | Field::Criteria);
    (!is_text).then(|| (field, rest.trim_start_matches('*').trim()))
}

/// A gate has commas of its own; anything else is separated by them.
fn inline_list(field: Field, rest: &str) -> Vec<String> {
    if field == Field::Gates {
        return vec![plain(rest).to_owned()];
    }
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(rest);
    let items = inner.split(',').map(|item| plain(item).to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

/// Without the back-ticks around it.
fn plain(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inner.filter(|inner| !inner.contains('`')).unwrap_or(text).trim()
}

fn given(field: Field, values: Vec<String>) -> Result<Given, &'static str> {
    let first = || values.first().map(|value| plain(value)).unwrap_or_default();
    match field.kind() {
        Kind::Count => first().parse().map(Given::Count).map_err(|_| "a whole number"),
        Kind::Flag => flag(first()).map(Given::Flag).ok_or("true or false"),
        Kind::Text => Ok(Given::Text(first().to_owned())),
        Kind::List if values.is_empty() => Err("a list"),
        Kind::List | Kind::Criteria => Ok(Given::List(values)),
    }
}

/// Whether a name is another one with one letter missing, added, changed or swapped.
fn is_misspelt(found: &str, meant: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (found.chars().collect(), meant.chars().collect());
    if found == meant || a.len() < 4 || a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let front = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[front..], &b[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - back], &b[..b.len() - back]);
    match (a, b) {
        ([x, y], [p, q]) => x == q && y == p,
        _ => a.len() <= 1 && b.len() <= 1,
    }
}
