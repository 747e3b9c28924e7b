package greylist

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestAppendSender(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"Alice@Example.ORG", "alice@example.org"},
		{"alice@example.org.", "alice@example.org"},
		{"alice", "alice"},
		{"@", "@"},
		{"bounce-1742-8f3ac-alice@lists.example", "bounce-#-alice@lists.example"},
		{"0100018f3b2a4c5d-9a1b2c3d-4e5f-dead-beef-0123456789ab-000000@ses.example", "#@ses.example"},
		{"bounces+8182-abcd-bob=served.test@em1.sender.example", "bounces@em1.sender.example"},
		{"list-return-12-bob=served.test@lists.example", "list-return-#-bob=served.test@lists.example"},
		{"+x+1@a.example", "+x+#@a.example"},
		{"prvs=1234abcdef=alice@example.org", "alice@example.org"},
		{"prvs=zwvu=alice@example.org", "alice@example.org"},
		{"prvs=alice@example.org", "prvs=alice@example.org"},
		{"prvs=x=@example.org", "prvs=x=@example.org"},
		{"SRS0=HHh=Tt=example.org=alice@forwarder.example", "example.org=alice@forwarder.example"},
		{"SRS0+HHh=Tt=example.org=alice@forwarder.example", "example.org=alice@forwarder.example"},
		{"SRS1=Gg=first.example==HHh=Tt=example.org=alice@second.example", "example.org=alice@second.example"},
		{"prvs=aa=SRS0=h=t=a.example=x@b.example", "a.example=x@b.example"},
		{"srs0=h@b.example", "#=h@b.example"},
		{"info2@example.org", "#@example.org"},
		{"cafe@example.org", "#@example.org"},
		{"abc@example.org", "abc@example.org"},
		{"a#1@example.org", "a#@example.org"},
		{"a.1.b.2.3@example.org", "a.#.b.#@example.org"},
		{"a..1@b..2@example.org..", "a..#@b..#@example.org"},
		{"mÜller7@example.org", "#@example.org"},
		{"x@host7.example.org", "x@host7.example.org"},
	} {
		if got := string(AppendSender([]byte("kept 1-2:"), c.in)); got != "kept 1-2:"+c.want {
			t.Errorf("%q is %q, want %q", c.in, got, c.want)
		}
	}
}

// FuzzSender shows that a sender made the same stays the same, grows by nothing, keeps its domain, and does not depend on
// its numbers.
func FuzzSender(f *testing.F) {
	for _, s := range []string{"", "a@b", "bounce-17-8f3a@x.example", "prvs=1=a@b", "srs0=a=b=c=d@e", "srs1=a=b==-c=d=e=f@g", "+1+2@x", "a#-#@x", "x@1@..", "\xff1@\xfe",
		"prvs=a+b=@x", "SRS0-=-=1@x", "prvs=prvs==a=@", "##", "dead.beef@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := AppendSender(nil, s)
		if again := AppendSender(nil, string(got)); !bytes.Equal(again, got) {
			t.Errorf("%q is %q, and that is %q", s, got, again)
		}
		if len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
		if at := strings.LastIndexByte(s, '@'); at >= 0 && !strings.HasSuffix(string(got), lower(strings.TrimRight(s[at:], "."))) {
			t.Errorf("%q lost its domain: %q", s, got)
		}
		if i := bytes.LastIndexByte(got, '@'); bytes.ContainsAny(got[:max(i, 0)], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("%q still has a number or a capital: %q", s, got)
		}
		at := strings.LastIndexByte(s, '@')
		other := []byte(s)
		for i := range max(at, 0) {
			// The words of SRS are words with their number.
			if c := s[i]; c >= '2' && c <= '8' {
				other[i] = c + 1
			}
		}
		if same := AppendSender(nil, string(other)); !bytes.Equal(same, got) {
			t.Errorf("%q is %q, but %q is %q", s, got, other, same)
		}
	})
}

func TestIdentity(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		s    Sender
		want Identity
	}{
		{Sender{}, "net:"},
		{Sender{Addr: addr("192.0.2.77")}, "net:192.0.2.0/24"},
		{Sender{Addr: addr("::ffff:192.0.2.77")}, "net:192.0.2.0/24"},
		{Sender{Addr: addr("2001:db8:1:2:3:4:5:6")}, "net:2001:db8:1:2::/64"},
		{Sender{Addr: addr("fe80::1%eth0")}, "net:fe80::/64"},
		{Sender{Addr: addr("192.0.2.77"), SPFDomain: "Example.ORG.", SPFNarrow: true}, "spf:example.org"},
		{Sender{Addr: addr("192.0.2.77"), SPFDomain: "example.org"}, "net:192.0.2.0/24"},
		{Sender{Addr: addr("192.0.2.77"), SPFDomain: "example.org", PTROrg: "Other.example"}, "ptr:other.example"},
		{Sender{Addr: addr("192.0.2.77"), SPFDomain: "example.org", SPFNarrow: true, PTROrg: "other.example"}, "spf:example.org"},
		{Sender{Addr: addr("192.0.2.77"), SPFDomain: ".", SPFNarrow: true, PTROrg: "."}, "net:192.0.2.0/24"},
	} {
		if got := c.s.Identity(); got != c.want {
			t.Errorf("%+v is %s, want %s", c.s, got, c.want)
		}
	}
}

func keyer(t testing.TB, fill byte) *Keyer {
	t.Helper()
	k, err := NewKeyer(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKey(t *testing.T) {
	k := keyer(t, 7)
	base := k.Key("net:192.0.2.0/24", "Bounce-17@a.example", "bob@served.test")
	if base.Tag != k.Tag("net:192.0.2.0/24") {
		t.Error("the tag of the key is another than that of the identity")
	}
	if same := k.Key("net:192.0.2.0/24", "bounce-18@A.example", "BOB@served.test."); same != base {
		t.Error("a number or a letter's case made another pair")
	}
	seen := map[Key]string{base: "base"}
	for name, other := range map[string]Key{
		"identity":  k.Key("net:192.0.3.0/24", "bounce-17@a.example", "bob@served.test"),
		"sender":    k.Key("net:192.0.2.0/24", "bounces-17@a.example", "bob@served.test"),
		"recipient": k.Key("net:192.0.2.0/24", "bounce-17@a.example", "bob7@served.test"),
		"cut":       k.Key("net:192.0.2.0/24", "bounce-17@a.exampleb", "ob@served.test"),
		"cut first": k.Key("net:192.0.2.0/24b", "ounce-17@a.example", "bob@served.test"),
		"null":      k.Key("net:192.0.2.0/24", "", "bob@served.test"),
		"key":       keyer(t, 8).Key("net:192.0.2.0/24", "bounce-17@a.example", "bob@served.test"),
	} {
		if seen[other] != "" {
			t.Errorf("%s and %s are one key", name, seen[other])
		}
		seen[other] = name
		if name != "identity" && name != "cut first" && name != "key" && other.Tag != base.Tag || name == "key" && other.Tag == base.Tag {
			t.Errorf("%s: tag %s beside %s", name, other.Tag, base.Tag)
		}
	}
	if huge := k.Key("net:", strings.Repeat("a", 1<<20), "b"); huge == (Key{}) || k.Key("net:192.0.2.0/24", "bounce-17@a.example", "bob@served.test") != base {
		t.Error("after a huge address, keys are others")
	}
}

func TestKeyerTellsNothing(t *testing.T) {
	if _, err := NewKeyer(make([]byte, LeastKey-1)); err == nil || !strings.Contains(err.Error(), "15 octets") {
		t.Errorf("a short key: %v", err)
	}
	const text = "a test key of thirty-two octets!"
	secret := []byte(text)
	k, err := NewKeyer(secret)
	if err != nil {
		t.Fatal(err)
	}
	clear(secret)
	same, err := NewKeyer([]byte(text))
	if err != nil || same.Tag("net:") != k.Tag("net:") {
		t.Errorf("the key is still the caller's (%v)", err)
	}
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(form, k)
		if strings.Contains(text, "test key") || strings.Contains(text, fmt.Sprintf("%x", text[:8])) || strings.Contains(text, "97 32 116") || strings.Contains(text, "0x61, 0x20") {
			t.Errorf("%s prints the key: %s", form, text)
		}
	}
}

// TestKinds shows that nobody can name an identity whose tag is the hash of a pair.
func TestKinds(t *testing.T) {
	k := keyer(t, 7)
	pair := k.Key("net:", "a@b", "c@d").Pair
	if tag := k.Tag("\x00\x00\x00\x04net:\x00\x00\x00\x03a@bc@d"); tag == Tag(pair[:len(tag)]) {
		t.Error("one hash for both")
	}
}

// TestKeyText shows that each key has one text and each text at most one key.
func TestKeyText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var k Key
		for i := range k.Tag {
			k.Tag[i] = byte(r.Uint32())
		}
		for i := range k.Pair {
			k.Pair[i] = byte(r.Uint32())
		}
		text := k.String()
		back, err := ParseKey(text)
		tag, errTag := ParseTag(text[:TagText])
		if len(text) != KeyText || err != nil || errTag != nil || back != k || tag != k.Tag || tag.String() != text[:TagText] {
			t.Fatalf("%v is %s, which is %v, %v, %v, %v", k, text, back, tag, err, errTag)
		}
	}
	for _, bad := range []string{"", "AAAA", strings.Repeat("A", 19), strings.Repeat("A", 21), strings.Repeat("A", 19) + "=", strings.Repeat("A", 19) + "/", strings.Repeat("A", 18) + "\r\n",
		"AAAA\nAAA" + strings.Repeat("A", 12), strings.Repeat("ä", 10)} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%q is read as %v", bad, k)
		}
		if len(bad) > TagText {
			bad = bad[:TagText] + "="
		}
		if tag, err := ParseTag(bad); err == nil {
			t.Errorf("%q is read as %v", bad, tag)
		}
	}
}
