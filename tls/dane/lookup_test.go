package dane

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// zone is a Resolver of what stands in it: a question, "address mx.example", and its answer. What is not there fails.
type zone struct {
	answers map[string]Answer
	asked   []string
}

var errServFail = errors.New("dns: servfail")

func (z *zone) say(what, name string) (Answer, error) {
	z.asked = append(z.asked, what+" "+name)
	a, ok := z.answers[what+" "+name]
	if !ok {
		return Answer{}, errServFail
	}
	if a.Name == "" {
		a.Name = name
	}
	if a.TTL == 0 {
		a.TTL = time.Hour
	}
	return a, nil
}

func (z *zone) Addresses(_ context.Context, host string) (Answer, error) {
	return z.say("address", host)
}
func (z *zone) Alias(_ context.Context, name string) (Answer, error) { return z.say("alias", name) }
func (z *zone) TLSA(_ context.Context, name string) (Answer, error)  { return z.say("tlsa", name) }

func TestLookup(t *testing.T) {
	some := []Record{{3, 1, 1, make([]byte, 32)}}
	secure, insecure := Answer{Secure: true}, Answer{}
	has := func(secure bool) Answer { return Answer{Secure: secure, Records: some} }
	to := func(name string, secure bool) Answer { return Answer{Secure: secure, Name: name} }
	const host, alias, tlsa, tlsaAlias = "mx.example", "real.example", "tlsa _25._tcp.mx.example", "tlsa _25._tcp.real.example"
	for _, tt := range []struct {
		name    string
		answers map[string]Answer
		base    string // "" for no DANE
		why     string // part of why, or of the error
		fails   bool
		asked   int
	}{
		{"signed", map[string]Answer{"address " + host: secure, tlsa: has(true)}, host, "", false, 2},
		{"no address", map[string]Answer{}, "", "address lookup of mx.example failed: dns: servfail", true, 1},
		{"unsigned address asks no TLSA", map[string]Answer{"address " + host: insecure}, "", "not signed", false, 1},
		{"no TLSA", map[string]Answer{"address " + host: secure, tlsa: secure}, "", "no TLSA records at _25._tcp.mx.example", false, 2},
		{"TLSA fails", map[string]Answer{"address " + host: secure}, "", "TLSA lookup of _25._tcp.mx.example failed: dns: servfail", true, 2},
		{"unsigned TLSA", map[string]Answer{"address " + host: secure, tlsa: has(false)}, "", "are not signed", false, 2},
		{"CNAME, records where it leads", map[string]Answer{"address " + host: to(alias, true), tlsaAlias: has(true), tlsa: has(true)}, alias, "", false, 2},
		{"CNAME, records before it", map[string]Answer{"address " + host: to(alias, true), tlsaAlias: secure, tlsa: has(true)}, host, "", false, 3},
		{"CNAME, unsigned records where it leads", map[string]Answer{"address " + host: to(alias, true), tlsaAlias: has(false), tlsa: has(true)}, host, "", false, 3},
		{"CNAME, no records", map[string]Answer{"address " + host: to(alias, true), tlsaAlias: secure, tlsa: secure}, "", "no TLSA records", false, 3},
		{"CNAME, TLSA fails where it leads", map[string]Answer{"address " + host: to(alias, true), tlsa: has(true)}, "", "TLSA lookup of _25._tcp.real.example failed", true, 2},
		{"CNAME out of the signed", map[string]Answer{"address " + host: to(alias, false), "alias " + host: to(alias, true), tlsa: has(true)}, host, "", false, 3},
		{"CNAME out of the signed, no records", map[string]Answer{"address " + host: to(alias, false), "alias " + host: to(alias, true), tlsa: secure}, "", "no TLSA", false, 3},
		{"CNAME among the unsigned", map[string]Answer{"address " + host: to(alias, false), "alias " + host: to(alias, false)}, "", "not signed", false, 2},
		{"CNAME fails", map[string]Answer{"address " + host: to(alias, false)}, "", "CNAME lookup of mx.example failed", true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zone{answers: tt.answers}
			p, err := Lookup(t.Context(), z, "MX.Example.", 25)
			if (err != nil) != tt.fails || p.Base != tt.base || (len(p.Records) > 0) != (tt.base != "") || len(z.asked) != tt.asked {
				t.Errorf("got %+v, %v after %q", p, err, z.asked)
			}
			why := p.Why
			if err != nil {
				why = err.Error()
			}
			if !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
				t.Errorf("says %q, want %q", why, tt.why)
			}
		})
	}
}

// What was looked up holds as long as the answer that is over first.
func TestLookupKeep(t *testing.T) {
	for _, ttl := range [][2]time.Duration{{time.Minute, time.Hour}, {time.Hour, time.Minute}} {
		z := &zone{answers: map[string]Answer{"address mx.example": {Secure: true, TTL: ttl[0]},
			"tlsa _2525._tcp.mx.example": {Secure: true, TTL: ttl[1], Records: slices.Repeat([]Record{{3, 1, 1, make([]byte, 32)}}, maxRecords+1)}}}
		if p, err := Lookup(t.Context(), z, "mx.example", 2525); err != nil || p.Keep != time.Minute || len(p.Records) != maxRecords {
			t.Errorf("got %v for %d records, %v", p.Keep, len(p.Records), err)
		}
	}
}
