package spool

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// TestOctetsOfAMessage counts what a queued message takes in memory: at most 1 KiB, with the longest that an entry keeps.
func TestOctetsOfAMessage(t *testing.T) {
	const messages = 100_000
	for name, c := range map[string]struct{ rcpts, most int }{"one recipient": {1, 512}, "more than are kept": {15, 1024}} {
		q := &Queue{index: newIndex()}
		env := &envelope{Route: "inside", From: mailbox(addr("somebody.with.a.name@sender.example"))}
		for i := range c.rcpts {
			env.Rcpts = append(env.Rcpts, rcpt{Address: mailbox(addr(fmt.Sprintf("recipient-%d@our.example", i)))})
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		for i := range messages {
			env.ID = gateway.ID(i+1) << 20
			s := &state{Attempts: 3, Said: strings.Clone("dial: connection refused by the next hop in some words"), Next: time.Now().Add(time.Hour)}
			q.index.add(q.newEntry(env, s), Waiting, time.Now())
		}
		got := int(heap()-before) / messages
		t.Logf("%s: %d octets a message", name, got)
		if got > c.most {
			t.Errorf("%s: %d octets a message, at most %d", name, got, c.most)
		}
		runtime.KeepAlive(q)
	}
}

// BenchmarkPut takes messages of 10 KB, flushed to the disk of TMPDIR, from so many callers at once.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			q := benchQueue(b, b.TempDir(), nil)
			var ids gateway.IDs
			b.SetBytes(10_000)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := q.Put(b.Context(), benchMail(ids.Next()), gateway.Custody{}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkDrain delivers messages of 10 KB to a next hop that takes them at once.
func BenchmarkDrain(b *testing.B) {
	h := &hop{}
	q := benchQueue(b, b.TempDir(), h)
	var ids gateway.IDs
	for range b.N {
		if err := q.Put(b.Context(), benchMail(ids.Next()), gateway.Custody{}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(10_000)
	b.ReportAllocs()
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	var gone atomic.Int64
	q.opts.Told = func(c *Change) {
		if c.What == "delivered" && gone.Add(1) == int64(b.N) {
			cancel()
		}
	}
	q.Run(ctx)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkOpen opens a queue with 100,000 messages of 10 KB, a tenth of them with a state.
func BenchmarkOpen(b *testing.B) {
	const messages = 100_000
	dir := b.TempDir()
	q := benchQueue(b, dir, nil)
	var ids gateway.IDs
	for i := range messages {
		d := benchMail(ids.Next() + gateway.ID(i)<<20) // over all folders
		if err := q.Put(b.Context(), d, gateway.Custody{}); err != nil {
			b.Fatal(err)
		}
		if i%10 == 0 {
			q.save(d.ID, &state{Attempts: 1, Said: "deferred"})
		}
	}
	b.ResetTimer()
	for b.Loop() {
		again := benchQueue(b, dir, nil)
		if n := len(again.index.all); n != messages {
			b.Fatalf("%d messages", n)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/100000")
}

func benchQueue(b *testing.B, dir string, h *hop) *Queue {
	o := QueueOptions{Dir: dir, Reserve: 1, ReserveInodes: 1, NextHop: func() gateway.NextHop { return h }}
	if strings.Contains(b.Name(), "Open") || strings.Contains(b.Name(), "Drain") {
		o.disk = unflushed{durable.Real{}}
	}
	q, err := OpenQueue(o)
	if err != nil {
		b.Fatal(err)
	}
	return q
}

func benchMail(id gateway.ID) *gateway.Delivery {
	d := mail(id, "inside", "bob@our.example")
	d.Content = gateway.Content{Parts: []io.Reader{strings.NewReader(strings.Repeat("0123456789012345678901234567890123456789012345678\r\n", 196))}, Size: 196 * 51}
	return d
}
