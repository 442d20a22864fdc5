package sessionlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	freeBytesMin = 16 << 20
	freeBytesMax = 256 << 20
)

// disk is the system calls the log stands on: what tests replace to inject faults. Nothing is
// retried or mended here; what a failed call means is decided by the writer.
type disk interface {
	// write appends with a single system call; the count that it took may be short.
	write(file *os.File, data []byte) (int, error)
	// sync makes a file's data durable.
	sync(file *os.File) error
	// syncDirectory makes the names in a directory durable; syncing a file does not do that.
	syncDirectory(path string) error
}

// systemDisk is the operating system's.
type systemDisk struct{}

func (systemDisk) write(file *os.File, data []byte) (int, error) {
	// Not file.Write: it would write the rest of a record that was cut short, behind whatever
	// another write put there meanwhile.
	return syscall.Write(int(file.Fd()), data)
}

func (systemDisk) sync(file *os.File) error {
	return syncData(file)
}

func (systemDisk) syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}

// createForAppend creates a file of our own, 0600, closed on exec.
func createForAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// takeLock creates a lock file and holds it exclusively; nil if somebody else got in between.
//
// The open file is the lock: it lasts until it is closed or the process ends, however it ends.
func takeLock(path string) (*os.File, error) {
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL | syscall.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	held := err == nil
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	if held {
		// A reaper may have removed the file between the open and the lock; a lock on a file
		// without a name would tell nobody that we live.
		held, err = isAt(file, path)
	}
	if !held || err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// isAt says whether an open file is still the one at a path.
func isAt(file *os.File, path string) (bool, error) {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ours, err := file.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(found, ours), nil
}

// makeDirectory creates a directory, 0700, and those above it, each with a durable name.
func makeDirectory(path string) error {
	if isDirectory(path) {
		return nil
	}
	above := filepath.Dir(path)
	if above != path {
		if err := makeDirectory(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !isDirectory(path) {
		return err
	}
	// A row is only as durable as the names that lead to it.
	return systemDisk{}.syncDirectory(above)
}

func isDirectory(path string) bool {
	status, err := os.Stat(path)
	return err == nil && status.IsDir()
}

// freeBytes gives the bytes that are free for us, and those below which no session is taken on.
func freeBytes(path string) (free, required uint64, err error) {
	var status syscall.Statfs_t
	if err := syscall.Statfs(path, &status); err != nil {
		return 0, 0, err
	}
	block := blockBytes(&status)
	total := status.Blocks * block
	return uint64(status.Bavail) * block, min(max(total/50, freeBytesMin), freeBytesMax), nil
}
