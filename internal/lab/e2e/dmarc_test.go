package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/signer"
	"gatepost/internal/store"
)

// dmarcZones are domains that ask for reject, and hosts that may send as themselves.
const dmarcZones = `
mail.example.org. A 192.0.2.10
bank.example. MX 10 mail.example.org.
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
new.example. MX 10 mail.example.org.
_dmarc.new.example. TXT "v=DMARC1; p=reject"
long.example. MX 10 mail.example.org.
_dmarc.long.example. TXT "v=DMARC1; p=reject"
lists.example. MX 10 mail.example.org.
lists.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"
mx.lists.example. A 198.51.100.20
20.100.51.198.in-addr.arpa. PTR mx.lists.example.
alumni.example. MX 10 mail.example.org.
alumni.example. TXT "v=spf1 ip4:203.0.113.0/24 -all"
mx.alumni.example. A 203.0.113.20
20.113.0.203.in-addr.arpa. PTR mx.alumni.example.
`

// authWorld is a daemon behind a proxy, so that its clients have addresses of the internet.
func authWorld(t *testing.T, records ...string) *world {
	t.Helper()
	dns := dnslab.New(t, dnslab.Text(dmarcZones+strings.Join(records, "")))
	w := newWorld(t, setup{clamav: "off", spamd: "off", dns: dns.Addr(), policy: noGreylist + markQuarantined,
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	w.dns = dns
	return w
}

// The hosts that send.
const (
	listHost   = "198.51.100.20"
	alumniHost = "203.0.113.20"
)

// written is a message as from an author, with more header fields.
func written(author, fields string) string {
	return "From: ceo@" + author + "\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\nMessage-ID: <1@" + author + ">\r\n" + fields + "\r\nHi.\r\n"
}

// forge has a host send a message as from somebody else, with more header fields, and returns the last reply.
func (w *world) forge(t *testing.T, host, mailFrom, author, fields string) string {
	t.Helper()
	return w.hands(t, host, mailFrom, written(author, fields))
}

// hands has a host send a message and returns the last reply.
func (w *world) hands(t *testing.T, host, mailFrom, message string) string {
	t.Helper()
	c := w.proxied(t, "proxied", from(host))
	if r := c.reply(); !strings.HasPrefix(r, "220 ") {
		t.Fatalf("banner %q", r)
	}
	c.want("250", "EHLO mx."+mailFrom[strings.IndexByte(mailFrom, '@')+1:])
	c.want("250", "MAIL FROM:<"+mailFrom+">")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send(message + ".\r\n")
	said := c.reply()
	c.want("221", "QUIT")
	return said
}

// arrived takes the only message that the next hop has and returns one of our fields of it.
func (w *world) arrived(t *testing.T, field string) string {
	t.Helper()
	all := w.hop(t).Accepted()
	if len(all) != 1 {
		t.Fatalf("%d messages arrived", len(all))
	}
	w.hop(t).Forget()
	a, err := readArrival(all[0])
	if err != nil {
		t.Fatal(err)
	}
	value, _ := a.field(field)
	return value
}

const (
	refusedByDMARC = "550 5.7.1 Refused: the domain bank.example asks to reject mail that fails DMARC; "
	listField      = "List-Id: Developers <dev.lists.example>\r\n"
)

// TestDMARCIndirect: reject is honoured where nothing hints at a list; where something does, the message is kept in
// quarantine (here as a mark) while the host is new. Both are learned, and survive kill -9.
func TestDMARCIndirect(t *testing.T) {
	t.Parallel()
	w := authWorld(t)
	w.start(t)
	refused := func(when string) {
		t.Helper()
		said := w.forge(t, listHost, "news@lists.example", "bank.example", "")
		if !strings.HasPrefix(said, refusedByDMARC) || !strings.Contains(said, "Reference ") {
			t.Errorf("%s: %q", when, said)
		}
	}
	kept := func(when string) {
		t.Helper()
		// Each a message of its own: after a kill the ledger may still know the one before, whose retry is no second copy.
		message := strings.Replace(written("bank.example", listField), "Hi.", "Hi, "+when+".", 1)
		if said := w.hands(t, listHost, "news@lists.example", message); !strings.HasPrefix(said, "250 ") {
			t.Fatalf("%s: %q", when, said)
		}
		if v := w.arrived(t, "X-Gatepost-Verdict"); v != "quarantine" {
			t.Errorf("%s: verdict %q", when, v)
		}
	}
	refused("nothing hints")
	kept("a List-Id")
	for end := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) { // about a second
		domain, path := w.known(t, "domain", "bank.example"), w.known(t, "path", "lists.example list:dev.lists.example")
		if strings.Contains(domain, `"asks":"reject"`) && strings.Contains(path, `"refused":1`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("known are %s and %s", domain, path)
		}
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	refused("after kill -9")
	kept("after kill -9")
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if path := w.known(t, "path", "lists.example "); !strings.Contains(path, `"messages":2,`) {
		t.Errorf("of the host is known %s", path)
	}
}

// known is what the file has under a name.
func (w *world) known(t *testing.T, kind, name string) (found string) {
	t.Helper()
	k, err := store.OpenKnown(t.Context(), knownFile(w.dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.Load(t.Context(), kind, func(n string, value []byte) {
		if n == name {
			found = string(value)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDMARCByEvidence: after its first 30 days a host that only brought what fails is believed no more, whatever List-Id it
// writes; one that leaves the mail of others whole still is.
func TestDMARCByEvidence(t *testing.T) {
	t.Parallel()
	w := authWorld(t)
	past := func(days int, passed, failed int) map[string]any {
		since := ago(time.Duration(days) * aDay)
		return map[string]any{"first": since, "last": ago(time.Hour), "faded": since, "messages": passed + failed, "judged": passed + failed, "passed": passed,
			"refused": failed, "days": min(passed, 20), "authors": [8]uint32{1, 2, 3}}
	}
	w.knows(t, "path", map[string]any{"lists.example ": past(31, 0, 20), "lists.example list:dev.lists.example": past(31, 0, 20), "alumni.example ": past(40, 50, 2)})
	w.start(t)
	for _, fields := range []string{listField, "List-Id: <fresh.lists.example>\r\n", "X-Forwarded-To: bob@served.test\r\n"} {
		if said := w.forge(t, listHost, "news@lists.example", "bank.example", fields); !strings.HasPrefix(said, refusedByDMARC) {
			t.Errorf("%q: %q", fields, said)
		}
	}
	if said := w.forge(t, alumniHost, "bounce@alumni.example", "bank.example", "X-Forwarded-To: bob@served.test\r\n"); !strings.HasPrefix(said, "250 ") {
		t.Fatalf("a forwarder that is trusted: %q", said)
	}
	if v := w.arrived(t, "X-Gatepost-Verdict"); v != "quarantine" {
		t.Errorf("a forwarder that is trusted: verdict %q", v)
	}
}

// TestDMARCOutage: while DNS cannot tell, mail is held for a domain that was long known to ask for reject, for four hours;
// then, and for others, it passes with a mark. When DNS tells again, the answer counts.
func TestDMARCOutage(t *testing.T) {
	t.Parallel()
	w := authWorld(t)
	asks := func(since time.Duration, more map[string]any) map[string]any {
		d := map[string]any{"asks": "reject", "asks_since": ago(since), "first": ago(since), "seen": ago(6 * time.Hour)}
		for k, v := range more {
			d[k] = v
		}
		return d
	}
	bank := asks(7*aDay+time.Minute, nil)
	w.knows(t, "domain", map[string]any{"bank.example": bank, "new.example": asks(6*aDay, nil),
		"long.example": asks(30*aDay, map[string]any{"outage": ago(4*time.Hour + time.Minute), "untold": ago(10 * time.Minute)})})
	for _, domain := range []string{"bank", "new", "long"} {
		w.dns.SetFault("_dmarc."+domain+".example", dnslab.Fault{Kind: dnslab.ServFail})
	}
	w.start(t)
	for range 2 { // an outage that goes on is as one that begins
		if said := w.forge(t, listHost, "news@lists.example", "bank.example", ""); !strings.HasPrefix(said, "451 4.4.3 DNS gave no answer for bank.example right now") {
			t.Errorf("known for 7 d: %q", said)
		}
	}
	for domain, what := range map[string]string{"new.example": "known for 6 d", "long.example": "an outage of 4 h"} {
		if said := w.forge(t, listHost, "news@lists.example", domain, ""); !strings.HasPrefix(said, "250 ") {
			t.Fatalf("%s: %q", what, said)
		}
		if mark := w.arrived(t, "X-Gatepost-Unscanned"); mark != "dmarc" {
			t.Errorf("%s: marked %q", what, mark)
		}
	}
	w.dns.SetFault("_dmarc.bank.example")
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // a failure is remembered for some seconds
		said := w.forge(t, listHost, "news@lists.example", "bank.example", "")
		if strings.HasPrefix(said, refusedByDMARC) {
			break
		}
		if time.Now().After(end) || !strings.HasPrefix(said, "451 ") {
			t.Fatalf("when DNS tells again: %q", said)
		}
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if d := w.known(t, "domain", "bank.example"); strings.Contains(d, "outage") || !strings.Contains(d, fmt.Sprintf(`"asks_since":%d,`, bank["asks_since"])) {
		t.Errorf("known is %s", d)
	}
}

// TestSealersProposed: a chain of a sealer that nobody trusts rescues nothing, is counted, and is proposed; one that says
// nothing of the author, or that does not hold, is not.
func TestSealersProposed(t *testing.T) {
	t.Parallel()
	key, err := signer.RSA("lists.example", "arc", 1024)
	if err != nil {
		t.Fatal(err)
	}
	other := key.For("alumni.example", "arc")
	w := authWorld(t, key.Record(), other.Record())
	w.start(t)
	seal := func(k *signer.Key, results string) string {
		sealed, err := k.Seal([]byte(written("bank.example", "")), "none", results)
		if err != nil {
			t.Fatal(err)
		}
		return string(sealed)
	}
	good := seal(key, "dmarc=pass header.from=bank.example")
	for what, message := range map[string]string{"sealed": good, "sealed twice": good, "of another author": seal(other, "dmarc=pass header.from=lists.example"),
		"a fail": seal(other, "dmarc=fail header.from=bank.example"), "changed": strings.Replace(seal(other, "dmarc=pass header.from=bank.example"), "Hi.", "Ho.", 1)} {
		if said := w.hands(t, listHost, "news@lists.example", message); !strings.HasPrefix(said, "250 ") {
			t.Fatalf("%s: %q", what, said)
		}
		if v := w.arrived(t, "X-Gatepost-Verdict"); v != "quarantine" {
			t.Errorf("%s: verdict %q", what, v)
		}
	}
	if got := w.sealers(t); !strings.HasPrefix(got, `[{"domain":"lists.example",`) || !strings.Contains(got, `"messages":2,"days":`) || !strings.HasSuffix(got, `,"authors":["bank.example"]}]`) {
		t.Errorf("proposed: %s", got)
	}
}

// TestTrustIsEarned: the mail of others that a forwarder leaves whole is counted for it.
func TestTrustIsEarned(t *testing.T) {
	t.Parallel()
	key, err := signer.RSA("bank.example", "s1", 1024)
	if err != nil {
		t.Fatal(err)
	}
	w := authWorld(t, key.Record())
	w.start(t)
	signed, err := key.Sign([]byte(written("bank.example", "")))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if said := w.hands(t, alumniHost, "bounce@alumni.example", "X-Forwarded-To: bob@served.test\r\n"+string(signed)); !strings.HasPrefix(said, "250 ") {
			t.Fatal(said)
		}
		if v := w.arrived(t, "X-Gatepost-Verdict"); v != "accept" {
			t.Errorf("verdict %q", v)
		}
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if p := w.known(t, "path", "alumni.example "); !strings.Contains(p, `"messages":2,"judged":2,"passed":2,"days":`) {
		t.Errorf("known is %s", p)
	}
	if d := w.known(t, "domain", "bank.example"); !strings.Contains(d, `"passes":2`) || !strings.Contains(d, `"asks":"reject"`) {
		t.Errorf("known is %s", d)
	}
}
