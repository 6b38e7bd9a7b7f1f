//! What listeners can make the hub remember, and what one can do to another.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use model::id::{AttemptId, SystemDraw};
use model::refusal::{Code, Refusal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::Limits;
use super::*;

/// How large a part of a snapshot is, in bytes.
const PART: usize = 64 * 1024;

/// Where a snapshot comes from, or does not.
#[derive(Clone, Copy)]
enum Kind {
    /// Its parts are large; so many.
    Large(usize),
    Refused,
    /// It is being read for ever.
    Never,
}

struct Of(Arc<Hub>, Kind);

impl Source for Of {
    async fn snapshot(&self, _: LiveTopic) -> Result<Snapshot, Refusal> {
        let part =
            || Payload::Refused { problem: "x".repeat(PART), hint: None, allowed: Vec::new() };
        match self.1 {
            Kind::Large(parts) => Ok(Snapshot {
                seq: self.0.latest(),
                parts: std::iter::repeat_with(part).take(parts).collect(),
            }),
            Kind::Refused => Err(Refusal::new(Code::NotFound, "there is no such attempt")),
            Kind::Never => std::future::pending().await,
        }
    }
}

fn hub(linger: Duration, snapshots: usize) -> Arc<Hub> {
    let limits = Limits { frames: 100, bytes: 1 << 20, linger, snapshots };
    Hub::with_limits("e".to_owned(), limits)
}

type Told = Pin<Box<dyn Stream<Item = SentFrame> + Send>>;

fn listen(hub: &Arc<Hub>, kind: Kind, topic: LiveTopic, since: Option<u64>) -> Told {
    let from = LiveFrom { topics: vec![topic], epoch: Some("e".to_owned()), since };
    let (_, wishes) = mpsc::channel(1);
    Box::pin(hub.listen(from, Of(Arc::clone(hub), kind), wishes, CancellationToken::new()))
}

/// The kinds of what there is to hear now.
fn heard(told: &mut Told) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some(Some(frame)) = told.next().now_or_never() {
        let frame: serde_json::Value = serde_json::from_str(&frame.json).unwrap();
        kinds.push(frame["payload"]["kind"].as_str().unwrap().to_owned());
    }
    kinds
}

#[tokio::test]
async fn whoever_is_gone_while_its_snapshot_is_read_listens_no_more() {
    let hub = hub(Duration::ZERO, 1 << 20);
    let mut told = listen(&hub, Kind::Never, LiveTopic::Inbox, None);
    assert_eq!(heard(&mut told), ["hello", "reset"], "the snapshot is being read");
    assert!(hub.is_wanted(LiveTopic::Inbox));
    drop(told);
    assert!(!hub.is_wanted(LiveTopic::Inbox), "it counts as a listener for ever");
}

#[tokio::test]
async fn conversations_that_are_not_there_are_not_remembered() {
    let hub = hub(Duration::from_secs(60), 1 << 20);
    for _ in 0..1_000 {
        let id = AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mut told = listen(&hub, Kind::Refused, LiveTopic::Transcript(id), None);
        assert_eq!(heard(&mut told), ["hello", "reset", "refused"]);
        // A test that never pauses is made to.
        tokio::task::yield_now().await;
    }
    assert_eq!(hub.remembers(), (0, 0));
}

#[tokio::test]
async fn what_was_told_to_nobody_is_no_place_to_go_on_from() {
    // The topic had lapsed and came back with somebody else.
    let lapsed = hub(Duration::ZERO, 1 << 20);
    let mut first = listen(&lapsed, Kind::Large(0), LiveTopic::Agents, None);
    assert_eq!(heard(&mut first), ["hello", "reset", "caught_up"]);
    let since = lapsed.latest();
    drop(first);
    assert!(!lapsed.is_wanted(LiveTopic::Agents), "here something is told to nobody");
    let _other = listen(&lapsed, Kind::Large(0), LiveTopic::Agents, None);
    let mut again = listen(&lapsed, Kind::Large(0), LiveTopic::Agents, Some(since));
    assert_eq!(heard(&mut again), ["hello", "reset", "caught_up"]);

    // The snapshot of somebody else took in what was told to nobody.
    let lingers = hub(Duration::from_secs(60), 1 << 20);
    let mut first = listen(&lingers, Kind::Large(0), LiveTopic::Agents, None);
    assert_eq!(heard(&mut first), ["hello", "reset", "caught_up"]);
    let since = lingers.latest();
    drop(first);
    let _other = listen(&lingers, Kind::Large(0), LiveTopic::Agents, None);
    assert!(!lingers.others_listen(LiveTopic::Agents));
    let mut again = listen(&lingers, Kind::Large(0), LiveTopic::Agents, Some(since));
    assert_eq!(heard(&mut again), ["hello", "reset", "caught_up"]);
}

#[tokio::test]
async fn a_snapshot_waits_until_there_is_room_for_it() {
    let hub = hub(Duration::ZERO, 5 * PART);
    let two = || listen(&hub, Kind::Large(2), LiveTopic::Agents, None);
    let mut slow = [two(), two()];
    for told in &mut slow {
        for _ in 0..3 {
            // The first part is taken, the rest waits.
            assert!(told.next().now_or_never().is_some());
        }
    }
    let mut others = [two(), two(), two()];
    for told in &mut others {
        assert_eq!(heard(told), ["hello", "reset"], "there is no room");
    }
    for told in &mut slow {
        assert_eq!(heard(told), ["refused", "caught_up"]);
    }
    // All get theirs, one after the other.
    while others.iter_mut().any(|told| !heard(told).is_empty()) {}
    let all = hub.room.available_permits();
    assert!(all >= 5 * PART / 1024, "{all} KiB of room are left");
}

#[tokio::test]
async fn who_waits_for_room_keeps_nobody_else_from_beginning() {
    let hub = hub(Duration::ZERO, 5 * PART);
    let two = || listen(&hub, Kind::Large(2), LiveTopic::Agents, None);
    let mut slow = [two(), two()];
    for told in &mut slow {
        for _ in 0..3 {
            assert!(told.next().now_or_never().is_some());
        }
    }
    let mut waiting = [two(), two(), two(), two()];
    for told in &mut waiting {
        assert_eq!(heard(told), ["hello", "reset"], "there is no room");
    }
    let mut small = listen(&hub, Kind::Large(0), LiveTopic::Inbox, None);
    assert_eq!(heard(&mut small), ["hello", "reset", "caught_up"]);
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_is_refused_with_a_hint() {
    let hub = hub(Duration::ZERO, 4 * PART);
    let mut told = listen(&hub, Kind::Large(3), LiveTopic::Agents, None);
    assert_eq!(heard(&mut told), ["hello", "reset", "refused"]);
}

#[tokio::test]
async fn a_number_without_its_epoch_is_nothing_to_go_on_from() {
    let hub = hub(Duration::from_secs(60), 1 << 20);
    let mut first = listen(&hub, Kind::Large(0), LiveTopic::Inbox, None);
    assert_eq!(heard(&mut first), ["hello", "reset", "caught_up"]);
    let told = |epoch: Option<&str>| {
        let epoch = epoch.map(str::to_owned);
        let from = LiveFrom { topics: vec![LiveTopic::Inbox], epoch, since: Some(hub.latest()) };
        let (_, wishes) = mpsc::channel(1);
        let source = Of(Arc::clone(&hub), Kind::Large(0));
        let mut told: Told = Box::pin(hub.listen(from, source, wishes, CancellationToken::new()));
        heard(&mut told).len()
    };
    assert_eq!((told(Some("e")), told(None), told(Some("f"))), (1, 3, 3));
}
