package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// memory is a chain in memory. fail is what Append says instead; hang lets it wait for its context.
type memory struct {
	mu       sync.Mutex
	rows     []Row
	fail     error
	hang     bool
	attempts int
}

func (m *memory) Append(ctx context.Context, entries []Entry) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	if m.hang {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return Head{}, ctx.Err()
	}
	if m.fail != nil {
		return Head{}, m.fail
	}
	return m.append(entries), nil
}

func (m *memory) append(entries []Entry) (h Head) {
	for _, e := range entries {
		if n := len(m.rows); n > 0 {
			h = Head{m.rows[n-1].Number, m.rows[n-1].Hash}
		}
		if slices.ContainsFunc(m.rows, func(r Row) bool { return r.Source == e.Source }) {
			continue
		}
		d := e.Digest()
		h = Head{h.Number + 1, Chain(h.Hash, h.Number+1, d)}
		e.Number = h.Number
		m.rows = append(m.rows, Row{e, d, h.Hash})
	}
	return h
}

func (m *memory) List(context.Context, Filter) ([]Row, error) { return nil, errors.ErrUnsupported }

func (m *memory) Walk(_ context.Context, after int64, most int) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Row
	for _, r := range m.rows {
		if r.Number > after && len(out) < most {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) Erase(_ context.Context, older time.Time, by Entry) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		r := &m.rows[i]
		if !r.Time.Before(older) {
			break
		}
		for _, t := range r.texts() {
			if t != &r.Source {
				*t = ""
			}
		}
		r.Erased = true
		n++
	}
	by.Operation, by.Object = EraseOperation, fmt.Sprint(n)
	m.append([]Entry{by})
	return n, nil
}

// objects are those of the entries, in their order.
func (m *memory) objects() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, r := range m.rows {
		out = append(out, r.Object)
	}
	return strings.Join(out, " ")
}

// entry is one of a test.
func entry(object string) Entry {
	e := Entry{Time: time.Date(2026, 11, 27, 8, 0, 0, 123456789, time.UTC), Actor: "anna", Via: "socket", Operation: "queue retry", Object: object}
	e.clean()
	return e
}

// chain is one of eight entries.
func chain() *memory {
	m := &memory{}
	for i := range 8 {
		e := entry(fmt.Sprint(i))
		e.Time = e.Time.Add(time.Duration(i) * time.Hour)
		m.append([]Entry{e})
	}
	return m
}

// TestVerify shows that each change of any text, of the time, of the order and of the number of entries is found, at its place;
// and that heads which a node saw find what the chain itself cannot tell.
func TestVerify(t *testing.T) {
	head := func(m *memory, n int) Head { return Head{m.rows[n-1].Number, m.rows[n-1].Hash} }
	remake := func(m *memory) { // as somebody would who can write the store and knows how it is done
		rows := m.rows
		m.rows = nil
		for i := range rows {
			m.append([]Entry{rows[i].Entry})
		}
	}
	for name, tt := range map[string]struct {
		change func(m *memory)
		bad    int64
		seen   int // the head of so many entries was seen; 0: none
	}{
		"nothing":        {func(m *memory) {}, 0, 8},
		"a text":         {func(m *memory) { m.rows[3].Actor = "bert" }, 4, 0},
		"a letter moved": {func(m *memory) { m.rows[3].Actor, m.rows[3].Role = "ann", "a" }, 4, 0},
		"the time":       {func(m *memory) { m.rows[7].Time = m.rows[7].Time.Add(time.Microsecond) }, 8, 0},
		"the digest too": {func(m *memory) { m.rows[2].Actor = "bert"; m.rows[2].Digest = m.rows[2].Entry.Digest() }, 3, 0},
		"digest and hash": {func(m *memory) {
			r := &m.rows[2]
			r.Actor = "bert"
			r.Digest = r.Entry.Digest()
			r.Hash = Chain(m.rows[1].Hash, 3, r.Digest)
		}, 4, 0},
		"one removed":            {func(m *memory) { m.rows = slices.Delete(m.rows, 4, 5) }, 5, 0},
		"one removed, closed up": {func(m *memory) { m.rows = slices.Delete(m.rows, 4, 5); m.rows[4].Number = 5 }, 5, 0},
		"the first removed":      {func(m *memory) { m.rows = m.rows[1:] }, 1, 0},
		"two swapped": {func(m *memory) {
			m.rows[4], m.rows[5] = m.rows[5], m.rows[4]
			m.rows[4].Number, m.rows[5].Number = 5, 6
		}, 5, 0},
		"one put in":             {func(m *memory) { m.rows = slices.Insert(m.rows, 4, Row{Entry: entry("x")}); m.rows[4].Number = 5 }, 5, 0},
		"the last removed":       {func(m *memory) { m.rows = m.rows[:7] }, 0, 7},
		"the last removed, seen": {func(m *memory) { m.rows = m.rows[:7] }, 8, 8},
		"all made anew":          {func(m *memory) { m.rows[3].Actor = "bert"; remake(m) }, 0, 3},
		"all made anew, seen":    {func(m *memory) { m.rows[3].Actor = "bert"; remake(m) }, 6, 6},
		"text erased":            {func(m *memory) { m.rows[0].Erased = true; m.rows[0].Actor = "" }, 1, 0},
		"text erased, no first":  {func(m *memory) { m.rows[3].Erased = true }, 4, 0},
		"other text after age":   {func(m *memory) { m.old(3); m.rows[1].Actor = "bert" }, 2, 0},
		"age":                    {func(m *memory) { m.old(3) }, 0, 8},
		"more than age": {func(m *memory) {
			m.old(3)
			m.rows[3].Erased = true
			m.rows[3].Actor, m.rows[3].Via, m.rows[3].Operation, m.rows[3].Object = "", "", "", ""
		}, 4, 0},
		"none is left": {func(m *memory) { m.rows = nil }, 1, 8},
	} {
		m := chain()
		var seen []Head
		if tt.seen > 0 {
			seen = []Head{head(m, tt.seen)}
		}
		tt.change(m)
		r, err := Verify(t.Context(), m, seen...)
		if err != nil || r.Bad != tt.bad || (r.Why == "") != (r.Bad == 0) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// old has the first n entries go by age.
func (m *memory) old(n int) {
	by := entry("")
	if _, err := m.Erase(context.Background(), m.rows[n].Time, by); err != nil {
		panic(err)
	}
}

// TestHead shows that a head is read as it was written, and nothing else is.
func TestHead(t *testing.T) {
	m := chain()
	h := Head{8, m.rows[7].Hash}
	if got, err := ParseHead(h.String() + "\n"); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "8", "x " + strings.Repeat("00", 32), "0 " + strings.Repeat("00", 32), "8 00", "8 " + strings.Repeat("0g", 32)} {
		if got, err := ParseHead(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// TestClean shows that an entry can be held by each store, and reads back with the same digest.
func TestClean(t *testing.T) {
	e := Entry{Time: time.Now(), Actor: "a\x00b\xff", Object: strings.Repeat("\u00e9", 300), Asked: strings.Repeat("x", 9000), Erased: true, Number: 7}
	e.clean()
	if e.Actor != "a?b?" || len(e.Object) > maxName || len(e.Asked) > maxText || !strings.HasSuffix(e.Asked, "...") || e.Erased || e.Number != 0 || e.Source == "" {
		t.Errorf("%+v", e)
	}
	again := e
	again.clean()
	if again.Digest() != e.Digest() {
		t.Error("what is clean is changed")
	}
}

// TestOfOneDomain shows that what somebody of one domain does belongs to that domain, and what an operation says counts more.
func TestOfOneDomain(t *testing.T) {
	for want, tt := range map[string]struct {
		domains []string
		said    string
	}{"example.org": {[]string{"example.org"}, ""}, "example.net": {[]string{"example.org"}, "example.net"}, "": {[]string{"example.org", "example.net"}, ""}} {
		if got := Of(control.Entry{Actor: access.Actor{Domains: tt.domains}, Change: control.Change{Domain: tt.said}}); got.Domain != want {
			t.Errorf("%+v: %q", tt, got.Domain)
		}
	}
}

// TestSurface shows what of calls comes to the log: changes and looks into mail, done and failed, refusals also of what only reads;
// never a secret, and nothing of a list.
func TestSurface(t *testing.T) {
	m := &memory{}
	l, stop := running(t, m)
	type in struct {
		ID     string `json:"id" doc:"d"`
		Secret string `json:"secret" doc:"d" secret:"true"`
	}
	do := func(ctx context.Context, in *in) (bool, error) {
		if in.ID == "bad" {
			return false, &control.Fault{Status: 409, Message: "it is bad"}
		}
		control.Changed(ctx, control.Change{Object: in.ID, Before: map[string]int{"n": 1}, After: map[string]int{"n": 2}, Domain: "example.org"})
		return true, nil
	}
	s := &control.Surface{Audit: l.Audit, Operations: []control.Operation{
		control.Define(control.Operation{Name: "thing change", Method: "POST", Path: "/c", Doc: "d", Right: access.QueueChange}, do),
		control.Define(control.Operation{Name: "thing show", Method: "GET", Path: "/s", Doc: "d", Right: access.QueueRead, Shows: true}, do),
		control.Define(control.Operation{Name: "thing list", Method: "GET", Path: "/l", Doc: "d", Right: access.QueueRead}, do)}}
	owner := access.With(t.Context(), access.Actor{Name: "anna", Role: access.Owner, Via: access.BySession})
	nobody := access.With(t.Context(), access.Actor{Name: "bert", Via: access.ByToken})
	for _, ctx := range []context.Context{owner, nobody} {
		for _, name := range []string{"thing change", "thing show", "thing list"} {
			for _, id := range []string{"good", "bad"} {
				_, _ = s.Call(ctx, name, &in{ID: id, Secret: "hunter2"}) // what it says is told below
			}
		}
	}
	stop()
	var got []string
	for _, r := range m.rows {
		got = append(got, fmt.Sprintf("%s %s %s %q %s %s>%s %t", r.Actor, r.Via, r.Operation, r.Object, r.Domain, r.Before, r.After, r.Error != ""))
		if strings.Contains(text(&r.Entry), "hunter2") || !strings.Contains(r.Asked, `"secret":"(secret)"`) {
			t.Errorf("%+v", r)
		}
	}
	want := []string{`anna session thing change "good" example.org {"n":1}>{"n":2} false`, `anna session thing change ""  > true`,
		`anna session thing show "good" example.org {"n":1}>{"n":2} false`, `anna session thing show ""  > true`,
		`bert token thing change ""  > true`, `bert token thing change ""  > true`, `bert token thing show ""  > true`, `bert token thing show ""  > true`,
		`bert token thing list ""  > true`, `bert token thing list ""  > true`}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}
