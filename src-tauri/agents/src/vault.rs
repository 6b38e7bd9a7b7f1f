//! The vault: where secrets are kept, and from where they are put into a program's environment when
//! it is started.
//!
//! They are in the system's keychain where there is one that answers, and else in a file of the data
//! directory that only its owner can read. They are in no database, no log and no specification. What
//! the file holds is always newer than what the keychain does, and the file names what is there.

mod chain;

use std::collections::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyring_core::CredentialStore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use chain::{Chain, Found, NoKeychain, Patience, Unanswered};

/// What an environment says before the name of a secret.
pub const REFERENCE: &str = "secret:";
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// The shortest value, in bytes: a shorter one could not be told from other text.
pub const VALUE_BYTES_MIN: usize = shim::redact::VALUE_BYTES_MIN;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Says `off` where the keychain is not to be used.
pub const KEYCHAIN_VARIABLE: &str = "HIVEKEEPER_KEYCHAIN";
/// The file where there is no keychain.
const FILE: &str = "secrets.json";
/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a keychain may take.
const PATIENCE: Patience =
    Patience { find: Duration::from_secs(3), answer: Duration::from_secs(20) };
/// How many bytes of a hash tell workspaces apart.
const WORKSPACE_BYTES: usize = 6;

/// A secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing is kept under that name.
    #[error(
        "find the secret '{name}', which its variable {variable} names: keep it with `hivekeeper secret set {name}`"
    )]
    Unknown {
        /// The variable that names it.
        variable: String,
        /// Its name.
        name: String,
    },
    /// The keychain refused.
    #[error("{what} the secret '{name}': the keychain says: {why}")]
    Keychain {
        /// What was attempted.
        what: &'static str,
        /// The secret.
        name: String,
        /// What the keychain said.
        why: String,
    },
    /// The keychain did not answer, and does nothing of it later.
    #[error("{what} the secret '{name}': the keychain does not answer; it may wait to be unlocked")]
    Silent {
        /// What was attempted.
        what: &'static str,
        /// The secret.
        name: String,
    },
    /// The keychain was asked and did not answer; it may still do it.
    #[error(
        "{what} the secret '{name}': the keychain was asked and does not answer; whether it still does it is uncertain"
    )]
    Uncertain {
        /// What was attempted.
        what: &'static str,
        /// The secret.
        name: String,
    },
    /// It is in a keychain that is not there now.
    #[error("{what} the secret '{name}': the keychain it is in cannot be reached: {why}")]
    Unreachable {
        /// What was attempted.
        what: &'static str,
        /// The secret.
        name: String,
        /// Why not.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIn {
    /// In the system's keychain.
    Keychain,
    /// In a file of the data directory, readable by its owner alone and not encrypted.
    File {
        /// Why not in a keychain, in words a person reads.
        why: String,
    },
}

/// What is kept in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Values {
    /// The value of each name.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// The names of which the keychain has a value, or may have one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    in_keychain: BTreeSet<String>,
}

/// A handle to the vault of a workspace; clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    file: PathBuf,
    /// What tells the entries of this workspace from those of others.
    service: String,
    chain: Chain,
    /// One change of the file at a time.
    writing: Mutex<()>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("file", &self.0.file).finish_non_exhaustive()
    }
}

/// Whether a text can be the name of a secret.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '-' | '.');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(plain)
}

impl Vault {
    /// The vault of the workspace in this directory. Nothing is looked for before it is used.
    #[must_use]
    pub fn open(data_dir: &Path) -> Self {
        Self::with(data_dir, Chain::new(Arc::new(find), PATIENCE))
    }

    /// The vault of the workspace in this directory, which keeps everything in its file.
    #[must_use]
    pub fn without_keychain(data_dir: &Path) -> Self {
        let none = || Err(NoKeychain("this workspace uses none".to_owned()));
        Self::with(data_dir, Chain::new(Arc::new(none), PATIENCE))
    }

    fn with(data_dir: &Path, chain: Chain) -> Self {
        let hash = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
        let hex: String =
            hash.iter().take(WORKSPACE_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self(Arc::new(Inner {
            file: data_dir.join(FILE),
            service: format!("hivekeeper-{hex}"),
            chain,
            writing: Mutex::default(),
        }))
    }

    /// Where a secret that is kept now goes to.
    pub async fn kept_in(&self) -> KeptIn {
        match self.0.chain.found().await {
            Ok(_) => KeptIn::Keychain,
            Err(NoKeychain(why)) => KeptIn::File { why },
        }
    }

    /// Keeps a value under a name; the value before is gone.
    ///
    /// # Errors
    /// When neither keychain nor file takes it. What was kept before is still there then, unless the
    /// error says that this is uncertain.
    pub async fn keep(&self, name: &str, value: &str) -> Result<(), VaultError> {
        let Ok(store) = self.0.chain.found().await else {
            let add = |kept: &mut Values| {
                kept.values.insert(name.to_owned(), value.to_owned());
                true
            };
            return self.change(add).await;
        };
        // Before it is there, so that no removal ever misses it.
        let mut new = false;
        let note = |kept: &mut Values| {
            new = kept.in_keychain.insert(name.to_owned());
            new
        };
        self.change(note).await?;
        let secret = value.to_owned();
        let kept = self.ask(store, "keep", name, move |entry| entry.set_password(&secret)).await;
        if let Err(error) = kept {
            if new
                && !matches!(error, VaultError::Uncertain { .. })
                && let Err(left) = self.change(|kept| kept.in_keychain.remove(name)).await
            {
                tracing::warn!(error = %left, "a secret is noted as in the keychain and is not");
            }
            return Err(error);
        }
        // What an engine without a keychain kept is read first, and is older now.
        self.change(|kept| kept.values.remove(name).is_some()).await
    }

    /// The value under a name; nothing where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or the keychain where the value is or may be.
    pub async fn value(&self, name: &str) -> Result<Option<String>, VaultError> {
        let mut kept = self.read().await?;
        if let Some(value) = kept.values.remove(name) {
            return Ok(Some(value));
        }
        let store = match self.0.chain.found().await {
            Ok(store) => store,
            Err(NoKeychain(why)) if kept.in_keychain.contains(name) => {
                return Err(VaultError::Unreachable { what: "read", name: name.to_owned(), why });
            }
            Err(_) => return Ok(None),
        };
        let read = |entry: keyring_core::Entry| match entry.get_password() {
            Err(keyring_core::Error::NoEntry) => Ok(None),
            found => found.map(Some),
        };
        self.ask(store, "read", name, read).await.map_err(|error| match error {
            // What is read later changes nothing.
            VaultError::Uncertain { what, name } => VaultError::Silent { what, name },
            error => error,
        })
    }

    /// Removes what is kept under a name, wherever it is.
    ///
    /// # Errors
    /// When it cannot be removed, or it is not known to be in the file alone and there is no keychain
    /// to look into.
    pub async fn remove(&self, name: &str) -> Result<(), VaultError> {
        match self.0.chain.found().await {
            Ok(store) => {
                let gone = |entry: keyring_core::Entry| match entry.delete_credential() {
                    Err(keyring_core::Error::NoEntry) => Ok(()),
                    gone => gone,
                };
                self.ask(store, "remove", name, gone).await?;
            }
            Err(NoKeychain(why)) => {
                let kept = self.read().await?;
                if kept.in_keychain.contains(name) || !kept.values.contains_key(name) {
                    let name = name.to_owned();
                    return Err(VaultError::Unreachable { what: "remove", name, why });
                }
            }
        }
        let forget = |kept: &mut Values| {
            let had = kept.values.remove(name).is_some();
            kept.in_keychain.remove(name) || had
        };
        self.change(forget).await
    }

    /// Puts values in the places of the names that an environment gives as `secret:NAME`. Returns the
    /// variables that hold secrets now.
    ///
    /// # Errors
    /// When a secret is not there or cannot be read; the environment is not to be used then.
    pub async fn fill(&self, env: &mut [(String, String)]) -> Result<Vec<String>, VaultError> {
        let mut filled = Vec::new();
        for (variable, value) in env.iter_mut() {
            let Some(name) = value.strip_prefix(REFERENCE).filter(|name| is_name(name)) else {
                continue;
            };
            let found = self.value(name).await?.ok_or_else(|| VaultError::Unknown {
                variable: variable.clone(),
                name: name.to_owned(),
            })?;
            *value = found;
            filled.push(variable.clone());
        }
        Ok(filled)
    }

    /// Asks the keychain, beside everything else: it may have to ask its owner.
    async fn ask<T: Send + 'static>(
        &self,
        store: Arc<CredentialStore>,
        what: &'static str,
        name: &str,
        ask: impl FnOnce(keyring_core::Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        let (service, user) = (self.0.service.clone(), name.to_owned());
        let asked = self.0.chain.ask(move || {
            let none: Option<&HashMap<&str, &str>> = None;
            store.build(&service, &user, none).and_then(ask)
        });
        let name = name.to_owned();
        match asked.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(VaultError::Keychain { what, name, why: error.to_string() }),
            Err(Unanswered::NotAsked) => Err(VaultError::Silent { what, name }),
            Err(Unanswered::Begun) => Err(VaultError::Uncertain { what, name }),
            Err(Unanswered::Broken) => {
                Err(VaultError::Keychain { what, name, why: "its library broke down".to_owned() })
            }
        }
    }

    async fn read(&self) -> Result<Values, VaultError> {
        let path = self.0.file.clone();
        let failed = |source| VaultError::File { path: self.0.file.clone(), source };
        let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
        read.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }

    /// Changes the file, if `change` says that there is something to change.
    async fn change(&self, change: impl FnOnce(&mut Values) -> bool) -> Result<(), VaultError> {
        let _alone = self.0.writing.lock().await;
        let mut values = self.read().await?;
        if !change(&mut values) {
            return Ok(());
        }
        let path = self.0.file.clone();
        let failed = |source| VaultError::File { path: self.0.file.clone(), source };
        let write = tokio::task::spawn_blocking(move || shim::record::write_json(&path, &values));
        write.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }
}

/// Finds the system's keychain, or says why there is none.
fn find() -> Found {
    if std::env::var(KEYCHAIN_VARIABLE).is_ok_and(|value| value == "off") {
        return Err(NoKeychain(format!("{KEYCHAIN_VARIABLE} switches it off")));
    }
    if !has_bus() {
        return Err(NoKeychain("there is no desktop session on this machine".to_owned()));
    }
    system_keychain()
}

/// Whether there is a message bus on which a keychain could be.
fn has_bus() -> bool {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty()) {
        return true;
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.is_some_and(|runtime| runtime.join("bus").exists())
}

#[cfg(target_os = "linux")]
fn system_keychain() -> Found {
    match zbus_secret_service_keyring_store::Store::new() {
        Ok(store) => Ok(store),
        Err(error) => Err(NoKeychain(format!("no Secret Service answers: {error}"))),
    }
}

#[cfg(not(target_os = "linux"))]
fn system_keychain() -> Found {
    Err(NoKeychain("it is known on Linux only so far".to_owned()))
}

fn read_file(path: &Path) -> std::io::Result<Values> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Values::default()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(|error| {
        // The words of the parser could hold a part of a secret.
        let place = format!("line {}, column {}", error.line(), error.column());
        std::io::Error::new(ErrorKind::InvalidData, format!("it is damaged at {place}"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::chain::Find;
    use super::*;

    fn with(dir: &Path, find: impl Fn() -> Found + Send + Sync + 'static) -> Vault {
        let find: Find = Arc::new(find);
        Vault::with(dir, Chain::new(find, PATIENCE))
    }

    fn without_chain(dir: &Path) -> Vault {
        with(dir, || Err(NoKeychain("a test has none".to_owned())))
    }

    fn with_chain(dir: &Path, chain: &Arc<CredentialStore>) -> Vault {
        let chain = Arc::clone(chain);
        with(dir, move || Ok(Arc::clone(&chain)))
    }

    #[tokio::test]
    async fn a_secret_without_a_keychain_is_in_a_file_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let vault = without_chain(dir.path());
        assert_eq!(vault.kept_in().await, KeptIn::File { why: "a test has none".to_owned() });
        assert_eq!(vault.value("db").await.unwrap(), None);
        vault.keep("db", "correct-horse").await.unwrap();
        vault.keep("mail", "battery-staple").await.unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = without_chain(dir.path());
        assert_eq!(again.value("db").await.unwrap().as_deref(), Some("correct-horse"));
        vault.remove("db").await.unwrap();
        assert_eq!(again.value("db").await.unwrap(), None);
        assert_eq!(again.value("mail").await.unwrap().as_deref(), Some("battery-staple"));
        let nowhere = vault.remove("db").await.unwrap_err();
        assert!(matches!(nowhere, VaultError::Unreachable { .. }), "{nowhere}");
    }

    #[tokio::test]
    async fn the_newest_value_counts_wherever_it_is_and_what_a_keychain_has_is_removed_there_or_not_at_all()
     {
        let dir = tempfile::tempdir().unwrap();
        let chain: Arc<CredentialStore> = keyring_core::mock::Store::new().unwrap();
        let (with, without) = (with_chain(dir.path(), &chain), without_chain(dir.path()));
        with.keep("db", "the-old-value").await.unwrap();
        let hidden = without.value("db").await.unwrap_err();
        assert!(matches!(hidden, VaultError::Unreachable { .. }), "{hidden}");
        without.keep("db", "the-new-value").await.unwrap();
        assert_eq!(with.value("db").await.unwrap().as_deref(), Some("the-new-value"));
        let refused = without.remove("db").await.unwrap_err();
        assert!(refused.to_string().contains("a test has none"), "{refused}");
        assert_eq!(without.value("db").await.unwrap().as_deref(), Some("the-new-value"));
        with.keep("db", "the-newest-value").await.unwrap();
        assert_eq!(with.value("db").await.unwrap().as_deref(), Some("the-newest-value"));
        with.remove("db").await.unwrap();
        assert_eq!(with.value("db").await.unwrap(), None);
        assert_eq!(without.value("db").await.unwrap(), None);
    }

    /// A keychain that waits to be unlocked.
    #[derive(Debug)]
    struct Locked(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

    impl keyring_core::api::CredentialStoreApi for Locked {
        fn vendor(&self) -> String {
            "a test".to_owned()
        }

        fn id(&self) -> String {
            "locked".to_owned()
        }

        fn build(
            &self,
            _: &str,
            _: &str,
            _: Option<&HashMap<&str, &str>>,
        ) -> keyring_core::Result<keyring_core::Entry> {
            let _ = self.0.lock().unwrap().recv();
            Err(keyring_core::Error::NoEntry)
        }

        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    #[tokio::test]
    async fn a_locked_keychain_is_uncertain_once_and_silent_then_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        without_chain(dir.path()).keep("db", "from-the-file").await.unwrap();
        let (unlock, locked) = std::sync::mpsc::sync_channel(1);
        let store: Arc<CredentialStore> = Arc::new(Locked(std::sync::Mutex::new(locked)));
        let find: Find = Arc::new(move || Ok(Arc::clone(&store)));
        let answer = Duration::from_millis(200);
        let vault = Vault::with(dir.path(), Chain::new(find, Patience { answer, ..PATIENCE }));
        let error = vault.keep("db", "from-the-chain").await.unwrap_err();
        assert!(matches!(error, VaultError::Uncertain { .. }), "{error}");
        for error in [
            vault.keep("mail", "from-the-chain").await.unwrap_err(),
            vault.value("mail").await.unwrap_err(),
            vault.remove("db").await.unwrap_err(),
        ] {
            assert!(matches!(error, VaultError::Silent { .. }), "{error}");
        }
        assert_eq!(vault.value("db").await.unwrap().as_deref(), Some("from-the-file"));
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(text.contains("db") && !text.contains("mail"), "{text}");
        drop(unlock);
    }

    #[tokio::test]
    async fn a_secret_is_in_the_keychain_where_there_is_one_and_moves_there_when_it_is_kept_again()
    {
        let dir = tempfile::tempdir().unwrap();
        let before = without_chain(dir.path());
        before.keep("db", "from-the-file").await.unwrap();
        before.keep("old", "only-in-the-file").await.unwrap();
        let chain: Arc<CredentialStore> = keyring_core::mock::Store::new().unwrap();
        let vault = with_chain(dir.path(), &chain);
        assert_eq!(vault.kept_in().await, KeptIn::Keychain);
        assert_eq!(vault.value("db").await.unwrap().as_deref(), Some("from-the-file"));
        vault.keep("db", "from-the-chain").await.unwrap();
        assert_eq!(vault.value("db").await.unwrap().as_deref(), Some("from-the-chain"));
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!text.contains("from-the-file") && !text.contains("from-the-chain"), "{text}");
        assert_eq!(vault.value("old").await.unwrap().as_deref(), Some("only-in-the-file"));
        vault.remove("db").await.unwrap();
        assert_eq!(vault.value("db").await.unwrap(), None);
        // Another workspace has secrets of its own.
        vault.keep("db", "of-this-workspace").await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(with_chain(elsewhere.path(), &chain).value("db").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_environment_is_filled_by_name_and_one_that_names_nothing_known_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let vault = without_chain(dir.path());
        vault.keep("db", "correct-horse").await.unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut env = [pair("DB", "secret:db"), pair("A", "plain"), pair("B", "secret: odd name")];
        assert_eq!(vault.fill(&mut env).await.unwrap(), ["DB"]);
        assert_eq!(env[0].1, "correct-horse");
        assert_eq!((env[1].1.as_str(), env[2].1.as_str()), ("plain", "secret: odd name"));
        let mut env = [pair("MAIL", "secret:mail")];
        let error = vault.fill(&mut env).await.unwrap_err().to_string();
        assert!(error.contains("'mail'") && error.contains("MAIL"), "{error}");
        assert!(error.contains("hivekeeper secret set mail"), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_file_is_said_to_be_damaged_without_its_words_and_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let text = "{\"values\": {\"db\": \"correct-horse\", oops";
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let vault = without_chain(dir.path());
        let error = vault.keep("mail", "battery-staple").await.unwrap_err();
        let said = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(said.contains("damaged") && !said.contains("correct"), "{said}");
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for (name, fits) in [
            ("db", true),
            ("A-1.b_c", true),
            ("", false),
            ("a b", false),
            ("ä", false),
            ("a/b", false),
        ] {
            assert_eq!(is_name(name), fits, "{name}");
        }
        assert!(!is_name(&"x".repeat(65)));
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(bytes: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE);
            std::fs::write(&path, bytes).unwrap();
            let _ = read_file(&path);
        }
    }
}
