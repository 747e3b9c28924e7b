package mark

import (
	"strings"
	"testing"
)

// TestFindField shows where the mark is found, and what is none.
func TestFindField(t *testing.T) {
	field := string(AppendField(nil, 0xabc, 12345))
	if len(field) != FieldLen || len(AppendTrailer(nil, 1<<63)) != TrailerLen {
		t.Fatalf("%q has %d octets, the trailer %d", field, len(field), len(AppendTrailer(nil, 1<<63)))
	}
	for _, c := range []struct {
		text string
		at   int
		ok   bool
	}{
		{field, 0, true},
		{"Received: x\r\n" + field + "From: y\r\n", 13, true},
		{"X-Spam: X-Load: 1\r\n" + field, 19, true},
		{field[:FieldLen-1], 0, false},
		{"", 0, false},
		{strings.Replace(field, "0", "g", 1), 0, false},
		{strings.Replace(field, "12345", "1-345", 1), 0, false},
		{"y" + field, 0, false},
	} {
		at, id, size, ok := FindField([]byte(c.text))
		if ok != c.ok || ok && (at != c.at || id != 0xabc || size != 12345) {
			t.Errorf("%q: at %d id %x size %d %t", c.text, at, id, size, ok)
		}
	}
	if !EndsWith([]byte("x\r\nload-end 0000000000000007\r\n"), 7) || EndsWith([]byte("load-end 0000000000000007\r\n"), 8) {
		t.Error("the trailer of 7 is not told from that of 8")
	}
}

// TestCompare shows that equal numbers of messages are not enough.
func TestCompare(t *testing.T) {
	tally := func(ids ...uint64) (t Tally) {
		for _, id := range ids {
			t.Add(id, 10)
		}
		return t
	}
	for _, c := range []struct {
		a, b Tally
		want string
	}{
		{tally(1, 2, 3), tally(3, 1, 2), ""},
		{tally(1, 2, 3), tally(1, 2), "of 3 acknowledged messages 1 did not arrive"},
		{tally(1, 2), tally(1, 2, 3), "3 messages arrived, but only 2 were acknowledged"},
		{tally(1, 2, 3), tally(1, 2, 2), "as many messages arrived as were acknowledged (3), but not the same"},
		{tally(1), Tally{1, 9, Hash(1)}, "10 octets were sent, 9 arrived"},
	} {
		err := Compare(c.a, c.b)
		if got := text(err); got != c.want {
			t.Errorf("%+v and %+v: %q, want %q", c.a, c.b, got, c.want)
		}
	}
	if sum := tally(1, 2).Plus(tally(3)).Minus(tally(2)); sum != tally(1, 3) {
		t.Errorf("sum %+v", sum)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
