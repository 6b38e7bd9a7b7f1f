//! Secrets: kept under names, and used by agents whose environments name them.

use agents::vault::{
    KeptIn, NAME_CHARS_MAX, REFERENCE, VALUE_BYTES_MAX, VALUE_BYTES_MIN, VaultError, is_name,
};
use model::event::Fact;
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::view::{Check, CheckGrade, SecretPlace, SecretView, SecretsView};
use crate::{Caller, Engine};

/// The most secrets of one workspace.
const SECRETS_MAX: usize = 500;

impl Engine {
    /// The secrets by name, and where they are kept. Their values are told to nobody.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn secrets(&self) -> Result<SecretsView, Refusal> {
        let kept = self.0.ledger.secrets().await.map_err(unreadable)?;
        let agents = self.0.ledger.agents().await.map_err(unreadable)?;
        let items = kept.into_iter().map(|secret| {
            let reference = format!("{REFERENCE}{}", secret.name);
            let uses = |agent: &&model::agent::Agent| {
                agent.runtime.env().values().any(|value| *value == reference)
            };
            let used_by = agents.iter().filter(uses).map(|agent| agent.name.clone()).collect();
            SecretView { name: secret.name, kept_at: secret.kept_at, used_by }
        });
        let (kept_in, because) = match self.0.vault.kept_in().await {
            KeptIn::Keychain => (SecretPlace::Keychain, None),
            KeptIn::File { why } => (SecretPlace::File, Some(why)),
        };
        Ok(SecretsView { items: items.collect(), kept_in, because })
    }

    /// Keeps a value under a name; the value before is gone. Agents have it from their next start.
    ///
    /// # Errors
    /// When the name or the value cannot be one, or it could not be kept.
    pub async fn keep_secret(
        &self,
        caller: &Caller,
        name: &str,
        value: &str,
    ) -> Result<SecretView, Refusal> {
        check_name(name)?;
        if !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len()) || value.contains('\0') {
            let message = format!("the value of '{name}' cannot be a secret");
            return Err(invalid(message).hint(format!(
                "{VALUE_BYTES_MIN} bytes to {} KiB, without NUL: what is shorter could not be told \
                 from other text and would not be taken out of it",
                VALUE_BYTES_MAX / 1024
            )));
        }
        // No answer is kept for this request: its fingerprint would be a hash of the value.
        let (engine, caller) = (self.clone(), caller.without_key());
        let (name, value) = (name.to_owned(), value.to_owned());
        self.change_to_the_end(async move { engine.put_secret(&caller, &name, &value).await }).await
    }

    async fn put_secret(
        &self,
        caller: &Caller,
        name: &str,
        value: &str,
    ) -> Result<SecretView, Refusal> {
        let _alone = self.0.secrets_turn.lock().await;
        let known = self.0.ledger.secrets().await.map_err(unreadable)?;
        if known.len() >= SECRETS_MAX && !known.iter().any(|it| it.name == name) {
            let message = format!("there are {SECRETS_MAX} secrets already");
            return Err(Refusal::new(Code::Conflict, message).hint("remove those you do not need"));
        }
        self.0.vault.keep(name, value).await.map_err(not_kept)?;
        self.tell(caller, Input::Record(Fact::SecretKept { name: name.to_owned() })).await?;
        self.secret(name).await
    }

    /// Removes a secret. Agents that name it do not start any more.
    ///
    /// # Errors
    /// When there is none by that name, or it could not be removed.
    pub async fn remove_secret(&self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        let (engine, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        self.change_to_the_end(async move { engine.drop_secret(&caller, &name).await }).await
    }

    async fn drop_secret(&self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        let _alone = self.0.secrets_turn.lock().await;
        if self.was_answered(caller).await? {
            return Ok(());
        }
        self.secret(name).await?;
        self.0.vault.remove(name).await.map_err(not_kept)?;
        self.tell(caller, Input::Record(Fact::SecretRemoved { name: name.to_owned() })).await?;
        Ok(())
    }

    /// Does what is of two parts, the vault's and the ledger's, whole, also where whoever asked for it
    /// goes away in between.
    async fn change_to_the_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.0.tasks.spawn(change).await.unwrap_or_else(|error| {
            let message = format!("the change of a secret broke down: {error}");
            Err(Refusal::new(Code::Internal, message))
        })
    }

    async fn secret(&self, name: &str) -> Result<SecretView, Refusal> {
        let all = self.secrets().await?.items;
        let names = all.iter().map(|secret| secret.name.clone()).collect();
        all.into_iter().find(|secret| secret.name == name).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no secret '{name}'")).allowed(names)
        })
    }

    /// Where secrets are kept, and which are named and not there.
    pub(crate) async fn secrets_check(&self) -> Check {
        let name = "secrets".to_owned();
        let view = match self.secrets().await {
            Ok(view) => view,
            Err(refusal) => {
                let (grade, found) = (CheckGrade::Failed, refusal.message);
                return Check { name, grade, found, fix: refusal.hint };
            }
        };
        let (grade, found) = match view.kept_in {
            SecretPlace::Keychain => (CheckGrade::Ok, "kept in the system's keychain".to_owned()),
            SecretPlace::File => {
                let why = view.because.unwrap_or_default();
                let found = format!(
                    "kept in secrets.json in the data directory, which only you can read and \
                     which is not encrypted; no keychain: {why}"
                );
                // Nothing is worse for it as long as there is nothing to keep.
                let grade =
                    if view.items.is_empty() { CheckGrade::Ok } else { CheckGrade::Degraded };
                (grade, found)
            }
        };
        let fix = (grade != CheckGrade::Ok).then(|| {
            "run Hivekeeper in a desktop session with a keychain (Secret Service)".to_owned()
        });
        Check { name, grade, found, fix }
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if is_name(name) {
        return Ok(());
    }
    Err(invalid(format!("'{name}' cannot be the name of a secret"))
        .hint(format!("letters, digits, '_', '-' and '.', at most {NAME_CHARS_MAX}")))
}

/// Says why the vault refused, with everything behind it.
fn not_kept(error: VaultError) -> Refusal {
    let mut text = format!("failed to {error}");
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    tracing::warn!(why = text, "a secret could not be kept or removed");
    let hint = match error {
        VaultError::Uncertain { .. } => {
            "unlock the keychain, then do the same again: what it has now is uncertain"
        }
        VaultError::Unreachable { .. } => {
            "nothing was changed; try again where the keychain can be reached, or set the secret \
             anew to use it without"
        }
        VaultError::Keychain { .. } | VaultError::Silent { .. } => {
            "nothing was changed; unlock the keychain, or start Hivekeeper with \
             HIVEKEEPER_KEYCHAIN=off to use a file that only you can read"
        }
        VaultError::Unknown { .. } | VaultError::File { .. } => {
            "nothing was changed; look at the file"
        }
    };
    Refusal::new(Code::Internal, text).hint(hint)
}
