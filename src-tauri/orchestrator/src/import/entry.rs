//! What a mission of a document is made of, whatever the document's format, and when it is whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use model::gate::GateSpec;
use model::mission::{BRIEF_BYTES_MAX, GATES_MAX, Priority, RETRIES_MAX, TITLE_CHARS_MAX};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use sha2::{Digest, Sha256};

use super::faults::Faults;
use super::{Criterion, ID_CHARS_MAX, Imported, LIST_MAX, MISSIONS_MAX, WORDS_CHARS_MAX};

/// The longest estimate, in minutes: a year.
const ESTIMATE_MIN_MAX: u32 = 366 * 24 * 60;
/// How much of a title a derived id shows, in characters.
const SLUG_CHARS_MAX: usize = 40;

/// What can be said of a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    ExternalId,
    Title,
    Brief,
    Labels,
    Skills,
    Gates,
    Criteria,
    Priority,
    Policy,
    Agent,
    Repository,
    Deadline,
    DependsOn,
    Retries,
    EstimateMin,
    Done,
}

/// Of what kind a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    List,
    Criteria,
    Count,
    Flag,
}

/// A value of the right kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Text(String),
    List(Vec<String>),
    Criteria(Vec<Criterion>),
    Count(u32),
    Flag(bool),
}

impl Field {
    pub(super) const ALL: [Self; 16] = [
        Self::ExternalId,
        Self::Title,
        Self::Brief,
        Self::Labels,
        Self::Skills,
        Self::Gates,
        Self::Criteria,
        Self::Priority,
        Self::Policy,
        Self::Agent,
        Self::Repository,
        Self::Deadline,
        Self::DependsOn,
        Self::Retries,
        Self::EstimateMin,
        Self::Done,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Title => "title",
            Self::Brief => "brief",
            Self::Labels => "labels",
            Self::Skills => "skills",
            Self::Gates => "gates",
            Self::Criteria => "criteria",
            Self::Priority => "priority",
            Self::Policy => "policy",
            Self::Agent => "agent",
            Self::Repository => "repository",
            Self::Deadline => "deadline",
            Self::DependsOn => "depends_on",
            Self::Retries => "retries",
            Self::EstimateMin => "estimate_min",
            Self::Done => "done",
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Labels | Self::Skills | Self::Gates | Self::DependsOn => Kind::List,
            Self::Criteria => Kind::Criteria,
            Self::Retries | Self::EstimateMin => Kind::Count,
            Self::Done => Kind::Flag,
            _ => Kind::Text,
        }
    }

    /// The field of exactly this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The field a person means: `Depends-On`, `depends on`, `id`, `label`, `estimate`.
    pub(super) fn meant(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase().replace(['-', ' '], "_");
        match name.as_str() {
            "id" => Some(Self::ExternalId),
            "estimate" => Some(Self::EstimateMin),
            "repo" => Some(Self::Repository),
            "label" | "skill" | "gate" => Self::named(&format!("{name}s")),
            _ => Self::named(&name),
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// Where a value stands, for messages: its line and what it is called there.
pub(super) struct At<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
}

/// A mission while it is read.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) mission: Imported,
    /// The titles around it, from which its id is derived together with its own.
    pub(super) around: Vec<String>,
}

impl Entry {
    pub(super) fn at(line: usize) -> Self {
        Self { mission: Imported { line, ..Imported::default() }, around: Vec::new() }
    }

    /// Takes a value, or notes what is wrong with it.
    pub(super) fn put(&mut self, field: Field, given: Given, at: &At<'_>, faults: &mut Faults) {
        let given = match checked(field, given) {
            Ok(given) => given,
            Err((message, hint)) => {
                return faults.add(at.line, format!("{} {message}", at.name), hint);
            }
        };
        let mission = &mut self.mission;
        match (field, given) {
            (Field::ExternalId, Given::Text(text)) => mission.external_id = text,
            (Field::Title, Given::Text(text)) => mission.title = text,
            (Field::Brief, Given::Text(text)) => mission.brief = text,
            (Field::Labels, Given::List(list)) => mission.labels = list,
            (Field::Skills, Given::List(list)) => mission.skills = list,
            (Field::Gates, Given::List(list)) => mission.gates = list,
            (Field::DependsOn, Given::List(list)) => mission.depends_on = list,
            (Field::Criteria, Given::Criteria(list)) => mission.criteria = list,
            (Field::Priority, Given::Text(text)) => mission.priority = Some(text),
            (Field::Policy, Given::Text(text)) => mission.policy = Some(text),
            (Field::Agent, Given::Text(text)) => mission.agent = Some(text),
            (Field::Repository, Given::Text(text)) => mission.repository = Some(text),
            (Field::Deadline, Given::Text(text)) => mission.deadline = Some(text),
            (Field::Retries, Given::Count(count)) => mission.retries = Some(count),
            (Field::EstimateMin, Given::Count(count)) => mission.estimate_min = Some(count),
            (Field::Done, Given::Flag(flag)) => mission.done = flag,
            (_, Given::Text(_) | Given::List(_) | Given::Criteria(_) | Given::Count(_))
            | (_, Given::Flag(_)) => {
                faults.add(
                    at.line,
                    format!("{} is of another kind", at.name),
                    "write the kind of value that the field takes",
                );
            }
        }
    }
}

/// What is wrong with a value, to follow its name, and what to do.
type Wrong = (String, String);

fn wrong<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err((message.into(), hint.into()))
}

fn checked(field: Field, given: Given) -> Result<Given, Wrong> {
    match given {
        Given::Text(text) if field == Field::Brief => brief(&text).map(Given::Text),
        Given::Text(text) => text_of(field, &text).map(Given::Text),
        Given::List(list) => list_of(field, &list).map(Given::List),
        Given::Criteria(list) if list.len() > LIST_MAX => too_many(list.len(), LIST_MAX),
        Given::Criteria(list) => {
            let checked = list.into_iter().map(|one| {
                let text = words(&one.text, WORDS_CHARS_MAX)?;
                Ok(Criterion { text, done: one.done })
            });
            checked.collect::<Result<_, _>>().map(Given::Criteria)
        }
        Given::Count(count) => match field {
            Field::Retries if count > RETRIES_MAX => {
                wrong(format!("is above {RETRIES_MAX}"), "ask for fewer retries")
            }
            Field::EstimateMin if !(1..=ESTIMATE_MIN_MAX).contains(&count) => {
                wrong("is no number of minutes up to a year", "write the minutes, such as 45")
            }
            _ => Ok(Given::Count(count)),
        },
        Given::Flag(flag) => Ok(Given::Flag(flag)),
    }
}

fn too_many<T>(found: usize, max: usize) -> Result<T, Wrong> {
    wrong(format!("has {found} entries, more than {max}"), "split the mission")
}

/// Text of several lines.
fn brief(text: &str) -> Result<String, Wrong> {
    let text = text.replace("\r\n", "\n");
    if text.len() > BRIEF_BYTES_MAX {
        let hint = "put the long text into a file of the repository and name its path";
        return wrong(format!("has more than {BRIEF_BYTES_MAX} bytes"), hint);
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(found) => control(found),
        None => Ok(text),
    }
}

fn control<T>(found: char) -> Result<T, Wrong> {
    wrong(format!("has a control character (U+{:04X})", u32::from(found)), "remove it")
}

/// One line that is not empty.
fn words(text: &str, chars_max: usize) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return wrong("is empty", "write it down or leave it out");
    }
    if text.contains('\n') {
        return wrong("has several lines", "write it on one line");
    }
    if let Some(found) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return control(found);
    }
    let count = text.chars().count();
    if count > chars_max {
        return wrong(format!("has {count} characters, more than {chars_max}"), "shorten it");
    }
    Ok(text.to_owned())
}

fn text_of(field: Field, text: &str) -> Result<String, Wrong> {
    match field {
        Field::ExternalId => id(text),
        Field::Title => words(text, TITLE_CHARS_MAX),
        Field::Repository => words(text, 4_096),
        Field::Priority => priority(&words(text, WORDS_CHARS_MAX)?.to_lowercase()),
        Field::Deadline => deadline(&words(text, WORDS_CHARS_MAX)?),
        _ => words(text, WORDS_CHARS_MAX),
    }
}

fn id(text: &str) -> Result<String, Wrong> {
    let id = words(text, ID_CHARS_MAX)?;
    match id.chars().any(|c| c.is_whitespace() || matches!(c, ',' | ';')) {
        true => wrong(format!("'{id}' is no id"), "write it without spaces, commas and semicolons"),
        false => Ok(id),
    }
}

fn priority(text: &str) -> Result<String, Wrong> {
    let known: Result<Priority, ValueError> = Priority::deserialize(text.into_deserializer());
    match known {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => wrong(format!("'{text}' is no priority"), "use low, normal, high or urgent"),
    }
}

fn deadline(text: &str) -> Result<String, Wrong> {
    let known = text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok();
    match known {
        true => Ok(text.to_owned()),
        false => wrong(
            format!("'{text}' is no date"),
            "write 2030-12-24, 2030-12-24T18:00 or 2030-12-24T18:00:00Z",
        ),
    }
}

fn gate(text: &str) -> Result<String, Wrong> {
    let line = words(text, 4_096)?;
    match GateSpec::parse(&line) {
        Ok(_) => Ok(line),
        Err(error) => wrong(format!("is not usable: {error}"), error.hint()),
    }
}

/// The entries in their order, each once.
fn list_of(field: Field, list: &[String]) -> Result<Vec<String>, Wrong> {
    let max = if field == Field::Gates { GATES_MAX } else { LIST_MAX };
    if list.len() > max {
        return too_many(list.len(), max);
    }
    let mut checked: Vec<String> = Vec::with_capacity(list.len());
    for text in list {
        let text = match field {
            Field::Gates => gate(text)?,
            Field::DependsOn => id(text)?,
            _ => words(text, WORDS_CHARS_MAX)?,
        };
        if !checked.contains(&text) {
            checked.push(text);
        }
    }
    Ok(checked)
}

/// Gives every mission its id and its brief, and notes what is missing or there twice.
pub(super) fn settle(entries: Vec<Entry>, faults: &mut Faults) -> Vec<Imported> {
    if entries.is_empty() && !faults.any() {
        let hint = "write a heading, an object or a row for each mission";
        faults.add(1, "there is no mission in the document", hint);
    }
    if let Some(entry) = entries.get(MISSIONS_MAX) {
        let message = format!("the document has {} missions", entries.len());
        let hint = format!("split it; one document holds at most {MISSIONS_MAX}");
        faults.add(entry.mission.line, message, hint);
        return Vec::new();
    }
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut missions = Vec::with_capacity(entries.len());
    for Entry { mut mission, around } in entries {
        if mission.title.is_empty() {
            // A title that was refused has been told already.
            if !faults.any() {
                faults.add(mission.line, "the mission has no title", "give it one");
            }
            continue;
        }
        if mission.external_id.is_empty() {
            mission.external_id = derived_id(&around, &mission.title);
        }
        if mission.brief.trim().is_empty() {
            mission.brief.clone_from(&mission.title);
        }
        match lines.entry(mission.external_id.clone()) {
            Slot::Vacant(slot) => drop(slot.insert(mission.line)),
            Slot::Occupied(first) => {
                let (id, title) = (&mission.external_id, &mission.title);
                let message =
                    format!("'{title}' has the id '{id}' of the mission in line {}", first.get());
                faults.add(mission.line, message, "give each of them an id of its own");
            }
        }
        missions.push(mission);
    }
    missions
}

/// A readable id that depends on nothing but the titles.
fn derived_id(around: &[String], title: &str) -> String {
    let mut hash = Sha256::new();
    for title in around {
        hash.update(title.as_bytes());
        hash.update([0]);
    }
    hash.update(title.as_bytes());
    let hash = hash.finalize();
    let hash: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let words = title.to_lowercase();
    let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").chars().take(SLUG_CHARS_MAX).collect();
    match slug.trim_end_matches('-') {
        "" => hash,
        slug => format!("{slug}-{hash}"),
    }
}
