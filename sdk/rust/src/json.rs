//! Strict JSON as text: checked once, white space dropped, every other byte kept.
//!
//! `serde_json` decides what a string means and how one is written. It is not asked about
//! structure: it keeps the last of two duplicate members, does not look for lone surrogates in raw
//! values, and does not give the bytes of names, all of which the contract needs.

use std::borrow::Cow;
use std::fmt;

/// Nesting allowed in a value of its own. `[[]]` is 2.
pub(crate) const DEPTH_MAX: usize = 64;
/// Nesting allowed in a line: a value of [`DEPTH_MAX`] stands five levels deep in its row.
pub(crate) const LINE_DEPTH_MAX: usize = 80;

/// Text that is not JSON as the contract accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    reason: Cow<'static, str>,
    offset: usize,
}

impl JsonError {
    /// Where it was noticed, in bytes from the start of the text.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn at_start(reason: &'static str) -> Self {
        Self { reason: Cow::Borrowed(reason), offset: 0 }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for JsonError {}

/// Checks bytes as strict JSON and gives them back without the white space between tokens.
///
/// Refused: invalid UTF-8, a byte order mark, duplicate members (names compared as they decode),
/// lone surrogates, `NaN` and infinities, nesting over `depth_max`, anything after the value.
/// Numbers keep their bytes, whatever their size.
pub(crate) fn compact(data: &[u8], depth_max: usize) -> Result<String, JsonError> {
    let text = std::str::from_utf8(data).map_err(|error| JsonError {
        reason: Cow::Borrowed("invalid UTF-8"),
        offset: error.valid_up_to(),
    })?;
    let mut scanner = Scanner {
        text,
        position: 0,
        depth_left: depth_max,
        depth_max,
        out: String::with_capacity(text.len()),
    };
    scanner.value()?;
    scanner.skip_space();
    if scanner.position < text.len() {
        return Err(scanner.error("something after the value"));
    }
    Ok(scanner.out)
}

struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth_left: usize,
    depth_max: usize,
    out: String,
}

impl<'a> Scanner<'a> {
    fn value(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(_) => Err(self.error("not a JSON value")),
            None => Err(self.error("the text ends where a value should be")),
        }
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        if self.depth_left == 0 {
            return Err(self.error(format!("nested deeper than {}", self.depth_max)));
        }
        self.depth_left -= 1;
        inside(self)?;
        self.depth_left += 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        let mut names: Vec<Cow<'a, str>> = Vec::new();
        self.take(b'{')?;
        self.skip_space();
        if self.peek() != Some(b'}') {
            loop {
                self.skip_space();
                names.push(decode_string(self.string()?));
                self.skip_space();
                self.take(b':')?;
                self.value()?;
                self.skip_space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.take(b',')?;
            }
        }
        self.take(b'}')?;
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => Err(JsonError {
                reason: Cow::Owned(format!("duplicate member {:?} in the object", pair[0])),
                offset: start,
            }),
        }
    }

    fn array(&mut self) -> Result<(), JsonError> {
        self.take(b'[')?;
        self.skip_space();
        if self.peek() != Some(b']') {
            loop {
                self.value()?;
                self.skip_space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.take(b',')?;
            }
        }
        self.take(b']')
    }

    /// Takes a string token and gives it, quotes included.
    fn string(&mut self) -> Result<&'a str, JsonError> {
        let start = self.position;
        if self.peek() != Some(b'"') {
            return Err(self.error("not a string"));
        }
        self.position += 1;
        loop {
            match self.peek() {
                None => return Err(self.error("a string without an end")),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.position += 1,
            }
        }
        self.position += 1;
        Ok(self.keep_from(start))
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.byte_at(self.position + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 2,
            Some(b'u') => match self.escaped_unit(self.position) {
                None => return Err(self.error("an escape of less than four hex digits")),
                Some(0xd800..=0xdbff) => match self.escaped_unit(self.position + 6) {
                    Some(0xdc00..=0xdfff) => self.position += 12,
                    _ => return Err(self.error("a lone surrogate")),
                },
                Some(0xdc00..=0xdfff) => return Err(self.error("a lone surrogate")),
                Some(_) => self.position += 6,
            },
            _ => return Err(self.error("no such escape")),
        }
        Ok(())
    }

    fn escaped_unit(&self, position: usize) -> Option<u16> {
        let token = self.text.as_bytes().get(position..position + 6)?;
        let digits = token.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            let value = char::from(*digit).to_digit(16)?;
            Some(unit << 4 | u16::try_from(value).ok()?)
        })
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        if self.peek() == Some(b'0') {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        self.keep_from(start);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        if self.position == start {
            return Err(self.error("a digit is missing"));
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        let start = self.position;
        if !self.text.as_bytes()[start..].starts_with(word.as_bytes()) {
            return Err(self.error("not a JSON value"));
        }
        self.position += word.len();
        self.keep_from(start);
        Ok(())
    }

    fn take(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(format!("`{}` is missing", char::from(byte))));
        }
        let start = self.position;
        self.position += 1;
        self.keep_from(start);
        Ok(())
    }

    /// Copies a whole token; tokens begin and end with ASCII, so the cut is between characters.
    fn keep_from(&mut self, start: usize) -> &'a str {
        let text = self.text;
        let token = &text[start..self.position];
        self.out.push_str(token);
        token
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.byte_at(self.position)
    }

    fn byte_at(&self, position: usize) -> Option<u8> {
        self.text.as_bytes().get(position).copied()
    }

    fn error(&self, reason: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError { reason: reason.into(), offset: self.position }
    }
}

// --- Taking compact text apart. It was checked, so nothing here can fail. -----------------------

/// One member of an object: its name as it decodes, and the bytes of name and value.
pub(crate) struct Pair<'a> {
    pub name: Cow<'a, str>,
    pub name_token: &'a str,
    pub value: &'a str,
}

/// Splits a compact object into its members; `None` if the value is no object.
pub(crate) fn members(text: &str) -> Option<Vec<Pair<'_>>> {
    let mut pairs = Vec::new();
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
    while !rest.is_empty() {
        let (name_token, after) = rest.split_at(value_end(rest));
        let after = &after[1..];
        let (value, after) = after.split_at(value_end(after));
        pairs.push(Pair { name: decode_string(name_token), name_token, value });
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(pairs)
}

/// Splits a compact array into its elements; `None` if the value is no array.
pub(crate) fn elements(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?;
    while !rest.is_empty() {
        let (item, after) = rest.split_at(value_end(rest));
        items.push(item);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(items)
}

/// Where the value ends that compact text begins with.
fn value_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'"' => {
                position += 1;
                while bytes[position] != b'"' {
                    position += if bytes[position] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b':' | b'}' | b']' if depth == 0 => return position,
            _ => {}
        }
        position += 1;
        if depth == 0 && matches!(bytes[position - 1], b'"' | b'}' | b']') {
            return position;
        }
    }
    position
}

/// Decodes a string token that was checked.
pub(crate) fn decode_string(token: &str) -> Cow<'_, str> {
    let inside = &token[1..token.len() - 1];
    if inside.contains('\\') {
        let text = serde_json::from_str(token).expect("the token was checked");
        return Cow::Owned(text);
    }
    Cow::Borrowed(inside)
}

/// Writes a string: only `"`, `\` and U+0000 to U+001F are escaped, in their short form if any.
pub(crate) fn write_string(text: &str, out: &mut String) {
    // serde_json escapes exactly what the contract escapes; `strings.json` holds it to that.
    out.push_str(&serde_json::to_string(text).expect("a string always has a JSON form"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tight(text: &str) -> Result<String, JsonError> {
        compact(text.as_bytes(), DEPTH_MAX)
    }

    fn vectors(name: &str) -> serde_json::Value {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/v1/vectors/");
        let text = std::fs::read_to_string(format!("{root}{name}")).expect("the vectors are there");
        serde_json::from_str(&text).expect("the vectors are JSON")
    }

    #[test]
    fn strings_are_written_as_the_vectors_say() {
        let vectors = vectors("strings.json");
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() >= 30);
        for case in cases {
            let came = case["in"].as_str().unwrap();
            let written = tight(came).ok().map(|token| {
                assert_eq!(token, came, "a raw value keeps its bytes");
                let mut out = String::new();
                write_string(&decode_string(&token), &mut out);
                out
            });
            assert_eq!(written.as_deref(), case["out"].as_str(), "{}", case["why"]);
        }
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        let text =
            " { \"a b\" :\t[ 1.10 , -0 , 1E+7,18446744073709551616 ]\r\n, \"\\u0062\":{ } } ";
        let expected = r#"{"a b":[1.10,-0,1E+7,18446744073709551616],"\u0062":{}}"#;
        assert_eq!(tight(text).unwrap(), expected);
        assert_eq!(tight(expected).unwrap(), expected);
    }

    #[test]
    fn what_is_not_strict_json_is_refused_with_its_place() {
        let refused = [
            ("", 0),
            (" ", 1),
            ("{\"a\":1,\"a\":2}", 0),
            ("[{\"a\":1,\"\\u0061\":2}]", 1),
            ("\"\\ud800\"", 1),
            ("{\"\\udc00\":1}", 2),
            ("NaN", 0),
            ("-Infinity", 1),
            ("01", 1),
            ("+1", 0),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("nul", 0),
            ("truex", 4),
            ("1 2", 2),
            ("[1", 2),
            ("\"a", 2),
            ("\"\u{1}\"", 1),
            ("\u{feff}1", 0),
            ("1/**/", 1),
            ("\"\\u00", 1),
        ];
        for (text, offset) in refused {
            let error = tight(text).expect_err(text);
            assert_eq!(error.offset(), offset, "{text:?}: {error}");
        }
        assert_eq!(compact(b"\"\xff\"", 64).unwrap_err().offset(), 1);
        assert_eq!(compact(b"\"\xed\xa0\x80\"", 64).unwrap_err().offset(), 1);
        assert_eq!(compact(b"\"\xc0\xaf\"", 64).unwrap_err().offset(), 1);
    }

    #[test]
    fn depth_counts_what_is_open_at_once() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(tight(&nested(64)).is_ok());
        assert!(tight(&nested(65)).is_err());
        let wide = format!("[{}]", vec!["{}"; 1000].join(","));
        assert_eq!(compact(wide.as_bytes(), 2).unwrap(), wide);
        assert!(compact(wide.as_bytes(), 1).is_err());
    }

    #[test]
    fn objects_and_arrays_come_apart_at_their_own_commas() {
        let text = r#"{"a":[1,{"b":"},\""}],"\u0063":"x,\\","":null,"d":-1.5e3}"#;
        let found: Vec<_> = members(text)
            .unwrap()
            .into_iter()
            .map(|pair| (pair.name.into_owned(), pair.name_token, pair.value))
            .collect();
        let expected = [
            ("a", r#""a""#, r#"[1,{"b":"},\""}]"#),
            ("c", r#""\u0063""#, r#""x,\\""#),
            ("", r#""""#, "null"),
            ("d", r#""d""#, "-1.5e3"),
        ];
        let expected: Vec<_> =
            expected.map(|(name, token, value)| (name.to_owned(), token, value)).into();
        assert_eq!(found, expected);
        let items = elements(r#"[1,"a,]",[],{},[[2],3],true]"#).unwrap();
        assert_eq!(items, ["1", r#""a,]""#, "[]", "{}", "[[2],3]", "true"]);
        assert!(members("{}").unwrap().is_empty());
        assert!(elements("[]").unwrap().is_empty());
        assert!(members("[]").is_none());
        assert!(elements("{}").is_none());
        assert!(elements("\"[]\"").is_none());
    }
}
