//! The writer of one daemon: rows in, acknowledged once they survive a power cut.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::log::disk::{self, Disk, SystemDisk};
use crate::log::options::{Durability, LogError, Options, prepare};
use crate::log::segments::{Limits, Segment, Segments};
use crate::row::{SessionRow, Started};

/// A row that is not durable by then is reported as not written.
const ACK_MAX: Duration = Duration::from_secs(30);
/// A sync that hangs longer makes the log not writable.
const SYNC_MAX: Duration = Duration::from_secs(5);
/// Between attempts to write again after a failure.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Segments that one group of rows is tried in.
const SYNC_TRIES_MAX: usize = 3;
/// Rows waiting for a sync; more is a caller without a bound.
const PENDING_MAX: usize = 10_000;

/// One writer of one session log. Safe to use from any thread; share it in an `Arc`.
///
/// Records are written by the caller's thread, one `write(2)` each, so that they survive the
/// process at once; one thread syncs, and whoever waits meanwhile shares the next sync. A file
/// whose sync failed is not synced again: the kernel may have dropped the data and would answer
/// that all is well. Its unacknowledged rows are written again into a new segment.
///
/// Blocking: an async program calls it in its runtime's pool for blocking work. After a `fork`
/// without `exec` the child must not use it. Dropping it is [`SessionLog::close`].
pub struct SessionLog {
    shared: Arc<Shared>,
    syncing: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    root: PathBuf,
    durability: Durability,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    segments: Segments,
    pending: Vec<Pending>,
    failure: Option<String>,
    sync_since: Option<Instant>,
    closed: bool,
}

/// A row that is written and waits for its sync.
struct Pending {
    line: Vec<u8>,
    segment: Arc<Segment>,
    answer: SyncSender<Result<(), String>>,
}

impl SessionLog {
    /// Joins the stream at `path` as a new writer, with a lock and a first segment of its own.
    ///
    /// Directories that are missing are created, 0700. `daemon` names this program in the log.
    ///
    /// # Errors
    /// [`LogError::Setup`] if the directory cannot be used.
    pub fn open(path: impl AsRef<Path>, daemon: &str) -> Result<Self, LogError> {
        Self::open_with(path, daemon, &Options::default())
    }

    /// [`SessionLog::open`] with other options.
    ///
    /// # Errors
    /// [`LogError::Setup`] if the directory cannot be used.
    pub fn open_with(
        path: impl AsRef<Path>,
        daemon: &str,
        options: &Options,
    ) -> Result<Self, LogError> {
        Self::open_on(path.as_ref(), daemon, options, Arc::new(SystemDisk))
    }

    pub(crate) fn open_on(
        path: &Path,
        daemon: &str,
        options: &Options,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, LogError> {
        let root = prepare(path)?;
        let limits =
            Limits { bytes_max: options.segment_bytes_max, age_max: options.segment_age_max };
        let mut segments =
            Segments::new(root.clone(), daemon.to_owned(), Arc::clone(&disk), limits);
        let first = segments.next().and_then(|segment| match options.durability {
            Durability::Commit => segment.sync(&*disk),
            Durability::Os => Ok(()),
        });
        first.map_err(|error| {
            LogError::Setup(format!("cannot write to {}: {error}", root.display()))
        })?;
        let state =
            State { segments, pending: Vec::new(), failure: None, sync_since: None, closed: false };
        let shared = Arc::new(Shared {
            root,
            durability: options.durability,
            disk,
            state: Mutex::new(state),
            wake: Condvar::new(),
        });
        let ours = Arc::clone(&shared);
        let syncing = thread::Builder::new()
            .name("session-log-sync".to_owned())
            .spawn(move || ours.run())
            .map_err(|error| LogError::Setup(format!("cannot start a thread: {error}")))?;
        Ok(Self { shared, syncing: Mutex::new(Some(syncing)) })
    }

    /// The id in the names of this writer's files.
    #[must_use]
    pub fn writer_id(&self) -> String {
        self.shared.lock().segments.writer_id().to_owned()
    }

    /// Makes one final row durable. Blocks for the sync, which concurrent calls share; at most
    /// 30 s.
    ///
    /// # Errors
    /// [`LogError::TooLong`], or [`LogError::Unavailable`]: the row is not in the log as far as
    /// anyone knows, and may be written again with the same `row_id`.
    pub fn append(&self, row: &SessionRow) -> Result<(), LogError> {
        let line = row.encode()?;
        let (answer, acknowledged) = sync_channel(1);
        {
            let mut state = self.shared.lock();
            state.check_room()?;
            let written = state.segments.write(&line);
            let segment = written.map_err(|error| self.shared.failed(&mut state, &error))?;
            state.segments.end(&row.row_id);
            if self.shared.durability == Durability::Os {
                return Ok(());
            }
            state.pending.push(Pending { line, segment, answer });
        }
        self.shared.wake.notify_one();
        match acknowledged.recv_timeout(ACK_MAX) {
            Ok(answer) => answer.map_err(LogError::Unavailable),
            Err(RecvTimeoutError::Timeout) => {
                Err(LogError::Unavailable(format!("no sync within {} s", ACK_MAX.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(closed()),
        }
    }

    /// Writes the line that a session leaves before its first model call. Not synced: it survives
    /// the process, not a power cut.
    ///
    /// # Errors
    /// [`LogError::TooLong`] or [`LogError::Unavailable`].
    pub fn started(&self, started: &Started) -> Result<(), LogError> {
        let line = started.encode()?;
        let mut state = self.shared.lock();
        state.check_room()?;
        let written = state.segments.start(&started.row_id, &line);
        written.map_err(|error| self.shared.failed(&mut state, &error))
    }

    /// Refuses early, before a token is bought, when a row could not be made durable: after a
    /// failure that has not healed, while a sync hangs, and when the disk is nearly full (below
    /// 2 % of it free, at least 16 MiB and at most 256 MiB).
    ///
    /// # Errors
    /// [`LogError::Unavailable`]; ask again in a second.
    pub fn check_writable(&self) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(closed());
        }
        if let Some(name) = state.segments.retire_if_removed() {
            let error = io::Error::other(format!("{name} was removed from the log"));
            return Err(self.shared.failed(&mut state, &error));
        }
        if let Some(reason) = &state.failure {
            return Err(LogError::Unavailable(reason.clone()));
        }
        let hanging = state.sync_since.map(|since| since.elapsed());
        if let Some(seconds) = hanging.filter(|elapsed| *elapsed > SYNC_MAX) {
            let seconds = seconds.as_secs();
            return Err(LogError::Unavailable(format!("a sync has not ended for {seconds} s")));
        }
        drop(state);
        match disk::free_bytes(&self.shared.root) {
            Ok((free, required)) if free < required => Err(LogError::Unavailable(format!(
                "{} MiB are free, {} MiB are required",
                free >> 20,
                required >> 20
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }

    /// Syncs what is written, answers who waits, and lets go of the files: from then on the
    /// writer counts as dead. Blocks for the sync.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
        let syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = syncing {
            // A thread that panicked has dropped its rows, so that their callers heard of it.
            let _ = thread.join();
        }
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    fn check_room(&self) -> Result<(), LogError> {
        if self.closed {
            return Err(closed());
        }
        if self.pending.len() >= PENDING_MAX {
            let reason = format!("{PENDING_MAX} rows wait for the disk");
            return Err(LogError::Unavailable(reason));
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failure, so that new sessions are refused and the thread begins to probe.
    fn failed(&self, state: &mut State, error: &io::Error) -> LogError {
        let reason = error.to_string();
        state.failure = Some(reason.clone());
        self.wake.notify_all();
        LogError::Unavailable(reason)
    }

    // --- The thread that syncs ---

    fn run(&self) {
        loop {
            let mut state = self.lock();
            while state.pending.is_empty() && !state.closed {
                if state.failure.is_none() {
                    state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                let waited = self.wake.wait_timeout(state, PROBE_INTERVAL);
                let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = after;
                if timeout.timed_out() && state.pending.is_empty() && !state.closed {
                    drop(state);
                    self.probe();
                    state = self.lock();
                }
            }
            if state.pending.is_empty() {
                // Closed, and nobody waits. Files and lock are let go of with the state.
                state.segments.release();
                return;
            }
            let batch = std::mem::take(&mut state.pending);
            drop(state);
            self.commit(batch);
        }
    }

    /// Makes rows durable and answers for them; rows whose sync failed go into a new segment.
    fn commit(&self, mut batch: Vec<Pending>) {
        let mut reason = String::new();
        for _ in 0..SYNC_TRIES_MAX {
            let failed = self.sync_all(&batch);
            let (suspect, durable): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|row| is_among(&failed, &row.segment));
            let mut state = self.lock();
            let Some((_, error)) = failed.first() else {
                // Before the callers hear of it: who asks next must not meet a failure that healed.
                if state.segments.has_current() {
                    state.failure = None;
                }
                drop(state);
                answer(durable, &Ok(()));
                return;
            };
            answer(durable, &Ok(()));
            reason = error.to_string();
            batch = suspect;
            // Rows that came meanwhile lie in the same suspect pages.
            let pending = std::mem::take(&mut state.pending);
            let (suspect, others): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|row| is_among(&failed, &row.segment));
            batch.extend(suspect);
            state.pending = others;
            for (segment, error) in &failed {
                state.segments.retire_if_current(segment);
                self.failed(&mut state, error);
            }
            let rewritten = batch.iter_mut().try_for_each(|row| {
                row.segment = state.segments.write(&row.line)?;
                Ok::<(), io::Error>(())
            });
            if let Err(error) = rewritten {
                reason = error.to_string();
                break;
            }
        }
        let mut state = self.lock();
        state.segments.retire();
        state.failure = Some(reason.clone());
        drop(state);
        answer(batch, &Err(reason));
    }

    /// Syncs every segment that these rows lie in; gives those that failed.
    fn sync_all(&self, batch: &[Pending]) -> Vec<(Arc<Segment>, io::Error)> {
        let mut segments: Vec<&Arc<Segment>> = Vec::new();
        for row in batch {
            if !segments.iter().any(|segment| Arc::ptr_eq(segment, &row.segment)) {
                segments.push(&row.segment);
            }
        }
        let sync = |segment: &Arc<Segment>| match self.sync(segment) {
            Ok(()) => None,
            Err(error) => Some((Arc::clone(segment), error)),
        };
        segments.into_iter().filter_map(sync).collect()
    }

    fn sync(&self, segment: &Segment) -> io::Result<()> {
        if self.durability == Durability::Os {
            return Ok(());
        }
        self.lock().sync_since = Some(Instant::now());
        let synced = segment.sync(&*self.disk);
        self.lock().sync_since = None;
        synced
    }

    /// Tries to begin a new segment, and is well again if that works.
    fn probe(&self) {
        let begun = self.lock().segments.next();
        let probed = begun.and_then(|segment| match self.sync(&segment) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.lock().segments.discard_if_empty(&segment);
                Err(error)
            }
        });
        let mut state = self.lock();
        state.failure = probed.err().map(|error| error.to_string());
    }
}

fn is_among(failed: &[(Arc<Segment>, io::Error)], segment: &Arc<Segment>) -> bool {
    failed.iter().any(|(suspect, _)| Arc::ptr_eq(suspect, segment))
}

fn answer(rows: Vec<Pending>, answer: &Result<(), String>) {
    for row in rows {
        // A caller that waited too long is gone, and was told so.
        let _ = row.answer.try_send(answer.clone());
    }
}

fn closed() -> LogError {
    LogError::Unavailable("the writer is closed".to_owned())
}
