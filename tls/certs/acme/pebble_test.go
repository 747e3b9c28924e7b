package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"

	"gatepost/internal/durable"
	"gatepost/tls/certs"
)

// world is a Pebble, the name server that it asks, and what answers its challenges.
type world struct {
	*lab.Pebble
	options lab.PebbleOptions
	dns     *dnslab.Server
	http    *HTTP
	alpn    *ALPN
	own     *x509.CertPool // of its https
	seen    struct {
		sync.Mutex
		shown  map[string][]*tls.Certificate
		rounds map[string]int // how often a certificate was shown
		errors []string
	}
}

func newWorld(t *testing.T, o lab.PebbleOptions) *world {
	t.Helper()
	w := &world{http: new(HTTP), alpn: new(ALPN), dns: dnslab.New(t, dnslab.Text("*.example.org. A 127.0.0.1\n"))}
	w.seen.shown, w.seen.rounds = map[string][]*tls.Certificate{}, map[string]int{}
	web, secure := listenLocal(t), listenLocal(t)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if text := w.http.Answer(strings.TrimPrefix(r.URL.Path, ChallengePath)); text != nil {
			rw.Write(text)
			return
		}
		rw.WriteHeader(http.StatusNotFound)
	}), ReadTimeout: 10 * time.Second}
	go server.Serve(web)
	go serveALPN(secure, w.alpn)
	t.Cleanup(func() { server.Close(); secure.Close() })
	o.DNS, o.HTTP, o.TLS = w.dns.Addr(), web.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port
	w.options = o
	w.start(t)
	return w
}

// start starts the authority, a new one each time.
func (w *world) start(t *testing.T) {
	t.Helper()
	w.Pebble = labtest.Pebble(t, w.options)
	text, err := os.ReadFile(w.Authority)
	if err != nil {
		t.Fatal(err)
	}
	w.own = x509.NewCertPool()
	w.own.AppendCertsFromPEM(text)
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serveALPN shakes hands as the https listener does.
func serveALPN(l net.Listener, a *ALPN) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			tls.Server(c, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				if c := a.Config(hello); c != nil && slices.Equal(hello.SupportedProtos, []string{ALPNProtocol}) {
					return c, nil
				}
				return nil, errors.New("nobody waits for this")
			}}).Handshake()
		}()
	}
}

// manager makes a Manager with its state in dir.
func (w *world) manager(t *testing.T, dir string, entries ...Entry) *Manager {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	a := &Authority{Directory: w.Directory, Email: "postmaster@example.org", Agreed: true, Roots: w.own, Dir: dir, Log: log}
	return &Manager{Authority: a, Entries: entries, Dir: dir, Log: log,
		Show: func(entry string, c []*tls.Certificate) {
			w.seen.Lock()
			defer w.seen.Unlock()
			w.seen.shown[entry] = c
			if len(c) > 0 {
				w.seen.rounds[entry]++
			}
		},
		Told: func(_ string, err error) {
			if err != nil {
				w.seen.Lock()
				defer w.seen.Unlock()
				w.seen.errors = append(w.seen.errors, err.Error())
			}
		}}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// run loads and runs m until the test ends or the returned function is called.
func run(t *testing.T, m *Manager) (stop func()) {
	t.Helper()
	m.Load()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// wait waits for something that must come, however slow the machine is.
func wait(t *testing.T, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("does not come: " + what)
		}
	}
}

// shown waits until an entry shows certificates, in its nth round, and checks them as a client does.
func (w *world) shown(t *testing.T, entry string, round int, names ...string) []*tls.Certificate {
	t.Helper()
	wait(t, "a certificate for "+entry, func() bool {
		w.seen.Lock()
		defer w.seen.Unlock()
		return w.seen.rounds[entry] >= round
	})
	root, err := w.Root(labtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	w.seen.Lock()
	defer w.seen.Unlock()
	for _, c := range w.seen.shown[entry] {
		between := x509.NewCertPool()
		for _, der := range c.Certificate[1:] {
			x, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			between.AddCert(x)
		}
		for _, name := range names {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: strings.ReplaceAll(name, "*", "any"), Roots: root, Intermediates: between}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	return w.seen.shown[entry]
}

func kind(k crypto.PublicKey) KeyType {
	if _, ok := k.(*rsa.PublicKey); ok {
		return RSA
	}
	_ = k.(*ecdsa.PublicKey)
	return ECDSA
}

func TestHTTP01(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.PebbleOptions{})
	dir := t.TempDir()
	entry := func() Entry {
		return Entry{Names: []string{"mx.example.org", "mta-sts.example.org"}, Keys: Both, Solver: w.http}
	}
	m := w.manager(t, dir, entry())
	stop := run(t, m)
	w.shown(t, "mx.example.org", 2, "mx.example.org", "mta-sts.example.org")
	stop()
	got := w.seen.shown["mx.example.org"]
	if len(got) != 2 || kind(got[0].Leaf.PublicKey) != ECDSA || kind(got[1].Leaf.PublicKey) != RSA {
		t.Fatalf("%d certificates", len(got))
	}
	if len(w.http.answers) > 0 {
		t.Errorf("answers to challenges stay: %d", len(w.http.answers))
	}
	filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.Mode().IsRegular() && info.Mode().Perm() != 0o600 || strings.HasSuffix(name, durable.Half) {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		return nil
	})

	// After a start the same is shown without asking anybody.
	w.Stop()
	again := w.manager(t, dir, entry())
	w.seen.shown = map[string][]*tls.Certificate{}
	again.Load()
	if kept := w.seen.shown["mx.example.org"]; len(kept) != 2 || !kept[0].Leaf.Equal(got[0].Leaf) || !kept[1].Leaf.Equal(got[1].Leaf) {
		t.Error("after a start something else is shown")
	}
	if s := again.Status()[0]; s.Next.Before(time.Now()) || s.Error != "" || s.Orders != 2 {
		t.Errorf("%+v", s)
	}
	for i, k := range again.PublicKeys() {
		if !certs.SameKey(k.Current, got[i].Leaf.PublicKey) || certs.SameKey(k.Next, k.Current) || kind(k.Next) != k.Kind {
			t.Errorf("keys of %v", k.Kind)
		}
	}
}
