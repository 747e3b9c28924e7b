package filters

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/addrpool"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/rspamd"
)

// rspamdAt is a pool of one rspamd, as the program makes it.
func rspamdAt(t testing.TB, address string, timeout time.Duration) *addrpool.Pool[*rspamd.Client] {
	t.Helper()
	p, err := addrpool.New(addrpool.Config[*rspamd.Client]{Addresses: []string{address},
		Open:       func(a string) (*rspamd.Client, error) { return rspamd.New(rspamd.Config{Address: a, Timeout: timeout}) },
		Repeatable: rspamd.Repeatable, Blames: rspamd.Blames, Distrusts: rspamd.Distrusts, TripAfter: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rspamdSays is what rspamd answers: an action, a total, and symbols with their points as "NAME=1.2".
func rspamdSays(action string, score float64, symbols ...string) string {
	var parts []string
	for _, s := range symbols {
		name, points, _ := strings.Cut(s, "=")
		parts = append(parts, fmt.Sprintf("%q:{\"name\":%[1]q,\"score\":%s}", name, points))
	}
	return fmt.Sprintf(`{"is_skipped":false,"score":%g,"required_score":15,"action":%q,"symbols":{%s},"messages":{}}`, score, action, strings.Join(parts, ","))
}

// fakeRspamd answers each check with the text, and tells what it was shown.
func fakeRspamd(t *testing.T, answer string) (address string, shown func() (*http.Request, string)) {
	t.Helper()
	var req *http.Request
	var message string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		req, message = r, string(b)
		w.Header().Set("Server", "rspamd/3.4")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), func() (*http.Request, string) { return req, message }
}

func TestRspamd(t *testing.T) {
	big := with("") + strings.Repeat("text of the message\r\n", 1000)
	for name, c := range map[string]struct {
		answer  string
		policy  string
		text    string
		head    int64
		result  gateway.Result
		score   float64
		outcome gateway.Outcome
	}{
		"nothing":           {answer: rspamdSays("no action", 0), result: gateway.Pass},
		"some":              {answer: rspamdSays("no action", 3, "A=3"), result: gateway.Pass, score: 2.5},
		"its spam is ours":  {answer: rspamdSays("add header", 6, "A=6"), result: gateway.Fail, score: 5, outcome: gateway.Tag},
		"its own line":      {answer: strings.Replace(rspamdSays("add header", 10, "A=10"), `"messages"`, `"thresholds":{"add header":10},"messages"`, 1), result: gateway.Fail, score: 5, outcome: gateway.Tag},
		"a scale":           {answer: rspamdSays("add header", 6, "A=6"), policy: "scale = 1.0\n", result: gateway.Fail, score: 6, outcome: gateway.Tag},
		"reject":            {answer: rspamdSays("reject", 18, "A=18"), result: gateway.Fail, score: 15, outcome: gateway.Reject},
		"ham":               {answer: rspamdSays("no action", -6, "A=-6"), result: gateway.Pass, score: -5},
		"soft reject":       {answer: rspamdSays("soft reject", 1.2, "A=1.2"), result: gateway.Pass, score: 1},
		"what spf prices":   {answer: rspamdSays("add header", 12, "A=6", "R_SPF_FAIL=6"), result: gateway.Fail, score: 5, outcome: gateway.Tag},
		"spf only watches":  {answer: rspamdSays("add header", 12, "A=6", "R_SPF_FAIL=6"), policy: "[checks.spf]\naction = \"observe\"\n", result: gateway.Fail, score: 10, outcome: gateway.Quarantine},
		"nothing ignored":   {answer: rspamdSays("add header", 12, "A=6", "R_SPF_FAIL=6"), policy: "ignore = []\n", result: gateway.Fail, score: 10, outcome: gateway.Quarantine},
		"incomplete":        {answer: rspamdSays("add header", 12, "R_SPF_FAIL=6"), result: gateway.Fail, score: 10, outcome: gateway.Quarantine},
		"by action":         {answer: rspamdSays("reject", 1.2, "A=1.2"), policy: "action = \"quarantine\"\n", result: gateway.Fail, score: 1, outcome: gateway.Quarantine},
		"cut":               {answer: rspamdSays("add header", 12, "A=6", "R_DKIM_REJECT=5", "ARC_REJECT=1"), text: big, head: 4 << 10, result: gateway.Fail, score: 5, outcome: gateway.Tag},
		"skipped":           {answer: strings.Replace(rspamdSays("no action", 0), `"is_skipped":false`, `"is_skipped":true`, 1), result: gateway.Unknown, outcome: gateway.Tag},
		"decided before":    {answer: strings.Replace(rspamdSays("reject", 18), `"is_skipped":false`, `"is_skipped":true`, 1), result: gateway.Fail, score: 15, outcome: gateway.Reject},
		"garbage":           {answer: "pong", result: gateway.Unknown, outcome: gateway.Tag},
		"failure by policy": {answer: "pong", policy: "unknown = \"defer\"\n", result: gateway.Unknown, outcome: gateway.Defer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := fakeRspamd(t, c.answer)
			d := &Deps{Rspamd: rspamdAt(t, address, 10*time.Second), RspamdHead: c.head}
			pl := build(t, clamOff+spamOff+"[checks.rspamd]\n"+c.policy, d)
			text := c.text
			if text == "" {
				text = with("")
			}
			v, f := judge(t, d, pl, dataOf(t, text), "rspamd")
			if f.Result != c.result || v.Outcome != c.outcome || fmt.Sprintf("%.3f", v.Score) != fmt.Sprintf("%.3f", c.score) {
				t.Errorf("%s %s, %s, %v points, %v", f.Result, f.Reason, v.Outcome, v.Score, f.Evidence)
			}
			if c.result == gateway.Unknown && (evidence(f, "error") == "" || c.outcome == gateway.Tag && strings.Join(v.Marks, "") != "rspamd") {
				t.Errorf("marks %v, %v", v.Marks, f.Evidence)
			}
			if (evidence(f, "cut") != "") != (c.head > 0) {
				t.Errorf("the trace shows %v of a cut", f.Evidence)
			}
		})
	}
}

// Two engines that see one message as spam are one opinion: the higher counts, unless the operator wants the sum.
func TestRivals(t *testing.T) {
	for name, c := range map[string]struct {
		rspamd string
		spamd  lab.Action
		policy string
		score  float64
		priced []string
	}{
		"rspamd is higher":          {rspamd: rspamdSays("reject", 18, "A=18"), spamd: report(9, "B=9.0"), score: 15, priced: []string{"rspamd"}},
		"spamassassin is":           {rspamd: rspamdSays("add header", 6, "A=6"), spamd: report(9, "B=9.0"), score: 9, priced: []string{"spamassassin"}},
		"alike":                     {rspamd: rspamdSays("add header", 6, "A=6"), spamd: report(5, "B=5.0"), score: 5, priced: []string{"rspamd"}},
		"one sees ham":              {rspamd: rspamdSays("no action", -6, "A=-6"), spamd: report(2, "B=2.0"), score: 2, priced: []string{"spamassassin"}},
		"the sum":                   {rspamd: rspamdSays("add header", 6, "A=6"), spamd: report(9, "B=9.0"), policy: "[checks.rspamd]\nsum = true\n", score: 14, priced: []string{"rspamd", "spamassassin"}},
		"rspamd cannot tell":        {rspamd: "pong", spamd: report(3, "B=3.0"), score: 3, priced: []string{"spamassassin"}},
		"spamassassin cannot tell":  {rspamd: rspamdSays("no action", 3, "A=3"), spamd: lab.Gone(), score: 2.5, priced: []string{"rspamd"}},
		"rspamd only watches":       {rspamd: rspamdSays("reject", 18, "A=18"), spamd: report(3, "B=3.0"), policy: "[checks.rspamd]\naction = \"observe\"\n", score: 3, priced: []string{"spamassassin"}},
		"spamassassin only watches": {rspamd: rspamdSays("no action", 3, "A=3"), spamd: report(9, "B=9.0"), policy: "[checks.spamassassin]\naction = \"observe\"\n", score: 2.5, priced: []string{"rspamd"}},
		"spamassassin is off":       {rspamd: rspamdSays("no action", 3, "A=3"), spamd: report(9, "B=9.0"), policy: spamOff, score: 2.5, priced: []string{"rspamd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := fakeRspamd(t, c.rspamd)
			fake := labtest.FakeSpamd(t)
			fake.On("REPORT", c.spamd)
			d := &Deps{Rspamd: rspamdAt(t, address, 10*time.Second), SpamAssassin: spamAt(t, fake.Addr(), 10*time.Second)}
			pl := build(t, clamOff+c.policy, d)
			v, _ := judge(t, d, pl, dataOf(t, with("")), "rspamd")
			var priced []string
			for _, p := range v.Priced {
				priced = append(priced, p.Check)
			}
			slices.Sort(priced)
			if fmt.Sprintf("%.3f", v.Score) != fmt.Sprintf("%.3f", c.score) || !slices.Equal(priced, c.priced) {
				t.Errorf("%v points of %v, want %v of %v", v.Score, priced, c.score, c.priced)
			}
		})
	}
}

// What rspamd is shown is the message as it came, at most as much as was set, and what the connection said.
func TestRspamdSees(t *testing.T) {
	big := with("") + strings.Repeat("0123456789abcde\r\n", 60_000)
	for _, head := range []int64{0, 2000} {
		address, shown := fakeRspamd(t, rspamdSays("no action", 0))
		d := &Deps{Rspamd: rspamdAt(t, address, 10*time.Second), RspamdHead: head}
		pl := build(t, clamOff+spamOff+"[checks.shape]\naction = \"off\"\n[checks.author]\naction = \"off\"\n", d)
		e := dataOf(t, big)
		if _, f := judge(t, d, pl, e, "rspamd"); f.Result != gateway.Pass {
			t.Fatalf("%s %v", f.Result, f.Evidence)
		}
		req, message := shown()
		want := head
		if want == 0 {
			want = DefaultRspamdHead
		}
		if message != big[:want] {
			t.Errorf("it sees %d octets, want %d as they came", len(message), want)
		}
		if req.URL.Path != "/checkv2" || req.Header.Get("IP") != "192.0.2.1" || req.Header.Get("Helo") != "good.example" || req.Header.Get("From") != "<a@b.example>" ||
			req.Header.Get("Rcpt") == "" || req.Header.Get("Mta-Name") != "mx.served.example" || req.Header.Get("Queue-Id") == "" {
			t.Errorf("it is told %v", req.Header)
		}
	}
}

// Without an rspamd the check is left out, and costs no finding.
func TestRspamdAbsent(t *testing.T) {
	d := &Deps{}
	pl := build(t, clamOff+spamOff, d)
	for _, row := range pl.Rows[gateway.Data] {
		for _, c := range row.Checks {
			if c.Name == "rspamd" {
				t.Error("it is in the plan")
			}
		}
	}
	if d.Policy.Runs("rspamd") || d.On("rspamd") {
		t.Error("it counts as a check that runs")
	}
}

// The real rspamd's words become points.
func TestRspamdReal(t *testing.T) {
	r := labtest.Rspamd(t, lab.RspamdOptions{Words: []lab.RspamdWord{{Symbol: "LAB_SPAM", Text: "gatepost alpha", Points: 7.5}, {Symbol: "R_SPF_FAIL", Text: "gatepost alpha", Points: 1.5}}})
	d := &Deps{Rspamd: rspamdAt(t, r.Addr, 30*time.Second)}
	pl := build(t, clamOff+spamOff, d)
	v, f := judge(t, d, pl, dataOf(t, with("")+"gatepost alpha\r\n"), "rspamd")
	if f.Result != gateway.Fail || fmt.Sprintf("%.2f", v.Score) != "6.25" || v.Outcome != gateway.Tag || evidence(f, gateway.EvidenceRules) != "LAB_SPAM,R_SPF_FAIL" {
		t.Errorf("%s, %v points, %s, %v", f.Result, v.Score, v.Outcome, f.Evidence)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if v, f := judge(t, d, pl, dataOf(t, with("")), "rspamd"); f.Result != gateway.Unknown || v.Outcome != gateway.Tag {
		t.Errorf("without it: %s, %s, %v", f.Result, v.Outcome, f.Evidence)
	}
}
