//! Entity tags: an edit may say which version it was made from, and is refused where another came
//! between.
//!
//! A tag names what can be edited of a thing and nothing else, so that a mission that moves on by
//! itself stands in nobody's way.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use engine::Caller;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use model::refusal::Code;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::MutexGuard;

use crate::Gate;
use crate::problem::Problem;

/// How many bytes of the hash a tag shows.
const TAG_BYTES: usize = 16;
/// The most tags one request may name.
const TAGS_MAX: usize = 20;

/// Names one version of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag of what can be edited.
    pub(crate) fn of(what: &impl Serialize) -> Self {
        // A struct of strings and numbers always becomes JSON.
        let bytes = serde_json::to_vec(what).unwrap_or_default();
        let hash = Sha256::digest(&bytes);
        let hex: String = hash.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("\"{hex}\""))
    }
}

/// An answer with the tag of what it shows.
pub(crate) struct Tagged<T>(pub(crate) T, pub(crate) Tag);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let Self(body, Tag(tag)) = self;
        let mut response = Json(body).into_response();
        if let Ok(value) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

/// Which versions an edit may be applied to, as its sender said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// It said nothing: to any.
    Unsaid,
    /// To any, provided that there is one.
    Any,
    /// To one of these.
    One(Vec<String>),
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut tags = Vec::new();
        for value in parts.headers.get_all(header::IF_MATCH) {
            let text = value.to_str().map_err(|_| unreadable())?;
            tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
        }
        Self::read(tags)
    }
}

fn unreadable() -> Problem {
    Problem::invalid("If-Match holds something that is no entity tag")
        .hint("send the ETag of the answer you edited, with its quotes, or *")
}

impl IfMatch {
    fn read(tags: Vec<String>) -> Result<Self, Problem> {
        let is_tag = |tag: &String| {
            let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inner.is_some_and(|text| !text.is_empty() && !text.contains('"'))
        };
        match tags.as_slice() {
            [] => Ok(Self::Unsaid),
            [one] if one == "*" => Ok(Self::Any),
            many if many.len() <= TAGS_MAX && many.iter().all(is_tag) => Ok(Self::One(tags)),
            _ => Err(unreadable()),
        }
    }

    fn check(&self, current: Option<&Tag>) -> Result<(), Problem> {
        let fits = match self {
            Self::Unsaid => true,
            Self::Any => current.is_some(),
            Self::One(tags) => current.is_some_and(|Tag(tag)| tags.contains(tag)),
        };
        if fits {
            return Ok(());
        }
        let detail = match current {
            Some(_) => "it was changed meanwhile; nothing of your edit was applied",
            None => "it is not there, or not any more; nothing of your edit was applied",
        };
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, Code::ChangedMeanwhile, detail)
            .hint("read it again, make your edit on what it is now, and send its ETag"))
    }

    /// Lets an edit begin, alone among all edits until what is returned is dropped. `current` gives
    /// the tag of what is there now, or nothing where there is none.
    ///
    /// A request that was carried out before under its key is let in: it changes nothing again.
    pub(crate) async fn begin<'g>(
        &self,
        gate: &'g Gate,
        caller: &Caller,
        current: impl AsyncFnOnce() -> Result<Tag, Problem>,
    ) -> Result<MutexGuard<'g, ()>, Problem> {
        let alone = gate.edits.lock().await;
        if *self != Self::Unsaid && !gate.engine.was_answered(caller).await? {
            let tag = match current().await {
                Ok(tag) => Some(tag),
                Err(problem) if problem.code == Code::NotFound => None,
                Err(problem) => return Err(problem),
            };
            self.check(tag.as_ref())?;
        }
        Ok(alone)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_same_thing_has_the_same_tag_and_another_another() {
        let settings = model::settings::Settings::default();
        let other = model::settings::Settings { trash_days: 7, ..settings.clone() };
        assert_eq!(Tag::of(&settings), Tag::of(&settings.clone()));
        assert_ne!(Tag::of(&settings), Tag::of(&other));
        let response = Tagged(&settings, Tag::of(&settings)).into_response();
        assert_eq!(response.headers()[header::ETAG], Tag::of(&settings).0.as_str());
    }

    #[test]
    fn an_edit_of_another_version_is_refused_and_one_that_names_none_is_not() {
        let (now, before) = (Tag::of(&1), Tag::of(&2));
        assert!(IfMatch::Unsaid.check(Some(&now)).is_ok());
        assert!(IfMatch::Unsaid.check(None).is_ok());
        assert!(IfMatch::Any.check(Some(&now)).is_ok());
        assert_eq!(IfMatch::Any.check(None).unwrap_err().status, 412);
        let both = IfMatch::read(vec![before.0.clone(), now.0.clone()]).unwrap();
        assert!(both.check(Some(&now)).is_ok());
        let old = IfMatch::read(vec![before.0]).unwrap();
        let problem = old.check(Some(&now)).unwrap_err();
        assert_eq!((problem.status, problem.code), (412, Code::ChangedMeanwhile));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for wrong in [&["abc"][..], &["\"\""], &["W/\"a\""], &["*", "\"a\""], &["\"a"], &[""]] {
            assert!(IfMatch::read(tags(wrong)).is_err(), "{wrong:?}");
        }
        assert!(IfMatch::read(vec!["\"a\"".to_owned(); 21]).is_err());
        assert_eq!(IfMatch::read(Vec::new()).unwrap(), IfMatch::Unsaid);
        assert_eq!(IfMatch::read(tags(&["*"])).unwrap(), IfMatch::Any);
    }

    proptest! {
        #[test]
        fn no_header_panics(texts: Vec<String>) {
            let _ = IfMatch::read(texts);
        }
    }
}
