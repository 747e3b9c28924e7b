package filters

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
	"gatepost/rbl"
)

// BenchmarkListsRemembered asks eight lists about clients whose answers the real resolver remembers.
func BenchmarkListsRemembered(b *testing.B) {
	lab := dnslab.New(b, nil)
	var entries []rbl.Entry
	for i := range 8 {
		zone := fmt.Sprintf("bl%d.test", i+1)
		lab.SetList(dnslab.List{Zone: zone, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/25")}})
		pattern, err := rbl.ParsePattern("127.0.0.2")
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, rbl.Entry{Use: rbl.NonCommercial, List: rbl.List{Name: fmt.Sprintf("bl%d", i+1), Zone: zone, Inputs: rbl.ClientIPv4,
			Rules: []rbl.Rule{{Answer: pattern, Label: "listed", Weight: 10}}, Listed: []string{"127.0.0.2"}, Free: []string{"127.0.0.1"}}})
	}
	s, err := rbl.NewSupervisor(entries, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := ListDNS(patient(b, lab))
	s.Probe(b.Context(), r, time.Now())
	for name, host := range map[string]byte{"listed": 1, "not listed": 200} {
		b.Run(name, func(b *testing.B) {
			subject := rbl.Subject{Client: netip.AddrFrom4([4]byte{198, 51, 100, host})}
			b.ReportAllocs()
			for b.Loop() {
				for _, res := range s.Check(b.Context(), r, time.Now(), subject) {
					if (res.Verdict == rbl.Listed) != (host == 1) {
						b.Fatalf("%+v", res)
					}
				}
			}
			b.ReportMetric(8*float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}
