package firewall

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asHost makes this program a host in a network of its own, which does what it is told line by line.
const asHost = "GATEPOST_TEST_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(asHost) != "" {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			fmt.Println(obey(strings.Fields(in.Text())))
		}
		return
	}
	os.Exit(m.Run())
}

// obey does one thing: run COMMAND, listen PORT, dial TIMEOUT ADDRESS, as UID TIMEOUT ADDRESS.
func obey(words []string) string {
	switch words[0] {
	case "run":
		out, err := exec.Command(words[1], words[2:]...).CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%v: %v: %s", words, err, strings.ReplaceAll(string(out), "\n", " "))
		}
		return "done"
	case "listen":
		l, err := net.Listen("tcp", ":"+words[1])
		if err != nil {
			return err.Error()
		}
		go func() {
			for {
				if c, err := l.Accept(); err == nil {
					c.Close()
				}
			}
		}()
		return "done"
	case "as":
		uid, _ := strconv.Atoi(words[1])
		cmd := exec.Command("/proc/self/exe")
		cmd.Stdin = strings.NewReader("dial " + words[2] + " " + words[3] + "\n")
		cmd.Env = append(os.Environ(), asHost+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		out, err := cmd.Output()
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(out))
	case "dial":
		wait, _ := time.ParseDuration(words[1])
		c, err := net.DialTimeout("tcp", words[2], wait)
		var late net.Error
		switch {
		case err == nil:
			c.Close()
			return "open"
		case errors.Is(err, syscall.ECONNREFUSED):
			return "closed"
		case errors.As(err, &late) && late.Timeout():
			return "dropped"
		}
		return "forbidden " + err.Error()
	}
	return "what?"
}

// host is a process in a network of its own.
type host struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
	pid int
}

func newHost(t *testing.T) *host {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), asHost+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("a network of its own needs root: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return &host{t: t, in: in, out: bufio.NewScanner(out), pid: cmd.Process.Pid}
}

// do tells the host what to do, and what it should answer.
func (h *host) do(want, format string, args ...any) {
	h.t.Helper()
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(h.in, line)
	if !h.out.Scan() {
		h.t.Fatalf("%s: the host is gone", line)
	}
	if got := h.out.Text(); !strings.HasPrefix(got, want) {
		h.t.Errorf("%s: %s, want %s", line, got, want)
	}
}

// TestInANetwork loads a plan into a kernel's network, with a stranger beside it, and shows who reaches whom.
func TestInANetwork(t *testing.T) {
	gateway, stranger := newHost(t), newHost(t)
	gateway.do("done", "run ip link add v0 type veth peer name v0 netns %d", stranger.pid)
	for h, last := range map[*host]string{gateway: "1", stranger: "2"} {
		h.do("done", "run ip addr add 192.0.2.%s/24 dev v0", last)
		h.do("done", "run ip addr add 198.51.100.%s/24 dev v0", last)
		h.do("done", "run ip addr add 2001:db8::%s/64 dev v0 nodad", last)
		h.do("done", "run ip link set v0 up")
		h.do("done", "run ip link set lo up")
		for _, port := range []string{"25", "22", "8443", "389"} {
			h.do("done", "listen %s", port)
		}
	}
	p := &Plan{
		In: []Entry{{Why: "mail", Protocol: TCP, Port: 25}, {Why: "console", Protocol: TCP, Port: 8443, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}},
		Out: []Entry{{Why: "next hop", User: "gatepost", Protocol: TCP, Port: 25},
			{Why: "LDAP", User: "gatepost", Protocol: TCP, Port: 389, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")}}},
	}
	const long, short = "20s", "400ms" // long: it must be reached, however busy the machine is
	stranger.do("open", "dial %s 192.0.2.1:22", long)
	gateway.do("open", "as 65534 %s 192.0.2.2:25", long)
	file := t.TempDir() + "/plan.nft"
	if err := os.WriteFile(file, []byte(p.Render(number)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // loaded again, it replaces itself
		gateway.do("done", "run nft -f %s", file)
	}
	stranger.do("open", "dial %s 192.0.2.1:25", long)
	stranger.do("open", "dial %s [2001:db8::1]:25", long)
	stranger.do("dropped", "dial %s 192.0.2.1:22", short)
	stranger.do("dropped", "dial %s [2001:db8::1]:22", short)
	stranger.do("open", "dial %s 198.51.100.1:8443", long)
	stranger.do("dropped", "dial %s 192.0.2.1:8443", short)

	gateway.do("open", "dial %s 127.0.0.1:22", long)
	gateway.do("open", "as 901 %s 192.0.2.2:25", long)
	gateway.do("open", "as 901 %s [2001:db8::2]:25", long)
	gateway.do("open", "as 901 %s 192.0.2.2:389", long)
	gateway.do("forbidden", "as 901 %s 198.51.100.2:389", long)
	gateway.do("forbidden", "as 901 %s 192.0.2.2:22", long)
	gateway.do("forbidden", "as 902 %s 192.0.2.2:25", long)
	gateway.do("forbidden", "dial %s 192.0.2.2:25", long)
}

// TestClosedAtFirst: what the unit does before the rules are made lets nobody in or out, and leaves rules that are there alone.
func TestClosedAtFirst(t *testing.T) {
	unit, err := os.ReadFile("../../rootfs/usr/lib/systemd/system/gatepost-firewall.service")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ExecStartPre=-/usr/sbin/nft "(.*)"$`).FindSubmatch(unit)
	if found == nil {
		t.Fatal("the unit closes nothing before it makes rules")
	}
	dir := t.TempDir()
	p := &Plan{In: []Entry{{Why: "mail", Protocol: TCP, Port: 25}}}
	for name, text := range map[string]string{"closed": string(found[1]) + "\n", "plan": p.Render(number)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gateway, stranger := newHost(t), newHost(t)
	gateway.do("done", "run ip link add v0 type veth peer name v0 netns %d", stranger.pid)
	for h, last := range map[*host]string{gateway: "1", stranger: "2"} {
		h.do("done", "run ip addr add 192.0.2.%s/24 dev v0", last)
		h.do("done", "run ip link set v0 up")
		h.do("done", "run ip link set lo up")
		h.do("done", "listen 25")
	}
	const long, short = "20s", "400ms"
	stranger.do("open", "dial %s 192.0.2.1:25", long)
	gateway.do("done", "run nft -f %s/closed", dir)
	stranger.do("dropped", "dial %s 192.0.2.1:25", short)
	gateway.do("dropped", "dial %s 192.0.2.2:25", short)
	gateway.do("open", "dial %s 127.0.0.1:25", long)
	gateway.do("done", "run nft -f %s/plan", dir)
	stranger.do("open", "dial %s 192.0.2.1:25", long)
	gateway.do("[", "run nft -f %s/closed", dir) // there is a table
	stranger.do("open", "dial %s 192.0.2.1:25", long)
}
