//! The UI's files, from within the binary.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::Problem;

/// What `npm run build` made of `ui/`.
#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Ui;

/// The page every address of the UI begins with.
const INDEX: &str = "index.html";
/// The folder whose files carry a hash in their names and so never change.
const HASHED: &str = "assets/";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// Answers with a file of the UI, or with its first page for an address within it.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if crate::is_api(uri.path()) || !matches!(method, Method::GET | Method::HEAD) {
        return Problem::no_such_path(uri.path()).into_response();
    }
    if let Some(found) = get(path) {
        return answer(path, found, &headers);
    }
    if path.starts_with(HASHED) {
        return Problem::no_such_path(uri.path()).into_response();
    }
    match get(INDEX) {
        Some(found) => answer(INDEX, found, &headers),
        None => not_built(),
    }
}

fn get(path: &str) -> Option<EmbeddedFile> {
    let plain = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\\'));
    if plain { Ui::get(path) } else { None }
}

fn answer(path: &str, found: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = tag(&found.metadata.sha256_hash());
    let caching = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    let unchanged =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match found.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Response::new(Body::from(body))
    };
    let set = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type(found.metadata.mimetype())),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::ETAG, tag),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            set.insert(name, value);
        }
    }
    response
}

/// Text is always sent as UTF-8, and says so.
fn media_type(guess: &str) -> String {
    if guess.starts_with("text/") { format!("{guess}; charset=utf-8") } else { guess.to_owned() }
}

fn tag(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut tag = String::from("\"");
    for byte in &hash[..16] {
        // Writing into a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn not_built() -> Response {
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hivekeeper</title>\
        <h1>The interface was not built</h1>\
        <p>The engine runs, but this binary was compiled without the files of the interface.</p>\
        <p>Build them with <code>make ui</code> (or <code>npm --prefix ui ci</code> and \
        <code>npm --prefix ui run build</code>), then compile again.</p></html>\n";
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, html)], page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(path: &str) -> Response {
        serve(Method::GET, path.parse().unwrap(), HeaderMap::new()).await
    }

    #[tokio::test]
    async fn an_address_within_the_ui_is_its_first_page_or_says_how_to_build_it() {
        for path in ["/", "/missions", "/agents/a/b"] {
            let response = ask(path).await;
            let kind = response.headers()[header::CONTENT_TYPE].clone();
            assert_eq!(kind, "text/html; charset=utf-8", "{path}");
            if get(INDEX).is_some() {
                assert_eq!(response.status(), 200, "{path}");
                assert_eq!(response.headers()[header::CACHE_CONTROL], ASK_AGAIN);
            } else {
                assert_eq!(response.status(), 503, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_page_is_not_answered_with_one() {
        for path in ["/assets/gone-123.js", "/api", "/api/v1/nope"] {
            assert_eq!(ask(path).await.status(), 404, "{path}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in ["../Cargo.toml", "a/../../Cargo.toml", "..\\x", "/etc/passwd", "."] {
            assert!(get(path).is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_file_that_did_not_change_is_not_sent_again() {
        let found = || EmbeddedFile {
            data: std::borrow::Cow::Borrowed(b"x"),
            metadata: rust_embed::Metadata::__rust_embed_new(
                [7; 32],
                None,
                None,
                "text/javascript",
            ),
        };
        let first = answer("assets/a.js", found(), &HeaderMap::new());
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()[header::CACHE_CONTROL], FOR_EVER);
        let kind = first.headers()[header::CONTENT_TYPE].clone();
        assert_eq!(kind, "text/javascript; charset=utf-8");
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let again = answer("assets/a.js", found(), &headers);
        assert_eq!(again.status(), 304);
    }
}
