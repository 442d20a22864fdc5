//! Ids: how they are minted, and which ones a call gets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

const SAMPLED: u8 = 0x01;
const RANDOM: u8 = 0x02;
const SESSION_ID_CHARS_MAX: usize = 64;

/// Mints a `UUIDv7` as 32 lowercase hex digits: a `row_id`, or a session id of our own.
///
/// Ids of one process rise strictly: 48 bits of milliseconds, 12 bits of the rest of the
/// millisecond, 62 random bits (RFC 9562 section 5.7, method 3 of section 6.2).
///
/// # Panics
/// If the operating system has no random bytes.
#[must_use]
pub fn new_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = tick(since);
    let rise = |last: u64| Some(now.max(last + 1));
    // Relaxed: the order of the ids is the order of this one variable's changes.
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rise);
    let mine = now.max(last.unwrap_or_else(|kept| kept) + 1);
    let high = ((mine >> 12) << 16) | 0x7000 | (mine & 0xfff);
    let low = (u64::from_ne_bytes(random()) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!("{high:016x}{low:016x}")
}

/// Mints a W3C span id: 16 lowercase hex digits, never all zero.
///
/// # Panics
/// If the operating system has no random bytes.
#[must_use]
pub fn new_span_id() -> String {
    format!("{:016x}", u64::from_ne_bytes(random()).max(1))
}

fn random() -> [u8; 8] {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn tick(since: Duration) -> u64 {
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX) & 0xffff_ffff_ffff;
    let rest = u64::from(since.subsec_nanos() % 1_000_000);
    (milliseconds << 12) | (rest * 4096 / 1_000_000)
}

/// Whether a text may be a session id as a caller sends it: `^[A-Za-z0-9._-]{1,64}$`.
#[must_use]
pub fn is_session_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=SESSION_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Gives the trace id of a session id: 32 lowercase hex digits, never all zero.
///
/// 32 hex digits or a dashed UUID: dashes dropped, lowercased. `<16 hex>-<8 hex>`: the 24 digits,
/// then eight zeros. Everything else, and every all-zero result: the first 16 bytes of the SHA-256
/// of the text.
#[must_use]
pub fn trace_id_of(session_id: &str) -> String {
    let hex = |groups: &[usize]| {
        let mut parts = session_id.split('-');
        let fits =
            |length: &usize| parts.next().is_some_and(|part| part.len() == *length && is_hex(part));
        groups.iter().all(fits) && parts.next().is_none()
    };
    let digits = || session_id.replace('-', "").to_ascii_lowercase();
    let trace_id = if hex(&[32]) || hex(&[8, 4, 4, 4, 12]) {
        digits()
    } else if hex(&[16, 8]) {
        digits() + "00000000"
    } else {
        String::new()
    };
    if trace_id.bytes().all(|digit| digit == b'0') {
        let digest = Sha256::digest(session_id.as_bytes());
        let first = digest.iter().take(16).fold(0, |id, byte| (id << 8) | u128::from(*byte));
        return format!("{first:032x}");
    }
    trace_id
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A parent span somewhere: what `traceparent` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 lowercase hex digits, not all zero.
    pub trace_id: String,
    /// 16 lowercase hex digits, not all zero.
    pub span_id: String,
    /// Bit 0 is sampled, bit 1 random; others are not kept.
    pub flags: u8,
}

impl TraceParent {
    /// Reads the `traceparent` fields of a request; `None` unless there is exactly one valid.
    ///
    /// Source: W3C Trace Context level 2, sections 3.2 and 4. A later version than 00 is read as
    /// far as 00 goes.
    #[must_use]
    pub fn parse(fields: &[&str]) -> Option<Self> {
        let [field] = fields else { return None };
        let mut parts = trim(field).splitn(5, '-');
        let mut take = |length: usize| {
            let part = parts.next()?;
            let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (part.len() == length && part.bytes().all(lower)).then_some(part)
        };
        let (version, trace_id, span_id, flags) = (take(2)?, take(32)?, take(16)?, take(2)?);
        let more = parts.next();
        if version == "ff" || (version == "00" && more.is_some()) {
            return None;
        }
        // A header field holds no line break; one that does was not read as a field.
        if more.is_some_and(|text| text.contains('\n')) {
            return None;
        }
        if [trace_id, span_id].iter().any(|id| id.bytes().all(|digit| digit == b'0')) {
            return None;
        }
        Some(Self {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            flags: u8::from_str_radix(flags, 16).ok()? & (SAMPLED | RANDOM),
        })
    }

    /// Formats a version 00 `traceparent`.
    #[must_use]
    pub fn header(&self) -> String {
        let flags = self.flags & (SAMPLED | RANDOM);
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// The ids that one call carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallIds {
    /// Joins everything: header, response, row, trace.
    pub session_id: String,
    /// Of the session id, by [`trace_id_of`].
    pub trace_id: String,
    /// Whether a bad trace-id header was replaced; belongs in the row.
    pub trace_id_replaced: bool,
    /// The caller's span, where our spans go on in the caller's trace.
    pub parent_span_id: Option<String>,
    /// The caller's context, where our spans begin a trace of their own.
    pub link: Option<TraceParent>,
}

impl CallIds {
    /// Decides a call's ids: the header, else the trace context, else minted here.
    ///
    /// `trace_id_fields` are all `X-Lakehouse-Trace-Id` fields; anything but one valid value is
    /// replaced, and noted. `minted_by_tracing` is the id that a tracing middleware minted for
    /// this request, if one did.
    #[must_use]
    pub fn of(
        trace_id_fields: &[&str],
        traceparent_fields: &[&str],
        minted_by_tracing: Option<&str>,
    ) -> Self {
        let parent = TraceParent::parse(traceparent_fields);
        let header = match trace_id_fields {
            [field] => Some(trim(field)).filter(|text| is_session_id(text)),
            _ => None,
        };
        let session_id = header
            .or(parent.as_ref().map(|parent| parent.trace_id.as_str()))
            .or(minted_by_tracing)
            .map_or_else(new_id, str::to_owned);
        let trace_id = trace_id_of(&session_id);
        let (same, link) = match parent {
            Some(parent) if parent.trace_id == trace_id => (Some(parent), None),
            other => (None, other),
        };
        Self {
            session_id,
            trace_id,
            trace_id_replaced: !trace_id_fields.is_empty() && header.is_none(),
            parent_span_id: same.map(|parent| parent.span_id),
            link,
        }
    }
}

/// White space around a header's value is not part of it (RFC 9110).
fn trim(field: &str) -> &str {
    field.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_are_uuid_version_7_and_rise() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let ids: Vec<_> = (0..20_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted_by(|left, right| left < right));
        for id in &ids {
            assert!(id.len() == 32 && is_hex(id) && *id == id.to_lowercase());
            assert_eq!(&id[12..13], "7");
            assert!("89ab".contains(&id[16..17]));
            assert_eq!(trace_id_of(id), *id);
        }
        let minted = u128::from_str_radix(&ids[0][..12], 16).unwrap();
        assert!((before..before + 10_000).contains(&minted));
    }

    #[test]
    fn threads_mint_different_ids() {
        let mint = || (0..1_000).map(|_| new_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(mint)).collect();
        let mut ids: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        // The first half is the tick, which is taken by one thread only.
        for id in &mut ids {
            id.truncate(16);
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4_000);
    }

    #[test]
    fn ticks_hold_the_milliseconds_and_the_rest() {
        assert_eq!(tick(Duration::new(1, 999_999_999)), 1_999 << 12 | 4_095);
        assert_eq!(tick(Duration::new(0, 500_000)), 2_048);
    }

    #[test]
    fn span_ids_are_16_hex_digits() {
        let id = new_span_id();
        assert!(id.len() == 16 && is_hex(&id));
        assert_ne!(id, new_span_id());
    }
}
