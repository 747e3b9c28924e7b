// Package firewall says what of the network a gateway uses, and words it for nftables (nft(8)). It knows ports, networks and users of
// the system; what they are for is told to it. It loads nothing, and never resolves a name: a peer that is known by name only is
// allowed by its port, and by the user that connects.
//
// All is dropped, in, out and between interfaces, but what a Plan names and what no host can do without: loopback, answers, the
// messages of ICMP that the Internet needs (RFC 4890 section 4.4), and asking for an address (DHCP).
package firewall

import "net/netip"

// Protocols of an entry.
const (
	TCP = "tcp"
	UDP = "udp"
)

// Plan is what a gateway uses of the network.
type Plan struct{ In, Out []Entry }

// Entry allows connections in one direction.
type Entry struct {
	Why      string         // what for, in words; it becomes a comment
	User     string         // out: whose processes; empty: everybody's. In: of no account
	Protocol string         // TCP or UDP
	Port     uint16         // in: ours; out: the peer's. 0: all ports
	Networks []netip.Prefix // the peers; none: everybody
}
