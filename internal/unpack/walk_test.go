package unpack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// boxes is a format of the test: "BOX" and then lines "name:content", a content being a box again where it says so.
type boxes struct{}

func (boxes) Name() string                      { return "box" }
func (boxes) Match(head []byte, _ Content) bool { return bytes.HasPrefix(head, []byte("BOX")) }
func (boxes) Open(w *Walk, at int, c Content) error {
	for _, line := range strings.Split(string(c.Bytes()[3:]), "\n") {
		name, content, ok := strings.Cut(line, ":")
		if !ok {
			return errors.New("no colon")
		}
		if err := w.Enter(at, Entry{Name: name, Size: -1}, strings.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}

func walk(t *testing.T, l Limits, content string) Report {
	t.Helper()
	w := NewWalk(context.Background(), l, func([]byte) string { return "x/y" }, []Format{boxes{}})
	if err := w.Item(Item{Part: 3, Name: "top"}, []byte(content)); err != nil && !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

// TestWalk: what is in an object is looked into, each limit ends the walk where it is met, and what cannot be read is said.
func TestWalk(t *testing.T) {
	plenty := Limits{Entries: 10, Depth: 3, Octets: 1000, Object: 100}
	for _, c := range []struct {
		name, content string
		change        func(*Limits)
		objects       int
		limit         Limit
		at            string
	}{
		{"nested", "BOXa:BOXb:hello", nil, 3, "", ""},
		{"entries", "BOXa:1\nb:2\nc:3", func(l *Limits) { l.Entries = 3 }, 3, TooManyEntries, "top"},
		{"depth", "BOXa:BOXb:BOXc:BOXd:x", nil, 4, TooDeep, "top > a > b > c"},
		{"octets", "BOXa:123\nb:456", func(l *Limits) { l.Octets = 5 }, 3, TooMuch, "top > b"},
		{"object", "BOXa:123456", func(l *Limits) { l.Object = 5 }, 2, "", ""},
		{"dense in all", "BOXa:BOX" + strings.Repeat("b:0123456789,", 8), func(l *Limits) { l.Object, l.Ratio, l.RatioFrom = 200, 1, 120 }, 3, TooDense, "top > a > b"},
		{"dense, but little", "BOXa:BOX" + strings.Repeat("b:0123456789,", 8), func(l *Limits) { l.Object, l.Ratio, l.RatioFrom = 200, 1, 300 }, 3, "", ""},
		{"broken", "BOXa:BOXnothing", nil, 2, "", ""},
	} {
		l := plenty
		if c.change != nil {
			c.change(&l)
		}
		r := walk(t, l, c.content)
		if len(r.Objects) != c.objects || r.Limit != c.limit || r.At != c.at {
			t.Errorf("%s: %+v", c.name, r)
		}
		for i, o := range r.Objects {
			if o.Part != 3 || o.Parent >= i {
				t.Errorf("%s: object %d: %+v", c.name, i, o)
			}
		}
		if last := r.Objects[len(r.Objects)-1]; c.name == "broken" && (len(last.Signs) != 1 || last.Signs[0].Kind != Broken) {
			t.Errorf("nothing is said of what is broken: %+v", last)
		}
	}
}

// TestWalkInTime: a walk ends with its context, and an entry that fails to unpack is broken and not the end.
func TestWalkInTime(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	w := NewWalk(ctx, Limits{Entries: 10, Depth: 3, Octets: 1000, Object: 100}, func([]byte) string { return "" }, nil)
	if err := w.Item(Item{Name: "top"}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Enter(0, Entry{Name: "bad"}, io.MultiReader(strings.NewReader("half"), errReader{})); err != nil {
		t.Fatal(err)
	}
	if o := w.Object(1); o.Size != 4 || len(o.Signs) != 1 || o.Signs[0].Kind != Broken {
		t.Errorf("%+v", o)
	}
	stop()
	if err := w.Enter(0, Entry{Name: "late"}, nil); !errors.Is(err, ErrLimit) || w.Report().Limit != TooLong {
		t.Errorf("%v, %+v", err, w.Report())
	}
}

// TestDense: what unpacks to so much more than it takes in its archive that it is made to ends the walk, before it is unpacked whole.
func TestDense(t *testing.T) {
	w := NewWalk(context.Background(), Limits{Entries: 10, Depth: 3, Octets: 1 << 30, Object: 1 << 20, Ratio: 200, RatioFrom: 1 << 20}, func([]byte) string { return "" }, nil)
	if err := w.Item(Item{Name: "top"}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	zeros := io.LimitReader(zero{}, 100<<20)
	if err := w.Enter(0, Entry{Name: "a", Packed: 10 << 10}, zeros); !errors.Is(err, ErrLimit) || w.Report().Limit != TooDense || w.octets > 3<<20 {
		t.Errorf("%v, %d octets, %+v", err, w.octets, w.Report())
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestUnread: what is too big to be looked into is told with its size and digest, and what follows is looked into. Objects in
// each other share what may lie in memory.
func TestUnread(t *testing.T) {
	for _, c := range []struct {
		l      Limits
		unread int // the object
		size   int64
	}{{Limits{Entries: 10, Depth: 9, Octets: 1000, Object: 12}, 1, 15}, {Limits{Entries: 10, Depth: 9, Octets: 1000, Object: 100, Held: 50}, 2, 10}} {
		r := walk(t, c.l, "BOXa:BOXx:0123456789\nb:BOXc:1")
		var names []string
		for i, o := range r.Objects {
			names = append(names, o.Name)
			if unread := len(o.Signs) > 0 && o.Signs[0].Kind == Unread; unread != (i == c.unread) || o.SHA256 == "" {
				t.Errorf("%d: %+v", i, o)
			}
		}
		if r.Limit != "" || r.Objects[c.unread].Size != c.size || names[len(names)-1] != "c" {
			t.Errorf("%q %+v", names, r)
		}
	}
	sum := sha256.Sum256([]byte("123456"))
	if r := walk(t, Limits{Entries: 10, Depth: 9, Octets: 1000, Object: 5}, "BOXa:123456"); r.Objects[1].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", r)
	}
}

// TestMuchText: a report holds little text, whatever an archive says; the ends of names stay.
func TestMuchText(t *testing.T) {
	w := NewWalk(context.Background(), Limits{Entries: 10000, Depth: 3, Octets: 1 << 20, Object: 1 << 20}, func([]byte) string { return "" }, nil)
	if err := w.Item(Item{Name: "top"}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for i := range 9999 {
		name := strings.Repeat("n", 2000) + fmt.Sprint(i) + ".exe"
		if err := w.Enter(0, Entry{Name: name, Signs: []Sign{{PathTrick, strings.Repeat("t", 300)}}}, nil); err != nil {
			t.Fatal(err)
		}
		for k := range 300 {
			if i > 20 {
				break
			}
			w.Link(i+1, Link{URI: strings.Repeat("u", 4000) + fmt.Sprint(k)})
		}
	}
	r := w.Report()
	for i, o := range r.Objects[1:] {
		if !strings.HasSuffix(o.Name, fmt.Sprint(i)+".exe") || len(o.Signs) != 1 || o.Signs[0].Kind != PathTrick {
			t.Fatalf("%d: %.100q %v", i, o.Name, o.Signs)
		}
	}
	var b bytes.Buffer
	if err := writeReport(&b, r, nil); err != nil || b.Len() > maxReport || r.Limit != "" {
		t.Errorf("%v, %d octets", err, b.Len())
	}
}

// tail is a format of the test that lies behind others: what ends with "TAIL".
type tail struct{}

func (tail) Name() string                   { return "tail" }
func (tail) Behind()                        {}
func (tail) Match(_ []byte, c Content) bool { return bytes.HasSuffix(c.Bytes(), []byte("TAIL")) }
func (tail) Open(w *Walk, at int, c Content) error {
	return w.Enter(at, Entry{Name: "behind"}, strings.NewReader("found"))
}

// TestBehind: a format that may lie behind another is opened too, and does not take the other's name.
func TestBehind(t *testing.T) {
	w := NewWalk(context.Background(), Limits{Entries: 10, Depth: 3, Octets: 1000, Object: 100}, func([]byte) string { return "" }, []Format{boxes{}, boxes{}, tail{}})
	if err := w.Item(Item{Name: "top"}, []byte("BOXa:1TAIL")); err != nil {
		t.Fatal(err)
	}
	// The entry a ends with TAIL as well, so that it holds one too; boxes, named twice, opens once.
	r := w.Report()
	if len(r.Objects) != 4 || r.Objects[0].Format != "box" || r.Objects[2].Name != "behind" || r.Objects[2].Parent != 1 || r.Objects[3].Parent != 0 {
		t.Errorf("%+v", r.Objects)
	}
	if w.Room() != 6 {
		t.Errorf("room for %d", w.Room())
	}
}

// TestTooBig: a reader that needs too much memory ends the walk with that limit.
func TestTooBig(t *testing.T) {
	w := NewWalk(context.Background(), Limits{Entries: 10, Depth: 3, Octets: 1000, Object: 100}, func([]byte) string { return "" }, nil)
	if err := w.Item(Item{Name: "top"}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Enter(0, Entry{Name: "huge"}, tooBig{}); !errors.Is(err, ErrLimit) || w.Report().Limit != TooBig || w.Report().At != "top > huge" {
		t.Errorf("%v, %+v", err, w.Report())
	}
}

type tooBig struct{}

func (tooBig) Read([]byte) (int, error) { return 0, fmt.Errorf("dictionary: %w", ErrTooBig) }

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// TestClean: what is shown holds nothing that hides or turns text, and is short.
func TestClean(t *testing.T) {
	if got := Clean("invoice\u202Egpj.exe\x00\r\n\xff"); strings.ContainsAny(got, "\u202E\x00\r\n") || !strings.HasPrefix(got, "invoice?gpj.exe") {
		t.Errorf("%q", got)
	}
	if n := len(Clean(strings.Repeat("ä", 5000))); n > 200 {
		t.Errorf("%d octets", n)
	}
}
