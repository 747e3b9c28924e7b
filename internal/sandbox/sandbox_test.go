package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// confined makes the test's own program one that enters the sandbox: it cannot be left, so no test enters it.
const confined = "SANDBOX_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(confined)
	switch {
	case dir == "":
		os.Exit(m.Run())
	case len(os.Args) > 1 && os.Args[1] == "nothing":
		os.Exit(0) // it was executed
	}
	try(dir)
}

// try enters with rights within dir, and says of each access how it went, from many threads.
func try(dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	threads(func(int) {}) // those that exist before must be held too
	s := Enter(Rights{Read: append(Beside(in("named/file")), in("one/file"), in("nowhere"), "/proc", "/lib", "/usr/lib", "/etc/ld.so.cache"),
		Write: []string{in("state")}, Move: []string{in("state/spool")}, Execute: []string{os.Args[0], "/lib64/ld-linux-x86-64.so.2"}}) // a test with the race detector is linked dynamically
	fmt.Println("state", s.OK(), s.ABI > 0, s.Err)
	say := func(what string, err error) {
		switch {
		case err == nil:
			fmt.Println(what, "yes")
		case errors.Is(err, unix.EACCES):
			fmt.Println(what, "no", Held(err))
		default:
			fmt.Println(what, err)
		}
	}
	read := func(name string) error { _, err := os.ReadFile(name); return err }
	write := func(name string) error { return os.WriteFile(name, []byte("x"), 0o600) }
	say("read named", read(in("named/file")))
	say("read linked", read(in("link/file")))
	say("read one", read(in("one/file")))
	say("read beside one", read(in("one/other")))
	say("read outside", read(in("outside/file")))
	say("read shadow", read("/etc/shadow"))
	say("write state", write(in("state/new")))
	say("rename state", os.Rename(in("state/new"), in("state/newer")))
	say("remove state", os.Remove(in("state/newer")))
	say("write spool", write(in("state/spool/tmp/new")))
	say("move within spool", os.Rename(in("state/spool/tmp/new"), in("state/spool/q/new")))
	fmt.Println("moves", s.Moves())
	fmt.Println("move out of spool", errors.Is(os.Rename(in("state/spool/q/new"), in("state/new")), unix.EXDEV))
	say("write named", write(in("named/file")))
	say("write outside", write(in("outside/new")))
	say("truncate outside", os.Truncate(in("outside/file"), 0))
	say("remove outside", os.Remove(in("outside/file")))
	other, self := exec.Command("/bin/true"), exec.Command(os.Args[0], "nothing")
	other.Stdin, other.Stdout, other.Stderr = os.Stdin, os.Stdout, os.Stderr // nobody opens /dev/null
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	say("exec other", other.Run())
	self.Env = append(os.Environ(), confined+"="+dir)
	say("exec self", self.Run())
	c, err := net.Dial("unix", in("outside/socket"))
	say("unix", err)
	if err == nil {
		c.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	say("listen", err)
	_, err = net.Dial("tcp", l.Addr().String())
	say("connect", err)
	_, err = net.Listen("unix", in("state/socket"))
	say("listen unix", err)
	os.Remove(in("one/file"))
	fmt.Println("lost", Lost([]string{in("one/file"), in("named/file"), in("one/other")}))
	var mu sync.Mutex
	held := 0
	threads(func(int) {
		if err := read(in("outside/file")); errors.Is(err, unix.EACCES) {
			mu.Lock()
			held++
			mu.Unlock()
		}
	})
	fmt.Println("threads", held)
	all, _ := filepath.Glob("/proc/self/task/*/status")
	bad := slices.DeleteFunc(all, func(name string) bool {
		b, err := os.ReadFile(name)
		return err != nil || strings.Contains(string(b), "NoNewPrivs:\t1\n") // an error: the thread has ended
	})
	fmt.Println("with privileges", len(bad))
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

// TestEnter shows what a process within the sandbox can and cannot do. The kernel must have Landlock.
func TestEnter(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"named/file", "target/file", "one/file", "one/other", "outside/file"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"state", "state/spool", "state/spool/tmp", "state/spool/q", "link"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../target/file", filepath.Join(dir, "link/file")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "outside/socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), confined+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{"state true true <nil>",
		"read named yes", "read linked no true", "read one yes", "read beside one no true", "read outside no true", "read shadow no true",
		"write state yes", "rename state yes", "remove state yes", "write spool yes", "move within spool yes", "moves true", "move out of spool true", "write named no true", "write outside no false",
		"truncate outside no true", "remove outside no true", "exec other no true", "exec self yes",
		"unix yes", "listen yes", "connect yes", "listen unix yes", "lost [" + filepath.Join(dir, "one/other") + "]", "threads 20", "with privileges 0"}
	if os.Geteuid() != 0 {
		want[6] = "read shadow no false"
	}
	if got := strings.Split(strings.TrimSpace(string(out)), "\n"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBeside(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"live", "archive"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "archive/key3.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../archive/key3.pem", filepath.Join(dir, "live/key.pem")); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"tls/2026-11", "store/2026-11"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, sub, "key.pem"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"tls/current": "2026-11", "tls/far": filepath.Join(dir, "store/2026-11")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		filepath.Join(dir, "tls/current/key.pem"): {filepath.Join(dir, "tls/current"), filepath.Join(dir, "tls/2026-11"), filepath.Join(dir, "tls")}, // led to another folder at each renewal
		filepath.Join(dir, "tls/far/key.pem"):     {filepath.Join(dir, "tls/far"), filepath.Join(dir, "store/2026-11"), filepath.Join(dir, "tls"), filepath.Join(dir, "store")},
		filepath.Join(dir, "live/key.pem"):        {filepath.Join(dir, "live"), filepath.Join(dir, "archive")}, // as certbot has it
		"/etc/gatepost/gatepost.toml":             {"/etc/gatepost"},
		"/etc/no-such-ca.pem":                     {"/etc/no-such-ca.pem"},
		"/etc/ssl/no-such.pem":                    {"/etc/ssl/no-such.pem"},
		"/home/anna/no-such.pem":                  {"/home/anna/no-such.pem"},
		"/no-such.pem":                            {"/no-such.pem"},
	} {
		if got := Beside(name); !slices.Equal(got, want) {
			t.Errorf("Beside(%s) = %v, want %v", name, got, want)
		}
	}
}

func TestStateSays(t *testing.T) {
	for want, s := range map[string]State{
		"landlock version 7, no new privileges":                    {ABI: 7, Confined: true, NoNewPrivs: true},
		"landlock version 7; no_new_privs is not set":              {ABI: 7, Confined: true},
		"landlock is not in force, no new privileges":              {ABI: 7, NoNewPrivs: true},
		"no landlock: broken, no new privileges":                   {ABI: 7, NoNewPrivs: true, Err: errors.New("broken")},
		"no landlock: this kernel has none, or it is switched off": {NoNewPrivs: true},
	} {
		if got := s.String(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if s.OK() != (want == "landlock version 7, no new privileges") {
			t.Errorf("%q is OK: %v", want, s.OK())
		}
	}
}
