package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/gateway/reports"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/lab/dnslab"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
	"gatepost/tls/tlsrpt"
)

// TestSessionOf: what a relay tells becomes what a report counts: the policy as it is published, nothing of our own network.
func TestSessionOf(t *testing.T) {
	sts := &mtasts.Policy{ID: "1", Mode: mtasts.Enforce, MX: []string{"mx.a.example", "*.b.example"}, MaxAge: 24 * time.Hour}
	inside, outside, remote := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("10.0.0.2")
	stsPolicy := tlsrpt.Policy{Kind: tlsrpt.STS, Domain: "a.example", MXHost: sts.MX, Strings: []string{"version: STSv1", "mode: enforce", "mx: mx.a.example", "mx: *.b.example", "max_age: 86400"}}
	for name, c := range map[string]struct {
		n    relay.Negotiation
		want tlsrpt.Line
	}{
		"fine": {relay.Negotiation{Domain: "a.example", Host: "mx.a.example", Local: outside, Remote: remote, Established: true},
			tlsrpt.Line{Policy: tlsrpt.Policy{Kind: tlsrpt.NoPolicy, Domain: "a.example"}}},
		"failed": {relay.Negotiation{Domain: "a.example", Host: "mx.a.example", Local: outside, Remote: remote, Basis: relay.BySTS, STS: sts, Failed: "certificate-expired", Detail: "why"},
			tlsrpt.Line{Policy: stsPolicy, Failure: tlsrpt.Failure{Result: tlsrpt.Expired, SendingIP: outside, ReceivingIP: remote, MXHostname: "mx.a.example", Code: "why"}}},
		"from inside": {relay.Negotiation{Domain: "a.example", Host: "mx.a.example", Local: inside, Remote: remote, Basis: relay.ByTLSA, TLSA: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2}}}, Failed: "tlsa-invalid"},
			tlsrpt.Line{Policy: tlsrpt.Policy{Kind: tlsrpt.TLSA, Domain: "a.example", Strings: []string{"3 1 1 0102"}}, Failure: tlsrpt.Failure{Result: tlsrpt.TLSAInvalid, ReceivingIP: remote, MXHostname: "mx.a.example"}}},
		"no records": {relay.Negotiation{Domain: "a.example", Host: "mx.a.example", Basis: relay.ByTLSA, Failed: "dnssec-invalid"},
			tlsrpt.Line{Policy: tlsrpt.Policy{Kind: tlsrpt.TLSA, Domain: "a.example"}, Failure: tlsrpt.Failure{Result: tlsrpt.DNSSEC, MXHostname: "mx.a.example"}}},
	} {
		c.want.Count = 1
		if got := sessionOf(&c.n); !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, c.want)
		}
	}
	// A policy that cannot be fetched.
	f := &mtasts.Fetcher{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }}
	_, err := f.Fetch(t.Context(), "nowhere.invalid")
	fault, ok := errors.AsType[*mtasts.Fault](err)
	if !ok {
		t.Fatal(err)
	}
	l := faultOf("a.example", fault)
	if l.Failure.Result != tlsrpt.STSFetch || l.Policy.Kind != tlsrpt.STS || l.Failure.MXHostname != "mta-sts.a.example" || !l.Clean() {
		t.Errorf("%+v", l)
	}
}

// TestTLSReporting: what tlsrpt does not say is as in reports.dmarc, and send = false is the end of it.
func TestTLSReporting(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		want   config.DMARCReports
	}{
		"nothing":   {"", config.DMARCReports{}},
		"as dmarc":  {"[reports.dmarc]\nfrom = \"d@quiet.test\"\nvia = \"in\"\ndkim_selector = \"s\"\ndkim_key = \"/k\"\n", config.DMARCReports{From: "d@quiet.test", Via: "in", DKIMSelector: "s", DKIMKey: "/k"}},
		"off":       {"[reports.dmarc]\nfrom = \"d@quiet.test\"\nvia = \"in\"\n[tlsrpt]\nsend = false\nfrom = \"t@quiet.test\"\nvia = \"in\"\n", config.DMARCReports{}},
		"own":       {"[tlsrpt]\nfrom = \"t@quiet.test\"\nvia = \"in\"\norg = \"Ours\"\ncontact = \"c\"\n", config.DMARCReports{From: "t@quiet.test", Via: "in", Org: "Ours", Contact: "c"}},
		"other key": {"[reports.dmarc]\nfrom = \"d@quiet.test\"\nvia = \"in\"\ndkim_selector = \"s\"\ndkim_key = \"/k\"\n[tlsrpt]\ndkim_selector = \"t\"\n", config.DMARCReports{From: "d@quiet.test", Via: "in", DKIMSelector: "t"}},
	} {
		loaded, problems := config.Load(documents(t, "", servesOne+c.policy), sections())
		if loaded == nil {
			t.Fatal(name, problems)
		}
		got := loaded.Policy.TLSReporting()
		got.Format, got.Window, got.MaxSize = "", 0, 0
		if got != c.want || got.On() != (c.want.From != "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestCheckTLSReports: a key that cannot be used is named with its key.
func TestCheckTLSReports(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := documents(t, "[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", servesOne+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"+
		fmt.Sprintf("[tlsrpt]\nfrom = \"t@quiet.test\"\nvia = \"in\"\ndkim_selector = \"s\"\ndkim_key = %q\n", key))
	if _, out, errOut := gatepost(t, "check", "--config", dir); !strings.Contains(out+errOut, "tlsrpt.dkim_key: "+key) {
		t.Errorf("%s%s", out, errOut)
	}
}

// TestPrintTLSReports: sessions are told as sessions, and a report as a file has it.
func TestPrintTLSReports(t *testing.T) {
	at := time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)
	var out bytes.Buffer
	printReports(&out, &reports.Overview{Subjects: []reports.Shown{{Day: "2026-11-25", Domain: "a.example", Sessions: 7, Lines: 2, Lost: 1, Due: at, Report: json.RawMessage(`{"report-id":"x","policies":[]}`),
		Deliveries: []reports.Delivery{{Address: "https://a.example/", State: reports.Waiting, Next: at, ReportID: "x"}}}}})
	want := "2026-11-25 a.example: 7 sessions in 2 lines, due at TIME\n  and 1 sessions that found no room\n  waiting  https://a.example/  at TIME  x  \n{\n  \"report-id\": \"x\",\n  \"policies\": []\n}\n"
	if got := strings.ReplaceAll(out.String(), cli.Stamp(at), "TIME"); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

// TestPolicyFaultsAreCounted: an MTA-STS policy of a next hop that cannot be fetched is told in the report about its domain.
func TestPolicyFaultsAreCounted(t *testing.T) {
	names := dnslab.New(t, dnslab.Text("_mta-sts.out.test. TXT \"v=STSv1; id=1\"\nmta-sts.out.test. A 127.84.60.1"))
	c, problems := config.Load(documents(t, fmt.Sprintf("[dns]\nservers = [%q]\n", names.Addr()), servesOne), sections())
	if c == nil {
		t.Fatal(problems)
	}
	log := slog.New(slog.DiscardHandler)
	p, err := newParts(c.Bootstrap, log)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{parts: p, bootstrap: c.Bootstrap, ids: new(gateway.IDs), log: log}
	if err := os.MkdirAll(c.Bootstrap.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.openTLSReports()
	d.tlsReports.Set(&reports.Settings{From: "t@quiet.test"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	done := make(chan struct{})
	go func() { defer close(done); d.tlsReports.Run(ctx) }()
	go p.policies.Run(ctx)
	p.policies.Policy(ctx, "out.test")
	var o *reports.Overview
	waitFor(ctx, func() bool {
		o, err = d.tlsReports.Show(ctx, reports.Query{Domain: "out.test", DryRun: true})
		return err == nil && len(o.Subjects) > 0
	})
	if err != nil || len(o.Subjects) != 1 || !bytes.Contains(o.Subjects[0].Report, []byte(`"result-type": "sts-policy-fetch-error"`)) || !bytes.Contains(o.Subjects[0].Report, []byte(`"receiving-mx-hostname": "mta-sts.out.test"`)) {
		t.Errorf("%v %+v", err, o)
	}
	cancel()
	<-done
}
