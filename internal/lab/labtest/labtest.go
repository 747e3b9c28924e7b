// Package labtest starts the parts of internal/lab for a test and stops them at
// its end. It never skips: a test whose part is missing fails and says what to
// install.
package labtest

import (
	"context"
	"os"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dialog"
)

// limit bounds a test that uses the lab, where go test's own is later.
const limit = 5 * time.Minute

// Context ends with the test, and after five minutes at the latest.
func Context(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}

// Dir is an empty folder with a short name that other users can enter. It is
// removed at the end of the test.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := lab.NewDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("lab folder: %v", err)
		}
	})
	return dir
}

// part is what all processes of the lab can do.
type part interface {
	Stop() error
	Log() string
	Running() bool
}

// started makes the test stop the part at its end, and show its log when the
// test failed. A part that the test stopped or killed itself is left alone.
func started(tb testing.TB, p part, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.Running() {
			if err := p.Stop(); err != nil {
				tb.Errorf("stop: %v", err)
			}
		}
		if tb.Failed() {
			tb.Logf("%s", p.Log())
		}
	})
}

// Clamd starts a clamd for the test.
func Clamd(tb testing.TB, o lab.ClamdOptions) *lab.Clamd {
	tb.Helper()
	c, err := lab.StartClamd(Context(tb), Dir(tb), o)
	started(tb, c, err)
	return c
}

// Spamd starts a spamd for the test.
func Spamd(tb testing.TB, o lab.SpamdOptions) *lab.Spamd {
	tb.Helper()
	s, err := lab.StartSpamd(Context(tb), Dir(tb), o)
	started(tb, s, err)
	return s
}

// Slapd starts an LDAP server that stops at the end of the test.
func Slapd(tb testing.TB, o lab.SlapdOptions) *lab.Slapd {
	tb.Helper()
	s, err := lab.StartSlapd(Context(tb), Dir(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("stop: %v", err)
		}
		if tb.Failed() {
			tb.Logf("%s", s.Log())
		}
	})
	return s
}

// Pebble starts an ACME server that ends with the test.
func Pebble(tb testing.TB, o lab.PebbleOptions) *lab.Pebble {
	tb.Helper()
	p, err := lab.StartPebble(Context(tb), Dir(tb), o)
	started(tb, p, err)
	return p
}

// Knot starts an authoritative name server that ends with the test.
func Knot(tb testing.TB, o lab.KnotOptions, port *lab.Port) *lab.Knot {
	tb.Helper()
	k, err := lab.StartKnot(Context(tb), Dir(tb), o, port)
	started(tb, k, err)
	return k
}

// Signed starts a name server of signed zones and a resolver that validates them.
func Signed(tb testing.TB, zones ...lab.Zone) *lab.Signed {
	tb.Helper()
	s, err := lab.StartSigned(Context(tb), Dir(tb), zones...)
	started(tb, s, err)
	return s
}

// Redis starts a redis-server for the test.
func Redis(tb testing.TB, o lab.RedisOptions) *lab.Redis {
	tb.Helper()
	r, err := lab.StartRedis(Context(tb), Dir(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Errorf("stop: %v", err)
		}
		if tb.Failed() {
			tb.Logf("%s", r.Log())
		}
	})
	return r
}

// Postgres starts a PostgreSQL for the test.
func Postgres(tb testing.TB) *lab.Postgres {
	tb.Helper()
	p, err := lab.StartPostgres(Context(tb), Dir(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Stop(); err != nil {
			tb.Errorf("stop: %v", err)
		}
		if tb.Failed() {
			tb.Logf("%s", p.Log())
		}
	})
	return p
}

// Postfix starts a Postfix for the test.
func Postfix(tb testing.TB, o lab.PostfixOptions) *lab.Postfix {
	tb.Helper()
	p, err := lab.StartPostfix(Context(tb), Dir(tb), o)
	started(tb, p, err)
	return p
}

// Peer starts another internal MTA for the test, with a function such as lab.StartExim.
func Peer(tb testing.TB, start func(context.Context, string, lab.PeerOptions) (*lab.Peer, error), o lab.PeerOptions) *lab.Peer {
	tb.Helper()
	p, err := start(Context(tb), Dir(tb), o)
	started(tb, p, err)
	return p
}

// Gatepost starts the daemon for the test, in a folder that the options need:
// lab.StateDir(dir) is its state_dir.
func Gatepost(tb testing.TB, dir string, o lab.GatepostOptions) *lab.Gatepost {
	tb.Helper()
	g, err := lab.StartGatepost(Context(tb), dir, o)
	started(tb, g, err)
	return g
}

// NextHop starts a fake next hop for the test.
func NextHop(tb testing.TB, o lab.NextHopOptions) *lab.NextHop {
	tb.Helper()
	h, err := lab.StartNextHop(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.Close)
	return h
}

// FakeClamd starts a fake clamd for the test; limit is its StreamMaxLength, 0
// the shipped one.
func FakeClamd(tb testing.TB, limit int) *lab.FakeClamd {
	tb.Helper()
	c, err := lab.StartFakeClamd(limit)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// FakeSpamd starts a fake spamd for the test.
func FakeSpamd(tb testing.TB) *lab.FakeSpamd {
	tb.Helper()
	s, err := lab.StartFakeSpamd()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// ClosedAddr is a host:port where nothing listens, until the end of the test.
func ClosedAddr(tb testing.TB) string {
	tb.Helper()
	port, err := lab.ReservePort()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(port.Release)
	return port.Addr()
}

// Dialog reads the script in the file and plays it.
func Dialog(tb testing.TB, file string, h dialog.Hooks) {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	script, err := dialog.Parse(file, string(text))
	if err != nil {
		tb.Fatal(err)
	}
	if err := script.Run(Context(tb), h); err != nil {
		tb.Error(err)
	}
}
