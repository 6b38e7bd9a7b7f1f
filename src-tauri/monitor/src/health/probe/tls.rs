//! Whom this machine trusts.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::Amiss;

/// The authorities that this machine trusts, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, read
/// once.
pub(super) fn roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    }))
}

/// Encrypts a connection to a host that this machine trusts.
pub(super) async fn encrypt(
    stream: TcpStream,
    host: &str,
    roots: Arc<RootCertStore>,
) -> Result<TlsStream<TcpStream>, Amiss> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Amiss(format!("nothing can be encrypted here: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = server_name(host)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| Amiss(unsecured(&error)))
}

/// The name a certificate has to be for.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, Amiss> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let wrong = |_| Amiss(format!("'{host}' is no name a certificate can be for"));
    ServerName::try_from(bare).map_err(wrong)
}

fn unsecured(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("its certificate is not trusted: {why}")
        }
        _ => format!("no encrypted connection: {error}"),
    }
}
