//! Receivers elsewhere, as they may be: with a certificate of their own authority, of nobody's, or for
//! another name; silent, endless, or pointing somewhere else.

use std::net::SocketAddr;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// An authority of a house's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.0.der().to_vec())).unwrap();
        roots
    }

    /// A certificate for a name, and its key.
    fn vouches_for(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

/// What a receiver does with a request that it was sent.
#[derive(Clone, Copy)]
enum Does {
    Answers(&'static str),
    /// Takes everything and says nothing.
    Hangs,
    /// Promises ten gigabytes, and sends for as long as somebody takes it.
    Floods,
}

/// An encrypted receiver; it gives what was sent to it, and how much it sent back.
async fn receiver(
    certificate: (CertificateDer<'static>, PrivateKeyDer<'static>),
    does: Does,
) -> (SocketAddr, JoinHandle<(Vec<u8>, usize)>) {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.0], certificate.1)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
            return (Vec::new(), 0);
        };
        let mut seen = Vec::new();
        while !seen.ends_with(b"the spans") {
            if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                return (seen, 0);
            }
        }
        let mut sent = 0;
        match does {
            Does::Answers(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Does::Hangs => {
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest).await);
            }
            Does::Floods => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {
                    sent += 16 * 1024;
                    assert!(sent < 64 * 1024 * 1024, "all of it is read");
                }
            }
        }
        (seen, sent)
    });
    (address, serving)
}

/// Sends to a name of this machine, trusting so much and waiting so long.
async fn send(roots: RootCertStore, port: u16, longest: Duration) -> Result<(), SendError> {
    let url = format!("https://localhost:{port}");
    let trust = || trusting(roots.clone());
    post_within(longest, &url, Bytes::from_static(b"the spans"), trust).await
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_receiver_whose_authority_is_trusted_gets_spans_encrypted() {
    let authority = Authority::new();
    let own = authority.vouches_for("localhost");
    let (address, serving) = receiver(own, Does::Answers("200 OK")).await;
    send(authority.roots(), address.port(), LONG).await.unwrap();
    let (seen, _) = serving.await.unwrap();
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn a_receiver_that_nobody_vouches_for_under_its_name_gets_nothing_and_is_not_tried_again() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for certificate in
        [stranger.vouches_for("localhost"), authority.vouches_for("elsewhere.example")]
    {
        let (address, serving) = receiver(certificate, Does::Answers("200 OK")).await;
        let refused = send(authority.roots(), address.port(), LONG).await.unwrap_err();
        assert!(matches!(refused, SendError::Trust(_)) && !refused.may_pass(), "{refused:?}");
        assert_eq!(serving.await.unwrap().0, b"", "nothing was told to it");
    }
}

#[tokio::test]
async fn an_answer_that_points_to_another_address_is_a_refusal_and_not_followed() {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = inner.local_addr().unwrap();
    let status: &'static str =
        Box::leak(format!("307 Elsewhere\r\nlocation: http://{to}/v1/traces").into_boxed_str());
    let authority = Authority::new();
    let own = authority.vouches_for("localhost");
    let (address, _serving) = receiver(own, Does::Answers(status)).await;
    let refused = send(authority.roots(), address.port(), LONG).await.unwrap_err();
    assert!(matches!(refused, SendError::Refused(status) if status == 307), "{refused:?}");
    assert!(!refused.may_pass());
    let nobody = tokio::time::timeout(Duration::from_millis(50), inner.accept()).await;
    assert!(nobody.is_err(), "it was followed");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_left_when_its_time_is_over() {
    let authority = Authority::new();
    let own = authority.vouches_for("localhost");
    let (address, serving) = receiver(own, Does::Hangs).await;
    let refused = send(authority.roots(), address.port(), Duration::from_millis(500)).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, SendError::Silent) && refused.may_pass(), "{refused:?}");
    serving.await.unwrap();
    // One that does not even begin to encrypt.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = deaf.local_addr().unwrap().port();
    let refused = send(authority.roots(), port, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(refused, SendError::Silent), "{refused:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_taken_by_its_status_and_not_read() {
    let authority = Authority::new();
    let own = authority.vouches_for("localhost");
    let (address, serving) = receiver(own, Does::Floods).await;
    let begun = Instant::now();
    send(authority.roots(), address.port(), LONG).await.unwrap();
    assert!(begun.elapsed() < LONG / 2);
    let (_, sent) = serving.await.unwrap();
    assert!(sent < 64 * 1024 * 1024, "{sent}");
}
