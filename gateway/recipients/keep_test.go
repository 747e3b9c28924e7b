package recipients

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway/relay"
)

// shelf is a store that may fail.
type shelf struct {
	mu   sync.Mutex
	rows map[string]string
	err  error
}

func (s *shelf) Load(_ context.Context, kind string, yield func(string, []byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range s.rows {
		yield(name, []byte(value))
	}
	return s.err
}

func (s *shelf) Save(_ context.Context, kind string, changed map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for name, value := range changed {
		if s.rows[name] = string(value); value == nil {
			delete(s.rows, name)
		}
	}
	return nil
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// process runs a cache over a store until the returned function stops it.
func process(t *testing.T, entries int, s *shelf) (*Cache, func()) {
	c := NewCache(entries)
	c.Keep(s)
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { c.Run(ctx, slog.New(slog.DiscardHandler)); close(ended) }()
	return c, func() { stop(); <-ended }
}

// What was known before a restart is known after it, as old as it is; what is forgotten stays so.
func TestKeptOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{rows: map[string]string{}}
		h := new(hop)
		h.set(yes)
		c, stop := process(t, 0, s)
		r := New(c, h, Sources{})
		for _, to := range []string{"a@example.org", "b@example.org", "c@example.org"} {
			r.Ask(t.Context(), "inner", address("x@example.net"), address(to))
		}
		c.Import("inner", address("imported@example.org"))
		time.Sleep(saveEvery + time.Second)
		if n := s.len(); n != 4 {
			t.Fatalf("%d rows", n)
		}
		s.fail(errors.New("disk full"))
		if n := c.Forget("", "B@example.org"); n != 1 {
			t.Errorf("forgot %d", n)
		}
		time.Sleep(2 * saveEvery)
		s.fail(nil)
		stop()
		time.Sleep(20 * time.Hour)
		c, stop = process(t, 0, s)
		h.set(no)
		r = New(c, h, Sources{})
		for to, want := range map[string]Kind{"a@example.org": Known, "b@example.org": Unknown, "imported@example.org": Known} {
			if a := r.Ask(t.Context(), "inner", address("x@example.net"), address(to)); a.Kind != want || want == Known && a.Age < 20*time.Hour {
				t.Errorf("%s: %+v", to, a)
			}
		}
		time.Sleep(10 * time.Hour) // over a day now
		h.set(away)
		if a := r.Ask(t.Context(), "inner", address("x@example.net"), address("c@example.org")); a.Kind != Known || !a.FromCache {
			t.Errorf("stale, while away: %+v", a)
		}
		stop()
		time.Sleep(staleFor)
		c, stop = process(t, 0, s)
		defer stop()
		if known, _, _ := c.Entries(); known != 0 {
			t.Errorf("%d are known after %s", known, staleFor)
		}
		r = New(c, h, Sources{})
		if a := r.Ask(t.Context(), "inner", address("x@example.net"), address("c@example.org")); a.Kind != Away {
			t.Errorf("too old: %+v", a)
		}
		time.Sleep(saveEvery + time.Second)
		if n := s.len(); n != 0 {
			t.Errorf("%d rows that are too old stay", n)
		}
	})
}

// The store holds no more than the cache does.
func TestStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{rows: map[string]string{}}
		c, stop := process(t, 100, s)
		for i := range 5000 {
			c.Import("inner", address("u"+strconv.Itoa(i)+"@example.org"))
			if i%500 == 0 {
				time.Sleep(saveEvery + time.Second)
			}
		}
		stop()
		known, _, _ := c.Entries()
		if n := s.len(); n != known || n > 100 {
			t.Errorf("%d rows of %d", n, known)
		}
	})
}

func FuzzKept(f *testing.F) {
	f.Add("inner\na@example.org", "1700000000")
	f.Add("", "-1")
	f.Add("x\ny\nz", "9999999999999")
	f.Fuzz(func(t *testing.T, name, value string) {
		now := time.Unix(1_700_000_000, 0)
		at, ok := keptTime(name, []byte(value), now)
		if ok && (at.After(now) || now.Sub(at) >= staleFor || strings.Count(name, "\n") != 1) {
			t.Errorf("%q %q: %v", name, value, at)
		}
		c := NewCache(10)
		c.Keep(&shelf{rows: map[string]string{name: value}})
		if err := c.Load(t.Context()); err != nil {
			t.Error(err)
		}
		c.Remembered("", 100)
		c.Forget("", "")
	})
}

func TestRemembered(t *testing.T) {
	h := new(hop)
	c := NewCache(0)
	r := New(c, h, Sources{})
	for to, v := range map[string]struct {
		from string
		says relay.Verified
	}{"Known@example.org": {"", yes}, "unknown@example.org": {"", no}, "refused@example.org": {"x@example.net", never}} {
		h.set(v.says)
		r.Ask(t.Context(), "inner", address(v.from), address(to))
	}
	list, more := c.Remembered("", 2)
	if len(list) != 2 || !more {
		t.Errorf("%+v, %v", list, more)
	}
	for to, want := range map[string]string{"known@EXAMPLE.org": "known", "unknown@example.org": "unknown", "refused@example.org": "refused"} {
		list, more = c.Remembered(to, 10)
		if len(list) != 1 || more || list[0].Kind != want || list[0].Route != "inner" || want == "refused" && (list[0].Sender != "<x@example.net>" || list[0].Said == "") {
			t.Errorf("%s: %+v", to, list)
		}
	}
	if n := c.Forget("other", ""); n != 0 {
		t.Errorf("forgot %d of another route", n)
	}
	if n := c.Forget("inner", ""); n != 3 {
		t.Errorf("forgot %d", n)
	}
}
