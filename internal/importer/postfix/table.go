package postfix

import (
	"errors"
	"io/fs"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Kind is how a table is searched.
type Kind uint8

// The kinds.
const (
	Indexed Kind = iota // by the whole key: hash, texthash, inline and the like
	Network             // cidr: by address, in order
	Regexp              // regexp and pcre: in order
	Static              // the same for each key
)

// Entry is one line of a table.
type Entry struct {
	Key    string // as written, folded to lower case in an indexed table; the expression without its delimiters
	Value  string
	At     Place
	Not    bool         // "!" before a pattern or network: it holds where that does not match
	Within bool         // inside of if ... endif
	Net    netip.Prefix // of a Network
	re     *regexp.Regexp
	guards []guard
}

// guard is an "if" around an entry.
type guard struct {
	re  *regexp.Regexp
	net netip.Prefix
	not bool
}

// Table is a look-up table, read from its text.
type Table struct {
	Ref     string // as main.cf names it: "hash:/etc/postfix/access"
	Kind    Kind
	Entries []Entry
	Err     error // why nothing was read; the entries are then unknown
	index   map[string]int
}

// Secrets reads the tables of a parameter whose values are passwords: what is wrong with them is not shown.
func (c *Config) Secrets(name string) []*Table {
	before := len(c.Faults)
	tables := c.Tables(name)
	for i := range c.Faults[before:] {
		c.Faults[before+i].What = "(not shown)"
	}
	for _, t := range tables {
		t.Ref, _, _ = strings.Cut(t.Ref, "{")
	}
	return tables
}

// Table reads a table. It never fails: Err says why its entries are not known.
func (c *Config) Table(ref string, at Place) *Table {
	if t := c.tables[ref]; t != nil {
		return t
	}
	t := c.readTable(ref, at)
	t.Ref = ref
	if t.Kind == Indexed {
		t.index = make(map[string]int, len(t.Entries))
		for i, e := range t.Entries {
			if first, twice := t.index[e.Key]; twice {
				c.fault(e.At, e.Key, "is there twice, and "+t.Entries[first].At.String()+" counts")
				continue
			}
			t.index[e.Key] = i
		}
	}
	c.tables[ref] = t
	return t
}

func (c *Config) readTable(ref string, at Place) *Table {
	typ, name, ok := strings.Cut(ref, ":")
	if !ok || strings.HasPrefix(ref, "/") {
		typ, name = c.Value("default_database_type"), ref
	}
	for typ == "proxy" {
		typ, name, _ = strings.Cut(name, ":")
	}
	t := &Table{}
	switch typ {
	case "static":
		t.Kind = Static
		t.Entries = []Entry{{Value: unbraced(name), At: at}}
		return t
	case "inline":
		c.inline(t, unbraced(name), at)
		return t
	case "fail":
		t.Err = errors.New("always fails")
		return t
	case "hash", "btree", "texthash", "lmdb", "cdb", "dbm", "sdbm":
	case "cidr":
		t.Kind = Network
	case "regexp", "pcre":
		t.Kind = Regexp
	default:
		t.Err = ErrNoText
		return t
	}
	file, data, err := c.files.Read(name)
	if err != nil {
		t.Err = err
		return t
	}
	for i, l := range lines(data) {
		if i >= maxEntries {
			c.fault(Place{file, l.at}, "", "and what follows is not read: more than "+strconv.Itoa(maxEntries)+" entries")
			break
		}
		c.entry(t, l, Place{file, l.at})
	}
	return t
}

// inline reads {key=value, {key = long value}}.
func (c *Config) inline(t *Table, text string, at Place) {
	for _, w := range words(text, ", \t\r\n") {
		key, value, ok := strings.Cut(unbraced(w), "=")
		if !ok {
			c.fault(at, w, `is no "key=value"`)
			continue
		}
		t.Entries = append(t.Entries, Entry{Key: strings.ToLower(strings.TrimSpace(key)), Value: strings.TrimSpace(value), At: at})
	}
}

func (c *Config) entry(t *Table, l line, at Place) {
	if t.Kind == Regexp {
		c.expression(t, l.text, at)
		return
	}
	key, value := l.text, ""
	if i := keyEnd(l.text); i < len(l.text) {
		key, value = l.text[:i], strings.TrimSpace(l.text[i:])
	}
	if t.Kind == Network {
		c.network(t, key, value, at)
		return
	}
	if value == "" {
		c.fault(at, l.text, "is a key without a value")
		return
	}
	t.Entries = append(t.Entries, Entry{Key: strings.ToLower(key), Value: value, At: at})
}

// keyEnd is where the key of a line ends: at white space that is not within quotes ("some name"@example.org).
func keyEnd(text string) int {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return i
		}
	}
	return len(text)
}

func (c *Config) network(t *Table, key, value string, at Place) {
	e := Entry{Key: key, Value: value, At: at}
	e.guards = t.open()
	switch strings.ToLower(key) {
	case "if":
		e.Key = "if"
		pattern, not := negated(value)
		net, err := parseNet(pattern)
		if err != nil {
			c.fault(at, key+" "+value, "is no network")
		}
		e.guards = append(e.guards, guard{net: net, not: not})
		t.Entries = append(t.Entries, e)
		return
	case "endif":
		e.Key = "endif"
		e.guards = e.guards[:max(len(e.guards)-1, 0)]
		t.Entries = append(t.Entries, e)
		return
	}
	pattern, not := negated(key)
	net, err := parseNet(pattern)
	if err != nil || value == "" {
		c.fault(at, key+" "+value, "is no network with a result")
		return
	}
	e.Net, e.Not, e.Within = net, not, len(e.guards) > 0
	t.Entries = append(t.Entries, e)
}

// open are the guards that hold for the next entry: those behind the last one.
func (t *Table) open() []guard {
	if len(t.Entries) == 0 {
		return nil
	}
	g := t.Entries[len(t.Entries)-1].guards
	return g[:len(g):len(g)]
}

func negated(text string) (rest string, not bool) {
	for strings.HasPrefix(text, "!") {
		text, not = strings.TrimSpace(text[1:]), !not
	}
	return text, not
}

// parseNet reads an address or a network. One with bits behind its prefix is refused, as Postfix does.
func parseNet(text string) (netip.Prefix, error) {
	text = strings.NewReplacer("[", "", "]", "").Replace(text)
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p != p.Masked() {
		err = errors.New("has bits behind its prefix")
	}
	return p, err
}

// Lookup is what Postfix finds for a key of an indexed or static table, for an address in a cidr table, or for a text in a
// regexp table; the value of the last with $1 and the like as written.
func (t *Table) Lookup(key string) (*Entry, bool) {
	switch t.Kind {
	case Static:
		return &t.Entries[0], true
	case Indexed:
		i, ok := t.index[strings.ToLower(key)]
		if !ok {
			return nil, false
		}
		return &t.Entries[i], true
	}
	addr, _ := netip.ParseAddr(key)
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.Key != "if" && e.Key != "endif" && e.matches(key, addr, t.Kind) {
			return e, true
		}
	}
	return nil, false
}

func (e *Entry) matches(key string, addr netip.Addr, kind Kind) bool {
	for _, g := range e.guards {
		if kind == Network && !inside(g.net, addr, g.not) || kind == Regexp && g.re.MatchString(key) == g.not {
			return false
		}
	}
	if kind == Network {
		return inside(e.Net, addr, e.Not)
	}
	return e.re != nil && e.re.MatchString(key) != e.Not
}

// inside tells whether an address is in a network, or with not outside of it; one of the other kind is neither.
func inside(n netip.Prefix, addr netip.Addr, not bool) bool {
	return n.IsValid() && n.Addr().BitLen() == addr.BitLen() && n.Contains(addr) != not
}

// reason is a short text of an error, without paths.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file is not there"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// Why says why a table was not read.
func (t *Table) Why() string { return reason(t.Err) }
