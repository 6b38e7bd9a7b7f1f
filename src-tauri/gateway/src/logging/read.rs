//! Reading the log, the newest line first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::files::list;

/// How many lines are told unless somebody says how many.
const LINES_DEFAULT: usize = 200;
/// How much of the log one request looks through, in bytes; the next one goes on from there.
const LOOKED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The largest piece of one file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LogLine {
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    #[schema(example = "INFO")]
    pub(crate) level: String,
    /// The part of the engine it comes from.
    #[schema(example = "orchestrator::floor")]
    pub(crate) target: String,
    /// The agent it is about.
    #[serde(default)]
    pub(crate) agent: Option<String>,
    /// The mission it is about.
    #[serde(default)]
    pub(crate) mission: Option<String>,
    /// Links the lines that one request caused.
    #[serde(default)]
    pub(crate) correlation_id: Option<String>,
    /// What it says.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// What it says besides.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) fields: Map<String, Value>,
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogQuery {
    /// The least level.
    pub(crate) level: Option<Severity>,
    /// What they contain, in any letter case.
    pub(crate) text: Option<String>,
    /// Where the page before ended.
    pub(crate) before: Option<Place>,
    /// How many at most.
    pub(crate) limit: Option<usize>,
}

/// How grave a line is; the graver is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Everything.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What somebody should look at.
    Warn,
    /// What somebody must act on.
    Error,
}

impl std::str::FromStr for Severity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err("use one of: error, warn, info, debug, trace"),
        }
    }
}

/// A place in the log: a file, and where in it a line begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    offset: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl std::str::FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is no place that this list named";
        let (file, offset) = text.rsplit_once(':').ok_or(wrong)?;
        let plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '-');
        if file.is_empty() || file.len() > 100 || !file.chars().all(plain) {
            return Err(wrong);
        }
        Ok(Self { file: file.to_owned(), offset: offset.parse().map_err(|_| wrong)? })
    }
}

/// Reads the newest lines that match, and the place to go on from.
pub(crate) fn read(
    directory: &Path,
    query: &LogQuery,
) -> io::Result<(Vec<LogLine>, Option<Place>)> {
    let mut search = Search {
        query,
        text: query.text.as_ref().map(|text| text.to_lowercase()),
        limit: query.limit.unwrap_or(LINES_DEFAULT),
        found: Vec::new(),
        place: None,
    };
    let mut looked = 0;
    let mut files = match list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        files => files?,
    };
    if let Some(place) = &query.before {
        match files.iter().position(|(file, _)| *file == place.file) {
            Some(at) => files.truncate(at + 1),
            // It was removed, because it was the oldest.
            None => files.retain(|(file, _)| *file < place.file),
        }
    }
    while let Some((file, bytes)) = files.pop() {
        let end = match &query.before {
            Some(place) if file == place.file => place.offset.min(bytes),
            _ => bytes,
        };
        looked += end.min(FILE_BYTES_MAX);
        if search.through(directory, &file, end)? {
            break;
        }
        if looked >= LOOKED_BYTES_MAX {
            break;
        }
    }
    let more = search.place.filter(|place| place.offset > 0 || !files.is_empty());
    Ok((search.found, more))
}

struct Search<'a> {
    query: &'a LogQuery,
    text: Option<String>,
    limit: usize,
    found: Vec<LogLine>,
    /// Where the last line that was looked at begins.
    place: Option<Place>,
}

impl Search<'_> {
    /// Looks through a file from `end` to its beginning; says whether enough was found.
    fn through(&mut self, directory: &Path, file: &str, end: u64) -> io::Result<bool> {
        let mut source = match File::open(directory.join(file)) {
            Ok(source) => source,
            // It was removed because it was too old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let begin = end.saturating_sub(FILE_BYTES_MAX);
        source.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        source.take(end - begin).read_to_end(&mut bytes)?;
        let mut at = bytes.len();
        while at > 0 {
            let line_end = if bytes[at - 1] == b'\n' { at - 1 } else { at };
            let line_begin =
                bytes[..line_end].iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
            let offset = begin + line_begin as u64;
            self.place = Some(Place { file: file.to_owned(), offset });
            if let Some(line) = self.fitting(&bytes[line_begin..line_end]) {
                self.found.push(line);
                if self.found.len() >= self.limit {
                    return Ok(true);
                }
            }
            at = line_begin;
        }
        Ok(false)
    }

    fn fitting(&self, bytes: &[u8]) -> Option<LogLine> {
        let text = std::str::from_utf8(bytes).ok()?;
        if let Some(wanted) = &self.text
            && !text.to_lowercase().contains(wanted)
        {
            return None;
        }
        let line = parse(text)?;
        let severity = line.level.parse::<Severity>().unwrap_or(Severity::Error);
        self.query.level.is_none_or(|least| severity >= least).then_some(line)
    }
}

/// Reads a line, also as older versions wrote it.
fn parse(text: &str) -> Option<LogLine> {
    if let Ok(line) = serde_json::from_str(text) {
        return Some(line);
    }
    let Ok(Value::Object(mut old)) = serde_json::from_str::<Value>(text) else {
        return None;
    };
    let mut word = |name: &str| Some(old.remove(name)?.as_str()?.to_owned());
    let (time, level, target) = (word("timestamp")?, word("level")?, word("target")?);
    let Some(Value::Object(mut fields)) = old.remove("fields") else {
        return None;
    };
    let message = fields.remove("message").and_then(|it| it.as_str().map(ToOwned::to_owned));
    let (agent, mission, correlation_id) = (None, None, None);
    Some(LogLine { time, level, target, agent, mission, correlation_id, message, fields })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(n: u32, level: &str) -> String {
        format!(
            "{{\"time\":\"2026-01-31T09:30:00Z\",\"level\":\"{level}\",\"target\":\"t\",\
             \"agent\":null,\"mission\":\"M-7K2P\",\"correlation_id\":null,\
             \"message\":\"line {n}\",\"fields\":{{\"n\":{n}}}}}\n"
        )
    }

    fn written() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let of = |range: std::ops::Range<u32>| -> String {
            range.map(|n| line(n, if n.is_multiple_of(5) { "WARN" } else { "INFO" })).collect()
        };
        std::fs::write(dir.path().join("hivekeeper.2026-01-30.0001.log"), of(0..10)).unwrap();
        let torn = format!("{}{{\"time\":\"torn", of(10..20));
        std::fs::write(dir.path().join("hivekeeper.2026-01-31.0001.log"), torn).unwrap();
        dir
    }

    fn numbers(lines: &[LogLine]) -> Vec<u64> {
        lines.iter().map(|line| line.fields["n"].as_u64().unwrap()).collect()
    }

    #[test]
    fn the_newest_lines_come_first_and_a_page_goes_on_where_the_one_before_ended() {
        let dir = written();
        let mut query = LogQuery { limit: Some(7), ..LogQuery::default() };
        let mut all = Vec::new();
        loop {
            let (lines, next) = read(dir.path(), &query).unwrap();
            all.extend(numbers(&lines));
            let Some(next) = next else { break };
            query.before = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(all, (0..20).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn lines_are_found_by_level_and_by_what_they_say() {
        let dir = written();
        let query = LogQuery { level: Some(Severity::Warn), ..LogQuery::default() };
        assert_eq!(numbers(&read(dir.path(), &query).unwrap().0), [15, 10, 5, 0]);
        let query = LogQuery { text: Some("LINE 1".to_owned()), ..LogQuery::default() };
        let found = numbers(&read(dir.path(), &query).unwrap().0);
        assert_eq!(found, [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 1]);
        let empty = tempfile::tempdir().unwrap();
        assert!(read(&empty.path().join("none"), &LogQuery::default()).unwrap().0.is_empty());
    }

    #[test]
    fn a_line_of_an_older_version_is_read_as_well() {
        let text = "{\"timestamp\":\"2026-01-31T09:30:00Z\",\"level\":\"INFO\",\
                    \"fields\":{\"message\":\"listening\",\"url\":\"http://x\"},\"target\":\"cli\"}";
        let line = parse(text).unwrap();
        assert_eq!(line.message.as_deref(), Some("listening"));
        assert_eq!(line.fields["url"], "http://x");
        assert!(parse("oops").is_none());
    }

    proptest! {
        #[test]
        fn no_line_and_no_place_panics(text: String, bytes: Vec<u8>) {
            let _ = parse(&text);
            let _ = text.parse::<Place>();
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("hivekeeper.2026-01-30.0001.log"), bytes).unwrap();
            let _ = read(dir.path(), &LogQuery::default()).unwrap();
        }
    }
}
