//! Selectors: the signal's name, and what its labels must be.

use super::error::Fault;
use super::labels::{Compare, Matcher, NAME};
use super::lex::{Lexeme, Token};
use super::parse::Parser;
use super::tree::{Expr, Gives, Kind, Select, Shift};

impl Parser<'_> {
    /// Names of labels in brackets.
    pub(super) fn names(&mut self) -> Result<Vec<String>, Fault> {
        self.expect("(")?;
        let mut names = Vec::new();
        while !self.takes(")") {
            names.push(self.label_name()?);
            if !self.takes(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(names)
    }

    fn label_name(&mut self) -> Result<String, Fault> {
        let fault = self.unexpected("a label's name");
        match self.advance().is {
            Lexeme::Word(name) if is_label(&name) => Ok(name),
            Lexeme::Text(_) => Err(fault.hint("names of labels stand without quotes")),
            _ => Err(fault),
        }
    }

    pub(super) fn selector(&mut self, name: Option<&str>, start: usize) -> Result<Expr, Fault> {
        let mut matchers = Vec::new();
        if let Some(name) = name {
            matchers.extend(Matcher::new(NAME, Compare::Equal, name));
        }
        if self.takes("{") {
            while !self.takes("}") {
                let place = self.span().start;
                let matcher = self.matcher()?;
                if name.is_some() && matcher.label == NAME {
                    let span = self.since(place);
                    return Err(self.fault(&span, "the signal's name stands there twice"));
                }
                matchers.push(matcher);
                if !self.takes(",") {
                    self.expect("}")?;
                    break;
                }
            }
        }
        let span = self.since(start);
        if matchers.iter().all(|matcher| matcher.passes("")) {
            let fault = self.fault(&span, "this would select every series there is");
            return Err(fault.hint("name the signal, or a label with a value"));
        }
        let select = Select { matchers, shift: Shift::default() };
        self.make(Kind::Select(select), Gives::Vector, span, 0)
    }

    fn matcher(&mut self) -> Result<Matcher, Fault> {
        let label = self.label_name()?;
        let compare = match self.peek() {
            Lexeme::Sign("=") => Compare::Equal,
            Lexeme::Sign("!=") => Compare::NotEqual,
            Lexeme::Sign("=~") => Compare::Match,
            Lexeme::Sign("!~") => Compare::NoMatch,
            _ => return Err(self.unexpected("=, !=, =~ or !~")),
        };
        self.advance();
        let wanted = self.unexpected("the label's value").hint("write it in quotes");
        let Token { is: Lexeme::Text(value), span } = self.advance() else {
            return Err(wanted);
        };
        Matcher::new(&label, compare, &value).map_err(|error| self.fault(&span, error.to_string()))
    }
}

/// Whether a text can be the name of a label.
pub(super) fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
