//! What an agent is told when it begins: who it is, its rules, its mission, how to report, what the
//! attempt before left, and the messages that waited for it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::gate::GateSpec;
use model::message::Source;
use model::mission::{Handoff, Mission};

/// The most that is told at once where nothing else limits it, in bytes.
pub const PACK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The most of a handoff that is told, in bytes.
const HANDOFF_BYTES_MAX: usize = 64 * 1024;
/// The largest `info/exclude` that is changed, in bytes.
const EXCLUDE_BYTES_MAX: u64 = 1024 * 1024;
/// Stands where something did not fit.
const CUT: &str = "\n(cut here: the rest did not fit)\n";

/// How an agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting<'a> {
    /// By our own tools.
    Tools {
        /// How the agent names them; `{tool}` stands for a tool's own name.
        named: &'a str,
        /// The tools, in the order in which they are offered.
        tools: &'a [&'a str],
    },
    /// By files in a directory.
    Inbox(&'a Path),
    /// Not at all.
    None,
}

/// Everything a pack is made of.
#[derive(Debug, Clone, Copy)]
pub struct Pack<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// What it is for.
    pub role: &'a str,
    /// Rules it is told with every mission.
    pub rules: &'a str,
    /// The mission.
    pub mission: &'a Mission,
    /// What the mission asks for.
    pub brief: &'a str,
    /// What the attempt before left.
    pub handoff: Option<&'a Handoff>,
    /// How it reports.
    pub reporting: Reporting<'a>,
    /// Messages that waited for it, in the order in which they are to be read.
    pub messages: &'a [(Source, String)],
}

/// The text of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// What the agent is told.
    pub text: String,
    /// How many of the messages are in it, from the first; the others wait.
    pub messages: usize,
}

/// Makes a pack of at most `max` bytes, the brief aside, which is never cut: where it does not fit,
/// the handoff goes first, then messages wait, then rules are cut.
///
/// The order is: who it is, its rules, the mission, its criteria and gates, how to report, the
/// handoff, the messages.
#[must_use]
pub fn pack(pack: &Pack<'_>, max: usize) -> Packed {
    let mission = mission(pack);
    let reporting = reporting(&pack.reporting, pack.mission);
    let mut room = max.saturating_sub(mission.len() + reporting.len());
    let who = fitting(&who(pack), &mut room);
    let rules = fitting(&section("Rules", pack.rules), &mut room);
    let mut told = 0;
    let mut messages = String::new();
    for (from, text) in pack.messages {
        let message = format!("{}:\n{}\n\n", source(from), text.trim_end());
        let heading = if told == 0 { "## Messages for you\n\n".len() } else { 0 };
        if message.len() + heading > room {
            break;
        }
        room -= message.len() + heading;
        messages.push_str(&message);
        told += 1;
    }
    if told > 0 {
        messages.insert_str(0, "## Messages for you\n\n");
    }
    let handoff = pack.handoff.map(handoff).unwrap_or_default();
    let handoff = fitting(&handoff, &mut room);
    let text = [who, rules, mission, reporting, handoff, messages].concat();
    Packed { text: format!("{}\n", text.trim_end()), messages: told }
}

/// As much of a part as there is room for, and what is left of the room.
fn fitting(part: &str, room: &mut usize) -> String {
    if part.len() <= *room {
        *room -= part.len();
        return part.to_owned();
    }
    let Some(most) = room.checked_sub(CUT.len() + 1).filter(|most| *most > 0) else {
        return String::new();
    };
    let text = format!("{}{CUT}\n", &part[..part.floor_char_boundary(most)]);
    *room = room.saturating_sub(text.len());
    text
}

fn section(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        String::new()
    } else {
        format!("## {title}\n\n{}\n\n", text.trim())
    }
}

fn who(pack: &Pack<'_>) -> String {
    let role = if pack.role.trim().is_empty() {
        String::new()
    } else {
        format!(" Your role: {}.", pack.role.trim().trim_end_matches('.'))
    };
    format!("You are the agent {}.{role}\n\n", pack.agent)
}

fn mission(pack: &Pack<'_>) -> String {
    let Mission { title, short_id, criteria, gates, .. } = pack.mission;
    let mut text = format!("## Mission {short_id}: {title}\n\n{}\n\n", pack.brief.trim_end());
    if !criteria.is_empty() {
        text.push_str("### It is accepted when\n\n");
        for (n, criterion) in criteria.iter().enumerate() {
            let met = if criterion.met { " (reported as met)" } else { "" };
            text.push_str(&format!("{}. {}{met}\n", n + 1, criterion.text));
        }
        text.push('\n');
    }
    let checks: Vec<String> = gates.iter().map(gate).collect();
    if !checks.is_empty() {
        text.push_str("### When you have ended, this is checked\n\n");
        for check in checks {
            text.push_str(&format!("- {check}\n"));
        }
        text.push('\n');
    }
    text
}

/// A gate, as its agent needs to know it.
fn gate(gate: &GateSpec) -> String {
    match gate {
        GateSpec::Command { command, proof, .. } => {
            let proof = proof.as_ref().map(|line| format!(" and prints a line like `{line}`"));
            format!("`{command}` ends with 0{}", proof.unwrap_or_default())
        }
        GateSpec::File { path } => format!("the file `{path}` is there and not empty"),
        GateSpec::DiffNotEmpty => "something has changed".to_owned(),
        GateSpec::DiffWithin { paths } => format!("nothing changed but {}", paths.join(", ")),
        GateSpec::MaxLines { lines } => format!("no changed file has more than {lines} lines"),
        GateSpec::NoDuplicates { lines } => {
            format!("no block of {lines} added lines is there twice")
        }
        GateSpec::NoSecrets => "nothing added looks like a secret".to_owned(),
        GateSpec::Ci { name } => format!("the build server reports '{name}' as passed"),
        GateSpec::Reviewer { .. } => "another agent reviews the work".to_owned(),
        GateSpec::Human { question } => format!("a person looks at it: {question}"),
    }
}

fn reporting(reporting: &Reporting<'_>, mission: &Mission) -> String {
    let text = match reporting {
        Reporting::Tools { named, tools } => {
            let names: Vec<String> =
                tools.iter().map(|tool| format!("`{}`", named.replace("{tool}", tool))).collect();
            format!(
                "Use the tools {}. If you do not see them, search your tools for them. Report your \
                 progress at each step, ask when you cannot decide, and say when you are done.",
                names.join(", ")
            )
        }
        Reporting::Inbox(path) => format!(
            "Write one JSON object a file into the directory {}. Write it under a name that ends in \
             .tmp and rename it to one that ends in .json. Kinds:\n\
             {{\"kind\":\"progress\",\"percent\":40,\"note\":\"…\"}} · {{\"kind\":\"devlog\",\"text\":\"…\"}} · \
             {{\"kind\":\"criterion\",\"n\":1,\"met\":true}} · {{\"kind\":\"question\",\"text\":\"…\",\"options\":[]}} · \
             {{\"kind\":\"message\",\"to\":\"agent\",\"text\":\"…\"}} · {{\"kind\":\"handoff\",\"text\":\"…\"}} · \
             {{\"kind\":\"done\",\"summary\":\"…\"}}",
            path.display()
        ),
        Reporting::None => return String::new(),
    };
    let criteria =
        if mission.criteria.is_empty() { "" } else { " Say of each criterion when it is met." };
    section("How to report", &format!("{text}{criteria}"))
}

fn handoff(handoff: &Handoff) -> String {
    let on = match handoff.commit {
        Some(_) => "Its work is in your directory.",
        None => "You start anew.",
    };
    let text = model::conversation::cut(&handoff.text, HANDOFF_BYTES_MAX);
    section(&format!("Handoff from attempt {}", handoff.from), &format!("{on}\n\n{text}"))
}

fn source(from: &Source) -> String {
    match from {
        Source::Captain => "From the captain".to_owned(),
        Source::Agent { name, .. } => format!("From the agent {name}"),
        Source::System => "From Hivekeeper".to_owned(),
    }
}

/// A file that is laid into a worktree for its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    /// Its name in the worktree's root.
    pub name: &'static str,
    /// What it says.
    pub text: String,
}

/// The files an agent that reads instructions from its worktree is given: `AGENTS.md` with the
/// rules, and files that lead to it for agents that read others. Those that `is_there` are the
/// project's own and stay as they are; where `AGENTS.md` is one of them, nothing is laid, because
/// every agent would read the project's.
#[must_use]
pub fn files(role: &str, rules: &str, is_there: impl Fn(&str) -> bool) -> Vec<PackFile> {
    let text = [section("Your role", role), section("Rules", rules)].concat();
    if text.is_empty() || is_there("AGENTS.md") {
        return Vec::new();
    }
    let lead = || "@AGENTS.md\n".to_owned();
    let all = [
        PackFile { name: "AGENTS.md", text: format!("{}\n", text.trim_end()) },
        PackFile { name: "CLAUDE.md", text: lead() },
        PackFile { name: "GEMINI.md", text: lead() },
    ];
    all.into_iter().filter(|file| !is_there(file.name)).collect()
}

/// Files that cannot be laid or taken away.
#[derive(Debug, thiserror::Error)]
#[error("{what} '{}': {source}", path.display())]
pub struct LayError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// Lays files into a worktree and names them in `exclude`, git's own list of what it leaves out, so
/// that they are not committed by surprise. `exclude` is shared by all worktrees of a repository:
/// `mark`, one line that is unique to the attempt, stands above what was added.
///
/// They are taken away with [`lift`] as soon as the program has ended, before anything looks at the
/// work: gates see the project as it would be without them.
///
/// # Errors
/// What cannot be written. A file that appeared meanwhile is left as it is.
pub fn lay(
    worktree: &Path,
    exclude: &Path,
    mark: &str,
    files: &[PackFile],
) -> Result<(), LayError> {
    if files.is_empty() {
        return Ok(());
    }
    let lines: String = files.iter().map(|file| format!("/{}\n", file.name)).collect();
    // First the list: a file is never there without standing in it.
    change(exclude, |text| {
        let without = without(text, mark);
        let gap = if without.is_empty() || without.ends_with('\n') { "" } else { "\n" };
        format!("{without}{gap}# {mark}\n{lines}")
    })?;
    for file in files {
        let path = worktree.join(file.name);
        let new = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        match new.and_then(|mut new| new.write_all(file.text.as_bytes())) {
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => other.map_err(|source| LayError { what: "write", path, source })?,
        }
    }
    Ok(())
}

/// Takes away what [`lay`] laid. A file that the agent changed is its work, and stays.
///
/// # Errors
/// What cannot be removed.
pub fn lift(
    worktree: &Path,
    exclude: &Path,
    mark: &str,
    files: &[PackFile],
) -> Result<(), LayError> {
    for file in files {
        let path = worktree.join(file.name);
        if is_unchanged(&path, &file.text) {
            match std::fs::remove_file(&path) {
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(|source| LayError { what: "remove", path, source })?,
            }
        }
    }
    if exclude.exists() {
        change(exclude, |text| without(text, mark))?;
    }
    Ok(())
}

fn is_unchanged(path: &Path, text: &str) -> bool {
    let same = |about: std::fs::Metadata| about.is_file() && about.len() == text.len() as u64;
    path.symlink_metadata().is_ok_and(same)
        && std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

/// A list without the lines below the mark, up to the first that is none of ours.
fn without(text: &str, mark: &str) -> String {
    let heading = format!("# {mark}");
    let ours = ["/AGENTS.md", "/CLAUDE.md", "/GEMINI.md"];
    let mut kept = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end();
        inside = plain == heading || (inside && ours.contains(&plain));
        if !inside {
            kept.push_str(line);
        }
    }
    kept
}

/// Changes a small file under a lock, so that attempts that end together do not lose each other's lines.
fn change(path: &Path, new: impl FnOnce(&str) -> String) -> Result<(), LayError> {
    let failed = |source| LayError { what: "change", path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    let mut bytes = Vec::new();
    (&mut file).take(EXCLUDE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > EXCLUDE_BYTES_MAX {
        return Err(failed(std::io::Error::other("it is larger than such a list can be")));
    }
    let old = String::from_utf8(bytes)
        .map_err(|_| failed(std::io::Error::other("it is not written in UTF-8")))?;
    let text = new(&old);
    if text == old {
        return Ok(());
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.set_len(text.len() as u64).map_err(failed)
}

#[cfg(test)]
mod tests {
    use model::id::{AgentId, MissionId, SystemDraw};
    use model::mission::Criterion;
    use proptest::prelude::*;

    use super::*;

    fn a_mission() -> Mission {
        let now = model::Timestamp::UNIX_EPOCH;
        let mut mission =
            Mission::draft(MissionId::draw(now, &mut SystemDraw), "Add a greeting", now);
        mission.criteria = vec![Criterion { text: "it greets".to_owned(), met: false }];
        mission.gates = vec![GateSpec::File { path: "HELLO.md".to_owned() }];
        mission
    }

    fn a_handoff() -> Handoff {
        let now = model::Timestamp::UNIX_EPOCH;
        Handoff {
            from: 1,
            agent_id: AgentId::draw(now, &mut SystemDraw),
            commit: None,
            text: "It got stuck.".to_owned(),
            at: now,
        }
    }

    #[test]
    fn a_pack_tells_everything_in_its_order() {
        let (mission, handoff) = (a_mission(), a_handoff());
        let messages = [(Source::Captain, "Be quick.".to_owned())];
        let all = Pack {
            agent: "Ada",
            role: "writes code",
            rules: "No new dependencies.",
            mission: &mission,
            brief: "Write HELLO.md.",
            handoff: Some(&handoff),
            reporting: Reporting::Tools {
                named: "mcp__hivekeeper__{tool}",
                tools: &["report_progress", "mission_done"],
            },
            messages: &messages,
        };
        let packed = pack(&all, PACK_BYTES_MAX);
        assert_eq!(packed.messages, 1);
        let order = [
            "You are the agent Ada. Your role: writes code.",
            "No new dependencies.",
            "Add a greeting",
            "Write HELLO.md.",
            "1. it greets",
            "`HELLO.md` is there",
            "`mcp__hivekeeper__report_progress`, `mcp__hivekeeper__mission_done`",
            "Handoff from attempt 1",
            "It got stuck.",
            "From the captain:\nBe quick.",
        ];
        let places: Vec<_> = order.iter().map(|part| packed.text.find(part)).collect();
        assert!(places.iter().all(Option::is_some), "{places:?}\n{}", packed.text);
        assert!(places.is_sorted(), "{places:?}");
        let inbox = Pack { reporting: Reporting::Inbox(Path::new("/data/inbox")), ..all };
        assert!(pack(&inbox, PACK_BYTES_MAX).text.contains("/data/inbox"));
        let none = Pack { reporting: Reporting::None, ..all };
        assert!(!pack(&none, PACK_BYTES_MAX).text.contains("How to report"));
    }

    proptest! {
        #[test]
        fn a_pack_is_never_longer_than_it_may_be_and_never_without_its_brief(
            rules in ".{0,300}", texts in prop::collection::vec(".{0,200}", 0..6), max in 0usize..1500,
        ) {
            let (mission, handoff) = (a_mission(), a_handoff());
            let messages: Vec<_> = texts.into_iter().map(|text| (Source::System, text)).collect();
            let all = Pack {
                agent: "Ada", role: "", rules: &rules, mission: &mission, brief: "The brief.",
                handoff: Some(&handoff), reporting: Reporting::None, messages: &messages,
            };
            let packed = pack(&all, max);
            let least = super::mission(&all).len() + 1;
            prop_assert!(packed.text.len() <= max.max(least) + 1, "{} {max}", packed.text.len());
            prop_assert!(packed.text.contains("The brief."));
            prop_assert!(packed.messages <= messages.len());
        }
    }

    #[test]
    fn files_are_laid_where_none_are_and_taken_away_again_unless_they_were_changed() {
        let place = tempfile::tempdir().unwrap();
        let exclude = place.path().join("info/exclude");
        std::fs::create_dir(place.path().join("info")).unwrap();
        std::fs::write(&exclude, "*.o").unwrap();
        let there = |name: &str| place.path().join(name).exists();
        std::fs::write(place.path().join("GEMINI.md"), "the project's").unwrap();
        let laid = files("", "No new dependencies.", there);
        assert_eq!(
            laid.iter().map(|file| file.name).collect::<Vec<_>>(),
            ["AGENTS.md", "CLAUDE.md"]
        );
        for mark in ["hivekeeper M-1/1", "hivekeeper M-2/1"] {
            lay(place.path(), &exclude, mark, &laid).unwrap();
        }
        let list = || std::fs::read_to_string(&exclude).unwrap();
        assert_eq!(list().matches("/AGENTS.md").count(), 2);
        std::fs::write(place.path().join("CLAUDE.md"), "the agent's").unwrap();
        lift(place.path(), &exclude, "hivekeeper M-1/1", &laid).unwrap();
        assert_eq!(list(), "*.o\n# hivekeeper M-2/1\n/AGENTS.md\n/CLAUDE.md\n");
        assert!(!there("AGENTS.md") && there("CLAUDE.md") && there("GEMINI.md"));
        lift(place.path(), &exclude, "hivekeeper M-2/1", &laid).unwrap();
        assert_eq!(list(), "*.o\n");
        assert_eq!(files("a", "b", |name| name == "AGENTS.md"), []);
        assert_eq!(files(" ", "", |_| false), []);
    }
}
