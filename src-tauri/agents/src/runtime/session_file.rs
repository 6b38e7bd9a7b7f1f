//! Session files: what some agents write down of their own sessions, read for what they used.
//!
//! Invariant: the file is only read, a bounded piece at a time, and of what stands in it only numbers
//! and the model's name are kept. What stood there before the attempt began is of somebody else, and a
//! total is counted by how much it grew, so that nothing is counted twice.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use model::usage::{Tokens, Usage, UsageSource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::usage::{Figures, MODELS_MAX, figures, find, rank, text};
use super::ways::{Covers, SessionFile, UsagePlace};
use crate::lines::LineReader;
use crate::transcript::TranscriptError;

/// The most names that are looked at to find a file.
const NAMES_MAX: usize = 20_000;
/// The longest id of a session that names a file, in bytes.
const SESSION_BYTES_MAX: usize = 100;
/// How much is read at once, in bytes.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How far before its end a file is read that was there before the attempt, in bytes: its newest total
/// stands there.
const TAIL_BYTES: u64 = 8 * 1024 * 1024;
/// Stands for the session's id.
const SESSION: &str = "{session}";

/// Why a preset's session file cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionFileError {
    /// Its path leads elsewhere, or is the same for all sessions.
    #[error(
        "has a session_file whose path is not a path below its root that holds {SESSION} in its last part"
    )]
    Path,
    /// Nothing says where it is, or what its lines are.
    #[error("has a session_file without roots, kind or usage")]
    Nothing,
    /// Figures that are not those of a line.
    #[error(
        "has a session_file with a usage that is not in an 'update' of some kind, or covers neither 'conversation' nor 'request'"
    )]
    Usage,
}

/// Whether a preset's session file can be one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(file: &SessionFile) -> Result<(), SessionFileError> {
    let below =
        |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let named = file.path.rsplit('/').next().is_some_and(|name| name.contains(SESSION));
    if !named || !below(&file.path) || !file.roots.iter().all(|root| below(&root.below)) {
        return Err(SessionFileError::Path);
    }
    if file.roots.is_empty() || file.kind.is_empty() || file.usage.is_empty() {
        return Err(SessionFileError::Nothing);
    }
    let right = file.usage.iter().all(|rule| {
        rule.place == UsagePlace::Update
            && rule.of.is_some()
            && matches!(rule.covers, Covers::Conversation | Covers::Request)
    });
    if right { Ok(()) } else { Err(SessionFileError::Usage) }
}

/// What one rule has given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    /// The newest total.
    last: Figures,
    /// What the attempt used.
    used: Figures,
}

/// Adds up what an attempt used, as far as its agent writes that down. Kept beside the run, it goes on
/// where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMeter {
    file: SessionFile,
    root: PathBuf,
    session: String,
    /// The file, once it was found.
    path: Option<PathBuf>,
    /// How far it was read, in bytes.
    offset: u64,
    /// Whether a file that is found now holds what was used before.
    is_older: bool,
    read: Vec<Read>,
    models: BTreeSet<String>,
    #[serde(skip)]
    reader: Lines,
}

/// Reads the file; not part of what is kept.
#[derive(Debug, Default)]
struct Lines(Option<LineReader>);

impl Clone for Lines {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl PartialEq for Lines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lines {}

impl SessionMeter {
    /// A meter for a session's file below the root that the agent's variables name; nothing where they
    /// name none, or the id of the session is no part of a name.
    #[must_use]
    pub fn new(
        file: &SessionFile,
        session: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Option<Self> {
        let root = file.roots.iter().find_map(|root| {
            let place = PathBuf::from(variable(&root.env).filter(|value| !value.is_empty())?);
            place.is_absolute().then(|| place.join(&root.below))
        })?;
        is_name(session).then(|| Self {
            read: vec![Read::default(); file.usage.len()],
            file: file.clone(),
            root,
            session: session.to_owned(),
            path: None,
            offset: 0,
            is_older: true,
            models: BTreeSet::new(),
            reader: Lines::default(),
        })
    }

    /// The attempt goes on in another session; what was used in the one before stays.
    pub fn go_on_in(&mut self, session: &str) {
        if session == self.session || !is_name(session) {
            return;
        }
        session.clone_into(&mut self.session);
        (self.path, self.offset, self.is_older) = (None, 0, true);
        self.reader = Lines::default();
        self.read.iter_mut().for_each(|read| read.last = Figures::default());
    }

    /// The session was opened, and nothing was asked in it yet: whatever stands in its file is older.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn begin(&mut self) -> Result<(), TranscriptError> {
        if !self.is_older {
            return Ok(());
        }
        if self.is_found() {
            self.offset = self.size().saturating_sub(TAIL_BYTES);
            while self.read_some(false)? {}
        }
        self.is_older = false;
        Ok(())
    }

    /// Reads what was added to the file, at most a few megabytes at once; says whether there may be more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self) -> Result<bool, TranscriptError> {
        self.begin()?;
        if !self.is_found() {
            return Ok(false);
        }
        let size = self.size();
        if size < self.offset {
            // Another one stands in its place: what it holds was counted, as far as anybody knows.
            self.offset = size;
            self.reader = Lines::default();
        }
        self.read_some(true)
    }

    /// Whether the file is known; looks for it where it is not.
    #[must_use]
    pub fn is_found(&mut self) -> bool {
        if self.path.is_none() {
            let parts: Vec<String> =
                self.file.path.split('/').map(|it| it.replace(SESSION, &self.session)).collect();
            let mut names_left = NAMES_MAX;
            self.path = newest(&self.root, &parts, &mut names_left);
        }
        self.path.is_some()
    }

    /// Closes the file, where others need its descriptor more.
    pub fn close(&mut self) {
        self.reader = Lines::default();
    }

    fn size(&self) -> u64 {
        let about = self.path.as_ref().and_then(|path| path.symlink_metadata().ok());
        about.filter(std::fs::Metadata::is_file).map_or(0, |about| about.len())
    }

    fn read_some(&mut self, counts: bool) -> Result<bool, TranscriptError> {
        let Some(path) = self.path.clone() else {
            return Ok(false);
        };
        let until = self.offset.saturating_add(READ_BYTES_MAX);
        let mut reader = self.reader.0.take().unwrap_or_else(|| LineReader::new(&path));
        while self.offset < until {
            let Some(line) = reader.next_line(self.offset)? else {
                // Nothing is held open between two looks.
                return Ok(false);
            };
            self.offset = line.next_offset;
            if !line.cut {
                self.line(&line.bytes, counts);
            }
        }
        self.reader.0 = Some(reader);
        Ok(true)
    }

    /// Reads one line.
    fn line(&mut self, bytes: &[u8], counts: bool) {
        let Ok(line) = serde_json::from_slice::<Value>(bytes) else {
            return;
        };
        let kind = self.kind(&line);
        for (rule, read) in self.file.usage.iter().zip(&mut self.read) {
            let meant = rule.of.as_deref() == Some(kind.as_str());
            let Some(at) = meant.then(|| find(&line, &rule.at)).flatten() else { continue };
            if counts
                && let Some(model) = text(at, rule.fields.model.as_deref())
                && self.models.len() < MODELS_MAX
            {
                self.models.insert(model);
            }
            let told = figures(at, rule);
            if told == Figures::default() {
                continue;
            }
            let more = match rule.covers {
                Covers::Conversation => told.since(&read.last),
                _ => told,
            };
            read.last = told;
            if counts {
                read.used = read.used.plus(&more);
            }
        }
    }

    fn kind(&self, line: &Value) -> String {
        let parts = self.file.kind.iter().map(|at| find(line, at).and_then(Value::as_str));
        parts.map(Option::unwrap_or_default).collect::<Vec<_>>().join("/")
    }

    /// What the attempt used by now; nothing where its file does not say.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let told = self.file.usage.iter().zip(&self.read);
        let (_, best) = told
            .filter(|(_, read)| read.used.tokens != Tokens::default())
            .min_by_key(|(rule, _)| rank(rule.covers))?;
        let models = self.models.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Some(Usage {
            model: (!models.is_empty()).then_some(models),
            tokens: best.used.tokens,
            requests: best.used.requests,
            reported_cost_micros: best.used.cost_micros,
            model_ms: best.used.model_ms,
            ..Usage::none(UsageSource::SessionFile)
        })
    }
}

/// Whether a session's id can be part of a file's name and of nothing else.
fn is_name(session: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=SESSION_BYTES_MAX).contains(&session.len())
        && session.bytes().all(fits)
        && !session.starts_with('.')
}

/// The file of that path whose directories sort last, as those named by dates do: the newest one. No link
/// is followed.
fn newest(place: &Path, parts: &[String], names_left: &mut usize) -> Option<PathBuf> {
    let (part, rest) = parts.split_first()?;
    let is_right = |path: &Path| {
        let about = path.symlink_metadata().ok();
        about.is_some_and(|about| if rest.is_empty() { about.is_file() } else { about.is_dir() })
    };
    let mut found: Vec<PathBuf> = if part.contains('*') {
        let entries = std::fs::read_dir(place).ok()?.flatten().take(*names_left);
        let mut seen = 0;
        let named = entries.filter(|entry| {
            seen += 1;
            entry.file_name().to_str().is_some_and(|name| fits(name, part))
        });
        let named = named.map(|entry| entry.path()).collect();
        *names_left -= seen.min(*names_left);
        named
    } else {
        vec![place.join(part)]
    };
    found.sort();
    found.into_iter().rev().filter(|path| is_right(path)).find_map(|path| match rest {
        [] => Some(path),
        rest => newest(&path, rest, names_left),
    })
}

/// Whether a name is of this form, in which `*` stands for anything.
fn fits(name: &str, form: &str) -> bool {
    let mut parts = form.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some(at) = name.find(before) else {
                return false;
            };
            name = &name[at + before.len()..];
        }
    }
    last.map_or(name.is_empty(), |last| name.ends_with(last))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::runtime::presets::Presets;

    const ID: &str = "01a1fa51-5bd8-7c80-8e1d-bb6034255398";

    fn rule() -> SessionFile {
        Presets::built_in().ways("codex-acp-zed").session_file.unwrap()
    }

    fn meter(root: &Path) -> SessionMeter {
        let home = |name: &str| (name == "CODEX_HOME").then(|| root.as_os_str().to_owned());
        SessionMeter::new(&rule(), ID, home).unwrap()
    }

    fn place(root: &Path, day: &str, id: &str) -> PathBuf {
        let directory = root.join("sessions").join(day);
        std::fs::create_dir_all(&directory).unwrap();
        directory.join(format!("rollout-2026-11-22T01-02-03-{id}.jsonl"))
    }

    fn add(path: &Path, lines: &[Value]) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    fn total(input: u64, cached: u64, output: u64) -> Value {
        let total = json!({"input_tokens": input, "cached_input_tokens": cached,
            "output_tokens": output, "reasoning_output_tokens": output / 5,
            "total_tokens": input + output});
        json!({"timestamp": "2026-11-22T01:02:04Z", "type": "event_msg", "payload": {
            "type": "token_count", "info": {"total_token_usage": total}}})
    }

    fn of(meter: &SessionMeter) -> (Option<u64>, Option<u64>, Option<u64>) {
        let tokens = meter.usage().map(|usage| usage.tokens).unwrap_or_default();
        (tokens.uncached_input, tokens.cache_read, tokens.output)
    }

    #[test]
    fn what_a_session_file_says_is_what_the_attempt_used_and_no_more_of_it_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let mut meter = meter(root.path());
        meter.begin().unwrap();
        assert_eq!((meter.read().unwrap(), meter.usage()), (false, None), "there is none yet");
        let path = place(root.path(), "2026/11/22", ID);
        let context =
            json!({"type": "turn_context", "payload": {"model": "gpt-x", "cwd": "/s3cret"}});
        let said =
            json!({"type": "response_item", "payload": {"type": "message", "text": "s3cret"}});
        let none = json!({"type": "event_msg", "payload": {"type": "token_count", "info": null}});
        add(&path, &[context, said, none, total(1000, 200, 50), total(1000, 200, 50)]);
        assert!(!meter.read().unwrap());
        assert_eq!(of(&meter), (Some(800), Some(200), Some(50)));
        add(&path, &[total(4000, 800, 200)]);
        meter.read().unwrap();
        let usage = meter.usage().unwrap();
        assert_eq!(of(&meter), (Some(3200), Some(800), Some(200)));
        assert_eq!(usage.tokens.reasoning, Some(40));
        assert_eq!(usage.model.as_deref(), Some("gpt-x"));
        assert_eq!((usage.source, usage.requests), (UsageSource::SessionFile, None));
        let kept = serde_json::to_string(&meter).unwrap();
        assert!(!kept.contains("s3cret"), "{kept}");
    }

    #[test]
    fn a_session_that_is_loaded_again_is_counted_from_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        let path = place(root.path(), "2025/01/31", ID);
        add(&path, &[total(9000, 100, 300)]);
        let mut meter = meter(root.path());
        meter.begin().unwrap();
        meter.read().unwrap();
        assert_eq!(meter.usage(), None, "that was another attempt");
        add(&path, &[total(10_000, 300, 350)]);
        meter.read().unwrap();
        assert_eq!(of(&meter), (Some(800), Some(200), Some(50)));
        // A total that falls began anew.
        add(&path, &[total(1000, 200, 50)]);
        meter.read().unwrap();
        assert_eq!(of(&meter), (Some(1600), Some(400), Some(100)));
    }

    #[test]
    fn a_file_that_is_written_anew_is_not_counted_again() {
        let root = tempfile::tempdir().unwrap();
        let path = place(root.path(), "2026/11/22", ID);
        let mut meter = meter(root.path());
        meter.begin().unwrap();
        add(&path, &[total(1000, 200, 50), total(4000, 800, 200)]);
        meter.read().unwrap();
        std::fs::remove_file(&path).unwrap();
        add(&path, &[total(4000, 800, 200)]);
        meter.read().unwrap();
        assert_eq!(of(&meter), (Some(3200), Some(800), Some(200)));
        add(&path, &[total(5000, 1000, 250)]);
        meter.read().unwrap();
        assert_eq!(of(&meter), (Some(4000), Some(1000), Some(250)));
    }

    #[test]
    fn another_session_of_the_same_attempt_is_added_to_what_the_first_one_used() {
        let root = tempfile::tempdir().unwrap();
        let mut meter = meter(root.path());
        meter.begin().unwrap();
        add(&place(root.path(), "2026/11/22", ID), &[total(1000, 200, 50)]);
        meter.read().unwrap();
        meter.go_on_in("other");
        meter.begin().unwrap();
        add(&place(root.path(), "2026/11/22", "other"), &[total(1000, 200, 50)]);
        meter.read().unwrap();
        assert_eq!(of(&meter), (Some(1600), Some(400), Some(100)));
    }

    #[test]
    fn only_a_file_of_the_session_itself_is_read_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let stranger = root.path().join("elsewhere.jsonl");
        add(&stranger, &[total(7, 7, 7)]);
        std::os::unix::fs::symlink(&stranger, place(root.path(), "2026/11/22", ID)).unwrap();
        add(&place(root.path(), "2026/11/22", "another"), &[total(7, 7, 7)]);
        let mut meter = meter(root.path());
        assert!(!meter.is_found());
        assert!(!meter.read().unwrap());
        assert_eq!(meter.usage(), None);
        for id in ["", "..", "a/b", ".hidden", "a b", "{session}", &"x".repeat(101)] {
            let home = |_: &str| Some(root.path().as_os_str().to_owned());
            assert_eq!(SessionMeter::new(&rule(), id, home), None, "{id}");
        }
        assert_eq!(SessionMeter::new(&rule(), ID, |_| None), None, "nobody knows where");
    }

    #[test]
    fn the_data_is_looked_for_where_the_agents_own_variables_say() {
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/ann"));
        let meter = SessionMeter::new(&rule(), ID, home).unwrap();
        assert_eq!(meter.root, Path::new("/home/ann/.codex"));
        let empty = |name: &str| Some(OsString::from(if name == "HOME" { "/h" } else { "" }));
        assert_eq!(SessionMeter::new(&rule(), ID, empty).unwrap().root, Path::new("/h/.codex"));
    }

    #[test]
    fn a_preset_whose_session_file_cannot_be_one_is_refused() {
        assert_eq!(check(&rule()), Ok(()));
        let with = |change: fn(&mut SessionFile)| {
            let mut file = rule();
            change(&mut file);
            check(&file)
        };
        let path = Err(SessionFileError::Path);
        assert_eq!(with(|file| file.path = "../{session}".into()), path);
        assert_eq!(with(|file| file.path = "/etc/{session}".into()), path);
        assert_eq!(with(|file| file.path = "{session}/all".into()), path);
        assert_eq!(with(|file| file.roots[1].below = "../x".into()), path);
        assert_eq!(with(|file| file.kind.clear()), Err(SessionFileError::Nothing));
        let usage = Err(SessionFileError::Usage);
        assert_eq!(with(|file| file.usage[0].covers = Covers::Turn), usage);
        assert_eq!(with(|file| file.usage[0].of = None), usage);
    }

    #[test]
    fn a_name_is_of_a_form_with_anything_where_its_stars_are() {
        for (name, form) in
            [("a", "a"), ("abc", "a*c"), ("ac", "a*c"), ("axbxc", "a*b*c"), ("x", "*")]
        {
            assert!(fits(name, form), "{name} {form}");
        }
        for (name, form) in
            [("ab", "a"), ("a", "a*a"), ("abd", "a*c"), ("acb", "a*b*c"), ("ab", "b*")]
        {
            assert!(!fits(name, form), "{name} {form}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However the file grows, and however often the engine starts again: what was used is what the
        /// total grew by.
        #[test]
        fn a_total_is_counted_by_what_it_grew(
            before in 0u64..1_000_000,
            steps in prop::collection::vec((0u64..100_000, any::<bool>(), "[a-z{}\"\n]{0,20}"), 1..20),
        ) {
            let root = tempfile::tempdir().unwrap();
            let path = place(root.path(), "2026/11/22", ID);
            add(&path, &[total(before, 0, before)]);
            let mut meter = meter(root.path());
            meter.begin().unwrap();
            let mut now = before;
            for (more, starts_again, noise) in &steps {
                now += more;
                add(&path, &[Value::String(noise.clone()), total(now, 0, now)]);
                if *starts_again {
                    meter = serde_json::from_slice(&serde_json::to_vec(&meter).unwrap()).unwrap();
                } else {
                    meter.read().unwrap();
                }
            }
            while meter.read().unwrap() {}
            let used = meter.usage().and_then(|usage| usage.tokens.output).unwrap_or(0);
            prop_assert_eq!(used, now - before);
        }

        #[test]
        fn whatever_stands_in_a_file_no_figure_is_beyond_measure(
            lines in prop::collection::vec(any::<Vec<u8>>(), 0..20),
            figures in prop::collection::vec((any::<f64>(), any::<i64>()), 0..20),
        ) {
            let root = tempfile::tempdir().unwrap();
            let mut meter = meter(root.path());
            meter.is_older = false;
            for line in &lines {
                meter.line(line, true);
            }
            for (one, other) in &figures {
                let total = json!({"input_tokens": one, "cached_input_tokens": other,
                    "output_tokens": other.to_string()});
                let line = json!({"type": "event_msg", "payload": {
                    "type": "token_count", "info": {"total_token_usage": total}}});
                meter.line(line.to_string().as_bytes(), true);
            }
            let used = meter.usage().and_then(|usage| usage.tokens.total()).unwrap_or(0);
            prop_assert!(used <= 60_000_000_000_000);
        }
    }
}
