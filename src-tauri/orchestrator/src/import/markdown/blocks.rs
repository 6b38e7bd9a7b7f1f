//! The headings and check-boxes of a Markdown document, with their places.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A heading that is in no list or quotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) title: String,
    pub(super) id: Option<String>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// An item of a list that begins with `[ ]` or `[x]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckBox {
    pub(super) done: bool,
    /// Where the item begins, at its bullet.
    pub(super) start: usize,
    /// Where the text after the box begins.
    pub(super) text: usize,
    pub(super) end: usize,
    /// In how many other items it is.
    pub(super) depth: usize,
}

/// What of a document has a meaning for an import.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) headings: Vec<Heading>,
    /// In the order in which they begin.
    boxes: Vec<CheckBox>,
    /// Where the text begins, after front matter.
    pub(super) text_from: usize,
}

impl Blocks {
    pub(super) fn of(text: &str) -> Self {
        let options =
            Options::ENABLE_TASKLISTS | Options::ENABLE_HEADING_ATTRIBUTES | Options::ENABLE_TABLES;
        let mut blocks = Self { text_from: front_matter(text), ..Self::default() };
        let from = blocks.text_from;
        let mut open = Open::default();
        for (event, range) in Parser::new_ext(&text[from..], options).into_offset_iter() {
            open.take(event, range.start + from..range.end + from, &mut blocks);
        }
        blocks.boxes.sort_by_key(|one| one.start);
        blocks
    }

    /// The boxes that begin within a range, those in others included.
    pub(super) fn boxes_in(
        &self,
        range: &Range<usize>,
    ) -> impl Iterator<Item = &CheckBox> + use<'_> {
        let from = self.boxes.partition_point(|one| one.start < range.start);
        let to = self.boxes.partition_point(|one| one.start < range.end);
        self.boxes[from..to.max(from)].iter()
    }

    /// The boxes within a range that are in no other item of a list.
    pub(super) fn top_boxes(&self, range: &Range<usize>) -> Vec<&CheckBox> {
        self.boxes_in(range).filter(|one| one.depth == 0).collect()
    }
}

/// What has begun and not ended.
#[derive(Default)]
struct Open {
    heading: Option<Heading>,
    /// The start of each item, and its box.
    items: Vec<(usize, Option<(bool, usize)>)>,
    quotes: usize,
}

impl Open {
    fn take(&mut self, event: Event<'_>, range: Range<usize>, blocks: &mut Blocks) {
        match event {
            Event::Start(Tag::Heading { level, id, .. })
                if self.items.is_empty() && self.quotes == 0 =>
            {
                let id = id.map(|id| id.to_string());
                let (start, end) = (range.start, range.end);
                let title = String::new();
                self.heading = Some(Heading { level: level as u8, title, id, start, end });
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some(mut heading) = self.heading.take() {
                    heading.title = joined(&heading.title);
                    blocks.headings.push(heading);
                }
            }
            Event::Start(Tag::BlockQuote(_)) => self.quotes += 1,
            Event::End(TagEnd::BlockQuote(_)) => self.quotes -= 1,
            Event::Start(Tag::Item) => self.items.push((range.start, None)),
            Event::TaskListMarker(done) => {
                if let Some((_, marker)) = self.items.last_mut() {
                    *marker = Some((done, range.end));
                }
            }
            Event::End(TagEnd::Item) => self.end_item(range.end, blocks),
            Event::Text(text) | Event::Code(text) | Event::InlineHtml(text) => self.add(&text),
            Event::SoftBreak | Event::HardBreak => self.add(" "),
            _ => {}
        }
    }

    fn end_item(&mut self, end: usize, blocks: &mut Blocks) {
        let Some((start, Some((done, text)))) = self.items.pop() else { return };
        if self.quotes == 0 {
            let depth = self.items.len();
            blocks.boxes.push(CheckBox { done, start, text, end, depth });
        }
    }

    fn add(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.title.push_str(text);
        }
    }
}

/// The length of a block between `---` lines at the very front. (The parser's own reading of such
/// blocks finds them in the middle of a document too, and takes headings in.)
fn front_matter(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("---\n") else { return 0 };
    let mut at = text.len() - rest.len();
    for line in rest.split_inclusive('\n') {
        at += line.len();
        match line.trim_end() {
            "---" | "..." => return at,
            // A rule above a text is no front matter.
            "" => return 0,
            _ => {}
        }
    }
    0
}

/// Words with one space between them.
pub(super) fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first lines of an item up to an empty line, a list or a field, as one line.
pub(super) fn first_paragraph(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let more = lines.take_while(|line| {
        let line = line.trim_start();
        !line.is_empty() && list_item(line).is_none()
    });
    joined(&std::iter::once(first).chain(more).collect::<Vec<_>>().join(" "))
}

/// What follows the bullet or number of a line that begins an item of a list.
pub(super) fn list_item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = match line.strip_prefix(['-', '*', '+']) {
        Some(rest) => rest,
        None => {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            (rest.len() < line.len()).then_some(rest)?.strip_prefix(['.', ')'])?
        }
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim())
}

/// A title and the `{#id}` at its end.
pub(super) fn split_id(title: &str) -> (&str, Option<&str>) {
    let found = title.strip_suffix('}').and_then(|rest| rest.rsplit_once("{#"));
    match found {
        Some((title, id)) if !id.is_empty() => (title.trim_end(), Some(id)),
        _ => (title, None),
    }
}
