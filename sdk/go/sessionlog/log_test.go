package sessionlog

// The writer against a disk that fails on command.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var errFull = errors.New("no space is left, says the test")

// fault is what one call does: fail, or take only so many bytes.
type fault struct {
	err   error
	short int
}

// faultyDisk is the system's, with the faults that are queued; writes and syncs have queues of their
// own. While held is locked, syncs wait, for rows that come meanwhile.
type faultyDisk struct {
	systemDisk
	held sync.RWMutex

	mu             sync.Mutex
	writes         []fault
	syncs          []fault
	fileSyncs      int
	directorySyncs int
}

func (d *faultyDisk) next(faults *[]fault) *fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(*faults) == 0 {
		return nil
	}
	first := (*faults)[0]
	*faults = (*faults)[1:]
	return &first
}

func (d *faultyDisk) write(file *os.File, data []byte) (int, error) {
	found := d.next(&d.writes)
	if found == nil {
		return d.systemDisk.write(file, data)
	}
	if found.err != nil {
		return 0, found.err
	}
	return d.systemDisk.write(file, data[:found.short])
}

func (d *faultyDisk) sync(file *os.File) error {
	d.count(&d.fileSyncs)
	d.held.RLock()
	defer d.held.RUnlock()
	if found := d.next(&d.syncs); found != nil {
		return found.err
	}
	return d.systemDisk.sync(file)
}

func (d *faultyDisk) syncDirectory(path string) error {
	d.count(&d.directorySyncs)
	return d.systemDisk.syncDirectory(path)
}

func (d *faultyDisk) count(counter *int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*counter++
}

func (d *faultyDisk) fileSyncCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fileSyncs
}

// assertFired says that every fault that was queued has happened.
func (d *faultyDisk) assertFired(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.writes)+len(d.syncs) > 0 {
		t.Errorf("%d write and %d sync faults did not fire", len(d.writes), len(d.syncs))
	}
}

func openTest(t *testing.T, options *Options) (log *SessionLog, disk *faultyDisk, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sessions")
	disk = new(faultyDisk)
	log, err := openOn(path, "test", options, disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log, disk, path
}

func rowOf() *SessionRow {
	rowID := NewID()
	return &SessionRow{
		SessionID: rowID, TraceID: rowID, RowID: rowID,
		Timestamp: "2026-01-02T03:04:05.678901Z", Daemon: "test", Model: "m", ModelAlias: "a",
		Provider: "scripted", Prompt: "Flight to Oslo is late.", MaxIterations: 1,
		Settings: Settings{Constrain: ConstrainAuto, DeadlineMS: 120_000},
		Verdict:  VerdictMaxIterExhausted,
	}
}

func startedOf(row *SessionRow) *Started {
	return &Started{
		SessionID: row.SessionID, TraceID: row.TraceID, RowID: row.RowID, Timestamp: row.Timestamp,
		Daemon: row.Daemon, Model: row.Model, ModelAlias: row.ModelAlias, Provider: row.Provider,
		Prompt: row.Prompt, MaxIterations: row.MaxIterations, Settings: row.Settings,
	}
}

func mustAppend(t *testing.T, log *SessionLog, row *SessionRow) {
	t.Helper()
	if err := log.Append(row); err != nil {
		t.Fatal(err)
	}
}

func unavailable(err error) bool {
	var found *UnavailableError
	return errors.As(err, &found)
}

func segmentsOf(t *testing.T, path string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(path, "active", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// linesOf gives the lines of a segment that are not blank.
func linesOf(t *testing.T, path string) (lines [][]byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// rowIDsOf gives the ids of the good rows of a log, sorted, of a row that was written twice twice.
func rowIDsOf(t *testing.T, path string) (ids []string) {
	t.Helper()
	for _, segment := range segmentsOf(t, path) {
		for _, line := range linesOf(t, segment) {
			if row, err := DecodeSessionRow(line); err == nil {
				ids = append(ids, row.RowID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// until waits until something holds; bounded.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for since := time.Now(); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Since(since) > 10*time.Second {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	status, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return status.Mode().Perm()
}

func TestASegmentBeginsWithItsHeaderAndRowsStandBetweenNewlines(t *testing.T) {
	log, disk, path := openTest(t, nil)
	first, second := rowOf(), rowOf()
	mustAppend(t, log, first)
	mustAppend(t, log, second)

	segments := segmentsOf(t, path)
	if len(segments) != 1 || filepath.Base(segments[0]) != log.WriterID()+"-0.jsonl" {
		t.Fatalf("%q", segments)
	}
	data, _ := os.ReadFile(segments[0])
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	header, err := DecodeSegmentHeader(head)
	if err != nil || header.WriterID != log.WriterID() || header.Segment != 0 || header.Runtime != "go" || header.Daemon != "test" {
		t.Errorf("%+v, %v", header, err)
	}
	one, _ := first.Encode()
	other, _ := second.Encode()
	if expected := fmt.Sprintf("\n%s\n\n%s\n", one, other); string(rest) != expected {
		t.Errorf("%q", rest)
	}
	if disk.directorySyncs != 1 {
		t.Errorf("%d syncs of directories", disk.directorySyncs)
	}
	lock := filepath.Join(path, "writers", log.WriterID()+".lock")
	for name, mode := range map[string]os.FileMode{
		path: 0o700, path + "/active": 0o700, path + "/sealed": 0o700, path + "/writers": 0o700,
		segments[0]: 0o600, lock: 0o600,
	} {
		if got := modeOf(t, name); got != mode {
			t.Errorf("%s: %o", name, got)
		}
	}
}

func TestTheLockIsHeldForTheWritersLife(t *testing.T) {
	log, _, path := openTest(t, nil)
	lock, err := os.Open(filepath.Join(path, "writers", log.WriterID()+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	isFree := func() bool { return syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil }
	if isFree() {
		t.Error("nobody holds the lock")
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	if !isFree() {
		t.Error("the lock is still held")
	}
	if _, err := os.Stat(lock.Name()); err != nil {
		t.Errorf("only the reaper removes it: %v", err)
	}
	if !unavailable(log.Append(rowOf())) || !unavailable(log.CheckWritable()) || !unavailable(log.Started(startedOf(rowOf()))) {
		t.Error("a closed writer writes")
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

func TestAShortWriteIsAFailedRowAndIsWrittenWholeAgain(t *testing.T) {
	log, disk, path := openTest(t, nil)
	disk.writes = []fault{{short: 100}}
	row := rowOf()
	mustAppend(t, log, row)

	disk.assertFired(t)
	segments := segmentsOf(t, path)
	if len(segments) != 1 {
		t.Fatalf("%q", segments)
	}
	line, _ := row.Encode()
	lines := linesOf(t, segments[0])
	if len(lines) != 3 || !bytes.Equal(lines[1], line[:99]) || !bytes.Equal(lines[2], line) {
		t.Errorf("%q", lines)
	}
}

func TestASegmentThatTakesNothingIsFollowedByAnother(t *testing.T) {
	log, disk, path := openTest(t, nil)
	disk.writes = []fault{{err: errFull}, {short: 0}}
	row := rowOf()
	mustAppend(t, log, row)

	disk.assertFired(t)
	if len(segmentsOf(t, path)) != 2 || !slices.Equal(rowIDsOf(t, path), []string{row.RowID}) {
		t.Errorf("%q, %q", segmentsOf(t, path), rowIDsOf(t, path))
	}
	if err := log.CheckWritable(); err != nil {
		t.Error(err)
	}
}

// appendAll appends rows at the same time, the first before the others, while syncs are held.
func appendAll(t *testing.T, log *SessionLog, disk *faultyDisk, path string, count int) {
	t.Helper()
	disk.held.Lock()
	syncs := disk.fileSyncCount()
	answers := make(chan error, count)
	start := func() { go func() { answers <- log.Append(rowOf()) }() }
	start()
	until(t, "the first sync", func() bool { return disk.fileSyncCount() > syncs })
	for range count - 1 {
		start()
	}
	until(t, "all rows", func() bool { return len(rowIDsOf(t, path)) == count })
	disk.held.Unlock()
	for range count {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestAfterAFailedSyncEveryUnacknowledgedRowIsWrittenAgainInANewSegment(t *testing.T) {
	log, disk, path := openTest(t, nil)
	disk.syncs = []fault{{err: errFull}}
	syncs := disk.fileSyncCount()
	appendAll(t, log, disk, path, 8)

	disk.assertFired(t)
	segments := segmentsOf(t, path)
	if len(segments) != 2 {
		t.Fatalf("%q", segments)
	}
	for _, segment := range segments {
		if lines := linesOf(t, segment); len(lines) != 1+8 {
			t.Errorf("%d lines; each has all rows", len(lines))
		}
	}
	// The group failed once, and the new segment took all with one more.
	if got := disk.fileSyncCount() - syncs; got != 2 || disk.directorySyncs != 2 {
		t.Errorf("%d syncs, %d of directories", got, disk.directorySyncs)
	}
}

func TestRowsThatWaitShareASync(t *testing.T) {
	log, disk, path := openTest(t, nil)
	syncs := disk.fileSyncCount()
	appendAll(t, log, disk, path, 21)
	if got := disk.fileSyncCount() - syncs; got > 3 {
		t.Errorf("%d syncs", got)
	}
}

func TestADiskThatStaysBrokenIsReportedAndTheLogHealsByItself(t *testing.T) {
	log, disk, path := openTest(t, nil)
	disk.syncs = []fault{{err: errFull}, {err: errFull}, {err: errFull}}
	lost := rowOf()
	err := log.Append(lost)
	if !unavailable(err) || !strings.HasPrefix(err.Error(), "the session log cannot be written: no space") {
		t.Error(err)
	}
	disk.assertFired(t)
	if !unavailable(log.CheckWritable()) {
		t.Error("new sessions are taken on")
	}
	until(t, "the probe", func() bool { return log.CheckWritable() == nil })
	mustAppend(t, log, lost)
	if !slices.Contains(rowIDsOf(t, path), lost.RowID) {
		t.Error("the row is not there")
	}
}

func TestAWriteThatFailsEverywhereIsReportedAndLeavesNothingBehind(t *testing.T) {
	log, disk, path := openTest(t, nil)
	disk.writes = []fault{{err: errFull}, {err: errFull}, {err: errFull}}
	if err := log.Append(rowOf()); !unavailable(err) {
		t.Error(err)
	}
	disk.assertFired(t)
	if got := segmentsOf(t, path); len(got) != 1 {
		t.Errorf("the segment without a header is not gone: %q", got)
	}
	row := rowOf()
	mustAppend(t, log, row)
	if got := rowIDsOf(t, path); !slices.Equal(got, []string{row.RowID}) {
		t.Errorf("%q", got)
	}
}

func TestStartedLinesMoveAlongUntilTheirRowIsWritten(t *testing.T) {
	log, _, path := openTest(t, &Options{SegmentBytesMax: 1})
	first := rowOf()
	if err := log.Started(startedOf(first)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, log, rowOf())
	mustAppend(t, log, first)
	mustAppend(t, log, rowOf())
	var begun []int
	for _, segment := range segmentsOf(t, path) {
		count := 0
		for _, line := range linesOf(t, segment) {
			if started, err := DecodeStarted(line); err == nil && started.RowID == first.RowID {
				count++
			}
		}
		begun = append(begun, count)
	}
	// Written in the first, carried into the second and third, where the row came; then no more.
	if !slices.Equal(begun, []int{1, 1, 1, 0}) {
		t.Error(begun)
	}
}

func TestAnOldSegmentIsFollowedByAnotherOnceItHasARow(t *testing.T) {
	log, _, path := openTest(t, &Options{SegmentAgeMax: time.Nanosecond})
	mustAppend(t, log, rowOf())
	if got := len(segmentsOf(t, path)); got != 1 {
		t.Error(got)
	}
	mustAppend(t, log, rowOf())
	if got := len(segmentsOf(t, path)); got != 2 {
		t.Error(got)
	}
}

func TestLinesOver8MiBAreRefusedAndHarmNothing(t *testing.T) {
	log, _, path := openTest(t, nil)
	large := rowOf()
	line, _ := large.Encode()
	large.Prompt = strings.Repeat("x", LineBytesMax-len(line)+len(large.Prompt))
	mustAppend(t, log, large)
	large.Prompt += "x"
	var tooLong *TooLongError
	if err := log.Append(large); !errors.As(err, &tooLong) {
		t.Error(err)
	}
	if err := log.CheckWritable(); err != nil {
		t.Error(err)
	}
	if got := rowIDsOf(t, path); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestWithoutDurabilityNoRowWaitsForASync(t *testing.T) {
	log, disk, path := openTest(t, &Options{Durability: DurabilityOS})
	mustAppend(t, log, rowOf())
	log.Close()
	if disk.fileSyncs != 0 || len(rowIDsOf(t, path)) != 1 {
		t.Errorf("%d syncs", disk.fileSyncs)
	}
}

func TestManyWritersAndGoroutinesLoseNothing(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	written := make(chan string, 300)
	var appending sync.WaitGroup
	for range 3 {
		log, err := Open(path, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		for range 4 {
			appending.Add(1)
			go func() {
				defer appending.Done()
				for range 25 {
					row := rowOf()
					if err := log.Append(row); err != nil {
						t.Error(err)
					}
					written <- row.RowID
				}
			}()
		}
	}
	appending.Wait()
	close(written)
	var ids []string
	for id := range written {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if !slices.Equal(rowIDsOf(t, path), ids) || len(ids) != 300 {
		t.Errorf("%d rows of %d", len(rowIDsOf(t, path)), len(ids))
	}
	if got := segmentsOf(t, path); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

func TestASegmentOrLockThatWasRemovedIsNoticed(t *testing.T) {
	log, _, path := openTest(t, nil)
	writerID := log.WriterID()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := log.CheckWritable(); !unavailable(err) || !strings.Contains(err.Error(), "was removed") {
		t.Error(err)
	}
	row := rowOf()
	mustAppend(t, log, row)
	if log.WriterID() == writerID {
		t.Error("the id without a lock is used on")
	}
	if got := rowIDsOf(t, path); !slices.Equal(got, []string{row.RowID}) {
		t.Errorf("%q", got)
	}
	if err := log.CheckWritable(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeALogIsRefusedWithTheReason(t *testing.T) {
	path := t.TempDir()
	refuse := func(path, says string) {
		t.Helper()
		log, err := Open(path, "test", nil)
		var found *SetupError
		if log != nil || !errors.As(err, &found) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; it should say %s", path, err, says)
		}
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	refuse(path, "chmod go-w "+path)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(file, "cannot use")
	refuse(filepath.Join(file, "below"), "cannot use")
	if err := os.Symlink("/", filepath.Join(path, "active")); err != nil {
		t.Fatal(err)
	}
	refuse(path, "symbolic link")
}
