package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestDANEChanges: a domain publishes TLSA records, another key than it has, mends it, and loses its signatures, while the
// daemon runs and has an idle connection to its host. No message goes by a connection from before, and mail goes again by
// itself.
func TestDANEChanges(t *testing.T) {
	t.Parallel()
	w := newDANEWorld(t)
	w.startHosts(t, 1)
	zone := func(signing lab.Signing, records ...string) lab.Zone {
		text := "$TTL 1\nmx A " + w.address[""] + "\n"
		for _, r := range records {
			text += "_" + w.port + "._tcp.mx " + r + "\n"
		}
		return lab.Zone{Name: "right", Text: text, Signing: signing}
	}
	right, wrong := tlsa(3, 1, 1, w.leaf), tlsa(3, 1, 1, w.other)
	dns := labtest.Signed(t, zone(lab.SignedWell))
	gate := begin(t, setup{dns: dns.Resolver, trusted: `"127.0.0.1"`, offers: "-",
		policy: fmt.Sprintf("[[route]]\nname = \"case0\"\ntls = \"dane\"\nrecipients = \"none\"\n[[route.next_hop]]\nhost = \"mx.right.gp-lab\"\nport = %s\n[[domain]]\nname = \"case0.test\"\nroute = \"case0\"\n", w.port)})
	for _, step := range []struct {
		name string
		zone lab.Zone
		want string // of the reply
		says string // in status
	}{
		{"nothing published", zone(lab.SignedWell), "250", "no DANE: there are no TLSA records at"},
		{"records of another key appear", zone(lab.SignedWell, wrong), "451 4.", "no TLSA record matches the certificate (3 1 1)"},
		{"the right one is added", zone(lab.SignedWell, wrong, right), "250", "DANE 3 1 1 verified"},
		{"signatures are lost", zone(lab.Stripped, wrong, right), "451 4.", "address lookup of mx.right.gp-lab failed: bogus"},
	} {
		if err := dns.Set(t.Context(), step.zone); err != nil {
			t.Fatal(err)
		}
		last := ""
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
			got := gate.hello(t).deliverFrom("", "post@case0.test", step.name).last()
			if !strings.HasPrefix(got, "250") && !strings.HasPrefix(got, "451 4.7.5") && !strings.HasPrefix(got, "451 4.4.1") {
				t.Fatalf("%s: %q", step.name, got)
			}
			if strings.HasPrefix(got, step.want) {
				status, _, _, err := gate.daemon.Command(t.Context(), "status")
				if err != nil {
					t.Fatal(err)
				}
				if last = line(status, "route case0,"); strings.Contains(last, step.says) {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %q, and status says %q", step.name, got, last)
			}
		}
	}
}
