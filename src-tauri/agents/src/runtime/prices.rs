//! Prices: what a model's tokens cost, as dated data. A model without a price has no cost; never zero.

use std::collections::BTreeMap;
use std::path::Path;

use model::usage::Tokens;
use serde::Deserialize;

use super::sheet::{self, Sheet, SheetError};

/// The file's name in the data directory.
pub const FILE: &str = "prices.toml";
/// The highest price that is believed, in US dollars for a million tokens.
const PRICE_MAX: f64 = 1e6;
/// The prices that come with the program.
const BUILT_IN: &str = include_str!("prices.toml");

/// Every price in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    models: BTreeMap<String, (Price, String)>,
}

/// What a model's tokens cost, in US dollars for a million. A kind without a price of its own costs
/// what input costs.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    output: f64,
}

/// What something cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// In millionths of a US dollar.
    pub micros: u64,
    /// The day the price is of.
    pub prices_of: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    as_of: String,
    #[serde(default)]
    model: BTreeMap<String, Price>,
}

impl Sheet for Prices {
    const FILE: &'static str = FILE;
    const WHAT: &'static str = "prices";

    fn built_in() -> Self {
        Self::built_in()
    }

    fn with(&self, file: Option<&Path>) -> Result<Self, SheetError> {
        self.with(file)
    }
}

impl Prices {
    /// The prices that come with the program.
    ///
    /// # Panics
    /// Never: the text is part of this program, and a test reads it.
    #[must_use]
    pub fn built_in() -> Self {
        let none = Self { models: BTreeMap::new() };
        none.read(Path::new(FILE), BUILT_IN).expect("a test reads the text")
    }

    /// These, with those of a file in their place; the same where it is not there.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be: its line is named. Nothing of it is
    /// taken then.
    pub fn with(&self, file: Option<&Path>) -> Result<Self, SheetError> {
        let Some(path) = file else { return Ok(self.clone()) };
        match sheet::text_of(path)? {
            Some(text) => self.read(path, &text),
            None => Ok(self.clone()),
        }
    }

    /// What tokens of a model cost, in millionths of a US dollar; nothing where the model has no
    /// price, or the tokens are not known.
    #[must_use]
    pub fn cost_micros(&self, model: &str, tokens: &Tokens) -> Option<u64> {
        self.cost(model, tokens).map(|cost| cost.micros)
    }

    /// Like [`Prices::cost_micros`], with the day the price is of.
    #[must_use]
    pub fn cost(&self, model: &str, tokens: &Tokens) -> Option<Cost> {
        let (price, day) = self.find(model)?;
        let kinds = [
            (tokens.uncached_input, price.input),
            (tokens.cache_read, price.cache_read.unwrap_or(price.input)),
            (tokens.cache_write, price.cache_write.unwrap_or(price.input)),
            (tokens.output, price.output),
        ];
        kinds.iter().any(|(count, _)| count.is_some()).then_some(())?;
        // A dollar for a million tokens is a millionth of it for one; thousandths keep it exact.
        let thousandths: u128 = kinds
            .into_iter()
            .map(|(count, price)| u128::from(count.unwrap_or(0)) * u128::from(thousandths(price)))
            .sum();
        let micros = u64::try_from((thousandths + 500) / 1000).unwrap_or(u64::MAX);
        Some(Cost { micros, prices_of: day.clone() })
    }

    /// The price of the longest name that the model's name is a version of.
    fn find(&self, model: &str) -> Option<&(Price, String)> {
        let model = model.trim().to_ascii_lowercase();
        let model = model.rsplit('/').next().unwrap_or_default();
        let names = self.models.iter().filter(|(name, _)| is_version(model, name));
        names.max_by_key(|(name, _)| name.len()).map(|(_, price)| price)
    }

    fn read(&self, path: &Path, text: &str) -> Result<Self, SheetError> {
        let form = |why: String| SheetError::form(path, why);
        let sheet: Table =
            toml::from_str(text).map_err(|err| SheetError::of_toml(path, text, &err))?;
        if sheet.as_of.parse::<jiff::civil::Date>().is_err() {
            return Err(form(format!(
                "field 'as_of': '{}' is no day such as 2026-11-01",
                sheet.as_of
            )));
        }
        let mut all = self.clone();
        for (name, price) in sheet.model {
            let figures =
                [Some(price.input), price.cache_read, price.cache_write, Some(price.output)];
            if figures.into_iter().flatten().any(|it| !(0.0..=PRICE_MAX).contains(&it)) {
                return Err(form(format!("the price of '{name}' is below zero or beyond reason")));
            }
            all.models.insert(name.to_ascii_lowercase(), (price, sheet.as_of.clone()));
        }
        Ok(all)
    }
}

fn thousandths(price: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "prices are checked to be between zero and a million"
    )]
    let whole = (price * 1000.0).round() as u64;
    whole
}

/// Whether a model's name is a known one, perhaps with a date or a version behind it.
fn is_version(model: &str, name: &str) -> bool {
    let Some(rest) = model.strip_prefix(name) else { return false };
    let dated = rest.strip_prefix('-').is_some_and(|rest| {
        let digits = rest.chars().filter(char::is_ascii_digit).count();
        digits >= 4 && rest.chars().all(|ch| ch.is_ascii_digit() || ch == '-')
    });
    let named = ["-latest", "-preview", "-exp"].iter().any(|end| rest.starts_with(end));
    rest.is_empty() || dated || named || rest.starts_with(['@', ':', '['])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKENS: Tokens = Tokens {
        uncached_input: Some(3200),
        cache_read: Some(800),
        cache_write: None,
        output: Some(200),
        reasoning: Some(40),
    };

    #[test]
    fn tokens_of_a_model_cost_what_its_kinds_cost_and_an_unknown_model_has_no_price() {
        let prices = Prices::built_in();
        // 3200 * 3 + 800 * 0.3 + 200 * 15
        assert_eq!(prices.cost_micros("claude-sonnet-4-5-20250929", &TOKENS), Some(12_840));
        assert_eq!(prices.cost_micros("anthropic/claude-sonnet-4-5", &TOKENS), Some(12_840));
        assert_eq!(prices.cost_micros("fake-model", &TOKENS), None);
        assert_eq!(prices.cost_micros("claude-opus-4-9", &TOKENS), None);
        assert_eq!(prices.cost_micros("gpt-5-mini", &TOKENS), Some(1_220));
        assert_eq!(prices.cost_micros("gpt-5-2025-08-07", &TOKENS), Some(6_100));
        assert_eq!(prices.cost_micros("gpt-5", &Tokens::default()), None);
        let only = Tokens { output: Some(1), ..Tokens::default() };
        assert_eq!(prices.cost_micros("gemini-2.5-pro-preview-05-06", &only), Some(10));
    }

    #[test]
    fn a_file_takes_the_place_of_single_prices_and_a_broken_one_of_none() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(FILE);
        let prices = Prices::built_in();
        assert_eq!(prices.with(Some(&file)).unwrap(), prices);
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("as_of = \"2026-11-01\"\n[model]\n\"fake-model\" = { input = 1, output = 2 }\n");
        let new = prices.with(Some(&file)).unwrap();
        let cost = new.cost("fake-model", &TOKENS).unwrap();
        assert_eq!(cost, Cost { micros: 4400, prices_of: "2026-11-01".to_owned() });
        assert_eq!(new.cost("gpt-5", &TOKENS).unwrap().prices_of, "2025-12-01");
        for (text, expect) in [
            ("as_of = \"2026-11-01\"\n[model]\nx = { input = 1 }\n", "line 3"),
            ("as_of = \"soon\"\n", "as_of"),
            ("as_of = \"2026-11-01\"\n[model]\nx = { input = -1, output = 1 }\n", "'x'"),
        ] {
            write(text);
            let said = prices.with(Some(&file)).unwrap_err().to_string();
            assert!(said.contains(expect) && said.contains(FILE), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_figures_and_no_file_stop_the_reckoning(a: u64, b: u64, model: String, text: String) {
            let tokens = Tokens { uncached_input: Some(a), output: Some(b), ..Tokens::default() };
            let prices = Prices::built_in();
            let _ = prices.cost_micros("o3", &tokens);
            let _ = prices.cost_micros(&model, &tokens);
            let _ = prices.read(Path::new("x"), &text);
        }
    }
}
