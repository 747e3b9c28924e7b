package reports_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/reports"
	"gatepost/internal/store"
)

// world is what reports live in: DNS, a next hop that keeps what it is given, and a store in a file.
type world struct {
	t        testing.TB
	file     string
	settings *reports.Settings

	mu    sync.Mutex
	txt   map[string]string // "!" stands for a DNS that cannot tell
	asked map[string]int
	says  func(d *gateway.Delivery) gateway.Relayed // nil: it takes everything
	mails []sentMail
	tries []time.Time
}

type sentMail struct {
	at   time.Time
	from string
	to   string
	raw  []byte
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, file: filepath.Join(t.TempDir(), "reports.db"), txt: map[string]string{}, asked: map[string]int{}}
	w.settings = &reports.Settings{From: "dmarc@reports.ours.example", Org: "Ours", Receiver: "mx.ours.example", Generator: "test",
		Window: 4 * time.Hour, MaxSize: 10 << 20, Via: "smarthost:25", Route: "out", Hop: w}
	return w
}

func (w *world) LookupTXT(ctx context.Context, name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[name]++
	switch text := w.txt[name]; {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case text == "!":
		return nil, &net.DNSError{Name: name, Err: "servfail", IsTemporary: true}
	case text == "":
		return nil, &net.DNSError{Name: name, Err: "no such host", IsNotFound: true}
	default:
		return []string{text}, nil
	}
}

func (w *world) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	raw, err := io.ReadAll(io.MultiReader(d.Content.Parts...))
	if err != nil || int64(len(raw)) != d.Content.Size || d.Route != "out" || len(d.Rcpts) != 1 {
		w.t.Errorf("%v, %d octets of %d, route %q", err, len(raw), d.Content.Size, d.Route)
	}
	w.mu.Lock()
	says := w.says
	w.tries = append(w.tries, time.Now())
	w.mu.Unlock()
	said := gateway.Relayed{Result: gateway.Delivered, Said: "250 taken"}
	if says != nil {
		said = says(d)
	}
	if said.Result == gateway.Delivered || said.Result == gateway.OutcomeUnknown {
		w.mu.Lock()
		w.mails = append(w.mails, sentMail{time.Now(), d.From.Text, d.Rcpts[0].Address.Text, raw})
		w.mu.Unlock()
	}
	return said
}

// answers sets what the next hop says from now on.
func (w *world) answers(says func(d *gateway.Delivery) gateway.Relayed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says = says
}

func (w *world) sent() []sentMail {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sentMail(nil), w.mails...)
}

// tried is how often the next hop was asked, and from when to when.
func (w *world) tried() (n int, first, last time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = len(w.tries); n > 0 {
		first, last = w.tries[0], w.tries[n-1]
	}
	return n, first, last
}

// start runs reports as the daemon does, until stop, which is a clean end.
func (w *world) start() (r *reports.Reports, stop func()) {
	w.t.Helper()
	r = reports.New(reports.Options{Resolver: w, IDs: new(gateway.IDs), Open: func(ctx context.Context) (reports.Store, error) {
		s, err := store.OpenReports(ctx, w.file, nil)
		if err != nil {
			return nil, err
		}
		return s, nil
	}})
	r.Set(w.settings)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			began := time.Now()
			cancel()
			<-done
			if took := time.Since(began); took > time.Second {
				w.t.Errorf("the end took %v", took)
			}
		})
	}
	w.t.Cleanup(stop)
	return r, stop
}

// message is an event as the journal has it, with the DMARC result of a record.
func message(policyDomain, record string, change ...func(*gateway.Event, *gateway.DMARCResult)) *gateway.Event {
	d := &gateway.DMARCResult{Author: policyDomain, PolicyDomain: policyDomain, Record: record, Method: "psl", Requested: "reject", SPF: true}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Relayed: &gateway.Relayed{Result: gateway.Delivered},
		Record: &gateway.Record{Time: time.Now(), Client: netip.MustParseAddr("192.0.2.1"), HeaderFrom: "Ann <ann@" + policyDomain + ">",
			From:  gateway.Address{Text: "ann@" + policyDomain, Local: "ann", Domain: policyDomain},
			Rcpts: []gateway.RecordRcpt{{To: gateway.Address{Text: "bob@ours.example", Local: "bob", Domain: "ours.example"}, Code: 250}}}}
	for _, c := range change {
		c(e, d)
	}
	e.Record.Findings = append(e.Record.Findings, gateway.Finding{Check: "dmarc"}.Says(gateway.AuthResult{Method: "dmarc", Result: "pass", DMARC: d}))
	return e
}

// report is what a reader takes out of a mail.
type report struct {
	Name     string `xml:"-"`
	ID       string `xml:"report_metadata>report_id"`
	Error    string `xml:"report_metadata>error"`
	Begin    int64  `xml:"report_metadata>date_range>begin"`
	Domain   string `xml:"policy_published>domain"`
	P        string `xml:"policy_published>p"`
	Messages int64  `xml:"-"`
	Records  []struct {
		Source      string `xml:"row>source_ip"`
		Count       int64  `xml:"row>count"`
		Disposition string `xml:"row>policy_evaluated>disposition"`
	} `xml:"record"`
}

func readReport(t testing.TB, raw []byte) (r report) {
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
	for {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal("no report in the mail: ", err)
		}
		if !strings.HasPrefix(p.Header.Get("Content-Type"), "application/gzip") {
			continue
		}
		unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.NewDecoder(unpacked).Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Name = p.FileName(); !strings.Contains(m.Header.Get("Subject"), "<"+r.ID+">") || !strings.Contains(r.Name, "!"+r.ID+".xml.gz") {
			t.Errorf("%q, %q, %q", m.Header.Get("Subject"), r.Name, r.ID)
		}
		for _, x := range r.Records {
			r.Messages += x.Count
		}
		return r
	}
}

// until sleeps to a time of day, UTC, days from now on.
func until(days int, clock string) {
	at, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err)
	}
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
	time.Sleep(time.Until(day.Add(at.Sub(at.Truncate(24 * time.Hour)))))
}

func said(result gateway.RelayResult, at, text string) func(*gateway.Delivery) gateway.Relayed {
	return func(*gateway.Delivery) gateway.Relayed { return gateway.Relayed{Result: result, At: at, Said: text} }
}

// overview is Show as people read it: one line for each delivery.
func overview(t testing.TB, r *reports.Reports, q reports.Query) (out []string) {
	t.Helper()
	o, err := r.Show(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range o.Subjects {
		for _, d := range s.Deliveries {
			out = append(out, fmt.Sprintf("%s %s %s %s: %s", s.Day, s.Domain, d.State, d.Address, d.Said))
		}
		if len(s.Deliveries) == 0 {
			out = append(out, fmt.Sprintf("%s %s open %d", s.Day, s.Domain, s.Messages))
		}
	}
	return out
}
