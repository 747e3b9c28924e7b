package filters

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/addrpool"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/spamd"
)

// spamAt is a pool of one spamd, as the program makes it.
func spamAt(t testing.TB, address string, timeout time.Duration) *addrpool.Pool[*spamd.Client] {
	t.Helper()
	p, err := addrpool.New(addrpool.Config[*spamd.Client]{Addresses: []string{address},
		Open:       func(a string) (*spamd.Client, error) { return spamd.New(spamd.Config{Address: a, Timeout: timeout}) },
		Repeatable: spamd.Repeatable, Blames: spamd.Blames, Distrusts: spamd.Distrusts, TripAfter: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// report is spamd's answer to REPORT: a total, and rules with their points as "NAME=1.2".
func report(score float64, rules ...string) lab.Action {
	var b strings.Builder
	b.WriteString("Content analysis details:\n\n pts rule name              description\n---- ---------------------- ----------\n")
	for _, r := range rules {
		name, points, _ := strings.Cut(r, "=")
		fmt.Fprintf(&b, "%4s %-22s words\n", points, name)
	}
	b.WriteString("\n")
	flag := map[bool]string{true: "True", false: "False"}[score >= 5]
	return lab.Raw(fmt.Sprintf("SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s ; %.1f / 5.0\r\n\r\n%s", b.Len(), flag, score, b.String()))
}

const clamOff = "[checks.clamav]\naction = \"off\"\n"

func TestSpamAssassin(t *testing.T) {
	big := with("") + strings.Repeat("text of the message\r\n", 1000)
	for name, c := range map[string]struct {
		answer  lab.Action
		policy  string
		text    string
		head    int64
		result  gateway.Result
		score   float64
		outcome gateway.Outcome
		rules   string
	}{
		"nothing":                  {answer: report(0), result: gateway.Pass},
		"some":                     {answer: report(3, "A=2.0", "B=1.0"), result: gateway.Pass, score: 3, rules: "A,B"},
		"tag":                      {answer: report(6, "A=6.0"), result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A"},
		"quarantine":               {answer: report(9, "A=9.0"), result: gateway.Fail, score: 9, outcome: gateway.Quarantine, rules: "A"},
		"reject":                   {answer: report(15, "A=9.0", "B=6.0"), result: gateway.Fail, score: 15, outcome: gateway.Reject, rules: "A,B"},
		"ham":                      {answer: report(-7, "HAM=-7.0"), result: gateway.Pass, score: -7, rules: "HAM"},
		"what rdns prices":         {answer: report(6, "A=4.0", "RDNS_NONE=2.0"), result: gateway.Fail, score: 4, rules: "A,RDNS_NONE"},
		"rdns only watches":        {answer: report(6, "A=4.0", "RDNS_NONE=2.0"), policy: "[checks.rdns]\naction = \"observe\"\n", result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,RDNS_NONE"},
		"no list is named":         {answer: report(6, "A=4.0", "RCVD_IN_X=2.0"), result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,RCVD_IN_X"},
		"what spf prices":          {answer: report(6, "A=4.0", "SPF_FAIL=2.0"), result: gateway.Fail, score: 4, rules: "A,SPF_FAIL"},
		"spf only watches":         {answer: report(6, "A=4.0", "SPF_FAIL=2.0"), policy: "[checks.spf]\naction = \"observe\"\n", result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,SPF_FAIL"},
		"a list of the operator's": {answer: report(6, "A=4.0", "SPF_FAIL=2.0"), policy: "[checks.spamassassin]\nignore = [\"SPF_*\", \"HAM\"]\n", result: gateway.Fail, score: 4, rules: "A,SPF_FAIL"},
		"an empty list":            {answer: report(6, "A=4.0", "RDNS_NONE=2.0"), policy: "[checks.spamassassin]\nignore = []\n", result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,RDNS_NONE"},
		"an ignored ham rule":      {answer: report(2, "A=4.0", "HAM=-2.0"), policy: "[checks.spamassassin]\nignore = [\"HAM\"]\n", result: gateway.Pass, score: 4, rules: "A,HAM"},
		"incomplete":               {answer: report(6, "A=1.0", "RDNS_NONE=2.0"), result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,RDNS_NONE"},
		"no table":                 {answer: report(6), result: gateway.Fail, score: 6, outcome: gateway.Tag},
		"cut":                      {answer: report(6, "A=4.0", "DKIM_INVALID=1.5", "DMARC_FAIL=0.5"), text: big, head: 4 << 10, result: gateway.Fail, score: 4, rules: "A,DKIM_INVALID,DMARC_FAIL"},
		"cut, DKIM ham":            {answer: report(4, "A=5.0", "DKIM_VALID=-1.0"), text: big, head: 4 << 10, result: gateway.Pass, score: 5, outcome: gateway.Tag, rules: "A,DKIM_VALID"},
		"cut, and ignored too":     {answer: report(6, "A=4.0", "DKIM_INVALID=2.0"), text: big, head: 4 << 10, policy: "[checks.spamassassin]\nignore = [\"DKIM_*\"]\n", result: gateway.Fail, score: 4, rules: "A,DKIM_INVALID"},
		"not cut":                  {answer: report(6, "A=4.0", "DKIM_INVALID=2.0"), text: big, policy: "[checks.dkim]\naction = \"off\"\n", result: gateway.Fail, score: 6, outcome: gateway.Tag, rules: "A,DKIM_INVALID"},
		"what dkim prices":         {answer: report(6, "A=4.0", "DKIM_INVALID=2.0"), text: big, result: gateway.Fail, score: 4, rules: "A,DKIM_INVALID"},
		"half an answer":           {answer: lab.ReplyThenClose("SPAMD/1.1 0 EX_OK\r\nContent-length: 100\r\nSpam: False ; 0.0 / 5.0\r\n\r\n"), result: gateway.Unknown, outcome: gateway.Tag},
		"liar":                     {answer: lab.Raw("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; 9.0 / 5.0\r\n\r\n"), result: gateway.Unknown, outcome: gateway.Tag},
		"busy":                     {answer: lab.Raw("SPAMD/1.1 75 EX_TEMPFAIL\r\n\r\n"), result: gateway.Unknown, outcome: gateway.Tag},
		"garbage":                  {answer: lab.Raw("HTTP/1.1 200 OK\r\n\r\n"), result: gateway.Unknown, outcome: gateway.Tag},
		"silence":                  {answer: lab.Silence(), result: gateway.Unknown, outcome: gateway.Tag},
		"failure by policy":        {answer: lab.Silence(), policy: "[checks.spamassassin]\nunknown = \"defer\"\n", result: gateway.Unknown, outcome: gateway.Defer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := labtest.FakeSpamd(t)
			fake.On("REPORT", c.answer)
			d := &Deps{SpamAssassin: spamAt(t, fake.Addr(), time.Second), SpamHead: c.head}
			pl := build(t, clamOff+c.policy, d)
			text := c.text
			if text == "" {
				text = with("")
			}
			v, f := judge(t, d, pl, dataOf(t, text), "spamassassin")
			if f.Result != c.result || v.Outcome != c.outcome || fmt.Sprintf("%.3f", v.Score) != fmt.Sprintf("%.3f", c.score) || evidence(f, gateway.EvidenceRules) != c.rules {
				t.Errorf("%s %s, %s, %v points, %v", f.Result, f.Reason, v.Outcome, v.Score, f.Evidence)
			}
			if unable := c.result == gateway.Unknown; unable && evidence(f, "error") == "" || (evidence(f, gateway.EvidenceScanner) == "") != unable {
				t.Errorf("the trace shows %v", f.Evidence)
			}
			if c.outcome == gateway.Tag && c.result == gateway.Unknown && strings.Join(v.Marks, "") != "spamassassin" {
				t.Errorf("marks %v", v.Marks)
			}
			if (evidence(f, "cut") != "") != (c.head > 0) {
				t.Errorf("the trace shows %v of a cut", f.Evidence)
			}
		})
	}
}

// TestSpamAssassinSees shows what spamd is shown: our own trace before the message, and at most as much as was set.
func TestSpamAssassinSees(t *testing.T) {
	big := with("") + strings.Repeat("0123456789abcde\r\n", 60_000)
	for _, c := range []struct {
		text      string
		head      int64
		null, all bool
	}{
		{text: with(""), all: true}, {text: with(""), null: true, all: true}, {text: big}, {text: big, head: 2000}, {text: big, head: 10}, {text: "", all: true},
		{text: big[:DefaultSpamHead-1000], all: true}, {text: big[:DefaultSpamHead]},
	} {
		fake := labtest.FakeSpamd(t)
		d := &Deps{SpamAssassin: spamAt(t, fake.Addr(), 10*time.Second), SpamHead: c.head}
		pl := build(t, clamOff+"[checks.shape]\naction = \"off\"\n[checks.author]\naction = \"off\"\n", d)
		e := dataOf(t, c.text)
		path := "Return-Path: <a@b.example>\r\n"
		if c.null {
			e.From, path = gateway.Address{}, "Return-Path: <>\r\n"
		}
		if _, f := judge(t, d, pl, e, "spamassassin"); f.Result != gateway.Pass {
			t.Fatalf("%s %v", f.Result, f.Evidence)
		}
		got := string(fake.Requests()[0].Message)
		want := path + "Received: from good.example (unknown [192.0.2.1])\r\n\tby mx.served.example (Gatepost) with ESMTP"
		if !strings.HasPrefix(got, want) {
			t.Errorf("spamd sees %.200q", got)
		}
		_, rest, _ := strings.Cut(got[len(want):], "\r\n\t") // the recipient
		_, rest, _ = strings.Cut(rest, "\r\n\t")             // the time
		_, rest, _ = strings.Cut(rest, "\r\n")
		most := c.head
		if most == 0 {
			most = DefaultSpamHead
		}
		if !strings.HasPrefix(c.text, rest) || c.all && rest != c.text || !c.all && rest != "" && int64(len(got)) != most {
			t.Errorf("of %d octets spamd sees %d, %d with what is ours", len(c.text), len(rest), len(got))
		}
	}
}

// TestSpamAssassinFailsToRead shows that a body that cannot be read is not known.
func TestSpamAssassinFailsToRead(t *testing.T) {
	fake := labtest.FakeSpamd(t)
	d := &Deps{SpamAssassin: spamAt(t, fake.Addr(), time.Second)}
	pl := build(t, clamOff+"[checks.mime]\naction = \"off\"\n"+attachmentsOff(), d) // they would defer before
	e := dataOf(t, with(""))
	e.Body = broken{e.Body}
	if v, f := judge(t, d, pl, e, "spamassassin"); f.Result != gateway.Unknown || v.Outcome != gateway.Tag {
		t.Errorf("%s %s %v", f.Result, v.Outcome, f.Evidence)
	}
}

type broken struct{ gateway.Body }

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
