package filters

import (
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/rbl"
)

// voice is what one list says: of all that it was asked about in a check, its strongest listing counts. The same list twice
// is no second opinion.
type voice struct {
	list   string
	listed *rbl.Result // the strongest; nil for none
	late   bool        // an answer did not come
	theirs bool        // and that was not only our own want of room
	away   bool        // it is not used, or did not answer this question
}

// voices groups results by list; those of one list stand together.
func voices(results []rbl.Result) []voice {
	out := make([]voice, 0, len(results))
	for i := range results {
		res := &results[i]
		if res.Cause == rbl.Unaskable { // no question that a list could answer
			continue
		}
		if n := len(out); n == 0 || out[n-1].list != res.List {
			out = append(out, voice{list: res.List})
		}
		v := &out[len(out)-1]
		switch {
		case res.Verdict == rbl.Listed:
			if v.listed == nil || stronger(res.Weight, v.listed.Weight) {
				v.listed = res
			}
		case res.Verdict == rbl.NotListed:
		case isLate(res.Cause):
			v.late, v.theirs = true, v.theirs || res.Cause != rbl.Bound
		default:
			v.away = true
		}
	}
	return out
}

// stronger reports whether a weight says more than another, and of the same the worse.
func stronger(a, b int) bool { return max(a, -a) > max(b, -b) || a == -b && a > 0 }

// isLate reports whether a list that works has only not answered this time: that may be another in a minute.
func isLate(c rbl.Cause) bool {
	return c == rbl.Late || c == rbl.DNSFailure || c == rbl.Canceled || c == rbl.Bound
}

// sums are what lists say together, and what those that did not answer could add.
type sums struct {
	weight   int
	lateMore int // above zero, of lists that are late
	lateLess int // below zero
	ourMore  int // of these, of lists that had no turn, since we were asked too much at once
	ourLess  int
	awayMore int // above zero, of lists that are not used
}

func (c *lister) sum(all []voice) (s sums) {
	for i := range all {
		v, has := &all[i], 0
		if v.listed != nil {
			has = v.listed.Weight
			s.weight += has
		}
		k := c.known[v.list]
		if k == nil {
			continue
		}
		switch more, less := max(k.most-max(has, 0), 0), min(k.least-min(has, 0), 0); {
		case v.late:
			s.lateMore, s.lateLess = s.lateMore+more, s.lateLess+less
			if !v.theirs {
				s.ourMore, s.ourLess = s.ourMore+more, s.ourLess+less
			}
		case v.away:
			s.awayMore += more
		}
	}
	return s
}

// tell makes the finding. A list that fails refuses nobody and clears nobody: where the sum is enough it fails whoever else is
// late, unless that could take the sum down again; and where it is not, but one that did not answer could make it so, that is
// not known. priced tells of listings that cost something already.
func (c *lister) tell(in *gateway.Input, subject string, results []rbl.Result, priced func(*rbl.Result) bool) gateway.Finding {
	if results == nil {
		return gateway.CouldNotTell(gateway.RBLLate, subject) // the fact broke: there is a result for each question
	}
	all := voices(results)
	if len(all) == 0 {
		return noInput()
	}
	s := c.sum(all)
	listed := s.weight >= c.refuse
	open := c.open(in, s.weight, s.lateMore, s.lateLess)
	// While our own want of room decides, holding has no end: else whoever fills the resolver for so long gets past the lists.
	held := open && !c.open(in, s.weight, s.ourMore, s.ourLess) && c.d.Held.over(c.whom(in, subject), time.Now())
	f := gateway.Passed()
	switch {
	case open && !held:
		f = gateway.CouldNotTell(gateway.RBLLate, subject)
	case listed:
		f = gateway.Failed(gateway.RBLListed, c.args(all)...)
	case s.weight+s.lateMore+s.awayMore >= c.refuse:
		f = gateway.CouldNotTell(gateway.RBLAway, subject)
	}
	if held {
		f = f.Show("held", "long enough: the list was late for this one each time")
	}
	return c.show(f, all, results, priced)
}

// open reports whether what is still to come could decide: take a sum down that is enough, or make one enough that is not,
// unless of a sender whose mail was taken.
func (c *lister) open(in *gateway.Input, weight, more, less int) bool {
	if weight >= c.refuse {
		return weight+less < c.refuse
	}
	return weight+more >= c.refuse && !in.Session.Conduct.Proven && !in.Session.Trusted
}

// whom is who is held: the network of a client, since large senders try again from another host, or the domain.
func (c *lister) whom(in *gateway.Input, subject string) string {
	if c.inputs&rbl.Client == 0 {
		return subject
	}
	bits, addr := 64, in.Session.Client.Addr().Unmap()
	if addr.Is4() {
		bits = 24
	}
	network, _ := addr.Prefix(bits)
	return network.String()
}

// show adds the measures and the evidence.
func (c *lister) show(f gateway.Finding, all []voice, results []rbl.Result, priced func(*rbl.Result) bool) gateway.Finding {
	for i := range all {
		v := &all[i]
		if v.listed == nil || priced != nil && priced(v.listed) {
			continue
		}
		f = f.With(listing(v.list, strongest(v.listed)))
	}
	var clear, silent []string
	for i := range results {
		switch res := &results[i]; {
		case res.Verdict == rbl.Listed:
			text := res.List + " lists " + res.Subject + ":"
			for _, code := range res.Codes {
				text += " " + code.Answer.String() + " " + code.Label + ","
			}
			text += " weight " + strconv.Itoa(res.Weight)
			if priced != nil && priced(res) {
				text += ", priced before"
			}
			f = f.Show("list", text)
		case res.Verdict == rbl.NotListed:
			clear = append(clear, res.List)
		case res.Cause != rbl.Unaskable:
			silent = append(silent, strings.TrimSpace(res.List+" "+res.Cause.String()+" "+res.Detail))
		}
	}
	if len(clear) > 0 {
		f = f.Show("not listed by", strings.Join(clear, ", "))
	}
	if len(silent) > 0 {
		f = f.Show("no answer of", strings.Join(silent, "; "))
	}
	return f
}

// strongest is the code that makes a listing's weight.
func strongest(res *rbl.Result) (best rbl.Code) {
	for i, code := range res.Codes {
		if i == 0 || stronger(code.Weight, best.Weight) {
			best = code
		}
	}
	return best
}

// namedLists is how many lists a refusal names; a reply is one line of at most 512 octets (RFC 5321 section 4.5.3.1.5).
const namedLists = 3

// args are what a refusal names: who is listed, by which lists, for what, and where the worst of them can be looked up.
func (c *lister) args(all []voice) []string {
	var lists, labels []string
	var worst *rbl.Result
	for i := range all {
		res := all[i].listed
		if res == nil || res.Weight <= 0 {
			continue
		}
		if worst == nil || res.Weight > worst.Weight {
			worst = res
		}
		if len(lists) < namedLists {
			lists, labels = append(lists, res.List), append(labels, gateway.CleanText(strongest(res).Label, 60))
		}
	}
	site := "its operator's site"
	if k := c.known[worst.List]; k != nil && k.site != "" {
		site = k.site
	}
	return []string{gateway.CleanText(worst.Subject, 120), strings.Join(lists, ", "), strings.Join(labels, ", "), site}
}
