//! Presets are data: those that come with the program, what a start adds, and a captain's file.

use agents::runtime::OwnTools;
use agents::runtime::presets::{Kind, Presets, Start};
use agents::runtime::sheet::SheetError;
use model::inbox::PermissionPolicy;
use proptest::prelude::*;

#[test]
fn the_presets_that_come_with_the_program_are_whole() {
    let presets = Presets::built_in();
    let names: Vec<&str> = presets.iter().map(|preset| preset.name.as_str()).collect();
    for name in [
        "claude",
        "claude-acp",
        "codex",
        "codex-acp",
        "codex-acp-zed",
        "gemini",
        "gemini-acp",
        "opencode",
        "opencode-acp",
        "goose",
        "goose-run",
        "qwen",
        "qwen-acp",
        "copilot",
        "copilot-acp",
        "kimi",
        "kimi-acp",
        "vibe",
        "aider",
        "custom",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    for preset in presets.iter() {
        assert!(!preset.title.is_empty() && !preset.note.is_empty(), "{}", preset.name);
        assert_eq!(preset.runtime().is_none(), preset.name == "custom");
        assert!(
            preset.name == "custom" || (!preset.install.is_empty() && !preset.health.is_empty())
        );
        assert!(!preset.ways.limit_signs.is_empty() && !preset.ways.login_signs.is_empty());
    }
    assert_eq!(presets.find("goose").unwrap().kind, Kind::Acp);
}

#[test]
fn a_start_adds_the_policys_mode_our_tools_and_a_place_of_its_own() {
    let presets = Presets::built_in();
    let tools = OwnTools { url: "http://127.0.0.1:1/mcp".to_owned(), token: "T0KEN".to_owned() };
    let start = Start {
        policy: PermissionPolicy::Unattended,
        tools: Some(&tools),
        run: "/run".as_ref(),
        data: Some("/data/agent".as_ref()),
        apart: false,
    };
    let claude = presets.find("claude").unwrap().additions(&start);
    assert!(claude.args.contains(&"--dangerously-skip-permissions".to_owned()));
    assert!(claude.args.contains(&"/run/mcp.json".to_owned()));
    let (_, text) = claude.file.clone().unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["mcpServers"]["hivekeeper"]["headers"]["Authorization"], "Bearer T0KEN");
    assert!(!format!("{claude:?}").contains("T0KEN"));
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let endpoint = variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:1/v1/metrics");
    let headers = variable("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer T0KEN");
    let exports: Vec<_> = claude.export.env.clone().into_iter().collect();
    assert!(exports.contains(&endpoint) && exports.contains(&headers));
    for preset in presets.iter() {
        // The token is never where `ps` shows it.
        let added = preset.additions(&start);
        let args = added.args.iter().chain(&added.export.args);
        assert!(args.into_iter().all(|arg| !arg.contains("T0KEN")), "{}", preset.name);
        let exports = format!("{:?}", added.export);
        assert!(!exports.contains("{mcp") && !exports.contains("{otlp_url"), "{}", preset.name);
        let all = format!("{:?}{:?}{:?}", added.args, added.env, added.file);
        assert!(!all.contains("{mcp") && !all.contains("{otlp"), "{}", preset.name);
        if preset.kind == Kind::Acp {
            assert!(!all.contains("T0KEN"), "{}", preset.name);
        }
    }
    let opencode = presets.find("opencode").unwrap();
    let names = |apart| {
        let added = opencode.additions(&Start { apart, ..start });
        added.env.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert!(names(false).contains(&"OPENCODE_DB".to_owned()));
    assert!(!names(false).contains(&"XDG_DATA_HOME".to_owned()));
    assert!(names(true).contains(&"XDG_DATA_HOME".to_owned()));
    let read_only = presets.find("codex").unwrap();
    let added = read_only.additions(&Start { policy: PermissionPolicy::ReadOnly, ..start });
    assert!(added.args.windows(2).any(|two| two == ["--sandbox", "read-only"]));
}

#[test]
fn an_agent_that_may_only_read_is_started_so_or_is_known_to_be_kept_from_nothing() {
    use PermissionPolicy::{AllowList, Ask, AutoInWorktree, ReadOnly, Unattended};
    let presets = Presets::built_in();
    let args = |name: &str, policy| {
        let preset = presets.find(name).unwrap();
        let run = std::path::Path::new("/run");
        let start = Start { policy, tools: None, run, data: None, apart: false };
        preset.additions(&start).args.join(" ")
    };
    for name in ["claude", "codex", "gemini", "qwen", "copilot", "opencode"] {
        let preset = presets.find(name).unwrap();
        assert!(PermissionPolicy::ALL.into_iter().all(|policy| preset.keeps(policy)), "{name}");
        // Nobody looks up rules for a program that cannot ask.
        assert_eq!(args(name, ReadOnly), args(name, AllowList), "{name}");
    }
    for name in ["gemini", "qwen", "copilot"] {
        assert_ne!(args(name, ReadOnly), args(name, AutoInWorktree), "{name} may not edit");
    }
    for name in ["goose-run", "aider", "kimi"] {
        let preset = presets.find(name).unwrap();
        assert!(!preset.keeps(ReadOnly) && !preset.keeps(AllowList), "{name}");
        assert!(preset.keeps(AutoInWorktree) && preset.keeps(Unattended), "{name}");
    }
    // Who speaks the protocol is kept by a mode in which it asks.
    let custom = presets.find("custom").unwrap();
    assert!(!custom.keeps(ReadOnly) && !custom.keeps(AllowList), "nobody knows how it is made to");
    assert!(custom.keeps(AutoInWorktree) && custom.keeps(Ask) && custom.keeps(Unattended));
    for name in ["claude-acp", "codex-acp", "opencode-acp", "kimi-acp", "qwen-acp", "vibe"] {
        assert!(presets.find(name).unwrap().keeps(ReadOnly), "{name}");
    }
    assert!(
        presets.find("goose").unwrap().keeps(ReadOnly) && presets.find("goose").unwrap().keeps(Ask)
    );
}

#[test]
fn agents_that_tell_nothing_by_their_protocol_are_asked_to_export_it_with_the_token_in_a_variable()
{
    let presets = Presets::built_in();
    let tools = OwnTools { url: "http://127.0.0.1:1/mcp".to_owned(), token: "T0KEN".to_owned() };
    let exports = |name: &str| {
        let run = std::path::Path::new("/run");
        let policy = PermissionPolicy::Ask;
        let start = Start { policy, tools: Some(&tools), run, data: None, apart: false };
        presets.find(name).unwrap().additions(&start).export
    };
    let export = exports("codex");
    let metrics = export.args.iter().find(|arg| arg.contains("metrics_exporter")).unwrap();
    assert!(metrics.contains(r#"endpoint="http://127.0.0.1:1/v1/metrics""#), "{metrics}");
    assert_eq!(export.env["OTEL_EXPORTER_OTLP_HEADERS"], "Authorization=Bearer T0KEN");
    for (name, variable) in [
        ("gemini", "GEMINI_TELEMETRY_OTLP_ENDPOINT"),
        ("gemini-acp", "GEMINI_TELEMETRY_OTLP_ENDPOINT"),
        ("qwen", "QWEN_TELEMETRY_OTLP_ENDPOINT"),
        ("qwen-acp", "QWEN_TELEMETRY_OTLP_ENDPOINT"),
        ("claude-acp", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] {
        assert_eq!(exports(name).env[variable], "http://127.0.0.1:1", "{name}");
    }
    // One panics when it exports, and of the other nothing ever came.
    assert_eq!(exports("goose"), Default::default());
    assert_eq!(exports("codex-acp-zed"), Default::default());
}

#[test]
fn adding_a_runtime_needs_only_a_config_entry_and_a_missing_cli_is_reported_before_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("runtimes.toml");
    let built_in = Presets::built_in();
    assert_eq!(built_in.with(Some(&file)).unwrap(), built_in);
    let text = r#"
[[runtime]]
name = "mine"
kind = "acp"
program = "no-such-agent"
args = ["--acp"]
health = ["--version"]
install = "make mine"
[runtime.env]
A = "b"

[[runtime]]
name = "goose"
program = "/opt/goose"
"#;
    std::fs::write(&file, text).unwrap();
    let presets = built_in.with(Some(&file)).unwrap();
    let mine = presets.find("mine").unwrap();
    assert_eq!(mine.runtime().unwrap().env()["A"], "b");
    let said = agents::detect::missing_preset(mine, None).unwrap();
    assert!(said.contains("'no-such-agent' was not found") && said.contains("make mine"), "{said}");
    let listed = agents::detect::installed(&presets);
    assert!(
        listed.iter().any(|it| it.preset == "mine" && it.path.is_none() && it.problem.is_some())
    );
    let goose = presets.find("goose").unwrap();
    assert_eq!(goose.program.as_deref(), Some("/opt/goose"));
    assert_eq!(goose.ways, built_in.find("goose").unwrap().ways);
}

#[test]
fn a_broken_file_of_presets_is_told_with_its_line_and_field() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("runtimes.toml");
    let built_in = Presets::built_in();
    for (text, expect) in [
        (
            "\n[[runtime]]\nname = \"a\"\nkind = \"acp\"\nprogramm = \"a\"\n",
            vec!["line 5", "programm"],
        ),
        ("[[runtime]]\nname = \"a\"\nkind = \"telepathy\"\n", vec!["line 3", "telepathy"]),
        ("[[runtime]]\nname = \"a\"\nargs = 7\n", vec!["line 3"]),
        ("[[runtime]\n", vec!["line 1"]),
        ("\n\n[[runtime]]\nname = \"a\"\nprogram = \"a\"\n", vec!["line 3", "'a'", "'kind'"]),
        ("[[runtime]]\nname = \"a\"\nkind = \"acp\"\n", vec!["'program'"]),
        ("[[runtime]]\nname = \"a\"\nkind = \"headless\"\nprogram = \"a\"\n", vec!["'format'"]),
        ("[[runtime]]\nname = \"A b\"\nkind = \"acp\"\n", vec!["'name'"]),
        ("[[runtime]]\nname = \"goose\"\n[[runtime]]\nname = \"goose\"\n", vec!["line 3", "twice"]),
        (
            "[[runtime]]\nname = \"goose\"\n[runtime.ways]\nlimit_signs = [\"(\"]\n",
            vec!["regular expression"],
        ),
        (
            "[[runtime]]\nname = \"goose\"\nisolate = [{ env = \"A\", path = \"../x\" }]\n",
            vec!["'isolate'"],
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = built_in.with(Some(&file)).unwrap_err().to_string();
        for part in expect.iter().chain([&"runtimes.toml"]) {
            assert!(said.contains(part), "{text}: {said}");
        }
    }
    assert!(matches!(built_in.with(Some(place.path())), Err(SheetError::Read { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_file_of_presets_stops_the_reader(text: String) {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("runtimes.toml");
        std::fs::write(&file, text).unwrap();
        let _ = Presets::built_in().with(Some(&file));
    }
}
