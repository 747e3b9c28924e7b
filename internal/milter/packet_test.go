package milter

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// FuzzDialogue plays any octets as a filter's side of a dialogue: it ends, with a word that makes sense or an error.
func FuzzDialogue(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01c\x00\x00\x00\x01a"))
	f.Add([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x01r"))
	f.Add([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x7f\x00\x00\x00\x09y550 no\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x1f\xff\xff\x00\x00\x00\x03q!\x00\x00\x00\x00\x01c"))
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			_, _ = theirs.Write(said)
			theirs.Close()
		}()
		go func() {
			b := make([]byte, 4096)
			for {
				if _, err := theirs.Read(b); err != nil {
					return
				}
			}
		}()
		d := newDialogue(ours)
		err := d.whole(&Message{From: "<>", Rcpts: []string{"<a@b>"}, Header: [][2]string{{"A", "b"}}, Body: strings.NewReader("x"), Size: 1})
		switch r := d.result; {
		case errors.Is(err, errOver) || errors.Is(err, errSkip):
			t.Fatalf("%q: %v", said, err)
		case err == nil && r.Kind == NoWord:
			t.Fatalf("%q: no word", said)
		case len(r.Changes) > maxChanges+1 || strings.ContainsAny(r.Text, "\r\n\x00") || r.Code != 0 && (r.Code < 400 || r.Code > 599):
			t.Fatalf("%q: %+v", said, r)
		}
	})
}
