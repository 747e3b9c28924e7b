package rbl

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
)

// Timeout is how long a check waits at most; the caller's context may end before.
const Timeout = 3 * time.Second

// maxQuestions bounds what one check asks.
const maxQuestions = 256

// Resolver is the DNS that is asked, in the shape of net.Resolver. Names have no final dot and hold the lists' keys: a
// resolver that logs names must not log these. A *net.DNSError with IsNotFound, and neither IsTimeout nor IsTemporary, says
// that there is no such record; any other error that DNS could not tell. It should end with the context, and keep what it
// learned for as long as the records allow.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// ErrBusy is what a Resolver may return where it had too much to do to ask at all: no list's failure.
var ErrBusy = errors.New("rbl: the resolver has too much to do")

// Remembering is a Resolver that tells what it knows of the IPv4 addresses of a name without asking anybody, in no time: the
// addresses, or none where there is no such record. false is for all else.
type Remembering interface {
	Remembered(host string) ([]netip.Addr, bool)
}

// Use is what the operator says of the use of a list; most are free of charge for some uses only.
type Use uint8

// The uses. Of the zero value nothing is asked by a Supervisor.
const (
	UseUnset      Use = iota
	NonCommercial     // private, or as the list's terms have it
	Commercial        // a company's mail; under the list's free terms where they allow it, or with a subscription's key
)

// Forgetful is a Resolver that remembers, and can be asked past that.
type Forgetful interface {
	Anew() Resolver // the same, but that each answer is asked for when it is wanted
}

// anew is the resolver for test points. What was remembered of a list that refused, or listed the world, would hold up its
// return for as long as that may be kept, and what was remembered of one that was well would prove it when it is dead.
func anew(r Resolver) Resolver {
	if f, ok := r.(Forgetful); ok {
		return f.Anew()
	}
	return r
}

// Entry is a list as an operator uses it.
type Entry struct {
	List List
	Key  Key
	Use  Use
}

// equal reports whether two entries are the same list, used in the same way.
func (e *Entry) equal(other *Entry) bool {
	return e.Use == other.Use && e.Key.equal(other.Key) && reflect.DeepEqual(e.List, other.List)
}

// Subject is what a message or connection brings. What is empty is not asked about. Domains are A-labels.
type Subject struct {
	Client   netip.Addr // IPv4 also in its mapped form
	Helo     string     // a domain; an address literal is not asked about
	Reverse  string     // verified; an unverified one is whatever its owner writes
	MailFrom string     // the domain
	From     string     // the domain
	Links    *Links     // of the message; nil for none
}

// Links are where the links of a message lead.
type Links struct {
	Hosts []string     // domains
	Addrs []netip.Addr // of links without a name
}

// Check asks lists about a subject, all at the same time, and waits for at most Timeout. There is one result for each list
// and each thing that it is asked about, in the order of the entries; a domain that is several inputs is asked about once.
func Check(ctx context.Context, r Resolver, entries []Entry, s Subject) []Result {
	var tasks []task
	for i := range entries {
		tasks = appendTasks(tasks, &entries[i], i, s)
	}
	return run(ctx, r, tasks, nil, nil)
}

// task is a question to a list. A result whose cause is set needs no asking.
type task struct {
	entry  *Entry
	number int // of the entry
	result Result
	room   chan struct{} // of the list, for so many questions at a time; nil: there is no bound
}

// enter waits until there is room to ask, but not so long that there would be no time for an answer: a lookup goes on when
// nobody waits for it, and what begins in the last moment only takes the place of others.
func (t *task) enter(ctx context.Context, began time.Time) bool {
	if t.room == nil {
		return true
	}
	select {
	case t.room <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(Timeout/2 - time.Since(began))
	defer patience.Stop()
	select {
	case t.room <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

func (t *task) leave() {
	if t.room != nil {
		<-t.room
	}
}

// appendTasks makes the questions of a subject for one list.
func appendTasks(tasks []task, e *Entry, number int, s Subject) []task {
	add := func(q question, cause Cause) {
		tasks = append(tasks, task{entry: e, number: number, result: Result{List: e.List.Name, Inputs: q.inputs, Subject: q.String(), Cause: cause, asked: q}})
	}
	if client := s.Client.Unmap().WithZone(""); client.IsValid() {
		kind := ClientIPv6
		if client.Is4() {
			kind = ClientIPv4
		}
		switch {
		case e.List.Inputs&kind == 0:
		case !client.IsGlobalUnicast() || client.IsPrivate():
			add(question{inputs: kind, addr: client}, Unaskable)
		default:
			add(question{inputs: kind, addr: client}, NoCause)
		}
	}
	links := s.Links
	if links == nil {
		links = &Links{}
	}
	if e.List.Inputs&LinkIPv4 != 0 {
		for _, a := range links.Addrs {
			if a = a.Unmap(); a.Is4() && a.IsGlobalUnicast() && !a.IsPrivate() {
				add(question{inputs: LinkIPv4, addr: a}, NoCause)
			}
		}
	}
	first := len(tasks)
	names := [...]string{s.Helo, s.Reverse, s.MailFrom, s.From}
	for i := range len(names) + len(links.Hosts) {
		input, domain := HeloName<<min(i, len(names)), ""
		if i < len(names) {
			domain = names[i]
		} else {
			domain = links.Hosts[i-len(names)]
		}
		if domain == "" || e.List.Inputs&input == 0 {
			continue
		}
		name, ok := domainName(domain, 2)
		if ok && e.List.Registered {
			name, ok = registered(name)
		}
		if !ok {
			add(question{inputs: input, domain: printable(domain, maxName)}, Unaskable)
			continue
		}
		same := false
		for j := range tasks[first:] {
			if t := &tasks[first+j]; t.result.Cause == NoCause && t.result.asked.domain == name {
				t.result.Inputs |= input
				t.result.asked.inputs |= input
				same = true
			}
		}
		if !same {
			add(question{inputs: input, domain: name}, NoCause)
		}
	}
	return tasks
}

// maxUnderWay bounds the lookups of a supervisor that are under way, for a resolver that does not end with its context.
const maxUnderWay = 16384

// lastWords is how long a resolver may take to end behind its context.
const lastWords = 50 * time.Millisecond

// run asks the questions and returns a result for each. What is not there when ctx ends, or after Timeout, is Unknown. A
// listing goes through confirm first, where there is one.
func run(ctx context.Context, r Resolver, tasks []task, underWay *atomic.Int64, confirm func(context.Context, *task, *Result)) []Result {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, Timeout-lastWords)
	defer cancel()
	type reply struct {
		number int
		result Result
	}
	out := make([]Result, len(tasks))
	replies := make(chan reply, min(len(tasks), maxQuestions)) // room for all, so that nobody who is late hangs
	started, pending := time.Now(), 0
	for i := range tasks {
		t := &tasks[i]
		out[i] = t.result
		if t.result.Cause != NoCause {
			continue
		}
		if pending == maxQuestions || underWay != nil && underWay.Add(1) > maxUnderWay {
			if pending < maxQuestions {
				underWay.Add(-1)
			}
			out[i].Cause = Bound
			continue
		}
		pending++
		out[i].Cause = Late
		go func() {
			res := t.result
			if t.enter(ctx, started) {
				res = t.entry.ask(ctx, r, res)
				t.leave()
			} else {
				res.Cause = Bound
			}
			if confirm != nil && res.Verdict == Listed {
				confirm(ctx, t, &res)
			}
			replies <- reply{i, res}
			if underWay != nil {
				underWay.Add(-1)
			}
		}()
	}
	// take takes replies until one of the channels is ready, or all are there.
	take := func(done <-chan struct{}, last <-chan time.Time) {
		for pending > 0 {
			select {
			case p := <-replies:
				out[p.number] = p.result
				pending--
				continue
			case <-done:
			case <-last:
			}
			return
		}
	}
	take(ctx.Done(), nil)
	if pending > 0 && parent.Err() == nil { // a resolver ends with the context, and says what it was that took so long
		last := time.NewTimer(lastWords)
		defer last.Stop()
		take(nil, last.C)
	}
	for pending > 0 && len(replies) > 0 { // what came in the same moment
		p := <-replies
		out[p.number] = p.result
		pending--
	}
	for i := range out {
		if out[i].Cause != Late {
			continue
		}
		out[i].Took = time.Since(started)
		if errors.Is(parent.Err(), context.Canceled) {
			out[i].Cause = Canceled
		}
	}
	return out
}

// remembered answers a question from what the resolver remembers.
func (e *Entry) remembered(r Remembering, res *Result) bool {
	zone, ok := e.List.zone(e.Key)
	if !ok {
		return false
	}
	name, ok := res.asked.name(zone)
	if !ok {
		return false
	}
	addrs, ok := r.Remembered(name)
	if ok && len(addrs) > 0 {
		e.List.classify(addrs, res)
	} else {
		res.Verdict = NotListed
	}
	return ok
}

// ask asks one question.
func (e *Entry) ask(ctx context.Context, r Resolver, res Result) Result {
	zone, ok := e.List.zone(e.Key)
	if !ok {
		res.Cause = NoKey
		return res
	}
	name, ok := res.asked.name(zone)
	if !ok {
		res.Cause = Unaskable
		return res
	}
	started := time.Now()
	addrs, err := r.LookupNetIP(ctx, "ip4", name)
	res.Took = time.Since(started)
	if err == nil {
		e.List.classify(addrs, &res)
		return res
	}
	// The texts of errors have the name, and so the key: only what kind they are of is kept.
	var dns *net.DNSError
	isDNS := errors.As(err, &dns)
	switch {
	case errors.Is(err, ErrBusy):
		res.Cause = Bound
	case isDNS && dns.IsNotFound && !dns.IsTimeout && !dns.IsTemporary:
		res.Verdict = NotListed
	case errors.Is(err, context.Canceled) || ctx.Err() == context.Canceled:
		res.Cause = Canceled
	case errors.Is(err, context.DeadlineExceeded) || isDNS && dns.IsTimeout:
		res.Cause = Late
	default:
		res.Cause = DNSFailure
	}
	return res
}

// Reason asks for the text that a list gives with a listing (RFC 5782 section 2.1), for people: printable, at most 300
// octets, without the key. "" where there is none, where DNS could not tell, and where the result is not of the entry's list.
func Reason(ctx context.Context, r Resolver, e *Entry, res Result) string {
	zone, ok := e.List.zone(e.Key)
	if !ok || res.Verdict != Listed || res.List != e.List.Name {
		return ""
	}
	name, ok := res.asked.name(zone)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	texts, err := r.LookupTXT(ctx, name)
	if err != nil || len(texts) == 0 {
		return ""
	}
	text := printable(texts[0], 4096)
	if e.Key.IsSet() {
		text = without(text, e.Key.reveal())
	}
	return text[:min(len(text), 300)]
}

// without hides each place where a text has the key, in any case.
func without(text, key string) string {
	var out strings.Builder
	for lower := strings.ToLower(text); ; lower = strings.ToLower(text) {
		i := strings.Index(lower, key)
		if i < 0 {
			return out.String() + text
		}
		out.WriteString(text[:i] + hidden)
		text = text[i+len(key):]
	}
}
