package memory

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// past is gateway.Past in little room, in Unix seconds.
type past struct {
	First    int64   `json:"first"`
	Last     int64   `json:"last"`
	Faded    int64   `json:"faded"` // when the numbers were last halved
	Messages int64   `json:"messages"`
	Judged   int64   `json:"judged,omitzero"`
	Passed   int64   `json:"passed,omitzero"`
	Refused  int64   `json:"refused,omitzero"`
	Chains   int64   `json:"chains,omitzero"`
	Days     int64   `json:"days,omitzero"`
	LastDay  int64   `json:"last_day,omitzero"` // of Days, since 1970
	Authors  authors `json:"authors,omitzero"`
}

// authors are hashes of organizational domains; 0 is none.
type authors [8]uint32

const (
	pathTime  = 180 * day // how long a path is known by which nothing comes
	fadeEvery = 60 * day
)

// Path returns what is known of a path.
func (k *Known) Path(p gateway.Path) gateway.KnownPath {
	now := time.Now().Unix()
	host := k.paths.get(gateway.Path{Host: p.Host})
	out := gateway.KnownPath{Path: p, Host: host.past(now)}
	if p.Told != "" {
		told := k.paths.get(p)
		out.Told = told.past(now)
	}
	return out
}

// learnPath counts a message for its host, and for what the host told.
func (k *Known) learnPath(l *lesson) {
	if l.Path.Host == "" || len(l.Path.Host) > maxName || len(l.Path.Told) > maxName {
		return
	}
	others := l.org != "" && !l.Path.Owns(l.org) && !l.Path.Owns(l.author)
	learn := func(p *past, _ bool) change {
		was := *p
		p.learn(l, others)
		if p.Days != was.Days || p.Authors != was.Authors {
			return major
		}
		return minor
	}
	k.paths.update(gateway.Path{Host: l.Path.Host}, learn)
	if l.Path.Told != "" {
		k.paths.update(l.Path, learn)
	}
}

// learn counts a message; others says that its author is not the host itself. One that was told to come back is counted
// when it has.
func (p *past) learn(l *lesson, others bool) {
	p.clamp(l.now)
	if p.First == 0 {
		p.First, p.Faded = l.now, l.now
	}
	p.Last = l.now
	p.fade(l.now)
	if l.again {
		return
	}
	p.Messages++
	if l.chain {
		p.Chains++
	}
	if !others || l.Override == "trusted_forwarder" { // the word of a trusted sealer counted, not what the path did
		return
	}
	switch {
	case l.result == "fail":
		p.Judged++
		if l.Requested == "reject" {
			p.Refused++
		}
	case l.result == "pass":
		p.Judged++
		if l.letIn {
			p.pass(l)
		}
	}
}

func (p *past) pass(l *lesson) {
	p.Passed++
	if today := l.now / day; today > p.LastDay {
		p.Days, p.LastDay = p.Days+1, today
	}
	p.Authors.add(hashOf(l.org))
}

// add keeps a hash that is not there, while there is room.
func (a *authors) add(h uint32) {
	for i := range a {
		if a[i] == h {
			return
		}
		if a[i] == 0 {
			a[i] = h
			return
		}
	}
}

func (a *authors) count() int {
	if i := slices.Index(a[:], 0); i >= 0 {
		return i
	}
	return len(a)
}

// hashOf is the same after a restart, and never 0. Whoever finds two names with one hash has fewer authors by it.
func hashOf(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return max(h.Sum32(), 1)
}

// fade halves the numbers once for each fadeEvery that went by: what a path did long ago says less of it.
func (p *past) fade(now int64) {
	n := (now - p.Faded) / fadeEvery
	if n <= 0 || p.Faded == 0 {
		return
	}
	p.Faded += n * fadeEvery
	for _, c := range [...]*int64{&p.Messages, &p.Judged, &p.Passed, &p.Refused, &p.Chains, &p.Days} {
		*c >>= min(n, 62)
	}
}

// past is what it is now.
func (p *past) past(now int64) gateway.Past {
	p.fade(now)
	return gateway.Past{First: moment(p.First), Last: moment(p.Last), Messages: int(p.Messages), Judged: int(p.Judged), Passed: int(p.Passed),
		Refused: int(p.Refused), Chains: int(p.Chains), Days: int(p.Days), Authors: p.Authors.count()}
}

func (p *past) clamp(now int64) {
	notBehind(now, &p.First, &p.Last, &p.Faded)
	p.LastDay = min(p.LastDay, now/day)
}

func (p *past) sane(now int64) bool {
	p.clamp(now)
	return min(p.First-1, p.Last-1, p.Faded-1, p.Messages, p.Judged, p.Passed, p.Refused, p.Chains, p.Days, p.LastDay) >= 0
}

func (p *past) rank() int64          { return seenOn(p.First, p.Last) }
func (p *past) ended(now int64) bool { return p.Last <= now-pathTime }

// merge adds what was kept before to what was learned since the start.
func (p *past) merge(old *past) {
	o := *old
	o.fade(p.Last)
	if o.LastDay == p.LastDay && o.Days > 0 && p.Days > 0 {
		o.Days--
	}
	p.First, p.Faded, p.LastDay = min(p.First, o.First), min(p.Faded, o.Faded), max(p.LastDay, o.LastDay)
	p.Messages, p.Judged, p.Passed = p.Messages+o.Messages, p.Judged+o.Judged, p.Passed+o.Passed
	p.Refused, p.Chains, p.Days = p.Refused+o.Refused, p.Chains+o.Chains, p.Days+o.Days
	for _, h := range o.Authors {
		if h != 0 {
			p.Authors.add(h)
		}
	}
}

// pathName and pathOf turn a path into the name under which it is kept, and back. No host has a space in it.
func pathName(p gateway.Path) string { return p.Host + " " + p.Told }

func pathOf(name string) gateway.Path {
	host, told, _ := strings.Cut(name, " ")
	return gateway.Path{Host: host, Told: told}
}

func ownPath(p gateway.Path) gateway.Path {
	return gateway.Path{Host: strings.Clone(p.Host), Told: strings.Clone(p.Told)}
}
