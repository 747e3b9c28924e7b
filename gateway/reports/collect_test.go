package reports_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/gateway"
	"gatepost/gateway/reports"
	"gatepost/internal/store"
)

// hanging is a next hop that answers when it must.
type hanging struct{ called chan struct{} }

func (h hanging) Relay(ctx context.Context, _ *gateway.Delivery) gateway.Relayed {
	close(h.called)
	<-ctx.Done()
	return gateway.Relayed{Result: gateway.NotDelivered, At: "data", Said: ctx.Err().Error()}
}

// TestOff: without settings nothing is counted, and there is no file.
func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.settings = nil
		r, stop := w.start()
		r.Take(message("a.example", record))
		time.Sleep(time.Hour)
		if _, err := os.Stat(w.file); !errors.Is(err, os.ErrNotExist) || r.Stats().Counted > 0 {
			t.Errorf("%v, %+v", err, r.Stats())
		}
		if o, err := r.Show(t.Context(), reports.Query{}); err != nil || !o.Off {
			t.Errorf("%+v, %v", o, err)
		}
		if _, err := r.Show(t.Context(), reports.Query{DryRun: true}); err == nil {
			t.Error("a preview while off")
		}
		if ok, why := r.Health(); !ok || why != "off" {
			t.Errorf("%v %q", ok, why)
		}
		// Switched on it counts from then on, and off again no more.
		on := newWorld(t)
		r.Set(on.settings)
		time.Sleep(time.Second)
		r.Take(message("a.example", record))
		time.Sleep(time.Second)
		r.Set(nil)
		r.Take(message("a.example", record))
		time.Sleep(time.Second)
		if s := r.Stats(); s.Counted != 1 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// TestNeverWaits: a store that takes nothing costs messages in the reports, and nobody any time.
func TestNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := reports.New(reports.Options{Resolver: w, Queue: 10, Open: func(ctx context.Context) (reports.Store, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		r.Set(w.settings)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		began := time.Now()
		for range 25 {
			r.Take(message("a.example", record))
		}
		if took := time.Since(began); took > 0 || r.Stats().Lost != 15 {
			t.Errorf("%v, %+v", took, r.Stats())
		}
		if ok, why := r.Health(); ok {
			t.Error("well: ", why)
		}
		cancel()
		<-done
	})
}

// TestBounds: a day has so many subjects and a subject so many lines, and what is beyond is counted as lost, in the report too.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	r, stop := w.start()
	wait := func(n int64) {
		t.Helper()
		for until := time.Now().Add(time.Minute); r.Stats().Counted+r.Stats().Lost < n; {
			if time.Now().After(until) {
				t.Fatalf("%+v", r.Stats())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	n := int64(0)
	take := func(e *gateway.Event) {
		r.Take(e)
		if n++; n%2000 == 0 {
			wait(n)
		}
	}
	for i := range reports.MaxLines + 100 {
		take(message("a.example", record, func(e *gateway.Event, _ *gateway.DMARCResult) { e.Record.From.Domain = fmt.Sprintf("x%d.example", i) }))
	}
	for i := range reports.MaxSubjects + 50 {
		take(message(fmt.Sprintf("d%d.example", i), record))
	}
	wait(n)
	if s := r.Stats(); s.Lost != 100+51 {
		t.Errorf("%+v", s)
	}
	o, err := r.Show(t.Context(), reports.Query{Domain: "a.example", DryRun: true})
	if err != nil || len(o.Subjects) != 1 || o.Subjects[0].Lost != 100 || o.Subjects[0].Lines != reports.MaxLines {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(o.Subjects[0].XML, "<error>100 more messages found no room in this report</error>") {
		t.Error("the report does not say so")
	}
	stop()
}

// TestSigned: the mail is signed so that another's verifier says pass, by RSA and by Ed25519.
func TestSigned(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for txt, key := range map[string]crypto.Signer{
		"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki):       short,
		"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public): private,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.settings.Sign = reports.Signer("reports.ours.example", "s1", key)
			r, stop := w.start()
			r.Take(message("a.example", record))
			until(1, "12:00:00")
			if len(w.sent()) != 1 {
				t.Fatal("nothing was sent")
			}
			raw := string(w.sent()[0].raw)
			got, err := dkim.VerifyWithOptions(strings.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if name != "s1._domainkey.reports.ours.example" {
					t.Errorf("asked for %s", name)
				}
				return []string{txt}, nil
			}})
			if err != nil || len(got) != 1 || got[0].Err != nil || got[0].Domain != "reports.ours.example" {
				t.Errorf("%v %+v", err, got)
			}
			readReport(t, w.sent()[0].raw)
			stop()
		})
	}
}

// BenchmarkTake is what the mail path pays for a message: with reports off, for a domain without a record, for one that is
// counted, and where the queue is full.
func BenchmarkTake(b *testing.B) {
	for _, c := range []struct {
		name   string
		off    bool
		queue  int
		record string
	}{{"off", true, 1, record}, {"no record", false, 1, ""}, {"counted", false, 1 << 16, record}, {"full", false, 1, record}} {
		b.Run(c.name, func(b *testing.B) {
			r := reports.New(reports.Options{Queue: c.queue}) // nobody empties it
			if !c.off {
				r.Set(&reports.Settings{From: "dmarc@reports.ours.example"})
			}
			e, n := message("a.example", c.record), 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; c.queue > 1 && n%c.queue == 0 { // room again
					b.StopTimer()
					r = reports.New(reports.Options{Queue: c.queue})
					r.Set(&reports.Settings{From: "dmarc@reports.ours.example"})
					b.StartTimer()
				}
				r.Take(e)
			}
			if lost := r.Stats().Lost; (lost > 0) != (c.name == "full") {
				b.Errorf("%d lost", lost)
			}
		})
	}
}

// failing is a store that takes nothing for a while.
type failing struct {
	reports.Store
	broken *atomic.Bool
}

func (f failing) Count(ctx context.Context, all []reports.Counted) (int64, error) {
	if f.broken.Load() {
		return 0, errors.New("disk full")
	}
	return f.Store.Count(ctx, all)
}

// TestFullDisk: what the store does not take waits, as long as there is room; the trouble is told once, and when it is over.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var broken atomic.Bool
		broken.Store(true)
		var said strings.Builder
		r := reports.New(reports.Options{Resolver: w, IDs: new(gateway.IDs), Log: slog.New(slog.NewTextHandler(&said, nil)), Open: func(ctx context.Context) (reports.Store, error) {
			s, err := store.OpenReports(ctx, w.file, nil)
			return failing{s, &broken}, err
		}})
		r.Set(w.settings)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		for i := range 12_000 {
			r.Take(message("a.example", record, func(e *gateway.Event, _ *gateway.DMARCResult) {
				e.Record.From.Domain = fmt.Sprintf("x%d.example", i%11_000)
			}))
			if i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Minute)
		if ok, why := r.Health(); ok || !strings.Contains(why, "disk full") {
			t.Errorf("%v %q", ok, why)
		}
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		if ok, why := r.Health(); !ok {
			t.Error(why)
		}
		// 10,000 lines waited, with the second message of 1,000 of them; of those the store has room for 5,000.
		if s := r.Stats(); s.Lost < 1000 || s.Counted+s.Lost != 12_000 || s.Counted < reports.MaxLines {
			t.Errorf("%+v", s)
		}
		cancel()
		<-done
		if n := strings.Count(said.String(), "nothing is counted"); n != 1 || !strings.Contains(said.String(), "messages are counted again") {
			t.Errorf("%d times\n%s", n, said.String())
		}
	})
}
