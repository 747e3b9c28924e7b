package e2e

import (
	"strings"
	"testing"
)

// TestNextHopsOfDNS: a daemon finds its next hop by MX through its own resolver; one that would be itself is told of, and
// nothing goes there.
func TestNextHopsOfDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{routes: []route{{name: "internal", domains: []string{"served.test"}}}})
	before := w.policy
	w.policy = strings.Replace(w.policy, "host = \"127.0.0.1\"", "mx = \"hops.test\"", 1)
	if w.policy == before {
		t.Fatal("the document has another form")
	}
	w.start(t)
	if said := w.hello(t).deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("the client was told %q", said.last())
	}
	out, _, _, err := w.daemon.Command(t.Context(), "status")
	if err != nil || !strings.Contains(out, "in.hops.test:") {
		t.Errorf("status: %s, %v", out, err)
	}
	w.reload(t, strings.Replace(w.policy, "mx = \"hops.test\"", "mx = \"loops.test\"", 1), "reload")
	if said := w.hello(t).deliver("bob@served.test", "text"); !strings.Contains(said.last(), "451 4.4.1") {
		t.Errorf("into a loop the client was told %q", said.last())
	}
	out, _, _, err = w.daemon.Command(t.Context(), "status")
	if err != nil || !strings.Contains(out, "FAIL next hop      mx:loops.test                route internal, the host to send mail to is this one itself") {
		t.Errorf("status: %s, %v", out, err)
	}
	if n := len(w.hop(t).Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

// TestNextHopRemembered: a gateway that starts while its next hop is away offers what that said before, and a client can
// hand over 8-bit mail as soon as it is back.
func TestNextHopRemembered(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.hop(t).Close()
	w.start(t) // and waits for the offer
	if said := w.dial(t).say("EHLO client.example.org"); !strings.Contains(said, "8BITMIME") || !strings.Contains(said, "DSN") {
		t.Errorf("while it is away clients are offered %q", said)
	}
	out, _, _, err := w.daemon.Command(t.Context(), "status")
	if err != nil || !strings.Contains(out, "FAIL next hop") {
		t.Errorf("status: %s, %v", out, err)
	}
}
