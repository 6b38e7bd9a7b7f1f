//! Pages of lists: newest first, bounded in rows and bytes, continued by an opaque cursor.

use super::error::{ReadError, RowError};

/// The most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 500;
/// Rows of a page when nobody says how many.
pub const PAGE_ROWS_DEFAULT: u32 = 100;
/// The most bytes of event bodies in one page; a page with a single larger event is allowed.
pub(crate) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; nothing when this is the last.
    pub next: Option<String>,
}

/// The number of rows to hand out.
pub(crate) fn clamp(limit: u32) -> usize {
    limit.clamp(1, PAGE_ROWS_MAX) as usize
}

/// Cuts rows that were read with one more than the limit into a page.
pub(crate) fn cut<T>(mut rows: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(cursor) } else { None };
    Page { items: rows, next }
}

/// Reads a cursor with the parser of the list it belongs to.
pub(crate) fn read_cursor<T>(
    cursor: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    let bad = |text: &str| ReadError::BadCursor { cursor: text.chars().take(80).collect() };
    cursor.map(|text| parse(text).ok_or_else(|| bad(text))).transpose()
}

/// `%needle%` for `LIKE … ESCAPE '\'`, so that a person's `%` and `_` mean themselves.
pub(crate) fn like(needle: &str) -> String {
    let mut pattern = String::with_capacity(needle.len() + 2);
    pattern.push('%');
    for ch in needle.chars() {
        if matches!(ch, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(ch);
    }
    pattern.push('%');
    pattern
}

/// `?, ?, …` pushed with its values.
pub(crate) fn push_list<T>(
    query: &mut sqlx::QueryBuilder<sqlx::Sqlite>,
    values: impl IntoIterator<Item = T>,
) where
    T: 'static + sqlx::Type<sqlx::Sqlite> + Send,
    for<'a> T: sqlx::Encode<'a, sqlx::Sqlite>,
{
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
}

/// Turns rows into values, stopping at the first that cannot be read.
pub(crate) fn collect<R, T>(
    rows: Vec<R>,
    read: impl Fn(R) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    rows.into_iter().map(read).collect()
}
