//! The writer against a disk that fails on command.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::log::disk::{Disk, SystemDisk};
use crate::log::{Durability, LogError, Options, SessionLog};
use crate::test_rows::{row, started};
use crate::{SegmentHeader, SessionRow, Started, crc_holds, new_id};

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lakehouse-sessionlog-{}", new_id())))
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("active")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort_unstable();
        paths
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Copy)]
enum Fault {
    None,
    Error,
    /// Only so many bytes are taken.
    Short(usize),
}

/// The system's, with the faults that are queued; writes and syncs have queues of their own.
#[derive(Default)]
struct FaultyDisk {
    writes: Mutex<VecDeque<Fault>>,
    syncs: Mutex<VecDeque<Fault>>,
    directory_syncs: AtomicUsize,
    file_syncs: AtomicUsize,
    /// While held, syncs wait; for rows that come meanwhile.
    gate: Mutex<bool>,
    opened: Condvar,
}

impl FaultyDisk {
    fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        self.writes.lock().unwrap().extend(faults);
    }

    fn fail_syncs(&self, faults: impl IntoIterator<Item = Fault>) {
        self.syncs.lock().unwrap().extend(faults);
    }

    fn hold_syncs(&self, hold: bool) {
        *self.gate.lock().unwrap() = hold;
        self.opened.notify_all();
    }
}

fn next(faults: &Mutex<VecDeque<Fault>>) -> Fault {
    faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
}

fn full() -> io::Error {
    io::Error::other("no space is left, says the test")
}

impl Disk for FaultyDisk {
    fn write(&self, file: &File, data: &[u8]) -> io::Result<usize> {
        match next(&self.writes) {
            Fault::None => SystemDisk.write(file, data),
            Fault::Short(bytes) => SystemDisk.write(file, &data[..bytes]),
            Fault::Error => Err(full()),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.file_syncs.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap();
        drop(self.opened.wait_while(gate, |held| *held).unwrap());
        match next(&self.syncs) {
            Fault::None => SystemDisk.sync(file),
            Fault::Error | Fault::Short(_) => Err(full()),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.directory_syncs.fetch_add(1, Ordering::SeqCst);
        SystemDisk.sync_directory(path)
    }
}

fn open(directory: &Directory) -> (Arc<SessionLog>, Arc<FaultyDisk>) {
    open_with(directory, &Options::default())
}

fn open_with(directory: &Directory, options: &Options) -> (Arc<SessionLog>, Arc<FaultyDisk>) {
    let disk = Arc::new(FaultyDisk::default());
    let ours: Arc<dyn Disk> = Arc::clone(&disk) as _;
    let log = SessionLog::open_on(&directory.0, "test", options, ours).unwrap();
    (Arc::new(log), disk)
}

/// Lines of a segment that are not blank, and whether each is whole.
fn lines(path: &Path) -> Vec<(String, bool)> {
    let bytes = fs::read(path).unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| (String::from_utf8_lossy(line).into_owned(), crc_holds(line) == Some(true)))
        .collect()
}

/// Row ids of the good rows of a log, sorted, a row that was written twice twice.
fn row_ids(directory: &Directory) -> Vec<String> {
    let mut found = Vec::new();
    for path in directory.segments() {
        let rows = lines(&path).into_iter().filter(|(_, whole)| *whole);
        let rows = rows.filter_map(|(line, _)| SessionRow::decode(line.as_bytes()).ok());
        found.extend(rows.map(|row| row.row_id));
    }
    found.sort_unstable();
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Waits until something holds; bounded.
fn until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_segment_begins_with_its_header_and_rows_stand_between_newlines() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    let (first, second) = (row(), row());
    log.append(&first).unwrap();
    log.append(&second).unwrap();
    let segments = directory.segments();
    let [path] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("{}-0.jsonl", log.writer_id()));
    let bytes = fs::read(path).unwrap();
    let header_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let header = SegmentHeader::decode(&bytes[..header_end]).unwrap();
    assert_eq!(header.writer_id, log.writer_id());
    assert_eq!((header.segment, &*header.daemon, &*header.runtime), (0, "test", "rust"));
    let expected =
        [b"\n\n", &first.encode().unwrap()[..], b"\n\n", &second.encode().unwrap()[..], b"\n"];
    assert_eq!(bytes[header_end..], expected.concat());
    assert_eq!(disk.directory_syncs.load(Ordering::SeqCst), 1);
    for part in ["", "active", "sealed", "writers"] {
        assert_eq!(mode(&directory.0.join(part)), 0o700, "{part}");
    }
    assert_eq!(mode(path), 0o600);
    let lock = directory.0.join("writers").join(format!("{}.lock", log.writer_id()));
    assert_eq!(mode(&lock), 0o600);
}

#[test]
fn the_lock_is_held_for_the_writers_life() {
    let directory = Directory::new();
    let (log, _) = open(&directory);
    let path = directory.0.join("writers").join(format!("{}.lock", log.writer_id()));
    let lock = File::open(&path).unwrap();
    let free =
        || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok();
    assert!(!free());
    log.close();
    assert!(free());
    assert!(path.exists(), "only the reaper removes it");
    assert!(matches!(log.append(&row()), Err(LogError::Unavailable(_))));
    assert!(log.check_writable().is_err());
}

#[test]
fn a_short_write_is_a_failed_row_and_is_written_whole_again() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    let row = row();
    disk.fail_writes([Fault::Short(100)]);
    log.append(&row).unwrap();
    let segments = directory.segments();
    assert_eq!(segments.len(), 1);
    let found = lines(&segments[0]);
    let whole: Vec<_> = found.iter().map(|(_, whole)| *whole).collect();
    assert_eq!(whole, [true, false, true]);
    assert_eq!(found[1].0.as_bytes(), &row.encode().unwrap()[..99]);
    assert_eq!(row_ids(&directory), [row.row_id]);
}

#[test]
fn a_segment_that_takes_nothing_is_followed_by_another() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    let row = row();
    disk.fail_writes([Fault::Error, Fault::Short(0)]);
    log.append(&row).unwrap();
    assert_eq!(directory.segments().len(), 2);
    assert_eq!(row_ids(&directory), [row.row_id]);
    assert_eq!(log.check_writable(), Ok(()));
}

#[test]
fn after_a_failed_sync_every_unacknowledged_row_is_written_again_in_a_new_segment() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    disk.hold_syncs(true);
    disk.fail_syncs([Fault::Error]);
    let rows: Vec<_> = (0..8).map(|_| row()).collect();
    let syncs = disk.file_syncs.load(Ordering::SeqCst);
    let append = |row: &SessionRow| {
        let (log, row) = (Arc::clone(&log), row.clone());
        std::thread::spawn(move || log.append(&row))
    };
    let mut threads = vec![append(&rows[0])];
    until("the first sync", || disk.file_syncs.load(Ordering::SeqCst) > syncs);
    threads.extend(rows[1..].iter().map(append));
    until("all rows", || row_ids(&directory).len() == rows.len());
    disk.hold_syncs(false);
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    let segments = directory.segments();
    assert_eq!(segments.len(), 2);
    for path in &segments {
        assert_eq!(lines(path).len(), 1 + rows.len(), "each has all rows");
    }
    // Opening synced once, the group failed once, and the new segment took all with one more.
    assert_eq!(disk.file_syncs.load(Ordering::SeqCst), syncs + 2);
    assert_eq!(disk.directory_syncs.load(Ordering::SeqCst), 2);
}

#[test]
fn rows_that_wait_share_a_sync() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    disk.hold_syncs(true);
    let syncs = disk.file_syncs.load(Ordering::SeqCst);
    let append = || {
        let log = Arc::clone(&log);
        std::thread::spawn(move || log.append(&row()))
    };
    let mut threads = vec![append()];
    until("the first sync", || disk.file_syncs.load(Ordering::SeqCst) > syncs);
    threads.extend((0..20).map(|_| append()));
    until("all rows", || row_ids(&directory).len() == 21);
    disk.hold_syncs(false);
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert!(disk.file_syncs.load(Ordering::SeqCst) <= syncs + 3);
}

#[test]
fn a_disk_that_stays_broken_is_reported_and_the_log_heals_by_itself() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    disk.fail_syncs([Fault::Error; 3]);
    let lost = row();
    let error = log.append(&lost).unwrap_err();
    assert!(matches!(&error, LogError::Unavailable(reason) if reason.contains("says the test")));
    assert!(error.to_string().starts_with("the session log cannot be written: no space"));
    assert!(log.check_writable().is_err());
    until("the probe", || log.check_writable().is_ok());
    log.append(&lost).unwrap();
    assert!(row_ids(&directory).contains(&lost.row_id));
}

#[test]
fn a_write_that_fails_everywhere_is_reported_and_leaves_nothing_behind() {
    let directory = Directory::new();
    let (log, disk) = open(&directory);
    disk.fail_writes([Fault::Error; 3]);
    assert!(matches!(log.append(&row()), Err(LogError::Unavailable(_))));
    assert_eq!(directory.segments().len(), 1, "the segment without a header is gone");
    let row = row();
    log.append(&row).unwrap();
    assert_eq!(row_ids(&directory), [row.row_id]);
}

#[test]
fn started_lines_move_along_until_their_row_is_written() {
    let directory = Directory::new();
    let options = Options { segment_bytes_max: 1, ..Options::default() };
    let (log, _) = open_with(&directory, &options);
    let (mut first, second) = (row(), row());
    first.row_id = new_id();
    log.started(&started(&first)).unwrap();
    log.append(&second).unwrap();
    log.append(&first).unwrap();
    log.append(&row()).unwrap();
    let begun: Vec<usize> = (directory.segments().iter())
        .map(|path| {
            let found = lines(path);
            let is_first = |line: &str| {
                Started::decode(line.as_bytes()).is_ok_and(|line| line.row_id == first.row_id)
            };
            found.iter().filter(|(line, _)| is_first(line)).count()
        })
        .collect();
    // Written in the first, carried into the second and third, where the row came; then no more.
    assert_eq!(begun, [1, 1, 1, 0]);
}

#[test]
fn an_old_segment_is_followed_by_another_once_it_has_a_row() {
    let directory = Directory::new();
    let options = Options { segment_age_max: Duration::ZERO, ..Options::default() };
    let (log, _) = open_with(&directory, &options);
    log.append(&row()).unwrap();
    assert_eq!(directory.segments().len(), 1);
    log.append(&row()).unwrap();
    assert_eq!(directory.segments().len(), 2);
}

#[test]
fn lines_over_8_mib_are_refused_and_harm_nothing() {
    let directory = Directory::new();
    let (log, _) = open(&directory);
    let mut large = row();
    let rest = large.encode().unwrap().len() - large.prompt.len();
    large.prompt = "x".repeat((8 << 20) - rest);
    log.append(&large).unwrap();
    large.prompt.push('x');
    let error = log.append(&large).unwrap_err();
    assert_eq!(error.to_string(), "8388609 bytes; a line has at most 8388608");
    assert_eq!(log.check_writable(), Ok(()));
    assert_eq!(row_ids(&directory).len(), 1);
}

#[test]
fn without_durability_no_row_waits_for_a_sync() {
    let directory = Directory::new();
    let options = Options { durability: Durability::Os, ..Options::default() };
    let (log, disk) = open_with(&directory, &options);
    log.append(&row()).unwrap();
    log.close();
    assert_eq!(disk.file_syncs.load(Ordering::SeqCst), 0);
    assert_eq!(row_ids(&directory).len(), 1);
}

#[test]
fn many_writers_and_threads_lose_nothing() {
    let directory = Directory::new();
    let mut threads = Vec::new();
    for _ in 0..3 {
        let log = Arc::new(SessionLog::open(&directory.0, "test").unwrap());
        for _ in 0..4 {
            let log = Arc::clone(&log);
            threads.push(std::thread::spawn(move || {
                let append = |_| {
                    let row = row();
                    log.append(&row).unwrap();
                    row.row_id
                };
                (0..25).map(append).collect::<Vec<_>>()
            }));
        }
    }
    let mut written: Vec<_> = threads.into_iter().flat_map(|one| one.join().unwrap()).collect();
    written.sort_unstable();
    assert_eq!(written.len(), 300);
    assert_eq!(row_ids(&directory), written);
    assert_eq!(directory.segments().len(), 3);
}

#[test]
fn a_segment_or_lock_that_was_removed_is_noticed() {
    let directory = Directory::new();
    let (log, _) = open(&directory);
    let writer_id = log.writer_id();
    fs::remove_file(&directory.segments()[0]).unwrap();
    fs::remove_file(directory.0.join("writers").join(format!("{writer_id}.lock"))).unwrap();
    assert!(log.check_writable().unwrap_err().to_string().contains("was removed"));
    let row = row();
    log.append(&row).unwrap();
    assert_ne!(log.writer_id(), writer_id);
    assert_eq!(row_ids(&directory), [row.row_id]);
    assert_eq!(log.check_writable(), Ok(()));
}

#[test]
fn what_cannot_be_a_log_is_refused_with_the_reason() {
    let refused = |path: &Path| match SessionLog::open(path, "test") {
        Err(LogError::Setup(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    let directory = Directory::new();
    fs::create_dir(&directory.0).unwrap();
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&directory.0).contains("chmod go-w"));
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o700)).unwrap();
    let file = directory.0.join("file");
    fs::write(&file, "").unwrap();
    refused(&file);
    refused(&file.join("below"));
    std::os::unix::fs::symlink("/", directory.0.join("active")).unwrap();
    assert!(refused(&directory.0).contains("symbolic link"));
}
