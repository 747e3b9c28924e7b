// Package network is what the appliance knows of its network: its name, its addresses, whom it asks for names and for the time. It reads
// that from what an operator saved, from the kernel's command line, from a credential of systemd and from a volume of cloud-init (NoCloud),
// and words it for systemd-networkd, unbound and chrony. It knows nothing of mail.
//
// What cannot be read is left out and told, never guessed: an interface that nothing is said of has DHCP, by a file of the image.
package network

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// Bounds of what one source may say.
const (
	maxInterfaces = 16
	maxAddresses  = 16
	maxRoutes     = 32
	maxServers    = 8
	maxHostname   = 64 // of the Linux kernel; DNS would allow more
	minMTU        = 576
	maxMTU        = 65535
)

// What an interface asks DHCP for.
const (
	DHCPNo   = "no"
	DHCPYes  = "yes" // both families
	DHCPv4   = "ipv4"
	DHCPv6   = "ipv6"
	anyWired = "every wired interface"
)

// Settings are those of the network. Each part that is empty is not said by this source, and another one, or the default, counts.
type Settings struct {
	Hostname   string       `yaml:"hostname,omitempty" json:"hostname,omitempty"`     // fully qualified, lower case
	DNS        []netip.Addr `yaml:"dns,omitempty" json:"dns,omitempty"`               // whom the own resolver asks, instead of the servers of each zone
	NTP        []string     `yaml:"ntp,omitempty" json:"ntp,omitempty"`               // names or addresses, beside the image's own
	Interfaces []Interface  `yaml:"interfaces,omitempty" json:"interfaces,omitempty"` // one that is not named here has DHCP
}

// Interface is how one is set up. It is known by its name or by its MAC address; with neither of them every wired one is meant.
type Interface struct {
	Name      string         `yaml:"name,omitempty" json:"name,omitempty"` // of the kernel; * and ? stand for others
	MAC       string         `yaml:"mac,omitempty" json:"mac,omitempty"`   // six octets with colons
	DHCP      string         `yaml:"dhcp,omitempty" json:"dhcp,omitempty"` // DHCPNo, which is what empty means, DHCPYes, DHCPv4 or DHCPv6
	RefuseRA  bool           `yaml:"refuse_ra,omitempty" json:"refuse_ra,omitempty"`
	Addresses []netip.Prefix `yaml:"addresses,omitempty" json:"addresses,omitempty"`
	Routes    []Route        `yaml:"routes,omitempty" json:"routes,omitempty"`
	MTU       int            `yaml:"mtu,omitempty" json:"mtu,omitempty"` // octets; 0: the interface's own
}

// Route is the way to a network. To is 0.0.0.0/0 or ::/0 for a default gateway.
type Route struct {
	To     netip.Prefix `yaml:"to" json:"to"`
	Via    netip.Addr   `yaml:"via" json:"via"`
	OnLink bool         `yaml:"on_link,omitempty" json:"on_link,omitempty"` // Via is reached although it is in no network of the addresses
}

// Gateway is the route to everything else by a router.
func Gateway(via netip.Addr) Route {
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if via.Is6() {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return Route{To: to, Via: via}
}

// Fault is what is wrong with a value.
type Fault struct {
	File    string // the source
	Line    int    // 0: it has none
	Key     string
	What    string
	Instead string // what to write; may be empty
}

// Error says it in one line: source, line, key, what is wrong, what to write.
func (f *Fault) Error() string {
	at := f.File
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	if f.Key != "" {
		at += ": " + f.Key
	}
	if f.Instead != "" {
		return at + ": " + f.What + "; " + f.Instead
	}
	return at + ": " + f.What
}

// Check looks at what a program made of input; a reader of a file does it with lines. file is the source for the error, a *Fault.
func (s *Settings) Check(file string) error {
	c := &checker{file: file}
	c.settings(s)
	if len(c.faults) > 0 {
		return c.faults[0]
	}
	return nil
}

// checker gathers what is wrong.
type checker struct {
	file   string
	faults []*Fault
}

func (c *checker) wrong(line int, key, instead, what string, args ...any) {
	c.faults = append(c.faults, &Fault{File: c.file, Line: line, Key: key, What: fmt.Sprintf(what, args...), Instead: instead})
}

// settings looks at what no single value tells.
func (c *checker) settings(s *Settings) {
	if s.Hostname != "" {
		if _, why := hostname(s.Hostname); why != "" {
			c.wrong(0, "hostname", exampleHost, "%s", why)
		}
	}
	for _, a := range s.DNS {
		if why := unusable(a); why != "" {
			c.wrong(0, "dns", "", "%s %s", a, why)
		}
	}
	for _, n := range s.NTP {
		if !isServer(n) {
			c.wrong(0, "ntp", "write a name or an address", "%.80q is no server", n)
		}
	}
	if len(s.Interfaces) > maxInterfaces || len(s.DNS) > maxServers || len(s.NTP) > maxServers {
		c.wrong(0, "", "", "at most %d interfaces, %d servers for names and %d for the time", maxInterfaces, maxServers, maxServers)
	}
	seen := map[string]bool{}
	for i := range s.Interfaces {
		n := &s.Interfaces[i]
		if who := n.Who(); seen[who] {
			c.wrong(0, "interfaces", "write it once", "%s is set up twice", who)
		} else {
			seen[who] = true
		}
		c.interfaces(n)
	}
	if seen[anyWired] && len(seen) > 1 {
		c.wrong(0, "interfaces", "write the name or the MAC address of each", "one is for every wired interface, and others are named")
	}
}

// interfaces looks at one.
func (c *checker) interfaces(n *Interface) {
	key := "interfaces: " + n.Who()
	if why := n.badName(); why != "" {
		c.wrong(0, key, "", "%s", why)
	}
	if n.DHCP != "" && !isDHCP(n.DHCP) {
		c.wrong(0, key+": dhcp", "write no, yes, ipv4 or ipv6", "%.20q is no kind of DHCP", n.DHCP)
	}
	if n.MTU != 0 && (n.MTU < minMTU || n.MTU > maxMTU) {
		c.wrong(0, key+": mtu", "", "%d is not between %d and %d", n.MTU, minMTU, maxMTU)
	}
	if len(n.Addresses) > maxAddresses || len(n.Routes) > maxRoutes {
		c.wrong(0, key, "", "at most %d addresses and %d routes", maxAddresses, maxRoutes)
	}
	if len(n.Addresses) == 0 && (n.DHCP == "" || n.DHCP == DHCPNo) && n.RefuseRA {
		c.wrong(0, key, "write addresses, or dhcp", "it would have no address at all")
	}
	for _, p := range n.Addresses {
		if why := badAddress(p); why != "" {
			c.wrong(0, key+": addresses", "write the address of this host with the length of its network, as 192.0.2.7/24", "%s %s", p, why)
		}
	}
	for _, r := range n.Routes {
		if why := n.badRoute(r); why != "" {
			c.wrong(0, key+": routes", "", "%s", why)
		}
	}
}

// Who says which interface is meant, for people.
func (n *Interface) Who() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.MAC != "":
		return n.MAC
	}
	return anyWired
}

// badName says what is wrong with what it is known by.
func (n *Interface) badName() string {
	if n.Name != "" && !regexp.MustCompile(`^[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,14}$`).MatchString(n.Name) {
		return fmt.Sprintf("%.40q is no name of an interface", n.Name)
	}
	if n.MAC != "" {
		if m, err := net.ParseMAC(n.MAC); err != nil || len(m) != 6 {
			return fmt.Sprintf("%.40q is no MAC address", n.MAC)
		}
	}
	return ""
}

func isDHCP(text string) bool {
	return text == DHCPNo || text == DHCPYes || text == DHCPv4 || text == DHCPv6
}

// badAddress says why an address cannot be that of an interface.
func badAddress(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return "is none"
	case a.Zone() != "" || a.Is4In6():
		return "is no plain address"
	case unusable(a) != "":
		return unusable(a)
	case p.Bits() == 0:
		return "has no network"
	case a.Is4() && p.Bits() < 31 && a == p.Masked().Addr():
		return "is the network itself"
	case a.Is4() && p.Bits() < 31 && a == last(p):
		return "is the broadcast address of its network"
	}
	return ""
}

// last is the highest address of an IPv4 network.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// unusable says why an address is no other host's.
func unusable(a netip.Addr) string {
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return "is no address"
	case a.IsLoopback():
		return "is this host itself"
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is of many hosts"
	}
	return ""
}

// badRoute says what is wrong with a route of the interface.
func (n *Interface) badRoute(r Route) string {
	switch {
	case !r.To.IsValid() || !r.Via.IsValid():
		return "a route needs a network and a router"
	case r.To != r.To.Masked():
		return fmt.Sprintf("%s is an address and no network: that is %s", r.To, r.To.Masked())
	case r.To.Addr().Is4() != r.Via.Is4() || r.Via.Is4In6():
		return fmt.Sprintf("the way to %s cannot go by %s: they are of different families", r.To, r.Via)
	case unusable(r.Via) != "":
		return fmt.Sprintf("the router %s %s", r.Via, unusable(r.Via))
	case r.OnLink || r.Via.IsLinkLocalUnicast():
		return ""
	}
	for _, p := range n.Addresses {
		if p.Addr() == r.Via {
			return fmt.Sprintf("the router %s is this host itself", r.Via)
		}
	}
	for _, p := range n.Addresses {
		if p.Contains(r.Via) {
			return ""
		}
	}
	if n.DHCP != "" && n.DHCP != DHCPNo {
		return "" // it may be in the network that comes by DHCP
	}
	return fmt.Sprintf("the router %s is in no network of the addresses %v", r.Via, n.Addresses)
}

const exampleHost = "write a fully qualified name, as mx.example.org"

// hostname reads a name as this host may have it: RFC 1123 section 2.1, fully qualified.
func hostname(text string) (name, why string) {
	name = strings.ToLower(strings.TrimSuffix(text, "."))
	switch {
	case len(name) > maxHostname:
		return "", fmt.Sprintf("a name of this host has at most %d characters", maxHostname)
	case !isName(name):
		return "", fmt.Sprintf("%.80q is no name of a host", text)
	case !strings.Contains(name, "."):
		return "", fmt.Sprintf("%.80q is not fully qualified", text)
	}
	return name, ""
}

// isName reports whether a text is a name as hosts have them, in lower case, that is no address.
func isName(name string) bool {
	const label = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	if len(name) > 253 || !regexp.MustCompile(`^`+label+`(\.`+label+`)*$`).MatchString(name) {
		return false
	}
	end := name[strings.LastIndexByte(name, '.')+1:]
	return strings.ContainsFunc(end, func(r rune) bool { return r < '0' || r > '9' })
}

// isServer reports whether a text is a name or an address of another host.
func isServer(text string) bool {
	if a, err := netip.ParseAddr(text); err == nil {
		return unusable(a) == "" && a.Zone() == ""
	}
	return isName(text)
}
