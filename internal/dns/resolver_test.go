package dns

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// fake is a resolver whose server is a function; it uses no network, so that
// synctest can drive the time.
func fake(t *testing.T, opt Options, serve func(ctx context.Context, req, reply *wire.Msg)) *Resolver {
	t.Helper()
	opt.Servers = []string{"127.0.0.1:53"}
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	r.exchange = func(ctx context.Context, _, _ string, packed []byte, check func([]byte) error) ([]byte, error) {
		var req wire.Msg
		if err := req.Unpack(packed); err != nil {
			return nil, err
		}
		reply := new(wire.Msg).SetReply(&req)
		reply.RecursionAvailable = true
		serve(ctx, &req, reply)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		packet, err := reply.Pack()
		if err != nil {
			return nil, err
		}
		return packet, check(packet)
	}
	return r
}

func rr(t *testing.T, s string) wire.RR {
	t.Helper()
	out, err := wire.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCacheKeepsAsLongAsTheRecordsSay(t *testing.T) {
	for _, c := range []struct {
		about  string
		rcode  int
		answer []string
		soa    string
		status Status
		keep   time.Duration
	}{
		{"found", 0, []string{"x.example. 60 IN A 192.0.2.1"}, "", Found, time.Minute},
		{"the lowest TTL counts", 0, []string{"x.example. 60 IN A 192.0.2.1", "x.example. 7 IN A 192.0.2.2"}, "", Found, 7 * time.Second},
		{"a CNAME's TTL counts", 0, []string{"x.example. 9 IN CNAME y.example.", "y.example. 60 IN A 192.0.2.2"}, "", Found, 9 * time.Second},
		{"a day is five minutes", 0, []string{"x.example. 86400 IN A 192.0.2.1"}, "", Found, 5 * time.Minute},
		{"a TTL of 2^31 is none", 0, []string{"x.example. 2147483648 IN A 192.0.2.1"}, "", Found, 0},
		{"TTL 0", 0, []string{"x.example. 0 IN A 192.0.2.1"}, "", Found, 0},
		{"no data, SOA minimum", 0, nil, "example. 3600 IN SOA a. b. 1 2 3 4 30", None, 30 * time.Second},
		{"no such name, SOA TTL", wire.RcodeNameError, nil, "example. 20 IN SOA a. b. 1 2 3 4 3600", None, 20 * time.Second},
		{"no such name, a day is five minutes", wire.RcodeNameError, nil, "example. 86400 IN SOA a. b. 1 2 3 4 86400", None, 5 * time.Minute},
		{"no SOA", wire.RcodeNameError, nil, "", None, 0},
		{"SOA of another zone", wire.RcodeNameError, nil, "other. 20 IN SOA a. b. 1 2 3 4 3600", None, 0},
		{"failure", wire.RcodeServerFailure, nil, "", Failed, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			r := fake(t, Options{TrustAD: TrustNone}, func(_ context.Context, _, reply *wire.Msg) {
				asked++
				reply.Rcode = c.rcode
				for _, s := range c.answer {
					reply.Answer = append(reply.Answer, rr(t, s))
				}
				if c.soa != "" {
					reply.Ns = []wire.RR{rr(t, c.soa)}
				}
			})
			if a := r.A(t.Context(), "x.example"); a.Status != c.status || a.Cached {
				t.Fatalf("%s: %+v", c.about, a)
			}
			if c.keep > 0 {
				time.Sleep(c.keep - time.Second)
				a := r.A(t.Context(), "X.Example.")
				if a.Status != c.status || !a.Cached || asked != 1 || a.TTL < time.Second {
					t.Errorf("%s: just before the end: asked %d times, %+v", c.about, asked, a)
				}
				time.Sleep(time.Second)
			}
			if a := r.A(t.Context(), "x.example"); a.Status != c.status || a.Cached || asked != 2 {
				t.Errorf("%s: at the end: asked %d times, %+v", c.about, asked, a)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	r := fake(t, Options{CacheEntries: 10}, func(_ context.Context, req, reply *wire.Msg) {
		reply.Answer = []wire.RR{rr(t, req.Question[0].Name+" 300 IN A 192.0.2.1")}
	})
	for i := range 50 {
		r.A(t.Context(), fmt.Sprintf("n%d.example", i))
		r.A(t.Context(), "often.example")
	}
	if s := r.Stats(); s.CacheEntries != 10 || s.CacheHits != 49 {
		t.Errorf("%+v", s)
	}
	if a := r.A(t.Context(), "n49.example"); !a.Cached {
		t.Error("the newest was forgotten")
	}
	if a := r.A(t.Context(), "n0.example"); a.Cached {
		t.Error("the oldest was kept")
	}

	r = fake(t, Options{CacheOctets: 100_000}, func(_ context.Context, req, reply *wire.Msg) {
		txt := &wire.TXT{Hdr: wire.RR_Header{Name: req.Question[0].Name, Rrtype: wire.TypeTXT, Class: wire.ClassINET, Ttl: 300}}
		for range 160 {
			txt.Txt = append(txt.Txt, string(make([]byte, 250)))
		}
		reply.Answer = []wire.RR{txt}
	})
	for i := range 10 {
		if a := r.TXT(t.Context(), fmt.Sprintf("n%d.example", i)); len(a.Records) != 1 || len(a.Records[0]) != 40_000 {
			t.Fatalf("%+v", a)
		}
	}
	if s := r.Stats(); s.CacheEntries != 2 || s.CacheOctets > 100_000 || s.CacheOctets < 80_000 {
		t.Errorf("%+v", s)
	}
}

// TestAnswersAreOwned: what one caller does to an answer no other caller sees.
func TestAnswersAreOwned(t *testing.T) {
	r := fake(t, Options{}, func(_ context.Context, req, reply *wire.Msg) {
		reply.Answer = []wire.RR{rr(t, "x.example. 300 IN CNAME y.example."), rr(t, "y.example. 300 IN TLSA 3 1 1 00ff")}
	})
	for range 3 {
		a := r.Query(t.Context(), "x.example", TypeTLSA)
		if a.Status != Found || !slices.Equal(a.Records[0].Data, []byte{0, 0xff}) || a.Chain[0] != "y.example" {
			t.Fatalf("%+v", a)
		}
		a.Records[0].Data[0], a.Chain[0] = 9, "spoilt"
	}
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := fake(t, Options{}, func(_ context.Context, _, reply *wire.Msg) {
			asked++
			time.Sleep(time.Second)
			reply.Answer = []wire.RR{rr(t, "x.example. 300 IN A 192.0.2.1")}
		})
		first, cancel := context.WithCancel(t.Context())
		var ok, cancelled atomic.Int32
		for i := range 100 {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			go func() {
				switch a := r.A(ctx, "x.example"); {
				case a.Status == Found:
					ok.Add(1)
				case a.Kind == Canceled:
					cancelled.Add(1)
				}
			}()
			synctest.Wait() // the first starts the lookup, the others join
		}
		cancel() // the one that started it gives up
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if ok.Load() != 99 || cancelled.Load() != 1 || asked != 1 {
			t.Errorf("%d answers, %d cancelled, asked %d times", ok.Load(), cancelled.Load(), asked)
		}
		if s := r.Stats(); s.Joined != 99 || s.Lookups != 100 || s.UnderWay != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAbandonedLookupEnds: when the last caller gives up the lookup ends at
// once, is not cached, and a new caller does not join it.
func TestAbandonedLookupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{}, 2)
		honest := false
		r := fake(t, Options{}, func(ctx context.Context, _, reply *wire.Msg) {
			if !honest {
				<-ctx.Done()
				ended <- struct{}{}
			}
			reply.Answer = []wire.RR{rr(t, "x.example. 300 IN A 192.0.2.1")}
		})
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		time.AfterFunc(100*time.Millisecond, cancel)
		if a := r.A(ctx, "x.example"); a.Kind != Canceled {
			t.Errorf("%+v", a)
		}
		<-ended
		if d := time.Since(begin); d != 100*time.Millisecond {
			t.Errorf("ended after %v", d)
		}
		honest = true
		if a := r.A(t.Context(), "x.example"); a.Status != Found || a.Cached {
			t.Errorf("%+v", a)
		}
		if a := r.A(ctx, "other.example"); a.Kind != Canceled {
			t.Errorf("with a context that has ended: %+v", a)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := fake(t, Options{}, func(ctx context.Context, _, _ *wire.Msg) {
			asked++
			<-ctx.Done()
		})
		begin := time.Now()
		a := r.A(t.Context(), "x.example")
		if a.Status != Failed || a.Kind != Timeout || asked != 2 || time.Since(begin) != 4*time.Second || a.Duration != 4*time.Second {
			t.Errorf("%d tries in %v: %+v", asked, time.Since(begin), a)
		}
		r.opt.Attempts = 10
		begin = time.Now()
		if a := r.A(t.Context(), "y.example"); a.Kind != Timeout || time.Since(begin) != 5*time.Second {
			t.Errorf("after %v: %+v", time.Since(begin), a)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		r := fake(t, Options{Concurrency: 4}, func(context.Context, *wire.Msg, *wire.Msg) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(6 * time.Second) // longer than the others may wait
			mu.Lock()
			now--
			mu.Unlock()
		})
		var timeout, overload atomic.Int32
		for i := range 20 {
			go func() {
				switch a := r.A(t.Context(), fmt.Sprintf("n%d.example", i)); a.Kind {
				case Timeout:
					timeout.Add(1)
				case Overload:
					overload.Add(1)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if most != 4 || timeout.Load() != 4 || overload.Load() != 16 {
			t.Errorf("at most %d at a time, %d timeouts, %d overloads", most, timeout.Load(), overload.Load())
		}
		if s := r.Stats(); s.CacheEntries != 4 { // the timeouts; overload is not kept
			t.Errorf("%+v", s)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	r := fake(t, Options{}, func(context.Context, *wire.Msg, *wire.Msg) { panic("hostile") })
	if a := r.A(t.Context(), "x.example"); a.Status != Failed || a.Kind != Malformed {
		t.Errorf("%+v", a)
	}
}

func TestMergeAddrs(t *testing.T) {
	for _, c := range []struct {
		four, six, want Status
		cut             bool
	}{
		{Found, Found, Found, false}, {Found, None, Found, false}, {None, Found, Found, false},
		{Found, Failed, Found, true}, {Bogus, Found, Found, true}, {None, None, None, false},
		{None, Failed, Failed, false}, {Failed, None, Failed, false}, {None, Bogus, Bogus, false},
		{Failed, Bogus, Bogus, false}, {Failed, Failed, Failed, false},
	} {
		r := fake(t, Options{}, func(_ context.Context, req, reply *wire.Msg) {
			status, data := c.four, "A 192.0.2.1"
			if req.Question[0].Qtype == wire.TypeAAAA {
				status, data = c.six, "AAAA 2001:db8::1"
			}
			switch status {
			case Found:
				reply.Answer = []wire.RR{rr(t, "x.example. 300 IN "+data)}
			case Failed:
				reply.Rcode = wire.RcodeServerFailure
			case Bogus:
				reply.Rcode = wire.RcodeServerFailure
				reply.SetEdns0(1232, false)
				reply.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeDNSBogus}}
			}
		})
		if a := r.Addrs(t.Context(), "x.example"); a.Status != c.want || a.Cut != c.cut || (a.Status == Found) != (len(a.Records) > 0) {
			t.Errorf("%v and %v: %+v", c.four, c.six, a)
		}
	}
}
