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

// part is a process whose usage is of interest.
type part struct {
	pid   int
	group bool // with all processes of its group, and those of them that have ended
}

// usage reads what a part has used so far. Of a group it is all, pages that its processes share counted once for each.
func (p part) usage() (usage, error) {
	if !p.group {
		s, err := statOf(strconv.Itoa(p.pid))
		return usage{s.own, s.rss}, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return usage{}, fmt.Errorf("usage: %w", err)
	}
	var u usage
	found := false
	for _, e := range entries {
		if name := e.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		s, err := statOf(e.Name())
		if err != nil || s.group != p.pid {
			continue // another's, or it has just ended and is its parent's now
		}
		found = true
		u.CPU += s.own + s.children
		u.RSS += s.rss
	}
	if !found {
		return u, fmt.Errorf("usage: no process of group %d runs", p.pid)
	}
	return u, nil
}

// stat is what is read of a line of /proc/PID/stat.
type stat struct {
	group         int
	own, children time.Duration // children: those that have ended, and were waited for
	rss           int64
}

func statOf(pid string) (stat, error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return stat{}, fmt.Errorf("usage: %w", err)
	}
	s, err := parseStat(string(b), int64(os.Getpagesize()))
	if err != nil {
		return stat{}, fmt.Errorf("usage of process %s: %w", pid, err)
	}
	return s, nil
}

// parseStat reads a line of /proc/PID/stat.
func parseStat(line string, page int64) (s stat, err error) {
	// The name stands in parentheses and may itself contain any octet. Behind it
	// are the fields 3 and on: 5 pgrp, 14 utime, 15 stime, 16 cutime, 17 cstime, 24 rss.
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 22 {
		return s, fmt.Errorf("stat line %q: too short", line)
	}
	var n [6]int64
	for i, field := range []int{5, 14, 15, 16, 17, 24} {
		if n[i], err = strconv.ParseInt(fields[field-3], 10, 64); err != nil {
			return s, fmt.Errorf("stat line: field %d: %w", field, err)
		}
	}
	return stat{int(n[0]), time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick, n[5] * page}, nil
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

// highWater samples the resident memory of a part until stop, which returns the
// most that was seen. Looking at a group takes a while, so it is done seldom.
func highWater(p part) (stop func() int64) {
	every := 50 * time.Millisecond
	if p.group {
		every = 400 * time.Millisecond
	}
	quit, most := make(chan struct{}), make(chan int64)
	go func() {
		var high int64
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			if u, err := p.usage(); err == nil { // one that has ended fails the round elsewhere
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

// settle waits until a part rests, and for at most limit: what it does after
// the last reply, such as writing its log, belongs to the messages too.
func settle(p part, limit time.Duration) (usage, error) {
	last, err := p.usage()
	if err != nil {
		return last, err
	}
	// Under one tick in a tenth of a second is rest.
	for end := time.Now().Add(limit); time.Now().Before(end); {
		time.Sleep(10 * tick)
		now, err := p.usage()
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
