package routing

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gatepost/gateway"
)

// manyAliases is a policy with that many lines of a file, a tenth of them lists of ten.
func manyAliases(tb testing.TB, n int) *gateway.Policy {
	tb.Helper()
	p := &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "internal", Subaddress: "+"}}}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "alias.number%d@example.org user%d@example.org", i, i%5000)
		for j := range (i % 10) / 9 * 9 {
			fmt.Fprintf(&b, ", user%d@example.org", i%5000+j+1)
		}
		b.WriteByte('\n')
	}
	aliases, maps, problems, err := ReadFile("aliases", strings.NewReader(b.String()))
	if err != nil || len(problems) > 0 {
		tb.Fatal(problems, err)
	}
	in := &Input{Aliases: aliases, Maps: maps, RouteAt: func(*gateway.Domain) string { return "policy.toml:2" }}
	in.Maps = append(in.Maps, Map{From: "old.example", To: "example.org"})
	if p.Routing, problems = Build(p, in); len(problems) > 0 {
		tb.Fatal(problems)
	}
	return p
}

// BenchmarkDestination is the look-up at RCPT beside 100,000 aliases.
func BenchmarkDestination(b *testing.B) {
	p := manyAliases(b, 100_000)
	plain := &gateway.Policy{Domains: p.Domains}
	for _, c := range []struct {
		name, local, domain string
		p                   *gateway.Policy
	}{
		{"nothing is said", "ann.smith", "example.org", plain},
		{"no alias", "ann.smith", "example.org", p},
		{"no alias, detail", "ann.smith+list", "example.org", p},
		{"alias", "Alias.Number77777", "example.org", p},
		{"domain", "ann.smith", "old.example", p},
		{"not served", "ann.smith", "other.example", p},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := mustAddress(c.local, c.domain)
			b.ReportAllocs()
			for b.Loop() {
				if d := c.p.Destination(a); (d.Domain == nil) != (c.name == "not served") {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkBuild reads and works out the largest file, and tells what it keeps of it.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100_000, MaxLines} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				p := manyAliases(b, n)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/alias")
				runtime.KeepAlive(p)
			}
		})
	}
}

// TestDestinationMakesNoMemory shows that a recipient of whom nothing is said costs no memory, whatever is said of others.
func TestDestinationMakesNoMemory(t *testing.T) {
	p := manyAliases(t, 1000)
	for _, a := range []gateway.Address{mustAddress("ann.smith", "example.org"), mustAddress("ann+list", "example.org"), mustAddress("x", "other.example")} {
		if n := testing.AllocsPerRun(100, func() { p.Destination(a) }); n > 0 {
			t.Errorf("%s: %v allocations", a.Text, n)
		}
	}
}
