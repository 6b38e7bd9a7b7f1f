//! Secrets: their names, where they are kept, and who uses them; never their values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The secrets of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretsView {
    /// The secrets by name.
    pub items: Vec<SecretView>,
    /// Where one goes that is kept now.
    pub kept_in: SecretPlace,
    /// Why they are in no keychain; nothing where they are.
    pub because: Option<String>,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// Its name; an agent's environment says `secret:NAME` in its place.
    #[schema(example = "deploy-key")]
    pub name: String,
    /// When its value was given last.
    #[schema(value_type = String, format = DateTime)]
    pub kept_at: Timestamp,
    /// The names of the agents whose environments name it.
    pub used_by: Vec<String>,
}

/// Where secrets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretPlace {
    /// In the system's keychain.
    Keychain,
    /// In a file of the data directory that only its owner can read. It is not encrypted.
    File,
}

/// The value of a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// The value; 8 bytes to 64 KiB, without NUL.
    #[schema(format = "password")]
    pub value: String,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue")
    }
}
