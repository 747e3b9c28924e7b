package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, a hundredth of a second on
// every architecture that Go knows (proc(5)).
const tick = 10 * time.Millisecond

// usage is what a process has used so far.
type usage struct {
	CPU time.Duration // user and system, all its threads
	RSS int64         // octets of resident memory
}

// usageOf reads the usage of a process, without its children.
func usageOf(pid int) (usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("usage: %w", err)
	}
	u, err := parseStat(string(b), int64(os.Getpagesize()))
	if err != nil {
		return usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	return u, nil
}

// parseStat reads a line of /proc/PID/stat.
func parseStat(line string, page int64) (u usage, err error) {
	// The name stands in parentheses and may itself contain any octet. Behind it
	// are the fields 3 and on: 14 utime, 15 stime, 24 rss.
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 22 {
		return u, fmt.Errorf("stat line %q: too short", line)
	}
	var n [3]int64
	for i, field := range []int{14, 15, 24} {
		if n[i], err = strconv.ParseInt(fields[field-3], 10, 64); err != nil {
			return u, fmt.Errorf("stat line: field %d: %w", field, err)
		}
	}
	return usage{CPU: time.Duration(n[0]+n[1]) * tick, RSS: n[2] * page}, nil
}

// machineBusy is the CPU time that all processes have used since boot.
func machineBusy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("usage: %w", err)
	}
	return parseBusy(string(b))
}

// parseBusy reads the first line of /proc/stat: user, nice, system, and interrupts,
// whose time processes are charged with too. Not idle and iowait, which come
// between, nor what a hypervisor took.
func parseBusy(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("usage: /proc/stat begins with %q", line)
	}
	var sum int64
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("usage: /proc/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// highWater samples the resident memory of a process until stop, which returns
// the most that was seen.
func highWater(pid int) (stop func() int64) {
	quit, most := make(chan struct{}), make(chan int64)
	go func() {
		var high int64
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			if u, err := usageOf(pid); err == nil { // one that has ended fails the round elsewhere
				high = max(high, u.RSS)
			}
			select {
			case <-t.C:
			case <-quit:
				most <- high
				return
			}
		}
	}()
	return func() int64 {
		close(quit)
		return <-most
	}
}

// settle waits until a process rests, and for at most limit: what it does after
// the last reply, such as writing its log, belongs to the messages too.
func settle(pid int, limit time.Duration) (usage, error) {
	last, err := usageOf(pid)
	if err != nil {
		return last, err
	}
	// Under one tick in a tenth of a second is rest.
	for end := time.Now().Add(limit); time.Now().Before(end); {
		time.Sleep(10 * tick)
		now, err := usageOf(pid)
		if err != nil {
			return last, err
		}
		if now.CPU == last.CPU {
			return now, nil
		}
		last = now
	}
	return last, nil
}
