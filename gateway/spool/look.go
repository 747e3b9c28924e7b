package spool

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"gatepost/gateway"
)

// LookInto opens the queue in a folder to read what lies in it: for when no daemon runs with it. It changes nothing, takes
// nothing, and must not Run. A file that is damaged is left where it is, and is not shown. os.ErrNotExist says that there is
// no queue.
func LookInto(dir string) (*Queue, error) {
	q := newQueue(QueueOptions{Dir: dir, NextHop: func() gateway.NextHop { return nil }, disk: onlyRead{}})
	if _, err := os.Stat(q.dirs.queue()); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := q.load(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	q.latch("open", errOnlyRead)
	return q, nil
}

// errOnlyRead is why nothing is changed.
var errOnlyRead = fmt.Errorf("it was opened to be read: %w", unix.EROFS)

// onlyRead is a disk that takes nothing.
type onlyRead struct{}

func (onlyRead) Create(string) (diskFile, error) { return nil, errOnlyRead }
func (onlyRead) Rename(string, string) error     { return errOnlyRead }
func (onlyRead) Remove(string) error             { return errOnlyRead }
func (onlyRead) Mkdir(string) error              { return errOnlyRead }
func (onlyRead) SyncDir(string) error            { return errOnlyRead }
