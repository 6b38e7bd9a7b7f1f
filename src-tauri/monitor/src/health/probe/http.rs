//! One request for a page. Its answer is read as far as it is needed, and at most a mebibyte of it.

use std::pin::pin;

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Amiss, Found, address, tls};

/// How much of a body is read, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How much of an answer is read before its body, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most headers an answer may have.
const HEADERS_MAX: usize = 100;

/// A page, and what it must say.
pub(super) struct Page<'a> {
    pub(super) url: &'a str,
    pub(super) status: Option<u16>,
    pub(super) contains: Option<&'a str>,
}

/// Asks for a page.
pub(super) async fn look(page: &Page<'_>, slow_ms: Option<u32>, began: Instant) -> Found {
    match ask(page).await {
        Ok(()) => Found::after(began.elapsed(), slow_ms),
        Err(why) => Found { latency: Some(began.elapsed()), ..Found::bad(why.0) },
    }
}

async fn ask(page: &Page<'_>) -> Result<(), Amiss> {
    let uri: Uri = page.url.parse().map_err(|_| Amiss::from("its address cannot be read"))?;
    let authority = uri.authority().ok_or_else(|| Amiss::from("its address names no host"))?;
    let plain = uri.scheme_str() == Some("http");
    let port = authority.port_u16().unwrap_or(if plain { 80 } else { 443 });
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, "hivekeeper")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Amiss(format!("it cannot be asked: {error}")))?;
    let stream = address::connect(authority.host(), port).await?;
    if plain {
        return exchange(stream, request, page).await;
    }
    let stream = tls::encrypt(stream, authority.host(), tls::roots()).await?;
    exchange(stream, request, page).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    page: &Page<'_>,
) -> Result<(), Amiss> {
    let broken =
        |error: hyper::Error| Amiss(format!("the answer broke off: {}", innermost(&error)));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let mut answered = pin!(async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        fits(answer.status(), page.status)?;
        match page.contains {
            Some(text) => holds(answer.into_body(), text).await,
            None => Ok(()),
        }
    });
    // The connection is driven for as long as the answer takes, and ends with it.
    tokio::select! {
        biased;
        answered = &mut answered => answered,
        _ = connection => answered.await,
    }
}

fn fits(status: StatusCode, wanted: Option<u16>) -> Result<(), Amiss> {
    match wanted {
        Some(wanted) if status.as_u16() == wanted => Ok(()),
        Some(wanted) => Err(Amiss(format!("it answered {status}, not {wanted}"))),
        None if status.is_success() => Ok(()),
        None if status.is_redirection() => {
            let why = format!("it answered {status} and points elsewhere, which is not followed");
            Err(Amiss(why))
        }
        None => Err(Amiss(format!("it answered {status}"))),
    }
}

/// Whether what of a body is read holds a text.
async fn holds(mut body: Incoming, text: &str) -> Result<(), Amiss> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Amiss(format!("the answer broke off: {}", innermost(&error))))?;
        if let Ok(data) = frame.into_data() {
            let room = BODY_BYTES_MAX - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
        if read.len() >= BODY_BYTES_MAX {
            break;
        }
    }
    if String::from_utf8_lossy(&read).contains(text) {
        return Ok(());
    }
    let part =
        if read.len() >= BODY_BYTES_MAX { "the first MiB of its answer" } else { "its answer" };
    Err(Amiss(format!("{part} does not hold the text it must hold")))
}

/// What was behind an error: that of the library says little.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
