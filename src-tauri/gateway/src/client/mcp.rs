//! One message to the tools of an agent, and what comes back: an answer, or several messages as they
//! are made.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{ANSWER_TIMEOUT, Body, Client, ClientError, EventReader, FRAME_BYTES_MAX, Line};
use crate::endpoint::Endpoint;

/// Where the tools are.
const PATH: &str = "/mcp";
/// What a client of the protocol takes.
const ACCEPT: &str = "application/json, text/event-stream";

/// What the tools answered, as it comes in.
pub struct McpAnswer {
    status: StatusCode,
    body: Incoming,
    /// Events as they come; nothing where the whole body is one message.
    events: Option<EventReader>,
    over: bool,
    _line: Line,
}

impl std::fmt::Debug for McpAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl McpAnswer {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The next message; nothing after the last one.
    ///
    /// # Errors
    /// When the connection breaks, nothing comes in time, or a message is too large.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let mut whole = Vec::new();
        loop {
            if let Some(data) = self.events.as_mut().and_then(EventReader::next) {
                return Ok(Some(data));
            }
            if self.over {
                return Ok(None);
            }
            let frame = tokio::time::timeout(ANSWER_TIMEOUT, self.body.frame())
                .await
                .map_err(|_| ClientError::TooSlow(ANSWER_TIMEOUT))?;
            let Some(frame) = frame else {
                self.over = true;
                return Ok((!whole.is_empty()).then_some(whole));
            };
            let Ok(data) = frame?.into_data() else { continue };
            match &mut self.events {
                Some(events) => events.push(&data)?,
                None if whole.len() + data.len() > FRAME_BYTES_MAX => {
                    return Err(ClientError::TooLarge(FRAME_BYTES_MAX));
                }
                None => whole.extend_from_slice(&data),
            }
        }
    }
}

impl Client {
    /// The same engine, spoken to with another token.
    #[must_use]
    pub fn with_token(mut self, token: String) -> Self {
        self.endpoint.token = token;
        self
    }

    /// An engine at an address of this machine, spoken to with a token.
    ///
    /// # Errors
    /// When the address is none, would need TLS, or is that of another machine: the token is sent as it
    /// is, and nobody in between is to read it.
    pub fn at(url: &str, token: String) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.filter(|it| is_this_machine(it.host())).ok_or_else(wrong)?;
        let authority = authority.to_string();
        let endpoint = Endpoint {
            url: url.to_owned(),
            token,
            socket: None,
            pid: 0,
            started_at: model::Timestamp::UNIX_EPOCH,
            version: String::new(),
        };
        Ok(Self { data_dir: std::path::PathBuf::from(url), endpoint, authority })
    }

    /// Sends one message to the tools of the agent whose token this client has, with these headers of
    /// the protocol.
    ///
    /// # Errors
    /// When there is no engine any more, or it does not answer.
    pub async fn mcp(
        &self,
        message: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<McpAnswer, ClientError> {
        let mut request =
            Request::builder().method(Method::POST).uri(PATH).body(Body::from(message))?;
        let own = request.headers_mut();
        own.extend(headers);
        let value = |text: &str| HeaderValue::from_str(text).map_err(http::Error::from);
        own.insert(header::HOST, value(&self.authority)?);
        let mut bearer = value(&format!("Bearer {}", self.endpoint.token))?;
        bearer.set_sensitive(true);
        own.insert(header::AUTHORIZATION, bearer);
        own.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut line = self.connect().await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, line.sender.send_request(request))
            .await
            .map_err(|_| ClientError::TooSlow(ANSWER_TIMEOUT))?
            .map_err(ClientError::Broken)?;
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let streams = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        Ok(McpAnswer {
            status: answer.status(),
            body: answer.into_body(),
            events: streams.then(EventReader::default),
            over: false,
            _line: line,
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_without_tls_is_spoken_to() {
        let at = |url: &str| Client::at(url, "t".to_owned()).map(|client| client.authority);
        assert_eq!(at("http://127.0.0.1:7171/").unwrap(), "127.0.0.1:7171");
        assert_eq!(at("http://localhost:7171").unwrap(), "localhost:7171");
        assert_eq!(at("http://[::1]:7171").unwrap(), "[::1]:7171");
        for url in [
            "https://127.0.0.1:7171",
            "127.0.0.1:7171",
            "",
            "http://",
            "nonsense",
            "http://192.168.1.2:7171",
            "http://build.example:7171",
            "http://127.0.0.1.nip.io:7171",
            "http://127.0.0.1@attacker.example:7171",
        ] {
            assert!(at(url).is_err(), "{url}");
        }
    }
}
