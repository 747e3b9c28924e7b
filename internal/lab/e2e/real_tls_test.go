package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// fingerprint is the SHA-256 of the certificate of the internal MTA.
func (p *realParts) fingerprint(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.inside.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM", p.inside.Certificate)
	}
	return fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
}

// routeTo is a route to the internal MTA for a domain, with its lines on TLS.
func (p *realParts) routeTo(t testing.TB, name, lines string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.inside.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[[route]]\nname = %q\n%s\n[[route.next_hop]]\nhost = %q\nport = %s\n[[domain]]\nname = \"%s.test\"\nroute = %q\n",
		name, lines, host, port, name, name)
}

// secureRoutes are pinned.test, by the fingerprint of the internal MTA, and named.test, by its name and authority.
func (p *realParts) secureRoutes(t testing.TB) string {
	return p.routeTo(t, "pinned", fmt.Sprintf("tls = \"fingerprint\"\nfingerprints = [%q]", p.fingerprint(t))) +
		p.routeTo(t, "named", fmt.Sprintf("tls = \"required\"\nserver_name = \"inside.lab.test\"\nca_file = %q", p.inside.Certificate))
}

// realSecureRoutes: the internal MTA is known by its certificate, and its own Received says that it got the mail in TLS.
func realSecureRoutes(ctx context.Context, t *testing.T, p *realParts, w *world, out *lab.Postfix) {
	for _, to := range []string{"post@pinned.test", "post@named.test"} {
		m := letter(to)
		send(ctx, t, out, m)
		above := arrives(ctx, t, p.inside.Maildir(to), m.Body)
		if inside := fieldOf(above, "Received"); !strings.Contains(inside, "from "+hostname) || !strings.Contains(inside, "by inside.lab.test (Postfix) with ESMTPS ") {
			t.Errorf("%s: %s", to, inside)
		}
		w.awaitEvent(t, "transaction", "rcpts="+to, "relay=delivered")
	}
}

// realWrongCertificate: an internal MTA that is not who it must be gets nothing, and the mail waits at its sender. When the
// policy names the right one, the mail goes there.
func realWrongCertificate(ctx context.Context, t *testing.T, p *realParts) {
	wrong := p.routeTo(t, "pinned", fmt.Sprintf("tls = \"fingerprint\"\nfingerprints = [%q]", strings.Repeat("ab", 32))) +
		p.routeTo(t, "named", fmt.Sprintf("tls = \"required\"\nserver_name = \"other.lab.test\"\nca_file = %q", p.inside.Certificate))
	w := p.gate(t, setup{policy: wrong, offers: "-"})
	out := alsoSends(t, w)
	m, n := letter("post@pinned.test"), letter("post@named.test")
	send(ctx, t, out, m)
	send(ctx, t, out, n)
	for _, to := range []string{m.To, n.To} {
		w.awaitEvent(t, "transaction", "rcpts="+to, "verdict=defer", "reason=next_hop.away")
	}
	queueSays(ctx, t, out, "451 4.4.1")
	for _, m := range []mails.Mail{m, n} {
		if found := copies(t, p.inside.Maildir(m.To), messageID(t, m.Body)); len(found) > 0 {
			t.Errorf("%s arrived", m.To)
		}
	}
	if err := w.daemon.Reload("", strings.Replace(w.policy, wrong, p.secureRoutes(t), 1)); err != nil {
		t.Fatal(err)
	}
	p.settles(ctx, t, out, m, n)
}
