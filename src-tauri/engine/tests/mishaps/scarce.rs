//! An engine that may open 256 files, and finds all of them taken while its agents end, start, and are
//! stopped.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::view::{Ask, NewMission};
use model::attempt::AttemptState;
use model::mission::MissionState;
use model::process::Exit;
use model::transition::MissionInput;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::hive::{Hive, acp, agent, processes_of};
use crate::{PLACE, copy, lines, of, said};

/// How many files may be open.
const OPEN_FILES: u64 = 256;
/// How long there is no descriptor.
const TAKEN: Duration = Duration::from_secs(3);

/// Takes every descriptor, and whichever becomes free; `meanwhile` is done then. They are given back a
/// while after the program of a run has ended, which the engine cannot read as long as they are taken.
fn take_all(meanwhile: impl FnOnce(), run: &Path) {
    let mut taken = Vec::new();
    let mut take = || {
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        taken.len()
    };
    assert!(take() > 50, "there were some to take");
    meanwhile();
    let begun = Instant::now();
    let mut ended = None;
    while ended.is_none_or(|ended: Instant| ended.elapsed() < TAKEN) {
        take();
        // To look at a name no descriptor is needed.
        ended = ended.or_else(|| run.join("exit.json").exists().then(Instant::now));
        assert!(begun.elapsed() < Duration::from_secs(60), "the program does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Run by the test below in a process of its own, which has few descriptors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_with_256_descriptors() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let place = Path::new(&place).to_owned();
    let few = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    setrlimit(Resource::Nofile, few).unwrap();
    let hive = Hive::open().await;
    let at = |name: &str| place.join(name).display().to_string();
    let waiting = format!(
        "echo ran >> {}; echo before; until test -e {}; do sleep 0.05; done; echo after",
        at("ann"),
        at("go")
    );
    hive.add(agent("ann", &format!("sh -c '{waiting}'"))).await;
    hive.add(acp("bob")).await;
    let silent = format!("echo ran >> {}; echo before; exec sleep 600", at("cid"));
    hive.add(agent("cid", &format!("sh -c '{silent}'"))).await;
    hive.add(agent("dan", &format!("sh -c 'echo ran >> {}; echo hello'", at("dan")))).await;
    let talk = format!("@say before\n@until {}\n@say after", at("go"));
    let ann = hive.mission(of("ann", "x")).await;
    let bob = hive.mission(of("bob", &talk)).await;
    let cid = hive.mission(of("cid", "x")).await;
    for id in [&ann, &cid] {
        hive.until_printed(id, "before\n").await;
    }
    hive.until_some("bob speaks", async |engine| {
        let detail = engine.mission(&bob).await.unwrap();
        let id = detail.attempts.first()?.attempt.id;
        said(engine, id).await.contains("before").then_some(())
    })
    .await;
    let patient = NewMission { retries: Some(20), backoff_s: Some(1), ..of("dan", "x") };
    let dan = hive.mission(NewMission { draft: true, ..patient }).await;

    // While there is none: two programs end, one is to be stopped, and one to be started.
    let go = place.join("go");
    let ready = place.join("ready");
    std::fs::write(&ready, "").unwrap();
    let anns = hive.engine.mission(&ann).await.unwrap().attempts[0].attempt.id;
    let run = hive.engine.data_dir().join("runs").join(anns.to_string());
    let taking = tokio::task::spawn_blocking(move || {
        // A new name needs no descriptor.
        take_all(|| std::fs::rename(&ready, &go).unwrap(), &run);
    });
    for (id, input) in [(&cid, MissionInput::Cancel), (&dan, MissionInput::Queue)] {
        let caller = hive.keyed(id, 1);
        hive.until_some("it is asked", async |engine| {
            engine.ask_mission(&caller, id, input, Ask::default()).await.ok()
        })
        .await;
    }
    taking.await.unwrap();

    for id in [&ann, &bob, &dan] {
        let done = hive.until(id, MissionState::is_final).await;
        assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    }
    let cancelled = hive.until_over(&cid).await;
    assert_eq!(cancelled.view.mission.state, MissionState::Cancelled);
    let stopped = &cancelled.attempts[0].attempt;
    assert_eq!(stopped.state, AttemptState::Stopped, "{stopped:?}");
    assert!(matches!(stopped.exit(), Some(Exit::Stopped { .. })), "{stopped:?}");
    for (name, id) in [("ann", &ann), ("bob", &bob), ("cid", &cid)] {
        let detail = hive.engine.mission(id).await.unwrap();
        assert_eq!(detail.attempts.len(), 1, "{name} was not taken for lost: {detail:#?}");
    }
    assert_eq!(hive.printed(&hive.engine.mission(&ann).await.unwrap()).await, "before\nafter\n");
    let bobs = hive.engine.mission(&bob).await.unwrap().attempts[0].attempt.id;
    let said = said(&hive.engine, bobs).await;
    assert_eq!((said.matches("before").count(), said.matches("after").count()), (1, 1), "{said}");
    let dans = hive.engine.mission(&dan).await.unwrap();
    let started = dans.attempts.iter().filter(|it| it.attempt.process.is_some()).count();
    assert_eq!((lines(&place.join("ann")), lines(&place.join("cid"))), (1, 1));
    assert_eq!((lines(&place.join("dan")), started), (1, 1), "{dans:#?}");
    for id in [&ann, &bob, &cid, &dan] {
        for view in hive.engine.mission(id).await.unwrap().attempts {
            assert_eq!(processes_of(&view.attempt.id.to_string()), Vec::<String>::new());
        }
    }
    hive.end_soundly("256 descriptors").await;
    std::fs::write(place.join("all is well"), "").unwrap();
}

#[test]
fn with_256_descriptors_and_none_left_no_agent_is_taken_for_lost_and_none_is_left() {
    let place = tempfile::tempdir().unwrap();
    let mut child = copy("scarce::copy_with_256_descriptors", place.path());
    let status = child.status().unwrap();
    assert!(status.success(), "{status}");
    assert!(place.path().join("all is well").exists(), "it did not run");
}

/// More agents than there are descriptors for: four each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_with_too_many_agents() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    const AGENTS: usize = 50;
    let place = Path::new(&place).to_owned();
    let few = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    setrlimit(Resource::Nofile, few).unwrap();
    let hive = Hive::open().await;
    // A new name needs no descriptor, of which there may be none then.
    let (ready, go) = (place.join("ready"), place.join("go"));
    std::fs::write(&ready, "").unwrap();
    let mut missions = Vec::new();
    for n in 0..AGENTS {
        let name = format!("agent-{n}");
        hive.add(acp(&name)).await;
        let brief = format!("@until {}\n@say after", go.display());
        let new = NewMission { retries: Some(20), backoff_s: Some(2), ..of(&name, &brief) };
        missions.push(hive.mission(new).await);
    }
    // As many as there is room for run; the others are refused and tried again.
    hive.until_some("most of them run", async |engine| {
        let missions = engine.missions(engine::MissionQuery::default()).await.ok()?.items;
        let run = |state: MissionState| state == MissionState::Running;
        let running = missions.iter().filter(|it| run(it.mission.state)).count();
        (running >= AGENTS / 2).then_some(())
    })
    .await;
    std::fs::rename(&ready, &go).unwrap();
    for id in &missions {
        let done = hive.until(id, MissionState::is_final).await;
        assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
        for view in done.attempts {
            assert_eq!(processes_of(&view.attempt.id.to_string()), Vec::<String>::new());
            let exit = view.attempt.exit();
            assert!(!matches!(exit, Some(Exit::Lost { .. })), "{exit:?}");
        }
    }
    hive.end_soundly("too many agents").await;
    std::fs::write(place.join("all is well"), "").unwrap();
}

#[test]
fn more_agents_than_descriptors_all_come_to_their_end() {
    let place = tempfile::tempdir().unwrap();
    let status = copy("scarce::copy_with_too_many_agents", place.path()).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(place.path().join("all is well").exists(), "it did not run");
}

/// Those that hold all the descriptors there are need one more each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_with_no_descriptor_but_those_it_holds() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    const AGENTS: usize = 6;
    let place = Path::new(&place).to_owned();
    let few = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    setrlimit(Resource::Nofile, few).unwrap();
    let hive = Hive::open().await;
    let (ready, go) = (place.join("ready"), place.join("go"));
    std::fs::write(&ready, "").unwrap();
    let mut missions = Vec::new();
    for n in 0..AGENTS {
        let name = format!("agent-{n}");
        hive.add(acp(&name)).await;
        let brief = format!("@say before\n@until {}\n@say after", go.display());
        missions.push(hive.mission(of(&name, &brief)).await);
    }
    for id in &missions {
        hive.until_some("it speaks", async |engine| {
            let detail = engine.mission(id).await.unwrap();
            let id = detail.attempts.first()?.attempt.id;
            said(engine, id).await.contains("before").then_some(())
        })
        .await;
    }
    // None of them is given back, as long as the missions are under way.
    let mut taken = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::rename(&ready, &go).unwrap();
    for id in &missions {
        let done = hive.until(id, MissionState::is_final).await;
        assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
        let [view] = done.attempts.as_slice() else {
            panic!("one attempt is enough: {done:#?}");
        };
        let said = said(&hive.engine, view.attempt.id).await;
        let times = |word: &str| said.matches(word).count();
        assert_eq!((times("before"), times("after")), (1, 1), "{said}");
    }
    drop(taken);
    for id in &missions {
        for view in hive.engine.mission(id).await.unwrap().attempts {
            assert_eq!(processes_of(&view.attempt.id.to_string()), Vec::<String>::new());
        }
    }
    hive.end_soundly("no descriptor but their own").await;
    std::fs::write(place.join("all is well"), "").unwrap();
}

#[test]
fn agents_that_hold_every_descriptor_and_need_one_more_let_go_and_go_on() {
    let place = tempfile::tempdir().unwrap();
    let mut child = copy("scarce::copy_with_no_descriptor_but_those_it_holds", place.path());
    let status = child.status().unwrap();
    assert!(status.success(), "{status}");
    assert!(place.path().join("all is well").exists(), "it did not run");
}
