//! A client of a running engine, for the command line and for a window that attaches to it.

mod live;
mod mcp;
mod reattaching;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use engine::live::{Frame, LiveTopic};
use futures::stream::{self, Stream};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::call::IDEMPOTENCY_KEY;
use crate::endpoint::{Endpoint, EndpointError};

pub use mcp::McpAnswer;
pub use reattaching::Reattaching;

/// How long it may take to connect to this machine itself.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may take; longer than the engine's own limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a live stream may be silent; the engine speaks every fifteen seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest frame of the live stream, in bytes.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The headers of a caller's that are passed on; who asks and for what name is for this client to say.
const PASSED_ON: [&str; 6] =
    [IDEMPOTENCY_KEY, "accept", "last-event-id", "if-match", "if-none-match", "if-modified-since"];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No engine runs for this data directory.
    #[error("find a running engine for {}", .0.display())]
    NoEngine(PathBuf),
    /// The file that says where it listens is of no use.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Its address is none.
    #[error("use the engine's address '{0}'")]
    Address(String),
    /// The request cannot be put into words.
    #[error("write the request: {0}")]
    Request(#[from] http::Error),
    /// The connection broke.
    #[error("talk to the engine: {0}")]
    Talk(#[from] hyper::Error),
    /// The connection broke when the request, which changes something, was on its way already.
    #[error(
        "the connection broke after the request was sent; whether it was carried out is not known"
    )]
    Broken(#[source] hyper::Error),
    /// The answer did not come in time.
    #[error("get an answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The answer is larger than any should be.
    #[error("read an answer of more than {0} bytes")]
    TooLarge(usize),
    /// The live stream was refused.
    #[error("listen to the engine: it answered {0}")]
    NoStream(StatusCode),
    /// The connection of the live stream broke, or was none.
    #[error("listen to the engine: {0}")]
    Socket(Box<tokio_tungstenite::tungstenite::Error>),
    /// A frame of the live stream cannot be read.
    #[error("read a frame of the live stream: {0}")]
    Frame(serde_json::Error),
}

impl ClientError {
    /// Whether starting an engine would help.
    #[must_use]
    pub const fn is_no_engine(&self) -> bool {
        matches!(self, Self::NoEngine(_))
    }

    /// Whether a change may have been made all the same.
    #[must_use]
    pub const fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::TooSlow(_))
    }
}

/// What the engine answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A client of the engine of one data directory.
#[derive(Debug, Clone)]
pub struct Client {
    data_dir: PathBuf,
    endpoint: Endpoint,
    authority: String,
}

/// One connection with the task that drives it; the task ends with it.
struct Line {
    sender: http1::SendRequest<Body>,
    driver: JoinSet<()>,
}

impl Client {
    /// Finds the engine of a data directory.
    ///
    /// # Errors
    /// When there is none, or its endpoint file is of no use.
    pub fn for_data_dir(data_dir: &Path) -> Result<Self, ClientError> {
        let endpoint =
            Endpoint::read(data_dir)?.ok_or_else(|| ClientError::NoEngine(data_dir.to_owned()))?;
        // An engine that was killed left its file; its port may be somebody else's by now.
        if !engine::process_exists(endpoint.pid) {
            return Err(ClientError::NoEngine(data_dir.to_owned()));
        }
        let wrong = || ClientError::Address(endpoint.url.clone());
        let uri: Uri = endpoint.url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?.to_string();
        Ok(Self { data_dir: data_dir.to_owned(), endpoint, authority })
    }

    /// Where the engine listens.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request; a body is sent as JSON.
    ///
    /// # Errors
    /// When there is no engine any more, or it does not answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ClientError> {
        self.request_with(method, path, &HeaderMap::new(), body).await
    }

    /// Sends a request with headers of the caller's; of these, only the idempotency key, the media
    /// types and the conditions are passed on.
    ///
    /// # Errors
    /// When there is no engine any more, or it does not answer.
    pub async fn request_with(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ClientError> {
        let request = self.prepare(method, path, headers, body)?;
        tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| ClientError::TooSlow(ANSWER_TIMEOUT))?
    }

    /// Listens to topics, from the frame after that number of that epoch or from a snapshot on.
    ///
    /// # Errors
    /// When there is no engine any more, or it refuses to be listened to.
    pub async fn live(
        &self,
        from: Option<(&str, u64)>,
        topics: &[LiveTopic],
    ) -> Result<impl Stream<Item = Result<Frame, ClientError>> + Send + use<>, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some((epoch, since)) = from
            && let Ok(id) = HeaderValue::from_str(&format!("{epoch}:{since}"))
        {
            headers.insert("last-event-id", id);
        }
        let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
        let path = format!("/api/v1/live?topics={}", names.join(","));
        let request = self.prepare(Method::GET, &path, &headers, None)?;
        let mut line = self.connect().await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, line.sender.send_request(request))
            .await
            .map_err(|_| ClientError::TooSlow(ANSWER_TIMEOUT))??;
        if answer.status() != StatusCode::OK {
            return Err(ClientError::NoStream(answer.status()));
        }
        let listener =
            Listener { body: answer.into_body(), events: EventReader::default(), _line: line };
        Ok(stream::unfold(Some(listener), |listener| async move {
            let mut listener = listener?;
            match listener.next().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(listener))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    fn prepare(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Body>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.endpoint.token));
        for name in PASSED_ON {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        Ok(request.body(body.map_or_else(Body::empty, Body::from))?)
    }

    /// Connects through the Unix socket where there is one: it is there for this account alone,
    /// however many hold the places of the network.
    async fn connect(&self) -> Result<Line, ClientError> {
        if let Some(socket) = &self.endpoint.socket
            && let Ok(stream) = UnixStream::connect(socket).await
        {
            return begin(stream).await;
        }
        let gone = || ClientError::NoEngine(self.data_dir.clone());
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| gone())?
            .map_err(|_| gone())?;
        let _ = stream.set_nodelay(true);
        begin(stream).await
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, ClientError> {
        let harmless = request.method().is_safe();
        let broken = |error: hyper::Error| match error {
            // The engine had hung up before anything was sent.
            error if error.is_canceled() => ClientError::NoEngine(self.data_dir.clone()),
            error if harmless => ClientError::Talk(error),
            error => ClientError::Broken(error),
        };
        let mut line = self.connect().await?;
        let answer = line.sender.send_request(request).await.map_err(broken)?;
        let (parts, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                if bytes.len() + data.len() > ANSWER_BYTES_MAX {
                    return Err(ClientError::TooLarge(ANSWER_BYTES_MAX));
                }
                bytes.extend_from_slice(&data);
            }
        }
        line.driver.abort_all();
        Ok(Answer { status: parts.status, headers: parts.headers, body: bytes.into() })
    }
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Line, ClientError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the engine ended");
        }
    });
    Ok(Line { sender, driver })
}

struct Listener {
    body: Incoming,
    events: EventReader,
    _line: Line,
}

impl Listener {
    async fn next(&mut self) -> Result<Option<Frame>, ClientError> {
        loop {
            if let Some(data) = self.events.next() {
                return serde_json::from_slice(&data).map(Some).map_err(ClientError::Frame);
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame())
                .await
                .map_err(|_| ClientError::TooSlow(SILENCE_MAX))?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.events.push(&data)?;
            }
        }
    }
}

/// Takes a stream of server-sent events apart into their data; comments and ids are passed over.
#[derive(Debug, Default)]
struct EventReader {
    bytes: Vec<u8>,
    searched: usize,
}

impl EventReader {
    fn push(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if self.bytes.len() + bytes.len() > FRAME_BYTES_MAX {
            return Err(ClientError::TooLarge(FRAME_BYTES_MAX));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The data of the next complete event that has any.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let from = self.searched.saturating_sub(1);
            let Some(at) = self.bytes[from..].windows(2).position(|two| two == b"\n\n") else {
                self.searched = self.bytes.len();
                return None;
            };
            let event: Vec<u8> = self.bytes.drain(..from + at + 2).collect();
            self.searched = 0;
            let mut data = Vec::new();
            for line in event.split(|byte| *byte == b'\n') {
                if let Some(rest) = line.strip_prefix(b"data:") {
                    if !data.is_empty() {
                        data.push(b'\n');
                    }
                    data.extend_from_slice(rest.strip_prefix(b" ").unwrap_or(rest));
                }
            }
            if !data.is_empty() {
                return Some(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_endpoint_file_means_no_engine() {
        let dir = tempfile::tempdir().unwrap();
        let error = Client::for_data_dir(dir.path()).unwrap_err();
        assert!(error.is_no_engine());
    }

    fn client_of(address: std::net::SocketAddr) -> (tempfile::TempDir, Client) {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint {
            url: format!("http://{address}"),
            token: "hk_".into(),
            socket: None,
            pid: 1,
            started_at: model::Timestamp::UNIX_EPOCH,
            version: String::new(),
        };
        endpoint.write(dir.path()).unwrap();
        let client = Client::for_data_dir(dir.path()).unwrap();
        (dir, client)
    }

    #[tokio::test]
    async fn an_endpoint_nobody_listens_on_means_no_engine() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (_dir, client) = client_of(address);
        let error = client.request(Method::POST, "/api/v1/demo", None).await.unwrap_err();
        assert!(error.is_no_engine() && !error.is_outcome_unknown(), "{error}");
    }

    /// An engine that reads a request, begins an answer, and is gone.
    async fn break_off(method: Method, answer: &'static [u8]) -> ClientError {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_dir, client) = client_of(listener.local_addr().unwrap());
        let engine = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(answer).await.unwrap();
        });
        let error = client.request(method, "/api/v1/demo", None).await.unwrap_err();
        engine.await.unwrap();
        error
    }

    #[tokio::test]
    async fn a_change_whose_answer_is_lost_may_have_been_made() {
        for answer in [&b""[..], b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
            let error = break_off(Method::POST, answer).await;
            assert!(matches!(error, ClientError::Broken(_)), "{error}");
            assert!(error.is_outcome_unknown() && !error.is_no_engine());
            let error = break_off(Method::GET, answer).await;
            assert!(matches!(error, ClientError::Talk(_)), "reading changes nothing: {error}");
        }
    }

    #[tokio::test]
    async fn each_header_that_the_interface_sends_arrives_and_none_that_says_who_asks() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_dir, client) = client_of(listener.local_addr().unwrap());
        let engine = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let sent = [
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("idempotency-key", "0198"),
            ("if-match", "\"a1\""),
            ("if-none-match", "\"b2\""),
        ];
        let foreign = [("authorization", "Bearer hk_x"), ("host", "elsewhere"), ("cookie", "a=b")];
        let headers: HeaderMap = sent
            .iter()
            .chain(&foreign)
            .map(|(name, value)| {
                (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
            })
            .collect();
        let body = Some(b"{}".to_vec());
        client.request_with(Method::PUT, "/api/v1/settings", &headers, body).await.unwrap();
        let request = engine.await.unwrap();
        for (name, value) in sent {
            assert!(request.contains(&format!("{name}: {value}\r\n")), "{name}: {request}");
        }
        for (name, value) in foreign {
            assert!(!request.contains(value), "{name}: {request}");
        }
    }

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = EventReader::default();
        let mut found = Vec::new();
        for chunk in chunks {
            reader.push(chunk).unwrap();
            while let Some(data) = reader.next() {
                found.push(String::from_utf8(data).unwrap());
            }
        }
        found
    }

    #[test]
    fn events_are_read_and_comments_passed_over() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        };
        check("id: a:1\ndata: {}\n\n", &["{}"]);
        check(":\n\nid: a:1\ndata:1\n\n: x\n\ndata: 2\n\n", &["1", "2"]);
        check("data: a\ndata: b\n\n", &["a\nb"]);
        check("data: unfinished\n", &[]);
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_events_are_the_same(
            data in proptest::collection::vec("[ -~]{1,20}", 0..8),
            cut in 1usize..9,
        ) {
            let text: String = data
                .iter()
                .enumerate()
                .map(|(i, data)| format!("id: e:{i}\ndata: {data}\n\n:\n\n"))
                .collect();
            let chunks: Vec<_> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(read(&chunks), data);
        }
    }
}
