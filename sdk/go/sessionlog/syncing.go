package sessionlog

import (
	"slices"
	"time"
)

// run is the goroutine that syncs: whatever was written meanwhile shares the next sync.
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
		l.answer(durable, nil)
		if len(failed) == 0 {
			l.mu.Lock()
			if l.segments.current != nil {
				l.failure = ""
			}
			l.mu.Unlock()
			return
		}
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
