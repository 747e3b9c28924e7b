package resources

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree makes a folder that stands for "/".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	mount2 = "30 1 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
	mount1 = "31 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n29 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
)

func TestFindGroup(t *testing.T) {
	const v1, v2 = "sys/fs/cgroup/memory/", "sys/fs/cgroup/"
	for name, tt := range map[string]struct {
		files  map[string]string
		limit  int64 // 0: none
		source string
		used   int64
	}{
		"version 2": {map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/system.slice/gatepost.service\n",
			v2 + "system.slice/gatepost.service/memory.max": "1000000\n", v2 + "system.slice/gatepost.service/memory.high": "max\n",
			v2 + "system.slice/memory.max": "max\n", v2 + "system.slice/gatepost.service/memory.current": "500000\n",
			v2 + "system.slice/gatepost.service/memory.stat": "anon 300000\ninactive_file 100000\nactive_file 50000\n"},
			1_000_000, "system.slice/gatepost.service/memory.max", 350_000},
		"version 2, high is less": {map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/a\n", v2 + "a/memory.max": "1000000\n",
			v2 + "a/memory.high": "900000\n", v2 + "a/memory.current": "1\n", v2 + "a/memory.stat": ""}, 900_000, "a/memory.high", 1},
		"version 2, the group above is less": {map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/a/b\n", v2 + "a/b/memory.max": "max\n",
			v2 + "a/memory.max": "7000\n", v2 + "a/memory.current": "10\n", v2 + "a/memory.stat": "inactive_file 20\n"}, 7000, "a/memory.max", 0},
		"version 1": {map[string]string{"proc/self/mountinfo": mount2 + mount1, "proc/self/cgroup": "4:memory:/x/y\n0::/\n",
			v1 + "x/y/memory.limit_in_bytes": "800000\n", v1 + "x/memory.limit_in_bytes": "9223372036854771712\n",
			v1 + "x/y/memory.usage_in_bytes": "700000\n", v1 + "x/y/memory.stat": "total_inactive_file 1\ntotal_active_file 2\ninactive_file 50\n"},
			800_000, "x/y/memory.limit_in_bytes", 699_997},
		"version 1 in a container": {map[string]string{"proc/self/mountinfo": "31 1 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"proc/self/cgroup": "4:cpu,memory:/docker/abc\n", v1 + "memory.limit_in_bytes": "4096\n", v1 + "memory.usage_in_bytes": "1\n", v1 + "memory.stat": ""},
			4096, "memory/memory.limit_in_bytes", 1},
		"the path is the host's": {map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/../../elsewhere\n", v2 + "memory.max": "5000\n",
			v2 + "memory.current": "1\n", v2 + "memory.stat": ""}, 5000, "cgroup/memory.max", 1},
		"nothing limits": {map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/\n"}, 0, "", 0},
		"garbage":        {map[string]string{"proc/self/mountinfo": "x\n - \n\n" + mount2, "proc/self/cgroup": "\nx:y\n0::/a\n", v2 + "a/memory.max": "much\n"}, 0, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, tt.files)
			g, err := findGroup(root)
			if err != nil {
				t.Fatal(err)
			}
			if tt.limit == 0 {
				if g != nil && g.limit != math.MaxInt64 {
					t.Errorf("a limit of %d in %s", g.limit, g.source)
				}
				return
			}
			if g == nil {
				t.Fatal("no limit")
			}
			defer g.close()
			used, err := g.used()
			if g.limit != tt.limit || !strings.HasSuffix(g.source, tt.source) || used != tt.used || err != nil {
				t.Errorf("limit %d in %s, used %d, %v", g.limit, g.source, used, err)
			}
		})
	}
	if _, err := findGroup(t.TempDir()); err == nil {
		t.Error("without /proc there is no error")
	}
}

// TestLimitMemory shows what Go is given, on this machine and in a group; GOMEMLIMIT is left as it is.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	m, err := LimitMemory("/", 0)
	if err != nil || m.Limit <= 0 || m.Go != int64(share*float64(m.Limit)) || debug.SetMemoryLimit(-1) != m.Go {
		t.Fatal(err, m)
	}
	const group = "sys/fs/cgroup/a/"
	root := tree(t, map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/a\n", group + "memory.max": "104857600\n",
		group + "memory.current": "52428800\n", group + "memory.stat": ""})
	if m, err = LimitMemory(root, 1<<20); err != nil || m.Limit != 100<<20 || m.Go != 94371840-1<<20 || !strings.Contains(m.String(), "100 MiB by "+root) {
		t.Errorf("%v, %v", m, err)
	}
	t.Setenv("GOMEMLIMIT", "50MiB")
	debug.SetMemoryLimit(50 << 20) // as the runtime does at the start
	if m, err = LimitMemory(root, 1<<20); err != nil || m.Limit != 100<<20 || m.Go != 50<<20 || !strings.HasSuffix(m.String(), "Go may take 50 MiB by GOMEMLIMIT") {
		t.Errorf("%v, %v", m, err)
	}
	m, err = LimitMemory(t.TempDir(), 0)
	if err == nil || m == nil || m.Source != "the machine" {
		t.Errorf("where /proc is hidden: %v, %v", m, err)
	}
}

// TestPressure: what lives counts, what a collection frees does not, and the group counts with what is not ours.
func TestPressure(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	m, err := LimitMemory("/", 0)
	if err != nil {
		t.Fatal(err)
	}
	m.budget, m.group = 512<<20, nil
	fresh := func() float64 { m.at.Store(0); runtime.GC(); return m.Pressure() }
	quiet := fresh()
	outside, err := unix.Mmap(-1, 0, 256<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	if full := fresh(); full < quiet+0.4 || full > quiet+0.6 {
		t.Errorf("with half of it outside of Go the pressure went from %.2f to %.2f", quiet, full)
	}
	if err := unix.Munmap(outside); err != nil {
		t.Fatal(err)
	}
	live := make([]byte, 256<<20)
	if full := fresh(); full < quiet+0.45 || full > quiet+0.6 {
		t.Errorf("with half of it alive the pressure went from %.2f to %.2f", quiet, full)
	}
	if held := m.Pressure(); held != m.Pressure() {
		t.Error("within a second it is measured twice")
	}
	runtime.KeepAlive(live)
	live = nil
	if again := fresh(); again > quiet+0.1 {
		t.Errorf("with it gone the pressure is %.2f, before %.2f", again, quiet)
	}
	const group = "sys/fs/cgroup/a/"
	root := tree(t, map[string]string{"proc/self/mountinfo": mount2, "proc/self/cgroup": "0::/a\n", group + "memory.max": fmt.Sprint(int64(4 << 30)),
		group + "memory.current": fmt.Sprint(int64(3 << 30)), group + "memory.stat": "inactive_file 10\n"})
	if m.group, err = findGroup(root); err != nil {
		t.Fatal(err)
	}
	defer m.group.close()
	m.Limit = 4 << 30
	if p := fresh(); p < 0.5 || p > 0.76 {
		t.Errorf("with three quarters of the group in use the pressure is %.2f", p)
	}
}

// TestPressureIsCheap: many may ask at the same time, and none waits for a measurement.
func TestPressureIsCheap(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	m, err := LimitMemory("/", 0)
	if err != nil {
		t.Fatal(err)
	}
	m.measure.Lock() // a measurement that hangs
	defer m.measure.Unlock()
	answered := make(chan float64, 1)
	go func() { answered <- m.Pressure() }()
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
	if n := testing.AllocsPerRun(100, func() { m.Pressure() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDescriptors(t *testing.T) {
	n, err := Descriptors()
	var l unix.Rlimit
	if e := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); e != nil || err != nil || uint64(n) != min(l.Max, 1<<30) || l.Cur != l.Max {
		t.Errorf("%d, %v; soft %d, hard %d, %v", n, err, l.Cur, l.Max, e)
	}
}
