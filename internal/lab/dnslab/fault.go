package dnslab

import (
	"bytes"
	"fmt"
	"time"

	wire "github.com/miekg/dns"
)

// Kind is a way to misbehave.
type Kind int

const (
	// Honest answers from the zones; with a Delay it is a slow server.
	Honest Kind = iota
	// Timeout never answers.
	Timeout
	// ServFail, NXDomain, Refused, FormErr and NotImp answer with that code and nothing else.
	ServFail
	NXDomain
	Refused
	FormErr
	NotImp
	// NoEDNS answers FORMERR, header only, to a query with EDNS, and honestly without.
	NoEDNS
	// Truncate sets TC over UDP and leaves records out; TCP is honest.
	Truncate
	// TruncateBoth sets TC over TCP too.
	TruncateBoth
	// TruncateSilent sets TC over UDP and never answers over TCP.
	TruncateSilent
	// WrongID, WrongQuestion and NoQR answer honestly but for that.
	WrongID
	WrongQuestion
	NoQR
	// Spoof sends replies with wrong address records that fail in ID, question,
	// QR bit and opcode, one each, and then the honest one.
	Spoof
	// Flood sends 200 replies with wrong IDs over UDP and then nothing; TCP is honest.
	Flood
	// Garbage answers with octets that are no message, GarbageTail with the right
	// header and question and then octets that are no records.
	Garbage
	GarbageTail
	// ShortCount promises five records in the header and holds none.
	ShortCount
	// CNAMELoop answers with two CNAMEs that point at each other.
	CNAMELoop
	// CNAMEChain answers with twenty CNAMEs in a row.
	CNAMEChain
	// Dangling answers with a CNAME to the name "target." before the name asked
	// for, and nothing else: the asker has to go on by itself.
	Dangling
	// HugeTXT answers with 60 KB in one TXT record: TC over UDP, then TCP.
	HugeTXT
	// ManyRecords answers with 2,000 address records: TC over UDP, then TCP.
	ManyRecords
	// ManyTexts puts 2,000 TXT records before the honest answer: TC over UDP, then TCP.
	ManyTexts
	// AD answers honestly and sets the AD bit.
	AD
	// Bogus answers SERVFAIL with the extended error 6 (RFC 8914), whatever CD says.
	Bogus
	// BogusNoEDE answers SERVFAIL, but honestly when the query has CD set.
	BogusNoEDE
	// MangleCase answers honestly with all names in alternating case.
	MangleCase
	// ForeignOwner answers with the honest records under the owner name "owner.invalid.", ForeignBelow under a name below
	// the one asked for, and MangleForeign as ForeignOwner with the question in alternating case.
	ForeignOwner
	ForeignBelow
	MangleForeign
	// Stowaway answers honestly and adds address records of other names to each section.
	Stowaway
	// Referral answers with an NS record in the authority section and no more.
	Referral
)

// Fault says how queries for a name are answered.
type Fault struct {
	Kind Kind
	// Delay comes before the answer.
	Delay time.Duration
	// Type limits the fault to queries of a type, as "MX"; empty is all.
	Type string
	// Times ends the fault after so many queries; 0 is never.
	Times int
}

type fault struct {
	Fault
	used int
}

// SetFault replaces the faults of a name: the first whose Type fits a query
// counts. Without any the name is honest again. The name "*" is all that have
// no faults of their own.
func (s *Server) SetFault(name string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, plain(name))
	for _, f := range faults {
		s.faults[plain(name)] = append(s.faults[plain(name)], &fault{Fault: f})
	}
}

// note counts a query and returns the fault to answer it with.
func (s *Server) note(name, qtype string, tcp bool) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = plain(name)
	s.queries[name]++
	s.queries[name+" "+qtype]++
	if tcp {
		s.viaTCP++
	}
	list, ok := s.faults[name]
	if !ok {
		list = s.faults["*"]
	}
	for _, f := range list {
		if (f.Type != "" && f.Type != qtype) || (f.Times > 0 && f.used >= f.Times) {
			continue
		}
		f.used++
		return f.Fault
	}
	return Fault{}
}

// ServeDNS answers one query; it is for the miekg/dns server to call.
func (s *Server) ServeDNS(w wire.ResponseWriter, req *wire.Msg) {
	if len(req.Question) != 1 {
		_ = w.WriteMsg(new(wire.Msg).SetRcode(req, wire.RcodeFormatError))
		return
	}
	tcp := w.LocalAddr().Network() == "tcp"
	if l, subject, ok := s.listOf(req.Question[0].Name); ok {
		s.serveList(w, req, &l, subject, tcp)
		return
	}
	f := s.note(req.Question[0].Name, wire.TypeToString[req.Question[0].Qtype], tcp)
	time.Sleep(f.Delay)
	for _, packet := range s.answer(req, f.Kind, tcp) {
		// The asker may be gone; there is nobody to tell.
		_, _ = w.Write(packet)
	}
}

// answer returns the packets to send for a query.
func (s *Server) answer(req *wire.Msg, kind Kind, tcp bool) [][]byte {
	reply := new(wire.Msg).SetReply(req)
	reply.RecursionAvailable = true
	opt := req.IsEdns0()
	if opt != nil {
		reply.SetEdns0(1232, opt.Do())
	}
	s.resolve(reply, req.Question[0])
	if kind == Timeout || kind == TruncateSilent && tcp {
		return nil
	}
	switch kind {
	case Garbage:
		return [][]byte{bytes.Repeat([]byte{0xff, 0x00, 0xc0}, 40)}
	case ServFail, NXDomain, Refused, FormErr, NotImp:
		codes := map[Kind]int{ServFail: wire.RcodeServerFailure, NXDomain: wire.RcodeNameError,
			Refused: wire.RcodeRefused, FormErr: wire.RcodeFormatError, NotImp: wire.RcodeNotImplemented}
		empty(reply, codes[kind])
	case NoEDNS:
		if opt != nil {
			head := make([]byte, 12)
			packed := pack(reply)[0]
			copy(head, packed[:4])
			head[3] = head[3]&0xf0 | wire.RcodeFormatError
			return [][]byte{head}
		}
	case Bogus:
		empty(reply, wire.RcodeServerFailure)
		if o := reply.IsEdns0(); o != nil {
			o.Option = append(o.Option, &wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeDNSBogus, ExtraText: "signature \x1b crypto failed"})
		}
	case BogusNoEDE:
		if !req.CheckingDisabled {
			empty(reply, wire.RcodeServerFailure)
		}
	case AD:
		reply.AuthenticatedData = true
	case Flood:
		if !tcp {
			return flood(reply)
		}
	case Spoof:
		if !tcp {
			return append(spoofs(reply), pack(reply)...)
		}
	case GarbageTail:
		return [][]byte{append(pack(questionOnly(reply), func(b []byte) { b[7] = 1 })[0], 0xc0, 0x0c, 0xff, 0xff, 0xff)}
	case ShortCount:
		return pack(questionOnly(reply), func(b []byte) { b[7] = 5 })
	case WrongID, WrongQuestion, NoQR, MangleCase, ForeignOwner, ForeignBelow, MangleForeign, Stowaway:
		distort(reply, kind)
	default:
		invent(reply, kind, tcp)
	}
	if !tcp {
		size := wire.MinMsgSize
		if opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		reply.Truncate(size)
	}
	return pack(reply)
}

func empty(reply *wire.Msg, rcode int) {
	reply.Answer, reply.Ns, reply.Rcode = nil, nil, rcode
}

// pack returns the message as octets, with edits applied.
func pack(m *wire.Msg, edits ...func([]byte)) [][]byte {
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		// Only zone text that parses gets here, and it packs; say so loudly if not.
		panic(fmt.Sprintf("dnslab: pack reply: %v", err))
	}
	for _, edit := range edits {
		edit(b)
	}
	return [][]byte{b}
}
