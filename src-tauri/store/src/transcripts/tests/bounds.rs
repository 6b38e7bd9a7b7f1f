//! What is kept of conversations, what is given up, and files that are damaged.

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;

async fn sqlite(house: &House) -> SqliteConnection {
    SqliteConnectOptions::new().filename(house.file()).connect().await.unwrap()
}

#[tokio::test]
async fn an_attempt_has_so_many_entries_and_the_oldest_go() {
    let mut house = House::new();
    house.options.entries_max = 300;
    let transcripts = house.open().await;
    let id = attempt();
    for from in (0..1_000).step_by(50) {
        let entries = (from..from + 50).map(|n| says(&format!("m{n}"), "word")).collect();
        transcripts.put(id, entries).await.unwrap();
    }
    let page = transcripts.page(id, PageFrom::After(0), 500).await.unwrap();
    assert!((250..=300).contains(&page.total), "{}", page.total);
    assert_eq!((page.last, page.first), (1_000, page.kept_from));
    assert_eq!(page.kept_from, 1_001 - page.total);
    assert_eq!(page.entries.len() as u64, page.total);
    // What was given up is not found either.
    let mut found = 0;
    let mut cursor = None;
    loop {
        let hits = transcripts.search(SearchFilter { cursor, ..look("word") }).await.unwrap();
        found += hits.items.len() as u64;
        cursor = hits.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, page.total);
    assert_eq!(transcripts.since(id, 0, 1).await.unwrap().kept_from, page.kept_from);
}

#[tokio::test]
async fn an_attempt_has_so_many_bytes_and_the_oldest_go() {
    let mut house = House::new();
    house.options.bytes_max = 100_000;
    let transcripts = house.open().await;
    let id = attempt();
    for n in 0..40 {
        transcripts.put(id, vec![says(&n.to_string(), &"x".repeat(10_000))]).await.unwrap();
    }
    let page = transcripts.page(id, PageFrom::End, 500).await.unwrap();
    assert_eq!((page.total, page.last, page.kept_from), (9, 40, 32));
    // One that grows counts as it is now.
    transcripts.put(id, vec![says("39", &"x".repeat(60_000))]).await.unwrap();
    let page = transcripts.page(id, PageFrom::End, 500).await.unwrap();
    assert_eq!((page.total, page.last), (4, 40));
}

#[tokio::test]
async fn what_did_not_change_for_long_is_given_up_by_age() {
    const DAY: i64 = 24 * 3600;
    let house = House::new();
    let transcripts = house.open().await;
    let (old, young) = (attempt(), attempt());
    let many = |word: &str| (0..450).map(|n| says(&n.to_string(), word)).collect::<Vec<_>>();
    transcripts.put(old, many("ancient")).await.unwrap();
    house.clock.advance(SignedDuration::from_secs(29 * DAY));
    transcripts.put(young, many("recent")).await.unwrap();
    transcripts.retain().await.unwrap();
    assert_eq!(transcripts.page(old, PageFrom::End, 1).await.unwrap().total, 450);
    // A clock that jumps ahead makes nothing old by itself.
    house.clock.advance(SignedDuration::from_secs(300 * DAY));
    transcripts.retain().await.unwrap();
    assert_eq!(transcripts.page(old, PageFrom::End, 1).await.unwrap().total, 450);
    transcripts.put(attempt(), many("new")).await.unwrap();
    transcripts.retain().await.unwrap();
    for id in [old, young] {
        assert_eq!(
            transcripts.page(id, PageFrom::End, 1).await.unwrap(),
            EntryPage { kept_from: 1, ..EntryPage::default() }
        );
    }
    assert_eq!(find(&transcripts, look("ancient")).await, [""; 0]);
    assert_eq!(find(&transcripts, look("new")).await.len(), 100);
}

#[tokio::test]
async fn a_file_over_its_budget_gives_up_what_did_not_change_for_longest() {
    let mut house = House::new();
    house.options.disk_budget_bytes = 3 << 20;
    let transcripts = house.open().await;
    let attempts: Vec<AttemptId> = (0..6).map(|_| attempt()).collect();
    for id in &attempts {
        let text = "some words that take room ".repeat(300);
        let entries = (0..100).map(|n| says(&n.to_string(), &text)).collect();
        transcripts.put(*id, entries).await.unwrap();
        house.clock.advance(SignedDuration::from_secs(1));
    }
    let total = async || {
        let mut all = Vec::new();
        for id in &attempts {
            all.push(transcripts.page(*id, PageFrom::End, 1).await.unwrap().total);
        }
        all
    };
    assert_eq!(total().await, [100; 6]);
    transcripts.retain().await.unwrap();
    let kept = total().await;
    assert_eq!((kept[0], kept[5]), (0, 100), "{kept:?}");
    assert!(kept.is_sorted(), "{kept:?}");
    let gone = transcripts.page(attempts[0], PageFrom::End, 1).await.unwrap();
    assert_eq!(gone.kept_from, 101);
}

#[tokio::test]
async fn a_forgotten_attempt_leaves_nothing() {
    let house = House::new();
    let transcripts = house.open().await;
    let (one, other) = (attempt(), attempt());
    for id in [one, other] {
        let entries = (0..500).map(|n| says(&n.to_string(), "word")).collect();
        transcripts.put(id, entries).await.unwrap();
    }
    transcripts.forget(one).await.unwrap();
    transcripts.forget(attempt()).await.unwrap();
    assert_eq!(transcripts.page(one, PageFrom::End, 1).await.unwrap().total, 0);
    assert_eq!(transcripts.page(other, PageFrom::End, 1).await.unwrap().total, 500);
    let hits = transcripts.search(look("word")).await.unwrap().items;
    assert!(hits.iter().all(|hit| hit.attempt_id == other));
    let within = SearchFilter { attempts: vec![one], ..look("word") };
    assert_eq!(find(&transcripts, within).await, [""; 0]);
    transcripts.close().await;
    let mut conn = sqlite(&house).await;
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM texts").fetch_one(&mut conn).await.unwrap();
    assert_eq!(left, 500);
}

#[tokio::test]
async fn a_damaged_file_or_one_of_another_program_is_set_aside_and_a_fresh_one_made() {
    let healthy = House::new();
    let transcripts = healthy.open().await;
    let id = attempt();
    let entries = (0..2_000).map(|n| says(&n.to_string(), "one of many words")).collect();
    transcripts.put(id, entries).await.unwrap();
    transcripts.close().await;
    let mut conn = sqlite(&healthy).await;
    // As a crash leaves it: not marked as closed, so that pages are checked.
    let unmark = "UPDATE marks SET value = 0 WHERE name = 'closed_cleanly'";
    sqlx::query(unmark).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let bytes = fs::read(healthy.file()).unwrap();
    let noise = |from: usize, to: usize| {
        let mut bytes = bytes.clone();
        bytes[from..to].fill(0xA5);
        bytes
    };
    let mut foreign = bytes.clone();
    foreign[68..72].copy_from_slice(&7_u32.to_be_bytes());
    let cases = [
        ("no database", b"these are not the bytes of a database".to_vec()),
        ("cut off", bytes[..bytes.len() / 2].to_vec()),
        ("pages in the middle", noise(8192, bytes.len() / 2)),
        ("another program's", foreign),
    ];
    for (name, damaged) in cases {
        let house = House::new();
        fs::write(house.file(), &damaged).unwrap();
        let transcripts = house.open().await;
        transcripts.put(id, vec![says("m", "new")]).await.unwrap();
        assert_eq!(whole(&transcripts, id).await.len(), 1, "{name}");
        transcripts.close().await;
        let aside = house.folder.path().join(format!("{FILE}.damaged-{START_MS:013}"));
        assert_eq!(fs::read(aside).unwrap().len(), damaged.len(), "{name}");
    }
}

#[tokio::test]
async fn damage_that_a_reader_finds_is_remembered_and_the_file_set_aside_at_the_next_start() {
    let house = House::new();
    let transcripts = house.open().await;
    let (id, long) = (attempt(), "x".repeat(4 << 20));
    transcripts.put(id, vec![says("m", &long)]).await.unwrap();
    transcripts.close().await;
    let mut bytes = fs::read(house.file()).unwrap();
    // Everything behind the first pages: the tables are known, what is in them is nonsense.
    let from = bytes.len() / 8;
    bytes[from..].fill(0xa5);
    fs::write(house.file(), &bytes).unwrap();
    // It was closed in order, so that nobody looks at every page.
    let transcripts = house.open().await;
    let found = transcripts.page(id, PageFrom::End, 9).await;
    assert!(matches!(found, Err(ReadError::Storage { .. })), "{:?}", found.map(|it| it.total));
    transcripts.close().await;
    let transcripts = house.open().await;
    assert_eq!(whole(&transcripts, id).await, []);
    transcripts.put(id, vec![says("m", "new")]).await.unwrap();
}

#[tokio::test]
async fn damage_that_is_found_in_use_is_remembered_until_the_next_start() {
    let house = House::new();
    let transcripts = house.open().await;
    let id = attempt();
    transcripts.put(id, vec![says("m", "old")]).await.unwrap();
    transcripts.close().await;
    spare::suspect(&house.file());
    let transcripts = house.open().await;
    assert_eq!(whole(&transcripts, id).await, []);
    transcripts.put(id, vec![says("m", "new")]).await.unwrap();
    transcripts.close().await;
    assert_eq!(whole(&house.open().await, id).await.len(), 1);
}
