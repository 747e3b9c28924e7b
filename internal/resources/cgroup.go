package resources

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// group is the control group with the least memory, of ours and those around it.
type group struct {
	limit  int64
	source string // its file
	usage  *os.File
	stat   *os.File
	cache  []string // the fields of stat that the kernel takes back when it needs to
}

// mount is one hierarchy of control groups with a memory controller.
type mount struct {
	dir, root string // where it is mounted, and which of its folders
	second    bool   // version 2
}

// findGroup finds the group that limits us most; nil where none does. Its files are kept open: a sandbox may hold them back
// later.
func findGroup(root string) (*group, error) {
	mounts, err := memoryMounts(root)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil, err
	}
	var least *group
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // cgroups(7): id, controllers, path
		if len(parts) != 3 {
			continue
		}
		for _, m := range mounts {
			if m.second != (parts[0] == "0" && parts[1] == "") || !m.second && !hasWord(parts[1], "memory") {
				continue
			}
			g := m.least(root, parts[2])
			if g != nil && (least == nil || g.limit < least.limit) {
				least = g
			}
		}
	}
	if least == nil {
		return nil, nil
	}
	return least, least.open()
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// memoryMounts reads mountinfo (proc_pid_mountinfo(5)).
func memoryMounts(root string) (out []mount, err error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 5 || len(tail) < 3 {
			continue
		}
		switch {
		case tail[0] == "cgroup2":
			out = append(out, mount{dir: head[4], root: head[3], second: true})
		case tail[0] == "cgroup" && hasWord(tail[2], "memory"):
			out = append(out, mount{dir: head[4], root: head[3]})
		}
	}
	return out, nil
}

// least is the group with the least limit, from ours up to the top of what is mounted.
func (m mount) least(root, path string) (out *group) {
	// In a container the path may be that of the host, and the mount begin at our own group.
	if m.root != "/" {
		path = strings.TrimPrefix(path, m.root)
	}
	top := filepath.Join(root, m.dir)
	dir := filepath.Join(top, path)
	if _, err := os.Stat(dir); err != nil || !strings.HasPrefix(dir, top) {
		dir = top
	}
	files := []string{"memory.limit_in_bytes"}
	if m.second {
		files = []string{"memory.max", "memory.high"}
	}
	for {
		for _, name := range files {
			if n, err := number(filepath.Join(dir, name)); err == nil && n > 0 && (out == nil || n < out.limit) {
				out = &group{limit: n, source: filepath.Join(dir, name)}
			}
		}
		if dir == top || len(dir) <= len(top) {
			return out
		}
		dir = filepath.Dir(dir)
	}
}

// number reads a limit; "max" is no error and no limit either.
func number(name string) (int64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return math.MaxInt64, nil
	}
	return strconv.ParseInt(word, 10, 64)
}

func (g *group) open() (err error) {
	dir := filepath.Dir(g.source)
	usage := "memory.current"
	g.cache = []string{"inactive_file", "active_file"}
	if filepath.Base(g.source) == "memory.limit_in_bytes" {
		usage, g.cache = "memory.usage_in_bytes", []string{"total_inactive_file", "total_active_file"}
	}
	if g.usage, err = os.Open(filepath.Join(dir, usage)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the top group of version 2 has none
		}
		return err
	}
	g.stat, err = os.Open(filepath.Join(dir, "memory.stat"))
	return err
}

func (g *group) close() {
	for _, f := range [...]*os.File{g.usage, g.stat} {
		if f != nil {
			f.Close()
		}
	}
}

var errNoUsage = errors.New("the group tells nothing of its use")

// used is what the group uses, without what the kernel holds of files and takes back when it needs to.
func (g *group) used() (int64, error) {
	if g.usage == nil || g.stat == nil {
		return 0, errNoUsage
	}
	text, err := again(g.usage)
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", g.usage.Name(), err)
	}
	if text, err = again(g.stat); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, c := range g.cache {
			if n, err := strconv.ParseInt(value, 10, 64); name == c && err == nil {
				used -= n
			}
		}
	}
	return max(used, 0), nil
}

// again reads an open file from its beginning.
func again(f *os.File) (string, error) {
	b := make([]byte, 8<<10)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(b[:n]), nil
}
