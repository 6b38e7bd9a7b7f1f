//! The repository checks itself: the rules that no compiler knows, each proved able to fail.
//!
//! Only the standard library is used, so that `scripts/tidy.sh` runs it in seconds without building
//! the product.

#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/rules.rs"]
mod rules;

use files::{
    File, extension, is_source, is_ui_test, lines_where, lines_with, product, rust, ui_sources,
};

/// Returns what is wrong, one line each.
type Check = fn(&[File]) -> Vec<String>;

const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The longest file of each kind, in lines.
const LINES_MAX: &[(&str, usize)] = &[("rs", 600), ("svelte", 400), ("ts", 600)];

/// How far up in the house each crate lives; dependencies point downwards only.
const LEVELS: &[(&str, u8)] = &[
    ("model", 0),
    ("store", 1),
    ("agents", 2),
    ("alerts", 2),
    ("insight", 2),
    ("journal", 2),
    ("monitor", 2),
    ("orchestrator", 2),
    ("engine", 3),
    ("gateway", 4),
    ("app", 5),
    ("cli", 5),
];

/// The small binary beside every attempt: it knows the model alone, and agents alone know it.
const SHIM: &str = "shim";

/// The only dependencies between neighbours.
const SIDEWAYS: &[(&str, &str)] = &[("orchestrator", "agents"), ("alerts", "insight")];

fn crate_edges(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        let Some(from) = crate_of_manifest(&file.path) else {
            continue;
        };
        let Some(own) = level(from).or((from == SHIM).then_some(1)) else {
            wrong.push(format!("{}: crate '{from}' is not in the drawing", file.path));
            continue;
        };
        for to in dependencies(&file.text) {
            let allowed = match level(&to) {
                _ if to == SHIM => from == "agents",
                Some(_) if from == SHIM => to == "model",
                Some(below) => below < own || SIDEWAYS.contains(&(from, to.as_str())),
                None => true,
            };
            if !allowed {
                wrong.push(format!("{}: {from} must not depend on {to}", file.path));
            }
        }
    }
    wrong
}

fn crate_of_manifest(path: &str) -> Option<&str> {
    if path == "Cargo.toml" {
        return Some("app");
    }
    path.strip_prefix("src-tauri/")?.strip_suffix("/Cargo.toml")
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(n, _)| *n == name).map(|(_, level)| *level)
}

/// The names in every dependency table of a manifest, the workspace's own list excepted.
fn dependencies(manifest: &str) -> Vec<String> {
    table_keys(manifest, |table| {
        table.ends_with("dependencies") && !table.starts_with("workspace.")
    })
}

/// The keys of those tables of a TOML file whose name is wanted; `[a.b]` counts as key `b` of `a`.
fn table_keys(toml: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut keys = Vec::new();
    let mut inside = false;
    for line in toml.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = wanted(table);
            if let Some((outer, key)) = table.rsplit_once('.')
                && wanted(outer)
            {
                keys.push(key.to_owned());
            }
        } else if inside && !line.starts_with('#') {
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !key.is_empty() {
                keys.push(key.trim_matches('"').to_owned());
            }
        }
    }
    keys
}

fn sql_lives_in_store(files: &[File]) -> Vec<String> {
    let words =
        ["sqlx::", "\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM ", "\"PRAGMA "];
    product(files)
        .filter(|(file, _)| !file.path.starts_with("src-tauri/store/"))
        .flat_map(|(file, code)| lines_with(file, &code, &words))
        .collect()
}

fn processes_start_in_agents_and_shim(files: &[File]) -> Vec<String> {
    product(files)
        .filter(|(file, _)| {
            !file.path.starts_with("src-tauri/agents/") && !file.path.starts_with("src-tauri/shim/")
        })
        .flat_map(|(file, code)| lines_with(file, &code, &["Command::new"]))
        .collect()
}

fn unsafe_stands_in_one_module(files: &[File]) -> Vec<String> {
    product(files)
        .filter(|(file, _)| file.path != "src-tauri/engine/src/heap.rs")
        .flat_map(|(file, code)| {
            lines_with(file, &code, &["unsafe {", "unsafe fn", "unsafe impl", "unsafe_code"])
        })
        .collect()
}

fn the_wall_clock_is_read_in_one_place(files: &[File]) -> Vec<String> {
    let words = ["SystemTime::now", "Timestamp::now", "Utc::now", "Local::now", "Zoned::now"];
    product(files)
        .filter(|(file, _)| file.path != "src-tauri/model/src/clock.rs")
        .flat_map(|(file, code)| lines_with(file, &code, &words))
        .collect()
}

fn tasks_are_owned_and_queues_bounded(files: &[File]) -> Vec<String> {
    let words = ["tokio::spawn", "task::spawn(", "unbounded_channel", "mpsc::channel()"];
    product(files).flat_map(|(file, code)| lines_with(file, &code, &words)).collect()
}

fn only_the_app_knows_tauri(files: &[File]) -> Vec<String> {
    let code = product(files)
        .filter(|(file, _)| {
            !file.path.starts_with("src-tauri/app/") && file.path != "src-tauri/build.rs"
        })
        .flat_map(|(file, code)| lines_with(file, &code, &["tauri::", "tauri_"]));
    let manifests = files
        .iter()
        .filter(|file| crate_of_manifest(&file.path).is_some_and(|name| name != "app"))
        .flat_map(|file| {
            dependencies(&file.text)
                .into_iter()
                .filter(|name| name.starts_with("tauri"))
                .map(|name| format!("{}: {name}", file.path))
        });
    code.chain(manifests).collect()
}

fn only_the_window_backend_imports_tauri(files: &[File]) -> Vec<String> {
    ui_sources(files)
        .filter(|file| file.path != "ui/src/backend/window.ts")
        .flat_map(|file| lines_with(file, &file.text, &["@tauri-apps"]))
        .collect()
}

/// Which tiers of the UI each tier may import; types may come from anywhere below.
const TIERS: &[(&str, &[&str])] = &[
    ("kit", &[]),
    ("backend", &[]),
    ("state", &["backend"]),
    ("parts", &["state", "kit"]),
    ("views", &["parts", "state", "kit"]),
];

fn ui_tiers_point_downwards(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in ui_sources(files).filter(|file| !is_ui_test(&file.path)) {
        let Some((from, allowed)) = tier(&file.path) else {
            continue;
        };
        for (line, specifier) in imports(&file.text) {
            let Some((to, _)) = tier(&resolve(&file.path, specifier)) else {
                continue;
            };
            let types = line.trim_start().starts_with("import type") && to == "backend";
            let types_allowed = types && matches!(from, "parts" | "views");
            if to != from && !allowed.contains(&to) && !types_allowed {
                wrong.push(format!("{}: {from} must not import {to}: {line}", file.path));
            }
        }
    }
    wrong
}

fn tier(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let name = path.strip_prefix("ui/src/")?.split('/').next()?;
    TIERS.iter().find(|(tier, _)| *tier == name).copied()
}

/// Every import of a source: the statement's last line and the module it names.
fn imports(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut in_type_import = false;
    text.lines().filter_map(move |line| {
        let trimmed = line.trim();
        if trimmed.starts_with("import type") {
            in_type_import = true;
        }
        let at = ["from ", "import ", "import("]
            .iter()
            .find_map(|word| line.rfind(word).map(|at| at + word.len()))?;
        let rest = line[at..].trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let specifier = rest[1..].split(quote).next()?;
        let statement = if in_type_import && trimmed.starts_with('}') {
            "import type (over several lines)"
        } else {
            line
        };
        in_type_import = false;
        Some((statement, specifier))
    })
}

/// The path from the repository's root that a module specifier means.
fn resolve(path: &str, specifier: &str) -> String {
    for alias in ["$", "@/", "~/", "src/"] {
        if let Some(rest) = specifier.strip_prefix(alias) {
            return format!("ui/src/{rest}");
        }
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    if specifier.starts_with('.') { parts.join("/") } else { specifier.to_owned() }
}

fn colours_are_tokens(files: &[File]) -> Vec<String> {
    ui_sources(files)
        .filter(|file| file.path != "ui/src/kit/tokens.css" && !is_ui_test(&file.path))
        .flat_map(|file| {
            let quoted_only = file.path.ends_with(".ts");
            lines_where(file, &file.text, |line| has_colour(line, quoted_only))
        })
        .collect()
}

fn has_colour(line: &str, quoted_only: bool) -> bool {
    let functions = ["rgb(", "rgba(", "hsl(", "hsla(", "oklch(", "oklab("];
    if functions.iter().any(|f| line.contains(f)) {
        return true;
    }
    line.match_indices('#').any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        let rest = &line[at + 1..];
        let digits = rest.chars().take_while(char::is_ascii_hexdigit).count();
        let after = rest[digits..].chars().next().unwrap_or(' ');
        let opens = matches!(before, '"' | '\'' | '`')
            || (!quoted_only && matches!(before, ' ' | ':' | ',' | '('));
        opens && matches!(digits, 3 | 4 | 6 | 8) && !after.is_alphanumeric() && after != '-'
    })
}

fn every_rust_file_says_what_it_is_for(files: &[File]) -> Vec<String> {
    rust(files)
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| format!("{}: does not open with `//! `", file.path))
        .collect()
}

fn every_crate_states_its_invariant(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter_map(|file| crate_of_manifest(&file.path))
        .filter(|name| !roots(name, files).any(|file| file.text.contains("//! Invariant:")))
        .map(|name| format!("{name}: its root file has no line `//! Invariant:`"))
        .collect()
}

fn roots<'a>(name: &str, files: &'a [File]) -> impl Iterator<Item = &'a File> {
    let paths = if name == "app" {
        ["src-tauri/app/lib.rs".to_owned(), "src-tauri/app/main.rs".to_owned()]
    } else {
        ["lib", "main"].map(|root| format!("src-tauri/{name}/src/{root}.rs"))
    };
    files.iter().filter(move |file| paths.contains(&file.path))
}

fn no_file_is_too_long(files: &[File]) -> Vec<String> {
    let max = |file: &File| LINES_MAX.iter().find(|(kind, _)| *kind == extension(&file.path));
    files
        .iter()
        .filter(|file| file.path != "ui/src/backend/schema.ts")
        .filter_map(|file| Some((&file.path, file.text.lines().count(), max(file)?.1)))
        .filter(|(_, lines, max)| lines > max)
        .map(|(path, lines, max)| format!("{path}: {lines} lines, at most {max}"))
        .collect()
}

fn errors_are_types(files: &[File]) -> Vec<String> {
    product(files)
        .flat_map(|(file, code)| lines_where(file, &code, has_text_for_an_error))
        .collect()
}

/// Whether a line names a `Result<…, String>`.
fn has_text_for_an_error(line: &str) -> bool {
    line.match_indices("Result<").any(|(at, word)| {
        let rest = &line[at + word.len()..];
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += match c {
                '<' => 1,
                '>' => -1,
                _ => 0,
            };
            depth == 0
        });
        end.is_some_and(|end| rest[..end].ends_with(", String"))
    })
}

fn nothing_is_switched_off_or_left_open(files: &[File]) -> Vec<String> {
    let everywhere = ["TODO", "FIXME", "XXX:"];
    let in_rust = ["#[allow(", "#![allow(", "#[ignore", "todo!(", "unimplemented!("];
    let in_ui = ["@ts-ignore", "@ts-nocheck", ".skip(", ".only(", ".fixme("];
    files
        .iter()
        .filter(|file| is_source(&file.path))
        .flat_map(|file| {
            let own: &[&str] = match extension(&file.path) {
                "rs" => &in_rust,
                "ts" | "svelte" => &in_ui,
                _ => &[],
            };
            let words: Vec<&str> = everywhere.iter().chain(own).copied().collect();
            lines_with(file, &file.text, &words)
        })
        .collect()
}

fn nothing_names_a_machine(files: &[File]) -> Vec<String> {
    let hosts =
        ["registry.npmjs.org", "static.crates.io", "index.crates.io", "pypi.org", "deb.debian.org"];
    let folders = machine_folders();
    files
        .iter()
        .flat_map(|file| {
            lines_where(file, &file.text, |line| {
                hosts.iter().any(|host| line.contains(host))
                    || folders.iter().any(|folder| line.contains(folder.as_str()))
            })
        })
        .collect()
}

/// Where this clone and the home directory are on the machine that runs the check.
fn machine_folders() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    [env!("CARGO_MANIFEST_DIR"), home.as_str()]
        .into_iter()
        .filter(|folder| folder.len() > 3)
        .map(|folder| format!("{}/", folder.trim_end_matches('/')))
        .collect()
}

fn no_file_is_too_big(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.bytes > FILE_BYTES_MAX)
        .map(|file| format!("{}: {} bytes, at most {FILE_BYTES_MAX}", file.path, file.bytes))
        .collect()
}

fn every_dependency_has_its_reason(files: &[File]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|f| f.path == path).map_or("", |f| &f.text);
    let house = text("ARCHITECTURE.md");
    let crates = table_keys(text("Cargo.toml"), |table| table == "workspace.dependencies");
    let ours = |name: &String| level(name).is_some() || name == SHIM;
    crates
        .into_iter()
        .filter(|name| !ours(name))
        .chain(npm_packages(text("ui/package.json")))
        .filter(|name| !house.contains(&format!("`{name}`")))
        .map(|name| format!("ARCHITECTURE.md does not say why `{name}` is used"))
        .collect()
}

/// The names in `dependencies` and `devDependencies` of a package.json, as npm formats it.
fn npm_packages(package: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in package.lines().map(str::trim) {
        if line.ends_with('{') {
            inside = line.contains("ependencies\"");
        } else if line.starts_with('}') {
            inside = false;
        } else if inside && let Some(name) = line.split('"').nth(1) {
            names.push(name.to_owned());
        }
    }
    names
}
