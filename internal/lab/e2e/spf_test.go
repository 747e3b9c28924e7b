package e2e

import (
	"strings"
	"testing"

	"gatepost/internal/lab/dnslab"
)

// spfZones are a domain that sends, one that never does, one whose record is broken, and names of hosts.
const spfZones = `
sends.example. MX 10 mail.example.org.
sends.example. TXT "v=spf1 include:_spf.provider.example -all exp=why.sends.example"
why.sends.example. TXT "%{i} is no host of %{d}"
_spf.provider.example. TXT "v=spf1 ip4:198.51.100.0/24 ~all"
never.example. MX 10 mail.example.org.
never.example. TXT "v=spf1 -all"
*.never.example. TXT "v=spf1 -all"
broken.example. MX 10 mail.example.org.
broken.example. TXT "v=spf1 ip4:198.51.100 -all"
dead.example. MX 10 mail.example.org.
mx.sends.example. TXT "v=spf1 ip4:203.0.113.20 -all"
`

// TestSPF: over SMTP, what each result leads to, what the message that is delivered tells of it, and what the journal does.
func TestSPF(t *testing.T) {
	t.Parallel()
	w := authWorld(t, spfZones)
	w.dns.SetFault("dead.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "TXT"})
	w.start(t)
	for _, c := range []struct {
		client, helo, from string
		reply              string // to RCPT
		results            string // of Authentication-Results, in this order
		event              []string
	}{
		{"198.51.100.20", "mx.other.example", "<news@sends.example>", "250", "spf=pass smtp.mailfrom=news@sends.example", []string{"verdict=accept"}},
		// HELO is told behind MAIL FROM.
		{"203.0.113.20", "mx.sends.example", "<news@sends.example>", "250", "spf=fail smtp.mailfrom=news@sends.example; spf=pass smtp.helo=mx.sends.example", []string{"verdict=accept", "findings~spf.fail"}},
		{"203.0.113.20", "mx.other.example", "<news@never.example>", "550 5.7.23 Sender refused: the SPF record of never.example says that this domain sends no mail at all", "", []string{"verdict=reject", "reason=spf.never"}},
		// A notice of a host whose domain never sends mail is none of its mail.
		{"203.0.113.20", "mx.never.example", "<>", "250", "spf=fail smtp.helo=mx.never.example", []string{"verdict=accept", "findings~spf.fail"}},
		{"203.0.113.20", "mx.other.example", "<news@broken.example>", "250", "spf=permerror", []string{"verdict=accept", "findings~spf.permerror"}},
		{"203.0.113.20", "mx.other.example", "<news@dead.example>", "250", "spf=temperror", []string{"verdict=accept", "findings~dns.failed"}},
	} {
		conn := w.proxied(t, "proxied", from(c.client))
		if r := conn.reply(); !strings.HasPrefix(r, "220 ") {
			t.Fatalf("banner %q", r)
		}
		conn.want("250", "EHLO "+c.helo)
		conn.want("250", "MAIL FROM:"+c.from)
		conn.want(c.reply, "RCPT TO:<bob@served.test>")
		if !strings.HasPrefix(c.reply, "250") {
			conn.want("221", "QUIT")
			w.awaitEvent(t, "transaction", append(c.event, "client="+c.client+":50000")...)
			continue
		}
		conn.want("354", "DATA")
		conn.send(written("nobody.example", "") + ".\r\n")
		if said := conn.reply(); !strings.HasPrefix(said, "250 ") {
			t.Errorf("%s from %s: %s", c.from, c.client, said)
		}
		conn.want("221", "QUIT")
		told := strings.Join(strings.Fields(w.arrived(t, "Authentication-Results")), " ")
		if !inOrder(told, strings.Split(c.results, "; ")) {
			t.Errorf("%s from %s: no %q in %q", c.from, c.client, c.results, told)
		}
		w.awaitEvent(t, "transaction", append(c.event, "from="+strings.Trim(c.from, "<>"))...)
	}
}

// inOrder reports whether the results of SPF in a field begin as they should, in this order, and are no others.
func inOrder(field string, want []string) bool {
	var got []string
	for _, r := range strings.Split(field, "; ") {
		if strings.HasPrefix(r, "spf=") {
			got = append(got, r)
		}
	}
	if len(got) != len(want) {
		return false
	}
	for i, r := range got {
		first, rest, _ := strings.Cut(want[i], " ")
		if !strings.HasPrefix(r, first) || !strings.Contains(r, rest) {
			return false
		}
	}
	return true
}
