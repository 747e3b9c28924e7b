package e2e

import (
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/signer"
)

// partnerZone is a partner who signs his mail, and whose domain asks for nothing where it is not.
const partnerZone = `
mail.example.org. A 192.0.2.10
partner.example. MX 10 mail.example.org.
_dmarc.partner.example. TXT "v=DMARC1; p=none"
sends.example. MX 10 mail.example.org.
mx.sends.example. A 198.51.100.20
20.100.51.198.in-addr.arpa. PTR mx.sends.example.
`

// TestAllowedAuthor plays what an operator does for a partner whose mail looks like spam: it is quarantined, released with
// --allow, which prints an entry for the author, and passes from then on. Who only writes the partner's name into From is
// quarantined as before, and the trace says why the entry was not used. Malware is refused, and a forbidden attachment kept,
// whoever sent it.
func TestAllowedAuthor(t *testing.T) {
	t.Parallel()
	key, err := signer.RSA("partner.example", "s1", 1024)
	if err != nil {
		t.Fatal(err)
	}
	dns := dnslab.New(t, dnslab.Text(partnerZone+key.Record()))
	w := begin(t, setup{dns: dns.Addr(), policy: noGreylist,
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	w.spamd.On("REPORT", lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 9.0 / 5.0\r\n\r\n"), Then: lab.Close})
	send := func(what, fields string, signed bool) (reply, ref string) {
		t.Helper()
		message := []byte(strings.Replace(written("partner.example", fields), "Hi.", "Hi, "+what+".", 1))
		if signed {
			if message, err = key.Sign(message); err != nil {
				t.Fatal(err)
			}
		}
		reply = w.hands(t, listHost, "bounce@sends.example", string(message))
		return reply, spoolRef(t, reply)
	}
	arrivals := func() int { t.Helper(); return len(w.hop(t).Accepted()) }

	_, forged := send("forged before", "", false)
	_, kept := send("before", "", true)
	if n := arrivals(); n != 0 {
		t.Fatalf("%d arrived", n)
	}
	if out, said := w.command(t, 0, "quarantine", "release", forged, "--allow"); strings.Contains(out, "[[") || !strings.Contains(said, "anybody can write that name") || !strings.Contains(said, "--allow-client") {
		t.Errorf("forged: %s%s", out, said)
	}
	if out, _ := w.command(t, 0, "quarantine", "release", forged, "--allow-client", "--only", "bob@served.test"); !strings.Contains(out, "[[checks.access.client.entry]]\nnetwork = \"198.51.100.20/32\"  # mx.sends.example\nlist = \"allow\"\n") {
		t.Errorf("by its client: %s", out)
	}
	out, _ := w.command(t, 0, "quarantine", "release", kept, "--allow", "--why", "orders", "--expires", "2999-01-31")
	at := strings.Index(out, "[[checks.access.author.entry]]\n")
	if at < 0 || !strings.Contains(out, "reason = \"orders (released "+kept+")\"\nexpires = \"2999-01-31\"\n") {
		t.Fatalf("release --allow: %s", out)
	}
	w.hop(t).Forget()
	w.reload(t, w.policy+out[at:], "reload")

	if reply, ref := send("allowed", "", true); !strings.HasPrefix(reply, "250 ") || arrivals() != 1 {
		t.Errorf("%d arrived, %q", arrivals(), reply)
	} else {
		w.awaitCommand(t, "since it is allowed (ceo@partner.example)", "trace", ref)
		w.awaitCommand(t, "reason orders", "trace", ref)
	}
	w.hop(t).Forget()
	_, ref := send("forged", "", false)
	if n := arrivals(); n != 0 {
		t.Errorf("%d forged messages arrived", n)
	}
	w.awaitCommand(t, "allow entry not used", "trace", ref)
	w.awaitCommand(t, "not authenticated: DMARC of", "trace", ref)
	if out, _ := w.command(t, 0, "quarantine", "show", ref); !strings.Contains(out, "access.unproven; allow entry not used not authenticated") || !strings.Contains(out, "spam") {
		t.Errorf("show: %s", out)
	}

	part := "MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=\"a.exe\"\r\nContent-Disposition: attachment; filename=\"a.exe\"\r\n"
	if _, ref = send("with a program", part, true); arrivals() != 0 {
		t.Error("a program arrived")
	}
	if out, _ := w.command(t, 0, "quarantine", "list", "--class", "attachment"); !strings.Contains(out, ref) {
		t.Errorf("the program is not kept as one: %s", out)
	}
	w.clamd.On("INSTREAM", lab.Action{Bytes: []byte("stream: Win.Trojan.Test-1 FOUND\x00"), Then: lab.Close})
	infected, err := key.Sign([]byte(written("partner.example", "X-Note: infected\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if reply := w.hands(t, listHost, "bounce@sends.example", string(infected)); !strings.HasPrefix(reply, "550 5.7.1 Message refused: malware") {
		t.Errorf("infected: %q", reply)
	}
}
