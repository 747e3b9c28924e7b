package firewall

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// plan has each form that an entry may have.
func plan() *Plan {
	return &Plan{
		In: []Entry{
			{Why: "mail", Protocol: TCP, Port: 25},
			{Why: "console", Protocol: TCP, Port: 8443, Networks: prefixes("10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16", "fc00::/7", "fe80::/10")},
		},
		Out: []Entry{
			{Why: `next hop "x\y" {}; drop`, User: "gatepost", Protocol: TCP, Port: 25},
			{Why: "everything", User: "gatepost", Protocol: TCP},
			{Why: "DNS", User: "unbound", Protocol: UDP, Port: 53},
			{Why: "NTP", User: "_chrony", Protocol: UDP, Port: 123},
			{Why: "syslog", Protocol: UDP, Port: 514, Networks: prefixes("192.0.2.7/32")},
			{Why: "syslog", Protocol: UDP, Port: 514, Networks: prefixes("192.0.2.7/32")},
		},
	}
}

// number knows three users of four.
func number(user string) (int, bool) {
	n, ok := map[string]int{"gatepost": 901, "unbound": 902, "root": 0}[user]
	return n, ok
}

// TestRender shows what nft takes, whatever the plan says.
func TestRender(t *testing.T) {
	for name, p := range map[string]*Plan{"empty": {}, "full": plan()} {
		text := p.Render(number)
		cmd := exec.CommandContext(t.Context(), "nft", "-c", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("nft refuses the %s plan: %v (scripts/install installs it)\n%s\n%s", name, err, out, text)
		}
	}
	text := plan().Render(number)
	for _, want := range []string{
		"\t\ttcp dport 25 accept comment \"mail\"\n",
		"\t\tip saddr { 10.0.0.0/8, 192.168.0.0/16 } tcp dport 8443 accept",
		"\t\tip6 saddr { fc00::/7, fe80::/10 } tcp dport 8443 accept",
		"\t\tmeta skuid 901 tcp dport 25 accept comment \"next hop ?x?y? {}; drop\"\n",
		"\t\tmeta skuid 901 meta l4proto tcp accept",
		"\t\t# no user _chrony on this host: NTP\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not once %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "dport 514") != 1 {
		t.Errorf("what is said twice is not written once:\n%s", text)
	}
	if again := plan().Render(number); again != text {
		t.Error("the same plan is worded in two ways")
	}
}
