package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestTLS shows that a server behind TLS is believed only with a certificate of a root that we have, and that its restart
// costs one call, however many connections there were.
func TestTLS(t *testing.T) {
	certificate, key, err := lab.NewCertificate("127.0.0.1")
	must(t, err)
	dir := labtest.Dir(t)
	must(t, os.WriteFile(filepath.Join(dir, "cert"), certificate, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "key"), key, 0o644)) // of this test, and read by another user
	addr := labtest.ClosedAddr(t)
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test", Settings: []string{
		"tls-port " + port, "tls-cert-file " + filepath.Join(dir, "cert"), "tls-key-file " + filepath.Join(dir, "key"), "tls-auth-clients no",
	}})
	s := patient(r)
	s.Addrs, s.User, s.Password = []string{addr}, "gatepost", "p-of-a-test"
	s.Wait, s.LongestWait = time.Nanosecond, time.Nanosecond
	if err := open(t, s).Ping(context.Background()); err == nil {
		t.Error("in clear on the port of TLS")
	}
	s.TLS = &tls.Config{}
	if err := open(t, s).Ping(context.Background()); KindOf(err) != Away || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the root: %v", err)
	}
	s.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	s.TLS.RootCAs.AppendCertsFromPEM(certificate)
	c := open(t, s)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _, _, _ = ask(c) })
	}
	wg.Wait()
	if tried, taken, err := ask(c); err != nil || !tried.Hold() || taken.Err != nil {
		t.Errorf("%+v, %+v, %v", tried, taken, err)
	}
	must(t, r.Kill())
	must(t, r.Restart(labtest.Context(t)))
	failures := 0
	for range 30 {
		if _, _, err := ask(c); err != nil {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("%d calls failed after a restart, want 1", failures)
	}
}
