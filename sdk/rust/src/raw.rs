//! JSON that is carried, not read: it keeps the bytes of its numbers, strings and names.

use std::fmt;
use std::str::FromStr;

use crate::json::{self, JsonError};

/// One JSON value with its own bytes, white space between tokens aside.
///
/// `1.10` stays `1.10`, 2^64 stays exact, members keep their order and strings their escapes.
/// Made by parsing text, which is strict: no duplicate members, no lone surrogates, no `NaN`, at
/// most 64 levels. To read one, hand [`RawJson::as_str`] to `serde_json`.
///
/// ```
/// # use lakehouse_sessionlog::RawJson;
/// let artifact: RawJson = r#"{ "delay": 1.10 }"#.parse()?;
/// assert_eq!(artifact.as_str(), r#"{"delay":1.10}"#);
/// # Ok::<(), lakehouse_sessionlog::JsonError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(String);

impl RawJson {
    /// The value `null`, which stands for "nothing" in `artifact` and `inline_schema`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The compact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes text that was checked and compacted as part of a line.
    pub(crate) fn checked(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for RawJson {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        json::compact(text.as_bytes(), json::DEPTH_MAX).map(Self)
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One JSON number with its own digits, such as a temperature of `0.70`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawNumber(String);

impl RawNumber {
    /// The digits as they came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn checked(text: &str) -> Option<Self> {
        text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            .then(|| Self(text.to_owned()))
    }
}

impl FromStr for RawNumber {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        let compact = json::compact(text.as_bytes(), 0)?;
        Self::checked(&compact).ok_or_else(|| JsonError::at_start("not a number"))
    }
}

impl From<i64> for RawNumber {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for RawNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_number() {
        for text in ["0.70", "-0", "1e400", "18446744073709551616"] {
            assert_eq!(text.parse::<RawNumber>().unwrap().as_str(), text);
        }
        for text in ["null", "\"1\"", "[1]", "NaN", "", "1 1"] {
            assert!(text.parse::<RawNumber>().is_err(), "{text}");
        }
        assert_eq!(RawNumber::from(-7).to_string(), "-7");
    }

    #[test]
    fn null_is_null_however_it_came() {
        assert!(RawJson::null().is_null());
        assert!(" null ".parse::<RawJson>().unwrap().is_null());
        assert!(!"\"null\"".parse::<RawJson>().unwrap().is_null());
    }
}
