package sessionlog

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	writesMax   = 2      // of one record in one segment; then once more in a new one
	lockTries   = 5      // ids that are tried for a lock file
	runningMax  = 10_000 // started lines that are carried along; more is a leak
	runtimeName = "go"
)

// A segment is one file being written, or waiting for a last sync.
//
// path, file and nameDurable may be used by any goroutine; the rest belongs to segments.
type segment struct {
	path        string
	file        *os.File
	nameDurable atomic.Bool

	records int64
	bytes   int64
	since   time.Time
	retired bool
	waiting int // rows that wait for a sync of this file
}

// sync makes what was written so far durable, and before it the file's name.
func (s *segment) sync(disk disk) error {
	if !s.nameDurable.Load() {
		if err := disk.syncDirectory(filepath.Dir(s.path)); err != nil {
			return err
		}
		s.nameDurable.Store(true)
	}
	return disk.sync(s.file)
}

// closeIfDone closes a file that nothing is written to and no row waits for.
func (s *segment) closeIfDone() {
	if s.retired && s.waiting == 0 {
		s.file.Close()
	}
}

// segments are the numbered files of one writer: lock first, then files, each record one write.
//
// A file that was not created here is never continued, and the rest of a record that was cut short
// is never written: it would be glued behind another writer's record. Not safe for concurrent use;
// the writer locks.
type segments struct {
	root     string
	daemon   string
	disk     disk
	options  Options
	writerID string
	lock     *os.File
	number   int64
	current  *segment
	// running holds the started lines of sessions without a row, oldest first, and their places by
	// row_id. Every new segment begins with them, so that a reaper finds them in the newest one,
	// whatever became of the older ones.
	running   *list.List
	runningAt map[string]*list.Element
}

type runningSession struct {
	rowID string
	line  []byte
}

func newSegments(root, daemon string, disk disk, options Options) *segments {
	return &segments{
		root:      root,
		daemon:    daemon,
		disk:      disk,
		options:   options,
		running:   list.New(),
		runningAt: make(map[string]*list.Element),
	}
}

// write writes one record as newline, line, newline; again and whole while it fails.
func (s *segments) write(line []byte) (*segment, error) {
	s.rotateIfDue()
	record := recordOf(line)
	if s.current != nil {
		for range writesMax {
			if s.writeOnce(s.current, record) == nil {
				return s.current, nil
			}
		}
	}
	following, err := s.next()
	if err != nil {
		return nil, err
	}
	return following, s.writeOnce(following, record)
}

// start writes a started line, and carries it from segment to segment until end.
func (s *segments) start(rowID string, line []byte) error {
	if _, err := s.write(line); err != nil {
		return err
	}
	if s.running.Len() >= runningMax {
		s.end(s.running.Front().Value.(runningSession).rowID)
	}
	s.end(rowID)
	s.runningAt[rowID] = s.running.PushBack(runningSession{rowID, line})
	return nil
}

// end carries the session's started line no further: its row is written.
func (s *segments) end(rowID string) {
	if place, running := s.runningAt[rowID]; running {
		s.running.Remove(place)
		delete(s.runningAt, rowID)
	}
}

// next begins a new segment; the one before is retired, whether that works or not.
func (s *segments) next() (*segment, error) {
	s.retire()
	following, err := s.begin()
	s.current = following
	return following, err
}

// retire writes no more to the current segment.
func (s *segments) retire() {
	if s.current != nil {
		s.current.retired = true
		s.current.closeIfDone()
		s.current = nil
	}
}

// retireIfCurrent writes no more to this segment, if it is the current one.
func (s *segments) retireIfCurrent(segment *segment) {
	if s.current == segment {
		s.retire()
	}
}

// discardIfEmpty retires a segment that failed, and removes it if no record came into it.
func (s *segments) discardIfEmpty(segment *segment) {
	empty := s.current == segment && segment.records == 0
	s.retireIfCurrent(segment)
	if empty {
		// What cannot be removed is a segment with a header only, which harms nobody.
		_ = os.Remove(segment.path)
	}
}

// retireIfRemoved retires the current segment if its file was removed from the log, and gives its
// name then.
func (s *segments) retireIfRemoved() string {
	if s.current == nil {
		return ""
	}
	path := s.current.path
	if there, err := isAt(s.current.file, path); there || err != nil {
		return ""
	}
	s.retire()
	return filepath.Base(path)
}

// release lets go of the file and the lock: from now on the writer counts as dead.
func (s *segments) release() {
	s.retire()
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

func (s *segments) rotateIfDue() {
	current := s.current
	if current == nil || current.records == 0 {
		return
	}
	full := current.bytes >= s.options.SegmentBytesMax
	if !full && time.Since(current.since) < s.options.SegmentAgeMax {
		return
	}
	following, err := s.begin()
	if err != nil {
		// The disk is in trouble, as the next sync will tell; the segment is kept, and the next
		// one is not tried again at every row.
		current.bytes = 0
		current.since = time.Now()
		return
	}
	s.retire()
	s.current = following
}

func (s *segments) begin() (*segment, error) {
	if err := s.holdLock(); err != nil {
		return nil, err
	}
	number := s.number
	s.number++
	header := SegmentHeader{
		WriterID:  s.writerID,
		Segment:   number,
		Daemon:    s.daemon,
		Runtime:   runtimeName,
		Version:   Version,
		StartedAt: Timestamp(time.Now()),
	}
	first, err := header.Encode()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.root, "active", fmt.Sprintf("%s-%d.jsonl", s.writerID, number))
	file, err := createForAppend(path)
	if err != nil {
		return nil, err
	}
	begun := &segment{path: path, file: file, since: time.Now()}
	if err := s.writeBeginning(begun, append(first, '\n')); err != nil {
		file.Close()
		_ = os.Remove(path)
		return nil, err
	}
	// What it began with does not count: it would make a segment full before its first row.
	begun.records, begun.bytes = 0, 0
	return begun, nil
}

func (s *segments) writeBeginning(begun *segment, first []byte) error {
	if err := s.writeOnce(begun, first); err != nil {
		return err
	}
	for place := s.running.Front(); place != nil; place = place.Next() {
		if err := s.writeOnce(begun, recordOf(place.Value.(runningSession).line)); err != nil {
			return err
		}
	}
	return nil
}

// holdLock makes sure that our lock file still tells others that this writer lives.
func (s *segments) holdLock() error {
	if s.lock != nil {
		if there, err := isAt(s.lock, s.lockPath()); there || err != nil {
			return err
		}
		s.lock.Close()
		s.lock = nil
		// Whoever removed it may have removed the whole log.
		if _, err := prepare(s.root); err != nil {
			return err
		}
	}
	for range lockTries {
		s.writerID = NewID()
		s.number = 0
		lock, err := takeLock(s.lockPath())
		if err != nil {
			return err
		}
		if lock != nil {
			s.lock = lock
			return nil
		}
	}
	return errors.New("no lock file of our own could be made")
}

func (s *segments) lockPath() string {
	return filepath.Join(s.root, "writers", s.writerID+".lock")
}

func (s *segments) writeOnce(segment *segment, record []byte) error {
	written, err := s.disk.write(segment.file, record)
	if err != nil {
		return err
	}
	// Even a cut record makes the segment worth keeping for whoever looks into the damage.
	segment.records++
	segment.bytes += int64(written)
	if written != len(record) {
		return fmt.Errorf("%w: %d of %d bytes", io.ErrShortWrite, written, len(record))
	}
	return nil
}

// recordOf puts a newline first: a record that another write of ours left torn must not harm this
// one.
func recordOf(line []byte) []byte {
	record := make([]byte, 0, len(line)+2)
	record = append(record, '\n')
	record = append(record, line...)
	return append(record, '\n')
}
