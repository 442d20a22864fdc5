//! Lines of the log as bytes: members in the contract's order, no white space, `crc` last.

use std::fmt::{self, Write};

use crate::json;
use crate::record::{DecodeError, Member, Members, Object, ObjectWriter};
use crate::row::{SegmentHeader, SessionRow, Started};

/// Bytes that a line may have at most, `crc` included, newlines not.
pub const LINE_BYTES_MAX: usize = 8 << 20;

/// Bytes of `,"crc":"xxxxxxxx"}`, which every line of ours ends in.
const CRC_BYTES: usize = 18;
const CRC_START: &[u8] = b",\"crc\":\"";
const CRC_END: &[u8] = b"\"}";

/// A record whose line would take more than [`LINE_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// What it would take.
    pub bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes; a line has at most {LINE_BYTES_MAX}", self.bytes)
    }
}

impl std::error::Error for TooLong {}

/// A record that is a line of its own.
pub(crate) trait Line: Object {
    const SCHEMA: &'static str;
}

macro_rules! line_methods {
    ($($type:ty),*) => {$(
        impl $type {
            /// The value of the member `schema`, which the struct does not carry.
            pub const SCHEMA: &'static str = <$type as Line>::SCHEMA;

            /// Encodes the line, `crc` last, without newlines.
            ///
            /// # Errors
            /// [`TooLong`] over 8 MiB. Nothing is cut here.
            pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
                encode(self)
            }

            /// Reads one line, without its newlines, strictly.
            ///
            /// A line without `crc` is let through; where that is damage, the log says so.
            ///
            /// # Errors
            /// [`DecodeError`] if the bytes may not be such a line: not strict JSON, deeper than
            /// 80, over 8 MiB, a line break inside, another `schema`, a `crc` that does not hold
            /// or is not last, a member that is missing or has the wrong type or word.
            pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
                decode(line)
            }
        }
    )*};
}

line_methods!(SessionRow, Started, SegmentHeader);

/// Checks a line's `crc`: CRC-32 (IEEE) of all bytes before its last 18. `None` if there is none.
#[must_use]
pub fn crc_holds(line: &[u8]) -> Option<bool> {
    let (body, tail) = line.split_at_checked(line.len().checked_sub(CRC_BYTES)?)?;
    let digits = tail.strip_prefix(CRC_START)?.strip_suffix(CRC_END)?;
    Some(digits == format!("{:08x}", crc32fast::hash(body)).as_bytes())
}

fn encode<T: Line>(record: &T) -> Result<Vec<u8>, TooLong> {
    let mut line = String::new();
    let mut writer = ObjectWriter::line(&mut line, T::SCHEMA);
    record.write_members(&mut writer);
    let crc = crc32fast::hash(line.as_bytes());
    write!(line, ",\"crc\":\"{crc:08x}\"}}").expect("a String takes everything");
    if line.len() > LINE_BYTES_MAX {
        return Err(TooLong { bytes: line.len() });
    }
    Ok(line.into_bytes())
}

fn decode<T: Line>(line: &[u8]) -> Result<T, DecodeError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(DecodeError::new(TooLong { bytes: line.len() }.to_string()));
    }
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(DecodeError::new("a line break inside the line"));
    }
    let crc = crc_holds(line);
    if crc == Some(false) {
        return Err(DecodeError::new("the crc does not match"));
    }
    let text = json::compact(line, json::LINE_DEPTH_MAX)?;
    let mut members = Members::of(&text)?;
    let schema = members.take("schema").map(String::read).transpose().ok().flatten();
    if schema.as_deref() != Some(T::SCHEMA) {
        return Err(DecodeError::new(format!("`schema` is not {:?}", T::SCHEMA)));
    }
    if members.take("crc").is_some() && crc.is_none() {
        let reason = "`crc` is not the last member, or not eight lowercase hex digits";
        return Err(DecodeError::new(reason));
    }
    T::read_members(members)
}
