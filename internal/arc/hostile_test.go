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

// TestHostile shows that the older message signatures of a long chain are not looked at: neither their keys nor their hashes
// are wanted.
func TestHostile(t *testing.T) {
	h, body, z := hostile(t)
	c := Verify(t.Context(), z, h, strings.NewReader(body), Options{Now: now, Oldest: true})
	looked := 0
	for _, s := range c.Sets {
		if s.Message.Result != None {
			looked++
		}
	}
	if c.Result != Pass || looked != maxOlder+1 || c.OldestPass != MaxSets-maxOlder {
		t.Errorf("%s (%s), oldest %d, %d looked at", c.Result, c.Reason, c.OldestPass, looked)
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
