package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestSettings shows what is refused, and that settings in a message tell no secret.
func TestSettings(t *testing.T) {
	good := Settings{Addrs: []string{"127.0.0.1:1"}, Secret: make([]byte, 16), Password: "hidden", SentinelPassword: "hidden"}
	open(t, good)
	for _, text := range []string{fmt.Sprint(good), fmt.Sprintf("%+v", good), fmt.Sprintf("%#v", good), fmt.Sprintf("%+v", &good)} {
		if strings.Contains(text, "hidden") || !strings.Contains(text, "127.0.0.1:1") {
			t.Errorf("printed as %s", text)
		}
	}
	for want, change := range map[string]func(*Settings){
		"no address":         func(s *Settings) { s.Addrs = nil },
		"a secret of 15":     func(s *Settings) { s.Secret = make([]byte, 15) },
		`cell "a:b"`:         func(s *Settings) { s.Cell = "a:b" },
		`cell "*"`:           func(s *Settings) { s.Cell = "*" },
		`cell "{"`:           func(s *Settings) { s.Cell = "{" },
		"cell \"aaa":         func(s *Settings) { s.Cell = strings.Repeat("a", 33) },
		"timeout 9ms":        func(s *Settings) { s.Timeout = 9 * time.Millisecond },
		"timeout 1.001s":     func(s *Settings) { s.Timeout = 1001 * time.Millisecond },
		"a pool of -1":       func(s *Settings) { s.Pool = -1 },
		"a pool of 1001":     func(s *Settings) { s.Pool = 1001 },
		"waits -1ns and 30s": func(s *Settings) { s.Wait = -1 },
		"waits 1s and 999ms": func(s *Settings) { s.LongestWait = 999 * time.Millisecond },
	} {
		s := good
		change(&s)
		if c, err := Open(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, c, err)
		}
	}
}

// TestRowBound shows that a row of too many calls asks nothing, and that a call that is none does not spoil the others.
func TestRowBound(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	row := c.Row()
	var tried *Tried
	for range MostCalls + 1 {
		tried = row.Try(pair, greylist.Settings{}, time.Time{})
	}
	if err := row.Do(context.Background()); err == nil || tried.Err == nil || c.Health().Calls != 0 {
		t.Errorf("%d calls: %v, %v", MostCalls+1, err, tried.Err)
	}
	row = c.Row()
	none, tried := row.Take(nil), row.Try(pair, greylist.Settings{}, time.Time{})
	if err := row.Do(context.Background()); err == nil || none.Err != err || tried.Err != nil || !tried.Hold() {
		t.Errorf("%v, %+v, %+v", err, none, tried)
	}
}

// BenchmarkRow is what the RCPT stage asks: the greylist and four limits, in two calls and one round trip.
func BenchmarkRow(b *testing.B) {
	r := labtest.Redis(b, lab.RedisOptions{})
	c := open(b, patient(r))
	four := charges("192.0.2.1", "192.0.2.0/26", "192.0.0.0/21", "recipient@example.com")
	b.ReportAllocs()
	for b.Loop() {
		row := c.Row()
		row.Try(pair, greylist.Settings{}, time.Time{})
		row.Take(four)
		if err := row.Do(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHeld is what a call costs while the breaker is open.
func BenchmarkHeld(b *testing.B) {
	c := open(b, Settings{Addrs: []string{labtest.ClosedAddr(b)}, Secret: make([]byte, 16), Wait: time.Hour})
	_ = c.Ping(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ask(c); KindOf(err) != Held {
			b.Fatal(err)
		}
	}
}

// BenchmarkPairs fills a server with pairs that wait, each of an identity of its own, and tells how much memory each takes.
//
//	go test -run '^$' -bench Pairs -benchtime 1000000x ./internal/redis
func BenchmarkPairs(b *testing.B) {
	r := labtest.Redis(b, lab.RedisOptions{})
	c := open(b, patient(r))
	used := func() int {
		b.Helper()
		for line := range strings.Lines(do(b, r, "INFO", "memory")) {
			if text, ok := strings.CutPrefix(line, "used_memory:"); ok {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				must(b, err)
				return n
			}
		}
		b.Fatal("no used_memory")
		return 0
	}
	keyer, err := greylist.NewKeyer(make([]byte, greylist.LeastKey))
	must(b, err)
	before := used()
	for i := 0; i < b.N; {
		row := c.Row()
		for range min(MostCalls, b.N-i) {
			id := greylist.Identity(fmt.Sprintf("net:10.%d.%d.0/24", i>>8, i&255))
			row.Try(keyer.Key(id, "someone@sender.example", fmt.Sprintf("mailbox%d@served.example", i)), greylist.Settings{}, time.Time{})
			i++
		}
		must(b, row.Do(b.Context()))
	}
	keys, err := strconv.Atoi(do(b, r, "DBSIZE"))
	must(b, err)
	b.ReportMetric(float64(used()-before)/float64(keys), "octets/pair")
	b.ReportMetric(float64(keys), "pairs")
}
