package dnslab

import (
	"fmt"
	"strings"

	wire "github.com/miekg/dns"
)

// questionOnly is a reply with the question and nothing else, not even EDNS.
func questionOnly(reply *wire.Msg) *wire.Msg {
	m := reply.Copy()
	m.Answer, m.Ns, m.Extra = nil, nil, nil
	return m
}

// distort makes an honest reply one that does not fit its question, or that
// fits it in another case.
func distort(reply *wire.Msg, kind Kind) {
	switch kind {
	case WrongID:
		reply.Id ^= 0x5555
	case WrongQuestion:
		reply.Question[0].Name = "other.invalid."
	case NoQR:
		reply.Response = false
	case ForeignOwner, ForeignBelow, MangleForeign:
		owner := "owner.invalid."
		if kind == ForeignBelow {
			owner = "below." + reply.Question[0].Name
		}
		if kind == MangleForeign {
			reply.Question[0].Name = mangle(reply.Question[0].Name)
		}
		for i, rr := range reply.Answer {
			reply.Answer[i] = wire.Copy(rr)
			reply.Answer[i].Header().Name = owner
		}
	case Stowaway:
		stowaway := record("victim.invalid. 300 IN A 192.0.2.66")
		reply.Answer = append(reply.Answer, stowaway)
		reply.Ns = append(reply.Ns, stowaway)
		reply.Extra = append(reply.Extra, stowaway)
	case MangleCase:
		reply.Question[0].Name = mangle(reply.Question[0].Name)
		for i, rr := range reply.Answer {
			c := wire.Copy(rr)
			c.Header().Name = mangle(c.Header().Name)
			switch v := c.(type) {
			case *wire.CNAME:
				v.Target = mangle(v.Target)
			case *wire.MX:
				v.Mx = mangle(v.Mx)
			case *wire.PTR:
				v.Ptr = mangle(v.Ptr)
			}
			reply.Answer[i] = c
		}
	}
}

func mangle(name string) string {
	b := []byte(strings.ToLower(name))
	for i := 0; i < len(b); i += 2 {
		b[i] = strings.ToUpper(string(b[i]))[0]
	}
	return string(b)
}

// spoofs are four replies with a wrong address, each wrong in one place a
// resolver must look at.
func spoofs(honest *wire.Msg) [][]byte {
	var out [][]byte
	for _, edit := range []func(*wire.Msg){
		func(m *wire.Msg) { m.Id++ },
		func(m *wire.Msg) { m.Question[0].Name = "other.invalid." },
		func(m *wire.Msg) { m.Response = false },
		func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify },
	} {
		m := honest.Copy()
		m.Answer = []wire.RR{record("%s 300 IN A 192.0.2.66", m.Question[0].Name)}
		edit(m)
		out = append(out, pack(m)...)
	}
	return out
}

func flood(honest *wire.Msg) [][]byte {
	var out [][]byte
	for i := range 200 {
		m := honest.Copy()
		m.Id += uint16(i + 1)
		out = append(out, pack(m)...)
	}
	return out
}

// invent replaces the answer by one that no zone holds.
func invent(reply *wire.Msg, kind Kind, tcp bool) {
	name := reply.Question[0].Name
	switch kind {
	case Truncate, TruncateBoth, TruncateSilent:
		if !tcp || kind == TruncateBoth {
			reply.Truncated = true
			reply.Answer, reply.Ns = nil, nil
		}
	case CNAMELoop:
		empty(reply, wire.RcodeSuccess)
		reply.Answer = []wire.RR{
			record("%s 300 IN CNAME loop.invalid.", name),
			record("loop.invalid. 300 IN CNAME %s", name),
		}
	case CNAMEChain:
		empty(reply, wire.RcodeSuccess)
		for i := range 20 {
			next := fmt.Sprintf("hop%d.invalid.", i)
			reply.Answer = append(reply.Answer, record("%s 300 IN CNAME %s", name, next))
			name = next
		}
		reply.Answer = append(reply.Answer, record("%s 300 IN A 192.0.2.1", name))
	case Dangling:
		empty(reply, wire.RcodeSuccess)
		reply.Answer = []wire.RR{record("%s 300 IN CNAME target.%s", name, name)}
	case HugeTXT:
		empty(reply, wire.RcodeSuccess)
		txt := &wire.TXT{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeTXT, Class: wire.ClassINET, Ttl: 300}}
		for range 240 {
			txt.Txt = append(txt.Txt, strings.Repeat("x", 250))
		}
		reply.Answer = []wire.RR{txt}
	case ManyTexts:
		honest := reply.Answer
		empty(reply, wire.RcodeSuccess)
		for i := range 2000 {
			reply.Answer = append(reply.Answer, record("%s 300 IN TXT filler%d", name, i))
		}
		reply.Answer = append(reply.Answer, honest...)
	case ManyRecords:
		empty(reply, wire.RcodeSuccess)
		for i := range 2000 {
			reply.Answer = append(reply.Answer, record("%s 300 IN A 10.0.%d.%d", name, i/250, i%250))
		}
	case Referral:
		empty(reply, wire.RcodeSuccess)
		reply.Ns = []wire.RR{record("%s 300 IN NS ns.invalid.", name)}
	}
}

// record parses a record of our own making.
func record(format string, args ...any) wire.RR {
	rr, err := wire.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic(fmt.Sprintf("dnslab: record: %v", err))
	}
	return rr
}
