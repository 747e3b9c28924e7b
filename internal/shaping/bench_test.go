package shaping

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/limit"
	"gatepost/internal/redis"
)

// BenchmarkStep measures what a stage asks: a try of the greylist, a take of one limit, and the row of RCPT, which is a try
// and the limits of the client, the recipient and the harvest brake; embedded, and through Redis over a unix socket and over
// TCP, by 1, 10 and 50 callers at once. Beside the usual it tells the median and the 99th percentile of the time of a step,
// and the CPU time of a step in this process and in Redis. The machine does both.
//
//	go test -run '^$' -bench Step ./internal/shaping
func BenchmarkStep(b *testing.B) {
	r := server(b)
	for _, where := range []string{"embedded", "unix", "tcp"} {
		for _, what := range []string{"greylist", "limit", "row"} {
			for _, callers := range []int{1, 10, 50} {
				b.Run(fmt.Sprintf("%s/%s/%d", where, what, callers), func(b *testing.B) {
					s := New(limit.NewMemory(0), greylist.NewMemory(1<<20))
					if where != "embedded" {
						do(b, r, "FLUSHALL")
						c := settings(r)
						c.Pool = 64
						if where == "tcp" {
							c.Addrs = []string{r.Addr}
						}
						client, err := redis.Open(c)
						must(b, err)
						s.Share(client, Options{})
						defer s.Close()
					}
					steps(b, s, r, what, callers)
				})
			}
		}
	}
}

// steps makes b.N steps by so many callers.
func steps(b *testing.B, s *Stores, r *lab.Redis, what string, callers int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	took := make([][]time.Duration, callers)
	own, theirs := processCPU(b), redisCPU(b, r)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				a := benchAsk(what, n)
				began := time.Now()
				s.Do(b.Context(), a)
				took[i] = append(took[i], time.Since(began))
				for _, t := range a.Takes {
					if t.Err != nil || t.Alone {
						b.Errorf("%+v", t)
					}
				}
				for _, t := range a.Tries {
					if t.Err != nil || t.Alone {
						b.Errorf("%+v", t)
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	b.ReportMetric(us(all[len(all)/2]), "p50-us")
	b.ReportMetric(us(all[len(all)*99/100]), "p99-us")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric((processCPU(b)-own).Seconds()*1e6/float64(b.N), "own-cpu-us")
	b.ReportMetric((redisCPU(b, r)-theirs).Seconds()*1e6/float64(b.N), "redis-cpu-us")
}

// benchAsk is the step of one of a hundred thousand strangers, each of whom comes again and again.
func benchAsk(what string, n int64) *Ask {
	who := n % 100_000
	client := limit.Key{Dimension: limit.Client, Unit: limit.Recipients, Subject: fmt.Sprintf("198.51.%d.%d/32", who>>8&255, who&255)}
	rate := limit.Per(30_000, time.Minute)
	a := &Ask{}
	if what != "greylist" {
		a.Takes = []Take{{Charges: []limit.Charge{{Key: client, Rate: rate, Cost: 1}}}}
	}
	if what == "row" {
		a.Takes[0].Charges = append(a.Takes[0].Charges,
			limit.Charge{Key: limit.Key{Dimension: limit.Recipient, Unit: limit.Recipients, Subject: "anna@example.org"}, Rate: limit.Per(1_000_000, time.Minute), Cost: 1},
			limit.Charge{Key: limit.Key{Dimension: limit.UnknownRecipient, Unit: limit.Recipients, Subject: client.Subject}, Rate: rate, Cost: 1, Asked: true},
			limit.Charge{Key: limit.Key{Dimension: limit.ClientError, Unit: limit.Errors, Subject: client.Subject}, Rate: rate, Cost: 1, Asked: true})
	}
	if what != "limit" {
		var k greylist.Key
		binary.BigEndian.PutUint32(k.Tag[:], uint32(who))
		k.Pair[0] = byte(n)
		a.Tries = []Try{{Key: k}}
	}
	return a
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is the processor time of the server.
func redisCPU(b *testing.B, r *lab.Redis) (sum time.Duration) {
	for line := range strings.Lines(do(b, r, "INFO", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			must(b, err)
			sum += time.Duration(seconds * float64(time.Second))
		}
	}
	return sum
}

// BenchmarkRepay measures how fast a node tells a Redis that lost everything what it remembers: b.N pairs, each of an identity
// of its own.
//
//	go test -run '^$' -bench Repay -benchtime 500000x ./internal/shaping
func BenchmarkRepay(b *testing.B) {
	r := server(b)
	c, err := redis.Open(settings(r))
	must(b, err)
	s := New(limit.NewMemory(0), greylist.NewMemory(2*b.N))
	s.Share(c, Options{})
	defer s.Close()
	for i := range b.N {
		k := greylist.Key{}
		binary.BigEndian.PutUint32(k.Tag[:], uint32(i)*2654435761)
		binary.BigEndian.PutUint32(k.Pair[:], uint32(i)*2654435761)
		_, _ = s.greylist.Try(b.Context(), k, greylist.Settings{}, time.Now())
	}
	b.ResetTimer()
	if left := s.repay(b.Context(), debt{all: true}); !left.none() {
		b.Fatalf("it still owes %+v", left)
	}
	b.StopTimer()
	b.ReportMetric(float64(s.Counts().Taught)/b.Elapsed().Seconds(), "pairs/s")
}
