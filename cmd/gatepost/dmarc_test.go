package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/reports"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/lab/dnslab"
)

// TestPrintReports: what waits, what was sent, what is not sent and why, each on a line of its own.
func TestPrintReports(t *testing.T) {
	at := time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)
	o := &reports.Overview{Subjects: []reports.Shown{
		{Day: "2026-11-25", Domain: "a.example", Messages: 7, Lines: 2, Lost: 1, Due: at, Bad: []string{"https://a.example: only mailto: is known"}, XML: "<feedback/>\n",
			Deliveries: []reports.Delivery{{Address: "d@a.example", State: reports.Waiting, Next: at, ReportID: "x1"}, {Address: "d@b.example", State: reports.Dropped, Said: "no"}}},
		{Day: "2026-11-24", Domain: "b.example", Messages: 1, Lines: 1, Done: true, Due: at, Deliveries: []reports.Delivery{{Address: "d@b.example", State: reports.Sent, Last: at, ReportID: "x2", Said: "250 ok"}}},
		{Day: "2026-11-24", Domain: "c.example", Messages: 1, Lines: 1, Due: at},
	}}
	var out bytes.Buffer
	printReports(&out, o)
	want := `2026-11-25 a.example: 7 messages in 2 lines, due at TIME
  and 1 messages that found no room
  waiting  d@a.example  at TIME  x1  
  dropped  d@b.example                                   no
  not used: https://a.example: only mailto: is known
<feedback/>
2026-11-24 b.example: 1 messages in 1 lines, done
  sent  d@b.example  at TIME  x2  250 ok
2026-11-24 c.example: 1 messages in 1 lines, due at TIME
`
	squeeze := func(s string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(s, cli.Stamp(at), "TIME")), " ")
	}
	if got := squeeze(out.String()); got != squeeze(want) {
		t.Errorf("%s\nwant\n%s", got, squeeze(want))
	}
}

// TestReportQuery: what cannot be asked for is said before the daemon is asked.
func TestReportQuery(t *testing.T) {
	for _, c := range []struct{ query, bad string }{
		{"", ""},
		{"domain=A.example&day=2026-11-25&format=7489&dry=1", ""},
		{"format=9990", ""},
		{"format=7498", "--format"},
		{"day=yesterday", "--day"},
		{"day=2026-13-01", "--day"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := reportQuery(v)
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%q: %v", c.query, err)
		}
		if c.query != "" && c.bad == "" && (q.Format == nil || q.Domain != strings.ToLower(v.Get("domain")) || q.DryRun != (v.Get("dry") != "") || (q.Day != nil) != (v.Get("day") != "")) {
			t.Errorf("%q: %+v", c.query, q)
		}
	}
	if q, _ := reportQuery(url.Values{"day": {"2026-11-25"}}); q.Day == nil || q.Day.String() != "2026-11-25" {
		t.Errorf("%+v", q)
	}
}

// TestCheckReports: check says that a key cannot be used, and with --live that our own domain asks for reports, or that the
// way out does not answer.
func TestCheckReports(t *testing.T) {
	names := dnslab.New(t, dnslab.Text("_dmarc.asks.test. TXT \"v=DMARC1; p=none; rua=mailto:x@asks.test\"\n_dmarc.quiet.test. TXT \"v=DMARC1; p=none\""))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shut := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, more, args string
		want             string
	}{
		{"d@quiet.test", "", "check", "can be used"},
		{"d@quiet.test", fmt.Sprintf("dkim_selector = \"s\"\ndkim_key = %q\n", key), "check", "reports.dmarc.dkim_key: " + key},
		{"d@quiet.test", "dkim_selector = \"s\"\ndkim_key = \"/nowhere/key.pem\"\n", "check", "reports.dmarc.dkim_key: stat /nowhere/key.pem"},
		{"d@asks.test", "", "check --live", "_dmarc.asks.test asks for reports itself"},
		{"d@quiet.test", "", "check --live", "ok   dmarc reports quiet.test"},
		{"d@quiet.test", "", "check --live", "connection refused"},
	} {
		dir := documents(t, fmt.Sprintf("[dns]\nservers = [%q]\n[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", names.Addr()),
			servesOne+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"+fmt.Sprintf("[reports.dmarc]\nfrom = %q\nvia = %q\n", c.from, shut)+c.more)
		_, out, errOut := gatepost(t, append(strings.Fields(c.args), "--config", dir)...)
		if !strings.Contains(out+errOut, c.want) {
			t.Errorf("%+v: %s%s", c, out, errOut)
		}
	}
}

// TestReportsByRoute: the way out of a route leads to its next hop, with one connection that is none of the mail's.
func TestReportsByRoute(t *testing.T) {
	c, problems := config.Load(documents(t, "[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n",
		servesOne+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[reports.dmarc]\nfrom = \"d@quiet.test\"\nvia = \"in\"\n"), sections())
	if c == nil {
		t.Fatal(problems)
	}
	p, err := newParts(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := assemble(c, p)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	h := b.outward.Health()
	if len(h) != 1 || h[0].NextHop != "127.0.0.1:1" || h[0].Route != b.reports.Route || h[0].Pool != 1 || b.relay.Health()[0].Pool == 1 {
		t.Errorf("%+v", h)
	}
}
