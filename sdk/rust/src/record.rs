//! How the contract's objects are read and written: each type names its members once, in order.

use std::borrow::Cow;
use std::fmt;

use crate::json::{self, JsonError, Pair};
use crate::raw::RawJson;

/// Bytes that may not be a line of the log; says why and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    reason: Cow<'static, str>,
    place: String,
    offset: Option<usize>,
}

impl DecodeError {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), place: String::new(), offset: None }
    }

    /// Says the same of a member one level further out.
    pub(crate) fn within(mut self, name: &str) -> Self {
        let dot = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place.insert_str(0, dot);
        self.place.insert_str(0, name);
        self
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Where: a member such as `attempts[0].usage`, or `byte 120`; empty for the whole line.
    #[must_use]
    pub fn place(&self) -> String {
        match self.offset {
            Some(offset) => format!("byte {offset}"),
            None => self.place.clone(),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let colon = if place.is_empty() { "" } else { ": " };
        write!(formatter, "{place}{colon}{}", self.reason)
    }
}

impl std::error::Error for DecodeError {}

impl From<JsonError> for DecodeError {
    fn from(error: JsonError) -> Self {
        let offset = Some(error.offset());
        Self { reason: Cow::Owned(error.reason().to_owned()), place: String::new(), offset }
    }
}

/// Members that this version of the contract does not name, in the order in which they came.
///
/// They are carried from row to row with the bytes of their names and values, after the known
/// members. They come from reading only; a writer of this version has none to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(Vec<UnknownMember>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct UnknownMember {
    name: String,
    name_token: String,
    value: RawJson,
}

impl Unknown {
    /// Names, as they decode, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.0.iter().map(|member| (member.name.as_str(), &member.value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The members of one object, taken by name; what is left over is unknown.
pub(crate) struct Members<'a> {
    pairs: Vec<Option<Pair<'a>>>,
    next: usize,
}

impl<'a> Members<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Self, DecodeError> {
        let pairs = json::members(text).ok_or_else(|| DecodeError::new("not an object"))?;
        Ok(Self { pairs: pairs.into_iter().map(Some).collect(), next: 0 })
    }

    /// Takes a member's value. Free for members in the contract's order.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let is_named =
            |pair: &Option<Pair<'a>>| pair.as_ref().is_some_and(|pair| pair.name == name);
        let here = self.pairs.get(self.next).is_some_and(is_named);
        let found = if here { self.next } else { self.pairs.iter().position(is_named)? };
        self.next = found + 1;
        self.pairs[found].take().map(|pair| pair.value)
    }

    pub(crate) fn into_unknown(self) -> Unknown {
        let left = self.pairs.into_iter().flatten();
        Unknown(
            left.map(|pair| UnknownMember {
                name: pair.name.into_owned(),
                name_token: pair.name_token.to_owned(),
                value: RawJson::checked(pair.value),
            })
            .collect(),
        )
    }
}

/// Writes the members of one object.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut String,
    started: bool,
    /// Names that the line itself uses.
    reserved: &'static [&'static str],
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, started: false, reserved: &[] }
    }

    /// Begins a line: `schema` is its first member, and `crc` will be its last.
    pub(crate) fn line(out: &'a mut String, schema: &str) -> Self {
        out.push_str("{\"schema\":");
        json::write_string(schema, out);
        Self { out, started: true, reserved: &["schema", "crc"] }
    }

    pub(crate) fn member(&mut self, name: &str, value: &impl Member) {
        if value.is_left_out() {
            return;
        }
        self.comma();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        value.write(self.out);
    }

    /// Writes what later versions added, except under a name that is known here: a struct that
    /// was put together of the parts of others must not become a row with duplicate members.
    pub(crate) fn unknown(&mut self, unknown: &Unknown, known: &[&str]) {
        for member in &unknown.0 {
            let name = member.name.as_str();
            if known.contains(&name) || self.reserved.contains(&name) {
                continue;
            }
            self.comma();
            self.out.push_str(&member.name_token);
            self.out.push(':');
            self.out.push_str(member.value.as_str());
        }
    }

    pub(crate) fn end(self) {
        self.out.push('}');
    }

    fn comma(&mut self) {
        if self.started {
            self.out.push(',');
        }
        self.started = true;
    }
}

/// A value that the contract gives a form. `read` gets compact text that was checked as JSON.
pub(crate) trait Member: Sized {
    fn read(text: &str) -> Result<Self, DecodeError>;
    fn write(&self, out: &mut String);

    /// What it means that the member is not there; by default that it is missing.
    fn absent() -> Option<Self> {
        None
    }

    fn is_left_out(&self) -> bool {
        false
    }
}

/// Reads the named member of an object.
pub(crate) fn read_member<T: Member>(
    members: &mut Members<'_>,
    name: &str,
) -> Result<T, DecodeError> {
    match members.take(name) {
        Some(text) => T::read(text).map_err(|error| error.within(name)),
        None => T::absent().ok_or_else(|| DecodeError::new("missing").within(name)),
    }
}

/// An object of the contract, its members in order. See the `record!` macro.
pub(crate) trait Object: Sized {
    const KNOWN: &'static [&'static str];

    fn read_members(members: Members<'_>) -> Result<Self, DecodeError>;
    fn write_members(&self, out: &mut ObjectWriter<'_>);
}

impl<T: Object> Member for T {
    fn read(text: &str) -> Result<Self, DecodeError> {
        T::read_members(Members::of(text)?)
    }

    fn write(&self, out: &mut String) {
        let mut writer = ObjectWriter::new(out);
        self.write_members(&mut writer);
        writer.end();
    }
}

/// Declares a struct of the contract: its fields are its members, in the order of the contract.
macro_rules! record {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$note:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$note])* pub $field: $type,)*
            /// Members that a later version added; empty in what this version makes.
            pub unknown: $crate::record::Unknown,
        }

        impl $crate::record::Object for $name {
            const KNOWN: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read_members(
                mut members: $crate::record::Members<'_>,
            ) -> Result<Self, $crate::record::DecodeError> {
                Ok(Self {
                    $($field: $crate::record::read_member(&mut members, stringify!($field))?,)*
                    unknown: members.into_unknown(),
                })
            }

            fn write_members(&self, out: &mut $crate::record::ObjectWriter<'_>) {
                $(out.member(stringify!($field), &self.$field);)*
                out.unknown(&self.unknown, Self::KNOWN);
            }
        }
    };
}
pub(crate) use record;

/// Declares a closed list of words.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$note])* #[doc = concat!("`", $word, "`")] $variant,)*
        }

        impl $name {
            /// The word as it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl $crate::record::Member for $name {
            fn read(text: &str) -> Result<Self, $crate::record::DecodeError> {
                let word = <String as $crate::record::Member>::read(text)?;
                match word.as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::record::DecodeError::new(format!(
                        "{word:?} is none of {}", [$($word),*].join(", ")
                    ))),
                }
            }

            fn write(&self, out: &mut String) {
                $crate::json::write_string(self.as_str(), out);
            }
        }
    };
}
pub(crate) use words;

/// A word that a later version wrote. It comes from reading only: this version has none to make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaterWord(String);

impl LaterWord {
    /// The word as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn read(word: String) -> Result<Self, DecodeError> {
        let is_word = (1..=40).contains(&word.len())
            && word.bytes().all(|letter| letter == b'_' || letter.is_ascii_lowercase());
        if is_word {
            return Ok(Self(word));
        }
        Err(DecodeError::new(format!("{word:?} is no word of 1 to 40 of a to z and _")))
    }
}

/// Declares a list of words that grows: closed for writers, open for readers.
macro_rules! growing_words {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        ///
        /// The list grows: a row of a later version may hold a word that is none of these.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$note])* #[doc = concat!("`", $word, "`")] $variant,)*
            /// One that a later version wrote.
            Later($crate::record::LaterWord),
        }

        impl $name {
            /// The word as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Later(word) => word.as_str(),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl $crate::record::Member for $name {
            fn read(text: &str) -> Result<Self, $crate::record::DecodeError> {
                let word = <String as $crate::record::Member>::read(text)?;
                match word.as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => $crate::record::LaterWord::read(word).map(Self::Later),
                }
            }

            fn write(&self, out: &mut String) {
                $crate::json::write_string(self.as_str(), out);
            }
        }
    };
}
pub(crate) use growing_words;

/// `Option` means `null` for these types.
macro_rules! nullable {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::record::Member for Option<$type> {
            fn read(text: &str) -> Result<Self, $crate::record::DecodeError> {
                if text == "null" { Ok(None) } else { <$type>::read(text).map(Some) }
            }

            fn write(&self, out: &mut String) {
                match self {
                    None => out.push_str("null"),
                    Some(value) => value.write(out),
                }
            }
        }
    )*};
}
pub(crate) use nullable;

/// `Option` means that the member is left out for these types; `null` is no value of theirs,
/// except of [`RawJson`], to which it is one like any other.
macro_rules! left_out {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::record::Member for Option<$type> {
            fn read(text: &str) -> Result<Self, $crate::record::DecodeError> {
                <$type>::read(text).map(Some)
            }

            fn write(&self, out: &mut String) {
                if let Some(value) = self {
                    value.write(out);
                }
            }

            fn absent() -> Option<Self> {
                Some(None)
            }

            fn is_left_out(&self) -> bool {
                self.is_none()
            }
        }
    )*};
}
pub(crate) use left_out;
