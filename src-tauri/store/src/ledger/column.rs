//! How values of the model stand in columns.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::error::RowError;

/// An id as 16 bytes.
pub(crate) fn id(uuid: Uuid) -> Vec<u8> {
    uuid.as_bytes().to_vec()
}

/// Reads an id back.
pub(crate) fn read_id<T>(
    column: &'static str,
    bytes: &[u8],
    wrap: fn(Uuid) -> T,
) -> Result<T, RowError> {
    let uuid = Uuid::from_slice(bytes).map_err(|error| RowError::unreadable(column, error))?;
    Ok(wrap(uuid))
}

/// Reads an id that may be absent.
pub(crate) fn read_id_opt<T>(
    column: &'static str,
    bytes: Option<&[u8]>,
    wrap: fn(Uuid) -> T,
) -> Result<Option<T>, RowError> {
    bytes.map(|bytes| read_id(column, bytes, wrap)).transpose()
}

/// A time as text of constant width, so that it sorts as it should.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Reads a time back.
pub(crate) fn read_time(column: &'static str, text: &str) -> Result<Timestamp, RowError> {
    text.parse().map_err(|error: jiff::Error| RowError::unreadable(column, error))
}

/// Reads a time that may be absent.
pub(crate) fn read_time_opt(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, RowError> {
    text.map(|text| read_time(column, text)).transpose()
}

/// A nested value as JSON.
pub(crate) fn json<T: Serialize>(column: &'static str, value: &T) -> Result<String, RowError> {
    serde_json::to_string(value).map_err(|error| RowError::unreadable(column, error))
}

/// A nested value that may be absent.
pub(crate) fn json_opt<T: Serialize>(
    column: &'static str,
    value: Option<&T>,
) -> Result<Option<String>, RowError> {
    value.map(|value| json(column, value)).transpose()
}

/// Reads a nested value back.
pub(crate) fn read_json<T: DeserializeOwned>(
    column: &'static str,
    text: &str,
) -> Result<T, RowError> {
    serde_json::from_str(text).map_err(|error| RowError::unreadable(column, error))
}

/// Reads a nested value that may be absent.
pub(crate) fn read_json_opt<T: DeserializeOwned>(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, RowError> {
    text.map(|text| read_json(column, text)).transpose()
}

/// The word a unit variant serialises to.
pub(crate) fn word<T: Serialize>(column: &'static str, value: &T) -> Result<String, RowError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(RowError::unreadable(column, format!("{other} is no word"))),
        Err(error) => Err(RowError::unreadable(column, error)),
    }
}

/// Reads such a word back.
pub(crate) fn read_word<T: DeserializeOwned>(
    column: &'static str,
    word: String,
) -> Result<T, RowError> {
    serde_json::from_value(serde_json::Value::String(word))
        .map_err(|error| RowError::unreadable(column, error))
}

/// A count as SQLite stores it; larger ones do not occur and are held at the largest.
pub(crate) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a count back.
pub(crate) fn read_count(column: &'static str, value: i64) -> Result<u64, RowError> {
    u64::try_from(value).map_err(|error| RowError::unreadable(column, error))
}

/// Reads a small count back.
pub(crate) fn read_small(column: &'static str, value: i64) -> Result<u32, RowError> {
    u32::try_from(value).map_err(|error| RowError::unreadable(column, error))
}

/// Reads a SHA-256 as a fact has it: 64 hexadecimal digits.
pub(crate) fn hash(column: &'static str, text: &str) -> Result<Vec<u8>, RowError> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(|n| digit(2 * n)).collect();
    let bytes = bytes.filter(|_| text.len() == 64 && text.bytes().all(|it| it != b'+'));
    bytes.ok_or_else(|| RowError::unreadable(column, "it is no SHA-256".to_owned()))
}

/// Reads a SHA-256 back.
pub(crate) fn read_hash(column: &'static str, bytes: Vec<u8>) -> Result<[u8; 32], RowError> {
    let wrong = |_| RowError::unreadable(column, "it is no SHA-256".to_owned());
    bytes.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits_and_nothing_else() {
        assert_eq!(hash("x", &"ab".repeat(32)).unwrap(), vec![0xab; 32]);
        let wrong = ["", &"ab".repeat(31), &"ab".repeat(33), &"xy".repeat(32), &"+1".repeat(32)];
        for wrong in wrong {
            assert!(hash("x", wrong).is_err(), "{wrong}");
        }
        assert_eq!(read_hash("x", vec![7; 32]).unwrap(), [7; 32]);
        assert!(read_hash("x", vec![7; 31]).is_err());
    }

    proptest! {
        #[test]
        fn no_hash_panics(text: String) {
            let _ = hash("x", &text);
        }
    }
}
