package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Table is the name of the table, of the family inet. Loading a rendered plan replaces it whole, at once, and touches no other.
const Table = "gatepost"

// always are the rules of each direction before those of a plan.
const (
	alwaysIn = `		ct state vmap { established : accept, related : accept, invalid : drop }
		iif lo accept
		ip protocol icmp icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
		icmp type echo-request limit rate 20/second accept
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld2-listener-report } accept
		icmpv6 type echo-request limit rate 20/second accept
		udp sport 67 udp dport 68 accept comment "DHCP"
		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCP"
`
	alwaysOut = `		ct state vmap { established : accept, related : accept }
		oif lo accept
		meta l4proto { icmp, icmpv6 } accept
		udp sport 68 udp dport 67 accept comment "DHCP"
		ip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 udp dport 547 accept comment "DHCP"
`
)

// Render words a plan for nft -f. What is dropped on its way out by a process is refused at once instead, so that it need not wait
// for a time-out. id finds the number of a user; an entry whose user it does not know is left out, as a comment.
func (p *Plan) Render(id func(user string) (number int, ok bool)) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the gateway uses of the network; made from its configuration.\ntable inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	b.WriteString("\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n" + alwaysIn)
	for _, e := range sorted(p.In) {
		writeRules(&b, &e, "saddr", "")
	}
	b.WriteString("\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n")
	b.WriteString("\tchain output {\n\t\ttype filter hook output priority filter; policy drop;\n" + alwaysOut)
	for _, e := range sorted(p.Out) {
		owner := ""
		if e.User != "" {
			number, ok := id(e.User)
			if !ok {
				fmt.Fprintf(&b, "\t\t# no user %s on this host: %s\n", e.User, words(e.Why))
				continue
			}
			owner = "meta skuid " + strconv.Itoa(number) + " "
		}
		writeRules(&b, &e, "daddr", owner)
	}
	b.WriteString("\t\treject with icmpx admin-prohibited\n\t}\n}\n")
	return b.String()
}

// writeRules writes the rule of an entry, one for each family that its networks are of.
func writeRules(b *strings.Builder, e *Entry, peer, owner string) {
	match := owner
	if e.Port == 0 {
		match += "meta l4proto " + e.Protocol
	} else {
		match += e.Protocol + " dport " + strconv.Itoa(int(e.Port))
	}
	tail := " accept comment \"" + words(e.Why) + "\"\n"
	if len(e.Networks) == 0 {
		b.WriteString("\t\t" + match + tail)
		return
	}
	for _, family := range []struct {
		name string
		four bool
	}{{"ip", true}, {"ip6", false}} {
		if of := familyOf(e.Networks, family.four); len(of) > 0 {
			b.WriteString("\t\t" + family.name + " " + peer + " { " + strings.Join(of, ", ") + " } " + match + tail)
		}
	}
}

// familyOf are the networks of one family, without those inside others: nft refuses sets whose parts overlap.
func familyOf(networks []netip.Prefix, four bool) []string {
	var own []netip.Prefix
	for _, n := range networks {
		if n.Addr().Is4() == four {
			own = append(own, n.Masked())
		}
	}
	slices.SortFunc(own, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Addr().Compare(b.Addr()))
	})
	var kept []netip.Prefix
	var out []string
	for _, n := range own {
		if !slices.ContainsFunc(kept, func(k netip.Prefix) bool { return k.Overlaps(n) }) {
			kept = append(kept, n)
			out = append(out, n.String())
		}
	}
	return out
}

// sorted brings entries into an order that depends on nothing but them, each once.
func sorted(list []Entry) []Entry {
	out := slices.Clone(list)
	key := func(e *Entry) string {
		return fmt.Sprintf("%s %05d %s %s %v", e.Protocol, e.Port, e.User, e.Why, e.Networks)
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(key(&a), key(&b)) })
	return slices.CompactFunc(out, func(a, b Entry) bool { return key(&a) == key(&b) })
}

// words are what a comment of nft may hold: its strings know no escapes, and 128 octets.
func words(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), 120)]
}
