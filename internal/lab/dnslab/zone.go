package dnslab

import (
	"fmt"
	"strings"

	wire "github.com/miekg/dns"
)

// maxChain bounds how many CNAMEs the server follows, as a resolver does.
const maxChain = 16

type zone struct {
	origin string // canonical, with the final dot
	soa    *wire.SOA
	rrs    map[string][]wire.RR // by canonical owner name; an empty list is an empty non-terminal
}

func parseZone(origin, text string) (*zone, error) {
	z := &zone{origin: wire.CanonicalName(origin), rrs: map[string][]wire.RR{}}
	// $TTL first, so that records may leave it out; the newline at the end
	// lets a text end without one.
	p := wire.NewZoneParser(strings.NewReader("$TTL 300\n"+text+"\n"), z.origin, "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := wire.CanonicalName(rr.Header().Name)
		if !wire.IsSubDomain(z.origin, owner) {
			return nil, fmt.Errorf("dnslab: zone %s: record of another zone: %s", origin, rr)
		}
		if soa, ok := rr.(*wire.SOA); ok && owner == z.origin {
			z.soa = soa
		}
		z.rrs[owner] = append(z.rrs[owner], rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("dnslab: zone %s: %w", origin, err)
	}
	if z.soa == nil {
		z.soa = &wire.SOA{
			Hdr: wire.RR_Header{Name: z.origin, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: 300},
			Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 60,
		}
		z.rrs[z.origin] = append(z.rrs[z.origin], z.soa)
	}
	z.addEmptyNonTerminals()
	return z, nil
}

// addEmptyNonTerminals makes every name between a record and the origin exist
// (RFC 8020: a name with something below it is not NXDOMAIN).
func (z *zone) addEmptyNonTerminals() {
	for owner := range z.rrs {
		for i, end := wire.NextLabel(owner, 0); !end; i, end = wire.NextLabel(owner, i) {
			above := owner[i:]
			if !wire.IsSubDomain(z.origin, above) {
				break
			}
			if _, ok := z.rrs[above]; !ok {
				z.rrs[above] = nil
			}
		}
	}
}

// zoneOf returns the closest zone that holds name; there is always the root.
func (s *Server) zoneOf(name string) *zone {
	for i, end := 0, false; !end; i, end = wire.NextLabel(name, i) {
		if z := s.zones[name[i:]]; z != nil {
			return z
		}
	}
	return s.zones["."]
}

// records returns what the zone has at name, with wildcards applied, and
// whether the name exists.
func (z *zone) records(name string) ([]wire.RR, bool) {
	if rrs, ok := z.rrs[name]; ok {
		return rrs, true
	}
	for i, end := wire.NextLabel(name, 0); !end; i, end = wire.NextLabel(name, i) {
		encloser := name[i:]
		if rrs, ok := z.rrs["*."+encloser]; ok {
			out := make([]wire.RR, len(rrs))
			for j, rr := range rrs {
				out[j] = wire.Copy(rr)
				out[j].Header().Name = name
			}
			return out, true
		}
		if _, ok := z.rrs[encloser]; ok || encloser == z.origin {
			break // the closest encloser has no wildcard (RFC 4592 section 3.3.1)
		}
	}
	return nil, false
}

// resolve fills reply as a recursive server would, following CNAMEs over all zones.
func (s *Server) resolve(reply *wire.Msg, q wire.Question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := wire.CanonicalName(q.Name)
	for range maxChain {
		z := s.zoneOf(name)
		rrs, exists := z.records(name)
		var alias *wire.CNAME
		found := false
		for _, rr := range rrs {
			if rr.Header().Rrtype == q.Qtype || q.Qtype == wire.TypeANY {
				reply.Answer, found = append(reply.Answer, rr), true
			} else if c, ok := rr.(*wire.CNAME); ok {
				alias = c
			}
		}
		switch {
		case found:
			return
		case alias != nil:
			reply.Answer = append(reply.Answer, alias)
			name = wire.CanonicalName(alias.Target)
			continue
		case !exists:
			reply.Rcode = wire.RcodeNameError
		}
		reply.Ns = []wire.RR{z.soa}
		return
	}
	// A resolver that meets a loop of CNAMEs gives up.
	reply.Answer, reply.Rcode = nil, wire.RcodeServerFailure
}
