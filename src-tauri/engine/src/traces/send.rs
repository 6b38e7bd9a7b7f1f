//! One request to a receiver of traces: plain to this machine itself, encrypted anywhere else.

use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where receivers take traces unless the address says otherwise.
const PATH: &str = "/v1/traces";

/// Why spans were not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The address is none that traces may be sent to.
    #[error("send traces to '{0}': {1}")]
    Address(String, &'static str),
    /// There is no connection.
    #[error("connect to the receiver of traces")]
    Connect(#[source] io::Error),
    /// No certificate of this machine's vouches for the receiver.
    #[error("trust the receiver of traces")]
    Trust(#[source] rustls::Error),
    /// The request broke off.
    #[error("talk to the receiver of traces")]
    Talk(#[from] hyper::Error),
    /// The request cannot be put into words.
    #[error("write the request")]
    Request(#[from] http::Error),
    /// It said no.
    #[error("the receiver of traces answered {0}")]
    Refused(StatusCode),
    /// It did not answer.
    #[error("the receiver of traces did not answer within {} s", TIMEOUT.as_secs())]
    Silent,
}

impl SendError {
    /// Whether it may go well another time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(status) => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::Connect(_) | Self::Talk(_) | Self::Silent => true,
            Self::Address(..) | Self::Trust(_) | Self::Request(_) => false,
        }
    }
}

/// Sends a body to an address. Where that answers is not gone on to another one.
pub(super) async fn post(url: &str, body: Bytes) -> Result<(), SendError> {
    post_within(TIMEOUT, url, body, trust).await
}

async fn post_within(
    longest: Duration,
    url: &str,
    body: Bytes,
    trust: impl Fn() -> Result<Arc<ClientConfig>, SendError>,
) -> Result<(), SendError> {
    tokio::time::timeout(longest, post_at_leisure(url, body, trust))
        .await
        .unwrap_or(Err(SendError::Silent))
}

async fn post_at_leisure(
    url: &str,
    body: Bytes,
    trust: impl Fn() -> Result<Arc<ClientConfig>, SendError>,
) -> Result<(), SendError> {
    let address = |why| SendError::Address(url.to_owned(), why);
    if let Some(why) = model::trace::wrong_endpoint(url) {
        return Err(address(why));
    }
    let uri: Uri = url.parse().map_err(|_| address("it cannot be read"))?;
    let authority = uri.authority().ok_or_else(|| address("it names no host"))?;
    let plain = uri.scheme_str() == Some("http");
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if plain { 80 } else { 443 });
    let path = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    let path = path.filter(|path| *path != "/").unwrap_or(PATH);
    let request = Request::post(path)
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::USER_AGENT, "hivekeeper")
        .body(Full::new(body))?;
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(SendError::Connect)?;
    if plain {
        // Whatever the name led to: plain text does not leave this machine.
        let here = stream.peer_addr().map_err(SendError::Connect)?.ip().to_canonical();
        if !here.is_loopback() {
            return Err(address("its name does not lead to this machine"));
        }
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(host).map_err(|_| address("its host is no name"))?;
    let connector = TlsConnector::from(trust()?);
    exchange(connector.connect(name, stream).await.map_err(unsecured)?, request).await
}

/// Why there is no encrypted connection: a certificate that nobody vouches for is none the next time.
fn unsecured(error: io::Error) -> SendError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(wrong @ rustls::Error::InvalidCertificate(_)) => SendError::Trust(wrong.clone()),
        _ => SendError::Connect(error),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), SendError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answer = pin!(sender.send_request(request));
    // The connection is driven for as long as the answer takes, and ends with it; its body says
    // nothing that is needed.
    let status = tokio::select! {
        biased;
        answer = &mut answer => answer?.status(),
        // It may have ended with the answer, in order or not: many close without a word of it.
        ended = connection => match answer.await {
            Ok(answer) => answer.status(),
            Err(error) => {
                ended?;
                return Err(error.into());
            }
        },
    };
    if status.is_success() { Ok(()) } else { Err(SendError::Refused(status)) }
}

/// The authorities that this machine trusts, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, read
/// once.
fn trust() -> Result<Arc<ClientConfig>, SendError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    let (taken, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if taken == 0 {
        tracing::warn!("this machine trusts no authority: no receiver of traces can be trusted");
    }
    let config = trusting(roots)?;
    Ok(Arc::clone(CONFIG.get_or_init(|| config)))
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, SendError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SendError::Trust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
