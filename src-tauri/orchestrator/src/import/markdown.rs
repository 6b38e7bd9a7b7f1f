//! Missions as Markdown: headings with text under them, check-boxes, or the text of one issue.
//!
//! The rules, which look only at headings and boxes, so that text added later renames nothing:
//! 1. A heading of level 1 to 3 without a deeper one (down to level 3) under it is a mission. What
//!    follows, up to the next such heading, is its brief; the boxes in it are its criteria.
//! 2. A heading with deeper ones under it is a group; text directly under it belongs to no mission,
//!    which is told. It is a mission with all that is under it when it says so, by `{#id}` or by
//!    fields. Headings that name a usual part of an issue, such as "Steps to reproduce", are text.
//! 3. Under a heading of level 1 without deeper ones and without fields, each box is a mission of
//!    its own: its first line is the title, what is indented under it is the brief.
//! 4. A document without such headings is one mission, its first line the title; one that begins
//!    with a box is a list of boxes as above.
//!
//! Fields are lines such as `labels: a, b` or `gates:` with a list under it, before any other text.

mod blocks;
mod fields;
mod sections;

use super::entry::{At, Entry, Field, Given};
use super::faults::Faults;
use super::{Criterion, Document, ImportWarning, LIST_MAX};
use blocks::{Blocks, CheckBox};
use fields::Lines;
use model::mission::TITLE_CHARS_MAX;
use sections::{Role, Section};

/// Reads the missions of a document.
pub(super) fn read(
    document: &Document<'_>,
    faults: &mut Faults,
) -> (Vec<Entry>, Vec<ImportWarning>) {
    let blocks = Blocks::of(document.text);
    let mut reader = Reader { document, blocks: &blocks, faults, warnings: Vec::new() };
    let entries = reader.read();
    (entries, reader.warnings)
}

struct Reader<'a> {
    document: &'a Document<'a>,
    blocks: &'a Blocks,
    faults: &'a mut Faults,
    warnings: Vec<ImportWarning>,
}

impl Reader<'_> {
    fn read(&mut self) -> Vec<Entry> {
        let from = self.blocks.text_from;
        if from > 0 {
            self.warn(0, "the front matter is not read");
        }
        let sections = sections::of(self.document, self.blocks);
        let Some(first) = sections.first() else {
            return self.without_headings(from);
        };
        self.warn_of_text(from..first.heading.start, "before the first heading of a mission");
        sections.iter().flat_map(|section| self.section(section)).collect()
    }

    fn section(&mut self, section: &Section<'_>) -> Vec<Entry> {
        let (title, body) = (&section.heading.title, section.body());
        match section.role {
            Role::Group => {
                let place = format!(
                    "under '{title}', which has headings under it; \
                     give that an 'id:' to make all of it one mission"
                );
                self.warn_of_text(body, &place);
                Vec::new()
            }
            Role::Aside => {
                let place = format!("under '{title}'; give that an 'id:' if it is a mission");
                self.warn_of_text(body, &place);
                Vec::new()
            }
            Role::List => {
                let boxes = self.blocks.top_boxes(&body);
                let around: Vec<_> = section.around.iter().chain([title]).cloned().collect();
                self.boxes(body, &boxes, &around)
            }
            Role::Mission => vec![self.mission(section)],
        }
    }

    fn mission(&mut self, section: &Section<'_>) -> Entry {
        let heading = section.heading;
        let mut entry = Entry::at(self.document.line_of(heading.start));
        entry.around.clone_from(&section.around);
        let line = entry.mission.line;
        self.put(&mut entry, Field::Title, Given::Text(heading.title.clone()), line);
        if let Some(id) = &heading.id {
            self.put(&mut entry, Field::ExternalId, Given::Text(id.clone()), line);
        }
        let lines = Lines::of(self.document, section.body());
        self.body(&mut entry, lines, None);
        self.criteria(&mut entry, self.blocks.boxes_in(&section.body()));
        entry
    }

    /// A document, or what is left of it after front matter, without headings that count.
    fn without_headings(&mut self, from: usize) -> Vec<Entry> {
        let body = from..self.document.text.len();
        let boxes = self.blocks.top_boxes(&body);
        let text = &self.document.text[body.clone()];
        if text.trim().is_empty() {
            return Vec::new();
        }
        let first = body.start + (text.len() - text.trim_start().len());
        if boxes
            .first()
            .is_some_and(|one| self.document.line_of(one.start) == self.document.line_of(first))
        {
            return self.boxes(body, &boxes, &[]);
        }
        let mut lines = Lines::of(self.document, body.clone());
        let mut entry = Entry::at(self.document.line_of(first));
        lines.take_fields(&mut entry, self.faults);
        let Some((line, title)) = lines.take_title() else {
            self.faults.add(entry.mission.line, "the mission has no title", "write a line of text");
            return Vec::new();
        };
        entry.mission.line = line;
        let whole = self.title(&mut entry, &title);
        self.body(&mut entry, lines, whole);
        self.criteria(&mut entry, self.blocks.boxes_in(&body));
        vec![entry]
    }

    /// Each box a mission of its own.
    fn boxes(
        &mut self,
        body: std::ops::Range<usize>,
        boxes: &[&CheckBox],
        around: &[String],
    ) -> Vec<Entry> {
        let mut at = body.start;
        let mut entries = Vec::new();
        for one in boxes {
            self.warn_of_text(at..one.start, "between check-boxes");
            at = one.end;
            let mut lines = Lines::of_item(self.document, one);
            let mut entry = Entry::at(self.document.line_of(one.start));
            entry.around = around.to_vec();
            entry.mission.done = one.done;
            let line = entry.mission.line;
            let (_, title) = lines.take_title().unwrap_or_default();
            let (title, id) = blocks::split_id(&title);
            if let Some(id) = id {
                self.put(&mut entry, Field::ExternalId, Given::Text(id.to_owned()), line);
            }
            let whole = self.title(&mut entry, title);
            self.body(&mut entry, lines, whole);
            self.criteria(&mut entry, self.blocks.boxes_in(&(one.text..one.end)));
            entries.push(entry);
        }
        self.warn_of_text(at..body.end, "after check-boxes");
        entries
    }

    /// Takes a title, cut where it is too long; the whole one then belongs to the brief.
    fn title(&mut self, entry: &mut Entry, title: &str) -> Option<String> {
        let line = entry.mission.line;
        let is_long = title.chars().count() > TITLE_CHARS_MAX;
        let cut: String = title.chars().take(TITLE_CHARS_MAX - 1).collect();
        let shown = if is_long { cut.trim_end().to_owned() + "…" } else { title.to_owned() };
        self.put(entry, Field::Title, Given::Text(shown), line);
        is_long.then(|| title.to_owned())
    }

    fn body(&mut self, entry: &mut Entry, mut lines: Lines, before: Option<String>) {
        lines.take_fields(entry, self.faults);
        if let Some((offset_line, key, meant)) = lines.misspelt() {
            let message =
                format!("'{key}:' is no field and stays in the text; is '{meant}:' meant?");
            self.warnings.push(ImportWarning { line: offset_line, message });
        }
        let text = lines.rest();
        let brief = match before {
            Some(before) if text.is_empty() => before,
            Some(before) => format!("{before}\n\n{text}"),
            None => text,
        };
        if !brief.is_empty() {
            let line = entry.mission.line;
            self.put(entry, Field::Brief, Given::Text(brief), line);
        }
    }

    fn criteria<'b>(&mut self, entry: &mut Entry, boxes: impl Iterator<Item = &'b CheckBox>) {
        let text = self.document.text;
        // One more than may be is enough to refuse them.
        let criteria = boxes.take(LIST_MAX + 1).map(|one| {
            let first = blocks::first_paragraph(&text[one.text..one.end]);
            Criterion { text: first, done: one.done }
        });
        let criteria: Vec<_> = criteria.filter(|one| !one.text.is_empty()).collect();
        let line = entry.mission.line;
        if !criteria.is_empty() {
            let at = At { line, name: "the list of check-boxes" };
            entry.put(Field::Criteria, Given::Criteria(criteria), &at, self.faults);
        }
    }

    fn put(&mut self, entry: &mut Entry, field: Field, given: Given, line: usize) {
        let name = format!("the {}", field.name());
        entry.put(field, given, &At { line, name: &name }, self.faults);
    }

    fn warn(&mut self, offset: usize, message: &str) {
        let line = self.document.line_of(offset);
        self.warnings.push(ImportWarning { line, message: message.to_owned() });
    }

    fn warn_of_text(&mut self, range: std::ops::Range<usize>, place: &str) {
        let text = &self.document.text[range.clone()];
        let blank = text.len() - text.trim_start().len();
        if blank < text.len() {
            self.warn(
                range.start + blank,
                &format!("this text belongs to no mission; it stands {place}"),
            );
        }
    }
}
