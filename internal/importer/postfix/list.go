package postfix

import "strings"

// Item is one element of a list such as relay_domains or mynetworks.
type Item struct {
	Text string
	Not  bool // it takes out what follows would take in
	At   Place
	// Table is set where the element is a table: its keys are elements, and Text is its name.
	Table *Table
}

// separators of lists in main.cf.
const separators = ", \t\r\n"

// List reads a list: words, !words, /file/names and type:tables. Files are read in place.
func (c *Config) List(name string) []Item {
	p, _ := c.Get(name)
	return c.list(p.Value, p.At, 0, false)
}

func (c *Config) list(text string, at Place, depth int, not bool) (out []Item) {
	if depth > maxDepth {
		c.fault(at, text, "goes too deep")
		return nil
	}
	for _, w := range words(text, separators) {
		w, reversed := negated(w)
		reversed = reversed != not
		switch {
		case strings.HasPrefix(w, "/"):
			file, data, err := c.files.Read(w)
			if err != nil {
				c.fault(at, w, "cannot be read: "+reason(err))
				continue
			}
			for _, l := range lines(data) {
				out = append(out, c.list(l.text, Place{file, l.at}, depth+1, reversed)...)
			}
		case isTable(w):
			out = append(out, Item{Text: w, Not: reversed, At: at, Table: c.Table(w, at)})
		default:
			out = append(out, Item{Text: w, Not: reversed, At: at})
		}
		if len(out) > maxEntries {
			c.fault(at, w, "and what follows is not read: too many elements")
			return out
		}
	}
	return out
}

// isTable tells type:name from a host, a port or an IPv6 address.
func isTable(word string) bool {
	typ, _, ok := strings.Cut(word, ":")
	if !ok || typ == "" || strings.HasPrefix(word, "[") {
		return false
	}
	return strings.Trim(typ, "abcdefghijklmnopqrstuvwxyz") == ""
}

// Tables reads a parameter whose value is a list of tables.
func (c *Config) Tables(name string) []*Table {
	p, _ := c.Get(name)
	var out []*Table
	for _, w := range words(p.Value, separators) {
		out = append(out, c.Table(w, p.At))
	}
	return out
}

// Matches reports whether parent_domain_matches_subdomains makes a plain domain stand for those below it too.
func (c *Config) Matches(list string) bool {
	for _, w := range words(c.Value("parent_domain_matches_subdomains"), separators) {
		if w == list {
			return true
		}
	}
	return false
}
