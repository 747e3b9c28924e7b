package dns

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxExchangers is how many MX hosts of a domain are looked up.
const maxExchangers = 5

// MailLookup is the part of a Resolver that MailHost needs.
type MailLookup interface {
	AddrLookup
	MX(ctx context.Context, name string) Answer[MX]
}

// MailStatus says whether a domain can receive mail. The zero value is
// MailFailed.
type MailStatus int

const (
	// MailFailed: it cannot be told; a lookup failed or was bogus.
	MailFailed MailStatus = iota
	// MailYes: there is an MX record, or an address to stand in for it. Whether
	// these lead anywhere is Problem's to say.
	MailYes
	// MailNullMX: the domain says that it takes no mail (RFC 7505).
	MailNullMX
	// MailNoSuchDomain: the domain does not exist, or cannot as it is written.
	MailNoSuchDomain
	// MailNoRecords: the domain exists and has neither MX nor address.
	MailNoRecords
)

// String returns the lower-case word used in logs and metrics.
func (s MailStatus) String() string {
	words := [...]string{"failed", "yes", "null-mx", "no-such-domain", "no-records"}
	if s < 0 || int(s) >= len(words) {
		return "unknown"
	}
	return words[s]
}

// HostProblem says why mail cannot reach a mail host. The list is closed.
type HostProblem int

const (
	// NoProblem: the host has an address that mail can be sent to.
	NoProblem HostProblem = iota
	// NotLookedUp: a usable host was found before, or there were five.
	NotLookedUp
	// LookupFailed: the addresses of the host cannot be told.
	LookupFailed
	// Nonexistent: the host has no address, or does not exist.
	Nonexistent
	// Unroutable: all its addresses are loopback, unspecified (0.0.0.0), link
	// local or multicast. Private networks do not count: inside one, mail
	// between them is normal.
	Unroutable
	// NotAName: the host is no valid name, the root, or an IP address.
	NotAName
)

// String returns the lower-case word used in logs and metrics.
func (p HostProblem) String() string {
	words := [...]string{"", "not-looked-up", "lookup-failed", "nonexistent", "unroutable", "not-a-name"}
	if p < 0 || int(p) >= len(words) {
		return "unknown"
	}
	return words[p]
}

// MailHostResult says whether a domain can receive mail, and how we know.
type MailHostResult struct {
	Status MailStatus
	// Implicit means that there is no MX, and the domain's own address stands
	// in for it (RFC 5321 section 5.1).
	Implicit bool
	// Hosts is the mail hosts in the order of preference, up to 100.
	Hosts []ExchangerHost
	// Problem, beside MailYes, means that no host can be reached: Nonexistent
	// if none has an address, else Unroutable or NotAName, whichever comes
	// first. It is NoProblem unless all hosts were looked at.
	Problem HostProblem
	// AD means that the answers to Status were validated.
	AD bool
	// TTL is how long Status may be kept.
	TTL time.Duration
	// Detail is a few words of evidence.
	Detail string
}

// ExchangerHost is one mail host of a domain.
type ExchangerHost struct {
	Host    string // as Record.Host
	Pref    uint16
	Problem HostProblem
	Addrs   []netip.Addr
}

// MailHost finds out whether a domain can receive mail (RFC 5321 section 5.1):
// by its MX records, else by its own addresses. A failed MX lookup is
// MailFailed and never falls back to the addresses. The domain is given as
// A-labels; an address literal is not a domain.
func MailHost(ctx context.Context, r MailLookup, domain string) MailHostResult {
	mx := r.MX(ctx, domain)
	out := MailHostResult{AD: mx.AD, TTL: mx.TTL}
	switch {
	case mx.Status == Found && NullMX(mx.Records):
		out.Status, out.Detail = MailNullMX, "null MX"
	case mx.Status == Found:
		out.Status = MailYes
		for _, m := range mx.Records {
			out.Hosts = append(out.Hosts, ExchangerHost{Host: m.Host, Pref: m.Pref, Problem: NotLookedUp})
		}
		out.lookUpHosts(ctx, r, mx.Cut)
	case mx.Status == None && mx.Kind == NoData:
		out.implicit(ctx, r, mx.Name)
	case mx.Status == None:
		out.Status, out.Detail = MailNoSuchDomain, "domain: "+mx.Kind.String()
	default:
		out.Detail = "MX lookup: " + mx.Kind.String()
	}
	return out
}

// implicit looks for an address of the domain itself.
func (out *MailHostResult) implicit(ctx context.Context, r MailLookup, domain string) {
	a := Addrs(ctx, r, domain)
	out.AD = out.AD && a.AD
	out.TTL = min(out.TTL, a.TTL)
	switch a.Status {
	case Found:
		h := ExchangerHost{Host: domain, Addrs: a.Records, Problem: addrProblem(a)}
		out.Status, out.Implicit, out.Hosts = MailYes, true, []ExchangerHost{h}
		out.summarise(false)
	case None:
		out.Status, out.Detail = MailNoRecords, "no MX and no address"
		if a.Kind == NXDomain {
			out.Status = MailNoSuchDomain
		}
	default:
		out.Detail = "no MX; address lookup: " + a.Kind.String()
	}
}

// lookUpHosts looks the most preferred host up, and only if mail cannot reach
// it some of the others, at the same time.
func (out *MailHostResult) lookUpHosts(ctx context.Context, r MailLookup, cut bool) {
	lookUp := func(h *ExchangerHost) {
		_, err := netip.ParseAddr(h.Host)
		if err == nil || !ValidName(h.Host) {
			h.Problem = NotAName
			return
		}
		a := Addrs(ctx, r, h.Host)
		h.Addrs, h.Problem = a.Records, addrProblem(a)
	}
	lookUp(&out.Hosts[0])
	if out.Hosts[0].Problem != NoProblem {
		var wg sync.WaitGroup
		for i := 1; i < min(len(out.Hosts), maxExchangers); i++ {
			wg.Go(func() { lookUp(&out.Hosts[i]) })
		}
		wg.Wait()
	}
	out.summarise(cut)
}

// summarise sets Problem and the evidence from what is known of the hosts.
func (out *MailHostResult) summarise(cut bool) {
	var words []string
	all, named := !cut, Nonexistent
	for i, h := range out.Hosts {
		if h.Problem < Nonexistent {
			all = false
		} else if named == Nonexistent {
			named = h.Problem
		}
		if i < maxExchangers {
			word := fmt.Sprintf("%s %d", printable(h.Host, maxName), h.Pref)
			if h.Problem != NoProblem {
				word += " " + h.Problem.String()
			}
			words = append(words, word)
		}
	}
	if all {
		out.Problem = named
	}
	out.Detail = "MX " + strings.Join(words, ", ")
	if out.Implicit {
		out.Detail = "no MX, address of the domain"
		if out.Problem != NoProblem {
			out.Detail += " " + out.Problem.String()
		}
	}
}

// addrProblem says whether mail can be sent to any of a host's addresses.
func addrProblem(a Answer[netip.Addr]) HostProblem {
	switch a.Status {
	case Found:
	case None:
		return Nonexistent
	default:
		return LookupFailed
	}
	for _, ip := range a.Records {
		zeroNet := ip.Is4() && ip.As4()[0] == 0 // "this network", RFC 1122 section 3.2.1.3
		if !zeroNet && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast() {
			return NoProblem
		}
	}
	if a.Cut {
		return LookupFailed // the other family may have a better one
	}
	return Unroutable
}
