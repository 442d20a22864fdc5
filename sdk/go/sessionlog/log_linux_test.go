package sessionlog

import (
	"os"
	"strings"
	"testing"
)

func TestDescriptorsOfFinishedSegmentsAreClosed(t *testing.T) {
	log, _, path := openTest(t, &Options{SegmentBytesMax: 1})
	for range 50 {
		mustAppend(t, log, rowOf())
	}
	if got := len(segmentsOf(t, path)); got != 50 {
		t.Fatalf("%d segments", got)
	}
	open := 0
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, _ := os.Readlink("/proc/self/fd/" + link.Name())
		if strings.HasPrefix(target, path+"/active/") {
			open++
		}
	}
	if open != 1 {
		t.Errorf("%d segments are open", open)
	}
}
