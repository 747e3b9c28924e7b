package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/reports"
	"gatepost/internal/dmarcreport"
)

func openReports(t *testing.T, path string) *Reports {
	t.Helper()
	s, err := OpenReports(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func counted(day reports.Day, domain string, i int, n int64) reports.Counted {
	line, err := reports.DMARCLine(dmarcreport.Record{Source: netip.MustParseAddr("2001:db8::1"), Disposition: "none", HeaderFrom: domain, EnvelopeFrom: fmt.Sprintf("x%d.example", i),
		Signatures: []dmarcreport.Signature{{Domain: domain, Selector: "s\xff<", Result: "pass"}}, Count: n})
	if err != nil {
		panic(err)
	}
	return reports.Counted{Subject: reports.Subject{Day: day, Domain: domain, Record: "v=DMARC1; rua=mailto:d@" + domain, Method: "psl"}, Line: line}
}

// TestReports: what is counted is there at once, for the next process too, adds up, and goes when it is done.
func TestReports(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reports.db")
	ctx := bounded30(t)
	s := openReports(t, path)
	for range 2 {
		if lost, err := s.Count(ctx, []reports.Counted{counted(1, "a.example", 1, 2), counted(1, "a.example", 2, 1), counted(1, "b.example", 1, 1), counted(2, "a.example", 1, 1)}); err != nil || lost != 0 {
			t.Fatal(lost, err)
		}
	}
	s = openReports(t, path) // not closed before: as after a kill
	open, err := s.Open(ctx, 2)
	if err != nil || len(open) != 2 {
		t.Fatal(open, err)
	}
	u, err := s.Subject(ctx, open[0])
	want := reports.Stored{Subject: counted(1, "a.example", 0, 0).Subject, ID: open[0], Lines: 2, Messages: 6}
	if err != nil || u != want {
		t.Fatalf("%+v %v", u, err)
	}
	lines, err := s.Lines(ctx, u.ID)
	if err != nil || len(lines) != 2 || lines[0].Count != 4 || lines[1].Count != 2 || lines[0].Key != counted(1, "a.example", 1, 0).Key || lines[0].Key >= lines[1].Key {
		t.Errorf("%+v %v", lines, err)
	}
	if err := s.Finish(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	if lines, err := s.Lines(ctx, u.ID); err != nil || len(lines) != 0 {
		t.Errorf("%v %v", lines, err)
	}
	if open, err := s.Open(ctx, 2); err != nil || len(open) != 1 {
		t.Errorf("%v %v", open, err)
	}
	// What comes late to a report that was sent is lost, and said to be.
	if lost, err := s.Count(ctx, []reports.Counted{counted(1, "a.example", 1, 3)}); err != nil || lost != 3 {
		t.Errorf("%d %v", lost, err)
	}
	day := reports.Day(1)
	for _, c := range []struct {
		domain string
		day    *reports.Day
		n      int
	}{{"", nil, 3}, {"A.example", nil, 2}, {"a.example", &day, 1}, {"c.example", nil, 0}} {
		if all, err := s.All(ctx, c.domain, c.day, 10); err != nil || len(all) != c.n {
			t.Errorf("%+v: %v %v", c, all, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestReportDeliveries: a delivery reads back as it was kept, takes the place of what waited to be allowed, and ages.
func TestReportDeliveries(t *testing.T) {
	ctx := bounded30(t)
	s := openReports(t, filepath.Join(t.TempDir(), "reports.db"))
	if _, err := s.Count(ctx, []reports.Counted{counted(5, "a.example", 1, 1)}); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1800000000, 0)
	asking := reports.Delivery{Address: "d@b.example", First: -1, State: reports.Waiting, Next: at}
	if err := s.Plan(ctx, 1, "", at, []reports.Delivery{asking}); err != nil {
		t.Fatal(err)
	}
	want := []reports.Delivery{{Address: "e@b.example", Upto: 1, ReportID: "x", State: reports.Waiting, Next: at, Octets: 5},
		{Address: "f@b.example", First: -1, State: reports.Dropped, Said: "no"}}
	if err := s.Plan(ctx, 1, asking.Address, at.Add(time.Hour), want); err != nil {
		t.Fatal(err)
	}
	want[0].State, want[0].Next, want[0].Last, want[0].Attempts, want[0].Said = reports.Sent, time.Time{}, at, 2, "250 <taken>"
	if err := s.Save(ctx, 1, want[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Deliveries(ctx, 1); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
	if u, err := s.Subject(ctx, 1); err != nil || !u.First.Equal(at) {
		t.Errorf("%+v %v", u, err)
	}
	for _, r := range []reports.Rest{{Key: "v b.example"}, {Key: "v b.example", Failures: 3, LastDay: 5, Until: at}, {Key: "v b.example"}} {
		if err := s.SaveRest(ctx, r); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Rest(ctx, r.Key); err != nil || got != r {
			t.Errorf("%+v %v", got, err)
		}
	}
	for _, c := range []struct {
		lines, all reports.Day
		subjects   int
		done       bool
	}{{5, 5, 1, false}, {6, 5, 1, true}, {9, 6, 0, false}} {
		if err := s.Forget(ctx, c.lines, c.all); err != nil {
			t.Fatal(err)
		}
		all, err := s.All(ctx, "", nil, 10)
		if err != nil || len(all) != c.subjects {
			t.Errorf("%+v: %v %v", c, all, err)
		}
		if c.subjects > 0 {
			if u, err := s.Subject(ctx, 1); err != nil || u.Done != c.done {
				t.Errorf("%+v: %+v %v", c, u, err)
			}
		}
	}
}

// TestReportsDamaged: a damaged file is set aside, and an empty one takes its place.
func TestReportsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reports.db")
	s := openReports(t, path)
	var many []reports.Counted
	for i := range 2000 {
		many = append(many, counted(1, "a.example", i, 1))
	}
	if _, err := s.Count(bounded30(t), many); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || len(whole) < 10*4096 {
		t.Fatalf("%d octets, %v", len(whole), err)
	}
	if err := os.WriteFile(path, append(whole[:8192:8192], bytes.Repeat([]byte{0xff}, len(whole)-8192)...), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s, err = OpenReports(bounded30(t), path, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if open, err := s.Open(bounded30(t), 9); err != nil || len(open) != 0 || !strings.Contains(said.String(), "dmarc reports: the file is damaged") {
		t.Errorf("%v, %v, %s", open, err, said.String())
	}
	if lost, err := s.Count(bounded30(t), many); err != nil || lost != 0 {
		t.Error(lost, err)
	}
}

// BenchmarkReportsCount is what a line costs that is new, and one that is there: 2,000 at once, as they come when it matters.
func BenchmarkReportsCount(b *testing.B) {
	s, err := OpenReports(b.Context(), filepath.Join(b.TempDir(), "reports.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"new", "there"} {
		b.Run(name, func(b *testing.B) {
			all := make([]reports.Counted, 2000)
			day := 0
			began, n := cpu(b), 0
			for b.Loop() {
				if name == "new" || day == 0 {
					day++
				}
				for i := range all {
					all[i] = counted(reports.Day(day), fmt.Sprintf("d%d.example", i%100), i, 1)
				}
				if lost, err := s.Count(b.Context(), all); err != nil || lost > 0 {
					b.Fatal(lost, err)
				}
				n += len(all)
			}
			b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/1000/float64(n), "CPU-µs/line")
		})
	}
}
