//! A ledger from before the second migration, written as the program wrote it then.

use model::attempt::AttemptState;
use model::gate::Grade;
use model::id::MissionId;
use sqlx::{ConnectOptions, SqliteConnection};

use super::*;
use crate::ledger::chain::{GENESIS, Hash};
use crate::ledger::open::APPLICATION_ID;
use crate::ledger::table::events;

/// The schema as it was at first.
static FIRST: LazyLock<Migrator> = LazyLock::new(|| first(1));
/// The schema as it was before agents were spoken with.
static SECOND: LazyLock<Migrator> = LazyLock::new(|| first(2));

fn first(steps: usize) -> Migrator {
    Migrator::with_migrations(MIGRATOR.iter().take(steps).cloned().collect())
}

const AGENT: &str = "0198c0de-0000-7000-8000-00000000000a";
const MISSION: &str = "0198c0de-0000-7000-8000-00000000000b";
const GONE: &str = "0198c0de-0000-7000-8000-00000000000c";
const ATTEMPT: &str = "0198c0de-0000-7000-8000-00000000000d";
const OPEN: &str = "0198c0de-0000-7000-8000-00000000000e";
const AT: &str = "2026-11-20T10:00:00.000000000Z";
const GATES: &str = r#"[{"kind":"command","command":"make test","timeout_s":600}]"#;
/// With texts that look like the key the migration looks for.
const WORK: &str = r#"{"head_commit":"abc","commits":[{"hash":"abc","subject":"s],\"diff\":{ \\"},{"hash":"def","subject":",\"diff\":{"}],"diff":{"files":1,"insertions":2,"deletions":3},"rescued_files":0}"#;
/// With a reason that looks like the key the migration looks for.
const EXIT: &str = r#"{"exit":{"kind":"lost","reason":",\"redacted\":"},"ended_at":"2026-11-20T10:00:00Z","cpu_ms":1,"memory_peak_bytes":2,"survivors":[{"pid":3,"start_ticks":4}]}"#;
const WORKPLACE: &str =
    r#"{"directory":"/tmp/w","branch":"hive/x","base_commit":null,"uncommitted_files":3}"#;

fn uuid(text: &str) -> Vec<u8> {
    text.parse::<MissionId>().unwrap().as_uuid().as_bytes().to_vec()
}

fn mission_json(id: &str, short: &str) -> String {
    format!(
        r#"{{"id":"{id}","short_id":"{short}","title":"Old","state":"queued","note":null,"priority":"normal","policy":"strict","agent":null,"repository":"/srv/repo","gates":{GATES},"retries_max":2,"attempt_count":0,"tries":0,"grade":"none","demo":false,"created_at":"{AT}","updated_at":"{AT}"}}"#
    )
}

fn moved(id: &str, from: &str, to: &str) -> String {
    format!(
        r#"{{"kind":"mission_moved","mission_id":"{id}","from":"{from}","to":"{to}","note":null,"grade":"observed","tries":1}}"#
    )
}

/// What the old program wrote: kind, mission, body.
fn old_events() -> Vec<(&'static str, Option<&'static str>, String)> {
    let attempt = format!(
        r#"{{"id":"{ATTEMPT}","mission_id":"{MISSION}","agent_id":"{AGENT}","n":1,"state":"leased","stopping":false,"note":null,"workplace":null,"process":null,"exit":null,"work":null,"leased_at":"{AT}","ended_at":null}}"#
    );
    let of = |kind, body: &str| {
        let body = format!(r#"{{"kind":"{kind}","attempt_id":"{ATTEMPT}"{body}}}"#);
        (kind, Some(MISSION), body)
    };
    let created = |id, short| {
        let body = format!(
            r#"{{"kind":"mission_created","mission":{},"brief":"do it"}}"#,
            mission_json(id, short)
        );
        ("mission_created", Some(id), body)
    };
    let agent = format!(
        r#"{{"kind":"agent_added","agent":{{"id":"{AGENT}","name":"bee","role":"tests","skills":[],"runtime":{{"kind":"command","program":"sh","args":[],"env":{{}}}},"directory":null,"grace_s":10,"paused":false,"demo":false,"created_at":"{AT}"}}}}"#
    );
    let result = format!(
        r#","result":{{"index":0,"gate":{},"verdict":"passed","exit_code":0,"reason":"it exited with code 0","output":"ok","output_bytes":2,"commit":"abc","started_at":"{AT}","duration_ms":5}}"#,
        &GATES[1..GATES.len() - 1]
    );
    vec![
        ("agent_added", None, agent),
        created(MISSION, "M-7K21"),
        created(GONE, "M-7K22"),
        created(OPEN, "M-7K23"),
        (
            "attempt_leased",
            Some(MISSION),
            format!(r#"{{"kind":"attempt_leased","attempt":{attempt}}}"#),
        ),
        ("mission_moved", Some(MISSION), moved(MISSION, "queued", "assigned")),
        of("attempt_prepared", &format!(r#","workplace":{WORKPLACE}"#)),
        of("attempt_exited", &format!(r#","record":{EXIT}"#)),
        of("attempt_verifying", ""),
        of("work_recorded", &format!(r#","work":{WORK}"#)),
        of("gate_finished", &result),
        of("attempt_ended", r#","state":"accepted","note":null"#),
        ("mission_moved", Some(MISSION), moved(MISSION, "assigned", "done")),
        (
            "mission_removed",
            Some(GONE),
            format!(r#"{{"kind":"mission_removed","mission_id":"{GONE}"}}"#),
        ),
    ]
}

async fn write_events(conn: &mut SqliteConnection) -> Hash {
    let mut previous = GENESIS;
    let mut places = std::collections::BTreeMap::new();
    for (n, (kind, mission, body)) in old_events().into_iter().enumerate() {
        let seq = i64::try_from(n).unwrap() + 1;
        let place = mission.map(|id| *places.entry(id).and_modify(|n| *n += 1).or_insert(1_i64));
        sqlx::query(
            "INSERT INTO events (seq, id, at, actor, mission_id, mission_seq, kind, hash, body) \
             VALUES (?, ?, ?, '{\"kind\":\"engine\"}', ?, ?, ?, zeroblob(32), ?)",
        )
        .bind(seq)
        .bind(EventId::draw(SystemClock.now(), &mut SystemDraw).as_uuid().as_bytes().to_vec())
        .bind(AT)
        .bind(mission.map(uuid))
        .bind(place)
        .bind(kind)
        .bind(body.into_bytes())
        .execute(&mut *conn)
        .await
        .unwrap();
        let row = events::after(conn, seq as u64 - 1, 1).await.unwrap().remove(0);
        previous = row.link(&previous);
        sqlx::query("UPDATE events SET hash = ? WHERE seq = ?")
            .bind(previous.to_vec())
            .bind(seq)
            .execute(&mut *conn)
            .await
            .unwrap();
    }
    previous
}

async fn write_rows(conn: &mut SqliteConnection) {
    sqlx::query(
        "INSERT INTO agents (id, name, name_key, role, skills, runtime, grace_s, paused, demo, \
         created_at) VALUES (?, 'bee', 'bee', 'tests', '[]', \
         '{\"kind\":\"command\",\"program\":\"sh\",\"args\":[],\"env\":{}}', 10, 0, 0, ?)",
    )
    .bind(uuid(AGENT))
    .bind(AT)
    .execute(&mut *conn)
    .await
    .unwrap();
    for (id, short, state, attempts, tries, grade, removed) in [
        (MISSION, "M-7K21", "done", 1, 1, "observed", None),
        (GONE, "M-7K22", "queued", 0, 0, "none", Some(14)),
        (OPEN, "M-7K23", "queued", 0, 0, "none", None),
    ] {
        sqlx::query(
            "INSERT INTO missions (id, short_id, title, title_key, state, priority, policy, \
             repository, gates, retries_max, attempts, tries, grade, demo, created_at, updated_at, \
             removed_seq, brief) VALUES (?1, ?2, 'Old', 'old', ?3, 'normal', 'strict', \
             '/srv/repo', ?4, 2, ?5, ?6, ?7, 0, ?8, ?8, ?9, 'do it')",
        )
        .bind(uuid(id))
        .bind(short)
        .bind(state)
        .bind(GATES)
        .bind(attempts)
        .bind(tries)
        .bind(grade)
        .bind(AT)
        .bind(removed)
        .execute(&mut *conn)
        .await
        .unwrap();
    }
    sqlx::query(
        "INSERT INTO attempts (id, mission_id, agent_id, n, state, stopping, workplace, work, \
         exit, leased_at, ended_at) VALUES (?1, ?2, ?3, 1, 'accepted', 0, ?4, ?5, ?6, ?7, ?7)",
    )
    .bind(uuid(ATTEMPT))
    .bind(uuid(MISSION))
    .bind(uuid(AGENT))
    .bind(WORKPLACE)
    .bind(WORK)
    .bind(EXIT)
    .bind(AT)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO gate_results VALUES (?, 0, ?, 'passed', 0, 'it exited with code 0', 'ok', 2, \
         'abc', ?, 5)",
    )
    .bind(uuid(ATTEMPT))
    .bind(&GATES[1..GATES.len() - 1])
    .bind(AT)
    .execute(conn)
    .await
    .unwrap();
}

async fn write_old_ledger(root: &Path, migrations: &Migrator) {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(root.join("ledger.db"))
        .create_if_missing(true)
        .foreign_keys(true)
        .pragma("application_id", APPLICATION_ID.to_string())
        .connect()
        .await
        .unwrap();
    FIRST.run(&mut conn).await.unwrap();
    write_events(&mut conn).await;
    write_rows(&mut conn).await;
    migrations.run(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn a_ledger_from_before_the_orchestrator_is_backed_up_migrated_and_still_true() {
    let dir = tempfile::tempdir().unwrap();
    write_old_ledger(dir.path(), &FIRST).await;
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
    let verified = ledger.verify().await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.events, old_events().len() as u64);

    let (mission, brief) = ledger.mission(MISSION.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((brief.as_str(), mission.policy.as_str()), ("do it", "strict"));
    assert_eq!((mission.backoff_s, mission.proof, mission.grade), (1, None, Grade::Observed));
    assert_eq!(mission.attempts, 1);
    let attempt = ledger.attempt(ATTEMPT.parse().unwrap()).await.unwrap().unwrap();
    let work = attempt.work.clone().unwrap();
    assert_eq!((work.tree, work.diff.files), (None, 1));
    assert_eq!(work.commits[1].subject, ",\"diff\":{");
    assert_eq!(ledger.worktrees(None, 9).await.unwrap().items, [attempt]);
    let counts = ledger.counts().await.unwrap().missions;
    assert_eq!(counts, [(MissionState::Queued, 1), (MissionState::Done, 1)].into());
    let agents = ledger.counts_by_agent().await.unwrap();
    assert_eq!((agents.len(), agents[0].accepted, agents[0].ended), (1, 1, 1));

    // It goes on as a ledger of today.
    let lease = model::attempt::Attempt::leased(
        model::id::AttemptId::draw(SystemClock.now(), &mut SystemDraw),
        OPEN.parse().unwrap(),
        AGENT.parse().unwrap(),
        1,
        SystemClock.now(),
    );
    let attempt_id = lease.id;
    let mut change = started();
    change.events[0].fact = Fact::AttemptLeased { attempt: lease };
    ledger.commit(change).await.unwrap();
    let mut change = started();
    let lost = AttemptState::Lost;
    change.events[0].fact = Fact::AttemptEnded { attempt_id, state: lost, note: None };
    ledger.commit(change).await.unwrap();
    assert_eq!(ledger.counts_by_agent().await.unwrap()[0].ended, 2);
    assert_eq!(ledger.verify().await.unwrap().findings, []);
    ledger.close().await;
}

#[tokio::test]
async fn a_ledger_from_before_agents_were_spoken_with_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    write_old_ledger(dir.path(), &SECOND).await;
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
    let verified = ledger.verify().await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.events, old_events().len() as u64);

    let agent = ledger.agent(AGENT.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(agent.conduct, model::agent::Conduct::default());
    assert!(!agent.runtime.has_terminal());
    let attempt = ledger.attempt(ATTEMPT.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(attempt.acknowledged_at, None);
    let exit = attempt.exit.unwrap();
    assert_eq!((exit.cpu_ms, exit.survivors.len(), exit.redacted), (1, 1, 0));

    // It goes on as a ledger of today.
    let mut change = started();
    let message = model::message::Message::queued(
        model::id::MessageId::draw(SystemClock.now(), &mut SystemDraw),
        agent.id,
        model::message::Source::Captain,
        "hello".to_owned(),
        SystemClock.now(),
    );
    change.events[0].fact = Fact::MessageQueued { message: message.clone() };
    ledger.commit(change).await.unwrap();
    assert_eq!(ledger.waiting_messages(agent.id, 9).await.unwrap(), [message]);
    assert_eq!(ledger.verify().await.unwrap().findings, []);
    ledger.close().await;
}
