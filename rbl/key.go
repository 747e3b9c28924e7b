package rbl

import (
	"fmt"
	"log/slog"
	"strings"
)

// Key is a customer's key of a list, which stands as a label in the names that are asked. However it is printed, encoded
// or logged, it comes out as "(key)", or "" where there is none. The zero value is no key.
type Key struct {
	// A function, because whoever prints a struct with a Key in an unexported field gets around the methods below, but not
	// into this.
	reveal func() string
}

// hidden is what is shown in the place of a key.
const hidden = "(key)"

// NewKey takes a key as the list's operator sent it. Error: it is no DNS label (RFC 1035 section 2.3.1: 1 to 63 letters,
// digits and inner hyphens); the error does not hold the key.
func NewKey(text string) (Key, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if !isLabel(text) {
		return Key{}, fmt.Errorf("rbl: a key is 1 to 63 letters, digits and hyphens, this one of %d octets is not", len(text))
	}
	return Key{reveal: func() string { return text }}, nil
}

// isLabel reports whether s, in lower case, is one label of letters, digits and inner hyphens.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, notLabel)
}

func notLabel(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

// IsSet reports whether there is a key.
func (k Key) IsSet() bool { return k.reveal != nil }

func (k Key) equal(other Key) bool {
	return k.IsSet() == other.IsSet() && (!k.IsSet() || k.reveal() == other.reveal())
}

// String hides the key.
func (k Key) String() string {
	if !k.IsSet() {
		return ""
	}
	return hidden
}

// GoString hides the key from %#v.
func (k Key) GoString() string { return "rbl.Key{" + k.String() + "}" }

// Format hides the key from all verbs.
func (k Key) Format(f fmt.State, verb rune) {
	text := k.String()
	if verb == 'v' && f.Flag('#') {
		text = k.GoString()
	}
	_, _ = f.Write([]byte(text))
}

// MarshalText hides the key from encoders.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue hides the key from log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// UnmarshalText is NewKey, for a configuration; an empty text is no key.
func (k *Key) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = Key{}
		return nil
	}
	made, err := NewKey(string(text))
	if err == nil {
		*k = made
	}
	return err
}
