//! How long a certificate is still valid, and whether this machine trusts it. Nothing is sent over the
//! connection.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::{Amiss, Found, address, tls};
use crate::health::check::Finding;

/// From how many days on it is not as it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) failed: u32,
    pub(super) degraded: u32,
}

/// What a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    certificate: Vec<u8>,
    /// Why this machine does not trust it.
    distrust: Option<String>,
}

/// Looks at a host's certificate.
pub(super) async fn look(
    host: &str,
    port: u16,
    days: Days,
    now: Timestamp,
    began: Instant,
) -> Found {
    match shown_by(host, port, tls::roots()).await {
        Ok(shown) => {
            let latency = Some(began.elapsed());
            Found { finding: judge(&shown, days, now), latency }
        }
        Err(why) => Found::bad(why.0),
    }
}

async fn shown_by(host: &str, port: u16, roots: Arc<RootCertStore>) -> Result<Shown, Amiss> {
    let name = tls::server_name(host)?;
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
    let witness = Arc::new(Witness { judge: judge.ok(), provider, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Amiss(format!("nothing can be encrypted here: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Witness>::clone(&witness))
        .with_no_client_auth();
    let stream = address::connect(host, port).await?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (seen, connected) {
        (Some(shown), _) => Ok(shown),
        (None, Err(error)) => Err(Amiss(format!("it showed no certificate: {error}"))),
        (None, Ok(_)) => Err("it showed no certificate".into()),
    }
}

fn judge(shown: &Shown, days: Days, now: Timestamp) -> Finding {
    let Some(ends) = end_of(&shown.certificate) else {
        return Finding::Bad("its certificate cannot be read".to_owned());
    };
    if ends <= now {
        return Finding::Bad(format!("its certificate ended at {ends:.0}"));
    }
    if let Some(why) = &shown.distrust {
        return Finding::Bad(format!("its certificate is not trusted: {why}"));
    }
    let left = ends.duration_since(now).as_hours() / 24;
    let soon = || format!("its certificate ends at {ends:.0}, in {left} days");
    match left {
        left if left < i64::from(days.failed) => Finding::Bad(soon()),
        left if left < i64::from(days.degraded) => Finding::Poor(soon()),
        _ => Finding::Good,
    }
}

/// When a certificate ends; nothing where it cannot be read.
fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// Notes what is shown and what would be said of it, and lets it pass: nothing is told to whoever shows
/// it.
#[derive(Debug)]
struct Witness {
    /// Nothing where this machine trusts nobody.
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Shown>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let distrust = match &self.judge {
            Some(judge) => judge
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .err()
                .map(|error| match error {
                    rustls::Error::InvalidCertificate(why) => why.to_string(),
                    other => other.to_string(),
                }),
            None => Some("this machine trusts no authority".to_owned()),
        };
        let shown = Shown { certificate: end_entity.to_vec(), distrust };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "../certificate_tests.rs"]
mod tests;
