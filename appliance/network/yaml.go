package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is how large a file of settings may be, in octets.
const MaxFile = 64 << 10

// Read reads settings in the form that Text writes (YAML). file is their name for what is wrong with them, all of which is in the error,
// *Faults joined. A key that is not known is wrong.
func Read(file string, text []byte) (*Settings, error) {
	r := &reader{checker: checker{file: file}}
	s := new(Settings)
	r.mapping(r.parse(text), "", map[string]func(*yaml.Node, string){
		"hostname":   func(n *yaml.Node, k string) { s.Hostname = r.hostname(n, k) },
		"dns":        func(n *yaml.Node, k string) { s.DNS = r.addresses(n, k) },
		"ntp":        func(n *yaml.Node, k string) { s.NTP = r.servers(n, k) },
		"interfaces": func(n *yaml.Node, k string) { s.Interfaces = r.interfaces(n, k) },
	}, nil)
	return r.done(s)
}

// Text is what Read reads.
func (s *Settings) Text() ([]byte, error) { return yaml.Marshal(s) }

// reader walks through a document. It never follows aliases, so that a small document is a small one.
type reader struct {
	checker
	others func(n *yaml.Node, key string) // what becomes of keys that are not known, in parts that two forms share; nil: they are wrong
	notes  []string                       // what was left out, in words
}

// done looks at the whole where each part could be read.
func (r *reader) done(s *Settings) (*Settings, error) {
	if len(r.faults) == 0 {
		r.settings(s)
	}
	if len(r.faults) == 0 {
		return s, nil
	}
	var all []error
	for _, f := range r.faults[:min(len(r.faults), maxInterfaces)] {
		all = append(all, f)
	}
	return nil, errors.Join(all...)
}

// parse reads one document; nil where it is empty or none.
func (r *reader) parse(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		r.wrong(0, "", "", "it is larger than %d octets", MaxFile)
		return nil
	}
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.wrong(0, "", "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	case len(doc.Content) != 1:
		return nil
	}
	if n := doc.Content[0]; n.Tag != "!!null" {
		return n
	}
	return nil
}

// mapping hands each value of a mapping to what is for its key. Another key is wrong, or left out where others tells what to do.
func (r *reader) mapping(n *yaml.Node, where string, keys map[string]func(n *yaml.Node, key string), others func(n *yaml.Node, key string)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.wrong(n.Line, where, "write keys with values", "this is no mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := join(where, key.Value)
		read := keys[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || len(key.Value) > 64:
			r.wrong(key.Line, where, "", "a key is no short word")
		case seen[key.Value]:
			r.wrong(key.Line, path, "write it once", "it stands here twice")
		case read != nil:
			read(value, path)
		case others != nil:
			others(value, path)
		default:
			r.wrong(key.Line, path, "", "there is no such key")
		}
		seen[key.Value] = true
	}
}

func join(where, key string) string {
	if where == "" {
		return key
	}
	return where + "." + key
}

// list hands each item of a list to read; a scalar counts as a list of one where single says so.
func (r *reader) list(n *yaml.Node, key string, most int, single bool, read func(n *yaml.Node, key string)) {
	switch {
	case n.Tag == "!!null":
		return
	case n.Kind == yaml.ScalarNode && single:
		read(n, key)
		return
	case n.Kind != yaml.SequenceNode:
		r.wrong(n.Line, key, "write a list, as [a, b]", "this is no list")
		return
	case len(n.Content) > most:
		r.wrong(n.Line, key, "", "%d entries, at most %d", len(n.Content), most)
		return
	}
	for i, item := range n.Content {
		read(item, fmt.Sprintf("%s[%d]", key, i))
	}
}

// word is the text of a scalar; ok is false, and it was told, where there is none.
func (r *reader) word(n *yaml.Node, key string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || len(n.Value) > 255 {
		r.wrong(n.Line, key, "", "a word is needed here")
		return "", false
	}
	return n.Value, true
}

func (r *reader) hostname(n *yaml.Node, key string) string {
	text, ok := r.word(n, key)
	if !ok {
		return ""
	}
	name, why := hostname(text)
	if why != "" {
		r.wrong(n.Line, key, exampleHost, "%s", why)
	}
	return name
}

func (r *reader) address(n *yaml.Node, key string) (a netip.Addr) {
	text, ok := r.word(n, key)
	if !ok {
		return a
	}
	a, err := netip.ParseAddr(text)
	if why := unusable(a); err != nil || why != "" {
		r.wrong(n.Line, key, "write an address, as 192.0.2.1", "%.80q %s", text, why)
	}
	return a
}

func (r *reader) addresses(n *yaml.Node, key string) (out []netip.Addr) {
	r.list(n, key, maxServers, true, func(n *yaml.Node, k string) { out = append(out, r.address(n, k)) })
	return out
}

func (r *reader) servers(n *yaml.Node, key string) (out []string) {
	r.list(n, key, maxServers, true, func(n *yaml.Node, k string) {
		text, ok := r.word(n, k)
		if ok && !isServer(strings.ToLower(text)) {
			r.wrong(n.Line, k, "write a name or an address", "%.80q is no server", text)
		}
		out = append(out, strings.ToLower(text))
	})
	return out
}

func (r *reader) interfaces(n *yaml.Node, key string) (out []Interface) {
	r.list(n, key, maxInterfaces, false, func(n *yaml.Node, k string) {
		var x Interface
		r.mapping(n, k, map[string]func(*yaml.Node, string){
			"name":      func(n *yaml.Node, k string) { x.Name, _ = r.word(n, k) },
			"mac":       func(n *yaml.Node, k string) { x.MAC = r.mac(n, k) },
			"dhcp":      func(n *yaml.Node, k string) { x.DHCP = r.dhcp(n, k) },
			"refuse_ra": func(n *yaml.Node, k string) { x.RefuseRA = r.yes(n, k) },
			"addresses": func(n *yaml.Node, k string) { x.Addresses = r.prefixes(n, k) },
			"routes":    func(n *yaml.Node, k string) { x.Routes = r.routes(n, k) },
			"mtu":       func(n *yaml.Node, k string) { x.MTU = r.number(n, k) },
		}, nil)
		out = append(out, x)
	})
	return out
}

func (r *reader) mac(n *yaml.Node, key string) string {
	text, ok := r.word(n, key)
	if !ok {
		return ""
	}
	m, err := net.ParseMAC(text)
	if err != nil || len(m) != 6 {
		r.wrong(n.Line, key, "write it in quotes, as '52:54:00:12:34:56'", "%.40q is no MAC address", text)
	}
	return m.String()
}

func (r *reader) dhcp(n *yaml.Node, key string) string {
	text, ok := r.word(n, key)
	switch text {
	case "true", "on":
		text = DHCPYes
	case "false", "off":
		text = DHCPNo
	}
	if ok && !isDHCP(text) {
		r.wrong(n.Line, key, "write no, yes, ipv4 or ipv6", "%.20q is no kind of DHCP", text)
	}
	return text
}

func (r *reader) yes(n *yaml.Node, key string) bool {
	text, ok := r.word(n, key)
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true
	case "false", "no", "off":
		return false
	}
	if ok {
		r.wrong(n.Line, key, "write true or false", "%.20q is neither", text)
	}
	return false
}

func (r *reader) number(n *yaml.Node, key string) int {
	text, ok := r.word(n, key)
	v, err := strconv.Atoi(text)
	if ok && err != nil {
		r.wrong(n.Line, key, "", "%.20q is no number", text)
	}
	return v
}

func (r *reader) prefix(n *yaml.Node, key string) (p netip.Prefix) {
	text, ok := r.word(n, key)
	if !ok {
		return p
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		r.wrong(n.Line, key, "write an address with the length of its network, as 192.0.2.7/24", "%.80q is none", text)
	}
	return p
}

func (r *reader) prefixes(n *yaml.Node, key string) (out []netip.Prefix) {
	r.list(n, key, maxAddresses, true, func(n *yaml.Node, k string) { out = append(out, r.prefix(n, k)) })
	return out
}

// network reads where a route goes: a network, an address, or default for the family of its router, which may be told later.
func (r *reader) network(n *yaml.Node, key string) (p netip.Prefix) {
	text, ok := r.word(n, key)
	if !ok || text == "default" {
		return p
	}
	p, err := netip.ParsePrefix(text)
	if a, only := netip.ParseAddr(text); err != nil && only == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil {
		r.wrong(n.Line, key, "write a network, as 198.51.100.0/24, or default", "%.80q is none", text)
	}
	return p
}

func (r *reader) routes(n *yaml.Node, key string) (out []Route) {
	r.list(n, key, maxRoutes, false, func(n *yaml.Node, k string) {
		var x Route
		onLink := func(n *yaml.Node, k string) { x.OnLink = r.yes(n, k) }
		keys := map[string]func(*yaml.Node, string){
			"to":      func(n *yaml.Node, k string) { x.To = r.network(n, k) },
			"via":     func(n *yaml.Node, k string) { x.Via = r.address(n, k) },
			"on_link": onLink,
		}
		if r.others != nil { // of netplan
			keys["on-link"], keys["metric"] = onLink, nothing
		}
		r.mapping(n, k, keys, r.others)
		if !x.To.IsValid() && x.Via.IsValid() {
			x.To = Gateway(x.Via).To
		}
		out = append(out, x)
	})
	return out
}
