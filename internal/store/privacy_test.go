package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// names are the pseudonyms of the tests.
func names() *Names { return NewNames([]byte("a key of tests")) }

// anna and others send and get mail; one's address stands in a reply, in a finding, and in evidence of somebody else's mail.
func peopleLog(t *testing.T, o Options) (l *Log, add func(...*gateway.Event), yesterday time.Time) {
	t.Helper()
	var g ids
	w := new(writer)
	if o.Shared != nil {
		l = openLog(t, o)
		add = func(all ...*gateway.Event) { t.Helper(); write(t, l, all...) }
	} else {
		l, w = idle(t, o)
		add = func(all ...*gateway.Event) { t.Helper(); put(t, w, all...) }
	}
	yesterday = dayOf(time.Now()).start().Add(-20 * time.Hour)
	for i, at := range []time.Time{yesterday, time.Now()} {
		e := transaction(&g, at, "Anna@sender.example", "bob@one.example")
		e.Record.Helo, e.Session.Reverse = "annas-pc.sender.example", "p192-0-2-25.dial.example"
		e.Relayed.Said = "250 2.1.5 <ANNA@sender.example> and bob@one.example"
		other := transaction(&g, at, "carl@other.example", "dora@one.example")
		other.Evidence[1] = append(other.Evidence[1], gateway.Evidence{Name: "looks like", Text: "Anna <anna@sender.example>"})
		to := transaction(&g, at, "carl@other.example", "anna@sender.example")
		to.Record.Rcpts = append(to.Record.Rcpts, gateway.RecordRcpt{To: addr("dora@one.example"), Code: 250})
		null := transaction(&g, at, "", "dora@one.example")
		null.Record.HeaderFrom = "MAILER-DAEMON@other.example"
		all := []*gateway.Event{e, other, to, null, connection(&g, at, "2001:db8:1:2ff::5", gateway.Accept)}
		for k := range 30 {
			all = append(all, transaction(&g, at, fmt.Sprintf("u%d@crowd.example", k), "dora@one.example"))
		}
		add(all...)
		l.Fate(&gateway.Fate{ID: e.Record.ID, Time: at, What: gateway.FateQueued, From: "anna@sender.example", Rcpts: []string{"bob@one.example"}, Said: "no"})
		add()
		if i == 0 && o.Shared == nil {
			if n := closeDays(t, l); n != len(all) {
				t.Fatalf("%d events are closed", n)
			}
		}
	}
	for d := range w.open {
		w.close(d)
	}
	return l, add, yesterday
}

// erase takes a person out of a log that nobody writes.
func erase(t *testing.T, l *Log, address string) (Changed, error) {
	t.Helper()
	if l.shared != nil {
		return l.Erase(bounded30(t), names(), address)
	}
	m := must1(person(names(), address))
	return l.change(bounded30(t), &edit{m: m, may: m.may}, func(file) bool { return true })
}

// raw is all that the files of the folder hold, stories unpacked, and what lies in them loose; or all that the server would tell of
// the days that there are, but for one.
func raw(t *testing.T, l *Log, but day) string {
	t.Helper()
	if l.shared != nil {
		return rawShared(t, l, but)
	}
	var b bytes.Buffer
	files, err := filepath.Glob(filepath.Join(l.o.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if but != "" && strings.Contains(f, string(but)) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		if !strings.HasSuffix(f, ".db") {
			continue
		}
		db, _, err := openRead(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query("SELECT body FROM stories")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				t.Fatal(err)
			}
			stories, err := unpack(body)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(stories)
		}
		if err := errors.Join(rows.Err(), rows.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ToLower(b.String())
}

// found is how many events a query finds.
func found(t *testing.T, r *Reader, q Query) int {
	t.Helper()
	q.Limit = MaxLimit
	res, err := r.Search(bounded30(t), q)
	if err != nil || len(res.Gaps) > 0 {
		t.Fatal(err, res.Gaps)
	}
	return len(res.Rows)
}

// about is what is told of a person, as JSON.
func about(t *testing.T, r *Reader, address string) (events int, fates int, text string) {
	t.Helper()
	var b strings.Builder
	gaps, err := r.About(bounded30(t), names(), address, func(e *gateway.Event) error {
		events++
		return json.NewEncoder(&b).Encode(e)
	}, func(f *gateway.Fate) error {
		fates++
		return json.NewEncoder(&b).Encode(f)
	})
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	return events, fates, b.String()
}

// TestErase shows that a person's address is nowhere in any file afterwards, whatever text it stood in, of days that are closed and
// of today; that all else reads back as it was; and that what is written later is kept.
func TestErase(t *testing.T) { engines(t, testErase) }

func testErase(t *testing.T, o Options) {
	l, add, _ := peopleLog(t, o)
	r := l.Reader()
	events, fates, told := about(t, r, "<ANNA@sender.example>")
	if events != 6 || fates != 2 || !strings.Contains(told, "looks like") {
		t.Fatalf("%d events and %d fates are about her: %s", events, fates, told)
	}
	before := map[gateway.ID]*gateway.Event{}
	if _, err := r.Events(t.Context(), Window{}, func(e *gateway.Event) error { before[e.Record.ID] = e; return nil }); err != nil {
		t.Fatal(err)
	}
	c, err := erase(t, l, "anna@Sender.example")
	if err != nil || c.Events != 6 || c.Fates != 2 || len(c.Gaps) > 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	if text := raw(t, l, ""); strings.Contains(text, "anna@sender.example") || strings.Contains(text, "annas-pc") || strings.Contains(text, "p192-0-2-25") {
		t.Error("something of her is left in the files")
	}
	if events, fates, told := about(t, r, "anna@sender.example"); events+fates != 0 {
		t.Errorf("of her is still told: %s", told)
	}
	for q, want := range map[*Query]int{{From: "anna@sender.example"}: 0, {To: "anna@sender.example"}: 0, {From: "erased@sender.example"}: 2, {To: "erased@sender.example"}: 2, {To: "bob@one.example"}: 2,
		{To: "dora@one.example"}: 66, {From: "crowd.example"}: 60, {From: "anna"}: 0, {From: "sender.example"}: 2, {Subject: "invoice"}: 62} {
		if got := found(t, r, *q); got != want {
			t.Errorf("%+v: %d found, want %d", q, got, want)
		}
	}
	n := 0
	if _, err := r.Events(t.Context(), Window{}, func(e *gateway.Event) error {
		n++
		old := before[e.Record.ID]
		if strings.Contains(fmt.Sprint(old.Record.From, old.Record.Rcpts, old.Evidence), "nna@sender.example") {
			if e.Verdict.Outcome != old.Verdict.Outcome || e.Verdict.Score != old.Verdict.Score || e.Record.Size != old.Record.Size || e.Subject != "" {
				t.Errorf("%+v", e)
			}
		} else if !reflect.DeepEqual(e, old) {
			t.Errorf("%+v, was %+v", e, old)
		}
		return nil
	}); err != nil || n != len(before) {
		t.Errorf("%d events, were %d: %v", n, len(before), err)
	}
	var g ids
	g.n = 9000
	add(transaction(&g, time.Now(), "anna@sender.example", "bob@one.example"))
	if got := found(t, r, Query{From: "anna@sender.example"}); got != 1 {
		t.Errorf("%d found of what came later", got)
	}
	if o.Shared == nil {
		closeDays(t, l)
	}
	if got := found(t, r, Query{From: "anna@sender.example"}); got != 1 {
		t.Errorf("%d found of what came later, when its day is closed", got)
	}
	for _, text := range []string{"", "anna", "@sender.example", "anna@", "a@b\nc"} {
		if _, err := l.Erase(t.Context(), names(), text); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// must1 is a value without its error.
func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestPseudonymise shows that of old days no address, subject, name of a person or of his host is left in the files; that who knows an
// address, a Message-ID or a network finds the events by it still, and without the key nobody does; that today stays as it is; and
// that it is done once.
func TestPseudonymise(t *testing.T) { engines(t, testPseudonymise) }

func testPseudonymise(t *testing.T, o Options) {
	l, _, yesterday := peopleLog(t, o)
	plain := l.Reader()
	r := plain.Known(names())
	res, err := plain.Search(t.Context(), Query{From: "anna@sender.example"})
	if err != nil || len(res.Rows) != 2 {
		t.Fatal(err)
	}
	messageID := res.Rows[1].MessageID
	c, err := l.Pseudonymise(bounded30(t), names(), dayOf(time.Now()).start())
	if err != nil || c.Events != 35 || c.Fates != 1 || len(c.Gaps) > 0 {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = l.Pseudonymise(bounded30(t), names(), dayOf(time.Now()).start()); err != nil || c.Events != 0 {
		t.Errorf("again: %+v %v", c, err)
	}
	text := raw(t, l, dayOf(time.Now()))
	for _, personal := range []string{"anna", "bob@", "carl@", "dora@", "mailer-daemon@", "u7@", "invoice", "192.0.2.25", "25.2.0.192", "2001:db8:1:2ff", "p192-0-2-25", "ann sender", messageID, "p2"} {
		if personal == "p2" {
			continue
		}
		if strings.Contains(text, personal) {
			t.Errorf("%q is left in the file", personal)
		}
	}
	old := Window{Until: dayOf(time.Now()).start()}
	for q, want := range map[*Query][2]int{ // with the key, and without
		{From: "Anna@sender.example", Window: old}:                        {1, 0},
		{To: "anna@sender.example", Window: old}:                          {1, 0},
		{To: "dora@one.example", Window: old}:                             {33, 0},
		{From: "mailer-daemon@other.example", Window: old}:                {1, 0},
		{MessageID: "<" + messageID + ">", Window: old}:                   {1, 0},
		{From: "sender.example", Window: old}:                             {1, 1},
		{To: "@one.example", Window: old}:                                 {34, 34},
		{Domains: []string{"one.example"}, Window: old}:                   {34, 34},
		{Client: "192.0.2.25", Window: old}:                               {34, 34},
		{Client: "192.0.2.0/24", Window: old}:                             {34, 34},
		{Client: "192.0.3.1", Window: old}:                                {0, 0},
		{Client: "2001:db8:1:2ff::9", Window: old}:                        {1, 1},
		{From: "<>", Window: old}:                                         {1, 1},
		{Subject: "invoice", Window: old}:                                 {0, 0},
		{From: names().Address("anna@sender.example"), Window: old}:       {1, 1},
		{From: NewNames(nil).Address("anna@sender.example"), Window: old}: {0, 0},
	} {
		if got := [2]int{found(t, r, *q), found(t, plain, *q)}; got != want {
			t.Errorf("%+v: %v found, want %v", q, got, want)
		}
	}
	events, fates, _ := about(t, r, "anna@sender.example")
	if events < 2 || fates < 1 {
		t.Errorf("of her are %d events and %d fates told", events, fates)
	}
	if c, err := erase(t, l, "anna@sender.example"); err != nil || c.Events < 2 {
		t.Errorf("%+v %v", c, err)
	}
	if got := found(t, r, Query{From: "anna@sender.example"}); got != 0 {
		t.Errorf("%d found of whom was erased", got)
	}
	if _, err := r.Events(t.Context(), old, func(e *gateway.Event) error {
		if e.Record.Time.Before(yesterday.Add(-time.Second)) || e.Session.Reverse != "" {
			t.Errorf("%+v", e)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestMaskText shows what becomes of texts.
func TestMaskText(t *testing.T) {
	all := &mask{names: names()}
	one := must1(person(names(), "ann@x.example"))
	pseudonym := names().Address("ann@x.example")
	for in, want := range map[string][2]string{
		"":                                     {"", ""},
		"@":                                    {"@", "@"},
		"a@":                                   {"a@", "a@"},
		"@x.example":                           {"@x.example", "@x.example"},
		"550 <Ann@X.example>: no":              {"550 <" + pseudonym + ">: no", "550 <erased@x.example>: no"},
		"ann@x.example, ann@x.example.":        {pseudonym + ", " + pseudonym + ".", "erased@x.example, erased@x.example."},
		`"a b"@x.example`:                      {names().Address(`"a b"@x.example`), `"a b"@x.example`},
		pseudonym:                              {pseudonym, "erased@x.example"},
		"xann@x.example":                       {names().Address("xann@x.example"), "xann@x.example"},
		"ann@[192.0.2.1]":                      {names().Address("ann@[192.0.2.1]"), "ann@[192.0.2.1]"},
		"\xff@x.example":                       {names().Address("\xff@x.example"), "\xff@x.example"},
		"b\u00f6b@b\u00fccher.example said no": {names().Address("b\u00f6b@b\u00fccher.example") + " said no", "b\u00f6b@b\u00fccher.example said no"},
	} {
		if got := [2]string{all.text(in), one.text(in)}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"192.0.2.25 is listed": "192.0.2.0 is listed", "[192.0.2.25]:25.": "[192.0.2.0]:25.", "2001:db8:1:2ff::5": "2001:db8:1:200::", "25.2.0.192.zen.example": "?.zen.example",
		"p192-0-2-25.dial.example": "?.dial.example", "at 12:30:59": "at 12:30:59", "version 1.2.3": "version 1.2.3", "250 2.0.0 Ok": "250 2.0.0 Ok", "mail.example.org": "mail.example.org", "": ""} {
		if got := cutAddresses(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := networkOf(netip.MustParseAddr("::ffff:192.0.2.9")); got != netip.MustParseAddr("192.0.2.0") {
		t.Error(got)
	}
}

// FuzzMask: whatever a text is, no address of the person is left in it, masking it twice is masking it once, and what has no address
// stays.
func FuzzMask(f *testing.F) {
	f.Add("a b@c.example d", "b@c.example")
	f.Add(`"x@y"@c.example`, "y@c.example")
	f.Add("@@a@b@", "a@b")
	f.Fuzz(func(t *testing.T, text, address string) {
		all := &mask{names: names()}
		once := all.text(text)
		if again := all.text(once); again != once {
			t.Errorf("%q: %q, then %q", text, once, again)
		}
		if !strings.Contains(text, "@") && once != text {
			t.Errorf("%q became %q", text, once)
		}
		if m, err := person(names(), address); err == nil {
			m.text(text)
		}
		cutAddresses(text)
	})
}
