package reports_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/reports"
	"gatepost/internal/store"
	"gatepost/tls/tlsrpt"
)

// tlsWorld is a world whose reports are about TLS, with a web that keeps what it is given.
type tlsWorld struct {
	*world
	webMu  sync.Mutex
	status func() (int, error) // nil: 201
	posts  []post
}

type post struct {
	at  time.Time
	to  string
	raw []byte
}

func newTLSWorld(t testing.TB) *tlsWorld {
	w := &tlsWorld{world: newWorld(t)}
	w.file = filepath.Join(t.TempDir(), "tlsreports.db")
	w.settings.Web = w
	w.settings.Sign = func(mail []byte) ([]byte, error) { return append([]byte("DKIM-Signature: here\r\n"), mail...), nil }
	return w
}

// Do is that of http.Client.
func (w *tlsWorld) Do(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" || r.Header.Get("User-Agent") != "test" {
		w.t.Errorf("%v %s %v", err, r.Method, r.Header)
	}
	w.webMu.Lock()
	defer w.webMu.Unlock()
	w.posts = append(w.posts, post{time.Now(), r.URL.String(), raw})
	code := http.StatusCreated
	if w.status != nil {
		if code, err = w.status(); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Body: io.NopCloser(strings.NewReader("thank you"))}, nil
}

func (w *tlsWorld) posted() []post {
	w.webMu.Lock()
	defer w.webMu.Unlock()
	return append([]post(nil), w.posts...)
}

// begin runs the reports, until stop.
func (w *tlsWorld) begin() (r *reports.Reports, stop func()) {
	r = reports.NewTLS(reports.Options{Resolver: w, IDs: new(gateway.IDs), Open: func(ctx context.Context) (reports.Store, error) {
		return store.OpenTLSReports(ctx, w.file, nil)
	}})
	r.Set(w.settings)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	w.t.Cleanup(stop)
	return r, stop
}

// session is a connection to a mail host of a domain.
func session(domain string, result tlsrpt.Result) *tlsrpt.Line {
	l := &tlsrpt.Line{Count: 1, Policy: tlsrpt.Policy{Kind: tlsrpt.TLSA, Strings: []string{"3 1 1 00"}, Domain: domain}}
	if result != "" {
		l.Failure = tlsrpt.Failure{Result: result, MXHostname: "mx." + domain, ReceivingIP: netip.MustParseAddr("192.0.2.1"), Code: "why"}
	}
	return l
}

func readTLS(t testing.TB, packed []byte) (r tlsrpt.Report) {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(unpacked)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// mailed takes the report out of a mail.
func mailed(t testing.TB, raw []byte) (tlsrpt.Report, mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	text, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	words, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	return readTLS(t, packed), m.Header, string(words)
}

// TestTLSDaily: the connections of a day are told once, in the window of the next, by mail and by https, to whom the record of
// the policy domain names then; and nothing goes to a domain without one.
func TestTLSDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1; rua=mailto:tls@other.example,https://reports.a.example/in"
		r, stop := w.begin()
		until(0, "10:00:00")
		for range 3 {
			r.TakeSession(time.Now(), session("A.example.", ""))
		}
		for range 2 {
			r.TakeSession(time.Now(), session("a.example", tlsrpt.HostName))
		}
		r.TakeSession(time.Now(), session("b.example", tlsrpt.Expired))
		for _, nobody := range []string{"mail", "192.0.2.1", "2001:db8::1", ""} {
			r.TakeSession(time.Now(), session(nobody, tlsrpt.Expired))
		}
		r.TakeSession(time.Now(), session("a.example", "odd-word"))
		until(1, "00:09:59")
		if len(w.sent())+len(w.posted()) != 0 {
			t.Fatal("sent before the window")
		}
		until(0, "05:00:00")
		mails, posts := w.sent(), w.posted()
		if len(mails) != 1 || mails[0].to != "tls@other.example" || len(posts) != 1 || posts[0].to != "https://reports.a.example/in" {
			t.Fatalf("%d mails, %+v", len(mails), posts)
		}
		if clock := mails[0].at.UTC().Format(time.TimeOnly); clock < "00:10:00" || clock > "04:16:00" {
			t.Errorf("sent at %s", clock)
		}
		rep, header, _ := mailed(t, mails[0].raw)
		if again := readTLS(t, posts[0].raw); fmt.Sprint(again) != fmt.Sprint(rep) {
			t.Errorf("by mail\n%+v\nby https\n%+v", rep, again)
		}
		if header.Get("TLS-Report-Domain") != "a.example" || header.Get("TLS-Report-Submitter") != "mx.ours.example" || header.Get("TLS-Required") != "No" || header.Get("DKIM-Signature") == "" {
			t.Errorf("%v", header)
		}
		if rep.Organization != "Ours" || rep.Contact != "dmarc@reports.ours.example" || !rep.Range.Start.Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) || len(rep.Policies) != 1 ||
			rep.Policies[0].Summary != (tlsrpt.Summary{Successful: 3, Failed: 2}) || len(rep.Policies[0].Failures) != 1 || rep.Policies[0].Failures[0].Count != 2 {
			t.Errorf("%+v", rep)
		}
		until(3, "00:00:00")
		if len(w.sent()) != 1 || len(w.posted()) != 1 {
			t.Error("sent again")
		}
		lines := strings.Join(overview(t, r, reports.Query{}), "\n")
		for _, want := range []string{"a.example sent tls@other.example: 250 taken", "a.example sent https://reports.a.example/in: HTTP 201 Created", "b.example dropped _smtp._tls.b.example: there is no TLSRPT record"} {
			if !strings.Contains(lines, want) {
				t.Errorf("no %q in\n%s", want, lines)
			}
		}
		if s := r.Stats(); s != (reports.Stats{Counted: 6, Sent: 2}) {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// TestTLSAsked: a DNS that cannot tell is asked again; it is neither a yes nor a no.
func TestTLSAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.txt["_smtp._tls.a.example"] = "!"
		r, stop := w.begin()
		r.TakeSession(time.Now(), session("a.example", ""))
		until(1, "06:00:00")
		if got := overview(t, r, reports.Query{}); len(got) != 1 || !strings.Contains(got[0], "waiting _smtp._tls.a.example: TXT _smtp._tls.a.example") {
			t.Errorf("%q", got)
		}
		w.mu.Lock()
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=mailto:tls@a.example,ftp://a.example/"
		w.mu.Unlock()
		until(0, "12:00:00")
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d mails", n)
		}
		if got := strings.Join(overview(t, r, reports.Query{}), "\n"); !strings.Contains(got, "dropped ftp://a.example/: only mailto: and https: are known") {
			t.Errorf("%q", got)
		}
		stop()
	})
}

// TestTLSUnsigned: mail that would not be signed is not sent; https needs no signature.
func TestTLSUnsigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.settings.Sign = nil
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=mailto:tls@a.example,https://a.example/"
		w.txt["_smtp._tls.b.example"] = "v=TLSRPTv1;rua=mailto:tls@b.example"
		r, stop := w.begin()
		r.TakeSession(time.Now(), session("a.example", ""))
		r.TakeSession(time.Now(), session("b.example", ""))
		until(1, "12:00:00")
		if len(w.sent()) != 0 || len(w.posted()) != 1 {
			t.Errorf("%d mails, %d posts", len(w.sent()), len(w.posted()))
		}
		if got := strings.Join(overview(t, r, reports.Query{}), "\n"); strings.Count(got, "mail must be signed") != 2 {
			t.Errorf("%s", got)
		}
		stop()
	})
}

// TestTLSWebFails: whatever is no success is tried again for a day, under one name; a server of reports that is away holds
// nobody else's back.
func TestTLSWebFails(t *testing.T) {
	for name, status := range map[string]func() (int, error){
		"503":      func() (int, error) { return http.StatusServiceUnavailable, nil },
		"404":      func() (int, error) { return http.StatusNotFound, nil },
		"redirect": func() (int, error) { return http.StatusFound, nil },
		"away":     func() (int, error) { return 0, errors.New("connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTLSWorld(t)
				w.status = status
				w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=https://a.example/"
				w.txt["_smtp._tls.b.example"] = "v=TLSRPTv1;rua=mailto:tls@b.example"
				r, stop := w.begin()
				r.TakeSession(time.Now(), session("a.example", ""))
				r.TakeSession(time.Now(), session("b.example", ""))
				until(4, "00:00:00")
				posts := w.posted()
				if len(posts) < 8 || len(posts) > 12 || posts[len(posts)-1].at.Sub(posts[0].at) > 24*time.Hour {
					t.Errorf("%d posts", len(posts))
				}
				for _, p := range posts {
					if readTLS(t, p.raw).ID != readTLS(t, posts[0].raw).ID {
						t.Error("another report")
					}
				}
				if len(w.sent()) != 1 {
					t.Errorf("%d mails", len(w.sent()))
				}
				if got := strings.Join(overview(t, r, reports.Query{}), "\n"); !strings.Contains(got, "a.example expired https://a.example/: ") {
					t.Errorf("%s", got)
				}
				if ok, why := r.Health(); !ok {
					t.Errorf("one server that is away is our fault: %s", why)
				}
				stop()
			})
		})
	}
}

// TestTLSRest: a server of reports that fails three days in a row rests for a week.
func TestTLSRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.status = func() (int, error) { return 0, errors.New("connection refused") }
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=https://a.example:8443/x"
		r, stop := w.begin()
		for range 6 {
			r.TakeSession(time.Now(), session("a.example", ""))
			until(1, "23:00:00")
		}
		if got := strings.Join(overview(t, r, reports.Query{}), "\n"); !strings.Contains(got, "dropped https://a.example:8443/x: the destination rests until ") {
			t.Errorf("%s", got)
		}
		stop()
	})
}

// TestTLSRestart: what was counted is there for the next process, which sends it once, with both halves in it.
func TestTLSRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=mailto:tls@a.example"
		for range 2 {
			r, stop := w.begin()
			time.Sleep(time.Second)
			r.TakeSession(time.Now(), session("a.example", tlsrpt.NotTrusted))
			r.TakeSession(time.Now(), session("a.example", ""))
			stop()
		}
		r, stop := w.begin()
		time.Sleep(time.Second)
		o, err := r.Show(t.Context(), reports.Query{Domain: "a.example", DryRun: true})
		if err != nil || len(o.Subjects) != 1 || o.Subjects[0].Sessions != 4 || !bytes.Contains(o.Subjects[0].Report, []byte(`"failed-session-count": 2`)) ||
			len(o.Subjects[0].Deliveries) != 1 || !o.Subjects[0].Deliveries[0].Next.Equal(o.Subjects[0].Due) {
			t.Errorf("%+v %v", o, err)
		}
		until(1, "12:00:00")
		stop()
		_, stop = w.begin()
		until(1, "12:00:00")
		stop()
		if len(w.sent()) != 1 {
			t.Fatalf("%d mails", len(w.sent()))
		}
		if rep, _, _ := mailed(t, w.sent()[0].raw); rep.Policies[0].Summary != (tlsrpt.Summary{Successful: 2, Failed: 2}) {
			t.Errorf("%+v", rep)
		}
	})
}

// TestTLSBounds: a host that is another one each time fills a report and no more; what found no room is counted and told.
func TestTLSBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t)
		w.txt["_smtp._tls.a.example"] = "v=TLSRPTv1;rua=mailto:tls@a.example"
		r, stop := w.begin()
		const n = reports.MaxLines + 50
		for i := range n {
			l := session("a.example", tlsrpt.Expired)
			l.Failure.MXHostname = fmt.Sprintf("mx%d.a.example", i)
			r.TakeSession(time.Now(), l)
			if i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		until(1, "12:00:00")
		if s := r.Stats(); s.Counted != reports.MaxLines || s.Lost != 50 {
			t.Errorf("%+v", s)
		}
		if len(w.sent()) != 1 {
			t.Fatalf("%d mails", len(w.sent()))
		}
		rep, _, words := mailed(t, w.sent()[0].raw)
		var told int64
		for _, d := range rep.Policies[0].Failures {
			told += d.Count
		}
		if told != reports.MaxLines || rep.Policies[0].Summary.Failed != told || len(rep.Policies[0].Failures) > tlsrpt.MaxDetails+1 || !strings.Contains(words, "50 more sessions found no room") {
			t.Errorf("%d of %+v in %d details; %s", told, rep.Policies[0].Summary, len(rep.Policies[0].Failures), words)
		}
		stop()
	})
}

// BenchmarkTakeSession is what a relay pays for a new connection that is told.
func BenchmarkTakeSession(b *testing.B) {
	r := reports.NewTLS(reports.Options{Queue: 1}) // full at once: nobody empties it
	r.Set(&reports.Settings{From: "tls@reports.ours.example"})
	l, now := session("a.example", tlsrpt.Expired), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.TakeSession(now, l)
	}
}
