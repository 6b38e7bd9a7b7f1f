//! Reads an expression: precedence climbing over tokens, with the types checked on the way.

use super::error::{Fault, Span};
use super::functions;
use super::lex::{Lexeme, Token, tokens};
use super::selectors::is_label;
use super::tree::{
    Aggregate, At, Binary, Combine, Expr, Gives, Grouping, Kind, Many, Matching, Of, Op, Select,
    Shift, Window,
};

/// How deep an expression may be nested.
pub const DEPTH_MAX: usize = 100;
/// How far apart a subquery's evaluations are unless it says so.
const SUBQUERY_STEP_MS: i64 = 60_000;
/// The furthest moment `@` may name, in seconds from 1970: about thirty thousand years.
const AT_S_MAX: f64 = 1e12;
/// Words that stand between operands.
const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "atan2",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
];

/// Reads an expression that gives a number or series.
pub(super) fn parse(text: &str) -> Result<Expr, Fault> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    if parser.peek() == &Lexeme::End {
        let fault = parser.fault(&(0..0), "the expression is empty");
        return Err(fault.hint("write a signal's name, such as machine_cpu_percent"));
    }
    let expr = parser.expression(0)?;
    if parser.peek() != &Lexeme::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    match expr.gives {
        Gives::Scalar | Gives::Vector => Ok(expr),
        Gives::Range => {
            let fault = parser.fault(&expr.span, "a range of samples is not an answer");
            Err(fault.hint("put a function around it, such as rate(...) or avg_over_time(...)"))
        }
        Gives::Text => Err(parser.fault(&expr.span, "a text is not an answer")),
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        // The last token is the end, and is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn peek(&self) -> &Lexeme {
        &self.token().is
    }

    pub(super) fn span(&self) -> Span {
        self.token().span.clone()
    }

    /// From `start` to the end of what was taken last.
    pub(super) fn since(&self, start: usize) -> Span {
        start..self.tokens[self.at.saturating_sub(1)].span.end.max(start)
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn takes(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == &Lexeme::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), Fault> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    /// The word that comes next, in small letters, if it is a keyword.
    fn keyword(&self) -> Option<&'static str> {
        let Lexeme::Word(word) = self.peek() else { return None };
        KEYWORDS.iter().find(|keyword| keyword.eq_ignore_ascii_case(word)).copied()
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        let found = self.keyword() == Some(keyword);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn fault(&self, span: &Span, what: impl Into<String>) -> Fault {
        Fault::new(self.text, span, what)
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Fault {
        let span = self.span();
        let found = match self.peek() {
            Lexeme::End => "the expression ends".to_owned(),
            _ => format!("'{}' is unexpected", &self.text[span.clone()]),
        };
        self.fault(&span, format!("{found}; {wanted} is expected"))
    }

    pub(super) fn make(
        &self,
        is: Kind,
        gives: Gives,
        span: Span,
        below: usize,
    ) -> Result<Expr, Fault> {
        if below >= DEPTH_MAX {
            let what = format!("the expression is nested deeper than {DEPTH_MAX}");
            return Err(self.fault(&span, what).hint("ask for its parts one by one"));
        }
        Ok(Expr { is, gives, span, depth: below + 1 })
    }

    /// An expression of operators that bind at least this strong.
    fn expression(&mut self, least: u8) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let what = format!("the expression is nested deeper than {DEPTH_MAX}");
            return Err(self.fault(&self.span(), what).hint("ask for its parts one by one"));
        }
        let mut left = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.strength() >= least) {
            let op_span = self.advance().span;
            let (as_bool, matching) = self.modifiers(op)?;
            // Only powers are taken from the right.
            let tighter = op.strength() + u8::from(op != Op::Pow);
            let right = self.expression(tighter)?;
            left = self.binary(Binary { op, op_span, left, right, matching, as_bool })?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<Op> {
        let found = |name: &str| Op::ALL.iter().find(|(own, _)| *own == name).map(|(_, op)| *op);
        match self.peek() {
            Lexeme::Sign(sign) => found(sign),
            Lexeme::Word(_) => self.keyword().and_then(found),
            _ => None,
        }
    }

    fn modifiers(&mut self, op: Op) -> Result<(bool, Matching), Fault> {
        let bool_span = self.span();
        let as_bool = self.takes_keyword("bool");
        if as_bool && !op.compares() {
            return Err(self.fault(&bool_span, "'bool' belongs behind a comparison"));
        }
        let mut matching =
            Matching { on: false, labels: Vec::new(), many: Many::Neither, include: Vec::new() };
        let on = self.keyword() == Some("on");
        if on || self.keyword() == Some("ignoring") {
            self.advance();
            matching.on = on;
            matching.labels = self.names()?;
            let many_span = self.span();
            matching.many = match self.keyword() {
                Some("group_left") => Many::Left,
                Some("group_right") => Many::Right,
                _ => Many::Neither,
            };
            if matching.many != Many::Neither {
                self.advance();
                if op.is_set() {
                    let what = "and, or and unless always match many with many";
                    return Err(self.fault(&many_span, what).hint("leave the group out"));
                }
                if self.peek() == &Lexeme::Sign("(") {
                    matching.include = self.names()?;
                }
                let twice = matching.include.iter().find(|it| on && matching.labels.contains(it));
                if let Some(twice) = twice {
                    let what = format!("'{twice}' stands in both lists");
                    return Err(self.fault(&many_span, what));
                }
            }
        } else if let Some(word @ ("group_left" | "group_right")) = self.keyword() {
            let fault =
                self.fault(&self.span(), format!("'{word}' needs on(...) or ignoring(...)"));
            return Err(fault.hint(format!("write on(label) {word}")));
        }
        Ok((as_bool, matching))
    }

    fn binary(&self, binary: Binary) -> Result<Expr, Fault> {
        let Binary { op, left, right, .. } = &binary;
        for side in [left, right] {
            if !matches!(side.gives, Gives::Scalar | Gives::Vector) {
                let what =
                    format!("an operator takes numbers and series, not {}", side.gives.words());
                return Err(self.fault(&side.span, what));
            }
        }
        let scalars = (left.gives == Gives::Scalar, right.gives == Gives::Scalar);
        if op.compares() && scalars == (true, true) && !binary.as_bool {
            let fault = self.fault(&binary.op_span, "two numbers can only be compared to 0 or 1");
            return Err(fault.hint("write bool behind the comparison, such as 1 > bool 2"));
        }
        if op.is_set() && (scalars.0 || scalars.1) {
            let side = if scalars.0 { left } else { right };
            let fault = self.fault(&side.span, "and, or and unless take series, not numbers");
            return Err(fault.hint("vector(1) makes a series of a number"));
        }
        let matches = binary.matching.on || !binary.matching.labels.is_empty();
        if matches && (scalars.0 || scalars.1) {
            let what = "on(...) and ignoring(...) stand between two sides that are series";
            return Err(self.fault(&binary.op_span, what));
        }
        let gives = if scalars == (true, true) { Gives::Scalar } else { Gives::Vector };
        let (span, below) = (left.span.start..right.span.end, left.depth.max(right.depth));
        self.make(Kind::Binary(Box::new(binary)), gives, span, below)
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let start = self.span().start;
        let negative = match self.peek() {
            Lexeme::Sign("-") => true,
            Lexeme::Sign("+") => false,
            _ => return self.operand(),
        };
        self.advance();
        let of = self.expression(Op::Pow.strength())?;
        if !matches!(of.gives, Gives::Scalar | Gives::Vector) {
            let what =
                format!("a sign belongs before numbers and series, not {}", of.gives.words());
            return Err(self.fault(&of.span, what));
        }
        if !negative {
            return Ok(of);
        }
        let (gives, below, span) = (of.gives, of.depth, start..of.span.end);
        match of.is {
            Kind::Number(number) => self.make(Kind::Number(-number), gives, span, 0),
            _ => self.make(Kind::Negate(Box::new(of)), gives, span, below),
        }
    }

    /// An operand with what stands behind it: ranges, offsets and moments.
    fn operand(&mut self) -> Result<Expr, Fault> {
        let mut expr = self.primary()?;
        loop {
            let span = self.span();
            if self.takes("[") {
                expr = self.range(expr)?;
            } else if self.takes_keyword("offset") {
                let offset = self.offset()?;
                let shift = self.shift_of(&mut expr, &span, "offset")?;
                if shift.offset_ms != 0 {
                    return Err(self.fault(&span, "there is a second offset"));
                }
                shift.offset_ms = offset;
            } else if self.takes("@") {
                let at = self.moment()?;
                let shift = self.shift_of(&mut expr, &span, "@")?;
                if shift.at.replace(at).is_some() {
                    return Err(self.fault(&span, "there is a second @"));
                }
            } else {
                return Ok(expr);
            }
            expr.span.end = self.since(expr.span.start).end;
        }
    }

    fn shift_of<'e>(
        &self,
        expr: &'e mut Expr,
        span: &Span,
        sign: &str,
    ) -> Result<&'e mut Shift, Fault> {
        match &mut expr.is {
            Kind::Select(select) => Ok(&mut select.shift),
            Kind::Window(window) => Ok(&mut window.shift),
            _ => {
                let what = format!("'{sign}' belongs right behind a selector or a range");
                Err(self
                    .fault(span, what)
                    .hint("write it within the brackets, as in rate(x[5m] offset 1h)"))
            }
        }
    }

    fn offset(&mut self) -> Result<i64, Fault> {
        let negative = self.takes("-");
        let length = self.length("a length of time such as 5m")?;
        Ok(if negative { -length } else { length })
    }

    fn length(&mut self, wanted: &str) -> Result<i64, Fault> {
        match *self.peek() {
            Lexeme::Duration(length) => {
                self.advance();
                Ok(length)
            }
            Lexeme::Number(number) => {
                let fault = self.unexpected(wanted);
                Err(fault.hint(format!("write the unit, such as {number}s")))
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn moment(&mut self) -> Result<At, Fault> {
        let span = self.span();
        if let Lexeme::Word(word) = self.peek() {
            let at = match word.to_ascii_lowercase().as_str() {
                "start" => At::Start,
                "end" => At::End,
                _ => return Err(self.unexpected("seconds since 1970, start() or end()")),
            };
            self.advance();
            self.expect("(")?;
            self.expect(")")?;
            return Ok(at);
        }
        let negative = !self.takes("+") && self.takes("-");
        let Lexeme::Number(seconds) = *self.peek() else {
            return Err(self.unexpected("seconds since 1970, start() or end()"));
        };
        self.advance();
        if seconds.is_nan() || seconds.abs() > AT_S_MAX {
            return Err(self.fault(&span, "that moment is out of reach"));
        }
        let at_ms = (seconds * 1000.0).round() as i64;
        Ok(At::Ms(if negative { -at_ms } else { at_ms }))
    }

    /// What stands behind `[`.
    fn range(&mut self, of: Expr) -> Result<Expr, Fault> {
        let start = self.span();
        let range_ms = self.length("a length of time such as 5m")?;
        if range_ms == 0 {
            return Err(self.fault(&start, "a range of no length holds no samples"));
        }
        let within = if self.takes(":") {
            let step = match self.peek() {
                Lexeme::Duration(_) => self.length("")?,
                _ => SUBQUERY_STEP_MS,
            };
            if step == 0 {
                return Err(self.fault(&start, "a subquery needs a step longer than 0"));
            }
            if of.gives != Gives::Vector {
                let what = format!("a subquery takes series, not {}", of.gives.words());
                return Err(self.fault(&of.span, what));
            }
            Some(step)
        } else {
            None
        };
        if self.peek() != &Lexeme::Sign("]") {
            let fault = self.unexpected("']'");
            return Err(fault.hint("write [5m], or [1h:1m] for an expression each minute"));
        }
        self.advance();
        let (span, below) = (of.span.clone(), of.depth);
        let of = match (within, of.is) {
            (Some(step), is) => {
                Of::Expr(Expr { is, gives: of.gives, span: of.span, depth: of.depth }, step)
            }
            (None, Kind::Select(Select { matchers, shift })) if shift == Shift::default() => {
                Of::Samples(matchers)
            }
            (None, Kind::Select(_)) => {
                let fault = self.fault(&span, "offset and @ stand behind the range");
                return Err(fault.hint("write x[5m] offset 1h"));
            }
            (None, _) => {
                let fault = self.fault(&span, "only a selector has a range of samples");
                return Err(fault.hint("evaluate it each minute with [1h:1m]"));
            }
        };
        let window = Window { of, range_ms, shift: Shift::default() };
        self.make(Kind::Window(Box::new(window)), Gives::Range, span, below)
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let start = self.span().start;
        match self.peek().clone() {
            Lexeme::Number(number) => {
                let span = self.advance().span;
                self.make(Kind::Number(number), Gives::Scalar, span, 0)
            }
            Lexeme::Text(text) => {
                let span = self.advance().span;
                self.make(Kind::Text(text), Gives::Text, span, 0)
            }
            Lexeme::Sign("(") => {
                self.advance();
                let mut within = self.expression(0)?;
                self.expect(")")?;
                within.span = self.since(start);
                // An offset behind a bracket belongs to nothing.
                if matches!(within.is, Kind::Select(_) | Kind::Window(_)) && self.shifts() {
                    return Err(self.unexpected("an operator or the end"));
                }
                Ok(within)
            }
            Lexeme::Sign("{") => self.selector(None, start),
            Lexeme::Word(word) => self.named(&word, start),
            Lexeme::Duration(_) => {
                let fault = self.unexpected("a number or a signal");
                Err(fault.hint("a length of time stands in [..] or behind offset"))
            }
            _ => Err(self.unexpected("a number, a signal or a function")),
        }
    }

    fn shifts(&self) -> bool {
        self.peek() == &Lexeme::Sign("@") || self.keyword() == Some("offset")
    }

    /// A function, an aggregation or a signal, by what stands behind the word.
    fn named(&mut self, word: &str, start: usize) -> Result<Expr, Fault> {
        if let Some(keyword) = self.keyword() {
            let fault = self.unexpected("a number, a signal or a function");
            return Err(fault.hint(format!("a signal of that name is {{__name__=\"{keyword}\"}}")));
        }
        self.advance();
        let small = word.to_ascii_lowercase();
        let combine = Combine::ALL.iter().find(|(name, _, _)| *name == small);
        let grouped = matches!(self.keyword(), Some("by" | "without"));
        let called = self.peek() == &Lexeme::Sign("(");
        match combine {
            Some((_, how, _)) if called || grouped => self.aggregate(*how, start),
            _ if called => self.call(word, start),
            _ => self.selector(Some(word), start),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut all = Vec::new();
        self.expect("(")?;
        while !self.takes(")") {
            all.push(self.expression(0)?);
            if !self.takes(",") {
                self.expect(")")?;
                break;
            }
            if self.peek() == &Lexeme::Sign(")") {
                return Err(self.unexpected("another argument"));
            }
        }
        Ok(all)
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Expr, Fault> {
        let name_span = self.since(start);
        let Some(function) = functions::by_name(name) else {
            let fault = self.fault(&name_span, format!("there is no function '{name}'"));
            return Err(fault.hint(functions::instead_of(name)));
        };
        let arguments = self.arguments()?;
        let span = self.since(start);
        let (most, least) = (function.takes.len(), function.takes.len() - function.optional);
        if arguments.len() < least || arguments.len() > most {
            let wanted =
                if least == most { format!("{most}") } else { format!("{least} or {most}") };
            let what = format!("{name} takes {wanted} arguments, not {}", arguments.len());
            return Err(self.fault(&span, what));
        }
        for (argument, wanted) in arguments.iter().zip(function.takes) {
            if argument.gives != *wanted {
                let what =
                    format!("{name} takes {} here, not {}", wanted.words(), argument.gives.words());
                let fault = self.fault(&argument.span, what);
                return Err(match wanted {
                    Gives::Range => fault.hint("write the range behind the selector: x[5m]"),
                    Gives::Scalar if argument.gives == Gives::Vector => {
                        fault.hint("scalar(...) makes a number of one series")
                    }
                    Gives::Vector if argument.gives == Gives::Scalar => {
                        fault.hint("vector(...) makes a series of a number")
                    }
                    _ => fault,
                });
            }
        }
        let below = arguments.iter().map(|argument| argument.depth).max().unwrap_or(0);
        let expr = self.make(Kind::Call(function, arguments), function.gives, span, below)?;
        self.check_texts(&expr)?;
        Ok(expr)
    }

    /// What can be wrong with the texts a function takes.
    fn check_texts(&self, expr: &Expr) -> Result<(), Fault> {
        let Kind::Call(function, arguments) = &expr.is else { return Ok(()) };
        if function.is != functions::Fun::LabelReplace {
            return Ok(());
        }
        for (place, argument) in arguments.iter().enumerate().skip(1) {
            let Kind::Text(text) = &argument.is else { continue };
            if (place == 1 || place == 3) && !is_label(text) {
                return Err(self.fault(&argument.span, format!("'{text}' is not a label's name")));
            }
            if place == 4 {
                super::labels::whole(text)
                    .map_err(|error| self.fault(&argument.span, error.to_string()))?;
            }
        }
        Ok(())
    }

    fn aggregate(&mut self, how: Combine, start: usize) -> Result<Expr, Fault> {
        let name = self.text[self.since(start)].to_owned();
        let before = self.grouping()?;
        let mut arguments = self.arguments()?;
        let behind_span = self.span();
        let behind = self.grouping()?;
        if before.is_some() && behind.is_some() {
            return Err(self.fault(&behind_span, "there is a second grouping"));
        }
        let span = self.since(start);
        let wanted = 1 + usize::from(how.has_parameter());
        if arguments.len() != wanted {
            let what = format!("{name} takes {wanted} arguments, not {}", arguments.len());
            let fault = self.fault(&span, what);
            return Err(if how.has_parameter() {
                fault.hint(format!("as in {name}(5, x)"))
            } else {
                fault
            });
        }
        let Some(of) = arguments.pop() else {
            return Err(self.fault(&span, format!("{name} takes series")));
        };
        let parameter = arguments.pop();
        if of.gives != Gives::Vector {
            let what = format!("{name} takes series, not {}", of.gives.words());
            let fault = self.fault(&of.span, what);
            return Err(if of.gives == Gives::Range {
                fault.hint(format!(
                    "{name}_over_time works along time, {name}(rate(...)) over series"
                ))
            } else {
                fault
            });
        }
        if let Some(wrong) = parameter.iter().find(|it| it.gives != Gives::Scalar) {
            let what = format!("{name} takes a number first, not {}", wrong.gives.words());
            return Err(self.fault(&wrong.span, what));
        }
        let grouping = before.or(behind).unwrap_or_else(|| Grouping::By(Vec::new()));
        let below = of.depth.max(parameter.as_ref().map_or(0, |it| it.depth));
        let aggregate = Aggregate { how, parameter, of, grouping };
        self.make(Kind::Aggregate(Box::new(aggregate)), Gives::Vector, span, below)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, Fault> {
        if self.takes_keyword("by") {
            return Ok(Some(Grouping::By(self.names()?)));
        }
        if self.takes_keyword("without") {
            return Ok(Some(Grouping::Without(self.names()?)));
        }
        Ok(None)
    }
}
