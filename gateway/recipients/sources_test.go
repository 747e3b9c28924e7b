package recipients

import (
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

// list is a directory that has what the test wants.
type list struct {
	name string
	has  map[string]bool
	away bool
}

func (l list) Name() string { return l.name }

func (l list) Has(local, domain string) (found, ready bool, age time.Duration) {
	return l.has[local+"@"+domain], !l.away, time.Minute
}

// A recipient of each kind, behind each kind of source.
func TestSources(t *testing.T) {
	staff := list{name: "staff", has: map[string]bool{"user@example.org": true, "a+b@example.org": true}}
	others := list{name: "others", has: map[string]bool{"other@example.org": true}}
	late := list{name: "late", away: true}
	policy := &gateway.Policy{Domains: map[string]*gateway.Domain{
		"example.org": {Name: "example.org", Route: "inner", Subaddress: "+"}, "plain.example": {Name: "plain.example", Route: "inner"}}}
	both := Source{Directories: []Directory{staff, others}}
	ask := Source{Directories: []Directory{staff}, ThenAsk: true}
	for _, tt := range []struct {
		name   string
		source Source
		hop    relay.Verified
		rcpt   string
		want   Kind
		asked  bool
		from   string // directory
	}{
		{"in the first", both, no, "user@example.org", Known, false, "staff"},
		{"in the second", both, no, "other@example.org", Known, false, "others"},
		{"in none", both, yes, "nobody@example.org", Unknown, false, "staff"},
		{"sub-address", both, no, "user+news@example.org", Known, false, "staff"},
		{"as it is, before its sub-address", both, no, "a+b@example.org", Known, false, "staff"},
		{"only a sub-address", both, no, "+news@example.org", Unknown, false, "staff"},
		{"a domain without sub-addresses", Source{Directories: []Directory{list{name: "x", has: map[string]bool{"user@plain.example": true}}}}, no, "user+x@plain.example", Unknown, false, "x"},
		{"none, then asked: yes", ask, yes, "nobody@example.org", Known, true, ""},
		{"none, then asked: no", ask, no, "nobody@example.org", Unknown, true, ""},
		{"never read", Source{Directories: []Directory{late}}, yes, "user@example.org", Away, false, "late"},
		{"never read, but in another", Source{Directories: []Directory{late, staff}}, yes, "user@example.org", Known, false, "staff"},
		{"one never read, in no other", Source{Directories: []Directory{staff, late}}, yes, "nobody@example.org", Away, false, "late"},
		{"never read, then asked", Source{Directories: []Directory{late}, ThenAsk: true}, yes, "user@example.org", Known, true, ""},
		{"none", Source{None: true}, no, "user@example.org", NotAsked, false, ""},
		{"call-ahead knows no sub-address", Source{}, no, "user+news@example.org", Unknown, true, ""},
		{"postmaster, not in a directory", both, no, "PostMaster@example.org", NotAsked, false, "staff"},
		{"abuse, unknown to the next hop", Source{}, no, "abuse@example.org", NotAsked, true, ""},
		{"abuse, refused for another reason", Source{}, never, "abuse@example.org", Refused, true, ""},
		{"abuse, next hop away", Source{}, away, "abuse@example.org", Away, true, ""},
		{"postmaster, known", Source{}, yes, "postmaster@example.org", Known, true, ""},
		{"abuse of a domain that is not ours", Source{}, no, "abuse@example.net", Unknown, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, where := range []Sources{{Policy: policy, Routes: map[string]Source{"inner": tt.source}},
				{Policy: policy, Domains: map[string]Source{"example.org": tt.source, "plain.example": tt.source}, Routes: map[string]Source{"inner": {None: true}}}} {
				if where.Routes["inner"].None && address(tt.rcpt).Domain == "example.net" {
					continue // of no domain that says otherwise
				}
				h := new(hop)
				h.set(tt.hop)
				r := New(NewCache(0), h, where)
				a := r.Ask(t.Context(), "inner", address("a@example.net"), address(tt.rcpt))
				if a.Kind != tt.want || a.Directory != tt.from || (h.count() > 0) != tt.asked || a.Verified() != (tt.want == Known) {
					t.Errorf("%+v after %d questions", a, h.count())
				}
				if a.Kind == Unknown && a.Reply.Enhanced != "5.1.1" || a.Kind == Away && a.Reply.Code != 451 {
					t.Errorf("reply %s", a.Reply)
				}
				if a.Role != (a.Kind == NotAsked && !tt.source.None) {
					t.Errorf("role %v", a.Role)
				}
			}
		})
	}
}

// What the next hop refuses when a message is handed over is told to the sender's retry in its words, also where RCPT does
// not ask it or does not believe its no: else the retry would be taken, and fail again, for ever.
func TestRetryIsTold(t *testing.T) {
	policy := &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "inner"}}}
	staff := list{name: "staff", has: map[string]bool{"user@example.org": true}}
	for name, tt := range map[string]struct {
		source Source
		rcpt   string
		want   Kind
	}{
		"none":      {Source{None: true}, "user@example.org", NotAsked},
		"directory": {Source{Directories: []Directory{staff}}, "user@example.org", Known},
		"role":      {Source{}, "postmaster@example.org", NotAsked},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(hop)
			h.set(no)
			r := New(NewCache(0), h, Sources{Policy: policy, Routes: map[string]Source{"inner": tt.source}})
			from, to := address("a@example.net"), address(tt.rcpt)
			if a := r.Ask(t.Context(), "inner", from, to); a.Kind != tt.want {
				t.Fatalf("first: %+v", a)
			}
			r.Learn("inner", to, from, no.Reply)
			if a := r.Ask(t.Context(), "inner", from, to); a.Kind != Refused || a.Reply != no.Reply {
				t.Errorf("retry: %+v", a)
			}
			if a := r.Ask(t.Context(), "inner", address("b@example.net"), to); a.Kind != tt.want {
				t.Errorf("another sender: %+v", a)
			}
		})
	}
}
