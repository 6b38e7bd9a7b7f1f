//! Reads a shell's command line as far as permissions need it: which programs it starts, with which
//! words, and which files it writes by itself.
//!
//! Invariant: what is not understood for sure is *opaque*, and an opaque line is never allowed by a
//! pattern. Commands inside of quotes, substitutions and other shells are found as well.

use std::collections::VecDeque;

use model::conversation::CUT_MARKER;

use super::within;

/// The longest line that is read, in bytes; a longer one is opaque.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// How deep lines may lie in lines.
const DEPTH_MAX: u8 = 8;
/// The most commands of one line.
pub(super) const COMMANDS_MAX: usize = 500;
/// Shells that run the line behind their `-c`.
pub(super) const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ash", "ksh"];
/// Programs that start the program behind them.
pub(super) const STARTERS: &[&str] = &[
    "sudo", "doas", "env", "nice", "nohup", "timeout", "time", "xargs", "command", "exec",
    "stdbuf", "setsid", "ionice", "eval", "builtin", "chroot", "su", "watch", "busybox",
    "parallel", "unshare", "flock", "script", "strace",
];
/// Words that begin a part of a compound command; the command stands behind them.
const KEYWORDS: &[&str] =
    &["if", "then", "else", "elif", "do", "while", "until", "time", "!", "{", "coproc"];
/// Words that end a part of a compound command, or begin one of another shape.
const CLOSERS: &[&str] =
    &["fi", "done", "esac", "}", "for", "case", "select", "function", "[[", "((", "in"];

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text, without quotes.
    pub(super) text: String,
    /// Whether the shell makes something else of it first.
    pub(super) expands: bool,
    /// Whether something stands in it that only the shell knows: a variable, or what a command prints.
    pub(super) replaced: bool,
}

/// A program with its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// The program and its arguments.
    pub(super) words: Vec<Word>,
    /// Whether variables are set for it.
    pub(super) sets: bool,
    /// Files it is made to write.
    pub(super) writes: Vec<Word>,
    /// Files it is made to read.
    pub(super) reads: Vec<Word>,
    /// Whether it reads what the command before it prints.
    pub(super) piped: bool,
    /// What it is given to read in the line itself.
    pub(super) fed: Option<String>,
    /// The document it is given, until that is read.
    pub(super) awaits: Option<usize>,
}

impl Command {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.sets && self.writes.is_empty() && self.reads.is_empty()
    }
}

/// A line that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Every command that was found.
    pub(super) commands: Vec<Command>,
    /// Commands that a found one gives to another shell, or may: enough to forbid, not to allow.
    pub(super) within: Vec<Command>,
    /// Whether something in it was not understood, so that there may be others.
    pub(super) opaque: bool,
}

/// A word as a shell would have to be given it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Reads a line, and the lines that other shells are given in it.
pub(super) fn read(line: &str) -> Line {
    // Of a line that was cut nobody knows the end.
    let mut all = Line { opaque: line.ends_with(CUT_MARKER), ..Line::default() };
    read_into(line, 0, &mut all);
    all
}

pub(super) fn read_into(line: &str, depth: u8, all: &mut Line) {
    if line.len() > LINE_BYTES_MAX || depth > DEPTH_MAX {
        all.opaque = true;
        return;
    }
    let chars = line.chars().collect();
    let mut reader = Reader { chars, at: 0, depth, all: Line::default(), heres: 0 };
    reader.commands(None);
    let found = reader.all;
    all.opaque |= found.opaque;
    all.within.extend(found.within);
    for command in found.commands {
        if all.commands.len() >= COMMANDS_MAX {
            all.opaque = true;
            return;
        }
        match inner_line(&command) {
            Some(inner) => read_into(&inner, depth + 1, all),
            None => {
                within::read(&command, depth, all);
                all.commands.push(command);
            }
        }
    }
}

/// The line that another shell is given, where that is all the command does.
fn inner_line(command: &Command) -> Option<String> {
    let [program, option, line] = command.words.as_slice() else { return None };
    let name = ["/bin/", "/usr/bin/"]
        .iter()
        .find_map(|place| program.text.strip_prefix(place))
        .unwrap_or(&program.text);
    let alone = !command.sets
        && command.writes.is_empty()
        && command.reads.is_empty()
        && command.fed.is_none();
    let plain = !program.expands && !line.expands && matches!(option.text.as_str(), "-c" | "-lc");
    (alone && plain && !command.piped && SHELLS.contains(&name)).then(|| line.text.clone())
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: u8,
    all: Line,
    /// How many documents were announced.
    heres: usize,
}

/// A document that stands behind the line.
struct Here {
    n: usize,
    end: String,
    quoted: bool,
    tabs: bool,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn eat(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(ahead, ch)| self.peek(ahead) == Some(ch));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    /// Reads commands up to the end, or to the closing character of a substitution.
    fn commands(&mut self, close: Option<char>) {
        let mut command = Command::default();
        let mut heres = VecDeque::new();
        let mut open = 0_u32;
        loop {
            let Some(ch) = self.peek(0) else {
                self.all.opaque |= close.is_some() || open > 0 || !heres.is_empty();
                break;
            };
            if Some(ch) == close && open == 0 {
                self.at += 1;
                // Shells do not agree where a document stands whose line ends like this.
                self.all.opaque |= !heres.is_empty();
                break;
            }
            match ch {
                ' ' | '\t' => self.at += 1,
                '\\' if self.peek(1) == Some('\n') => self.at += 2,
                '\n' => {
                    self.at += 1;
                    self.end(&mut command, false);
                    self.here_documents(&mut heres);
                }
                '&' if matches!(self.peek(1), Some('>')) => self.redirect(&mut command, &mut heres),
                ';' | '&' => {
                    self.at += 1;
                    self.end(&mut command, false);
                }
                '|' => {
                    let or = self.eat("||");
                    if !or {
                        self.at += 1;
                        // `|&` pipes the complaints as well.
                        self.eat("&");
                    }
                    self.end(&mut command, !or);
                }
                '(' => {
                    self.at += 1;
                    open += 1;
                    // Behind a word it is no group but a function or a pattern.
                    self.all.opaque |= !command.is_empty();
                    self.end(&mut command, false);
                }
                ')' => {
                    self.at += 1;
                    self.all.opaque |= open == 0;
                    open = open.saturating_sub(1);
                    self.end(&mut command, false);
                }
                '<' | '>' => self.redirect(&mut command, &mut heres),
                _ => self.add_word(&mut command, &mut heres),
            }
        }
        self.end(&mut command, false);
    }

    fn end(&mut self, command: &mut Command, pipes: bool) {
        let done = std::mem::take(command);
        command.piped = pipes;
        if done.is_empty() {
            return;
        }
        if self.all.commands.len() >= COMMANDS_MAX {
            self.all.opaque = true;
        } else {
            self.all.commands.push(done);
        }
    }

    fn add_word(&mut self, command: &mut Command, heres: &mut VecDeque<Here>) {
        if self.peek(0) == Some('#') {
            self.comment();
            return;
        }
        let start = self.at;
        let word = self.word();
        let raw: String = self.chars[start..self.at].iter().collect();
        let descriptor = !raw.is_empty() && raw.chars().all(|ch| ch.is_ascii_digit());
        if descriptor && matches!(self.peek(0), Some('<' | '>')) {
            self.redirect(command, heres);
            return;
        }
        if command.words.is_empty() {
            if is_assignment(&raw) {
                command.sets = true;
                return;
            }
            if KEYWORDS.contains(&raw.as_str()) {
                self.all.opaque = true;
                return;
            }
            self.all.opaque |= CLOSERS.contains(&raw.as_str());
        }
        command.words.push(word);
    }

    /// Skips a comment. One that holds more than plain words is opaque, and what it would start where
    /// it is no comment, as for some shells at a terminal, is found as well.
    fn comment(&mut self) {
        let text: String = self.chars[self.at..].iter().take_while(|ch| **ch != '\n').collect();
        self.at += text.chars().count();
        let plain = |ch: char| ch.is_alphanumeric() || " \t#.,:-_/+=@%".contains(ch);
        if !text.chars().all(plain) {
            self.all.opaque = true;
            read_into(text.trim_start_matches('#'), self.depth + 1, &mut self.all);
        }
    }

    /// Reads one word. What is substituted in it is read as commands of its own.
    fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(ch) = self.peek(0) {
            match ch {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | ')' => break,
                '(' => {
                    self.all.opaque = true;
                    break;
                }
                '\'' => {
                    self.at += 1;
                    self.until_quote(&mut word.text);
                }
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut word, Some('"'));
                }
                '\\' => {
                    self.at += 1;
                    match self.peek(0) {
                        Some('\n') => {}
                        Some(next) => word.text.push(next),
                        None => self.all.opaque = true,
                    }
                    self.at += 1;
                }
                '$' | '`' => self.substitution(&mut word),
                _ => {
                    word.expands |= matches!(ch, '*' | '?' | '[' | '{' | '}')
                        || (ch == '~' && word.text.is_empty())
                        || (ch == '=' && self.peek(1) == Some('('));
                    word.text.push(ch);
                    self.at += 1;
                }
            }
        }
        self.at = self.at.min(self.chars.len());
        word
    }

    fn until_quote(&mut self, text: &mut String) {
        while let Some(ch) = self.peek(0) {
            self.at += 1;
            if ch == '\'' {
                return;
            }
            text.push(ch);
        }
        self.all.opaque = true;
    }

    /// Reads up to the closing quote, or to the end where there is none to come.
    fn double_quoted(&mut self, word: &mut Word, close: Option<char>) {
        while let Some(ch) = self.peek(0) {
            if Some(ch) == close {
                self.at += 1;
                return;
            }
            match ch {
                '\\' => {
                    self.at += 1;
                    match self.peek(0) {
                        Some('\n') => self.at += 1,
                        Some(next) => {
                            if !matches!(next, '"' | '\\' | '$' | '`') {
                                word.text.push('\\');
                            }
                            word.text.push(next);
                            self.at += 1;
                        }
                        None => self.all.opaque = true,
                    }
                }
                '$' | '`' => self.substitution(word),
                _ => {
                    word.text.push(ch);
                    self.at += 1;
                }
            }
        }
        self.all.opaque |= close.is_some();
    }

    /// Reads what begins with `$` or a backtick.
    fn substitution(&mut self, word: &mut Word) {
        let first = self.peek(0);
        self.at += 1;
        if first == Some('`') {
            word.expands = true;
            word.replaced = true;
            self.backticks();
            return;
        }
        match self.peek(0) {
            Some('(') => {
                word.expands = true;
                word.replaced = true;
                self.at += 1;
                // Arithmetic has commands as well, but not of this shape.
                self.all.opaque |= self.peek(0) == Some('(');
                self.inside(')');
            }
            Some('{') => {
                word.expands = true;
                word.replaced = true;
                self.at += 1;
                let mut simple = true;
                while let Some(ch) = self.peek(0) {
                    self.at += 1;
                    if ch == '}' {
                        self.all.opaque |= !simple;
                        return;
                    }
                    simple &= ch.is_ascii_alphanumeric() || ch == '_';
                }
                self.all.opaque = true;
            }
            Some('\'' | '"' | '[') => {
                word.expands = true;
                word.replaced = true;
                self.all.opaque = true;
            }
            Some(ch) if ch.is_ascii_alphanumeric() || "_?!#$*@-".contains(ch) => {
                word.expands = true;
                word.replaced = true;
                word.text.push('$');
            }
            _ => word.text.push('$'),
        }
    }

    fn backticks(&mut self) {
        let mut inner = String::new();
        while let Some(ch) = self.peek(0) {
            self.at += 1;
            match ch {
                '`' => {
                    read_into(&inner, self.depth + 1, &mut self.all);
                    return;
                }
                '\\' => {
                    if let Some(next) = self.peek(0) {
                        if !matches!(next, '`' | '\\' | '$') {
                            inner.push('\\');
                        }
                        inner.push(next);
                        self.at += 1;
                    }
                }
                _ => inner.push(ch),
            }
        }
        self.all.opaque = true;
    }

    /// Reads the commands of a substitution.
    fn inside(&mut self, close: char) {
        if self.depth >= DEPTH_MAX {
            self.all.opaque = true;
            self.at = self.chars.len();
            return;
        }
        self.depth += 1;
        self.commands(Some(close));
        self.depth -= 1;
    }

    fn redirect(&mut self, command: &mut Command, heres: &mut VecDeque<Here>) {
        if self.eat("<(") || self.eat(">(") {
            self.all.opaque = true;
            self.inside(')');
            return;
        }
        if self.eat("<<<") {
            self.blanks();
            let given = self.word();
            self.all.opaque |= given.replaced;
            command.fed = Some(given.text);
            return;
        }
        if self.eat("<<") {
            let tabs = self.eat("-");
            self.blanks();
            let start = self.at;
            let Word { text: end, expands, .. } = self.word();
            let quoted =
                self.chars[start..self.at].iter().any(|ch| matches!(ch, '\'' | '"' | '\\'));
            // What a shell would replace elsewhere is the end as it stands here.
            self.all.opaque |= end.is_empty() || expands;
            self.heres += 1;
            // Of several documents the last one counts; the others belong to nobody.
            command.awaits = Some(self.heres);
            heres.push_back(Here { n: self.heres, end, quoted, tabs });
            return;
        }
        let reads = self.peek(0) == Some('<') && self.peek(1) != Some('>');
        let operators = ["&>>", "&>", ">>", ">|", "<>", ">&", "<&", ">", "<"];
        let duplicates = matches!((self.peek(0), self.peek(1)), (Some('<' | '>'), Some('&')));
        if !operators.iter().any(|operator| self.eat(operator)) {
            self.all.opaque = true;
            self.at += 1;
            return;
        }
        self.blanks();
        let target = self.word();
        let descriptor = target.text.chars().all(|ch| ch.is_ascii_digit() || ch == '-');
        if target.text.is_empty() {
            self.all.opaque = true;
        } else if duplicates && descriptor && !target.expands {
            // Another name for a stream that is open already.
        } else if target.text == "/dev/null" && !target.expands {
            // Nothing is there to be written or read.
        } else if reads {
            command.reads.push(target);
        } else {
            command.writes.push(target);
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Skips the documents that stand behind a line; what is substituted in them is read.
    fn here_documents(&mut self, heres: &mut VecDeque<Here>) {
        while let Some(here) = heres.pop_front() {
            let mut body = String::new();
            let mut ended = false;
            while self.at < self.chars.len() {
                let line: String =
                    self.chars[self.at..].iter().take_while(|ch| **ch != '\n').collect();
                self.at += line.chars().count() + 1;
                let compared = if here.tabs { line.trim_start_matches('\t') } else { &line };
                // Such a line goes on in the next one, which then ends nothing.
                self.all.opaque |= !here.quoted && line.ends_with('\\');
                if compared == here.end {
                    ended = true;
                    break;
                }
                body.push_str(&line);
                body.push('\n');
            }
            self.at = self.at.min(self.chars.len());
            self.all.opaque |= !ended;
            let reader = self.all.commands.iter_mut().find(|it| it.awaits == Some(here.n));
            match reader {
                Some(command) => (command.fed, command.awaits) = (Some(body.clone()), None),
                None => self.all.opaque = true,
            }
            if !here.quoted && self.depth < DEPTH_MAX {
                let chars = body.chars().collect();
                let (all, depth) = (Line::default(), self.depth + 1);
                let mut inner = Self { chars, at: 0, depth, all, heres: 0 };
                inner.double_quoted(&mut Word::default(), None);
                self.all.opaque |= inner.all.opaque;
                self.all.commands.append(&mut inner.all.commands);
                self.all.within.append(&mut inner.all.within);
            }
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split('[').next().unwrap_or_default();
    !name.is_empty()
        && !name.starts_with(|ch: char| ch.is_ascii_digit())
        && name.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
