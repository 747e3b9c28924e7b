package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestReference(t *testing.T) {
	var ids IDs
	seen := map[ID]bool{}
	last := ID(0)
	for range 20_000 {
		id := ids.Next()
		if id <= last || seen[id] {
			t.Fatalf("id %d after %d", id, last)
		}
		last, seen[id] = id, true
	}
	ref := last.String()
	for _, typed := range []string{ref, strings.ToLower(ref), strings.ReplaceAll(ref, "-", " "), strings.ReplaceAll(ref, "0", "O"), strings.ReplaceAll(ref, "1", "l")} {
		if got, err := ParseID(typed); err != nil || got != last {
			t.Errorf("%q: %v, %v", typed, got, err)
		}
	}
	for i := range ref {
		if ref[i] == '-' {
			continue
		}
		for _, c := range crockford {
			if wrong := ref[:i] + string(c) + ref[i+1:]; wrong != ref {
				if _, err := ParseID(wrong); !errors.Is(err, ErrReference) {
					t.Errorf("one wrong letter is not found: %s for %s", wrong, ref)
				}
			}
		}
	}
	for _, bad := range []string{"", "K7Q29", ref + "0", "ZZZZZ-ZZZZZ-ZZZZ", "ÄÖÜ"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if d := time.Since(last.Time()); d < -time.Minute || d > time.Minute {
		t.Errorf("time of the id is %v ago", d)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("K7Q29-FXM3T-BN5C")
	f.Add(ID(1 << 60).String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil {
			if again, err := ParseID(id.String()); err != nil || again != id {
				t.Fatalf("%q is %d is %q is %d", s, id, id, again)
			}
		}
	})
}

func TestFactIsComputedOnce(t *testing.T) {
	var facts Facts
	var calls atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if v := Fact(&facts, "n", func() int { calls.Add(1); return 7 }); v != 7 {
				t.Errorf("got %d", v)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("computed %d times", calls.Load())
	}
	func() {
		defer func() { recover() }()
		Fact(&facts, "broken", func() string { panic("fault") })
	}()
	if v := Fact(&facts, "broken", func() string { return "told" }); v != "" {
		t.Errorf("a fact that could not be told reads %q", v)
	}
}

// session makes a session under a pipeline and the test policy.
func pipelineInput(rows ...Row) (*Pipeline, *Input) {
	pl := &Pipeline{}
	pl.Rows[Data] = rows
	s := &Session{Snapshot: &Snapshot{Policy: testPolicy(), Pipeline: pl}}
	e := &Envelope{Session: s, Rcpts: []Recipient{{Address: Address{Text: "a@one.example", Local: "a", Domain: "one.example"}, Reply: Reply{Code: 250}}}}
	return pl, &Input{Session: s, Envelope: e, Rcpt: -1}
}

func says(name string, f Finding) Check {
	return Check{Name: name, Stage: Data, Run: func(context.Context, *Input) Finding { return f }}
}

func TestPipelineStopsWhenDecided(t *testing.T) {
	never := Check{Name: "opinion", Run: func(context.Context, *Input) Finding { t.Error("ran after the verdict was final"); return Finding{} }}
	pl, in := pipelineInput(Row{Checks: []Check{says("virus", Failed(MalwareFound, "Eicar"))}}, Row{Checks: []Check{never}})
	if v := pl.Run(t.Context(), Data, in); v.Outcome != Reject || v.Check != "virus" {
		t.Errorf("verdict %+v", v)
	}
	last := in.Envelope.Findings[len(in.Envelope.Findings)-1]
	if last.Result != NotRun || last.Reason != LeftDecided || last.Check != "opinion" {
		t.Errorf("the check that was left out reads %+v", last)
	}
}

// TestPipelineMalwareAfterUnknown: a message that is deferred since something could not be told is still looked at for malware,
// and by nothing else; what is deferred for another reason is not.
func TestPipelineMalwareAfterUnknown(t *testing.T) {
	limit := Failed(RateMessages)
	for name, c := range map[string]struct {
		first, virus Finding
		check        string
		outcome      Outcome
		reason       Reason
		ran          int
	}{
		"malware":         {CouldNotTell(ScannerFailed), Failed(MalwareFound, "Win.Test"), "macro", Reject, MalwareFound, 1},
		"clean":           {CouldNotTell(ScannerFailed), Passed(), "macro", Defer, ScannerFailed, 1},
		"doubtful":        {CouldNotTell(ScannerFailed), Failed(MalwareDoubtful, "PUA.Test"), "macro", Defer, ScannerFailed, 1},
		"away too":        {CouldNotTell(ScannerFailed), CouldNotTell(ScannerFailed), "macro", Defer, ScannerFailed, 1},
		"refused already": {Failed(AttachmentType, "a.exe", "executable"), Failed(MalwareFound, "Win.Test"), "macro", Reject, AttachmentType, 0},
		"a rate":          {limit, Failed(MalwareFound, "Win.Test"), "grey", Defer, limit.Reason, 0},
	} {
		ran := 0
		virus := Check{Name: "virus", Stage: Data, Run: func(context.Context, *Input) Finding { ran++; return c.virus }}
		never := Check{Name: "opinion", Stage: Data, Run: func(context.Context, *Input) Finding {
			t.Errorf("%s: an opinion was asked for", name)
			return Finding{}
		}}
		pl, in := pipelineInput(Row{Checks: []Check{says(c.check, c.first)}}, Row{Checks: []Check{never}}, Row{Checks: []Check{virus, never}})
		v := pl.Run(t.Context(), Data, in)
		if v.Outcome != c.outcome || v.Reason != c.reason || ran != c.ran {
			t.Errorf("%s: %s %s, and malware was looked for %d times", name, v.Outcome, v.Reason, ran)
		}
		if last := in.Envelope.Findings[3]; len(in.Envelope.Findings) != 4 || last.Result != NotRun || last.Reason != LeftDecided {
			t.Errorf("%s: %+v", name, in.Envelope.Findings)
		}
	}
}

func TestPipelineTurnsPanicsIntoUnknown(t *testing.T) {
	broken := Check{Name: "virus", Stage: Data, Run: func(context.Context, *Input) Finding { panic("fault") }}
	for _, rows := range [][]Check{{broken}, {broken, says("points", Passed())}} {
		pl, in := pipelineInput(Row{Checks: rows})
		v := pl.Run(t.Context(), Data, in)
		if v.Outcome != Defer || in.Envelope.Findings[0].Result != Unknown || in.Envelope.Findings[0].Reason != CheckPanicked {
			t.Errorf("%s, %+v", v.Outcome, in.Envelope.Findings[0])
		}
	}
}

// TestQuietIsAccept shows that the verdict that is given without judging is the one that Judge gives.
func TestQuietIsAccept(t *testing.T) {
	for _, mode := range []Mode{Enforce, Soft, ObserveOnly} {
		pl, in := pipelineInput(Row{Checks: []Check{says("virus", Passed().Show("verdict", "clean")), says("nowhere", Passed())}})
		in.Session.Snapshot.Policy.Mode = mode
		got := pl.Run(t.Context(), Data, in)
		if want := in.Session.Snapshot.Policy.Judge(NewRecord(Data, in.Session, in.Envelope)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, and judged %+v", mode, got, want)
		}
	}
}

func TestPipelineWhenAndOff(t *testing.T) {
	pl, in := pipelineInput(
		Row{Checks: []Check{says("points", Passed(Measure{Name: "spamd", Value: 1}))}},
		Row{Checks: []Check{says("opinion", Failed(ShapeFrom, "0"))}, When: func(v *Verdict, _ *Input) Reason {
			if v.Score < 4 {
				return LeftNotNeeded
			}
			return ""
		}},
		Row{Checks: []Check{says("nowhere", Failed(ShapeFrom, "0"))}},
	)
	if v := pl.Run(t.Context(), Data, in); v.Outcome != Accept {
		t.Errorf("verdict %+v", v)
	}
	var got []string
	for _, f := range in.Envelope.Findings {
		got = append(got, fmt.Sprintf("%s %s %s", f.Check, f.Result, f.Reason))
	}
	if want := "points pass ,opinion not run not_needed,nowhere not run off"; strings.Join(got, ",") != want {
		t.Errorf("findings %v", got)
	}
}

func TestHeader(t *testing.T) {
	h := ParseHeader([]byte("From: a@b\r\nSubject: one\r\n two\r\nno field\r\nX-Spam-Flag : YES\r\nX-Spam-\r\n Score: 1\r\nx-spam-level\r\n :*\r\n\r\nFrom: in the body\r\n"))
	if h.Count("from") != 1 || h.Get("SUBJECT") != "one two" || !h.Complete || h.Malformed != 2 {
		t.Errorf("%+v", h)
	}
	if string(h.Raw) == "" || h.BodyStart != int64(len(h.Raw))+2 {
		t.Errorf("content begins at %d behind %d octets", h.BodyStart, len(h.Raw))
	}
	for _, name := range []string{"X-Spam-Flag", "X-Spam-Level"} {
		if fields := h.All(name); len(fields) != 1 || !fields[0].SpacedName {
			t.Errorf("%s is not seen in its disguise: %+v", name, fields)
		}
	}
	for text, complete := range map[string]bool{"": false, "\r\n": true, "\r\nbody": true, "a: b": false, "a: b\r\n": false, "a: b\r\n\r\n": true} {
		if h := ParseHeader([]byte(text)); h.Complete != complete || h.BodyStart > int64(len(text)) {
			t.Errorf("%q: %+v", text, h)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("From: a\r\n b\r\n\r\nbody"))
	f.Add([]byte("\r\n\r\n"))
	f.Add([]byte(" x: y\r\n:\r\n\t\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := ParseHeader(raw)
		at := 0
		for _, field := range h.Fields {
			if field.Start != at || field.End <= at || field.value < field.Start || field.value > field.End {
				t.Fatalf("field %+v at %d", field, at)
			}
			at = field.End
			h.Value(field)
		}
		if at != len(h.Raw) {
			t.Fatalf("fields end at %d of %d", at, len(h.Raw))
		}
	})
}
