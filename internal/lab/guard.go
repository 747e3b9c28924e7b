package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// guardScript waits for the end of its input, which is the end of the process
// that holds the other side of the pipe, and then ends a process group.
const guardScript = `read -r _
kill -s TERM -- "-$1" || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -s 0 -- "-$1" || exit 0; done
kill -s KILL -- "-$1"`

// guard ends a part when our own process ends without having stopped it, were it
// by SIGKILL. The kernel's parent-death signal would not do: a process that
// changes its user, as Postfix's master does, loses it.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File // our end; closed by the kernel when we end
}

// startGuard guards a process group.
func startGuard(group int) (*guard, error) {
	in, pipe, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	defer in.Close()
	g := &guard{cmd: exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(group)), pipe: pipe}
	g.cmd.Stdin = in
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no Ctrl-C reaches it
	if err := g.cmd.Start(); err != nil {
		pipe.Close()
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

// dismiss ends the guard; the group has ended already.
func (g *guard) dismiss() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait() // killed: an error that says so
	g.pipe.Close()
}
