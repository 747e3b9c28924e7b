// Package sandbox takes from the process what it does not need: after Enter it reads, writes and executes only what it was
// given, by Landlock (landlock(7)), and gains no rights by executing something (no_new_privs). All threads are held, and it
// cannot be left again.
//
// It restricts files only: sockets, TCP and pathname sockets alike, are reached as before. What the kernel has not is left
// out, and State tells so. It knows nothing of Gatepost.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Rights are what the process keeps. What does not exist is left out.
type Rights struct {
	Read    []string // files, and folders with all below them
	Write   []string // folders, with all below them: read, write, make, rename within one folder, remove
	Move    []string // folders of Write within which files are also moved from folder to folder; see State.Moves
	Execute []string // files
	// Victims says that processes which this one starts may raise their own oom_score_adj: the right to write to what the kernel
	// lets one's user write below /proc. Not where we are root, to whom that is the settings of the kernel.
	Victims bool
}

// State is what the kernel really gave.
type State struct {
	ABI        int   // the version of Landlock that the kernel has; 0: none
	Confined   bool  // an access that was not given was tried, and refused
	NoNewPrivs bool  // no program that is executed gains rights
	Err        error // why it is not confined, where that is not just an old kernel
}

// OK reports whether all of it is in force.
func (s State) OK() bool { return s.Confined && s.NoNewPrivs }

// Moves reports whether files can be moved from one folder to another within Rights.Move: the first version of Landlock
// forbids it everywhere.
func (s State) Moves() bool { return !s.Confined || s.ABI > 1 }

func (s State) String() string {
	text := fmt.Sprintf("landlock version %d", s.ABI)
	switch {
	case s.Err != nil:
		text = "no landlock: " + s.Err.Error()
	case s.ABI == 0:
		text = "no landlock: this kernel has none, or it is switched off, or a system call filter forbids it"
	case !s.Confined:
		text = "landlock is not in force"
	}
	if !s.NoNewPrivs {
		return text + "; no_new_privs is not set"
	}
	return text + ", no new privileges"
}

const (
	readFile   landlock.AccessFSSet = ll.AccessFSReadFile
	readFolder                      = readFile | ll.AccessFSReadDir
	execute                         = readFile | ll.AccessFSExecute
	write                           = readFolder | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSMakeDir |
		ll.AccessFSMakeSock | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
)

// Enter confines the process. It is called once, before anything is served.
func Enter(r Rights) State {
	var s State
	s.ABI, _ = ll.LandlockGetABIVersion() // an error says that there is none
	s.ABI = max(s.ABI, 0)
	s.Err = ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if s.Err == nil && s.ABI > 0 {
		var rules []landlock.Rule
		for _, name := range r.Read {
			rules = append(rules, rule(name, readFile, readFolder))
		}
		for _, name := range r.Write {
			rules = append(rules, rule(name, 0, write))
		}
		for _, name := range r.Move {
			if s.ABI > 1 { // asked of the first version, it would be no sandbox at all
				rules = append(rules, rule(name, 0, write|ll.AccessFSRefer))
			}
		}
		for _, name := range r.Execute {
			rules = append(rules, rule(name, execute, 0))
		}
		if r.Victims && os.Geteuid() != 0 {
			rules = append(rules, rule("/proc", 0, ll.AccessFSWriteFile))
		}
		rules = slices.DeleteFunc(rules, func(r landlock.Rule) bool { return r == nil })
		s.Err = landlock.V7.BestEffort().RestrictPaths(rules...)
	}
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	s.NoNewPrivs = err == nil && set == 1
	if f, err := os.Open("/"); errors.Is(err, fs.ErrPermission) {
		s.Confined = true // nobody was given the root folder, which everybody may read
	} else if err == nil {
		f.Close()
	}
	return s
}

// rule gives the right that fits what the name is: nil for what is not there or gets none.
func rule(name string, file, folder landlock.AccessFSSet) landlock.Rule {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil
	case info.IsDir() && folder != 0:
		return landlock.PathAccess(folder, name).IgnoreIfMissing()
	case !info.IsDir() && file != 0:
		return landlock.PathAccess(file, name).IgnoreIfMissing()
	}
	return nil
}

// Beside returns what to give so that a file can be read, and one that takes its place later: its folder, that of the file it
// links to, and where a folder on the way is a link, the folders in which that link and what it leads to are. In a folder that
// holds much else, such as /etc, it is the file alone; see Held.
func Beside(name string) []string {
	out := []string{about(name)}
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if real, err := filepath.EvalSymlinks(name); err == nil && real != name {
		add(about(real))
	}
	for dir := filepath.Dir(name); filepath.IsAbs(dir) && dir != "/"; dir = filepath.Dir(dir) {
		to, err := os.Readlink(dir)
		if err != nil {
			continue
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(dir), to)
		}
		for _, in := range []string{filepath.Dir(dir), filepath.Dir(to)} {
			if !broad(in) {
				add(in)
			}
		}
	}
	return out
}

func about(name string) string {
	if dir := filepath.Dir(name); !broad(dir) {
		return dir
	}
	return name
}

// broad reports whether a folder holds much that is not ours.
func broad(dir string) bool {
	parts := strings.Split(strings.Trim(filepath.Clean(dir), "/"), "/")
	if len(parts) < 2 || len(parts) == 2 && parts[0] == "home" {
		return true
	}
	return slices.Contains([]string{"/etc/ssl", "/etc/pki", "/usr/lib", "/usr/local", "/usr/share", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp"}, filepath.Clean(dir))
}

// Held reports whether an error is that of a file which our user may read, and the sandbox not: it was not given at the
// start, or another file has taken its place since. access(2) does not ask Landlock.
func Held(err error) bool {
	path, ok := errors.AsType[*fs.PathError](err)
	return ok && errors.Is(err, unix.EACCES) && unix.Faccessat(unix.AT_FDCWD, path.Path, unix.R_OK, unix.AT_EACCESS) == nil
}

// Lost returns those of the files that the sandbox keeps from being read: each was replaced since the start.
func Lost(files []string) (out []string) {
	for _, name := range files {
		f, err := os.Open(name)
		if err == nil {
			f.Close()
		} else if Held(err) {
			out = append(out, name)
		}
	}
	return out
}
