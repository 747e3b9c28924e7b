package lzfu

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// TestUnpack: the examples of [MS-OXRTFCP] 4.1 and 4.2, and what is cut.
func TestUnpack(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0", "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"},
		{"1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"},
		{"10000000040000004d454c4100000000" + hex.EncodeToString([]byte("{rtf}")), "{rtf"},
	} {
		b, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Unpack(b, 1<<20); err != nil || string(got) != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
		for n := range b {
			if got, _ := Unpack(b[:n], 1<<20); !strings.HasPrefix(c.want, string(got)) {
				t.Errorf("cut at %d: %q", n, got)
			}
		}
		if got, _ := Unpack(b, 3); len(got) > 3+17 {
			t.Errorf("%q is more than 3", got)
		}
	}
	if _, err := Unpack([]byte("no compressed RTF at all"), 10); err == nil {
		t.Error("it takes anything")
	}
}

// FuzzUnpack: no more comes of it than is asked for, but for the token that is being copied.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x2d\x00\x00\x00\xff\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125B2\x0a\xf3 hel\x09\x00 bw\x05\xb0ld}\x0a\x80\x0f\xa0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := Unpack(b, 1000)
		if len(got) > 1017 || len(got) > 20*len(b) {
			t.Fatalf("%d octets", len(got))
		}
		again, _ := Unpack(bytes.Clone(b), 1000)
		if !bytes.Equal(got, again) {
			t.Fatal("not the same twice")
		}
	})
}
