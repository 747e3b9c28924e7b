package screen

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func full() State {
	return State{Host: "mx.example.org", Version: "1.2", Port: 8443, Running: true, Code: "ABCD-EFGH",
		Addresses:   []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.7")},
		Fingerprint: strings.Repeat("0a", 32)}
}

// TestDraw shows each state as whoever stands before the machine sees it.
func TestDraw(t *testing.T) {
	s := full()
	want := "\x1b[H\x1b[2J" + strings.ReplaceAll(`Gatepost 1.2   mx.example.org

Open one of these in a browser:
  https://192.0.2.7:8443/
  https://[2001:db8::7]:8443/

The browser must show this certificate (SHA-256):
  0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A
  0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A

Nobody owns this gateway yet. The first owner comes in by this code:
  ABCD-EFGH
`, "\n", "\r\n")
	if got := s.Draw(); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for text, change := range map[string]func(*State){
		"There is no network address yet.":            func(s *State) { s.Addresses = nil },
		"The console is not reachable from":           func(s *State) { s.Port = 0 },
		"does not answer.":                            func(s *State) { s.Running = false },
		"at port 22. It must show:\r\n  SHA256:x\r\n": func(s *State) { s.SSH, s.SSHKey = 22, "SHA256:x" },
		"There is no login here.":                     func(s *State) { s.Code, s.Owned = "", true },
		"! gatepost.ip: no address":                   func(s *State) { s.Trouble = []string{"gatepost.ip: no address"} },
	} {
		s := full()
		change(&s)
		if got := s.Draw(); !strings.Contains(got, text) {
			t.Errorf("no %q in %q", text, got)
		}
	}
}

// TestDrawHostile shows that what others wrote stays text, and that the screen has an end.
func TestDrawHostile(t *testing.T) {
	s := full()
	s.Host = "x\x1b]0;evil\x07\r\n" + strings.Repeat("y", 500)
	for range 100 {
		s.Trouble = append(s.Trouble, "\x9b2J"+strings.Repeat("z", 500))
		s.Addresses = append(s.Addresses, netip.MustParseAddr("2001:db8::1"))
	}
	text := strings.TrimPrefix(s.Draw(), "\x1b[H\x1b[2J")
	if lines := strings.Split(text, "\r\n"); len(lines) > 40 {
		t.Errorf("%d lines", len(lines))
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > width || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", line)
		}
	}
}

// TestShow shows that a terminal has what changed, once, and that one that is missing or that nobody reads holds up no other.
func TestShow(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "tty"), filepath.Join(dir, "stuck")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		rounds := 0
		Show(ctx, []string{filepath.Join(dir, "none"), pipe, file}, time.Second, func(context.Context) State {
			s := full()
			switch rounds++; {
			case rounds == 3:
				if err := os.Truncate(file, 0); err != nil {
					t.Error(err)
				}
			case rounds == 4:
				if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
					t.Errorf("%v: written again although nothing changed: %q", err, text)
				}
				s.Host = "changed.example.org"
			case rounds == 5:
				stop()
			}
			return s
		})
	})
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "changed.example.org") {
		t.Errorf("%v %q: want what changed", err, text)
	}
}
