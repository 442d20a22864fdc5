//! What a caller sets and hears, and whether a directory may be a log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::codec::TooLong;
use crate::log::disk;

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The row survives a power cut: it is acknowledged after `fdatasync`.
    #[default]
    Commit,
    /// The row survives the process, not the machine: it is in the page cache.
    Os,
}

/// How a writer writes. The default is what a daemon wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an acknowledgement means.
    pub durability: Durability,
    /// A segment with so many bytes is followed by another; 64 MiB.
    pub segment_bytes_max: u64,
    /// So is one that is so old and has a row; an hour.
    pub segment_age_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Commit,
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(3_600),
        }
    }
}

/// Why something is not in the log, as far as anyone knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogError {
    /// The directory cannot be used; says why and what to do. Nothing was started.
    Setup(String),
    /// The line would take more than 8 MiB. The log is fine.
    TooLong(TooLong),
    /// The disk did not take it. The writer tries again by itself; so may the caller, with the
    /// same `row_id`.
    Unavailable(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(reason) => write!(formatter, "session log: {reason}"),
            Self::TooLong(error) => error.fmt(formatter),
            Self::Unavailable(reason) => {
                write!(formatter, "the session log cannot be written: {reason}")
            }
        }
    }
}

impl std::error::Error for LogError {}

impl From<TooLong> for LogError {
    fn from(error: TooLong) -> Self {
        Self::TooLong(error)
    }
}

/// The directories that a writer needs in a log.
pub(crate) const PARTS: [&str; 3] = ["active", "sealed", "writers"];

/// Makes a log directory ready for a writer. The log itself may be reached through a symbolic
/// link, its parts may not.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, LogError> {
    let unusable =
        |error: io::Error| LogError::Setup(format!("cannot use {}: {error}", path.display()));
    disk::make_directory(path).map_err(unusable)?;
    let root = path.canonicalize().map_err(unusable)?;
    check_private(&root)?;
    for part in PARTS.map(|name| root.join(name)) {
        if part.is_symlink() {
            let reason = "is a symbolic link; it must be a directory of its own";
            return Err(LogError::Setup(format!("{} {reason}", part.display())));
        }
        disk::make_directory(&part).map_err(unusable)?;
        check_private(&part)?;
    }
    Ok(root)
}

fn check_private(path: &Path) -> Result<(), LogError> {
    let name = path.display();
    match disk::is_shared(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(LogError::Setup(format!(
            "others may write to {name}, and so could forge or remove rows: chmod go-w {name}"
        ))),
        Err(error) => Err(LogError::Setup(format!("cannot use {name}: {error}"))),
    }
}
