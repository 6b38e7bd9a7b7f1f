//! What a workspace is set up with, as one document that can be kept and taken elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hook::Hook;
use crate::policy::Policy;
use crate::settings::{Settings, Template};

/// The form of the document this program writes.
pub const CONFIG_VERSION: u32 = 1;

/// Settings, policies, templates, permission rules and hooks of a workspace. It holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The form of this document; this program reads 1.
    #[schema(example = 1)]
    pub version: u32,
    /// The settings; nothing leaves them as they are.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// The captain's own policies.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// The templates.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// The permission rules that hold in the whole workspace.
    #[serde(default)]
    pub rules: Vec<PlainRule>,
    /// The hooks. Each is known by its name; its id is of the workspace it comes from.
    #[serde(default)]
    pub hooks: Vec<Hook>,
}

/// A permission rule of the whole workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainRule {
    /// What it is about.
    pub pattern: String,
    /// Whether it allows or forbids that.
    pub allow: bool,
}
