//! Which headings are missions, which hold them together, and which are part of a mission's text.

use std::ops::Range;

use super::Document;
use super::blocks::{Blocks, Heading};
use super::fields::Lines;

/// Headings that name a part of what is above them, in small letters.
const PARTS: [&str; 27] = [
    "acceptance",
    "acceptance criteria",
    "actual behavior",
    "actual behaviour",
    "additional context",
    "background",
    "checklist",
    "context",
    "criteria",
    "definition of done",
    "description",
    "details",
    "environment",
    "expected behavior",
    "expected behaviour",
    "goal",
    "motivation",
    "notes",
    "out of scope",
    "proposal",
    "requirements",
    "scope",
    "steps to reproduce",
    "summary",
    "tasks",
    "what happened?",
    "what did you expect to happen?",
];
/// The deepest heading that can be a mission.
const LEVEL_MAX: u8 = 3;

/// What a heading stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Missions are under it.
    Group,
    /// It is a mission with all that is under it.
    Mission,
    /// Each box under it is a mission.
    List,
    /// It names a part of an issue, but there is none that it could be a part of.
    Aside,
}

/// A heading and what is directly under it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) heading: &'a Heading,
    pub(super) role: Role,
    /// The titles of the headings it is under, the outermost first.
    pub(super) around: Vec<String>,
    end: usize,
}

impl Section<'_> {
    /// What follows the heading, up to the next section.
    pub(super) fn body(&self) -> Range<usize> {
        self.heading.end..self.end
    }
}

/// The sections of a document in their order; none where it is the text of one issue.
pub(super) fn of<'a>(document: &Document<'_>, blocks: &'a Blocks) -> Vec<Section<'a>> {
    let all = &blocks.headings;
    if all.iter().all(|heading| heading.level > LEVEL_MAX || is_part(heading)) {
        return Vec::new();
    }
    let mut sections: Vec<Section<'a>> = Vec::new();
    let mut marked_level = None;
    // The headings around, each deeper than the one before.
    let mut around: Vec<&Heading> = Vec::new();
    for (index, heading) in all.iter().enumerate() {
        let in_marked = marked_level.is_some_and(|level| heading.level > level);
        if heading.level > LEVEL_MAX || in_marked {
            note_inner(&mut sections);
            continue;
        }
        let next = all.get(index + 1).map_or(document.text.len(), |next| next.start);
        let marked = is_marked(document, heading, next);
        let is_part = !marked && is_part(heading);
        if is_part && sections.last().is_some_and(|last| last.heading.level < heading.level) {
            note_inner(&mut sections);
            continue;
        }
        marked_level = marked.then_some(heading.level);
        around.retain(|above| above.level < heading.level);
        let titles = around.iter().map(|above| above.title.clone()).collect();
        around.push(heading);
        if let Some(last) = sections.last_mut() {
            last.end = heading.start;
            if last.heading.level < heading.level {
                last.role = Role::Group;
            }
        }
        let end = document.text.len();
        let has_boxes = || !blocks.top_boxes(&(heading.end..next)).is_empty();
        let role = match heading.level {
            _ if is_part => Role::Aside,
            1 if !marked && has_boxes() => Role::List,
            _ => Role::Mission,
        };
        sections.push(Section { heading, role, around: titles, end });
    }
    sections
}

/// Boxes under a heading with parts are its criteria.
fn note_inner(sections: &mut [Section<'_>]) {
    if let Some(last) = sections.last_mut().filter(|last| last.role == Role::List) {
        last.role = Role::Mission;
    }
}

/// Whether a heading says that it is a mission.
fn is_marked(document: &Document<'_>, heading: &Heading, next: usize) -> bool {
    heading.id.is_some() || Lines::of(document, heading.end..next).begins_with_field()
}

fn is_part(heading: &Heading) -> bool {
    heading.id.is_none() && heading.level > 1 && names_part(&heading.title)
}

/// Whether a title is one of a usual part of an issue.
pub(super) fn names_part(title: &str) -> bool {
    PARTS.contains(&title.to_lowercase().trim_end_matches(':').trim())
}
