//! What a workspace is set up with, as one document that can be kept and taken elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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
    /// The settings; nothing leaves them as they are, and so does each that is not named.
    #[serde(default)]
    #[schema(value_type = Option<Settings>)]
    pub settings: Option<GivenSettings>,
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

/// Settings as a document names them: any of them, each with a value it can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct GivenSettings(Map<String, Value>);

impl TryFrom<Map<String, Value>> for GivenSettings {
    type Error = serde_json::Error;

    fn try_from(given: Map<String, Value>) -> Result<Self, Self::Error> {
        Settings::deserialize(Value::Object(given.clone()))?;
        Ok(Self(given))
    }
}

impl From<&Settings> for GivenSettings {
    fn from(settings: &Settings) -> Self {
        match serde_json::to_value(settings) {
            Ok(Value::Object(all)) => Self(all),
            // A struct of words and numbers always becomes an object.
            _ => Self(Map::new()),
        }
    }
}

impl GivenSettings {
    /// These settings, and for what is not named those that hold now.
    ///
    /// # Errors
    /// Never for what was read: each value was looked at then.
    pub fn over(&self, now: &Settings) -> Result<Settings, serde_json::Error> {
        let mut all = Self::from(now).0;
        all.extend(self.0.clone());
        Settings::deserialize(Value::Object(all))
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn settings_that_a_document_does_not_name_stay_as_they_are() {
        let now = Settings { running_max: Some(3), trash_days: 9, ..Settings::default() };
        let read = |text: &str| serde_json::from_str::<Configuration>(text);
        let of = |text: &str| read(text).unwrap().settings.unwrap().over(&now).unwrap();
        let laid = of(r#"{"version": 1, "settings": {"trash_days": 7}}"#);
        assert_eq!(laid, Settings { trash_days: 7, ..now.clone() });
        let laid = of(r#"{"version": 1, "settings": {"running_max": null}}"#);
        assert_eq!(laid, Settings { running_max: None, ..now.clone() });
        assert_eq!(of(r#"{"version": 1, "settings": {}}"#), now);
        assert_eq!(GivenSettings::from(&now).over(&Settings::default()).unwrap(), now);
        for wrong in [r#"{"trash_day": 7}"#, r#"{"trash_days": "7"}"#, "[]"] {
            read(&format!(r#"{{"version": 1, "settings": {wrong}}}"#)).unwrap_err();
        }
        assert_eq!(read(r#"{"version": 1}"#).unwrap().settings, None);
    }

    proptest! {
        #[test]
        fn what_is_read_can_be_laid_over_any_settings(text in "\\PC{0,80}", days: u32) {
            let wrapped = format!(r#"{{"version": 1, "settings": {{"policy": "{text}"}}}}"#);
            for text in [text, wrapped] {
                if let Ok(Configuration { settings: Some(given), .. }) = serde_json::from_str(&text) {
                    let now = Settings { trash_days: days, ..Settings::default() };
                    prop_assert_eq!(given.over(&now).unwrap().trash_days, days);
                }
            }
        }
    }
}
