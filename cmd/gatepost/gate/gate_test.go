package gate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// greets listens and says a line to each client.
func greets(t *testing.T, line string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(line)) // who looks tells
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-over })
	return l.Addr().String()
}

// TestDoors tries listeners and consoles of all kinds.
func TestDoors(t *testing.T) {
	answers := func(code int) string {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		return netip.MustParseAddrPort(s.Listener.Addr().String()).String()
	}
	for want, g := range map[string]*api.Gate{
		"ok 220 mx.example.org":              {SMTP: []string{greets(t, "220 mx.example.org\r\n")}},
		"it greets with 421 4.3.2 Go away":   {SMTP: []string{greets(t, "421 4.3.2 Go away\r\n")}},
		"ok 421 4.3.2 No domain yet":         {SMTP: []string{greets(t, "421 4.3.2 No domain yet\r\n")}, Refuses: true},
		"it greets with 554":                 {SMTP: []string{greets(t, "554\r\n")}, Refuses: true},
		"no greeting: EOF":                   {SMTP: []string{greets(t, "220 without an end")}},
		"no greeting: bufio: buffer full":    {SMTP: []string{greets(t, strings.Repeat("2", 5000))}},
		"ok 303 See Other":                   {Console: []string{answers(303)}},
		"it answers 502 Bad Gateway":         {Console: []string{answers(502)}},
		"server gave HTTP response to HTTPS": {Console: []string{greets(t, "HTTP/1.1 200 OK\r\n\r\n")}},
	} {
		l := look(t.Context(), outside(g))
		said := l[0].Detail
		if l[0].OK {
			said = "ok " + said
		}
		if len(l) != 1 || !l[0].Needed || !strings.Contains(said, want) {
			t.Errorf("%+v; want %s", l, want)
		}
	}
}

// TestGate shows what decides: nothing that is not needed, and everything that is.
func TestGate(t *testing.T) {
	good := func(context.Context) (string, error) { return "well", nil }
	bad := func(context.Context) (string, error) { return "", errors.New("away\x1b[2J") }
	for name, c := range map[string]struct {
		parts []Part
		ok    bool
	}{
		"all":         {[]Part{{"log", true, good}, {"clamav", true, good}}, true},
		"one is bad":  {[]Part{{"log", true, good}, {"clamav", true, bad}}, false},
		"one outside": {[]Part{{"log", true, good}, {"clamav", false, bad}}, true},
		"none":        {nil, true},
	} {
		d := &Desk{Parts: func() []Part { return c.parts }, Where: func(g *api.Gate) { g.SMTP = []string{"x"} }}
		s := &control.Surface{Operations: d.Operations()}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		g, err := controltest.Ask[*api.Gate](t.Context(), s, access.Actor{Role: access.Auditor}, "appliance health", &struct{}{})
		if err != nil || g.OK() != c.ok || len(g.Lines) != len(c.parts) || len(g.SMTP) != 1 {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
		for _, l := range g.Lines {
			if strings.Contains(l.Detail, "\x1b") {
				t.Errorf("%s: %q", name, l.Detail)
			}
		}
	}
}
