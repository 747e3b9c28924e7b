package main

import (
	"fmt"
	"strings"
	"testing"

	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
)

// What DNS says reaches the relay as it was said, and what it did not say is an error.
func TestFinder(t *testing.T) {
	server := dnslab.New(t, dnslab.Text(`
two.test. 300 MX 10 a.two.test.
two.test. 300 MX 20 b.two.test.
a.two.test. A 192.0.2.1
a.two.test. AAAA 2001:db8::1
null.test. MX 0 .
plain.test. A 192.0.2.9
_smtp._tcp.two.test. SRV 1 5 2525 a.two.test.
_smtp._tcp.null.test. SRV 0 0 0 .
`))
	server.SetFault("broken.test", dnslab.Fault{Kind: dnslab.ServFail})
	resolver, err := dns.New(dns.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	f := finder{resolver}
	for name, want := range map[string]string{
		"mx two.test":              "a.two.test 10, b.two.test 20 in 5m0s",
		"mx null.test":             ". 0",
		"mx plain.test":            " in",
		"mx none.test":             "error: dns: nxdomain",
		"mx broken.test":           "error: dns: servfail",
		"srv _smtp._tcp.two.test":  "a.two.test:2525 1/5",
		"srv _smtp._tcp.null.test": ".:0 0/0",
		"srv _none._tcp.two.test":  "error: dns: nxdomain",
		"a a.two.test":             "192.0.2.1 2001:db8::1",
		"a none.test":              "error: dns: nxdomain",
	} {
		kind, name, _ := strings.Cut(name, " ")
		got := ""
		var err error
		switch kind {
		case "mx":
			hops, ttl, failed := f.MX(t.Context(), name)
			for _, h := range hops {
				got += fmt.Sprintf("%s %d, ", h.Host, h.Order)
			}
			got, err = strings.TrimSuffix(got, ", ")+fmt.Sprintf(" in %s", ttl), failed
		case "srv":
			hops, _, failed := f.SRV(t.Context(), name)
			for _, h := range hops {
				got += fmt.Sprintf("%s:%d %d/%d", h.Host, h.Port, h.Order, h.Weight)
			}
			err = failed
		default:
			found, failed := f.Addresses(t.Context(), name)
			got, err = strings.Trim(fmt.Sprint(found), "[]"), failed
		}
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s %s: %q, want %q", kind, name, got, want)
		}
	}
}
