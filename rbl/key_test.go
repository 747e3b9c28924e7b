package rbl

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestKeyNeverPrints prints a key in each way that comes to mind, alone and inside of others.
func TestKeyNeverPrints(t *testing.T) {
	key, err := NewKey("  " + strings.ToUpper(testKey) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	type inner struct{ k Key }
	type outer struct {
		K Key
		p *Key
		inner
		any
	}
	e := Entry{List: List{Zone: "{key}.example"}, Key: key}
	var out bytes.Buffer
	for _, v := range []any{key, &key, inner{key}, &inner{key}, outer{key, &key, inner{key}, key}, []Key{key}, map[string]Key{"k": key}, e, &e, []Entry{e}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		out.Write(text)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("key", "v", v)
		}
	}
	text, err := xml.Marshal(key)
	if err != nil {
		t.Error(err)
	}
	out.Write(text)
	_, err = NewKey(testKey + "!")
	fmt.Fprintln(&out, err)
	low := strings.ToLower(out.String())
	for _, form := range []string{testKey, fmt.Sprintf("%x", testKey), fmt.Sprint([]byte(testKey))} {
		if i := strings.Index(low, form); i >= 0 {
			t.Errorf("the key is in: %s", low[max(0, i-200):i+40])
		}
	}
	if !strings.Contains(low, hidden) {
		t.Error("nothing says that there is a key")
	}
	if zone, ok := e.List.zone(key); !ok || zone != testKey+".example" {
		t.Errorf("zone %q", zone)
	}
	if _, ok := e.List.zone(Key{}); ok {
		t.Error("a zone without its key")
	}
}

func TestKeyText(t *testing.T) {
	for _, bad := range []string{"", " ", "a.b", "a b", "-a", "a-", strings.Repeat("a", 64), "ä", "a\x00", "{key}", "a_b"} {
		if k, err := NewKey(bad); err == nil || k.IsSet() {
			t.Errorf("%q is a key", bad)
		}
	}
	var k Key
	if err := k.UnmarshalText([]byte("abc")); err != nil || !k.IsSet() || k.String() != hidden {
		t.Errorf("%v %v", k, err)
	}
	if err := k.UnmarshalText([]byte("a.b")); err == nil || !k.IsSet() {
		t.Error("a bad key took the place of a good one")
	}
	if err := k.UnmarshalText(nil); err != nil || k.IsSet() || k.String() != "" {
		t.Errorf("%v %v", k, err)
	}
}
