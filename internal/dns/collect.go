package dns

import (
	"math"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

const (
	maxRecords = 100       // of one answer
	maxOctets  = 64 * 1024 // of one answer's names, texts and data
	maxChain   = 8         // CNAMEs between the name asked for and its records
)

// collection is the part of an answer section that belongs to a question.
type collection struct {
	records []Record
	cut     bool
	owner   string   // where the CNAMEs end
	chain   []string // the names on the way there, without the first
	ttl     uint32   // the lowest of what was used; the highest number if nothing was
	kind    Kind     // why the section cannot be used, if so
	detail  string
}

// collect follows the CNAMEs from the name of q within an answer section and
// gathers the records of its type at their end. Records of other names, types
// and classes do not count.
func collect(answer []wire.RR, q query) collection {
	c := collection{owner: q.name, ttl: math.MaxUint32}
	for {
		target, ok := c.take(answer, q.typ)
		if !ok || c.kind != NoKind || len(c.records) > 0 {
			return c
		}
		if target == q.name || slices.Contains(c.chain, target) || len(c.chain) == maxChain {
			c.kind, c.detail = Loop, "cname chain loops or is too long"
			return c
		}
		c.chain = append(c.chain, target)
		c.owner = target
	}
}

// take gathers the records at the current owner. When there is a CNAME instead
// it returns its target.
func (c *collection) take(answer []wire.RR, typ Type) (target string, ok bool) {
	octets := 0
	var aliasTTL uint32
	for _, rr := range answer {
		h := rr.Header()
		if h.Class != wire.ClassINET || !isOwner(h.Name, c.owner) {
			continue
		}
		if alias, is := rr.(*wire.CNAME); is && typ != TypeCNAME {
			if t, valid := host(alias.Target); valid && !ok {
				target, ok, aliasTTL = t, true, seconds(h.Ttl)
			}
			continue
		}
		if Type(h.Rrtype) != typ {
			continue
		}
		if len(c.records) == maxRecords || octets > maxOctets {
			c.cut = true
			break
		}
		rec, valid := newRecord(rr)
		if !valid {
			c.kind, c.detail = Malformed, "record data cannot be read"
			return "", false
		}
		octets += rec.size()
		c.records = append(c.records, rec)
		c.ttl = min(c.ttl, seconds(h.Ttl))
	}
	if ok && len(c.records) == 0 {
		c.ttl = min(c.ttl, aliasTTL)
	}
	return target, ok
}

// isOwner compares a name of the wire with one of ours.
func isOwner(onWire, ours string) bool {
	if ours == "." {
		return onWire == "."
	}
	return len(onWire) == len(ours)+1 && strings.EqualFold(onWire[:len(ours)], ours)
}
