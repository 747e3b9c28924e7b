package digest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func now() time.Time { return time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC) }

func testToken() *Token {
	return &Token{ID: 0x1234567890abcdef, Rcpt: "bob@served.test", Action: Release, Expires: now().Add(72 * time.Hour)}
}

// TestToken: a token comes back as it was made, to the last second before its end.
func TestToken(t *testing.T) {
	for _, rcpt := range []string{"bob@served.test", "jörg@served.test", strings.Repeat("x", maxRcpt)} {
		want := testToken()
		want.Rcpt = rcpt
		text := Make(testKey(1), want)
		got, err := Read(testKey(1), text, Release, want.Expires.Add(-time.Second))
		if err != nil || *got != *want {
			t.Errorf("%s: %+v, %v", rcpt, got, err)
		}
		if got, err := Read(testKey(1), text, Release, want.Expires); !errors.Is(err, ErrExpired) || *got != *want {
			t.Errorf("%s, at its end: %+v, %v", rcpt, got, err)
		}
	}
}

// TestForged: no token with one octet changed, cut off or added is one, nor one of another key, nor one that says something else
// above the signature of another.
func TestForged(t *testing.T) {
	text := Make(testKey(1), testToken())
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what, text string) {
		t.Helper()
		if got, err := Read(testKey(1), text, Release, now()); !errors.Is(err, ErrForged) || got != nil {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(raw)
			changed[i] ^= bit
			refuse("a bit", base64.RawURLEncoding.EncodeToString(changed))
		}
	}
	for i := range text {
		refuse("cut off", text[:i])
		refuse("begun late", text[i+1:])
		refuse("with a line break", text[:i]+"\n"+text[i:])
	}
	refuse("of another key", Make(testKey(2), testToken()))
	refuse("padded", text+"=")
	refuse("with more", text+"A")
	refuse("too long", strings.Repeat("A", 1<<20))
	for what, change := range map[string]func(*Token){
		"for another recipient": func(t *Token) { t.Rcpt = "eve@served.test" },
		"of another message":    func(t *Token) { t.ID++ },
		"for longer":            func(t *Token) { t.Expires = t.Expires.Add(time.Hour) },
	} {
		other := testToken()
		change(other)
		said, err := base64.RawURLEncoding.DecodeString(Make(testKey(9), other))
		if err != nil {
			t.Fatal(err)
		}
		refuse(what, base64.RawURLEncoding.EncodeToString(append(said[:len(said)-32], raw[len(raw)-32:]...)))
	}
	for _, action := range []Action{0, 2, 255} { // signed by us, for what we do not do
		other := testToken()
		other.Action = action
		refuse("another action", Make(testKey(1), other))
	}
	for _, rcpt := range []string{"", "\xff@served.test", strings.Repeat("x", maxRcpt+1)} {
		other := testToken()
		other.Rcpt = rcpt
		refuse("no recipient", Make(testKey(1), other))
	}
	if _, err := Read(nil, Make(nil, testToken()), Release, now()); !errors.Is(err, ErrForged) {
		t.Error("without a key a token is one")
	}
}

// FuzzToken: whatever is read as a token was made by us, and reads as the same text.
func FuzzToken(f *testing.F) {
	f.Add(Make(testKey(1), testToken()))
	f.Add(Make(testKey(2), testToken()))
	f.Add("")
	f.Add("AAAA====")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Read(testKey(1), text, Release, time.Time{})
		if err == nil && Make(testKey(1), got) != text {
			t.Errorf("%q reads as %+v", text, got)
		}
	})
}

// TestActions: a token for one thing is none for another, whoever signed it.
func TestActions(t *testing.T) {
	all := []Action{Release, Login, Session}
	for _, made := range all {
		token := testToken()
		token.Action = made
		text := Make(testKey(1), token)
		for _, want := range append(all, 0, 4) {
			got, err := Read(testKey(1), text, want, token.Expires.Add(-time.Second))
			if (want == made) != (err == nil) || (err == nil) != (got != nil) {
				t.Errorf("a token for %d is read for %d: %v", made, want, err)
			}
		}
	}
}
