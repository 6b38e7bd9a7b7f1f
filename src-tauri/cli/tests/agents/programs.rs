//! The real agents: where they are, how each is set up for a test, and how its model asks for tools.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

/// Variables of an agent's environment.
pub(crate) type Variables = Vec<(&'static str, String)>;

/// A real agent.
pub(crate) struct Program {
    /// The preset it is added by.
    pub(crate) preset: &'static str,
    /// The file that is started, below `node_modules`.
    file: &'static str,
    /// What it needs to work without a network: its own home, and the model's address.
    settings: fn(&Path, &str) -> Variables,
    /// What its model is told so that it runs a command for which permission is asked.
    pub(crate) run: fn(&str) -> String,
    /// What is known of four requests after it ended, by what it says itself.
    pub(crate) used: Used,
}

/// What is known of four requests, each of 1000 tokens in, 200 of them from a cache, and 50 out.
pub(crate) struct Used {
    /// How much of the truth the source tells.
    pub(crate) source: &'static str,
    pub(crate) uncached_input: Option<u64>,
    pub(crate) cache_read: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cost_micros: Option<u64>,
}

/// goose.
pub(crate) static GOOSE: Program = Program {
    preset: "goose",
    file: "@aaif/goose-binary-linux-x64/bin/goose",
    settings: goose,
    run: |command| format!("[[fake:shell {command}]]"),
    // All of it, but not how much came from the cache.
    used: Used {
        source: "result",
        uncached_input: Some(4000),
        cache_read: None,
        output: Some(200),
        cost_micros: None,
    },
};

/// Codex behind the adapter by Zed.
pub(crate) static CODEX: Program = Program {
    preset: "codex-acp-zed",
    file: "@zed-industries/codex-acp-linux-x64/bin/codex-acp",
    settings: codex,
    // It asks when its model wants to leave its sandbox.
    run: |command| {
        let justification = "it writes into its worktree";
        let arguments = json!({
            "cmd": command,
            "sandbox_permissions": "require_escalated",
            "justification": justification,
        });
        format!("[[fake:tool exec_command {arguments}]]")
    },
    // All of it, in the file it writes of its session.
    used: Used {
        source: "session_file",
        uncached_input: Some(3200),
        cache_read: Some(800),
        output: Some(200),
        cost_micros: None,
    },
};

/// OpenCode.
pub(crate) static OPENCODE: Program = Program {
    preset: "opencode-acp",
    file: "opencode-linux-x64/bin/opencode",
    settings: opencode,
    run: |command| format!("[[fake:shell {command}]]"),
    // The tokens of the last request only, and the cost of all.
    used: Used {
        source: "partial",
        uncached_input: Some(800),
        cache_read: Some(200),
        output: Some(50),
        cost_micros: Some(3680),
    },
};

impl Program {
    /// A search path with this agent in front.
    pub(crate) fn path(&self) -> OsString {
        let home = std::env::var_os("AGENTS_HOME").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.agents"),
            PathBuf::from,
        );
        let file = home.join("node_modules").join(self.file);
        assert!(
            file.is_file(),
            "{} is not there: 'make test-agents' installs what these tests start",
            file.display()
        );
        let mut path = file.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        path
    }

    /// Sets up a home and says what goes into the agent's environment.
    pub(crate) fn settle(&self, home: &Path, model: &str) -> Variables {
        fs::create_dir_all(home).unwrap();
        let below = |name: &str| home.join(name).to_str().unwrap().to_owned();
        let mut variables = vec![
            ("HOME", home.to_str().unwrap().to_owned()),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_DATA_HOME", below("data")),
            ("XDG_CACHE_HOME", below("cache")),
            ("XDG_STATE_HOME", below("state")),
        ];
        variables.extend((self.settings)(home, model));
        variables
    }
}

fn goose(_: &Path, model: &str) -> Variables {
    vec![
        ("GOOSE_PROVIDER", "openai".to_owned()),
        ("OPENAI_HOST", model.to_owned()),
        ("OPENAI_API_KEY", "fake".to_owned()),
        ("GOOSE_MODEL", "fake-model".to_owned()),
        ("GOOSE_DISABLE_KEYRING", "1".to_owned()),
        ("GOOSE_TELEMETRY_OFF", "1".to_owned()),
    ]
}

fn codex(home: &Path, model: &str) -> Variables {
    let own = home.join("codex");
    fs::create_dir_all(&own).unwrap();
    let config = format!(
        r#"model = "fake-model"
model_provider = "fake"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
check_for_update_on_startup = false

[model_providers.fake]
name = "Fake"
base_url = "{model}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
supports_websockets = false
request_max_retries = 2
stream_max_retries = 2

[analytics]
enabled = false

[features]
plugins = false
"#
    );
    fs::write(own.join("config.toml"), config).unwrap();
    let own = own.to_str().unwrap().to_owned();
    vec![("CODEX_HOME", own), ("FAKE_KEY", "fake".to_owned())]
}

fn opencode(home: &Path, model: &str) -> Variables {
    let own = home.join("config/opencode");
    fs::create_dir_all(&own).unwrap();
    let config = json!({
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": false,
        "share": "disabled",
        "enabled_providers": ["fake"],
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
        "provider": {"fake": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Fake",
            "options": {"baseURL": format!("{model}/v1"), "apiKey": "fake"},
            "models": {"fake-model": {
                "name": "Fake",
                "tool_call": true,
                "limit": {"context": 200_000, "output": 8192},
                "cost": {"input": 1, "output": 2, "cache_read": 0.1},
            }},
        }},
    });
    fs::write(own.join("opencode.json"), config.to_string()).unwrap();
    let off = [
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_MODELS_FETCH",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
    ];
    off.map(|name| (name, "1".to_owned())).into()
}
