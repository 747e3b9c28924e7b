package image

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// forbidden are programs that an intruder would like to find: what makes programs, what installs them, and what gets
// them by itself. Names are whole; gcc-12 counts as gcc.
func forbidden() []string {
	return []string{"gcc", "g++", "cc", "c++", "c89", "c99", "cpp", "clang", "tcc", "as", "ld", "ld.bfd", "ld.gold", "go", "rustc", "cargo", "make", "gdb", "javac",
		"apt", "apt-get", "apt-cache", "apt-key", "aptitude", "dpkg", "dpkg-deb", "rpm", "dnf", "yum", "pip", "pip3", "npm", "snap", "flatpak", "cpan",
		"wget", "curl", "ssh", "sshd", "nc", "ncat", "socat", "telnet", "su", "sudo", "pkexec"}
}

// Check looks at a tree that shall become the root, and returns what must not be in it, sorted: files with setuid, setgid or
// capabilities, paths that all may write, compilers, package managers, owners without a number in the tree's own
// /etc/passwd and /etc/group, devices, what is left in folders that are mounted over, and units that our presets start and nobody
// has. A tree that cannot be read is an error.
//
// users is the fixed table (the file of that name beside this package): each of its names must have its number in the tree, and
// every number of 100 to 999 in the tree must be the table's.
func Check(root, users string) ([]string, error) {
	table, err := readTable(users)
	if err != nil {
		return nil, err
	}
	c := &checker{root: root, banned: map[string]bool{}}
	for _, name := range forbidden() {
		c.banned[name] = true
	}
	for _, kind := range []struct {
		file  string
		ids   *map[int]string
		fixed map[string]int
	}{{"etc/passwd", &c.users, table.users}, {"etc/group", &c.groups, table.groups}} {
		if *kind.ids, err = c.ids(kind.file, kind.fixed); err != nil {
			return nil, err
		}
	}
	if err := filepath.WalkDir(root, c.look); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if err := c.presets(); err != nil {
		return nil, err
	}
	slices.Sort(c.found)
	return c.found, nil
}

type checker struct {
	root          string
	banned        map[string]bool
	users, groups map[int]string
	found         []string
}

func (c *checker) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// ids reads the numbers of passwd or group and holds them against the table.
func (c *checker) ids(file string, fixed map[string]int) (map[int]string, error) {
	f, err := os.Open(filepath.Join(c.root, file))
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	defer f.Close()
	ids, names := map[int]string{}, map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			return nil, fmt.Errorf("check: %s: not a line of it: %q", file, lines.Text())
		}
		id, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("check: %s: %s has no number", file, fields[0])
		}
		name := fields[0]
		if other, twice := ids[id]; twice {
			c.say("/%s: %s and %s have the same number %d", file, other, name, id)
		}
		ids[id], names[name] = name, true
		want, known := fixed[name]
		switch {
		case known && want != id:
			c.say("/%s: %s has number %d; the table says %d", file, name, id, want)
		case !known && id > 100 && id < 1000: // 100 is "users", of base-passwd, as all below
			c.say("/%s: %s has number %d and is not in the table of users: write it there", file, name, id)
		}
	}
	for name := range fixed {
		if !names[name] {
			c.say("/%s: %s of the table of users is missing", file, name)
		}
	}
	return ids, lines.Err()
}

// presets looks for the units that the files *gatepost*.preset enable: systemctl says nothing of one that is misspelt.
func (c *checker) presets() error {
	files, err := filepath.Glob(filepath.Join(c.root, "usr/lib/systemd/system-preset/*gatepost*.preset"))
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("check: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			words := strings.Fields(line)
			if len(words) != 2 || words[0] != "enable" {
				continue
			}
			if _, err := os.Stat(filepath.Join(c.root, "usr/lib/systemd/system", words[1])); err != nil {
				c.say("/%s: there is no unit %s", strings.TrimPrefix(strings.TrimPrefix(file, c.root), "/"), words[1])
			}
		}
	}
	return nil
}

// covered are folders with something mounted over them: what the root has there is never seen.
func covered() []string { return []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var", "/efi"} }

func (c *checker) look(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, c.root), "/")
	mode := info.Mode()
	if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !(mode.IsDir() && strings.HasPrefix(name, "/usr/share/factory/var/")) {
		c.say("%s: setuid or setgid", name)
	}
	if mode&0o002 != 0 && mode&fs.ModeSymlink == 0 {
		c.say("%s: everybody may write it", name)
	}
	if mode&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		c.say("%s: a device, pipe or socket", name)
	}
	if !d.IsDir() {
		base := d.Name()
		if family, version, ok := strings.Cut(base, "-"); ok && version != "" && strings.Trim(version, "0123456789.") == "" {
			base = family
		}
		if folder := filepath.Base(filepath.Dir(name)); c.banned[base] && (folder == "bin" || folder == "sbin") {
			c.say("%s: a compiler, package manager or the like", name)
		}
		size, err := syscall.Getxattr(path, "security.capability", nil)
		if mode.IsRegular() && err == nil && size > 0 {
			c.say("%s: has capabilities", name)
		}
	}
	for _, folder := range covered() {
		if strings.HasPrefix(name, folder+"/") {
			c.say("%s: lies below %s, over which something is mounted", name, folder)
			if d.IsDir() {
				return fs.SkipDir
			}
		}
	}
	owner := info.Sys().(*syscall.Stat_t)
	if _, known := c.users[int(owner.Uid)]; !known {
		c.say("%s: owned by user %d, whom /etc/passwd does not know", name, owner.Uid)
	}
	if _, known := c.groups[int(owner.Gid)]; !known {
		c.say("%s: owned by group %d, which /etc/group does not know", name, owner.Gid)
	}
	return nil
}

// table is the fixed numbers.
type table struct{ users, groups map[string]int }

// readTable reads the file "users" (its head tells the form).
func readTable(file string) (*table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	t := &table{users: map[string]int{}, groups: map[string]int{}}
	taken := map[int]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if !(words[0] == "user" && len(words) >= 4 || words[0] == "group" && len(words) == 3) {
			return nil, fmt.Errorf("%s:%d: write \"user NAME ID HOME [GROUP...]\" or \"group NAME ID\"", file, n)
		}
		id, err := strconv.Atoi(words[2])
		if err != nil || id <= 100 || id > 999 {
			return nil, fmt.Errorf("%s:%d: %s: write a number from 101 to 999", file, n, words[2])
		}
		if other := taken[id]; other != "" {
			return nil, fmt.Errorf("%s:%d: %s has the number of %s", file, n, words[1], other)
		}
		taken[id] = words[1]
		t.groups[words[1]] = id
		if words[0] == "user" {
			t.users[words[1]] = id
		}
		for _, g := range words[min(len(words), 4):] {
			if _, known := t.groups[g]; words[0] == "user" && !known {
				return nil, fmt.Errorf("%s:%d: the group %s must stand further up", file, n, g)
			}
		}
	}
	return t, lines.Err()
}
