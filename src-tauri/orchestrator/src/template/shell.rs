//! Where in a shell command a quoted word stays one word.
//!
//! Reads only as much of the grammar (POSIX.1-2024, Shell Command Language, 2.2 and 2.3) as it
//! takes to be sure, and gives up for the rest of the command where shells differ: a place that is
//! refused costs the author a rewording, one that is wrongly let through runs foreign code.

/// Words that run what follows them as code.
const EVALUATE: [&str; 9] =
    ["eval", "source", ".", "trap", "alias", "let", "exec", "declare", "typeset"];
/// Programs that run the word after them as a program.
const RUN_NEXT: [&str; 9] =
    ["env", "sudo", "doas", "xargs", "nohup", "command", "builtin", "time", "nice"];
/// Words after which another command begins.
const KEYWORDS: [&str; 10] =
    ["if", "then", "else", "elif", "while", "until", "do", "!", "{", "coproc"];
/// Programs that run an argument as code when an option such as `-c` or `-e` stands before it.
const INTERPRETERS: [&str; 12] =
    ["sh", "bash", "dash", "zsh", "ksh", "fish", "python", "perl", "ruby", "node", "su", "ssh"];

/// Long options after which code stands.
const CODE_OPTIONS: [&str; 5] = ["--command", "--eval", "--execute", "--init-command", "--require"];

/// A value as one word, quoted even where it need not be: `2` before `>` means something else.
pub(super) fn quoted(value: &str) -> String {
    match shell_words::quote(value) {
        // Unquoted by the library means that there is no quote in it.
        std::borrow::Cow::Borrowed(plain) => format!("'{plain}'"),
        std::borrow::Cow::Owned(quoted) => quoted,
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Single,
    Double,
    Comment,
    /// Something whose end is not looked for.
    Unclear(&'static str),
}

/// Follows the text of a command up to a place.
#[derive(Debug, Default)]
pub(super) struct Reader {
    within: Within,
    escaped: bool,
    before: Option<char>,
    /// The finished words of the simple command that is being read.
    words: Vec<String>,
    word: String,
    /// The words of the commands around it, outermost first.
    around: Vec<Vec<String>>,
}

impl Reader {
    /// Goes on by a text of the template.
    pub(super) fn read(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(ch) = rest.next() {
            self.take(ch, rest.as_str());
            self.before = Some(ch);
        }
    }

    /// Goes on by a quoted word.
    pub(super) fn word(&mut self) {
        self.word.push('\'');
        self.before = Some('\'');
    }

    /// Where a place would stand now, if a quoted word there could be more than a word.
    pub(super) fn exposed(&self) -> Option<&'static str> {
        match self.within {
            Within::Single | Within::Double => Some("in quotes"),
            Within::Comment => Some("in a comment"),
            Within::Unclear(what) => Some(what),
            Within::Nothing if self.escaped => Some("after a backslash"),
            Within::Nothing if self.before == Some('$') => Some("after a '$'"),
            Within::Nothing => self.exposed_by_words(),
        }
    }

    fn exposed_by_words(&self) -> Option<&'static str> {
        let plain = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
        let words: Vec<_> = self.words.iter().map(|word| plain(word)).collect();
        let is_assignment = self.word.contains('=') && words.is_empty();
        let last = words.last().map(String::as_str).unwrap_or_default();
        if words.is_empty() && !is_assignment || RUN_NEXT.contains(&last) {
            return Some("as the program to run");
        }
        if words.iter().any(|word| EVALUATE.contains(&word.as_str())) {
            return Some("after a word that runs what follows");
        }
        let interprets = |word: &String| {
            INTERPRETERS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
        };
        let short = last.starts_with('-') && !last.starts_with("--");
        let option = short && last.contains(['c', 'e', 'r']) || CODE_OPTIONS.contains(&last);
        let remote = words.iter().any(|word| matches!(word.as_str(), "ssh" | "su"));
        (words.iter().any(interprets) && (option || remote)).then_some("as code of an interpreter")
    }

    fn take(&mut self, ch: char, rest: &str) {
        if self.escaped {
            self.escaped = false;
            if ch != '\n' {
                self.word.push(ch);
            }
            return;
        }
        match self.within {
            Within::Nothing => self.take_plain(ch, rest),
            Within::Single if ch == '\'' => self.within = Within::Nothing,
            Within::Double if ch == '"' => self.within = Within::Nothing,
            Within::Double if ch == '\\' => self.escaped = true,
            // A substitution in quotes has quotes of its own, which are not counted here.
            Within::Double if ch == '`' || ch == '$' && rest.starts_with(['(', '{', '[']) => {
                self.within = Within::Unclear("after a substitution in quotes");
            }
            Within::Comment if ch == '\n' => {
                self.within = Within::Nothing;
                self.end_command();
            }
            Within::Single | Within::Double => self.word.push(ch),
            Within::Comment | Within::Unclear(_) => {}
        }
    }

    fn take_plain(&mut self, ch: char, rest: &str) {
        match ch {
            '\\' => self.escaped = true,
            '\'' => self.within = Within::Single,
            '"' => self.within = Within::Double,
            '`' => self.within = Within::Unclear("after a back-tick"),
            '#' if self.word.is_empty() && !self.before.is_some_and(|c| c == '\'' || c == '"') => {
                self.within = Within::Comment;
            }
            '$' if rest.starts_with(['\'', '"']) => {
                self.within = Within::Unclear("after a quote with '$'");
            }
            '$' if rest.starts_with("((") || rest.starts_with('[') => {
                self.within = Within::Unclear("after arithmetic");
            }
            '$' if rest.starts_with('{') && !is_simple_expansion(rest) => {
                self.within = Within::Unclear("after a '${…}' with an operator");
            }
            '(' if rest.starts_with('(') => self.within = Within::Unclear("after arithmetic"),
            '[' if rest.starts_with('[') && self.word.is_empty() => {
                self.within = Within::Unclear("after '[['");
            }
            '<' if rest.starts_with('<') => self.within = Within::Unclear("after a here-document"),
            '&' if matches!(self.before, Some('<' | '>')) || rest.starts_with('>') => {
                self.end_word();
            }
            ';' | '|' | '&' | '\n' => self.end_command(),
            '(' => {
                self.end_word();
                self.around.push(std::mem::take(&mut self.words));
            }
            ')' => {
                self.end_command();
                self.words = self.around.pop().unwrap_or_default();
            }
            ' ' | '\t' | '<' | '>' => self.end_word(),
            _ => self.word.push(ch),
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let first = self.words.is_empty();
        let begins_another = KEYWORDS.contains(&word.as_str()) || word.contains('=');
        if !(word.is_empty() || first && begins_another) {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.words.clear();
    }
}

/// Whether `{name}` follows the `$`, with nothing in it that has a grammar of its own.
fn is_simple_expansion(rest: &str) -> bool {
    let inner = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    inner.is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}
