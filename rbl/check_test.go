package rbl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reply is what the world answers to a name.
type reply struct {
	addrs string // "" with a nil err: none
	err   error
	after time.Duration
	deaf  bool // does not end with its context
}

// world is a resolver with answers by name; a name without one does not exist. A name that begins with "*." is all below.
type world struct {
	mu    sync.Mutex
	names map[string]reply
	asked map[string]int
	txt   map[string]string
}

func newWorld(names map[string]reply) *world {
	return &world{names: names, asked: map[string]int{}}
}

func (w *world) set(name string, r reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = r
}

func (w *world) drop(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.names, name)
}

func (w *world) count(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (w *world) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip4" {
		return nil, errors.New("only IPv4 addresses are answers of lists")
	}
	w.mu.Lock()
	w.asked[host]++
	r, ok := w.names[host]
	for rest := host; !ok && rest != ""; {
		_, rest, _ = strings.Cut(rest, ".")
		r, ok = w.names["*."+rest]
	}
	w.mu.Unlock()
	if !ok {
		return nil, notFound(host)
	}
	if r.deaf {
		time.Sleep(r.after)
	} else if r.after > 0 {
		select {
		case <-time.After(r.after):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return addrs(r.addrs), r.err
}

func (w *world) LookupTXT(_ context.Context, name string) ([]string, error) {
	if text, ok := w.txt[name]; ok {
		return []string{text}, nil
	}
	return nil, notFound(name)
}

func servFail(name string) error {
	return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
}

// one asks one list about a client.
func one(t *testing.T, w *world, e Entry, client string) Result {
	t.Helper()
	results := Check(t.Context(), w, []Entry{e}, Subject{Client: netip.MustParseAddr(client)})
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

// TestAnswers holds each way in which DNS can answer against what may be made of it.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "9.2.0.192.bl.spamcop.net"
		for text, tc := range map[string]struct {
			reply
			want  Verdict
			cause Cause
		}{
			"listed":               {reply{addrs: "127.0.0.2"}, Listed, NoCause},
			"listed, slow":         {reply{addrs: "127.0.0.2", after: Timeout - time.Second}, Listed, NoCause},
			"no such name":         {reply{err: notFound("x")}, NotListed, NoCause},
			"wrapped":              {reply{err: fmt.Errorf("lookup: %w", notFound("x"))}, NotListed, NoCause},
			"nothing":              {reply{}, Unknown, Empty},
			"server failure":       {reply{err: servFail("x")}, Unknown, DNSFailure},
			"not found, they say":  {reply{err: &net.DNSError{IsNotFound: true, IsTemporary: true}}, Unknown, DNSFailure},
			"not found in time":    {reply{err: &net.DNSError{IsNotFound: true, IsTimeout: true}}, Unknown, Late},
			"timeout of DNS":       {reply{err: &net.DNSError{IsTimeout: true}}, Unknown, Late},
			"other error":          {reply{err: errors.New("x")}, Unknown, DNSFailure},
			"error and an address": {reply{addrs: "127.0.0.2", err: servFail("x")}, Unknown, DNSFailure},
			"late":                 {reply{addrs: "127.0.0.2", after: Timeout + time.Second}, Unknown, Late},
			"late and deaf":        {reply{addrs: "127.0.0.2", after: Timeout + time.Second, deaf: true}, Unknown, Late},
			"parked":               {reply{addrs: "203.0.113.80"}, Unhealthy, Foreign},
			"too often":            {reply{addrs: "127.255.255.255"}, Unhealthy, ErrorCode},
			"new code":             {reply{addrs: "127.0.0.44"}, Unknown, Undocumented},
		} {
			w := newWorld(map[string]reply{name: tc.reply})
			started := time.Now()
			res := one(t, w, entry(t, "spamcop"), "192.0.2.9")
			if res.Verdict != tc.want || res.Cause != tc.cause || (res.Weight != 0) != (tc.want == Listed) {
				t.Errorf("%s: %v %v %d", text, res.Verdict, res.Cause, res.Weight)
			}
			if took := time.Since(started); took > Timeout || w.count(name) != 1 {
				t.Errorf("%s: after %v, %d queries", text, took, w.count(name))
			}
			time.Sleep(2 * Timeout) // the deaf end
		}
	})
}

// TestWhatIsThereIsUsed asks eight lists, some of which are slow: together they take as long as the deadline, no longer, and
// what is there by then counts.
func TestWhatIsThereIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(map[string]reply{})
		var entries []Entry
		for i, after := range []time.Duration{0, 1, 2, 3, 10, 100, 2, 1} {
			e := entry(t, "spamcop")
			e.List.Name, e.List.Zone = fmt.Sprintf("l%d", i), fmt.Sprintf("l%d.example", i)
			entries = append(entries, e)
			w.set("9.2.0.192."+e.List.Zone, reply{addrs: "127.0.0.2", after: after * time.Second / 2, deaf: i == 5})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
		defer cancel()
		started := time.Now()
		results := Check(ctx, w, entries, Subject{Client: netip.MustParseAddr("::ffff:192.0.2.9")})
		if took := time.Since(started); took != 1200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		var got []string
		for i, res := range results {
			if res.List != entries[i].List.Name || res.Subject != "192.0.2.9" {
				t.Errorf("%d: %+v", i, res)
			}
			got = append(got, res.Verdict.String()+" "+res.Cause.String())
		}
		if s := strings.Join(got, ";"); s != "listed ;listed ;listed ;unknown late;unknown late;unknown late;listed ;listed " {
			t.Error(s)
		}
		time.Sleep(time.Minute)
	})
}

func TestCanceledIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, deaf := range []bool{false, true} {
			w := newWorld(map[string]reply{"9.2.0.192.bl.spamcop.net": {addrs: "127.0.0.2", after: 2 * time.Second, deaf: deaf}})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			res := Check(ctx, w, []Entry{entry(t, "spamcop")}, Subject{Client: netip.MustParseAddr("192.0.2.9")})[0]
			if res.Verdict != Unknown || res.Cause != Canceled {
				t.Errorf("deaf %v: %v %v", deaf, res.Verdict, res.Cause)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestInputs shows who is asked about what: kinds of addresses, domains once each, and nothing that is none.
func TestInputs(t *testing.T) {
	all := entry(t, "spamhaus-dbl")
	v4 := entry(t, "spamcop")
	both := entry(t, "spamhaus-zen")
	from := entry(t, "uribl")
	for _, tc := range []struct {
		entry Entry
		s     Subject
		want  string
	}{
		{all, Subject{}, ""},
		{all, Subject{Client: netip.MustParseAddr("192.0.2.1")}, ""},
		{all, Subject{Helo: "mx.example.com", Reverse: "MX.example.com.", MailFrom: "example.org", From: "example.org"},
			"helo,reverse mx.example.com;mailfrom,from example.org"},
		{all, Subject{Helo: "[192.0.2.1]", Reverse: "localhost", MailFrom: "1.2.3.4", From: "bücher.example"},
			"helo [192.0.2.1] unaskable;reverse localhost unaskable;mailfrom 1.2.3.4 unaskable;from b?cher.example unaskable"},
		{from, Subject{Helo: "a.example", From: "b.example", MailFrom: "c.example"}, "from b.example"},
		{from, Subject{From: "news.mail.B.co.uk."}, "from b.co.uk"}, // the registered domain
		{from, Subject{From: "b.example", Links: &Links{Hosts: []string{"a.b.example", "b.example", "x.c.example", "y.c.example", "[x]"},
			Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}}},
			"link4 192.0.2.1;from,link b.example;link c.example;link [x] unaskable"},
		{all, Subject{Links: &Links{Hosts: []string{"a.b.example", "b.example"}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
			"link a.b.example;link b.example"},
		{v4, Subject{Links: &Links{Hosts: []string{"b.example"}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}, ""},
		{from, Subject{From: "co.uk"}, "from co.uk unaskable"},
		{v4, Subject{Client: netip.MustParseAddr("192.0.2.1"), From: "b.example"}, "client4 192.0.2.1"},
		{v4, Subject{Client: netip.MustParseAddr("2001:db8::1")}, ""},
		{both, Subject{Client: netip.MustParseAddr("2001:db8::1")}, "client6 2001:db8::1"},
		{both, Subject{Client: netip.MustParseAddr("fe80::1%eth0")}, "client6 fe80::1 unaskable"},
		{both, Subject{Client: netip.MustParseAddr("127.0.0.2")}, "client4 127.0.0.2 unaskable"},
		{both, Subject{Client: netip.MustParseAddr("10.1.2.3")}, "client4 10.1.2.3 unaskable"},
		{both, Subject{Client: netip.MustParseAddr("0.0.0.0")}, "client4 0.0.0.0 unaskable"},
	} {
		w := newWorld(map[string]reply{})
		var got []string
		asked := 0
		for _, res := range Check(t.Context(), w, []Entry{tc.entry}, tc.s) {
			got = append(got, strings.TrimSpace(res.Inputs.String()+" "+res.Subject+" "+res.Cause.String()))
			if (res.Verdict == NotListed) != (res.Cause == NoCause) {
				t.Errorf("%v %v", res.Verdict, res.Cause)
			}
			if res.Verdict == NotListed {
				asked++
			}
		}
		if s := strings.Join(got, ";"); s != tc.want || len(w.asked) != asked {
			t.Errorf("%s: %q, want %q; asked %v", tc.entry.List.Name, s, tc.want, w.asked)
		}
	}
}

// TestKeyStaysInside asks with a key, whatever is answered: the name has it, no result does.
func TestKeyStaysInside(t *testing.T) {
	e := entry(t, "spamhaus-zen-dqs")
	name := "9.2.0.192." + testKey + ".zen.dq.spamhaus.net"
	for _, r := range []reply{{addrs: "127.0.0.2"}, {addrs: "127.255.255.250"}, {err: servFail(name)}, {err: errors.New(name)}, {addrs: "192.0.2.1"}} {
		w := newWorld(map[string]reply{name: r})
		w.txt = map[string]string{name: "see example/" + strings.ToUpper(testKey) + "?" + testKey + "\r\n\x1b[31m" + strings.Repeat("x", 500)}
		res := one(t, w, e, "192.0.2.9")
		if w.count(name) != 1 {
			t.Errorf("asked %v", w.asked)
		}
		why := Reason(t.Context(), w, &e, res)
		if text := fmt.Sprintf("%+v %#v %s", res, res, why); strings.Contains(strings.ToLower(text), testKey) {
			t.Error(text)
		}
		if want := "see example/(key)?(key)??"; (res.Verdict == Listed) != strings.HasPrefix(why, want) || len(why) > 300 || strings.ContainsAny(why, "\r\n\x1b") {
			t.Errorf("%v: reason %q", res.Verdict, why)
		}
	}
	e.Key = Key{}
	w := newWorld(map[string]reply{})
	if res := one(t, w, e, "192.0.2.9"); res.Verdict != Unknown || res.Cause != NoKey || len(w.asked) != 0 {
		t.Errorf("without its key: %v %v, asked %v", res.Verdict, res.Cause, w.asked)
	}
}

// TestManyQuestions shows the bound of one check.
func TestManyQuestions(t *testing.T) {
	w := newWorld(map[string]reply{})
	entries := make([]Entry, maxQuestions+20)
	for i := range entries {
		entries[i] = entry(t, "spamcop")
	}
	bound := 0
	for _, res := range Check(t.Context(), w, entries, Subject{Client: netip.MustParseAddr("192.0.2.9")}) {
		if res.Cause == Bound && res.Verdict == Unknown {
			bound++
		} else if res.Verdict != NotListed {
			t.Errorf("%+v", res)
		}
	}
	if bound != 20 || w.count("9.2.0.192.bl.spamcop.net") != maxQuestions {
		t.Errorf("%d were not asked, %v", bound, w.asked)
	}
}
