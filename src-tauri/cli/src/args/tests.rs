//! What is understood and what is not.

use clap::CommandFactory as _;
use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' ').map(|word| word.replace('_', " ")))
}

fn check(line: &str) {
    if let Err(error) = read(line) {
        panic!("{line}: {error}");
    }
}

#[test]
fn the_description_of_the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_lines_scripts_rely_on_are_understood() {
    check("hivekeeper");
    check("hivekeeper serve --data-dir D --listen 127.0.0.1:0");
    check(
        "hivekeeper agent add A --runtime command --command sh_-c_x --dir D --skill S --skill T --json",
    );
    check("hivekeeper serve --listen 0.0.0.0:1 --tls-cert c --tls-key k --name a.b --socket s");
    check("hivekeeper serve --no-login-link");
    check("hivekeeper login");
    check("hivekeeper login list --ended --json");
    check("hivekeeper login end phone");
    check("hivekeeper login end --all");
    assert!(read("hivekeeper login end").is_err(), "nobody is named");
    assert!(read("hivekeeper login end phone --all").is_err());
    check("hivekeeper config get trash_days --json");
    check("hivekeeper settings show");
    check("hivekeeper config set running_max=8");
    check("hivekeeper config history --limit 5");
    check("hivekeeper config rollback 41");
    check("hivekeeper config export -o f");
    check("hivekeeper config import @f --dry-run");
    check(
        "hivekeeper hook add a --on mission_moved,agent_added --timeout 5 --memory 64M -- sh -c x",
    );
    check("hivekeeper hook edit a --on --per-minute 5");
    assert!(read("hivekeeper hook add a -- true").is_err(), "it listens to nothing");
    assert!(read("hivekeeper hook edit a --on --off").is_err());
    check("hivekeeper hook test a --json");
    check("hivekeeper secret set db -");
    check("hivekeeper secret set db @file");
    assert!(read("hivekeeper secret set db value").is_err(), "others could read it");
    check("hivekeeper backup --list --json");
    check("hivekeeper restore f --yes");
    check("hivekeeper log --level warn --text x --limit 5");
    check("hivekeeper log level debug --for 60");
    assert!(read("hivekeeper log level --for 60").is_err());
    check("hivekeeper man --to d");
    check("hivekeeper token list --revoked --json");
    check("hivekeeper token add ci --role operator --scope missions --scope agent:ann --days 90");
    check("hivekeeper token revoke ci");
    check("hivekeeper token pair --role viewer --name phone");
    assert!(read("hivekeeper serve --tls-cert c").is_err(), "a certificate needs its key");
    assert!(read("hivekeeper serve --tls-cert c --tls-key k --name a:1").is_err());
    assert!(read("hivekeeper token pair --role admin").is_err());
    check("hivekeeper agent add A --preset goose --json");
    check(
        "hivekeeper agent add A --runtime acp --command x --permissions ask --limit-memory 2G --limit-processes 50 --cpu-weight 50 --sandbox --sandbox-write /tmp --sandbox-home hidden --sandbox-no-network --rules @r.md --rule-files --hand-over-at 80",
    );
    check("hivekeeper agent add A --command sh --terminal");
    check("hivekeeper agent edit A --name B --env A=b --unset-env C --no-sandbox --no-limits");
    check("hivekeeper preset test goose --json");
    check("hivekeeper message send A hello --urgent --mission M-1 --json");
    check("hivekeeper message broadcast hello --all");
    check("hivekeeper message list --state queued,quarantined --json");
    check("hivekeeper inbox --json");
    check("hivekeeper inbox answer ID not-now");
    check("hivekeeper inbox answer ID always --scope mission --pattern run:_git_*");
    check("hivekeeper inbox answer ID --text once");
    check("hivekeeper rule add run:_git_* --forbid --mission M-1");
    check("hivekeeper usage M-7K2P --attempt 2 --json");
    check("hivekeeper logs M-7K2P --raw");
    check(
        "hivekeeper mission add --title T --brief - --agent A --repo D --gate command:_x --gate file:_y --priority urgent --depends-on M-1 --depends-on M-2 --policy strict --json",
    );
    check("hivekeeper mission show M-7K2P --json");
    for word in ["accept", "reject", "cancel", "retry"] {
        check(&format!("hivekeeper mission {word} M-7K2P"));
    }
    check("hivekeeper mission list --state done,failed");
    check("hivekeeper mission assign M-7K2P --any");
    check("hivekeeper logs M-7K2P -f --stderr");
    check("hivekeeper halt --json");
    check("hivekeeper resume --json");
    check("hivekeeper devlog list --mission M-7K2P --json");
    check("hivekeeper report mission M-7K2P --format html -o x.html");
    check("hivekeeper report day 2026-01-02 --format json -o x.json");
    check("hivekeeper verify --json");
    let wait = ["hivekeeper", "mission", "wait", "M-7K2P"];
    let rest = ["--for", "done,in_review,failed", "--timeout", "60s"];
    assert!(Cli::try_parse_from(wait.iter().chain(&rest)).is_ok());
    let query = ["hivekeeper", "signal", "query", r#"agent_cpu_percent{agent="a1"}"#];
    let rest = ["--last", "10m", "--points", "200", "--json"];
    assert!(Cli::try_parse_from(query.iter().chain(&rest)).is_ok());
}

#[test]
fn everything_a_mission_can_be_told_is_understood() {
    check(
        "hivekeeper mission add --title T --brief b --label a --label b --skill rust --deadline 2026-05-01 --estimate 30 --criterion c --criterion d --unattended --link node_modules --external-id X-1 --retries 2 --backoff 10 --hand-over --draft --if-similar ask",
    );
    check("hivekeeper mission add --template fix --set what=it --set where=a=b --proof human");
    check("hivekeeper mission check --title T --brief @b.md --policy own");
    check("hivekeeper mission edit M-1 --hand-over=false --unattended=true --clear agent,deadline");
    check("hivekeeper mission accept M-1 --merge squash --reviewed abc1234 --note ok");
    check("hivekeeper mission send-back M-1 --note @f");
    check("hivekeeper mission pause M-1 --keep-processes");
    check("hivekeeper mission retry M-1 --fresh --note n");
    check("hivekeeper mission progress M-1 --text t --percent 50 --met 1 2 --unmet 3,4");
    check("hivekeeper mission delete M-1 --yes");
    check("hivekeeper mission diff M-1 src --attempt 2 --context 0");
    check("hivekeeper mission import - --format csv --repo D --policy P --label a --queue --apply");
    check("hivekeeper mission list --label ui --repo . --policy strict");
    check("hivekeeper ci post --mission M-1 --name n --status failed --commit abc1234 --output @f");
}

#[test]
fn the_rest_of_the_house_is_understood() {
    for line in [
        "plan",
        "radar",
        "worktree list",
        "worktree clean --apply",
        "trash list --cursor C",
        "trash restore X",
        "trash purge X --yes",
        "checkpoint list M-1",
        "checkpoint make M-1 --note n",
        "checkpoint restore X",
        "scan . --max-lines 10 --block 3 --json",
        "policy save own @p.json",
        "policy remove own",
        "template show fix",
        "settings set running_max=8 policy=strict",
        "topic open --title T --option a --option b",
        "topic vote X --agent ann --option a --because it_is",
        "topic close X",
        "halt --note n",
        "recover reconcile",
        "diagnostics -o d.json",
    ] {
        check(&format!("hivekeeper {line}"));
    }
}

#[test]
fn what_makes_no_sense_is_refused_as_usage() {
    for line in [
        "agent add A",
        "agent add A --command x --limit-memory much",
        "agent edit A --sandbox --no-sandbox",
        "message broadcast hello",
        "message broadcast hello --all --to A",
        "inbox answer ID",
        "rule add x --agent A --mission M-1",
        "mission add --title T",
        "mission add --brief b --set a=b --title T",
        "mission add --title T --brief b --deadline tomorrow",
        "mission edit M-1 --clear title",
        "mission progress M-1 --text t --percent 101",
        "mission progress M-1 --text t --met 0",
        "mission send-back M-1",
        "scan",
        "scan . --block 2",
        "settings set running_max",
        "topic open --title T",
        "ci post --mission M-1 --name n --status maybe --commit abc1234",
    ] {
        let error = read(&format!("hivekeeper {line}")).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_help_of_every_command_shows_an_example_that_is_understood() {
    fn leaves(command: &clap::Command, found: &mut Vec<clap::Command>) {
        let inner: Vec<_> = command.get_subcommands().filter(|it| !it.is_hide_set()).collect();
        match inner.is_empty() {
            true => found.push(command.clone()),
            false => inner.into_iter().for_each(|command| leaves(command, found)),
        }
    }
    let mut found = Vec::new();
    leaves(&Cli::command(), &mut found);
    assert!(found.len() > 70, "{}", found.len());
    for command in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let line = help.lines().next().unwrap_or_default();
        let Some(line) = line.strip_prefix("Example: ") else {
            panic!("{}: {help}", command.get_name());
        };
        let words = shell_words::split(line).unwrap();
        let words = words.iter().take_while(|word| !["|", ">"].contains(&word.as_str()));
        let read = Cli::try_parse_from(words).map(|_| ());
        // An example says ID where one is copied from a list.
        assert!(read.is_ok(), "{line}: {read:?}");
    }
}

#[test]
fn a_day_ends_a_second_before_the_next_one() {
    let day = fields::deadline("2026-05-01").unwrap();
    let next = fields::deadline("2026-05-02").unwrap();
    assert!(next > day);
    let moment = fields::deadline("2026-05-01T17:00:00+02:00").unwrap();
    assert_eq!(moment.to_string(), "2026-05-01T15:00:00Z");
    assert!(fields::deadline("2026-02-30").is_err());
    assert!(fields::deadline("17:00").is_err());
}

#[test]
fn a_size_is_read_with_its_unit() {
    let check =
        |text: &str, bytes: Option<u64>| assert_eq!(agent::size(text).ok(), bytes, "{text}");
    check("1048576", Some(1 << 20));
    check("512M", Some(512 << 20));
    check("2 GiB", Some(2 << 30));
    check("2gb", Some(2 << 30));
    check("0", None);
    check("", None);
    check("G", None);
    check("1.5G", None);
    check("99999999999T", None);
}

proptest! {
    #[test]
    fn no_text_for_a_size_breaks_anything(text in ".{0,40}") {
        let _ = agent::size(&text);
    }

    #[test]
    fn no_text_for_a_deadline_or_a_pair_breaks_anything(text in ".{0,40}") {
        let _ = fields::deadline(&text);
        if let Ok((name, value)) = pair(&text) {
            prop_assert!(!name.is_empty());
            prop_assert!(text.ends_with(&value));
        }
    }
}
