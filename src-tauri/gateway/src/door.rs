//! The doors of an engine: a loopback address, a Unix socket beside it, and, encrypted, any other
//! address.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The name of the Unix socket in a data directory.
pub const SOCKET: &str = "hivekeeper.sock";
/// The longest path of a Unix socket, in bytes: what every system takes.
const SOCKET_PATH_MAX: usize = 100;

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via {
    /// Who sent it; nothing where only this account can.
    pub(crate) peer: Option<IpAddr>,
    /// Where it arrived.
    local: Option<SocketAddr>,
    /// Whether it was encrypted.
    pub(crate) tls: bool,
}

impl Via {
    /// Through a socket of the network.
    pub(crate) fn network(peer: SocketAddr, local: Option<SocketAddr>, tls: bool) -> Self {
        // An IPv4 address that arrived at an IPv6 socket is itself again.
        let plain =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { peer: Some(peer.ip().to_canonical()), local: local.map(plain), tls }
    }

    /// Through the Unix socket.
    pub(crate) const fn unix() -> Self {
        Self { peer: None, local: None, tls: false }
    }

    /// The port it arrived at.
    pub(crate) fn port(&self) -> Option<u16> {
        self.local.map(|local| local.port())
    }

    /// Whether it came through a door with this port. The Unix socket leads to where the door on this
    /// machine does.
    pub(crate) fn is_through(&self, port: u16, tls: bool) -> bool {
        match self.local {
            Some(local) => local.port() == port && self.tls == tls,
            None => !tls,
        }
    }

    /// Whether `authority` is where it really arrived, whatever names this machine has. An encrypted
    /// door has the addresses of the machine; no page can make its own name be one of those. The Unix
    /// socket has no address, and no browser gets there.
    pub(crate) fn is_called(&self, authority: &str) -> bool {
        match (self.local, self.peer) {
            (Some(local), _) if self.tls => {
                authority == local.to_string()
                    || (local.port() == 443 && authority == host_of(local.ip()))
            }
            (None, None) => ["localhost", "127.0.0.1", "[::1]"].contains(&authority),
            _ => false,
        }
    }

    /// Whether `origin` is the page behind the door where it really arrived.
    pub(crate) fn is_own_page(&self, origin: &str) -> bool {
        self.tls && origin.strip_prefix("https://").is_some_and(|it| self.is_called(it))
    }
}

/// Whom an address is counted as: itself, or its network of 64 bits, of which anybody who has one has
/// all addresses.
pub(crate) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip => ip,
    }
}

fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A door that is open.
#[derive(Debug)]
pub(crate) enum Door {
    /// On this machine alone.
    Plain(TcpListener),
    /// For this account alone.
    Unix(UnixListener),
    /// For everybody who gets there, encrypted.
    Tls(TcpListener, Tls),
}

/// What speaks TLS with those who come.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A file with a certificate or a key cannot be read.
    #[error("read {path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("read {0}: there is no certificate in it")]
    NoCertificate(PathBuf),
    /// Others may read the key.
    #[error("use the key {0}: others may read it; take their right with 'chmod 600'")]
    OpenKey(PathBuf),
    /// Certificate and key do not fit.
    #[error("use the certificate {path}: {source}")]
    Tls {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: tokio_rustls::rustls::Error,
    },
    /// The Unix socket cannot be opened.
    #[error("listen on the socket {path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Tls {
    /// Reads a certificate, with those that lead to its authority, and its key, both as PEM.
    ///
    /// # Errors
    /// When a file cannot be read, holds something else, or they do not fit; or when others may read
    /// the key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, DoorError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            move |source| DoorError::Pem { path, source }
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(unread(certificate))?;
        if chain.is_empty() {
            return Err(DoorError::NoCertificate(certificate.to_owned()));
        }
        let is_open = |meta: fs::Metadata| meta.permissions().mode() & 0o077 != 0;
        if fs::metadata(key).is_ok_and(is_open) {
            return Err(DoorError::OpenKey(key.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(unread(key))?;
        let wrong = |source| DoorError::Tls { path: certificate.to_owned(), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(wrong)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Listens on a Unix socket that only this account can use. One that a run before left is replaced;
/// one that somebody answers is not.
///
/// # Errors
/// When the path is too long, something else is there, or the operating system says no.
pub(crate) fn bind_socket(path: &Path) -> Result<UnixListener, DoorError> {
    let fail = |source| DoorError::Socket { path: path.to_owned(), source };
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        let message = format!("its path is longer than {SOCKET_PATH_MAX} bytes");
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, message)));
    }
    if let Ok(found) = fs::symlink_metadata(path) {
        let taken = |words: &str| fail(io::Error::new(io::ErrorKind::AddrInUse, words));
        if !found.file_type().is_socket() {
            return Err(taken("something else is there"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(taken("another program listens there"));
        }
        fs::remove_file(path).map_err(fail)?;
    }
    // Made where nobody else gets to, and only then put in its place: there is no moment in which
    // others could connect.
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let hidden =
        path.with_file_name(format!(".{}.{}", name.unwrap_or_default(), std::process::id()));
    let _ = fs::remove_dir_all(&hidden);
    fs::DirBuilder::new().mode(0o700).create(&hidden).map_err(fail)?;
    let opened = open_in(&hidden, path);
    let _ = fs::remove_dir_all(&hidden);
    opened.map_err(fail)
}

fn open_in(hidden: &Path, path: &Path) -> io::Result<UnixListener> {
    let draft = hidden.join("s");
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))?;
    fs::rename(&draft, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_are_counted_as_one() {
        let of = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(of("192.168.1.9"), "192.168.1.9");
        assert_eq!(of("::ffff:192.168.1.9"), "192.168.1.9");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::1"), "::1");
    }

    #[test]
    fn an_encrypted_door_has_the_addresses_of_the_machine_and_no_other_has_more_than_its_names() {
        let local = |text: &str| Some(text.parse().unwrap());
        let peer = "192.168.1.9:50000".parse().unwrap();
        let tls = Via::network(peer, local("[::ffff:192.168.1.2]:7171"), true);
        for (host, called) in [
            ("192.168.1.2:7171", true),
            ("192.168.1.2", false),
            ("192.168.1.2:7172", false),
            ("192.168.1.3:7171", false),
            ("attacker.example:7171", false),
            ("localhost", false),
        ] {
            assert_eq!(tls.is_called(host), called, "{host}");
            assert_eq!(tls.is_own_page(&format!("https://{host}")), called, "{host}");
            assert!(!tls.is_own_page(&format!("http://{host}")), "{host}");
        }
        let usual = Via::network(peer, local("[2001:db8::1]:443"), true);
        assert!(usual.is_called("[2001:db8::1]") && usual.is_called("[2001:db8::1]:443"));
        let plain = Via::network(peer, local("192.168.1.2:7171"), false);
        assert!(!plain.is_called("192.168.1.2:7171") && !plain.is_own_page("https://x"));
        let unix = Via::unix();
        assert!(unix.is_called("localhost") && !unix.is_called("attacker.example"));
        assert!(!unix.is_own_page("https://localhost"));
    }

    #[tokio::test]
    async fn a_socket_is_for_its_account_alone_and_replaces_what_a_dead_engine_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        let first = bind_socket(&path).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let taken = bind_socket(&path).unwrap_err().to_string();
        assert!(taken.contains("another program"), "{taken}");
        drop(first);
        drop(bind_socket(&path).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody's").unwrap();
        let taken = bind_socket(&path).unwrap_err().to_string();
        assert!(taken.contains("something else"), "{taken}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left lying about");
        let long = dir.path().join("x".repeat(120));
        assert!(bind_socket(&long).unwrap_err().to_string().contains("longer than"));
    }

    #[test]
    fn a_certificate_or_key_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let read = || Tls::read(&certificate, &key).unwrap_err().to_string();
        assert!(read().contains("c.pem"));
        fs::write(&certificate, "nonsense").unwrap();
        assert!(read().contains("no certificate"), "{}", read());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        assert!(read().contains("k.pem"), "{}", read());
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read().contains("chmod 600"), "{}", read());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Tls::read(&certificate, &key).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        fs::write(&certificate, other.cert.pem()).unwrap();
        assert!(read().contains("c.pem"), "{}", read());
    }
}
