package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// unit plays systemd for a daemon: it keeps the sockets, and hears what the daemon says of itself.
type unit struct {
	*world
	sockets []lab.Socket
	notify  *net.UnixConn
	mu      sync.Mutex
	said    []string
}

// newUnit makes a world whose daemon is started by hand with sockets for the named listeners.
func newUnit(t *testing.T, s setup, names ...string) *unit {
	t.Helper()
	u := &unit{world: newWorld(t, s)}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // the file keeps the socket open
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		u.sockets = append(u.sockets, lab.Socket{Name: name, File: f})
	}
	at := &net.UnixAddr{Name: filepath.Join(u.dir, "notify"), Net: "unixgram"}
	var err error
	if u.notify, err = net.ListenUnixgram("unixgram", at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.notify.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := u.notify.Read(b)
			if err != nil {
				return
			}
			u.mu.Lock()
			u.said = append(u.said, string(b[:n]))
			u.mu.Unlock()
		}
	}()
	return u
}

// begin starts the daemon as systemd would, and waits until it says that it is ready.
func (u *unit) begin(t *testing.T, env ...string) *lab.Gatepost {
	t.Helper()
	before := u.count("READY=1")
	g := labtest.Gatepost(t, u.dir, u.options(env...))
	u.awaitSaid(t, "READY=1", before+1)
	u.daemon = g
	return g
}

func (u *unit) options(env ...string) lab.GatepostOptions {
	return lab.GatepostOptions{Config: u.config, Policy: u.policy, Sockets: u.sockets,
		Env: append([]string{"NOTIFY_SOCKET=" + filepath.Join(u.dir, "notify")}, env...)}
}

// count tells how often something was said.
func (u *unit) count(what string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.said {
		if strings.Contains("\n"+s+"\n", "\n"+what) {
			n++
		}
	}
	return n
}

func (u *unit) awaitSaid(t *testing.T, what string, times int) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); u.count(what) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			u.mu.Lock()
			defer u.mu.Unlock()
			t.Fatalf("systemd did not hear %s %d times; it heard %q\n%s", what, times, u.said, u.daemon.Log())
		}
	}
}

// TestSystemd: sockets that systemd brought are taken over, by name; what it did not bring is bound; and it hears each step
// of the daemon's life.
func TestSystemd(t *testing.T) {
	t.Parallel()
	u := newUnit(t, setup{bootstrap: "[[listener]]\nname = \"second\"\naddresses = [\"127.0.0.1:0\"]\n", shutdown: "20s"}, "smtp", "metrics")
	g := u.begin(t, "WATCHDOG_USEC=2000000")
	at, err := g.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for name, listens := range map[string]string{"smtp": at.Listeners["smtp"], "metrics": at.Metrics} {
		if want := u.address(t, name); listens != want {
			t.Errorf("%s is at %s, systemd opened %s", name, listens, want)
		}
	}
	if at.Listeners["second"] == "" {
		t.Errorf("what systemd did not bring was not bound: %v", at.Listeners)
	}
	u.learn(t)
	if said := u.hello(t).deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("the client was told %q", said.last())
	}
	u.awaitSaid(t, "WATCHDOG=1", 3)
	u.awaitSaid(t, "STATUS=serving: ", 1)
	for i, policy := range []string{u.policy, u.policy + "[nonsense\n"} { // a reload that is refused is over too
		u.reload(t, policy, [...]string{"reload", "reload_failed"}[i])
		u.awaitSaid(t, "RELOADING=1\nMONOTONIC_USEC=", i+1)
		u.awaitSaid(t, "READY=1", i+2)
	}
	c := u.begun(t) // holds the daemon back
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	u.awaitSaid(t, "STOPPING=1", 1)
	u.awaitSaid(t, "EXTEND_TIMEOUT_USEC=15000000", 1)
	c.send("the rest\r\n.\r\n")
	if r := c.reply(); !strings.HasPrefix(r, "250 ") {
		t.Errorf("the client was told %q", r)
	}
	u.ended(t)
}

// address is where a socket of systemd listens.
func (u *unit) address(t *testing.T, name string) string {
	t.Helper()
	for _, s := range u.sockets {
		if s.Name == name {
			l, err := net.FileListener(s.File)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatalf("no socket %s", name)
	return ""
}

// TestSystemdByAddress: a socket whose unit gives no name belongs to the listener with its address.
func TestSystemdByAddress(t *testing.T) {
	t.Parallel()
	u := newUnit(t, setup{}, "gatepost.socket")
	want := u.address(t, "gatepost.socket")
	u.config = strings.Replace(u.config, "addresses = [\"127.0.0.1:0\"]", "addresses = [\""+want+"\", \"127.0.0.1:0\"]", 1)
	at, err := u.begin(t).Addresses()
	if err != nil || at.Listeners["smtp"] != want || at.Listeners["smtp-2"] == "" {
		t.Errorf("it listens at %v, systemd opened %s, %v", at.Listeners, want, err)
	}
	u.dial(t)
}

// TestSystemdRefuses: a socket that no listener wants would hold clients for ever, and is told.
func TestSystemdRefuses(t *testing.T) {
	t.Parallel()
	u := newUnit(t, setup{}, "smtp", "submission")
	_, err := lab.StartGatepost(t.Context(), u.dir, u.options())
	if err == nil || !strings.Contains(err.Error(), "no listener is named as the socket submission (127.0.0.1:") ||
		!strings.Contains(err.Error(), "write FileDescriptorName= with one of smtp, metrics into its socket unit") {
		t.Errorf("the daemon said %v", err)
	}
}

// TestRestart: while systemd keeps the socket, three restarts, the last with the new process before the old one has ended,
// refuse and reset no client, lose no mail and double none. A 421 sends a client away, and it comes back.
func TestRestart(t *testing.T) {
	t.Parallel()
	u := newUnit(t, setup{shutdown: "20s", limits: noWaits + "connections_per_client = 1000\n"}, "smtp", "metrics")
	g := u.begin(t)
	u.learn(t)
	addr := u.addr()
	var sent atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	const senders = 4
	for n := range senders {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("mail %d of sender %d", i, n)
				if err := sendOnce(addr, text); err != nil {
					t.Errorf("%s: %v", text, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		before := sent.Load()
		for deadline := time.Now().Add(clientTime); sent.Load() < before+20; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("no mail gets through any more")
				return
			}
		}
	}
	for restart := range 3 {
		more()
		old := g
		if restart == 2 {
			busy := u.begun(t) // keeps the old process while the new one waits
			if err := old.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			u.awaitSaid(t, "STOPPING=1", restart+1)
			go func() {
				// The new one says that it waits, before the old one can end.
				for deadline := time.Now().Add(clientTime); u.count("STATUS=waiting: ") == 0 && time.Now().Before(deadline); {
					time.Sleep(5 * time.Millisecond)
				}
				busy.send("the rest\r\n.\r\n")
			}()
			g = u.begin(t)
			if u.count("STATUS=waiting: ") == 0 {
				t.Error("the new process did not wait for the old one")
			}
			if r := busy.reply(); !strings.HasPrefix(r, "250 ") {
				t.Errorf("the client of the old process was told %q", r)
			}
			<-old.Done()
			if code := old.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			continue
		}
		if err := old.Stop(); err != nil {
			t.Error(err)
		}
		g = u.begin(t)
	}
	more()
	close(stop)
	wg.Wait()
	arrived := map[string]int{}
	for _, m := range u.hop(t).Accepted() {
		_, text, _ := strings.Cut(string(m.Body), "\r\n\r\n")
		arrived[strings.TrimSpace(text)]++
	}
	for text, times := range arrived {
		if times != 1 {
			t.Errorf("%q arrived %d times", text, times)
		}
	}
	if want := int(sent.Load()) + 1; len(arrived) != want {
		t.Errorf("%d mails were sent and %d arrived", want, len(arrived))
	}
}

// sendOnce sends a mail as an MTA does: it comes back after a 421, and after nothing else. Every lost connection is an error.
func sendOnce(addr, text string) error {
	for range 1000 {
		again, err := sendTry(addr, text)
		if err != nil || !again {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.New("always 421")
}

func sendTry(addr, text string) (again bool, err error) {
	conn, err := net.DialTimeout("tcp", addr, clientTime)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * clientTime))
	in := bufio.NewReader(conn)
	for _, step := range [...]struct{ say, want string }{
		{"", "220"}, {"EHLO client.example.org\r\n", "250"}, {"MAIL FROM:<alice@example.org>\r\n", "250"},
		{"RCPT TO:<bob@served.test>\r\n", "250"}, {"DATA\r\n", "354"}, {head + text + "\r\n.\r\n", "250"},
	} {
		if _, err := conn.Write([]byte(step.say)); err != nil {
			return false, fmt.Errorf("%.20q: %w", step.say, err)
		}
		line := "   -"
		for len(line) > 3 && line[3] == '-' {
			if line, err = in.ReadString('\n'); err != nil {
				return false, fmt.Errorf("after %.20q, %q: %w", step.say, line, err)
			}
		}
		switch {
		case strings.HasPrefix(line, "421 4.3.2"):
			return true, nil
		case !strings.HasPrefix(line, step.want):
			return false, fmt.Errorf("%.20q was answered with %q", step.say, line)
		}
	}
	return false, nil
}

// TestSocketActivate: systemd's own tool for sockets starts the daemon when the first client comes, which waits and is greeted.
func TestSocketActivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	binary, err := lab.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	for name, text := range map[string]string{lab.ConfigFile(w.dir): w.config, lab.PolicyFile(w.dir): w.policy} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	cmd := exec.Command("systemd-socket-activate", "--listen="+port.Addr(), "--fdname=smtp", binary, "serve", "--config", w.dir)
	cmd.Stderr, cmd.Env = &said, append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; scripts/install installs it", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v\n%s", err, &said)
			}
		case <-time.After(clientTime):
			_ = cmd.Process.Kill()
			t.Errorf("it does not end: %v", <-ended)
		}
	}()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", port.Addr(), clientTime)
		if err != nil && time.Now().Before(deadline) {
			continue // the tool does not listen yet
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
		if banner := c.reply(); !strings.HasPrefix(banner, "220 "+hostname) {
			t.Errorf("the client was told %q", banner)
		}
		return
	}
}
