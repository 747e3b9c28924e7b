package resources

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// share is how much of the memory is for Go: the rest is for what it does not count, such as SQLite's pages and stacks of
// the system, and for what comes between two collections.
const share = 0.9

// sampleEvery is how old a measured pressure may be.
const sampleEvery = time.Second

// Memory is how much of it there is, and how much is used. Its methods are safe for concurrent use.
type Memory struct {
	Limit  int64  // octets: the least of the control groups and the machine
	Source string // where Limit stands
	Go     int64  // the limit of the Go runtime; 0: none, since the environment says off
	ByEnv  bool   // GOMEMLIMIT said so

	budget  int64    // what all of the process may take
	statm   *os.File // of the process, kept open; nil where /proc hides it
	group   *group   // nil where no control group limits
	at      atomic.Int64
	value   atomic.Uint64 // math.Float64bits
	measure sync.Mutex
	samples []metrics.Sample // with measure held
}

// LimitMemory finds the limit and gives 90 % of it, less what the caller holds outside of Go's heap, to the Go runtime, so
// that it collects before the kernel kills. What GOMEMLIMIT says is left as it is. root is the folder that /proc and
// /sys/fs/cgroup are in, "/" but in tests.
func LimitMemory(root string, outside int64) (*Memory, error) {
	m := &Memory{samples: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/metadata/mcache/inuse:bytes"}, {Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"}, {Name: "/memory/classes/os-stacks:bytes"}, {Name: "/memory/classes/other:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	m.Limit, m.Source = int64(info.Totalram)*int64(info.Unit), "the machine"
	g, err := findGroup(root)
	if err == nil && g != nil && g.limit < m.Limit {
		m.Limit, m.Source, m.group = g.limit, g.source, g
	} else if g != nil {
		g.close()
	}
	m.budget = int64(share * float64(m.Limit))
	if m.ByEnv = os.Getenv("GOMEMLIMIT") != ""; !m.ByEnv {
		debug.SetMemoryLimit(max(m.budget-outside, m.budget/2))
	}
	if m.Go = debug.SetMemoryLimit(-1); m.Go == math.MaxInt64 {
		m.Go = 0
	} else if m.ByEnv {
		m.budget = min(m.Go, m.budget)
	}
	m.statm, _ = os.Open(filepath.Join(root, "proc/self/statm"))
	if err != nil {
		return m, fmt.Errorf("memory: control group: %w", err)
	}
	return m, nil
}

func (m *Memory) String() string {
	by := "90 % of it, less what messages may hold outside of Go"
	if m.ByEnv {
		by = "GOMEMLIMIT"
	}
	return fmt.Sprintf("%d MiB by %s, Go may take %d MiB by %s", m.Limit>>20, m.Source, m.Go>>20, by)
}

// Pressure is the share of the limit that is in use and cannot be given back, from 0 to 1. What a collection will free, and
// what the kernel holds of files, is not counted: a heap that grows to its goal between two collections is no pressure. It
// is measured at most once a second; asking costs nanoseconds.
func (m *Memory) Pressure() float64 {
	now := time.Now().UnixNano()
	if now-m.at.Load() >= int64(sampleEvery) && m.measure.TryLock() {
		if now-m.at.Load() >= int64(sampleEvery) {
			m.value.Store(math.Float64bits(min(m.read(), 1)))
			m.at.Store(now)
		}
		m.measure.Unlock()
	}
	return math.Float64frombits(m.value.Load())
}

// read measures, with the lock held.
func (m *Memory) read() float64 {
	metrics.Read(m.samples)
	var live int64
	n := len(m.samples) - 2
	for _, s := range m.samples[:n] {
		live += int64(s.Value.Uint64())
	}
	mapped := int64(m.samples[n].Value.Uint64()) - int64(m.samples[n+1].Value.Uint64())
	p := float64(live+max(m.anonymous()-mapped, 0)) / float64(m.budget)
	if m.group != nil {
		if used, err := m.group.used(); err == nil { // one that cannot be read any more tells nothing
			p = max(p, float64(used-max(mapped-live, 0))/float64(m.Limit))
		}
	}
	return max(p, 0)
}

// anonymous is what the process holds that is of no file, within Go's heap and outside of it (proc_pid_statm(5)); 0 where it
// is not known.
func (m *Memory) anonymous() int64 {
	if m.statm == nil {
		return 0
	}
	text, err := again(m.statm)
	var size, resident, shared int64
	if _, e := fmt.Sscan(text, &size, &resident, &shared); err != nil || e != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
