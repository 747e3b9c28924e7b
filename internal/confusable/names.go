package confusable

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Kind is how a name looks like another.
type Kind string

// The kinds, the surest first.
const (
	Letters  Kind = "letters"   // letters that look alike: "paypa1", "раураl"
	Inside   Kind = "inside"    // the name stands in front of another: paypal.com.example.net
	Slip     Kind = "slip"      // one letter too many, too few, another, or two the wrong way round
	Hyphen   Kind = "hyphen"    // hyphens more or less
	Addition Kind = "addition"  // the name and something that promises: example-login
	OtherEnd Kind = "other_end" // the same name under another public suffix
)

// Match is what a name was taken for.
type Match struct {
	Domain string // the protected one
	Kind   Kind
	Ours   bool
}

// Names are domains that others imitate.
type Names struct {
	domains map[string]bool     // the protected ones, and whether they are ours
	allow   map[string]bool     // what may look like them
	labels  map[string]*entry   // by the label itself, in U-labels
	looks   map[string]*entry   // by skeleton
	joined  map[string]*entry   // by label without hyphens
	near    map[string][]*entry // by label and by label without one letter
}

// entry is one protected domain.
type entry struct {
	domain, label string
	ours, typos   bool
}

// Config is what Names are made of. Domains are A-labels in lower case.
type Config struct {
	Ours      []string // all that looks like them counts
	WellKnown []Brand
	Allow     []string // domains that may look like them, with all below
}

// Shortest is the fewest letters of a label that slips, additions and plain ASCII look-alikes are looked for of: shorter ones
// are near to too much that is honest.
const Shortest = 5

// New makes Names.
func New(c Config) *Names {
	n := &Names{domains: map[string]bool{}, allow: map[string]bool{}, labels: map[string]*entry{}, looks: map[string]*entry{}, joined: map[string]*entry{}, near: map[string][]*entry{}}
	for _, d := range c.Ours {
		n.add(d, true, true)
	}
	for _, b := range c.WellKnown {
		for _, d := range b.Domains {
			n.add(d, false, b.Slips)
		}
	}
	for _, d := range c.Allow {
		n.allow[strings.TrimSuffix(strings.ToLower(d), ".")] = true
	}
	return n
}

func (n *Names) add(domain string, ours, typos bool) {
	domain = strings.Trim(strings.ToLower(domain), ".")
	if registered, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		domain = registered // mail.example.org is imitated by what looks like example.org
	}
	label, _, ok := strings.Cut(domain, ".")
	if _, have := n.domains[domain]; !ok || have {
		return
	}
	n.domains[domain] = ours
	label = unicodeLabel(label)
	e := &entry{domain: domain, label: label, ours: ours, typos: typos}
	keep := func(m map[string]*entry, key string) {
		if m[key] == nil {
			m[key] = e
		}
	}
	keep(n.labels, label)
	keep(n.looks, Skeleton(label))
	if utf8.RuneCountInString(label) < Shortest {
		return
	}
	keep(n.joined, strings.ReplaceAll(label, "-", ""))
	if typos {
		last := ""
		shortened(label, func(key []byte) bool {
			if string(key) != last { // two letters that are the same, one behind the other
				last = string(key)
				n.near[last] = append(n.near[last], e)
			}
			return true
		})
	}
}

// Genuine reports whether a host is protected itself, below what is, or allowed.
func (n *Names) Genuine(host string) bool {
	for rest := host; rest != ""; {
		if _, ours := n.domains[rest]; ours || n.allow[rest] {
			return true
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return false
}

// Ours reports whether a host is of ours, or below one that is.
func (n *Names) Ours(host string) bool {
	for rest := host; rest != ""; {
		if n.domains[rest] {
			return true
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return false
}

// Protected is the protected domain that a host is, or is below; "" where it is none.
func (n *Names) Protected(host string) string {
	for rest := host; rest != ""; {
		if _, have := n.domains[rest]; have {
			return rest
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return ""
}

// Look tells what a host is taken for, if anything: a name in A-labels and lower case, of a link or of a sender. What is
// protected itself, and all below it, is taken for nothing.
func (n *Names) Look(host string) (Match, bool) {
	host = strings.TrimSuffix(host, ".")
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil || len(host) > 253 || n.Genuine(host) {
		return Match{}, false
	}
	label, end, _ := strings.Cut(domain, ".")
	label = unicodeLabel(label)
	if e, kind := n.label(label, end); e != nil {
		return Match{Domain: e.domain, Kind: kind, Ours: e.ours}, true
	}
	if e := n.inside(strings.TrimSuffix(host, domain), domain); e != "" {
		return Match{Domain: e, Kind: Inside, Ours: n.domains[e]}, true
	}
	return Match{}, false
}

// label looks at the label that was registered.
func (n *Names) label(label, end string) (*entry, Kind) {
	if e := n.labels[label]; e != nil {
		if _, icann := publicsuffix.PublicSuffix(end); e.ours && icann && utf8.RuneCountInString(label) >= Shortest {
			return e, OtherEnd
		}
		return nil, "" // large names have many ends of their own
	}
	foreign := strings.ContainsFunc(label, func(r rune) bool { return r >= utf8.RuneSelf })
	if e := n.looks[Skeleton(label)]; e != nil && (foreign || utf8.RuneCountInString(label) >= Shortest) {
		return e, Letters
	}
	length := utf8.RuneCountInString(label)
	if length < Shortest-1 || length > 63 {
		return nil, ""
	}
	if e := n.joined[strings.ReplaceAll(label, "-", "")]; e != nil {
		return e, Hyphen
	}
	if e := n.slip(label); e != nil {
		return e, Slip
	}
	if e := n.addition(label); e != nil {
		return e, Addition
	}
	return nil, ""
}

// addition looks for a protected label with something added: of ours anything behind or before a hyphen, of all what promises.
func (n *Names) addition(label string) *entry {
	long := func(e *entry) bool { return e != nil && utf8.RuneCountInString(e.label) >= Shortest }
	for i := range len(label) {
		if label[i] != '-' {
			continue
		}
		for _, half := range [...][2]string{{label[:i], label[i+1:]}, {label[i+1:], label[:i]}} {
			e := n.labels[half[0]]
			if e == nil {
				e = n.looks[Skeleton(half[0])]
			}
			if long(e) && (e.ours || Promises(half[1])) {
				return e
			}
		}
	}
	for _, word := range baits {
		for _, rest := range [...]string{strings.TrimPrefix(label, word), strings.TrimSuffix(label, word)} {
			if len(rest) == len(label) {
				continue
			}
			if e := n.labels[rest]; long(e) {
				return e
			}
		}
	}
	return nil
}

// inside looks for a protected domain in the labels before the domain: www.example.org.login.example.net.
func (n *Names) inside(front, domain string) string {
	if front == "" || carries(domain) {
		return ""
	}
	labels := strings.Split(strings.TrimSuffix(front, "."), ".")
	for i := range labels {
		for j := i + 2; j <= min(len(labels), i+4); j++ {
			if name := strings.Join(labels[i:j], "."); n.has(name) {
				return name
			}
		}
	}
	return ""
}

func (n *Names) has(domain string) bool { _, have := n.domains[domain]; return have }

// carries reports whether hosts of a domain carry the names of others on purpose: content networks and gateways for applications.
func carries(domain string) bool {
	switch domain {
	case "mcas.ms", "edgesuite.net", "edgekey.net", "akamaized.net", "akamai.net", "akadns.net", "cloudflare.net", "cloudflare.com", "amazonaws.com", "cloudfront.net",
		"translate.goog", "googleusercontent.com", "ampproject.org", "azureedge.net", "azurefd.net", "trafficmanager.net", "fastly.net", "impervadns.net",
		"incapdns.net", "edgecastcdn.net", "cdn77.org", "b-cdn.net", "web.archive.org", "archive.org", "cas.ms", "protection.outlook.com", "outlook.com",
		"pphosted.com", "mimecast.com", "messagelabs.com", "ezproxy.com", "oclc.org":
		return true
	}
	return strings.HasPrefix(domain, "ezproxy.") || strings.HasPrefix(domain, "libproxy.")
}

// unicodeLabel is a label as people see it.
func unicodeLabel(label string) string {
	if strings.HasPrefix(label, "xn--") {
		if u, err := idna.Punycode.ToUnicode(label); err == nil {
			return u
		}
	}
	return label
}

// slip looks for a protected label that is one step away.
func (n *Names) slip(label string) (found *entry) {
	if len(n.near) == 0 {
		return nil
	}
	shortened(label, func(key []byte) bool {
		for _, e := range n.near[string(key)] {
			if e.label != label && near(e.label, label) {
				found = e
				return false
			}
		}
		return true
	})
	return found
}

// shortened are a label and all that it becomes without one letter, from the first on, until yield says that it is enough.
func shortened(label string, yield func(key []byte) bool) {
	var room [128]byte
	if !yield(append(room[:0], label...)) {
		return
	}
	for i := range label {
		_, size := utf8.DecodeRuneInString(label[i:])
		if !yield(append(append(room[:0], label[:i]...), label[i+size:]...)) {
			return
		}
	}
}

// near reports whether one step makes a label of another: a letter more, less or another, or two that change places.
func near(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(y)-len(x) > 1 {
		return false
	}
	i := 0
	for i < len(x) && x[i] == y[i] {
		i++
	}
	same := func(x, y []rune) bool { return string(x) == string(y) }
	if len(x) < len(y) {
		return same(x[i:], y[i+1:])
	}
	if i == len(x) {
		return true
	}
	return same(x[i+1:], y[i+1:]) || i+1 < len(x) && x[i] == y[i+1] && x[i+1] == y[i] && same(x[i+2:], y[i+2:])
}
