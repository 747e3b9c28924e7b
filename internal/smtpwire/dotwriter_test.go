package smtpwire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDotWriter(t *testing.T) {
	for name, test := range map[string]struct {
		in, wire string
		added    bool
		err      error
	}{
		"empty":             {"", ".\r\n", false, nil},
		"text":              {"a\r\nb\r\n", "a\r\nb\r\n.\r\n", false, nil},
		"dots":              {".\r\n..\r\na.\r\n.b\r\n", "..\r\n...\r\na.\r\n..b\r\n.\r\n", false, nil},
		"no end":            {"a\r\n.b", "a\r\n..b\r\n.\r\n", true, nil},
		"a dot alone":       {".", "..\r\n.\r\n", true, nil},
		"end inside":        {"a\r\n.\r\nMAIL\r\n", "a\r\n..\r\nMAIL\r\n.\r\n", false, nil},
		"bare LF":           {"a\r\nb\n.\r\n", "", false, &ContentError{BareLF, 4, 2}},
		"LF first":          {"\n", "", false, &ContentError{BareLF, 0, 1}},
		"bare CR":           {"a\r.\r", "", false, &ContentError{BareCR, 1, 1}},
		"CR at the end":     {"a\r", "", false, &ContentError{BareCR, 1, 1}},
		"CR CR LF":          {"a\r\r\n", "", false, &ContentError{BareCR, 1, 1}},
		"NUL":               {"a\r\n\x00\r\n", "", false, &ContentError{NUL, 3, 2}},
		"bare CR, then NUL": {"\r\x00\n", "", false, &ContentError{BareCR, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := range len(test.in) + 1 {
				var wire bytes.Buffer
				d := NewDotWriter(&wire)
				for _, part := range []string{test.in[:cut], test.in[cut:]} {
					if n, err := d.Write([]byte(part)); err == nil && n != len(part) {
						t.Fatalf("short write %d of %d", n, len(part))
					}
				}
				added, err := d.Finish()
				if !sameError(err, test.err) || added != test.added {
					t.Fatalf("cut %d: %v, added %t", cut, err, added)
				}
				if test.err != nil {
					if !strings.HasPrefix(test.in, wire.String()) {
						t.Fatalf("cut %d: wrote %q", cut, wire.String())
					}
					continue
				}
				if wire.String() != test.wire || d.Size() != int64(len(test.in)) {
					t.Fatalf("cut %d: wrote %q, want %q", cut, wire.String(), test.wire)
				}
			}
		})
	}
}

func TestDotWriterNeverEndsTwiceNorAfterAbort(t *testing.T) {
	var wire bytes.Buffer
	d := NewDotWriter(&wire)
	if _, err := d.Write([]byte("half a line")); err != nil {
		t.Fatal(err)
	}
	d.Abort()
	if _, err := d.Finish(); err == nil || wire.String() != "half a line" {
		t.Fatalf("%v, wrote %q", err, wire.String())
	}
	if n, err := d.Write([]byte("more")); err == nil || n != 0 {
		t.Fatalf("%d, %v", n, err)
	}

	wire.Reset()
	d = NewDotWriter(&wire)
	if _, err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Finish(); err == nil || wire.String() != ".\r\n" {
		t.Fatalf("%v, wrote %q", err, wire.String())
	}
}

// After a failed write nothing more goes out, above all no dot.
func TestDotWriterSinkFails(t *testing.T) {
	for room := range len("abc\r\n") {
		var wire bytes.Buffer
		d := NewDotWriter(io.MultiWriter(&fullDisk{left: room}, &wire))
		if _, err := d.Write([]byte("abc\r\n")); !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		if _, err := d.Finish(); !errors.Is(err, errFull) || wire.Len() != 0 {
			t.Fatalf("%v, wrote %q", err, wire.String())
		}
	}
}
