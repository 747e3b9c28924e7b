package sandbox

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed are the system calls that the runtime of Go and reading and writing descriptors need. Everything else fails with
// EPERM, or ends the process where only an attack would make it.
func allowed() []uint32 {
	return []uint32{unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_FUTEX,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_RESTART_SYSCALL,
		unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_SCHED_YIELD,
		unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETRANDOM, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_MEMBARRIER,
		unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST} // the last two are what the C library does for each new thread, where a program has one, and without which it aborts
}

// fatal are calls that nothing here makes but who took the process over.
func fatal() []uint32 {
	return []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_EXECVE, unix.SYS_EXECVEAT,
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_BPF, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_MOUNT, unix.SYS_UMOUNT2,
		unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_OPEN_BY_HANDLE_AT,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_PIDFD_GETFD, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO}
}

// Places in struct seccomp_data: the number of the call, the architecture, and the lower halves of its arguments, as
// little-endian machines have them.
const (
	atNumber = 0
	atArch   = 4
	atArgs   = 16
)

// threadFlags is what clone is called with for a thread and never for a process.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD

// program is a filter that is put together.
type program struct{ code []unix.SockFilter }

func (p *program) add(code uint16, k uint32) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: k})
}

// jump goes on yes or no instructions further.
func (p *program) jump(test uint16, k uint32, yes, no uint8) {
	p.code = append(p.code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, Jt: yes, Jf: no, K: k})
}

func (p *program) load(at uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, at) }
func (p *program) end(k uint32)   { p.add(unix.BPF_RET|unix.BPF_K, k) }

// refuse is what a call gets that is not allowed.
const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// calls builds the filter of a process with this id: of its calls that name a process it may name itself only.
func calls(arch uint32, pid int) []unix.SockFilter {
	var p program
	p.load(atArch)
	p.jump(unix.BPF_JEQ, arch, 1, 0)
	p.end(unix.SECCOMP_RET_KILL_PROCESS) // another way into the kernel
	p.load(atNumber)
	for _, nr := range allowed() {
		p.jump(unix.BPF_JEQ, nr, 0, 1)
		p.end(unix.SECCOMP_RET_ALLOW)
	}
	for _, nr := range fatal() {
		p.jump(unix.BPF_JEQ, nr, 0, 1)
		p.end(unix.SECCOMP_RET_KILL_PROCESS)
	}
	for _, nr := range [...]uint32{unix.SYS_MMAP, unix.SYS_MPROTECT} { // no memory is run that was not so at the start
		p.jump(unix.BPF_JEQ, nr, 0, 4)
		p.load(atArgs + 2*8)
		p.jump(unix.BPF_JSET, unix.PROT_EXEC, 1, 0)
		p.end(unix.SECCOMP_RET_ALLOW)
		p.end(unix.SECCOMP_RET_KILL_PROCESS)
	}
	p.jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 5) // a thread, and no process
	p.load(atArgs)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, threadFlags)
	p.jump(unix.BPF_JEQ, threadFlags, 0, 1)
	p.end(unix.SECCOMP_RET_ALLOW)
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	p.jump(unix.BPF_JEQ, unix.SYS_TGKILL, 0, 4) // how the runtime interrupts its own threads
	p.load(atArgs)
	p.jump(unix.BPF_JEQ, uint32(pid), 0, 1)
	p.end(unix.SECCOMP_RET_ALLOW)
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	p.jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1)
	p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)) // its flags cannot be seen; who calls it then calls clone
	p.end(refuse)
	return p.code
}

// filterCalls lays the filter over all threads (seccomp(2)). no_new_privs is set already.
func filterCalls(pid int) error {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no system call filter for %s", runtime.GOARCH)
	}
	code := calls(arch, pid)
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return fmt.Errorf("system call filter: %w", errno)
	}
	return nil
}
