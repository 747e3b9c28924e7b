package filters

import (
	"errors"
	"net"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// TestLookups shows that engines tell "there is nothing" from "could not tell", and that each question is evidence.
func TestLookups(t *testing.T) {
	s := dnslab.New(t, dnslab.Text("a.example. TXT \"one\" \"two\"\na.example. MX 10 mx.a.example.\nmx.a.example. A 192.0.2.1\n1.2.0.192.in-addr.arpa. PTR mx.a.example.\n"))
	s.SetFault("broken.example", dnslab.Fault{Kind: dnslab.ServFail})
	l := &lookups{r: resolver(t, s)}
	ctx := t.Context()
	if txt, err := l.LookupTXT(ctx, "a.example"); err != nil || len(txt) != 1 || txt[0] != "onetwo" {
		t.Errorf("TXT: %q, %v", txt, err)
	}
	if mx, err := l.LookupMX(ctx, "a.example"); err != nil || len(mx) != 1 || mx[0].Host != "mx.a.example" {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if ips, err := l.LookupNetIP(ctx, "ip4", "mx.a.example"); err != nil || len(ips) != 1 {
		t.Errorf("A: %v, %v", ips, err)
	}
	if names, err := l.LookupAddr(ctx, "192.0.2.1"); err != nil || len(names) != 1 || names[0] != "mx.a.example" {
		t.Errorf("PTR: %v, %v", names, err)
	}
	var e *net.DNSError
	if _, err := l.LookupTXT(ctx, "none.example"); !errors.As(err, &e) || !e.IsNotFound {
		t.Errorf("a name that does not exist: %v", err)
	}
	if _, err := l.LookupTXT(ctx, "broken.example"); !errors.As(err, &e) || e.IsNotFound || !e.IsTemporary {
		t.Errorf("a failure: %v", err)
	}
	s.SetFault("many.example", dnslab.Fault{Kind: dnslab.ManyTexts})
	if _, err := l.LookupTXT(ctx, "many.example"); !errors.As(err, &e) || e.IsNotFound || !e.IsTemporary {
		t.Errorf("more texts than are looked at: %v", err)
	}
	s.SetFault("wide.example", dnslab.Fault{Kind: dnslab.ManyRecords})
	if _, err := l.LookupNetIP(ctx, "ip4", "wide.example"); !errors.As(err, &e) || e.IsNotFound || !e.IsTemporary {
		t.Errorf("more addresses than are looked at: %v", err)
	}
	for name, want := range map[string]bool{"a.example": true, "mx.a.example": true, "none.example": false} {
		if is, err := l.Exists(ctx, name); is != want || err != nil {
			t.Errorf("%s exists: %v, %v", name, is, err)
		}
	}
	if is, err := l.Exists(ctx, "broken.example"); is || err == nil {
		t.Errorf("a failure exists: %v, %v", is, err)
	}
	f := l.show(gateway.Passed())
	all := ""
	for _, ev := range f.Evidence {
		all += ev.Text + "\n"
	}
	for _, want := range []string{"TXT a.example: 1 found", "TXT none.example: nxdomain", "TXT broken.example: servfail"} {
		if !strings.Contains(all, want) {
			t.Errorf("no evidence %q in:\n%s", want, all)
		}
	}
}
