package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestVictim: a process that is locked is the first that the kernel ends, also below a process that is confined itself.
func TestVictim(t *testing.T) {
	folder, err := os.MkdirTemp("", "victim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // somebody else runs it
		t.Fatal(err)
	}
	program := filepath.Join(folder, "locked")
	build := exec.Command("go", "build", "-o", program, "./testdata/locked")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"wait"}, {"below", "wait"}} {
		cmd := exec.Command(program, args...)
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if os.Geteuid() == 0 { // root is not given the right
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		watch := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		said := make([]byte, 400)
		n, err := out.Read(said)
		score, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid))
		if !strings.HasPrefix(string(said[:n]), "locked true ") || string(score) != "500\n" {
			t.Errorf("%q: %q, %v; its score is %q", args, said[:n], err, score)
		}
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		watch.Stop()
	}
}

// TestLock: from inside, everything but memory, threads and time is refused, and what no honest program tries ends it.
func TestLock(t *testing.T) {
	program := filepath.Join(t.TempDir(), "locked")
	build := exec.Command("go", "build", "-o", program, "./testdata/locked")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	secret, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	for _, c := range []struct{ what, want string }{
		{"nothing", "got <nil>"}, {"threads", "got <nil>"}, {"sleep", "got <nil>"},
		{"open", "operation not permitted"}, {"proc", "operation not permitted"}, {"create", "operation not permitted"}, {"stat", "operation not permitted"},
		{"chmod", "operation not permitted"}, {"limits", "operation not permitted"}, {"dup", "operation not permitted"},
		{"clone3", "function not implemented"}, {"inherited", "got <nil>"},
		{"socket", "SIGSYS"}, {"unix", "SIGSYS"}, {"pair", "SIGSYS"}, {"exec", "SIGSYS"}, {"fork", "SIGSYS"}, {"ptrace", "SIGSYS"}, {"parent", "SIGSYS"}, {"tgkill", "SIGSYS"},
		{"run", "SIGSYS"}, {"uring", "SIGSYS"}, {"unshare", "SIGSYS"}, {"mount", "SIGSYS"},
		{"memory", "out of memory"}, {"shared", "cannot allocate memory"}, {"spin", "SIGXCPU or SIGKILL"},
	} {
		cmd := exec.Command(program, c.what)
		cmd.Env = []string{}
		cmd.ExtraFiles = []*os.File{secret}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		got := out.String()
		if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
			switch s := state.Signal(); s {
			case unix.SIGSYS:
				got += "SIGSYS"
			case unix.SIGXCPU, unix.SIGKILL:
				got += "SIGXCPU or SIGKILL"
			}
		}
		if !strings.HasPrefix(got, "locked true ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %v\n%.600s", c.what, err, got)
		}
	}
}
