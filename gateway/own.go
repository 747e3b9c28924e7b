package gateway

import "strings"

// OwnCheck is the name of the check that asks recipients' own lists. Its findings count only for those whom they name.
const OwnCheck = "access.own"

// The measures of OwnCheck. The text of each is a recipient: local@domain in lower case.
const (
	OwnAllow = "own_allow" // his list allows the author, who is proven: opinions, lists and limits do not count for him
	OwnBlock = "own_block" // his list blocks the sender: the finding counts for him, whatever else he allows
)

// own is what a recipient's own list says of the sender of a message.
type own uint8

const (
	ownAllows own = 1 << iota
	ownBlocks
)

// ownOf reads what recipients' own lists say; nil where none says anything, as of nearly all mail.
func (p *Policy) ownOf(r *Record) (out []own) {
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Check != OwnCheck || len(f.Measures) == 0 || p.Checks[OwnCheck].Action <= ActionObserve {
			continue
		}
		for _, m := range f.Measures {
			says := map[string]own{OwnAllow: ownAllows, OwnBlock: ownBlocks}[m.Name]
			for k := range r.Rcpts {
				to := r.Rcpts[k].To
				if says == 0 || !strings.EqualFold(m.Text, to.Local+"@"+to.Domain) {
					continue
				}
				if out == nil {
					out = make([]own, len(r.Rcpts))
				}
				out[k] |= says
			}
		}
	}
	return out
}

// counts reports whether a finding counts for a recipient, as his own list has it.
func (t *tally) counts(f *Finding, c *CheckPolicy, i int) bool {
	switch {
	case f.Check == OwnCheck:
		return t.said != nil && t.said[i]&ownBlocks != 0
	case t.said == nil || c.Class > ClassLimiting || t.said[i] != ownAllows:
		return true
	}
	t.note(f, Applied{Rule: "the recipient's own allow list", Action: "accept"}, i)
	return false
}
