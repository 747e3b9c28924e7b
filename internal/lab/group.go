package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// groupAlive says whether a process of the group runs. Ended processes that
// nobody has waited for yet do not count: their parent may be a process 1 that
// takes its time.
func groupAlive(group int) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		state, pgrp, err := processState(pid)
		if err == nil && pgrp == group && state != 'Z' && state != 'X' {
			return true
		}
	}
	return false
}

// stopTime bounds the wait for threads to stop.
const stopTime = 10 * time.Second

// AwaitStopped waits until no thread of a process runs that was sent SIGSTOP, nor of any other of its group when whole. The
// signal stops the others only once the thread that takes it gets a processor, which lasts where all are busy.
func AwaitStopped(pid int, whole bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		threads := fmt.Sprintf("/proc/%d/task/*/stat", pid)
		if whole {
			threads = "/proc/[0-9]*/task/*/stat"
		}
		names, err := filepath.Glob(threads)
		if err != nil {
			return false, err
		}
		for _, name := range names {
			state, group, err := stateIn(name)
			if err == nil && (!whole || group == pid) && strings.IndexByte("TtZX", state) < 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("process %d does not stop: %w", pid, err)
	}
	return nil
}

// processState reads the state letter and process group of a process.
func processState(pid int) (state byte, group int, err error) {
	return stateIn(fmt.Sprintf("/proc/%d/stat", pid))
}

// stateIn reads them from a stat file, of a process or of a thread.
func stateIn(name string) (state byte, group int, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, err
	}
	// The name stands in parentheses and may itself contain any byte.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 3 {
		return 0, 0, fmt.Errorf("%s: short stat line", name)
	}
	group, err = strconv.Atoi(string(fields[2]))
	return fields[0][0], group, err
}
