package maillog

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/console"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// The log at size: scripts/bench --log fills it with ten million events and prints what searches and pages take; the test fills
// it with fewer, and holds what they answer against what was put in.
var (
	sizeRows  = flag.Int("rows", 200_000, "events in the log at size")
	sizeTimes = flag.Int("times", 1, "how often each question is asked")
	sizeAsk   = flag.String("ask", ".", "which questions are asked of the log at size: a pattern of their names")
	sizeDir   = flag.String("dir", "", "where the log at size is kept; one that is there already is asked as it is")
)

// The mail of the log at size: some domains have most of it, as everywhere.
const (
	sizeSenders = 20_000
	sizeDomains = 3_000
	sizeBoxes   = 2_000
	sizeDays    = 3 // the log takes no event for an older day
)

// sizeMail is the i-th event of n.
func sizeMail(i, n int, newest time.Time) *gateway.Event {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	few := func(most int) int { return int(float64(most) * r.Float64() * r.Float64() * r.Float64()) }
	at := newest.Add(-time.Duration(float64(n-1-i) / float64(n) * float64(sizeDays-1) * 24 * float64(time.Hour)))
	e := &gateway.Event{Kind: gateway.TransactionEvent, Policy: "4f2a91", Took: time.Duration(50+few(4000)) * time.Millisecond, MessageID: fmt.Sprintf("<%d@sender.example>", i)}
	rec := &gateway.Record{ID: gateway.ID(uint64(at.UnixMilli())<<20 | uint64(i)&0xfffff), Time: at.UTC().Truncate(time.Millisecond), Stage: gateway.Data, Listener: "mx", TLS: "TLS1.3", Size: int64(1000 + few(900_000)),
		Client: netip.AddrFrom4([4]byte{198, 18, byte(few(256)), byte(few(256))}), Helo: "mail.d" + fmt.Sprint(few(sizeDomains)) + ".example"}
	e.Record, rec.Session = rec, rec.ID
	_ = rec.From.UnmarshalText(fmt.Appendf(nil, "user%d@d%d.example", few(sizeSenders), few(sizeDomains))) // never fails
	rec.HeaderFrom = "Somebody <" + rec.From.Text + ">"
	rec.Rcpts = []gateway.RecordRcpt{{Route: "main", Code: 250}}
	_ = rec.Rcpts[0].To.UnmarshalText(fmt.Appendf(nil, "box%d@one.example", few(sizeBoxes)))
	e.Subject = []string{"Invoice", "Re: offer", "Newsletter of the week", "Meeting on Monday", "Your parcel"}[r.IntN(5)] + fmt.Sprint(" ", i)
	for _, check := range []string{"access.client", "rdns", "helo", "spf", "sender", "rcpt", "shape", "dkim", "dmarc", "clamav", "spamassassin"} {
		rec.Findings = append(rec.Findings, gateway.Finding{Check: check, Stage: gateway.Data, Rcpt: -1, Result: gateway.Pass, Took: time.Duration(r.IntN(9000)) * time.Microsecond})
	}
	e.Verdict.Score = float64(few(200)) / 10
	switch k := r.IntN(100); {
	case k < 4:
		e.Verdict.Outcome, e.Verdict.Reason = gateway.Quarantine, gateway.SpamScore
	case k < 7:
		e.Verdict.Outcome, e.Verdict.Reason, e.Verdict.Check = gateway.Defer, gateway.GreylistWait, "greylist"
	case k < 30:
		e.Verdict.Outcome, e.Verdict.Reason, e.Verdict.Check = gateway.Reject, gateway.RcptUnknown, "rcpt"
		rec.Rcpts[0].Code = 550
	}
	e.Verdict.Rcpts = []gateway.Decision{e.Verdict.Decision}
	e.Reply = gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok"}
	return e
}

// anyone lets everybody in as an owner.
type anyone struct{ console.Accounts }

func (anyone) Session(context.Context, string, netip.Addr) (access.Actor, error) {
	return access.Actor{Name: "anna", Role: access.Owner}, nil
}
func (anyone) Empty(context.Context) (bool, error) { return false, nil }

// took are times of one question.
type took []time.Duration

func (t took) at(perCent int) time.Duration {
	slices.Sort(t)
	return t[min(len(t)*perCent/100, len(t)-1)].Round(10 * time.Microsecond)
}

// TestLogAtSize fills a log, and asks it and the console's pages.
func TestLogAtSize(t *testing.T) {
	n, dir, newest := *sizeRows, cmp.Or(*sizeDir, t.TempDir()), time.Now().Truncate(time.Millisecond)
	reader := store.NewReader(dir)
	if oldest, err := reader.Oldest(); err != nil {
		t.Fatal(err)
	} else if oldest.IsZero() {
		fillLog(t, dir, n, newest)
	}
	ask := func(q store.Query) (rows []store.Row) {
		t.Helper()
		res, err := reader.Search(t.Context(), q)
		if err != nil || len(res.Gaps) > 0 {
			t.Fatalf("%+v: %v %v", q, err, res.Gaps)
		}
		return res.Rows
	}
	last := ask(store.Query{Limit: 1})
	if len(last) != 1 || last[0].Subject == "" {
		t.Fatalf("%+v", last)
	}
	newest = last[0].Time // of a log that was there already
	asked := regexp.MustCompile(*sizeAsk)
	some := func(k int) *gateway.Event { return sizeMail(k*7919%n, n, newest) }
	questions := []struct {
		name string
		ask  func(k int) store.Query
		good func(e *gateway.Event, rows []store.Row) bool
	}{
		{"newest 50", func(int) store.Query { return store.Query{Limit: 50} }, func(_ *gateway.Event, rows []store.Row) bool { return len(rows) == 50 }},
		{"sender", func(k int) store.Query { return store.Query{From: some(k).Record.From.Text} }, isOf(func(e *gateway.Event, r *store.Row) bool { return r.From == e.Record.From.Text })},
		{"sender's domain", func(k int) store.Query { return store.Query{From: some(k).Record.From.Domain} }, isOf(func(e *gateway.Event, r *store.Row) bool { return strings.HasSuffix(r.From, "@"+e.Record.From.Domain) })},
		{"recipient", func(k int) store.Query { return store.Query{To: some(k).Record.Rcpts[0].To.Text} }, isOf(func(e *gateway.Event, r *store.Row) bool { return r.Rcpts[0] == e.Record.Rcpts[0].To.Text })},
		{"Message-ID", func(k int) store.Query { return store.Query{MessageID: some(k).MessageID} }, func(e *gateway.Event, rows []store.Row) bool { return len(rows) == 1 && rows[0].Subject == e.Subject }},
		{"part of a subject", func(k int) store.Query { return store.Query{Subject: some(k).Subject[3:]} }, isOf(func(e *gateway.Event, r *store.Row) bool { return strings.Contains(r.Subject, e.Subject[3:]) })},
		{"client", func(k int) store.Query { return store.Query{Client: some(k).Record.Client.String()} }, isOf(func(e *gateway.Event, r *store.Row) bool { return r.Client == e.Record.Client })},
		{"verdict", func(int) store.Query { return store.Query{Verdicts: []gateway.Outcome{gateway.Quarantine}} }, func(_ *gateway.Event, rows []store.Row) bool {
			return len(rows) > 0 && rows[0].Verdict == gateway.Quarantine
		}},
		{"a sender that is not there", func(int) store.Query { return store.Query{From: "nobody@nowhere.example"} }, func(_ *gateway.Event, rows []store.Row) bool { return len(rows) == 0 }},
		{"a part that is not there", func(int) store.Query { return store.Query{From: "nowher"} }, func(_ *gateway.Event, rows []store.Row) bool { return len(rows) == 0 }},
	}
	for _, q := range questions {
		if !asked.MatchString("search, " + q.name) {
			continue
		}
		var times, cpu took
		for k := range *sizeTimes {
			began, spent := time.Now(), used(t)
			rows := ask(q.ask(k))
			cpu = append(cpu, used(t)-spent)
			if times = append(times, time.Since(began)); !q.good(some(k), rows) {
				t.Errorf("%s: %+v of %+v", q.name, rows, some(k).Record)
			}
		}
		t.Logf("| search, %s | %v | %v | %v | %v |", q.name, times.at(50), times.at(95), cpu.at(50), cpu.at(95))
	}
	askPages(t, reader, some, asked)
}

// isOf wants at least one row, and each to be one.
func isOf(one func(*gateway.Event, *store.Row) bool) func(*gateway.Event, []store.Row) bool {
	return func(e *gateway.Event, rows []store.Row) bool {
		return len(rows) > 0 && !slices.ContainsFunc(rows, func(r store.Row) bool { return !one(e, &r) })
	}
}

// fillLog writes the events, and tells how fast that went.
func fillLog(t *testing.T, dir string, n int, newest time.Time) {
	t.Helper()
	l, err := store.Open(store.Options{Dir: dir, MaxBytes: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	var made time.Duration
	began := time.Now()
	for i := range n {
		from := time.Now()
		e := sizeMail(i, n, newest)
		for made += time.Since(from); !l.Write(e); {
			time.Sleep(time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	wrote := time.Since(began) - made
	t.Logf("%d events written in %v besides making them: %.0f a second, %.1f µs of a processor each, making and closing among them", n, wrote.Round(time.Millisecond), float64(n)/wrote.Seconds(), float64(used(t).Microseconds())/float64(n))
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Written != int64(n) || s.Failed > 0 {
		t.Fatalf("%+v", s)
	}
}

func used(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// askPages asks the console, as a browser does.
func askPages(t *testing.T, reader *store.Reader, some func(int) *gateway.Event, asked *regexp.Regexp) {
	t.Helper()
	c, err := console.New(console.Options{Accounts: anyone{}, Frame: func() console.Frame { return console.Frame{Host: "mx.one.example"} },
		Thresholds: func(string) (gateway.Thresholds, string) {
			return gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 15}, ""
		}})
	if err != nil {
		t.Fatal(err)
	}
	l := New(reader, NewTail(nil))
	defer l.Close()
	c.Surface = &control.Surface{Operations: l.Operations()}
	h := c.Handler()
	for _, page := range []struct {
		name string
		path func(k int) string
		want func(e *gateway.Event) string
	}{
		{"overview", func(int) string { return "/" }, func(*gateway.Event) string { return "Overview" }},
		{"message log, newest", func(int) string { return "/log" }, func(*gateway.Event) string { return "@one.example" }},
		{"message log, a sender, 7 days", func(k int) string { return "/log?range=7d&q=from%3A" + some(k).Record.From.Text }, func(e *gateway.Event) string { return e.Record.From.Local }},
		{"message log, not accepted", func(int) string { return "/log?verdict=stopped" }, func(*gateway.Event) string { return "Rejected" }},
		{"why", func(k int) string { return "/log/m/" + some(k).Record.ID.String() }, func(e *gateway.Event) string { return e.Subject }},
	} {
		if !asked.MatchString("page, " + page.name) {
			continue
		}
		var times, cpu took
		var first time.Duration
		for k := range *sizeTimes + 1 {
			if k == 1 { // the first showed that it does not wait; of the others it is not to be told apart what counting takes
				began, spent := time.Now(), used(t)
				if got, err := l.counts.of(t.Context(), nil, began.Add(-warmRange), began, false); err != nil || !got.complete {
					t.Fatalf("%+v %v", got, err)
				}
				t.Logf("| counted before page %s | %v | %v |", page.name, time.Since(began).Round(time.Millisecond), (used(t) - spent).Round(time.Millisecond))
			}
			r := httptest.NewRequest("GET", "https://mx.one.example"+page.path(k), nil)
			r.AddCookie(&http.Cookie{Name: "__Host-gatepost", Value: "anna"})
			w := httptest.NewRecorder()
			began, spent := time.Now(), used(t)
			h.ServeHTTP(w, r)
			if took := time.Since(began); k == 0 {
				first = took
			} else {
				times, cpu = append(times, took), append(cpu, used(t)-spent)
			}
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), page.want(some(k))) {
				t.Errorf("%s: %d, no %q in the page", page.path(k), w.Code, page.want(some(k)))
			}
		}
		t.Logf("| page, %s | %v | %v | %v | %v | the first %v |", page.name, times.at(50), times.at(95), cpu.at(50), cpu.at(95), first.Round(time.Millisecond))
	}
}
