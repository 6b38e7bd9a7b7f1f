//! What a sandboxed program can see, write and reach, behind bubblewrap and behind landlock.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use agents::runtime::presets::Additions;
use agents::{brief, supervision};
use model::agent::{Agent, Conduct, Runtime};
use model::clock::{Clock, SystemClock};
use model::id::{AgentId, AttemptId, MissionId, SystemDraw};
use model::process::{Exit, ExitRecord, HomeAccess, LaunchSpec, Sandbox, Supervision, file};
use shim::record;

use crate::repo::Repo;
use crate::support::shim;

/// What puts the walls up.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Walls {
    Bubblewrap,
    Landlock,
}

/// Those that work here; the others are named on standard error.
fn walls() -> Vec<Walls> {
    let bubblewrap = shim::confine::namespace::probe().map(|_| Walls::Bubblewrap);
    let landlock = shim::confine::landlock::level().map(|_| Walls::Landlock);
    let mut found = Vec::new();
    for (name, walls) in [("bubblewrap", bubblewrap), ("landlock", landlock)] {
        match walls {
            Ok(walls) => found.push(walls),
            Err(absent) => {
                let _ = writeln!(std::io::stderr(), "SKIPPED, no {name} here: {absent}");
            }
        }
    }
    found
}

/// A data directory with a run and a worktree, a home, and a place that is neither; not in /tmp,
/// which a sandboxed program has one of its own of.
struct House {
    root: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let house = Self { root };
        for name in ["data/runs/r", "data/worktrees/a", "home", "outside"] {
            std::fs::create_dir_all(house.at(name)).unwrap();
        }
        std::fs::write(house.at("home/key"), "secret").unwrap();
        std::fs::write(house.at("data/ledger.db"), "ledger").unwrap();
        house
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn spec(&self, text: &str, sandbox: Sandbox) -> LaunchSpec {
        LaunchSpec {
            program: "bash".to_owned(),
            args: vec!["-c".to_owned(), text.to_owned()],
            env: vec![
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("HOME".to_owned(), self.at("home").display().to_string()),
                ("HOUSE".to_owned(), self.at("").display().to_string()),
            ],
            directory: self.at("data/worktrees/a").display().to_string(),
            grace_ms: 1_000,
            marker: format!("sandbox-{}", self.root.path().display()),
            sandbox: Some(sandbox),
            ..LaunchSpec::default()
        }
    }

    /// Runs to the end, and returns what was printed with it.
    fn run(&self, walls: Walls, spec: &LaunchSpec) -> (ExitRecord, String) {
        let run = self.at("data/runs/r");
        std::fs::remove_dir_all(&run).unwrap();
        std::fs::create_dir_all(&run).unwrap();
        record::write_json(&run.join(file::SPEC), spec).unwrap();
        let mut command = Command::new(shim());
        if walls == Walls::Landlock {
            // Where the shim finds no bubblewrap there is none; the program has a PATH of its own.
            command.env("PATH", "/nowhere");
        }
        assert!(command.arg(&run).status().unwrap().success());
        let exit: ExitRecord = record::read_json(&run.join(file::EXIT)).unwrap().unwrap();
        (exit, std::fs::read_to_string(run.join(file::STDOUT)).unwrap_or_default())
    }
}

fn sandbox(home: HomeAccess) -> Sandbox {
    Sandbox { home, ..Sandbox::default() }
}

#[test]
fn a_write_outside_of_the_worktree_is_refused_and_one_inside_is_not() {
    let text = "echo in > inside.txt && echo inside; mkdir deep && mv inside.txt deep/ && echo moved\n\
                for at in outside home data; do echo x > $HOUSE/$at/new 2>/dev/null && echo ESCAPED $at; done\n\
                truncate -s 0 $HOUSE/outside/old 2>/dev/null && echo EMPTIED\n\
                rm $HOUSE/outside/old 2>/dev/null && echo REMOVED\n\
                ln $HOUSE/outside/old here 2>/dev/null && echo x > here && echo LINKED\n\
                echo t > $TMPDIR/t && echo temporary; echo n > /dev/null && echo null; true";
    for walls in walls() {
        let house = House::new();
        std::fs::write(house.at("outside/old"), "kept").unwrap();
        let (record, said) = house.run(walls, &house.spec(text, sandbox(HomeAccess::ReadOnly)));
        assert_eq!(record.exit, Exit::Code { code: 0 }, "{walls:?}: {said}");
        assert_eq!(said, "inside\nmoved\ntemporary\nnull\n", "{walls:?}");
        let kept = std::fs::read_to_string(house.at("data/worktrees/a/deep/inside.txt")).unwrap();
        assert_eq!(kept, "in\n");
        assert_eq!(std::fs::read_to_string(house.at("outside/old")).unwrap(), "kept");
        assert!(!house.at("outside/new").exists() && !house.at("home/new").exists());
    }
}

#[test]
fn the_home_is_read_only_or_hidden_or_open_as_it_was_asked() {
    let text = "cat $HOME/key 2>/dev/null || echo no key; echo\n\
                echo x > $HOME/new 2>/dev/null; true";
    for walls in walls() {
        for (home, said, written) in [
            (HomeAccess::Full, "secret\n", true),
            (HomeAccess::ReadOnly, "secret\n", false),
            (HomeAccess::Hidden, "no key\n\n", false),
        ] {
            let house = House::new();
            let (_, printed) = house.run(walls, &house.spec(text, sandbox(home)));
            assert_eq!(printed, said, "{walls:?} {home:?}");
            assert_eq!(house.at("home/new").exists(), written, "{walls:?} {home:?}");
        }
    }
}

#[test]
fn the_records_of_the_engine_and_the_places_of_others_are_not_seen() {
    let text = "cat $HOUSE/data/ledger.db 2>/dev/null && echo SEEN\n\
                ls $HOUSE/data/worktrees/b 2>/dev/null && echo SEEN; pwd; true";
    for walls in walls() {
        let house = House::new();
        std::fs::create_dir_all(house.at("data/worktrees/b")).unwrap();
        let spec = house.spec(text, sandbox(HomeAccess::ReadOnly));
        let (_, said) = house.run(walls, &spec);
        assert_eq!(said, format!("{}\n", spec.directory), "{walls:?}");
    }
}

#[test]
fn what_is_given_besides_can_be_written() {
    for walls in walls() {
        let house = House::new();
        let given = Sandbox {
            writable: vec![house.at("outside").display().to_string()],
            home: HomeAccess::Hidden,
            network: true,
        };
        let (_, said) = house.run(walls, &house.spec("echo x > $HOUSE/outside/new", given));
        assert_eq!(said, "", "{walls:?}");
        assert!(house.at("outside/new").exists(), "{walls:?}");
    }
}

#[test]
fn without_a_network_not_even_this_machine_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text =
        format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached || echo refused");
    for walls in walls() {
        for (network, said) in [(true, "reached\n"), (false, "refused\n")] {
            let house = House::new();
            let asked = Sandbox { network, ..Sandbox::default() };
            let (_, printed) = house.run(walls, &house.spec(&text, asked));
            assert_eq!(printed, said, "{walls:?} {network}");
        }
    }
}

#[test]
fn processes_outside_are_not_signalled() {
    for walls in walls() {
        let house = House::new();
        let mut outside = Command::new("sleep").arg("600").spawn().unwrap();
        let text = format!("kill -9 {} 2>/dev/null && echo KILLED; true", outside.id());
        let (_, said) = house.run(walls, &house.spec(&text, Sandbox::default()));
        let alive = outside.try_wait().unwrap().is_none();
        outside.kill().unwrap();
        outside.wait().unwrap();
        assert!(alive && said.is_empty(), "{walls:?}: {said}");
    }
}

#[tokio::test]
async fn a_sandboxed_agent_commits_in_its_worktree_and_plants_no_hook() {
    for walls in walls() {
        let repo = Repo::new();
        let tree = PathBuf::from(repo.worktree().await.directory);
        let house = House::new();
        let common = supervision::git_directories(&tree);
        assert_eq!(common, [repo.path().join(".git")]);
        let given = Sandbox {
            writable: common.iter().map(|path| path.display().to_string()).collect(),
            ..Sandbox::default()
        };
        let text = "echo new > new.txt && git add new.txt && \
                    git -c user.name=A -c user.email=a@b commit -q -m work && echo committed\n\
                    hooks=$(git rev-parse --git-common-dir)/hooks; echo evil > $hooks/post-commit";
        let mut spec = house.spec(text, given);
        spec.directory = tree.display().to_string();
        let (_, said) = house.run(walls, &spec);
        assert!(said.starts_with("committed\n"), "{walls:?}: {said}");
        assert_eq!(crate::repo::git(&tree, &["log", "-1", "--format=%s"]), "work");
        // Landlock cannot guard a part of what may be written; the statement says so.
        let planted = repo.path().join(".git/hooks/post-commit").exists();
        assert_eq!(planted, walls == Walls::Landlock, "{walls:?}: {said}");
    }
}

#[test]
fn a_sandboxed_agent_reports_by_files_reads_its_messages_and_sees_nobody_elses() {
    let text = "printf '{\"kind\":\"progress\",\"percent\":40}' > $HIVEKEEPER_INBOX/one.json\n\
                cat $HIVEKEEPER_MESSAGES/m.json; ls $HIVEKEEPER_INBOX\n\
                echo x > $HIVEKEEPER_MESSAGES/new 2>/dev/null && echo WRITTEN\n\
                ls $HOUSE/data/agents/b 2>/dev/null && echo SEEN\n\
                echo x > $HOUSE/data/agents/b/inbox/forged.json 2>/dev/null && echo FORGED; true";
    for (walls, home) in walls()
        .into_iter()
        .flat_map(|walls| [HomeAccess::ReadOnly, HomeAccess::Hidden].map(|home| (walls, home)))
    {
        let house = House::new();
        for name in ["a/inbox", "a/messages", "b/inbox"] {
            std::fs::create_dir_all(house.at("data/agents").join(name)).unwrap();
        }
        std::fs::write(house.at("data/agents/a/messages/m.json"), "hello\n").unwrap();
        let asked = house.spec(text, sandbox(home));
        let spec = prepared(&house, &asked);
        let (record, said) = house.run(walls, &spec);
        assert_eq!(said, "hello\none.json\n", "{walls:?} {home:?}: {record:?}");
        let path = house.at("data/agents/a/inbox");
        let later = SystemClock.now() + jiff::SignedDuration::from_secs(1);
        let waiting = agents::reports::waiting(&path, 10, later).unwrap();
        let report = waiting[0].report.as_ref().unwrap();
        assert_eq!(report.kind(), "progress", "{walls:?} {home:?}");
    }
}

/// What is started for an agent with this command line, environment and sandbox.
fn prepared(house: &House, asked: &LaunchSpec) -> LaunchSpec {
    let now = SystemClock.now();
    let agent = Agent {
        id: AgentId::draw(now, &mut SystemDraw),
        name: "ada".to_owned(),
        role: String::new(),
        skills: Vec::new(),
        runtime: Runtime::Command {
            program: asked.program.clone(),
            args: asked.args.clone(),
            env: asked.env.iter().cloned().collect(),
            terminal: false,
        },
        directory: None,
        grace_s: 1,
        conduct: Conduct { sandbox: asked.sandbox.clone(), ..Conduct::default() },
        paused: false,
        demo: false,
        created_at: now,
    };
    let (run, directory) = (house.at("data/runs/r"), house.at("data/worktrees/a"));
    let (inbox, messages) = (house.at("data/agents/a/inbox"), house.at("data/agents/a/messages"));
    let prepared = brief::prepare(&brief::Order {
        agent: &agent,
        additions: &Additions::default(),
        supervision: Supervision::Session,
        brief: "Report.",
        mission: MissionId::draw(now, &mut SystemDraw),
        attempt: AttemptId::draw(now, &mut SystemDraw),
        run: &run,
        directory: &directory,
        url: None,
        token: None,
        post: Some(brief::Post { inbox: &inbox, messages: &messages }),
    });
    LaunchSpec { stdin: false, marker: asked.marker.clone(), ..prepared.unwrap().spec }
}

#[tokio::test]
async fn a_sandboxed_agent_changes_no_settings_that_git_reads_for_its_worktree_alone() {
    for walls in walls().into_iter().filter(|walls| *walls == Walls::Bubblewrap) {
        let repo = Repo::new();
        repo.git(&["config", "extensions.worktreeConfig", "true"]);
        let tree = PathBuf::from(repo.worktree().await.directory);
        let house = House::new();
        let common = supervision::git_directories(&tree);
        let given = Sandbox {
            writable: common.iter().map(|path| path.display().to_string()).collect(),
            ..Sandbox::default()
        };
        let text = "git config --worktree filter.evil.clean 'touch /evil' 2>/dev/null && echo SET\n\
                    own=$(git rev-parse --git-dir); rm -f $own/config.worktree 2>/dev/null\n\
                    echo x > $own/config.worktree 2>/dev/null && echo WRITTEN\n\
                    git status --short && echo fine";
        let mut spec = house.spec(text, given);
        spec.directory = tree.display().to_string();
        let (_, said) = house.run(walls, &spec);
        assert_eq!(said, "fine\n", "{walls:?}");
    }
}

#[tokio::test]
async fn a_sandboxed_agent_plants_no_settings_for_the_main_checkout_and_its_submodules() {
    for walls in walls().into_iter().filter(|walls| *walls == Walls::Bubblewrap) {
        for (extension, module) in [("true", true), ("true", false), ("false", false)] {
            let repo = Repo::new();
            repo.git(&["config", "extensions.worktreeConfig", extension]);
            let tree = PathBuf::from(repo.worktree().await.directory);
            let common = supervision::git_directories(&tree);
            if module {
                let hooks = common[0].join("modules/libs/s/hooks");
                std::fs::create_dir_all(hooks).unwrap();
                std::fs::write(common[0].join("modules/libs/s/config"), "[core]\n").unwrap();
            }
            let house = House::new();
            let given = Sandbox {
                writable: common.iter().map(|path| path.display().to_string()).collect(),
                ..Sandbox::default()
            };
            let text = "c=$(git rev-parse --git-common-dir)\n\
                        (echo x > $c/config.worktree) 2>/dev/null && echo WRITTEN\n\
                        rm -f $c/config.worktree 2>/dev/null && echo REMOVED\n\
                        mkdir -p $c/modules/new 2>/dev/null && echo MADE\n\
                        mv $c/modules $c/other 2>/dev/null && echo MOVED\n\
                        (echo x >> $c/modules/libs/s/config) 2>/dev/null && echo SET\n\
                        (echo x > $c/modules/libs/s/hooks/h) 2>/dev/null && echo HOOKED\n\
                        git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && echo fine";
            let mut spec = house.spec(text, given);
            spec.directory = tree.display().to_string();
            let (_, said) = house.run(walls, &spec);
            assert_eq!(said, "fine\n", "{walls:?} {extension} {module}");
        }
    }
}

#[test]
fn a_sandbox_that_cannot_be_had_is_named_and_nothing_is_started() {
    for walls in walls() {
        let house = House::new();
        let given = Sandbox { writable: vec!["/no/such/place".to_owned()], ..Sandbox::default() };
        let (record, said) = house.run(walls, &house.spec("echo STARTED", given));
        let Exit::NotStarted { reason } = &record.exit else {
            panic!("{record:?}");
        };
        assert!(
            reason.contains("'/no/such/place', which it may write, does not exist"),
            "{reason}"
        );
        assert_eq!(said, "", "{walls:?}");
    }
}

#[test]
fn a_program_in_a_hidden_home_is_still_found() {
    use std::os::unix::fs::PermissionsExt;
    for walls in walls() {
        let house = House::new();
        let program = house.at("home/tools/agent");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "#!/bin/sh\necho \"$0\"; cat \"$HOME/key\" 2>/dev/null\n")
            .unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let mut spec = house.spec("", sandbox(HomeAccess::Hidden));
        spec.program = program.display().to_string();
        spec.args.clear();
        let (_, said) = house.run(walls, &spec);
        assert_eq!(said, format!("{}\n", program.display()), "{walls:?}");
        assert!(Path::new(&spec.program).exists());
    }
}
