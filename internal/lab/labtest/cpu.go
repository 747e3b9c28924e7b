package labtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that a process, its children that ended, and those that run had of the processors. What runs is counted by
// its clock, in nanoseconds; what ended in ticks of 10 ms, all of them together.
func CPU(tb testing.TB, pid int) (sum time.Duration) {
	tb.Helper()
	const tick = time.Second / 100 // USER_HZ of every Linux
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		own, rest, ok := strings.Cut(string(text), " ")
		i := strings.LastIndexByte(rest, ')')
		if !ok || i < 0 {
			continue
		}
		f := strings.Fields(rest[i+1:]) // f[0] is the state, the third field of proc(5)
		id, _ := strconv.Atoi(own)
		if len(f) < 15 || id != pid && f[1] != strconv.Itoa(pid) {
			continue
		}
		for _, at := range [...]int{13, 14} { // cutime, cstime
			ticks, err := strconv.Atoi(f[at])
			if err != nil {
				tb.Fatal(err)
			}
			sum += time.Duration(ticks) * tick
		}
		var used unix.Timespec
		if err := unix.ClockGettime(int32(^id<<3|2), &used); err == nil { // CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) names it
			sum += time.Duration(used.Nano())
		}
	}
	return sum
}
