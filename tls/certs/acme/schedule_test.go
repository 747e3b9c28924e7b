package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/durable"
	"gatepost/tls/certs"
)

func TestDue(t *testing.T) {
	begin := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		life        time.Duration
		first, last float64 // share of its life
	}{
		{90 * 24 * time.Hour, 14. / 24, 15. / 24},
		{45 * 24 * time.Hour, 14. / 24, 15. / 24},
		{6 * 24 * time.Hour, 10. / 24, 12. / 24},
		{time.Minute, 10. / 24, 12. / 24},
	} {
		days := map[int]int{}
		for i := range 1000 {
			name := fmt.Sprintf("mx%d.example.org", i)
			leaf := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(c.life)}
			at := due(leaf, name)
			if !due(leaf, name).Equal(at) {
				t.Fatal("another time for the same name")
			}
			share := float64(at.Sub(begin)) / float64(c.life)
			if share < c.first || share > c.last {
				t.Fatalf("life %v: renewed after %.3f of it", c.life, share)
			}
			days[int((share-c.first)/(c.last-c.first)*10)]++
		}
		for tenth := range 10 {
			if n := days[tenth]; n < 60 || n > 140 {
				t.Errorf("life %v: %d of 1000 names are renewed in tenth %d of the window", c.life, n, tenth)
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	before := time.Duration(0)
	for n := 1; n < 100; n++ {
		wait := backoff(n, "mx.example.org", 0)
		plain := min(backoffLeast<<min(n-1, 20), backoffMost)
		if wait < plain*8/10 || wait > plain*12/10 || wait < before {
			t.Errorf("after %d failures %v", n, wait)
		}
		before = wait
	}
	if wait := backoff(1, "mx.example.org", 3*time.Hour); wait != 3*time.Hour {
		t.Errorf("asked for three hours, it is %v", wait)
	}
}

// fakeGet gives certificates of its own, or fails.
type fakeGet struct {
	life  time.Duration
	back  time.Duration // how long before now they begin
	fail  error
	calls []time.Time
	opens []string // the orders that were to be gone on with
}

func (f *fakeGet) get(_ context.Context, r request) ([][]byte, error) {
	f.calls, f.opens = append(f.calls, time.Now()), append(f.opens, r.open)
	r.placed(fmt.Sprintf("https://authority.test/order/%d", len(f.calls)))
	if f.fail != nil {
		return nil, f.fail
	}
	return [][]byte{issue(r.key.Public(), time.Now().Add(-f.back), f.life, r.names...)}, nil
}

// issue makes a certificate without an authority.
func issue(public any, begin time.Time, life time.Duration, names ...string) []byte {
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, NotBefore: begin, NotAfter: begin.Add(life)},
		of, public, authority)
	if err != nil {
		panic(err)
	}
	return der
}

func fakeManager(t *testing.T, dir string, f *fakeGet, entries ...Entry) *Manager {
	return &Manager{Authority: &Authority{Dir: dir}, Dir: dir, Entries: entries, Log: slog.New(slog.DiscardHandler),
		Show: func(string, []*tls.Certificate) {}, get: f.get}
}

// play runs a manager for a time that passes at once.
func play(t *testing.T, m *Manager, d time.Duration) {
	t.Helper()
	m.Load()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	m.Run(ctx)
}

// TestYear renews a certificate of 90 days for a year, and one of six days for a month.
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			life, run time.Duration
			most      int
		}{{90 * 24 * time.Hour, 365 * 24 * time.Hour, 7}, {6 * 24 * time.Hour, 30 * 24 * time.Hour, 12}} {
			f := &fakeGet{life: c.life, back: time.Hour}
			m := fakeManager(t, t.TempDir(), f, Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)})
			play(t, m, c.run)
			if len(f.calls) > c.most || len(f.calls) < c.most-2 {
				t.Errorf("life %v: %d orders in %v", c.life, len(f.calls), c.run)
			}
			for i := 1; i < len(f.calls); i++ {
				if gap := f.calls[i].Sub(f.calls[i-1]); gap > c.life*2/3 {
					t.Errorf("life %v: renewed after %v", c.life, gap)
				}
			}
		}
	})
}

// TestFailingDays has every order fail for days, over restarts every hour: there are never more than 15 in 24 hours, and ever
// fewer.
func TestFailingDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGet{fail: errors.New("it does not work")}
		dir := t.TempDir()
		for range 72 {
			play(t, fakeManager(t, dir, f, Entry{Names: []string{"mx.example.org"}, Keys: Both, Solver: new(HTTP)}), time.Hour)
		}
		for i := range f.calls {
			n := 0
			for _, at := range f.calls[i:] {
				if at.Sub(f.calls[i]) < ordersWindow {
					n++
				}
			}
			if n > maxOrders {
				t.Fatalf("%d orders in 24 hours", n)
			}
		}
		if len(f.calls) < 12 || len(f.calls) > 20 {
			t.Errorf("%d orders in three days", len(f.calls))
		}
		// A person may ask, and not more often than the bound.
		m := fakeManager(t, dir, f, Entry{Names: []string{"mx.example.org"}, Keys: Both, Solver: new(HTTP)})
		m.Load()
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		before := len(f.calls)
		var err error
		for range 30 {
			if _, err = m.Renew("", true); err != nil {
				break
			}
			synctest.Wait()
		}
		if !errors.Is(err, ErrTooMany) || len(f.calls)-before > maxOrders {
			t.Errorf("%d orders by hand, then %v", len(f.calls)-before, err)
		}
		cancel()
		synctest.Wait()
	})
}

// TestDueAtOnce has an authority whose certificates are nearly over when they come.
func TestDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGet{life: 2 * time.Hour, back: 110 * time.Minute}
		m := fakeManager(t, t.TempDir(), f, Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)})
		play(t, m, 30*time.Minute)
		if len(f.calls) < 2 || len(f.calls) > 7 {
			t.Errorf("%d orders in half an hour", len(f.calls))
		}
	})
}

// TestClock has a clock that was years ahead, and is right again.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		entry := Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)}
		folder, err := entryFolder(dir, &entry)
		if err != nil {
			t.Fatal(err)
		}
		ahead := time.Now().Add(5 * 365 * 24 * time.Hour)
		m := memory{Failures: 3, Next: ahead, Error: "no\nsuch \x1b[1mthing", ErrorAt: ahead}
		for range 50 {
			m.Orders = append(m.Orders, ahead)
		}
		if err := m.write(folder); err != nil {
			t.Fatal(err)
		}
		f := &fakeGet{life: 90 * 24 * time.Hour}
		x := fakeManager(t, dir, f, entry)
		play(t, x, time.Minute)
		if s := x.Status()[0]; len(f.calls) != 1 || s.Error != "" || s.Orders != 1 {
			t.Errorf("%d orders, %+v", len(f.calls), s)
		}
	})
}

// TestNamesChange orders anew when the document names other names, and shows what is there until then.
func TestNamesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), &fakeGet{life: 90 * 24 * time.Hour}
		play(t, fakeManager(t, dir, f, Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)}), time.Hour)
		m := fakeManager(t, dir, f, Entry{Names: []string{"mx.example.org", "www.example.org"}, Solver: new(HTTP)})
		var seen [][]string
		m.Show = func(_ string, c []*tls.Certificate) {
			for _, x := range c {
				seen = append(seen, x.Leaf.DNSNames)
			}
		}
		play(t, m, time.Hour)
		if len(f.calls) != 2 || len(seen) != 2 || len(seen[0]) != 1 || len(seen[1]) != 2 {
			t.Errorf("%d orders, shown %v", len(f.calls), seen)
		}
	})
}

// TestFiles has files as crashes and accidents leave them.
func TestFiles(t *testing.T) {
	dir, f := t.TempDir(), &fakeGet{life: time.Hour}
	entry := Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)}
	folder := filepath.Join(dir, "mx.example.org")
	load := func() (PublicKeys, error) {
		m := fakeManager(t, dir, f, entry)
		m.Load()
		if all := m.PublicKeys(); len(all) > 0 {
			return all[0], nil
		}
		return PublicKeys{}, errors.New(m.Status()[0].Error)
	}
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := load(); err != nil || !certs.SameKey(again.Current, first.Current) || !certs.SameKey(again.Next, first.Next) {
		t.Error("keys are made anew at each start", err)
	}
	// A crash after the next key was used, before another was made; a file that was being written; a memory that is none.
	text, _ := os.ReadFile(nextFile(folder, ECDSA))
	for name, text := range map[string]string{currentFile(folder, ECDSA): string(text), currentFile(folder, ECDSA) + durable.Half: "half", filepath.Join(folder, memoryFile): "{\"orders\": 7"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	after, err := load()
	if err != nil || !certs.SameKey(after.Current, first.Next) || certs.SameKey(after.Next, first.Next) {
		t.Error("the next key is the current one", err)
	}
	if _, err := os.Stat(currentFile(folder, ECDSA) + durable.Half); err == nil {
		t.Error("half a file stays")
	}
	// A key that cannot be read is not replaced by another: its TLSA record may be published.
	if err := os.WriteFile(currentFile(folder, ECDSA), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "there is no private key in it") {
		t.Error("a damaged key was replaced", err)
	}
	m := fakeManager(t, dir, f, entry)
	m.Load()
	if _, err := m.Renew("", true); err == nil || len(f.calls) > 0 {
		t.Error("ordered with a damaged key")
	}
}

// TestDamagedFileBesides has one file of an entry damaged: what is whole is shown on, and nothing is ordered.
func TestDamagedFileBesides(t *testing.T) {
	for name, c := range map[string]struct {
		damaged func(folder string) string
		shown   int
	}{
		"none":         {func(folder string) string { return filepath.Join(folder, "else") }, 2},
		"the next key": {func(folder string) string { return nextFile(folder, ECDSA) }, 2},
		"one of two":   {func(folder string) string { return currentFile(folder, ECDSA) }, 1},
		"the memory":   {func(folder string) string { return filepath.Join(folder, memoryFile) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir, f := t.TempDir(), &fakeGet{life: 90 * 24 * time.Hour}
			entry := Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP), Keys: Both}
			synctest.Test(t, func(t *testing.T) { play(t, fakeManager(t, dir, f, entry), time.Hour) })
			ordered := len(f.calls)
			if err := os.WriteFile(c.damaged(filepath.Join(dir, "mx.example.org")), []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			m, shown := fakeManager(t, dir, f, entry), -1
			m.Show = func(_ string, all []*tls.Certificate) { shown = len(all) }
			synctest.Test(t, func(t *testing.T) { play(t, m, time.Hour) })
			broken := name == "the next key" || name == "one of two"
			if s := m.Status()[0]; shown != c.shown || len(f.calls) != ordered || s.Broken != broken || s.NotAfter.IsZero() != (name == "one of two") {
				t.Errorf("%d certificates shown, %d orders more, %+v", shown, len(f.calls)-ordered, s)
			}
		})
	}
}

// TestDiskFull cannot keep what came: the order is gone on with, and the next key is made once there is room.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), &fakeGet{life: 90 * 24 * time.Hour}
		m := fakeManager(t, dir, f, Entry{Names: []string{"mx.example.org"}, Solver: new(HTTP)})
		m.Usable = func([]string, crypto.PublicKey) (bool, string) { return true, "" }
		full := currentFile(filepath.Join(dir, "mx.example.org"), ECDSA) + durable.Half // where nothing can be written
		m.Load()
		if err := os.Mkdir(full, 0o700); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(30 * time.Second)
			if err := os.Remove(full); err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		m.Run(ctx)
		if s := m.Status()[0]; len(f.calls) != 2 || f.opens[1] == "" || s.Error != "" || s.NotAfter.IsZero() {
			t.Errorf("%d orders, %q, %+v", len(f.calls), f.opens, s)
		}
		if k := m.PublicKeys()[0]; certs.SameKey(k.Current, k.Next) {
			t.Error("the next key is the current one")
		}
	})
}
