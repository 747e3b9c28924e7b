package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a part that runs as a process of its own, in its own process group,
// with its output in a log file. Its methods may be called at the same time.
type Process struct {
	name    string
	logs    []string // files that tell what went wrong
	cmd     *exec.Cmd
	ports   []*Port
	guard   *guard // nil once the group has ended
	grace   time.Duration
	stopped sync.Mutex // one Stop at a time

	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// command says how to start a process.
type command struct {
	name   string // for errors
	path   string
	args   []string
	env    []string   // added to a small clean environment
	dir    string     // working folder
	log    string     // file that gets stdout and stderr
	stdout *os.File   // in its place for stdout; nil: none
	logs   []string   // further files worth showing
	files  []*os.File // its descriptors 3 and on
	owner  owner
	ports  []*Port       // released when it ends
	grace  time.Duration // after SIGTERM before SIGKILL; 0: 10 s
}

// start runs the command. When our own process ends in any way, the part ends too.
func start(c command) (*Process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: log: %w", c.name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8", "HOME=" + c.dir, "TMPDIR=" + c.dir,
	}, c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if c.stdout != nil {
		cmd.Stdout = c.stdout
	}
	cmd.ExtraFiles = c.files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // a session, so a process group, of its own
		Credential: c.owner.cred,
	}
	p := &Process{
		name: c.name, logs: append([]string{c.log}, c.logs...), cmd: cmd,
		ports: c.ports, grace: c.grace, done: make(chan struct{}),
	}
	if p.grace == 0 {
		p.grace = 10 * time.Second
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: start: %w", c.name, err)
	}
	g, err := startGuard(cmd.Process.Pid)
	if err != nil {
		_ = p.group(syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	p.guard = g
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id, and the id of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ExitCode is the exit code of a process that has ended, and -1 while it runs or
// when a signal ended it.
func (p *Process) ExitCode() int {
	if p.Running() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the process alone.
func (p *Process) Signal(sig syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("%s: signal %v: it has ended", p.name, sig)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s: signal %v: %w", p.name, sig, err)
	}
	return nil
}

// Pause stops the whole process group where it is: connections to it are taken
// by the kernel and nobody answers. Resume lets it go on.
func (p *Process) Pause() error {
	if err := p.group(syscall.SIGSTOP); err != nil {
		return err
	}
	return AwaitStopped(p.PID(), true)
}

// Resume ends a Pause.
func (p *Process) Resume() error { return p.group(syscall.SIGCONT) }

// Kill ends the process group at once, as a crash would.
func (p *Process) Kill() error {
	p.stopped.Lock()
	defer p.stopped.Unlock()
	defer p.release()
	if err := p.group(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return p.awaitGroup()
}

// group sends a signal to the process group; a group that is gone is no error.
func (p *Process) group(sig syscall.Signal) error {
	err := syscall.Kill(-p.PID(), sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s: signal %v to the group: %w", p.name, sig, err)
	}
	return nil
}

// Stop asks the process to end with SIGTERM, and kills its whole group after its
// grace time. It returns when no process of the group runs; it may be called
// again. A part that had to be killed is an error.
func (p *Process) Stop() error {
	p.stopped.Lock()
	defer p.stopped.Unlock()
	defer p.release()
	_ = p.Resume() // a paused process would not see the signal
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	late := false
	select {
	case <-p.done:
	case <-time.After(p.grace):
		late = true
	}
	// Children that outlive it, such as those of a Postfix master.
	if err := p.group(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	if err := p.awaitGroup(); err != nil {
		return err
	}
	if late {
		return fmt.Errorf("%s: did not end within %v of SIGTERM and was killed", p.name, p.grace)
	}
	return nil
}

// awaitGroup waits until no process of a killed group runs.
func (p *Process) awaitGroup() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := poll(ctx, func() (bool, error) { return !groupAlive(p.PID()), nil }); err != nil {
		return fmt.Errorf("%s: group %d does not end", p.name, p.PID())
	}
	return nil
}

// release gives back what is kept beside the process, once.
func (p *Process) release() {
	if p.guard != nil {
		p.guard.dismiss()
		p.guard = nil
	}
	release(p.ports)
	p.ports = nil
}

// awaitReady waits until ready says so and fails early when the process ends.
func (p *Process) awaitReady(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		if !p.Running() {
			return false, fmt.Errorf("it ended: %v", p.err)
		}
		return ready(), nil
	})
	if err != nil {
		err = fmt.Errorf("%s: not ready: %w\n%s", p.name, err, p.Log())
		_ = p.Stop()
		return err
	}
	return nil
}

// logShown is how much of the end of each log file Log shows.
const logShown = 8 << 10

// Log is the end of each of the process's log files, for a failure's message.
func (p *Process) Log() string {
	var b strings.Builder
	for _, name := range p.logs {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // not written yet
		}
		if len(text) > logShown {
			text = text[len(text)-logShown:]
		}
		fmt.Fprintf(&b, "--- %s: %s\n%s", p.name, name, text)
		if len(text) > 0 && text[len(text)-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
