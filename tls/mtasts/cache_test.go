package mtasts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is what a domain publishes, and how often it was asked.
type world struct {
	mu             sync.Mutex
	texts          []string
	ttl            time.Duration
	dns            error
	policy         Policy
	host           error
	slow           time.Duration
	asked, fetched int
	faults         []string
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) counts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d asked, %d fetched", w.asked, w.fetched)
}

func (w *world) cache(dir string) *Cache {
	return NewCache(Options{Dir: dir, Log: slog.New(slog.DiscardHandler),
		TXT: func(_ context.Context, name string) ([]string, time.Duration, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked++
			if name != "_mta-sts.example.org" {
				return nil, w.ttl, nil
			}
			return w.texts, w.ttl, w.dns
		},
		Fetch: func(ctx context.Context, domain string) (*Policy, error) {
			w.mu.Lock()
			w.fetched++
			p, err, slow := w.policy, w.host, w.slow
			w.mu.Unlock()
			select {
			case <-time.After(slow):
			case <-ctx.Done():
				return nil, &Fault{FetchError, ctx.Err()}
			}
			if err != nil {
				return nil, &Fault{FetchError, err}
			}
			return &p, nil
		},
		Failed: func(domain string, f *Fault) { w.set(func() { w.faults = append(w.faults, domain+" "+f.Result) }) },
	})
}

func newWorld() *world {
	return &world{texts: []string{"v=STSv1; id=1;"}, ttl: time.Minute, policy: Policy{Mode: Enforce, MX: []string{"mx.example.org"}, MaxAge: 7 * 24 * time.Hour}}
}

// running has the cache looked after for as long as the bubble lasts.
func running(t *testing.T, c *Cache) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// TestCacheLife follows a policy from the first mail over a renewal, a new id, and a host that fails, to its end.
func TestCacheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache("")
		stop := running(t, c)
		defer stop()
		get := func() string {
			t.Helper()
			p := c.Policy(t.Context(), "example.org")
			if p == nil {
				return "none"
			}
			return p.ID + " " + string(p.Mode)
		}
		expect := func(want, counts string) {
			t.Helper()
			synctest.Wait()
			if got := get(); got != want {
				t.Errorf("policy %s, want %s", got, want)
			}
			synctest.Wait()
			if got := w.counts(); got != counts {
				t.Errorf("%s, want %s", got, counts)
			}
		}
		expect("1 enforce", "1 asked, 1 fetched") // the first mail waits for it
		expect("1 enforce", "1 asked, 1 fetched")
		c.Want("example.org")
		time.Sleep(59 * time.Minute)
		expect("1 enforce", "12 asked, 1 fetched") // each five minutes, not each TTL
		w.set(func() { w.texts, w.policy.Mode = []string{"v=STSv1; id=2;"}, Testing })
		time.Sleep(6 * time.Minute)
		expect("2 testing", "14 asked, 2 fetched")

		// Neither a record that goes, nor DNS that fails, nor a host that does ends a policy.
		w.set(func() { w.texts = nil })
		time.Sleep(time.Hour)
		w.set(func() { w.dns = errors.New("servfail") })
		time.Sleep(time.Hour)
		if got := get(); got != "2 testing" {
			t.Errorf("policy %s", got)
		}
		w.set(func() {
			w.dns, w.texts, w.host, w.fetched = nil, []string{"v=STSv1; id=3;"}, errors.New("refused"), 0
		})
		time.Sleep(2 * time.Hour)
		w.set(func() {
			if got := get(); got != "2 testing" || w.fetched < 4 || w.fetched > 6 { // after 5, 10, 20, 40, 60 minutes
				t.Errorf("policy %s, %d fetched", got, w.fetched)
			}
			if len(w.faults) != w.fetched || w.faults[0] != "example.org "+FetchError {
				t.Errorf("told: %q", w.faults)
			}
		})
		if k := c.Known(); len(k) != 1 || k[0].Err == nil || k[0].Policy.ID != "2" || !k[0].Record {
			t.Errorf("%+v", k)
		}
		time.Sleep(7 * 24 * time.Hour)
		if got := get(); got != "none" {
			t.Errorf("policy %s after its time", got)
		}
		w.set(func() { w.host = nil })
		time.Sleep(70 * time.Minute)
		if got := get(); got != "3 testing" {
			t.Errorf("policy %s once its host works again", got)
		}

		// One that stays the same is fetched anew each day, long before it ends.
		w.set(func() { w.fetched = 0 })
		time.Sleep(10 * 24 * time.Hour)
		w.set(func() {
			if w.fetched < 9 || w.fetched > 10 {
				t.Errorf("%d fetched in 10 days", w.fetched)
			}
		})
		stop()
		before := w.counts()
		time.Sleep(24 * time.Hour)
		if got := get(); got != "3 testing" || w.counts() != before {
			t.Errorf("after its end: policy %s, %s", got, w.counts())
		}
	})
}

// TestCacheWaits shows for how long mail waits: at most five seconds, and only while nothing is known of the domain.
func TestCacheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = 30 * time.Second
		c := w.cache("")
		defer running(t, c)()
		wait := func(ctx context.Context, want time.Duration, has bool) {
			t.Helper()
			began := time.Now()
			if p := c.Policy(ctx, "example.org"); (p != nil) != has {
				t.Errorf("policy %+v", p)
			}
			if took := time.Since(began); took != want {
				t.Errorf("it took %s, want %s", took, want)
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait(short, time.Second, false)
		wait(t.Context(), 5*time.Second, false)
		time.Sleep(30 * time.Second)
		wait(t.Context(), 0, true)
		for _, domain := range []string{"", "localhost", "../x", "a/b.c", "[192.0.2.1]", "x..y"} {
			if p := c.Policy(t.Context(), domain); p != nil {
				t.Errorf("%q has a policy", domain)
			}
		}
		w.set(func() { w.slow, w.host = 0, errors.New("away") })
		time.Sleep(8 * 24 * time.Hour)
		wait(t.Context(), 0, false) // it ended, and mail goes on
		wait(t.Context(), 0, false)
		began := time.Now()
		if p := c.Policy(t.Context(), "example.net"); p != nil || time.Since(began) != 0 || c.Policy(t.Context(), "example.net") != nil {
			t.Errorf("a domain without a record: %+v", p)
		}
	})
}

// TestCacheDoubt shows that a host that does not match has the record looked at, but not all the time.
func TestCacheDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.ttl = time.Hour
		c := w.cache("")
		defer running(t, c)()
		c.Doubt("example.org") // of which nobody knows
		c.Policy(t.Context(), "example.org")
		time.Sleep(2 * time.Minute)
		w.set(func() { w.texts = []string{"v=STSv1; id=2;"} })
		for range 10 {
			c.Doubt("example.org")
			synctest.Wait()
		}
		if got := w.counts(); got != "2 asked, 1 fetched" { // five minutes between two fetches
			t.Error(got)
		}
		time.Sleep(3 * time.Minute)
		c.Doubt("example.org")
		synctest.Wait()
		if p := c.Policy(t.Context(), "example.org"); p.ID != "2" || w.counts() != "3 asked, 2 fetched" {
			t.Errorf("%+v, %s", p, w.counts())
		}
	})
}

// TestCacheKept shows that a policy outlives the process, and what becomes of files that are damaged or over.
func TestCacheKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir := filepath.Join(t.TempDir(), "mta-sts")
		c := w.cache(dir)
		if c.Policy(t.Context(), "example.org") == nil {
			t.Fatal("no policy")
		}
		old := filepath.Join(dir, "old.example.json")
		if err := os.WriteFile(old, []byte(`{"id":"1","fetched":"1999-01-01T00:00:00Z","policy":"version: STSv1\nmode: none\nmax_age: 1\n"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"junk.example.json": "{", "empty.example.json": "", "bad.example.json": `{"policy":"mode: x"}`,
			"future.example.json": `{"id":"1","fetched":"2999-01-01T00:00:00Z","policy":"version: STSv1\nmode: none\nmax_age: 3600\n"}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.set(func() { w.host, w.dns = errors.New("away"), errors.New("away") })
		again := w.cache(dir)
		stop := running(t, again)
		defer stop()
		if p := again.Policy(t.Context(), "example.org"); p == nil || p.ID != "1" || p.Mode != Enforce || !p.Matches("mx.example.org") {
			t.Errorf("after a restart: %+v", p)
		}
		if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a policy that is over is still there: %v", err)
		}
		var names []string
		for _, k := range again.Known() {
			names = append(names, k.Domain)
			if k.Ends.After(time.Now().Add(MaxAge)) {
				t.Errorf("%s counts until %s", k.Domain, k.Ends)
			}
		}
		if got := strings.Join(names, " "); got != "example.org future.example" {
			t.Errorf("known: %s", got)
		}
		time.Sleep(9 * 24 * time.Hour) // nobody asked for it, and its time is over
		if k := again.Known(); len(k) != 0 {
			t.Errorf("still known: %+v", k)
		}
		if _, err := os.Stat(filepath.Join(dir, "example.org.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its file is still there: %v", err)
		}
		if again.Policy(t.Context(), "example.org") != nil {
			t.Error("a policy that is over counts")
		}
	})
}

// TestCacheBounded shows that no more domains are known than there is room for, and that those asked for last stay.
func TestCacheBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache("")
		c.Want("example.org")
		synctest.Wait()
		for i := range maxDomains + 10 {
			c.Policy(t.Context(), fmt.Sprintf("d%d.example", i))
			time.Sleep(time.Millisecond)
		}
		if k := c.Known(); len(k) != maxDomains || c.Policy(t.Context(), "example.org") == nil {
			t.Errorf("%d known", len(k))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.domains["d0.example"] != nil || c.domains["d1009.example"] == nil {
			t.Error("the wrong ones were forgotten")
		}
	})
}
