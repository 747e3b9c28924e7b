package store

import (
	"net/netip"
	"reflect"
	"strings"

	"gatepost/gateway"
)

// mask takes what tells of people out of events: of all of them, or of one.
type mask struct {
	names *Names
	// one is the address, in lower case, of the only person that it is about; "": of everybody.
	one, oneName string
}

// erased stands for the local part of somebody who was erased.
const erased = "erased"

// address is what stands for an address of which the local part is not empty.
func (m *mask) address(text string) string {
	if m.one == "" {
		return m.names.Address(text)
	}
	if key := addressKey(text); key == m.one || key == m.oneName {
		return erased + key[strings.LastIndexByte(key, '@'):]
	}
	return text
}

// about reports whether a text has the address of the person.
func (m *mask) about(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, m.one) || strings.Contains(text, m.oneName)
}

// eventAbout reports whether any text of an event has the address of the person.
func (m *mask) eventAbout(e *gateway.Event) (found bool) {
	eachText(reflect.ValueOf(e), func(s string) string {
		found = found || m.about(s)
		return s
	})
	return found
}

// event masks an event, and reports whether that changed it. What is masked says no longer what the mail was about: its subject and
// evidence go.
func (m *mask) event(e *gateway.Event) bool {
	r := e.Record
	var author bool
	if m.one != "" {
		if !m.eventAbout(e) {
			return false
		}
		from, header := addressKey(r.From.Text), fromHeader(r.HeaderFrom)
		author = from == m.one || from == m.oneName || header == m.one || header == m.oneName
	}
	own := []*string{&e.Policy, &e.Verdict.Line} // never a person's
	if e.Relayed != nil {
		own = append(own, &e.Relayed.NextHop)
	}
	kept := make([]string, len(own))
	for i, s := range own {
		kept[i] = *s
	}
	all := m.one == ""
	e.Subject, e.Evidence, e.Removed = "", nil, nil
	for i := range r.Findings {
		r.Findings[i].Evidence = nil
	}
	if all {
		e.MessageID = m.names.messageID(messageIDKey(e.MessageID))
	} else {
		e.MessageID = ""
	}
	if key := fromHeader(r.HeaderFrom); key != "" {
		r.HeaderFrom = "<" + key + ">" // without a name
	} else {
		r.HeaderFrom = ""
	}
	if all || author {
		r.Client, r.Helo = networkOf(r.Client), ""
		e.Session.Client, e.Session.Reverse = netip.AddrPortFrom(networkOf(e.Session.Client.Addr()), 0), ""
		e.Session.TLS.Client = ""
	}
	eachText(reflect.ValueOf(e), func(s string) string {
		s = m.text(s)
		if all || author {
			s = cutAddresses(s)
		}
		return s
	})
	for i, s := range own {
		*s = kept[i]
	}
	m.mailbox(&r.From)
	for i := range r.Rcpts {
		m.mailbox(&r.Rcpts[i].To)
		for k := range r.Rcpts[i].Sent {
			m.mailbox(&r.Rcpts[i].Sent[k])
		}
	}
	if e.Relayed != nil {
		for i := range e.Relayed.To {
			m.mailbox(&e.Relayed.To[i])
		}
	}
	return true
}

// mailbox puts an address together again whose text was masked.
func (m *mask) mailbox(a *gateway.Address) {
	at := strings.LastIndexByte(a.Text, '@')
	if at <= 0 || a.Text[:at] == a.Local {
		return
	}
	if local := a.Text[:at]; local == erased || hashed(local) {
		a.Local, a.UTF8 = local, false
	}
}

// fate masks what became of a message in the spool.
func (m *mask) fate(f *gateway.Fate) bool {
	before := fateText(f)
	f.From, f.Said = m.text(f.From), m.text(f.Said)
	for i := range f.Rcpts {
		f.Rcpts[i] = m.text(f.Rcpts[i])
	}
	return fateText(f) != before
}

// fateText is all text of what became of a message in which people can stand, one under the other.
func fateText(f *gateway.Fate) string {
	return f.From + "\n" + strings.Join(f.Rcpts, "\n") + "\n" + f.Said
}

// text masks the addresses that stand in a text.
func (m *mask) text(s string) string {
	if strings.IndexByte(s, '@') < 0 {
		return s
	}
	var b strings.Builder
	done := 0
	for at := 0; at < len(s); at++ {
		if s[at] != '@' {
			continue
		}
		from, to := addressAt(s, done, at)
		if from == at || to == at+1 {
			continue
		}
		b.WriteString(s[done:from])
		b.WriteString(m.address(s[from:to]))
		done, at = to, to-1
	}
	b.WriteString(s[done:])
	return b.String()
}

// addressAt is where the address begins and ends of which the @ stands at a place; before is where it cannot begin.
func addressAt(s string, before, at int) (from, to int) {
	from, to = at, at+1
	if at > before && s[at-1] == '"' {
		if i := strings.LastIndexByte(s[before:at-1], '"'); i >= 0 {
			from = before + i
		}
	} else {
		for from > before && !strings.ContainsRune("\t\n\r \"(),:;<>[]\\@", rune(s[from-1])) {
			from--
		}
	}
	if to < len(s) && s[to] == '[' {
		if i := strings.IndexByte(s[to:], ']'); i >= 0 {
			return from, to + i + 1
		}
	}
	for to < len(s) && (s[to] >= 0x80 || s[to] == '-' || s[to] == '.' || s[to] == '_' || '0' <= s[to] && s[to] <= '9' || 'a' <= s[to]|0x20 && s[to]|0x20 <= 'z') {
		to++
	}
	for to > at+1 && (s[to-1] == '.' || s[to-1] == '-') {
		to--
	}
	return from, to
}

// cutAddresses puts networks in the place of the addresses of hosts that stand in a text. In the name of a host, such as one under
// in-addr.arpa, an address stands the other way round: of that nothing stays.
func cutAddresses(s string) string {
	if strings.Count(s, ".") < 3 && strings.Count(s, ":") < 2 && strings.Count(s, "-") < 3 {
		return s
	}
	var b strings.Builder
	word := func(w string) {
		bare := strings.TrimRight(w, ".:")
		a, err := netip.ParseAddr(bare)
		switch {
		case err == nil:
			w = networkOf(a).String() + w[len(bare):]
		case numbered(w):
			w = "?" + w[strings.LastIndexAny(w, "0123456789")+1:]
		}
		b.WriteString(w)
	}
	from := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && (s[i] == '.' || s[i] == ':' || s[i] == '-' || s[i] >= '0' && s[i] <= '9' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
			continue
		}
		if from < i {
			word(s[from:i])
		}
		if i < len(s) {
			b.WriteByte(s[i])
		}
		from = i + 1
	}
	return b.String()
}

// numbered reports whether a word has four numbers with nothing but a dot or hyphen between them, as names have that are made of an
// address.
func numbered(w string) bool {
	run, in := 0, false
	for i := 0; i < len(w); i++ {
		digit := w[i] >= '0' && w[i] <= '9'
		switch {
		case digit && !in:
			run, in = run+1, true
		case !digit:
			if w[i] != '.' && w[i] != '-' || i > 0 && (w[i-1] == '.' || w[i-1] == '-') {
				run = 0
			}
			in = false
		}
		if run >= 4 {
			return true
		}
	}
	return false
}

// eachText puts what change makes of it in the place of each text that a value leads to.
func eachText(v reflect.Value, change func(string) string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachText(v.Elem(), change)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			eachText(v.Field(i), change)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			eachText(v.Index(i), change)
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(change(v.String()))
		}
	}
}
