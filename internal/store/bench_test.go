package store

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
)

// cpu is what this process has used of processors, user and system.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stock are events made before the clock runs: nine transactions to a connection, of many senders and recipients.
type stock struct {
	g      ids
	events []*gateway.Event
}

func newStock() *stock {
	s := new(stock)
	for i := range 5000 {
		e := transaction(&s.g, time.Now(), fmt.Sprintf("user%d@d%d.example", i*7919%5000, i*31%700), fmt.Sprintf("box%d@one.example", i*13%900))
		if i%10 == 9 {
			e = connection(&s.g, time.Now(), "192.0.2.25", gateway.Accept)
		}
		s.events = append(s.events, e)
	}
	return s
}

// event returns the i-th, under an id and a Message-ID that were not there before.
func (s *stock) event(i int) *gateway.Event {
	e := *s.events[i%len(s.events)]
	r := *e.Record
	r.Time = time.Now()
	r.ID = s.g.at(r.Time)
	if e.Record = &r; e.MessageID != "" {
		e.MessageID = "<" + strconv.Itoa(i) + "@sender.example>"
	}
	return &e
}

// BenchmarkWrite tells what an event costs on its way into the file: processor time, of all goroutines, and octets.
func BenchmarkWrite(b *testing.B) {
	s, now := newStock(), time.Now()
	l := openLog(b, Options{})
	b.ReportAllocs()
	began, i := cpu(b), 0
	for ; b.Loop(); i++ {
		for e := s.event(i); !l.Write(e); {
			time.Sleep(time.Millisecond)
		}
	}
	flush(b, l)
	b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/1000/float64(i), "CPU-µs/event")
	b.ReportMetric(float64(size(dayOf(now).path(l.o.Dir)))/float64(i), "octets/event")
}

// BenchmarkClose tells what it costs to make the index of a block of 500 events, when their day is over.
func BenchmarkClose(b *testing.B) {
	s, now := newStock(), time.Now()
	l := openLog(b, Options{})
	n := 0
	for b.Loop() {
		b.StopTimer()
		for range batchRows {
			for e := s.event(n); !l.Write(e); {
				time.Sleep(time.Millisecond)
			}
			n++
		}
		flush(b, l)
		db, err := openWrite(b.Context(), dayOf(now).path(l.o.Dir))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := cpu(b)
		if _, did, err := closeBlock(b.Context(), db, 0); err != nil || did == 0 {
			b.Fatal(did, err)
		}
		b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/1000/batchRows, "CPU-µs/event")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMake is what of BenchmarkWrite the test itself costs.
func BenchmarkMake(b *testing.B) {
	s := newStock()
	for i := 0; b.Loop(); i++ {
		s.event(i)
	}
}

func BenchmarkEncode(b *testing.B) {
	var g ids
	n, err := newEncoder()
	if err != nil {
		b.Fatal(err)
	}
	e, to, batch := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"), []rcptColumns(nil), new(batch)
	b.ReportAllocs()
	for b.Loop() {
		batch.reset("")
		if err := batch.add(n, e, &to); err != nil {
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
