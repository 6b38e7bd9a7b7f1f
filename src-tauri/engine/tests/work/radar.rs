//! Seeing where two agents change the same file, before either merges.

use engine::view::LineRange;
use model::transition::MissionInput;

use crate::hive::Hive;
use crate::{commit_all, short, worktree};

#[tokio::test]
async fn two_agents_changing_the_same_file_are_shown_before_either_merges_with_lines_and_order() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let lines: String = (1..=30).map(|n| format!("line {n}\n")).collect();
    std::fs::write(repository.join("shared.txt"), lines).unwrap();
    commit_all(&repository, "thirty lines");
    // One has ended and is in review, one is at work, one shares nothing.
    let script = "sed -i \"3s/.*/ann/;20s/.*/ann/\" shared.txt";
    let ann = hive.reviewed(&repository, "ann", script).await;
    let bob = hive
        .mission_on(&repository, "bob", "sed -i \"3s/.*/bob/\" shared.txt; echo on; sleep 300")
        .await;
    let bob = hive.until_printed(&bob, "on\n").await;
    let cid = hive.reviewed(&repository, "cid", "echo x > own.txt").await;
    let radar = hive.engine.radar().await.unwrap();
    assert_eq!(radar.unseen, []);
    assert_eq!(radar.conflicts.len(), 1, "{radar:#?}");
    let conflict = &radar.conflicts[0];
    assert_eq!(conflict.path, "shared.txt");
    assert!(conflict.overlapping && !conflict.by_file_only);
    let mut agents: Vec<_> =
        conflict.between.iter().map(|it| it.agent_name.clone().unwrap()).collect();
    agents.sort();
    assert_eq!(agents, ["ann", "bob"]);
    let ranges_of = |id: &str| {
        let of = conflict.lines.iter().find(|it| it.short_id.as_str() == id).unwrap();
        of.ranges.clone()
    };
    let one = |line| LineRange { start: line, end: line };
    assert_eq!(ranges_of(&short(&ann)), [one(3), one(20)]);
    assert_eq!(ranges_of(&short(&bob)), [one(3)]);
    let order: Vec<String> = radar.order.iter().map(|it| it.short_id.to_string()).collect();
    assert_eq!(order.len(), 3);
    assert_eq!(order[0], short(&cid), "what is in nobody's way goes first: {:?}", radar.order);
    assert_eq!(order[1], short(&bob), "then the smaller one: {:?}", radar.order);
    assert!(radar.order.iter().all(|it| !it.because.is_empty()));
    let review = hive.engine.review(&short(&ann)).await.unwrap();
    assert_eq!(review.radar, radar.conflicts);
    let review = hive.engine.review(&short(&cid)).await.unwrap();
    assert_eq!((review.radar, review.order), (Vec::new(), radar.order));
    hive.ask(&short(&bob), MissionInput::Cancel).await.unwrap();
    hive.until_over(&short(&bob)).await;
}

#[tokio::test]
async fn a_worktree_that_cannot_be_looked_at_is_named_and_the_others_are_shown() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let ann = hive.reviewed(&repository, "ann", "echo ann > README.md").await;
    let bob = hive.reviewed(&repository, "bob", "echo bob > README.md").await;
    let cid = hive.reviewed(&repository, "cid", "echo cid > README.md").await;
    std::fs::write(worktree(&ann).join(".git"), "gitdir: /nowhere\n").unwrap();
    std::fs::remove_dir_all(worktree(&bob)).unwrap();
    let radar = hive.engine.radar().await.unwrap();
    let mut unseen: Vec<_> = radar.unseen.iter().map(|it| it.short_id.to_string()).collect();
    unseen.sort();
    let mut gone = [short(&ann), short(&bob)];
    gone.sort();
    assert_eq!(unseen, gone);
    assert_eq!(radar.conflicts, []);
    assert_eq!(radar.order[0].short_id.to_string(), short(&cid));
    // Callers at the same time share one look.
    let (one, two) = tokio::join!(hive.engine.radar(), hive.engine.radar());
    assert_eq!(one.unwrap().at, two.unwrap().at);
}
