package unpack

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// crates is a format of the test that others may not open: "CRATE" and then what a box has.
type crates struct{}

func (crates) Name() string                      { return "crate" }
func (crates) Match(head []byte, _ Content) bool { return bytes.HasPrefix(head, []byte("CRATE")) }
func (crates) Open(w *Walk, at int, c Content) error {
	w.Unscanned(at)
	return boxes{}.Open(w, at, memory{bytes.NewReader(c.Bytes()[2:]), c.Bytes()[2:]})
}

// TestShown: what lies in what others may not open comes back behind the report, the outermost content of it, within its limit;
// what does not fit is said. Without a limit nothing comes.
func TestShown(t *testing.T) {
	for _, c := range []struct {
		name, content string
		limit         int64
		shown         []string
		signs         int
	}{
		{"others open it", "BOXa:BOXb:hello", 100, nil, 0},
		{"what is in it", "CRATEa:one\nb:two", 100, []string{"one", "two"}, 0},
		{"below what others open", "BOXa:CRATEb:hello", 100, []string{"hello"}, 0},
		{"the outermost", "CRATEa:BOXb:hello", 100, []string{"BOXb:hello"}, 0},
		{"in one another", "CRATEa:CRATEb:hello", 100, []string{"CRATEb:hello", "hello"}, 0},
		{"nothing in it", "CRATEa:", 100, nil, 0},
		{"too much", "CRATEa:123\nb:4567\nc:89", 5, []string{"123", "89"}, 1},
		{"an object that is too big", "CRATEa:" + strings.Repeat("x", 60), 100, nil, 1},
		{"nobody asks", "CRATEa:one", 0, nil, 0},
	} {
		var job, out bytes.Buffer
		if err := send(&job, Job{Limits: Limits{Entries: 10, Depth: 4, Octets: 1000, Object: 50, Show: c.limit}, Time: time.Minute}, pieces(c.content)); err != nil {
			t.Fatal(err)
		}
		s := Server{Formats: []Format{boxes{}, crates{}}, TypeOf: func([]byte) string { return "" }, Confine: func() (Hello, error) { return Hello{}, nil }}
		if err := s.Serve(&job, &out); err != nil {
			t.Fatal(err)
		}
		talk := talk{c: &Client{}}
		r, contents, err := talk.hear(&out, c.limit)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got, want := string(bytes.Join(contents, []byte("|"))), strings.Join(c.shown, "|"); got != want {
			t.Errorf("%s: %q came, not %q", c.name, got, want)
		}
		signs := 0
		for _, o := range r.Objects {
			for _, s := range o.Signs {
				if s.Kind == Unshown {
					signs++
				}
			}
		}
		if signs != c.signs {
			t.Errorf("%s: %d objects are said not to be shown, not %d: %+v", c.name, signs, c.signs, r.Objects)
		}
	}
}

// TestShownHostile: a process that promises other contents than it sends, or more than it may, is not believed.
func TestShownHostile(t *testing.T) {
	frame := func(s string) string {
		var b bytes.Buffer
		if err := writeFrame(&b, []byte(s)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		report, behind string
		good           bool
	}{
		"as promised":      {`{"objects":[{"parent":-1,"shown":3}]}`, frame("abc"), true},
		"less":             {`{"objects":[{"parent":-1,"shown":3}]}`, frame("ab"), false},
		"more":             {`{"objects":[{"parent":-1,"shown":3}]}`, frame("abcd"), false},
		"nothing":          {`{"objects":[{"parent":-1,"shown":3}]}`, "", false},
		"not promised":     {`{"objects":[{"parent":-1}]}`, frame("abc"), false},
		"below nothing":    {`{"objects":[{"parent":-1,"shown":-3}]}`, frame("abc"), false},
		"too much":         {`{"objects":[{"parent":-1,"shown":11}]}`, frame("0123456789a"), false},
		"too much in all":  {`{"objects":[{"parent":-1,"shown":6},{"parent":0,"shown":6}]}`, frame("012345") + frame("012345"), false},
		"a length of 4 GB": {`{"objects":[{"parent":-1,"shown":3}]}`, "\xff\xff\xff\xffabc", false},
	} {
		talk := talk{c: &Client{}}
		_, _, err := talk.hear(strings.NewReader(frame("{}")+frame(c.report)+c.behind), 10)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && name != "nothing" && !errors.Is(err, errFrame) {
			t.Errorf("%s is not called what it is: %v", name, err)
		}
	}
}
