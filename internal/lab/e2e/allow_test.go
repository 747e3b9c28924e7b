package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatepost/internal/api"
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
	if tried := w.tried(t, 2, "author", "ceo@partner.example"); tried.Met != 1 || tried.Changed != 1 || tried.Milder != 1 {
		t.Errorf("of two messages, of which one is forged, the entry would have met %d and changed %d", tried.Met, tried.Changed)
	}
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

	w.counted(t, 1)
	// What the preview of an entry counts is what a simulation of the policy with it counts.
	block := "[[checks.access.client.entry]]\nnetwork = \"198.51.100.20/32\"\nowner = \"anna\"\nreason = \"trial\"\nexpires = \"2999-01-31\"\n"
	preview, whole := w.tried(t, 4, "client", "198.51.100.20"), w.simulated(t, 4, "--policy", w.document(t, w.policy+out[at:]+block))
	if preview.Met != 4 || preview.Changed != whole.Changed || whole.Changed != 4 || whole.Harder != 4 || len(whole.Stale) != 0 || whole.NotKnown+preview.NotKnown != 0 {
		t.Errorf("the preview counts %d met and %d changed, the simulation %d changed, %d of them harder; stale: %v", preview.Met, preview.Changed, whole.Changed, whole.Harder, whole.Stale)
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

	// Counts outlive a restart, and an edit of who wanted the entry and why; they do not pass on to another one.
	w.counted(t, 3)
	w.policy += strings.Replace(out[at:], "reason = \"orders", "reason = \"bills", 1)
	must(t, w.daemon.Stop())
	w.start(t)
	w.counted(t, 3)
	if out, _ := w.command(t, 0, "entry", "list"); !strings.Contains(out, "reason bills") {
		t.Errorf("entries: %s", out)
	}
	w.reload(t, strings.Replace(w.policy, "\"ceo@partner.example\"", "\"@partner.example\"", 1), "reload")
	if out, _ := w.command(t, 0, "entry", "list"); !strings.Contains(out, "0 hits") || !strings.Contains(out, "never met") {
		t.Errorf("of another entry: %s", out)
	}
}

// tried tells what an entry would have met, once so many messages are in the log.
func (w *world) tried(t *testing.T, messages int, args ...string) *api.EntryTried {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		out, _ := w.command(t, 0, append([]string{"entry", "try", "--json"}, args...)...)
		got := new(api.EntryTried)
		must(t, json.Unmarshal([]byte(out), got))
		if got.Messages == messages {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages are looked at", got.Messages, messages)
		}
	}
}

// counted waits until the one entry was met so often.
func (w *world) counted(t *testing.T, hits int64) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		out, _ := w.command(t, 0, "entry", "list", "--json")
		var got api.Entry
		must(t, json.Unmarshal([]byte(out), &got))
		if got.Hits == hits && !got.Last.IsZero() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d hits are told: %s", hits, out)
		}
	}
}
