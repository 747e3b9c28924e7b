package network

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNotes bounds what is told of what was left out.
const maxNotes = 8

// ReadMetaData reads the file meta-data of cloud-init's NoCloud: the name of this host, and the number of the instance. All else in it
// is for others.
func ReadMetaData(file string, text []byte) (host, instance string, err error) {
	r := &reader{checker: checker{file: file}}
	s := new(Settings)
	name := func(n *yaml.Node, k string) { s.Hostname = r.hostname(n, k) }
	r.mapping(r.parse(text), "", map[string]func(*yaml.Node, string){
		"local-hostname": name,
		"hostname": func(n *yaml.Node, k string) {
			if s.Hostname == "" {
				name(n, k)
			}
		},
		"instance-id": func(n *yaml.Node, k string) { instance, _ = r.word(n, k) },
	}, func(*yaml.Node, string) {})
	if s, err = r.done(s); err != nil {
		return "", "", err
	}
	return s.Hostname, instance, nil
}

// ReadCloud reads cloud-init's network-config, version 1 or 2, with or without the key network around it. Physical interfaces are read, with
// addresses, routes, DHCP, MTU and name servers; what else it says is left out and told in notes. A value that is wrong is an error, and nothing
// of the file counts then.
func ReadCloud(file string, text []byte) (s *Settings, notes []string, err error) {
	r := &reader{checker: checker{file: file}}
	r.others = r.leftOut
	s = new(Settings)
	root := r.parse(text)
	if inner := value(root, "network"); inner != nil {
		root = inner
	}
	switch version := value(root, "version"); {
	case root == nil:
	case value(root, "config") != nil && value(root, "config").Value == "disabled":
	case version != nil && version.Value == "1":
		r.mapping(root, "", map[string]func(*yaml.Node, string){
			"version": func(*yaml.Node, string) {},
			"config": func(n *yaml.Node, k string) {
				r.list(n, k, 2*maxInterfaces, false, func(n *yaml.Node, k string) { r.entry(s, n, k) })
			},
		}, r.leftOut)
	case version != nil && version.Value == "2":
		r.mapping(root, "", map[string]func(*yaml.Node, string){
			"version":   func(*yaml.Node, string) {},
			"renderer":  func(*yaml.Node, string) {},
			"ethernets": func(n *yaml.Node, k string) { r.ethernets(s, n, k) },
		}, r.leftOut)
	default:
		r.wrong(root.Line, "version", "write version: 2, or 1", "no version that is known")
	}
	unique(s)
	s, err = r.done(s)
	return s, r.notes, err
}

// unique leaves out servers that several interfaces name.
func unique(s *Settings) {
	seen := map[netip.Addr]bool{}
	var out []netip.Addr
	for _, a := range s.DNS {
		if !seen[a] && a.IsValid() {
			out = append(out, a)
		}
		seen[a] = true
	}
	s.DNS = out[:min(len(out), maxServers)]
}

// value is that of a key of a mapping; nil where there is none.
func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// leftOut notes what is not read.
func (r *reader) leftOut(n *yaml.Node, key string) {
	if len(r.notes) < maxNotes {
		r.notes = append(r.notes, fmt.Sprintf("%s:%d: %s is left out: the appliance does not know it", r.file, n.Line, key))
	}
}

func nothing(*yaml.Node, string) {}

// dns reads the servers of an interface, or of all.
func (r *reader) dns(s *Settings) func(n *yaml.Node, key string) {
	return func(n *yaml.Node, key string) { s.DNS = append(s.DNS, r.addresses(n, key)...) }
}

// ethernets reads those of version 2: a mapping of names that mean an interface, or with match anything.
func (r *reader) ethernets(s *Settings, n *yaml.Node, key string) {
	if n.Kind != yaml.MappingNode || len(n.Content) > 2*maxInterfaces {
		r.wrong(n.Line, key, "", "a mapping of at most %d interfaces is needed here", maxInterfaces)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		s.Interfaces = append(s.Interfaces, r.ethernet(s, n.Content[i].Value, n.Content[i+1], join(key, cut(n.Content[i].Value))))
	}
}

// cut bounds what is told of a name.
func cut(text string) string { return text[:min(len(text), 40)] }

func (r *reader) ethernet(s *Settings, id string, n *yaml.Node, key string) Interface {
	x := Interface{Name: id}
	var four, six bool
	r.mapping(n, key, map[string]func(*yaml.Node, string){
		"match": func(n *yaml.Node, k string) {
			x.Name = ""
			r.mapping(n, k, map[string]func(*yaml.Node, string){
				"name":       func(n *yaml.Node, k string) { x.Name, _ = r.word(n, k) },
				"macaddress": func(n *yaml.Node, k string) { x.MAC = r.mac(n, k) },
			}, func(n *yaml.Node, k string) {
				r.wrong(n.Line, k, "write name or macaddress", "interfaces are not told apart by this")
			})
		},
		"dhcp4": func(n *yaml.Node, k string) { four = r.yes(n, k) },
		"dhcp6": func(n *yaml.Node, k string) { six = r.yes(n, k) },
		"accept-ra": func(n *yaml.Node, k string) {
			x.RefuseRA = !r.yes(n, k)
		},
		"addresses": func(n *yaml.Node, k string) { x.Addresses = r.prefixes(n, k) },
		"gateway4":  func(n *yaml.Node, k string) { x.Routes = append(x.Routes, Gateway(r.address(n, k))) },
		"gateway6":  func(n *yaml.Node, k string) { x.Routes = append(x.Routes, Gateway(r.address(n, k))) },
		"routes":    func(n *yaml.Node, k string) { x.Routes = append(x.Routes, r.routes(n, k)...) },
		"mtu":       func(n *yaml.Node, k string) { x.MTU = r.number(n, k) },
		"nameservers": func(n *yaml.Node, k string) {
			r.mapping(n, k, map[string]func(*yaml.Node, string){"addresses": r.dns(s), "search": nothing}, r.leftOut)
		},
		"set-name": nothing, "optional": nothing, "critical": nothing, "dhcp-identifier": nothing, "wakeonlan": nothing,
	}, r.leftOut)
	if x.MAC != "" {
		x.Name = "" // it is to be given that name, and does not have it yet
	}
	x.DHCP = dhcpOf(four, six)
	return x
}

func dhcpOf(four, six bool) string {
	switch {
	case four && six:
		return DHCPYes
	case four:
		return DHCPv4
	case six:
		return DHCPv6
	}
	return ""
}

// entry reads one of version 1.
func (r *reader) entry(s *Settings, n *yaml.Node, key string) {
	switch kind := value(n, "type"); {
	case kind != nil && kind.Value == "physical":
		r.physical(s, n, key)
	case kind != nil && kind.Value == "nameserver":
		r.mapping(n, key, map[string]func(*yaml.Node, string){"type": nothing, "address": r.dns(s), "search": nothing}, r.leftOut)
	case kind != nil && kind.Kind == yaml.ScalarNode:
		r.leftOut(n, key+" ("+cut(kind.Value)+")")
	default:
		r.wrong(n.Line, key, "write type: physical", "this has no type")
	}
}

func (r *reader) physical(s *Settings, n *yaml.Node, key string) {
	var x Interface
	var four, six bool
	r.mapping(n, key, map[string]func(*yaml.Node, string){
		"type":        nothing,
		"name":        func(n *yaml.Node, k string) { x.Name, _ = r.word(n, k) },
		"mac_address": func(n *yaml.Node, k string) { x.MAC = r.mac(n, k) },
		"mtu":         func(n *yaml.Node, k string) { x.MTU = r.number(n, k) },
		"accept-ra":   func(n *yaml.Node, k string) { x.RefuseRA = !r.yes(n, k) },
		"subnets": func(n *yaml.Node, k string) {
			r.list(n, k, maxAddresses, false, func(n *yaml.Node, k string) {
				kind := value(n, "type")
				if kind == nil {
					r.wrong(n.Line, k, "write type: static, or dhcp", "this has no type")
					return
				}
				switch kind.Value {
				case "dhcp", "dhcp4":
					four = true
				case "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless":
					six = true
				case "ipv6_slaac":
				case "static", "static6":
				case "manual":
					return
				default:
					r.wrong(kind.Line, k+".type", "write static, static6, dhcp4, dhcp6 or ipv6_slaac", "%.40q is not known", kind.Value)
				}
				r.subnet(s, &x, n, k)
			})
		},
	}, r.leftOut)
	if x.MAC != "" {
		x.Name = ""
	} else if x.Name == "" {
		r.wrong(n.Line, key, "write its name or mac_address", "nothing says which interface this is")
	}
	x.DHCP = dhcpOf(four, six)
	s.Interfaces = append(s.Interfaces, x)
}

// subnet reads an address with its network, and the way out of it.
func (r *reader) subnet(s *Settings, x *Interface, n *yaml.Node, key string) {
	var address, mask *yaml.Node
	r.mapping(n, key, map[string]func(*yaml.Node, string){
		"type": nothing, "control": nothing, "dns_search": nothing, "broadcast": nothing,
		"address":         func(n *yaml.Node, _ string) { address = n },
		"netmask":         func(n *yaml.Node, _ string) { mask = n },
		"gateway":         func(n *yaml.Node, k string) { x.Routes = append(x.Routes, Gateway(r.address(n, k))) },
		"dns_nameservers": r.dns(s),
		"routes": func(n *yaml.Node, k string) {
			r.list(n, k, maxRoutes, false, func(n *yaml.Node, k string) { x.Routes = append(x.Routes, r.oldRoute(n, k)) })
		},
	}, r.leftOut)
	if address == nil {
		return
	}
	text, ok := r.word(address, key+".address")
	if ok {
		x.Addresses = append(x.Addresses, r.masked(text, mask, address.Line, key))
	}
}

// masked reads an address whose network may stand beside it.
func (r *reader) masked(text string, mask *yaml.Node, line int, key string) netip.Prefix {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p
	}
	if a, err := netip.ParseAddr(text); err == nil && mask != nil && mask.Kind == yaml.ScalarNode {
		if bits, ok := maskBits(mask.Value, a.Is4()); ok {
			return netip.PrefixFrom(a, bits)
		}
	}
	r.wrong(line, key, "write an address with the length of its network, as 192.0.2.7/24", "%.80q has no network", text)
	return netip.Prefix{}
}

// maskBits reads a mask as 255.255.255.0, or the length of the network.
func maskBits(text string, four bool) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, n >= 0 && (n <= 32 || !four && n <= 128)
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() != four {
		return 0, false
	}
	bits, zero := 0, false
	for _, b := range a.AsSlice() {
		for i := 7; i >= 0; i-- {
			set := b&(1<<i) != 0
			if set && zero {
				return 0, false
			}
			if zero = !set; set {
				bits++
			}
		}
	}
	return bits, true
}

// oldRoute reads a route of version 1.
func (r *reader) oldRoute(n *yaml.Node, key string) (out Route) {
	var to, mask *yaml.Node
	network := func(n *yaml.Node, _ string) { to = n }
	r.mapping(n, key, map[string]func(*yaml.Node, string){
		"network": network, "destination": network,
		"netmask": func(n *yaml.Node, _ string) { mask = n },
		"gateway": func(n *yaml.Node, k string) { out.Via = r.address(n, k) },
	}, r.leftOut)
	if to == nil {
		r.wrong(n.Line, key, "write destination and gateway", "nothing says where this goes")
		return out
	}
	if text, ok := r.word(to, key); ok {
		out.To = r.masked(strings.Replace(text, "default", "0.0.0.0/0", 1), mask, to.Line, key)
	}
	return out
}
