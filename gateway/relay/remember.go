package relay

import (
	"slices"
	"strings"
	"time"
)

// Remembered is what the last EHLO of a next hop said, as it is kept over a restart: while the next hop is away clients are
// then still offered what it can carry.
type Remembered struct {
	NextHop    string    `json:"next_hop"` // host:port, or unix:path
	LMTP       bool      `json:"lmtp,omitempty"`
	At         time.Time `json:"at"`
	SizeSaid   bool      `json:"size_said,omitempty"`
	Size       int64     `json:"size,omitempty"`
	EightBit   bool      `json:"8bitmime,omitempty"`
	UTF8       bool      `json:"smtputf8,omitempty"`
	Chunking   bool      `json:"chunking,omitempty"`
	DSN        bool      `json:"dsn,omitempty"`
	Recipients int       `json:"recipients,omitempty"`
}

// Bounds of what is remembered.
const (
	maxRemembered = 1000 // next hops
	rememberFor   = 30 * 24 * time.Hour
)

// hopName is under what a next hop is remembered.
type hopName struct {
	address string
	lmtp    bool
}

// Remembered returns what is to be kept of each next hop that was ever reached, in the order of their names.
func (p *Pools) Remembered() []Remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := make(map[hopName]*learned)
	for name, l := range p.recalled {
		of[name] = l
	}
	for _, h := range p.hops {
		name := hopName{h.address, h.lmtp}
		if l, o := h.facts.Load(), of[name]; l != nil && (o == nil || o.recalled && !l.recalled || o.at.Before(l.at)) {
			of[name] = l
		}
	}
	var out []Remembered
	for name, l := range of {
		o := &l.offer
		if time.Since(l.at) < rememberFor {
			out = append(out, Remembered{NextHop: name.address, LMTP: name.lmtp, At: l.at.UTC().Truncate(time.Second), SizeSaid: o.sizeSaid, Size: o.size,
				EightBit: o.eightBit, UTF8: o.utf8, Chunking: o.chunking, DSN: o.dsn, Recipients: o.recipients})
		}
	}
	// The ones that were seen last are kept.
	slices.SortFunc(out, func(a, b Remembered) int { return b.At.Compare(a.At) })
	out = out[:min(len(out), maxRemembered)]
	slices.SortFunc(out, func(a, b Remembered) int { return strings.Compare(a.NextHop, b.NextHop) })
	return out
}

// Recall takes what Remembered returned before a restart. What cannot have been written by it is left out. Call it before
// any Relay is made; a next hop that is reached says anew what it carries.
func (p *Pools) Recall(list []Remembered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recalled = make(map[hopName]*learned)
	now := time.Now()
	for _, r := range list[:min(len(list), maxRemembered)] {
		if r.NextHop == "" || r.Size < 0 || r.Recipients < 0 || r.At.After(now.Add(time.Minute)) || now.Sub(r.At) >= rememberFor {
			continue
		}
		p.recalled[hopName{r.NextHop, r.LMTP}] = &learned{at: r.At, recalled: true, offer: offer{extended: true, sizeSaid: r.SizeSaid, size: r.Size,
			eightBit: r.EightBit, utf8: r.UTF8, chunking: r.Chunking, dsn: r.DSN, recipients: r.Recipients}}
	}
}
