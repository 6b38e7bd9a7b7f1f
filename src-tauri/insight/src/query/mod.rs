//! Questions about what was measured, in a language with PromQL's syntax and meaning.
//!
//! An expression is read into a [`Plan`]; what the language does not have is refused with its place.
//! A plan is answered from a [`Source`] at one moment, at even steps as Prometheus does, or in the
//! columns of a chart. Every answer is bounded by [`Limits`] and watched by a [`Guard`].
//!
//! The parser is our own: `promql-parser` keeps no places in its tree, and nothing bounds how deep
//! its tree grows or how large a regular expression becomes.

mod aggregate;
mod answer;
mod binary;
mod calls;
mod columns;
mod error;
mod eval;
mod functions;
mod labels;
mod leaf;
mod lex;
mod over;
mod parse;
mod plan;
mod selectors;
mod source;
mod tree;

pub use answer::{Across, Answered, Ask, Column, Points, Row};
pub use error::{Fault, QueryError, Stop};
pub use eval::{Guard, Limits, Lookback, Progress, Settings, Unguarded};
pub use functions::{FUNCTIONS, Function, reference};
pub use labels::{BadRegex, Compare, Labels, Matcher, NAME};
pub use lex::EXPRESSION_BYTES_MAX;
pub use over::Meaning;
pub use parse::DEPTH_MAX;
pub use plan::Plan;
pub use source::{Each, Found, InMemory, Sample, Source, Stretch, Sums, Tier};
pub use tree::Gives;
