package hits

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
)

// The kinds of an entry.
const (
	Allow = "allow"
	Block = "block"
	Rule  = "rule" // of the policy: List too; Value is its name
)

// Window is how many days, with today, a count is of.
const Window = 30

// Entry names an entry by what it does, and not by who wanted it: it is the same while its reason is edited, and another one
// when its value is.
type Entry struct {
	List  string // the check that reads it, such as access.client; or Rule
	Kind  string // Allow, Block or Rule
	Rcpt  string // whose own list it is of, local@domain in lower case; "" of the policy
	Value string // as findings name it: a network, "helo x", "address y", an author
}

// Hit is how often an entry was met on one day.
type Hit struct {
	Entry
	Day  int64 // of UTC, from 1970-01-01 on
	N    int64
	Last time.Time
}

// Count is what is known of an entry, of all nodes.
type Count struct {
	Entry
	Since time.Time // counted from then on; of an own list when it was met first
	Last  time.Time // zero for never
	N     int64     // in Window days
}

// Day is the number of a moment's day.
func Day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// maxCounted bounds what is held: entries by days that no store has taken yet.
const maxCounted = 20_000

// maxValue bounds the name of an entry, in octets; none is as long.
const maxValue = 1000

type key struct {
	Entry
	day int64
}

type tally struct {
	n    int64
	last time.Time
}

// Counter holds what was counted and is in no store yet. The zero value is ready; it is safe for concurrent use.
type Counter struct {
	mu   sync.Mutex
	held map[key]tally
	lost int64
}

// Learn counts the entries that a message met, and the rules that matched it for some recipient, observed ones too; and those that
// a connection met that was sent away without one.
func (c *Counter) Learn(e *gateway.Event) {
	if e.Record == nil || e.Kind != gateway.TransactionEvent && e.Session.Transactions > 0 {
		return
	}
	c.rules(e)
	for i := range e.Record.Findings {
		f := &e.Record.Findings[i]
		if len(f.Measures) == 0 || !strings.HasPrefix(f.Check, "access.") {
			continue
		}
		for k := range f.Measures {
			m := &f.Measures[k]
			if x, ok := entryOf(f.Check, m, e, i); ok {
				c.add(key{x, Day(e.Record.Time)}, tally{1, e.Record.Time})
			}
		}
	}
}

// rules counts each rule that matched once, however many checks it is about.
func (c *Counter) rules(e *gateway.Event) {
	all := e.Verdict.Rules
	for i := range all {
		same := func(a gateway.Applied) bool { return a.Why == "" && a.Rule == all[i].Rule }
		if all[i].Why != "" || slices.ContainsFunc(all[:i], same) {
			continue
		}
		if name := gateway.RuleName(all[i].Rule); name != "" && len(name) <= maxValue {
			c.add(key{Entry{List: Rule, Kind: Rule, Value: strings.Clone(name)}, Day(e.Record.Time)}, tally{1, e.Record.Time})
		}
	}
}

// entryOf is the entry that a measure of a finding, the one at place i of the record, tells of.
func entryOf(check string, m *gateway.Measure, e *gateway.Event, i int) (Entry, bool) {
	if check != gateway.OwnCheck {
		ok := m.Value > 0 && m.Text != "" && len(m.Text) <= maxValue && (m.Name == Allow || m.Name == Block)
		return Entry{List: check, Kind: m.Name, Value: strings.Clone(m.Text)}, ok
	}
	kind := map[string]string{gateway.OwnAllow: Allow, gateway.OwnBlock: Block}[m.Name]
	evidence := e.Record.Findings[i].Evidence
	if i < len(e.Evidence) {
		evidence = e.Evidence[i]
	}
	for _, x := range evidence {
		if to, ok := strings.CutPrefix(x.Name, "entry of "); ok && to == m.Text && len(x.Text) <= maxValue {
			value, ok := strings.CutPrefix(x.Text, kind+" ")
			return Entry{List: check, Kind: kind, Rcpt: strings.Clone(to), Value: strings.Clone(value)}, ok && kind != ""
		}
	}
	return Entry{}, false
}

// add adds to what is held.
func (c *Counter) add(k key, t tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[key]tally{}
	}
	have, there := c.held[k]
	if !there && len(c.held) >= maxCounted {
		c.lost += t.n
		return
	}
	have.n += t.n
	if t.last.After(have.last) {
		have.last = t.last
	}
	c.held[k] = have
}

// Lost is how many hits there was no room for while no store took them.
func (c *Counter) Lost() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Pending is what no store has yet, by entry.
func (c *Counter) Pending() map[Entry]Count {
	out := map[Entry]Count{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, t := range c.held {
		x := out[k.Entry]
		x.Entry, x.N = k.Entry, x.N+t.n
		if t.last.After(x.Last) {
			x.Last = t.last
		}
		out[k.Entry] = x
	}
	return out
}

// take takes at most so many out.
func (c *Counter) take(most int) (out []Hit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, t := range c.held {
		if len(out) == most {
			break
		}
		out = append(out, Hit{k.Entry, k.day, t.n, t.last})
		delete(c.held, k)
	}
	return out
}

// Store keeps the numbers of nodes. Its methods are safe for concurrent use.
type Store interface {
	// Note says which entries of the policy are in force at a node. Those that are new count from then on; those that are gone
	// lose their count.
	Note(ctx context.Context, node string, entries []Entry, now time.Time) error
	// Add adds hits. Those of entries of the policy that were not noted, and of own lists that have no such entry, are left out.
	Add(ctx context.Context, node string, hits []Hit) error
	// Counts are those of all nodes since a day, of the policy where rcpts is nil, else of the own lists of these recipients.
	Counts(ctx context.Context, since int64, rcpts []string) ([]Count, error)
	// Prune takes away days before one, entries of own lists that are no more, and what nodes counted that have told of nothing
	// since a moment.
	Prune(ctx context.Context, before int64, silent time.Time) error
}

// Times of a Keeper.
const (
	every    = 15 * time.Second
	tidy     = time.Hour
	lastTime = 3 * time.Second // for the last batch at the end
	batch    = 500             // hits of one transaction
	kept     = 2 * Window      // days
	silent   = 90 * 24 * time.Hour
)

// Keeper brings what was counted to a store.
type Keeper struct {
	Counter *Counter
	Store   Store
	Node    string
	// Version tells whether Entries are others than before: a version, or an address. It is asked often.
	Version func() any
	// Entries are those of the policy in force.
	Entries func() []Entry
	Log     *slog.Logger

	noted   any
	tidied  time.Time
	trouble error
}

// Run brings batches until ctx is done, and a last one then.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for wait := time.After(time.Second); ; wait = tick.C { // soon: entries count from when they are noted
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
			defer cancel()
			_ = k.Bring(last) // it tells
			return
		case <-wait:
			_ = k.Bring(ctx)
		}
	}
}

// Bring notes the entries in force where they changed, and brings what was counted. What a store did not take is kept for the
// next time. It is not for several goroutines at once.
func (k *Keeper) Bring(ctx context.Context) error {
	err := k.bring(ctx)
	if (err == nil) != (k.trouble == nil) && k.Log != nil && ctx.Err() == nil {
		if err != nil {
			k.Log.Warn("hits of list entries cannot be kept; they are counted meanwhile", "error", err)
		} else {
			k.Log.Info("hits of list entries can be kept again")
		}
	}
	k.trouble = err
	return err
}

func (k *Keeper) bring(ctx context.Context) error {
	now := time.Now()
	version := k.Version() // before the entries: where they change between, they are noted again
	due := now.Sub(k.tidied) >= tidy
	if version != k.noted || due {
		if err := k.Store.Note(ctx, k.Node, k.Entries(), now); err != nil {
			return err
		}
		k.noted = version
	}
	for {
		hits := k.Counter.take(batch)
		if len(hits) == 0 {
			break
		}
		if err := k.Store.Add(ctx, k.Node, hits); err != nil {
			for _, h := range hits {
				k.Counter.add(key{h.Entry, h.Day}, tally{h.N, h.Last})
			}
			return err
		}
	}
	if !due {
		return nil
	}
	if err := k.Store.Prune(ctx, Day(now)-kept, now.Add(-silent)); err != nil {
		return err
	}
	k.tidied = now
	return nil
}

// Compare orders entries: by list, recipient, value and kind.
func Compare(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Rcpt, b.Rcpt), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Kind, b.Kind))
}
