//! Session rows of Lakehouse for Rust programs: canonical bytes, ids, and a durable log writer.
//!
//! Lakehouse rows are written by Python, Go and Rust programs into one stream. This library is the
//! Rust side of that contract, version 1 (`spec/v1` in the repository), and nothing else: it calls
//! no model, validates no answer, and reads no log.
//!
//! - [`SessionRow`], [`Started`] and [`SegmentHeader`] are the lines of a log. They decode strictly
//!   and encode to the contract's very bytes; what they do not know, they carry along.
//! - [`new_id`], [`trace_id_of`] and [`CallIds`] are the id rules that join everything.
//! - [`SessionLog`] appends: one file of its own, one `write(2)` a row, acknowledged after
//!   `fdatasync`.
//!
//! A whole program is `examples/append_row.rs`; carrying a row of anybody's, whole:
//!
//! ```
//! use lakehouse_sessionlog::SessionRow;
//!
//! fn rename(line: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let mut row = SessionRow::decode(line)?;
//!     row.daemon = "archive".to_owned();
//!     Ok(row.encode()?) // members that a later version added are still there
//! }
//! # assert!(rename(b"{}").is_err());
//! ```
//!
//! # Units and bounds
//!
//! Times are milliseconds or [`timestamp`]s, sizes bytes of UTF-8. A line has at most 8 MiB
//! ([`LINE_BYTES_MAX`]), a raw value at most 64 levels of nesting, a whole line 80. Numbers that the
//! contract defines are 64-bit integers; all others keep their digits.

mod codec;
mod ids;
mod json;
mod log;
mod raw;
mod record;
mod row;
#[cfg(test)]
mod test_rows;
mod time;
mod values;

pub use codec::{LINE_BYTES_MAX, TooLong, crc_holds};
/// The map of `metadata`, which keeps its order.
pub use indexmap::IndexMap;

pub use ids::{CallIds, TraceParent, is_session_id, new_id, new_span_id, trace_id_of};
pub use json::JsonError;
pub use log::{Durability, LogError, Options, SessionLog};
pub use raw::{RawJson, RawNumber};
pub use record::{DecodeError, LaterWord, Unknown};
pub use row::*;
pub use time::timestamp;

/// The README's programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
