package arc

import (
	"strings"
	"testing"

	"gatepost/internal/dkim"
)

// hostile makes the message that costs most: as many sets as there may be, by keys of the sender's own, each with a message
// signature over a header section as big as the edge takes.
func hostile(t testing.TB) (*dkim.Header, string, zone) {
	t.Helper()
	text, _ := MakeKey(RSA2048)
	k, err := ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	z["sel._domainkey.ours.example"], _ = Record(k)
	message := "To: " + strings.Repeat("a <a@b.example>,\r\n ", 8000) + "z@b.example\r\n" + plain()["plain"]
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	c := Chain{}
	for n := range MaxSets {
		fields, body := split(message)
		set, _, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: c, Now: now, Results: "ours.example; none"})
		if err != nil {
			t.Fatal(err)
		}
		message, c = string(set)+message, Chain{Result: Pass, Highest: n + 1}
	}
	fields, body := split(message)
	return dkim.NewHeader(fields), body, z
}

// TestHostile shows that the work has a bound, and that the result does not depend on it.
func TestHostile(t *testing.T) {
	h, body, z := hostile(t)
	var b dkim.BodyHasher
	var k dkim.Keys
	p := Check(h, Options{Now: now, Oldest: true})
	p.Want(&b, &k)
	k.Fetch(t.Context(), z)
	if err := b.Read(strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	c := p.Finish(&b, &k)
	if c.Result != Pass || c.OldestPass < 2 || c.OldestPass > MaxSets || p.octets > maxOctets+256<<10 {
		t.Errorf("%s (%s), oldest %d, %d octets", c.Result, c.Reason, c.OldestPass, p.octets)
	}
}

func BenchmarkHostile(b *testing.B) {
	h, body, z := hostile(b)
	b.ReportAllocs()
	for b.Loop() {
		if c := Verify(b.Context(), z, h, strings.NewReader(body), Options{Now: now, Oldest: true}); c.Result != Pass {
			b.Fatal(c.Reason)
		}
	}
}
