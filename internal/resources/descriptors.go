package resources

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Descriptors raises the soft limit of file descriptors to the hard one, and returns how many there may be now. (The Go
// runtime does it too; a service manager may set both lower than what is needed.)
func Descriptors() (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("descriptors: %w", err)
	}
	if l.Cur < l.Max {
		raised := unix.Rlimit{Cur: l.Max, Max: l.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			l = raised
		}
	}
	return int(min(l.Cur, 1<<30)), nil
}
