package accept

import (
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

func named(local string) gateway.Address {
	return gateway.Address{Text: local + "@example.org", Local: local, Domain: "example.org"}
}

// TestWhoGetsIt shows that each address that the recipients stand for gets one copy, with what the sender named beside it,
// and that no refusal tells an address that the sender does not know.
func TestWhoGetsIt(t *testing.T) {
	h := &hop{answer: gateway.Relayed{Result: gateway.RefusedByHop, At: gateway.AtRcpt,
		Reply: gateway.Reply{Code: 550, Enhanced: "5.1.1", Text: "<y@example.org> and <b@example.org>: no such user; <y@example.org>"}}}
	e := envelope(h, message)
	ok := gateway.Reply{Code: 250}
	e.Rcpts = []gateway.Recipient{
		{Address: named("team"), To: []gateway.Address{named("x"), named("y")}, Reply: ok},
		{Address: named("x"), Reply: ok},
		{Address: named("refused"), To: []gateway.Address{named("z")}, Reply: gateway.Reply{Code: 550}},
		{Address: named("both"), To: []gateway.Address{named("y"), named("both")}, Reply: ok},
		{Address: named("b"), Reply: ok},
	}
	r := new(Acceptor).Deliver(t.Context(), e, &gateway.Verdict{})
	if got := strings.Join(h.rcpts, " "); got != "x@example.org y@example.org both@example.org b@example.org" {
		t.Errorf("it goes to %s", got)
	}
	if want := "550 5.1.1 <team@example.org> and <b@example.org>: no such user; <team@example.org>"; !strings.HasPrefix(r.Reply.String(), want) {
		t.Errorf("told %q, want %q", r.Reply, want)
	}
	if r.Relayed == nil || r.Relayed.Reply.Text != h.answer.Reply.Text {
		t.Errorf("the journal does not have the next hop's own words: %+v", r.Relayed)
	}
	to := new(Acceptor).addressees(e, &gateway.Verdict{})
	if i := slices.IndexFunc(to.hop, func(r gateway.Recipient) bool { return r.Address == named("y") }); i < 0 || to.hop[i].Named != named("team") || to.hop[i].To != nil {
		t.Errorf("%+v", to.hop)
	}
}

// TestWhoGetsItIsBounded gives many recipients that stand for the same many: each once, without looking at all for each.
func TestWhoGetsItIsBounded(t *testing.T) {
	e := envelope(&hop{}, message)
	var all []gateway.Address
	for i := range gateway.MaxTargets {
		all = append(all, named("u"+strings.Repeat("x", i)))
	}
	e.Rcpts = nil
	for range 1000 {
		e.Rcpts = append(e.Rcpts, gateway.Recipient{Address: named("team"), To: all, Reply: gateway.Reply{Code: 250}})
	}
	if to := new(Acceptor).addressees(e, &gateway.Verdict{}); len(to.hop) != len(all) {
		t.Errorf("%d addresses", len(to.hop))
	}
}

// TestDigest shows what makes another message: what a reader sees, and not how it came here.
func TestDigest(t *testing.T) {
	t.Run("under a key", func(t *testing.T) { testDigest(t, newNames(t, "key")) })
	t.Run("without", func(t *testing.T) { testDigest(t, nil) })
}

func testDigest(t *testing.T, names *Names) {
	const plain = "From: a\r\nTo: b\r\nSubject: door 1 is open\r\nMessage-ID: <1@device>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n" +
		"Content-Type: text/plain\r\n\r\nalarm\r\n"
	of := func(from, text string) [32]byte {
		t.Helper()
		e := envelope(nil, text)
		e.From.Text, e.From.Local, e.From.Domain = from, "a", strings.TrimPrefix(from, "a@")
		d, ok, err := names.Digest(e)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return d
	}
	first := of("a@device.example", plain)
	for _, c := range []struct {
		name, old, now string
		same           bool
	}{
		{"the way", "From: a", "Received: from x by y; today\r\nDKIM-Signature: v=1; t=2\r\nFrom: a", true},
		{"subject", "door 1", "door 2", false},
		{"whom it is written to", "To: b", "To: c", false},
		{"what the content is", "text/plain", "text/html", false},
		{"content", "alarm", "alarms", false},
		{"words moved from one field to the next", "a\r\nTo: b", "\r\nTo: ab", false},
	} {
		if got := of("a@device.example", strings.Replace(plain, c.old, c.now, 1)); (got == first) != c.same {
			t.Errorf("%s: the same message: %v", c.name, !c.same)
		}
	}
	if of("a@other.example", plain) == first {
		t.Error("another reverse-path makes the same message")
	}
}

func newNames(tb testing.TB, key string) *Names {
	tb.Helper()
	n, err := NewNames([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// TestNames shows that a name is the same wherever the content lies, that each octet and the length of it count, and that it is
// another under another key.
func TestNames(t *testing.T) {
	head := "From: x@y.example\r\nMessage-ID: <1@y>\r\nDate: now\r\n\r\n"
	of := func(n *Names, content string, memory bool) [32]byte {
		t.Helper()
		e := envelope(nil, head+content)
		if memory {
			e.Body = inMemory{e.Body, []byte(head + content)}
		}
		d, ok, err := n.Digest(e)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return d
	}
	names, others := newNames(t, "key"), newNames(t, "another key")
	known := map[[32]byte]string{}
	for _, size := range []int{0, 1, 16, piece - 1, piece, piece + 1, 3*piece + 100} {
		plain := strings.Repeat("x", size)
		all := []string{plain}
		for _, at := range []int{0, size / 2, size - 1} {
			if size > 0 {
				all = append(all, plain[:at]+"y"+plain[at+1:])
			}
		}
		for _, content := range all {
			name := of(names, content, true)
			if of(names, content, false) != name {
				t.Errorf("%d octets have another name when they do not lie in memory", size)
			}
			if size > 0 && (of(others, content, true) == name || of(nil, content, true) == name) {
				t.Errorf("%d octets have one name under two keys", size)
			}
			if before, is := known[name]; is && before != content {
				t.Errorf("two contents of %d and %d octets have one name", len(before), size)
			}
			known[name] = content
		}
	}
}
