package rbl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
)

// stub is the standard library's resolver in front of the lab. Final dots keep the machine's search domains away.
type stub struct{ *net.Resolver }

func newStub(lab *dnslab.Server) stub {
	return stub{&net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, lab.Addr())
	}}}
}

func (s stub) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return s.Resolver.LookupNetIP(ctx, network, host+".")
}

func (s stub) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return s.Resolver.LookupTXT(ctx, name+".")
}

// TestLab asks real lists over real DNS: some are well, others list the world, refuse, are parked, are dead or misbehave on the
// wire. Before and after they are armed no good client is listed, whatever they do, and those that are well still list.
func TestLab(t *testing.T) {
	const records = `
2.0.0.127.well.example. 60 IN A 127.0.0.2
9.2.0.192.well.example. 60 IN A 127.0.0.2
9.2.0.192.well.example. 60 IN TXT "listed for the test"
*.world.example. 60 IN A 127.0.0.2
*.refuses.example. 60 IN A 127.255.255.254
*.parked.example. 60 IN A 203.0.113.80
dead.example. 60 IN A 192.0.2.1
2.0.0.127.sick.example. 60 IN A 127.0.0.2
9.2.0.192.sick.example. 60 IN A 127.0.0.2
`
	var entries []Entry
	for _, name := range []string{"well", "world", "refuses", "parked", "dead", "sick"} {
		e := entry(t, "spamcop")
		e.List.Name, e.List.Zone = name, name+".example"
		entries = append(entries, e)
	}
	listed := Subject{Client: netip.MustParseAddr("192.0.2.9")}
	good := Subject{Client: netip.MustParseAddr("198.51.100.1")}

	lab := dnslab.New(t, dnslab.Text(records))
	r := newStub(lab)
	s, err := NewSupervisor(entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s.Probe(t.Context(), r, now)
	var states []string
	for _, st := range s.Status(now) {
		states = append(states, st.State.String()+" "+st.Cause.String())
	}
	if got := fmt.Sprint(states); got != "[armed  unarmed world unarmed error code unarmed foreign unarmed missing armed ]" {
		t.Errorf("states: %v", got)
	}
	// One that was well begins to list the world, and keeps its test points.
	later := now.Add(2 * time.Minute)
	if err := lab.SetZones(dnslab.Text(records + "*.well.example. 60 IN A 127.0.0.2\n")); err != nil {
		t.Fatal(err)
	}
	if res := s.Check(t.Context(), r, later, good)[0]; res.Verdict != Unhealthy || res.Cause != World {
		t.Errorf("a list that begins to list the world: %+v", res)
	}
	if err := lab.SetZones(dnslab.Text(records)); err != nil {
		t.Fatal(err)
	}
	now = later.Add(firstRetry)
	s.Probe(t.Context(), r, now)
	results := s.Check(t.Context(), r, now, listed)
	if results[0].Verdict != Listed || results[5].Verdict != Listed || results[0].Weight != 5 {
		t.Errorf("the listed client: %+v", results)
	}
	if why := Reason(t.Context(), r, &entries[0], results[0]); why != "listed for the test" {
		t.Errorf("reason: %q", why)
	}

	// The zone of the last list now misbehaves. What a reply is worth is the resolver's to say, and that of the standard
	// library takes some lies for "no such name" (internal/dns does not); what it calls a failure is never "not listed" here.
	for _, kind := range []dnslab.Kind{dnslab.ServFail, dnslab.NXDomain, dnslab.Refused, dnslab.FormErr, dnslab.Bogus, dnslab.ForeignOwner,
		dnslab.Stowaway, dnslab.ManyRecords, dnslab.CNAMELoop, dnslab.Dangling, dnslab.Referral} {
		for subject, name := range map[Subject]string{good: "1.100.51.198.sick.example", listed: "9.2.0.192.sick.example"} {
			lab.SetFault(name, dnslab.Fault{Kind: kind})
			res := Check(t.Context(), r, entries[5:], subject)[0]
			if res.Verdict == Listed && subject != listed {
				t.Errorf("fault %d: a good client is listed: %v", kind, res.Codes)
			}
			_, err := r.LookupNetIP(t.Context(), "ip4", name)
			var dns *net.DNSError
			if none := errors.As(err, &dns) && dns.IsNotFound; res.Verdict == NotListed && !none {
				t.Errorf("fault %d: not listed, where the resolver says %v", kind, err)
			}
			if kind == dnslab.ServFail && (res.Verdict != Unknown || res.Cause != DNSFailure) {
				t.Errorf("a failing server: %v %v", res.Verdict, res.Cause)
			}
			if kind == dnslab.ManyRecords && res.Verdict != Unhealthy {
				t.Errorf("2,000 addresses: %v %v", res.Verdict, res.Cause)
			}
		}
	}
}
