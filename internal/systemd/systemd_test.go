package systemd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asService makes the test's own program play a service that systemd started.
const asService = "SYSTEMD_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(asService) == "" {
		os.Exit(m.Run())
	}
	all, err := Sockets()
	if err != nil {
		fmt.Println("error:", err)
	}
	for _, s := range all {
		fmt.Printf("%q serves %v\n", s.Name, s.Serves(netip.MustParseAddrPort(os.Getenv(asService))))
		_ = s.Listener.(*shared).SetDeadline(time.Now().Add(10 * time.Second))
		c, err := s.Accept()
		if err != nil {
			fmt.Println("accept:", err)
			continue
		}
		fmt.Fprintln(c, "hello")
		c.Close()
	}
	fmt.Printf("left %q %q %q\n", os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDNAMES"))
}

// service runs the stand-in with files as systemd passes them; pid is its LISTEN_PID, "$$" being its own id.
func service(t *testing.T, pid, names, address string, files ...*os.File) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "export LISTEN_PID="+pid+`; exec "$0"`, os.Args[0])
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), asService+"="+address, "LISTEN_FDNAMES="+names, fmt.Sprintf("LISTEN_FDS=%d", len(files)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func listenTCP(t *testing.T, network, address string) (*net.TCPListener, *os.File) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return l.(*net.TCPListener), f
}

func TestSockets(t *testing.T) {
	for name, tt := range map[string]struct{ network, address, given, ask, want string }{
		"named":                   {"tcp4", "127.0.0.1:0", "smtp", "127.0.0.1:%d", `"smtp" serves true`},
		"another port":            {"tcp4", "127.0.0.1:0", "smtp", "127.0.0.1:1", `"smtp" serves false`},
		"another address":         {"tcp4", "127.0.0.1:0", "smtp", "127.0.0.2:%d", `"smtp" serves false`},
		"the unit's name is none": {"tcp4", "127.0.0.1:0", "gatepost.socket", "127.0.0.1:%d", `"" serves true`},
		"no name":                 {"tcp4", "127.0.0.1:0", "", "127.0.0.1:%d", `"" serves true`},
		"systemd-socket-activate": {"tcp4", "127.0.0.1:0", "unknown", "127.0.0.1:%d", `"" serves true`},
		"both families":           {"tcp", ":0", "", "0.0.0.0:%d", `"" serves true`},
		"only one family":         {"tcp6", "[::]:0", "", "0.0.0.0:%d", `"" serves false`},
	} {
		t.Run(name, func(t *testing.T) {
			l, f := listenTCP(t, tt.network, tt.address)
			port := l.Addr().(*net.TCPAddr).Port
			heard := make(chan string, 1)
			go func() {
				host := "127.0.0.1"
				if tt.network == "tcp6" {
					host = "::1"
				}
				c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), 10*time.Second)
				if err != nil {
					heard <- err.Error()
					return
				}
				defer c.Close()
				b := make([]byte, 10)
				n, _ := c.Read(b)
				heard <- string(b[:n])
			}()
			ask := tt.ask
			if strings.Contains(ask, "%d") {
				ask = fmt.Sprintf(ask, port)
			}
			out := service(t, "$$", tt.given, ask, f)
			if !strings.Contains(out, tt.want) || !strings.Contains(out, `left "" "" ""`) {
				t.Errorf("the service said %s", out)
			}
			if h := <-heard; h != "hello\n" {
				t.Errorf("a client heard %q", h)
			}
		})
	}
}

// TestSharedSocketBlocks: systemd makes a socket block when it starts another process with it. Accept keeps its deadline
// all the same, and Close does not wait for a client.
func TestSharedSocketBlocks(t *testing.T) {
	l, f := listenTCP(t, "tcp", "127.0.0.1:0")
	s := &shared{l}
	for range 3 {
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(time.Millisecond))
		if c, err := s.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(c, err)
		}
	}
	_ = s.SetDeadline(time.Time{})
	_ = unix.SetNonblock(int(f.Fd()), false)
	ended := make(chan error)
	go func() {
		_, err := s.Accept()
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := s.Accept(); err == nil {
		t.Error("a closed socket takes connections")
	}
}

func TestSocketsRefuse(t *testing.T) {
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	unixListener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unixListener.Close()
	unixFile, err := unixListener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer unixFile.Close()
	for want, f := range map[string]*os.File{
		"smtp is no listening socket: write ListenStream= and Accept=no": plain,
		"not on TCP: write ListenStream=25":                              unixFile,
	} {
		if out := service(t, "$$", "smtp", "127.0.0.1:1", f); !strings.Contains(out, "error: systemd: ") || !strings.Contains(out, want) {
			t.Errorf("the service said %s, and not %s", out, want)
		}
	}
	// Meant for another process, such as our parent: they are not ours, and their numbers may be anything.
	_, f := listenTCP(t, "tcp4", "127.0.0.1:0")
	if out := service(t, "1", "smtp", "127.0.0.1:1", f); out != "left \"\" \"\" \"\"\n" {
		t.Errorf("with another's id the service said %s", out)
	}
}

// manager is the other end of NOTIFY_SOCKET.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	at := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	c, err := net.ListenUnixgram("unixgram", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", at.Name)
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	c := manager(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	n, err := NewNotifier()
	if err != nil || !n.On() || n.Watched() != 30*time.Second {
		t.Fatal(err, n)
	}
	for _, tt := range []struct {
		say  error
		want string
	}{
		{n.Ready("serving\nREADY=0"), "READY=1\nSTATUS=serving READY=0"},
		{n.Alive("x"), "WATCHDOG=1\nSTATUS=x"},
		{n.Status("y"), "STATUS=y"},
		{n.Extend(15*time.Second, "z"), "EXTEND_TIMEOUT_USEC=15000000\nSTATUS=z"},
		{n.Stopping("going"), "STOPPING=1\nSTATUS=going"},
	} {
		if said := heard(t, c); tt.say != nil || said != tt.want {
			t.Errorf("%v, %q, want %q", tt.say, said, tt.want)
		}
	}
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	var usec int64
	if _, err := fmt.Sscanf(heard(t, c), "RELOADING=1\nMONOTONIC_USEC=%d", &usec); err != nil || usec <= 0 {
		t.Error(err, usec)
	}
}

// TestNotifyNobody: without a manager nothing is said and nothing fails; a watchdog that is meant for another process is none
// of ours; one that cannot be understood is an error.
func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := NewNotifier()
	if err != nil || n.On() || n.Watched() != 0 || n.Ready("x") != nil {
		t.Error(err, n)
	}
	manager(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "1")
	if n, err := NewNotifier(); err != nil || n.Watched() != 0 {
		t.Error(err, n)
	}
	t.Setenv("WATCHDOG_USEC", "often")
	if _, err := NewNotifier(); err == nil {
		t.Error("a watchdog of often")
	}
}

// TestNotifyStuck: a manager that does not read makes nobody wait for more than a second, and is told again when it reads.
func TestNotifyStuck(t *testing.T) {
	c := manager(t)
	n, err := NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for err == nil {
		if said++; said > 10_000 {
			t.Fatal("the queue of a socket is endless")
		}
		err = n.Status("x")
	}
	if !errors.Is(err, errBusy) || !errors.Is(n.Status("x"), errBusy) {
		t.Errorf("a full queue: %v", err)
	}
	for range said { // the one that hung has arrived too
		heard(t, c)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if err = n.Status("again"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if h := heard(t, c); h != "STATUS=again" {
		t.Errorf("heard %q", h)
	}
}

func TestPulse(t *testing.T) {
	l, _ := listenTCP(t, "tcp4", "127.0.0.1:0")
	p := NewPulse(l)
	hang, hanging := make(chan struct{}), make(chan struct{})
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := p.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
			hanging <- struct{}{}
			<-hang
		}
	}()
	old := p.last.Load()
	await(t, "an idle loop beats", func() bool { return p.last.Load() > old+int64(pulseEvery) && p.Beats(time.Hour) })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c, ok := (<-accepted).(*net.TCPConn); !ok {
		t.Errorf("a connection became %T", c)
	}
	<-hanging
	await(t, "a loop that hangs does not", func() bool { return !p.Beats(2 * pulseEvery) })
	close(hang)
	await(t, "it goes on", func() bool { return p.Beats(pulseEvery) })
	p.Close()
	if _, open := <-accepted; open {
		t.Error("a connection after the end")
	}
	if p.last.Store(0); !p.Beats(time.Second) {
		t.Error("a loop that was ended is missed")
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
