package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatepost/gateway"
)

// BenchmarkWrite tells how many events a second the files take, and how many octets each is.
func BenchmarkWrite(b *testing.B) {
	var g ids
	now := time.Now()
	l := openLog(b, Options{Queue: 1 << 16})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := transaction(&g, now, fmt.Sprintf("user%d@d%d.example", i*7919%5000, i*31%700), fmt.Sprintf("box%d@one.example", i*13%900))
		for !l.Write(e) {
			time.Sleep(time.Millisecond)
		}
	}
	flush(b, l)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size(dayOf(now).path(l.o.Dir)))/float64(b.N), "octets/row")
}

// BenchmarkMake is what of BenchmarkWrite the test itself costs.
func BenchmarkMake(b *testing.B) {
	var g ids
	for b.Loop() {
		transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	}
}

func BenchmarkEncode(b *testing.B) {
	var g ids
	e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearch asks 100,000 rows.
func BenchmarkSearch(b *testing.B) {
	var g ids
	now := time.Now()
	l := openLog(b, Options{Queue: 1 << 16})
	const n = 100_000
	var some *gateway.Event
	for i := range n {
		e := transaction(&g, now, fmt.Sprintf("user%d@d%d.example", i*7919%5000, i*31%700), fmt.Sprintf("box%d@one.example", i*13%900))
		e.Verdict.Outcome = gateway.Outcome(i % 6)
		for !l.Write(e) {
			time.Sleep(time.Millisecond)
		}
		if i == n/2 {
			some = e
		}
	}
	flush(b, l)
	r, ctx := l.Reader(), context.Background()
	for _, q := range []struct {
		name string
		q    Query
	}{
		{"newest", Query{}},
		{"from", Query{From: some.Record.From.Text}},
		{"from domain", Query{From: some.Record.From.Domain}},
		{"from part", Query{From: "user77"}},
		{"from part, none", Query{From: "nowhere"}},
		{"to", Query{To: some.Record.Rcpts[0].To.Text}},
		{"to domain, none", Query{To: "two.example"}},
		{"message id", Query{MessageID: some.MessageID}},
		{"verdict", Query{Verdicts: []gateway.Outcome{gateway.Drop}}},
		{"client", Query{Client: "192.0.2.25"}},
		{"client, none", Query{Client: "198.51.100.0/24"}},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Search(ctx, q.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("trace", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Trace(ctx, some.Record.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("activity", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Activity(ctx, Window{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("judge all again", func(b *testing.B) {
		p := policy()
		for b.Loop() {
			seen := 0
			if _, err := r.Events(ctx, Window{}, func(e *gateway.Event) error { p.Judge(e.Record); seen++; return nil }); err != nil || seen != n {
				b.Fatal(err, seen)
			}
		}
	})
}
