//! Taking work back to a checkpoint, and going on after a pause.

use engine::view::{NewCheckpoint, NewMission};
use model::attempt::Checkpoint;
use model::id::CheckpointId;
use model::mission::MissionState;
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;

use crate::hive::{Hive, agent, git, mission};
use crate::{head, picture, short, worktree};

impl Hive {
    async fn checkpoint(&self, id: &str) -> Result<Checkpoint, Refusal> {
        self.engine.make_checkpoint(&self.caller(), id, NewCheckpoint::default()).await
    }

    async fn take_back(&self, id: CheckpointId) -> Result<engine::view::RestoreView, Refusal> {
        self.engine.restore_checkpoint(&self.caller(), id).await
    }
}

#[tokio::test]
async fn restoring_a_checkpoint_gives_byte_identical_state_and_a_damaged_one_is_refused_with_fallback()
 {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let detail = hive.reviewed(&repository, "ann", "echo one > a.txt").await;
    let (id, place) = (short(&detail), worktree(&detail));
    std::fs::write(place.join("b.txt"), b"\0\xff not committed\r\n").unwrap();
    let first = hive.checkpoint(&id).await.unwrap();
    let then = picture(&place);
    std::fs::write(place.join("a.txt"), "two\n").unwrap();
    let second = hive.checkpoint(&id).await.unwrap();
    assert_eq!((first.n, second.n, second.uncommitted_files), (1, 2, 2));
    std::fs::remove_file(place.join("a.txt")).unwrap();
    std::fs::write(place.join("c.txt"), "three\n").unwrap();
    let third = hive.checkpoint(&id).await.unwrap();

    // What only the second one has is damaged: it is refused, and the first is sound.
    let blob = git(&repository, &["rev-parse", &format!("{}:a.txt", second.commit)]);
    let (directory, name) = blob.trim().split_at(2);
    std::fs::remove_file(repository.join(".git/objects").join(directory).join(name)).unwrap();
    let before = picture(&place);
    let refused = hive.take_back(second.id).await.unwrap_err();
    assert_eq!((refused.code, refused.allowed), (Code::Conflict, vec![first.id.to_string()]));
    assert!(refused.message.contains("damaged"), "{}", refused.message);
    assert!(refused.hint.unwrap().contains("checkpoint 1"));
    assert_eq!(picture(&place), before, "nothing was changed");

    let restored = hive.take_back(first.id).await.unwrap();
    assert_eq!(picture(&place), then);
    assert_eq!((restored.tree, restored.restored.id), (first.tree.clone(), first.id));
    assert!(restored.gates_run_again, "it was under review");
    let kept = format!("{}:c.txt", restored.before);
    assert_eq!(git(&repository, &["show", &kept]), "three\n", "what was there before is kept");
    let detail = hive
        .until_detail(&id, |it| {
            it.view.mission.state == MissionState::InReview && head(it) != head(&detail)
        })
        .await;
    assert!(hive.engine.review(&id).await.unwrap().files.iter().any(|it| it.path == "b.txt"));
    assert_eq!(detail.checkpoints.len(), 3);
    hive.take_back(third.id).await.unwrap();
    assert!(place.join("c.txt").exists() && !place.join("a.txt").exists());
}

#[tokio::test]
async fn work_under_way_can_be_kept_but_not_taken_back() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let id = hive.mission_on(&repository, "ann", "echo half > half.txt; echo on; sleep 300").await;
    let running = hive.until_printed(&id, "on\n").await;
    let before = picture(&worktree(&running));
    let note = NewCheckpoint { note: Some("before lunch".into()) };
    let caller = hive.keyed("c", 1);
    let kept = hive.engine.make_checkpoint(&caller, &id, note.clone()).await.unwrap();
    assert_eq!((kept.note.as_str(), kept.uncommitted_files), ("before lunch", 1));
    assert_eq!(kept.output_bytes, 3);
    assert_eq!(picture(&worktree(&running)), before);
    let again = hive.engine.make_checkpoint(&caller, &id, note).await.unwrap();
    assert_eq!(again, kept, "the same request is answered and not carried out again");
    let refused = hive.take_back(kept.id).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.hint.unwrap().contains("pause the mission"));
    // Held where they are, its processes live on: still not.
    let hold = engine::view::Ask { keep_processes: true, ..Default::default() };
    hive.engine.ask_mission(&hive.caller(), &id, MissionInput::Pause, hold).await.unwrap();
    assert!(hive.take_back(kept.id).await.unwrap_err().hint.unwrap().contains("held"));
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    let over = hive.until_over(&id).await;
    std::fs::remove_file(worktree(&over).join("half.txt")).unwrap();
    let restored = hive.take_back(kept.id).await.unwrap();
    assert!(!restored.gates_run_again);
    assert_eq!(picture(&worktree(&over)), before);
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    let gone = hive.take_back(kept.id).await.unwrap_err();
    assert!(gone.hint.unwrap().contains("trash"));
}

#[tokio::test]
async fn a_suspended_mission_resumes_after_a_restart_with_its_queue_agents_and_context_notes() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    // Its first attempt leaves something and waits; the next one is told of it and goes on.
    let script = "if test -e half.txt; then cat > told.txt; echo whole > whole.txt; \
                  else echo half > half.txt; echo on; sleep 300; fi";
    let id = hive.mission_on(&repository, "ann", script).await;
    hive.until_printed(&id, "on\n").await;
    hive.add(agent("bob", "true")).await;
    let behind = NewMission {
        agent: Some("bob".into()),
        depends_on: vec![id.clone()],
        ..mission("Comes after it", "later")
    };
    let behind = hive.mission(behind).await;
    hive.ask(&id, MissionInput::Pause).await.unwrap();
    let paused = hive.until_over(&id).await;
    assert_eq!(paused.view.mission.state, MissionState::Paused);
    assert_eq!(paused.checkpoints.len(), 1);
    hive.engine.pause_agent(&hive.caller(), "ann").await.unwrap();

    let hive = hive.reopen().await;
    let known = hive.engine.mission(&id).await.unwrap();
    assert_eq!(known.view.mission.state, MissionState::Paused);
    let handoff = known.view.mission.handoff.clone().unwrap();
    assert_eq!(handoff.commit, Some(head(&known)));
    assert!(handoff.text.contains("go on from there"));
    let waits = hive.engine.mission(&behind).await.unwrap();
    assert_eq!(waits.view.mission.state, MissionState::Queued);
    let mut agents: Vec<_> = hive.engine.agents().await.unwrap().items;
    agents.sort_by(|a, b| a.agent.name.cmp(&b.agent.name));
    let held: Vec<_> = agents.iter().map(|it| (it.agent.name.as_str(), it.agent.paused)).collect();
    assert_eq!(held, [("ann", true), ("bob", false)]);
    hive.engine.resume_agent(&hive.caller(), "ann").await.unwrap();
    hive.ask(&id, MissionInput::Resume).await.unwrap();
    let done = hive.until(&id, |state| state == MissionState::InReview).await;
    let place = worktree(&done);
    assert_eq!(std::fs::read_to_string(place.join("half.txt")).unwrap(), "half\n");
    let told = std::fs::read_to_string(place.join("told.txt")).unwrap();
    assert!(told.contains("please do it") && told.contains("go on from there"), "{told}");
    hive.ask(&id, MissionInput::Accept).await.unwrap();
    assert!(repository.join("whole.txt").exists(), "merged as the settings say");
    hive.until(&behind, |state| state == MissionState::InReview).await;
}
