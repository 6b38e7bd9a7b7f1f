//! The transcripts with real files, a clock that is moved by hand, and processes that are killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::clock::{Clock, ManualClock, SystemClock};
use model::conversation::{Body, Entry, FileChange, ToolCall, ToolKind, ToolState};
use model::id::{AttemptId, SystemDraw};
use model::message::Source;
use proptest::prelude::*;

use super::*;

/// What is kept, and what is given up.
mod bounds;

const START_MS: i64 = 1_800_000_000_000;
/// Names the data directory to the child process.
const DIRECTORY: &str = "HIVEKEEPER_TEST_TRANSCRIPTS_DIR";

struct House {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    options: TranscriptOptions,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDir::open(folder.path()).unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millisecond(START_MS).unwrap()));
        let never = Duration::from_secs(24 * 3600);
        let options = TranscriptOptions { retain_every: never, ..TranscriptOptions::default() };
        Self { folder, clock, options }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    async fn open(&self) -> Transcripts {
        let dir = DataDir::open(self.folder.path()).unwrap();
        Transcripts::open_with(&dir, self.clock.clone(), self.options).await.unwrap()
    }
}

fn attempt() -> AttemptId {
    AttemptId::draw(SystemClock.now(), &mut SystemDraw)
}

fn entry(id: &str, body: Body) -> Entry {
    let at = Timestamp::from_millisecond(START_MS).unwrap();
    Entry { id: id.to_owned(), at, updated_at: at, body }
}

fn says(id: &str, text: &str) -> Entry {
    entry(id, Body::Message { text: text.to_owned() })
}

fn call(id: &str, state: ToolState, seconds: Option<i64>) -> Entry {
    let began = Timestamp::from_millisecond(START_MS).unwrap();
    let call = ToolCall {
        title: "Run the tests".to_owned(),
        name: Some("bash".to_owned()),
        tool: if seconds == Some(7) { ToolKind::Fetch } else { ToolKind::Execute },
        state,
        input: Some("cargo nextest".to_owned()),
        output: None,
        changes: vec![FileChange {
            path: "src/lib.rs".to_owned(),
            before: None,
            after: "secret sauce".to_owned(),
        }],
        places: Vec::new(),
        started_at: Some(began),
        ended_at: seconds.map(|seconds| began + SignedDuration::from_secs(seconds)),
        slow: seconds.is_some_and(|seconds| seconds > 60),
    };
    entry(id, Body::ToolCall { call })
}

async fn whole(transcripts: &Transcripts, id: AttemptId) -> Vec<Placed> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |placed: &Placed| placed.ordinal);
        let page = transcripts.page(id, PageFrom::After(after), 500).await.unwrap();
        if page.entries.is_empty() {
            return all;
        }
        all.extend(page.entries);
    }
}

fn ids(placed: &[Placed]) -> Vec<&str> {
    placed.iter().map(|placed| placed.entry.id.as_str()).collect()
}

#[tokio::test]
async fn a_conversation_is_read_from_any_place_and_keeps_its_order_while_entries_grow() {
    let house = House::new();
    let transcripts = house.open().await;
    let id = attempt();
    let empty = transcripts.page(id, PageFrom::End, 5).await.unwrap();
    assert_eq!((empty.total, empty.first, empty.kept_from), (0, 0, 1));
    let entries = (0..10).map(|n| says(&format!("m{n}"), "begun")).collect();
    transcripts.put(id, entries).await.unwrap();
    transcripts.put(id, vec![says("m3", "grown"), says("m10", "new")]).await.unwrap();

    let end = transcripts.page(id, PageFrom::End, 3).await.unwrap();
    assert_eq!(ids(&end.entries), ["m8", "m9", "m10"]);
    assert_eq!((end.first, end.last, end.total, end.kept_from), (1, 11, 11, 1));
    let page = transcripts.page(id, PageFrom::Before(4), 2).await.unwrap();
    assert_eq!(ids(&page.entries), ["m1", "m2"]);
    let page = transcripts.page(id, PageFrom::After(3), 2).await.unwrap();
    assert_eq!(ids(&page.entries), ["m3", "m4"]);
    assert_eq!(page.entries[0].entry, says("m3", "grown"));
    assert_eq!(page.entries[0].ordinal, 4);
    transcripts.close().await;
    assert!(matches!(transcripts.put(id, vec![says("x", "")]).await, Err(PutError::Closed)));
    assert!(matches!(transcripts.page(id, PageFrom::End, 1).await, Err(ReadError::Closed)));
    assert_eq!(whole(&house.open().await, id).await.len(), 11);
}

#[tokio::test]
async fn a_page_of_huge_entries_is_bounded_in_bytes() {
    let house = House::new();
    let transcripts = house.open().await;
    let id = attempt();
    let huge = "x".repeat(3 << 20);
    for n in 0..5 {
        transcripts.put(id, vec![says(&n.to_string(), &huge)]).await.unwrap();
    }
    let page = transcripts.page(id, PageFrom::End, 500).await.unwrap();
    assert_eq!(ids(&page.entries), ["3", "4"]);
    let changes = transcripts.since(id, 0, 500).await.unwrap();
    assert_eq!((ids(&changes.entries), changes.more), (vec!["0", "1"], true));
    let rest = transcripts.since(id, changes.revision, 500).await.unwrap();
    assert_eq!((ids(&rest.entries), rest.more), (vec!["2", "3"], true));
}

#[tokio::test]
async fn who_follows_a_conversation_sees_each_change_once_and_nothing_that_did_not_change() {
    let house = House::new();
    let transcripts = house.open().await;
    let (id, other) = (attempt(), attempt());
    let mut changes = transcripts.subscribe();
    transcripts.put(id, vec![says("m1", "a"), says("m2", "b")]).await.unwrap();
    let told = changes.recv().await.unwrap();
    let page = transcripts.page(id, PageFrom::End, 9).await.unwrap();
    assert_eq!(told, Changed { attempt_id: id, revision: page.revision });

    transcripts.put(other, vec![says("m1", "elsewhere")]).await.unwrap();
    transcripts.put(id, vec![says("m1", "a"), says("m2", "b")]).await.unwrap();
    let nothing = transcripts.since(id, page.revision, 9).await.unwrap();
    assert_eq!((nothing.entries, nothing.revision), (Vec::new(), page.revision));
    transcripts.put(id, vec![says("m1", "a grown"), says("m3", "c")]).await.unwrap();
    let news = transcripts.since(id, page.revision, 1).await.unwrap();
    assert_eq!((ids(&news.entries), news.more), (vec!["m1"], true));
    let news = transcripts.since(id, news.revision, 9).await.unwrap();
    assert_eq!((ids(&news.entries), news.more), (vec!["m3"], false));
    let revision = news.revision;
    assert_eq!(changes.recv().await.unwrap().attempt_id, other);
    assert_eq!(changes.recv().await.unwrap(), Changed { attempt_id: id, revision });

    // It goes on where it was, and beyond where the file is lost.
    transcripts.close().await;
    let transcripts = house.open().await;
    transcripts.put(id, vec![says("m4", "d")]).await.unwrap();
    let news = transcripts.since(id, revision, 9).await.unwrap();
    assert_eq!(ids(&news.entries), ["m4"]);
    transcripts.close().await;
    fs::write(house.file(), b"no database").unwrap();
    house.clock.advance(SignedDuration::from_secs(1));
    let transcripts = house.open().await;
    transcripts.put(id, vec![says("m5", "e")]).await.unwrap();
    assert_eq!(ids(&transcripts.since(id, news.revision, 9).await.unwrap().entries), ["m5"]);
}

fn look(text: &str) -> SearchFilter {
    SearchFilter { text: text.to_owned(), limit: 100, ..SearchFilter::default() }
}

async fn find(transcripts: &Transcripts, filter: SearchFilter) -> Vec<String> {
    let hits = transcripts.search(filter).await.unwrap().items;
    hits.into_iter().map(|hit| hit.entry_id).collect()
}

#[tokio::test]
async fn conversations_are_searched_by_words_phrases_kinds_and_attempts() {
    let house = House::new();
    let transcripts = house.open().await;
    let (one, two) = (attempt(), attempt());
    let prompt = Body::Prompt { from: Source::Captain, text: "Fix the flaky test".to_owned() };
    let mut entries = vec![entry("p", prompt), says("m1", "The test is flaky: it sleeps")];
    entries.push(call("c1", ToolState::Running, None));
    transcripts.put(one, entries).await.unwrap();
    transcripts.put(two, vec![says("n1", "Kein flaky Test, aber Prüfung")]).await.unwrap();

    assert_eq!(find(&transcripts, look("FLAKY test")).await, ["n1", "m1", "p"]);
    assert_eq!(find(&transcripts, look("\"flaky test\"")).await, ["n1", "p"]);
    assert_eq!(find(&transcripts, look("nextest")).await, ["c1"]);
    assert_eq!(find(&transcripts, look("next")).await, ["c1"], "the last word may go on");
    assert_eq!(find(&transcripts, look("lib.rs")).await, ["c1"]);
    assert_eq!(find(&transcripts, look("prufung")).await, ["n1"]);
    assert_eq!(find(&transcripts, look("nothing like it")).await, [""; 0]);
    assert_eq!(find(&transcripts, look("a1")).await, [""; 0], "tags are not found");
    assert_eq!(find(&transcripts, look("  ")).await, [""; 0]);
    let attempts = vec![one, attempt()];
    let within = SearchFilter { attempts, ..look("flaky") };
    assert_eq!(find(&transcripts, within).await, ["m1", "p"]);
    let nowhere = SearchFilter { attempts: vec![attempt()], ..look("flaky") };
    assert_eq!(find(&transcripts, nowhere).await, [""; 0]);
    let kinds = vec!["message".to_owned()];
    assert_eq!(find(&transcripts, SearchFilter { kinds, ..look("flaky") }).await, ["n1", "m1"]);
    let kinds = vec!["tool_call".to_owned(), "\") OR".to_owned()];
    assert_eq!(find(&transcripts, SearchFilter { kinds, ..look("run") }).await, ["c1"]);

    let page = transcripts.search(SearchFilter { limit: 2, ..look("flaky") }).await.unwrap();
    assert_eq!(page.items[1].attempt_id, one);
    assert_eq!(page.items[1].ordinal, 2);
    assert!(page.items[1].snippet.iter().any(|piece| piece.hit && piece.text == "flaky"));
    let rest = SearchFilter { cursor: page.next, limit: 2, ..look("flaky") };
    assert_eq!(find(&transcripts, rest).await, ["p"]);
    let bad = SearchFilter { cursor: Some("x".to_owned()), ..look("flaky") };
    assert!(matches!(transcripts.search(bad).await, Err(ReadError::BadCursor { .. })));

    // What an entry said before it changed is not found any more.
    transcripts.put(one, vec![says("m1", "All is well")]).await.unwrap();
    assert_eq!(find(&transcripts, look("sleeps")).await, [""; 0]);
    assert_eq!(find(&transcripts, look("well")).await, ["m1"]);
}

#[tokio::test]
async fn tool_calls_are_counted_and_those_that_run_are_told() {
    let house = House::new();
    let transcripts = house.open().await;
    let id = attempt();
    assert_eq!(transcripts.tool_calls(id).await.unwrap(), ToolCalls::default());
    let entries = vec![
        call("c1", ToolState::Running, None),
        call("c2", ToolState::Pending, None),
        call("c3", ToolState::Completed, Some(2)),
        call("c4", ToolState::Failed, Some(61)),
        call("c5", ToolState::Abandoned, Some(7)),
        says("m", "hello"),
    ];
    transcripts.put(id, entries).await.unwrap();
    assert_eq!(ids(&transcripts.open_calls(id).await.unwrap()), ["c1", "c2"]);
    transcripts.put(id, vec![call("c1", ToolState::Completed, Some(1))]).await.unwrap();
    assert_eq!(ids(&transcripts.open_calls(id).await.unwrap()), ["c2"]);
    let all = transcripts.tool_calls(id).await.unwrap();
    assert_eq!((all.total, all.open, all.failed, all.slow, all.total_ms), (5, 1, 1, 1, 71_000));
    let tools: Vec<_> = all.by_tool.iter().map(|time| (time.tool, time.calls, time.ms)).collect();
    assert_eq!(tools, [(ToolKind::Execute, 4, 64_000), (ToolKind::Fetch, 1, 7_000)]);
}

/// Run by the test below in a process of its own; without its variable there is nothing to do.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(DIRECTORY) else {
        return;
    };
    let dir = DataDir::open(Path::new(&path)).unwrap();
    let transcripts = Transcripts::open(&dir, Arc::new(SystemClock)).await.unwrap();
    let id = attempt();
    for n in 0_u32.. {
        let entries = vec![says("grows", &n.to_string()), says(&format!("m{n}"), "word")];
        transcripts.put(id, entries).await.unwrap();
        // One write call, so that a line is there as a whole or not at all.
        std::io::stdout().write_all(format!("ack {id} {n}\n").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn a_crash_loses_at_most_what_was_not_acknowledged() {
    for trial in 0..6_usize {
        let house = House::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "transcripts::tests::child_that_writes_until_it_is_killed"])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIRECTORY, house.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let read = |line: &str| {
            let (id, n) = line.strip_prefix("ack ")?.split_once(' ')?;
            Some((id.parse::<AttemptId>().ok()?, n.parse::<usize>().ok()?))
        };
        let mut last = None;
        while last.is_none_or(|(_, n)| n < 20 + trial * 40) {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            last = read(&line).or(last);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines.map_while(Result::ok).filter_map(|line| read(&line)).last().or(last);
        let (id, n) = last.unwrap();
        let transcripts = house.open().await;
        let all = whole(&transcripts, id).await;
        assert!(all.len() >= n + 2, "{} entries, {n} acknowledged", all.len());
        for (at, placed) in all.iter().enumerate().skip(1) {
            assert_eq!(placed.ordinal as usize, at + 1);
            assert_eq!(placed.entry.id, format!("m{}", at - 1));
        }
        // Entries and index are of one piece.
        let grown = (all.len() - 2).to_string();
        assert_eq!(all[0].entry, says("grows", &grown));
        assert_eq!(find(&transcripts, look(&format!("\"{grown}\""))).await, ["grows"]);
        transcripts.close().await;
    }
}

/// What the transcripts must hold.
#[derive(Default)]
struct Model {
    order: Vec<String>,
    entries: BTreeMap<String, Entry>,
}

async fn check(steps: Vec<Vec<(u8, String)>>, reopen_at: usize) {
    let house = House::new();
    let mut transcripts = house.open().await;
    let id = attempt();
    let mut model = Model::default();
    let mut followed: BTreeMap<String, Entry> = BTreeMap::new();
    let mut revision = 0;
    for (n, step) in steps.into_iter().enumerate() {
        if n == reopen_at {
            transcripts.close().await;
            transcripts = house.open().await;
        }
        let entries: Vec<Entry> =
            step.iter().map(|(of, text)| says(&format!("e{}", of % 24), text)).collect();
        for entry in &entries {
            if model.entries.insert(entry.id.clone(), entry.clone()).is_none() {
                model.order.push(entry.id.clone());
            }
        }
        transcripts.put(id, entries).await.unwrap();
        loop {
            let changes = transcripts.since(id, revision, 5).await.unwrap();
            for placed in changes.entries {
                assert!(placed.revision > revision);
                followed.insert(placed.entry.id.clone(), placed.entry);
            }
            revision = changes.revision;
            if !changes.more {
                break;
            }
        }
        assert_eq!(followed, model.entries);
    }
    let all = whole(&transcripts, id).await;
    assert!(all.iter().map(|placed| &placed.entry.id).eq(model.order.iter()));
    assert!(all.iter().all(|placed| model.entries[&placed.entry.id] == placed.entry));
    assert!(all.iter().zip(1..).all(|(placed, ordinal)| placed.ordinal == ordinal));
    transcripts.close().await;
}

async fn search_anything(typed: &[String]) {
    let house = House::new();
    let transcripts = house.open().await;
    transcripts.put(attempt(), vec![says("m", &typed.join(" "))]).await.unwrap();
    for text in typed {
        transcripts.search(look(text)).await.unwrap();
        let filter = SearchFilter { kinds: vec![text.clone()], ..look(text) };
        transcripts.search(filter).await.unwrap();
    }
    transcripts.close().await;
}

fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn entries_that_come_again_are_as_a_map_in_order_of_their_first_coming(
        steps in prop::collection::vec(prop::collection::vec((any::<u8>(), "[a-c]{0,3}"), 0..9), 1..12),
        reopen_at in 0usize..12,
    ) {
        block_on(check(steps, reopen_at));
    }

    #[test]
    fn no_text_of_a_person_is_an_error_of_the_search(
        mut typed in prop::collection::vec("(\\PC|[\"*():^{}+\\-\0 ]|AND|OR|NOT|NEAR|ⓐ|é){0,12}", 1..24),
        any in prop::collection::vec(any::<String>(), 0..8),
    ) {
        typed.extend(any);
        typed.extend(["\"".to_owned(), "*".to_owned(), "text : x".to_owned(), "ⓐ".to_owned()]);
        block_on(search_anything(&typed));
    }
}
