package api

import (
	"net/netip"
	"time"
)

// Network is how the network of the appliance is set up.
type Network struct {
	None     string            `json:"none,omitempty"` // why this machine is no appliance; all else is empty then
	Hostname string            `json:"hostname,omitempty"`
	DNS      []netip.Addr      `json:"dns,omitempty"` // whom the own resolver asks
	NTP      []string          `json:"ntp,omitempty"`
	Ports    []NetworkPort     `json:"ports"`             // as they are now
	Settings string            `json:"settings"`          // of the interfaces and all else, in the form that can be sent back
	From     map[string]string `json:"from,omitempty"`    // of hostname, dns, ntp and interfaces: which place says it
	Trouble  []string          `json:"trouble,omitempty"` // what could not be used, a line each
	Saved    string            `json:"saved,omitempty"`   // what an operator saved, likewise
	Until    *time.Time        `json:"until,omitempty"`   // settings are on trial until then, and have to be confirmed

	Interfaces []NetworkInterface `json:"interfaces"` // as Settings has them
}

// NetworkInterface is how one is set up, in the form of docs/appliance.md.
type NetworkInterface struct {
	Name      string         `json:"name,omitempty"`
	MAC       string         `json:"mac,omitempty"`
	DHCP      string         `json:"dhcp,omitempty"` // no, yes, ipv4, ipv6; empty: no
	RefuseRA  bool           `json:"refuse_ra,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Routes    []NetworkRoute `json:"routes,omitempty"`
	MTU       int            `json:"mtu,omitempty"`
}

// NetworkRoute is the way to a network, or to all others.
type NetworkRoute struct {
	To     netip.Prefix `json:"to"`
	Via    netip.Addr   `json:"via"`
	OnLink bool         `json:"on_link,omitempty"`
}

// NetworkPort is an interface of the machine.
type NetworkPort struct {
	Name      string         `json:"name"`
	MAC       string         `json:"mac,omitempty"`
	Up        bool           `json:"up"`
	Addresses []netip.Prefix `json:"addresses"`
}

// NetworkSet is what an operator wants in place of all that he wanted before.
type NetworkSet struct {
	Settings string        `json:"settings" doc:"Settings in YAML, as docs/appliance.md has them: hostname, dns, ntp, interfaces. Empty: nothing, so that other places count, and DHCP"`
	Within   time.Duration `json:"within" default:"3m" doc:"How long interfaces that change are tried, 30s to 10m: what was before comes back unless they are confirmed"`
}

// NetworkName is the name of the machine.
type NetworkName struct {
	Hostname string `json:"hostname" doc:"A fully qualified name, 64 characters at most. The gateway restarts under it"`
}
