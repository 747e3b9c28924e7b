package memory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Sealer is an ARC sealer that is not trusted, and what its word would have rescued. What it says of itself is all that is
// known: its numbers are a proposal to look at, never a reason to trust it.
type Sealer struct {
	Domain   string    `json:"domain"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Messages int       `json:"messages"` // that failed DMARC, and would have passed by its word
	Days     int       `json:"days"`     // on which there was one
	Authors  []string  `json:"authors"`  // domains in whose name they were, the first few
}

// sealer is Sealer in little room, in Unix seconds.
type sealer struct {
	First    int64    `json:"first"`
	Last     int64    `json:"last"`
	Messages int64    `json:"messages"`
	Days     int64    `json:"days"`
	Authors  []string `json:"authors"`
}

const (
	sealerTime    = 90 * day
	sealerAuthors = 5 // that are named
	sealersAtOnce = 8 // of one message
)

// Sealers returns those that would have rescued something in the last 90 days, the most steady ones first.
func (k *Known) Sealers() []Sealer {
	out := []Sealer{}
	k.sealers.each(func(name string, s *sealer) {
		out = append(out, Sealer{Domain: name, First: moment(s.First), Last: moment(s.Last), Messages: int(s.Messages), Days: int(s.Days),
			Authors: s.Authors})
	})
	slices.SortFunc(out, func(a, b Sealer) int {
		return cmp.Or(cmp.Compare(b.Days, a.Days), cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Domain, b.Domain))
	})
	return out
}

// learnSealers counts who would have rescued a message. One that comes back is counted then.
func (k *Known) learnSealers(l *lesson) {
	if l.again || l.result != "fail" {
		return
	}
	for i, name := range l.DMARCResult.Sealers {
		if i == sealersAtOnce {
			return
		}
		if name == "" || slices.Contains(l.DMARCResult.Sealers[:i], name) {
			continue
		}
		k.sealers.update(gateway.CleanText(name, maxName), func(s *sealer, _ bool) change {
			days, authors := s.Days, len(s.Authors)
			if s.learn(l); s.Days != days || len(s.Authors) != authors {
				return major
			}
			return minor
		})
	}
}

func (s *sealer) learn(l *lesson) {
	notBehind(l.now, &s.First, &s.Last)
	if s.First == 0 {
		s.First = l.now
	}
	if l.now/day > s.Last/day {
		s.Days++
	}
	s.Last = l.now
	s.Messages++
	s.name(l.author)
}

// name makes a new list, since others may be reading the one there is.
func (s *sealer) name(author string) {
	if len(s.Authors) < sealerAuthors && !slices.Contains(s.Authors, author) {
		s.Authors = append(slices.Clip(s.Authors), strings.Clone(author))
	}
}

func (s *sealer) sane(now int64) bool {
	notBehind(now, &s.First, &s.Last)
	return len(s.Authors) <= sealerAuthors && min(s.First-1, s.Last-1, s.Messages, s.Days) >= 0
}

func (s *sealer) rank() int64          { return seenOn(s.First, s.Last) }
func (s *sealer) ended(now int64) bool { return s.Last <= now-sealerTime }

func (s *sealer) merge(old *sealer) {
	if s.Days > 0 && old.Last/day == s.Last/day {
		s.Days--
	}
	s.First, s.Last, s.Messages, s.Days = min(s.First, old.First), max(s.Last, old.Last), s.Messages+old.Messages, s.Days+old.Days
	for _, a := range old.Authors {
		s.name(a)
	}
}
