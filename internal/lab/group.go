package lab

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
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

// processState reads the state letter and process group of a process.
func processState(pid int) (state byte, group int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name stands in parentheses and may itself contain any byte.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 3 {
		return 0, 0, fmt.Errorf("process %d: short stat line", pid)
	}
	group, err = strconv.Atoi(string(fields[2]))
	return fields[0][0], group, err
}
