package dnslab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// ListState is how a DNS list does.
type ListState int

const (
	// ListWell lists its networks and domains and its test points (RFC 5782 section 5), and nothing else.
	ListWell ListState = iota
	// ListDead never answers.
	ListDead
	// ListFails and ListRefuses answer SERVFAIL and REFUSED to all.
	ListFails
	ListRefuses
	// ListErrors answers all with 127.255.255.254: "you ask through a public resolver".
	ListErrors
	// ListWorld lists whatever it is asked about, as a zone with a wildcard does.
	ListWorld
	// ListWorldButPoints lists the world but for the test point that never may be listed.
	ListWorldButPoints
	// ListParked answers all with the address of a parking page, outside 127.0.0.0/8.
	ListParked
	// ListGone is an empty zone: nothing is listed, not even the test point.
	ListGone
	// ListFlaps is well for eight queries, and dead for the next eight.
	ListFlaps
	// ListHuge answers all with 2,000 addresses, over TCP.
	ListHuge
	// ListGarbage answers all with octets that are no message.
	ListGarbage
	// ListUndocumented answers all with a return code that no list documents.
	ListUndocumented

	listStates = iota
)

func (s ListState) String() string {
	return [...]string{"well", "dead", "fails", "refuses", "errors", "world", "world but for the test points", "parked", "gone", "flaps", "huge",
		"garbage", "undocumented"}[s]
}

// ListStates are all states.
func ListStates() (all []ListState) {
	for s := range ListState(listStates) {
		all = append(all, s)
	}
	return all
}

// List is a DNS list of addresses and domains (RFC 5782) that the server plays. Its test points are 127.0.0.2,
// ::ffff:127.0.0.2 and TEST, which are listed, and 127.0.0.1, ::ffff:127.0.0.1 and INVALID, which are not.
type List struct {
	Zone     string         // without the final dot
	Networks []netip.Prefix // whose addresses are listed
	Domains  []string       // that are listed, with all below them
	Answer   netip.Addr     // for what is listed; zero is 127.0.0.2
	State    ListState
	Delay    time.Duration // before each answer
	// Late is how much later the first answers for a name other than a test point come: a list that is slow, but never so
	// that its health suffers, behind a resolver that caches. Who asks for the same name meanwhile waits for that answer, and
	// gets it at once later.
	Late time.Duration
}

// list is a running one; the server's lock guards it.
type list struct {
	List
	queries int
	seen    map[string]time.Time // since when a name is known
}

// SetList makes the server play a list, in the place of what it played at its zone so far. What it counted stays.
func (s *Server) SetList(l List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.Zone = plain(l.Zone)
	if !l.Answer.IsValid() {
		l.Answer = netip.AddrFrom4([4]byte{127, 0, 0, 2})
	}
	if s.lists == nil {
		s.lists = map[string]*list{}
	}
	if old := s.lists[l.Zone]; old != nil {
		old.List = l
		return
	}
	s.lists[l.Zone] = &list{List: l, seen: map[string]time.Time{}}
}

// ListQueries is how many queries for names below a list's zone came, and for how many different names.
func (s *Server) ListQueries(zone string) (queries, names int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[plain(zone)]
	if l == nil {
		return 0, 0
	}
	return l.queries, len(l.seen)
}

// maxSeen bounds how many names of a list are told apart.
const maxSeen = 1 << 20

// listOf finds the list that a name is below, counts the query, and says what the list does with it.
func (s *Server) listOf(name string) (l List, subject string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lists) == 0 {
		return l, "", false
	}
	name = plain(name)
	for rest := name; ; {
		label, above, more := strings.Cut(rest, ".")
		if !more || label == "" {
			return l, "", false
		}
		rest = above
		found := s.lists[rest]
		if found == nil {
			continue
		}
		subject = name[:len(name)-len(rest)-1]
		l = found.List
		since, again := found.seen[subject]
		if !again && len(found.seen) < maxSeen {
			found.seen[subject] = time.Now()
		}
		if again {
			l.Late -= time.Since(since)
		}
		if is, _ := point(subject); !is {
			l.Delay += max(l.Late, 0)
		}
		if l.State == ListFlaps {
			if l.State = ListWell; found.queries%16 >= 8 {
				l.State = ListDead
			}
		}
		found.queries++
		return l, subject, true
	}
}

// point says whether a name below the zone is a test point, and whether it is one that is listed.
func point(subject string) (is, listed bool) {
	switch subject {
	case "2.0.0.127", mappedPoint('2'), "test":
		return true, true
	case "1.0.0.127", mappedPoint('1'), "invalid":
		return true, false
	}
	return false, false
}

// mappedPoint is ::ffff:127.0.0.n by its nibbles (RFC 5782 section 2.4).
func mappedPoint(n byte) string {
	return string(n) + ".0.0.0.0.0.f.7.f.f.f.f" + strings.Repeat(".0", 20)
}

// lists reports whether a list that is well has an entry for a name below its zone.
func (l *List) lists(subject string) bool {
	if is, listed := point(subject); is {
		return listed
	}
	if addr := addressOf(subject); addr.IsValid() {
		return slices.ContainsFunc(l.Networks, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return slices.ContainsFunc(l.Domains, func(d string) bool { return subject == d || strings.HasSuffix(subject, "."+d) })
}

// addressOf reads the octets or nibbles of an address; zero where there is none.
func addressOf(subject string) netip.Addr {
	labels := strings.Split(subject, ".")
	slices.Reverse(labels)
	switch len(labels) {
	case 4:
		a, _ := netip.ParseAddr(strings.Join(labels, "."))
		return a
	case 32:
		var b [16]byte
		for i, label := range labels {
			n, err := strconv.ParseUint(label, 16, 4)
			if err != nil || len(label) != 1 {
				return netip.Addr{}
			}
			b[i/2] = b[i/2]<<4 | byte(n)
		}
		return netip.AddrFrom16(b)
	}
	return netip.Addr{}
}

// answer is what the list answers, and by which fault of the wire; no address at all is NXDOMAIN.
func (l *List) answer(subject string) (addr netip.Addr, kind Kind) {
	is, _ := point(subject)
	switch l.State {
	case ListDead:
		return addr, Timeout
	case ListFails:
		return addr, ServFail
	case ListRefuses:
		return addr, Refused
	case ListHuge:
		return addr, ManyRecords
	case ListGarbage:
		return addr, Garbage
	case ListErrors:
		return netip.AddrFrom4([4]byte{127, 255, 255, 254}), Honest
	case ListParked:
		return netip.AddrFrom4([4]byte{203, 0, 113, 80}), Honest
	case ListUndocumented:
		return netip.AddrFrom4([4]byte{127, 0, 0, 77}), Honest
	case ListGone:
		return addr, Honest
	case ListWorld:
		return l.Answer, Honest
	case ListWorldButPoints:
		if !is || l.lists(subject) {
			return l.Answer, Honest
		}
		return addr, Honest
	}
	if l.lists(subject) {
		return l.Answer, Honest
	}
	return addr, Honest
}

// The times that answers of a list may be kept.
const (
	listTTL    = 300
	listNegTTL = 60
)

// serveList answers a query for a name below a list's zone.
func (s *Server) serveList(w wire.ResponseWriter, req *wire.Msg, l *List, subject string, tcp bool) {
	time.Sleep(l.Delay)
	addr, kind := l.answer(subject)
	if kind != Honest {
		for _, packet := range s.answer(req, kind, tcp) {
			_, _ = w.Write(packet) // the asker may be gone
		}
		return
	}
	reply := new(wire.Msg).SetReply(req)
	reply.RecursionAvailable = true
	if opt := req.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, opt.Do())
	}
	q := req.Question[0]
	head := wire.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: wire.ClassINET, Ttl: listTTL}
	switch {
	case addr.IsValid() && q.Qtype == wire.TypeA:
		reply.Answer = []wire.RR{&wire.A{Hdr: head, A: addr.AsSlice()}}
	case addr.IsValid() && q.Qtype == wire.TypeTXT:
		reply.Answer = []wire.RR{&wire.TXT{Hdr: head, Txt: []string{fmt.Sprintf("%s is listed by %s", subject, l.Zone)}}}
	default:
		if !addr.IsValid() {
			reply.Rcode = wire.RcodeNameError
		}
		reply.Ns = []wire.RR{&wire.SOA{Hdr: wire.RR_Header{Name: l.Zone + ".", Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: listNegTTL},
			Ns: "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: listNegTTL}}
	}
	// The asker may be gone; there is nobody to tell.
	_, _ = w.Write(pack(reply)[0])
}
