package importer

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/importer/lists"
)

// ListOptions are what an import of a list is told beside Options.
type ListOptions struct {
	Options
	File   string // its name, for the report
	Kind   string // "allow", "block", or "" where each row says it
	Reason string // put before each entry's own
	Now    time.Time
}

// FromLists maps a list of another product to entries of checks.access: networks are blocked or allowed, senders blocked. An
// allow entry for a name that anybody can write is left out: no entry can bind it to an identity that is proved.
func FromLists(rows []lists.Row, o ListOptions) *Draft {
	if o.Owner == "" {
		o.Owner = "lists import"
	}
	d := newDraft("the list "+short(o.File), o.Options)
	d.Policy.title = strings.Replace(d.Policy.title, "policy.toml\n", "Entries for policy.toml: put them there, and run gatepost check.\n", 1)
	for i := range rows {
		d.listed(&rows[i], &o)
	}
	if len(rows) == 0 {
		d.leave(o.File, "the whole list", "it has no entry", "its first line should name its columns: sender, domain, ip, network, action, comment, owner, expires")
	}
	d.finish()
	return d
}

// listed takes one row over.
func (d *Draft) listed(r *lists.Row, o *ListOptions) {
	where := short(o.File) + ":" + strconv.Itoa(r.Line)
	verb := r.Verb
	if verb == lists.Unsaid {
		verb = map[string]lists.Verb{"allow": lists.Allow, "block": lists.Block}[o.Kind]
	}
	switch {
	case verb == lists.Unsaid:
		d.leave(where, r.Text, "it does not say whether it allows or blocks", "import with --kind allow or --kind block")
		return
	case verb == lists.Other:
		d.leave(where, r.Text, short(r.Said)+" has no counterpart: an entry allows or blocks", "")
		return
	}
	l := listed{allow: verb == lists.Allow, where: where, what: r.Text, owner: r.Owner,
		reason: strings.TrimSpace(o.Reason + " " + r.Comment)}
	if why := d.until(&l, r.Expires, o.Now); why != "" {
		d.leave(where, r.Text, why, "")
		return
	}
	values, kind, why := listedValues(r)
	if why != "" {
		d.leave(where, r.Text, why, "")
		return
	}
	done := 0
	for _, v := range values {
		l.kind, l.value = kind, v
		if d.entries.add(l) {
			done++
		}
	}
	if done > 0 {
		d.taken(where, r.Text, map[bool]string{true: "allow ", false: "block "}[l.allow]+strings.Join(values, " "))
	}
}

// until reads the last day of a row; why it has none that can be used.
func (d *Draft) until(l *listed, written string, now time.Time) (why string) {
	if written == "" {
		return ""
	}
	day, never, ok := lists.Day(written)
	switch {
	case !ok:
		d.changed(l.where, l.what, "expires "+d.options.Expires.Format(time.DateOnly), "its date "+short(written)+" cannot be read, or could be two days", "write its last day as 2027-06-30")
	case never:
		d.changed(l.where, l.what, "expires "+d.options.Expires.Format(time.DateOnly), "it never ends there; here each entry is looked at again", "")
	case day.AddDate(0, 0, 1).Before(now):
		return "it has ended on " + day.Format(time.DateOnly)
	default:
		l.expires = day
	}
	return ""
}

// listedValues is what a row names, in forms that entries take.
func listedValues(r *lists.Row) (values []string, kind, why string) {
	v := strings.Trim(strings.ToLower(r.Value), "<>[]")
	if from, to, ok := strings.Cut(v, "-"); ok {
		a, err := netip.ParseAddr(strings.TrimSpace(from))
		b, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if err == nil && err2 == nil {
			values, ok := between(a, b)
			if !ok {
				return nil, "", "is no range of addresses, or one that is too many networks"
			}
			return values, kindNetwork, ""
		}
	}
	if strings.HasSuffix(v, ".*") && strings.Trim(v, "0123456789.*") == "" {
		v = addressKey(strings.TrimRight(v, ".*"))
	}
	if n, ok := network(v); ok {
		if r.Mask != "" && !strings.Contains(v, "/") {
			bits, ok := maskBits(r.Mask, n.Addr())
			if !ok || bits == 0 {
				return nil, "", "its netmask " + short(r.Mask) + " is none"
			}
			n = netip.PrefixFrom(n.Addr(), bits).Masked()
		}
		return []string{n.String()}, kindNetwork, ""
	}
	v = strings.TrimPrefix(v, "*@")
	if rest, ok := strings.CutPrefix(v, "*."); ok {
		v = "." + rest
	}
	if strings.ContainsAny(v, "*?/:\\ ") {
		return nil, "", "is no address, domain or network, or a pattern that has no counterpart"
	}
	if !strings.Contains(v, "@") {
		v = "@" + v
	}
	return []string{v}, kindAddress, ""
}

// maskBits reads a netmask ("255.255.255.0", "24", "/24").
func maskBits(mask string, of netip.Addr) (int, bool) {
	if n, err := strconv.Atoi(strings.TrimPrefix(mask, "/")); err == nil {
		return n, n > 0 && n <= of.BitLen()
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() || !of.Is4() {
		return 0, false
	}
	b := m.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for v&(1<<31) != 0 {
		v <<= 1
		bits++
	}
	return bits, v == 0
}

// between are the networks from one address to another, at most 32.
func between(a, b netip.Addr) (out []string, ok bool) {
	a, b = a.Unmap(), b.Unmap()
	if a.BitLen() != b.BitLen() || b.Less(a) {
		return nil, false
	}
	for {
		bits := a.BitLen()
		for bits > 1 {
			n := netip.PrefixFrom(a, bits-1)
			if n.Masked().Addr() != a || b.Less(lastOf(n)) {
				break
			}
			bits--
		}
		n := netip.PrefixFrom(a, bits)
		if out = append(out, n.String()); len(out) > 32 {
			return nil, false
		}
		last := lastOf(n)
		if last == b {
			return out, true
		}
		a = last.Next()
	}
}

// lastOf is the last address of a network.
func lastOf(n netip.Prefix) netip.Addr {
	b := n.Masked().Addr().AsSlice()
	for i := n.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
