package recipients

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Entry is one answer that is remembered, for people.
type Entry struct {
	Route   string    `json:"route"`
	Address string    `json:"address"`
	Kind    string    `json:"kind"` // known, unknown or refused
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`            // when it is asked again, or forgotten
	Sender  string    `json:"sender,omitempty"` // whom it is refused to
	Said    string    `json:"said,omitempty"`   // the next hop's words
}

// Remembered lists what is remembered of an address, whatever its case; of all with "". At most most, sorted by address, and
// whether there is more.
func (c *Cache) Remembered(address string, most int) (list []Entry, more bool) {
	c.mu.Lock()
	wanted := func(key string) ([]string, bool) {
		parts := strings.SplitN(key, "\n", 4)
		return parts, len(parts) > 1 && (address == "" || strings.EqualFold(parts[1], address))
	}
	c.known.each(func(key string, at time.Time) {
		if p, ok := wanted(key); ok {
			list = append(list, Entry{Route: p[0], Address: p[1], Kind: Known.String(), Since: at, Until: at.Add(takesFor)})
		}
	})
	for kind, t := range map[Kind]*table[refusal]{Unknown: &c.unknown, Refused: &c.refused} {
		holds := map[Kind]time.Duration{Unknown: unknownFor, Refused: refusedFor}[kind]
		t.each(func(key string, r refusal) {
			p, ok := wanted(key)
			if !ok || time.Since(r.at) >= holds {
				return
			}
			e := Entry{Route: p[0], Address: p[1], Kind: kind.String(), Since: r.at, Until: r.at.Add(holds), Said: r.reply.String()}
			if len(p) > 2 {
				e.Sender = "<" + p[2] + ">"
			}
			list = append(list, e)
		})
	}
	c.mu.Unlock()
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.Route, b.Route), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Sender, b.Sender))
	})
	if len(list) > most {
		return list[:most], true
	}
	return list, false
}

// Forget forgets what is remembered of an address, whatever its case, or of all recipients of a route. It returns how many
// answers that were.
func (c *Cache) Forget(route, address string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	goes := func(key string) bool {
		parts := strings.SplitN(key, "\n", 3)
		return len(parts) > 1 && (route == "" || parts[0] == route) && (address == "" || strings.EqualFold(parts[1], address))
	}
	var known, unknown, refused []string
	c.known.each(func(key string, _ time.Time) { known = appendIf(known, key, goes) })
	c.unknown.each(func(key string, _ refusal) { unknown = appendIf(unknown, key, goes) })
	c.refused.each(func(key string, _ refusal) { refused = appendIf(refused, key, goes) })
	for _, key := range known {
		c.known.remove(key)
		c.touched(key)
	}
	for _, key := range unknown {
		c.unknown.remove(key)
	}
	for _, key := range refused {
		c.refused.remove(key)
	}
	return len(known) + len(unknown) + len(refused)
}

func appendIf(list []string, key string, goes func(string) bool) []string {
	if goes(key) {
		return append(list, key)
	}
	return list
}

// Import takes an address for known to a route, as if the next hop had said so now.
func (c *Cache) Import(route string, rcpt gateway.Address) {
	c.takes(newQuestion(route, gateway.Address{}, rcpt))
}

// Look is what one directory says of a recipient.
type Look struct {
	Directory string        `json:"directory"`
	Found     bool          `json:"found"`
	Ready     bool          `json:"ready"`
	Age       time.Duration `json:"age"`
}

// LookUp tells who knows a recipient of a route: what each of its directories says, and whether the next hop is asked.
func (r *Recipients) LookUp(route string, rcpt gateway.Address) (looks []Look, asks bool) {
	source, domain := r.sources.of(route, rcpt)
	for _, d := range source.Directories {
		one := Source{Directories: []Directory{d}}
		_, ready, age := d.Has(rcpt.Local, rcpt.Domain)
		a := find(&one, domain, rcpt)
		looks = append(looks, Look{Directory: d.Name(), Found: a.Kind == Known, Ready: ready, Age: age})
	}
	return looks, !source.None && (len(source.Directories) == 0 || source.ThenAsk)
}
