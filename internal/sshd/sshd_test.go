package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// house is a Host that knows one key, of anna, and notes what it is told.
type house struct {
	key  []byte
	shut atomic.Bool // nothing is looked at
	out  atomic.Bool // nobody may stay

	mu    sync.Mutex
	notes []string
}

func (h *house) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

func (h *house) noted() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.notes, ", ")
}

func (h *house) Try(name string, _ netip.Addr) bool {
	h.note("try %s", name)
	return !h.shut.Load()
}

func (h *house) Knows(_ context.Context, name string, key []byte, _ netip.Addr) Guest {
	if name != "anna" || !bytes.Equal(key, h.key) {
		return nil
	}
	return h
}

func (h *house) Entered(context.Context, Guest) bool { h.note("entered"); return true }
func (h *house) Failed(name string, _ netip.Addr)    { h.note("failed %s", name) }
func (h *house) Still(context.Context) bool          { return !h.out.Load() }
func (h *house) Left()                               { h.note("left") }

// Run has words that do what tests want.
func (h *house) Run(ctx context.Context, c *Command) int {
	if len(c.Words) == 0 {
		return 2
	}
	switch c.Words[0] {
	case "cat":
		_, _ = io.Copy(c.Out, c.In)
	case "code":
		var n int
		fmt.Sscan(c.Words[1], &n)
		return n
	case "flood":
		line := []byte(strings.Repeat("x", 1023) + "\n")
		for {
			if _, err := c.Out.Write(line); err != nil {
				h.note("flood ends")
				return 1
			}
		}
	case "wait":
		<-ctx.Done()
		h.note("wait ends")
	case "panic":
		panic("as asked")
	default:
		fmt.Fprintf(c.Out, "%q\n", c.Words)
		fmt.Fprintln(c.Err, "said")
	}
	return 0
}

// world is a server, and keys of clients.
type world struct {
	t     *testing.T
	house *house
	at    *net.TCPAddr
	dir   string
	s     *Server
	end   func() // of the daemon; it returns when nobody is in any more
}

// newWorld starts a server on loopback.
func newWorld(t *testing.T, times Times) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), house: &house{}}
	for _, name := range []string{"right", "wrong"} {
		w.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(w.dir, name))
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "right.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	w.house.key = key.Marshal()
	host, err := HostKey(filepath.Join(w.dir, "keys", "host"))
	if err != nil {
		t.Fatal(err)
	}
	w.s = &Server{Host: w.house, Key: host, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Prompt: "> ", Greeting: "hello", Log: slog.New(slog.DiscardHandler), Times: times}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.at = l.Addr().(*net.TCPAddr)
	known := fmt.Sprintf("[127.0.0.1]:%d %s", w.at.Port, ssh.MarshalAuthorizedKey(host.PublicKey()))
	if err := os.WriteFile(filepath.Join(w.dir, "known"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.s.Serve(ctx, l) }()
	w.end = sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *world) tool(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// options are those of every OpenSSH client.
func (w *world) options(key string) []string {
	return []string{"-F", "none", "-i", filepath.Join(w.dir, key), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + filepath.Join(w.dir, "known"), "-o", "GlobalKnownHostsFile=none", "-o", "ConnectTimeout=20"}
}

// client is OpenSSH's, as anna with a key.
func (w *world) client(key string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w.t.Cleanup(cancel)
	return exec.CommandContext(ctx, "ssh", append(append(w.options(key), "-p", fmt.Sprint(w.at.Port), "-l", "anna", "127.0.0.1"), args...)...)
}

// run runs a client to its end.
func (w *world) run(c *exec.Cmd, in string) (out, complaints string, code int) {
	w.t.Helper()
	var o, e strings.Builder
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(in), &o, &e
	err := c.Run()
	if x, ok := errors.AsType[*exec.ExitError](err); ok {
		return o.String(), e.String(), x.ExitCode()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return o.String(), e.String(), 0
}

// until waits for what was noted.
func (w *world) until(want string) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(w.house.noted(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not noted: %s; but %s", want, w.house.noted())
		}
	}
}

// TestCommands shows a client of OpenSSH that has commands run: words, both outputs, pipes and exit codes.
func TestCommands(t *testing.T) {
	w := newWorld(t, Times{})
	big := strings.Repeat("0123456789abcde\n", 1<<17) // 2 MiB, more than any window
	for _, c := range []struct {
		line, in, out, complaint string
		code                     int
	}{
		{`gatepost say "a b" 'c;d'`, "", `["say" "a b" "c;d"]` + "\n", "said\n", 0},
		{"cat", big, big, "", 0},
		{"code 4", "", "", "", 4},
		{"code 3; code 0", "", "", "gatepost: ';' stands outside of quotes", 2},
		{"say 'open", "", "", "gatepost: a quote is not closed", 2},
		{"say " + strings.Repeat("x", MaxLine), "", "", "gatepost: the command is longer than 65536 octets", 2},
		{"panic", "", "", "gatepost: it failed; the log tells why", 1},
		{"", "say one\nexit\nsay two\n", `["say" "one"]` + "\n", "said\n", 0},
		{"", "\n code 7\n", "", "", 7},
		{"", "code 0\nsay " + strings.Repeat("x", MaxLine) + "\ncode 0\n", "", "gatepost: the command is longer", 2},
	} {
		args := []string{"-T"}
		if c.line != "" {
			args = append(args, c.line)
		}
		out, complaint, code := w.run(w.client("right", args...), c.in)
		if out != c.out || !strings.HasPrefix(complaint, c.complaint) || code != c.code {
			t.Errorf("%.60q: %d, %.200q, %.200q", c.line, code, out, complaint)
		}
	}
	out, _, code := w.run(w.client("right", "-tt"), "say one\rexit\r")
	if !strings.Contains(out, "hello\r\n> ") || !strings.Contains(out, `["say" "one"]`+"\r\nsaid\r\n> ") || code != 0 {
		t.Errorf("at a terminal: %d, %q", code, out)
	}
	if out, _, _ = w.run(w.client("right", "-tt", "say one"), ""); out != `["say" "one"]`+"\r\nsaid\r\n" {
		t.Errorf("one command at a terminal: %q", out)
	}
}

// TestAnsweredFirst shows that a client hears that its command runs before it hears that it ended: a library that waits for the one takes
// the other for a broken connection.
func TestAnsweredFirst(t *testing.T) {
	w := newWorld(t, Times{})
	client, err := w.raw(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 2000 {
		one, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Run("code 0"); err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		one.Close()
	}
}

// TestRefused shows what no client gets: another key, another name, a password, nothing at all, forwarding, files, variables.
func TestRefused(t *testing.T) {
	w := newWorld(t, Times{})
	for name, args := range map[string][]string{"wrong key": {"code", "0"}, "a password": {"-o", "PreferredAuthentications=password", "code", "0"},
		"keyboard": {"-o", "PreferredAuthentications=keyboard-interactive", "code", "0"}, "none": {"-o", "PubkeyAuthentication=no", "code", "0"}} {
		if _, said, code := w.run(w.client("wrong", args...), ""); code != 255 || !strings.Contains(said, "Permission denied (publickey)") {
			t.Errorf("%s: %d, %s", name, code, said)
		}
	}
	w.until("failed anna")
	if _, said, code := w.run(exec.Command("ssh", append(w.options("right"), "-p", fmt.Sprint(w.at.Port), "-l", "bert", "127.0.0.1", "code", "0")...), ""); code != 255 || !strings.Contains(said, "Permission denied") {
		t.Errorf("another name: %d, %s", code, said)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0") // where nobody may get through to
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a port of ours":    {[]string{"-W", inner.Addr().String()}, "administratively prohibited"},
		"a port for others": {[]string{"-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "code", "0"}, "remote port forwarding failed"},
		"a tunnel":          {[]string{"-o", "ExitOnForwardFailure=yes", "-o", "Tunnel=point-to-point", "-N", "-w", "any:any"}, ""},
		"a subsystem":       {[]string{"-s", "sftp"}, "subsystem request failed"},
	} {
		if _, said, code := w.run(w.client("right", c.args...), ""); code != 255 || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d, %s", name, code, said)
		}
	}
	sftp := exec.Command("sftp", append(append(w.options("right"), "-P", fmt.Sprint(w.at.Port)), "anna@127.0.0.1:/etc/passwd", w.dir)...)
	if _, said, code := w.run(sftp, ""); code == 0 {
		t.Errorf("sftp: %d, %s", code, said)
	}
	variable := w.client("right", "-v", "-o", "SetEnv=LANG=x", "-A", "-X", "code", "0")
	variable.Env = append(os.Environ(), "DISPLAY=:9")
	if _, said, code := w.run(variable, ""); code != 0 {
		t.Errorf("what is not asked for keeps somebody out: %d, %s", code, said)
	}
	w.house.shut.Store(true)
	if _, said, code := w.run(w.client("right", "code", "0"), ""); code != 255 {
		t.Errorf("while nothing is looked at: %d, %s", code, said)
	}
}

// raw is a client of the library, for what OpenSSH does not do.
func (w *world) raw(change func(*ssh.ClientConfig)) (*ssh.Client, error) {
	text, err := os.ReadFile(filepath.Join(w.dir, "right"))
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &ssh.ClientConfig{User: "anna", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(w.s.Key.PublicKey())}
	if change != nil {
		change(c)
	}
	return ssh.Dial("tcp", w.at.String(), c)
}

// TestAlgorithms shows that nobody comes in by an algorithm of yesterday.
func TestAlgorithms(t *testing.T) {
	w := newWorld(t, Times{})
	for name, change := range map[string]func(*ssh.ClientConfig){
		"MAC of SHA-1":          func(c *ssh.ClientConfig) { c.Ciphers, c.MACs = []string{ssh.CipherAES128CTR}, []string{ssh.HMACSHA1} },
		"key exchange of SHA-1": func(c *ssh.ClientConfig) { c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1} },
		"CBC":                   func(c *ssh.ClientConfig) { c.Ciphers = []string{ssh.InsecureCipherAES128CBC} },
		"RC4":                   func(c *ssh.ClientConfig) { c.Ciphers = []string{ssh.InsecureCipherRC4128} },
	} {
		if _, err := w.raw(change); err == nil || !strings.Contains(err.Error(), "no common algorithm") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := w.raw(func(c *ssh.ClientConfig) { c.KeyExchanges = []string{ssh.KeyExchangeMLKEM768X25519} })
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestOver shows how a session ends from our side: idle, not read, its user gone, the daemon gone, and before anybody came in.
func TestOver(t *testing.T) {
	short := 300 * time.Millisecond
	for name, c := range map[string]struct {
		times Times
		line  string
		do    func(*world)
		want  string
	}{
		"idle":               {Times{Idle: short, Check: short / 10}, "wait", func(*world) {}, "wait ends, left"},
		"not read":           {Times{Write: short}, "flood", func(*world) {}, "flood ends, left"},
		"may stay no longer": {Times{Check: short / 10}, "wait", func(w *world) { w.house.out.Store(true) }, "wait ends, left"},
		"no end of a key":    {Times{Idle: short, Check: short / 10}, "", func(w *world) {}, "left"},
		"the daemon ends":    {Times{}, "wait", func(w *world) { w.end() }, "wait ends, left"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.times)
			client, err := w.raw(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ch, reqs, err := client.OpenChannel("session", nil) // whose output nobody reads
			if err != nil {
				t.Fatal(err)
			}
			go ssh.DiscardRequests(reqs)
			if c.line == "" { // at a terminal, with an escape sequence that is longer than any, and goes on
				if ok, err := ch.SendRequest("pty-req", true, ssh.Marshal(struct {
					Term       string
					W, H, X, Y uint32
					Modes      string
				}{"xterm", 80, 24, 0, 0, ""})); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if _, err := ch.Write([]byte("\x1b[" + strings.Repeat("1", 1000))); err != nil {
					t.Fatal(err)
				}
			} else if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{c.line})); !ok || err != nil {
				t.Fatal(ok, err)
			}
			c.do(w)
			w.until(c.want)
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		w := newWorld(t, Times{Handshake: short})
		c, err := net.Dial("tcp", w.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), version) {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// TestRoom shows how many connections and sessions there are at the same time, and who is not let near.
func TestRoom(t *testing.T) {
	w := newWorld(t, Times{})
	client, err := w.raw(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions {
		if _, _, err := client.OpenChannel("session", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := client.OpenChannel("session", nil); err == nil || !strings.Contains(err.Error(), "too many sessions") {
		t.Error(err)
	}
	for _, kind := range []string{"direct-tcpip", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "tun@openssh.com"} {
		if _, _, err := client.OpenChannel(kind, nil); err == nil || !strings.Contains(err.Error(), "only sessions") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for range maxConnections - 1 {
		c, err := w.raw(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := w.raw(nil); err == nil {
		t.Errorf("more than %d connections", maxConnections)
	}
	if open, turned := w.s.Counts(); open != maxConnections || turned != 1 {
		t.Error(open, turned)
	}
	client.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := w.raw(nil)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if _, in := w.s.client(netip.MustParseAddr("127.0.0.2")); in {
		t.Error("an address that is in no network")
	}
}

// TestHostKey shows that the key is the same the next time, and that a broken file is told and not replaced.
func TestHostKey(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys", "host")
	first, err := HostKey(name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := HostKey(name)
	if err != nil || !bytes.Equal(first.PublicKey().Marshal(), again.PublicKey().Marshal()) {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if err := os.WriteFile(name, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := HostKey(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Error(err)
	}
}
