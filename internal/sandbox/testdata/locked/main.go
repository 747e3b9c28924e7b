// Command locked locks itself and then tries one thing: what it is told to. The test of sandbox.Lock builds it without the
// race detector, whose own memory no limit leaves room for.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gatepost/internal/sandbox"
)

// attempts are what a locked process tries. Each returns the error that it got; the filter ends the process for some.
func attempts() map[string]func() error {
	call := func(nr uintptr, args ...uintptr) error {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
	text := func(s string) uintptr {
		p, err := syscall.BytePtrFromString(s)
		if err != nil {
			panic(err)
		}
		return uintptr(unsafe.Pointer(p))
	}
	return map[string]func() error{
		"nothing": func() error { return nil },
		"wait":    func() error { var b [1]byte; _, _ = os.Stdin.Read(b[:]); return nil },
		"threads": func() error { threads(func(int) {}); return nil },
		"sleep":   func() error { <-time.After(5 * time.Millisecond); return nil },
		"open":    func() error { _, err := os.Open("/etc/passwd"); return err },
		"proc":    func() error { _, err := os.ReadFile("/proc/self/environ"); return err },
		"create":  func() error { return os.WriteFile("/tmp/gatepost-locked", nil, 0o600) },
		"stat":    func() error { _, err := os.Stat("/"); return err },
		"socket":  func() error { _, err := net.Dial("tcp", "127.0.0.1:25"); return err },
		"unix":    func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"pair":    func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"exec":    func() error { return syscall.Exec("/proc/self/exe", []string{"x"}, nil) },
		"fork":    func() error { return call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) },
		"clone3":  func() error { return call(unix.SYS_CLONE3, 0, 0) },
		"ptrace":  func() error { return unix.PtraceAttach(os.Getppid()) },
		"parent":  func() error { return unix.Kill(os.Getppid(), 0) },
		"tgkill":  func() error { return call(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid()), 0) },
		"run": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		},
		"uring":   func() error { return call(unix.SYS_IO_URING_SETUP, 1, 0) },
		"unshare": func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"mount":   func() error { return unix.Mount("x", "/", "tmpfs", 0, "") },
		"chmod":   func() error { return call(unix.SYS_FCHMODAT, uintptr(0xffffff9c), text("/tmp"), 0o777) },
		"limits":  func() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) },
		"dup":     func() error { _, err := unix.FcntlInt(0, unix.F_DUPFD, 3); return err },
		"memory": func() error {
			b := make([]byte, 2<<30)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			return nil
		},
		"shared": func() error {
			_, err := unix.Mmap(-1, 0, 8<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED)
			return err
		},
		"spin": func() error {
			for { // until the kernel ends it
			}
		},
		"inherited": func() error {
			for fd := 3; fd < 256; fd++ {
				var st unix.Stat_t
				if err := unix.Fstat(fd, &st); err != unix.EPERM && err != unix.EBADF {
					return fmt.Errorf("%d: %v", fd, err)
				}
				var b [1]byte
				if _, err := unix.Read(fd, b[:]); err != unix.EBADF {
					return fmt.Errorf("%d: %v", fd, err)
				}
			}
			return nil
		},
	}
}

// main is the locked process. "below" has it confined before, as by who starts it.
func main() {
	if os.Args[1] == "below" {
		if s := sandbox.Enter(sandbox.Rights{Read: []string{"/proc"}, Execute: []string{os.Args[0]}, Victims: true}); !s.OK() {
			fmt.Println("not confined:", s)
		}
		fmt.Println(syscall.Exec(os.Args[0], append([]string{os.Args[0]}, os.Args[2:]...), nil))
	}
	threads(func(int) {}) // those that exist before must be held too
	l := sandbox.Lock(sandbox.Bounds{Memory: 256 << 20, CPU: time.Second})
	fmt.Println("locked", l.OK(), l)
	done := make(chan error)
	go func() { done <- attempts()[os.Args[1]]() }()
	fmt.Println("got", <-done)
	os.Exit(0)
}

// threads runs f in 20 threads at the same time.
func threads(f func(int)) {
	var wg, all sync.WaitGroup
	all.Add(20)
	for n := range 20 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
			f(n)
		})
	}
	wg.Wait()
}
