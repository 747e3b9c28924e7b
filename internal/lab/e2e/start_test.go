package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// silent listens, lets the kernel take connections, and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestStartWaitsForNobody: the banner is there while scanners, the next hop and the name server have neither answered nor
// failed, and those of control data neither.
func TestStartWaitsForNobody(t *testing.T) {
	t.Parallel()
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Close() })
	w := begin(t, setup{offers: "-", bootstrap: fmt.Sprintf("[store]\nurl = \"postgres://gatepost@%s/gatepost?sslmode=disable\"\n", silent(t)), clamav: silent(t), spamd: silent(t), dns: names.LocalAddr().String(), clamavTimeout: "5m", spamdTimeout: "5m",
		routes: []route{{name: "internal", domains: []string{"served.test"}, addr: silent(t)}}})
	w.dial(t)
	out, complaint, code, err := w.daemon.Command(t.Context(), "status")
	if err != nil || code != 1 {
		t.Fatalf("status: exit %d, %s, %v", code, complaint, err)
	}
	for _, what := range []string{"FAIL clamav ", "FAIL spamassassin ", "FAIL next hop "} {
		_, line, found := strings.Cut(out, what)
		if line, _, _ = strings.Cut(line, "\n"); !found || !strings.Contains(line, "did not answer yet") {
			t.Errorf("%s: %q in\n%s", what, line, out)
		}
	}
}
