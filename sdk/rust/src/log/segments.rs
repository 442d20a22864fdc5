//! The numbered files of one writer: lock first, then files, each record one write.
//!
//! A file that was not created here is never continued, and the rest of a record that was cut
//! short is never written: it would be glued behind another writer's record.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use indexmap::IndexMap;

use crate::ids::new_id;
use crate::log::disk::{self, Disk};
use crate::log::options::PARTS;
use crate::record::Unknown;
use crate::row::SegmentHeader;
use crate::time::timestamp;

/// Writes of one record in one segment; then once more in a new one.
const WRITES_MAX: usize = 2;
const LOCK_TRIES_MAX: usize = 5;
/// Started lines that are carried along; more is a leak.
const RUNNING_MAX: usize = 10_000;

/// One file being written, or waiting for a last sync. Closed with its last owner.
pub(crate) struct Segment {
    pub path: PathBuf,
    pub file: File,
    name_durable: AtomicBool,
}

impl Segment {
    /// Makes what was written so far durable, and before it the file's name.
    pub(crate) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        if !self.name_durable.load(Ordering::Acquire) {
            let directory = self.path.parent().expect("a segment lies in a directory");
            disk.sync_directory(directory)?;
            self.name_durable.store(true, Ordering::Release);
        }
        disk.sync(&self.file)
    }
}

struct Current {
    segment: Arc<Segment>,
    records: u64,
    bytes: u64,
    since: Instant,
}

/// When the next segment begins.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub bytes_max: u64,
    pub age_max: Duration,
}

/// The files of one writer. Not shared between threads; the writer locks.
pub(crate) struct Segments {
    root: PathBuf,
    daemon: String,
    disk: Arc<dyn Disk>,
    limits: Limits,
    writer_id: String,
    lock: Option<File>,
    number: i64,
    current: Option<Current>,
    /// Started lines of sessions without a row, by `row_id`. Every new segment begins with them,
    /// so that a reaper finds them in the newest one, whatever became of the older ones.
    running: IndexMap<String, Arc<[u8]>>,
}

impl Segments {
    pub(crate) fn new(root: PathBuf, daemon: String, disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self {
            root,
            daemon,
            disk,
            limits,
            writer_id: String::new(),
            lock: None,
            number: 0,
            current: None,
            running: IndexMap::new(),
        }
    }

    pub(crate) fn writer_id(&self) -> &str {
        &self.writer_id
    }

    /// Writes one record as newline, line, newline; again and whole while it fails.
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<Arc<Segment>> {
        self.rotate_if_due();
        let record = record(line);
        if let Some(current) = &mut self.current {
            for _ in 0..WRITES_MAX {
                if write_once(&*self.disk, current, &record).is_ok() {
                    return Ok(Arc::clone(&current.segment));
                }
            }
        }
        self.next()?;
        let current = self.current.as_mut().expect("a segment was begun");
        write_once(&*self.disk, current, &record)?;
        Ok(Arc::clone(&current.segment))
    }

    /// Writes a started line, and carries it from segment to segment until [`Segments::end`].
    pub(crate) fn start(&mut self, row_id: &str, line: &[u8]) -> io::Result<()> {
        self.write(line)?;
        if self.running.len() >= RUNNING_MAX {
            self.running.shift_remove_index(0);
        }
        self.running.insert(row_id.to_owned(), line.into());
        Ok(())
    }

    /// Carries the session's started line no further: its row is written.
    pub(crate) fn end(&mut self, row_id: &str) {
        self.running.shift_remove(row_id);
    }

    /// Begins a new segment; the one before is retired, whether that works or not.
    pub(crate) fn next(&mut self) -> io::Result<Arc<Segment>> {
        self.retire();
        let current = self.begin()?;
        Ok(Arc::clone(&self.current.insert(current).segment))
    }

    /// Writes no more to the current segment.
    pub(crate) fn retire(&mut self) {
        self.current = None;
    }

    /// Writes no more to this segment, if it is the current one.
    pub(crate) fn retire_if_current(&mut self, segment: &Arc<Segment>) {
        if self.current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.segment, segment)) {
            self.retire();
        }
    }

    /// Retires a segment that failed, and removes it if no record came into it.
    pub(crate) fn discard_if_empty(&mut self, segment: &Arc<Segment>) {
        let empty = self
            .current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(&current.segment, segment) && current.records == 0);
        self.retire_if_current(segment);
        if empty {
            // What cannot be removed is a segment with a header only, which harms nobody.
            let _ = fs::remove_file(&segment.path);
        }
    }

    /// Retires the current segment if its file was removed from the log; gives its name then.
    pub(crate) fn retire_if_removed(&mut self) -> Option<String> {
        let segment = &self.current.as_ref()?.segment;
        if disk::is_at(&segment.file, &segment.path).unwrap_or(true) {
            return None;
        }
        let name = segment.path.file_name()?.to_string_lossy().into_owned();
        self.retire();
        Some(name)
    }

    /// Lets go of the file and the lock: from now on the writer counts as dead.
    pub(crate) fn release(&mut self) {
        self.retire();
        self.lock = None;
    }

    pub(crate) fn has_current(&self) -> bool {
        self.current.is_some()
    }

    fn rotate_if_due(&mut self) {
        let Some(current) = &self.current else { return };
        let due = current.bytes >= self.limits.bytes_max
            || current.since.elapsed() >= self.limits.age_max;
        if current.records == 0 || !due {
            return;
        }
        match self.begin() {
            Ok(following) => self.current = Some(following),
            Err(_) => {
                // The disk is in trouble, as the next sync will tell; the segment is kept, and
                // the next one is not tried again at every row.
                if let Some(current) = &mut self.current {
                    current.bytes = 0;
                    current.since = Instant::now();
                }
            }
        }
    }

    fn begin(&mut self) -> io::Result<Current> {
        self.hold_lock()?;
        let number = self.number;
        self.number += 1;
        let header = SegmentHeader {
            writer_id: self.writer_id.clone(),
            segment: number,
            daemon: self.daemon.clone(),
            runtime: "rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: timestamp(SystemTime::now()),
            unknown: Unknown::default(),
        };
        let mut first = header.encode().map_err(io::Error::other)?;
        first.push(b'\n');
        let path = self.root.join("active").join(format!("{}-{number}.jsonl", self.writer_id));
        let file = disk::create_for_append(&path)?;
        let segment = Arc::new(Segment { path, file, name_durable: AtomicBool::new(false) });
        let mut current = Current { segment, records: 0, bytes: 0, since: Instant::now() };
        let written = write_once(&*self.disk, &mut current, &first).and_then(|()| {
            let mut lines = self.running.values();
            lines.try_for_each(|line| write_once(&*self.disk, &mut current, &record(line)))
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&current.segment.path);
            return Err(error);
        }
        // What it began with does not count: it would make a segment full before its first row.
        current.records = 0;
        current.bytes = 0;
        Ok(current)
    }

    /// Makes sure that our lock file still tells others that this writer lives.
    fn hold_lock(&mut self) -> io::Result<()> {
        if let Some(lock) = &self.lock {
            if disk::is_at(lock, &lock_path(&self.root, &self.writer_id))? {
                return Ok(());
            }
            self.lock = None;
            // Whoever removed it may have removed the whole log.
            for part in PARTS {
                disk::make_directory(&self.root.join(part))?;
            }
        }
        for _ in 0..LOCK_TRIES_MAX {
            self.writer_id = new_id();
            self.number = 0;
            self.lock = disk::take_lock(&lock_path(&self.root, &self.writer_id))?;
            if self.lock.is_some() {
                return Ok(());
            }
        }
        Err(io::Error::other("no lock file of our own could be made"))
    }
}

fn lock_path(root: &Path, writer_id: &str) -> PathBuf {
    root.join("writers").join(format!("{writer_id}.lock"))
}

/// A newline first: a record that another write of ours left torn must not harm this one.
fn record(line: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(line.len() + 2);
    record.push(b'\n');
    record.extend_from_slice(line);
    record.push(b'\n');
    record
}

fn write_once(disk: &dyn Disk, current: &mut Current, record: &[u8]) -> io::Result<()> {
    let written = disk.write(&current.segment.file, record)?;
    // Even a cut record makes the segment worth keeping for whoever looks into the damage.
    current.records += 1;
    current.bytes += written as u64;
    if written != record.len() {
        let reason = format!("short write: {written} of {} bytes", record.len());
        return Err(io::Error::new(io::ErrorKind::WriteZero, reason));
    }
    Ok(())
}
