package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errNotRoot is what parts say that run in a view of the file system of their own.
var errNotRoot = errors.New("it runs in a mount namespace with users of its own; run this as root")

// firstID is where the search for free user ids begins, above those that adduser hands out.
const firstID = 60900

// unpacked is the folder where scripts/install unpacked the packages of an MTA: below $GATEPOST_MTAS, else in the
// cache of these sources.
func unpacked(ctx context.Context, name string) (string, error) {
	base := os.Getenv("GATEPOST_MTAS")
	if base == "" {
		root, err := moduleRoot(ctx)
		if err != nil {
			return "", err
		}
		base = filepath.Join(root, ".cache")
	}
	dir := filepath.Join(base, name)
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%s: not unpacked in %s (scripts/install does)", name, dir)
	}
	return dir, nil
}

// private is a view of the file system for one part alone: programs that look for their files, and for their users, at
// places that are compiled in find there what the lab made. The system itself does not change.
type private struct {
	dir   string
	steps strings.Builder // of a shell, before the program begins
}

// empty puts an empty folder over one, with folders below it that shall be there.
func (p *private) empty(over string, below ...string) {
	fmt.Fprintf(&p.steps, "mount -t tmpfs tmpfs '%s'\n", over)
	for _, name := range below {
		fmt.Fprintf(&p.steps, "mkdir -p '%s'\n", filepath.Join(over, name))
	}
}

// show puts a file or folder over one.
func (p *private) show(from, over string) {
	fmt.Fprintf(&p.steps, "mount --bind '%s' '%s'\n", from, over)
}

// place copies a file into a folder that is this view's own.
func (p *private) place(from, to, mode string) {
	fmt.Fprintf(&p.steps, "install -m %s '%s' '%s'\n", mode, from, to)
}

// users adds users to those of the system, each with a group of its name, and returns their ids.
func (p *private) users(names ...string) ([]int, error) {
	passwd, err1 := os.ReadFile("/etc/passwd")
	group, err2 := os.ReadFile("/etc/group")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	taken := ":" + strings.ReplaceAll(string(passwd)+string(group), "\n", ":") + ":"
	var ids []int
	id := firstID
	for _, name := range names {
		for strings.Contains(taken, ":"+strconv.Itoa(id)+":") {
			id++
		}
		// The last entry of a name would not be found.
		passwd = append([]byte(fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, id, p.dir)), passwd...)
		group = append([]byte(fmt.Sprintf("%s:x:%d:\n", name, id)), group...)
		ids = append(ids, id)
		id++
	}
	for name, text := range map[string][]byte{"passwd": passwd, "group": group} {
		file := filepath.Join(p.dir, name)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return nil, err
		}
		p.show(file, "/etc/"+name)
	}
	return ids, nil
}

// command makes a program run in the view. Its process id is that of the command.
func (p *private) command(c command) (command, error) {
	if os.Geteuid() != 0 {
		return c, errNotRoot
	}
	unshare, err := program("unshare", "util-linux")
	if err != nil {
		return c, err
	}
	script := filepath.Join(p.dir, "private.sh")
	text := "set -e\n" + p.steps.String() + "exec \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		return c, err
	}
	c.args = append([]string{"--mount", "--", "/bin/sh", script, c.path}, c.args...)
	c.path = unshare
	return c, nil
}
