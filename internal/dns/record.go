package dns

import (
	"encoding/hex"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// Type is a record type (RFC 1035 section 3.2.2). Any number may be asked for.
type Type uint16

// The types that mail needs.
const (
	TypeA     = Type(wire.TypeA)
	TypeNS    = Type(wire.TypeNS)
	TypeCNAME = Type(wire.TypeCNAME)
	TypeSOA   = Type(wire.TypeSOA)
	TypePTR   = Type(wire.TypePTR)
	TypeMX    = Type(wire.TypeMX)
	TypeTXT   = Type(wire.TypeTXT)
	TypeAAAA  = Type(wire.TypeAAAA)
	TypeSRV   = Type(wire.TypeSRV)
	TypeTLSA  = Type(wire.TypeTLSA)
)

// String returns "A", "MX" or, for a type without a name, "TYPE65280".
func (t Type) String() string { return wire.Type(t).String() }

// Record is one record of an answer; which fields are set depends on Type.
// Names are in lower case without the final dot, the root is ".". A name that
// came out of the DNS may hold anything: octets that are no printable ASCII,
// and dots inside a label, are written with a backslash (RFC 1035 section
// 5.1), so that it may be logged; ValidName says whether it can be a host.
type Record struct {
	Type Type
	// Addr is the address of A and AAAA, never an IPv4 address mapped into IPv6.
	Addr netip.Addr
	// Host is the name of PTR, MX, SRV, NS and CNAME, and the first of SOA.
	Host string
	// Pref is the preference of MX and the priority of SRV: lower comes first.
	Pref uint16
	// Weight and Port belong to SRV (RFC 2782).
	Weight, Port uint16
	// Usage, Selector and Matching belong to TLSA (RFC 6698 section 2.1).
	Usage, Selector, Matching uint8
	// Data is the association data of TLSA.
	Data []byte
	// Text is the strings of TXT, joined without a space as SPF and DKIM ask
	// (RFC 7208 section 3.3), raw octets; for a type not named here it is the
	// record data in presentation form.
	Text string
}

// MX is one mail exchanger (RFC 5321 section 5.1).
type MX struct {
	Host string // as Record.Host
	Pref uint16
}

// newRecord turns a record of the wire into ours. Not ok: record data that is
// missing or cannot be read.
func newRecord(rr wire.RR) (Record, bool) {
	r := Record{Type: Type(rr.Header().Rrtype)}
	ok := true
	switch v := rr.(type) {
	case *wire.A:
		r.Addr, ok = netip.AddrFromSlice(v.A)
		r.Addr = r.Addr.Unmap()
	case *wire.AAAA:
		r.Addr, ok = netip.AddrFromSlice(v.AAAA)
		r.Addr = r.Addr.Unmap()
	case *wire.PTR:
		r.Host, ok = host(v.Ptr)
	case *wire.MX:
		r.Pref = v.Preference
		r.Host, ok = host(v.Mx)
	case *wire.NS:
		r.Host, ok = host(v.Ns)
	case *wire.CNAME:
		r.Host, ok = host(v.Target)
	case *wire.SOA:
		r.Host, ok = host(v.Ns)
	case *wire.SRV:
		r.Pref, r.Weight, r.Port = v.Priority, v.Weight, v.Port
		r.Host, ok = host(v.Target)
	case *wire.TLSA:
		r.Usage, r.Selector, r.Matching = v.Usage, v.Selector, v.MatchingType
		var err error
		r.Data, err = hex.DecodeString(v.Certificate)
		ok = err == nil && len(r.Data) > 0
	case *wire.TXT:
		r.Text = joinStrings(v.Txt)
		ok = len(v.Txt) > 0
	default:
		r.Text = strings.TrimPrefix(rr.String(), rr.Header().String())
	}
	return r, ok
}

// host is a name of the wire as Record.Host has it; no name at all is not ok.
func host(name string) (string, bool) {
	if name == "." {
		return name, true
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")), name != ""
}

// joinStrings joins the strings of a TXT record and takes back the escapes
// that the wire library writes for quotes, backslashes and other octets.
func joinStrings(parts []string) string {
	s := strings.Join(parts, "")
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// size is about how much memory a record holds on to, in octets.
func (r *Record) size() int { return 120 + len(r.Host) + len(r.Text) + len(r.Data) }
