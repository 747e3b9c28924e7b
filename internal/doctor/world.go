package doctor

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Status is what a lookup came to. The zero value is that nothing could be told.
type Status uint8

// The outcomes of a lookup.
const (
	Failed Status = iota // no usable answer came
	Found
	None  // there is no such record: somebody said so
	Bogus // a validating resolver refused to hand it out
)

// Answer is what a lookup brought.
type Answer struct {
	Status  Status
	Addrs   []netip.Addr // of A, AAAA, and A+AAAA
	Hosts   []Host       // of MX, most preferred first, and of PTR
	Texts   []string     // of TXT, the strings of each joined
	AD      bool         // a trusted resolver validated it
	Aliases []string     // that CNAMEs led to, the last one being the owner
	Took    time.Duration
	Detail  string // why it Failed
}

// Host is a name in a record.
type Host struct {
	Name string // without the final dot; the root is "."
	Pref uint16
}

// Kind is what is looked up.
type Kind string

// The kinds of lookups. Addresses is A and AAAA together, Failed where one of them could not be told and the other has none.
const (
	A         Kind = "A"
	MX        Kind = "MX"
	TXT       Kind = "TXT"
	Addresses Kind = "A+AAAA"
)

// DNS looks names up.
type DNS interface {
	Lookup(ctx context.Context, name string, kind Kind) Answer
	// Reverse returns the names of an address.
	Reverse(ctx context.Context, a netip.Addr) Answer
}

// Server is one resolver.
type Server struct {
	Address string // host:port
	Trusted bool   // its word that it validated an answer counts
	DNS     DNS    // asks it alone
}

// Domain is one that is served.
type Domain struct {
	Name string // never a pattern
	STS  string // the MTA-STS record of the policy that this gateway serves for it; "" for none
}

// SPF is what an evaluation of a domain's record by an address of nobody (RFC 5737) came to.
type SPF struct {
	Result  string // the word of RFC 8601 section 2.7.2
	Record  string // "" for none
	Problem string // of temperror and permerror
	Lookups int    // of 10
	Open    bool   // anybody passes
}

// DMARC is what is published for a domain, by itself or by one above.
type DMARC struct {
	At      string // the name of the record; "" for none
	Record  string
	Policy  string   // for this domain
	Broken  string   // "" for a good one
	Several bool     // there are, which counts as none
	Reports []string // where reports go (rua)
	Refused []string // of these, who does not say that it wants them (RFC 9990 section 4)
	Err     error    // DNS could not tell
}

// STS is the MTA-STS policy of a domain (RFC 8461 section 3.2), as senders find it.
type STS struct {
	Enforce bool
	Mode    string
	Matches func(host string) bool // whether it names a host
}

// Proof is a name that is shown to an authority to be ours (ACME).
type Proof struct {
	Name string
	Port int // where the authority asks: 80 or 443
}

// World is whom a doctor asks, and what is known before anybody is asked. What a group asks must be set; of CheckSPF,
// CheckDMARC, GenericName, AskTLSA, Serves and At, what is nil is not asked.
type World struct {
	Hostname string // of the gateway, in EHLO and Received
	Domains  []Domain
	Others   []string // names of other gateways of ours
	Moving   bool     // mail is on its way from another gateway to this one

	DNS         DNS
	Servers     []Server
	Probes      Probes
	Validating  string // what needs a validating resolver, as "route internal (tls = dane)"; "" for nothing
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Now         func() time.Time
	Slow        time.Duration // of an answer of a resolver; 0: 500 ms
	Interfaces  []netip.Addr  // of this host
	CheckSPF    func(ctx context.Context, domain string) SPF
	CheckDMARC  func(ctx context.Context, domain string) DMARC
	GenericName func(name string, a netip.Addr) bool // whether it looks like one that a provider made

	MessageSize int64 // limits.message_size
	ListsNamed  int   // in the policy, used or not
	Folders     []Folder
	Statfs      func(path string) (free int64, inodes bool, share float64, err error)
	Kernel      func() (Kernel, error)
	STSRecord   func(texts []string) (id string, err error) // "" and no error: there is none
	FetchSTS    func(ctx context.Context, domain string) (*STS, error)
	AskTLSA     func(ctx context.Context) ([]TLSAHost, error)
	Proofs      []Proof
	AskDaemon   func(ctx context.Context) (*Daemon, error) // the error is ErrNotRunning, or why it could not be asked
	AskLists    func(ctx context.Context, about []netip.Addr) ([]List, error)
	AskHops     func(ctx context.Context) ([]Hop, []Knows, error)
	AskServices func(ctx context.Context) []Service
	AskScanners func(ctx context.Context) []Scanner

	Listener Listener
	Serves   func(name string) bool // whether mail for a domain is taken

	// At tells where a key is, or could be written: "gatepost.toml:12" for one that is there, else the name of its file.
	At func(key string) string
}

// Probes are the names that show how a resolver works.
type Probes struct {
	Signed []string // with addresses and valid signatures
	Bogus  []string // with addresses and signatures that do not hold
	Lists  []ListProbe
	Time   []string // time servers, host:port
}

// ListProbe is a name of a DNS list that answers differently to resolvers that it does not serve.
type ListProbe struct {
	Name    string
	Refused []netip.Addr // what it answers to them
}

// DefaultProbes are names that are kept for this: of dnssec-failed.org (Comcast) and www.rhybar.cz (CZ.NIC) the signatures are
// broken on purpose; the others belong to those who make DNSSEC. The list's name is its test point, which stands for nobody.
func DefaultProbes() Probes {
	return Probes{
		Signed: []string{"internetsociety.org", "nic.cz", "isc.org"},
		Bogus:  []string{"dnssec-failed.org", "www.rhybar.cz"},
		Lists: []ListProbe{{Name: "2.0.0.127.zen.spamhaus.org", Refused: []netip.Addr{
			netip.AddrFrom4([4]byte{127, 255, 255, 254}), netip.AddrFrom4([4]byte{127, 255, 255, 255})}}},
		Time: []string{"pool.ntp.org:123"},
	}
}

// Groups are all groups, in the order of a page: from outside in.
func (w *World) Groups() []Group {
	return []Group{
		{"dns", w.dns},
		{"domain", w.domains},
		{"host", w.host},
		{"listener", w.lookListener},
		{"daemon", w.lookDaemon},
		{"lists", w.lookLists},
		{"clock", w.clock},
		{"nexthops", w.nextHops},
		{"scanners", w.scanners},
		{"services", w.services},
		{"disk", w.disk},
		{"web", w.web},
	}
}

// key writes what to change in a document: where, the table, and the line.
func (w *World) key(name, value string) string {
	at := name
	if w.At != nil {
		at = w.At(name)
	}
	table, key := "", name
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		table, key = "["+name[:dot]+"] ", name[dot+1:]
	}
	for _, list := range [...]string{"route", "domain"} { // tables of which there are several
		if of, ok := strings.CutPrefix(table, "["+list+"."); ok {
			table = "[[" + list + "]] " + strings.TrimSuffix(of, "] ") + ": "
		}
	}
	return at + ": " + table + key + " = " + value
}

// has writes where something stands that may have to be changed.
func (w *World) has(name string) string { return strings.TrimSuffix(w.key(name, ""), " = ") }
