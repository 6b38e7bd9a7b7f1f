//! Agents that are no good: they cannot be started, speak nonsense, have no terminal, or work elsewhere
//! than they should. None ends in a wrong state, and nothing is left of any.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use engine::view::{MissionDetail, NewAgent, NewMission};
use model::attempt::AttemptState;
use model::conversation::Body;
use model::mission::MissionState;

use crate::hive::{self, Hive, acp, agent, fake_acp, processes_of};
use crate::{PLACE, copy, count, entries, of, said};

/// An ACP agent that misbehaves in every way its arguments name, or in all of them.
const BAD_AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/rigs/bad_agent.py");

fn once(agent: &str, brief: &str) -> NewMission {
    NewMission { retries: Some(0), ..of(agent, brief) }
}

/// The only attempt of a mission.
fn attempt(detail: &MissionDetail) -> &model::attempt::Attempt {
    assert_eq!(detail.attempts.len(), 1, "{detail:#?}");
    &detail.attempts[0].attempt
}

fn why(detail: &MissionDetail) -> String {
    attempt(detail).exit().map(ToString::to_string).unwrap_or_default()
}

/// Why an attempt's program was not started.
fn not_started(detail: &MissionDetail) -> String {
    let attempt = attempt(detail);
    assert_eq!((attempt.state, attempt.process.is_none()), (AttemptState::Rejected, true));
    let (note, reason) = (&attempt.note, &detail.view.reason);
    format!("{note:?} {reason:?} {}", why(detail))
}

fn nobody_is_left(detail: &MissionDetail) {
    let id = attempt(detail).id.to_string();
    assert_eq!(processes_of(&id), Vec::<String>::new(), "{detail:#?}");
}

#[tokio::test]
async fn an_agent_that_speaks_nonsense_is_heard_as_far_as_it_makes_sense() {
    let hive = Hive::open().await;
    let bad = |name: &str, how: &str| {
        let command = format!("python3 {BAD_AGENT} {how}");
        NewAgent { runtime: Some("acp".into()), ..agent(name, &command) }
    };
    hive.add(bad("ann", "")).await;
    let harmless = "banner unknown_update unknown_notification bad_type unknown_content \
                    unknown_kind unknown_request dup_response null_usage blank big";
    hive.add(bad("bob", harmless)).await;
    let odd = hive.mission(once("ann", "x")).await;
    let fine = hive.mission(once("bob", "x")).await;

    let fine = hive.until(&fine, MissionState::is_final).await;
    assert_eq!(fine.view.mission.state, MissionState::Done, "{fine:#?}");
    let heard = said(&hive.engine, attempt(&fine).id).await;
    assert!(heard.len() > 1 << 20, "the long line is heard: {} bytes", heard.len());
    let entries = entries(&hive.engine, attempt(&fine).id).await;
    assert!(count(&entries, |it| matches!(it, Body::Unsupported { .. })) >= 4, "{entries:#?}");
    nobody_is_left(&fine);

    let odd = hive.until(&odd, MissionState::is_final).await;
    assert_eq!(odd.view.mission.state, MissionState::Failed, "{odd:#?}");
    assert!(why(&odd).contains("bored"), "{}", why(&odd));
    nobody_is_left(&odd);
}

#[tokio::test]
async fn a_program_that_cannot_be_run_fails_its_attempt_with_the_reason_and_leaves_nothing() {
    let hive = Hive::open().await;
    let script = hive.place.path().join("agent");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&script, mode).unwrap();
    hive.add(agent("ann", &script.display().to_string())).await;
    let id = hive.mission(once("ann", "x")).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed, "{failed:#?}");
    let said = not_started(&failed);
    assert!(said.contains("interpreter") || said.contains("not found"), "{said}");
    nobody_is_left(&failed);
}

/// Run by the test below where there is one terminal in all.
#[tokio::test]
async fn copy_with_one_terminal() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let held = rustix::pty::openpt(flags).unwrap();
    assert!(rustix::pty::openpt(flags).is_err(), "there is one in all");
    let hive = Hive::open().await;
    let shell = |name: &str| NewAgent { terminal: true, ..agent(name, "sh -c 'echo hello'") };
    hive.add(shell("ann")).await;
    let id = hive.mission(once("ann", "x")).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed, "{failed:#?}");
    let said = not_started(&failed);
    assert!(said.contains("terminal"), "{said}");
    nobody_is_left(&failed);
    drop(held);
    let id = hive.mission(once("ann", "x")).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    hive.end_soundly("one terminal").await;
    std::fs::write(Path::new(&place).join("all is well"), "").unwrap();
}

#[test]
fn without_a_free_terminal_an_agent_that_needs_one_is_not_started_and_says_why() {
    let place = tempfile::tempdir().unwrap();
    let inside = "mount -t devpts -o newinstance,ptmxmode=0666,max=1 none /dev/pts && \
                  mount --bind /dev/pts/ptmx /dev/ptmx && touch \"$0/entered\" && exec \"$@\"";
    let test = copy("bad::copy_with_one_terminal", place.path());
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", inside])
        .arg(place.path())
        .arg(test.get_program())
        .args(test.get_args())
        .env(PLACE, place.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status();
    if !place.path().join("entered").exists() {
        use std::io::Write as _;
        let why = "SKIPPED: this system lets nobody have terminals of their own";
        let _ = writeln!(std::io::stderr(), "{why}");
        return;
    }
    assert!(status.unwrap().success());
    assert!(place.path().join("all is well").exists(), "it did not run");
}

#[tokio::test]
async fn the_first_start_of_a_kind_that_must_be_alone_is_alone_however_many_wait() {
    const TAKES: Duration = Duration::from_millis(700);
    let kind = format!(
        "[[runtime]]\nname = \"shy\"\nkind = \"acp\"\nprogram = \"{}\"\n\
         args = [\"--initialize-after\", \"{}\"]\nstarts_at_once = 3\nfirst_start_alone = true\n",
        fake_acp(),
        TAKES.as_millis()
    );
    let hive = Hive::open_with("runtimes.toml", &kind).await;
    let mut missions = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let shy =
            NewAgent { preset: Some("shy".into()), command: None, runtime: None, ..acp(name) };
        hive.add(shy).await;
        missions.push(hive.mission(once(name, "@say hello")).await);
    }
    let mut begun = Vec::new();
    for id in &missions {
        let done = hive.until(id, MissionState::is_final).await;
        assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
        begun.push(attempt(&done).process.as_ref().unwrap().started_at);
        nobody_is_left(&done);
    }
    begun.sort();
    let after = Duration::try_from(begun[1].duration_since(begun[0])).unwrap();
    assert!(after >= TAKES, "the first had to answer first: {begun:?}");
}

#[tokio::test]
async fn what_an_agent_writes_outside_its_worktree_is_not_taken_for_its_work() {
    let hive = Hive::open().await;
    let repository = hive.repository("repository");
    let elsewhere = hive.place.path().join("elsewhere.txt");
    hive.add(acp("ann")).await;
    let brief = format!(
        "@say off I go\n@write {} x\n@write {} x\n@write ../beside.txt x",
        elsewhere.display(),
        repository.join("work.txt").display()
    );
    let new = NewMission {
        repository: Some(repository.display().to_string()),
        gates: vec!["file: work.txt".into()],
        ..once("ann", &brief)
    };
    let id = hive.mission(new).await;
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed, "{failed:#?}");
    assert_eq!(attempt(&failed).state, AttemptState::Rejected, "{failed:#?}");
    // It did write there: without a sandbox nothing keeps it from that, and it is left to its owner.
    assert!(elsewhere.exists() && repository.join("work.txt").exists());
    let branch = attempt(&failed).workplace.as_ref().unwrap().branch.clone().unwrap();
    let files = hive::git(&repository, &["ls-tree", "-r", "--name-only", &branch]);
    assert_eq!(files.trim(), "README.md", "none of it is on its branch");
    assert_eq!(hive::git(&repository, &["log", "--format=%s", "main"]).trim(), "first");
    nobody_is_left(&failed);
}
