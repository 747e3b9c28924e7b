package limit

import "net/netip"

// Places are the nested networks of a client, as subjects of Client, Network and WideNetwork.
type Places struct {
	Client, Network, Wide netip.Prefix
}

// PlacesOf returns the networks of an address: /32, /26 and /21 of IPv4, also of one that is mapped into IPv6, and /64, /56
// and /48 of IPv6, where one host has a /64. An address that is none has no networks, and thus
// no limits.
func PlacesOf(a netip.Addr) Places {
	a = a.Unmap().WithZone("")
	client, network, wide := 64, 56, 48
	if a.Is4() {
		client, network, wide = 32, 26, 21
	}
	// Prefix fails only for the zero address, and returns the zero prefix then.
	var p Places
	p.Client, _ = a.Prefix(client)
	p.Network, _ = a.Prefix(network)
	p.Wide, _ = a.Prefix(wide)
	return p
}
