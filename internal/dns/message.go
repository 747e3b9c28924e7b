package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

// ednsSize is the largest UDP reply we ask for: it crosses every path without
// fragments (DNS flag day 2020).
const ednsSize = 1232

// query is one question as it goes to a server.
type query struct {
	id       uint16
	name     string // without the final dot, lower case
	typ      Type
	edns     bool
	checking bool // ask the server to hand out data that does not validate (CD)
}

// pack returns the query on the wire: recursion and the AD bit are desired
// (RFC 6840 section 5.7).
func (q query) pack() ([]byte, error) {
	m := wire.Msg{MsgHdr: wire.MsgHdr{Id: q.id, RecursionDesired: true, AuthenticatedData: true, CheckingDisabled: q.checking}}
	m.Question = []wire.Question{{Name: fqdn(q.name), Qtype: uint16(q.typ), Qclass: wire.ClassINET}}
	if q.edns {
		m.SetEdns0(ednsSize, false)
	}
	return m.Pack()
}

var (
	errNotOurs   = errors.New("reply to another question")
	errTruncated = errors.New("reply truncated")
)

// check looks at the header and the question of a packet only, and says
// whether it is a reply to q (RFC 5452 section 9.1) and whole. The wire
// library compares nothing but the ID.
func (q query) check(packet []byte) error {
	if len(packet) < 12 {
		return errNotOurs
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	const qr, opcode, tc, rcode = 1 << 15, 0xf << 11, 1 << 9, 0xf
	if binary.BigEndian.Uint16(packet) != q.id || flags&qr == 0 || flags&opcode != 0 {
		return errNotOurs
	}
	switch count := binary.BigEndian.Uint16(packet[4:]); {
	case count == 0 && (flags&rcode == wire.RcodeFormatError || flags&rcode == wire.RcodeNotImplemented):
		// A server that could not read the query has no question to repeat.
		// Such a reply carries no data, so it can only cost an attempt.
		return nil
	case count != 1:
		return errNotOurs
	}
	name, off, err := wire.UnpackDomainName(packet, 12)
	if err != nil || len(packet) < off+4 || !strings.EqualFold(name, fqdn(q.name)) {
		return errNotOurs
	}
	if binary.BigEndian.Uint16(packet[off:]) != uint16(q.typ) || binary.BigEndian.Uint16(packet[off+2:]) != wire.ClassINET {
		return errNotOurs
	}
	if flags&tc != 0 {
		return errTruncated
	}
	return nil
}

// result is what one reply, or a lookup as a whole, says. It is shared between
// callers once it is cached, and never changed from then on.
type result struct {
	status  Status
	kind    Kind
	records []Record
	cut     bool
	ad      bool
	ttl     uint32 // seconds
	chain   []string
	server  string
	detail  string
	// next is a CNAME target that the reply says nothing about.
	next string
	// unknownQuery means that the server could not read the query, which may be
	// because of EDNS.
	unknownQuery bool
}

func failure(kind Kind, detail string) *result {
	return &result{status: Failed, kind: kind, detail: detail}
}

// interpret reads a packet that check let through. Whatever it holds, the
// result is bounded: at most maxRecords records, maxChain names.
func interpret(packet []byte, q query) *result {
	var m wire.Msg
	if err := m.Unpack(packet); err != nil {
		return failure(Malformed, printable("reply cannot be read: "+err.Error(), 120))
	}
	// The wire library forgives counts that promise more than there is, and a
	// reply that was cut off would then look like one without records.
	for i, have := range []int{len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra)} {
		if int(binary.BigEndian.Uint16(packet[4+2*i:])) != have {
			return failure(Malformed, "reply is cut off")
		}
	}
	return readSections(&m, q)
}

// readSections turns code and sections into a result.
func readSections(m *wire.Msg, q query) *result {
	switch m.Rcode {
	case wire.RcodeSuccess, wire.RcodeNameError:
	case wire.RcodeServerFailure:
		return serverFailure(m)
	case wire.RcodeRefused, wire.RcodeNotAuth:
		return failure(Refused, "server refused"+extendedErrors(m))
	case wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeBadVers:
		res := failure(Refused, "server does not understand the query")
		res.unknownQuery = true
		return res
	default:
		return failure(ServFail, fmt.Sprintf("server answered code %d", m.Rcode))
	}
	c := collect(m.Answer, q)
	res := &result{ad: m.AuthenticatedData, ttl: c.ttl, chain: c.chain, records: c.records, cut: c.cut}
	switch {
	case c.kind != NoKind:
		return failure(c.kind, c.detail)
	case m.Rcode == wire.RcodeNameError && len(c.records) > 0:
		return failure(Malformed, "reply has records and says that the name does not exist")
	case len(c.records) > 0:
		res.status = Found
		return res
	}
	ttl, hasSOA := negativeTTL(m.Ns, c.owner)
	res.status, res.kind, res.ttl = None, NoData, min(c.ttl, ttl)
	switch {
	case m.Rcode == wire.RcodeNameError:
		res.kind = NXDomain
	case hasSOA:
	case len(m.Answer) > 0 && !hasOwner(m.Answer, q.name):
		// Records, and none of them of the name asked for: that says nothing about it.
		return failure(Malformed, "answer is about other names")
	case len(c.chain) > 0:
		// Without an SOA nothing is said about where the CNAME leads.
		return &result{ad: res.ad, ttl: c.ttl, chain: c.chain, next: c.owner}
	case !m.Authoritative && (hasType(m.Ns, wire.TypeNS) || !m.RecursionAvailable):
		return failure(Lame, "server did not resolve the name")
	}
	return res
}

// serverFailure tells a name that could not be resolved from one whose
// signatures do not hold, if the server says so (RFC 8914).
func serverFailure(m *wire.Msg) *result {
	detail := "server failure" + extendedErrors(m)
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*wire.EDNS0_EDE); ok && isBogusCode(ede.InfoCode) {
				return &result{status: Bogus, kind: BadSignature, detail: detail}
			}
		}
	}
	return failure(ServFail, detail)
}

// isBogusCode reports whether an extended error means that validation was
// done and failed: 6 to 12 and 25 of RFC 8914 section 4 and its registry.
func isBogusCode(code uint16) bool {
	return code >= wire.ExtendedErrorCodeDNSBogus && code <= wire.ExtendedErrorCodeNSECMissing ||
		code == wire.ExtendedErrorCodeSignatureExpiredBeforeValid
}

// extendedErrors words the first extended error of a reply, for evidence.
func extendedErrors(m *wire.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if ede, ok := o.(*wire.EDNS0_EDE); ok {
			return printable(fmt.Sprintf(" (%d %s %s)", ede.InfoCode, wire.ExtendedErrorCodeToString[ede.InfoCode], ede.ExtraText), 120)
		}
	}
	return ""
}

// hasOwner reports whether any record is of the name.
func hasOwner(rrs []wire.RR, name string) bool {
	return slices.ContainsFunc(rrs, func(rr wire.RR) bool { return isOwner(rr.Header().Name, name) })
}

func hasType(rrs []wire.RR, typ uint16) bool {
	for _, rr := range rrs {
		if rr.Header().Rrtype == typ {
			return true
		}
	}
	return false
}

// negativeTTL is how long "none" may be kept: the lower of the TTL and the
// MINIMUM field of an SOA above the name (RFC 2308 section 5), and 0 without.
func negativeTTL(authority []wire.RR, owner string) (ttl uint32, ok bool) {
	for _, rr := range authority {
		if soa, is := rr.(*wire.SOA); is && wire.IsSubDomain(soa.Hdr.Name, fqdn(owner)) {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl)), true
		}
	}
	return 0, false
}

// seconds reads a TTL; one with the top bit set is 0 (RFC 2181 section 8).
func seconds(ttl uint32) uint32 {
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}
