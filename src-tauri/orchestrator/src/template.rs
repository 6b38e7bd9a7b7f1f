//! Templates of missions: texts with places such as `{{file}}` or `{{branch|main}}` to be filled.
//!
//! There is no logic: no conditions, no loops, no calls. A value goes in verbatim and is never read
//! for places again, so a value cannot ask for another. `{{{{` stands for a literal `{{`. Of a name
//! that has several places, the first default that is written counts for all of them.
//!
//! Invariant: a value never becomes shell. In the command of a gate it is one quoted word or the
//! template is refused; see [`fill_command`].

mod shell;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The largest template and the largest text made from one, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// The longest name of a place, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// How much of a faulty place a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// A place in a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placeholder {
    /// Its name: letters, digits, `_` and `-`, the first one a letter or `_`.
    pub name: String,
    /// What goes in when no value is given; nothing means that a value must be given.
    pub default: Option<String>,
}

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The values and the places do not fit together; both lists are complete.
    #[error("{}", values_text(missing, unknown))]
    Values {
        /// Places without default for which no value was given.
        missing: Vec<String>,
        /// Values for which there is no place.
        unknown: Vec<String>,
    },
    /// A `{{` opens no place.
    #[error("line {line}: '{shown}' is not a place to fill")]
    Malformed {
        /// Where it stands, from one.
        line: usize,
        /// How it begins.
        shown: String,
    },
    /// The template or the filled text is too large.
    #[error("the text is larger than {TEXT_BYTES_MAX} bytes")]
    TooLarge,
    /// A value that must stay on one line, or be a word, has a line break or control character.
    #[error("the value of '{0}' has a line break or a control character")]
    Control(String),
    /// In a command, the place stands where quoting would not hold.
    #[error("the place '{name}' stands {place}, where a value could run as code")]
    Exposed {
        /// Which place.
        name: String,
        /// Where it stands.
        place: &'static str,
    },
    /// The line is no gate, or its kind or options are to be filled.
    #[error("the gate '{0}' does not begin with a fixed kind and a colon")]
    NotAGate(String),
}

impl TemplateError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Values { .. } => "give a value for each place, and only for places there are",
            Self::Malformed { .. } => {
                "write {{name}} or {{name|default}}, and {{{{ where two braces are meant"
            }
            Self::TooLarge => "put the long text into a file of the repository and name its path",
            Self::Control(_) => "give the value on one line",
            Self::Exposed { .. } => {
                "let it stand as a word of its own without quotes, such as: grep -q {{text}} out.txt"
            }
            Self::NotAGate(_) => "write it as 'command: cargo test -p {{crate}}'",
        }
    }
}

fn values_text(missing: &[String], unknown: &[String]) -> String {
    let list = |what: &str, names: &[String]| {
        (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
    };
    let parts = [list("no value is given for", missing), list("there is no place for", unknown)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The places of a text in the order they first stand there, each name once.
///
/// What opens with `{{` but is no place is left out; [`fill`] refuses it.
#[must_use]
pub fn placeholders(text: &str) -> Vec<Placeholder> {
    let mut found = Vec::new();
    note_places(&mut found, Pieces::of(text).filter_map(Result::ok));
    found
}

/// Writes literal braces so that [`fill`] gives back the text as it is.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("{{", "{{{{")
}

/// Fills a text; the values go in as they are.
///
/// # Errors
/// When places or values are left over, a place is malformed, or the text gets too large.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    fill_plain(text, &complete(&[text], values)?)
}

/// Fills a shell command so that each value is one quoted word, or part of one.
///
/// Places are refused where quoting would not hold or would mean nothing: in quotes, comments,
/// here-documents, back-ticks, `${…}`, arithmetic, after `\` or `$`, as the program to be run, and
/// as what `eval`, `sh -c` and their like would run. What the program does with its argument is up
/// to the author of the template: `find . -name {{x}}` is safe, `python3 {{script}}` runs a file.
///
/// # Errors
/// Those of [`fill`], for a place where a value could run as code, and for a value with a line
/// break or control character.
pub fn fill_command(
    text: &str,
    values: &BTreeMap<String, String>,
) -> Result<String, TemplateError> {
    fill_quoted(text, &complete(&[text], values)?)
}

/// Fills a gate's line: of a `command:` what follows the colon by [`fill_command`], of any other
/// kind by [`fill`], and both on one line. Kind and options are fixed.
///
/// # Errors
/// Those of [`fill_command`], and when the line has no fixed kind.
pub fn fill_gate(line: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    fill_gate_line(line, &complete(&[line], values)?)
}

/// What a mission is made from; every text may have places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissionTemplate {
    /// One line of text.
    pub title: String,
    /// What is to be done.
    #[serde(default)]
    pub brief: String,
    /// Of which kinds it is.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What the agent must be able to do.
    #[serde(default)]
    pub skills: Vec<String>,
    /// What decides that the work is done, a line each.
    #[serde(default)]
    pub gates: Vec<String>,
    /// What is looked at when the work is judged, a line each.
    #[serde(default)]
    pub criteria: Vec<String>,
}

impl MissionTemplate {
    /// The places of all its texts, each name once.
    #[must_use]
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let mut found = Vec::new();
        for text in self.texts() {
            note_places(&mut found, Pieces::of(text).filter_map(Result::ok));
        }
        found
    }

    /// Fills every text with the same values; everything but the brief stays on one line.
    ///
    /// # Errors
    /// Those of [`fill`] and [`fill_gate`]; what is missing or unknown counts over all texts.
    pub fn fill(&self, values: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let values = complete(&self.texts().collect::<Vec<_>>(), values)?;
        let lines = |texts: &[String]| -> Result<Vec<String>, TemplateError> {
            texts.iter().map(|text| fill_line(text, &values)).collect()
        };
        Ok(Self {
            title: fill_line(&self.title, &values)?,
            brief: fill_plain(&self.brief, &values)?,
            labels: lines(&self.labels)?,
            skills: lines(&self.skills)?,
            gates: self
                .gates
                .iter()
                .map(|g| fill_gate_line(g, &values))
                .collect::<Result<_, _>>()?,
            criteria: lines(&self.criteria)?,
        })
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.labels, &self.skills, &self.gates, &self.criteria];
        let lists = lists.into_iter().flatten().map(String::as_str);
        [self.title.as_str(), self.brief.as_str()].into_iter().chain(lists)
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    /// Goes in as it is.
    Text(&'a str),
    /// Is to be filled.
    Place { name: &'a str, default: Option<&'a str> },
}

/// Reads a template from left to right and stops after the first fault.
struct Pieces<'a> {
    whole: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    fn of(whole: &'a str) -> Self {
        Self { whole, at: 0 }
    }

    fn place(&mut self) -> Result<Piece<'a>, TemplateError> {
        let from = self.at;
        let inner = &self.whole[from + 2..];
        let place = inner.find("}}").and_then(|end| {
            let (name, default) = match inner[..end].split_once('|') {
                Some((name, default)) => (name, Some(default)),
                None => (&inner[..end], None),
            };
            let name = name.trim();
            is_name(name).then_some((Piece::Place { name, default }, end))
        });
        match place {
            Some((place, end)) => {
                self.at = from + 2 + end + 2;
                Ok(place)
            }
            None => {
                self.at = from + 2;
                let line = self.whole[..from].matches('\n').count() + 1;
                let shown = self.whole[from..].lines().next().unwrap_or_default();
                Err(TemplateError::Malformed {
                    line,
                    shown: shown.chars().take(SHOWN_CHARS_MAX).collect(),
                })
            }
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, TemplateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.whole[self.at..];
        if rest.is_empty() {
            return None;
        }
        if rest.starts_with("{{{{") {
            self.at += 4;
            return Some(Ok(Piece::Text(&rest[..2])));
        }
        match rest.find("{{") {
            Some(0) => Some(self.place()),
            found => {
                let end = found.unwrap_or(rest.len());
                self.at += end;
                Some(Ok(Piece::Text(&rest[..end])))
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    first && rest && name.len() <= NAME_CHARS_MAX
}

fn note_places<'a>(found: &mut Vec<Placeholder>, pieces: impl Iterator<Item = Piece<'a>>) {
    for piece in pieces {
        let Piece::Place { name, default } = piece else { continue };
        let default = default.map(ToOwned::to_owned);
        match found.iter_mut().find(|place| place.name == name) {
            Some(known) => known.default = known.default.take().or(default),
            None => found.push(Placeholder { name: name.to_owned(), default }),
        }
    }
}

/// One value per place of all texts, given or by default.
fn complete(
    texts: &[&str],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut places = Vec::new();
    for text in texts {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TemplateError::TooLarge);
        }
        let pieces = Pieces::of(text).collect::<Result<Vec<_>, _>>()?;
        note_places(&mut places, pieces.into_iter());
    }
    let known: BTreeSet<_> = places.iter().map(|place| place.name.as_str()).collect();
    let unknown = given.keys().filter(|name| !known.contains(name.as_str()));
    let unknown: Vec<_> = unknown.cloned().collect();
    let (mut values, mut missing) = (BTreeMap::new(), Vec::new());
    for place in places {
        match given.get(&place.name).cloned().or(place.default) {
            Some(value) => drop(values.insert(place.name, value)),
            None => missing.push(place.name),
        }
    }
    let fit = missing.is_empty() && unknown.is_empty();
    if fit { Ok(values) } else { Err(TemplateError::Values { missing, unknown }) }
}

fn fill_plain(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut filled = String::new();
    for piece in Pieces::of(text) {
        match piece? {
            Piece::Text(text) => append(&mut filled, text)?,
            Piece::Place { name, .. } => append(&mut filled, value_of(name, values))?,
        }
    }
    Ok(filled)
}

fn fill_line(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    refuse_control(text, values)?;
    fill_plain(text, values)
}

fn fill_quoted(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    refuse_control(text, values)?;
    let (mut filled, mut reader) = (String::new(), shell::Reader::default());
    for piece in Pieces::of(text) {
        match piece? {
            Piece::Text(text) => {
                reader.read(text);
                append(&mut filled, text)?;
            }
            Piece::Place { name, .. } => {
                if let Some(place) = reader.exposed() {
                    return Err(TemplateError::Exposed { name: name.to_owned(), place });
                }
                reader.word();
                append(&mut filled, &shell::quoted(value_of(name, values)))?;
            }
        }
    }
    Ok(filled)
}

fn fill_gate_line(line: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let refused = || TemplateError::NotAGate(line.chars().take(SHOWN_CHARS_MAX).collect());
    let (head, rest) = split_gate(line).ok_or_else(refused)?;
    let kind = head.split(['(', ':']).next().unwrap_or_default().trim();
    let fixed = Pieces::of(head).all(|piece| matches!(piece, Ok(Piece::Text(_))));
    let named = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fixed || !named {
        return Err(refused());
    }
    let filled =
        if kind == "command" { fill_quoted(rest, values)? } else { fill_line(rest, values)? };
    Ok(fill_plain(head, values)? + &filled)
}

/// The kind with its options and the colon, and what follows; as the model reads a gate's line.
fn split_gate(line: &str) -> Option<(&str, &str)> {
    let colon = line.find(':')?;
    let Some(open) = line.find('(').filter(|open| *open < colon) else {
        return Some(line.split_at(colon + 1));
    };
    let (mut quoted, mut escaped) = (false, false);
    let close = line[open..].char_indices().find_map(|(at, ch)| {
        match ch {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ')' if !quoted => return Some(open + at),
            _ => {}
        }
        None
    })?;
    let after = &line[close + 1..];
    let colon = close + 1 + after.find(':').filter(|at| after[..*at].trim().is_empty())?;
    Some(line.split_at(colon + 1))
}

fn refuse_control(text: &str, values: &BTreeMap<String, String>) -> Result<(), TemplateError> {
    let mut names = Pieces::of(text).filter_map(|piece| match piece {
        Ok(Piece::Place { name, .. }) => Some(name),
        _ => None,
    });
    match names.find(|name| value_of(name, values).chars().any(char::is_control)) {
        Some(name) => Err(TemplateError::Control(name.to_owned())),
        None => Ok(()),
    }
}

fn value_of<'a>(name: &str, values: &'a BTreeMap<String, String>) -> &'a str {
    values.get(name).expect("complete() gave every place a value")
}

fn append(filled: &mut String, more: &str) -> Result<(), TemplateError> {
    if filled.len() + more.len() > TEXT_BYTES_MAX {
        return Err(TemplateError::TooLarge);
    }
    filled.push_str(more);
    Ok(())
}
