//! The line a person writes for a gate: `kind: what`, with options in brackets after the kind.

use crate::gate::{GATE_TIMEOUT_S_DEFAULT, GateSpec};

/// The longest time a command gate may be given, in seconds.
pub const GATE_TIMEOUT_S_MAX: u32 = 24 * 60 * 60;
/// How many equal lines make a duplicated block unless the gate says otherwise.
pub const DUPLICATE_LINES_DEFAULT: u32 = 10;
/// How many lines a file may have unless the gate says otherwise.
pub const FILE_LINES_DEFAULT: u32 = 600;

/// A line that describes no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateLineError {
    /// There is no `kind:` at the front.
    #[error("the gate '{0}' does not begin with its kind")]
    NoKind(String),
    /// The kind is not one of ours.
    #[error("'{0}' is not a kind of gate")]
    UnknownKind(String),
    /// Nothing follows the kind.
    #[error("the '{0}' gate names nothing to check")]
    Empty(String),
    /// The file is outside of the attempt's directory.
    #[error("the file '{0}' is not inside the attempt's directory")]
    Outside(String),
    /// The file is a directory by its path.
    #[error("'{0}' is a directory, not a file")]
    Directory(String),
    /// What stands in brackets after the kind cannot be read.
    #[error("the option '{0}' is not one of the '{1}' gate")]
    Option(String, &'static str),
    /// A number is missing or out of range.
    #[error("'{0}' is not a number the '{1}' gate can use")]
    Number(String, &'static str),
    /// The proof has no place for the number.
    #[error("the proof '{0}' does not say with {{n}} where the number of checks stands")]
    Proof(String),
}

impl GateLineError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoKind(_) => "write 'command: cargo test' or 'file: out.txt'".to_owned(),
            Self::UnknownKind(_) => format!("use one of: {}", GateSpec::KINDS.join(", ")),
            Self::Empty(kind) => format!("such as '{}'", example(kind)),
            Self::Outside(_) => {
                "write its path from the directory the agent works in, such as 'file: out.txt'"
                    .to_owned()
            }
            Self::Directory(_) => "name a file in it, such as 'file: out/report.md'".to_owned(),
            Self::Option(_, kind) | Self::Number(_, kind) => format!("such as '{}'", example(kind)),
            Self::Proof(_) => "such as command(proof=\"{n} passed\"): cargo test".to_owned(),
        }
    }
}

fn example(kind: &str) -> &'static str {
    match kind {
        "command" => "command(timeout=600, proof=\"{n} passed\"): cargo test",
        "file" => "file: out.txt",
        "paths" => "paths: src/** tests/**",
        "max-lines" => "max-lines: 600",
        "no-duplicates" => "no-duplicates: 10",
        "ci" => "ci: build",
        "reviewer" => "reviewer: any",
        "human" => "human: does the text read well?",
        "no-secrets" => "no-secrets: diff",
        _ => "diff: not empty",
    }
}

impl GateSpec {
    /// Reads a line such as `command: cargo test`, `command(proof="{n} passed"): cargo test`,
    /// `file: out.txt`, `diff: not empty`, `paths: src/** tests/**`, `max-lines: 600`,
    /// `no-duplicates: 10`, `no-secrets: diff`, `ci: build`, `reviewer: any` or `human: a question`.
    ///
    /// # Errors
    /// When the line has no known kind, names nothing, or leads out of the attempt's directory.
    pub fn parse(line: &str) -> Result<Self, GateLineError> {
        let (head, rest) = split(line).ok_or_else(|| GateLineError::NoKind(line.to_owned()))?;
        let rest = rest.trim();
        let (kind, options) = match head.split_once('(') {
            Some((kind, options)) => (kind.trim(), Some(options)),
            None => (head.trim(), None),
        };
        let known = Self::KINDS.into_iter().find(|known| *known == kind);
        let kind = known.ok_or_else(|| GateLineError::UnknownKind(kind.to_owned()))?;
        if let (Some(options), true) = (options, kind != "command") {
            return Err(GateLineError::Option(options.to_owned(), kind));
        }
        if rest.is_empty() {
            return Err(GateLineError::Empty(kind.to_owned()));
        }
        let gate = match kind {
            "command" => command(rest, options.unwrap_or_default())?,
            "file" => Self::File { path: rest.to_owned() },
            "diff" => Self::DiffNotEmpty,
            "paths" => {
                Self::DiffWithin { paths: rest.split_whitespace().map(ToOwned::to_owned).collect() }
            }
            "max-lines" => Self::MaxLines { lines: number(rest, "max-lines")? },
            "no-duplicates" => Self::NoDuplicates { lines: number(rest, "no-duplicates")? },
            "no-secrets" => Self::NoSecrets,
            "ci" => Self::Ci { name: rest.to_owned() },
            "reviewer" if rest == "any" => Self::Reviewer { agent: None },
            "reviewer" => Self::Reviewer { agent: Some(rest.to_owned()) },
            _ => Self::Human { question: rest.to_owned() },
        };
        gate.checked()
    }

    /// Refuses a gate that could not decide anything.
    ///
    /// # Errors
    /// When it names nothing, a number out of range, or a file outside of the attempt's directory.
    pub fn checked(self) -> Result<Self, GateLineError> {
        let empty = |text: &str| text.trim().is_empty();
        match &self {
            Self::Command { command, .. } if empty(command) => {
                Err(GateLineError::Empty("command".to_owned()))
            }
            Self::Command { timeout_s, .. } if !(1..=GATE_TIMEOUT_S_MAX).contains(timeout_s) => {
                Err(GateLineError::Number(timeout_s.to_string(), "command"))
            }
            Self::Command { proof: Some(proof), .. } if !proves_a_number(proof) => {
                Err(GateLineError::Proof(proof.clone()))
            }
            Self::File { path } if empty(path) => Err(GateLineError::Empty("file".to_owned())),
            Self::File { path } if leads_outside(path) => Err(GateLineError::Outside(path.clone())),
            Self::File { path } if is_directory(path) => {
                Err(GateLineError::Directory(path.clone()))
            }
            Self::DiffWithin { paths } => match paths.iter().find(|path| leads_outside(path)) {
                Some(path) => Err(GateLineError::Outside(path.clone())),
                None if paths.is_empty() => Err(GateLineError::Empty("paths".to_owned())),
                None => Ok(self),
            },
            Self::MaxLines { lines } if *lines == 0 => {
                Err(GateLineError::Number("0".to_owned(), "max-lines"))
            }
            Self::NoDuplicates { lines } if *lines < 3 => {
                Err(GateLineError::Number(lines.to_string(), "no-duplicates"))
            }
            Self::Ci { name } if empty(name) => Err(GateLineError::Empty("ci".to_owned())),
            Self::Human { question } if empty(question) => {
                Err(GateLineError::Empty("human".to_owned()))
            }
            _ => Ok(self),
        }
    }

    /// The line a person would write for it.
    #[must_use]
    pub fn label(&self) -> String {
        let kind = self.kind();
        match self {
            Self::Command { command, timeout_s, proof } => {
                let mut options = Vec::new();
                if *timeout_s != GATE_TIMEOUT_S_DEFAULT {
                    options.push(format!("timeout={timeout_s}"));
                }
                options.extend(proof.as_ref().map(|proof| format!("proof={}", quoted(proof))));
                match options.is_empty() {
                    true => format!("command: {command}"),
                    false => format!("command({}): {command}", options.join(", ")),
                }
            }
            Self::File { path } => format!("{kind}: {path}"),
            Self::DiffNotEmpty => format!("{kind}: not empty"),
            Self::DiffWithin { paths } => format!("{kind}: {}", paths.join(" ")),
            Self::MaxLines { lines } | Self::NoDuplicates { lines } => format!("{kind}: {lines}"),
            Self::NoSecrets => format!("{kind}: diff"),
            Self::Ci { name } => format!("{kind}: {name}"),
            Self::Reviewer { agent } => format!("{kind}: {}", agent.as_deref().unwrap_or("any")),
            Self::Human { question } => format!("{kind}: {question}"),
        }
    }
}

/// What stands before the colon, without the closing bracket of its options, and what follows.
fn split(line: &str) -> Option<(&str, &str)> {
    let colon = line.find(':')?;
    match line.find('(').filter(|open| *open < colon) {
        None => Some((&line[..colon], &line[colon + 1..])),
        Some(open) => {
            let close = open + closing(&line[open..])?;
            let rest = line[close + 1..].trim_start().strip_prefix(':')?;
            Some((&line[..close], rest))
        }
    }
}

/// Where the bracket closes, quoted ones not counted.
fn closing(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, ch) in text.char_indices() {
        match ch {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ')' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn command(line: &str, options: &str) -> Result<GateSpec, GateLineError> {
    let (mut timeout_s, mut proof) = (GATE_TIMEOUT_S_DEFAULT, None);
    let mut left = options.trim();
    while !left.is_empty() {
        let refused = || GateLineError::Option(options.to_owned(), "command");
        let (name, value) = left.split_once('=').ok_or_else(refused)?;
        let value = value.trim_start();
        let (value, rest) = match value.strip_prefix('"') {
            Some(value) => unquote(value).ok_or_else(refused)?,
            None => {
                let (value, rest) = value.split_once(',').map_or((value, ""), |pair| pair);
                (value.trim().to_owned(), rest)
            }
        };
        match name.trim() {
            "timeout" => timeout_s = number(&value, "command")?,
            "proof" => proof = Some(value),
            _ => return Err(refused()),
        }
        left = rest.trim_start().trim_start_matches(',').trim_start();
    }
    Ok(GateSpec::Command { command: line.to_owned(), timeout_s, proof })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Reads up to the closing quote; gives the text and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, ch) in text.char_indices() {
        match ch {
            _ if escaped => {
                value.push(ch);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &text[at + 1..])),
            _ => value.push(ch),
        }
    }
    None
}

fn number(text: &str, kind: &'static str) -> Result<u32, GateLineError> {
    text.trim().parse().map_err(|_| GateLineError::Number(text.to_owned(), kind))
}

fn proves_a_number(proof: &str) -> bool {
    proof.matches("{n}").count() == 1 && proof.trim().len() > "{n}".len() && !proof.contains('\n')
}

fn leads_outside(path: &str) -> bool {
    use std::path::{Component, Path};
    Path::new(path)
        .components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether a path can only be a directory, whatever is there.
fn is_directory(path: &str) -> bool {
    path.ends_with('/') || path == "." || path.ends_with("/.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gate_is_read_from_the_line_a_person_writes() {
        let check = |line: &str, label: Result<&str, ()>| {
            let read = GateSpec::parse(line).map(|gate| gate.label()).map_err(|_| ());
            assert_eq!(
                read.as_deref(),
                label.as_ref().map(|text| *text).map_err(|()| &()),
                "{line}"
            );
        };
        check("command: cargo test", Ok("command: cargo test"));
        check("command:sh -c 'a: b'", Ok("command: sh -c 'a: b'"));
        check("command: f() { :; }; f", Ok("command: f() { :; }; f"));
        check("command(timeout=5): make", Ok("command(timeout=5): make"));
        check(
            r#"command( proof="{n} (of \"all\") passed" , timeout=5): make"#,
            Ok(r#"command(timeout=5, proof="{n} (of \"all\") passed"): make"#),
        );
        check(r#"command(proof="passed"): make"#, Err(()));
        check("command(timeout=0): make", Err(()));
        check("command(nice=1): make", Err(()));
        check("command(timeout=5: make", Err(()));
        check("file: out/a.txt", Ok("file: out/a.txt"));
        check("file: ../secret", Err(()));
        check("file: /etc/passwd", Err(()));
        check("file: .", Err(()));
        check("file: out/", Err(()));
        check("file: ./out/.", Err(()));
        check("file: ./.out", Ok("file: ./.out"));
        check("diff: not empty", Ok("diff: not empty"));
        check("paths: src/**  tests/*.rs", Ok("paths: src/** tests/*.rs"));
        check("paths: ../x", Err(()));
        check("max-lines: 600", Ok("max-lines: 600"));
        check("max-lines: 0", Err(()));
        check("max-lines: many", Err(()));
        check("no-duplicates: 10", Ok("no-duplicates: 10"));
        check("no-duplicates: 2", Err(()));
        check("no-secrets: diff", Ok("no-secrets: diff"));
        check("ci: build", Ok("ci: build"));
        check("reviewer: any", Ok("reviewer: any"));
        check("reviewer: Ann", Ok("reviewer: Ann"));
        check("human: does it read well?", Ok("human: does it read well?"));
        check("command:   ", Err(()));
        check("cargo test", Err(()));
        check("url: x", Err(()));
    }

    proptest! {
        #[test]
        fn no_line_panics_and_every_accepted_one_reads_back(line: String) {
            if let Ok(gate) = GateSpec::parse(&line) {
                prop_assert_eq!(GateSpec::parse(&gate.label()).unwrap(), gate);
            }
        }

        #[test]
        fn every_proof_and_timeout_reads_back(before in "[^\n]{1,20}", timeout_s in 1..5000u32) {
            prop_assume!(!before.contains("{n}") && !before.trim().is_empty());
            let gate = GateSpec::Command {
                command: "make".to_owned(),
                timeout_s,
                proof: Some(format!("{before}{{n}}")),
            };
            prop_assert_eq!(GateSpec::parse(&gate.label()).unwrap(), gate);
        }
    }
}
