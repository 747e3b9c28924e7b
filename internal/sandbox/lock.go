package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Bounds are what a process may use that is locked.
type Bounds struct {
	Memory int64         // octets of data
	CPU    time.Duration // of all its threads together; rounded up to seconds
}

// Room of address space beside what is data: the runtime of Go reserves it, and never touches most of it.
const reserved = 4 << 30

// Locked is what the kernel really gave a process that is locked.
type Locked struct {
	Landlock int   // the version of Landlock that is in force; 0: none
	Seccomp  bool  // system calls are filtered
	Victim   bool  // of all processes the kernel ends this first where memory is short; no part of the lock
	Err      error // why it is not locked as it should be
}

// OK reports whether all of it is in force.
func (l Locked) OK() bool { return l.Seccomp && l.Landlock > 0 && l.Err == nil }

func (l Locked) String() string {
	text := "no system call filter"
	if l.Seccomp {
		text = "system calls filtered"
	}
	if l.Landlock > 0 {
		text += fmt.Sprintf(", landlock version %d without any right", l.Landlock)
	} else {
		text += ", no landlock"
	}
	if l.Victim {
		text += ", the first to go when memory is short"
	}
	if l.Err != nil {
		text += ": " + l.Err.Error()
	}
	return text
}

// Lock takes everything from the process but what it holds open as descriptors 0 to 2, memory and the processor: no file, no
// socket, no other process, no program, no signal to others, no memory that is run. It is called once, before anything of a
// stranger is read, and before anything opens a descriptor that is to last. What is in force cannot be left again.
//
// Without the filter of system calls it is no lock, and Locked.Err says so; Landlock is the second fence behind it, which an
// older kernel has not.
func Lock(b Bounds) Locked {
	var l Locked
	l.Victim = becomeVictim() // before it is no longer dumpable, and its files there root's
	l.Err = errors.Join(
		closeOthers(),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), // nobody of our user traces it or reads its memory
		limit(unix.RLIMIT_CORE, 0), limit(unix.RLIMIT_FSIZE, 0), limit(unix.RLIMIT_NOFILE, 16), limit(unix.RLIMIT_MEMLOCK, 0), limit(unix.RLIMIT_MSGQUEUE, 0),
		limit(unix.RLIMIT_CPU, uint64((b.CPU+time.Second-1)/time.Second)),
		limit(unix.RLIMIT_DATA, uint64(b.Memory)), limit(unix.RLIMIT_AS, uint64(b.Memory)+reserved),
		ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if l.Err != nil {
		return l
	}
	if abi, err := ll.LandlockGetABIVersion(); err == nil && abi > 0 {
		if l.Err = landlock.V7.BestEffort().Restrict(); l.Err != nil {
			return l
		}
		f, err := os.Open("/")
		if err == nil {
			f.Close()
			l.Err = errors.New("landlock is not in force")
			return l
		}
		l.Landlock = abi
	}
	if l.Err = filterCalls(os.Getpid()); l.Err != nil {
		return l
	}
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	// The filter itself forbids to ask, which is an answer.
	l.Seccomp = mode == 2 || errors.Is(err, syscall.EPERM)
	if !l.Seccomp {
		l.Err = errors.New("the filter is not in force")
	}
	return l
}

// victim is the oom_score_adj of a process that is locked (proc(5), from -1000 to 1000): far above that of a service, which may
// have been given less than others. Everybody may raise his own.
const victim = "500"

func becomeVictim() bool {
	fd, err := unix.Open("/proc/self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0) // without the runtime, which would keep a poller
	if err != nil {
		return false
	}
	_, err = unix.Write(fd, []byte(victim))
	return errors.Join(err, unix.Close(fd)) == nil
}

// ownDescriptors is how far those of the runtime lie: the first that are free when it starts.
const ownDescriptors = 32

// closeOthers closes what was handed to us beside descriptors 0 to 2. The runtime has two of its own, to wait by, which are
// neither files nor sockets nor pipes.
func closeOthers() error {
	for fd := 3; fd < ownDescriptors; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != 0 {
			if err := unix.Close(fd); err != nil {
				return err
			}
		}
	}
	return unix.CloseRange(ownDescriptors, math.MaxUint32, 0)
}

func limit(what int, most uint64) error {
	err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most})
	if err != nil {
		return fmt.Errorf("rlimit %d: %w", what, err)
	}
	return nil
}
