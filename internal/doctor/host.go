package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// host looks at the names of this host as strangers see them.
func (w *World) host(ctx context.Context, r *Report) {
	p := r.at(0)
	const id = "host.name"
	if !strings.Contains(strings.Trim(w.Hostname, "."), ".") || same(w.Hostname, "localhost.localdomain") {
		p.fail(id, w.Hostname, "is not fully qualified: it stands in the banner, in EHLO and in Received", w.key("hostname", `"mx.example.org"`))
		return
	}
	a := w.DNS.Lookup(ctx, w.Hostname, Addresses)
	switch {
	case a.Status == None:
		p.fail(id, w.Hostname, "has no address", w.addressFix(ctx, w.Hostname)...)
		return
	case a.Status != Found:
		p.unknown(id, w.Hostname, "could not be looked up: "+a.Detail)
		return
	case len(a.Aliases) > 0:
		p.warn(id, w.Hostname, "is an alias (CNAME) of "+a.Aliases[len(a.Aliases)-1]+": as an MX it must not be", w.key("hostname", `"`+a.Aliases[len(a.Aliases)-1]+`"`))
	case !slices.ContainsFunc(a.Addrs, reachable):
		p.fail(id, w.Hostname, "is "+join(a.Addrs)+", which cannot be reached from outside", w.addressFix(ctx, w.Hostname)...)
	default:
		p.ok(id, w.Hostname, "is "+join(a.Addrs))
	}
	var all sync.WaitGroup
	for i, addr := range a.Addrs[:min(len(a.Addrs), mostHosts)] {
		all.Go(func() { w.reverse(ctx, r.at(i+1), addr) })
	}
	all.Wait()
}

// reverse looks at the names of one address.
func (w *World) reverse(ctx context.Context, p part, addr netip.Addr) {
	const id = "host.fcrdns"
	about := addr.String()
	if addr.IsPrivate() || addr.IsLoopback() {
		p.ok(id, about, "is private: nobody outside sees it")
		return
	}
	ptr := w.DNS.Reverse(ctx, addr)
	line := record(reverseName(addr), "PTR", fqdn(w.Hostname)) + "    set by whoever gave you the address"
	switch {
	case ptr.Status == None:
		p.warn(id, about, "has no name (PTR): servers refuse mail from it, such as notices and reports that leave directly", line)
		return
	case ptr.Status != Found:
		p.unknown(id, about, "its name could not be looked up: "+ptr.Detail)
		return
	}
	confirmed, failed := "", ""
	for _, h := range ptr.Hosts[:min(len(ptr.Hosts), mostHosts)] {
		a := w.DNS.Lookup(ctx, h.Name, Addresses)
		switch {
		case slices.Contains(a.Addrs, addr) && (confirmed == "" || same(h.Name, w.Hostname)):
			confirmed = h.Name
		case a.Status == Failed || a.Status == Bogus:
			failed = h.Name
		}
	}
	switch {
	case confirmed == "" && failed != "":
		p.unknown(id, about, "its name "+failed+" could not be looked up")
	case confirmed == "":
		p.warn(id, about, "is named "+ptr.Hosts[0].Name+", which does not lead back to it", line, addressRecord(ptr.Hosts[0].Name, addr))
	case !same(confirmed, w.Hostname):
		p.warn(id, about, "is named "+confirmed+", and this host greets as "+w.Hostname, line, "or "+w.key("hostname", `"`+confirmed+`"`))
	case w.GenericName != nil && w.GenericName(confirmed, addr):
		p.warn(id, about, confirmed+" looks like a name that a provider gives to its customers' lines: servers hold mail from it for a botnet's", line, w.key("hostname", `"mx.example.org"`)+"    with a name of your own, in DNS both ways")
	default:
		p.ok(id, about, "is named "+confirmed+", which leads back to it")
	}
}

// reverseName is the name below in-addr.arpa or ip6.arpa of an address.
func reverseName(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		o := a.As4()
		for i := 3; i >= 0; i-- {
			b.WriteString(netip.AddrFrom4([4]byte{0, 0, 0, o[i]}).String()[len("0.0.0."):] + ".")
		}
		return b.String() + "in-addr.arpa"
	}
	o := a.As16()
	const hex = "0123456789abcdef"
	for i := 15; i >= 0; i-- {
		b.WriteString(string([]byte{hex[o[i]&15], '.', hex[o[i]>>4], '.'}))
	}
	return b.String() + "ip6.arpa"
}
