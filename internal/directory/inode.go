package directory

import (
	"fmt"
	"os"
	"syscall"
)

// state tells one state of a file from another: another file of this name, or another content.
func state(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	var inode uint64
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = s.Ino
	}
	return fmt.Sprintf("%d %d %d", inode, info.Size(), info.ModTime().UnixNano())
}
