package dane

import (
	"crypto"
	"fmt"
	"slices"
	"time"
)

// State is how the TLSA records of a host of ours stand to the certificates that it shows.
type State string

// The states. The zero value is none: a Report always has one.
const (
	CannotTell   State = "cannot tell"   // the resolver gave no answer
	BogusZone    State = "bogus"         // signatures do not hold: senders that look for TLSA defer all mail
	NotSigned    State = "not signed"    // none are published, and the answer was not validated: without DNSSEC there is no DANE
	NotPublished State = "not published" // validated: there are none
	NotValidated State = "not validated" // records are there, but not under DNSSEC, or the resolver does not validate
	Unusable     State = "unusable"      // there are only records that no sender can match
	Right        State = "right"         // all that is shown matches
	RightNext    State = "right, next key too"
	Stale        State = "stale"   // all that is shown matches, and a record stands for nothing of ours
	Partly       State = "partly"  // one certificate matches and another does not: it depends on the sender which it sees
	Wrong        State = "wrong"   // nothing matches: mail of senders that verify is being lost
	Missing      State = "no keys" // there is no certificate to compare with
)

// Alarming reports whether mail is being lost, or deferred until it is.
func (s State) Alarming() bool { return s == Wrong || s == Partly || s == BogusZone }

// Wanted is one record that a host should publish, of a key of ours.
type Wanted struct {
	Record    Record
	Live      bool      // of a key that is shown; else of the next
	Published bool      // that record, or another that stands for the same, and senders look at it
	Ignored   bool      // it is, but senders look at stronger digests only, of which none is of this key (RFC 7671 section 9)
	Since     time.Time // when it was first seen without a gap; zero while it is not
	Shown     time.Time // of a next key that is published: from when on it may be shown
}

// Report is how one host stands.
type Report struct {
	Host      string
	Port      int
	State     State
	TTL       time.Duration // the longest seen
	Published []Record
	Secure    bool // the answer was validated
	Wanted    []Wanted
	Remove    []Record // published, and stand for nothing of ours
	Detail    string   // of the resolver, where there is no answer
	At        time.Time
}

// Report compares what was last seen of a host with the keys of ours.
func (w *Watch) Report(host string, port int, keys []Key, now time.Time) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.hosts[host]
	if s == nil {
		s = &Seen{}
	}
	out := Report{Host: host, Port: port, TTL: s.TTL, Published: s.last.records(), Secure: s.last.Secure, Detail: s.last.Detail, At: s.came}
	live, next := at(keys, host, true), at(keys, host, false)
	for _, k := range slices.Concat(live, next) {
		out.want(k, host, s, now)
	}
	for _, r := range out.Published {
		if r.Usable() && !slices.ContainsFunc(slices.Concat(live, next), func(k *Key) bool { return r.fits(k, host, now) }) {
			out.Remove = append(out.Remove, r)
		}
	}
	out.State = out.state(live, s.last.Outcome, now)
	return out
}

// want adds the record of a key, once.
func (r *Report) want(k *Key, host string, s *Seen, now time.Time) {
	own, err := Own(k.Public)
	if err != nil || slices.ContainsFunc(r.Wanted, func(o Wanted) bool { return o.Record.String() == own.String() }) {
		return
	}
	wanted := Wanted{Record: own, Live: k.Live}
	for _, p := range Usable(r.Published) {
		if since, seen := s.Since[p.String()]; p.fits(k, host, now) && seen && (!wanted.Published || since.Before(wanted.Since)) {
			wanted.Published, wanted.Since = true, since
		}
	}
	wanted.Ignored = !wanted.Published && slices.ContainsFunc(r.Published, own.Equal)
	if wanted.Published && !k.Live {
		wanted.Shown = wanted.Since.Add(2 * s.ttl())
		if wanted.Shown.Before(now) {
			wanted.Shown = now
		}
	}
	r.Wanted = append(r.Wanted, wanted)
}

func (r *Report) state(live []*Key, o Outcome, now time.Time) State {
	switch o {
	case Failed:
		return CannotTell
	case Bogus:
		return BogusZone
	case Absent:
		if r.Secure {
			return NotPublished
		}
		return NotSigned
	}
	if len(live) == 0 {
		return Missing
	}
	usable, fitting := Usable(r.Published), 0
	for _, k := range live {
		if slices.ContainsFunc(usable, func(p Record) bool { return p.fits(k, r.Host, now) }) {
			fitting++
		}
	}
	nexts := func(published bool) bool {
		return slices.ContainsFunc(r.Wanted, func(w Wanted) bool { return !w.Live && w.Published == published })
	}
	switch {
	case len(usable) == 0:
		return Unusable
	case fitting == 0 && r.Secure:
		return Wrong
	case fitting < len(live) && r.Secure:
		return Partly
	case !r.Secure:
		return NotValidated
	case len(r.Remove) > 0:
		return Stale
	case nexts(true) && !nexts(false):
		return RightNext
	}
	return Right
}

// Usable reports whether a key may be shown at hosts: at each of them none that senders could match is published, or the key
// is, and has been seen for two TTLs, so that no cache has records without it (RFC 7671 section 8.1). What cannot be told is
// not now. Records that were not validated hold back as others do: that our resolver does not validate says nothing of those of
// senders. Where what is shown matches nothing, one TTL is enough: waiting longer would help nobody. why says what is waited
// for, until is when it will be over, as far as that is known. keys are those that are shown now.
func (w *Watch) Usable(hosts []string, key Key, keys []Key, now time.Time) (ok bool, why string, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok, why = true, "no TLSA record stands against it"
	for _, host := range hosts {
		may, because, end := w.usable(host, &key, at(keys, host, true), now)
		if !may {
			return false, because, end
		}
		if because != "" {
			why = because
		}
	}
	return ok, why, time.Time{}
}

func (w *Watch) usable(host string, key *Key, live []*Key, now time.Time) (ok bool, why string, until time.Time) {
	s := w.hosts[host]
	if s == nil || s.last.Outcome == Failed {
		detail := ""
		if s != nil && s.last.Detail != "" {
			detail = " (" + s.last.Detail + ")"
		}
		return false, "the TLSA records of " + host + " cannot be told now" + detail, time.Time{}
	}
	if s.last.Outcome == Bogus {
		return false, "the TLSA records of " + host + " are bogus", time.Time{}
	}
	var since time.Time
	fits, usable := false, Usable(s.last.Records)
	for _, r := range usable {
		if seen, there := s.Since[r.String()]; there && r.fits(key, host, now) && (!fits || seen.Before(since)) {
			fits, since = true, seen
		}
	}
	wait := 2 * s.ttl()
	if fits && !slices.ContainsFunc(live, func(k *Key) bool {
		return slices.ContainsFunc(usable, func(r Record) bool { return r.fits(k, host, now) })
	}) {
		wait = s.ttl()
	}
	switch {
	case len(usable) == 0:
		for _, at := range s.Gone {
			if end := at.Add(wait); now.Before(end) && end.After(until) {
				until = end
			}
		}
		if !until.IsZero() {
			return false, fmt.Sprintf("TLSA records of %s were taken away, and may lie in caches until %s", host, until.UTC().Format(time.DateTime)), until
		}
		return true, "", time.Time{}
	case !fits:
		if own, err := Own(key.Public); err == nil && slices.ContainsFunc(s.last.Records, own.Equal) {
			return false, "its TLSA record is published at " + host + ", but senders look at the stronger digests there and not at it", time.Time{}
		}
		return false, "its TLSA record is not published: " + line(host, key.Public), time.Time{}
	}
	if until = since.Add(wait); now.Before(until) {
		return false, fmt.Sprintf("its TLSA record is seen at %s since %s, and caches may be without it until %s", host,
			since.UTC().Format(time.DateTime), until.UTC().Format(time.DateTime)), until
	}
	return true, fmt.Sprintf("its TLSA record is seen at %s since %s", host, since.UTC().Format(time.DateTime)), time.Time{}
}

// line is the line to publish for a key at the port of mail.
func line(host string, public crypto.PublicKey) string {
	own, err := Own(public)
	if err != nil {
		return err.Error()
	}
	return Line(host, 25, own)
}
