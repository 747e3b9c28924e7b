package e2e

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// What becomes of mail to a next hop with tls = "dane", ours and Postfix's. Behind "verified" is the record that matched.
const (
	verified  = "verified " // encrypted, and who it is was proven
	encrypted = "encrypted" // encrypted, with nobody knows whom: none of the records can be used
	open      = "open"      // no DANE: as opportunistic
	refused   = "refused"   // not sent: it is not what the records say
	unknown   = "unknown"   // not sent: what the records say cannot be told
	trusted   = "trusted"   // Postfix alone: it is what the records say, but who named the host was not validated
)

// daneCase is one next hop and what its zone says. In its texts N is its label, T what goes before the owner of a TLSA record
// with a dot, A the address of its host.
type daneCase struct {
	name string
	host string // a service of the world; "" for the one that shows leaf and issuer
	zone string // text of N in right.gp-lab; without an address N has that of the host
	to   string // the next hop; "" for N.right.gp-lab, "mx:" before the name of a domain
	want string
	says string // part of what status says of it, where it is refused or unknown
	// finger is what Postfix's tool says where that is another word, and why not says why.
	finger, whyNot string
}

func daneCases(w *daneWorld) []daneCase {
	rr := func(records ...string) string {
		text := ""
		for _, r := range records {
			text += "T.N " + r + "\n"
		}
		return text
	}
	const unsigned, short = "N.unsigned.gp-lab", "TLSA 3 1 1 00112233445566778899"
	at := func(name string) string { return name + " A A\n" }
	cases := []daneCase{
		{name: "rollover, old key still published", zone: rr(tlsa(3, 1, 1, w.other), tlsa(3, 1, 1, w.leaf)), want: verified + "3 1 1"},
		{name: "rollover, new key not yet published", zone: rr(tlsa(3, 1, 1, w.other)), want: refused, says: "no TLSA record matches"},
		{name: "EE, expired", host: "expired", zone: rr(tlsa(3, 1, 1, w.expired)), want: verified + "3 1 1"},
		{name: "EE, other name, self-signed", host: "self", zone: rr(tlsa(3, 0, 1, w.other)), want: verified + "3 0 1"},
		{name: "TA, expired", host: "expired", zone: rr(tlsa(2, 1, 1, w.mid)), want: refused, says: "not valid at this time"},
		{name: "TA, other name", host: "misnamed", zone: rr(tlsa(2, 1, 1, w.mid)), want: refused, says: "is of another name"},
		{name: "TA, root in the chain", host: "rooted", zone: rr(tlsa(2, 0, 1, w.root)), want: verified + "2 0 1"},
		{name: "TA, root left out, digest", zone: rr(tlsa(2, 0, 1, w.root)), want: refused, says: "no TLSA record matches"},
		{name: "TA, root left out, in the record", zone: rr(tlsa(2, 0, 0, w.root)), want: verified + "2 0 0"},
		{name: "TA, root's key in the record", zone: rr(tlsa(2, 1, 0, w.root)), want: verified + "2 1 0"},
		{name: "TA, issuer left out, its key in the record", host: "alone", zone: rr(tlsa(2, 1, 0, w.mid)), want: verified + "2 1 0"},
		{name: "TA, issuer left out, digest", host: "alone", zone: rr(tlsa(2, 1, 1, w.mid)), want: refused, says: "no TLSA record matches"},
		{name: "TA, of the certificate itself", host: "self", zone: rr(tlsa(2, 1, 1, w.other)), want: refused, says: "no TLSA record matches"},
		{name: "TA, of the certificate itself, in the record", host: "own", zone: rr(tlsa(2, 0, 0, w.own)), want: refused, says: "no TLSA record matches"},
		{name: "TA, its own key in the record", host: "own", zone: rr(tlsa(2, 1, 0, w.own)), want: verified + "2 1 0"},
		{name: "PKIX-EE alone", zone: rr(tlsa(1, 1, 1, w.leaf)), want: encrypted},
		{name: "PKIX-TA alone", zone: rr(tlsa(0, 0, 1, w.root)), want: encrypted},
		{name: "PKIX-EE alone, no STARTTLS", host: "clear", zone: rr(tlsa(1, 1, 1, w.leaf)), want: refused, says: "does not offer STARTTLS"},
		{name: "unknown selector", zone: rr(strings.Replace(tlsa(3, 1, 1, w.leaf), "3 1 1", "3 9 1", 1)), want: encrypted},
		{name: "unknown matching type", zone: rr(strings.Replace(tlsa(3, 1, 1, w.leaf), "3 1 1", "3 1 9", 1)), want: encrypted},
		{name: "digest cut short", zone: rr(short), want: encrypted},
		{name: "unusable beside usable", zone: rr(short, tlsa(1, 1, 1, w.other), tlsa(3, 1, 1, w.leaf)), want: verified + "3 1 1"},
		{name: "stronger digest is wrong", zone: rr(tlsa(3, 1, 2, w.other), tlsa(3, 1, 1, w.leaf)), want: refused, says: "no TLSA record matches"},
		{name: "EE, no STARTTLS", host: "clear", zone: rr(tlsa(3, 1, 1, w.leaf)), want: refused, says: "does not offer STARTTLS"},
		{name: "no TLSA", want: open},
		{name: "no TLSA, no STARTTLS", host: "clear", want: open},
		{name: "TLSA by wildcard", zone: "*._tcp.N " + tlsa(3, 1, 1, w.leaf) + "\n", want: verified + "3 1 1"},
		{name: "TLSA by CNAME", zone: "T.N CNAME keys-N\nkeys-N " + tlsa(3, 1, 1, w.leaf) + "\n", want: verified + "3 1 1"},
		{name: "TLSA by CNAME to an unsigned zone", zone: "T.N CNAME T.ok.unsigned.gp-lab.\n", want: open},
		{name: "host by CNAME, records where it leads", zone: "N CNAME real-N\n" + at("real-N") + "T.real-N " + tlsa(3, 1, 1, w.leaf) + "\n", want: verified + "3 1 1"},
		{name: "host by CNAME, records before it", zone: "N CNAME real-N\n" + at("real-N") + rr(tlsa(3, 1, 1, w.leaf)), want: verified + "3 1 1"},
		{name: "host by CNAME, records at both", zone: "N CNAME real-N\n" + at("real-N") + rr(tlsa(3, 1, 1, w.leaf)) + "T.real-N " + tlsa(3, 1, 1, w.other) + "\n", want: refused, says: "no TLSA record matches"},
		{name: "host by CNAME to an unsigned zone", zone: "N CNAME ok.unsigned.gp-lab.\n" + rr(tlsa(3, 1, 1, w.leaf)), want: verified + "3 1 1"},
		{name: "TLSA cannot be resolved", to: "dead.right.gp-lab", want: unknown, says: "TLSA lookup of _" + w.port + "._tcp.dead.right.gp-lab failed"},
		{name: "unsigned zone", to: "ok.unsigned.gp-lab", want: open},
		{name: "zone with expired signatures", to: "ok.expired.gp-lab", want: unknown, says: "address lookup of ok.expired.gp-lab failed: bogus"},
		{name: "zone without its signatures", to: "ok.stripped.gp-lab", want: unknown, says: "address lookup of ok.stripped.gp-lab failed: bogus"},
		{name: "MX", zone: "N MX 10 mx-N\n" + at("mx-N") + "T.mx-N " + tlsa(3, 1, 1, w.leaf) + "\n", to: "mx:N.right.gp-lab", want: verified + "3 1 1"},
		{name: "MX, host by CNAME", zone: "N MX 10 mx-N\nmx-N CNAME real-N\n" + at("real-N") + "T.real-N " + tlsa(3, 1, 1, w.leaf) + "\n", to: "mx:N.right.gp-lab", want: verified + "3 1 1"},
		{name: "MX, TA and the name of the domain", zone: "N MX 10 mx.N\n" + at("mx.N") + "T.mx.N " + tlsa(2, 1, 1, w.mid) + "\n", to: "mx:N.right.gp-lab", want: verified + "2 1 1"},
		{name: "MX, first host cannot be told", zone: "N MX 10 dead\nN MX 20 mx-N\n" + at("mx-N") + "T.mx-N " + tlsa(3, 1, 1, w.leaf) + "\n", to: "mx:N.right.gp-lab", want: verified + "3 1 1"},
		{name: "MX, first host is another", zone: "N MX 10 bad-N\nN MX 20 mx-N\n" + at("bad-N") + at("mx-N") + "T.bad-N " + tlsa(3, 1, 1, w.other) + "\nT.mx-N " + tlsa(3, 1, 1, w.leaf) + "\n", to: "mx:N.right.gp-lab", want: verified + "3 1 1",
			finger: refused, whyNot: "it goes no further than the first host that answers"},
		{name: "no MX, the domain itself", zone: at("N") + rr(tlsa(3, 1, 1, w.leaf)), to: "mx:N.right.gp-lab", want: verified + "3 1 1"},
		{name: "unsigned MX to a signed host", to: "mx:unsigned.gp-lab", want: open, finger: trusted, whyNot: "it looks for TLSA of such hosts too, and calls none of them verified"},
		{name: "bogus MX", to: "mx:expired.gp-lab", want: unknown, says: "bad-signature"},
	}
	for _, usage := range []int{2, 3} {
		for selector := range 2 {
			for matching := range 3 {
				of := w.mid
				if usage == 3 {
					of = w.leaf
				}
				kind := fmt.Sprintf("%d %d %d", usage, selector, matching)
				cases = append(cases, daneCase{name: kind, zone: rr(tlsa(usage, selector, matching, of)), want: verified + kind})
			}
		}
	}
	return cases
}

// daneHost is one service of Postfix, at an address of its own and on the port that all have.
type daneHost struct {
	name  string
	chain []*identity // nil: without STARTTLS
}

// daneWorld is the certificates that hosts show and records are of.
type daneWorld struct {
	port                                           string
	address                                        map[string]string // by the name of a host
	root, mid, leaf, other, expired, misnamed, own *identity
}

func newDANEWorld(t *testing.T) *daneWorld {
	const names = "*.right.gp-lab"
	later, past := time.Now().Add(1000*time.Hour), time.Now().Add(-time.Hour)
	w := &daneWorld{address: map[string]string{}}
	w.root = issue(t, nil, "lab root", later)
	w.mid = issue(t, w.root, "lab issuer", later)
	w.leaf = issue(t, w.mid, "leaf", later, names)
	w.expired = issue(t, w.mid, "expired", past, names)
	w.misnamed = issue(t, w.mid, "misnamed", later, "else.example")
	w.own = issue(t, nil, "own", later, names)
	w.other = issue(t, nil, "other", later, "other.example")
	port, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	_, w.port, _ = net.SplitHostPort(port.Addr())
	return w
}

// startHosts starts a Postfix that is all hosts, with a mailbox for each case.
func (w *daneWorld) startHosts(t *testing.T, cases int) {
	dir := labtest.Dir(t)
	var services, mailboxes []string
	for i, h := range []daneHost{{"", []*identity{w.leaf, w.mid}}, {"rooted", []*identity{w.leaf, w.mid, w.root}}, {"alone", []*identity{w.leaf}},
		{"self", []*identity{w.other}}, {"expired", []*identity{w.expired, w.mid}}, {"misnamed", []*identity{w.misnamed, w.mid}}, {"own", []*identity{w.own}}, {"clear", nil}} {
		w.address[h.name] = fmt.Sprintf("127.25.%d.1", i+1)
		line := w.address[h.name] + ":" + w.port + " inet n - n - - smtpd"
		if h.chain != nil {
			line += " -o smtpd_tls_security_level=may -o smtpd_tls_chain_files=" + chainFile(t, dir, "chain"+h.name, h.chain...)
		}
		services = append(services, line)
	}
	for i := range cases {
		mailboxes = append(mailboxes, fmt.Sprintf("post@case%d.test", i))
	}
	labtest.Postfix(t, lab.PostfixOptions{Name: "dane.lab.test", Mailboxes: mailboxes, Services: services})
}

// TestDANE: real name servers, a real validating resolver and real next hops, and for each case the decision of the daemon
// beside that of Postfix's own posttls-finger.
func TestDANE(t *testing.T) {
	t.Parallel()
	w := newDANEWorld(t)
	cases := daneCases(w)
	w.startHosts(t, len(cases))
	fill := func(i int, text string) string {
		return strings.NewReplacer("N", fmt.Sprintf("c%d", i), "T.", "_"+w.port+"._tcp.", " A A\n", " A "+w.address[cases[i].host]+"\n").Replace(text)
	}
	var zone, policy strings.Builder
	for i, c := range cases {
		// The words of master files have the letters N, T and A too.
		text := c.zone
		for _, word := range []string{"CNAME", "TLSA"} {
			text = strings.ReplaceAll(text, word, strings.ToLower(word))
		}
		if lines := "\n" + text; !strings.Contains(lines, "\nN A") && !strings.Contains(lines, "\nN cname") && !strings.Contains(lines, "\nN MX") {
			text += "N A A\n"
		}
		zone.WriteString(fill(i, text))
		hop := fmt.Sprintf("host = %q", cmp.Or(fill(i, c.to), fill(i, "N.right.gp-lab")))
		if domain, ok := strings.CutPrefix(fill(i, c.to), "mx:"); ok {
			hop = fmt.Sprintf("mx = %q", domain)
		}
		fmt.Fprintf(&policy, "[[route]]\nname = \"case%d\"\ntls = \"dane\"\nrecipients = \"none\"\n[[route.next_hop]]\n%s\nport = %s\n[[domain]]\nname = \"case%d.test\"\nroute = \"case%d\"\n", i, hop, w.port, i, i)
	}
	zone.WriteString("dead A " + w.address[""] + "\n")
	plain := "ok A " + w.address[""] + "\n_" + w.port + "._tcp.ok " + tlsa(3, 1, 1, w.leaf) + "\n@ MX 10 "
	dns := labtest.Signed(t, lab.Zone{Name: "right", Text: zone.String() + "ok A " + w.address[""] + "\n_" + w.port + "._tcp.ok " + tlsa(3, 1, 1, w.leaf) + "\n", Dead: []string{"_tcp.dead"}},
		lab.Zone{Name: "unsigned", Text: plain + "ok.right.gp-lab.", Signing: lab.Unsigned},
		lab.Zone{Name: "expired", Text: plain + "ok", Signing: lab.Expired}, lab.Zone{Name: "stripped", Text: plain + "ok", Signing: lab.Stripped})
	gate := begin(t, setup{dns: dns.Resolver, policy: policy.String(), trusted: `"127.0.0.1"`, offers: "-"})

	fingers := make([]string, len(cases))
	said := make([]string, len(cases))
	var wg sync.WaitGroup
	turns := make(chan struct{}, 4)
	for i, c := range cases {
		to := "[" + cmp.Or(fill(i, c.to), fill(i, "N.right.gp-lab")) + "]"
		if domain, ok := strings.CutPrefix(fill(i, c.to), "mx:"); ok {
			to = domain
		}
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			out, err := dns.Finger(t.Context(), "dane-only", to+":"+w.port)
			if err != nil {
				t.Error(err)
			}
			said[i], fingers[i] = out, fingered(out)
		})
	}
	ours := make([]string, len(cases))
	for i := range cases {
		ours[i] = gate.danes(t, i)
	}
	status, _, _, err := gate.daemon.Command(t.Context(), "status")
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i, c := range cases {
		t.Logf("| %s | %s | %s |", c.name, ours[i], fingers[i])
		want := c.want
		if strings.HasPrefix(ours[i], refused) { // both are the same to the sender; status says which
			ours[i] = c.want
			if !strings.Contains(line(status, fmt.Sprintf("route case%d,", i)), c.says) || c.says == "" {
				t.Errorf("%s: status says %q, want %q", c.name, line(status, fmt.Sprintf("route case%d,", i)), c.says)
			}
		}
		if ours[i] != want {
			t.Errorf("%s: %q, want %q", c.name, ours[i], want)
		}
		if want := cmp.Or(c.finger, want); fingers[i] != want || (c.finger != "") != (c.whyNot != "") {
			t.Errorf("%s: Postfix has it as %q, want %q: %s", c.name, fingers[i], want, said[i])
		}
	}
}

// line is the lines of a text that hold another.
func line(text, with string) string {
	var found []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, with) {
			found = append(found, l)
		}
	}
	return strings.Join(found, "")
}

// danes sends a message and says what became of it.
func (w *world) danes(t *testing.T, i int) string {
	to := fmt.Sprintf("post@case%d.test", i)
	got := w.hello(t).deliverFrom("", to, "dane").last()
	if !strings.HasPrefix(got, "250") {
		if !strings.HasPrefix(got, "451 4.7.5") && !strings.HasPrefix(got, "451 4.4.1") {
			t.Errorf("%s: %q", to, got)
		}
		return refused
	}
	tls := w.awaitEvent(t, "transaction", "rcpts="+to, "relay=delivered").text("next_hop_tls")
	switch _, how, _ := strings.Cut(tls, ", "); {
	case strings.HasPrefix(how, "DANE "):
		return verified + strings.TrimSuffix(strings.TrimPrefix(how, "DANE "), " verified")
	case strings.Contains(how, "no TLSA record can be used"):
		return encrypted
	}
	return open
}

// fingered reads what posttls-finger says at the level dane-only.
func fingered(out string) string {
	connected := strings.Contains(out, "TLS connection established")
	switch {
	case strings.Contains(out, "Verified TLS connection"):
		_, matched, _ := strings.Cut(out, "Matched ")
		_, matched, _ = strings.Cut(matched, "at depth ")
		_, matched, _ = strings.Cut(matched, ": ")
		return verified + matched[:min(5, len(matched))]
	case strings.Contains(out, "Trusted TLS connection") && strings.Contains(out, "MX RRset insecure"):
		return trusted
	case connected && (strings.Contains(out, "no usable TLSA records found") || strings.Contains(out, "all TLSA records unusable")):
		return encrypted
	case strings.Contains(out, "no TLSA records found"):
		return open
	case strings.Contains(out, "lookup error") || strings.Contains(out, "lookup failed") || strings.Contains(out, "Name service error"):
		return unknown
	}
	return refused
}
