package importer

import (
	"net/netip"
	"strings"
	"time"

	"gatepost/internal/freemail"
	"gatepost/internal/smtpwire"
)

// maxEntriesText keeps the policy document below the 1 MiB that is read of one.
const maxEntriesText = 800 << 10

// entries are the entries of checks.access, each once.
type entries struct {
	d       *Draft
	client  []entry
	sender  []entry
	have    map[string]string // key -> where it came from
	size    int
	refused bool // there is no room
}

type entry struct {
	key, value, list string
	note             Note
	origin           string
}

// kinds of things that lists name.
const (
	kindNetwork = "network"
	kindHelo    = "helo"
	kindReverse = "reverse"
	kindAddress = "address"
)

// listed is one entry of somebody's list, to be taken over.
type listed struct {
	kind, value string
	allow       bool
	where, what string // for the report
	reason      string // behind the origin; may be empty
	owner       string // "" for the import's
	expires     time.Time
	below       bool // a domain: its sub-domains as well
}

// add takes an entry over, or says in the report why not. It reports whether it did.
func (e *entries) add(l listed) bool {
	if l.allow && l.kind != kindNetwork {
		e.d.leave(l.where, l.what, e.unauthenticated(l), "allow the sender's own networks (checks.access.client), or nothing: mail that passes SPF and DMARC is known by itself after a few messages")
		return false
	}
	values, ok := canonical(l)
	if !ok {
		e.d.leave(l.where, l.what, "is no "+kindName(l.kind)+" that could come", "")
		return false
	}
	if n, err := netip.ParsePrefix(values[0]); l.kind == kindNetwork && err == nil && tooWide(n) && l.allow {
		e.d.leave(l.where, l.what, "allows "+n.String()+", which is not one organisation's network", "allow the networks of those whom you know")
		return false
	}
	done := false
	for _, v := range values {
		done = e.one(l, v) || done
	}
	return done
}

func (e *entries) one(l listed, value string) bool {
	list := "block"
	if l.allow {
		list = "allow"
	}
	if e.have == nil {
		e.have = map[string]string{}
	}
	key := l.kind + " " + value
	if first, twice := e.have[key]; twice {
		if !strings.HasPrefix(first, list+" ") {
			e.d.leave(l.where, l.what, "contradicts "+strings.TrimPrefix(first, "block ")+", which was there first", "decide which of the two counts")
		}
		return strings.HasPrefix(first, list+" ")
	}
	n := Note{Owner: l.owner, Reason: bounded(strings.TrimSpace(l.where+" "+l.reason), 200), Expires: l.expires}
	if n.Owner == "" {
		n.Owner = e.d.options.Owner
	}
	n.Owner = bounded(n.Owner, 100)
	if n.Expires.IsZero() {
		n.Expires = e.d.options.Expires
	}
	made := entry{l.kind, value, list, n, l.where}
	if e.size += len(value) + len(n.Owner) + len(n.Reason) + 140; e.size > maxEntriesText {
		if !e.refused {
			e.refused = true
			e.d.leave(l.where, l.what, "and all entries behind it: policy.toml would become larger than the 1 MiB that is read", "keep such a list in a DNS zone of your own (rbldnsd), as [[rbl.own]]")
		}
		return false
	}
	e.have[key] = list + " " + l.where
	if l.kind == kindNetwork {
		e.client = append(e.client, made)
	} else {
		e.sender = append(e.sender, made)
	}
	return true
}

// unauthenticated says why an allow entry by name cannot be.
func (e *entries) unauthenticated(l listed) string {
	if shared := SharedName(l.value); shared != "" {
		return shared + ": allowing it would allow everybody there"
	}
	switch l.kind {
	case kindHelo:
		return "anybody can say any HELO name, so it can allow nobody"
	case kindReverse:
		return "a host name can be allowed by nobody: only its networks can"
	}
	return "anybody can write any sender address, so it can allow nobody: entries allow by network only"
}

// canonical is the value as the configuration compares it; a domain with its sub-domains is two values.
func canonical(l listed) ([]string, bool) {
	v := strings.TrimSpace(l.value)
	switch l.kind {
	case kindNetwork:
		n, ok := network(v)
		return []string{n.String()}, ok
	case kindHelo, kindReverse:
		name, dot := strings.CutPrefix(v, ".")
		name, ok := domainName(name)
		if dot {
			name = "." + name
		} else if l.below {
			return []string{name, "." + name}, ok
		}
		return []string{name}, ok
	}
	local, rest, at := strings.Cut(v, "@")
	if !at {
		local, rest = "", v
	}
	if local != "" {
		a, err := smtpwire.ParseAddress(v, true)
		_, ok := domainName(a.Domain)
		return []string{strings.ToLower(a.String())}, err == nil && ok && len(v) <= 320
	}
	name, dot := strings.CutPrefix(rest, ".")
	name, ok := domainName(name)
	switch {
	case dot:
		name = "@." + name
	case l.below:
		return []string{"@" + name, "@." + name}, ok
	default:
		name = "@" + name
	}
	return []string{name}, ok
}

// network reads an address or a network; bits behind the prefix are cleared.
func network(s string) (netip.Prefix, bool) {
	s = strings.Trim(s, "[]")
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(s))
	return n.Masked(), err == nil && n.Bits() > 0
}

// tooWide tells networks that no single organisation has: allowing one would allow strangers.
func tooWide(n netip.Prefix) bool {
	if n.Addr().IsPrivate() && lastOf(n).IsPrivate() {
		return false
	}
	return n.Addr().Is4() && n.Bits() < 16 || n.Addr().Is6() && n.Bits() < 32
}

func kindName(kind string) string {
	return map[string]string{kindNetwork: "network", kindHelo: "HELO name", kindReverse: "host name", kindAddress: "sender address"}[kind]
}

// SharedName says what is shared of a domain that everybody can send from; "" for none that is known.
func SharedName(s string) string {
	_, d, at := strings.Cut(strings.ToLower(s), "@")
	if !at {
		d = strings.ToLower(s)
	}
	return freemail.Shared(d)
}

func (e *entries) write(doc *Document) {
	for _, c := range e.client {
		t := doc.each("checks.access.client.entry")
		t.set("network", text(c.value), c.origin)
		t.set("list", text(c.list), "")
		c.note.write(t)
	}
	for _, s := range e.sender {
		t := doc.each("checks.access.sender.entry")
		t.set(s.key, text(s.value), s.origin)
		s.note.write(t)
	}
}

func (n *Note) write(t *table) {
	t.set("owner", text(n.Owner), "")
	t.set("reason", text(n.Reason), "")
	if !n.Expires.IsZero() {
		t.set("expires", text(n.Expires.Format(time.DateOnly)), "")
	}
}
