package smtpwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// smuggling has every sequence by which one side could see the end of a
// message where the other does not. Each stands between "a" and a second
// transaction in one stream.
var smuggling = []struct {
	name       string
	seq        string
	ends       bool   // DATA ends within seq
	strict     string // what is delivered of the first message
	violation  Violation
	offset     int64
	normalised string // what is delivered with Normalise
}{
	{"CRLF.CRLF", "\r\n.\r\n", true, "a\r\n", 0, 0, "a\r\n"},
	{"LF.LF", "\n.\n", false, "a", BareLF, 1, "a\r\n.\r\n"},
	{"LF.CRLF", "\n.\r\n", false, "a", BareLF, 1, "a\r\n.\r\n"},
	{"CRLF.LF", "\r\n.\n", false, "a\r\n", BareLF, 3, "a\r\n\r\n"},
	{"CR.CR", "\r.\r", false, "a", BareCR, 1, "a\r\n.\r\n"},
	{"CR.CRLF", "\r.\r\n", false, "a", BareCR, 1, "a\r\n.\r\n"},
	{"CRLF.CR", "\r\n.\r", false, "a\r\n", BareCR, 3, "a\r\n\r\n"},
	{"CR.LF", "\r.\n", false, "a", BareCR, 1, "a\r\n.\r\n"},
	{"LF.CR", "\n.\r", false, "a", BareLF, 1, "a\r\n.\r\n"},
	{"CRCRLF.CRLF", "\r\r\n.\r\n", true, "a", BareCR, 1, "a\r\n\r\n"},
	{"CRLF.CRCRLF", "\r\n.\r\r\n", false, "a\r\n", BareCR, 3, "a\r\n\r\n\r\n"},
	{"CRLF.CRCR", "\r\n.\r\r", false, "a\r\n", BareCR, 3, "a\r\n\r\n\r\n"},
	{"CRLFCR.CRLF", "\r\n\r.\r\n", false, "a\r\n", BareCR, 3, "a\r\n\r\n.\r\n"},
	{"CRLFLF.CRLF", "\r\n\n.\r\n", false, "a\r\n", BareLF, 3, "a\r\n\r\n.\r\n"},
	{"LFCR.LFCR", "\n\r.\n\r", false, "a", BareLF, 1, "a\r\n\r\n.\r\n\r\n"},
	{"NUL before the dot", "\r\n\x00.\r\n", false, "a\r\n", NUL, 3, "a\r\n.\r\n"},
	{"NUL after the dot", "\r\n.\x00\r\n", false, "a\r\n", NUL, 3, "a\r\n\r\n"},
	{"NUL in the first CRLF", "\r\x00\n.\r\n", false, "a", BareCR, 1, "a\r\n\r\n.\r\n"},
	{"NUL in the last CRLF", "\r\n.\r\x00\n", false, "a\r\n", BareCR, 3, "a\r\n\r\n\r\n"},
	{"NUL before CRLF", "\x00\r\n.\r\n", true, "a", NUL, 1, "a\r\n"},
	{"two dots", "\r\n..\r\n", false, "a\r\n.\r\n", 0, 0, "a\r\n.\r\n"},
	{"dot and text", "\r\n.x\r\n", false, "a\r\nx\r\n", 0, 0, "a\r\nx\r\n"},
	{"dot and space", "\r\n. \r\n", false, "a\r\n \r\n", 0, 0, "a\r\n \r\n"},
	{"space and dot", "\r\n .\r\n", false, "a\r\n .\r\n", 0, 0, "a\r\n .\r\n"},
	{"vertical tab", "\v.\v", false, "a\v.\v", 0, 0, "a\v.\v"},
	{"VT for LF", "\r\n.\r\n"[:3] + "\v\r\n", false, "a\r\n\v\r\n", 0, 0, "a\r\n\v\r\n"},
	{"form feed", "\f.\f", false, "a\f.\f", 0, 0, "a\f.\f"},
	{"NEL as UTF-8", "\u0085.\u0085", false, "a\u0085.\u0085", 0, 0, "a\u0085.\u0085"},
	{"NEL as Latin-1", "\x85.\x85", false, "a\x85.\x85", 0, 0, "a\x85.\x85"},
	{"line separator", "\u2028.\u2028", false, "a\u2028.\u2028", 0, 0, "a\u2028.\u2028"},
	{"8-bit CR LF", "\x8d\x8a.\x8d\x8a", false, "a\x8d\x8a.\x8d\x8a", 0, 0, "a\x8d\x8a.\x8d\x8a"},
}

// second is what a smuggler puts behind; it has the one true end.
const second = "MAIL FROM:<x@y>\r\nRCPT TO:<v@w>\r\nDATA\r\nsmuggled\r\n.\r\n"

func TestSmuggling(t *testing.T) {
	for _, test := range smuggling {
		for _, normalise := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/normalise=%t", test.name, normalise), func(t *testing.T) {
				stream := "a" + test.seq + second
				want, left := test.strict, second
				if normalise {
					want = test.normalised
				}
				if !test.ends {
					left = ""
					if normalise || test.violation == 0 {
						want += strings.TrimSuffix(second, ".\r\n")
					}
				}
				// Every split in two, and octet by octet.
				for cut := range len(stream) {
					src := io.MultiReader(strings.NewReader(stream[:cut]), strings.NewReader(stream[cut:]))
					if cut == 0 {
						src = iotest.OneByteReader(src)
					}
					var got bytes.Buffer
					r := NewReader(src)
					res, err := r.ReadData(&got, Limits{Normalise: normalise})
					if got.String() != want || res.Delivered != int64(len(want)) {
						t.Fatalf("cut %d: delivered %q (%d), want %q", cut, got.String(), res.Delivered, want)
					}
					checkViolation(t, err, test.violation, test.offset, normalise)
					rest, _ := io.ReadAll(io.MultiReader(bytes.NewReader(r.buf[r.r:r.w]), src))
					if string(rest) != left {
						t.Fatalf("cut %d: left for commands %q, want %q", cut, rest, left)
					}
				}
			})
		}
	}
}

func checkViolation(t *testing.T, err error, kind Violation, offset int64, normalise bool) {
	t.Helper()
	if kind == 0 || normalise {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	var content *ContentError
	if !errors.As(err, &content) || content.Violation != kind || content.Offset != offset || !InStep(err) {
		t.Fatalf("error %v, want %v at %d", err, kind, offset)
	}
}
