package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
)

// The keys of the list that is asked by key, before and after its file is written anew.
const (
	listKey      = "q3ys3cret7"
	listKeyLater = "n3ws3cret8"
)

// listZones are two lists of addresses, one by key, and one of domains.
func listZones(by string) string {
	return fmt.Sprintf(`
2.0.0.127.plain.example. A 127.0.0.2
9.100.51.198.plain.example. A 127.0.0.2
2.0.0.127.%[1]s.keyed.example. A 127.0.0.2
8.100.51.198.%[1]s.keyed.example. A 127.0.0.2
8.100.51.198.%[1]s.keyed.example. TXT "listed by %[1]s, says the list"
test.names.example. A 127.0.0.2
bad.example.names.example. A 127.0.0.2
bad.example. MX 10 mail.example.org.
good.example. MX 10 mail.example.org.
mail.example.org. A 192.0.2.10
`, by)
}

const listPolicy = `
[checks.greylist]
action = "off"
[rbl]
use = "commercial"
[[rbl.own]]
name = "plain"
zone = "plain.example"
website = "https://plain.example/look"
rule = [{ answer = "127.0.0.2", label = "spam trap", weight = 10 }]
[[rbl.own]]
name = "keyed"
zone = "{key}.keyed.example"
key_file = "%s"
rule = [{ answer = "127.0.0.2", label = "by key", weight = 10 }]
[[rbl.own]]
name = "names"
zone = "names.example"
inputs = ["helo", "mailfrom"]
rule = [{ answer = "127.0.0.2", label = "bad domain", weight = 10 }]
`

// TestLists: through the program, listed clients and domains are refused with words that help and their postmaster is reached;
// a list that falls silent is told of and mail goes on; a key is nowhere to be seen, though it is in every query, and is read
// again by a reload.
func TestLists(t *testing.T) {
	t.Parallel()
	dns := dnslab.New(t, dnslab.Text(listZones(listKey)))
	w := newWorld(t, setup{clamav: "off", spamd: "off", dns: dns.Addr(),
		bootstrap: "[log]\nlevel = \"debug\"\n[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	w.dns = dns
	file := filepath.Join(w.dir, "keys", "keyed.key")
	writeKey := func(key string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".new", []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	writeKey(listKey)
	w.policy += fmt.Sprintf(listPolicy, file)
	w.start(t)

	try := func(client, helo, sender string) (postmaster, bob string) {
		t.Helper()
		c := w.proxied(t, "proxied", from(client))
		if r := c.reply(); !strings.HasPrefix(r, "220 ") {
			t.Fatalf("banner %q", r)
		}
		c.want("250", "EHLO "+helo)
		c.want("250", "MAIL FROM:<a@"+sender+">")
		postmaster, bob = c.say("RCPT TO:<postmaster@served.test>"), c.say("RCPT TO:<bob@served.test>")
		c.want("221", "QUIT")
		return postmaster, bob
	}
	for _, c := range []struct{ client, helo, sender, want string }{
		{"198.51.100.7", "mx.good.example", "good.example", "250 "},
		{"198.51.100.9", "mx.good.example", "good.example", "550 5.7.1 Refused: 198.51.100.9 is listed by plain (spam trap); see https://plain.example/look for why"},
		{"198.51.100.8", "mx.good.example", "good.example", "550 5.7.1 Refused: 198.51.100.8 is listed by keyed (by key); see its operator's site for why"},
		{"198.51.100.7", "bad.example", "good.example", "550 5.7.1 Refused: bad.example is listed by names (bad domain)"},
		{"198.51.100.7", "mx.good.example", "bad.example", "550 5.7.1 Refused: bad.example is listed by names (bad domain)"},
	} {
		postmaster, bob := try(c.client, c.helo, c.sender)
		if !strings.HasPrefix(postmaster, "250 ") || !strings.HasPrefix(bob, c.want) {
			t.Errorf("%+v: postmaster %q, bob %q", c, postmaster, bob)
		}
	}
	w.awaitEvent(t, "transaction", "verdict=reject", "reason=rbl.listed", "client=198.51.100.8:50000", "findings~rbl.client")

	// A question with the key fails, which the resolver tells in its log, and the story of who is held for it.
	dns.SetFault("6.100.51.198."+listKey+".keyed.example", dnslab.Fault{Kind: dnslab.ServFail})
	_, held := try("198.51.100.6", "mx.good.example", "good.example")
	if !strings.HasPrefix(held, "451 4.4.3 A list that this host asks about 198.51.100.6 ") {
		t.Errorf("held: %q", held)
	}
	w.awaitEvent(t, "transaction", "client=198.51.100.6:50000", "findings~rbl.late")
	words, story := strings.Fields(held), ""
	for end := time.Now().Add(clientTime); !strings.Contains(story, "no answer of: keyed dns"); time.Sleep(50 * time.Millisecond) {
		var err error
		if story, _, _, err = w.daemon.Command(t.Context(), "trace", words[len(words)-1], "--config", w.dir); err != nil || time.Now().After(end) {
			t.Fatalf("trace: %v\n%s", err, story)
		}
	}
	if !strings.Contains(w.daemonSaid(), "name=(secret)") {
		t.Error("the log does not tell of the question that failed: that it has no key shows nothing")
	}

	// The list by key fails: a reload proves it no more with another key, which its zone does not know. All else goes on.
	writeKey(listKeyLater)
	w.reload(t, w.policy, "reload")
	if said := w.daemonSaid(); !strings.Contains(said, `"kind":"list_away","list":"keyed","state":"unarmed","cause":"missing"`) {
		t.Errorf("the journal does not tell of the list:\n%s", said)
	}
	if _, bob := try("198.51.100.9", "mx.good.example", "good.example"); !strings.HasPrefix(bob, "550 5.7.1 ") {
		t.Errorf("listed by another: %q", bob)
	}
	if _, bob := try("198.51.100.7", "mx.good.example", "good.example"); !strings.HasPrefix(bob, "250 ") {
		t.Errorf("clear: %q", bob)
	}
	w.awaitEvent(t, "transaction", "client=198.51.100.7:50000", "findings~rbl.away")
	if status, body, err := w.daemon.Get(t.Context(), "/readyz"); err != nil || status != 200 || !strings.Contains(body, "keyed is unarmed: missing") {
		t.Errorf("ready: %d %q %v", status, body, err)
	}
	if err := dns.SetZones(dnslab.Text(listZones(listKeyLater))); err != nil {
		t.Fatal(err)
	}
	said, complaint, code, err := w.daemon.Command(t.Context(), "rbl", "test", "198.51.100.8", "--config", w.dir)
	if err != nil || code != 1 || !strings.Contains(said, "listed     keyed                127.0.0.2 by key (10)") || !strings.Contains(said, "it says: listed by (key), says the list") ||
		!strings.Contains(said, "not listed plain") {
		t.Errorf("rbl test: exit %d, %s%s, %v", code, said, complaint, err)
	}
	shown := story + said + complaint
	for _, args := range [][]string{{"rbl", "status"}, {"rbl", "status", "--json"}, {"status"}, {"check"}, {"rbl", "test", "bad.example", "--json"}, {"rbl", "test", "198.51.100.8", "--json"}} {
		out, errOut, _, err := w.daemon.Command(t.Context(), append(args, "--config", w.dir)...)
		if err != nil || out+errOut == "" {
			t.Errorf("%v: %v", args, err)
		}
		if len(args) > 1 && args[1] == "status" && !strings.Contains(out, "plain") {
			t.Errorf("%v: %s", args, out)
		}
		shown += out + errOut
	}
	_, metrics, err := w.daemon.Get(t.Context(), "/metrics")
	if err != nil || !strings.Contains(metrics, `gatepost_list_armed{list="keyed"} 0`) || !strings.Contains(metrics, `gatepost_list_armed{list="plain"} 1`) ||
		!strings.Contains(metrics, `gatepost_list_results_total{list="plain",verdict="listed"} 2`) {
		t.Errorf("metrics (%v):\n%s", err, metrics)
	}
	for where, text := range map[string]string{"commands": shown, "metrics": metrics, "log and journal": w.daemonSaid()} {
		for _, key := range []string{listKey, listKeyLater} {
			if strings.Contains(strings.ToLower(text), key) {
				t.Errorf("the key is shown: %s", where)
			}
		}
	}
	if n := dns.Queries()["2.0.0.127."+listKeyLater+".keyed.example"]; n == 0 {
		t.Error("nobody asked with the key: the test shows nothing")
	}
}

// TestListsAway: lists that list the world, refuse, are parked or dead are never used: good mail comes through, with the mark, and who
// is listed by one that works does not. One that only fails to answer holds a client until it does.
func TestListsAway(t *testing.T) {
	t.Parallel()
	dns := dnslab.New(t, dnslab.Text(`
*.world.example. A 127.0.0.2
*.refuses.example. A 127.255.255.254
*.parked.example. A 203.0.113.80
2.0.0.127.well.example. A 127.0.0.2
9.100.51.198.well.example. A 127.0.0.2
good.example. MX 10 mail.example.org.
mail.example.org. A 192.0.2.10
`))
	dns.SetFault("2.0.0.127.dead.example", dnslab.Fault{Kind: dnslab.Timeout})
	w := newWorld(t, setup{clamav: "off", spamd: "off", dns: dns.Addr(),
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	w.dns = dns
	w.policy += noGreylist + "[rbl]\nuse = \"commercial\"\n"
	for _, name := range []string{"world", "refuses", "parked", "dead", "well"} {
		w.policy += fmt.Sprintf("[[rbl.own]]\nname = %q\nzone = \"%s.example\"\nrule = [{ answer = \"127.0.0.2\", label = \"bad\", weight = 10 }]\n", name, name)
	}
	w.start(t)
	try := func(client string) string {
		t.Helper()
		c := w.proxied(t, "proxied", from(client))
		if r := c.reply(); !strings.HasPrefix(r, "220 ") {
			t.Fatalf("banner %q", r)
		}
		c.want("250", "EHLO mx.good.example")
		c.want("250", "MAIL FROM:<a@good.example>")
		said := c.say("RCPT TO:<bob@served.test>")
		c.want("221", "QUIT")
		return said
	}
	if said := w.hands(t, "198.51.100.7", "a@good.example", written("good.example", "")); !strings.HasPrefix(said, "250 ") {
		t.Errorf("a good one: %q", said)
	}
	if marks := w.arrived(t, "X-Gatepost-Unscanned"); marks != "rbl.client" {
		t.Errorf("marked %q", marks)
	}
	if said := try("198.51.100.9"); !strings.HasPrefix(said, "550 5.7.1 Refused: 198.51.100.9 is listed by well (bad)") {
		t.Errorf("a listed one: %q", said)
	}
	for name, cause := range map[string]string{"world": "world", "refuses": "error code", "parked": "foreign"} {
		if told := w.daemonSaid(); !strings.Contains(told, `"kind":"list_away","list":"`+name+`","state":"unarmed","cause":"`+cause+`"`) {
			t.Errorf("no word of %s", name)
		}
	}
	w.partIs(t, "lists", "1 of 5 are used; world is unarmed: world")

	dns.SetFault("8.100.51.198.well.example", dnslab.Fault{Kind: dnslab.ServFail})
	if said := try("198.51.100.8"); !strings.HasPrefix(said, "451 4.4.3 A list that this host asks about 198.51.100.8 did not answer in time") {
		t.Errorf("held: %q", said)
	}
	w.awaitEvent(t, "transaction", "reason=rbl.late", "client=198.51.100.8:50000")
	dns.SetFault("8.100.51.198.well.example")
	for deadline := time.Now().Add(clientTime); ; time.Sleep(100 * time.Millisecond) { // the resolver keeps the failure for a moment
		said := try("198.51.100.8")
		if strings.HasPrefix(said, "250 ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still held: %q", said)
		}
	}
}
