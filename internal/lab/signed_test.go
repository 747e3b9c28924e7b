package lab

import (
	"os/exec"
	"strings"
	"testing"

	"gatepost/internal/dns"
)

// What a resolver that trusts the lab's key says of each kind of zone, by our own resolver, and how changes arrive.
func TestSigned(t *testing.T) {
	ctx := testContext(t)
	const text = "mx A 127.0.0.1\n@ MX 10 mx\nalias CNAME mx\nout CNAME mx.unsigned.gp-lab.\n_25._tcp.mx TLSA 3 1 1 00000000000000000000000000000000000000000000000000000000000000aa"
	s, err := StartSigned(ctx, testDir(t), Zone{Name: "right", Text: text, Dead: []string{"_tcp.dead"}}, Zone{Name: "unsigned", Text: text, Signing: Unsigned},
		Zone{Name: "expired", Text: text, Signing: Expired}, Zone{Name: "stripped", Text: text, Signing: Stripped}, Zone{Name: "otherkey", Text: text, Signing: OtherKey})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.Log())
		}
	}()
	check := func(name string, typ dns.Type, status dns.Status, ad bool) {
		t.Helper()
		r, err := dns.New(dns.Options{Servers: []string{s.Resolver}})
		if err != nil {
			t.Fatal(err)
		}
		if a := r.Query(ctx, name, typ); a.Status != status || a.AD != ad {
			t.Errorf("%s %s: %s (%s), AD %v; want %s, AD %v", name, typ, a.Status, a.Detail, a.AD, status, ad)
		}
	}
	check("mx.right.gp-lab", dns.TypeA, dns.Found, true)
	check("right.gp-lab", dns.TypeMX, dns.Found, true)
	check("alias.right.gp-lab", dns.TypeA, dns.Found, true)
	check("out.right.gp-lab", dns.TypeA, dns.Found, false)
	check("out.right.gp-lab", dns.TypeCNAME, dns.Found, true)
	check("_25._tcp.mx.right.gp-lab", dns.TypeTLSA, dns.Found, true)
	check("_26._tcp.mx.right.gp-lab", dns.TypeTLSA, dns.None, true)
	check("mx.right.gp-lab", dns.TypeTLSA, dns.None, true)
	check("_25._tcp.dead.right.gp-lab", dns.TypeTLSA, dns.Failed, false)
	check("mx.unsigned.gp-lab", dns.TypeA, dns.Found, false)
	check("none.unsigned.gp-lab", dns.TypeA, dns.None, false)
	for _, zone := range []string{"expired", "stripped", "otherkey"} {
		check("mx."+zone+".gp-lab", dns.TypeA, dns.Bogus, false)
		check("none."+zone+".gp-lab", dns.TypeA, dns.Bogus, false)
	}
	check("example.org", dns.TypeA, dns.None, false)

	if err := s.Set(ctx, Zone{Name: "right", Text: text, Signing: Expired}, Zone{Name: "expired", Text: text}, Zone{Name: "new", Text: text}); err != nil {
		t.Fatal(err)
	}
	check("mx.right.gp-lab", dns.TypeA, dns.Bogus, false)
	check("mx.expired.gp-lab", dns.TypeA, dns.Found, true)
	check("mx.new.gp-lab", dns.TypeA, dns.Found, true)

	command, err := s.Private("getent", "ahosts", "mx.new.gp-lab")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil || !strings.Contains(string(out), "127.0.0.1") {
		t.Errorf("system's own lookup: %v, %s", err, out)
	}
}
