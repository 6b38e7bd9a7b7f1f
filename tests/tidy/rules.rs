//! Every rule: the check, samples it must refuse, samples it must accept.

use super::files::{File, repository};

/// One rule: it holds in this repository, refuses each bad sample and accepts each good one.
macro_rules! rule {
    ($check:ident, refuses: [$($bad:expr),+ $(,)?], accepts: [$($good:expr),+ $(,)?]) => {
        mod $check {
            use super::{repository, sample};
            use crate::Check;

            const CHECK: Check = crate::$check;

            #[test]
            fn holds_in_this_repository() {
                let wrong = CHECK(&repository());
                assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
            }

            #[test]
            fn refuses_what_it_should_and_nothing_else() {
                $(assert!(!CHECK(&sample(&$bad)).is_empty(), "accepted: {:?}", $bad);)+
                $(assert_eq!(CHECK(&sample(&$good)), [""; 0], "refused: {:?}", $good);)+
            }
        }
    };
}

fn sample(files: &[(&str, &str)]) -> Vec<File> {
    let file = |&(path, text): &(&str, &str)| File {
        path: path.to_owned(),
        text: text.to_owned(),
        bytes: text.len() as u64,
    };
    files.iter().map(file).collect()
}

rule!(crate_edges,
    refuses: [
        [("src-tauri/store/Cargo.toml", "[dependencies]\nengine.workspace = true")],
        [("src-tauri/journal/Cargo.toml", "[dependencies]\nmonitor = { path = \"../monitor\" }")],
        [("src-tauri/shim/Cargo.toml", "[dependencies.store]\nworkspace = true")],
        [("src-tauri/model/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nstore.workspace = true")],
        [("src-tauri/common/Cargo.toml", "[dependencies]")],
        [("src-tauri/engine/Cargo.toml", "[dependencies]\nshim.workspace = true")],
    ],
    accepts: [
        [("src-tauri/orchestrator/Cargo.toml", "[dependencies]\nagents.workspace = true\nserde = \"1\"")],
        [("src-tauri/agents/Cargo.toml", "[dependencies]\nshim.workspace = true")],
        [("src-tauri/shim/Cargo.toml", "[dependencies]\nmodel.workspace = true\n[lints]\nstore = true")],
        [("Cargo.toml", "[dependencies]\nengine.workspace = true\n[workspace.dependencies]\nagents = \"1\"")],
    ]
);
rule!(sql_lives_in_store,
    refuses: [
        [("src-tauri/engine/src/a.rs", "use sqlx::Row;")],
        [("src-tauri/cli/src/a.rs", "let q = \"SELECT 1\";")],
        [("src-tauri/cli/src/a.rs", "#[cfg(test)]\nmod tests;\nlet q = \"SELECT 1\";")],
    ],
    accepts: [
        [("src-tauri/store/src/a.rs", "sqlx::query(\"SELECT 1\")")],
        [("src-tauri/cli/src/a.rs", "/// \"SELECT \n#[cfg(test)]\nmod tests {\n\"SELECT 1\"")],
    ]
);
rule!(processes_start_in_agents_and_shim,
    refuses: [[("src-tauri/engine/src/a.rs", "Command::new(\"sh\")")]],
    accepts: [
        [("src-tauri/agents/src/a.rs", "Command::new(\"sh\")")],
        [("tests/window.rs", "Command::new(\"sh\")")],
    ]
);
rule!(unsafe_stands_in_one_module,
    refuses: [
        [("src-tauri/engine/src/a.rs", "let it = unsafe { get() };")],
        [("src-tauri/store/src/a.rs", "#![expect(unsafe_code, reason = \"fast\")]")],
    ],
    accepts: [[("src-tauri/engine/src/heap.rs", "let _ = unsafe { trim() };")]]
);
rule!(the_wall_clock_is_read_in_one_place,
    refuses: [
        [("src-tauri/engine/src/a.rs", "let t = Timestamp::now();")],
        [("src-tauri/model/src/id.rs", "SystemTime::now()")],
    ],
    accepts: [
        [("src-tauri/model/src/clock.rs", "Timestamp::now()")],
        [("src-tauri/engine/src/a.rs", "let t = Instant::now();")],
    ]
);
rule!(tasks_are_owned_and_queues_bounded,
    refuses: [
        [("src-tauri/engine/src/a.rs", "tokio::spawn(async {});")],
        [("src-tauri/engine/src/a.rs", "let (a, b) = mpsc::unbounded_channel();")],
    ],
    accepts: [[("src-tauri/engine/src/a.rs", "tasks.spawn(async {}); mpsc::channel(16);")]]
);
rule!(only_the_app_knows_tauri,
    refuses: [
        [("src-tauri/gateway/src/a.rs", "use tauri::State;")],
        [("src-tauri/gateway/Cargo.toml", "[dependencies]\ntauri-plugin-dialog = \"2\"")],
    ],
    accepts: [[("src-tauri/app/lib.rs", "use tauri::State;"), ("src-tauri/build.rs", "tauri_build::x")]]
);
rule!(only_the_window_backend_imports_tauri,
    refuses: [[("ui/src/views/A.svelte", "import { invoke } from '@tauri-apps/api/core'")]],
    accepts: [[("ui/src/backend/window.ts", "import { invoke } from '@tauri-apps/api/core'")]]
);
rule!(ui_tiers_point_downwards,
    refuses: [
        [("ui/src/kit/Button.svelte", "import { x } from '../state/missions.svelte'")],
        [("ui/src/parts/agent/Row.svelte", "import View from \"../../views/deck/Deck.svelte\";")],
        [("ui/src/state/a.svelte.ts", "import { x } from '$kit/format'")],
        [("ui/src/views/a/A.svelte", "import { x } from '../../backend/backend'")],
        [("ui/src/kit/a.ts", "import type {\n  A,\n} from '../backend/schema'")],
        [("ui/src/kit/a.ts", "const x = await import('../views/a')")],
    ],
    accepts: [
        [("ui/src/views/a/A.svelte", "import Button from '../../kit/Button.svelte'\nimport './a.css'")],
        [("ui/src/parts/a/A.svelte", "import type {\n  A,\n} from '../../backend/schema'")],
        [("ui/src/kit/a.ts", "import uPlot from 'uplot'")],
        [("ui/src/main.ts", "import App from './views/App.svelte'")],
    ]
);
rule!(colours_are_tokens,
    refuses: [
        [("ui/src/views/A.svelte", "  color: #ffcc00;")],
        [("ui/src/kit/Button.svelte", "background:#fff")],
        [("ui/src/kit/a.ts", "ctx.fillStyle = '#fa0'")],
        [("ui/src/kit/a.css", "border: 1px solid rgb(1 2 3 / 50%)")],
    ],
    accepts: [
        [("ui/src/kit/tokens.css", "--bg: #fff;")],
        [("ui/src/views/A.svelte", "{#each rows as row}<a href=\"#/missions\">{/each} color: var(--text)")],
        [("ui/src/kit/a.ts", "this.#add(1); #fade = 3;")],
    ]
);
rule!(every_rust_file_says_what_it_is_for,
    refuses: [[("src-tauri/cli/src/a.rs", "fn main() {}")]],
    accepts: [[("src-tauri/cli/src/a.rs", "//! Says why.\nfn main() {}")]]
);
rule!(every_crate_states_its_invariant,
    refuses: [[("src-tauri/cli/Cargo.toml", ""), ("src-tauri/cli/src/main.rs", "//! Speaks.")]],
    accepts: [[("Cargo.toml", ""), ("src-tauri/app/lib.rs", "//! Shows.\n//!\n//! Invariant: no rule.")]]
);
rule!(no_file_is_too_long,
    refuses: [
        [("src-tauri/cli/src/a.rs", "\n".repeat(601).as_str())],
        [("ui/src/kit/A.svelte", "\n".repeat(401).as_str())],
    ],
    accepts: [
        [("src-tauri/cli/src/a.rs", "\n".repeat(600).as_str())],
        [("ui/src/backend/schema.ts", "\n".repeat(9000).as_str())],
    ]
);
rule!(errors_are_types,
    refuses: [
        [("src-tauri/cli/src/a.rs", "fn read() -> Result<Vec<u8>, String> {")],
        [("src-tauri/cli/src/a.rs", "type R = Option<Result<(), String>>;")],
    ],
    accepts: [[("src-tauri/cli/src/a.rs", "fn read() -> Result<Vec<String>, ReadError> {")]]
);
rule!(nothing_is_switched_off_or_left_open,
    refuses: [
        [("src-tauri/cli/src/a.rs", "#[allow(dead_code)]")],
        [("src-tauri/cli/src/a.rs", "#[ignore = \"slow\"]")],
        [("src-tauri/cli/src/a.rs", "// TODO later")],
        [("ui/src/a.test.ts", "test.skip('x')")],
    ],
    accepts: [[("src-tauri/cli/src/a.rs", "#[expect(dead_code, reason = \"read by serde\")]")]]
);
rule!(nothing_names_a_machine,
    refuses: [
        [("README.md", concat!("cd ", env!("CARGO_MANIFEST_DIR"), "/ui"))],
        [("ui/package-lock.json", "\"resolved\": \"https://registry.npmjs.org/x\"")],
    ],
    accepts: [[("README.md", "https://example.org/ui and src/ui and $HOME/x")]]
);
rule!(no_file_is_too_big,
    refuses: [[("docs/images/a.svg", "x".repeat(1_048_577).as_str())]],
    accepts: [[("docs/images/a.svg", "x".repeat(1_048_576).as_str())]]
);
rule!(every_dependency_has_its_reason,
    refuses: [
        [("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"")],
        [("ui/package.json", "{\n\"devDependencies\": {\n\"vite\": \"8\"\n}\n}"), ("ARCHITECTURE.md", "")],
    ],
    accepts: [[
        ("Cargo.toml", "[workspace.dependencies]\nmodel = { path = \"m\" }\nserde = \"1\""),
        ("ui/package.json", "{\n\"scripts\": {\n\"dev\": \"vite\"\n},\n\"dependencies\": {\n\"svelte\": \"5\"\n}\n}"),
        ("ARCHITECTURE.md", "- `serde`: words as data\n- `svelte`: the screen"),
    ]]
);
