package main

import (
	"context"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The demo as a user runs it, with Redis and a smaller big mail.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	var out strings.Builder
	talk := &listener{}
	talk.atEnd = func() {
		pasteHints(ctx, t, out.String())
		cancel()
	}
	if err := run(ctx, options{demo: true, stay: true, redis: true, smtp: "127.0.0.1:0", big: 1_000_000}, &out, talk); err != nil {
		t.Fatalf("%v\n%s\n%s", err, talk.String(), out.String())
	}
	for _, want := range []string{"swaks --server 127.0.0.1:", "clamav.local_only", "own zones", "checks.rcpt.action", "limits.connections_per_client", "bot, talks before the banner", "checks.pregreet.action",
		"$ gatepost trace ", "\nIn Redis lie ", "redis-cli -s ", "Rejected by clamav", "451 4.7.1 Greylisted", "demo lists 198.18.0.25: 127.0.0.2 sends spam", "at most 3 per 10 minutes, 3 used", "    - key: ", "and not 2 minutes", "Rejected by dmarc (dmarc.reject)", "Authentication-Results: gate.lab.test;", "dmarc=pass", "530 5.7.10 ", "tls: tls.none; ", "Came by TLS1.3,", "$ gatepost doctor", "gate.lab.test: 0 FAIL, ", "ok   listener  reach, banner, offers, starttls, relay", "ok   nexthops  reach, tls, size, offers, recipients",
		"ok   scanners  clamd, signatures, limit, spamd", "  in a browser     https://127.0.0.1:", " user setup-code --config ", "redis", "ok   lists     used, works", "  read it          cat /", "attachments.type: attachments.type;", "$ gatepost quarantine release ", "with X-Gatepost-Released: ", "impersonation.person: ", " log search --to post@lab.test --config "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	smtp := regexp.MustCompile(`swaks --server (\S+)`).FindStringSubmatch(out.String())
	if conn, err := net.Dial("tcp", smtp[1]); err == nil {
		conn.Close()
		t.Errorf("gatepost still takes connections at %s", smtp[1])
	}
}

// listener hears what the demo says, and acts when nothing more comes.
type listener struct {
	strings.Builder
	atEnd func()
}

func (l *listener) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "everything runs") {
		l.atEnd()
	}
	return l.Builder.Write(b)
}

// pasteHints does what a reader does: pastes each command below the last headline, in their order.
func pasteHints(ctx context.Context, t *testing.T, out string) {
	_, hints, _ := strings.Cut(out, "\nTo try by hand, ")
	n := 0
	for line := range strings.Lines(hints) {
		command, is := strings.CutPrefix(line, "  /")
		if !is {
			continue
		}
		n++
		if said, err := exec.CommandContext(ctx, "sh", "-c", "/"+command).CombinedOutput(); err != nil || len(said) == 0 {
			t.Errorf("%s%v: %s", line, err, said)
		}
	}
	if n < 5 {
		t.Errorf("%d commands in %q", n, hints)
	}
}

func TestSum(t *testing.T) {
	for want, all := range map[string][]priced{
		"": {{"urls", "lookalike", 3}},
		" urls lookalike 3.0, spamassassin spamd -1.5.": {{"urls", "lookalike", 3}, {"spamassassin", "spamd", -1.5}},
	} {
		if got := sum(all); got != want {
			t.Errorf("%v: %q, want %q", all, got, want)
		}
	}
}

func TestTableWraps(t *testing.T) {
	var b strings.Builder
	tab := table{out: &b, widths: []int{5, 6}}
	tab.row("a bcd ef", "grün")
	tab.rule()
	tab.row("abcdefgh", "x")
	want := "a bcd  grün\nef\n-----  ------\nabcde  x\nfgh\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestItems(t *testing.T) {
	ids := make(map[string]bool)
	recipients := make(map[string]int)
	k, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	all, err := items(100_000, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range all {
		id := field(it.mail.Body, "message-id")
		if id == "" || ids[id] {
			t.Errorf("%s: Message-ID %q is empty or not its own", it.title, id)
		}
		ids[id] = true
		recipients[it.mail.To]++
		if it.mail.UTF8 && it.with == "swaks" {
			t.Errorf("%s: swaks cannot send it", it.title)
		}
	}
	if len(ids) != 25 || recipients["nobody@lab.test"] != 1 || recipients["somebody@elsewhere.test"] != 1 {
		t.Errorf("%d mails to %v", len(ids), recipients)
	}
}

func TestParse(t *testing.T) {
	if o, err := parse([]string{"-demo", "-resolver", "127.0.0.1:53"}); err != nil || !o.demo || o.resolver != "127.0.0.1:53" {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range [][]string{{"-nonsense"}, {"more"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
