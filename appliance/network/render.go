package network

import (
	"fmt"
	"strings"
)

// Files are what Render makes, by their paths below /run.
const (
	networkFile = "systemd/network/50-gatepost-%02d.network" // of an interface; they go before the image's own, 80-gatepost-dhcp
	networkGlob = "systemd/network/50-gatepost-*.network"
	resolver    = "gatepost-network/unbound.conf"
	clock       = "gatepost-network/chrony/gatepost.sources"
)

// Render words settings that were checked for systemd-networkd (systemd.network(5)), unbound (unbound.conf(5)) and chrony (sourcedir of
// chrony.conf(5)): paths below /run, and what is in them.
func (s *Settings) Render() map[string]string {
	out := map[string]string{}
	for i := range s.Interfaces {
		out[fmt.Sprintf(networkFile, i)] = s.Interfaces[i].render()
	}
	var b strings.Builder
	b.WriteString("# By gatepost appliance network.\n") // there is always one: unbound starts with no file that it names missing
	if len(s.DNS) > 0 {
		b.WriteString("# Whom the resolver asks; it validates what they answer.\nforward-zone:\n\tname: \".\"\n")
	}
	for _, a := range s.DNS {
		fmt.Fprintf(&b, "\tforward-addr: %s\n", a)
	}
	out[resolver] = b.String()
	if len(s.NTP) > 0 {
		var b strings.Builder
		for _, n := range s.NTP {
			fmt.Fprintf(&b, "server %s iburst\n", n)
		}
		out[clock] = b.String()
	}
	return out
}

// render words one interface. Names are resolved by the appliance itself, so that the servers of DHCP are not asked.
func (n *Interface) render() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# By gatepost appliance network; written anew at each start.\n[Match]")
	if n.Name != "" {
		line("Name=%s", n.Name)
	}
	if n.MAC != "" {
		line("MACAddress=%s", n.MAC)
	}
	line("Type=ether\nKind=!*")
	if n.MTU > 0 {
		line("\n[Link]\nMTUBytes=%d", n.MTU)
	}
	dhcp := n.DHCP
	if dhcp == "" {
		dhcp = DHCPNo
	}
	line("\n[Network]\nDHCP=%s", dhcp)
	if n.RefuseRA {
		line("IPv6AcceptRA=no")
	} else {
		line("IPv6AcceptRA=yes")
	}
	for _, a := range n.Addresses {
		line("Address=%s", a)
	}
	for _, r := range n.Routes {
		line("\n[Route]\nDestination=%s\nGateway=%s", r.To, r.Via)
		if r.OnLink {
			line("GatewayOnLink=yes")
		}
	}
	for _, part := range []string{"DHCPv4", "DHCPv6", "IPv6AcceptRA"} {
		line("\n[%s]\nUseDNS=no", part)
		if part != "IPv6AcceptRA" {
			line("UseHostname=no")
		}
	}
	return b.String()
}
