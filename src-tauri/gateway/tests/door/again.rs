//! The same request under one idempotency key, on every route that changes something.

use std::collections::BTreeMap;
use std::path::Path;

use engine::view::NewMission;
use gateway::ALWAYS_ANEW;
use gateway::rights::RULES;
use http::Method;
use model::mission::MissionState;
use serde_json::{Value, json};

use crate::House;

/// What is refused in a house where nobody asks anything and nothing failed, and so has no answer that
/// could be told again. The way of an answer is the same for all of them.
const REFUSED_HERE: &[(&str, &str)] = &[
    ("/api/v1/messages/{id}/retry", "a message that was not taken"),
    ("/api/v1/requests/{id}/answer", "an agent that asks"),
    ("/api/v1/missions/{id}/ci", "a gate that waits for a build server"),
    ("/api/v1/checkpoints/{id}/restore", "an attempt that stands still"),
    ("/api/v1/trash/{id}/restore", "something in the trash"),
    ("/api/v1/attempts/{id}/input", "a program with a terminal"),
    ("/api/v1/attempts/{id}/resize", "a program with a terminal"),
    ("/api/v1/attempts/{id}/cancel-turn", "a program with turns"),
    ("/api/v1/window/focus", "a window"),
    ("/api/v1/swarm/resume", "a swarm that is stopped"),
];

/// How each route is asked: its path, and what is sent.
struct Asked {
    by_template: BTreeMap<&'static str, (String, Value)>,
    /// The token of an agent that runs elsewhere.
    far: String,
}

impl Asked {
    fn add(&mut self, template: &'static str, id: &str, body: Value) {
        let path = template.replace("{id}", id).replace("{name}", id);
        self.by_template.insert(template, (path, body));
    }

    /// A house in which as much as possible can be done.
    async fn in_house(house: &House) -> Self {
        let mut all = Self { by_template: BTreeMap::new(), far: String::new() };
        all.of_agents(house).await;
        all.of_missions(house).await;
        all.of_the_work(house).await;
        all.of_attached(house).await;
        all.of_the_house(house).await;
        all.of_health(house).await;
        for (template, _) in REFUSED_HERE {
            let unknown = "0198c0de-0000-7000-8000-000000000001";
            all.add(template, unknown, json!({}));
        }
        all
    }

    async fn of_agents(&mut self, house: &House) {
        for name in ["idle", "held", "asleep"] {
            let new = json!({"name": name, "command": "cat"}).to_string();
            assert_eq!(house.ask("POST", "/api/v1/agents", &new).await.0, 201);
        }
        for name in ["held", "asleep"] {
            house.ask("POST", &format!("/api/v1/agents/{name}/pause"), "").await;
        }
        let message = json!({"text": "hello"}).to_string();
        let (_, _, kept) = house.ask("POST", "/api/v1/agents/asleep/messages", &message).await;
        self.add("/api/v1/messages/{id}/discard", kept["id"].as_str().unwrap(), json!({}));
        self.add("/api/v1/agents", "", json!({"name": "new", "command": "cat"}));
        self.add("/api/v1/agents/{id}/pause", "idle", json!({}));
        self.add("/api/v1/agents/{id}/resume", "held", json!({}));
        self.add("/api/v1/agents/{id}/messages", "idle", json!({"text": "hello"}));
        self.add("/api/v1/broadcasts", "", json!({"agents": ["idle", "held"], "text": "all"}));
        self.add("/api/v1/commands/check", "", json!({"command": "true"}));
        self.add("/api/v1/presets/{name}/test", "aider", json!({}));
        let rule = json!({"pattern": "run: git *", "allow": true, "scope": {"kind": "workspace"}});
        self.add("/api/v1/rules", "", rule);
    }

    async fn of_missions(&mut self, house: &House) {
        let draft = async |title: &str| {
            let draft = |new: &mut NewMission| new.draft = true;
            house.work(title, draft).await
        };
        let waiting =
            async |title: &str| house.work(title, |new| new.agent = Some("asleep".into())).await;
        let at = |action: &str| -> &'static str {
            let is = |(method, path, _): &&(Method, &'static str, _)| {
                *method == Method::POST && *path == format!("/api/v1/missions/{{id}}/{action}")
            };
            RULES.iter().find(is).unwrap().1
        };
        self.add(at("queue"), &draft("To queue").await, json!({}));
        self.add(at("pause"), &waiting("To pause").await, json!({}));
        self.add(at("cancel"), &waiting("To cancel").await, json!({}));
        self.add(at("assign"), &waiting("To assign").await, json!({"agent": "idle"}));
        let id = waiting("To resume").await;
        house.ask("POST", &format!("/api/v1/missions/{id}/pause"), "").await;
        self.add(at("resume"), &id, json!({}));
        let id = waiting("To try again").await;
        house.ask("POST", &format!("/api/v1/missions/{id}/cancel"), "").await;
        self.add(at("retry"), &id, json!({}));
        let new = json!({"name": "quick", "command": "true"}).to_string();
        house.ask("POST", "/api/v1/agents", &new).await;
        for action in ["accept", "reject", "send_back"] {
            let change = |new: &mut NewMission| {
                new.agent = Some("quick".into());
                new.policy = Some("standard".into());
            };
            let id = house.work(&format!("To {action}"), change).await;
            house.until_detail(&id, |it| it.view.mission.state == MissionState::InReview).await;
            self.add(at(action), &id, json!({"note": "so be it"}));
        }
        let new = json!({"title": "One more", "brief": "b", "draft": true});
        self.add("/api/v1/missions", "", new.clone());
        self.add("/api/v1/missions/check", "", new);
        let text = "# Lexer\n\nRead numbers, too.\n";
        let import = json!({"format": "markdown", "text": text, "apply": true});
        self.add("/api/v1/missions/import", "", import);
    }

    async fn of_the_work(&mut self, house: &House) {
        let repository = house.place.path().join("repository");
        repository_at(&repository);
        let (told, work) = (repository.display().to_string(), house.at_work("ann").await);
        let progress = json!({"percent": 40, "text": "words"});
        self.add("/api/v1/missions/{id}/progress", &work.mission, progress);
        self.add("/api/v1/scan", "", json!({"path": told}));
        self.add("/api/v1/worktrees/clean", "", json!({"apply": false}));
        let new = json!({"name": "bee", "command": "sleep 600", "grace_s": 1}).to_string();
        house.ask("POST", "/api/v1/agents", &new).await;
        let change = |new: &mut NewMission| {
            new.agent = Some("bee".into());
            new.repository = Some(told.clone());
        };
        let id = house.work("In a repository", change).await;
        house.until_detail(&id, |it| it.view.mission.state == MissionState::Running).await;
        self.add("/api/v1/missions/{id}/checkpoints", &id, json!({"note": "here"}));
    }

    async fn of_attached(&mut self, house: &House) {
        let new = json!({"name": "far"}).to_string();
        let (_, _, made) = house.ask("POST", "/api/v1/attached", &new).await;
        self.far = made["token"].as_str().unwrap().to_owned();
        house.work("Far away", |new| new.agent = Some("far".into())).await;
        let ask = json!({"wait_s": 25}).to_string();
        let path = "/api/v1/attached/lease";
        let (_, offer) = house.with(&self.far, &Method::POST, path, &ask).await;
        let lease = &offer["lease"];
        let of = |more: Value| {
            let mut all = json!({"attempt": lease["attempt"], "fence": lease["fence"]});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        self.add("/api/v1/attached/progress", "", of(json!({"percent": 10})));
        let evidence = json!({"name": "notes", "text": "it works"});
        self.add("/api/v1/attached/evidence", "", of(evidence));
        self.add("/api/v1/attached/usage", "", of(json!({"tokens": {"input": 7}})));
        self.add("/api/v1/attached/messages", "", of(json!({})));
        self.add("/api/v1/attached/finish", "", of(json!({"completed": true, "summary": "done"})));
    }

    async fn of_health(&mut self, house: &House) {
        let checks = "/api/v1/health/checks";
        let waits = |name: &str| json!({"name": name, "probe": {"kind": "heartbeat", "period_s": 3600, "grace_s": 600}});
        let port: u16 = house.address().rsplit_once(':').unwrap().1.parse().unwrap();
        let probe = json!({"kind": "tcp", "host": "127.0.0.1", "port": port});
        let looks = json!({"name": "the door", "probe": probe});
        let made = async |new: Value| {
            let (status, _, made) = house.ask("POST", checks, &new.to_string()).await;
            assert_eq!(status, 201, "{made}");
            made["id"].as_str().unwrap().to_owned()
        };
        let (waits_id, looks_id) = (made(waits("a dump")).await, made(looks).await);
        self.add("/api/v1/health/checks/{id}/run", &looks_id, json!({}));
        self.add("/api/v1/health/checks/{id}/report", &waits_id, json!({"report": "success"}));
        let until = house.engine.clock().now() + jiff::SignedDuration::from_hours(1);
        let maintenance = json!({"checks": [looks_id], "until": until, "note": "moved"});
        self.add("/api/v1/health/maintenance", "", maintenance);
        self.add(checks, "", waits("another"));
    }

    async fn of_the_house(&mut self, house: &House) {
        let (_, _, settings) = house.ask("GET", "/api/v1/settings", "").await;
        let mut other = settings.clone();
        other["trash_days"] = json!(29);
        house.ask("PUT", "/api/v1/settings", &other.to_string()).await;
        let (_, _, changes) = house.ask("GET", "/api/v1/settings/history", "").await;
        let seq = changes["items"][0]["seq"].clone();
        self.add("/api/v1/settings/rollback", "", json!({"seq": seq}));
        let (_, _, config) = house.ask("GET", "/api/v1/settings/export", "").await;
        let import = json!({"config": config, "dry_run": true});
        self.add("/api/v1/settings/import", "", import);
        let hook = |name: &str| json!({"name": name, "command": ["true"], "events": ["mission_created"], "timeout_s": 5});
        let (_, _, made) = house.ask("POST", "/api/v1/hooks", &hook("one").to_string()).await;
        self.add("/api/v1/hooks/{id}/test", made["id"].as_str().unwrap(), json!({}));
        self.add("/api/v1/hooks", "", hook("two"));
        let topic = |title: &str| json!({"title": title, "text": "?", "options": ["a", "b"]});
        let opened = async |title: &str| {
            let (_, _, made) = house.ask("POST", "/api/v1/topics", &topic(title).to_string()).await;
            made["topic"]["id"].as_str().unwrap().to_owned()
        };
        let vote = json!({"agent": "idle", "option": "a", "rationale": "why not"});
        self.add("/api/v1/topics/{id}/votes", &opened("One").await, vote);
        self.add("/api/v1/topics/{id}/close", &opened("Two").await, json!({"option": "a"}));
        self.add("/api/v1/topics", "", topic("Three"));
        self.add("/api/v1/login/links", "", json!({}));
        self.add("/api/v1/pairings", "", json!({"role": "viewer", "name": "phone"}));
        for path in [
            "/api/v1/recovery/restart-failed",
            "/api/v1/recovery/clear-failed",
            "/api/v1/recovery/reconcile",
            "/api/v1/backups",
            "/api/v1/demo",
        ] {
            self.add(path, "", json!({}));
        }
    }
}

/// A repository with one commit.
fn repository_at(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("a.txt"), "one\n").unwrap();
    for arguments in [
        &["init", "--quiet", "--initial-branch", "main"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
    ] {
        let git = std::process::Command::new("git").arg("-C").arg(path).args(arguments).status();
        assert!(git.unwrap().success());
    }
}

#[tokio::test]
async fn the_same_request_under_one_key_is_answered_alike_on_every_route() {
    let house = House::open().await;
    let asked = Asked::in_house(&house).await;
    let captain = house.captain();
    let (mut answered, mut wrong) = (0, Vec::new());
    for (method, template, _) in RULES.iter().filter(|(method, ..)| *method == Method::POST) {
        if ALWAYS_ANEW.iter().any(|(anew, path, _)| anew == method && path == template) {
            continue;
        }
        let (path, body) = asked.by_template.get(template).unwrap_or_else(|| panic!("{template}"));
        let elsewhere = template.starts_with("/api/v1/attached/");
        let bearer = format!("Bearer {}", if elsewhere { &asked.far } else { &captain });
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", template)];
        let ask = async |body: &str| {
            let (status, _, answer) = house.with_headers(&headers, method, path, body).await;
            (status, answer)
        };
        let text = body.to_string();
        let first = ask(&text).await;
        if REFUSED_HERE.iter().any(|(refused, _)| refused == template) {
            if !(400..500).contains(&first.0) {
                wrong.push(format!("{template} is to be looked at: {first:?}"));
            }
            continue;
        }
        let again = ask(&text).await;
        // The same for whoever reads it, and another for whoever compares.
        let (status, problem) = ask(&format!("{text} ")).await;
        let other = (status, problem["code"].as_str()) == (409, Some("idempotency_mismatch"));
        if !(200..300).contains(&first.0) || again != first || !other {
            wrong.push(format!("{template}: {first:?}\n{again:?}\n{status} {problem}"));
        }
        answered += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(answered > 35, "{answered}");
    assert!(house.engine.verify().await.unwrap().is_sound());
    house.close().await;
}

#[tokio::test]
async fn what_is_done_anew_each_time_is_done_although_its_key_was_used_and_says_why() {
    let house = House::open().await;
    for (method, template, why) in ALWAYS_ANEW {
        let rule = RULES.iter().any(|(one, path, _)| one == method && path == template);
        assert!(rule && !why.is_empty(), "{template}");
    }
    let key = [("idempotency-key", "one")];
    let halted = async || {
        let (_, _, overview) = house.ask("GET", "/api/v1/overview", "").await;
        overview["swarm"]["halted_since"].clone()
    };
    for _ in 0..2 {
        let halt = "/api/v1/swarm/halt";
        let bearer = format!("Bearer {}", house.captain());
        let headers = [key[0], ("authorization", bearer.as_str())];
        assert_eq!(house.with_headers(&headers, &Method::POST, halt, "{}").await.0, 200);
        assert_ne!(halted().await, Value::Null);
        assert_eq!(house.ask("POST", "/api/v1/swarm/resume", "").await.0, 204);
        assert_eq!(halted().await, Value::Null);
    }
    house.close().await;
}
