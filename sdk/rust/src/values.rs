//! The contract's own kinds of value: texts, 64-bit integers, raw JSON, lists and maps.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::json::{self, Pair};
use crate::raw::{RawJson, RawNumber};
use crate::record::{DecodeError, Member, left_out, nullable};

impl Member for String {
    fn read(text: &str) -> Result<Self, DecodeError> {
        if !text.starts_with('"') {
            return Err(DecodeError::new("not a string"));
        }
        Ok(json::decode_string(text).into_owned())
    }

    fn write(&self, out: &mut String) {
        json::write_string(self, out);
    }
}

impl Member for i64 {
    fn read(text: &str) -> Result<Self, DecodeError> {
        text.parse().map_err(|_| DecodeError::new("not an integer of 64 bits"))
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl Member for bool {
    fn read(text: &str) -> Result<Self, DecodeError> {
        text.parse().map_err(|_| DecodeError::new("neither true nor false"))
    }

    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Member for RawJson {
    fn read(text: &str) -> Result<Self, DecodeError> {
        Ok(Self::checked(text))
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

impl Member for RawNumber {
    fn read(text: &str) -> Result<Self, DecodeError> {
        Self::checked(text).ok_or_else(|| DecodeError::new("not a number"))
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

impl<T: Member> Member for Vec<T> {
    fn read(text: &str) -> Result<Self, DecodeError> {
        let items = json::elements(text).ok_or_else(|| DecodeError::new("not a list"))?;
        let read =
            |(index, item)| T::read(item).map_err(|error| error.within(&format!("[{index}]")));
        items.into_iter().enumerate().map(read).collect()
    }

    fn write(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            item.write(out);
        }
        out.push(']');
    }
}

impl Member for IndexMap<String, String> {
    fn read(text: &str) -> Result<Self, DecodeError> {
        read_map(text)
    }

    fn write(&self, out: &mut String) {
        write_map(self, out);
    }
}

impl Member for BTreeMap<String, String> {
    fn read(text: &str) -> Result<Self, DecodeError> {
        read_map(text)
    }

    fn write(&self, out: &mut String) {
        write_map(self, out);
    }
}

fn read_map<T: FromIterator<(String, String)>>(text: &str) -> Result<T, DecodeError> {
    let pairs = json::members(text).ok_or_else(|| DecodeError::new("not an object"))?;
    let read = |pair: Pair<'_>| match String::read(pair.value) {
        Ok(value) => Ok((pair.name.into_owned(), value)),
        Err(error) => Err(error.within(&pair.name)),
    };
    pairs.into_iter().map(read).collect()
}

fn write_map<'a>(map: impl IntoIterator<Item = (&'a String, &'a String)>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in map.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(name, out);
        out.push(':');
        json::write_string(value, out);
    }
    out.push('}');
}

nullable!(String, i64, bool, RawNumber);
left_out!(RawJson);
