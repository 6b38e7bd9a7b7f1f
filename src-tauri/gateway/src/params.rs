//! What a request carries besides its body: parts of the path and the query.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use model::Timestamp;

use crate::problem::Problem;

/// The most items a page may be asked for.
pub(crate) const LIMIT_MAX: u32 = 500;

/// The `{id}` of the path, as it was written.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl Name {
    /// Reads it as an identity.
    pub(crate) fn parse<T: FromStr>(&self, what: &str) -> Result<T, Problem> {
        self.0
            .parse()
            .map_err(|_| Problem::invalid(format!("'{}' is not the id of {what}", self.0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid(rejection.body_text()))?;
        Ok(Self(name))
    }
}

/// The two names of a path, as they were written.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid(rejection.body_text()))?;
        Ok(Self(first, second))
    }
}

/// The query, taken apart by name; a name nobody asks for is refused.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|rejection| Problem::invalid(rejection.body_text()))?;
        Ok(Self(pairs))
    }
}

impl Params {
    /// Every value of a name, in order; empty ones are left out.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        self.0
            .extract_if(.., |(key, _)| key == name)
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// The value of a name that comes at most once.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(Problem::invalid(format!("'{name}' came more than once")));
        }
        Ok(values.pop())
    }

    /// The value of a name, parsed.
    pub(crate) fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        if self.0.iter().any(|(key, value)| key == name && value.is_empty()) {
            return Err(Problem::invalid(format!("'{name}' is empty")).hint("leave it out"));
        }
        self.text(name)?
            .map(|text| {
                text.parse().map_err(|error| Problem::invalid(format!("'{name}={text}': {error}")))
            })
            .transpose()
    }

    /// A number within bounds.
    pub(crate) fn number<T>(
        &mut self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + Display,
        T::Err: Display,
    {
        let number = self.parsed::<T>(name)?;
        match number {
            Some(number) if !range.contains(&number) => Err(Problem::invalid(format!(
                "'{name}={number}' is not between {} and {}",
                range.start(),
                range.end()
            ))),
            number => Ok(number),
        }
    }

    /// A point in time.
    pub(crate) fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.parsed(name)
    }

    /// The size of a page.
    pub(crate) fn limit(&mut self) -> Result<Option<u32>, Problem> {
        self.number("limit", 1..=LIMIT_MAX)
    }

    /// Refuses what is left over.
    pub(crate) fn done(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Problem::invalid(format!("'{name}' is not a parameter of this path")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().unwrap();
        Params(Query::try_from_uri(&uri).unwrap().0)
    }

    #[test]
    fn a_query_is_read_by_name_and_what_nobody_asked_for_is_refused() {
        let mut read = params("state=a&state=b,c&limit=7&text=%C3%A4+b&empty=");
        assert_eq!(read.all("state"), ["a", "b,c"]);
        assert_eq!(read.limit().unwrap(), Some(7));
        assert_eq!(read.text("text").unwrap().as_deref(), Some("ä b"));
        assert_eq!(read.text("empty").unwrap(), None);
        read.done().unwrap();
        let problem = params("limti=7").done().unwrap_err();
        assert!(problem.detail.contains("'limti'"));
    }

    #[test]
    fn a_number_out_of_bounds_and_a_name_given_twice_are_refused() {
        assert!(params("limit=0").limit().is_err());
        assert!(params("limit=501").limit().is_err());
        assert!(params("limit=x").limit().is_err());
        assert!(params("limit=1&limit=2").limit().is_err());
        assert!(params("from=yesterday").time("from").is_err());
        assert!(params("from=2026-01-02T03:04:05Z").time("from").is_ok());
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "[ -~]{0,60}") {
            if let Ok(uri) = format!("/x?{query}").parse()
                && let Ok(Query(pairs)) = Query::try_from_uri(&uri)
            {
                let mut read = Params(pairs);
                let _ = read.limit();
                let _ = read.time("from");
                let _ = read.done();
            }
        }
    }
}
