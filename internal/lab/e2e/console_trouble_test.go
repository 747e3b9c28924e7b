package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// listBack bounds how long a list that works again is still told of: it is tried again a minute after it failed first, and two
// minutes after it failed again (rbl), where it was mended late; the rest is for a page that changes by itself.
const listBack = 2*time.Minute + 15*time.Second

// troubled is a daemon with a console between a real clamd, a real Redis and a real Postfix, whose route spools, and a DNS list that is
// broken from the start.
func troubled(t *testing.T) (*world, *realParts, *lab.Redis) {
	t.Helper()
	p := &realParts{owner: t, dir: labtest.Dir(t), names: dnslab.New(t, zones)}
	for _, port := range []**lab.Port{&p.ports.clamd, &p.ports.inside, &p.ports.outside} {
		*port = keptPort(t)
	}
	ctx := labtest.Context(t)
	p.startClamd(ctx, t)
	p.startInside(ctx, t)
	r := redisServer(t)
	p.names.SetList(dnslab.List{Zone: "plain.example", State: dnslab.ListWorld})
	w := newWorld(t, setup{console: "127.0.0.1:0", clamav: "unix:" + p.clamd.Socket, spamd: "off", dns: p.names.Addr(),
		routes:    []route{{name: "internal", domains: []string{"lab.test"}, lines: "when_down = \"spool\"\n", addr: p.inside.Addr}},
		policy:    noGreylist + "[queue]\nschedule = [\"1h\"]\n[rbl]\nuse = \"commercial\"\n[[rbl.own]]\nname = \"plain\"\nzone = \"plain.example\"\nrule = [{ answer = \"127.0.0.2\", label = \"spam trap\", weight = 10 }]\n",
		bootstrap: "[spool]\nreserve = \"16M\"\n" + redisTable(t, "unix:"+r.Socket)})
	w.config = strings.Replace(w.config, "[clamav]\n", "[clamav]\nlocal_only = true\n", 1)
	w.start(t)
	return w, p, r
}

// TestConsoleTrouble: what is wrong is on the start page by itself, with its cause, what it does to mail and what to do, and goes by
// itself; mail that waits for a Postfix that is stopped can be watched, deleted after a question, tried again, and drains.
func TestConsoleTrouble(t *testing.T) {
	t.Parallel()
	w, p, r := troubled(t)
	send := func(text string) string {
		return w.hello(t).deliverFrom("alice@example.org", mailbox, text).last()
	}
	if said := send("before"); !strings.HasPrefix(said, "250") { // it verifies the recipient, too
		t.Fatalf("before: %q", said)
	}
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	b.Step("trouble.open", map[string]any{"path": "/"}, nil)
	must(t, p.clamd.Stop())
	must(t, r.Pause())
	var lines []string
	b.Step("trouble.shown", map[string]any{"look": "trouble", "wants": [][]string{{"clamav", "deferred with 451", "systemctl status clamav-daemon"},
		{"redis", "slow since", "each node counts for itself", "docs/redis.md"}, {"lists", "plain is unarmed", "without what that list says", "gatepost rbl status"}}}, &lines)
	p.names.SetList(dnslab.List{Zone: "plain.example"})
	if said := send("unscanned"); !strings.HasPrefix(said, "451 4.7.1") {
		t.Errorf("what the page says of clamd is not so: %q", said)
	}
	p.startClamd(labtest.Context(t), t)
	must(t, r.Resume())
	b.Step("trouble.gone", map[string]any{"names": []string{"clamav", "redis"}}, nil)

	w.waits(t, p, b, send)

	b.Step("trouble.open", map[string]any{"path": "/"}, nil)
	b.Step("trouble.gone", map[string]any{"names": []string{"clamav", "redis", "lists", "next hop"}, "look": "trouble-over", "timeout": listBack.Milliseconds()}, nil)
}

// waits stops the internal MTA and starts it again, and looks at the queue meanwhile.
func (w *world) waits(t *testing.T, p *realParts, b *labtest.Browser, send func(string) string) {
	t.Helper()
	must(t, p.inside.Stop())
	b.Step("trouble.open", map[string]any{"path": "/queue"}, nil)
	type queued struct{ Oldest, Why, Before, After string }
	var q queued
	for n := 1; n <= 2; n++ {
		if said := send(fmt.Sprintf("waits %d", n)); !strings.HasPrefix(said, "250") {
			t.Fatalf("while the MTA is away: %q", said)
		}
		look := ""
		if n == 2 {
			look = "queue-waits"
		}
		b.Step("trouble.queued", map[string]any{"count": n, "said": "refused", "look": look}, &q)
	}
	if q.Oldest == "" || q.Before == q.After {
		t.Errorf("the queue: %+v", q)
	}
	var done struct{ Asked, Said string }
	b.Step("trouble.act", map[string]any{"verb": "retry"}, &done)
	if done.Asked != "" {
		t.Errorf("a retry: %+v", done)
	}
	b.Step("trouble.queued", map[string]any{"count": 2, "said": "refused"}, nil)
	b.Step("trouble.act", map[string]any{"verb": "delete", "look": "queue-delete"}, &done)
	if done.Asked != "Really delete 1 message?" {
		t.Errorf("before a message is deleted: %+v", done)
	}
	b.Step("trouble.queued", map[string]any{"count": 1, "said": "refused"}, nil)
	p.startInside(labtest.Context(t), t)
	b.Step("trouble.act", map[string]any{"verb": "retry", "all": true}, &done)
	b.Step("trouble.drained", nil, nil)
	all, err := p.inside.Maildir(mailbox).Messages()
	must(t, err)
	if n := strings.Count(fmt.Sprintf("%s", all), "waits "); len(all) != 2 || n != 1 { // the one before, and one of two
		t.Errorf("%d arrived, %d of those that waited", len(all), n)
	}
}
