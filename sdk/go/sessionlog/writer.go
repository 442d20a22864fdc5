package sessionlog

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	ackMax        = 30 * time.Second // a row that is not durable by then is reported as not written
	syncMax       = 5 * time.Second  // a sync that hangs longer makes the log not writable
	probeInterval = time.Second      // between attempts to write again after a failure
	syncTriesMax  = 3                // segments that one group of rows is tried in
	pendingMax    = 10_000           // rows waiting for a sync; more is a caller without a bound
)

// A SessionLog is one writer of one session log. It is safe for concurrent use.
//
// Records are written by the caller's goroutine, one write(2) each, so that they survive the process
// at once; one goroutine syncs, and whoever waits meanwhile shares the next sync. A file whose sync
// failed is not synced again: the kernel may have dropped the data and would answer that all is
// well. Its unacknowledged rows are written again into a new segment.
//
// Methods take no context, on purpose: a session whose caller has gone still needs its row.
type SessionLog struct {
	root       string
	durability Durability
	disk       disk
	wake       chan struct{} // one place: a wake that was not heard yet is enough
	done       chan struct{}

	mu        sync.Mutex // protects all that follows
	segments  *segments
	pending   []*pendingRow
	failure   string
	syncSince time.Time
	closed    bool
}

// pendingRow is a row that is written and waits for its sync.
type pendingRow struct {
	line    []byte
	segment *segment
	answer  chan error
}

// Open joins the stream at path as a new writer, with a lock and a first segment of its own.
//
// Directories that are missing are created, 0700. daemon names this program in the log; nil options
// are the defaults. The error is a [*SetupError].
func Open(path, daemon string, options *Options) (*SessionLog, error) {
	return openOn(path, daemon, options, systemDisk{})
}

func openOn(path, daemon string, options *Options, disk disk) (*SessionLog, error) {
	root, err := prepare(path)
	if err != nil {
		return nil, err
	}
	chosen := options.orDefaults()
	log := &SessionLog{
		root:       root,
		durability: chosen.Durability,
		disk:       disk,
		wake:       make(chan struct{}, 1),
		done:       make(chan struct{}),
		segments:   newSegments(root, daemon, disk, chosen),
	}
	first, err := log.segments.next()
	if err == nil {
		err = log.sync(first)
	}
	if err != nil {
		log.segments.release()
		return nil, &SetupError{fmt.Sprintf("cannot write to %s: %v", root, err)}
	}
	go log.run()
	return log, nil
}

// WriterID is the id in the names of this writer's files; a new one if they were all removed.
func (l *SessionLog) WriterID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments.writerID
}

// Append makes one final row durable. Blocks for the sync, which concurrent calls share; at most
// 30 s.
//
// The error is that of [SessionRow.Encode], the log being fine, or an [*UnavailableError]: the row
// is not in the log as far as anyone knows, and may be written again with the same row_id.
func (l *SessionLog) Append(row *SessionRow) error {
	line, err := row.Encode()
	if err != nil {
		return err
	}
	waiting, err := l.write(row.RowID, line)
	if err != nil || waiting == nil {
		return err
	}
	timer := time.NewTimer(ackMax)
	defer timer.Stop()
	select {
	case err := <-waiting.answer:
		return err
	case <-timer.C:
		return &UnavailableError{fmt.Sprintf("no sync within %v", ackMax)}
	}
}

// write gives the row that waits for its sync; nil if it need not.
func (l *SessionLog) write(rowID string, line []byte) (*pendingRow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkRoom(); err != nil {
		return nil, err
	}
	segment, err := l.segments.write(line)
	if err != nil {
		return nil, l.failed(err)
	}
	l.segments.end(rowID)
	if l.durability == DurabilityOS {
		return nil, nil
	}
	row := &pendingRow{line: line, segment: segment, answer: make(chan error, 1)}
	segment.waiting++
	l.pending = append(l.pending, row)
	l.notify()
	return row, nil
}

// Started writes the line that a session leaves before its first model call. Not synced: it survives
// the process, not a power cut. The errors are those of [SessionLog.Append].
func (l *SessionLog) Started(started *Started) error {
	line, err := started.Encode()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkRoom(); err != nil {
		return err
	}
	if err := l.segments.start(started.RowID, line); err != nil {
		return l.failed(err)
	}
	return nil
}

// CheckWritable refuses early, before a token is bought, when a row could not be made durable: after
// a failure that has not healed, while a sync hangs, and when the disk is nearly full (below 2 % of
// it free, at least 16 MiB and at most 256 MiB).
//
// The error is an [*UnavailableError]; ask again in a second.
func (l *SessionLog) CheckWritable() error {
	if err := l.checkHealth(); err != nil {
		return err
	}
	free, required, err := freeBytes(l.root)
	switch {
	case err != nil:
		return &UnavailableError{err.Error()}
	case free < required:
		reason := fmt.Sprintf("%d MiB are free, %d MiB are required", free>>20, required>>20)
		return &UnavailableError{reason}
	}
	return nil
}

func (l *SessionLog) checkHealth() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed()
	}
	if name := l.segments.retireIfRemoved(); name != "" {
		return l.failed(fmt.Errorf("%s was removed from the log", name))
	}
	if l.failure != "" {
		return &UnavailableError{l.failure}
	}
	if hanging := time.Since(l.syncSince); !l.syncSince.IsZero() && hanging > syncMax {
		return &UnavailableError{fmt.Sprintf("a sync has not ended for %.0f s", hanging.Seconds())}
	}
	return nil
}

// Close syncs what is written, answers who waits, and lets go of the files: from then on the writer
// counts as dead. Blocks for the sync, at most 30 s; a disk that hangs longer keeps the files, and
// is the only error.
func (l *SessionLog) Close() error {
	l.mu.Lock()
	l.closed = true
	l.notify()
	l.mu.Unlock()
	select {
	case <-l.done:
		return nil
	case <-time.After(ackMax):
		return &UnavailableError{fmt.Sprintf("no sync within %v", ackMax)}
	}
}

func (l *SessionLog) checkRoom() error {
	if l.closed {
		return errClosed()
	}
	if len(l.pending) >= pendingMax {
		return &UnavailableError{fmt.Sprintf("%d rows wait for the disk", pendingMax)}
	}
	return nil
}

// failed notes a failure, so that new sessions are refused and the goroutine begins to probe.
func (l *SessionLog) failed(err error) error {
	l.failure = err.Error()
	l.notify()
	return &UnavailableError{l.failure}
}

func (l *SessionLog) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func errClosed() error {
	return &UnavailableError{"the writer is closed"}
}

// --- The goroutine that syncs ---------------------------------------------------------------------

func (l *SessionLog) run() {
	defer close(l.done)
	probe := time.NewTimer(probeInterval)
	defer probe.Stop()
	waiting := false // for the next probe
	for {
		l.mu.Lock()
		batch := l.pending
		l.pending = nil
		closed, failed := l.closed, l.failure != ""
		if len(batch) == 0 && closed {
			l.segments.release()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		switch {
		case len(batch) > 0:
			l.commit(batch)
		case failed:
			if !waiting {
				probe.Reset(probeInterval)
			}
			waiting = true
			select {
			case <-l.wake:
			case <-probe.C:
				l.probe()
				waiting = false
			}
		default:
			waiting = false
			<-l.wake
		}
	}
}

// commit makes rows durable and answers for them; rows whose sync failed go into a new segment.
func (l *SessionLog) commit(batch []*pendingRow) {
	var reason string
	for range syncTriesMax {
		failed := l.syncAll(batch)
		durable, suspect := split(batch, failed)
		if len(failed) == 0 {
			// Before the callers hear of it: who asks next must not meet a failure that healed.
			l.mu.Lock()
			if l.segments.current != nil {
				l.failure = ""
			}
			l.mu.Unlock()
			l.answer(durable, nil)
			return
		}
		l.answer(durable, nil)
		var written bool
		if batch, reason, written = l.writeAgain(suspect, failed); !written {
			break
		}
	}
	l.mu.Lock()
	l.segments.retire()
	l.failure = reason
	l.mu.Unlock()
	l.answer(batch, &UnavailableError{reason})
}

// writeAgain writes rows whose sync failed into a new segment, with those that came meanwhile: they
// lie in the same suspect pages.
func (l *SessionLog) writeAgain(
	suspect []*pendingRow, failed map[*segment]error,
) (batch []*pendingRow, reason string, written bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others, meanwhile := split(l.pending, failed)
	l.pending = others
	batch = append(suspect, meanwhile...)
	for segment, err := range failed {
		l.segments.retireIfCurrent(segment)
		reason = err.Error()
		l.failed(err)
	}
	for _, row := range batch {
		segment, err := l.segments.write(row.line)
		if err != nil {
			return batch, err.Error(), false
		}
		l.leave(row.segment)
		row.segment = segment
		segment.waiting++
	}
	return batch, reason, true
}

// syncAll syncs every segment that these rows lie in; gives those that failed.
func (l *SessionLog) syncAll(batch []*pendingRow) map[*segment]error {
	failed := make(map[*segment]error)
	var seen []*segment
	for _, row := range batch {
		if slices.Contains(seen, row.segment) {
			continue
		}
		seen = append(seen, row.segment)
		if err := l.sync(row.segment); err != nil {
			failed[row.segment] = err
		}
	}
	return failed
}

func (l *SessionLog) sync(segment *segment) error {
	if l.durability == DurabilityOS {
		return nil
	}
	l.setSyncSince(time.Now())
	defer l.setSyncSince(time.Time{})
	return segment.sync(l.disk)
}

func (l *SessionLog) setSyncSince(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncSince = since
}

// probe tries to begin a new segment, and is well again if that works.
func (l *SessionLog) probe() {
	l.mu.Lock()
	segment, err := l.segments.next()
	if err == nil {
		segment.waiting++ // this sync's
	}
	l.mu.Unlock()
	if err == nil {
		err = l.sync(segment)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if segment != nil {
		l.leave(segment)
	}
	if err == nil {
		l.failure = ""
		return
	}
	l.failure = err.Error()
	if segment != nil {
		l.segments.discardIfEmpty(segment)
	}
}

func (l *SessionLog) answer(rows []*pendingRow, err error) {
	l.mu.Lock()
	for _, row := range rows {
		l.leave(row.segment)
	}
	l.mu.Unlock()
	for _, row := range rows {
		row.answer <- err
	}
}

// leave lets go of a segment that a row or a sync waited for.
func (l *SessionLog) leave(segment *segment) {
	segment.waiting--
	segment.closeIfDone()
}

func split(rows []*pendingRow, failed map[*segment]error) (others, among []*pendingRow) {
	for _, row := range rows {
		if _, found := failed[row.segment]; found {
			among = append(among, row)
		} else {
			others = append(others, row)
		}
	}
	return others, among
}
