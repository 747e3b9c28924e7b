package gateway

import (
	"slices"
	"testing"
)

// TestGather: a record has the findings of the session, then those of the envelope, wherever they lie, and what is appended
// to one is in no other.
func TestGather(t *testing.T) {
	names := func(list []Finding) (out []string) {
		for _, f := range list {
			out = append(out, f.Check)
		}
		return out
	}
	for _, c := range []struct {
		name          string
		of, room, now int // findings of the session when room is made, the room, findings of the session at the end
		own           int
	}{
		{"all within", 2, 4, 2, 3},
		{"a session without findings", 0, 4, 0, 3},
		{"an envelope without findings", 2, 4, 2, 0},
		{"more than there is room for", 2, 1, 2, 3},
		{"no room at all", 2, 0, 2, 1},
		{"the session found something since", 1, 4, 3, 2},
		{"the session found another thing since", 2, 4, 2, 2},
	} {
		s := &Session{}
		for i := range c.of {
			s.Findings = append(s.Findings, Finding{Check: "early" + string(rune('0'+i))})
		}
		e := &Envelope{Session: s, Findings: []Finding{{Check: "first"}}}
		e.Gather(c.room)
		s.Findings = nil
		var want []string
		for i := range c.now {
			s.Findings = append(s.Findings, Finding{Check: "session" + string(rune('0'+i))})
			want = append(want, s.Findings[i].Check)
		}
		if c.own == 0 {
			e.Findings = nil
		} else {
			want = append(want, "first")
		}
		for i := 1; i < c.own; i++ {
			e.Findings = append(e.Findings, Finding{Check: "own" + string(rune('0'+i))})
			want = append(want, e.Findings[i].Check)
		}
		r := NewRecord(Data, s, e)
		if got := names(r.Findings); !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", c.name, got, want)
		}
		r.Findings = append(r.Findings, Finding{Check: "of the record"})
		e.Findings = append(e.Findings, Finding{Check: "of the envelope"})
		if got := names(NewRecord(Data, s, e).Findings); !slices.Equal(got, append(want, "of the envelope")) || r.Findings[len(want)].Check != "of the record" {
			t.Errorf("%s: %q after both were appended to", c.name, got)
		}
	}
}
