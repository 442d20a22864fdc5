package sessionlog

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Durability is what an acknowledgement means.
type Durability int

const (
	// DurabilityCommit: the row survives a power cut; it is acknowledged after fdatasync.
	DurabilityCommit Durability = iota
	// DurabilityOS: the row survives the process, not the machine; it is in the page cache.
	DurabilityOS
)

// Options are how a writer writes. The zero value is what a daemon wants.
type Options struct {
	// Durability is what an acknowledgement means.
	Durability Durability
	// SegmentBytesMax: a segment with so many bytes is followed by another; 0 is 64 MiB.
	SegmentBytesMax int64
	// SegmentAgeMax: so is one that is so old and has a row; 0 is an hour.
	SegmentAgeMax time.Duration
}

func (o *Options) orDefaults() Options {
	options := Options{}
	if o != nil {
		options = *o
	}
	if options.SegmentBytesMax == 0 {
		options.SegmentBytesMax = 64 << 20
	}
	if options.SegmentAgeMax == 0 {
		options.SegmentAgeMax = time.Hour
	}
	return options
}

// A SetupError is a directory that cannot be used; says why and what to do. Nothing was started.
type SetupError struct{ Reason string }

func (e *SetupError) Error() string {
	return "session log: " + e.Reason
}

// An UnavailableError is a disk that did not take a line. The writer tries again by itself; so may
// the caller, with the same row_id.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string {
	return "the session log cannot be written: " + e.Reason
}

// logParts are the directories that a writer needs in a log.
var logParts = []string{"active", "sealed", "writers"}

// prepare makes a log directory ready for a writer, and gives its real path. The log itself may be
// reached through a symbolic link, its parts may not.
func prepare(path string) (string, error) {
	if err := makeDirectory(path); err != nil {
		return "", unusable(path, err)
	}
	root, err := filepath.Abs(path)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return "", unusable(path, err)
	}
	if err := checkPrivate(root); err != nil {
		return "", err
	}
	for _, name := range logParts {
		part := filepath.Join(root, name)
		if status, err := os.Lstat(part); err == nil && status.Mode()&os.ModeSymlink != 0 {
			reason := part + " is a symbolic link; it must be a directory of its own"
			return "", &SetupError{reason}
		}
		if err := makeDirectory(part); err != nil {
			return "", unusable(part, err)
		}
		if err := checkPrivate(part); err != nil {
			return "", err
		}
	}
	return root, nil
}

func unusable(path string, err error) error {
	return &SetupError{fmt.Sprintf("cannot use %s: %v", path, err)}
}

func checkPrivate(path string) error {
	status, err := os.Stat(path)
	if err != nil {
		return unusable(path, err)
	}
	if status.Mode().Perm()&0o022 != 0 {
		reason := "others may write to %[1]s, and so could forge or remove rows: chmod go-w %[1]s"
		return &SetupError{fmt.Sprintf(reason, path)}
	}
	return nil
}
