package sessionlog

import (
	"os"
	"syscall"
)

func syncData(file *os.File) error {
	return syscall.Fdatasync(int(file.Fd()))
}

// blockBytes is the unit in which a file system counts its blocks.
func blockBytes(status *syscall.Statfs_t) uint64 {
	return uint64(status.Frsize)
}
