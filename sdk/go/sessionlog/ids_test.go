package sessionlog_test

import (
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lakehouse/sdk/go/sessionlog"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$`)

func TestMintedIDsAreUUIDVersion7AndRise(t *testing.T) {
	before := time.Now().UnixMilli()
	last := ""
	for range 20_000 {
		id := sessionlog.NewID()
		if !uuid7.MatchString(id) || id <= last || sessionlog.TraceIDOf(id) != id {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
	minted, err := strconv.ParseInt(last[:12], 16, 64)
	if err != nil || minted < before || minted > before+10_000 {
		t.Errorf("%s was minted at %d, %v", last, minted, err)
	}
}

func TestGoroutinesMintDifferentIDs(t *testing.T) {
	var all []string
	var lock sync.Mutex
	var minting sync.WaitGroup
	for range 4 {
		minting.Add(1)
		go func() {
			defer minting.Done()
			for range 1_000 {
				// The first half is the tick, which is taken by one goroutine only.
				tick := sessionlog.NewID()[:16]
				lock.Lock()
				all = append(all, tick)
				lock.Unlock()
			}
		}()
	}
	minting.Wait()
	slices.Sort(all)
	if different := slices.Compact(all); len(different) != 4_000 {
		t.Errorf("%d different ids", len(different))
	}
}

func TestSpanIDsAre16HexDigits(t *testing.T) {
	if id := sessionlog.NewSpanID(); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(id) {
		t.Error(id)
	}
}

func TestTimestampsAreCutNotRounded(t *testing.T) {
	zone := time.FixedZone("east", 2*3600)
	for _, c := range []struct {
		moment time.Time
		text   string
	}{
		{time.Unix(951_782_400, 0), "2000-02-29T00:00:00.000000Z"},
		{time.Unix(1, 999_999_999), "1970-01-01T00:00:01.999999Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 678_901_999, zone), "2026-01-02T01:04:05.678901Z"},
	} {
		if got := sessionlog.Timestamp(c.moment); got != c.text {
			t.Errorf("%s, not %s", got, c.text)
		}
	}
}
