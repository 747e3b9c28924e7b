package strangers

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/greylist"
)

// Book is what the daemon tells of greylisting: who stands behind the keys, as far as that was seen lately, and how long
// mail was held. The store knows no names. The zero Book is empty and ready; its methods may be called at any time.
type Book struct {
	mu       sync.Mutex
	names    map[string]Name // by key
	order    []string        // of the keys, a ring
	at       int
	outcomes [len(outcomes)]uint64
	delays   [2]delays // of senders that are new here, and known
}

// Name is who stood behind a key when it was last seen.
type Name struct {
	From      string     `json:"from"`
	To        string     `json:"to"`
	Client    string     `json:"client"`
	Identity  string     `json:"identity"`
	Reference gateway.ID `json:"reference"`
}

// namesKept is how many names are kept, in about 6 MB.
const namesKept = 1 << 14

// outcomes are what came of the pairs that were asked about.
var outcomes = [...]string{"first", "early", "passed", "known", "exempt", "unknown"}

// delays are how long the last messages of a kind of senders were held: most of them not at all.
type delays struct {
	last  [1024]float32 // seconds
	count uint64
}

func (d *delays) add(seconds float64) {
	d.last[d.count%uint64(len(d.last))] = float32(seconds)
	d.count++
}

// quantile returns what so large a part of the last messages did not exceed.
func (d *delays) quantile(q float64) float64 {
	n := int(min(d.count, uint64(len(d.last))))
	if n == 0 {
		return 0
	}
	sorted := slices.Clone(d.last[:n])
	slices.Sort(sorted)
	return float64(sorted[min(int(q*float64(n)), n-1)])
}

// greyFindings calls a function with each finding of the greylist in an event, and its evidence.
func greyFindings(e *gateway.Event, see func(f *gateway.Finding, told []gateway.Evidence)) {
	if e.Kind != gateway.TransactionEvent {
		return
	}
	for i := range e.Record.Findings {
		if f := &e.Record.Findings[i]; (f.Check == "greylist" || f.Check == "greylist.null") && i < len(e.Evidence) && len(e.Evidence[i]) > 0 {
			see(f, e.Evidence[i])
		}
	}
}

// evident is the evidence of a name, or "".
func evident(told []gateway.Evidence, name string) string {
	for _, x := range told {
		if x.Name == name {
			return x.Text
		}
	}
	return ""
}

// note keeps the names of an event, and only them.
func (g *Book) note(e *gateway.Event) {
	greyFindings(e, func(f *gateway.Finding, told []gateway.Evidence) {
		key := evident(told, filters.EvidenceGreylistKey)
		if key == "" {
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.name(key, Name{From: e.Record.From.Text, To: greyRecipient(e.Record, f.Rcpt), Client: e.Record.Client.String(),
			Identity: evident(told, filters.EvidenceGreylistIdentity), Reference: e.Record.ID})
	})
}

// Learn takes what a transaction tells: it is part of the learner.
func (g *Book) Learn(e *gateway.Event) {
	g.note(e)
	waited, sender := 0.0, ""
	g.mu.Lock()
	defer g.mu.Unlock()
	greyFindings(e, func(f *gateway.Finding, told []gateway.Evidence) {
		sender = cmp.Or(evident(told, filters.EvidenceGreylistSender), sender)
		if f.Result == gateway.NotRun {
			return
		}
		g.outcomes[outcomeOf(evident(told, filters.EvidenceGreylist))]++
		for _, m := range f.Measures {
			if m.Name == "waited" {
				waited = max(waited, m.Value)
			}
		}
	})
	if sender != "" && (e.Spooled != "" || e.Relayed != nil && e.Relayed.Result == gateway.Delivered) {
		kind := 0
		if sender == filters.GreylistKnownSender {
			kind = 1
		}
		g.delays[kind].add(waited)
	}
}

// outcomeOf is the index of a word in outcomes; the last one for any other.
func outcomeOf(word string) int {
	if i := slices.Index(outcomes[:], word); i >= 0 {
		return i
	}
	return len(outcomes) - 1
}

// greyRecipient is the recipient that a finding is about; of a bounce, that under which it is remembered.
func greyRecipient(r *gateway.Record, i int) string {
	if i >= 0 && i < len(r.Rcpts) {
		return r.Rcpts[i].To.Text
	}
	first := gateway.Address{}
	for i := range r.Rcpts {
		if to := r.Rcpts[i].To; r.Rcpts[i].Code == 250 && (first.Text == "" || to.Key() < first.Key()) {
			first = to
		}
	}
	return first.Text
}

// name notes who stands behind a key. Of too many, that is forgotten which was noted first. The lock is held.
func (g *Book) name(key string, n Name) {
	if g.names == nil {
		g.names = make(map[string]Name)
	}
	if _, known := g.names[key]; !known {
		key = strings.Clone(key) // it may be a part of a longer text
		if len(g.order) < namesKept {
			g.order = append(g.order, key)
		} else {
			delete(g.names, g.order[g.at])
			g.order[g.at] = key
			g.at = (g.at + 1) % namesKept
		}
	}
	g.names[key] = n
}

// named returns who stands behind a key.
func (g *Book) named(key string) (Name, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ok := g.names[key]
	return n, ok
}

// matching returns the keys of a sender and a recipient, either of which may be "" for any.
func (g *Book) matching(from, to string) (keys []greylist.Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, n := range g.names {
		if from != "" && !strings.EqualFold(from, "<"+n.From+">") && !strings.EqualFold(from, n.From) || to != "" && !strings.EqualFold(to, n.To) {
			continue
		}
		if k, err := greylist.ParseKey(key); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// of returns what is known by name of a sender or recipient.
func (g *Book) of(address string) (out []Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.names {
		if strings.EqualFold(n.From, address) || strings.EqualFold(n.To, address) {
			out = append(out, n)
		}
	}
	return out
}

// forget forgets the names of pairs in which an address stands, and returns of how many.
func (g *Book) forget(address string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, name := range g.names {
		if strings.EqualFold(name.From, address) || strings.EqualFold(name.To, address) {
			g.names[key] = Name{} // its place in the ring stays
			n++
		}
	}
	return n
}

// Instruments shows what greylisting does.
func (g *Book) Instruments(m *journal.Metrics, strangers *greylist.Memory) {
	m.Counters("greylist_total", "Pairs of sender and recipient that greylisting was asked about, by what came of it: first and early had to wait, passed did after it had waited, "+
		"known and exempt passed before, unknown could not be asked.", []string{"outcome"}, func() (out []journal.Series) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, word := range outcomes {
			out = append(out, journal.Series{Labels: []string{word}, Value: float64(g.outcomes[i])})
		}
		return out
	})
	kinds := [...]string{"new", "known"}
	m.Gauges("greylist_delay_seconds", "How long the last 1024 messages of senders from which mail was accepted before (known), and of others (new), were held by greylisting; most not at all.",
		[]string{"sender", "quantile"}, func() (out []journal.Series) {
			g.mu.Lock()
			defer g.mu.Unlock()
			for i, kind := range kinds {
				for _, q := range [...]struct {
					name string
					q    float64
				}{{"0.5", 0.5}, {"0.95", 0.95}} {
					out = append(out, journal.Series{Labels: []string{kind, q.name}, Value: g.delays[i].quantile(q.q)})
				}
			}
			return out
		})
	m.Counters("greylist_messages_total", "Messages whose delay greylist_delay_seconds tells.", []string{"sender"}, func() (out []journal.Series) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, kind := range kinds {
			out = append(out, journal.Series{Labels: []string{kind}, Value: float64(g.delays[i].count)})
		}
		return out
	})
	m.Gauge("greylist_pairs", "Pairs of sender and recipient that are remembered here.", func() float64 { n, _ := strangers.Len(); return float64(n) })
	m.Gauge("greylist_identities", "Organizations and networks of which passes are remembered here.", func() float64 { _, n := strangers.Len(); return float64(n) })
}
