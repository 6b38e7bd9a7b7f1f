//! Configuration, hooks, secrets and backups of a workspace.

use std::collections::BTreeMap;
use std::path::Path;

use engine::view::{
    BackupState, BackupView, ConfigPart, EditHook, EditMission, HookLimit, HookRun, HookView,
    HowChanged, ImportConfig, NewHook, NewMission, NewRule, NewScope, ScopeWord,
};
use engine::{EventQuery, Revival};
use model::config::Configuration;
use model::event::Actor;
use model::id::HookId;
use model::mission::MissionState;
use model::policy::Policy;
use model::refusal::Code;
use model::settings::{Settings, Template};

use crate::hive::{Hive, agent, mission, open};

fn settings(days: u32) -> Settings {
    Settings { trash_days: days, ..Settings::default() }
}

#[tokio::test]
async fn invalid_values_are_refused_each_change_is_recorded_and_rollback_restores_the_former_value_exactly()
 {
    let hive = Hive::open().await;
    let set = async |settings| hive.engine.configure(&hive.caller(), settings).await;
    for wrong in [
        settings(0),
        Settings { running_max: Some(0), ..settings(7) },
        Settings { memory_free_min_percent: 91, ..settings(7) },
        Settings { policy: "no-such-policy".into(), ..settings(7) },
        Settings { starts_per_cycle: 0, ..settings(7) },
    ] {
        let refused = set(wrong.clone()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidInput, "{wrong:?}");
    }
    assert_eq!(hive.engine.settings().await.unwrap(), Settings::default());
    assert!(hive.engine.settings_history(None, None).await.unwrap().items.is_empty());

    let first = Settings { running_max: Some(3), ..settings(7) };
    let second = Settings { running_max: None, policy: "strict".into(), ..settings(9) };
    set(first.clone()).await.unwrap();
    set(second.clone()).await.unwrap();
    // The same again is no change.
    set(second.clone()).await.unwrap();
    let history = hive.engine.settings_history(None, None).await.unwrap().items;
    assert_eq!(history.len(), 2, "{history:#?}");
    assert!(history.iter().all(|entry| entry.actor == Actor::Captain));
    let said: Vec<(String, String, String)> = history[0]
        .changes
        .iter()
        .map(|it| (it.key.clone(), it.old.to_string(), it.new.to_string()))
        .collect();
    let word = |text: &str| text.to_owned();
    assert!(said.contains(&(word("running_max"), word("3"), word("null"))), "{said:?}");
    assert!(said.contains(&(word("trash_days"), word("7"), word("9"))), "{said:?}");
    assert_eq!(history[1].changes.len(), 2, "what it was before the first change is the default");

    let back = hive.engine.roll_back_settings(&hive.caller(), history[1].seq).await.unwrap();
    assert_eq!(back, first);
    assert_eq!(hive.engine.settings().await.unwrap(), first);
    let again = hive.engine.settings_history(None, Some(1)).await.unwrap();
    assert_eq!(again.items[0].changes.len(), 3, "going back is a change as every other");
    let older = hive.engine.settings_history(again.next, Some(500)).await.unwrap().items;
    assert_eq!(older, history);
    assert_eq!(
        hive.engine.roll_back_settings(&hive.caller(), 0).await.unwrap(),
        Settings::default()
    );
    let nowhere = hive.engine.roll_back_settings(&hive.caller(), 1).await.unwrap_err();
    assert_eq!(nowhere.code, Code::NotFound);
    // It holds after a restart, and the log is sound.
    hive.engine.roll_back_settings(&hive.caller(), history[0].seq).await.unwrap();
    let hive = hive.reopen().await;
    assert_eq!(hive.engine.settings().await.unwrap(), second);
    assert!(hive.engine.verify().await.unwrap().is_sound());
}

fn policy(name: &str) -> Policy {
    Policy { name: name.into(), builtin: false, ..model::policy::builtin().remove(1) }
}

fn template(name: &str, policy: &str) -> Template {
    Template {
        name: name.into(),
        about: "a fix".into(),
        title: "Fix {{what}}".into(),
        brief: "Fix {{what}}.".into(),
        gates: Vec::new(),
        labels: vec!["fix".into()],
        skills: Vec::new(),
        policy: Some(policy.into()),
        repository: None,
    }
}

#[tokio::test]
async fn a_configuration_goes_from_one_workspace_to_another_whole_or_not_at_all() {
    let (from, to) = (Hive::open().await, Hive::open().await);
    let caller = from.caller();
    from.engine.save_policy(&caller, "careful", policy("careful")).await.unwrap();
    from.engine.save_template(&caller, "fix", template("fix", "careful")).await.unwrap();
    let kept = Settings { policy: "careful".into(), ..settings(7) };
    from.engine.configure(&caller, kept).await.unwrap();
    let scope = NewScope { kind: ScopeWord::Workspace, id: None };
    let rule = NewRule { pattern: "run: git status".into(), allow: true, scope };
    from.engine.add_permission_rule(&caller, rule).await.unwrap();
    from.engine.add_hook(&caller, hook("tell", &["true"], &["swarm_halted"])).await.unwrap();
    let config = from.engine.export_config().await.unwrap();
    assert_eq!((config.policies.len(), config.rules.len(), config.hooks.len()), (1, 1, 1));

    let import = |config, dry_run| ImportConfig { config, dry_run };
    let dry = to.engine.import_config(&to.caller(), import(config.clone(), true)).await.unwrap();
    assert!(!dry.applied);
    assert_eq!(dry.changes.len(), 5, "{dry:#?}");
    assert_eq!(to.engine.settings().await.unwrap(), Settings::default());
    let mut broken = config.clone();
    broken.hooks[0].timeout_s = 0;
    to.engine.import_config(&to.caller(), import(broken, false)).await.unwrap_err();
    assert!(to.engine.templates().await.unwrap().items.is_empty(), "all of it or nothing");
    let done = to.engine.import_config(&to.caller(), import(config.clone(), false)).await.unwrap();
    assert!(done.applied);
    let parts: Vec<ConfigPart> = done.changes.iter().map(|it| it.part).collect();
    assert!(parts.contains(&ConfigPart::Settings) && parts.contains(&ConfigPart::Hook));
    let mut arrived = to.engine.export_config().await.unwrap();
    // Only who the hooks are is each workspace's own.
    arrived.hooks[0].id = config.hooks[0].id;
    assert_eq!(arrived, config);
    let again = to.engine.import_config(&to.caller(), import(config.clone(), false)).await.unwrap();
    assert!(again.changes.is_empty(), "{again:#?}");
    let mut other = config.clone();
    other.rules[0].allow = false;
    other.version = 2;
    to.engine.import_config(&to.caller(), import(other.clone(), false)).await.unwrap_err();
    other.version = 1;
    let turned = to.engine.import_config(&to.caller(), import(other, false)).await.unwrap();
    assert_eq!((turned.changes.len(), turned.changes[0].how), (1, HowChanged::Changed));
    assert!(!to.engine.export_config().await.unwrap().rules[0].allow);
    assert!(to.engine.verify().await.unwrap().is_sound());
}

fn hook(name: &str, command: &[&str], events: &[&str]) -> NewHook {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    NewHook {
        name: name.into(),
        command: words(command),
        events: words(events),
        timeout_s: Some(20),
        ..NewHook::default()
    }
}

fn shell(name: &str, script: &str, events: &[&str]) -> NewHook {
    hook(name, &["sh", "-c", script], events)
}

async fn view(hive: &Hive, id: HookId) -> HookView {
    hive.engine.hook(id).await.unwrap()
}

/// Waits until a hook ran so often, and gives its runs.
async fn until_ran(hive: &Hive, id: HookId, times: usize) -> Vec<HookRun> {
    hive.until_some("the hook ran", async |engine| {
        let runs = engine.hook_runs(id).await.unwrap().items;
        (runs.len() >= times).then_some(runs)
    })
    .await
}

async fn stir(hive: &Hive, times: u32) {
    for n in 0..times {
        hive.engine.configure(&hive.caller(), settings(100 + n)).await.unwrap();
    }
}

#[tokio::test]
async fn a_crashing_or_hanging_plugin_is_stopped_at_its_limit_and_the_core_continues() {
    let hive = Hive::open().await;
    let changed = &["settings_changed"];
    let add = async |new| hive.engine.add_hook(&hive.caller(), new).await.unwrap().hook.id;
    let good = add(shell("good", "cat > event.json; echo seen $HIVEKEEPER_EVENT", changed)).await;
    let crash = add(shell("crash", "echo before; kill -SEGV $$", changed)).await;
    let hang = shell("hang", "sleep 600 & echo $! > child; trap '' TERM; sleep 600", changed);
    let hang = add(NewHook { timeout_s: Some(1), ..hang }).await;
    let eat = shell("eat", "awk 'BEGIN { while (1) a[n++] = sprintf(\"%1000s\", n) }'", changed);
    let eat = add(NewHook { memory_bytes: Some(64 << 20), ..eat }).await;
    let fork = "setsid sh -c 'echo $$ > away; exec sleep 600' >/dev/null 2>&1 </dev/null & \
                while [ ! -s away ]; do sleep 0.05; done";
    let fork = add(shell("fork", fork, changed)).await;
    let none = add(hook("none", &["no-such-program-anywhere"], changed)).await;

    stir(&hive, 1).await;
    // The core goes on while they misbehave.
    hive.add(agent("ann", "true")).await;
    let id = hive.mission(mission("Do it", "do it")).await;
    hive.until(&id, |state| state == MissionState::InReview).await;

    let run = async |id| until_ran(&hive, id, 1).await.remove(0);
    let seen = run(good).await;
    assert!(seen.ok && seen.output == "seen settings_changed\n", "{seen:?}");
    let place = hive.engine.data_dir().join("hooks");
    let work = |id: HookId| place.join(id.to_string()).join("work");
    let told = std::fs::read_to_string(work(good).join("event.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["event"]["fact"]["kind"], "settings_changed");
    assert_eq!(told["event"]["seq"], seen.event_seq);
    assert_eq!(told["hook"]["name"], "good");
    let crashed = run(crash).await;
    assert!(!crashed.ok && crashed.how.contains("signal 11"), "{crashed:?}");
    assert_eq!(crashed.output, "before\n");
    let hung = run(hang).await;
    assert_eq!((hung.ok, hung.limit), (false, Some(HookLimit::Time)), "{hung:?}");
    assert!(!lives(&work(hang).join("child")), "its children are gone with it");
    let ate = run(eat).await;
    assert!(!ate.ok && ate.limit != Some(HookLimit::Time), "{ate:?}");
    run(fork).await;
    assert!(!lives(&work(fork).join("away")), "what forked away is gone as well");
    let not = run(none).await;
    assert!(!not.ok && not.how.contains("no-such-program-anywhere"), "{not:?}");
    // Who failed is named in the log of events.
    hive.until_some("the failures are recorded", async |engine| {
        let kind = Some("hook_failed".to_owned());
        let events = engine.events(EventQuery { kind, ..EventQuery::default() }).await.unwrap();
        let text = serde_json::to_string(&events.items).unwrap();
        ["crash", "hang", "eat", "none"].iter().all(|name| text.contains(name)).then_some(())
    })
    .await;
    assert!(hive.engine.verify().await.unwrap().is_sound());
}

/// Whether the process whose number is in a file is there, and no zombie.
fn lives(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|text| !text.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

#[tokio::test]
async fn a_hook_that_fails_again_and_again_is_switched_off_with_the_reason_and_begins_anew_when_switched_on()
 {
    let hive = Hive::open().await;
    let new = shell("crash", "exit 3", &["settings_changed"]);
    let id = hive.engine.add_hook(&hive.caller(), new).await.unwrap().hook.id;
    stir(&hive, 8).await;
    let off = hive
        .until_some("it is off", async |engine| {
            let view = engine.hook(id).await.unwrap();
            (!view.hook.enabled).then_some(view)
        })
        .await;
    let because = off.hook.off_because.unwrap();
    assert!(because.contains("5 times in a row") && because.contains("exit code 3"), "{because}");
    assert_eq!(until_ran(&hive, id, 5).await.len(), 5);
    stir(&hive, 2).await;
    let tried = hive.engine.try_hook(id).await.unwrap();
    assert!(tried.test && !tried.ok, "it can be tried out while it is off");
    assert_eq!(until_ran(&hive, id, 6).await.len(), 6, "it heard nothing");
    let edit =
        EditHook { enabled: Some(true), command: Some(vec!["true".into()]), ..EditHook::default() };
    let on = hive.engine.edit_hook(&hive.caller(), id, edit).await.unwrap();
    assert!(on.hook.enabled && on.hook.off_because.is_none());
    hive.until_some("it begins anew", async |engine| {
        (engine.hook(id).await.unwrap().failures == 0).then_some(())
    })
    .await;
    hive.engine.configure(&hive.caller(), settings(7)).await.unwrap();
    assert!(until_ran(&hive, id, 7).await[0].ok);
    hive.engine.remove_hook(&hive.caller(), id).await.unwrap();
    assert_eq!(hive.engine.hook(id).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_hook_runs_no_more_often_than_it_may_and_what_it_missed_is_counted() {
    let hive = Hive::open().await;
    let new = NewHook { per_minute: Some(2), ..hook("rare", &["true"], &["settings_changed"]) };
    let id = hive.engine.add_hook(&hive.caller(), new.clone()).await.unwrap().hook.id;
    let taken = hive.engine.add_hook(&hive.caller(), new).await.unwrap_err();
    assert_eq!(taken.code, Code::Conflict);
    let wrong = hook("odd", &["true"], &["no_such_kind"]);
    let refused = hive.engine.add_hook(&hive.caller(), wrong).await.unwrap_err();
    assert!(refused.allowed.contains(&"mission_moved".to_owned()), "{refused:?}");
    stir(&hive, 5).await;
    hive.until_some("the rest is passed over", async |_| {
        (view(&hive, id).await.passed_over == 3).then_some(())
    })
    .await;
    assert_eq!(until_ran(&hive, id, 2).await.len(), 2);
}

/// Every file below a directory that holds a text.
fn holding(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(holding(&path, text)),
            kind if kind.is_file() => {
                let bytes = std::fs::read(&path).unwrap();
                if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                    found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn secrets_live_in_the_os_keychain_and_a_planted_secret_appears_in_no_log_export_or_devlog() {
    const PLANTED: &str = "correct-horse-battery-staple";
    let hive = Hive::open().await;
    let caller = hive.caller();
    let short = hive.engine.keep_secret(&caller, "db", "short").await.unwrap_err();
    assert_eq!(short.code, Code::InvalidInput);
    hive.engine.keep_secret(&caller, "a b", PLANTED).await.unwrap_err();
    hive.engine.keep_secret(&caller, "db", PLANTED).await.unwrap();
    // The agent has it, says it in several forms, and leaves it in its work's output.
    let script = "test \"$DATABASE\" = correct-horse-battery-stapl''e && echo has it; \
                  echo \"$DATABASE\"; echo \"url=//u:$DATABASE@host\" >&2; printf %s \"$DATABASE\" | base64";
    let env = BTreeMap::from([("DATABASE".to_owned(), "secret:db".to_owned())]);
    let ann = agent("ann", &format!("sh -c {}", quoted(script)));
    hive.add(engine::view::NewAgent { env, ..ann }).await;
    let listed = hive.engine.secrets().await.unwrap();
    assert_eq!(listed.items[0].used_by, ["ann"]);
    let id = hive.mission(mission("Do it", "do it")).await;
    let detail = hive.until(&id, |state| state == MissionState::InReview).await;
    let printed = hive.printed(&detail).await;
    assert!(printed.starts_with("has it\n"), "{printed}");
    assert!(!printed.contains(PLANTED), "{printed}");
    let base64 = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ";
    assert!(!printed.contains(base64), "{printed}");
    hive.devlog(&id).await;
    let edit = EditMission { title: Some("Done".into()), ..EditMission::default() };
    let _ = hive.engine.edit_mission(&caller, &id, edit).await;
    let exported = serde_json::to_string(&hive.engine.export_config().await.unwrap()).unwrap();
    let diagnosed = hive.engine.diagnostics().await.unwrap().body;
    let events = serde_json::to_string(&hive.engine.events(EventQuery::default()).await.unwrap());
    for text in [exported, diagnosed, events.unwrap()] {
        assert!(!text.contains(PLANTED) && !text.contains(base64));
    }
    backed_up(&hive).await;
    // Nothing but the vault itself holds it, in any file of the workspace.
    let data = hive.engine.data_dir().to_owned();
    let hive = hive.reopen().await;
    let mut found = holding(&data, PLANTED);
    found.retain(|path| !path.ends_with("/secrets.json"));
    assert!(found.is_empty(), "{found:?}");
    // Removed, it keeps the agent from being started, and that is said.
    hive.engine.remove_secret(&caller, "db").await.unwrap();
    assert!(holding(&data, PLANTED).is_empty());
    let new = NewMission { policy: Some("trusting".into()), ..mission("Again", "again") };
    let id = hive.mission(new).await;
    let detail = hive.until(&id, |state| state == MissionState::Failed).await;
    let note = detail.view.mission.note.unwrap_or_default();
    assert!(note.contains("secret 'db'") && note.contains("secret set db"), "{note}");
}

#[tokio::test]
async fn what_an_agents_program_is_given_is_told_to_nobody_and_what_looks_like_a_secret_is_refused()
{
    let hive = Hive::open().await;
    let caller = hive.caller();
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let ann = || agent("ann", "sh -c 'echo \"$HOST\"'");
    let key = ["gh", "p_", "Zq8vT4mWc2Xr9Kd7Lp3Ns6Bj1Hf5Ga0YeUiO"].concat();
    let with_key = engine::view::NewAgent { env: given(&[("UPSTREAM", key.as_str())]), ..ann() };
    let refused = hive.engine.add_agent(&caller, with_key).await.unwrap_err();
    assert!(refused.message.contains("UPSTREAM") && !refused.message.contains(&key), "{refused:?}");
    assert!(refused.hint.unwrap_or_default().contains("hivekeeper secret set"));
    let in_line = agent("ann", &format!("curl -H 'X: {key}' example.org"));
    hive.engine.add_agent(&caller, in_line).await.unwrap_err();

    let env = given(&[("HOST", "db.internal.example"), ("KEY", "secret:db"), ("NONE", "")]);
    hive.add(engine::view::NewAgent { env, ..ann() }).await;
    let told = given(&[("HOST", model::agent::HIDDEN), ("KEY", "secret:db"), ("NONE", "")]);
    assert_eq!(hive.engine.agent("ann").await.unwrap().agent.runtime.env(), &told);
    let listed = serde_json::to_string(&hive.engine.agents().await.unwrap()).unwrap();
    let events = hive.engine.events(EventQuery::default()).await.unwrap();
    let events = serde_json::to_string(&events).unwrap();
    for text in [listed, events] {
        assert!(text.contains("HOST") && !text.contains("db.internal.example"), "{text}");
    }
    // What is edited as it was shown stays as it was; a name that had no value has none to keep.
    let mut edited = told.clone();
    edited.insert("MORE".into(), "1".into());
    edited.remove("KEY");
    let edit = |env| engine::view::EditAgent { env: Some(env), ..Default::default() };
    hive.engine.edit_agent(&caller, "ann", edit(edited)).await.unwrap();
    let set = hive.engine.agent_as_set("ann").await.unwrap();
    let kept = given(&[("HOST", "db.internal.example"), ("NONE", ""), ("MORE", "1")]);
    assert_eq!(set.runtime.env(), &kept);
    let new = given(&[("NEW", model::agent::HIDDEN)]);
    let refused = hive.engine.edit_agent(&caller, "ann", edit(new)).await.unwrap_err();
    assert!(refused.message.contains("NEW has no value"), "{refused:?}");
}

#[tokio::test]
async fn an_import_leaves_what_it_does_not_name_and_is_looked_through_as_if_in_earnest() {
    let hive = Hive::open().await;
    let kept = Settings { running_max: Some(3), ..settings(9) };
    hive.engine.configure(&hive.caller(), kept.clone()).await.unwrap();
    let import = async |config: serde_json::Value, dry_run| {
        let config = serde_json::from_value(config).unwrap();
        hive.engine.import_config(&hive.caller(), ImportConfig { config, dry_run }).await
    };
    let some = serde_json::json!({"version": 1, "settings": {"trash_days": 7}});
    let dry = import(some.clone(), true).await.unwrap();
    assert_eq!(dry.changes.len(), 1);
    assert_eq!(dry.changes[0].changes.len(), 1, "{dry:#?}");
    import(some, false).await.unwrap();
    assert_eq!(hive.engine.settings().await.unwrap(), Settings { trash_days: 7, ..kept });
    for wrong in [
        serde_json::json!({"trash_days": 0}),
        serde_json::json!({"running_max": 0}),
        serde_json::json!({"traces_to": "https://example.org/?key=a"}),
    ] {
        let config = serde_json::json!({"version": 1, "settings": wrong});
        for dry_run in [true, false] {
            let refused = import(config.clone(), dry_run).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidInput, "{config}");
        }
    }

    // Capitals make no other hook of it, and one name is one hook.
    hive.engine.add_hook(&hive.caller(), hook("tell", &["true"], &["swarm_halted"])).await.unwrap();
    let exported = hive.engine.export_config().await.unwrap();
    let mut renamed = exported.clone();
    renamed.hooks[0].name = "Tell".into();
    let twice = Configuration {
        hooks: [exported.hooks.clone(), renamed.hooks.clone()].concat(),
        ..exported.clone()
    };
    let take = async |config| {
        let import = ImportConfig { config, dry_run: false };
        hive.engine.import_config(&hive.caller(), import).await
    };
    assert_eq!(take(twice).await.unwrap_err().code, Code::InvalidInput);
    assert_eq!(take(renamed).await.unwrap().changes[0].how, HowChanged::Changed);
    let hooks = hive.engine.hooks().await.unwrap().items;
    assert_eq!((hooks.len(), hooks[0].hook.name.as_str()), (1, "Tell"));

    // What looks like a secret does not leave, and it is said where it is.
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let command = ["curl", "-H", &format!("Authorization: token {token}")];
    hive.engine.add_hook(&hive.caller(), hook("push", &command, &["swarm_halted"])).await.unwrap();
    let refused = hive.engine.export_config().await.unwrap_err();
    assert!(refused.message.contains("hook 'push'"), "{refused:?}");
    assert!(!format!("{refused:?}").contains(&token), "{refused:?}");
}

fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', "'\\''"))
}

async fn backed_up(hive: &Hive) -> BackupView {
    let begun = hive.engine.back_up(&hive.caller()).unwrap();
    hive.until_some("a backup is made", async |engine| {
        let all = engine.backups().await.unwrap().items;
        let view = all.into_iter().find(|it| it.file == begun.file)?;
        assert_ne!(view.state, BackupState::Failed, "{view:?}");
        (view.state == BackupState::Done).then_some(view)
    })
    .await
}

#[tokio::test]
async fn a_backup_is_made_while_work_goes_on_and_is_put_back_only_where_no_engine_runs() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let id = hive.mission(mission("Before", "before")).await;
    hive.until(&id, |state| state == MissionState::InReview).await;
    let made = backed_up(&hive).await;
    assert!(made.events.unwrap() > 5 && made.percent == 100, "{made:?}");
    let file = std::path::PathBuf::from(&made.path);
    hive.until_some("it is recorded", async |engine| {
        let kind = Some("backup_made".to_owned());
        let events = engine.events(EventQuery { kind, ..EventQuery::default() }).await.unwrap();
        (events.items.len() == 1).then_some(())
    })
    .await;
    let later = hive.mission(mission("After", "after")).await;
    hive.until(&later, |state| state == MissionState::InReview).await;
    let data = hive.engine.data_dir().to_owned();
    let refused = engine::restore(&data, &file, Revival::End).await.unwrap_err();
    assert!(refused.to_string().contains("another engine uses it"), "{refused}");

    hive.engine.shutdown().await;
    let Hive { engine, ending, place } = hive;
    drop(engine);
    let wrong = place.path().join("no-backup.db");
    std::fs::write(&wrong, "nothing of ours").unwrap();
    engine::restore(&data, &wrong, Revival::End).await.unwrap_err();
    let damaged = place.path().join("damaged.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // A whole page of it, so that nothing of it is unused.
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(&damaged, bytes).unwrap();
    engine::restore(&data, &damaged, Revival::End).await.unwrap_err();
    let hive = Hive { engine: open(&data).await, ending, place };
    assert!(hive.engine.mission(&later).await.is_ok(), "what was refused changed nothing");
    hive.engine.shutdown().await;
    let Hive { engine, ending, place } = hive;
    drop(engine);

    let done = engine::restore(&data, &file, Revival::End).await.unwrap();
    assert_eq!(done.events, made.events.unwrap());
    let aside = done.aside.unwrap();
    assert!(aside.join("ledger.db").is_file() && aside.join("ledger.head").is_file());
    let hive = Hive { engine: open(&data).await, ending, place };
    assert!(hive.engine.mission(&id).await.is_ok());
    assert_eq!(hive.engine.mission(&later).await.unwrap_err().code, Code::NotFound);
    assert!(hive.engine.verify().await.unwrap().is_sound());
    assert!(!data.join("making").exists());
}
