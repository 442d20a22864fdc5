//! The system calls the log stands on: what tests replace to inject faults.
//!
//! Nothing is retried or mended here; what a failed call means is decided by the writer.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock, statvfs};

const FREE_BYTES_MIN: u64 = 16 << 20;
const FREE_BYTES_MAX: u64 = 256 << 20;

/// Writes and syncs; everything else that a writer does is not worth faking.
pub(crate) trait Disk: Send + Sync {
    /// Appends with a single system call; the count that it took may be short.
    fn write(&self, file: &File, data: &[u8]) -> io::Result<usize>;

    /// Makes a file's data durable.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes the names in a directory durable; syncing a file does not do that.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's.
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, mut file: &File, data: &[u8]) -> io::Result<usize> {
        file.write(data)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // fdatasync, or F_FULLFSYNC where fsync stops at the drive's cache.
        file.sync_data()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Creates a file of our own for appending, 0600, closed on exec.
pub(crate) fn create_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Creates a lock file and holds it exclusively; `None` if somebody else got in between.
///
/// The open file is the lock: it lasts until it is closed or the process ends, however it ends.
pub(crate) fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(no_follow);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        opened => opened?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // A reaper may have removed the file between the open and the lock; a lock on a file without
    // a name would tell nobody that we live.
    Ok(is_at(&file, path)?.then_some(file))
}

/// Whether an open file is still the one at a path.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let ours = file.metadata()?;
    Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino()))
}

/// Creates a directory, 0700, and those above it, each with a durable name; true if it was there.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_directory(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    // A row is only as durable as the names that lead to it.
    SystemDisk.sync_directory(above.unwrap_or(Path::new(".")))
}

/// Whether others than the owner may write to a directory.
pub(crate) fn is_shared(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o022 != 0)
}

/// The bytes that are free for us, and those below which no session is taken on.
pub(crate) fn free_bytes(path: &Path) -> io::Result<(u64, u64)> {
    let status = statvfs(path)?;
    let free = status.f_bavail.saturating_mul(status.f_frsize);
    let total = status.f_blocks.saturating_mul(status.f_frsize);
    Ok((free, (total / 50).clamp(FREE_BYTES_MIN, FREE_BYTES_MAX)))
}
