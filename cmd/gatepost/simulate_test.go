package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/replay"
	"gatepost/internal/store"
)

// draftedOf reads two documents, and gives what replay reads of them.
func draftedOf(t testing.TB, dir string) (*config.Config, *built, *replay.Draft) {
	t.Helper()
	c, problems := config.Load(dir, sections())
	if c == nil {
		t.Fatal(problems)
	}
	p, err := newParts(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := assemble(c, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return c, b, draftOf(c, b.snapshot)
}

// TestStaleKeys shows of which differences it is said that replay does not know what checks would find, and of which not.
func TestStaleKeys(t *testing.T) {
	read := func(policy string) *config.Policy {
		c, problems := config.Load(documents(t, "", servesOne+policy), sections())
		if c == nil {
			t.Fatal(problems)
		}
		return c.Policy
	}
	now := read("")
	for policy, want := range map[string][]string{
		"": nil,
		"[thresholds]\nreject = 12\n[checks.rdns]\naction = \"reject\"\n[checks.spamassassin]\nwhen = \"undecided\"\n": nil,
		"[checks.greylist]\nmode = \"everyone\"\n[trusted]\nnetworks = [\"192.0.2.0/24\"]\n":                           {"checks.greylist", "trusted"},
		"[[domain]]\nname = \"two.example\"\nroute = \"in\"\n":                                                         {"domain"},
	} {
		if got := staleKeys(now, read(policy)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", policy, got, want)
		}
	}
}

// recorded makes records of mail as a site has it: most of it good, with the rules of spamd that such mail has, a part refused
// at RCPT, a part spam.
func recorded(b testing.TB, s *gateway.Snapshot, n int) string {
	b.Helper()
	dir, r := b.TempDir(), rand.New(rand.NewPCG(1, 60))
	l, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now().Add(-6 * time.Hour)
	for i := range n {
		e := recordedMail(r, s, began.Add(time.Duration(i)*6*time.Hour/time.Duration(n)), i)
		for !l.Write(e) {
			time.Sleep(time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		b.Fatal(err)
	}
	return dir
}

func recordedMail(r *rand.Rand, s *gateway.Snapshot, at time.Time, i int) *gateway.Event {
	from, to := fmt.Sprintf("user%d@d%d.example", r.IntN(4000), r.IntN(900)), fmt.Sprintf("box%d@one.example", r.IntN(500))
	rec := &gateway.Record{ID: gateway.ID(uint64(at.UnixMilli())<<20 | uint64(i&0xfff)), Time: at.UTC(), Stage: gateway.Data, Listener: "mx", TLS: "TLS1.3",
		Client: netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(4)), byte(r.IntN(250))}), Helo: fmt.Sprintf("mail.d%d.example", r.IntN(900)), HeaderFrom: "Somebody <" + from + ">", Size: int64(r.IntN(90_000))}
	_ = rec.From.UnmarshalText([]byte(from)) // never fails
	rec.Rcpts = []gateway.RecordRcpt{{Route: "in", Code: 250}}
	_ = rec.Rcpts[0].To.UnmarshalText([]byte(to))
	kind := r.IntN(10) // 0: a recipient that does not exist; 1 and 2: spam
	for stage, rows := range s.Pipeline.Rows {
		if kind == 0 && stage == int(gateway.Data) {
			rec.Stage = gateway.Rcpt
			break
		}
		if stage == int(gateway.Connect) {
			rows = slices.Concat(rows, s.Pipeline.Late)
		}
		for _, row := range rows {
			for _, check := range row.Checks {
				f := gateway.Finding{Check: check.Name, Stage: gateway.Stage(stage), Rcpt: -1, Result: gateway.Pass}
				if f.Stage == gateway.Rcpt {
					f.Rcpt = 0
				}
				switch {
				case check.Name == "rcpt" && kind == 0:
					f.Result, f.Reason, f.Args = gateway.Fail, gateway.RcptUnknown, []string{to}
				case check.Name == "greylist":
					f.Result, f.Reason = gateway.NotRun, gateway.LeftNotNeeded
				case check.Name == "dmarc" && kind > 3:
					f.Proves = from
				case check.Name == "rdns" && kind < 3:
					f.Result, f.Reason, f.Measures = gateway.Fail, gateway.RDNSNone, []gateway.Measure{gateway.Yes("none")}
				case check.Name == "spamassassin":
					score := -2.0
					if kind < 3 {
						score = float64(r.IntN(200)) / 10
					}
					f.Measures = append(f.Measures, gateway.Measure{Name: "spamd", Value: score})
					for range 4 + r.IntN(8) {
						f.Measures = append(f.Measures, gateway.Measure{Name: "rule", Value: float64(r.IntN(30)) / 10, Text: fmt.Sprintf("RULE_%d", r.IntN(300))})
					}
				case !s.Policy.Runs(check.Name):
					f.Result, f.Reason = gateway.NotRun, gateway.LeftOff
				}
				rec.Findings = append(rec.Findings, f)
			}
		}
	}
	if kind == 0 {
		rec.Rcpts[0].Code = 550
	}
	return &gateway.Event{Kind: gateway.TransactionEvent, Record: rec, Verdict: s.Policy.Judge(rec), Policy: s.Policy.Version, Took: time.Second, Subject: "Invoice"}
}

// BenchmarkSimulate judges 100,000 recorded messages again under a draft with other thresholds and another check: what "policy
// simulate" does behind its socket.
//
//	go test -run '^$' -bench Simulate -benchtime 3x ./cmd/gatepost
func BenchmarkSimulate(b *testing.B) {
	const n = 100_000
	_, live, was := draftedOf(b, documents(b, "", servesOne))
	dir := recorded(b, live.snapshot, n)
	for name, policy := range map[string]string{
		"thresholds":  "[thresholds]\nquarantine = 6\nreject = 12\n",
		"prices":      "[checks.rdns.prices]\nnone = 4\n",
		"check on":    "[checks.tls]\naction = \"reject\"\n",
		"same policy": "",
	} {
		_, _, draft := draftedOf(b, documents(b, "", servesOne+policy))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began, runs := processorTime(b), 0
			for b.Loop() {
				runs++
				got, err := replay.Run(b.Context(), store.NewReader(dir), &replay.Question{Draft: draft, Was: func(string) *replay.Draft { return was }})
				if err != nil || got.Messages != n {
					b.Fatalf("%v %+v", err, got)
				}
				b.ReportMetric(float64(got.Changed), "changed")
				b.ReportMetric(float64(got.NotKnown), "not-known")
			}
			b.ReportMetric(float64((processorTime(b)-began).Milliseconds())/float64(runs), "CPU-ms/op")
		})
	}
}

// processorTime is what this process has used of processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
